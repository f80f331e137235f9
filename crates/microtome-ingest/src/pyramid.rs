//! Filling a container with tiles: the source's, then the levels it lacks.
//!
//! Every level is complete before a coarser one is made from it, and is read back from the writer's spool, so memory
//! holds a few tiles per thread whatever the size of the slide. All work goes by families, in file order, on the
//! calling rayon pool.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use microtome_codec::payload::PayloadCodec;
use microtome_codec::turbo::{self, Subsampling};
use microtome_codec::{Rgb, jpeg};
use microtome_container::Writer;
use microtome_container::geometry::{Rect, TileId};
use microtome_slide::mosaic;
use rayon::prelude::*;

use crate::Error;
use crate::ingest::Progress;
use crate::plan::{Origin, Plan};
use crate::source::{Content, Source};

/// One tile in so many is decoded again to measure its quality.
const QUALITY_SAMPLE: u64 = 16;

/// An ingest under way.
pub(crate) struct Pyramid<'a> {
    pub(crate) name: &'a str,
    pub(crate) source: &'a Source,
    pub(crate) plan: &'a Plan,
    pub(crate) codec: &'a PayloadCodec,
    pub(crate) writer: &'a Writer,
    pub(crate) quality: u8,
    pub(crate) subsampling: Subsampling,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) cancelled: &'a AtomicBool,
    /// Luma PSNR in dB of the sampled tiles, by level.
    pub(crate) psnr: Mutex<Vec<(u8, f64)>>,
}

impl Pyramid<'_> {
    /// Stores every tile of every stored level.
    pub(crate) fn fill(&self) -> Result<(), Error> {
        self.each_tile(|origin| matches!(origin, Origin::Verbatim(_) | Origin::Quantised))?;
        for (level, origin) in self.plan.origins.iter().enumerate() {
            if matches!(origin, Origin::Made(_)) {
                self.each_tile_of_level(level as u8)?;
            }
        }
        Ok(())
    }

    /// Stores the tiles of all levels whose origin is `wanted`: family by family, then the coarse levels.
    fn each_tile(&self, wanted: impl Fn(Origin) -> bool + Sync) -> Result<(), Error> {
        let layout = self.writer.layout();
        let wanted = |tile: TileId| wanted(self.plan.origins[usize::from(tile.level)]);
        layout.families().par_bridge().try_for_each(|(x, y)| {
            layout.try_for_each_of_family(x, y, &mut |slot, tile| match wanted(tile) {
                true => self.store(slot, tile),
                false => Ok(()),
            })
        })?;
        let coarse =
            (3..self.plan.levels.len() as u8).filter(|&level| wanted(TileId { level, column: 0, row: 0 }));
        coarse.into_iter().try_for_each(|level| self.each_tile_of_level(level))
    }

    fn each_tile_of_level(&self, level: u8) -> Result<(), Error> {
        let grid = self.plan.grid(level);
        (0..grid.tiles()).into_par_iter().try_for_each(|i| {
            let (column, row) = grid.position(i);
            self.store(i, TileId { level, column, row })
        })
    }

    fn store(&self, sample: u64, tile: TileId) -> Result<(), Error> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let rect =
            self.plan.grid(tile.level).tile_rect(tile.column, tile.row).expect("tiles come from the grid");
        let payload = match self.plan.origins[usize::from(tile.level)] {
            Origin::Verbatim(index) => self.verbatim(index, tile, rect)?,
            Origin::Quantised => {
                let Content::Pixels(pixels) = &self.source.content else {
                    unreachable!("quantised levels have pixels")
                };
                self.quantise(sample, tile, &pixels.read(rect)?)?
            }
            Origin::Made(finer) => self.quantise(sample, tile, &self.reduced(finer, tile.level, rect)?)?,
            Origin::Derived => unreachable!("derived levels are not stored"),
        };
        self.writer.put(tile, &payload)?;
        self.progress.advance(u64::from(rect.width) * u64::from(rect.height), payload.len() as u64);
        Ok(())
    }

    /// The source's tile, after proof that what will be served of it decodes, at the right size.
    fn verbatim(&self, index: usize, tile: TileId, rect: Rect) -> Result<Vec<u8>, Error> {
        let Content::Tiles(tiles) = &self.source.content else { unreachable!("verbatim levels have tiles") };
        let payload = Bytes::from(tiles.tile(index, tile.column, tile.row)?);
        let served = self.codec.to_jpeg(tile.level, rect.width, rect.height, &payload);
        let decoded =
            served.and_then(|jpeg| turbo::decode(&jpeg, u64::from(rect.width) * u64::from(rect.height)));
        match decoded {
            Ok(_) => Ok(Vec::from(payload)),
            Err(error) => {
                let size = jpeg::inspect(&payload)
                    .map(|h| format!(" (its header says {} x {} px)", h.width, h.height));
                let what = format!(
                    "{error}; the grid wants {} x {} px{}; mend or remove the source, or take its pixels with --quality",
                    rect.width,
                    rect.height,
                    size.unwrap_or_default()
                );
                let place = tiles.place(index, tile.column, tile.row);
                Err(Error::Malformed { path: self.name.to_owned(), place, what })
            }
        }
    }

    /// Pixels as JPEG; of one tile in [`QUALITY_SAMPLE`] the quality is measured.
    fn quantise(&self, sample: u64, tile: TileId, pixels: &Rgb) -> Result<Vec<u8>, Error> {
        let encoded =
            turbo::encode(pixels, self.quality, self.subsampling).map_err(|e| self.codec_error(tile, &e))?;
        if sample.is_multiple_of(QUALITY_SAMPLE) {
            let again = turbo::decode(&encoded, u64::MAX).map_err(|e| self.codec_error(tile, &e))?;
            let entry = (tile.level, psnr_y(pixels, &again));
            self.psnr.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
        }
        Ok(encoded)
    }

    /// The pixels of `rect` of `level`, from the stored tiles of `finer`: an exact 2 x 2 average, once or twice.
    fn reduced(&self, finer: u8, level: u8, rect: Rect) -> Result<Rgb, Error> {
        let steps = level - finer;
        let area = (finer..level).rev().fold(rect, |rect, k| mosaic::finer(rect, &self.plan.grid(k)));
        let grid = self.plan.grid(finer);
        let pixels = mosaic::assemble(&grid, area, |column, row| {
            let tile = TileId { level: finer, column, row };
            let stored =
                self.writer.get(tile)?.expect("a finer level is complete before a coarser one is made");
            let size = grid.tile_rect(column, row).expect("the area lies within the level");
            let jpeg = self.codec.to_jpeg(finer, size.width, size.height, &Bytes::from(stored));
            jpeg.and_then(|jpeg| turbo::decode(&jpeg, u64::MAX)).map_err(|e| self.codec_error(tile, &e))
        })?;
        Ok((0..steps).fold(pixels, |pixels, _| pixels.reduced()))
    }

    fn codec_error(&self, tile: TileId, error: &microtome_codec::Error) -> Error {
        Error::Malformed { path: self.name.to_owned(), place: tile.to_string(), what: error.to_string() }
    }
}

/// Luma PSNR in dB of two images of one size; 99 where they are the same. Luma after BT.601 with 8-bit weights.
fn psnr_y(a: &Rgb, b: &Rgb) -> f64 {
    let luma = |p: &[u8]| (77 * i32::from(p[0]) + 150 * i32::from(p[1]) + 29 * i32::from(p[2]) + 128) >> 8;
    let squares: i64 = a
        .data()
        .chunks_exact(3)
        .zip(b.data().chunks_exact(3))
        .map(|(a, b)| i64::from(luma(a) - luma(b)).pow(2))
        .sum();
    if squares == 0 {
        return 99.0;
    }
    let mean = squares as f64 / (a.data().len() / 3) as f64;
    (10.0 * (255.0 * 255.0 / mean).log10()).min(99.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn psnr_of_one_grey_step_is_48_db() {
        let (a, b) = (Rgb::filled(8, 8, [100; 3]), Rgb::filled(8, 8, [101; 3]));
        assert!((psnr_y(&a, &b) - 48.13).abs() < 0.01);
        assert_eq!(psnr_y(&a, &a), 99.0);
    }
}
