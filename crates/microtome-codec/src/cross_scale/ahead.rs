//! A block's diagonals, one after the other: what those decoded say about the ones to come.
//!
//! Where a prediction from another scale or along an edge was off at one frequency it is off at others too, most of all
//! at every second one along the same row or column. So a block is coded in *pieces*, each with its own prediction.

use super::model::{AHEAD_AT, AHEAD_PIECES, Model, PIECES};
use super::predict;
use super::rans::Machine;
use super::expect::whole_steps;

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

/// Eight values from a place on.
#[inline(always)]
pub(super) fn eight<T: Copy + Default>(values: &[T], start: usize) -> [T; 8] {
    values.get(start..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default()
}

/// The prediction of a piece; what lies beyond the piece means nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) sixteenths: [i16; 8],
    pub(super) steps: [i16; 8],
}

impl Piece {
    /// Its whole steps.
    #[inline(always)]
    pub(super) fn known(&self) -> [i16; 8] {
        self.steps.map(whole_steps)
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
        let mut piece =
            Piece { sixteenths: eight(&prediction.sixteenths, start), steps: eight(&prediction.steps, start) };
        if !(1..AHEAD_PIECES).contains(&i) {
            return piece;
        }
        let mut sums = [1 << 11; 8];
        let pairs = self.errors.as_chunks::<2>().0;
        for (&pair, weights) in pairs.iter().zip(&model.ahead[AHEAD_AT[i]..AHEAD_AT[i + 1]]) {
            sums = M::multiply_add(sums, pair, weights);
        }
        let reciprocals: [i32; 8] = eight(&scale.reciprocals, start);
        for l in 0..8 {
            let sum = i32::from(piece.sixteenths[l]) + (sums[l] >> 12);
            piece.sixteenths[l] = sum.clamp(-32768, 32767) as i16;
            piece.steps[l] = predict::in_steps(piece.sixteenths[l], reciprocals[l]);
        }
        piece
    }

    /// Takes in the coefficients of piece `i`, predicted as `piece`.
    #[inline(always)]
    pub(super) fn learn(&mut self, i: usize, coefficients: [i16; 8], piece: &Piece, scale: &Scale) {
        let (start, end) = PIECES[i];
        if i + 1 >= AHEAD_PIECES {
            return;
        }
        let mut errors = Self::errors_of(coefficients, piece, &eight(&scale.steps, start));
        for (l, error) in errors.iter_mut().enumerate() {
            // What lies beyond the piece is not known yet.
            *error = if l < end - start { *error } else { 0 };
        }
        self.errors[start..start + 8].copy_from_slice(&errors);
    }

    /// How far coefficients are off their prediction, in sixteenths.
    #[inline(always)]
    pub(super) fn errors_of(coefficients: [i16; 8], piece: &Piece, steps: &[i32; 8]) -> [i16; 8] {
        let mut errors = [0; 8];
        for l in 0..8 {
            let value = (i32::from(coefficients[l]) * steps[l]).clamp(-2047, 2047) * 16;
            errors[l] = (value - i32::from(piece.sixteenths[l])).clamp(-8191, 8191) as i16;
        }
        errors
    }
}
