//! The addresses for programs, described for programs: `/openapi.json` (OpenAPI 3.1).
//!
//! Written by hand in `openapi.json` beside this file; what the server adds is its version and where it is. Not in it:
//! pages for people, and DICOMweb, which its own standard describes.

use std::sync::{Arc, LazyLock};

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use serde_json::Value;

use crate::app::App;
use crate::response::{Freshness, Representation, version_of};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut document: Value = serde_json::from_str(include_str!("openapi.json")).unwrap_or_default();
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    document
});

/// `GET /openapi.json`
pub(crate) async fn document(State(app): State<Arc<App>>, request: Request) -> Response {
    let (request, _body) = request.into_parts();
    let mut document = DOCUMENT.clone();
    document["servers"][0]["url"] = app.base_url(&request).into();
    let body = document.to_string();
    let etag = format!("\"{}\"", version_of(body.as_bytes()));
    let content_type = "application/json";
    let representation = Representation { etag: &etag, content_type, freshness: Freshness::Revalidate };
    let not_modified = representation.not_modified(&request.headers);
    not_modified.unwrap_or_else(|| representation.full(Bytes::from(body)))
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
        assert!(DOCUMENT["paths"].as_object().is_some_and(|paths| paths.len() > 20));
        check(&DOCUMENT);
    }
}
