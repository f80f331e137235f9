//! One slide from its source to a published container.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use microtome_codec::cross_scale::CROSS_SCALE;
use microtome_codec::jpeg::{self, Colour};
use microtome_codec::payload::VerbatimParams;
use microtome_codec::turbo::Subsampling;
use microtome_container::header::SectionKind;
use microtome_container::writer::Published;
use microtome_container::{ContentId, NewSection, SlideId, Writer};
use microtome_slide::metadata::{self, Metadata, SourceRecord};
use microtome_slide::{Grid, Slide};

use crate::Error;
use crate::coder::{Coder, Codings};
use crate::deidentify::{self, Removed};
use crate::fingerprint;
use crate::material::Materials;
use crate::metadata::{LevelBytes, Made};
use crate::opened::{BLANKING, Opened};
use crate::options::{BadTiles, Options};
use crate::plan::{Origin, Plan};
use crate::pyramid::Pyramid;
use crate::quality::Measured;
use crate::source::openslide::READER_PROPERTY;
use crate::source::{Content, Source, Tiles};
use crate::training::Training;

/// Quality of levels that are made or derived beside tiles kept verbatim.
const EXACT_MODE_QUALITY: u8 = 85;

/// What a stage counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Pixels of all stored levels.
    Pixels,
    /// Bytes written.
    Bytes,
}

/// Who is told how far an ingest is. Called from many threads.
pub trait Progress: Sync {
    /// A stage begins: its name, how much there is to do, in what unit.
    fn stage(&self, name: &'static str, total: u64, unit: Unit);
    /// `done` more units are done, `stored` more bytes are stored.
    fn advance(&self, done: u64, stored: u64);
}

/// What an ingest did.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Identity of the container.
    pub content_id: ContentId,
    /// Bytes of the container.
    pub container_bytes: u64,
    /// What the container says about itself and its source.
    pub metadata: Metadata,
    /// Tiles stored.
    pub tiles: u64,
    /// Records stored: identical tiles count once.
    pub records: u64,
    /// How the tiles are coded.
    pub codings: Codings,
    /// Pixels of level 0.
    pub pixels: u64,
    /// What was left out for the patient's sake, if that was asked for.
    pub removed: Option<Removed>,
}

/// Ingests the source named by `spec` (a path, or `synthetic:WxH[,seed=N]`) into the container `target`.
///
/// # Errors
/// Any of [`Error`]; nothing is then left under the target's name, and nothing that was there is changed.
pub fn ingest(
    spec: &str,
    target: &Path,
    options: Options,
    progress: &dyn Progress,
    cancelled: &AtomicBool,
) -> Result<Report, Error> {
    microtome_container::writer::remove_stale_parts(target)?;
    if target.symlink_metadata().is_ok() {
        return Err(microtome_container::Error::Exists(target.to_owned()).into());
    }
    // Which files it has is known when it is open: until then, what was named stands for them.
    let named = fingerprint::named(spec);
    let Opened { source, quality, mode, removed, blanked } = Opened::new(spec, options)?;
    let plan = Plan::new(&source, options.derived_levels);
    let params = parameters(spec, &source, &plan, quality, options.chroma)?;
    let writer = Writer::create(target, CROSS_SCALE, plan.tile_size, plan.overlap, plan.levels.clone())?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.jobs)
        .thread_name(|i| format!("ingest-{i}"))
        .build()
        .map_err(|e| {
            Error::Usage(format!("cannot start {} threads: {e}; ask for fewer with --jobs", options.jobs))
        })?;

    let before = fingerprint::state(spec, source.format)?;
    let materials = Materials { name: spec, source: &source, plan: &plan, params: &params };
    // No need to hash the rest of a source that has failed.
    let failed = AtomicBool::new(false);
    let stop = || cancelled.load(Ordering::Relaxed) || failed.load(Ordering::Relaxed);
    let (filled, fingerprint) = std::thread::scope(|scope| {
        let hashing = scope.spawn(|| fingerprint::of(spec, source.format, &stop));
        let filled = pool.install(|| fill(&materials, &writer, progress, cancelled));
        failed.store(filled.is_err(), Ordering::Relaxed);
        (filled, hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let filled = filled?;
    if let Some(blanked) = &blanked {
        blanked.check_some_is_left(spec, &plan)?;
    }
    if fingerprint::state(spec, source.format)? != before || fingerprint::named(spec) != named {
        return Err(Error::Malformed {
            path: spec.to_owned(),
            place: "its files".to_owned(),
            what: "they were written to while they were read; ingest it again once it is complete".to_owned(),
        });
    }
    let record = SourceRecord { reader: reader(&source), ..fingerprint? };
    let record = if options.deidentify { deidentify::anonymous(record) } else { record };
    let made = Made { mode, record, params: &params, filled: &filled, blanked: blanked.as_deref() };
    let metadata = made.metadata(&source, &plan, &LevelBytes::of(&writer, &plan)?);

    progress.stage("writing", writer.spooled_bytes(), Unit::Bytes);
    let slide_id = fingerprint::slide_id(&metadata.source, &metadata.encoder.mode, CROSS_SCALE, &params);
    let published = publish(writer, slide_id, &source, &filled.codec, &metadata, progress, cancelled)?;
    let Published { content_id, file_length, tiles, records } = published;
    let pixels = u64::from(source.width) * u64::from(source.height);
    let codings = filled.codings;
    Ok(Report {
        content_id,
        container_bytes: file_length,
        metadata,
        tiles,
        records,
        codings,
        pixels,
        removed,
    })
}

/// What reads a source: its own property says so where it is not us.
fn reader(source: &Source) -> String {
    let own = || format!("microtome {}", env!("CARGO_PKG_VERSION"));
    source
        .properties
        .iter()
        .find(|(name, _)| name == READER_PROPERTY)
        .map_or_else(own, |(_, reader)| reader.clone())
}

/// What came of the tiles, beside the tiles.
pub(crate) struct Filled {
    /// The codec's parameters, as they go into the container.
    pub(crate) codec: Vec<u8>,
    /// Whether derived tiles are made of samples.
    pub(crate) derives: bool,
    pub(crate) codings: Codings,
    /// A sample of the tiles that were quantised.
    pub(crate) measured: Vec<Measured>,
}

/// Trains the codec, then codes and stores all tiles. Runs on the calling rayon pool.
fn fill(
    materials: &Materials<'_>,
    writer: &Writer,
    progress: &dyn Progress,
    cancelled: &AtomicBool,
) -> Result<Filled, Error> {
    let plan = materials.plan;
    let grids: Vec<Grid> = (0..plan.levels.len() as u8).map(|k| plan.grid(k)).collect();
    let training = Training { materials, layout: writer.layout(), grids: &grids, progress, cancelled };
    let (trained, own) = training.train()?;
    let codec = trained.to_bytes();
    let coder = Coder::new(materials, &codec, &own)?;
    let derives = coder.codec().derives();
    let stored = grids.iter().zip(&plan.levels).filter(|(_, level)| level.stored);
    let pixels = stored.map(|(grid, _)| u64::from(grid.width) * u64::from(grid.height)).sum();
    progress.stage("tiles", pixels, Unit::Pixels);
    Pyramid { materials, coder: &coder, writer, grids: &grids, progress, cancelled }.fill()?;
    Ok(Filled { codec, derives, codings: coder.codings(), measured: coder.measured() })
}

/// What a file under a target's name is, beside the container that would be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Earlier {
    /// A whole container made from just this source in just this way: nothing to do again.
    Same,
    /// One made from this source before it changed, from another of its name, or in another way.
    Other,
    /// One made from another source, with the name of that. It is empty where de-identification left it out: then it may be
    /// this one before it changed, too.
    OfAnother(String),
    /// No whole container; what is wrong with it.
    Damaged(String),
    /// One that cannot be read, or that a newer version made; why it is not known what it is.
    Unreadable(String),
}

/// What `target`, which is there, came from.
///
/// # Errors
/// What opening or hashing the source finds.
pub fn earlier(spec: &str, target: &Path, options: Options) -> Result<Earlier, Error> {
    // First: without it there is nothing to be made anew from.
    let Opened { source, quality, mode, .. } = Opened::new(spec, options)?;
    let slide = match Slide::open(target) {
        Ok(slide) => slide,
        Err(error) if error.is_of_system() || error.is_of_newer_version() => {
            return Ok(Earlier::Unreadable(error.to_string()));
        }
        Err(error) => return Ok(Earlier::Damaged(error.to_string())),
    };
    let plan = Plan::new(&source, options.derived_levels);
    let record = fingerprint::of(spec, source.format, &|| false)?;
    let params = parameters(spec, &source, &plan, quality, options.chroma)?;
    let slide_id = |mode: &str| fingerprint::slide_id(&record, mode, CROSS_SCALE, &params);
    // Where no tile was bad it makes no difference what was to become of bad ones.
    let mode = mode.strip_suffix(BLANKING).unwrap_or(&mode);
    let is_blanked = slide.metadata().absent.iter().any(|absent| absent.undecodable);
    let stopping = slide_id(mode);
    let blanking = slide_id(&format!("{mode}{BLANKING}"));
    let header = slide.container().header();
    let is_same = match options.bad_tiles {
        BadTiles::Blank => [stopping, blanking].contains(&header.slide_id),
        BadTiles::Stop => header.slide_id == stopping || header.slide_id == blanking && !is_blanked,
    };
    if !is_same || header.levels != plan.levels {
        let made_from = &slide.metadata().source;
        return Ok(match made_from.name == record.name || made_from.sha256 == record.sha256 {
            true => Earlier::Other,
            false => Earlier::OfAnother(made_from.name.clone()),
        });
    }
    let mut damage = None;
    let verified = microtome_container::verify::verify(slide.container(), |checked| {
        damage = checked.err().map(|error| error.to_string());
        if damage.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    let damage = damage.or_else(|| verified.err().map(|error| error.to_string()));
    Ok(damage.map_or(Earlier::Same, Earlier::Damaged))
}

fn parameters(
    spec: &str,
    source: &Source,
    plan: &Plan,
    quality: Option<u8>,
    chroma: Option<Subsampling>,
) -> Result<VerbatimParams, Error> {
    let derived_subsampling = match (&source.content, chroma) {
        (Content::Pixels(_), chroma) => chroma.unwrap_or(Subsampling::Chroma420),
        (Content::Tiles(tiles), None) => tiles_chroma(tiles.as_ref())?,
        (Content::Tiles(_), Some(_)) => {
            return Err(Error::Usage(format!(
                "{spec}: its tiles are kept with the chroma that they have; leave out --chroma, or choose --quality \
                 1..100"
            )));
        }
    };
    let mut streams = vec![];
    if let Content::Tiles(tiles) = &source.content {
        for origin in &plan.origins {
            let &Origin::Verbatim(index) = origin else { continue };
            streams.push(tiles.levels()[index].stream(tiles.tile_size()));
        }
    }
    let derived_quality = quality.unwrap_or(EXACT_MODE_QUALITY);
    Ok(VerbatimParams { derived_quality, derived_subsampling, streams })
}

/// The chroma resolution for levels that are made beside kept tiles: that of level 0, whose tiles can then be predicted
/// from a level that was made. 4:2:0 beside tiles in RGB, since what is made is YCbCr.
fn tiles_chroma(tiles: &dyn Tiles) -> Result<Subsampling, Error> {
    let first = tiles.tile(0, 0, 0)?;
    // What is wrong with a tile is said when it is coded.
    let Ok(header) = jpeg::inspect(&first) else { return Ok(Subsampling::Chroma420) };
    let colour = match tiles.levels()[0].colour {
        Colour::AsStored => header.assumed_colour(),
        said => said,
    };
    let factors: Vec<_> = header.components.iter().map(|c| [c.horizontal, c.vertical]).collect();
    Ok(match (colour, &factors[..]) {
        (Colour::YCbCr, [[1, 1], [1, 1], [1, 1]]) => Subsampling::Chroma444,
        (Colour::YCbCr, [[2, 1], [1, 1], [1, 1]]) => Subsampling::Chroma422,
        _ => Subsampling::Chroma420,
    })
}

fn publish(
    writer: Writer,
    slide_id: SlideId,
    source: &Source,
    codec: &[u8],
    metadata: &Metadata,
    progress: &dyn Progress,
    cancelled: &AtomicBool,
) -> Result<Published, Error> {
    let section = |kind, critical, bytes| {
        let codec = if kind == SectionKind::CODEC_PARAMETERS { CROSS_SCALE } else { 0 };
        NewSection { kind, critical, codec, bytes }
    };
    let json = serde_json::to_vec_pretty(metadata).expect("metadata has only string keys and finite numbers");
    if json.len() as u64 > metadata::MAX_LENGTH {
        let what =
            format!("its properties take {} bytes (at most {} are stored)", json.len(), metadata::MAX_LENGTH);
        return Err(Error::Unsupported { path: metadata.source.name.clone(), what });
    }
    let mut sections = vec![
        section(SectionKind::CODEC_PARAMETERS, true, codec.to_vec()),
        section(SectionKind::METADATA, false, json),
    ];
    sections
        .extend(source.icc_profile.iter().map(|icc| section(SectionKind::ICC_PROFILE, false, icc.clone())));
    sections
        .extend(source.associated.iter().map(|a| section(SectionKind::ASSOCIATED, false, a.bytes.clone())));
    let published = writer.finish(slide_id, &sections, &mut |bytes| {
        progress.advance(bytes, 0);
        match cancelled.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    published.map_err(|error| match error {
        microtome_container::Error::Interrupted => Error::Interrupted,
        other => other.into(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use microtome_codec::Rgb;
    use microtome_codec::turbo;

    use super::*;

    /// Does something when the tiles begin.
    struct Meanwhile<F>(F);

    impl<F: Fn() + Send + Sync> Progress for Meanwhile<F> {
        fn stage(&self, name: &'static str, _: u64, _: Unit) {
            if name == "tiles" {
                (self.0)();
            }
        }
        fn advance(&self, _: u64, _: u64) {}
    }

    fn image(folder: &Path) -> PathBuf {
        let path = folder.join("a.jpg");
        let jpeg = turbo::encode(&Rgb::filled(90, 70, [200, 90, 160]), 80, Subsampling::Chroma420);
        fs::write(&path, jpeg.expect("encodes")).expect("writes");
        path
    }

    fn ingested(
        source: &Path,
        options: Options,
        meanwhile: impl Fn() + Send + Sync,
    ) -> Result<Report, Error> {
        let (spec, target) = (source.to_str().expect("UTF-8"), source.with_extension("mtm"));
        ingest(spec, &target, options, &Meanwhile(meanwhile), &AtomicBool::new(false))
    }

    #[test]
    fn a_source_that_is_written_to_meanwhile_is_an_error_and_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let source = image(folder.path());
        let longer = [fs::read(&source).expect("reads"), vec![0; 10]].concat();
        let error = ingested(&source, Options::default(), || fs::write(&source, &longer).expect("writes"));
        assert!(error.expect_err("another file").to_string().contains("written to while they were read"));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "the source alone");
    }

    #[test]
    fn a_stated_scale_is_the_slides_and_another_one_is_another_slide() {
        let folder = tempfile::tempdir().expect("a folder");
        let source = image(folder.path());
        let stated = |mpp| Options { mpp: Some(mpp), ..Options::default() };
        for absurd in [0.0, -0.25, 72.0, f64::NAN] {
            let error = ingested(&source, stated(absurd), || {}).expect_err("no microscope has that");
            assert!(matches!(error, Error::Usage(_)), "{error}");
        }
        let report = ingested(&source, stated(0.25), || {}).expect("ingests");
        let Report { metadata, .. } = &report;
        assert_eq!(metadata.mpp, Some([0.25; 2]));
        assert_eq!(metadata.properties.get("openslide.mpp-y").map(String::as_str), Some("0.25"));
        assert!(
            metadata.notices.iter().any(|notice| notice.contains("stated at ingest")),
            "{:?}",
            metadata.notices
        );
        let done = |options| {
            let earlier = earlier(source.to_str().expect("UTF-8"), &source.with_extension("mtm"), options);
            earlier.map(|earlier| earlier == Earlier::Same)
        };
        assert!(done(stated(0.25)).expect("compares"));
        assert!(!done(stated(0.5)).expect("compares") && !done(Options::default()).expect("compares"));
    }

    #[test]
    fn nothing_is_said_of_colours_that_were_not_converted() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options { to_srgb: true, ..Options::default() };
        let report = ingested(&image(folder.path()), options, || {}).expect("ingests");
        assert_eq!(report.metadata.encoder.mode, "quality 80");
        assert!(report.metadata.source.modified.is_some_and(|seconds| seconds > 1_700_000_000));
    }
}
