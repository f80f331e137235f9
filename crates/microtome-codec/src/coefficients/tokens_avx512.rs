//! Tokens of a block, sixteen at a time, with AVX-512 (F, BW, CD, VBMI2).
//!
//! What they say is `tokens`'s. Used by none but functions that have these instructions enabled (`simd`).
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;

use super::tokens::{Machine, ROOM};

/// The steps by hand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx512;

/// The places of a block.
static PLACES: [u8; 64] = {
    let mut places = [0; 64];
    let mut k = 0;
    while k < 64 {
        places[k] = k as u8;
        k += 1;
    }
    places
};

impl Machine for Avx512 {
    #[inline(always)]
    fn nonzero(block: &[i16; 64]) -> u64 {
        // SAFETY: both loads read half of an array of 128 bytes; the instructions are there, as above.
        unsafe {
            let [low, high] = halves(block);
            u64::from(_mm512_test_epi16_mask(low, low)) | u64::from(_mm512_test_epi16_mask(high, high)) << 32
        }
    }

    #[inline(always)]
    fn near(block: &[i16; 64], places: u64, table: u32, tokens: &mut [u32; ROOM]) {
        let mut length = 1;
        // The last place before those of a half.
        let mut before = 1;
        // SAFETY: the instructions are there, as above; what is loaded is an array of as many bytes.
        unsafe {
            let all = _mm512_loadu_si512(PLACES.as_ptr().cast());
            let ones = _mm256_set1_epi8(1);
            for (values, own) in halves(block).into_iter().zip([places & 0xFFFF_FFFF, places >> 32 << 32]) {
                let values = _mm512_maskz_compress_epi16((own | own >> 32) as u32, values);
                let at = _mm512_castsi512_si256(_mm512_maskz_compress_epi8(own, all));
                let last = _mm512_castsi512_si256(_mm512_maskz_compress_epi8(own | before, all));
                let runs = _mm256_sub_epi8(_mm256_sub_epi8(at, last), ones);
                let count = own.count_ones() as usize;
                put(
                    tokens,
                    length,
                    made(table, _mm512_castsi512_si256(values), _mm256_castsi256_si128(runs)),
                );
                if count > 16 {
                    let (values, runs) =
                        (_mm512_extracti64x4_epi64::<1>(values), _mm256_extracti128_si256::<1>(runs));
                    put(tokens, length + 16, made(table, values, runs));
                }
                length += count;
                before = 1 << (63 - (own | 1).leading_zeros());
            }
        }
    }
}

/// Both halves of a block.
#[inline(always)]
fn halves(block: &[i16; 64]) -> [__m512i; 2] {
    let from = block.as_ptr();
    // SAFETY: twice 64 bytes are read from an array of 128; the instructions are there, as above.
    unsafe { [_mm512_loadu_si512(from.cast()), _mm512_loadu_si512(from.add(32).cast())] }
}

/// Tokens of sixteen values and the runs before them.
#[inline(always)]
fn made(table: u32, values: __m256i, runs: __m128i) -> __m512i {
    // SAFETY: the instructions are there, as above.
    unsafe {
        let values = _mm512_cvtepi16_epi32(values);
        let zeros = _mm512_lzcnt_epi32(_mm512_abs_epi32(values));
        let size = _mm512_sub_epi32(_mm512_set1_epi32(32), zeros);
        // A negative value's bits are those of one less.
        let bits = _mm512_add_epi32(values, _mm512_srai_epi32::<31>(values));
        let bits = _mm512_andnot_si512(_mm512_sllv_epi32(_mm512_set1_epi32(-1), size), bits);
        let symbols = _mm512_or_si512(_mm512_slli_epi32::<4>(_mm512_cvtepu8_epi32(runs)), size);
        let tokens = _mm512_or_si512(_mm512_slli_epi32::<16>(symbols), bits);
        _mm512_or_si512(tokens, _mm512_set1_epi32(table as i32))
    }
}

/// Writes sixteen tokens.
#[inline(always)]
fn put(tokens: &mut [u32; ROOM], at: usize, sixteen: __m512i) {
    if let Some(to) = tokens.get_mut(at..at + 16) {
        // SAFETY: 64 bytes are written to a slice of as many; the instructions are there, as above.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), sixteen) }
    }
}
