//! The steps with AVX2: wide numbers in two vectors.
//!
//! Used by none but functions that have it enabled (`simd`): every step here is inlined into one of them.
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;

use super::vectors::{Mask, Row, Vectors, WideRow};
use crate::cross_scale::expect::MOST;
use crate::cross_scale::machine_avx2::Avx2;
use crate::cross_scale::model::BUCKETS;
use crate::cross_scale::rans::{LOW, Marked, SYMBOL_OF};

/// The steps by hand.
#[derive(Debug, Clone, Copy)]
pub(in crate::cross_scale) struct InHalves;

/// A step of instructions that touch no memory.
macro_rules! step {
    ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty = $body:expr;)*) => {
        $(
            #[inline(always)]
            fn $name($($arg: $type),*) -> $out {
                // SAFETY: AVX2 is there, as above.
                unsafe { $body }
            }
        )*
    };
}

/// The steps on sixteen numbers of 16 bits, which are AVX2's wherever they are.
macro_rules! narrow_steps {
    () => {
        type Machine = Avx2;
        type Narrow = __m256i;

        #[inline(always)]
        fn load(row: &Row) -> __m256i {
            // SAFETY: 32 bytes are read from an array of 32; AVX2 is there, as above.
            unsafe { _mm256_loadu_si256(row.as_ptr().cast()) }
        }
        #[inline(always)]
        fn store(values: __m256i, row: &mut Row) {
            // SAFETY: 32 bytes are written to an array of 32; AVX2 is there, as above.
            unsafe { _mm256_storeu_si256(row.as_mut_ptr().cast(), values) }
        }
        #[inline(always)]
        fn shift_left<const BITS: u32>(a: __m256i) -> __m256i {
            // SAFETY: AVX2 is there, as above.
            unsafe { _mm256_sll_epi16(a, _mm_cvtsi32_si128(BITS as i32)) }
        }
        #[inline(always)]
        fn shift_right<const BITS: u32>(a: __m256i) -> __m256i {
            // SAFETY: AVX2 is there, as above.
            unsafe { _mm256_sra_epi16(a, _mm_cvtsi32_si128(BITS as i32)) }
        }
        step! {
            splat(value: i16) -> __m256i = _mm256_set1_epi16(value);
            add(a: __m256i, b: __m256i) -> __m256i = _mm256_adds_epi16(a, b);
            add_modulo(a: __m256i, b: __m256i) -> __m256i = _mm256_add_epi16(a, b);
            subtract(a: __m256i, b: __m256i) -> __m256i = _mm256_subs_epi16(a, b);
            multiply(a: __m256i, b: __m256i) -> __m256i = _mm256_mullo_epi16(a, b);
            multiply_upper(a: __m256i, b: __m256i) -> __m256i = _mm256_mulhi_epi16(a, b);
            multiply_rounded(a: __m256i, b: __m256i) -> __m256i = _mm256_mulhrs_epi16(a, b);
            least(a: __m256i, b: __m256i) -> __m256i = _mm256_min_epi16(a, b);
            most(a: __m256i, b: __m256i) -> __m256i = _mm256_max_epi16(a, b);
            size(a: __m256i) -> __m256i = _mm256_abs_epi16(a);
            and(a: __m256i, b: __m256i) -> __m256i = _mm256_and_si256(a, b);
            turn(a: __m256i, sign: __m256i) -> __m256i = _mm256_sub_epi16(_mm256_xor_si256(a, sign), sign);
            move_down(a: __m256i, first: i16) -> __m256i = {
                // The lower half goes up, behind zeros.
                let lower = _mm256_permute2x128_si256::<0x08>(a, a);
                let first = _mm256_zextsi128_si256(_mm_cvtsi32_si128(i32::from(first as u16)));
                _mm256_or_si256(_mm256_alignr_epi8::<14>(a, lower), first)
            };
        }
    };
}
pub(super) use {narrow_steps, step};

/// A step of one instruction on both halves of wide numbers.
macro_rules! halves {
    ($($name:ident($a:ident, $b:ident) = $body:expr;)*) => {
        $(
            #[inline(always)]
            fn $name([a0, a1]: [__m256i; 2], [b0, b1]: [__m256i; 2]) -> [__m256i; 2] {
                // SAFETY: AVX2 is there, as above.
                unsafe {
                    [{ let ($a, $b) = (a0, b0); $body }, { let ($a, $b) = (a1, b1); $body }]
                }
            }
        )*
    };
}

/// A bit for each number of a vector.
const BITS: [i16; 16] = {
    let mut bits = [0; 16];
    let mut l = 0;
    while l < 16 {
        bits[l] = 1_i16 << (l & 14) << (l & 1);
        l += 1;
    }
    bits
};

/// For each mask of eight, which word each of them takes: the next one.
static TAKEN: [[u8; 8]; 256] = {
    let mut taken = [[0; 8]; 256];
    let mut mask = 0;
    while mask < 256 {
        let (mut l, mut next) = (0, 0);
        while l < 8 {
            taken[mask][l] = next;
            next += (mask >> l & 1) as u8;
            l += 1;
        }
        mask += 1;
    }
    taken
};

/// All ones where a mask has a bit.
#[inline(always)]
fn spread(mask: Mask) -> __m256i {
    // SAFETY: 32 bytes are read from an array of 32; AVX2 is there, as above.
    unsafe {
        let bits = _mm256_loadu_si256(BITS.as_ptr().cast());
        _mm256_cmpeq_epi16(_mm256_and_si256(_mm256_set1_epi16(mask as i16), bits), bits)
    }
}

/// Both halves of sixteen numbers, each with its sign in 32 bits.
#[inline(always)]
fn both(a: __m256i) -> [__m256i; 2] {
    // SAFETY: AVX2 is there, as above.
    unsafe {
        [
            _mm256_cvtepi16_epi32(_mm256_castsi256_si128(a)),
            _mm256_cvtepi16_epi32(_mm256_extracti128_si256::<1>(a)),
        ]
    }
}

/// The symbols of eight that were found.
#[inline(always)]
fn symbols(found: __m256i) -> __m256i {
    // SAFETY: 16 bytes are read from an array of 16; AVX2 is there, as above.
    unsafe {
        let all = _mm256_broadcastsi128_si256(_mm_loadu_si128(SYMBOL_OF.as_ptr().cast()));
        let own = _mm256_and_si256(found, _mm256_set1_epi32(3));
        let next = _mm256_and_si256(_mm256_srli_epi32::<14>(found), _mm256_set1_epi32(12));
        // The upper bytes are 0, and so is the symbol that they choose.
        _mm256_shuffle_epi8(all, _mm256_or_si256(own, next))
    }
}

/// Which states of eight are below their range, of those that `of` is all ones for: all ones for each, and a bit.
#[inline(always)]
fn below(states: __m256i, of: __m256i) -> (__m256i, u8) {
    const { assert!(LOW == 1 << 16) };
    // SAFETY: AVX2 is there, as above.
    unsafe {
        let low = _mm256_cmpeq_epi32(_mm256_srli_epi32::<16>(states), _mm256_setzero_si256());
        let low = _mm256_and_si256(low, of);
        (low, _mm256_movemask_ps(_mm256_castsi256_ps(low)) as u8)
    }
}

/// Each state of eight, and behind it a word: those of the mask take the next one each.
#[inline(always)]
fn take(state: __m256i, mask: u8, words: &[[u8; 2]; 16], from: usize) -> __m256i {
    // SAFETY: 16 bytes are read from a slice of as many, and 8 from an array of 8; AVX2 is there, as above.
    unsafe {
        let next = _mm_loadl_epi64(TAKEN[usize::from(mask)].as_ptr().cast());
        let words = _mm_loadu_si128(words[from..from + 8].as_ptr().cast());
        let words = _mm256_permutevar8x32_epi32(_mm256_cvtepu16_epi32(words), _mm256_cvtepu8_epi32(next));
        _mm256_or_si256(_mm256_slli_epi32::<16>(state), words)
    }
}

impl Vectors for InHalves {
    narrow_steps! {}
    type Wide = [__m256i; 2];
    const HAS_MANY: bool = false;

    #[inline(always)]
    fn load_wide(row: &WideRow) -> [__m256i; 2] {
        // SAFETY: twice 32 bytes are read from an array of 64; AVX2 is there, as above.
        unsafe {
            let from = row.as_ptr();
            [_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(8).cast())]
        }
    }
    #[inline(always)]
    fn store_wide([low, high]: [__m256i; 2], row: &mut WideRow) {
        // SAFETY: twice 32 bytes are written to an array of 64; AVX2 is there, as above.
        unsafe {
            let to = row.as_mut_ptr();
            _mm256_storeu_si256(to.cast(), low);
            _mm256_storeu_si256(to.add(8).cast(), high);
        }
    }

    step! {
        splat_wide(value: i32) -> [__m256i; 2] = [_mm256_set1_epi32(value); 2];
        select(mask: Mask, a: __m256i, b: __m256i) -> __m256i = _mm256_blendv_epi8(b, a, spread(mask));
        narrow(a: [__m256i; 2]) -> __m256i = _mm256_permute4x64_epi64::<0xD8>(_mm256_packs_epi32(a[0], a[1]));
        truncate(a: [__m256i; 2]) -> __m256i = {
            // Without their upper halves numbers are not saturated.
            let zero = _mm256_setzero_si256();
            let (low, high) = (_mm256_blend_epi16::<0xAA>(a[0], zero), _mm256_blend_epi16::<0xAA>(a[1], zero));
            _mm256_permute4x64_epi64::<0xD8>(_mm256_packus_epi32(low, high))
        };
        pairs(a: __m256i, b: __m256i) -> [__m256i; 2] = {
            let (low, high) = (_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b));
            [_mm256_permute2x128_si256::<0x20>(low, high), _mm256_permute2x128_si256::<0x31>(low, high)]
        };
        multiply_add(sums: [__m256i; 2], pairs: [__m256i; 2], weights: [i16; 2]) -> [__m256i; 2] = {
            let [low, high] = weights;
            let weights = _mm256_set1_epi32(i32::from(low as u16) | i32::from(high) << 16);
            [
                _mm256_add_epi32(sums[0], _mm256_madd_epi16(pairs[0], weights)),
                _mm256_add_epi32(sums[1], _mm256_madd_epi16(pairs[1], weights)),
            ]
        };
        select_wide(mask: Mask, a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] = {
            let [low, high] = both(spread(mask));
            [_mm256_blendv_epi8(b[0], a[0], low), _mm256_blendv_epi8(b[1], a[1], high)]
        };
        is_larger(a: [__m256i; 2], b: [__m256i; 2]) -> Mask = {
            let low = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(a[0], b[0])));
            let high = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(a[1], b[1])));
            (low | high << 8) as Mask
        };
        magnitudes(residuals: [__m256i; 2]) -> [__m256i; 2] = {
            let most = _mm256_set1_epi32(MOST.into());
            [
                _mm256_min_epu32(_mm256_abs_epi32(residuals[0]), most),
                _mm256_min_epu32(_mm256_abs_epi32(residuals[1]), most),
            ]
        };
        // A float's exponent and its two highest bits count four an octave; that of 4 is 129.
        bucket(expected: [__m256i; 2]) -> [__m256i; 2] = {
            let four = _mm256_set1_epi32(4);
            let [low, high] = [_mm256_max_epi32(expected[0], four), _mm256_max_epi32(expected[1], four)];
            let low = _mm256_srli_epi32::<21>(_mm256_castps_si256(_mm256_cvtepi32_ps(low)));
            let high = _mm256_srli_epi32::<21>(_mm256_castps_si256(_mm256_cvtepi32_ps(high)));
            [_mm256_sub_epi32(low, _mm256_set1_epi32(4 * 129)), _mm256_sub_epi32(high, _mm256_set1_epi32(4 * 129))]
        };
        add_times(sums: [__m256i; 2], values: [__m256i; 2], factor: i16) -> [__m256i; 2] = {
            let factor = _mm256_set1_epi32(i32::from(factor as u16));
            [
                _mm256_add_epi32(sums[0], _mm256_madd_epi16(values[0], factor)),
                _mm256_add_epi32(sums[1], _mm256_madd_epi16(values[1], factor)),
            ]
        };
    }

    halves! {
        add_wide(a, b) = _mm256_add_epi32(a, b);
        subtract_wide(a, b) = _mm256_sub_epi32(a, b);
        multiply_wide(a, b) = _mm256_mullo_epi32(a, b);
        shift_bits_left(a, b) = _mm256_sllv_epi32(a, b);
        shift_bits_right(a, b) = _mm256_srlv_epi32(a, b);
        and_wide(a, b) = _mm256_and_si256(a, b);
    }

    #[inline(always)]
    fn widen(a: __m256i) -> [__m256i; 2] {
        both(a)
    }
    #[inline(always)]
    fn symbols(found: [__m256i; 2]) -> [__m256i; 2] {
        [symbols(found[0]), symbols(found[1])]
    }
    #[inline(always)]
    fn shift_wide_right<const BITS: u32>([low, high]: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: AVX2 is there, as above.
        unsafe {
            let by = _mm_cvtsi32_si128(BITS as i32);
            [_mm256_sra_epi32(low, by), _mm256_sra_epi32(high, by)]
        }
    }
    #[inline(always)]
    fn look_up(index: __m256i, table: &[u8; 32]) -> __m256i {
        // SAFETY: 16 bytes are read from each half of an array of 32; AVX2 is there, as above.
        unsafe {
            let from: *const __m128i = table.as_ptr().cast();
            let front = _mm256_broadcastsi128_si256(_mm_loadu_si128(from));
            let back = _mm256_broadcastsi128_si256(_mm_loadu_si128(from.add(1)));
            // The lowest four bits of a byte choose.
            let low = _mm256_shuffle_epi8(front, index);
            let high = _mm256_shuffle_epi8(back, _mm256_and_si256(index, _mm256_set1_epi16(15)));
            let chosen = _mm256_blendv_epi8(low, high, _mm256_cmpgt_epi16(index, _mm256_set1_epi16(15)));
            _mm256_and_si256(chosen, _mm256_set1_epi16(0xFF))
        }
    }
    #[inline(always)]
    fn look_up_flags(index: [__m256i; 2], table: &[u16; BUCKETS]) -> [__m256i; 2] {
        let mut found = [0; 16];
        Self::store_wide(index, &mut found);
        for found in &mut found {
            *found = table[(*found as u32 as usize).min(BUCKETS - 1)].into();
        }
        Self::load_wide(&found)
    }
    #[inline(always)]
    fn gather(data: &[i16], offsets: [__m256i; 2]) -> [__m256i; 2] {
        let Some(last) = data.len().checked_sub(2).and_then(|last| i32::try_from(last).ok()) else {
            return Self::splat_wide(0);
        };
        // SAFETY: no offset is beyond the last pair, and none negative, since they are compared without signs; AVX2 is there,
        // as above.
        unsafe {
            let last = _mm256_set1_epi32(last);
            let (low, high) = (_mm256_min_epu32(offsets[0], last), _mm256_min_epu32(offsets[1], last));
            let from = data.as_ptr().cast();
            [_mm256_i32gather_epi32::<2>(from, low), _mm256_i32gather_epi32::<2>(from, high)]
        }
    }
    #[inline(always)]
    fn find(tables: &[Marked], index: [__m256i; 2], states: [__m256i; 2]) -> [__m256i; 2] {
        let Some(last) = tables.len().checked_sub(2) else { return Self::splat_wide(0) };
        let (mut place_of, mut slot_of) = ([0; 16], [0; 16]);
        let tables = tables.as_ptr();
        // SAFETY: behind the table of any index is another one, since they are compared without signs. A table's first start is
        // not above any slot, so that from 1 to 16 of them are not, and the pair from the last of these on is in both. 32 bytes are
        // read from arrays of 32. AVX2 is there, as above.
        unsafe {
            let last = _mm256_set1_epi32(last as i32);
            // Bytes from the first table: an array of 32 each.
            let place = [
                _mm256_slli_epi32::<5>(_mm256_min_epu32(index[0], last)),
                _mm256_slli_epi32::<5>(_mm256_min_epu32(index[1], last)),
            ];
            Self::store_wide(place, &mut place_of);
            // Each slot where it was shifted to, behind all marks of its start, less 2^15.
            let behind = _mm256_set1_epi32(3 + (1 << 15));
            let slots = [
                _mm256_add_epi32(_mm256_slli_epi32::<2>(states[0]), behind),
                _mm256_add_epi32(_mm256_slli_epi32::<2>(states[1]), behind),
            ];
            Self::store_wide(slots, &mut slot_of);
            macro_rules! entry {
                ($l:expr) => {{
                    let table = tables.byte_add(place_of[$l] as u32 as usize);
                    let starts = _mm256_loadu_si256(table.cast());
                    let above = _mm256_cmpgt_epi16(starts, _mm256_set1_epi16(slot_of[$l] as i16));
                    // Two bits for each start.
                    let twice = _mm256_movemask_epi8(above).trailing_zeros() as usize;
                    table.byte_add(twice).cast::<i16>().sub(1).cast::<i32>().read_unaligned()
                }};
            }
            macro_rules! four {
                ($l:expr) => {
                    _mm_set_epi32(entry!($l + 3), entry!($l + 2), entry!($l + 1), entry!($l))
                };
            }
            [_mm256_set_m128i(four!(4), four!(0)), _mm256_set_m128i(four!(12), four!(8))]
        }
    }
    #[inline(always)]
    fn refill(states: [__m256i; 2], mask: Mask, words: &[[u8; 2]; 16]) -> ([__m256i; 2], usize) {
        let [low, high] = both(spread(mask));
        let (low, front) = below(states[0], low);
        let (high, back) = below(states[1], high);
        let after = front.count_ones() as usize;
        let [full, full_high] = [take(states[0], front, words, 0), take(states[1], back, words, after)];
        // SAFETY: AVX2 is there, as above.
        let states = unsafe {
            [_mm256_blendv_epi8(states[0], full, low), _mm256_blendv_epi8(states[1], full_high, high)]
        };
        (states, after + back.count_ones() as usize)
    }
    #[inline(always)]
    fn turn_over(values: &[Row; 64], out: &mut [[i16; 64]; 16]) {
        // SAFETY: AVX2 is there, as above.
        unsafe { turn_over(values, out) }
    }
}

/// As [`Vectors::turn_over`].
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn turn_over(values: &[Row; 64], out: &mut [[i16; 64]; 16]) {
    for group in 0..4 {
        let rows: &[Row; 16] = values[16 * group..].first_chunk().unwrap_or(&[[0; 16]; 16]);
        // Neighbours in pairs, fours, eights; then the halves of vectors.
        let [mut two, mut four, mut eight] = [[_mm256_setzero_si256(); 16]; 3];
        for i in 0..8 {
            let (a, b) = (InHalves::load(&rows[2 * i]), InHalves::load(&rows[2 * i + 1]));
            (two[2 * i], two[2 * i + 1]) = (_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b));
        }
        for i in 0..8 {
            let (a, b) = (two[i / 2 * 4 + i % 2], two[i / 2 * 4 + 2 + i % 2]);
            (four[2 * i], four[2 * i + 1]) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
        }
        for i in 0..8 {
            let (a, b) = (four[i / 4 * 8 + i % 4], four[i / 4 * 8 + 4 + i % 4]);
            (eight[2 * i], eight[2 * i + 1]) = (_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
        }
        for l in 0..8 {
            let (a, b) = (eight[l], eight[8 + l]);
            let (low, high) =
                (_mm256_permute2x128_si256::<0x20>(a, b), _mm256_permute2x128_si256::<0x31>(a, b));
            if let Some(to) = out[l][16 * group..].first_chunk_mut() {
                InHalves::store(low, to);
            }
            if let Some(to) = out[8 + l][16 * group..].first_chunk_mut() {
                InHalves::store(high, to);
            }
        }
    }
}
