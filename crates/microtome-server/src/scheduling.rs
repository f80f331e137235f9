//! What the system's scheduler is told of threads.
//!
//! Not here: how many there are (`machine`).
#![allow(unsafe_code, reason = "a system call")]

/// Has the calling thread and those that it starts wait for a core rather than interrupt who has one: it runs when that
/// one sleeps or its time is over, some milliseconds later (sched(7), `SCHED_BATCH`). Where that cannot be had, nothing changes.
pub(crate) fn interrupt_nobody() {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: a structure of numbers, which may all be 0.
        let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
        parameters.sched_priority = 0;
        // SAFETY: the calling thread exists, and the parameters are only read.
        let refused =
            unsafe { libc::pthread_setschedparam(libc::pthread_self(), libc::SCHED_BATCH, &parameters) };
        if refused != 0 {
            tracing::debug!(refused, "threads that answer interrupt those that decode");
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Scheduling policy of the calling thread: proc(5), field 41 of `stat`, counted from the command's end.
    fn policy() -> String {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("proc is mounted");
        let (_, fields) = stat.rsplit_once(')').expect("a command");
        fields.split_whitespace().nth(38).expect("a policy").to_owned()
    }

    #[test]
    fn a_thread_is_told_to_interrupt_nobody() {
        let told = std::thread::spawn(|| {
            let before = policy();
            interrupt_nobody();
            [before, policy()]
        });
        assert_eq!(told.join().expect("no panic"), ["0", "3"]);
    }
}
