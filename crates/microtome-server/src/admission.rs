//! Who may start working on a tile, who waits, and who is sent away before the queue gets long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;

/// Waiting requests per permit: at about a millisecond a tile, a fraction of the deadline.
const QUEUE_PER_PERMIT: usize = 128;

/// Longest wait for a permit; a viewer has moved on by then.
const DEADLINE: Duration = Duration::from_secs(5);

/// A fixed number of permits and a bounded queue before them.
pub(crate) struct Admission {
    permits: Arc<Semaphore>,
    total: usize,
    waiting: AtomicUsize,
    queue_limit: usize,
    deadline: Duration,
}

impl Admission {
    pub(crate) fn new(permits: usize) -> Self {
        let total = permits.clamp(1, Semaphore::MAX_PERMITS);
        Self::with_limits(total, total.saturating_mul(QUEUE_PER_PERMIT), DEADLINE)
    }

    fn with_limits(total: usize, queue_limit: usize, deadline: Duration) -> Self {
        let permits = Arc::new(Semaphore::new(total));
        Self { permits, total, waiting: AtomicUsize::new(0), queue_limit, deadline }
    }

    /// Permits in use.
    pub(crate) fn in_flight(&self) -> usize {
        self.total - self.permits.available_permits()
    }

    /// A permit, at once or after waiting in turn.
    ///
    /// # Errors
    ///
    /// [`Error::Overloaded`] if the queue is full or the deadline passes.
    pub(crate) async fn enter(&self) -> Result<OwnedSemaphorePermit, Error> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        let place = Place::take(&self.waiting);
        if place.before >= self.queue_limit {
            return Err(Error::Overloaded);
        }
        match tokio::time::timeout(self.deadline, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_closed)) => Err(Error::WorkerLost("queue for permits")),
            Err(_elapsed) => Err(Error::Overloaded),
        }
    }
}

/// A place in the queue, given up however the wait ends.
struct Place<'a> {
    waiting: &'a AtomicUsize,
    before: usize,
}

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Self {
        Self { waiting, before: waiting.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let admission = Arc::new(Admission::with_limits(1, 1, Duration::from_secs(60)));
        let permit = admission.enter().await.expect("the only permit");
        assert_eq!(admission.in_flight(), 1);
        let queued = tokio::spawn({
            let admission = Arc::clone(&admission);
            async move { admission.enter().await.map(drop) }
        });
        while admission.waiting.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(admission.enter().await, Err(Error::Overloaded)));
        drop(permit);
        queued.await.expect("no panic").expect("the freed permit");
        assert_eq!((admission.in_flight(), admission.waiting.load(Ordering::Relaxed)), (0, 0));
    }

    #[tokio::test]
    async fn waiting_ends_at_the_deadline() {
        let admission = Admission::with_limits(1, 10, Duration::from_millis(10));
        let _permit = admission.enter().await.expect("the only permit");
        assert!(matches!(admission.enter().await, Err(Error::Overloaded)));
        assert_eq!(admission.waiting.load(Ordering::Relaxed), 0);
    }
}
