//! From sample planes to a model: predictions by least squares, then expectations, then probabilities.
//!
//! Each stage runs the real walk with what the stages before it found, rounded as it will be stored: training sees
//! just what decoding will see.

use super::expect::{Features, MOST};
use super::model::{
    BLOCK_FEATURES, BUCKETS, CAUSAL_SOURCES, CAUSAL_TARGETS, CHECKPOINTS, FLAG_LANE, FRACTIONS, Kind,
    LANE_FEATURES, Model, PARENT_TARGETS, PATCH, TABLES,
};
use super::plane::{self, Scratch};
use super::predict::{self, Aligned};
use super::rans::{Plain, SCALE, SYMBOLS, Table};
use super::regression::Regression;
use super::simd;
use super::walk::Coder;
use crate::coefficients::Plane;

/// A plane to learn from.
#[derive(Debug, Clone)]
pub(super) struct Example {
    pub(super) plane: Plane,
    pub(super) aligned: Aligned,
}

/// Trains the model of one kind of plane.
pub(super) fn train(kind: Kind, examples: &mut [Example]) -> Model {
    let mut model = Model::blank();
    match kind {
        Kind::Alone => {}
        Kind::Coarser => parent(&mut model, examples),
        Kind::Finer => gain(&mut model, examples),
    }
    causal(&mut model, kind, examples);
    expectations(&mut model, kind, examples);
    probabilities(&mut model, kind, examples);
    model
}

fn fixed(value: f64, bits: u32, most: i16) -> i16 {
    (value * f64::from(1_u32 << bits)).round().clamp(-f64::from(most), f64::from(most)) as i16
}

/// Calls `visit` with each block of the examples: the plane, its samples, column, row.
fn each_block(examples: &[Example], mut visit: impl FnMut(&Example, usize, usize, &[i16])) {
    for example in examples {
        for (i, block) in example.plane.coefficients.chunks_exact(64).enumerate() {
            visit(example, i % example.plane.width, i / example.plane.width, block);
        }
    }
}

fn parent(model: &mut Model, examples: &[Example]) {
    let mut regression = Regression::new(PATCH * PATCH, PARENT_TARGETS);
    each_block(examples, |example, column, row, block| {
        let patch = (0..PATCH * PATCH).map(|i| {
            let at = (2 * row + i / PATCH) * example.aligned.width + 2 * column + i % PATCH;
            (i, f64::from(example.aligned.data[at]) / 8.0)
        });
        let targets: [f64; PARENT_TARGETS] =
            std::array::from_fn(|k| f64::from(block[k]) * f64::from(example.plane.table[k]));
        regression.observe(&patch.collect::<Vec<_>>(), &targets, 1.0);
    });
    for (target, weights) in regression.solve(100.0).iter().enumerate() {
        for (i, &weight) in weights.iter().enumerate() {
            model.parent[i / 2][target / 8][target % 8][i % 2] = fixed(weight, 11, i16::MAX);
        }
    }
}

fn gain(model: &mut Model, examples: &[Example]) {
    let mut sums = [(1e4, 1e4); 64];
    let unit = Model::blank();
    each_block(examples, |example, column, row, block| {
        let known = predict::from_finer::<Plain>(&unit, &example.aligned, column, row);
        for (k, (squares, products)) in sums.iter_mut().enumerate() {
            let x = f64::from(known[k]) / 16.0;
            *squares += x * x;
            *products += x * f64::from(block[k]) * f64::from(example.plane.table[k]);
        }
    });
    for (gain, (squares, products)) in model.gain.iter_mut().zip(sums) {
        *gain = fixed(products / squares, 14, i16::MAX);
    }
}

fn causal(model: &mut Model, kind: Kind, examples: &[Example]) {
    let mut regression = Regression::new(2 * CAUSAL_SOURCES, CAUSAL_TARGETS);
    for example in examples {
        let mut errors = vec![[0; CAUSAL_SOURCES]; example.plane.width];
        for (i, block) in example.plane.coefficients.chunks_exact(64).enumerate() {
            let (column, row) = (i % example.plane.width, i / example.plane.width);
            let known = plane::known::<Plain, CAUSAL_TARGETS>(model, kind, &example.aligned, column, row);
            let left = column.checked_sub(1).map(|left| errors[left]);
            let (left, above) = plane::neighbours(kind, left, (row > 0).then(|| errors[column]));
            let features = left.iter().chain(&above).enumerate().map(|(i, &e)| (i, f64::from(e) / 8.0));
            let targets: [f64; CAUSAL_TARGETS] = std::array::from_fn(|k| {
                f64::from(block[k]) * f64::from(example.plane.table[k]) - f64::from(known[k]) / 16.0
            });
            regression.observe(&features.collect::<Vec<_>>(), &targets, 1.0);
            errors[column] = predict::errors(block, &example.plane.table, &known);
        }
    }
    for (target, weights) in regression.solve(1000.0).iter().enumerate() {
        for (i, &weight) in weights.iter().enumerate() {
            model.causal[i / 2][target][i % 2] = fixed(weight, 12, 8191);
        }
    }
}

/// Most blocks that expectations are regressed on: ten times as many gain 0.7 % and take ten times as long.
const MOST_REGRESSED: usize = 4000;

/// Features of a lane that are not magnitudes of the block itself.
const OUTER: usize = 1 + LANE_FEATURES + BLOCK_FEATURES;

/// Collects what the lanes' expectations are regressed on.
pub(super) struct Observer {
    lanes: Vec<Regression>,
    /// One block in so many is looked at.
    every: usize,
    seen: usize,
}

/// The zigzag index a lane stands before.
fn lane_start(lane: usize) -> usize {
    if lane < 64 { lane } else { CHECKPOINTS[lane - FLAG_LANE] }
}

impl Observer {
    fn new(every: usize) -> Self {
        let lanes =
            (0..FLAG_LANE + CHECKPOINTS.len()).map(|lane| Regression::new(OUTER + lane_start(lane), 1));
        Self { lanes: lanes.collect(), every, seen: 0 }
    }
}

impl Coder for Observer {
    const DECODES: bool = false;
    const LOOKS: bool = true;
    fn symbol(&mut self, _: usize, _: &Table, symbol: usize) -> usize {
        symbol
    }
    fn flag(&mut self, _: usize, _: usize, _: u16, flag: bool) -> bool {
        flag
    }
    fn raw(&mut self, _: u32, value: u32) -> u32 {
        value
    }
    fn block(&mut self, features: &Features, residuals: &[i16; 64]) {
        self.seen += 1;
        if !self.seen.is_multiple_of(self.every) {
            return;
        }
        let magnitudes = residuals.map(|r| f64::from(r.unsigned_abs().min(MOST.into())));
        let mut x: Vec<(usize, f64)> = Vec::with_capacity(OUTER + 64);
        for (lane, regression) in self.lanes.iter_mut().enumerate() {
            let start = lane_start(lane);
            x.clear();
            x.push((0, 1.0));
            x.extend(
                features.own.iter().enumerate().map(|(i, own)| (1 + i, f64::from(own.0[lane]) / 1024.0)),
            );
            x.extend(
                features
                    .block
                    .iter()
                    .enumerate()
                    .map(|(i, &f)| (1 + LANE_FEATURES + i, f64::from(f) / 1024.0)),
            );
            x.extend(
                magnitudes[..start]
                    .iter()
                    .enumerate()
                    .filter(|(_, m)| **m != 0.0)
                    .map(|(i, &m)| (OUTER + i, m)),
            );
            x.retain(|&(_, value)| value != 0.0);
            let target = if lane < 64 {
                magnitudes[lane]
            } else {
                magnitudes[start..].iter().map(|m| m.min(3.0)).sum::<f64>().min(f64::from(MOST))
            };
            regression.observe(&x, &[target], 1.0);
        }
    }
}

fn expectations(model: &mut Model, kind: Kind, examples: &mut [Example]) {
    let blocks: usize = examples.iter().map(|e| e.plane.width * e.plane.height).sum();
    let mut observer = Observer::new(blocks.div_ceil(MOST_REGRESSED).max(1));
    let (mut scratch, set) = (Scratch::default(), simd::Set::detect());
    for example in examples {
        simd::observe(set, &mut observer, model, kind, &example.aligned, &mut example.plane, &mut scratch);
    }
    for (lane, regression) in observer.lanes.iter().enumerate() {
        let weights = &regression.solve(4.0)[0];
        // Each product's upper half is rounded down.
        model.bias.0[lane] = fixed(weights[0], 8, i16::MAX).saturating_add(OUTER as i16 / 2);
        let scaled = |weight: f64| fixed(weight / 1024.0, 24, i16::MAX);
        for (i, own) in model.own.iter_mut().enumerate() {
            own.0[lane] = scaled(weights[1 + i]);
        }
        for (i, block) in model.block.iter_mut().enumerate() {
            block.0[lane] = scaled(weights[1 + LANE_FEATURES + i]);
        }
        for (k, weight) in weights[OUTER..].iter().enumerate() {
            model.inner[k].0[lane] = fixed(*weight, 8, 2047);
        }
    }
}

/// Observations that a context needs for probabilities of its own.
const FEW: u32 = 12;

/// Counts of symbols and flags.
pub(super) struct Counter {
    pub(super) tables: Vec<[u32; SYMBOLS]>,
    pub(super) flags: Vec<[[u32; 2]; BUCKETS]>,
    /// Plain bits.
    pub(super) raw: u64,
}

impl Counter {
    pub(super) fn new() -> Self {
        Self { tables: vec![[0; SYMBOLS]; TABLES], flags: vec![[[0; 2]; BUCKETS]; CHECKPOINTS.len()], raw: 0 }
    }
}

impl Coder for Counter {
    const DECODES: bool = false;
    fn symbol(&mut self, index: usize, _: &Table, symbol: usize) -> usize {
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

fn probabilities(model: &mut Model, kind: Kind, examples: &mut [Example]) {
    let mut counter = Counter::new();
    let (mut scratch, set) = (Scratch::default(), simd::Set::detect());
    for example in examples {
        simd::tally(set, &mut counter, model, kind, &example.aligned, &mut example.plane, &mut scratch);
    }
    // A context that was hardly ever seen takes over from the bucket before.
    for context in 0..TABLES {
        let counts = &counter.tables[context];
        let before =
            context.checked_sub(FRACTIONS).filter(|_| !(context / FRACTIONS).is_multiple_of(BUCKETS));
        if counts.iter().sum::<u32>() < FEW {
            if let Some(before) = before {
                model.widths[context] = model.widths[before];
            }
            continue;
        }
        let total: f64 = counts.iter().map(|&c| f64::from(c) + 0.05).sum();
        model.widths[context] = counts.map(|c| {
            let share = (f64::from(c) + 0.05) / total * f64::from(SCALE);
            (8.0 * share.max(1.0).log2()).round() as u8
        });
    }
    model.make_tables();
    for (flags, counts) in model.flags.iter_mut().zip(&counter.flags) {
        let mut last = SCALE / 2;
        for (flag, [zero, one]) in flags.iter_mut().zip(counts) {
            if zero + one >= FEW {
                let share = (f64::from(*zero) + 0.4) / (f64::from(zero + one) + 0.8);
                last = ((share * f64::from(SCALE)).round() as u16).clamp(1, SCALE - 1);
            }
            *flag = last;
        }
    }
}

/// The ideal length in bits of the examples under a model.
pub(super) fn cost(model: &Model, kind: Kind, examples: &mut [Example]) -> f64 {
    let mut counter = Counter::new();
    let (mut scratch, set) = (Scratch::default(), simd::Set::detect());
    for example in examples {
        simd::tally(set, &mut counter, model, kind, &example.aligned, &mut example.plane, &mut scratch);
    }
    bits(model, &counter)
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
