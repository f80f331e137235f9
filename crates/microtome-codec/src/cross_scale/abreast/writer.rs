//! Symbols of a tile to sixteen states and their words.
//!
//! Not here: what the symbols are (`walk`), how they are collected (`strands`).

use super::Steps;
use super::coder::LANES;
use crate::cross_scale::rans::{self, LOW};
use crate::cross_scale::strands::{PLACES, Writer};

/// Appends what `symbols` has collected, the blocks of `runs` row by row, to `out`; it is empty again.
pub(in crate::cross_scale) fn finish(symbols: &mut Writer, runs: &[Steps], out: &mut Vec<u8>) {
    let (mut states, mut words, mut order) = ([LOW; LANES], vec![], vec![]);
    let mut first = runs.iter().map(Steps::blocks).sum::<usize>();
    for run in runs.iter().rev() {
        first -= run.blocks();
        for step in (0..run.count()).rev() {
            in_order(symbols, run, first, step, &mut order);
            for &(l, at) in order.iter().rev() {
                let state = &mut states[usize::from(l) % LANES];
                words.extend(rans::put(state, symbols.intervals[at]));
            }
        }
    }
    out.extend(states.iter().flat_map(|state| state.to_le_bytes()));
    out.extend(words.iter().rev().flat_map(|word| word.to_le_bytes()));
    symbols.clear();
}

/// The intervals of a step's blocks in the order in which they are read: place by place, and of each place row by row.
fn in_order(symbols: &Writer, run: &Steps, first: usize, step: usize, order: &mut Vec<(u8, usize)>) {
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
            order[*to] = (l as u8, at);
            *to += 1;
        }
    }
}
