//! JPEG tiles taken verbatim: which pages qualify, which levels they are, and reading their bytes.
//!
//! TIFF 6.0 section 15 (edge tiles are stored at full size), TIFF Technical Note 2. In the place of a tile that the file
//! declares absent stands a blank one. Not here: decoding for pixels.

use std::sync::Arc;

use microtome_codec::jpeg::{self, Colour};
use microtome_codec::turbo;

use super::ifd::Tiff;
use super::page::{Compression, Page, Photometric};
use crate::Error;
use crate::source::blank::blank_like;
use crate::source::{TileLevel, Tiles, level_of};

/// Sides of tiles that are taken verbatim: multiples of 16 up to this.
const MAX_TILE_SIZE: u32 = 1024;

/// The levels of a slide that are JPEG tiles on one grid.
pub(super) struct JpegTiles {
    tiff: Arc<Tiff>,
    tile_size: u32,
    // Invariant: one page and one blank tile per level; it is empty where no tile is absent.
    levels: Vec<TileLevel>,
    pages: Vec<Page>,
    blanks: Vec<Vec<u8>>,
}

/// Why the tiles of a page cannot be taken verbatim, or `None` if they can.
pub(super) fn obstacle(page: &Page) -> Option<String> {
    let (width, height) = (page.chunks.width, page.chunks.height);
    if !matches!(page.compression, Compression::Jpeg(_)) || !page.chunks.tiled {
        return Some("it is not in JPEG tiles".into());
    }
    if width != height || width % 16 != 0 || width > MAX_TILE_SIZE {
        return Some(format!(
            "its tiles are {width} x {height} px \
             (squares with a side of 16 to {MAX_TILE_SIZE} px in steps of 16 are taken)"
        ));
    }
    if page.photometric == Photometric::WhiteIsZero {
        return Some("white is stored as 0".into());
    }
    if !page.orientation.is_upright() {
        return Some("its image is stored turned or mirrored".into());
    }
    (page.chunks.absent() == page.chunks.all()).then(|| "all of its tiles are absent".into())
}

impl JpegTiles {
    /// Starts with level 0, whose page has no [`obstacle`]. Its first tile is checked.
    pub(super) fn new(tiff: Arc<Tiff>, page: Page) -> Result<Self, Error> {
        let mut tiles = Self {
            tiff,
            tile_size: page.chunks.width,
            levels: Vec::new(),
            pages: Vec::new(),
            blanks: Vec::new(),
        };
        tiles.push(0, page)?;
        Ok(tiles)
    }

    /// Width and height of level 0.
    pub(super) fn full_size(&self) -> (u32, u32) {
        self.levels.first().map_or((1, 1), |level| (level.width, level.height))
    }

    /// Adds a page if it is a level on the same grid; else the answer says why it is left out.
    pub(super) fn join(&mut self, page: Page) -> Result<Option<String>, Error> {
        let (Some(level), Some(first)) = (self.levels.first(), self.pages.first()) else {
            return Ok(Some("there is no level 0".into()));
        };
        let size = (page.width, page.height);
        let Some(number) = level_of((level.width, level.height), size) else {
            return Ok(Some(format!("its {} x {} px are not level 0 halved a few times", size.0, size.1)));
        };
        if let Some(obstacle) = obstacle(&page) {
            return Ok(Some(obstacle));
        }
        if page.chunks.width != self.tile_size {
            return Ok(Some(format!(
                "its tiles are {} px wide, those of level 0 {}",
                page.chunks.width, self.tile_size
            )));
        }
        if (page.samples, &page.photometric) != (first.samples, &first.photometric) {
            return Ok(Some("its colours are stored in another way than those of level 0".into()));
        }
        if self.levels.iter().any(|level| level.level == number) {
            return Ok(Some(format!("level {number} is there already")));
        }
        self.push(number, page)?;
        Ok(None)
    }

    /// Adds a level whose first tile that is there decodes, and keeps the levels in order.
    fn push(&mut self, level: u8, page: Page) -> Result<(), Error> {
        let Compression::Jpeg(tables) = &page.compression else {
            return Err(self.tiff.malformed(&page.place, "is not JPEG"));
        };
        let (width, height, tables) = (page.width, page.height, tables.clone());
        let (colour, blank) = look_at_first(&self.tiff, &page, &tables)?;
        let at = self.levels.partition_point(|other| other.level < level);
        self.levels.insert(at, TileLevel { level, width, height, tables, colour, padded: true });
        self.pages.insert(at, page);
        self.blanks.insert(at, blank);
        Ok(())
    }
}

impl JpegTiles {
    /// A tile's bytes, if its own header agrees with the page about size and components.
    fn checked(&self, page: &Page, chunk: usize, bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
        let place = || format!("{}, {}", page.place, page.chunks.place(chunk));
        let header = jpeg::inspect(&bytes).map_err(|error| self.tiff.malformed(place(), error))?;
        check_header(&header, page).map_err(|what| self.tiff.malformed(place(), what))?;
        Ok(bytes)
    }
}

/// What a tile's header says that its page does not.
fn check_header(header: &jpeg::Header, page: &Page) -> Result<(), String> {
    let (width, height) = (page.chunks.width, page.chunks.height);
    let components = header.components.len();
    if (header.width, header.height) == (width, height) && components == page.samples {
        return Ok(());
    }
    Err(format!(
        "a JPEG of {} x {} px with {components} components, not {width} x {height} with {}",
        header.width, header.height, page.samples
    ))
}

/// The colour model to give with a page's tiles, of which the first that is there must decode, and what stands in the
/// place of those that are not.
fn look_at_first(tiff: &Tiff, page: &Page, tables: &[u8]) -> Result<(Colour, Vec<u8>), Error> {
    let first = (0..page.chunks.all()).find(|&chunk| !page.chunks.is_absent(chunk)).unwrap_or(0);
    let place = format!("{}, {}", page.place, page.chunks.place(first));
    let Some(stored) = page.chunks.bytes(tiff, &page.place, first)? else {
        return Err(tiff.malformed(place, "is absent"));
    };
    let damaged = |error: microtome_codec::Error| match error {
        microtome_codec::Error::Unsupported(_) => tiff.unsupported(&place, error),
        _ => tiff.malformed(&place, error),
    };
    let stream = jpeg::complete(tables, Colour::AsStored, &stored).map_err(damaged)?;
    let header = jpeg::inspect(&stream).map_err(damaged)?;
    header.check_displayable().map_err(damaged)?;
    let (width, height) = (page.chunks.width, page.chunks.height);
    check_header(&header, page).map_err(|what| tiff.malformed(&place, what))?;
    turbo::decode(&stream, u64::from(width) * u64::from(height)).map_err(damaged)?;
    let blank = match page.chunks.absent() {
        0 => Vec::new(),
        _ => {
            let rgb = page.photometric == Photometric::Rgb;
            blank_like(&stream, page.absent[0], rgb, (width, height)).map_err(damaged)?
        }
    };
    // The page says it for all its tiles, as libtiff reads it; the markers of a single tile say it for none other.
    Ok((page.jpeg_colour(), blank))
}

impl Tiles for JpegTiles {
    fn tile_size(&self) -> u32 {
        self.tile_size
    }

    fn overlap(&self) -> u32 {
        0
    }

    fn levels(&self) -> &[TileLevel] {
        &self.levels
    }

    fn tile(&self, index: usize, column: u32, row: u32) -> Result<Vec<u8>, Error> {
        let page =
            self.pages.get(index).filter(|page| column < page.chunks.columns && row < page.chunks.rows);
        let Some(page) = page else {
            let place = format!("tile column {column} row {row} of the level at {index}");
            return Err(self.tiff.malformed(place, "is outside the tile grid"));
        };
        let chunk = row as usize * page.chunks.columns as usize + column as usize;
        match page.chunks.bytes(&self.tiff, &page.place, chunk)? {
            Some(bytes) => self.checked(page, chunk, bytes),
            None => Ok(self.blanks.get(index).cloned().unwrap_or_default()),
        }
    }

    fn is_absent(&self, index: usize, column: u32, row: u32) -> bool {
        let page = self.pages.get(index).filter(|page| column < page.chunks.columns);
        page.is_some_and(|page| {
            page.chunks.is_absent(row as usize * page.chunks.columns as usize + column as usize)
        })
    }
}
