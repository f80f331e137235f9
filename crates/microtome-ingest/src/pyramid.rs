//! Filling a container with tiles: families first, then the coarse levels.
//!
//! A family is coded as a whole, in file order, on the calling rayon pool: its base tile, what is predicted from it, and
//! what is predicted from that. Coarse levels follow one after the other; what they need of a finer level is read back
//! from the writer's spool or from the source. So memory holds a family per thread whatever the size of the slide.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use microtome_codec::Rgb;
use microtome_codec::cross_scale::{Picture, Reference};
use microtome_container::Writer;
use microtome_container::geometry::{Grid, Rect, TileId};
use microtome_slide::{mosaic, reference, workspace};
use rayon::prelude::*;

use crate::Error;
use crate::coder::Coder;
use crate::ingest::Progress;
use crate::material::{Material, Materials};
use crate::plan::Origin;

/// A family's levels in the order in which one is predicted from those before it.
const FAMILY_LEVELS: [u8; 3] = [2, 0, 1];

/// Most pixels that a tile is made of where a level has holes: 16 times 16 tiles of 256 px.
const MOST_REDUCED: u64 = 1 << 24;

/// An ingest under way.
pub(crate) struct Pyramid<'a> {
    pub(crate) materials: &'a Materials<'a>,
    pub(crate) coder: &'a Coder<'a>,
    pub(crate) writer: &'a Writer,
    pub(crate) grids: &'a [Grid],
    pub(crate) progress: &'a dyn Progress,
    pub(crate) cancelled: &'a AtomicBool,
}

impl Pyramid<'_> {
    /// Stores every tile of every stored level.
    pub(crate) fn fill(&self) -> Result<(), Error> {
        let layout = self.writer.layout();
        layout.families().par_bridge().try_for_each(|(x, y)| self.family(x, y))?;
        for (level, grid) in (0_u8..).zip(self.grids).skip(3) {
            if self.materials.plan.levels[usize::from(level)].stored {
                (0..grid.tiles()).into_par_iter().try_for_each(|i| {
                    let (column, row) = grid.position(i);
                    self.coarse(TileId { level, column, row })
                })?;
            }
        }
        Ok(())
    }

    fn family(&self, x: u32, y: u32) -> Result<(), Error> {
        let family = self.materials.family(self.writer.layout(), x, y)?;
        let mut pictures: Vec<(TileId, Option<Arc<Picture>>)> = vec![];
        for level in FAMILY_LEVELS {
            for tile in family.tiles(level) {
                let known = |tile: TileId| {
                    let known = pictures.iter().find(|(known, _)| *known == tile);
                    Ok(known.and_then(|(_, picture)| picture.clone()))
                };
                let picture = self.store(tile, family.material(tile)?, known)?;
                pictures.push((tile, picture));
            }
        }
        workspace::give_back(pictures.into_iter().filter_map(|(_, picture)| picture));
        Ok(())
    }

    /// Stores a tile of level 3 or coarser.
    fn coarse(&self, tile: TileId) -> Result<(), Error> {
        let material = match self.materials.plan.origins[usize::from(tile.level)] {
            Origin::Verbatim(source) => Material::Record(self.materials.record(source, tile)?),
            Origin::Made(finer) => Material::Pixels(self.reduced(finer, tile)?),
            Origin::Quantised | Origin::Derived => {
                unreachable!("a coarse level is kept, made, or not stored")
            }
        };
        self.store(tile, material, |tile| self.read_picture(tile)).map(drop)
    }

    /// Codes and stores a tile, given the pictures of others, and returns its own if there is a use for it.
    fn store(
        &self,
        tile: TileId,
        material: Material,
        picture: impl FnMut(TileId) -> Result<Option<Arc<Picture>>, Error>,
    ) -> Result<Option<Arc<Picture>>, Error> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let kind = self.coder.codec().kind(tile.level);
        let coded = reference::with(kind, self.grids, tile, picture, |reference| {
            self.coder.code(tile, material, reference)
        })??;
        self.writer.put(tile, &coded.payload)?;
        let rect = self.materials.rect(tile);
        let pixels = u64::from(rect.width) * u64::from(rect.height);
        self.progress.advance(pixels, coded.payload.len() as u64);
        Ok(coded.picture)
    }

    /// The samples of a tile that is stored already, of a level that is predicted from no other.
    fn read_picture(&self, tile: TileId) -> Result<Option<Arc<Picture>>, Error> {
        let (payload, size) = self.read(tile)?;
        let picture = workspace::with(|workspace| {
            self.coder.codec().picture(tile.level, size, &payload, Reference::None, workspace)
        });
        picture.map(|picture| picture.map(Arc::new)).map_err(|e| self.codec_error(tile, &e))
    }

    /// The pixels of a tile of a level made from `finer`: an exact 2 x 2 average, once or twice; more often where `finer` has a
    /// hole, from what shows the tissue there.
    fn reduced(&self, finer: u8, tile: TileId) -> Result<Rgb, Error> {
        let Materials { plan, .. } = self.materials;
        let rect = self.materials.rect(tile);
        let area =
            |from: u8| (from..tile.level).rev().fold(rect, |rect, k| mosaic::finer(rect, &plan.grid(k)));
        let from = self.without_holes(finer, area);
        let pixels = match plan.origins[usize::from(from)] {
            Origin::Verbatim(index) => self.materials.region(index, from, area(from))?,
            _ => self.region(from, area(from))?,
        };
        Ok((from..tile.level).fold(pixels, |pixels, _| pixels.reduced()))
    }

    /// `finer`, or if a tile there is blank and not the source's, the next level without such tiles, if it is not too large for that.
    fn without_holes(&self, finer: u8, area: impl Fn(u8) -> Rect) -> u8 {
        let has_holes = |level: u8| match self.materials.plan.origins[usize::from(level)] {
            Origin::Verbatim(index) => Some(self.materials.is_blank_in(index, level, area(level))),
            _ => None,
        };
        if has_holes(finer) != Some(true) {
            return finer;
        }
        let is_small =
            |level: &u8| u64::from(area(*level).width) * u64::from(area(*level).height) <= MOST_REDUCED;
        let mut finest = (0..finer).rev().take_while(is_small);
        finest.find(|&level| has_holes(level) == Some(false)).unwrap_or(finer)
    }

    /// The pixels of `rect` of a level that was made, and is predicted from no other.
    fn region(&self, level: u8, rect: Rect) -> Result<Rgb, Error> {
        mosaic::assemble(&self.materials.plan.grid(level), rect, |column, row| {
            let tile = TileId { level, column, row };
            let (payload, size) = self.read(tile)?;
            let record = workspace::with(|workspace| {
                self.coder.codec().record(level, size, &payload, Reference::None, workspace)
            });
            self.materials.decoded(tile, &record.map_err(|e| self.codec_error(tile, &e))?)
        })
    }

    /// A tile's payload, and its size in pixels.
    fn read(&self, tile: TileId) -> Result<(Bytes, [u32; 2]), Error> {
        let stored = self.writer.get(tile)?;
        let payload = stored.expect("a finer level is complete before a coarser one is made").into();
        let Rect { width, height, .. } = self.materials.rect(tile);
        Ok((payload, [width, height]))
    }

    fn codec_error(&self, tile: TileId, error: &microtome_codec::Error) -> Error {
        let path = self.materials.name.to_owned();
        Error::Malformed { path, place: tile.to_string(), what: error.to_string() }
    }
}
