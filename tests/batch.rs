//! Many slides at a time: folders, patterns, lists, parts, reports.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use microtome_codec::turbo::Subsampling;
use microtome_slide::Slide;
use serde_json::Value;
use support::{
    command, contain, fail, folder, microtome, names, path, picture, succeed, write_deep_zoom, write_png,
};

/// An archive of three slides, one of which is none.
fn archive(folder: &Path) -> PathBuf {
    let archive = folder.join("archive");
    for case in ["case 1", "case 2"] {
        std::fs::create_dir_all(archive.join(case)).unwrap();
        write_deep_zoom(&archive.join(case), &picture(300, 200), 256, 0, "jpg");
    }
    std::fs::write(archive.join("case 2/broken.svs"), "II*\0 not a slide").unwrap();
    std::fs::write(archive.join("case 2/notes.txt"), "no slide").unwrap();
    archive
}

fn lines(report: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(report).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_folder_goes_in_whole_and_a_bad_slide_holds_up_none() {
    let folder = folder();
    let (archive, out, report) =
        (archive(folder.path()), folder.path().join("out"), folder.path().join("r.jsonl"));
    let arguments = ["ingest", path(&archive), "-o", path(&out), "--report", path(&report)];
    let output = microtome(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("broken.svs") && said.contains("1 of 3 inputs failed"), "{said}");
    assert!(out.join("case 1.mtm").is_file() && out.join("case 2/slide.mtm").is_file());
    let summary = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(summary.contains("ingested") && summary.contains("MP/s"), "{summary}");
    let statuses = |lines: &[Value]| lines.iter().map(|l| l["status"].clone()).collect::<Vec<_>>();
    assert_eq!(statuses(&lines(&report)), ["done", "failed", "done"]);
    assert!(lines(&report)[1]["error"].as_str().unwrap().contains("broken.svs"));

    // Once more: what is there is told by the source and the way it was made.
    let output = microtome([&arguments[..], &["--resume"]].concat());
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(statuses(&lines(&report)[3..]), ["skipped", "failed", "skipped"]);
}

#[test]
fn programs_are_told_of_every_slide() {
    let folder = folder();
    let (archive, out) = (archive(folder.path()), folder.path().join("out"));
    let arguments = ["ingest", path(&archive), "-o", path(&out), "--json", "--resume"];
    let told = || {
        let output = microtome(arguments);
        assert_eq!(output.status.code(), Some(3));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    };
    let statuses = |told: Vec<Value>| told.into_iter().map(|told| told["status"].clone()).collect::<Vec<_>>();
    let first = told();
    assert!(first[1]["error"].as_str().unwrap().contains("broken.svs"), "{first:?}");
    assert!(first.iter().all(|told| told["source"].is_string() && told["target"].is_string()), "{first:?}");
    assert_eq!(statuses(first), ["done", "failed", "done"]);
    assert_eq!(statuses(told()), ["skipped", "failed", "skipped"]);
}

#[test]
#[cfg(target_os = "linux")]
fn an_output_that_cannot_be_written_holds_up_no_slide() {
    let folder = folder();
    let images = folder.path().join("images");
    std::fs::create_dir(&images).unwrap();
    (0..3).for_each(|i| write_png(&images.join(format!("{i}.png")), &picture(40 + i, 30)));
    let (pattern, out) = (images.join("*.png"), folder.path().join("out"));
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = command().args(["ingest", path(&pattern), "-o", path(&out), "--json"]).stdout(full).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.matches("cannot write the output").count(), 1, "{said}");
    assert!(said.contains("not all that became of them could be written"), "{said}");
    assert_eq!(support::names(&out).len(), 3);
}

#[test]
fn shards_and_lists_come_to_the_same_slides() {
    let folder = folder();
    let images = folder.path().join("images");
    std::fs::create_dir(&images).unwrap();
    (0..6).for_each(|i| write_png(&images.join(format!("{i}.png")), &picture(40 + i, 30)));
    let out = folder.path().join("out");
    let pattern = images.join("*.png");
    for shard in ["1/3", "2/3", "3/3"] {
        succeed(["ingest", path(&pattern), "-o", path(&out), "--shard", shard]);
    }
    assert_eq!(support::names(&out).len(), 6);
    let list = folder.path().join("list.txt");
    std::fs::write(&list, "images/0.png\nimages/1.png\tother/one.mtm\n").unwrap();
    let (from_list, other) = (folder.path().join("from list"), folder.path().join("other"));
    succeed(["ingest", "--manifest", path(&list), "-o", path(&from_list)]);
    assert_eq!(
        (support::names(&from_list), support::names(&other)),
        (vec!["0.mtm".to_owned()], vec!["one.mtm".to_owned()])
    );
    assert!(
        support::fail(2, ["ingest", path(&images), "-o", path(&out)]).contains("no slide is in this folder")
    );
}

#[test]
fn one_slide_deep_in_a_folder_goes_where_it_was() {
    let folder = folder();
    let deep = folder.path().join("in/a/deep");
    std::fs::create_dir_all(&deep).unwrap();
    write_deep_zoom(&deep, &picture(300, 200), 256, 0, "jpg");
    let out = folder.path().join("out");
    succeed(["ingest", path(&folder.path().join("in")), "-o", path(&out)]);
    assert!(out.join("a/deep.mtm").is_file());
    let list = folder.path().join("list.txt");
    std::fs::write(&list, "in\tsub/x.mtm\n").unwrap();
    succeed(["ingest", "--manifest", path(&list), "-o", path(&out)]);
    assert!(folder.path().join("sub/x.mtm").is_file());
}

#[test]
fn names_do_not_depend_on_the_shard() {
    let folder = folder();
    let images = folder.path().join("images");
    std::fs::create_dir(&images).unwrap();
    write_png(&images.join("a.png"), &picture(40, 30));
    let jpeg = microtome_codec::turbo::encode(&picture(50, 30), 80, Subsampling::Chroma420).unwrap();
    std::fs::write(images.join("a.jpg"), jpeg).unwrap();
    let (pattern, out) = (images.join("a.*"), folder.path().join("out"));
    for shard in ["1/2", "2/2"] {
        succeed(["ingest", path(&pattern), "-o", path(&out), "--shard", shard]);
    }
    assert_eq!(support::names(&out), ["a.jpg.mtm", "a.png.mtm"]);
}

#[test]
fn a_slide_keeps_its_name_when_another_of_that_name_appears() {
    let folder = folder();
    let (images, out) = (folder.path().join("images"), folder.path().join("out"));
    std::fs::create_dir(&images).unwrap();
    write_png(&images.join("a.png"), &picture(40, 30));
    let jpeg = microtome_codec::turbo::encode(&picture(40, 30), 90, Subsampling::Chroma420).unwrap();
    for more in [&[][..], &["--deidentify"]] {
        let (pattern, to) = (images.join("a.*"), format!("{}/", out.display()));
        let ingest = || succeed([&["ingest", path(&pattern), "-o", &to, "--resume"], more].concat());
        ingest();
        std::fs::write(images.join("a.jpg"), &jpeg).unwrap();
        ingest();
        ingest();
        assert_eq!(support::names(&out), ["a.jpg.mtm", "a.mtm"], "{more:?}");
        fs::remove_file(images.join("a.jpg")).unwrap();
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn a_slide_that_is_called_otherwise_keeps_its_container_and_a_copy_has_its_own() {
    let folder = folder();
    let (images, out) = (folder.path().join("images"), folder.path().join("out"));
    fs::create_dir(&images).unwrap();
    let jpeg = microtome_codec::turbo::encode(&picture(40, 30), 90, Subsampling::Chroma420).unwrap();
    let (jpg, jpeg_file) = (images.join("a.jpg"), images.join("a.jpeg"));
    for (more, copies) in [(&[][..], "a.jpeg.mtm"), (&["--deidentify"], "a.jpg.mtm")] {
        let (pattern, to) = (images.join("a.*"), format!("{}/", out.display()));
        let ingest = || succeed([&["ingest", path(&pattern), "-o", &to, "--resume"], more].concat());
        fs::write(&jpg, &jpeg).unwrap();
        ingest();
        fs::rename(&jpg, &jpeg_file).unwrap();
        ingest();
        assert_eq!(names(&out), ["a.mtm"], "{more:?}");
        fs::write(&jpg, &jpeg).unwrap();
        ingest();
        ingest();
        assert_eq!(names(&out), [copies, "a.mtm"], "{more:?}");
        fs::remove_file(&jpeg_file).unwrap();
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn nobody_is_told_to_remove_the_container_of_another_slide() {
    let folder = folder();
    let [one, other, out] = ["one.png", "other.png", "a.mtm"].map(|name| folder.path().join(name));
    write_png(&one, &picture(40, 30));
    write_png(&other, &picture(50, 30));
    let ingest = ["ingest", path(&one), "-o", path(&out), "--resume"];
    for (more, said) in [(&[][..], "made from one.png"), (&["--deidentify"], "which it does not name")] {
        succeed([&ingest, more].concat());
        let line = fail(1, [&["ingest", path(&other), "-o", path(&out), "--resume"], more].concat());
        assert!(line.contains(said) && !line.contains("remove it"), "{line}");
        fs::remove_file(&out).unwrap();
    }
}

#[test]
fn a_source_that_changed_is_said_to_have() {
    let folder = folder();
    let (image, out) = (folder.path().join("a.png"), folder.path().join("a.mtm"));
    write_png(&image, &picture(40, 30));
    succeed(["ingest", path(&image), "-o", path(&out)]);
    write_png(&image, &picture(50, 30));
    let line = support::fail(1, ["ingest", path(&image), "-o", path(&out), "--resume"]);
    assert!(line.contains("the source has changed since"), "{line}");
}

#[test]
fn what_is_there_already_is_told_apart() {
    let folder = folder();
    let (archive, out) = (folder.path().join("archive"), folder.path().join("a.mtm"));
    fs::create_dir(&archive).unwrap();
    write_deep_zoom(&archive, &picture(300, 200), 256, 0, "jpg");
    let again = ["ingest", path(&archive), "-o", path(&out), "--resume"];
    let blank = [&again[..], &["--on-bad-tile", "blank"]].concat();
    // No tile is bad: it makes no difference what was to become of one.
    succeed(again);
    succeed(&blank);
    fs::remove_file(&out).unwrap();
    succeed(&blank);
    succeed(again);
    let good = fs::read(&out).unwrap();
    for damaged in [&good[..100], &[], &[&good[..good.len() - 9], &[!good[good.len() - 9]; 9][..]].concat()] {
        fs::write(&out, damaged).unwrap();
        let line = fail(1, again);
        assert!(line.contains("is no whole container") && line.contains("remove it"), "{line}");
    }
    let mut newer = good.clone();
    newer[8] = 99;
    fs::write(&out, newer).unwrap();
    let line = fail(1, again);
    assert!(line.contains("newer microtome") && !line.contains("remove it"), "{line}");
    fs::write(&out, good).unwrap();
    // A bad tile that was blanked is another matter.
    let tile = archive.join("slide_files/9/0_0.jpg");
    assert!(tile.is_file());
    fs::write(&tile, "no JPEG").unwrap();
    fs::remove_file(&out).unwrap();
    succeed(&blank);
    succeed(&blank);
    assert!(fail(1, again).contains("a.mtm"));
}

#[test]
fn an_empty_list_is_a_mistake_and_a_cut_report_goes_on_in_a_new_line() {
    let folder = folder();
    let [list, out, report] = ["list.txt", "out", "r.jsonl"].map(|name| folder.path().join(name));
    fs::write(&list, "# nothing\n\n").unwrap();
    let arguments = ["ingest", "--manifest", path(&list), "-o", path(&out), "--report", path(&report)];
    assert!(fail(2, arguments).contains("list.txt: lists no source"));
    fs::write(&list, "synthetic:100x90\nsynthetic:90x100\t.hidden.mtm\n").unwrap();
    fs::write(&report, "{\"status\":\"do").unwrap();
    let output = microtome(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains(".hidden.mtm: note: the server shows no slide of that name"), "{said}");
    let text = fs::read_to_string(&report).unwrap();
    let documents: Vec<_> = text.lines().map(serde_json::from_str::<Value>).collect();
    assert!(
        documents.len() == 3 && documents[0].is_err() && documents[1..].iter().all(Result::is_ok),
        "{text}"
    );
}

#[test]
#[cfg(unix)]
fn a_report_may_go_into_a_pipe() {
    let folder = folder();
    let out = folder.path().join("a.mtm");
    let told = succeed(["ingest", "synthetic:100x90", "-o", path(&out), "--report", "/dev/stdout"]);
    assert!(told.contains("\"status\":\"done\""), "{told}");
}

#[test]
fn a_report_is_not_appended_to_something_else() {
    let folder = folder();
    let (image, out) = (folder.path().join("a.png"), folder.path().join("a.mtm"));
    write_png(&image, &picture(40, 30));
    let before = std::fs::read(&image).unwrap();
    let line = support::fail(2, ["ingest", path(&image), "-o", path(&out), "--report", path(&image)]);
    assert!(line.contains("a.png") && !out.exists(), "{line}");
    assert_eq!(std::fs::read(&image).unwrap(), before);
}

#[test]
fn a_folder_of_several_series_is_as_many_slides() {
    let folder = folder();
    let mixed = folder.path().join("case/mixed");
    fs::create_dir_all(&mixed).unwrap();
    for (name, size) in [("b", "300x200"), ("a", "520x300")] {
        let container = contain(folder.path(), &format!("{name}.mtm"), &format!("synthetic:{size}"));
        let series = folder.path().join(format!("{name}.dcm"));
        succeed(["export", path(&container), "-o", path(&series)]);
        for file in names(&series) {
            fs::rename(series.join(&file), mixed.join(format!("{name}-{file}"))).unwrap();
        }
    }
    let first = |name: &str| names(&mixed).into_iter().filter(|file| file.starts_with(name)).min().unwrap();
    for (source, below) in [(folder.path().join("case"), "mixed/"), (mixed.clone(), "")] {
        let out = folder.path().join(format!("out-{}", below.len()));
        succeed(["ingest", path(&source), "-o", path(&out)]);
        for (name, width) in [("a", 520), ("b", 300)] {
            let container = out.join(format!("{below}{}", first(name))).with_extension("mtm");
            assert_eq!(Slide::open(&container).unwrap().levels()[0].width, width);
        }
    }
    let alone = fail(2, ["ingest", path(&mixed), "-o", path(&folder.path().join("one.mtm"))]);
    assert!(alone.contains("several sources do not fit one file"), "{alone}");
}

#[test]
fn slides_below_a_folder_of_dicom_files_go_in_too() {
    let folder = folder();
    let archive = folder.path().join("archive");
    let series = |place: &str, size: &str| {
        let target = archive.join(place);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        let name = format!("{}.mtm", place.replace('/', "-"));
        let container = contain(folder.path(), &name, &format!("synthetic:{size}"));
        succeed(["export", path(&container), "-o", path(&target.with_extension("dcm"))]);
        fs::rename(target.with_extension("dcm"), &target).unwrap();
        target
    };
    series("case", "300x200");
    series("case/inner", "520x300");
    // DICOM files that are no slides, as on a disc that a hospital sends: of another class.
    let disc = series("disc", "256x256");
    for name in names(&disc) {
        let mut bytes = fs::read(disc.join(&name)).unwrap();
        let class = b"1.2.840.10008.5.1.4.1.1.77.1.6";
        for at in 0..bytes.len().saturating_sub(class.len()) {
            if bytes[at..].starts_with(class) {
                bytes[at + class.len() - 1] = b'4';
            }
        }
        fs::write(disc.join(&name), bytes).unwrap();
    }
    series("disc/images/one", "600x400");
    let out = folder.path().join("out");
    let output = microtome(["ingest", path(&archive), "-o", path(&out)]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("disc: its DICOM files are no whole slides: left out"), "{said}");
    for (place, width) in [("case", 300), ("case/inner", 520), ("disc/images/one", 600)] {
        let container = out.join(place).with_extension("mtm");
        assert_eq!(Slide::open(&container).unwrap().levels()[0].width, width);
    }
    assert!(!out.join("disc.mtm").exists());
    // Named by itself it is what is wrong.
    fs::remove_dir_all(disc.join("images")).unwrap();
    assert!(!microtome(["ingest", path(&disc), "-o", path(&out)]).status.success());
}
