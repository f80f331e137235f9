//! Philips TIFF, as exported from iSyntax: a tiled pyramid, sparse where there is no tissue, and XML about all of it.
//!
//! As OpenSlide documents the format (<https://openslide.org/formats/philips/>). Pages and XML give the sizes of levels
//! filled up to whole tiles; how much smaller a level is, its pixel spacing says. Label and macro are JPEG in the XML, or
//! pages. Not here: iSyntax itself.

mod document;

use std::sync::Arc;

use microtome_codec::{jpeg, turbo};

use super::content::Level0;
use super::ifd::{Directory, Tiff};
use super::page::Page;
use super::tag::{IMAGE_DESCRIPTION, SOFTWARE, TILE_WIDTH};
use super::tiles::{self, JpegTiles};
use super::{associated, properties};
use crate::Error;
use crate::source::{Associated, Content, Source};

use document::Document;

/// Pixels of a label or macro image.
const MAX_IMAGE_PIXELS: u64 = 64 << 20;

/// Whether the first page of a file says that it is a Philips slide.
pub(super) fn is_philips(tiff: &Tiff, first: &Directory) -> Result<bool, Error> {
    let software = tiff.text(first, SOFTWARE)?.unwrap_or_default();
    if !software.starts_with("Philips") {
        return Ok(false);
    }
    Ok(document::is_philips(&software, &tiff.text(first, IMAGE_DESCRIPTION)?.unwrap_or_default()))
}

/// Opens a Philips slide whose first page is `first`.
pub(super) fn open(tiff: &Arc<Tiff>, first: &Directory, others: Vec<Directory>) -> Result<Source, Error> {
    let mut notices = vec![];
    let mut tags = properties::Tags::read(tiff, first, &mut notices)?;
    // The description goes in piece by piece.
    notices.retain(|notice| !notice.starts_with(&IMAGE_DESCRIPTION.to_string()));
    tags.properties.retain(|(key, _)| key != "tiff.ImageDescription");
    let document = Document::read(&tags.description)
        .map_err(|what| tiff.malformed(format!("{}, {IMAGE_DESCRIPTION}", first.place), what))?;
    notices.extend(document.notices.iter().cloned());
    let mpp = document.spacing.map(|[y, x]| [1000.0 * x, 1000.0 * y]);
    let properties =
        [tags.properties, document.properties.clone(), properties::normalised("philips", mpp, None)].concat();

    let mut images = images(&document, &mut notices);
    let mut levels = vec![];
    for directory in others {
        if directory.has(TILE_WIDTH) {
            levels.push(directory);
        } else {
            associate(tiff, &directory, &mut images, &mut notices)?;
        }
    }
    let page = Page::read(tiff, first)?;
    let (width, height) = page.orientation.size((page.width, page.height));
    let content = if tiles::obstacle(&page).is_some() {
        Level0 { pages: vec![page], mask: None }.open(tiff, [], &mut notices)?
    } else {
        let mut tiles = JpegTiles::new(Arc::clone(tiff), page)?;
        for (number, directory) in (1..).zip(&levels) {
            let left_out = join(tiff, &mut tiles, &document, number, directory)?;
            notices.extend(left_out.map(|why| format!("{} is left out as a level: {why}", directory.place)));
        }
        Content::Tiles(Box::new(tiles))
    };
    Ok(Source {
        width,
        height,
        format: "philips-tiff",
        content,
        properties,
        mpp,
        objective_power: None,
        icc_profile: tags.icc_profile.or(document.icc_profile),
        associated: images,
        notices,
    })
}

/// Adds the page of a level with its true size; else the answer says why it is left out.
fn join(
    tiff: &Tiff,
    tiles: &mut JpegTiles,
    document: &Document,
    number: u64,
    directory: &Directory,
) -> Result<Option<String>, Error> {
    let mut page = match Page::read(tiff, directory) {
        Err(Error::Unsupported { what, .. }) => return Ok(Some(what)),
        other => other?,
    };
    let Some(shift) = document.shift(number) else {
        return Ok(Some(
            "the XML gives it no pixel spacing that is 2, 4, 8, ... times that of level 0".into(),
        ));
    };
    let full = tiles.full_size();
    let size = ((full.0 >> shift).max(1), (full.1 >> shift).max(1));
    let filled_up = |side: u32, tile: u32| side.div_ceil(tile) * tile;
    let expected = (filled_up(size.0, page.chunks.width), filled_up(size.1, page.chunks.height));
    if (page.width, page.height) != expected && (page.width, page.height) != size {
        return Ok(Some(format!(
            "{} x {} px are not the {} x {} of its pixel spacing, filled up to whole tiles",
            page.width, page.height, size.0, size.1
        )));
    }
    (page.width, page.height) = size;
    tiles.join(page)
}

impl Document {
    /// How many times the level of a number is halved, if its pixels are that much larger than those of level 0, within
    /// 5 %.
    fn shift(&self, number: u64) -> Option<u32> {
        let spacing =
            |number| self.levels.iter().find(|(other, _)| *other == number).map(|(_, spacing)| spacing);
        let (full, level) = (spacing(0)?, spacing(number)?);
        let ratios = [level[0] / full[0], level[1] / full[1]];
        (1..31)
            .find(|&shift| ratios.iter().all(|ratio| (ratio / f64::from(1_u32 << shift) - 1.0).abs() < 0.05))
    }
}

/// The images in the XML that decode.
fn images(document: &Document, notices: &mut Vec<String>) -> Vec<Associated> {
    let mut images = vec![];
    for (name, bytes) in &document.images {
        let header = turbo::decode(bytes, MAX_IMAGE_PIXELS).and_then(|_| jpeg::inspect(bytes));
        match header {
            Ok(header) => images.push(Associated {
                name: (*name).into(),
                media_type: "image/jpeg",
                width: header.width,
                height: header.height,
                bytes: bytes.clone(),
            }),
            Err(error) => notices.push(format!("the {name} in the XML is left out: {error}")),
        }
    }
    images
}

/// Adds a page as associated image, unless the XML had it; a damaged one must not lose the slide.
fn associate(
    tiff: &Tiff,
    directory: &Directory,
    images: &mut Vec<Associated>,
    notices: &mut Vec<String>,
) -> Result<(), Error> {
    let description = tiff.text(directory, IMAGE_DESCRIPTION).ok().flatten().unwrap_or_default();
    let name = [("Label", "label"), ("Macro", "macro")]
        .into_iter()
        .find(|(start, _)| description.starts_with(start));
    let Some((_, name)) = name else {
        notices.push(format!("left out, being neither level nor label nor macro: {}", directory.place));
        return Ok(());
    };
    if images.iter().any(|image| image.name == name) {
        return Ok(());
    }
    match associated::read(tiff, directory, name) {
        Ok(image) => images.push(image),
        Err(error) => notices.push(error.leaves_image_out()?),
    }
    Ok(())
}
