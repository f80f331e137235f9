//! The tiles of an export, level by level from the finest. A level that is stored with a size rounded down, as TIFF
//! pyramids have it, is made anew: Deep Zoom rounds up, and its readers ask for what that gives.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use microtome_codec::Rgb;
use microtome_codec::turbo::{self, Subsampling};
use microtome_container::geometry::level_length;
use microtome_slide::deepzoom::Descriptor;
use microtome_slide::{Grid, Rect, Slide, TileId, mosaic};
use rayon::prelude::*;

use crate::failure::Failure;
use crate::progress::stop_on_signals;
use crate::publish;

/// Quality of tiles made anew: that of levels which ingest makes beside tiles that it keeps.
const QUALITY: u8 = 85;

/// The levels of a slide on their way to a folder.
pub(super) struct Levels<'a> {
    pub(super) slide: &'a Slide,
    pub(super) descriptor: &'a Descriptor,
    /// The folder of the levels' folders.
    pub(super) files: &'a Path,
}

impl Levels<'_> {
    /// Writes the tiles of a level and counts them. The levels finer than it have been written.
    pub(super) fn write(&self, level: u8) -> Result<u64, Failure> {
        let folder = self.folder(level);
        fs::create_dir_all(&folder).map_err(|error| publish::unwritable(&folder, &error))?;
        let grid = self.grid(level);
        let anew = self.is_rounded_down(level);
        let stop = stop_on_signals();
        (0..grid.tiles()).into_par_iter().try_for_each(|i| {
            if stop.load(Ordering::Relaxed) {
                let what = "interrupted; nothing was written under the final name";
                return Err(Failure::Failed(what.to_owned()));
            }
            let (column, row) = grid.position(i);
            let tile = TileId { level, column, row };
            let path = self.path(tile);
            let written = if anew {
                fs::write(&path, self.made(tile)?)
            } else {
                fs::write(&path, self.slide.tile(tile)?)
            };
            written.map_err(|error| publish::unwritable(&path, &error))
        })?;
        Ok(grid.tiles())
    }

    /// Whether the container has the level smaller than Deep Zoom does.
    pub(super) fn is_rounded_down(&self, level: u8) -> bool {
        self.slide.levels()[usize::from(level)] != self.grid(level)
    }

    /// The level's grid by Deep Zoom's rule.
    fn grid(&self, level: u8) -> Grid {
        let full = self.slide.levels()[0];
        let (width, height) = (level_length(full.width, level), level_length(full.height, level));
        Grid { width, height, ..full }
    }

    /// A tile made of the finer level by 2 x 2 averages.
    fn made(&self, tile: TileId) -> Result<Vec<u8>, Failure> {
        let rect = self.grid(tile.level).tile_rect(tile.column, tile.row);
        let rect = rect.ok_or(microtome_slide::Error::OutsideSlide(tile))?;
        // Level 0 is never rounded down.
        let finer = tile.level - 1;
        let pixels = self.pixels(finer, mosaic::finer(rect, &self.grid(finer)))?.reduced();
        turbo::encode(&pixels, QUALITY, Subsampling::Chroma420)
            .map_err(|error| Failure::Failed(format!("{tile}: {error}")))
    }

    /// Pixels of a level that has been written. Of one made anew they are read back from its tiles: reducing them
    /// from further below would take four times the memory with each level.
    fn pixels(&self, level: u8, rect: Rect) -> Result<Rgb, Failure> {
        if !self.is_rounded_down(level) {
            return Ok(self.slide.read_region(level, rect)?);
        }
        let grid = self.grid(level);
        mosaic::assemble(&grid, rect, |column, row| {
            let path = self.path(TileId { level, column, row });
            let failed = |what: String| Failure::Failed(format!("{}: {what}", path.display()));
            let jpeg = fs::read(&path).map_err(|error| failed(format!("cannot be read back: {error}")))?;
            let side = u64::from(grid.tile_size + 2 * grid.overlap);
            turbo::decode(&jpeg, side * side).map_err(|error| failed(error.to_string()))
        })
    }

    fn folder(&self, level: u8) -> PathBuf {
        self.files.join(self.descriptor.number_of(level).to_string())
    }

    fn path(&self, tile: TileId) -> PathBuf {
        let TileId { level, column, row } = tile;
        self.folder(level).join(format!("{column}_{row}.{}", self.descriptor.format))
    }
}
