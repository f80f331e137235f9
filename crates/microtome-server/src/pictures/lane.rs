//! The memory that pictures share: who may make one, who waits, and what a picture holds until it is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Megapixels of pictures that are made at the same time, or made and not sent yet.
pub(super) const MEGAPIXELS: u32 = 32;
/// The same of those of at most one megapixel, which have a lane of their own: what a page shows does not wait behind what
/// somebody exports.
const MEGAPIXELS_OF_SMALL: u32 = 8;
/// What a megapixel takes in the making.
const BYTES_OF_A_MEGAPIXEL: usize = 10_000_000;
/// Pictures of fewer bytes count only while they are made.
const FEW_BYTES: usize = 1 << 20;
/// Pictures of a lane that may wait for their memory.
const MAX_WAITING: usize = 256;

/// What pictures of a size share.
pub(super) struct Lane {
    megapixels: u32,
    pub(super) memory: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Lane {
    fn new(megapixels: u32) -> Self {
        let memory = Arc::new(Semaphore::new(megapixels as usize));
        Self { megapixels, memory, waiting: AtomicUsize::new(0) }
    }
}

/// The lanes, by size.
pub(super) struct Lanes {
    small: Lane,
    pub(super) large: Lane,
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self { small: Lane::new(MEGAPIXELS_OF_SMALL), large: Lane::new(MEGAPIXELS) }
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

/// The picture as a body that holds its share of the memory until it is sent, if it is one of those that matter.
pub(super) fn on_its_way(mut picture: Vec<u8>, memory: Result<OwnedSemaphorePermit, AcquireError>) -> Bytes {
    picture.shrink_to_fit();
    let held = memory.ok().filter(|_| picture.len() > FEW_BYTES);
    let held = held.and_then(|mut memory| memory.split(picture.len().div_ceil(BYTES_OF_A_MEGAPIXEL)));
    Bytes::from_owner(OnItsWay { picture, _held: held })
}

/// The bytes of a picture and their share of the memory.
struct OnItsWay {
    picture: Vec<u8>,
    _held: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for OnItsWay {
    fn as_ref(&self) -> &[u8] {
        &self.picture
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_picture_holds_its_share_of_the_memory_until_it_is_sent() {
        for (bytes, held) in [(FEW_BYTES, 0), (FEW_BYTES + 1, 1), (BYTES_OF_A_MEGAPIXEL + 1, 2)] {
            let memory = Arc::new(Semaphore::new(MEGAPIXELS as usize));
            let permits = Arc::clone(&memory).try_acquire_many_owned(17);
            let mut picture = Vec::with_capacity(3 * bytes);
            picture.resize(bytes, 1_u8);
            let body = on_its_way(picture, Ok(permits.expect("permits")));
            assert_eq!(MEGAPIXELS as usize - memory.available_permits(), held, "{bytes}");
            let part = body.slice(..10);
            drop(body);
            assert_eq!(MEGAPIXELS as usize - memory.available_permits(), held, "a part is still to be sent");
            drop(part);
            assert_eq!(memory.available_permits(), MEGAPIXELS as usize, "{bytes}");
        }
    }

    #[test]
    fn no_more_wait_than_there_are_places() {
        let lane = Lane::new(1);
        let places: Vec<_> = (0..MAX_WAITING).map(|_| Place::take(&lane).expect("a place")).collect();
        assert!(Place::take(&lane).is_none());
        drop(places);
        assert!(Place::take(&lane).is_some());
    }
}
