//! Sums of products, gathered once for all that is to be solved with them (`solve`).

use super::solve::Factor;

/// Observations between moves from the fast sums to the exact ones, a multiple of [`BATCH`].
const FLUSH: u32 = 256;

/// Observations that are summed up together, so that sums are fetched once for all of them.
const BATCH: usize = 16;

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
    /// Of each value with itself.
    recent_squares: Vec<Stride>,
    squares: Vec<f64>,
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
            recent_squares: vec![[0.0; STRIDE]; length / STRIDE],
            squares: vec![0.0; length],
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
        for values in self.batch.chunks_exact(strides) {
            for (squares, values) in self.recent_squares.iter_mut().zip(values) {
                for (square, value) in squares.iter_mut().zip(values) {
                    *square += value * value;
                }
            }
        }
        self.batch.clear();
    }

    fn flush(&mut self) {
        move_to(&mut self.sums, self.recent.as_flattened_mut());
        move_to(&mut self.squares, self.recent_squares.as_flattened_mut());
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

    /// Sum of the squares of a value.
    pub(super) fn square(&self, i: usize) -> f64 {
        self.squares[i]
    }

    /// Observations.
    pub(super) fn observed(&self) -> f64 {
        self.observed.into()
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

    /// Observations.
    pub(super) fn observed(&self) -> f64 {
        self.observed.into()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The features are 1, 0 half of the time and a value of the second stride; observations end within a batch, after sums
    /// were moved.
    #[test]
    fn sums_are_those_of_all_products() {
        const COUNT: usize = FLUSH as usize + BATCH + 3;
        let observation = |n: usize| -> [f32; 2 * STRIDE] {
            let value = |i: usize| if i == 1 && n.is_multiple_of(2) { 0 } else { (n * (i + 3) + i) % 11 };
            std::array::from_fn(|i| if i == 0 { 1.0 } else { value(i) as f32 })
        };
        let mut gram = Gram::new(STRIDE + 2, 2 * STRIDE);
        (0..COUNT).for_each(|n| gram.observe(&observation(n)));
        let gram = gram.close();
        let sum = |i: usize, j: usize| {
            (0..COUNT).map(|n| f64::from(observation(n)[i] * observation(n)[j])).sum::<f64>()
        };
        for (i, j) in
            [(0, 0), (0, 1), (1, 1), (2, 1), (1, STRIDE + 5), (STRIDE + 1, STRIDE + 1), (3, 2 * STRIDE - 1)]
        {
            assert_eq!(gram.product(i, j), sum(i, j), "{i} {j}");
        }
        assert_eq!(gram.square(2 * STRIDE - 1), sum(2 * STRIDE - 1, 2 * STRIDE - 1));
        assert_eq!(gram.observed(), COUNT as f64);
    }
}
