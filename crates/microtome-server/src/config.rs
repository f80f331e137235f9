//! What whoever starts the server decides: where the slides are, where to listen, how much of the machine to use.
//!
//! Not here: decode parameters. A container carries its own.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use crate::access::AccessConfig;
use crate::logging::{LogFilter, LogFormat};
use crate::machine;
use crate::prefetch::Prefetch;
use crate::tls::TlsFiles;

/// Most MiB of tile cache unless asked for.
const CACHE_MB: u64 = 256;

/// Settings of a server. [`ServerConfig::default`] fits the machine it is called on, and the limits of its control
/// group. 0 threads or 0 families in flight are read as 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Folder whose `.mtm` files, at any depth, are served, or `s3://BUCKET/PREFIX`. It need not exist yet.
    pub slides_root: PathBuf,
    /// Folder of the Deep Zoom folders that slides were made from, which the viewer compares them with.
    pub source_root: Option<PathBuf>,
    /// Titles of pages may name the slide.
    pub show_names: bool,
    /// Address to listen on.
    pub host: IpAddr,
    /// TCP port; 0 lets the system choose one.
    pub port: u16,
    /// Threads that decode tiles.
    pub rayon_threads: usize,
    /// Threads that speak HTTP.
    pub tokio_workers: usize,
    /// Upper bound of the threads that read files.
    pub tokio_blocking_threads: usize,
    /// Families that may be made in the background at the same time.
    pub max_inflight_families: usize,
    /// What is made in the background once a cold tile was answered.
    pub prefetch: Prefetch,
    /// Upper bound of the tiles in the tile cache; 0 turns the cache off.
    pub cache_entries: u64,
    /// Upper bound of the tile cache in MiB; 0 turns the cache off.
    pub cache_mb: u64,
    /// Longest side of a picture that is made on request, in pixels.
    pub max_pixels: u32,
    /// Pixels of a picture that is made on request.
    pub max_area: u64,
    /// Give out labels and macros, on which names may be read.
    pub serve_labels: bool,
    /// Measure each stage of a tile: a `Server-Timing` header on tiles, a histogram per stage in the metrics.
    pub timing_breakdown: bool,
    /// Address that clients know the server by, if it is not the one that requests name: `https://host/path`.
    pub base_url: Option<String>,
    /// Who is let in.
    pub access: AccessConfig,
    /// Certificate and key; without them, HTTP is spoken in the clear.
    pub tls: Option<TlsFiles>,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Which log lines are written.
    pub log_filter: LogFilter,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self::sized(machine::cores(), machine::memory_limit())
    }
}

impl ServerConfig {
    /// What suits so many cores, and so much memory in bytes where it is limited.
    fn sized(cores: usize, memory_limit: Option<u64>) -> Self {
        Self {
            slides_root: PathBuf::from("."),
            source_root: None,
            show_names: false,
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 3007,
            rayon_threads: cores,
            tokio_workers: (cores / 2).max(2),
            tokio_blocking_threads: (4 * cores).max(8),
            max_inflight_families: cores,
            prefetch: Prefetch::None,
            // 16 KiB a tile at 256 MiB: about the mean size of a 256-pixel tile of dense tissue.
            cache_entries: 16_384,
            // A quarter of the limit: the rest is for tiles in the making, open slides, and the page cache.
            cache_mb: memory_limit.map_or(CACHE_MB, |bytes| CACHE_MB.min((bytes / 4) >> 20)),
            max_pixels: 8192,
            max_area: 1 << 24,
            serve_labels: false,
            timing_breakdown: false,
            base_url: None,
            access: AccessConfig::default(),
            tls: None,
            log_format: LogFormat::default(),
            log_filter: LogFilter::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_follow_the_cores() {
        let threads = |cores| {
            let c = ServerConfig::sized(cores, None);
            (c.rayon_threads, c.tokio_workers, c.tokio_blocking_threads, c.max_inflight_families)
        };
        assert_eq!(threads(1), (1, 2, 8, 1));
        assert_eq!(threads(16), (16, 8, 64, 16));
    }

    #[test]
    fn the_cache_takes_a_quarter_of_the_memory_at_most() {
        let cache_mb = |limit| ServerConfig::sized(2, limit).cache_mb;
        assert_eq!(cache_mb(None), 256);
        assert_eq!(cache_mb(Some(512 << 20)), 128);
        assert_eq!(cache_mb(Some(64 << 30)), 256);
        assert_eq!(cache_mb(Some(9_223_372_036_854_771_712)), 256, "version 1's way to say none");
    }
}
