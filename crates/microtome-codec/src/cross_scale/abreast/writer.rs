//! Symbols of a tile to sixteen states and their words.
//!
//! Not here: what the symbols are (`walk`), how they are collected (`strands`).

use super::coder::{self, FIRST_TO_END, LANES};
use super::{Order, Steps};
use crate::cross_scale::rans::{self, LOW};
use crate::cross_scale::strands::{PLACES, Writer};

/// Appends what `symbols` has collected, the blocks of `runs` row by row, to `out`; it is empty again. All runs
/// have one order; that of rows that begin in turn is for tests alone.
pub(in crate::cross_scale) fn finish(symbols: &mut Writer, runs: &[Steps], out: &mut Vec<u8>) {
    let (mut states, mut words, mut order) = ([LOW; LANES], vec![], vec![]);
    let mut first = runs.iter().map(Steps::blocks).sum::<usize>();
    let goes_round = runs.iter().any(|run| run.order == Order::Round);
    let mut is_end = goes_round;
    for run in runs.iter().rev() {
        first -= run.blocks();
        for step in (0..run.count()).rev() {
            in_order(symbols, run, first, step, &mut order);
            let parts = if is_end { [FIRST_TO_END..LANES, 0..FIRST_TO_END] } else { [0..LANES, 0..0] };
            for part in parts.into_iter().filter(|part| !part.is_empty()) {
                for &(l, at) in order.iter().rev().filter(|(l, _)| part.contains(l)) {
                    words.extend(rans::put(&mut states[l], symbols.intervals[at]));
                }
                if is_end && part.end == LANES {
                    // Those that end first begin with the words that they are to give back: the next ones of the others.
                    for state in &mut states[..FIRST_TO_END] {
                        *state = LOW | u32::from(words.pop().unwrap_or(0));
                    }
                }
            }
            is_end = false;
        }
    }
    match goes_round {
        true => coder::pack(&states, out),
        false => out.extend(states.iter().flat_map(|state| state.to_le_bytes())),
    }
    out.extend(words.iter().rev().flat_map(|word| word.to_le_bytes()));
    symbols.clear();
}

/// The intervals of a step's blocks in the order in which they are read: place by place, and of each place row by row.
fn in_order(symbols: &Writer, run: &Steps, first: usize, step: usize, order: &mut Vec<(usize, usize)>) {
    let mut next = [0; PLACES + 1];
    let blocks =
        |l: usize| run.place(step, l).map(|[column, row]| symbols.block(first + row * run.width + column));
    for range in (0..LANES).filter_map(blocks) {
        for &place in &symbols.places[range] {
            next[usize::from(place) + 1] += 1;
        }
    }
    for place in 0..PLACES {
        next[place + 1] += next[place];
    }
    order.clear();
    order.resize(next[PLACES], (0, 0));
    for l in 0..LANES {
        for at in blocks(l).unwrap_or_default() {
            let to = &mut next[usize::from(symbols.places[at])];
            order[*to] = (l, at);
            *to += 1;
        }
    }
}
