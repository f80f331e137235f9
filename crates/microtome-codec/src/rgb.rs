//! Interleaved 8-bit RGB pixels and the exact reduction by two.

use crate::Error;

/// An image of `width` x `height` pixels, three bytes each, rows one after the other without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rgb {
    width: u32,
    height: u32,
    // Invariant: data.len() == 3 * width * height, and neither side is zero.
    data: Vec<u8>,
}

impl Rgb {
    /// An image filled with one colour.
    ///
    /// # Panics
    /// If a side is zero: image sizes are checked where they are read.
    #[must_use]
    pub fn filled(width: u32, height: u32, colour: [u8; 3]) -> Self {
        assert!(width > 0 && height > 0, "an image has at least one pixel");
        Self { width, height, data: colour.repeat(width as usize * height as usize) }
    }

    /// Takes rows of interleaved RGB bytes.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if `data` is not `3 * width * height` bytes or a side is zero.
    pub fn from_vec(width: u32, height: u32, data: Vec<u8>) -> Result<Self, Error> {
        if width == 0 || height == 0 || data.len() as u64 != 3 * u64::from(width) * u64::from(height) {
            return Err(Error::InvalidArgument("pixel bytes do not match the image size"));
        }
        Ok(Self { width, height, data })
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// All bytes, row by row.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// All bytes, row by row, to write to.
    #[must_use]
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// Bytes of one row.
    ///
    /// # Panics
    /// If `y >= height`.
    #[must_use]
    pub fn row(&self, y: u32) -> &[u8] {
        let stride = 3 * self.width as usize;
        &self.data[y as usize * stride..][..stride]
    }

    /// The colour at `(x, y)`.
    ///
    /// # Panics
    /// If the position is outside the image.
    #[must_use]
    pub fn pixel(&self, x: u32, y: u32) -> [u8; 3] {
        let row = self.row(y);
        let at = 3 * x as usize;
        [row[at], row[at + 1], row[at + 2]]
    }

    /// The colour of all pixels, if they have but one.
    #[must_use]
    pub fn uniform(&self) -> Option<[u8; 3]> {
        let first = [self.data[0], self.data[1], self.data[2]];
        // A buffer equal to itself moved by one pixel repeats that pixel throughout.
        (self.data[3..] == self.data[..self.data.len() - 3]).then_some(first)
    }

    /// Copies the `width` x `height` pixels at `(from_x, from_y)` of `source` to `(x, y)` of this image.
    ///
    /// # Panics
    /// If either rectangle leaves its image.
    #[allow(clippy::too_many_arguments, reason = "two positions and a size read best side by side")]
    pub fn blit(&mut self, source: &Rgb, from_x: u32, from_y: u32, width: u32, height: u32, x: u32, y: u32) {
        assert!(from_x + width <= source.width && from_y + height <= source.height, "blit reads outside");
        assert!(x + width <= self.width && y + height <= self.height, "blit writes outside");
        let bytes = 3 * width as usize;
        for line in 0..height {
            let from = 3 * ((from_y + line) as usize * source.width as usize + from_x as usize);
            let to = 3 * ((y + line) as usize * self.width as usize + x as usize);
            self.data[to..to + bytes].copy_from_slice(&source.data[from..from + bytes]);
        }
    }

    /// The `width` x `height` pixels at `(x, y)` as an image of their own.
    ///
    /// # Panics
    /// If the rectangle is empty or leaves the image.
    #[must_use]
    pub fn crop(&self, x: u32, y: u32, width: u32, height: u32) -> Rgb {
        assert!(width > 0 && height > 0, "an image has at least one pixel");
        let is_inside = |from: u32, length: u32, all: u32| from <= all && length <= all - from;
        assert!(is_inside(x, width, self.width) && is_inside(y, height, self.height), "crop reads outside");
        let bytes = 3 * width as usize;
        let mut data = Vec::with_capacity(bytes * height as usize);
        (y..y + height).for_each(|y| data.extend_from_slice(&self.row(y)[3 * x as usize..][..bytes]));
        Rgb { width, height, data }
    }

    /// The image at half size: every output pixel is the rounded mean of 2 x 2 pixels, `(a + b + c + d + 2) / 4`
    /// per channel. Sizes round up; at an odd edge the last row or column counts twice.
    ///
    /// This is the definition of a derived level (`docs/format/container.md`, "Derived levels").
    #[must_use]
    pub fn reduced(&self) -> Rgb {
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let mut data = vec![0; 3 * width as usize * height as usize];
        let whole = 3 * (self.width as usize / 2);
        for (y, out) in (0..height).zip(data.chunks_exact_mut(3 * width as usize)) {
            let top = self.row(2 * y);
            let bottom = self.row((2 * y + 1).min(self.height - 1));
            let (pairs, odd) = out.split_at_mut(whole);
            for ((out, t), b) in
                pairs.chunks_exact_mut(3).zip(top.chunks_exact(6)).zip(bottom.chunks_exact(6))
            {
                for c in 0..3 {
                    let sum = u16::from(t[c]) + u16::from(t[c + 3]) + u16::from(b[c]) + u16::from(b[c + 3]);
                    out[c] = ((sum + 2) / 4) as u8;
                }
            }
            for ((out, &t), &b) in odd.iter_mut().zip(&top[2 * whole..]).zip(&bottom[2 * whole..]) {
                *out = ((2 * u16::from(t) + 2 * u16::from(b) + 2) / 4) as u8;
            }
        }
        Rgb { width, height, data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn image() -> impl Strategy<Value = Rgb> {
        (1_u32..20, 1_u32..20).prop_flat_map(|(w, h)| {
            proptest::collection::vec(any::<u8>(), 3 * (w * h) as usize)
                .prop_map(move |data| Rgb::from_vec(w, h, data).expect("sizes match"))
        })
    }

    proptest! {
        #[test]
        fn reduced_is_the_mean_of_four_clamped_pixels(image in image()) {
            let half = image.reduced();
            prop_assert_eq!((half.width(), half.height()), (image.width().div_ceil(2), image.height().div_ceil(2)));
            for y in 0..half.height() {
                for x in 0..half.width() {
                    let (x1, y1) = ((2 * x + 1).min(image.width() - 1), (2 * y + 1).min(image.height() - 1));
                    for c in 0..3 {
                        let sum: u32 = [(2 * x, 2 * y), (x1, 2 * y), (2 * x, y1), (x1, y1)]
                            .iter().map(|&(x, y)| u32::from(image.pixel(x, y)[c])).sum();
                        prop_assert_eq!(u32::from(half.pixel(x, y)[c]), (sum + 2) / 4);
                    }
                }
            }
        }

        #[test]
        fn crop_and_blit_are_inverse(image in image(), x in 0_u32..20, y in 0_u32..20) {
            let (x, y) = (x % image.width(), y % image.height());
            let part = image.crop(x, y, image.width() - x, image.height() - y);
            let mut copy = Rgb::filled(image.width(), image.height(), [1, 2, 3]);
            copy.blit(&image, 0, 0, image.width(), image.height(), 0, 0);
            copy.blit(&part, 0, 0, part.width(), part.height(), x, y);
            prop_assert_eq!(copy, image);
        }
    }

    #[test]
    fn uniform_sees_a_single_other_pixel() {
        let mut image = Rgb::filled(5, 4, [9, 8, 7]);
        assert_eq!(image.uniform(), Some([9, 8, 7]));
        image.data_mut()[3 * 19 + 2] = 6;
        assert_eq!(image.uniform(), None);
    }

    #[test]
    fn sizes_that_do_not_match_are_refused() {
        assert!(Rgb::from_vec(2, 2, vec![0; 11]).is_err());
        assert!(Rgb::from_vec(0, 2, vec![]).is_err());
    }
}
