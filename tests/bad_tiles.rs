//! `ingest --on-bad-tile blank`: white where a tile cannot be decoded, told in every place where one would look.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::Path;

use microtome_codec::turbo;
use microtome_slide::{Slide, TileId};
use serde_json::{Value, json};
use support::{contain, fail, folder, microtome, path, shared_data, succeed, tissue, write_deep_zoom};

const BAD: TileId = TileId { level: 0, column: 1, row: 2 };
const GOOD: TileId = TileId { level: 0, column: 2, row: 2 };

/// The lines that an ingest with the option says.
fn ingest_blank(source: &Path, out: &Path, more: &[&str]) -> String {
    let mut words = vec!["ingest", path(source), "-o", path(out), "--on-bad-tile", "blank"];
    words.extend(more);
    let output = microtome(words);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

fn shades(slide: &Slide, tile: TileId) -> microtome_codec::Rgb {
    turbo::decode(&slide.tile(tile).unwrap(), 1 << 20).unwrap()
}

#[test]
fn a_bad_jpeg_tile_is_white_and_all_others_are_the_sources() {
    let folder = folder();
    let source = write_deep_zoom(folder.path(), &tissue(700, 600, 3), 256, 0, "jpg");
    let [bad, good] = ["1_2", "2_2"].map(|name| folder.path().join(format!("slide_files/10/{name}.jpg")));
    let (whole, kept) = (fs::read(&bad).unwrap(), fs::read(&good).unwrap());
    // A stream that ends early, one of another size, and none.
    for (number, damaged) in
        [Some(whole[..whole.len() / 2].to_vec()), Some(kept.clone()), None].into_iter().enumerate()
    {
        match &damaged {
            Some(bytes) => fs::write(&bad, bytes).unwrap(),
            None => fs::remove_file(&bad).unwrap(),
        }
        let out = folder.path().join(format!("{number}.mtm"));
        let refused = fail(1, ["ingest", path(&source), "-o", path(&out)]);
        assert!(refused.contains("1_2.jpg"), "{refused}");
        let said = ingest_blank(&source, &out, &[]);
        assert!(
            said.contains("1 of 9 tiles of level 0 cannot be decoded") && said.contains("column 1 row 2"),
            "{said}"
        );
        let slide = Slide::open(&out).unwrap();
        assert_eq!(shades(&slide, BAD).uniform(), Some([255; 3]));
        assert_eq!(slide.tile(GOOD).unwrap(), kept);
        let info: Value = serde_json::from_str(&succeed(["info", path(&out), "--json"])).unwrap();
        assert_eq!(
            info["metadata"]["absent"],
            json!([{ "level": 0, "runs": [[7, 7]], "undecodable": true }])
        );
        let original = fail(1, ["tile", path(&out), "0", "1", "2", "--original", "-o", "-"]);
        assert!(original.contains("could not be decoded"), "{original}");
        let proof = succeed(["verify", path(&out), "--source", path(&source)]);
        assert!(proof.contains("1 more cannot be decoded there and are blank"), "{proof}");
        let again = fail(1, ["ingest", path(&source), "-o", path(&out), "--on-bad-tile", "blank"]);
        assert!(again.contains("exists already") && again.contains("--resume"), "{again}");
        ingest_blank(&source, &out, &["--resume"]);
        // As pixels too.
        let lossy = folder.path().join(format!("{number}-80.mtm"));
        let said = ingest_blank(&source, &lossy, &["--quality", "80"]);
        assert!(said.contains("1 of 9 tiles of level 0 have pixels that cannot be decoded"), "{said}");
        assert!(shades(&Slide::open(&lossy).unwrap(), BAD).data().iter().all(|&byte| byte > 250));
        fs::write(&bad, &whole).unwrap();
        let output = microtome(["verify", path(&out), "--source", path(&source)]);
        let lie = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(lie.contains("the slide says that it cannot be decoded, but it can"), "{lie}");
        assert_eq!(output.status.code(), Some(4), "{lie}");
    }
}

#[test]
fn a_bad_tile_of_a_tiff_is_white_whether_kept_or_taken_as_pixels() {
    let folder = folder();
    let container = contain(folder.path(), "a.mtm", "synthetic:700x600,seed=4");
    let tiff = folder.path().join("a.tif");
    succeed(["export", path(&container), "-o", path(&tiff)]);
    let whole = contain(folder.path(), "whole.mtm", path(&tiff));
    let tile = Slide::open(&whole).unwrap().fetch(BAD).unwrap().record().unwrap().unwrap();
    let mut bytes = fs::read(&tiff).unwrap();
    let at = bytes.windows(tile.len()).position(|window| window == tile).unwrap();
    // From its middle on there are no codes.
    bytes[at + tile.len() / 2..at + tile.len()].fill(0xFF);
    fs::write(&tiff, &bytes).unwrap();
    for (name, more) in [("kept", &[][..]), ("lossy", &["--quality", "90"])] {
        let out = folder.path().join(format!("{name}.mtm"));
        let said = ingest_blank(&tiff, &out, more);
        assert!(said.contains("1 of 9 tiles of level 0") && said.contains("cannot be decoded"), "{said}");
        let (slide, before) = (Slide::open(&out).unwrap(), Slide::open(&whole).unwrap());
        assert!(shades(&slide, BAD).data().iter().all(|&byte| byte > 250), "{name}");
        if more.is_empty() {
            assert_eq!(slide.tile(GOOD).unwrap(), before.tile(GOOD).unwrap());
        }
    }
}

#[test]
fn a_hole_in_a_level_is_none_in_those_that_are_made_of_it_and_stored() {
    let folder = folder();
    let source = write_deep_zoom(folder.path(), &tissue(2100, 1100, 3), 256, 0, "jpg");
    // Levels 0 to 2 are kept, the coarser ones made.
    (0..10)
        .for_each(|number| fs::remove_dir_all(folder.path().join(format!("slide_files/{number}"))).unwrap());
    let whole = contain(folder.path(), "whole.mtm", path(&source));
    fs::write(folder.path().join("slide_files/10/1_0.jpg"), b"damaged").unwrap();
    let out = folder.path().join("hole.mtm");
    ingest_blank(&source, &out, &[]);
    let [whole, hole] = [whole, out].map(|file| Slide::open(&file).unwrap());
    let [hole_2, hole_4, whole_4] = [(&hole, 2, 1), (&hole, 4, 0), (&whole, 4, 0)]
        .map(|(slide, level, column)| shades(slide, TileId { level, column, row: 0 }));
    assert_eq!(hole_2.uniform(), Some([255; 3]));
    let likeness = support::psnr(&hole_4, &whole_4);
    assert!(likeness > 30.0, "{likeness:.1} dB");
}

#[test]
fn a_slide_of_which_nothing_can_be_decoded_is_refused_all_the_same() {
    let folder = folder();
    let source = write_deep_zoom(folder.path(), &tissue(200, 100, 3), 256, 0, "jpg");
    let tile = folder.path().join("slide_files/8/0_0.jpg");
    let bytes = fs::read(&tile).unwrap();
    fs::write(&tile, &bytes[..bytes.len() / 2]).unwrap();
    let out = folder.path().join("out.mtm");
    let refused = fail(1, ["ingest", path(&source), "-o", path(&out), "--on-bad-tile", "blank"]);
    assert!(refused.contains("not one of its tiles can be decoded") && !out.exists(), "{refused}");
}

#[test]
fn a_bad_tile_of_a_level_of_one_is_white_too() {
    let folder = folder();
    let source = write_deep_zoom(folder.path(), &tissue(700, 600, 3), 256, 0, "jpg");
    fs::write(folder.path().join("slide_files/6/0_0.jpg"), b"").unwrap();
    let out = folder.path().join("out.mtm");
    let said = ingest_blank(&source, &out, &[]);
    assert!(said.contains("1 of 1 tiles of level 4 cannot be decoded"), "{said}");
    let slide = Slide::open(&out).unwrap();
    assert_eq!(shades(&slide, TileId { level: 4, column: 0, row: 0 }).uniform(), Some([255; 3]));
    succeed(["verify", path(&out), "--source", path(&source)]);
}

#[test]
fn a_bad_tile_among_rgb_tiles_with_shared_tables_is_white() {
    let Some(source) = shared_data("wsi/svs/small_HE.svs") else { return };
    let folder = folder();
    let whole = contain(folder.path(), "whole.mtm", path(&source));
    let bad = TileId { level: 0, column: 4, row: 6 };
    let before = Slide::open(&whole).unwrap();
    let tile = before.fetch(bad).unwrap().record().unwrap().unwrap();
    let mut bytes = fs::read(&source).unwrap();
    let at = bytes.windows(tile.len()).position(|window| window == tile).unwrap();
    bytes[at + tile.len() / 2..at + tile.len()].fill(0xFF);
    let svs = folder.path().join("bad.svs");
    fs::write(&svs, &bytes).unwrap();
    let out = folder.path().join("out.mtm");
    let said = ingest_blank(&svs, &out, &["--deidentify"]);
    assert!(said.contains("cannot be decoded: they are blank (column 4 row 6)"), "{said}");
    let slide = Slide::open(&out).unwrap();
    assert_eq!(slide.metadata().absent[0].count(), 1);
    assert_eq!(shades(&slide, bad).uniform(), Some([255; 3]));
    for column in [3, 5] {
        let beside = TileId { column, ..bad };
        assert_eq!(slide.tile(beside).unwrap(), before.tile(beside).unwrap());
    }
    let proof = succeed(["verify", path(&out), "--source", path(&svs)]);
    assert!(proof.contains("1 more cannot be decoded there"), "{proof}");
}

#[test]
fn a_bad_png_tile_is_white_and_no_pixel_beside_it() {
    let folder = folder();
    let picture = tissue(700, 600, 5);
    let source = write_deep_zoom(folder.path(), &picture, 256, 0, "png");
    let [whole, holed] = ["whole.mtm", "holed.mtm"].map(|name| folder.path().join(name));
    succeed(["ingest", path(&source), "-o", path(&whole)]);
    fs::write(folder.path().join("slide_files/10/1_2.png"), b"no picture").unwrap();
    let said = ingest_blank(&source, &holed, &[]);
    assert!(said.contains("1 of 9 tiles of level 0 have pixels that cannot be decoded"), "{said}");
    let (whole, holed) = (Slide::open(&whole).unwrap(), Slide::open(&holed).unwrap());
    assert!(shades(&holed, BAD).data().iter().all(|&byte| byte > 250));
    for (column, row) in [(0, 2), (2, 2), (1, 1)] {
        let beside = TileId { level: 0, column, row };
        let (before, after) = (shades(&whole, beside), shades(&holed, beside));
        // Models are trained on what there is, so that steps may be chosen otherwise.
        let apart = before.data().iter().zip(after.data()).filter(|(a, b)| a.abs_diff(**b) > 40).count();
        assert!(apart * 1000 < before.data().len(), "{apart} samples of column {column} row {row}");
    }
}
