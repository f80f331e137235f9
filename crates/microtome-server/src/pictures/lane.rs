//! The memory and the threads that pictures share: who may make one, and who waits.
//!
//! Not here: pictures that are made and not sent yet, which are answers like others (`activity`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use tokio::sync::Semaphore;

/// Megapixels of pictures that are made at the same time.
pub(super) const MEGAPIXELS: u32 = 32;
/// The same of those of at most one megapixel, which have a lane of their own: what a page shows does not wait behind what
/// somebody exports.
const MEGAPIXELS_OF_SMALL: u32 = 8;
/// Pictures of a lane that may wait for their memory.
const MAX_WAITING: usize = 256;

/// What pictures of a size share.
pub(super) struct Lane {
    megapixels: u32,
    pub(super) memory: Arc<Semaphore>,
    /// Threads that encode and do nothing else: that takes up to some seconds, for which neither a tile nor storage is to wait.
    pub(super) encoders: ThreadPool,
    waiting: AtomicUsize,
}

impl Lane {
    fn new(megapixels: u32, encoders: usize) -> Result<Self, ThreadPoolBuildError> {
        let memory = Arc::new(Semaphore::new(megapixels as usize));
        let encoders = ThreadPoolBuilder::new()
            .num_threads(encoders.max(1))
            .thread_name(|index| format!("encode-{index}"))
            // Without a handler a panic would end the process. Who waits for the picture hears of it all the same.
            .panic_handler(|_payload| tracing::error!("an encoder panicked"))
            .build()?;
        Ok(Self { megapixels, memory, encoders, waiting: AtomicUsize::new(0) })
    }
}

/// The lanes, by size.
pub(super) struct Lanes {
    small: Lane,
    pub(super) large: Lane,
}

impl Lanes {
    /// The lanes of a machine with so many decoding threads.
    pub(super) fn new(threads: usize) -> Result<Self, ThreadPoolBuildError> {
        Ok(Self {
            small: Lane::new(MEGAPIXELS_OF_SMALL, threads / 2)?,
            large: Lane::new(MEGAPIXELS, threads)?,
        })
    }

    /// The lane of a picture of this size, and how much of its memory the picture takes.
    pub(super) fn of(&self, [width, height]: [u32; 2]) -> (&Lane, u32) {
        let megapixels = (u64::from(width) * u64::from(height)).div_ceil(1_000_000).max(1);
        let lane = if megapixels == 1 { &self.small } else { &self.large };
        (lane, u32::try_from(megapixels).map_or(lane.megapixels, |m| m.min(lane.megapixels)))
    }
}

/// One of those that wait or are made.
pub(super) struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    pub(super) fn take(lane: &'a Lane) -> Option<Self> {
        let before = lane.waiting.fetch_add(1, Ordering::Relaxed);
        // From here on dropping it gives it back.
        let place = Self(&lane.waiting);
        (before < MAX_WAITING).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_wait_than_there_are_places() {
        let lane = Lane::new(1, 1).expect("a thread");
        let places: Vec<_> = (0..MAX_WAITING).map(|_| Place::take(&lane).expect("a place")).collect();
        assert!(Place::take(&lane).is_none());
        drop(places);
        assert!(Place::take(&lane).is_some());
    }
}
