//! `microtome serve`: the tile server, also without the word.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use microtome_server::{LogFilter, LogFormat, ServerConfig, TlsFiles};

use crate::failure::{Failure, complain};

/// Serve the slides below a folder.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Folder whose .mtm files are served, at any depth; new files appear by themselves.
    #[arg(long, value_name = "DIR", default_value = ".")]
    slides_root: PathBuf,
    /// Address to listen on: this machine only unless you say otherwise.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// TCP port; 0 lets the system choose.
    #[arg(long, default_value_t = 3007)]
    port: u16,
    /// Threads that decode tiles [default: one per core].
    #[arg(long, value_name = "N")]
    rayon_threads: Option<usize>,
    /// Threads that speak HTTP [default: half the cores, at least 2].
    #[arg(long, value_name = "N")]
    tokio_workers: Option<usize>,
    /// Threads that read files, at most [default: 4 per core, at least 8].
    #[arg(long, value_name = "N")]
    tokio_blocking_threads: Option<usize>,
    /// Tiles fetched and decoded at the same time, at most [default: 2 per core].
    #[arg(long, value_name = "N")]
    max_inflight_families: Option<usize>,
    /// Tiles in the cache, at most.
    #[arg(long, value_name = "N", default_value_t = ServerConfig::default().cache_entries)]
    cache_entries: u64,
    /// Megabytes (MiB) of tiles in the cache, at most.
    #[arg(long, value_name = "N", default_value_t = ServerConfig::default().cache_mb)]
    cache_mb: u64,
    /// Tell how long each stage of a tile took: Server-Timing header and histograms in /metrics.
    #[arg(long)]
    timing_breakdown: bool,
    /// PEM file with the certificate, then those that vouch for it: HTTPS instead of HTTP.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// PEM file with the certificate's private key.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// How log lines are written: text, or json, one object a line.
    #[arg(long, value_name = "FORMAT", default_value_t)]
    log_format: LogFormat,
    /// Which log lines are written: error, warn, info, debug, trace or off; or by target, as in
    /// warn,microtome_server=debug.
    #[arg(long, value_name = "FILTER", default_value_t)]
    log_level: LogFilter,
}

impl Arguments {
    fn config(&self) -> ServerConfig {
        let machine = ServerConfig::default();
        ServerConfig {
            slides_root: self.slides_root.clone(),
            host: self.host,
            port: self.port,
            rayon_threads: self.rayon_threads.unwrap_or(machine.rayon_threads),
            tokio_workers: self.tokio_workers.unwrap_or(machine.tokio_workers),
            tokio_blocking_threads: self.tokio_blocking_threads.unwrap_or(machine.tokio_blocking_threads),
            max_inflight_families: self.max_inflight_families.unwrap_or(machine.max_inflight_families),
            cache_entries: self.cache_entries,
            cache_mb: self.cache_mb,
            timing_breakdown: self.timing_breakdown,
            tls: self.tls_cert.clone().zip(self.tls_key.clone()).map(|(cert, key)| TlsFiles { cert, key }),
            log_format: self.log_format,
            log_filter: self.log_level.clone(),
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let root = &arguments.slides_root;
    if root.is_file() {
        return Err(Failure::Usage(format!(
            "{}: --slides-root is to be a folder of .mtm files, this is a file",
            root.display()
        )));
    }
    serve(arguments.config(), "")
}

/// Serves until told to stop; `path` is what the line that says "ready" points at.
pub(crate) fn serve(config: ServerConfig, path: &str) -> Result<(), Failure> {
    microtome_server::init_logging(config.log_format, &config.log_filter);
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    // Whoever reads JSON reads nothing else; the log says the same.
    let talk = config.log_format == LogFormat::Text;
    microtome_server::run(config, |address| {
        if talk {
            complain(&format!("serving {scheme}://{}/{path} (Ctrl-C stops)", host_and_port(address)));
        }
    })
    .map_err(|error| {
        let causes = std::iter::successors(error.source(), |&cause| cause.source());
        Failure::Failed(causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}")))
    })
}

/// How a browser on this machine names an address.
fn host_and_port(address: SocketAddr) -> String {
    match address.ip().is_loopback() {
        true => format!("localhost:{}", address.port()),
        false => address.to_string(),
    }
}
