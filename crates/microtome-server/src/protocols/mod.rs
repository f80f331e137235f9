//! Tile protocols: each turns its addresses into tiles and pictures of a slide. What all share is here: answering with
//! one.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::request::Parts;
use microtome_render::{Format, View};
use microtome_slide::{Grid, TileId};

use crate::app::App;
use crate::body::Response;
use crate::catalog::OpenSlide;
use crate::error::{Error, Failure};
use crate::metrics::Source;
use crate::pictures::{Icc, Picture, QUALITY};
use crate::query::Query;
use crate::response::{Freshness, Representation, server_timing};
use crate::tile_cache::TileKey;

pub(crate) mod deepzoom;
pub(crate) mod dicomweb;
pub(crate) mod iiif;
pub(crate) mod xyz;
pub(crate) mod zoomify;

/// Answers a request with a tile: 304 or 404 without decoding, else from the cache or the container.
pub(crate) async fn answer_tile(
    app: &App,
    request: &Parts,
    open: Arc<OpenSlide>,
    tile: TileId,
) -> Result<Response, Failure> {
    let start = Instant::now();
    if !is_inside(&open, tile) {
        return Err(Error::NoSuchTile.into());
    }
    let derived = open.slide.is_derived(tile.level);
    let etag = tile_etag(&open.content_id, tile, derived);
    let freshness = Freshness::of_version(request.uri.query(), &open.content_id);
    let representation = Representation { etag: &etag, content_type: "image/jpeg", freshness };
    if let Some(not_modified) = representation.not_modified(&request.headers) {
        return Ok(not_modified);
    }

    let key = TileKey { instance: open.instance, tile };
    if let Some(jpeg) = app.pipeline.tiles.get(&key) {
        let total = start.elapsed();
        app.metrics.tile(Source::Cache, total);
        let mut response = representation.full(jpeg);
        app.add_timing(&mut response, || server_timing(&[("cache", total), ("total", total)]));
        return Ok(response);
    }
    let (jpeg, stages) = app.pipeline.tile(&open, tile).await?;
    let total = start.elapsed();
    app.metrics.tile(if derived { Source::Derived } else { Source::Stored }, total);
    let mut response = representation.full(jpeg);
    app.add_timing(&mut response, || server_timing(&[&stages.named()[..], &[("total", total)]].concat()));
    Ok(response)
}

/// Answers a request with a picture: 304 without making it, else newly made.
pub(crate) async fn answer_picture(
    app: &App,
    request: &Parts,
    open: &Arc<OpenSlide>,
    picture: Picture,
) -> Result<Response, Failure> {
    app.limits.check(picture.size())?;
    let etag = picture.etag(&open.content_id);
    let freshness = Freshness::of_version(request.uri.query(), &open.content_id);
    let content_type = picture.format.media_type();
    let representation = Representation { etag: &etag, content_type, freshness };
    if let Some(not_modified) = representation.not_modified(&request.headers) {
        return Ok(not_modified);
    }
    let encoded = app.pictures.make(&app.pipeline, open, picture).await?;
    Ok(representation.full(encoded))
}

/// A tile of a protocol whose grid may be another one than the slide's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) level: u8,
    pub(crate) tile_size: u32,
    pub(crate) overlap: u32,
    pub(crate) column: u32,
    pub(crate) row: u32,
    /// Whether tiles at the edge are as large as the others, white beyond the slide.
    pub(crate) padded: bool,
}

/// Answers with a tile of the slide where the grid is the slide's own and JPEG is asked for, else with one put together.
pub(crate) async fn answer_cell(
    app: &App,
    request: &Parts,
    open: Arc<OpenSlide>,
    cell: Cell,
    named: Format,
) -> Result<Response, Failure> {
    let query = Query::read(request.uri.query())?;
    let format =
        query.get("format").map(|name| Format::with_extension(name, QUALITY).ok_or(Error::UNKNOWN_FORMAT));
    let format = format.transpose()?.unwrap_or(named);
    let icc = Icc::read(query.get("icc"))?;
    let Cell { level, tile_size, overlap, column, row, padded } = cell;
    let Some(own) = open.slide.levels().get(usize::from(level)) else { return Err(Error::NoSuchTile.into()) };
    let grid = Grid { tile_size, overlap, ..*own };
    let rect = grid.tile_rect(column, row).ok_or(Error::NoSuchTile)?;
    let padded_to = Some(tile_size).filter(|&side| padded && (rect.width < side || rect.height < side));
    if grid == *own && padded_to.is_none() && icc == Icc::None && matches!(format, Format::Jpeg { .. }) {
        return answer_tile(app, request, open, TileId { level, column, row }).await;
    }
    let picture = Picture { view: View::level(level, rect), format, icc, padded_to };
    // In a box: else every tile would carry the room for it.
    Box::pin(answer_picture(app, request, &open, picture)).await
}

/// Reads a decimal number. One that is too large is outside every slide, not malformed, and remains so here.
pub(crate) fn number(digits: &str) -> Result<u32, Error> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::Malformed("level, column and row are decimal numbers"));
    }
    Ok(digits.parse().unwrap_or(u32::MAX))
}

/// A tile of the slide as JPEG: from the cache, or made. For protocols that go on with it.
pub(crate) async fn tile(app: &App, open: &Arc<OpenSlide>, tile: TileId) -> Result<Bytes, Failure> {
    let start = Instant::now();
    if !is_inside(open, tile) {
        return Err(Error::NoSuchTile.into());
    }
    if let Some(jpeg) = app.pipeline.tiles.get(&TileKey { instance: open.instance, tile }) {
        app.metrics.tile(Source::Cache, start.elapsed());
        return Ok(jpeg);
    }
    let (jpeg, _stages) = app.pipeline.tile(open, tile).await?;
    let source = if open.slide.is_derived(tile.level) { Source::Derived } else { Source::Stored };
    app.metrics.tile(source, start.elapsed());
    Ok(jpeg)
}

fn is_inside(open: &OpenSlide, tile: TileId) -> bool {
    let level = open.slide.levels().get(usize::from(tile.level));
    level.is_some_and(|grid| tile.column < grid.columns() && tile.row < grid.rows())
}

/// A stored tile's bytes follow from the container; a derived one's also from the encoder at work.
fn tile_etag(content_id: &str, tile: TileId, derived: bool) -> String {
    let TileId { level, column, row } = tile;
    // On the way of every tile: one allocation, which grows no more, and no formatting.
    let mut etag = String::with_capacity(content_id.len() + 48);
    etag.push('"');
    etag.push_str(content_id);
    for number in [level.into(), column, row] {
        etag.push('-');
        etag.push_str(itoa::Buffer::new().format(number));
    }
    etag.push_str(if derived { concat!("-", env!("CARGO_PKG_VERSION"), "\"") } else { "\"" });
    etag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_differ_where_bytes_may() {
        let tile = |level, column, row| TileId { level, column, row };
        let tags = [
            tile_etag("a", tile(0, 1, 2), false),
            tile_etag("a", tile(0, 1, 2), true),
            tile_etag("b", tile(0, 1, 2), false),
            tile_etag("a", tile(1, 1, 2), false),
            tile_etag("a", tile(0, 11, 2), false),
            tile_etag("a", tile(0, 1, 12), false),
        ];
        assert_eq!(tags[4], "\"a-0-11-2\"");
        for (index, tag) in tags.iter().enumerate() {
            assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag} is strong");
            assert!(!tags[..index].contains(tag), "{tag}");
        }
    }
}
