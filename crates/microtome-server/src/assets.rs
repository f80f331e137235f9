//! Scripts and styles of the pages, embedded in the program: pages need nothing from other servers.
//!
//! The scripts are built from `viewer/` and kept built in `assets/`, so that cargo needs no npm.

use std::sync::LazyLock;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};

use crate::body::Response;
use crate::error::{Error, Failure};
use crate::response::{Freshness, Representation, version_of};

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// An embedded file.
struct Asset {
    path: &'static str,
    content_type: &'static str,
    content: &'static str,
    /// The same, compressed by `build.rs`.
    gzip: Option<&'static [u8]>,
    /// Sixteen hexadecimal digits that change with the content.
    version: String,
}

/// A file below `assets/` with its compressed twin.
macro_rules! embedded {
    ($name:literal, $content_type:expr) => {
        asset(
            concat!("/assets/", $name),
            $content_type,
            include_str!(concat!("../assets/", $name)),
            Some(include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".gz"))),
        )
    };
}

static ASSETS: LazyLock<[Asset; 6]> = LazyLock::new(|| {
    [
        embedded!("pages.css", "text/css; charset=utf-8"),
        embedded!("gallery.js", JAVASCRIPT),
        embedded!("viewer.js", JAVASCRIPT),
        embedded!("early.js", JAVASCRIPT),
        embedded!("openseadragon/openseadragon.min.js", JAVASCRIPT),
        // What the source map comment of the minified file points to.
        asset(
            "/assets/openseadragon/openseadragon.min.js.map",
            "application/json",
            r#"{"version":3,"sources":[],"names":[],"mappings":""}"#,
            None,
        ),
    ]
});

fn asset(
    path: &'static str,
    content_type: &'static str,
    content: &'static str,
    gzip: Option<&'static [u8]>,
) -> Asset {
    Asset { path, content_type, content, gzip, version: version_of(content.as_bytes()) }
}

fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

/// The path of an asset with its version, for links in pages; without version if there is no such asset.
pub(crate) fn address(path: &str) -> String {
    find(path).map_or_else(|| path.to_owned(), |asset| format!("{path}?v={}", asset.version))
}

/// `GET /assets/...`
pub(crate) fn asset_response(request: &Parts) -> Result<Response, Failure> {
    let asset = find(request.uri.path()).ok_or(Error::NoSuchPage)?;
    let gzip = asset.gzip.filter(|_| accepts_gzip(&request.headers));
    let etag = format!("\"{}{}\"", asset.version, if gzip.is_some() { "-gzip" } else { "" });
    let freshness = Freshness::of_version(request.uri.query(), &asset.version);
    let representation = Representation { etag: &etag, content_type: asset.content_type, freshness };
    let body = Bytes::from_static(gzip.unwrap_or(asset.content.as_bytes()));
    let not_modified = representation.not_modified(&request.headers);
    let mut response = not_modified.unwrap_or_else(|| representation.full(body));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if gzip.is_some() {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// Whether `Accept-Encoding` has gzip, and not with the weight 0 (RFC 9110, 12.5.3).
fn accepts_gzip(request: &HeaderMap) -> bool {
    let lines = request.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let refused = |weight: &str| {
            let digits = weight.strip_prefix("q=0");
            digits.is_some_and(|rest| rest.bytes().all(|byte| b".0".contains(&byte)))
        };
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip")) && !parts.any(refused)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_goes_to_who_takes_it() {
        let accepts = |line: &str| {
            let value = HeaderValue::from_str(line).expect("a header value");
            accepts_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, value)]))
        };
        for line in ["gzip", "gzip, deflate, br", "br;q=1, GZIP;q=0.5"] {
            assert!(accepts(line), "{line}");
        }
        for line in ["", "br", "gzip;q=0", "gzip; q=0.000", "*;q=0, identity"] {
            assert!(!accepts(line), "{line}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
