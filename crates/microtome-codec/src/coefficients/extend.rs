//! A larger picture with the same coefficients: for formats that want edge tiles of full size.
//!
//! The blocks that are there stay as they are; those beyond have the mean of the nearest one and nothing else. Not
//! here: the other way, which is [`crate::turbo::crop`].

use super::{Parser, Plane, Tile, Writer};
use crate::Error;

/// The complete stream `stream` as one of `width` x `height` pixels, not smaller than it, without decoding a pixel.
/// What is beyond the picture repeats the means of its edge. The coefficients that were there are the same; so are the
/// pixels, but for the last columns and rows where chroma is subsampled, since a decoder interpolates it across
/// what was the edge.
///
/// # Errors
/// [`Error::InvalidArgument`] if the stream is larger than asked, or its Huffman tables have no code for what is added;
/// what [`Parser::parse`] and [`super::Template::planes_for`] refuse: progressive streams, for example.
pub fn extended(stream: &[u8], width: u32, height: u32) -> Result<Vec<u8>, Error> {
    let (mut small, mut large) = (Tile::new(), Tile::new());
    let template = Parser::new().parse(stream, &mut small)?;
    if small.width > width || small.height > height {
        return Err(Error::InvalidArgument("a picture is extended to a size that holds it"));
    }
    template.planes_for(width, height, &mut large)?;
    for (from, to) in small.planes.iter().zip(&mut large.planes) {
        extend(from, to);
    }
    let mut out = Vec::with_capacity(stream.len() + stream.len() / 4);
    Writer::new().write(&template, &large, &mut out)?;
    Ok(out)
}

/// Fills a plane from a smaller one of the same component.
fn extend(from: &Plane, to: &mut Plane) {
    for (i, block) in to.coefficients.as_chunks_mut::<64>().0.iter_mut().enumerate() {
        let (column, row) = (i % to.width, i / to.width);
        let nearest = row.min(from.height - 1) * from.width + column.min(from.width - 1);
        let source = &from.coefficients[64 * nearest..][..64];
        if column < from.width && row < from.height {
            block.copy_from_slice(source);
        } else {
            block[0] = source[0];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rgb;
    use crate::jpeg::{self, Colour};
    use crate::turbo::{self, Subsampling};
    use proptest::prelude::*;

    fn picture(width: u32, height: u32) -> Rgb {
        let pixel = |i: u32| {
            let (x, y) = (i % width, i / width);
            [(x * 5 + y) as u8, (y * 3) as u8, (x ^ y) as u8]
        };
        Rgb::from_vec(width, height, (0..width * height).flat_map(pixel).collect()).expect("sizes match")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn every_coefficient_stays(
            w in 1_u32..60, h in 1_u32..60, more in 0_u32..40, lower in 0_u32..40, chroma in 0..3, rgb in any::<bool>(),
        ) {
            let chroma = [Subsampling::Chroma420, Subsampling::Chroma444, Subsampling::Chroma422][chroma as usize];
            let mut jpeg = turbo::encode(&picture(w, h), 85, chroma).expect("encodes");
            if rgb {
                jpeg = jpeg::complete(&[], Colour::Rgb, &jpeg).expect("relabels");
            }
            let (width, height) = (w + more, h + lower);
            let large = extended(&jpeg, width, height).expect("extends");
            let header = jpeg::inspect(&large).expect("valid");
            prop_assert_eq!((header.width, header.height), (width, height));
            prop_assert_eq!(header.assumed_colour(), jpeg::inspect(&jpeg).expect("valid").assumed_colour());

            let (mut before, mut after) = (Tile::new(), Tile::new());
            let old = Parser::new().parse(&jpeg, &mut before).expect("parses");
            let new = Parser::new().parse(&large, &mut after).expect("parses");
            prop_assert_eq!(old, new);
            for (before, after) in before.planes.iter().zip(&after.planes) {
                for row in 0..before.height {
                    let length = 64 * before.width;
                    prop_assert_eq!(
                        &before.coefficients[row * length..][..length],
                        &after.coefficients[64 * row * after.width..][..length]
                    );
                }
            }
            let (small, pixels) = (turbo::decode(&jpeg, 1 << 20), turbo::decode(&large, 1 << 20));
            let (small, pixels) = (small.expect("decodes"), pixels.expect("decodes"));
            // As for a crop: chroma is interpolated over the edge, and one or two columns are not interpolated at all.
            let (w, h) = match chroma {
                Subsampling::Chroma444 => (w, h),
                _ if w > 4 => (w - 2, h.saturating_sub(2)),
                _ => (0, 0),
            };
            if w > 0 && h > 0 {
                prop_assert_eq!(pixels.crop(0, 0, w, h), small.crop(0, 0, w, h));
            }
        }
    }

    #[test]
    fn what_lies_beyond_has_the_colour_of_the_edge() {
        let jpeg =
            turbo::encode(&Rgb::filled(16, 16, [200, 90, 160]), 95, Subsampling::Chroma420).expect("encodes");
        let large = extended(&jpeg, 64, 48).expect("extends");
        let (small, pixels) = (turbo::decode(&jpeg, 1 << 20), turbo::decode(&large, 1 << 20));
        assert_eq!(pixels.expect("decodes").uniform(), small.expect("decodes").uniform());
    }

    #[test]
    fn a_smaller_size_is_refused() {
        let jpeg = turbo::encode(&picture(40, 40), 80, Subsampling::Chroma420).expect("encodes");
        assert!(matches!(extended(&jpeg, 39, 40), Err(Error::InvalidArgument(_))));
        assert!(extended(&jpeg[..jpeg.len() / 2], 64, 64).is_err());
    }
}
