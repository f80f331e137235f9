//! How often each value of red, green, blue and luma occurs: `/histogram/{slide}`, of the coarsest level that has a
//! million pixels, or of all there are.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use microtome_codec::Rgb;
use microtome_render::{View, luma};
use microtome_slide::{Rect, Slide};
use serde_json::{Value, json};

use super::below;
use crate::app::App;
use crate::error::Failure;
use crate::response::{Freshness, Representation};
use crate::slide_id::SlideId;

/// Pixels that suffice.
const ENOUGH: u64 = 1 << 20;

/// `GET /histogram/{slide}`
pub(crate) async fn histogram(State(app): State<Arc<App>>, request: Request) -> Result<Response, Failure> {
    let (request, _body) = request.into_parts();
    let open = app.slide(&request, &SlideId::from_raw_path(below(&request, "/histogram/"))?).await?;
    let etag = format!("\"{}-histogram-{}\"", open.content_id, env!("CARGO_PKG_VERSION"));
    let freshness = Freshness::of_version(request.uri.query(), &open.content_id);
    let representation = Representation { etag: &etag, content_type: "application/json", freshness };
    if let Some(not_modified) = representation.not_modified(&request.headers) {
        return Ok(not_modified);
    }
    let level = coarse(&open.slide);
    let grid = open.slide.levels()[usize::from(level)];
    let rect = Rect { x: 0, y: 0, width: grid.width, height: grid.height };
    let view = View::level(level, rect);
    let counted = app
        .pictures
        .draw(&app.pipeline, &open, view, move |pixels| count(&pixels, level).to_string().into_bytes())
        .await?;
    Ok(representation.full(counted))
}

/// The coarsest level with enough pixels.
fn coarse(slide: &Slide) -> u8 {
    let pixels = slide.levels().iter().map(|grid| u64::from(grid.width) * u64::from(grid.height));
    pixels.take_while(|&pixels| pixels >= ENOUGH).count().saturating_sub(1) as u8
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
