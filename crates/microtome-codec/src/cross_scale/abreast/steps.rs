//! The order in which a tile's blocks are decoded: its runs, and at each step which block each of sixteen rows is at.
//!
//! The order is `docs/format/codec-1.md`'s, "Coder". Not here: what is done with the blocks (`abreast`).

use std::ops::Range;

use smallvec::SmallVec;

use super::coder::LANES;
use super::vectors::{Mask, Vectors, WideRow};
use crate::coefficients::Plane;

/// The planes of a tile's runs, in the order of decoding: the first plane, whose model is its own, and of the others those in a
/// row that are alike. Where rows go round the first plane comes last.
pub(in crate::cross_scale) fn runs(planes: &[Plane], order: Order) -> SmallVec<[Range<usize>; 4]> {
    let alike = |a: &Plane, b: &Plane| (a.width, a.height, &a.table) == (b.width, b.height, &b.table);
    let mut runs: SmallVec<[Range<usize>; 4]> = SmallVec::new();
    for (index, plane) in planes.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if index > 1 && alike(&planes[run.start], plane) => run.end = index + 1,
            _ => runs.push(index..index + 1),
        }
    }
    // What comes last should have much to read.
    if order == Order::Round && !runs.is_empty() {
        runs.rotate_left(1);
    }
    runs
}

/// Where a run's sixteen rows begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cross_scale) enum Order {
    /// At their left ends, each a step after the one above it, so that fewer are busy at the beginning and at the end.
    /// Read, but no longer written.
    InTurn,
    /// All at once: those that would have to wait decode the end of their last row meanwhile.
    Round,
}

/// The blocks of a run in the order of decoding: for each step, which block each row is at.
#[derive(Debug, Clone)]
pub(in crate::cross_scale) struct Steps {
    pub(super) width: usize,
    rows: usize,
    /// Steps from a row to the one that is sixteen further down.
    period: usize,
    pub(super) order: Order,
}

impl Steps {
    /// Those of a run.
    pub(in crate::cross_scale) fn of(run: &[Plane], order: Order) -> Self {
        let width = run.first().map_or(0, |plane| plane.width);
        let rows = run.iter().map(|plane| plane.height).sum();
        Self { width, rows, period: width.max(LANES), order }
    }

    /// Steps in which a lane comes to all of its rows.
    fn around(&self) -> usize {
        self.rows.div_ceil(LANES) * self.period
    }

    pub(super) fn count(&self) -> usize {
        match self.order {
            Order::InTurn => self.around() + LANES - 1,
            Order::Round => self.around(),
        }
    }

    /// Column and row of lane `l` at a step of a run that has rows, be they within it or not.
    #[inline(always)]
    fn anywhere(&self, step: usize, l: usize) -> Option<[usize; 2]> {
        let since = match self.order {
            Order::InTurn => step.checked_sub(l)?,
            Order::Round => (step + self.around() - l) % self.around(),
        };
        Some([since % self.period, since / self.period * LANES + l])
    }

    /// Column and row of lane `l` at a step.
    #[inline(always)]
    pub(super) fn place(&self, step: usize, l: usize) -> Option<[usize; 2]> {
        self.anywhere(step, l).filter(|&[column, row]| column < self.width && row < self.rows)
    }

    /// The column of the block in a row of the run that is decoded in the very first step, and knows of none on its left or above;
    /// if there is one.
    pub(in crate::cross_scale) fn first_in(&self, row: usize) -> Option<usize> {
        self.place(0, row % LANES).filter(|&[_, first]| first == row).map(|[column, _]| column)
    }
}

/// Where the sixteen rows are at a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    /// Rows that have a block, and of these those that know of none on the left, or above.
    pub(super) mask: Mask,
    pub(super) first_columns: Mask,
    pub(super) first_rows: Mask,
    /// Below 0 until the first block of those that begin in turn.
    pub(super) columns: WideRow,
    /// In the run, and in their planes.
    lines: [usize; LANES],
    pub(super) rows: WideRow,
    pub(super) planes: WideRow,
}

impl Places {
    /// Where they begin, in planes of so many rows.
    pub(super) fn new(steps: &Steps, height: usize) -> Self {
        let mut places = Self {
            mask: 0,
            first_columns: 0,
            first_rows: 0,
            columns: [0; 16],
            lines: [0; 16],
            rows: [0; 16],
            planes: [0; 16],
        };
        for l in 0..LANES {
            // All of these fit: a tile has no more than 2^24 pixels.
            match steps.anywhere(0, l) {
                Some([column, line]) => (places.columns[l], places.lines[l]) = (column as i32, line),
                None => (places.columns[l], places.lines[l]) = (-(l as i32), l),
            }
            places.come_to(l, height);
        }
        places
    }

    /// Finds row and plane of a lane's line.
    #[inline(always)]
    fn come_to(&mut self, l: usize, height: usize) {
        (self.rows[l], self.planes[l]) = ((self.lines[l] % height) as i32, (self.lines[l] / height) as i32);
    }

    /// Finds those that have a block, in so many planes of so many columns; whether they all begin with it.
    #[inline(always)]
    pub(super) fn find<V: Vectors>(&mut self, width: i32, planes: i32, all_begin: bool) {
        let (zero, column) = (V::splat_wide(0), V::load_wide(&self.columns));
        let is_in_row = V::is_larger(V::splat_wide(width), column) & !V::is_larger(zero, column);
        self.mask = is_in_row & V::is_larger(V::splat_wide(planes), V::load_wide(&self.planes));
        self.first_columns = self.mask & !V::is_larger(column, zero);
        self.first_rows = self.mask & !V::is_larger(V::load_wide(&self.rows), zero);
        if all_begin {
            (self.first_columns, self.first_rows) = (self.mask, self.mask);
        }
    }

    /// Goes on to the next column; behind the last one to the row that is sixteen further down, or from the last to the first.
    #[inline(always)]
    pub(super) fn advance<V: Vectors>(&mut self, steps: &Steps, height: usize) {
        let columns = V::add_wide(V::load_wide(&self.columns), V::splat_wide(1));
        V::store_wide(columns, &mut self.columns);
        let behind = V::is_larger(columns, V::splat_wide(steps.period as i32 - 1));
        for l in (0..LANES).filter(|l| behind >> l & 1 == 1) {
            self.columns[l] = 0;
            self.lines[l] += LANES;
            if steps.order == Order::Round && self.lines[l] >= steps.rows.next_multiple_of(LANES) {
                self.lines[l] = l;
            }
            self.come_to(l, height);
        }
    }

    /// Row `l`'s column, row and plane, which are none below 0 where the mask has it.
    #[inline(always)]
    pub(super) fn at(&self, l: usize) -> [usize; 3] {
        [self.columns[l], self.rows[l], self.planes[l]].map(|place| place as usize)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::vectors::Plain;
    use super::*;

    proptest! {
        #[test]
        fn each_block_comes_once_and_after_those_that_it_knows_of(
            width in 1..40_usize, height in 1..40_usize, planes in 1..4_usize, goes_round: bool,
        ) {
            let order = if goes_round { Order::Round } else { Order::InTurn };
            let plane =
                Plane { width, height, horizontal: 1, vertical: 1, table: [1; 64], coefficients: vec![0; 64 * width * height] };
            let steps = Steps::of(&vec![plane; planes], order);
            let mut at = vec![usize::MAX; steps.width * steps.rows];
            let mut places = Places::new(&steps, height);
            for step in 0..steps.count() {
                places.find::<Plain>(width as i32, planes as i32, order == Order::Round && step == 0);
                for l in 0..LANES {
                    let place = steps.place(step, l);
                    prop_assert_eq!(place.is_some(), places.mask >> l & 1 == 1);
                    let Some([column, row]) = place else { continue };
                    prop_assert_eq!(places.at(l), [column, row % height, row / height]);
                    prop_assert_eq!(std::mem::replace(&mut at[row * width + column], step), usize::MAX, "twice");
                }
                places.advance::<Plain>(&steps, height);
            }
            for (block, &step) in at.iter().enumerate() {
                let (column, row) = (block % width, block / width);
                prop_assert!(step < steps.count(), "not at all");
                prop_assert_eq!(steps.first_in(row) == Some(column), step == 0);
                if step > 0 {
                    prop_assert!(column == 0 || at[block - 1] < step);
                    prop_assert!(row % height == 0 || at[block - width] < step);
                }
            }
        }
    }
}
