//! Limits of pictures, and who waits for whom.

use microtome_slide::Rect;

use super::lane::MEGAPIXELS;
use super::*;
use crate::app::App;
use crate::config::ServerConfig;
use crate::slide_id::SlideId;

#[test]
fn limits_are_of_sides_and_of_area() {
    let limits = Limits { side: 1000, area: 500_000 };
    assert!(limits.check([1000, 500]).is_ok());
    assert!(limits.check([1001, 1]).is_err());
    assert!(limits.check([1000, 501]).is_err());
    assert!(limits.check([u32::MAX, u32::MAX]).is_err());
    assert_eq!(limits.fit(100, 50), [100, 50]);
    assert_eq!(limits.fit(100_000, 100), [1000, 1]);
    let [width, height] = limits.fit(3000, 3000);
    assert!(width == height && limits.check([width, height]).is_ok() && width > 700);
    assert_eq!(limits.fit(u32::MAX, 1), [1000, 1]);
}

/// A server with one slide of 1500 x 1100 px and one decoding thread.
async fn served() -> (tempfile::TempDir, App, Arc<OpenSlide>) {
    let root = tempfile::tempdir().expect("a folder");
    crate::http_tests::ingest("synthetic:1500x1100,seed=3", &root.path().join("a.mtm"));
    let config =
        ServerConfig { slides_root: root.path().to_owned(), rayon_threads: 1, ..ServerConfig::default() };
    let app = App::new(&config).expect("threads");
    let open = opened(&app, "a").await;
    (root, app, open)
}

async fn opened(app: &App, name: &str) -> Arc<OpenSlide> {
    let (request, ()) = http::Request::new(()).into_parts();
    app.slide(&request, &SlideId::from_path(name).expect("an id")).await.expect("a slide")
}

const WHOLE: Rect = Rect { x: 0, y: 0, width: 1500, height: 1100 };

/// A picture's encoding holds no thread that decodes, reads or encodes small pictures.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_waits_for_a_picture_that_is_encoded() {
    let (_root, app, open) = served().await;
    let readers = app.pipeline.readers.free();
    let (begun, has_begun) = oneshot::channel();
    let (end, ends) = std::sync::mpsc::channel::<()>();
    let (pictures, pipeline, slide) =
        (Arc::clone(&app.pictures), Arc::clone(&app.pipeline), Arc::clone(&open));
    let picture = tokio::spawn(async move {
        let encode = move |_| {
            begun.send(()).expect("somebody listens");
            ends.recv().expect("a word");
            vec![1]
        };
        pictures.draw(&pipeline, &slide, View::scaled(WHOLE, 1500, 1100), encode).await.ok()
    });
    has_begun.await.expect("the picture is drawn");
    assert_eq!(app.pipeline.readers.free(), readers);
    let soon = Duration::from_secs(10);
    let tile = app.pipeline.tile(&open, TileId { level: 0, column: 1, row: 1 });
    assert!(tokio::time::timeout(soon, tile).await.expect("it does not wait").is_ok());
    let view = View::scaled(WHOLE, 300, 220);
    let small = app.pictures.draw(&app.pipeline, &open, view, |_| vec![2]);
    assert_eq!(tokio::time::timeout(soon, small).await.expect("nor does it").ok().as_deref(), Some(&[2][..]));
    end.send(()).expect("the encoder listens");
    assert_eq!(picture.await.expect("a task").as_deref(), Some(&[1][..]));
}

/// Pictures of a slide whose storage hangs have their memory until it answers: others have the rest.
#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_a_slide_that_hangs_leave_memory_to_others() {
    let (root, app, open) = served().await;
    std::fs::copy(root.path().join("a.mtm"), root.path().join("b.mtm")).expect("a copy");
    let other = opened(&app, "b").await;
    let turns = u32::try_from(open.reading.available_permits()).expect("a few");
    let hanging = open.reading.try_acquire_many(turns).expect("all of its turns");
    let draw = |open: &Arc<OpenSlide>, size: u32| {
        let (pictures, pipeline, open) =
            (Arc::clone(&app.pictures), Arc::clone(&app.pipeline), Arc::clone(open));
        let view = View::scaled(WHOLE, size, size);
        tokio::spawn(async move { pictures.draw(&pipeline, &open, view, |_| vec![1]).await.is_ok() })
    };
    for size in [300, 1300, 3000] {
        let waiting: Vec<_> = (0..100).map(|_| draw(&open, size)).collect();
        let small = tokio::time::timeout(Duration::from_secs(10), draw(&other, size)).await;
        assert!(small.expect("it does not wait").expect("a task"));
        assert!(waiting.iter().all(|picture| !picture.is_finished()));
        waiting.iter().for_each(tokio::task::JoinHandle::abort);
    }
    drop(hanging);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_picture_does_not_wait_behind_large_ones() {
    let (_root, app, open) = served().await;
    let _taken = app.pictures.lanes.large.memory.try_acquire_many(MEGAPIXELS).expect("all of it");
    let draw = |[width, height]: [u32; 2]| {
        let view = View::scaled(WHOLE, width, height);
        app.pictures.draw(&app.pipeline, &open, view, |pixels| pixels.data().to_vec())
    };
    assert_eq!(draw([1000, 1000]).await.map(|pixels| pixels.len()).ok(), Some(3_000_000));
    let waits = tokio::time::timeout(Duration::from_millis(50), draw([1001, 1000])).await;
    assert!(waits.is_err(), "there is no memory for a larger one");
}
