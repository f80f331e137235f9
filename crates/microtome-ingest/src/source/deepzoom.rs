//! A Deep Zoom folder: `name.dzi` with `name_files/{level}/{column}_{row}.{format}` beside it.
//!
//! JPEG tiles are offered verbatim at every level whose folder is there; PNG tiles are offered as pixels on the
//! same grid. Level numbers are turned round in `microtome_slide::deepzoom`. Not here: folders that lack their
//! descriptor.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use microtome_codec::Rgb;
use microtome_codec::jpeg::Colour;
use microtome_container::geometry::{Grid, Rect, coarsest_level, level_length};
use microtome_container::header::{MAX_OVERLAP, MAX_SIDE, TILE_SIZES};
use microtome_slide::deepzoom::Descriptor;

use crate::Error;
use crate::source::{Content, Pixels, Source, TileLevel, Tiles, decoded, image};

/// A descriptor is some 200 bytes.
const MAX_DESCRIPTOR: u64 = 64 << 10;
/// Keeps the extension of the tile files, so that an export can give them their names back.
const FORMAT_PROPERTY: &str = "deep-zoom.Format";
/// A tile file beyond this is no tile.
const MAX_TILE_FILE: u64 = 64 << 20;

/// Opens the folder by its descriptor.
///
/// # Errors
/// [`Error::Malformed`] if the descriptor or the finest level's folder is wrong or missing.
pub fn open(path: &Path) -> Result<Source, Error> {
    let descriptor = read_descriptor(path)?;
    let folder = files_folder(path);
    let mut levels = vec![];
    for level in 0..=coarsest_level(descriptor.width, descriptor.height) {
        if !folder.join(descriptor.number_of(level).to_string()).is_dir() {
            continue;
        }
        let (width, height) = (level_length(descriptor.width, level), level_length(descriptor.height, level));
        levels.push(TileLevel {
            level,
            width,
            height,
            tables: vec![],
            colour: Colour::AsStored,
            padded: false,
        });
    }
    if levels.first().is_none_or(|l| l.level != 0) {
        let finest = folder.join(descriptor.number_of(0).to_string());
        let what = format!("the folder of the finest level, {}, is missing; restore it", finest.display());
        return Err(malformed(path, "tiles", what));
    }
    let source = |content| Source {
        width: descriptor.width,
        height: descriptor.height,
        format: "deep-zoom",
        content,
        properties: vec![(FORMAT_PROPERTY.to_owned(), descriptor.format.clone())],
        mpp: None,
        objective_power: None,
        icc_profile: None,
        associated: vec![],
        notices: vec![],
    };
    let folder = Folder { folder, descriptor: descriptor.clone(), levels };
    match descriptor.format.as_str() {
        "jpg" | "jpeg" => Ok(source(Content::Tiles(Box::new(folder)))),
        "png" => Ok(source(Content::Pixels(Box::new(PngTiles(folder))))),
        other => Err(Error::Unsupported {
            path: path.display().to_string(),
            what: format!("tile format {other:?} (jpg, jpeg and png are read)"),
        }),
    }
}

fn files_folder(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}_files"))
}

fn malformed(path: &Path, place: &str, what: String) -> Error {
    Error::Malformed { path: path.display().to_string(), place: place.to_owned(), what }
}

fn missing(path: &Path) -> Error {
    malformed(path, "tile", "the file is missing; restore it".to_owned())
}

fn read_descriptor(path: &Path) -> Result<Descriptor, Error> {
    let mut xml = String::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_DESCRIPTOR).read_to_string(&mut xml))
        .map_err(|cause| Error::Read { path: path.to_owned(), cause })?;
    let descriptor = Descriptor::parse(&xml).map_err(|what| malformed(path, "descriptor", what))?;
    let Descriptor { width, height, tile_size, overlap, .. } = descriptor;
    if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
        return Err(malformed(
            path,
            "descriptor",
            format!("{width} x {height} px is not 1 to {MAX_SIDE} px a side"),
        ));
    }
    if !TILE_SIZES.contains(&tile_size) || overlap > MAX_OVERLAP.min(tile_size / 2) {
        let what =
            format!("tiles of {tile_size} px with overlap {overlap} (16 to 4096 px and up to 64 are stored)");
        return Err(Error::Unsupported { path: path.display().to_string(), what });
    }
    Ok(descriptor)
}

/// The tile files.
struct Folder {
    folder: PathBuf,
    descriptor: Descriptor,
    levels: Vec<TileLevel>,
}

impl Folder {
    fn path(&self, level: u8, column: u32, row: u32) -> PathBuf {
        let number = self.descriptor.number_of(level);
        self.folder.join(format!("{number}/{column}_{row}.{}", self.descriptor.format))
    }
}

impl Tiles for Folder {
    fn tile_size(&self) -> u32 {
        self.descriptor.tile_size
    }

    fn overlap(&self) -> u32 {
        self.descriptor.overlap
    }

    fn levels(&self) -> &[TileLevel] {
        &self.levels
    }

    fn tile(&self, index: usize, column: u32, row: u32) -> Result<Vec<u8>, Error> {
        let path = self.path(self.levels[index].level, column, row);
        let mut bytes = vec![];
        let read =
            fs::File::open(&path).and_then(|file| file.take(MAX_TILE_FILE + 1).read_to_end(&mut bytes));
        match read {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(missing(&path)),
            Err(cause) => Err(Error::Read { path, cause }),
            Ok(_) if bytes.len() as u64 > MAX_TILE_FILE => {
                Err(malformed(&path, "tile", "the file is larger than 64 MiB".to_owned()))
            }
            Ok(0) => Err(malformed(&path, "tile", "the file is empty; restore it".to_owned())),
            Ok(_) => Ok(bytes),
        }
    }

    fn place(&self, index: usize, column: u32, row: u32) -> String {
        self.path(self.levels[index].level, column, row).display().to_string()
    }
}

/// PNG tiles as the pixels of level 0.
struct PngTiles(Folder);

impl Pixels for PngTiles {
    fn tile_size(&self) -> u32 {
        self.0.tile_size()
    }

    fn overlap(&self) -> u32 {
        self.0.overlap()
    }

    fn read(&self, rect: Rect) -> Result<Rgb, Error> {
        let &Descriptor { width, height, tile_size, overlap, .. } = &self.0.descriptor;
        let grid = Grid { width, height, tile_size, overlap };
        decoded::region(&grid, rect, |column, row| {
            let path = self.0.path(0, column, row);
            if !path.exists() {
                return Err(missing(&path));
            }
            let tile = image::open(&path)?;
            let Content::Pixels(pixels) = tile.content else {
                return Err(malformed(&path, "tile", "this is not a PNG file".to_owned()));
            };
            let whole = Rect { x: 0, y: 0, width: tile.width, height: tile.height };
            decoded::check_size(&path.display().to_string(), &grid, column, row, pixels.read(whole)?)
        })
    }
}
