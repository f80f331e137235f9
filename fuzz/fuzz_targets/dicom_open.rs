//! Any bytes as a DICOM file: opened, and a few tiles or regions of it read.

#![no_main]

use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;
use microtome_ingest::source::{Content, dicom};
use microtome_slide::Rect;

/// Side of the regions that are read.
const SIDE: u32 = 64;

thread_local! {
    /// A folder of its own, since a file brings its series with it.
    static FOLDER: OnceCell<tempfile::TempDir> = const { OnceCell::new() };
}

fuzz_target!(|bytes: &[u8]| {
    FOLDER.with(|folder| {
        let folder = folder.get_or_init(|| tempfile::tempdir().expect("a temporary folder"));
        let path = folder.path().join("slide.dcm");
        std::fs::write(&path, bytes).expect("writes");
        let Ok(source) = dicom::open(&path) else { return };
        assert!(source.width > 0 && source.height > 0);
        match source.content {
            Content::Tiles(tiles) => {
                let size = tiles.tile_size();
                for (index, level) in tiles.levels().iter().enumerate() {
                    let (columns, rows) = (level.width.div_ceil(size), level.height.div_ceil(size));
                    for (column, row) in [(0, 0), (columns - 1, rows - 1), (columns / 2, rows / 2)] {
                        let _ = tiles.tile(index, column, row);
                    }
                }
            }
            Content::Pixels(pixels) => {
                let (width, height) = (source.width.min(SIDE), source.height.min(SIDE));
                for (x, y) in [(0, 0), (source.width - width, source.height - height)] {
                    if let Ok(region) = pixels.read(Rect { x, y, width, height }) {
                        assert_eq!((region.width(), region.height()), (width, height));
                    }
                }
            }
        }
    });
});
