//! Associated images of an Aperio slide: its striped pages. Those of other files whose PageName says so, as our own export
//! writes them.
//!
//! A line of a page's ImageDescription begins with `label` or `macro`, or NewSubfileType says so; the thumbnail's has sizes. Not here:
//! other vendors' associated images.

use microtome_codec::jpeg::{self, Colour};
use microtome_codec::turbo;

use super::ifd::{Directory, Tiff};
use super::page::{Compression, Page, Photometric};
use super::pixels;
use super::tag::{IMAGE_DESCRIPTION, NEW_SUBFILE_TYPE, PAGE_NAME};
use crate::Error;
use crate::source::Associated;

/// Pixels of an associated image, which is decoded whole.
const MAX_PIXELS: u64 = 64 << 20;

/// The name of the associated image in a page that is named so.
pub(super) fn page_name(tiff: &Tiff, directory: &Directory) -> Result<Option<&'static str>, Error> {
    let named = tiff.text(directory, PAGE_NAME)?.unwrap_or_default();
    let known = ["label", "macro", "thumbnail"];
    Ok(known.into_iter().find(|name| named.trim().eq_ignore_ascii_case(name)))
}

/// The name of the associated image in a striped page of an Aperio slide.
pub(super) fn name(tiff: &Tiff, directory: &Directory) -> Result<&'static str, Error> {
    let description = tiff.text(directory, IMAGE_DESCRIPTION)?.unwrap_or_default().to_ascii_lowercase();
    let names = ["label", "macro"];
    let said = names
        .into_iter()
        .find(|name| description.split(['\r', '\n']).any(|line| line.trim_start().starts_with(name)));
    // Where the description does not say, Aperio's NewSubfileType does: 1 is the label, 9 the macro image.
    let typed = match tiff.number_of(directory, NEW_SUBFILE_TYPE)?.unwrap_or(0) {
        1 => "label",
        9 => "macro",
        _ => "thumbnail",
    };
    Ok(said.unwrap_or(typed))
}

/// Reads an associated image: JPEG strips and tiles with their data as they are, anything else as PNG.
pub(super) fn read(tiff: &Tiff, directory: &Directory, name: &str) -> Result<Associated, Error> {
    let page = Page::read(tiff, directory)?;
    let image = pixels::whole(tiff, &page, MAX_PIXELS)?;
    let (width, height) = (image.width(), image.height());
    let is_whole = |stream: &Vec<u8>| {
        let picture = turbo::decode(stream, MAX_PIXELS);
        picture.is_ok_and(|picture| (picture.width(), picture.height()) == (width, height))
    };
    if let Some(stream) = as_jpeg(tiff, &page)?.filter(is_whole) {
        return Ok(Associated { name: name.into(), media_type: "image/jpeg", width, height, bytes: stream });
    }
    Associated::png(name, &image)
        .map_err(|error| tiff.malformed(&page.place, format!("cannot be written as PNG ({error})")))
}

/// The page as a complete JPEG stream of exactly its size, if it is upright and a strip or tile is one, or strips can be
/// joined to one: with the entropy-coded data as they are.
fn as_jpeg(tiff: &Tiff, page: &Page) -> Result<Option<Vec<u8>>, Error> {
    let Compression::Jpeg(tables) = &page.compression else { return Ok(None) };
    if !page.orientation.is_upright() || page.photometric == Photometric::WhiteIsZero {
        return Ok(None);
    }
    let damaged = |error| tiff.malformed(&page.place, error);
    let count = page.chunks.per_plane();
    let is_full_width = (0..count).all(|i| page.chunks.size(i).0 == page.width);
    let (Ok(height), true) = (u16::try_from(page.height), is_full_width) else { return Ok(None) };
    let mut strips = vec![];
    for i in 0..count {
        let Some(stored) = page.chunks.bytes(tiff, &page.place, i)? else { return Ok(None) };
        strips.push(stored);
    }
    let stored = match &strips[..] {
        [one] if page.chunks.size(0).1 == page.height => one.clone(),
        several => {
            let several: Vec<_> = several.iter().map(Vec::as_slice).collect();
            let Some(joined) = jpeg::join_strips(&several, height).map_err(damaged)? else { return Ok(None) };
            joined
        }
    };
    // As it is where its own markers say what the page says.
    let said = page.jpeg_colour();
    let own = jpeg::inspect(&stored).map_err(damaged)?;
    let colour = if own.assumed_colour() == said { Colour::AsStored } else { said };
    jpeg::complete(tables, colour, &stored).map(Some).map_err(damaged)
}
