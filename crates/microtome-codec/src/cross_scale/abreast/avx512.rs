//! The steps with AVX-512 (F, BW, DQ, VL, VNNI).
//!
//! Used by none but functions that have these enabled (`simd`): every step here is inlined into one of them.
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;
use std::hint::black_box;

use super::avx2::{narrow_steps, step, turn_over};
use super::vectors::{Mask, Row, Vectors, WideRow};
use crate::cross_scale::expect::MOST;
use crate::cross_scale::machine_avx2::Avx2;
use crate::cross_scale::model::BUCKETS;
use crate::cross_scale::rans::{LOW, Marked, SYMBOL_OF};

/// The steps by hand.
#[derive(Debug, Clone, Copy)]
pub(in crate::cross_scale) struct Avx512;

const _: () = assert!(size_of::<Marked>() == 32, "starts, and nothing else");

/// Where the numbers of two vectors go that become pairs.
static PAIRED: [i16; 32] = {
    let mut places = [0; 32];
    let mut l = 0;
    while l < 16 {
        places[2 * l] = l as i16;
        places[2 * l + 1] = 32 + l as i16;
        l += 1;
    }
    places
};

impl Vectors for Avx512 {
    narrow_steps! {}
    type Wide = __m512i;
    const HAS_MANY: bool = true;

    #[inline(always)]
    fn load_wide(row: &WideRow) -> __m512i {
        // SAFETY: 64 bytes are read from an array of 64; the instructions are there, as above.
        unsafe { _mm512_loadu_si512(row.as_ptr().cast()) }
    }
    #[inline(always)]
    fn store_wide(values: __m512i, row: &mut WideRow) {
        // SAFETY: 64 bytes are written to an array of 64; the instructions are there, as above.
        unsafe { _mm512_storeu_si512(row.as_mut_ptr().cast(), values) }
    }

    step! {
        splat_wide(value: i32) -> __m512i = _mm512_set1_epi32(value);
        select(mask: Mask, a: __m256i, b: __m256i) -> __m256i = _mm256_mask_blend_epi16(mask, b, a);
        widen(a: __m256i) -> __m512i = _mm512_cvtepi16_epi32(a);
        narrow(a: __m512i) -> __m256i = _mm512_cvtsepi32_epi16(a);
        truncate(a: __m512i) -> __m256i = _mm512_cvtepi32_epi16(a);
        multiply_add(sums: __m512i, pairs: __m512i, weights: [i16; 2]) -> __m512i = {
            let [low, high] = weights;
            _mm512_dpwssd_epi32(sums, pairs, _mm512_set1_epi32(i32::from(low as u16) | i32::from(high) << 16))
        };
        add_wide(a: __m512i, b: __m512i) -> __m512i = _mm512_add_epi32(a, b);
        subtract_wide(a: __m512i, b: __m512i) -> __m512i = _mm512_sub_epi32(a, b);
        multiply_wide(a: __m512i, b: __m512i) -> __m512i = _mm512_mullo_epi32(a, b);
        shift_bits_left(a: __m512i, by: __m512i) -> __m512i = _mm512_sllv_epi32(a, by);
        shift_bits_right(a: __m512i, by: __m512i) -> __m512i = _mm512_srlv_epi32(a, by);
        and_wide(a: __m512i, b: __m512i) -> __m512i = _mm512_and_si512(a, b);
        select_wide(mask: Mask, a: __m512i, b: __m512i) -> __m512i = _mm512_mask_blend_epi32(mask, b, a);
        is_larger(a: __m512i, b: __m512i) -> Mask = _mm512_cmpgt_epi32_mask(a, b);
        symbols(found: __m512i) -> __m512i = {
            let all = _mm512_cvtepu8_epi32(_mm_loadu_si128(SYMBOL_OF.as_ptr().cast()));
            // Only the lowest four bits choose.
            let three = _mm512_set1_epi32(3);
            let marks = _mm512_ternarylogic_epi32::<0xCA>(three, found, _mm512_srli_epi32::<14>(found));
            _mm512_permutexvar_epi32(marks, all)
        };
        magnitudes(residuals: __m512i) -> __m512i =
            _mm512_min_epu32(_mm512_abs_epi32(residuals), _mm512_set1_epi32(MOST.into()));
        // A float's exponent and its two highest bits count four an octave; that of 4 is 129.
        bucket(expected: __m512i) -> __m512i = {
            let bits = _mm512_castps_si512(_mm512_cvtepi32_ps(_mm512_max_epi32(expected, _mm512_set1_epi32(4))));
            _mm512_sub_epi32(_mm512_srli_epi32::<21>(bits), _mm512_set1_epi32(4 * 129))
        };
        add_times(sums: __m512i, values: __m512i, factor: i16) -> __m512i =
            _mm512_add_epi32(sums, _mm512_madd_epi16(values, _mm512_set1_epi32(i32::from(factor as u16))));
    }

    #[inline(always)]
    fn shift_wide_right<const BITS: u32>(a: __m512i) -> __m512i {
        // SAFETY: the instructions are there, as above.
        unsafe { _mm512_srai_epi32::<BITS>(a) }
    }
    #[inline(always)]
    fn look_up(index: __m256i, table: &[u8; 32]) -> __m256i {
        // SAFETY: 32 bytes are read from an array of 32; the instructions are there, as above.
        unsafe {
            let table = _mm512_cvtepu8_epi16(_mm256_loadu_si256(table.as_ptr().cast()));
            _mm512_castsi512_si256(_mm512_permutexvar_epi16(_mm512_castsi256_si512(index), table))
        }
    }
    #[inline(always)]
    fn look_up_flags(index: __m512i, table: &[u16; BUCKETS]) -> __m512i {
        const BEHIND: __mmask32 = (1 << (BUCKETS - 32)) - 1;
        // SAFETY: 32 numbers are read from the first ones of a table of more, and those behind them as far as it goes; the
        // instructions are there, as above.
        unsafe {
            let front = _mm512_loadu_si512(table.as_ptr().cast());
            let back = _mm512_maskz_loadu_epi16(BEHIND, table.as_ptr().add(32).cast());
            let found = _mm512_permutex2var_epi16(front, index, back);
            _mm512_and_si512(found, _mm512_set1_epi32(0xFFFF))
        }
    }
    #[inline(always)]
    fn pairs(a: __m256i, b: __m256i) -> __m512i {
        // SAFETY: 64 bytes are read from an array of 64; the instructions are there, as above.
        unsafe {
            let places = _mm512_loadu_si512(PAIRED.as_ptr().cast());
            _mm512_permutex2var_epi16(_mm512_castsi256_si512(a), places, _mm512_castsi256_si512(b))
        }
    }
    #[inline(always)]
    fn gather(data: &[i16], offsets: __m512i) -> __m512i {
        let Some(last) = data.len().checked_sub(2).and_then(|last| i32::try_from(last).ok()) else {
            return Self::splat_wide(0);
        };
        // SAFETY: no offset is beyond the last pair, and none negative, since they are compared without signs; the
        // instructions are there, as above.
        unsafe {
            let offsets = _mm512_min_epu32(offsets, _mm512_set1_epi32(last));
            _mm512_i32gather_epi32::<2>(offsets, data.as_ptr().cast())
        }
    }
    #[inline(always)]
    fn find(tables: &[Marked], index: __m512i, states: __m512i) -> __m512i {
        let Some(last) = tables.len().checked_sub(2) else { return Self::splat_wide(0) };
        let (mut place_of, mut slot_of) = ([0; 16], [0; 16]);
        let tables = tables.as_ptr();
        // SAFETY: behind the table of any index is another one, since they are compared without signs. A table's first start is
        // not above any slot, so that from 1 to 16 of them are not, and the pair from the last of these on is in both. 32 bytes are
        // read from arrays of 32. The instructions are there, as above.
        unsafe {
            let index = _mm512_min_epu32(index, _mm512_set1_epi32(last as i32));
            // Bytes from the first table: an array of 32 each.
            Self::store_wide(_mm512_slli_epi32::<5>(index), &mut place_of);
            // Each slot where it was shifted to, behind all marks of its start, less 2^15.
            let slots = _mm512_add_epi32(_mm512_slli_epi32::<2>(states), _mm512_set1_epi32(3 + (1 << 15)));
            let twice = _mm512_ternarylogic_epi32::<0xCA>(
                _mm512_set1_epi32(0xFFFF),
                slots,
                _mm512_slli_epi32::<16>(slots),
            );
            Self::store_wide(twice, &mut slot_of);
            // Read back from memory: taken out of their vectors they would all go through the one pipe that leads out.
            let (place_of, slot_of) = (black_box(&place_of), black_box(&slot_of));
            macro_rules! entry {
                ($l:expr) => {{
                    let table = tables.byte_add(place_of[$l] as u32 as usize);
                    let starts = _mm256_loadu_si256(table.cast());
                    let up_to = _mm256_cmple_epi16_mask(starts, _mm256_set1_epi32(slot_of[$l]));
                    let count = up_to.count_ones() as usize;
                    table.cast::<i16>().add(count).sub(1).cast::<i32>().read_unaligned()
                }};
            }
            macro_rules! four {
                ($l:expr) => {
                    _mm_set_epi32(entry!($l + 3), entry!($l + 2), entry!($l + 1), entry!($l))
                };
            }
            let (a, b) = (_mm256_set_m128i(four!(4), four!(0)), _mm256_set_m128i(four!(12), four!(8)));
            _mm512_inserti64x4::<1>(_mm512_castsi256_si512(a), b)
        }
    }
    #[inline(always)]
    fn refill(states: __m512i, mask: Mask, words: &[[u8; 2]; 16]) -> (__m512i, usize) {
        // SAFETY: 32 bytes are read from an array of 32; the instructions are there, as above.
        unsafe {
            let low = _mm512_mask_cmplt_epu32_mask(mask, states, _mm512_set1_epi32(LOW as i32));
            let words = _mm512_cvtepu16_epi32(_mm256_loadu_si256(words.as_ptr().cast()));
            let words = _mm512_maskz_expand_epi32(low, words);
            let full = _mm512_or_si512(_mm512_slli_epi32::<16>(states), words);
            (_mm512_mask_mov_epi32(states, low, full), low.count_ones() as usize)
        }
    }
    #[inline(always)]
    fn put_together(values: __m512i, mask: Mask, out: &mut WideRow) -> usize {
        // SAFETY: the instructions are there, as above.
        Self::store_wide(unsafe { _mm512_maskz_compress_epi32(mask, values) }, out);
        mask.count_ones() as usize
    }
    #[inline(always)]
    fn turn_over(values: &[Row; 64], out: &mut [[i16; 64]; 16]) {
        // SAFETY: AVX2 is there, as above.
        unsafe { turn_over(values, out) }
    }
}
