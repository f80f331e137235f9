//! Coefficients to samples with NEON: four columns, or four rows, of a block at a time.
//!
//! [`dct::inverse_row`] says what the samples are. Numbers have 32 bits here as there.
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::aarch64::*;

use super::dct::{self, NATURAL};
use super::machine_neon::{load, store_bytes};

/// For each row, where in a half of a block's 128 bytes in zigzag order its coefficients lie: in the lower half, and in the
/// upper one. 0xFF, beyond the end of either, for those that lie in the other half.
static ROWS: [[[u8; 16]; 8]; 2] = {
    let mut rows = [[[0xFF; 16]; 8]; 2];
    let mut k = 0;
    while k < 64 {
        let (row, column) = (NATURAL[k] as usize / 8, NATURAL[k] as usize % 8);
        rows[k / 32][row][2 * column] = (2 * k % 64) as u8;
        rows[k / 32][row][2 * column + 1] = (2 * k % 64) as u8 + 1;
        k += 1;
    }
    rows
};

/// A vector for each place in a column, or in a row.
type Eight = [int32x4_t; 8];

/// As [`dct::inverse_row`].
#[target_feature(enable = "neon")]
pub(super) fn inverse_row(blocks: &[[i16; 64]], steps: &[u16; 64], lines: &mut [u8]) {
    let width = 8 * blocks.len();
    let mut natural = [0; 64];
    for (&step, &at) in steps.iter().zip(&NATURAL) {
        natural[usize::from(at)] = step.into();
    }
    for (column, block) in blocks.iter().enumerate() {
        let mut rows = [vdup_n_u8(dct::flat(block[0], steps[0])); 8];
        if has_ac(block) {
            rows = inverse(block, &natural);
        }
        for (line, row) in lines.chunks_exact_mut(width).zip(rows) {
            if let Some(to) = line[8 * column..].first_chunk_mut() {
                store_bytes(row, to);
            }
        }
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn has_ac(block: &[i16; 64]) -> bool {
    let (eights, _) = block.as_chunks();
    let mut any = vsetq_lane_s16::<0>(0, load(&eights[0]));
    for eight in &eights[1..] {
        any = vorrq_s16(any, load(eight));
    }
    vmaxvq_u16(vreinterpretq_u16_s16(any)) != 0
}

/// Lines of a block.
#[inline]
#[target_feature(enable = "neon")]
fn inverse(block: &[i16; 64], steps: &[i32; 64]) -> [uint8x8_t; 8] {
    let [left, right] = scaled(block, steps);
    let [left, right] = [inverse_1d::<11>(left), inverse_1d::<11>(right)];
    let mut lines = [vdup_n_u8(0); 8];
    for half in 0..2 {
        let columns = joined(turned(&left, half), turned(&right, half));
        let columns = inverse_1d::<18>(columns);
        let (front, back) = (turned(&columns, 0), turned(&columns, 1));
        for i in 0..4 {
            // 14 bits are left, so that 16 hold them and 128 more.
            let both = vmovn_high_s32(vmovn_s32(front[i]), back[i]);
            lines[4 * half + i] = vqmovun_s16(vaddq_s16(both, vdupq_n_s16(128)));
        }
    }
    lines
}

/// Coefficients times steps: the four columns on the left, and those on the right.
#[inline]
#[target_feature(enable = "neon")]
fn scaled(block: &[i16; 64], steps: &[i32; 64]) -> [Eight; 2] {
    let bytes = |from: usize| {
        let bytes = block.as_ptr().cast::<u8>();
        // SAFETY: four times 16 bytes are read from either half of an array of 128.
        unsafe {
            uint8x16x4_t(
                vld1q_u8(bytes.add(from)),
                vld1q_u8(bytes.add(from + 16)),
                vld1q_u8(bytes.add(from + 32)),
                vld1q_u8(bytes.add(from + 48)),
            )
        }
    };
    let (lower, upper) = (bytes(0), bytes(64));
    let mut scaled = [[vdupq_n_s32(0); 8]; 2];
    for row in 0..8 {
        // SAFETY: 16 bytes are read from arrays of 16, and twice 16 from eight numbers of 32 bits.
        let (places, left, right) = unsafe {
            let steps = steps.as_ptr().add(8 * row);
            (
                [vld1q_u8(ROWS[0][row].as_ptr()), vld1q_u8(ROWS[1][row].as_ptr())],
                vld1q_s32(steps),
                vld1q_s32(steps.add(4)),
            )
        };
        let values = vreinterpretq_s16_u8(vqtbx4q_u8(vqtbl4q_u8(lower, places[0]), upper, places[1]));
        scaled[0][row] = vmulq_s32(vmovl_s16(vget_low_s16(values)), left);
        scaled[1][row] = vmulq_s32(vmovl_high_s16(values), right);
    }
    scaled
}

#[inline]
#[target_feature(enable = "neon")]
fn joined([a, b, c, d]: [int32x4_t; 4], [e, f, g, h]: [int32x4_t; 4]) -> Eight {
    [a, b, c, d, e, f, g, h]
}

/// The first four vectors, or the last, as columns.
#[inline]
#[target_feature(enable = "neon")]
fn turned(rows: &Eight, half: usize) -> [int32x4_t; 4] {
    let [a, b, c, d] = [rows[4 * half], rows[4 * half + 1], rows[4 * half + 2], rows[4 * half + 3]];
    let front = [vtrn1q_s32(a, b), vtrn2q_s32(a, b)];
    let back = [vtrn1q_s32(c, d), vtrn2q_s32(c, d)];
    let [mut low, mut high] = [front; 2];
    for i in 0..2 {
        let (a, b) = (vreinterpretq_s64_s32(front[i]), vreinterpretq_s64_s32(back[i]));
        low[i] = vreinterpretq_s32_s64(vtrn1q_s64(a, b));
        high[i] = vreinterpretq_s32_s64(vtrn2q_s64(a, b));
    }
    [low[0], low[1], high[0], high[1]]
}

/// As in `dct`: one dimension of the transform, and the final descaling by so many bits.
#[inline]
#[target_feature(enable = "neon")]
fn inverse_1d<const BITS: i32>(x: Eight) -> Eight {
    // Even part.
    let z1 = vmulq_n_s32(vaddq_s32(x[2], x[6]), 4433);
    let t2 = vmlaq_n_s32(z1, x[6], -15137);
    let t3 = vmlaq_n_s32(z1, x[2], 6270);
    let t0 = vshlq_n_s32::<13>(vaddq_s32(x[0], x[4]));
    let t1 = vshlq_n_s32::<13>(vsubq_s32(x[0], x[4]));
    let even = [vaddq_s32(t0, t3), vaddq_s32(t1, t2), vsubq_s32(t1, t2), vsubq_s32(t0, t3)];
    // Odd part.
    let (z1, z2) = (vaddq_s32(x[7], x[1]), vaddq_s32(x[5], x[3]));
    let (z3, z4) = (vaddq_s32(x[7], x[3]), vaddq_s32(x[5], x[1]));
    let z5 = vmulq_n_s32(vaddq_s32(z3, z4), 9633);
    let (z1, z2) = (vmulq_n_s32(z1, -7373), vmulq_n_s32(z2, -20995));
    let (z3, z4) = (vmlaq_n_s32(z5, z3, -16069), vmlaq_n_s32(z5, z4, -3196));
    let odd = [
        vmlaq_n_s32(vaddq_s32(z1, z4), x[1], 12299),
        vmlaq_n_s32(vaddq_s32(z2, z3), x[3], 25172),
        vmlaq_n_s32(vaddq_s32(z2, z4), x[5], 16819),
        vmlaq_n_s32(vaddq_s32(z1, z3), x[7], 2446),
    ];
    let round = vdupq_n_s32(1 << (BITS - 1));
    let mut out = x;
    for i in 0..4 {
        let rounded = vaddq_s32(even[i], round);
        out[i] = vshrq_n_s32::<BITS>(vaddq_s32(rounded, odd[i]));
        out[7 - i] = vshrq_n_s32::<BITS>(vsubq_s32(rounded, odd[i]));
    }
    out
}
