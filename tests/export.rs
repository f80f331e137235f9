//! Exports: other readers see the slide's pixels in them, they appear whole or not at all, and what cannot be written is
//! refused with the remedy.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use microtome_codec::{Rgb, turbo};
use microtome_ingest::source::{self, Content};
use microtome_slide::{Rect, Slide};
use serde_json::{Value, json};
use support::{
    command, contain, fail, folder, microtome, names, path, psnr, python, shared_data, skipped, succeed,
    tissue, write_deep_zoom,
};

/// What the independent readers say of a file, and the pixels that they see in it.
struct Seen {
    said: Value,
    pixels: tempfile::TempDir,
}

impl Seen {
    fn of(python: &Path, file: &Path) -> Self {
        let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reader/tiff_pixels.py");
        let pixels = folder();
        let output =
            Command::new(python).arg("-B").arg(reader).arg(file).arg(pixels.path()).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{complaint}");
        // Its readers warn of what they find odd.
        assert!(complaint.is_empty(), "{complaint}");
        Self { said: serde_json::from_slice(&output.stdout).unwrap(), pixels }
    }

    fn level(&self, reader: &str, number: usize) -> Rgb {
        let size = &self.said["levels"][number];
        let side = |i: usize| u32::try_from(size[i].as_u64().unwrap()).unwrap();
        let bytes = fs::read(self.pixels.path().join(format!("{reader}-{number}.rgb"))).unwrap();
        Rgb::from_vec(side(0), side(1), bytes).expect("pixels of the level's size")
    }

    /// Demands that both readers see the pixels of these levels of the slide. Chroma may differ in the last two columns and
    /// rows, where a decoder interpolates it across the edge of what is shown.
    fn check_levels(&self, slide: &Slide, levels: &[u8]) {
        assert_eq!(self.said["levels"].as_array().unwrap().len(), levels.len());
        assert_eq!(self.said["levels"], self.said["openslide"]["levels"]);
        for (number, &level) in levels.iter().enumerate() {
            let grid = slide.levels()[usize::from(level)];
            let rect = Rect { x: 0, y: 0, width: grid.width, height: grid.height };
            let ours = slide.read_region(level, rect).unwrap();
            let (width, height) = (grid.width - 2, grid.height - 2);
            for reader in ["tifffile", "openslide"] {
                let theirs = self.level(reader, number);
                assert!(
                    ours.crop(0, 0, width, height) == theirs.crop(0, 0, width, height),
                    "{reader}, level {level}: {:.1} dB",
                    psnr(&ours, &theirs)
                );
                assert!(psnr(&ours, &theirs) > 45.0, "{reader}, level {level}");
            }
        }
    }
}

#[test]
fn other_readers_see_the_slides_pixels() {
    let Some(python) = python("imagecodecs, openslide, tifffile") else { return };
    let folder = folder();
    // Edge tiles of their own size; pixels that were quantised.
    let dzi = write_deep_zoom(folder.path(), &tissue(900, 700, 5), 256, 0, "jpg");
    for (name, source, levels) in
        [("kept", path(&dzi), &[0, 1, 2][..]), ("made", "synthetic:1100x900,seed=3", &[0, 2, 4][..])]
    {
        let container = contain(folder.path(), &format!("{name}.mtm"), source);
        let slide = Slide::open(&container).unwrap();
        for end in ["tif", "svs"] {
            let file = folder.path().join(format!("{name}.{end}"));
            succeed(["export", path(&container), "-o", path(&file)]);
            let seen = Seen::of(&python, &file);
            seen.check_levels(&slide, levels);
            assert_eq!(seen.said["svs"], end == "svs");
            let read = &seen.said["openslide"];
            assert_eq!(read["vendor"], if end == "svs" { "aperio" } else { "generic-tiff" });
            if end == "svs" {
                let again = contain(folder.path(), &format!("{name} again.mtm"), path(&file));
                let again = Slide::open(&again).unwrap();
                let image =
                    again.metadata().associated.iter().find(|image| image.name == "thumbnail").unwrap();
                let smallest = slide.levels()[usize::from(levels[2])];
                assert_eq!((image.width, image.height), (smallest.width, smallest.height));
            }
            if name == "made" {
                assert_eq!(read["mpp"], json!(["0.25", "0.25"]), "{end}");
                assert_eq!(read["power"], if end == "svs" { json!("40") } else { Value::Null });
            }
        }
    }
}

#[test]
fn an_svs_goes_through_and_comes_out_as_one() {
    let (Some(python), Some(source)) =
        (python("imagecodecs, openslide, tifffile"), shared_data("wsi/svs/small_HE.svs"))
    else {
        return;
    };
    let folder = folder();
    let container = contain(folder.path(), "a.mtm", path(&source));
    let slide = Slide::open(&container).unwrap();
    let file = folder.path().join("a.svs");
    succeed(["export", path(&container), "-o", path(&file)]);
    let seen = Seen::of(&python, &file);
    seen.check_levels(&slide, &[0, 2, 4]);
    assert_eq!(seen.said["names"], json!(["Baseline", "Thumbnail", "Label", "Macro"]));
    let before = Seen::of(&python, &source).said;
    let (read, was) = (&seen.said["openslide"], &before["openslide"]);
    for key in ["vendor", "mpp", "power", "associated"] {
        assert_eq!(read[key], was[key], "{key}");
    }
    assert_eq!(seen.said["description"], before["description"]);

    // The tiles are the file's own, byte for byte, tables and colours left where Aperio had them.
    let [ours, theirs] = [&file, &source].map(|file| source::open(path(file)).unwrap());
    let (Content::Tiles(ours), Content::Tiles(theirs)) = (&ours.content, &theirs.content) else {
        panic!("both are JPEG tiles")
    };
    assert_eq!(ours.levels()[0], theirs.levels()[0]);
    let grid = slide.levels()[0];
    for (column, row) in (0..grid.tiles()).map(|i| grid.position(i)) {
        let theirs = theirs.tile(0, column, row).unwrap();
        assert_eq!(ours.tile(0, column, row).unwrap(), theirs, "column {column} row {row}");
        if (column + row) % 7 == 0 {
            let out = folder.path().join("tile.jpg");
            let (column, row) = (column.to_string(), row.to_string());
            succeed(["tile", path(&container), "0", &column, &row, "--original", "-o", path(&out)]);
            assert!(fs::read(&out).unwrap() == theirs);
            fs::remove_file(out).unwrap();
        }
    }
    let line = fail(1, ["tile", path(&container), "2", "0", "0", "--original", "-o", "-"]);
    assert!(line.contains("were not kept (of its levels: 0)") && line.contains("--original"), "{line}");
}

#[test]
fn tiles_that_do_not_fit_are_made_anew_and_said_so() {
    let Some(python) = python("imagecodecs, openslide, tifffile") else { return };
    let folder = folder();
    let dzi = write_deep_zoom(folder.path(), &tissue(900, 700, 6), 254, 1, "jpg");
    let container = contain(folder.path(), "a.mtm", path(&dzi));
    let file = folder.path().join("a.tif");
    let output = microtome(["export", path(&container), "-o", path(&file), "--quality", "92"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.lines().count() == 1, "{said}");
    assert!(said.contains("254 px, overlap 1") && said.contains("JPEG quality 92"), "{said}");
    let seen = Seen::of(&python, &file);
    let slide = Slide::open(&container).unwrap();
    let ours = slide.read_region(0, Rect { x: 0, y: 0, width: 900, height: 700 }).unwrap();
    for reader in ["tifffile", "openslide"] {
        let likeness = psnr(&ours, &seen.level(reader, 0));
        assert!(likeness > 38.0, "{reader}: {likeness:.1} dB");
    }
}

fn read_png(path: &Path) -> Rgb {
    let mut reader =
        png::Decoder::new(std::io::BufReader::new(fs::File::open(path).unwrap())).read_info().unwrap();
    let (width, height) = (reader.info().width, reader.info().height);
    let mut pixels = vec![0; 3 * width as usize * height as usize];
    reader.next_frame(&mut pixels).unwrap();
    Rgb::from_vec(width, height, pixels).unwrap()
}

#[test]
fn levels_and_regions_become_pictures() {
    let folder = folder();
    let container = contain(folder.path(), "a.mtm", "synthetic:900x700");
    let slide = Slide::open(&container).unwrap();
    let at = |name: &str| folder.path().join(name);
    for (level, rect) in
        [(0, [130, 40, 517, 600]), (0, [899, 699, 1, 1]), (1, [0, 0, 450, 350]), (3, [5, 6, 100, 70])]
    {
        let [x, y, width, height] = rect;
        let rect = Rect { x, y, width, height };
        let ours = slide.read_region(level, rect).unwrap();
        let (png, jpeg) = (at("a.png"), at("a.jpg"));
        let words = [level.to_string(), format!("{x},{y},{width},{height}")];
        for out in [&png, &jpeg] {
            succeed([
                "export",
                path(&container),
                "-o",
                path(out),
                "--level",
                &words[0],
                "--region",
                &words[1],
            ]);
        }
        assert!(read_png(&png) == ours);
        let encoded = turbo::encode(&ours, 85, turbo::Subsampling::Chroma420).unwrap();
        assert!(fs::read(&jpeg).unwrap() == encoded);
        fs::remove_file(png).unwrap();
        fs::remove_file(jpeg).unwrap();
    }
    succeed(["export", path(&container), "-o", path(&at("whole.png")), "--level", "2"]);
    assert_eq!((read_png(&at("whole.png")).width(), read_png(&at("whole.png")).height()), (225, 175));
    for (words, part) in [
        (&["out.png", "--level", "77"][..], "a.mtm: level 77 is outside the slide: its levels are 0 to 10"),
        (&["out.OME.tif"], "OME-TIFF is not written"),
        (&["out.png", "--level", "0", "--region", "800,0,101,5"], "a.mtm: region 800,0,101,5"),
        (&["out.png", "--level", "0", "--region", "4294967295,0,4294967295,5"], "which has 900 x 700 px"),
        (&["out.png", "--level", "0", "--region", "0,0,0,5"], "is empty"),
        (&["out.png"], "add --level K"),
        (&["out.tif", "--level", "0"], "OUT is to end in .jpg"),
        (&["out.gif"], ".svs"),
        (
            &["out.png", "--associated", "label"],
            "a.mtm: there is no associated image label (there are: none)",
        ),
    ] {
        let out = at(words[0]);
        let line = fail(2, [&["export", path(&container), "-o", path(&out)], &words[1..]].concat());
        assert!(line.contains(part), "{line}");
    }
    for words in [&["none/out.tif"][..], &["none/out.png", "--level", "2"]] {
        let out = at(words[0]);
        let line = fail(1, [&["export", path(&container), "-o", path(&out)], &words[1..]].concat());
        assert!(line.contains("none: cannot be written") && !line.contains(".part"), "{line}");
    }
    assert_eq!(names(folder.path()), ["a.mtm", "whole.png"]);
}

#[test]
fn associated_images_come_out_as_they_are_stored() {
    let Some(source) = shared_data("wsi/svs/small_HE.svs") else { return };
    let folder = folder();
    let container = contain(folder.path(), "a.mtm", path(&source));
    let slide = Slide::open(&container).unwrap();
    assert_eq!(slide.metadata().associated.len(), 3);
    for image in &slide.metadata().associated {
        let (end, other) = if image.media_type == "image/png" { ("png", "jpg") } else { ("jpg", "png") };
        let at = |end: &str| folder.path().join(format!("{}.{end}", image.name));
        let export = |end: &str| {
            ["export", path(&container), "--associated", &image.name, "-o", path(&at(end))].map(str::to_owned)
        };
        succeed(export(end));
        assert!(Some(fs::read(at(end)).unwrap()) == slide.associated(&image.name).unwrap());
        assert!(fail(2, export(other)).contains(&image.media_type));
    }
    // And go in again from what was exported: JPEG to the byte, others as the pixels that they are.
    for end in ["tif", "svs"] {
        let file = folder.path().join(format!("whole.{end}"));
        succeed(["export", path(&container), "-o", path(&file)]);
        let again = Slide::open(&contain(folder.path(), &format!("{end}.mtm"), path(&file))).unwrap();
        for image in &slide.metadata().associated {
            let same = again.metadata().associated.iter().find(|other| other.name == image.name).unwrap();
            assert_eq!((same.width, same.height), (image.width, image.height), "{end}: {}", image.name);
            if image.media_type == "image/jpeg" {
                let stored = |slide: &Slide| slide.associated(&image.name).unwrap();
                assert!(stored(&again) == stored(&slide), "{end}: {}", image.name);
            }
        }
        assert_eq!(again.metadata().associated.len(), 3, "{end}");
    }
}

#[test]
fn an_interrupted_export_leaves_nothing() {
    let folder = folder();
    let container = contain(folder.path(), "a.mtm", "synthetic:8000x8000");
    for out in ["a.tif", "a.svs", "a.png"] {
        let target = folder.path().join(out);
        let level: &[&str] = if out == "a.png" { &["--level", "0"] } else { &[] };
        let mut export = command();
        export.args(["export", path(&container), "-o", path(&target)]).args(level);
        let mut child = export.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        // In its hidden folder the file has begun to grow.
        let grows = || {
            let parts = fs::read_dir(folder.path()).unwrap().flatten().filter(|e| e.path().is_dir());
            parts
                .flat_map(|part| fs::read_dir(part.path()).into_iter().flatten().flatten())
                .any(|file| file.metadata().is_ok_and(|file| file.len() > 0))
        };
        while !grows() && child.try_wait().unwrap().is_none() {}
        support::signal(child.id(), "INT");
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            skipped("the export was too fast to be interrupted");
            return;
        }
        let line = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), line.lines().count()), (Some(1), 1), "{line}");
        assert!(line.contains("interrupted; nothing was written"), "{line}");
        assert_eq!(names(folder.path()), ["a.mtm"]);
    }
}

#[test]
fn an_export_replaces_nothing() {
    let folder = folder();
    let container = contain(folder.path(), "a.mtm", "synthetic:300x200");
    for out in ["a.tif", "a.svs", "a.png"] {
        let target = folder.path().join(out);
        fs::write(&target, b"precious").unwrap();
        let level: &[&str] = if out == "a.png" { &["--level", "0"] } else { &[] };
        let line = fail(1, [&["export", path(&container), "-o", path(&target)], level].concat());
        assert!(line.contains("exists already"), "{line}");
        assert_eq!(fs::read(&target).unwrap(), b"precious");
    }
    assert_eq!(names(folder.path()), ["a.mtm", "a.png", "a.svs", "a.tif"]);
}

#[test]
#[cfg(target_os = "linux")]
fn what_is_written_is_on_the_disk_before_it_has_its_name() {
    let folder = folder();
    let container = contain(folder.path(), "slide.mtm", "synthetic:300x200");
    for (name, level) in [("a.tif", None), ("a.dcm", None), ("a.dzi", None), ("a.png", Some("0"))] {
        let (log, out) = (folder.path().join("log"), folder.path().join(name));
        let mut traced = Command::new("strace");
        traced.args([
            "-f",
            "-y",
            "-e",
            "trace=fsync,link,linkat,rename,renameat,renameat2",
            "-o",
            path(&log),
        ]);
        traced.args([env!("CARGO_BIN_EXE_microtome"), "export", path(&container), "-o", path(&out)]);
        traced.args(level.iter().flat_map(|level| ["--level", level]));
        if !traced.output().is_ok_and(|output| output.status.success()) {
            return skipped("strace is not there, or tracing is not allowed");
        }
        let log = fs::read_to_string(&log).unwrap();
        let lines: Vec<_> = log.lines().collect();
        let final_name = format!("\"{}\"", path(&out));
        let named = lines.iter().position(|line| line.contains(&final_name)).unwrap();
        let is_synced = |line: &&str| line.contains("fsync(");
        assert!(lines[..named].iter().any(is_synced), "{name}: what it holds: {log}");
        let of_folder = format!("{}>", path(folder.path()));
        let is_of_folder = |line: &&str| is_synced(line) && line.contains(&of_folder);
        assert!(lines[named..].iter().any(is_of_folder), "{name}: its name: {log}");
    }
}
