//! What libjpeg-turbo makes of the same tiles in other ways than [`microtome_codec::turbo`]: with the standard's
//! Huffman tables, and with tables optimised for a stream that was written without.

use microtome_codec::Rgb;
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp, Transform, Transformer};

use crate::failure::Failure;

/// A tile as [`microtome_codec::turbo::encode`] makes it in 4:2:0, but for the Huffman tables: those of the standard.
pub(super) fn encode(tile: &Rgb, quality: u8) -> Result<Vec<u8>, Failure> {
    let encode = || {
        let mut compressor = Compressor::new()?;
        compressor.set_quality(i32::from(quality))?;
        compressor.set_subsamp(Subsamp::Sub2x2)?;
        compressor.compress_to_vec(Image {
            pixels: tile.data(),
            width: tile.width() as usize,
            pitch: 3 * tile.width() as usize,
            height: tile.height() as usize,
            format: PixelFormat::RGB,
        })
    };
    encode().map_err(|error: turbojpeg::Error| Failure::Failed(format!("libjpeg-turbo: {error}")))
}

/// The stream with optimised Huffman tables and the same coefficients; itself if libjpeg cannot take it.
pub(super) fn optimised(jpeg: Vec<u8>) -> Vec<u8> {
    rewritten(&jpeg, true).unwrap_or(jpeg)
}

/// Bytes of the stream with the standard's Huffman tables and the same coefficients; its own if libjpeg cannot take it.
pub(super) fn length_with_standard_tables(jpeg: &[u8]) -> usize {
    rewritten(jpeg, false).map_or(jpeg.len(), |rewritten| rewritten.len())
}

fn rewritten(jpeg: &[u8], optimize: bool) -> Option<Vec<u8>> {
    let mut transform = Transform::default();
    transform.optimize = optimize;
    Transformer::new().and_then(|mut t| t.transform_to_vec(&transform, jpeg)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use microtome_codec::turbo::{self, Subsampling};

    #[test]
    fn optimising_standard_tables_gives_the_baseline() {
        let data =
            (0..150 * 90_u32).flat_map(|i| [(i % 251) as u8, (i / 90) as u8, (i * i % 61) as u8]).collect();
        let pixels = Rgb::from_vec(150, 90, data).expect("sizes match");
        let standard = encode(&pixels, 80).expect("encodes");
        let baseline = turbo::encode(&pixels, 80, Subsampling::Chroma420).expect("encodes");
        assert!(standard.len() > baseline.len());
        assert_eq!(length_with_standard_tables(&baseline), standard.len());
        assert_eq!(optimised(standard), baseline);
        assert_eq!(length_with_standard_tables(b"not a JPEG"), 10);
        assert_eq!(optimised(b"not a JPEG".to_vec()), b"not a JPEG");
    }
}
