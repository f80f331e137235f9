//! Writing a container: tiles come in any order from any thread, the file comes out in canonical order, at once.
//!
//! [`Writer::put`] appends to an anonymous spool file beside the target, where identical records are kept once;
//! [`Writer::finish`] writes the container under a temporary name, syncs it, verifies it from end to end and only
//! then gives it its final name, without ever replacing an existing file. The same tiles and sections give the same
//! bytes, whatever the order they came in. A crash leaves nothing under the final name.

mod assemble;
mod publish;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::checksum;
use crate::error::{self, Error};
use crate::geometry::TileId;
use crate::header::{ContentId, Header, Level, SectionKind, SlideId};
use crate::index::Layout;
use crate::reader::MAX_RECORD;
use crate::source::read_exact_at;

pub use publish::{part, remove_stale_parts};

/// A section for [`Writer::finish`]; the tile and index sections are the writer's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSection {
    /// What it holds.
    pub kind: SectionKind,
    /// Whether a reader that does not know the kind must refuse the file.
    pub critical: bool,
    /// Codec of a `CPAR` section, else 0.
    pub codec: u16,
    /// The content.
    pub bytes: Vec<u8>,
}

/// What [`Writer::finish`] published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Identity of the content.
    pub content_id: ContentId,
    /// Length of the file in bytes.
    pub file_length: u64,
    /// Tiles stored, blank ones counted for each place.
    pub tiles: u64,
    /// Records stored, identical ones counted once.
    pub records: u64,
}

/// A container being written.
#[derive(Debug)]
pub struct Writer {
    target: PathBuf,
    header: Header,
    layout: Layout,
    codec: u16,
    spool: Mutex<Spool>,
    spool_reader: File,
}

/// Where a record lies in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spooled {
    offset: u64,
    length: u32,
    hash: u128,
}

#[derive(Debug)]
struct Spool {
    file: File,
    length: u64,
    by_slot: HashMap<u64, Spooled>,
    /// Records by payload hash, and by number among those that differ and yet have the same hash.
    by_hash: HashMap<(u128, u32), Spooled>,
}

impl Writer {
    /// Starts a container for `target`, whose folder must exist and be writable.
    ///
    /// `codec` is the payload codec of all tiles; `levels[k]` is 1/2^k of level 0.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Io`], or [`Error::OutOfBounds`] if the format has no place for such a pyramid.
    pub fn create(
        target: &Path,
        codec: u16,
        tile_size: u32,
        overlap: u32,
        levels: Vec<Level>,
    ) -> Result<Self, Error> {
        let header = Header {
            header_length: 0,
            slide_id: SlideId([0; 16]),
            content_id: ContentId([0; 32]),
            file_length: 0,
            tile_size,
            overlap,
            levels,
            sections: vec![],
        };
        header.check_pyramid().map_err(Error::OutOfBounds)?;
        if target.symlink_metadata().is_ok() {
            return Err(Error::Exists(target.to_owned()));
        }
        let folder = publish::folder(target);
        let file = tempfile::tempfile_in(folder).map_err(error::io(folder, "write into"))?;
        let spool_reader = file.try_clone().map_err(error::io(folder, "write into"))?;
        let spool = Spool { file, length: 0, by_slot: HashMap::new(), by_hash: HashMap::new() };
        let layout = Layout::new(&header);
        Ok(Self { target: target.to_owned(), header, layout, codec, spool: Mutex::new(spool), spool_reader })
    }

    /// The order of slots of the container in the making.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Stores the record of a tile.
    ///
    /// # Errors
    /// [`Error::Io`] (a full disk, say), [`Error::OutsideSlide`], or [`Error::OutOfBounds`] for an empty record, one
    /// beyond 64 MiB, or a tile that was stored before.
    pub fn put(&self, tile: TileId, payload: &[u8]) -> Result<(), Error> {
        let slot = self.layout.slot(tile).ok_or(Error::OutsideSlide(tile))?;
        let length = u32::try_from(payload.len()).ok().filter(|l| (1..=MAX_RECORD).contains(l));
        let Some(length) = length else {
            return Err(Error::OutOfBounds(format!(
                "{tile}: a record of {} bytes (1 to 64 Mi)",
                payload.len()
            )));
        };
        let hash = checksum::payload_hash(payload);
        let mut spool = self.spool.lock().unwrap_or_else(PoisonError::into_inner);
        if spool.by_slot.contains_key(&slot) {
            return Err(Error::OutOfBounds(format!("{tile}: stored twice")));
        }
        // Never trust a hash alone with a picture: compare the bytes. XXH3 collisions are easily made on purpose.
        let mut number = 0;
        let spooled = loop {
            let Some(&candidate) = spool.by_hash.get(&(hash, number)) else {
                let spooled = Spooled { offset: spool.length, length, hash };
                write_all_at(&spool.file, payload, spooled.offset).map_err(self.spool_error())?;
                spool.length += u64::from(length);
                spool.by_hash.insert((hash, number), spooled);
                break spooled;
            };
            if candidate.length == length && self.read_spooled(candidate)? == payload {
                break candidate;
            }
            number += 1;
        };
        spool.by_slot.insert(slot, spooled);
        Ok(())
    }

    /// The record of a tile that was stored before, or `None`.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::OutsideSlide`].
    pub fn get(&self, tile: TileId) -> Result<Option<Vec<u8>>, Error> {
        let slot = self.layout.slot(tile).ok_or(Error::OutsideSlide(tile))?;
        let spooled = self.spool.lock().unwrap_or_else(PoisonError::into_inner).by_slot.get(&slot).copied();
        spooled.map(|s| self.read_spooled(s)).transpose()
    }

    /// Length of the record of a tile that was stored before, or `None`.
    ///
    /// # Errors
    /// [`Error::OutsideSlide`].
    pub fn length(&self, tile: TileId) -> Result<Option<u32>, Error> {
        let slot = self.layout.slot(tile).ok_or(Error::OutsideSlide(tile))?;
        Ok(self.spool.lock().unwrap_or_else(PoisonError::into_inner).by_slot.get(&slot).map(|s| s.length))
    }

    /// Bytes spooled so far.
    #[must_use]
    pub fn spooled_bytes(&self) -> u64 {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner).length
    }

    /// Writes, syncs, verifies and publishes the container. `advance` is told the bytes written since its last call
    /// and may stop the run.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] if a tile of a stored level is missing, [`Error::Exists`] if the target has appeared
    /// meanwhile, [`Error::Interrupted`], [`Error::Io`], or what the verification found. Nothing is left behind.
    pub fn finish(
        self,
        slide_id: SlideId,
        sections: &[NewSection],
        advance: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Published, Error> {
        let mut part = publish::Part::create(&self.target)?;
        let published = assemble::assemble(self, slide_id, sections, part.file(), advance)?;
        part.publish(advance)?;
        Ok(published)
    }

    fn read_spooled(&self, spooled: Spooled) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; spooled.length as usize];
        read_exact_at(&self.spool_reader, &mut bytes, spooled.offset).map_err(self.spool_error())?;
        Ok(bytes)
    }

    fn spool_error(&self) -> impl FnOnce(io::Error) -> Error {
        error::io(publish::folder(&self.target), "write into")
    }
}

/// Writes all of `bytes` at `offset`. The file's cursor is left out of it: on Windows reading by position moves it,
/// and a write that failed half-way leaves it anywhere.
#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

/// Writes all of `bytes` at `offset`.
#[cfg(windows)]
fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_write(file, bytes, offset)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            n => (bytes, offset) = (&bytes[n..], offset + n as u64),
        }
    }
    Ok(())
}
