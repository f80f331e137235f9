//! Level 0 of a tiled page as pixels, with a small cache of decoded tiles; a striped page goes through a spool.
//!
//! Not here: decoding, pyramids.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use microtome_codec::Rgb;
use microtome_container::geometry::Rect;

use super::ifd::Tiff;
use super::page::Page;
use crate::Error;
use crate::source::Pixels;
use crate::source::image::spool::{Spool, Writer};

/// Decoded tiles that are kept, in bytes. Tiles being decoded come on top, one per thread.
const CACHE_BYTES: usize = 64 << 20;

/// The pixels of a page as they are stored, with its part of the cache, which `sharing` pages share.
pub(super) fn open_stored(tiff: Arc<Tiff>, page: Page, sharing: usize) -> Result<Box<dyn Pixels>, Error> {
    if page.chunks.tiled {
        let cache = Cache::new(sharing * 3 * page.chunks.width as usize * page.chunks.height as usize);
        Ok(Box::new(Tiled { tiff, page, cache }))
    } else {
        Ok(Box::new(spool(&tiff, &page)?))
    }
}

/// The whole of a striped page, decoded once, strip by strip: regions would decode every strip many times.
fn spool(tiff: &Tiff, page: &Page) -> Result<Spool, Error> {
    let mut writer = Writer::new(tiff.path(), page.width, page.height)?;
    for strip in 0..page.chunks.per_plane() {
        writer.write(page.decode(tiff, strip)?.data())?;
    }
    writer.finish()
}

/// The whole of a page as one image of at most `max_pixels`, upright.
pub(super) fn whole(tiff: &Tiff, page: &Page, max_pixels: u64) -> Result<Rgb, Error> {
    if u64::from(page.width) * u64::from(page.height) > max_pixels {
        let what = format!("{} x {} px (at most {max_pixels} px are taken)", page.width, page.height);
        return Err(tiff.unsupported(&page.place, what));
    }
    let all = Rect { x: 0, y: 0, width: page.width, height: page.height };
    let stored = read(page, all, |index| page.decode(tiff, index).map(Arc::new))?;
    Ok(if page.orientation.is_upright() { stored } else { page.orientation.turn(&stored) })
}

/// The pixels of `rect`, from the chunks that `decoded` gives.
fn read(page: &Page, rect: Rect, decoded: impl Fn(usize) -> Result<Arc<Rgb>, Error>) -> Result<Rgb, Error> {
    let (width, height) = (page.chunks.width, page.chunks.height);
    let (right, bottom) = (rect.x + rect.width, rect.y + rect.height);
    let mut out = Rgb::filled(rect.width, rect.height, [0; 3]);
    for row in rect.y / height..bottom.div_ceil(height) {
        for column in rect.x / width..right.div_ceil(width) {
            let chunk = decoded(row as usize * page.chunks.columns as usize + column as usize)?;
            // Both sides are at most 2^30, and so is a chunk beyond them: no sum overflows.
            let (left, top) = (column * width, row * height);
            let (from_x, from_y) = (rect.x.max(left), rect.y.max(top));
            let (to_x, to_y) = (right.min(left + width), bottom.min(top + height));
            let (x, y) = (from_x - rect.x, from_y - rect.y);
            out.blit(&chunk, from_x - left, from_y - top, to_x - from_x, to_y - from_y, x, y);
        }
    }
    Ok(out)
}

/// A tiled page.
struct Tiled {
    tiff: Arc<Tiff>,
    page: Page,
    cache: Cache,
}

impl Pixels for Tiled {
    fn read(&self, rect: Rect) -> Result<Rgb, Error> {
        read(&self.page, rect, |index| self.cache.get(index, || self.page.decode(&self.tiff, index)))
    }
}

/// A tile, or none as long as nobody has decoded it; whoever decodes it holds the lock.
type Slot = Mutex<Option<Arc<Rgb>>>;

/// The tiles decoded last. A tile that several threads want at once is decoded once.
struct Cache {
    slots: Mutex<Slots>,
    /// Most slots, at least 1.
    capacity: usize,
}

#[derive(Default)]
struct Slots {
    by_index: HashMap<usize, Arc<Slot>>,
    oldest_first: VecDeque<usize>,
}

impl Cache {
    fn new(tile_bytes: usize) -> Self {
        Self { slots: Mutex::default(), capacity: (CACHE_BYTES / tile_bytes).max(1) }
    }

    /// The slot of a tile, made if needed; the oldest slot makes room for it.
    fn slot(&self, index: usize) -> Arc<Slot> {
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
        let slot = Arc::new(Slot::default());
        slots.by_index.insert(index, Arc::clone(&slot));
        slots.oldest_first.push_back(index);
        slot
    }

    /// A tile, from the cache or decoded now.
    fn get(&self, index: usize, decode: impl FnOnce() -> Result<Rgb, Error>) -> Result<Arc<Rgb>, Error> {
        let slot = self.slot(index);
        let mut tile = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tile) = &*tile {
            return Ok(Arc::clone(tile));
        }
        let decoded = Arc::new(decode()?);
        *tile = Some(Arc::clone(&decoded));
        Ok(decoded)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn the_oldest_tile_makes_room_and_failures_are_not_kept() {
        let cache = Cache::new(CACHE_BYTES / 2);
        let decoded = Cell::new(0);
        let get = |index| {
            let decode = || {
                decoded.set(decoded.get() + 1);
                Ok(Rgb::filled(1, 1, [index as u8; 3]))
            };
            cache.get(index, decode).expect("decodes").pixel(0, 0)[0]
        };
        assert_eq!([get(1), get(2), get(1), get(2)], [1, 2, 1, 2]);
        assert_eq!(decoded.get(), 2);
        assert_eq!([get(3), get(2), get(1)], [3, 2, 1]);
        assert_eq!(decoded.get(), 4, "1 made room for 3");
        assert!(cache.get(9, || Err(Error::Interrupted)).is_err());
        assert_eq!(get(9), 9);
    }
}
