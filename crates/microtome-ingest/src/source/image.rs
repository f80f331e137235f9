//! Plain images, told by their first bytes: PNG and JPEG, and TIFF and DICOM, which are handed on.
//!
//! PNG (W3C, third edition) is decoded row by row, JPEG (ITU-T T.81) at once; both are kept in memory or in a
//! temporary file and read from there. 16-bit samples are cut to 8, alpha is shown over white. Not here: pyramids, animation, CMYK.

mod beside;
pub(in crate::source) mod spool;

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use microtome_codec::{Rgb, jpeg, turbo};
use microtome_container::geometry::Rect;
use png::{ColorType, DecodingError, Transformations};

use self::beside::Beside;
use self::spool::{MAX_SPOOL_PIXELS, Spool, Writer, read_exact_at};
use super::turned::Turned;
use super::{Content, Pixels, Source, dicom, openslide, tiff, unread};
use crate::Error;

/// Images that can only be decoded whole may have so many pixels: 100 megapixels, which take up to 900 MB where the
/// decoder keeps all coefficients beside the pixels (progressive JPEG without subsampling).
const MAX_WHOLE_PIXELS: u64 = 100_000_000;
/// Longest side, so that a row of any kind stays below 128 MiB.
const MAX_SIDE: u32 = 1 << 24;
/// Memory that the PNG decoder may take for its chunks (a 16-bit RGBA row of the longest side fits).
const PNG_MEMORY: usize = 256 << 20;
/// Longest JPEG file: no image of [`MAX_WHOLE_PIXELS`] needs as much.
const MAX_JPEG_BYTES: u64 = 1 << 30;
/// Deflate never expands more (RFC 1951: 258 bytes from 2 bits).
const MAX_DEFLATE_RATIO: u64 = 1032;

/// Bytes that tell what a file is.
const START: usize = 132;

const REMEDY: &str = "convert it to a tiled TIFF first, for example: \
                      vips tiffsave IN OUT.tif --tile --pyramid --compression deflate";

/// What to do with a file that is nothing that is known.
const UNKNOWN: &str = "it may be damaged, cut off or misnamed (docs/formats.md lists what is read); an image of another \
                       kind can be converted, for example: vips tiffsave IN OUT.tif --tile --pyramid --compression deflate";

/// Opens a PNG, JPEG, TIFF or DICOM file, told by its first bytes. PNG and JPEG are decoded here and now.
///
/// # Errors
/// [`Error::Malformed`] for damaged files, [`Error::Unsupported`] for other files and for images too large to decode,
/// [`Error::Read`].
pub fn open(path: &Path) -> Result<Source, Error> {
    let image = Image { path: path.to_owned() };
    let (file, length, start) = image.begin()?;
    if let Some(format) = unread::tell(path, &start)? {
        return openslide::open_unread(path, format);
    }
    // A file can be TIFF and DICOM at once; its name then says what it is meant as.
    let is_named = |names: [&str; 2]| {
        path.extension().is_some_and(|extension| names.iter().any(|n| extension.eq_ignore_ascii_case(n)))
    };
    if is_named(["dcm", "dicom"]) || (start.ends_with(b"DICM") && !is_named(["tif", "tiff"])) {
        return dicom::open(path);
    }
    match start {
        [0x89, b'P', b'N', b'G', ..] => image.open_png(file, length),
        [0xFF, 0xD8, 0xFF, ..] => image.open_jpeg(file, length),
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => tiff::open(path),
        _ => Err(image.unsupported("no slide or image that is known here, by its first bytes", UNKNOWN)),
    }
}

/// The pixels of a PNG file that is a tile: `check` is told its size before it is decoded, which takes as much memory as it says.
///
/// # Errors
/// Those of `check`; [`Error::Malformed`] also for other files.
pub(super) fn open_png_tile(
    path: &Path,
    check: impl FnOnce((u32, u32)) -> Result<(), Error>,
) -> Result<Rgb, Error> {
    let image = Image { path: path.to_owned() };
    let (file, length, start) = image.begin()?;
    let [0x89, b'P', b'N', b'G', ..] = start else {
        return Err(image.malformed("tile", "this is not a PNG file"));
    };
    let Png { size: (width, height), spool, .. } = image.decode_png(file, length, check)?;
    spool.read(Rect { x: 0, y: 0, width, height })
}

/// A PNG, decoded.
struct Png {
    size: (u32, u32),
    spool: Spool,
    beside: Beside,
}

/// An image file being opened.
struct Image {
    path: PathBuf,
}

impl Image {
    /// The file, its length and its first bytes, as far as DICOM's preamble goes.
    fn begin(&self) -> Result<(File, u64, [u8; START]), Error> {
        let failed = |cause| self.read_error(cause);
        // Looked at before it is opened: opening a pipe would wait for whoever writes it.
        if !std::fs::metadata(&self.path).map_err(failed)?.is_file() {
            return Err(self.unsupported("this is not a file", "name the slide's own file"));
        }
        let file = File::open(&self.path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        if length == 0 {
            return Err(self.malformed("header", "the file is empty"));
        }
        let mut start = [0; START];
        read_exact_at(&file, &mut start[..length.min(START as u64) as usize], 0).map_err(failed)?;
        Ok((file, length, start))
    }

    fn read_error(&self, cause: io::Error) -> Error {
        Error::Read { path: self.path.clone(), cause }
    }

    fn malformed(&self, place: &str, what: impl std::fmt::Display) -> Error {
        let what = format!("{what}; the file is damaged or cut off: copy or export it again");
        Error::Malformed { path: self.path.display().to_string(), place: place.into(), what }
    }

    fn unsupported(&self, what: impl std::fmt::Display, remedy: &str) -> Error {
        Error::Unsupported { path: self.path.display().to_string(), what: format!("{what}; {remedy}") }
    }

    fn check_pixels(&self, kind: &str, (width, height): (u32, u32), limit: u64) -> Result<(), Error> {
        if width.max(height) > MAX_SIDE || u64::from(width) * u64::from(height) > limit {
            let what = format!(
                "{kind} of {width} x {height} px (at most {limit} px and {MAX_SIDE} a side are taken)"
            );
            return Err(self.unsupported(what, REMEDY));
        }
        Ok(())
    }

    /// A picture of the stored `size`, shown upright.
    fn source(&self, size: (u32, u32), format: &'static str, spool: Spool, beside: Beside) -> Source {
        let orientation = beside.orientation();
        let Beside { icc_profile, notices, .. } = beside;
        let (width, height) = orientation.size(size);
        Source {
            width,
            height,
            format,
            content: Content::Pixels(Turned::upright(Box::new(spool), size, orientation)),
            properties: Vec::new(),
            mpp: None,
            objective_power: None,
            icc_profile,
            associated: Vec::new(),
            notices,
        }
    }

    fn open_jpeg(&self, file: File, length: u64) -> Result<Source, Error> {
        if length > MAX_JPEG_BYTES {
            return Err(self.unsupported(
                format!("a JPEG of {length} bytes (at most {MAX_JPEG_BYTES} are taken)"),
                REMEDY,
            ));
        }
        let mut stream = Vec::new();
        BufReader::new(file).take(MAX_JPEG_BYTES).read_to_end(&mut stream).map_err(|e| self.read_error(e))?;
        let failed = |error: microtome_codec::Error| match error {
            microtome_codec::Error::Unsupported(what) => self.unsupported(format!("JPEG of {what}"), REMEDY),
            error => self.malformed("JPEG", error),
        };
        let header = jpeg::inspect(&stream).map_err(failed)?;
        if header.components.len() == 4 {
            return Err(self.unsupported(
                "a CMYK JPEG",
                "convert it to RGB first, for example: vips icc_transform IN OUT.tif srgb",
            ));
        }
        header.check_displayable().map_err(failed)?;
        let size = (header.width, header.height);
        self.check_pixels("a JPEG", size, MAX_WHOLE_PIXELS)?;
        let pixels = turbo::decode(&stream, MAX_WHOLE_PIXELS).map_err(failed)?;
        let beside = Beside::of_jpeg(&stream);
        drop(stream);
        Ok(self.source(size, "jpeg", Spool::of(&self.path, pixels)?, beside))
    }

    fn open_png(&self, file: File, length: u64) -> Result<Source, Error> {
        let Png { size, spool, beside } = self.decode_png(file, length, |_any| Ok(()))?;
        Ok(self.source(size, "png", spool, beside))
    }

    fn decode_png(
        &self,
        file: File,
        length: u64,
        check: impl FnOnce((u32, u32)) -> Result<(), Error>,
    ) -> Result<Png, Error> {
        let limits = png::Limits { bytes: PNG_MEMORY };
        let mut decoder = png::Decoder::new_with_limits(BufReader::with_capacity(1 << 16, file), limits);
        decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
        decoder.set_ignore_text_chunk(true);
        let info = decoder.read_header_info().map_err(|error| self.png_error(error))?;
        let (size, interlaced) = (info.size(), info.interlaced);
        check(size)?;
        let limit = if interlaced { MAX_WHOLE_PIXELS } else { MAX_SPOOL_PIXELS };
        self.check_pixels(if interlaced { "an interlaced PNG" } else { "a PNG" }, size, limit)?;
        let raw = u64::from(size.0) * u64::from(size.1) * info.bits_per_pixel() as u64 / 8;
        if raw / MAX_DEFLATE_RATIO > length {
            let what = format!("{} x {} px cannot come from {length} bytes", size.0, size.1);
            return Err(self.malformed("IHDR", what));
        }
        let mut reader = decoder.read_info().map_err(|error| self.png_error(error))?;
        let mut spool = Writer::new(&self.path, size.0, size.1)?;
        let samples = reader.output_color_type().0;
        if interlaced {
            let bytes = reader.output_buffer_size().unwrap_or_default();
            let mut data = vec![0; bytes];
            reader.next_frame(&mut data).map_err(|error| self.png_error(error))?;
            for row in data.chunks(bytes.div_ceil(size.1 as usize).max(1)) {
                spool.write(&rgb(samples, row))?;
            }
        } else {
            while let Some(row) = reader.next_row().map_err(|error| self.png_error(error))? {
                spool.write(&rgb(samples, row.data()))?;
            }
        }
        reader.finish().map_err(|error| self.png_error(error))?;
        let info = reader.info();
        let mut beside = Beside::default();
        if let Some(profile) = &info.icc_profile {
            beside.colour_by(profile.to_vec());
        }
        if let Some(exif) = &info.exif_metadata {
            beside.turn(exif);
        }
        if let Some(animation) = &info.animation_control {
            let frames = animation.num_frames;
            beside.notices.push(format!(
                "its animation of {frames} frames is left out: the picture without it is taken"
            ));
        }
        Ok(Png { size, spool: spool.finish()?, beside })
    }

    fn png_error(&self, error: DecodingError) -> Error {
        match error {
            DecodingError::IoError(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
                self.read_error(source)
            }
            DecodingError::LimitsExceeded => {
                self.unsupported(format!("a PNG that needs more than {PNG_MEMORY} bytes of memory"), REMEDY)
            }
            error => self.malformed("PNG", error),
        }
    }
}

/// RGB bytes of 8-bit samples, over white where there is alpha.
fn rgb(samples: ColorType, row: &[u8]) -> Cow<'_, [u8]> {
    let over_white = |sample: u8, alpha: u8| {
        ((u32::from(sample) * u32::from(alpha) + 255 * (255 - u32::from(alpha)) + 127) / 255) as u8
    };
    let pixels: Vec<[u8; 3]> = match samples {
        // A palette is expanded by the decoder.
        ColorType::Rgb | ColorType::Indexed => return Cow::Borrowed(row),
        ColorType::Grayscale => row.iter().map(|&grey| [grey; 3]).collect(),
        ColorType::GrayscaleAlpha => {
            row.as_chunks().0.iter().map(|&[grey, alpha]| [over_white(grey, alpha); 3]).collect()
        }
        ColorType::Rgba => {
            let pixels = row.as_chunks().0.iter();
            pixels.map(|&[r, g, b, alpha]| [r, g, b].map(|sample| over_white(sample, alpha))).collect()
        }
    };
    Cow::Owned(pixels.into_flattened())
}

#[cfg(test)]
mod tests;
