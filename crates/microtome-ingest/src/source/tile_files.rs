//! Slides whose tiles are files of their own: what Deep Zoom, Zoomify and IIIF folders have in common.
//!
//! JPEG tiles are offered verbatim, PNG tiles as the pixels of level 0 on the same grid. A file is looked at before it is
//! opened, since opening a pipe would wait for whoever writes it. Not here: descriptors, and how tiles are named.

#[cfg(test)]
pub(super) mod samples;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use microtome_codec::Rgb;
use microtome_codec::jpeg::{self, Colour};
use microtome_container::geometry::{Grid, Rect, level_length};
use microtome_container::header::{MAX_OVERLAP, MAX_SIDE, TILE_SIZES};

use crate::Error;
use crate::source::{Content, Pixels, Source, TileLevel, Tiles, decoded, image};

/// A descriptor is some hundred bytes.
const MAX_DESCRIPTOR: u64 = 64 << 10;
/// A tile file beyond this is no tile.
const MAX_TILE_FILE: u64 = 64 << 20;
/// Extensions of tile files where the descriptor does not say which. Some writers have them in capitals.
pub(super) const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "JPG", "JPEG", "PNG"];

/// Whether tiles with this extension are PNG.
pub(super) fn is_png(extension: &str) -> bool {
    extension.eq_ignore_ascii_case("png")
}

/// Where tiles are.
pub(super) trait Names: Send + Sync {
    /// The file of a tile, whether it is there or not.
    fn path(&self, level: u8, column: u32, row: u32) -> PathBuf;
}

/// The tile files of a slide.
pub(super) struct TileFiles<N> {
    pub(super) tile_size: u32,
    pub(super) overlap: u32,
    /// Finest first; the first is level 0.
    pub(super) levels: Vec<TileLevel>,
    pub(super) names: N,
}

impl<N: Names + 'static> TileFiles<N> {
    /// A source of these tiles, whose files have this extension, and nothing else.
    ///
    /// # Errors
    /// [`Error::Unsupported`], naming the descriptor, for tiles that are neither JPEG nor PNG.
    pub(super) fn into_source(
        self,
        descriptor: &Path,
        format: &'static str,
        extension: &str,
    ) -> Result<Source, Error> {
        let (width, height) = (self.levels[0].width, self.levels[0].height);
        let content = match extension.to_ascii_lowercase().as_str() {
            "jpg" | "jpeg" => Content::Tiles(Box::new(self)),
            "png" => Content::Pixels(Box::new(PngTiles(self))),
            _ => {
                let what = format!("tile format {extension:?} (jpg, jpeg and png are read)");
                return Err(unsupported(descriptor, what));
            }
        };
        Ok(Source {
            width,
            height,
            format,
            content,
            properties: vec![],
            mpp: None,
            objective_power: None,
            icc_profile: None,
            associated: vec![],
            notices: vec![],
        })
    }
}

impl<N: Names> Tiles for TileFiles<N> {
    fn tile_size(&self) -> u32 {
        self.tile_size
    }

    fn overlap(&self) -> u32 {
        self.overlap
    }

    fn levels(&self) -> &[TileLevel] {
        &self.levels
    }

    fn tile(&self, index: usize, column: u32, row: u32) -> Result<Vec<u8>, Error> {
        read_tile(&self.names.path(self.levels[index].level, column, row))
    }

    fn place(&self, index: usize, column: u32, row: u32) -> String {
        self.names.path(self.levels[index].level, column, row).display().to_string()
    }
}

/// PNG tiles as the pixels of level 0.
struct PngTiles<N>(TileFiles<N>);

impl<N: Names> Pixels for PngTiles<N> {
    fn tile_size(&self) -> u32 {
        self.0.tile_size
    }

    fn overlap(&self) -> u32 {
        self.0.overlap
    }

    fn is_in_such_tiles(&self) -> bool {
        true
    }

    fn read(&self, rect: Rect) -> Result<Rgb, Error> {
        let TileFiles { tile_size, overlap, ref levels, ref names } = self.0;
        let grid = Grid { width: levels[0].width, height: levels[0].height, tile_size, overlap };
        decoded::region(&grid, rect, |column, row| {
            let path = names.path(0, column, row);
            if !is_there(&path)? {
                return Err(missing(&path));
            }
            let check = |size| decoded::check_size(&path.display().to_string(), &grid, (column, row), size);
            image::open_png_tile(&path, check)
        })
    }
}

/// A level of JPEG tiles that say by themselves how they are to be read.
pub(super) fn level(level: u8, width: u32, height: u32) -> TileLevel {
    TileLevel { level, width, height, tables: vec![], colour: Colour::AsStored, padded: false }
}

/// The lengths that level `level` of a slide may have, rounded up or down.
pub(super) fn halved(length: u32, level: u8) -> [u32; 2] {
    [level_length(length, level), length.checked_shr(u32::from(level)).unwrap_or(0).max(1)]
}

/// Level `k` of the slide `full`, without overlap, by the sizes of the tiles at its corners, of which `last` is the last one;
/// or why it is left out, without the folder's name: containers do not depend on it.
///
/// # Errors
/// What is wrong with one of their files.
pub(super) fn measured(
    k: u8,
    full: Grid,
    last: (u32, u32),
    path: impl Fn(u32, u32) -> PathBuf,
) -> Result<Result<TileLevel, String>, Error> {
    let size = measure(&path(last.0, last.1))?;
    let [width, height] = [last.0 * full.tile_size + size[0], last.1 * full.tile_size + size[1]];
    let (widths, heights) = (halved(full.width, k), halved(full.height, k));
    let left_out = |what: String| Ok(Err(left_out(k, &what)));
    if !widths.contains(&width) || !heights.contains(&height) {
        return left_out(format!(
            "its last tile, column {} row {}, has {} x {} px, so it has {width} x {height} px where {} x {} px, or a pixel \
             less, are level 0 halved",
            last.0, last.1, size[0], size[1], widths[0], heights[0],
        ));
    }
    // Where other tiles contradict the last one, it may be another level's: in version 2 of IIIF two can have one name.
    let grid = Grid { width, height, ..full };
    for (column, row) in [(last.0, 0), (0, last.1)] {
        let size = measure(&path(column, row))?;
        if grid.tile_rect(column, row).is_none_or(|rect| [rect.width, rect.height] != size) {
            return left_out(format!(
                "its tile at column {column} row {row} has {} x {} px, which does not go with the {width} x {height} px that \
                 its last tile gives it",
                size[0], size[1],
            ));
        }
    }
    Ok(Ok(level(k, width, height)))
}

/// The notice of a level that is not taken.
pub(super) fn left_out(level: u8, why: &str) -> String {
    format!("level {level} of the source is left out and made anew: {why}")
}

/// The notice of a level of which neither the first nor the last tile is there.
pub(super) fn absent(level: u8) -> String {
    left_out(level, "its first and last tile are missing")
}

/// The size that a JPEG tile says it has.
fn measure(tile: &Path) -> Result<[u32; 2], Error> {
    let header = jpeg::inspect(&read_tile(tile)?);
    let header = header.map_err(|error| malformed(tile, "tile", format!("{error}; restore it")))?;
    Ok([header.width, header.height])
}

/// Checks what a descriptor says of the slide and its tiles against what a container can hold.
///
/// # Errors
/// [`Error::Malformed`] and [`Error::Unsupported`], naming the bounds.
pub(super) fn check_grid(descriptor: &Path, grid: &Grid) -> Result<(), Error> {
    let &Grid { width, height, tile_size, overlap } = grid;
    if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
        let what = format!("{width} x {height} px is not 1 to {MAX_SIDE} px a side");
        return Err(malformed(descriptor, "descriptor", what));
    }
    if !TILE_SIZES.contains(&tile_size) || overlap > MAX_OVERLAP.min(tile_size / 2) {
        let what =
            format!("tiles of {tile_size} px with overlap {overlap} (16 to 4096 px and up to 64 are stored)");
        return Err(unsupported(descriptor, what));
    }
    Ok(())
}

/// The text of a descriptor.
///
/// # Errors
/// [`Error::Read`], or [`Error::Malformed`] if it is no file or longer than any descriptor.
pub(super) fn read_descriptor(path: &Path) -> Result<String, Error> {
    let failed = |cause| Error::Read { path: path.to_owned(), cause };
    let mut text = String::new();
    open(path, "descriptor")?.take(MAX_DESCRIPTOR + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_DESCRIPTOR {
        let what = "the file is larger than 64 KiB: this is no descriptor; restore it".to_owned();
        return Err(malformed(path, "descriptor", what));
    }
    // Editors put a mark of their encoding first.
    Ok(text.strip_prefix('\u{FEFF}').map(str::to_owned).unwrap_or(text))
}

fn read_tile(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![];
    let file = match open(path, "tile") {
        Err(Error::Read { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => Err(missing(path)),
        opened => opened,
    }?;
    let read = file.take(MAX_TILE_FILE + 1).read_to_end(&mut bytes);
    read.map_err(|cause| Error::Read { path: path.to_owned(), cause })?;
    match bytes.len() as u64 {
        0 => Err(malformed(path, "tile", "the file is empty; restore it".to_owned())),
        1..=MAX_TILE_FILE => Ok(bytes),
        _ => Err(malformed(path, "tile", "the file is larger than 64 MiB".to_owned())),
    }
}

/// Opens a file that is one.
fn open(path: &Path, place: &str) -> Result<File, Error> {
    let failed = |cause| Error::Read { path: path.to_owned(), cause };
    match fs::metadata(path).map_err(failed)?.is_file() {
        true => File::open(path).map_err(failed),
        false => Err(malformed(path, place, "this is not a file; put the file there".to_owned())),
    }
}

/// Whether there is something under this name. A link that leads nowhere is nothing.
pub(super) fn is_there(path: &Path) -> Result<bool, Error> {
    path.try_exists().map_err(|cause| Error::Read { path: path.to_owned(), cause })
}

pub(super) fn malformed(path: &Path, place: &str, what: String) -> Error {
    Error::Malformed { path: path.display().to_string(), place: place.to_owned(), what }
}

pub(super) fn unsupported(path: &Path, what: String) -> Error {
    Error::Unsupported { path: path.display().to_string(), what }
}

pub(super) fn missing(path: &Path) -> Error {
    malformed(path, "tile", "the file is missing; restore it".to_owned())
}
