//! Pixels as a file: JPEG, PNG or WebP, with or without an ICC profile.
//!
//! Profiles stand where each format has them: in APP2 segments (ICC.1:2022, annex B.4), in `iCCP`, in an `ICCP` chunk.

use microtome_codec::Rgb;
use microtome_codec::turbo::{self, Subsampling};

use crate::Error;
use crate::view::Tone;

/// Longest side of a WebP picture.
const MAX_WEBP_SIDE: u32 = 16_383;

/// The kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// JPEG: with the chroma resolution that [`encode`] is told, or 4:4:4 from quality 90 on.
    Jpeg {
        /// As libjpeg counts, 1 to 100.
        quality: u8,
    },
    /// PNG.
    Png,
    /// WebP, lossy.
    WebP {
        /// As libwebp counts, 0 to 100.
        quality: u8,
    },
    /// AVIF, lossy, 4:4:4.
    #[cfg(feature = "avif")]
    Avif {
        /// As ravif counts, 1 to 100.
        quality: u8,
    },
    /// JPEG XL, lossless.
    #[cfg(feature = "jxl")]
    JpegXl,
}

/// JPEG quality from which on chroma is not subsampled.
const FULL_CHROMA_FROM: u8 = 90;

/// Extensions of the formats there are, the one that is meant if nothing is said first.
pub const EXTENSIONS: &[&str] = &[
    "jpg",
    "png",
    "webp",
    #[cfg(feature = "avif")]
    "avif",
    #[cfg(feature = "jxl")]
    "jxl",
];

impl Format {
    /// The format with this extension; `quality`, 1 to 100, is for those that have one.
    #[must_use]
    pub fn with_extension(extension: &str, quality: u8) -> Option<Self> {
        match extension {
            "jpg" | "jpeg" => Some(Self::Jpeg { quality }),
            "png" => Some(Self::Png),
            "webp" => Some(Self::WebP { quality }),
            #[cfg(feature = "avif")]
            "avif" => Some(Self::Avif { quality }),
            #[cfg(feature = "jxl")]
            "jxl" => Some(Self::JpegXl),
            _ => None,
        }
    }

    /// Its extension.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg { .. } => "jpg",
            Self::Png => "png",
            Self::WebP { .. } => "webp",
            #[cfg(feature = "avif")]
            Self::Avif { .. } => "avif",
            #[cfg(feature = "jxl")]
            Self::JpegXl => "jxl",
        }
    }

    /// Its media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg { .. } => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP { .. } => "image/webp",
            #[cfg(feature = "avif")]
            Self::Avif { .. } => "image/avif",
            #[cfg(feature = "jxl")]
            Self::JpegXl => "image/jxl",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Jpeg { .. } => "JPEG",
            Self::Png => "PNG",
            Self::WebP { .. } => "WebP",
            #[cfg(feature = "avif")]
            Self::Avif { .. } => "AVIF",
            #[cfg(feature = "jxl")]
            Self::JpegXl => "JPEG XL",
        }
    }
}

/// A picture, whose tones are `tone` already, as a file; `chroma` is for JPEG of a quality that does not decide it.
///
/// # Errors
/// [`Error::Unencodable`] if a side is too long for the format, or the profile for JPEG.
pub fn encode(
    pixels: &Rgb,
    tone: Tone,
    format: Format,
    chroma: Subsampling,
    profile: Option<&[u8]>,
) -> Result<Vec<u8>, Error> {
    // What is grey has no use for a profile of three colours.
    let profile = profile.filter(|_| tone == Tone::Colour);
    let encoded = match format {
        Format::Jpeg { quality } => {
            let chroma = if quality >= FULL_CHROMA_FROM { Subsampling::Chroma444 } else { chroma };
            jpeg(pixels, quality, (tone == Tone::Colour).then_some(chroma), profile)
        }
        Format::Png => png(pixels, tone, profile).map_err(|error| error.to_string()),
        Format::WebP { quality } => webp(pixels, quality, profile),
        #[cfg(feature = "avif")]
        Format::Avif { quality } => avif(pixels, quality, profile),
        #[cfg(feature = "jxl")]
        Format::JpegXl => jpeg_xl(pixels, profile),
    };
    let (width, height) = (pixels.width(), pixels.height());
    encoded.map_err(|what| Error::Unencodable { width, height, format: format.name(), what })
}

fn jpeg(
    pixels: &Rgb,
    quality: u8,
    chroma: Option<Subsampling>,
    profile: Option<&[u8]>,
) -> Result<Vec<u8>, String> {
    let jpeg = turbo::encode_at_once(pixels, quality, chroma);
    let jpeg = jpeg.map_err(|error| error.to_string())?;
    let Some(profile) = profile else { return Ok(jpeg) };
    jpeg_with_profile(&jpeg, profile)
        .ok_or_else(|| format!("the ICC profile of {} bytes takes more than 255 segments", profile.len()))
}

/// A JFIF stream with an ICC profile behind its first segment; `None` if it takes more than 255 segments.
#[must_use]
pub fn jpeg_with_profile(jpeg: &[u8], profile: &[u8]) -> Option<Vec<u8>> {
    const CHUNK: usize = 65_533 - 14;
    let chunks = profile.chunks(CHUNK);
    let count = u8::try_from(chunks.len()).ok()?;
    // SOI, then APP0 with its length.
    let first = 4 + usize::from(u16::from_be_bytes([*jpeg.get(4)?, *jpeg.get(5)?]));
    let mut out = jpeg.get(..first)?.to_vec();
    for (number, chunk) in (1..=count).zip(chunks) {
        out.extend_from_slice(&[0xFF, 0xE2]);
        out.extend_from_slice(&(chunk.len() as u16 + 16).to_be_bytes());
        out.extend_from_slice(b"ICC_PROFILE\0");
        out.extend_from_slice(&[number, count]);
        out.extend_from_slice(chunk);
    }
    out.extend_from_slice(&jpeg[first..]);
    Some(out)
}

fn png(pixels: &Rgb, tone: Tone, profile: Option<&[u8]>) -> Result<Vec<u8>, png::EncodingError> {
    let mut info = png::Info::with_size(pixels.width(), pixels.height());
    let grey = || pixels.data().chunks_exact(3).map(|pixel| pixel[0]);
    let (colour, depth, data) = match tone {
        Tone::Colour => (png::ColorType::Rgb, png::BitDepth::Eight, pixels.data().into()),
        Tone::Grey => (png::ColorType::Grayscale, png::BitDepth::Eight, grey().collect()),
        Tone::Bitonal => {
            (png::ColorType::Grayscale, png::BitDepth::One, std::borrow::Cow::Owned(bits(pixels)))
        }
    };
    (info.color_type, info.bit_depth) = (colour, depth);
    info.icc_profile = profile.map(Into::into);
    let mut out = Vec::new();
    let mut encoder = png::Encoder::with_info(&mut out, info)?;
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&data)?;
    writer.finish()?;
    Ok(out)
}

/// Eight pixels a byte, the first in the highest bit; each row begins with a byte (PNG, 7.2).
fn bits(pixels: &Rgb) -> Vec<u8> {
    let rows = pixels.data().chunks_exact(3 * pixels.width() as usize);
    rows.flat_map(|row| {
        row.chunks(24).map(|eight| {
            let bits = eight.chunks_exact(3).map(|pixel| u8::from(pixel[0] >= 128));
            (0..8).rev().zip(bits).fold(0, |byte, (shift, bit)| byte | bit << shift)
        })
    })
    .collect()
}

fn webp(pixels: &Rgb, quality: u8, profile: Option<&[u8]>) -> Result<Vec<u8>, String> {
    let (width, height) = (pixels.width(), pixels.height());
    if width.max(height) > MAX_WEBP_SIDE {
        return Err(format!("a side is at most {MAX_WEBP_SIDE} px"));
    }
    let encoded = webp::Encoder::from_rgb(pixels.data(), width, height)
        .encode_simple(false, f32::from(quality.min(100)))
        .map_err(|error| format!("{error:?}"))?;
    Ok(match profile {
        Some(profile) => webp_with_profile(&encoded, width, height, profile),
        None => encoded.to_vec(),
    })
}

/// Pixels of the largest AVIF picture: rav1e takes about a second for them at its fastest.
#[cfg(feature = "avif")]
const MAX_AVIF_PIXELS: u64 = 1 << 20;

#[cfg(feature = "avif")]
fn avif(pixels: &Rgb, quality: u8, profile: Option<&[u8]>) -> Result<Vec<u8>, String> {
    let (width, height) = (pixels.width() as usize, pixels.height() as usize);
    if width as u64 * height as u64 > MAX_AVIF_PIXELS {
        return Err(format!("at most {MAX_AVIF_PIXELS} px: it takes too long"));
    }
    if profile.is_some() {
        return Err("ICC profiles are not written: icc=srgb converts".to_owned());
    }
    let (rgb, _) = pixels.data().as_chunks::<3>();
    let rgb: Vec<_> = rgb.iter().map(|&pixel| ravif::RGB8::from(pixel)).collect();
    let encoder = ravif::Encoder::new().with_quality(f32::from(quality.clamp(1, 100))).with_speed(10);
    let encoded = encoder.with_num_threads(Some(1)).encode_rgb(ravif::Img::new(&rgb[..], width, height));
    encoded.map(|encoded| encoded.avif_file).map_err(|error| error.to_string())
}

#[cfg(feature = "jxl")]
fn jpeg_xl(pixels: &Rgb, profile: Option<&[u8]>) -> Result<Vec<u8>, String> {
    use zune_core::bit_depth::BitDepth;
    use zune_core::colorspace::ColorSpace;
    use zune_core::options::EncoderOptions;
    if profile.is_some() {
        return Err("ICC profiles are not written: icc=srgb converts".to_owned());
    }
    let (width, height) = (pixels.width() as usize, pixels.height() as usize);
    let options = EncoderOptions::new(width, height, ColorSpace::RGB, BitDepth::Eight);
    let mut out = Vec::new();
    let encoder = zune_jpegxl::JxlSimpleEncoder::new(pixels.data(), options);
    encoder.encode(&mut out).map(|_| out).map_err(|error| format!("{error:?}"))
}

/// The extended format around a plain file's one chunk (RFC 9649, 2.7).
fn webp_with_profile(plain: &[u8], width: u32, height: u32, profile: &[u8]) -> Vec<u8> {
    const ICC_PROFILE: u8 = 0x20;
    let mut features = vec![ICC_PROFILE, 0, 0, 0];
    for side in [width, height] {
        features.extend_from_slice(&(side - 1).to_le_bytes()[..3]);
    }
    // Behind "RIFF", a size and "WEBP".
    let image = plain.get(12..).unwrap_or_default();
    let body =
        [b"WEBP".to_vec(), chunk(b"VP8X", &features), chunk(b"ICCP", profile), image.to_vec()].concat();
    [b"RIFF".to_vec(), (body.len() as u32).to_le_bytes().to_vec(), body].concat()
}

fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut chunk = [&name[..], &(content.len() as u32).to_le_bytes(), content].concat();
    if content.len() % 2 == 1 {
        chunk.push(0);
    }
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripes(width: u32, height: u32) -> Rgb {
        let data =
            (0..width * height).flat_map(|i| if (i % width).is_multiple_of(2) { [0; 3] } else { [255; 3] });
        Rgb::from_vec(width, height, data.collect()).expect("sizes match")
    }

    #[test]
    fn bits_fill_bytes_from_the_left_and_rows_begin_anew() {
        assert_eq!(bits(&stripes(10, 2)), [0b0101_0101, 0b0100_0000, 0b0101_0101, 0b0100_0000]);
    }

    #[test]
    fn a_profile_comes_back_from_each_format() {
        let profile: Vec<u8> = (0..100_001_u32).map(|i| (i % 251) as u8).collect();
        let pixels = stripes(9, 7);
        let jpeg = encode(
            &pixels,
            Tone::Colour,
            Format::Jpeg { quality: 80 },
            Subsampling::Chroma420,
            Some(&profile),
        )
        .expect("JPEG");
        assert_eq!(jpeg.windows(12).filter(|w| w == b"ICC_PROFILE\0").count(), 2);
        assert!(turbo::decode(&jpeg, 63).is_ok());
        let png =
            encode(&pixels, Tone::Colour, Format::Png, Subsampling::Chroma420, Some(&profile)).expect("PNG");
        let reader = png::Decoder::new(std::io::Cursor::new(&png)).read_info().expect("PNG");
        assert_eq!(reader.info().icc_profile.as_deref(), Some(&profile[..]));
        let webp = encode(
            &pixels,
            Tone::Colour,
            Format::WebP { quality: 80 },
            Subsampling::Chroma420,
            Some(&profile),
        )
        .expect("WebP");
        assert_eq!(webp[4..8], (webp.len() as u32 - 8).to_le_bytes());
        assert!(webp.windows(1000).any(|w| w == &profile[..1000]));
        let decoded = webp::Decoder::new(&webp).decode().expect("WebP");
        assert_eq!((decoded.width(), decoded.height()), (9, 7));
        let grey =
            encode(&pixels, Tone::Grey, Format::Png, Subsampling::Chroma420, Some(&profile)).expect("PNG");
        assert!(grey.len() < 200, "no profile of three colours in a grey picture");
    }

    #[test]
    fn chroma_is_as_said_unless_the_quality_decides_it() {
        use Subsampling::{Chroma420, Chroma422, Chroma444};
        for (quality, chroma, expected) in [
            (85, Chroma420, [2, 2]),
            (85, Chroma422, [2, 1]),
            (85, Chroma444, [1, 1]),
            (90, Chroma420, [1, 1]),
            (90, Chroma422, [1, 1]),
        ] {
            let jpeg = encode(&stripes(40, 30), Tone::Colour, Format::Jpeg { quality }, chroma, None);
            let header = microtome_codec::jpeg::inspect(&jpeg.expect("JPEG")).expect("JPEG");
            let luma = &header.components[0];
            assert_eq!([luma.horizontal, luma.vertical], expected, "{quality} {chroma}");
        }
    }

    #[test]
    fn extensions_lead_to_formats_and_back() {
        for extension in EXTENSIONS {
            let format = Format::with_extension(extension, 80).expect("a format");
            assert_eq!(format.extension(), *extension);
            assert!(
                !encode(&stripes(40, 30), Tone::Colour, format, Subsampling::Chroma420, None)
                    .expect("a picture")
                    .is_empty()
            );
        }
        assert_eq!(Format::with_extension("tif", 80), None);
    }

    #[test]
    fn what_a_format_cannot_hold_is_said() {
        let wide = Rgb::filled(MAX_WEBP_SIDE + 1, 1, [0; 3]);
        let error = encode(&wide, Tone::Colour, Format::WebP { quality: 80 }, Subsampling::Chroma420, None)
            .expect_err("too wide");
        assert_eq!(error.to_string(), "16384 x 1 px cannot be WebP: a side is at most 16383 px");
        assert!(encode(&wide, Tone::Colour, Format::Png, Subsampling::Chroma420, None).is_ok());
    }
}
