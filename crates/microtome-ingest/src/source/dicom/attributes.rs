//! What the elements of a file say, kept and looked up.
//!
//! PS3.5 section 6.2 (value representations), PS3.3 C.7.6.16 (functional groups) and C.8.12.6 (their macros of whole
//! slides). Of the functional groups per frame only the places of the frames are kept, and what frame 1 says. Not
//! here: what follows from it.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dicom_encoding::text::{SpecificCharacterSet, TextCodec};

use super::file::DicomFile;
use super::syntax::Syntax;
use super::walk::{Element, PixelData, Step, walk};
use crate::Error;

/// Bytes of values that are kept of a file.
const MAX_KEPT_BYTES: usize = 16 << 20;
/// Elements that are kept of a file.
const MAX_KEPT: usize = 1 << 16;
/// Frames of a file: 275 gigapixels in 256 px tiles.
pub(super) const MAX_FRAMES: u64 = 1 << 22;
/// Optical paths that frames name.
const MAX_PATHS: usize = 64;

/// An element that was kept.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) path: Vec<Step>,
    pub(super) tag: Tag,
    pub(super) vr: VR,
    pub(super) value: Vec<u8>,
}

/// Bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// Where a frame of a sparsely tiled image belongs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct FramePlace {
    /// Column of its first pixel in the total pixel matrix, from 1; 0 if not said.
    pub(super) column: i64,
    /// Row of its first pixel in the total pixel matrix, from 1; 0 if not said.
    pub(super) row: i64,
    /// Height above the slide in micrometres.
    pub(super) z: f64,
    /// Number of its optical path in [`Attributes::paths`].
    pub(super) path: u32,
}

/// What a file says before its pixel data.
pub(super) struct Attributes {
    pub(super) syntax: Syntax,
    pub(super) pixels: Option<PixelData>,
    /// All elements but those of frames, in their order.
    pub(super) kept: Vec<Kept>,
    /// Elements that were too long or too many to be kept.
    pub(super) left_out: usize,
    /// Where the frames belong, if they say so.
    pub(super) frames: Vec<FramePlace>,
    /// Identifiers of the optical paths that frames name.
    pub(super) paths: Vec<Vec<u8>>,
    /// The first ICC profile.
    pub(super) icc: Option<Place>,
    /// The Extended Offset Table.
    pub(super) extended_offsets: Option<Place>,
    characters: SpecificCharacterSet,
}

impl Attributes {
    /// Reads a file up to its pixel data.
    ///
    /// # Errors
    /// As [`walk`].
    pub(super) fn read(file: &DicomFile) -> Result<Self, Error> {
        let mut keeper = Keeper::new(file);
        let (syntax, pixels) = walk(file, |element| keeper.take(element))?;
        let Keeper { kept, left_out, frames, paths, icc, extended_offsets, .. } = keeper;
        let characters = SpecificCharacterSet::default();
        let mut read =
            Self { syntax, pixels, kept, left_out, frames, paths, icc, extended_offsets, characters };
        // The second and further ones are for escape sequences, which are rare: they stay as they are.
        let named = read.texts(&[], tags::SPECIFIC_CHARACTER_SET).into_iter().find(|name| !name.is_empty());
        read.characters = named.and_then(|name| SpecificCharacterSet::from_code(&name)).unwrap_or_default();
        Ok(read)
    }

    fn find(&self, path: &[Step], tag: Tag) -> Option<&Kept> {
        self.kept.iter().find(|kept| kept.tag == tag && kept.path == path)
    }

    /// The values of a text element.
    pub(super) fn texts(&self, path: &[Step], tag: Tag) -> Vec<String> {
        self.find(path, tag).map(|kept| self.values(kept)).unwrap_or_default()
    }

    /// The first value of an element, if it has one.
    pub(super) fn text(&self, path: &[Step], tag: Tag) -> Option<String> {
        self.texts(path, tag).into_iter().next().filter(|text| !text.is_empty())
    }

    /// The values of an element as whole numbers, as far as they are some.
    pub(super) fn integers(&self, path: &[Step], tag: Tag) -> Vec<i64> {
        self.texts(path, tag).iter().map_while(|text| text.parse().ok()).collect()
    }

    /// The first value of an element as a whole number.
    pub(super) fn integer(&self, tag: Tag) -> Option<i64> {
        self.integers(&[], tag).first().copied()
    }

    /// The values of an element as numbers, as far as they are finite ones.
    pub(super) fn decimals(&self, path: &[Step], tag: Tag) -> Vec<f64> {
        let numbers = self.texts(path, tag).into_iter().map_while(|text| text.parse::<f64>().ok());
        numbers.filter(|number| number.is_finite()).collect()
    }

    /// The bytes of a value.
    pub(super) fn bytes(&self, tag: Tag) -> Option<&[u8]> {
        self.find(&[], tag).map(|kept| &kept.value[..])
    }

    /// The values of a kept element in words, none for those that are only bytes.
    pub(super) fn values(&self, kept: &Kept) -> Vec<String> {
        let value = &kept.value[..];
        match kept.vr {
            VR::US => numbers(value, u16::from_le_bytes),
            VR::SS => numbers(value, i16::from_le_bytes),
            VR::UL => numbers(value, u32::from_le_bytes),
            VR::SL => numbers(value, i32::from_le_bytes),
            VR::UV => numbers(value, u64::from_le_bytes),
            VR::SV => numbers(value, i64::from_le_bytes),
            VR::FL => numbers(value, |bytes| f64::from(f32::from_le_bytes(bytes))),
            VR::FD => numbers(value, f64::from_le_bytes),
            // Group and element, each a number of its own, as OpenSlide has it.
            VR::AT => numbers(value, u16::from_le_bytes),
            VR::OB | VR::OD | VR::OF | VR::OL | VR::OV | VR::OW | VR::UN | VR::SQ => vec![],
            // A backslash in these is a backslash.
            VR::ST | VR::LT | VR::UT | VR::UR => vec![self.decoded(kept.vr, value)],
            vr => self.decoded(vr, value).split('\\').map(|text| text.trim().to_owned()).collect(),
        }
    }

    fn decoded(&self, vr: VR, value: &[u8]) -> String {
        let value = value.strip_suffix(b"\0").unwrap_or(value);
        let any_language =
            matches!(vr, VR::SH | VR::LO | VR::ST | VR::LT | VR::UC | VR::UT | VR::PN) && !value.is_ascii();
        let text = match any_language {
            true => self.characters.decode(value).ok(),
            false => None,
        };
        let text = text.unwrap_or_else(|| String::from_utf8_lossy(value).into_owned());
        text.trim_end_matches(['\0', ' ']).to_owned()
    }
}

/// Numbers side by side, in words.
fn numbers<const N: usize, T: ToString>(value: &[u8], of: impl Fn([u8; N]) -> T) -> Vec<String> {
    value.as_chunks().0.iter().map(|&bytes| of(bytes).to_string()).collect()
}

/// Takes from the elements what is kept.
struct Keeper<'a> {
    file: &'a DicomFile,
    kept: Vec<Kept>,
    bytes: usize,
    left_out: usize,
    frames: Vec<FramePlace>,
    paths: Vec<Vec<u8>>,
    icc: Option<Place>,
    extended_offsets: Option<Place>,
}

impl<'a> Keeper<'a> {
    fn new(file: &'a DicomFile) -> Self {
        Self {
            file,
            kept: vec![],
            bytes: 0,
            left_out: 0,
            frames: vec![],
            paths: vec![],
            icc: None,
            extended_offsets: None,
        }
    }

    fn take(&mut self, element: &Element<'_>) -> Result<(), Error> {
        let Element { path, tag, offset, length, .. } = *element;
        if let [(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, frame), inner @ ..] = path {
            self.frame(*frame, inner, element)?;
            if *frame > 0 {
                return Ok(());
            }
        }
        match tag {
            tags::ICC_PROFILE => {
                self.icc.get_or_insert(Place { offset, length });
            }
            tags::EXTENDED_OFFSET_TABLE if path.is_empty() => {
                self.extended_offsets = Some(Place { offset, length });
            }
            // Group lengths.
            Tag(_, 0) => {}
            _ => self.keep(element),
        }
        Ok(())
    }

    fn keep(&mut self, element: &Element<'_>) {
        let Element { path, tag, vr, .. } = *element;
        match element.value {
            Some(value) if self.kept.len() < MAX_KEPT && self.bytes + value.len() <= MAX_KEPT_BYTES => {
                self.bytes += value.len();
                self.kept.push(Kept { path: path.to_vec(), tag, vr, value: value.to_vec() });
            }
            _ => self.left_out += 1,
        }
    }

    /// Takes what a functional group says of where a frame belongs.
    fn frame(&mut self, frame: u32, path: &[Step], element: &Element<'_>) -> Result<(), Error> {
        let index = frame as usize;
        if u64::from(frame) >= MAX_FRAMES {
            return Err(self.file.unsupported(format!("functional groups of more than {MAX_FRAMES} frames")));
        }
        if self.frames.len() <= index {
            self.frames.resize(index + 1, FramePlace::default());
        }
        let Some(value) = element.value else { return Ok(()) };
        let integer = || value.first_chunk().map(|&bytes| i64::from(i32::from_le_bytes(bytes)));
        match (path, element.tag) {
            (
                [(tags::PLANE_POSITION_SLIDE_SEQUENCE, 0)],
                tags::COLUMN_POSITION_IN_TOTAL_IMAGE_PIXEL_MATRIX,
            ) => {
                self.frames[index].column = integer().unwrap_or_default();
            }
            ([(tags::PLANE_POSITION_SLIDE_SEQUENCE, 0)], tags::ROW_POSITION_IN_TOTAL_IMAGE_PIXEL_MATRIX) => {
                self.frames[index].row = integer().unwrap_or_default();
            }
            ([(tags::PLANE_POSITION_SLIDE_SEQUENCE, 0)], tags::Z_OFFSET_IN_SLIDE_COORDINATE_SYSTEM) => {
                let text = String::from_utf8_lossy(value);
                self.frames[index].z = text.trim_matches(['\0', ' ']).parse().unwrap_or_default();
            }
            ([(tags::OPTICAL_PATH_IDENTIFICATION_SEQUENCE, 0)], tags::OPTICAL_PATH_IDENTIFIER) => {
                self.frames[index].path = self.number_of_path(value)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn number_of_path(&mut self, identifier: &[u8]) -> Result<u32, Error> {
        let identifier = identifier.trim_ascii_end();
        let known = self.paths.iter().position(|path| path == identifier);
        if known.is_none() {
            if self.paths.len() >= MAX_PATHS {
                return Err(self.file.unsupported(format!("frames of more than {MAX_PATHS} optical paths")));
            }
            self.paths.push(identifier.to_vec());
        }
        Ok(known.unwrap_or(self.paths.len() - 1) as u32)
    }
}
