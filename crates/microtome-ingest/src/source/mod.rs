//! Where pixels and tiles come from: one module per kind of source, all behind [`Source`].
//!
//! A source either has JPEG tiles ([`Tiles`]), which are taken verbatim, or pixels ([`Pixels`]), which are
//! quantised once. Both are read at random by many threads. Not here: pyramids, encoding, containers.

pub(crate) mod blank;
mod cache;
pub(crate) mod decoded;
pub mod deepzoom;
pub mod dicom;
mod file;
pub(crate) mod files;
pub(crate) mod icc;
pub mod iiif;
pub mod image;
pub(crate) mod jpeg2000;
mod names;
pub mod openslide;
mod pack_bits;
pub mod synthetic;
pub mod tiff;
mod tile_files;
mod tiled;
mod turned;
mod unread;
pub mod zoomify;

pub use files::companion_folder;
pub use names::{called_by, is_source_folder, is_tile_folder, lends_its_name, may_be_slide, series_in};

use std::io::Cursor;
use std::path::{Path, PathBuf};

use microtome_codec::Rgb;
use microtome_codec::jpeg::Colour;
use microtome_codec::payload::LevelStream;
use microtome_container::geometry::Rect;

use crate::Error;

/// Opens the source named by `spec`: a path, or `synthetic:WxH[,seed=N]`. A folder stands for the one descriptor in it, of
/// Deep Zoom, Zoomify or IIIF, or for the DICOM series in it; other files are told by their first bytes.
///
/// # Errors
/// [`Error::Usage`] for a malformed `synthetic:` name, else what the reader of its kind finds.
pub fn open(spec: &str) -> Result<Source, Error> {
    if let Some(parameters) = spec.strip_prefix("synthetic:") {
        let parameters = parameters.parse::<synthetic::Params>()?;
        return Ok(synthetic::open(parameters));
    }
    let path = descriptor_in(Path::new(spec))?;
    match Descriptor::by_name(&path) {
        Some(Descriptor::DeepZoom) => deepzoom::open(&path),
        Some(Descriptor::Zoomify) => zoomify::open(&path),
        Some(Descriptor::Iiif) => iiif::open(&path),
        // A folder without a descriptor.
        None if path.is_dir() => dicom::open(&path),
        None => image::open(&path),
    }
}

/// A file that says what the tile files beside it are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Descriptor {
    DeepZoom,
    Zoomify,
    Iiif,
}

impl Descriptor {
    /// What a path is by its name alone.
    fn by_name(path: &Path) -> Option<Self> {
        match path.file_name()?.to_str()? {
            zoomify::DESCRIPTOR => Some(Self::Zoomify),
            iiif::DESCRIPTOR => Some(Self::Iiif),
            _ if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("dzi")) => Some(Self::DeepZoom),
            _ => None,
        }
    }

    /// What a file in a folder is that nobody has named.
    fn found(path: &Path) -> Option<Self> {
        Self::by_name(path).filter(|kind| *kind != Self::Iiif || iiif::is_descriptor(path))
    }
}

/// The descriptor in a folder, or the path itself; that can be a folder of DICOM files.
pub(crate) fn descriptor_in(path: &Path) -> Result<PathBuf, Error> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let failed = |cause| Error::Read { path: path.to_owned(), cause };
    let mut found = vec![];
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?.path();
        if Descriptor::found(&entry).is_some() {
            found.push(entry);
        }
    }
    let unsupported =
        |what: &str| Err(Error::Unsupported { path: path.display().to_string(), what: what.to_owned() });
    match (found.pop(), found.is_empty()) {
        (Some(descriptor), true) => Ok(descriptor),
        (None, _) if dicom::is_in(path)? => Ok(path.to_owned()),
        (None, _) => unsupported(
            "a folder without a .dzi file, Zoomify's ImageProperties.xml, an info.json of the IIIF Image API, or DICOM \
             files; name the slide's own file",
        ),
        (Some(_), false) => unsupported(
            "a folder with several descriptors (.dzi, ImageProperties.xml, info.json); name one of them",
        ),
    }
}

/// Micrometres per pixel that a microscope can mean; screen resolutions such as 72 dpi are beyond.
pub(crate) const PLAUSIBLE_MPP: std::ops::RangeInclusive<f64> = 0.05..=50.0;

/// An opened source slide.
pub struct Source {
    /// Width of level 0 in pixels, at least 1.
    pub width: u32,
    /// Height of level 0 in pixels, at least 1.
    pub height: u32,
    /// Kind of source in a word: `deep-zoom`, `zoomify`, `iiif`, `dicom`, `tiff`, `aperio-svs`, `hamamatsu-ndpi`, `philips-tiff`,
    /// `leica-scn`, `ventana-bif`, `ome-tiff`, `png`, `jpeg`, `synthetic`, `openslide-mirax` and others that OpenSlide reads.
    pub format: &'static str,
    /// Where tiles or pixels come from.
    pub content: Content,
    /// Properties as the source spells them (`aperio.AppMag`, `tiff.ImageDescription`), plus OpenSlide's names.
    pub properties: Vec<(String, String)>,
    /// Micrometres per pixel, horizontal and vertical, where the source says so.
    pub mpp: Option<[f64; 2]>,
    /// Objective power where the source says so.
    pub objective_power: Option<f64>,
    /// ICC profile of level 0.
    pub icc_profile: Option<Vec<u8>>,
    /// Label, macro, thumbnail.
    pub associated: Vec<Associated>,
    /// What of the source is left out, in a sentence each (a coarse level with an odd grid, a mask).
    pub notices: Vec<String>,
}

impl Source {
    /// Turns JPEG tiles into the pixels of level 0, to be quantised anew.
    pub(crate) fn into_pixels(mut self) -> Self {
        self.content = match self.content {
            Content::Tiles(tiles) => {
                let tiles = decoded::DecodedTiles::new(tiles);
                self.notices.extend(tiles.absence());
                Content::Pixels(Box::new(tiles))
            }
            pixels => pixels,
        };
        self
    }

    /// States the micrometres per pixel, in both directions, over whatever the source says, and leaves a notice of it.
    ///
    /// # Errors
    /// [`Error::Usage`] for what no microscope can mean.
    pub(crate) fn with_mpp(mut self, mpp: f64) -> Result<Self, Error> {
        if !PLAUSIBLE_MPP.contains(&mpp) {
            let (least, most) = PLAUSIBLE_MPP.into_inner();
            return Err(Error::Usage(format!(
                "--mpp: {mpp} micrometres per pixel are not {least} to {most}; a scan at 40x has about 0.25, one at 20x about 0.5"
            )));
        }
        let instead = match self.mpp {
            Some([x, y]) => format!("in place of {x} x {y} in the source"),
            None => "the source says nothing of it".to_owned(),
        };
        self.notices.push(format!("{mpp} micrometres per pixel were stated at ingest; {instead}"));
        for name in MPP_PROPERTIES {
            self.properties.retain(|(other, _)| other != name);
            self.properties.push((name.to_owned(), mpp.to_string()));
        }
        self.mpp = Some([mpp; 2]);
        Ok(self)
    }
}

/// What OpenSlide calls micrometres per pixel, horizontal and vertical.
const MPP_PROPERTIES: [&str; 2] = ["openslide.mpp-x", "openslide.mpp-y"];

/// An associated image, encoded.
pub struct Associated {
    /// `label`, `macro`, `thumbnail` or `map`.
    pub name: String,
    /// `image/jpeg` or `image/png`.
    pub media_type: &'static str,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The encoded image.
    pub bytes: Vec<u8>,
}

impl Associated {
    /// Pixels as an associated image, in PNG.
    ///
    /// # Errors
    /// What the encoder says of a picture that is none, such as one without pixels.
    pub(crate) fn png(name: &str, pixels: &Rgb) -> Result<Self, png::EncodingError> {
        let (width, height) = (pixels.width(), pixels.height());
        let mut bytes = Cursor::new(vec![]);
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(pixels.data())?;
        writer.finish()?;
        Ok(Self { name: name.to_owned(), media_type: "image/png", width, height, bytes: bytes.into_inner() })
    }
}

/// What a source offers.
pub enum Content {
    /// JPEG tiles on one grid, for one or more levels.
    Tiles(Box<dyn Tiles>),
    /// Pixels of level 0.
    Pixels(Box<dyn Pixels>),
}

/// A level that the source has as JPEG tiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileLevel {
    /// Level number: the level is 1/2^level of level 0.
    pub level: u8,
    /// Width in pixels as the source has it (rounded up or down).
    pub width: u32,
    /// Height in pixels as the source has it.
    pub height: u32,
    /// TIFF JPEGTables of the level, or empty.
    pub tables: Vec<u8>,
    /// Colour model of the tiles where their own markers do not say it.
    pub colour: Colour,
    /// Whether edge tiles are stored at full tile size.
    pub padded: bool,
}

impl TileLevel {
    /// How the codec is to complete the level's tiles.
    pub(crate) fn stream(&self, tile_size: u32) -> LevelStream {
        let Self { level, ref tables, colour, padded, .. } = *self;
        // Tiles are at most 4096 px.
        let padded_to = if padded { tile_size as u16 } else { 0 };
        LevelStream { level, tables: tables.clone(), colour, padded_to }
    }
}

/// The number of the level that an image of `size` is of a slide of `full` size: 1/2^k of it, rounded up or down.
fn level_of(full: (u32, u32), size: (u32, u32)) -> Option<u8> {
    let fits = |full: u32, part: u32, level: u8| part == full >> level || part == full.div_ceil(1 << level);
    (1..31).find(|&level| fits(full.0, size.0, level) && fits(full.1, size.1, level))
}

/// JPEG tiles, read at random from many threads.
pub trait Tiles: Send + Sync {
    /// Side of a tile in pixels, without overlap.
    fn tile_size(&self) -> u32;
    /// Pixels that a tile shares with each inner neighbour.
    fn overlap(&self) -> u32;
    /// The levels there are, finest first; the first is level 0.
    fn levels(&self) -> &[TileLevel];
    /// The stored bytes of the tile at (`column`, `row`) of `self.levels()[index]`, not checked.
    ///
    /// # Errors
    /// [`Error`] naming file and tile if it is missing or cannot be read.
    fn tile(&self, index: usize, column: u32, row: u32) -> Result<Vec<u8>, Error>;
    /// What a message calls that tile: its file, where it has one of its own.
    fn place(&self, index: usize, column: u32, row: u32) -> String {
        format!("level {} column {column} row {row}", self.levels()[index].level)
    }
    /// Whether the source has no tile there and says so: [`Tiles::tile`] then gives a blank one that is not the source's.
    fn is_absent(&self, _index: usize, _column: u32, _row: u32) -> bool {
        false
    }
    /// Whether the tile that [`Tiles::tile`] has given is blank and not the source's, for whatever reason.
    fn is_blank(&self, index: usize, column: u32, row: u32) -> bool {
        self.is_absent(index, column, row)
    }
    /// What of the source the tiles are, for the loss record.
    fn kept(&self) -> &'static str {
        "the source's JPEG tiles, byte for byte"
    }
}

/// Pixels of level 0, read at random from many threads.
pub trait Pixels: Send + Sync {
    /// Side of the tiles to make (256 unless the source has a grid worth keeping).
    fn tile_size(&self) -> u32 {
        256
    }
    /// Overlap of the tiles to make (0 unless the source has a grid worth keeping).
    fn overlap(&self) -> u32 {
        0
    }
    /// Whether the source is in tiles of just that size and overlap, of which each is decoded whole.
    fn is_in_such_tiles(&self) -> bool {
        false
    }
    /// The pixels of `rect`, which lies within level 0.
    ///
    /// # Errors
    /// [`Error`] naming file and place if they cannot be read or decoded.
    fn read(&self, rect: Rect) -> Result<Rgb, Error>;
    /// All pixels of level 0, where they are in memory anyway.
    fn in_memory(&self) -> Option<&Rgb> {
        None
    }
}
