//! Edges of blocks with AVX2: errors brought into rows, then summed along both directions.
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;

use super::ahead::{MOST_OF_EDGES, PADDED, sixteen};
use super::dct::NATURAL;
use super::edges::{ENDS, Edge, Edges};
use super::piece_avx2::error;

/// Row `v` in the lower half, row `v + 4` in the upper one.
type Rows = [__m256i; 4];

/// Which bytes of the eight errors at `8 * i` in zigzag order go where in two rows: `ROWS[v][i]`.
static ROWS: [[[u8; 32]; 8]; 4] = {
    let mut rows = [[[0x80; 32]; 8]; 4];
    let mut k = 0;
    while k < 64 {
        let (row, column) = (NATURAL[k] as usize >> 3, NATURAL[k] as usize & 7);
        let at = row / 4 * 16 + 2 * column;
        rows[row % 4][k / 8][at] = (2 * (k % 8)) as u8;
        rows[row % 4][k / 8][at + 1] = (2 * (k % 8) + 1) as u8;
        k += 1;
    }
    rows
};

/// Whether two rows have any of the eight errors at `8 * i`.
const HAS: [[bool; 8]; 4] = {
    let mut has = [[false; 8]; 4];
    let mut k = 0;
    while k < 64 {
        has[NATURAL[k] as usize / 8 % 4][k / 8] = true;
        k += 1;
    }
    has
};

/// Heights, or slopes, of the ends by frequency, in both halves.
const ACROSS: [[i16; 16]; 2] = {
    let mut across = [[0; 16]; 2];
    let mut lane = 0;
    while lane < 16 {
        across[0][lane] = ENDS[lane % 8][0];
        across[1][lane] = ENDS[lane % 8][1];
        lane += 1;
    }
    across
};

/// The same by pairs of rows: 0 and 1 with 4 and 5 in the upper half, then 2 and 3 with 6 and 7.
const DOWN: [[[i16; 16]; 2]; 2] = {
    let mut down = [[[0; 16]; 2]; 2];
    let mut lane = 0;
    while lane < 16 {
        let row = lane / 8 * 4 + lane % 2;
        let mut of = 0;
        while of < 2 {
            down[0][of][lane] = ENDS[row][of];
            down[1][of][lane] = ENDS[row + 2][of];
            of += 1;
        }
        lane += 1;
    }
    down
};

/// As [`super::edges::of`].
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn of(coefficients: &[i16; 64], steps: &[i16; PADDED], known: &[i16; PADDED]) -> Edges {
    let values = coefficients.as_chunks().0;
    let known = |i: usize| load(sixteen(known, 16 * i));
    let has = |i: usize| _mm256_or_si256(load(&values[i]), known(i));
    let error = |i: usize| {
        let halves = _mm256_srai_epi16::<1>(known(i));
        error::<3>(load(&values[i]), load(sixteen(steps, 16 * i)), halves, MOST_OF_EDGES)
    };
    // Most blocks have nothing at high frequencies, and many nothing at all.
    let high = _mm256_or_si256(has(2), has(3));
    let rows = if _mm256_testz_si256(high, high) == 0 {
        rows(&[error(0), error(1), error(2), error(3)])
    } else {
        let low = _mm256_or_si256(has(0), has(1));
        if _mm256_testz_si256(low, low) != 0 {
            return Edges::NONE;
        }
        rows(&[error(0), error(1)])
    };
    Edges { right: right(&rows), lower: lower(&rows) }
}

/// The first errors in rows. Not by `map`, which has no vectors itself and would call its closure.
#[inline]
#[target_feature(enable = "avx2")]
fn rows<const N: usize>(errors: &[__m256i; N]) -> Rows {
    let mut rows = [_mm256_setzero_si256(); 4];
    for (i, &sixteen) in errors.iter().enumerate() {
        let halves = [_mm256_permute4x64_epi64::<0x44>(sixteen), _mm256_permute4x64_epi64::<0xEE>(sixteen)];
        for (i, eight) in (2 * i..).zip(halves) {
            for v in 0..4 {
                if HAS[v][i] {
                    // SAFETY: 32 bytes are read from an array of 32 bytes.
                    let places = unsafe { _mm256_loadu_si256(ROWS[v][i].as_ptr().cast()) };
                    rows[v] = _mm256_or_si256(rows[v], _mm256_shuffle_epi8(eight, places));
                }
            }
        }
    }
    rows
}

/// Sums along each row.
#[inline]
#[target_feature(enable = "avx2")]
fn right(rows: &Rows) -> Edge {
    edge(along_rows(rows, &ACROSS[0]), along_rows(rows, &ACROSS[1]))
}

#[inline]
#[target_feature(enable = "avx2")]
fn along_rows(&[a, b, c, d]: &Rows, ends: &[i16; 16]) -> __m256i {
    let ends = load(ends);
    let front = _mm256_hadd_epi32(_mm256_madd_epi16(a, ends), _mm256_madd_epi16(b, ends));
    let back = _mm256_hadd_epi32(_mm256_madd_epi16(c, ends), _mm256_madd_epi16(d, ends));
    _mm256_hadd_epi32(front, back)
}

/// Sums down each column.
#[inline]
#[target_feature(enable = "avx2")]
fn lower(&[a, b, c, d]: &Rows) -> Edge {
    let low = [_mm256_unpacklo_epi16(a, b), _mm256_unpacklo_epi16(c, d)];
    let high = [_mm256_unpackhi_epi16(a, b), _mm256_unpackhi_epi16(c, d)];
    edge(down_columns(low, high, 0), down_columns(low, high, 1))
}

/// Heights (0) or slopes (1) of the columns 0 to 3, `low`, and 4 to 7, `high`.
#[inline]
#[target_feature(enable = "avx2")]
fn down_columns(low: [__m256i; 2], high: [__m256i; 2], of: usize) -> __m256i {
    let (front, back) = (load(&DOWN[0][of]), load(&DOWN[1][of]));
    let low = _mm256_add_epi32(_mm256_madd_epi16(low[0], front), _mm256_madd_epi16(low[1], back));
    let high = _mm256_add_epi32(_mm256_madd_epi16(high[0], front), _mm256_madd_epi16(high[1], back));
    // The rows 0 to 3 lie in the lower halves, 4 to 7 in the upper ones.
    let upper_rows = _mm256_permute2x128_si256::<0x20>(low, high);
    _mm256_add_epi32(upper_rows, _mm256_permute2x128_si256::<0x31>(low, high))
}

/// Sums by frequency in 2^-13, rounded and saturated.
#[inline]
#[target_feature(enable = "avx2")]
fn edge(heights: __m256i, slopes: __m256i) -> Edge {
    // Four heights and their slopes in each half: in pairs they are in order.
    let by_four = _mm256_packs_epi32(whole(heights), whole(slopes));
    let in_pairs =
        _mm256_broadcastsi128_si256(_mm_set_epi8(15, 14, 7, 6, 13, 12, 5, 4, 11, 10, 3, 2, 9, 8, 1, 0));
    let mut edge = Edges::NONE.right;
    // SAFETY: 32 bytes are written to an array of 32 bytes, in which any bits are valid.
    unsafe { _mm256_storeu_si256(edge.as_mut_ptr().cast(), _mm256_shuffle_epi8(by_four, in_pairs)) };
    edge
}

#[inline]
#[target_feature(enable = "avx2")]
fn whole(sums: __m256i) -> __m256i {
    _mm256_srai_epi32::<13>(_mm256_add_epi32(sums, _mm256_set1_epi32(1 << 12)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(values: &[i16; 16]) -> __m256i {
    // SAFETY: 32 bytes are read from an array of 32 bytes.
    unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
}
