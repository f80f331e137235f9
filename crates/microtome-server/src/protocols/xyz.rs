//! Plain tiles as web maps count them: `/xyz/{slide}/{z}/{x}/{y}.jpg`, where at `z` 0 all of the slide is one tile.
//!
//! All tiles are squares of one size, white beyond the slide, since web maps would stretch smaller ones. Tiles do not overlap,
//! whatever the slide's own do.

use std::sync::Arc;

use http::request::Parts;
use microtome_render::Format;
use microtome_slide::Slide;

use crate::app::App;
use crate::body::Response;
use crate::error::{Error, Failure};
use crate::pictures::QUALITY;
use crate::protocols::{Cell, answer_cell, number};
use crate::routes::below;
use crate::slide_id::SlideId;

/// `GET /xyz/{slide}/{z}/{x}/{y}.jpg`
pub(crate) async fn tile(app: &Arc<App>, request: &Parts) -> Result<Response, Failure> {
    let mut segments = below(request, "/xyz/").rsplitn(4, '/');
    let (Some(name), Some(x), Some(z), Some(slide)) =
        (segments.next(), segments.next(), segments.next(), segments.next())
    else {
        return Err(Error::NoSuchPage.into());
    };
    let (y, extension) = name.rsplit_once('.').ok_or(Error::NoSuchPage)?;
    let format = Format::with_extension(extension, QUALITY).ok_or(Error::NoSuchPage)?;
    let (z, column, row) = (number(z)?, number(x)?, number(y)?);
    let open = app.slide(request, &SlideId::from_raw_path(slide)?).await?;
    let level = u32::from(single_tile(&open.slide)).checked_sub(z).ok_or(Error::NoSuchTile)? as u8;
    let tile_size = open.slide.levels()[0].tile_size;
    let cell = Cell { level, tile_size, overlap: 0, column, row, padded: true };
    answer_cell(app, request, open, cell, format).await
}

/// The finest level that is one tile.
pub(crate) fn single_tile(slide: &Slide) -> u8 {
    let levels = slide.levels();
    levels.iter().position(|grid| grid.tiles() == 1).unwrap_or(levels.len() - 1) as u8
}
