//! Sixteen rANS states that take their words from one sequence, each after the one before it.
//!
//! The byte layout and the order of words are `docs/format/codec-1.md`'s, "Coder". Not here: what is read, and where it
//! goes.

use super::vectors::{Mask, Vectors, WideRow};
use crate::Error;
use crate::cross_scale::model::BUCKETS;
use crate::cross_scale::rans::{LOW, SCALE, SCALE_BITS};
use crate::cross_scale::walk;

/// States, one for each row of blocks abreast.
pub(in crate::cross_scale) const LANES: usize = 16;
/// Words that all of them may take in a block: each less than 175 (`Reader::reach` in `rans`), and as many as are looked at
/// at a time.
const REACH: usize = LANES * 176;

/// Words where there are none: [`Reader::reach`] sees to it that this is never asked for.
#[cold]
#[inline(never)]
fn none_near() -> &'static [[u8; 2]; LANES] {
    &[[0; 2]; LANES]
}

/// What each state says.
#[inline(always)]
pub(super) fn slots<V: Vectors>(states: V::Wide) -> V::Wide {
    V::and_wide(states, V::splat_wide(i32::from(SCALE) - 1))
}

/// Words, with so many zeros behind them that a step of blocks never comes to their end.
#[derive(Debug)]
pub(in crate::cross_scale) struct Reader<'a> {
    pub(super) states: WideRow,
    words: &'a [[u8; 2]],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Begins with the states in `bytes`; its words go to `room`.
    ///
    /// # Errors
    /// [`Error::Malformed`] if they are cut off or out of range.
    pub(in crate::cross_scale) fn new(bytes: &[u8], room: &'a mut Vec<[u8; 2]>) -> Result<Self, Error> {
        let malformed = |what| Error::Malformed { offset: 0, what };
        let (states, words) =
            bytes.split_at_checked(4 * LANES).ok_or(malformed("the payload ends in its coder's states"))?;
        let (words, odd) = words.as_chunks();
        if !odd.is_empty() {
            return Err(malformed("half a word at the payload's end"));
        }
        let mut reader = Self { states: [0; LANES], words: &[], at: 0 };
        for (state, bytes) in reader.states.iter_mut().zip(states.as_chunks().0) {
            let value = u32::from_le_bytes(*bytes);
            if value < LOW {
                return Err(malformed("a coder state below its range"));
            }
            *state = value as i32;
        }
        room.clear();
        room.extend_from_slice(words);
        room.extend_from_slice(&[[0; 2]; REACH]);
        reader.words = room;
        Ok(reader)
    }

    /// Comes to the next blocks. Where there are no more words, it goes on with zeros, and [`Self::finish`] finds out.
    #[inline(always)]
    pub(super) fn reach(&mut self) {
        // One too many: the end is not where it should be.
        self.at = self.at.min(self.words.len() - REACH + 1);
    }

    /// Words at hand.
    #[inline(always)]
    fn near(&self) -> &'a [[u8; 2]; LANES] {
        match self.words.get(self.at..).and_then(|words| words.first_chunk()) {
            Some(words) => words,
            None => none_near(),
        }
    }

    /// Goes on behind intervals of these states, given how far behind its start a slot is, and its width.
    #[inline(always)]
    pub(super) fn advance<V: Vectors>(
        &mut self,
        states: V::Wide,
        (behind, widths): (V::Wide, V::Wide),
        mask: Mask,
    ) -> V::Wide {
        let whole = V::shift_bits_right(states, V::splat_wide(SCALE_BITS as i32));
        let next = V::add_wide(V::multiply_wide(widths, whole), behind);
        self.refill::<V>(V::select_wide(mask, next, states), mask)
    }

    /// Takes words into those states of the mask that are below their range.
    #[inline(always)]
    fn refill<V: Vectors>(&mut self, states: V::Wide, mask: Mask) -> V::Wide {
        let (states, taken) = V::refill(states, mask, self.near());
        self.at += taken;
        states
    }

    /// Flags that are false with the probability of their buckets; returns those that are true.
    #[inline(always)]
    pub(super) fn flags<V: Vectors>(
        &mut self,
        states: &mut V::Wide,
        zeros: &[u16; BUCKETS],
        buckets: V::Wide,
        mask: Mask,
    ) -> Mask {
        let (zero, slots) = (V::look_up_flags(buckets, zeros), slots::<V>(*states));
        let flags = !V::is_larger(zero, slots) & mask;
        let starts = V::select_wide(flags, zero, V::splat_wide(0));
        let others = V::subtract_wide(V::splat_wide(SCALE.into()), zero);
        let interval = (V::subtract_wide(slots, starts), V::select_wide(flags, others, zero));
        *states = self.advance::<V>(*states, interval, mask);
        flags
    }

    /// So many plain bits each, of those in the mask.
    #[inline(always)]
    pub(super) fn plain<V: Vectors>(&mut self, states: &mut V::Wide, bits: V::Wide, mask: Mask) -> V::Wide {
        let shifts = V::subtract_wide(V::splat_wide(SCALE_BITS as i32), bits);
        let values = V::shift_bits_right(slots::<V>(*states), shifts);
        // All intervals have a power of two for their width.
        let one = V::splat_wide(1);
        let behind = V::and_wide(*states, V::subtract_wide(V::shift_bits_left(one, shifts), one));
        let whole = V::shift_bits_right(*states, V::splat_wide(SCALE_BITS as i32));
        let next = V::add_wide(V::shift_bits_left(whole, shifts), behind);
        *states = self.refill::<V>(V::select_wide(mask, next, *states), mask);
        values
    }

    /// What escapes stand for, of those in the mask.
    #[cold]
    #[inline(never)]
    pub(super) fn escapes(&mut self, states: &mut WideRow, residuals: &mut WideRow, mask: Mask) {
        for l in (0..LANES).filter(|l| mask >> l & 1 == 1) {
            residuals[l] = walk::escaped(&mut |bits, _| self.bits(&mut states[l], bits), 0);
        }
    }

    /// So many plain bits (at most 14) from one state.
    #[inline(always)]
    pub(super) fn bits(&mut self, state: &mut i32, bits: u32) -> u32 {
        let shift = SCALE_BITS - bits;
        let value = (*state as u32 & (u32::from(SCALE) - 1)) >> shift;
        self.take(state, value << shift, 1 << shift);
        value
    }

    /// As [`Self::advance`], for one state.
    #[inline(always)]
    pub(super) fn take(&mut self, state: &mut i32, start: u32, width: u32) {
        let slot = *state as u32 & (u32::from(SCALE) - 1);
        let mut next = width.wrapping_mul(*state as u32 >> SCALE_BITS).wrapping_add(slot).wrapping_sub(start);
        if next < LOW {
            let word = self.words.get(self.at).copied().unwrap_or_default();
            next = next << 16 | u32::from(u16::from_le_bytes(word));
            self.at += 1;
        }
        *state = next as i32;
    }

    /// Checks that all states and words ended just where they should.
    ///
    /// # Errors
    /// [`Error::Malformed`] if not.
    pub(in crate::cross_scale) fn finish(&self) -> Result<(), Error> {
        match self.at == self.words.len() - REACH && self.states == [LOW as i32; LANES] {
            true => Ok(()),
            false => {
                Err(Error::Malformed { offset: 0, what: "the payload's coder does not end where it should" })
            }
        }
    }
}
