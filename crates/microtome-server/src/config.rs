//! What whoever starts the server decides: where the slides are, where to listen, how much of the machine to use.
//!
//! Not here: decode parameters. A container carries its own.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::thread::available_parallelism;

use crate::logging::{LogFilter, LogFormat};
use crate::tls::TlsFiles;

/// Settings of a server. [`ServerConfig::default`] fits the machine it is called on. 0 threads or
/// 0 tiles in flight are read as 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Folder whose `.mtm` files, at any depth, are served. It need not exist yet.
    pub slides_root: PathBuf,
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
    /// Tiles that may be fetched and decoded at the same time; further ones wait in a bounded queue.
    pub max_inflight_families: usize,
    /// Upper bound of the tiles in the tile cache; 0 turns the cache off.
    pub cache_entries: u64,
    /// Upper bound of the tile cache in MiB; 0 turns the cache off.
    pub cache_mb: u64,
    /// Measure each stage of a tile: a `Server-Timing` header on tiles, a histogram per stage in the metrics.
    pub timing_breakdown: bool,
    /// Certificate and key; without them, HTTP is spoken in the clear.
    pub tls: Option<TlsFiles>,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Which log lines are written.
    pub log_filter: LogFilter,
}

impl Default for ServerConfig {
    fn default() -> Self {
        let cores = available_parallelism().map_or(2, usize::from);
        Self {
            slides_root: PathBuf::from("."),
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 3007,
            rayon_threads: cores,
            tokio_workers: (cores / 2).max(2),
            tokio_blocking_threads: (4 * cores).max(8),
            max_inflight_families: 2 * cores,
            // 16 KiB a tile at 256 MiB: about the mean size of a 256-pixel tile of dense tissue.
            cache_entries: 16_384,
            cache_mb: 256,
            timing_breakdown: false,
            tls: None,
            log_format: LogFormat::default(),
            log_filter: LogFilter::default(),
        }
    }
}
