//! What many slides cost: how soon the first tile comes with 10,000 below the root, and how much memory a server holds
//! that has answered random requests over 50 slides until its cache of 256 MB is full, and goes on.
//!
//! The slides are one container under many names. `cargo bench --bench many_slides` asks 100,000 times; `-- --million`
//! a million times, some ten minutes. The colon slide where it is (`MICROTOME_TEST_DATA`), else a synthetic one.

#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

mod support;
#[path = "../tests/support/mod.rs"]
mod test_support;

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use microtome_slide::{Slide, TileId};
use support::{Connection, is_measuring, path, request, shuffled_tiles};
use test_support::{Server, contain, folder, shared_data};

/// Slides below the root where the start is timed.
const BELOW_ROOT: u32 = 10_000;
/// How often the server is started for each figure.
const STARTS: u32 = 7;
/// Slides that are asked for tiles.
const ASKED: u32 = 50;
/// Levels whose tiles are asked for, all tiles alike.
const LEVELS: u8 = 3;
const CONNECTIONS: u32 = 8;

fn main() {
    first_tile(if is_measuring() { BELOW_ROOT } else { 10 });
    let million = std::env::args().any(|argument| argument == "--million");
    memory(match (is_measuring(), million) {
        (false, _) => 200,
        (true, false) => 100_000,
        (true, true) => 1_000_000,
    });
}

/// Prints what a server with so many slides takes from the start of the process to a tile, and to the list of all slides.
fn first_tile(count: u32) {
    let (root, outside) = (folder(), folder());
    let container = contain(outside.path(), "slide.mtm", "synthetic:1024x768");
    give_names(&container, root.path(), count);
    let slide = Slide::open(&container).expect("a fresh container opens");
    let wanted = path(&slide, &name(count / 2), TileId { level: 0, column: 0, row: 0 });
    let of = |wanted: &str| {
        let mut times: Vec<f64> = (0..STARTS)
            .map(|_| {
                let start = Instant::now();
                let server = Server::start(root.path(), &[]);
                let mut answer = vec![];
                let status = Connection::open(server.port).ask(&request(wanted, ""), &mut answer);
                assert_eq!(status, 200, "{wanted}");
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    println!("{count} slides, from the start of the process, medians of {STARTS}:");
    println!("  first tile    {:>6.0} ms", of(&wanted));
    println!("  /slides       {:>6.0} ms", of("/slides"));
}

/// Prints what a server holds as it answers so many requests.
fn memory(requests: u32) {
    let (root, outside) = (folder(), folder());
    let source = is_measuring().then(|| shared_data("slide/melanosiscoli_HE_20x/HE.dzi")).flatten();
    let synthetic = if is_measuring() { "synthetic:14173x11212" } else { "synthetic:1024x768" };
    let source = source.as_deref().map_or(synthetic, test_support::path);
    let container = contain(outside.path(), "slide.mtm", source);
    give_names(&container, root.path(), ASKED);
    let slide = Slide::open(&container).expect("a fresh container opens");
    let tiles: Vec<_> = (0..LEVELS).flat_map(|level| shuffled_tiles(&slide, level)).collect();
    let server = Server::start(root.path(), &["--cache-mb", "256"]);
    let resident = || metric(server.port, "microtome_resident_memory_bytes ") / 1e6;
    println!("random tiles of {ASKED} slides:");
    println!("  {:>9} requests {:>6.0} MB", 0, resident());
    for tenth in 1..=10 {
        ask_at_random(server.port, &slide, &tiles, tenth, requests / 10);
        println!("  {:>9} requests {:>6.0} MB", tenth * (requests / 10), resident());
    }
    println!("  of that cached       {:>6.0} MB", metric(server.port, "microtome_cache_bytes ") / 1e6);
}

/// Sends so many requests, from another place in the order of random numbers for each `round`.
fn ask_at_random(port: u16, slide: &Slide, tiles: &[TileId], round: u32, requests: u32) {
    let next = AtomicU32::new(0);
    let client = || {
        let mut connection = Connection::open(port);
        let mut answer = vec![];
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= requests {
                return;
            }
            // SplitMix64: the same requests in every run, whichever connection sends which.
            let mut random = u64::from(round) << 32 | u64::from(number);
            random = random.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            random = (random ^ random >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            random = (random ^ random >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
            random ^= random >> 31;
            let tile = tiles[(random >> 32) as usize % tiles.len()];
            let slide_name = name(random as u32 % ASKED);
            let status = connection.ask(&request(&path(slide, &slide_name, tile), ""), &mut answer);
            assert_eq!(status, 200, "{slide_name}, {tile:?}");
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(client);
        }
    });
}

fn name(number: u32) -> String {
    format!("slide-{number}")
}

/// Gives a container so many names in a folder.
fn give_names(container: &Path, folder: &Path, count: u32) {
    for number in 0..count {
        let path = folder.join(name(number) + ".mtm");
        std::fs::hard_link(container, path).expect("both are temporary folders, of one disk");
    }
}

/// The value of a metric, by all that stands before it.
fn metric(port: u16, before: &str) -> f64 {
    let mut answer = vec![];
    Connection::open(port).ask(&request("/metrics", ""), &mut answer);
    let text = String::from_utf8_lossy(&answer);
    let value = text.lines().find_map(|line| line.strip_prefix(before));
    value.and_then(|value| value.parse().ok()).expect("the server has this metric")
}
