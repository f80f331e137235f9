//! Where the frames of a file lie, and their bytes.
//!
//! PS3.5 annex A.4 (encapsulation: items after a Basic Offset Table), PS3.3 C.7.6.3.1.8 (Extended Offset Table).
//! Without a table, or with one that cannot be right, the items are walked over. Nothing is read but headers until a
//! frame is asked for. Not here: decoding.

use super::attributes::{Attributes, MAX_FRAMES, Place};
use super::file::DicomFile;
use super::walk::PixelData;
use crate::Error;

/// A frame beyond this is no tile.
const MAX_FRAME_BYTES: u64 = 256 << 20;
const ITEM: [u8; 4] = [0xFE, 0xFF, 0x00, 0xE0];
const SEQUENCE_END: [u8; 4] = [0xFE, 0xFF, 0xDD, 0xE0];

/// The places of a file's frames.
pub(super) enum Frames {
    /// Frames of `size` bytes, one after the other.
    Native { offset: u64, size: u64 },
    /// Where the first item of each frame begins, and where the last may end.
    Encapsulated { starts: Vec<u64>, end: u64 },
}

impl Frames {
    /// Frames that are not encapsulated, `size` bytes each.
    pub(super) fn native(file: &DicomFile, pixels: PixelData, count: u64, size: u64) -> Result<Self, Error> {
        let Some(length) = pixels.length else {
            return Err(
                file.malformed("PixelData", "is encapsulated, and uncompressed by its transfer syntax")
            );
        };
        let needed = count.checked_mul(size).filter(|&needed| needed <= length);
        if needed.is_none() || pixels.offset.saturating_add(length) > file.length() {
            let what = format!("{length} bytes in a file of {}, for {count} frames of {size}", file.length());
            return Err(file.malformed("PixelData", what));
        }
        Ok(Self::Native { offset: pixels.offset, size })
    }

    /// Encapsulated frames.
    pub(super) fn encapsulated(
        file: &DicomFile,
        attributes: &Attributes,
        pixels: PixelData,
        count: u64,
    ) -> Result<Self, Error> {
        if pixels.length.is_some() {
            return Err(file.malformed("PixelData", "is not encapsulated, as its transfer syntax asks"));
        }
        if count > MAX_FRAMES {
            return Err(file.unsupported(format!("{count} frames (at most {MAX_FRAMES} are taken)")));
        }
        let (tag, length) = item_header(file, pixels.offset)?;
        if tag != ITEM {
            return Err(file.malformed("PixelData", "begins with no item for its offset table"));
        }
        let (table, first) = (pixels.offset + 8, pixels.offset + 8 + length);
        let end = file.length();
        if first > end {
            return Err(
                file.malformed("Basic Offset Table", format!("{length} bytes, beyond the file's end"))
            );
        }
        let extended = attributes.extended_offsets.filter(|place| place.length == 8 * count);
        let offsets = match extended {
            Some(Place { offset, length }) => {
                let table = file.read(offset, length, "Extended Offset Table")?;
                Some(table.as_chunks().0.iter().map(|&entry| u64::from_le_bytes(entry)).collect())
            }
            None if length == 4 * count => {
                let table = file.read(table, length, "Basic Offset Table")?;
                let entries = table.as_chunks().0.iter();
                Some(entries.map(|&entry| u64::from(u32::from_le_bytes(entry))).collect())
            }
            None => None,
        };
        let starts = match offsets.and_then(|offsets: Vec<u64>| starts_of(&offsets, first, end)) {
            Some(starts) => starts,
            None => walk(file, first, count)?,
        };
        Ok(Self::Encapsulated { starts, end })
    }

    /// The bytes of a frame. Of an encapsulated one, all its fragments joined, with what pads the last.
    pub(super) fn bytes(&self, file: &DicomFile, index: u64) -> Result<Vec<u8>, Error> {
        let place = || format!("frame {}", index + 1);
        match self {
            Self::Native { offset, size } => {
                let start = index.checked_mul(*size).and_then(|start| start.checked_add(*offset));
                file.read(start.unwrap_or(u64::MAX), *size, &place())
            }
            Self::Encapsulated { starts, end } => {
                let index = index as usize;
                let Some(&start) = starts.get(index) else {
                    return Err(file.malformed(place(), format!("there are {} frames", starts.len())));
                };
                let end = starts.get(index + 1).copied().unwrap_or(*end);
                fragments(file, &place(), start, end)
            }
        }
    }
}

/// Tag and length of the item at `offset`.
fn item_header(file: &DicomFile, offset: u64) -> Result<([u8; 4], u64), Error> {
    let header = file.read(offset, 8, "item of PixelData")?;
    let (tag, length) = header.split_first_chunk().unwrap_or((&[0; 4], &[]));
    let length = length.first_chunk().map_or(0, |&length| u32::from_le_bytes(length));
    Ok((*tag, u64::from(length)))
}

/// Where the frames begin by a table of offsets from `first`, if it can be right: from 0, ever larger, in the file.
fn starts_of(offsets: &[u64], first: u64, end: u64) -> Option<Vec<u64>> {
    let rising = offsets.windows(2).all(|pair| pair[0] < pair[1]);
    if offsets.first() != Some(&0) || !rising {
        return None;
    }
    offsets.iter().map(|offset| first.checked_add(*offset).filter(|&start| start < end)).collect()
}

/// Finds the frames by walking over the items. Where there are more items than frames, a frame begins with what begins
/// a JPEG or JPEG 2000 stream.
fn walk(file: &DicomFile, first: u64, count: u64) -> Result<Vec<u64>, Error> {
    let mut items = vec![];
    let mut streams = vec![];
    let mut at = first;
    loop {
        let (tag, length) = item_header(file, at)?;
        if tag == SEQUENCE_END {
            break;
        }
        if tag != ITEM || length == u64::from(u32::MAX) {
            return Err(file.malformed(format!("PixelData at byte {at}"), "no item where a frame should be"));
        }
        if items.len() as u64 >= MAX_FRAMES {
            return Err(file.unsupported(format!("more than {MAX_FRAMES} fragments of frames")));
        }
        items.push(at);
        if length >= 2 && matches!(file.read(at + 8, 2, "fragment")?[..], [0xFF, 0xD8 | 0x4F]) {
            streams.push(at);
        }
        at = at.saturating_add(8 + length);
    }
    let starts = match count {
        _ if items.len() as u64 == count => items,
        1 if !items.is_empty() => vec![first],
        _ if streams.len() as u64 == count && streams.first() == Some(&first) => streams,
        _ => {
            let what = format!("{} fragments for {count} frames, and no table that says which", items.len());
            return Err(file.malformed("PixelData", what));
        }
    };
    Ok(starts)
}

/// The fragments from `start` to `end`, or to the end of the sequence, joined.
fn fragments(file: &DicomFile, place: &str, start: u64, end: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![];
    let mut at = start;
    while at < end {
        let (tag, length) = item_header(file, at)?;
        if tag == SEQUENCE_END && at > start {
            break;
        }
        if tag != ITEM {
            return Err(file.malformed(format!("{place} at byte {at}"), "no item where a fragment should be"));
        }
        at = at + 8 + length;
        if at > end {
            let what = format!("a fragment of {length} bytes reaches beyond byte {end}, where it must end");
            return Err(file.malformed(place, what));
        }
        if bytes.len() as u64 + length > MAX_FRAME_BYTES {
            return Err(file.unsupported(format!("{place} of more than {MAX_FRAME_BYTES} bytes")));
        }
        let fragment = file.read(at - length, length, place)?;
        match bytes.is_empty() {
            true => bytes = fragment,
            false => bytes.extend_from_slice(&fragment),
        }
    }
    match bytes.is_empty() {
        true => Err(file.malformed(place, "is empty")),
        false => Ok(bytes),
    }
}
