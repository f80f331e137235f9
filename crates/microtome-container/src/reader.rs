//! Reading a container: the header at once, everything else by position and when asked for.
//!
//! Every byte handed out has been checked: the header and index pages against their checksums, records against
//! theirs, other sections against their BLAKE3. Not here: caching (the caller's), decoding, async.

use std::fs::File;
use std::io;
use std::ops::DerefMut;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::checksum;
use crate::error::{self, Error, RESTORE};
use crate::geometry::TileId;
use crate::header::{Header, MAX_HEADER_LENGTH, Refusal, Section, SectionKind, u64_at};
use crate::index::{ENTRY_LENGTH, Entry, Layout, PAGE_ENTRIES, PAGE_LENGTH};
use crate::source::{OpenFile, Source, is_of_bytes};

/// Longest section that [`Container::read_section`] loads into memory: metadata, profiles, associated images.
pub const MAX_LOADED_SECTION: u64 = 256 << 20;
/// Longest tile record. A 4096 px tile of pure noise at quality 100 stays below it.
pub const MAX_RECORD: u32 = 64 << 20;

/// An open container. All methods take `&self` and read by position, so that threads share it freely.
#[derive(Debug)]
pub struct Container {
    source: Box<dyn Source>,
    path: PathBuf,
    header: Header,
    layout: Layout,
    index: Section,
}

/// Whether a read may wait for storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// It waits as long as it takes.
    Waits,
    /// It gives what the system has in memory, else [`Error::NotInMemory`]: always that, where the system cannot tell.
    AtOnce,
}

/// A checked index page.
#[derive(Debug, Clone)]
pub struct Page(Bytes);

impl Page {
    /// The entry at `position`, or `None` if its slot is empty.
    ///
    /// # Panics
    /// If the position is beyond the page, which [`Container::locate`] never gives.
    #[must_use]
    pub fn entry(&self, position: usize) -> Option<Entry> {
        Entry::parse(&self.0[position * ENTRY_LENGTH..][..ENTRY_LENGTH])
    }

    /// Bytes that it takes in the file, its checksum included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.len() as u64 + 8
    }
}

impl Container {
    /// Opens a container and checks its header: one read of 16 KiB at most.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Damaged`] or [`Error::Unsupported`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        // Looked at before it is opened: opening a pipe would wait for whoever writes it.
        let kind = std::fs::metadata(path).map_err(error::io(path, "open"))?;
        let damaged =
            |place: &str, what| Error::Damaged { path: path.to_owned(), place: place.to_owned(), what };
        if !kind.is_file() {
            return Err(damaged("header", "this is not a file; name a container, one .mtm file".to_owned()));
        }
        let file = File::open(path).map_err(error::io(path, "open"))?;
        Self::read_from(Box::new(OpenFile::new(file)), path)
    }

    /// As [`Self::open`], from anything that its bytes can be read from. `path` is what errors call it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn read_from(source: Box<dyn Source>, path: &Path) -> Result<Self, Error> {
        let damaged =
            |place: &str, what| Error::Damaged { path: path.to_owned(), place: place.to_owned(), what };
        let length = source.length().map_err(error::io(path, "read"))?;
        let mut start = vec![0; length.min(MAX_HEADER_LENGTH as u64) as usize];
        source.read_exact_at(&mut start, 0).map_err(error::io(path, "read the header of"))?;
        let header = Header::parse(&start).map_err(|refusal| match refusal {
            Refusal::Damaged(what) => damaged("header", what),
            Refusal::Unsupported(what) => Error::Unsupported { path: path.to_owned(), what },
        })?;
        if length != header.file_length {
            let what = format!(
                "the file has {length} bytes instead of {}: it was cut off or added to; copy it again from where it is whole",
                header.file_length
            );
            return Err(damaged("header", what));
        }
        let layout = Layout::new(&header);
        let index = header.sections.iter().find(|s| s.kind == SectionKind::INDEX).copied();
        match index {
            Some(index) if index.length == layout.index_length() => {
                Ok(Self { source, path: path.to_owned(), header, layout, index })
            }
            _ => Err(damaged("section INDX", "its length does not follow from the level table".to_owned())),
        }
    }

    /// Where the container was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The checked header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The order of slots.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The index page of a tile and the position of its entry there.
    ///
    /// # Errors
    /// [`Error::OutsideSlide`].
    pub fn locate(&self, tile: TileId) -> Result<(u64, usize), Error> {
        let slot = self.layout.slot(tile).ok_or(Error::OutsideSlide(tile))?;
        Ok((slot / PAGE_ENTRIES, (slot % PAGE_ENTRIES) as usize))
    }

    /// Reads and checks an index page.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Damaged`] naming the page; [`Error::NotInMemory`].
    ///
    /// # Panics
    /// If there is no such page.
    pub fn read_page(&self, page: u64, reading: Reading) -> Result<Page, Error> {
        assert!(page < self.layout.pages(), "pages come from `locate`");
        let entries = self.layout.page_entries(page) as usize * ENTRY_LENGTH;
        let mut bytes = vec![0; entries + 8];
        let offset = self.index.offset + page * PAGE_LENGTH;
        let is_right = |bytes: &[u8]| {
            u64_at(bytes, entries) == checksum::index_page(&self.header.slide_id, page, &bytes[..entries])
        };
        let read = self.read_checked(reading, &mut bytes, offset, is_right);
        match read.map_err(error::io(&self.path, "read the index of"))? {
            Read::Right => {}
            Read::NotInMemory => return Err(Error::NotInMemory),
            Read::Wrong => {
                return Err(Error::Damaged {
                    path: self.path.clone(),
                    place: format!("index page {page}"),
                    what: format!("the checksum does not match; {RESTORE}"),
                });
            }
        }
        // Where the same slide was ingested anew over this file, pages of both are right, and say where records of both are.
        if !self.source.is_unchanged() {
            return Err(Error::Damaged {
                path: self.path.clone(),
                place: format!("index page {page}"),
                what: "the file was changed after it was opened; replace files by renaming".to_owned(),
            });
        }
        Ok(Page(Bytes::from(bytes).slice(..entries)))
    }

    /// Reads and checks the record that `entry` of `tile` points at.
    ///
    /// # Errors
    /// [`Error::DamagedTile`] naming the tile, also if the system cannot read it; [`Error::NotInMemory`].
    pub fn read_record(&self, tile: TileId, entry: Entry, reading: Reading) -> Result<Bytes, Error> {
        self.read_record_into(tile, entry, reading, |length| vec![0; length], || ()).map(Bytes::from)
    }

    /// As [`Self::read_record`], into what `buffer` gives for the record's length of at most [`MAX_RECORD`]. `is_read` is
    /// called when bytes are there, before they are checked.
    ///
    /// # Errors
    /// As [`Self::read_record`].
    ///
    /// # Panics
    /// If the buffer has another length.
    pub fn read_record_into<B: DerefMut<Target = [u8]>>(
        &self,
        tile: TileId,
        entry: Entry,
        reading: Reading,
        buffer: impl FnOnce(usize) -> B,
        mut is_read: impl FnMut(),
    ) -> Result<B, Error> {
        let damaged = |what: String| Error::DamagedTile { path: self.path.clone(), tile, what };
        let section = self.header.sections.get(usize::from(entry.section));
        let Some(section) = section.filter(|s| s.kind == SectionKind::TILES) else {
            return Err(damaged(format!("its index entry points at section {}", entry.section)));
        };
        if entry.length > MAX_RECORD || entry.offset + u64::from(entry.length) > section.length {
            return Err(damaged("its index entry points outside the tile section".to_owned()));
        }
        let mut bytes = buffer(entry.length as usize);
        assert_eq!(bytes.len(), entry.length as usize, "the buffer is as long as the record");
        let is_right = |bytes: &[u8]| {
            is_read();
            checksum::record(&self.header.slide_id, tile, checksum::payload_hash(bytes)) == entry.checksum
        };
        let read = self.read_checked(reading, &mut bytes, section.offset + entry.offset, is_right);
        match read.map_err(|cause| match is_of_bytes(&cause) {
            true => damaged(format!("cannot be read: {cause}")),
            false => error::io(&self.path, "read a record of")(cause),
        })? {
            Read::Right => Ok(bytes),
            Read::NotInMemory => Err(Error::NotInMemory),
            Read::Wrong => Err(damaged("the record does not match its checksum".to_owned())),
        }
    }

    /// Loads a section whole and checks its BLAKE3.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Damaged`] naming the section, also if it is longer than [`MAX_LOADED_SECTION`].
    pub fn read_section(&self, section: &Section) -> Result<Vec<u8>, Error> {
        let damaged = |what: &str| Error::Damaged {
            path: self.path.clone(),
            place: format!("section {}", section.kind),
            what: what.to_owned(),
        };
        if section.length > MAX_LOADED_SECTION {
            return Err(damaged("longer than 256 MiB"));
        }
        let mut bytes = vec![0; section.length as usize];
        let is_right = |bytes: &[u8]| *blake3::hash(bytes).as_bytes() == section.hash;
        let read = self.read_checked(Reading::Waits, &mut bytes, section.offset, is_right);
        match read.map_err(error::io(&self.path, "read"))? {
            Read::Right => Ok(bytes),
            _ => Err(damaged(&format!("the BLAKE3 hash does not match; {RESTORE}"))),
        }
    }

    /// Reads bytes at a position, unchecked.
    pub(crate) fn read_raw(&self, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        self.source.read_exact_at(buffer, offset).map_err(error::io(&self.path, "read"))
    }

    /// Has the source let go of what it keeps of a section that turned out wrong. Whether it may be another one when it is read again.
    pub(crate) fn forget(&self, section: &Section) -> bool {
        const PIECE: u64 = 1 << 20;
        let pieces = (section.offset..section.end()).step_by(PIECE as usize);
        pieces.fold(false, |_, at| self.source.forget(at, PIECE.min(section.end() - at)))
    }

    /// Fills the buffer with what is right; what is not is read once more where it may be other bytes then.
    fn read_checked(
        &self,
        reading: Reading,
        buffer: &mut [u8],
        offset: u64,
        mut is_right: impl FnMut(&[u8]) -> bool,
    ) -> io::Result<Read> {
        match reading {
            Reading::AtOnce if !self.source.read_at_once(buffer, offset) => return Ok(Read::NotInMemory),
            Reading::AtOnce => {}
            Reading::Waits => self.source.read_exact_at(buffer, offset)?,
        }
        if is_right(buffer) {
            return Ok(Read::Right);
        }
        if !self.source.forget(offset, buffer.len() as u64) {
            return Ok(Read::Wrong);
        }
        if reading == Reading::AtOnce {
            return Ok(Read::NotInMemory);
        }
        self.source.read_exact_at(buffer, offset)?;
        Ok(if is_right(buffer) { Read::Right } else { Read::Wrong })
    }
}

/// What came of a read.
enum Read {
    Right,
    Wrong,
    NotInMemory,
}
