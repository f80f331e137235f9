//! What the system's scheduler is told of threads.
//!
//! Not here: how many there are (`machine`).

use std::cell::Cell;

thread_local! {
    static IS_PATIENT: Cell<bool> = const { Cell::new(false) };
}

/// Says whether the calling thread, when it wakes, waits until whoever has its core sleeps or has had its turn, some
/// milliseconds at most (sched(7), `SCHED_BATCH`). If not, it may interrupt others, as threads do. Where the system does not know
/// that, nothing changes.
pub(crate) fn wait_for_a_core(is_patient: bool) {
    if IS_PATIENT.replace(is_patient) != is_patient {
        #[cfg(target_os = "linux")]
        policy::set(is_patient);
    }
}

#[cfg(target_os = "linux")]
mod policy {
    #![allow(unsafe_code, reason = "a system call")]

    /// Sets the calling thread's policy.
    pub(super) fn set(is_patient: bool) {
        let policy = if is_patient { libc::SCHED_BATCH } else { libc::SCHED_OTHER };
        // SAFETY: a structure of numbers, which may all be 0.
        let parameters: libc::sched_param = unsafe { std::mem::zeroed() };
        // SAFETY: the calling thread exists, and the parameters are only read.
        let refused = unsafe { libc::pthread_setschedparam(libc::pthread_self(), policy, &parameters) };
        if refused != 0 {
            tracing::debug!(refused, policy, "the scheduling of a thread stays as it was");
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
pub(crate) mod tests {
    use super::*;

    /// Scheduling policy of the calling thread (0 for usual, 3 for batch): proc(5), field 41 of `stat`.
    pub(crate) fn policy() -> String {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("proc is mounted");
        // The command may hold blanks; the third field follows it.
        let (_, fields) = stat.rsplit_once(')').expect("a command");
        fields.split_whitespace().nth(41 - 3).expect("a policy").to_owned()
    }

    #[test]
    fn a_thread_is_patient_for_as_long_as_it_is_told_to_be() {
        let told = std::thread::spawn(|| {
            [false, true, true, false].map(|is_patient| {
                wait_for_a_core(is_patient);
                policy()
            })
        });
        assert_eq!(told.join().expect("no panic"), ["0", "3", "3", "0"]);
    }
}
