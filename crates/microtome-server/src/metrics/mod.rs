//! What the server counts, and the text that Prometheus reads.
//!
//! Counting is an addition to an atomic, no lock and no allocation, whatever is counted. Not here: when something counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;

use crate::pipeline::Stages;
use crate::tile_cache::CacheSize;

mod histogram;
mod text;

use histogram::Histogram;
pub(crate) use text::CONTENT_TYPE;

/// Statuses counted by their number; all others are counted as `other`.
const STATUSES: [u16; 16] = [200, 204, 302, 303, 304, 400, 401, 403, 404, 405, 406, 408, 413, 500, 501, 503];

/// What a request asked for, as the label `route`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Tile,
    DeepZoom,
    Iiif,
    Zoomify,
    DicomWeb,
    Picture,
    Viewer,
    Slides,
    Gallery,
    Asset,
    Health,
    Metrics,
    Other,
}

impl Route {
    const ALL: [(Self, &'static str); 13] = [
        (Self::Tile, "tile"),
        (Self::DeepZoom, "dzi"),
        (Self::Iiif, "iiif"),
        (Self::Zoomify, "zoomify"),
        (Self::DicomWeb, "dicomweb"),
        (Self::Picture, "picture"),
        (Self::Viewer, "viewer"),
        (Self::Slides, "slides"),
        (Self::Gallery, "gallery"),
        (Self::Asset, "asset"),
        (Self::Health, "health"),
        (Self::Metrics, "metrics"),
        (Self::Other, "other"),
    ];

    /// The route of a request for `path`.
    pub(crate) fn of(path: &str) -> Self {
        let first = path.strip_prefix('/').unwrap_or(path).split('/').next();
        match first {
            Some("tiles" | "xyz") => Self::Tile,
            Some("dzi" | "dzi254") => Self::DeepZoom,
            Some("iiif") => Self::Iiif,
            Some("zoomify") => Self::Zoomify,
            Some("dicomweb") => Self::DicomWeb,
            Some("region" | "thumbnail" | "associated" | "histogram") => Self::Picture,
            Some("viewer") => Self::Viewer,
            Some("slides" | "openapi.json") => Self::Slides,
            Some("") => Self::Gallery,
            Some("assets") => Self::Asset,
            Some("healthz" | "readyz") => Self::Health,
            Some("metrics") => Self::Metrics,
            _ => Self::Other,
        }
    }
}

/// Where an answered tile came from, as the label `source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The tile cache.
    Cache,
    /// A record of the container.
    Stored,
    /// Computed from a finer level.
    Derived,
}

impl Source {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Cache, "cache"), (Self::Stored, "stored"), (Self::Derived, "derived")];
}

/// Quantities that are read when the metrics are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gauges {
    pub(crate) cache: CacheSize,
    pub(crate) tiles_waiting: u64,
    pub(crate) tiles_at_storage: u64,
    pub(crate) families_in_flight: u64,
    pub(crate) open_slides: u64,
    pub(crate) decoders: u64,
    pub(crate) spare_buffer_bytes: u64,
    pub(crate) unsent_bytes: u64,
}

/// Why a tile was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// The queue was full.
    Full,
    /// It had waited too long.
    Late,
    /// Nobody waited for it any more.
    Unwanted,
}

impl Dropped {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Full, "full"), (Self::Late, "late"), (Self::Unwanted, "unwanted")];
}

/// Number of stages of a cold tile, and of steps in them.
const STAGES: usize = 10;

/// All counters of a server.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: [[AtomicU64; STATUSES.len() + 1]; Route::ALL.len()],
    tiles: [Histogram; Source::ALL.len()],
    pictures: Histogram,
    dropped: [AtomicU64; Dropped::ALL.len()],
    background: Histogram,
    background_tiles: AtomicU64,
    bytes_read: AtomicU64,
    decoders_busy: AtomicU64,
    /// In the order of [`Stages::named`].
    stages: Option<[Histogram; STAGES]>,
}

impl Metrics {
    /// Counters at zero; with `stages`, also a histogram for each stage of a cold tile.
    pub(crate) fn new(stages: bool) -> Self {
        Self { stages: stages.then(Default::default), ..Self::default() }
    }

    /// Counts an answered request.
    pub(crate) fn request(&self, route: Route, status: StatusCode) {
        let status = STATUSES.iter().position(|&s| s == status.as_u16()).unwrap_or(STATUSES.len());
        self.requests[route as usize][status].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an answered tile and the time it took.
    pub(crate) fn tile(&self, source: Source, duration: Duration) {
        self.tiles[source as usize].observe(duration);
    }

    /// Counts a picture that was made on request and the time it took, waiting included.
    pub(crate) fn picture(&self, duration: Duration) {
        self.pictures.observe(duration);
    }

    /// Counts a tile that was asked for and not made.
    pub(crate) fn dropped(&self, why: Dropped) {
        self.dropped[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a turn in the background, and the tiles made in it.
    pub(crate) fn background(&self, duration: Duration, tiles: u64) {
        self.background.observe(duration);
        self.background_tiles.fetch_add(tiles, Ordering::Relaxed);
    }

    /// Counts a decoding thread as busy until what is returned is dropped.
    pub(crate) fn decoding(&self) -> impl Drop {
        self.decoders_busy.fetch_add(1, Ordering::Relaxed);
        Busy(&self.decoders_busy)
    }

    /// Counts bytes that were read from containers.
    pub(crate) fn read(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts the stages of a cold tile, if they are wanted.
    pub(crate) fn stages(&self, stages: &Stages) {
        if let Some(histograms) = &self.stages {
            for (histogram, (_, duration)) in histograms.iter().zip(stages.named()) {
                histogram.observe(duration);
            }
        }
    }
}

struct Busy<'a>(&'a AtomicU64);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use microtome_slide::Times;

    use super::*;

    #[test]
    fn tables_are_in_the_order_of_their_enums() {
        assert!(Route::ALL.iter().enumerate().all(|(index, (route, _))| *route as usize == index));
        assert!(Source::ALL.iter().enumerate().all(|(index, (source, _))| *source as usize == index));
        assert!(Dropped::ALL.iter().enumerate().all(|(index, (why, _))| *why as usize == index));
    }

    #[test]
    fn text_has_what_was_counted() {
        let metrics = Metrics::new(true);
        metrics.request(Route::of("/tiles/a/3/0_0.jpg"), StatusCode::OK);
        metrics.request(Route::of("/"), StatusCode::IM_A_TEAPOT);
        metrics.tile(Source::Derived, Duration::from_micros(150));
        metrics.dropped(Dropped::Late);
        metrics.background(Duration::from_millis(5), 21);
        let stage = Duration::from_secs(10);
        metrics.stages(&Stages { queue: stage, fetch: stage, decode: stage, steps: Times::default() });
        metrics.read(4711);
        drop(metrics.decoding());
        let _busy = metrics.decoding();
        let cache = CacheSize { bytes: 7, ..CacheSize::default() };
        let text = metrics.text(Gauges { cache, ..Gauges::default() });
        for line in [
            "# TYPE microtome_http_requests_total counter",
            "microtome_http_requests_total{route=\"tile\",status=\"200\"} 1",
            "microtome_http_requests_total{route=\"gallery\",status=\"other\"} 1",
            "microtome_tile_seconds_bucket{source=\"derived\",le=\"0.0001\"} 0",
            "microtome_tile_seconds_bucket{source=\"derived\",le=\"0.0002\"} 1",
            "microtome_tile_seconds_bucket{source=\"derived\",le=\"+Inf\"} 1",
            "microtome_tile_seconds_sum{source=\"derived\"} 0.00015",
            "microtome_tile_seconds_count{source=\"derived\"} 1",
            "microtome_tiles_dropped_total{reason=\"late\"} 1",
            "microtome_background_tiles_total 21",
            "microtome_tile_stage_seconds_count{stage=\"fetch\"} 1",
            "microtome_tile_stage_seconds_count{stage=\"entropy\"} 1",
            "microtome_cache_bytes 7",
            "microtome_bytes_read_total 4711",
            "microtome_decode_threads_busy 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn the_documentation_lists_every_metric() {
        let text = Metrics::new(true).text(Gauges::default());
        let of = |text: &str, prefix: &str, end: char| -> Vec<String> {
            let names = text.lines().filter_map(|line| line.strip_prefix(prefix));
            let mut names: Vec<_> =
                names.filter_map(|rest| rest.split(end).next()).map(str::to_owned).collect();
            names.sort();
            names
        };
        let documented = include_str!("../../../../docs/metrics.md");
        assert_eq!(of(documented, "| `microtome_", '`'), of(&text, "# TYPE microtome_", ' '));
    }

    #[test]
    fn stages_are_absent_unless_wanted() {
        assert!(!Metrics::new(false).text(Gauges::default()).contains("stage"));
    }
}
