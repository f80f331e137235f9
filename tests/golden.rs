//! Containers of codec 1 written once must give the same tiles for ever, and a second reader must agree.
//!
//! `golden/NAME.mtm` is a container, `golden/NAME.json` the SHA-256 of each of its tiles as served, `level/column_row`.
//! Only tiles whose bytes the format fixes are in: all but derived and cropped ones that another encoder may write
//! otherwise. To add a container, add a case to [`CASES`] and run
//!
//! ```text
//! cargo test --test golden -- --ignored add_missing_golden_files
//! ```
//!
//! which writes what is not there and never touches what is; from a new list of hashes take out the tiles that the second reader
//! has a dash for. A golden file is never changed.
//!
//! The second reader is `reader/microtome_reader.py`, written from `docs/format/` alone, in Python without packages.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use microtome_codec::coefficients::{self, Parser, Template};
use microtome_codec::jpeg::{self, Colour};
use microtome_codec::turbo::{self, Subsampling};
use microtome_codec::{Rgb, cross_scale};
use microtome_container::reader::Reading;
use microtome_slide::{Slide, TileId};
use sha2::{Digest, Sha256};
use support::{folder, names, skipped, succeed, tissue, write_deep_zoom};

/// SHA-256 of tiles by `level/column_row`.
type Hashes = BTreeMap<String, String>;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// A name, what makes its source in a folder, and the arguments of `ingest`.
type Case = (&'static str, fn(&Path) -> String, &'static [&'static str]);

const CASES: [Case; 12] = [
    ("exact-overlap", exact_overlap, &["--exact"]),
    ("exact-own-models", own_models, &["--exact"]),
    ("exact-changed-models", own_models, &["--exact"]),
    ("exact-odd-tiles", odd_tiles, &["--exact"]),
    ("exact-small-tiles", small_tiles, &["--exact"]),
    ("quality-420", |_| "synthetic:600x400,seed=7".to_owned(), &["--quality", "80"]),
    ("exact-two-parts", large, &["--exact"]),
    ("exact-sixteen-states", large, &["--exact"]),
    ("exact-going-round", large, &["--exact"]),
    ("exact-going-round-odd", large_and_odd, &["--exact"]),
    ("tiff-tables", tiff_tables, &["--exact"]),
    ("tiff-padded", tiff_padded, &["--exact"]),
];

fn deep_zoom(folder: &Path, pixels: &Rgb, tile_size: u32, overlap: u32) -> String {
    write_deep_zoom(folder, pixels, tile_size, overlap, "jpg").to_str().unwrap().to_owned()
}

/// All levels, tiles that overlap.
fn exact_overlap(folder: &Path) -> String {
    deep_zoom(folder, &tissue(700, 500, 4), 254, 1)
}

/// Every level but the finest is a negative: whatever the built-in models expect, it is the opposite.
fn own_models(folder: &Path) -> String {
    let source = deep_zoom(folder, &tissue(440, 330, 5), 128, 2);
    let files = folder.join("slide_files");
    for level in names(&files).iter().filter(|level| *level != "9") {
        for name in names(&files.join(level)) {
            let file = files.join(level).join(name);
            let mut pixels = turbo::decode(&fs::read(&file).unwrap(), 1 << 20).unwrap();
            pixels.data_mut().iter_mut().for_each(|sample| *sample = 255 - *sample);
            fs::write(&file, turbo::encode(&pixels, 80, Subsampling::Chroma420).unwrap()).unwrap();
        }
    }
    source
}

/// Tiles of level 0 that are progressive, grey, RGB, of 4:2:2, and with restart markers.
fn odd_tiles(folder: &Path) -> String {
    let pixels = tissue(700, 300, 6);
    let source = deep_zoom(folder, &pixels, 256, 0);
    let put = |column: u32, row: u32, encode: &dyn Fn(&Rgb) -> Vec<u8>| {
        let (x, y) = (256 * column, 256 * row);
        let tile = pixels.crop(x, y, 256.min(700 - x), 256.min(300 - y));
        fs::write(folder.join(format!("slide_files/10/{column}_{row}.jpg")), encode(&tile)).unwrap();
    };
    put(0, 1, &|tile| encode(tile, turbojpeg::Subsamp::Gray, |c| c.set_optimize(true).unwrap()));
    put(1, 0, &|tile| encode(tile, turbojpeg::Subsamp::Sub2x2, |c| c.set_progressive(true).unwrap()));
    put(1, 1, &|tile| encode(tile, turbojpeg::Subsamp::Sub2x1, |_| {}));
    put(2, 0, &|tile| {
        jpeg::complete(&[], Colour::Rgb, &turbo::encode(tile, 75, Subsampling::Chroma444).unwrap()).unwrap()
    });
    put(2, 1, &|tile| with_restarts(&encode(tile, turbojpeg::Subsamp::Sub2x2, |_| {})));
    source
}

/// Many families of small tiles, an index of two pages, and a tile whose template lies with it.
fn small_tiles(folder: &Path) -> String {
    let pixels = tissue(600, 500, 9);
    let source = deep_zoom(folder, &pixels, 16, 0);
    let odd = encode(&pixels.crop(320, 160, 16, 16), turbojpeg::Subsamp::None, |_| {});
    fs::write(folder.join("slide_files/10/20_10.jpg"), odd).unwrap();
    source
}

/// Tissue of which hardly a coefficient is 0.
fn noise(width: u32, height: u32) -> Rgb {
    let mut pixels = tissue(width, height, 11);
    let mut state = 1_u32;
    for sample in pixels.data_mut() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *sample = sample.saturating_sub((state >> 27) as u8 * 4);
    }
    pixels
}

/// Rows of more than sixteen blocks and of fewer, as many of them as leave the last states without one in the last step; planes that
/// begin amid the sixteen.
fn large_and_odd(folder: &Path) -> String {
    deep_zoom(folder, &noise(600, 136), 200, 0)
}

/// Tiles of noise that have many coefficients: 4:4:4, luma alone, and 4:2:0.
fn large(folder: &Path) -> String {
    let pixels = noise(428, 130);
    let source = deep_zoom(folder, &pixels, 128, 0);
    let put = |column: u32, subsampling| {
        let tile = encode(&pixels.crop(128 * column, 0, 128, 128), subsampling, |_| {});
        fs::write(folder.join(format!("slide_files/9/{column}_0.jpg")), tile).unwrap();
    };
    put(0, turbojpeg::Subsamp::None);
    put(1, turbojpeg::Subsamp::Gray);
    source
}

fn encode(
    pixels: &Rgb,
    subsampling: turbojpeg::Subsamp,
    set: impl Fn(&mut turbojpeg::Compressor),
) -> Vec<u8> {
    let mut compressor = turbojpeg::Compressor::new().unwrap();
    compressor.set_quality(75).unwrap();
    compressor.set_subsamp(subsampling).unwrap();
    set(&mut compressor);
    let image = turbojpeg::Image {
        pixels: pixels.data(),
        width: pixels.width() as usize,
        pitch: 3 * pixels.width() as usize,
        height: pixels.height() as usize,
        format: turbojpeg::PixelFormat::RGB,
    };
    compressor.compress_to_vec(image).unwrap()
}

/// The stream with a restart marker behind every fifth MCU.
fn with_restarts(stream: &[u8]) -> Vec<u8> {
    let mut tile = coefficients::Tile::new();
    let template = Parser::new().parse(stream, &mut tile).unwrap().to_bytes();
    // One byte, the head's length in two, the head.
    let length = usize::from(template[1] & 127) + 128 * usize::from(template[2]) + 6;
    let head = [&template[3..5], b"\xFF\xDD\0\x04\0\x05", &template[5..]].concat();
    let template = [&[template[0], length as u8 | 128, (length >> 7) as u8], &head[..]].concat();
    let mut out = vec![];
    coefficients::Writer::new().write(&Template::parse(&template).unwrap(), &tile, &mut out).unwrap();
    out
}

/// A TIFF of 3 x 2 tiles of 64 px, their quantisation tables in JPEGTables.
fn tiff_tables(folder: &Path) -> String {
    tiff(folder, &tissue(192, 128, 8))
}

/// The same of 171 x 101 px: tiles at the edge are padded, with what is nothing like tissue, and level 1 is derived from them.
fn tiff_padded(folder: &Path) -> String {
    tiff(folder, &tissue(171, 101, 11))
}

/// Pixels as 3 x 2 tiles of 64 px, padded with bright green.
fn tiff(folder: &Path, pixels: &Rgb) -> String {
    let (width, height) = (pixels.width(), pixels.height());
    let mut padded = Rgb::filled(192, 128, [40, 255, 40]);
    padded.blit(pixels, 0, 0, width, height, 0, 0);
    let (mut tables, mut tiles) = (vec![], vec![]);
    for (x, y) in [(0, 0), (64, 0), (128, 0), (0, 64), (64, 64), (128, 64)] {
        let stream = turbo::encode(&padded.crop(x, y, 64, 64), 85, Subsampling::Chroma420).unwrap();
        // SOI, JFIF marker of 18 bytes, two DQT of 69.
        tables = [&stream[..2], &stream[20..158], &[0xFF, 0xD9]].concat();
        tiles.push([&stream[..2], &stream[158..]].concat());
    }
    let mut file = b"II*\0\0\0\0\0".to_vec();
    let mut put = |bytes: &[u8]| {
        file.extend_from_slice(bytes);
        (file.len() - bytes.len()) as u32
    };
    let longs = |values: &[u32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
    let offsets: Vec<u32> = tiles.iter().map(|tile| put(tile)).collect();
    let counts: Vec<u32> = tiles.iter().map(|tile| tile.len() as u32).collect();
    let (offsets, counts) = (put(&longs(&offsets)), put(&longs(&counts)));
    let bits = put(&[8, 0, 8, 0, 8, 0]);
    let (length, tables) = (tables.len() as u32, put(&tables));
    // Tag, type (3 SHORT, 4 LONG, 7 UNDEFINED), count, value.
    let fields: [(u16, u16, u32, u32); 12] = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 3, bits),
        (259, 3, 1, 7),
        (262, 3, 1, 6),
        (277, 3, 1, 3),
        (284, 3, 1, 1),
        (322, 4, 1, 64),
        (323, 4, 1, 64),
        (324, 4, 6, offsets),
        (325, 4, 6, counts),
        (347, 7, length, tables),
    ];
    let directory = put(&(fields.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in fields {
        put(&[&tag.to_le_bytes()[..], &kind.to_le_bytes(), &longs(&[count, value])].concat());
    }
    put(&[0; 4]);
    file[4..8].copy_from_slice(&directory.to_le_bytes());
    let path = folder.join("slide.tif");
    fs::write(&path, file).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Hashes of all tiles of a container whose bytes are fixed.
fn hashes(container: &Path) -> Hashes {
    let slide = Slide::open(container).unwrap();
    let mut hashes = Hashes::new();
    for (level, grid) in (0..).zip(slide.levels()) {
        for row in 0..grid.rows() {
            for column in 0..grid.columns() {
                let jpeg = slide.tile(TileId { level, column, row }).unwrap();
                let hash = Sha256::digest(&jpeg).iter().map(|byte| format!("{byte:02x}")).collect();
                hashes.insert(format!("{level}/{column}_{row}"), hash);
            }
        }
    }
    hashes
}

fn recorded(container: &Path) -> Hashes {
    serde_json::from_slice(&fs::read(container.with_extension("json")).expect("hashes beside it")).unwrap()
}

fn containers() -> Vec<PathBuf> {
    let all = names(&golden()).into_iter().map(|name| golden().join(name));
    let containers: Vec<_> = all.filter(|path| path.extension().is_some_and(|e| e == "mtm")).collect();
    assert!(containers.len() >= CASES.len(), "golden files are missing");
    containers
}

#[test]
fn every_golden_container_gives_the_tiles_it_gave_when_it_was_added() {
    for container in containers() {
        let (now, recorded) = (hashes(&container), recorded(&container));
        let tiles = Slide::open(&container).unwrap().levels().iter().map(|grid| grid.tiles()).sum::<u64>();
        assert!(!recorded.is_empty() && recorded.len() as u64 <= tiles, "{}", container.display());
        for (tile, hash) in &recorded {
            assert_eq!(now.get(tile), Some(hash), "{} {tile}", container.display());
        }
        succeed([Path::new("verify"), &container]);
    }
}

#[test]
fn golden_containers_show_what_they_are_for() {
    let find = |name: &str| Slide::open(&golden().join(name).with_extension("mtm")).unwrap();
    let own = |slide: &Slide| {
        let section =
            slide.container().header().sections.iter().find(|s| s.codec == cross_scale::CROSS_SCALE);
        let parameters = slide.container().read_section(section.expect("of codec 1")).unwrap();
        cross_scale::CrossScale::parse(&parameters).unwrap().own_models().1
    };
    // As whole ones, which were written at first, and as what differs from the built-in ones.
    for name in ["exact-own-models", "exact-changed-models"] {
        assert!(own(&find(name)) >= 2, "{name}: models of its own");
    }
    assert_eq!(own(&find("exact-overlap")), 0, "the built-in models");
    for name in ["quality-420", "tiff-tables", "tiff-padded"] {
        assert!(find(name).is_derived(1), "{name}");
    }
    assert!(
        find("exact-odd-tiles").metadata().notices.iter().any(|n| n.starts_with("1 of ")),
        "one verbatim tile"
    );
    // Alone and predicted: as two parts of four strands each, which were written at first, and from sixteen states, for which
    // luma alone has too few coefficients, of rows that begin in turn and of such that go round.
    let forms = [
        ("exact-two-parts", [25, 25, 26]),
        ("exact-sixteen-states", [33, 9, 34]),
        ("exact-going-round", [97, 9, 98]),
        ("exact-going-round-odd", [98, 98, 98]),
    ];
    for (name, expected) in forms {
        let slide = find(name);
        let forms = [0, 1, 2].map(|column| form(&slide, TileId { level: 0, column, row: 0 }));
        assert_eq!(forms, expected, "{name}");
    }
}

/// The first byte of a payload.
fn form(slide: &Slide, tile: TileId) -> u8 {
    let container = slide.container();
    let (page, position) = container.locate(tile).unwrap();
    let entry = container.read_page(page, Reading::Waits).unwrap().entry(position).unwrap();
    container.read_record(tile, entry, Reading::Waits).unwrap()[0]
}

#[test]
fn a_reader_written_from_the_specification_agrees() {
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reader/microtome_reader.py");
    // One process each: they take some seconds.
    let start = |container: PathBuf| -> Option<(PathBuf, Child)> {
        let mut command = Command::new("python3");
        command.arg("-B").arg(&reader).arg(&container).stdin(Stdio::null()).stdout(Stdio::piped());
        command.spawn().ok().map(|child| (container, child))
    };
    let Some(running) = containers().into_iter().map(start).collect::<Option<Vec<_>>>() else {
        return skipped("there is no python3");
    };
    for (container, child) in running {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", container.display());
        let mut read = Hashes::new();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let [level, column, row, hash] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            // A tile that the format does not fix has a dash.
            if hash != "-" {
                read.insert(format!("{level}/{column}_{row}"), hash.to_owned());
            }
        }
        assert_eq!(read, recorded(&container), "{}", container.display());
    }
}

#[test]
#[ignore = "adds golden files that are not there yet; see the top of this file"]
fn add_missing_golden_files() {
    fs::create_dir_all(golden()).unwrap();
    for (name, source, arguments) in CASES {
        let path = golden().join(name).with_extension("mtm");
        if path.exists() {
            continue;
        }
        let folder = folder();
        let source = source(folder.path());
        succeed([&["ingest", &source, "-o", path.to_str().unwrap()], arguments].concat());
        let file = fs::File::create_new(path.with_extension("json")).expect("no hashes without container");
        serde_json::to_writer_pretty(file, &hashes(&path)).unwrap();
    }
}
