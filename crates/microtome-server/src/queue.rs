//! How many tiles may wait to be made, and how long: all in a burst, few when more come than can be made.
//!
//! A viewer that opens asks for a screenful at once, and gets it. When the queue has not been empty for a while, a long
//! one would only make everybody wait, and what comes too late or has waited too long is refused at once. (Controlled delay: K. Nichols and V. Jacobson, "Controlling Queue Delay", ACM Queue 10(5), 2012.)
//! That goes on until nothing has had to be refused for a while, or nobody has waited for as long as it takes to tell a queue
//! that stands: a queue that is kept short is empty now and then, and if each such moment let in a burst, all would wait
//! for one burst after the other.
//!
//! Tiles that wait for storage are no part of it: no decoding thread could take them. They are counted apart, so that storage
//! that hangs keeps nobody from what is in memory.
//!
//! A queue may stand and not grow: viewers ask for the next tile when they have the last. Where far more is asked for
//! than busy threads can make, as much is refused whatever the length of the queue, and it is cut to what keeps them busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::rest::Rest;

/// Tiles that may wait in a burst: a screenful for each of twenty viewers.
const BURST: usize = 1024;
/// Tiles that may wait for storage.
const AT_STORAGE: usize = 1024;
/// Longest wait in a burst; a viewer has moved on by then.
const PATIENCE: Duration = Duration::from_secs(5);
/// A queue that has not been empty for so long is no burst: it stands.
const STANDING: Duration = Duration::from_millis(100);
/// Overload is over when nothing was refused for so long.
const RELIEF: Duration = Duration::from_secs(1);
/// Tiles that may wait for each decoding thread while the queue stands.
const PER_THREAD: usize = 32;
/// The same while the server is flooded: the next tile is at hand whenever a thread has made one.
const PER_THREAD_FLOODED: usize = 2;
/// Longest rest of those who refuse, in a flood: tiles from the cache wait as long.
pub(crate) const REST: Duration = Duration::from_millis(2);
/// How long is counted what is asked for and what is made.
const COUNTED: Duration = Duration::from_millis(250);
/// One in so many is how much the last decoding time counts.
const SMOOTHING: u64 = 16;

/// The tiles that wait, as a number.
pub(crate) struct Queue {
    waiting: AtomicUsize,
    at_storage: AtomicUsize,
    /// When the queue was empty last, in microseconds since `started`. (All methods are told what time it is.)
    empty_us: AtomicU64,
    /// When a tile was refused last because the queue stood, likewise; 0 for never.
    refused_us: AtomicU64,
    /// What a tile takes to decode, in microseconds.
    decoding_us: AtomicU64,
    flow: Flow,
    rest: Rest,
    started: Instant,
    threads: usize,
}

/// What is asked for and what is made, counted for [`COUNTED`] at a time.
#[derive(Default)]
struct Flow {
    /// When counting began, in microseconds since the queue's `started`.
    begun_us: AtomicU64,
    /// Tiles asked for since, those refused among them.
    asked: AtomicU64,
    /// Tiles decoded since.
    made: AtomicU64,
    /// What that took the threads, in microseconds.
    busy_us: AtomicU64,
    /// Whether far more was asked for than made the time before, by threads that had no time for more.
    is_flooded: AtomicBool,
}

/// A place in the queue or at storage, given up when it is dropped.
pub(crate) struct Place {
    queue: Arc<Queue>,
    is_at_storage: bool,
    since: Instant,
    /// Whether it was taken in a burst: then it may be held as long as the burst takes, though others find that the queue
    /// stands.
    is_of_burst: bool,
}

impl Queue {
    /// An empty queue before `threads` decoding threads.
    pub(crate) fn new(threads: usize, now: Instant) -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            at_storage: AtomicUsize::new(0),
            empty_us: AtomicU64::new(0),
            refused_us: AtomicU64::new(0),
            decoding_us: AtomicU64::new(0),
            flow: Flow::default(),
            rest: Rest::default(),
            started: now,
            threads: threads.max(1),
        }
    }

    /// Tiles that wait for a decoding thread.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Tiles that wait for storage.
    pub(crate) fn at_storage(&self) -> usize {
        self.at_storage.load(Ordering::Relaxed)
    }

    /// A place, unless the queue is full.
    pub(crate) fn enter(self: &Arc<Self>, now: Instant) -> Option<Place> {
        let is_flooded = self.flow.asked(micros(now - self.started), self.threads);
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        // From here on dropping it leaves the queue.
        let mut place =
            Place { queue: Arc::clone(self), is_at_storage: false, since: now, is_of_burst: false };
        if before == 0 {
            if self.since(&self.empty_us, now) > micros(STANDING) {
                self.refused_us.store(0, Ordering::Relaxed);
            }
            self.is_empty(now);
        }
        place.is_of_burst = !self.stands(now);
        let limit = match (place.is_of_burst, is_flooded) {
            (true, _) => BURST,
            (false, false) => PER_THREAD * self.threads,
            (false, true) => PER_THREAD_FLOODED * self.threads,
        };
        if before < limit {
            return Some(place);
        }
        if !place.is_of_burst {
            self.refuses(now);
        }
        None
    }

    /// Whether far more is asked for than can be made.
    pub(crate) fn is_flooded(&self, now: Instant) -> bool {
        // Where nothing is asked for any more, nobody counts.
        self.flow.is_flooded.load(Ordering::Relaxed)
            && self.since(&self.flow.begun_us, now) < 2 * micros(COUNTED)
    }

    /// Has a thread that takes requests rest in a flood, until a decoding thread could be without a next tile: what comes
    /// before would be refused, and interrupt those who decode each time. [`REST`] is long enough.
    pub(crate) fn rest(&self, now: Instant, most: Duration) {
        let is_needed = || self.waiting.load(Ordering::SeqCst) < self.threads;
        if self.is_flooded(now) && !is_needed() {
            self.rest.take(is_needed, most);
        }
    }

    /// Learns what a tile took to decode.
    pub(crate) fn decoded(&self, time: Duration) {
        let (old, new) = (self.decoding_us.load(Ordering::Relaxed), micros(time));
        // Threads may overwrite each other's lesson; the next one comes soon.
        self.decoding_us.store(old - old / SMOOTHING + new / SMOOTHING, Ordering::Relaxed);
        self.flow.made.fetch_add(1, Ordering::Relaxed);
        self.flow.busy_us.fetch_add(new, Ordering::Relaxed);
    }

    /// Tiles decoded since counting began.
    #[cfg(test)]
    pub(crate) fn made(&self) -> u64 {
        self.flow.made.load(Ordering::Relaxed)
    }

    /// Has it flooded from now on, or no longer.
    #[cfg(test)]
    pub(crate) fn flood(&self, is_flooded: bool) {
        self.flow.begun_us.store(micros(self.started.elapsed()), Ordering::Relaxed);
        self.flow.is_flooded.store(is_flooded, Ordering::Relaxed);
    }

    fn is_empty(&self, now: Instant) {
        self.empty_us.store(micros(now - self.started), Ordering::Relaxed);
    }

    fn refuses(&self, now: Instant) {
        self.refused_us.store(micros(now - self.started).max(1), Ordering::Relaxed);
    }

    /// Whether the queue has not been empty for a while, or that was so until lately.
    fn stands(&self, now: Instant) -> bool {
        let has_refused = self.refused_us.load(Ordering::Relaxed) > 0;
        self.since(&self.empty_us, now) > micros(STANDING)
            || has_refused && self.since(&self.refused_us, now) < micros(RELIEF)
    }

    /// Microseconds since a moment that is given in those since `started`.
    fn since(&self, then: &AtomicU64, now: Instant) -> u64 {
        micros(now - self.started).saturating_sub(then.load(Ordering::Relaxed))
    }
}

impl Flow {
    /// Counts a tile that is asked for; says whether the server is flooded: a quarter more was asked for than made, more
    /// than a standing queue has room for, and the threads were busy at least half of the time. (Where storage is slow,
    /// what was asked for is made later, but the threads are idle.)
    fn asked(&self, now_us: u64, threads: usize) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let begun = self.begun_us.load(Ordering::Relaxed);
        let elapsed = now_us.saturating_sub(begun);
        // Only one of those who find that it is over begins anew.
        if elapsed >= micros(COUNTED)
            && self.begun_us.compare_exchange(begun, now_us, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            let [asked, made, busy] =
                [&self.asked, &self.made, &self.busy_us].map(|count| count.swap(0, Ordering::Relaxed));
            let threads = threads as u64;
            let is_surplus = asked > made + (made / 4).max(PER_THREAD as u64 * threads);
            let is_flooded = is_surplus && busy > elapsed.saturating_mul(threads) / 2;
            self.is_flooded.store(is_flooded, Ordering::Relaxed);
        }
        self.is_flooded.load(Ordering::Relaxed)
    }
}

impl Place {
    /// Whether it was held so long, for whatever reason, that viewers have moved on.
    pub(crate) fn is_outdated(&self, now: Instant) -> bool {
        now - self.since > PATIENCE
    }

    /// Leaves the queue until storage has answered; whether that many may wait there.
    pub(crate) fn go_to_storage(&mut self) -> bool {
        self.leave();
        self.is_at_storage = true;
        self.queue.at_storage.fetch_add(1, Ordering::Relaxed) < AT_STORAGE
    }

    /// Begins the wait for a decoding thread, behind those who wait already: what went before was a wait for storage, which no
    /// refusal shortens.
    pub(crate) fn renew(&mut self, now: Instant) {
        self.leave();
        self.is_at_storage = false;
        self.since = now;
        if self.queue.waiting.fetch_add(1, Ordering::Relaxed) == 0 {
            self.queue.is_empty(now);
        }
    }

    fn leave(&self) {
        if self.is_at_storage {
            self.queue.at_storage.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let before = self.queue.waiting.fetch_sub(1, Ordering::SeqCst);
        if before == 1 {
            self.queue.is_empty(Instant::now());
        }
        if before == self.queue.threads {
            self.queue.rest.look();
        }
    }

    /// Whether it was held too long to be of use: then the answer is a refusal.
    pub(crate) fn is_late(&self, now: Instant) -> bool {
        let queue = &self.queue;
        if self.is_of_burst || !queue.stands(now) {
            return self.is_outdated(now);
        }
        let waited = now - self.since;
        // Twice as long as the last of a queue of its length waits.
        let fair = 2 * PER_THREAD as u64 * queue.decoding_us.load(Ordering::Relaxed);
        waited > Duration::from_micros(fair).max(STANDING / 10).min(PATIENCE)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(threads: usize) -> (Arc<Queue>, Instant) {
        let now = Instant::now();
        (Arc::new(Queue::new(threads, now)), now)
    }

    #[test]
    fn a_burst_is_taken_up_to_its_bound() {
        let (queue, now) = queue(2);
        let places: Vec<_> = std::iter::from_fn(|| queue.enter(now)).collect();
        assert_eq!((places.len(), queue.waiting()), (BURST, BURST));
        assert!(!places[0].is_late(now + STANDING) && places[0].is_late(now + 2 * PATIENCE));
        drop(places);
        assert_eq!(queue.waiting(), 0);
        assert!(queue.enter(now).is_some());
    }

    #[test]
    fn a_queue_that_stands_is_short_and_forgets_who_waited_long() {
        let (queue, now) = queue(2);
        let mut places: Vec<_> = (0..100).filter_map(|_| queue.enter(now)).collect();
        let later = now + 2 * STANDING;
        assert!(queue.enter(later).is_none(), "100 wait");
        assert!(!places.iter().any(|place| place.is_late(later)), "the burst that was taken is answered");
        places.truncate(10);
        let new = queue.enter(later).expect("room for 64");
        assert!(!new.is_late(later) && new.is_late(later + 2 * STANDING));
        drop((places, new));
        assert!(queue.stands(later + RELIEF / 2), "it is empty now and then, and yet more comes than goes");
        let relieved = later + 2 * RELIEF;
        let burst: Vec<_> = (0..100).filter_map(|_| queue.enter(relieved)).collect();
        assert_eq!(burst.len(), 100, "nothing was refused for a while");
    }

    #[test]
    fn a_flood_is_over_when_nobody_has_waited_for_a_while() {
        let (queue, start) = queue(2);
        let flood: Vec<_> = std::iter::from_fn(|| queue.enter(start)).collect();
        let mut now = start + 2 * STANDING;
        assert!(queue.enter(now).is_none());
        drop(flood);
        // Bursts soon after each other, each made long before the next one comes.
        for _ in 0..10 {
            now += RELIEF / 2;
            let burst: Vec<_> = (0..200).filter_map(|_| queue.enter(now)).collect();
            assert_eq!(burst.len(), 200);
            drop(burst);
            queue.is_empty(now + STANDING / 2);
        }
        // In a flood it is empty for a moment, and that changes nothing.
        let flood: Vec<_> = std::iter::from_fn(|| queue.enter(now)).collect();
        now += 2 * STANDING;
        assert!(queue.enter(now).is_none());
        drop(flood);
        queue.is_empty(now);
        let few: Vec<_> = (0..200).filter_map(|_| queue.enter(now + STANDING / 2)).collect();
        assert_eq!(few.len(), 2 * PER_THREAD);
    }

    #[test]
    fn slow_storage_is_no_long_queue() {
        let (queue, now) = queue(2);
        let _other = queue.enter(now).expect("an empty queue");
        let now = now + 2 * STANDING;
        let mut place = queue.enter(now).expect("room for 64");
        assert!(place.go_to_storage());
        assert_eq!((queue.waiting(), queue.at_storage()), (1, 1));
        let read = now + 2 * STANDING;
        assert!(queue.stands(read) && !place.is_outdated(read));
        place.renew(read);
        assert_eq!((queue.waiting(), queue.at_storage()), (2, 0));
        assert!(!place.is_late(read), "it did not wait for a decoding thread so far");
        assert!(place.is_late(read + 2 * STANDING) && place.is_outdated(read + 2 * PATIENCE));
        drop(place);
        assert_eq!((queue.waiting(), queue.at_storage()), (1, 0));
    }

    #[test]
    fn storage_that_hangs_keeps_no_place_in_the_queue() {
        let (queue, now) = queue(1);
        let mut places: Vec<_> = (0..AT_STORAGE).filter_map(|_| queue.enter(now)).collect();
        assert!(places.iter_mut().all(Place::go_to_storage));
        let mut next = queue.enter(now + 2 * STANDING).expect("nobody waits for a thread");
        assert!(!next.go_to_storage(), "as many wait for storage as may");
        drop((places, next));
        assert_eq!((queue.waiting(), queue.at_storage()), (0, 0));
    }

    /// Tiles that find room in a queue that stands, after a time in which so many were asked for and so many made by two
    /// threads, at so many milliseconds each.
    fn room_after(queue: &Arc<Queue>, (asked, made, each): (usize, usize, u64), now: Instant) -> usize {
        (0..asked).for_each(|_| drop(queue.enter(now)));
        (0..made).for_each(|_| queue.decoded(Duration::from_millis(each)));
        let now = now + COUNTED;
        let mut places = vec![queue.enter(now).expect("an empty queue")];
        queue.empty_us.store(0, Ordering::Relaxed);
        places.extend(std::iter::from_fn(|| queue.enter(now)));
        places.len()
    }

    #[test]
    fn a_flooded_queue_is_shorter_than_one_that_stands() {
        let (long, short) = (PER_THREAD * 2, PER_THREAD_FLOODED * 2);
        for (flow, expected, why) in [
            ((490, 480, 1), long, "what is asked for is made"),
            ((580, 480, 1), long, "a fifth more is asked for"),
            ((960, 480, 1), short, "twice as much is asked for"),
            ((960, 100, 1), long, "threads are idle, since storage is slow"),
            ((45, 5, 100), long, "tiles take long, but one screenful is no flood"),
            ((100, 5, 100), short, "several are"),
        ] {
            let (queue, now) = queue(2);
            assert_eq!(room_after(&queue, flow, now), expected, "{why}");
        }
    }

    #[test]
    fn a_flood_ends() {
        let (queue, now) = queue(2);
        assert_eq!(room_after(&queue, (960, 480, 1), now), PER_THREAD_FLOODED * 2);
        assert!(
            queue.is_flooded(now + 2 * COUNTED) && !queue.is_flooded(now + 4 * COUNTED),
            "nothing is asked for"
        );
        assert_eq!(room_after(&queue, (480, 480, 1), now + COUNTED), PER_THREAD * 2);
    }

    #[test]
    fn in_a_flood_those_who_refuse_rest_until_there_is_room() {
        const LONG: Duration = Duration::from_secs(600);
        let (queue, now) = queue(2);
        let mut places: Vec<_> = (0..3).filter_map(|_| queue.enter(now)).collect();
        queue.rest(now, LONG);
        queue.flood(true);
        let theirs = Arc::clone(&queue);
        let resting = std::thread::spawn(move || {
            theirs.rest(now, LONG);
            theirs.waiting()
        });
        assert!(!resting.is_finished(), "each thread has a next tile");
        while places.len() > 1 {
            std::thread::sleep(Duration::from_millis(5));
            places.pop();
        }
        assert!(resting.join().expect("no panic") < 2);
        queue.rest(now, LONG);
    }

    #[test]
    fn where_decoding_takes_long_waiting_may() {
        let (queue, now) = queue(1);
        (0..200).for_each(|_| queue.decoded(Duration::from_millis(10)));
        let _other = queue.enter(now).expect("an empty queue");
        let now = now + 2 * STANDING;
        let place = queue.enter(now).expect("room for 32");
        let later = now + 2 * STANDING;
        assert!(queue.stands(later) && !place.is_late(later), "less than 64 times 10 ms");
    }
}
