//! How often each value of red, green, blue and luma occurs: `/histogram/{slide}`, of the whole slide or of a part, as
//! `/region` has it. Counted are the pixels of the coarsest level that has a million of them there, or all there are.

use std::sync::Arc;

use http::request::Parts;
use microtome_codec::Rgb;
use microtome_render::{View, luma};
use microtome_slide::{Grid, Rect};
use serde_json::{Value, json};

use super::region::part;
use crate::app::App;
use crate::body::Response;
use crate::error::Failure;
use crate::query::Query;
use crate::response::{Freshness, Representation};
use crate::routes::below;
use crate::slide_id::SlideId;

/// Pixels that suffice.
const ENOUGH: u64 = 1 << 20;
/// A part is at most so long, however narrow, since each of its tiles has to be decoded.
const LONGEST: u32 = 1 << 14;

/// `GET /histogram/{slide}`
pub(crate) async fn histogram(app: &Arc<App>, request: &Parts) -> Result<Response, Failure> {
    let query = Query::read(request.uri.query())?;
    let open = app.slide(request, &SlideId::from_raw_path(below(request, "/histogram/"))?).await?;
    let (level, rect) = coarse(open.slide.levels(), part(&open.slide, &query)?);
    let Rect { x, y, width, height } = rect;
    let place = format!("{level}-{x}-{y}-{width}-{height}");
    let etag = format!("\"{}-histogram-{place}-{}\"", open.content_id, env!("CARGO_PKG_VERSION"));
    let freshness = Freshness::of_version(request.uri.query(), &open.content_id);
    let representation = Representation { etag: &etag, content_type: "application/json", freshness };
    if let Some(not_modified) = representation.not_modified(&request.headers) {
        return Ok(not_modified);
    }
    let view = View::level(level, rect);
    let counted = app
        .pictures
        .draw(&app.pipeline, &open, view, move |pixels| count(&pixels, level).to_string().into_bytes())
        .await?;
    Ok(representation.full(counted))
}

/// The coarsest level that has enough pixels of a part of level 0, or the next on which a narrow part is not too long; and
/// those pixels.
fn coarse(levels: &[Grid], part: Rect) -> (u8, Rect) {
    let pixels = |level: u8| on_level(levels[usize::from(level)], level, part);
    let is_enough = |rect: &Rect| u64::from(rect.width) * u64::from(rect.height) >= ENOUGH;
    let is_short = |rect: &Rect| rect.width.max(rect.height) <= LONGEST;
    let coarser = (1..levels.len() as u8).map(|level| (level, pixels(level)));
    let enough = coarser.clone().take_while(|(_, rect)| is_enough(rect)).last().unwrap_or((0, part));
    let mut from_there = std::iter::once(enough).chain(coarser.skip(enough.0.into()));
    from_there.find(|(_, rect)| is_short(rect)).unwrap_or(enough)
}

/// The pixels of a level that show a part of level 0, at least one.
fn on_level(grid: Grid, level: u8, part: Rect) -> Rect {
    let span = |start: u32, length: u32, all: u32| {
        let end = (start + length).div_ceil(1 << level).min(all);
        let start = (start >> level).min(end - 1);
        (start, end - start)
    };
    let (x, width) = span(part.x, part.width, grid.width);
    let (y, height) = span(part.y, part.height, grid.height);
    Rect { x, y, width, height }
}

fn count(pixels: &Rgb, level: u8) -> Value {
    let mut counts = [[0_u32; 256]; 4];
    for pixel in pixels.data().chunks_exact(3) {
        for (counts, value) in counts.iter_mut().zip([pixel[0], pixel[1], pixel[2], luma(pixel)]) {
            counts[usize::from(value)] += 1;
        }
    }
    let [red, green, blue, luma] = counts.map(|counts| counts.to_vec());
    json!({
        "level": level,
        "width": pixels.width(),
        "height": pixels.height(),
        "red": red,
        "green": green,
        "blue": blue,
        "luma": luma,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_counted_on_the_coarsest_level_that_has_enough_of_it() {
        let grid = |level: u32| Grid {
            width: 9999_u32.div_ceil(1 << level),
            height: 5000 >> level,
            tile_size: 256,
            overlap: 0,
        };
        let levels: Vec<Grid> = (0..6).map(grid).collect();
        let rect = |x, y, width, height| Rect { x, y, width, height };
        for (part, expected) in [
            (rect(0, 0, 9999, 5000), (2, rect(0, 0, 2500, 1250))),
            (rect(100, 200, 1023, 1024), (0, rect(100, 200, 1023, 1024))),
            (rect(101, 201, 2048, 2048), (1, rect(50, 100, 1025, 1025))),
            (rect(9998, 4999, 1, 1), (0, rect(9998, 4999, 1, 1))),
            (rect(0, 4000, 9999, 1000), (1, rect(0, 2000, 5000, 500))),
        ] {
            assert_eq!(coarse(&levels, part), expected, "{part:?}");
        }
        // Narrow and long: some tiles, not thousands.
        let tall = |level: u32| Grid { width: 64, height: (1 << 24) >> level, tile_size: 256, overlap: 0 };
        let levels: Vec<Grid> = (0..25).map(tall).collect();
        assert_eq!(coarse(&levels, rect(0, 0, 1, 1 << 24)), (10, rect(0, 0, 1, 1 << 14)));
        assert_eq!(coarse(&levels, rect(0, 0, 1, 20_000)), (1, rect(0, 0, 1, 10_000)));
    }
}
