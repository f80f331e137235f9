//! Turns of the blocking threads that read records.
//!
//! Storage that hangs holds its turns until it answers. So no slide has all of them, nor has the file system that it is on
//! (`storage`), and what looks at files, opens and lists them has threads beside. Not here: what is read.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::catalog::OpenSlide;
use crate::error::Error;

/// Blocking threads beside those that read, for looks at files, openings and lists.
pub(crate) const OTHER_THREADS: usize = 24;
/// Longest wait for a turn and for storage together.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Those of all slides.
pub(crate) struct Readers {
    all: Arc<Semaphore>,
}

/// The right to read a slide on one blocking thread; it is given back when it is dropped.
pub(crate) struct Turn {
    _of_slide: OwnedSemaphorePermit,
    _of_storage: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// How many of so many reading threads may read one slide: half.
pub(crate) fn of_one_slide(threads: usize) -> usize {
    threads.div_ceil(2).max(1)
}

/// How many of them may read slides of one file system: all but a quarter.
pub(crate) fn of_one_storage(threads: usize) -> usize {
    threads.saturating_sub(threads.div_ceil(4)).max(1)
}

impl Readers {
    /// With so many reading threads.
    pub(crate) fn new(threads: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(threads.max(1))) }
    }

    /// A turn, when there is one. Who waits for that of a slide keeps no other slide waiting, nor who waits for that of a file
    /// system any other file system.
    pub(crate) async fn turn(&self, open: &OpenSlide) -> Result<Turn, Error> {
        // None is ever closed.
        let lost = |_closed| Error::WorkerLost("readers");
        let of_slide = Arc::clone(&open.reading).acquire_owned().await.map_err(lost)?;
        let of_storage = Arc::clone(&open.storage.reading).acquire_owned().await.map_err(lost)?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.map_err(lost)?;
        Ok(Turn { _of_slide: of_slide, _of_storage: of_storage, _of_all: of_all })
    }

    /// A turn, if there is one now.
    pub(crate) fn turn_now(&self, open: &OpenSlide) -> Option<Turn> {
        let of_slide = Arc::clone(&open.reading).try_acquire_owned().ok()?;
        let of_storage = Arc::clone(&open.storage.reading).try_acquire_owned().ok()?;
        let of_all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Turn { _of_slide: of_slide, _of_storage: of_storage, _of_all: of_all })
    }

    /// What `work` reads of a slide, on a blocking thread; nobody waits for it longer than [`LONGEST_WAIT`].
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        open: &OpenSlide,
        what: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let reading = async {
            let turn = self.turn(open).await?;
            let reading = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                work()
            });
            reading.await.map_err(|_lost| Error::WorkerLost(what))
        };
        tokio::time::timeout(LONGEST_WAIT, reading).await.unwrap_or(Err(Error::Overloaded))
    }

    /// Turns that are free.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.all.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_left_to_other_slides_and_file_systems() {
        for (threads, expected) in [(0, (1, 1)), (1, (1, 1)), (2, (1, 1)), (4, (2, 3)), (8, (4, 6))] {
            assert_eq!((of_one_slide(threads), of_one_storage(threads)), expected, "{threads}");
        }
    }
}
