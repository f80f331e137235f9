//! What a block's expectation is made from, with AVX2.
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;

use super::ahead::PADDED;
use super::expect::Magnitudes;
use super::model::BLOCK_FEATURES;

/// As [`super::expect::features`].
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn features(
    left: &Magnitudes,
    above: &Magnitudes,
    steps: &[i16; PADDED],
) -> (Magnitudes, [i16; BLOCK_FEATURES]) {
    let mut near = [0; 64];
    let mut sums = _mm256_setzero_si256();
    let sides = left.as_chunks::<32>().0.iter().zip(above.as_chunks::<32>().0);
    for (near, (left, above)) in near.as_chunks_mut::<32>().0.iter_mut().zip(sides) {
        let both = _mm256_add_epi8(load_bytes(left), load_bytes(above));
        // SAFETY: 32 bytes are written to an array of 32 bytes.
        unsafe { _mm256_storeu_si256(near.as_mut_ptr().cast(), both) };
        sums = _mm256_add_epi64(sums, _mm256_sad_epu8(both, _mm256_setzero_si256()));
    }
    let near_sums = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
    let eights = steps.as_chunks().0;
    let front = _mm_hadd_epi32(quarters(&eights[0]), quarters(&eights[1]));
    let third = quarters(&eights[2]);
    // The eight at 0, at 8 and at 16, then those near.
    let all = _mm_hadd_epi32(front, _mm_hadd_epi32(third, near_sums));
    let most = _mm_min_epi32(all, _mm_set_epi32(255, 1023, 1023, 1023));
    let scaled = _mm_sllv_epi32(most, _mm_set_epi32(7, 5, 5, 5));
    let in_order = _mm_shuffle_epi32::<0b10_01_00_11>(scaled);
    let packed = _mm_cvtsi128_si64(_mm_packs_epi32(in_order, in_order)).to_le_bytes();
    let feature = |i: usize| i16::from_le_bytes(packed.as_chunks().0[i]);
    (near, [feature(0), feature(1), feature(2), feature(3)])
}

/// Sums of two neighbouring sizes, a quarter of each. Eight at a time, as they were written: they are read at once.
#[inline]
#[target_feature(enable = "avx2")]
fn quarters(steps: &[i16; 8]) -> __m128i {
    // SAFETY: 16 bytes are read from an array of 16 bytes.
    let sizes = _mm_abs_epi16(unsafe { _mm_loadu_si128(steps.as_ptr().cast()) });
    let quarters = _mm_srai_epi16::<2>(_mm_min_epi16(sizes, _mm_set1_epi16(1023)));
    _mm_madd_epi16(quarters, _mm_set1_epi16(1))
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_bytes(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: 32 bytes are read from an array of 32 bytes.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}
