//! The addresses for programs, described for programs: `/openapi.json` (OpenAPI 3.1).
//!
//! Written by hand in `openapi.json` beside this file, and for DICOMweb beside that; what the server adds is its version, where it
//! is, and the names of a slide to try it with. Not in it: pages for people.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::request::Parts;
use serde_json::Value;

use crate::app::App;
use crate::body::Response;
use crate::response::{Freshness, Representation, version_of};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let parsed = |text| serde_json::from_str::<Value>(text).unwrap_or_default();
    let mut document = parsed(include_str!("openapi.json"));
    merge(&mut document, parsed(include_str!("protocols/dicomweb/openapi.json")));
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    document
});

/// Adds what `more` has: fields to fields, items to items.
fn merge(document: &mut Value, more: Value) {
    match (document, more) {
        (Value::Object(fields), Value::Object(more)) => {
            for (name, value) in more {
                merge(fields.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(items), Value::Array(more)) => items.extend(more),
        (document, more) => *document = more,
    }
}

/// `GET /openapi.json`
pub(crate) async fn document(app: &Arc<App>, request: &Parts) -> Response {
    let mut document = DOCUMENT.clone();
    document["servers"][0]["url"] = app.base_url(request).into();
    for (parameter, example) in examples(app, request).await.unwrap_or_default() {
        document["components"]["parameters"][parameter]["example"] = example.into();
    }
    let body = document.to_string();
    let etag = format!("\"{}\"", version_of(body.as_bytes()));
    let content_type = "application/json";
    let representation = Representation { etag: &etag, content_type, freshness: Freshness::Revalidate };
    let not_modified = representation.not_modified(&request.headers);
    not_modified.unwrap_or_else(|| representation.full(Bytes::from(body)))
}

/// What the first slide that the request may see is called in addresses; nothing if there is none, or none that opens.
async fn examples(app: &App, request: &Parts) -> Option<[(&'static str, String); 4]> {
    let id = app.listing.first(app.grant(request).as_ref()).await.ok()??;
    let open = app.slide(request, &id).await.ok()?;
    let series = app.dicomweb.series(&open);
    let instance = series.instances.first()?.uid.clone();
    let identity = &series.identity;
    Some([
        ("slide", id.to_string()),
        ("study", identity.study.clone()),
        ("series", identity.series.clone()),
        ("instance", instance),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_referred_to_is_there() {
        fn check(value: &Value) {
            match value {
                Value::Object(fields) => fields.iter().for_each(|(name, value)| match value.as_str() {
                    Some(target) if name == "$ref" => {
                        let pointer = target.trim_start_matches('#');
                        assert!(DOCUMENT.pointer(pointer).is_some(), "{target}");
                    }
                    _ => check(value),
                }),
                Value::Array(items) => items.iter().for_each(check),
                _ => {}
            }
        }
        assert!(DOCUMENT["paths"].as_object().is_some_and(|paths| paths.len() > 40));
        check(&DOCUMENT);
    }
}
