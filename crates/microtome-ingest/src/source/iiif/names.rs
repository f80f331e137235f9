//! Names of tiles in the IIIF Image API: `{region}/{size}/0/default.{extension}`, in the spellings that writers use.
//!
//! Canonical are `{x},{y},{w},{h}/{w},` in version 2 and `{x},{y},{w},{h}/{w},{h}` in version 3; a region that is the whole
//! image is `full`, a size that is the region's own is `full` or `max`. Sizes are rounded up as a rule. Not here: what is in the files.

use std::path::PathBuf;

use microtome_container::geometry::{Grid, level_length};

use super::info::Version;
use crate::Error;
use crate::source::tile_files::{Names, halved, is_there};

/// Whether a folder of this name holds tiles, if there is a descriptor beside it.
pub(in crate::source) fn is_tile_folder(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    name == "full" || (name.split(',').count() == 4 && name.split(',').all(is_number))
}

/// How the tiles of a level are spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spelling {
    /// The level's size, as the sizes of its tiles say.
    level: [u32; 2],
    /// Whether the region, which is the whole image, is called `full`.
    is_full: bool,
    size: Size,
}

/// How a size is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    /// `{w},`
    Width,
    /// `{w},{h}`
    Both,
    /// By a word for the size that the region has.
    Word(&'static str),
}

/// The tile files.
pub(super) struct Regions {
    pub(super) folder: PathBuf,
    pub(super) full: Grid,
    pub(super) extension: &'static str,
    /// The levels there are and how their tiles are spelled.
    pub(super) levels: Vec<(u8, Spelling)>,
}

impl Regions {
    /// The grid of a level, rounded up.
    pub(super) fn grid(&self, level: u8) -> Grid {
        let Grid { width, height, .. } = self.full;
        Grid { width: level_length(width, level), height: level_length(height, level), ..self.full }
    }

    /// The spelling under which there is a file of this tile.
    pub(super) fn find(
        &self,
        version: Version,
        level: u8,
        at: (u32, u32),
    ) -> Result<Option<Spelling>, Error> {
        for spelling in self.spellings(version, level) {
            if is_there(&self.spelled(level, at, spelling))? {
                return Ok(Some(spelling));
            }
        }
        Ok(None)
    }

    /// What a tile is called by the standard.
    pub(super) fn usual(&self, version: Version, level: u8, at: (u32, u32)) -> PathBuf {
        let Grid { width, height, .. } = self.grid(level);
        let [size, _] = sizes(version);
        self.spelled(level, at, Spelling { level: [width, height], is_full: false, size })
    }

    /// All spellings of a level, the usual one first.
    fn spellings(&self, version: Version, level: u8) -> Vec<Spelling> {
        let grid = self.grid(level);
        let words: &[_] = if level == 0 { &[Size::Word("max"), Size::Word("full")] } else { &[] };
        let mut spellings = vec![];
        for width in halved(self.full.width, level) {
            for height in halved(self.full.height, level) {
                // Rounded down there may be a column or row less: such a level does not fit anyway.
                let rounded = Grid { width, height, ..grid };
                if (rounded.columns(), rounded.rows()) != (grid.columns(), grid.rows()) {
                    continue;
                }
                for is_full in [false, true].into_iter().take(if grid.tiles() == 1 { 2 } else { 1 }) {
                    let sizes = sizes(version).into_iter().chain(words.iter().copied());
                    spellings.extend(sizes.map(|size| Spelling { level: [width, height], is_full, size }));
                }
            }
        }
        spellings
    }

    /// The file of a tile in a spelling.
    pub(super) fn spelled(&self, level: u8, (column, row): (u32, u32), spelling: Spelling) -> PathBuf {
        let Grid { width, height, tile_size, .. } = self.full;
        let span = |index: u32, full: u32, halved: u32| {
            let reach = u64::from(tile_size) << level;
            let start = u64::from(index) * reach;
            let length = reach.min(u64::from(full).saturating_sub(start));
            (start, length, tile_size.min(halved.saturating_sub(index * tile_size)))
        };
        let (x, region_width, tile_width) = span(column, width, spelling.level[0]);
        let (y, region_height, tile_height) = span(row, height, spelling.level[1]);
        let region = match spelling.is_full {
            true => "full".to_owned(),
            false => format!("{x},{y},{region_width},{region_height}"),
        };
        let size = match spelling.size {
            Size::Width => format!("{tile_width},"),
            Size::Both => format!("{tile_width},{tile_height}"),
            Size::Word(word) => word.to_owned(),
        };
        self.folder.join(format!("{region}/{size}/0/default.{}", self.extension))
    }
}

/// How sizes are spelled, the canonical way first.
fn sizes(version: Version) -> [Size; 2] {
    match version {
        Version::V2 => [Size::Width, Size::Both],
        Version::V3 => [Size::Both, Size::Width],
    }
}

impl Names for Regions {
    fn path(&self, level: u8, column: u32, row: u32) -> PathBuf {
        let found = self.levels.iter().find(|(known, _)| *known == level);
        let (_, spelling) = found.expect("only levels that were found are offered");
        self.spelled(level, (column, row), *spelling)
    }
}
