//! What instances say, as JSON, with addresses for what is long: ICC profiles.

use std::sync::Arc;

use bytes::Bytes;
use dicom_core::Tag;
use http::header;
use http::request::Parts;
use microtome_dicom::json;

use super::{Found, JSON, described, stream};
use crate::accept;
use crate::app::App;
use crate::body::Response;
use crate::error::{Error, Failure};
use crate::response::{Freshness, Representation, momentary};

/// Answers with the metadata of instances.
pub(crate) async fn answer(app: &Arc<App>, request: &Parts, found: Vec<Found>) -> Result<Response, Failure> {
    accepts_json(request)?;
    let mut objects = vec![];
    for one in &found {
        let described = one.described(app).await?;
        let address = one.address(&app.base_url(request));
        let bulk = |tag: Tag| Some(format!("{address}/bulkdata/{}", json::key(tag)));
        objects.push(json::to_json(&described.dataset, &bulk));
    }
    Ok(momentary(JSON, serde_json::Value::Array(objects).to_string()))
}

/// Refuses requests that take no JSON.
pub(crate) fn accepts_json(request: &Parts) -> Result<(), Error> {
    let takes = |range: &accept::Range| {
        [JSON, "application/json"].iter().any(|json| range.matches(json) || range.matches_parts(json))
    };
    match accept::ranges(&request.headers).iter().any(takes) {
        true => Ok(()),
        false => Err(Error::NotAcceptable("this is given as application/dicom+json")),
    }
}

/// Answers with the bytes of an element.
pub(crate) async fn bulk(
    app: &Arc<App>,
    request: &Parts,
    found: &Found,
    tag: Tag,
) -> Result<Response, Failure> {
    const BYTES: &str = "application/octet-stream";
    let described = found.described(app).await?;
    let bytes = described::bulk(&described.dataset, tag).ok_or(Error::NoSuchInstance)?;
    let etag = format!("\"{}-{}-{}\"", found.open.content_id, found.place, json::key(tag));
    let representation = Representation { etag: &etag, content_type: BYTES, freshness: Freshness::Immutable };
    let ranges = accept::ranges(&request.headers);
    if let Some(range) = ranges.iter().find(|range| range.matches(BYTES) || range.matches_parts(BYTES)) {
        if let Some(not_modified) = representation.not_modified(&request.headers) {
            return Ok(not_modified);
        }
        if range.matches(BYTES) {
            return Ok(representation.full(bytes));
        }
        let boundary = stream::boundary(&found.open.content_id);
        let (head, last) = (stream::part_head(&boundary, BYTES), stream::last(&boundary));
        let parts = [head.as_bytes(), &bytes, b"\r\n", last.as_bytes()];
        let mut response = representation.full(Bytes::from(parts.concat()));
        let content_type = format!("multipart/related; type=\"{BYTES}\"; boundary={boundary}");
        if let Ok(content_type) = content_type.try_into() {
            response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        }
        return Ok(response);
    }
    Err(Error::NotAcceptable("this is given as application/octet-stream").into())
}
