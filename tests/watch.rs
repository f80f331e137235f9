//! A folder that is watched.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::Duration;

use support::{command, contain, folder, names, path, picture, signal, succeed, write_deep_zoom};

fn watch(inbox: &Path, out: &Path, more: &[&str]) -> Child {
    command()
        .args(["ingest", "--watch", path(inbox), "--settle", "0", "-o", path(out)])
        .args(more)
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn wait_for(target: &Path) {
    for _ in 0..600 {
        if target.is_file() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{}: a minute is for ever", target.display());
}

fn end(running: Child) -> (Output, String) {
    signal(running.id(), "TERM");
    let output = running.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, said)
}

#[test]
fn what_appears_in_a_watched_folder_goes_in() {
    let folder = folder();
    let (inbox, out) = (folder.path().join("inbox"), folder.path().join("out"));
    fs::create_dir(&inbox).unwrap();
    let watching = watch(&inbox, &out, &[]);
    let slide = inbox.join("new");
    fs::create_dir(&slide).unwrap();
    write_deep_zoom(&slide, &picture(300, 200), 256, 0, "jpg");
    wait_for(&out.join("new.mtm"));
    let (output, said) = end(watching);
    // A slide that was seen half written fails, and goes in once it is whole.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{said}");
    assert!(said.contains("watching"), "{said}");
}

#[test]
fn slides_of_one_name_that_appear_one_after_the_other_go_to_two_containers() {
    let folder = folder();
    for (name, size) in [("a.svs", "300x200"), ("a.tif", "320x200")] {
        let container = contain(folder.path(), "made.mtm", &format!("synthetic:{size}"));
        succeed(["export", path(&container), "-o", path(&folder.path().join(name))]);
        fs::remove_file(container).unwrap();
    }
    for more in [&[][..], &["--deidentify"]] {
        let [inbox, out] = ["inbox", "out"].map(|name| folder.path().join(format!("{name}{}", more.len())));
        fs::create_dir(&inbox).unwrap();
        fs::hard_link(folder.path().join("a.svs"), inbox.join("a.svs")).unwrap();
        let watching = watch(&inbox, &out, more);
        wait_for(&out.join("a.mtm"));
        fs::hard_link(folder.path().join("a.tif"), inbox.join("a.tif")).unwrap();
        wait_for(&out.join("a.tif.mtm"));
        let (output, said) = end(watching);
        assert_eq!(output.status.code(), Some(0), "{said}");
        // Both are where they are looked for when both are there.
        succeed([&["ingest", path(&inbox), "-o", path(&out), "--resume"], more].concat());
        assert_eq!(names(&out), ["a.mtm", "a.tif.mtm"], "{more:?}");
        succeed(["verify", path(&out), "--source", path(&inbox)]);
    }
}

#[test]
fn a_container_that_does_not_say_what_it_was_made_from_is_told_of() {
    let folder = folder();
    let [inbox, out] = ["inbox", "out"].map(|name| folder.path().join(name));
    fs::create_dir(&inbox).unwrap();
    let slide = inbox.join("a.tif");
    let said_of = |size: &str, goes_to: &str| {
        let _ = fs::remove_file(&slide);
        let made = contain(folder.path(), "made.mtm", &format!("synthetic:{size}"));
        succeed(["export", path(&made), "-o", path(&slide)]);
        fs::remove_file(made).unwrap();
        let watching = watch(&inbox, &out, &["--deidentify"]);
        wait_for(&out.join(goes_to));
        end(watching).1
    };
    let said = said_of("300x200", "a.mtm");
    assert!(!said.contains("does not say"), "{said}");
    // The same slide later, or another of its name: nothing tells which.
    let said = said_of("320x200", "a.tif.mtm");
    assert!(said.contains("a.mtm: does not say what it was made from"), "{said}");
}
