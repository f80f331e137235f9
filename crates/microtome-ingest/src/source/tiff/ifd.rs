//! The structure of a TIFF or BigTIFF file: header, image file directories (IFDs), entries and their values.
//!
//! TIFF 6.0 section 2, the BigTIFF design (version 43, 8-byte offsets), TIFF Technical Note 1 (SubIFDs), and what NDPI
//! adds to classic TIFF: 8-byte offsets of IFDs, the higher 4 bytes of entries behind the IFD. Both byte orders, positional reads. Every count, offset and size is checked against the file's length and a limit before
//! anything is allocated for it. Not here: what the values mean.

use std::collections::HashSet;
use std::fmt::Display;
use std::path::Path;

use super::tag::{NDPI_FORMAT, SUB_IFDS, Tag};
use crate::Error;
use crate::source::file::SlideFile;

/// More IFDs than any slide has; each is read and kept.
const MAX_DIRECTORIES: usize = 256;
/// More entries than tags in use; an IFD is read whole.
const MAX_ENTRIES: u64 = 4096;
/// Longest text that is read (OME-XML is the longest in use).
const MAX_TEXT_BYTES: u64 = 16 << 20;

const BYTE: u16 = 1;
const ASCII: u16 = 2;
const LONG: u16 = 4;
const RATIONAL: u16 = 5;
const UNDEFINED: u16 = 7;

/// An open TIFF file.
pub(super) struct Tiff {
    file: SlideFile,
    little_endian: bool,
    big: bool,
    /// Whether this is Hamamatsu's TIFF, whose offsets have more bits than classic TIFF has room for.
    ndpi: bool,
    first: u64,
}

/// An IFD.
pub(super) struct Directory {
    /// What messages call it: `page 0`, `page 0 SubIFD 2`.
    pub(super) place: String,
    entries: Vec<Entry>,
}

/// An IFD entry, not looked into.
struct Entry {
    tag: u16,
    kind: u16,
    count: u64,
    /// The value itself where it fits, else its offset. 4 bytes in classic TIFF, 8 in BigTIFF; 4 and the 4 higher ones
    /// of an offset or a number in NDPI.
    field: Vec<u8>,
}

/// Bytes of one value of a type, or `None` for types that do not exist.
fn kind_bytes(kind: u16) -> Option<u64> {
    match kind {
        1 | 2 | 6 | 7 => Some(1),
        3 | 8 => Some(2),
        4 | 9 | 11 | 13 => Some(4),
        5 | 10 | 12 | 16..=18 => Some(8),
        _ => None,
    }
}

/// Whether values of a type are unsigned integers: BYTE, SHORT, LONG, IFD, LONG8, IFD8.
fn is_integer(kind: u16) -> bool {
    matches!(kind, 1 | 3 | 4 | 13 | 16 | 18)
}

impl Directory {
    fn entry(&self, tag: Tag) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.tag == tag.0)
    }

    /// Whether the IFD has an entry for `tag`.
    pub(super) fn has(&self, tag: Tag) -> bool {
        self.entry(tag).is_some()
    }
}

impl Tiff {
    /// Opens a file and reads its header.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let file = SlideFile::open(path)?;
        let mut tiff = Self { file, little_endian: true, big: false, ndpi: false, first: 0 };
        let start = tiff.read(0, 8, "header")?;
        tiff.little_endian = start.starts_with(b"II");
        if !tiff.little_endian && !start.starts_with(b"MM") {
            return Err(tiff.malformed("header", "does not start with II or MM, so this is not a TIFF"));
        }
        let (version, rest) = (tiff.number(&start[2..4]), &start[4..8]);
        match version {
            42 => {
                tiff.first = tiff.number(rest);
                if let Some(first) = tiff.first_of_ndpi() {
                    (tiff.ndpi, tiff.first) = (true, first);
                }
            }
            43 => {
                if tiff.number(&rest[..2]) != 8 || tiff.number(&rest[2..]) != 0 {
                    return Err(tiff.malformed("header", "BigTIFF offsets are not 8 bytes"));
                }
                tiff.big = true;
                tiff.first = tiff.number(&tiff.read(8, 8, "header")?);
            }
            _ => return Err(tiff.malformed("header", format!("version {version} (TIFF is 42, BigTIFF 43)"))),
        }
        Ok(tiff)
    }

    /// The offset of the first IFD if this is an NDPI file, which has 8 bytes for it and its own tag there.
    fn first_of_ndpi(&self) -> Option<u64> {
        let first = self.number(&self.read(4, 8, "header").ok().filter(|_| self.little_endian)?);
        let count = self.number(&self.read(first, 2, "page 0").ok()?);
        let entries = self.read(first.checked_add(2)?, count * 12, "page 0").ok()?;
        let is_ndpi =
            entries.chunks_exact(12).any(|entry| self.number(&entry[..2]) == u64::from(NDPI_FORMAT.0));
        is_ndpi.then_some(first)
    }

    /// Whether this is Hamamatsu's TIFF.
    pub(super) fn is_ndpi(&self) -> bool {
        self.ndpi
    }

    /// The path as it was given.
    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Length of the file in bytes.
    pub(super) fn length(&self) -> u64 {
        self.file.length()
    }

    /// An error about bytes of the file that are wrong.
    pub(super) fn malformed(&self, place: impl Into<String>, what: impl Display) -> Error {
        self.file.malformed(place, what)
    }

    /// An error about something that is not read but can be stored in another way.
    pub(super) fn unsupported(&self, place: &str, what: impl Display) -> Error {
        self.unsupported_unless(
            place,
            what,
            "vips tiffsave IN OUT.tif --tile --pyramid --compression deflate",
        )
    }

    /// An error about something that is not read, with a command that gets round it.
    pub(super) fn unsupported_unless(&self, place: &str, what: impl Display, command: &str) -> Error {
        self.file
            .unsupported(format!("{place}: {what}"), &format!("convert it first, for example: {command}"))
    }

    /// The `length` bytes at `offset`. The caller has a limit on `length`; that they lie in the file is checked here.
    pub(super) fn read(&self, offset: u64, length: u64, place: &str) -> Result<Vec<u8>, Error> {
        self.file.read(offset, length, place)
    }

    /// An unsigned integer of 1 to 8 bytes in the file's byte order.
    fn number(&self, bytes: &[u8]) -> u64 {
        let append = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        if self.little_endian { bytes.iter().rev().fold(0, append) } else { bytes.iter().fold(0, append) }
    }

    /// All IFDs of the chain, in order, and the SubIFDs of each, after it.
    ///
    /// SubIFDs of SubIFDs are not followed, nor are chains that start in a SubIFD: no pyramid uses them.
    pub(super) fn directories(&self) -> Result<Vec<Directory>, Error> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        let (mut next, mut page) = (self.first, 0);
        if next == 0 {
            return Err(self.malformed("header", "the file has no IFD"));
        }
        while next != 0 {
            let (directory, following) = self.directory(next, format!("page {page}"), &mut seen)?;
            let children = self.numbers(&directory, SUB_IFDS, MAX_DIRECTORIES as u64)?.unwrap_or_default();
            found.push(directory);
            for (index, child) in children.into_iter().enumerate() {
                found.push(self.directory(child, format!("page {page} SubIFD {index}"), &mut seen)?.0);
            }
            (next, page) = (following, page + 1);
        }
        Ok(found)
    }

    /// The IFD at `offset`, and the offset of the next one.
    fn directory(
        &self,
        offset: u64,
        place: String,
        seen: &mut HashSet<u64>,
    ) -> Result<(Directory, u64), Error> {
        if !seen.insert(offset) {
            return Err(self
                .malformed(place, format!("its IFD at byte {offset} was met before: the IFDs form a loop")));
        }
        if seen.len() > MAX_DIRECTORIES {
            let what = format!("more than {MAX_DIRECTORIES} IFDs");
            return Err(self.unsupported(&place, what));
        }
        let (count_bytes, entry_bytes, field_bytes) = if self.big { (8, 20, 8) } else { (2, 12, 4) };
        let next_bytes = if self.ndpi { 8 } else { field_bytes };
        let count = self.number(&self.read(offset, count_bytes, &place)?);
        if count == 0 || count > MAX_ENTRIES {
            let what = format!("its IFD at byte {offset} has {count} entries (1 to {MAX_ENTRIES} are taken)");
            return Err(self.malformed(place, what));
        }
        // The offset was read from, so it is below the file's length and the sum does not overflow.
        let table = self.read(offset + count_bytes, count * entry_bytes + next_bytes, &place)?;
        let (entries, next) = table.split_at((count * entry_bytes) as usize);
        let entries = entries.chunks_exact(entry_bytes as usize);
        let mut entries: Vec<_> = entries
            .map(|entry| Entry {
                tag: self.number(&entry[..2]) as u16,
                kind: self.number(&entry[2..4]) as u16,
                count: self.number(&entry[4..4 + field_bytes as usize]),
                field: entry[4 + field_bytes as usize..].to_vec(),
            })
            .collect();
        // Files of less than 4 GiB have no higher bytes, or zeros.
        if self.ndpi && self.file.length() > u64::from(u32::MAX) {
            let high = self.read(offset + count_bytes + table.len() as u64, 4 * count, &place)?;
            for (entry, high) in entries.iter_mut().zip(high.chunks_exact(4)) {
                entry.field.extend_from_slice(high);
            }
        }
        Ok((Directory { place, entries }, self.number(next)))
    }

    /// The bytes of an entry's value, at most `max_bytes` of them.
    fn value(
        &self,
        directory: &Directory,
        tag: Tag,
        entry: &Entry,
        max_bytes: u64,
    ) -> Result<Vec<u8>, Error> {
        let place = format!("{}, {tag}", directory.place);
        let Some(each) = kind_bytes(entry.kind) else {
            return Err(self.malformed(place, format!("type {} does not exist", entry.kind)));
        };
        match entry.count.checked_mul(each) {
            Some(bytes) if bytes <= if self.big { 8 } else { 4 } => {
                Ok(entry.field[..bytes as usize].to_vec())
            }
            Some(bytes) if bytes <= max_bytes => self.read(self.number(&entry.field), bytes, &place),
            _ => Err(self.malformed(
                place,
                format!("{} values of {each} bytes (at most {max_bytes} bytes are taken)", entry.count),
            )),
        }
    }

    /// The unsigned integers of a tag, at most `max_count`, or `None` if the tag is absent.
    pub(super) fn numbers(
        &self,
        directory: &Directory,
        tag: Tag,
        max_count: u64,
    ) -> Result<Option<Vec<u64>>, Error> {
        let Some(entry) = directory.entry(tag) else { return Ok(None) };
        let place = || format!("{}, {tag}", directory.place);
        if !is_integer(entry.kind) {
            return Err(
                self.malformed(place(), format!("type {} where an unsigned integer is expected", entry.kind))
            );
        }
        if entry.count == 0 || entry.count > max_count {
            return Err(
                self.malformed(place(), format!("{} values (1 to {max_count} are expected)", entry.count))
            );
        }
        if self.ndpi && (entry.kind, entry.count) == (LONG, 1) {
            return Ok(Some(vec![self.number(&entry.field)]));
        }
        let bytes = self.value(directory, tag, entry, 8 * max_count)?;
        let each = kind_bytes(entry.kind).map_or(1, |bytes| bytes as usize);
        Ok(Some(bytes.chunks_exact(each).map(|value| self.number(value)).collect()))
    }

    /// The one unsigned integer of a tag, or `None` if the tag is absent.
    pub(super) fn number_of(&self, directory: &Directory, tag: Tag) -> Result<Option<u64>, Error> {
        Ok(self.numbers(directory, tag, 1)?.and_then(|values| values.first().copied()))
    }

    /// The bytes of a tag of type BYTE or UNDEFINED, or `None` if the tag is absent.
    pub(super) fn bytes(
        &self,
        directory: &Directory,
        tag: Tag,
        max_bytes: u64,
    ) -> Result<Option<Vec<u8>>, Error> {
        let Some(entry) = directory.entry(tag) else { return Ok(None) };
        if !matches!(entry.kind, BYTE | UNDEFINED) {
            let place = format!("{}, {tag}", directory.place);
            return Err(self.malformed(place, format!("type {} where bytes are expected", entry.kind)));
        }
        self.value(directory, tag, entry, max_bytes).map(Some)
    }

    /// The text of a tag up to its first NUL, or `None` if the tag is absent. Bytes that are not UTF-8 are replaced.
    pub(super) fn text(&self, directory: &Directory, tag: Tag) -> Result<Option<String>, Error> {
        let Some(entry) = directory.entry(tag) else { return Ok(None) };
        if !matches!(entry.kind, BYTE | ASCII | UNDEFINED) {
            let place = format!("{}, {tag}", directory.place);
            return Err(self.malformed(place, format!("type {} where text is expected", entry.kind)));
        }
        let mut bytes = self.value(directory, tag, entry, MAX_TEXT_BYTES)?;
        if self.ndpi && (1..=4).contains(&entry.count) {
            // Some NDPI writers put short texts where the standard does, others elsewhere as they do long ones.
            let elsewhere = self.read(self.number(&entry.field), entry.count, "text");
            let is_text = |bytes: &[u8]| {
                let (end, text) = bytes.split_last().unwrap_or((&1, &[]));
                *end == 0 && text.iter().all(|byte| (32..127).contains(byte))
            };
            bytes = elsewhere.ok().filter(|bytes| is_text(bytes)).unwrap_or(bytes);
            bytes.truncate(if is_text(&bytes) { bytes.len() } else { 0 });
        }
        let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        Ok(Some(String::from_utf8_lossy(text).into_owned()))
    }

    /// The numbers of a tag of an integer or floating point type, at most `max_count`; none if the tag is absent or of
    /// another type.
    pub(super) fn reals(&self, directory: &Directory, tag: Tag, max_count: u64) -> Result<Vec<f64>, Error> {
        let Some(entry) = directory.entry(tag).filter(|entry| (1..=max_count).contains(&entry.count)) else {
            return Ok(Vec::new());
        };
        let real: fn(u64) -> f64 = match entry.kind {
            kind if is_integer(kind) => |bits| bits as f64,
            6 => |bits| f64::from(bits as i8),
            8 => |bits| f64::from(bits as i16),
            9 => |bits| f64::from(bits as i32),
            11 => |bits| f64::from(f32::from_bits(bits as u32)),
            12 => f64::from_bits,
            _ => return Ok(Vec::new()),
        };
        let bytes = self.value(directory, tag, entry, 8 * max_count)?;
        let each = kind_bytes(entry.kind).map_or(1, |bytes| bytes as usize);
        Ok(bytes.chunks_exact(each).map(|value| real(self.number(value))).collect())
    }

    /// Turns 16-bit numbers in the file's byte order into those of this machine.
    pub(super) fn to_native_order(&self, numbers: &mut [u8]) {
        if self.little_endian != cfg!(target_endian = "little") {
            numbers.as_chunks_mut::<2>().0.iter_mut().for_each(|number| number.reverse());
        }
    }

    /// The RATIONAL of a tag, or `None` if the tag is absent, of another type or not a number.
    pub(super) fn rational(&self, directory: &Directory, tag: Tag) -> Result<Option<f64>, Error> {
        let Some(entry) = directory.entry(tag).filter(|e| e.kind == RATIONAL && e.count == 1) else {
            return Ok(None);
        };
        let bytes = self.value(directory, tag, entry, 8)?;
        let (above, below) = bytes.split_at(bytes.len() / 2);
        let value = self.number(above) as f64 / self.number(below) as f64;
        Ok(Some(value).filter(|value| value.is_finite()))
    }
}
