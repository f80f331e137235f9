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

/// The sums of one stage.
pub(super) enum Survey {
    /// Samples of the parent's patch, then coefficients.
    Parent(Gram),
    /// Squares of what the finer level predicts, and their products with coefficients.
    Gain(Box<[(f64, f64); 64]>),
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
    let scale = Scale::new(&plane.table);
    let mut lower = vec![Edges::NONE.lower; plane.width];
    let mut left = None;
    for (i, block) in plane.coefficients.as_chunks::<64>().0.iter().enumerate() {
        let (column, row) = (i % plane.width, i / plane.width);
        let value = |k: usize| f32::from(block[k]) * f32::from(plane.table[k]);
        if let Survey::Parent(gram) = survey {
            let mut values = [0.0; PARENT_VALUES];
            for (i, value) in values[..PATCH * PATCH].iter_mut().enumerate() {
                let at = (2 * row + i / PATCH) * aligned.width + 2 * column + i % PATCH;
                *value = f32::from(aligned.data[at]) / 8.0;
            }
            (0..PARENT_TARGETS).for_each(|k| values[PATCH * PATCH + k] = value(k));
            gram.observe(&values);
            continue;
        }
        let known = plane::known::<M, 64>(model, kind, aligned, column, row);
        if let Survey::Gain(sums) = survey {
            for (k, (squares, products)) in sums.iter_mut().enumerate() {
                let x = f64::from(known[k]) / 16.0;
                *squares += x * x;
                *products += x * f64::from(value(k));
            }
            continue;
        }
        let above = (row > 0).then_some(lower[column]);
        let sides = plane::neighbours(kind, left.filter(|_| column > 0), above);
        match survey {
            Survey::Edges(lanes) => see_edges(lanes, &sides, &known, value),
            Survey::Ahead(gram) => gram.observe(&errors::<M>(model, &sides, &known, &scale, block)),
            _ => {}
        }
        let Edges { right, lower: below } = M::edges(block, &scale.steps, &padded(&known));
        (left, lower[column]) = (Some(right), below);
    }
}

#[inline(always)]
fn see_edges(
    lanes: &mut Lanewise<5, EDGE_TARGETS>,
    (left, above): &(Edge, Edge),
    known: &[i16; 64],
    value: impl Fn(usize) -> f32,
) {
    let mut values = [[0.0; EDGE_TARGETS]; 5];
    for k in 0..EDGE_TARGETS {
        for (values, feature) in values.iter_mut().zip(edges::features(left, above, k)) {
            values[k] = f32::from(feature) / 8.0;
        }
        values[4][k] = value(k) - f32::from(known[k]) / 16.0;
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
