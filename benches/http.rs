//! What the built server answers per second, and how long a client waits.
//!
//! One and eight keep-alive connections ask for a tile from the cache, for stored and derived tiles with the cache
//! off, and with `If-None-Match` for 304. The limit, in the same run with the same clients: a server of a few lines
//! that has each whole answer in a hash map, a thread per connection. Clients and server share the machine, so the
//! figures are of both.
//!
//! `cargo bench --bench http`, or shorter `cargo bench --bench http -- --quick`

#![allow(clippy::print_stdout, reason = "printing the table is what it is for")]

mod support;
#[path = "../tests/support/mod.rs"]
mod test_support;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::{Connection, SyntheticSlide, densest_tile, is_measuring, path, request, shuffled_tiles};
use test_support::Server;

const CONNECTIONS: [usize; 2] = [1, 8];

/// Requests of one kind, to be sent in turn.
struct Case {
    name: &'static str,
    port: u16,
    requests: Vec<String>,
}

fn main() {
    let quick = !is_measuring() || std::env::args().any(|argument| argument == "--quick");
    let duration = Duration::from_millis(if quick { 50 } else { 1000 });
    let file = SyntheticSlide::new(12_288, 9216);
    let slide = file.open();
    let cached = Server::start(file.folder(), &[]);
    let uncached = Server::start(file.folder(), &["--cache-mb", "0"]);

    let hot = path(&slide, "synthetic", densest_tile(&slide, 0));
    let etag = http_head(&ask(cached.port, &request(&hot, "")), "etag");
    let of_level = |level| -> Vec<String> {
        shuffled_tiles(&slide, level)
            .into_iter()
            .map(|tile| request(&path(&slide, "synthetic", tile), ""))
            .collect()
    };
    let cases = [
        Case { name: "hot tile", port: cached.port, requests: vec![request(&hot, "")] },
        Case { name: "stored tiles", port: uncached.port, requests: of_level(0) },
        Case { name: "derived tiles", port: uncached.port, requests: of_level(1) },
        Case {
            name: "304",
            port: cached.port,
            requests: vec![request(&hot, &format!("If-None-Match: {etag}\r\n"))],
        },
    ];
    println!(
        "{:<14} {:>11} {:>9} | {:>11} {:>9} {:>9} | {:>11} {:>9} {:>9} | {:>6}",
        "",
        "connections",
        "bytes",
        "requests/s",
        "P50 us",
        "P99 us",
        "limit req/s",
        "P50 us",
        "P99 us",
        "ratio"
    );
    for case in &cases {
        let answers: HashMap<_, _> =
            case.requests.iter().map(|request| (request.clone(), ask(case.port, request))).collect();
        let bytes = answers.values().map(Vec::len).sum::<usize>() / answers.len();
        let limit = limit_server(answers);
        for connections in CONNECTIONS {
            let measured = drive(case.port, &case.requests, connections, duration);
            let at_best = drive(limit, &case.requests, connections, duration);
            println!(
                "{:<14} {connections:>11} {bytes:>9} | {measured} | {at_best} | {:>6.2}",
                case.name,
                measured.per_second / at_best.per_second
            );
        }
    }
}

/// Throughput and latency of one run.
struct Measured {
    per_second: f64,
    p50: Duration,
    p99: Duration,
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [p50, p99] = [self.p50, self.p99].map(|time| time.as_secs_f64() * 1e6);
        write!(f, "{:>11.0} {p50:>9.0} {p99:>9.0}", self.per_second)
    }
}

/// Sends the requests over and over for `duration`; connection k begins at its own place in the list.
fn drive(port: u16, requests: &[String], connections: usize, duration: Duration) -> Measured {
    let start = Instant::now();
    let mut latencies: Vec<Duration> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..connections)
            .map(|k| {
                let own = requests.iter().cycle().skip(k * requests.len() / connections);
                scope.spawn(move || {
                    let mut connection = Connection::open(port);
                    let (mut latencies, mut answer) = (vec![], vec![]);
                    for request in own {
                        let begin = Instant::now();
                        demand(&mut connection, request, &mut answer);
                        latencies.push(begin.elapsed());
                        if start.elapsed() >= duration {
                            break;
                        }
                    }
                    latencies
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client ends well")).collect()
    });
    let seconds = start.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let percentile = |p: usize| latencies[(latencies.len() * p / 100).min(latencies.len() - 1)];
    Measured { per_second: latencies.len() as f64 / seconds, p50: percentile(50), p99: percentile(99) }
}

/// Asks, and wants a tile or 304.
fn demand(connection: &mut Connection, request: &str, answer: &mut Vec<u8>) {
    let status = connection.ask(request, answer);
    assert!(status == 200 || status == 304, "{status}: {request}");
}

/// The answer to a single request.
fn ask(port: u16, request: &str) -> Vec<u8> {
    let mut answer = vec![];
    demand(&mut Connection::open(port), request, &mut answer);
    answer
}

fn http_head(answer: &[u8], name: &str) -> String {
    let text = String::from_utf8_lossy(answer);
    let mut lines = text.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).expect("the header is there").1.to_owned()
}

/// The limit: answers from a hash map, a thread per connection. Runs until the process ends.
fn limit_server(answers: HashMap<String, Vec<u8>>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let answers = Arc::new(answers);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answers = Arc::clone(&answers);
            std::thread::spawn(move || {
                stream.set_nodelay(true).expect("a TCP socket");
                let mut stream = BufReader::new(stream);
                let mut request = String::new();
                while stream.read_line(&mut request).is_ok_and(|bytes| bytes > 0) {
                    if request.ends_with("\r\n\r\n") {
                        if stream.get_mut().write_all(&answers[&request]).is_err() {
                            return;
                        }
                        request.clear();
                    }
                }
            });
        }
    });
    port
}
