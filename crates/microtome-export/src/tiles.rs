//! The tiles of a level for formats that have them all of one size, without overlap, and of one kind: as they are where they
//! are so, else padded without touching a coefficient, else made anew from pixels.
//!
//! Not here: what a format calls them.

use bytes::Bytes;
use microtome_codec::coefficients;
use microtome_codec::jpeg::{self, Colour, Header};
use microtome_codec::payload::LevelStream;
use microtome_codec::turbo::{self, Subsampling};
use microtome_slide::{FetchedTile, Grid, Rect, Slide, TileId, mosaic};

use crate::Error;

/// Side of tiles that are made anew because those of the slide do not fit.
const TILE_SIZE: u32 = 256;
/// Tiles that are looked at to learn what the tiles of a level are like.
const SAMPLE: u64 = 16;

/// What all tiles of a level have in common: samples and how they make up a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    /// 1 or 3.
    pub(crate) components: u8,
    /// [`Colour::AsStored`] of a single component only.
    pub(crate) colour: Colour,
    /// Pixels per chroma sample, across and down; 1, 2 or 4.
    pub(crate) sampling: [u8; 2],
}

impl Form {
    /// The form of a tile whose colour is said to be `colour`; `None` if its sampling factors are odd ones.
    pub(crate) fn of(header: &Header, colour: Colour) -> Option<Self> {
        let [first, others @ ..] = &header.components[..] else { return None };
        let sampling = [first.horizontal, first.vertical];
        match others {
            [] => Some(Self { components: 1, colour: Colour::AsStored, sampling: [1, 1] }),
            [b, c] if [b.horizontal, b.vertical, c.horizontal, c.vertical] == [1; 4] => {
                let colour = if colour == Colour::AsStored { header.assumed_colour() } else { colour };
                let known = sampling.iter().all(|factor| [1, 2, 4].contains(factor));
                let fits = known && (colour == Colour::YCbCr || sampling == [1, 1]);
                fits.then_some(Self { components: 3, colour, sampling })
            }
            _ => None,
        }
    }

    /// What our encoder makes.
    fn made(chroma: Subsampling) -> Self {
        let sampling = match chroma {
            Subsampling::Chroma420 => [2, 2],
            Subsampling::Chroma422 => [2, 1],
            Subsampling::Chroma444 => [1, 1],
        };
        Self { components: 3, colour: Colour::YCbCr, sampling }
    }

    /// The chroma resolution to encode with for tiles of this form, where our encoder can.
    fn chroma(self) -> Option<Subsampling> {
        [Subsampling::Chroma420, Subsampling::Chroma422, Subsampling::Chroma444]
            .into_iter()
            .find(|&chroma| Self::made(chroma) == self)
    }
}

/// How a tile came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Making {
    /// As it is stored.
    Kept,
    /// Padded, all coefficients kept.
    Padded,
    /// Encoded anew from its pixels.
    Anew,
}

/// The tiles of a stored level.
pub(crate) struct LevelTiles<'a> {
    slide: &'a Slide,
    level: u8,
    /// The grid that they are on: without overlap.
    pub(crate) grid: Grid,
    pub(crate) form: Form,
    /// Tables that are left out of them.
    pub(crate) tables: Vec<u8>,
    /// Whether the slide's own tiles fit.
    keeps: bool,
    quality: u8,
}

/// Whether the tiles of a slide can be those of a format which wants no overlap and sides in steps of 16 pixels.
pub(crate) fn keeps_tiles(slide: &Slide) -> bool {
    let grid = slide.levels()[0];
    grid.overlap == 0 && grid.tile_size.is_multiple_of(16)
}

/// The levels to write: those that are stored, down to the first that fits a tile.
pub(crate) fn stored_levels(slide: &Slide) -> Vec<u8> {
    let side = if keeps_tiles(slide) { slide.levels()[0].tile_size } else { TILE_SIZE };
    let mut levels = Vec::new();
    for (level, grid) in (0_u8..).zip(slide.levels()) {
        if !slide.is_derived(level) {
            levels.push(level);
            if grid.width <= side && grid.height <= side {
                break;
            }
        }
    }
    levels
}

impl<'a> LevelTiles<'a> {
    /// Looks at some tiles of a stored level. What is made anew has this quality.
    pub(crate) fn open(slide: &'a Slide, level: u8, quality: u8) -> Result<Self, Error> {
        let stored = slide.levels()[usize::from(level)];
        let keeps = keeps_tiles(slide);
        let tile_size = if keeps { stored.tile_size } else { TILE_SIZE };
        let grid = Grid { tile_size, overlap: 0, ..stored };
        let (mut forms, mut tables) = (Vec::new(), Vec::new());
        for i in 0..stored.tiles().min(SAMPLE) {
            let (column, row) = stored.position(i * stored.tiles() / SAMPLE.min(stored.tiles()));
            let fetched = slide.fetch(TileId { level, column, row })?;
            let (_, form) = record(&fetched, slide)?;
            forms.extend(form);
            tables = fetched.level_stream().map_or_else(Vec::new, |stream| stream.tables.clone());
        }
        let often = |form: &Form| forms.iter().filter(|other| *other == form).count();
        let mut form = forms.iter().copied().max_by_key(often).unwrap_or(Form::made(Subsampling::Chroma420));
        if !keeps {
            form = Form::made(form.chroma().unwrap_or(Subsampling::Chroma420));
            tables.clear();
        }
        Ok(Self { slide, level, grid, form, tables, keeps, quality })
    }

    /// The tile at a place of [`Self::grid`], of full size; it wants [`Self::tables`] and is of [`Self::form`], whatever
    /// its own markers say.
    pub(crate) fn tile(&self, column: u32, row: u32) -> Result<(Bytes, Making), Error> {
        if !self.keeps {
            let rect = self.grid.tile_rect(column, row).expect("a tile of the grid");
            let pixels = self.slide.read_region(self.level, rect)?;
            return self.encode(&pixels, column, row);
        }
        let fetched = self.slide.fetch(TileId { level: self.level, column, row })?;
        let (record, form) = record(&fetched, self.slide)?;
        let tables = fetched.level_stream().map_or(&[][..], |stream| &stream.tables);
        if form == Some(self.form) && tables == self.tables {
            let side = self.grid.tile_size;
            if size(&record) == Some((side, side)) {
                return Ok((record, Making::Kept));
            }
            if let Ok(padded) = coefficients::extended(&fetched.complete_padded(&record)?, side, side) {
                return Ok((padded.into(), Making::Padded));
            }
        }
        self.encode(&fetched.decode_pixels()?, column, row)
    }

    /// Encodes the pixels of a tile, at full size.
    fn encode(&self, pixels: &microtome_codec::Rgb, column: u32, row: u32) -> Result<(Bytes, Making), Error> {
        let unsupported = |what: String| {
            let tile = TileId { level: self.level, column, row };
            let path = self.slide.container().path().to_owned();
            Error::Unsupported { path, what: format!("{tile}: {what}; export to .dzi keeps it as it is") }
        };
        let Some(chroma) = self.form.chroma() else {
            let what = "is not like the other tiles of its level, and cannot be made so";
            return Err(unsupported(what.to_owned()));
        };
        let rect = |width, height| Rect { x: 0, y: 0, width, height };
        let full = rect(self.grid.tile_size, self.grid.tile_size);
        let pixels = mosaic::extended(pixels, rect(pixels.width(), pixels.height()), full);
        let jpeg = turbo::encode(&pixels, self.quality, chroma).map_err(|e| unsupported(e.to_string()))?;
        Ok((jpeg.into(), Making::Anew))
    }
}

/// The record of a stored tile and its form.
fn record(fetched: &FetchedTile, slide: &Slide) -> Result<(Bytes, Option<Form>), Error> {
    let record = fetched.record()?.ok_or_else(|| Error::Unsupported {
        path: slide.container().path().to_owned(),
        what: "a derived level has no tiles of its own".to_owned(),
    })?;
    let colour = fetched.level_stream().map_or(Colour::AsStored, |stream: &LevelStream| stream.colour);
    let form = jpeg::inspect(&record).ok().and_then(|header| Form::of(&header, colour));
    Ok((record, form))
}

/// Width and height of a stream, if it has any.
fn size(stream: &[u8]) -> Option<(u32, u32)> {
    jpeg::inspect(stream).ok().map(|header| (header.width, header.height))
}
