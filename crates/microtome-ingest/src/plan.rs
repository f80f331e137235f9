//! Which level of a container comes from where.

use microtome_container::Level;
use microtome_container::geometry::{Grid, Rect, coarsest_level, level_length};

use crate::options::DerivedLevels;
use crate::source::{Content, Source, TileLevel};

/// Where the tiles of a level come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Taken verbatim from the source's level at this index.
    Verbatim(usize),
    /// Quantised from the source's pixels.
    Quantised,
    /// Reduced from the decoded tiles of this finer stored level.
    Made(u8),
    /// Not stored: reduced by two from the level before when asked for.
    Derived,
}

/// The pyramid of a container in the making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) tile_size: u32,
    pub(crate) overlap: u32,
    pub(crate) levels: Vec<Level>,
    pub(crate) origins: Vec<Origin>,
    /// Why a level of the source was left out.
    pub(crate) notices: Vec<String>,
}

impl Plan {
    /// Every level down to 1 x 1 px: the source's own where they fit, else even ones stored and odd ones derived.
    pub(crate) fn new(source: &Source, derived: DerivedLevels) -> Self {
        let (tile_size, overlap, offered): (_, _, &[TileLevel]) = match &source.content {
            Content::Tiles(tiles) => (tiles.tile_size(), tiles.overlap(), tiles.levels()),
            Content::Pixels(pixels) => (pixels.tile_size(), pixels.overlap(), &[]),
        };
        let mut plan = Self { tile_size, overlap, levels: vec![], origins: vec![], notices: vec![] };
        for k in 0..=coarsest_level(source.width, source.height) {
            let index = offered
                .iter()
                .position(|l| l.level == k)
                .filter(|&i| plan.takes(source, &offered[i], derived));
            let (width, height) = match (index, plan.levels.last()) {
                (Some(index), _) => (offered[index].width, offered[index].height),
                (None, Some(finer)) => (finer.width.div_ceil(2), finer.height.div_ceil(2)),
                (None, None) => (source.width, source.height),
            };
            let origin = match index {
                Some(index) => Origin::Verbatim(index),
                None if k == 0 => Origin::Quantised,
                None if k % 2 == 1 => Origin::Derived,
                None => Origin::Made(plan.finest_stored_before(k)),
            };
            plan.levels.push(Level { width, height, stored: origin != Origin::Derived });
            plan.origins.push(origin);
        }
        plan
    }

    /// Grid of a level.
    pub(crate) fn grid(&self, level: u8) -> Grid {
        let Level { width, height, .. } = self.levels[usize::from(level)];
        Grid { width, height, tile_size: self.tile_size, overlap: self.overlap }
    }

    /// All of level 0.
    pub(crate) fn whole(&self) -> Rect {
        let Level { width, height, .. } = self.levels[0];
        Rect { x: 0, y: 0, width, height }
    }

    /// The stored level next to `level` on the finer side.
    fn finest_stored_before(&self, level: u8) -> u8 {
        if self.levels[usize::from(level) - 1].stored { level - 1 } else { level - 2 }
    }

    /// Whether a level of the source has a place in the pyramid; says so where it has not.
    fn takes(&mut self, source: &Source, level: &TileLevel, derived: DerivedLevels) -> bool {
        if derived == DerivedLevels::Reduced && level.level % 2 == 1 {
            return false;
        }
        // A size rounded down may lack the last column that viewers compute from level 0 and ask for.
        let tiles = |length: u32| length.div_ceil(self.tile_size);
        let full = (level_length(source.width, level.level), level_length(source.height, level.level));
        let whole = tiles(level.width) == tiles(full.0) && tiles(level.height) == tiles(full.1);
        if !whole {
            self.notices.push(format!(
                "level {} of the source ({} x {} px) lacks the last column or row of {} x {} px; it was made anew",
                level.level, level.width, level.height, full.0, full.1
            ));
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::source::{Pixels, Tiles};
    use microtome_codec::Rgb;
    use microtome_codec::jpeg::Colour;
    use microtome_container::geometry::Rect;

    struct Fake(Vec<TileLevel>);

    impl Tiles for Fake {
        fn tile_size(&self) -> u32 {
            256
        }
        fn overlap(&self) -> u32 {
            0
        }
        fn levels(&self) -> &[TileLevel] {
            &self.0
        }
        fn tile(&self, _: usize, _: u32, _: u32) -> Result<Vec<u8>, Error> {
            unreachable!("a plan reads no tiles")
        }
    }

    impl Pixels for Fake {
        fn read(&self, _: Rect) -> Result<Rgb, Error> {
            unreachable!("a plan reads no pixels")
        }
    }

    fn source(content: Content) -> Source {
        Source {
            width: 4443,
            height: 3567,
            format: "fake",
            content,
            properties: vec![],
            mpp: None,
            objective_power: None,
            icc_profile: None,
            associated: vec![],
            notices: vec![],
        }
    }

    fn level(level: u8, width: u32, height: u32) -> TileLevel {
        TileLevel { level, width, height, tables: vec![], colour: Colour::AsStored, padded: true }
    }

    #[test]
    fn pixels_give_even_levels_stored_and_odd_ones_derived() {
        let plan = Plan::new(&source(Content::Pixels(Box::new(Fake(vec![])))), DerivedLevels::Exact);
        assert_eq!(plan.levels.len(), 14);
        assert_eq!(plan.levels[13], Level { width: 1, height: 1, stored: false });
        assert_eq!(plan.levels[1], Level { width: 2222, height: 1784, stored: false });
        assert_eq!(
            plan.origins[..5],
            [Origin::Quantised, Origin::Derived, Origin::Made(0), Origin::Derived, Origin::Made(2)]
        );
    }

    #[test]
    fn source_levels_are_kept_with_their_own_size() {
        let levels = vec![level(0, 4443, 3567), level(1, 2221, 1783), level(4, 277, 222)];
        let plan = Plan::new(&source(Content::Tiles(Box::new(Fake(levels.clone())))), DerivedLevels::Exact);
        assert_eq!(plan.levels[1], Level { width: 2221, height: 1783, stored: true });
        assert_eq!(plan.levels[2], Level { width: 1111, height: 892, stored: true });
        let expected =
            [Origin::Verbatim(0), Origin::Verbatim(1), Origin::Made(1), Origin::Derived, Origin::Verbatim(2)];
        assert_eq!(plan.origins[..5], expected);
        let plan = Plan::new(&source(Content::Tiles(Box::new(Fake(levels)))), DerivedLevels::Reduced);
        assert_eq!(plan.origins[1], Origin::Derived);
    }

    #[test]
    fn a_level_that_lacks_its_last_column_is_made_anew_and_said_so() {
        let mut source =
            source(Content::Tiles(Box::new(Fake(vec![level(0, 4097, 4096), level(2, 1024, 1024)]))));
        (source.width, source.height) = (4097, 4096);
        let plan = Plan::new(&source, DerivedLevels::Exact);
        assert_eq!(plan.origins[2], Origin::Made(0));
        assert_eq!(plan.levels[2].width, 1025);
        assert_eq!(plan.notices.len(), 1);
    }
}
