//! Sixteen rANS states that take their words from one sequence, each after the one before it.
//!
//! The byte layout and the order of words are `docs/format/codec-1.md`'s, "Coder". Not here: what is read, and where it
//! goes.

use super::Order;
use super::vectors::{Mask, Vectors, WideRow};
use crate::Error;
use crate::cross_scale::model::BUCKETS;
use crate::cross_scale::rans::{LOW, SCALE, SCALE_BITS};
use crate::cross_scale::walk;

/// States, one for each row of blocks abreast.
pub(in crate::cross_scale) const LANES: usize = 16;
/// States that end before the others in the very last step of a tile whose rows go round, and give back a word each.
pub(super) const FIRST_TO_END: usize = 12;
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

/// Appends states, each as its upper half without its highest bit, after how many bits that has, and its lower half as a word.
pub(in crate::cross_scale) fn pack(states: &[u32; LANES], out: &mut Vec<u8>) {
    let length = |state: u32| 15 - state.leading_zeros().min(15);
    out.extend(states.as_chunks::<2>().0.iter().map(|&[a, b]| (length(a) | length(b) << 4) as u8));
    let (mut bits, mut count) = (0_u32, 0);
    for &state in states {
        bits |= (state >> 16 & ((1 << length(state)) - 1)) << count;
        count += length(state);
        while count >= 8 {
            out.push(bits as u8);
            (bits, count) = (bits >> 8, count - 8);
        }
    }
    if count > 0 {
        out.push(bits as u8);
    }
    out.extend(states.iter().flat_map(|&state| (state as u16).to_le_bytes()));
}

/// Undoes [`pack`]: the states and what is behind them. `None` if they are cut off, or bits are set that none of them has.
fn unpack(bytes: &[u8]) -> Option<([u32; LANES], &[u8])> {
    let (lengths, rest) = bytes.split_first_chunk::<{ LANES / 2 }>()?;
    let length = |l: usize| u32::from(lengths[l / 2] >> (4 * (l % 2)) & 15);
    let (uppers, rest) = rest.split_at_checked((0..LANES).map(length).sum::<u32>().div_ceil(8) as usize)?;
    let (lowers, rest) = rest.split_first_chunk::<{ 2 * LANES }>()?;
    let (mut uppers, mut bits, mut count) = (uppers.iter(), 0_u32, 0);
    let mut states = [0; LANES];
    for (l, (state, lower)) in states.iter_mut().zip(lowers.as_chunks::<2>().0).enumerate() {
        while count < length(l) {
            bits |= u32::from(*uppers.next()?) << count;
            count += 8;
        }
        let upper = 1 << length(l) | bits & ((1 << length(l)) - 1);
        (bits, count) = (bits >> length(l), count - length(l));
        *state = upper << 16 | u32::from(u16::from_le_bytes(*lower));
    }
    (bits == 0).then_some((states, rest))
}

/// Words, with so many zeros behind them that a step of blocks never comes to their end.
#[derive(Debug)]
pub(in crate::cross_scale) struct Reader<'a> {
    pub(super) states: WideRow,
    /// Before them is room for those that are given back.
    words: &'a mut [[u8; 2]],
    at: usize,
    /// Where it was before words were given back.
    furthest: usize,
}

impl<'a> Reader<'a> {
    /// Begins with the states in `bytes`; its words go to `room`.
    ///
    /// # Errors
    /// [`Error::Malformed`] if they are cut off or out of range.
    pub(in crate::cross_scale) fn new(
        bytes: &[u8],
        order: Order,
        room: &'a mut Vec<[u8; 2]>,
    ) -> Result<Self, Error> {
        let malformed = |what| Error::Malformed { offset: 0, what };
        let (states, words) = match order {
            Order::InTurn => bytes.split_first_chunk::<{ 4 * LANES }>().map(|(states, words)| {
                let states = states.as_chunks().0;
                (std::array::from_fn(|l| u32::from_le_bytes(states[l])), words)
            }),
            Order::Round => unpack(bytes),
        }
        .ok_or(malformed("the payload ends in its coder's states, or they are damaged"))?;
        if states.iter().any(|&state| state < LOW) {
            return Err(malformed("a coder state below its range"));
        }
        let (words, odd) = words.as_chunks();
        if !odd.is_empty() {
            return Err(malformed("half a word at the payload's end"));
        }
        room.clear();
        room.extend_from_slice(&[[0; 2]; LANES]);
        room.extend_from_slice(words);
        room.extend_from_slice(&[[0; 2]; REACH]);
        Ok(Self { states: states.map(|state| state as i32), words: room, at: LANES, furthest: 0 })
    }

    /// Where the words end.
    #[inline(always)]
    fn end(&self) -> usize {
        self.words.len() - REACH
    }

    /// Comes to the next blocks. Where there are no more words, it goes on with zeros, and [`Self::finish`] finds out.
    #[inline(always)]
    pub(super) fn reach(&mut self) {
        // One too many: the end is not where it should be.
        self.at = self.at.min(self.end() + 1);
    }

    /// Words at hand.
    #[inline(always)]
    fn near(&self) -> &[[u8; 2]; LANES] {
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

    /// The states that end first, which have come to their end, put back a word each, that of the first one to be the next:
    /// the others take it.
    pub(super) fn give_back<V: Vectors>(&mut self, states: &mut V::Wide) {
        let mut all = [0; LANES];
        V::store_wide(*states, &mut all);
        self.furthest = self.at;
        for state in all[..FIRST_TO_END].iter_mut().rev() {
            // There is room for all before the first word.
            self.at = self.at.saturating_sub(1);
            if let Some(word) = self.words.get_mut(self.at) {
                *word = (*state as u16).to_le_bytes();
            }
            *state &= !0xFFFF;
        }
        *states = V::load_wide(&all);
    }

    /// Checks that all states and words ended just where they should. Of words that were given back zeros may be left.
    ///
    /// # Errors
    /// [`Error::Malformed`] if not.
    pub(in crate::cross_scale) fn finish(&self) -> Result<(), Error> {
        let is_at_end = self.furthest.max(self.at) == self.end();
        let left = self.words.get(self.at..self.end()).unwrap_or_default();
        match is_at_end && left.iter().all(|&word| word == [0; 2]) && self.states == [LOW as i32; LANES] {
            true => Ok(()),
            false => {
                Err(Error::Malformed { offset: 0, what: "the payload's coder does not end where it should" })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::vectors::Plain;
    use super::*;

    proptest! {
        #[test]
        fn packed_states_come_back_and_no_bit_is_left_over(
            states in proptest::array::uniform16((0..16_u32, any::<u32>())), behind in any::<[u8; 3]>(),
        ) {
            let states = states.map(|(shift, state)| (state | 1 << 31) >> shift);
            let mut bytes = vec![];
            pack(&states, &mut bytes);
            let packed = bytes.len();
            bytes.extend(behind);
            prop_assert_eq!(unpack(&bytes), Some((states, &behind[..])));
            prop_assert!(unpack(&bytes[..packed - 1]).is_none());
            let bits = states.iter().map(|state| 15 - state.leading_zeros()).sum::<u32>() as usize;
            if !bits.is_multiple_of(8) {
                bytes[8 + bits / 8] |= 0x80;
                prop_assert!(unpack(&bytes).is_none());
            }
        }
    }

    /// What comes of states that are at their end but for words that the first ones give back; so many words of zero follow.
    fn given_back(lower: [u32; LANES], more: usize) -> Result<(), Error> {
        let (mut bytes, mut room) = (vec![], vec![]);
        pack(&lower.map(|lower| LOW | lower), &mut bytes);
        bytes.extend(vec![0; 2 * more]);
        let mut reader = Reader::new(&bytes, Order::Round, &mut room)?;
        let mut states = reader.states;
        reader.give_back::<Plain>(&mut states);
        reader.states = states;
        reader.finish()
    }

    #[test]
    fn of_words_given_back_only_zeros_may_be_left() {
        assert_eq!(given_back([0; LANES], 0), Ok(()));
        assert!(given_back([0; LANES], 1).is_err(), "a word of the payload is left");
        for l in 0..LANES {
            let mut lower = [0; LANES];
            lower[l] = 7;
            assert!(given_back(lower, 0).is_err(), "state {l}");
        }
    }

    #[test]
    fn the_word_of_the_first_state_is_next() {
        let (mut bytes, mut room) = (vec![], vec![]);
        pack(&std::array::from_fn(|l| LOW | (100 + l as u32)), &mut bytes);
        let mut reader = Reader::new(&bytes, Order::Round, &mut room).expect("states");
        let mut states = reader.states;
        reader.give_back::<Plain>(&mut states);
        let next: [u16; FIRST_TO_END] = std::array::from_fn(|i| u16::from_le_bytes(reader.near()[i]));
        assert_eq!(next, std::array::from_fn(|l| 100 + l as u16));
        assert_eq!(states[FIRST_TO_END - 1..FIRST_TO_END + 1], [LOW as i32, LOW as i32 + 112]);
    }
}
