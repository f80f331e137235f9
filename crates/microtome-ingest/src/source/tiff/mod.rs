//! TIFF and BigTIFF slides: tiled and striped TIFF, pyramids in pages or SubIFDs, Aperio SVS, OME-TIFF, Hamamatsu NDPI,
//! Philips TIFF, Leica SCN, Ventana BIF.
//!
//! TIFF 6.0, the BigTIFF design, TIFF Technical Notes 1 to 3. Square JPEG tiles are taken verbatim; other
//! tiles and strips (none, LZW, deflate, PackBits, Zstandard, JPEG, JPEG 2000, WebP; grey, palette and RGB of 8 bits, grey
//! and RGB of 16, with or without alpha or a mask, turned or not) are read as pixels, and so are the channels of an
//! OME-TIFF. Not here: other focal planes, time points and scenes, which are left out by name, floating point, CMYK and
//! L*a*b*, which are refused.

mod associated;
mod channels;
mod chunks;
mod compression;
mod content;
mod decode;
mod ifd;
mod leica;
mod mask;
mod ndpi;
mod ome;
mod overlapping;
mod page;
mod parts;
mod philips;
mod pixels;
mod properties;
mod tag;
mod tiles;
mod ventana;
mod window;
mod xml;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use self::content::Level0;
use self::ifd::Tiff;
use self::ome::Ome;
use self::page::{Page, Photometric};
use self::parts::Parts;
use self::properties::Description;
use self::tag::{IMAGE_DESCRIPTION, SAMPLES_PER_PIXEL};
use crate::Error;
use crate::source::{Source, openslide};

/// Opens a TIFF, BigTIFF, SVS, OME-TIFF, NDPI, SCN or BIF file.
///
/// # Errors
/// [`Error::Malformed`] naming page, tag or tile and what is wrong with it; [`Error::Unsupported`] naming what is not
/// read, and the way round; [`Error::Read`].
pub fn open(path: &Path) -> Result<Source, Error> {
    let tiff = Tiff::open(path)?;
    if tiff.is_ndpi() {
        return ndpi::open(tiff);
    }
    let mut directories = tiff.directories()?;
    let tiff = Arc::new(tiff);
    if ventana::is_ventana(&tiff, &directories)? {
        return ventana::open(&tiff, directories);
    }
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("bif")) {
        // Where its tiles overlap, reading it as the plain TIFF that it is too would show a wrong picture.
        let what = "named as a Ventana BIF, and no page has the iScan element of one in its tag 700 (XMP)";
        return Err(tiff.unsupported_unless("header", what, "bfconvert IN OUT.ome.tif"));
    }
    if let Some(format) = overlapping::tell(&tiff, &directories)? {
        return openslide::open_unread(path, format);
    }
    if leica::is_leica(&tiff, &directories[0])? {
        return leica::open(&tiff, &directories);
    }
    if philips::is_philips(&tiff, &directories[0])? {
        let first = directories.remove(0);
        return philips::open(&tiff, &first, directories);
    }
    let text = directories.first().map_or(Ok(None), |first| tiff.text(first, IMAGE_DESCRIPTION))?;
    let text = text.unwrap_or_default();
    let samples = directories.first().map_or(Ok(None), |first| tiff.number_of(first, SAMPLES_PER_PIXEL))?;
    let ome = Ome::read(&tiff, &text, samples.unwrap_or(1) as usize)?;
    let aperio = properties::is_aperio(&text);
    let parts = Parts::sort(&tiff, directories, aperio, ome.as_ref())?;

    let mut pages = parts.full.iter().map(|one| Page::read(&tiff, one)).collect::<Result<Vec<_>, _>>()?;
    if pages[0].photometric == Photometric::Mask {
        return Err(tiff.unsupported(&pages[0].place, "a transparency mask without an image"));
    }
    let mut description = Description::read(&tiff, &parts.full[0], aperio, pages[0].orientation)?;
    let mut notices = parts.notices;
    notices.append(&mut description.notices);
    for (directory, page) in parts.full.iter().zip(&mut pages) {
        notices.extend(window::fit(&tiff, directory, page)?);
    }
    if let Some(ome) = ome {
        notices.extend(channels::colour(&tiff, &mut pages, &ome.channels)?);
        notices.extend(description.adopt(ome, &pages[0]));
    }
    description.add_windows(&pages);
    let (width, height) = pages[0].orientation.size((pages[0].width, pages[0].height));
    let mask = parts.mask.map(|mask| mask::read(&tiff, &mask, &pages[0])).transpose()?;
    let content = Level0 { pages, mask }.open(&tiff, &parts.reduced, &mut notices)?;
    Ok(Source {
        width,
        height,
        format: description.format,
        content,
        properties: description.properties,
        mpp: description.mpp,
        objective_power: description.objective_power,
        icc_profile: description.icc_profile,
        associated: parts.associated,
        notices,
    })
}
