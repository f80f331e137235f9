//! Pixels to coefficients, each chosen by what it costs: in error and, under the slide's models, in bits.
//!
//! Quality counts as libjpeg's: a picture of the same number looks as good or a little better. A coefficient may lie a step off where that spares more bits than the
//! error is worth, and the rest of a block may be left to its prediction. Whoever decodes need not know.

use std::sync::LazyLock;

use super::ahead::Ahead;
use super::colour;
use super::dct;
use super::expect::{self, Expected, MOST};
use super::model::{BUCKETS, CHECKPOINTS, Model, PIECES, bucket_of, raw_bits};
use super::rans::{Machine, SCALE, SCALE_BITS, SYMBOLS, Table};
use super::simd;
use super::walk::{self, Coder, ESCAPE, Outlook, Setting};
use super::workspace::Workspace;
use crate::coefficients::{HuffmanTables, MAX_AC, MAX_DC, Plane, Statistics, Template, Tile};
use crate::instructions::Set;
use crate::turbo::Subsampling;
use crate::{Error, Rgb};

/// What a bit is worth in squared error, in squared steps.
const BIT_WORTH: f32 = 3000.0 / 65536.0;

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
        transform(Set::detect(), pixels, &mut workspace.tile);
        workspace.stream(&template)
    }
}

/// Coefficients to come, 16 times what they are: one plane's, block by block, zigzag order.
pub(super) type Targets = Vec<[i16; 64]>;

/// Transforms pixels for the planes of `tile`, whose size and sampling are set, and rounds them there.
pub(super) fn transform(set: Set, pixels: &Rgb, tile: &mut Tile) -> Vec<Targets> {
    let most = super::reference::most_sampling(&tile.planes);
    let planes = tile.planes.iter_mut().enumerate();
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
    plane: &mut Plane,
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
    let blocks = plane.coefficients.as_chunks_mut::<64>().0;
    for (i, (target, block)) in targets.iter_mut().zip(blocks).enumerate() {
        let (x, y) = (8 * (i % plane.width), 8 * (i / plane.width));
        let rows =
            std::array::from_fn(|row| samples[(y + row) * width + x..].first_chunk().unwrap_or(&[0; 8]));
        M::forward(rows, &[1 << 14; 64], target);
        round(target, &plane.table, block);
    }
}

/// What a width of [`SCALE`] costs, as error: made without logarithms, the same on all machines.
static COSTS: LazyLock<Vec<f32>> = LazyLock::new(|| {
    // log2 in 1/256 by repeated squaring of the mantissa in 2^-30.
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
    let bits = |width: u16| (SCALE_BITS * 256 - log2(u32::from(width.max(1)))) as f32 / 256.0;
    (0..=SCALE).map(|width| bits(width) * BIT_WORTH).collect()
});

/// What symbols and flags cost under a model, as error. Those of a table lie in one line of a cache.
#[derive(Debug, Clone)]
pub(super) struct Costs {
    symbols: Vec<[f32; SYMBOLS]>,
    /// That nothing follows, and that something does.
    flags: [[[f32; 2]; BUCKETS]; CHECKPOINTS],
}

impl Costs {
    pub(super) fn new(model: &Model) -> Self {
        let of = |width: u16| COSTS[usize::from(width.min(SCALE))];
        let symbols = |table: &Table| std::array::from_fn(|symbol| of(table.interval(symbol).1));
        Self {
            symbols: model.tables.iter().map(symbols).collect(),
            flags: model.flags.map(|flags| flags.map(|zero| [of(zero), of(SCALE.saturating_sub(zero))])),
        }
    }
}

/// Chooses the coefficients of a plane, and leaves it to others to code them.
pub(super) struct Chooser<'a> {
    targets: std::slice::Iter<'a, [i16; 64]>,
    steps: &'a [u16; 64],
    /// What a squared sixteenth of a coefficient weighs, in squared steps.
    weights: [f32; 64],
    costs: &'a Costs,
}

impl<'a> Chooser<'a> {
    /// For planes that are rounded to the nearest before.
    pub(super) fn new(targets: &'a [[i16; 64]], steps: &'a [u16; 64], costs: &'a Costs) -> Self {
        let weights = steps.map(|step| 1.0 / (16.0 * f32::from(step.max(1))).powi(2));
        Self { targets: targets.iter(), steps, weights, costs }
    }

    /// What coding a residual costs, as error.
    #[inline(always)]
    fn cost(&self, index: usize, raw: u32, value: i32) -> f32 {
        let top = value >> raw;
        let symbols = &self.costs.symbols[index];
        if raw == 0 && (-7..=7).contains(&top) {
            return symbols[walk::fold(top) % SYMBOLS];
        }
        let (symbol, plain) = match top {
            -7..=7 => (walk::fold(top), raw),
            _ => (ESCAPE, raw + 5 + 31 - (top.unsigned_abs().max(8) - 7).leading_zeros()),
        };
        symbols[symbol % SYMBOLS] + plain as f32 * BIT_WORTH
    }

    /// Squared error of `value` for a target, in squared steps.
    #[inline(always)]
    fn error(&self, k: usize, target: i16, value: i32) -> f32 {
        let off = (i32::from(target) - 16 * value * i32::from(self.steps[k])) as f32;
        off * off * self.weights[k]
    }

    #[inline(always)]
    fn choose<M: Machine, const N: usize>(
        &self,
        outlook: &Outlook<'_>,
        target: &[i16; 64],
        block: &mut [i16; 64],
    ) {
        let &Outlook { setting: Setting { model, kind, scale }, prediction, features } = outlook;
        let nearest = *block;
        let mut rest = [0; 64];
        let mut errors = [0.0; 64];
        for k in 0..64 {
            rest[k] = expect::whole_steps(prediction.steps[k]);
            errors[k] = self.error(k, target[k], rest[k].into());
        }
        if nearest == rest {
            // Nothing comes nearer, and hardly anything costs less.
            *block = rest;
            return;
        }
        // Error from each piece on, if the rest is left to its prediction.
        let mut left = [0.0; PIECES.len() + 1];
        for (i, &(start, end)) in PIECES.iter().enumerate().rev() {
            left[i] = left[i + 1] + errors[start..end].iter().sum::<f32>();
        }
        let mut expected = Expected::new(model, features);
        let mut sum = 0.0;
        let mut best = (f32::INFINITY, 0);
        let (mut ahead, mut found) = (Ahead::NEW, [0; 64]);
        for (i, &(start, end)) in PIECES.iter().enumerate() {
            if let Some(flags) = self.costs.flags.get(i) {
                let [ends, goes_on] = flags[bucket_of(expected.flag(i))];
                let end_here = sum + left[i] + ends;
                if end_here < best.0 {
                    best = (end_here, start);
                }
                sum += goes_on;
            }
            if sum >= best.0 {
                break;
            }
            expected.begin::<N>(model, features, &prediction.steps, &found, i);
            let piece = ahead.piece::<M>(outlook, i);
            let mut values = [0; 16];
            for k in start..end {
                let at = k - start;
                let bucket = bucket_of(expected.of(i, k));
                let raw = raw_bits(bucket);
                let index = usize::from(piece.tables[at]) + bucket * kind.fractions();
                let place = Place { k, index, raw, known: piece.known[at], negative: piece.steps[at] < 0 };
                let (chosen, cost) = self.one(&place, target[k], nearest[k]);
                (values[at], block[k]) = (chosen, chosen);
                sum += cost;
                let residual = i32::from(chosen) - i32::from(piece.known[at]);
                if residual != 0 {
                    let magnitude = residual.unsigned_abs().min(MOST.into()) as i16;
                    found[k] = magnitude;
                    expected.learn(model, i, k, magnitude);
                }
            }
            ahead.learn::<M>(i, &values, &piece, scale);
        }
        let from = if sum < best.0 { 64 } else { best.1 };
        block[from..].copy_from_slice(&rest[from..]);
    }

    /// The best value of a coefficient, and its error and bits together.
    #[inline(always)]
    fn one(&self, place: &Place, target: i16, nearest: i16) -> (i16, f32) {
        let (lower, known) = (nearest - nearest.signum(), place.known);
        let mut best = (nearest, self.both(place, target, nearest));
        for (value, is_new) in [(lower, lower != nearest), (known, known != nearest && known != lower)] {
            if is_new {
                let both = self.both(place, target, value);
                if both < best.1 {
                    best = (value, both);
                }
            }
        }
        best
    }

    /// Error and bits of a value together. Not a closure of [`Self::one`], which compilers leave outside.
    #[inline(always)]
    fn both(&self, place: &Place, target: i16, value: i16) -> f32 {
        let &Place { k, index, raw, known, negative } = place;
        let residual = i32::from(value) - i32::from(known);
        let turned = if negative { -residual } else { residual };
        self.error(k, target, value.into()) + self.cost(index, raw, turned)
    }
}

/// A coefficient about to be chosen.
struct Place {
    k: usize,
    /// Its table, and the plain bits of its bucket.
    index: usize,
    raw: u32,
    /// Its prediction, and whether that is negative.
    known: i16,
    negative: bool,
}

/// Rounds targets to the nearest, half a step to the larger size. With no conversion to integers, which compilers make one by one.
#[inline(always)]
fn round(target: &[i16; 64], steps: &[u16; 64], nearest: &mut [i16; 64]) {
    /// From here on a float's last bit is one.
    const ONES: f32 = (1_u32 << 23) as f32;
    /// So much more that a half is beyond the middle; what is below it is so by a 2^15th and more.
    const MORE: f32 = 1.0 + 1.0 / (1_u32 << 20) as f32;
    for k in 0..64 {
        let most = if k == 0 { MAX_DC } else { MAX_AC };
        let size = f32::from(target[k].unsigned_abs()) / (16.0 * f32::from(steps[k].max(1)));
        let size = ((size * MORE + ONES).to_bits() & 0xFFFF) as i32;
        let sign = i32::from(target[k] >> 15);
        nearest[k] = ((size.min(most.into()) ^ sign) - sign) as i16;
    }
}

impl Coder for Chooser<'_> {
    const DECODES: bool = false;
    const CODES: bool = false;
    #[inline(always)]
    fn prepare<M: Machine, const N: usize>(&mut self, outlook: &Outlook<'_>, block: &mut [i16; 64]) {
        if let Some(target) = self.targets.next() {
            self.choose::<M, N>(outlook, target, block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_rounded_to_the_nearest_and_halves_up() {
        for step in (1..=255).chain([256, 1_000, 2_047, 2_048, 4_097, 32_767, 65_535_u16]) {
            for from in (i16::MIN..=i16::MAX).step_by(64) {
                let target = std::array::from_fn(|k| from.wrapping_add(k as i16));
                let mut nearest = [0; 64];
                round(&target, &[step; 64], &mut nearest);
                for (k, (&target, &nearest)) in target.iter().zip(&nearest).enumerate() {
                    let (size, step) = (i32::from(target).abs(), i32::from(step));
                    let most = i32::from(if k == 0 { MAX_DC } else { MAX_AC });
                    let expected = ((size + 8 * step) / (16 * step)).min(most) * i32::from(target.signum());
                    assert_eq!(i32::from(nearest), expected, "{target} in steps of {step}");
                }
            }
        }
    }
}
