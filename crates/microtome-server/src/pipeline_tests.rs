//! The contract of the pipeline: one decode however many ask, nothing for those who went away, nobody left waiting.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use microtome_slide::TileId;
use tempfile::TempDir;
use tokio::runtime::Handle;

use crate::app::App;
use crate::catalog::OpenSlide;
use crate::config::ServerConfig;
use crate::http_tests::ingest;
use crate::pipeline::{Landing, Pipeline};
use crate::prefetch::Prefetch;
use crate::slide_id::SlideId;
use crate::tile_cache::TileKey;

const TILE: TileId = TileId { level: 0, column: 1, row: 1 };

/// Waits until something has happened; a minute is for ever.
async fn until(happened: impl Fn() -> bool) {
    for _ in 0..60_000 {
        if happened() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    unreachable!("it did not happen in a minute");
}

/// A server with one decoding thread, and an open slide.
struct Fixture {
    _root: TempDir,
    app: App,
    open: Arc<OpenSlide>,
}

impl Fixture {
    async fn new(prefetch: Prefetch) -> Self {
        Self::with(ServerConfig { prefetch, ..ServerConfig::default() }).await
    }

    async fn with(config: ServerConfig) -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        ingest("synthetic:1500x1100,seed=3", &root.path().join("a.mtm"));
        let config = ServerConfig {
            slides_root: root.path().to_owned(),
            rayon_threads: 1,
            timing_breakdown: true,
            ..config
        };
        let app = App::new(&config).expect("decode threads");
        let (request, ()) = http::Request::new(()).into_parts();
        let open = app.slide(&request, &SlideId::from_path("a").expect("an id")).await.expect("a slide");
        Self { _root: root, app, open }
    }

    fn pipeline(&self) -> &Arc<Pipeline> {
        &self.app.pipeline
    }

    fn key(&self, tile: TileId) -> TileKey {
        TileKey { instance: self.open.instance, tile }
    }

    /// Keeps the decoding thread busy until what is returned is dropped.
    fn busy(&self) -> mpsc::Sender<()> {
        let (sender, receiver) = mpsc::channel::<()>();
        self.pipeline().decoders.spawn(move || _ = receiver.recv());
        sender
    }

    /// A task that asks for a tile, once it is waiting.
    async fn ask(&self, tile: TileId) -> tokio::task::JoinHandle<bool> {
        let (pipeline, open) = (Arc::clone(self.pipeline()), Arc::clone(&self.open));
        let task = tokio::spawn(async move { pipeline.tile(&open, tile).await.is_ok() });
        let queue = &self.pipeline().queue;
        until(|| queue.waiting() + queue.at_storage() > 0).await;
        task
    }

    async fn metric(&self, line: &str) -> bool {
        self.app.metrics.text(self.app.gauges().await).lines().any(|l| l == line)
    }
}

#[tokio::test]
async fn a_hundred_requests_for_one_cold_tile_cost_one_decode() {
    let fixture = Fixture::new(Prefetch::None).await;
    let busy = fixture.busy();
    let mut tasks = vec![];
    for _ in 0..100 {
        tasks.push(fixture.ask(TILE).await);
    }
    drop(busy);
    for task in tasks {
        assert!(task.await.expect("no panic"));
    }
    assert!(fixture.metric(r#"microtome_tile_stage_seconds_count{stage="decode"} 1"#).await);
    assert!(fixture.pipeline().tiles.has(&fixture.key(TILE)));
    assert_eq!(fixture.pipeline().queue.made(), 1, "the queue hears of it");
}

#[tokio::test]
async fn work_whose_client_has_gone_is_dropped_before_it_starts() {
    let fixture = Fixture::new(Prefetch::None).await;
    let busy = fixture.busy();
    let gone = fixture.ask(TILE).await;
    gone.abort();
    assert!(gone.await.is_err(), "it was cancelled");
    drop(busy);
    until(|| fixture.pipeline().queue.waiting() == 0).await;
    assert!(fixture.metric(r#"microtome_tiles_dropped_total{reason="unwanted"} 1"#).await);
    assert!(!fixture.pipeline().tiles.has(&fixture.key(TILE)));
    assert!(fixture.pipeline().tile(&fixture.open, TILE).await.is_ok(), "who comes then gets it");
}

#[tokio::test]
async fn who_stays_gets_the_tile_though_the_first_has_gone() {
    let fixture = Fixture::new(Prefetch::None).await;
    let busy = fixture.busy();
    let (first, second) = (fixture.ask(TILE).await, fixture.ask(TILE).await);
    tokio::task::yield_now().await;
    first.abort();
    drop(busy);
    assert!(second.await.expect("no panic"));
}

#[tokio::test]
async fn in_a_flood_a_tile_in_the_making_is_for_all_who_ask() {
    let fixture = Fixture::new(Prefetch::None).await;
    let (queue, now) = (&fixture.pipeline().queue, Instant::now());
    let busy = fixture.busy();
    let first = fixture.ask(TILE).await;
    let _others: Vec<_> = std::iter::from_fn(|| queue.enter(now)).collect();
    queue.flood(true);
    let other = TileId { column: 0, ..TILE };
    let refused = fixture.pipeline().tile(&fixture.open, other).await.expect_err("there is no room");
    assert_eq!(refused.into_response().status(), http::StatusCode::SERVICE_UNAVAILABLE);
    assert!(fixture.metric(r#"microtome_tiles_dropped_total{reason="full"} 1"#).await);
    let second = fixture.ask(TILE).await;
    tokio::task::yield_now().await;
    drop(busy);
    assert!(first.await.expect("no panic") && second.await.expect("no panic"));
}

#[tokio::test]
async fn a_lost_worker_is_an_error_to_all_and_no_obstacle_to_the_next() {
    let fixture = Fixture::new(Prefetch::None).await;
    let pipeline = fixture.pipeline();
    let (waiter, outcome) = tokio::sync::oneshot::channel();
    assert!(pipeline.flights.board(fixture.key(TILE), waiter));
    // As if its thread had panicked.
    drop(Landing::new(pipeline, fixture.key(TILE)));
    assert!(outcome.await.is_err());
    assert!(pipeline.tile(&fixture.open, TILE).await.is_ok());
}

#[tokio::test]
async fn who_comes_aboard_after_the_tile_was_kept_gets_it() {
    let fixture = Fixture::new(Prefetch::None).await;
    let (pipeline, key) = (fixture.pipeline(), fixture.key(TILE));
    let kept = pipeline.tile(&fixture.open, TILE).await.expect("a tile").0;
    // Somebody opens a flight, in the background or not, and before it looks into the cache another one joins, who looked
    // there before the tile was kept.
    assert!(pipeline.flights.open(key));
    let (waiter, outcome) = tokio::sync::oneshot::channel();
    assert!(!pipeline.flights.board(key, waiter));
    assert!(Landing::new(pipeline, key).unless_kept().is_none());
    assert_eq!(outcome.await.expect("no lost worker").expect("a tile").0, kept);
    assert!(pipeline.flights.open(key), "the flight is over");
}

#[tokio::test]
async fn a_tile_outside_the_slide_is_an_error_and_not_kept() {
    let fixture = Fixture::new(Prefetch::None).await;
    let outside = TileId { level: 0, column: 99, row: 0 };
    for _ in 0..2 {
        assert!(fixture.pipeline().tile(&fixture.open, outside).await.is_err());
    }
    assert!(!fixture.pipeline().tiles.has(&fixture.key(outside)));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever() {
    let fixture = Fixture::new(Prefetch::None).await;
    let _busy = fixture.busy();
    // The clock goes on by itself when all have nothing to do but wait.
    assert!(
        fixture.pipeline().tile(&fixture.open, TILE).await.is_err(),
        "while the decoder is busy for ever"
    );
}

/// Has the system forget the slide's file; false, said so, if it does not.
#[cfg(target_os = "linux")]
#[allow(clippy::print_stderr, reason = "a test that skips says so")]
fn is_forgotten(fixture: &Fixture) -> bool {
    use rustix::fs::{Advice, fadvise};
    let file = std::fs::File::open(fixture.open.slide.container().path()).expect("the slide");
    file.sync_all().expect("written");
    fadvise(&file, 0, None, Advice::DontNeed).expect("advice");
    let is_kept = fixture.open.slide.fetch_at_once(TILE).expect("a good record").is_some();
    if is_kept {
        eprintln!("skipped: this file system keeps what it is told to drop");
    }
    !is_kept
}

/// A slide whose storage hangs holds half of the threads that there are for reading: other slides have the others.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn reading_waits_for_a_reader_and_leaves_threads_to_others() {
    let config = ServerConfig { tokio_blocking_threads: 4, ..ServerConfig::default() };
    let fixture = Fixture::with(config).await;
    let readers = &fixture.pipeline().readers;
    assert_eq!(readers.free(), 4);
    if !is_forgotten(&fixture) {
        return;
    }
    let hanging = [readers.turn(&fixture.open).await, readers.turn(&fixture.open).await];
    assert!(readers.turn_now(&fixture.open).is_none(), "of one slide there are two");
    assert_eq!(readers.free(), 2, "the others are for other slides");
    assert_eq!(fixture.open.storage.reading.available_permits(), 1, "of the same file system one");
    let mut waiting = fixture.ask(TILE).await;
    let answer = tokio::time::timeout(Duration::from_millis(100), &mut waiting);
    assert!(answer.await.is_err(), "read by nobody");
    assert_eq!(readers.free(), 2, "who waits for a slide's turn holds no other");
    let queue = &fixture.pipeline().queue;
    assert_eq!((queue.waiting(), queue.at_storage()), (0, 1), "in nobody's way");
    drop(hanging);
    assert!(waiting.await.expect("no panic"), "read when there is a reader again");
    until(|| readers.free() == 4).await;
    assert_eq!(fixture.open.storage.reading.available_permits(), 3);
    assert_eq!((queue.waiting(), queue.at_storage()), (0, 0));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_is_not_in_memory_is_read_first() {
    let fixture = Fixture::new(Prefetch::None).await;
    if !is_forgotten(&fixture) {
        return;
    }
    let (jpeg, _) = fixture.pipeline().tile(&fixture.open, TILE).await.expect("a tile");
    assert_eq!(jpeg, fixture.open.slide.tile(TILE).expect("a tile"));
}

#[tokio::test]
async fn a_full_queue_is_refused_without_waiting_for_a_decode() {
    let fixture = Fixture::new(Prefetch::None).await;
    let _busy = fixture.busy();
    let now = Instant::now();
    let places: Vec<_> = std::iter::from_fn(|| fixture.pipeline().queue.enter(now)).collect();
    assert!(!places.is_empty());
    assert!(
        fixture.pipeline().tile(&fixture.open, TILE).await.is_err(),
        "while the decoder is busy for ever"
    );
    assert!(fixture.metric(r#"microtome_tiles_dropped_total{reason="full"} 1"#).await);
}

#[tokio::test]
async fn the_rest_of_a_family_follows_the_tile_asked_for() {
    let fixture = Fixture::new(Prefetch::Family).await;
    fixture.pipeline().tile(&fixture.open, TILE).await.expect("a tile");
    let family = [(0, 3, 3), (1, 0, 0), (1, 1, 1), (2, 0, 0)];
    let has = |&(level, column, row): &(u8, u32, u32)| {
        fixture.pipeline().tiles.has(&fixture.key(TileId { level, column, row }))
    };
    until(|| family.iter().all(has) && fixture.pipeline().prefetcher.running() == 0).await;
    assert!(!has(&(0, 4, 0)), "another family");
    assert!(fixture.metric("microtome_background_tiles_total 20").await);
    let tile = TileId { level: 0, column: 3, row: 3 };
    let expected = fixture.open.slide.tile(tile).expect("a tile");
    assert_eq!(fixture.pipeline().tiles.get(&fixture.key(tile)), Some(expected));
}

#[tokio::test]
async fn work_in_the_background_gives_way() {
    let fixture = Fixture::new(Prefetch::Family).await;
    let place = fixture.pipeline().queue.enter(Instant::now()).expect("room");
    fixture.pipeline().follow(&Handle::current(), &fixture.open, TILE);
    assert_eq!(fixture.pipeline().prefetcher.running(), 0, "somebody waits");
    drop(place);
    // It begins, and somebody comes before it is decoded.
    let busy = fixture.busy();
    fixture.pipeline().follow(&Handle::current(), &fixture.open, TILE);
    assert_eq!(fixture.pipeline().prefetcher.running(), 1);
    let place = fixture.pipeline().queue.enter(Instant::now()).expect("room");
    drop(busy);
    until(|| fixture.pipeline().prefetcher.running() == 0).await;
    drop(place);
    assert!(fixture.metric("microtome_background_tiles_total 0").await);
    fixture.pipeline().follow(&Handle::current(), &fixture.open, TILE);
    until(|| fixture.pipeline().prefetcher.running() == 0).await;
    assert!(fixture.metric("microtome_background_tiles_total 21").await, "the next time all are made");
}

#[tokio::test]
async fn a_turn_that_is_refused_is_no_turn() {
    let config =
        ServerConfig { prefetch: Prefetch::Neighbours, max_inflight_families: 1, ..ServerConfig::default() };
    let fixture = Fixture::with(config).await;
    let (pipeline, runtime) = (fixture.pipeline(), Handle::current());
    let busy = fixture.busy();
    pipeline.follow(&runtime, &fixture.open, TILE);
    for column in 2..5 {
        pipeline.follow(&runtime, &fixture.open, TileId { column, ..TILE });
        assert_eq!(pipeline.prefetcher.running(), 1);
    }
    drop(busy);
    until(|| pipeline.prefetcher.running() == 0).await;
    assert!(fixture.metric("microtome_background_seconds_count 1").await);
    let _busy = fixture.busy();
    pipeline.follow(&runtime, &fixture.open, TileId { column: 4, ..TILE });
    assert_eq!(pipeline.prefetcher.running(), 1, "what was refused may come again");
}

#[tokio::test]
async fn nothing_follows_where_nothing_is_kept() {
    let config = ServerConfig { prefetch: Prefetch::Family, cache_mb: 0, ..ServerConfig::default() };
    let fixture = Fixture::with(config).await;
    let _busy = fixture.busy();
    fixture.pipeline().follow(&Handle::current(), &fixture.open, TILE);
    assert_eq!(fixture.pipeline().prefetcher.running(), 0);
}
