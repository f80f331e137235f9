//! What the server counts, as OpenMetrics text. Recording is a few relaxed atomic additions and takes no lock.

use std::fmt::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::pipeline::Stages;

/// Content type of [`Metrics::text`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Statuses counted by their number; all others are counted as `other`.
const STATUSES: [u16; 8] = [200, 304, 400, 404, 405, 431, 500, 503];

/// Upper bounds of the histograms' buckets: from 50 us, doubling, to 3.3 s. A last bucket takes the rest.
const BUCKETS: usize = 17;
const FIRST_BUCKET: Duration = Duration::from_micros(50);

/// What a request asked for, as the label `route`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Tile,
    DeepZoom,
    Viewer,
    Slides,
    Gallery,
    Asset,
    Health,
    Metrics,
    Other,
}

impl Route {
    const ALL: [(Self, &'static str); 9] = [
        (Self::Tile, "tile"),
        (Self::DeepZoom, "dzi"),
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
            Some("tiles") => Self::Tile,
            Some("dzi") => Self::DeepZoom,
            Some("viewer") => Self::Viewer,
            Some("slides") => Self::Slides,
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
    pub(crate) cache_entries: u64,
    pub(crate) cache_bytes: u64,
    pub(crate) tiles_in_flight: u64,
    pub(crate) open_slides: u64,
}

/// All counters of a server.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: [[AtomicU64; STATUSES.len() + 1]; Route::ALL.len()],
    tiles: [Histogram; Source::ALL.len()],
    stages: Option<[Histogram; 3]>,
}

impl Metrics {
    /// Counters at zero; with `stages`, also a histogram for each stage of a cold tile.
    pub(crate) fn new(stages: bool) -> Self {
        Self {
            requests: Default::default(),
            tiles: Default::default(),
            stages: stages.then(Default::default),
        }
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

    /// Counts the stages of a cold tile, if they are wanted.
    pub(crate) fn stages(&self, stages: &Stages) {
        if let Some([queue, fetch, decode]) = &self.stages {
            queue.observe(stages.queue);
            fetch.observe(stages.fetch);
            decode.observe(stages.decode);
        }
    }

    /// All metrics in the OpenMetrics text format.
    pub(crate) fn text(self: &Arc<Self>, gauges: Gauges) -> Result<String, Error> {
        let mut registry = Registry::with_prefix("microtome");
        registry.register_collector(Box::new(Scrape { metrics: Arc::clone(self), gauges }));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry)?;
        Ok(text)
    }

    fn encode_requests(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let help = "Requests answered, by route and HTTP status";
        let mut family = encoder.encode_descriptor("http_requests", help, None, MetricType::Counter)?;
        for ((_, route), counts) in Route::ALL.iter().zip(&self.requests) {
            for (index, count) in counts.iter().enumerate() {
                let status = STATUSES.get(index).map_or_else(|| "other".to_owned(), u16::to_string);
                let labels = [("route", *route), ("status", status.as_str())];
                let count = ConstCounter::new(count.load(Ordering::Relaxed));
                count.encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

/// The metrics at the moment they are read.
#[derive(Debug)]
struct Scrape {
    metrics: Arc<Metrics>,
    gauges: Gauges,
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        encoder
            .encode_descriptor("build", "What is running", None, MetricType::Info)?
            .encode_info(&version)?;
        self.metrics.encode_requests(&mut encoder)?;
        let tiles = Source::ALL.iter().map(|(_, name)| *name).zip(&self.metrics.tiles);
        encode_histograms(
            &mut encoder,
            "tile",
            "Time to answer a tile, by where it came from",
            "source",
            tiles,
        )?;
        if let Some(stages) = &self.metrics.stages {
            let stages = ["queue", "fetch", "decode"].into_iter().zip(stages);
            encode_histograms(
                &mut encoder,
                "tile_stage",
                "Time a cold tile spent in each stage",
                "stage",
                stages,
            )?;
        }
        let gauges = [
            ("cache_entries", "Tiles in the tile cache", self.gauges.cache_entries),
            ("cache", "Bytes the tile cache is charged for", self.gauges.cache_bytes),
            ("tiles_in_flight", "Tiles being fetched and decoded", self.gauges.tiles_in_flight),
            ("open_slides", "Slides kept open", self.gauges.open_slides),
        ];
        for (name, help, value) in gauges {
            let unit = (name == "cache").then_some(&Unit::Bytes);
            let gauge = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
            ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(gauge)?;
        }
        Ok(())
    }
}

fn encode_histograms<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    histograms: impl Iterator<Item = (&'static str, &'a Histogram)>,
) -> Result<(), Error> {
    let mut family = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
    for (value, histogram) in histograms {
        let buckets = histogram.buckets();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let labels = [(label, value)];
        family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(
            histogram.seconds(),
            count,
            &buckets,
            None,
        )?;
    }
    Ok(())
}

/// Durations in buckets. Unlike `prometheus_client`'s own, it takes no lock.
#[derive(Debug, Default)]
struct Histogram {
    counts: [AtomicU64; BUCKETS + 1],
    nanoseconds: AtomicU64,
}

impl Histogram {
    fn observe(&self, duration: Duration) {
        let bucket = (0..BUCKETS).find(|&bucket| duration <= upper_bound(bucket)).unwrap_or(BUCKETS);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    fn seconds(&self) -> f64 {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)).as_secs_f64()
    }

    /// Upper bound in seconds and count of each bucket, the last without bound.
    fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = (0..BUCKETS).map(|bucket| upper_bound(bucket).as_secs_f64()).chain([f64::INFINITY]);
        bounds.zip(self.counts.iter().map(|count| count.load(Ordering::Relaxed))).collect()
    }
}

fn upper_bound(bucket: usize) -> Duration {
    FIRST_BUCKET * (1 << bucket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_in_the_order_of_their_enums() {
        assert!(Route::ALL.iter().enumerate().all(|(index, (route, _))| *route as usize == index));
        assert!(Source::ALL.iter().enumerate().all(|(index, (source, _))| *source as usize == index));
    }

    #[test]
    fn text_has_what_was_counted() {
        let metrics = Arc::new(Metrics::new(true));
        metrics.request(Route::of("/tiles/a/3/0_0.jpg"), StatusCode::OK);
        metrics.request(Route::of("/"), StatusCode::IM_A_TEAPOT);
        metrics.tile(Source::Derived, Duration::from_micros(150));
        let stage = Duration::from_secs(10);
        metrics.stages(&Stages { queue: stage, fetch: stage, decode: stage });
        let text = metrics.text(Gauges { cache_bytes: 7, ..Gauges::default() }).expect("text");
        for line in [
            "microtome_http_requests_total{route=\"tile\",status=\"200\"} 1",
            "microtome_http_requests_total{route=\"gallery\",status=\"other\"} 1",
            "microtome_tile_seconds_bucket{le=\"0.0001\",source=\"derived\"} 0",
            "microtome_tile_seconds_bucket{le=\"0.0002\",source=\"derived\"} 1",
            "microtome_tile_seconds_sum{source=\"derived\"} 0.00015",
            "microtome_tile_stage_seconds_bucket{le=\"+Inf\",stage=\"fetch\"} 1",
            "microtome_cache_bytes 7",
            "# EOF",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn stages_are_absent_unless_wanted() {
        let text = Arc::new(Metrics::new(false)).text(Gauges::default()).expect("text");
        assert!(!text.contains("stage"));
    }
}
