//! Vectors of sixteen numbers, one for each of sixteen rows of blocks, and what is done with them.
//!
//! [`Plain`] says what each step is; the same by hand is in the files named for their instructions. Not here: what the
//! numbers mean.

use crate::cross_scale::expect::MOST;
use crate::cross_scale::model::{BUCKETS, bucket};
use crate::cross_scale::rans::{self, LOW, Machine, Marked, SYMBOL_OF, SYMBOLS};

/// Sixteen numbers in memory.
pub(in crate::cross_scale) type Row = [i16; 16];
pub(in crate::cross_scale) type WideRow = [i32; 16];

/// A bit for each of sixteen rows.
pub(in crate::cross_scale) type Mask = u16;

/// The steps on sixteen numbers at once. `Narrow` ones have 16 bits, `Wide` ones 32.
pub(in crate::cross_scale) trait Vectors: Copy {
    type Narrow: Copy;
    type Wide: Copy;
    /// What is done block by block.
    type Machine: Machine;
    /// Whether there are registers for two dozen wide vectors of sixteen, and more. (NEON has 32, of which each takes four.)
    const HAS_MANY: bool;

    fn load(row: &Row) -> Self::Narrow;
    fn store(values: Self::Narrow, row: &mut Row);
    fn load_wide(row: &WideRow) -> Self::Wide;
    fn store_wide(values: Self::Wide, row: &mut WideRow);
    fn splat(value: i16) -> Self::Narrow;
    fn splat_wide(value: i32) -> Self::Wide;

    /// Sum and difference, saturated.
    fn add(a: Self::Narrow, b: Self::Narrow) -> Self::Narrow;
    fn subtract(a: Self::Narrow, b: Self::Narrow) -> Self::Narrow;
    /// Sum modulo 2^16.
    fn add_modulo(a: Self::Narrow, b: Self::Narrow) -> Self::Narrow;
    /// Lower and upper half of the product.
    fn multiply(a: Self::Narrow, b: Self::Narrow) -> Self::Narrow;
    fn multiply_upper(a: Self::Narrow, b: Self::Narrow) -> Self::Narrow;
    /// The product in 2^15, rounded; both are not -2^15.
    fn multiply_rounded(a: Self::Narrow, b: Self::Narrow) -> Self::Narrow;
    fn least(a: Self::Narrow, b: Self::Narrow) -> Self::Narrow;
    fn most(a: Self::Narrow, b: Self::Narrow) -> Self::Narrow;
    /// The size of a number that is not the least one.
    fn size(a: Self::Narrow) -> Self::Narrow;
    fn shift_left<const BITS: u32>(a: Self::Narrow) -> Self::Narrow;
    /// Rounded down.
    fn shift_right<const BITS: u32>(a: Self::Narrow) -> Self::Narrow;
    fn and(a: Self::Narrow, b: Self::Narrow) -> Self::Narrow;
    /// The number negated, modulo 2^16, where `sign` is -1, and itself where that is 0.
    fn turn(a: Self::Narrow, sign: Self::Narrow) -> Self::Narrow;
    /// Those of `a` where the mask has a bit, else those of `b`.
    fn select(mask: Mask, a: Self::Narrow, b: Self::Narrow) -> Self::Narrow;
    /// Each number a row further down, and `first` in the first one; the last one is dropped.
    fn move_down(a: Self::Narrow, first: i16) -> Self::Narrow;
    /// Entry of a table of 32 at each number, 0 to 31.
    fn look_up(index: Self::Narrow, table: &[u8; 32]) -> Self::Narrow;

    /// Entry of a table at each number below [`BUCKETS`].
    fn look_up_flags(index: Self::Wide, table: &[u16; BUCKETS]) -> Self::Wide;

    fn widen(a: Self::Narrow) -> Self::Wide;
    /// Saturated.
    fn narrow(a: Self::Wide) -> Self::Narrow;
    /// Modulo 2^16.
    fn truncate(a: Self::Wide) -> Self::Narrow;
    /// The first in the lower half, the second in the upper one.
    fn pairs(a: Self::Narrow, b: Self::Narrow) -> Self::Wide;
    /// Adds the products of both halves of a pair with those of `weights`, modulo 2^32.
    fn multiply_add(sums: Self::Wide, pairs: Self::Wide, weights: [i16; 2]) -> Self::Wide;
    /// Modulo 2^32.
    fn add_wide(a: Self::Wide, b: Self::Wide) -> Self::Wide;
    fn subtract_wide(a: Self::Wide, b: Self::Wide) -> Self::Wide;
    fn multiply_wide(a: Self::Wide, b: Self::Wide) -> Self::Wide;
    fn shift_wide_right<const BITS: u32>(a: Self::Wide) -> Self::Wide;
    /// The bits of a number shifted by another one, 0 to 15; a right shift brings zeros. Shifted by more or less they mean nothing.
    fn shift_bits_left(a: Self::Wide, by: Self::Wide) -> Self::Wide;
    fn shift_bits_right(a: Self::Wide, by: Self::Wide) -> Self::Wide;
    fn and_wide(a: Self::Wide, b: Self::Wide) -> Self::Wide;
    fn select_wide(mask: Mask, a: Self::Wide, b: Self::Wide) -> Self::Wide;
    /// Where the first is larger; both are signed.
    fn is_larger(a: Self::Wide, b: Self::Wide) -> Mask;

    /// Bucket of each expected magnitude, which has 16 bits.
    fn bucket(expected: Self::Wide) -> Self::Wide;
    /// Adds the products of values of 15 bits, none of them negative, with one factor; sums that come near 2^31 mean nothing.
    fn add_times(sums: Self::Wide, values: Self::Wide, factor: i16) -> Self::Wide;
    /// The magnitudes of residuals: their sizes, at most [`MOST`].
    fn magnitudes(residuals: Self::Wide) -> Self::Wide;
    /// Pairs of neighbours in `data` from each offset on; offsets beyond the last pair are taken for it.
    fn gather(data: &[i16], offsets: Self::Wide) -> Self::Wide;
    /// What is found for each state's slot in its own table (`Marked::find`); indices beyond the last table, behind which there is one
    /// more, are taken for it.
    fn find(tables: &[Marked], index: Self::Wide, states: Self::Wide) -> Self::Wide;
    /// The symbols that were found.
    fn symbols(found: Self::Wide) -> Self::Wide;
    /// Takes a word into each state of `mask` that is below its range, one after the other; returns how many.
    fn refill(states: Self::Wide, mask: Mask, words: &[[u8; 2]; 16]) -> (Self::Wide, usize);
    /// Puts the numbers of `mask` into `out`, one after the other, and anything behind them; returns how many.
    #[inline(always)]
    fn put_together(values: Self::Wide, mask: Mask, out: &mut WideRow) -> usize {
        let mut all = [0; 16];
        Self::store_wide(values, &mut all);
        let mut count = 0;
        for (l, value) in all.into_iter().enumerate() {
            out[count & 15] = value;
            count += usize::from(mask >> l & 1);
        }
        count
    }
    /// The blocks of sixteen rows from their coefficients, row by row.
    fn turn_over(values: &[Row; 64], out: &mut [[i16; 64]; 16]);
}

/// The plain steps.
#[derive(Debug, Clone, Copy)]
pub(in crate::cross_scale) struct Plain;

#[inline(always)]
fn each<A: Copy, B: Copy, C: Copy + Default>(a: [A; 16], b: [B; 16], f: impl Fn(A, B) -> C) -> [C; 16] {
    let mut out = [C::default(); 16];
    for l in 0..16 {
        out[l] = f(a[l], b[l]);
    }
    out
}

impl Vectors for Plain {
    type Narrow = Row;
    type Wide = WideRow;
    type Machine = rans::Plain;
    const HAS_MANY: bool = false;

    #[inline(always)]
    fn load(row: &Row) -> Row {
        *row
    }
    #[inline(always)]
    fn store(values: Row, row: &mut Row) {
        *row = values;
    }
    #[inline(always)]
    fn load_wide(row: &WideRow) -> WideRow {
        *row
    }
    #[inline(always)]
    fn store_wide(values: WideRow, row: &mut WideRow) {
        *row = values;
    }
    #[inline(always)]
    fn splat(value: i16) -> Row {
        [value; 16]
    }
    #[inline(always)]
    fn splat_wide(value: i32) -> WideRow {
        [value; 16]
    }
    #[inline(always)]
    fn add(a: Row, b: Row) -> Row {
        each(a, b, i16::saturating_add)
    }
    #[inline(always)]
    fn add_modulo(a: Row, b: Row) -> Row {
        each(a, b, i16::wrapping_add)
    }
    #[inline(always)]
    fn subtract(a: Row, b: Row) -> Row {
        each(a, b, i16::saturating_sub)
    }
    #[inline(always)]
    fn multiply(a: Row, b: Row) -> Row {
        each(a, b, i16::wrapping_mul)
    }
    #[inline(always)]
    fn multiply_upper(a: Row, b: Row) -> Row {
        each(a, b, |a, b| ((i32::from(a) * i32::from(b)) >> 16) as i16)
    }
    #[inline(always)]
    fn multiply_rounded(a: Row, b: Row) -> Row {
        each(a, b, |a, b| ((i32::from(a) * i32::from(b) + (1 << 14)) >> 15) as i16)
    }
    #[inline(always)]
    fn least(a: Row, b: Row) -> Row {
        each(a, b, Ord::min)
    }
    #[inline(always)]
    fn most(a: Row, b: Row) -> Row {
        each(a, b, Ord::max)
    }
    #[inline(always)]
    fn size(a: Row) -> Row {
        a.map(i16::wrapping_abs)
    }
    #[inline(always)]
    fn shift_left<const BITS: u32>(a: Row) -> Row {
        a.map(|a| a << BITS)
    }
    #[inline(always)]
    fn shift_right<const BITS: u32>(a: Row) -> Row {
        a.map(|a| a >> BITS)
    }
    #[inline(always)]
    fn and(a: Row, b: Row) -> Row {
        each(a, b, |a, b| a & b)
    }
    #[inline(always)]
    fn turn(a: Row, sign: Row) -> Row {
        each(a, sign, |a, sign| (a ^ sign).wrapping_sub(sign))
    }
    #[inline(always)]
    fn select(mask: Mask, a: Row, b: Row) -> Row {
        std::array::from_fn(|l| if mask >> l & 1 == 1 { a[l] } else { b[l] })
    }
    #[inline(always)]
    fn move_down(a: Row, first: i16) -> Row {
        std::array::from_fn(|l| if l == 0 { first } else { a[l - 1] })
    }
    #[inline(always)]
    fn look_up(index: Row, table: &[u8; 32]) -> Row {
        index.map(|i| table[usize::from(i as u16 & 31)].into())
    }
    #[inline(always)]
    fn look_up_flags(index: WideRow, table: &[u16; BUCKETS]) -> WideRow {
        index.map(|i| table[(i as u32 as usize).min(BUCKETS - 1)].into())
    }
    #[inline(always)]
    fn widen(a: Row) -> WideRow {
        a.map(i32::from)
    }
    #[inline(always)]
    fn narrow(a: WideRow) -> Row {
        a.map(|a| a.clamp(-32768, 32767) as i16)
    }
    #[inline(always)]
    fn truncate(a: WideRow) -> Row {
        a.map(|a| a as i16)
    }
    #[inline(always)]
    fn pairs(a: Row, b: Row) -> WideRow {
        each(a, b, |a, b| i32::from(a as u16) | i32::from(b) << 16)
    }
    #[inline(always)]
    fn multiply_add(sums: WideRow, pairs: WideRow, weights: [i16; 2]) -> WideRow {
        let [low, high] = weights.map(i32::from);
        // The products of -2^15 with itself are the only ones whose sum does not fit.
        each(sums, pairs, |sum, pair| {
            sum.wrapping_add((i32::from(pair as i16) * low).wrapping_add((pair >> 16) * high))
        })
    }
    #[inline(always)]
    fn add_wide(a: WideRow, b: WideRow) -> WideRow {
        each(a, b, i32::wrapping_add)
    }
    #[inline(always)]
    fn subtract_wide(a: WideRow, b: WideRow) -> WideRow {
        each(a, b, i32::wrapping_sub)
    }
    #[inline(always)]
    fn multiply_wide(a: WideRow, b: WideRow) -> WideRow {
        each(a, b, i32::wrapping_mul)
    }
    #[inline(always)]
    fn shift_wide_right<const BITS: u32>(a: WideRow) -> WideRow {
        a.map(|a| a >> BITS)
    }
    #[inline(always)]
    fn shift_bits_left(a: WideRow, by: WideRow) -> WideRow {
        each(a, by, |a, by| a << (by & 15))
    }
    #[inline(always)]
    fn shift_bits_right(a: WideRow, by: WideRow) -> WideRow {
        each(a, by, |a, by| (a as u32 >> (by & 31)) as i32)
    }
    #[inline(always)]
    fn and_wide(a: WideRow, b: WideRow) -> WideRow {
        each(a, b, |a, b| a & b)
    }
    #[inline(always)]
    fn select_wide(mask: Mask, a: WideRow, b: WideRow) -> WideRow {
        std::array::from_fn(|l| if mask >> l & 1 == 1 { a[l] } else { b[l] })
    }
    #[inline(always)]
    fn is_larger(a: WideRow, b: WideRow) -> Mask {
        (0..16).fold(0, |mask, l| mask | Mask::from(a[l] > b[l]) << l)
    }
    #[inline(always)]
    fn bucket(expected: WideRow) -> WideRow {
        expected.map(|e| bucket(e as i16) as i32)
    }
    #[inline(always)]
    fn add_times(sums: WideRow, values: WideRow, factor: i16) -> WideRow {
        each(sums, values, |sum, value| sum + value * i32::from(factor))
    }
    #[inline(always)]
    fn magnitudes(residuals: WideRow) -> WideRow {
        residuals.map(|residual| residual.unsigned_abs().min(MOST.into()) as i32)
    }
    #[inline(always)]
    fn gather(data: &[i16], offsets: WideRow) -> WideRow {
        let last = data.len().saturating_sub(2);
        offsets.map(|offset| {
            let from = (offset as u32 as usize).min(last);
            match data.get(from..from + 2) {
                Some(&[a, b]) => i32::from(a as u16) | i32::from(b) << 16,
                _ => 0,
            }
        })
    }
    #[inline(always)]
    fn find(tables: &[Marked], index: WideRow, states: WideRow) -> WideRow {
        each(index, states, |index, state| {
            let table = (index as u32 as usize).min(tables.len().saturating_sub(2));
            tables.get(table).map_or(0, |table| table.find(state as u16))
        })
    }
    #[inline(always)]
    fn symbols(found: WideRow) -> WideRow {
        found.map(|found| SYMBOL_OF[(found & 3 | found >> 14 & 12) as usize & (SYMBOLS - 1)].into())
    }
    #[inline(always)]
    fn refill(mut states: WideRow, mask: Mask, words: &[[u8; 2]; 16]) -> (WideRow, usize) {
        let mut taken = 0;
        for (l, state) in states.iter_mut().enumerate() {
            if mask >> l & 1 == 1 && (*state as u32) < LOW {
                *state = *state << 16 | i32::from(u16::from_le_bytes(words[taken]));
                taken += 1;
            }
        }
        (states, taken)
    }
    #[inline(always)]
    fn turn_over(values: &[Row; 64], out: &mut [[i16; 64]; 16]) {
        for (k, row) in values.iter().enumerate() {
            for (block, &value) in out.iter_mut().zip(row) {
                block[k] = value;
            }
        }
    }
}

#[cfg(test)]
mod tests;
