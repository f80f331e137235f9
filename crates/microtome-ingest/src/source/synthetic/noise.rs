//! Hashes, gradient noise and noise textures, the same bits on every machine.
//!
//! Only integer hashing and the IEEE-exact operations (+ - * / sqrt) are used: the functions of a maths
//! library differ in their last bit from one platform to the next.

/// Side of a [`Texture`] in texels, a power of two.
pub(super) const TEXTURE_SIDE: usize = 512;

/// Texels of a unit of standard deviation: textures are stored as `i8`.
const TEXTURE_UNIT: f32 = 36.0;

/// A well-mixed 32-bit hash of a place in a plane (two rounds of C. Wellons' `lowbias32`).
pub(super) fn hash(seed: u32, x: i32, y: i32) -> u32 {
    let first = mix(seed ^ (x as u32).wrapping_mul(0x9E37_79B1));
    mix(first.wrapping_add((y as u32).wrapping_mul(0x85EB_CA77)))
}

fn mix(mut bits: u32) -> u32 {
    bits ^= bits >> 16;
    bits = bits.wrapping_mul(0x7FEB_352D);
    bits ^= bits >> 15;
    bits = bits.wrapping_mul(0x846C_A68B);
    bits ^ (bits >> 16)
}

/// A sequence of random draws that belongs to one place.
pub(super) struct Draws(u32);

impl Draws {
    /// The sequence of place (`x`, `y`).
    pub(super) fn new(seed: u32, x: i32, y: i32) -> Self {
        Self(hash(seed, x, y))
    }

    /// Uniform in 0..1.
    pub(super) fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9);
        (mix(self.0) >> 8) as f32 / (1 << 24) as f32
    }

    /// Uniform in -1..1.
    pub(super) fn signed(&mut self) -> f32 {
        2.0 * self.unit() - 1.0
    }

    /// Uniform between two bounds.
    pub(super) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// A unit vector.
    pub(super) fn direction(&mut self) -> (f32, f32) {
        normalised(self.signed(), self.signed())
    }
}

/// The unit vector along (`x`, `y`), or along x if there is none.
pub(super) fn normalised(x: f32, y: f32) -> (f32, f32) {
    let length = (x * x + y * y).sqrt();
    if length > 1e-6 { (x / length, y / length) } else { (1.0, 0.0) }
}

/// The largest integer not above `value` (`f32::floor` is a slow call on baseline x86-64).
pub(super) fn floor(value: f32) -> i32 {
    let truncated = value as i32;
    truncated - i32::from(truncated as f32 > value)
}

/// The low 22 bits of the nearest integer of a value below 2^22 either side of 0.
///
/// Adding 1.5 * 2^23 leaves them as the low bits of the mantissa: cheaper than a checked conversion.
#[inline]
pub(super) fn round(value: f32) -> u32 {
    (value + 12_582_912.0).to_bits() & 0x003F_FFFF
}

/// Cubic step from 0 at `low` to 1 at `high`.
pub(super) fn step(low: f32, high: f32, value: f32) -> f32 {
    let t = ((value - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Gradient noise (K. Perlin, "Improving noise", SIGGRAPH 2002), about -1..1, features of about one unit.
pub(super) fn gradient(seed: u32, x: f32, y: f32) -> f32 {
    const DIRECTIONS: [(f32, f32); 8] = [
        (1.0, 0.4),
        (0.4, 1.0),
        (-0.4, 1.0),
        (-1.0, 0.4),
        (-1.0, -0.4),
        (-0.4, -1.0),
        (0.4, -1.0),
        (1.0, -0.4),
    ];
    let (column, row) = (floor(x), floor(y));
    let (u, v) = (x - column as f32, y - row as f32);
    let corner = |i: i32, j: i32| {
        let (gx, gy) = DIRECTIONS[(hash(seed, column + i, row + j) >> 29) as usize];
        gx * (u - i as f32) + gy * (v - j as f32)
    };
    let fade = |t: f32| t * t * t * (t * (t * 6.0 - 15.0) + 10.0);
    let (fu, fv) = (fade(u), fade(v));
    let top = corner(0, 0) + fu * (corner(1, 0) - corner(0, 0));
    let bottom = corner(0, 1) + fu * (corner(1, 1) - corner(0, 1));
    1.4 * (top + fv * (bottom - top))
}

/// A tileable square of smooth noise with zero mean and unit deviation.
pub(super) struct Texture(Box<[i8; TEXTURE_SIDE * TEXTURE_SIDE]>);

impl Texture {
    /// Noise blurred `across` texels from row to row and `along` texels within a row, less the same noise
    /// blurred `times` as much, so that nothing coarser is left.
    pub(super) fn new(seed: u32, across: usize, along: usize, times: usize) -> Self {
        let mut fine: Vec<f32> =
            (0..TEXTURE_SIDE * TEXTURE_SIDE).map(|i| Draws::new(seed, i as i32, 0).signed()).collect();
        blur(&mut fine, across, along);
        let mut coarse = fine.clone();
        blur(&mut coarse, across.max(1) * times, along.max(1) * times);
        let mut power = 0.0;
        for (value, low) in fine.iter_mut().zip(&coarse) {
            *value -= low;
            power += f64::from(*value) * f64::from(*value);
        }
        let scale = TEXTURE_UNIT / (power / fine.len() as f64).sqrt() as f32;
        let mut texels = Box::new([0; TEXTURE_SIDE * TEXTURE_SIDE]);
        for (texel, value) in texels.iter_mut().zip(&fine) {
            *texel = (value * scale) as i8;
        }
        Self(texels)
    }

    /// The texel next to a place less than 4 million texels from the origin; wraps.
    #[inline]
    pub(super) fn at(&self, row: f32, column: f32) -> f32 {
        let wrap = |value: f32| round(value) as usize % TEXTURE_SIDE;
        let (row, column) = (wrap(row), wrap(column));
        f32::from(self.0[row * TEXTURE_SIDE + column]) * (1.0 / TEXTURE_UNIT)
    }

    /// `length` texels of a row (which wraps) from `column` on, in units of [`texel`].
    #[inline]
    pub(super) fn run(&self, row: usize, column: usize, length: usize) -> &[i8] {
        let start = (row % TEXTURE_SIDE) * TEXTURE_SIDE + column;
        &self.0[start..start + length]
    }
}

/// The value of a texel of [`Texture::run`].
#[inline]
pub(super) fn texel(stored: i8) -> f32 {
    f32::from(stored) * (1.0 / TEXTURE_UNIT)
}

/// Three box blurs each way, which is close to a Gaussian.
fn blur(plane: &mut Vec<f32>, across: usize, along: usize) {
    for radius in [along, across] {
        for line in plane.chunks_exact_mut(TEXTURE_SIDE) {
            for _ in 0..3 {
                box_blur(line, radius);
            }
        }
        *plane =
            (0..plane.len()).map(|i| plane[i % TEXTURE_SIDE * TEXTURE_SIDE + i / TEXTURE_SIDE]).collect();
    }
}

/// Means of `2 * radius + 1` values around each of a line that wraps.
fn box_blur(line: &mut [f32], radius: usize) {
    let side = line.len();
    let from: Vec<f32> =
        line.iter().cycle().skip(side - radius % side).take(side + 2 * radius + 1).copied().collect();
    let mut sum: f64 = from[..=2 * radius].iter().copied().map(f64::from).sum();
    let scale = 1.0 / (2 * radius + 1) as f64;
    for (i, value) in line.iter_mut().enumerate() {
        *value = (sum * scale) as f32;
        sum += f64::from(from[(i + 2 * radius + 1).min(from.len() - 1)]) - f64::from(from[i]);
    }
}
