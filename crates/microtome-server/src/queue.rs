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
//! than busy threads can make, as much is refused whatever the length of the queue, and it is cut to what keeps them busy: two
//! tiles a thread, more where requests come in bursts with nothing in between. Now and then it is not cut: a few who ask again at
//! once would be refused for ever, though there is room for all of them.

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
/// The least of them while the server is flooded: the next tile is at hand whenever a thread has made one.
const PER_THREAD_FLOODED: usize = 2;
/// More of them wait where threads are without one for more than this part of the time all the same: requests that come in bursts, from clients
/// that wait for a core, find room for few and then are none.
const IDLE: u64 = 8;
/// Longest rest of those who refuse, in a flood: tiles from the cache wait as long.
pub(crate) const REST: Duration = Duration::from_millis(2);
/// How long is counted what is asked for and what is made.
const COUNTED: Duration = Duration::from_millis(250);
/// A flooded queue is as long as one that stands, until it is full, once in so many times the tiles that are let in then: they wait
/// longer than others, and are to be far fewer than one in a hundred.
const PROBED: u64 = 600;
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
    /// How long threads were without a next tile since, in microseconds.
    idle_us: AtomicU64,
    /// Tiles that may wait for each thread in a flood.
    depth: AtomicUsize,
    /// Tiles decoded in a flood since that was tried out.
    unprobed: AtomicU64,
    /// Whether it is tried out what were if it was not.
    is_probing: AtomicBool,
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
            flow: Flow::new(),
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
            let empty = self.since(&self.empty_us, now);
            if empty > micros(STANDING) {
                self.refused_us.store(0, Ordering::Relaxed);
            }
            // Until then threads had the last ones to make. Where storage is what tiles wait for, no room in the queue helps.
            if self.at_storage() == 0 {
                let idle = empty.saturating_sub(self.decoding_us.load(Ordering::Relaxed));
                self.flow.idle_us.fetch_add(idle, Ordering::Relaxed);
            }
            self.is_empty(now);
        }
        place.is_of_burst = !self.stands(now);
        let limit = match (place.is_of_burst, is_flooded) {
            (true, _) => BURST,
            (false, false) => PER_THREAD * self.threads,
            (false, true) => self.flooded(),
        };
        if before < limit {
            return Some(place);
        }
        if !place.is_of_burst {
            self.refuses(now);
        }
        // There is no room for all, though they may be as many as if there was no flood.
        if !is_flooded && self.flow.is_probing.load(Ordering::Relaxed) {
            self.flow.is_probing.store(false, Ordering::Relaxed);
        }
        None
    }

    /// Whether a flood leaves no room for a tile, which is as good as to [`Self::enter`] in vain then. Where it says no, there may
    /// be no place all the same.
    pub(crate) fn refuses_at_once(&self, now: Instant) -> bool {
        let is_full = self.waiting() >= self.flooded();
        if !(is_full && self.is_flooded(now) && self.stands(now)) {
            return false;
        }
        self.flow.asked(micros(now - self.started), self.threads);
        self.refuses(now);
        true
    }

    /// Whether far more is asked for than can be made.
    pub(crate) fn is_flooded(&self, now: Instant) -> bool {
        // Where nothing is asked for any more, nobody counts.
        self.flow.is_flooded() && self.since(&self.flow.begun_us, now) < 2 * micros(COUNTED)
    }

    /// Tiles that may wait in a flood.
    fn flooded(&self) -> usize {
        self.flow.depth.load(Ordering::Relaxed) * self.threads
    }

    /// Has a thread that takes requests rest in a flood, until fewer than half as many tiles wait as may, and a decoding thread could
    /// be without a next one: what comes before would be refused, and interrupt those who decode each time. [`REST`] is long enough.
    pub(crate) fn rest(&self, now: Instant, most: Duration) {
        let is_needed = || self.waiting.load(Ordering::SeqCst) < self.flooded() / 2;
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
        if is_flooded {
            self.refuses(Instant::now());
        }
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
    fn new() -> Self {
        Self {
            begun_us: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            made: AtomicU64::new(0),
            busy_us: AtomicU64::new(0),
            idle_us: AtomicU64::new(0),
            is_flooded: AtomicBool::new(false),
            depth: AtomicUsize::new(PER_THREAD_FLOODED),
            unprobed: AtomicU64::new(0),
            is_probing: AtomicBool::new(false),
        }
    }

    /// Counts a tile that is asked for; says whether the server is flooded: a quarter more was asked for than made, more
    /// than a standing queue has room for, and the threads were busy at least half of the time, or were not for want of room. (Where
    /// storage is slow, what was asked for is made later, but the threads are idle.)
    fn asked(&self, now_us: u64, threads: usize) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let begun = self.begun_us.load(Ordering::Relaxed);
        let elapsed = now_us.saturating_sub(begun);
        // Only one of those who find that it is over begins anew.
        if elapsed >= micros(COUNTED)
            && self.begun_us.compare_exchange(begun, now_us, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            let counts = [&self.asked, &self.made, &self.busy_us, &self.idle_us];
            let [asked, made, busy, idle] = counts.map(|count| count.swap(0, Ordering::Relaxed));
            let threads = threads as u64;
            let is_surplus = asked > made + (made / 4).max(PER_THREAD as u64 * threads);
            let is_too_short = self.is_flooded() && idle > elapsed / IDLE;
            let is_flooded = is_surplus && (is_too_short || busy > elapsed.saturating_mul(threads) / 2);
            let depth = self.depth.load(Ordering::Relaxed);
            let depth = if is_too_short { 2 * depth } else { depth - depth.div_ceil(8) };
            self.depth.store(depth.clamp(PER_THREAD_FLOODED, PER_THREAD), Ordering::Relaxed);
            let unprobed = if is_flooded { self.unprobed.load(Ordering::Relaxed) + made } else { 0 };
            let is_due = unprobed >= PROBED * PER_THREAD as u64 * threads;
            self.unprobed.store(if is_due { 0 } else { unprobed }, Ordering::Relaxed);
            self.is_probing.store(is_due, Ordering::Relaxed);
            self.is_flooded.store(is_flooded, Ordering::Relaxed);
        }
        self.is_flooded()
    }

    fn is_flooded(&self) -> bool {
        self.is_flooded.load(Ordering::Relaxed) && !self.is_probing.load(Ordering::Relaxed)
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
        if before == self.queue.flooded() / 2 {
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
mod tests;
