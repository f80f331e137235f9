//! Associated images of an Aperio slide: its striped pages.
//!
//! The second line of a page's ImageDescription begins with `label` or `macro`; the thumbnail's has sizes. Not here:
//! other vendors' associated images.

use std::io::Cursor;

use microtome_codec::jpeg::{self, Colour};

use super::ifd::{Directory, Tiff};
use super::page::{Compression, Page, Photometric};
use super::pixels;
use super::tag::IMAGE_DESCRIPTION;
use crate::Error;
use crate::source::Associated;

/// Pixels of an associated image, which is decoded whole.
const MAX_PIXELS: u64 = 64 << 20;

/// The name of the associated image in a striped page of an Aperio slide.
pub(super) fn name(tiff: &Tiff, directory: &Directory) -> Result<&'static str, Error> {
    let description = tiff.text(directory, IMAGE_DESCRIPTION)?.unwrap_or_default();
    let second = description.lines().nth(1).unwrap_or_default().trim_start();
    let names = ["label", "macro"];
    Ok(names.into_iter().find(|name| second.starts_with(name)).unwrap_or("thumbnail"))
}

/// Reads an associated image: a JPEG of one strip or tile as it is, anything else as PNG.
pub(super) fn read(tiff: &Tiff, directory: &Directory, name: &str) -> Result<Associated, Error> {
    let page = Page::read(tiff, directory)?;
    let image = pixels::whole(tiff, &page, MAX_PIXELS)?;
    let (width, height) = (image.width(), image.height());
    if let Some(stream) = single_jpeg(tiff, &page)? {
        return Ok(Associated { name: name.into(), media_type: "image/jpeg", width, height, bytes: stream });
    }
    let damaged = |error| tiff.malformed(&page.place, format!("cannot be written as PNG ({error})"));
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(damaged)?;
    writer.write_image_data(image.data()).map_err(damaged)?;
    writer.finish().map_err(damaged)?;
    Ok(Associated { name: name.into(), media_type: "image/png", width, height, bytes: bytes.into_inner() })
}

/// The page as a complete JPEG stream, if it is one strip or tile of exactly the page's size, upright.
fn single_jpeg(tiff: &Tiff, page: &Page) -> Result<Option<Vec<u8>>, Error> {
    let Compression::Jpeg(tables) = &page.compression else { return Ok(None) };
    let whole = page.chunks.per_plane() == 1 && page.chunks.size(0) == (page.width, page.height);
    if !whole || !page.orientation.is_upright() || page.photometric == Photometric::WhiteIsZero {
        return Ok(None);
    }
    let Some(stored) = page.chunks.bytes(tiff, &page.place, 0)? else { return Ok(None) };
    // As it is where its own markers say what the page says.
    let said = page.jpeg_colour();
    let own = jpeg::inspect(&stored).map_err(|error| tiff.malformed(&page.place, error))?;
    let colour = if own.assumed_colour() == said { Colour::AsStored } else { said };
    let stream = jpeg::complete(tables, colour, &stored);
    stream.map(Some).map_err(|error| tiff.malformed(&page.place, error))
}
