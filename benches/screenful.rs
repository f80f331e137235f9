//! How long a viewer waits for a full screen: 45 tiles of level 0 of 6 families, asked for at once over one HTTP/2
//! connection, until the last is there. 20 screens that have no family in common, so that each tile is cold.
//!
//! `cargo bench --bench screenful`; the colon slide where it is (`MICROTOME_TEST_DATA`), else a synthetic one.

#![allow(clippy::print_stdout, reason = "the figure is what it is for")]

mod support;
#[path = "../tests/support/mod.rs"]
mod test_support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use microtome_slide::{Slide, TileId};
use support::{is_measuring, path};
use test_support::{Server, contain, folder, shared_data};

/// Tiles across and down a screen; two families down and three across where it begins with one.
const SCREEN: [u32; 2] = [9, 5];
/// From one screen to the next, in tiles: whole families.
const STRIDE: [u32; 2] = [12, 8];
const SCREENS: usize = 20;
/// Of HTTP/2: what browsers allow each answer, and all of a connection.
const WINDOWS: [u32; 2] = [6 << 20, 15 << 20];

fn main() {
    let root = folder();
    let source = is_measuring().then(|| shared_data("slide/melanosiscoli_HE_20x/HE.dzi")).flatten();
    let synthetic = if is_measuring() { "synthetic:14173x11212" } else { "synthetic:3072x2048" };
    let source = source.as_deref().map_or(synthetic, test_support::path);
    let slide = Slide::open(&contain(root.path(), "slide.mtm", source)).expect("a fresh container opens");
    let server = Server::start(root.path(), &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut times = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", server.port)).await.expect("it listens");
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(WINDOWS[0]).initial_connection_window_size(WINDOWS[1]);
        let (client, connection) = builder.handshake(stream).await.expect("HTTP/2 without TLS");
        tokio::spawn(connection);
        let mut times = vec![];
        for screen in screens(&slide) {
            // As between two views: what went on behind the last one has ended.
            tokio::time::sleep(Duration::from_millis(if is_measuring() { 300 } else { 0 })).await;
            times.push(time_until_last(&client, &screen).await);
        }
        times
    });
    times.sort_by(f64::total_cmp);
    let [first, median, last] = [0, times.len() / 2, times.len() - 1].map(|at| times[at]);
    println!("{} screens: median {median:.1} ms, shortest {first:.1}, longest {last:.1}", times.len());
}

/// The tiles' paths, screen by screen.
fn screens(slide: &Slide) -> Vec<Vec<String>> {
    let grid = slide.levels()[0];
    let starts = |tiles: u32, axis: usize| {
        (0..).map(move |i| i * STRIDE[axis]).take_while(move |start| start + SCREEN[axis] <= tiles)
    };
    let of = |column: u32, row: u32| {
        let tiles = (0..SCREEN[1]).flat_map(|y| (0..SCREEN[0]).map(move |x| (column + x, row + y)));
        tiles.map(|(column, row)| path(slide, "slide", TileId { level: 0, column, row })).collect()
    };
    let places =
        starts(grid.rows(), 1).flat_map(|row| starts(grid.columns(), 0).map(move |column| (column, row)));
    places.take(SCREENS).map(|(column, row)| of(column, row)).collect()
}

/// Milliseconds from the first request to the last byte of the last answer.
async fn time_until_last(client: &SendRequest<Bytes>, paths: &[String]) -> f64 {
    let start = Instant::now();
    let mut answers = vec![];
    for path in paths {
        let mut client = client.clone().ready().await.expect("room for a stream");
        let request = hyper::Request::get(format!("http://localhost{path}")).body(()).expect("a path");
        answers.push(client.send_request(request, true).expect("the server reads").0);
    }
    // All of them read as they come: a body that nobody takes would keep its window.
    let bodies: Vec<_> = answers.into_iter().map(|answer| tokio::spawn(read(answer))).collect();
    for body in bodies {
        assert!(body.await.expect("no panic") > 0, "a tile is not empty");
    }
    start.elapsed().as_secs_f64() * 1e3
}

/// The length of an answer's body.
async fn read(answer: h2::client::ResponseFuture) -> usize {
    let answer = answer.await.expect("the server answers");
    assert_eq!(answer.status(), 200);
    let (mut body, mut length) = (answer.into_body(), 0);
    while let Some(data) = body.data().await {
        let data = data.expect("the body arrives");
        length += data.len();
        body.flow_control().release_capacity(data.len()).expect("what was received");
    }
    length
}
