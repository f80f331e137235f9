//! One component of a tile: block after block, each from its prediction, its neighbours and the coder.

use super::ahead::{Prediction, Scale};
use super::edges::{self, Edge, Edges};
use super::expect::{Features, Magnitudes};
use super::model::{Kind, Model};
use super::predict::{self, Aligned, Samples};
use super::rans::Machine;
use super::walk::{self, Coder, Outlook};
use crate::coefficients::{MAX_AC, MAX_DC, Plane};

/// What coding a plane needs besides; kept from plane to plane so that nothing is allocated.
#[derive(Debug, Clone, Default)]
pub(super) struct Scratch {
    /// Lower edges of the row above, up to the block on the left, which is of this row.
    edges: Vec<Edge>,
    magnitudes: Vec<Magnitudes>,
}

/// A block's prediction before its neighbours are asked, in sixteenths: its first `N` coefficients.
#[inline(always)]
pub(super) fn known<M: Machine, const N: usize>(
    model: &Model,
    kind: Kind,
    aligned: &Aligned,
    column: usize,
    row: usize,
) -> [i16; N] {
    let mut known = [0; N];
    match kind {
        Kind::Alone => {}
        Kind::Coarser => {
            let patch = predict::from_patch::<M>(model, aligned, column, row);
            known.iter_mut().zip(patch).for_each(|(known, patch)| *known = patch);
        }
        Kind::Finer => {
            let finer = predict::from_finer::<M>(model, aligned, column, row);
            known.iter_mut().zip(finer).for_each(|(known, finer)| *known = finer);
        }
    }
    known
}

/// Codes a plane, whose size and quantiser steps are set; `coder` says in which direction. One that decodes finds all
/// coefficients zero.
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
        Kind::Alone => {
            code_as::<M, C, ALONE, { Kind::Alone.predicted() }>(coder, model, aligned, plane, scratch);
        }
        Kind::Coarser => {
            code_as::<M, C, COARSER, { Kind::Coarser.predicted() }>(coder, model, aligned, plane, scratch);
        }
        Kind::Finer => {
            code_as::<M, C, FINER, { Kind::Finer.predicted() }>(coder, model, aligned, plane, scratch);
        }
    }
}

const ALONE: u8 = Kind::Alone as u8;
const COARSER: u8 = Kind::Coarser as u8;
const FINER: u8 = Kind::Finer as u8;

#[inline(always)]
fn code_as<M: Machine, C: Coder, const KIND: u8, const N: usize>(
    coder: &mut C,
    model: &Model,
    aligned: &Aligned,
    plane: &mut Plane,
    scratch: &mut Scratch,
) {
    let kind = Kind::ALL[KIND as usize];
    let scale = Scale::new(&plane.table);
    let Scratch { edges, magnitudes } = scratch;
    edges.clear();
    edges.resize(plane.width, [[0; 2]; 8]);
    magnitudes.clear();
    magnitudes.resize(plane.width, [0; 64]);
    let mut blocks = plane.coefficients.as_chunks_mut::<64>().0.iter_mut();
    for row in 0..plane.height {
        let mut left_edge = None;
        let mut left_magnitudes = None;
        for (column, (edge, magnitudes)) in edges.iter_mut().zip(magnitudes.iter_mut()).enumerate() {
            let Some(block) = blocks.next() else { return };
            let known = known::<M, N>(model, kind, aligned, column, row);
            let (left, above) = neighbours(kind, left_edge, (row > 0).then_some(*edge));
            let correction = edges::correction::<M>(model, &left, &above);
            let prediction = Prediction::new(&known, &correction, &scale);
            let above = (row > 0).then_some(&*magnitudes);
            let features = Features::new(left_magnitudes, above, prediction.first::<N>());
            let outlook =
                Outlook { model, kind, prediction: &prediction, features: &features, scale: &scale };
            walk::block::<M, C, N>(coder, &outlook, block, magnitudes);
            let Edges { right, lower } = edges::of::<M>(block, &scale, &prediction.known);
            *edge = lower;
            left_edge = Some(right);
            left_magnitudes = Some(&*magnitudes);
        }
    }
}

/// Edges on the left and above, without an error where there is no block. In a tile on its own they are the samples
/// themselves: there one counts twice where the other is absent.
#[inline(always)]
pub(super) fn neighbours(kind: Kind, left: Option<Edge>, above: Option<Edge>) -> (Edge, Edge) {
    const NONE: Edge = Edges::NONE.right;
    match (kind, left, above) {
        (Kind::Alone, Some(left), None) => (edges::doubled(&left), NONE),
        (Kind::Alone, None, Some(above)) => (NONE, edges::doubled(&above)),
        _ => (left.unwrap_or(NONE), above.unwrap_or(NONE)),
    }
}

/// The samples of a decoded plane, whole blocks.
#[inline(always)]
pub(super) fn samples<M: Machine>(plane: &Plane, out: &mut Samples) {
    out.width = plane.width * 8;
    out.height = plane.height * 8;
    // Every sample is written below: those of before may stay.
    out.data.resize(out.width * out.height, 0);
    if plane.width == 0 {
        return;
    }
    let lines = out.data.chunks_exact_mut(8 * out.width);
    let blocks = plane.coefficients.as_chunks::<64>().0;
    for (lines, blocks) in lines.zip(blocks.chunks_exact(plane.width)) {
        M::inverse_row(blocks, &plane.table, lines);
    }
}

/// Quantises what the finer samples predict; `unit` is the model whose gains are all 1.
#[inline(always)]
pub(super) fn round<M: Machine>(unit: &Model, aligned: &Aligned, plane: &mut Plane) {
    let reciprocals = predict::reciprocals(&plane.table);
    for (i, block) in plane.coefficients.as_chunks_mut::<64>().0.iter_mut().enumerate() {
        let known = predict::from_finer::<M>(unit, aligned, i % plane.width, i / plane.width);
        // 32 bits will do: a reciprocal is at most 2^16, and what is known less than 2^14.
        let nearest = |k: usize| (i32::from(known[k]) * reciprocals[k] + (1 << 19)) >> 20;
        for (k, coefficient) in block.iter_mut().enumerate() {
            *coefficient = nearest(k).clamp((-MAX_AC).into(), MAX_AC.into()) as i16;
        }
        block[0] = nearest(0).clamp((-MAX_DC).into(), MAX_DC.into()) as i16;
    }
}
