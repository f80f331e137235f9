//! Cutting rectangles out of tiles that overlap, and the rectangle a reduced tile comes from.

use microtome_codec::Rgb;
use microtome_container::geometry::{Grid, Rect};

/// Columns and rows of the tiles whose own area (without overlap) meets `rect`, as half-open ranges.
#[must_use]
pub fn tiles_of(grid: &Grid, rect: Rect) -> (std::ops::Range<u32>, std::ops::Range<u32>) {
    let range = |start: u32, length: u32| start / grid.tile_size..(start + length).div_ceil(grid.tile_size);
    (range(rect.x, rect.width), range(rect.y, rect.height))
}

/// The pixels of `rect` of a level, from the decoded tiles that `tile` gives. Each pixel is taken from the tile
/// whose own area holds it; overlaps are not used.
///
/// # Errors
/// The first error of `tile`.
///
/// # Panics
/// If `rect` leaves the level, or `tile` gives a tile of another size than the grid's.
pub fn assemble<E>(
    grid: &Grid,
    rect: Rect,
    mut tile: impl FnMut(u32, u32) -> Result<Rgb, E>,
) -> Result<Rgb, E> {
    let mut out = Rgb::filled(rect.width, rect.height, [0; 3]);
    let (columns, rows) = tiles_of(grid, rect);
    for row in rows {
        for column in columns.clone() {
            let pixels = tile(column, row)?;
            let covered = grid.tile_rect(column, row).expect("the rectangle lies within the level");
            assert_eq!(
                (pixels.width(), pixels.height()),
                (covered.width, covered.height),
                "a tile has its grid's size"
            );
            let left = rect.x.max(column * grid.tile_size);
            let top = rect.y.max(row * grid.tile_size);
            let right = (rect.x + rect.width).min((column + 1) * grid.tile_size).min(grid.width);
            let bottom = (rect.y + rect.height).min((row + 1) * grid.tile_size).min(grid.height);
            let (width, height) = (right - left, bottom - top);
            out.blit(&pixels, left - covered.x, top - covered.y, width, height, left - rect.x, top - rect.y);
        }
    }
    Ok(out)
}

/// The rectangle of the level finer by one that [`Rgb::reduced`] turns into `rect`. Rectangles at the edge of a level
/// whose finer one is odd are a row or column short, which the reduction makes up for.
#[must_use]
pub fn finer(rect: Rect, finer_level: &Grid) -> Rect {
    let span = |start: u32, length: u32, limit: u32| (2 * start, (2 * length).min(limit - 2 * start));
    let (x, width) = span(rect.x, rect.width, finer_level.width);
    let (y, height) = span(rect.y, rect.height, finer_level.height);
    Rect { x, y, width, height }
}

/// `pixels`, which are those of `own`, grown to `rect`: what lies outside is the nearest pixel's colour.
#[must_use]
pub fn extended(pixels: &Rgb, own: Rect, rect: Rect) -> Rgb {
    if own == rect {
        return pixels.clone();
    }
    let nearest = |at: u32, start: u32, length: u32| at.clamp(start, start + length - 1) - start;
    let mut out = Rgb::filled(rect.width, rect.height, [0; 3]);
    for (i, pixel) in (0..).zip(out.data_mut().chunks_exact_mut(3)) {
        let (x, y) = (rect.x + i % rect.width, rect.y + i / rect.width);
        let (x, y) = (nearest(x, own.x, own.width), nearest(y, own.y, own.height));
        pixel.copy_from_slice(&pixels.pixel(x, y));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A level whose pixels tell their own place.
    fn level(width: u32, height: u32) -> Rgb {
        let pixel = |i: u32| [(i % width) as u8, (i / width) as u8, ((i % width) * 7 + i / width * 13) as u8];
        Rgb::from_vec(width, height, (0..width * height).flat_map(pixel).collect()).expect("sizes match")
    }

    proptest! {
        #[test]
        fn a_region_is_the_crop_of_the_level(
            w in 1_u32..120, h in 1_u32..120, tile_size in 16_u32..50, overlap in 0_u32..5,
            x in 0_u32..120, y in 0_u32..120, rw in 1_u32..120, rh in 1_u32..120,
        ) {
            let (level, grid) = (level(w, h), Grid { width: w, height: h, tile_size, overlap });
            let (x, y) = (x % w, y % h);
            let rect = Rect { x, y, width: rw.min(w - x), height: rh.min(h - y) };
            let region = assemble(&grid, rect, |column, row| {
                let r = grid.tile_rect(column, row).expect("inside");
                Ok::<_, ()>(level.crop(r.x, r.y, r.width, r.height))
            });
            prop_assert_eq!(region, Ok(level.crop(rect.x, rect.y, rect.width, rect.height)));
        }

        #[test]
        fn what_is_extended_keeps_its_pixels_and_repeats_its_edge(
            w in 1_u32..40, h in 1_u32..40, left in 0_u32..3, top in 0_u32..3, right in 0_u32..3, bottom in 0_u32..3,
        ) {
            let own = Rect { x: left, y: top, width: w, height: h };
            let rect = Rect { x: 0, y: 0, width: left + w + right, height: top + h + bottom };
            let pixels = level(w, h);
            let out = extended(&pixels, own, rect);
            prop_assert_eq!(out.crop(left, top, w, h), pixels.clone());
            prop_assert_eq!(out.pixel(0, 0), pixels.pixel(0, 0));
            prop_assert_eq!(out.pixel(rect.width - 1, rect.height - 1), pixels.pixel(w - 1, h - 1));
        }

        #[test]
        fn reducing_a_tile_or_the_level_is_the_same(
            w in 1_u32..120, h in 1_u32..120, tile_size in 16_u32..50, overlap in 0_u32..5,
        ) {
            let whole = level(w, h);
            let half = whole.reduced();
            let grid = |l: &Rgb| Grid { width: l.width(), height: l.height(), tile_size, overlap };
            for row in 0..grid(&half).rows() {
                for column in 0..grid(&half).columns() {
                    let rect = grid(&half).tile_rect(column, row).expect("inside");
                    let from = finer(rect, &grid(&whole));
                    let tile = whole.crop(from.x, from.y, from.width, from.height).reduced();
                    prop_assert_eq!(tile, half.crop(rect.x, rect.y, rect.width, rect.height));
                }
            }
        }
    }
}
