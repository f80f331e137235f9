//! From settings to a running server and back: runtime, socket, connections, orderly end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Request;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::access::AccessError;
use crate::activity::Activity;
use crate::app::App;
use crate::body::Response;
use crate::config::ServerConfig;
use crate::connection::Connector;
use crate::error::Chain;
use crate::limits::{DRAIN, Limits, MAX_CONNECTIONS};
use crate::machine;
use crate::queue::REST;
use crate::readers::OTHER_THREADS;
use crate::request_body::RequestBody;
use crate::root::Root;
use crate::routes;
use crate::scheduling;
use crate::tls::{self, TlsError};

/// Pause after a connection could not be accepted, usually because all file descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Longest wait for file reads that nobody waits for any more.
const RUNTIME_END: Duration = Duration::from_secs(1);

/// Why a server could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Another program listens on the port.
    #[error("port {} of {} is in use: stop the program that uses it, or choose another port with --port", .0.port(), .0.ip())]
    PortInUse(SocketAddr),
    /// The address can't be listened on for another reason.
    #[error("cannot listen on {address}{}", remedy(source.kind()))]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The threads for HTTP could not be started.
    #[error("cannot start the threads for HTTP")]
    Runtime(#[source] std::io::Error),
    /// The threads for decoding could not be started.
    #[error("cannot start the threads for decoding")]
    Decoders(#[from] rayon::ThreadPoolBuildError),
    /// The signals that end the server can't be received.
    #[error("cannot receive signals")]
    Signals(#[source] std::io::Error),
    /// Certificate or key can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// What is to say who is let in can't be used.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The slides root is said to be a bucket, and can't be used.
    #[error(transparent)]
    Bucket(#[from] microtome_object::BucketError),
}

/// Serves the slides below `config.slides_root` until the process gets SIGTERM or SIGINT, then finishes the requests
/// in progress (at most 20 s; a second signal ends the wait) and returns.
///
/// Speaks HTTP/1.1 and HTTP/2, with TLS if `config` names certificate and key. Starts its own threads. `on_ready` is
/// called once, with the address bound, when connections are accepted.
///
/// # Errors
///
/// If the address can't be listened on, threads can't be started, or certificate and key, or the identity provider's keys in a
/// file, can't be used. A missing slides root is none: slides appear
/// when it does.
pub fn run(config: ServerConfig, on_ready: impl FnOnce(SocketAddr)) -> Result<(), ServerError> {
    machine::allow_files();
    let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
    let app = Arc::new(App::new(&config)?);
    let queue = Arc::clone(&app.pipeline.queue);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.tokio_workers.max(1))
        .max_blocking_threads(config.tokio_blocking_threads.max(1) + OTHER_THREADS)
        .thread_name("http")
        .on_thread_start(scheduling::begin)
        .on_thread_park(move || queue.rest(Instant::now(), REST))
        .enable_all()
        .build()
        .map_err(ServerError::Runtime)?;
    let outcome = runtime.block_on(async {
        let mut signals = Signals::new().map_err(ServerError::Signals)?;
        let listener = bind(SocketAddr::new(config.host, config.port)).await?;
        let address = listener.local_addr().map_err(|source| ServerError::Bind {
            address: SocketAddr::new(config.host, config.port),
            source,
        })?;
        announce(&config, address);
        tokio::spawn(app.upkeep());
        on_ready(address);
        let unsent_bytes = Arc::clone(&app.unsent_bytes);
        let answer = move |request, activity: Arc<Activity>| {
            let app = Arc::clone(&app);
            async move { routes::answer(&app, request, &activity).await }
        };
        let connector = Connector::new(answer, unsent_bytes, tls, Limits::default());
        let draining = serve(listener, connector, signals.next()).await;
        tracing::info!(
            connections = draining.receiver_count(),
            "stopping: no new connections, finishing requests"
        );
        tokio::select! {
            () = drain(draining) => {}
            () = signals.next() => tracing::warn!("told twice: requests in progress are dropped"),
        }
        Ok(())
    });
    runtime.shutdown_timeout(RUNTIME_END);
    outcome
}

fn announce(config: &ServerConfig, address: SocketAddr) {
    let ServerConfig { rayon_threads, tokio_workers, tokio_blocking_threads, .. } = *config;
    let ServerConfig { max_inflight_families, prefetch, cache_entries, cache_mb, .. } = *config;
    tracing::info!(
        rayon_threads,
        tokio_workers,
        tokio_blocking_threads,
        max_inflight_families,
        %prefetch,
        cache_entries,
        cache_mb,
        max_pixels = config.max_pixels,
        max_area = config.max_area,
        serve_labels = config.serve_labels,
        show_names = config.show_names,
        source_root = config.source_root.as_ref().map(|root| tracing::field::display(root.display())),
        base_url = config.base_url.as_deref(),
        timing_breakdown = config.timing_breakdown,
        auth_token = config.access.auth_token.is_some(),
        signing_keys = config.access.signing_keys.len(),
        jwt = config.access.jwt.is_some(),
        forward_auth = config.access.forward_auth.is_some(),
        instructions = microtome_codec::instructions(),
        "settings"
    );
    let slides_root = config.slides_root.display();
    let tls = config.tls.is_some();
    match std::fs::read_dir(&config.slides_root) {
        _ if Root::is_bucket(&config.slides_root) => tracing::info!(%slides_root, %address, tls, "serving"),
        Ok(_) => tracing::info!(%slides_root, %address, tls, "serving"),
        Err(_) if !config.slides_root.is_dir() => {
            tracing::warn!(%slides_root, %address, tls, "serving, but the slides root is no folder yet: no slides until it is");
        }
        Err(error) => {
            tracing::warn!(%slides_root, %address, tls, %error, "serving, but the slides root cannot be read: no slides until it can be");
        }
    }
    let behind_tls = config.base_url.as_ref().is_some_and(|url| url.starts_with("https:"));
    if config.access.is_on() && !tls && !behind_tls && !address.ip().to_canonical().is_loopback() {
        tracing::warn!(
            "credentials come over plain HTTP, where others on the line can read them: give --tls-cert and --tls-key, or put a \
             proxy with TLS before this server and its address in --base-url"
        );
    }
}

/// What to do where an address cannot be listened on.
fn remedy(kind: std::io::ErrorKind) -> &'static str {
    match kind {
        std::io::ErrorKind::PermissionDenied => {
            " (ports below 1024 are the system's: choose a --port from 1024 on, or allow this program lower ones)"
        }
        std::io::ErrorKind::AddrNotAvailable => {
            " (no interface of this machine has it: choose a --host of its own, or 0.0.0.0 or :: for all)"
        }
        std::io::ErrorKind::InvalidInput => {
            " (an address that begins with fe80: belongs to an interface, which cannot be named here: choose another --host)"
        }
        _ => "",
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => ServerError::PortInUse(address),
        _ => ServerError::Bind { address, source },
    })
}

/// Accepts connections until `stop`, and hands back what ends those that are still open: each holds a receiver.
async fn serve<A, F>(
    listener: TcpListener,
    connector: Connector<A>,
    stop: impl Future<Output = ()>,
) -> watch::Sender<bool>
where
    A: Fn(Request<RequestBody>, Arc<Activity>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let connector = Arc::new(connector);
    let connections = watch::Sender::new(false);
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, slot) = tokio::select! {
            biased;
            () = &mut stop => return connections,
            accepted = accept(&listener, &slots) => accepted,
        };
        let (connector, stopped) = (Arc::clone(&connector), connections.subscribe());
        tokio::spawn(async move {
            if let Err(error) = connector.serve(stream, stopped).await {
                tracing::debug!(error = %Chain(&error), "connection ended");
            }
            drop(slot);
        });
    }
}

/// The next connection, once there is a slot for it.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed: there always is a permit in the end.
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _peer)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "connection without TCP_NODELAY");
                }
                return (stream, slot);
            }
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn drain(connections: watch::Sender<bool>) {
    connections.send_replace(true);
    if tokio::time::timeout(DRAIN, connections.closed()).await.is_err() {
        tracing::warn!(seconds = DRAIN.as_secs(), "requests still in progress are dropped");
    }
}

/// The signals that tell a server to stop.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {})
    }

    async fn next(&mut self) {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(%error, "cannot receive Ctrl-C");
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test]
    async fn an_address_that_cannot_be_had_says_what_to_do() {
        // For documentation: RFC 5737.
        let strange = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 0));
        let message = bind(strange).await.expect_err("nobody has it").to_string();
        assert!(message.contains("192.0.2.1:0") && message.contains("--host"), "{message}");
        let taken = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("some port");
        let error = bind(taken.local_addr().expect("an address")).await.expect_err("it is taken");
        assert!(matches!(error, ServerError::PortInUse(_)));
    }
}
