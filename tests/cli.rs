//! What the commands leave behind, what they refuse, and what they print: nothing half-made, nothing lost, nothing
//! that a terminal would obey.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use microtome_codec::payload::{VERBATIM, VerbatimParams};
use microtome_codec::turbo::{self, Subsampling};
use microtome_container::geometry::{coarsest_level, level_length};
use microtome_container::header::{Level, SectionKind, SlideId};
use microtome_container::{NewSection, Writer};
use microtome_slide::{Metadata, Rect, Slide, TileId};
use support::{
    SmallDisk, command, fail, folder, microtome, names, path, picture, succeed, write_deep_zoom, write_png,
};

/// A small container.
fn make(folder: &Path, name: &str) -> PathBuf {
    let target = folder.join(name);
    succeed(["ingest", "synthetic:600x400", "-o", path(&target)]);
    target
}

/// A container whose levels are all stored, with sizes rounded down as in TIFF pyramids.
fn make_rounded_down(target: &Path, width: u32, height: u32, metadata: &Metadata) {
    let levels = (0..=coarsest_level(width, height)).map(|k| Level {
        width: (width >> k).max(1),
        height: (height >> k).max(1),
        stored: true,
    });
    let writer = Writer::create(target, VERBATIM, 256, 0, levels.clone().collect()).unwrap();
    let mut pixels = picture(width, height);
    for (level, Level { width, height, .. }) in (0..).zip(levels) {
        if level > 0 {
            let half = pixels.reduced();
            pixels = half.crop(0, 0, width, height);
        }
        for row in 0..height.div_ceil(256) {
            for column in 0..width.div_ceil(256) {
                let (x, y) = (256 * column, 256 * row);
                let tile = pixels.crop(x, y, (width - x).min(256), (height - y).min(256));
                let jpeg = turbo::encode(&tile, 90, Subsampling::Chroma420).unwrap();
                writer.put(TileId { level, column, row }, &jpeg).unwrap();
            }
        }
    }
    let params =
        VerbatimParams { derived_quality: 85, derived_subsampling: Subsampling::Chroma420, streams: vec![] };
    let section = |kind, critical, bytes| NewSection { kind, critical, codec: 0, bytes };
    let sections = [
        section(SectionKind::CODEC_PARAMETERS, true, params.to_bytes()),
        section(SectionKind::METADATA, false, serde_json::to_vec(metadata).unwrap()),
    ];
    writer.finish(SlideId([7; 16]), &sections, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
}

#[test]
fn a_tile_on_a_full_disk_leaves_nothing() {
    let slides = folder();
    let container = make(slides.path(), "a.mtm");
    // One page: less than the tile.
    let Some(disk) = SmallDisk::mount("4k") else { return };
    let line = fail(1, ["tile", path(&container), "0", "0", "0", "-o", path(&disk.path().join("t.jpg"))]);
    assert!(line.contains("t.jpg") && line.contains("free some space"), "{line}");
    assert!(names(disk.path()).is_empty(), "{:?}", names(disk.path()));
}

#[test]
fn a_tile_has_the_permissions_of_any_new_file() {
    let folder = folder();
    let container = make(folder.path(), "a.mtm");
    let (tile, plain) = (folder.path().join("t.jpg"), folder.path().join("plain"));
    succeed(["tile", path(&container), "0", "0", "0", "-o", path(&tile)]);
    std::fs::write(&plain, b"").unwrap();
    assert_eq!(tile.metadata().unwrap().permissions(), plain.metadata().unwrap().permissions());
    assert!(fail(1, ["tile", path(&container), "0", "0", "0", "-o", path(&tile)]).contains("exists already"));
    assert_eq!(names(folder.path()), ["a.mtm", "plain", "t.jpg"]);
}

/// Runs `demo` in a folder; gives what it said until it serves or ends.
fn demo(folder: &Path) -> String {
    let mut command = command();
    command.args(["demo", "--port", "0"]).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        said += &(line.unwrap() + "\n");
        if said.contains("serving") {
            support::signal(child.id(), "TERM");
            break;
        }
    }
    child.wait().unwrap();
    said
}

#[test]
fn the_demo_replaces_its_own_slide_and_no_other() {
    let folder = folder();
    let slides = folder.path().join("demo_slides");
    std::fs::create_dir(&slides).unwrap();
    let target = slides.join("demo_out.mtm");

    std::fs::write(&target, b"precious").unwrap();
    let said = demo(folder.path());
    assert!(said.contains("demo_out.mtm") && said.contains("remove it"), "{said}");
    assert_eq!(std::fs::read(&target).unwrap(), b"precious");

    std::fs::remove_file(&target).unwrap();
    let png = folder.path().join("mine.png");
    write_png(&png, &picture(64, 64));
    succeed(["ingest", path(&png), "-o", path(&target)]);
    let mine = std::fs::read(&target).unwrap();
    let said = demo(folder.path());
    assert!(said.contains("png") && said.contains("remove it"), "{said}");
    assert!(std::fs::read(&target).unwrap() == mine);

    std::fs::remove_file(&target).unwrap();
    succeed(["ingest", "synthetic:64x64", "-o", path(&target)]);
    // What a killed demo leaves.
    std::fs::write(slides.join(".demo_out.new.mtm"), b"half").unwrap();
    let said = demo(folder.path());
    assert!(said.contains("serving"), "{said}");
    assert_eq!(names(&slides), ["demo_out.mtm"]);
    assert_eq!(Slide::open(&target).unwrap().levels()[0].width, 12_288);
}

#[test]
fn levels_stored_rounded_down_are_exported_as_deep_zoom_wants_them() {
    let folder = folder();
    let container = folder.path().join("a.mtm");
    let (width, height) = (1203, 601);
    make_rounded_down(&container, width, height, &Metadata::default());
    let output = microtome(["export", path(&container), "-o", path(&folder.path().join("a.dzi"))]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("level 1 was stored rounded down (601 x 300 px)"), "{said}");

    let top = coarsest_level(width, height);
    for level in 0..=top {
        let folder = folder.path().join(format!("a_files/{}", top - level));
        let size = (level_length(width, level), level_length(height, level));
        let last = folder.join(format!("{}_{}.jpg", (size.0 - 1) / 256, (size.1 - 1) / 256));
        let tile = turbo::decode(&std::fs::read(&last).unwrap(), 1 << 20).unwrap();
        assert_eq!((tile.width(), tile.height()), ((size.0 - 1) % 256 + 1, (size.1 - 1) % 256 + 1));
    }
    // The tile at the corner of level 1, from the pixels of level 0.
    let finer = Rect { x: 1024, y: 512, width: width - 1024, height: height - 512 };
    let pixels = Slide::open(&container).unwrap().read_region(0, finer).unwrap().reduced();
    let made = std::fs::read(folder.path().join(format!("a_files/{}/2_1.jpg", top - 1))).unwrap();
    assert!(made == turbo::encode(&pixels, 85, Subsampling::Chroma420).unwrap());
    // And we read what we write.
    succeed(["ingest", path(&folder.path().join("a.dzi")), "-o", path(&folder.path().join("again.mtm"))]);
}

#[test]
fn an_export_cleans_up_after_killed_ones_and_spares_living_ones() {
    let folder = folder();
    let container = make(folder.path(), "a.mtm");
    let staging = |name: &str| {
        std::fs::create_dir_all(folder.path().join(name).join("files/10")).unwrap();
        File::create(folder.path().join(name).join("lock")).unwrap()
    };
    drop(staging(".a.dzi.dead.part"));
    drop(staging(".b.dzi.dead.part"));
    let living = staging(".a.dzi.live.part");
    living.lock().unwrap();
    succeed(["export", path(&container), "-o", path(&folder.path().join("a.dzi"))]);
    let left = [".a.dzi.live.part", ".b.dzi.dead.part", "a.dzi", "a.mtm", "a_files"];
    assert_eq!(names(folder.path()), left);
}

#[test]
fn a_killed_export_leaves_nothing_that_the_next_one_trips_over() {
    let folder = folder();
    let container = folder.path().join("a.mtm");
    succeed(["ingest", "synthetic:8000x8000", "-o", path(&container)]);
    let export = ["export", path(&container), "-o", path(&folder.path().join("a.dzi"))].map(str::to_owned);
    let mut child = command().args(&export).stdout(Stdio::null()).spawn().unwrap();
    let staging = || names(folder.path()).into_iter().find(|name| name.ends_with(".part"));
    let is_locked = || staging().is_some_and(|name| folder.path().join(name).join("lock").exists());
    while !is_locked() && child.try_wait().unwrap().is_none() {}
    child.kill().unwrap();
    child.wait().unwrap();
    if staging().is_none() {
        support::skipped("the export was too fast to be killed");
        return;
    }
    succeed(&export);
    assert_eq!(names(folder.path()), ["a.dzi", "a.mtm", "a_files"]);
}

#[test]
fn verify_goes_on_after_a_file_it_cannot_read() {
    let folder = folder();
    let good = make(folder.path(), "good.mtm");
    let (bad, missing) = (folder.path().join("bad.mtm"), folder.path().join("nosuch.mtm"));
    std::fs::write(&bad, b"not a container").unwrap();
    let verify = |files: &[&Path]| {
        let output =
            microtome([&["verify"][..], &files.iter().map(|f| path(f)).collect::<Vec<_>>()].concat());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let (code, out, err) = verify(&[&bad, &missing, &good]);
    assert_eq!(code, 4, "{err}");
    assert!(out.contains("good.mtm: ok"), "{out}");
    assert!(err.contains("bad.mtm") && err.contains("nosuch.mtm") && err.lines().count() == 3, "{err}");
    let (code, out, err) = verify(&[&missing, &good]);
    assert_eq!((code, err.lines().count()), (3, 2), "{err}");
    assert!(out.contains("good.mtm: ok"), "{out}");
    assert!(fail(1, ["verify", path(&missing)]).contains("nosuch.mtm"));
    assert_eq!(verify(&[&bad]).0, 4);
    // A folder is all containers in it.
    std::fs::create_dir_all(folder.path().join("archive/2026")).unwrap();
    std::fs::rename(&good, folder.path().join("archive/2026/good.mtm")).unwrap();
    std::fs::write(folder.path().join("archive/notes.txt"), b"").unwrap();
    let (code, out, err) = verify(&[&folder.path().join("archive")]);
    assert!(code == 0 && out.contains("2026/good.mtm: ok"), "{err}");
    std::fs::rename(&bad, folder.path().join("archive/bad.mtm")).unwrap();
    let (code, out, err) = verify(&[&folder.path().join("archive")]);
    assert!(code == 4 && out.contains("good.mtm: ok") && err.contains("1 of 2 files"), "{out}{err}");
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    assert!(fail(2, ["verify", path(&folder.path().join("empty"))]).contains("no .mtm file"));
}

#[test]
fn nothing_printed_commands_the_terminal() {
    let folder = folder();
    let container = folder.path().join("a.mtm");
    let mut metadata = Metadata::default();
    let evil = "\x1b]0;owned\x07\r\nlevel \u{9b}31m";
    metadata.properties.insert("tiff.ImageDescription".to_owned(), evil.to_owned());
    metadata.source.name = evil.to_owned();
    make_rounded_down(&container, 64, 64, &metadata);
    let output = succeed(["info", path(&container)]);
    assert!(
        output.contains("owned") && !output.contains(|c: char| c.is_control() && c != '\n'),
        "{output:?}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&succeed(["info", "--json", path(&container)])).unwrap();
    assert_eq!(json["metadata"]["source"]["name"], evil);
    let line = fail(1, ["info", &format!("nosuch{evil}.mtm")]);
    assert!(!line.trim_end().contains(char::is_control), "{line:?}");
}

#[test]
fn a_reader_that_stops_early_changes_neither_work_nor_exit_code() {
    let folder = folder();
    for name in ["a.png", "b.png", "c.png"] {
        write_png(&folder.path().join(name), &picture(64, 64));
    }
    let archive = folder.path().join("archive");
    let run = |words: &[&str]| {
        let mut child = command().args(words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        // Nobody reads.
        drop(child.stdout.take());
        child.wait().unwrap().code()
    };
    let sources = format!("{}/*.png", path(folder.path()));
    assert_eq!(run(&["ingest", &sources, "-o", path(&archive)]), Some(0));
    assert_eq!(names(&archive), ["a.mtm", "b.mtm", "c.mtm"]);
    assert_eq!(run(&["verify", path(&archive)]), Some(0));
    std::fs::write(archive.join("c.mtm"), "damaged").unwrap();
    assert_eq!(run(&["verify", path(&archive)]), Some(4));
    assert_eq!(run(&["info", path(&archive.join("a.mtm"))]), Some(0));
}

#[test]
fn a_number_below_zero_is_refused_by_its_bound() {
    for (words, complaint) in [
        (&["ingest", "a.png", "-o", "a.mtm", "--jobs", "-1"][..], "not a whole number from 0 to 1024"),
        (&["serve", "--cache-mb", "-1"], "not a whole number from 0 to 1048576"),
        (&["tile", "a.mtm", "0", "-1", "0", "-o", "a.jpg"], "-1 is not in 0..=4294967295"),
    ] {
        let output = microtome(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("'-1'") && said.contains(complaint), "{said}");
    }
}

#[test]
fn a_slide_that_is_in_no_container_is_described_as_it_would_go_in() {
    let folder = folder();
    let slide = write_deep_zoom(folder.path(), &picture(300, 200), 254, 1, "jpeg");
    for spec in [path(&slide), path(folder.path())] {
        let json: serde_json::Value = serde_json::from_str(&succeed(["info", "--json", spec])).unwrap();
        assert_eq!((&json["format"], &json["width"]), (&"deep-zoom".into(), &300.into()));
        assert_eq!(
            (&json["jpeg_tiles"]["tile_size"], &json["jpeg_tiles"]["overlap"]),
            (&254.into(), &1.into())
        );
        assert_eq!(json["jpeg_tiles"]["levels"][1]["width"], 150);
    }
    let text = succeed(["info", path(&slide)]);
    assert!(text.contains("byte for byte; 254 px, overlap 1") && text.contains("300 x 200 px"), "{text}");
    let text = succeed(["info", "synthetic:640x480"]);
    assert!(text.contains("640 x 480 px") && text.contains("quantised at quality 80"), "{text}");
    // What a file is called does not make it one.
    let container = folder.path().join("a.mtm");
    succeed(["ingest", "synthetic:64x64", "-o", path(&container)]);
    let renamed = folder.path().join("a.svs");
    std::fs::copy(&container, &renamed).unwrap();
    assert!(succeed(["info", path(&renamed)]).contains("content id"));
    std::fs::write(&renamed, "no slide").unwrap();
    assert!(fail(1, ["info", path(&renamed)]).contains("a.svs"));
    std::fs::write(&container, "no slide").unwrap();
    assert!(fail(1, ["info", path(&container)]).contains("not a container"));
    // What might never answer is not asked.
    assert!(fail(1, ["info", "/dev/zero"]).contains("not a file"));
}

#[test]
fn the_target_of_an_ingest_is_a_container_or_a_folder() {
    let folder = folder();
    let at = |name: &str| format!("{}/{name}", path(folder.path()));
    let one = "synthetic:64x64";
    let many = microtome(["ingest", one, "-o", &at("a.mtm"), "--jobs", "99999"]);
    assert_eq!(many.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&many.stderr).contains("from 0 to 1024"));
    assert!(fail(2, ["ingest", one, "-o", &at("out.mtn")]).contains("OUT is to end in .mtm or be a folder"));
    assert!(names(folder.path()).is_empty());
    let refused = fail(2, ["ingest", one, "-o", &at("UP.MTM")]);
    assert!(refused.contains("in small letters"), "{refused}");
    succeed(["ingest", one, "-o", &at("new.mtm/")]);
    succeed(["ingest", one, "-o", &at("plain")]);
    succeed(["ingest", one, "-o", &at("slides.v2/")]);
    // It is there now, and no slip of the pen.
    succeed(["ingest", "synthetic:65x65", "-o", &at("slides.v2")]);
    assert_eq!(names(folder.path()), ["new.mtm", "plain", "slides.v2"]);
    assert_eq!(names(Path::new(&at("new.mtm"))), ["synthetic_64x64.mtm"]);
    assert_eq!(names(Path::new(&at("slides.v2"))).len(), 2);
}

#[test]
fn a_folder_made_for_nothing_is_removed_again() {
    let folder = folder();
    let at = |name: &str| format!("{}/{name}", path(folder.path()));
    fail(1, ["ingest", &at("nosuch.svs"), "-o", &at("a/b")]);
    assert!(names(folder.path()).is_empty());
    std::fs::create_dir(at("mine")).unwrap();
    fail(1, ["ingest", &at("nosuch.svs"), "-o", &at("mine")]);
    assert_eq!(names(folder.path()), ["mine"]);
    let output = microtome(["ingest", &at("nosuch.svs"), "synthetic:64x64", "-o", &at("some")]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(names(Path::new(&at("some"))), ["synthetic_64x64.mtm"]);
}
