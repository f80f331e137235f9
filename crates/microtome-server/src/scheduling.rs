//! What the system's scheduler is told of threads.
//!
//! Not here: how many there are (`machine`).

use std::cell::Cell;

thread_local! {
    static IS_PATIENT: Cell<bool> = const { Cell::new(false) };
}

/// Begins a thread: one that a patient thread has started has its scheduling, but not its reasons.
pub(crate) fn begin() {
    #[cfg(target_os = "linux")]
    policy::set(false);
}

/// Says whether the calling thread, when it wakes, waits until whoever has its core sleeps or has had its turn, some
/// milliseconds at most (sched(7), `SCHED_BATCH`). If not, it may interrupt others, as threads do. Where the system does not know
/// that, or whoever started the process has chosen otherwise, nothing changes.
pub(crate) fn wait_for_a_core(is_patient: bool) {
    if IS_PATIENT.replace(is_patient) != is_patient {
        #[cfg(target_os = "linux")]
        policy::set(is_patient);
    }
}

#[cfg(target_os = "linux")]
mod policy {
    #![allow(unsafe_code, reason = "system calls")]

    use std::sync::OnceLock;

    use libc::{SCHED_BATCH, SCHED_OTHER, c_int, sched_param};

    /// Whether the first thread that asked had the usual policy; where it has another, that is not ours to change.
    static IS_OURS: OnceLock<bool> = OnceLock::new();

    /// Sets the calling thread's policy.
    pub(super) fn set(is_patient: bool) {
        if !IS_OURS.get_or_init(|| policy() == Some(SCHED_OTHER)) {
            return;
        }
        let policy = if is_patient { SCHED_BATCH } else { SCHED_OTHER };
        // SAFETY: a structure of numbers, which may all be 0.
        let parameters: sched_param = unsafe { std::mem::zeroed() };
        // SAFETY: the calling thread exists, and the parameters are only read.
        let refused = unsafe { libc::pthread_setschedparam(libc::pthread_self(), policy, &parameters) };
        if refused != 0 {
            tracing::debug!(refused, policy, "the scheduling of a thread stays as it was");
        }
    }

    fn policy() -> Option<c_int> {
        let mut policy = 0;
        // SAFETY: a structure of numbers, which may all be 0.
        let mut parameters: sched_param = unsafe { std::mem::zeroed() };
        // SAFETY: the calling thread exists; both places are valid, and written only.
        let refused =
            unsafe { libc::pthread_getschedparam(libc::pthread_self(), &mut policy, &mut parameters) };
        (refused == 0).then_some(policy)
    }
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::print_stderr, reason = "says what was not tested")]
pub(crate) mod tests {
    use super::*;

    /// Scheduling policy of the calling thread (0 for usual, 3 for batch): proc(5), field 41 of `stat`.
    pub(crate) fn policy() -> String {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("proc is mounted");
        // The command may hold blanks; the third field follows it.
        let (_, fields) = stat.rsplit_once(')').expect("a command");
        fields.split_whitespace().nth(41 - 3).expect("a policy").to_owned()
    }

    /// Whether threads here have the usual policy, as they do unless whoever runs the tests has chosen another.
    pub(crate) fn is_usual() -> bool {
        let is_usual = policy() == "0";
        if !is_usual {
            eprintln!("skipped: the tests run with a scheduling policy of their own");
        }
        is_usual
    }

    #[test]
    fn a_thread_is_patient_for_as_long_as_it_is_told_to_be() {
        if !is_usual() {
            return;
        }
        let told = std::thread::spawn(|| {
            [false, true, true, false].map(|is_patient| {
                wait_for_a_core(is_patient);
                policy()
            })
        });
        assert_eq!(told.join().expect("no panic"), ["0", "3", "3", "0"]);
        let started = std::thread::spawn(|| {
            wait_for_a_core(true);
            let begun = || [policy(), (begin(), policy()).1];
            std::thread::spawn(begun).join().expect("no panic")
        });
        assert_eq!(started.join().expect("no panic"), ["3", "0"]);
    }
}
