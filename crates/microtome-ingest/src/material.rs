//! What there is to code: the source's own JPEG tiles, and pixels where it has none.
//!
//! Not here: levels that are made from what was coded already.

use std::borrow::Cow;

use bytes::Bytes;
use microtome_codec::cross_scale::Quantiser;
use microtome_codec::payload::VerbatimParams;
use microtome_codec::{Rgb, jpeg, turbo};
use microtome_container::geometry::{Rect, TileId};
use microtome_container::index::Layout;
use microtome_slide::mosaic;

use crate::Error;
use crate::plan::{Origin, Plan};
use crate::source::{Content, Source, Tiles};

/// What a tile is coded from.
pub(crate) enum Material {
    /// The source's tile, to be kept byte for byte.
    Record(Vec<u8>),
    /// Pixels, to be quantised by us.
    Pixels(Rgb),
}

/// An open source, with the pyramid that it is to become.
pub(crate) struct Materials<'a> {
    pub(crate) name: &'a str,
    pub(crate) source: &'a Source,
    pub(crate) plan: &'a Plan,
    pub(crate) params: &'a VerbatimParams,
}

impl<'a> Materials<'a> {
    /// The family at `(x, y)` of the grid of level 2.
    pub(crate) fn family(&'a self, layout: &Layout, x: u32, y: u32) -> Result<Family<'a>, Error> {
        let mut tiles = vec![];
        layout.try_for_each_of_family(x, y, &mut |_, tile| {
            if self.plan.levels[usize::from(tile.level)].stored {
                tiles.push(tile);
            }
            Ok::<_, Error>(())
        })?;
        let pixels = match &self.source.content {
            Content::Tiles(_) => None,
            Content::Pixels(pixels) => Some(match pixels.in_memory() {
                Some(all) => (self.plan.whole(), Cow::Borrowed(all)),
                None => {
                    let rect = self.family_rect(x, y);
                    (rect, Cow::Owned(pixels.read(rect)?))
                }
            }),
        };
        Ok(Family { materials: self, base: TileId { level: 2, column: x, row: y }, tiles, pixels })
    }

    /// What a family's base tile is reduced from, in pixels of level 0: all that its tiles cover.
    fn family_rect(&self, x: u32, y: u32) -> Rect {
        let whole = self.plan.whole();
        if self.plan.levels.len() <= 2 {
            return whole;
        }
        let base = self.plan.grid(2).tile_rect(x, y).unwrap_or(whole);
        [1, 0].into_iter().fold(base, |rect, level| mosaic::finer(rect, &self.plan.grid(level)))
    }

    /// The source's own tile of a level whose origin is [`Origin::Verbatim`].
    pub(crate) fn record(&self, index: usize, tile: TileId) -> Result<Vec<u8>, Error> {
        self.tiles().tile(index, tile.column, tile.row)
    }

    /// The pixels of `rect` of a level whose origin is [`Origin::Verbatim`].
    pub(crate) fn region(&self, index: usize, level: u8, rect: Rect) -> Result<Rgb, Error> {
        mosaic::assemble(&self.plan.grid(level), rect, |column, row| {
            let tile = TileId { level, column, row };
            self.decoded(tile, &self.record(index, tile)?.into())
        })
    }

    /// Whether a tile under `rect` of such a level is blank and not the source's.
    pub(crate) fn is_blank_in(&self, index: usize, level: u8, rect: Rect) -> bool {
        let side = self.plan.grid(level).tile_size;
        let over = |from: u32, length: u32| from / side..=(from + length - 1) / side;
        let rows = over(rect.y, rect.height);
        let mut tiles = rows.flat_map(|row| over(rect.x, rect.width).map(move |column| (column, row)));
        tiles.any(|(column, row)| self.tiles().is_blank(index, column, row))
    }

    /// The pixels of a record as they will be served: the proof that it decodes, at the right size.
    pub(crate) fn decoded(&self, tile: TileId, record: &Bytes) -> Result<Rgb, Error> {
        let Rect { width, height, .. } = self.rect(tile);
        let served = self.params.to_jpeg(tile.level, width, height, record);
        served
            .and_then(|jpeg| turbo::decode(&jpeg, u64::from(width) * u64::from(height)))
            .map_err(|error| self.refusal(tile, record, &error))
    }

    /// Checks what the markers of a record say, as it will be served: its size, and that it can be shown.
    pub(crate) fn check_markers(&self, tile: TileId, record: &Bytes) -> Result<(), Error> {
        let Rect { width, height, .. } = self.rect(tile);
        let served = self.params.to_jpeg(tile.level, width, height, record);
        served
            .and_then(|jpeg| jpeg::inspect(&jpeg)?.check_displayable())
            .map_err(|error| self.refusal(tile, record, &error))
    }

    /// What a tile covers.
    pub(crate) fn rect(&self, tile: TileId) -> Rect {
        let rect = self.plan.grid(tile.level).tile_rect(tile.column, tile.row);
        rect.expect("tiles come from the grid")
    }

    fn tiles(&self) -> &dyn Tiles {
        match &self.source.content {
            Content::Tiles(tiles) => tiles.as_ref(),
            Content::Pixels(_) => unreachable!("levels taken verbatim come from tiles"),
        }
    }

    /// The quantiser of tiles made from pixels.
    pub(crate) fn quantiser(&self) -> Quantiser {
        Quantiser::new(self.params.derived_quality, self.params.derived_subsampling)
    }

    /// A tile that went wrong in our hands.
    pub(crate) fn mistake(&self, tile: TileId, error: &microtome_codec::Error) -> Error {
        Error::Malformed { path: self.name.to_owned(), place: tile.to_string(), what: error.to_string() }
    }

    fn refusal(&self, tile: TileId, record: &[u8], error: &microtome_codec::Error) -> Error {
        let (path, rect) = (self.name.to_owned(), self.rect(tile));
        let Origin::Verbatim(index) = self.plan.origins[usize::from(tile.level)] else {
            return self.mistake(tile, error);
        };
        let size = jpeg::inspect(record).map(|h| format!(" (its header says {} x {} px)", h.width, h.height));
        let what = format!(
            "{error}; the grid wants {} x {} px{}; mend or remove the source, or let it be white with --on-bad-tile blank",
            rect.width,
            rect.height,
            size.unwrap_or_default()
        );
        Error::Malformed { path, place: self.tiles().place(index, tile.column, tile.row), what }
    }
}

/// A base tile with the tiles of levels 1 and 0 below it: as many as there are and are to be stored.
pub(crate) struct Family<'a> {
    materials: &'a Materials<'a>,
    base: TileId,
    tiles: Vec<TileId>,
    /// Where the source offers pixels, those of the family, among others perhaps.
    pixels: Option<(Rect, Cow<'a, Rgb>)>,
}

impl Family<'_> {
    /// Its tiles of a level.
    pub(crate) fn tiles(&self, level: u8) -> impl Iterator<Item = TileId> {
        self.tiles.iter().copied().filter(move |tile| tile.level == level)
    }

    /// Pixels of level 0 that are its own.
    pub(crate) fn area(&self) -> u64 {
        let rects = self.tiles(0).map(|tile| self.materials.rect(tile));
        rects.map(|rect| u64::from(rect.width) * u64::from(rect.height)).sum()
    }

    /// The base tile, or the first tile where there is none.
    pub(crate) fn first(&self) -> TileId {
        self.tiles.first().copied().unwrap_or(self.base)
    }

    /// What one of its tiles is coded from.
    pub(crate) fn material(&self, tile: TileId) -> Result<Material, Error> {
        let rect = self.materials.rect(tile);
        match self.materials.plan.origins[usize::from(tile.level)] {
            Origin::Verbatim(index) => self.materials.record(index, tile).map(Material::Record),
            Origin::Quantised => Ok(Material::Pixels(self.finest(rect).into_owned())),
            Origin::Made(finer) => self.reduced(finer, tile.level, rect).map(Material::Pixels),
            Origin::Derived => unreachable!("derived levels are not stored"),
        }
    }

    /// The pixels of `rect` of `level`: 2 x 2 averages of a finer level of the source.
    fn reduced(&self, finer: u8, level: u8, rect: Rect) -> Result<Rgb, Error> {
        let Materials { plan, .. } = self.materials;
        let area = (finer..level).rev().fold(rect, |rect, k| mosaic::finer(rect, &plan.grid(k)));
        let mut pixels = match plan.origins[usize::from(finer)] {
            Origin::Verbatim(index) => Cow::Owned(self.materials.region(index, finer, area)?),
            _ => self.finest(area),
        };
        for _ in finer..level {
            pixels = Cow::Owned(pixels.reduced());
        }
        Ok(pixels.into_owned())
    }

    /// Pixels of level 0 of a source that offers pixels.
    fn finest(&self, rect: Rect) -> Cow<'_, Rgb> {
        let (all, pixels) =
            self.pixels.as_ref().expect("level 0 is quantised where the source offers pixels");
        match rect == *all {
            true => Cow::Borrowed(pixels),
            false => Cow::Owned(pixels.crop(rect.x - all.x, rect.y - all.y, rect.width, rect.height)),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::AtomicBool;

    use microtome_slide::Slide;

    use super::*;
    use crate::ingest::{Progress, Unit, ingest};
    use crate::options::Options;

    pub(crate) struct Silent;

    impl Progress for Silent {
        fn stage(&self, _name: &'static str, _total: u64, _unit: Unit) {}
        fn advance(&self, _done: u64, _stored: u64) {}
    }

    #[test]
    fn each_tile_of_a_picture_is_of_its_place() {
        // Several families, and a colour for each place.
        let (width, height) = (2300_u32, 1200_u32);
        let colour = |x: u32, y: u32| [(x * 255 / width) as u8, (y * 255 / height) as u8, 128];
        let data = (0..height).flat_map(|y| (0..width).flat_map(move |x| colour(x, y))).collect();
        let mut picture = Rgb::from_vec(width, height, data).expect("sizes match");
        let folder = tempfile::tempdir().expect("a folder");
        let [source, target] = ["a.png", "a.mtm"].map(|name| folder.path().join(name));
        let mut png = png::Encoder::new(std::fs::File::create(&source).expect("a file"), width, height);
        png.set_color(png::ColorType::Rgb);
        png.write_header().and_then(|mut png| png.write_image_data(picture.data())).expect("a picture");
        let never = AtomicBool::new(false);
        let spec = source.to_str().expect("UTF-8");
        ingest(spec, &target, Options::default(), &Silent, &never).expect("ingests");
        let slide = Slide::open(&target).expect("a fresh container opens");
        for (level, grid) in (0..3).zip(slide.levels()) {
            for (row, column) in (0..grid.rows()).flat_map(|row| (0..grid.columns()).map(move |c| (row, c))) {
                let tile = TileId { level, column, row };
                let jpeg = slide.tile(tile).expect("a fresh container decodes");
                let decoded = turbo::decode(&jpeg, 1 << 20).expect("a picture");
                let Rect { x, y, width, height } = grid.tile_rect(column, row).expect("of the grid");
                let expected = picture.crop(x, y, width, height);
                let differs = |(a, b): (&u8, &u8)| a.abs_diff(*b) > 12;
                assert!(!decoded.data().iter().zip(expected.data()).any(differs), "{tile}");
            }
            picture = picture.reduced();
        }
    }
}
