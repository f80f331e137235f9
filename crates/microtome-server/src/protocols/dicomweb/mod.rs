//! DICOMweb: the addresses below `/dicomweb/`. A slide is a series of VL Whole Slide Microscopy images, one per level.
//!
//! PS3.18: searches (QIDO-RS), metadata, frames, pictures, files and bulk data (WADO-RS). What a slide is in DICOM is
//! microtome-dicom's; nothing is stored here (no STOW-RS). Addresses name slides by identifiers of DICOM, which `index` knows.

mod address;
mod described;
mod frames;
mod index;
mod instance;
mod metadata;
mod query;
mod rendered;
mod search;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderValue, header};
use microtome_dicom::{Identity, Series};
use percent_encoding::percent_decode_str;

use crate::app::App;
use crate::body::Response;
use crate::catalog::OpenSlide;
use crate::error::{Error, Failure};
use crate::routes::below;
use address::{Scope, Wanted};
use described::Described;
pub(crate) use described::Dicomweb;

/// The media type of the DICOM JSON model.
const JSON: &str = "application/dicom+json";
/// Series that one request for a whole study gets, at most.
const MOST_SERIES: usize = 64;

/// An instance that was found.
#[derive(Clone)]
struct Found {
    open: Arc<OpenSlide>,
    series: Arc<Series>,
    /// Its place in the series.
    place: usize,
}

impl Found {
    async fn described(&self, app: &App) -> Result<Arc<Described>, Failure> {
        app.dicomweb.described(&app.pipeline.readers, &self.open, &self.series, self.place).await
    }

    /// Its address below that of the server.
    fn address(&self, base: &str) -> String {
        address_of(base, &self.series.identity, &self.series.instances[self.place].uid)
    }
}

/// The address of an instance.
fn address_of(base: &str, identity: &Identity, instance: &str) -> String {
    format!("{base}/dicomweb/studies/{}/series/{}/instances/{instance}", identity.study, identity.series)
}

/// `GET /dicomweb/...`
pub(crate) async fn resource(app: &Arc<App>, request: &Parts) -> Result<Response, Failure> {
    let accepting = accepting(request)?;
    let mut response = answer(app, accepting.as_ref().unwrap_or(request)).await?;
    // Nearly all of it is to be had in several forms.
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// The request with what its query takes in place of its Accept header, for clients that cannot set one (PS3.18 section 8.3.3.1). A plus
/// is one, as in `application/dicom+json`.
fn accepting(request: &Parts) -> Result<Option<Parts>, Error> {
    let pairs = request.uri.query().into_iter().flat_map(|query| query.split('&'));
    let Some(raw) = pairs.filter_map(|pair| pair.strip_prefix("accept=")).next() else { return Ok(None) };
    let value = HeaderValue::from_bytes(&percent_decode_str(raw).collect::<Vec<_>>());
    let mut request = request.clone();
    request
        .headers
        .insert(header::ACCEPT, value.map_err(|_other| Error::Malformed("accept is media types"))?);
    Ok(Some(request))
}

async fn answer(app: &Arc<App>, request: &Parts) -> Result<Response, Failure> {
    let (scope, wanted) = address::parse(below(request, "/dicomweb/"))?;
    if let Wanted::Search(listed) = wanted {
        return search::answer(app, request, scope, listed).await;
    }
    let mut found = find(app, request, &scope).await?;
    let first = found[0].clone();
    match wanted {
        Wanted::Instances => instance::answer(app, request, found).await,
        Wanted::Metadata => metadata::answer(app, request, found).await,
        Wanted::Frames(numbers) => frames::answer(app, request, found.swap_remove(0), numbers).await,
        Wanted::RenderedFrame(number) => rendered::frame(app, request, &first, number).await,
        Wanted::Rendered => rendered::instance(app, request, &first).await,
        Wanted::Thumbnail(frame) => rendered::thumbnail(app, request, &first, frame).await,
        Wanted::Bulk(tag) => metadata::bulk(app, request, &first, tag).await,
        Wanted::Search(_) => Err(Error::NoSuchPage.into()),
    }
}

/// The instances of a scope that the request may see, at least one.
async fn find(app: &Arc<App>, request: &Parts, scope: &Scope) -> Result<Vec<Found>, Failure> {
    let known = app.dicomweb.index.known().await?;
    let study = scope.study.as_deref().unwrap_or_default();
    let entries = known.study(study).iter();
    let in_series = |series: &str| scope.series.as_ref().is_none_or(|wanted| wanted == series);
    let entries = entries.filter(|entry| in_series(&entry.series) && app.may_see(request, &entry.slide));
    let series = index::grouped(entries).remove(study).unwrap_or_default();
    if series.len() > MOST_SERIES {
        return Err(Error::Malformed("a study of more than 64 series: ask for them one by one").into());
    }
    let mut found = vec![];
    for entry in series.values() {
        let open = match app.slide(request, &entry.slide).await {
            // Gone since the index was made; others of the study are not.
            Err(failure) if failure.is_absence() => continue,
            other => other?,
        };
        let series = app.dicomweb.series(&open);
        // The file may have been replaced since the index was made.
        if series.identity.series != entry.series || series.identity.study != study {
            continue;
        }
        let wanted = |uid: &str| scope.instance.as_ref().is_none_or(|wanted| wanted == uid);
        let places = series.instances.iter().enumerate().filter(|(_, instance)| wanted(&instance.uid));
        found.extend(places.map(|(place, _)| Found {
            open: Arc::clone(&open),
            series: Arc::clone(&series),
            place,
        }));
    }
    // A slide that could not be reached may be of this study; of a series that is there, it is not.
    if found.is_empty() || scope.series.is_none() {
        known.complete()?;
    }
    match found.is_empty() {
        true => Err(Error::NoSuchInstance.into()),
        false => Ok(found),
    }
}

/// What goes before a frame in an answer of many parts.
fn jpeg_part(boundary: &str) -> bytes::Bytes {
    stream::part_head(boundary, &frames::part_type()).into()
}
