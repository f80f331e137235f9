//! What a model expects of magnitudes, by least squares: each piece's from the blocks in which it is coded.
//!
//! Not here: predictions, which come before (`train`), and how expectations are used (`expect`).

use super::ahead::Prediction;
use super::expect::{self, Features, MOST};
use super::model::{BLOCK_FEATURES, CHECKPOINTS, FLAG_LANE, Kind, LANE_FEATURES, Model, PIECES};
use super::plane::{Area, Scratch};
use super::regression::{Gram, Lanewise, STRIDE};
use super::simd;
use super::solve::Place;
use super::train::{Example, blocks, one_in};
use super::walk::{Coder, Outlook};
use crate::instructions::Set;

/// Blocks that are regressed on: less than twice as many, but for one pair of large planes.
const REGRESSED: usize = 32_000;

/// Observations of size 1 that draw weights to what was known before.
const RIDGE: f64 = 4.0;

/// Squares of errors that do not matter: the expectations below 1/64 have one table.
const UNSEEN: f64 = 0.05;

/// Places of an observation's values, of which all have 1, the block's features and the magnitudes up to the end of a piece;
/// then its lanes' own features, and what follows it.
const MAGNITUDE: usize = 1 + BLOCK_FEATURES;
const WIDEST: usize = 128;
const _: () = {
    let mut i = 0;
    while i < PIECES.len() {
        assert!(places(PIECES[i])[1] < WIDEST && WIDEST.is_multiple_of(STRIDE), "a piece has room");
        i += 1;
    }
};

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
    slide: f64,
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
    let times = slide / before.observed();
    flag(model, prior, 0, times, (&before, MAGNITUDE));
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
            let product = |i: usize| gram.product(i.checked_sub(common).map_or(i, place), common);
            let weights = factor.solve(product, square(&gram, common), times, |i| stored(prior, lane, i));
            store(model, lane, &weights);
        }
        if i + 1 < CHECKPOINTS {
            flag(model, prior, i + 1, times, (&gram, follows));
        }
    }
    model.arrange();
}

/// Finds what the flag at a checkpoint expects, which is the value `target` of the observations before it.
fn flag(model: &mut Model, prior: &Model, checkpoint: usize, times: f64, (gram, target): (&Gram, usize)) {
    let lane = FLAG_LANE + checkpoint;
    let product = |i| gram.product(i, target);
    let weights = gram.factor(RIDGE).solve(product, square(gram, target), times, |i| stored(prior, lane, i));
    store(model, lane, &weights);
}

/// The square of a target, and of errors that do not matter.
fn square(gram: &Gram, target: usize) -> f64 {
    gram.square(target) + UNSEEN * gram.product(0, 0)
}

/// Half of the products that a lane sums up besides those of the block's own magnitudes: the upper half of each is rounded down.
fn down(lane: usize) -> i16 {
    (BLOCK_FEATURES + if lane < FLAG_LANE { LANE_FEATURES } else { 0 }) as i16 / 2
}

/// As a feature the magnitudes beside are halved.
const OWN_UNITS: [f64; LANE_FEATURES] = [1.0, 2.0, 1.0, 1.0];

/// How a lane's weight is stored that has a place among its features: 1, the block's, the magnitudes before it, and its own, which a
/// checkpoint has none of. A feature of 1 is 1024, an expectation of 1 is 256, and the upper half counts.
fn stored(prior: &Model, lane: usize, place: usize) -> Place {
    let own = if lane < FLAG_LANE { place.checked_sub(MAGNITUDE + lane) } else { None };
    let (one, known, most) = match (place, own) {
        (0, _) => (256.0, prior.bias.0[lane].saturating_sub(down(lane)), i16::MAX),
        (_, Some(own)) => (16384.0 * OWN_UNITS[own], prior.own[own].0[lane], i16::MAX),
        (1..MAGNITUDE, _) => (16384.0, prior.block[place - 1].0[lane], i16::MAX),
        _ => (256.0, prior.inner[place - MAGNITUDE].0[lane], 2047),
    };
    Place { one, known, most }
}

/// Sets a lane's weights.
fn store(model: &mut Model, lane: usize, weights: &[i16]) {
    let (common, own) = weights.split_at(if lane < FLAG_LANE { MAGNITUDE + lane } else { weights.len() });
    let (block, inner) = common[1..].split_at(BLOCK_FEATURES);
    model.bias.0[lane] = common[0].saturating_add(down(lane));
    let all = model.block.iter_mut().zip(block).chain(model.own.iter_mut().zip(own));
    for (lanes, &weight) in all.chain(model.inner.iter_mut().zip(inner)) {
        lanes.0[lane] = weight;
    }
}

#[cfg(test)]
mod tests {
    use super::super::plane;
    use super::super::predict::Aligned;
    use super::super::rans::Plain;
    use super::*;
    use crate::coefficients::Plane;
    use crate::cross_scale::CrossScale;
    use crate::payload::VerbatimParams;

    /// What a coder is told of blocks: features, magnitudes nearby, residuals.
    #[derive(Default)]
    struct Told<const CODES: bool>(Vec<([i16; BLOCK_FEATURES], [u8; 64], Vec<i16>)>);

    impl<const CODES: bool> Coder for Told<CODES> {
        const DECODES: bool = false;
        const CODES: bool = CODES;
        fn symbol(&mut self, _: &Model, _: usize, symbol: usize) -> usize {
            assert!(CODES, "a symbol");
            symbol
        }
        fn flag(&mut self, _: usize, _: usize, _: u16, flag: bool) -> bool {
            assert!(CODES, "a flag");
            flag
        }
        fn raw(&mut self, _: u32, value: u32) -> u32 {
            assert!(CODES, "plain bits");
            value
        }
        fn block(&mut self, outlook: &Outlook<'_>, residuals: &[i16]) {
            let near = std::array::from_fn(|k| outlook.features.near(k));
            self.0.push((outlook.features.block, near, residuals.to_vec()));
        }
    }

    /// A plane of blocks of any length, some with values beyond any table's, and samples that tell nothing of them.
    fn example() -> Example {
        let mut state = 7_u32;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % below
        };
        let (width, height) = (9, 7);
        let mut coefficients = vec![];
        for _ in 0..width * height {
            let (length, most) = (random(65), if random(8) == 0 { 1000 } else { 4 });
            coefficients
                .extend((0..64).map(|k| if k < length { random(2 * most) as i16 - most as i16 } else { 0 }));
        }
        let mut plane = Plane { width, height, horizontal: 1, vertical: 1, table: [7; 64], coefficients };
        plane.table[1..20].fill(3);
        let mut aligned = Aligned::default();
        aligned.width = 2 * width + 4;
        aligned.data = (0..aligned.width * (2 * height + 4)).map(|_| random(40) as i16 - 20).collect();
        Example { plane, aligned }
    }

    #[test]
    fn who_is_told_of_no_symbols_sees_the_same_blocks() {
        let codec = CrossScale::built_in(VerbatimParams::completing(vec![]), vec![Kind::Coarser]);
        let (mut with, mut without) = (Told::<true>::default(), Told::<false>::default());
        let (model, Example { mut plane, aligned }) = (codec.model(Kind::Coarser, 0), example());
        let mut scratch = Scratch::default();
        let area = Area::whole(&mut plane);
        plane::encode::<Plain, _>(&mut with, model, Kind::Coarser, &aligned, area, &mut scratch);
        let area = Area::whole(&mut plane);
        plane::encode::<Plain, _>(&mut without, model, Kind::Coarser, &aligned, area, &mut scratch);
        assert_eq!(with.0.len(), 63);
        assert!(with.0 == without.0, "one is told otherwise than the other");
        let lengths: std::collections::BTreeSet<_> = with.0.iter().map(|(_, _, r)| r.len()).collect();
        assert!(lengths.len() > 3, "pieces that are not coded: {lengths:?}");
    }

    #[test]
    fn weights_stand_where_they_are_used() {
        let mut model = Model::blank(Kind::Alone);
        let places: Vec<i16> = (0..MAGNITUDE as i16 + 5 + LANE_FEATURES as i16).collect();
        store(&mut model, 5, &places);
        assert_eq!(model.bias.0[5], down(5));
        assert_eq!(model.block.each_ref().map(|lanes| lanes.0[5]), [1, 2, 3, 4]);
        assert_eq!(std::array::from_fn(|k| model.inner[k].0[5]), [5, 6, 7, 8, 9, 0]);
        assert_eq!(model.own.each_ref().map(|lanes| lanes.0[5]), [10, 11, 12, 13]);
        for (place, &weight) in places.iter().enumerate() {
            assert_eq!(stored(&model, 5, place).known, weight);
        }
        store(&mut model, FLAG_LANE + 1, &places[..MAGNITUDE + PIECES[0].1]);
        for (place, &weight) in places[..MAGNITUDE + PIECES[0].1].iter().enumerate() {
            assert_eq!(stored(&model, FLAG_LANE + 1, place).known, weight);
        }
    }
}
