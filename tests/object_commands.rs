//! Commands on containers in a bucket: the built binary beside an object storage that fails when it is told to.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/s3.rs"]
mod s3;
mod support;

use std::path::Path;

use s3::{Fault, OddList, Storage};
use support::{command, contain, folder, succeed};

const ROOT: &str = "s3://slides/lab";
/// Of several blocks of a reader's.
const LONG: &str = "synthetic:12000x12000,seed=4";

/// Containers in a folder and, under `lab/`, in a storage.
fn slides(sources: &[(&str, &str)]) -> (tempfile::TempDir, Storage) {
    let (folder, storage) = (folder(), Storage::start());
    for (name, source) in sources {
        let file = format!("{name}.mtm");
        let bytes = std::fs::read(contain(folder.path(), &file, source)).unwrap();
        storage.put(&format!("lab/{file}"), bytes);
    }
    (folder, storage)
}

/// The exit code, what is said, and what is complained of.
fn run(storage: &Storage, arguments: &[&str]) -> (i32, String, String) {
    let output = command().args(arguments).envs(storage.variables()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn no_object_passes_for_another_or_for_none() {
    let (_folder, storage) = slides(&[("a", "synthetic:300x200")]);
    let (whole, mut damaged) = (storage.object("lab/a.mtm"), storage.object("lab/a.mtm"));
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    for odd in ["/a.mtm", "lab//a.mtm"] {
        storage.put("a.mtm", whole.clone());
        storage.put(odd, damaged.clone());
        let (code, said, complaint) = run(&storage, &["verify", "s3://slides"]);
        assert_eq!((code, said.lines().count()), (3, 2), "{said}{complaint}");
        assert!(complaint.contains("empty parts"), "{complaint}");
        storage.remove(odd);
    }
    storage.put("lab/begun.mtm", vec![]);
    let (code, _, complaint) = run(&storage, &["verify", "s3://slides/lab"]);
    assert!(
        code == 4 && complaint.contains("begun.mtm: cannot open: the object is empty"),
        "{code}: {complaint}"
    );
}

#[test]
fn a_container_in_a_bucket_is_read_as_a_file_is() {
    let (folder, storage) = slides(&[("a", "synthetic:1100x700"), ("b", "synthetic:300x200")]);
    let (here, out) = (support::path(folder.path()), folder.path().join("out.jpg"));
    let container = format!("{here}/a.mtm");
    storage.put("lab/notes.txt", b"none".to_vec());
    for (there, local) in
        [("s3://slides/lab", here), ("S3://slides/lab/", here), ("s3://slides/lab/a.mtm", &container)]
    {
        let (code, said, complaint) = run(&storage, &["verify", there]);
        assert_eq!(code, 0, "{complaint}");
        assert_eq!(said.replace(ROOT, here), succeed(["verify", local]));
    }
    let (_, said, _) = run(&storage, &["info", "s3://slides/lab/a.mtm"]);
    assert_eq!(said.replace(ROOT, here), succeed(["info", &container]));
    let (code, said, _) =
        run(&storage, &["verify", "s3://slides/lab/a.mtm", "--source", "synthetic:1100x700"]);
    assert!(code == 0 && said.contains("its source"), "{said}");
    let taken = |file: &str, more: &[&str]| {
        let mut arguments = vec![more[0], file];
        arguments.extend_from_slice(&more[1..]);
        arguments.extend(["-o", support::path(&out)]);
        let (code, _, complaint) = run(&storage, &arguments);
        assert_eq!(code, 0, "{complaint}");
        let bytes = std::fs::read(&out).unwrap();
        std::fs::remove_file(&out).unwrap();
        bytes
    };
    for more in [&["tile", "0", "2", "1"][..], &["export", "--level", "1"]] {
        assert!(taken("s3://slides/lab/a.mtm", more) == taken(&container, more), "{more:?}");
    }
}

#[test]
fn all_of_a_long_object_is_verified_and_a_bit_that_fell_is_found() {
    let (folder, storage) = slides(&[("a", LONG)]);
    assert_eq!(run(&storage, &["verify", "s3://slides/lab/a.mtm"]).0, 0);
    let whole = std::fs::read(folder.path().join("a.mtm")).unwrap();
    assert!(whole.len() > 5 << 20, "several blocks: {}", whole.len());
    for at in [whole.len() / 2, whole.len() - 1000] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        storage.put("lab/a.mtm", bytes);
        let (code, said, complaint) = run(&storage, &["verify", "s3://slides/lab"]);
        assert_eq!((code, said.as_str()), (4, ""), "{complaint}");
        assert!(
            complaint.contains("s3://slides/lab/a.mtm") && complaint.contains("verification failed"),
            "{complaint}"
        );
    }
}

#[test]
fn wrong_bytes_that_came_once_are_no_finding() {
    let (_folder, storage) = slides(&[("a", LONG)]);
    for before in [1, 2] {
        let mut faults = vec![Fault::None; before];
        faults.push(Fault::OtherBytes);
        storage.fail(&faults, false);
        let (code, said, complaint) = run(&storage, &["verify", "s3://slides/lab/a.mtm"]);
        assert!(code == 0 && said.contains(": ok,"), "{complaint}");
    }
    storage.fail(&[Fault::None, Fault::OtherBytes], true);
    assert_eq!(run(&storage, &["verify", "s3://slides/lab/a.mtm"]).0, 4);
}

#[test]
fn what_cannot_be_had_is_a_failure_and_no_finding() {
    let (_folder, storage) = slides(&[("a", LONG), ("b", "synthetic:300x200")]);
    let verify = |place: &str| run(&storage, &["verify", place]);
    for (place, what) in [
        ("s3://slides/lab/none.mtm", "no such object"),
        ("s3://slides/elsewhere", "no .mtm object"),
        ("s3://slides/lab/../x", "an address like"),
        ("s3://", "an address like"),
    ] {
        let (code, said, complaint) = verify(place);
        assert!([1, 2].contains(&code) && said.is_empty() && complaint.contains(what), "{code} {complaint}");
    }
    assert!(run(&storage, &["info", "s3://slides"]).2.contains("this is a bucket"));
    storage.list_as(Some(OddList::Says("403 Forbidden", "<Error/>")));
    let (code, _, complaint) = verify("s3://slides/lab");
    assert!(code == 1 && complaint.contains("cannot be listed"), "{complaint}");
    storage.list_as(None);
    // At the beginning, and in the middle.
    for before in 0..2 {
        let mut faults = vec![Fault::None; before];
        faults.push(Fault::Says("403 Forbidden"));
        storage.fail(&faults, true);
        let (code, said, complaint) = verify("s3://slides/lab/a.mtm");
        assert_eq!((code, said.as_str()), (1, ""), "{before}: {complaint}");
        assert!(!complaint.contains("verification failed"), "{complaint}");
        // The others are looked at.
        let (code, _, complaint) = verify("s3://slides/lab");
        assert_eq!(code, 1, "{complaint}");
    }
}

#[test]
fn a_bucket_is_no_place_to_write_to() {
    let (folder, _storage) = slides(&[]);
    let source = Path::new("synthetic:300x200");
    let line = support::fail(2, ["ingest", support::path(source), "-o", "s3://slides/lab/x.mtm"]);
    assert!(line.contains("s3://slides/lab/x.mtm"), "{line}");
    assert!(support::names(folder.path()).is_empty());
}
