//! Least squares by normal equations: small, dense, in `f64`.

/// Sums of products of up to a hundred features with each other and with the targets.
#[derive(Debug, Clone)]
pub(super) struct Regression {
    features: usize,
    targets: usize,
    /// Lower triangle, row by row.
    gram: Vec<f64>,
    /// For each feature, its products with the targets.
    moments: Vec<f64>,
}

impl Regression {
    pub(super) fn new(features: usize, targets: usize) -> Self {
        let triangle = features * (features + 1) / 2;
        Self { features, targets, gram: vec![0.0; triangle], moments: vec![0.0; features * targets] }
    }

    /// Adds an observation, given as (feature, value) pairs in rising order; features left out are 0.
    pub(super) fn observe(&mut self, features: &[(usize, f64)], targets: &[f64], weight: f64) {
        for (i, &(row, a)) in features.iter().enumerate() {
            let a = a * weight;
            let line = &mut self.gram[row * (row + 1) / 2..];
            for &(column, b) in &features[..=i] {
                line[column] += a * b;
            }
            for (moment, &target) in self.moments[row * self.targets..].iter_mut().zip(targets) {
                *moment += a * target;
            }
        }
    }

    /// Weights by target, then feature: least squares, drawn to 0 as by `ridge` observations of size 1.
    pub(super) fn solve(&self, ridge: f64) -> Vec<Vec<f64>> {
        let n = self.features;
        let at = |row: usize, column: usize| row * (row + 1) / 2 + column;
        let mut l = self.gram.clone();
        for i in 0..n {
            l[at(i, i)] += ridge;
            for j in 0..=i {
                let dot: f64 = (0..j).map(|k| l[at(i, k)] * l[at(j, k)]).sum();
                let rest = l[at(i, j)] - dot;
                l[at(i, j)] = if i == j { rest.max(1e-9).sqrt() } else { rest / l[at(j, j)] };
            }
        }
        let solve = |target: usize| {
            let mut x: Vec<f64> = (0..n).map(|i| self.moments[i * self.targets + target]).collect();
            for i in 0..n {
                let dot: f64 = (0..i).map(|k| l[at(i, k)] * x[k]).sum();
                x[i] = (x[i] - dot) / l[at(i, i)];
            }
            for i in (0..n).rev() {
                let dot: f64 = (i + 1..n).map(|k| l[at(k, i)] * x[k]).sum();
                x[i] = (x[i] - dot) / l[at(i, i)];
            }
            x
        };
        (0..self.targets).map(solve).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_map_is_found_again() {
        let mut regression = Regression::new(3, 2);
        for i in 0..50 {
            let x = [f64::from(i % 7) - 3.0, f64::from(i % 5) - 2.0, 1.0];
            let y = [2.0 * x[0] - x[1] + 0.5, 3.0 * x[1]];
            let features: Vec<_> = x.iter().copied().enumerate().collect();
            regression.observe(&features, &y, 1.0);
        }
        let found = regression.solve(1e-6);
        for (found, expected) in found.concat().iter().zip([2.0, -1.0, 0.5, 0.0, 3.0, 0.0]) {
            assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
    }
}
