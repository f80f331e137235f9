//! The steps with NEON: narrow numbers in two vectors, wide ones in four.
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::aarch64::*;

use super::vectors::{Mask, Row, Vectors, WideRow};
use crate::cross_scale::expect::MOST;
use crate::cross_scale::machine_neon::{self, Neon, products};
use crate::cross_scale::model::BUCKETS;
use crate::cross_scale::rans::{LOW, Marked, SYMBOL_OF};

/// The steps by hand.
#[derive(Debug, Clone, Copy)]
pub(in crate::cross_scale) struct InQuarters;

type Narrow = [int16x8_t; 2];
type Wide = [int32x4_t; 4];

/// A step that touches no memory.
macro_rules! step {
    ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty = $body:expr;)*) => {
        $(
            #[inline(always)]
            fn $name($($arg: $type),*) -> $out {
                // SAFETY: NEON is part of AArch64 as Rust's targets know it.
                unsafe { $body }
            }
        )*
    };
}

/// A step on each vector of narrow numbers.
macro_rules! halves {
    ($($name:ident($($arg:ident),*) = $body:expr;)*) => {
        step! { $($name($($arg: Narrow),*) -> Narrow = halves!(@ $body, $($arg),*);)* }
    };
    (@ $body:expr, $($arg:ident),*) => {
        [{ $(let $arg = $arg[0];)* $body }, { $(let $arg = $arg[1];)* $body }]
    };
}

/// A step on each vector of wide numbers.
macro_rules! quarters {
    ($($name:ident($($arg:ident),*) = $body:expr;)*) => {
        step! { $($name($($arg: Wide),*) -> Wide = quarters!(@ $body, $($arg),*);)* }
    };
    (@ $body:expr, $($arg:ident),*) => {
        [
            { $(let $arg = $arg[0];)* $body },
            { $(let $arg = $arg[1];)* $body },
            { $(let $arg = $arg[2];)* $body },
            { $(let $arg = $arg[3];)* $body },
        ]
    };
}

/// For each mask of four, where in eight bytes of words the next one is for each of them, as the lower half of 32 bits.
static TAKEN: [[u8; 16]; 16] = {
    let mut taken = [[0xFF; 16]; 16];
    let mut mask = 0;
    while mask < 16 {
        let (mut l, mut next) = (0, 0);
        while l < 4 {
            taken[mask][4 * l] = 2 * next;
            taken[mask][4 * l + 1] = 2 * next + 1;
            next += (mask >> l & 1) as u8;
            l += 1;
        }
        mask += 1;
    }
    taken
};

/// A bit for each of eight numbers.
const BITS: [u16; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

/// All ones where a mask has a bit.
#[inline]
#[target_feature(enable = "neon")]
fn spread(mask: Mask) -> [uint16x8_t; 2] {
    let (bits, mask) = (machine_neon::load_unsigned(&BITS), vdupq_n_u16(mask));
    [vtstq_u16(mask, bits), vtstq_u16(mask, vshlq_n_u16::<8>(bits))]
}

/// A bit for each of sixteen numbers of which all bits are set or none.
#[inline]
#[target_feature(enable = "neon")]
fn mask_of(all: [uint32x4_t; 4]) -> Mask {
    let bits = machine_neon::load_unsigned(&BITS);
    let low = vuzp1q_u16(vreinterpretq_u16_u32(all[0]), vreinterpretq_u16_u32(all[1]));
    let high = vuzp1q_u16(vreinterpretq_u16_u32(all[2]), vreinterpretq_u16_u32(all[3]));
    vaddvq_u16(vorrq_u16(vandq_u16(low, bits), vandq_u16(high, vshlq_n_u16::<8>(bits))))
}

/// The least of each number, taken without a sign, and `most`.
#[inline]
#[target_feature(enable = "neon")]
fn at_most(a: Wide, most: u32) -> Wide {
    quarters!(@ vreinterpretq_s32_u32(vminq_u32(vreinterpretq_u32_s32(a), vdupq_n_u32(most))), a)
}

/// Each state, and behind it a word: those of a mask of four take the next one each.
#[inline]
#[target_feature(enable = "neon")]
fn take(state: int32x4_t, mask: Mask, words: &[[u8; 2]; 16], from: usize) -> int32x4_t {
    let words: &[[u8; 2]; 4] = words[from..].first_chunk().unwrap_or(&[[0; 2]; 4]);
    // SAFETY: 8 bytes are read from an array of 8, and 16 from an array of 16.
    let (words, places) =
        unsafe { (vld1_u8(words.as_ptr().cast()), vld1q_u8(TAKEN[usize::from(mask & 15)].as_ptr())) };
    let words = vqtbl1q_u8(vcombine_u8(words, words), places);
    vorrq_s32(vshlq_n_s32::<16>(state), vreinterpretq_s32_u8(words))
}

/// As [`Marked::find`], given where a slot is among starts with their marks.
///
/// # Safety
/// Another table lies behind this one.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn pair(table: *const Marked, place: i16) -> i32 {
    let starts: *const i16 = table.cast();
    // SAFETY: twice 16 bytes are read from an array of 32. Its first start is not above any place, so that from 1 to 16 of them are not,
    // and the pair from the last of these on is in both tables.
    unsafe {
        let place = vdupq_n_s16(place);
        let (front, back) = (vcgeq_s16(place, vld1q_s16(starts)), vcgeq_s16(place, vld1q_s16(starts.add(8))));
        // -1 for each that is not above.
        let count = vaddvq_s16(vreinterpretq_s16_u16(vaddq_u16(front, back)));
        starts.offset(-isize::from(count) - 1).cast::<i32>().read_unaligned()
    }
}

impl Vectors for InQuarters {
    type Narrow = Narrow;
    type Wide = Wide;
    type Machine = Neon;
    const HAS_MANY: bool = false;

    halves! {
        add(a, b) = vqaddq_s16(a, b);
        subtract(a, b) = vqsubq_s16(a, b);
        add_modulo(a, b) = vaddq_s16(a, b);
        multiply(a, b) = vmulq_s16(a, b);
        multiply_upper(a, b) = {
            let low = vmull_s16(vget_low_s16(a), vget_low_s16(b));
            vuzp2q_s16(vreinterpretq_s16_s32(low), vreinterpretq_s16_s32(vmull_high_s16(a, b)))
        };
        multiply_rounded(a, b) = vqrdmulhq_s16(a, b);
        least(a, b) = vminq_s16(a, b);
        most(a, b) = vmaxq_s16(a, b);
        size(a) = vabsq_s16(a);
        and(a, b) = vandq_s16(a, b);
        turn(a, sign) = vsubq_s16(veorq_s16(a, sign), sign);
    }
    quarters! {
        add_wide(a, b) = vaddq_s32(a, b);
        subtract_wide(a, b) = vsubq_s32(a, b);
        multiply_wide(a, b) = vmulq_s32(a, b);
        shift_bits_left(a, by) = vshlq_s32(a, by);
        shift_bits_right(a, by) = vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a), vnegq_s32(by)));
        and_wide(a, b) = vandq_s32(a, b);
    }
    step! {
        splat(value: i16) -> Narrow = [vdupq_n_s16(value); 2];
        splat_wide(value: i32) -> Wide = [vdupq_n_s32(value); 4];
        move_down(a: Narrow, first: i16) -> Narrow =
            [vextq_s16::<7>(vdupq_n_s16(first), a[0]), vextq_s16::<7>(a[0], a[1])];
        select(mask: Mask, a: Narrow, b: Narrow) -> Narrow = {
            let all = spread(mask);
            [vbslq_s16(all[0], a[0], b[0]), vbslq_s16(all[1], a[1], b[1])]
        };
        select_wide(mask: Mask, a: Wide, b: Wide) -> Wide = {
            let all = spread(mask);
            let all = Self::widen([vreinterpretq_s16_u16(all[0]), vreinterpretq_s16_u16(all[1])]);
            quarters!(@ vbslq_s32(vreinterpretq_u32_s32(all), a, b), all, a, b)
        };
        widen(a: Narrow) -> Wide = [
            vmovl_s16(vget_low_s16(a[0])),
            vmovl_high_s16(a[0]),
            vmovl_s16(vget_low_s16(a[1])),
            vmovl_high_s16(a[1]),
        ];
        narrow(a: Wide) -> Narrow =
            [vqmovn_high_s32(vqmovn_s32(a[0]), a[1]), vqmovn_high_s32(vqmovn_s32(a[2]), a[3])];
        truncate(a: Wide) -> Narrow =
            [vmovn_high_s32(vmovn_s32(a[0]), a[1]), vmovn_high_s32(vmovn_s32(a[2]), a[3])];
        pairs(a: Narrow, b: Narrow) -> Wide = [
            vreinterpretq_s32_s16(vzip1q_s16(a[0], b[0])),
            vreinterpretq_s32_s16(vzip2q_s16(a[0], b[0])),
            vreinterpretq_s32_s16(vzip1q_s16(a[1], b[1])),
            vreinterpretq_s32_s16(vzip2q_s16(a[1], b[1])),
        ];
        multiply_add(sums: Wide, pairs: Wide, weights: [i16; 2]) -> Wide = {
            let weights = [vdupq_n_s16(weights[0]), vdupq_n_s16(weights[1])];
            let [a, b, c, d] = pairs;
            let (a, b) = (vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b));
            let (c, d) = (vreinterpretq_s16_s32(c), vreinterpretq_s16_s32(d));
            let front = products([sums[0], sums[1]], [a, b], weights);
            let back = products([sums[2], sums[3]], [c, d], weights);
            [front[0], front[1], back[0], back[1]]
        };
        is_larger(a: Wide, b: Wide) -> Mask = mask_of(quarters!(@ vcgtq_s32(a, b), a, b));
        // A float's exponent and its two highest bits count four an octave; that of 4 is 129.
        bucket(expected: Wide) -> Wide = quarters!(@ {
            let bits = vreinterpretq_s32_f32(vcvtq_f32_s32(vmaxq_s32(expected, vdupq_n_s32(4))));
            vsubq_s32(vshrq_n_s32::<21>(bits), vdupq_n_s32(4 * 129))
        }, expected);
        add_times(sums: Wide, values: Wide, factor: i16) -> Wide =
            quarters!(@ vmlaq_n_s32(sums, values, i32::from(factor)), sums, values);
        magnitudes(residuals: Wide) -> Wide = quarters!(@ {
            let sizes = vreinterpretq_u32_s32(vabsq_s32(residuals));
            vreinterpretq_s32_u32(vminq_u32(sizes, vdupq_n_u32(MOST.into())))
        }, residuals);
        symbols(found: Wide) -> Wide = {
            let all = machine_neon::load_bytes(&SYMBOL_OF);
            quarters!(@ {
                let next = vandq_s32(vshrq_n_s32::<14>(found), vdupq_n_s32(12));
                let marks = vorrq_s32(vandq_s32(found, vdupq_n_s32(3)), next);
                // The upper bytes are 0, and so is the symbol that they choose.
                vreinterpretq_s32_u8(vqtbl1q_u8(all, vreinterpretq_u8_s32(marks)))
            }, found)
        };
        look_up(index: Narrow, table: &[u8; 32]) -> Narrow = machine_neon::look_up(index, table);
    }

    #[inline(always)]
    fn load(row: &Row) -> Narrow {
        let (halves, _) = row.as_chunks();
        // SAFETY: NEON is there, as above.
        unsafe { [machine_neon::load(&halves[0]), machine_neon::load(&halves[1])] }
    }
    #[inline(always)]
    fn store(values: Narrow, row: &mut Row) {
        let (halves, _) = row.as_chunks_mut();
        // SAFETY: NEON is there, as above.
        unsafe {
            machine_neon::store(values[0], &mut halves[0]);
            machine_neon::store(values[1], &mut halves[1]);
        }
    }
    #[inline(always)]
    fn load_wide(row: &WideRow) -> Wide {
        let from = row.as_ptr();
        // SAFETY: four times 16 bytes are read from an array of 64; NEON is there, as above.
        unsafe { [vld1q_s32(from), vld1q_s32(from.add(4)), vld1q_s32(from.add(8)), vld1q_s32(from.add(12))] }
    }
    #[inline(always)]
    fn store_wide(values: Wide, row: &mut WideRow) {
        let to = row.as_mut_ptr();
        // SAFETY: four times 16 bytes are written to an array of 64; NEON is there, as above.
        unsafe {
            vst1q_s32(to, values[0]);
            vst1q_s32(to.add(4), values[1]);
            vst1q_s32(to.add(8), values[2]);
            vst1q_s32(to.add(12), values[3]);
        }
    }
    #[inline(always)]
    fn shift_left<const BITS: u32>(a: Narrow) -> Narrow {
        // SAFETY: NEON is there, as above.
        unsafe { halves!(@ vshlq_s16(a, vdupq_n_s16(BITS as i16)), a) }
    }
    #[inline(always)]
    fn shift_right<const BITS: u32>(a: Narrow) -> Narrow {
        // SAFETY: NEON is there, as above. Shifts by less than nothing go to the right.
        unsafe { halves!(@ vshlq_s16(a, vdupq_n_s16(-(BITS as i16))), a) }
    }
    #[inline(always)]
    fn shift_wide_right<const BITS: u32>(a: Wide) -> Wide {
        // SAFETY: NEON is there, as above.
        unsafe { quarters!(@ vshlq_s32(a, vdupq_n_s32(-(BITS as i32))), a) }
    }
    #[inline(always)]
    fn look_up_flags(index: Wide, table: &[u16; BUCKETS]) -> Wide {
        let mut found = [0; 16];
        Self::store_wide(index, &mut found);
        for found in &mut found {
            *found = table[(*found as u32 as usize).min(BUCKETS - 1)].into();
        }
        Self::load_wide(&found)
    }
    #[inline(always)]
    fn gather(data: &[i16], offsets: Wide) -> Wide {
        let Some(last) = data.len().checked_sub(2).and_then(|last| u32::try_from(last).ok()) else {
            return Self::splat_wide(0);
        };
        let mut found = [0; 16];
        // SAFETY: NEON is there, as above.
        Self::store_wide(unsafe { at_most(offsets, last) }, &mut found);
        for found in &mut found {
            // SAFETY: no offset is beyond the last pair, and none negative, since they are compared without signs.
            *found = unsafe { data.as_ptr().add(*found as u32 as usize).cast::<i32>().read_unaligned() };
        }
        Self::load_wide(&found)
    }
    #[inline(always)]
    fn find(tables: &[Marked], index: Wide, states: Wide) -> Wide {
        let Some(last) = tables.len().checked_sub(2) else { return Self::splat_wide(0) };
        let (mut found, mut places) = ([0; 16], [0; 16]);
        // SAFETY: NEON is there, as above.
        Self::store_wide(unsafe { at_most(index, last as u32) }, &mut found);
        // Each slot where it was shifted to, behind all marks of its start, less 2^15.
        let shifted = Self::shift_bits_left(states, Self::splat_wide(2));
        Self::store_wide(Self::add_wide(shifted, Self::splat_wide(3 + (1 << 15))), &mut places);
        for (found, place) in found.iter_mut().zip(places) {
            // SAFETY: behind the table of any index is another one, since they are compared without signs.
            *found = unsafe { pair(tables.as_ptr().add(*found as u32 as usize), place as i16) };
        }
        Self::load_wide(&found)
    }
    #[inline(always)]
    fn refill(states: Wide, mask: Mask, words: &[[u8; 2]; 16]) -> (Wide, usize) {
        // SAFETY: NEON is there, as above.
        unsafe {
            let below = quarters!(@ vcltq_u32(vreinterpretq_u32_s32(states), vdupq_n_u32(LOW)), states);
            let low = mask_of(below) & mask;
            let taken = |fours: u32| (low & ((1 << (4 * fours)) - 1)).count_ones() as usize;
            let full = [
                take(states[0], low, words, 0),
                take(states[1], low >> 4, words, taken(1)),
                take(states[2], low >> 8, words, taken(2)),
                take(states[3], low >> 12, words, taken(3)),
            ];
            (Self::select_wide(low, full, states), low.count_ones() as usize)
        }
    }
    #[inline(always)]
    fn turn_over(values: &[Row; 64], out: &mut [[i16; 64]; 16]) {
        // SAFETY: NEON is there, as above.
        unsafe { turn_over(values, out) }
    }
}

/// As [`Vectors::turn_over`].
#[inline]
#[target_feature(enable = "neon")]
fn turn_over(values: &[Row; 64], out: &mut [[i16; 64]; 16]) {
    for (group, rows) in values.as_chunks::<8>().0.iter().enumerate() {
        for half in 0..2 {
            let mut eight = [vdupq_n_s16(0); 8];
            for (eight, row) in eight.iter_mut().zip(rows) {
                *eight = InQuarters::load(row)[half];
            }
            for (l, values) in machine_neon::transposed(eight).into_iter().enumerate() {
                machine_neon::store(values, &mut out[8 * half + l].as_chunks_mut().0[group]);
            }
        }
    }
}
