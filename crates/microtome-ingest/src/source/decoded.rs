//! A tiled source as pixels: for PNG tiles, and where JPEG tiles are to be quantised anew.

use microtome_codec::Rgb;
use microtome_codec::payload::VerbatimParams;
use microtome_codec::turbo;
use microtome_container::geometry::{Grid, Rect};
use microtome_slide::mosaic;

use crate::Error;
use crate::source::{Pixels, Tiles};

/// The pixels of `rect` from the decoded tiles of `grid`. A rectangle that is a tile's own costs that tile alone.
///
/// # Errors
/// The first error of `tile`.
pub(crate) fn region(
    grid: &Grid,
    rect: Rect,
    mut tile: impl FnMut(u32, u32) -> Result<Rgb, Error>,
) -> Result<Rgb, Error> {
    let (column, row) = ((rect.x + grid.overlap) / grid.tile_size, (rect.y + grid.overlap) / grid.tile_size);
    if grid.tile_rect(column, row) == Some(rect) {
        return tile(column, row);
    }
    mosaic::assemble(grid, rect, tile)
}

/// Sees whether a tile says that it has the size that the grid says: before it is decoded, which takes as much memory as it
/// says.
///
/// # Errors
/// [`Error::Malformed`] naming the tile and both sizes.
pub(crate) fn check_size(
    path: &str,
    grid: &Grid,
    (column, row): (u32, u32),
    (width, height): (u32, u32),
) -> Result<(), Error> {
    match grid.tile_rect(column, row) {
        Some(rect) if (rect.width, rect.height) == (width, height) => Ok(()),
        expected => {
            let expected = expected.map_or("none".to_owned(), |r| format!("{} x {} px", r.width, r.height));
            Err(Error::Malformed {
                path: path.to_owned(),
                place: format!("tile column {column} row {row}"),
                what: format!("{width} x {height} px where the grid has {expected}; restore it"),
            })
        }
    }
}

/// JPEG tiles of level 0, decoded.
pub(crate) struct DecodedTiles {
    tiles: Box<dyn Tiles>,
    params: VerbatimParams,
}

impl DecodedTiles {
    pub(crate) fn new(tiles: Box<dyn Tiles>) -> Self {
        let params = VerbatimParams::completing(vec![tiles.levels()[0].stream(tiles.tile_size())]);
        Self { tiles, params }
    }

    /// What is to be said of tiles that the source lacks, if it does: among pixels nothing tells them from others.
    pub(crate) fn absence(&self) -> Option<String> {
        let grid = self.grid();
        let is_absent = |number| {
            let (column, row) = grid.position(number);
            self.tiles.is_absent(0, column, row)
        };
        let absent = (0..grid.tiles()).filter(|&number| is_absent(number)).count();
        let all = grid.tiles();
        (absent > 0)
            .then(|| format!("{absent} of {all} tiles of level 0 are absent in the source: they are white"))
    }

    /// The grid of level 0.
    fn grid(&self) -> Grid {
        let level = &self.tiles.levels()[0];
        Grid {
            width: level.width,
            height: level.height,
            tile_size: self.tiles.tile_size(),
            overlap: self.tiles.overlap(),
        }
    }
}

impl Pixels for DecodedTiles {
    fn tile_size(&self) -> u32 {
        self.tiles.tile_size()
    }

    fn overlap(&self) -> u32 {
        self.tiles.overlap()
    }

    fn is_in_such_tiles(&self) -> bool {
        true
    }

    fn read(&self, rect: Rect) -> Result<Rgb, Error> {
        let grid = self.grid();
        region(&grid, rect, |column, row| {
            let size = grid.tile_rect(column, row).expect("the rectangle lies within the level");
            let payload = self.tiles.tile(0, column, row)?.into();
            let jpeg = self.params.to_jpeg(0, size.width, size.height, &payload);
            jpeg.and_then(|jpeg| turbo::decode(&jpeg, u64::from(size.width) * u64::from(size.height)))
                .map_err(|e| {
                    let place = "tile".to_owned();
                    Error::Malformed { path: self.tiles.place(0, column, row), place, what: e.to_string() }
                })
        })
    }
}
