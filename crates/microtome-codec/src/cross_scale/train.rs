//! From sample planes to a model: predictions by least squares, then expectations, then probabilities.
//!
//! Each stage runs the real walk with what the stages before it found, rounded as it will be stored: training sees
//! just what decoding will see.

use super::abreast::reads::Reads;
use super::abreast::{self, Order, Run};
use super::expectations;
use super::model;
use super::model::{
    AHEAD_AT, AHEAD_PIECES, BUCKETS, CHECKPOINTS, EDGE_TARGETS, Kind, Model, PARENT_TARGETS, PATCH, PIECES,
};
use super::predict::Aligned;
use super::rans::{SCALE, SCALE_BITS, SYMBOLS, Table};
use super::regression::{Gram, Lanewise};
use super::simd;
use super::solve::Place;
use super::stored::{MOST_AHEAD, MOST_EDGE};
use super::survey::{AHEAD_VALUES, PARENT_VALUES, Sums, Survey};
use crate::coefficients::Plane;
use crate::instructions::Set;

/// A plane to learn from.
#[derive(Debug, Clone)]
pub(super) struct Example {
    pub(super) plane: Plane,
    pub(super) aligned: Aligned,
}

/// A model of one kind of plane with all but its probabilities. Where there is little to learn from, it stays near the
/// model `prior`. It is for so many blocks of a `slide`.
pub(super) fn expecting(kind: Kind, prior: &Model, slide: f64, examples: &mut [Example]) -> Model {
    let (mut model, set) = (Model::blank(kind), Set::detect());
    match kind {
        Kind::Alone => {}
        Kind::Coarser => parent(&mut model, prior, slide, set, examples),
        Kind::Finer => gain(&mut model, prior, slide, set, examples),
    }
    edges(&mut model, prior, slide, kind, set, examples);
    ahead(&mut model, prior, slide, kind, set, examples);
    expectations::find(&mut model, prior, slide, kind, set, examples);
    model
}

/// Blocks that predictions are regressed on: less than twice as many, but for one pair of large planes.
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
fn survey(sums: Sums, model: &Model, kind: Kind, set: Set, examples: &[Example]) -> Survey {
    let mut survey = Survey { sums, weights: 0.0 };
    for example in one_in((blocks(examples) / SURVEYED).max(1), examples.iter()) {
        simd::survey(set, &mut survey, model, kind, example);
    }
    survey
}

/// Blocks of all examples.
pub(super) fn blocks(examples: &[Example]) -> usize {
    examples.iter().map(|e| e.plane.width * e.plane.height).sum()
}

/// Squares of errors that do not matter, of blocks that count for so many: what is half a step off is often coded alike.
fn unseen(examples: &[Example], k: usize, counted: f64) -> f64 {
    let step = examples.iter().map(|example| f64::from(example.plane.table[k])).fold(f64::INFINITY, f64::min);
    step * step / 2.0 * counted
}

fn parent(model: &mut Model, prior: &Model, slide: f64, set: Set, examples: &[Example]) {
    const SAMPLES: usize = PATCH * PATCH;
    let gram = Sums::Parent(Gram::new(SAMPLES, PARENT_VALUES));
    let Survey { sums: Sums::Parent(gram), weights: counted } =
        survey(gram, model, Kind::Coarser, set, examples)
    else {
        return;
    };
    let gram = gram.close();
    let factor = gram.factor(100.0);
    let times = slide / gram.observed();
    for target in 0..PARENT_TARGETS {
        let known = |i: usize| prior.parent[i / 2][target / 8][target % 8][i % 2];
        let place = |i| Place { one: 2048.0, known: known(i), most: i16::MAX };
        let value = SAMPLES + target;
        let weights = factor.solve(
            |i| gram.product(i, value),
            gram.square(value) + unseen(examples, target, counted),
            times,
            place,
        );
        for (i, weight) in weights.into_iter().enumerate() {
            model.parent[i / 2][target / 8][target % 8][i % 2] = weight;
        }
    }
}

fn gain(model: &mut Model, prior: &Model, slide: f64, set: Set, examples: &[Example]) {
    let sums = Sums::Gain(Lanewise::new());
    let Survey { sums: Sums::Gain(lanes), weights: counted } =
        survey(sums, model, Kind::Finer, set, examples)
    else {
        return;
    };
    let (times, lanes) = (slide / lanes.observed(), lanes.close());
    for (k, (gain, &known)) in model.gain.iter_mut().zip(&prior.gain).enumerate() {
        let place = |_| Place { one: 16384.0, known, most: i16::MAX };
        let product = |_| lanes.product(k, 0, 1);
        let weights = lanes.factor(k, 1e4).solve(
            product,
            lanes.product(k, 1, 1) + unseen(examples, k, counted),
            times,
            place,
        );
        weights.into_iter().for_each(|weight| *gain = weight);
    }
}

fn edges(model: &mut Model, prior: &Model, slide: f64, kind: Kind, set: Set, examples: &[Example]) {
    let lanes = Sums::Edges(Lanewise::new());
    let Survey { sums: Sums::Edges(lanes), weights: counted } = survey(lanes, model, kind, set, examples)
    else {
        return;
    };
    let (times, lanes) = (slide / lanes.observed(), lanes.close());
    for k in 0..EDGE_TARGETS {
        let known = |i: usize| prior.edges[i / 2][k / 8][k % 8][i % 2];
        let place = |i| Place { one: 4096.0, known: known(i), most: MOST_EDGE };
        let product = |i| lanes.product(k, i, 4);
        let weights = lanes.factor(k, 1000.0).solve(
            product,
            lanes.product(k, 4, 4) + unseen(examples, k, counted),
            times,
            place,
        );
        for (i, weight) in weights.into_iter().enumerate() {
            model.edges[i / 2][k / 8][k % 8][i % 2] = weight;
        }
    }
}

fn ahead(model: &mut Model, prior: &Model, slide: f64, kind: Kind, set: Set, examples: &[Example]) {
    let gram = Sums::Ahead(Gram::new(PIECES[AHEAD_PIECES - 1].0, AHEAD_VALUES));
    let Survey { sums: Sums::Ahead(gram), weights: counted } = survey(gram, model, kind, set, examples)
    else {
        return;
    };
    let (times, gram) = (slide / gram.observed(), gram.close());
    let all = gram.factor(1000.0);
    for (i, &(start, end)) in PIECES[..AHEAD_PIECES].iter().enumerate() {
        let factor = all.first(start);
        for target in start..end {
            let known = |source: usize| {
                let lanes = prior.ahead[AHEAD_AT[i] + source / 2].as_flattened();
                lanes[target - start][source % 2]
            };
            let product = |source| gram.product(source, target);
            let place = |source| Place { one: 4096.0, known: known(source), most: MOST_AHEAD };
            let weights =
                factor.solve(product, gram.square(target) + unseen(examples, target, counted), times, place);
            for (source, weight) in weights.into_iter().enumerate() {
                let lanes = model.ahead[AHEAD_AT[i] + source / 2].as_flattened_mut();
                lanes[target - start][source % 2] = weight;
            }
        }
    }
}

/// Observations of a context that its probabilities in the prior model are worth.
const PRIOR_SYMBOLS: f64 = 24.0;
/// Bits that a table of its own must save a slide: about what it takes.
const TABLE_BITS: f64 = 100.0;
/// The same of one width in it, and of a flag.
const WIDTH_BITS: f64 = 4.0;
const FLAG_BITS: f64 = 12.0;

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

/// Counts the symbols and flags of the examples.
pub(super) fn count(counter: &mut Counter, model: &Model, kind: Kind, examples: &mut [Example]) {
    let (mut scratch, mut reads, set) = (abreast::Scratch::default(), Reads::default(), Set::detect());
    for Example { plane, aligned } in examples {
        reads.clear();
        // Between all of its neighbours, as most blocks are.
        let run = Run { planes: std::slice::from_mut(plane), order: Order::InTurn, is_last: true, aligned };
        simd::encode_abreast(set, &mut reads, model, kind, run, &mut scratch);
        let Counter { tables, flags, raw } = counter;
        *raw += reads.tell(|table, symbol| match table.checked_sub(tables.len()) {
            None => tables[table][symbol] += 1,
            Some(flag) => flags[flag / BUCKETS][flag % BUCKETS][symbol & 1] += 1,
        });
    }
}

/// Gives a model the probabilities that were counted on the part `share` (0 to 1) of a slide: where that pays, others than those
/// of `prior`.
pub(super) fn probabilities(model: &mut Model, prior: &Model, counter: &Counter, share: f64) {
    model.widths.clone_from(&prior.widths);
    model.tables.clone_from(&prior.tables);
    for (context, counts) in counter.tables.iter().enumerate() {
        let total = f64::from(counts.iter().sum::<u32>());
        // Each symbol saves at most what it took.
        if total * f64::from(SCALE_BITS) <= TABLE_BITS * share {
            continue;
        }
        let before = probability(prior.tables[context]);
        let own = widths(&prior.widths[context], before, counts, share);
        let table = model::table(&own);
        let now = probability(table);
        let saved = |symbol: usize| f64::from(counts[symbol]) * (now[symbol] / before[symbol]).log2();
        let all = (0..SYMBOLS).filter(|&symbol| counts[symbol] > 0).map(saved).sum::<f64>();
        if all > TABLE_BITS * share {
            (model.widths[context], model.tables[context]) = (own, table);
        }
    }
    model.mark();
    for ((flags, counts), before) in model.flags.iter_mut().zip(&counter.flags).zip(&prior.flags) {
        for ((flag, counts), &before) in flags.iter_mut().zip(counts).zip(before) {
            *flag = self::flag(before, counts.map(f64::from), share);
        }
    }
}

/// What part of what is coded each symbol of a table is taken for.
fn probability(table: Table) -> [f64; SYMBOLS] {
    std::array::from_fn(|symbol| f64::from(table.interval(symbol).1) / f64::from(SCALE))
}

/// The widths of a table of its own, for symbols with the probabilities `before` that were counted.
fn widths(
    prior: &[u8; SYMBOLS],
    before: [f64; SYMBOLS],
    counts: &[u32; SYMBOLS],
    share: f64,
) -> [u8; SYMBOLS] {
    let total = f64::from(counts.iter().sum::<u32>());
    std::array::from_fn(|symbol| {
        let count = f64::from(counts[symbol]);
        let part = (count + PRIOR_SYMBOLS * before[symbol]) / (total + PRIOR_SYMBOLS);
        let own = (8.0 * (part * f64::from(SCALE)).max(1.0).log2()).round() as u8;
        // Widths are eighths of a bit. One that is off by so much costs half its square, in nats.
        let nats = f64::from(own.abs_diff(prior[symbol])) * std::f64::consts::LN_2 / 8.0;
        let costs = count.max(total * before[symbol]) * nats * nats / (2.0 * std::f64::consts::LN_2);
        if costs > WIDTH_BITS * share { own } else { prior[symbol] }
    })
}

/// The probability of "nothing follows", for so many times that nothing did and that something did.
fn flag(before: u16, [zeros, ones]: [f64; 2], share: f64) -> u16 {
    let scale = f64::from(SCALE);
    let part = (zeros + PRIOR_SYMBOLS * f64::from(before) / scale) / (zeros + ones + PRIOR_SYMBOLS);
    let own = ((part * scale).round() as u16).clamp(1, SCALE - 1);
    let gains = |own: u16, before: u16| (f64::from(own) / f64::from(before)).log2();
    let saved = zeros * gains(own, before) + ones * gains(SCALE - own, SCALE - before);
    if saved > FLAG_BITS * share { own } else { before }
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
