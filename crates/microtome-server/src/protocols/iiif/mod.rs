//! IIIF: the Image API 3.0 and 2.1 at compliance level 2, and a Presentation 3.0 manifest per slide.
//!
//! Addresses are `/iiif/{2,3}/{slide}/...`, read from the right because a slide's name may hold separators, encoded or not.
//! A request for just one tile of a level is answered with that tile; all others are pictures made for them.

mod info;
mod request;
#[cfg(test)]
mod tests;

use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use microtome_render::{Format, Tone};
use microtome_slide::{Slide, TileId};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use self::request::{ImageRequest, Parameters};
use crate::accept;
use crate::app::App;
use crate::body::{Body, Response};
use crate::catalog::OpenSlide;
use crate::error::{Error, Failure};
use crate::pictures::{Icc, Picture};
use crate::protocols::{answer_picture, answer_tile};
use crate::query::Query;
use crate::response::{Freshness, Representation, version_of};
use crate::routes::below;
use crate::slide_id::SlideId;

/// Version of the Image API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V2,
    V3,
}

impl Version {
    fn number(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }

    fn context(self) -> &'static str {
        match self {
            Self::V2 => "http://iiif.io/api/image/2/context.json",
            Self::V3 => "http://iiif.io/api/image/3/context.json",
        }
    }

    /// What `info.json` is for a client that asks for JSON-LD.
    fn linked_data(self) -> &'static str {
        match self {
            Self::V2 => "application/ld+json",
            Self::V3 => "application/ld+json;profile=\"http://iiif.io/api/image/3/context.json\"",
        }
    }
}

/// `GET /iiif/2/...`
pub(crate) async fn version_2(app: &Arc<App>, request: &Parts) -> Result<Response, Failure> {
    image_api(app, request, Version::V2).await
}

/// `GET /iiif/3/...`
pub(crate) async fn version_3(app: &Arc<App>, request: &Parts) -> Result<Response, Failure> {
    image_api(app, request, Version::V3).await
}

/// `GET /iiif/presentation/3/{slide}/manifest.json`, also without the extension.
pub(crate) async fn manifest(app: &Arc<App>, request: &Parts) -> Result<Response, Failure> {
    let path = below(request, "/iiif/presentation/3/");
    let slide = path.strip_suffix("/manifest.json").or_else(|| path.strip_suffix("/manifest"));
    let slide = slide.ok_or(Error::NoSuchPage)?;
    let open = app.slide(request, &SlideId::from_raw_path(slide)?).await?;
    let manifest = info::manifest(&open.slide, open.id.as_str(), &app.base_url(request), slide, &app.limits);
    let linked = "application/ld+json;profile=\"http://iiif.io/api/presentation/3/context.json\"";
    Ok(document(request, &open, &manifest, content_type(&request.headers, linked)))
}

async fn image_api(app: &App, request: &Parts, version: Version) -> Result<Response, Failure> {
    let path = below(request, if version == Version::V2 { "/iiif/2/" } else { "/iiif/3/" });
    let path = path.strip_suffix('/').unwrap_or(path);
    if let Some(slide) = path.strip_suffix("/info.json") {
        return info(app, request, slide, version).await;
    }
    let mut segments = path.rsplitn(5, '/');
    let (name, rotation, size, region, slide) =
        (segments.next(), segments.next(), segments.next(), segments.next(), segments.next());
    let (Some(name), Some(rotation), Some(size), Some(region), Some(slide)) =
        (name, rotation, size, region, slide)
    else {
        return base(app, request, path, version).await;
    };
    let decoded = |raw| percent_decode_str(raw).decode_utf8_lossy();
    let (name, rotation, size, region) = (decoded(name), decoded(rotation), decoded(size), decoded(region));
    let parameters = Parameters { region: &region, size: &size, rotation: &rotation, name: &name };
    match app.slide(request, &SlideId::from_raw_path(slide)?).await {
        Ok(open) => image(app, request, &open, slide, parameters, version).await,
        // The last four segments may belong to the name of a slide in a folder of a folder.
        Err(failure) if !name.contains('.') || failure.is_absence() => {
            base(app, request, path, version).await.map_err(|_none| failure)
        }
        Err(failure) => Err(failure),
    }
}

/// The address of a slide itself: where to find its `info.json` (3.0, section 2).
async fn base(app: &App, request: &Parts, slide: &str, version: Version) -> Result<Response, Failure> {
    app.slide(request, &SlideId::from_raw_path(slide)?).await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let query = request.uri.query().map_or_else(String::new, |query| format!("?{query}"));
    let location = format!("{}/info.json{query}", id(app, request, slide, version));
    insert(&mut response, header::LOCATION, &location);
    Ok(response)
}

/// The address of a slide in this API, as the client wrote its name.
fn id(app: &App, request: &Parts, slide: &str, version: Version) -> String {
    format!("{}/iiif/{}/{slide}", app.base_url(request), version.number())
}

async fn info(app: &App, request: &Parts, slide: &str, version: Version) -> Result<Response, Failure> {
    let open = app.slide(request, &SlideId::from_raw_path(slide)?).await?;
    let info = info::info(&open.slide, &id(app, request, slide, version), version, &app.limits);
    let content_type = content_type(&request.headers, version.linked_data());
    let mut response = document(request, &open, &info, content_type);
    if version == Version::V2 && content_type == "application/json" {
        let rel = "rel=\"http://www.w3.org/ns/json-ld#context\";type=\"application/ld+json\"";
        insert(&mut response, header::LINK, &format!("<{}>;{rel}", version.context()));
    }
    Ok(response)
}

/// Linked data where it is asked for by name, and JSON is not liked better.
fn content_type(request: &HeaderMap, linked_data: &'static str) -> &'static str {
    let best = accept::ranges(request)
        .into_iter()
        .find(|range| range.media_type == "application/ld+json" || range.matches("application/json"));
    match best.is_some_and(|range| range.media_type == "application/ld+json") {
        true => linked_data,
        false => "application/json",
    }
}

/// A document that names the server as the client does: its bytes follow from that too.
fn document(request: &Parts, open: &OpenSlide, value: &Value, content_type: &'static str) -> Response {
    let body = value.to_string();
    let etag = format!("\"{}-{}\"", open.content_id, version_of(format!("{content_type} {body}").as_bytes()));
    let representation = Representation { etag: &etag, content_type, freshness: Freshness::Revalidate };
    let not_modified = representation.not_modified(&request.headers);
    let mut response = not_modified.unwrap_or_else(|| representation.full(Bytes::from(body)));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

async fn image(
    app: &App,
    request: &Parts,
    open: &Arc<OpenSlide>,
    slide: &str,
    parameters: Parameters<'_>,
    version: Version,
) -> Result<Response, Failure> {
    let query = Query::read(request.uri.query())?;
    let icc = Icc::read(query.get("icc"))?;
    let full = open.slide.levels()[0];
    let size = [full.width, full.height];
    let mut image = ImageRequest::read(parameters, version, size, &app.limits)?;
    let mut response = match tile_of(&open.slide, &image).filter(|_| icc == Icc::None) {
        Some((tile, size)) => {
            image.size = size;
            answer_tile(app, request, Arc::clone(open), tile).await?
        }
        None => {
            let picture = Picture { view: image.view(), format: image.format, icc, padded_to: None };
            answer_picture(app, request, open, picture).await?
        }
    };
    // What is kept for ever must not hold what this client calls the server.
    if Freshness::of_version(request.uri.query(), &open.content_id) == Freshness::Immutable {
        return Ok(response);
    }
    let (id, canonical) = (id(app, request, slide, version), image.canonical(version, size, &app.limits));
    let mut links = String::with_capacity(id.len() + canonical.len() + 96);
    // A String takes whatever is written.
    let _ = write!(
        links,
        "<{id}/{canonical}>;rel=\"canonical\",<http://iiif.io/api/image/{}/level2.json>;rel=\"profile\"",
        version.number(),
    );
    insert(&mut response, header::LINK, &links);
    Ok(response)
}

/// The tile that an image request asks for, if it asks for just one, as it is; and its size.
fn tile_of(slide: &Slide, image: &ImageRequest) -> Option<(TileId, [u32; 2])> {
    let ImageRequest { region, size, exact, mirrored, quarter_turns, tone, format } = *image;
    let is_plain =
        !mirrored && quarter_turns == 0 && tone == Tone::Colour && matches!(format, Format::Jpeg { .. });
    if !is_plain {
        return None;
    }
    let full = slide.levels()[0];
    let is_whole = [region.width, region.height] == [full.width, full.height];
    (0_u8..).zip(slide.levels()).find_map(|(level, grid)| {
        let side = grid.tile_size;
        let (column, width) =
            span_of([side, grid.width], level, region.x, region.width, full.width, size[0])?;
        let (row, height) =
            span_of([side, grid.height], level, region.y, region.height, full.height, size[1])?;
        // One with overlap shows more than was asked for.
        let rect = grid.tile_rect(column, row)?;
        let is_all_of_it = [rect.width, rect.height] == [width, height];
        // The whole slide is no tile among others, whose sizes follow from a grid: as large as was asked for.
        let will_do = |side: usize, own: u32| size[side] == own || !exact[side] && !is_whole;
        let is_that_size = will_do(0, width) && will_do(1, height);
        (is_all_of_it && is_that_size).then_some((TileId { level, column, row }, [width, height]))
    })
}

/// The column (or row) of a level that covers just `length` pixels of level 0 from `start` on, and how many pixels it has
/// of its own: `side`, or what is left of the level's `own`. A size that follows from the shape is rounded up or down, and so are
/// those of sources.
fn span_of(
    [side, own]: [u32; 2],
    level: u8,
    start: u32,
    length: u32,
    full: u32,
    size: u32,
) -> Option<(u32, u32)> {
    let covered = u64::from(side) << level;
    let (start, length, full) = (u64::from(start), u64::from(length), u64::from(full));
    if start % covered != 0 || length != covered.min(full - start) {
        return None;
    }
    let (up, down) = (length.div_ceil(1 << level), (length >> level).max(1));
    let column = (start / covered) as u32;
    let left = own.checked_sub(column.checked_mul(side)?).filter(|&left| left > 0)?;
    let fits = u64::from(size) == up || u64::from(size) == down;
    fits.then_some((column, left.min(side)))
}

/// Adds a header, unless a name has characters that no header can have.
fn insert(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}
