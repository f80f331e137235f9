//! Leica SCN: a BigTIFF with a macro image and one or more scanned regions, each with its own pyramid.
//!
//! As OpenSlide documents the format (<https://openslide.org/formats/leica/>). The largest region is the slide; regions do
//! not lie on one grid of tiles, so that no other can be placed beside it without decoding. Not here: fluorescence, focal
//! planes other than 0.

mod collection;

use std::sync::Arc;

use super::content::Level0;
use super::ifd::{Directory, Tiff};
use super::page::Page;
use super::tag::IMAGE_DESCRIPTION;
use super::{associated, properties};
use crate::Error;
use crate::source::{Associated, Source};

use collection::{Dimension, Image};

/// Whether the first page of a file says that it is an SCN.
pub(super) fn is_leica(tiff: &Tiff, first: &Directory) -> Result<bool, Error> {
    Ok(collection::is_leica(&tiff.text(first, IMAGE_DESCRIPTION)?.unwrap_or_default()))
}

/// Opens an SCN of these pages.
pub(super) fn open(tiff: &Arc<Tiff>, directories: &[Directory]) -> Result<Source, Error> {
    let place = format!("{}, {IMAGE_DESCRIPTION}", directories[0].place);
    let description = tiff.text(&directories[0], IMAGE_DESCRIPTION)?.unwrap_or_default();
    let (images, barcode) = collection::read(&description).map_err(|what| tiff.malformed(&place, what))?;
    let mut notices = vec![];
    let image = choose(tiff, &place, &images, &mut notices)?;
    let page_of = |dimension: &Dimension| {
        // SubIFDs have places of another form.
        let name = format!("page {}", dimension.page);
        let directory = directories.iter().find(|directory| directory.place == name);
        directory.ok_or_else(|| tiff.malformed(&place, format!("names {name}, which the file lacks")))
    };
    let pages = image.dimensions.iter().map(page_of).collect::<Result<Vec<_>, _>>()?;
    let tags = properties::Tags::read(tiff, pages[0], &mut notices)?;
    let mut properties = tags.properties;
    properties.extend(image.properties.iter().cloned());
    if let Some(barcode) = barcode {
        properties
            .extend(["leica.barcode", "openslide.barcode"].map(|key| (key.to_owned(), barcode.clone())));
    }
    properties.extend(properties::normalised("leica", tags.mpp, image.objective_power));
    let first_macro = images.iter().find(|image| image.is_macro).and_then(|image| image.dimensions.first());
    let associated: Vec<Associated> = match first_macro.map(page_of).transpose()? {
        None => vec![],
        Some(directory) => match associated::read(tiff, directory, "macro") {
            Ok(image) => vec![image],
            Err(error) => {
                notices.push(error.leaves_image_out()?);
                vec![]
            }
        },
    };

    let page = Page::read(tiff, pages[0])?;
    let (width, height) = (page.width, page.height);
    let said = image.dimensions[0];
    if (width, height) != (said.width, said.height) {
        let what = format!(
            "says {} x {} px for {}, which has {width} x {height}",
            said.width, said.height, page.place
        );
        return Err(tiff.malformed(&place, what));
    }
    let (width, height) = page.orientation.size((width, height));
    let content =
        Level0 { pages: vec![page], mask: None }.open(tiff, pages[1..].iter().copied(), &mut notices)?;
    Ok(Source {
        width,
        height,
        format: "leica-scn",
        content,
        properties,
        mpp: tags.mpp,
        objective_power: image.objective_power,
        icc_profile: tags.icc_profile,
        associated,
        notices,
    })
}

/// The largest scanned region; what else there is, is said.
fn choose<'a>(
    tiff: &Tiff,
    place: &str,
    images: &'a [Image],
    notices: &mut Vec<String>,
) -> Result<&'a Image, Error> {
    let area = |image: &Image| {
        image.dimensions.first().map_or(0, |size| u64::from(size.width) * u64::from(size.height))
    };
    let regions = || images.iter().filter(|image| !image.is_macro);
    let Some(largest) = regions().max_by_key(|image| area(image)).filter(|image| area(image) > 0) else {
        return Err(tiff.malformed(place, "has no scanned region beside the macro image"));
    };
    if largest.is_fluorescence {
        return Err(tiff.unsupported(place, "a fluorescence scan"));
    }
    if largest.has_others {
        notices.push("other focal planes and channels than the first are left out".to_owned());
    }
    for other in regions().filter(|image| !std::ptr::eq(*image, largest)) {
        let size =
            other.dimensions.first().map_or("no".to_owned(), |d| format!("{} x {}", d.width, d.height));
        notices.push(format!("a scanned region of {size} px is left out: the largest is taken"));
    }
    Ok(largest)
}
