//! A procedurally drawn "H&E" slide of any size: for demonstrations, tests and benchmarks without patient data.
//!
//! Islands of colon-like tissue on bright glass, at 0.25 um per pixel: crypts with goblet cells, lamina propria,
//! muscle, fibres, vessels, fat, lymphoid follicles. Every pixel is a function of seed, slide size and place
//! alone, with the same bits on every machine, however the slide is cut into reads.
//!
//! `layout` says what is where, `ground` and `cells` draw it as densities of both stains, block by block, and
//! `stain` turns densities into pixels.

mod cells;
mod ground;
mod layout;
mod noise;
mod palette;
mod shapes;
mod stain;
#[cfg(test)]
mod tests;

use std::str::FromStr;

use microtome_codec::Rgb;
use microtome_container::geometry::Rect;

use super::{Content, Pixels, Source};
use crate::Error;
use cells::Cells;
use ground::{Lattice, Textures};
use layout::Layout;
use noise::Draws;
use palette::DUST;
use shapes::Blob;
use stain::{GLASS, Scanner};

/// Side in pixels of the blocks that are drawn at a time.
const BLOCK: usize = 128;
/// Pixels from one point of the coarse lattice to the next.
const LATTICE: usize = 16;
/// Side in pixels of the boxes that the scanner looks at: one without tissue nearby is plain white.
const SCAN_BOX: u32 = 512;
/// Distance in pixels to tissue within which a box is scanned.
const SCAN_MARGIN: f32 = 160.0;
/// Pixels between the probes for tissue in a box.
const SCAN_PROBE: u32 = 64;
/// Share of scanned boxes with a speck of dust.
const DUST_SHARE: f32 = 0.22;
/// Longest side of a slide in pixels.
const LONGEST_SIDE: u32 = 1_000_000;
/// Micrometres per pixel.
const MPP: f64 = 0.25;
/// Objective power.
const OBJECTIVE_POWER: f64 = 40.0;

/// Size and seed of a synthetic slide: the text after `synthetic:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    /// Width of level 0 in pixels, 1 to 1,000,000.
    pub width: u32,
    /// Height of level 0 in pixels, 1 to 1,000,000.
    pub height: u32,
    /// Which of the slides of this size.
    pub seed: u32,
}

impl FromStr for Params {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |what: String| {
            Error::Usage(format!("synthetic:{text}: {what}; write for example synthetic:8000x6000,seed=7"))
        };
        let mut parts = text.split(',');
        let size = parts.next().unwrap_or_default();
        let (width, height) = size.split_once('x').ok_or_else(|| wrong("no WIDTHxHEIGHT".into()))?;
        let side = |name: &str, digits: &str| match digits.parse() {
            Ok(length @ 1..=LONGEST_SIDE) => Ok(length),
            _ => Err(wrong(format!("{name} '{digits}' is not a number from 1 to {LONGEST_SIDE}"))),
        };
        let mut params = Self { width: side("width", width)?, height: side("height", height)?, seed: 0 };
        for part in parts {
            let digits =
                part.strip_prefix("seed=").ok_or_else(|| wrong(format!("unknown option '{part}'")))?;
            params.seed = match digits.parse() {
                Ok(seed) => seed,
                Err(_) => {
                    return Err(wrong(format!("seed '{digits}' is not a number from 0 to {}", u32::MAX)));
                }
            };
        }
        Ok(params)
    }
}

/// The synthetic slide of `params`.
#[must_use]
pub fn open(params: Params) -> Source {
    let property = |name: &str, value: String| (name.to_owned(), value);
    Source {
        width: params.width,
        height: params.height,
        format: "synthetic",
        content: Content::Pixels(Box::new(Slide::new(params))),
        properties: vec![
            property("openslide.mpp-x", MPP.to_string()),
            property("openslide.mpp-y", MPP.to_string()),
            property("openslide.objective-power", OBJECTIVE_POWER.to_string()),
            property("openslide.vendor", "synthetic".to_owned()),
            property("synthetic.seed", params.seed.to_string()),
        ],
        mpp: Some([MPP, MPP]),
        objective_power: Some(OBJECTIVE_POWER),
        icc_profile: None,
        associated: Vec::new(),
        notices: Vec::new(),
    }
}

/// Densities of a square of [`BLOCK`] pixels, row by row.
struct Block {
    /// Left edge on the slide.
    x: i32,
    /// Top edge on the slide.
    y: i32,
    /// Hematoxylin in optical density.
    haematoxylin: Vec<f32>,
    /// Eosin in optical density.
    eosin: Vec<f32>,
    /// 1 in tissue, 0 on glass.
    mask: Vec<f32>,
}

impl Block {
    fn new() -> Self {
        let plane = || vec![0.0; BLOCK * BLOCK];
        Self { x: 0, y: 0, haematoxylin: plane(), eosin: plane(), mask: plane() }
    }

    fn restart(&mut self, x: u32, y: u32) {
        (self.x, self.y) = (x as i32, y as i32);
        self.haematoxylin.fill(0.0);
        self.eosin.fill(0.0);
    }

    /// Cuts off what stands over the outline of the tissue.
    fn trim(&mut self) {
        for ((h, e), &mask) in self.haematoxylin.iter_mut().zip(&mut self.eosin).zip(&self.mask) {
            *h *= mask;
            *e *= mask;
        }
    }
}

struct Slide {
    seed: u32,
    layout: Layout,
    textures: Textures,
    scanner: Scanner,
    rays: Vec<(f32, f32)>,
}

impl Slide {
    fn new(params: Params) -> Self {
        let seed = noise::hash(params.seed, 0x5EED, 0);
        Self {
            seed,
            layout: Layout::new(seed, params.width, params.height),
            textures: Textures::new(seed),
            scanner: Scanner::new(seed),
            rays: shapes::direction_table(),
        }
    }

    /// Whether there is tissue in or near the scan box at (`x`, `y`).
    fn is_scanned(&self, x: u32, y: u32) -> bool {
        let probes = 0..=SCAN_BOX / SCAN_PROBE;
        probes.clone().any(|row| {
            let y = (y + row * SCAN_PROBE) as f32;
            probes.clone().any(|column| self.layout.depth((x + column * SCAN_PROBE) as f32, y) > -SCAN_MARGIN)
        })
    }

    /// Draws the part of `rect` that lies in the scan box at (`x`, `y`).
    fn scan(&self, x: u32, y: u32, rect: Rect, block: &mut Block, out: &mut Rgb) {
        let area = whole_blocks(intersection(rect, Rect { x, y, width: SCAN_BOX, height: SCAN_BOX }));
        let lattice = Lattice::new(&self.layout, self.seed, area);
        let cells = (lattice.deepest() > -SCAN_MARGIN)
            .then(|| Cells::new(&self.layout, &lattice, &self.rays, self.seed, area));
        for y in (area.y..area.y + area.height).step_by(BLOCK) {
            for x in (area.x..area.x + area.width).step_by(BLOCK) {
                block.restart(x, y);
                if let Some(cells) = &cells {
                    lattice.paint(block, &self.textures);
                    cells.paint(block, &self.textures);
                    block.trim();
                }
                self.draw_dust(block);
                self.develop(block, rect, out);
            }
        }
    }

    /// Draws the dust of the block's scan box, which stays within the box.
    fn draw_dust(&self, block: &mut Block) {
        let side = SCAN_BOX as i32;
        let (left, top) = (block.x / side * side, block.y / side * side);
        let mut draws = Draws::new(self.seed ^ 0xD57, left, top);
        if draws.unit() < DUST_SHARE {
            let (x, y) = (left as f32 + draws.between(40.0, 470.0), top as f32 + draws.between(40.0, 470.0));
            let axes = (draws.between(4.0, 15.0), draws.between(3.0, 8.0));
            let along = draws.direction();
            Blob { x, y, axes, along, ..DUST }.paint(block, &self.textures.grain);
        }
    }

    /// Copies the part of the scanned block at (`x`, `y`) that lies in `rect` into `out`.
    fn develop(&self, block: &Block, rect: Rect, out: &mut Rgb) {
        let (x, y) = (block.x as u32, block.y as u32);
        let side = BLOCK as u32;
        let (left, right) = (rect.x.max(x), (rect.x + rect.width).min(x + side));
        let mut pixels = [0; 3 * BLOCK];
        let mut stain = [(1.0, 1.0); BLOCK / LATTICE];
        for row in rect.y.max(y)..(rect.y + rect.height).min(y + side) {
            let inside = (row - y) as usize;
            if inside.is_multiple_of(LATTICE) || row == rect.y {
                for (i, strength) in stain.iter_mut().enumerate() {
                    let at = (x as usize + i * LATTICE, y as usize + inside / LATTICE * LATTICE);
                    *strength = ground::stain(self.seed, at.0 as f32, at.1 as f32);
                }
            }
            self.scanner.row(block, inside, &stain, &mut pixels);
            let from = &pixels[3 * (left - x) as usize..3 * (right - x) as usize];
            let start = 3 * ((row - rect.y) as usize * rect.width as usize + (left - rect.x) as usize);
            out.data_mut()[start..start + from.len()].copy_from_slice(from);
        }
    }
}

impl Pixels for Slide {
    fn read(&self, rect: Rect) -> Result<Rgb, Error> {
        let mut out = Rgb::filled(rect.width, rect.height, GLASS);
        let mut block = Block::new();
        for top in aligned(rect.y, rect.height, SCAN_BOX) {
            for left in aligned(rect.x, rect.width, SCAN_BOX) {
                if self.is_scanned(left, top) {
                    self.scan(left, top, rect, &mut block, &mut out);
                }
            }
        }
        Ok(out)
    }
}

/// Starts of the squares of side `side` that touch `start..start + length`.
fn aligned(start: u32, length: u32, side: u32) -> impl Iterator<Item = u32> {
    (start / side..(start + length).div_ceil(side)).map(move |index| index * side)
}

/// The smallest rectangle of whole blocks around `rect`.
fn whole_blocks(rect: Rect) -> Rect {
    let side = BLOCK as u32;
    let (x, y) = (rect.x / side * side, rect.y / side * side);
    let (right, bottom) =
        ((rect.x + rect.width).next_multiple_of(side), (rect.y + rect.height).next_multiple_of(side));
    Rect { x, y, width: right - x, height: bottom - y }
}

/// What two overlapping rectangles share.
fn intersection(a: Rect, b: Rect) -> Rect {
    let (x, y) = (a.x.max(b.x), a.y.max(b.y));
    let (right, bottom) = ((a.x + a.width).min(b.x + b.width), (a.y + a.height).min(b.y + b.height));
    Rect { x, y, width: right - x, height: bottom - y }
}
