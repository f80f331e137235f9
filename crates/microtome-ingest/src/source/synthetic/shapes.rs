//! Two things to draw with: soft ellipses (nuclei, goblets, blood cells) and closed shapes given by their
//! radius in every direction (crypts, vessels, fat cells).

use super::noise::{TEXTURE_SIDE, Texture, gradient, texel};
use super::{BLOCK, Block};

/// Directions for which a [`Shape`] knows its radius.
const ANGLES: usize = 64;
/// Steps of a [`Profile`] per radius.
const PROFILE_STEPS: f32 = 200.0;
/// Entries of a [`Profile`]: up to 1.275 radii.
const PROFILE_LENGTH: usize = 255;

/// A soft-edged ellipse, painted over what is there.
#[derive(Clone, Copy)]
pub(super) struct Blob {
    /// Centre in pixels of the slide.
    pub(super) x: f32,
    pub(super) y: f32,
    /// Half axes in pixels, and the direction of the first.
    pub(super) axes: (f32, f32),
    pub(super) along: (f32, f32),
    /// Hematoxylin and eosin in optical density.
    pub(super) haematoxylin: f32,
    pub(super) eosin: f32,
    /// How much darker the rim is than the middle, of the whole.
    pub(super) rim: f32,
    /// Amplitude of the chromatin's texture, of the whole.
    pub(super) clump: f32,
    /// Raggedness of the outline.
    pub(super) ragged: f32,
    /// Width of the edge in pixels.
    pub(super) soft: f32,
    /// 0..1.
    pub(super) opacity: f32,
}

impl Blob {
    /// Paints the part that lies in `block`.
    pub(super) fn paint(&self, block: &mut Block, grain: &Texture) {
        let (x, y) = (self.x - block.x as f32, self.y - block.y as f32);
        let ((a, b), (c, s)) = (self.axes, self.along);
        let (per_a, per_b) = (1.0 / a, 1.0 / b);
        let grow = 1.0 + self.ragged + self.soft / b;
        let reach_x = grow * (a * a * c * c + b * b * s * s).sqrt() + 1.0;
        let reach_y = grow * (a * a * s * s + b * b * c * c).sqrt() + 1.0;
        let (left, right) = span(x, reach_x);
        let (top, bottom) = span(y, reach_y);
        if left >= right {
            return;
        }
        let hardness = b / (2.0 * self.soft);
        let (texture_row, texture_column) =
            (self.x as usize * 7, self.y as usize * 5 % (TEXTURE_SIDE - BLOCK));
        for row in top..bottom {
            let dy = row as f32 + 0.5 - y;
            let texels = grain.run(texture_row + row, texture_column + left, right - left);
            let (start, end) = (row * BLOCK + left, row * BLOCK + right);
            let haematoxylin = &mut block.haematoxylin[start..end];
            let eosin = &mut block.eosin[start..end];
            for (i, ((h, e), &stored)) in haematoxylin.iter_mut().zip(eosin).zip(texels).enumerate() {
                let dx = (left + i) as f32 + 0.5 - x;
                let (u, v) = ((dx * c + dy * s) * per_a, (dy * c - dx * s) * per_b);
                let noise = texel(stored);
                let q = u * u + v * v;
                let cover = ((1.0 + self.ragged * noise - q) * hardness + 0.5).clamp(0.0, 1.0) * self.opacity;
                let shade = 1.0 + self.clump * noise + self.rim * (q * q).min(1.2);
                *h += cover * (self.haematoxylin * shade - *h);
                *e += cover * (self.eosin * shade - *e);
            }
        }
    }
}

/// The pixels of a block's side that `centre` ± `reach` covers.
fn span(centre: f32, reach: f32) -> (usize, usize) {
    let side = BLOCK as f32;
    ((centre - reach).clamp(0.0, side) as usize, (centre + reach + 1.0).clamp(0.0, side) as usize)
}

/// Unit vectors all the way round, the first along x.
fn directions() -> impl Iterator<Item = (f32, f32)> {
    // Cosine and sine of 2 pi / 64.
    const TURN: (f64, f64) = (0.995_184_726_672_196_9, 0.098_017_140_329_560_6);
    let mut at = (1.0_f64, 0.0_f64);
    (0..ANGLES).map(move |_| {
        let now = (at.0 as f32, at.1 as f32);
        at = (at.0 * TURN.0 - at.1 * TURN.1, at.0 * TURN.1 + at.1 * TURN.0);
        now
    })
}

/// Direction of a vector in turns, 0..1, to a thousandth (a rational approximation of the arc tangent).
#[inline]
fn turns(dx: f32, dy: f32) -> f32 {
    let (ax, ay) = (dx.abs(), dy.abs());
    let ratio = ax.min(ay) / (ax.max(ay) + 1e-6);
    let octant = ratio * (0.125 + 0.043_45 * (1.0 - ratio));
    let quadrant = if ay > ax { 0.25 - octant } else { octant };
    let half = if dx < 0.0 { 0.5 - quadrant } else { quadrant };
    if dy < 0.0 { 1.0 - half } else { half }
}

/// A closed outline around a centre, seen from which every direction meets it once.
pub(super) struct Shape {
    pub(super) x: f32,
    pub(super) y: f32,
    /// Longest radius in pixels.
    pub(super) reach: f32,
    /// One over the radius in each direction, the first again at the end.
    inverse: [f32; ANGLES + 1],
}

/// What outline a [`Shape`] has.
pub(super) struct Outline {
    pub(super) x: f32,
    pub(super) y: f32,
    /// Half axes in pixels, and the direction of the first.
    pub(super) axes: (f32, f32),
    pub(super) along: (f32, f32),
    /// Amplitude of the waviness, of the radius.
    pub(super) wavy: f32,
    pub(super) seed: u32,
}

impl Shape {
    /// The ellipse of `outline`, made wavy, and flattened where `walls` (vectors from the centre to the foot
    /// of a straight wall) stand in its way.
    pub(super) fn new(outline: &Outline, walls: &[(f32, f32)]) -> Self {
        let mut inverses = [0.0; ANGLES + 1];
        let (a, b) = outline.axes;
        let (ac, as_) = outline.along;
        for (slot, (c, s)) in inverses.iter_mut().zip(directions()) {
            let (u, v) = ((c * ac + s * as_) / a, (s * ac - c * as_) / b);
            let wave = 1.0 + outline.wavy * gradient(outline.seed, 1.6 * c + 7.3, 1.6 * s + 2.9);
            // Inverse radii in the 8-norm: corners between walls come out round.
            let mut inverse = eighth((u * u + v * v).sqrt() / wave);
            for &(wx, wy) in walls {
                let toward = c * wx + s * wy;
                if toward > 0.0 {
                    inverse += eighth(toward / (wx * wx + wy * wy));
                }
            }
            *slot = inverse.sqrt().sqrt().sqrt();
        }
        inverses[ANGLES] = inverses[0];
        let reach = 1.0 / inverses.iter().fold(f32::MAX, |least: f32, &inverse| least.min(inverse));
        Self { x: outline.x, y: outline.y, reach, inverse: inverses }
    }

    /// One over the radius in a direction (in turns).
    #[inline]
    fn inverse_at(&self, turn: f32) -> f32 {
        let place = turn * ANGLES as f32;
        let index = (place as i32 as usize).min(ANGLES - 1);
        self.inverse[index] + (place - index as f32) * (self.inverse[index + 1] - self.inverse[index])
    }

    /// Distance of a place from the centre in radii.
    pub(super) fn relative(&self, x: f32, y: f32) -> f32 {
        let (dx, dy) = (x - self.x, y - self.y);
        let distance = (dx * dx + dy * dy).sqrt();
        if distance > 2.0 * self.reach { 2.0 } else { distance * self.inverse_at(turns(dx, dy)) }
    }

    /// The unit vector at `turn` (0..1), and the radius there.
    pub(super) fn ray(&self, table: &[(f32, f32)], turn: f32) -> ((f32, f32), f32) {
        let place = turn * ANGLES as f32;
        let index = place as usize % ANGLES;
        let (from, to, t) = (table[index], table[(index + 1) % ANGLES], place - (place as usize) as f32);
        ((from.0 + t * (to.0 - from.0), from.1 + t * (to.1 - from.1)), 1.0 / self.inverse_at(turn))
    }

    /// Circumference in pixels, about.
    pub(super) fn girth(&self) -> f32 {
        let sum: f32 = self.inverse[..ANGLES].iter().map(|inverse| 1.0 / inverse).sum();
        sum * (2.0 * std::f32::consts::PI / ANGLES as f32)
    }

    /// Paints `profile` from the centre outwards into `block`.
    pub(super) fn paint(&self, block: &mut Block, profile: &Profile, fibres: &Texture) {
        let (x, y) = (self.x - block.x as f32, self.y - block.y as f32);
        let reach = profile.reach * self.reach;
        let (top, bottom) = span(y, reach);
        let (mut turn, mut distance) = ([0.0; BLOCK], [0.0; BLOCK]);
        for row in top..bottom {
            let dy = row as f32 + 0.5 - y;
            let half = (reach * reach - dy * dy).max(0.0).sqrt();
            let (left, right) = span(x, half);
            let (turn, distance) = (&mut turn[left..right], &mut distance[left..right]);
            // In a loop of its own, which becomes vector instructions.
            for (i, (turn, distance)) in turn.iter_mut().zip(distance.iter_mut()).enumerate() {
                let dx = (left + i) as f32 + 0.5 - x;
                *turn = turns(dx, dy);
                *distance = (dx * dx + dy * dy).sqrt();
            }
            let haematoxylin = &mut block.haematoxylin[row * BLOCK + left..];
            let eosin = &mut block.eosin[row * BLOCK + left..];
            let polar = turn.iter().zip(distance.iter());
            for ((&turn, &distance), (h, e)) in polar.zip(haematoxylin.iter_mut().zip(eosin)) {
                self.paint_pixel((turn, distance), profile, fibres, (h, e));
            }
        }
    }

    #[inline]
    fn paint_pixel(
        &self,
        (turn, distance): (f32, f32),
        profile: &Profile,
        fibres: &Texture,
        (h, e): (&mut f32, &mut f32),
    ) {
        let index = (distance * self.inverse_at(turn) * PROFILE_STEPS) as i32 as usize;
        let Some(layer) = profile.layers.get(index).filter(|layer| layer.cover > 0.0) else {
            return;
        };
        let (mut haematoxylin, mut eosin) = (layer.haematoxylin, layer.eosin);
        if layer.streak > 0.0 {
            let texture =
                1.0 + layer.streak * fibres.at(turn * profile.streaks + profile.phase, distance * 0.7);
            let cell = turn * profile.cells;
            let border = ((cell - (cell as i32) as f32 - 0.5).abs() * 10.0 - 4.0).max(0.0) * layer.border;
            haematoxylin = haematoxylin * texture + 0.5 * border;
            eosin = eosin * texture + border;
        }
        *h += layer.cover * (haematoxylin - *h);
        *e += layer.cover * (eosin - *e);
    }
}

fn eighth(value: f32) -> f32 {
    let square = value * value;
    let fourth = square * square;
    fourth * fourth
}

/// Unit vectors for [`Shape::ray`].
pub(super) fn direction_table() -> Vec<(f32, f32)> {
    directions().collect()
}

/// What a [`Shape`] is made of at one distance from its centre.
#[derive(Clone, Copy, Default)]
pub(super) struct Layer {
    /// Opacity, 0..1.
    pub(super) cover: f32,
    /// Hematoxylin and eosin in optical density.
    pub(super) haematoxylin: f32,
    pub(super) eosin: f32,
    /// Amplitude of the radial streaks, of the whole.
    pub(super) streak: f32,
    /// Eosin of the borders between cells.
    pub(super) border: f32,
}

/// The layers of a [`Shape`] from its centre outwards.
pub(super) struct Profile {
    layers: [Layer; PROFILE_LENGTH],
    /// Cells around the circumference.
    cells: f32,
    /// Texture rows around the circumference, and the first.
    streaks: f32,
    phase: f32,
    /// Where the last layer ends, in radii.
    reach: f32,
}

impl Profile {
    /// Evaluates `layer` at every distance (in radii).
    pub(super) fn new(cells: f32, streaks: f32, phase: f32, layer: impl Fn(f32) -> Layer) -> Self {
        let mut layers = [Layer::default(); PROFILE_LENGTH];
        for (i, slot) in layers.iter_mut().enumerate() {
            *slot = layer(i as f32 / PROFILE_STEPS);
        }
        let last = layers.iter().rposition(|layer| layer.cover > 0.0).unwrap_or(0);
        Self { layers, cells, streaks, phase, reach: (last + 1) as f32 / PROFILE_STEPS }
    }
}
