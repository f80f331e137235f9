//! QIDO-RS: which studies, series and instances there are, in the order of their identifiers.
//!
//! PS3.18 section 10.6. Studies and series are found in the index alone; for instances the slides are opened, as many as the answer
//! takes. Who may not see a slide does not find it. Not here: what matches.

use std::sync::Arc;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use microtome_dicom::{Dataset, SEARCHED, available, json};
use serde_json::json;

use super::JSON;
use super::address::{Listed, Scope};
use super::index::{Entry, Known, MODALITY, grouped};
use super::metadata::accepts_json;
use super::query::Query;
use crate::app::App;
use crate::body::{Body, Response};
use crate::error::{Error, Failure};
use crate::response::momentary;

/// Slides that one search for instances opens, at most.
const MOST_OPENED: usize = 256;

/// Attributes of studies that are always told (PS3.18 table 10.6.3-3).
const OF_STUDIES: [Tag; 13] = [
    tags::SPECIFIC_CHARACTER_SET,
    tags::STUDY_DATE,
    tags::STUDY_TIME,
    tags::ACCESSION_NUMBER,
    tags::MODALITIES_IN_STUDY,
    tags::REFERRING_PHYSICIAN_NAME,
    tags::STUDY_DESCRIPTION,
    tags::PATIENT_NAME,
    tags::PATIENT_ID,
    tags::PATIENT_BIRTH_DATE,
    tags::PATIENT_SEX,
    tags::STUDY_INSTANCE_UID,
    tags::STUDY_ID,
];
/// Attributes of series that are always told, besides those.
const OF_SERIES: [Tag; 5] = [
    tags::MODALITY,
    tags::SERIES_DESCRIPTION,
    tags::SERIES_INSTANCE_UID,
    tags::SERIES_NUMBER,
    tags::CONTAINER_IDENTIFIER,
];

/// Results, and whether there may be more than were looked for.
struct Results {
    objects: Vec<String>,
    is_part: bool,
}

/// Answers a search.
pub(crate) async fn answer(
    app: &Arc<App>,
    request: &Parts,
    scope: Scope,
    listed: Listed,
) -> Result<Response, Failure> {
    accepts_json(request)?;
    let query = Query::parse(request.uri.query())?;
    let known = app.dicomweb.index.known().await?;
    // Who asks would take what is missing for what is not there.
    known.complete()?;
    let results = match listed {
        Listed::Studies | Listed::Series => {
            let (app, request) = (Arc::clone(app), request.clone());
            let listing = tokio::task::spawn_blocking(move || {
                let objects = from_index(&app, &request, &known, &scope, listed, &query);
                Results { objects, is_part: false }
            });
            listing.await.map_err(|_lost| Error::WorkerLost("search"))?
        }
        Listed::Instances => instances(app, request, &known, &scope, &query).await?,
    };
    let mut response = match results.objects.is_empty() {
        true => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        false => momentary(JSON, format!("[{}]", results.objects.join(","))),
    };
    if results.is_part {
        let warning = HeaderValue::from_static(
            "299 microtome \"not all slides were searched: name a study or a series\"",
        );
        response.headers_mut().insert(header::WARNING, warning);
    }
    Ok(response)
}

/// Slides in a scope that the request may see: the first of each series.
fn seen<'a>(
    app: &'a App,
    request: &'a Parts,
    known: &'a Known,
    scope: &'a Scope,
) -> impl Iterator<Item = &'a Arc<Entry>> {
    let entries = match &scope.study {
        Some(study) => known.study(study),
        None => &known.entries[..],
    };
    let in_series = |entry: &&Arc<Entry>| scope.series.as_ref().is_none_or(|series| entry.series == *series);
    entries.iter().filter(in_series).filter(|entry| app.may_see(request, &entry.slide))
}

/// Studies or series, of which one slide or all match.
fn from_index(
    app: &App,
    request: &Parts,
    known: &Known,
    scope: &Scope,
    listed: Listed,
    query: &Query,
) -> Vec<String> {
    let base = format!("{}/dicomweb", app.base_url(request));
    let matches = |entry: &Arc<Entry>| query.is_universal() || query.matches(&entry.summary(), |_| true);
    let studies = grouped(seen(app, request, known, scope));
    let mut results = vec![];
    let mut take = |object: &dyn Fn() -> String, number: usize| {
        if number >= query.offset && results.len() < query.limit {
            results.push(object());
        }
    };
    let mut number = 0;
    for (study, series) in &studies {
        if listed == Listed::Studies {
            let Some(first) = series.values().find(|entry| matches(entry)) else { continue };
            take(
                &|| study_json(&base, study, first, series.values().map(|entry| entry.instances), query),
                number,
            );
            number += 1;
            continue;
        }
        for entry in series.values().filter(|entry| matches(entry)) {
            take(&|| series_json(&base, entry, query), number);
            number += 1;
        }
    }
    results
}

fn study_json(
    base: &str,
    study: &str,
    entry: &Entry,
    instances: impl ExactSizeIterator<Item = u32>,
    query: &Query,
) -> String {
    let mut set = told(entry, |tag| OF_STUDIES.contains(&tag) || query.includes(tag));
    set.put_number(tags::NUMBER_OF_STUDY_RELATED_SERIES, instances.len() as u32);
    set.put_number(tags::NUMBER_OF_STUDY_RELATED_INSTANCES, instances.sum());
    object(set, format!("{base}/studies/{study}"))
}

fn series_json(base: &str, entry: &Entry, query: &Query) -> String {
    let always = |tag| OF_STUDIES.contains(&tag) || OF_SERIES.contains(&tag);
    let mut set = told(entry, |tag| always(tag) || query.includes(tag));
    set.put_number(tags::NUMBER_OF_SERIES_RELATED_INSTANCES, entry.instances);
    object(set, format!("{base}/studies/{}/series/{}", entry.study, entry.series))
}

/// What is told of a slide, with what is always told and empty.
fn told(entry: &Entry, wanted: impl Fn(Tag) -> bool) -> Dataset {
    let mut set = Dataset::default();
    OF_STUDIES.iter().for_each(|&tag| set.put_or_empty(tag, ""));
    set.extend(&entry.summary().filtered(wanted));
    set
}

fn object(mut set: Dataset, address: String) -> String {
    set.put(tags::INSTANCE_AVAILABILITY, "ONLINE");
    let mut object = json::to_json(&set, &|_| None);
    object[json::key(tags::RETRIEVE_URL)] = json!({"vr": "UR", "Value": [address]});
    object.to_string()
}

/// Instances of the slides that match as far as the index knows.
async fn instances(
    app: &Arc<App>,
    request: &Parts,
    known: &Known,
    scope: &Scope,
    query: &Query,
) -> Result<Results, Failure> {
    let base = app.base_url(request);
    let studies = grouped(seen(app, request, known, scope));
    let entries = studies.values().flat_map(|series| series.values());
    let mut results = Results { objects: vec![], is_part: false };
    let (mut skip, mut opened) = (query.offset, 0);
    for entry in entries {
        if results.objects.len() >= query.limit {
            break;
        }
        let is_of_slide = |tag| entry.has(tag);
        if !query.is_universal() && !query.matches(&entry.summary(), is_of_slide) {
            continue;
        }
        let count = entry.instances as usize;
        if skip >= count && !query.asks_for(|tag| !is_of_slide(tag)) {
            skip -= count;
            continue;
        }
        if opened == MOST_OPENED {
            results.is_part = true;
            break;
        }
        opened += 1;
        let open = match app.slide(request, &entry.slide).await {
            Ok(open) => open,
            // Who asks would take what is missing for what is not there.
            Err(failure) if failure.may_pass() => return Err(failure),
            // Gone or damaged since the index was made.
            Err(_) => continue,
        };
        let series = app.dicomweb.series(&open);
        if series.identity.series != entry.series {
            continue;
        }
        for instance in &series.instances {
            let mut set = instance.summary.clone();
            let (tag, syntax) = available();
            set.put(tag, syntax);
            set.put(tags::MODALITIES_IN_STUDY, MODALITY);
            if !query.matches(&set, |_| true) {
                continue;
            }
            if skip > 0 {
                skip -= 1;
            } else if results.objects.len() < query.limit {
                let always = |t| {
                    t == tag || OF_SERIES.contains(&t) || OF_STUDIES.contains(&t) || SEARCHED.contains(&t)
                };
                let set = set.filtered(|tag| always(tag) || query.includes(tag));
                let address = super::address_of(&base, &series.identity, &instance.uid);
                results.objects.push(object(set, address));
            }
        }
    }
    Ok(results)
}
