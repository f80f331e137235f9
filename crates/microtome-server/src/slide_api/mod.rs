//! What there is to know and to see of a slide, for programs: `/slides/{slide}`, `/region`, `/thumbnail`, `/associated`,
//! `/histogram`.
//!
//! Not here: tile protocols, pages for people, the list of all slides.

mod associated;
mod document;
mod histogram;
mod region;

use std::sync::Arc;

use http::request::Parts;
use microtome_render::Format;

pub(crate) use associated::associated;
pub(crate) use document::slide;
pub(crate) use histogram::histogram;
pub(crate) use region::{region, thumbnail};

use crate::accept;
use crate::app::App;
use crate::catalog::OpenSlide;
use crate::error::{Error, Failure};
use crate::pictures::QUALITY;
use crate::query::Query;
use crate::slide_id::SlideId;

/// A picture's format, and whether it follows from what the client accepts.
struct Chosen {
    format: Format,
    negotiated: bool,
}

/// Endings of pictures that are not made here; of some only where the server is built without them.
const OTHER_FORMATS: [&str; 8] = ["avif", "bmp", "gif", "jp2", "jxl", "pdf", "tif", "tiff"];

/// The slide of an address. Where there is none, but one whose name goes without such an ending, the ending was meant as a format.
async fn opened(app: &App, request: &Parts, slide: &SlideId) -> Result<Arc<OpenSlide>, Failure> {
    let failure = match app.slide(request, slide).await {
        Err(failure) if failure.is_absence() => failure,
        found => return found,
    };
    let Some((stem, ending)) = slide.as_str().rsplit_once('.') else { return Err(failure) };
    let is_format = OTHER_FORMATS.contains(&&*ending.to_ascii_lowercase());
    match SlideId::from_path(stem) {
        Ok(stem) if is_format && app.slide(request, &stem).await.is_ok() => Err(Error::UNKNOWN_FORMAT.into()),
        _ => Err(failure),
    }
}

/// The slide and the format of an address `{slide}.{extension}` or, without an extension of ours, `{slide}`. A parameter
/// `format` is stronger than an extension, and what the client accepts weaker.
fn slide_and_format(path: &str, query: &Query, request: &Parts) -> Result<(SlideId, Chosen), Error> {
    const WHAT: &str = "the quality is a number from 1 to 100";
    let quality = query.parsed::<u8>("quality", WHAT)?.unwrap_or(QUALITY);
    if !(1..=100).contains(&quality) {
        return Err(Error::Malformed(WHAT));
    }
    let by_extension = path
        .rsplit_once('.')
        .and_then(|(slide, extension)| Some((slide, Format::with_extension(extension, quality)?)));
    let (slide, by_extension) = match by_extension {
        Some((slide, format)) => (slide, Some(format)),
        None => (path, None),
    };
    let by_name =
        query.get("format").map(|name| Format::with_extension(name, quality).ok_or(Error::UNKNOWN_FORMAT));
    let named = by_name.transpose()?.or(by_extension);
    let negotiated = named.is_none();
    // Who takes none of the formats gets JPEG, and may look whether it will do after all.
    let liked = || accept::format(&request.headers, quality).unwrap_or(Format::Jpeg { quality });
    let format = named.unwrap_or_else(liked);
    Ok((SlideId::from_raw_path(slide)?, Chosen { format, negotiated }))
}
