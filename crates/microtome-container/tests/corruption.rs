//! Whatever happens to a file: a tile is read as it was written, or not at all, and verification finds the damage.

#![cfg(unix)]

mod support;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use microtome_container::geometry::TileId;
use microtome_container::reader::Reading;
use microtome_container::{Container, Error, SectionKind, SlideId, checksum};
use support::{
    Sample, all_tiles, entry, entry_offset, findings, read, record_range, reseal_index, section, the_section,
};

/// A published container in a folder of its own.
struct Fixture {
    _folder: tempfile::TempDir,
    path: PathBuf,
    sample: Sample,
    bytes: Vec<u8>,
}

fn fixture(sample: Sample) -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("slide.mtm");
    sample.write(&path);
    let bytes = fs::read(&path).expect("written");
    Fixture { _folder: folder, path, sample, bytes }
}

/// Sections of odd lengths, so that there is padding.
fn small() -> Fixture {
    let sections = vec![section(b"META", false, b"{} "), section(b"XTRA", false, &[9; 21])];
    fixture(Sample { blank_in: 6, sections, ..Sample::new(70, 50, 16, 1) })
}

impl Fixture {
    /// Puts `bytes` in the place of the file.
    fn replace(&self, bytes: &[u8]) {
        fs::write(&self.path, bytes).expect("written");
    }

    fn open(&self) -> Container {
        Container::open(&self.path).expect("the header is sound")
    }

    /// Tiles that do not read; panics if one reads as other bytes than were written.
    fn unreadable(&self, place: &str) -> Vec<TileId> {
        let Ok(container) = Container::open(&self.path) else { return vec![] };
        let mut unreadable = vec![];
        for tile in all_tiles(&container) {
            let stored = container.header().levels[usize::from(tile.level)].stored;
            match read(&container, tile) {
                Ok(record) => {
                    assert_eq!(record, stored.then(|| self.sample.payload(tile)), "{place}: {tile}");
                }
                Err(_) => unreadable.push(tile),
            }
        }
        unreadable
    }

    /// Sees that verification finds something, and that each finding names the file and a place.
    fn must_be_found(&self, place: &str) -> Vec<Error> {
        let findings = findings(&self.path);
        assert!(!findings.is_empty(), "{place}: not found");
        let file = self.path.display().to_string();
        for finding in &findings {
            let text = finding.to_string();
            let named = ["header", "section ", "index page ", "level ", "needs a newer microtome"];
            assert!(text.starts_with(&file) && named.iter().any(|n| text.contains(n)), "{place}: {text}");
        }
        findings
    }

    /// Sees that each of `tiles` is an error that names it.
    fn must_be_refused(&self, tiles: &[TileId]) {
        let container = self.open();
        for &tile in tiles {
            let error = read(&container, tile).expect_err("a damaged record is not handed out");
            assert!(matches!(&error, Error::DamagedTile { tile: named, .. } if *named == tile), "{error}");
            assert!(error.to_string().contains(&format!("{}: {tile}: ", self.path.display())), "{error}");
        }
    }
}

#[test]
fn every_flipped_bit_is_found_and_never_read_as_another_picture() {
    let fixture = small();
    assert_eq!(findings(&fixture.path).len(), 0);
    let sections = &fixture.open().header().sections.clone();
    let padding: usize = sections.windows(2).map(|s| (s[1].offset - s[0].end()) as usize).sum();
    assert!(padding > 0, "the sample has padding");
    let file = fs::OpenOptions::new().write(true).open(&fixture.path).expect("opens");
    for (at, &byte) in fixture.bytes.iter().enumerate() {
        for bit in 0..8 {
            let place = format!("byte {at} bit {bit}");
            file.write_all_at(&[byte ^ 1 << bit], at as u64).expect("written");
            fixture.must_be_found(&place);
            fixture.unreadable(&place);
        }
        file.write_all_at(&[byte], at as u64).expect("written");
    }
    assert_eq!(findings(&fixture.path).len(), 0);
}

#[test]
fn a_file_cut_off_anywhere_does_not_open() {
    let fixture = small();
    for cut in 0..fixture.bytes.len() {
        fixture.replace(&fixture.bytes[..cut]);
        let error = Container::open(&fixture.path).expect_err("cut off");
        assert!(error.to_string().starts_with(&format!("{}: header: ", fixture.path.display())), "{error}");
    }
}

#[test]
fn appended_bytes_are_found() {
    let fixture = small();
    for more in [1, 15, 16, 4096] {
        fixture.replace(&[&fixture.bytes[..], &vec![0; more]].concat());
        assert!(matches!(Container::open(&fixture.path), Err(Error::Damaged { .. })), "{more} bytes");
    }
}

/// Two tiles with different payloads of one length.
fn equally_long(container: &Container) -> [TileId; 2] {
    let tiles = all_tiles(container);
    let length = |t: TileId| entry(container, t).expect("sound").map(|e| (e.length, e.offset));
    for (i, &a) in tiles.iter().enumerate() {
        for &b in &tiles[i + 1..] {
            match (length(a), length(b)) {
                (Some(x), Some(y)) if x.0 == y.0 && x.1 != y.1 => return [a, b],
                _ => {}
            }
        }
    }
    unreachable!("the sample has more tiles than lengths")
}

#[test]
fn two_exchanged_records_are_both_refused_by_name() {
    let fixture = fixture(Sample::new(200, 150, 16, 0));
    let container = fixture.open();
    let tiles = equally_long(&container);
    let [a, b] = tiles.map(|tile| record_range(&container, tile));
    let mut bytes = fixture.bytes.clone();
    bytes[a.clone()].copy_from_slice(&fixture.bytes[b.clone()]);
    bytes[b].copy_from_slice(&fixture.bytes[a]);
    fixture.replace(&bytes);
    fixture.must_be_refused(&tiles);
    assert_eq!(fixture.unreadable("exchanged records"), tiles);
    // Both tiles, and the section's own hash.
    assert_eq!(fixture.must_be_found("exchanged records").len(), 3);
}

#[test]
fn two_exchanged_index_entries_are_refused_by_name_even_under_a_right_page_checksum() {
    let fixture = fixture(Sample::new(200, 150, 16, 0));
    let container = fixture.open();
    let tiles = [TileId { level: 0, column: 1, row: 2 }, TileId { level: 0, column: 2, row: 1 }];
    let [a, b] = tiles.map(|tile| entry_offset(&container, tile)).map(|at| at..at + 20);
    let mut bytes = fixture.bytes.clone();
    bytes[a.clone()].copy_from_slice(&fixture.bytes[b.clone()]);
    bytes[b].copy_from_slice(&fixture.bytes[a]);
    reseal_index(&container, &mut bytes);
    fixture.replace(&bytes);
    fixture.must_be_refused(&tiles);
    assert_eq!(fixture.unreadable("exchanged entries").len(), 2);
    fixture.must_be_found("exchanged entries");
}

#[test]
fn a_record_of_another_slide_is_refused_when_everything_but_its_key_is_right() {
    let ours = fixture(Sample::new(200, 150, 16, 0));
    // The same lengths everywhere, and one tile has other bytes.
    let theirs = Sample { slide_id: SlideId([1; 16]), ..ours.sample.clone() };
    let tile = TileId { level: 0, column: 3, row: 3 };
    let mut payload = ours.sample.payload(tile);
    payload[0] ^= 0x55;
    let container = ours.open();
    let mut bytes = ours.bytes.clone();
    bytes[record_range(&container, tile)].copy_from_slice(&payload);
    let sum_at = entry_offset(&container, tile) + 12;
    let mut paste = |slide: &SlideId| {
        let sum = checksum::record(slide, tile, checksum::payload_hash(&payload));
        bytes[sum_at..sum_at + 8].copy_from_slice(&sum.to_le_bytes());
        reseal_index(&container, &mut bytes);
        ours.replace(&bytes);
    };
    paste(&theirs.slide_id);
    ours.must_be_refused(&[tile]);
    assert_eq!(ours.unreadable("foreign record"), [tile]);
    ours.must_be_found("foreign record");
    // The key was all that was wrong: with it, only the content id tells.
    paste(&ours.sample.slide_id);
    assert_eq!(read(&ours.open(), tile).expect("passes"), Some(payload));
    ours.must_be_found("forged record");
}

#[test]
fn an_index_page_of_another_slide_is_refused_by_number() {
    let ours = fixture(Sample::new(200, 150, 16, 0));
    let theirs = fixture(Sample { slide_id: SlideId([1; 16]), ..ours.sample.clone() });
    let index = the_section(&ours.open(), SectionKind::INDEX);
    assert_eq!(index.offset, the_section(&theirs.open(), SectionKind::INDEX).offset);
    let mut bytes = ours.bytes.clone();
    let range = index.offset as usize..index.end() as usize;
    bytes[range.clone()].copy_from_slice(&theirs.bytes[range]);
    ours.replace(&bytes);
    let error = ours.open().read_page(0, Reading::Waits).expect_err("a foreign page");
    assert!(error.to_string().contains(": index page 0: "), "{error}");
    ours.must_be_found("foreign page");
}

#[test]
fn an_entry_that_points_outside_its_section_or_at_another_is_refused_before_anything_is_read() {
    let fixture = fixture(Sample::new(200, 150, 16, 0));
    let container = fixture.open();
    let tile = TileId { level: 0, column: 0, row: 0 };
    let sound = entry(&container, tile).expect("sound").expect("stored");
    let tiles = container.header().sections[usize::from(sound.section)];
    let lies = [
        microtome_container::index::Entry { section: 0, ..sound },
        microtome_container::index::Entry { section: 63, ..sound },
        microtome_container::index::Entry {
            section: u16::MAX,
            offset: (1 << 48) - 1,
            length: u32::MAX,
            ..sound
        },
        microtome_container::index::Entry { offset: tiles.length, ..sound },
        microtome_container::index::Entry { length: u32::MAX, ..sound },
        microtome_container::index::Entry { offset: tiles.length - u64::from(sound.length) + 1, ..sound },
    ];
    for lie in lies {
        let mut bytes = fixture.bytes.clone();
        let at = entry_offset(&container, tile);
        bytes[at..at + 20].copy_from_slice(&lie.to_bytes());
        reseal_index(&container, &mut bytes);
        fixture.replace(&bytes);
        fixture.must_be_refused(&[tile]);
        let error = read(&fixture.open(), tile).expect_err("refused").to_string();
        assert!(error.contains("its index entry points "), "{lie:?}: {error}");
    }
}

#[test]
fn a_stored_tile_without_a_record_is_found() {
    let fixture = fixture(Sample::new(200, 150, 16, 0));
    let container = fixture.open();
    let tile = TileId { level: 2, column: 1, row: 1 };
    let mut bytes = fixture.bytes.clone();
    let at = entry_offset(&container, tile);
    bytes[at..at + 20].fill(0);
    reseal_index(&container, &mut bytes);
    fixture.replace(&bytes);
    let found = fixture.must_be_found("missing record");
    assert!(found.iter().any(|e| matches!(e, Error::DamagedTile { tile: t, .. } if *t == tile)), "{found:?}");
}

#[test]
fn a_record_of_a_derived_tile_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("slide.mtm");
    Sample::new(200, 100, 16, 0).write(&path);
    let container = Container::open(&path).expect("opens");
    let mut file = std::fs::read(&path).expect("written");
    let stored = entry_offset(&container, TileId { level: 0, column: 0, row: 0 });
    let derived = entry_offset(&container, TileId { level: 1, column: 2, row: 1 });
    file.copy_within(stored..stored + 20, derived);
    reseal_index(&container, &mut file);
    std::fs::write(&path, file).expect("written");
    let found = findings(&path)
        .iter()
        .any(|e| e.to_string().contains("level 1 column 2 row 1: has a record although"));
    assert!(found, "{:?}", findings(&path));
}

#[test]
fn an_index_page_of_the_same_slide_ingested_anew_over_the_file_is_refused() {
    let fixture = small();
    let container = fixture.open();
    let page = || container.read_page(0, Reading::Waits);
    assert!(page().is_ok());
    // Chmod and links change no byte.
    fs::hard_link(&fixture.path, fixture.path.with_file_name("other")).expect("a link");
    assert!(page().is_ok());
    // File systems count time in ticks of some milliseconds.
    std::thread::sleep(std::time::Duration::from_millis(50));
    fixture.replace(&fixture.bytes);
    let error = page().expect_err("whether it is the same is not known").to_string();
    assert!(error.contains("index page 0") && error.contains("changed after it was opened"), "{error}");
    assert!(fixture.open().read_page(0, Reading::Waits).is_ok());
}
