//! How large a block's residuals are expected to be, from everything that is decoded before it.
//!
//! Each lane is a weighted sum of features, scaled so that every product's upper half counts: the same integers on
//! every machine, sixteen at a time where the machine can.

#![allow(clippy::needless_range_loop, reason = "lanes have one index")]

use std::ops::Range;

use super::ahead::{PADDED, Sixteen, sixteen};
use super::lanes::{EARLY_FROM, FIRST_FLAG, GROUP_OF, STARTS};
use super::model::{BLOCK_FEATURES, Model, PIECES};
use super::rans::Machine;

/// Largest magnitude that counts as a feature.
pub(super) const MOST: u8 = 15;

/// Magnitudes of a block's residuals, at most [`MOST`] each, in zigzag order.
pub(super) type Magnitudes = [u8; 64];

/// What a block's expectation is made from, but for its prediction.
#[derive(Debug, Clone)]
pub(super) struct Features {
    /// Magnitudes on the left and above, together; a zero before them and zeros behind.
    near: [u8; 80],
    /// The sum of these; and of the prediction's sizes, eight by eight.
    pub(super) block: [i16; BLOCK_FEATURES],
}

impl Features {
    pub(super) const NONE: Self = Self { near: [0; 80], block: [0; BLOCK_FEATURES] };

    /// Takes those of a block from its neighbours' magnitudes (an absent one stands in for the other) and from its
    /// predictions in 1/32 step.
    #[inline(always)]
    pub(super) fn set<M: Machine>(
        &mut self,
        left: Option<&Magnitudes>,
        above: Option<&Magnitudes>,
        predicted: &[i16; PADDED],
    ) {
        const NONE: Magnitudes = [0; 64];
        let (left, above) = (left.or(above).unwrap_or(&NONE), above.or(left).unwrap_or(&NONE));
        let (near, block) = M::features(left, above, predicted);
        self.near[1..65].copy_from_slice(&near);
        self.block = block;
    }

    /// Magnitudes on the left and above, together, at a zigzag index.
    pub(super) fn near(&self, k: usize) -> u8 {
        self.near[k + 1]
    }
}

/// Magnitudes on the left and above together, and the features that all lanes of a block share.
#[inline(always)]
pub(super) fn features(
    left: &Magnitudes,
    above: &Magnitudes,
    predicted: &[i16; PADDED],
) -> (Magnitudes, [i16; BLOCK_FEATURES]) {
    let near = std::array::from_fn(|k| left[k] + above[k]);
    let mut block = [0; BLOCK_FEATURES];
    block[0] = (near.iter().map(|&near| i16::from(near)).sum::<i16>().min(255)) << 7;
    for (feature, eight) in block[1..].iter_mut().zip(predicted.as_chunks::<8>().0) {
        *feature = eight.iter().map(|&predicted| size_of(predicted) >> 2).sum::<i16>().min(1023) << 5;
    }
    (near, block)
}

/// A prediction's size; predictions are within -32767 to 32767. Without a branch, so that many are had at once.
#[inline(always)]
fn magnitude(predicted: i16) -> i16 {
    let sign = predicted >> 15;
    (predicted ^ sign).wrapping_sub(sign)
}

/// A prediction's size in 1/32 step, as a feature.
#[inline(always)]
pub(super) fn size_of(predicted: i16) -> i16 {
    magnitude(predicted).min(1023)
}

/// What is left of a prediction's size in 1/32 step beyond whole steps: 0 to 31.
#[inline(always)]
pub(super) fn fraction_of(predicted: i16) -> i16 {
    magnitude(predicted) & 31
}

/// The whole steps of a prediction in 1/32 step. Rounded to zero, not to the nearest: where a prediction is weak, the
/// coefficient is zero more often than not, and the fraction tells the tables how often.
#[inline(always)]
pub(super) fn whole_steps(predicted: i16) -> i16 {
    let (steps, sign) = (magnitude(predicted) >> 5, predicted >> 15);
    (steps ^ sign).wrapping_sub(sign)
}

/// The upper half of a product.
#[inline(always)]
pub(super) fn upper(feature: i16, weight: i16) -> i16 {
    ((i32::from(feature) * i32::from(weight)) >> 16) as i16
}

/// What is expected of the lanes of one group, in 1/256.
#[derive(Debug, Clone, Copy)]
#[repr(align(32))]
pub(super) struct Expected(Sixteen);

impl Expected {
    pub(super) const NOTHING: Self = Self([0; 16]);

    /// Of a block's flags, before anything of it is coded.
    #[inline(always)]
    pub(super) fn new(model: &Model, features: &Features) -> Self {
        Self(shared(model, features, 0))
    }

    /// Of the flag at a checkpoint.
    #[inline(always)]
    pub(super) fn flag(&self, checkpoint: usize) -> i16 {
        self.0[(FIRST_FLAG + checkpoint) & 15]
    }

    /// Of the magnitude at zigzag index `k`, in `piece`.
    #[inline(always)]
    pub(super) fn of(&self, piece: usize, k: usize) -> i16 {
        self.0[(k - STARTS[GROUP_OF[piece]]) & 15]
    }

    /// Comes to `piece`: if a group begins there, to what its magnitudes are expected to be, by the `magnitudes` before
    /// it and without them. Of `predicted`, the first `N` are.
    #[inline(always)]
    pub(super) fn begin<const N: usize>(
        &mut self,
        model: &Model,
        features: &Features,
        predicted: &[i16; PADDED],
        magnitudes: &[i16; 64],
        piece: usize,
    ) {
        let group = GROUP_OF[piece];
        if PIECES[piece].0 != STARTS[group] {
            return;
        }
        if group == 0 {
            self.0 = own::<N>(model, features, predicted, group, self.0);
            return;
        }
        let given = own::<N>(model, features, predicted, group, shared(model, features, group));
        let from = EARLY_FROM[group];
        let (early, carried) = (&model.lanes.early[group], &model.lanes.carried[group]);
        let mut sums = tell(model, magnitudes, 0..from, group, [0; 16]);
        for l in 0..16 {
            sums[l] = i16::saturating_add(sums[l], given[l] & early[l]);
        }
        sums = tell(model, magnitudes, from..STARTS[group], group, sums);
        for l in 0..16 {
            sums[l] = sums[l].saturating_add(given[l] & !early[l]);
            sums[l] = sums[l].saturating_add(self.0[l] & carried[l]);
        }
        self.0 = sums;
    }

    /// Tells the lanes that the residual at zigzag index `k`, in `piece`, has this magnitude.
    #[inline(always)]
    pub(super) fn learn(&mut self, model: &Model, piece: usize, k: usize, magnitude: i16) {
        self.0 = learn(self.0, &model.lanes.inner[GROUP_OF[piece]][k & 63], magnitude);
    }
}

/// What all lanes of a group owe to the block.
#[inline(always)]
fn shared(model: &Model, features: &Features, group: usize) -> Sixteen {
    let mut sums = model.lanes.bias[group];
    for (&feature, weights) in features.block.iter().zip(&model.lanes.block) {
        for (sum, &weight) in sums.iter_mut().zip(&weights[group]) {
            *sum = sum.saturating_add(upper(feature, weight));
        }
    }
    sums
}

/// Adds what each lane of a group owes to its own features.
#[inline(always)]
fn own<const N: usize>(
    model: &Model,
    features: &Features,
    predicted: &[i16; PADDED],
    group: usize,
    mut sums: Sixteen,
) -> Sixteen {
    let weights = |own: usize| &model.lanes.own[own][group];
    let near = |offset: usize| -> [u8; 16] {
        let from = STARTS[group] + offset;
        features.near.get(from..).and_then(|n| n.first_chunk()).copied().unwrap_or_default()
    };
    let (before, same, behind) = (near(0), near(1), near(2));
    let mut values = [0; 16];
    for (value, same) in values.iter_mut().zip(same) {
        *value = i16::from(same) << 10;
    }
    sums = weighed(sums, &values, weights(0));
    for ((value, before), behind) in values.iter_mut().zip(before).zip(behind) {
        *value = i16::from(before + behind) << 9;
    }
    sums = weighed(sums, &values, weights(1));
    if STARTS[group] < N {
        let predicted = sixteen(predicted, STARTS[group]);
        for (value, &predicted) in values.iter_mut().zip(predicted) {
            *value = size_of(predicted) << 5;
        }
        sums = weighed(sums, &values, weights(2));
        for (value, &predicted) in values.iter_mut().zip(predicted) {
            *value = fraction_of(predicted) << 10;
        }
        sums = weighed(sums, &values, weights(3));
    }
    sums
}

/// Adds a feature of each lane's own. Not a closure of [`own`], which compilers may leave outside, where there are no vectors.
#[inline(always)]
fn weighed(mut sums: Sixteen, values: &Sixteen, weights: &Sixteen) -> Sixteen {
    for ((sum, &value), &weight) in sums.iter_mut().zip(values).zip(weights) {
        *sum = sum.saturating_add(upper(value, weight));
    }
    sums
}

/// Tells the lanes of a group of some magnitudes.
#[inline(always)]
fn tell(
    model: &Model,
    magnitudes: &[i16; 64],
    which: Range<usize>,
    group: usize,
    mut sums: Sixteen,
) -> Sixteen {
    for (&magnitude, weights) in magnitudes[which.clone()].iter().zip(&model.lanes.inner[group][which]) {
        sums = learn(sums, weights, magnitude);
    }
    sums
}

/// By value: what is changed in place is not seen to be a vector.
#[inline(always)]
fn learn(mut sums: Sixteen, weights: &Sixteen, magnitude: i16) -> Sixteen {
    for (sum, &weight) in sums.iter_mut().zip(weights) {
        *sum = sum.saturating_add(weight.wrapping_mul(magnitude));
    }
    sums
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::model::{CHECKPOINTS, FLAG_LANE, Kind, Lanes};
    use super::*;

    /// The piece that sixteen lanes in zigzag order begin with, as the format says: those of 0 to 15 with the first, and
    /// so on. The flags begin with the block.
    const BEGINS: [usize; 5] = [0, 2, 3, 4, 0];

    /// What a lane in the order of the format (flags from [`FLAG_LANE`] on) is expected to be before the magnitude at `k`.
    fn plain(
        model: &Model,
        features: &Features,
        predicted: &[i16; PADDED],
        found: &[i16; 64],
        lane: usize,
        k: usize,
    ) -> i16 {
        let mut given = model.bias.0[lane];
        let mut add = |value: i16, weight: i16| given = given.saturating_add(upper(value, weight));
        (0..BLOCK_FEATURES).for_each(|i| add(features.block[i], model.block[i].0[lane]));
        if lane < FLAG_LANE {
            let near = |at: usize| i16::from(features.near[at]);
            let beside = near(lane) + near(lane + 2);
            let (size, fraction) = (size_of(predicted[lane]) << 5, fraction_of(predicted[lane]) << 10);
            for (own, value) in [near(lane + 1) << 10, beside << 9, size, fraction].into_iter().enumerate() {
                add(value, model.own[own].0[lane]);
            }
        }
        let mut sum = 0_i16;
        for (at, &magnitude) in found[..k].iter().enumerate() {
            if at == PIECES[BEGINS[lane / 16]].0 {
                sum = sum.saturating_add(given);
            }
            sum = sum.saturating_add(model.inner[at].0[lane].wrapping_mul(magnitude));
        }
        if k <= PIECES[BEGINS[lane / 16]].0 { sum.saturating_add(given) } else { sum }
    }

    proptest! {
        #[test]
        fn groups_expect_what_the_format_says(
            seed in any::<u64>(), most in prop_oneof![Just(40_i16), Just(2000), Just(i16::MAX)],
        ) {
            let mut state = seed | 1;
            let mut random = |most: i16| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                ((state >> 33) as i32 % (2 * i32::from(most) + 1) - i32::from(most)) as i16
            };
            let mut model = Model::blank(Kind::Coarser);
            let mut fill = |lanes: &mut Lanes, used: usize| lanes.0[..used].fill_with(|| random(most));
            fill(&mut model.bias, FLAG_LANE + CHECKPOINTS);
            model.block.iter_mut().for_each(|lanes| fill(lanes, FLAG_LANE + CHECKPOINTS));
            model.own.iter_mut().for_each(|lanes| fill(lanes, FLAG_LANE));
            for (k, Lanes(lanes)) in model.inner.iter_mut().enumerate() {
                lanes[k + 1..FLAG_LANE].fill_with(|| random(most.min(2047)));
                for (i, (start, _)) in PIECES[..CHECKPOINTS].iter().enumerate() {
                    lanes[FLAG_LANE + i] = if k < *start { random(most.min(2047)) } else { 0 };
                }
            }
            model.arrange();
            let mut features = Features::NONE;
            features.near[1..65].fill_with(|| random(15).unsigned_abs() as u8 * 2);
            features.block.fill_with(|| random(i16::MAX).max(0));
            let (mut predicted, mut found) = ([0; PADDED], [0; 64]);
            predicted[..64].fill_with(|| random(3000));
            found.fill_with(|| random(15).abs());
            let mut expected = Expected::new(&model, &features);
            for (i, (start, end)) in PIECES.into_iter().enumerate() {
                if i < CHECKPOINTS {
                    let flag = plain(&model, &features, &predicted, &found, FLAG_LANE + i, start);
                    prop_assert_eq!(expected.flag(i), flag);
                }
                expected.begin::<64>(&model, &features, &predicted, &found, i);
                for k in start..end {
                    let magnitude = plain(&model, &features, &predicted, &found, k, k);
                    prop_assert_eq!(expected.of(i, k), magnitude, "{}", k);
                    expected.learn(&model, i, k, found[k]);
                }
            }
        }
    }
}
