//! What was decoded last, for many threads. Not here: what it is, and how much of it memory may hold.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::Error;

/// A tile, or none as long as nobody has decoded it; whoever decodes it holds the lock.
type Slot<T> = Mutex<Option<Known<T>>>;

/// What came of decoding a tile.
enum Known<T> {
    Decoded(Arc<T>),
    /// Path, place, and what is wrong: it will be so the next time too.
    Malformed(String, String, String),
}

/// The tiles decoded last. A tile that several threads want at once is decoded once, and one that is malformed too.
pub(super) struct Cache<T> {
    slots: Mutex<Slots<T>>,
    /// Most slots, at least 1.
    capacity: usize,
}

struct Slots<T> {
    by_index: HashMap<usize, Arc<Slot<T>>>,
    oldest_first: VecDeque<usize>,
}

impl<T> Cache<T> {
    /// A cache of `capacity` tiles, but at least one.
    pub(super) fn new(capacity: usize) -> Self {
        let slots = Slots { by_index: HashMap::new(), oldest_first: VecDeque::new() };
        Self { slots: Mutex::new(slots), capacity: capacity.max(1) }
    }

    /// The slot of a tile, made if needed; the oldest slot makes room for it.
    fn slot(&self, index: usize) -> Arc<Slot<T>> {
        // A thread that panicked left the map whole: each of its changes is one call.
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.by_index.get(&index) {
            return Arc::clone(slot);
        }
        if slots.oldest_first.len() >= self.capacity
            && let Some(oldest) = slots.oldest_first.pop_front()
        {
            slots.by_index.remove(&oldest);
        }
        let slot = Arc::new(Slot::new(None));
        slots.by_index.insert(index, Arc::clone(&slot));
        slots.oldest_first.push_back(index);
        slot
    }

    /// A tile, from the cache or decoded now.
    pub(super) fn get(
        &self,
        index: usize,
        decode: impl FnOnce() -> Result<T, Error>,
    ) -> Result<Arc<T>, Error> {
        let slot = self.slot(index);
        let mut tile = slot.lock().unwrap_or_else(PoisonError::into_inner);
        match &*tile {
            Some(Known::Decoded(tile)) => return Ok(Arc::clone(tile)),
            Some(Known::Malformed(path, place, what)) => {
                let (path, place, what) = (path.clone(), place.clone(), what.clone());
                return Err(Error::Malformed { path, place, what });
            }
            None => {}
        }
        let decoded = decode().map(Arc::new);
        match &decoded {
            Ok(decoded) => *tile = Some(Known::Decoded(Arc::clone(decoded))),
            Err(Error::Malformed { path, place, what }) => {
                *tile = Some(Known::Malformed(path.clone(), place.clone(), what.clone()));
            }
            Err(_) => {}
        }
        decoded
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn the_oldest_tile_makes_room_and_of_failures_those_of_the_tile_are_kept() {
        let cache = Cache::new(2);
        let decoded = Cell::new(0);
        let get = |index| {
            let decode = || {
                decoded.set(decoded.get() + 1);
                Ok(index)
            };
            *cache.get(index, decode).expect("decodes")
        };
        assert_eq!([get(1), get(2), get(1), get(2)], [1, 2, 1, 2]);
        assert_eq!(decoded.get(), 2);
        assert_eq!([get(3), get(2), get(1)], [3, 2, 1]);
        assert_eq!(decoded.get(), 4, "1 made room for 3");
        assert!(cache.get(9, || Err(Error::Interrupted)).is_err());
        assert_eq!(get(9), 9);
        let malformed = || {
            decoded.set(decoded.get() + 1);
            let (path, place, what) = ("a".to_owned(), "b".to_owned(), "c".to_owned());
            Err(Error::Malformed { path, place, what })
        };
        for _ in 0..2 {
            assert_eq!(cache.get(10, malformed).expect_err("malformed").to_string(), "a: b: c");
        }
        assert_eq!(decoded.get(), 6);
    }
}
