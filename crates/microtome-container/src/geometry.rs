//! Pixels, tiles and levels as integers: which tile covers what, which family a tile belongs to.
//!
//! Level 0 is full resolution; columns count from the left, rows from the top. Not here: files, pixels.

/// A tile of a slide: its level, and its place in the level's grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TileId {
    /// Level; 0 is full resolution.
    pub level: u8,
    /// Column from the left.
    pub column: u32,
    /// Row from the top.
    pub row: u32,
}

impl std::fmt::Display for TileId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "level {} column {} row {}", self.level, self.column, self.row)
    }
}

/// A rectangle of pixels of one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Width, at least 1.
    pub width: u32,
    /// Height, at least 1.
    pub height: u32,
}

/// The tile grid of one level: Deep Zoom's, of which the plain grid (overlap 0) is a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Width of the level in pixels, at least 1.
    pub width: u32,
    /// Height of the level in pixels, at least 1.
    pub height: u32,
    /// Side of a tile in pixels, without overlap.
    pub tile_size: u32,
    /// Pixels that a tile shares with each inner neighbour.
    pub overlap: u32,
}

impl Grid {
    /// Number of columns.
    #[must_use]
    pub fn columns(&self) -> u32 {
        self.width.div_ceil(self.tile_size)
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.height.div_ceil(self.tile_size)
    }

    /// Number of tiles.
    #[must_use]
    pub fn tiles(&self) -> u64 {
        u64::from(self.columns()) * u64::from(self.rows())
    }

    /// Column and row of tile number `index`, counted row by row.
    #[must_use]
    pub fn position(&self, index: u64) -> (u32, u32) {
        let columns = u64::from(self.columns());
        ((index % columns) as u32, (index / columns) as u32)
    }

    /// The pixels that a tile covers, overlap included, or `None` outside the grid.
    #[must_use]
    pub fn tile_rect(&self, column: u32, row: u32) -> Option<Rect> {
        if column >= self.columns() || row >= self.rows() {
            return None;
        }
        let (x, width) = self.span(column, self.width);
        let (y, height) = self.span(row, self.height);
        Some(Rect { x, y, width, height })
    }

    fn span(&self, index: u32, length: u32) -> (u32, u32) {
        let start = (index * self.tile_size).saturating_sub(self.overlap);
        let end = (u64::from(index + 1) * u64::from(self.tile_size) + u64::from(self.overlap))
            .min(u64::from(length));
        (start, end as u32 - start)
    }
}

/// Size of level `level` of a slide that is `length` pixels wide or high: `ceil(length / 2^level)`.
#[must_use]
pub fn level_length(length: u32, level: u8) -> u32 {
    length.div_ceil(1_u32.checked_shl(u32::from(level)).unwrap_or(u32::MAX)).max(1)
}

/// The level at which a slide of this size is 1 x 1 pixel: `ceil(log2(max(width, height)))`.
#[must_use]
pub fn coarsest_level(width: u32, height: u32) -> u8 {
    let longest = width.max(height).max(1);
    (u32::BITS - (longest - 1).leading_zeros()) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn deep_zoom_tiles_overlap_on_inner_edges_only() {
        let grid = Grid { width: 600, height: 254, tile_size: 254, overlap: 1 };
        assert_eq!((grid.columns(), grid.rows()), (3, 1));
        let rect = |column| grid.tile_rect(column, 0).expect("inside");
        assert_eq!(rect(0), Rect { x: 0, y: 0, width: 255, height: 254 });
        assert_eq!(rect(1), Rect { x: 253, y: 0, width: 256, height: 254 });
        assert_eq!(rect(2), Rect { x: 507, y: 0, width: 93, height: 254 });
        assert_eq!(grid.tile_rect(3, 0), None);
        assert_eq!(grid.tile_rect(0, 1), None);
    }

    #[test]
    fn levels_end_at_one_pixel() {
        assert_eq!(coarsest_level(1, 1), 0);
        assert_eq!(coarsest_level(14_173, 11_212), 14);
        assert_eq!(coarsest_level(53_248, 53_248), 16);
        assert_eq!(level_length(14_173, 14), 1);
        assert_eq!(level_length(5, 40), 1);
    }

    proptest! {
        #[test]
        fn tiles_without_their_overlap_cover_the_level_once(w in 1_u32..2000, size in 16_u32..300, overlap in 0_u32..8) {
            let grid = Grid { width: w, height: 1, tile_size: size, overlap };
            let mut next = 0;
            for column in 0..grid.columns() {
                let rect = grid.tile_rect(column, 0).expect("inside");
                prop_assert_eq!(rect.x, if column == 0 { 0 } else { next - overlap });
                let end = rect.x + rect.width;
                prop_assert!(end <= w);
                next = ((column + 1) * size).min(w);
                prop_assert_eq!(end, ((column + 1) * size + overlap).min(w));
            }
            prop_assert_eq!(next, w);
        }
    }
}
