//! What the benchmarks share: a synthetic slide in a temporary folder, and its tiles in a fixed random order.

#![allow(dead_code, reason = "each benchmark uses its own part")]

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use microtome_ingest::{Options, Progress, Unit};
use microtome_slide::{Slide, TileId};

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
