//! From stain densities to pixels: Beer-Lambert absorption, and the scanner's noise.

use super::noise::{Draws, TEXTURE_SIDE, Texture, round, texel};
use super::{BLOCK, Block, LATTICE};

/// Red, green and blue of empty glass: a bright, faintly warm white.
pub(super) const GLASS: [u8; 3] = [245, 244, 242];

/// Optical density of hematoxylin in red, green and blue, normalised (A. C. Ruifrok, D. A. Johnston,
/// "Quantification of histochemical staining by color deconvolution", Anal. Quant. Cytol. Histol. 23, 2001).
const HAEMATOXYLIN: [f32; 3] = [0.65, 0.70, 0.29];
/// Optical density of eosin, measured by the same method on slides with both stains: the mean of the vectors
/// "H&E" and "H&E 2" of G. Landini's Colour Deconvolution plugin for ImageJ, normalised. (The paper's own,
/// 0.07, 0.99, 0.11, is a magenta.)
const EOSIN: [f32; 3] = [0.07, 0.907, 0.415];

/// Entries of the absorption table per unit of optical density.
const STEPS_PER_DENSITY: f32 = 1024.0;
/// 10^(-1/1024).
const ABSORPTION_STEP: f64 = 0.997_753_907_993_253_3;
/// Entries of the absorption table: up to a density of 2.
const ABSORPTION_LENGTH: usize = 2048;
/// Deviation of the noise in grey levels, on glass and (in addition) at half transmission.
const NOISE_GLASS: f32 = 0.4;
const NOISE_TISSUE: f32 = 1.1;
/// The part of the noise that differs between the colours.
const NOISE_COLOUR: f32 = 0.6;

/// Look-up tables of the scanner.
pub(super) struct Scanner {
    /// Transmission by density, 0..1, and the deviation of the noise there.
    absorption: Box<[(f32, f32); ABSORPTION_LENGTH]>,
    noise: Texture,
}

impl Scanner {
    /// Fills the tables.
    pub(super) fn new(seed: u32) -> Self {
        let mut absorption = Box::new([(0.0, 0.0); ABSORPTION_LENGTH]);
        let mut transmission = 1.0_f64;
        for slot in absorption.iter_mut() {
            let t = transmission as f32;
            *slot = (t, NOISE_GLASS + NOISE_TISSUE * 4.0 * t * (1.0 - t));
            transmission *= ABSORPTION_STEP;
        }
        Self { absorption, noise: Texture::new(seed, 0, 0, 8) }
    }

    /// One row of `block` as RGB; `stain` is the strength of both stains, one for each lattice column.
    pub(super) fn row(&self, block: &Block, row: usize, stain: &[(f32, f32)], out: &mut [u8; 3 * BLOCK]) {
        let mut draws = Draws::new(0x7E57, block.x, block.y);
        let mut start = || (draws.unit() * (TEXTURE_SIDE - BLOCK) as f32) as usize;
        let grey = self.noise.run(start() + row, start(), BLOCK);
        let tint = self.noise.run(start() + row, start(), BLOCK);
        let strengths = stain.iter().enumerate();
        for ((i, &strength), pixels) in strengths.zip(out.chunks_exact_mut(3 * LATTICE)) {
            let start = row * BLOCK + i * LATTICE;
            let densities =
                (&block.haematoxylin[start..start + LATTICE], &block.eosin[start..start + LATTICE]);
            let noise = |from: &[i8]| std::array::from_fn(|k| texel(from[i * LATTICE + k]));
            self.expose(densities, strength, (noise(grey), noise(tint)), pixels);
        }
    }

    /// One lattice cell's width of pixels.
    fn expose(
        &self,
        (haematoxylin, eosin): (&[f32], &[f32]),
        strength: (f32, f32),
        (grey, tint): ([f32; LATTICE], [f32; LATTICE]),
        pixels: &mut [u8],
    ) {
        for c in 0..3 {
            let per_h = HAEMATOXYLIN[c] * strength.0 * STEPS_PER_DENSITY;
            let per_e = EOSIN[c] * strength.1 * STEPS_PER_DENSITY;
            let entry: [u32; LATTICE] = std::array::from_fn(|i| {
                let density = haematoxylin[i] * per_h + eosin[i] * per_e;
                round(density.clamp(0.0, (ABSORPTION_LENGTH - 1) as f32))
            });
            let seen: [(f32, f32); LATTICE] =
                std::array::from_fn(|i| self.absorption[entry[i] as usize % ABSORPTION_LENGTH]);
            let (white, colour) = (f32::from(GLASS[c]), NOISE_COLOUR * (1.0 - c as f32));
            let value: [u32; LATTICE] = std::array::from_fn(|i| {
                let (transmission, deviation) = seen[i];
                let noise = deviation * (grey[i] + colour * tint[i]);
                round((transmission * white + noise).clamp(0.0, 255.0))
            });
            for (pixel, value) in pixels.chunks_exact_mut(3).zip(value) {
                pixel[c] = value as u8;
            }
        }
    }
}
