//! From sample planes to a model: predictions by least squares, then expectations, then probabilities.
//!
//! Each stage runs the real walk with what the stages before it found, rounded as it will be stored: training sees
//! just what decoding will see.

use super::ahead::PADDED;
use super::expect::{self, MOST};
use super::model;
use super::model::{
    AHEAD_AT, AHEAD_PIECES, BLOCK_FEATURES, BUCKETS, CHECKPOINTS, EDGE_TARGETS, FLAG_LANE, Kind,
    LANE_FEATURES, Model, PARENT_TARGETS, PATCH, PIECES,
};
use super::plane::{Area, Scratch};
use super::predict::Aligned;
use super::rans::{SCALE, SYMBOLS};
use super::regression::{Gram, Lanewise, STRIDE};
use super::simd;
use super::stored::{MOST_AHEAD, MOST_EDGE};
use super::survey::{AHEAD_VALUES, PARENT_VALUES, Survey};
use super::walk::{Coder, Outlook};
use crate::coefficients::Plane;
use crate::instructions::Set;

/// A plane to learn from.
#[derive(Debug, Clone)]
pub(super) struct Example {
    pub(super) plane: Plane,
    pub(super) aligned: Aligned,
}

/// A model of one kind of plane with all but its probabilities. Where there is little to learn from, it stays near the
/// model `prior`.
pub(super) fn expecting(kind: Kind, prior: &Model, grain: Grain, examples: &mut [Example]) -> Model {
    let (mut model, set) = (Model::blank(kind), Set::detect());
    match kind {
        Kind::Alone => {}
        Kind::Coarser => parent(&mut model, prior, grain, set, examples),
        Kind::Finer => gain(&mut model, prior, grain, set, examples),
    }
    edges(&mut model, prior, grain, kind, set, examples);
    ahead(&mut model, prior, grain, kind, set, examples);
    expectations(&mut model, prior, grain, kind, set, examples);
    model
}

/// How finely weights are stored: the fewer blocks a slide has, the fewer bytes they should take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grain {
    /// Units are halved so many times.
    halved: u32,
}

/// The coarsest units are for up to twice as many blocks; with each doubling they are halved.
const COARSE_BLOCKS: f64 = 30_000.0;

impl Grain {
    /// For a slide that has so many blocks of a kind.
    pub(super) fn of(blocks: f64) -> Self {
        Self { halved: (blocks / COARSE_BLOCKS).max(1.0).log2() as u32 }
    }

    /// A weight as it is stored, 1 being `1 << bits`: the prior's and so many units.
    fn fixed(self, value: f64, bits: u32, prior: i16, most: i16) -> i16 {
        // Of what a magnitude adds to an expectation, and of where that begins, a 32nd; and about a 256th to a 1024th of all else.
        let coarse: u32 = if matches!(bits, 8 | 11) { 3 } else { 4 };
        let unit = f64::from(1_u32 << coarse.saturating_sub(self.halved));
        let units = ((value * f64::from(1_u32 << bits) - f64::from(prior)) / unit).round();
        (f64::from(prior) + units * unit).clamp(-f64::from(most), f64::from(most)) as i16
    }
}

/// Undoes [`Grain::fixed`].
fn real(value: i16, bits: u32) -> f64 {
    f64::from(value) / f64::from(1_u32 << bits)
}

/// Blocks that predictions are regressed on: never twice as many.
const SURVEYED: usize = 32_000;

/// One in `n` of some examples, in pairs: of two chroma planes of a tile both or none.
pub(super) fn one_in<T>(n: usize, examples: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
    examples.enumerate().filter(move |(i, _)| (i / 2).is_multiple_of(n)).map(|(_, example)| example)
}

/// Examples in two halves, in pairs.
pub(super) fn halves(examples: Vec<Example>) -> (Vec<Example>, Vec<Example>) {
    let mut i = 0_usize;
    examples.into_iter().partition(|_| {
        i += 1;
        ((i - 1) / 2).is_multiple_of(2)
    })
}

/// Goes through blocks of the examples.
fn survey(mut survey: Survey, model: &Model, kind: Kind, set: Set, examples: &[Example]) -> Survey {
    for example in one_in((blocks(examples) / SURVEYED).max(1), examples.iter()) {
        simd::survey(set, &mut survey, model, kind, example);
    }
    survey
}

/// Blocks of all examples.
pub(super) fn blocks(examples: &[Example]) -> usize {
    examples.iter().map(|e| e.plane.width * e.plane.height).sum()
}

fn parent(model: &mut Model, prior: &Model, grain: Grain, set: Set, examples: &[Example]) {
    const SAMPLES: usize = PATCH * PATCH;
    let gram = Survey::Parent(Gram::new(SAMPLES, PARENT_VALUES));
    let Survey::Parent(gram) = survey(gram, model, Kind::Coarser, set, examples) else { return };
    let gram = gram.close();
    let factor = gram.factor(100.0);
    for target in 0..PARENT_TARGETS {
        let known = |i: usize| prior.parent[i / 2][target / 8][target % 8][i % 2];
        let weights = factor.solve(|i| gram.product(i, SAMPLES + target), |i| real(known(i), 11));
        for (i, weight) in weights.into_iter().enumerate() {
            model.parent[i / 2][target / 8][target % 8][i % 2] = grain.fixed(weight, 11, known(i), i16::MAX);
        }
    }
}

fn gain(model: &mut Model, prior: &Model, grain: Grain, set: Set, examples: &[Example]) {
    let sums = Survey::Gain(Box::new([(1e4, 1e4); 64]));
    let Survey::Gain(sums) = survey(sums, model, Kind::Finer, set, examples) else { return };
    for ((gain, &prior), (squares, products)) in model.gain.iter_mut().zip(&prior.gain).zip(*sums) {
        *gain = grain.fixed(products / squares, 14, prior, i16::MAX);
    }
}

fn edges(model: &mut Model, prior: &Model, grain: Grain, kind: Kind, set: Set, examples: &[Example]) {
    let lanes = Survey::Edges(Lanewise::new());
    let Survey::Edges(lanes) = survey(lanes, model, kind, set, examples) else { return };
    for k in 0..EDGE_TARGETS {
        let known = |i: usize| prior.edges[i / 2][k / 8][k % 8][i % 2];
        let weights = lanes.factor(k, 1000.0).solve(|i| lanes.product(k, i, 4), |i| real(known(i), 12));
        for (i, weight) in weights.into_iter().enumerate() {
            model.edges[i / 2][k / 8][k % 8][i % 2] = grain.fixed(weight, 12, known(i), MOST_EDGE);
        }
    }
}

fn ahead(model: &mut Model, prior: &Model, grain: Grain, kind: Kind, set: Set, examples: &[Example]) {
    let gram = Survey::Ahead(Gram::new(PIECES[AHEAD_PIECES - 1].0, AHEAD_VALUES));
    let Survey::Ahead(gram) = survey(gram, model, kind, set, examples) else { return };
    let gram = gram.close();
    let all = gram.factor(1000.0);
    for (i, &(start, end)) in PIECES[..AHEAD_PIECES].iter().enumerate() {
        let factor = all.first(start);
        for target in start..end {
            let known = |source: usize| {
                let lanes = prior.ahead[AHEAD_AT[i] + source / 2].as_flattened();
                lanes[target - start][source % 2]
            };
            let product = |source| gram.product(source, target);
            let weights = factor.solve(product, |source| real(known(source), 12));
            for (source, weight) in weights.into_iter().enumerate() {
                let lanes = model.ahead[AHEAD_AT[i] + source / 2].as_flattened_mut();
                lanes[target - start][source % 2] = grain.fixed(weight, 12, known(source), MOST_AHEAD);
            }
        }
    }
}

/// Blocks that expectations are regressed on: never twice as many.
const REGRESSED: usize = 32_000;

/// Places of an observation's values: 1, the block's features, the magnitudes, the lanes' own features, and what
/// follows each checkpoint.
const MAGNITUDE: usize = 1 + BLOCK_FEATURES;
const OWN: usize = MAGNITUDE + 64;
const FOLLOWS: usize = OWN + 64 * LANE_FEATURES;
const VALUES: usize = (FOLLOWS + CHECKPOINTS).next_multiple_of(STRIDE);

/// Collects what the lanes' expectations are regressed on.
pub(super) struct Observer {
    /// Of what all lanes have, which alone meets everything.
    gram: Gram,
    /// Of each lane's own features.
    own: Lanewise<LANE_FEATURES, 64>,
}

impl Coder for Observer {
    const DECODES: bool = false;
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
    fn block(&mut self, outlook: &Outlook<'_>, residuals: &[i16; PADDED]) {
        let Outlook { features, prediction, .. } = outlook;
        let mut values = [0.0_f32; VALUES];
        values[0] = 1.0;
        for (value, &feature) in values[1..].iter_mut().zip(&features.block) {
            *value = f32::from(feature) / 1024.0;
        }
        let mut near = [0.0; 66];
        let mut own = [[0.0; 64]; LANE_FEATURES];
        let mut magnitudes = [0; 64];
        for k in 0..64 {
            let predicted = prediction.steps[k];
            near[k + 1] = features.near(k).into();
            own[2][k] = f32::from(expect::size_of(predicted)) / 32.0;
            own[3][k] = expect::fraction_of(predicted).into();
            magnitudes[k] = residuals[k].unsigned_abs().min(MOST.into());
        }
        for k in 0..64 {
            own[0][k] = near[k + 1];
            own[1][k] = near[k] + near[k + 2];
            values[MAGNITUDE + k] = magnitudes[k].into();
        }
        values[OWN..FOLLOWS].copy_from_slice(own.as_flattened());
        let mut rest = 0;
        for (i, &(start, end)) in PIECES.iter().enumerate().rev() {
            rest += magnitudes[start..end].iter().map(|m| m.min(&3)).sum::<u16>();
            if i < CHECKPOINTS {
                values[FOLLOWS + i] = rest.min(MOST.into()).into();
            }
        }
        self.gram.observe(&values);
        self.own.observe(&own);
    }
}

fn expectations(
    model: &mut Model,
    prior: &Model,
    grain: Grain,
    kind: Kind,
    set: Set,
    examples: &mut [Example],
) {
    let mut observer = Observer { gram: Gram::new(OWN, VALUES), own: Lanewise::new() };
    let (mut scratch, every) = (Scratch::default(), (blocks(examples) / REGRESSED).max(1));
    for example in one_in(every, examples.iter_mut()) {
        simd::observe(
            set,
            &mut observer,
            model,
            kind,
            &example.aligned,
            Area::whole(&mut example.plane),
            &mut scratch,
        );
    }
    let (gram, own) = (observer.gram.close(), observer.own);
    let all = gram.factor(4.0);
    for lane in 0..FLAG_LANE + CHECKPOINTS {
        let checkpoint = lane.checked_sub(FLAG_LANE);
        let (start, target) = match checkpoint {
            None => (lane, MAGNITUDE + lane),
            Some(i) => (PIECES[i].0, FOLLOWS + i),
        };
        let common = MAGNITUDE + start;
        let mut factor = all.first(common);
        let place = |own: usize| OWN + 64 * own + lane;
        if checkpoint.is_none() {
            for i in 0..LANE_FEATURES {
                factor.push(|j| match j.checked_sub(common) {
                    None => gram.product(j, place(i)),
                    Some(j) => own.product(lane, i, j),
                });
            }
        }
        let before = prior_weights(prior, lane, start);
        let product = |i: usize| gram.product(i.checked_sub(common).map_or(i, place), target);
        lane_weights(model, prior, grain, lane, &factor.solve(product, |i| before[i]));
    }
    model.arrange();
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

/// Observations of a context that its probabilities in the prior model are worth.
const PRIOR_SYMBOLS: f64 = 24.0;
/// Bits that a table of its own must save a slide: about what it takes.
const TABLE_BITS: f64 = 80.0;

/// Counts of symbols and flags.
#[derive(Debug, Clone)]
pub(super) struct Counter {
    pub(super) tables: Vec<[u32; SYMBOLS]>,
    pub(super) flags: Vec<[[u32; 2]; BUCKETS]>,
    /// Plain bits.
    pub(super) raw: u64,
}

impl Counter {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            tables: vec![[0; SYMBOLS]; kind.tables()],
            flags: vec![[[0; 2]; BUCKETS]; CHECKPOINTS],
            raw: 0,
        }
    }
}

impl Coder for Counter {
    const DECODES: bool = false;
    fn symbol(&mut self, _: &Model, index: usize, symbol: usize) -> usize {
        self.tables[index][symbol] += 1;
        symbol
    }
    fn flag(&mut self, checkpoint: usize, bucket: usize, _: u16, flag: bool) -> bool {
        self.flags[checkpoint][bucket][usize::from(flag)] += 1;
        flag
    }
    fn raw(&mut self, bits: u32, value: u32) -> u32 {
        self.raw += u64::from(bits);
        value
    }
}

/// Counts the symbols and flags of the examples.
pub(super) fn count(counter: &mut Counter, model: &Model, kind: Kind, examples: &mut [Example]) {
    let (mut scratch, set) = (Scratch::default(), Set::detect());
    for example in examples {
        simd::tally(
            set,
            counter,
            model,
            kind,
            &example.aligned,
            Area::whole(&mut example.plane),
            &mut scratch,
        );
    }
}

/// Gives a model the probabilities that were counted on the part `share` (0 to 1) of a slide: where that pays, others than those
/// of `prior`.
pub(super) fn probabilities(model: &mut Model, prior: &Model, counter: &Counter, share: f64) {
    let worth = TABLE_BITS * share;
    model.widths.clone_from(&prior.widths);
    for (context, counts) in counter.tables.iter().enumerate() {
        let total = f64::from(counts.iter().sum::<u32>()) + PRIOR_SYMBOLS;
        let before = |symbol: usize| f64::from(prior.tables[context].interval(symbol).1) / f64::from(SCALE);
        let own: [u8; SYMBOLS] = std::array::from_fn(|symbol| {
            let share =
                (f64::from(counts[symbol]) + PRIOR_SYMBOLS * before(symbol)) / total * f64::from(SCALE);
            (8.0 * share.max(1.0).log2()).round() as u8
        });
        let table = model::table(&own);
        let saved =
            |symbol: usize| (f64::from(table.interval(symbol).1) / f64::from(SCALE) / before(symbol)).log2();
        if (0..SYMBOLS).map(|symbol| f64::from(counts[symbol]) * saved(symbol)).sum::<f64>() > worth {
            model.widths[context] = own;
        }
    }
    model.arrange();
    for ((flags, counts), before) in model.flags.iter_mut().zip(&counter.flags).zip(&prior.flags) {
        for ((flag, [zero, one]), &before) in flags.iter_mut().zip(counts).zip(before) {
            let known = PRIOR_SYMBOLS * f64::from(before) / f64::from(SCALE);
            let share = (f64::from(*zero) + known) / (f64::from(zero + one) + PRIOR_SYMBOLS);
            *flag = ((share * f64::from(SCALE)).round() as u16).clamp(1, SCALE - 1);
        }
    }
}

/// The ideal length in bits of what was counted, under a model.
pub(super) fn bits(model: &Model, counter: &Counter) -> f64 {
    let cost = |width: u16| f64::from(SCALE_LOG) - f64::from(width).log2();
    const SCALE_LOG: u32 = super::rans::SCALE_BITS;
    let mut sum = counter.raw as f64;
    for (table, counts) in model.tables.iter().zip(&counter.tables) {
        for (s, &count) in counts.iter().enumerate() {
            if count > 0 {
                sum += f64::from(count) * cost(table.interval(s).1);
            }
        }
    }
    for (flags, counts) in model.flags.iter().zip(&counter.flags) {
        for (&zero, [zeros, ones]) in flags.iter().zip(counts) {
            sum += f64::from(*zeros) * cost(zero) + f64::from(*ones) * cost(SCALE - zero);
        }
    }
    sum
}
