//! Tokens of a block, 32 at a time, with AVX-512 (F, BW, VBMI2, BITALG).
//!
//! What they say is `tokens`'s. Used by none but functions that have these instructions enabled (`simd`).
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;

use super::tokens::{Machine, ROOM, Room, with_long_runs};

/// The steps by hand.
#[derive(Debug)]
pub(super) struct Avx512 {
    /// All bits of magnitudes so far, and those below them.
    magnitudes: __m512i,
}

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
    fn new() -> Self {
        // SAFETY: the instructions are there, as above.
        Self { magnitudes: unsafe { _mm512_setzero_si512() } }
    }

    #[inline(always)]
    fn block(
        &mut self,
        block: &[i16; 64],
        difference: i16,
        (dc, ac): (u16, u16),
        (symbols, values): Room<'_>,
    ) -> usize {
        // SAFETY: the instructions are there, as above; both loads read half of an array of 128 bytes, and what else is
        // loaded is an array of as many.
        unsafe {
            let first = _mm512_loadu_si512(block.as_ptr().cast());
            let second = _mm512_loadu_si512(block.as_ptr().add(32).cast());
            let [low, high] = [first, second].map(|half| u64::from(_mm512_test_epi16_mask(half, half)));
            let mut places = low | high << 32 | 1;
            let all = _mm512_loadu_si512(PLACES.as_ptr().cast());
            let mut distances = distances(all, places);
            if _mm512_cmpgt_epu8_mask(distances, _mm512_set1_epi8(16)) != 0 {
                places = with_long_runs(places);
                distances = self::distances(all, places);
            }
            // Behind the last one there are no zeros before nothing: the symbol of the block's end.
            let runs = _mm512_subs_epu8(distances, _mm512_set1_epi8(1));
            let first = _mm512_mask_set1_epi16(first, 1, difference);
            let first = _mm512_maskz_compress_epi16(places as u32, first);
            let second = _mm512_maskz_compress_epi16((places >> 32) as u32, second);
            // The second half's follow the first half's; lanes from 32 on are its own.
            let in_first = (places as u32).count_ones();
            let lanes = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(all));
            let follow = _mm512_add_epi16(lanes, _mm512_set1_epi16(32 - in_first as i16));
            let from = _mm512_mask_mov_epi16(lanes, u64::MAX.wrapping_shl(in_first) as u32, follow);
            let coefficients = _mm512_permutex2var_epi16(first, from, second);
            let ac = _mm512_set1_epi16(ac as i16);
            let tables = _mm512_mask_set1_epi16(ac, 1, dc as i16);
            let tokens = (&mut *symbols, &mut *values);
            let bits = put(tokens, 0, tables, coefficients, _mm512_castsi512_si256(runs));
            // But those of the difference.
            self.magnitudes = _mm512_or_si512(self.magnitudes, _mm512_maskz_mov_epi16(!1, bits));
            let length = places.count_ones() as usize;
            if length >= 32 {
                let coefficients = _mm512_permutexvar_epi16(follow, second);
                let runs = _mm512_extracti64x4_epi64::<1>(runs);
                let bits = put((symbols, values), 32, ac, coefficients, runs);
                self.magnitudes = _mm512_or_si512(self.magnitudes, bits);
            }
            length + usize::from(places >> 63 == 0)
        }
    }

    #[inline(always)]
    fn magnitudes(self) -> u16 {
        // SAFETY: a vector is as many bytes as this array; the instructions are there, as above.
        let sixteens: [u16; 32] = unsafe { std::mem::transmute(self.magnitudes) };
        sixteens.into_iter().fold(0, |all, bits| all | bits)
    }
}

/// How far each of these places, of which the DC coefficient's is one, is from the one before it; nothing for that one and behind
/// the last. `all` is [`PLACES`].
#[inline(always)]
fn distances(all: __m512i, places: u64) -> __m512i {
    // SAFETY: the instructions are there, as above.
    unsafe {
        let before = _mm512_subs_epu8(all, _mm512_set1_epi8(1));
        let before = _mm512_maskz_compress_epi8(places << 1 | 1, before);
        _mm512_subs_epu8(_mm512_maskz_compress_epi8(places, all), before)
    }
}

/// Writes the tokens of 32 coefficients from the one at `at` on, given the runs before them and what their symbols have in common;
/// returns the bits that their magnitudes have, and those below these.
#[inline(always)]
fn put(
    (symbols, values): Room<'_>,
    at: usize,
    tables: __m512i,
    coefficients: __m512i,
    runs: __m256i,
) -> __m512i {
    // SAFETY: the instructions are there, as above.
    unsafe {
        let mut bits = _mm512_abs_epi16(coefficients);
        bits = _mm512_or_si512(bits, _mm512_srli_epi16::<1>(bits));
        bits = _mm512_or_si512(bits, _mm512_srli_epi16::<2>(bits));
        bits = _mm512_or_si512(bits, _mm512_srli_epi16::<4>(bits));
        bits = _mm512_or_si512(bits, _mm512_srli_epi16::<8>(bits));
        let runs = _mm512_slli_epi16::<4>(_mm512_cvtepu8_epi16(runs));
        let sizes = _mm512_popcnt_epi16(bits);
        store(symbols, at, _mm512_or_si512(_mm512_or_si512(runs, sizes), tables));
        // A negative value's bits are those of one less.
        let less = _mm512_add_epi16(coefficients, _mm512_srai_epi16::<15>(coefficients));
        store(values, at, _mm512_and_si512(less, bits));
        bits
    }
}

/// Writes 32 numbers.
#[inline(always)]
fn store(to: &mut [u16; ROOM], at: usize, numbers: __m512i) {
    if let Some(to) = to.get_mut(at..at + 32) {
        // SAFETY: 64 bytes are written to a slice of as many; the instructions are there, as above.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), numbers) }
    }
}
