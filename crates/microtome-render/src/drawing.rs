//! A view becoming pixels: rows of tiles are read, decoded on all threads, and made smaller, each once.
//!
//! What is held at a time is the picture, and of the level a strip as high as some rows of tiles and the filter's reach.

use std::sync::Arc;

use bytes::Bytes;
use microtome_codec::{Rgb, turbo};
use microtome_slide::{FetchedTile, Grid, Rect, Slide, TileId, mosaic};
use rayon::prelude::*;

use crate::Error;
use crate::scale::Scale;
use crate::turn;
use crate::view::View;

/// Pixels of the level that are read at once, unless one row of tiles has more.
const PIXELS_AT_ONCE: u64 = 2 << 20;

/// A tile that is drawn next.
enum Tile {
    Records(Box<FetchedTile>),
    Jpeg(Bytes),
    Pixels(Arc<Rgb>),
}

/// Where tiles are kept that were made before.
pub trait Kept: Sync {
    /// The pixels of a tile, if they are there.
    fn pixels(&self, tile: TileId) -> Option<Arc<Rgb>>;
    /// The tile as JPEG, if it is there.
    fn jpeg(&self, tile: TileId) -> Option<Bytes>;
    /// Takes the pixels of a tile that were not there.
    fn keep_pixels(&self, tile: TileId, pixels: &Arc<Rgb>);
    /// Takes a tile that was not there.
    fn keep_jpeg(&self, tile: TileId, jpeg: &Bytes);
    /// Whether pictures are made of tiles as viewers get them, so that they are the same whether a tile was kept or not; else
    /// of their pixels, which for some derived tiles are those before they are encoded.
    fn is_of_jpeg(&self) -> bool;
}

/// Keeps nothing.
impl Kept for () {
    fn pixels(&self, _tile: TileId) -> Option<Arc<Rgb>> {
        None
    }

    fn jpeg(&self, _tile: TileId) -> Option<Bytes> {
        None
    }

    fn keep_pixels(&self, _tile: TileId, _pixels: &Arc<Rgb>) {}

    fn keep_jpeg(&self, _tile: TileId, _jpeg: &Bytes) {}

    fn is_of_jpeg(&self) -> bool {
        false
    }
}

/// A view in the making: [`fetch`](Self::fetch) and [`advance`](Self::advance) by turns, then [`finish`](Self::finish).
pub struct Drawing<'a> {
    slide: &'a Slide,
    view: View,
    level: u8,
    grid: Grid,
    /// From the level to the picture; `None` if its pixels are taken as they are.
    scale: Option<Scale>,
    /// What is read of the level.
    rect: Rect,
    /// Rows of `rect` that are decoded and still needed, and the first of them.
    strip: Option<(u32, Rgb)>,
    /// The first row that was not decoded yet.
    undecoded: u32,
    /// The first row that was not read yet.
    unread: u32,
    fetched: Vec<(TileId, Tile)>,
    picture: Rgb,
    rows_done: u32,
}

impl<'a> Drawing<'a> {
    /// Begins a drawing. The picture's memory is taken here: 3 bytes for each of its pixels.
    ///
    /// # Panics
    /// If the view leaves the slide.
    #[must_use]
    pub fn new(slide: &'a Slide, view: View) -> Self {
        let (level, area) = view.source(slide.levels());
        let grid = slide.levels()[usize::from(level)];
        let is_exact = area.is_exactly(view.width, view.height, &grid);
        let scale = (!is_exact).then(|| Scale::new(area, view.width, view.height));
        let rect = area.pixels(scale.map_or([0.0; 2], |scale| scale.margin()), &grid);
        Self {
            slide,
            view,
            level,
            grid,
            scale,
            rect,
            strip: None,
            undecoded: rect.y,
            unread: rect.y,
            fetched: Vec::new(),
            picture: Rgb::filled(view.width, view.height, [0; 3]),
            rows_done: 0,
        }
    }

    /// Reads the tiles of the next rows, unless they are kept; blocking I/O, no decoding. False if there are none left.
    ///
    /// # Errors
    /// [`Error::Slide`] naming the damaged record.
    pub fn fetch(&mut self, kept: &impl Kept) -> Result<bool, Error> {
        let end = self.rect.y + self.rect.height;
        if self.unread >= end {
            return Ok(false);
        }
        let rows = (PIXELS_AT_ONCE / u64::from(self.rect.width)).min(u64::from(u32::MAX / 2)) as u32;
        // To the end of a row of tiles, so that none is decoded twice.
        let side = self.grid.tile_size;
        let until =
            (((self.unread.saturating_add(rows)) / side).max(self.unread / side + 1)).saturating_mul(side);
        let part = Rect { y: self.unread, height: until.min(end) - self.unread, ..self.rect };
        let (columns, rows) = mosaic::tiles_of(&self.grid, part);
        for row in rows {
            for column in columns.clone() {
                let tile = TileId { level: self.level, column, row };
                let next = kept.pixels(tile).map(Tile::Pixels);
                let next = match next.or_else(|| kept.jpeg(tile).map(Tile::Jpeg)) {
                    Some(next) => next,
                    None => Tile::Records(Box::new(self.slide.fetch(tile)?)),
                };
                self.fetched.push((tile, next));
            }
        }
        self.unread = part.y + part.height;
        Ok(true)
    }

    /// Bytes of the tiles that were read and wait to be decoded.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        let read = |tile: &Tile| match tile {
            Tile::Records(fetched) => fetched.bytes_read(),
            Tile::Jpeg(_) | Tile::Pixels(_) => 0,
        };
        self.fetched.iter().map(|(_, tile)| read(tile)).sum()
    }

    /// Decodes what was read, on all threads of the current pool, and draws what can be drawn of it.
    ///
    /// # Errors
    /// [`Error::Slide`] naming a tile that does not decode.
    pub fn advance(&mut self, kept: &impl Kept) -> Result<(), Error> {
        let top = match &self.scale {
            Some(scale) => scale.first_row_of(self.rows_done).clamp(self.rect.y, self.undecoded),
            None => self.undecoded,
        };
        let rect = Rect { y: top, height: self.unread - top, ..self.rect };
        let mut strip = Rgb::filled(rect.width, rect.height, [0; 3]);
        if let Some((first, before)) = self.strip.take().filter(|_| top < self.undecoded) {
            strip.blit(&before, 0, top - first, before.width(), self.undecoded - top, 0, 0);
        }
        let (slide, grid, fetched) = (self.slide, self.grid, std::mem::take(&mut self.fetched));
        let decoded =
            fetched.into_par_iter().map(|(tile, next)| Ok((tile, pixels(slide, tile, next, kept, &grid)?)));
        for (tile, pixels) in decoded.collect::<Result<Vec<_>, microtome_slide::Error>>()? {
            let own = own_area(&grid, tile, rect);
            let covered = grid.tile_rect(tile.column, tile.row).expect("it was fetched");
            let (from_x, from_y) = (own.x - covered.x, own.y - covered.y);
            strip.blit(&pixels, from_x, from_y, own.width, own.height, own.x - rect.x, own.y - rect.y);
        }
        self.draw(&strip, rect);
        self.undecoded = self.unread;
        self.strip = Some((top, strip));
        Ok(())
    }

    /// The rows of the picture that the strip suffices for.
    fn draw(&mut self, strip: &Rgb, rect: Rect) {
        let line = 3 * self.view.width as usize;
        let is_last = self.unread == self.rect.y + self.rect.height;
        let Some(scale) = self.scale else {
            let rows = &mut self.picture.data_mut()[self.rows_done as usize * line..];
            rows[..strip.data().len()].copy_from_slice(strip.data());
            self.rows_done += strip.height();
            return;
        };
        let until = if is_last { self.view.height } else { scale.rows_before(self.unread) };
        if until > self.rows_done {
            let rows = &mut self.picture.data_mut()[self.rows_done as usize * line..until as usize * line];
            scale.run(strip, rect, self.rows_done, rows);
            self.rows_done = until;
        }
    }

    /// The picture, once there is nothing left to fetch.
    ///
    /// # Panics
    /// If there is.
    #[must_use]
    pub fn finish(self) -> Rgb {
        assert_eq!(self.rows_done, self.view.height, "all of it was drawn");
        let turned = turn::turned(self.picture, self.view.mirrored, self.view.quarter_turns);
        turn::toned(turned, self.view.tone)
    }
}

/// The pixels of a tile.
fn pixels(
    slide: &Slide,
    tile: TileId,
    next: Tile,
    kept: &impl Kept,
    grid: &Grid,
) -> Result<Arc<Rgb>, microtome_slide::Error> {
    let jpeg = match next {
        Tile::Pixels(pixels) => return Ok(pixels),
        Tile::Jpeg(jpeg) => jpeg,
        Tile::Records(fetched) if !kept.is_of_jpeg() => return fetched.decode_pixels().map(Arc::new),
        Tile::Records(fetched) => {
            let jpeg = fetched.decode()?;
            kept.keep_jpeg(tile, &jpeg);
            jpeg
        }
    };
    let covered = grid.tile_rect(tile.column, tile.row).ok_or(microtome_slide::Error::OutsideSlide(tile))?;
    let pixels =
        turbo::decode(&jpeg, u64::from(covered.width) * u64::from(covered.height)).map_err(|cause| {
            let path = slide.container().path().to_owned();
            microtome_slide::Error::Undecodable { path, tile, cause }
        })?;
    let pixels = Arc::new(pixels);
    kept.keep_pixels(tile, &pixels);
    Ok(pixels)
}

/// What a tile covers of `rect` without its overlap.
fn own_area(grid: &Grid, tile: TileId, rect: Rect) -> Rect {
    let own = |index: u32, start: u32, length: u32| {
        let from = start.max(index * grid.tile_size);
        (from, (start + length).min((index + 1) * grid.tile_size) - from)
    };
    let (x, width) = own(tile.column, rect.x, rect.width);
    let (y, height) = own(tile.row, rect.y, rect.height);
    Rect { x, y, width, height }
}
