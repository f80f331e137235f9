//! The beginning of a container: identity, level table, section table.
//!
//! Byte layout: `docs/format/container.md`, "Header block". Not here: reading files, the tile index.

use std::fmt;

use crate::checksum;
use crate::error::RESTORE;
use crate::geometry::{Grid, coarsest_level, level_length};

/// Longest header block in bytes: reading so many is enough to open any container.
pub const MAX_HEADER_LENGTH: usize = 16 * 1024;
/// Format version that this crate writes; it reads any minor version of the same major one.
pub const VERSION: (u16, u16) = (1, 0);
/// A pyramid of 32-bit sides has at most 33 levels.
pub const MAX_LEVELS: usize = 33;
/// More sections than any writer needs; bounds what a hostile header can ask for.
pub const MAX_SECTIONS: usize = 64;
/// Largest side of a tile in pixels, and the smallest.
pub const TILE_SIZES: std::ops::RangeInclusive<u32> = 16..=4096;
/// Largest overlap in pixels (and never more than half a tile).
pub const MAX_OVERLAP: u32 = 64;
/// Largest side of level 0 in pixels.
pub const MAX_SIDE: u32 = 1 << 24;

/// Sections start at multiples of this many bytes.
pub(crate) const ALIGNMENT: u64 = 16;

/// What a container begins with.
pub const MAGIC: [u8; 8] = *b"\x89MTM\r\n\x1a\n";
const LEVELS_AT: usize = 128;
const LEVEL_LENGTH: usize = 16;
const SECTION_LENGTH: usize = 64;
const CHECKSUM_LENGTH: usize = 8;
const CONTENT_ID: std::ops::Range<usize> = 48..80;

/// Names the slide that a record belongs to; part of every checksum.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SlideId(pub [u8; 16]);

/// BLAKE3 over the header, and through its section hashes over every byte of the file that means anything.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentId(pub [u8; 32]);

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(f, &self.0)
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(f, &self.0)
    }
}

impl fmt::Debug for SlideId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(f, &self.0)
    }
}

fn hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// One level of the pyramid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Whether its tiles are stored; otherwise they are derived from the level below (the finer one).
    pub stored: bool,
}

/// What a section holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SectionKind(pub [u8; 4]);

impl SectionKind {
    /// Leaf pages of the tile index.
    pub const INDEX: Self = Self(*b"INDX");
    /// Tile records of one codec.
    pub const TILES: Self = Self(*b"TILE");
    /// Parameters of one codec.
    pub const CODEC_PARAMETERS: Self = Self(*b"CPAR");
    /// Metadata as JSON.
    pub const METADATA: Self = Self(*b"META");
    /// ICC profile of the slide.
    pub const ICC_PROFILE: Self = Self(*b"ICCP");
    /// An associated image; the metadata says which.
    pub const ASSOCIATED: Self = Self(*b"ASSO");

    /// Kinds of which there is one at most (of `CPAR`, one for each codec).
    const SINGLE: [Self; 4] = [Self::INDEX, Self::CODEC_PARAMETERS, Self::METADATA, Self::ICC_PROFILE];

    const KNOWN: [Self; 6] = [
        Self::INDEX,
        Self::TILES,
        Self::CODEC_PARAMETERS,
        Self::METADATA,
        Self::ICC_PROFILE,
        Self::ASSOCIATED,
    ];
}

impl fmt::Display for SectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for SectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// An entry of the section table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// What the section holds.
    pub kind: SectionKind,
    /// Whether a reader that does not know the kind must refuse the file.
    pub critical: bool,
    /// Payload codec of `TILE` and `CPAR` sections, else 0.
    pub codec: u16,
    /// Offset of its first byte from the start of the file.
    pub offset: u64,
    /// Length in bytes.
    pub length: u64,
    /// BLAKE3 of its bytes.
    pub hash: [u8; 32],
}

impl Section {
    /// Offset of the first byte behind the section.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + self.length
    }
}

/// The parsed header block. Every value has been checked against the bounds above and the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Length of the header block in bytes; every section lies behind it.
    pub header_length: u32,
    /// Names the slide in checksums.
    pub slide_id: SlideId,
    /// Identity of the file's content.
    pub content_id: ContentId,
    /// Length of the whole file in bytes.
    pub file_length: u64,
    /// Side of a tile in pixels, without overlap.
    pub tile_size: u32,
    /// Pixels that a tile shares with each inner neighbour.
    pub overlap: u32,
    /// Levels, finest first.
    pub levels: Vec<Level>,
    /// Sections in file order.
    pub sections: Vec<Section>,
}

/// Why a header block is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Not a container, or damaged.
    Damaged(String),
    /// Written by a newer version.
    Unsupported(String),
}

/// Length of the shortest header block with so many levels and sections.
pub(crate) fn shortest_length(levels: usize, sections: usize) -> u32 {
    let tables = LEVELS_AT + levels * LEVEL_LENGTH + sections * SECTION_LENGTH;
    (tables + CHECKSUM_LENGTH).next_multiple_of(ALIGNMENT as usize) as u32
}

impl Header {
    /// Grid of a level, or `None` beyond the coarsest.
    #[must_use]
    pub fn grid(&self, level: u8) -> Option<Grid> {
        let Level { width, height, .. } = *self.levels.get(usize::from(level))?;
        Some(Grid { width, height, tile_size: self.tile_size, overlap: self.overlap })
    }

    /// The header block, with content id and checksum computed; `self.content_id` is set to the result.
    pub(crate) fn seal(&mut self) -> Vec<u8> {
        let mut block = vec![0; self.header_length as usize];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC);
        put(8, &VERSION.0.to_le_bytes());
        put(10, &VERSION.1.to_le_bytes());
        put(12, &self.header_length.to_le_bytes());
        put(32, &self.slide_id.0);
        put(80, &self.file_length.to_le_bytes());
        put(88, &self.tile_size.to_le_bytes());
        put(92, &self.overlap.to_le_bytes());
        put(96, &(self.levels.len() as u16).to_le_bytes());
        put(98, &(self.sections.len() as u16).to_le_bytes());
        let mut at = LEVELS_AT;
        for level in &self.levels {
            put(at, &level.width.to_le_bytes());
            put(at + 4, &level.height.to_le_bytes());
            put(at + 8, &u32::from(level.stored).to_le_bytes());
            at += LEVEL_LENGTH;
        }
        for section in &self.sections {
            put(at, &section.kind.0);
            put(at + 4, &u16::from(section.critical).to_le_bytes());
            put(at + 6, &section.codec.to_le_bytes());
            put(at + 16, &section.offset.to_le_bytes());
            put(at + 24, &section.length.to_le_bytes());
            put(at + 32, &section.hash);
            at += SECTION_LENGTH;
        }
        self.content_id = seal_block(&mut block);
        block
    }

    /// Parses and checks the header block at the beginning of a file, whose first bytes these are: all of them, or
    /// [`MAX_HEADER_LENGTH`].
    pub(crate) fn parse(file: &[u8]) -> Result<Self, Refusal> {
        let damaged = |what: &str| Err(Refusal::Damaged(what.to_owned()));
        if file.len() < shortest_length(1, 1) as usize {
            return damaged(
                "shorter than a header: the file is empty, cut off or not a container; copy it again from where it is whole",
            );
        }
        if file[..8] != MAGIC {
            return damaged(
                "not a Microtome container (its first bytes are not a container's); `microtome ingest` makes one of a slide",
            );
        }
        if u16_at(file, 8) != VERSION.0 {
            return Err(Refusal::Unsupported(format!("format version {}", u16_at(file, 8))));
        }
        let header_length = u32_at(file, 12);
        let Some(block) = block(file, header_length) else {
            return Err(Refusal::Damaged(format!(
                "a header of {header_length} bytes (a multiple of 16, 16,384 at most) is not in the file: it was cut \
                 off or is damaged"
            )));
        };
        let checksum_at = block.len() - CHECKSUM_LENGTH;
        if u64_at(block, checksum_at) != checksum::header(&block[..checksum_at]) {
            return Err(Refusal::Damaged(format!("the checksum does not match; {RESTORE}")));
        }
        if u64_at(block, 16) != 0 {
            return Err(Refusal::Unsupported(format!("critical features {:#x}", u64_at(block, 16))));
        }
        let content_id_stored = ContentId(array_at(block, CONTENT_ID.start));
        if content_id(block) != content_id_stored {
            return damaged("the content id does not match");
        }
        let (levels, sections) = (usize::from(u16_at(block, 96)), usize::from(u16_at(block, 98)));
        if levels > MAX_LEVELS || sections > MAX_SECTIONS {
            return damaged("more levels or sections than the format allows");
        }
        if header_length < shortest_length(levels, sections) {
            return damaged("more levels or sections than its length has room for");
        }
        let sections_at = LEVELS_AT + levels * LEVEL_LENGTH;
        let header = Self {
            header_length,
            slide_id: SlideId(array_at(block, 32)),
            content_id: content_id_stored,
            file_length: u64_at(block, 80),
            tile_size: u32_at(block, 88),
            overlap: u32_at(block, 92),
            levels: block[LEVELS_AT..sections_at].chunks_exact(LEVEL_LENGTH).map(level).collect(),
            sections: block[sections_at..sections_at + sections * SECTION_LENGTH]
                .chunks_exact(SECTION_LENGTH)
                .map(section)
                .collect(),
        };
        header.check_pyramid().map_err(Refusal::Damaged)?;
        header.check_sections()?;
        Ok(header)
    }

    /// Checks tile size, overlap and the level table; the same rules for reader and writer.
    pub(crate) fn check_pyramid(&self) -> Result<(), String> {
        let &Self { tile_size, overlap, ref levels, .. } = self;
        if !TILE_SIZES.contains(&tile_size) {
            return Err(format!("tile size {tile_size} is not 16 to 4096 px"));
        }
        if overlap > MAX_OVERLAP.min(tile_size / 2) {
            return Err(format!("overlap {overlap} is more than 64 px or half a tile"));
        }
        let Some(&Level { width, height, stored: true }) = levels.first() else {
            return Err("level 0 is not stored".to_owned());
        };
        if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
            return Err(format!("{width} x {height} px is not 1 to 16,777,216 px a side"));
        }
        let whole = usize::from(coarsest_level(width, height)) + 1;
        if levels.len() != whole {
            return Err(format!("{} levels where {width} x {height} px have {whole}", levels.len()));
        }
        for (k, level) in levels.iter().enumerate() {
            let nearly = |length: u32, full: u32| {
                let up = level_length(full, k as u8);
                length == up || length == (full >> k.min(31)).max(1)
            };
            if !nearly(level.width, width) || !nearly(level.height, height) {
                return Err(format!(
                    "level {k} of {} x {} px is not 1/2^{k} of level 0",
                    level.width, level.height
                ));
            }
            if k > 0 && !level.stored {
                let finer = levels[k - 1];
                if !finer.stored {
                    return Err(format!("levels {} and {k} are both derived", k - 1));
                }
                if (level.width, level.height) != (finer.width.div_ceil(2), finer.height.div_ceil(2)) {
                    return Err(format!("derived level {k} is not half of level {}", k - 1));
                }
            }
        }
        Ok(())
    }

    fn check_sections(&self) -> Result<(), Refusal> {
        let damaged = |what: String| Err(Refusal::Damaged(what));
        let mut end = u64::from(self.header_length);
        for section in &self.sections {
            let kind = section.kind;
            if section.critical && !SectionKind::KNOWN.contains(&kind) {
                return Err(Refusal::Unsupported(format!("section {kind}")));
            }
            let fits = section.offset.checked_add(section.length).is_some_and(|e| e <= self.file_length);
            if Some(section.offset) != end.checked_next_multiple_of(ALIGNMENT) || !fits {
                return damaged(format!(
                    "section {kind} does not follow the one before it, or leaves the file"
                ));
            }
            end = section.end();
        }
        if end != self.file_length {
            return damaged(format!(
                "the file should be {} bytes, its sections end at {end}",
                self.file_length
            ));
        }
        let mut seen = vec![];
        for section in self.sections.iter().filter(|s| SectionKind::SINGLE.contains(&s.kind)) {
            // Of the others a codec's number means nothing.
            let codec = if section.kind == SectionKind::CODEC_PARAMETERS { section.codec } else { 0 };
            if seen.contains(&(section.kind, codec)) {
                return damaged(format!("section {} is there twice", section.kind));
            }
            seen.push((section.kind, codec));
        }
        if !seen.contains(&(SectionKind::INDEX, 0)) {
            return damaged("there is no section INDX".to_owned());
        }
        Ok(())
    }
}

/// The header block of a length that a file gives, if it can have that length and is there.
fn block(file: &[u8], length: u32) -> Option<&[u8]> {
    let possible = length >= shortest_length(1, 1)
        && length as usize <= MAX_HEADER_LENGTH
        && u64::from(length).is_multiple_of(ALIGNMENT);
    if possible { file.get(..length as usize) } else { None }
}

/// BLAKE3 of the header block without its checksum, the content id's own bytes taken as zero.
fn content_id(block: &[u8]) -> ContentId {
    let mut hasher = blake3::Hasher::new();
    let rest = &block[CONTENT_ID.end..block.len() - CHECKSUM_LENGTH];
    hasher.update(&block[..CONTENT_ID.start]).update(&[0; 32]).update(rest);
    ContentId(*hasher.finalize().as_bytes())
}

/// Writes content id and checksum into a header block.
fn seal_block(block: &mut [u8]) -> ContentId {
    let id = content_id(block);
    block[CONTENT_ID].copy_from_slice(&id.0);
    let checksum_at = block.len() - CHECKSUM_LENGTH;
    let sum = checksum::header(&block[..checksum_at]);
    block[checksum_at..].copy_from_slice(&sum.to_le_bytes());
    id
}

fn level(bytes: &[u8]) -> Level {
    Level { width: u32_at(bytes, 0), height: u32_at(bytes, 4), stored: u32_at(bytes, 8) & 1 == 1 }
}

fn section(bytes: &[u8]) -> Section {
    Section {
        kind: SectionKind(array_at(bytes, 0)),
        critical: u16_at(bytes, 4) & 1 == 1,
        codec: u16_at(bytes, 6),
        offset: u64_at(bytes, 16),
        length: u64_at(bytes, 24),
        hash: array_at(bytes, 32),
    }
}

/// The `N` bytes at a fixed offset of a block whose length has been checked.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

#[cfg(test)]
mod tests;
