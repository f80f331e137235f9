//! A payload's symbols, in one strand or in four.
//!
//! Rows of blocks go into the strands in turn. A reader of four works on four rows at once, each a block behind the one
//! above it: what waits in one row hides behind what goes on in the others. Short payloads have one strand, which takes
//! fewer bytes. The byte layout is `docs/format/codec-1.md`'s, "Coder".

use super::model::Model;
use super::rans::{self, Interval, LOW, REACH, Reader, SCALE, Strand};
use super::stored::{Input, put_number};
use super::walk::Coder;
use crate::Error;

/// Most strands.
pub(super) const STRANDS: usize = 4;
/// Payloads of fewer bytes have one strand. Four would take fourteen more.
const LONG: f64 = 400.0;

/// The readers of a payload's strands.
#[derive(Debug, Clone)]
pub(super) struct Readers<'a> {
    pub(super) strands: [Reader<'a>; STRANDS],
    count: usize,
    /// Words of the one strand, or of each two that share theirs.
    words: [usize; 2],
}

impl<'a> Readers<'a> {
    /// Begins with the states in `bytes`. Its words go to `room`, there and back, so that all strands read alike and none
    /// comes near the end.
    ///
    /// # Errors
    /// [`Error::Malformed`] if they are cut off or out of range.
    pub(super) fn new(bytes: &[u8], has_four: bool, room: &'a mut Vec<[u8; 2]>) -> Result<Self, Error> {
        let malformed = |what| Error::Malformed { offset: 0, what };
        let cut = malformed("the payload ends in its coder's states");
        let (bytes, front) = match has_four {
            true => {
                let mut input = Input::new(bytes);
                let words = input.number().ok().ok_or(cut.clone())? as usize;
                (input.rest(), words)
            }
            false => (bytes, 0),
        };
        let count = if has_four { STRANDS } else { 1 };
        let (states, words) = bytes.split_at_checked(4 * count).ok_or(cut)?;
        let (words, odd) = words.as_chunks();
        if !odd.is_empty() {
            return Err(malformed("half a word at the payload's end"));
        }
        let mut state = [LOW; STRANDS];
        for (state, bytes) in state.iter_mut().zip(states.as_chunks().0) {
            *state = u32::from_le_bytes(*bytes);
            if *state < LOW {
                return Err(malformed("a coder state below its range"));
            }
        }
        if front > words.len() {
            return Err(malformed("the payload ends in its coder's words"));
        }
        let beyond = [[0; 2]; REACH];
        room.clear();
        room.extend_from_slice(words);
        room.extend_from_slice(&beyond);
        if !has_four {
            let strands = [0, 1, 2, 3].map(|i| Reader::new(state[i], if i == 0 { room } else { &[] }));
            return Ok(Self { strands, count, words: [words.len(), 0] });
        }
        room.extend(words.iter().rev());
        room.extend_from_slice(&beyond);
        let (there, back) = room.split_at(words.len() + REACH);
        let ahead = words.len() - front;
        let strands = [
            Reader::new(state[0], there),
            Reader::new(state[1], &back[ahead..]),
            Reader::new(state[2], &there[front..]),
            Reader::new(state[3], back),
        ];
        Ok(Self { strands, count, words: [front, ahead] })
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Checks that every strand ended just where it should.
    ///
    /// # Errors
    /// [`Error::Malformed`] if not.
    pub(super) fn finish(&self) -> Result<(), Error> {
        let [a, b, c, d] = &self.strands;
        let met = [a.read().wrapping_add(b.read()), c.read().wrapping_add(d.read())] == self.words;
        match met && self.strands.iter().all(|strand| strand.state == LOW) {
            true => Ok(()),
            false => {
                Err(Error::Malformed { offset: 0, what: "the payload's coder does not end where it should" })
            }
        }
    }
}

/// Collects the symbols of a tile and writes them, last one first.
#[derive(Debug, Default, Clone)]
pub(super) struct Writer {
    intervals: Vec<Interval>,
    /// Where each row of blocks begins, and its number in its plane.
    rows: Vec<(usize, usize)>,
    strands: [Strand; STRANDS],
}

impl Writer {
    /// Appends the strands, four or one, to `out` and is empty again.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>, has_four: bool) {
        let count = if has_four { STRANDS } else { 1 };
        let Self { intervals, rows, strands } = self;
        strands.iter_mut().for_each(Strand::begin);
        // Each strand's intervals, the last one first.
        let end = |row: usize| rows.get(row + 1).map_or(intervals.len(), |&(start, _)| start);
        let mut of_strands: [_; STRANDS] = std::array::from_fn(|strand| {
            let rows = rows.iter().enumerate().rev().filter(move |(_, (_, row))| row % count == strand);
            rows.flat_map(|(number, &(start, _))| intervals[start..end(number)].iter().rev())
        });
        // An interval of each by turns: what one waits for hides behind the others.
        let mut any = true;
        while any {
            any = false;
            for (strand, intervals) in strands.iter_mut().zip(&mut of_strands) {
                if let Some(&interval) = intervals.next() {
                    strand.put(interval);
                    any = true;
                }
            }
        }
        let [a, b, c, d] = &self.strands;
        if has_four {
            put_number(out, (a.words.len() + b.words.len()) as u32);
        }
        for strand in &self.strands[..count] {
            out.extend_from_slice(&strand.state.to_le_bytes());
        }
        let mut put = |forwards: &Strand, backwards: &Strand| {
            let words = forwards.words.iter().rev().chain(&backwards.words);
            out.extend(words.flat_map(|word| word.to_le_bytes()));
        };
        put(a, b);
        put(c, d);
        self.intervals.clear();
        self.rows.clear();
    }

    /// Whether the symbols take [`LONG`] bytes or more: then four strands are worth it.
    pub(super) fn is_long(&self) -> bool {
        let mut bits = 0.0;
        for some in self.intervals.chunks(32) {
            // At most 2^14 each: a product of 32 is within range.
            let widths: f64 = some.iter().map(|&(_, width)| f64::from(SCALE) / f64::from(width)).product();
            bits += widths.log2();
            if bits >= 8.0 * LONG {
                return true;
            }
        }
        false
    }
}

impl Coder for Writer {
    const DECODES: bool = false;
    fn row(&mut self, row: usize) {
        self.rows.push((self.intervals.len(), row));
    }
    #[inline(always)]
    fn symbol(&mut self, model: &Model, index: usize, symbol: usize) -> usize {
        self.intervals.push(model.tables[index].interval(symbol));
        symbol
    }
    #[inline(always)]
    fn flag(&mut self, _: usize, _: usize, zero: u16, flag: bool) -> bool {
        self.intervals.push(rans::flag(zero, flag));
        flag
    }
    #[inline(always)]
    fn raw(&mut self, bits: u32, value: u32) -> u32 {
        self.intervals.push(rans::raw(bits, value));
        value
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::rans::{self, Plain, SYMBOLS, Table};
    use super::*;

    fn table(weights: &[u16; SYMBOLS]) -> Table {
        let total: u32 = weights.iter().map(|&w| u32::from(w) + 1).sum();
        let mut starts = [0; SYMBOLS];
        let mut sum = 0;
        for (start, &weight) in starts.iter_mut().zip(weights) {
            *start = (u64::from(sum) * u64::from(SCALE) / u64::from(total)) as u16;
            sum += u32::from(weight) + 1;
        }
        Table::new(starts)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            weights in any::<[u8; SYMBOLS]>(),
            rows in proptest::collection::vec(
                proptest::collection::vec((0..SYMBOLS, any::<bool>(), 1..SCALE, 0..15_u32, any::<u16>()), 0..200),
                0..12,
            ),
            repeated in 1..12_usize,
        ) {
            let table = table(&weights.map(u16::from));
            let rows = vec![rows; repeated].concat();
            let mut writer = Writer::default();
            for (r, row) in rows.iter().enumerate() {
                writer.row(r);
                for &(symbol, flag, zero, bits, value) in row {
                    let value = u32::from(value) & ((1 << bits) - 1);
                    writer.intervals.extend([rans::flag(zero, flag), table.interval(symbol), rans::raw(bits, value)]);
                }
            }
            let mut bytes = vec![];
            let has_four = writer.is_long();
            writer.finish(&mut bytes, has_four);
            let mut room = vec![];
            let mut readers = Readers::new(&bytes, has_four, &mut room).expect("states");
            for (r, row) in rows.iter().enumerate() {
                let count = readers.count();
                let reader = &mut readers.strands[r % count];
                for &(symbol, flag, zero, bits, value) in row {
                    reader.reach();
                    prop_assert_eq!(reader.flag(zero), flag);
                    // Every other time it is first asked for a zero.
                    let found = if flag && reader.zero(&table) { 0 } else { reader.symbol::<Plain>(&table) };
                    prop_assert_eq!(found, symbol);
                    prop_assert_eq!(reader.raw(bits), u32::from(value) & ((1 << bits) - 1));
                }
            }
            prop_assert_eq!(readers.finish(), Ok(()));
        }
    }

    #[test]
    fn a_payload_that_goes_on_or_ends_early_is_refused() {
        let table = table(&[100, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for (rows, is_long) in [(2, false), (100, true)] {
            let mut writer = Writer::default();
            for row in 0..rows {
                writer.row(row);
                writer.intervals.extend((0..60).map(|i| table.interval(i % 7)));
            }
            let mut bytes = vec![];
            let has_four = writer.is_long();
            writer.finish(&mut bytes, has_four);
            assert_eq!(has_four, is_long);
            let read = |bytes: &[u8]| {
                let mut room = vec![];
                let mut readers = Readers::new(bytes, has_four, &mut room)?;
                let count = readers.count();
                for row in 0..rows {
                    readers.strands[row % count].reach();
                    (0..60).for_each(|_| _ = readers.strands[row % count].symbol::<Plain>(&table));
                }
                readers.finish()
            };
            assert_eq!(read(&bytes), Ok(()));
            let longer = [&bytes[..], &[0, 0]].concat();
            for damaged in [&bytes[..bytes.len() - 2], &bytes[..bytes.len() - 1], &longer, &bytes[..9]] {
                assert!(read(damaged).is_err());
            }
        }
    }
}
