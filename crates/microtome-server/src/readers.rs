//! Turns of the blocking threads that read records.
//!
//! Storage that hangs holds its turns until it answers. So no slide has all of them, and the catalogue has threads of its own.
//! Not here: what is read.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::catalog::OpenSlide;
use crate::error::Error;

/// Blocking threads that nothing is read on.
const CATALOGUE_THREADS: usize = 2;
/// Longest wait for a turn and for storage together.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Those of all slides.
pub(crate) struct Readers {
    all: Arc<Semaphore>,
}

/// The right to read a slide on one blocking thread; it is given back when it is dropped.
pub(crate) struct Turn {
    _of_slide: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// How many may read at the same time, where so many threads may block.
fn all(blocking_threads: usize) -> usize {
    blocking_threads.saturating_sub(CATALOGUE_THREADS).max(1)
}

/// How many of these may read one slide: half.
pub(crate) fn of_one_slide(blocking_threads: usize) -> usize {
    all(blocking_threads).div_ceil(2)
}

impl Readers {
    pub(crate) fn new(blocking_threads: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all(blocking_threads))) }
    }

    /// A turn, when there is one. Who waits for that of a slide keeps no other slide waiting.
    pub(crate) async fn turn(&self, open: &OpenSlide) -> Result<Turn, Error> {
        // Neither is ever closed.
        let lost = |_closed| Error::WorkerLost("readers");
        let of_slide = Arc::clone(&open.reading).acquire_owned().await.map_err(lost)?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.map_err(lost)?;
        Ok(Turn { _of_slide: of_slide, _of_all: of_all })
    }

    /// A turn, if there is one now.
    pub(crate) fn turn_now(&self, open: &OpenSlide) -> Option<Turn> {
        let of_slide = Arc::clone(&open.reading).try_acquire_owned().ok()?;
        let of_all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Turn { _of_slide: of_slide, _of_all: of_all })
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
    fn half_of_the_turns_are_left_to_other_slides() {
        for (threads, expected) in [(0, (1, 1)), (3, (1, 1)), (4, (2, 1)), (5, (3, 2)), (8, (6, 3))] {
            assert_eq!((all(threads), of_one_slide(threads)), expected, "{threads}");
        }
    }
}
