//! The memory and the threads that pictures share: who may make one, and who waits.
//!
//! A picture whose storage hangs keeps its memory until that answers. So no slide has all of it, nor has a file system.
//! Not here: pictures that are made and not sent yet, which are answers like others (`activity`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::catalog::OpenSlide;
use crate::error::Error;

/// Megapixels of pictures that are made at the same time.
pub(super) const MEGAPIXELS: u32 = 48;
/// The same of those of at most one megapixel, which have a lane of their own: what a page shows does not wait behind what
/// somebody exports.
const MEGAPIXELS_OF_SMALL: u32 = 18;
/// Pictures of a lane that may wait for their memory.
const MAX_WAITING: usize = 256;

/// What is lost with a thread.
pub(super) const MAKING: &str = "making of a picture";

/// What pictures of one slide, or of one file system, may take of the memory of each lane.
pub(crate) struct Shares {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

/// How much one slide may take of a lane's memory: a third.
const fn of_one_slide(megapixels: u32) -> u32 {
    megapixels / 3
}

/// How much the slides of one file system may take: two thirds. So whatever hangs leaves as much as a slide may take, and nobody who
/// waits for more than is left keeps those behind waiting.
const fn of_one_storage(megapixels: u32) -> u32 {
    megapixels * 2 / 3
}

impl Shares {
    pub(crate) fn of_one_slide() -> Self {
        Self::new(of_one_slide)
    }

    pub(crate) fn of_one_storage() -> Self {
        Self::new(of_one_storage)
    }

    fn new(part: impl Fn(u32) -> u32) -> Self {
        let semaphore = |megapixels| Arc::new(Semaphore::new(part(megapixels) as usize));
        Self { small: semaphore(MEGAPIXELS_OF_SMALL), large: semaphore(MEGAPIXELS) }
    }
}

/// A picture's memory, while it is made.
pub(super) struct Memory {
    _of_slide: OwnedSemaphorePermit,
    _of_storage: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// What pictures of a size share.
pub(super) struct Lane {
    megapixels: u32,
    pub(super) memory: Arc<Semaphore>,
    /// That of this lane.
    share: fn(&Shares) -> &Arc<Semaphore>,
    /// Threads that encode and do nothing else: that takes up to some seconds, for which neither a tile nor storage is to wait.
    pub(super) encoders: ThreadPool,
    waiting: AtomicUsize,
}

impl Lane {
    fn new(
        megapixels: u32,
        share: fn(&Shares) -> &Arc<Semaphore>,
        encoders: usize,
    ) -> Result<Self, ThreadPoolBuildError> {
        let memory = Arc::new(Semaphore::new(megapixels as usize));
        let encoders = ThreadPoolBuilder::new()
            .num_threads(encoders.max(1))
            .thread_name(|index| format!("encode-{index}"))
            // Without a handler a panic would end the process. Who waits for the picture hears of it all the same.
            .panic_handler(|_payload| tracing::error!("an encoder panicked"))
            .build()?;
        Ok(Self { megapixels, memory, share, encoders, waiting: AtomicUsize::new(0) })
    }

    /// The memory of a picture of a slide, once it is there. Who waits for that of a slide keeps no other slide waiting, nor who waits
    /// for that of a file system any other file system. A picture that is larger than a slide's share takes that.
    pub(super) async fn memory(&self, open: &OpenSlide, megapixels: u32) -> Result<Memory, Error> {
        let permits = megapixels.min(of_one_slide(self.megapixels));
        let take = async |semaphore: &Arc<Semaphore>| {
            // None is ever closed.
            let lost = |_closed| Error::WorkerLost(MAKING);
            Arc::clone(semaphore).acquire_many_owned(permits).await.map_err(lost)
        };
        Ok(Memory {
            _of_slide: take((self.share)(&open.pictures)).await?,
            _of_storage: take((self.share)(&open.storage.pictures)).await?,
            _of_all: take(&self.memory).await?,
        })
    }

    /// What `encode` makes, on a thread of the lane; it gives the memory back.
    pub(super) async fn encode(
        &self,
        memory: Memory,
        encode: impl FnOnce() -> Result<Vec<u8>, Error> + Send + 'static,
    ) -> Result<Bytes, Error> {
        let (sender, made) = oneshot::channel();
        self.encoders.spawn_fifo(move || {
            // Who went away while others were encoded misses nothing.
            if sender.is_closed() {
                return;
            }
            let made = encode();
            drop(memory);
            let _ = sender.send(made.map(|mut made| {
                // It may take a while until it is read.
                made.shrink_to_fit();
                Bytes::from(made)
            }));
        });
        made.await.map_err(|_lost| Error::WorkerLost(MAKING))?
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
            small: Lane::new(MEGAPIXELS_OF_SMALL, |shares| &shares.small, threads / 2)?,
            large: Lane::new(MEGAPIXELS, |shares| &shares.large, threads)?,
        })
    }

    /// The lane of a picture of this size, and its megapixels.
    pub(super) fn of(&self, [width, height]: [u32; 2]) -> (&Lane, u32) {
        let megapixels = (u64::from(width) * u64::from(height)).div_ceil(1_000_000).max(1);
        let lane = if megapixels == 1 { &self.small } else { &self.large };
        (lane, u32::try_from(megapixels).unwrap_or(u32::MAX))
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
    fn memory_is_left_to_other_slides_and_file_systems() {
        for megapixels in [MEGAPIXELS_OF_SMALL, MEGAPIXELS] {
            let (slide, storage) = (of_one_slide(megapixels), of_one_storage(megapixels));
            assert!(slide > 0 && slide <= storage - slide && slide <= megapixels - storage, "{megapixels}");
        }
    }

    #[test]
    fn no_more_wait_than_there_are_places() {
        let lane = Lane::new(1, |shares| &shares.small, 1).expect("a thread");
        let places: Vec<_> = (0..MAX_WAITING).map(|_| Place::take(&lane).expect("a place")).collect();
        assert!(Place::take(&lane).is_none());
        drop(places);
        assert!(Place::take(&lane).is_some());
    }
}
