//! A Zoomify folder: `ImageProperties.xml` with `TileGroup{n}/{tier}-{column}-{row}.jpg` beside it.
//!
//! Tier 0 is one tile. A group holds 256 tiles, counted tier by tier and row by row from tier 0 on. Zoomify's own
//! converter and OpenSeadragon halve tiers rounding down, libvips rounding up (OpenLayers: `truncated` and `default`);
//! which it was follows from the number of tiles, since none of the grids that are rounded down is the larger one. A tier
//! whose grid is not that of the level, or whose tiles are of no size that halving gives, is left out and said so.
//! Not here: `.pff` and `.zif` files.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use microtome_container::geometry::Grid;

use crate::Error;
use crate::source::tile_files::{
    self, EXTENSIONS, Names, TileFiles, halved, is_png, is_there, malformed, missing, unsupported,
};
use crate::source::{Source, TileLevel};

/// What the descriptor is called in every folder.
pub(super) const DESCRIPTOR: &str = "ImageProperties.xml";
const GROUP: &str = "TileGroup";
const TILES_IN_GROUP: u64 = 256;
/// The only one there has been for folders.
const VERSION: &str = "1.8";

/// Whether a folder of this name holds tiles, if there is a descriptor beside it.
pub(super) fn is_tile_folder(name: &str) -> bool {
    let number = name.strip_prefix(GROUP);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Opens the folder by its descriptor.
///
/// # Errors
/// [`Error::Malformed`] if the descriptor or a tile that it is told by is wrong or missing, [`Error::Unsupported`] for
/// several images, other versions and other tile sizes than are stored.
pub fn open(path: &Path) -> Result<Source, Error> {
    let descriptor = Descriptor::read(path)?;
    let tiers = descriptor.tiers(path)?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let mut names = Groups { folder, tiers, extension: EXTENSIONS[0] };
    for extension in EXTENSIONS {
        names.extension = extension;
        if is_there(&names.path(0, 0, 0))? {
            return with_names(path, descriptor.full, names);
        }
    }
    names.extension = EXTENSIONS[0];
    Err(missing(&names.path(0, 0, 0)))
}

fn with_names(path: &Path, full: Grid, names: Groups) -> Result<Source, Error> {
    let mut levels = vec![tile_files::level(0, full.width, full.height)];
    let mut notices = vec![];
    // Of PNG tiles nothing but level 0 is read.
    let offered = if is_png(names.extension) { 1 } else { names.tiers.len() };
    for level in 1..offered as u8 {
        match names.level(full, level)? {
            Ok(level) => levels.push(level),
            Err(notice) => notices.push(notice),
        }
    }
    let extension = names.extension;
    let files = TileFiles { tile_size: full.tile_size, overlap: 0, levels, names };
    Ok(Source { notices, ..files.into_source(path, "zoomify", extension)? })
}

/// `ImageProperties.xml`.
#[derive(Debug, PartialEq, Eq)]
struct Descriptor {
    full: Grid,
    /// Tiles of all tiers.
    tiles: u64,
    /// Number of images: focal planes, views of an object.
    images: u32,
    version: String,
}

impl Descriptor {
    fn read(path: &Path) -> Result<Self, Error> {
        let xml = tile_files::read_descriptor(path)?;
        let descriptor =
            Self::parse(&xml).map_err(|what| malformed(path, "descriptor", format!("{what}; restore it")))?;
        tile_files::check_grid(path, &descriptor.full)?;
        if descriptor.images != 1 {
            let what = format!("{} images (1 is read); write a folder for each", descriptor.images);
            return Err(unsupported(path, what));
        }
        if descriptor.version != VERSION {
            let what = format!(
                "Zoomify version {:?} ({VERSION:?} is read); write the folder anew, for example: vips dzsave IN OUT \
                 --layout zoomify",
                descriptor.version
            );
            return Err(unsupported(path, what));
        }
        Ok(descriptor)
    }

    /// What is missing or out of range, in a sentence that names the attribute and its value.
    fn parse(xml: &str) -> Result<Self, String> {
        let document = roxmltree::Document::parse(xml).map_err(|e| format!("not XML: {e}"))?;
        let image = document.root_element();
        if !image.tag_name().name().eq_ignore_ascii_case("IMAGE_PROPERTIES") {
            return Err("the root element is not Zoomify's <IMAGE_PROPERTIES>".to_owned());
        }
        let number = |name: &str| {
            let text = image.attribute(name).ok_or(format!("attribute {name} is missing"))?;
            text.trim().parse::<u64>().map_err(|e| format!("{name}=\"{text}\" is not a number: {e}"))
        };
        let pixels = |name| {
            let length = number(name)?;
            u32::try_from(length).map_err(|e| format!("{name}=\"{length}\" is not a number of pixels: {e}"))
        };
        let (width, height, tile_size) = (pixels("WIDTH")?, pixels("HEIGHT")?, pixels("TILESIZE")?);
        Ok(Self {
            full: Grid { width, height, tile_size, overlap: 0 },
            tiles: number("NUMTILES")?,
            images: image.attribute("NUMIMAGES").map_or(Ok(1), |_| pixels("NUMIMAGES"))?,
            version: image.attribute("VERSION").unwrap_or(VERSION).to_owned(),
        })
    }

    /// The tiers that come to the number of tiles that is stated.
    fn tiers(&self, path: &Path) -> Result<Vec<Tier>, Error> {
        let [up, down] = [0, 1].map(|rounding| tiers(self.full, rounding));
        match self.tiles {
            tiles if tiles == count(&up) => Ok(up),
            tiles if tiles == count(&down) => Ok(down),
            tiles => {
                let Grid { width, height, tile_size, .. } = self.full;
                let what = format!(
                    "NUMTILES=\"{tiles}\" where {width} x {height} px in tiles of {tile_size} px take {} tiles, or {} with \
                     tiers rounded down; correct it, or restore the descriptor",
                    count(&up),
                    count(&down)
                );
                Err(malformed(path, "descriptor", what))
            }
        }
    }
}

/// A level as Zoomify has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tier {
    grid: Grid,
    /// Tiles of all coarser tiers.
    before: u64,
}

/// The tiers, finest first, down to the first that is one tile; lengths are those of [`halved`] at `rounding`.
fn tiers(full: Grid, rounding: usize) -> Vec<Tier> {
    let mut tiers = vec![];
    for level in 0_u8.. {
        let [width, height] = [full.width, full.height].map(|length| halved(length, level)[rounding]);
        let grid = Grid { width, height, ..full };
        tiers.push(Tier { grid, before: 0 });
        if grid.tiles() == 1 {
            break;
        }
    }
    let mut before = 0;
    for tier in tiers.iter_mut().rev() {
        tier.before = before;
        before += tier.grid.tiles();
    }
    tiers
}

fn count(tiers: &[Tier]) -> u64 {
    tiers.iter().map(|tier| tier.grid.tiles()).sum()
}

/// The tile files.
struct Groups {
    folder: PathBuf,
    /// Finest first.
    tiers: Vec<Tier>,
    extension: &'static str,
}

impl Groups {
    /// A level by its last tile, or why it is left out.
    fn level(&self, full: Grid, level: u8) -> Result<Result<TileLevel, String>, Error> {
        let Tier { grid, .. } = self.tiers[usize::from(level)];
        let (column, row) = (grid.columns() - 1, grid.rows() - 1);
        let (first, last) = (self.path(level, 0, 0), self.path(level, column, row));
        if !is_there(&first)? && !is_there(&last)? {
            return Ok(Err(tile_files::absent(level)));
        }
        tile_files::measured(level, full, (column, row), |column, row| self.path(level, column, row))
    }
}

impl Names for Groups {
    fn path(&self, level: u8, column: u32, row: u32) -> PathBuf {
        let Tier { grid, before } = self.tiers[usize::from(level)];
        let number = self.tiers.len() - 1 - usize::from(level);
        let index = before + u64::from(row) * u64::from(grid.columns()) + u64::from(column);
        let group = index / TILES_IN_GROUP;
        self.folder.join(format!("{GROUP}{group}/{number}-{column}-{row}.{}", self.extension))
    }
}
