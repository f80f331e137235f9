//! Level 0 of a BIF whose tiles overlap, as pixels: each tile where it belongs, and empty glass between areas.
//!
//! A tile covers those above it and to its left, as OpenSlide draws them. Memory is that of a small cache of decoded
//! tiles. Not here: where tiles belong.

use std::sync::Arc;

use microtome_codec::Rgb;
use microtome_container::geometry::Rect;

use super::super::ifd::Tiff;
use super::super::page::Page;
use super::super::pixels;
use super::layout::Layout;
use crate::Error;
use crate::source::Pixels;
use crate::source::cache::Cache;

/// A page with the places of its tiles.
pub(super) struct Mosaic {
    tiff: Arc<Tiff>,
    page: Page,
    layout: Layout,
    cache: Cache<Rgb>,
}

impl Mosaic {
    /// Shows a tiled page that is stored upright.
    pub(super) fn new(tiff: Arc<Tiff>, page: Page, layout: Layout) -> Self {
        let cache = pixels::cache(&page, 1);
        Self { tiff, page, layout, cache }
    }
}

impl Pixels for Mosaic {
    fn read(&self, rect: Rect) -> Result<Rgb, Error> {
        let chunks = &self.page.chunks;
        let mut out = Rgb::filled(rect.width, rect.height, self.page.absent);
        for tile in self.layout.tiles_in(rect) {
            let index = tile.row as usize * chunks.columns as usize + tile.column as usize;
            // What is absent covers nothing.
            if chunks.is_absent(index) {
                continue;
            }
            let (columns, rows) = chunks.within(index, (self.page.width, self.page.height));
            let (from_x, from_y) = (rect.x.max(tile.left), rect.y.max(tile.top));
            let to_x = (rect.x + rect.width).min(tile.left + columns);
            let to_y = (rect.y + rect.height).min(tile.top + rows);
            if from_x < to_x && from_y < to_y {
                let decoded = self.cache.get(index, || self.page.decode(&self.tiff, index))?;
                let (x, y) = (from_x - rect.x, from_y - rect.y);
                let (width, height) = (to_x - from_x, to_y - from_y);
                out.blit(&decoded, from_x - tile.left, from_y - tile.top, width, height, x, y);
            }
        }
        Ok(out)
    }
}
