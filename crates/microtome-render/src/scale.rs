//! Making pixels fewer, or more: one band of a picture at a time.
//!
//! Lanczos with three lobes, widened by the ratio where the picture becomes smaller: nothing finer than its own pixels
//! gets into it, which is what keeps stained nuclei from sparkling.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use microtome_codec::Rgb;
use microtome_slide::Rect;

use crate::view::Area;

/// Pixels that the filter reaches each way, of those it makes or those it reads, whichever are larger.
const REACH: f64 = 3.0;

/// From the pixels of `area` to a picture of a given size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    area: Area,
    width: u32,
    height: u32,
}

impl Scale {
    pub(crate) fn new(area: Area, width: u32, height: u32) -> Self {
        Self { area, width, height }
    }

    /// Pixels of the level for one of the picture, each way.
    fn ratio(&self) -> [f64; 2] {
        [self.area.width / f64::from(self.width), self.area.height / f64::from(self.height)]
    }

    /// How far beyond the area the filter looks, in pixels of the level.
    pub(crate) fn margin(&self) -> [f64; 2] {
        self.ratio().map(|ratio| REACH * ratio.max(1.0) + 1.0)
    }

    /// Rows of the picture that can be made of the level's rows before `end`, where there are more than those.
    pub(crate) fn rows_before(&self, end: u32) -> u32 {
        let [_, ratio] = self.ratio();
        let [_, margin] = self.margin();
        (((f64::from(end) - margin - self.area.y) / ratio).floor().max(0.0) as u32).min(self.height)
    }

    /// The first row of the level that row `row` of the picture and those below it need.
    pub(crate) fn first_row_of(&self, row: u32) -> u32 {
        let [_, ratio] = self.ratio();
        let [_, margin] = self.margin();
        (self.area.y + f64::from(row) * ratio - margin).floor().max(0.0) as u32
    }

    /// Makes `rows` of the picture, three bytes a pixel, of the pixels of `rect` of the level.
    pub(crate) fn run(&self, pixels: &Rgb, rect: Rect, first: u32, rows: &mut [u8]) {
        let [ratio_x, ratio] = self.ratio();
        let count = (rows.len() / (3 * self.width as usize)) as u32;
        let [left, width] = within(self.area.x - f64::from(rect.x), self.area.width, rect.width);
        let top = self.area.y + f64::from(first) * ratio - f64::from(rect.y);
        let [top, height] = within(top, f64::from(count) * ratio, rect.height);
        if ratio_x > 1.0 && ratio < 1.0 {
            // Narrower and higher: the library would first make as many rows as the picture has, each as wide as the level's.
            let mut narrow = Rgb::filled(self.width, pixels.height(), [0; 3]);
            let all = f64::from(pixels.height());
            resize(pixels, [left, 0.0, width, all], self.width, narrow.data_mut());
            resize(&narrow, [0.0, top, f64::from(self.width), height], self.width, rows);
        } else {
            resize(pixels, [left, top, width, height], self.width, rows);
        }
    }
}

/// A picture at another size.
#[must_use]
pub fn resized(pixels: &Rgb, [width, height]: [u32; 2]) -> Rgb {
    let [own_width, own_height] = [pixels.width(), pixels.height()];
    let area = Area { x: 0.0, y: 0.0, width: own_width.into(), height: own_height.into() };
    let mut out = Rgb::filled(width, height, [0; 3]);
    let all = Rect { x: 0, y: 0, width: own_width, height: own_height };
    Scale::new(area, width, height).run(pixels, all, 0, out.data_mut());
    out
}

/// Makes rows of `width` pixels of a part of others: left, top, width, height.
fn resize(pixels: &Rgb, [left, top, part_width, part_height]: [f64; 4], width: u32, rows: &mut [u8]) {
    // Typed: else code for all of the library's pixel formats would be made here.
    let source = TypedImageRef::<U8x3>::from_buffer(pixels.width(), pixels.height(), pixels.data())
        .expect("three bytes a pixel");
    let height = (rows.len() / (3 * width as usize)) as u32;
    let mut target = TypedImage::<U8x3>::from_buffer(width, height, rows).expect("three bytes a pixel");
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
        .use_alpha(false)
        .crop(left, top, part_width, part_height);
    Resizer::new().resize_typed(&source, &mut target, &options).expect("the part lies within the pixels");
}

/// A span within `limit` pixels, however its ends were rounded; the last pixel, if it begins behind that.
fn within(start: f64, length: f64, limit: u32) -> [f64; 2] {
    let limit = f64::from(limit);
    let start = if start < limit { start.max(0.0) } else { limit - 1.0 };
    [start, length.min(limit - start)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_colour_stays_one_colour_at_any_size() {
        let pixels = Rgb::filled(40, 30, [200, 80, 160]);
        for size in [[1, 1], [40, 30], [13, 7], [100, 2], [2, 100], [81, 77]] {
            let resized = resized(&pixels, size);
            assert_eq!(
                ([resized.width(), resized.height()], resized.uniform()),
                (size, Some([200, 80, 160]))
            );
        }
    }
}
