//! What the magnitudes of sixteen blocks are expected to be, and whether anything follows.
//!
//! Where a model cannot bring an expectation near the bounds of 16 bits (`Model::pairs`), it is a sum whose parts come in any order:
//! what does not wait for the last symbols is summed up before. Otherwise parts come as they are written down
//! (`docs/format/codec-1.md`, "Expected magnitudes"). Not here: how symbols tell others of their own piece (`symbols`).

use std::ops::Range;

use super::blocks::{AT_ONCE, Blocks, size_of};
use super::vectors::Vectors;
use crate::cross_scale::model::{FLAG_LANE, Model, PIECES};

/// Lanes of the magnitudes of a piece, in parts whose lanes hear of what is expected without any at the same zigzag index:
/// from, to, and that index.
const PARTS: [&[(usize, usize, usize)]; PIECES.len()] = [
    &[(0, 3, 0)],
    &[(3, 10, 0)],
    &[(10, 16, 0), (16, 21, 10)],
    &[(21, 32, 10), (32, 36, 21)],
    &[(36, 48, 21), (48, 52, 36)],
    &[(52, 64, 36)],
];

impl Blocks {
    /// What the magnitudes of a piece are expected to be.
    #[inline(always)]
    pub(super) fn expect_piece<V: Vectors, const N: usize>(
        &mut self,
        model: &Model,
        piece: usize,
        is_foreseen: bool,
    ) {
        let (start, end) = PIECES[piece];
        let Some(pairs) = &model.pairs else {
            for &(from, to, begin) in PARTS[piece] {
                for lane in (from..to).step_by(AT_ONCE) {
                    let expected = self.expect::<V, AT_ONCE, N>(model, start, lane, begin);
                    for (i, expected) in expected.into_iter().enumerate() {
                        V::store(expected, &mut self.expected[lane - start + i]);
                    }
                }
            }
            return;
        };
        let foreseen = if piece == 0 { 0 } else { PIECES[piece - 1].0 / 2 };
        if !is_foreseen {
            for lane in (start..end).step_by(AT_ONCE) {
                self.foresee::<V, N, AT_ONCE>(model, pairs, lane, foreseen);
            }
        }
        for lane in (start..end).step_by(AT_ONCE) {
            let sums = self.sums::<V, AT_ONCE>(pairs, foreseen..start.div_ceil(2), lane);
            for (i, sum) in sums.into_iter().enumerate() {
                let foreseen = V::load(&self.foreseen[(lane + i) & 63]);
                V::store(V::add(foreseen, V::narrow(sum)), &mut self.expected[lane - start + i]);
            }
        }
    }

    /// What some pairs of magnitudes add to `COUNT` lanes from `lane` on.
    #[inline(always)]
    fn sums<V: Vectors, const COUNT: usize>(
        &self,
        pairs: &[[[i16; 2]; 64]; 32],
        known: Range<usize>,
        lane: usize,
    ) -> [V::Wide; COUNT] {
        let mut sums = [V::splat_wide(0); COUNT];
        for (found, weights) in self.pairs[known.clone()].iter().zip(&pairs[known]) {
            let found = V::load_wide(found);
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = V::multiply_add(*sum, found, weights[(lane + i) & 63]);
            }
        }
        sums
    }

    /// Foresees what `COUNT` lanes from `lane` on are expected to be, by so many pairs of magnitudes and what they are without any.
    #[inline(always)]
    pub(super) fn foresee<V: Vectors, const N: usize, const COUNT: usize>(
        &mut self,
        model: &Model,
        pairs: &[[[i16; 2]; 64]; 32],
        lane: usize,
        known: usize,
    ) {
        for (i, sum) in self.sums::<V, COUNT>(pairs, 0..known, lane).into_iter().enumerate() {
            let lane = (lane + i) & 63;
            V::store(V::add(V::narrow(sum), self.given::<V, N>(model, lane)), &mut self.foreseen[lane]);
        }
    }

    /// What `COUNT` lanes from `lane` on are expected to be by the magnitudes before `start`, and by what they are without
    /// any, which comes in at `begin`.
    #[inline(always)]
    pub(super) fn expect<V: Vectors, const COUNT: usize, const N: usize>(
        &self,
        model: &Model,
        start: usize,
        lane: usize,
        begin: usize,
    ) -> [V::Narrow; COUNT] {
        let mut sums = [V::splat(0); COUNT];
        sums = self.tell::<V, COUNT>(model, 0, begin, lane, sums);
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = V::add(*sum, self.given::<V, N>(model, lane + i));
        }
        self.tell::<V, COUNT>(model, begin, start, lane, sums)
    }

    #[inline(always)]
    fn tell<V: Vectors, const COUNT: usize>(
        &self,
        model: &Model,
        from: usize,
        to: usize,
        lane: usize,
        mut sums: [V::Narrow; COUNT],
    ) -> [V::Narrow; COUNT] {
        for (found, weights) in self.found[from..to].iter().zip(&model.inner[from..to]) {
            let found = V::load(found);
            let weights: &[i16; COUNT] = weights.0[lane..].first_chunk().unwrap_or(&[0; COUNT]);
            for i in 0..COUNT {
                sums[i] = V::add(sums[i], V::multiply(found, V::splat(weights[i])));
            }
        }
        sums
    }

    /// What a lane is expected to be with no magnitude known.
    #[inline(always)]
    fn given<V: Vectors, const N: usize>(&self, model: &Model, lane: usize) -> V::Narrow {
        let mut sum = V::splat(model.bias.0[lane]);
        for (feature, weights) in self.features.iter().zip(&model.block) {
            sum = V::add(sum, V::multiply_upper(V::load(feature), V::splat(weights.0[lane])));
        }
        if lane < FLAG_LANE {
            let (before, behind) = (V::load(&self.near[lane]), V::load(&self.near[lane + 2]));
            let (same, beside) = (V::load(&self.near[lane + 1]), V::shift_left::<9>(V::add(before, behind)));
            let [of_same, of_beside, of_size, of_fraction] = &model.own;
            sum = V::add(sum, V::multiply_upper(V::shift_left::<10>(same), V::splat(of_same.0[lane])));
            sum = V::add(sum, V::multiply_upper(beside, V::splat(of_beside.0[lane])));
            if lane < N {
                let steps = V::load(&self.steps[lane]);
                let size = V::shift_left::<5>(size_of::<V>(steps));
                let fraction = V::shift_left::<10>(V::and(V::size(steps), V::splat(31)));
                sum = V::add(sum, V::multiply_upper(size, V::splat(of_size.0[lane])));
                sum = V::add(sum, V::multiply_upper(fraction, V::splat(of_fraction.0[lane])));
            }
        }
        sum
    }
}
