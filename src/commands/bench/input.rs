//! What is measured: the pixels of an image, or the JPEG tiles that a slide has already.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use microtome_codec::Rgb;
use microtome_ingest::source::{self, Content, Tiles};
use microtome_slide::Rect;

use crate::failure::Failure;
use crate::publish;

/// Pixels held in memory with a dozen copies for the metrics: some 8 GB.
const MAX_PIXELS: u64 = 64_000_000;
/// Shortest side: the metrics have windows.
const MIN_SIDE: u32 = 16;

/// A source as the benchmark sees it.
pub(super) enum Input {
    /// Pixels of level 0, of which the baseline is made.
    Pixels(Rgb),
    /// Tiles that are the baseline.
    Tiles {
        /// The tiles of all levels that the source has.
        tiles: Box<dyn Tiles>,
        /// Width and height of level 0.
        size: (u32, u32),
    },
}

impl Input {
    /// Opens a source, and reads its pixels or the `crop` x `crop` in their middle.
    pub(super) fn open(spec: &str, crop: Option<u32>) -> Result<Self, Failure> {
        let source = source::open(spec)?;
        let size = (source.width, source.height);
        let pixels = match source.content {
            Content::Tiles(_) if crop.is_some() => {
                return Err(Failure::Usage(format!(
                    "{spec}: its JPEG tiles are taken as they are; leave out --crop"
                )));
            }
            Content::Tiles(tiles) => return Ok(Self::Tiles { tiles, size }),
            Content::Pixels(pixels) => pixels,
        };
        let rect = middle(size, crop);
        let failed =
            |what: String| Failure::Failed(format!("{spec}: {} x {} px {what}", rect.width, rect.height));
        if rect.width.min(rect.height) < MIN_SIDE {
            return Err(failed(format!("is too small to measure; a side is at least {MIN_SIDE} px")));
        }
        if u64::from(rect.width) * u64::from(rect.height) > MAX_PIXELS {
            return Err(failed(format!(
                "is more than {} megapixels; choose a --crop",
                MAX_PIXELS / 1_000_000
            )));
        }
        Ok(Self::Pixels(pixels.read(rect)?))
    }

    /// Width and height of level 0.
    pub(super) fn size(&self) -> (u32, u32) {
        match self {
            Self::Pixels(pixels) => (pixels.width(), pixels.height()),
            Self::Tiles { size, .. } => *size,
        }
    }
}

/// The square in the middle, on the grid of JPEG's 4:2:0 blocks, or all of it.
fn middle((width, height): (u32, u32), crop: Option<u32>) -> Rect {
    let span = |length: u32| {
        let side = crop.unwrap_or(length).min(length);
        ((length - side) / 2 / 16 * 16, side)
    };
    let ((x, width), (y, height)) = (span(width), span(height));
    Rect { x, y, width, height }
}

/// Writes pixels as a PNG without compression, so that reading it costs next to nothing.
pub(super) fn write_png(path: &Path, pixels: &Rgb) -> Result<(), Failure> {
    let write = || {
        let file = BufWriter::new(File::create(path)?);
        let mut encoder = png::Encoder::new(file, pixels.width(), pixels.height());
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_compression(png::Compression::NoCompression);
        encoder.set_filter(png::Filter::NoFilter);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(pixels.data())?;
        writer.finish()
    };
    write().map_err(|error| publish::unwritable(path, &error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crop_is_in_the_middle_and_never_larger_than_the_image() {
        assert_eq!(middle((1000, 500), None), Rect { x: 0, y: 0, width: 1000, height: 500 });
        assert_eq!(middle((1000, 500), Some(600)), Rect { x: 192, y: 0, width: 600, height: 500 });
    }

    #[test]
    fn pixels_come_back_from_the_png() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.png");
        let pixels =
            Rgb::from_vec(40, 20, (0..40 * 20 * 3).map(|i| (i % 253) as u8).collect()).expect("sizes match");
        write_png(&path, &pixels).expect("writes");
        let name = path.to_str().expect("UTF-8");
        assert!(matches!(Input::open(name, None), Ok(Input::Pixels(read)) if read == pixels));
        assert!(
            matches!(Input::open(name, Some(8)), Err(Failure::Failed(what)) if what.contains("too small"))
        );
    }
}
