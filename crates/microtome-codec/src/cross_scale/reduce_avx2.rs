//! Finer samples reduced with AVX2.
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;

use super::predict::AT_ONCE;

const _: () = assert!(AT_ONCE == 16);

/// As [`super::predict::inner`].
#[target_feature(enable = "avx2")]
pub(super) fn inner<const X: bool, const Y: bool>([a, b, c]: [&[u8]; 3], from: usize, out: &mut [i16]) {
    let length = 2 * out.len() + usize::from(X);
    let (a, b, c) = (&a[from..from + length], &b[from..from + length], &c[from..from + length]);
    for (i, out) in out.as_chunks_mut::<AT_ONCE>().0.iter_mut().enumerate() {
        let at = 2 * AT_ONCE * i;
        let (a, b) = (along::<X>(a, at), along::<X>(b, at));
        let ab = _mm256_add_epi16(a, b);
        let all = match Y {
            true => _mm256_add_epi16(ab, _mm256_add_epi16(b, along::<X>(c, at))),
            false => _mm256_add_epi16(ab, ab),
        };
        let quarters = _mm256_srli_epi16::<2>(_mm256_add_epi16(all, _mm256_set1_epi16(2)));
        store(out, _mm256_sub_epi16(quarters, _mm256_set1_epi16(512)));
    }
}

/// Four times the samples of a row from `at` on, two or three together.
#[inline]
#[target_feature(enable = "avx2")]
fn along<const X: bool>(row: &[u8], at: usize) -> __m256i {
    let ab = load(row, at);
    if !X {
        return _mm256_maddubs_epi16(ab, _mm256_set1_epi16(0x0202));
    }
    let c = _mm256_srli_epi16::<8>(load(row, at + 1));
    _mm256_add_epi16(_mm256_maddubs_epi16(ab, _mm256_set1_epi16(0x0201)), c)
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(row: &[u8], at: usize) -> __m256i {
    let bytes: &[u8; 2 * AT_ONCE] = row[at..].first_chunk().unwrap_or(&[0; 2 * AT_ONCE]);
    // SAFETY: 32 bytes are read from an array of 32.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(to: &mut [i16; AT_ONCE], value: __m256i) {
    // SAFETY: 32 bytes are written to an array of 32.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), value) }
}
