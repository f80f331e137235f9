//! `microtome serve`: the tile server, also without the word.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::ArgAction;
use clap::builder::BoolishValueParser;
use microtome_server::{
    AccessConfig, JwtConfig, LogFilter, LogFormat, Prefetch, Secret, SecretError, ServerConfig, ServerError,
    TlsFiles,
};

use crate::failure::{Failure, complain};
use crate::settings::{self, whole_number};

/// Defaults for the machine it runs on.
static MACHINE: LazyLock<ServerConfig> = LazyLock::new(ServerConfig::default);

/// Longest side that libjpeg writes.
const MAX_SIDE: u32 = 65_500;

/// Bounds of each number of threads.
const THREADS: RangeInclusive<u64> = 1..=1024;

/// Serve the slides below a folder.
///
/// Each flag can also be an environment variable or a key of the file: docs/configuration.md.
#[derive(clap::Args)]
#[command(arg = settings::file_argument())]
pub(crate) struct Arguments {
    /// Folder whose .mtm files are served, at any depth, or s3://BUCKET/PREFIX; new files appear by themselves.
    #[arg(long, env = "MICROTOME_SLIDES_ROOT", value_name = "DIR", default_value = ".")]
    slides_root: PathBuf,
    /// Folder of the Deep Zoom folders that the slides were made from, each under its slide's name: the viewer compares both.
    #[arg(long, env = "MICROTOME_SOURCE_ROOT", value_name = "DIR")]
    source_root: Option<PathBuf>,
    /// Titles and addresses of pages name slides; without it, pages alone do, and addresses have pseudonyms.
    #[arg(long, env = "MICROTOME_SHOW_NAMES", value_name = "BOOL", default_value_t = false)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    #[arg(value_parser = BoolishValueParser::new())]
    show_names: bool,
    /// Address to listen on: this machine only unless you say otherwise.
    #[arg(long, env = "MICROTOME_HOST", default_value_t = MACHINE.host, value_parser = host)]
    host: IpAddr,
    /// TCP port; 0 lets the system choose.
    #[arg(long, env = "MICROTOME_PORT", default_value_t = MACHINE.port)]
    #[arg(value_parser = whole_number::<u16>(0..=65_535))]
    port: u16,
    /// Threads that decode tiles: one per core unless you say otherwise.
    #[arg(long, env = "MICROTOME_RAYON_THREADS", value_name = "N", default_value_t = MACHINE.rayon_threads)]
    #[arg(value_parser = whole_number::<usize>(THREADS))]
    rayon_threads: usize,
    /// Threads that speak HTTP: half the cores, at least 2.
    #[arg(long, env = "MICROTOME_TOKIO_WORKERS", value_name = "N", default_value_t = MACHINE.tokio_workers)]
    #[arg(value_parser = whole_number::<usize>(THREADS))]
    tokio_workers: usize,
    /// Threads that read files, at most: 4 per core, at least 8.
    #[arg(long, env = "MICROTOME_TOKIO_BLOCKING_THREADS", value_name = "N", default_value_t = MACHINE.tokio_blocking_threads)]
    #[arg(value_parser = whole_number::<usize>(THREADS))]
    tokio_blocking_threads: usize,
    /// What is made in the background once a cold tile was answered: none, family or neighbours.
    #[arg(long, env = "MICROTOME_PREFETCH", value_name = "WHAT", default_value_t = MACHINE.prefetch)]
    prefetch: Prefetch,
    /// Families made in the background at the same time, at most: one per core.
    #[arg(long, env = "MICROTOME_MAX_INFLIGHT_FAMILIES", value_name = "N", default_value_t = MACHINE.max_inflight_families)]
    #[arg(value_parser = whole_number::<usize>(1..=65_536))]
    max_inflight_families: usize,
    /// Tiles in the cache, at most; 0 turns the cache off.
    #[arg(long, env = "MICROTOME_CACHE_ENTRIES", value_name = "N", default_value_t = MACHINE.cache_entries)]
    #[arg(value_parser = whole_number::<u64>(0..=1_000_000_000))]
    cache_entries: u64,
    /// Megabytes (MiB) of tiles in the cache, at most; 0 turns the cache off.
    #[arg(long, env = "MICROTOME_CACHE_MB", value_name = "N", default_value_t = MACHINE.cache_mb)]
    #[arg(value_parser = whole_number::<u64>(0..=1 << 20))]
    cache_mb: u64,
    /// Longest side of a picture made on request (IIIF, /region), in pixels.
    #[arg(long, env = "MICROTOME_MAX_PIXELS", value_name = "N", default_value_t = MACHINE.max_pixels)]
    #[arg(value_parser = whole_number::<u32>(256..=u64::from(MAX_SIDE)))]
    max_pixels: u32,
    /// Pixels of a picture made on request, at most: 4096 x 4096.
    #[arg(long, env = "MICROTOME_MAX_AREA", value_name = "N", default_value_t = MACHINE.max_area)]
    #[arg(value_parser = whole_number::<u64>(65_536..=1 << 28))]
    max_area: u64,
    /// Give out labels and macros, on which names may be read.
    #[arg(long, env = "MICROTOME_SERVE_LABELS", value_name = "BOOL", default_value_t = false)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    #[arg(value_parser = BoolishValueParser::new())]
    serve_labels: bool,
    /// Tell how long each stage of a tile took: Server-Timing header and histograms in /metrics.
    #[arg(long, env = "MICROTOME_TIMING_BREAKDOWN", value_name = "BOOL", default_value_t = false)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    #[arg(value_parser = BoolishValueParser::new())]
    timing_breakdown: bool,
    /// Address that clients know the server by, as in https://wsi.example.org/tiles: for documents with addresses in them.
    /// Without it, it is what a proxy says, or the request.
    #[arg(long, env = "MICROTOME_BASE_URL", value_name = "URL", value_parser = base_url)]
    base_url: Option<String>,
    /// Token that lets in whoever shows it, to all slides: the text itself, or @FILE for the line in a file. A command line
    /// is seen by every user of the machine: better a file or the variable.
    #[arg(long, env = "MICROTOME_AUTH_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    auth_token: Option<String>,
    /// Key of signed addresses, which `microtome sign` makes: the text itself, or @FILE.
    #[arg(long, env = "MICROTOME_SIGNING_KEY", value_name = "KEY", hide_env_values = true)]
    signing_key: Option<String>,
    /// The key before it, whose addresses are good until they expire.
    #[arg(long, env = "MICROTOME_PREVIOUS_SIGNING_KEY", value_name = "KEY", hide_env_values = true)]
    previous_signing_key: Option<String>,
    /// Keys of the identity provider whose JSON Web Tokens are good, a JWK set.
    #[arg(long, env = "MICROTOME_JWT_JWKS", value_name = "FILE|URL")]
    jwt_jwks: Option<String>,
    /// For whom these tokens are to be (claim aud).
    #[arg(long, env = "MICROTOME_JWT_AUDIENCE", value_name = "NAME")]
    jwt_audience: Option<String>,
    /// From whom these tokens are to be (claim iss).
    #[arg(long, env = "MICROTOME_JWT_ISSUER", value_name = "NAME")]
    jwt_issuer: Option<String>,
    /// Service that is asked whether a request may pass, if it shows nothing of the above.
    #[arg(long, env = "MICROTOME_FORWARD_AUTH", value_name = "URL", value_parser = web_address)]
    forward_auth: Option<String>,
    /// Let in everyone who can reach the server, also from other machines.
    #[arg(long, env = "MICROTOME_PUBLIC", value_name = "BOOL", default_value_t = false)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    #[arg(value_parser = BoolishValueParser::new())]
    public: bool,
    /// PEM file with the certificate, then those that vouch for it: HTTPS instead of HTTP.
    #[arg(long, env = "MICROTOME_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// PEM file with the certificate's private key.
    #[arg(long, env = "MICROTOME_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// How log lines are written: text, or json, one object a line.
    #[arg(long, env = "MICROTOME_LOG_FORMAT", value_name = "FORMAT", default_value_t)]
    log_format: LogFormat,
    /// Which log lines are written: error, warn, info, debug, trace or off; or by target, as in
    /// warn,microtome_server=debug.
    #[arg(long, env = "MICROTOME_LOG_LEVEL", value_name = "FILTER", default_value_t)]
    log_level: LogFilter,
}

impl Arguments {
    /// Refuses what no parser of a single value can see.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let root = &self.slides_root;
        if root.is_file() {
            let what = "--slides-root is to be a folder of .mtm files, this is a file";
            return Err(Failure::Usage(format!("{}: {what}", root.display())));
        }
        if let Some(root) = self.source_root.as_ref().filter(|root| !root.is_dir()) {
            return Err(Failure::Usage(format!(
                "{}: --source-root is to be a folder that is there",
                root.display()
            )));
        }
        self.tls()?;
        let guarded = self.access()?.is_on();
        if guarded && self.public {
            let what =
                "--public lets in everyone, and the other settings of access do not: leave one of them out";
            return Err(Failure::Usage(what.to_owned()));
        }
        if self.forward_auth.is_some() && self.base_url.is_none() {
            let what = "--forward-auth needs --base-url: the other service decides by the address that it is told, and what \
                        requests call this server anyone can write";
            return Err(Failure::Usage(what.to_owned()));
        }
        if !guarded && !self.public && !is_this_machine(self.host) {
            return Err(Failure::Usage(format!(
                "--host {} can be reached from other machines, and nothing says who may see the slides: give --auth-token, \
                 --signing-key, --jwt-jwks or --forward-auth (docs/access.md), or --public if everyone may",
                self.host
            )));
        }
        Ok(())
    }

    /// Who is let in.
    fn access(&self) -> Result<AccessConfig, Failure> {
        let secret = |flag: &str, text: &Option<String>, read: fn(&str) -> Result<Secret, SecretError>| {
            let read = text.as_deref().map(read).transpose();
            read.map_err(|error| Failure::Usage(format!("{flag}: {error}")))
        };
        let current = secret("--signing-key", &self.signing_key, Secret::read_key)?;
        let previous = secret("--previous-signing-key", &self.previous_signing_key, Secret::read_key)?;
        if current.is_none() && previous.is_some() {
            let what = "--previous-signing-key is for what the key before --signing-key signed: give --signing-key too";
            return Err(Failure::Usage(what.to_owned()));
        }
        let jwt = self.jwt_jwks.clone().map(|jwks| JwtConfig {
            jwks,
            audience: self.jwt_audience.clone(),
            issuer: self.jwt_issuer.clone(),
        });
        if jwt.is_none() && (self.jwt_audience.is_some() || self.jwt_issuer.is_some()) {
            let what = "--jwt-audience and --jwt-issuer are about tokens: give --jwt-jwks too";
            return Err(Failure::Usage(what.to_owned()));
        }
        Ok(AccessConfig {
            auth_token: secret("--auth-token", &self.auth_token, Secret::read_key)?,
            signing_keys: current.into_iter().chain(previous).collect(),
            jwt,
            forward_auth: self.forward_auth.clone(),
        })
    }

    /// Certificate and key: both or none, wherever they were set.
    fn tls(&self) -> Result<Option<TlsFiles>, Failure> {
        match (self.tls_cert.clone(), self.tls_key.clone()) {
            (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key })),
            (None, None) => Ok(None),
            (Some(_), None) => {
                Err(Failure::Usage("--tls-cert goes with --tls-key: give both or neither".to_owned()))
            }
            (None, Some(_)) => {
                Err(Failure::Usage("--tls-key goes with --tls-cert: give both or neither".to_owned()))
            }
        }
    }

    fn config(&self) -> Result<ServerConfig, Failure> {
        Ok(ServerConfig {
            slides_root: self.slides_root.clone(),
            source_root: self.source_root.clone(),
            show_names: self.show_names,
            host: self.host,
            port: self.port,
            rayon_threads: self.rayon_threads,
            tokio_workers: self.tokio_workers,
            tokio_blocking_threads: self.tokio_blocking_threads,
            max_inflight_families: self.max_inflight_families,
            prefetch: self.prefetch,
            cache_entries: self.cache_entries,
            cache_mb: self.cache_mb,
            max_pixels: self.max_pixels,
            max_area: self.max_area,
            timing_breakdown: self.timing_breakdown,
            serve_labels: self.serve_labels,
            base_url: self.base_url.clone(),
            access: self.access()?,
            tls: self.tls()?,
            log_format: self.log_format,
            log_filter: self.log_level.clone(),
        })
    }
}

/// Reads an address to listen on. Of names only the one that means the same everywhere: what others resolve to may change, and
/// whether it is this machine decides who may be let in.
fn host(text: &str) -> Result<IpAddr, String> {
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    let address: IpAddr = text.parse().map_err(|_not_one| {
        "not an IP address: 127.0.0.1 or localhost is this machine, 0.0.0.0 every IPv4 address of it"
            .to_owned()
    })?;
    if address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return Err("not the address of one machine: nobody can connect to it".to_owned());
    }
    Ok(address)
}

/// Whether an address to listen on is reached from this machine alone.
fn is_this_machine(host: IpAddr) -> bool {
    host.to_canonical().is_loopback()
}

/// Reads `http(s)://host[:port][/path][?query]`.
fn web_address(text: &str) -> Result<String, String> {
    let address = text.split_once('?').map_or(text, |(address, _)| address);
    base_url(address).map(|_address| text.to_owned())
}

/// Reads `http(s)://host[:port][/path]`.
pub(crate) fn base_url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%:[]/".contains(&byte);
    match rest {
        Some(rest) if !rest.starts_with('/') && !rest.is_empty() && rest.bytes().all(plain) => {
            Ok(text.to_owned())
        }
        _ => Err("not an address like https://wsi.example.org/tiles".to_owned()),
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    arguments.check()?;
    serve(arguments.config()?, "")
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
        if let ServerError::Bucket(error) = error {
            return error.into();
        }
        let causes = std::iter::successors(error.source(), |&cause| cause.source());
        Failure::Failed(causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}")))
    })
}

/// How a browser on this machine names an address.
fn host_and_port(address: SocketAddr) -> String {
    // The name may mean the other family's address too, where nobody listens.
    match address.ip() == Ipv4Addr::LOCALHOST {
        true => format!("localhost:{}", address.port()),
        false => address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_names_only_localhost_is_a_host() {
        for text in ["localhost", "LocalHost", "127.0.0.1"] {
            assert_eq!(host(text), Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)), "{text}");
        }
        assert_eq!(host("::1"), Ok("::1".parse().expect("an address")));
        assert!(host("example.org").is_err_and(|what| what.contains("localhost")));
    }

    #[test]
    fn only_loopback_is_this_machine() {
        for host in ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(is_this_machine(host.parse().expect("an address")), "{host}");
        }
        for host in
            ["0.0.0.0", "::", "::ffff:0.0.0.0", "::ffff:10.0.0.1", "10.0.0.1", "169.254.1.1", "fe80::1"]
        {
            assert!(!is_this_machine(host.parse().expect("an address")), "{host}");
        }
    }
}
