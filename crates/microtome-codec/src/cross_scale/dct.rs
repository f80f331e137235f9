//! The two transforms that predictions rest on, in integers: coefficients to samples and samples to coefficients.
//!
//! The inverse is libjpeg's accurate integer one ("islow", jidctint.c), so that decoded planes are those that any JPEG
//! decoder shows; the forward one is a plain matrix product. Both are the specification's, bit for bit.

use super::rans::{Machine, Pairs};

/// Natural (row by row) position of the zigzag index (ITU-T T.81 figure A.6).
pub(super) const NATURAL: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];

type Lanes = [i32; 8];

#[inline(always)]
fn map2(a: Lanes, b: Lanes, f: impl Fn(i32, i32) -> i32) -> Lanes {
    let mut out = [0; 8];
    for i in 0..8 {
        out[i] = f(a[i], b[i]);
    }
    out
}

#[inline(always)]
fn add(a: Lanes, b: Lanes) -> Lanes {
    map2(a, b, i32::wrapping_add)
}

#[inline(always)]
fn sub(a: Lanes, b: Lanes) -> Lanes {
    map2(a, b, i32::wrapping_sub)
}

#[inline(always)]
fn times(a: Lanes, factor: i32) -> Lanes {
    map2(a, a, |a, _| a.wrapping_mul(factor))
}

/// One dimension of the inverse transform on eight columns (or rows) at once; `shift` is the final descaling.
#[inline(always)]
fn inverse_1d(x: [Lanes; 8], shift: u32) -> [Lanes; 8] {
    // Even part.
    let z1 = times(add(x[2], x[6]), 4433);
    let t2 = add(z1, times(x[6], -15137));
    let t3 = add(z1, times(x[2], 6270));
    let t0 = map2(x[0], x[4], |a, b| a.wrapping_add(b) << 13);
    let t1 = map2(x[0], x[4], |a, b| a.wrapping_sub(b) << 13);
    let (t10, t13, t11, t12) = (add(t0, t3), sub(t0, t3), add(t1, t2), sub(t1, t2));
    // Odd part.
    let (z1, z2, z3, z4) = (add(x[7], x[1]), add(x[5], x[3]), add(x[7], x[3]), add(x[5], x[1]));
    let z5 = times(add(z3, z4), 9633);
    let (z1, z2) = (times(z1, -7373), times(z2, -20995));
    let (z3, z4) = (add(times(z3, -16069), z5), add(times(z4, -3196), z5));
    let t0 = add(times(x[7], 2446), add(z1, z3));
    let t1 = add(times(x[5], 16819), add(z2, z4));
    let t2 = add(times(x[3], 25172), add(z2, z3));
    let t3 = add(times(x[1], 12299), add(z1, z4));
    let descale = |a: Lanes| map2(a, a, |a, _| a.wrapping_add(1 << (shift - 1)) >> shift);
    [
        descale(add(t10, t3)),
        descale(add(t11, t2)),
        descale(add(t12, t1)),
        descale(add(t13, t0)),
        descale(sub(t13, t0)),
        descale(sub(t12, t1)),
        descale(sub(t11, t2)),
        descale(sub(t10, t3)),
    ]
}

#[inline(always)]
fn transpose(x: [Lanes; 8]) -> [Lanes; 8] {
    let mut out = [[0; 8]; 8];
    for (i, row) in x.iter().enumerate() {
        for (j, &value) in row.iter().enumerate() {
            out[j][i] = value;
        }
    }
    out
}

/// The samples of a block without AC coefficients.
#[inline(always)]
pub(super) fn flat(dc: i16, step: u16) -> u8 {
    // The first pass leaves 4 * DC in the first row of each column, the second rounds it to DC / 8.
    let dc = i32::from(dc).wrapping_mul(i32::from(step));
    ((dc.wrapping_add(4) >> 3) + 128).clamp(0, 255) as u8
}

/// Samples of a block from its quantised coefficients and steps, both in zigzag order, as libjpeg's `jpeg_idct_islow`.
#[inline(always)]
fn inverse(coefficients: &[i16; 64], steps: &[u16; 64], out: &mut [[u8; 8]; 8]) {
    if coefficients[1..].iter().all(|&c| c == 0) {
        *out = [[flat(coefficients[0], steps[0]); 8]; 8];
        return;
    }
    let mut x = [[0; 8]; 8];
    for k in 0..64 {
        let natural = usize::from(NATURAL[k]);
        x[natural >> 3][natural & 7] = i32::from(coefficients[k]) * i32::from(steps[k]);
    }
    // libjpeg works in the range that a valid stream needs; what leaves it is clamped at the end, as there.
    let columns = inverse_1d(x, 11);
    let rows = transpose(inverse_1d(transpose(columns), 18));
    for (out, row) in out.iter_mut().zip(rows) {
        for (sample, value) in out.iter_mut().zip(row) {
            *sample = (value + 128).clamp(0, 255) as u8;
        }
    }
}

/// Samples of a row of blocks, eight lines of them.
#[inline(always)]
pub(super) fn inverse_row(blocks: &[[i16; 64]], steps: &[u16; 64], lines: &mut [u8]) {
    for (column, block) in blocks.iter().enumerate() {
        inverse_into(block, steps, lines, 8 * blocks.len(), column);
    }
}

/// Samples of the block at `column` into lines of `width`.
#[inline(always)]
pub(super) fn inverse_into(
    block: &[i16; 64],
    steps: &[u16; 64],
    lines: &mut [u8],
    width: usize,
    column: usize,
) {
    let mut samples = [[0; 8]; 8];
    inverse(block, steps, &mut samples);
    for (line, row) in lines.chunks_exact_mut(width).zip(&samples) {
        line[8 * column..8 * column + 8].copy_from_slice(row);
    }
}

/// 2^13 times the orthonormal DCT basis, for pairs of samples: `BASIS[pair][frequency]`.
pub(super) const BASIS: [Pairs; 4] = {
    const HALF: [[i16; 8]; 4] = [
        [2896, 4017, 3784, 3406, 2896, 2276, 1567, 799],
        [2896, 3406, 1567, -799, -2896, -4017, -3784, -2276],
        [2896, 2276, -1567, -4017, -2896, 799, 3784, 3406],
        [2896, 799, -3784, -2276, 2896, 3406, -1567, -4017],
    ];
    let mut basis = [[[0; 2]; 8]; 4];
    let mut x = 0;
    while x < 8 {
        let mut u = 0;
        while u < 8 {
            // The second half mirrors the first; odd frequencies change their sign.
            basis[x / 2][u][x % 2] = match (x < 4, u % 2) {
                (true, _) => HALF[x][u],
                (false, 0) => HALF[7 - x][u],
                (false, _) => -HALF[7 - x][u],
            };
            u += 1;
        }
        x += 1;
    }
    basis
};

#[inline(always)]
fn forward_1d<M: Machine>(rows: &[[i16; 8]; 8], shift: u32) -> [[i16; 8]; 8] {
    let mut out = [[0; 8]; 8];
    for (row, out) in rows.iter().zip(&mut out) {
        let mut sums = [1 << (shift - 1); 8];
        for (pair, basis) in row.as_chunks::<2>().0.iter().zip(&BASIS) {
            sums = M::multiply_add(sums, *pair, basis);
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = (sum >> shift) as i16;
        }
    }
    out
}

/// 16 times the DCT coefficients (JPEG's scale, zigzag order) of a block of samples given in quarters, -512 to 511, each
/// with its gain in 2^-14.
#[inline(always)]
pub(super) fn forward<M: Machine>(rows: [&[i16; 8]; 8], gain: &[i16; 64], out: &mut [i16; 64]) {
    let rows = forward_1d::<M>(&rows.map(|row| *row), 10);
    let mut columns = [[0; 8]; 8];
    for (i, row) in rows.iter().enumerate() {
        for (j, &value) in row.iter().enumerate() {
            columns[j][i] = value;
        }
    }
    let both = forward_1d::<M>(&columns, 14);
    for k in 0..64 {
        let natural = usize::from(NATURAL[k]);
        // `both` is transposed: its rows are horizontal frequencies.
        let value = i32::from(both[natural & 7][natural >> 3]);
        out[k] = ((value * i32::from(gain[k]) + (1 << 13)) >> 14) as i16;
    }
}
