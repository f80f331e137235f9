//! Predictions and errors of a block's pieces with AVX2.
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;

use super::ahead::{Piece, Sixteen};
use super::rans::Sums;

/// As [`Piece::new`].
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn piece(
    sixteenths: &Sixteen,
    [low, high]: &[Sums; 2],
    reciprocals: &[i32; 16],
    first: &[u16; 16],
    fractions: &[u8; 32],
) -> Piece {
    let whole = |sums: &Sums| _mm256_srai_epi32::<12>(load_wide(sums));
    let sixteenths = _mm256_adds_epi16(load(sixteenths), packed(whole(low), whole(high)));
    let (front, back) = reciprocals.split_at(8);
    let in_steps = |half: __m128i, reciprocals: &[i32]| {
        let product = _mm256_mullo_epi32(_mm256_cvtepi16_epi32(half), load_wide(reciprocals));
        _mm256_srai_epi32::<15>(_mm256_add_epi32(product, _mm256_set1_epi32(1 << 14)))
    };
    let steps = packed(
        in_steps(_mm256_castsi256_si128(sixteenths), front),
        in_steps(_mm256_extracti128_si256::<1>(sixteenths), back),
    );
    let steps = _mm256_max_epi16(steps, _mm256_set1_epi16(-32767));
    let (sign, size) = (_mm256_srai_epi16::<15>(steps), _mm256_abs_epi16(steps));
    let known = _mm256_sub_epi16(_mm256_xor_si256(_mm256_srai_epi16::<5>(size), sign), sign);
    let fraction = _mm256_and_si256(size, _mm256_set1_epi16(31));
    Piece {
        sixteenths: stored(sixteenths),
        steps: stored(steps),
        known: stored(known),
        tables: stored(_mm256_add_epi16(load(&first.map(|f| f as i16)), looked_up(fraction, fractions)))
            .map(|t| t as u16),
    }
}

/// The bytes of a table at sixteen indices below 32.
#[inline]
#[target_feature(enable = "avx2")]
fn looked_up(index: __m256i, table: &[u8; 32]) -> __m256i {
    // SAFETY: 16 bytes are read from each half of an array of 32.
    let half = |from: usize| unsafe {
        _mm256_broadcastsi128_si256(_mm_loadu_si128(table[from..from + 16].as_ptr().cast()))
    };
    // The lowest four bits of a byte choose.
    let (low, high) = (
        _mm256_shuffle_epi8(half(0), index),
        _mm256_shuffle_epi8(half(16), _mm256_and_si256(index, _mm256_set1_epi16(15))),
    );
    let chosen = _mm256_blendv_epi8(low, high, _mm256_cmpgt_epi16(index, _mm256_set1_epi16(15)));
    _mm256_and_si256(chosen, _mm256_set1_epi16(0xFF))
}

/// As [`super::ahead::errors`].
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn errors<const BITS: i32>(
    values: &Sixteen,
    steps: &Sixteen,
    predicted: &Sixteen,
    most: i16,
) -> Sixteen {
    stored(error::<BITS>(load(values), load(steps), load(predicted), most))
}

/// The same of vectors.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn error<const BITS: i32>(
    values: __m256i,
    steps: __m256i,
    predicted: __m256i,
    most: i16,
) -> __m256i {
    let (low, high) = (_mm256_mullo_epi16(values, steps), _mm256_mulhi_epi16(values, steps));
    // Unpacking and packing keep to the halves of a vector both.
    let product = _mm256_packs_epi32(_mm256_unpacklo_epi16(low, high), _mm256_unpackhi_epi16(low, high));
    let value = _mm256_slli_epi16::<BITS>(clamped(product, most));
    clamped(_mm256_subs_epi16(value, predicted), 8191)
}

#[inline]
#[target_feature(enable = "avx2")]
fn clamped(values: __m256i, most: i16) -> __m256i {
    _mm256_max_epi16(_mm256_min_epi16(values, _mm256_set1_epi16(most)), _mm256_set1_epi16(-most))
}

/// Sixteen numbers of 32 bits as of 16, saturated.
#[inline]
#[target_feature(enable = "avx2")]
fn packed(low: __m256i, high: __m256i) -> __m256i {
    _mm256_permute4x64_epi64::<0xD8>(_mm256_packs_epi32(low, high))
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(values: &Sixteen) -> __m256i {
    // SAFETY: 32 bytes are read from an array of 32 bytes.
    unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_wide(values: &[i32]) -> __m256i {
    assert!(values.len() >= 8, "a vector of eight");
    // SAFETY: 32 bytes are read from at least as many.
    unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn stored(values: __m256i) -> Sixteen {
    let mut out = [0; 16];
    // SAFETY: 32 bytes are written to an array of 32 bytes.
    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), values) };
    out
}
