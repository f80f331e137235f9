//! From settings to a running server and back: runtime, socket, connections, orderly end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::app::App;
use crate::config::ServerConfig;
use crate::routes::router;
use crate::stalled::StallGuard;

/// Connections at a time; further ones wait in the socket's backlog.
const MAX_CONNECTIONS: usize = 2048;

/// Longest wait for the head of a request, also of the next one on a kept connection.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time in which a peer may take nothing of an answer. Slow ones that go on reading are left alone.
const WRITE_STALL: Duration = Duration::from_secs(20);

/// Longest head of a request in bytes, its first line included.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Longest wait for requests in progress when the server is told to stop.
const DRAIN: Duration = Duration::from_secs(20);

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
    #[error("cannot listen on {address}")]
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
}

/// Serves the slides below `config.slides_root` until the process gets SIGTERM or SIGINT, then finishes the requests
/// in progress (at most 20 s; a second signal ends the wait) and returns.
///
/// Starts its own threads. `on_ready` is called once, with the address bound, when connections are accepted.
///
/// # Errors
///
/// If the address can't be listened on or threads can't be started. A missing slides root is none: slides appear
/// when it does.
pub fn run(config: ServerConfig, on_ready: impl FnOnce(SocketAddr)) -> Result<(), ServerError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.tokio_workers.max(1))
        .max_blocking_threads(config.tokio_blocking_threads.max(1))
        .thread_name("http")
        .enable_all()
        .build()
        .map_err(ServerError::Runtime)?;
    let app = Arc::new(App::new(&config)?);
    let outcome = runtime.block_on(async {
        let mut signals = Signals::new().map_err(ServerError::Signals)?;
        let listener = bind(SocketAddr::new(config.host, config.port)).await?;
        let address = listener.local_addr().map_err(|source| ServerError::Bind {
            address: SocketAddr::new(config.host, config.port),
            source,
        })?;
        announce(&config, address);
        on_ready(address);
        let draining = serve(listener, router(app), signals.next()).await;
        tracing::info!(connections = draining.count(), "stopping: no new connections, finishing requests");
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
    tracing::info!(?config, "settings");
    let slides_root = config.slides_root.display();
    if config.slides_root.is_dir() {
        tracing::info!(%slides_root, %address, "serving");
    } else {
        tracing::warn!(%slides_root, %address, "serving, but the slides root is no folder yet: no slides until it is");
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => ServerError::PortInUse(address),
        _ => ServerError::Bind { address, source },
    })
}

/// Accepts connections until `stop`, and hands back those that are still open.
async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) -> GracefulShutdown {
    let connections = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let protocol = protocol();
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, slot) = tokio::select! {
            biased;
            () = &mut stop => return connections,
            accepted = accept(&listener, &slots) => accepted,
        };
        let service = TowerToHyperService::new(router.clone());
        let stream = TokioIo::new(StallGuard::new(stream, WRITE_STALL));
        let connection = connections.watch(protocol.serve_connection(stream, service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
            drop(slot);
        });
    }
}

fn protocol() -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        // Without a timer hyper has no timeouts.
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .max_header_size(MAX_HEADER_BYTES)
        .keep_alive(true);
    protocol
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

async fn drain(connections: GracefulShutdown) {
    if tokio::time::timeout(DRAIN, connections.shutdown()).await.is_err() {
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
    use std::error::Error;
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn a_peer_that_asks_and_never_reads_is_ended() {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port");
        let mut peer =
            std::net::TcpStream::connect(listener.local_addr().expect("an address")).expect("a peer");
        peer.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("a request");
        let (stream, _slot) = accept(&listener, &Arc::new(Semaphore::new(1))).await;
        // More than the buffers of both ends hold.
        let large = Router::new().fallback(|| async { vec![0_u8; 64 << 20] });
        let stream = TokioIo::new(StallGuard::new(stream, Duration::from_millis(200)));
        let connection = protocol().serve_connection(stream, TowerToHyperService::new(large));
        let ended = tokio::time::timeout(Duration::from_secs(30), connection).await;
        let error = ended.expect("an end").expect_err("a stalled write");
        let source = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
        assert_eq!(source.expect("an I/O error").kind(), std::io::ErrorKind::TimedOut);
    }
}
