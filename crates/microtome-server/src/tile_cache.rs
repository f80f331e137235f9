//! Tiles that were made lately, bounded in number and in bytes, each made once however many ask for it.
//!
//! moka has one capacity. It is in bytes here, and no tile weighs less than capacity / entries: so neither bound can
//! be passed, and small tiles reach the number of entries before the bytes.
//!
//! Not here: how a tile is made, and on which threads.

use std::future::Future;

use bytes::Bytes;
use microtome_slide::TileId;
use moka::future::Cache;

use crate::error::{Error, Failure};

/// A tile of a slide as it was opened once: a replaced file has other keys, and so has another file that claims the
/// same content id, which is not checked at opening.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TileKey {
    /// Number of the opening, [`OpenSlide::instance`](crate::catalog::OpenSlide::instance).
    pub(crate) instance: u64,
    pub(crate) tile: TileId,
}

/// The cache.
pub(crate) struct TileCache {
    tiles: Cache<TileKey, Bytes>,
}

impl TileCache {
    /// A cache for at most `max_entries` tiles of together at most `max_bytes`.
    pub(crate) fn new(max_entries: u64, max_bytes: u64) -> Self {
        let capacity = if max_entries == 0 { 0 } else { max_bytes };
        let least = capacity.div_ceil(max_entries.max(1));
        let tiles = Cache::builder()
            .max_capacity(capacity)
            .weigher(move |_key, jpeg: &Bytes| weight(jpeg.len(), least))
            .build();
        Self { tiles }
    }

    /// The tile, if it is in the cache.
    pub(crate) async fn get(&self, key: &TileKey) -> Option<Bytes> {
        self.tiles.get(key).await
    }

    /// The tile from the cache, or from whoever is making it already, or from `make`; in the last case with what
    /// `make` tells about it.
    ///
    /// The work goes on if the caller goes away. An error goes to all who wait, and is not kept.
    pub(crate) async fn get_or_make<N, F>(&self, key: TileKey, make: F) -> Result<(Bytes, Option<N>), Failure>
    where
        N: Send + 'static,
        F: Future<Output = Result<(Bytes, N), Error>> + Send + 'static,
    {
        let tiles = self.tiles.clone();
        let work = tokio::spawn(async move {
            let mut note = None;
            let made = async {
                let (jpeg, told) = make.await?;
                note = Some(told);
                Ok(jpeg)
            };
            let jpeg = tiles.try_get_with(key, made).await?;
            Ok((jpeg, note))
        });
        work.await.unwrap_or_else(|_lost| Err(Error::WorkerLost("making of a tile").into()))
    }

    /// Number of tiles, and the sum of their weights.
    pub(crate) async fn size(&self) -> (u64, u64) {
        self.tiles.run_pending_tasks().await;
        (self.tiles.entry_count(), self.tiles.weighted_size())
    }
}

fn weight(bytes: usize, least: u64) -> u32 {
    let weight = u64::try_from(bytes).unwrap_or(u64::MAX).max(least);
    u32::try_from(weight).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    fn key(column: u32) -> TileKey {
        TileKey { instance: 7, tile: TileId { level: 0, column, row: 0 } }
    }

    #[tokio::test]
    async fn bounded_in_entries_and_in_bytes() {
        for (max_entries, max_bytes, tile_bytes) in [(10, 1 << 20, 100), (10, 109, 1), (1000, 1000, 100)] {
            let cache = TileCache::new(max_entries, max_bytes);
            for column in 0..100 {
                let jpeg = Bytes::from(vec![0; tile_bytes]);
                cache.get_or_make(key(column), async { Ok((jpeg, ())) }).await.expect("a tile");
            }
            let (entries, bytes) = cache.size().await;
            assert!((1..=10).contains(&entries), "{entries} entries");
            assert!(bytes <= max_bytes, "{bytes} bytes");
        }
    }

    #[tokio::test]
    async fn without_room_nothing_is_kept() {
        for (max_entries, max_bytes) in [(0, 1000), (10, 0)] {
            let cache = TileCache::new(max_entries, max_bytes);
            let made = cache.get_or_make(key(0), async { Ok((Bytes::from_static(b"x"), ())) }).await;
            assert_eq!(made.expect("a tile").0, "x");
            assert_eq!(cache.size().await.0, 0);
        }
    }

    #[tokio::test]
    async fn all_who_wait_share_one_tile() {
        let cache = Arc::new(TileCache::new(10, 1000));
        let made = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let (cache, made) = (Arc::clone(&cache), Arc::clone(&made));
                tokio::spawn(async move {
                    let make = async move {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        Ok((Bytes::from_static(b"tile"), made.fetch_add(1, Ordering::SeqCst)))
                    };
                    cache.get_or_make(key(1), make).await.expect("a tile")
                })
            })
            .collect();
        let mut notes = 0;
        for task in tasks {
            let (jpeg, note) = task.await.expect("no panic");
            assert_eq!(jpeg, "tile");
            notes += usize::from(note.is_some());
        }
        assert_eq!((made.load(Ordering::SeqCst), notes), (1, 1));
    }

    #[tokio::test]
    async fn a_failure_reaches_followers_and_is_not_kept() {
        let cache = Arc::new(TileCache::new(10, 1000));
        let (fail, failing) = oneshot::channel::<()>();
        let leader = tokio::spawn({
            let cache = Arc::clone(&cache);
            let make = async move {
                let _ = failing.await;
                Err::<(Bytes, ()), _>(Error::Overloaded)
            };
            async move { cache.get_or_make(key(1), make).await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        let follower = tokio::spawn({
            let cache = Arc::clone(&cache);
            async move { cache.get_or_make(key(1), async { Ok((Bytes::from_static(b"unused"), ())) }).await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        fail.send(()).expect("the leader waits");
        assert!(leader.await.expect("no panic").is_err());
        assert!(follower.await.expect("no panic").is_err());
        let again = cache.get_or_make(key(1), async { Ok((Bytes::from_static(b"good"), ())) }).await;
        assert_eq!(again.expect("a tile").0, "good");
    }

    #[tokio::test]
    async fn the_work_outlives_a_leader_that_goes_away() {
        let cache = Arc::new(TileCache::new(10, 1000));
        let (finish, finishing) = oneshot::channel::<()>();
        let leader = tokio::spawn({
            let cache = Arc::clone(&cache);
            let make = async move {
                let _ = finishing.await;
                Ok((Bytes::from_static(b"first"), ()))
            };
            async move { cache.get_or_make(key(1), make).await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        let follower = tokio::spawn({
            let cache = Arc::clone(&cache);
            async move { cache.get_or_make(key(1), async { Ok((Bytes::from_static(b"second"), ())) }).await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        leader.abort();
        finish.send(()).expect("the work goes on");
        assert_eq!(follower.await.expect("no panic").expect("a tile").0, "first");
        assert_eq!(cache.get(&key(1)).await.expect("kept"), "first");
    }

    #[tokio::test]
    async fn a_panic_strands_nobody() {
        let cache = TileCache::new(10, 1000);
        let make = async {
            assert!(cache_is_empty_by_accident(), "a decoder's bug");
            Ok((Bytes::new(), ()))
        };
        assert!(cache.get_or_make(key(1), make).await.is_err());
        let again = cache.get_or_make(key(1), async { Ok((Bytes::from_static(b"good"), ())) }).await;
        assert_eq!(again.expect("a tile").0, "good");
    }

    fn cache_is_empty_by_accident() -> bool {
        std::hint::black_box(false)
    }
}
