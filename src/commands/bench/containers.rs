//! Containers made of a source through the same door as `microtome ingest`, one thread, and what they take.

use std::sync::atomic::Ordering;

use microtome_codec::{Rgb, turbo};
use microtome_container::SectionKind;
use microtome_ingest::Options;
use microtome_slide::{Rect, Slide, TileId, mosaic};

use super::timing::timed;
use crate::failure::Failure;
use crate::progress::{Display, Style, stop_on_signals};
use crate::publish;

/// Bytes of a container, and the time that it took to make.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct Measured {
    /// The whole file.
    pub(super) bytes: u64,
    /// Tile records of each level; 0 for derived levels.
    pub(super) level_bytes: Vec<u64>,
    /// Parameters of the codecs.
    pub(super) codec_parameters: u64,
    /// Metadata.
    pub(super) metadata: u64,
    /// The index of the tiles.
    pub(super) index: u64,
    /// Label, macro, thumbnail: pictures of the source that no JPEG pyramid has.
    pub(super) associated: u64,
    /// Everything else: the header, which has a fixed size, and padding.
    pub(super) header: u64,
    /// Seconds of the ingest.
    pub(super) seconds: f64,
    /// Megapixels of level 0 per second.
    pub(super) megapixels_per_second: f64,
}

/// A container in a folder of its own, which goes with it.
pub(super) struct Made {
    // First, so that the file is closed before it is removed.
    slide: Slide,
    _folder: tempfile::TempDir,
    pub(super) measured: Measured,
}

impl Made {
    /// Ingests the source named by `spec`.
    pub(super) fn new(spec: &str, options: Options) -> Result<Self, Failure> {
        let folder = temporary_folder()?;
        let target = folder.path().join("slide.mtm");
        let quiet = Display::new("", Style::None);
        let options = Options { jobs: 1, ..options };
        let (report, seconds) =
            timed(|| microtome_ingest::ingest(spec, &target, options, &quiet, stop_on_signals()));
        let megapixels = report?.pixels as f64 / 1e6;
        let slide = Slide::open(&target)?;
        let measured = measure(&slide, seconds, megapixels)?;
        Ok(Self { slide, _folder: folder, measured })
    }

    /// The pixels that a viewer sees of a level: those of the tiles that it is served.
    pub(super) fn decode(&self, level: usize) -> Result<Rgb, Failure> {
        let grid = self.slide.levels()[level];
        let all = Rect { x: 0, y: 0, width: grid.width, height: grid.height };
        let side = u64::from(grid.tile_size + 2 * grid.overlap);
        mosaic::assemble(&grid, all, |column, row| {
            let jpeg = self.slide.tile(TileId { level: level as u8, column, row })?;
            turbo::decode(&jpeg, side * side).map_err(|error| Failure::Failed(error.to_string()))
        })
    }
}

fn measure(slide: &Slide, seconds: f64, megapixels: f64) -> Result<Measured, Failure> {
    let header = slide.container().header();
    let sections =
        |kind| header.sections.iter().filter(move |s| s.kind == kind).map(|s| s.length).sum::<u64>();
    let level_bytes: Vec<u64> = slide.usage()?.iter().map(|usage| usage.bytes).collect();
    let [codec_parameters, metadata, index, associated] =
        [SectionKind::CODEC_PARAMETERS, SectionKind::METADATA, SectionKind::INDEX, SectionKind::ASSOCIATED]
            .map(sections);
    let accounted = level_bytes.iter().sum::<u64>() + codec_parameters + metadata + index + associated;
    Ok(Measured {
        bytes: header.file_length,
        level_bytes,
        codec_parameters,
        metadata,
        index,
        associated,
        header: header.file_length.saturating_sub(accounted),
        seconds,
        megapixels_per_second: megapixels / seconds,
    })
}

/// A folder that goes when it is dropped.
pub(super) fn temporary_folder() -> Result<tempfile::TempDir, Failure> {
    let folder = tempfile::Builder::new().prefix("microtome-bench-").tempdir();
    folder.map_err(|error| publish::unwritable(&std::env::temp_dir(), &error))
}

/// Refuses to go on once the user has asked to stop.
pub(super) fn go_on() -> Result<(), Failure> {
    match stop_on_signals().load(Ordering::Relaxed) {
        true => Err(Failure::Failed("interrupted".to_owned())),
        false => Ok(()),
    }
}
