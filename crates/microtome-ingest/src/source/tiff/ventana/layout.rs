//! Where the tiles of a BIF come to lie in level 0.
//!
//! Those of the scanners that Roche's white paper describes: areas at their AoiOrigin, every column and row at its own
//! overlap. Those of older ones as OpenSlide 4 places them: areas at their place on the stage, all tiles at the mean
//! overlap of the slide. OpenSlide draws between pixels; here edges are rounded to whole ones. Not here: pixels.

use std::ops::Range;

use microtome_container::geometry::Rect;
use microtome_container::header::MAX_SIDE;

use super::encoding::{Area, Mean};

/// Pixels of level 0: twice those of all the glass, 75 x 25 mm, at 40x. Areas that claim to lie far apart would cost minutes of
/// blank tiles.
const MAX_PIXELS: f64 = (1_u64 << 36) as f64;

/// Level 0, put together.
#[derive(Debug, PartialEq)]
pub(super) struct Layout {
    pub(super) width: u32,
    pub(super) height: u32,
    /// Whether all tiles lie in the grid that they are stored in.
    pub(super) is_grid: bool,
    tile: (u32, u32),
    areas: Vec<Placed>,
}

/// An area in level 0.
#[derive(Debug, PartialEq)]
struct Placed {
    /// Column and row of its first tile in the page.
    first: (u32, u32),
    /// Left edges of its columns, in order.
    lefts: Vec<f64>,
    /// Upper edges of its rows, in order.
    tops: Vec<f64>,
}

/// A tile with its place.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PlacedTile {
    /// Row and column in the page.
    pub(super) row: u32,
    pub(super) column: u32,
    pub(super) left: u32,
    pub(super) top: u32,
}

impl Layout {
    /// Places areas, at least one, of tiles of this size; those of a scanner that is documented, or of another.
    pub(super) fn new(areas: &[Area], tile: (u32, u32), is_documented: bool) -> Result<Self, String> {
        let means = (
            Mean::of(areas.iter().flat_map(|area| &area.across)),
            Mean::of(areas.iter().flat_map(|area| &area.down)),
        );
        let corners = if is_documented { origins(areas, tile) } else { on_stage(areas, tile.1, means.1) };
        let edges = |start: f64, side: u32, overlaps: &[Mean], mean: f64| -> Vec<f64> {
            let overlaps = overlaps.iter().map(|own| if is_documented { own.value() } else { mean });
            let steps = overlaps.map(|overlap| f64::from(side) - overlap);
            let next = |edge: &mut f64, step: f64| Some(std::mem::replace(edge, *edge + step));
            // One edge more than there are overlaps.
            steps.chain([0.0]).scan(start, next).map(f64::round).collect()
        };
        let placed = areas.iter().zip(corners).map(|(area, (x, y))| Placed {
            first: area.first,
            lefts: edges(x, tile.0, &area.across, means.0),
            tops: edges(y, tile.1, &area.down, means.1),
        });
        let mut layout = Self { width: 0, height: 0, is_grid: false, tile, areas: placed.collect() };
        layout.find_grid();
        let furthest = |edge: fn(&Placed) -> Option<&f64>, side: u32| {
            layout.areas.iter().filter_map(edge).fold(0.0, |a: f64, b| a.max(*b)) + f64::from(side)
        };
        let (width, height) =
            (furthest(|area| area.lefts.last(), tile.0), furthest(|area| area.tops.last(), tile.1));
        if width.max(height) > f64::from(MAX_SIDE) || width * height > MAX_PIXELS {
            return Err(format!(
                "its areas reach over {width} x {height} px (at most {MAX_SIDE} a side and {MAX_PIXELS} px are taken)"
            ));
        }
        // From here on all edges are whole numbers up to that.
        (layout.width, layout.height) = (width as u32, height as u32);
        Ok(layout)
    }

    /// Sees whether the tiles abut and all areas lie in the grid, be it moved as a whole; then it is not moved.
    fn find_grid(&mut self) {
        let stored = |first: u32, count: usize, side: u32| {
            (0..count).map(move |i| f64::from(side) * (f64::from(first) + i as f64))
        };
        let shift = |area: &Placed| {
            (
                area.lefts[0] - f64::from(area.first.0 * self.tile.0),
                area.tops[0] - f64::from(area.first.1 * self.tile.1),
            )
        };
        let (x, y) = shift(&self.areas[0]);
        self.is_grid = self.areas.iter().all(|area| {
            let columns = stored(area.first.0, area.lefts.len(), self.tile.0);
            let rows = stored(area.first.1, area.tops.len(), self.tile.1);
            columns.zip(&area.lefts).all(|(edge, left)| edge + x == *left)
                && rows.zip(&area.tops).all(|(edge, top)| edge + y == *top)
        });
        if self.is_grid {
            for area in &mut self.areas {
                area.lefts.iter_mut().for_each(|left| *left -= x);
                area.tops.iter_mut().for_each(|top| *top -= y);
            }
        }
    }

    /// What each area covers.
    pub(super) fn regions(&self) -> impl Iterator<Item = Rect> {
        let span =
            |edges: &[f64], side: u32| (edges[0] as u32, (edges[edges.len() - 1] - edges[0]) as u32 + side);
        self.areas.iter().map(move |area| {
            let ((x, width), (y, height)) = (span(&area.lefts, self.tile.0), span(&area.tops, self.tile.1));
            Rect { x, y, width, height }
        })
    }

    /// The tiles that a part of level 0 shows, in the order in which they cover each other.
    pub(super) fn tiles_in(&self, rect: Rect) -> Vec<PlacedTile> {
        let mut tiles = vec![];
        for Placed { first, lefts, tops } in &self.areas {
            for row in touched(tops, self.tile.1, rect.y, rect.height) {
                for column in touched(lefts, self.tile.0, rect.x, rect.width) {
                    tiles.push(PlacedTile {
                        row: first.1 + row as u32,
                        column: first.0 + column as u32,
                        left: lefts[column] as u32,
                        top: tops[row] as u32,
                    });
                }
            }
        }
        tiles.sort_unstable();
        tiles
    }
}

/// Which tiles of a column or row, of this side and with these edges in order, touch a range of pixels.
fn touched(edges: &[f64], side: u32, start: u32, length: u32) -> Range<usize> {
    let (start, end) = (f64::from(start), f64::from(start) + f64::from(length));
    let first = edges.partition_point(|edge| edge + f64::from(side) <= start);
    first..edges.partition_point(|edge| *edge < end).max(first)
}

/// The upper left corners of areas where AoiOrigin puts them.
fn origins(areas: &[Area], tile: (u32, u32)) -> Vec<(f64, f64)> {
    let pixels = |first: u32, side: u32| f64::from(first) * f64::from(side);
    areas.iter().map(|area| (pixels(area.first.0, tile.0), pixels(area.first.1, tile.1))).collect()
}

/// The upper left corners of areas where they are on the stage, whose heights are counted upwards.
fn on_stage(areas: &[Area], tile_height: u32, overlap: f64) -> Vec<(f64, f64)> {
    let side = f64::from(tile_height);
    // Cut to whole pixels as OpenSlide does.
    let upper = |area: &Area| area.stage.1 + (f64::from(area.rows - 1) * (side - overlap) + side).trunc();
    let top = areas.iter().map(upper).fold(0.0, f64::max);
    areas.iter().map(|area| (area.stage.0, top - upper(area))).collect()
}
