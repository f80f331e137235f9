//! The steps of a [`Machine`] for AVX2: those of a few instructions here, longer ones in files of their own.
//!
//! Used by none but functions that have AVX2 enabled (`simd`): every step here is inlined into one of them.

use super::ahead::{PADDED, Piece, Sixteen};
use super::edges::Edges;
use super::expect::Magnitudes;
use super::model::BLOCK_FEATURES;
use super::rans::{Machine, Pairs, SCALE, Sums, Table};

/// The steps by hand. Used by none but functions that have AVX2 enabled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx2;

impl Machine for Avx2 {
    #[inline(always)]
    fn find(table: &Table, slot: u16) -> usize {
        use std::arch::x86_64::{
            _mm256_cmpgt_epi16, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_set1_epi16,
        };
        // Signed comparison will do: starts and slots are below 2^14.
        let slot = (slot & (SCALE - 1)) as i16;
        // SAFETY: 32 bytes are read from an array of 32 bytes; AVX2 is there, since none names this type but `simd`, for
        // functions that have it, and the test below, which has looked.
        #[allow(unsafe_code, reason = "vector instructions")]
        let above = unsafe {
            let starts = _mm256_loadu_si256(table.starts().as_ptr().cast());
            _mm256_movemask_epi8(_mm256_cmpgt_epi16(starts, _mm256_set1_epi16(slot)))
        };
        // Two bits for each start above the slot: all those behind the symbol's.
        let twice = above.trailing_zeros();
        // SAFETY: the first start is 0 (`Table::starts`), so that no slot is below it; 32 if none is above.
        #[allow(unsafe_code, reason = "so that it is an address without more ado")]
        unsafe {
            std::hint::assert_unchecked(twice >= 2 && twice.is_multiple_of(2));
        }
        (twice / 2) as usize - 1
    }

    #[inline(always)]
    fn multiply_add(sums: Sums, [a, b]: [i16; 2], weights: &Pairs) -> Sums {
        use std::arch::x86_64::{
            __m256i, _mm256_add_epi32, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_set1_epi32,
        };
        let pair = i32::from(a as u16) | i32::from(b as u16) << 16;
        // SAFETY: both arrays have 32 bytes, and any bits are valid in them; AVX2 is there as above.
        #[allow(unsafe_code, reason = "vector instructions")]
        unsafe {
            let weights = _mm256_loadu_si256(weights.as_ptr().cast());
            let sums = std::mem::transmute::<Sums, __m256i>(sums);
            let sums = _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_set1_epi32(pair), weights));
            std::mem::transmute::<__m256i, Sums>(sums)
        }
    }

    #[inline(always)]
    fn multiply_add_picked(sums: Sums, pairs: &Pairs, index: &[u32; 8], weights: &Pairs) -> Sums {
        use std::arch::x86_64::{
            __m256i, _mm256_add_epi32, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_permutevar8x32_epi32,
        };
        // SAFETY: all arrays have 32 bytes, and any bits are valid in them; of an index the lowest three bits count;
        // AVX2 is there as above.
        #[allow(unsafe_code, reason = "vector instructions")]
        unsafe {
            let weights = _mm256_loadu_si256(weights.as_ptr().cast());
            let pairs = _mm256_loadu_si256(pairs.as_ptr().cast());
            let picked = _mm256_permutevar8x32_epi32(pairs, _mm256_loadu_si256(index.as_ptr().cast()));
            let sums = std::mem::transmute::<Sums, __m256i>(sums);
            let sums = _mm256_add_epi32(sums, _mm256_madd_epi16(picked, weights));
            std::mem::transmute::<__m256i, Sums>(sums)
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
        // SAFETY: AVX2 is there as above.
        #[allow(unsafe_code, reason = "a function of these vector instructions")]
        unsafe {
            super::piece_avx2::piece(sixteenths, sums, reciprocals, first, fractions)
        }
    }

    #[inline(always)]
    fn errors<const BITS: i32>(values: &Sixteen, steps: &Sixteen, predicted: &Sixteen, most: i16) -> Sixteen {
        // SAFETY: AVX2 is there as above.
        #[allow(unsafe_code, reason = "a function of these vector instructions")]
        unsafe {
            super::piece_avx2::errors::<BITS>(values, steps, predicted, most)
        }
    }

    #[inline(always)]
    fn features(
        left: &Magnitudes,
        above: &Magnitudes,
        predicted: &[i16; PADDED],
    ) -> (Magnitudes, [i16; BLOCK_FEATURES]) {
        // SAFETY: AVX2 is there as above.
        #[allow(unsafe_code, reason = "a function of these vector instructions")]
        unsafe {
            super::expect_avx2::features(left, above, predicted)
        }
    }

    #[inline(always)]
    fn edges(coefficients: &[i16; 64], steps: &[i16; PADDED], known: &[i16; PADDED]) -> Edges {
        // SAFETY: AVX2 is there as above.
        #[allow(unsafe_code, reason = "a function of these vector instructions")]
        unsafe {
            super::edges_avx2::of(coefficients, steps, known)
        }
    }

    #[inline(always)]
    fn inverse_row(blocks: &[[i16; 64]], steps: &[u16; 64], lines: &mut [u8]) {
        // SAFETY: AVX2 is there as above.
        #[allow(unsafe_code, reason = "a function of these vector instructions")]
        unsafe {
            super::inverse_avx2::inverse_row(blocks, steps, lines);
        }
    }

    #[inline(always)]
    fn forward(rows: [&[i16; 8]; 8], gain: &[i16; 64], out: &mut [i16; 64]) {
        // SAFETY: AVX2 is there as above.
        #[allow(unsafe_code, reason = "a function of these vector instructions")]
        unsafe {
            super::forward_avx2::forward(rows, gain, out);
        }
    }

    #[inline(always)]
    fn weigh(pixels: &[[u8; 3]], weights: [i32; 4], sums: &mut [i32]) {
        // SAFETY: AVX2 is there as above.
        #[allow(unsafe_code, reason = "a function of these vector instructions")]
        unsafe {
            super::colour_avx2::weigh(pixels, weights, sums);
        }
    }

    #[inline(always)]
    fn reduce<const X: bool, const Y: bool>(rows: [&[u8]; 3], from: usize, out: &mut [i16]) {
        // SAFETY: AVX2 is there as above.
        #[allow(unsafe_code, reason = "a function of these vector instructions")]
        unsafe {
            super::reduce_avx2::inner::<X, Y>(rows, from, out);
        }
    }
}
