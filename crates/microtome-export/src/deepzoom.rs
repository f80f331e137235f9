//! A Deep Zoom folder: the tiles of every level, as they are served.
//!
//! A level that is stored with a size rounded down, as TIFF pyramids have it, is made anew: Deep Zoom rounds up, and its
//! readers ask for what that gives. Not here: the descriptor, which is [`Descriptor::to_xml`].

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use microtome_codec::Rgb;
use microtome_codec::turbo::{self, Subsampling};
use microtome_container::geometry::level_length;
use microtome_slide::deepzoom::Descriptor;
use microtome_slide::{Grid, Rect, Slide, TileId, mosaic};
use rayon::prelude::*;

use crate::{Error, Report};

/// Writes the tiles of every level to folders in `files`, as the descriptor says. Tiles that have to be made anew have
/// this quality, 1 to 100.
///
/// # Errors
/// Any of [`Error`]; `files` then holds some of the tiles.
pub fn write(
    slide: &Slide,
    descriptor: &Descriptor,
    quality: u8,
    files: &Path,
    cancelled: &AtomicBool,
) -> Result<Report, Error> {
    let levels = Levels { slide, descriptor, quality, files, cancelled };
    let mut report = Report::default();
    for level in 0..slide.levels().len() as u8 {
        report.tiles += levels.write(level)?;
        if levels.is_rounded_down(level) {
            let Grid { width, height, .. } = slide.levels()[usize::from(level)];
            report.notices.push(format!(
                "level {level} was stored rounded down ({width} x {height} px); its tiles were made anew"
            ));
        }
    }
    Ok(report)
}

/// The levels of a slide on their way to a folder.
struct Levels<'a> {
    slide: &'a Slide,
    descriptor: &'a Descriptor,
    quality: u8,
    /// The folder of the levels' folders.
    files: &'a Path,
    cancelled: &'a AtomicBool,
}

impl Levels<'_> {
    /// Writes the tiles of a level and counts them. The levels finer than it have been written.
    fn write(&self, level: u8) -> Result<u64, Error> {
        let folder = self.folder(level);
        fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, error))?;
        let grid = self.grid(level);
        let anew = self.is_rounded_down(level);
        (0..grid.tiles()).into_par_iter().try_for_each(|i| {
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let (column, row) = grid.position(i);
            let tile = TileId { level, column, row };
            let path = self.path(tile);
            let written = if anew {
                fs::write(&path, self.made(tile)?)
            } else {
                fs::write(&path, self.slide.tile(tile)?)
            };
            written.map_err(|error| unwritable(&path, error))
        })?;
        Ok(grid.tiles())
    }

    /// Whether the container has the level smaller than Deep Zoom does.
    fn is_rounded_down(&self, level: u8) -> bool {
        self.slide.levels()[usize::from(level)] != self.grid(level)
    }

    /// The level's grid by Deep Zoom's rule.
    fn grid(&self, level: u8) -> Grid {
        let full = self.slide.levels()[0];
        let (width, height) = (level_length(full.width, level), level_length(full.height, level));
        Grid { width, height, ..full }
    }

    /// A tile made of the finer level by 2 x 2 averages.
    fn made(&self, tile: TileId) -> Result<Vec<u8>, Error> {
        let rect = self.grid(tile.level).tile_rect(tile.column, tile.row);
        let rect = rect.ok_or(microtome_slide::Error::OutsideSlide(tile))?;
        // Level 0 is never rounded down.
        let finer = tile.level - 1;
        let pixels = self.pixels(finer, mosaic::finer(rect, &self.grid(finer)))?.reduced();
        turbo::encode(&pixels, self.quality, Subsampling::Chroma420)
            .map_err(|error| self.unencodable(tile, &error))
    }

    /// Pixels of a level that has been written. Of one made anew they are read back from its tiles: reducing them
    /// from further below would take four times the memory with each level.
    fn pixels(&self, level: u8, rect: Rect) -> Result<Rgb, Error> {
        if !self.is_rounded_down(level) {
            return Ok(self.slide.read_region(level, rect)?);
        }
        let grid = self.grid(level);
        mosaic::assemble(&grid, rect, |column, row| {
            let path = self.path(TileId { level, column, row });
            let jpeg = fs::read(&path).map_err(|error| unwritable(&path, error))?;
            let side = u64::from(grid.tile_size + 2 * grid.overlap);
            let tile = TileId { level, column, row };
            turbo::decode(&jpeg, side * side).map_err(|error| self.unencodable(tile, &error))
        })
    }

    fn unencodable(&self, tile: TileId, error: &microtome_codec::Error) -> Error {
        let path = self.slide.container().path().to_owned();
        Error::Unsupported { path, what: format!("{tile}: cannot be made anew: {error}") }
    }

    fn folder(&self, level: u8) -> PathBuf {
        self.files.join(self.descriptor.number_of(level).to_string())
    }

    fn path(&self, tile: TileId) -> PathBuf {
        let TileId { level, column, row } = tile;
        self.folder(level).join(format!("{column}_{row}.{}", self.descriptor.format))
    }
}

fn unwritable(path: &Path, cause: std::io::Error) -> Error {
    Error::Write { path: path.to_owned(), cause }
}
