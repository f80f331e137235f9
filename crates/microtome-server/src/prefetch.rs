//! What follows a tile without being asked for: the rest of its family, or its neighbours, while cores are idle.
//!
//! Work in the background gives way: it begins only while nobody waits for a tile, and ends between two tiles when
//! somebody does. A tile asked for while it is being made in the background is waited for like any other.

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::runtime::Handle;

use microtome_slide::{FetchedTiles, Grid, TileId, Times};

use crate::catalog::OpenSlide;
use crate::flights::Flights;
use crate::pipeline::{Landing, Pipeline, Stages, tile_error};
use crate::tile_cache::TileKey;

/// What is made in the background once a cold tile was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefetch {
    /// Nothing.
    None,
    /// The tile's family: the base tile of level 2, and the 4 tiles of level 1 and 16 of level 0 below it.
    Family,
    /// The eight tiles around it on its level.
    Neighbours,
}

impl fmt::Display for Prefetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Family => "family",
            Self::Neighbours => "neighbours",
        })
    }
}

impl FromStr for Prefetch {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let all = [Self::None, Self::Family, Self::Neighbours];
        all.into_iter().find(|policy| policy.to_string() == name).ok_or("none, family or neighbours")
    }
}

/// Bounds what runs in the background.
pub(crate) struct Prefetcher {
    policy: Prefetch,
    /// Groups of tiles being made.
    running: AtomicUsize,
    most: usize,
    /// Families under way, by their base tiles.
    families: Flights<TileKey, ()>,
}

impl Prefetcher {
    pub(crate) fn new(policy: Prefetch, most: usize) -> Self {
        Self { policy, running: AtomicUsize::new(0), most: most.max(1), families: Flights::new() }
    }

    /// Groups of tiles being made.
    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::Acquire)
    }
}

/// The right to work in the background, given up when all that was begun with it has ended.
struct Turn {
    pipeline: Arc<Pipeline>,
    key: TileKey,
    begun: Instant,
    made: AtomicUsize,
    /// Where the time of all its threads went, if timings are wanted.
    steps: Mutex<Option<Times>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Self { pipeline, key, begun, made, steps } = self;
        let (elapsed, made) = (begun.elapsed(), made.load(Ordering::Relaxed) as u64);
        pipeline.metrics.background(elapsed, made);
        if let Some(steps) = steps.get_mut().unwrap_or_else(PoisonError::into_inner) {
            let steps = steps.named().map(|(name, time)| format!("{name}={time:.1?}")).join(" ");
            tracing::info!(tile = %key.tile, made, ?elapsed, steps, "made in the background");
        }
        pipeline.prefetcher.families.land(key);
        // Last: what is seen to have ended has been counted.
        pipeline.prefetcher.running.fetch_sub(1, Ordering::Release);
    }
}

impl Pipeline {
    /// Begins what follows a tile, if nobody waits and not too much follows others already.
    pub(crate) fn follow(self: &Arc<Self>, runtime: &Handle, open: &Arc<OpenSlide>, tile: TileId) {
        if self.queue.waiting() > 0 || !self.tiles.keeps() {
            return;
        }
        let Some((head, mut groups)) = followers(self.prefetcher.policy, open.slide.levels(), tile) else {
            return;
        };
        for group in &mut groups {
            group.retain(|&tile| !self.tiles.has(&TileKey { instance: open.instance, tile }));
        }
        groups.retain(|group| !group.is_empty());
        if groups.is_empty() {
            return;
        }
        let Some(turn) = self.turn(TileKey { instance: open.instance, tile: head }) else { return };
        // While others read, there is nothing to be read ahead; and one thread is enough for it.
        let Some(reader) = self.readers.turn_now(open) else { return };
        let (turn, open) = (Arc::new(turn), Arc::clone(open));
        runtime.spawn_blocking(move || {
            for group in groups {
                Arc::clone(&turn).fetch(Arc::clone(&open), &group);
            }
            drop(reader);
        });
    }

    fn turn(self: &Arc<Self>, key: TileKey) -> Option<Turn> {
        let Prefetcher { running, most, families, .. } = &self.prefetcher;
        if !families.open(key) {
            return None;
        }
        let one_more = |now: usize| (now < *most).then_some(now + 1);
        if running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_err() {
            families.land(&key);
            return None;
        }
        // From here on dropping it undoes both.
        Some(Turn {
            pipeline: Arc::clone(self),
            key,
            begun: Instant::now(),
            made: AtomicUsize::new(0),
            steps: Mutex::new(None),
        })
    }
}

impl Turn {
    fn fetch(self: Arc<Self>, open: Arc<OpenSlide>, group: &[TileId]) {
        if self.pipeline.queue.waiting() > 0 {
            return;
        }
        match open.slide.fetch_tiles(group) {
            Ok(fetched) => {
                let pipeline = Arc::clone(&self.pipeline);
                pipeline.on_decoder(move || self.decode(&open, &fetched));
            }
            // Whoever asks for the damaged tile itself is told; the others are made when they are asked for.
            Err(error) => tracing::debug!(slide = %open.id, %error, "not made in the background"),
        }
    }

    fn decode(&self, open: &OpenSlide, fetched: &FetchedTiles) {
        let pipeline = &self.pipeline;
        let landing = Cell::new(None);
        let wants = |tile| {
            if pipeline.queue.waiting() > 0 {
                return None;
            }
            let key = TileKey { instance: open.instance, tile };
            let is_new = pipeline.flights.open(key);
            // Somebody may have come aboard already, who looked into the cache before the tile was there.
            let new = is_new.then(|| Landing::new(pipeline, key)).and_then(Landing::unless_kept);
            let is_wanted = new.is_some();
            landing.set(new);
            Some(is_wanted)
        };
        let steps = fetched.decode_some(wants, |tile, decoded| {
            let Some(landing) = landing.take() else { return };
            match decoded {
                Ok(jpeg) => {
                    self.made.fetch_add(1, Ordering::Relaxed);
                    landing.land_with(jpeg, Stages::default());
                }
                Err(error) => landing.land(Err(tile_error(open, tile, error).into())),
            }
        });
        pipeline.metrics.read(fetched.bytes_read());
        if let Some(steps) = steps {
            let mut sum = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
            *sum.get_or_insert_default() += steps;
        }
    }
}

/// The tiles that may follow one, in groups of which each is best made together, and the tile that names them all.
fn followers(policy: Prefetch, levels: &[Grid], tile: TileId) -> Option<(TileId, Vec<Vec<TileId>>)> {
    match policy {
        Prefetch::None => None,
        Prefetch::Family => family(levels, tile),
        Prefetch::Neighbours => Some((tile, neighbours(levels, tile))),
    }
}

/// A tile of level 1 with the four below it is made in one go, and goes without the other three.
fn family(levels: &[Grid], tile: TileId) -> Option<(TileId, Vec<Vec<TileId>>)> {
    let up = BASE_LEVEL.checked_sub(tile.level)?;
    let base = TileId { level: BASE_LEVEL, column: tile.column >> up, row: tile.row >> up };
    let below = |tile: TileId| {
        let level = tile.level - 1;
        QUARTERS.map(|(x, y)| TileId { level, column: 2 * tile.column + x, row: 2 * tile.row + y })
    };
    let mut groups = vec![vec![base]];
    groups.extend(below(base).map(|middle| below(middle).into_iter().chain([middle]).collect()));
    Some((base, inside(levels, groups)))
}

const BASE_LEVEL: u8 = 2;
const QUARTERS: [(u32, u32); 4] = [(0, 0), (1, 0), (0, 1), (1, 1)];

fn neighbours(levels: &[Grid], tile: TileId) -> Vec<Vec<TileId>> {
    // Those that share an edge before those that share a corner.
    let around = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)];
    let groups = around.into_iter().filter_map(|(x, y)| {
        let (column, row) = (tile.column.checked_add_signed(x)?, tile.row.checked_add_signed(y)?);
        Some(vec![TileId { column, row, ..tile }])
    });
    inside(levels, groups.collect())
}

/// Without the tiles that the slide does not have.
fn inside(levels: &[Grid], mut groups: Vec<Vec<TileId>>) -> Vec<Vec<TileId>> {
    let has = |tile: &TileId| {
        levels.get(usize::from(tile.level)).is_some_and(|g| tile.column < g.columns() && tile.row < g.rows())
    };
    groups.iter_mut().for_each(|group| group.retain(has));
    groups.retain(|group| !group.is_empty());
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels() -> Vec<Grid> {
        let grid = |width, height| Grid { width, height, tile_size: 256, overlap: 0 };
        vec![grid(2000, 1100), grid(1000, 550), grid(500, 275), grid(250, 138)]
    }

    fn tile(level: u8, column: u32, row: u32) -> TileId {
        TileId { level, column, row }
    }

    #[test]
    fn a_family_is_whole_and_ends_where_the_slide_does() {
        for member in [tile(0, 2, 3), tile(1, 1, 1), tile(2, 0, 0)] {
            let (base, groups) = family(&levels(), member).expect("a family");
            assert_eq!((base, groups.len(), groups.concat().len()), (tile(2, 0, 0), 5, 21));
            assert_eq!(
                groups[1],
                [tile(0, 0, 0), tile(0, 1, 0), tile(0, 0, 1), tile(0, 1, 1), tile(1, 0, 0)]
            );
        }
        let (_, groups) = family(&levels(), tile(0, 0, 4)).expect("a family");
        // Level 0 has 5 rows, level 1 has 3.
        assert_eq!(groups.concat().len(), 1 + 4 + 2);
        assert_eq!(family(&levels(), tile(3, 0, 0)), None);
    }

    #[test]
    fn neighbours_are_those_that_there_are() {
        assert_eq!(neighbours(&levels(), tile(0, 3, 2)).len(), 8);
        assert_eq!(
            neighbours(&levels(), tile(0, 0, 0)).concat(),
            [tile(0, 1, 0), tile(0, 0, 1), tile(0, 1, 1)]
        );
        assert!(neighbours(&levels(), tile(3, 0, 0)).is_empty());
    }

    #[test]
    fn policies_are_named_as_on_the_command_line() {
        for policy in [Prefetch::None, Prefetch::Family, Prefetch::Neighbours] {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        assert!("families".parse::<Prefetch>().is_err());
    }
}
