//! One component of a tile: block after block, each from its prediction, its neighbours and the coder.

use super::dct;
use super::expect::{Features, Magnitudes};
use super::model::{CAUSAL_SOURCES, Kind, Model};
use super::predict::{self, Aligned, Errors, Samples};
use super::rans::Machine;
use super::walk::{self, Coder};
use crate::coefficients::Plane;

/// What coding a plane needs besides; kept from plane to plane so that nothing is allocated.
#[derive(Debug, Clone)]
pub(super) struct Scratch {
    features: Features,
    /// Of the row above, up to the block on the left, which is of this row.
    errors: Vec<Errors>,
    magnitudes: Vec<Magnitudes>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { features: Features::ZERO, errors: vec![], magnitudes: vec![] }
    }
}

/// A block's prediction before its neighbours are asked, in sixteenths.
#[inline(always)]
pub(super) fn known<M: Machine>(
    model: &Model,
    kind: Kind,
    aligned: &Aligned,
    column: usize,
    row: usize,
) -> [i16; 64] {
    match kind {
        Kind::Alone => [0; 64],
        Kind::Coarser => {
            let mut known = [0; 64];
            let patch = predict::from_patch::<M>(model, aligned, column, row);
            known[..patch.len()].copy_from_slice(&patch);
            known
        }
        Kind::Finer => predict::from_finer::<M>(model, aligned, column, row),
    }
}

/// Codes a plane, whose size and quantiser steps are set; `coder` says in which direction.
#[inline(always)]
pub(super) fn code<M: Machine, C: Coder>(
    coder: &mut C,
    model: &Model,
    kind: Kind,
    aligned: &Aligned,
    plane: &mut Plane,
    scratch: &mut Scratch,
) {
    // Three times the code, each with its counts known.
    match kind {
        Kind::Alone => code_as::<M, C, ALONE>(coder, model, aligned, plane, scratch),
        Kind::Coarser => code_as::<M, C, COARSER>(coder, model, aligned, plane, scratch),
        Kind::Finer => code_as::<M, C, FINER>(coder, model, aligned, plane, scratch),
    }
}

const ALONE: u8 = Kind::Alone as u8;
const COARSER: u8 = Kind::Coarser as u8;
const FINER: u8 = Kind::Finer as u8;

#[inline(always)]
fn code_as<M: Machine, C: Coder, const KIND: u8>(
    coder: &mut C,
    model: &Model,
    aligned: &Aligned,
    plane: &mut Plane,
    scratch: &mut Scratch,
) {
    let kind = Kind::ALL[KIND as usize];
    let reciprocals = predict::reciprocals(&plane.table);
    let Scratch { features, errors, magnitudes } = scratch;
    *features = Features::ZERO;
    errors.clear();
    errors.resize(plane.width, [0; CAUSAL_SOURCES]);
    magnitudes.clear();
    magnitudes.resize(plane.width, [0; 64]);
    let mut blocks = plane.coefficients.as_chunks_mut::<64>().0.iter_mut();
    for row in 0..plane.height {
        for column in 0..plane.width {
            let Some(block) = blocks.next() else { return };
            let known = known::<M>(model, kind, aligned, column, row);
            let (left, above) = neighbours(kind, errors, column, row);
            let causal = predict::from_neighbours::<M>(model, &left, &above);
            let mut total = known;
            for (total, causal) in total.iter_mut().zip(causal) {
                *total = total.saturating_add(causal);
            }
            let mut predicted = [0; 64];
            let count = kind.predicted();
            for ((predicted, &total), &reciprocal) in
                predicted[..count].iter_mut().zip(&total).zip(&reciprocals)
            {
                *predicted = predict::in_steps(total, reciprocal);
            }
            let brightness = brightness(kind, &known, &causal);
            let left = (column > 0).then(|| &magnitudes[column.wrapping_sub(1)]);
            let above = (row > 0).then(|| &magnitudes[column]);
            features.fill(left, above, &predicted, count, brightness);
            let mut own = [0; 64];
            walk::block::<M, C>(coder, model, features, &predicted, block, &mut own);
            magnitudes[column] = own;
            errors[column] = predict::errors(block, &plane.table, &known);
        }
    }
}

/// Mean of a block as far as it is known, 0 to 255 and a bit.
#[inline(always)]
fn brightness(kind: Kind, known: &[i16; 64], causal: &[i16]) -> i16 {
    let dc = if kind == Kind::Alone { causal[0] } else { known[0] };
    // Sixteenths of a coefficient that is eight times the mean.
    (dc >> 7) + 128
}

/// Errors on the left and above. A tile on its own has them stand in for each other: there they are the samples
/// themselves, and none is better than half of them.
#[inline(always)]
pub(super) fn neighbours(kind: Kind, errors: &[Errors], column: usize, row: usize) -> (Errors, Errors) {
    const NONE: Errors = [0; CAUSAL_SOURCES];
    let left = if column > 0 { errors[column - 1] } else { NONE };
    let above = if row > 0 { errors[column] } else { NONE };
    match (kind, column > 0, row > 0) {
        (Kind::Alone, false, true) => (above, above),
        (Kind::Alone, true, false) => (left, left),
        _ => (left, above),
    }
}

/// The samples of a decoded plane, whole blocks.
#[inline(always)]
pub(super) fn samples(plane: &Plane, out: &mut Samples) {
    out.width = plane.width * 8;
    out.height = plane.height * 8;
    out.data.clear();
    out.data.resize(out.width * out.height, 0);
    if plane.width == 0 {
        return;
    }
    let lines = out.data.chunks_exact_mut(8 * out.width);
    for (line, blocks) in lines.zip(plane.coefficients.chunks_exact(64 * plane.width)) {
        for (column, block) in blocks.chunks_exact(64).enumerate() {
            let Ok(block) = <&[i16; 64]>::try_from(block) else { return };
            let mut samples = [[0; 8]; 8];
            dct::inverse(block, &plane.table, &mut samples);
            for (y, row) in samples.iter().enumerate() {
                let at = y * out.width + 8 * column;
                line[at..at + 8].copy_from_slice(row);
            }
        }
    }
}
