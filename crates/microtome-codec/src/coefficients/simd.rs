//! The same code for each instruction set: what the compiler makes of it differs, the bits do not.

use super::header::Layout;
use super::huffman::Counts;
use super::parse::{self, Entropy};
use super::tokens::{self, Interval, Plain, Tokens};
#[cfg(target_arch = "x86_64")]
use super::tokens_avx512::Avx512;
use super::write::{self, Codes};
use super::{Geometry, Plane};
use crate::instructions::{Known, Set};

macro_rules! each_set {
    ($(#[$doc:meta])* $name:ident, $inner:path, $avx2:ident, [$($arg:ident: $type:ty),*] $(-> $out:ty)?) => {
        $(#[$doc])*
        pub(super) fn $name(set: Set, $($arg: $type),*) $(-> $out)? {
            match set.known() {
                Known::Baseline => $inner($($arg),*),
                // SAFETY: `Set` says so only where `detect` has found all of the features below.
                #[cfg(target_arch = "x86_64")]
                #[allow(unsafe_code, reason = "the features were detected")]
                Known::Avx2 | Known::Avx512 | Known::Vbmi2 => unsafe { $avx2($($arg),*) },
                #[cfg(target_arch = "aarch64")]
                Known::Neon => $inner($($arg),*),
            }
        }

        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
        fn $avx2($($arg: $type),*) $(-> $out)? {
            $inner($($arg),*)
        }
    };
}

/// Makes tokens of planes.
pub(super) fn tokenise(
    set: Set,
    layout: &Layout,
    geometry: &Geometry,
    planes: &[Plane],
    out: &mut Tokens,
) -> bool {
    match set.known() {
        Known::Baseline => tokens::tokenise::<Plain>(layout, geometry, planes, out),
        // SAFETY: `Set` says so only where `detect` has found all of the features below.
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code, reason = "the features were detected")]
        Known::Avx2 | Known::Avx512 => unsafe { tokenise_avx2(layout, geometry, planes, out) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code, reason = "the features were detected")]
        Known::Vbmi2 => unsafe { tokenise_avx512(layout, geometry, planes, out) },
        #[cfg(target_arch = "aarch64")]
        Known::Neon => tokens::tokenise::<Plain>(layout, geometry, planes, out),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn tokenise_avx2(layout: &Layout, geometry: &Geometry, planes: &[Plane], out: &mut Tokens) -> bool {
    tokens::tokenise::<Plain>(layout, geometry, planes, out)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,avx512bitalg,avx2,bmi1,bmi2,lzcnt,popcnt")]
fn tokenise_avx512(layout: &Layout, geometry: &Geometry, planes: &[Plane], out: &mut Tokens) -> bool {
    tokens::tokenise::<Avx512>(layout, geometry, planes, out)
}

each_set!(
    /// Counts symbols.
    count, tokens::count, count_avx2, [tokens: &Tokens, counts: &mut Counts]
);
each_set!(
    /// Makes bits of tokens.
    encode, write::encode, encode_avx2,
    [tokens: Interval<'_>, codes: &Codes, ones: bool, bits: &mut Vec<u8>] -> usize
);
each_set!(
    /// Appends bytes with a zero after every 0xFF.
    append_stuffed, write::append_stuffed, append_stuffed_avx2, [bytes: &[u8], out: &mut Vec<u8>]
);
each_set!(
    /// Decodes some MCUs.
    decode, parse::decode, decode_avx2,
    [entropy: &mut Entropy<'_>, mcus: std::ops::Range<usize>] -> Result<(), &'static str>
);

/// A bit for each coefficient that is not zero.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn nonzero(block: &[i16; 64]) -> u64 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi16, _mm_loadu_si128, _mm_movemask_epi8, _mm_packs_epi16, _mm_setzero_si128,
    };
    let (rows, _) = block.as_chunks::<16>();
    let zeros = |i: usize| {
        let (halves, _) = rows[i].as_chunks::<8>();
        // SAFETY: SSE2 is part of x86-64, and each load reads the 16 bytes of an array of 16.
        #[allow(unsafe_code, reason = "vector instructions")]
        let mask = unsafe {
            let zero = _mm_setzero_si128();
            let first = _mm_cmpeq_epi16(_mm_loadu_si128(halves[0].as_ptr().cast()), zero);
            let second = _mm_cmpeq_epi16(_mm_loadu_si128(halves[1].as_ptr().cast()), zero);
            _mm_movemask_epi8(_mm_packs_epi16(first, second))
        };
        u64::from(mask as u32) << (16 * i)
    };
    !(zeros(0) | zeros(1) | zeros(2) | zeros(3))
}

/// A bit for each coefficient that is not zero.
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
#[inline(always)]
pub(super) fn nonzero(block: &[i16; 64]) -> u64 {
    use std::arch::aarch64::{
        vandq_u8, vget_lane_u64, vget_low_u8, vld1q_s16, vld1q_u8, vpaddq_u8, vreinterpret_u64_u8,
        vreinterpretq_u8_u16, vtstq_s16, vuzp1q_u8,
    };
    static BITS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
    let (eights, _) = block.as_chunks::<8>();
    // SAFETY: NEON is part of what Rust calls AArch64, and each load reads the 16 bytes of an array of 16.
    #[allow(unsafe_code, reason = "vector instructions")]
    unsafe {
        let bits = vld1q_u8(BITS.as_ptr());
        let eight = |i: usize| {
            let values = vld1q_s16(eights[i].as_ptr());
            vreinterpretq_u8_u16(vtstq_s16(values, values))
        };
        let sixteen = |i: usize| vandq_u8(vuzp1q_u8(eight(2 * i), eight(2 * i + 1)), bits);
        // Three times two neighbours become one: eight bits of a byte each.
        let (front, back) = (vpaddq_u8(sixteen(0), sixteen(1)), vpaddq_u8(sixteen(2), sixteen(3)));
        let fours = vpaddq_u8(front, back);
        vget_lane_u64::<0>(vreinterpret_u64_u8(vget_low_u8(vpaddq_u8(fours, fours))))
    }
}

/// A bit for each coefficient that is not zero.
#[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little"))))]
#[inline(always)]
pub(super) fn nonzero(block: &[i16; 64]) -> u64 {
    nonzero_anywhere(block)
}

/// The same for machines whose vectors this module does not know.
#[cfg(any(test, not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little")))))]
#[inline(always)]
fn nonzero_anywhere(block: &[i16; 64]) -> u64 {
    let mut flags = [0_u8; 64];
    for (flag, &coefficient) in flags.iter_mut().zip(block) {
        *flag = u8::from(coefficient != 0);
    }
    // Brings the lowest bit of each byte together in the highest byte.
    flags.as_chunks().0.iter().rev().fold(0, |bits, &flags| {
        bits << 8 | u64::from_le_bytes(flags).wrapping_mul(0x0102_0408_1020_4080) >> 56
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_that_are_not_zero(
            halves in prop::array::uniform2(prop::array::uniform32(prop_oneof![Just(0_i16), any::<i16>()])),
        ) {
            let mut all = [0; 64];
            all.as_chunks_mut::<32>().0.copy_from_slice(&halves);
            let expected = (0..64).filter(|&k| all[k] != 0).fold(0, |bits, k| bits | 1 << k);
            prop_assert_eq!(nonzero(&all), expected);
            prop_assert_eq!(nonzero_anywhere(&all), expected);
        }
    }
}
