//! What storage says of the root as a whole: asked by one at a time, kept for a while, and given once more while storage is out of
//! reach. Not here: what is asked.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::error::{Error, Failure};
use crate::root::Root;

/// Longest wait for the first answer.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// Longest wait for a newer one than the last: one file that hangs holds up a walk, and not who asks for others.
const WAIT_FOR_NEWER: Duration = Duration::from_secs(2);

/// Asks, knowing the last answer; says how long the new one is good. It blocks.
type Ask<T> = dyn Fn(&Root, Option<&T>) -> Result<(T, Duration), Error> + Send + Sync;

/// A question with its last answer.
pub(crate) struct Latest<T> {
    root: Arc<Root>,
    /// What is asked for, for the log.
    what: &'static str,
    ask: Arc<Ask<T>>,
    known: Arc<RwLock<Known<T>>>,
    asking: Arc<Mutex<()>>,
    /// When it was asked last.
    begun: RwLock<Option<Instant>>,
}

/// What came of asking.
struct Known<T> {
    answer: Option<T>,
    /// Whether storage has refused since, which is a word of its own: then the answer is given no more.
    is_refused: bool,
    good_until: Option<Instant>,
    /// What it failed with the last time, if it did.
    failure: Option<Failure>,
}

impl<T: Clone> Known<T> {
    /// What is to be said without asking again, if anything is.
    fn outcome(&self, now: Instant) -> Option<Result<T, Failure>> {
        self.good_until.filter(|until| *until > now)?;
        match (self.last(), &self.failure) {
            (Some(last), _) => Some(Ok(last)),
            (None, failure) => failure.clone().map(Err),
        }
    }

    /// The answer that may be given while there is no newer one.
    fn last(&self) -> Option<T> {
        self.answer.clone().filter(|_| !self.is_refused)
    }
}

impl<T: Clone + Send + Sync + 'static> Latest<T> {
    /// Nothing is asked yet.
    pub(crate) fn new(
        root: Arc<Root>,
        what: &'static str,
        ask: impl Fn(&Root, Option<&T>) -> Result<(T, Duration), Error> + Send + Sync + 'static,
    ) -> Self {
        let known = Known { answer: None, is_refused: false, good_until: None, failure: None };
        let (ask, known) = (Arc::new(ask), Arc::new(RwLock::new(known)));
        Self { root, what, ask, known, asking: Arc::default(), begun: RwLock::default() }
    }

    /// The last answer while it is good, else a new one; or an older one while storage hangs or is out of reach, but not once it has
    /// refused. Who comes while it is
    /// asked waits for that, even if who began it has gone.
    pub(crate) async fn get(&self) -> Result<T, Failure> {
        let (outcome, last) = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            (known.outcome(Instant::now()), known.last())
        };
        if let Some(outcome) = outcome {
            return outcome;
        }
        let Some(last) = last else {
            let asked = tokio::time::timeout(LONGEST_WAIT, self.asked()).await;
            return asked.unwrap_or_else(|_elapsed| Err(Error::Overloaded.into()));
        };
        // Somebody has waited that long already.
        if self.is_overdue() {
            return Ok(last);
        }
        tokio::time::timeout(WAIT_FOR_NEWER, self.asked()).await.unwrap_or(Ok(last))
    }

    /// Whether an answer takes longer than anybody waits for it.
    fn is_overdue(&self) -> bool {
        let begun = self.begun.read().unwrap_or_else(PoisonError::into_inner);
        begun.is_some_and(|begun| begun.elapsed() > WAIT_FOR_NEWER) && self.asking.try_lock().is_err()
    }

    /// Asks, unless somebody just did.
    async fn asked(&self) -> Result<T, Failure> {
        let asking = Arc::clone(&self.asking).lock_owned().await;
        let (root, ask, known) = (Arc::clone(&self.root), Arc::clone(&self.ask), Arc::clone(&self.known));
        let last = {
            let known = known.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(outcome) = known.outcome(Instant::now()) {
                return outcome;
            }
            known.answer.clone()
        };
        *self.begun.write().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        let what = self.what;
        let asked = tokio::task::spawn_blocking(move || {
            // Until it ends, also where nobody waits for it any more.
            let _asking = asking;
            let answered = ask(&root, last.as_ref());
            let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
            match answered {
                Ok((answer, good_for)) => {
                    let good_until = Some(Instant::now() + good_for);
                    *known =
                        Known { answer: Some(answer.clone()), is_refused: false, good_until, failure: None };
                    Ok(answer)
                }
                Err(error) => {
                    let failure = Failure::from(error);
                    known.is_refused |= !failure.is_out_of_reach();
                    known.good_until = Some(Instant::now() + root.failures_good_for());
                    known.failure = Some(failure.clone());
                    let last = known.last();
                    if last.is_some() {
                        tracing::warn!(error = %failure, "the last {what} is given once more");
                    }
                    last.ok_or(failure)
                }
            }
        });
        asked.await.unwrap_or_else(|_lost| Err(Error::WorkerLost(what).into()))
    }

    /// Lets the last answer be good no longer.
    #[cfg(test)]
    pub(crate) fn outdate(&self) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).good_until = None;
    }
}

#[cfg(test)]
mod tests;
