//! Least squares by normal equations: sums of products, gathered once for all that is to be solved with them.

/// Observations between moves from the fast sums to the exact ones, a multiple of [`BATCH`].
const FLUSH: u32 = 256;

/// Observations that are summed up together, so that sums are fetched once for all of them.
const BATCH: usize = 16;

/// Observations that what was known before is worth.
const PRIOR: f64 = 200.0;

/// Bits that it takes to say that a weight is not what was known before.
const DIFFERS: f64 = 4.0;

/// What larger errors really cost, of what they would if they were normally distributed and all of them coded.
const COSTS: f64 = 0.35;

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
            for (square, value) in self.squares.iter_mut().zip(values.as_flattened()) {
                *square += f64::from(value * value);
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
    /// Without features yet. Weights are drawn to a prior as by [`PRIOR`] observations, and to 0 as by `ridge`
    /// observations of size 1.
    fn new(observed: u32, ridge: f64) -> Self {
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
        self.drawn.push(product(i) * PRIOR / self.observed);
        for j in 0..=i {
            let known = product(j) + if i == j { self.ridge + self.drawn[i] } else { 0.0 };
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
        let prior = |i: usize| f64::from(place(i).known) / place(i).one;
        let mut x: Vec<f64> = (0..n).map(|i| product(i) + self.drawn[i] * prior(i)).collect();
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
