//! How large a block's residuals are expected to be, from everything that is decoded before it.
//!
//! Each lane is a weighted sum of features, scaled so that every product's upper half counts: the same integers on
//! every machine, sixteen at a time where the machine can.

use super::ahead::{PADDED, sixteen};
use super::model::{BLOCK_FEATURES, CHECKPOINTS, FLAG_LANE, Lanes, Model, PIECES};

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
    pub(super) fn set<const N: usize>(
        &mut self,
        left: Option<&Magnitudes>,
        above: Option<&Magnitudes>,
        predicted: &[i16; N],
    ) {
        const NONE: Magnitudes = [0; 64];
        let (left, above) = (left.or(above).unwrap_or(&NONE), above.or(left).unwrap_or(&NONE));
        let (mut nears, mut block) = ([0; 64], [0; BLOCK_FEATURES]);
        for ((near, left), above) in nears.iter_mut().zip(left).zip(above) {
            *near = left + above;
        }
        let sum: u32 = nears.iter().map(|&near| u32::from(near)).sum();
        block[0] = (sum.min(255) as i16) << 7;
        for (feature, eight) in block[1..].iter_mut().zip(predicted.as_chunks::<8>().0) {
            let mut sum = 0;
            for &predicted in eight {
                sum += size_of(predicted) >> 2;
            }
            *feature = sum.min(1023) << 5;
        }
        self.near[1..65].copy_from_slice(&nears);
        self.block = block;
    }

    /// Magnitudes on the left and above, together, at a zigzag index.
    pub(super) fn near(&self, k: usize) -> u8 {
        self.near[k + 1]
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

/// Expectations of the checkpoints, in 1/256.
#[inline(always)]
pub(super) fn expect_flags(model: &Model, features: &Features, expected: &mut Lanes) {
    let sums = shared(model, features, FLAG_LANE / 16);
    expected.0.as_chunks_mut::<16>().0[FLAG_LANE / 16] = sums;
}

/// What all lanes of sixteen owe to the block.
#[inline(always)]
fn shared(model: &Model, features: &Features, chunk: usize) -> [i16; 16] {
    let mut sums = part(&model.bias, chunk);
    for (&feature, weights) in features.block.iter().zip(&model.block) {
        for (sum, weight) in sums.iter_mut().zip(part(weights, chunk)) {
            *sum = sum.saturating_add(upper(feature, weight));
        }
    }
    sums
}

#[inline(always)]
fn part(lanes: &Lanes, chunk: usize) -> [i16; 16] {
    lanes.0.as_chunks::<16>().0[chunk]
}

/// Begins sixteen lanes of magnitudes, in 1/256, with what the block's own have [`told`] them and what is expected without
/// these: their turn comes when the first of them is about to be coded, and many a block ends before. Of `predicted`, the first
/// `N` are.
#[inline(always)]
pub(super) fn begin<const N: usize>(
    model: &Model,
    features: &Features,
    predicted: &[i16; PADDED],
    chunk: usize,
    told: [i16; 16],
    expected: &mut Lanes,
) {
    let mut sums = shared(model, features, chunk);
    let mut add = |own: usize, values: &[i16; 16]| {
        for ((sum, value), weight) in sums.iter_mut().zip(values).zip(part(&model.own[own], chunk)) {
            *sum = sum.saturating_add(upper(*value, weight));
        }
    };
    let near = |offset: usize| -> [u8; 16] {
        features.near.get(16 * chunk + offset..).and_then(|n| n.first_chunk()).copied().unwrap_or_default()
    };
    let (before, same, behind) = (near(0), near(1), near(2));
    let mut values = [0; 16];
    for (value, same) in values.iter_mut().zip(same) {
        *value = i16::from(same) << 10;
    }
    add(0, &values);
    for ((value, before), behind) in values.iter_mut().zip(before).zip(behind) {
        *value = i16::from(before + behind) << 9;
    }
    add(1, &values);
    if 16 * chunk < N {
        let predicted = sixteen(predicted, 16 * chunk);
        for (value, &predicted) in values.iter_mut().zip(predicted) {
            *value = size_of(predicted) << 5;
        }
        add(2, &values);
        for (value, &predicted) in values.iter_mut().zip(predicted) {
            *value = fraction_of(predicted) << 10;
        }
        add(3, &values);
    }
    for ((expected, told), sum) in expected.0.as_chunks_mut::<16>().0[chunk].iter_mut().zip(told).zip(sums) {
        *expected = told.saturating_add(sum);
    }
}

/// What the magnitudes of the pieces before tell the sixteen lanes that `piece` is the first to need.
#[inline(always)]
pub(super) fn told(model: &Model, magnitudes: &[i16; 64], piece: usize, chunk: usize) -> [i16; 16] {
    let mut sums = [0_i16; 16];
    for (&magnitude, weights) in magnitudes[..PIECES[piece].0].iter().zip(&model.inner) {
        for (sum, weight) in sums.iter_mut().zip(part(weights, chunk)) {
            *sum = sum.saturating_add(weight.wrapping_mul(magnitude));
        }
    }
    sums
}

/// Tells the lanes that have begun that the residual at zigzag index `k`, in `piece`, has this magnitude: those of the piece,
/// and those of the flags. The others hear of it from [`told`].
#[inline(always)]
pub(super) fn learn(model: &Model, expected: &mut Lanes, piece: usize, k: usize, magnitude: i16) {
    let weights = model.inner[k & 63].0.as_chunks::<16>().0;
    let expected = expected.0.as_chunks_mut::<16>().0;
    let mut tell = |chunk: usize| {
        let mut sums = expected[chunk];
        for (sum, &weight) in sums.iter_mut().zip(&weights[chunk]) {
            *sum = sum.saturating_add(weight.wrapping_mul(magnitude));
        }
        expected[chunk] = sums;
    };
    let (start, end) = PIECES[piece];
    for chunk in start / 16..end.div_ceil(16) {
        tell(chunk);
    }
    if piece + 1 < CHECKPOINTS {
        tell(FLAG_LANE / 16);
    }
}
