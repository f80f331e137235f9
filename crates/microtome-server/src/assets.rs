//! Scripts and styles of the pages, embedded in the program: pages need nothing from other servers.

use std::sync::LazyLock;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;

use crate::error::{Error, Failure};
use crate::response::{Freshness, Representation, version_of};

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// An embedded file.
struct Asset {
    path: &'static str,
    content_type: &'static str,
    content: &'static str,
    /// Sixteen hexadecimal digits that change with the content.
    version: String,
}

static ASSETS: LazyLock<[Asset; 6]> = LazyLock::new(|| {
    [
        asset("/assets/pages.css", "text/css; charset=utf-8", include_str!("../assets/pages.css")),
        asset("/assets/gallery.js", JAVASCRIPT, include_str!("../assets/gallery.js")),
        asset("/assets/viewer.js", JAVASCRIPT, include_str!("../assets/viewer.js")),
        asset("/assets/scale.js", JAVASCRIPT, include_str!("../assets/scale.js")),
        asset(
            "/assets/openseadragon/openseadragon.min.js",
            JAVASCRIPT,
            include_str!("../assets/openseadragon/openseadragon.min.js"),
        ),
        // What the source map comment of the minified file points to.
        asset(
            "/assets/openseadragon/openseadragon.min.js.map",
            "application/json",
            r#"{"version":3,"sources":[],"names":[],"mappings":""}"#,
        ),
    ]
});

fn asset(path: &'static str, content_type: &'static str, content: &'static str) -> Asset {
    Asset { path, content_type, content, version: version_of(content.as_bytes()) }
}

fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

/// The address of an asset with its version, for links in pages; without version if there is no such asset.
pub(crate) fn address(path: &str) -> String {
    find(path).map_or_else(|| path.to_owned(), |asset| format!("{path}?v={}", asset.version))
}

/// `GET /assets/...`
pub(crate) async fn asset_response(request: Request) -> Result<Response, Failure> {
    let asset = find(request.uri().path()).ok_or(Error::NoSuchPage)?;
    let etag = format!("\"{}\"", asset.version);
    let freshness = Freshness::of_version(request.uri().query(), &asset.version);
    let representation = Representation { etag: &etag, content_type: asset.content_type, freshness };
    let body = Bytes::from_static(asset.content.as_bytes());
    Ok(representation.not_modified(request.headers()).unwrap_or_else(|| representation.full(body)))
}
