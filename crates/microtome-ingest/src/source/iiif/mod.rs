//! A folder of the IIIF Image API, level 0: `info.json` with `{region}/{size}/0/default.jpg` beside it, versions 2 and 3.
//!
//! Level k is scale factor 2^k; its tiles are regions of level 0 with the size that they have when halved k times. Writers
//! spell the same tile in different ways; each level is taken in the spelling under which its last tile is found. A level
//! whose tiles are of no size that halving gives is left out and said so. Not here: version 1, tiles that are no
//! squares, images without tiles.

mod info;
mod names;
#[cfg(test)]
mod tests;

use std::path::Path;

use microtome_container::geometry::coarsest_level;

use self::info::{Info, Refusal};
use self::names::{Regions, Spelling};
use crate::Error;
use crate::source::tile_files::{self, EXTENSIONS, TileFiles, is_png, malformed, missing, unsupported};
use crate::source::{MPP_PROPERTIES, Source, TileLevel};

pub(super) use self::names::is_tile_folder;

/// What the descriptor is called in every folder.
pub(super) const DESCRIPTOR: &str = "info.json";

/// Whether a file of that name is what it has to be: other programs have an `info.json` too.
pub(super) fn is_descriptor(path: &Path) -> bool {
    tile_files::read_descriptor(path).is_ok_and(|text| info::is_of_image(&text))
}

/// Opens the folder by its descriptor.
///
/// # Errors
/// [`Error::Malformed`] if the descriptor or a tile that it is told by is wrong or missing, [`Error::Unsupported`] for
/// version 1 and for tiles that are not stored.
pub fn open(path: &Path) -> Result<Source, Error> {
    let info = Info::parse(&tile_files::read_descriptor(path)?).map_err(|refusal| match refusal {
        Refusal::Malformed(what) => malformed(path, "descriptor", what),
        Refusal::Unsupported(what) => unsupported(path, what),
    })?;
    let full = info.full;
    tile_files::check_grid(path, &full)?;
    let mut levels = vec![tile_files::level(0, full.width, full.height)];
    let mut notices = info.notices.clone();
    let mut names = level_0(path, &info)?;
    // Of PNG tiles nothing but level 0 is read.
    let coarsest = if is_png(names.extension) { 0 } else { coarsest_level(full.width, full.height) };
    for level in 1..=coarsest {
        match coarser(&names, &info, level)? {
            Found::Level(level, spelling) => {
                names.levels.push((level.level, spelling));
                levels.push(level);
            }
            Found::LeftOut(notice) => notices.push(notice),
            Found::Nothing => {}
        }
    }
    let extension = names.extension;
    let files = TileFiles { tile_size: full.tile_size, overlap: 0, levels, names };
    let mut source = files.into_source(path, "iiif", extension)?;
    if let Some(mpp) = info.mpp {
        source.properties.extend(MPP_PROPERTIES.map(|name| (name.to_owned(), mpp.to_string())));
    }
    Ok(Source { notices, mpp: info.mpp.map(|mpp| [mpp; 2]), ..source })
}

/// The names of the tiles, with the extension and the spelling under which the first tile of level 0 is found.
fn level_0(path: &Path, info: &Info) -> Result<Regions, Error> {
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let mut names = Regions { folder, full: info.full, extension: EXTENSIONS[0], levels: vec![] };
    for extension in EXTENSIONS {
        names.extension = extension;
        if let Some(spelling) = names.find(info.version, 0, (0, 0))? {
            names.levels.push((0, spelling));
            return Ok(names);
        }
    }
    names.extension = EXTENSIONS[0];
    Err(missing(&names.usual(info.version, 0, (0, 0))))
}

/// What there is of a level.
enum Found {
    Level(TileLevel, Spelling),
    /// Why it is left out.
    LeftOut(String),
    /// It is not listed, nor is it there.
    Nothing,
}

/// Looks for a level coarser than level 0.
fn coarser(names: &Regions, info: &Info, level: u8) -> Result<Found, Error> {
    let grid = names.grid(level);
    let last = (grid.columns() - 1, grid.rows() - 1);
    // libvips writes one level more than it lists, which is of one tile.
    if !info.lists(level) && grid.tiles() > 1 {
        return Ok(Found::Nothing);
    }
    if let Some(spelling) = names.find(info.version, level, last)? {
        let path = |column, row| names.spelled(level, (column, row), spelling);
        let measured = tile_files::measured(level, names.full, last, path)?;
        return Ok(measured.map_or_else(Found::LeftOut, |level| Found::Level(level, spelling)));
    }
    if !info.lists(level) {
        return Ok(Found::Nothing);
    }
    if names.find(info.version, level, (0, 0))?.is_some() {
        return Err(missing(&names.usual(info.version, level, last)));
    }
    Ok(Found::LeftOut(tile_files::absent(level)))
}
