//! A rest for threads that would have nothing to do but refuse, until there is something better.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Where threads rest.
#[derive(Default)]
pub(crate) struct Rest {
    resting: AtomicUsize,
    lock: Mutex<()>,
    over: Condvar,
}

impl Rest {
    /// Has the calling thread rest until `is_over` says so, which it is asked at each [`Self::look`]; at most so long.
    pub(crate) fn take(&self, is_over: impl Fn() -> bool, most: Duration) {
        self.resting.fetch_add(1, SeqCst);
        // Nothing is behind the lock that a panic could leave in disorder.
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.over.wait_timeout_while(lock, most, |()| !is_over()));
        self.resting.fetch_sub(1, SeqCst);
    }

    /// Has those who rest look whether it is over.
    pub(crate) fn look(&self) {
        if self.resting.load(SeqCst) > 0 {
            // Whoever has found that it is not over waits by the time the lock is free.
            drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner));
            self.over.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;

    /// Longer than a test may take.
    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn no_end_of_a_rest_is_missed() {
        for _ in 0..500 {
            let (rest, is_over) = (Arc::new(Rest::default()), Arc::new(AtomicBool::new(false)));
            let (theirs, told) = (Arc::clone(&rest), Arc::clone(&is_over));
            let resting = std::thread::spawn(move || theirs.take(|| told.load(SeqCst), LONG));
            is_over.store(true, SeqCst);
            rest.look();
            resting.join().expect("no panic");
            assert_eq!(rest.resting.load(SeqCst), 0);
        }
    }

    #[test]
    fn a_rest_that_nobody_ends_ends() {
        Rest::default().take(|| false, Duration::from_millis(1));
    }
}
