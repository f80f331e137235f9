//! Zoomify: `/zoomify/{slide}/ImageProperties.xml` and `/zoomify/{slide}/TileGroup{g}/{tier}-{column}-{row}.jpg`.
//!
//! Tier 0 is one tile. Each tier is half the next, rounded down, where our levels are rounded up: a last column or row of
//! one pixel may be missing, and a tile at the edge one pixel wider than a viewer reckons. The group of a tile says in
//! which folder a disk would have it; nothing follows from it here. (Zoomify's own converter; OpenSeadragon's
//! `ZoomifyTileSource`.)

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use microtome_render::Format;
use microtome_slide::{Grid, Slide};

use crate::app::App;
use crate::body::Response;
use crate::error::{Error, Failure};
use crate::pictures::QUALITY;
use crate::protocols::{Cell, answer_cell, number};
use crate::response::{Freshness, Representation};
use crate::routes::below;
use crate::slide_id::SlideId;

const PROPERTIES: &str = "/ImageProperties.xml";

/// What is below `/zoomify/`.
pub(crate) async fn resource(app: &Arc<App>, request: &Parts) -> Result<Response, Failure> {
    let path = below(request, "/zoomify/");
    if let Some(slide) = path.strip_suffix(PROPERTIES) {
        let open = app.slide(request, &SlideId::from_raw_path(slide)?).await?;
        let etag = format!("\"{}-zoomify-{}\"", open.content_id, env!("CARGO_PKG_VERSION"));
        let freshness = Freshness::of_version(request.uri.query(), &open.content_id);
        let representation = Representation { etag: &etag, content_type: "application/xml", freshness };
        let not_modified = representation.not_modified(&request.headers);
        return Ok(not_modified.unwrap_or_else(|| representation.full(Bytes::from(properties(&open.slide)))));
    }
    let mut segments = path.rsplitn(3, '/');
    let (Some(name), Some(group), Some(slide)) = (segments.next(), segments.next(), segments.next()) else {
        return Err(Error::NoSuchPage.into());
    };
    let (stem, extension) = name.rsplit_once('.').ok_or(Error::NoSuchPage)?;
    let format = Format::with_extension(extension, QUALITY).ok_or(Error::NoSuchPage)?;
    number(group.strip_prefix("TileGroup").ok_or(Error::NoSuchPage)?)?;
    let mut numbers = stem.split('-').map(number);
    let (Some(tier), Some(column), Some(row), None) =
        (numbers.next(), numbers.next(), numbers.next(), numbers.next())
    else {
        return Err(Error::Malformed("a tile is named tier-column-row").into());
    };
    let (tier, column, row) = (tier?, column?, row?);
    let open = app.slide(request, &SlideId::from_raw_path(slide)?).await?;
    let full = open.slide.levels()[0];
    let level = u32::from(tiers(full) - 1).checked_sub(tier).ok_or(Error::NoSuchTile)? as u8;
    let cell = Cell { level, tile_size: full.tile_size, overlap: 0, column, row, padded: false };
    answer_cell(app, request, open, cell, format).await
}

fn properties(slide: &Slide) -> String {
    let full = slide.levels()[0];
    let tiles: u64 = (0..tiers(full)).map(|level| tier_grid(full, level).tiles()).sum();
    let Grid { width, height, tile_size, .. } = full;
    format!(
        "<IMAGE_PROPERTIES WIDTH=\"{width}\" HEIGHT=\"{height}\" NUMTILES=\"{tiles}\" NUMIMAGES=\"1\" \
         VERSION=\"1.8\" TILESIZE=\"{tile_size}\" />\n"
    )
}

/// The grid of the tier that is level 0 halved so many times, rounded down.
fn tier_grid(full: Grid, level: u8) -> Grid {
    let halved = |length: u32| (length >> level).max(1);
    Grid { width: halved(full.width), height: halved(full.height), ..full }
}

/// Number of tiers: down to the first that is one tile.
fn tiers(full: Grid) -> u8 {
    (0..32).find(|&level| tier_grid(full, level).tiles() == 1).map_or(32, |single| single + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_halved_and_rounded_down() {
        let grid = |width, height| Grid { width, height, tile_size: 256, overlap: 0 };
        assert_eq!(tiers(grid(256, 256)), 1);
        assert_eq!(tiers(grid(257, 1)), 2);
        // 513 px: 513, 256 px; rounded up it would be 257 px and one tier more.
        assert_eq!(tiers(grid(513, 10)), 2);
        assert_eq!(tiers(grid(10_001, 7003)), 7);
        assert_eq!(tiers(grid(u32::MAX, u32::MAX)), 25);
        assert_eq!(tier_grid(grid(10_001, 3), 4), grid(625, 1));
    }
}
