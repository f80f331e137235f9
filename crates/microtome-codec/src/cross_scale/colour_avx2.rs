//! Weighted pixels with AVX2, eight at a time.
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;

use super::colour;

/// Pixels at once, and those of each half of a register.
const EIGHT: usize = 8;
const FOUR: usize = 4;

/// Where red and green of four pixels go, in 16 bits each; and where blue and green.
const RED_GREEN: [u8; 16] = spread([0, 1]);
const BLUE_GREEN: [u8; 16] = spread([2, 1]);

const fn spread(two: [u8; 2]) -> [u8; 16] {
    let mut bytes = [0x80; 16];
    let mut i = 0;
    while i < 8 {
        bytes[2 * i] = 3 * (i as u8 / 2) + two[i % 2];
        i += 1;
    }
    bytes
}

/// As [`colour::weigh`], for weights of -32767 to 32768, green -65534 to 65536.
#[target_feature(enable = "avx2")]
pub(super) fn weigh(pixels: &[[u8; 3]], weights: [i32; 4], sums: &mut [i32]) {
    let count = pixels.len().min(sums.len());
    let (pixels, sums) = (&pixels[..count], &mut sums[..count]);
    // Negated, since 2^15 is a weight and -2^15 has 16 bits. Green weighs half with red and half with blue.
    let [red, green, blue, one] = weights;
    let red_green = pair(-red, -(green >> 1));
    let blue_green = pair(-blue, -(green - (green >> 1)));
    let mut done = 0;
    for sums in sums.as_chunks_mut::<EIGHT>().0 {
        let bytes = pixels[done..].as_flattened();
        // The second load takes four bytes more than its pixels have.
        let (Some(first), Some(second)) = (bytes.first_chunk(), bytes[3 * FOUR..].first_chunk()) else {
            break;
        };
        let both = _mm256_set_m128i(load(second), load(first));
        let a = _mm256_madd_epi16(_mm256_shuffle_epi8(both, in_both(&RED_GREEN)), red_green);
        let b = _mm256_madd_epi16(_mm256_shuffle_epi8(both, in_both(&BLUE_GREEN)), blue_green);
        let all = _mm256_sub_epi32(_mm256_set1_epi32(one), _mm256_add_epi32(a, b));
        add_to(sums, _mm256_srai_epi32::<2>(all));
        done += EIGHT;
    }
    colour::weigh(&pixels[done..], weights, &mut sums[done..]);
}

#[inline]
#[target_feature(enable = "avx2")]
fn pair(a: i32, b: i32) -> __m256i {
    _mm256_set1_epi32(a & 0xFFFF | b << 16)
}

#[inline]
#[target_feature(enable = "avx2")]
fn in_both(half: &[u8; 16]) -> __m256i {
    _mm256_broadcastsi128_si256(load(half))
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(from: &[u8; 16]) -> __m128i {
    // SAFETY: 16 bytes are read from an array of 16.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn add_to(sums: &mut [i32; EIGHT], values: __m256i) {
    let at = sums.as_mut_ptr().cast();
    // SAFETY: 32 bytes are read from and written to an array of 32.
    unsafe { _mm256_storeu_si256(at, _mm256_add_epi32(_mm256_loadu_si256(at), values)) }
}
