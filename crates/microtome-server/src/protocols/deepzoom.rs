//! Deep Zoom: the addresses below `/dzi/` and `/tiles/`, whose level 0 is 1 x 1 pixel.
//!
//! Addresses are read from the right, because a slide's name may hold separators, encoded or not.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use microtome_slide::deepzoom;

use crate::app::App;
use crate::error::{Error, Failure};
use crate::protocols::answer_tile;
use crate::response::{Freshness, Representation};
use crate::slide_id::SlideId;

/// A tile as Deep Zoom numbers it.
#[derive(Debug, PartialEq, Eq)]
struct Address {
    slide: SlideId,
    level: u32,
    column: u32,
    row: u32,
}

/// What is below `/dzi/`.
#[derive(Debug, PartialEq, Eq)]
enum Resource {
    Descriptor(SlideId),
    Tile(Address),
}

/// `GET /tiles/{slide}/{level}/{x}_{y}.jpg`
pub(crate) async fn plain_tile(State(app): State<Arc<App>>, request: Request) -> Result<Response, Failure> {
    let address = parse_tile(below(&request, "/tiles/"), "")?;
    tile(&app, request, address).await
}

/// `GET /dzi/{slide}.dzi` and `GET /dzi/{slide}_files/{level}/{x}_{y}.jpg`
pub(crate) async fn resource(State(app): State<Arc<App>>, request: Request) -> Result<Response, Failure> {
    match parse_resource(below(&request, "/dzi/"))? {
        Resource::Descriptor(slide) => descriptor(&app, request, &slide).await,
        Resource::Tile(address) => tile(&app, request, address).await,
    }
}

async fn descriptor(app: &App, request: Request, slide: &SlideId) -> Result<Response, Failure> {
    let (request, _body) = request.into_parts();
    let open = app.slide(&request, slide).await?;
    let etag = format!("\"{}-dzi-{}\"", open.content_id, env!("CARGO_PKG_VERSION"));
    let freshness = Freshness::of_version(request.uri.query(), &open.content_id);
    let representation = Representation { etag: &etag, content_type: "application/xml", freshness };
    let not_modified = representation.not_modified(&request.headers);
    Ok(not_modified.unwrap_or_else(|| representation.full(Bytes::from(deepzoom::descriptor(&open.slide)))))
}

async fn tile(app: &App, request: Request, address: Address) -> Result<Response, Failure> {
    let (parts, _body) = request.into_parts();
    let open = app.slide(&parts, &address.slide).await?;
    let Some(tile) = deepzoom::tile(&open.slide, address.level, address.column, address.row) else {
        return Err(Error::NoSuchTile.into());
    };
    answer_tile(app, &parts, open, tile).await
}

/// The still encoded path of a request below `prefix`.
fn below<'a>(request: &'a Request, prefix: &str) -> &'a str {
    let path = request.uri().path();
    path.strip_prefix(prefix).unwrap_or(path)
}

fn parse_resource(path: &str) -> Result<Resource, Error> {
    match path.strip_suffix(".dzi") {
        Some(slide) => SlideId::from_raw_path(slide).map(Resource::Descriptor),
        None => parse_tile(path, "_files").map(Resource::Tile),
    }
}

/// Reads `{slide}{marker}/{level}/{column}_{row}.jpg` (or `.jpeg`).
fn parse_tile(path: &str, marker: &str) -> Result<Address, Error> {
    let mut segments = path.rsplitn(3, '/');
    let (Some(name), Some(level), Some(slide)) = (segments.next(), segments.next(), segments.next()) else {
        return Err(Error::NoSuchPage);
    };
    let stem = name.strip_suffix(".jpg").or_else(|| name.strip_suffix(".jpeg")).ok_or(Error::NoSuchPage)?;
    let slide = slide.strip_suffix(marker).ok_or(Error::NoSuchPage)?;
    let (column, row) = stem.split_once('_').ok_or(Error::Malformed("a tile is named column_row"))?;
    Ok(Address {
        slide: SlideId::from_raw_path(slide)?,
        level: number(level)?,
        column: number(column)?,
        row: number(row)?,
    })
}

/// Reads a decimal number. One that is too large is outside every slide, not malformed, and remains so here.
fn number(digits: &str) -> Result<u32, Error> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::Malformed("level, column and row are decimal numbers"));
    }
    Ok(digits.parse().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(slide: &str, level: u32, column: u32, row: u32) -> Address {
        Address { slide: SlideId::from_path(slide).expect("a valid id"), level, column, row }
    }

    #[test]
    fn plain_tiles() {
        for (path, expected) in [
            ("a/14/3_7.jpg", address("a", 14, 3, 7)),
            ("a/b/0/0_0.jpeg", address("a/b", 0, 0, 0)),
            ("a%2Fb/9/1_0.jpg", address("a/b", 9, 1, 0)),
            ("a/5/5/6_7.jpg", address("a/5", 5, 6, 7)),
            ("a.dzi/1/0_0.jpg", address("a.dzi", 1, 0, 0)),
            ("a/99999999999/4294967296_0.jpg", address("a", u32::MAX, u32::MAX, 0)),
        ] {
            assert_eq!(parse_tile(path, "").expect(path), expected, "{path}");
        }
    }

    #[test]
    fn deep_zoom_addresses() {
        let descriptor = |slide| Resource::Descriptor(SlideId::from_path(slide).expect("a valid id"));
        for (path, expected) in [
            ("a.dzi", descriptor("a")),
            ("case%2Fa.dzi", descriptor("case/a")),
            ("case/a.dzi.dzi", descriptor("case/a.dzi")),
            ("a_files/3/1_2.jpg", Resource::Tile(address("a", 3, 1, 2))),
            ("case/a%20b_files/3/1_2.jpeg", Resource::Tile(address("case/a b", 3, 1, 2))),
            ("a_files_files/3/1_2.jpg", Resource::Tile(address("a_files", 3, 1, 2))),
        ] {
            assert_eq!(parse_resource(path).expect(path), expected, "{path}");
        }
    }

    #[test]
    fn malformed_numbers_and_names() {
        for path in [
            "a/x/0_0.jpg",
            "a/-1/0_0.jpg",
            "a/+1/0_0.jpg",
            "a/1.0/0_0.jpg",
            "a//0_0.jpg",
            "a/1/0-0.jpg",
            "a/1/_.jpg",
            "a/1/0_0_0.jpg",
            "a/1/0_-1.jpg",
            "a/1/%30_0.jpg",
            "a/1/.jpg",
            "/1/0_0.jpg",
            "../1/0_0.jpg",
            "%2e%2e/1/0_0.jpg",
            "a%00/1/0_0.jpg",
            "a%5c/1/0_0.jpg",
            "%c0%ae%c0%ae/1/0_0.jpg",
        ] {
            assert!(matches!(parse_tile(path, ""), Err(Error::Malformed(_))), "{path}");
        }
        for path in [".dzi", "..dzi", "a/.dzi", "..%2fa.dzi", "_files/1/0_0.jpg", "/etc/passwd.dzi"] {
            assert!(matches!(parse_resource(path), Err(Error::Malformed(_))), "{path}");
        }
    }

    #[test]
    fn other_addresses_are_no_pages() {
        for path in ["a", "a/1", "a/1/0_0.png", "a/1/0_0", "0_0.jpg", "1/0_0.jpg"] {
            assert!(matches!(parse_tile(path, ""), Err(Error::NoSuchPage)), "{path}");
        }
        for path in ["a", "a.xml", "a/3/1_2.jpg", "a_file/3/1_2.jpg", "a_files/3", "a_files/3/1_2.png"] {
            assert!(matches!(parse_resource(path), Err(Error::NoSuchPage)), "{path}");
        }
    }
}
