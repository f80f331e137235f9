//! Files of others: damaged ones and real slides. They open or are refused; nothing panics or takes long.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use microtome_container::geometry::Rect;

use super::open;
use crate::source::{Content, Source};

/// Regions and tiles that are read of one file.
const MOST_READS: usize = 200;
/// No file here takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The folder with test data, if it is there.
pub(super) fn data() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("MICROTOME_TEST_DATA").map_or_else(beside, PathBuf::from);
    folder.is_dir().then_some(folder)
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { files_below(&path, found) } else { found.push(path) }
    }
}

/// Reads tiles or regions of a source; answers how many could be read and how many not.
fn read_all(source: &Source) -> (usize, usize) {
    let mut counts = (0, 0);
    let mut count = |fine: bool| if fine { counts.0 += 1 } else { counts.1 += 1 };
    match &source.content {
        Content::Tiles(tiles) => {
            for (index, level) in tiles.levels().iter().enumerate() {
                let columns = level.width.div_ceil(tiles.tile_size());
                let rows = level.height.div_ceil(tiles.tile_size());
                let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (column, row)));
                places
                    .take(MOST_READS)
                    .for_each(|(column, row)| count(tiles.tile(index, column, row).is_ok()));
            }
        }
        Content::Pixels(pixels) => {
            let starts = |length: u32| (0..length).step_by(256);
            let places = starts(source.height).flat_map(|y| starts(source.width).map(move |x| (x, y)));
            for (x, y) in places.take(MOST_READS) {
                let (width, height) = ((source.width - x).min(256), (source.height - y).min(256));
                count(pixels.read(Rect { x, y, width, height }).is_ok());
            }
        }
    }
    counts
}

#[test]
#[allow(clippy::print_stderr, reason = "a skipped test must say so, and what opened is worth reading")]
fn files_of_others_open_or_are_refused() {
    let Some(data) = data() else {
        // Straight to standard error: the test runner holds back what `eprintln` prints.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: no test data beside the repository (set MICROTOME_TEST_DATA)"
        );
        return;
    };
    let mut files = Vec::new();
    for folder in
        ["malformed", "wsi/malformed_wsi", "wsi/tiff", "wsi/cog", "wsi/svs", "wsi/ometiff", "wsi/ndpi"]
    {
        files_below(&data.join(folder), &mut files);
    }
    files.sort();
    assert!(!files.is_empty(), "the folder is there, so its files are");
    for file in files {
        let start = Instant::now();
        match open(&file) {
            Ok(source) => {
                eprintln!("{}: {:?} read/failed, {:?}", file.display(), read_all(&source), source.notices)
            }
            Err(error) => {
                let text = error.to_string();
                assert!(text.starts_with(&file.display().to_string()), "names the file: {text}");
                assert_eq!(text.lines().count(), 1, "one line: {text}");
                eprintln!("{text}");
            }
        }
        assert!(start.elapsed() < PATIENCE, "{} took {:?}", file.display(), start.elapsed());
    }
}
