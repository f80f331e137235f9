//! How many failures of ours get a line in the log: a viewer on a damaged slide meets a thousand of them, which say the same, and
//! a log that fills a disk helps nobody. The metrics count them all.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines in a second.
const A_SECOND: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);

/// The lines of the second that is running.
#[derive(Debug)]
pub(crate) struct ErrorLines(Mutex<Counts>);

#[derive(Debug)]
struct Counts {
    begun: Instant,
    lines: u32,
    /// Failures without a line since the last line.
    left_out: u64,
}

impl ErrorLines {
    pub(crate) fn new(now: Instant) -> Self {
        Self(Mutex::new(Counts { begun: now, lines: 0, left_out: 0 }))
    }

    /// Whether there is a line for one more failure; and then, how many before it had none.
    pub(crate) fn next(&self, now: Instant) -> Option<u64> {
        // Three numbers that are good in any state.
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(counts.begun) >= SECOND {
            (counts.begun, counts.lines) = (now, 0);
        }
        if counts.lines == A_SECOND {
            counts.left_out += 1;
            return None;
        }
        counts.lines += 1;
        Some(std::mem::take(&mut counts.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_failures_has_few_lines_and_the_next_one_says_how_many_had_none() {
        let start = Instant::now();
        let lines = ErrorLines::new(start);
        let many: Vec<_> = (0..1000).filter_map(|_| lines.next(start)).collect();
        assert_eq!(many, [0; A_SECOND as usize]);
        assert_eq!(lines.next(start + SECOND), Some(990));
        assert_eq!(lines.next(start + SECOND), Some(0));
    }
}
