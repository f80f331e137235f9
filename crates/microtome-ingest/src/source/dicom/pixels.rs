//! An image as pixels, with a small cache of decoded tiles; an image of one large frame is decoded once.
//!
//! Not here: decoding, pyramids.

use std::sync::Arc;

use microtome_codec::Rgb;
use microtome_container::geometry::Rect;

use super::instance::Tiling;
use super::level::Level;
use crate::Error;
use crate::source::Pixels;
use crate::source::cache::Cache;
use crate::source::image::spool::Spool;
use crate::source::tiled;

/// Decoded tiles that are kept, in bytes. Tiles being decoded come on top, one per thread.
const CACHE_BYTES: usize = 64 << 20;
/// Pixels of one tile: every thread decodes one whole, so that this times the threads bounds the memory.
const MAX_TILE_PIXELS: u64 = 4 << 20;
/// Pixels of an image that is decoded whole: JPEG 2000 takes up to 22 bytes for each.
const MAX_WHOLE_PIXELS: u64 = 32 << 20;

/// The pixels of an image.
pub(super) fn open(image: Level) -> Result<Box<dyn Pixels>, Error> {
    let Tiling { tile, .. } = image.tiling;
    if pixels_of(tile) > MAX_TILE_PIXELS && image.tiling.tiles() == 1 {
        let whole = whole(&image)?;
        return Ok(Box::new(Spool::of(image.head().file.path(), whole)?));
    }
    check_tile(&image, MAX_TILE_PIXELS)?;
    let cache = Cache::new(CACHE_BYTES / (3 * pixels_of(tile) as usize));
    Ok(Box::new(Tiled { image, cache }))
}

/// The whole of an image of at most [`MAX_WHOLE_PIXELS`].
pub(super) fn whole(image: &Level) -> Result<Rgb, Error> {
    let (width, height) = image.tiling.size;
    if pixels_of(image.tiling.size) > MAX_WHOLE_PIXELS {
        let what =
            format!("an image of {width} x {height} px (at most {MAX_WHOLE_PIXELS} px are taken here)");
        return Err(image.head().file.unsupported(what));
    }
    check_tile(image, MAX_WHOLE_PIXELS)?;
    let all = Rect { x: 0, y: 0, width, height };
    tiled::region(all, image.tiling.tile, |column, row| image.pixels(column, row).map(Arc::new))
}

fn check_tile(image: &Level, max_pixels: u64) -> Result<(), Error> {
    let (width, height) = image.tiling.tile;
    if pixels_of(image.tiling.tile) > max_pixels {
        let what = format!("frames of {width} x {height} px (at most {max_pixels} px are taken)");
        return Err(image.head().file.unsupported(what));
    }
    Ok(())
}

fn pixels_of((width, height): (u32, u32)) -> u64 {
    u64::from(width) * u64::from(height)
}

/// An image of small tiles.
struct Tiled {
    image: Level,
    cache: Cache<Rgb>,
}

impl Pixels for Tiled {
    fn read(&self, rect: Rect) -> Result<Rgb, Error> {
        let columns = self.image.tiling.columns as usize;
        tiled::region(rect, self.image.tiling.tile, |column, row| {
            self.cache.get(row as usize * columns + column as usize, || self.image.pixels(column, row))
        })
    }
}
