//! Tests of the catalogue: what is found, what is noticed, who waits.

use std::path::Path;

use microtome_slide::TileId;

use super::*;
use crate::tile_cache::TileKey;

/// How long a slide's file is trusted to be the one that was opened.
const RECHECK: Duration = Duration::from_secs(1);

fn root(folder: &Path) -> Arc<Root> {
    Arc::new(Root::new(folder).expect("a folder"))
}

#[tokio::test]
async fn a_file_is_looked_at_by_one_at_a_time_and_an_open_slide_is_served_meanwhile() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    crate::http_tests::ingest("synthetic:300x200,seed=1", &folder.path().join("a.mtm"));
    let id = SlideId::from_path("a").expect("a valid id");
    let storages = Storages::new(1);
    let open = open(&root(folder.path()), id, &Caches::default(), false, &storages, 0).expect("a slide");
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
    let folder = tempfile::tempdir().expect("a temporary folder");
    let catalog = Catalog::new(root(folder.path()), false, 1);
    let slide = |folder: usize| SlideId::from_path(&format!("{folder}/a")).expect("a valid id");
    // Groups of folders and of slides are by chance.
    let other =
        (1..1000).find(|&folder| !Arc::ptr_eq(catalog.folder(&slide(0)), catalog.folder(&slide(folder))));
    let other = other.expect("there are 64 groups");
    for number in [0, other] {
        let path = folder.path().join(number.to_string());
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
    let catalog = Catalog::new(root(folder.path()), false, 1);
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
    let file = |name| folder.path().join(name);
    crate::http_tests::ingest("synthetic:300x200,seed=1", &file("a.mtm"));
    std::fs::copy(file("a.mtm"), file("b.mtm")).expect("a copy");
    let key = |id: &str| {
        let id = SlideId::from_path(id).expect("a valid id");
        let open =
            open(&root(folder.path()), id, &Caches::default(), false, &Storages::new(1), 0).expect("a slide");
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
    let open =
        open(&root(folder.path()), id, &Caches::default(), false, &Storages::new(1), 0).expect("a slide");
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
    let catalog = Catalog::new(root(folder.path()), false, 2);
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
        Ok(_other) => assert!(!open.is_younger_than(REOPENING, catalog.now_ms()), "too soon"),
    }
    let a_second_after = open.opened_ms + REOPENING.as_millis() as u64;
    assert!(
        open.is_younger_than(REOPENING, a_second_after - 1)
            && !open.is_younger_than(REOPENING, a_second_after)
    );
}

#[tokio::test]
async fn damage_of_a_slide_whose_file_is_gone_stays_damage() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    crate::http_tests::ingest("synthetic:300x200,seed=1", &folder.path().join("a.mtm"));
    let catalog = Catalog::new(root(folder.path()), false, 2);
    let open = catalog.slide(&SlideId::from_path("a").expect("a valid id")).await.expect("a slide");
    std::fs::remove_file(folder.path().join("a.mtm")).expect("gone");
    let source = open.slide.tile(TileId { level: 0, column: 99, row: 0 }).expect_err("no such tile");
    let damage = Failure::from(Error::BadPicture { slide: open.id.clone(), source });
    assert!(open.unless_replaced(damage).await.is_of_file(), "nobody knows what would be there");
}
