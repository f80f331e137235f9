//! What the pages of level 0 offer: tiles as they are, or pixels, and what is lost by that.
//!
//! Not here: which pages these are.

use std::sync::Arc;

use super::channels::Channels;
use super::ifd::{Directory, Tiff};
use super::mask::{self, Masked};
use super::page::{Alpha, Compression, Page};
use super::pixels;
use super::tiles::{self, JpegTiles};
use crate::Error;
use crate::source::turned::Turned;
use crate::source::{Content, Pixels};

/// Level 0, its page or the pages of its channels, with its mask.
pub(super) struct Level0 {
    /// At least one.
    pub(super) pages: Vec<Page>,
    pub(super) mask: Option<Page>,
}

impl Level0 {
    /// Opens the level: in tiles, with those `reduced` pages that are levels on the same grid, if they can be taken as
    /// they are.
    pub(super) fn open<'a>(
        mut self,
        tiff: &Arc<Tiff>,
        reduced: impl IntoIterator<Item = &'a Directory>,
        notices: &mut Vec<String>,
    ) -> Result<Content, Error> {
        if self.mask.is_some() {
            // The mask says where there is nothing. What it shows and is absent is all zeros, which GDAL leaves out.
            self.pages.iter_mut().for_each(|page| page.absent = [0; 3]);
        }
        // A mask that hides nothing is as good as none.
        if let Some(mask) = &self.mask
            && mask::is_opaque(tiff, mask)?
        {
            self.mask = None;
        }
        let obstacle = match (&self.mask, self.pages.len()) {
            (Some(mask), _) => Some(format!("{} says that parts of it are transparent", mask.place)),
            (None, 2..) => Some("it is one of several channels".to_owned()),
            _ => tiles::obstacle(&self.pages[0]).or_else(|| black_where_absent(&self.pages[0])),
        };
        match obstacle {
            None => {
                notices.extend(depth_notice(&self.pages[0]));
                verbatim(tiff, self.pages.remove(0), reduced, notices)
            }
            Some(obstacle) => {
                for page in &self.pages {
                    notices.extend(pixel_notices(page, &obstacle));
                }
                notices.extend(self.mask.as_ref().map(|m| format!("what {} hides is shown white", m.place)));
                self.pixels(tiff).map(Content::Pixels)
            }
        }
    }

    fn pixels(mut self, tiff: &Arc<Tiff>) -> Result<Box<dyn Pixels>, Error> {
        let first = &self.pages[0];
        let (size, orientation) = ((first.width, first.height), first.orientation);
        let mut shown: Box<dyn Pixels> = match self.pages.len() {
            1 => pixels::open_stored(Arc::clone(tiff), self.pages.remove(0), 1)?,
            _ => Box::new(Channels::open(tiff, self.pages)?),
        };
        if let Some(mask) = self.mask {
            shown = Box::new(Masked::open(tiff, shown, mask)?);
        }
        Ok(Turned::upright(shown, size, orientation))
    }
}

/// Tiles that are absent can be white among those that are kept, but not black.
fn black_where_absent(page: &Page) -> Option<String> {
    let black = page.absent == [0; 3] && page.chunks.absent() > 0;
    black.then(|| "what is absent is black under its mask".to_owned())
}

/// Level 0 in JPEG tiles, and the smaller versions that are levels on the same grid.
fn verbatim<'a>(
    tiff: &Arc<Tiff>,
    page: Page,
    reduced: impl IntoIterator<Item = &'a Directory>,
    notices: &mut Vec<String>,
) -> Result<Content, Error> {
    let absent = page.absent;
    let mut tiles = JpegTiles::new(Arc::clone(tiff), page)?;
    for directory in reduced {
        let left_out = match Page::read(tiff, directory) {
            Ok(mut page) => {
                page.absent = absent;
                match black_where_absent(&page) {
                    None => tiles.join(page)?,
                    black => black,
                }
            }
            Err(Error::Unsupported { what, .. }) => Some(what),
            Err(error) => return Err(error),
        };
        notices.extend(left_out.map(|why| format!("{} is left out as a level: {why}", directory.place)));
    }
    Ok(Content::Tiles(Box::new(tiles)))
}

/// What of a page with several focal planes is left out.
fn depth_notice(page: &Page) -> Option<String> {
    let planes = page.chunks.focal_planes;
    (planes > 1).then(|| format!("of {planes} focal planes of {} the first is taken", page.place))
}

/// What taking pixels instead of tiles loses.
pub(super) fn pixel_notices(page: &Page, obstacle: &str) -> Vec<String> {
    let mut notices: Vec<String> = depth_notice(page).into_iter().collect();
    if matches!(page.compression, Compression::Jpeg(_)) {
        notices.push(format!("the JPEG tiles of {} are not kept bit for bit: {obstacle}", page.place));
    }
    let (absent, all) = (page.chunks.absent(), page.chunks.all());
    if absent > 0 {
        let colour = if page.absent == [0; 3] { "black" } else { "white" };
        notices.push(format!(
            "{absent} of {all} tiles or strips of {} are absent and shown {colour}",
            page.place
        ));
    }
    if page.alpha != Alpha::None {
        notices.push(format!("the alpha of {} is not kept: its colours are shown over white", page.place));
    }
    let shown = page.photometric.colours() + usize::from(page.alpha != Alpha::None);
    if page.samples > shown {
        notices.push(format!("{} of {} samples per pixel are left out", page.samples - shown, page.samples));
    }
    notices
}
