//! What the targets of source readers share: a look at whatever they have opened.

use microtome_ingest::source::{Content, Source};
use microtome_slide::Rect;

/// Side of the regions that are read.
const SIDE: u32 = 64;

/// Reads a few tiles of each level, or a few regions. They may be refused; a region that is not is as large as asked for.
pub fn look_at(source: Source) {
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
}
