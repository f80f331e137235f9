//! Predictions of a block's coefficients: from the coarser level's samples, the finer level's, and the blocks before it.
//!
//! Predictions are made in sixteenths of a coefficient and then in 1/32 of a quantiser step.

use super::model::{Model, PARENT_TARGETS, PATCH};
use super::rans::Machine;

/// Samples of a component, 0 to 255, row by row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Samples {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) data: Vec<u8>,
}

impl Samples {
    /// The row at `y`, or the one at the nearest edge.
    #[inline(always)]
    fn row(&self, y: i64) -> &[u8] {
        let y = y.clamp(0, self.height as i64 - 1) as usize;
        &self.data[y * self.width..(y + 1) * self.width]
    }
}

/// The sample of a row at `x`, or the one at the nearest edge.
#[inline(always)]
fn at(row: &[u8], x: i64) -> u8 {
    row[x.clamp(0, row.len() as i64 - 1) as usize]
}

/// Samples of another scale on a tile's own grid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Aligned {
    pub(super) width: usize,
    pub(super) data: Vec<i16>,
    /// Rows on their way.
    rows: Vec<i16>,
    row: Vec<u8>,
}

/// Taps of the cubic (Keys, a = -1/2) that moves samples by 0 to 15 sixteenths, of 256.
const CUBIC: [[i32; 4]; 16] = {
    let mut taps = [[0; 4]; 16];
    let mut phase = 0;
    while phase < 16 {
        // In 2^13: t = phase / 16, cubed in 2^12.
        let t = phase as i32;
        let a = -t * t * t + 2 * 16 * t * t - 256 * t;
        let b = 3 * t * t * t - 5 * 16 * t * t + 2 * 4096;
        let d = t * t * t - 16 * t * t;
        let (a, b, d) = ((a + 16) >> 5, (b + 16) >> 5, (d + 16) >> 5);
        taps[phase] = [a, b, 256 - a - b - d, d];
        phase += 1;
    }
    taps
};

/// Where a tile lies on its coarser tile: pixels of its own level from that tile's left (or upper) edge.
#[inline(always)]
fn position(offset: u32, sampling: u32) -> (i64, usize) {
    // A sample of the coarser component is 4 * sampling pixels.
    let unit = 4 * sampling;
    ((offset / unit) as i64, (offset % unit * 16 / unit) as usize)
}

impl Aligned {
    /// The coarser samples under `blocks` (across, down) of a tile, with two more on each side, in eighths around 0.
    #[inline(always)]
    pub(super) fn coarser(
        &mut self,
        parent: &Samples,
        offset: [u32; 2],
        sampling: [u32; 2],
        blocks: [usize; 2],
    ) {
        let (x0, phase_x) = position(offset[0], sampling[0]);
        let (y0, phase_y) = position(offset[1], sampling[1]);
        let [width, height] = blocks.map(|b| 2 * b + PATCH - 2);
        self.width = width;
        self.data.clear();
        self.data.resize(width * height, 0);
        let (tx, ty) = (&CUBIC[phase_x], &CUBIC[phase_y]);
        // Along rows first, in eighths.
        self.rows.clear();
        self.rows.resize(width * (height + 3), 0);
        for (y, out) in self.rows.chunks_exact_mut(width).enumerate() {
            let row = parent.row(y0 + y as i64 - 3);
            self.row.clear();
            // The edge goes on, to both sides.
            let before = (3 - x0).clamp(0, width as i64 + 3) as usize;
            let from = ((x0 - 3).max(0) as usize).min(row.len());
            let inner = &row[from..row.len().min(from + width + 3 - before)];
            self.row.resize(before, at(row, 0));
            self.row.extend_from_slice(inner);
            self.row.resize(width + 3, at(row, i64::MAX));
            for (out, near) in out.iter_mut().zip(self.row.windows(4)) {
                let sum: i32 = near.iter().zip(tx).map(|(&s, t)| i32::from(s) * t).sum();
                *out = (((sum + 16) >> 5) - 1024) as i16;
            }
        }
        for (y, out) in self.data.chunks_exact_mut(width).enumerate() {
            let lines = &self.rows[y * width..(y + 4) * width];
            let (a, rest) = lines.split_at(width);
            let (b, rest) = rest.split_at(width);
            let (c, d) = rest.split_at(width);
            for ((((out, &a), &b), &c), &d) in out.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                let sum =
                    i32::from(a) * ty[0] + i32::from(b) * ty[1] + i32::from(c) * ty[2] + i32::from(d) * ty[3];
                *out = ((sum + 128) >> 8) as i16;
            }
        }
    }

    /// The finer samples under a tile of `size` samples, reduced by two, in quarters around 0: from up to four tiles.
    #[inline(always)]
    pub(super) fn finer<M: Machine>(&mut self, children: &[Child<'_>], size: [usize; 2]) {
        let [width, height] = size;
        self.width = width;
        self.data.clear();
        self.data.resize(width * height, 0);
        for child in children {
            child.reduce_into::<M>(&mut self.data, size);
        }
    }
}

/// A finer tile's part in a tile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Child<'a> {
    pub(super) samples: &'a Samples,
    /// The child's sample that the tile's first sample begins at, in half samples; may be negative.
    pub(super) origin: [i64; 2],
    /// The tile's samples that this child gives: from (inclusive), to (exclusive).
    pub(super) from: [usize; 2],
    pub(super) to: [usize; 2],
}

impl Child<'_> {
    #[inline(always)]
    fn reduce_into<M: Machine>(&self, out: &mut [i16], [width, height]: [usize; 2]) {
        let half = self.origin.map(|o| o.rem_euclid(2) == 1);
        let [x0, y0] = self.origin.map(|o| o.div_euclid(2));
        let (from, to) = (self.from[0], self.to[0].min(width));
        if from >= to {
            return;
        }
        for y in self.from[1]..self.to[1].min(height) {
            let row = |i: i64| self.samples.row(y0 + 2 * y as i64 + i);
            let rows = [row(0), row(1), row(2)];
            let line = &mut out[y * width + from..y * width + to];
            let start = x0 + 2 * from as i64;
            match half {
                [false, false] => reduce::<M, false, false>(rows, start, line),
                [false, true] => reduce::<M, false, true>(rows, start, line),
                [true, false] => reduce::<M, true, false>(rows, start, line),
                [true, true] => reduce::<M, true, true>(rows, start, line),
            }
        }
    }
}

/// Samples reduced at once.
pub(super) const AT_ONCE: usize = 16;

/// Reduces three rows from their samples at `start` on, which may lie beyond an edge. `X` and `Y` say for each axis
/// whether the grids are half a sample apart.
#[inline(always)]
fn reduce<M: Machine, const X: bool, const Y: bool>(rows: [&[u8]; 3], start: i64, out: &mut [i16]) {
    let (all, length) = (out.len(), rows[0].len() as i64);
    // Those whose samples lie within the rows.
    let first = (1 - start).div_euclid(2).clamp(0, all as i64) as usize;
    let last = (length - i64::from(X) - start).div_euclid(2).clamp(first as i64, all as i64) as usize;
    let (first, last) = if last - first < AT_ONCE { (all, all) } else { (first, last) };
    if first < last {
        let at = |i: usize| (start + 2 * i as i64) as usize;
        M::reduce::<X, Y>(rows, at(first), &mut out[first..last]);
        // The last ones once more, rather than one by one.
        M::reduce::<X, Y>(rows, at(last - AT_ONCE), &mut out[last - AT_ONCE..last]);
    }
    for i in (0..first).chain(last..all) {
        let x = start + 2 * i as i64;
        let near = |row: &[u8]| ([[at(row, x), at(row, x + 1)]], [[at(row, x + 1), at(row, x + 2)]]);
        let ((a, d), (b, e), (c, f)) = (near(rows[0]), near(rows[1]), near(rows[2]));
        [out[i]] = reduced::<X, Y, 1>([&a, &b, &c], [&d, &e, &f]);
    }
}

/// Reduces as many of samples that all lie within the rows as can be at once; some may be left.
#[inline(always)]
pub(super) fn inner<const X: bool, const Y: bool>([a, b, c]: [&[u8]; 3], from: usize, out: &mut [i16]) {
    let rows = pairs(a, from).zip(pairs(b, from)).zip(pairs(c, from));
    let from = from + usize::from(X);
    let next = pairs(a, from).zip(pairs(b, from)).zip(pairs(c, from));
    let out = out.as_chunks_mut().0.iter_mut();
    for ((out, ((a, b), c)), ((d, e), f)) in out.zip(rows).zip(next) {
        *out = reduced::<X, Y, AT_ONCE>([a, b, c], [d, e, f]);
    }
}

/// The pairs of a row from a place on.
#[inline(always)]
fn pairs(row: &[u8], from: usize) -> std::slice::Iter<'_, [[u8; 2]; AT_ONCE]> {
    row[from..].as_chunks().0.as_chunks().0.iter()
}

/// Samples of two or three in each of two or three rows: the first pair and the second, which overlap.
#[inline(always)]
fn reduced<const X: bool, const Y: bool, const N: usize>(
    ab: [&[[u8; 2]; N]; 3],
    bc: [&[[u8; 2]; N]; 3],
) -> [i16; N] {
    // Both of a pair in 16 bits at once, as the compiler likes it.
    let sum = |pair: [u8; 2]| (u16::from_le_bytes(pair) & 255) + (u16::from_le_bytes(pair) >> 8);
    let mut out = [0; N];
    for i in 0..N {
        let row = |row: usize| sum(ab[row][i]) + sum(if X { bc[row][i] } else { ab[row][i] });
        let all = if Y { row(0) + 2 * row(1) + row(2) } else { 2 * (row(0) + row(1)) };
        out[i] = ((all + 2) >> 2) as i16 - 512;
    }
    out
}

/// Reciprocals of quantiser steps, in 2^-16.
#[inline(always)]
pub(super) fn reciprocals(steps: &[u16; 64]) -> [i32; 64] {
    steps.map(|step| ((1 << 16) + i32::from(step) / 2) / i32::from(step.max(1)))
}

/// 16 times the coefficients that the parent's patch at block (`column`, `row`) predicts.
#[inline(always)]
pub(super) fn from_patch<M: Machine>(
    model: &Model,
    aligned: &Aligned,
    column: usize,
    row: usize,
) -> [i16; PARENT_TARGETS] {
    let mut sums = [[1 << 9; 8]; PARENT_TARGETS / 8];
    let mut start = 2 * row * aligned.width + 2 * column;
    for weights in model.parent.as_chunks::<{ PATCH / 2 }>().0 {
        // Six lines are there. But a compiler that knew it would add up all pairs at once, and run out of registers.
        let Some(line) = aligned.data.get(start..).and_then(|line| line.first_chunk::<PATCH>()) else {
            debug_assert!(false, "a patch beyond the samples that were aligned");
            break;
        };
        start += aligned.width;
        for (pair, weights) in line.as_chunks::<2>().0.iter().zip(weights) {
            for (sums, weights) in sums.iter_mut().zip(weights) {
                *sums = M::multiply_add(*sums, *pair, weights);
            }
        }
    }
    let mut out = [0; PARENT_TARGETS];
    // Eighths of a sample times 2^11: 2^10 is a sixteenth.
    for (out, sum) in out.iter_mut().zip(sums.as_flattened()) {
        *out = (sum >> 10).clamp(-32768, 32767) as i16;
    }
    out
}

/// 16 times the coefficients that the finer samples of a block predict.
#[inline(always)]
pub(super) fn from_finer<M: Machine>(
    model: &Model,
    aligned: &Aligned,
    column: usize,
    row: usize,
) -> [i16; 64] {
    from_samples::<M>(model, &aligned.data, aligned.width, column, row)
}

/// The same of samples in rows of so many.
#[inline(always)]
pub(super) fn from_samples<M: Machine>(
    model: &Model,
    samples: &[i16],
    width: usize,
    column: usize,
    row: usize,
) -> [i16; 64] {
    let rows = std::array::from_fn(|y| {
        let start = (8 * row + y) * width + 8 * column;
        samples.get(start..).and_then(|samples| samples.first_chunk()).unwrap_or(&[0; 8])
    });
    let mut out = [0; 64];
    M::forward(rows, &model.gain, &mut out);
    out
}

/// A prediction in 1/32 of a step from one in sixteenths of a coefficient.
#[inline(always)]
pub(super) fn in_steps(sixteenths: i16, reciprocal: i32) -> i16 {
    ((i32::from(sixteenths) * reciprocal + (1 << 14)) >> 15).clamp(-32767, 32767) as i16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::simd;
    use super::*;
    use crate::instructions::Set;

    /// The specification's sum for a sample of a tile.
    fn plainly(child: &Child<'_>, x: usize, y: usize) -> i16 {
        let weights = |half: bool| if half { [1, 2, 1] } else { [2, 2, 0] };
        let [x_weights, y_weights] = child.origin.map(|o| weights(o.rem_euclid(2) == 1));
        let [x, y] = [(0, x), (1, y)].map(|(axis, at)| child.origin[axis].div_euclid(2) + 2 * at as i64);
        let mut sum = 2;
        for (j, y_weight) in (0..).zip(y_weights) {
            for (i, x_weight) in (0..).zip(x_weights) {
                sum += x_weight * y_weight * i16::from(at(child.samples.row(y + j), x + i));
            }
        }
        (sum >> 2) - 512
    }

    proptest! {
        #[test]
        fn reduced_samples_are_the_sums_of_the_specification(
            width in 1..90_usize,
            height in 1..6_usize,
            origin in [-100..100_i64, -12..12_i64],
            from in [0..50_usize, 0..4_usize],
            seed in any::<u8>(),
        ) {
            let data = (0..width * height).map(|i| (i * i * 31 % 253) as u8 ^ seed).collect();
            let samples = Samples { width, height, data };
            let size = [64, 8];
            let child = Child { samples: &samples, origin, from, to: size };
            for set in [Set::BASELINE, Set::detect()] {
                let mut aligned = Aligned::default();
                simd::finer(set, &mut aligned, &[child], size);
                for (i, &sample) in aligned.data.iter().enumerate() {
                    let (x, y) = (i % 64, i / 64);
                    let inside = x >= from[0] && y >= from[1];
                    prop_assert_eq!(sample, if inside { plainly(&child, x, y) } else { 0 });
                }
            }
        }
    }
}
