//! How good tiles are that we quantise, measured on a sample of them while they are made.
//!
//! Luma PSNR, and SSIMULACRA2 (J. Sneyers, Cloudinary), which takes some hundred times as long and has a smaller sample.
//! Not here: quality of a whole slide at several settings, which `microtome bench rd` measures.

use fast_ssim2::{PixelDescriptor, PixelSlice, Ssimulacra2Reference};
use microtome_codec::Rgb;
use microtome_container::geometry::TileId;
use microtome_slide::metadata::{Quality, Scores};

/// One tile in so many is measured, in a lattice that meets every row and column.
const SAMPLE: u32 = 16;
/// One tile in so many is compared by SSIMULACRA2 too.
const SCORED: u32 = 64;

/// Pixels a side below which SSIMULACRA2, which looks at six scales, says nothing.
const SMALLEST_SCORED: u32 = 64;

/// A measured tile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Measured {
    pub(crate) level: u8,
    /// Luma PSNR in dB, 99 for no error at all.
    psnr_y: f64,
    ssimulacra2: Option<f64>,
}

fn place(tile: TileId) -> u32 {
    tile.column.wrapping_add(tile.row.wrapping_mul(7))
}

/// Whether a tile is one of those that are measured.
pub(crate) fn is_sampled(tile: TileId) -> bool {
    place(tile).is_multiple_of(SAMPLE)
}

impl Measured {
    /// Compares the pixels of a tile with what is decoded of it.
    pub(crate) fn of(tile: TileId, pixels: &Rgb, again: &Rgb) -> Self {
        let is_scored =
            place(tile).is_multiple_of(SCORED) && pixels.width().min(pixels.height()) >= SMALLEST_SCORED;
        let ssimulacra2 = is_scored.then(|| ssimulacra2(pixels, again)).flatten();
        Self { level: tile.level, psnr_y: psnr_y(pixels, again), ssimulacra2 }
    }
}

/// Luma PSNR in dB of two images of one size; 99 where they are the same. Luma after BT.601 with 8-bit weights.
fn psnr_y(a: &Rgb, b: &Rgb) -> f64 {
    let luma = |p: &[u8]| (77 * i32::from(p[0]) + 150 * i32::from(p[1]) + 29 * i32::from(p[2]) + 128) >> 8;
    let squares: i64 = a
        .data()
        .chunks_exact(3)
        .zip(b.data().chunks_exact(3))
        .map(|(a, b)| i64::from(luma(a) - luma(b)).pow(2))
        .sum();
    if squares == 0 {
        return 99.0;
    }
    let mean = squares as f64 / (a.data().len() / 3) as f64;
    (10.0 * (255.0 * 255.0 / mean).log10()).min(99.0)
}

/// SSIMULACRA2 of two images of one size; `None` if they are too small for it.
fn ssimulacra2(original: &Rgb, picture: &Rgb) -> Option<f64> {
    let slice = |rgb: &Rgb| Ssimulacra2Reference::new(&pixels(rgb)?).ok();
    slice(original)?.compare(&pixels(picture)?).ok()
}

fn pixels(rgb: &Rgb) -> Option<PixelSlice<'_>> {
    let (width, height) = (rgb.width(), rgb.height());
    PixelSlice::new(rgb.data(), width, height, 3 * width as usize, PixelDescriptor::RGB8_SRGB).ok()
}

/// What the measured tiles of some levels come to; `None` without any.
pub(crate) fn summarise<'a>(measured: impl Iterator<Item = &'a Measured> + Clone) -> Option<Quality> {
    // Two decimals, or one: the last bits of a float may differ between machines, and the file must not.
    let psnr = Percentiles::new(measured.clone().map(|m| m.psnr_y), 100.0)?;
    let scores = Percentiles::new(measured.filter_map(|m| m.ssimulacra2), 10.0);
    Some(Quality {
        tiles: psnr.count(),
        psnr_y_worst: psnr.at(0.0),
        psnr_y_p01: psnr.at(0.001),
        psnr_y_p1: psnr.at(0.01),
        psnr_y_median: psnr.at(0.5),
        ssimulacra2: scores.map(|scores| Scores {
            tiles: scores.count(),
            worst: scores.at(0.0),
            p01: scores.at(0.001),
            p1: scores.at(0.01),
            median: scores.at(0.5),
        }),
    })
}

/// Sorted values, of which there is at least one, and how many parts of 1 they are rounded to.
struct Percentiles(Vec<f64>, f64);

impl Percentiles {
    fn new(values: impl Iterator<Item = f64>, parts: f64) -> Option<Self> {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then_some(Self(values, parts))
    }

    fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// The value that this share of all, less than 1, lies below.
    fn at(&self, share: f64) -> f64 {
        let Self(values, parts) = self;
        (values[(values.len() as f64 * share) as usize] * parts).round() / parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn psnr_of_one_grey_step_is_48_db() {
        let (a, b) = (Rgb::filled(8, 8, [100; 3]), Rgb::filled(8, 8, [101; 3]));
        assert!((psnr_y(&a, &b) - 48.13).abs() < 0.01);
        assert_eq!(psnr_y(&a, &a), 99.0);
    }

    #[test]
    fn identical_pictures_score_100_and_others_less() {
        for side in [1, 7, 64] {
            let (grey, darker) = (Rgb::filled(side, side, [128; 3]), Rgb::filled(side, side, [60; 3]));
            assert!(ssimulacra2(&grey, &grey).is_none_or(|score| (score - 100.0).abs() < 1e-6));
            assert!(ssimulacra2(&grey, &darker).is_none_or(|score| score < 90.0), "{side}");
        }
        let grey = Rgb::filled(256, 256, [128; 3]);
        assert!(ssimulacra2(&grey, &grey).is_some());
    }

    #[test]
    fn percentiles_are_of_those_that_were_measured() {
        let measured =
            |i: u32| Measured { level: 0, psnr_y: f64::from(i), ssimulacra2: (i < 10).then_some(80.04) };
        let all: Vec<_> = (0..2000).rev().map(measured).collect();
        let quality = summarise(all.iter()).expect("some");
        let psnr = (quality.psnr_y_worst, quality.psnr_y_p01, quality.psnr_y_p1, quality.psnr_y_median);
        assert_eq!((quality.tiles, psnr), (2000, (0.0, 2.0, 20.0, 1000.0)));
        assert_eq!(quality.ssimulacra2.map(|s| (s.tiles, s.worst, s.median)), Some((10, 80.0, 80.0)));
        assert_eq!(summarise([].iter()), None);
    }
}
