//! Range asymmetric numeral systems: symbols of known probability to bytes and back.
//!
//! The decoder ends where the encoder began, in the state [`LOW`]: anything else is damage. But for [`Reader::zero`], which is
//! for where zeros are foreseen, nothing here branches on what is decoded, so that several readers take their turns without
//! any of them waiting for another; what the walk asks besides, it asks where the answer is mostly foreseen.
//! Source: J. Duda, "Asymmetric numeral systems" (arXiv 1311.2540); the byte layout is `docs/format/codec-1.md`'s.

use std::hint::select_unpredictable;

use super::ahead::{PADDED, Piece, Sixteen};
use super::edges::{self, Edges};
use super::expect::Magnitudes;
use super::model::BLOCK_FEATURES;
use super::{ahead, colour, dct, expect, predict};

/// Probabilities are counted in 1/2^14.
pub(super) const SCALE_BITS: u32 = 14;
/// The sum of all probabilities of a table.
pub(super) const SCALE: u16 = 1 << SCALE_BITS;
/// Lower bound of a state, and the state an encoder starts from.
pub(super) const LOW: u32 = 1 << 16;
/// Symbols of a table.
pub(super) const SYMBOLS: usize = 16;

/// The probabilities of 16 symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(align(32))]
pub(super) struct Table {
    /// The sum of the probabilities before each symbol. The first is 0, which instructions by hand rely on; they rise, and
    /// that of all symbols is [`SCALE`].
    starts: [u16; SYMBOLS],
}

impl Table {
    /// The table whose symbol s begins at `starts[s]`.
    ///
    /// # Panics
    /// If the first does not begin at 0.
    pub(super) fn new(starts: [u16; SYMBOLS]) -> Self {
        assert_eq!(starts[0], 0, "the first symbol begins at 0");
        debug_assert!(
            starts.is_sorted() && starts[SYMBOLS - 1] < SCALE,
            "they rise, and stay below the scale"
        );
        Self { starts }
    }

    /// Where each symbol's interval begins. The first is 0.
    #[inline(always)]
    pub(super) fn starts(&self) -> &[u16; SYMBOLS] {
        &self.starts
    }

    /// Start and width of a symbol's interval.
    #[inline(always)]
    pub(super) fn interval(&self, symbol: usize) -> (u16, u16) {
        let start = self.starts[symbol & (SYMBOLS - 1)];
        // Behind the last one comes 0 again, which is SCALE less SCALE.
        let end = self.starts[(symbol + 1) & (SYMBOLS - 1)];
        (start, end.wrapping_sub(start) & (SCALE - 1))
    }
}

/// A table of which two starts one behind the other tell which symbol they bound, so that a symbol and its interval are found in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(align(32))]
pub(super) struct Marked(pub(super) [i16; SYMBOLS]);

/// Two bits for each symbol: with those of the next one they are of no other (a de Bruijn sequence).
const MARKS: [u8; SYMBOLS] = [0, 0, 1, 0, 2, 0, 3, 1, 1, 2, 1, 3, 2, 2, 3, 3];

/// The symbol that has a mark, and four times that of the next one.
pub(super) static SYMBOL_OF: [u8; SYMBOLS] = {
    let mut symbols = [0; SYMBOLS];
    let mut s = 0;
    while s < SYMBOLS {
        symbols[(MARKS[s] | MARKS[(s + 1) % SYMBOLS] << 2) as usize] = s as u8;
        s += 1;
    }
    symbols
};

impl Marked {
    /// Starts of [`SCALE`] times four, each with its mark, less 2^15: they rise.
    pub(super) fn new(table: &Table) -> Self {
        Self(std::array::from_fn(|s| {
            (i32::from(table.starts[s]) * 4 + i32::from(MARKS[s]) + i32::from(i16::MIN)) as i16
        }))
    }

    /// What is found for a slot: the start of its symbol, and in the upper half that of the next one, which for the last symbol is
    /// the first of the table behind.
    #[inline(always)]
    pub(super) fn find(&self, slot: u16) -> i32 {
        let place = (i32::from(slot % SCALE) * 4 + 3 + i32::from(i16::MIN)) as i16;
        let count = self.0.iter().filter(|&&start| start <= place).count();
        let next = self.0[count % SYMBOLS];
        i32::from(self.0[(count + SYMBOLS - 1) % SYMBOLS] as u16) | i32::from(next) << 16
    }
}

/// Sums of products of eight lanes, and pairs of 16-bit weights for them.
pub(super) type Sums = [i32; 8];
pub(super) type Pairs = [[i16; 2]; 8];

/// The steps that are written by hand for some instruction sets.
pub(super) trait Machine: Copy {
    /// The symbol whose interval `slot` is in, modulo [`SCALE`].
    fn find(table: &Table, slot: u16) -> usize;
    /// Adds `pair` times each of `weights` to its sum, modulo 2^32: hostile models can go beyond. A pair's products fit.
    fn multiply_add(sums: Sums, pair: [i16; 2], weights: &Pairs) -> Sums;
    /// Adds to each sum the pair that its index (0 to 7) names times its weights, modulo 2^32.
    fn multiply_add_picked(sums: Sums, pairs: &Pairs, index: &[u32; 8], weights: &Pairs) -> Sums;
    /// A piece's prediction, as [`Piece::new`] says.
    #[inline(always)]
    fn piece(
        sixteenths: &Sixteen,
        sums: &[Sums; 2],
        reciprocals: &[i32; 16],
        first: &[u16; 16],
        fractions: &[u8; 32],
    ) -> Piece {
        Piece::new(sixteenths, sums, reciprocals, first, fractions)
    }
    /// Errors of coefficients, as [`ahead::errors`] says.
    #[inline(always)]
    fn errors<const BITS: i32>(values: &Sixteen, steps: &Sixteen, predicted: &Sixteen, most: i16) -> Sixteen {
        ahead::errors::<BITS>(values, steps, predicted, most)
    }
    /// What a block's expectation is made from, as [`expect::features`] says.
    #[inline(always)]
    fn features(
        left: &Magnitudes,
        above: &Magnitudes,
        predicted: &[i16; PADDED],
    ) -> (Magnitudes, [i16; BLOCK_FEATURES]) {
        expect::features(left, above, predicted)
    }
    /// Edges of a decoded block, as [`edges::of`] says.
    #[inline(always)]
    fn edges(coefficients: &[i16; 64], steps: &[i16; PADDED], known: &[i16; PADDED]) -> Edges {
        edges::of::<Self>(coefficients, steps, known)
    }
    /// Samples of a row of blocks, eight lines of them, from quantised coefficients and steps in zigzag order.
    #[inline(always)]
    fn inverse_row(blocks: &[[i16; 64]], steps: &[u16; 64], lines: &mut [u8]) {
        dct::inverse_row(blocks, steps, lines);
    }
    /// Coefficients of a block of samples, as [`dct::forward`] says.
    #[inline(always)]
    fn forward(rows: [&[i16; 8]; 8], gain: &[i16; 64], out: &mut [i16; 64]) {
        dct::forward::<Self>(rows, gain, out);
    }
    /// Adds weighted pixels to sums, as [`colour::weigh`] says.
    #[inline(always)]
    fn weigh(pixels: &[[u8; 3]], weights: [i32; 4], sums: &mut [i32]) {
        colour::weigh(pixels, weights, sums);
    }
    /// Reduces samples, as [`predict::inner`] says.
    #[inline(always)]
    fn reduce<const X: bool, const Y: bool>(rows: [&[u8]; 3], from: usize, out: &mut [i16]) {
        predict::inner::<X, Y>(rows, from, out);
    }
}

/// The plain steps, which say what the others must do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plain;

impl Machine for Plain {
    #[inline(always)]
    fn find(table: &Table, slot: u16) -> usize {
        table.starts[1..].iter().map(|&start| usize::from(start <= slot & (SCALE - 1))).sum()
    }

    #[inline(always)]
    fn multiply_add(mut sums: Sums, [a, b]: [i16; 2], weights: &Pairs) -> Sums {
        for (sum, weight) in sums.iter_mut().zip(weights) {
            let product = i32::from(a) * i32::from(weight[0]) + i32::from(b) * i32::from(weight[1]);
            *sum = sum.wrapping_add(product);
        }
        sums
    }

    #[inline(always)]
    fn multiply_add_picked(mut sums: Sums, pairs: &Pairs, index: &[u32; 8], weights: &Pairs) -> Sums {
        for ((sum, weight), &index) in sums.iter_mut().zip(weights).zip(index) {
            let [a, b] = pairs[(index & 7) as usize];
            let product = i32::from(a) * i32::from(weight[0]) + i32::from(b) * i32::from(weight[1]);
            *sum = sum.wrapping_add(product);
        }
        sums
    }
}

/// Words within the reach of a [`Reader`] between two calls of [`Reader::reach`].
pub(super) const REACH: usize = 256;

/// Reads symbols from a strand: a state, and words one after the other. Where there is no word it reads zero; who made
/// it looks at where it ended.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    pub(super) state: u32,
    /// The next word's place within reach: as there are [`REACH`] of them, any is.
    at: u8,
    near: &'a [[u8; 2]; REACH],
    words: &'a [[u8; 2]],
    /// Words read, or asked for, before those within reach.
    before: usize,
}

impl<'a> Reader<'a> {
    /// Reads `words` from the first on. The last [`REACH`] of them are never read where a strand is sound.
    pub(super) fn new(state: u32, words: &'a [[u8; 2]]) -> Self {
        let mut reader = Self { state, at: 0, near: &[[0; 2]; REACH], words, before: 0 };
        reader.reach();
        reader
    }

    /// Words read, or asked for.
    pub(super) fn read(&self) -> usize {
        self.before.wrapping_add(self.at.into())
    }

    /// Brings the next words within reach: those of a block are. It has 64 residuals and 5 flags, and of a residual at
    /// most 14 bits are its symbol's, 20 are plain ones of an escape, and 5 are those below it. A step takes a third of a
    /// bit more than what it says, as its state is rounded: all together less than 2,800 bits, or 175 words.
    #[inline(always)]
    pub(super) fn reach(&mut self) {
        self.before = self.read();
        self.at = 0;
        let words = self.words.get(self.before..).and_then(|words| words.first_chunk());
        self.near = words.unwrap_or(&[[0; 2]; REACH]);
    }

    #[inline(always)]
    fn advance(&mut self, start: u16, width: u16) {
        let slot = self.state & (u32::from(SCALE) - 1);
        let state = u32::from(width)
            .wrapping_mul(self.state >> SCALE_BITS)
            .wrapping_add(slot)
            .wrapping_sub(start.into());
        let word = u16::from_le_bytes(self.near[usize::from(self.at)]);
        let is_low = state < LOW;
        self.state = select_unpredictable(is_low, state << 16 | u32::from(word), state);
        self.at = self.at.wrapping_add(is_low.into());
    }

    #[inline(always)]
    fn slot(&self) -> u16 {
        (self.state & (u32::from(SCALE) - 1)) as u16
    }

    /// The next symbol.
    #[inline(always)]
    pub(super) fn symbol<S: Machine>(&mut self, table: &Table) -> usize {
        let slot = self.slot();
        let symbol = S::find(table, slot) & (SYMBOLS - 1);
        let (start, width) = table.interval(symbol);
        self.advance(start, width);
        symbol
    }

    /// Whether the next symbol is the first one, which then is taken. Asked where it mostly is: then hardly ever a word is
    /// read, and branches are foreseen.
    #[inline(always)]
    pub(super) fn zero(&mut self, table: &Table) -> bool {
        let (slot, width) = (self.slot(), table.starts[1]);
        let is_zero = slot < width;
        if is_zero {
            self.state = u32::from(width).wrapping_mul(self.state >> SCALE_BITS).wrapping_add(slot.into());
            if self.state < LOW {
                self.refill();
            }
        }
        is_zero
    }

    #[cold]
    fn refill(&mut self) {
        let word = u16::from_le_bytes(self.near[usize::from(self.at)]);
        self.state = self.state << 16 | u32::from(word);
        self.at = self.at.wrapping_add(1);
    }

    /// A flag that is false with probability `zero` / [`SCALE`].
    #[inline(always)]
    pub(super) fn flag(&mut self, zero: u16) -> bool {
        let flag = self.slot() >= zero;
        self.advance(if flag { zero } else { 0 }, if flag { SCALE - zero } else { zero });
        flag
    }

    /// `bits` (at most 14) equally likely bits.
    #[inline(always)]
    pub(super) fn raw(&mut self, bits: u32) -> u32 {
        let shift = SCALE_BITS - bits;
        let value = self.slot() >> shift;
        self.advance(value << shift, 1 << shift);
        value.into()
    }
}

/// The interval of a flag.
#[inline(always)]
pub(super) fn flag(zero: u16, flag: bool) -> Interval {
    if flag { (zero, SCALE - zero) } else { (0, zero) }
}

/// The interval of a plain value of so many bits.
#[inline(always)]
pub(super) fn raw(bits: u32, value: u32) -> Interval {
    let shift = SCALE_BITS - bits;
    ((value as u16) << shift, 1 << shift)
}

/// Start and width.
pub(super) type Interval = (u16, u16);

/// Writes a strand, last symbol first.
#[derive(Debug, Clone, Default)]
pub(super) struct Strand {
    pub(super) state: u32,
    /// The last one first.
    pub(super) words: Vec<u16>,
}

impl Strand {
    pub(super) fn begin(&mut self) {
        self.state = LOW;
        self.words.clear();
    }

    #[inline(always)]
    pub(super) fn put(&mut self, interval: Interval) {
        let word = self.state as u16;
        if put(&mut self.state, interval) {
            self.words.push(word);
        }
    }
}

/// Takes an interval into a state; returns whether the state's lower half had no room in it any more.
#[inline(always)]
pub(super) fn put(state: &mut u32, (start, width): Interval) -> bool {
    let is_full = u64::from(*state) >= u64::from(width) << (32 - SCALE_BITS);
    let rest = select_unpredictable(is_full, *state >> 16, *state);
    let width = u32::from(width);
    *state = ((rest / width) << SCALE_BITS) + rest % width + u32::from(start);
    is_full
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::model::{MAX_WIDTH, table};
    use super::*;

    proptest! {
        #[test]
        fn marks_tell_a_symbol_and_its_interval(
            widths in prop::array::uniform16(0..=MAX_WIDTH), slot in any::<u16>(),
        ) {
            let table = table(&widths);
            let marked = Marked::new(&table);
            let slots = table.starts().iter().flat_map(|&start| [start.wrapping_sub(1), start]);
            for slot in slots.chain([slot, SCALE - 1]) {
                let (found, symbol) = (marked.find(slot) as u32, Plain::find(&table, slot));
                let marks = found & 3 | found >> 14 & 12;
                prop_assert_eq!(usize::from(SYMBOL_OF[marks as usize]), symbol);
                let (start, width) = table.interval(symbol);
                prop_assert_eq!((found >> 2) as u16 % SCALE, start ^ (SCALE / 2));
                prop_assert_eq!((found >> 18).wrapping_sub(found >> 2) as u16 % SCALE, width);
            }
        }
    }
}
