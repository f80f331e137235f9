//! A block's diagonals, one after the other: what those decoded say about the ones to come.
//!
//! Where a prediction from another scale or along an edge was off at one frequency it is off at others too, most of all
//! at every second one along the same row or column. So a block is coded in *pieces*, each with its own prediction.

use super::expect::{fraction_of, whole_steps};
use super::model::{AHEAD_AT, AHEAD_PIECES, Model, PIECES};
use super::predict;
use super::rans::Machine;

/// Coefficients of a block and room for a vector to reach beyond them.
pub(super) const PADDED: usize = 72;

/// Quantiser steps of a plane and their reciprocals in 2^-16, in zigzag order.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    pub(super) steps: [i32; PADDED],
    pub(super) reciprocals: [i32; PADDED],
}

impl Scale {
    pub(super) fn new(table: &[u16; 64]) -> Self {
        let (mut steps, mut reciprocals) = ([1; PADDED], [1 << 16; PADDED]);
        for (k, (&step, reciprocal)) in table.iter().zip(predict::reciprocals(table)).enumerate() {
            (steps[k], reciprocals[k]) = (step.into(), reciprocal);
        }
        Self { steps, reciprocals }
    }
}

/// A block's prediction, before anything of it is decoded.
#[derive(Debug, Clone)]
pub(super) struct Prediction {
    /// In sixteenths of a coefficient.
    pub(super) sixteenths: [i16; PADDED],
    /// In 1/32 of a step.
    pub(super) steps: [i16; PADDED],
}

impl Prediction {
    /// The first `N` coefficients: `known` from another scale, the first of them corrected.
    #[inline(always)]
    pub(super) fn new<const N: usize>(known: &[i16; N], correction: &[i16], scale: &Scale) -> Self {
        let mut prediction = Self { sixteenths: [0; PADDED], steps: [0; PADDED] };
        prediction.sixteenths[..N].copy_from_slice(known);
        for (sixteenths, &correction) in prediction.sixteenths.iter_mut().zip(correction) {
            *sixteenths = sixteenths.saturating_add(correction);
        }
        for k in 0..N {
            prediction.steps[k] = predict::in_steps(prediction.sixteenths[k], scale.reciprocals[k]);
        }
        prediction
    }
}

impl Prediction {
    /// The first `N` predictions in 1/32 of a step; `N` is at most 64.
    #[inline(always)]
    pub(super) fn first<const N: usize>(&self) -> &[i16; N] {
        self.steps.first_chunk().unwrap_or(const { &[0; N] })
    }
}

/// Eight values from a place on.
#[inline(always)]
pub(super) fn eight<T: Copy + Default>(values: &[T], start: usize) -> [T; 8] {
    values.get(start..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default()
}

/// All ones where a lane lies within a piece.
pub(super) static MASKS: [[i16; 8]; PIECES.len()] = {
    let mut masks = [[0; 8]; PIECES.len()];
    let mut i = 0;
    while i < PIECES.len() {
        let mut l = 0;
        while l < PIECES[i].1 - PIECES[i].0 {
            masks[i][l] = -1;
            l += 1;
        }
        i += 1;
    }
    masks
};

/// The prediction of a piece; what lies beyond the piece means nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) sixteenths: [i16; 8],
    /// In 1/32 of a step.
    pub(super) steps: [i16; 8],
    /// Whole steps.
    pub(super) known: [i16; 8],
    /// What is left of its size, in 1/32 of a step.
    pub(super) fraction: [i16; 8],
}

impl Piece {
    #[inline(always)]
    fn new(sixteenths: [i16; 8], steps: [i16; 8]) -> Self {
        let (mut known, mut fraction) = ([0; 8], [0; 8]);
        for l in 0..8 {
            known[l] = whole_steps(steps[l]);
            fraction[l] = fraction_of(steps[l]);
        }
        Self { sixteenths, steps, known, fraction }
    }
}

/// Errors of a block so far, in sixteenths: of the pieces that others are predicted from.
#[derive(Debug, Clone)]
pub(super) struct Ahead {
    errors: [i16; 40],
}

impl Ahead {
    pub(super) const NEW: Self = Self { errors: [0; 40] };

    /// The prediction of piece `i`, once all before it are decoded.
    #[inline(always)]
    pub(super) fn piece<M: Machine>(
        &self,
        model: &Model,
        prediction: &Prediction,
        scale: &Scale,
        i: usize,
    ) -> Piece {
        let (start, _) = PIECES[i];
        let mut sixteenths: [i16; 8] = eight(&prediction.sixteenths, start);
        let mut steps: [i16; 8] = eight(&prediction.steps, start);
        if (1..AHEAD_PIECES).contains(&i) {
            let mut sums = [1 << 11; 8];
            let pairs = self.errors.as_chunks::<2>().0;
            for (&pair, weights) in pairs.iter().zip(&model.ahead[AHEAD_AT[i]..AHEAD_AT[i + 1]]) {
                sums = M::multiply_add(sums, pair, weights);
            }
            let reciprocals: [i32; 8] = eight(&scale.reciprocals, start);
            for l in 0..8 {
                let sum = i32::from(sixteenths[l]) + (sums[l] >> 12);
                sixteenths[l] = sum.clamp(-32768, 32767) as i16;
            }
            for l in 0..8 {
                steps[l] = predict::in_steps(sixteenths[l], reciprocals[l]);
            }
        }
        Piece::new(sixteenths, steps)
    }

    /// Takes in the coefficients of piece `i`, predicted as `piece`.
    #[inline(always)]
    pub(super) fn learn(&mut self, i: usize, coefficients: [i16; 8], piece: &Piece, scale: &Scale) {
        let (start, _) = PIECES[i];
        if i + 1 >= AHEAD_PIECES {
            return;
        }
        let mut errors = Self::errors_of(coefficients, &piece.sixteenths, &eight(&scale.steps, start));
        for l in 0..8 {
            // What lies beyond the piece is not known yet.
            errors[l] &= MASKS[i][l];
        }
        self.errors[start..start + 8].copy_from_slice(&errors);
    }

    /// How far coefficients are off their prediction, in sixteenths.
    #[inline(always)]
    pub(super) fn errors_of(coefficients: [i16; 8], predicted: &[i16; 8], steps: &[i32; 8]) -> [i16; 8] {
        let mut errors = [0; 8];
        for l in 0..8 {
            let value = (i32::from(coefficients[l]) * steps[l]).clamp(-2047, 2047) * 16;
            errors[l] = (value - i32::from(predicted[l])).clamp(-8191, 8191) as i16;
        }
        errors
    }
}
