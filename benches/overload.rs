//! What the built server answers when more is asked of it than it can make, and how long that takes.
//!
//! The server has one core, its clients have the others: one thread, so that what a client of many threads costs whoever
//! wakes them is not counted as the server's. Requests are due at a fixed rate, whatever became of those before, and
//! times are counted from when they were due; each takes the connection that was free last, what is due while 256 are
//! busy waits for one. Each asks for another tile of level 0, the cache is off. The first fifth of a run is not counted: a
//! flood is noticed in it.
//!
//! `cargo bench --bench overload`; the colon slide where it is (`MICROTOME_TEST_DATA`), else a synthetic one.

#![allow(clippy::print_stdout, reason = "printing the table is what it is for")]

mod support;
#[path = "../tests/support/mod.rs"]
mod test_support;

use std::process::Command;
use std::time::{Duration, Instant};

use microtome_slide::Slide;
use support::{is_measuring, path, request, shuffled_tiles};
use test_support::{Server, contain, folder, shared_data};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Connections that find out how much the server can make, each asking when it has its answer.
const CLOSED: usize = 16;
/// Connections of those who ask at a fixed rate.
const OPEN: usize = 256;

fn main() {
    let duration = Duration::from_millis(if is_measuring() { 8000 } else { 200 });
    let root = folder();
    let source = is_measuring().then(|| shared_data("slide/melanosiscoli_HE_20x/HE.dzi")).flatten();
    let source = source.as_deref().map_or("synthetic:4096x3072", test_support::path);
    let slide = Slide::open(&contain(root.path(), "slide.mtm", source)).expect("a fresh container opens");
    let tiles = shuffled_tiles(&slide, 0);
    let requests: Vec<_> = tiles.into_iter().map(|tile| request(&path(&slide, "slide", tile), "")).collect();
    let server =
        Server::start(root.path(), &["--cache-mb", "0", "--rayon-threads", "1", "--tokio-workers", "1"]);
    if !(pin(server.pid(), "0") && pin(std::process::id(), "1-1023")) {
        println!("server and clients share all cores: taskset is missing, or there is one core");
    }

    println!(
        "{:<16} {:>8} {:>10} {:>8} {:>10} {:>8} {:>8} {:>9} {:>14}",
        "", "asked/s", "answered/s", "of peak", "refused/s", "P50 ms", "P99 ms", "of 0.7's", "refused P99 ms"
    );
    let most = drive(server.port, &requests, CLOSED, None, duration);
    let peak = most.per_second(&most.answered);
    most.print("16 connections", peak, None);
    let mut usual = None;
    for times in [0.7, 1.0, 2.0, 5.0] {
        let run = drive(server.port, &requests, OPEN, Some(times * peak), duration);
        run.print(&format!("{times:.1} of that"), peak, usual);
        usual = usual.or(Some(percentile(&run.answered, 99)));
    }
}

/// Has all threads of a process run on these cores only.
fn pin(process: u32, cores: &str) -> bool {
    let mut command = Command::new("taskset");
    command.args(["-a", "-c", "-p", cores, &process.to_string()]);
    command.output().is_ok_and(|output| output.status.success())
}

/// Milliseconds, in ascending order, of the answers of one run.
struct Run {
    answered: Vec<f64>,
    refused: Vec<f64>,
    seconds: f64,
}

impl Run {
    fn per_second(&self, answers: &[f64]) -> f64 {
        answers.len() as f64 / self.seconds
    }

    fn print(&self, name: &str, peak: f64, usual: Option<f64>) {
        let [answered, refused] = [&self.answered, &self.refused].map(|answers| self.per_second(answers));
        let p99 = percentile(&self.answered, 99);
        println!(
            "{name:<16} {:>8.0} {answered:>10.0} {:>8.2} {refused:>10.0} {:>8.1} {p99:>8.1} {:>9} {:>14.1}",
            answered + refused,
            answered / peak,
            percentile(&self.answered, 50),
            usual.map_or_else(String::new, |usual| format!("{:.1}", p99 / usual)),
            percentile(&self.refused, 99)
        );
    }
}

/// 0 of none.
fn percentile(sorted: &[f64], p: usize) -> f64 {
    sorted.get(sorted.len() * p / 100).copied().unwrap_or_default()
}

/// Sends the requests in turn, so many a second, or whenever a connection has its answer.
fn drive(port: u16, requests: &[String], connections: usize, rate: Option<f64>, duration: Duration) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let answers = async {
        let (mut idle, mut asking, mut times) = (vec![], JoinSet::new(), vec![]);
        for _ in 0..connections {
            let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the server listens");
            stream.set_nodelay(true).expect("a TCP socket");
            idle.push(Connection(BufReader::with_capacity(64 << 10, stream)));
        }
        let start = Instant::now();
        for (number, request) in requests.iter().cycle().enumerate() {
            let due = rate.map(|rate| start + Duration::from_secs_f64(number as f64 / rate));
            if due.unwrap_or_else(Instant::now) >= start + duration {
                break;
            }
            // Spins, since it has a core for itself and timers are too coarse.
            while idle.is_empty() || due.is_some_and(|due| Instant::now() < due) {
                tokio::task::yield_now().await;
                while let Some(answer) = asking.try_join_next() {
                    let (connection, answer) = answer.expect("a client ends well");
                    idle.push(connection);
                    times.push(answer);
                }
            }
            let mut connection: Connection = idle.pop().expect("one is idle");
            let (due, request) = (due.unwrap_or_else(Instant::now), request.clone());
            asking.spawn(async move {
                let status = connection.ask(&request).await;
                assert!(status == 200 || status == 503, "{status}");
                (connection, Answer { status, due, time: due.elapsed() })
            });
        }
        times.extend(asking.join_all().await.into_iter().map(|(_, answer)| answer));
        (start, times)
    };
    let (start, mut times) = runtime.block_on(answers);
    let counted = start + duration / 5;
    let seconds = counted.elapsed().as_secs_f64();
    times.retain(|answer: &Answer| answer.due >= counted);
    times.sort_by_key(|answer| answer.time);
    let of = |status| {
        let some = times.iter().filter(|answer| answer.status == status);
        some.map(|answer| answer.time.as_secs_f64() * 1e3).collect()
    };
    Run { answered: of(200), refused: of(503), seconds }
}

struct Answer {
    status: u16,
    due: Instant,
    /// From when it was due.
    time: Duration,
}

/// A kept-alive connection.
struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Sends a request and reads the whole answer; gives the status.
    async fn ask(&mut self, request: &str) -> u16 {
        self.0.get_mut().write_all(request.as_bytes()).await.expect("the server reads");
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let line = head.len();
            assert!(self.0.read_line(&mut head).await.expect("the server answers") > 0, "closed");
            if let Some((_, value)) = head[line..].split_once("ontent-length: ") {
                length = value.trim_end().parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.expect("the server answers");
        head.get(9..12).and_then(|digits| digits.parse().ok()).expect("a status line")
    }
}
