//! The symbols of a piece of sixteen blocks: all at a time, or row by row where few have it.
//!
//! Not here: what is known before the first of them (`blocks`).
#![allow(clippy::needless_range_loop, reason = "arrays of a block have one index")]

use super::blocks::{Blocks, Setting};
use super::coder::Reader;
use super::vectors::{Mask, Row, Vectors, WideRow};
use crate::cross_scale::expect::MOST;
use crate::cross_scale::model::{FIRST_RAW, Model, PIECES, bucket_of, raw_bits};
use crate::cross_scale::rans::{Machine, SCALE};
use crate::cross_scale::walk::{ESCAPE, VALUES};

/// Rows that are decoded one by one where no more have a piece.
pub(super) const FEW: u32 = 4;
/// The first piece of which that may be so: it begins beyond the few that nearly all blocks have.
pub(super) const FEW_FROM: usize = 2;

/// One of these: what the piece's magnitudes are expected to be, and their tables, in their order.
#[derive(Debug, Clone, Copy)]
struct Few {
    row: usize,
    expected: Row,
    tables: Row,
    /// The last one.
    symbol: usize,
}

impl Few {
    /// Tells those behind `k`, in the piece that begins at `start`, that the residual there has this magnitude.
    #[inline(always)]
    fn learn(&mut self, model: &Model, k: usize, start: usize, found: i16) {
        // Of those up to `k` it has none.
        let weights: &Row = model.inner[k & 63].0[start..].first_chunk().unwrap_or(&[0; 16]);
        let mut expected = self.expected;
        for (expected, weight) in expected.iter_mut().zip(weights) {
            *expected = expected.saturating_add(weight.wrapping_mul(found));
        }
        self.expected = expected;
    }
}

impl Blocks {
    /// Tables and buckets of the magnitude that is number `at` in its piece.
    #[inline(always)]
    pub(super) fn tables<V: Vectors>(
        &self,
        setting: &Setting<'_>,
        at: usize,
        expected: V::Wide,
    ) -> (V::Wide, V::Wide) {
        let buckets = V::bucket(expected);
        let first = V::widen(V::load(&self.tables[at]));
        (V::add_times(first, buckets, setting.kind.fractions() as i16), buckets)
    }

    /// Decodes the residuals at zigzag index `k`, in the piece from `start` to `end`, of the blocks of `going`, and returns what those
    /// behind them are expected to be.
    #[inline(always)]
    pub(super) fn symbol<V: Vectors>(
        &mut self,
        reader: &mut Reader<'_>,
        states: &mut V::Wide,
        setting: &Setting<'_>,
        (k, start, end): (usize, usize, usize),
        going: Mask,
        expected: V::Wide,
    ) -> V::Wide {
        let model = setting.model;
        let (tables, buckets) = self.tables::<V>(setting, k - start, expected);
        let found = V::find(&model.marked, tables, *states);
        *states = reader.advance::<V>(*states, interval::<V>(found, *states), going);
        let symbols = V::symbols(found);
        let one = V::splat_wide(1);
        let sizes = V::shift_wide_right::<1>(V::add_wide(symbols, one));
        let odd = V::subtract_wide(V::splat_wide(0), V::and_wide(symbols, one));
        let below = V::and_wide(sizes, odd);
        let mut residuals = V::subtract_wide(V::subtract_wide(sizes, below), below);
        let mut found = sizes;
        let escapes = V::is_larger(symbols, V::splat_wide(ESCAPE as i32 - 1)) & going;
        let plain = V::is_larger(buckets, V::splat_wide(FIRST_RAW as i32 - 1)) & going;
        let bits = V::shift_wide_right::<2>(V::subtract_wide(buckets, V::splat_wide(FIRST_RAW as i32 - 4)));
        if escapes != 0 {
            let [mut all, mut more] = [[0; 16]; 2];
            V::store_wide(*states, &mut all);
            V::store_wide(residuals, &mut more);
            reader.escapes(&mut all, &mut more, escapes);
            (*states, residuals) = (V::load_wide(&all), V::load_wide(&more));
        }
        if escapes | plain != 0 {
            let low = reader.plain::<V>(states, bits, plain);
            let all = V::add_wide(V::shift_bits_left(residuals, bits), low);
            residuals = V::select_wide(plain, all, residuals);
            found = V::magnitudes(residuals);
        }
        let weights = &model.inner[k].0;
        let behind = V::load(&self.expected[k + 1 - start]);
        let next = match model.pairs {
            Some(_) => V::add_times(V::widen(behind), found, weights[k + 1]),
            None => V::widen(V::add(behind, V::multiply(V::narrow(found), V::splat(weights[k + 1])))),
        };
        let found = V::select(going, V::narrow(found), V::splat(0));
        V::store(found, &mut self.found[k]);
        V::store(V::truncate(residuals), &mut self.residuals[k - start]);
        // Those behind the next one; behind the last but one there are none.
        let lanes = self.expected.get_mut(k + 2 - start..end - start).unwrap_or_default();
        for (expected, &weight) in lanes.iter_mut().zip(weights.get(k + 2..end).unwrap_or_default()) {
            V::store(V::add(V::load(expected), V::multiply(found, V::splat(weight))), expected);
        }
        next
    }

    /// Decodes the residuals of a piece of a few rows, those of `going`, one by one at each place: many are zeros, which change
    /// nothing.
    #[inline(always)]
    pub(super) fn sparse<V: Vectors>(
        &mut self,
        reader: &mut Reader<'_>,
        states: &mut WideRow,
        setting: &Setting<'_>,
        piece: usize,
        going: Mask,
    ) {
        let (start, end) = PIECES[piece];
        let (model, fractions) = (setting.model, setting.kind.fractions());
        let mut rows = [Few { row: 0, expected: [0; 16], tables: [0; 16], symbol: 0 }; FEW as usize];
        let mut count = 0;
        for row in (0..16).filter(|row| going >> row & 1 == 1).take(FEW as usize) {
            let few = &mut rows[count];
            few.row = row;
            for at in 0..end - start {
                (few.expected[at], few.tables[at]) = (self.expected[at][row], self.tables[at][row]);
            }
            count += 1;
        }
        for k in start..end {
            V::store(V::splat(0), &mut self.found[k]);
            V::store(V::splat(0), &mut self.residuals[k - start]);
        }
        for k in start..end {
            let mut more = false;
            for few in &mut rows[..count] {
                let bucket = bucket_of(few.expected[k - start]);
                let index = few.tables[k - start] as usize + bucket * fractions;
                let (Some(table), Some(state)) = (model.tables.get(index), states.get_mut(few.row)) else {
                    continue;
                };
                let (slot, width) = (*state as u32 & (u32::from(SCALE) - 1), u32::from(table.starts()[1]));
                if slot < width {
                    reader.take(state, 0, width);
                    (few.symbol, more) = (0, more | (bucket >= FIRST_RAW));
                    continue;
                }
                let symbol = V::Machine::find(table, slot as u16) & 15;
                let (begin, width) = table.interval(symbol);
                reader.take(state, begin.into(), width.into());
                few.symbol = symbol;
                if symbol == ESCAPE || bucket >= FIRST_RAW {
                    more = true;
                } else {
                    let [residual, found] = VALUES[symbol];
                    (self.residuals[k - start][few.row], self.found[k][few.row]) = (residual, found);
                    few.learn(model, k, start, found);
                }
            }
            if more {
                self.beyond(reader, states, model, (k, start), &mut rows[..count]);
            }
        }
    }

    /// Takes in the residuals at zigzag index `k`, in the piece that begins at `start`, of which symbols do not tell all.
    #[cold]
    #[inline(never)]
    fn beyond(
        &mut self,
        reader: &mut Reader<'_>,
        states: &mut WideRow,
        model: &Model,
        (k, start): (usize, usize),
        rows: &mut [Few],
    ) {
        let mut residuals = [0; 16];
        let mut escapes = 0;
        for few in &*rows {
            residuals[few.row & 15] = VALUES[few.symbol & 15][0].into();
            escapes |= Mask::from(few.symbol == ESCAPE) << few.row;
        }
        reader.escapes(states, &mut residuals, escapes);
        for few in rows {
            let bits = raw_bits(bucket_of(few.expected[k - start]));
            if few.symbol != ESCAPE && bits == 0 {
                continue;
            }
            let residual = match bits {
                0 => residuals[few.row & 15],
                _ => residuals[few.row & 15] << bits | reader.bits(&mut states[few.row & 15], bits) as i32,
            };
            let found = residual.unsigned_abs().min(MOST.into()) as i16;
            (self.residuals[k - start][few.row], self.found[k][few.row]) = (residual as i16, found);
            few.learn(model, k, start, found);
        }
    }
}

/// How far behind its start each state's slot is, and the width of its interval, by what was found (`Marked::find`).
#[inline(always)]
fn interval<V: Vectors>(found: V::Wide, states: V::Wide) -> (V::Wide, V::Wide) {
    let most = V::splat_wide(i32::from(SCALE) - 1);
    let (start, next) =
        (V::shift_bits_right(found, V::splat_wide(2)), V::shift_bits_right(found, V::splat_wide(18)));
    // Starts are a half of all off.
    let slots = V::add_wide(states, V::splat_wide(i32::from(SCALE) / 2));
    (V::and_wide(V::subtract_wide(slots, start), most), V::and_wide(V::subtract_wide(next, start), most))
}
