//! Damaged containers: `verify` finds it, the server never shows it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::path::{Path, PathBuf};

use microtome_container::header::SectionKind;
use microtome_container::reader::Reading;
use microtome_slide::{Slide, TileId, deepzoom};
use support::{Server, folder, microtome, succeed};

fn make(folder: &Path, name: &str, seed: u32) -> PathBuf {
    let path = folder.join(name);
    succeed(["ingest", &format!("synthetic:900x700,seed={seed}"), "-o", path.to_str().unwrap()]);
    path
}

/// Where the record of a tile lies in the file.
fn record(container: &Path, tile: TileId) -> std::ops::Range<usize> {
    let slide = Slide::open(container).unwrap();
    let (page, position) = slide.container().locate(tile).unwrap();
    let entry = slide.container().read_page(page, Reading::Waits).unwrap().entry(position).unwrap();
    let section = slide.container().header().sections[usize::from(entry.section)];
    assert_eq!(section.kind, SectionKind::TILES);
    let start = (section.offset + entry.offset) as usize;
    start..start + entry.length as usize
}

const A: TileId = TileId { level: 0, column: 1, row: 1 };
const B: TileId = TileId { level: 0, column: 2, row: 1 };

/// Every way of damage: a name, whether a server can still open the file, and what to do to its bytes.
fn damages(intact: &[u8], container: &Path, foreign: &Path) -> Vec<(&'static str, bool, Vec<u8>)> {
    let (a, b) = (record(container, A), record(container, B));
    let edit = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = intact.to_vec();
        change(&mut bytes);
        bytes
    };
    let foreign_bytes = std::fs::read(foreign).unwrap();
    let foreign_record = &foreign_bytes[record(foreign, A)];
    vec![
        ("a flipped bit in a record", true, edit(&|f| f[a.start + 99] ^= 4)),
        ("a sector of zeros in a record", true, edit(&|f| f[a.start..a.start + 512].fill(0))),
        ("a truncated tail", false, edit(&|f| f.truncate(f.len() - 1))),
        ("a file cut in half", false, edit(&|f| f.truncate(f.len() / 2))),
        ("an appended byte", false, edit(&|f| f.push(0))),
        ("a flipped bit in the header", false, edit(&|f| f[90] ^= 1)),
        (
            "two swapped records",
            true,
            edit(&|f| {
                let length = a.len().min(b.len());
                for i in 0..length {
                    f.swap(a.start + i, b.start + i);
                }
            }),
        ),
        (
            "a record of another slide",
            true,
            edit(&|f| {
                let length = a.len().min(foreign_record.len());
                f[a.start..a.start + length].copy_from_slice(&foreign_record[..length]);
            }),
        ),
    ]
}

#[test]
fn every_damage_is_found_by_verify_and_never_served() {
    let folder = folder();
    let container = make(folder.path(), "intact.mtm", 1);
    let foreign = make(folder.path(), "foreign.mtm", 2);
    let intact = std::fs::read(&container).unwrap();
    let slide = Slide::open(&container).unwrap();
    let zoom = deepzoom::level_number(&slide, 0);
    let original = slide.tile(A).unwrap();
    let server = Server::start(folder.path(), &[]);
    for (i, (what, opens, bytes)) in damages(&intact, &container, &foreign).into_iter().enumerate() {
        let path = folder.path().join(format!("damaged{i}.mtm"));
        std::fs::write(&path, &bytes).unwrap();
        let output = microtome(["verify", path.to_str().unwrap()]);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(4), "{what}: {complaint}");
        assert!(complaint.contains(&format!("damaged{i}.mtm")), "{what}: {complaint}");
        if opens {
            assert!(complaint.contains("level 0 column 1 row 1"), "{what} names the tile: {complaint}");
        }
        let response = server.get(&format!("/tiles/damaged{i}/{zoom}/1_1.jpg"));
        assert_eq!(response.status, 500, "{what}");
        assert!(!response.body.starts_with(&[0xFF, 0xD8]), "{what}: an error carries no picture");
        let untouched = server.get(&format!("/tiles/damaged{i}/{zoom}/0_0.jpg"));
        assert_eq!(untouched.status, if opens { 200 } else { 500 }, "{what}: other tiles");
    }
    let response = server.get(&format!("/tiles/intact/{zoom}/1_1.jpg"));
    assert_eq!((response.status, &response.body[..]), (200, &original[..]));
    drop(server);
}

#[test]
fn the_log_names_the_damaged_record() {
    let folder = folder();
    let container = make(folder.path(), "slide.mtm", 1);
    let mut bytes = std::fs::read(&container).unwrap();
    let at = record(&container, A).start + 7;
    bytes[at] ^= 1;
    let zoom = deepzoom::level_number(&Slide::open(&container).unwrap(), 0);
    std::fs::write(&container, bytes).unwrap();
    let server = Server::start(folder.path(), &[]);
    assert_eq!(server.get(&format!("/tiles/slide/{zoom}/1_1.jpg")).status, 500);
    let timeout = std::time::Duration::from_secs(10);
    let named = std::iter::from_fn(|| server.log.recv_timeout(timeout).ok())
        .any(|line| line.contains("slide.mtm") && line.contains("level 0 column 1 row 1"));
    assert!(named, "the log names file and tile");
}

/// Random damage anywhere: whatever is flipped, every tile is served as it was, or not at all.
#[test]
fn a_thousand_random_flips_never_change_a_picture() {
    let folder = folder();
    let container = make(folder.path(), "a.mtm", 1);
    let intact = std::fs::read(&container).unwrap();
    let slide = Slide::open(&container).unwrap();
    let tiles: Vec<TileId> = (0..4)
        .flat_map(|level| {
            let grid = slide.levels()[usize::from(level)];
            (0..grid.rows())
                .flat_map(move |row| (0..grid.columns()).map(move |column| TileId { level, column, row }))
        })
        .collect();
    let pictures: Vec<_> = tiles.iter().map(|&t| slide.tile(t).unwrap()).collect();
    let path = folder.path().join("flipped.mtm");
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut failures = 0;
    for round in 0..1000 {
        let mut bytes = intact.clone();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let at = (state >> 8) as usize % bytes.len();
        bytes[at] ^= 1 << (state & 7);
        std::fs::write(&path, &bytes).unwrap();
        let Ok(slide) = Slide::open(&path) else {
            failures += 1;
            continue;
        };
        for (&tile, picture) in tiles.iter().zip(&pictures).skip(round % 5).step_by(5) {
            match slide.fetch(tile).and_then(|fetched| fetched.decode()) {
                Ok(served) => assert!(served == *picture, "byte {at}: {tile} changed"),
                Err(_) => failures += 1,
            }
        }
    }
    assert!(failures > 100, "the flips hit something: {failures}");
}
