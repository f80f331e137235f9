//! One slide from its source to a published container.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use microtome_codec::payload::{PayloadCodec, VERBATIM, VerbatimParams};
use microtome_codec::turbo::Subsampling;
use microtome_container::header::SectionKind;
use microtome_container::writer::Published;
use microtome_container::{ContentId, NewSection, Writer};
use microtome_slide::Slide;
use microtome_slide::metadata::{self, AssociatedImage, Encoder, LossStep, Metadata, Quality, SourceRecord};

use crate::Error;
use crate::fingerprint;
use crate::plan::{Origin, Plan};
use crate::pyramid::Pyramid;
use crate::source::{self, Content, Source};

/// Quality of levels that are made or derived beside tiles kept verbatim.
const EXACT_MODE_QUALITY: u8 = 85;

/// How the source's level 0 goes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Exact where the source's tiles are JPEG, else quality 80.
    #[default]
    Auto,
    /// JPEG tiles byte for byte; a source without them is refused.
    Exact,
    /// Pixels quantised by us, 1 to 100 as libjpeg counts.
    Quality(u8),
}

/// What becomes of the source's levels 1, 3, 5, ... in exact mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DerivedLevels {
    /// Kept byte for byte.
    #[default]
    Exact,
    /// Left out and reduced from the finer level when asked for.
    Reduced,
}

/// How to ingest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// How level 0 goes in.
    pub mode: Mode,
    /// What becomes of the levels in between.
    pub derived_levels: DerivedLevels,
    /// Threads; 0 is one per core.
    pub jobs: usize,
}

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
    /// Pixels of level 0.
    pub pixels: u64,
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
    let source = source::open(spec)?;
    let quality = choose_quality(spec, &source, options.mode)?;
    let source = if quality.is_some() { source.into_pixels() } else { source };
    let plan = Plan::new(&source, options.derived_levels);
    let params = parameters(&source, &plan, quality);
    let codec = PayloadCodec::Verbatim(params.clone());
    let writer = Writer::create(target, VERBATIM, plan.tile_size, plan.overlap, plan.levels.clone())?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.jobs)
        .thread_name(|i| format!("ingest-{i}"))
        .build()
        .map_err(|e| {
            Error::Usage(format!("cannot start {} threads: {e}; ask for fewer with --jobs", options.jobs))
        })?;

    let stored =
        (0..plan.levels.len() as u8).filter(|&k| plan.levels[usize::from(k)].stored).map(|k| plan.grid(k));
    progress.stage("tiles", stored.map(|g| u64::from(g.width) * u64::from(g.height)).sum(), Unit::Pixels);
    let pyramid = Pyramid {
        name: spec,
        source: &source,
        plan: &plan,
        codec: &codec,
        writer: &writer,
        quality: params.derived_quality,
        subsampling: params.derived_subsampling,
        progress,
        cancelled,
        psnr: Mutex::new(vec![]),
    };
    // No need to hash the rest of a source that has failed.
    let failed = AtomicBool::new(false);
    let stop = || cancelled.load(Ordering::Relaxed) || failed.load(Ordering::Relaxed);
    let (filled, fingerprint) = std::thread::scope(|scope| {
        let hashing = scope.spawn(|| fingerprint::of(spec, source.format, &stop));
        let filled = pool.install(|| pyramid.fill());
        failed.store(filled.is_err(), Ordering::Relaxed);
        (filled, hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    filled?;
    let record = fingerprint?;
    let psnr = pyramid.psnr.into_inner().unwrap_or_else(PoisonError::into_inner);
    let levels = LevelBytes::of(&writer, &plan)?;
    let metadata = metadata(&source, &plan, record, mode_name(quality), loss(&plan, &params, &levels, &psnr));

    progress.stage("writing", writer.spooled_bytes(), Unit::Bytes);
    let published = publish(writer, &source, &params, &metadata, progress, cancelled)?;
    let Published { content_id, file_length, tiles, records } = published;
    let pixels = u64::from(source.width) * u64::from(source.height);
    Ok(Report { content_id, container_bytes: file_length, metadata, tiles, records, pixels })
}

/// Whether `target` is a whole container made from just this source in just this way: nothing to do again.
///
/// # Errors
/// What opening or hashing the source finds. A target that is missing, damaged, or made in another way is `Ok(false)`.
pub fn already_ingested(spec: &str, target: &Path, options: Options) -> Result<bool, Error> {
    let Ok(slide) = Slide::open(target) else { return Ok(false) };
    let source = source::open(spec)?;
    let quality = choose_quality(spec, &source, options.mode)?;
    let source = if quality.is_some() { source.into_pixels() } else { source };
    let plan = Plan::new(&source, options.derived_levels);
    let record = fingerprint::of(spec, source.format, &|| false)?;
    let params = parameters(&source, &plan, quality).to_bytes();
    let expected = fingerprint::slide_id(&record, &mode_name(quality), &params);
    if slide.container().header().slide_id != expected || slide.container().header().levels != plan.levels {
        return Ok(false);
    }
    let mut whole = true;
    microtome_container::verify::verify(slide.container(), |checked| {
        whole &= checked.is_ok();
        if whole { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .map_or(Ok(false), |_| Ok(whole))
}

/// What the metadata calls the way level 0 went in.
fn mode_name(quality: Option<u8>) -> String {
    quality.map_or("exact".to_owned(), |q| format!("quality {q}"))
}

/// The quality of level 0, or `None` for exact.
fn choose_quality(spec: &str, source: &Source, mode: Mode) -> Result<Option<u8>, Error> {
    let tiled = matches!(source.content, Content::Tiles(_));
    match mode {
        Mode::Exact if !tiled => Err(Error::Usage(format!(
            "{spec}: has no JPEG tiles that could be kept exactly; leave out --exact, or choose --quality 1..100"
        ))),
        Mode::Quality(quality) if !(1..=100).contains(&quality) => {
            Err(Error::Usage(format!("quality {quality} is not 1 to 100")))
        }
        Mode::Auto | Mode::Exact if tiled => Ok(None),
        Mode::Auto | Mode::Exact => Ok(Some(80)),
        Mode::Quality(quality) => Ok(Some(quality)),
    }
}

fn parameters(source: &Source, plan: &Plan, quality: Option<u8>) -> VerbatimParams {
    let mut streams = vec![];
    if let Content::Tiles(tiles) = &source.content {
        for origin in &plan.origins {
            let &Origin::Verbatim(index) = origin else { continue };
            streams.push(tiles.levels()[index].stream(tiles.tile_size()));
        }
    }
    VerbatimParams {
        derived_quality: quality.unwrap_or(EXACT_MODE_QUALITY),
        derived_subsampling: Subsampling::Chroma420,
        streams,
    }
}

fn metadata(
    source: &Source,
    plan: &Plan,
    record: SourceRecord,
    mode: String,
    loss: Vec<LossStep>,
) -> Metadata {
    let associated = source.associated.iter().enumerate();
    Metadata {
        encoder: Encoder {
            name: "microtome".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode,
        },
        source: record,
        mpp: source.mpp,
        objective_power: source.objective_power,
        properties: source.properties.iter().cloned().collect(),
        associated: associated
            .map(|(index, image)| AssociatedImage {
                name: image.name.clone(),
                media_type: image.media_type.to_owned(),
                width: image.width,
                height: image.height,
                index,
            })
            .collect(),
        loss,
        notices: [&source.notices[..], &plan.notices[..]].concat(),
    }
}

/// Stored bytes of each level.
struct LevelBytes(Vec<u64>);

impl LevelBytes {
    fn of(writer: &Writer, plan: &Plan) -> Result<Self, Error> {
        let mut bytes = vec![0; plan.levels.len()];
        writer.layout().try_for_each_tile(|_, tile| {
            bytes[usize::from(tile.level)] += writer.length(tile)?.map_or(0, u64::from);
            Ok::<_, Error>(())
        })?;
        Ok(Self(bytes))
    }

    /// Bytes of 24-bit RGB per stored byte.
    fn ratio(&self, plan: &Plan, levels: &[u8]) -> f64 {
        let pixels = |&k: &u8| u64::from(plan.grid(k).width) * u64::from(plan.grid(k).height);
        let stored: u64 = levels.iter().map(|&k| self.0[usize::from(k)]).sum();
        let raw = 3 * levels.iter().map(pixels).sum::<u64>();
        if stored == 0 { 0.0 } else { (1000.0 * raw as f64 / stored as f64).round() / 1000.0 }
    }
}

/// The loss record: every lossy step between the source and the tiles.
fn loss(plan: &Plan, params: &VerbatimParams, bytes: &LevelBytes, psnr: &[(u8, f64)]) -> Vec<LossStep> {
    let quality = params.derived_quality;
    let jpeg = format!("JPEG baseline, quality {quality}, 4:2:0 (libjpeg-turbo)");
    type Wanted = fn(Origin) -> bool;
    let steps: [(Wanted, String); 4] = [
        (|o| matches!(o, Origin::Verbatim(_)), "the source's JPEG tiles, byte for byte".to_owned()),
        (|o| o == Origin::Quantised, format!("quantised from the source's pixels: {jpeg}")),
        (
            |o| matches!(o, Origin::Made(_)),
            format!("made by 2x2 averages of the decoded finer level: {jpeg}"),
        ),
        (
            |o| o == Origin::Derived,
            format!("derived on demand by 2x2 averages of the decoded finer level: {jpeg}"),
        ),
    ];
    let mut record = vec![];
    for (wanted, method) in steps {
        let levels: Vec<u8> =
            (0..plan.levels.len() as u8).filter(|&k| wanted(plan.origins[usize::from(k)])).collect();
        if levels.is_empty() {
            continue;
        }
        let measured = psnr.iter().filter(|(level, _)| levels.contains(level)).map(|&(_, db)| db).collect();
        let verbatim = matches!(plan.origins[usize::from(levels[0])], Origin::Verbatim(_));
        let (ratio, quality) = (bytes.ratio(plan, &levels), summarise(measured));
        record.push(LossStep { levels, verbatim, method, ratio, quality });
    }
    record
}

fn summarise(mut psnr: Vec<f64>) -> Option<Quality> {
    psnr.sort_by(f64::total_cmp);
    let at = |share: f64| psnr.get((psnr.len() as f64 * share) as usize).copied();
    // Two decimals: the last bits of a logarithm may differ between machines, and the file must not.
    let round = |db: f64| (db * 100.0).round() / 100.0;
    Some(Quality {
        tiles: psnr.len() as u64,
        psnr_y_worst: round(at(0.0)?),
        psnr_y_p1: round(at(0.01)?),
        psnr_y_median: round(at(0.5)?),
    })
}

fn publish(
    writer: Writer,
    source: &Source,
    params: &VerbatimParams,
    metadata: &Metadata,
    progress: &dyn Progress,
    cancelled: &AtomicBool,
) -> Result<Published, Error> {
    let section = |kind, critical, bytes| NewSection { kind, critical, codec: 0, bytes };
    let json = serde_json::to_vec_pretty(metadata).expect("metadata has only string keys and finite numbers");
    if json.len() as u64 > metadata::MAX_LENGTH {
        let what =
            format!("its properties take {} bytes (at most {} are stored)", json.len(), metadata::MAX_LENGTH);
        return Err(Error::Unsupported { path: metadata.source.name.clone(), what });
    }
    let mut sections = vec![
        section(SectionKind::CODEC_PARAMETERS, true, params.to_bytes()),
        section(SectionKind::METADATA, false, json),
    ];
    sections
        .extend(source.icc_profile.iter().map(|icc| section(SectionKind::ICC_PROFILE, false, icc.clone())));
    sections
        .extend(source.associated.iter().map(|a| section(SectionKind::ASSOCIATED, false, a.bytes.clone())));
    let slide_id = fingerprint::slide_id(&metadata.source, &metadata.encoder.mode, &params.to_bytes());
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
