//! Small slides with made-up payloads, and the ways tests look into a container.

#![allow(dead_code, reason = "each test file uses a part of this")]

use std::ops::ControlFlow;
use std::path::Path;

use microtome_container::geometry::{TileId, coarsest_level};
use microtome_container::header::Section;
use microtome_container::index::{ENTRY_LENGTH, Entry, PAGE_ENTRIES, PAGE_LENGTH};
use microtome_container::reader::Reading;
use microtome_container::verify::verify;
use microtome_container::writer::Published;
use microtome_container::{Container, Error, Level, NewSection, SectionKind, SlideId, Writer, checksum};

/// What goes into a container.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) codec: u16,
    pub(crate) tile_size: u32,
    pub(crate) overlap: u32,
    pub(crate) levels: Vec<Level>,
    pub(crate) slide_id: SlideId,
    pub(crate) sections: Vec<NewSection>,
    /// Changes all payloads.
    pub(crate) seed: u64,
    /// One tile in so many is blank; 0 for none.
    pub(crate) blank_in: u64,
}

impl Sample {
    /// A pyramid down to 1 x 1 px, even levels stored, odd ones derived.
    pub(crate) fn new(width: u32, height: u32, tile_size: u32, overlap: u32) -> Self {
        let mut levels = vec![Level { width, height, stored: true }];
        for k in 1..=coarsest_level(width, height) {
            let finer = levels[usize::from(k) - 1];
            let (width, height) = (finer.width.div_ceil(2), finer.height.div_ceil(2));
            levels.push(Level { width, height, stored: k % 2 == 0 });
        }
        let slide_id = SlideId(*b"a slide's own id");
        let sections = vec![section(b"CPAR", true, b"parameters"), section(b"META", false, b"{}")];
        Self { codec: 0, tile_size, overlap, levels, slide_id, sections, seed: 1, blank_in: 0 }
    }

    /// Starts a container that has no tiles yet.
    pub(crate) fn writer(&self, target: &Path) -> Writer {
        let levels = self.levels.clone();
        Writer::create(target, self.codec, self.tile_size, self.overlap, levels).expect("a writer")
    }

    /// Every tile of the stored levels with its payload, in slot order.
    pub(crate) fn tiles(&self, writer: &Writer) -> Vec<(TileId, Vec<u8>)> {
        let mut tiles = vec![];
        let all = writer.layout().try_for_each_tile(|_, tile| {
            if self.levels[usize::from(tile.level)].stored {
                tiles.push((tile, self.payload(tile)));
            }
            Ok::<_, ()>(())
        });
        assert_eq!(all, Ok(()));
        tiles
    }

    /// 13 to 42 bytes that follow from seed and place.
    pub(crate) fn payload(&self, tile: TileId) -> Vec<u8> {
        let place = u64::from(tile.level) << 56 | u64::from(tile.column) << 28 | u64::from(tile.row);
        let mut random = Random(self.seed.wrapping_mul(0x5851_F42D_4C95_7F2D) ^ place);
        if self.blank_in > 0 && random.next().is_multiple_of(self.blank_in) {
            return b"a blank tile".to_vec();
        }
        (0..13 + random.next() % 30).map(|_| random.next() as u8).collect()
    }

    /// Fills and publishes the container.
    pub(crate) fn write(&self, target: &Path) -> Published {
        let writer = self.writer(target);
        for (tile, payload) in self.tiles(&writer) {
            writer.put(tile, &payload).expect("put");
        }
        self.finish(writer).expect("published")
    }

    /// Publishes a filled writer.
    pub(crate) fn finish(&self, writer: Writer) -> Result<Published, Error> {
        writer.finish(self.slide_id, &self.sections, &mut |_| ControlFlow::Continue(()))
    }
}

/// A section for a sample.
pub(crate) fn section(kind: &[u8; 4], critical: bool, bytes: &[u8]) -> NewSection {
    NewSection { kind: SectionKind(*kind), critical, codec: 0, bytes: bytes.to_vec() }
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// Every tile of an open container, in slot order.
pub(crate) fn all_tiles(container: &Container) -> Vec<TileId> {
    let mut tiles = vec![];
    let all = container.layout().try_for_each_tile(|_, tile| {
        tiles.push(tile);
        Ok::<_, ()>(())
    });
    assert_eq!(all, Ok(()));
    tiles
}

/// The index entry of a tile.
pub(crate) fn entry(container: &Container, tile: TileId) -> Result<Option<Entry>, Error> {
    let (page, position) = container.locate(tile)?;
    Ok(container.read_page(page, Reading::Waits)?.entry(position))
}

/// The record of a tile, or `None` if its slot is empty.
pub(crate) fn read(container: &Container, tile: TileId) -> Result<Option<Vec<u8>>, Error> {
    let Some(entry) = entry(container, tile)? else { return Ok(None) };
    let record = container.read_record(tile, entry, Reading::Waits)?;
    // What need not be waited for is the same, or not to be had.
    match container.read_record(tile, entry, Reading::AtOnce) {
        Err(Error::NotInMemory) => {}
        at_once => assert_eq!(at_once?, record),
    }
    Ok(Some(record.to_vec()))
}

/// Everything that is wrong with a file: opening, or a full verification.
pub(crate) fn findings(path: &Path) -> Vec<Error> {
    let container = match Container::open(path) {
        Ok(container) => container,
        Err(error) => return vec![error],
    };
    let mut findings = vec![];
    let result = verify(&container, |checked| {
        findings.extend(checked.err());
        ControlFlow::Continue(())
    });
    findings.extend(result.err());
    findings
}

/// The only section of a kind.
pub(crate) fn the_section(container: &Container, kind: SectionKind) -> Section {
    let mut of_kind = container.header().sections.iter().filter(|s| s.kind == kind);
    let section = *of_kind.next().expect("there is one");
    assert_eq!(of_kind.next(), None);
    section
}

/// Where the entry of a tile lies in the file.
pub(crate) fn entry_offset(container: &Container, tile: TileId) -> usize {
    let (page, position) = container.locate(tile).expect("inside");
    let index = the_section(container, SectionKind::INDEX).offset;
    index as usize + (page * PAGE_LENGTH) as usize + position * ENTRY_LENGTH
}

/// Where the record of a tile lies in the file.
pub(crate) fn record_range(container: &Container, tile: TileId) -> std::ops::Range<usize> {
    let entry = entry(container, tile).expect("a sound page").expect("stored");
    let start = (container.header().sections[usize::from(entry.section)].offset + entry.offset) as usize;
    start..start + entry.length as usize
}

/// Gives every index page of `file` the checksum of its entries.
pub(crate) fn reseal_index(container: &Container, file: &mut [u8]) {
    let index = the_section(container, SectionKind::INDEX).offset as usize;
    for page in 0..container.layout().pages() {
        let start = index + (page * PAGE_LENGTH) as usize;
        let end = start + container.layout().page_entries(page) as usize * ENTRY_LENGTH;
        let sum = checksum::index_page(&container.header().slide_id, page, &file[start..end]);
        file[end..end + 8].copy_from_slice(&sum.to_le_bytes());
    }
    assert!(container.layout().slots() <= PAGE_ENTRIES * container.layout().pages());
}

/// Names of all files in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
