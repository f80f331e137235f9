//! TIFF and BigTIFF slides: tiled and striped TIFF, pyramids in pages or SubIFDs, Aperio SVS,
//! Hamamatsu NDPI, Philips TIFF, Leica SCN.
//!
//! TIFF 6.0, the BigTIFF design, TIFF Technical Notes 1 to 3. Square JPEG tiles are taken verbatim; other
//! tiles and strips (none, LZW, deflate, PackBits, JPEG; 8-bit grey, palette, RGB, with or without alpha) are read as
//! pixels. Not here: JPEG 2000, WebP, Zstandard, 16-bit samples and more than one channel, plane or scene, which are
//! refused or left out by name.

mod associated;
mod cache;
mod chunks;
mod compression;
mod decode;
mod ifd;
mod leica;
mod ndpi;
mod overlapping;
mod page;
mod philips;
mod pixels;
mod properties;
mod tag;
mod tiles;
mod xml;

#[cfg(test)]
mod tests;

use std::path::Path;

use self::ifd::{Directory, Tiff};
use self::page::{Compression, Page};
use self::properties::Description;
use self::tag::{IMAGE_LENGTH, IMAGE_WIDTH, NEW_SUBFILE_TYPE, ORIENTATION, TILE_WIDTH};
use self::tiles::JpegTiles;
use crate::Error;
use crate::source::{Associated, Content, Source};

/// NewSubfileType: a page is a smaller version of another.
const REDUCED: u64 = 1;
/// NewSubfileType: a page is a transparency mask of another.
const MASK: u64 = 4;

/// Opens a TIFF, BigTIFF, SVS or NDPI file.
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
    overlapping::refuse(&tiff, &directories)?;
    if leica::is_leica(&tiff, &directories[0])? {
        return leica::open(tiff, &directories);
    }
    let mut full = None;
    for (index, directory) in directories.iter().enumerate() {
        if full.is_none() && subfile_type(&tiff, directory)? & (REDUCED | MASK) == 0 {
            full = Some(index);
        }
    }
    let first = directories.remove(full.unwrap_or(0));
    check_orientation(&tiff, &first)?;
    if philips::is_philips(&tiff, &first)? {
        return philips::open(tiff, &first, directories);
    }
    let page = Page::read(&tiff, &first)?;
    check_largest(&tiff, &first, &directories)?;
    let description = Description::read(&tiff, &first)?;
    let others = Others::sort(&tiff, &first, directories, description.aperio)?;

    let (width, height) = (page.width, page.height);
    let mut notices = description.notices;
    notices.extend(others.notices);
    let content = match tiles::obstacle(&page) {
        None => verbatim(tiff, page, &others.reduced, &mut notices)?,
        Some(obstacle) => {
            notices.extend(pixel_notices(&page, &obstacle));
            Content::Pixels(pixels::open(tiff, page)?)
        }
    };
    Ok(Source {
        width,
        height,
        format: if description.aperio { "aperio-svs" } else { "tiff" },
        content,
        properties: description.properties,
        mpp: description.mpp,
        objective_power: description.objective_power,
        icc_profile: description.icc_profile,
        associated: others.associated,
        notices,
    })
}

fn subfile_type(tiff: &Tiff, directory: &Directory) -> Result<u64, Error> {
    Ok(tiff.number_of(directory, NEW_SUBFILE_TYPE)?.unwrap_or(0))
}

/// Only row 0 at the top and column 0 at the left is taken; 0, which some writers give, means that too.
fn check_orientation(tiff: &Tiff, directory: &Directory) -> Result<(), Error> {
    match tiff.number_of(directory, ORIENTATION)?.unwrap_or(1) {
        0 | 1 => Ok(()),
        other => Err(tiff.unsupported_unless(
            &directory.place,
            format!("{ORIENTATION} is {other}, a turned or mirrored image"),
            "vips autorot IN OUT.tif[tile,pyramid,compression=deflate]",
        )),
    }
}

/// Refuses a file whose first page is not its largest: some writers put a thumbnail or the label first.
fn check_largest(tiff: &Tiff, first: &Directory, others: &[Directory]) -> Result<(), Error> {
    let size = |directory: &Directory| {
        let width = tiff.number_of(directory, IMAGE_WIDTH)?.unwrap_or(0);
        Ok::<_, Error>((width, tiff.number_of(directory, IMAGE_LENGTH)?.unwrap_or(0)))
    };
    let (width, height) = size(first)?;
    for other in others {
        let (w, h) = size(other)?;
        if w > width && h > height {
            let what = format!(
                "{} of {w} x {h} px is larger than {} of {width} x {height} px",
                other.place, first.place
            );
            return Err(tiff.unsupported_unless(
                &other.place,
                what,
                "vips tiffsave IN[page=N] OUT.tif --tile --pyramid",
            ));
        }
    }
    Ok(())
}

/// The IFDs beside that of level 0, by what they are.
struct Others {
    /// Smaller versions of level 0, not checked further.
    reduced: Vec<Directory>,
    associated: Vec<Associated>,
    notices: Vec<String>,
}

impl Others {
    fn sort(
        tiff: &Tiff,
        first: &Directory,
        directories: Vec<Directory>,
        aperio: bool,
    ) -> Result<Self, Error> {
        let mut others = Self { reduced: Vec::new(), associated: Vec::new(), notices: Vec::new() };
        let children = format!("{} SubIFD ", first.place);
        let (mut masks, mut strangers): (usize, Vec<String>) = (0, Vec::new());
        for directory in directories {
            let kind = subfile_type(tiff, &directory)?;
            if kind & MASK != 0 {
                masks += 1;
            } else if aperio && !directory.has(TILE_WIDTH) {
                others.associate(tiff, &directory);
            } else if aperio || kind & REDUCED != 0 || directory.place.starts_with(&children) {
                others.reduced.push(directory);
            } else {
                strangers.push(directory.place);
            }
        }
        if !strangers.is_empty() {
            let strangers = strangers.join(", ");
            others.notices.push(format!("left out, being no levels of {}: {strangers}", first.place));
        }
        if masks > 0 {
            others.notices.push(format!("{masks} transparency mask(s) are left out"));
        }
        Ok(others)
    }

    /// Adds an associated image; a damaged one must not lose the slide.
    fn associate(&mut self, tiff: &Tiff, directory: &Directory) {
        let result =
            associated::name(tiff, directory).and_then(|name| associated::read(tiff, directory, name));
        match result {
            Ok(image) if self.associated.iter().any(|other| other.name == image.name) => {
                self.notices.push(format!("{} is left out: a second {}", directory.place, image.name));
            }
            Ok(image) => self.associated.push(image),
            Err(error) => self.notices.push(format!("an associated image is left out: {error}")),
        }
    }
}

/// Level 0 in JPEG tiles, and the smaller versions that are levels on the same grid.
fn verbatim(
    tiff: Tiff,
    page: Page,
    reduced: &[Directory],
    notices: &mut Vec<String>,
) -> Result<Content, Error> {
    let mut tiles = JpegTiles::new(tiff, page)?;
    for directory in reduced {
        let left_out = match Page::read(tiles.tiff(), directory) {
            Ok(page) => tiles.join(page)?,
            Err(Error::Unsupported { what, .. }) => Some(what),
            Err(error) => return Err(error),
        };
        notices.extend(left_out.map(|why| format!("{} is left out as a level: {why}", directory.place)));
    }
    Ok(Content::Tiles(Box::new(tiles)))
}

/// What taking pixels instead of tiles loses.
fn pixel_notices(page: &Page, obstacle: &str) -> Vec<String> {
    let mut notices = Vec::new();
    if matches!(page.compression, Compression::Jpeg(_)) {
        notices.push(format!("the JPEG tiles of {} are not kept bit for bit: {obstacle}", page.place));
    }
    let (absent, all) = (page.chunks.absent(), page.chunks.all());
    if absent > 0 {
        notices
            .push(format!("{absent} of {all} tiles or strips of {} are absent and shown white", page.place));
    }
    let shown = page.photometric.colours() + usize::from(page.alpha != page::Alpha::None);
    if page.samples > shown {
        notices.push(format!("{} of {} samples per pixel are left out", page.samples - shown, page.samples));
    }
    notices
}
