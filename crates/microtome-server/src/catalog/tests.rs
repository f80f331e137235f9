//! Tests of the catalogue: what is found, what is noticed, who waits.

use std::fs::File;

use microtome_slide::TileId;

use super::*;
use crate::tile_cache::TileKey;

fn located(root: &Path, id: &str) -> bool {
    let id = SlideId::from_path(id).expect("a valid id");
    locate(root, &id.file_below(root)).expect("no I/O error").is_some()
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

#[tokio::test]
async fn a_file_is_looked_at_by_one_at_a_time_and_an_open_slide_is_served_meanwhile() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    crate::http_tests::ingest("synthetic:300x200,seed=1", &folder.path().join("a.mtm"));
    let id = SlideId::from_path("a").expect("a valid id");
    let storages = Storages::new(1);
    let open = open(folder.path(), id, &Caches::default(), false, &storages, 0).expect("a slide");
    let recheck = RECHECK.as_millis() as u64;
    assert!(open.claim_check(recheck - 1).is_none());
    let look = open.claim_check(recheck).expect("it is due");
    assert!(open.claim_check(recheck).is_none() && open.claim_check(10 * recheck).is_none(), "it hangs");
    assert_eq!(look_at(&open, look).await.expect("an answer"), Seen::Same);
    std::fs::remove_file(folder.path().join("a.mtm")).expect("gone");
    let hanging: Vec<_> =
        std::iter::from_fn(|| Arc::clone(&open.storage.looks).try_acquire_owned().ok()).collect();
    let look = open.claim_check(19 * recheck).expect("it is due again");
    assert_eq!(look_at(&open, look).await.expect("an answer"), Seen::Same, "its like hang: it is trusted");
    drop(hanging);
    let look = open.claim_check(20 * recheck).expect("it is due again");
    assert_eq!(look_at(&open, look).await.expect("an answer"), Seen::Nothing);
}

#[tokio::test(start_paused = true)]
async fn openings_that_hang_keep_their_folder_and_no_other() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let catalog = Catalog::new(root.path().to_owned(), false, 1);
    let slide = |folder: usize| SlideId::from_path(&format!("{folder}/a")).expect("a valid id");
    // Groups of folders and of slides are by chance.
    let other =
        (1..1000).find(|&folder| !Arc::ptr_eq(catalog.folder(&slide(0)), catalog.folder(&slide(folder))));
    let other = other.expect("there are 64 groups");
    for folder in [0, other] {
        let path = root.path().join(folder.to_string());
        std::fs::create_dir(&path).expect("a folder");
        crate::http_tests::ingest("synthetic:300x200,seed=1", &path.join("a.mtm"));
    }
    let hanging: Vec<_> =
        std::iter::from_fn(|| Arc::clone(catalog.folder(&slide(0))).try_acquire_owned().ok()).collect();
    assert_eq!(hanging.len(), OPENINGS_OF_FOLDER);
    let _all: Vec<_> = hanging.iter().map(|_| Arc::clone(&catalog.openings).try_acquire_owned()).collect();
    assert!(catalog.slide(&slide(0)).await.is_err(), "those of its folder hang");
    assert!(catalog.slide(&slide(other)).await.is_ok());
    drop(hanging);
    assert!(catalog.slide(&slide(0)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_opening_that_hangs_is_the_only_one_and_nobody_waits_for_ever() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    crate::http_tests::ingest("synthetic:300x200,seed=1", &folder.path().join("a.mtm"));
    let catalog = Catalog::new(folder.path().to_owned(), false, 1);
    let id = SlideId::from_path("a").expect("a valid id");
    // As if somebody had begun to open it and had gone.
    let hanging = Arc::clone(catalog.turn(&id)).lock_owned().await;
    let begun = tokio::time::Instant::now();
    let refused = catalog.slide(&id).await.err().expect("refused").into_response();
    assert_eq!(refused.status(), http::StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(begun.elapsed().as_secs(), LONGEST_OPENING.as_secs());
    drop(hanging);
    assert!(catalog.slide(&id).await.is_ok());
}

#[test]
fn slides_with_the_same_content_id_share_no_tiles() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path();
    crate::http_tests::ingest("synthetic:300x200,seed=1", &root.join("a.mtm"));
    std::fs::copy(root.join("a.mtm"), root.join("b.mtm")).expect("a copy");
    let key = |id: &str| {
        let id = SlideId::from_path(id).expect("a valid id");
        let open = open(root, id, &Caches::default(), false, &Storages::new(1), 0).expect("a slide");
        let tile = TileId { level: 0, column: 0, row: 0 };
        (Arc::clone(&open.content_id), TileKey { instance: open.instance, tile })
    };
    let (a, b, again) = (key("a"), key("b"), key("a"));
    assert_eq!((&a.0, &a.0), (&b.0, &again.0));
    assert!(a.1 != b.1 && a.1 != again.1);
}

#[tokio::test]
async fn a_look_waits_a_moment_for_those_of_other_slides() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    crate::http_tests::ingest("synthetic:300x200,seed=1", &folder.path().join("a.mtm"));
    let id = SlideId::from_path("a").expect("a valid id");
    let open = open(folder.path(), id, &Caches::default(), false, &Storages::new(1), 0).expect("a slide");
    std::fs::remove_file(folder.path().join("a.mtm")).expect("gone");
    let others: Vec<_> =
        std::iter::from_fn(|| Arc::clone(&open.storage.looks).try_acquire_owned().ok()).collect();
    let look = open.claim_check(RECHECK.as_millis() as u64).expect("it is due");
    let (seen, ()) = tokio::join!(look_at(&open, look), async move { drop(others) });
    assert_eq!(seen.expect("an answer"), Seen::Nothing, "it was looked at when they were done");
}

#[tokio::test]
async fn damage_of_a_slide_that_was_written_over_is_none_for_all_who_wait() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("a.mtm");
    crate::http_tests::ingest("synthetic:300x200,seed=1", &file);
    let catalog = Catalog::new(folder.path().to_owned(), false, 2);
    let id = SlideId::from_path("a").expect("a valid id");
    let open = catalog.slide(&id).await.expect("a slide");
    let damage = || {
        let source = open.slide.tile(TileId { level: 0, column: 99, row: 0 }).expect_err("no such tile");
        Failure::from(Error::BadPicture { slide: open.id.clone(), source })
    };
    let is_replaced = |failure: &Failure| failure.public_message().contains("replaced");
    assert!(!is_replaced(&open.unless_replaced(damage()).await), "the file is what it was");
    // In place: the file that is open is that very one.
    let mut bytes = std::fs::read(&file).expect("the slide");
    bytes.push(0);
    std::fs::write(&file, bytes).expect("a file");
    let other = Failure::from(Error::Overloaded);
    assert!(!is_replaced(&open.unless_replaced(other).await), "no damage");
    let asked = (0..200).map(|_| {
        let (open, failure) = (Arc::clone(&open), damage());
        tokio::spawn(async move { open.unless_replaced(failure).await })
    });
    for answer in asked.collect::<Vec<_>>() {
        assert!(is_replaced(&answer.await.expect("an answer")));
    }
    // Not opened anew for each of them, but a second after it was.
    match catalog.slide(&id).await {
        Err(failure) => assert!(is_replaced(&failure)),
        Ok(_other) => assert!(!open.is_younger_than(RECHECK, catalog.now_ms()), "too soon"),
    }
    let a_second_after = open.opened_ms + RECHECK.as_millis() as u64;
    assert!(
        open.is_younger_than(RECHECK, a_second_after - 1) && !open.is_younger_than(RECHECK, a_second_after)
    );
}

#[tokio::test]
async fn damage_of_a_slide_whose_file_is_gone_stays_damage() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    crate::http_tests::ingest("synthetic:300x200,seed=1", &folder.path().join("a.mtm"));
    let catalog = Catalog::new(folder.path().to_owned(), false, 2);
    let open = catalog.slide(&SlideId::from_path("a").expect("a valid id")).await.expect("a slide");
    std::fs::remove_file(folder.path().join("a.mtm")).expect("gone");
    let source = open.slide.tile(TileId { level: 0, column: 99, row: 0 }).expect_err("no such tile");
    let damage = Failure::from(Error::BadPicture { slide: open.id.clone(), source });
    assert!(open.unless_replaced(damage).await.is_damage(), "nobody knows what would be there");
}
