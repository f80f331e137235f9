//! `microtome ingest`: sources in, containers out.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

use microtome_codec::turbo::Subsampling;
use microtome_ingest::{DerivedLevels, Mode, Options, Report};

use crate::failure::{Failure, complain};
use crate::output::{print, print_document};
use crate::progress::{Display, Style, stop_on_signals};
use crate::table;
use crate::targets::Targets;

/// Put slides into containers.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A slide file (SVS, NDPI, SCN, TIFF), a Deep Zoom .dzi or its folder, an image, or synthetic:WxH[,seed=N].
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,
    /// A file.mtm, or a folder for one file per source, made if need be. Nothing that exists is replaced.
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Keep the source's JPEG tiles (of an NDPI: its coefficients), each to come back byte for byte; refuse sources that
    /// have none.
    #[arg(long, conflicts_with = "quality")]
    exact: bool,
    /// Quantise pixels, 1 to 100 [default: exact where the source's tiles are JPEG, else 80].
    #[arg(long, value_name = "1..100", value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: Option<u8>,
    /// Chroma of pixels that are quantised: one sample for 2 x 2 pixels, or one for each [default: 420].
    #[arg(long, value_enum, conflicts_with = "exact")]
    chroma: Option<Chroma>,
    /// In exact mode: keep the source's levels 1, 3, 5, ... (exact), or reduce them from finer ones (reduced).
    #[arg(long, value_enum, default_value = "exact")]
    derived_levels: DerivedLevelsArgument,
    /// Threads [default: one per core].
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    jobs: usize,
    /// Skip sources that the target was made from already, in the same way.
    #[arg(long)]
    resume: bool,
    /// How to show progress, on standard error.
    #[arg(long, value_enum, default_value = "auto")]
    progress: Style,
    /// Print one JSON document per source.
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
        Options { mode, derived_levels, chroma, jobs: self.jobs }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let targets = Targets::new(&arguments.sources, &arguments.output)?;
    targets.with_folder(|| every(arguments, &targets.files))
}

/// Ingests every source, whatever becomes of those before it.
fn every(arguments: &Arguments, targets: &[PathBuf]) -> Result<(), Failure> {
    let all = arguments.sources.len();
    let mut failed = 0;
    for (source, target) in arguments.sources.iter().zip(targets) {
        match one(arguments, source, target) {
            Ok(()) => {}
            Err(failure) if all == 1 => return Err(failure),
            Err(Failure::Output(error)) => return Err(Failure::Output(error)),
            Err(failure) => {
                complain(&failure.to_string());
                failed += 1;
            }
        }
        if stop_on_signals().load(Ordering::Relaxed) {
            return Err(Failure::Failed(
                "interrupted; finished slides are kept, go on with --resume".to_owned(),
            ));
        }
    }
    match failed {
        0 => Ok(()),
        _ if failed == all => Err(Failure::Failed(format!("all {all} inputs failed; see the lines above"))),
        _ => Err(Failure::SomeFailed { failed, all }),
    }
}

fn one(arguments: &Arguments, source: &str, target: &Path) -> Result<(), Failure> {
    let options = arguments.options();
    if arguments.resume && target.exists() && microtome_ingest::already_ingested(source, target, options)? {
        complain(&format!("{}: made from {source} already, skipped", target.display()));
        return Ok(());
    }
    let begin = Instant::now();
    let report = ingest(source, target, options, arguments.progress)?;
    let seconds = begin.elapsed().as_secs_f64();
    if arguments.json {
        let document = serde_json::json!({
            "source": source,
            "target": target.display().to_string(),
            "content_id": report.content_id.to_string(),
            "source_bytes": report.metadata.source.bytes,
            "container_bytes": report.container_bytes,
            "pixels": report.pixels,
            "tiles": report.tiles,
            "records": report.records,
            "codings": {
                "verbatim": report.codings.verbatim,
                "alone": report.codings.alone,
                "predicted": report.codings.predicted,
            },
            "seconds": (seconds * 1000.0).round() / 1000.0,
            "metadata": report.metadata,
        });
        return print_document(&document.to_string());
    }
    for notice in &report.metadata.notices {
        complain(&format!("{source}: note: {notice}"));
    }
    print(&summary(target, &report, seconds))
}

/// Ingests one source with progress shown and signals heeded.
pub(crate) fn ingest(source: &str, target: &Path, options: Options, style: Style) -> Result<Report, Failure> {
    let name = Path::new(source).file_name().unwrap_or(source.as_ref()).to_string_lossy().into_owned();
    let display = Display::new(&name, style);
    let result = microtome_ingest::ingest(source, target, options, &display, stop_on_signals());
    display.finish();
    Ok(result?)
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
