//! Label, overview and thumbnail of a slide: a JPEG of one frame as it is, anything else as PNG.
//!
//! Not here: which file is which.

use microtome_codec::jpeg;

use super::decode::{colour_of, unpadded};
use super::instance::Instance;
use super::level::Level;
use super::pixels;
use super::syntax::Coding;
use crate::Error;
use crate::source::Associated;

/// Reads an associated image from its files.
pub(super) fn read(name: &'static str, instances: Vec<Instance>) -> Result<Associated, Error> {
    let image = Level::new(instances)?;
    let pixels = pixels::whole(&image)?;
    let (width, height) = (pixels.width(), pixels.height());
    let one_jpeg = image.head().attributes.syntax.coding == Coding::Jpeg
        && image.format.plain
        && image.tiling.tile == image.tiling.size;
    let malformed = |error: String| image.malformed(0, 0, error);
    if one_jpeg && let Some(bytes) = image.bytes(0, 0)? {
        let stream = unpadded(bytes);
        let header = jpeg::inspect(&stream).map_err(|error| malformed(error.to_string()))?;
        let bytes = jpeg::complete(&[], colour_of(&header, &image.format), &stream)
            .map_err(|error| malformed(error.to_string()))?;
        return Ok(Associated { name: name.into(), media_type: "image/jpeg", width, height, bytes });
    }
    Associated::png(name, &pixels).map_err(|error| malformed(format!("cannot be written as PNG ({error})")))
}
