//! A page: what its tags say about the image in it, checked.
//!
//! TIFF 6.0 sections 8 (baseline fields), 14 (predictor), 18 (ExtraSamples); TIFF Technical Note 2 for JPEG. 8-bit
//! grey, palette, RGB and YCbCr in JPEG, 16-bit grey and RGB, 1-bit grey and masks are taken; everything else is refused by name. Not here: decoding.

use microtome_codec::jpeg;

use super::chunks::{Chunks, side};
use super::ifd::{Directory, Tiff};
use super::tag::{
    BITS_PER_SAMPLE, COLOR_MAP, COMPRESSION, EXTRA_SAMPLES, FILL_ORDER, IMAGE_LENGTH, IMAGE_WIDTH,
    JPEG_TABLES, ORIENTATION, PHOTOMETRIC, PLANAR_CONFIGURATION, PREDICTOR, SAMPLE_FORMAT, SAMPLES_PER_PIXEL,
    Tag,
};
use super::window::Window;
use crate::Error;
use crate::source::turned::Orientation;

/// Most samples per pixel; those beyond colour and alpha are not shown.
pub(super) const MAX_SAMPLES: u64 = 16;
/// Longest JPEGTables: all tables there can be take less than 3 KiB.
const MAX_TABLES_BYTES: u64 = 64 << 10;

const TO_8_BITS: &str = "vips msb IN OUT.tif[tile,pyramid,compression=deflate]";
const TO_0_TO_255: &str = "vips scale IN OUT.tif[tile,pyramid,compression=deflate]";
const TO_RGB: &str = "vips colourspace IN OUT.tif[tile,pyramid,compression=deflate] srgb";

/// How chunks are compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Lzw,
    Deflate,
    PackBits,
    Zstandard,
    WebP,
    /// JPEG after Technical Note 2, with the page's JPEGTables (empty if there are none).
    Jpeg(Vec<u8>),
    /// JPEG 2000 codestreams.
    Jpeg2000 {
        /// Whether streams without a colour transform of their own hold YCbCr.
        ycbcr: bool,
    },
}

/// What the colour samples mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Photometric {
    WhiteIsZero,
    BlackIsZero,
    Rgb,
    /// In JPEG only.
    YCbCr,
    /// Red, green, blue of each of the 256 sample values.
    Palette(Vec<[u8; 3]>),
    /// Which pixels of another image are there.
    Mask,
    /// A channel per sample, shown as light of these colours. No tag says so: OME-XML does.
    Channels(Vec<[u8; 3]>),
}

/// What kind of number a sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Depth {
    /// 1, 8 or 16.
    pub(super) bits: u32,
    /// Two's complement.
    pub(super) signed: bool,
}

/// What the sample after the colours is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alpha {
    /// There is none, or it is not alpha.
    None,
    /// Colours are already multiplied by it.
    Associated,
    /// Colours are not multiplied.
    Unassociated,
}

/// A page of a TIFF file.
pub(super) struct Page {
    /// What messages call it: `page 0`.
    pub(super) place: String,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) chunks: Chunks,
    pub(super) compression: Compression,
    pub(super) photometric: Photometric,
    pub(super) alpha: Alpha,
    /// Samples per pixel, 1 to [`MAX_SAMPLES`].
    pub(super) samples: usize,
    pub(super) depth: Depth,
    /// How each sample is shown in 8 bits; empty if it has these.
    pub(super) windows: Vec<Window>,
    /// Whether each sample has chunks of its own.
    pub(super) separate: bool,
    /// Whether samples are stored as differences to the pixel on the left.
    pub(super) differenced: bool,
    /// How the image is stored.
    pub(super) orientation: Orientation,
    /// What is shown where a chunk is absent: nothing, which is white; no light in a channel, no pixel in a mask.
    pub(super) absent: [u8; 3],
}

impl Page {
    /// Reads and checks the page of an IFD.
    pub(super) fn read(tiff: &Tiff, directory: &Directory) -> Result<Self, Error> {
        let width = side(tiff, directory, IMAGE_WIDTH)?;
        let height = side(tiff, directory, IMAGE_LENGTH)?;
        let (samples, depth) = samples(tiff, directory)?;
        let compression = compression(tiff, directory)?;
        let jpeg = matches!(compression, Compression::Jpeg(_));
        let photometric = photometric(tiff, directory, samples, &compression)?;
        check_depth(tiff, directory, depth, samples, &compression, &photometric)?;
        let separate = match tiff.number_of(directory, PLANAR_CONFIGURATION)?.unwrap_or(1) {
            1 => false,
            2 if samples == 1 => false,
            2 if !jpeg && compression != Compression::WebP => true,
            2 => return Err(tiff.unsupported(&directory.place, "JPEG or WebP with a plane per sample")),
            other => return Err(unknown(tiff, directory, PLANAR_CONFIGURATION, other)),
        };
        if tiff.number_of(directory, FILL_ORDER)?.unwrap_or(1) != 1 && !jpeg {
            return Err(tiff.unsupported(&directory.place, "bits stored in reverse (FillOrder 2)"));
        }
        let predicts =
            matches!(compression, Compression::Lzw | Compression::Deflate | Compression::Zstandard);
        let differenced = match tiff.number_of(directory, PREDICTOR)?.unwrap_or(1) {
            1 => false,
            2 if predicts && depth.bits == 1 => {
                return Err(tiff.unsupported(&directory.place, "differences of single bits (Predictor 2)"));
            }
            2 => predicts,
            3 => return Err(tiff.unsupported(&directory.place, "the floating point predictor")),
            other => return Err(unknown(tiff, directory, PREDICTOR, other)),
        };
        let colours = photometric.colours();
        let alpha = alpha(tiff, directory, samples - colours)?;
        let planes = if separate { samples as u32 } else { 1 };
        let chunks = Chunks::read(tiff, directory, (width, height), planes)?;
        let place = directory.place.clone();
        let absent = if photometric == Photometric::Mask { [0; 3] } else { [255; 3] };
        Ok(Self {
            absent,
            place,
            width,
            height,
            chunks,
            compression,
            photometric,
            alpha,
            samples,
            depth,
            windows: if depth.fits_8_bits() { Vec::new() } else { vec![Window::full(depth); samples] },
            separate,
            differenced,
            orientation: orientation(tiff, directory)?,
        })
    }
}

impl Photometric {
    /// Number of samples that the colour takes.
    pub(super) fn colours(&self) -> usize {
        match self {
            Self::WhiteIsZero | Self::BlackIsZero | Self::Palette(_) | Self::Mask => 1,
            Self::Rgb | Self::YCbCr => 3,
            Self::Channels(colours) => colours.len(),
        }
    }
}

fn unknown(tiff: &Tiff, directory: &Directory, tag: Tag, value: u64) -> Error {
    tiff.malformed(format!("{}, {tag}", directory.place), format!("has no meaning for the value {value}"))
}

/// Samples per pixel, and what they are, all the same.
fn samples(tiff: &Tiff, directory: &Directory) -> Result<(usize, Depth), Error> {
    let samples = tiff.number_of(directory, SAMPLES_PER_PIXEL)?.unwrap_or(1);
    if !(1..=MAX_SAMPLES).contains(&samples) {
        let what = format!("is {samples} (1 to {MAX_SAMPLES} are taken)");
        return Err(tiff.malformed(format!("{}, {SAMPLES_PER_PIXEL}", directory.place), what));
    }
    let bits = tiff.numbers(directory, BITS_PER_SAMPLE, MAX_SAMPLES)?.unwrap_or_else(|| vec![1]);
    // Some writers give one value for all samples.
    if bits.len() != 1 && bits.len() as u64 != samples {
        let what = format!("{} values for {samples} samples per pixel", bits.len());
        return Err(tiff.malformed(format!("{}, {BITS_PER_SAMPLE}", directory.place), what));
    }
    if let Some(other) = bits.iter().find(|&&other| !matches!(other, 1 | 8 | 16) || other != bits[0]) {
        return Err(tiff.unsupported_unless(
            &directory.place,
            format!("{other} bits per sample (8, 16 or 1, the same for all samples, are taken)"),
            TO_8_BITS,
        ));
    }
    let formats = tiff.numbers(directory, SAMPLE_FORMAT, MAX_SAMPLES)?.unwrap_or_else(|| vec![1]);
    // 4 is of no said format.
    if let Some(format) = formats.iter().find(|&&format| !matches!(format, 1 | 2 | 4) || format != formats[0])
    {
        let what = format!("floating point, complex or mixed samples (SampleFormat {format})");
        return Err(tiff.unsupported_unless(&directory.place, what, TO_0_TO_255));
    }
    Ok((samples as usize, Depth { bits: bits[0] as u32, signed: formats[0] == 2 }))
}

/// Refuses samples that nothing is known to write so: deep JPEG, signed colours, masks of bytes.
fn check_depth(
    tiff: &Tiff,
    directory: &Directory,
    depth: Depth,
    samples: usize,
    compression: &Compression,
    photometric: &Photometric,
) -> Result<(), Error> {
    let Depth { bits, signed } = depth;
    let grey = matches!(photometric, Photometric::WhiteIsZero | Photometric::BlackIsZero);
    let plain =
        !matches!(compression, Compression::Jpeg(_) | Compression::WebP | Compression::Jpeg2000 { .. });
    let taken = match bits {
        1 => samples == 1 && plain && !signed && (grey || *photometric == Photometric::Mask),
        _ if *photometric == Photometric::Mask => false,
        _ if signed => grey && plain,
        8 => true,
        _ => match compression {
            Compression::Jpeg(_) | Compression::WebP => false,
            _ => grey || *photometric == Photometric::Rgb,
        },
    };
    if taken {
        return Ok(());
    }
    let sign = if signed { "signed " } else { "" };
    let what = format!("{bits}-bit {sign}samples of this kind (grey and RGB are taken, without JPEG)");
    Err(tiff.unsupported_unless(&directory.place, what, TO_8_BITS))
}

impl Depth {
    /// Whether samples are shown as they are.
    fn fits_8_bits(self) -> bool {
        self.bits <= 8 && !self.signed
    }

    /// The largest of [`Depth::values`].
    pub(super) fn most(self) -> u16 {
        u16::MAX >> (16 - self.bits)
    }

    /// Samples, 16-bit ones in the machine's order, as numbers from 0: signed ones are moved up by half their range.
    pub(super) fn values(self, samples: &[u8]) -> impl Iterator<Item = u16> {
        let flip = if self.signed { 1 << (self.bits - 1) } else { 0 };
        let bytes = if self.bits == 16 { 2 } else { 1 };
        samples.chunks_exact(bytes).map(move |sample| match *sample {
            [low, high] => u16::from_ne_bytes([low, high]) ^ flip,
            [byte, ..] => u16::from(byte) ^ flip,
            [] => 0,
        })
    }

    /// The number that a value stands for.
    pub(super) fn signed_value(self, value: u16) -> i32 {
        i32::from(value) - if self.signed { 1 << (self.bits - 1) } else { 0 }
    }

    /// The value that stands for a number, if one does.
    pub(super) fn value_of(self, number: f64) -> Option<u16> {
        let value = number + if self.signed { f64::from(1_u32 << (self.bits - 1)) } else { 0.0 };
        let known = value.fract() == 0.0 && (0.0..=f64::from(self.most())).contains(&value);
        known.then_some(value as u16)
    }
}

fn compression(tiff: &Tiff, directory: &Directory) -> Result<Compression, Error> {
    let name = match tiff.number_of(directory, COMPRESSION)?.unwrap_or(1) {
        1 => return Ok(Compression::None),
        5 => return Ok(Compression::Lzw),
        7 => {
            let tables = tiff.bytes(directory, JPEG_TABLES, MAX_TABLES_BYTES)?.unwrap_or_default();
            jpeg::check_tables(&tables)
                .map_err(|error| tiff.malformed(format!("{}, {JPEG_TABLES}", directory.place), error))?;
            return Ok(Compression::Jpeg(tables));
        }
        8 | 32946 => return Ok(Compression::Deflate),
        32773 => return Ok(Compression::PackBits),
        // Aperio's 33003 is YCbCr on pages that call it RGB; others write that number for RGB with a transform.
        number @ (33003..=33005 | 34712) => {
            let said = tiff.number_of(directory, PHOTOMETRIC)? == Some(6);
            return Ok(Compression::Jpeg2000 { ycbcr: number == 33003 || said });
        }
        34933 | 50001 => return Ok(Compression::WebP),
        50000 => return Ok(Compression::Zstandard),
        2..=4 => "CCITT fax",
        6 => "old-style JPEG (compression 6)",
        34887 => "LERC",
        34892 => "lossy DNG JPEG",
        34925 => "LZMA",
        22610 | 34934 => "JPEG XR",
        50002 | 52546 => "JPEG XL",
        other => return Err(tiff.unsupported(&directory.place, format!("compression {other}"))),
    };
    Err(tiff.unsupported(&directory.place, name))
}

fn photometric(
    tiff: &Tiff,
    directory: &Directory,
    samples: usize,
    compression: &Compression,
) -> Result<Photometric, Error> {
    let jpeg = matches!(compression, Compression::Jpeg(_));
    let place = || format!("{}, {PHOTOMETRIC}", directory.place);
    let photometric = match tiff.number_of(directory, PHOTOMETRIC)? {
        None => return Err(tiff.malformed(place(), "is missing")),
        Some(0) => Photometric::WhiteIsZero,
        Some(1) => Photometric::BlackIsZero,
        Some(2) => Photometric::Rgb,
        Some(3) if !jpeg => Photometric::Palette(palette(tiff, directory)?),
        Some(4) if !jpeg => Photometric::Mask,
        Some(6) if jpeg => Photometric::YCbCr,
        // Their decoders give red, green and blue.
        Some(6) if matches!(compression, Compression::Jpeg2000 { .. } | Compression::WebP) => {
            Photometric::Rgb
        }
        Some(other) => {
            let name = match other {
                3 => "a palette in JPEG",
                4 => "a transparency mask in JPEG",
                5 => "CMYK",
                6 => "YCbCr outside JPEG and JPEG 2000",
                8..=10 => "CIE L*a*b*",
                _ => {
                    return Err(
                        tiff.unsupported(&directory.place, format!("photometric interpretation {other}"))
                    );
                }
            };
            return Err(tiff.unsupported_unless(&directory.place, name, TO_RGB));
        }
    };
    let colours = photometric.colours();
    if samples < colours {
        return Err(
            tiff.malformed(place(), format!("asks for {colours} samples per pixel, there are {samples}"))
        );
    }
    if jpeg && samples != colours {
        return Err(tiff.unsupported(&directory.place, format!("JPEG with {samples} samples per pixel")));
    }
    if *compression == Compression::WebP && (photometric != Photometric::Rgb || samples > 4) {
        let what = format!("WebP with {samples} samples per pixel that is not RGB");
        return Err(tiff.unsupported(&directory.place, what));
    }
    Ok(photometric)
}

/// The ColorMap: 256 reds, then greens, then blues, 16 bits each (TIFF 6.0 section 5).
fn palette(tiff: &Tiff, directory: &Directory) -> Result<Vec<[u8; 3]>, Error> {
    let values = tiff.numbers(directory, COLOR_MAP, 768)?.unwrap_or_default();
    let [reds, greens, blues] = &values.chunks_exact(256).collect::<Vec<_>>()[..] else {
        let what = format!("{} values (768 are expected)", values.len());
        return Err(tiff.malformed(format!("{}, {COLOR_MAP}", directory.place), what));
    };
    // Some writers store 8-bit values; libtiff tells them by the same rule.
    let shift = if values.iter().all(|&value| value < 256) { 0 } else { 8 };
    let byte = |value: &u64| (value >> shift).min(255) as u8;
    Ok(reds.iter().zip(*greens).zip(*blues).map(|((r, g), b)| [byte(r), byte(g), byte(b)]).collect())
}

/// What the first of `extra` samples after the colours is.
fn alpha(tiff: &Tiff, directory: &Directory, extra: usize) -> Result<Alpha, Error> {
    let meanings = tiff.numbers(directory, EXTRA_SAMPLES, MAX_SAMPLES)?.unwrap_or_default();
    if meanings.len() > extra {
        let what = format!("{} values for {extra} samples beyond the colour", meanings.len());
        return Err(tiff.malformed(format!("{}, {EXTRA_SAMPLES}", directory.place), what));
    }
    match meanings.first() {
        None | Some(0) => Ok(Alpha::None),
        Some(1) => Ok(Alpha::Associated),
        Some(2) => Ok(Alpha::Unassociated),
        Some(&other) => Err(unknown(tiff, directory, EXTRA_SAMPLES, other)),
    }
}
/// How a page is stored.
fn orientation(tiff: &Tiff, directory: &Directory) -> Result<Orientation, Error> {
    let number = tiff.number_of(directory, ORIENTATION)?.unwrap_or(1);
    Orientation::of(number).ok_or_else(|| {
        let place = format!("{}, {ORIENTATION}", directory.place);
        tiff.malformed(place, format!("is {number} (1 to 8 have a meaning)"))
    })
}
