//! How long the steps of some work take, for whoever wants to know; for others it costs a branch.

use std::time::{Duration, Instant};

/// Adds up times, of which `T` has one for each step; or does not.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stopwatch<T>(Option<T>);

impl<T: Default> Stopwatch<T> {
    /// A stopwatch at zero that `runs`, or one that never will.
    #[must_use]
    pub fn new(runs: bool) -> Self {
        Self(runs.then(T::default))
    }

    /// Runs `work` and adds its time to `step`.
    #[inline]
    pub fn time<R>(&mut self, step: fn(&mut T) -> &mut Duration, work: impl FnOnce() -> R) -> R {
        let Some(times) = &mut self.0 else { return work() };
        let begun = Instant::now();
        let result = work();
        *step(times) += begun.elapsed();
        result
    }

    /// The times so far, to be added to; `None` if it does not run.
    pub fn times(&mut self) -> Option<&mut T> {
        self.0.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_add_up_where_they_are_wanted() {
        let mut stopwatch = Stopwatch::<Duration>::new(true);
        for _ in 0..2 {
            stopwatch.time(|t| t, || std::thread::sleep(Duration::from_millis(2)));
        }
        assert!(stopwatch.times().is_some_and(|t| *t >= Duration::from_millis(4)));
        let mut stopped = Stopwatch::<Duration>::new(false);
        assert_eq!((stopped.time(|t| t, || 7), stopped.times()), (7, None));
    }
}
