//! Trestle, whose TIFF has tiles that overlap: read as a plain grid, its slides would be shifted at every seam.
//!
//! Told as OpenSlide tells them (<https://openslide.org/formats/trestle/>), which reads them. Not here: reading them.

use super::ifd::{Directory, Tiff};
use super::tag::SOFTWARE;
use crate::Error;
use crate::source::unread::Unread;

/// Tells the slides of this maker.
pub(super) fn tell(tiff: &Tiff, directories: &[Directory]) -> Result<Option<Unread>, Error> {
    let is_trestle =
        tiff.text(&directories[0], SOFTWARE)?.is_some_and(|software| software.starts_with("MedScan"));
    Ok(is_trestle.then_some(Unread { name: "Trestle (MedScan)", vendor: "trestle" }))
}
