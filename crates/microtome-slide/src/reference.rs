//! Which tiles a tile is predicted from, and where they lie on its grid.
//!
//! Normative: `docs/format/codec-1.md`. Not here: reading and decoding these tiles.

use std::sync::Arc;

use microtome_codec::cross_scale::{Finer, Kind, Picture, Reference};
use microtome_container::geometry::{Grid, TileId};
use smallvec::SmallVec;

/// A tile that another one is predicted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relative {
    /// That tile.
    pub tile: TileId,
    /// Pixels between the two, as [`Reference`] counts them.
    pub offset: [u32; 2],
}

/// The relatives of a tile that is predicted as `kind`: one, up to four, or none.
#[must_use]
pub fn relatives(kind: Kind, levels: &[Grid], tile: TileId) -> SmallVec<[Relative; 4]> {
    let TileId { level, column, row } = tile;
    let origin = |tile: TileId| {
        let grid = levels.get(usize::from(tile.level))?;
        grid.tile_rect(tile.column, tile.row).map(|rect| [rect.x, rect.y])
    };
    let offset = |finer: [u32; 2], coarser: [u32; 2], scale: u32| {
        [0, 1].map(|axis| finer[axis].saturating_sub(scale.saturating_mul(coarser[axis])))
    };
    let Some(own) = origin(tile) else { return SmallVec::new() };
    match kind {
        Kind::Alone => SmallVec::new(),
        Kind::Coarser => {
            let base = TileId { level: level.saturating_add(2), column: column >> 2, row: row >> 2 };
            let placed = origin(base).map(|at| Relative { tile: base, offset: offset(own, at, 4) });
            placed.into_iter().collect()
        }
        Kind::Finer => {
            let Some(level) = level.checked_sub(1) else { return SmallVec::new() };
            let four = [(0, 0), (1, 0), (0, 1), (1, 1)];
            let four = four.map(|(x, y)| TileId { level, column: 2 * column + x, row: 2 * row + y });
            let placed = |tile| origin(tile).map(|at| Relative { tile, offset: offset(at, own, 2) });
            four.into_iter().filter_map(placed).collect()
        }
    }
}

/// The tiles below `base` on the next two finer levels, the finest first: with it they are a family. None if the slide
/// has no such tile.
#[must_use]
pub fn descendants(levels: &[Grid], base: TileId) -> Vec<TileId> {
    let grid = levels.get(usize::from(base.level));
    if grid.and_then(|grid| grid.tile_rect(base.column, base.row)).is_none() {
        return vec![];
    }
    let mut found = vec![];
    for level in base.level.saturating_sub(2)..base.level {
        let (grid, scale) = (levels[usize::from(level)], 1 << (base.level - level));
        let range = |index: u32, end: u32| index * scale..((index + 1) * scale).min(end);
        for row in range(base.row, grid.rows()) {
            let columns = range(base.column, grid.columns());
            found.extend(columns.map(|column| TileId { level, column, row }));
        }
    }
    found
}

/// Calls `run` with what `tile` is predicted from, given the `picture` of each of its relatives; with nothing if one of
/// them has none.
///
/// # Errors
/// The first error of `picture`.
pub fn with<E, R>(
    kind: Kind,
    levels: &[Grid],
    tile: TileId,
    mut picture: impl FnMut(TileId) -> Result<Option<Arc<Picture>>, E>,
    run: impl FnOnce(Reference<'_>) -> R,
) -> Result<R, E> {
    let mut pictures = SmallVec::<[_; 4]>::new();
    for relative in relatives(kind, levels, tile) {
        match picture(relative.tile)? {
            Some(picture) => pictures.push((picture, relative.offset)),
            None => return Ok(run(Reference::None)),
        }
    }
    Ok(match (kind, &pictures[..]) {
        (Kind::Coarser, [(base, offset)]) => run(Reference::Coarser { base, offset: *offset }),
        (Kind::Finer, [_, ..]) => {
            let finer: SmallVec<[Finer<'_>; 4]> =
                pictures.iter().map(|(picture, offset)| Finer { picture, offset: *offset }).collect();
            run(Reference::Finer(&finer))
        }
        _ => run(Reference::None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(overlap: u32) -> Vec<Grid> {
        let grid = |width, height| Grid { width, height, tile_size: 254, overlap };
        vec![grid(3000, 1100), grid(1500, 550), grid(750, 275)]
    }

    fn tile(level: u8, column: u32, row: u32) -> TileId {
        TileId { level, column, row }
    }

    #[test]
    fn a_detail_tile_lies_on_its_base_tile() {
        let found = relatives(Kind::Coarser, &levels(1), tile(0, 5, 4));
        // 254 * 5 - 1 - 4 * 253 across; the base tile of row 1 begins at 253 too.
        assert_eq!(found[..], [Relative { tile: tile(2, 1, 1), offset: [257, 1015 - 1012] }]);
        let found = relatives(Kind::Coarser, &levels(0), tile(0, 0, 1));
        assert_eq!(found[..], [Relative { tile: tile(2, 0, 0), offset: [0, 254] }]);
    }

    #[test]
    fn a_tile_in_between_has_up_to_four_finer_ones() {
        let found = relatives(Kind::Finer, &levels(1), tile(1, 5, 2));
        // Level 0 has 12 columns and 5 rows.
        let expected = [(10, [1, 1]), (11, [255, 1])]
            .map(|(column, offset)| Relative { tile: tile(0, column, 4), offset });
        assert_eq!(found[..], expected);
        assert_eq!(relatives(Kind::Finer, &levels(0), tile(1, 0, 0))[3].offset, [254, 254]);
    }

    #[test]
    fn a_family_ends_where_the_slide_does() {
        let levels = levels(1);
        let whole = descendants(&levels, tile(2, 0, 0));
        assert_eq!(
            (whole.len(), whole[0], whole[5], whole[16]),
            (20, tile(0, 0, 0), tile(0, 1, 1), tile(1, 0, 0))
        );
        // Level 0 has 5 rows, level 1 has 3.
        let below = descendants(&levels, tile(2, 0, 1));
        assert_eq!(below.iter().map(|t| t.row).collect::<Vec<_>>(), [4, 4, 4, 4, 2, 2]);
        assert_eq!(descendants(&levels, tile(0, 0, 0)), []);
        assert_eq!(descendants(&levels, tile(2, 3, u32::MAX)), []);
        assert_eq!(descendants(&levels, tile(3, 0, 0)), []);
    }

    #[test]
    fn what_is_not_there_is_no_relative() {
        assert!(relatives(Kind::Coarser, &levels(1), tile(1, 0, 0)).is_empty(), "there is no level 3");
        assert!(relatives(Kind::Finer, &levels(1), tile(0, 0, 0)).is_empty());
        assert!(relatives(Kind::Finer, &levels(1), tile(1, 99, 0)).is_empty());
        assert!(relatives(Kind::Coarser, &levels(1), tile(255, 0, 0)).is_empty());
    }

    #[test]
    fn a_relative_without_a_picture_leaves_the_tile_alone() {
        let tile = tile(1, 0, 0);
        let alone = with(
            Kind::Finer,
            &levels(0),
            tile,
            |t| Ok::<_, ()>((t.column == 0).then(Arc::<Picture>::default)),
            |r| matches!(r, Reference::None),
        );
        assert_eq!(alone, Ok(true));
        let all = with(
            Kind::Finer,
            &levels(0),
            tile,
            |_| Ok::<_, ()>(Some(Arc::default())),
            |r| match r {
                Reference::Finer(tiles) => tiles.len(),
                _ => 0,
            },
        );
        assert_eq!(all, Ok(4));
    }
}
