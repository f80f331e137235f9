//! Least squares by normal equations, and how finely what they give is worth storing.
//!
//! Not here: the sums that equations are made of (`regression`), and which numbers of a model are solved for.

/// Observations that what was known before is worth.
const PRIOR: f64 = 200.0;

/// Bits that it takes to say that a weight is not what was known before.
const DIFFERS: f64 = 4.0;

/// What larger errors really cost, of what they would if they were normally distributed and all of them coded.
const COSTS: f64 = 0.35;

/// Cholesky's decomposition of sums of products, row by row. Whatever its first features are alone, its first rows are.
#[derive(Debug, Clone)]
pub(super) struct Factor {
    /// The rows, each up to its diagonal.
    lower: Vec<f64>,
    /// How strongly each feature's weight is drawn to what was known before.
    drawn: Vec<f64>,
    ridge: f64,
    observed: f64,
}

impl Factor {
    /// Without features yet. Weights are drawn to what was known before as by [`PRIOR`] observations, and by `ridge` of size 1.
    pub(super) fn new(observed: u32, ridge: f64) -> Self {
        Self { lower: vec![], drawn: vec![], ridge, observed: observed.max(1).into() }
    }

    /// That of the first `n` features.
    pub(super) fn first(&self, n: usize) -> Self {
        let (lower, drawn) = (self.lower[..row(n)].to_vec(), self.drawn[..n].to_vec());
        Self { lower, drawn, ..*self }
    }

    /// Adds a feature, by its products with those before it, and with itself.
    pub(super) fn push(&mut self, product: impl Fn(usize) -> f64) {
        let i = self.drawn.len();
        self.drawn.push(product(i) * PRIOR / self.observed + self.ridge);
        for j in 0..=i {
            let known = product(j) + if i == j { self.drawn[i] } else { 0.0 };
            let (a, b) = (&self.lower[row(i)..], &self.lower[row(j)..row(j) + j]);
            let dot: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
            let rest = known - dot;
            let next = if i == j { rest.max(1e-9).sqrt() } else { rest / self.lower[row(j) + j] };
            self.lower.push(next);
        }
    }

    /// The weights of the features that come nearest to a target, given its product with each, as they are stored at their
    /// `place`. They are for `times` as much as was observed. `square` is that of the target, and of errors besides that do not
    /// matter.
    ///
    /// Each weight is rounded in its turn, so that those found after it make up for that (L. Babai, On Lovasz' lattice
    /// reduction and the nearest lattice point problem, 1986), and as finely as pays: what its error costs, a bit is weighed against.
    pub(super) fn solve(
        &self,
        product: impl Fn(usize) -> f64,
        square: f64,
        times: f64,
        place: impl Fn(usize) -> Place,
    ) -> Vec<i16> {
        let n = self.drawn.len();
        let known = |i: usize| f64::from(place(i).known) / place(i).one;
        let mut x: Vec<f64> = (0..n).map(|i| product(i) + self.drawn[i] * known(i)).collect();
        let square = square + (0..n).map(|i| self.drawn[i] * known(i).powi(2)).sum::<f64>();
        for i in 0..n {
            let dot: f64 = self.lower[row(i)..].iter().zip(&x[..i]).map(|(l, x)| l * x).sum();
            x[i] = (x[i] - dot) / self.lower[row(i) + i];
        }
        let error = (square - x.iter().map(|x| x * x).sum::<f64>()).max(square * 1e-3).max(1e-9);
        let bits = COSTS * times * self.observed / (2.0 * std::f64::consts::LN_2 * error);
        let mut weights = vec![0; n];
        for i in (0..n).rev() {
            let (place, length) = (place(i), self.lower[row(i) + i]);
            let wanted = x[i] / length * place.one;
            weights[i] = place.round(wanted, bits * (length / place.one).powi(2));
            let weight = f64::from(weights[i]) / place.one;
            for (before, l) in x[..i].iter_mut().zip(&self.lower[row(i)..]) {
                *before -= l * weight;
            }
        }
        weights
    }
}

/// How a weight is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// What a weight of 1 is stored as.
    pub(super) one: f64,
    /// What is stored where nothing is learnt.
    pub(super) known: i16,
    /// The largest there may be.
    pub(super) most: i16,
}

impl Place {
    /// What to store for a weight, of which the square of an error of 1 as stored takes so many bits.
    pub(super) fn round(self, wanted: f64, bits: f64) -> i16 {
        // With a unit twice as large errors would take more than the bit that it spares.
        let unit = (6.0 / (std::f64::consts::LN_2 * bits)).sqrt().log2().floor().clamp(0.0, 10.0).exp2();
        let (known, most) = (f64::from(self.known), f64::from(self.most));
        let rounded = (known + ((wanted - known) / unit).round() * unit).clamp(-most, most);
        let gained = bits * ((wanted - known).powi(2) - (wanted - rounded).powi(2));
        if gained > DIFFERS { rounded as i16 } else { self.known }
    }
}

/// Where a row of a triangle begins.
fn row(i: usize) -> usize {
    i * (i + 1) / 2
}

#[cfg(test)]
mod tests {
    use super::super::regression::{Gram, Lanewise, STRIDE};
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
    const WEIGHTS: [i16; 3] = [2048, -8192, 1024];

    /// Weights in 1/4096, somewhat different ones of which are known.
    fn place(i: usize) -> Place {
        Place { one: 4096.0, known: WEIGHTS[i] + 1, most: i16::MAX }
    }

    fn padded(values: [f32; 4]) -> [f32; STRIDE] {
        let mut padded = [0.0; STRIDE];
        padded[..4].copy_from_slice(&values);
        padded
    }

    /// Sums of [`observations`], the last value being what they add up to.
    fn gram() -> Gram {
        let mut gram = Gram::new(3, STRIDE);
        observations().for_each(|([a, b, c], sum)| gram.observe(&padded([a, b, c, sum])));
        gram.close()
    }

    #[test]
    fn a_linear_map_is_found() {
        let (gram, mut lanes) = (gram(), Lanewise::<4, 2>::new());
        observations()
            .for_each(|([a, b, c], sum)| lanes.observe(&[[0.0, a], [0.0, b], [0.0, c], [0.0, sum]]));
        let (lanes, times) = (lanes.close(), 1e6);
        assert_eq!(gram.factor(1e-6).solve(|i| gram.product(i, 3), gram.square(3), times, place), WEIGHTS);
        let square = lanes.product(1, 3, 3);
        assert_eq!(lanes.factor(1, 1e-6).solve(|i| lanes.product(1, i, 3), square, times, place), WEIGHTS);
    }

    #[test]
    fn what_hardly_pays_stays_as_it_was() {
        let gram = gram();
        let weights = gram.factor(1e-6).solve(|i| gram.product(i, 3), gram.square(3), 1e-6, place);
        assert_eq!(weights, WEIGHTS.map(|weight| weight + 1));
    }

    #[test]
    fn a_weight_is_as_fine_as_it_pays() {
        let place = Place { one: 1.0, known: 7, most: 1000 };
        assert_eq!(place.round(101.4, 100.0), 101);
        // With 1/1000 of a bit for a square units are 64: 7 and one of them.
        assert_eq!(place.round(101.4, 1e-3), 71);
        assert_eq!(place.round(101.4, 1e-4), 7);
        assert_eq!(place.round(1e9, 100.0), 1000);
        assert_eq!(place.round(-1e9, 100.0), -1000);
        // Nothing that is not a number, and no panic.
        for (wanted, bits) in [(f64::NAN, 1.0), (f64::INFINITY, 0.0), (5.0, f64::INFINITY), (5.0, f64::NAN)] {
            assert!((-1000..=1000).contains(&place.round(wanted, bits)), "{wanted} {bits}");
        }
    }

    #[test]
    fn a_factor_can_be_shortened_and_made_longer() {
        let gram = gram();
        let whole = gram.factor(1.0);
        let mut again = whole.first(1);
        again.push(|j| gram.product(1, j));
        again.push(|j| gram.product(2, j));
        assert_eq!(again.lower, whole.lower);
    }
}
