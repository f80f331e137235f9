//! What lies between the cells: the fibres, clefts and cytoplasm of each kind of tissue, from fields that are
//! evaluated on a coarse lattice and interpolated.

use microtome_container::geometry::Rect;

use super::layout::{Layout, Zones};
use super::noise::{TEXTURE_SIDE, Texture, gradient, normalised, texel};
use super::{BLOCK, Block, LATTICE, SCAN_MARGIN};

/// Lattice points beyond the area on each side, so that cells whose centre is outside can be placed.
const HALO: usize = 3;

/// Interpolated properties of the ground.
#[derive(Clone, Copy, Default)]
struct Ground {
    /// Distance to the outline in pixels.
    depth: f32,
    /// Coordinates in pixels across and along the fibres.
    across: f32,
    along: f32,
    /// Mean hematoxylin and eosin, and amplitude of the fibres, in optical density.
    haematoxylin: f32,
    eosin: f32,
    fibre: f32,
    /// Where clefts begin, in deviations of the cleft texture: the higher, the fewer.
    cleft: f32,
}

impl Ground {
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self {
            depth: f(self.depth, other.depth),
            across: f(self.across, other.across),
            along: f(self.along, other.along),
            haematoxylin: f(self.haematoxylin, other.haematoxylin),
            eosin: f(self.eosin, other.eosin),
            fibre: f(self.fibre, other.fibre),
            cleft: f(self.cleft, other.cleft),
        }
    }

    fn towards(self, other: Self, t: f32) -> Self {
        self.zip(other, |a, b| a + t * (b - a))
    }
}

/// One kind of tissue: hematoxylin, eosin, fibre amplitude, begin of clefts.
const LAMINA: [f32; 4] = [0.075, 0.16, 0.10, 0.35];
const SURFACE: [f32; 4] = [0.20, 0.24, 0.06, 4.0];
const MUSCLE: [f32; 4] = [0.07, 0.40, 0.10, 2.2];
const FAT: [f32; 4] = [0.03, 0.22, 0.07, 4.0];
const LOOSE: [f32; 4] = [0.035, 0.15, 0.11, 0.25];
const DENSE: [f32; 4] = [0.04, 0.27, 0.15, 1.3];
const LYMPH: [f32; 4] = [0.14, 0.17, 0.04, 3.5];

/// Fields around one area.
pub(super) struct Lattice {
    /// Pixel of the slide that the first point is at.
    x: i32,
    y: i32,
    /// Points along a row, and rows.
    columns: usize,
    rows: usize,
    zones: Vec<Zones>,
    ground: Vec<Ground>,
}

impl Lattice {
    /// Evaluates the fields around `area`, which is made of whole blocks.
    pub(super) fn new(layout: &Layout, seed: u32, area: Rect) -> Self {
        let margin = (HALO * LATTICE) as i32;
        let (x, y) = (area.x as i32 - margin, area.y as i32 - margin);
        let points = |length: u32| length as usize / LATTICE + 1 + 2 * HALO;
        let (columns, rows) = (points(area.width), points(area.height));
        let mut zones = Vec::with_capacity(columns * rows);
        let mut ground = Vec::with_capacity(columns * rows);
        for i in 0..columns * rows {
            let (column, row) = ((i % columns * LATTICE) as i32, (i / columns * LATTICE) as i32);
            let (px, py) = ((x + column) as f32, (y + row) as f32);
            let zone = layout.zones(px, py);
            zones.push(zone);
            let near = zone.depth > -SCAN_MARGIN;
            let bare = Ground { depth: zone.depth, ..Ground::default() };
            ground.push(if near { properties(&zone, seed, px, py) } else { bare });
        }
        Self { x, y, columns, rows, zones, ground }
    }

    /// Greatest depth of any point.
    pub(super) fn deepest(&self) -> f32 {
        self.zones.iter().fold(f32::MIN, |deepest, zone| deepest.max(zone.depth))
    }

    /// Index of the point next to a place, which has neighbours on all sides.
    fn nearest(&self, x: f32, y: f32) -> usize {
        let index =
            |offset: f32, points: usize| ((offset / LATTICE as f32 + 0.5) as usize).clamp(1, points - 2);
        index(y - self.y as f32, self.rows) * self.columns + index(x - self.x as f32, self.columns)
    }

    /// The zones at the lattice point next to a place, and the direction of the fibres there.
    pub(super) fn near(&self, x: f32, y: f32) -> (&Zones, (f32, f32)) {
        let at = self.nearest(x, y);
        let slope_x = self.ground[at + 1].across - self.ground[at - 1].across;
        let slope_y = self.ground[at + self.columns].across - self.ground[at - self.columns].across;
        (&self.zones[at], normalised(-slope_y, slope_x))
    }

    /// Direction in which the depth grows at a place.
    pub(super) fn inward(&self, x: f32, y: f32) -> (f32, f32) {
        let at = self.nearest(x, y);
        normalised(
            self.zones[at + 1].depth - self.zones[at - 1].depth,
            self.zones[at + self.columns].depth - self.zones[at - self.columns].depth,
        )
    }

    /// Draws the ground of the whole block.
    pub(super) fn paint(&self, block: &mut Block, textures: &Textures) {
        let (first_column, first_row) =
            ((block.x - self.x) as usize / LATTICE, (block.y - self.y) as usize / LATTICE);
        for row in 0..BLOCK {
            let t = (row % LATTICE) as f32 / LATTICE as f32;
            let line = (first_row + row / LATTICE) * self.columns + first_column;
            for column in 0..BLOCK / LATTICE {
                let at = line + column;
                let left = self.ground[at].towards(self.ground[at + self.columns], t);
                let right = self.ground[at + 1].towards(self.ground[at + self.columns + 1], t);
                let step = right.zip(left, |to, from| (to - from) / LATTICE as f32);
                let start = row * BLOCK + column * LATTICE;
                paint_run(block, start, left, step, textures);
            }
        }
    }
}

/// Textures that all ground is made of.
pub(super) struct Textures {
    /// Thin fibres: rows across them, columns along.
    pub(super) fibres: Texture,
    /// Clefts between bundles of fibres.
    pub(super) clefts: Texture,
    /// Granules of cytoplasm and chromatin.
    pub(super) grain: Texture,
}

impl Textures {
    /// The textures of a seed.
    pub(super) fn new(seed: u32) -> Self {
        Self {
            fibres: Texture::new(seed ^ 0x71, 2, 16, 6),
            clefts: Texture::new(seed ^ 0x72, 7, 11, 8),
            grain: Texture::new(seed ^ 0x73, 1, 1, 4),
        }
    }
}

/// Draws one lattice cell's width of one row: arithmetic and look-ups in turns, so that the former become vector
/// instructions.
fn paint_run(block: &mut Block, start: usize, ground: Ground, step: Ground, textures: &Textures) {
    type Run = [f32; LATTICE];
    let ramp = |from: f32, slope: f32| -> Run { std::array::from_fn(|i| from + slope * i as f32) };
    let (across, along) = (ramp(ground.across, step.across), ramp(ground.along, step.along));
    let (depth, cleft) = (ramp(ground.depth, step.depth), ramp(ground.cleft, step.cleft));
    let (eosin, fibre) = (ramp(ground.eosin, step.eosin), ramp(ground.fibre, step.fibre));
    let haematoxylin = ramp(ground.haematoxylin, step.haematoxylin);
    let row = block.y as usize + start / BLOCK;
    let grain = textures.grain.run(row, (block.x as usize + start % BLOCK) % (TEXTURE_SIDE - BLOCK), LATTICE);
    let grain: Run = std::array::from_fn(|i| texel(grain[i]));
    let thick: Run = std::array::from_fn(|i| textures.fibres.at(across[i] * 0.9, along[i] * 0.45));
    let bent: Run = std::array::from_fn(|i| across[i] * 1.9 + 211.0 + 2.0 * thick[i]);
    let thin: Run = std::array::from_fn(|i| textures.fibres.at(bent[i], along[i] * 0.8));
    let apart: Run = std::array::from_fn(|i| across[i] * 0.55 + 3.0 * thick[i]);
    let open: Run = std::array::from_fn(|i| textures.clefts.at(apart[i], along[i] * 0.3));
    let here = start..start + LATTICE;
    let (h, e) = (&mut block.haematoxylin[here.clone()], &mut block.eosin[here.clone()]);
    let mask = &mut block.mask[here];
    for i in 0..LATTICE {
        let solid = 1.0 - ((open[i] + 0.12 * grain[i] - cleft[i]) * 2.2).clamp(0.0, 0.93);
        let edge = ((depth[i] + 1.2 * thick[i] + 0.8 * grain[i]) * 0.3).clamp(0.0, 1.0);
        let strands = fibre[i] * (0.6 * thick[i] + 0.7 * thin[i]);
        e[i] = (eosin[i] + strands + 0.026 * grain[i]).max(0.0) * solid;
        h[i] = (haematoxylin[i] * (1.0 + 0.24 * grain[i] + 0.2 * thick[i])).max(0.0) * solid;
        mask[i] = edge;
    }
}

/// Mixes the kinds of tissue at a place.
fn properties(zones: &Zones, seed: u32, x: f32, y: f32) -> Ground {
    let noise = |salt: u32, pixels: f32| gradient(seed ^ salt, x / pixels, y / pixels);
    let lamina = (zones.mucosa - zones.surface).max(0.0);
    let dense = (1.0 - zones.mucosa - zones.muscle - zones.fat - zones.loose).max(0.0);
    let parts = [
        (LAMINA, lamina),
        (SURFACE, zones.surface),
        (MUSCLE, zones.muscle),
        (FAT, zones.fat),
        (LOOSE, zones.loose),
        (DENSE, dense),
    ];
    let mut mixed = [0.0; 4];
    for (kind, weight) in parts {
        for (sum, value) in mixed.iter_mut().zip(kind) {
            *sum += weight * value;
        }
    }
    for (sum, value) in mixed.iter_mut().zip(LYMPH) {
        *sum += zones.lymph * (value - *sum);
    }
    let [haematoxylin, eosin, fibre, cleft] = mixed;
    let waves = 48.0 * noise(0x61, 260.0) + 15.0 * noise(0x62, 95.0) + 3.5 * noise(0x66, 38.0);
    Ground {
        depth: zones.depth,
        across: 0.35 * zones.depth + 0.7 * x - 0.5 * y + waves,
        along: 0.6 * x + 0.8 * y + 90.0 * noise(0x63, 330.0),
        haematoxylin,
        eosin: eosin * (1.0 + 0.15 * noise(0x64, 420.0)),
        fibre,
        cleft: cleft + 0.5 * noise(0x65, 300.0),
    }
}

/// Strength of hematoxylin and eosin at a place: staining and thickness vary over a slide.
pub(super) fn stain(seed: u32, x: f32, y: f32) -> (f32, f32) {
    let noise = |salt: u32, pixels: f32| gradient(seed ^ salt, x / pixels, y / pixels);
    let thickness = 1.0 + 0.07 * noise(0x67, 1700.0);
    (thickness * (1.0 + 0.14 * noise(0x68, 6100.0)), thickness * (1.0 + 0.16 * noise(0x69, 5300.0)))
}
