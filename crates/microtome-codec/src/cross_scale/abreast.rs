//! Planes of which sixteen rows of blocks are decoded at a time, each a block behind the one above it: every number of a block
//! is one of a vector of sixteen, and nothing is asked across rows but what a block leaves to the one below.
//!
//! What is done is `walk`'s and `plane`'s, for one block after the other; here it is for large tiles, whose payloads have a
//! state for each row. Encoders go the same way (`encode`), and so does the counting of symbols in training. Which blocks are
//! decoded when, and so whose word is next, is `docs/format/codec-1.md`'s, "Coder".

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
mod blocks;
pub(super) mod coder;
pub(super) mod encode;
mod errors;
mod expected;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;
pub(super) mod reads;
mod steps;
mod symbols;
pub(super) mod vectors;

use self::blocks::{Blocks, Setting};
use self::coder::{FIRST_TO_END, LANES, Reader};
use self::steps::Places;
pub(super) use self::steps::{Order, Steps, runs};
use self::vectors::{Mask, Row, Vectors, WideRow};
use super::ahead::Scale;
use super::model::{Kind, Model, PARENT_TARGETS, PATCH};
use super::predict::{self, Aligned};
use crate::coefficients::Plane;

/// Planes whose rows are decoded as if they were one's: alike in size and steps.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) planes: &'a mut [Plane],
    pub(super) order: Order,
    /// Whether no other one follows.
    pub(super) is_last: bool,
    /// The reference's samples, those of a plane behind those of the one before.
    pub(super) aligned: &'a Aligned,
}

/// Coefficients that are not 0 from which on a tile has sixteen states. They tell how long it takes to decode, which bytes do
/// not: a tile that others predict well has few of those, and as many symbols.
const LARGE: usize = 12_000;

/// Whether a tile has so many coefficients that sixteen states are worth it, which take 0.33 % of a dense slide's bytes where rows begin in
/// turn, and 0.13 % more where they go round.
pub(super) fn is_large(planes: &[Plane]) -> bool {
    let count = |plane: &Plane| plane.coefficients.iter().filter(|&&value| value != 0).count();
    planes.iter().map(count).sum::<usize>() >= LARGE
}

/// Blocks, and what they leave to those on their right and below them.
#[derive(Debug, Clone)]
pub(super) struct Scratch {
    blocks: Box<Blocks>,
    right: [[Row; 2]; 8],
    lower: [[Row; 2]; 8],
    /// What the lowest of the sixteen has left to the first one, by column.
    below: Vec<Below>,
    /// Pairs of the reference's samples around each block.
    patch: [[WideRow; PATCH / 2]; PATCH],
    turned: Box<[[i16; 64]; 16]>,
}

/// What a block leaves to the one below it.
#[derive(Debug, Clone, Copy)]
struct Below {
    found: [i16; 64],
    edge: [[i16; 2]; 8],
}

impl Below {
    const NOTHING: Self = Self { found: [0; 64], edge: [[0; 2]; 8] };
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            blocks: Box::new(Blocks::NONE),
            right: [[[0; 16]; 2]; 8],
            lower: [[[0; 16]; 2]; 8],
            below: vec![],
            patch: [[[0; 16]; PATCH / 2]; PATCH],
            turned: Box::new([[0; 64]; 16]),
        }
    }
}

const ALONE: u8 = Kind::Alone as u8;
const COARSER: u8 = Kind::Coarser as u8;
const FINER: u8 = Kind::Finer as u8;

/// Decodes a run.
#[inline(always)]
pub(super) fn decode<V: Vectors>(
    reader: &mut Reader<'_>,
    model: &Model,
    kind: Kind,
    run: Run<'_>,
    scratch: &mut Scratch,
) {
    match kind {
        Kind::Alone => decode_as::<V, ALONE, { Kind::Alone.predicted() }>(reader, model, run, scratch),
        Kind::Coarser => decode_as::<V, COARSER, { Kind::Coarser.predicted() }>(reader, model, run, scratch),
        Kind::Finer => decode_as::<V, FINER, { Kind::Finer.predicted() }>(reader, model, run, scratch),
    }
}

#[inline(always)]
fn decode_as<V: Vectors, const KIND: u8, const N: usize>(
    reader: &mut Reader<'_>,
    model: &Model,
    run: Run<'_>,
    scratch: &mut Scratch,
) {
    let Run { planes, order, is_last, aligned } = run;
    let Some(first) = planes.first() else { return };
    let (width, height, scale) = (first.width, first.height, Scale::new(&first.table));
    if width == 0 || height == 0 {
        return;
    }
    let setting = Setting { model, kind: Kind::ALL[KIND as usize], scale: &scale };
    let steps = Steps::of(planes, order);
    let samples = aligned.data.len() / planes.len();
    scratch.clear(width);
    let mut states = V::load_wide(&reader.states);
    let mut places = Places::new(&steps, height);
    for step in 0..steps.count() {
        places.find::<V>(width as i32, planes.len() as i32, order == Order::Round && step == 0);
        reader.reach();
        scratch.begin::<V, KIND, N>(&setting, aligned, samples, &places);
        let is_end = order == Order::Round && is_last && step + 1 == steps.count();
        for rows in if is_end { [FIRST, !FIRST] } else { [Mask::MAX, 0] } {
            if rows != 0 {
                scratch.decode::<V, N>(reader, &mut states, &setting, planes, &places, rows);
            }
            if rows == FIRST {
                reader.give_back::<V>(&mut states);
            }
        }
        scratch.leave::<V, N>(&scale, &places);
        places.advance::<V>(&steps, height);
    }
    V::store_wide(states, &mut reader.states);
}

/// The rows whose states end first.
const FIRST: Mask = (1 << FIRST_TO_END) - 1;

impl Scratch {
    /// Forgets all, before a run of so many columns.
    fn clear(&mut self, width: usize) {
        *self.blocks = Blocks::NONE;
        self.below.clear();
        self.below.resize(width, Below::NOTHING);
    }

    /// Comes to blocks, with what is known of them before the first symbol.
    #[inline(always)]
    fn begin<V: Vectors, const KIND: u8, const N: usize>(
        &mut self,
        setting: &Setting<'_>,
        aligned: &Aligned,
        samples: usize,
        places: &Places,
    ) {
        match setting.kind {
            Kind::Alone => {}
            Kind::Coarser => self.predict_by_patch::<V>(setting.model, aligned, samples, places),
            Kind::Finer => self.predict_by_finer::<V>(setting.model, aligned, samples, places),
        }
        self.neighbours::<V, KIND, N>(setting, places);
    }

    /// Decodes the blocks of some rows, all else of them being known, into their planes.
    #[inline(always)]
    fn decode<V: Vectors, const N: usize>(
        &mut self,
        reader: &mut Reader<'_>,
        states: &mut V::Wide,
        setting: &Setting<'_>,
        planes: &mut [Plane],
        places: &Places,
        rows: Mask,
    ) {
        let mask = places.mask & rows;
        self.blocks.decode::<V, N>(reader, states, setting, mask);
        V::turn_over(&self.blocks.values, &mut self.turned);
        for (l, block) in self.turned.iter().enumerate().filter(|(l, _)| mask >> l & 1 == 1) {
            let [column, row, plane] = places.at(l);
            let Some(plane) = planes.get_mut(plane) else { continue };
            let at = row * plane.width + column;
            if let Some(to) = plane.coefficients.as_chunks_mut::<64>().0.get_mut(at) {
                *to = *block;
            }
        }
    }

    /// Predicts the blocks from the coarser samples around them.
    #[inline(always)]
    fn predict_by_patch<V: Vectors>(
        &mut self,
        model: &Model,
        aligned: &Aligned,
        samples: usize,
        places: &Places,
    ) {
        let times =
            |places: &WideRow, by: usize| V::multiply_wide(V::load_wide(places), V::splat_wide(by as i32));
        let rows = V::add_wide(times(&places.planes, samples), times(&places.rows, 2 * aligned.width));
        let offsets = V::add_wide(rows, times(&places.columns, 2));
        for (y, [first, second, third]) in self.patch.iter_mut().enumerate() {
            // A patch is the one before and a pair more.
            V::store_wide(V::load_wide(second), first);
            V::store_wide(V::load_wide(third), second);
            let at = V::splat_wide((y * aligned.width + 4) as i32);
            V::store_wide(V::gather(&aligned.data, V::add_wide(offsets, at)), third);
        }
        // But where a row begins.
        for l in (0..LANES).filter(|l| places.first_columns >> l & 1 == 1) {
            let [column, row, plane] = places.at(l);
            let offset = plane * samples + 2 * row * aligned.width + 2 * column;
            for (y, patch) in self.patch.iter_mut().enumerate() {
                let line = aligned.data.get(offset + y * aligned.width..).and_then(|l| l.first_chunk());
                let Some([a, b, c, d]) = line.copied() else { continue };
                (patch[0][l], patch[1][l]) = (pair(a, b), pair(c, d));
            }
        }
        match V::HAS_MANY {
            true => self.weigh_patch::<V, PARENT_TARGETS>(model),
            false => self.weigh_patch::<V, 4>(model),
        }
    }

    /// Sums up the patches, `COUNT` targets at a time: as many as there are registers for.
    #[inline(always)]
    fn weigh_patch<V: Vectors, const COUNT: usize>(&mut self, model: &Model) {
        const { assert!(PARENT_TARGETS.is_multiple_of(COUNT)) };
        for from in (0..PARENT_TARGETS).step_by(COUNT) {
            let mut sums = [V::splat_wide(1 << 9); COUNT];
            for (pairs, weights) in self.patch.as_flattened().iter().zip(&model.parent) {
                let pairs = V::load_wide(pairs);
                for (i, sum) in sums.iter_mut().enumerate() {
                    let k = from + i;
                    *sum = V::multiply_add(*sum, pairs, weights[k / 8][k % 8]);
                }
            }
            for (known, sum) in self.blocks.known[from..].iter_mut().zip(sums) {
                // Eighths of a sample times 2^11: 2^10 is a sixteenth.
                V::store(V::narrow(V::shift_wide_right::<10>(sum)), known);
            }
        }
    }

    /// Predicts the blocks from the finer samples that they cover.
    #[inline(always)]
    fn predict_by_finer<V: Vectors>(
        &mut self,
        model: &Model,
        aligned: &Aligned,
        samples: usize,
        places: &Places,
    ) {
        for l in (0..LANES).filter(|l| places.mask >> l & 1 == 1) {
            let [column, row, plane] = places.at(l);
            let data = aligned.data.get(plane * samples..).unwrap_or_default();
            let block = predict::from_samples::<V::Machine>(model, data, aligned.width, column, row);
            for (known, value) in self.blocks.known.iter_mut().zip(block) {
                known[l] = value;
            }
        }
    }

    /// Takes what the blocks on the left and above have left.
    #[inline(always)]
    fn neighbours<V: Vectors, const KIND: u8, const N: usize>(
        &mut self,
        setting: &Setting<'_>,
        places: &Places,
    ) {
        let [column, ..] = places.at(0);
        // Looked at where the first row has a block, and one above it.
        let below = self.below.get(column).unwrap_or(&Below::NOTHING);
        let (no_left, no_above) = (places.first_columns, places.first_rows);
        let (one, all, none) = (V::splat(1), V::splat(-1), V::splat(0));
        let (left, above) = (V::select(no_left, none, all), V::select(no_above, none, all));
        let Blocks { near, found, .. } = &mut *self.blocks;
        let found = near[1..65].iter_mut().zip(found.iter().zip(&below.found));
        if no_left | no_above == 0 {
            for (near, (found, &first)) in found {
                let found = V::load(found);
                V::store(V::add(found, V::move_down(found, first)), near);
            }
        } else {
            // An absent one stands in for the other.
            let times = V::select(no_left ^ no_above, V::splat(2), one);
            for (near, (found, &first)) in found {
                let found = V::load(found);
                let (of_left, of_above) = (V::and(found, left), V::and(V::move_down(found, first), above));
                V::store(V::multiply(V::add(of_left, of_above), times), near);
            }
        }
        let [mut left_edge, mut upper_edge] = [[[none; 2]; 8]; 2];
        for i in 0..8 {
            for part in 0..2 {
                let lower = V::move_down(V::load(&self.lower[i][part]), below.edge[i][part]);
                left_edge[i][part] = V::and(V::load(&self.right[i][part]), left);
                upper_edge[i][part] = V::and(lower, above);
                if KIND == ALONE {
                    // There one counts twice where the other is absent.
                    let double = V::select(no_left ^ no_above, all, none);
                    let [of_left, of_upper] = [left_edge[i][part], upper_edge[i][part]];
                    left_edge[i][part] = V::add(of_left, V::and(of_left, double));
                    upper_edge[i][part] = V::add(of_upper, V::and(of_upper, double));
                }
            }
        }
        self.blocks.correct::<V, N>(setting, &left_edge, &upper_edge);
        self.blocks.sum_up::<V>();
    }

    /// Leaves what blocks to come need.
    #[inline(always)]
    fn leave<V: Vectors, const N: usize>(&mut self, scale: &Scale, places: &Places) {
        let (right, lower) = self.blocks.edges::<V, N>(scale);
        for i in 0..8 {
            for part in 0..2 {
                V::store(right[i][part], &mut self.right[i][part]);
                V::store(lower[i][part], &mut self.lower[i][part]);
            }
        }
        let last = LANES - 1;
        let [column, ..] = places.at(last);
        if places.mask >> last & 1 == 1
            && let Some(below) = self.below.get_mut(column)
        {
            for (found, row) in below.found.iter_mut().zip(&self.blocks.found) {
                *found = row[last];
            }
            for (edge, lower) in below.edge.iter_mut().zip(&self.lower) {
                *edge = [lower[0][last], lower[1][last]];
            }
        }
    }
}

#[inline(always)]
fn pair(a: i16, b: i16) -> i32 {
    i32::from(a as u16) | i32::from(b) << 16
}
