//! Files written once must keep reading for ever, and the same inputs must keep giving the same bytes.
//!
//! `golden/NAME.mtm` is a container, `golden/NAME.txt` what reading it gave when it was added. To add one, add a case
//! to [`cases`] and run
//!
//! ```text
//! cargo test -p microtome-container --test golden -- --ignored add_missing_golden_files
//! ```
//!
//! which writes what is not there and never touches what is. A golden file is never changed. When the writer moves
//! on, its old cases leave [`cases`]; their files stay, and keep reading: `minimal-1x1`, `odd-overlap-shared-blanks` and
//! `all-stored-rounded-down` are the same slides as `short-header-...` behind headers of 16,384 bytes.

mod support;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use microtome_container::{Container, Level, NewSection, SectionKind, SlideId, checksum};
use support::{Sample, all_tiles, findings, read, section};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// What the present writer must still write byte for byte.
fn cases() -> Vec<(&'static str, Sample)> {
    let minimal = Sample { sections: vec![], ..Sample::new(1, 1, 16, 0) };
    let odd = Sample { blank_in: 4, seed: 2, ..Sample::new(333, 201, 32, 1) };
    vec![
        ("short-header-minimal", minimal),
        ("short-header-odd-overlap", odd),
        ("short-header-all-stored", rounded_down()),
    ]
}

/// Sizes rounded down, all levels stored, another codec, an ancillary section of an unknown kind, empty sections.
fn rounded_down() -> Sample {
    let mut sample = Sample { codec: 7, seed: 3, ..Sample::new(150, 90, 16, 0) };
    let down = |full: u32, k: usize| (full >> k).max(1);
    sample.levels =
        (0..=8).map(|k| Level { width: down(150, k), height: down(90, k), stored: true }).collect();
    sample.slide_id = SlideId([0xA5; 16]);
    sample.sections = vec![
        NewSection { codec: 7, ..section(b"CPAR", true, b"parameters of codec 7") },
        section(b"META", false, br#"{"notices":["golden"]}"#),
        section(b"ICCP", false, b""),
        section(b"ASSO", false, b"a label"),
        section(b"ASSO", false, b"a macro image"),
        section(b"XTRA", false, b"of a later version"),
    ];
    sample
}

/// Everything that reading a container gives, a line each.
fn listing(container: &Container) -> String {
    let header = container.header();
    let mut out = format!("content id {}\nslide id {:?}\n", header.content_id, header.slide_id);
    let mut line = |text: String| writeln!(out, "{text}").expect("a string takes all");
    line(format!("tile size {} overlap {} bytes {}", header.tile_size, header.overlap, header.file_length));
    for (k, level) in header.levels.iter().enumerate() {
        let kind = if level.stored { "stored" } else { "derived" };
        line(format!("level {k}: {} x {} px, {kind}", level.width, level.height));
    }
    for section in &header.sections {
        let mut text =
            format!("section {} critical {} codec {}", section.kind, section.critical, section.codec);
        write!(text, " offset {} length {}", section.offset, section.length).expect("a string takes all");
        if section.kind != SectionKind::TILES {
            let bytes = container.read_section(section).expect("a sound section");
            write!(text, " xxh3 {:032x}", checksum::payload_hash(&bytes)).expect("a string takes all");
        }
        line(text);
    }
    for tile in all_tiles(container) {
        if let Some(record) = read(container, tile).expect("a sound record") {
            let hash = checksum::payload_hash(&record);
            line(format!("{tile}: {} bytes, xxh3 {hash:032x}", record.len()));
        }
    }
    out
}

#[test]
fn every_golden_file_reads_as_it_did_when_it_was_added() {
    let mut files = 0;
    for name in support::names(&folder()) {
        let path = folder().join(&name);
        if path.extension().is_some_and(|e| e == "mtm") {
            let recorded = fs::read_to_string(path.with_extension("txt")).expect("a listing beside it");
            let container = Container::open(&path).expect("it opens");
            assert_eq!(listing(&container), recorded, "{name}");
            assert_eq!(findings(&path).len(), 0, "{name}");
            files += 1;
        } else {
            assert!(path.with_extension("mtm").is_file(), "{name} has lost its container");
        }
    }
    assert!(files >= cases().len() + 3, "golden files are missing");
}

#[test]
fn the_same_inputs_give_the_golden_bytes() {
    let scratch = tempfile::tempdir().expect("a folder");
    for (name, sample) in cases() {
        let path = scratch.path().join(name);
        sample.write(&path);
        let golden = fs::read(folder().join(name).with_extension("mtm")).expect("a golden file");
        assert!(fs::read(&path).expect("written") == golden, "{name} is written differently now");
    }
}

#[test]
#[ignore = "adds golden files that are not there yet; see the top of this file"]
fn add_missing_golden_files() {
    for (name, sample) in cases() {
        let path = folder().join(name).with_extension("mtm");
        if path.exists() {
            continue;
        }
        sample.write(&path);
        let text = listing(&Container::open(&path).expect("it opens"));
        let mut file =
            fs::File::create_new(path.with_extension("txt")).expect("no listing without container");
        std::io::Write::write_all(&mut file, text.as_bytes()).expect("written");
    }
}
