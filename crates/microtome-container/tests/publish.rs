//! Publication is all or nothing: one file under the final name, complete, or none and the folder as it was.

#![cfg(unix)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use microtome_container::geometry::TileId;
use microtome_container::writer::{Published, remove_stale_parts};
use microtome_container::{Error, SlideId, Writer};
use support::{Sample, findings, names};

fn sample() -> Sample {
    Sample::new(120, 90, 16, 1)
}

/// A writer that has all its tiles.
fn filled(sample: &Sample, target: &Path) -> Writer {
    let writer = sample.writer(target);
    for (tile, payload) in sample.tiles(&writer) {
        writer.put(tile, &payload).expect("put");
    }
    writer
}

fn create(target: &Path) -> Result<(), Error> {
    let sample = sample();
    Writer::create(target, 0, sample.tile_size, sample.overlap, sample.levels).map(drop)
}

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("slide.mtm");
    (folder, target)
}

#[test]
fn a_target_that_exists_is_refused_and_unchanged() {
    let (folder, file) = scratch();
    fs::write(&file, b"precious").expect("written");
    let (directory, dangling) = (folder.path().join("directory.mtm"), folder.path().join("dangling.mtm"));
    fs::create_dir(&directory).expect("created");
    symlink("nowhere", &dangling).expect("linked");
    for target in [&file, &directory, &dangling] {
        let error = create(target).expect_err("exists");
        assert!(matches!(&error, Error::Exists(path) if path == target), "{error}");
        assert!(error.to_string().starts_with(&target.display().to_string()), "{error}");
    }
    assert_eq!(fs::read(&file).expect("still there"), b"precious");
    assert_eq!(fs::read_link(&dangling).expect("still a link"), Path::new("nowhere"));
    assert_eq!(names(folder.path()), ["dangling.mtm", "directory.mtm", "slide.mtm"]);
}

#[test]
fn a_target_that_appears_meanwhile_is_refused_and_unchanged() {
    for kind in ["file", "directory", "dangling link"] {
        let (folder, target) = scratch();
        let sample = sample();
        let writer = filled(&sample, &target);
        match kind {
            "file" => fs::write(&target, b"precious").expect("written"),
            "directory" => fs::create_dir(&target).expect("created"),
            _ => symlink("nowhere", &target).expect("linked"),
        }
        let error = sample.finish(writer).expect_err("exists");
        assert!(matches!(&error, Error::Exists(path) if *path == target), "{kind}: {error}");
        assert_eq!(names(folder.path()), ["slide.mtm"], "{kind}");
        match kind {
            "file" => assert_eq!(fs::read(&target).expect("still there"), b"precious"),
            "directory" => assert!(target.is_dir()),
            _ => assert_eq!(fs::read_link(&target).expect("still a link"), Path::new("nowhere")),
        }
    }
}

#[test]
fn a_missing_folder_is_an_error_that_names_it() {
    let (folder, _) = scratch();
    let error = create(&folder.path().join("missing/slide.mtm")).expect_err("no folder");
    assert!(
        matches!(error, Error::Io { .. }) && error.to_string().contains("missing: cannot write"),
        "{error}"
    );
    assert_eq!(names(folder.path()).len(), 0);
}

#[test]
fn an_unwritable_folder_is_an_error_that_says_what_to_do() {
    let (folder, target) = scratch();
    // Permissions do not stop root; a read-only file system does.
    let mounted = Mount::tmpfs(folder.path(), "size=256k,ro");
    if mounted.is_none() {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).expect("set");
        if tempfile::tempfile_in(folder.path()).is_ok() {
            return skipped("an unwritable folder: neither permissions nor mount(8) make one here");
        }
    }
    let error = create(&target).expect_err("unwritable");
    let text = error.to_string();
    assert!(text.starts_with(&folder.path().display().to_string()), "{text}");
    assert!(text.contains("check the permissions or choose another folder"), "{text}");
    drop(mounted);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("set");
}

#[test]
fn an_interruption_at_any_progress_call_leaves_nothing() {
    let sample = sample();
    let finish = |stop_at: u64| -> (Result<Published, Error>, u64, Vec<String>) {
        let (folder, target) = scratch();
        let mut calls = 0;
        let result = filled(&sample, &target).finish(sample.slide_id, &sample.sections, &mut |_| {
            calls += 1;
            if calls == stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (result, calls, names(folder.path()))
    };
    let (whole, calls, left) = finish(u64::MAX);
    assert!(whole.is_ok() && left == ["slide.mtm"]);
    assert!(calls > 100, "records are written and verified one by one");
    for stop_at in 1..=calls {
        let (result, _, left) = finish(stop_at);
        assert!(matches!(result, Err(Error::Interrupted)), "call {stop_at}");
        assert!(left.is_empty(), "call {stop_at}: {left:?}");
    }
}

#[test]
fn a_missing_tile_of_a_stored_level_is_an_error_that_names_it() {
    let (folder, target) = scratch();
    let sample = sample();
    let missing = TileId { level: 2, column: 1, row: 0 };
    let writer = sample.writer(&target);
    for (tile, payload) in sample.tiles(&writer).into_iter().filter(|(tile, _)| *tile != missing) {
        writer.put(tile, &payload).expect("put");
    }
    let error = sample.finish(writer).expect_err("incomplete");
    assert!(
        matches!(error, Error::OutOfBounds(_)) && error.to_string().contains("level 2 column 1 row 0"),
        "{error}"
    );
    assert_eq!(names(folder.path()).len(), 0);
}

#[test]
fn of_two_writers_for_one_target_exactly_one_wins() {
    for round in 0..20 {
        let (folder, target) = scratch();
        let samples = [1, 2].map(|n| Sample { slide_id: SlideId([n; 16]), ..sample() });
        let start = std::sync::Barrier::new(2);
        let results: Vec<_> = std::thread::scope(|scope| {
            let finish = |sample: &Sample| {
                let writer = filled(sample, &target);
                start.wait();
                sample.finish(writer)
            };
            let running = samples.each_ref().map(|sample| scope.spawn(move || finish(sample)));
            running.map(|thread| thread.join().expect("no panic")).into()
        });
        let winners: Vec<_> = results.iter().filter_map(|r| r.as_ref().ok()).collect();
        assert_eq!(winners.len(), 1, "round {round}: {results:?}");
        assert!(results.iter().any(|r| matches!(r, Err(Error::Exists(_)))), "round {round}: {results:?}");
        let container = microtome_container::Container::open(&target).expect("opens");
        assert_eq!(container.header().content_id, winners[0].content_id);
        assert_eq!(findings(&target).len(), 0);
        assert_eq!(names(folder.path()), ["slide.mtm"]);
    }
}

#[test]
fn a_full_disk_is_an_error_that_mentions_space_and_leaves_nothing() {
    let sample = sample();
    // Enough for nothing of the tiles, for the spooled tiles alone, and for most of the container.
    for kib in [64, 700, 1100] {
        let (folder, target) = scratch();
        let Some(_mounted) = Mount::tmpfs(folder.path(), &format!("size={kib}k")) else {
            return skipped("a full disk: mount(8) of a tmpfs is not allowed here");
        };
        let writer = sample.writer(&target);
        let tiles = sample.tiles(&writer);
        let put = tiles.iter().zip(0_u64..).try_for_each(|((tile, _), n)| {
            let mut random = support::Random(n);
            let payload: Vec<u8> = (0..600_000 / tiles.len()).map(|_| random.next() as u8).collect();
            writer.put(*tile, &payload)
        });
        let error = match put {
            Ok(()) => sample.finish(writer).expect_err("no space for the container"),
            Err(error) => {
                drop(writer);
                error
            }
        };
        let text = error.to_string();
        assert!(matches!(error, Error::Io { .. }) && text.contains("free some space"), "{kib} KiB: {text}");
        assert!(text.starts_with(&folder.path().display().to_string()), "{kib} KiB: {text}");
        assert_eq!(names(folder.path()).len(), 0, "{kib} KiB");
    }
}

#[test]
fn the_permissions_of_a_new_slide_follow_the_umask() {
    for umask in ["022", "077", "002"] {
        let (folder, target) = scratch();
        let status = child(&target, umask, "publish").wait().expect("it ends");
        assert!(status.success());
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        let expected = 0o666 & !u32::from_str_radix(umask, 8).expect("octal");
        assert_eq!(mode(&target), expected, "umask {umask}");
        assert_eq!(names(folder.path()), ["slide.mtm"]);
    }
}

#[test]
fn parts_of_a_killed_writer_are_removed_and_those_of_a_living_one_are_not() {
    let (folder, target) = scratch();
    let mut writer = child(&target, "022", "hang");
    let part = names(folder.path());
    assert!(part.len() == 1 && part[0].starts_with(".slide.mtm.") && part[0].ends_with(".part"), "{part:?}");
    assert_eq!(remove_stale_parts(&target).expect("listed"), 0, "its writer lives");
    assert_eq!(names(folder.path()), part);
    writer.kill().expect("killed");
    writer.wait().expect("it ends");
    assert_eq!(
        names(folder.path()),
        part,
        "a killed writer leaves its part and nothing under the final name"
    );
    for other in [".slide.mtm.backup", "slide.mtm.part", ".other.mtm.abc.part"] {
        fs::write(folder.path().join(other), b"another's").expect("written");
    }
    // A pipe would be waited for.
    let pipe = folder.path().join(".slide.mtm.pipe.part");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("runs").success());
    assert_eq!(remove_stale_parts(&target).expect("listed"), 1);
    fs::remove_file(pipe).expect("it is left");
    assert_eq!(names(folder.path()), [".other.mtm.abc.part", ".slide.mtm.backup", "slide.mtm.part"]);
    assert!(matches!(remove_stale_parts(&folder.path().join("missing/x.mtm")), Err(Error::Io { .. })));
}

const TARGET: &str = "MICROTOME_TEST_TARGET";
const TASK: &str = "MICROTOME_TEST_TASK";

/// Runs [`in_a_process_of_its_own`] in one, and returns once it has published, or hangs while it writes.
fn child(target: &Path, umask: &str, task: &str) -> Child {
    let mut child = Command::new("sh")
        .args(["-c", "umask \"$0\"; exec \"$@\"", umask])
        .arg(std::env::current_exe().expect("this test"))
        .args(["--ignored", "--exact", "--nocapture", "in_a_process_of_its_own"])
        .env(TARGET, target)
        .env(TASK, task)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sh");
    let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("ready")), "the child failed");
    child
}

#[test]
#[ignore = "a helper of other tests"]
#[allow(clippy::print_stderr, reason = "the way to talk to the parent process")]
fn in_a_process_of_its_own() {
    let (Some(target), Ok(task)) = (std::env::var_os(TARGET), std::env::var(TASK)) else { return };
    let sample = sample();
    let writer = filled(&sample, Path::new(&target));
    let published = writer.finish(sample.slide_id, &sample.sections, &mut |_| {
        if task == "hang" {
            eprintln!("ready");
            std::thread::sleep(std::time::Duration::from_secs(60));
        }
        ControlFlow::Continue(())
    });
    assert!(published.is_ok());
    eprintln!("ready");
}

fn skipped(what: &str) {
    // Straight to standard error: the test runner holds back what `eprintln` prints.
    let _ = writeln!(std::io::stderr(), "skipped: {what}");
}

/// A mounted file system, unmounted at the end.
struct Mount(PathBuf);

impl Mount {
    /// Mounts a tmpfs, or does not where that is not allowed.
    fn tmpfs(folder: &Path, options: &str) -> Option<Self> {
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(folder)
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|s| s.success()).then(|| Self(folder.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
