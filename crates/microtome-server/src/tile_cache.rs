//! Tiles that were made lately, bounded in number and in bytes.
//!
//! The cache has one capacity. It is in bytes here, and no tile weighs less than capacity / entries: so neither bound can
//! be passed, and small tiles reach the number of entries before the bytes. Reading takes no lock that another reader
//! holds against it, and gives the very bytes that go to the socket.
//!
//! Not here: how a tile is made, and by whom.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use microtome_slide::TileId;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};

/// A tile of a slide as it was opened once: a replaced file has other keys, and so has another file that claims the
/// same content id, which is not checked at opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TileKey {
    /// Number of the opening, [`OpenSlide::instance`](crate::catalog::OpenSlide::instance).
    pub(crate) instance: u64,
    pub(crate) tile: TileId,
}

/// The cache.
pub(crate) struct TileCache {
    tiles: Cache<TileKey, Bytes, Weight, DefaultHashBuilder, Evictions>,
    evicted: Arc<AtomicU64>,
}

/// What the cache holds, and what it had to give up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CacheSize {
    /// Tiles.
    pub(crate) entries: u64,
    /// Bytes that they are charged for.
    pub(crate) bytes: u64,
    /// Tiles that had to make room since the start.
    pub(crate) evicted: u64,
}

impl TileCache {
    /// A cache for at most `max_entries` tiles of together at most `max_bytes`.
    pub(crate) fn new(max_entries: u64, max_bytes: u64) -> Self {
        let capacity = if max_entries == 0 { 0 } else { max_bytes };
        let options = OptionsBuilder::new()
            .estimated_items_capacity(usize::try_from(max_entries).unwrap_or(usize::MAX).min(MOST_EXPECTED))
            .weight_capacity(capacity)
            .build()
            .expect("both capacities are set");
        let evicted = Arc::new(AtomicU64::new(0));
        let weight = Weight(capacity.div_ceil(max_entries.max(1)).max(1));
        let lifecycle = Evictions(Arc::clone(&evicted));
        Self {
            tiles: Cache::with_options(options, weight, DefaultHashBuilder::default(), lifecycle),
            evicted,
        }
    }

    /// The tile, if it is in the cache.
    pub(crate) fn get(&self, key: &TileKey) -> Option<Bytes> {
        self.tiles.get(key)
    }

    /// Whether the tile is in the cache. Unlike [`Self::get`], it does not count as a use.
    pub(crate) fn has(&self, key: &TileKey) -> bool {
        self.tiles.contains_key(key)
    }

    /// Keeps a tile for the next who asks.
    pub(crate) fn insert(&self, key: TileKey, jpeg: Bytes) {
        self.tiles.insert(key, jpeg);
    }

    /// Whether there is room for anything at all.
    pub(crate) fn keeps(&self) -> bool {
        self.tiles.capacity() > 0
    }

    /// How full it is.
    pub(crate) fn size(&self) -> CacheSize {
        CacheSize {
            entries: self.tiles.len() as u64,
            bytes: self.tiles.weight(),
            evicted: self.evicted.load(Ordering::Relaxed),
        }
    }
}

/// Tiles that the cache's tables are laid out for, whatever it may hold.
const MOST_EXPECTED: usize = 1 << 20;

/// What a tile is charged: its bytes and what the allocator loses beside them, but at least so much.
#[derive(Debug, Clone, Copy)]
struct Weight(u64);

/// One part in so many of a tile's bytes lies idle between tiles: those of 16 kB on average, coming and going at random, took
/// an eighth more memory than their bytes after a million requests.
const IDLE_SHARE: u64 = 8;

impl Weighter<TileKey, Bytes> for Weight {
    fn weight(&self, _key: &TileKey, jpeg: &Bytes) -> u64 {
        let bytes = jpeg.len() as u64;
        (bytes + bytes / IDLE_SHARE).max(self.0)
    }
}

/// Counts what has to go.
#[derive(Debug, Clone)]
struct Evictions(Arc<AtomicU64>);

impl Lifecycle<TileKey, Bytes> for Evictions {
    type RequestState = ();

    fn begin_request(&self) -> Self::RequestState {}

    fn on_evict(&self, _state: &mut Self::RequestState, _key: TileKey, _jpeg: Bytes) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(column: u32) -> TileKey {
        TileKey { instance: 7, tile: TileId { level: 0, column, row: 0 } }
    }

    #[test]
    fn bounded_in_entries_and_in_bytes() {
        for (max_entries, max_bytes, tile_bytes) in
            [(10, 1 << 20, 100), (10, 109, 1), (1000, 1000, 100), (1 << 40, 1000, 100)]
        {
            let cache = TileCache::new(max_entries, max_bytes);
            for column in 0..100 {
                cache.insert(key(column), Bytes::from(vec![0; tile_bytes]));
            }
            let CacheSize { entries, bytes, evicted } = cache.size();
            assert!((1..=10).contains(&entries), "{entries} entries");
            assert!(bytes <= max_bytes, "{bytes} bytes");
            assert!(evicted >= 90, "{evicted} evicted");
        }
    }

    #[test]
    fn without_room_nothing_is_kept() {
        for (max_entries, max_bytes) in [(0, 1000), (10, 0)] {
            let cache = TileCache::new(max_entries, max_bytes);
            cache.insert(key(0), Bytes::from_static(b"x"));
            assert_eq!((cache.get(&key(0)), cache.size().entries, cache.keeps()), (None, 0, false));
        }
    }

    #[test]
    fn what_is_read_is_what_was_put_in_without_a_copy() {
        let cache = TileCache::new(10, 1000);
        let jpeg = Bytes::from(vec![7; 100]);
        cache.insert(key(1), jpeg.clone());
        let read = cache.get(&key(1)).expect("kept");
        assert_eq!((read.as_ptr(), read.len()), (jpeg.as_ptr(), 100));
        assert!(cache.has(&key(1)) && !cache.has(&key(2)));
    }
}
