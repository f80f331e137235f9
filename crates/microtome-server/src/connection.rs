//! One connection, from accepted to closed: TLS or not, HTTP/1.1 or HTTP/2, and how long it may go on.
//!
//! Requests of viewers over HTTP/1.1 are for `viewers`; hyper speaks all else. Not here: what is answered (`routes`), and which
//! limits there are (`limits`).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use http::Request;
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::activity::{Activity, CountedBody, Overseer, Verdict};
use crate::body::Response;
use crate::limits::{self, Limits};
use crate::request_body::RequestBody;
use crate::stalled::StallGuard;
use crate::{tls, viewers};

/// How an HTTP/2 connection begins, and no HTTP/1.1 request does.
const HTTP2_START: &[u8] = b"PRI ";

/// Pause before looking again at a connection that began with less than that.
const PEEK_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

/// Why a connection ended otherwise than by its protocol's rules.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error("nothing was asked in time")]
    Silent,
    #[error("the peer takes nothing of the answers")]
    Stalled,
    #[error("the peer did not let itself be closed")]
    Unclosed,
    #[error("no beginning")]
    Opening(#[source] std::io::Error),
    #[error("the connection broke")]
    Broken(#[from] std::io::Error),
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

/// What all connections have in common.
pub(crate) struct Connector<A> {
    /// Answers requests, told how the connection's earlier answers fare.
    answer: A,
    /// Bytes of answers of all connections that are not sent yet.
    unsent_bytes: Arc<AtomicUsize>,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl<A, F> Connector<A>
where
    A: Fn(Request<RequestBody>, Arc<Activity>) -> F + Clone + Send + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    pub(crate) fn new(
        answer: A,
        unsent_bytes: Arc<AtomicUsize>,
        tls: Option<TlsAcceptor>,
        limits: Limits,
    ) -> Self {
        Self { answer, unsent_bytes, tls, limits, http1: http1(&limits), http2: http2(&limits) }
    }

    /// Serves a connection until one side ends it; soon after `stop` holds `true`, it is this side.
    pub(crate) async fn serve(
        &self,
        stream: TcpStream,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), Ended> {
        let deadline = self.limits.head;
        match &self.tls {
            None => {
                let protocol = in_time(deadline, &mut stop, protocol_of(&stream)).await?;
                let Some(protocol) = protocol else { return Ok(()) };
                self.speak(protocol, StallGuard::new(stream, self.limits.write_stall), stop).await
            }
            Some(tls) => {
                let stream = StallGuard::new(stream, self.limits.write_stall);
                let stream = in_time(deadline, &mut stop, tls.accept(stream)).await?;
                let Some(stream) = stream else { return Ok(()) };
                let http2 = stream.get_ref().1.alpn_protocol() == Some(tls::ALPN_HTTP2);
                let protocol = if http2 { Protocol::Http2 } else { Protocol::Http1 };
                self.speak(protocol, stream, stop).await
            }
        }
    }

    async fn speak<S>(
        &self,
        protocol: Protocol,
        stream: S,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Activity::among(&self.unsent_bytes);
        // Whoever speaks HTTP/1.1 connects anew at no great cost.
        let idle = if protocol == Protocol::Http1 { self.limits.head } else { self.limits.idle };
        let overseer = &mut Overseer::new(&activity, Limits { idle, ..self.limits }, Instant::now());
        match protocol {
            Protocol::Http1 => {
                let answer = |request: Request<_>| {
                    let making = activity.ask();
                    // Called in here: a future that was taken along would have its room twice, and be copied into the second.
                    async {
                        let request = request.map(Either::Right);
                        making.answered((self.answer)(request, Arc::clone(&activity)).await)
                    }
                };
                let viewers = viewers::converse(stream, answer, &activity);
                let rest = self.oversee(viewers, |_| activity.close(), overseer, &mut stop).await?;
                let Some(stream) = rest else { return Ok(()) };
                let connection = self.http1.serve_connection(TokioIo::new(stream), self.service(&activity));
                let close = http1::Connection::graceful_shutdown;
                Box::pin(self.oversee(connection, close, overseer, &mut stop)).await
            }
            Protocol::Http2 => {
                let connection = self.http2.serve_connection(TokioIo::new(stream), self.service(&activity));
                let close = http2::Connection::graceful_shutdown;
                Box::pin(self.oversee(connection, close, overseer, &mut stop)).await
            }
        }
    }

    /// The answers to the requests of one connection, for hyper.
    fn service(
        &self,
        activity: &Arc<Activity>,
    ) -> impl Service<
        Request<Incoming>,
        Response = http::Response<CountedBody>,
        Error = Infallible,
        Future: Send + 'static,
    > + use<A, F> {
        let (answer, activity) = (self.answer.clone(), Arc::clone(activity));
        service_fn(move |request: Request<_>| {
            let (making, answer, activity) = (activity.ask(), answer.clone(), Arc::clone(&activity));
            // Called in here: a future that was taken along would have its room twice, and be copied into the second.
            async move { Ok(making.answered(answer(request.map(Either::Left), activity).await)) }
        })
    }

    /// Lets `connection` go on until it ends, or is to be ended.
    async fn oversee<C, T, E>(
        &self,
        connection: C,
        close: impl Fn(Pin<&mut C>),
        overseer: &mut Overseer,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<T, Ended>
    where
        C: Future<Output = Result<T, E>>,
        Ended: From<E>,
    {
        let mut connection = std::pin::pin!(connection);
        let mut looks = interval_at(Instant::now() + self.limits.tick, self.limits.tick);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut closing: Option<Instant> = None;
        loop {
            let to_close = tokio::select! {
                biased;
                ended = &mut connection => return Ok(ended?),
                () = stopped(stop), if closing.is_none() => true,
                _ = looks.tick() => match overseer.look(Instant::now()) {
                    Verdict::Keep => false,
                    Verdict::Silent => return Err(Ended::Silent),
                    Verdict::Stalled => return Err(Ended::Stalled),
                    Verdict::Close => true,
                },
            };
            match closing {
                None if to_close => {
                    closing = Some(Instant::now());
                    close(connection.as_mut());
                }
                Some(begin) if begin.elapsed() >= self.limits.close => return Err(Ended::Unclosed),
                _ => {}
            }
        }
    }
}

pub(crate) fn http1(limits: &Limits) -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        // Without a timer hyper has no timeouts.
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_header_size(limits::MAX_HEADER_BYTES.into())
        .keep_alive(true);
    protocol
}

fn http2(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut protocol = http2::Builder::new(TokioExecutor::new());
    protocol
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::MAX_STREAMS)
        .max_header_list_size(limits::MAX_HEADER_BYTES.into())
        .max_pending_accept_reset_streams(limits::MAX_RESET_STREAMS)
        .max_local_error_reset_streams(limits::MAX_RESET_STREAMS)
        .initial_stream_window_size(limits::RECEIVE_WINDOW)
        .initial_connection_window_size(limits::RECEIVE_WINDOW)
        .keep_alive_interval(limits.ping)
        .keep_alive_timeout(limits.ping);
    protocol
}

/// What `opening` gives, or nothing if the server is to stop before.
async fn in_time<T>(
    deadline: std::time::Duration,
    stop: &mut watch::Receiver<bool>,
    opening: impl Future<Output = std::io::Result<T>>,
) -> Result<Option<T>, Ended> {
    tokio::select! {
        opened = timeout(deadline, opening) => match opened {
            Ok(opened) => opened.map(Some).map_err(Ended::Opening),
            Err(_elapsed) => Err(Ended::Silent),
        },
        () = stopped(stop) => Ok(None),
    }
}

/// Comes back when the server is to stop, or is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // The error says that the sender is gone: then there is no server to go on for.
    let _ = stop.wait_for(|&stop| stop).await;
}

/// The protocol that a peer begins to speak without TLS; waits for its first bytes, and leaves them where they are.
async fn protocol_of(stream: &TcpStream) -> std::io::Result<Protocol> {
    let mut start = [0; HTTP2_START.len()];
    loop {
        let length = stream.peek(&mut start).await?;
        let seen = &start[..length];
        if seen.is_empty() || !HTTP2_START.starts_with(seen) {
            return Ok(Protocol::Http1);
        }
        if seen == HTTP2_START {
            return Ok(Protocol::Http2);
        }
        sleep(PEEK_PAUSE).await;
    }
}
