//! One component of a tile: block after block, each from its prediction, its neighbours and the coder.

use std::marker::PhantomData;

use super::abreast::Steps;
use super::ahead::Scale;
use super::edges::{self, Edge, Edges};
use super::expect::Magnitudes;
use super::model::{Kind, Model, PIECES};
use super::predict::{self, Aligned, Samples};
use super::rans::Machine;
use super::strands::{Readers, STRANDS};
use super::walk::{Block, Coder, Decoder, Setting};
use crate::coefficients::{MAX_AC, MAX_DC, Plane};

/// Rows of blocks that are coded one after the other, as if there were none above them.
#[derive(Debug)]
pub(super) struct Area<'a> {
    /// Quantiser steps in zigzag order.
    table: &'a [u16; 64],
    /// Blocks a row.
    width: usize,
    /// Its first row's number in the plane.
    first: usize,
    /// Of rows decoded abreast, how they are, and the first one's number there.
    steps: Option<(&'a Steps, usize)>,
    blocks: &'a mut [[i16; 64]],
}

impl<'a> Area<'a> {
    /// All of a plane.
    pub(super) fn whole(plane: &'a mut Plane) -> Self {
        let blocks = plane.coefficients.as_chunks_mut().0;
        Self { table: &plane.table, width: plane.width, first: 0, steps: None, blocks }
    }

    /// The same, of rows decoded abreast, the first one being that line of a run.
    pub(super) fn abreast(self, steps: &'a Steps, line: usize) -> Self {
        Self { steps: Some((steps, line)), ..self }
    }

    /// Its first `rows`, and the others.
    pub(super) fn cut(self, rows: usize) -> (Self, Self) {
        let Self { table, width, first, blocks, .. } = self;
        let (upper, lower) = blocks.split_at_mut((rows * width).min(blocks.len()));
        (
            Self { table, width, first, steps: None, blocks: upper },
            Self { table, width, first: first + rows, steps: None, blocks: lower },
        )
    }

    fn height(&self) -> usize {
        self.blocks.len().checked_div(self.width).unwrap_or(0)
    }
}

/// What coding a plane needs besides; kept from plane to plane so that nothing is allocated.
#[derive(Debug, Clone, Default)]
pub(super) struct Scratch {
    /// Lower edges of the row above, up to the block on the left, which is of this row.
    edges: Vec<Edge>,
    magnitudes: Vec<Magnitudes>,
    /// As [`Area::first`].
    first: usize,
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

/// Encodes an area, or shows it to training; `coder` says which.
#[inline(always)]
pub(super) fn encode<M: Machine, C: Coder>(
    coder: &mut C,
    model: &Model,
    kind: Kind,
    aligned: &Aligned,
    area: Area<'_>,
    scratch: &mut Scratch,
) {
    // Three times the code, each with its counts known.
    match kind {
        Kind::Alone => encode_as::<M, C, ALONE, N_ALONE>(coder, model, aligned, area, scratch),
        Kind::Coarser => encode_as::<M, C, COARSER, N_COARSER>(coder, model, aligned, area, scratch),
        Kind::Finer => encode_as::<M, C, FINER, N_FINER>(coder, model, aligned, area, scratch),
    }
}

/// Decodes an area.
#[inline(always)]
pub(super) fn decode<M: Machine>(
    readers: &mut Readers<'_>,
    model: &Model,
    kind: Kind,
    aligned: &Aligned,
    area: Area<'_>,
    scratch: &mut Scratch,
) {
    match kind {
        Kind::Alone => decode_as::<M, ALONE, N_ALONE>(readers, model, aligned, area, scratch),
        Kind::Coarser => decode_as::<M, COARSER, N_COARSER>(readers, model, aligned, area, scratch),
        Kind::Finer => decode_as::<M, FINER, N_FINER>(readers, model, aligned, area, scratch),
    }
}

const ALONE: u8 = Kind::Alone as u8;
const COARSER: u8 = Kind::Coarser as u8;
const FINER: u8 = Kind::Finer as u8;
const N_ALONE: usize = Kind::Alone.predicted();
const N_COARSER: usize = Kind::Coarser.predicted();
const N_FINER: usize = Kind::Finer.predicted();

impl Scratch {
    fn clear(&mut self, area: &Area<'_>) {
        let width = area.width;
        self.first = area.first;
        self.edges.clear();
        self.edges.resize(width, [[0; 2]; 8]);
        self.magnitudes.clear();
        self.magnitudes.resize(width, [0; 64]);
    }

    /// Begins a block with what those before it have left; `left` is the edge on its left, and `is_below` another block.
    #[inline(always)]
    fn begin<M: Machine, const N: usize>(
        &self,
        block: &mut Block,
        setting: &Setting<'_>,
        aligned: &Aligned,
        [column, row]: [usize; 2],
        left: Option<Edge>,
        is_below: bool,
    ) {
        let known = known::<M, N>(setting.model, setting.kind, aligned, column, self.first + row);
        let (left_edge, above) = neighbours(setting.kind, left, is_below.then(|| self.edges[column]));
        let correction = edges::correction::<M>(setting.model, &left_edge, &above);
        let above = is_below.then(|| &self.magnitudes[column]);
        let left = left.map(|_| &self.magnitudes[column - 1]);
        block.begin::<M, N>(setting, &known, &correction, left, above);
    }

    /// Leaves what blocks to come need of a block; returns its right edge.
    #[inline(always)]
    fn leave<M: Machine>(
        &mut self,
        setting: &Setting<'_>,
        column: usize,
        block: &Block,
        values: &[i16; 64],
    ) -> Edge {
        let Edges { right, lower } = M::edges(values, &setting.scale.steps, &block.prediction.known);
        self.edges[column] = lower;
        let mut magnitudes = [0; 64];
        for (magnitude, &found) in magnitudes.iter_mut().zip(&block.found) {
            *magnitude = found as u8;
        }
        self.magnitudes[column] = magnitudes;
        right
    }
}

#[inline(always)]
fn encode_as<M: Machine, C: Coder, const KIND: u8, const N: usize>(
    coder: &mut C,
    model: &Model,
    aligned: &Aligned,
    area: Area<'_>,
    scratch: &mut Scratch,
) {
    let scale = Scale::new(area.table);
    let setting = Setting { model, kind: Kind::ALL[KIND as usize], scale: &scale };
    scratch.clear(&area);
    let height = area.height();
    let mut blocks = area.blocks.iter_mut();
    let mut block = Block::NONE;
    for row in 0..height {
        coder.row(row);
        let mut left = None;
        let dark = area.steps.and_then(|(steps, line)| steps.first_in(line + row));
        for column in 0..area.width {
            let Some(values) = blocks.next() else { return };
            let knows = dark != Some(column);
            left = left.filter(|_| knows);
            scratch.begin::<M, N>(&mut block, &setting, aligned, [column, row], left, row > 0 && knows);
            block.encode::<M, C, N>(coder, &setting, values);
            left = Some(scratch.leave::<M>(&setting, column, &block, values));
        }
    }
}

/// A row of blocks being decoded.
struct Row<'a, M> {
    coder: Decoder<'a, M>,
    block: Block,
    /// Whether there is such a block, and whether something of it is still to come.
    is_there: bool,
    goes_on: bool,
    column: usize,
    row: usize,
    /// Steps until it begins.
    waits: usize,
    /// The right edge of its last block.
    left: Option<Edge>,
}

/// Decodes as many rows at once as there are strands, each a block behind the one above it. The strands do not wait for
/// each other, so that the machine works on all of them at a time.
#[inline(always)]
fn decode_as<M: Machine, const KIND: u8, const N: usize>(
    readers: &mut Readers<'_>,
    model: &Model,
    aligned: &Aligned,
    area: Area<'_>,
    scratch: &mut Scratch,
) {
    let scale = Scale::new(area.table);
    let setting = Setting { model, kind: Kind::ALL[KIND as usize], scale: &scale };
    scratch.clear(&area);
    let (count, height) = (readers.count(), area.height());
    // The row below the last one begins when the first row's block above it is long done.
    let Area { width, blocks, .. } = area;
    let period = width.max(count);
    let mut rows: [Row<'_, M>; STRANDS] = std::array::from_fn(|s| Row {
        coder: Decoder { reader: readers.strands[s].clone(), machine: PhantomData },
        block: Block::NONE,
        is_there: false,
        goes_on: false,
        column: 0,
        row: if s < count { s } else { usize::MAX },
        waits: s,
        left: None,
    });
    for _ in 0..height.div_ceil(count) * period + count - 1 {
        for row in &mut rows {
            row.is_there = row.waits == 0 && row.row < height && row.column < width;
            row.goes_on = row.is_there;
            if row.is_there {
                row.coder.reader.reach();
                let place = [row.column, row.row];
                scratch.begin::<M, N>(&mut row.block, &setting, aligned, place, row.left, row.row > 0);
            }
        }
        for i in 0..PIECES.len() {
            if !piece::<M, N>(&mut rows, &setting, i) {
                break;
            }
        }
        // In rounds: what has just been written in parts takes a while until it can be read whole.
        for row in rows.iter_mut().filter(|row| row.is_there) {
            row.block.end::<M>();
        }
        for row in &mut rows {
            if row.is_there
                && let Some(values) = blocks.get_mut(row.row * width + row.column)
            {
                row.block.coefficients(values);
            }
        }
        for row in &mut rows {
            if row.is_there
                && let Some(values) = blocks.get(row.row * width + row.column)
            {
                row.left = Some(scratch.leave::<M>(&setting, row.column, &row.block, values));
            }
            row.advance(period, count);
        }
    }
    for (reader, row) in readers.strands.iter_mut().zip(rows) {
        *reader = row.coder.reader;
    }
}

/// Decodes piece `i` of all rows that have it; whether there are any.
#[inline(always)]
fn piece<M: Machine, const N: usize>(
    rows: &mut [Row<'_, M>; STRANDS],
    setting: &Setting<'_>,
    i: usize,
) -> bool {
    let mut any = false;
    for row in rows.iter_mut() {
        row.goes_on = row.goes_on && row.block.open::<M, _, N>(&mut row.coder, setting, i);
        any |= row.goes_on;
    }
    let (start, end) = PIECES[i];
    for k in if any { start..end } else { 0..0 } {
        // One after the other, and not in a loop: what lies where is then known.
        let [first, second, third, fourth] = &mut *rows;
        first.step(setting, i, k);
        second.step(setting, i, k);
        third.step(setting, i, k);
        fourth.step(setting, i, k);
    }
    any
}

impl<M: Machine> Row<'_, M> {
    /// Decodes the residual at zigzag index `k`, in piece `i`, if the row has that piece.
    #[inline(always)]
    fn step(&mut self, setting: &Setting<'_>, i: usize, k: usize) {
        if self.goes_on {
            self.block.step(&mut self.coder, setting, i, k);
        }
    }

    /// Goes on to the next place of `period`, or to the next row that is its own.
    #[inline(always)]
    fn advance(&mut self, period: usize, count: usize) {
        if self.waits > 0 {
            self.waits -= 1;
            return;
        }
        self.column += 1;
        if self.column == period {
            (self.column, self.left) = (0, None);
            self.row = self.row.saturating_add(count);
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
