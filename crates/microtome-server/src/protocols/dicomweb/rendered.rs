//! Frames and instances as pictures, whole or in part, at a size that the client chooses.
//!
//! PS3.18 section 8.3.5 (`viewport`, `quality`, `iccprofile`), 10.4.1.1.3. Of a viewport that reaches beyond the image, of which the
//! standard says nothing, what lies on the image is shown. Pictures of levels are made as those of all
//! protocols; a frame that is wanted as it is, is its JPEG. Not here: how pictures are made.

use std::sync::Arc;

use http::request::Parts;
use microtome_codec::turbo::{self, Subsampling};
use microtome_dicom::{Frames, Kind};
use microtome_render::{Format, Tone, View};
use microtome_slide::Rect;

use super::{Found, frames};
use crate::accept;
use crate::app::App;
use crate::body::Response;
use crate::error::{Error, Failure};
use crate::pictures::{Icc, Picture, QUALITY, render_error};
use crate::protocols::answer_picture;
use crate::query::Query;
use crate::response::{Freshness, Representation, version_of};

/// Pixels of an associated image that is decoded.
const MOST_DECODED: u64 = 64 << 20;
/// Longest side of a thumbnail.
const THUMBNAIL: u32 = 256;

/// The part of an image that is to be seen, the size of the picture, which has the same shape, and which way round it is.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Window {
    area: Rect,
    size: [u32; 2],
    /// Left and right, and above and below, change places.
    flipped: [bool; 2],
}

impl Window {
    /// All of an image of this size, or the part of it that the viewport wants, at the size that fits it.
    fn of(viewport: Option<&str>, width: u32, height: u32) -> Result<Self, Error> {
        let malformed = Error::Malformed(
            "viewport is WIDTH,HEIGHT or WIDTH,HEIGHT,X,Y,[-]WIDTH,[-]HEIGHT, of the image at least a pixel",
        );
        let whole = Rect { x: 0, y: 0, width, height };
        let Some(viewport) = viewport else {
            return Ok(Self { area: whole, size: [width, height], flipped: [false; 2] });
        };
        let texts: Vec<&str> = viewport.split(',').map(str::trim).collect();
        let (most, part) = match texts[..] {
            [across, down] => ([across, down], [""; 4]),
            [across, down, x, y, w, h] => ([across, down], [x, y, w, h]),
            _ => return Err(malformed),
        };
        let [Some(across), Some(down)] = most.map(pixels).map(|side| side.filter(|&side| side > 0)) else {
            return Err(malformed);
        };
        let [x, y, w, h] = part;
        let (Some((x, width, mirrored)), Some((y, height, upended))) =
            (span(x, w, width), span(y, h, height))
        else {
            return Err(malformed);
        };
        let size = fitted([width, height], [across, down]);
        Ok(Self { area: Rect { x, y, width, height }, size, flipped: [mirrored, upended] })
    }

    /// The flips as a mirror image and turns by 90 degrees.
    fn turn(&self) -> (bool, u8) {
        let [mirrored, upended] = self.flipped;
        (mirrored != upended, if upended { 2 } else { 0 })
    }
}

/// A number of pixels, which may have decimals.
fn pixels(text: &str) -> Option<u32> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)?;
    Some(number.round().min(f64::from(u32::MAX)) as u32)
}

/// Start and length of what lies on an image of `all` pixels, from its first one on and to its last unless said, and whether it
/// is flipped, which a length below 0 says.
fn span(start: &str, length: &str, all: u32) -> Option<(u32, u32, bool)> {
    let start = if start.is_empty() { 0 } else { pixels(start)? };
    let left = all.checked_sub(start)?;
    let (flipped, length) = match length.strip_prefix('-') {
        Some(length) => (true, pixels(length)?),
        None if length.is_empty() => (false, left),
        None => (false, pixels(length)?),
    };
    Some((start, length.min(left), flipped)).filter(|&(_, length, _)| length > 0)
}

/// The largest size of this shape within `most`, larger than the original or not.
fn fitted(size: [u32; 2], most: [u32; 2]) -> [u32; 2] {
    let [w, h] = size.map(u64::from);
    let [across, down] = most.map(u64::from);
    let fitted = match across * h <= down * w {
        true => [across, (across * h + w / 2) / w],
        false => [(down * w + h / 2) / h, down],
    };
    fitted.map(|side| u32::try_from(side.max(1)).unwrap_or(u32::MAX))
}

/// What a request wants of a picture.
struct Asked {
    format: Format,
    icc: Icc,
    viewport: Option<String>,
    /// Whether the stored JPEG will do.
    as_stored: bool,
}

impl Asked {
    fn of(request: &Parts) -> Result<Self, Error> {
        let query = Query::read(request.uri.query())?;
        let quality: Option<u8> = query.parsed("quality", "quality is 1 to 100")?;
        if quality.is_some_and(|quality| !(1..=100).contains(&quality)) {
            return Err(Error::Malformed("quality is 1 to 100"));
        }
        let icc = match query.get("iccprofile") {
            None | Some("no") => Icc::None,
            Some("yes") => Icc::Keep,
            Some("srgb") => Icc::Srgb,
            Some(_) => return Err(Error::Malformed("iccprofile is no, yes or srgb")),
        };
        let format = accept::quick_format(&request.headers, quality.unwrap_or(QUALITY));
        let format =
            format.ok_or(Error::NotAcceptable("pictures are image/jpeg, image/png or image/webp"))?;
        let viewport = query.get("viewport").map(str::to_owned);
        let as_stored = matches!(format, Format::Jpeg { .. })
            && icc == Icc::None
            && quality.is_none()
            && viewport.is_none();
        Ok(Self { format, icc, viewport, as_stored })
    }
}

/// Answers with a frame as a picture: as it is with its padding, in any other form without it.
pub(crate) async fn frame(
    app: &Arc<App>,
    request: &Parts,
    found: &Found,
    number: u64,
) -> Result<Response, Failure> {
    answer_frame(app, request, found, number, Asked::of(request)?).await
}

async fn answer_frame(
    app: &Arc<App>,
    request: &Parts,
    found: &Found,
    number: u64,
    asked: Asked,
) -> Result<Response, Failure> {
    let described = found.described(app).await?;
    if number > described.frames.count() {
        return Err(Error::NoSuchInstance.into());
    }
    match &described.frames {
        Frames::Level(frames) if !asked.as_stored => {
            let tile = frames.tile_of(number).ok_or(Error::NoSuchInstance)?;
            let rect = frames.grid().tile_rect(tile.column, tile.row).ok_or(Error::NoSuchInstance)?;
            picture(app, request, found, tile.level, rect, &asked).await
        }
        Frames::Associated(frame) if !asked.as_stored => {
            let (jpeg, format) = (frame.bytes().clone(), asked.format);
            let [width, height] = size_of(found);
            let window = Window::of(asked.viewport.as_deref(), width, height)?;
            app.limits.check(window.size)?;
            let what = format!("{} {window:?} {format:?} {}", found.place, env!("CARGO_PKG_VERSION"));
            let etag = format!("\"{}-a{}\"", found.open.content_id, version_of(what.as_bytes()));
            let (content_type, freshness) = (format.media_type(), Freshness::Immutable);
            let representation = Representation { etag: &etag, content_type, freshness };
            if let Some(not_modified) = representation.not_modified(&request.headers) {
                return Ok(not_modified);
            }
            let open = Arc::clone(&found.open);
            let all = u64::from(width) * u64::from(height);
            let encode = move || {
                let source = |source| Error::Unencodable(format!("the image does not decode: {source}"));
                let pixels = turbo::decode(&jpeg, all.min(MOST_DECODED)).map_err(source)?;
                let Rect { x, y, width, height } = window.area;
                let pixels = microtome_render::resized(&pixels.crop(x, y, width, height), window.size);
                let (mirrored, quarter_turns) = window.turn();
                let pixels = microtome_render::turned(pixels, mirrored, quarter_turns);
                let encoded =
                    microtome_render::encode(&pixels, Tone::Colour, format, Subsampling::Chroma420, None);
                encoded.map_err(|source| render_error(&open, source))
            };
            // The larger of what is decoded and what is made of it.
            let [across, down] = window.size.map(u64::from);
            let size = if across * down > all { window.size } else { [width, height] };
            Ok(representation.full(app.pictures.encode(&app.pipeline, &found.open, size, encode).await?))
        }
        _ => {
            let (content, place) = (&found.open.content_id, found.place);
            let etag = format!("\"{content}-{place}-{number}-picture-{}\"", env!("CARGO_PKG_VERSION"));
            let representation =
                Representation { etag: &etag, content_type: "image/jpeg", freshness: Freshness::Immutable };
            if let Some(not_modified) = representation.not_modified(&request.headers) {
                return Ok(not_modified);
            }
            Ok(representation.full(frames::frame(app, found, &described, number).await?))
        }
    }
}

/// Width and height of the associated image that an instance shows.
fn size_of(found: &Found) -> [u32; 2] {
    let Kind::Associated(name) = &found.series.instances[found.place].kind else { return [1; 2] };
    let images = &found.open.slide.metadata().associated;
    images.iter().find(|image| image.name == *name).map_or([1; 2], |image| [image.width, image.height])
}

/// Answers with the image of an instance as a picture.
pub(crate) async fn instance(app: &Arc<App>, request: &Parts, found: &Found) -> Result<Response, Failure> {
    answer_instance(app, request, found, Asked::of(request)?).await
}

async fn answer_instance(
    app: &Arc<App>,
    request: &Parts,
    found: &Found,
    asked: Asked,
) -> Result<Response, Failure> {
    let Kind::Level(level) = found.series.instances[found.place].kind else {
        return answer_frame(app, request, found, 1, asked).await;
    };
    let grid = found.open.slide.levels()[usize::from(level)];
    let whole = Rect { x: 0, y: 0, width: grid.width, height: grid.height };
    picture(app, request, found, level, whole, &asked).await
}

/// Answers with a part of a level as a picture.
async fn picture(
    app: &Arc<App>,
    request: &Parts,
    found: &Found,
    level: u8,
    part: Rect,
    asked: &Asked,
) -> Result<Response, Failure> {
    let window = Window::of(asked.viewport.as_deref(), part.width, part.height)?;
    let Window { area, size: [width, height], .. } = window;
    let full = found.open.slide.levels()[0];
    let span = |start: u32, length: u32, all: u32| {
        let start = (u64::from(start) << level).min(u64::from(all) - 1);
        let end = (start + (u64::from(length) << level)).min(u64::from(all));
        (start as u32, (end - start) as u32)
    };
    let (x, across) = span(part.x + area.x, area.width, full.width);
    let (y, down) = span(part.y + area.y, area.height, full.height);
    let region = Rect { x, y, width: across, height: down };
    let mut view = View::scaled(region, width, height);
    (view.mirrored, view.quarter_turns) = window.turn();
    let picture = Picture { view, format: asked.format, icc: asked.icc, padded_to: None };
    answer_picture(app, request, &found.open, picture).await
}

/// Answers with a small picture: of a frame, of an instance, or of the whole slide.
pub(crate) async fn thumbnail(
    app: &Arc<App>,
    request: &Parts,
    found: &Found,
    frame: Option<u64>,
) -> Result<Response, Failure> {
    let mut asked = Asked::of(request)?;
    asked.as_stored = false;
    asked.viewport.get_or_insert_with(|| format!("{THUMBNAIL},{THUMBNAIL}"));
    match frame {
        Some(number) => answer_frame(app, request, found, number, asked).await,
        None => answer_instance(app, request, found, asked).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rect(x: u32, y: u32, width: u32, height: u32) -> Rect {
        Rect { x, y, width, height }
    }

    #[test]
    fn a_viewport_keeps_the_shape_of_what_it_shows() {
        let window = |text| Window::of(Some(text), 1000, 500).map(|window| (window.area, window.size));
        assert_eq!(window("100,100").ok(), Some((rect(0, 0, 1000, 500), [100, 50])));
        assert_eq!(window("100,100,200,100,100,400").ok(), Some((rect(200, 100, 100, 400), [25, 100])));
        assert_eq!(window("4000,4000,,,,").ok(), Some((rect(0, 0, 1000, 500), [4000, 2000])));
        assert_eq!(window("100,100,900,450,,").ok(), Some((rect(900, 450, 100, 50), [100, 50])));
        // What lies on the image of it.
        assert_eq!(window("100,100,900,400,600,600").ok(), Some((rect(900, 400, 100, 100), [100, 100])));
        assert_eq!(window("10,10,0,0,99999999999,1").ok(), Some((rect(0, 0, 1000, 1), [10, 1])));
        for bad in [
            "",
            "100",
            "0,100",
            "-100,100",
            "100,100,1,1",
            "100,100,1000,0,1,1",
            "100,100,0,501,1,1",
            "a,b",
            "NaN,1",
            "1,1,-1,0,1,1",
            "1,1,0,0,0,1",
            "1,1,0,0,1,-0",
            "1,1,0,0,--1,1",
            "1,1,0,0,-,1",
        ] {
            assert!(window(bad).is_err(), "{bad}");
        }
        let all = Window { area: rect(0, 0, 7, 5), size: [7, 5], flipped: [false; 2] };
        assert_eq!(Window::of(None, 7, 5).ok(), Some(all));
    }

    #[test]
    fn lengths_below_zero_flip_the_part_that_they_are_of() {
        for (viewport, turn) in [
            ("10,10,200,100,100,100", (false, 0)),
            ("10,10,200,100,-100,100", (true, 0)),
            ("10,10,200,100,100,-100", (true, 2)),
            ("10,10,200,100,-100,-100", (false, 2)),
        ] {
            let window = Window::of(Some(viewport), 1000, 500).expect(viewport);
            assert_eq!((window.area, window.turn()), (rect(200, 100, 100, 100), turn), "{viewport}");
        }
    }
}
