//! How far a picture is from the original: PSNR of luma, and SSIMULACRA2.

use fast_ssim2::{PixelDescriptor, PixelSlice, Ssimulacra2Error, Ssimulacra2Reference};
use microtome_codec::Rgb;

use crate::failure::Failure;

/// What identical pictures get, so that no figure is infinite.
const MAX_PSNR: f64 = 99.0;

/// PSNR of BT.601 luma in dB, over all pixels.
///
/// # Panics
/// If the pictures differ in size.
pub(super) fn psnr_y(original: &Rgb, picture: &Rgb) -> f64 {
    assert_eq!((original.width(), original.height()), (picture.width(), picture.height()));
    let pairs = original.data().as_chunks::<3>().0.iter().zip(picture.data().as_chunks::<3>().0);
    let squares: f64 = pairs
        .map(|(a, b)| {
            let [r, g, b] = [0, 1, 2].map(|c| f64::from(a[c]) - f64::from(b[c]));
            (0.299 * r + 0.587 * g + 0.114 * b).powi(2)
        })
        .sum();
    let mean = squares / (f64::from(original.width()) * f64::from(original.height()));
    if mean > 0.0 { (10.0 * (255.0 * 255.0 / mean).log10()).min(MAX_PSNR) } else { MAX_PSNR }
}

/// An original that pictures are compared with by SSIMULACRA2: 100 is identical, 90 hardly to be told apart.
pub(super) struct Ssimulacra2(Ssimulacra2Reference);

impl Ssimulacra2 {
    pub(super) fn new(original: &Rgb) -> Result<Self, Failure> {
        slice(original).and_then(|pixels| Ssimulacra2Reference::new(&pixels)).map(Self).map_err(failed)
    }

    pub(super) fn compare(&self, picture: &Rgb) -> Result<f64, Failure> {
        slice(picture).and_then(|pixels| self.0.compare(&pixels)).map_err(failed)
    }
}

fn slice(picture: &Rgb) -> Result<PixelSlice<'_>, Ssimulacra2Error> {
    let (width, height) = (picture.width(), picture.height());
    PixelSlice::new(picture.data(), width, height, 3 * width as usize, PixelDescriptor::RGB8_SRGB)
        .map_err(|_refused| Ssimulacra2Error::InvalidImageSize)
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn failed(error: Ssimulacra2Error) -> Failure {
    Failure::Failed(format!("SSIMULACRA2: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn psnr_weighs_the_channels_as_luma_does() {
        let grey = Rgb::filled(40, 30, [128; 3]);
        assert_eq!(psnr_y(&grey, &grey), MAX_PSNR);
        // Off by 10 everywhere: 20 log10(25.5).
        assert!((psnr_y(&grey, &Rgb::filled(40, 30, [138; 3])) - 28.130_803).abs() < 1e-6);
        // The same in blue alone counts 0.114 of it.
        let blue = psnr_y(&grey, &Rgb::filled(40, 30, [128, 128, 138]));
        assert!((blue - (28.130_803 - 20.0 * 0.114_f64.log10())).abs() < 1e-6);
    }

    #[test]
    fn ssimulacra2_of_the_original_is_100() {
        let grey = Rgb::filled(40, 30, [128; 3]);
        let reference = Ssimulacra2::new(&grey).expect("compares");
        assert!((reference.compare(&grey).expect("compares") - 100.0).abs() < 1e-9);
        assert!(reference.compare(&Rgb::filled(41, 30, [128; 3])).is_err());
    }
}
