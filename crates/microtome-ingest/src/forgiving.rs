//! White in the place of tiles that cannot be decoded, and a record of where: for whoever would rather have a slide with holes
//! than none.
//!
//! A tile is bad if its bytes are missing or malformed, or give no picture of its size. Not here: sources that cannot be
//! opened, which is where the first tile of each level is looked at, and files that the system does not let us read. These stop
//! an ingest all the same.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use microtome_codec::payload::VerbatimParams;
use microtome_codec::{Rgb, jpeg, turbo};
use microtome_container::geometry::{Grid, Rect};
use microtome_slide::metadata::AbsentTiles;

use crate::Error;
use crate::metadata::runs;
use crate::plan::{Origin, Plan};
use crate::source::blank::blank_like;
use crate::source::{Content, Pixels, Source, TileLevel, Tiles};

/// Tiles of a level that are looked at for one that a blank one can be stored like.
const CANDIDATES: usize = 1000;
/// Pixels are blank by squares of this side, on a grid of these: the tiles of most sources are a multiple of it.
const LEAST: u32 = 16;

/// The tiles that are blank, by level and number along the rows: those of the source where they are kept, else those of the
/// container that have any blank pixel.
#[derive(Debug, Default)]
pub(crate) struct Blanked {
    tiles: Mutex<BTreeSet<(u8, u64)>>,
    any_is_sound: AtomicBool,
}

impl Blanked {
    fn add(&self, level: u8, number: u64) {
        self.tiles.lock().unwrap_or_else(PoisonError::into_inner).insert((level, number));
    }

    fn has(&self, level: u8, number: u64) -> bool {
        self.tiles.lock().unwrap_or_else(PoisonError::into_inner).contains(&(level, number))
    }

    fn found_sound(&self) {
        self.any_is_sound.store(true, Ordering::Relaxed);
    }

    /// Refuses a slide of which nothing could be decoded, or nothing of level 0 where its tiles are kept.
    pub(crate) fn check_some_is_left(&self, spec: &str, plan: &Plan) -> Result<(), Error> {
        let is_kept = matches!(plan.origins.first(), Some(Origin::Verbatim(_)));
        let bad = self.tiles().iter().filter(|level| level.level == 0).map(AbsentTiles::count).sum::<u64>();
        let any_is_sound = self.any_is_sound.load(Ordering::Relaxed);
        match any_is_sound && !(is_kept && bad >= plan.grid(0).tiles()) {
            true => Ok(()),
            false => Err(Error::Malformed {
                path: spec.to_owned(),
                place: "level 0".to_owned(),
                what: "not one of its tiles can be decoded; restore it".to_owned(),
            }),
        }
    }

    /// As the metadata have them.
    pub(crate) fn tiles(&self) -> Vec<AbsentTiles> {
        let tiles = self.tiles.lock().unwrap_or_else(PoisonError::into_inner);
        let levels: BTreeSet<u8> = tiles.iter().map(|&(level, _)| level).collect();
        let of =
            |wanted: u8| tiles.iter().filter(move |(level, _)| *level == wanted).map(|&(_, number)| number);
        levels
            .into_iter()
            .map(|level| AbsentTiles { level, runs: runs(of(level)), undecodable: true })
            .collect()
    }
}

/// The source with white where it is bad.
///
/// # Errors
/// [`Error::Usage`] for one that OpenSlide reads, which after a bad tile reads nothing more.
pub(crate) fn forgiving(spec: &str, mut source: Source) -> Result<(Source, Arc<Blanked>), Error> {
    if source.format.starts_with("openslide") {
        return Err(Error::Usage(format!(
            "{spec}: OpenSlide reads it, and after a bad tile nothing more of it; leave out --on-bad-tile blank"
        )));
    }
    let blanked = Arc::new(Blanked::default());
    let whole = (source.width, source.height);
    source.content = match source.content {
        Content::Tiles(tiles) => Content::Tiles(Box::new(ForgivingTiles::new(tiles, Arc::clone(&blanked)))),
        Content::Pixels(pixels) => {
            let (tile_size, overlap) = (pixels.tile_size(), pixels.overlap());
            let grid = Grid { width: whole.0, height: whole.1, tile_size, overlap };
            Content::Pixels(Box::new(ForgivingPixels { pixels, grid, blanked: Arc::clone(&blanked) }))
        }
    };
    Ok((source, blanked))
}

/// The complete stream of a record, if it gives a picture of the size of its place.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn sound(
    params: &VerbatimParams,
    level: u8,
    rect: Rect,
    record: &Bytes,
) -> Result<Bytes, microtome_codec::Error> {
    let stream = params.to_jpeg(level, rect.width, rect.height, record)?;
    turbo::decode(&stream, u64::from(rect.width) * u64::from(rect.height))?;
    Ok(stream)
}

struct ForgivingTiles {
    tiles: Box<dyn Tiles>,
    params: VerbatimParams,
    /// A sound stream of each level, to be looked for when the first is needed.
    examples: Vec<OnceLock<Option<Bytes>>>,
    blanked: Arc<Blanked>,
}

impl ForgivingTiles {
    fn new(tiles: Box<dyn Tiles>, blanked: Arc<Blanked>) -> Self {
        let streams = tiles.levels().iter().map(|level| level.stream(tiles.tile_size())).collect();
        let examples = tiles.levels().iter().map(|_| OnceLock::new()).collect();
        Self { params: VerbatimParams::completing(streams), tiles, examples, blanked }
    }

    fn grid(&self, index: usize) -> Grid {
        let level = &self.tiles.levels()[index];
        let (tile_size, overlap) = (self.tiles.tile_size(), self.tiles.overlap());
        Grid { width: level.width, height: level.height, tile_size, overlap }
    }

    fn number(&self, index: usize, column: u32, row: u32) -> u64 {
        u64::from(row) * u64::from(self.grid(index).columns()) + u64::from(column)
    }

    /// The source's tile, and its complete stream, if it is sound.
    fn sound(&self, index: usize, column: u32, row: u32) -> Result<(Vec<u8>, Bytes), Error> {
        let malformed = |what: String| Error::Malformed {
            path: self.tiles.place(index, column, row),
            place: "tile".to_owned(),
            what,
        };
        let rect = self.grid(index).tile_rect(column, row);
        let rect = rect.ok_or_else(|| malformed("outside the grid".to_owned()))?;
        let record = Bytes::from(self.tiles.tile(index, column, row)?);
        let stream = sound(&self.params, self.tiles.levels()[index].level, rect, &record);
        let stream = stream.map_err(|error| malformed(error.to_string()))?;
        Ok((record.into(), stream))
    }

    /// A white tile that is stored like a sound one: of its level, or else of another one with the same colours.
    fn blank(&self, index: usize, column: u32, row: u32) -> Option<Vec<u8>> {
        let grid = self.grid(index);
        let size = match self.tiles.levels()[index].padded {
            true => (grid.tile_size, grid.tile_size),
            false => grid.tile_rect(column, row).map(|rect| (rect.width, rect.height))?,
        };
        let colour = self.tiles.levels()[index].colour;
        let alike = (0..self.examples.len()).filter(|&other| self.tiles.levels()[other].colour == colour);
        std::iter::once(index).chain(alike).find_map(|level| {
            let example = self.examples[level].get_or_init(|| self.example(level));
            blank_as(example.as_ref()?, size)
        })
    }

    /// The stream of a sound tile of a level that a blank one can be stored like.
    fn example(&self, index: usize) -> Option<Bytes> {
        let grid = self.grid(index);
        let places = (0..grid.tiles()).map(|number| grid.position(number));
        let there = places.filter(|&(column, row)| !self.tiles.is_absent(index, column, row));
        there.take(CANDIDATES).find_map(|(column, row)| {
            let (_, stream) = self.sound(index, column, row).ok()?;
            blank_as(&stream, (16, 16)).map(|_| stream)
        })
    }
}

fn blank_as(example: &Bytes, size: (u32, u32)) -> Option<Vec<u8>> {
    let rgb = jpeg::inspect(example).ok()?.assumed_colour() == jpeg::Colour::Rgb;
    blank_like(example, 255, rgb, size).ok()
}

impl Tiles for ForgivingTiles {
    fn tile_size(&self) -> u32 {
        self.tiles.tile_size()
    }

    fn overlap(&self) -> u32 {
        self.tiles.overlap()
    }

    fn levels(&self) -> &[TileLevel] {
        self.tiles.levels()
    }

    fn tile(&self, index: usize, column: u32, row: u32) -> Result<Vec<u8>, Error> {
        if self.tiles.is_absent(index, column, row) {
            return self.tiles.tile(index, column, row);
        }
        let error = match self.sound(index, column, row) {
            Err(error @ Error::Malformed { .. }) => error,
            Err(other) => return Err(other),
            Ok((record, _)) => {
                self.blanked.found_sound();
                return Ok(record);
            }
        };
        let blank = self.blank(index, column, row).ok_or(error)?;
        self.blanked.add(self.tiles.levels()[index].level, self.number(index, column, row));
        Ok(blank)
    }

    fn place(&self, index: usize, column: u32, row: u32) -> String {
        self.tiles.place(index, column, row)
    }

    fn is_absent(&self, index: usize, column: u32, row: u32) -> bool {
        self.tiles.is_absent(index, column, row)
    }

    fn is_blank(&self, index: usize, column: u32, row: u32) -> bool {
        self.is_absent(index, column, row)
            || self.blanked.has(self.tiles.levels()[index].level, self.number(index, column, row))
    }

    fn kept(&self) -> &'static str {
        self.tiles.kept()
    }
}

struct ForgivingPixels {
    pixels: Box<dyn Pixels>,
    /// The tiles of level 0 that will be made of them.
    grid: Grid,
    blanked: Arc<Blanked>,
}

impl ForgivingPixels {
    fn note(&self, rect: Rect) {
        let Grid { tile_size, overlap, .. } = self.grid;
        let of = |from: u32, length: u32, count: u32| {
            let last = (from + length - 1 + overlap) / tile_size;
            from.saturating_sub(overlap) / tile_size..=last.min(count - 1)
        };
        let columns = self.grid.columns();
        for row in of(rect.y, rect.height, self.grid.rows()) {
            for column in of(rect.x, rect.width, columns) {
                self.blanked.add(0, u64::from(row) * u64::from(columns) + u64::from(column));
            }
        }
    }
}

impl Pixels for ForgivingPixels {
    fn tile_size(&self) -> u32 {
        self.pixels.tile_size()
    }

    fn overlap(&self) -> u32 {
        self.pixels.overlap()
    }

    fn is_in_such_tiles(&self) -> bool {
        self.pixels.is_in_such_tiles()
    }

    /// What cannot be read as a whole is read by halves, down to the least squares.
    fn read(&self, rect: Rect) -> Result<Rgb, Error> {
        match self.pixels.read(rect) {
            Err(Error::Malformed { .. }) => {}
            other => {
                self.blanked.found_sound();
                return other;
            }
        }
        let mut out = Rgb::filled(rect.width, rect.height, [255; 3]);
        let parts = match self.pixels.is_in_such_tiles() {
            true => halves(rect, self.grid.tile_size),
            false => halves(rect, LEAST),
        };
        match parts {
            Some(parts) => {
                for part in parts {
                    let pixels = self.read(part)?;
                    out.blit(&pixels, 0, 0, part.width, part.height, part.x - rect.x, part.y - rect.y);
                }
            }
            None => self.note(rect),
        }
        Ok(out)
    }
}

/// A rectangle in two, along a grid of squares, across its longer side if there is a line of the grid within.
fn halves(rect: Rect, side: u32) -> Option<[Rect; 2]> {
    let Rect { x, y, width, height } = rect;
    let line = |from: u32, length: u32| {
        let middle = (from + length / 2).next_multiple_of(side);
        let middle = if middle < from + length { middle } else { (from + length - 1) / side * side };
        (middle > from).then_some(middle)
    };
    let across = |at: u32| {
        let left = Rect { x, y, width: at - x, height };
        [left, Rect { x: at, width: x + width - at, ..left }]
    };
    let down = |at: u32| {
        let upper = Rect { x, y, width, height: at - y };
        [upper, Rect { y: at, height: y + height - at, ..upper }]
    };
    let (vertical, horizontal) = (line(x, width).map(across), line(y, height).map(down));
    if width >= height { vertical.or(horizontal) } else { horizontal.or(vertical) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One shade but for squares that cannot be read.
    struct Holes(Vec<Rect>);

    impl Pixels for Holes {
        fn read(&self, rect: Rect) -> Result<Rgb, Error> {
            let meets = |a: &Rect| {
                a.x < rect.x + rect.width
                    && rect.x < a.x + a.width
                    && a.y < rect.y + rect.height
                    && rect.y < a.y + a.height
            };
            if self.0.iter().any(meets) {
                let (path, place, what) = Default::default();
                return Err(Error::Malformed { path, place, what });
            }
            Ok(Rgb::filled(rect.width, rect.height, [7; 3]))
        }
    }

    proptest! {
        #[test]
        fn just_what_cannot_be_read_is_white_and_its_tiles_are_told(
            holes in proptest::collection::vec((0..12_u32, 0..9_u32, 1..4_u32), 0..4),
            x in 0..100_u32, y in 0..80_u32, width in 1..100_u32, height in 1..64_u32, overlap in 0..3_u32,
        ) {
            let holes: Vec<_> = holes
                .iter()
                .map(|&(x, y, side)| Rect { x: 16 * x, y: 16 * y, width: 16 * side, height: 16 * side })
                .collect();
            let grid = Grid { width: 200, height: 144, tile_size: 32, overlap };
            let blanked = Arc::new(Blanked::default());
            let pixels = ForgivingPixels { pixels: Box::new(Holes(holes.clone())), grid, blanked: Arc::clone(&blanked) };
            let read = pixels.read(Rect { x, y, width, height }).expect("no other errors");
            let mut expected = std::collections::BTreeSet::new();
            for (at_x, at_y) in (0..height).flat_map(|v| (0..width).map(move |h| (h, v))) {
                let (left, top) = (x + at_x, y + at_y);
                let is_bad = holes.iter().any(|hole| is_in(hole, left, top));
                prop_assert_eq!(read.pixel(at_x, at_y), [if is_bad { 255 } else { 7 }; 3]);
                for number in (0..grid.tiles()).filter(|_| is_bad) {
                    let (column, row) = grid.position(number);
                    let tile = grid.tile_rect(column, row).expect("within");
                    if is_in(&tile, left, top) {
                        expected.insert(number);
                    }
                }
            }
            let told: std::collections::BTreeSet<u64> =
                blanked.tiles().iter().flat_map(|level| level.runs.iter().flat_map(|&[a, b]| a..=b)).collect();
            prop_assert_eq!(told, expected);
        }
    }

    fn is_in(rect: &Rect, x: u32, y: u32) -> bool {
        (rect.x..rect.x + rect.width).contains(&x) && (rect.y..rect.y + rect.height).contains(&y)
    }
}
