//! Pixels that lie in tiles or strips of one size, of any shape, without overlap. Not here: decoding them.

use std::sync::Arc;

use microtome_codec::Rgb;
use microtome_container::geometry::Rect;

use crate::Error;

/// The pixels of `rect`, from the tiles of `width` x `height` px that `decoded` gives by column and row. No side is beyond
/// 2^30, so that no sum overflows.
///
/// # Errors
/// The first error of `decoded`.
pub(super) fn region(
    rect: Rect,
    (width, height): (u32, u32),
    decoded: impl Fn(u32, u32) -> Result<Arc<Rgb>, Error>,
) -> Result<Rgb, Error> {
    let (right, bottom) = (rect.x + rect.width, rect.y + rect.height);
    let mut out = Rgb::filled(rect.width, rect.height, [0; 3]);
    for row in rect.y / height..bottom.div_ceil(height) {
        for column in rect.x / width..right.div_ceil(width) {
            let tile = decoded(column, row)?;
            let (left, top) = (column * width, row * height);
            let (from_x, from_y) = (rect.x.max(left), rect.y.max(top));
            let (to_x, to_y) = (right.min(left + width), bottom.min(top + height));
            let (x, y) = (from_x - rect.x, from_y - rect.y);
            out.blit(&tile, from_x - left, from_y - top, to_x - from_x, to_y - from_y, x, y);
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_put_together_from_all_tiles_that_it_touches() {
        // Tiles of 5 x 3 px, each of one shade.
        let tile = |column: u32, row: u32| Ok(Arc::new(Rgb::filled(5, 3, [(10 * row + column) as u8; 3])));
        let region = region(Rect { x: 4, y: 2, width: 8, height: 5 }, (5, 3), tile).expect("tiles");
        let shades: Vec<_> = region.data().iter().step_by(3).copied().collect();
        let line = |row: u8| {
            [
                10 * row,
                10 * row + 1,
                10 * row + 1,
                10 * row + 1,
                10 * row + 1,
                10 * row + 1,
                10 * row + 2,
                10 * row + 2,
            ]
        };
        assert_eq!(shades, [line(0), line(1), line(1), line(1), line(2)].concat());
    }
}
