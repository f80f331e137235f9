//! The baseline of a slide that has JPEG tiles: these tiles, as they are, with optimised Huffman tables and with the standard's.

use microtome_codec::jpeg;
use microtome_ingest::source::{TileLevel, Tiles};
use microtome_slide::Grid;
use rayon::prelude::*;

use super::lepton;
use super::standard;
use crate::failure::Failure;

/// Bytes of a pyramid that was there before.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Its own bytes, tables shared by a level's tiles counted once.
    pub(super) as_found: u64,
    /// With the standard's Huffman tables.
    pub(super) standard_tables: u64,
    /// Bytes per level with optimised Huffman tables; 0 for levels that the source does not have.
    pub(super) level_bytes: Vec<u64>,
    /// Lepton's bytes.
    pub(super) lepton: u64,
}

/// What the tiles of a level take.
#[derive(Default)]
struct Sums {
    found: u64,
    standard_tables: u64,
    optimised: u64,
    sample: lepton::Sample,
}

impl Sums {
    fn add(self, other: Self) -> Self {
        Self {
            found: self.found + other.found,
            standard_tables: self.standard_tables + other.standard_tables,
            optimised: self.optimised + other.optimised,
            sample: self.sample.add(other.sample),
        }
    }
}

/// Reads every tile of the source.
pub(super) fn measure(tiles: &dyn Tiles) -> Result<Found, Failure> {
    let mut found = Found::default();
    for (index, level) in tiles.levels().iter().enumerate() {
        let sums = level_sums(tiles, index, level)?;
        found.as_found += sums.found + level.tables.len() as u64;
        found.standard_tables += sums.standard_tables;
        found.lepton += sums.sample.scaled_to(sums.optimised);
        let place = usize::from(level.level);
        found.level_bytes.resize(found.level_bytes.len().max(place + 1), 0);
        found.level_bytes[place] = sums.optimised;
    }
    Ok(found)
}

fn level_sums(tiles: &dyn Tiles, index: usize, level: &TileLevel) -> Result<Sums, Failure> {
    let &TileLevel { width, height, ref tables, colour, .. } = level;
    let grid = Grid { width, height, tile_size: tiles.tile_size(), overlap: tiles.overlap() };
    let step = lepton::step(grid.tiles());
    let one = |number: u64| {
        let (column, row) = grid.position(number);
        let stored = tiles.tile(index, column, row)?;
        let found = stored.len() as u64;
        let complete = jpeg::complete(tables, colour, &stored)
            .map_err(|error| Failure::Failed(format!("{}: {error}", tiles.place(index, column, row))))?;
        let standard_tables = standard::length_with_standard_tables(&complete) as u64;
        let optimised = standard::optimised(complete);
        let sampled = number.is_multiple_of(step).then(|| lepton::Sample::of(&optimised));
        let (optimised, sample) = (optimised.len() as u64, sampled.unwrap_or_default());
        Ok(Sums { found, standard_tables, optimised, sample })
    };
    (0..grid.tiles()).into_par_iter().map(one).try_reduce(Sums::default, |a, b| Ok(a.add(b)))
}
