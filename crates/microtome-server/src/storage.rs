//! What the slides of one file system share. When it hangs, it hangs for all of them: then it holds threads that look at files and
//! that read, but not those that the slides of other file systems need.
//!
//! Not here: the turns that all slides share, `readers`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::pictures::lane::Shares;
use crate::readers;

/// Slides of one file system whose files are looked at at the same time. A look is a matter of microseconds, or hangs.
const LOOKS: usize = 4;

/// A file system.
pub(crate) struct Storage {
    /// Permits to look at files.
    pub(crate) looks: Arc<Semaphore>,
    /// Permits to read slides.
    pub(crate) reading: Arc<Semaphore>,
    /// Memory for pictures of slides.
    pub(crate) pictures: Shares,
}

/// The file systems that slides were opened from: as many as the machine has, at most.
pub(crate) struct Storages {
    reading_threads: usize,
    known: Mutex<HashMap<u64, Arc<Storage>>>,
}

impl Storages {
    /// Where so many threads read.
    pub(crate) fn new(reading_threads: usize) -> Self {
        Self { reading_threads, known: Mutex::default() }
    }

    /// Permits to read one slide.
    pub(crate) fn of_slide(&self) -> Arc<Semaphore> {
        Arc::new(Semaphore::new(readers::of_one_slide(self.reading_threads)))
    }

    /// That of the device with this number.
    pub(crate) fn of(&self, device: u64) -> Arc<Storage> {
        let new = || Storage {
            looks: Arc::new(Semaphore::new(LOOKS)),
            reading: Arc::new(Semaphore::new(readers::of_one_storage(self.reading_threads))),
            pictures: Shares::of_one_storage(),
        };
        // Nothing in here panics between two changes that belong together.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(device).or_insert_with(|| Arc::new(new())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slides_of_one_file_system_share_its_permits_and_others_have_their_own() {
        let storages = Storages::new(8);
        let (one, other) = (storages.of(1), storages.of(2));
        let _hanging: Vec<_> =
            std::iter::from_fn(|| Arc::clone(&one.reading).try_acquire_owned().ok()).collect();
        assert_eq!(storages.of(1).reading.available_permits(), 0);
        assert_eq!((other.reading.available_permits(), other.looks.available_permits()), (6, LOOKS));
    }
}
