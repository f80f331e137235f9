use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// A question whose answer is how often it was asked, but for the times that it fails.
fn counting(is_bucket: bool, fails: fn(u64) -> Option<ErrorKind>) -> (Latest<u64>, Arc<AtomicU64>) {
    let place = if is_bucket { "s3://slides" } else { "." };
    let root = Arc::new(Root::new(place.as_ref()).expect("a root"));
    let asked = Arc::<AtomicU64>::default();
    let count = Arc::clone(&asked);
    let latest = Latest::new(root, "count", move |_root, last| {
        let times = count.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(last.is_none_or(|last| *last < times), "what was answered last is known");
        match fails(times) {
            Some(kind) => Err(Error::Unlistable { source: kind.into() }),
            None => Ok((times, Duration::from_secs(60))),
        }
    });
    (latest, asked)
}

#[tokio::test]
async fn a_good_answer_is_given_again_and_another_one_later() {
    let (latest, _asked) = counting(false, |_| None);
    assert_eq!((latest.get().await.ok(), latest.get().await.ok()), (Some(1), Some(1)));
    latest.outdate();
    assert_eq!((latest.get().await.ok(), latest.get().await.ok()), (Some(2), Some(2)));
}

#[tokio::test]
async fn out_of_reach_is_the_last_answer_and_a_refusal_is_none() {
    let (latest, asked) = counting(true, |times| match times {
        2 | 4 | 6 => Some(ErrorKind::TimedOut),
        5 => Some(ErrorKind::PermissionDenied),
        _ => None,
    });
    // After a refusal silence brings nothing back.
    for (expected, times) in
        [(Some(1), 1), (Some(1), 2), (Some(3), 3), (Some(3), 4), (None, 5), (None, 6), (Some(7), 7)]
    {
        latest.outdate();
        // A bucket is not asked again at once.
        for _ in 0..3 {
            assert_eq!((latest.get().await.ok(), asked.load(Ordering::Relaxed)), (expected, times));
        }
    }
}

#[tokio::test]
async fn of_a_folder_a_failure_is_not_kept_and_without_an_answer_it_is_told() {
    let (latest, asked) = counting(false, |times| (times < 3).then_some(ErrorKind::TimedOut));
    assert!(latest.get().await.is_err() && latest.get().await.is_err());
    assert_eq!((latest.get().await.ok(), asked.load(Ordering::Relaxed)), (Some(3), 3));
}

#[test]
fn what_is_asked_is_waited_for_and_not_asked_again_where_the_client_has_gone() {
    let (latest, asked) = counting(false, |_| None);
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.max_blocking_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (busy, free) = std::sync::mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || free.recv());
        let gone = tokio::time::timeout(Duration::from_millis(10), latest.get()).await;
        assert!(gone.is_err(), "all threads are busy");
        assert!(latest.asking.try_lock().is_err(), "its question is still to come");
        drop(busy);
        assert_eq!((latest.get().await.ok(), asked.load(Ordering::Relaxed)), (Some(1), 1));
    });
}

#[tokio::test(start_paused = true)]
async fn while_storage_hangs_the_last_answer_is_given_out() {
    let (latest, _asked) = counting(false, |_| None);
    let hanging = Arc::clone(&latest.asking).lock_owned().await;
    let begun = tokio::time::Instant::now();
    let none = latest.get().await.expect_err("nobody answers");
    assert!(none.to_string() == Error::Overloaded.to_string() && begun.elapsed() >= LONGEST_WAIT, "{none}");
    drop(hanging);
    assert_eq!(latest.get().await.ok(), Some(1));
    let _hanging = Arc::clone(&latest.asking).lock_owned().await;
    latest.outdate();
    let begun = tokio::time::Instant::now();
    assert_eq!(latest.get().await.ok(), Some(1));
    assert!(begun.elapsed() >= WAIT_FOR_NEWER && begun.elapsed() < LONGEST_WAIT);
    // Who comes when others have waited so long does not wait.
    *latest.begun.write().expect("a beginning") = Instant::now().checked_sub(WAIT_FOR_NEWER * 2);
    let begun = tokio::time::Instant::now();
    assert!(latest.get().await.is_ok() && begun.elapsed().is_zero());
}
