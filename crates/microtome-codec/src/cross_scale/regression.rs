//! Least squares by normal equations: sums of products, gathered once for all that is to be solved with them.

/// Observations between moves from the fast sums to the exact ones, a multiple of [`BATCH`].
const FLUSH: u32 = 256;

/// Observations that are summed up together, so that sums are fetched once for all of them.
const BATCH: usize = 16;

/// Observations that what was known before is worth.
const PRIOR: f64 = 600.0;

/// Values that are multiplied at once: an observation has a multiple of these.
pub(super) const STRIDE: usize = 64;

type Stride = [f32; STRIDE];

/// Sums of the products of `rows` features with each other and with all other values of an observation.
#[derive(Debug, Clone)]
pub(super) struct Gram {
    rows: usize,
    length: usize,
    /// Observations that are not summed up yet, fewer than [`BATCH`].
    batch: Vec<Stride>,
    recent: Vec<Stride>,
    observed: u32,
    sums: Vec<f64>,
}

impl Gram {
    /// For observations of `length` values, a multiple of [`STRIDE`], the first `rows` of which are features; the others
    /// are only targets.
    pub(super) fn new(rows: usize, length: usize) -> Self {
        debug_assert!(length.is_multiple_of(STRIDE) && rows <= length, "whole strides of values");
        let size = rows * length;
        Self {
            rows,
            length,
            batch: Vec::with_capacity(BATCH * length / STRIDE),
            recent: vec![[0.0; STRIDE]; size / STRIDE],
            observed: 0,
            sums: vec![0.0; size],
        }
    }

    /// Adds an observation.
    #[inline(always)]
    pub(super) fn observe(&mut self, values: &[f32]) {
        self.batch.extend_from_slice(values.as_chunks().0);
        self.observed += 1;
        if self.observed.is_multiple_of(BATCH as u32) {
            self.sum_up();
        }
        if self.observed.is_multiple_of(FLUSH) {
            self.flush();
        }
    }

    /// Adds the products of the batch to the fast sums, those of one observation after those of another.
    #[inline(always)]
    fn sum_up(&mut self) {
        let strides = self.length / STRIDE;
        for (i, line) in self.recent.chunks_exact_mut(strides).enumerate() {
            let from = i / STRIDE;
            let mut factors = [(0.0, &[][..]); BATCH];
            let mut count = 0;
            for values in self.batch.chunks_exact(strides) {
                let value = values[from][i % STRIDE];
                factors[count] = (value, &values[from..]);
                // Most magnitudes are 0.
                count += usize::from(value != 0.0);
            }
            for (at, sums) in line[from..].iter_mut().enumerate() {
                // A copy: vectors, and not numbers that may overlap.
                let mut next = *sums;
                for (factor, values) in &factors[..count] {
                    for (next, value) in next.iter_mut().zip(&values[at]) {
                        *next += factor * value;
                    }
                }
                *sums = next;
            }
        }
        self.batch.clear();
    }

    fn flush(&mut self) {
        move_to(&mut self.sums, self.recent.as_flattened_mut());
    }

    /// No more observations: what is solved counts those so far.
    pub(super) fn close(mut self) -> Self {
        self.sum_up();
        self.flush();
        self
    }

    /// Sum of the products of two values, one of which is a feature.
    pub(super) fn product(&self, i: usize, j: usize) -> f64 {
        let (low, high) = (i.min(j), i.max(j));
        debug_assert!(low < self.rows, "of two values one is a feature");
        self.sums[low * self.length + high]
    }

    /// What solves for the features of the gram, in their order.
    pub(super) fn factor(&self, ridge: f64) -> Factor {
        let mut factor = Factor::new(self.observed, ridge);
        for i in 0..self.rows {
            factor.push(|j| self.product(i, j));
        }
        factor
    }
}

/// Adds the fast sums to the exact ones.
fn move_to(sums: &mut [f64], recent: &mut [f32]) {
    for (sum, recent) in sums.iter_mut().zip(recent) {
        *sum += f64::from(std::mem::take(recent));
    }
}

/// Sums of products as in a [`Gram`], for `L` lanes with `N` values each that meet only each other.
#[derive(Debug, Clone)]
pub(super) struct Lanewise<const N: usize, const L: usize> {
    recent: Box<[[[f32; L]; N]; N]>,
    observed: u32,
    sums: Box<[[[f64; L]; N]; N]>,
}

impl<const N: usize, const L: usize> Lanewise<N, L> {
    pub(super) fn new() -> Self {
        Self { recent: Box::new([[[0.0; L]; N]; N]), observed: 0, sums: Box::new([[[0.0; L]; N]; N]) }
    }

    /// Adds an observation: each value of all lanes.
    #[inline(always)]
    pub(super) fn observe(&mut self, values: &[[f32; L]; N]) {
        for (i, (sums, a)) in self.recent.iter_mut().zip(values).enumerate() {
            for (sums, b) in sums[..=i].iter_mut().zip(values) {
                for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                    *sum += a * b;
                }
            }
        }
        self.observed += 1;
        if self.observed.is_multiple_of(FLUSH) {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let recent = self.recent.as_flattened_mut().as_flattened_mut();
        move_to(self.sums.as_flattened_mut().as_flattened_mut(), recent);
    }

    /// As [`Gram::close`].
    pub(super) fn close(mut self) -> Self {
        self.flush();
        self
    }

    /// Sum of the products of two values of a lane.
    pub(super) fn product(&self, lane: usize, i: usize, j: usize) -> f64 {
        self.sums[i.max(j)][i.min(j)][lane]
    }

    /// What solves for a lane's values but the last, which is the target.
    pub(super) fn factor(&self, lane: usize, ridge: f64) -> Factor {
        let mut factor = Factor::new(self.observed, ridge);
        for i in 0..N - 1 {
            factor.push(|j| self.product(lane, i, j));
        }
        factor
    }
}

/// Cholesky's decomposition of sums of products, row by row. Whatever its first features are alone, its first rows are.
#[derive(Debug, Clone)]
pub(super) struct Factor {
    /// The rows, each up to its diagonal.
    lower: Vec<f64>,
    /// How strongly each feature's weight is drawn to what was known before.
    drawn: Vec<f64>,
    ridge: f64,
    share: f64,
}

impl Factor {
    /// Without features yet. Weights are drawn to a prior as by [`PRIOR`] observations, and to 0 as by `ridge`
    /// observations of size 1.
    fn new(observed: u32, ridge: f64) -> Self {
        Self { lower: vec![], drawn: vec![], ridge, share: PRIOR / f64::from(observed.max(1)) }
    }

    /// That of the first `n` features.
    pub(super) fn first(&self, n: usize) -> Self {
        let (lower, drawn) = (self.lower[..row(n)].to_vec(), self.drawn[..n].to_vec());
        Self { lower, drawn, ..*self }
    }

    /// Adds a feature, by its products with those before it, and with itself.
    pub(super) fn push(&mut self, product: impl Fn(usize) -> f64) {
        let i = self.drawn.len();
        self.drawn.push(product(i) * self.share);
        for j in 0..=i {
            let known = product(j) + if i == j { self.ridge + self.drawn[i] } else { 0.0 };
            let (a, b) = (&self.lower[row(i)..], &self.lower[row(j)..row(j) + j]);
            let dot: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
            let rest = known - dot;
            let next = if i == j { rest.max(1e-9).sqrt() } else { rest / self.lower[row(j) + j] };
            self.lower.push(next);
        }
    }

    /// The weights of the features that come nearest to a target, given its product with each, and the weights known
    /// before.
    pub(super) fn solve(&self, product: impl Fn(usize) -> f64, prior: impl Fn(usize) -> f64) -> Vec<f64> {
        let n = self.drawn.len();
        let mut x: Vec<f64> = (0..n).map(|i| product(i) + self.drawn[i] * prior(i)).collect();
        for i in 0..n {
            let dot: f64 = self.lower[row(i)..].iter().zip(&x[..i]).map(|(l, x)| l * x).sum();
            x[i] = (x[i] - dot) / self.lower[row(i) + i];
        }
        for i in (0..n).rev() {
            let (before, rest) = x.split_at_mut(i);
            rest[0] /= self.lower[row(i) + i];
            for (before, l) in before.iter_mut().zip(&self.lower[row(i)..]) {
                *before -= l * rest[0];
            }
        }
        x
    }
}

/// Where a row of a triangle begins.
fn row(i: usize) -> usize {
    i * (i + 1) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three random values; what they add up to with the weights below.
    fn observations() -> impl Iterator<Item = ([f32; 3], f32)> {
        let mut state = 1_u32;
        let mut random = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as f32 - 128.0
        };
        (0..1000).map(move |_| {
            let x = [random(), random(), random()];
            (x, 0.5 * x[0] - 2.0 * x[1] + 0.25 * x[2])
        })
    }
    const WEIGHTS: [f64; 3] = [0.5, -2.0, 0.25];

    fn check(found: &[f64]) {
        assert_eq!(found.len(), 3);
        for (found, expected) in found.iter().zip(WEIGHTS) {
            assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
    }

    fn padded(values: [f32; 4]) -> [f32; STRIDE] {
        let mut padded = [0.0; STRIDE];
        padded[..4].copy_from_slice(&values);
        padded
    }

    #[test]
    fn a_linear_map_is_found() {
        let (mut gram, mut lanes) = (Gram::new(3, STRIDE), Lanewise::<4, 2>::new());
        for ([a, b, c], sum) in observations() {
            gram.observe(&padded([a, b, c, sum]));
            lanes.observe(&[[0.0, a], [0.0, b], [0.0, c], [0.0, sum]]);
        }
        let (gram, lanes) = (gram.close(), lanes.close());
        check(&gram.factor(1e-6).solve(|i| gram.product(i, 3), |i| WEIGHTS[i]));
        check(&lanes.factor(1, 1e-6).solve(|i| lanes.product(1, i, 3), |i| WEIGHTS[i]));
    }

    #[test]
    fn a_factor_can_be_shortened_and_made_longer() {
        let mut gram = Gram::new(3, STRIDE);
        observations().for_each(|([a, b, c], sum)| gram.observe(&padded([a, b, c, sum])));
        let gram = gram.close();
        let whole = gram.factor(1.0);
        let mut again = whole.first(1);
        again.push(|j| gram.product(1, j));
        again.push(|j| gram.product(2, j));
        assert_eq!(again.lower, whole.lower);
    }
}
