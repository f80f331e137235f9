//! Transparency masks: pages that say which pixels of another are there. What is not is shown white.
//!
//! TIFF 6.0 section 8 (NewSubfileType 4, PhotometricInterpretation 4): one bit per pixel, 1 where the image is, and
//! absent tiles, as GDAL leaves them out, where it is nowhere. Not here: alpha, which is a sample of the image itself.

use std::sync::Arc;

use microtome_codec::Rgb;
use microtome_container::geometry::Rect;

use super::ifd::{Directory, Tiff};
use super::page::{Page, Photometric};
use super::pixels;
use crate::Error;
use crate::source::Pixels;

/// Reads the mask of a page.
///
/// # Errors
/// Beside those of [`Page::read`], [`Error::Unsupported`] if it is not a mask of the page's size.
pub(super) fn read(tiff: &Tiff, directory: &Directory, of: &Page) -> Result<Page, Error> {
    let mask = Page::read(tiff, directory)?;
    if mask.photometric != Photometric::Mask {
        return Err(tiff.unsupported(&mask.place, "a transparency mask that is not one bit per pixel"));
    }
    if (mask.width, mask.height, mask.orientation) != (of.width, of.height, of.orientation) {
        let what = format!(
            "a transparency mask of {} x {} px for {} of {} x {}",
            mask.width, mask.height, of.place, of.width, of.height
        );
        return Err(tiff.unsupported(&mask.place, what));
    }
    Ok(mask)
}

/// Whether a mask hides nothing. Decodes until something is hidden, so up to the whole mask.
pub(super) fn is_opaque(tiff: &Tiff, mask: &Page) -> Result<bool, Error> {
    for index in 0..mask.chunks.per_plane() {
        let shown = mask.decode(tiff, index)?;
        let (width, height) = mask.chunks.within(index, (mask.width, mask.height));
        let row = |y: u32| &shown.row(y)[..3 * width as usize];
        if (0..height).any(|y| row(y).contains(&0)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The pixels of a page, white where its mask hides them.
pub(super) struct Masked {
    pub(super) image: Box<dyn Pixels>,
    pub(super) mask: Box<dyn Pixels>,
}

impl Masked {
    pub(super) fn open(tiff: &Arc<Tiff>, image: Box<dyn Pixels>, mask: Page) -> Result<Self, Error> {
        Ok(Self { image, mask: pixels::open_stored(Arc::clone(tiff), mask, 2)? })
    }
}

impl Pixels for Masked {
    fn read(&self, rect: Rect) -> Result<Rgb, Error> {
        let (mut image, mask) = (self.image.read(rect)?, self.mask.read(rect)?);
        // The mask is 255 where the image is and 0 elsewhere.
        for (sample, shown) in image.data_mut().iter_mut().zip(mask.data()) {
            *sample |= !shown;
        }
        Ok(image)
    }
}
