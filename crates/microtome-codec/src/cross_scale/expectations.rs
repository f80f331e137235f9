//! What a model expects of magnitudes, by least squares: each piece's from the blocks in which it is coded.
//!
//! Not here: predictions, which come before (`train`), and how expectations are used (`expect`).

use super::ahead::Prediction;
use super::expect::{self, Features, MOST};
use super::model::{BLOCK_FEATURES, CHECKPOINTS, FLAG_LANE, Kind, LANE_FEATURES, Model, PIECES};
use super::plane::{Area, Scratch};
use super::regression::{Gram, Lanewise, STRIDE};
use super::simd;
use super::train::{Example, Grain, blocks, one_in, real};
use super::walk::{Coder, Outlook};
use crate::instructions::Set;

/// Blocks that are regressed on: never twice as many.
const REGRESSED: usize = 32_000;

/// Observations of size 1 that draw weights to 0.
const RIDGE: f64 = 4.0;

/// Places of an observation's values, of which all have 1, the block's features and the magnitudes up to the end of a piece;
/// then its lanes' own features, and what follows it.
const MAGNITUDE: usize = 1 + BLOCK_FEATURES;
const WIDEST: usize = 128;

/// A sum of magnitudes nearby that makes a block count for half as much as one without any, of each two values multiplied
/// a quarter: where magnitudes are large, so are errors, which squares would let outweigh all others.
const HALF: f32 = 16.0;

/// Where the values of a piece's own features begin, and those of the sum that follows it.
const fn places((start, end): (usize, usize)) -> [usize; 2] {
    let own = MAGNITUDE + end;
    [own, own + LANE_FEATURES * (end - start)]
}

/// Collects what expectations are regressed on.
pub(super) struct Observer {
    /// Of what is known before the first piece, for its flag.
    before: Gram,
    /// Of blocks in which a piece is coded.
    pieces: [Gram; PIECES.len()],
    /// Of each lane's own features with each other, where it is coded.
    own: Lanewise<LANE_FEATURES, 64>,
}

impl Observer {
    fn new() -> Self {
        let piece = |piece| {
            let [own, follows] = places(piece);
            Gram::new(own, (follows + 1).next_multiple_of(STRIDE))
        };
        Self { before: Gram::new(MAGNITUDE, STRIDE), pieces: PIECES.map(piece), own: Lanewise::new() }
    }
}

impl Coder for Observer {
    const DECODES: bool = false;
    const CODES: bool = false;
    #[inline(always)]
    fn symbol(&mut self, _: &Model, _: usize, symbol: usize) -> usize {
        symbol
    }
    #[inline(always)]
    fn flag(&mut self, _: usize, _: usize, _: u16, flag: bool) -> bool {
        flag
    }
    #[inline(always)]
    fn raw(&mut self, _: u32, value: u32) -> u32 {
        value
    }
    #[inline(always)]
    fn block(&mut self, outlook: &Outlook<'_>, residuals: &[i16]) {
        let Outlook { features, prediction, .. } = outlook;
        let mut values = [0.0; WIDEST];
        values[0] = 1.0;
        for (value, &feature) in values[1..].iter_mut().zip(&features.block) {
            *value = f32::from(feature) / 1024.0;
        }
        let mut magnitudes = [0; 64];
        for (magnitude, residual) in magnitudes.iter_mut().zip(residuals) {
            *magnitude = residual.unsigned_abs().min(MOST.into());
        }
        for (value, &magnitude) in values[MAGNITUDE..].iter_mut().zip(&magnitudes) {
            *value = magnitude.into();
        }
        let (mut own, near) = own_features(features, prediction, residuals.len());
        let weight = HALF / (HALF + near / 2.0);
        values.iter_mut().for_each(|value| *value *= weight);
        own.as_flattened_mut().iter_mut().for_each(|value| *value *= weight);
        // What a piece and those behind it hold together, as flags are to tell it.
        let mut rest = [0.0; PIECES.len() + 1];
        for (i, &(start, end)) in PIECES.iter().enumerate().rev() {
            let sum: u16 = magnitudes[start..end].iter().map(|m| m.min(&3)).sum();
            rest[i] = rest[i + 1] + f32::from(sum);
        }
        let rest = rest.map(|rest| rest.min(MOST.into()) * weight);
        let mut known = [0.0; STRIDE];
        known[..MAGNITUDE].copy_from_slice(&values[..MAGNITUDE]);
        known[MAGNITUDE] = rest[0];
        self.before.observe(&known);
        for (i, (gram, piece)) in self.pieces.iter_mut().zip(PIECES).enumerate() {
            let ((start, end), [at, follows]) = (piece, places(piece));
            if end > residuals.len() {
                break;
            }
            let mut values = values;
            for (values, own) in values[at..follows].chunks_exact_mut(end - start).zip(&own) {
                values.copy_from_slice(&own[start..end]);
            }
            values[follows] = rest[i + 1];
            values[follows + 1..].fill(0.0);
            gram.observe(&values[..(follows + 1).next_multiple_of(STRIDE)]);
        }
        self.own.observe(&own);
    }
}

/// Features that the first `count` lanes have of their own, and the sum of all magnitudes nearby.
#[inline(always)]
fn own_features(
    features: &Features,
    prediction: &Prediction,
    count: usize,
) -> ([[f32; 64]; LANE_FEATURES], f32) {
    let near: [u8; 66] = std::array::from_fn(|k| if k == 0 || k > 64 { 0 } else { features.near(k - 1) });
    let mut own = [[0.0; 64]; LANE_FEATURES];
    for k in 0..64 {
        let predicted = prediction.steps[k];
        own[0][k] = near[k + 1].into();
        own[1][k] = (near[k] + near[k + 2]).into();
        own[2][k] = f32::from(expect::size_of(predicted)) / 32.0;
        own[3][k] = expect::fraction_of(predicted).into();
    }
    own.iter_mut().for_each(|own| own[count..].fill(0.0));
    (own, near.iter().map(|&near| u32::from(near)).sum::<u32>() as f32)
}

/// Finds what the lanes of a model expect.
pub(super) fn find(
    model: &mut Model,
    prior: &Model,
    grain: Grain,
    kind: Kind,
    set: Set,
    examples: &mut [Example],
) {
    let mut observer = Observer::new();
    let (mut scratch, every) = (Scratch::default(), (blocks(examples) / REGRESSED).max(1));
    for Example { plane, aligned } in one_in(every, examples.iter_mut()) {
        simd::observe(set, &mut observer, model, kind, aligned, Area::whole(plane), &mut scratch);
    }
    let Observer { before, pieces, own } = observer;
    let (before, own) = (before.close(), own.close());
    flag(model, prior, grain, 0, (&before, MAGNITUDE));
    for (i, ((start, end), gram)) in PIECES.into_iter().zip(pieces).enumerate() {
        let ([at, follows], gram) = (places((start, end)), gram.close());
        let all = gram.factor(RIDGE);
        for lane in start..end {
            let place = |own: usize| at + own * (end - start) + lane - start;
            let common = MAGNITUDE + lane;
            let mut factor = all.first(common);
            for i in 0..LANE_FEATURES {
                factor.push(|j| match j.checked_sub(common) {
                    None => gram.product(j, place(i)),
                    Some(j) => own.product(lane, i, j),
                });
            }
            let known = prior_weights(prior, lane, lane);
            let product = |i: usize| gram.product(i.checked_sub(common).map_or(i, place), common);
            lane_weights(model, prior, grain, lane, &factor.solve(product, |i| known[i]));
        }
        if i + 1 < CHECKPOINTS {
            flag(model, prior, grain, i + 1, (&gram, follows));
        }
    }
    model.arrange();
}

/// Finds what the flag at a checkpoint expects, which is the value `target` of the observations before it.
fn flag(model: &mut Model, prior: &Model, grain: Grain, checkpoint: usize, (gram, target): (&Gram, usize)) {
    let lane = FLAG_LANE + checkpoint;
    let known = prior_weights(prior, lane, PIECES[checkpoint].0);
    let weights = gram.factor(RIDGE).solve(|i| gram.product(i, target), |i| known[i]);
    lane_weights(model, prior, grain, lane, &weights);
}

/// Products that each lane sums up besides those of the block's own magnitudes.
fn products(lane: usize) -> usize {
    BLOCK_FEATURES + if lane < FLAG_LANE { LANE_FEATURES } else { 0 }
}

/// A lane's weights in a model, as [`lane_weights`] sets them, with those of `start` magnitudes.
fn prior_weights(prior: &Model, lane: usize, start: usize) -> Vec<f64> {
    let bias = f64::from(prior.bias.0[lane]) - products(lane) as f64 / 2.0;
    let block = prior.block.iter().map(|lanes| real(lanes.0[lane], 14));
    let inner = prior.inner[..start].iter().map(|lanes| real(lanes.0[lane], 8));
    let own = prior.own.iter().zip(OWN_UNITS).map(|(lanes, unit)| real(lanes.0[lane], 14) / unit);
    std::iter::once(bias / 256.0).chain(block).chain(inner).chain(own).collect()
}

/// As a feature the magnitudes beside are halved.
const OWN_UNITS: [f64; LANE_FEATURES] = [1.0, 2.0, 1.0, 1.0];

/// Sets a lane's weights: of 1, of the block's features, of the magnitudes before it, and of its own features, which a
/// checkpoint has none of.
fn lane_weights(model: &mut Model, prior: &Model, grain: Grain, lane: usize, weights: &[f64]) {
    let (common, own) = weights.split_at(if lane < FLAG_LANE { MAGNITUDE + lane } else { weights.len() });
    let (block, inner) = common[1..].split_at(BLOCK_FEATURES);
    // Each product's upper half is rounded down.
    let down = products(lane) as i16 / 2;
    let known = prior.bias.0[lane].saturating_sub(down);
    model.bias.0[lane] = grain.fixed(weights[0], 8, known, i16::MAX).saturating_add(down);
    // A feature of 1 is 1024, an expectation of 1 is 256, and the upper half counts.
    for ((lanes, known), &weight) in model.block.iter_mut().zip(&prior.block).zip(block) {
        lanes.0[lane] = grain.fixed(weight, 14, known.0[lane], i16::MAX);
    }
    for (((lanes, known), &weight), unit) in model.own.iter_mut().zip(&prior.own).zip(own).zip(OWN_UNITS) {
        lanes.0[lane] = grain.fixed(weight * unit, 14, known.0[lane], i16::MAX);
    }
    for ((lanes, known), &weight) in model.inner.iter_mut().zip(&prior.inner).zip(inner) {
        lanes.0[lane] = grain.fixed(weight, 8, known.0[lane], 2047);
    }
}
