//! Pixels to coefficients, each chosen by what it costs: in error and, under the slide's models, in bits.
//!
//! Quality counts as libjpeg's: a picture of the same number looks as good or a little better. A coefficient may lie a step off where that spares more bits than the
//! error is worth, and the rest of a block may be left to its prediction. Whoever decodes need not know.

use super::ahead::Ahead;
use super::colour;
use super::dct;
use super::expect::{self, MOST};
use super::model::{FLAG_LANE, Lanes, Model, PIECES, bucket, raw_bits};
use super::rans::{Machine, SCALE, SCALE_BITS, Writer};
use super::simd::{self, Set};
use super::tile::Workspace;
use super::walk::{self, BEGINS, Coder, ESCAPE, Outlook};
use crate::coefficients::{HuffmanTables, MAX_AC, MAX_DC, Plane, Statistics, Template, Tile};
use crate::turbo::Subsampling;
use crate::{Error, Rgb};

/// Bits are counted in 1/256.
const BIT: i32 = 256;
/// What a bit is worth in squared error, of 1/2^16 of a squared step.
const BIT_WORTH: i64 = 3000;

/// Quantisation of pixels by libjpeg's measure of quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantiser {
    quality: u8,
    subsampling: Subsampling,
}

/// Luma steps at quality 50, row by row: Annex K's (table K.1), 1.2 * 16 * (step / 16)^0.6. Annex K's spare bits at high
/// frequencies that cost little here, where they are predicted (`docs/decisions/codec-1.md`).
const LUMA: [u16; 64] = [
    19, 15, 14, 19, 24, 33, 38, 43, 16, 16, 18, 21, 26, 42, 42, 40, 18, 17, 19, 24, 33, 41, 46, 41, 18, 20,
    23, 27, 38, 53, 50, 43, 21, 23, 32, 41, 46, 61, 59, 49, 24, 31, 40, 44, 51, 59, 62, 55, 38, 44, 50, 53,
    59, 65, 64, 58, 47, 55, 56, 57, 62, 58, 59, 57,
];
/// Chroma steps at quality 50: half of Annex K's (table K.2).
const CHROMA: [u16; 64] = [
    9, 9, 12, 24, 50, 50, 50, 50, 9, 11, 13, 33, 50, 50, 50, 50, 12, 13, 28, 50, 50, 50, 50, 50, 24, 33, 50,
    50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50,
    50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50,
];

impl Quantiser {
    /// Quality 1 to 100 as libjpeg counts; other values are taken for the nearest of these.
    #[must_use]
    pub fn new(quality: u8, subsampling: Subsampling) -> Self {
        Self { quality: quality.clamp(1, 100), subsampling }
    }

    /// Quantiser steps in zigzag order, scaled from those at quality 50 as libjpeg's `jpeg_set_quality` does.
    fn steps(self, base: &[u16; 64]) -> [u16; 64] {
        let quality = u32::from(self.quality);
        let percent = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
        std::array::from_fn(|k| {
            let step = u32::from(base[usize::from(dct::NATURAL[k])]);
            ((step * percent + 50) / 100).clamp(1, 255) as u16
        })
    }

    /// The template of its streams, with Huffman tables for `statistics`.
    ///
    /// # Errors
    /// None for the steps of this quantiser.
    pub fn template(self, statistics: &Statistics) -> Result<Template, Error> {
        Template::jfif(
            &self.steps(&LUMA),
            &self.steps(&CHROMA),
            self.subsampling,
            HuffmanTables::Fixed(statistics),
        )
    }
}

impl Quantiser {
    /// Pixels as a JPEG tile, every coefficient rounded to the nearest step: what models are trained on before there
    /// are any to ask.
    ///
    /// # Errors
    /// As [`Template::planes_for`] for pixels of no JPEG's size.
    pub fn plain(self, pixels: &Rgb, workspace: &mut Workspace) -> Result<Vec<u8>, Error> {
        let (luma, chroma) = (self.steps(&LUMA), self.steps(&CHROMA));
        let template = Template::jfif(&luma, &chroma, self.subsampling, HuffmanTables::Standard)?;
        workspace.prepare(&template, pixels)?;
        let targets = transform(Set::detect(), pixels, &workspace.tile);
        for (plane, targets) in workspace.tile.planes.iter_mut().zip(&targets) {
            nearest(targets, plane);
        }
        workspace.stream(&template)
    }
}

/// Coefficients to come, 16 times what they are: one plane's, block by block, zigzag order.
pub(super) type Targets = Vec<[i16; 64]>;

/// Transforms pixels for the planes of `tile`, whose size and sampling are set.
pub(super) fn transform(set: Set, pixels: &Rgb, tile: &Tile) -> Vec<Targets> {
    let most = super::tile::most_sampling(&tile.planes);
    let planes = tile.planes.iter().enumerate();
    let transformed = planes.map(|(index, plane)| {
        let mut targets = vec![];
        simd::transform(set, pixels, plane, index, most, &mut targets);
        targets
    });
    transformed.collect()
}

#[inline(always)]
pub(super) fn transform_plane<M: Machine>(
    pixels: &Rgb,
    plane: &Plane,
    index: usize,
    most: [u8; 2],
    targets: &mut Targets,
) {
    let [wide, high] =
        [most[0] / plane.horizontal.max(1), most[1] / plane.vertical.max(1)].map(|p| usize::from(p.max(1)));
    let (width, height) = (8 * plane.width, 8 * plane.height);
    let samples = colour::samples::<M>(pixels, index, [wide, high], [width, height]);
    targets.clear();
    targets.resize(plane.width * plane.height, [0; 64]);
    for (i, target) in targets.iter_mut().enumerate() {
        let (x, y) = (8 * (i % plane.width), 8 * (i / plane.width));
        let rows =
            std::array::from_fn(|row| samples[(y + row) * width + x..].first_chunk().unwrap_or(&[0; 8]));
        M::forward(rows, &[1 << 14; 64], target);
    }
}

/// Cost in 1/256 bit of a width of [`SCALE`], by width / 16: a table made without logarithms, the same on all machines.
struct Costs(Vec<u16>);

impl Costs {
    fn new() -> Self {
        // log2 by repeated squaring of the mantissa in 2^-30.
        let log2 = |value: u32| -> u32 {
            let whole = 31 - value.leading_zeros();
            let mut mantissa = (u64::from(value) << 30) >> whole;
            let mut fraction = 0;
            for bit in (0..8).rev() {
                mantissa = (mantissa * mantissa) >> 30;
                if mantissa >= 2 << 30 {
                    mantissa >>= 1;
                    fraction |= 1 << bit;
                }
            }
            whole * 256 + fraction
        };
        Self((0..=SCALE).map(|width| (SCALE_BITS * 256 - log2(u32::from(width.max(1)))) as u16).collect())
    }

    #[inline(always)]
    fn of(&self, width: u16) -> i32 {
        i32::from(self.0[usize::from(width)])
    }
}

/// A coder that chooses the coefficients and passes them on.
pub(super) struct Chooser<'a> {
    writer: &'a mut Writer,
    targets: std::slice::Iter<'a, [i16; 64]>,
    steps: &'a [u16; 64],
    /// What a squared sixteenth of a coefficient weighs, in 2^-32 of a squared step.
    weights: [i64; 64],
    costs: &'static Costs,
}

impl<'a> Chooser<'a> {
    pub(super) fn new(writer: &'a mut Writer, targets: &'a Targets, steps: &'a [u16; 64]) -> Self {
        static COSTS: std::sync::LazyLock<Costs> = std::sync::LazyLock::new(Costs::new);
        // A step is 16 sixteenths; 2^16 of error is a squared step.
        let weights = steps.map(|step| (1 << 24) / (i64::from(step) * i64::from(step)).max(1));
        Self { writer, targets: targets.iter(), steps, weights, costs: &COSTS }
    }

    /// What coding a residual costs, in 1/256 bit.
    #[inline(always)]
    fn cost(&self, model: &Model, index: usize, raw: u32, value: i32) -> i32 {
        let top = value >> raw;
        let raw = raw as i32 * BIT;
        let table = &model.tables[index];
        if (-7..=7).contains(&top) {
            return self.costs.of(table.interval(walk::fold(top)).1) + raw;
        }
        let length = 31 - (top.unsigned_abs().max(8) - 7).leading_zeros() as i32;
        self.costs.of(table.interval(ESCAPE).1) + (5 + length) * BIT + raw
    }

    /// Squared error in 2^-16 of a squared step of `value` for a target.
    #[inline(always)]
    fn error(&self, k: usize, target: i16, value: i32) -> i64 {
        let off = i64::from(target) - 16 * i64::from(value) * i64::from(self.steps[k]);
        (off * off * self.weights[k]) >> 16
    }

    #[inline(always)]
    fn choose<M: Machine, const N: usize>(
        &self,
        outlook: &Outlook<'_>,
        target: &[i16; 64],
        block: &mut [i16; 64],
    ) {
        let &Outlook { model, prediction, features, scale, .. } = outlook;
        let mut expected = Lanes::ZERO;
        expect::expect_flags(model, features, &mut expected);
        let rest: [i16; 64] = std::array::from_fn(|k| expect::whole_steps(prediction.steps[k]));
        // Error from each place on, if the rest is left to its prediction.
        let mut left = [0_i64; 65];
        for k in (0..64).rev() {
            left[k] = left[k + 1] + self.error(k, target[k], rest[k].into());
        }
        let mut sum = 0_i64;
        let mut best = (i64::MAX, 0);
        let mut ahead = Ahead::NEW;
        for (i, &(start, end)) in PIECES.iter().enumerate() {
            if let Some(flags) = model.flags.get(i) {
                let zero = flags[bucket(expected.0[FLAG_LANE + i])];
                let end_here = sum + left[start] + Self::bits(self.costs.of(zero));
                if end_here < best.0 {
                    best = (end_here, start);
                }
                sum += Self::bits(self.costs.of(SCALE - zero));
            }
            if sum >= best.0 {
                break;
            }
            if let Some(chunk) = BEGINS[i] {
                expect::begin(model, features, prediction.first::<N>(), chunk, &mut expected);
            }
            let piece = ahead.piece::<M>(model, prediction, scale, i);
            let mut values = [0; 16];
            for k in start..end {
                let at = k - start;
                let (chosen, cost) = self.one(outlook, &expected, k, piece.steps[at], target[k]);
                (values[at], block[k]) = (chosen as i16, chosen as i16);
                sum += cost;
                let residual = chosen - i32::from(piece.known[at]);
                if residual != 0 {
                    expect::learn(model, &mut expected, k, residual.unsigned_abs().min(MOST.into()) as u8);
                }
            }
            ahead.learn::<M>(i, &values, &piece, scale);
        }
        let from = if sum < best.0 { 64 } else { best.1 };
        block[from..].copy_from_slice(&rest[from..]);
    }

    #[inline(always)]
    fn bits(bits: i32) -> i64 {
        i64::from(bits) * BIT_WORTH / i64::from(BIT)
    }

    /// The best value of a coefficient, and its error and bits together.
    #[inline(always)]
    fn one(
        &self,
        outlook: &Outlook<'_>,
        expected: &Lanes,
        k: usize,
        predicted: i16,
        target: i16,
    ) -> (i32, i64) {
        let at = bucket(expected.0[k]);
        let index = walk::table_index(outlook.kind, k, at, expect::fraction_of(predicted));
        let raw = raw_bits(at);
        let known = i32::from(expect::whole_steps(predicted));
        let most = i32::from(if k == 0 { MAX_DC } else { MAX_AC });
        let (t, unit) = (i32::from(target), 16 * i32::from(self.steps[k]));
        let nearest = (t + if t < 0 { -unit / 2 } else { unit / 2 }) / unit;
        let lower = nearest - nearest.signum();
        let mut best = (0, i64::MAX);
        let candidates = [nearest, lower, known];
        // Most of the time they are all the same.
        let count = if nearest == 0 && known == 0 { 1 } else { 3 };
        for value in &candidates[..count] {
            let value = (*value).clamp(-most, most);
            let turned = if predicted < 0 { known - value } else { value - known };
            let cost =
                self.error(k, target, value) + Self::bits(self.cost(outlook.model, index, raw, turned));
            if cost < best.1 {
                best = (value, cost);
            }
        }
        best
    }
}

impl Coder for Chooser<'_> {
    const DECODES: bool = false;
    #[inline(always)]
    fn symbol(&mut self, index: usize, table: &super::rans::Table, symbol: usize) -> usize {
        Coder::symbol(self.writer, index, table, symbol)
    }
    #[inline(always)]
    fn flag(&mut self, checkpoint: usize, bucket: usize, zero: u16, flag: bool) -> bool {
        Coder::flag(self.writer, checkpoint, bucket, zero, flag)
    }
    #[inline(always)]
    fn raw(&mut self, bits: u32, value: u32) -> u32 {
        Coder::raw(self.writer, bits, value)
    }
    #[inline(always)]
    fn prepare<M: Machine, const N: usize>(&mut self, outlook: &Outlook<'_>, block: &mut [i16; 64]) {
        if let Some(target) = self.targets.next() {
            self.choose::<M, N>(outlook, target, block);
        }
    }
}

/// Rounds targets to the nearest.
fn nearest(targets: &Targets, plane: &mut Plane) {
    for (block, target) in plane.coefficients.as_chunks_mut::<64>().0.iter_mut().zip(targets) {
        for k in 0..64 {
            let unit = 16 * i32::from(plane.table[k]);
            let t = i32::from(target[k]);
            let most = i32::from(if k == 0 { MAX_DC } else { MAX_AC });
            block[k] = ((t + if t < 0 { -unit / 2 } else { unit / 2 }) / unit).clamp(-most, most) as i16;
        }
    }
}
