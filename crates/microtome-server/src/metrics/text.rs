//! The text format of Prometheus, version 0.0.4.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use super::histogram::Histogram;
use super::{Dropped, Gauges, Metrics, Route, STATUSES, Source, Stages};

/// Content type of [`Metrics::text`].
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A text being written. Names and label values are all our own, and need no escaping.
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP microtome_{name} {help}"));
        self.line(format_args!("# TYPE microtome_{name} {kind}"));
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.family(name, kind, help);
        self.line(format_args!("microtome_{name} {value}"));
    }

    fn histograms<'a>(
        &mut self,
        name: &str,
        help: &str,
        labelled: impl Iterator<Item = (Option<(&'a str, &'a str)>, &'a Histogram)>,
    ) {
        self.family(name, "histogram", help);
        for (label, histogram) in labelled {
            let label = label.map_or(String::new(), |(name, value)| format!("{name}=\"{value}\""));
            let (comma, braces) = match label.is_empty() {
                true => ("", String::new()),
                false => (",", format!("{{{label}}}")),
            };
            let mut count = 0;
            for (bound, below) in histogram.buckets() {
                let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
                self.line(format_args!("microtome_{name}_bucket{{{label}{comma}le=\"{bound}\"}} {below}"));
                count = below;
            }
            self.line(format_args!("microtome_{name}_sum{braces} {}", histogram.seconds()));
            self.line(format_args!("microtome_{name}_count{braces} {count}"));
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{line}");
    }
}

impl Metrics {
    /// All metrics.
    pub(crate) fn text(&self, gauges: Gauges) -> String {
        let mut text = Text(String::with_capacity(16 << 10));
        text.family("build_info", "gauge", "What is running");
        let (version, instructions) = (env!("CARGO_PKG_VERSION"), microtome_codec::instructions());
        text.line(format_args!(
            "microtome_build_info{{version=\"{version}\",instructions=\"{instructions}\"}} 1"
        ));
        self.requests(&mut text);
        let tiles = Source::ALL.iter().zip(&self.tiles);
        let tiles = tiles.map(|((_, name), histogram)| (Some(("source", *name)), histogram));
        text.histograms("tile_seconds", "Time to answer a tile, by where it came from", tiles);
        let pictures = std::iter::once((None, &self.pictures));
        text.histograms(
            "picture_seconds",
            "Time to make a picture that is no tile, waiting included",
            pictures,
        );
        if let Some(stages) = &self.stages {
            let names = Stages::default().named();
            let stages =
                names.iter().zip(stages).map(|((name, _), histogram)| (Some(("stage", *name)), histogram));
            text.histograms("tile_stage_seconds", "Time a cold tile spent in each stage", stages);
        }
        self.work(&mut text);
        text.one("decode_threads_busy", "gauge", "Threads that decode now", read(&self.decoders_busy));
        quantities(&mut text, gauges);
        text.0
    }

    fn requests(&self, text: &mut Text) {
        text.family("http_requests_total", "counter", "Requests answered, by route and HTTP status");
        for ((_, route), counts) in Route::ALL.iter().zip(&self.requests) {
            for (index, count) in counts.iter().enumerate() {
                let status = STATUSES.get(index).map_or_else(|| "other".to_owned(), u16::to_string);
                let count = read(count);
                text.line(format_args!(
                    "microtome_http_requests_total{{route=\"{route}\",status=\"{status}\"}} {count}"
                ));
            }
        }
    }

    fn work(&self, text: &mut Text) {
        text.family("tiles_dropped_total", "counter", "Tiles asked for and not made, by reason");
        for ((_, reason), count) in Dropped::ALL.iter().zip(&self.dropped) {
            let count = read(count);
            text.line(format_args!("microtome_tiles_dropped_total{{reason=\"{reason}\"}} {count}"));
        }
        let background = std::iter::once((None, &self.background));
        text.histograms(
            "background_seconds",
            "Time of a turn in the background, such as a family",
            background,
        );
        text.one(
            "background_tiles_total",
            "counter",
            "Tiles made in the background",
            read(&self.background_tiles),
        );
        text.one("bytes_read_total", "counter", "Bytes read from containers", read(&self.bytes_read));
    }
}

fn quantities(text: &mut Text, gauges: Gauges) {
    let cache = gauges.cache;
    text.one("cache_evictions_total", "counter", "Tiles that left the cache for others", cache.evicted);
    for (name, help, value) in [
        ("cache_entries", "Tiles in the tile cache", cache.entries),
        ("cache_bytes", "Bytes the tile cache is charged for", cache.bytes),
        ("tiles_waiting", "Tiles that wait for their decoding", gauges.tiles_waiting),
        ("tiles_at_storage", "Tiles whose records are read, or wait for that", gauges.tiles_at_storage),
        ("families_in_flight", "Turns under way in the background", gauges.families_in_flight),
        ("open_slides", "Slides kept open", gauges.open_slides),
        ("decode_threads", "Threads that decode", gauges.decoders),
        (
            "spare_buffer_bytes",
            "Bytes of record buffers that wait to be used again",
            gauges.spare_buffer_bytes,
        ),
        ("unsent_bytes", "Bytes of answers that clients have not read yet", gauges.unsent_bytes),
    ] {
        text.one(name, "gauge", help, value);
    }
    if let Some(bytes) = resident_bytes() {
        text.one("resident_memory_bytes", "gauge", "Memory of the process that is resident", bytes);
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Resident memory of this process, where the system tells.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
}
