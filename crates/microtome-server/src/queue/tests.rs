//! How long queues may get, and when they stand, flood and recover, by clocks of the tests' own.

use super::*;

impl Queue {
    /// Says when the queue became empty, which it knows by the real clock.
    fn is_empty_at(&self, now: Instant, is_empty: bool) {
        if is_empty {
            self.is_empty(now);
        }
    }
}

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
fn a_flood_is_refused_at_once_and_counts() {
    let (queue, now) = queue(2);
    let mut places: Vec<_> = (0..PER_THREAD_FLOODED * 2).filter_map(|_| queue.enter(now)).collect();
    assert!(!queue.refuses_at_once(now), "it may be a burst");
    queue.flood(true);
    let asked = || queue.flow.asked.load(Ordering::Relaxed);
    let before = asked();
    assert!(queue.refuses_at_once(now) && asked() == before + 1);
    assert!(queue.enter(now).is_none());
    places.pop();
    assert!(!queue.refuses_at_once(now) && queue.enter(now).is_some(), "there is room");
    places.extend(queue.enter(now));
    // Nobody but those who are refused at once: the flood goes on, and the queue stands, as long as they come.
    for ms in (0..4000).step_by(10) {
        let now = now + Duration::from_millis(ms);
        queue.is_empty(now);
        (0..20).for_each(|_| assert!(queue.refuses_at_once(now), "after {ms} ms"));
        (0..8).for_each(|_| queue.decoded(Duration::from_millis(3)));
    }
    queue.flood(false);
    assert!(!queue.refuses_at_once(now), "no flood any more");
}

/// Lets clients ask two threads that take 0.2 ms a tile, those who were refused again after 0.1 ms: twenty of them at most, so
/// that there is more asked for than made by far. Gives the longest queue of each quarter second.
fn longest_queues(clients: impl Fn(Duration) -> usize, time: Duration) -> Vec<usize> {
    const STEP: Duration = Duration::from_micros(100);
    let (queue, start) = queue(2);
    let mut places = std::collections::VecDeque::new();
    let mut longest = vec![];
    for step in 0..u32::try_from(time.as_micros() / STEP.as_micros()).expect("seconds") {
        let now = start + STEP * step;
        for ask in 0..20 {
            // Whoever finds room may be any of them.
            if ask == step % 20 && places.pop_front().is_some() {
                queue.decoded(2 * STEP);
                queue.is_empty_at(now, places.is_empty());
            }
            if places.len() < clients(now - start) && !queue.refuses_at_once(now) {
                places.extend(queue.enter(now));
            }
        }
        match longest.last_mut() {
            Some(longest) if step % 2500 > 0 => *longest = places.len().max(*longest),
            _ => longest.push(places.len()),
        }
    }
    longest
}

/// Has a thread that takes 0.2 ms a tile asked for four times as much for some seconds, in bursts so far apart. Gives the tiles made in the last
/// second, of 5,000, and how many may wait.
fn flooded_in_bursts(apart: u32) -> (usize, usize) {
    const STEP: Duration = Duration::from_micros(100);
    let (queue, start) = queue(1);
    let mut places = std::collections::VecDeque::new();
    let mut made = 0;
    for step in 0..50_000 {
        let now = start + STEP * step;
        if step % 2 == 0 && places.pop_front().is_some() {
            queue.decoded(2 * STEP);
            queue.is_empty_at(now, places.is_empty());
            made += usize::from(step >= 40_000);
        }
        let asked = if step % apart == 0 { 2 * apart } else { 0 };
        for _ in 0..asked {
            if !queue.refuses_at_once(now) {
                places.extend(queue.enter(now));
            }
        }
    }
    (made, queue.flooded())
}

#[test]
fn a_flood_that_comes_in_bursts_keeps_threads_busy_all_the_same() {
    assert_eq!(flooded_in_bursts(1), (5000, PER_THREAD_FLOODED));
    assert_eq!(flooded_in_bursts(4), (5000, PER_THREAD_FLOODED));
    for apart in [20, 60] {
        let (made, most) = flooded_in_bursts(apart);
        assert!(made > 4300, "{apart}: {made}");
        assert!((PER_THREAD_FLOODED + 1..=PER_THREAD).contains(&most), "{apart}: {most}");
    }
}

#[test]
fn a_flood_is_probed_seldom_and_not_for_long() {
    let longest = longest_queues(|_| 1000, Duration::from_secs(30));
    let (_until_it_is_known, rest) = longest.split_at(8);
    let probed = rest.iter().filter(|&&longest| longest > PER_THREAD_FLOODED * 2).count();
    assert!((3..=9).contains(&probed), "{longest:?}");
    assert!(rest.iter().all(|&longest| longest <= PER_THREAD * 2), "{longest:?}");
}

#[test]
fn a_few_who_ask_again_at_once_are_no_flood_for_ever() {
    const FLOOD: Duration = Duration::from_secs(3);
    let clients = |time| if time < FLOOD { 1000 } else { 40 };
    let longest = longest_queues(clients, 5 * FLOOD);
    assert!(longest[8..12].contains(&(PER_THREAD_FLOODED * 2)), "{longest:?}");
    assert!(longest[44..].iter().all(|&longest| longest == 40), "there is room for all: {longest:?}");
}

#[test]
fn a_probe_that_begins_with_a_refusal_is_not_ended_by_it() {
    let (queue, now) = queue(2);
    let _places: Vec<_> = (0..PER_THREAD_FLOODED * 2).filter_map(|_| queue.enter(now)).collect();
    queue.flood(true);
    let probed = (0..100_000).step_by(10).any(|ms| {
        let now = now + Duration::from_millis(ms);
        (0..8).for_each(|_| queue.decoded(Duration::from_millis(3)));
        (0..20).any(|_| !queue.refuses_at_once(now))
    });
    assert!(probed, "nobody but those who are refused at once");
}

#[test]
fn where_tiles_take_long_probes_are_as_few_of_them() {
    let (queue, start) = queue(1);
    queue.flood(true);
    let (mut made, mut probes, mut was_probing) = (0, 0, false);
    for step in 0..100_000 {
        let now = start + Duration::from_millis(10) * step;
        queue.decoded(Duration::from_millis(10));
        made += 1;
        (0..4).for_each(|_| _ = queue.flow.asked(micros(now - start), 1));
        let is_probing = queue.flow.is_probing.load(Ordering::Relaxed);
        probes += u64::from(is_probing && !was_probing);
        was_probing = is_probing;
    }
    assert!(probes > 0 && probes * PER_THREAD as u64 * PROBED * 4 / 5 < made, "{probes} for {made} tiles");
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
