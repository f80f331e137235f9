//! Where a tile's record lies: slots in a fixed order, pages of 32 KiB.
//!
//! A slot number follows from the level table by arithmetic alone, so that finding a tile costs one page and no
//! search, whatever the size of the slide. Normative: `docs/format/container.md`, "Tile index".

use crate::geometry::{Grid, TileId};
use crate::header::{Header, Level, u32_at, u64_at};

/// Bytes of one entry.
pub const ENTRY_LENGTH: usize = 20;
/// Slots of a family: 1 base tile, 4 of level 1, 16 of level 0.
pub const FAMILY_SLOTS: u64 = 21;
/// Entries of a full page: 78 families.
pub const PAGE_ENTRIES: u64 = 78 * FAMILY_SLOTS;
/// Bytes of a full page, its checksum included.
pub const PAGE_LENGTH: u64 = PAGE_ENTRIES * ENTRY_LENGTH as u64 + 8;

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Index of its `TILE` section in the section table.
    pub section: u16,
    /// Offset from the start of that section, less than 2^48.
    pub offset: u64,
    /// Length in bytes; never zero.
    pub length: u32,
    /// Checksum, see [`crate::checksum::record`].
    pub checksum: u64,
}

impl Entry {
    /// The entry's bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; ENTRY_LENGTH] {
        let mut out = [0; ENTRY_LENGTH];
        out[..8].copy_from_slice(&(u64::from(self.section) << 48 | self.offset).to_le_bytes());
        out[8..12].copy_from_slice(&self.length.to_le_bytes());
        out[12..].copy_from_slice(&self.checksum.to_le_bytes());
        out
    }

    /// Reads an entry; `None` if the slot is empty.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let place = u64_at(bytes, 0);
        let entry = Self {
            section: (place >> 48) as u16,
            offset: place & ((1 << 48) - 1),
            length: u32_at(bytes, 8),
            checksum: u64_at(bytes, 12),
        };
        (entry.length > 0).then_some(entry)
    }
}

/// The order of slots for one pyramid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    grids: Vec<Grid>,
    /// First slot of each level from 3 on, coarsest first in slot order.
    coarse_starts: Vec<u64>,
    /// First slot of the first family.
    families_start: u64,
    family_columns: u32,
    family_rows: u32,
}

impl Layout {
    /// The layout of a header's pyramid.
    #[must_use]
    pub fn new(header: &Header) -> Self {
        let (tile_size, overlap) = (header.tile_size, header.overlap);
        let grid = |l: &Level| Grid { width: l.width, height: l.height, tile_size, overlap };
        let grids: Vec<Grid> = header.levels.iter().map(grid).collect();
        let mut coarse_starts = vec![0; grids.len().saturating_sub(3)];
        let mut next = 0;
        for (start, grid) in coarse_starts.iter_mut().zip(grids.iter().skip(3)).rev() {
            *start = next;
            next += grid.tiles();
        }
        let (columns, rows) = (grids[0].columns(), grids[0].rows());
        Self {
            coarse_starts,
            families_start: next.next_multiple_of(FAMILY_SLOTS),
            family_columns: columns.div_ceil(4),
            family_rows: rows.div_ceil(4),
            grids,
        }
    }

    /// Number of slots, empty ones included.
    #[must_use]
    pub fn slots(&self) -> u64 {
        self.families_start + u64::from(self.family_columns) * u64::from(self.family_rows) * FAMILY_SLOTS
    }

    /// Number of index pages.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.slots().div_ceil(PAGE_ENTRIES)
    }

    /// Number of entries in `page`: all pages but the last are full.
    #[must_use]
    pub fn page_entries(&self, page: u64) -> u64 {
        (self.slots() - page * PAGE_ENTRIES).min(PAGE_ENTRIES)
    }

    /// Bytes of all pages.
    #[must_use]
    pub fn index_length(&self) -> u64 {
        self.slots() * ENTRY_LENGTH as u64 + 8 * self.pages()
    }

    /// The slot of a tile, or `None` if it is outside the slide.
    #[must_use]
    pub fn slot(&self, tile: TileId) -> Option<u64> {
        let TileId { level, column, row } = tile;
        let grid = self.grids.get(usize::from(level))?;
        if column >= grid.columns() || row >= grid.rows() {
            return None;
        }
        if level >= 3 {
            let start = self.coarse_starts[usize::from(level) - 3];
            return Some(start + u64::from(row) * u64::from(grid.columns()) + u64::from(column));
        }
        let per_side = 4_u32 >> level;
        let family = hilbert_rank(column / per_side, row / per_side, self.family_columns, self.family_rows);
        let within = u64::from(row % per_side * per_side + column % per_side);
        let first = [5, 1, 0][usize::from(level)];
        Some(self.families_start + family * FAMILY_SLOTS + first + within)
    }

    /// Calls `each` with every tile of the slide and its slot, in slot order: coarse levels first, then families.
    ///
    /// # Errors
    /// The first error of `each`.
    pub fn try_for_each_tile<E>(&self, mut each: impl FnMut(u64, TileId) -> Result<(), E>) -> Result<(), E> {
        for (level, grid) in self.grids.iter().enumerate().skip(3).rev() {
            let tiles = (0..grid.rows()).flat_map(|row| (0..grid.columns()).map(move |column| (column, row)));
            for (slot, (column, row)) in (self.coarse_starts[level - 3]..).zip(tiles) {
                each(slot, TileId { level: level as u8, column, row })?;
            }
        }
        self.families().try_for_each(|(x, y)| self.try_for_each_of_family(x, y, &mut each))
    }

    /// Families in the order of the file: columns and rows of the level-2 grid.
    pub fn families(&self) -> impl Iterator<Item = (u32, u32)> + use<> {
        hilbert_walk(self.family_columns, self.family_rows)
    }

    /// As [`Self::try_for_each_tile`], for the tiles of the family at `(x, y)` of the level-2 grid.
    ///
    /// # Errors
    /// The first error of `each`.
    pub fn try_for_each_of_family<E>(
        &self,
        x: u32,
        y: u32,
        each: &mut impl FnMut(u64, TileId) -> Result<(), E>,
    ) -> Result<(), E> {
        for level in [2, 1, 0] {
            let per_side = 4 >> level;
            for (row, column) in (0..per_side).flat_map(|row| (0..per_side).map(move |column| (row, column)))
            {
                let tile = TileId { level, column: x * per_side + column, row: y * per_side + row };
                if let Some(slot) = self.slot(tile) {
                    each(slot, tile)?;
                }
            }
        }
        Ok(())
    }
}

/// The four quadrants in the order of an upright Hilbert curve.
const QUADRANTS: [(u32, u32); 4] = [(0, 0), (0, 1), (1, 1), (1, 0)];

/// Orientation of a Hilbert sub-curve: both axes reversed, axes exchanged.
#[derive(Clone, Copy, Default)]
struct Orientation {
    reversed: bool,
    exchanged: bool,
}

impl Orientation {
    /// Position of the quadrant that the curve visits as number `q`.
    fn quadrant(self, q: usize) -> (u32, u32) {
        let (x, y) = QUADRANTS[q];
        let (x, y) = if self.exchanged { (y, x) } else { (x, y) };
        if self.reversed { (1 - x, 1 - y) } else { (x, y) }
    }

    /// Orientation inside the quadrant number `q`.
    fn within(self, q: usize) -> Self {
        Self { reversed: self.reversed ^ (q == 3), exchanged: self.exchanged ^ (q == 0 || q == 3) }
    }
}

/// Side of the smallest power-of-two square around a grid.
fn square(columns: u32, rows: u32) -> u32 {
    columns.max(rows).next_power_of_two()
}

/// Number of cells of a `columns` x `rows` grid that the Hilbert curve over the square around it visits before
/// `(x, y)`.
fn hilbert_rank(x: u32, y: u32, columns: u32, rows: u32) -> u64 {
    let (mut left, mut top, mut rank) = (0, 0, 0);
    let mut orientation = Orientation::default();
    let mut side = square(columns, rows) / 2;
    while side > 0 {
        for q in 0..4 {
            let (qx, qy) = orientation.quadrant(q);
            let (qleft, qtop) = (left + qx * side, top + qy * side);
            if (qleft..qleft + side).contains(&x) && (qtop..qtop + side).contains(&y) {
                (left, top, orientation) = (qleft, qtop, orientation.within(q));
                break;
            }
            let inside = |start: u32, length: u32| u64::from(length.saturating_sub(start).min(side));
            rank += inside(qleft, columns) * inside(qtop, rows);
        }
        side /= 2;
    }
    rank
}

/// The cells of a `columns` x `rows` grid in the order of [`hilbert_rank`].
fn hilbert_walk(columns: u32, rows: u32) -> impl Iterator<Item = (u32, u32)> {
    let mut open = vec![(0, 0, square(columns, rows), Orientation::default())];
    std::iter::from_fn(move || {
        while let Some((left, top, side, orientation)) = open.pop() {
            if left >= columns || top >= rows {
                continue;
            }
            if side == 1 {
                return Some((left, top));
            }
            let half = side / 2;
            open.extend((0..4).rev().map(|q| {
                let (qx, qy) = orientation.quadrant(q);
                (left + qx * half, top + qy * half, half, orientation.within(q))
            }));
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{coarsest_level, level_length};
    use crate::header::{ContentId, SlideId};
    use proptest::prelude::*;

    fn layout(width: u32, height: u32, tile_size: u32, overlap: u32) -> Layout {
        let levels = (0..=coarsest_level(width, height))
            .map(|k| Level {
                width: level_length(width, k),
                height: level_length(height, k),
                stored: k % 2 == 0,
            })
            .collect();
        Layout::new(&Header {
            header_length: 0,
            slide_id: SlideId([0; 16]),
            content_id: ContentId([0; 32]),
            file_length: 0,
            tile_size,
            overlap,
            levels,
            sections: vec![],
        })
    }

    #[test]
    fn a_full_page_is_32_kib_and_holds_whole_families() {
        assert_eq!(PAGE_LENGTH, 32 * 1024);
        assert_eq!(PAGE_ENTRIES % FAMILY_SLOTS, 0);
    }

    #[test]
    fn the_curve_is_a_curve() {
        let cells: Vec<_> = hilbert_walk(8, 8).collect();
        assert_eq!(cells.len(), 64);
        assert_eq!(cells[0], (0, 0));
        for pair in cells.windows(2) {
            assert_eq!(pair[0].0.abs_diff(pair[1].0) + pair[0].1.abs_diff(pair[1].1), 1, "{pair:?}");
        }
    }

    proptest! {
        #[test]
        fn rank_and_walk_agree_on_any_grid(columns in 1_u32..40, rows in 1_u32..40) {
            let cells: Vec<_> = hilbert_walk(columns, rows).collect();
            prop_assert_eq!(cells.len() as u32, columns * rows);
            for (rank, &(x, y)) in cells.iter().enumerate() {
                prop_assert_eq!(hilbert_rank(x, y, columns, rows), rank as u64);
            }
        }

        #[test]
        fn slots_are_distinct_ordered_and_in_bounds(w in 1_u32..9000, h in 1_u32..9000, size in 16_u32..600) {
            let layout = layout(w, h, size, 1);
            let (mut last, mut count) = (None, 0);
            layout.try_for_each_tile(|slot, tile| {
                prop_assert_eq!(layout.slot(tile), Some(slot));
                prop_assert!(Some(slot) > last && slot < layout.slots());
                (last, count) = (Some(slot), count + 1);
                Ok(())
            })?;
            prop_assert_eq!(count, layout.grids.iter().map(Grid::tiles).sum::<u64>());
        }
    }

    #[test]
    fn entries_survive_the_round_trip_and_empty_slots_are_none() {
        let entry = Entry { section: 5, offset: (1 << 48) - 1, length: 77, checksum: u64::MAX };
        assert_eq!(Entry::parse(&entry.to_bytes()), Some(entry));
        assert_eq!(Entry::parse(&[0; ENTRY_LENGTH]), None);
    }
}
