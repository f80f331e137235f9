//! Makers whose TIFF has tiles that overlap: read as a plain grid, their slides would be shifted at every seam.
//!
//! Told as OpenSlide tells them (<https://openslide.org/formats/ventana/>, <https://openslide.org/formats/trestle/>). Not
//! here: reading them.

use super::ifd::{Directory, Tiff};
use super::tag::{SOFTWARE, XMP};
use crate::Error;

const COMMAND: &str = "vips openslideload IN OUT.tif[tile,pyramid,bigtiff,compression=deflate]";

/// Refuses the slides of these makers by name.
pub(super) fn refuse(tiff: &Tiff, directories: &[Directory]) -> Result<(), Error> {
    for directory in directories {
        if tiff.text(directory, XMP)?.is_some_and(|xmp| xmp.contains("<iScan")) {
            return Err(tiff.unsupported_unless(&directory.place, "Ventana BIF", COMMAND));
        }
    }
    match tiff.text(&directories[0], SOFTWARE)?.is_some_and(|software| software.starts_with("MedScan")) {
        true => Err(tiff.unsupported_unless(&directories[0].place, "Trestle (MedScan)", COMMAND)),
        false => Ok(()),
    }
}
