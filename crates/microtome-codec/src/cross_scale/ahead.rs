//! A block's pieces, one after the other: what those decoded say about the ones to come.
//!
//! Where a prediction from another scale or along an edge was off at one frequency it is off at others too, most of all
//! at every second one along the same row or column. So a block is coded in *pieces*, each with its own prediction.

use super::expect::{fraction_of, whole_steps};
use super::model::{AHEAD_AT, AHEAD_PIECES, EDGE_TARGETS, PIECES};
use super::predict;
use super::rans::{Machine, Sums};
use super::walk::{Outlook, Setting};

/// Coefficients of a block and room for a vector to reach beyond them.
pub(super) const PADDED: usize = 80;

/// Values of sixteen coefficients.
pub(super) type Sixteen = [i16; 16];

/// Quantiser steps of a plane and their reciprocals in 2^-16, in zigzag order.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    /// At most [`MOST_STEP`], which is as good as more.
    pub(super) steps: [i16; PADDED],
    pub(super) reciprocals: [i32; PADDED],
    /// Whether no reciprocal is above 16 bits with a sign: no step is 1 or 2.
    pub(super) is_narrow: bool,
    /// So many steps are more than [`MOST_OF_EDGES`], and than [`MOST_IN_BLOCK`].
    pub(super) beyond_edges: [i16; PADDED],
    pub(super) beyond: [i16; PADDED],
}

/// Coefficients that are larger count as this for errors within a block, and for those along its edges.
pub(super) const MOST_IN_BLOCK: i16 = 2047;
pub(super) const MOST_OF_EDGES: i16 = 1023;

/// Beyond it, one step is more than any error that counts.
const MOST_STEP: u16 = 2047;

impl Scale {
    pub(super) fn new(table: &[u16; 64]) -> Self {
        let (mut steps, mut reciprocals) = ([1; PADDED], [1 << 16; PADDED]);
        for (k, (&step, reciprocal)) in table.iter().zip(predict::reciprocals(table)).enumerate() {
            (steps[k], reciprocals[k]) = (step.min(MOST_STEP) as i16, reciprocal);
        }
        let is_narrow = reciprocals[..64].iter().all(|&reciprocal| reciprocal <= i16::MAX.into());
        let beyond = |most: i16| steps.map(|step| most / step.max(1) + 1);
        Self {
            steps,
            reciprocals,
            is_narrow,
            beyond_edges: beyond(MOST_OF_EDGES),
            beyond: beyond(MOST_IN_BLOCK),
        }
    }
}

/// A block's prediction, before anything of it is decoded.
#[derive(Debug, Clone)]
pub(super) struct Prediction {
    /// From another scale, in sixteenths of a coefficient.
    pub(super) known: [i16; PADDED],
    /// Corrected along the edges.
    pub(super) sixteenths: [i16; PADDED],
    /// The same in 1/32 of a step.
    pub(super) steps: [i16; PADDED],
}

impl Prediction {
    pub(super) const NONE: Self = Self { known: [0; PADDED], sixteenths: [0; PADDED], steps: [0; PADDED] };

    /// The prediction of the first `N` coefficients.
    #[inline(always)]
    pub(super) fn new<const N: usize>(
        known: &[i16; N],
        correction: &[i16; EDGE_TARGETS],
        scale: &Scale,
    ) -> Self {
        let mut prediction = Self::NONE;
        prediction.set(known, correction, scale);
        prediction
    }

    /// Predicts another block, in place of one with as many predictions.
    #[inline(always)]
    pub(super) fn set<const N: usize>(
        &mut self,
        known: &[i16; N],
        correction: &[i16; EDGE_TARGETS],
        scale: &Scale,
    ) {
        let (mut sixteenths, mut steps) = (*known, [0; N]);
        for (sixteenths, &correction) in sixteenths.iter_mut().zip(correction) {
            *sixteenths = sixteenths.saturating_add(correction);
        }
        for k in 0..N {
            steps[k] = predict::in_steps(sixteenths[k], scale.reciprocals[k]);
        }
        self.known[..N].copy_from_slice(known);
        self.sixteenths[..N].copy_from_slice(&sixteenths);
        self.steps[..N].copy_from_slice(&steps);
    }
}

/// Sixteen values from a place on.
#[inline(always)]
pub(super) fn sixteen<T: Copy>(values: &[T; PADDED], start: usize) -> &[T; 16] {
    // Pieces begin where sixteen values are left.
    values.split_at(start.min(PADDED - 16)).1.first_chunk().unwrap_or_else(|| unreachable!())
}

/// All ones where a lane lies within a piece.
pub(super) static MASKS: [Sixteen; PIECES.len()] = {
    let mut masks = [[0; 16]; PIECES.len()];
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(align(32))]
pub(super) struct Piece {
    pub(super) sixteenths: Sixteen,
    /// In 1/32 of a step.
    pub(super) steps: Sixteen,
    /// Whole steps.
    pub(super) known: Sixteen,
    /// First table of each coefficient, for its class and its prediction's fraction.
    pub(super) tables: [u16; 16],
}

impl Piece {
    pub(super) const NONE: Self =
        Self { sixteenths: [0; 16], steps: [0; 16], known: [0; 16], tables: [0; 16] };

    /// A prediction to which sums in 2^-12 sixteenths are added; its coefficients' tables begin at `first`.
    #[inline(always)]
    pub(super) fn new(
        sixteenths: &Sixteen,
        sums: &[Sums; 2],
        reciprocals: &[i32; 16],
        first: &[u16; 16],
        fractions: &[u8; 32],
    ) -> Self {
        let mut piece = Self::NONE;
        for l in 0..16 {
            let sum = (sums[l / 8][l % 8] >> 12).clamp(-32768, 32767) as i16;
            piece.sixteenths[l] = sixteenths[l].saturating_add(sum);
            piece.steps[l] = predict::in_steps(piece.sixteenths[l], reciprocals[l]);
            piece.known[l] = whole_steps(piece.steps[l]);
            let fraction = fraction_of(piece.steps[l]) as usize & 31;
            piece.tables[l] = first[l] + u16::from(fractions[fraction]);
        }
        piece
    }
}

/// How far values in steps are off `predicted`, in units of 1/2^`BITS`; values count up to `most`, errors up to 8191.
#[inline(always)]
pub(super) fn errors<const BITS: i32>(
    values: &Sixteen,
    steps: &Sixteen,
    predicted: &Sixteen,
    most: i16,
) -> Sixteen {
    std::array::from_fn(|l| {
        let value = (i32::from(values[l]) * i32::from(steps[l])).clamp(-i32::from(most), most.into());
        ((value << BITS) - i32::from(predicted[l])).clamp(-8191, 8191) as i16
    })
}

/// Errors of a block so far, in sixteenths: of the pieces that others are predicted from.
#[derive(Debug, Clone)]
pub(super) struct Ahead {
    errors: [i16; 48],
}

impl Ahead {
    pub(super) const NEW: Self = Self { errors: [0; 48] };

    /// The prediction of piece `i`, once all before it are decoded.
    #[inline(always)]
    pub(super) fn piece<M: Machine>(&self, outlook: &Outlook<'_>, i: usize) -> Piece {
        let &Outlook { setting: Setting { model, kind, scale }, prediction, .. } = outlook;
        let (start, _) = PIECES[i];
        let mut sums = [[1 << 11; 8]; 2];
        if (1..AHEAD_PIECES).contains(&i) {
            let pairs = self.errors.as_chunks::<2>().0;
            for (&pair, weights) in pairs.iter().zip(&model.ahead[AHEAD_AT[i]..AHEAD_AT[i + 1]]) {
                for (sums, weights) in sums.iter_mut().zip(weights) {
                    *sums = M::multiply_add(*sums, pair, weights);
                }
            }
        }
        let layout = kind.layout();
        M::piece(
            sixteen(&prediction.sixteenths, start),
            &sums,
            sixteen(&scale.reciprocals, start),
            sixteen(&layout.first, start),
            &layout.fractions,
        )
    }

    /// Takes in the coefficients of piece `i`, predicted as `piece`.
    #[inline(always)]
    pub(super) fn learn<M: Machine>(&mut self, i: usize, values: &Sixteen, piece: &Piece, scale: &Scale) {
        if i + 1 < AHEAD_PIECES {
            let (start, _) = PIECES[i];
            let found =
                M::errors::<4>(values, sixteen(&scale.steps, start), &piece.sixteenths, MOST_IN_BLOCK);
            for ((error, found), mask) in self.errors[start..start + 16].iter_mut().zip(found).zip(MASKS[i]) {
                // What lies beyond the piece is not known yet.
                *error = found & mask;
            }
        }
    }
}
