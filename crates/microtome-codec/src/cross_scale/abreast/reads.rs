//! What sixteen states read of a tile, in their order, and the words that have them read it.
//!
//! The byte layout and the order of words are `docs/format/codec-1.md`'s, "Coder". Not here: what is read (`encode`).

use std::hint::select_unpredictable;

use super::coder::{self, FIRST_TO_END, LANES};
use super::steps::Order;
use super::vectors::{Mask, Vectors, WideRow};
use crate::cross_scale::model::{BUCKETS, Kind, Model};
use crate::cross_scale::rans::{self, Interval, LOW, SYMBOLS};

/// Plain bits: their number, then the bits themselves. Other reads have a table in their place, then a symbol.
const PLAIN: i32 = 1 << 30;
/// Where a plain number's length is.
const LENGTH: u32 = 20;
/// Where a table's number is; a model's flags have theirs behind those of its tables.
const TABLE: u32 = 8;
/// Where a symbol is, or plain bits; before it is the state that reads it.
const SYMBOL: u32 = 4;

/// Most that sixteen blocks have to read: of each residual a symbol, four plain numbers of an escape and one below it; and flags. And
/// as many as are written at a time.
const REACH: usize = LANES * (6 * 64 + 6) + LANES;

/// What is read of one block after the other.
#[derive(Debug, Default)]
pub(in crate::cross_scale) struct Reads {
    reads: Vec<i32>,
    /// How many there are.
    count: usize,
    /// Where each run begins.
    runs: Vec<usize>,
    /// Where the states end that end first, of rows that go round.
    handed_over: Option<usize>,
    /// Of what was written last.
    words: Vec<[u8; 2]>,
}

static STATES: WideRow = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

impl Reads {
    /// Forgets all.
    pub(in crate::cross_scale) fn clear(&mut self) {
        (self.count, self.handed_over) = (0, None);
        self.runs.clear();
    }

    /// Another run begins.
    pub(super) fn begin(&mut self) {
        self.runs.push(self.count);
    }

    /// Makes room for sixteen blocks.
    #[inline(always)]
    pub(super) fn reach(&mut self) {
        if self.reads.len() < self.count + REACH {
            self.reads.resize(2 * self.reads.len() + REACH, 0);
        }
    }

    /// The states that end first have ended.
    pub(super) fn hand_over(&mut self) {
        self.handed_over = Some(self.count);
    }

    #[inline(always)]
    fn put<V: Vectors>(&mut self, reads: V::Wide, mask: Mask) {
        let Some(to) = self.reads.get_mut(self.count..).and_then(|reads| reads.first_chunk_mut()) else {
            debug_assert!(false, "more than sixteen blocks have");
            return;
        };
        self.count += V::put_together(V::add_wide(reads, V::load_wide(&STATES)), mask, to);
    }

    /// The symbols of tables that states of the mask read.
    #[inline(always)]
    pub(super) fn symbols<V: Vectors>(&mut self, tables: V::Wide, symbols: V::Wide, mask: Mask) {
        let [tables, symbols] = [(tables, TABLE), (symbols, SYMBOL)]
            .map(|(numbers, place)| V::shift_bits_left(numbers, V::splat_wide(place as i32)));
        self.put::<V>(V::add_wide(tables, symbols), mask);
    }

    /// The flags of a checkpoint that states of the mask read, true for those of `going`.
    #[inline(always)]
    pub(super) fn flags<V: Vectors>(
        &mut self,
        kind: Kind,
        checkpoint: usize,
        buckets: V::Wide,
        (mask, going): (Mask, Mask),
    ) {
        let first = V::splat_wide((kind.tables() + checkpoint * BUCKETS) as i32);
        let flags = V::select_wide(going, V::splat_wide(1), V::splat_wide(0));
        self.symbols::<V>(V::add_wide(first, buckets), flags, mask);
    }

    /// So many plain bits each, of states of the mask.
    #[inline(always)]
    pub(super) fn low<V: Vectors>(&mut self, bits: V::Wide, values: V::Wide, mask: Mask) {
        let lengths = V::multiply_wide(bits, V::splat_wide(1 << LENGTH));
        let values = V::shift_bits_left(values, V::splat_wide(SYMBOL as i32));
        self.put::<V>(V::add_wide(V::add_wide(lengths, values), V::splat_wide(PLAIN)), mask);
    }

    /// Plain bits (at most 14) of one state, which are returned.
    pub(super) fn plain(&mut self, state: usize, bits: u32, value: u32) -> u32 {
        debug_assert!(self.count < self.reads.len(), "more than sixteen blocks have");
        if let Some(to) = self.reads.get_mut(self.count) {
            *to = PLAIN | (bits << LENGTH) as i32 | (value << SYMBOL) as i32 | state as i32;
            self.count += 1;
        }
        value
    }

    /// Appends the states and words that have them read this, given the model of each run.
    pub(in crate::cross_scale) fn finish(&mut self, models: &[&Model], order: Order, out: &mut Vec<u8>) {
        let Self { reads, count, runs, handed_over, words } = self;
        words.resize(words.len().max(*count), [0; 2]);
        let mut writer = Writer { states: [LOW; LANES], first: *count, words: &mut words[..*count] };
        let mut end = *count;
        for (&start, model) in runs.iter().zip(models).rev() {
            if let Some(first) = handed_over.filter(|first| (start..=end).contains(first)) {
                writer.put(model, &reads[first..end]);
                writer.take_back();
                end = first;
            }
            writer.put(model, &reads[start..end]);
            end = start;
        }
        let Writer { states, first, words } = writer;
        match order {
            Order::Round => coder::pack(&states, out),
            Order::InTurn => out.extend(states.iter().flat_map(|state| state.to_le_bytes())),
        }
        out.extend_from_slice(words[first..].as_flattened());
    }

    /// Tells `count` of each that is no plain number: the number of its table, or behind them all of its flag, and its symbol. Returns
    /// how many plain bits there are.
    pub(in crate::cross_scale) fn tell(&self, mut count: impl FnMut(usize, usize)) -> u64 {
        let mut plain = 0;
        for &read in &self.reads[..self.count] {
            match plain_bits(read) {
                Some(bits) => plain += u64::from(bits),
                None => count(table(read), symbol(read)),
            }
        }
        plain
    }
}

fn plain_bits(read: i32) -> Option<u32> {
    (read & PLAIN != 0).then_some(read as u32 >> LENGTH & 15)
}

fn table(read: i32) -> usize {
    (read >> TABLE) as usize
}

fn symbol(read: i32) -> usize {
    (read >> SYMBOL) as usize % SYMBOLS
}

/// The interval that is read.
#[inline(always)]
fn interval(model: &Model, read: i32) -> Interval {
    if let Some(bits) = plain_bits(read) {
        return rans::raw(bits, read as u32 >> SYMBOL & ((1 << bits) - 1));
    }
    match (model.tables.get(table(read)), table(read).checked_sub(model.tables.len())) {
        (Some(table), _) => table.interval(symbol(read)),
        (None, Some(flag)) => rans::flag(model.flags[flag / BUCKETS][flag % BUCKETS], symbol(read) == 1),
        (None, None) => unreachable!("a table is within a model or behind all of its"),
    }
}

/// States that go backwards, and the words that they left.
struct Writer<'a> {
    states: [u32; LANES],
    /// There is a place for a word of each read.
    words: &'a mut [[u8; 2]],
    /// The first word so far.
    first: usize,
}

impl Writer<'_> {
    #[inline(always)]
    fn put(&mut self, model: &Model, reads: &[i32]) {
        for &read in reads.iter().rev() {
            let state = &mut self.states[read as usize % LANES];
            // Written in any case, since one in four is not foreseen.
            let word = (*state as u16).to_le_bytes();
            let before = self.first.saturating_sub(1);
            if let Some(to) = self.words.get_mut(before) {
                *to = word;
            }
            let is_full = rans::put(state, interval(model, read));
            self.first = select_unpredictable(is_full, before, self.first);
        }
    }

    /// Those that end first begin with the words that they are to give back: the next ones of the others.
    fn take_back(&mut self) {
        for state in &mut self.states[..FIRST_TO_END] {
            // Where there are no more words, a word of zero is given back, and left.
            let word = self.words.get(self.first).copied();
            *state = LOW | u32::from(u16::from_le_bytes(word.unwrap_or_default()));
            self.first += usize::from(word.is_some());
        }
    }
}
