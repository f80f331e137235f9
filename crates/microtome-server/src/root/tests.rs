//! Tests of the roots: what is below a folder, and what tells files apart.

use std::fs::File;
use std::path::PathBuf;

use super::folder::FileIdentity;
use super::*;

fn located(root: &Path, id: &str) -> bool {
    let id = SlideId::from_path(id).expect("a valid id");
    Root::new(root).expect("a folder").identity(&id).expect("no I/O error").is_some()
}

#[test]
fn files_are_found_below_the_root_only() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().join("slides");
    std::fs::create_dir_all(root.join("case/folder.mtm")).expect("folders");
    std::fs::write(root.join("case/a.mtm"), b"a").expect("a file");
    std::fs::write(folder.path().join("secret.mtm"), b"s").expect("a file");
    assert!(located(&root, "case/a"));
    assert!(!located(&root, "case/b"));
    assert!(!located(&root, "case/folder"), "a folder is no slide");
    assert!(!located(&root, "case/a.mtm/b"), "a file is no folder");
    assert!(!located(&root, &"n".repeat(400)), "a name that no file system takes");
    assert!(!located(&folder.path().join("absent"), "a"), "a root that does not exist");
}

/// A slides root below `folder` with one file, a link to it, and one to a file beside the root.
#[cfg(unix)]
pub(crate) fn slides_and_links(folder: &Path) -> PathBuf {
    use std::os::unix::fs::symlink;
    let root = folder.join("slides");
    std::fs::create_dir(&root).expect("a folder");
    std::fs::write(root.join("a.mtm"), b"a").expect("a file");
    std::fs::write(folder.join("secret.mtm"), b"s").expect("a file");
    symlink(root.join("a.mtm"), root.join("inside.mtm")).expect("a link");
    symlink(folder.join("secret.mtm"), root.join("outside.mtm")).expect("a link");
    root
}

#[cfg(unix)]
#[test]
fn links_may_not_leave_the_root() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = slides_and_links(folder.path());
    symlink(folder.path(), root.join("up")).expect("a link");
    symlink("loop.mtm", root.join("loop.mtm")).expect("a link");
    assert!(located(&root, "inside"));
    assert!(!located(&root, "outside"));
    assert!(!located(&root, "up/secret"));
    assert!(located(&root, "up/slides/a"), "a link that ends inside is harmless");
    let linked_root = folder.path().join("linked");
    symlink(&root, &linked_root).expect("a link");
    assert!(located(&linked_root, "a"), "the root itself may be a link");
}

#[test]
fn a_replaced_file_is_another_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("a.mtm");
    std::fs::write(&file, b"one").expect("a file");
    let first = FileIdentity::of(&file.metadata().expect("metadata"));
    assert_eq!(first, FileIdentity::of(&file.metadata().expect("metadata")));
    let next = folder.path().join("next");
    std::fs::write(&next, b"two").expect("a file");
    std::fs::rename(&next, &file).expect("a rename");
    assert_ne!(first, FileIdentity::of(&file.metadata().expect("metadata")));
}

#[cfg(unix)]
#[test]
fn a_file_overwritten_in_place_is_another_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("a.mtm");
    std::fs::write(&file, b"one").expect("a file");
    let before = file.metadata().expect("metadata");
    // File systems count time in ticks of some milliseconds.
    std::thread::sleep(Duration::from_millis(50));
    std::fs::write(&file, b"two").expect("a file");
    let modified = before.modified().expect("a time");
    let times = std::fs::FileTimes::new().set_modified(modified);
    File::options().write(true).open(&file).expect("the file").set_times(times).expect("times");
    let after = file.metadata().expect("metadata");
    assert_eq!((after.len(), after.modified().expect("a time")), (before.len(), modified));
    assert_ne!(FileIdentity::of(&before), FileIdentity::of(&after));
}

#[test]
fn an_entry_that_vanishes_takes_no_other_with_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path();
    std::fs::write(root.join("a.mtm"), b"12345").expect("a file");
    let gone = || std::iter::once(Err(std::io::ErrorKind::NotFound.into()));
    let items = gone().chain(std::fs::read_dir(root).expect("a folder")).chain(gone());
    let mut found = Vec::new();
    folder::add(root, items, "", 0, &mut found);
    let id = SlideId::from_path("a").expect("a valid id");
    assert_eq!(found, [Listed { id, bytes: 5, identity: None }]);
}

#[cfg(unix)]
#[test]
fn follows_links_to_files_inside_only() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = slides_and_links(folder.path());
    symlink(&root, root.join("again")).expect("a link");
    let listed = Root::new(&root).expect("a folder").list().expect("a list").expect("a folder");
    assert_eq!(listed.iter().map(|slide| slide.id.as_str()).collect::<Vec<_>>(), ["a", "inside"]);
}
