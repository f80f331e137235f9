//! Where the tissue is: islands on the glass, and the layers of each (mucosa, muscle, submucosa).

use super::noise::{Draws, gradient, normalised, step};

/// Share of the slide that the islands are drawn for, up to [`FULL_SHARE_AREA`].
const TISSUE_SHARE: f32 = 0.40;
/// Area in pixels beyond which the share falls with the square root of the area: large slides are mostly glass.
const FULL_SHARE_AREA: f32 = 150e6;
/// One island more for each time the root of the area holds this many pixels.
const ISLAND_PITCH: f32 = 3500.0;
/// Most islands on a slide.
const MOST_ISLANDS: usize = 6;
/// Half axis in pixels below which an island is all mucosa: it has no room for more.
const SMALL_ISLAND: f32 = 800.0;
/// Depth of a place that is far from any tissue, in pixels.
const FAR: f32 = -1e4;

/// A piece of tissue: a bent ellipse with a ragged outline.
struct Island {
    x: f32,
    y: f32,
    /// Half axes in pixels, the longer first.
    axes: (f32, f32),
    /// Direction of the longer axis.
    along: (f32, f32),
    /// How much the ellipse is bent into a bean.
    bend: f32,
    /// The side on which the mucosa is thick.
    luminal: (f32, f32),
    /// Mean thickness of the mucosa in pixels.
    mucosa: f32,
}

/// What kind of tissue is at a place; weights are 0..1.
#[derive(Clone, Copy)]
pub(super) struct Zones {
    /// Distance to the outline in pixels, about; positive inside.
    pub(super) depth: f32,
    /// Epithelium at the luminal surface.
    pub(super) surface: f32,
    /// Lamina propria with crypts.
    pub(super) mucosa: f32,
    /// Smooth muscle below the mucosa.
    pub(super) muscle: f32,
    /// Adipose tissue of the submucosa.
    pub(super) fat: f32,
    /// Loose, oedematous connective tissue.
    pub(super) loose: f32,
    /// Lymphoid follicle.
    pub(super) lymph: f32,
}

/// The islands of one slide.
pub(super) struct Layout {
    seed: u32,
    islands: Vec<Island>,
}

impl Layout {
    /// Islands for a slide: one in its middle, the others where there is room.
    pub(super) fn new(seed: u32, width: u32, height: u32) -> Self {
        let (width, height) = (width as f32, height as f32);
        let area = width * height;
        let share = TISSUE_SHARE * (FULL_SHARE_AREA / area).sqrt().min(1.0);
        let count = ((area.sqrt() / ISLAND_PITCH) as usize).clamp(1, MOST_ISLANDS);
        let mut draws = Draws::new(seed, 0, 0);
        let sizes: Vec<f32> = (0..count).map(|_| draws.between(0.7, 1.3)).collect();
        let total: f32 = sizes.iter().sum();
        let mut islands = Vec::with_capacity(count);
        for size in sizes {
            let radius = (area * share * size / total / std::f32::consts::PI).sqrt();
            let island = place(&mut draws, &islands, radius, (width, height));
            islands.push(island);
        }
        Self { seed, islands }
    }

    /// Distance to the outline at a place, about, in pixels; positive inside.
    pub(super) fn depth(&self, x: f32, y: f32) -> f32 {
        self.nearest(x, y).0
    }

    fn nearest(&self, x: f32, y: f32) -> (f32, Option<&Island>) {
        let mut best = (FAR, None);
        for island in &self.islands {
            let depth = island.depth(self.seed, x, y);
            if depth > best.0 {
                best = (depth, Some(island));
            }
        }
        best
    }

    /// The tissue at a place.
    pub(super) fn zones(&self, x: f32, y: f32) -> Zones {
        let noise = |salt: u32, pixels: f32| gradient(self.seed ^ salt, x / pixels, y / pixels);
        let (depth, island) = self.nearest(x, y);
        let Some(island) = island else {
            return Zones { depth, surface: 0.0, mucosa: 0.0, muscle: 0.0, fat: 0.0, loose: 0.0, lymph: 0.0 };
        };
        let toward = normalised(x - island.x, y - island.y);
        let facing = toward.0 * island.luminal.0 + toward.1 * island.luminal.1;
        let thickness = island.mucosa * (0.85 + 0.75 * facing + 0.22 * noise(0x51, 1100.0));
        let below = depth - thickness;
        let present = step(250.0, 500.0, thickness);
        let mucosa = present * (1.0 - step(-30.0, 30.0, below));
        let muscle_end = 150.0 + 60.0 * noise(0x52, 700.0);
        let muscle = present * step(-30.0, 30.0, below) * (1.0 - step(-40.0, 40.0, below - muscle_end));
        let deep = 1.0 - (mucosa + muscle).min(1.0);
        let inner = step(60.0, 200.0, depth);
        let middle = (x - island.x).abs().max((y - island.y).abs());
        let fat = deep
            * inner
            * step(0.02, 0.14, noise(0x53, 1300.0) + 0.3 * noise(0x54, 500.0))
            * step(300.0, 700.0, middle)
            * step(110.0, 200.0, below);
        let loose = deep * step(-0.05, 0.45, noise(0x55, 900.0)) * (1.0 - fat);
        let follicle = noise(0x56, 1500.0) + 0.25 * noise(0x57, 400.0);
        let lymph = step(0.52, 0.68, follicle) * inner * (1.0 - fat) * step(-900.0, -500.0, below);
        let surface = mucosa * (1.0 - step(68.0, 96.0, depth));
        Zones { depth, surface, mucosa, muscle, fat, loose, lymph }
    }
}

/// An island of about `radius` that keeps its distance to `others` and to the slide's edge; smaller if need be.
fn place(draws: &mut Draws, others: &[Island], mut radius: f32, (width, height): (f32, f32)) -> Island {
    let shape = draws.between(1.05, 1.35);
    let mut position = (width / 2.0, height / 2.0);
    if !others.is_empty() {
        position = loop {
            if let Some(free) = roomiest(draws, others, radius * shape.sqrt(), (width, height)) {
                break free;
            }
            radius *= 0.95;
        };
    }
    let axes = (radius * shape.sqrt(), radius / shape.sqrt());
    let wide = others.is_empty() && width > height;
    let along = if wide { normalised(1.0, 0.3 * draws.signed()) } else { draws.direction() };
    Island {
        x: position.0,
        y: position.1,
        axes,
        along,
        bend: draws.between(-0.35, 0.35),
        luminal: draws.direction(),
        mucosa: if axes.1 < SMALL_ISLAND { 2.0 * axes.1 } else { (0.72 * axes.1).min(1500.0) },
    }
}

/// The place, of some tried at random, where an island with this half axis is farthest from all others, if there
/// is one where it does not touch them.
fn roomiest(
    draws: &mut Draws,
    others: &[Island],
    half: f32,
    (width, height): (f32, f32),
) -> Option<(f32, f32)> {
    const TRIES: usize = 40;
    let margin = (1.15 * half + 0.03 * width.min(height)).min(width / 2.0).min(height / 2.0);
    let mut best = (0.0, None);
    for _ in 0..TRIES {
        let at = (draws.between(margin, width - margin), draws.between(margin, height - margin));
        let clear = |other: &Island| {
            let (dx, dy) = (at.0 - other.x, at.1 - other.y);
            (dx * dx + dy * dy).sqrt() - 1.12 * (half + other.axes.0)
        };
        let clearance = others.iter().map(clear).fold(f32::MAX, f32::min);
        if clearance > best.0 {
            best = (clearance, Some(at));
        }
    }
    best.1
}

impl Island {
    fn depth(&self, seed: u32, x: f32, y: f32) -> f32 {
        let (dx, dy) = (x - self.x, y - self.y);
        let (long, short) = self.axes;
        if dx.abs().max(dy.abs()) > 1.9 * long + 300.0 {
            return FAR;
        }
        let noise = |salt: u32, pixels: f32| gradient(seed ^ salt, x / pixels, y / pixels);
        let along = dx * self.along.0 + dy * self.along.1 + 0.16 * short * noise(0x31, 0.8 * short);
        let across = dy * self.along.0 - dx * self.along.1 + 0.2 * short * noise(0x32, 0.9 * short);
        let (u, v) = (along / long, across / short);
        let v = v + self.bend * (u * u - 0.3);
        let ragged = 0.1 * short * noise(0x33, 0.33 * short)
            + (0.03 * short).min(40.0) * noise(0x34, (0.12 * short).min(230.0))
            + (0.008 * short).min(9.0) * noise(0x35, (0.04 * short).min(64.0));
        short * (1.0 - (u * u + v * v).sqrt()) + ragged
    }
}
