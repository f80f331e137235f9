//! `microtome bench rd`: rate and distortion against JPEG pyramids.

use std::path::Path;

use microtome_ingest::source::Tiles;
use microtome_ingest::{DerivedLevels, Mode, Options, Progress, Unit};

use super::containers::{self, Made, Measured, go_on};
use super::found::{self, Found};
use super::input::Input;
use super::pyramid::Levels;
use super::report::{Pyramid, Report, even_levels};
use super::{ladder, targets};
use crate::failure::{Failure, complain};
use crate::output::{print, print_document};
use crate::progress::{Display, Style, stop_on_signals};
use crate::settings::whole_number;
use crate::table;
use targets::{Mean, Target};

/// Measure sizes against JPEG pyramids: exact tiles, derived levels, and pixels at equal quality.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// An image (PNG, JPEG, TIFF), best one that was never JPEG; or a slide of JPEG tiles, measured in exact mode only.
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,
    /// Qualities of the JPEG pyramids that exact mode is measured on.
    #[arg(long, value_name = "1..100,...", value_delimiter = ',', default_value = "60,70,80,85,90",
          value_parser = whole_number::<u8>(1..=100))]
    quality: Vec<u8>,
    /// Measure the N x N px in the middle of an image.
    #[arg(long, value_name = "N")]
    crop: Option<u32>,
    /// How to show progress, on standard error.
    #[arg(long, value_enum, default_value = "auto")]
    progress: Style,
    /// Print one JSON document per source, and a last one with the means of several.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let all = arguments.sources.len();
    let mut measured: Vec<Vec<Target>> = vec![];
    for source in &arguments.sources {
        match one(arguments, source) {
            Ok(report) => measured.push(report.targets().to_vec()),
            Err(failure) if all == 1 || go_on().is_err() => return Err(failure),
            Err(failure @ Failure::Output(_)) => return Err(failure),
            Err(failure) => complain(&failure.to_string()),
        }
        go_on()?;
    }
    if measured.len() > 1 {
        print_means(&measured, arguments.json)?;
    }
    match all - measured.len() {
        0 => Ok(()),
        failed if failed == all => {
            Err(Failure::Failed(format!("all {all} inputs failed; see the lines above")))
        }
        failed => Err(Failure::SomeFailed { failed, all }),
    }
}

fn print_means(measured: &[Vec<Target>], json: bool) -> Result<(), Failure> {
    let means = targets::means(measured);
    if json {
        return print_document(
            &serde_json::json!({ "sources": measured.len(), "geometric_means": means }).to_string(),
        );
    }
    let head = format!("geometric mean of {} sources", measured.len());
    table::print(&[vec![Mean::heads(&head)], means.iter().map(Mean::row).collect()].concat())?;
    Ok(())
}

/// Measures one source and prints what was found.
fn one(arguments: &Arguments, source: &str) -> Result<Report, Failure> {
    // From here on a signal asks for a clean stop: the temporary folders go.
    stop_on_signals();
    let name = Path::new(source).file_name().unwrap_or(source.as_ref()).to_string_lossy();
    let display = Display::new(&name, arguments.progress);
    let report = measure(arguments, source, &display);
    display.finish();
    let report = report?;
    if arguments.json {
        print_document(&serde_json::to_string(&report).map_err(std::io::Error::other)?)?;
    } else {
        report.print()?;
        print("")?;
    }
    Ok(report)
}

fn measure(arguments: &Arguments, source: &str, display: &Display) -> Result<Report, Failure> {
    let input = Input::open(source, arguments.crop)?;
    let size = input.size();
    let pixels = u64::from(size.0) * u64::from(size.1);
    let pixels = match input {
        Input::Tiles { tiles, .. } => {
            display.stage("exact", 3 * pixels, Unit::Pixels);
            let pyramid = tiles_found(source, &*tiles, &|bytes| display.advance(pixels, bytes))?;
            return Ok(Report::new(source, size, vec![pyramid], None));
        }
        Input::Pixels(pixels) => pixels,
    };
    let count = u64::from(size.0) * u64::from(size.1);
    let done = |bytes: u64| display.advance(count, bytes);
    let mut qualities = arguments.quality.clone();
    qualities.sort_unstable();
    qualities.dedup();
    let levels = Levels::new(pixels);
    display.stage("exact", 3 * count * qualities.len() as u64, Unit::Pixels);
    let pyramids =
        qualities.iter().map(|&quality| pyramid(&levels, quality, &done)).collect::<Result<_, _>>()?;
    display.stage("quality", 2 * count * ladder::SETTINGS.len() as u64, Unit::Pixels);
    let ladders = ladder::measure(&levels, &done)?;
    Ok(Report::new(source, size, pyramids, Some(ladders)))
}

/// A pyramid made of pixels at one quality, and the containers made of it.
fn pyramid(levels: &Levels, quality: u8, done: &dyn Fn(u64)) -> Result<Pyramid, Failure> {
    go_on()?;
    let jpeg = levels.encode(quality)?;
    let level_bytes = jpeg.level_bytes();
    let standard_tables_bytes = levels.standard_bytes(quality)?;
    let lepton_bytes = jpeg.lepton_bytes();
    done(jpeg.bytes());
    let folder = containers::temporary_folder()?;
    let descriptor = jpeg.write(folder.path())?;
    let spec = descriptor.to_string_lossy();
    Ok(Pyramid {
        quality: Some(quality),
        bytes: jpeg.bytes(),
        even_levels_bytes: even_levels(&level_bytes),
        level_bytes,
        standard_tables_bytes,
        as_found_bytes: None,
        lepton_bytes,
        exact: container(&spec, DerivedLevels::Exact, done)?,
        derived: container(&spec, DerivedLevels::Reduced, done)?,
    })
}

/// The pyramid that a source has, and the containers made of it.
fn tiles_found(source: &str, tiles: &dyn Tiles, done: &dyn Fn(u64)) -> Result<Pyramid, Failure> {
    let Found { as_found, standard_tables, level_bytes, lepton } = found::measure(tiles)?;
    let bytes = level_bytes.iter().sum();
    done(bytes);
    Ok(Pyramid {
        quality: None,
        bytes,
        even_levels_bytes: even_levels(&level_bytes),
        level_bytes,
        standard_tables_bytes: standard_tables,
        as_found_bytes: Some(as_found),
        lepton_bytes: lepton,
        exact: container(source, DerivedLevels::Exact, done)?,
        derived: container(source, DerivedLevels::Reduced, done)?,
    })
}

/// What a container in exact mode takes.
fn container(spec: &str, derived_levels: DerivedLevels, done: &dyn Fn(u64)) -> Result<Measured, Failure> {
    go_on()?;
    let made = Made::new(spec, Options { mode: Mode::Exact, derived_levels, ..Options::default() })?;
    done(made.measured.bytes);
    Ok(made.measured)
}
