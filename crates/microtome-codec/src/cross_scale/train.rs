//! From sample planes to a model: predictions by least squares, then expectations, then probabilities.
//!
//! Each stage runs the real walk with what the stages before it found, rounded as it will be stored: training sees
//! just what decoding will see.

use super::expectations;
use super::model;
use super::model::{
    AHEAD_AT, AHEAD_PIECES, BUCKETS, CHECKPOINTS, EDGE_TARGETS, Kind, Model, PARENT_TARGETS, PATCH, PIECES,
};
use super::plane::{Area, Scratch};
use super::predict::Aligned;
use super::rans::{SCALE, SCALE_BITS, SYMBOLS};
use super::regression::{Gram, Lanewise};
use super::simd;
use super::stored::{MOST_AHEAD, MOST_EDGE};
use super::survey::{AHEAD_VALUES, PARENT_VALUES, Survey};
use super::walk::Coder;
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
    expectations::find(&mut model, prior, grain, kind, set, examples);
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
    pub(super) fn fixed(self, value: f64, bits: u32, prior: i16, most: i16) -> i16 {
        // Of what a magnitude adds to an expectation, and of where that begins, a 32nd; and about a 256th to a 1024th of all else.
        let coarse: u32 = if matches!(bits, 8 | 11) { 3 } else { 4 };
        let unit = f64::from(1_u32 << coarse.saturating_sub(self.halved));
        let units = ((value * f64::from(1_u32 << bits) - f64::from(prior)) / unit).round();
        (f64::from(prior) + units * unit).clamp(-f64::from(most), f64::from(most)) as i16
    }
}

/// Undoes [`Grain::fixed`].
pub(super) fn real(value: i16, bits: u32) -> f64 {
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
    let lanes = lanes.close();
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
    model.tables.clone_from(&prior.tables);
    for (context, counts) in counter.tables.iter().enumerate() {
        let total = f64::from(counts.iter().sum::<u32>());
        // Each symbol saves at most what it took.
        if total * f64::from(SCALE_BITS) <= worth {
            continue;
        }
        let before = |symbol: usize| f64::from(prior.tables[context].interval(symbol).1) / f64::from(SCALE);
        let own: [u8; SYMBOLS] = std::array::from_fn(|symbol| {
            let share =
                (f64::from(counts[symbol]) + PRIOR_SYMBOLS * before(symbol)) / (total + PRIOR_SYMBOLS);
            (8.0 * (share * f64::from(SCALE)).max(1.0).log2() + 0.5) as u8
        });
        let table = model::table(&own);
        let saved = |symbol: usize| {
            let now = f64::from(table.interval(symbol).1) / f64::from(SCALE);
            f64::from(counts[symbol]) * (now / before(symbol)).log2()
        };
        if (0..SYMBOLS).filter(|&symbol| counts[symbol] > 0).map(saved).sum::<f64>() > worth {
            (model.widths[context], model.tables[context]) = (own, table);
        }
    }
    model.mark();
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
    let cost = |width: u16| f64::from(SCALE_BITS) - f64::from(width).log2();
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
