//! What the predictions of a model are solved from: one look at the blocks of a plane for each stage of training.
//!
//! Not here: what is made of the sums (`train`), expectations and probabilities, which follow the walk itself.

use super::ahead::{MOST_IN_BLOCK, PADDED, Prediction, Scale, sixteen};
use super::edges::{self, Edge, Edges};
use super::model::{AHEAD_PIECES, EDGE_TARGETS, Kind, Model, PARENT_TARGETS, PATCH, PIECES};
use super::plane;
use super::rans::Machine;
use super::regression::{Gram, Lanewise, STRIDE};
use super::train::Example;

/// What blocks are looked at for.
pub(super) struct Survey {
    pub(super) sums: Sums,
    /// The squares of what each block counted for.
    pub(super) weights: f64,
}

/// The sums of one stage.
pub(super) enum Sums {
    /// Samples of the parent's patch, then coefficients.
    Parent(Gram),
    /// For each coefficient, what the finer level predicts, and what it is.
    Gain(Lanewise<2, 64>),
    /// For each coefficient, what the edges say of it, and its error.
    Edges(Lanewise<5, EDGE_TARGETS>),
    /// Errors that the edges leave.
    Ahead(Gram),
}

/// Values of an observation of the parent: a patch and coefficients.
pub(super) const PARENT_VALUES: usize = (PATCH * PATCH + PARENT_TARGETS).next_multiple_of(STRIDE);
/// Values of an observation within the block: errors of its first coefficients.
pub(super) const AHEAD_VALUES: usize = PIECES[AHEAD_PIECES - 1].1.next_multiple_of(STRIDE);

/// Adds the blocks of an example.
#[inline(always)]
pub(super) fn look<M: Machine>(survey: &mut Survey, model: &Model, kind: Kind, example: &Example) {
    let Example { plane, aligned } = example;
    let Survey { sums, weights } = survey;
    let scale = Scale::new(&plane.table);
    let mut lower = vec![Edges::NONE.lower; plane.width];
    let mut left = None;
    for (i, block) in plane.coefficients.as_chunks::<64>().0.iter().enumerate() {
        let (column, row) = (i % plane.width, i / plane.width);
        let value = |k: usize| f32::from(block[k]) * f32::from(plane.table[k]);
        if let Sums::Parent(gram) = sums {
            let mut values = [0.0; PARENT_VALUES];
            for (y, values) in values[..PATCH * PATCH].chunks_exact_mut(PATCH).enumerate() {
                let samples = &aligned.data[(2 * row + y) * aligned.width + 2 * column..][..PATCH];
                values.iter_mut().zip(samples).for_each(|(value, &sample)| *value = f32::from(sample) / 8.0);
            }
            (0..PARENT_TARGETS).for_each(|k| values[PATCH * PATCH + k] = value(k));
            gram.observe(&values);
            *weights += 1.0;
            continue;
        }
        let known = plane::known::<M, 64>(model, kind, aligned, column, row);
        if let Sums::Gain(lanes) = sums {
            let predicted = known.map(|known| f32::from(known) / 16.0);
            lanes.observe(&[predicted, std::array::from_fn(value)]);
            *weights += 1.0;
            continue;
        }
        let above = (row > 0).then_some(lower[column]);
        let sides = plane::neighbours(kind, left.filter(|_| column > 0), above);
        let weight = weight(block, &plane.table);
        *weights += f64::from(weight * weight);
        match sums {
            Sums::Edges(lanes) => see_edges(lanes, &sides, &known, |k| weight * value(k), weight),
            Sums::Ahead(gram) => {
                let errors = errors::<M>(model, &sides, &known, &scale, block);
                gram.observe(&errors.map(|error| weight * error));
            }
            _ => {}
        }
        let Edges { right, lower: below } = M::edges(block, &scale.steps, &padded(&known));
        (left, lower[column]) = (Some(right), below);
    }
}

/// What a block counts for, at most 1: the more there is in it, the larger are its errors, which squares would let outweigh
/// those of all others.
#[inline(always)]
fn weight(block: &[i16; 64], table: &[u16; 64]) -> f32 {
    let mut squares = [0.0; 64];
    for ((square, &coefficient), &step) in squares.iter_mut().zip(block).zip(table) {
        let value = f32::from(coefficient) * f32::from(step);
        *square = value * value;
    }
    squares[0] = 0.0;
    // Eight sums, so that none waits for the one before it.
    let mut sums = [0.0; 8];
    for squares in squares.as_chunks::<8>().0 {
        sums.iter_mut().zip(squares).for_each(|(sum, square)| *sum += square);
    }
    let energy: f32 = sums.iter().sum();
    // As much in each as twice a low frequency's step makes it count for 0.7, of each two values multiplied half.
    let usual = 2.0 * f32::from(table[4]);
    (1.0 + energy / (64.0 * usual * usual)).sqrt().recip()
}

#[inline(always)]
fn see_edges(
    lanes: &mut Lanewise<5, EDGE_TARGETS>,
    (left, above): &(Edge, Edge),
    known: &[i16; 64],
    value: impl Fn(usize) -> f32,
    weight: f32,
) {
    let real = |edge: &Edge| edge.map(|pair| pair.map(|value| f32::from(value) * (weight / 8.0)));
    let (left, above) = (real(left), real(above));
    let mut values = [[0.0; EDGE_TARGETS]; 5];
    let [features @ .., errors] = &mut values;
    for k in 0..EDGE_TARGETS {
        for (features, feature) in features.iter_mut().zip(edges::features(&left, &above, k)) {
            features[k] = feature;
        }
    }
    for (k, error) in errors.iter_mut().enumerate() {
        *error = value(k) - f32::from(known[k]) * (weight / 16.0);
    }
    lanes.observe(&values);
}

/// Errors of a block's first coefficients, in units of a coefficient, as later pieces will see them.
#[inline(always)]
fn errors<M: Machine>(
    model: &Model,
    (left, above): &(Edge, Edge),
    known: &[i16; 64],
    scale: &Scale,
    block: &[i16; 64],
) -> [f32; AHEAD_VALUES] {
    let correction = edges::correction::<M>(model, left, above);
    let prediction = Prediction::new(known, &correction, scale);
    let block = padded(block);
    let mut errors = [0.0; AHEAD_VALUES];
    for (i, sixteen_errors) in errors.chunks_mut(16).enumerate() {
        let predicted = sixteen(&prediction.sixteenths, 16 * i);
        let found =
            M::errors::<4>(sixteen(&block, 16 * i), sixteen(&scale.steps, 16 * i), predicted, MOST_IN_BLOCK);
        for (error, found) in sixteen_errors.iter_mut().zip(found) {
            *error = f32::from(found) / 16.0;
        }
    }
    errors
}

#[inline(always)]
fn padded(values: &[i16; 64]) -> [i16; PADDED] {
    let mut padded = [0; PADDED];
    padded[..64].copy_from_slice(values);
    padded
}
