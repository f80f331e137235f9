//! Frames: from the tile cache and the pipeline, as the other protocols' tiles; what is not yet a frame is made one by a
//! decoding thread.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, header};
use microtome_dicom::Frames;

use super::described::Described;
use super::stream::{self, Ahead, Pieces};
use super::{Found, jpeg_part};
use crate::accept::{self, JPEG_BASELINE};
use crate::app::App;
use crate::body::Response;
use crate::error::{Error, Failure};
use crate::protocols::tile;
use crate::response::{Freshness, Representation};

/// Frames of one answer that are made at the same time.
const AHEAD: usize = 8;

/// How frames are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Single,
    Multipart,
}

/// Answers with frames of an instance.
pub(crate) async fn answer(
    app: &Arc<App>,
    request: &Parts,
    found: Found,
    numbers: Vec<u64>,
) -> Result<Response, Failure> {
    let form = form(request, numbers.len())?;
    let described = found.described(app).await?;
    if numbers.iter().any(|&number| number > described.frames.count()) {
        return Err(Error::NoSuchInstance.into());
    }
    // The address names the content: the identifier of an instance follows from it.
    let freshness = Freshness::Immutable;
    let (content, number, version) = (&found.open.content_id, numbers[0], env!("CARGO_PKG_VERSION"));
    let etag = format!("\"{content}-{}-{number}-{form:?}-{version}\"", found.place);
    let representation = Representation { etag: &etag, content_type: "image/jpeg", freshness };
    let is_one = numbers.len() == 1;
    if is_one && let Some(not_modified) = representation.not_modified(&request.headers) {
        return Ok(not_modified);
    }
    let first = frame(app, &found, &described, number).await?;
    if form == Form::Single {
        return Ok(representation.full(first));
    }
    let boundary = stream::boundary(&found.open.content_id);
    let content_type = format!("multipart/related; type=\"image/jpeg\"; boundary={boundary}");
    let mut response = representation.full(Bytes::new());
    if !is_one {
        response.headers_mut().remove(header::ETAG);
    }
    let broken_off = stream::broken_off(app, request);
    let app = Arc::clone(app);
    let send = |pieces| send(app, found, described, numbers, first, boundary, pieces);
    *response.body_mut() = stream::body(broken_off, send);
    if let Ok(content_type) = HeaderValue::try_from(content_type) {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    Ok(response)
}

/// The best form of those that the request takes.
fn form(request: &Parts, count: usize) -> Result<Form, Error> {
    for range in accept::ranges(&request.headers) {
        let as_stored = range.matches_parts("application/octet-stream") && range.transfer_syntax.is_some();
        if range.takes_jpeg() && (range.media_type == "*/*" || range.matches_parts("image/jpeg") || as_stored)
        {
            return Ok(Form::Multipart);
        }
        if range.takes_jpeg() && range.matches("image/jpeg") && count == 1 {
            return Ok(Form::Single);
        }
    }
    Err(Error::NotAcceptable(
        "frames are JPEG baseline (1.2.840.10008.1.2.4.50): multipart/related; type=\"image/jpeg\", or image/jpeg for one",
    ))
}

/// Sends frames, one after the other, the first of which is made.
async fn send(
    app: Arc<App>,
    found: Found,
    described: Arc<Described>,
    numbers: Vec<u64>,
    first: Bytes,
    boundary: String,
    pieces: Pieces,
) -> Result<(), Failure> {
    let head = jpeg_part(&boundary);
    let mut next = numbers.into_iter().skip(1);
    let mut ahead = Ahead::new();
    let mut frame = Some(first);
    while let Some(bytes) = frame {
        while ahead.len() < AHEAD
            && let Some(number) = next.next()
        {
            ahead.begin(made(Arc::clone(&app), found.clone(), Arc::clone(&described), number));
        }
        pieces.send(head.clone()).await?;
        pieces.send(bytes).await?;
        pieces.send(Bytes::from_static(b"\r\n")).await?;
        frame = ahead.next().await.transpose()?;
    }
    pieces.send(stream::last(&boundary)).await
}

/// As [`frame`], of what it owns.
pub(crate) async fn made(
    app: Arc<App>,
    found: Found,
    described: Arc<Described>,
    number: u64,
) -> Result<Bytes, Failure> {
    frame(&app, &found, &described, number).await
}

/// A frame, as JPEG; they count from 1.
pub(crate) async fn frame(
    app: &Arc<App>,
    found: &Found,
    described: &Arc<Described>,
    number: u64,
) -> Result<Bytes, Failure> {
    let frames = match &described.frames {
        Frames::Associated(frame) => return Ok(frame.bytes().clone()),
        Frames::Level(frames) => frames,
    };
    let place = frames.tile_of(number).ok_or(Error::NoSuchInstance)?;
    let jpeg = tile(app, &found.open, place).await?;
    if let Some(frame) = frames.kept(&jpeg) {
        return Ok(frame);
    }
    let (open, described) = (Arc::clone(&found.open), Arc::clone(described));
    let work = move || {
        let Frames::Level(frames) = &described.frames else { return Err(Error::NoSuchInstance) };
        let made = frames.frame(&open.slide, place, &jpeg);
        made.map(|(frame, _)| frame).map_err(|source| Error::NoDicom { slide: open.id.clone(), source })
    };
    app.dicomweb.on_decoder(app, "making of a frame", work).await
}

/// The media type of a frame in a part.
pub(crate) fn part_type() -> String {
    format!("image/jpeg; transfer-syntax={JPEG_BASELINE}")
}
