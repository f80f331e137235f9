//! Least squares by normal equations: sums of products, gathered once for all that is to be solved with them.

/// Observations between moves from the fast sums to the exact ones.
const FLUSH: u32 = 256;

/// Observations that what was known before is worth.
const PRIOR: f64 = 600.0;

/// Sums of the products of `rows` features with each other and with all other values of an observation.
#[derive(Debug, Clone)]
pub(super) struct Gram {
    rows: usize,
    length: usize,
    recent: Vec<f32>,
    observed: u32,
    sums: Vec<f64>,
}

/// A feature or a target: the sum of some of an observation's values.
pub(super) type Sum<'a> = &'a [usize];

impl Gram {
    /// For observations of `length` values, the first `rows` of which are features; the others are only targets.
    pub(super) fn new(rows: usize, length: usize) -> Self {
        let size = rows * length;
        Self { rows, length, recent: vec![0.0; size], observed: 0, sums: vec![0.0; size] }
    }

    /// Adds an observation.
    #[inline(always)]
    pub(super) fn observe(&mut self, values: &[f32]) {
        let lines = self.recent.chunks_exact_mut(self.length);
        for (i, (line, &value)) in lines.zip(values).enumerate() {
            // Most magnitudes are 0.
            if value != 0.0 {
                for (sum, &other) in line[i..].iter_mut().zip(&values[i..]) {
                    *sum += value * other;
                }
            }
        }
        self.observed += 1;
        if self.observed.is_multiple_of(FLUSH) {
            self.flush();
        }
    }

    fn flush(&mut self) {
        for (sum, recent) in self.sums.iter_mut().zip(&mut self.recent) {
            *sum += f64::from(*recent);
            *recent = 0.0;
        }
    }

    /// No more observations: what is solved counts those so far.
    pub(super) fn close(mut self) -> Self {
        self.flush();
        self
    }

    fn product(&self, a: Sum<'_>, b: Sum<'_>) -> f64 {
        let one = |i: usize, j: usize| {
            let (low, high) = (i.min(j), i.max(j));
            debug_assert!(low < self.rows, "of two values one is a feature");
            self.sums[low * self.length + high]
        };
        a.iter().map(|&i| b.iter().map(|&j| one(i, j)).sum::<f64>()).sum()
    }

    /// The weights of features that come nearest to a target: least squares, drawn to `prior` (by feature) as by
    /// [`PRIOR`] observations, and to 0 as by `ridge` observations of size 1.
    pub(super) fn solve(
        &self,
        features: &[Sum<'_>],
        target: Sum<'_>,
        ridge: f64,
        prior: impl Fn(usize) -> f64,
    ) -> Vec<f64> {
        let n = features.len();
        let share = PRIOR / f64::from(self.observed.max(1));
        let drawn = |i: usize| self.product(features[i], features[i]) * share;
        let at = |row: usize, column: usize| row * (row + 1) / 2 + column;
        // Cholesky's decomposition, row by row.
        let mut l = vec![0.0_f64; n * (n + 1) / 2];
        for i in 0..n {
            for j in 0..=i {
                let known =
                    self.product(features[i], features[j]) + if i == j { ridge + drawn(i) } else { 0.0 };
                let (a, b) = (&l[at(i, 0)..at(i, j)], &l[at(j, 0)..at(j, j)]);
                let dot: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                let rest = known - dot;
                l[at(i, j)] = if i == j { rest.max(1e-9).sqrt() } else { rest / l[at(j, j)] };
            }
        }
        let moment = |i: usize| self.product(features[i], target) + drawn(i) * prior(i);
        let mut x: Vec<f64> = (0..n).map(moment).collect();
        for i in 0..n {
            let dot: f64 = (0..i).map(|k| l[at(i, k)] * x[k]).sum();
            x[i] = (x[i] - dot) / l[at(i, i)];
        }
        for i in (0..n).rev() {
            let dot: f64 = (i + 1..n).map(|k| l[at(k, i)] * x[k]).sum();
            x[i] = (x[i] - dot) / l[at(i, i)];
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_map_is_found() {
        let mut gram = Gram::new(3, 4);
        let mut state = 1_u32;
        for _ in 0..1000 {
            let mut x = [0.0; 4];
            for x in &mut x[..3] {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *x = (state >> 24) as f32 - 128.0;
            }
            x[3] = 0.5 * x[0] - 2.0 * x[2] + 0.25 * (x[1] + x[2]);
            gram.observe(&x);
        }
        let found = gram.close().solve(&[&[0], &[2], &[1, 2]], &[3], 1e-6, |i| [0.5, -2.0, 0.25][i]);
        for (found, expected) in found.iter().zip([0.5, -2.0, 0.25]) {
            assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
    }
}
