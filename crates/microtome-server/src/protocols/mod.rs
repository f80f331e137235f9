//! Tile protocols: each turns its addresses into tiles of a slide. What all share is here: answering with a tile.

use std::sync::Arc;
use std::time::Instant;

use axum::http::request::Parts;
use axum::response::Response;
use microtome_slide::TileId;

use crate::app::App;
use crate::catalog::OpenSlide;
use crate::error::{Error, Failure};
use crate::metrics::Source;
use crate::response::{Freshness, Representation, server_timing};
use crate::tile_cache::TileKey;

pub(crate) mod deepzoom;

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

fn is_inside(open: &OpenSlide, tile: TileId) -> bool {
    let level = open.slide.levels().get(usize::from(tile.level));
    level.is_some_and(|grid| tile.column < grid.columns() && tile.row < grid.rows())
}

/// A stored tile's bytes follow from the container; a derived one's also from the encoder at work.
fn tile_etag(content_id: &str, tile: TileId, derived: bool) -> String {
    let TileId { level, column, row } = tile;
    let encoder = if derived { concat!("-", env!("CARGO_PKG_VERSION")) } else { "" };
    format!("\"{content_id}-{level}-{column}-{row}{encoder}\"")
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
        for (index, tag) in tags.iter().enumerate() {
            assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag} is strong");
            assert!(!tags[..index].contains(tag), "{tag}");
        }
    }
}
