//! Sixteen blocks on their way, one of each row, in step: what `walk` does for one, with every number a vector.
//!
//! Here is what is known before a symbol is read. Not here: the symbols (`symbols`), how far predictions were off (`errors`), which
//! blocks these are, and their neighbours (`abreast`).
#![allow(clippy::needless_range_loop, reason = "arrays of a block have one index")]

use super::coder::Reader;
use super::symbols::{FEW, FEW_FROM};
use super::vectors::{Mask, Row, Vectors, WideRow};
use crate::cross_scale::ahead::Scale;
use crate::cross_scale::dct::NATURAL;
use crate::cross_scale::model::{
    AHEAD_AT, AHEAD_PIECES, BLOCK_FEATURES, EDGE_TARGETS, FLAG_LANE, Kind, Model, PIECES,
};

/// Targets that are summed at once.
pub(super) const AT_ONCE: usize = 4;
/// Longest piece, and as many more as may be summed with its last target.
const ROOM: usize = 16 + AT_ONCE;

/// What the blocks of a plane have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting<'a> {
    pub(super) model: &'a Model,
    pub(super) kind: Kind,
    pub(super) scale: &'a Scale,
}

/// An edge of sixteen blocks, by frequency along it: heights and slopes.
pub(super) type Edge<V> = [[<V as Vectors>::Narrow; 2]; 8];

/// Sixteen blocks.
#[derive(Debug, Clone)]
#[repr(align(64))]
pub(super) struct Blocks {
    /// Predicted from another scale, in sixteenths.
    pub(super) known: [Row; 64],
    /// Corrected along the edges; and in 1/32 of a step.
    pub(super) sixteenths: [Row; 64],
    pub(super) steps: [Row; 64],
    /// Magnitudes on the left and above together, with a zero before them and behind.
    pub(super) near: [Row; 66],
    pub(super) features: [Row; BLOCK_FEATURES],
    /// Magnitudes of the residuals.
    pub(super) found: [Row; 64],
    /// The same by pairs, as far as they are known.
    pub(super) pairs: [WideRow; 32],
    pub(super) values: [Row; 64],
    /// Errors within the blocks, in sixteenths, by pairs.
    pub(super) errors: [WideRow; AHEAD_AT[AHEAD_PIECES] - AHEAD_AT[AHEAD_PIECES - 1]],
    /// Of the open piece: predictions, what its magnitudes are expected to be, tables.
    pub(super) piece: [Row; ROOM],
    pub(super) piece_steps: [Row; ROOM],
    pub(super) tables: [Row; ROOM],
    pub(super) expected: [Row; ROOM],
    pub(super) residuals: [Row; 16],
    /// What magnitudes of a piece to come are expected to be by whole pairs of those before the open one
    /// ([`Self::foresee`]).
    pub(super) foreseen: [Row; 64],
    /// Where the last piece ends that any of the blocks has.
    pub(super) end: usize,
}

impl Blocks {
    /// No blocks yet.
    pub(super) const NONE: Self = Self {
        known: [[0; 16]; 64],
        sixteenths: [[0; 16]; 64],
        steps: [[0; 16]; 64],
        near: [[0; 16]; 66],
        features: [[0; 16]; BLOCK_FEATURES],
        found: [[0; 16]; 64],
        pairs: [[0; 16]; 32],
        values: [[0; 16]; 64],
        errors: [[0; 16]; 18],
        piece: [[0; 16]; ROOM],
        piece_steps: [[0; 16]; ROOM],
        tables: [[0; 16]; ROOM],
        expected: [[0; 16]; ROOM],
        residuals: [[0; 16]; 16],
        foreseen: [[0; 16]; 64],
        end: 0,
    };

    /// Corrects what is known along the edges on the left and above: the first `N` coefficients are predicted.
    #[inline(always)]
    pub(super) fn correct<V: Vectors, const N: usize>(
        &mut self,
        setting: &Setting<'_>,
        left: &Edge<V>,
        above: &Edge<V>,
    ) {
        match setting.scale.is_narrow {
            true => self.correct_as::<V, N, true>(setting, left, above),
            false => self.correct_as::<V, N, false>(setting, left, above),
        }
    }

    #[inline(always)]
    fn correct_as<V: Vectors, const N: usize, const IS_NARROW: bool>(
        &mut self,
        setting: &Setting<'_>,
        left: &Edge<V>,
        above: &Edge<V>,
    ) {
        let [mut of_left, mut of_above] = [[V::splat_wide(0); 8]; 2];
        for i in 0..8 {
            of_left[i] = V::pairs(left[i][0], left[i][1]);
            of_above[i] = V::pairs(above[i][0], above[i][1]);
        }
        for k in 0..N {
            let mut sixteenths = V::load(&self.known[k]);
            if k < EDGE_TARGETS {
                let (v, h) = (usize::from(NATURAL[k] >> 3), usize::from(NATURAL[k] & 7));
                let [left, above] = &setting.model.edges;
                let sum = V::multiply_add(V::splat_wide(1 << 10), of_left[v], left[k / 8][k % 8]);
                let sum = V::multiply_add(sum, of_above[h], above[k / 8][k % 8]);
                sixteenths = V::add(sixteenths, V::narrow(V::shift_wide_right::<11>(sum)));
            }
            V::store(sixteenths, &mut self.sixteenths[k]);
            let steps = in_steps::<V, IS_NARROW>(sixteenths, setting.scale.reciprocals[k]);
            V::store(steps, &mut self.steps[k]);
        }
    }

    /// Makes what all lanes of a block share of what is near and what is predicted.
    #[inline(always)]
    pub(super) fn sum_up<V: Vectors>(&mut self) {
        let mut near = V::splat(0);
        for row in &self.near[1..65] {
            near = V::add(near, V::load(row));
        }
        V::store(V::shift_left::<7>(V::least(near, V::splat(255))), &mut self.features[0]);
        for (feature, eight) in self.features[1..].iter_mut().zip(self.steps.as_chunks::<8>().0) {
            let mut sum = V::splat(0);
            for steps in eight {
                sum = V::add(sum, V::shift_right::<2>(size_of::<V>(V::load(steps))));
            }
            V::store(V::shift_left::<5>(V::least(sum, V::splat(1023))), feature);
        }
    }

    /// Decodes the blocks of `mask` from `reader`, which go on from `states`.
    #[inline(always)]
    pub(super) fn decode<V: Vectors, const N: usize>(
        &mut self,
        reader: &mut Reader<'_>,
        states: &mut V::Wide,
        setting: &Setting<'_>,
        mask: Mask,
    ) {
        self.end = 0;
        let mut going = (mask, false);
        // The same instructions for all: six times as many would not stay in a first-level cache from block to block.
        for piece in 0..PIECES.len() {
            going = self.decode_piece::<V, N>(reader, states, setting, piece, going);
        }
    }

    /// Decodes a piece of the blocks of `mask` that have it, given whether it was foreseen; returns which, and whether the next
    /// one was.
    #[inline(always)]
    fn decode_piece<V: Vectors, const N: usize>(
        &mut self,
        reader: &mut Reader<'_>,
        states: &mut V::Wide,
        setting: &Setting<'_>,
        piece: usize,
        (mask, is_foreseen): (Mask, bool),
    ) -> (Mask, bool) {
        let (start, end) = PIECES[piece];
        let mut going = mask;
        if going != 0
            && let Some(flags) = setting.model.flags.get(piece)
        {
            let expected = self.expect::<V, 1, N>(setting.model, start, FLAG_LANE + piece, 0)[0];
            going = reader.flags::<V>(states, flags, V::bucket(V::widen(expected)), going);
        }
        if going == 0 {
            for k in start..end {
                V::store(V::splat(0), &mut self.found[k]);
                self.values[k] = [0; 16];
                if k < N {
                    V::store(whole_steps::<V>(V::load(&self.steps[k])), &mut self.values[k]);
                }
            }
            return (0, false);
        }
        self.end = end;
        self.expect_piece::<V, N>(setting.model, piece, is_foreseen);
        self.predict::<V>(setting, piece);
        let mut foresees = false;
        if piece < FEW_FROM || going.count_ones() > FEW {
            foresees = self.dense::<V, N>(reader, states, setting, piece, going);
        } else {
            let mut all = [0; 16];
            V::store_wide(*states, &mut all);
            self.sparse::<V>(reader, &mut all, setting, piece, going);
            *states = V::load_wide(&all);
        }
        for k in start..end {
            let steps = V::load(&self.piece_steps[k - start]);
            let residual = V::turn(V::load(&self.residuals[k - start]), V::shift_right::<15>(steps));
            let value = V::add_modulo(whole_steps::<V>(steps), residual);
            let rest = if k < N { whole_steps::<V>(V::load(&self.steps[k])) } else { V::splat(0) };
            V::store(V::select(going, value, rest), &mut self.values[k]);
        }
        self.close::<V>(setting.scale, piece);
        (going, foresees)
    }

    /// Takes in a piece's magnitudes and how far its predictions were off, for those to come.
    #[inline(always)]
    pub(super) fn close<V: Vectors>(&mut self, scale: &Scale, piece: usize) {
        let (start, end) = PIECES[piece];
        for pair in start / 2..end.div_ceil(2) {
            let second = if 2 * pair + 1 < end { V::load(&self.found[2 * pair + 1]) } else { V::splat(0) };
            V::store_wide(V::pairs(V::load(&self.found[2 * pair]), second), &mut self.pairs[pair]);
        }
        if piece + 1 < AHEAD_PIECES {
            self.learn::<V>(scale, piece);
        }
    }

    /// Decodes the residuals of a piece, those of all rows at each place, and foresees what the next one is expected to be beside
    /// them: symbols wait for each other. Returns whether it did.
    #[inline(always)]
    fn dense<V: Vectors, const N: usize>(
        &mut self,
        reader: &mut Reader<'_>,
        states: &mut V::Wide,
        setting: &Setting<'_>,
        piece: usize,
        going: Mask,
    ) -> bool {
        let (start, end) = PIECES[piece];
        let next_end = PIECES.get(piece + 1).map_or(0, |&(_, next_end)| next_end);
        let pairs = setting.model.pairs.as_deref().filter(|_| next_end > 0);
        let mut expected = V::widen(V::load(&self.expected[0]));
        let mut lane = end;
        if let Some(pairs) = pairs {
            while lane + (end - start) < next_end {
                self.foresee::<V, N, 1>(setting.model, pairs, lane, start / 2);
                lane += 1;
            }
        }
        for k in start..end {
            if let Some(pairs) = pairs
                && lane < next_end
            {
                self.foresee::<V, N, 1>(setting.model, pairs, lane, start / 2);
                lane += 1;
            }
            expected = self.symbol::<V>(reader, states, setting, (k, start, end), going, expected);
        }
        pairs.is_some()
    }

    /// Predicts a piece from the errors of those before it, and finds its tables.
    #[inline(always)]
    pub(super) fn predict<V: Vectors>(&mut self, setting: &Setting<'_>, piece: usize) {
        match setting.scale.is_narrow {
            true => self.predict_as::<V, true>(setting, piece),
            false => self.predict_as::<V, false>(setting, piece),
        }
    }

    #[inline(always)]
    fn predict_as<V: Vectors, const IS_NARROW: bool>(&mut self, setting: &Setting<'_>, piece: usize) {
        let (start, end) = PIECES[piece];
        let layout = setting.kind.layout();
        for from in (start..end).step_by(AT_ONCE) {
            let mut sums = [V::splat_wide(1 << 11); AT_ONCE];
            if (1..AHEAD_PIECES).contains(&piece) {
                let weights = &setting.model.ahead[AHEAD_AT[piece]..AHEAD_AT[piece + 1]];
                for (errors, weights) in self.errors.iter().zip(weights) {
                    let errors = V::load_wide(errors);
                    for (i, sum) in sums.iter_mut().enumerate() {
                        let at = (from - start + i) & 15;
                        *sum = V::multiply_add(*sum, errors, weights[at / 8][at % 8]);
                    }
                }
            }
            for (i, sum) in sums.into_iter().enumerate().take(end - from) {
                let k = from + i;
                let ahead = V::narrow(V::shift_wide_right::<12>(sum));
                let sixteenths = V::add(V::load(&self.sixteenths[k]), ahead);
                let steps = in_steps::<V, IS_NARROW>(sixteenths, setting.scale.reciprocals[k]);
                let fraction = V::and(V::size(steps), V::splat(31));
                let table = V::add(V::splat(layout.first[k] as i16), V::look_up(fraction, &layout.fractions));
                V::store(sixteenths, &mut self.piece[k - start]);
                V::store(steps, &mut self.piece_steps[k - start]);
                V::store(table, &mut self.tables[k - start]);
            }
        }
    }
}

/// As `predict::in_steps`.
#[inline(always)]
fn in_steps<V: Vectors, const IS_NARROW: bool>(sixteenths: V::Narrow, reciprocal: i32) -> V::Narrow {
    if IS_NARROW {
        return V::multiply_rounded(sixteenths, V::splat(reciprocal as i16));
    }
    let product = V::multiply_wide(V::widen(sixteenths), V::splat_wide(reciprocal));
    let steps = V::shift_wide_right::<15>(V::add_wide(product, V::splat_wide(1 << 14)));
    V::most(V::narrow(steps), V::splat(-32767))
}

/// As `expect::whole_steps`.
#[inline(always)]
pub(super) fn whole_steps<V: Vectors>(steps: V::Narrow) -> V::Narrow {
    V::turn(V::shift_right::<5>(V::size(steps)), V::shift_right::<15>(steps))
}

/// As `expect::size_of`.
#[inline(always)]
pub(super) fn size_of<V: Vectors>(steps: V::Narrow) -> V::Narrow {
    V::least(V::size(steps), V::splat(1023))
}
