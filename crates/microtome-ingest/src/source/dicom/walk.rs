//! The elements of a DICOM file up to its pixel data, one after the other.
//!
//! PS3.10 section 7 (file meta information), PS3.5 sections 7.1 (elements), 7.5 (sequences) and 6.2.2 (unknown VR).
//! Explicit and implicit VR, little endian. Nothing is kept, nesting takes no stack, and no value is read that is
//! longer than a limit or than what is around it. Element headers are decoded by dicom-rs; its readers of whole data
//! sets are not used, since they panic or recurse without bound on what a hostile file can hold. Not here: what
//! elements mean.

use std::io::{BufReader, Read, Seek, SeekFrom};

use dicom_core::header::{HasLength, Header, Length};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dicom_encoding::decode::Decode;
use dicom_encoding::decode::explicit_le::ExplicitVRLittleEndianDecoder;
use dicom_encoding::decode::implicit_le::StandardImplicitVRLittleEndianDecoder;

use super::file::DicomFile;
use super::syntax::Syntax;
use crate::Error;

/// Length of the preamble, after which comes `DICM`.
const PREAMBLE: u64 = 128;
/// Longest value that is handed on; ICC profiles and offset tables are read where they are needed.
pub(super) const MAX_VALUE: u64 = 256 << 10;
/// Sequences within sequences; slides have six.
const MAX_DEPTH: usize = 16;

const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);

/// A sequence on the way to an element, and the number of the item in it.
pub(super) type Step = (Tag, u32);

/// An element that is no sequence.
pub(super) struct Element<'a> {
    /// The sequences around it, from the outermost.
    pub(super) path: &'a [Step],
    pub(super) tag: Tag,
    pub(super) vr: VR,
    /// Where in the file its value begins.
    pub(super) offset: u64,
    /// Length of its value in bytes.
    pub(super) length: u64,
    /// The value, where it is no longer than [`MAX_VALUE`].
    pub(super) value: Option<&'a [u8]>,
}

/// Where the pixel data lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PixelData {
    pub(super) offset: u64,
    /// Bytes, or `None` where they are encapsulated.
    pub(super) length: Option<u64>,
}

/// What is around the elements that come next.
struct Container {
    /// Where it ends, or `None` where a delimiter says so.
    end: Option<u64>,
    kind: Kind,
    /// Whether VRs are left out in it.
    implicit: bool,
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum Kind {
    Sequence,
    Item,
}

/// Visits all elements before the pixel data, those of the file meta information first.
///
/// # Errors
/// [`Error::Malformed`] naming the byte where the structure breaks, [`Error::Unsupported`] for a transfer syntax that is
/// not read, [`Error::Read`], and what `visit` says.
pub(super) fn walk(
    file: &DicomFile,
    mut visit: impl FnMut(&Element<'_>) -> Result<(), Error>,
) -> Result<(Syntax, Option<PixelData>), Error> {
    let start = file.read(0, file.length().min(PREAMBLE + 4), "preamble")?;
    if start.get(PREAMBLE as usize..) != Some(b"DICM") {
        return Err(file.malformed("preamble", "does not end in DICM, so this is not a DICOM file"));
    }
    let mut walker = Walker {
        file,
        input: BufReader::with_capacity(16 << 10, file.handle()),
        position: 0,
        containers: vec![],
        path: vec![],
    };
    walker.seek(PREAMBLE + 4)?;
    let syntax = walker.meta(&mut visit)?;
    let pixels = walker.data_set(syntax.implicit, &mut visit)?;
    Ok((syntax, pixels))
}

struct Walker<'a> {
    file: &'a DicomFile,
    input: BufReader<&'a std::fs::File>,
    position: u64,
    containers: Vec<Container>,
    path: Vec<Step>,
}

impl Walker<'_> {
    fn malformed(&self, what: impl std::fmt::Display) -> Error {
        self.file.malformed(format!("data set at byte {}", self.position), what)
    }

    fn seek(&mut self, position: u64) -> Result<(), Error> {
        self.input.seek(SeekFrom::Start(position)).map_err(|error| self.file.read_error(position, &error))?;
        self.position = position;
        Ok(())
    }

    /// The next element's header.
    fn header(&mut self, implicit: bool) -> Result<(Tag, VR, Length), Error> {
        let decoded = if implicit {
            StandardImplicitVRLittleEndianDecoder::new().decode_header(&mut self.input)
        } else {
            ExplicitVRLittleEndianDecoder::default().decode_header(&mut self.input)
        };
        let (header, length) =
            decoded.map_err(|error| self.malformed(format!("no element can be read ({error})")))?;
        self.position += length as u64;
        Ok((header.tag(), header.vr(), header.length()))
    }

    /// Hands on an element of which the header was read, and goes behind it.
    fn value(
        &mut self,
        (tag, vr, length): (Tag, VR, Length),
        visit: &mut impl FnMut(&Element<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(length) = length.get().map(u64::from) else {
            return Err(self.malformed(format!("{tag} of VR {vr:?} says nothing about its length")));
        };
        let room = self.containers.iter().rev().find_map(|container| container.end);
        let room = room.unwrap_or(self.file.length()).saturating_sub(self.position);
        if length > room {
            let what = format!("{tag} of {length} bytes, where {room} are left");
            return Err(self.malformed(what));
        }
        let offset = self.position;
        let mut bytes = vec![];
        let whole = length <= MAX_VALUE;
        if whole {
            bytes.resize(length as usize, 0);
            self.input.read_exact(&mut bytes).map_err(|error| self.file.read_error(offset, &error))?;
        } else {
            self.input.seek_relative(length as i64).map_err(|error| self.file.read_error(offset, &error))?;
        }
        self.position += length;
        visit(&Element { path: &self.path, tag, vr, offset, length, value: whole.then_some(&bytes) })
    }

    /// Reads group 2, which is explicit VR whatever it says of the rest.
    fn meta(&mut self, visit: &mut impl FnMut(&Element<'_>) -> Result<(), Error>) -> Result<Syntax, Error> {
        let mut uid = None;
        loop {
            let start = self.position;
            if start >= self.file.length() {
                break;
            }
            let header = self.header(false)?;
            if header.0.0 != 2 {
                self.seek(start)?;
                break;
            }
            self.value(header, &mut |element| {
                if element.tag == tags::TRANSFER_SYNTAX_UID {
                    uid = element.value.map(|value| String::from_utf8_lossy(value).into_owned());
                }
                visit(element)
            })?;
        }
        let Some(uid) = uid else {
            return Err(self.file.malformed("file meta information", "names no transfer syntax"));
        };
        Syntax::of(self.file, uid.trim_end_matches(['\0', ' ']))
    }

    fn data_set(
        &mut self,
        implicit: bool,
        visit: &mut impl FnMut(&Element<'_>) -> Result<(), Error>,
    ) -> Result<Option<PixelData>, Error> {
        loop {
            self.close()?;
            if self.position >= self.file.length() {
                return match self.containers.is_empty() {
                    true => Ok(None),
                    false => Err(self.malformed("the file ends within a sequence")),
                };
            }
            let (kind, implicit) =
                self.containers.last().map_or((Kind::Item, implicit), |top| (top.kind, top.implicit));
            let header = self.header(implicit)?;
            let (tag, vr, length) = header;
            match (kind, tag) {
                (Kind::Sequence, ITEM) => {
                    self.push(Kind::Item, length, implicit)?;
                    if let Some((_, number)) = self.path.last_mut() {
                        // They begin one before the first.
                        *number = number.wrapping_add(1);
                    }
                }
                (Kind::Sequence, SEQUENCE_END) | (Kind::Item, ITEM_END) => self.delimit()?,
                (Kind::Sequence, other) => {
                    return Err(self.malformed(format!("{other} where a sequence has its next item")));
                }
                (Kind::Item, ITEM | SEQUENCE_END) => {
                    return Err(self.malformed(format!("{tag} outside a sequence")));
                }
                (Kind::Item, tags::PIXEL_DATA) if self.containers.is_empty() => {
                    let length = length.get().map(u64::from);
                    return Ok(Some(PixelData { offset: self.position, length }));
                }
                // What has an unknown VR and an unknown length is a sequence in implicit VR.
                (Kind::Item, _) if vr == VR::SQ || (vr == VR::UN && length.is_undefined()) => {
                    if self.path.len() >= MAX_DEPTH {
                        return Err(self.malformed(format!("more than {MAX_DEPTH} sequences in each other")));
                    }
                    self.push(Kind::Sequence, length, implicit || vr == VR::UN)?;
                    self.path.push((tag, u32::MAX));
                }
                (Kind::Item, _) => self.value(header, visit)?,
            }
        }
    }

    /// Enters a sequence or an item.
    fn push(&mut self, kind: Kind, length: Length, implicit: bool) -> Result<(), Error> {
        let end = length.get().map(|length| self.position + u64::from(length));
        let around = self.containers.iter().rev().find_map(|container| container.end);
        let last = around.unwrap_or(self.file.length());
        if let Some(end) = end.filter(|&end| end > last) {
            return Err(
                self.malformed(format!("a sequence or item up to byte {end}, where {last} is the end"))
            );
        }
        self.containers.push(Container { end, kind, implicit });
        Ok(())
    }

    /// Leaves what ends here by its length.
    fn close(&mut self) -> Result<(), Error> {
        while let Some(end) = self.containers.last().and_then(|top| top.end) {
            if end > self.position {
                break;
            }
            if end < self.position {
                return Err(self.malformed(format!("an element reaches beyond its item's end at byte {end}")));
            }
            self.leave();
        }
        Ok(())
    }

    /// Leaves what a delimiter ends.
    fn delimit(&mut self) -> Result<(), Error> {
        match self.containers.last() {
            Some(Container { end: None, .. }) => {
                self.leave();
                Ok(())
            }
            _ => Err(self.malformed("a delimiter where nothing is open that needs one")),
        }
    }

    fn leave(&mut self) {
        if self.containers.pop().is_some_and(|left| left.kind == Kind::Sequence) {
            self.path.pop();
        }
    }
}
