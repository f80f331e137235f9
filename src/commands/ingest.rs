//! `microtome ingest`: sources in, containers out.

mod batch;
mod shard;
pub(crate) mod sources;
mod walk;
mod watch;

use std::path::{Path, PathBuf};

use microtome_codec::turbo::Subsampling;
use microtome_ingest::{BadTiles, DerivedLevels, Mode, Options, Report};

use crate::commands::openslide;
use crate::failure::Failure;
use crate::progress::{Display, Style, stop_on_signals};
use crate::settings::whole_number;
use crate::table;
use crate::targets::Targets;
use batch::Batch;
use shard::Shard;

/// Put slides into containers.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A slide file, a Deep Zoom .dzi or its folder, a Zoomify or IIIF folder or its descriptor (ImageProperties.xml,
    /// info.json), a folder of DICOM files, an image, a folder to be walked through, a pattern (`'2024/*.svs'`), or
    /// synthetic:WxH[,seed=N].
    #[arg(required_unless_present_any = ["manifest", "watch"], value_name = "SOURCE")]
    sources: Vec<String>,
    /// A file.mtm, or a folder for one file per source, made if need be. Nothing that exists is replaced.
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// A file with a source on each line, as SOURCE; after a tab, the slide's own target. Both start from the file's folder.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Only this part of all sources, to be run beside the others: 1/8 to 8/8.
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Then go on with whatever appears in this folder, until interrupted; with --resume implied.
    #[arg(long, value_name = "DIR")]
    watch: Option<PathBuf>,
    /// Seconds for which nothing of a slide in the watched folder may change before it is taken: more than any pause of
    /// whatever writes it.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, requires = "watch")]
    settle: u64,
    /// Append a JSON document per source to this file: what became of it, and why.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Keep the source's JPEG tiles (of an NDPI: its coefficients), each to come back byte for byte; refuse sources that
    /// have none.
    #[arg(long, conflicts_with = "quality")]
    exact: bool,
    /// Quantise pixels, 1 to 100 [default: exact where the source's tiles are JPEG, else 80].
    #[arg(long, value_name = "1..100", value_parser = whole_number::<u8>(1..=100))]
    quality: Option<u8>,
    /// Chroma of pixels that are quantised: one sample for 2 x 2 pixels, or one for each [default: 420].
    #[arg(long, value_enum, conflicts_with = "exact")]
    chroma: Option<Chroma>,
    /// In exact mode: keep the source's levels 1, 3, 5, ... (exact), or reduce them from finer ones (reduced).
    #[arg(long, value_enum, default_value = "exact")]
    derived_levels: DerivedLevelsArgument,
    /// The slide's ICC profile: keep it beside the pixels, or convert them to sRGB by it, once.
    #[arg(long, value_enum, default_value = "keep")]
    icc: Icc,
    /// Micrometres per pixel of level 0, over whatever the source says: for images that say nothing, or not the truth.
    #[arg(long, value_name = "UM")]
    mpp: Option<f64>,
    /// Leave out what may identify the patient: label, macro image, file name, and every property that is not known to be
    /// harmless; say what that was.
    #[arg(long)]
    deidentify: bool,
    /// A tile that is missing, malformed, or no picture: end the slide's ingest and say where it is; or put white in its place,
    /// record it in the container, and go on.
    #[arg(long, value_enum, default_value = "stop")]
    on_bad_tile: OnBadTile,
    /// Threads, 0 for one per core [default: 0].
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    #[arg(value_parser = whole_number::<usize>(0..=1024))]
    jobs: usize,
    #[command(flatten)]
    openslide: openslide::Arguments,
    /// Skip sources that the target was made from already, in the same way.
    #[arg(long)]
    resume: bool,
    /// How to show progress, on standard error.
    #[arg(long, value_enum, default_value = "auto")]
    progress: Style,
    /// Print one JSON document per source: what became of it, as --report has it.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum DerivedLevelsArgument {
    Exact,
    Reduced,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Chroma {
    #[value(name = "420")]
    Halved,
    #[value(name = "444")]
    Full,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Icc {
    Keep,
    Srgb,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum OnBadTile {
    Stop,
    Blank,
}

impl Arguments {
    fn options(&self) -> Options {
        let mode = match (self.exact, self.quality) {
            (true, _) => Mode::Exact,
            (false, Some(quality)) => Mode::Quality(quality),
            (false, None) => Mode::Auto,
        };
        let derived_levels = match self.derived_levels {
            DerivedLevelsArgument::Exact => DerivedLevels::Exact,
            DerivedLevelsArgument::Reduced => DerivedLevels::Reduced,
        };
        let chroma = self.chroma.map(|chroma| match chroma {
            Chroma::Halved => Subsampling::Chroma420,
            Chroma::Full => Subsampling::Chroma444,
        });
        Options {
            mode,
            derived_levels,
            chroma,
            jobs: self.jobs,
            to_srgb: self.icc == Icc::Srgb,
            deidentify: self.deidentify,
            bad_tiles: match self.on_bad_tile {
                OnBadTile::Stop => BadTiles::Stop,
                OnBadTile::Blank => BadTiles::Blank,
            },
            mpp: self.mpp,
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    arguments.openslide.apply();
    let jobs = sources::jobs(&arguments.sources, arguments.manifest.as_deref())?;
    let mut batch = Batch::new(arguments)?;
    let targets = Targets::new(&jobs, &arguments.output, arguments.watch.is_some())?;
    targets.with_folder(|| {
        batch.every(&jobs, &targets.files)?;
        match &arguments.watch {
            Some(folder) => batch.watch(folder),
            None => batch.end(),
        }
    })
}

/// What a source came to.
enum Outcome {
    Done(Box<Report>),
    /// Its target was made from it before.
    Skipped,
}

/// Ingests one source with progress shown and signals heeded; `number` is its place among all, as in `3/20`.
pub(crate) fn ingest(
    source: &str,
    target: &Path,
    options: Options,
    style: Style,
    number: Option<(usize, usize)>,
) -> Result<Report, microtome_ingest::Error> {
    let name = Path::new(source).file_name().unwrap_or(source.as_ref()).to_string_lossy();
    let name = number.map_or(name.to_string(), |(i, n)| format!("{i}/{n} {name}"));
    let display = Display::new(&name, style);
    let result = microtome_ingest::ingest(source, target, options, &display, stop_on_signals());
    display.finish();
    result
}

/// What an ingest did, in a line.
pub(crate) fn summary(target: &Path, report: &Report, seconds: f64) -> String {
    let source = &report.metadata.source;
    let from = if source.bytes > 0 { format!("{} -> ", table::bytes(source.bytes)) } else { String::new() };
    format!(
        "{}: {} ({}), {from}{}, {} tiles, {:.1} s, {:.1} MP/s",
        target.display(),
        report.metadata.encoder.mode,
        source.format,
        table::bytes(report.container_bytes),
        table::count(report.tiles),
        seconds,
        report.pixels as f64 / 1e6 / seconds,
    )
}
