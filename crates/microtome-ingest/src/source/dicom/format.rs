//! What the samples of a file's frames are, and their colours.
//!
//! PS3.3 C.7.6.3 (image pixel), C.7.9 (palettes), C.11.2.1.2 (windows). Samples of 8 bits, and grey ones of up to 16,
//! which are shown through the window that the file states, or over all bits that are stored. Not here: compression.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use microtome_codec::Rgb;

use super::attributes::Attributes;
use super::file::DicomFile;
use super::walk::Step;
use crate::Error;
use crate::source::jpeg2000::rgb_of_ycbcr;

/// What the numbers of a pixel mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Photometric {
    /// Grey through a table: of all 8- or 16-bit samples, as they are stored, the shade.
    Grey(Vec<u8>),
    /// Colours of a table, whose first entry is for the sample at `first`.
    Palette {
        first: i64,
        colours: Vec<[u8; 3]>,
    },
    Rgb,
    /// Full-range YCbCr. The transforms of JPEG 2000 count as this where the stream does not undo them itself.
    YCbCr,
    /// Full-range YCbCr with half the chroma samples in a row: two lumas, two chromas.
    YCbCr422,
}

/// How the samples of a file's frames are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) photometric: Photometric,
    /// Samples per pixel, 1 or 3.
    pub(super) samples: usize,
    /// Bytes per sample, 1 or 2.
    pub(super) bytes: usize,
    /// Whether a frame's samples come colour after colour, not pixel after pixel.
    pub(super) planar: bool,
    /// Whether grey samples are as they are shown: 8 bits, black at 0. JPEG tiles can then be kept.
    pub(super) plain: bool,
    /// How grey samples are shown that have more to them than they show, for a notice.
    pub(super) window: Option<String>,
    /// The values of samples of more than 8 bits that are shown black and white.
    pub(super) shown: Option<[i64; 2]>,
}

impl Format {
    /// # Errors
    /// [`Error::Unsupported`] naming the attribute and its value.
    pub(super) fn read(file: &DicomFile, attributes: &Attributes) -> Result<Self, Error> {
        let number = |tag: Tag| attributes.integer(tag);
        let samples = number(tags::SAMPLES_PER_PIXEL).unwrap_or(1);
        let allocated = number(tags::BITS_ALLOCATED).unwrap_or(8);
        let stored = number(tags::BITS_STORED).unwrap_or(allocated);
        let high = number(tags::HIGH_BIT).unwrap_or(stored - 1);
        let planar = number(tags::PLANAR_CONFIGURATION).unwrap_or(0);
        let name = attributes.text(&[], tags::PHOTOMETRIC_INTERPRETATION).unwrap_or_default();
        let wanted = match name.as_str() {
            "MONOCHROME1" | "MONOCHROME2" | "PALETTE COLOR" => 1,
            "RGB" | "YBR_FULL" | "YBR_FULL_422" | "YBR_ICT" | "YBR_RCT" => 3,
            _ => return Err(file.unsupported(format!("PhotometricInterpretation {name:?} is not read"))),
        };
        if samples != wanted || !(0..=1).contains(&planar) {
            let what = format!("{name} of {samples} samples per pixel, PlanarConfiguration {planar}");
            return Err(file.malformed("image pixel attributes", what));
        }
        let sixteen = name.starts_with("MONOCHROME") && allocated == 16 && (9..=16).contains(&stored);
        if !(sixteen || (allocated, stored) == (8, 8)) || high != stored - 1 {
            return Err(file.unsupported(format!(
                "samples of {allocated} bits, {stored} of them stored up to bit {high} (8 are read, and grey ones of \
                 9 to 16 in 16)"
            )));
        }
        let signed = number(tags::PIXEL_REPRESENTATION) == Some(1);
        if signed && !sixteen {
            return Err(file.unsupported("signed samples of 8 bits"));
        }
        let (mut window, mut shown) = (None, None);
        let photometric = match name.as_str() {
            "RGB" => Photometric::Rgb,
            "YBR_FULL_422" => Photometric::YCbCr422,
            "PALETTE COLOR" => palette(file, attributes)?,
            grey if samples == 1 => {
                let read = Window::read(attributes, stored as u32, signed, allocated == 16);
                (window, shown) = (read.notice(), read.shown());
                Photometric::Grey(read.table(grey == "MONOCHROME1"))
            }
            _ => Photometric::YCbCr,
        };
        let plain = allocated == 8 && !matches!(name.as_str(), "MONOCHROME1" | "PALETTE COLOR");
        let bytes = allocated as usize / 8;
        Ok(Self { photometric, samples: samples as usize, bytes, planar: planar == 1, plain, window, shown })
    }

    /// Bytes of an uncompressed frame of so many pixels.
    pub(super) fn frame_bytes(&self, width: u32, height: u32) -> u64 {
        let pixels = u64::from(width) * u64::from(height);
        match self.photometric {
            Photometric::YCbCr422 => u64::from(width).div_ceil(2) * u64::from(height) * 4,
            _ => pixels * (self.samples * self.bytes) as u64,
        }
    }

    /// The colours of an uncompressed frame, of exactly [`Format::frame_bytes`].
    pub(super) fn colours_of_frame(&self, frame: &[u8], width: u32, height: u32) -> Result<Rgb, String> {
        if self.photometric == Photometric::YCbCr422 {
            return subsampled(frame, width, height);
        }
        if !self.planar || self.samples == 1 {
            return self.colours(frame, width, height);
        }
        let pixels = width as usize * height as usize;
        self.colours(&interleaved(frame, pixels), width, height)
    }

    /// The colours of samples, those of a pixel side by side, little endian.
    pub(super) fn colours(&self, samples: &[u8], width: u32, height: u32) -> Result<Rgb, String> {
        let mut data = Vec::with_capacity(3 * width as usize * height as usize);
        match &self.photometric {
            Photometric::Rgb => data.extend_from_slice(samples),
            Photometric::YCbCr | Photometric::YCbCr422 => {
                data.extend(samples.as_chunks().0.iter().flat_map(|&pixel| rgb_of_ycbcr(pixel)));
            }
            Photometric::Grey(table) => {
                let shade = |sample: usize| [table.get(sample).copied().unwrap_or_default(); 3];
                match self.bytes {
                    1 => data.extend(samples.iter().flat_map(|&sample| shade(usize::from(sample)))),
                    _ => {
                        let samples = samples.as_chunks().0.iter();
                        data.extend(samples.flat_map(|&s| shade(usize::from(u16::from_le_bytes(s)))));
                    }
                }
            }
            Photometric::Palette { first, colours } => {
                let last = colours.len() as i64 - 1;
                let colour = |sample: u8| colours[(i64::from(sample) - first).clamp(0, last) as usize];
                data.extend(samples.iter().flat_map(|&sample| colour(sample)));
            }
        }
        Rgb::from_vec(width, height, data).map_err(|error| error.to_string())
    }
}

/// The samples of planes of `pixels` bytes, pixel after pixel.
pub(super) fn interleaved(planes: &[u8], pixels: usize) -> Vec<u8> {
    let mut out = vec![0; planes.len()];
    let count = planes.len() / pixels.max(1);
    for (number, plane) in planes.chunks_exact(pixels.max(1)).enumerate() {
        for (sample, &value) in out.iter_mut().skip(number).step_by(count).zip(plane) {
            *sample = value;
        }
    }
    out
}

/// The colours of 4:2:2 samples: of each two pixels both lumas, then their chromas.
fn subsampled(frame: &[u8], width: u32, height: u32) -> Result<Rgb, String> {
    let row = width.div_ceil(2) as usize * 4;
    let mut data = Vec::with_capacity(3 * width as usize * height as usize);
    for line in frame.chunks_exact(row).take(height as usize) {
        let pairs = line.as_chunks().0.iter();
        let pixels = pairs.flat_map(|&[y0, y1, cb, cr]| [[y0, cb, cr], [y1, cb, cr]]);
        data.extend(pixels.take(width as usize).flat_map(rgb_of_ycbcr));
    }
    Rgb::from_vec(width, height, data).map_err(|error| error.to_string())
}

/// The table of a palette image: three lists of 8- or 16-bit colours.
fn palette(file: &DicomFile, attributes: &Attributes) -> Result<Photometric, Error> {
    let malformed = |what: String| file.malformed("palette", what);
    let lists = [
        (tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA),
        (tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA),
        (tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA),
    ];
    let (mut first, mut planes) = (0, vec![]);
    for (descriptor, data) in lists {
        let Some(data) = attributes.bytes(data) else {
            return Err(file.unsupported("a palette that is in segments, or in no table of this file"));
        };
        let [entries, start, bits] = attributes.integers(&[], descriptor)[..] else {
            return Err(malformed(format!("{descriptor} has not three numbers")));
        };
        // 0 stands for 65,536.
        let entries = if entries == 0 { 1 << 16 } else { entries.unsigned_abs() as usize };
        let shades: Vec<u8> = match bits {
            8 if data.len() < 2 * entries => data.to_vec(),
            // 8-bit entries may take 16 bits each.
            8 => data.as_chunks::<2>().0.iter().map(|entry| entry[0]).collect(),
            16 => data.as_chunks::<2>().0.iter().map(|entry| entry[1]).collect(),
            _ => return Err(malformed(format!("entries of {bits} bits"))),
        };
        let Some(shades) = shades.get(..entries) else {
            return Err(malformed(format!("{} entries of {entries}", shades.len())));
        };
        first = start;
        planes.push(shades.to_vec());
    }
    let [red, green, blue] = &planes[..] else { return Err(malformed("no three colours".to_owned())) };
    if red.is_empty() || red.len() != green.len() || red.len() != blue.len() {
        return Err(malformed("lists of several lengths".to_owned()));
    }
    let colours = red.iter().zip(green).zip(blue).map(|((&r, &g), &b)| [r, g, b]).collect();
    Ok(Photometric::Palette { first, colours })
}

/// How grey samples become shades.
struct Window {
    bits: u32,
    signed: bool,
    wide: bool,
    /// Slope and intercept from stored to stated values.
    rescale: (f64, f64),
    /// Centre and width in stated values, if stated.
    stated: Option<(f64, f64)>,
    /// The same of samples of 8 bits, which are shown as they are.
    passed_over: Option<(f64, f64)>,
}

impl Window {
    fn read(attributes: &Attributes, bits: u32, signed: bool, wide: bool) -> Self {
        let shared: Step = (tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, 0);
        let first: Step = (tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, 0);
        let value = |sequence: Tag, tag: Tag| {
            let places: [&[Step]; 3] = [&[], &[shared, (sequence, 0)], &[first, (sequence, 0)]];
            places.into_iter().find_map(|path| attributes.decimals(path, tag).first().copied())
        };
        let centre = value(tags::FRAME_VOILUT_SEQUENCE, tags::WINDOW_CENTER);
        let width = value(tags::FRAME_VOILUT_SEQUENCE, tags::WINDOW_WIDTH).filter(|&width| width >= 1.0);
        let slope = value(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, tags::RESCALE_SLOPE).unwrap_or(1.0);
        let intercept =
            value(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, tags::RESCALE_INTERCEPT).unwrap_or(0.0);
        let stated = centre.zip(width);
        let passed_over = stated.filter(|&(_, width)| !wide && !(255.0..=256.0).contains(&width));
        Self { bits, signed, wide, rescale: (slope, intercept), stated: stated.filter(|_| wide), passed_over }
    }

    /// The shade of each sample as it is stored.
    fn table(&self, inverted: bool) -> Vec<u8> {
        let all = 1_u32 << if self.wide { 16 } else { 8 };
        let shade = |stored: u32| {
            let value = self.value(stored);
            let (lowest, highest) = self.all_values();
            let share = match self.stated {
                Some((centre, width)) => {
                    let value = value * self.rescale.0 + self.rescale.1;
                    // A width of 1 is a threshold.
                    (value - (centre - 0.5)) / (width - 1.0).max(f64::MIN_POSITIVE) + 0.5
                }
                None => (value - lowest) / (highest - lowest),
            };
            (share.clamp(0.0, 1.0) * 255.0).round() as u8
        };
        (0..all).map(|stored| if inverted { 255 - shade(stored) } else { shade(stored) }).collect()
    }

    /// The value of a sample: its stored bits, with their sign.
    fn value(&self, stored: u32) -> f64 {
        let kept = stored & ((1 << self.bits) - 1);
        match self.signed && kept >> (self.bits - 1) == 1 {
            true => f64::from(kept) - f64::from(1_u32 << self.bits),
            false => f64::from(kept),
        }
    }

    /// The stated values at the ends of the window, the nearest whole ones.
    fn shown(&self) -> Option<[i64; 2]> {
        let (lowest, highest) = match self.stated {
            Some((centre, width)) => {
                let half = (width - 1.0) / 2.0;
                (centre - 0.5 - half, centre - 0.5 + half)
            }
            None => self.all_values(),
        };
        self.wide.then(|| [lowest, highest].map(|value| value.round() as i64))
    }

    /// The values that samples of so many bits can have.
    fn all_values(&self) -> (f64, f64) {
        match self.signed {
            true => (-f64::from(1_u32 << (self.bits - 1)), f64::from((1_u32 << (self.bits - 1)) - 1)),
            false => (0.0, f64::from((1_u32 << self.bits) - 1)),
        }
    }

    fn notice(&self) -> Option<String> {
        if let Some((centre, width)) = self.passed_over {
            return Some(format!(
                "its grey samples of 8 bits are shown as they are, not through the file's window, centre {centre} and width {width}"
            ));
        }
        let Self { bits, .. } = self;
        let how = match self.stated {
            Some((centre, width)) => format!("through the file's window, centre {centre} and width {width}"),
            None => "from black to white over all of them, since the file states no window".to_owned(),
        };
        self.wide.then(|| format!("its grey samples of {bits} bits are shown in 8, {how}"))
    }
}
