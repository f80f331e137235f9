//! Durations counted in buckets, without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bounded buckets: up to 50 us, doubling, up to 3.3 s. A last one takes the rest.
const BUCKETS: usize = 17;
const FIRST_BUCKET: Duration = Duration::from_micros(50);

#[derive(Debug, Default)]
pub(super) struct Histogram {
    counts: [AtomicU64; BUCKETS + 1],
    nanoseconds: AtomicU64,
}

impl Histogram {
    pub(super) fn observe(&self, duration: Duration) {
        let bucket = (0..BUCKETS).find(|&bucket| duration <= upper_bound(bucket)).unwrap_or(BUCKETS);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    pub(super) fn seconds(&self) -> f64 {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)).as_secs_f64()
    }

    /// Upper bound in seconds of each bucket, and how many were not above it; the last is without bound.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = (0..BUCKETS).map(|bucket| upper_bound(bucket).as_secs_f64()).chain([f64::INFINITY]);
        let mut sum = 0;
        bounds.zip(&self.counts).map(move |(bound, count)| {
            sum += count.load(Ordering::Relaxed);
            (bound, sum)
        })
    }
}

fn upper_bound(bucket: usize) -> Duration {
    FIRST_BUCKET * (1 << bucket)
}
