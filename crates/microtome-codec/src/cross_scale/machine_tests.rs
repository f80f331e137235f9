//! Every step by hand against its plain twin, which says what it must do, on each kind of machine that this processor can be.

use proptest::prelude::*;

use super::ahead::{self, PADDED, Piece, Sixteen, sixteen};
use super::dct::BASIS;
#[cfg(target_arch = "x86_64")]
use super::machine_avx2::Avx2;
#[cfg(target_arch = "aarch64")]
use super::machine_neon::Neon;
use super::model::{Kind, MAX_WIDTH, PIECES, table};
use super::rans::{Machine, Plain, SCALE, SYMBOLS, Sums};
use super::stored::MOST_EDGE;
use crate::instructions::{Known, Set};

/// Runs a check on all machines that there are.
macro_rules! on_each {
    ($check:ident) => {
        for set in Set::all() {
            match set.known() {
                Known::Baseline => {}
                #[cfg(target_arch = "x86_64")]
                Known::Avx2 => $check::<Avx2>(),
                // Those have AVX2's.
                #[cfg(target_arch = "x86_64")]
                Known::Avx512 | Known::Vbmi2 => {}
                #[cfg(target_arch = "aarch64")]
                Known::Neon => $check::<Neon>(),
            }
        }
    };
}

fn any_number() -> impl Strategy<Value = i16> {
    prop_oneof![any::<i16>(), -40..40_i16, Just(i16::MIN), Just(i16::MAX)]
}

fn any_sixteen() -> impl Strategy<Value = Sixteen> {
    prop::array::uniform16(any_number())
}

#[test]
fn symbols() {
    fn check<M: Machine>() {
        proptest!(|(widths in prop::array::uniform16(0..=MAX_WIDTH), slot in any::<u16>())| {
            let table = table(&widths);
            let starts = table.starts().iter().flat_map(|&start| [start.wrapping_sub(1), start]);
            for slot in starts.chain([slot, SCALE - 1]) {
                let symbol = Plain::find(&table, slot);
                prop_assert!(symbol < SYMBOLS);
                prop_assert_eq!(M::find(&table, slot), symbol);
            }
        });
    }
    on_each!(check);
}

#[test]
fn products() {
    fn check<M: Machine>() {
        proptest!(|(
            sums in prop::array::uniform8(any::<i32>()),
            pairs in prop::array::uniform8(prop::array::uniform2(any_number())),
            weights in prop::array::uniform8(prop::array::uniform2(-MOST_EDGE..=MOST_EDGE)),
            index in prop::array::uniform8(0..16_u32),
        )| {
            prop_assert_eq!(
                M::multiply_add(sums, pairs[0], &weights), Plain::multiply_add(sums, pairs[0], &weights)
            );
            prop_assert_eq!(
                M::multiply_add_picked(sums, &pairs, &index, &weights),
                Plain::multiply_add_picked(sums, &pairs, &index, &weights)
            );
        });
    }
    on_each!(check);
}

#[test]
fn pieces_and_errors() {
    fn check<M: Machine>() {
        proptest!(|(
            a in any_sixteen(), b in any_sixteen(), steps in prop::array::uniform16(1..2048_i16),
            sums in prop::array::uniform16(any::<i32>()),
            reciprocals in prop::array::uniform16(prop_oneof![1..=65536_i32, Just(1), Just(65536)]),
            kind in 0..3_usize, (start, _) in prop::sample::select(&PIECES[..]),
        )| {
            let layout = Kind::ALL[kind].layout();
            let first = sixteen(&layout.first, start);
            let sums: [Sums; 2] = std::array::from_fn(|half| std::array::from_fn(|l| sums[8 * half + l]));
            prop_assert_eq!(
                M::piece(&a, &sums, &reciprocals, first, &layout.fractions),
                Piece::new(&a, &sums, &reciprocals, first, &layout.fractions)
            );
            prop_assert_eq!(M::errors::<3>(&a, &steps, &b, 1023), ahead::errors::<3>(&a, &steps, &b, 1023));
            prop_assert_eq!(M::errors::<4>(&a, &steps, &b, 2047), ahead::errors::<4>(&a, &steps, &b, 2047));
        });
    }
    on_each!(check);
}

#[test]
fn features() {
    fn check<M: Machine>() {
        proptest!(|(
            sides in prop::collection::vec((0..=15_u8, 0..=15_u8), 64), most in 0..=15_u8,
            sizes in prop::collection::vec(prop_oneof![-32767..=i16::MAX, -40..40_i16, Just(0)], 64),
        )| {
            let (mut left, mut above, mut steps) = ([0; 64], [0; 64], [0; PADDED]);
            for (k, &(l, a)) in sides.iter().enumerate() {
                (left[k], above[k]) = (l.min(most), a.min(most));
            }
            steps[..64].copy_from_slice(&sizes);
            prop_assert_eq!(M::features(&left, &above, &steps), Plain::features(&left, &above, &steps));
        });
    }
    on_each!(check);
}

#[test]
fn edges() {
    fn check<M: Machine>() {
        let number = || prop_oneof![any::<i16>(), -20..20_i16, Just(0)];
        let predicted = || prop_oneof![any::<i16>(), Just(0)];
        proptest!(|(
            groups in 0..=4_usize, values in prop::collection::vec((number(), 1..2048_i16, predicted()), 64),
        )| {
            let (mut coefficients, mut steps, mut known) = ([0; 64], [1; PADDED], [0; PADDED]);
            for (k, &(value, step, predicted)) in values.iter().enumerate() {
                steps[k] = step;
                if k < 16 * groups {
                    (coefficients[k], known[k]) = (value, predicted);
                }
            }
            prop_assert_eq!(M::edges(&coefficients, &steps, &known), Plain::edges(&coefficients, &steps, &known));
        });
    }
    on_each!(check);
}

/// Coefficients of which some are zero and the rest within bounds that thin out, up to all that 16 bits hold.
fn any_block() -> impl Strategy<Value = [i16; 64]> {
    let value = (0..64_u32, 1..=16_u32, any::<i16>(), 0..=64_u32);
    (0..=64_u32, 0..=16_u32, prop::collection::vec(value, 64)).prop_map(|(density, most, values)| {
        let mut block = [0; 64];
        for (to, (dense, bits, value, extreme)) in block.iter_mut().zip(values) {
            if dense < density {
                *to = if most == 16 && extreme == 0 {
                    i16::MIN
                } else {
                    value >> (16 - bits.min(most)).min(15)
                };
            }
        }
        block
    })
}

fn any_steps() -> impl Strategy<Value = [u16; 64]> {
    let steps = |most: u16| prop::collection::vec(1..=most, 64);
    prop_oneof![steps(1), steps(16), steps(255), steps(1023), steps(u16::MAX)]
        .prop_map(|steps| std::array::from_fn(|k| steps[k]))
}

fn check_lines<M: Machine>(blocks: &[[i16; 64]], steps: &[u16; 64]) {
    let (mut expected, mut lines) = (vec![1; 64 * blocks.len()], vec![2; 64 * blocks.len()]);
    Plain::inverse_row(blocks, steps, &mut expected);
    M::inverse_row(blocks, steps, &mut lines);
    assert!(lines == expected, "{blocks:?} {steps:?}");
}

#[test]
fn samples() {
    fn check<M: Machine>() {
        proptest!(|(blocks in prop::collection::vec(any_block(), 1..6), steps in any_steps())| {
            check_lines::<M>(&blocks, &steps);
        });
    }
    on_each!(check);
}

/// Each coefficient alone and with a DC coefficient, and all of them at once, as small and as large as they can be.
#[test]
fn samples_of_single_coefficients_and_of_the_largest_sums() {
    fn check<M: Machine>() {
        for value in [1, -1, i16::MIN, i16::MAX] {
            for step in [1, 16, u16::MAX] {
                let mut blocks = vec![[value; 64]];
                for k in 0..64 {
                    let (mut alone, mut both) = ([0; 64], [0; 64]);
                    (alone[k], both[0]) = (value, 5);
                    both[k] = value;
                    blocks.extend([alone, both]);
                }
                check_lines::<M>(&blocks, &[step; 64]);
            }
        }
    }
    on_each!(check);
}

fn check_coefficients<M: Machine>(samples: &[[i16; 8]; 8], gain: &[i16; 64]) {
    let (mut expected, mut out) = ([1; 64], [2; 64]);
    let rows = std::array::from_fn(|y| &samples[y]);
    Plain::forward(rows, gain, &mut expected);
    M::forward(rows, gain, &mut out);
    assert_eq!(out, expected, "{samples:?} {gain:?}");
}

#[test]
fn coefficients() {
    fn check<M: Machine>() {
        let sample = prop_oneof![-512..=511_i16, Just(-512), Just(511)];
        proptest!(|(samples in prop::collection::vec(sample, 64), gain in prop::collection::vec(any_number(), 64))| {
            let samples = std::array::from_fn(|y| std::array::from_fn(|x| samples[8 * y + x]));
            check_coefficients::<M>(&samples, &std::array::from_fn(|k| gain[k]));
        });
    }
    on_each!(check);
}

/// The samples that make each coefficient as large as can be, either way.
#[test]
fn the_largest_coefficients() {
    fn check<M: Machine>() {
        let sign = |x: usize, u: usize| BASIS[x / 2][u][x % 2] > 0;
        for (u, v) in (0..64).map(|i| (i % 8, i / 8)) {
            for flip in [false, true] {
                let sample = |x, y| if sign(x, u) == sign(y, v) ^ flip { 511 } else { -512 };
                let samples = std::array::from_fn(|y| std::array::from_fn(|x| sample(x, y)));
                for gain in [1 << 14, 1, i16::MAX, i16::MIN] {
                    check_coefficients::<M>(&samples, &[gain; 64]);
                }
            }
        }
    }
    on_each!(check);
}

#[test]
fn weighted_pixels() {
    fn check<M: Machine>() {
        proptest!(|(
            pixels in prop::collection::vec(any::<[u8; 3]>(), 0..40),
            weights in [-32767..=32768, -65534..=65536, -32767..=32768, 0..=1 << 24],
            extreme in any::<bool>(),
        )| {
            let weights = if extreme { [32768, 65536, 32768, 0] } else { weights };
            let mut sums = vec![5; pixels.len()];
            let mut expected = sums.clone();
            Plain::weigh(&pixels, weights, &mut expected);
            M::weigh(&pixels, weights, &mut sums);
            prop_assert_eq!(sums, expected);
        });
    }
    on_each!(check);
}

#[test]
fn reduced_samples() {
    fn check<M: Machine, const X: bool, const Y: bool>() {
        proptest!(|(rows in prop::array::uniform3(prop::collection::vec(any::<u8>(), 8..120)), from in 0..4_usize)| {
            let length = rows.iter().map(Vec::len).min().unwrap_or_default();
            let rows = rows.each_ref().map(|row| &row[..length]);
            let count = length.saturating_sub(from + usize::from(X)) / 2;
            let (mut expected, mut out) = (vec![0; count], vec![0; count]);
            Plain::reduce::<X, Y>(rows, from, &mut expected);
            M::reduce::<X, Y>(rows, from, &mut out);
            prop_assert_eq!(out, expected);
        });
    }
    fn check_all<M: Machine>() {
        check::<M, false, false>();
        check::<M, false, true>();
        check::<M, true, false>();
        check::<M, true, true>();
    }
    on_each!(check_all);
}
