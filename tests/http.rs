//! The server's HTTP as clients see it: HTTP/1.1 and HTTP/2, in the clear and over TLS, with friendly and hostile peers,
//! to the end. The built binary, curl, and HTTP/2 by hand.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use support::{Server, fail, folder, skipped, succeed};

/// Bound of all waits: much longer than the server's own limits.
const LONG: Duration = Duration::from_secs(120);

fn ingest(root: &Path, name: &str) -> microtome_slide::Slide {
    let path = root.join(name);
    succeed(["ingest", "synthetic:600x400", "-o", path.to_str().unwrap()]);
    microtome_slide::Slide::open(&path).unwrap()
}

/// Writes a new certificate for `localhost` and its key; gives the flags that name them.
fn tls_flags(folder: &Path) -> [String; 4] {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    ["--tls-cert".into(), cert.display().to_string(), "--tls-key".into(), key.display().to_string()]
}

/// curl as a client of one server in one protocol.
struct Curl {
    base: String,
    flags: &'static [&'static str],
    version: &'static str,
}

impl Curl {
    fn is_there() -> bool {
        let version = Command::new("curl").arg("--version").output();
        let there = version.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains("HTTP2"));
        if !there {
            skipped("curl with HTTP/2 is not there");
        }
        there
    }

    /// Status, headers with lower-case names, body.
    fn ask(&self, path: &str, more: &[&str]) -> (u16, Vec<(String, String)>, Vec<u8>) {
        let mut command = Command::new("curl");
        command.args(["-s", "-S", "-i", "--path-as-is", "--max-time", "60"]).args(self.flags).args(more);
        let output = command.arg(format!("{}{path}", self.base)).output().unwrap();
        assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
        let end = output.stdout.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&output.stdout[..end]).unwrap();
        let mut lines = head.lines();
        let first: Vec<_> = lines.next().unwrap().split(' ').collect();
        assert_eq!(first[0], self.version, "{path}");
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
        (first[1].parse().unwrap(), headers.collect(), output.stdout[end + 4..].to_vec())
    }
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

#[test]
fn the_contract_holds_in_both_protocols_with_and_without_tls() {
    if !Curl::is_there() {
        return;
    }
    let (root, keys) = (folder(), folder());
    let id = ingest(root.path(), "a.mtm").content_id().to_string();
    std::fs::write(root.path().join("foreign.mtm"), b"not a container").unwrap();
    let plain = Server::start(root.path(), &[]);
    let tls = Server::start(root.path(), &tls_flags(keys.path()).each_ref().map(String::as_str));
    let (http, https) =
        (format!("http://localhost:{}", plain.port), format!("https://localhost:{}", tls.port));
    for (base, flags, version) in [
        (&http, &["--http1.1"][..], "HTTP/1.1"),
        (&http, &["--http2-prior-knowledge"], "HTTP/2"),
        (&https, &["-k", "--http1.1"], "HTTP/1.1"),
        (&https, &["-k", "--http2"], "HTTP/2"),
    ] {
        let curl = Curl { base: base.clone(), flags, version };
        caching(&curl, &id);
        errors(&curl);
        ids(&curl);
    }
}

fn caching(curl: &Curl, content_id: &str) {
    let path = "/tiles/a/10/0_0.jpg";
    let (status, first, body) = curl.ask(path, &[]);
    let etag = header(&first, "etag").unwrap();
    assert_eq!((status, header(&first, "cache-control")), (200, Some("public, no-cache")));
    let (status, headers, nothing) = curl.ask(path, &["-H", &format!("If-None-Match: {etag}")]);
    assert_eq!((status, nothing.len(), header(&headers, "etag")), (304, 0, Some(etag)));
    assert_eq!(header(&headers, "access-control-allow-origin"), Some("*"));
    let (_, headers, again) = curl.ask(&format!("{path}?v={}", &content_id[..16]), &[]);
    assert!(header(&headers, "cache-control").unwrap().contains("immutable") && again == body);
    let (status, headers, nothing) = curl.ask(path, &["-I"]);
    assert_eq!((status, nothing.len()), (200, 0));
    assert_eq!(header(&headers, "content-length"), Some(body.len().to_string().as_str()));
    let preflight = ["-X", "OPTIONS", "-H", "Origin: http://a", "-H", "Access-Control-Request-Method: GET"];
    let (status, headers, _) = curl.ask(path, &preflight);
    assert_eq!(status, 200);
    assert!(header(&headers, "access-control-allow-methods").unwrap().contains("HEAD"));
}

fn errors(curl: &Curl) {
    let small = "x".repeat(100);
    for (path, more, status) in [
        ("/nothing", &[][..], 404),
        ("/tiles/a/99/0_0.jpg", &[], 404),
        ("/tiles/a/x/0_0.jpg", &[], 400),
        ("/tiles/../secret/0/0_0.jpg", &[], 400),
        ("/tiles/foreign/0/0_0.jpg", &[], 500),
        ("/healthz", &["-X", "DELETE"], 405),
        ("/healthz", &["--data", &small], 405),
        ("/healthz", &["-X", "GET", "--data", &small], 200),
    ] {
        let (answered, headers, _) = curl.ask(path, more);
        assert_eq!(answered, status, "{path} {}", curl.version);
        assert_eq!(header(&headers, "access-control-allow-origin"), Some("*"), "{path}");
        assert_eq!(header(&headers, "x-content-type-options"), Some("nosniff"), "{path}");
        if status == 405 {
            assert_eq!(header(&headers, "allow"), Some("GET, HEAD, OPTIONS"), "{path}");
        }
    }
}

fn ids(curl: &Curl) {
    let (_, headers, _) = curl.ask("/healthz", &["-H", "X-Request-Id: mine-1"]);
    assert_eq!(header(&headers, "x-request-id"), Some("mine-1"));
    let (_, headers, _) = curl.ask("/nothing", &["-H", "X-Request-Id: not mine {}"]);
    let made = header(&headers, "x-request-id").unwrap().to_owned();
    assert!(!made.is_empty() && !made.contains(' '), "{made}");
    let (_, headers, _) = curl.ask("/healthz", &[]);
    assert_ne!(header(&headers, "x-request-id").unwrap(), made, "each request has its own");
}

#[test]
fn a_body_that_says_it_is_long_is_refused_before_it_comes() {
    let root = folder();
    let server = Server::start(root.path(), &[]);
    let mut peer = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    peer.set_read_timeout(Some(LONG)).unwrap();
    peer.write_all(b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n").unwrap();
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 413 ") && answer.contains("access-control-allow-origin: *"),
        "{answer}"
    );
    in_time(async {
        let (mut client, _connection) = http2(server.port, 65_535).await;
        let mut request = get("/healthz");
        request.headers_mut().insert("content-length", "100000".parse().unwrap());
        let (answer, _body_that_never_comes) = client.send_request(request, false).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 413);
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        let (answer, _) = client.send_request(get("/healthz"), true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 200, "other requests go on");
    });
}

#[test]
fn bad_certificates_are_named_before_anything_is_served() {
    let (root, keys) = (folder(), folder());
    let [cert_flag, cert, key_flag, key] = &tls_flags(keys.path());
    let absent = keys.path().join("absent.pem").display().to_string();
    let root = root.path().to_str().unwrap();
    for (cert, key, named) in [
        (&absent, key, "absent.pem cannot be read"),
        (cert, &absent, "absent.pem cannot be read"),
        (key, key, "key.pem: holds no certificate"),
        (cert, cert, "cert.pem: holds no private key"),
    ] {
        let line = fail(1, ["serve", "--slides-root", root, "--port", "0", cert_flag, cert, key_flag, key]);
        assert!(line.contains(named), "{line}");
    }
    let half = support::microtome(["serve", "--slides-root", root, "--port", "0", cert_flag, cert]);
    assert_eq!(half.status.code(), Some(2), "a certificate is nothing without its key");
}

#[test]
fn peers_that_send_too_little_or_read_nothing_are_ended_and_others_served() {
    let (root, keys) = (folder(), folder());
    ingest(root.path(), "a.mtm");
    let plain = Server::start(root.path(), &[]);
    let tls = Server::start(root.path(), &tls_flags(keys.path()).each_ref().map(String::as_str));
    std::thread::scope(|scope| {
        for (port, start) in [
            (plain.port, &b""[..]),
            (plain.port, b"GET /healthz HTTP/1.1\r\nHost: x\r\nA"),
            (plain.port, b"PR"),
            (plain.port, b"PRI * HTTP/2.0\r\n\r\nSM"),
            (tls.port, b""),
            (tls.port, &[22, 3, 1, 2, 0, 1, 0]),
        ] {
            scope.spawn(move || is_ended_in_silence(port, start));
        }
        scope.spawn(|| is_ended_unread(plain.port));
        scope.spawn(|| is_ended_without_room(plain.port));
        for _ in 0..20 {
            assert_eq!(plain.get("/tiles/a/10/0_0.jpg").status, 200);
        }
    });
    assert_eq!(plain.get("/healthz").status, 200);
}

/// Sends the beginning of something, and sees that the server does not wait for the rest.
fn is_ended_in_silence(port: u16, start: &[u8]) {
    let mut peer = TcpStream::connect(("127.0.0.1", port)).unwrap();
    peer.set_read_timeout(Some(LONG)).unwrap();
    peer.write_all(start).unwrap();
    match peer.read_to_end(&mut vec![]) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        _ => {}
    }
}

/// Asks by HTTP/1.1 again and again and never reads, until the server has had enough.
fn is_ended_unread(port: u16) {
    let mut peer = TcpStream::connect(("127.0.0.1", port)).unwrap();
    peer.set_nonblocking(true).unwrap();
    let begin = Instant::now();
    loop {
        assert!(begin.elapsed() < LONG, "a peer that never reads is kept");
        match peer.write(&b"GET /assets/viewer.js HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(100));
            }
            Err(_reset) => return,
        }
    }
}

/// Asks by HTTP/2, and makes no room for any body.
fn is_ended_without_room(port: u16) {
    in_time(async {
        let (mut client, connection) = http2(port, 0).await;
        let mut answers = vec![];
        for _ in 0..20 {
            let (answer, _) = client.send_request(get("/tiles/a/10/0_0.jpg"), true).unwrap();
            let answer = answer.await.unwrap();
            assert_eq!(answer.status(), 200);
            answers.push(answer);
        }
        // However it comes to the client: the connection ends, though it answers pings.
        let _ = connection.await.unwrap();
    });
}

/// A peer that reads one answer now and then, and none of the large ones that it asks for.
#[test]
fn answers_that_nobody_reads_are_not_kept_without_end() {
    let root = folder();
    support::contain(root.path(), "a.mtm", "synthetic:1500x1100");
    let server = Server::start(root.path(), &[]);
    let unsent = || {
        let answer = server.get("/metrics");
        let line = answer
            .text()
            .lines()
            .find_map(|line| line.strip_prefix("microtome_unsent_bytes ").map(str::to_owned));
        line.expect("a metric").parse::<usize>().unwrap()
    };
    in_time(async {
        let (mut client, connection) = http2(server.port, 0).await;
        let mut bodies = vec![];
        for x in 0..80 {
            client = client.ready().await.unwrap();
            let address = format!("/region/a.png?x={x}&y=0&w=1400&h=1000");
            let (answer, _) = client.send_request(get(&address), true).unwrap();
            bodies.push(answer.await.unwrap());
            if bodies.last().unwrap().status() != 200 {
                break;
            }
        }
        assert_eq!(bodies.pop().unwrap().status(), 503, "{} are kept", bodies.len());
        let kept = unsent();
        assert!((1 << 20..=33 << 20).contains(&kept), "{kept}");
        assert_eq!(server.get("/region/a.png?x=1&y=0&w=1400&h=1000").status, 200, "others get theirs");
        drop((bodies, client));
        let _ = connection.await.unwrap();
    });
    let end = std::time::Instant::now() + LONG;
    while unsent() > 1 << 16 {
        assert!(std::time::Instant::now() < end, "{}", unsent());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

fn get(path: &str) -> hyper::Request<()> {
    hyper::Request::get(format!("http://localhost{path}")).body(()).unwrap()
}

type Driver = tokio::task::JoinHandle<Result<(), h2::Error>>;

/// An HTTP/2 client that makes so much room for each body.
async fn http2(port: u16, window: u32) -> (h2::client::SendRequest<Bytes>, Driver) {
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut builder = h2::client::Builder::new();
    let (client, connection) = builder.initial_window_size(window).handshake(stream).await.unwrap();
    (client, tokio::spawn(connection))
}

fn in_time<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LONG, future).await.expect("no hanging") })
}

#[test]
fn sigterm_finishes_requests_and_says_goodbye_to_the_rest() {
    let root = folder();
    let server = Server::start(root.path(), &[]);
    let connect = || {
        let peer = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        peer.set_read_timeout(Some(LONG)).unwrap();
        peer
    };
    // A connection that was used and is kept, and one with a request in progress: its body is not all there.
    let (mut kept, mut busy) = (connect(), connect());
    kept.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    kept.read_exact(&mut [0; 12]).unwrap();
    busy.write_all(
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n12",
    )
    .unwrap();
    let mut begun = [0; 25];
    busy.read_exact(&mut begun).unwrap();
    assert_eq!(&begun, b"HTTP/1.1 100 Continue\r\n\r\n");
    in_time(async {
        let (mut client, connection) = http2(server.port, 65_535).await;
        let (answer, _) = client.send_request(get("/healthz"), true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 200);
        support::signal(server.pid(), "TERM");
        connection.await.unwrap().expect("GOAWAY without an error, then the end");
    });
    let mut rest = String::new();
    kept.read_to_string(&mut rest).unwrap();
    busy.write_all(b"34").unwrap();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"), "{answer}");
    assert_eq!(server.terminate(), Some(0));
}

/// What a server with these flags logs of ten tiles and a failure, line by line.
fn log_of_some_requests(flags: &[&str]) -> Vec<String> {
    let root = folder();
    ingest(root.path(), "a.mtm");
    std::fs::write(root.path().join("foreign.mtm"), b"not a container").unwrap();
    let server = Server::start(root.path(), flags);
    for _ in 0..10 {
        assert_eq!(server.get("/tiles/a/10/0_0.jpg").status, 200);
    }
    let failed = server.request("GET", "/tiles/foreign/0/0_0.jpg", &[("X-Request-Id", "failed-1")]);
    assert_eq!((failed.status, failed.header("x-request-id")), (500, Some("failed-1")));
    support::signal(server.pid(), "TERM");
    server.log.iter().collect()
}

#[test]
fn a_failure_is_logged_with_its_id_and_a_tile_not_at_all() {
    let lines = log_of_some_requests(&["--log-format", "json"]);
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    let errors: Vec<_> = lines.iter().filter(|line| line["level"] == "ERROR").collect();
    assert_eq!(errors.len(), 1, "{lines:?}");
    assert_eq!(errors[0]["request_id"], "failed-1");
    assert_eq!(errors[0]["path"], "/tiles/foreign/0/0_0.jpg");
    assert!(errors[0]["error"].as_str().unwrap().contains("foreign"), "{errors:?}");
    assert!(
        lines.iter().all(|line| !line["path"].as_str().unwrap_or("").starts_with("/tiles/a")),
        "{lines:?}"
    );

    let text = log_of_some_requests(&[]);
    assert_eq!(text.iter().filter(|line| line.contains("failed-1")).count(), 1, "{text:?}");
    assert!(!text.iter().any(|line| line.contains("/tiles/a")), "{text:?}");
}

#[test]
fn at_debug_level_each_request_has_its_line() {
    let lines = log_of_some_requests(&["--log-level", "debug"]);
    assert_eq!(lines.iter().filter(|line| line.contains("/tiles/a/10/0_0.jpg")).count(), 10, "{lines:?}");
    let silent = log_of_some_requests(&["--log-level", "off"]);
    assert!(!silent.iter().any(|line| line.contains("failed-1")), "{silent:?}");
    let wrong = support::microtome(["serve", "--log-level", "loud"]);
    assert_eq!(wrong.status.code(), Some(2));
}
