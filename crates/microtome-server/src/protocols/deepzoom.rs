//! Deep Zoom: the addresses below `/dzi/`, `/dzi254/` and `/tiles/`, whose level 0 is 1 x 1 pixel.
//!
//! `/dzi/` and `/tiles/` have the slide's own grid, mostly of 256 px without overlap; `/dzi254/` has tiles of 254 px and
//! one more of each inner neighbour, put together, for viewers that insist on what most converters write.
//! Addresses are read from the right, because a slide's name may hold separators, encoded or not.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use microtome_render::Format;
use microtome_slide::deepzoom::{self, Descriptor};

use crate::app::App;
use crate::body::Response;
use crate::error::{Error, Failure};
use crate::pictures::QUALITY;
use crate::protocols::{Cell, answer_cell, number};
use crate::query::Query;
use crate::response::{Freshness, Representation, version_of};
use crate::routes::below;
use crate::slide_id::SlideId;

/// A tile as Deep Zoom numbers it.
#[derive(Debug, PartialEq, Eq)]
struct Address {
    slide: SlideId,
    level: u32,
    column: u32,
    row: u32,
    /// What the extension says.
    format: Format,
}

/// What is below `/dzi/`.
#[derive(Debug, PartialEq, Eq)]
enum Resource {
    Descriptor(SlideId),
    Tile(Address),
}

/// The grid of most converters: tile size and overlap.
const COMMON_GRID: [u32; 2] = [254, 1];

/// `GET /tiles/{slide}/{level}/{x}_{y}.jpg`
pub(crate) async fn plain_tile(app: &Arc<App>, request: &Parts) -> Result<Response, Failure> {
    let address = parse_tile(below(request, "/tiles/"), "")?;
    tile(app, request, address, None).await
}

/// `GET /dzi/{slide}.dzi` and `GET /dzi/{slide}_files/{level}/{x}_{y}.jpg`
pub(crate) async fn resource(app: &Arc<App>, request: &Parts) -> Result<Response, Failure> {
    match parse_resource(below(request, "/dzi/"))? {
        Resource::Descriptor(slide) => descriptor(app, request, &slide, None).await,
        Resource::Tile(address) => tile(app, request, address, None).await,
    }
}

/// `GET /dzi254/{slide}.dzi` and `GET /dzi254/{slide}_files/{level}/{x}_{y}.jpg`
pub(crate) async fn common_resource(app: &Arc<App>, request: &Parts) -> Result<Response, Failure> {
    match parse_resource(below(request, "/dzi254/"))? {
        Resource::Descriptor(slide) => descriptor(app, request, &slide, Some(COMMON_GRID)).await,
        Resource::Tile(address) => tile(app, request, address, Some(COMMON_GRID)).await,
    }
}

async fn descriptor(
    app: &App,
    request: &Parts,
    slide: &SlideId,
    grid: Option<[u32; 2]>,
) -> Result<Response, Failure> {
    let open = app.slide(request, slide).await?;
    let query = Query::read(request.uri.query())?;
    let format = query.get("format").unwrap_or("jpg");
    if Format::with_extension(format, QUALITY).is_none() {
        return Err(Error::UNKNOWN_FORMAT.into());
    }
    let mut descriptor = Descriptor::of(&open.slide, format);
    if let Some([tile_size, overlap]) = grid {
        (descriptor.tile_size, descriptor.overlap) = (tile_size, overlap);
    }
    let body = descriptor.to_xml();
    let etag = format!("\"{}-{}\"", open.content_id, version_of(body.as_bytes()));
    let freshness = Freshness::of_version(request.uri.query(), &open.content_id);
    let representation = Representation { etag: &etag, content_type: "application/xml", freshness };
    let not_modified = representation.not_modified(&request.headers);
    Ok(not_modified.unwrap_or_else(|| representation.full(Bytes::from(body))))
}

async fn tile(
    app: &App,
    request: &Parts,
    address: Address,
    grid: Option<[u32; 2]>,
) -> Result<Response, Failure> {
    let open = app.slide(request, &address.slide).await?;
    let Some(tile) = deepzoom::tile(&open.slide, address.level, address.column, address.row) else {
        return Err(Error::NoSuchTile.into());
    };
    let own = open.slide.levels()[0];
    let [tile_size, overlap] = grid.unwrap_or([own.tile_size, own.overlap]);
    let (level, column, row) = (tile.level, tile.column, tile.row);
    let cell = Cell { level, tile_size, overlap, column, row, padded: false };
    answer_cell(app, request, open, cell, address.format).await
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
    let (stem, extension) = name.rsplit_once('.').ok_or(Error::NoSuchPage)?;
    let format = Format::with_extension(extension, QUALITY).ok_or(Error::NoSuchPage)?;
    let slide = slide.strip_suffix(marker).ok_or(Error::NoSuchPage)?;
    let (column, row) = stem.split_once('_').ok_or(Error::Malformed("a tile is named column_row"))?;
    Ok(Address {
        slide: SlideId::from_raw_path(slide)?,
        level: number(level)?,
        column: number(column)?,
        row: number(row)?,
        format,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(slide: &str, level: u32, column: u32, row: u32) -> Address {
        let slide = SlideId::from_path(slide).expect("a valid id");
        Address { slide, level, column, row, format: Format::Jpeg { quality: QUALITY } }
    }

    #[test]
    fn plain_tiles() {
        for (path, expected) in [
            ("a/14/3_7.jpg", address("a", 14, 3, 7)),
            ("a/b/0/0_0.jpg", address("a/b", 0, 0, 0)),
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
            ("case/a%20b_files/3/1_2.jpg", Resource::Tile(address("case/a b", 3, 1, 2))),
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
        for path in ["a", "a/1", "a/1/0_0.gif", "a/1/0_0", "0_0.jpg", "1/0_0.jpg"] {
            assert!(matches!(parse_tile(path, ""), Err(Error::NoSuchPage)), "{path}");
        }
        for path in ["a", "a.xml", "a/3/1_2.jpg", "a_file/3/1_2.jpg", "a_files/3", "a_files/3/1_2.bmp"] {
            assert!(matches!(parse_resource(path), Err(Error::NoSuchPage)), "{path}");
        }
    }
}
