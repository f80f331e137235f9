//! Small containers of real JPEG tiles.

use std::ops::ControlFlow;
use std::path::PathBuf;

use microtome_codec::Rgb;
use microtome_codec::cross_scale::{CROSS_SCALE, CrossScale, Kind};
use microtome_codec::payload::{VERBATIM, VerbatimParams};
use microtome_codec::turbo::{self, Subsampling};
use microtome_container::geometry::{TileId, coarsest_level};
use microtome_container::{Level, NewSection, SectionKind, SlideId, Writer};
use microtome_slide::{Grid, Slide};

/// A slide whose stored levels are independent pictures, so that no level passes for another.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) codec: u16,
    pub(crate) tile_size: u32,
    pub(crate) overlap: u32,
    pub(crate) levels: Vec<Level>,
    /// All sections, or the codec parameters and empty metadata.
    pub(crate) sections: Option<Vec<NewSection>>,
    /// Payloads to store in the place of the right ones.
    pub(crate) instead: Vec<(TileId, Vec<u8>)>,
}

impl Sample {
    pub(crate) const QUALITY: u8 = 85;
    pub(crate) const SUBSAMPLING: Subsampling = Subsampling::Chroma420;

    /// A pyramid down to 1 x 1 px, even levels stored, odd ones derived.
    pub(crate) fn new(width: u32, height: u32, tile_size: u32, overlap: u32) -> Self {
        let mut levels = vec![Level { width, height, stored: true }];
        for k in 1..=coarsest_level(width, height) {
            let finer = levels[usize::from(k) - 1];
            let (width, height) = (finer.width.div_ceil(2), finer.height.div_ceil(2));
            levels.push(Level { width, height, stored: k % 2 == 0 });
        }
        Self { codec: VERBATIM, tile_size, overlap, levels, sections: None, instead: vec![] }
    }

    /// The parameter section.
    pub(crate) fn parameters(&self) -> NewSection {
        section(b"CPAR", &Self::params().to_bytes())
    }

    fn params() -> VerbatimParams {
        let (derived_quality, derived_subsampling) = (Self::QUALITY, Self::SUBSAMPLING);
        VerbatimParams { derived_quality, derived_subsampling, streams: vec![] }
    }

    /// The same in codec 1, said to be predicted so; the payloads are what they were.
    pub(crate) fn predicted(self, kinds: &[Kind]) -> Self {
        let bytes = CrossScale::built_in(Self::params(), kinds.to_vec()).to_bytes();
        let parameters = NewSection { codec: CROSS_SCALE, ..section(b"CPAR", &bytes) };
        Self { codec: CROSS_SCALE, sections: Some(vec![parameters]), ..self }
    }

    /// The right JPEG of a tile of a stored level. Overlaps differ from what the neighbour shows there.
    pub(crate) fn jpeg(&self, tile: TileId) -> Vec<u8> {
        let Level { width, height, .. } = self.levels[usize::from(tile.level)];
        let grid = Grid { width, height, tile_size: self.tile_size, overlap: self.overlap };
        let rect = grid.tile_rect(tile.column, tile.row).expect("inside");
        let mut pixels = picture(rect.width, rect.height);
        let shift = (tile.column * 31 + tile.row * 57 + u32::from(tile.level) * 11) as u8;
        pixels.data_mut().iter_mut().for_each(|byte| *byte = byte.wrapping_add(shift));
        turbo::encode(&pixels, 90, Self::SUBSAMPLING).expect("encodes")
    }

    /// Writes the container into a folder of its own.
    pub(crate) fn write(&self) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("slide.mtm");
        let levels = self.levels.clone();
        let writer =
            Writer::create(&path, self.codec, self.tile_size, self.overlap, levels).expect("a writer");
        let put = writer.layout().try_for_each_tile(|_, tile| {
            if !self.levels[usize::from(tile.level)].stored {
                return Ok(());
            }
            match self.instead.iter().find(|(other, _)| *other == tile) {
                Some((_, payload)) => writer.put(tile, payload),
                None => writer.put(tile, &self.jpeg(tile)),
            }
        });
        put.expect("put");
        let default = || vec![self.parameters(), section(b"META", b"{}")];
        let sections = self.sections.clone().unwrap_or_else(default);
        writer
            .finish(SlideId(*b"a slide's own id"), &sections, &mut |_| ControlFlow::Continue(()))
            .expect("published");
        (folder, path)
    }

    /// Writes the container and opens it.
    pub(crate) fn slide(&self) -> (tempfile::TempDir, Slide) {
        let (folder, path) = self.write();
        (folder, Slide::open(&path).expect("opens"))
    }
}

/// A section for a sample.
pub(crate) fn section(kind: &[u8; 4], bytes: &[u8]) -> NewSection {
    NewSection { kind: SectionKind(*kind), critical: kind == b"CPAR", codec: 0, bytes: bytes.to_vec() }
}

/// A picture with some structure everywhere.
pub(crate) fn picture(width: u32, height: u32) -> Rgb {
    let pixel = |i: u32| {
        let (x, y) = (i % width, i / width);
        [(x * 5 + y * 2) as u8, ((y * 7) ^ x) as u8, (x * y / 3 + 80) as u8]
    };
    Rgb::from_vec(width, height, (0..width * height).flat_map(pixel).collect()).expect("sizes match")
}

/// The definition of "Derived levels" in `docs/format/container.md`, word for word.
pub(crate) fn half(image: &Rgb) -> Rgb {
    let (w, h) = (image.width(), image.height());
    let mut out = Vec::new();
    for y in 0..h.div_ceil(2) {
        for x in 0..w.div_ceil(2) {
            let (x0, x1) = (2 * x, (2 * x + 1).min(w - 1));
            let (y0, y1) = (2 * y, (2 * y + 1).min(h - 1));
            let four = [(x0, y0), (x1, y0), (x0, y1), (x1, y1)].map(|(x, y)| image.pixel(x, y));
            out.extend((0..3).map(|c| ((four.iter().map(|p| u32::from(p[c])).sum::<u32>() + 2) / 4) as u8));
        }
    }
    Rgb::from_vec(w.div_ceil(2), h.div_ceil(2), out).expect("sizes match")
}
