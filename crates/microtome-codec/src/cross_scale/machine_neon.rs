//! The steps of a [`Machine`] for NEON: those that compilers do not see in the plain ones.
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::aarch64::*;

use super::ahead::{PADDED, Piece, Sixteen};
use super::expect::Magnitudes;
use super::model::BLOCK_FEATURES;
use super::rans::{Machine, Pairs, SCALE, SYMBOLS, Sums, Table};

/// The steps by hand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Neon;

impl Machine for Neon {
    #[inline(always)]
    fn find(table: &Table, slot: u16) -> usize {
        // SAFETY: NEON is part of AArch64 as Rust's targets know it.
        unsafe { find(table, slot) }
    }

    #[inline(always)]
    fn multiply_add(sums: Sums, [a, b]: [i16; 2], weights: &Pairs) -> Sums {
        // SAFETY: as above.
        unsafe { stored(products(loaded(&sums), both(weights), [vdupq_n_s16(a), vdupq_n_s16(b)])) }
    }

    #[inline(always)]
    fn multiply_add_picked(sums: Sums, pairs: &Pairs, index: &[u32; 8], weights: &Pairs) -> Sums {
        // SAFETY: as above.
        unsafe {
            let [front, back] = both(weights);
            let weights = [vuzp1q_s16(front, back), vuzp2q_s16(front, back)];
            stored(products(loaded(&sums), picked(pairs, index), weights))
        }
    }

    #[inline(always)]
    fn piece(
        sixteenths: &Sixteen,
        sums: &[Sums; 2],
        reciprocals: &[i32; 16],
        first: &[u16; 16],
        fractions: &[u8; 32],
    ) -> Piece {
        // SAFETY: as above.
        unsafe { piece(sixteenths, sums, reciprocals, first, fractions) }
    }

    #[inline(always)]
    fn features(
        left: &Magnitudes,
        above: &Magnitudes,
        predicted: &[i16; PADDED],
    ) -> (Magnitudes, [i16; BLOCK_FEATURES]) {
        // SAFETY: as above.
        unsafe { features(left, above, predicted) }
    }

    #[inline(always)]
    fn inverse_row(blocks: &[[i16; 64]], steps: &[u16; 64], lines: &mut [u8]) {
        // SAFETY: as above.
        unsafe { super::inverse_neon::inverse_row(blocks, steps, lines) }
    }
}

/// As [`Machine::find`].
#[inline]
#[target_feature(enable = "neon")]
fn find(table: &Table, slot: u16) -> usize {
    let (starts, _) = table.starts().as_chunks();
    let slot = vdupq_n_u16(slot & (SCALE - 1));
    // -1 for each start up to the slot, of which the first always is one.
    let (front, back) =
        (vcgeq_u16(slot, load_unsigned(&starts[0])), vcgeq_u16(slot, load_unsigned(&starts[1])));
    let count = vaddvq_s16(vreinterpretq_s16_u16(vaddq_u16(front, back)));
    !i32::from(count) as usize & (SYMBOLS - 1)
}

/// The pairs that indices name.
#[inline]
#[target_feature(enable = "neon")]
fn picked(pairs: &Pairs, index: &[u32; 8]) -> [int16x8_t; 2] {
    let [front, back] = both(pairs);
    let pairs = uint8x16x2_t(vreinterpretq_u8_s16(front), vreinterpretq_u8_s16(back));
    // SAFETY: twice 16 bytes are read from an array of 32.
    let index = unsafe { [vld1q_u32(index.as_ptr()), vld1q_u32(index.as_ptr().add(4))] };
    let mut picked = [front; 2];
    for (picked, index) in picked.iter_mut().zip(index) {
        // The four bytes of a pair.
        let bytes = vmlaq_n_u32(vdupq_n_u32(0x0302_0100), vandq_u32(index, vdupq_n_u32(7)), 0x0404_0404);
        *picked = vreinterpretq_s16_u8(vqtbl2q_u8(pairs, vreinterpretq_u8_u32(bytes)));
    }
    picked
}

/// As [`Piece::new`].
#[inline]
#[target_feature(enable = "neon")]
fn piece(
    sixteenths: &Sixteen,
    sums: &[Sums; 2],
    reciprocals: &[i32; 16],
    first: &[u16; 16],
    fractions: &[u8; 32],
) -> Piece {
    let (mut piece, mut fraction) = (Piece::NONE, [vdupq_n_s16(0); 2]);
    for half in 0..2 {
        let [low, high] = loaded(&sums[half]);
        let sum = vqshrn_high_n_s32::<12>(vqshrn_n_s32::<12>(low), high);
        let sixteenths = vqaddq_s16(load(&sixteenths.as_chunks().0[half]), sum);
        let [front, back] = loaded(&reciprocals.as_chunks().0[half]);
        let round = vdupq_n_s32(1 << 14);
        let low = vmlaq_s32(round, vmovl_s16(vget_low_s16(sixteenths)), front);
        let high = vmlaq_s32(round, vmovl_high_s16(sixteenths), back);
        let steps = vqshrn_high_n_s32::<15>(vqshrn_n_s32::<15>(low), high);
        let steps = vmaxq_s16(steps, vdupq_n_s16(-32767));
        let (sign, size) = (vshrq_n_s16::<15>(steps), vabsq_s16(steps));
        let known = vsubq_s16(veorq_s16(vshrq_n_s16::<5>(size), sign), sign);
        fraction[half] = vandq_s16(size, vdupq_n_s16(31));
        store(sixteenths, &mut piece.sixteenths.as_chunks_mut().0[half]);
        store(steps, &mut piece.steps.as_chunks_mut().0[half]);
        store(known, &mut piece.known.as_chunks_mut().0[half]);
    }
    let (first, _) = first.as_chunks();
    let (tables, _) = piece.tables.as_chunks_mut::<8>();
    for ((tables, first), class) in tables.iter_mut().zip(first).zip(look_up(fraction, fractions)) {
        let sums = vaddq_u16(load_unsigned(first), vreinterpretq_u16_s16(class));
        // SAFETY: 16 bytes are written to an array of 16.
        unsafe { vst1q_u16(tables.as_mut_ptr(), sums) };
    }
    piece
}

/// As [`super::expect::features`].
#[inline]
#[target_feature(enable = "neon")]
fn features(
    left: &Magnitudes,
    above: &Magnitudes,
    predicted: &[i16; PADDED],
) -> (Magnitudes, [i16; BLOCK_FEATURES]) {
    let (mut near, mut sums) = ([0; 64], vdupq_n_u8(0));
    let sides = left.as_chunks::<16>().0.iter().zip(above.as_chunks::<16>().0);
    for (near, (left, above)) in near.as_chunks_mut::<16>().0.iter_mut().zip(sides) {
        // SAFETY: 16 bytes are read from arrays of 16, and written to one.
        unsafe {
            let both = vaddq_u8(vld1q_u8(left.as_ptr()), vld1q_u8(above.as_ptr()));
            vst1q_u8(near.as_mut_ptr(), both);
            // Four times twice `expect::MOST` fit.
            sums = vaddq_u8(sums, both);
        }
    }
    let mut block = [(vaddlvq_u8(sums).min(255) << 7) as i16, 0, 0, 0];
    for (feature, eight) in block[1..].iter_mut().zip(predicted.as_chunks().0) {
        let sizes = vminq_s16(vabsq_s16(load(eight)), vdupq_n_s16(1023));
        *feature = vaddvq_s16(vshrq_n_s16::<2>(sizes)).min(1023) << 5;
    }
    (near, block)
}

/// Adds to each sum a pair's products with weights, both of which are given apart, modulo 2^32.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn products(
    sums: [int32x4_t; 2],
    [low, high]: [int16x8_t; 2],
    weights: [int16x8_t; 2],
) -> [int32x4_t; 2] {
    let (first, second) = (vuzp1q_s16(low, high), vuzp2q_s16(low, high));
    let front = vmlal_s16(sums[0], vget_low_s16(first), vget_low_s16(weights[0]));
    let back = vmlal_high_s16(sums[1], first, weights[0]);
    [
        vmlal_s16(front, vget_low_s16(second), vget_low_s16(weights[1])),
        vmlal_high_s16(back, second, weights[1]),
    ]
}

/// The bytes of a table at sixteen indices below 32.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn look_up(index: [int16x8_t; 2], table: &[u8; 32]) -> [int16x8_t; 2] {
    // SAFETY: twice 16 bytes are read from an array of 32.
    let table = unsafe { uint8x16x2_t(vld1q_u8(table.as_ptr()), vld1q_u8(table.as_ptr().add(16))) };
    let index = vuzp1q_u8(vreinterpretq_u8_s16(index[0]), vreinterpretq_u8_s16(index[1]));
    let found = vqtbl2q_u8(table, index);
    [vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(found))), vreinterpretq_s16_u16(vmovl_high_u8(found))]
}

/// Rows as columns.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn transposed(rows: [int16x8_t; 8]) -> [int16x8_t; 8] {
    // Neighbours in pairs, fours, eights.
    let [mut two, mut four, mut eight] = [rows; 3];
    for i in [0, 2, 4, 6] {
        let (a, b) = (rows[i], rows[i + 1]);
        (two[i], two[i + 1]) = (vtrn1q_s16(a, b), vtrn2q_s16(a, b));
    }
    for i in [0, 1, 4, 5] {
        let (a, b) = (vreinterpretq_s32_s16(two[i]), vreinterpretq_s32_s16(two[i + 2]));
        four[i] = vreinterpretq_s16_s32(vtrn1q_s32(a, b));
        four[i + 2] = vreinterpretq_s16_s32(vtrn2q_s32(a, b));
    }
    for i in 0..4 {
        let (a, b) = (vreinterpretq_s64_s16(four[i]), vreinterpretq_s64_s16(four[i + 4]));
        eight[i] = vreinterpretq_s16_s64(vtrn1q_s64(a, b));
        eight[i + 4] = vreinterpretq_s16_s64(vtrn2q_s64(a, b));
    }
    eight
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn load(values: &[i16; 8]) -> int16x8_t {
    // SAFETY: 16 bytes are read from an array of 16.
    unsafe { vld1q_s16(values.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn load_unsigned(values: &[u16; 8]) -> uint16x8_t {
    // SAFETY: 16 bytes are read from an array of 16.
    unsafe { vld1q_u16(values.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn load_bytes(values: &[u8; 16]) -> uint8x16_t {
    // SAFETY: 16 bytes are read from an array of 16.
    unsafe { vld1q_u8(values.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn store(values: int16x8_t, to: &mut [i16; 8]) {
    // SAFETY: 16 bytes are written to an array of 16.
    unsafe { vst1q_s16(to.as_mut_ptr(), values) };
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn store_bytes(values: uint8x8_t, to: &mut [u8; 8]) {
    // SAFETY: 8 bytes are written to an array of 8.
    unsafe { vst1_u8(to.as_mut_ptr(), values) };
}

/// Pairs in two vectors.
#[inline]
#[target_feature(enable = "neon")]
fn both(pairs: &Pairs) -> [int16x8_t; 2] {
    let (halves, _) = pairs.as_flattened().as_chunks();
    [load(&halves[0]), load(&halves[1])]
}

/// Sums in two vectors.
#[inline]
#[target_feature(enable = "neon")]
fn loaded(sums: &Sums) -> [int32x4_t; 2] {
    // SAFETY: twice 16 bytes are read from an array of 32.
    unsafe { [vld1q_s32(sums.as_ptr()), vld1q_s32(sums.as_ptr().add(4))] }
}

#[inline]
#[target_feature(enable = "neon")]
fn stored(sums: [int32x4_t; 2]) -> Sums {
    let mut out = [0; 8];
    // SAFETY: twice 16 bytes are written to an array of 32.
    unsafe {
        vst1q_s32(out.as_mut_ptr(), sums[0]);
        vst1q_s32(out.as_mut_ptr().add(4), sums[1]);
    }
    out
}
