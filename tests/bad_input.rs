//! Wrong input, wrong targets, wrong usage: one line, the right exit code, nothing left, nothing lost.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use support::{
    SmallDisk, contain, fail, folder, names, path, picture, shared_data, skipped, succeed, write_deep_zoom,
    write_png,
};

/// Ingests `source` into an empty folder, demands failure with all of `words` in the line, and an empty folder after.
fn refused(source: &Path, words: &[&str]) {
    let out = folder();
    let line = fail(1, ["ingest", path(source), "-o", path(&out.path().join("out.mtm"))]);
    for word in words {
        assert!(line.contains(word), "{word:?} is missing in: {line}");
    }
    assert!(names(out.path()).is_empty(), "nothing is left: {:?}", names(out.path()));
}

#[test]
fn files_that_are_no_slides_are_refused() {
    let folder = folder();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    refused(&file("empty.svs", b""), &["empty.svs"]);
    refused(&file("text.tif", b"this is not a picture"), &["text.tif"]);
    refused(&file("cut.tif", b"II*\0\x08\0\0\0"), &["cut.tif"]);
    refused(&file("bad.dzi", b"<Image/>"), &["bad.dzi", "descriptor"]);
    refused(&file("huge.dzi", &vec![b' '; 1 << 20]), &["huge.dzi"]);
    refused(&folder.path().join("missing.svs"), &["missing.svs"]);
    let png = folder.path().join("whole.png");
    write_png(&png, &picture(300, 300));
    let bytes = std::fs::read(&png).unwrap();
    refused(&file("cut.png", &bytes[..bytes.len() / 2]), &["cut.png"]);
}

#[test]
fn a_deep_zoom_slide_with_a_bad_tile_names_the_tile() {
    type Damage = fn(&Path);
    let damage: [(&str, Damage); 4] = [
        ("missing", |tile| std::fs::remove_file(tile).unwrap()),
        ("empty", |tile| std::fs::write(tile, b"").unwrap()),
        ("malformed", |tile| std::fs::write(tile, b"GIF89a, truly").unwrap()),
        ("undecodable", |tile| {
            let bytes = std::fs::read(tile).unwrap();
            std::fs::write(tile, [&bytes[..bytes.len() / 2], &[0xFF, 0xD9]].concat()).unwrap();
        }),
    ];
    for (word, damage) in damage {
        let folder = folder();
        let source = write_deep_zoom(folder.path(), &picture(700, 500), 254, 1, "jpeg");
        damage(&folder.path().join("slide_files/10/1_1.jpeg"));
        refused(&source, &[word, "10/1_1.jpeg"]);
    }
    let folder = folder();
    let source = write_deep_zoom(folder.path(), &picture(700, 500), 254, 1, "jpeg");
    let tiles = folder.path().join("slide_files/10");
    std::fs::copy(tiles.join("0_0.jpeg"), tiles.join("1_1.jpeg")).unwrap();
    refused(&source, &["1_1.jpeg", "255 x 255"]);
}

#[test]
fn an_existing_target_is_never_touched() {
    let folder = folder();
    let target = folder.path().join("out.mtm");
    for create in [true, false] {
        let _ = std::fs::remove_file(&target);
        if create {
            std::fs::write(&target, b"precious").unwrap();
        } else {
            std::fs::create_dir(&target).unwrap();
            std::fs::write(target.join("out.mtm"), b"precious").unwrap();
        }
        // A folder of that name is a folder to put the container into, whose name is then taken by a source.
        let source = if create {
            "synthetic:64x64".to_owned()
        } else {
            path(&write_out_png(folder.path())).to_owned()
        };
        let line = fail(1, ["ingest", &source, "-o", path(&target)]);
        assert!(line.contains("exists"), "{line}");
        let kept = if create { target.clone() } else { target.join("out.mtm") };
        assert_eq!(std::fs::read(kept).unwrap(), b"precious");
    }
}

fn write_out_png(folder: &Path) -> PathBuf {
    let png = folder.join("out.png");
    write_png(&png, &picture(64, 64));
    png
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let folder = folder();
    let target = folder.path().join("out.mtm");
    let target = path(&target);
    for arguments in [
        &["ingest", "synthetic:64", "-o", target][..],
        &["ingest", "synthetic:0x5", "-o", target],
        &["ingest", "synthetic:64x64", "--exact", "-o", target],
        &["ingest", "synthetic:64x64", "synthetic:65x65", "-o", target],
    ] {
        fail(2, arguments);
    }
    for arguments in [
        &["ingest", "synthetic:64x64"][..],
        &["ingest", "synthetic:64x64", "--quality", "0", "-o", target],
        &["ingest", "synthetic:64x64", "--exact", "--quality", "80", "-o", target],
        &["frobnicate"],
        &[],
    ] {
        assert_eq!(support::microtome(arguments).status.code(), Some(2), "{arguments:?}");
    }
    assert!(names(folder.path()).is_empty());
}

#[test]
fn tiles_outside_the_slide_name_the_bounds() {
    let folder = folder();
    let container = folder.path().join("a.mtm");
    succeed(["ingest", "synthetic:600x400", "-o", path(&container)]);
    let out = folder.path().join("tile.jpg");
    assert!(
        fail(2, ["tile", path(&container), "0", "3", "0", "-o", path(&out)]).contains("3 columns and 2 rows")
    );
    assert!(fail(2, ["tile", path(&container), "11", "0", "0", "-o", path(&out)]).contains("0 to 10"));
    let png = folder.path().join("t.png");
    assert!(fail(2, ["tile", path(&container), "10", "0", "0", "-o", path(&png)]).contains("tiles are JPEG"));
    succeed(["tile", path(&container), "10", "0", "0", "-o", path(&out)]);
    assert!(fail(1, ["tile", path(&container), "0", "0", "0", "-o", path(&out)]).contains("exists"));
    let export = folder.path().join("a.dzi");
    std::fs::create_dir(folder.path().join("a_files")).unwrap();
    assert!(fail(1, ["export", path(&container), "-o", path(&export)]).contains("a_files"));
    assert!(fail(2, ["export", path(&container), "-o", "a.gif"]).contains(".dzi"));
    assert!(fail(2, ["export", path(&container), "-o", "a.png"]).contains("--level"));
}

#[test]
fn a_target_that_cannot_be_written_says_so() {
    let line = fail(1, ["ingest", "synthetic:64x64", "-o", "/proc/nowhere/out.mtm"]);
    assert!(line.contains("/proc/nowhere"), "{line}");
}

#[test]
fn a_full_disk_is_named_and_nothing_is_left() {
    let Some(disk) = SmallDisk::mount("300k") else { return };
    let line = fail(1, ["ingest", "synthetic:3000x3000", "-o", path(&disk.path().join("out.mtm"))]);
    assert!(line.contains("No space left") && line.contains("free some space"), "{line}");
    assert!(names(disk.path()).is_empty(), "{:?}", names(disk.path()));
}

#[test]
fn an_export_to_a_full_disk_says_so_in_every_format() {
    let Some(disk) = SmallDisk::mount("100k") else { return };
    let folder = folder();
    let slide = contain(folder.path(), "a.mtm", "synthetic:1500x1500");
    for (name, more) in [("a.png", &["--level", "0"][..]), ("a.tif", &[]), ("a.dzi", &[])] {
        let target = disk.path().join(name);
        let line = fail(1, ["export", path(&slide), "-o", path(&target)].iter().chain(more));
        assert!(line.contains("No space left") && line.contains("free some space"), "{line}");
        assert!(names(disk.path()).is_empty(), "{:?}", names(disk.path()));
    }
}

#[test]
fn a_report_on_a_full_disk_holds_up_no_slide() {
    let Some(disk) = SmallDisk::mount("4k") else { return };
    let folder = folder();
    let images = folder.path().join("images");
    std::fs::create_dir(&images).unwrap();
    (0..6).for_each(|i| write_png(&images.join(format!("{i}.png")), &picture(40 + i, 30)));
    let (pattern, out, report) =
        (images.join("*.png"), folder.path().join("out"), disk.path().join("r.jsonl"));
    let output = support::microtome(["ingest", path(&pattern), "-o", path(&out), "--report", path(&report)]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.matches("r.jsonl: cannot be written").count(), 1, "{said}");
    assert!(said.contains("free some space") && said.contains("not all that became of them"), "{said}");
    assert_eq!(names(&out).len(), 6);
}

#[test]
fn an_interrupted_ingest_leaves_nothing() {
    let folder = folder();
    let target = folder.path().join("out.mtm");
    let mut child = support::command()
        .args(["ingest", "synthetic:30000x30000", "--progress", "json", "-o", path(&target)])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The first line of progress: work has begun.
    let mut first = [0; 1];
    std::io::Read::read_exact(child.stderr.as_mut().unwrap(), &mut first).unwrap();
    support::signal(child.id(), "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("interrupted"));
    assert!(names(folder.path()).is_empty(), "{:?}", names(folder.path()));
}

#[test]
fn an_interrupted_batch_says_how_far_it_came() {
    let folder = folder();
    let (list, out) = (folder.path().join("list.txt"), folder.path().join("out"));
    std::fs::write(&list, "synthetic:100x90\nsynthetic:110x90\nsynthetic:30000x30000\n").unwrap();
    let mut child = support::command()
        .args(["ingest", "--manifest", path(&list), "--progress", "json", "-o", path(&out)])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains("3/3")));
    support::signal(child.id(), "INT");
    assert!(said.any(|line| line.unwrap().contains("interrupted; finished slides are kept")));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<_> = told.split_whitespace().collect();
    assert!(words.windows(2).any(|pair| pair == ["ingested", "2"]), "{told}");
    assert_eq!(names(&out).len(), 2);
}

#[test]
fn a_killed_ingest_leaves_nothing_under_the_final_name_and_the_next_one_cleans_up() {
    let folder = folder();
    let target = folder.path().join("out.mtm");
    // A part file of a run that is no more: nobody holds its lock.
    std::fs::write(folder.path().join(".out.mtm.abc.part"), b"half").unwrap();
    std::fs::write(folder.path().join(".other.mtm.abc.part"), b"half").unwrap();
    succeed(["ingest", "synthetic:64x64", "-o", path(&target)]);
    assert_eq!(names(folder.path()), [".other.mtm.abc.part", "out.mtm"]);
}

/// Of the malformed files at hand, one that is a picture for other readers too.
const SOUND: &str = "id=000026,sig=06,src=000012,op=havoc,rep=2";

#[test]
fn malformed_files_of_others_are_refused_within_two_seconds_and_256_mib() {
    if !cfg!(target_os = "linux") {
        return skipped("limits of memory are Linux's");
    }
    let out = folder();
    let target = out.path().join("out.mtm");
    let mut files = vec![];
    for name in ["malformed", "wsi/malformed_wsi"] {
        let Some(folder) = shared_data(name) else { return };
        files_below(&folder, &mut files);
    }
    assert!(files.len() > 100, "{files:?}");
    for file in files {
        let (code, said) = ingest_within_limits(&file, &target);
        if file.ends_with(SOUND) {
            assert_eq!(code, Some(0), "{said}");
            std::fs::remove_file(&target).unwrap();
            continue;
        }
        assert_eq!(code, Some(1), "{}: {said}", file.display());
        assert!(said.contains(path(&file)) && said.lines().count() == 1, "{said}");
        assert!(names(out.path()).is_empty(), "{}: {:?}", file.display(), names(out.path()));
    }
}

/// The exit code of an ingest in 2 s of processor time, which other programs do not change, and 256 MiB of addresses, which are
/// more than its memory; and what it says.
fn ingest_within_limits(source: &Path, target: &Path) -> (Option<i32>, String) {
    let limits = "ulimit -t 2 && ulimit -v 262144 && exec \"$@\"";
    let output = std::process::Command::new("sh")
        .args(["-c", limits, "sh", env!("CARGO_BIN_EXE_microtome")])
        .args(["ingest", path(source), "-o", path(target), "--jobs", "1"])
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Each field of each directory of a TIFF file with a lie in its type, its count, or its value.
fn lies(tiff: &[u8]) -> Vec<Vec<u8>> {
    let number = |at: usize, length: usize| {
        tiff[at..at + length].iter().rev().fold(0_usize, |number, &byte| number << 8 | usize::from(byte))
    };
    let (mut lies, mut directory) = (vec![], number(4, 4));
    while directory != 0 {
        let fields = number(directory, 2);
        for field in (0..fields).map(|i| directory + 2 + 12 * i) {
            for (at, lie) in
                [(2, &[0xFF, 0xFF][..]), (4, &[0xFF; 4]), (4, &[0; 4]), (8, &[0xFF; 4]), (8, &[0; 4])]
            {
                let mut lying = tiff.to_vec();
                lying[field + at..field + at + lie.len()].copy_from_slice(lie);
                lies.push(lying);
            }
        }
        directory = number(directory + 2 + 12 * fields, 4);
    }
    lies.extend((1..32).map(|part| tiff[..tiff.len() * part / 32].to_vec()));
    lies
}

#[test]
fn lies_of_a_tiff_file_cost_no_more_than_two_seconds_and_256_mib() {
    if !cfg!(target_os = "linux") {
        return skipped("limits of memory are Linux's");
    }
    let folder = folder();
    let container = contain(folder.path(), "a.mtm", "synthetic:400x300");
    let tiff = folder.path().join("a.tif");
    succeed(["export", path(&container), "-o", path(&tiff)]);
    let lies = lies(&std::fs::read(&tiff).unwrap());
    assert!(lies.len() > 150, "{}", lies.len());
    let (lying, target) = (folder.path().join("lie.tif"), folder.path().join("lie.mtm"));
    let mut refused = 0;
    for (number, lie) in lies.iter().enumerate() {
        std::fs::write(&lying, lie).unwrap();
        let (code, said) = ingest_within_limits(&lying, &target);
        // What nobody reads may say anything.
        match code {
            Some(0) => std::fs::remove_file(&target).unwrap(),
            Some(1) => {
                refused += 1;
                assert!(said.contains("lie.tif") && !target.exists(), "lie {number}: {said}");
            }
            code => panic!("lie {number}: {code:?}: {said}"),
        }
    }
    assert!(refused > lies.len() / 3, "{refused} of {}", lies.len());
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files_below(&path, files),
            false => files.push(path),
        }
    }
}
