//! The baseline: a pyramid of JPEG tiles as libjpeg-turbo makes it from the source's own pixels.

use std::fs;
use std::path::{Path, PathBuf};

use microtome_codec::Rgb;
use microtome_codec::turbo::{self, Subsampling};
use microtome_slide::deepzoom::Descriptor;
use microtome_slide::{Grid, Rect, mosaic};
use rayon::prelude::*;

use super::{lepton, standard};
use crate::failure::Failure;
use crate::publish;

const TILE_SIZE: u32 = 256;

/// The pixels of every level, each the 2 x 2 averages of the one before.
pub(super) struct Levels(Vec<Rgb>);

impl Levels {
    /// All levels down to 1 x 1 px.
    pub(super) fn new(source: Rgb) -> Self {
        let mut levels = vec![source];
        while let Some(finer) = levels.last().filter(|l| (l.width(), l.height()) != (1, 1)) {
            levels.push(finer.reduced());
        }
        Self(levels)
    }

    /// The pixels of a level.
    pub(super) fn pixels(&self, level: usize) -> &Rgb {
        &self.0[level]
    }

    /// The baseline: 4:2:0, optimised Huffman tables.
    pub(super) fn encode(&self, quality: u8) -> Result<Pyramid, Failure> {
        let encode = |tile: &Rgb| {
            turbo::encode(tile, quality, Subsampling::Chroma420).map_err(|e| Failure::Failed(e.to_string()))
        };
        let levels = self.0.iter().map(|pixels| Ok((grid(pixels), tiles(pixels, encode)?)));
        Ok(Pyramid(levels.collect::<Result<_, Failure>>()?))
    }

    /// Bytes of the same pyramid with the standard's Huffman tables.
    pub(super) fn standard_bytes(&self, quality: u8) -> Result<u64, Failure> {
        let bytes = |pixels| Ok(total(&tiles(pixels, |tile| standard::encode(tile, quality))?));
        self.0.iter().map(bytes).sum()
    }
}

fn grid(pixels: &Rgb) -> Grid {
    Grid { width: pixels.width(), height: pixels.height(), tile_size: TILE_SIZE, overlap: 0 }
}

/// Bytes of tiles.
fn total(tiles: &[Vec<u8>]) -> u64 {
    tiles.iter().map(|jpeg| jpeg.len() as u64).sum()
}

/// The tiles of a level, row by row.
fn tiles(
    pixels: &Rgb,
    encode: impl Fn(&Rgb) -> Result<Vec<u8>, Failure> + Sync,
) -> Result<Vec<Vec<u8>>, Failure> {
    let grid = grid(pixels);
    let tile = |index| {
        let (column, row) = grid.position(index);
        let rect = grid.tile_rect(column, row).expect("the index is below the number of tiles");
        encode(&pixels.crop(rect.x, rect.y, rect.width, rect.height))
    };
    (0..grid.tiles()).into_par_iter().map(tile).collect()
}

/// JPEG tiles of every level, row by row.
pub(super) struct Pyramid(Vec<(Grid, Vec<Vec<u8>>)>);

impl Pyramid {
    /// Bytes of each level, headers and all.
    pub(super) fn level_bytes(&self) -> Vec<u64> {
        self.0.iter().map(|(_, tiles)| total(tiles)).collect()
    }

    /// Bytes of all levels.
    pub(super) fn bytes(&self) -> u64 {
        self.level_bytes().iter().sum()
    }

    /// Lepton's bytes of all levels.
    pub(super) fn lepton_bytes(&self) -> u64 {
        let level = |(grid, tiles): &(Grid, Vec<Vec<u8>>)| {
            let some = tiles.par_iter().step_by(lepton::step(grid.tiles()) as usize);
            let sample = some
                .map(|jpeg| lepton::Sample::of(jpeg))
                .reduce(lepton::Sample::default, lepton::Sample::add);
            sample.scaled_to(total(tiles))
        };
        self.0.iter().map(level).sum()
    }

    /// The pixels that a viewer sees of a level.
    pub(super) fn decode(&self, level: usize) -> Result<Rgb, Failure> {
        let (grid, tiles) = &self.0[level];
        let all = Rect { x: 0, y: 0, width: grid.width, height: grid.height };
        mosaic::assemble(grid, all, |column, row| {
            let jpeg = &tiles[row as usize * grid.columns() as usize + column as usize];
            turbo::decode(jpeg, u64::from(TILE_SIZE).pow(2))
                .map_err(|error| Failure::Failed(error.to_string()))
        })
    }

    /// Writes the tiles as a Deep Zoom folder, and gives its descriptor's path.
    pub(super) fn write(&self, folder: &Path) -> Result<PathBuf, Failure> {
        let (full, _) = &self.0[0];
        let descriptor = Descriptor {
            width: full.width,
            height: full.height,
            tile_size: TILE_SIZE,
            overlap: 0,
            format: "jpg".to_owned(),
        };
        for (level, (grid, tiles)) in self.0.iter().enumerate() {
            let folder = folder.join("pyramid_files").join(descriptor.number_of(level as u8).to_string());
            fs::create_dir_all(&folder).map_err(|error| publish::unwritable(&folder, &error))?;
            for (index, jpeg) in tiles.iter().enumerate() {
                let (column, row) = grid.position(index as u64);
                let path = folder.join(format!("{column}_{row}.jpg"));
                fs::write(&path, jpeg).map_err(|error| publish::unwritable(&path, &error))?;
            }
        }
        let path = folder.join("pyramid.dzi");
        fs::write(&path, descriptor.to_xml()).map_err(|error| publish::unwritable(&path, &error))?;
        Ok(path)
    }
}
