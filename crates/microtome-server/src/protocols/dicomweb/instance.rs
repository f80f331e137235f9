//! Whole instances as files, of one instance, a series or a study, made while they are sent.
//!
//! PS3.18 section 10.4.1.1. Offset tables are empty: where a frame will lie is not known when the first is sent.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderValue, header};
use microtome_dicom::part10::{self, OffsetTable};

use super::described::Described;
use super::stream::{self, Ahead, Pieces};
use super::{Found, frames};
use crate::accept;
use crate::app::App;
use crate::body::Response;
use crate::error::{Error, Failure};

/// Frames that are made at the same time.
const AHEAD: usize = 8;

/// Answers with instances, at least one.
pub(crate) async fn answer(app: &Arc<App>, request: &Parts, found: Vec<Found>) -> Result<Response, Failure> {
    let single = is_single(request, found.len())?;
    let Some(first) = found.first() else { return Err(Error::NoSuchInstance.into()) };
    let boundary = stream::boundary(&first.open.content_id);
    let content_type = match single {
        true => "application/dicom".to_owned(),
        false => format!("multipart/related; type=\"application/dicom\"; boundary={boundary}"),
    };
    // Whatever is wrong with the first is said before anything is sent.
    first.described(app).await?;
    let (broken_off, app) = (stream::broken_off(app, request), Arc::clone(app));
    let body = stream::body(broken_off, async move |pieces| {
        for one in found {
            let described = one.described(&app).await?;
            if !single {
                pieces.send(stream::part_head(&boundary, "application/dicom")).await?;
            }
            send(&app, &one, &described, &pieces).await?;
            if !single {
                pieces.send("\r\n").await?;
            }
        }
        match single {
            true => Ok(()),
            false => pieces.send(stream::last(&boundary)).await,
        }
    });
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(content_type) = HeaderValue::try_from(content_type) {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    Ok(response)
}

/// Whether the request wants one file, not in parts.
fn is_single(request: &Parts, count: usize) -> Result<bool, Error> {
    for range in accept::ranges(&request.headers) {
        if range.takes_jpeg() && (range.media_type == "*/*" || range.matches_parts("application/dicom")) {
            return Ok(false);
        }
        if range.takes_jpeg() && range.matches("application/dicom") && count == 1 {
            return Ok(true);
        }
    }
    Err(Error::NotAcceptable(
        "instances are in JPEG baseline (1.2.840.10008.1.2.4.50): multipart/related; type=\"application/dicom\"",
    ))
}

async fn send(
    app: &Arc<App>,
    found: &Found,
    described: &Arc<Described>,
    pieces: &Pieces,
) -> Result<(), Failure> {
    pieces.send(part10::head(&described.dataset, OffsetTable::Empty)).await?;
    let mut next = 1..=described.frames.count();
    let mut ahead = Ahead::new();
    loop {
        while ahead.len() < AHEAD
            && let Some(number) = next.next()
        {
            ahead.begin(frames::made(Arc::clone(app), found.clone(), Arc::clone(described), number));
        }
        let Some(frame) = ahead.next().await.transpose()? else { break };
        let (item, padding) = part10::fragment(u32::try_from(frame.len()).unwrap_or(u32::MAX));
        pieces.send(item.to_vec()).await?;
        pieces.send(frame).await?;
        pieces.send(padding).await?;
    }
    pieces.send(part10::tail()).await
}
