//! Every order in which requests for one tile can run: it is made once, everybody gets it, and who goes away or fails
//! strands nobody.
//!
//! The kernel is compiled here once more, on the primitives of loom, which runs a model through all interleavings.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod primitives {
    pub(crate) use loom::sync::{Mutex, MutexGuard};
}

#[path = "../src/flights.rs"]
#[allow(dead_code, unreachable_pub, reason = "a model uses a part")]
mod flights;

use flights::Flights;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

/// One who waits: what it gets goes here.
type Waiter = Arc<Mutex<Answer>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Waiting,
    Gone,
    Tile,
    Failure,
}

struct Server {
    cache: Mutex<bool>,
    flights: Flights<u8, Waiter>,
    made: AtomicUsize,
    /// Whether making fails.
    fails: bool,
}

impl Server {
    fn new(fails: bool) -> Arc<Self> {
        let (cache, flights, made) = (Mutex::new(false), Flights::new(), AtomicUsize::new(0));
        Arc::new(Self { cache, flights, made, fails })
    }

    /// A request, as `pipeline` answers it: the leader makes the tile in its own thread.
    fn ask(&self, waiter: &Waiter) {
        if *self.cache.lock().unwrap() {
            *waiter.lock().unwrap() = Answer::Tile;
            return;
        }
        if !self.flights.board(1, Arc::clone(waiter)) {
            return;
        }
        self.lead();
    }

    fn lead(&self) {
        if *self.cache.lock().unwrap() {
            return self.land(Answer::Tile);
        }
        if !self.flights.is_awaited(&1, |waiter| *waiter.lock().unwrap() == Answer::Gone) {
            return;
        }
        self.made.fetch_add(1, Ordering::SeqCst);
        if self.fails {
            return self.land(Answer::Failure);
        }
        *self.cache.lock().unwrap() = true;
        self.land(Answer::Tile);
    }

    fn land(&self, answer: Answer) {
        for waiter in self.flights.land(&1) {
            let mut waiter = waiter.lock().unwrap();
            if *waiter == Answer::Waiting {
                *waiter = answer;
            }
        }
    }
}

/// Runs a model in every order with at most three switches away from a thread that could go on: few bugs need more
/// (M. Musuvathi and S. Qadeer, "Iterative context bounding", PLDI 2007), in seconds.
fn in_every_order(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn ask_in_a_thread(server: &Arc<Server>, waiter: &Waiter) -> thread::JoinHandle<()> {
    let (server, waiter) = (Arc::clone(server), Arc::clone(waiter));
    thread::spawn(move || server.ask(&waiter))
}

fn waiter() -> Waiter {
    Arc::new(Mutex::new(Answer::Waiting))
}

fn answer(waiter: &Waiter) -> Answer {
    *waiter.lock().unwrap()
}

#[test]
fn a_tile_is_made_once_and_all_get_it() {
    in_every_order(|| {
        let server = Server::new(false);
        let waiters = [waiter(), waiter(), waiter()];
        let others = [0, 1].map(|i| ask_in_a_thread(&server, &waiters[i]));
        server.ask(&waiters[2]);
        others.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(waiters.iter().all(|waiter| answer(waiter) == Answer::Tile));
        assert_eq!(server.made.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_failure_reaches_all_who_wait_and_nobody_else() {
    in_every_order(|| {
        let server = Server::new(true);
        let waiters = [waiter(), waiter()];
        let other = ask_in_a_thread(&server, &waiters[0]);
        server.ask(&waiters[1]);
        other.join().unwrap();
        assert!(waiters.iter().all(|waiter| answer(waiter) == Answer::Failure));
        assert!((1..=2).contains(&server.made.load(Ordering::SeqCst)));
        assert!(server.flights.open(1), "no flight is left");
    });
}

#[test]
fn who_stays_gets_the_tile_though_the_leader_goes_away() {
    in_every_order(|| {
        let server = Server::new(false);
        let waiters = [waiter(), waiter()];
        let leader = ask_in_a_thread(&server, &waiters[0]);
        let leaves = {
            let waiter = Arc::clone(&waiters[0]);
            thread::spawn(move || {
                let mut answer = waiter.lock().unwrap();
                if *answer == Answer::Waiting {
                    *answer = Answer::Gone;
                }
            })
        };
        server.ask(&waiters[1]);
        leader.join().unwrap();
        leaves.join().unwrap();
        assert_eq!(answer(&waiters[1]), Answer::Tile);
        assert_eq!(server.made.load(Ordering::SeqCst), 1);
        assert!(server.flights.open(1), "no flight is left");
    });
}

#[test]
fn work_that_nobody_waits_for_is_not_begun() {
    in_every_order(|| {
        let server = Server::new(false);
        let gone = waiter();
        *gone.lock().unwrap() = Answer::Gone;
        ask_in_a_thread(&server, &gone).join().unwrap();
        assert_eq!(server.made.load(Ordering::SeqCst), 0);
        let late = waiter();
        server.ask(&late);
        assert_eq!(answer(&late), Answer::Tile);
    });
}
