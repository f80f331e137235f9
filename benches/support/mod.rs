//! What the benchmarks share: a synthetic slide in a temporary folder, its tiles in a fixed random order, a plain HTTP client.

#![allow(dead_code, reason = "each benchmark uses its own part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use microtome_ingest::{Options, Progress, Unit};
use microtome_slide::{Slide, TileId, deepzoom};

/// `cargo bench` passes `--bench`; without it (`cargo test --benches`) every benchmark only shows that it runs.
pub(crate) fn is_measuring() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// An ingested synthetic slide; its folder is removed when dropped.
pub(crate) struct SyntheticSlide {
    folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl SyntheticSlide {
    /// A slide of `width` x `height` pixels, or a small one if nothing is measured.
    pub(crate) fn new(width: u32, height: u32) -> Self {
        let (width, height) = if is_measuring() { (width, height) } else { (1024, 768) };
        let folder = tempfile::Builder::new().prefix("microtome-bench-").tempdir().expect("a folder");
        let path = folder.path().join("synthetic.mtm");
        let source = format!("synthetic:{width}x{height}");
        let never = AtomicBool::new(false);
        microtome_ingest::ingest(&source, &path, Options::default(), &Silent, &never).expect("ingests");
        Self { folder, path }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn open(&self) -> Slide {
        Slide::open(&self.path).expect("a fresh container opens")
    }
}

struct Silent;

impl Progress for Silent {
    fn stage(&self, _name: &'static str, _total: u64, _unit: Unit) {}
    fn advance(&self, _done: u64, _stored: u64) {}
}

/// All tiles of a level, shuffled; the same order in every run.
pub(crate) fn shuffled_tiles(slide: &Slide, level: u8) -> Vec<TileId> {
    let grid = slide.levels()[usize::from(level)];
    let mut tiles: Vec<_> = (0..grid.rows())
        .flat_map(|row| (0..grid.columns()).map(move |column| TileId { level, column, row }))
        .collect();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for last in (1..tiles.len()).rev() {
        // Xorshift64: good enough to defeat read-ahead.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        tiles.swap(last, (state % (last as u64 + 1)) as usize);
    }
    tiles
}

/// The full-size tile of a level with the longest JPEG: dense tissue.
pub(crate) fn densest_tile(slide: &Slide, level: u8) -> TileId {
    let grid = slide.levels()[usize::from(level)];
    let full = |tile: &TileId| {
        let rect = grid.tile_rect(tile.column, tile.row).expect("tiles come from the grid");
        rect.width == grid.tile_size && rect.height == grid.tile_size
    };
    let length = |tile: &TileId| slide.tile(*tile).expect("a fresh container decodes").len();
    shuffled_tiles(slide, level)
        .into_iter()
        .filter(full)
        .max_by_key(length)
        .expect("the level has a full tile")
}

/// Where the server has a tile of the slide of this name.
pub(crate) fn path(slide: &Slide, name: &str, tile: TileId) -> String {
    let level = deepzoom::level_number(slide, tile.level);
    format!("/tiles/{name}/{level}/{}_{}.jpg", tile.column, tile.row)
}

/// A request with these headers more.
pub(crate) fn request(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n")
}

/// A kept-alive client connection.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a TCP socket");
        Self(BufReader::with_capacity(64 << 10, stream))
    }

    /// Sends a request and reads the whole answer, head and body, into `answer`; gives the status.
    pub(crate) fn ask(&mut self, request: &str, answer: &mut Vec<u8>) -> u16 {
        self.0.get_mut().write_all(request.as_bytes()).expect("the server reads");
        answer.clear();
        let mut length = 0;
        loop {
            let line = answer.len();
            assert!(self.0.read_until(b'\n', answer).expect("the server answers") > 0, "closed");
            match answer[line..].split_first_chunk::<16>() {
                Some((name, value)) if name.eq_ignore_ascii_case(b"content-length: ") => {
                    length = value
                        .iter()
                        .filter(|c| c.is_ascii_digit())
                        .fold(0, |n, c| 10 * n + usize::from(c - b'0'));
                }
                None if answer[line..] == *b"\r\n" => break,
                _ => {}
            }
        }
        let head = answer.len();
        answer.resize(head + length, 0);
        self.0.read_exact(&mut answer[head..]).expect("the server answers");
        let status = answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        status.expect("a status line")
    }
}
