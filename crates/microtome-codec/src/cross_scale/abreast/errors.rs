//! How far the predictions of sixteen blocks were off: for the pieces to come, and along their edges for the blocks to come.
#![allow(clippy::needless_range_loop, reason = "arrays of a block have one index")]

use super::blocks::{Blocks, Edge};
use super::vectors::Vectors;
use crate::cross_scale::ahead::{MOST_IN_BLOCK, MOST_OF_EDGES, Scale};
use crate::cross_scale::dct::NATURAL;
use crate::cross_scale::edges::ENDS;
use crate::cross_scale::model::PIECES;

impl Blocks {
    /// Takes in how far the predictions of a piece were off.
    #[inline(always)]
    pub(super) fn learn<V: Vectors>(&mut self, scale: &Scale, piece: usize) {
        let (start, end) = PIECES[piece];
        for pair in start / 2..end.div_ceil(2) {
            let first = if 2 * pair < start {
                // Of the piece before.
                V::truncate(V::load_wide(&self.errors[pair]))
            } else {
                self.error::<V>(scale, start, 2 * pair)
            };
            let second =
                if 2 * pair + 1 < end { self.error::<V>(scale, start, 2 * pair + 1) } else { V::splat(0) };
            V::store_wide(V::pairs(first, second), &mut self.errors[pair]);
        }
    }

    /// How far the coefficient `k` of the piece that begins at `start` was off, in sixteenths.
    #[inline(always)]
    fn error<V: Vectors>(&self, scale: &Scale, start: usize, k: usize) -> V::Narrow {
        let value = times::<V>(V::load(&self.values[k]), scale.steps[k], scale.beyond[k], MOST_IN_BLOCK);
        error::<V, 4>(value, V::load(&self.piece[k - start]))
    }

    /// The edges on the right and below, of blocks of which `N` coefficients are predicted.
    #[inline(always)]
    pub(super) fn edges<V: Vectors, const N: usize>(&self, scale: &Scale) -> (Edge<V>, Edge<V>) {
        let reach = self.end.max(N);
        let mut errors = [V::splat(0); 64];
        for k in 0..reach {
            let values = V::load(&self.values[k]);
            let value = times::<V>(values, scale.steps[k], scale.beyond_edges[k], MOST_OF_EDGES);
            let known = V::shift_right::<1>(V::load(&self.known[k]));
            errors[usize::from(NATURAL[k])] = error::<V, 3>(value, known);
        }
        let [mut right, mut lower] = [[[V::splat(0); 2]; 8]; 2];
        for i in 0..8 {
            let mut column = [V::splat(0); 8];
            for v in 0..8 {
                column[v] = errors[8 * v + i];
            }
            right[i] = ends::<V>(&errors.as_chunks().0[i], PAIRS_OF[reach][i]);
            lower[i] = ends::<V>(&column, PAIRS_OF[reach][i]);
        }
        (right, lower)
    }
}

/// Pairs of each row and of each column that the first so many coefficients in zigzag order reach.
static PAIRS_OF: [[usize; 8]; 65] = {
    let mut pairs = [[0; 8]; 65];
    let mut count = 1;
    while count <= 64 {
        pairs[count] = pairs[count - 1];
        let (v, h) = ((NATURAL[count - 1] >> 3) as usize, (NATURAL[count - 1] & 7) as usize);
        // Of the row, and of the column.
        if pairs[count][v] < h / 2 + 1 {
            pairs[count][v] = h / 2 + 1;
        }
        if pairs[count][h] < v / 2 + 1 {
            pairs[count][h] = v / 2 + 1;
        }
        count += 1;
    }
    pairs
};

/// Height and slope of the errors along a line of eight, of which all but the first pairs are 0.
#[inline(always)]
fn ends<V: Vectors>(line: &[V::Narrow; 8], pairs: usize) -> [V::Narrow; 2] {
    let mut sums = [V::splat_wide(1 << 12); 2];
    for pair in 0..pairs.min(4) {
        let errors = V::pairs(line[2 * pair], line[2 * pair + 1]);
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = V::multiply_add(*sum, errors, [ENDS[2 * pair][i], ENDS[2 * pair + 1][i]]);
        }
    }
    let [height, slope] = sums;
    [V::narrow(V::shift_wide_right::<13>(height)), V::narrow(V::shift_wide_right::<13>(slope))]
}

/// Values in steps as coefficients, at most so large: `beyond` steps are more, and their product still has 16 bits.
#[inline(always)]
fn times<V: Vectors>(values: V::Narrow, step: i16, beyond: i16, most: i16) -> V::Narrow {
    within::<V>(V::multiply(within::<V>(values, beyond), V::splat(step)), most)
}

/// Values, at most so large.
#[inline(always)]
fn within<V: Vectors>(values: V::Narrow, most: i16) -> V::Narrow {
    V::most(V::least(values, V::splat(most)), V::splat(-most))
}

/// How far values are off what was predicted, in units of 1/2^`BITS`.
#[inline(always)]
fn error<V: Vectors, const BITS: u32>(values: V::Narrow, predicted: V::Narrow) -> V::Narrow {
    let off = V::subtract(V::shift_left::<BITS>(values), predicted);
    within::<V>(off, 8191)
}
