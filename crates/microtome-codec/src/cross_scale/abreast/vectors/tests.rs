//! Every step on sixteen numbers by hand against the plain one.

use proptest::prelude::*;

#[cfg(target_arch = "x86_64")]
use super::super::avx2::InHalves;
#[cfg(target_arch = "x86_64")]
use super::super::avx512::Avx512;
#[cfg(target_arch = "aarch64")]
use super::super::neon::InQuarters;
use super::*;
use crate::cross_scale::built_in;
use crate::instructions::{Known, Set};

/// What all steps make of some numbers.
fn all<V: Vectors>([a, b]: [Row; 2], mask: Mask, weights: [i16; 2]) -> (Vec<Row>, Vec<WideRow>, usize) {
    let model = &built_in::models()[1][0];
    let (x, y) = (V::load(&a), V::load(&b));
    let (wide, other) = (V::pairs(x, y), V::pairs(y, V::splat(weights[0])));
    let low = |most: i16| V::and(x, V::splat(most));
    let by = V::and_wide(V::widen(y), V::splat_wide(15));
    let sign = V::shift_right::<15>(y);
    let narrow = [
        V::add(x, y),
        V::add_modulo(x, y),
        V::subtract(x, y),
        V::multiply(x, y),
        V::multiply_upper(x, y),
        V::multiply_rounded(x, low(i16::MAX)),
        V::least(x, y),
        V::most(x, y),
        V::size(V::most(x, V::splat(-32767))),
        V::shift_left::<5>(x),
        V::shift_right::<3>(x),
        V::turn(x, sign),
        V::select(mask, x, y),
        V::move_down(x, weights[1]),
        V::look_up(low(31), &std::array::from_fn(|i| (i * i % 251) as u8)),
        V::narrow(wide),
        V::truncate(wide),
    ];
    // Near the lower bound, and beyond what has a sign.
    let near = V::add_wide(V::splat_wide(65_000), V::and_wide(wide, V::splat_wide(0x7FFF)));
    let states = V::select_wide(mask.rotate_left(5), near, wide);
    let words = std::array::from_fn(|i| (i as u16 * 4_001).to_le_bytes());
    let (refilled, taken) = V::refill(states, mask, &words);
    let mut together = [0; 16];
    let count = V::put_together(wide, mask, &mut together);
    together[count..].fill(0);
    let index = V::and_wide(V::widen(x), V::splat_wide(1_023));
    let data: Vec<i16> = (0..700).map(|i| i * 37).collect();
    let wide = [
        wide,
        V::look_up_flags(V::widen(V::least(low(63), V::splat(BUCKETS as i16 - 1))), &model.flags[2]),
        V::multiply_add(other, wide, weights),
        V::add_wide(wide, other),
        V::subtract_wide(wide, other),
        V::multiply_wide(wide, other),
        V::shift_wide_right::<12>(wide),
        V::shift_wide_right::<31>(wide),
        V::shift_bits_left(wide, by),
        V::shift_bits_right(wide, by),
        V::select_wide(mask, wide, other),
        V::splat_wide(i32::from(V::is_larger(wide, other))),
        V::bucket(V::widen(x)),
        V::add_times(V::widen(low(14)), V::widen(low(4)), 1_000),
        V::magnitudes(wide),
        V::magnitudes(V::widen(x)),
        V::gather(&data, index),
        V::gather(&data, other),
        V::gather(&data[..1], index),
        V::find(&model.marked, index, V::widen(y)),
        V::find(&model.marked, other, V::widen(y)),
        V::symbols(wide),
        V::find(&[], index, V::widen(y)),
        refilled,
        V::load_wide(&together),
    ];
    let mut values = [[0; 16]; 64];
    for (k, row) in values.iter_mut().enumerate() {
        V::store(V::add_modulo(x, V::splat(k as i16)), row);
    }
    let mut turned = [[0; 64]; 16];
    V::turn_over(&values, &mut turned);
    let mut rows = turned.as_flattened().as_chunks().0.to_vec();
    rows.extend(narrow.map(|values| {
        let mut row = [0; 16];
        V::store(values, &mut row);
        row
    }));
    let wide = wide.map(|values| {
        let mut row = [0; 16];
        V::store_wide(values, &mut row);
        row
    });
    (rows, wide.to_vec(), taken)
}

fn any_row() -> impl Strategy<Value = Row> {
    let extremes = prop_oneof![any::<i16>(), -40..40_i16, Just(i16::MIN), Just(i16::MAX)];
    proptest::collection::vec(extremes, 16).prop_map(|v| std::array::from_fn(|l| v[l]))
}

proptest! {
    #[test]
    fn vectors_do_what_the_plain_steps_do(
        rows in [any_row(), any_row()], mask in any::<Mask>(), weights in any::<[i16; 2]>(),
    ) {
        let plain = all::<Plain>(rows, mask, weights);
        for set in Set::all() {
            let found = match set.known() {
                Known::Baseline => continue,
                #[cfg(target_arch = "x86_64")]
                Known::Avx2 => all::<InHalves>(rows, mask, weights),
                #[cfg(target_arch = "x86_64")]
                Known::Avx512 | Known::Vbmi2 => all::<Avx512>(rows, mask, weights),
                #[cfg(target_arch = "aarch64")]
                Known::Neon => all::<InQuarters>(rows, mask, weights),
            };
            prop_assert_eq!(&plain, &found);
        }
    }
}
