//! Pixels to JPEG and back through libjpeg-turbo, one pooled handle per thread.
//!
//! Warnings of libjpeg count as errors: a stream that decodes only by guessing is damaged, and a guess is not a
//! slide. Not here: which quality to use, and what a stream means in a container.

use std::cell::RefCell;
use std::fmt;

use turbojpeg::{
    Compressor, Decompressor, Image, PixelFormat, Subsamp, Transform, TransformCrop, Transformer,
};

use crate::{Error, Rgb, jpeg};

/// Resolution of the two chroma planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subsampling {
    /// One chroma sample per 2 x 2 pixels.
    Chroma420,
    /// One chroma sample per pixel.
    Chroma444,
    /// One chroma sample per 2 pixels of a row.
    Chroma422,
}

impl fmt::Display for Subsampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chroma420 => "4:2:0",
            Self::Chroma444 => "4:4:4",
            Self::Chroma422 => "4:2:2",
        })
    }
}

/// One kind of libjpeg-turbo object of the calling thread, made when first needed.
type PerThread<T> = RefCell<Option<T>>;

thread_local! {
    static DECOMPRESSOR: PerThread<Decompressor> = const { RefCell::new(None) };
    static COMPRESSOR: PerThread<Compressor> = const { RefCell::new(None) };
    static TRANSFORMER: PerThread<Transformer> = const { RefCell::new(None) };
}

fn with<T, R>(
    slot: &PerThread<T>,
    make: impl FnOnce() -> turbojpeg::Result<T>,
    run: impl FnOnce(&mut T) -> turbojpeg::Result<R>,
) -> Result<R, Error> {
    let mut slot = slot.borrow_mut();
    let handle = match slot.take() {
        Some(handle) => slot.insert(handle),
        None => slot.insert(make().map_err(undecodable)?),
    };
    run(handle).map_err(undecodable)
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn undecodable(error: turbojpeg::Error) -> Error {
    Error::Undecodable(error.to_string())
}

/// Decodes a complete JPEG stream of at most `max_pixels` pixels.
///
/// # Errors
/// [`Error::Malformed`] or [`Error::Undecodable`] for damaged streams, also where libjpeg would only warn;
/// [`Error::Unsupported`] for streams that are not RGB, YCbCr or grey; [`Error::LimitExceeded`].
pub fn decode(stream: &[u8], max_pixels: u64) -> Result<Rgb, Error> {
    let header = jpeg::inspect(stream)?;
    header.check_displayable()?;
    jpeg::check_self_contained(stream)?;
    let (width, height) = (header.width, header.height);
    if u64::from(width) * u64::from(height) > max_pixels {
        return Err(Error::LimitExceeded { width, height, limit: max_pixels });
    }
    let mut image = Rgb::filled(width, height, [0; 3]);
    let output = Image {
        pixels: image.data_mut(),
        width: width as usize,
        pitch: 3 * width as usize,
        height: height as usize,
        format: PixelFormat::RGB,
    };
    let new = || {
        let mut decompressor = Decompressor::new()?;
        decompressor.set_scan_limit(jpeg::MAX_SCANS)?;
        Ok(decompressor)
    };
    DECOMPRESSOR.with(|slot| with(slot, new, |d| d.decompress(stream, output)))?;
    Ok(image)
}

/// Encodes pixels as a baseline JPEG (JFIF, YCbCr) with Huffman tables optimised for them.
///
/// `quality` is libjpeg's, 1 to 100.
///
/// # Errors
/// [`Error::InvalidArgument`] for a quality out of range or an image wider or higher than 65,500 px.
pub fn encode(image: &Rgb, quality: u8, subsampling: Subsampling) -> Result<Vec<u8>, Error> {
    compress(image, quality, subsamp(subsampling), true)
}

/// As [`encode`], with the Huffman tables of the standard, or luma alone if no subsampling is said: some percent larger, in
/// half the time.
///
/// # Errors
/// As [`encode`].
pub fn encode_at_once(image: &Rgb, quality: u8, subsampling: Option<Subsampling>) -> Result<Vec<u8>, Error> {
    compress(image, quality, subsampling.map_or(Subsamp::Gray, subsamp), false)
}

fn subsamp(subsampling: Subsampling) -> Subsamp {
    match subsampling {
        Subsampling::Chroma420 => Subsamp::Sub2x2,
        Subsampling::Chroma444 => Subsamp::None,
        Subsampling::Chroma422 => Subsamp::Sub2x1,
    }
}

fn compress(image: &Rgb, quality: u8, subsamp: Subsamp, optimize: bool) -> Result<Vec<u8>, Error> {
    if !(1..=100).contains(&quality) {
        return Err(Error::InvalidArgument("JPEG quality is 1 to 100"));
    }
    if image.width() > 65_500 || image.height() > 65_500 {
        return Err(Error::InvalidArgument("a JPEG side is at most 65,500 px"));
    }
    let input = Image {
        pixels: image.data(),
        width: image.width() as usize,
        pitch: 3 * image.width() as usize,
        height: image.height() as usize,
        format: PixelFormat::RGB,
    };
    let run = |c: &mut Compressor| {
        c.set_quality(i32::from(quality))?;
        c.set_subsamp(subsamp)?;
        c.set_optimize(optimize)?;
        c.compress_to_vec(input)
    };
    COMPRESSOR.with(|slot| with(slot, Compressor::new, run))
}

/// The top left `width` x `height` pixels of a complete stream of at most `max_pixels` pixels, without decoding a
/// coefficient: blocks beyond the new edge are dropped and the frame header is rewritten. The coefficients that stay are
/// the same; so are the pixels, but for the last columns and rows where chroma is subsampled, since a decoder
/// interpolates it across what is now the edge.
///
/// # Errors
/// [`Error::Malformed`] or [`Error::Undecodable`] for damaged streams, [`Error::InvalidArgument`] if the stream is
/// smaller than asked, [`Error::LimitExceeded`]: libjpeg holds the coefficients of the whole stream.
pub fn crop(stream: &[u8], width: u32, height: u32, max_pixels: u64) -> Result<Vec<u8>, Error> {
    let header = jpeg::inspect(stream)?;
    if u64::from(header.width) * u64::from(header.height) > max_pixels {
        let (width, height) = (header.width, header.height);
        return Err(Error::LimitExceeded { width, height, limit: max_pixels });
    }
    if header.width < width || header.height < height || width == 0 || height == 0 {
        return Err(Error::InvalidArgument("a crop lies within the stream's own size"));
    }
    if (header.width, header.height) == (width, height) {
        return Ok(stream.to_vec());
    }
    jpeg::check_self_contained(stream)?;
    let mut transform = Transform::default();
    transform.crop =
        Some(TransformCrop { x: 0, y: 0, width: Some(width as usize), height: Some(height as usize) });
    transform.optimize = true;
    TRANSFORMER.with(|slot| with(slot, Transformer::new, |t| t.transform_to_vec(&transform, stream)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jpeg::Colour;
    use proptest::prelude::*;

    const LIMIT: u64 = 1 << 20;

    /// A smooth picture with some texture, as JPEG likes it.
    fn picture(width: u32, height: u32) -> Rgb {
        let mut image = Rgb::filled(width, height, [0; 3]);
        for (i, pixel) in image.data_mut().chunks_exact_mut(3).enumerate() {
            let (x, y) = (i as u32 % width, i as u32 / width);
            pixel.copy_from_slice(&[
                (x * 3 + y) as u8 / 2 + 60,
                (y * 2) as u8 / 2 + 40,
                (x ^ y) as u8 / 4 + 90,
            ]);
        }
        image
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_crop_keeps_every_remaining_pixel(w in 1_u32..70, h in 1_u32..70, full in any::<bool>(), rgb in any::<bool>()) {
            let subsampling = if full { Subsampling::Chroma444 } else { Subsampling::Chroma420 };
            let mut jpeg = encode(&picture(70, 70), 85, subsampling).expect("encodes");
            if rgb {
                jpeg = jpeg::complete(&[], Colour::Rgb, &jpeg).expect("relabels");
            }
            let whole = decode(&jpeg, LIMIT).expect("decodes");
            let part = crop(&jpeg, w, h, LIMIT).expect("crops");
            let pixels = decode(&part, LIMIT).expect("decodes");
            prop_assert_eq!((pixels.width(), pixels.height()), (w, h));
            prop_assert_eq!(jpeg::inspect(&part).expect("valid").assumed_colour(),
                            jpeg::inspect(&jpeg).expect("valid").assumed_colour());
            // Chroma upsampling looks one sample across the new edge: up to two columns and rows may differ there.
            // One or two chroma columns are repeated, not interpolated (jdsample.c): then all pixels may differ.
            let (w, h) = match full {
                true => (w, h),
                false if w > 4 => (w - 2, h.saturating_sub(2)),
                false => (0, 0),
            };
            if w > 0 && h > 0 {
                prop_assert_eq!(pixels.crop(0, 0, w, h), whole.crop(0, 0, w, h));
            }
        }
    }

    #[test]
    fn a_truncated_stream_is_an_error_not_a_grey_tile() {
        let jpeg = encode(&picture(64, 64), 90, Subsampling::Chroma420).expect("encodes");
        for length in [jpeg.len() - 2, jpeg.len() / 2, jpeg.len() - 40] {
            assert!(decode(&jpeg[..length], LIMIT).is_err(), "{length} of {} bytes", jpeg.len());
        }
        assert!(decode(&jpeg, LIMIT).is_ok(), "the pooled handle survives errors");
    }

    #[test]
    fn limits_and_arguments_are_checked_before_work() {
        let image = picture(64, 64);
        let jpeg = encode(&image, 90, Subsampling::Chroma420).expect("encodes");
        assert_eq!(decode(&jpeg, 4095), Err(Error::LimitExceeded { width: 64, height: 64, limit: 4095 }));
        assert!(encode(&image, 0, Subsampling::Chroma420).is_err());
        assert!(encode(&image, 101, Subsampling::Chroma420).is_err());
        assert!(crop(&jpeg, 65, 64, LIMIT).is_err());
    }
    #[test]
    fn a_header_of_65000_px_does_not_make_crop_allocate_gigabytes() {
        let mut jpeg = encode(&picture(64, 64), 90, Subsampling::Chroma420).expect("encodes");
        let frame = jpeg.windows(2).position(|w| w == [0xFF, 0xC0]).expect("a frame header");
        jpeg[frame + 5..frame + 9].copy_from_slice(&[0xFD, 0xE8, 0xFD, 0xE8]);
        let refusal = Error::LimitExceeded { width: 65_000, height: 65_000, limit: LIMIT };
        assert_eq!(crop(&jpeg, 64, 64, LIMIT), Err(refusal));
    }

    #[test]
    fn scans_without_end_are_refused_before_work() {
        let jpeg = encode(&picture(64, 64), 90, Subsampling::Chroma420).expect("encodes");
        let scan = jpeg.windows(2).position(|w| w == [0xFF, 0xDA]).expect("a scan");
        let (head, scan) = (&jpeg[..scan], &jpeg[scan..jpeg.len() - 2]);
        let many = [head, &scan.repeat(101), &[0xFF, 0xD9]].concat();
        assert!(matches!(crop(&many, 32, 32, LIMIT), Err(Error::Unsupported(_))));
        assert!(matches!(decode(&many, LIMIT), Err(Error::Unsupported(_))));
    }
}
