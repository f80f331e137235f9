//! Who makes a tile and who waits for it: one makes it, however many ask.
//!
//! A *flight* is open from the first who asks until it lands. Whoever opened it has the tile made, puts it into the
//! cache, and then lands the flight; whoever comes after that finds the tile in the cache. The opener looks there once
//! more before it begins, since another flight may have landed between its first look and its boarding: so a tile is
//! made once. `tests/flights.rs` tries every order of these steps.
//!
//! Not here: the cache, the making, threads.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::PoisonError;

use super::primitives::{Mutex, MutexGuard};

/// Flights by what they bring, each with those who wait for it.
pub(crate) struct Flights<K, W> {
    open: Mutex<HashMap<K, Vec<W>>>,
}

impl<K: Eq + Hash, W> Flights<K, W> {
    pub(crate) fn new() -> Self {
        Self { open: Mutex::new(HashMap::new()) }
    }

    /// Waits for `key`, with a flight that is open already or with a new one. Whether it is new: then the caller has to
    /// see to it that it lands.
    pub(crate) fn board(&self, key: K, waiter: W) -> bool {
        match self.lock().entry(key) {
            Entry::Occupied(mut flight) => {
                flight.get_mut().push(waiter);
                false
            }
            Entry::Vacant(place) => {
                place.insert(vec![waiter]);
                true
            }
        }
    }

    /// Opens a flight for which nobody waits yet, unless there is one.
    pub(crate) fn open(&self, key: K) -> bool {
        match self.lock().entry(key) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(vec![]);
                true
            }
        }
    }

    /// Whether there is a flight.
    pub(crate) fn is_open(&self, key: &K) -> bool {
        self.lock().contains_key(key)
    }

    /// Whether anybody still waits for a flight. If all are `gone` it is over, and who comes then opens a new one.
    pub(crate) fn is_awaited(&self, key: &K, gone: impl Fn(&W) -> bool) -> bool {
        let mut open = self.lock();
        let awaited = open.get(key).is_some_and(|waiters| !waiters.iter().all(gone));
        if !awaited {
            open.remove(key);
        }
        awaited
    }

    /// Ends a flight; returns those who waited for it.
    pub(crate) fn land(&self, key: &K) -> Vec<W> {
        self.lock().remove(key).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Vec<W>>> {
        // Nothing in here panics between two changes that belong together.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
