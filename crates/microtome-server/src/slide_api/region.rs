//! Parts of a slide at any size: `/region/{slide}.jpg?...` and `/thumbnail/{slide}.jpg?size=N`.
//!
//! `x`, `y`, `w`, `h` say which part, in pixels of level 0 or with `unit=um` in micrometres; the whole slide if they are
//! left out. How large it is to be seen is said by one of `width` and `height` (in pixels; one of them keeps the
//! proportions, both are a box that it fits into), `mpp` (micrometres per pixel), `magnification` (as an objective of that
//! power shows it), `level`; if by none, it is level 0, or as large as the server lets it be.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderValue, header};
use microtome_render::View;
use microtome_slide::{Rect, Slide};

use super::{Chosen, opened, slide_and_format};
use crate::app::App;
use crate::body::Response;
use crate::catalog::OpenSlide;
use crate::error::{Error, Failure};
use crate::pictures::{Icc, Limits, Picture};
use crate::protocols::answer_picture;
use crate::query::Query;
use crate::routes::below;

/// Longest side of a thumbnail unless asked for.
const THUMBNAIL: u32 = 256;

/// Micrometres per pixel of an objective of power 1: 0.25 at 40x (as OpenSlide's users and most scanners reckon).
const MPP_OF_1X: f64 = 10.0;

/// `GET /region/{slide}.jpg`
pub(crate) async fn region(app: &Arc<App>, request: &Parts) -> Result<Response, Failure> {
    let query = Query::read(request.uri.query())?;
    let (slide, chosen) = slide_and_format(below(request, "/region/"), &query, request)?;
    let open = opened(app, request, &slide).await?;
    let rect = part(&open.slide, &query)?;
    let [width, height] = size(&open.slide, &query, rect, &app.limits)?;
    let view = View::scaled(rect, width, height);
    let icc = Icc::read(query.get("icc"))?;
    answer(app, request, &open, Picture { view, format: chosen.format, icc, padded_to: None }, &chosen).await
}

/// `GET /thumbnail/{slide}.jpg`
pub(crate) async fn thumbnail(app: &Arc<App>, request: &Parts) -> Result<Response, Failure> {
    const WHAT: &str = "the size is a number of pixels from 1 to 2048";
    let query = Query::read(request.uri.query())?;
    let (slide, chosen) = slide_and_format(below(request, "/thumbnail/"), &query, request)?;
    let side = query.parsed::<u32>("size", WHAT)?.unwrap_or(THUMBNAIL);
    if !(1..=2048).contains(&side) {
        return Err(Error::Malformed(WHAT).into());
    }
    let open = opened(app, request, &slide).await?;
    let rect = whole(&open.slide);
    let [width, height] = Limits { side, area: u64::MAX }.fit(rect.width, rect.height);
    let view = View::scaled(rect, width, height);
    let icc = Icc::read(query.get("icc"))?;
    answer(app, request, &open, Picture { view, format: chosen.format, icc, padded_to: None }, &chosen).await
}

async fn answer(
    app: &App,
    request: &Parts,
    open: &Arc<OpenSlide>,
    picture: Picture,
    chosen: &Chosen,
) -> Result<Response, Failure> {
    let mut response = answer_picture(app, request, open, picture).await?;
    if chosen.negotiated {
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    }
    Ok(response)
}

fn whole(slide: &Slide) -> Rect {
    let full = slide.levels()[0];
    Rect { x: 0, y: 0, width: full.width, height: full.height }
}

/// The part of level 0 that a query asks for: what of it lies on the slide.
pub(super) fn part(slide: &Slide, query: &Query) -> Result<Rect, Error> {
    const WHAT: &str = "x, y, w and h are numbers, w and h more than 0";
    let whole = whole(slide);
    let [x_scale, y_scale] = match query.get("unit") {
        None | Some("px") => [1.0, 1.0],
        Some("um") => mpp(slide)?,
        Some(_) => return Err(Error::Malformed("the unit is px or um")),
    };
    let number = |name: &str| {
        let number = query.parsed::<f64>(name, WHAT)?;
        if number.is_some_and(|number| !number.is_finite()) {
            Err(Error::Malformed(WHAT))
        } else {
            Ok(number)
        }
    };
    let span = |start: &str, length: &str, scale: f64, limit: u32| {
        let from = number(start)?.unwrap_or(0.0) / scale;
        let to = number(length)?.map_or(f64::from(limit), |length| from + length / scale);
        let inside = |at: f64| at.round().clamp(0.0, f64::from(limit)) as u32;
        let (from, to) = (inside(from), inside(to));
        match to.checked_sub(from).filter(|&length| length > 0) {
            Some(length) => Ok((from, length)),
            None => Err(Error::Malformed("the part is empty or outside the slide")),
        }
    };
    let (x, width) = span("x", "w", x_scale, whole.width)?;
    let (y, height) = span("y", "h", y_scale, whole.height)?;
    Ok(Rect { x, y, width, height })
}

/// Micrometres per pixel of level 0.
fn mpp(slide: &Slide) -> Result<[f64; 2], Error> {
    let known = slide.metadata().mpp.filter(|mpp| mpp.iter().all(|mpp| mpp.is_finite() && *mpp > 0.0));
    known.ok_or(Error::Malformed("the size of the slide's pixels is not known, which mpp, magnification and unit=um need: ask in pixels"))
}

/// The size that a query asks for.
fn size(slide: &Slide, query: &Query, rect: Rect, limits: &Limits) -> Result<[u32; 2], Error> {
    const SIDES: &str = "width and height are numbers of pixels, more than 0";
    const SCALE: &str = "mpp and magnification are numbers, more than 0";
    let side = |name: &str| match query.parsed::<u32>(name, SIDES)? {
        Some(0) => Err(Error::Malformed(SIDES)),
        side => Ok(side),
    };
    let scale = |name: &str| match query.parsed::<f64>(name, SCALE)? {
        Some(number) if !(number.is_finite() && number > 0.0) => Err(Error::Malformed(SCALE)),
        number => Ok(number),
    };
    let level = query.parsed::<u8>("level", "the level is a number from 0 on")?;
    let (width, height, wanted_mpp) = (side("width")?, side("height")?, scale("mpp")?);
    let magnification = scale("magnification")?;
    let ways =
        [width.is_some() || height.is_some(), wanted_mpp.is_some(), magnification.is_some(), level.is_some()];
    if ways.iter().filter(|&&way| way).count() > 1 {
        return Err(Error::Malformed(
            "one of width and height, mpp, magnification, level says how large it is to be",
        ));
    }
    let scaled = |[x, y]: [f64; 2]| {
        let length = |pixels: u32, scale: f64| (f64::from(pixels) * scale).round().max(1.0) as u32;
        [length(rect.width, x), length(rect.height, y)]
    };
    if let Some(level) = level {
        if usize::from(level) >= slide.levels().len() {
            return Err(Error::Malformed("the level is none of the slide's"));
        }
        let factor = f64::from(level).exp2();
        return Ok([rect.width, rect.height].map(|side| (f64::from(side) / factor).ceil() as u32));
    }
    if let Some(wanted) = wanted_mpp {
        return Ok(scaled(mpp(slide)?.map(|mpp| mpp / wanted)));
    }
    if let Some(wanted) = magnification {
        let own = slide.metadata().objective_power.filter(|power| power.is_finite() && *power > 0.0);
        return Ok(match own {
            Some(own) => scaled([wanted / own; 2]),
            None => scaled(mpp(slide)?.map(|mpp| mpp * wanted / MPP_OF_1X)),
        });
    }
    let scale = |wanted: u32, pixels: u32| f64::from(wanted) / f64::from(pixels);
    Ok(match (width, height) {
        (None, None) => limits.fit(rect.width, rect.height),
        (Some(width), None) => [width, scaled([scale(width, rect.width); 2])[1]],
        (None, Some(height)) => [scaled([scale(height, rect.height); 2])[0], height],
        (Some(width), Some(height)) => scaled([scale(width, rect.width).min(scale(height, rect.height)); 2]),
    })
}
