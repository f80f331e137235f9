//! Coefficients to samples with AVX2: two blocks at a time, one in each half of the registers, in 16-bit lanes.
//!
//! [`dct::inverse_row`] says what the samples are. Its products with constants add up the same way here, modulo 2^32; only
//! what is multiplied has 16 bits here and 32 there. The few blocks that could need more are left to it.
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;

use super::dct::{self, NATURAL};

/// The most that a block's coefficients times their steps may come to in magnitude, added up: what the first dimension
/// makes of a column is less than 2^15 then, since no constant is beyond 11363.
const MOST: i32 = 5900;
const _: () = assert!((MOST * 11363 + (1 << 10)) >> 11 < 1 << 15);
/// The largest step with which such a sum has 32 bits for any coefficients.
const MAX_STEP: u16 = 1023;
const _: () = assert!(64 * 32767 * (MAX_STEP as i64) < 1 << 31);

/// One register for each place in a row or column of two blocks.
type Eight = [__m256i; 8];

/// Quantiser steps, as they are and for two blocks. Lies in memory and is aligned, and with it the stack, on which
/// registers have to wait: where that lies badly the transform takes half as long again.
struct Steps {
    plain: [u16; 64],
    both: Eight,
}

// Loops rather than `map` and `from_fn`, which do not know what their closures need.

/// As [`dct::inverse_row`].
#[target_feature(enable = "avx2")]
pub(super) fn inverse_row(blocks: &[[i16; 64]], steps: &[u16; 64], lines: &mut [u8]) {
    let width = 8 * blocks.len();
    let mut steps = Steps { plain: *steps, both: [_mm256_setzero_si256(); 8] };
    for (both, eight) in steps.both.iter_mut().zip(steps.plain.as_chunks::<8>().0) {
        *both = _mm256_broadcastsi128_si256(load(&eight.map(u16::cast_signed)));
    }
    let (pairs, others) = match steps.plain.iter().all(|&step| step <= MAX_STEP) {
        true => blocks.as_chunks::<2>(),
        false => (&[][..], blocks),
    };
    for (i, [a, b]) in pairs.iter().enumerate() {
        let blocks = two(a, b);
        let rows = match has_ac(&blocks) {
            false => Some([flat([a[0], b[0]], steps.plain[0]); 8]),
            true => inverse_pair(&blocks, &steps.both),
        };
        if let Some(rows) = rows {
            for (line, row) in lines.chunks_exact_mut(width).zip(rows) {
                if let Some(to) = line[16 * i..].first_chunk_mut() {
                    store(to, row);
                }
            }
        } else {
            plainly(a, &steps, lines, width, 2 * i);
            plainly(b, &steps, lines, width, 2 * i + 1);
        }
    }
    for (i, block) in others.iter().enumerate() {
        plainly(block, &steps, lines, width, 2 * pairs.len() + i);
    }
}

/// What is left to the plain transform.
#[inline(never)]
#[target_feature(enable = "avx2")]
fn plainly(block: &[i16; 64], steps: &Steps, lines: &mut [u8], width: usize, column: usize) {
    dct::inverse_into(block, &steps.plain, lines, width, column);
}

/// Two blocks, eight coefficients of each in a register.
#[inline]
#[target_feature(enable = "avx2")]
fn two(a: &[i16; 64], b: &[i16; 64]) -> Eight {
    let mut both = [_mm256_setzero_si256(); 8];
    for (both, (a, b)) in both.iter_mut().zip(a.as_chunks().0.iter().zip(b.as_chunks().0)) {
        *both = _mm256_set_m128i(load(b), load(a));
    }
    both
}

#[inline]
#[target_feature(enable = "avx2")]
fn has_ac(blocks: &Eight) -> bool {
    let all_but_dc = _mm256_broadcastsi128_si256(_mm_set_epi32(-1, -1, -1, -1 << 16));
    let first = _mm256_and_si256(blocks[0], all_but_dc);
    let mut any = first;
    for next in &blocks[1..] {
        any = _mm256_or_si256(any, *next);
    }
    _mm256_testz_si256(any, any) == 0
}

/// A line of two blocks that have nothing but a DC coefficient.
#[inline]
#[target_feature(enable = "avx2")]
fn flat(dc: [i16; 2], step: u16) -> __m128i {
    let [a, b] = dc.map(|dc| i64::from_le_bytes([dct::flat(dc, step); 8]));
    _mm_set_epi64x(b, a)
}

/// Eight lines of samples of two blocks side by side; `None` if 16 bits might not do.
#[inline]
#[target_feature(enable = "avx2")]
fn inverse_pair(quantised: &Eight, steps: &Eight) -> Option<[__m128i; 8]> {
    let mut sums = _mm256_setzero_si256();
    for (&value, &step) in quantised.iter().zip(steps) {
        // Saturated, so that -2^15 counts too.
        let magnitude = _mm256_max_epi16(value, _mm256_subs_epi16(_mm256_setzero_si256(), value));
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(magnitude, step));
    }
    sums = _mm256_add_epi32(sums, _mm256_shuffle_epi32::<0b10_11_00_01>(sums));
    sums = _mm256_add_epi32(sums, _mm256_shuffle_epi32::<0b01_00_11_10>(sums));
    if _mm256_movemask_epi8(_mm256_cmpgt_epi32(sums, _mm256_set1_epi32(MOST))) != 0 {
        return None;
    }
    let mut zigzag = *quantised;
    for (value, &step) in zigzag.iter_mut().zip(steps) {
        *value = _mm256_mullo_epi16(*value, step);
    }
    let columns = one_dimension::<11>(&natural(&zigzag));
    Some(transposed_bytes(&one_dimension::<18>(&transposed(&columns))))
}

/// Which bytes of the eight coefficients at `8 * i` in zigzag order go where in a row: `ROWS[row][i]`, for both halves.
static ROWS: [[[u8; 32]; 8]; 8] = {
    let mut rows = [[[0x80; 32]; 8]; 8];
    let mut k = 0;
    while k < 64 {
        let (row, column) = (NATURAL[k] as usize >> 3, NATURAL[k] as usize & 7);
        let mut byte = 0;
        while byte < 32 {
            // Even and odd bytes of both halves.
            if byte % 16 / 2 == column {
                rows[row][k / 8][byte] = (2 * (k % 8) + byte % 2) as u8;
            }
            byte += 1;
        }
        k += 1;
    }
    rows
};

/// Rows of coefficients from zigzag order. Of which eight each row has some is to be seen in [`NATURAL`]; the tests
/// would find one that is missing.
#[inline]
#[target_feature(enable = "avx2")]
fn natural(zigzag: &Eight) -> Eight {
    [
        row(0, zigzag, [0, 1, 3]),
        row(1, zigzag, [0, 1, 2, 3, 5]),
        row(2, zigzag, [0, 1, 2, 3, 5]),
        row(3, zigzag, [1, 2, 3, 5, 6]),
        row(4, zigzag, [1, 2, 4, 5, 6]),
        row(5, zigzag, [2, 4, 5, 6, 7]),
        row(6, zigzag, [2, 4, 5, 6, 7]),
        row(7, zigzag, [4, 6, 7]),
    ]
}

#[inline]
#[target_feature(enable = "avx2")]
fn row<const N: usize>(row: usize, zigzag: &Eight, from: [usize; N]) -> __m256i {
    let mut all = _mm256_setzero_si256();
    for i in from {
        all = _mm256_or_si256(all, _mm256_shuffle_epi8(zigzag[i], load_all(&ROWS[row][i])));
    }
    all
}

/// `dct::inverse_1d` on the lanes of eight registers.
#[inline]
#[target_feature(enable = "avx2")]
fn one_dimension<const SHIFT: i32>(x: &Eight) -> Eight {
    let low = half_of_lanes::<SHIFT>([
        _mm256_unpacklo_epi16(x[0], x[4]),
        _mm256_unpacklo_epi16(x[2], x[6]),
        _mm256_unpacklo_epi16(x[1], x[3]),
        _mm256_unpacklo_epi16(x[5], x[7]),
    ]);
    let high = half_of_lanes::<SHIFT>([
        _mm256_unpackhi_epi16(x[0], x[4]),
        _mm256_unpackhi_epi16(x[2], x[6]),
        _mm256_unpackhi_epi16(x[1], x[3]),
        _mm256_unpackhi_epi16(x[5], x[7]),
    ]);
    let mut out = low;
    for (out, high) in out.iter_mut().zip(high) {
        *out = _mm256_packs_epi32(*out, high);
    }
    out
}

/// The same from pairs of places: 0 and 4, 2 and 6, 1 and 3, 5 and 7. The constants are those of `dct::inverse_1d`, as
/// they add up for each place.
#[inline]
#[target_feature(enable = "avx2")]
fn half_of_lanes<const SHIFT: i32>([p04, p26, p13, p57]: [__m256i; 4]) -> Eight {
    let round = _mm256_set1_epi32(1 << (SHIFT - 1));
    let t0 = _mm256_add_epi32(times(p04, 8192, 8192), round);
    let t1 = _mm256_add_epi32(times(p04, 8192, -8192), round);
    let t2 = times(p26, 4433, -10704);
    let t3 = times(p26, 10703, 4433);
    let even = [
        _mm256_add_epi32(t0, t3),
        _mm256_add_epi32(t1, t2),
        _mm256_sub_epi32(t1, t2),
        _mm256_sub_epi32(t0, t3),
    ];
    let odd = [
        _mm256_add_epi32(times(p13, 11363, 9633), times(p57, 6437, 2260)),
        _mm256_add_epi32(times(p13, 9633, -2259), times(p57, -11362, -6436)),
        _mm256_add_epi32(times(p13, 6437, -11362), times(p57, 2261, 9633)),
        _mm256_add_epi32(times(p13, 2260, -6436), times(p57, 9633, -11363)),
    ];
    let mut out = [_mm256_setzero_si256(); 8];
    // In this order: the compiler then keeps more in registers, which is a third of the time.
    for i in 0..8 {
        let value = match i {
            0..4 => _mm256_add_epi32(even[i], odd[i]),
            _ => _mm256_sub_epi32(even[7 - i], odd[7 - i]),
        };
        out[i] = _mm256_srai_epi32::<SHIFT>(value);
    }
    out
}

/// Sums of two constants times two values side by side.
#[inline]
#[target_feature(enable = "avx2")]
fn times(pair: __m256i, a: i16, b: i16) -> __m256i {
    _mm256_madd_epi16(pair, _mm256_set1_epi32(i32::from(a as u16) | i32::from(b) << 16))
}

/// Rows for columns, in each half.
#[inline]
#[target_feature(enable = "avx2")]
fn transposed(x: &Eight) -> Eight {
    let (mut a, mut b) = ([_mm256_setzero_si256(); 4], [_mm256_setzero_si256(); 4]);
    for i in 0..4 {
        a[i] = _mm256_unpacklo_epi16(x[i], x[i + 4]);
        b[i] = _mm256_unpackhi_epi16(x[i], x[i + 4]);
    }
    let (c02, d02) = (_mm256_unpacklo_epi16(a[0], a[2]), _mm256_unpackhi_epi16(a[0], a[2]));
    let (c13, d13) = (_mm256_unpacklo_epi16(a[1], a[3]), _mm256_unpackhi_epi16(a[1], a[3]));
    let (e02, f02) = (_mm256_unpacklo_epi16(b[0], b[2]), _mm256_unpackhi_epi16(b[0], b[2]));
    let (e13, f13) = (_mm256_unpacklo_epi16(b[1], b[3]), _mm256_unpackhi_epi16(b[1], b[3]));
    [
        _mm256_unpacklo_epi16(c02, c13),
        _mm256_unpackhi_epi16(c02, c13),
        _mm256_unpacklo_epi16(d02, d13),
        _mm256_unpackhi_epi16(d02, d13),
        _mm256_unpacklo_epi16(e02, e13),
        _mm256_unpackhi_epi16(e02, e13),
        _mm256_unpacklo_epi16(f02, f13),
        _mm256_unpackhi_epi16(f02, f13),
    ]
}

/// Columns of values around 0 as lines of samples.
#[inline]
#[target_feature(enable = "avx2")]
fn transposed_bytes(columns: &Eight) -> [__m128i; 8] {
    let mut bytes = [_mm256_setzero_si256(); 4];
    for i in 0..4 {
        let around_0 = _mm256_packs_epi16(columns[i], columns[i + 4]);
        bytes[i] = _mm256_xor_si256(around_0, _mm256_set1_epi8(-128));
    }
    let (a, b) = (_mm256_unpacklo_epi8(bytes[0], bytes[1]), _mm256_unpacklo_epi8(bytes[2], bytes[3]));
    let (c, d) = (_mm256_unpackhi_epi8(bytes[0], bytes[1]), _mm256_unpackhi_epi8(bytes[2], bytes[3]));
    let (a, b) = (_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b));
    let (c, d) = (_mm256_unpacklo_epi16(c, d), _mm256_unpackhi_epi16(c, d));
    // Two lines of each block.
    let pairs = [
        _mm256_unpacklo_epi32(a, c),
        _mm256_unpackhi_epi32(a, c),
        _mm256_unpacklo_epi32(b, d),
        _mm256_unpackhi_epi32(b, d),
    ];
    let mut lines = [_mm_setzero_si128(); 8];
    for i in 0..4 {
        // The blocks' parts of a line come together.
        let pair = _mm256_permute4x64_epi64::<0b11_01_10_00>(pairs[i]);
        lines[2 * i] = _mm256_castsi256_si128(pair);
        lines[2 * i + 1] = _mm256_extracti128_si256::<1>(pair);
    }
    lines
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(from: &[i16; 8]) -> __m128i {
    // SAFETY: 16 bytes are read from an array of 16.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_all(from: &[u8; 32]) -> __m256i {
    // SAFETY: 32 bytes are read from an array of 32.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(to: &mut [u8; 16], value: __m128i) {
    // SAFETY: 16 bytes are written to an array of 16.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(blocks: &[[i16; 64]], steps: &[u16; 64]) {
        if !is_x86_feature_detected!("avx2") {
            return;
        }
        let (mut expected, mut lines) = (vec![1; 64 * blocks.len()], vec![2; 64 * blocks.len()]);
        dct::inverse_row(blocks, steps, &mut expected);
        // SAFETY: AVX2 was detected.
        unsafe { inverse_row(blocks, steps, &mut lines) };
        assert!(lines == expected, "{blocks:?} {steps:?}");
    }

    /// All of the sum that is allowed, and a bit more, where it weighs most: in one column or one place, either sign.
    #[test]
    fn the_largest_sums() {
        for k in 0..64 {
            let column = |i: usize| NATURAL[i] & 7 == NATURAL[k] & 7;
            for signs in 0..256 {
                for sum in [MOST - 9, MOST - 1, MOST, MOST + 1] {
                    let (mut one, mut all) = ([0; 64], [0; 64]);
                    one[k] = if signs % 2 == 0 { sum as i16 } else { -sum as i16 };
                    for i in (0..64).filter(|&i| column(i)) {
                        let part = (sum / 8) as i16;
                        all[i] = if signs >> (NATURAL[i] >> 3) & 1 == 0 { part } else { -part };
                    }
                    check(&[one, all, all], &[1; 64]);
                }
            }
        }
    }
}
