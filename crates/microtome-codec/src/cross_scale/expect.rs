//! How large a block's residuals are expected to be, from everything that is decoded before it.
//!
//! Each lane is a weighted sum of features, scaled so that every product's upper half counts: the same integers on
//! every machine, sixteen at a time where the machine can.

use super::model::{BLOCK_FEATURES, FLAG_LANE, LANE_FEATURES, LANES, Lanes, Model};

/// Largest magnitude that counts as a feature.
pub(super) const MOST: u8 = 15;

/// Magnitudes of a block's residuals, at most [`MOST`] each, in zigzag order.
pub(super) type Magnitudes = [u8; 64];

/// What a block's expectation is made from.
#[derive(Debug, Clone)]
pub(super) struct Features {
    /// For each lane: magnitudes on the left and above; those of the neighbouring frequencies; the prediction's size;
    /// the size of its fraction.
    pub(super) own: [Lanes; LANE_FEATURES],
    pub(super) block: [i16; BLOCK_FEATURES],
    /// Magnitudes on the left and above, together.
    near: Magnitudes,
}

impl Features {
    pub(super) const ZERO: Self =
        Self { own: [Lanes::ZERO; LANE_FEATURES], block: [0; BLOCK_FEATURES], near: [0; 64] };

    /// Fills in the features of a block from its neighbours' magnitudes (an absent one stands in for the other) and
    /// from its predictions in 1/32 step.
    #[inline(always)]
    pub(super) fn fill<const N: usize>(
        &mut self,
        left: Option<&Magnitudes>,
        above: Option<&Magnitudes>,
        predicted: &[i16; N],
    ) {
        const NONE: Magnitudes = [0; 64];
        let (left, above) = (left.or(above).unwrap_or(&NONE), above.or(left).unwrap_or(&NONE));
        for ((near, left), above) in self.near.iter_mut().zip(left).zip(above) {
            *near = left + above;
        }
        let Self { own: [same, _, size, _], near, .. } = self;
        // What is left from each eighth of the block on.
        let (mut rest, mut rest_size) = ([0_u16; 9], [0_u16; 9]);
        for (group, eight) in near.as_chunks::<8>().0.iter().enumerate().rev() {
            // Eight bytes of at most 30 each: the product's top byte is their sum.
            let sum = u64::from_le_bytes(*eight).wrapping_mul(0x0101_0101_0101_0101) >> 56;
            rest[group] = rest[group + 1] + sum as u16;
        }
        for (group, eight) in predicted.as_chunks::<8>().0.iter().enumerate().rev() {
            let mut sum = 0;
            for &predicted in eight {
                sum += size_of(predicted) as u16 >> 2;
            }
            rest_size[group] = rest_size[group + 1] + sum;
        }
        // The checkpoints lie in the eighths 0 0 0 0 1 1 2 3 4.
        for (eighth, lanes) in [(0, 0..4), (1, 4..6), (2, 6..7), (3, 7..8), (4, 8..9)] {
            for lane in lanes {
                same.0[FLAG_LANE + lane] = (rest[eighth].min(255) as i16) << 7;
                size.0[FLAG_LANE + lane] = (rest_size[eighth].min(1023) as i16) << 5;
            }
        }
        let group = |g: usize| ((rest_size[g] - rest_size[g + 1]).min(1023) as i16) << 5;
        self.block = [(rest[0].min(255) as i16) << 7, group(0), group(1), group(2)];
    }

    /// Fills in the features of the magnitudes' lanes, after [`Self::fill`]: many a block ends before it needs them.
    #[inline(always)]
    pub(super) fn complete<const N: usize>(&mut self, predicted: &[i16; N]) {
        let Self { own: [same, beside, size, fraction], near, .. } = self;
        for (same, &near) in same.0.iter_mut().zip(&*near) {
            *same = i16::from(near) << 10;
        }
        for (beside, near) in beside.0[1..].iter_mut().zip(near.windows(3)) {
            *beside = i16::from(near[0] + near[2]) << 9;
        }
        beside.0[0] = i16::from(near[1] + near[2]) << 9;
        beside.0[63] = i16::from(near[61] + near[62]) << 9;
        for (size, &predicted) in size.0.iter_mut().zip(predicted) {
            *size = size_of(predicted) << 5;
        }
        for (fraction, &predicted) in fraction.0.iter_mut().zip(predicted) {
            *fraction = fraction_of(predicted) << 10;
        }
    }
}

/// A prediction's size; predictions are within -32767 to 32767. Without a branch, so that many are had at once.
#[inline(always)]
fn magnitude(predicted: i16) -> i16 {
    let sign = predicted >> 15;
    (predicted ^ sign).wrapping_sub(sign)
}

/// A prediction's size in 1/32 step, as a feature.
#[inline(always)]
fn size_of(predicted: i16) -> i16 {
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

/// Expected magnitudes in 1/256 of sixteen lanes, before anything of the block is known.
#[inline(always)]
fn sixteen(model: &Model, features: &Features, chunk: usize, out: &mut Lanes) {
    let part = |lanes: &Lanes| lanes.0.as_chunks::<16>().0[chunk];
    let mut sums = part(&model.bias);
    for (feature, weights) in features.own.iter().zip(&model.own) {
        for ((sum, feature), weight) in sums.iter_mut().zip(part(feature)).zip(part(weights)) {
            *sum = sum.saturating_add(upper(feature, weight));
        }
    }
    for (&feature, weights) in features.block.iter().zip(&model.block) {
        for (sum, weight) in sums.iter_mut().zip(part(weights)) {
            *sum = sum.saturating_add(upper(feature, weight));
        }
    }
    out.0.as_chunks_mut::<16>().0[chunk] = sums;
}

/// Expectations of the checkpoints, from features as [`Features::fill`] leaves them.
#[inline(always)]
pub(super) fn expect_flags(model: &Model, features: &Features, out: &mut Lanes) {
    sixteen(model, features, FLAG_LANE / 16, out);
}

/// Expectations of the magnitudes, from complete features.
#[inline(always)]
pub(super) fn expect_magnitudes(model: &Model, features: &Features, out: &mut Lanes) {
    for chunk in 0..FLAG_LANE / 16 {
        sixteen(model, features, chunk, out);
    }
}

/// Tells the lanes that the residual at zigzag index `k` has this magnitude.
#[inline(always)]
pub(super) fn learn(model: &Model, expected: &mut Lanes, k: usize, magnitude: u8) {
    let magnitude = i16::from(magnitude);
    let weights = &model.inner[k & 63];
    for k in 0..LANES {
        expected.0[k] = expected.0[k].saturating_add(weights.0[k].wrapping_mul(magnitude));
    }
}
