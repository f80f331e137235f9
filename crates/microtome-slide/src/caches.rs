//! What open slides keep to be quick: index pages and decoded base tiles. Bounded for all slides together that share it,
//! so that many open slides take no more memory than few.
//!
//! Not here: tiles to be served, which are the server's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use microtome_codec::cross_scale::Picture;
use microtome_container::geometry::TileId;
use microtome_container::reader::Page;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

/// Bytes of index pages: each of 32 KiB is the index of some hundred megapixels around the viewer.
const PAGES: u64 = 16 << 20;
/// Bytes of decoded base tiles: some 500 of 256 x 256 px, each good for a family of 20.
const PICTURES: u64 = 48 << 20;

/// Number of the next slide opened by this process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// What slides that were opened with it keep. Cheap to clone; clones are one and the same.
#[derive(Debug, Clone)]
pub struct Caches {
    pages: Cache<(u64, u64), Page>,
    pictures: Cache<(u64, TileId), Arc<Picture>>,
}

impl Default for Caches {
    /// 64 MiB in all, which are taken as they are used.
    fn default() -> Self {
        let weight = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let pages = Cache::builder().weigher(move |_, page: &Page| weight(page.bytes() as usize));
        let pictures = Cache::builder().weigher(move |_, picture: &Arc<Picture>| weight(picture.bytes()));
        // By use alone: who walks through a slide wants the newest picture, however little it was asked for so far.
        Self {
            pages: pages.max_capacity(PAGES).eviction_policy(EvictionPolicy::lru()).build(),
            pictures: pictures.max_capacity(PICTURES).eviction_policy(EvictionPolicy::lru()).build(),
        }
    }
}

/// The part of the caches that is a slide's own.
#[derive(Debug)]
pub(crate) struct Share {
    caches: Caches,
    slide: u64,
}

impl Share {
    /// That of a slide that is being opened.
    pub(crate) fn new(caches: &Caches) -> Self {
        Self { caches: caches.clone(), slide: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    pub(crate) fn page(&self, number: u64) -> Option<Page> {
        self.caches.pages.get(&(self.slide, number))
    }

    pub(crate) fn keep_page(&self, number: u64, page: &Page) {
        self.caches.pages.insert((self.slide, number), page.clone());
    }

    /// The samples of a tile, if others predicted from it were decoded lately.
    pub(crate) fn picture(&self, tile: TileId) -> Option<Arc<Picture>> {
        self.caches.pictures.get(&(self.slide, tile))
    }

    pub(crate) fn keep_picture(&self, tile: TileId, picture: &Arc<Picture>) {
        self.caches.pictures.insert((self.slide, tile), Arc::clone(picture));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slides_share_the_room_and_not_the_tiles() {
        let caches = Caches::default();
        let (a, b) = (Share::new(&caches), Share::new(&caches.clone()));
        let tile = TileId { level: 2, column: 1, row: 1 };
        let picture = Arc::<Picture>::default();
        a.keep_picture(tile, &picture);
        assert!(a.picture(tile).is_some_and(|found| Arc::ptr_eq(&found, &picture)));
        assert!(b.picture(tile).is_none());
    }
}
