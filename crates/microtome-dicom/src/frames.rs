//! The frames of a level: its tiles at full size, as baseline JPEG of one kind.
//!
//! PS3.3 C.7.6.17.3 (TILED_FULL: row by row, from the top left), C.8.12.14 (all frames of one size), PS3.5 section 8.2.1
//! (JPEG baseline). A tile of full size stays as it is; one at the edge is padded without touching a coefficient; one that
//! overlaps its neighbours, or is of another kind than the others, is encoded anew. Of both of the first an Adobe marker is left out
//! that only says what decoders take for granted: pydicom's by Pillow would convert colours twice. Not here: who fetches tiles.

use std::borrow::Cow;

use bytes::Bytes;
use microtome_codec::coefficients;
use microtome_codec::jpeg::{self, Colour, Header};
use microtome_codec::turbo::{self, Subsampling};
use microtome_slide::{Grid, Rect, Slide, TileId, mosaic};

use crate::Error;

/// Tiles that are looked at to learn what those of a level are like.
const SAMPLE: u64 = 8;

/// What the samples of a frame are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Photometric {
    /// Grey, 0 is black.
    Monochrome,
    /// Red, green, blue, not transformed.
    Rgb,
    /// Luma and two chromas, whatever their resolution: DICOM has one name for all of them in JPEG.
    YCbCr,
}

impl Photometric {
    /// The value of PhotometricInterpretation.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Monochrome => "MONOCHROME2",
            Self::Rgb => "RGB",
            Self::YCbCr => "YBR_FULL_422",
        }
    }

    /// Samples per pixel.
    #[must_use]
    pub fn samples(self) -> u32 {
        if self == Self::Monochrome { 1 } else { 3 }
    }

    /// That of a stream which any decoder of baseline JPEG takes; `None` of others.
    pub(crate) fn of(header: &Header) -> Option<Self> {
        let baseline = header.process == 0 && header.precision == 8;
        let photometric = match (header.components.len(), header.assumed_colour()) {
            (1, _) => Self::Monochrome,
            (3, Colour::Rgb) => Self::Rgb,
            (3, _) => Self::YCbCr,
            _ => return None,
        };
        baseline.then_some(photometric)
    }
}

/// How a frame came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Making {
    /// The tile as it is served, but for an Adobe marker.
    Kept,
    /// Padded to full size, all coefficients kept.
    Padded,
    /// Encoded anew from its pixels.
    Anew,
}

/// The frames of a level.
#[derive(Debug, Clone, PartialEq)]
pub struct LevelFrames {
    level: u8,
    /// The grid of the slide's tiles.
    tiles: Grid,
    photometric: Photometric,
    quality: u8,
    tile_ratio: f64,
    frame_ratio: f64,
}

impl LevelFrames {
    /// Looks at some tiles of a level; what is encoded anew has this quality. Blocks and decodes.
    ///
    /// # Errors
    /// [`Error::Slide`] if a tile does not decode.
    ///
    /// # Panics
    /// If the level does not exist.
    pub fn open(slide: &Slide, level: u8, quality: u8) -> Result<Self, Error> {
        let tiles = slide.levels()[usize::from(level)];
        let photometric = Photometric::YCbCr;
        let mut frames = Self { level, tiles, photometric, quality, tile_ratio: 0.0, frame_ratio: 0.0 };
        let count = SAMPLE.min(tiles.tiles());
        let mut sample = vec![];
        for i in 0..count {
            let (column, row) = tiles.position(i * tiles.tiles() / count);
            let tile = TileId { level, column, row };
            sample.push((tile, slide.tile(tile)?));
        }
        let kinds: Vec<_> = sample.iter().filter_map(|(_, jpeg)| kind(jpeg)).collect();
        let often = |kind: &Photometric| kinds.iter().filter(|other| *other == kind).count();
        if frames.keeps_tiles()
            && let Some(kind) = kinds.iter().copied().max_by_key(often)
        {
            frames.photometric = kind;
        }
        let (mut raw, mut stored, mut framed) = (0, 0, 0);
        for (tile, jpeg) in &sample {
            let rect =
                tiles.tile_rect(tile.column, tile.row).unwrap_or(Rect { x: 0, y: 0, width: 0, height: 0 });
            raw += u64::from(frames.photometric.samples()) * u64::from(rect.width) * u64::from(rect.height);
            stored += jpeg.len() as u64;
            framed += if frames.keeps_tiles() { 0 } else { frames.frame(slide, *tile, jpeg)?.0.len() as u64 };
        }
        let ratio = |bytes: u64| (100.0 * raw as f64 / bytes.max(1) as f64).round() / 100.0;
        frames.tile_ratio = ratio(stored);
        frames.frame_ratio = if frames.keeps_tiles() { frames.tile_ratio } else { ratio(framed) };
        Ok(frames)
    }

    /// Whether the tiles of the slide are frames as they are, but for padding.
    #[must_use]
    pub fn keeps_tiles(&self) -> bool {
        self.tiles.overlap == 0
    }

    /// The grid of the frames: without overlap.
    #[must_use]
    pub fn grid(&self) -> Grid {
        Grid { overlap: 0, ..self.tiles }
    }

    /// What the samples of all frames are.
    #[must_use]
    pub fn photometric(&self) -> Photometric {
        self.photometric
    }

    /// Bytes of samples per byte of the slide's own tiles, over those that were looked at.
    #[must_use]
    pub fn tile_ratio(&self) -> f64 {
        self.tile_ratio
    }

    /// Bytes of samples per byte of frames, over those that were looked at.
    #[must_use]
    pub fn frame_ratio(&self) -> f64 {
        self.frame_ratio
    }

    /// Number of frames.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.tiles.tiles()
    }

    /// The tile that a frame is made of; frames count from 1.
    #[must_use]
    pub fn tile_of(&self, frame: u64) -> Option<TileId> {
        let index = frame.checked_sub(1).filter(|&index| index < self.count())?;
        let (column, row) = self.tiles.position(index);
        Some(TileId { level: self.level, column, row })
    }

    /// The frame of a tile that is one as it is served, but for its marker; of others `None`, and [`Self::frame`] has some work to do.
    #[must_use]
    pub fn kept(&self, jpeg: &Bytes) -> Option<Bytes> {
        let side = self.tiles.tile_size;
        let full = jpeg::inspect(jpeg).is_ok_and(|header| (header.width, header.height) == (side, side));
        (self.keeps_tiles() && full && kind(jpeg) == Some(self.photometric)).then(|| unmarked(jpeg))
    }

    /// The frame of a tile, from the tile as it is served. Decodes, if need be.
    ///
    /// # Errors
    /// [`Error::Tile`] if it has to be encoded anew and cannot be what the other frames are.
    pub fn frame(&self, slide: &Slide, tile: TileId, jpeg: &Bytes) -> Result<(Bytes, Making), Error> {
        if let Some(frame) = self.kept(jpeg) {
            return Ok((frame, Making::Kept));
        }
        let side = self.tiles.tile_size;
        if self.keeps_tiles()
            && kind(jpeg) == Some(self.photometric)
            && let Ok(padded) = coefficients::extended(jpeg, side, side)
        {
            return Ok((unmarked(&padded.into()), Making::Padded));
        }
        let failed = |what: String| Error::Tile { path: slide.container().path().to_owned(), tile, what };
        if self.photometric != Photometric::YCbCr {
            return Err(failed("is not like the other tiles of its level, and cannot be made so".to_owned()));
        }
        let lies = self.tiles.tile_rect(tile.column, tile.row);
        let own = self.grid().tile_rect(tile.column, tile.row);
        let (Some(lies), Some(own)) = (lies, own) else {
            return Err(microtome_slide::Error::OutsideSlide(tile).into());
        };
        let pixels = turbo::decode(jpeg, u64::from(lies.width) * u64::from(lies.height))
            .map_err(|error| failed(error.to_string()))?;
        if (pixels.width(), pixels.height()) != (lies.width, lies.height) {
            return Err(failed("is not of its grid's size".to_owned()));
        }
        let pixels = pixels.crop(own.x - lies.x, own.y - lies.y, own.width, own.height);
        let full = Rect { width: side, height: side, ..own };
        let chroma = jpeg::inspect(jpeg).map_or(Subsampling::Chroma420, |header| chroma(&header));
        let encoded = turbo::encode(&mosaic::extended(&pixels, own, full), self.quality, chroma);
        Ok((encoded.map_err(|error| failed(error.to_string()))?.into(), Making::Anew))
    }
}

/// The stream without an Adobe marker that says nothing new.
pub(crate) fn unmarked(jpeg: &Bytes) -> Bytes {
    match jpeg::unmarked(jpeg) {
        Ok(Cow::Owned(other)) => other.into(),
        _ => jpeg.clone(),
    }
}

fn kind(jpeg: &[u8]) -> Option<Photometric> {
    jpeg::inspect(jpeg).ok().as_ref().and_then(Photometric::of)
}

/// The chroma resolution to encode with: no less than the tile has.
pub(crate) fn chroma(header: &Header) -> Subsampling {
    match &header.components[..] {
        [first, ..] if (first.horizontal, first.vertical) == (2, 2) => Subsampling::Chroma420,
        [first, ..] if (first.horizontal, first.vertical) == (2, 1) => Subsampling::Chroma422,
        _ => Subsampling::Chroma444,
    }
}
