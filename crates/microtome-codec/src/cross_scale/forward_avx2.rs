//! Samples to coefficients with AVX2, in 16-bit lanes: even and odd frequencies apart, since the basis is symmetric.
//!
//! [`dct::forward`] says what the coefficients are. Nothing here needs more bits than it has: samples are -512 to 511,
//! what comes of them -16381 to 16381.
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;

use super::dct::{BASIS, NATURAL};

/// As [`super::dct::forward`].
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn forward(rows: [&[i16; 8]; 8], gain: &[i16; 64], out: &mut [i16; 64]) {
    let (a, b) = (horizontal(rows[0], rows[1]), horizontal(rows[7], rows[6]));
    let (c, d) = (horizontal(rows[2], rows[3]), horizontal(rows[5], rows[4]));
    let even = [side_by_side(_mm256_add_epi16(a, b)), side_by_side(_mm256_add_epi16(c, d))];
    let odd = [side_by_side(_mm256_sub_epi16(a, b)), side_by_side(_mm256_sub_epi16(c, d))];
    let (mut vertical, mut changed) = ([_mm256_setzero_si256(); 4], [_mm256_setzero_si256(); 4]);
    for i in 0..4 {
        vertical[i] = _mm256_packs_epi32(frequency(even, 2 * i), frequency(odd, 2 * i + 1));
        changed[i] = _mm256_permute4x64_epi64::<0b01_00_11_10>(vertical[i]);
    }
    let all = [vertical, changed];
    let zigzag = [
        sixteen(0, &all, [0, 1, 4, 5, 6]),
        sixteen(1, &all, [0, 1, 2, 3, 4, 5, 6]),
        sixteen(2, &all, [0, 1, 2, 3, 5, 6, 7]),
        sixteen(3, &all, [2, 3, 5, 6, 7]),
    ];
    let (gain, out) = (gain.as_chunks::<16>().0, out.as_chunks_mut::<16>().0);
    for ((out, gain), value) in out.iter_mut().zip(gain).zip(zigzag) {
        // (2 * value * gain + 2^14) >> 15.
        store(out, _mm256_mulhrs_epi16(_mm256_add_epi16(value, value), load(gain)));
    }
}

/// Two rows' horizontal frequencies, one row in each half: 0, 2, 4, 6, 1, 3, 5, 7.
#[inline]
#[target_feature(enable = "avx2")]
fn horizontal(a: &[i16; 8], b: &[i16; 8]) -> __m256i {
    let rows = _mm256_set_m128i(load_half(b), load_half(a));
    let first = _mm256_unpacklo_epi64(rows, rows);
    let last = _mm256_shuffle_epi8(rows, load_bytes(&LAST_REVERSED));
    // Sums of the samples that mirror each other in the lower four, differences in the upper four.
    let folded = _mm256_add_epi16(first, _mm256_sign_epi16(last, load(&SIGNS)));
    let [e01, e23, o01, o23] = [
        _mm256_shuffle_epi32::<0b00_00_00_00>(folded),
        _mm256_shuffle_epi32::<0b01_01_01_01>(folded),
        _mm256_shuffle_epi32::<0b10_10_10_10>(folded),
        _mm256_shuffle_epi32::<0b11_11_11_11>(folded),
    ];
    let four = |a, b, parity: usize| {
        let a = _mm256_madd_epi16(a, load(&FOUR_OF_BASIS[0][parity]));
        let b = _mm256_madd_epi16(b, load(&FOUR_OF_BASIS[1][parity]));
        _mm256_srai_epi32::<10>(_mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_set1_epi32(1 << 9)))
    };
    _mm256_packs_epi32(four(e01, e23, 0), four(o01, o23, 1))
}

static LAST_REVERSED: [u8; 32] = {
    let half = [14, 15, 12, 13, 10, 11, 8, 9];
    let mut all = [0; 32];
    let mut i = 0;
    while i < 32 {
        all[i] = half[i % 8];
        i += 1;
    }
    all
};

static SIGNS: [i16; 16] = [1, 1, 1, 1, -1, -1, -1, -1, 1, 1, 1, 1, -1, -1, -1, -1];

/// The basis of the four even (or odd) frequencies, for both halves: `[pair of samples][parity]`.
static FOUR_OF_BASIS: [[[i16; 16]; 2]; 2] = {
    let mut all = [[[0; 16]; 2]; 2];
    let mut i = 0;
    while i < 64 {
        let (pair, parity, at) = (i / 32, i / 16 % 2, i % 16);
        all[pair][parity][at] = BASIS[pair][at % 8 / 2 * 2 + parity][at % 2];
        i += 1;
    }
    all
};

/// The values of two rows, one in each half, as pairs.
#[inline]
#[target_feature(enable = "avx2")]
fn side_by_side(rows: __m256i) -> __m256i {
    let quarters = _mm256_permute4x64_epi64::<0b11_01_10_00>(rows);
    _mm256_unpacklo_epi16(quarters, _mm256_unpackhi_epi64(quarters, quarters))
}

/// A vertical frequency of all columns, from rows folded as [`horizontal`] folds samples.
#[inline]
#[target_feature(enable = "avx2")]
fn frequency([a, b]: [__m256i; 2], v: usize) -> __m256i {
    let basis = |pair: usize| {
        let [a, b] = BASIS[pair][v];
        _mm256_set1_epi32(i32::from(a as u16) | i32::from(b) << 16)
    };
    let sum = _mm256_add_epi32(_mm256_madd_epi16(a, basis(0)), _mm256_madd_epi16(b, basis(1)));
    _mm256_srai_epi32::<14>(_mm256_add_epi32(sum, _mm256_set1_epi32(1 << 13)))
}

/// Which bytes of two rows go where among 16 coefficients in zigzag order: `ZIGZAG[16th][changed][pair of rows]`. Rows lie
/// in their pair as [`forward`] has them: the even frequencies of both in the lower half, the odd ones in the upper;
/// changed are pairs with their halves exchanged.
static ZIGZAG: [[[[u8; 32]; 4]; 2]; 4] = {
    let mut all = [[[[0x80; 32]; 4]; 2]; 4];
    let mut k = 0;
    while k < 64 {
        let (v, u) = (NATURAL[k] as usize >> 3, NATURAL[k] as usize & 7);
        let changed = (u % 2 != k / 8 % 2) as usize;
        let from = 8 * (v % 2) + u / 2 * 2;
        all[k / 16][changed][v / 2][k % 16 * 2] = from as u8;
        all[k / 16][changed][v / 2][k % 16 * 2 + 1] = from as u8 + 1;
        k += 1;
    }
    all
};

/// 16 coefficients in zigzag order. Of which pairs of rows (4 to 7: changed) they have some, the caller knows.
#[inline]
#[target_feature(enable = "avx2")]
fn sixteen<const N: usize>(number: usize, rows: &[[__m256i; 4]; 2], from: [usize; N]) -> __m256i {
    let mut all = _mm256_setzero_si256();
    for i in from {
        let (changed, pair) = (i / 4, i % 4);
        let bytes = load_bytes(&ZIGZAG[number][changed][pair]);
        all = _mm256_or_si256(all, _mm256_shuffle_epi8(rows[changed][pair], bytes));
    }
    all
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_half(from: &[i16; 8]) -> __m128i {
    // SAFETY: 16 bytes are read from an array of 16.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(from: &[i16; 16]) -> __m256i {
    // SAFETY: 32 bytes are read from an array of 32.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_bytes(from: &[u8; 32]) -> __m256i {
    // SAFETY: 32 bytes are read from an array of 32.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(to: &mut [i16; 16], value: __m256i) {
    // SAFETY: 32 bytes are written to an array of 32.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), value) }
}
