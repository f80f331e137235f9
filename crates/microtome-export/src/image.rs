//! A level, or a part of one, as a plain picture.
//!
//! PNG goes out in bands of rows, so that memory is bounded whatever the size; JPEG is held whole. Both carry the slide's
//! ICC profile. Not here: associated images, which are stored as files already; pictures of other sizes than the level's,
//! which `microtome-render` makes.

use std::cell::Cell;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use microtome_codec::Rgb;
use microtome_codec::turbo::{self, Subsampling};
use microtome_render::{Drawing, View};
use microtome_slide::{Rect, Slide};

use crate::Error;

/// Pixels of the largest JPEG: what `ingest` reads. Making one takes some 7 bytes of memory a pixel.
pub const MAX_JPEG_PIXELS: u64 = 100_000_000;
/// Pixels of the largest PNG.
pub const MAX_PNG_PIXELS: u64 = 4_000_000_000;
/// The longest side of a JPEG, by libjpeg.
const MAX_JPEG_SIDE: u32 = 65_500;
/// Pixels of a band of rows.
const BAND: u64 = 32 << 20;

/// The kind of picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JPEG, 4:2:0, of this quality, 1 to 100.
    Jpeg {
        /// As libjpeg counts.
        quality: u8,
    },
    /// PNG.
    Png,
}

/// Writes `region` of a level (all of it if `None`) to `out`; `path` is what messages call it. Decodes on all threads of the
/// current pool; blocks.
///
/// # Errors
/// [`Error::Usage`] if there is no such level or part of it, or it is larger than the format takes; others of [`Error`].
pub fn write(
    slide: &Slide,
    level: u8,
    region: Option<Rect>,
    format: Format,
    path: &Path,
    out: impl Write,
    cancelled: &AtomicBool,
) -> Result<(), Error> {
    let rect = part(slide, level, region)?;
    check_size(rect, format)?;
    let picture = Picture { slide, level, cancelled };
    match format {
        Format::Jpeg { quality } => picture.write_jpeg(rect, quality, path, out),
        Format::Png => picture.write_png(rect, path, out),
    }
}

/// The part of the level that was asked for.
fn part(slide: &Slide, level: u8, region: Option<Rect>) -> Result<Rect, Error> {
    let name = slide.container().path().display();
    let Some(grid) = slide.levels().get(usize::from(level)) else {
        let last = slide.levels().len() - 1;
        return Err(Error::Usage(format!(
            "{name}: level {level} is outside the slide: its levels are 0 to {last}"
        )));
    };
    let (width, height) = (grid.width, grid.height);
    let rect = region.unwrap_or(Rect { x: 0, y: 0, width, height });
    let inside = |start: u32, length: u32, limit: u32| {
        length > 0 && u64::from(start) + u64::from(length) <= u64::from(limit)
    };
    if inside(rect.x, rect.width, width) && inside(rect.y, rect.height, height) {
        return Ok(rect);
    }
    let Rect { x, y, width: w, height: h } = rect;
    Err(Error::Usage(match w == 0 || h == 0 {
        true => format!("{name}: region {x},{y},{w},{h} is empty; it is X,Y,WIDTH,HEIGHT"),
        false => {
            format!(
                "{name}: region {x},{y},{w},{h} reaches beyond level {level}, which has {width} x {height} px"
            )
        }
    }))
}

fn check_size(rect: Rect, format: Format) -> Result<(), Error> {
    let Rect { width, height, .. } = rect;
    let pixels = u64::from(width) * u64::from(height);
    let (name, limit, other) = match format {
        Format::Jpeg { .. } => ("JPEG", MAX_JPEG_PIXELS, " or .png"),
        Format::Png => ("PNG", MAX_PNG_PIXELS, ""),
    };
    let too_long = matches!(format, Format::Jpeg { .. }) && width.max(height) > MAX_JPEG_SIDE;
    if pixels <= limit && !too_long {
        return Ok(());
    }
    let side = if too_long { format!(", {MAX_JPEG_SIDE} px a side") } else { String::new() };
    Err(Error::Usage(format!(
        "{width} x {height} px are too many for one {name} (at most {} megapixels{side}): choose a coarser --level, a \
         smaller --region, or .tif{other}",
        limit / 1_000_000
    )))
}

struct Picture<'a> {
    slide: &'a Slide,
    level: u8,
    cancelled: &'a AtomicBool,
}

impl Picture<'_> {
    fn write_jpeg(&self, rect: Rect, quality: u8, path: &Path, mut out: impl Write) -> Result<(), Error> {
        let pixels = self.pixels(rect)?;
        // Written once and kept: worth the tables of its own that `microtome-render` does without.
        let jpeg = turbo::encode(&pixels, quality, Subsampling::Chroma420)
            .map_err(|error| self.unsupported(&error))?;
        let jpeg = match self.slide.icc_profile()? {
            Some(profile) => microtome_render::jpeg_with_profile(&jpeg, &profile).ok_or_else(|| {
                self.unsupported(&format!("its ICC profile of {} bytes is too long for JPEG", profile.len()))
            })?,
            None => jpeg,
        };
        out.write_all(&jpeg).map_err(|cause| Error::Write { path: path.to_owned(), cause })
    }

    fn write_png(&self, rect: Rect, path: &Path, out: impl Write) -> Result<(), Error> {
        let kind = Cell::new(None);
        let failed = |cause: std::io::Error| {
            let cause = std::io::Error::new(kind.get().unwrap_or(cause.kind()), cause);
            Error::Write { path: path.to_owned(), cause }
        };
        let refused = |error: png::EncodingError| match error {
            png::EncodingError::IoError(cause) => failed(cause),
            other => self.unsupported(&other),
        };
        let mut info = png::Info::with_size(rect.width, rect.height);
        info.color_type = png::ColorType::Rgb;
        info.bit_depth = png::BitDepth::Eight;
        info.icc_profile = self.slide.icc_profile()?.map(Into::into);
        let mut out = BufWriter::new(Noting { out, kind: &kind });
        let mut encoder = png::Encoder::with_info(&mut out, info).map_err(refused)?;
        encoder.set_compression(png::Compression::Fast);
        let mut writer = encoder.write_header().map_err(refused)?;
        let mut stream = writer.stream_writer().map_err(refused)?;
        for band in self.bands(rect) {
            stream.write_all(self.pixels(band)?.data()).map_err(failed)?;
        }
        stream.finish().map_err(refused)?;
        writer.finish().map_err(refused)?;
        out.flush().map_err(failed)
    }

    /// The rows of a rectangle in bands: each a row of tiles, as long as that is not too much.
    fn bands(&self, rect: Rect) -> impl Iterator<Item = Rect> {
        let side = self.slide.levels()[usize::from(self.level)].tile_size;
        let most = (BAND / u64::from(rect.width)).clamp(1, u64::from(side)) as u32;
        let end = rect.y + rect.height;
        let mut y = rect.y;
        std::iter::from_fn(move || {
            let next = end.min((y / most + 1) * most);
            let band = Rect { y, height: next.checked_sub(y).filter(|&rows| rows > 0)?, ..rect };
            y = next;
            Some(band)
        })
    }

    /// The pixels of a rectangle, decoded on all threads.
    fn pixels(&self, rect: Rect) -> Result<Rgb, Error> {
        let mut drawing = Drawing::new(self.slide, View::level(self.level, rect));
        while drawing.fetch(&())? {
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            drawing.advance(&())?;
        }
        Ok(drawing.finish())
    }

    fn unsupported(&self, error: &dyn std::fmt::Display) -> Error {
        let path = self.slide.container().path().to_owned();
        Error::Unsupported { path, what: format!("level {} cannot be a picture: {error}", self.level) }
    }
}

/// A writer that notes why it failed: of errors on their way through the encoder nothing is left but words.
struct Noting<'a, W> {
    out: W,
    kind: &'a Cell<Option<std::io::ErrorKind>>,
}

impl<W: Write> Write for Noting<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.out.write(bytes).inspect_err(|error| self.kind.set(Some(error.kind())))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush().inspect_err(|error| self.kind.set(Some(error.kind())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_refused_with_the_way_round() {
        let rect = |width, height| Rect { x: 0, y: 0, width, height };
        let jpeg = Format::Jpeg { quality: 85 };
        assert!(check_size(rect(10_000, 10_000), jpeg).is_ok());
        assert!(check_size(rect(65_501, 1), Format::Png).is_ok());
        for (rect, format, what) in [
            (rect(10_001, 10_000), jpeg, "at most 100 megapixels): choose a coarser --level"),
            (rect(65_501, 1), jpeg, "65500 px a side"),
            (rect(100_000, 40_001), Format::Png, "at most 4000 megapixels"),
            (rect(u32::MAX, u32::MAX), Format::Png, "or .tif"),
        ] {
            let error = check_size(rect, format).expect_err(what).to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
