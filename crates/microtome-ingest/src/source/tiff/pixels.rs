//! Level 0 of a tiled page as pixels, with a small cache of decoded tiles; a striped page goes through a spool.
//!
//! Not here: decoding, pyramids.

use std::sync::Arc;

use microtome_codec::Rgb;
use microtome_container::geometry::Rect;

use super::ifd::Tiff;
use super::page::Page;
use crate::Error;
use crate::source::Pixels;
use crate::source::cache::Cache;
use crate::source::image::spool::{Spool, Writer};
use crate::source::tiled;

/// Decoded tiles that are kept, in bytes. Tiles being decoded come on top, one per thread.
const CACHE_BYTES: usize = 64 << 20;

/// The pixels of a page as they are stored, with its part of the cache, which `sharing` pages share.
pub(super) fn open_stored(tiff: Arc<Tiff>, page: Page, sharing: usize) -> Result<Box<dyn Pixels>, Error> {
    if page.chunks.tiled {
        let cache = cache(&page, sharing);
        Ok(Box::new(Tiled { tiff, page, cache }))
    } else {
        Ok(Box::new(spool(&tiff, &page)?))
    }
}

/// The part of the cache of one of `sharing` pages.
pub(super) fn cache(page: &Page, sharing: usize) -> Cache<Rgb> {
    let tile_bytes = 3 * page.chunks.width as usize * page.chunks.height as usize;
    Cache::new(CACHE_BYTES / (sharing * tile_bytes))
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

/// The pixels of `rect`, from the chunks that `decoded` gives by their index.
fn read(page: &Page, rect: Rect, decoded: impl Fn(usize) -> Result<Arc<Rgb>, Error>) -> Result<Rgb, Error> {
    let columns = page.chunks.columns as usize;
    tiled::region(rect, (page.chunks.width, page.chunks.height), |column, row| {
        decoded(row as usize * columns + column as usize)
    })
}

/// A tiled page.
struct Tiled {
    tiff: Arc<Tiff>,
    page: Page,
    cache: Cache<Rgb>,
}

impl Pixels for Tiled {
    fn read(&self, rect: Rect) -> Result<Rgb, Error> {
        read(&self.page, rect, |index| self.cache.get(index, || self.page.decode(&self.tiff, index)))
    }
}
