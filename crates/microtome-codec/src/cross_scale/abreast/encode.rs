//! Planes whose blocks are known, sixteen rows at a time: what a decoder of them reads.
//!
//! All that is not read is the decoder's own (`abreast`, `blocks`). Not here: what becomes of it (`reads`).
#![allow(clippy::needless_range_loop, reason = "arrays of a block have one index")]

use super::blocks::{Blocks, Setting, whole_steps};
use super::reads::Reads;
use super::steps::{Order, Places, Steps};
use super::vectors::{Mask, Row, Vectors, WideRow};
use super::{ALONE, COARSER, FINER, FIRST, Run, Scratch};
use crate::coefficients::Plane;
use crate::cross_scale::ahead::Scale;
use crate::cross_scale::expect::MOST;
use crate::cross_scale::model::{CHECKPOINTS, FIRST_RAW, FLAG_LANE, Kind, Model, PIECES};
use crate::cross_scale::walk::{ESCAPE, escaped};

/// Adds what a decoder reads of a run.
#[inline(always)]
pub(in crate::cross_scale) fn encode<V: Vectors>(
    reads: &mut Reads,
    model: &Model,
    kind: Kind,
    run: Run<'_>,
    scratch: &mut Scratch,
) {
    match kind {
        Kind::Alone => encode_as::<V, ALONE, { Kind::Alone.predicted() }>(reads, model, run, scratch),
        Kind::Coarser => encode_as::<V, COARSER, { Kind::Coarser.predicted() }>(reads, model, run, scratch),
        Kind::Finer => encode_as::<V, FINER, { Kind::Finer.predicted() }>(reads, model, run, scratch),
    }
}

#[inline(always)]
fn encode_as<V: Vectors, const KIND: u8, const N: usize>(
    reads: &mut Reads,
    model: &Model,
    run: Run<'_>,
    scratch: &mut Scratch,
) {
    let Run { planes, order, is_last, aligned } = run;
    reads.begin();
    let Some(first) = planes.first() else { return };
    let (width, height, scale) = (first.width, first.height, Scale::new(&first.table));
    if width == 0 || height == 0 {
        return;
    }
    let setting = Setting { model, kind: Kind::ALL[KIND as usize], scale: &scale };
    let steps = Steps::of(planes, order);
    let samples = aligned.data.len() / planes.len();
    scratch.clear(width);
    let mut places = Places::new(&steps, height);
    for step in 0..steps.count() {
        places.find::<V>(width as i32, planes.len() as i32, order == Order::Round && step == 0);
        scratch.begin::<V, KIND, N>(&setting, aligned, samples, &places);
        scratch.take_up::<V>(planes, &places);
        let is_end = order == Order::Round && is_last && step + 1 == steps.count();
        for rows in if is_end { [FIRST, !FIRST] } else { [Mask::MAX, 0] } {
            reads.reach();
            if rows != 0 {
                scratch.blocks.encode::<V, N>(reads, &setting, places.mask & rows);
            }
            if rows == FIRST {
                reads.hand_over();
            }
        }
        scratch.leave::<V, N>(&scale, &places);
        places.advance::<V>(&steps, height);
    }
}

impl Scratch {
    /// Takes up the coefficients of the blocks, row by row.
    #[inline(always)]
    fn take_up<V: Vectors>(&mut self, planes: &[Plane], places: &Places) {
        // Squares of sixteen by sixteen, so that what turns blocks over turns them back.
        let mut squares: [Row; 64] = [[0; 16]; 64];
        for l in (0..16).filter(|l| places.mask >> l & 1 == 1) {
            let [column, row, plane] = places.at(l);
            let Some(plane) = planes.get(plane) else { continue };
            let blocks = plane.coefficients.as_chunks::<64>().0;
            let Some(block) = blocks.get(row * plane.width + column) else { continue };
            for (i, sixteen) in block.as_chunks().0.iter().enumerate() {
                squares[16 * i + l] = *sixteen;
            }
        }
        V::turn_over(&squares, &mut self.turned);
        for (k, values) in self.blocks.values.iter_mut().enumerate() {
            *values = self.turned[k % 16].as_chunks().0[k / 16];
        }
    }
}

impl Blocks {
    /// Adds what a decoder reads of the blocks of `mask`, all else of them being known.
    #[inline(always)]
    fn encode<V: Vectors, const N: usize>(&mut self, reads: &mut Reads, setting: &Setting<'_>, mask: Mask) {
        let last = self.last::<V, N>();
        self.end = 0;
        let mut going = mask;
        for piece in 0..PIECES.len() {
            going = self.encode_piece::<V, N>(reads, setting, piece, (going, last));
        }
    }

    /// Where encoding ends: behind the last coefficient that is not what was predicted at first.
    #[inline(always)]
    fn last<V: Vectors, const N: usize>(&self) -> V::Wide {
        let mut last = V::splat(0);
        for k in 0..64 {
            let rest = if k < N { whole_steps::<V>(V::load(&self.steps[k])) } else { V::splat(0) };
            let off = V::size(V::subtract(V::load(&self.values[k]), rest));
            last = V::most(last, V::multiply(V::least(off, V::splat(1)), V::splat(k as i16 + 1)));
        }
        V::widen(last)
    }

    /// As [`Self::encode`], of a piece of the blocks of `mask`, which end at `last`; returns which have it.
    #[inline(always)]
    fn encode_piece<V: Vectors, const N: usize>(
        &mut self,
        reads: &mut Reads,
        setting: &Setting<'_>,
        piece: usize,
        (mask, last): (Mask, V::Wide),
    ) -> Mask {
        let (start, end) = PIECES[piece];
        let mut going = mask;
        if going != 0 && piece < CHECKPOINTS {
            let expected = self.expect::<V, 1, N>(setting.model, start, FLAG_LANE + piece, 0)[0];
            going &= V::is_larger(last, V::splat_wide(start as i32));
            reads.flags::<V>(setting.kind, piece, V::bucket(V::widen(expected)), (mask, going));
        }
        if going == 0 {
            self.found[start..end].fill([0; 16]);
            return 0;
        }
        self.end = end;
        self.expect_piece::<V, N>(setting.model, piece, false);
        self.predict::<V>(setting, piece);
        for k in start..end {
            let steps = V::load(&self.piece_steps[k - start]);
            let residual = V::subtract(V::load(&self.values[k]), whole_steps::<V>(steps));
            let residual = V::turn(residual, V::shift_right::<15>(steps));
            let found = V::least(V::size(residual), V::splat(MOST.into()));
            V::store(residual, &mut self.residuals[k - start]);
            V::store(V::select(going, found, V::splat(0)), &mut self.found[k]);
        }
        for k in start..end {
            self.read::<V>(reads, setting, (k, start), going);
        }
        self.close::<V>(setting.scale, piece);
        going
    }

    /// Adds what is read of the residuals at zigzag index `k`, in the piece that begins at `start`.
    #[inline(always)]
    fn read<V: Vectors>(
        &self,
        reads: &mut Reads,
        setting: &Setting<'_>,
        (k, start): (usize, usize),
        going: Mask,
    ) {
        let mut expected = V::load(&self.expected[k - start]);
        for before in start..k {
            let weight = V::splat(setting.model.inner[before].0[k]);
            expected = V::add(expected, V::multiply(V::load(&self.found[before]), weight));
        }
        let (tables, buckets) = self.tables::<V>(setting, k - start, V::widen(expected));
        let residuals = V::widen(V::load(&self.residuals[k - start]));
        let (zero, plain) = (V::splat_wide(0), V::is_larger(buckets, V::splat_wide(FIRST_RAW as i32 - 1)));
        let plain = plain & going;
        let (mut bits, mut top) = (zero, residuals);
        if plain != 0 {
            let least = V::splat_wide(FIRST_RAW as i32 - 4);
            bits = V::select_wide(plain, V::shift_wide_right::<2>(V::subtract_wide(buckets, least)), zero);
            // Rounded down: no number is negative while its low bits are dropped.
            let above = V::splat_wide(1 << 20);
            let positive = V::shift_bits_right(V::add_wide(residuals, above), bits);
            top = V::subtract_wide(positive, V::shift_bits_right(above, bits));
        }
        let sizes = V::magnitudes(top);
        let escapes = V::is_larger(sizes, V::splat_wide(7)) & going;
        // As `walk::fold`.
        let symbols = V::add_wide(V::add_wide(sizes, sizes), V::shift_wide_right::<31>(top));
        let symbols = V::select_wide(escapes, V::splat_wide(ESCAPE as i32), symbols);
        reads.symbols::<V>(tables, symbols, going);
        if escapes != 0 {
            let mut tops: WideRow = [0; 16];
            V::store_wide(top, &mut tops);
            for l in (0..16).filter(|l| escapes >> l & 1 == 1) {
                escaped(&mut |bits, value| reads.plain(l, bits, value), tops[l]);
            }
        }
        if plain != 0 {
            let low = V::subtract_wide(residuals, V::shift_bits_left(top, bits));
            reads.low::<V>(bits, low, plain);
        }
    }
}
