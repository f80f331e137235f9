//! Range asymmetric numeral systems: symbols of known probability to bytes and back.
//!
//! Two 32-bit states take turns, symbol by symbol, so that one's multiplication hides behind the other's. The decoder
//! ends where the encoder began, in the state [`LOW`] with no byte left: anything else is damage.
//! Source: J. Duda, "Asymmetric numeral systems" (arXiv 1311.2540); the byte layout is `docs/format/codec-1.md`'s.

use super::ahead::{Piece, Sixteen};
use super::{ahead, colour, dct, predict};
use crate::Error;

/// Probabilities are counted in 1/2^14.
pub(super) const SCALE_BITS: u32 = 14;
/// The sum of all probabilities of a table.
pub(super) const SCALE: u16 = 1 << SCALE_BITS;
/// Lower bound of a state, and the state an encoder starts from.
const LOW: u32 = 1 << 16;
/// Symbols of a table.
pub(super) const SYMBOLS: usize = 16;
/// Bytes of the two states before the words.
const STATES: usize = 8;

/// The probabilities of 16 symbols: `ends[s]` is the sum of those up to and with symbol s; the last is [`SCALE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(align(32))]
pub(super) struct Table {
    pub(super) ends: [u16; SYMBOLS],
}

/// The ends of a table's first three symbols, and a 0.
pub(super) type Head = [u16; 4];

impl Table {
    /// The ends of the first three symbols.
    pub(super) fn head(&self) -> Head {
        [self.ends[0], self.ends[1], self.ends[2], 0]
    }

    /// Start and width of a symbol's interval.
    #[inline(always)]
    pub(super) fn interval(&self, symbol: usize) -> (u16, u16) {
        let start = if symbol == 0 { 0 } else { self.ends[(symbol - 1) & (SYMBOLS - 1)] };
        (start, self.ends[symbol & (SYMBOLS - 1)].wrapping_sub(start))
    }
}

/// Sums of products of eight lanes, and pairs of 16-bit weights for them.
pub(super) type Sums = [i32; 8];
pub(super) type Pairs = [[i16; 2]; 8];

/// The steps that are written by hand for some instruction sets.
pub(super) trait Machine: Copy {
    /// The number of `ends` that are not above `slot`, which is below [`SCALE`].
    fn find(ends: &[u16; SYMBOLS], slot: u16) -> usize;
    /// Adds `pair` times each of `weights` to its sum. Sums stay within 32 bits.
    fn multiply_add(sums: Sums, pair: [i16; 2], weights: &Pairs) -> Sums;
    /// Adds to each sum the pair that its index (0 to 7) names times its weights. Sums stay within 32 bits.
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
    fn find(ends: &[u16; SYMBOLS], slot: u16) -> usize {
        ends.iter().map(|&end| usize::from(end <= slot)).sum()
    }

    #[inline(always)]
    fn multiply_add(mut sums: Sums, [a, b]: [i16; 2], weights: &Pairs) -> Sums {
        for (sum, weight) in sums.iter_mut().zip(weights) {
            *sum += i32::from(a) * i32::from(weight[0]) + i32::from(b) * i32::from(weight[1]);
        }
        sums
    }

    #[inline(always)]
    fn multiply_add_picked(mut sums: Sums, pairs: &Pairs, index: &[u32; 8], weights: &Pairs) -> Sums {
        for ((sum, weight), &index) in sums.iter_mut().zip(weights).zip(index) {
            let [a, b] = pairs[(index & 7) as usize];
            *sum += i32::from(a) * i32::from(weight[0]) + i32::from(b) * i32::from(weight[1]);
        }
        sums
    }
}

/// Reads symbols from a payload. Beyond its end it reads zeros; [`Self::finish`] tells.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    now: u32,
    next: u32,
    words: &'a [u8],
    /// Words that were asked for beyond the end.
    missing: u32,
}

impl<'a> Reader<'a> {
    /// Begins with the two states at the start of `bytes`.
    ///
    /// # Errors
    /// [`Error::Malformed`] if they are cut off or out of range.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        let Some((states, words)) = bytes.split_at_checked(STATES) else {
            return Err(Error::Malformed { offset: 0, what: "the payload ends in its coder's states" });
        };
        let state =
            |at: usize| u32::from_le_bytes([states[at], states[at + 1], states[at + 2], states[at + 3]]);
        let (now, next) = (state(0), state(4));
        if now < LOW || next < LOW {
            return Err(Error::Malformed { offset: 0, what: "a coder state below its range" });
        }
        Ok(Self { now, next, words, missing: 0 })
    }

    #[inline(always)]
    fn advance(&mut self, start: u16, width: u16) {
        let slot = self.now & (u32::from(SCALE) - 1);
        let mut state = u32::from(width)
            .wrapping_mul(self.now >> SCALE_BITS)
            .wrapping_add(slot)
            .wrapping_sub(start.into());
        if state < LOW {
            let word = match self.words.split_first_chunk() {
                Some((word, rest)) => {
                    self.words = rest;
                    u16::from_le_bytes(*word)
                }
                None => {
                    self.missing += 1;
                    0
                }
            };
            state = state << 16 | u32::from(word);
        }
        self.now = self.next;
        self.next = state;
    }

    #[inline(always)]
    fn slot(&self) -> u16 {
        (self.now & (u32::from(SCALE) - 1)) as u16
    }

    /// The symbol, if it is one of the first three; `head` has the ends of these.
    ///
    /// They are most: a branch for each lets the machine go on with what comes next before it is sure of this one, and
    /// their ends lie close together, apart from the tables.
    #[inline(always)]
    pub(super) fn likely(&mut self, head: Head) -> Option<usize> {
        let slot = self.slot();
        if slot < head[0] {
            self.advance(0, head[0]);
            return Some(0);
        }
        if slot >= head[2] {
            return None;
        }
        let negative = slot < head[1];
        let (start, end) = if negative { (head[0], head[1]) } else { (head[1], head[2]) };
        self.advance(start, end.wrapping_sub(start));
        Some(if negative { 1 } else { 2 })
    }

    /// The symbol, whichever it is.
    #[inline(always)]
    pub(super) fn symbol<S: Machine>(&mut self, table: &Table) -> usize {
        let slot = self.slot();
        let symbol = S::find(&table.ends, slot).min(SYMBOLS - 1);
        let (start, width) = table.interval(symbol);
        self.advance(start, width);
        symbol
    }

    /// A flag that is false with probability `zero` / [`SCALE`].
    #[inline(always)]
    pub(super) fn flag(&mut self, zero: u16) -> bool {
        let flag = self.slot() >= zero;
        let (start, width) = if flag { (zero, SCALE - zero) } else { (0, zero) };
        self.advance(start, width);
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

    /// Checks that the payload ended just here.
    ///
    /// # Errors
    /// [`Error::Malformed`] if not.
    pub(super) fn finish(self) -> Result<(), Error> {
        match (self.now, self.next) == (LOW, LOW) && self.words.is_empty() && self.missing == 0 {
            true => Ok(()),
            false => {
                Err(Error::Malformed { offset: 0, what: "the payload's coder does not end where it should" })
            }
        }
    }
}

/// Collects symbols and writes them, last one first.
#[derive(Debug, Default, Clone)]
pub(super) struct Writer {
    /// Start and width of each symbol.
    intervals: Vec<(u16, u16)>,
    words: Vec<u16>,
}

impl Writer {
    #[inline(always)]
    pub(super) fn interval(&mut self, start: u16, width: u16) {
        self.intervals.push((start, width));
    }

    #[inline(always)]
    pub(super) fn flag(&mut self, zero: u16, flag: bool) {
        self.interval(if flag { zero } else { 0 }, if flag { SCALE - zero } else { zero });
    }

    #[inline(always)]
    pub(super) fn raw(&mut self, bits: u32, value: u32) {
        let shift = SCALE_BITS - bits;
        self.interval((value as u16) << shift, 1 << shift);
    }

    /// Appends states and words to `out` and is empty again.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        self.words.clear();
        let mut states = [LOW; 2];
        for (i, &(start, width)) in self.intervals.iter().enumerate().rev() {
            let state = &mut states[i & 1];
            if u64::from(*state) >= u64::from(width) << (32 - SCALE_BITS) {
                self.words.push(*state as u16);
                *state >>= 16;
            }
            let width = u32::from(width);
            *state = ((*state / width) << SCALE_BITS) + *state % width + u32::from(start);
        }
        // The decoder swaps its states after each symbol, and has to end with both of them at rest either way.
        out.extend_from_slice(&states[0].to_le_bytes());
        out.extend_from_slice(&states[1].to_le_bytes());
        out.extend(self.words.iter().rev().flat_map(|word| word.to_le_bytes()));
        self.intervals.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(weights: &[u16; SYMBOLS]) -> Table {
        let total: u32 = weights.iter().map(|&w| u32::from(w) + 1).sum();
        let mut ends = [0; SYMBOLS];
        let mut sum = 0;
        for (end, &weight) in ends.iter_mut().zip(weights) {
            sum += u32::from(weight) + 1;
            *end = (u64::from(sum) * u64::from(SCALE) / u64::from(total)) as u16;
        }
        Table { ends }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            weights in any::<[u8; SYMBOLS]>(),
            symbols in proptest::collection::vec((0..SYMBOLS, any::<bool>(), 1..SCALE, 0..15_u32, any::<u16>()), 0..200),
        ) {
            let table = table(&weights.map(u16::from));
            let mut writer = Writer::default();
            for &(symbol, flag, zero, bits, value) in &symbols {
                let (start, width) = table.interval(symbol);
                writer.interval(start, width);
                writer.flag(zero, flag);
                writer.raw(bits, u32::from(value) & ((1 << bits) - 1));
            }
            let mut bytes = vec![];
            writer.finish(&mut bytes);
            let mut reader = Reader::new(&bytes).expect("two states");
            for &(symbol, flag, zero, bits, value) in &symbols {
                let likely = reader.likely(table.head());
                prop_assert_eq!(likely.is_some(), symbol < 3);
                prop_assert_eq!(likely.unwrap_or_else(|| reader.symbol::<Plain>(&table)), symbol);
                prop_assert_eq!(reader.flag(zero), flag);
                prop_assert_eq!(reader.raw(bits), u32::from(value) & ((1 << bits) - 1));
            }
            prop_assert_eq!(reader.finish(), Ok(()));
        }
    }

    #[test]
    fn a_payload_that_goes_on_or_ends_early_is_refused() {
        let table = table(&[100, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let mut writer = Writer::default();
        for i in 0..500 {
            let (start, width) = table.interval(i % 7);
            writer.interval(start, width);
        }
        let mut bytes = vec![];
        writer.finish(&mut bytes);
        for damaged in [&bytes[..bytes.len() - 2], &[&bytes[..], &[0, 0]].concat()] {
            let mut reader = Reader::new(damaged).expect("two states");
            for _ in 0..500 {
                reader.symbol::<Plain>(&table);
            }
            assert!(reader.finish().is_err());
        }
    }
}
