//! Tiles cut out of the coefficients of a level.
//!
//! Restart intervals are wide and flat, tiles are square: a block of neighbouring tiles is cut at once, out of the
//! intervals that it touches, so that these are decoded once or twice and not for each tile. Blocks are kept as tiles,
//! which are small. Not here: where intervals are in the file.

use microtome_codec::coefficients::{Parser, Template, Tile, Writer};

use super::super::ifd::Tiff;
use super::scan::{Scan, refusal};
use crate::Error;
use crate::source::cache::Cache;
use crate::source::{TileLevel, Tiles, level_of};

/// Side of the tiles that are cut.
const TILE_SIZE: u32 = 256;
/// Pixels of a level's blocks that are kept, as JPEG: 10 to 30 MiB of a slide.
const CACHE_PIXELS: usize = 96 << 20;
/// Tiles of a row that are cut at once: their coefficients take 200 to 400 KiB each.
const MAX_BLOCK_COLUMNS: usize = 32;

/// The levels of an NDPI file.
pub(super) struct NdpiTiles {
    tiff: Tiff,
    // Invariant: one cut per level.
    levels: Vec<TileLevel>,
    cuts: Vec<Cut>,
}

/// A level that is cut into tiles.
struct Cut {
    scan: Scan,
    template: Template,
    /// MCUs of a tile, across and down.
    unit: (usize, usize),
    /// Columns and rows of tiles.
    grid: (usize, usize),
    /// Columns and rows of a block, in tiles.
    block: (usize, usize),
    /// Tiles of a block, row by row.
    cache: Cache<Vec<Vec<u8>>>,
}

impl NdpiTiles {
    /// Starts with level 0. Its first tile is cut, to see that this can be done.
    pub(super) fn new(tiff: Tiff, scan: Scan) -> Result<Self, Error> {
        let mut tiles = Self { tiff, levels: vec![], cuts: vec![] };
        tiles.push(0, scan)?;
        tiles.tile(0, 0, 0)?;
        Ok(tiles)
    }

    /// The file.
    pub(super) fn tiff(&self) -> &Tiff {
        &self.tiff
    }

    /// Adds a smaller level; the answer says why it is left out, if it is.
    pub(super) fn join(&mut self, scan: Scan) -> Result<Option<String>, Error> {
        let full = (self.levels[0].width, self.levels[0].height);
        let size = (scan.width, scan.height);
        let Some(number) = level_of(full, size) else {
            return Ok(Some(format!("its {} x {} px are not level 0 halved a few times", size.0, size.1)));
        };
        if self.levels.iter().any(|level| level.level == number) {
            return Ok(Some(format!("level {number} is there already")));
        }
        self.push(number, scan)?;
        Ok(None)
    }

    fn push(&mut self, level: u8, scan: Scan) -> Result<(), Error> {
        let cut = Cut::new(&self.tiff, scan)?;
        let Scan { width, height, colour, .. } = cut.scan;
        let at = self.levels.partition_point(|other| other.level < level);
        self.levels.insert(at, TileLevel { level, width, height, tables: vec![], colour, padded: false });
        self.cuts.insert(at, cut);
        Ok(())
    }
}

impl Cut {
    fn new(tiff: &Tiff, scan: Scan) -> Result<Self, Error> {
        let mcu = scan.header.mcu_size();
        if !TILE_SIZE.is_multiple_of(mcu.0) || !TILE_SIZE.is_multiple_of(mcu.1) {
            let what = format!("MCUs of {} x {} px, which do not fill tiles of {TILE_SIZE}", mcu.0, mcu.1);
            return Err(tiff.unsupported(&scan.place, what));
        }
        let template = scan.header.template().map_err(|error| refusal(tiff, &scan.place, &error))?;
        let unit = ((TILE_SIZE / mcu.0) as usize, (TILE_SIZE / mcu.1) as usize);
        let grid = (scan.columns.div_ceil(unit.0), scan.rows.div_ceil(unit.1));
        // As many tiles as an interval is wide and high.
        let across = scan.interval.min(scan.columns).div_ceil(unit.0).clamp(1, MAX_BLOCK_COLUMNS);
        let down = scan.interval.div_ceil(scan.columns).div_ceil(unit.1).clamp(1, grid.1);
        let pixels = across * down * (TILE_SIZE * TILE_SIZE) as usize;
        let cache = Cache::new(CACHE_PIXELS / pixels);
        Ok(Self { scan, template, unit, grid, block: (across, down), cache })
    }

    /// A tile's JPEG. `column` and `row` are within the grid.
    fn tile(&self, tiff: &Tiff, column: usize, row: usize) -> Result<Vec<u8>, Error> {
        let (x, y) = (column / self.block.0, row / self.block.1);
        let tiles = self.cache.get(y * self.grid.0 + x, || self.block(tiff, x, y))?;
        let per_row = self.block.0.min(self.grid.0 - x * self.block.0);
        Ok(tiles[(row - y * self.block.1) * per_row + column - x * self.block.0].clone())
    }

    /// Cuts the tiles of the block at column `x` and row `y` of blocks.
    fn block(&self, tiff: &Tiff, x: usize, y: usize) -> Result<Vec<Vec<u8>>, Error> {
        let failed = |error| refusal(tiff, &self.scan.place, &error);
        let columns = x * self.block.0..self.grid.0.min((x + 1) * self.block.0);
        let rows = y * self.block.1..self.grid.1.min((y + 1) * self.block.1);
        let mut tiles = Vec::with_capacity(columns.len() * rows.len());
        for row in rows.clone() {
            for column in columns.clone() {
                let length = |full: u32, index: usize| TILE_SIZE.min(full - index as u32 * TILE_SIZE);
                let (width, height) = (length(self.scan.width, column), length(self.scan.height, row));
                let mut tile = Tile::new();
                self.template.planes_for(width, height, &mut tile).map_err(failed)?;
                tiles.push(tile);
            }
        }
        self.fill(tiff, (columns.start, rows.start), columns.len(), &mut tiles)?;
        let mut writer = Writer::new();
        let written = tiles.iter().map(|tile| {
            let mut stream = vec![];
            writer.write(&self.template, tile, &mut stream).map(|()| stream)
        });
        written.collect::<Result<_, _>>().map_err(failed)
    }

    /// Fills the tiles of a block, whose first is at `origin` of the grid, with `per_row` in a row.
    fn fill(
        &self,
        tiff: &Tiff,
        origin: (usize, usize),
        per_row: usize,
        tiles: &mut [Tile],
    ) -> Result<(), Error> {
        let scan = &self.scan;
        let (left, top) = (origin.0 * self.unit.0, origin.1 * self.unit.1);
        let right = scan.columns.min(left + per_row * self.unit.0);
        let bottom = scan.rows.min(top + tiles.len() / per_row * self.unit.1);
        let (mut parser, mut piece) = (Parser::new(), Tile::new());
        let (mut decoded, mut across) = (None, 1);
        for row in top..bottom {
            let mut column = left;
            while column < right {
                let mcu = row * scan.columns + column;
                let interval = mcu / scan.interval;
                if decoded != Some(interval) {
                    across = scan.decode(tiff, interval, &mut parser, &mut piece)?;
                    decoded = Some(interval);
                }
                let (first, count) = scan.mcus(interval);
                let at = mcu - first;
                // Up to the end of the interval, of a row of its picture, of the tile, of the block.
                let run = (count - at)
                    .min(across - at % across)
                    .min(self.unit.0 - column % self.unit.0)
                    .min(right - column);
                let tile = (row - top) / self.unit.1 * per_row + (column - left) / self.unit.0;
                let target = (column % self.unit.0, row % self.unit.1);
                tiles[tile]
                    .copy_mcus(target, &piece, (at % across, at / across), run)
                    .map_err(|error| refusal(tiff, &scan.place, &error))?;
                column += run;
            }
        }
        Ok(())
    }
}

impl Tiles for NdpiTiles {
    fn tile_size(&self) -> u32 {
        TILE_SIZE
    }

    fn overlap(&self) -> u32 {
        0
    }

    fn levels(&self) -> &[TileLevel] {
        &self.levels
    }

    fn tile(&self, index: usize, column: u32, row: u32) -> Result<Vec<u8>, Error> {
        let (column, row) = (column as usize, row as usize);
        match self.cuts.get(index).filter(|cut| column < cut.grid.0 && row < cut.grid.1) {
            Some(cut) => cut.tile(&self.tiff, column, row),
            None => {
                let place = format!("tile column {column} row {row} of the level at {index}");
                Err(self.tiff.malformed(place, "is outside the tile grid"))
            }
        }
    }

    fn kept(&self) -> &'static str {
        "the source's JPEG coefficients, bit for bit, cut into tiles"
    }
}
