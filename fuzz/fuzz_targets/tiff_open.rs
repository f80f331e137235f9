//! Any bytes as a TIFF file: opened, and a few tiles or regions of it read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use microtome_fuzz::with_file;
use microtome_ingest::source::{Content, tiff};
use microtome_slide::Rect;

/// Side of the regions that are read.
const SIDE: u32 = 64;

fuzz_target!(|bytes: &[u8]| {
    with_file(bytes, |path| {
        let Ok(source) = tiff::open(path) else { return };
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
