//! Choosing a sample of a slide, and training the codec's models on it.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use microtome_codec::coefficients::Template;
use microtome_codec::cross_scale::{CrossScale, Kind, Picture, Trainer};
use microtome_container::geometry::{Grid, TileId};
use microtome_container::index::Layout;
use microtome_slide::{reference, workspace};
use rayon::prelude::*;

use crate::Error;
use crate::ingest::{Progress, Unit};
use crate::material::{Family, Material, Materials};
use crate::plan::{Origin, Plan};

/// Most pixels of level 0 in a sample: 32 families of tiles of 256 x 256 px.
const SAMPLE_PIXELS: u64 = 32 << 20;
/// A sample is at most this part of a slide: training takes longer per pixel than coding.
const SAMPLE_PART: u64 = 8;
/// Families in a sample, whatever the size of their tiles.
const SAMPLE_FAMILIES: std::ops::RangeInclusive<u64> = 2..=64;
/// Families weighed for each that is taken.
const CANDIDATES: u64 = 2;

/// A tile of the sample, as the JPEG record that it is or would become.
type Example = (TileId, Vec<u8>);

/// What training needs besides the source.
pub(crate) struct Training<'a> {
    pub(crate) materials: &'a Materials<'a>,
    pub(crate) layout: &'a Layout,
    pub(crate) grids: &'a [Grid],
    pub(crate) progress: &'a dyn Progress,
    pub(crate) cancelled: &'a AtomicBool,
}

/// What each level of a pyramid is predicted from.
pub(crate) fn kinds(plan: &Plan) -> Vec<Kind> {
    let kind = |(level, what): (usize, &microtome_container::Level)| match level {
        0 if plan.levels.get(2).is_some_and(|base| base.stored) => Kind::Coarser,
        _ if level % 2 == 1 && what.stored => Kind::Finer,
        _ => Kind::Alone,
    };
    plan.levels.iter().enumerate().map(kind).collect()
}

impl Training<'_> {
    /// The codec for this slide, and the template of tiles that we quantise. Runs on the calling rayon pool.
    pub(crate) fn train(&self) -> Result<(CrossScale, Template), Error> {
        let &Materials { plan, params, .. } = self.materials;
        let untrained = CrossScale::built_in(params.clone(), kinds(plan));
        let sample = self.choose()?;
        let pixels = u64::from(plan.tile_size) * u64::from(plan.tile_size) * 16 * sample.len() as u64;
        self.progress.stage("training", pixels, Unit::Pixels);
        let examples: Vec<Vec<Example>> =
            sample.par_iter().map(|&(x, y)| self.load(x, y)).collect::<Result<_, _>>()?;
        let mut trainer = self.observe(&untrained, &examples)?;
        let seen = examples.iter().flatten().filter(|(tile, _)| tile.level == 0).count();
        let share = seen as f64 / plan.grid(0).tiles() as f64;
        let learnt: Vec<_> = trainer
            .lessons()
            .into_par_iter()
            .map(|lesson| {
                self.check_cancelled()?;
                Ok(lesson.learn(&untrained, share))
            })
            .collect::<Result<_, Error>>()?;
        let learnt = learnt.into_iter().flatten().collect();
        let own = self.materials.quantiser().template(trainer.statistics());
        let own = own.expect("a quantiser's steps are JPEG's");
        let quantised = plan.origins.contains(&Origin::Quantised);
        let derived = match quantised {
            true => Some(own.clone()),
            false => trainer.most_common(),
        };
        if quantised {
            trainer.forget_templates();
        }
        let mut codec = trainer.finish(untrained, learnt, share);
        if let Some(template) = derived.filter(|_| plan.origins.contains(&Origin::Derived)) {
            codec.add_template(&template, true);
        }
        if plan.origins.iter().any(|origin| matches!(origin, Origin::Quantised | Origin::Made(_))) {
            codec.add_template(&own, false);
        }
        Ok((codec, own))
    }

    /// Families for the sample, in file order: all of a small slide, else such as have something on them.
    fn choose(&self) -> Result<Vec<(u32, u32)>, Error> {
        let grid = self.materials.plan.grid(0);
        let all = u64::from(grid.columns().div_ceil(4)) * u64::from(grid.rows().div_ceil(4));
        let side = u64::from(grid.tile_size);
        let pixels = u64::from(grid.width) * u64::from(grid.height);
        let wanted = SAMPLE_PIXELS.min(pixels / SAMPLE_PART) / (16 * side * side);
        let wanted = wanted.clamp(*SAMPLE_FAMILIES.start(), *SAMPLE_FAMILIES.end());
        if all <= wanted {
            return Ok(self.layout.families().collect());
        }
        let candidates = (CANDIDATES * wanted).min(all);
        let evenly = |i: u64| i * candidates / all != (i + 1) * candidates / all;
        let candidates: Vec<_> =
            (0..).zip(self.layout.families()).filter(|(i, _)| evenly(*i)).map(|(_, family)| family).collect();
        let mut weights: Vec<(usize, u64)> = candidates
            .par_iter()
            .enumerate()
            .map(|(i, &(x, y))| Ok((i, self.weight(x, y)?)))
            .collect::<Result<_, Error>>()?;
        weights.sort_by_key(|&(i, weight)| (Reverse(weight), i));
        weights.truncate(wanted as usize);
        weights.sort_unstable();
        Ok(weights.into_iter().map(|(i, _)| candidates[i]).collect())
    }

    /// How much there is on a family, by the bytes of its base tile.
    fn weight(&self, x: u32, y: u32) -> Result<u64, Error> {
        self.check_cancelled()?;
        let family = self.materials.family(self.layout, x, y)?;
        Ok(self.record(&family, family.first())?.len() as u64)
    }

    fn load(&self, x: u32, y: u32) -> Result<Vec<Example>, Error> {
        self.check_cancelled()?;
        let family = self.materials.family(self.layout, x, y)?;
        let tiles = [2, 1, 0].into_iter().flat_map(|level| family.tiles(level));
        let examples = tiles.map(|tile| Ok((tile, self.record(&family, tile)?))).collect();
        self.progress.advance(family.area(), 0);
        examples
    }

    fn record(&self, family: &Family<'_>, tile: TileId) -> Result<Vec<u8>, Error> {
        match family.material(tile)? {
            Material::Record(record) => Ok(record),
            Material::Pixels(pixels) => workspace::with(|w| self.materials.quantiser().plain(&pixels, w))
                .map_err(|error| self.materials.mistake(tile, &error)),
        }
    }

    /// Shows the sample to a trainer, which takes only so much of it: a quarter of every family, then the next.
    fn observe(&self, codec: &CrossScale, families: &[Vec<Example>]) -> Result<Trainer, Error> {
        let mut trainer = Trainer::new();
        let mut bases = HashMap::new();
        for (tile, record) in families.iter().flatten().filter(|(tile, _)| tile.level == 2) {
            bases.extend(self.show(&mut trainer, codec, *tile, record, &HashMap::new()));
        }
        for quarter in [(0, 0), (1, 0), (1, 1), (0, 1)] {
            for family in families {
                self.check_cancelled()?;
                let place = |tile: TileId| {
                    let shift = 1 - tile.level;
                    ((tile.column >> shift) % 2, (tile.row >> shift) % 2)
                };
                let of = |level: u8| {
                    family.iter().filter(move |(tile, _)| tile.level == level && place(*tile) == quarter)
                };
                let mut pictures = HashMap::new();
                for (tile, record) in of(0) {
                    pictures.extend(self.show(&mut trainer, codec, *tile, record, &bases));
                }
                for (tile, record) in of(1) {
                    self.show(&mut trainer, codec, *tile, record, &pictures);
                }
            }
        }
        Ok(trainer)
    }

    /// Shows a tile, with what of `pictures` it is predicted from.
    fn show(
        &self,
        trainer: &mut Trainer,
        codec: &CrossScale,
        tile: TileId,
        record: &[u8],
        pictures: &HashMap<TileId, Arc<Picture>>,
    ) -> Option<(TileId, Arc<Picture>)> {
        let known = |tile: TileId| Ok::<_, std::convert::Infallible>(pictures.get(&tile).cloned());
        let Ok(picture) = reference::with(codec.kind(tile.level), self.grids, tile, known, |reference| {
            workspace::with(|workspace| trainer.observe(codec, tile.level, record, reference, workspace))
        });
        picture.map(|picture| (tile, Arc::new(picture)))
    }

    fn check_cancelled(&self) -> Result<(), Error> {
        match self.cancelled.load(Ordering::Relaxed) {
            true => Err(Error::Interrupted),
            false => Ok(()),
        }
    }
}
