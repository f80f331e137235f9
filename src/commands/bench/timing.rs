//! Medians, means, and tiles drawn by a seed: the same ones in every run.

use std::time::Instant;

/// The middle value, or the mean of the two in the middle.
pub(super) fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

/// The smallest value that nine in ten are not above.
pub(super) fn ninetieth(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get((9 * values.len()).div_ceil(10).saturating_sub(1)).copied()
}

/// The geometric mean of positive values.
pub(super) fn geometric_mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0_u32);
    for value in values {
        sum += value.ln();
        count += 1;
    }
    (count > 0).then(|| (sum / f64::from(count)).exp())
}

/// What `work` gives, and its seconds.
pub(super) fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let begin = Instant::now();
    let result = work();
    (result, begin.elapsed().as_secs_f64())
}

/// At most `limit` different numbers below `population`, in ascending order.
pub(super) fn sample(population: u64, limit: usize, seed: u64) -> Vec<u64> {
    if population <= limit as u64 {
        return (0..population).collect();
    }
    let mut state = seed;
    let mut chosen = std::collections::BTreeSet::new();
    while chosen.len() < limit {
        chosen.insert(next(&mut state) % population);
    }
    chosen.into_iter().collect()
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_medians() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(ninetieth(&mut []), None);
        assert_eq!(ninetieth(&mut [3.0]), Some(3.0));
        assert_eq!(ninetieth(&mut [5.0, 9.0, 1.0, 2.0, 3.0, 4.0, 6.0, 7.0, 8.0, 10.0]), Some(9.0));
        assert_eq!(geometric_mean([]), None);
        assert!((geometric_mean([0.5, 2.0]).expect("a mean") - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_sample_is_seeded_and_without_repeats() {
        assert_eq!(sample(3, 5, 1), [0, 1, 2]);
        let drawn = sample(1000, 50, 1);
        assert_eq!(drawn, sample(1000, 50, 1));
        assert_ne!(drawn, sample(1000, 50, 2));
        assert_eq!(drawn.len(), 50);
        assert!(drawn.is_sorted_by(|a, b| a < b) && drawn.iter().all(|&n| n < 1000));
    }
}
