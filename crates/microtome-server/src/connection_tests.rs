//! Connections over real sockets: peers that send too little, take too little or ask too much, and the orderly end.
//! Limits are short here; waits are bounded only against hanging.

use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Request, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot, watch};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::{TlsAcceptor, TlsConnector, rustls};

use crate::body::{Body, Response};
use crate::connection::{Connector, Ended};
use crate::limits::{self, Limits};
use crate::request_body::RequestBody;
use crate::tls::{self, TlsFiles};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// A server for one connection.
struct Server {
    address: SocketAddr,
    ended: oneshot::Receiver<Result<(), Ended>>,
    stop: watch::Sender<bool>,
}

impl Server {
    async fn start<A, F>(answer: A, tls: Option<TlsAcceptor>, limits: Limits) -> Self
    where
        A: Fn(Request<RequestBody>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = watch::Sender::new(false);
        let (sender, ended) = oneshot::channel();
        let answer = move |request, _| answer(request);
        let connector = Connector::new(answer, Arc::default(), tls, limits);
        let stopped = stop.subscribe();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a connection");
            // A test that has seen enough is gone.
            let _ = sender.send(connector.serve(stream, stopped).await);
        });
        Self { address, ended, stop }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    /// An HTTP/2 client whose streams get `window` bytes ahead.
    async fn http2(
        &self,
        window: u32,
    ) -> (SendRequest<Bytes>, tokio::task::JoinHandle<Result<(), h2::Error>>) {
        let mut builder = h2::client::Builder::new();
        let client = builder.initial_window_size(window).handshake(self.connect().await);
        let (client, connection) = client.await.expect("a handshake");
        (client, tokio::spawn(connection))
    }

    async fn end(self) -> Result<(), Ended> {
        within(self.ended).await.expect("no panic")
    }
}

/// The result of what must not hang.
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("no hanging")
}

fn short() -> Limits {
    let moment = Duration::from_millis(400);
    let tick = Duration::from_millis(20);
    Limits { head: moment, idle: moment, write_stall: moment, close: moment, tick, ..Limits::default() }
}

fn request(path: &str) -> Request<()> {
    Request::get(format!("http://localhost{path}")).body(()).expect("a request")
}

/// Answers everything with `body`.
fn always(body: impl Into<Bytes>) -> impl Fn(Request<RequestBody>) -> Ready<Response> + Clone + Send + Sync {
    let body = body.into();
    move |_request| ready(Response::new(Body::of(body.clone())))
}

fn hello() -> impl Fn(Request<RequestBody>) -> Ready<Response> + Clone + Send + Sync {
    always("hello")
}

fn large() -> impl Fn(Request<RequestBody>) -> Ready<Response> + Clone + Send + Sync {
    always(vec![7; 64 << 20])
}

/// A certificate for `localhost`: what the server makes of it, and a client that trusts it and speaks `protocols`.
fn pair(protocols: &[&[u8]]) -> (TlsAcceptor, TlsConnector) {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let folder = tempfile::tempdir().expect("a folder");
    let files = TlsFiles { cert: folder.path().join("c.pem"), key: folder.path().join("k.pem") };
    std::fs::write(&files.cert, pair.cert.pem()).expect("a file");
    std::fs::write(&files.key, pair.signing_key.serialize_pem()).expect("a file");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&files.cert).expect("PEM")).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    (tls::acceptor(&files).expect("a good pair"), TlsConnector::from(Arc::new(config)))
}

#[tokio::test]
async fn peers_that_send_too_little_are_ended() {
    // The head of a request that says more is to come, and then nothing comes.
    let half_a_head = [&[0, 0, 1, 1, 0, 0, 0, 0, 1][..], &[0x82]].concat();
    let (tls, _) = pair(&[]);
    for (tls, start) in [
        (None, vec![]),
        (None, b"P".to_vec()),
        (None, b"PRI".to_vec()),
        (None, PREFACE[..20].to_vec()),
        (None, PREFACE.to_vec()),
        (None, [PREFACE, SETTINGS].concat()),
        (None, [PREFACE, SETTINGS, &half_a_head].concat()),
        (None, b"GET / HT".to_vec()),
        (None, b"GET / HTTP/1.1\r\nHost: x\r\nA: ".to_vec()),
        (Some(tls.clone()), vec![]),
        (Some(tls.clone()), vec![22, 3, 1, 2, 0, 1]),
    ] {
        let server = Server::start(hello(), tls, short()).await;
        let mut peer = server.connect().await;
        peer.write_all(&start).await.expect("a start");
        let mut answer = vec![];
        // Cut off is as good as closed.
        let _ = within(peer.read_to_end(&mut answer)).await;
        assert!(server.end().await.is_err(), "{}", String::from_utf8_lossy(&start));
    }
}

#[tokio::test]
async fn a_kept_connection_without_a_request_is_closed() {
    // With HTTP/1.1 it is the limit of heads that counts, also where hyper has taken over.
    for more in ["", "Expect: nothing\r\n"] {
        let limits = Limits { idle: Duration::from_secs(600), ..short() };
        let server = Server::start(hello(), None, limits).await;
        let mut peer = server.connect().await;
        let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{more}\r\n");
        peer.write_all(request.as_bytes()).await.expect("a request");
        let mut answer = String::new();
        within(peer.read_to_string(&mut answer)).await.expect("an end");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
    }

    let server = Server::start(hello(), None, short()).await;
    let (mut client, connection) = server.http2(65_535).await;
    let (answer, _) = client.send_request(request("/"), true).expect("a request");
    assert_eq!(within(answer).await.expect("an answer").status(), StatusCode::OK);
    within(connection).await.expect("no panic").expect("a friendly end");
    server.end().await.expect("a friendly end");
}

#[tokio::test]
async fn an_http1_peer_that_asks_and_never_reads_is_ended() {
    let server = Server::start(large(), None, short()).await;
    let mut peer = server.connect().await;
    peer.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("a request");
    server.end().await.expect_err("a stall");
}

#[tokio::test]
async fn an_http2_peer_that_makes_no_room_is_ended_though_it_answers_pings() {
    for (length, window) in [(5, 0), (5, 1), (1 << 18, 65_535)] {
        let limits = Limits { ping: Duration::from_millis(100), ..short() };
        let server = Server::start(always(vec![7; length]), None, limits).await;
        let (mut client, connection) = server.http2(window).await;
        let mut answers = vec![];
        for _ in 0..10 {
            let (answer, _) = client.send_request(request("/"), true).expect("a request");
            answers.push(within(answer).await.expect("a head"));
        }
        assert!(matches!(server.end().await, Err(Ended::Stalled)), "window of {window}");
        // However the client sees it: the connection is over.
        let _ = within(connection).await.expect("no panic");
        drop(answers);
    }
}

#[tokio::test]
async fn an_http2_peer_that_reads_nothing_at_all_is_ended() {
    let server = Server::start(large(), None, short()).await;
    let mut peer = server.connect().await;
    // Room for everything, but nobody reads.
    let window = [0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0, 0, 0];
    let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff];
    let start = [PREFACE, &settings, &window, &head_of_a_request(1)].concat();
    peer.write_all(&start).await.expect("a request");
    server.end().await.expect_err("a stall");
}

#[tokio::test]
async fn a_slow_reader_is_left_alone() {
    let limits = Limits { write_stall: Duration::from_secs(3), ..short() };
    let server = Server::start(always(vec![7; 400_000]), None, limits).await;
    let (mut client, _connection) = server.http2(10_000).await;
    let (answer, _) = client.send_request(request("/"), true).expect("a request");
    let mut body = within(answer).await.expect("a head").into_body();
    let mut length = 0;
    while let Some(piece) = within(body.data()).await {
        let piece = piece.expect("a piece").len();
        length += piece;
        // Twice as long in all as a stall may be.
        tokio::time::sleep(Duration::from_secs(6).mul_f64(piece as f64 / 400_000.0)).await;
        body.flow_control().release_capacity(piece).expect("room");
    }
    assert_eq!(length, 400_000);
}

/// A whole HTTP/2 request, `GET /`.
fn head_of_a_request(stream: u32) -> Vec<u8> {
    let fields = [0x82, 0x84, 0x86, 0x41, 1, b'x'];
    [&[0, 0, 6, 1, 5][..], &stream.to_be_bytes(), &fields].concat()
}

#[tokio::test]
async fn rapid_resets_send_the_peer_away() {
    const CALM: [u8; 4] = [0, 0, 0, 11];
    let server = Server::start(hello(), None, short()).await;
    let mut peer = server.connect().await;
    let mut burst = [PREFACE, SETTINGS].concat();
    for stream in (1..2000).step_by(2) {
        burst.extend(head_of_a_request(stream));
        burst.extend([&[0, 0, 4, 3, 0][..], &stream.to_be_bytes(), &[0, 0, 0, 8]].concat());
    }
    // It may be cut off in the middle.
    let _ = peer.write_all(&burst).await;
    let mut answer = vec![];
    let _ = within(peer.read_to_end(&mut answer)).await;
    let ended = server.end().await;
    let calmed = answer.windows(4).any(|code| code == CALM);
    assert!(ended.is_err() && calmed, "{ended:?}");
}

#[tokio::test]
async fn heads_and_streams_are_bounded() {
    let long = "x".repeat(usize::from(limits::MAX_HEADER_BYTES));
    let server = Server::start(hello(), None, Limits::default()).await;
    let mut peer = server.connect().await;
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\nA: {long}\r\n\r\n");
    peer.write_all(head.as_bytes()).await.expect("a request");
    let mut answer = [0; 12];
    within(peer.read_exact(&mut answer)).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 431");

    let server = Server::start(hello(), None, Limits::default()).await;
    let (mut client, _connection) = server.http2(65_535).await;
    let (answer, _) = client.send_request(request("/"), true).expect("a request");
    within(answer).await.expect("an answer, so the settings are known");
    assert_eq!(client.current_max_send_streams(), limits::MAX_STREAMS as usize);
    let mut request = request("/");
    request.headers_mut().insert("a", long.parse().expect("a value"));
    let (answer, _) = client.send_request(request, true).expect("a request");
    let status = within(answer).await.map(|answer| answer.status());
    assert!(!matches!(status, Ok(StatusCode::OK)), "{status:?}");
}

#[tokio::test]
async fn told_to_stop_it_finishes_what_was_asked() {
    for http2 in [false, true] {
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = {
            let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
            move |_request| {
                let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
                async move {
                    begun.notify_one();
                    go_on.notified().await;
                    Response::new(Body::of("done"))
                }
            }
        };
        let server = Server::start(slow, None, Limits::default()).await;
        if http2 {
            let (mut client, connection) = server.http2(65_535).await;
            let (answer, _) = client.send_request(request("/"), true).expect("a request");
            within(begun.notified()).await;
            server.stop.send_replace(true);
            go_on.notify_one();
            let mut answer = within(answer).await.expect("an answer").into_body();
            assert_eq!(within(answer.data()).await.expect("a body").expect("a piece"), "done");
            drop((answer, client));
            within(connection).await.expect("no panic").expect("a friendly end");
        } else {
            let mut peer = server.connect().await;
            peer.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("a request");
            within(begun.notified()).await;
            server.stop.send_replace(true);
            go_on.notify_one();
            let mut answer = String::new();
            within(peer.read_to_string(&mut answer)).await.expect("an end");
            assert!(answer.ends_with("done"), "{answer}");
        }
        server.end().await.expect("a friendly end");
    }
}

#[tokio::test]
async fn told_to_stop_it_waits_for_nobody_who_has_not_asked() {
    let (tls, _) = pair(&[]);
    for tls in [None, Some(tls)] {
        let server = Server::start(hello(), tls, Limits::default()).await;
        let _peer = server.connect().await;
        server.stop.send_replace(true);
        server.end().await.expect("a friendly end");
    }
}

#[tokio::test]
async fn told_to_stop_it_ends_connections_that_are_kept() {
    let server = Server::start(hello(), None, Limits::default()).await;
    let mut peer = server.connect().await;
    peer.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("a request");
    let mut answer = vec![];
    while !answer.ends_with(b"hello") {
        assert!(within(peer.read_buf(&mut answer)).await.expect("an answer") > 0);
    }
    server.stop.send_replace(true);
    assert_eq!(within(peer.read_buf(&mut answer)).await.expect("an end"), 0);
    server.end().await.expect("a friendly end");
}

#[tokio::test]
async fn tls_agrees_on_the_best_protocol_of_both() {
    for (offered, agreed) in [
        (&[b"h2".as_slice(), b"http/1.1"][..], Some(&b"h2"[..])),
        (&[b"http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let (acceptor, connector) = pair(offered);
        let server = Server::start(hello(), Some(acceptor), Limits::default()).await;
        let name = ServerName::try_from("localhost").expect("a name");
        let mut stream = within(connector.connect(name, server.connect().await)).await.expect("a handshake");
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed);
        if agreed == Some(b"h2") {
            let (mut client, connection) = h2::client::handshake(stream).await.expect("a handshake");
            tokio::spawn(connection);
            let (answer, _) = client.send_request(request("/"), true).expect("a request");
            assert_eq!(within(answer).await.expect("an answer").status(), StatusCode::OK);
        } else {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("a request");
            let mut answer = [0; 12];
            within(stream.read_exact(&mut answer)).await.expect("an answer");
            assert_eq!(&answer, b"HTTP/1.1 200");
        }
    }
}
