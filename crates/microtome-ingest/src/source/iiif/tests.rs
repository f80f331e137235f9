//! Folders written with known tiles read back, in every spelling; descriptors that lie are refused.

use std::fs;
use std::path::PathBuf;

use microtome_container::geometry::Grid;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::source::Content;
use crate::source::tile_files::samples::{self, Written, assert_offers, jpeg, put, pyramid};

const CONTEXTS: [&str; 2] =
    ["http://iiif.io/api/image/2/context.json", "http://iiif.io/api/image/3/context.json"];
const UP: fn(u32) -> u32 = |length| length.div_ceil(2);

/// What a spelling makes of a region, its size, and whether the region is the whole image.
type Spell = fn([u32; 4], [u32; 2], bool) -> (String, String);

/// The spelling of version 2 and of version 3.
const CANONICAL: [Spell; 2] = [
    |[x, y, w, h], [width, _], _| (format!("{x},{y},{w},{h}"), format!("{width},")),
    |[x, y, w, h], [width, height], _| (format!("{x},{y},{w},{h}"), format!("{width},{height}")),
];

/// A folder, its levels, and the path of its descriptor.
struct Sample {
    _folder: TempDir,
    levels: Vec<Written>,
    descriptor: PathBuf,
}

impl Sample {
    /// A slide of 551 x 257 px in tiles of 128 px, or of what else `full` says.
    fn new(context: &Value, full: [u32; 3], halve: fn(u32) -> u32, spell: Spell) -> Self {
        let [width, height, tile_size] = full;
        let folder = tempfile::tempdir().expect("a folder");
        let grids = pyramid(Grid { width, height, tile_size, overlap: 0 }, halve);
        let levels = samples::write(&grids, |level, column, row| {
            let tile = grids[level].tile_rect(column, row).expect("inside");
            let (x, y) = (tile.x << level, tile.y << level);
            let side = tile_size << level;
            let region = [x, y, side.min(width - x), side.min(height - y)];
            let (region, size) = spell(region, [tile.width, tile.height], grids[level].tiles() == 1);
            folder.path().join(format!("{region}/{size}/0/default.jpg"))
        });
        let factors: Vec<u32> = (0..grids.len()).map(|level| 1 << level).collect();
        let info = json!({
            "@context": context, "protocol": "http://iiif.io/api/image", "width": width, "height": height,
            "tiles": [{"width": tile_size, "scaleFactors": factors}],
        });
        let descriptor = folder.path().join(DESCRIPTOR);
        put(&descriptor, info.to_string().as_bytes());
        Self { _folder: folder, levels, descriptor }
    }

    fn usual() -> Self {
        Self::new(&json!(CONTEXTS[1]), [551, 257, 128], UP, CANONICAL[1])
    }

    fn open(&self) -> Source {
        open(&self.descriptor).expect("opens")
    }

    fn refusal(&self) -> String {
        open(&self.descriptor).err().expect("refused").to_string()
    }

    /// Changes the descriptor.
    fn change(&self, change: impl FnOnce(&mut Value)) {
        let mut info = serde_json::from_slice(&fs::read(&self.descriptor).expect("bytes")).expect("JSON");
        change(&mut info);
        fs::write(&self.descriptor, info.to_string()).expect("a file");
    }

    fn tile(&self, level: usize, column: u32, row: u32) -> &Path {
        let Written { grid, files } = &self.levels[level];
        &files[(row * grid.columns() + column) as usize]
    }
}

#[test]
fn extensions_may_be_in_capitals() {
    let mut sample = Sample::usual();
    sample.levels.iter_mut().for_each(|level| level.rename("JPG"));
    assert_offers(&sample.open(), &sample.levels, &[0, 1, 2, 3]);
}

#[test]
fn every_spelling_of_either_version_is_read() {
    let spellings: [Spell; 5] = [
        CANONICAL[0],
        CANONICAL[1],
        // As iiif.static and the standard: the whole image by its name.
        |region, size, whole| match whole {
            true => ("full".to_owned(), format!("{},", size[0])),
            false => CANONICAL[0](region, size, whole),
        },
        |region, size, whole| match whole {
            true => ("full".to_owned(), format!("{},{}", size[0], size[1])),
            false => CANONICAL[1](region, size, whole),
        },
        // The size of the region by a word.
        |[x, y, w, h], size, whole| match [w, h] == size {
            true => (format!("{x},{y},{w},{h}"), "max".to_owned()),
            false => CANONICAL[1]([x, y, w, h], size, whole),
        },
    ];
    for context in [json!(CONTEXTS[0]), json!(CONTEXTS[1]), json!(["http://example.org/", CONTEXTS[1]])] {
        for spell in spellings {
            for full in [[551, 257, 128], [1100, 1025, 256], [403, 19, 16], [300, 200, 512]] {
                let sample = Sample::new(&context, full, UP, spell);
                let source = sample.open();
                assert_eq!((source.width, source.height, source.format), (full[0], full[1], "iiif"));
                let all: Vec<_> = (0..sample.levels.len()).collect();
                assert_offers(&source, &sample.levels, &all);
                assert!(source.notices.is_empty(), "{:?}", source.notices);
            }
        }
    }
}

#[test]
fn a_name_that_two_tiles_share_in_version_2_is_that_of_the_one_that_is_there() {
    // One pixel wide, the last tiles of levels 1 and 2 are both `1600,0,1,19/1,`: the coarser one was written last.
    let sample = Sample::new(&json!(CONTEXTS[0]), [1601, 19, 16], UP, CANONICAL[0]);
    let source = sample.open();
    assert_offers(&source, &sample.levels, &[0, 2, 3, 4, 5, 6, 7]);
    assert!(source.notices[0].contains("level 1") && source.notices[0].contains("1 x 5 px"));
    // Levels 5 and 6 share one that could be either's.
    let sample = Sample::new(&json!(CONTEXTS[0]), [1041, 37, 16], UP, CANONICAL[0]);
    let source = sample.open();
    assert_offers(&source, &sample.levels, &[0, 1, 2, 3, 4, 6, 7]);
    assert!(source.notices[0].contains("level 5") && source.notices[0].contains("33 x 1 px"));
}

#[test]
fn sizes_that_are_rounded_down_are_read_where_the_grid_is_the_same() {
    let sample = Sample::new(&json!(CONTEXTS[0]), [1101, 1003, 256], |length| length / 2, CANONICAL[0]);
    assert_offers(&sample.open(), &sample.levels, &[0, 1, 2, 3]);
    assert_eq!(sample.levels[1].grid.width, 550);
}

#[test]
fn levels_are_taken_that_are_not_listed_but_there_and_left_out_where_they_do_not_fit() {
    let sample = Sample::usual();
    // As libvips writes it.
    sample.change(|info| info["tiles"][0]["scaleFactors"] = json!([1, 2, 4]));
    assert_offers(&sample.open(), &sample.levels, &[0, 1, 2, 3]);
    sample.change(|info| info["tiles"][0]["scaleFactors"] = json!([]));
    assert_offers(&sample.open(), &sample.levels, &[0, 3]);
    sample.change(|info| info["tiles"][0]["scaleFactors"] = json!([4, 3, 1, 0, 1_u64 << 40, 1_u64 << 31]));
    let source = sample.open();
    assert_offers(&source, &sample.levels, &[0, 2, 3]);
    assert!(source.notices[0].contains("4 levels") && source.notices[0].contains("factor 3"));

    let sample = Sample::usual();
    fs::write(sample.tile(1, 2, 1), jpeg(20, 20, 0)).expect("a file");
    for file in &sample.levels[2].files {
        fs::remove_file(file).expect("gone");
    }
    let source = sample.open();
    assert_offers(&source, &sample.levels, &[0, 3]);
    let [one, two] = &source.notices[..] else { unreachable!("{:?}", source.notices) };
    assert!(one.contains("level 1") && one.contains("20 x 20 px") && one.contains("276 x 148 px"), "{one}");
    assert!(two.contains("level 2") && two.contains("first and last tile are missing"), "{two}");
}

#[test]
fn descriptors_that_lie_say_where() {
    type Change = fn(&mut Value);
    let cases: [(Change, &[&str]); 16] = [
        (
            |info| info["@context"] = json!("http://library.stanford.edu/iiif/image-api/1.1/context.json"),
            &["API 1 ", "2 and 3", "dzsave"],
        ),
        (|info| *info = json!({"width": 9, "height": 9, "scale_factors": [1]}), &["API 1 ", "2 and 3"]),
        (
            |info| info["@context"] = json!("http://iiif.io/api/image/4/context.json"),
            &["@context", "2 and 3"],
        ),
        (|info| info["@context"] = json!([7]), &["@context", "2 and 3"]),
        (|info| info["width"] = json!(0), &["0 x 257 px", "1 to 16777216"]),
        (|info| info["width"] = json!(-1), &["-1"]),
        (|info| info["height"] = json!(16_777_217), &["16777217 px", "1 to 16777216"]),
        (|info| info["height"] = json!(4_294_967_296_u64), &["4294967296"]),
        (|info| info["height"] = json!("257"), &["\"257\""]),
        (|info| info["height"] = Value::Null, &["null"]),
        (|info| info["tiles"] = json!([]), &["without tiles", "dzsave"]),
        (|info| info["tiles"][0]["height"] = json!(64), &["128 x 64 px", "square", "dzsave"]),
        (|info| info["tiles"][0]["width"] = json!(8), &["tiles of 8 px", "16 to 4096"]),
        (|info| info["tiles"][0]["width"] = json!(0), &["tiles of 0 px", "16 to 4096"]),
        (|info| info["tiles"][0]["scaleFactors"] = json!([-1]), &["-1"]),
        (|info| info["tiles"][0] = json!({"width": 128}), &["scaleFactors"]),
    ];
    for (change, words) in cases {
        let sample = Sample::usual();
        sample.change(change);
        let refusal = sample.refusal();
        for word in words.iter().chain(&["info.json"]) {
            assert!(refusal.contains(word), "{word} is missing in: {refusal}");
        }
    }
    let sample = Sample::usual();
    for (bytes, what) in
        [(vec![b' '; 1 << 20], "64 KiB"), (b"{".to_vec(), "not JSON"), (vec![b'['; 9999], "not JSON")]
    {
        fs::write(&sample.descriptor, bytes).expect("a file");
        assert!(sample.refusal().contains(what));
    }
}

#[test]
fn tiles_that_are_missing_are_named_as_the_standard_spells_them() {
    let sample = Sample::usual();
    fs::remove_file(sample.tile(1, 2, 1)).expect("gone");
    let refusal = sample.refusal();
    let expected = "512,256,39,1/20,1/0/default.jpg: tile: the file is missing; restore it";
    assert!(refusal.contains(expected), "{refusal}");
    let sample = Sample::usual();
    fs::remove_file(sample.tile(0, 0, 0)).expect("gone");
    let refusal = sample.refusal();
    assert!(refusal.contains("0,0,128,128/128,128/0/default.jpg: tile: the file is missing"), "{refusal}");
    let sample = Sample::usual();
    fs::write(sample.tile(0, 3, 0), b"").expect("a file");
    let source = sample.open();
    let Content::Tiles(tiles) = &source.content else { unreachable!("JPEG tiles were written") };
    let error = tiles.tile(0, 3, 0).expect_err("empty").to_string();
    assert!(error.contains("384,0,128,128/128,128/0/default.jpg: tile: the file is empty"), "{error}");
}

#[test]
fn the_size_of_a_pixel_is_that_of_the_physical_dimension_service() {
    let service = |scale: Value, unit: &str| {
        json!({
            "@context": "http://iiif.io/api/annex/services/physdim/1/context.json",
            "profile": "http://iiif.io/api/annex/services/physdim",
            "physicalScale": scale, "physicalUnits": unit,
        })
    };
    for (service, mpp) in [
        (service(json!(0.00025), "mm"), Some(0.25)),
        (json!([{"profile": "other"}, service(json!(0.00005), "cm")]), Some(0.5)),
        (service(json!(0.25), "in"), None),
        (service(json!(-1), "mm"), None),
        (service(json!("0.1"), "mm"), None),
        (service(json!(0.00025), "px"), None),
        (json!({"physicalScale": 0.00025, "physicalUnits": "mm"}), None),
        (json!(7), None),
    ] {
        let sample = Sample::usual();
        sample.change(|info| info["service"] = service.clone());
        let source = sample.open();
        assert_eq!(source.mpp, mpp.map(|mpp| [mpp; 2]), "{service}");
        assert_eq!(source.properties.len(), mpp.map_or(0, |_| 2));
    }
}

#[test]
fn a_file_of_that_name_is_a_descriptor_by_what_it_says() {
    for (text, is) in [
        (r#"{"@context": "http://iiif.io/api/image/2/context.json"}"#, true),
        (r#"{"@context": ["http://example.org/", "https://iiif.io/api/image/3/context.json"]}"#, true),
        (r#"{"@context": "http://library.stanford.edu/iiif/image-api/1.1/context.json"}"#, true),
        (r#"{"protocol": "http://iiif.io/api/image"}"#, true),
        (r#"{"@context": "http://iiif.io/api/presentation/3/context.json"}"#, false),
        (r#"{"title": "a video"}"#, false),
        ("[]", false),
        ("", false),
    ] {
        assert_eq!(info::is_of_image(text), is, "{text}");
    }
}

proptest! {
    #[test]
    fn no_descriptor_panics(text in "\\PC{0,200}", width: u32, height: u32, tile in 0_u32..6000, factor: u64) {
        let _ = Info::parse(&text);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(DESCRIPTOR);
        let info = json!({
            "@context": CONTEXTS[0], "width": width, "height": height,
            "tiles": [{"width": tile, "scaleFactors": [factor, 1]}],
        });
        fs::write(&path, info.to_string()).expect("a file");
        prop_assert!(open(&path).is_err());
    }
}
