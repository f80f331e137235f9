//! One file of a slide: what it shows, in what tiles, and which of its frames these are.
//!
//! PS3.3 A.32.8 (VL Whole Slide Microscopy Image), C.8.12.4 and C.8.12.6, C.7.6.17.3 (the order of frames in
//! TILED_FULL), C.7.6.16.2.2 (concatenations). Not here: which files make a slide.

use std::collections::BTreeSet;
use std::path::Path;

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use microtome_container::header::MAX_SIDE;

use super::attributes::{Attributes, FramePlace, MAX_FRAMES};
use super::file::DicomFile;
use super::format::Format;
use super::frames::Frames;
use super::syntax::Coding;
use crate::Error;

/// A file, read up to its pixel data.
pub(super) struct Instance {
    pub(super) file: DicomFile,
    pub(super) attributes: Attributes,
}

/// What a file shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Flavour {
    /// A level.
    Volume,
    /// An associated image of this name.
    Associated(&'static str),
    /// Something else, as ImageType has it.
    Other(String),
}

/// The tiles of a level: how large, how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tiling {
    /// Width and height of the image in pixels.
    pub(super) size: (u32, u32),
    /// Width and height of a tile in pixels.
    pub(super) tile: (u32, u32),
    pub(super) columns: u32,
    pub(super) rows: u32,
}

impl Tiling {
    pub(super) fn tiles(&self) -> u64 {
        u64::from(self.columns) * u64::from(self.rows)
    }
}

/// Planes of a file of which one is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Planes {
    pub(super) focal: u64,
    pub(super) paths: u64,
}

/// Which frame each tile is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Tile by tile, row by row, from this frame on.
    Full { first: u64 },
    /// The frame of each tile, or [`ABSENT`].
    Sparse(Vec<u32>),
}

/// A tile that has no frame.
pub(super) const ABSENT: u32 = u32::MAX;

impl Instance {
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let file = DicomFile::open(path)?;
        let attributes = Attributes::read(&file)?;
        Ok(Self { file, attributes })
    }

    pub(super) fn text(&self, tag: Tag) -> String {
        self.attributes.text(&[], tag).unwrap_or_default()
    }

    /// Whether the file is of a whole slide.
    pub(super) fn is_whole_slide(&self) -> bool {
        self.text(tags::SOP_CLASS_UID) == uids::VL_WHOLE_SLIDE_MICROSCOPY_IMAGE_STORAGE
    }

    /// SeriesInstanceUID.
    pub(super) fn series(&self) -> String {
        self.text(tags::SERIES_INSTANCE_UID)
    }

    /// The identifier of the image that the file is, or is a part of.
    pub(super) fn image(&self) -> String {
        match self.text(tags::CONCATENATION_UID) {
            none if none.is_empty() => self.text(tags::SOP_INSTANCE_UID),
            concatenation => concatenation,
        }
    }

    /// Number of the part in its concatenation, and number of its first frame, both from 0.
    pub(super) fn part(&self) -> (u64, u64) {
        let number = |tag| self.attributes.integer(tag).and_then(|number| u64::try_from(number).ok());
        let part = number(tags::IN_CONCATENATION_NUMBER).unwrap_or(1).saturating_sub(1);
        (part, number(tags::CONCATENATION_FRAME_OFFSET_NUMBER).unwrap_or(0))
    }

    /// How many parts its concatenation has, where it says so.
    pub(super) fn parts(&self) -> Option<u64> {
        u64::try_from(self.attributes.integer(tags::IN_CONCATENATION_TOTAL_NUMBER)?).ok()
    }

    /// Whether its pixels were made of a larger image (PS3.3 C.8.12.4.1.1, value 4 of ImageType).
    pub(super) fn is_resampled(&self) -> bool {
        self.attributes.texts(&[], tags::IMAGE_TYPE).get(3).is_some_and(|kind| kind == "RESAMPLED")
    }

    pub(super) fn flavour(&self) -> Flavour {
        let kind = self.attributes.texts(&[], tags::IMAGE_TYPE);
        match kind.get(2).map(String::as_str) {
            Some("VOLUME") => Flavour::Volume,
            Some("LABEL") => Flavour::Associated("label"),
            Some("OVERVIEW") => Flavour::Associated("macro"),
            Some("THUMBNAIL") => Flavour::Associated("thumbnail"),
            _ => Flavour::Other(kind.join("\\")),
        }
    }

    /// A whole number above 0 that the file must state.
    fn size_of(&self, tag: Tag, name: &str, most: u32) -> Result<u32, Error> {
        let value = self.attributes.integer(tag);
        let fitting = value.and_then(|value| u32::try_from(value).ok());
        fitting.filter(|size| (1..=most).contains(size)).ok_or_else(|| match value {
            Some(value) => self.file.malformed(name, format!("is {value}, not 1 to {most}")),
            None => self.file.malformed(name, "is missing"),
        })
    }

    pub(super) fn tiling(&self) -> Result<Tiling, Error> {
        let width = self.size_of(tags::TOTAL_PIXEL_MATRIX_COLUMNS, "TotalPixelMatrixColumns", MAX_SIDE)?;
        let height = self.size_of(tags::TOTAL_PIXEL_MATRIX_ROWS, "TotalPixelMatrixRows", MAX_SIDE)?;
        let columns = self.size_of(tags::COLUMNS, "Columns", u32::from(u16::MAX))?;
        let rows = self.size_of(tags::ROWS, "Rows", u32::from(u16::MAX))?;
        let tiling = Tiling {
            size: (width, height),
            tile: (columns, rows),
            columns: width.div_ceil(columns),
            rows: height.div_ceil(rows),
        };
        if tiling.tiles() > MAX_FRAMES {
            let what =
                format!("{} tiles of {columns} x {rows} px (at most {MAX_FRAMES} are taken)", tiling.tiles());
            return Err(self.file.unsupported(what));
        }
        Ok(tiling)
    }

    /// Number of frames in this file.
    pub(super) fn frames(&self) -> Result<u64, Error> {
        match self.attributes.integer(tags::NUMBER_OF_FRAMES) {
            None => Ok(1),
            Some(count) => match u64::try_from(count) {
                Ok(count) if (1..=MAX_FRAMES).contains(&count) => Ok(count),
                _ => Err(self.file.malformed("NumberOfFrames", format!("is {count}, not 1 to {MAX_FRAMES}"))),
            },
        }
    }

    /// Focal planes and optical paths that the file says it has.
    pub(super) fn planes(&self) -> Planes {
        let number = |tag| self.attributes.integer(tag).map_or(1, |number| number.max(1).unsigned_abs());
        Planes {
            focal: number(tags::TOTAL_PIXEL_MATRIX_FOCAL_PLANES),
            paths: number(tags::NUMBER_OF_OPTICAL_PATHS),
        }
    }

    /// How its samples are stored.
    pub(super) fn format(&self) -> Result<Format, Error> {
        if self.attributes.syntax.coding == Coding::Unread {
            let what = format!("frames in {} are not read", self.attributes.syntax.name);
            return Err(self.file.unsupported(what));
        }
        Format::read(&self.file, &self.attributes)
    }

    /// Where its frames lie.
    pub(super) fn places(&self, format: &Format, tiling: &Tiling) -> Result<Frames, Error> {
        let Some(pixels) = self.attributes.pixels else {
            return Err(self.file.malformed("PixelData", "is missing"));
        };
        let count = self.frames()?;
        match self.attributes.syntax.coding {
            Coding::Native => {
                let size = format.frame_bytes(tiling.tile.0, tiling.tile.1);
                Frames::native(&self.file, pixels, count, size)
            }
            _ => Frames::encapsulated(&self.file, &self.attributes, pixels, count),
        }
    }

    /// Whether the frames say each for itself where they belong.
    pub(super) fn is_sparse(&self) -> bool {
        match self.text(tags::DIMENSION_ORGANIZATION_TYPE).as_str() {
            "TILED_FULL" => false,
            "TILED_SPARSE" => true,
            _ => self.attributes.frames.iter().any(|frame| frame.column > 0),
        }
    }
}

/// The order of `count` frames that lie tile by tile: of the central focal plane, on the first optical path.
pub(super) fn full_order(
    file: &DicomFile,
    tiling: &Tiling,
    planes: Planes,
    count: u64,
) -> Result<(Order, Planes), Error> {
    let tiles = tiling.tiles();
    let stacked = planes.focal.checked_mul(planes.paths).and_then(|stacked| stacked.checked_mul(tiles));
    if stacked == Some(count) {
        return Ok((Order::Full { first: planes.focal / 2 * tiles }, planes));
    }
    // Some writers count the optical paths of the whole series. (As many frames as tiles are no stack of planes cut short.)
    if planes.focal == 1 && count == tiles {
        return Ok((Order::Full { first: 0 }, Planes { focal: 1, paths: 1 }));
    }
    let Planes { focal, paths } = planes;
    let what = format!(
        "{count} frames for {} x {} tiles, {focal} focal planes and {paths} optical paths",
        tiling.columns, tiling.rows
    );
    Err(file.malformed("NumberOfFrames", what))
}

/// The order of frames that say where they belong: on the optical path of frame 1, and where several are of one tile, that which is
/// next to the central height. (Heights need not be those of planes: of a slide that was focused on tile by tile each has its
/// own.)
pub(super) fn sparse_order(
    file: &DicomFile,
    tiling: &Tiling,
    frames: &[FramePlace],
    count: u64,
) -> Result<(Order, Planes), Error> {
    if frames.len() as u64 != count {
        let what = format!("places for {} frames of {count}", frames.len());
        return Err(file.malformed("PerFrameFunctionalGroupsSequence", what));
    }
    let path = frames.first().map_or(0, |frame| frame.path);
    let paths = frames.iter().map(|frame| frame.path).collect::<BTreeSet<_>>().len() as u64;
    let central = central_height(frames.iter().filter(|frame| frame.path == path));
    let mut order = vec![ABSENT; tiling.tiles() as usize];
    let mut stacked = vec![0_u64; order.len()];
    for (number, frame) in (0_u32..).zip(frames).filter(|(_, frame)| frame.path == path) {
        let index = tile_at(tiling, frame).filter(|index| *index < order.len());
        let index = index.ok_or_else(|| off_the_grid(file, tiling, number, frame))?;
        stacked[index] += 1;
        let other = frames.get(order[index] as usize);
        let away = |frame: &FramePlace| (frame.z - central).abs();
        match other {
            Some(other) if other.z == frame.z => {
                let what =
                    format!("is of the same tile as another, at column {} row {}", frame.column, frame.row);
                return Err(file.malformed(format!("frame {}", number + 1), what));
            }
            // Of two that are as far away the lower one, in whatever order they come.
            Some(other) if (away(other), other.z) < (away(frame), frame.z) => {}
            _ => order[index] = number,
        }
    }
    let focal = stacked.into_iter().max().unwrap_or(1).max(1);
    Ok((Order::Sparse(order), Planes { focal, paths }))
}

/// The middle one of all heights.
fn central_height<'a>(frames: impl Iterator<Item = &'a FramePlace>) -> f64 {
    let mut heights: Vec<f64> = frames.map(|frame| frame.z).collect();
    heights.sort_by(f64::total_cmp);
    heights.dedup();
    heights.get(heights.len() / 2).copied().unwrap_or_default()
}

fn off_the_grid(file: &DicomFile, tiling: &Tiling, number: u32, frame: &FramePlace) -> Error {
    file.unsupported(format!(
        "frame {} at column {} row {} of the pixel matrix, which is no corner of a tile of {} x {} px",
        number + 1,
        frame.column,
        frame.row,
        tiling.tile.0,
        tiling.tile.1
    ))
}

/// The tile whose first pixel is that of a frame.
fn tile_at(tiling: &Tiling, frame: &FramePlace) -> Option<usize> {
    let index = |position: i64, side: u32, tiles: u32| {
        let from_0 = u64::try_from(position.checked_sub(1)?).ok()?;
        let index = from_0 / u64::from(side);
        (from_0 % u64::from(side) == 0 && index < u64::from(tiles)).then_some(index as usize)
    };
    let column = index(frame.column, tiling.tile.0, tiling.columns)?;
    Some(index(frame.row, tiling.tile.1, tiling.rows)? * tiling.columns as usize + column)
}
