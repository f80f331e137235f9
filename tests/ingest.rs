//! Sources in, containers out, and back again: what the built binary does with good input.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use microtome_codec::turbo;
use microtome_slide::{Rect, Slide, TileId};
use std::path::{Path, PathBuf};
use support::{folder, names, path, picture, succeed, write_deep_zoom, write_png};

#[test]
fn a_deep_zoom_folder_goes_in_and_comes_out_byte_for_byte_on_any_grid() {
    for (width, height, tile_size, overlap, format) in [
        (700, 500, 254, 1, "jpeg"),
        (513, 257, 256, 0, "jpg"),
        (300, 40, 128, 3, "jpg"),
        (17, 1, 16, 0, "jpeg"),
    ] {
        let folder = folder();
        let source = write_deep_zoom(folder.path(), &picture(width, height), tile_size, overlap, format);
        let container = folder.path().join("out.mtm");
        let exported = folder.path().join("back/slide.dzi");
        std::fs::create_dir(exported.parent().unwrap()).unwrap();
        succeed(["ingest", path(&source), "-o", path(&container)]);
        let verdict = succeed(["verify", path(&container), "--source", path(&source)]);
        assert!(verdict.contains("byte for byte"), "{verdict}");
        succeed(["export", path(&container), "-o", path(&exported)]);
        let original = source.with_file_name("slide_files");
        for level in names(&original) {
            for tile in names(&original.join(&level)) {
                let back =
                    std::fs::read(exported.with_file_name("slide_files").join(&level).join(&tile)).unwrap();
                assert!(back == std::fs::read(original.join(&level).join(&tile)).unwrap(), "{level}/{tile}");
            }
        }
    }
}

#[test]
fn a_folder_stands_for_the_deep_zoom_slide_in_it() {
    let folder = folder();
    write_deep_zoom(folder.path(), &picture(300, 200), 256, 0, "jpg");
    let container = folder.path().join("out.mtm");
    succeed(["ingest", path(folder.path()), "-o", path(&container)]);
    assert_eq!(Slide::open(&container).unwrap().metadata().source.name, "slide.dzi");
}

#[test]
fn a_deep_zoom_level_that_is_missing_is_made_from_the_finer_one() {
    let folder = folder();
    let source = write_deep_zoom(folder.path(), &picture(1100, 900), 254, 1, "jpg");
    for level in [8, 9, 10] {
        std::fs::remove_dir_all(folder.path().join(format!("slide_files/{level}"))).unwrap();
    }
    let container = folder.path().join("out.mtm");
    succeed(["ingest", path(&source), "-o", path(&container)]);
    let slide = Slide::open(&container).unwrap();
    assert!(slide.is_derived(1) && !slide.is_derived(2) && slide.is_derived(3));
    let whole = |level: u8| {
        let grid = slide.levels()[usize::from(level)];
        slide.read_region(level, Rect { x: 0, y: 0, width: grid.width, height: grid.height }).unwrap()
    };
    let likeness = support::psnr(&whole(1), &whole(0).reduced());
    assert!(likeness > 36.0, "a derived level is the average of the finer one: {likeness:.1} dB");
    let (made, exact) = (whole(2), whole(1).reduced());
    let error: u64 = made.data().iter().zip(exact.data()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    assert!(
        error < 3 * made.data().len() as u64,
        "level 2 is a JPEG of the reduced level 1, mean error {error}"
    );
}

#[test]
fn png_images_and_png_tiles_are_quantised_once() {
    let folder = folder();
    let image = folder.path().join("image.png");
    let pixels = picture(600, 301);
    write_png(&image, &pixels);
    let tiles = write_deep_zoom(folder.path(), &pixels, 254, 1, "png");
    for (source, grid) in [(&image, (256, 0)), (&tiles, (254, 1))] {
        let container = folder.path().join(format!("{}.mtm", grid.0));
        succeed(["ingest", path(source), "-o", path(&container), "--quality", "95"]);
        let slide = Slide::open(&container).unwrap();
        assert_eq!((slide.levels()[0].tile_size, slide.levels()[0].overlap), grid);
        let region = slide.read_region(0, Rect { x: 0, y: 0, width: 600, height: 301 }).unwrap();
        let worst = region.data().iter().zip(pixels.data()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst < 40, "quality 95 is close to the source: worst error {worst}");
        assert_eq!(slide.metadata().encoder.mode, "quality 95");
        assert!(slide.metadata().loss[0].quality.unwrap().psnr_y_worst > 35.0);
    }
}

#[test]
fn the_same_source_gives_the_same_bytes_whatever_the_threads() {
    let folder = folder();
    let bytes = |jobs: &str| {
        let container = folder.path().join(format!("{jobs}.mtm"));
        succeed(["ingest", "synthetic:900x700,seed=5", "-o", path(&container), "--jobs", jobs]);
        std::fs::read(container).unwrap()
    };
    assert!(bytes("1") == bytes("4"));
}

#[test]
fn every_pyramid_of_an_odd_size_ends_at_one_pixel_and_all_its_tiles_decode() {
    for size in ["1x1", "100000x1", "1x700", "257x255", "1025x513"] {
        let folder = folder();
        let container = folder.path().join("out.mtm");
        succeed(["ingest", &format!("synthetic:{size}"), "-o", path(&container)]);
        let slide = Slide::open(&container).unwrap();
        let last = slide.levels().last().unwrap();
        assert_eq!((last.width, last.height), (1, 1), "{size}");
        for (level, grid) in slide.levels().iter().enumerate() {
            for (column, row) in [(0, 0), (grid.columns() - 1, grid.rows() - 1)] {
                let rect = grid.tile_rect(column, row).unwrap();
                let jpeg = slide.tile(TileId { level: level as u8, column, row }).unwrap();
                let pixels = turbo::decode(&jpeg, 1 << 20).unwrap();
                assert_eq!(
                    (pixels.width(), pixels.height()),
                    (rect.width, rect.height),
                    "{size} level {level}"
                );
            }
        }
    }
}

#[test]
fn blank_tiles_are_stored_once() {
    let folder = folder();
    let image = folder.path().join("white.png");
    write_png(&image, &microtome_codec::Rgb::filled(2048, 1024, [244, 243, 245]));
    let container = folder.path().join("out.mtm");
    succeed(["ingest", path(&image), "-o", path(&container)]);
    let usage = Slide::open(&container).unwrap().usage().unwrap();
    assert_eq!(
        (usage[0].tiles, usage[0].records, usage[2].records),
        (32, 1, 1),
        "one predicted from its base tile, and that"
    );
}

#[test]
fn many_sources_go_into_a_folder_and_a_bad_one_does_not_stop_the_rest() {
    let folder = folder();
    let good = folder.path().join("good.png");
    write_png(&good, &picture(64, 64));
    let bad = folder.path().join("bad.svs");
    std::fs::write(&bad, b"II*\0garbage").unwrap();
    let out = folder.path().join("out");
    let output = support::microtome(["ingest", path(&bad), path(&good), "-o", path(&out)]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("bad.svs"));
    assert_eq!(names(&out), ["good.mtm"]);
    let again = support::microtome(["ingest", path(&good), "-o", path(&out), "--resume"]);
    assert!(
        again.status.success(),
        "--resume skips what is there: {}",
        String::from_utf8_lossy(&again.stderr)
    );
}

#[test]
fn the_folder_of_a_single_container_is_made_and_goes_again_if_nothing_comes_of_it() {
    let folder = folder();
    let container = folder.path().join("shared/2026/0001.mtm");
    let failed = support::microtome(["ingest", path(&folder.path().join("no.svs")), "-o", path(&container)]);
    assert_eq!(failed.status.code(), Some(1));
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(said.contains("no.svs") && said.contains("check the path"), "{said}");
    assert!(names(folder.path()).is_empty());
    succeed(["ingest", "synthetic:100x100", "-o", path(&container)]);
    assert_eq!(names(container.parent().unwrap()), ["0001.mtm"]);
}

#[test]
fn info_and_ingest_speak_json() {
    let folder = folder();
    let container = folder.path().join("out.mtm");
    let report = succeed(["ingest", "synthetic:600x400", "-o", path(&container), "--json"]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let info: serde_json::Value =
        serde_json::from_str(&succeed(["info", path(&container), "--json"])).unwrap();
    assert_eq!(report["content_id"], info["content_id"]);
    assert_eq!(info["width"], 600);
    assert_eq!(info["levels"][1]["stored"], false);
    assert_eq!(info["metadata"]["mpp"][0], 0.25);
    assert_eq!(info["bytes"], std::fs::metadata(&container).unwrap().len());
    let text = succeed(["info", path(&container)]);
    assert!(text.contains("600 x 400 px") && text.contains("derived"), "{text}");
}

#[test]
fn quality_of_a_tiled_source_takes_its_pixels() {
    let folder = folder();
    let source = write_deep_zoom(folder.path(), &picture(500, 300), 254, 1, "jpg");
    let container = folder.path().join("out.mtm");
    succeed(["ingest", path(&source), "-o", path(&container), "--quality", "40"]);
    let slide = Slide::open(&container).unwrap();
    assert_eq!(slide.metadata().encoder.mode, "quality 40");
    assert!(slide.container().header().file_length < 100_000);
    let region = slide.read_region(0, Rect { x: 250, y: 250, width: 20, height: 20 }).unwrap();
    let original = picture(500, 300).crop(250, 250, 20, 20);
    let error: u64 = region.data().iter().zip(original.data()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    assert!(error < 8 * 1200, "the right pixels across a seam, mean error {}", error as f64 / 1200.0);
}

#[test]
fn verify_against_another_source_says_what_differs() {
    let folder = folder();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    let mut pixels = picture(500, 300);
    for (folder, grey) in [(&one, 90), (&other, 200)] {
        std::fs::create_dir(folder).unwrap();
        // One tile of the finest level differs, and what follows from it.
        pixels.data_mut()[..300].fill(grey);
        write_deep_zoom(folder, &pixels, 254, 1, "jpg");
    }
    let container = folder.path().join("one.mtm");
    succeed(["ingest", path(&one), "-o", path(&container)]);
    let output = support::microtome(["verify", path(&container), "--source", path(&other)]);
    assert_eq!(output.status.code(), Some(4));
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(complaint.contains("level 0 column 0 row 0: differs"), "{complaint}");
    let named = complaint.lines().filter(|line| line.contains("one.mtm, beside") && line.contains("other"));
    assert!(named.count() >= 1, "{complaint}");
    assert!(!complaint.contains("level 0 column 1 row 1"), "{complaint}");

    std::fs::remove_dir_all(other.join("slide_files/8")).unwrap();
    let output = support::microtome(["verify", path(&container), "--source", path(&other)]);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(complaint.contains("level 1 is not in the source"), "a kept level is missing there: {complaint}");
}

/// The containers in a folder and those in it.
fn containers(folder: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { containers(&path) } else { vec![path] }).collect()
}

#[test]
fn an_archive_is_verified_against_the_folder_that_it_was_made_from() {
    let folder = folder();
    let (sources, archive) = (folder.path().join("sources"), folder.path().join("archive"));
    for (name, side) in [("one", 300), ("two", 400)] {
        std::fs::create_dir_all(sources.join(name)).unwrap();
        write_deep_zoom(&sources.join(name), &picture(side, 200), 254, 1, "jpg");
    }
    succeed(["ingest", path(&sources), "-o", path(&archive)]);
    let verify = || {
        let output = support::microtome(["verify", path(&archive), "--source", path(&sources)]);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let (code, out, err) = verify();
    assert_eq!((code, out.matches("tiles are those of").count()), (0, 2), "{out}{err}");
    // One that has no source, and one that is another's.
    let two = containers(&archive).into_iter().find(|file| path(file).contains("two")).unwrap();
    std::fs::copy(&two, archive.join("stray.mtm")).unwrap();
    let (code, out, err) = verify();
    assert_eq!((code, out.lines().count()), (4, 3), "{out}");
    assert!(err.contains("stray.mtm: no slide in") && err.contains("1 of 3 files"), "{err}");
    std::fs::remove_file(archive.join("stray.mtm")).unwrap();
    let one = containers(&archive).into_iter().find(|file| path(file).contains("one")).unwrap();
    std::fs::copy(&two, &one).unwrap();
    assert!(verify().2.contains("differs"), "{}", verify().2);
    // A slide that never went in.
    std::fs::remove_file(&one).unwrap();
    let (code, out, err) = verify();
    assert_eq!((code, out.lines().count()), (4, 1), "{out}");
    assert!(err.contains("missing") && err.contains(path(&one)) && err.contains("1 of 2 files"), "{err}");
    let both = support::fail(2, ["verify", path(&archive), path(&two), "--source", path(&sources)]);
    assert!(both.contains("one folder"), "{both}");
}

#[test]
fn resume_skips_what_is_whole_and_made_in_the_same_way_only() {
    let folder = folder();
    let source = write_deep_zoom(folder.path(), &picture(500, 300), 254, 1, "jpg");
    let container = folder.path().join("out.mtm");
    let resume = |more: &[&str]| {
        let mut arguments = vec!["ingest", path(&source), "-o", path(&container), "--resume"];
        arguments.extend(more);
        support::microtome(arguments).status.code()
    };
    assert_eq!(resume(&[]), Some(0), "there is nothing yet: it is made");
    assert_eq!(resume(&[]), Some(0), "skipped");
    assert_eq!(resume(&["--quality", "50"]), Some(1), "made in another way");
    assert_eq!(resume(&["--derived-levels", "reduced"]), Some(1), "made in another way");
    let mut bytes = std::fs::read(&container).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&container, bytes).unwrap();
    assert_eq!(resume(&[]), Some(1), "damaged");
}
