//! `microtome export`: back to files that need no Microtome.

mod staging;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use microtome_export::image::{self, Format};
use microtome_export::tiff::{self, Dialect};
use microtome_export::{Report, deepzoom, dicom};
use microtome_slide::deepzoom::Descriptor;
use microtome_slide::{Rect, Slide};

use crate::containers;
use crate::failure::{Failure, complain};
use crate::output::print;
use crate::progress::stop_on_signals;
use crate::publish;
use crate::settings::whole_number;
use crate::table;
use staging::Staging;

/// Write a container out in another format.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The container, or `s3://BUCKET/KEY`.
    file: PathBuf,
    /// NAME.dzi (the tiles go to NAME_files beside it), NAME.tif, NAME.svs, NAME.dcm (a folder of DICOM files), or with --level or --associated NAME.jpg or
    /// NAME.png. Nothing that exists is replaced.
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// The level to write as a picture; 0 is full resolution.
    #[arg(long, value_name = "K")]
    level: Option<u8>,
    /// The part of the level to write, in its pixels.
    #[arg(long, value_name = "X,Y,WIDTH,HEIGHT", value_parser = region, requires = "level")]
    region: Option<Rect>,
    /// The associated image to write, as it is stored: label, macro, thumbnail.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["level", "quality"])]
    associated: Option<String>,
    /// JPEG quality of what cannot be passed on as it is.
    #[arg(long, value_name = "1..100", value_parser = whole_number::<u8>(1..=100),
          default_value_t = microtome_export::QUALITY)]
    quality: u8,
}

fn region(text: &str) -> Result<Rect, String> {
    let numbers: Result<Vec<u32>, _> = text.split(',').map(|number| number.trim().parse()).collect();
    match numbers.as_deref() {
        Ok(&[x, y, width, height]) => Ok(Rect { x, y, width, height }),
        _ => Err("four numbers of pixels are expected: X,Y,WIDTH,HEIGHT".to_owned()),
    }
}

/// What is written, by the end of the target's name.
enum Target {
    DeepZoom,
    Tiff(Dialect),
    Dicom,
    Picture(Format),
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let target = target(arguments)?;
    let slide = containers::open(&arguments.file)?;
    let output = &arguments.output;
    let files = matches!(target, Target::DeepZoom).then(|| files_of(output));
    staging::remove_stale(output, files.as_deref());
    publish::refuse_existing(output)?;
    if let Some(name) = &arguments.associated {
        return associated(&slide, name, output);
    }
    match target {
        Target::DeepZoom => deep_zoom(&slide, arguments),
        Target::Dicom => dicom_series(&slide, arguments),
        Target::Tiff(dialect) => {
            let options = tiff::Options { dialect, quality: arguments.quality };
            // Everything goes under another name first: an export that fails leaves nothing half-made.
            let staging = Staging::create(output)?;
            let report = publish::written(output, staging.path(), |file| {
                Ok(tiff::write(&slide, options, output, file, stop_on_signals())?)
            })?;
            say_what_went_along(&slide, output);
            complain_of(output, &report);
            print(&format!("{}: {} tiles", output.display(), table::count(report.tiles)))
        }
        Target::Picture(format) => {
            let staging = Staging::create(output)?;
            let (level, region) = (arguments.level.unwrap_or(0), arguments.region);
            publish::written(output, staging.path(), |file| {
                Ok(image::write(&slide, level, region, format, output, file, stop_on_signals())?)
            })
        }
    }
}

/// What the arguments ask for, as far as they fit together.
fn target(arguments: &Arguments) -> Result<Target, Failure> {
    let path = arguments.output.display();
    let end = arguments.output.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let stem = arguments.output.file_stem().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    if stem.ends_with(".ome") && matches!(&*end, "tif" | "tiff") {
        return Err(Failure::Usage(format!("{path}: OME-TIFF is not written; leave out .ome")));
    }
    let target = match &*end {
        "dzi" => Target::DeepZoom,
        "tif" | "tiff" => Target::Tiff(Dialect::Generic),
        "svs" => Target::Tiff(Dialect::Aperio),
        "dcm" => Target::Dicom,
        "jpg" | "jpeg" => Target::Picture(Format::Jpeg { quality: arguments.quality }),
        "png" => Target::Picture(Format::Png),
        _ => {
            return Err(Failure::Usage(format!(
                "{path}: OUT is to end in .dzi, .tif, .tiff, .svs or .dcm, or for a picture in .jpg, .jpeg or .png"
            )));
        }
    };
    let is_picture = matches!(target, Target::Picture(_));
    match (arguments.level.is_some() || arguments.associated.is_some(), is_picture) {
        (true, false) => Err(Failure::Usage(format!(
            "{path}: --level and --associated write a picture: OUT is to end in .jpg, .jpeg or .png"
        ))),
        (false, true) => Err(Failure::Usage(format!(
            "{path}: a picture is of one level or part of it: add --level K (and --region X,Y,WIDTH,HEIGHT), or \
             --associated NAME"
        ))),
        _ => Ok(target),
    }
}

/// Says that pictures of the label went along: names of patients may be on it.
fn say_what_went_along(slide: &Slide, output: &Path) {
    let images = slide.metadata().associated.iter().map(|image| image.name.as_str());
    let telling: Vec<_> = images.filter(|name| matches!(*name, "label" | "macro")).collect();
    if !telling.is_empty() {
        complain(&format!(
            "{}: note: {} and the properties went along; ingest --deidentify makes a container without them",
            output.display(),
            telling.join(", ")
        ));
    }
}

/// A failure of what is written, under the name that it was to have: until it is whole it has another.
fn failed(output: &Path, error: microtome_export::Error) -> Failure {
    match error {
        microtome_export::Error::Write { cause, .. } => publish::unwritable(output, &cause),
        other => other.into(),
    }
}

fn complain_of(output: &Path, report: &Report) {
    for notice in &report.notices {
        complain(&format!("{}: {notice}", output.display()));
    }
}

/// Writes an associated image as it is stored.
fn associated(slide: &Slide, name: &str, output: &Path) -> Result<(), Failure> {
    let images = &slide.metadata().associated;
    let Some(image) = images.iter().find(|image| image.name == name) else {
        let there: Vec<_> = images.iter().map(|image| image.name.as_str()).collect();
        let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
        let path = slide.container().path().display();
        return Err(Failure::Usage(format!(
            "{path}: there is no associated image {name} (there are: {there})"
        )));
    };
    let end = output.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let ends: &[&str] = if image.media_type == "image/png" { &["png"] } else { &["jpg", "jpeg"] };
    if !ends.contains(&&*end) {
        let path = output.display();
        return Err(Failure::Usage(format!(
            "{path}: the {name} is stored as {}: OUT is to end in .{}",
            image.media_type, ends[0]
        )));
    }
    let bytes = slide.associated(name)?.unwrap_or_default();
    publish::file(output, publish::folder(output), &bytes)
}

fn deep_zoom(slide: &Slide, arguments: &Arguments) -> Result<(), Failure> {
    let output = &arguments.output;
    let files = files_of(output);
    publish::refuse_existing(&files)?;
    let format = match slide.metadata().properties.get("deep-zoom.Format").map(String::as_str) {
        Some("jpeg") => "jpeg",
        _ => "jpg",
    };
    let descriptor = Descriptor::of(slide, format);
    let staging = Staging::create(output)?;
    let folder = staging.path().join("files");
    let report = deepzoom::write(slide, &descriptor, arguments.quality, &folder, stop_on_signals())
        .map_err(|error| failed(&files, error))?;
    publish_both(&staging, &files, output, &descriptor)?;
    complain_of(output, &report);
    print(&format!("{}: {} tiles in {}", output.display(), table::count(report.tiles), files.display()))
}

/// Where the tiles of a Deep Zoom go.
fn files_of(descriptor: &Path) -> PathBuf {
    let stem = descriptor.file_stem().unwrap_or_default().to_string_lossy();
    descriptor.with_file_name(format!("{stem}_files"))
}

fn dicom_series(slide: &Slide, arguments: &Arguments) -> Result<(), Failure> {
    let output = &arguments.output;
    let staging = Staging::create(output)?;
    let folder = staging.path().join("series");
    fs::create_dir(&folder).map_err(|error| publish::unwritable(output, &error))?;
    let report = dicom::write(slide, arguments.quality, &folder, stop_on_signals())
        .map_err(|error| failed(output, error))?;
    publish::sync_names(&folder, output)?;
    publish_folder(&folder, output)?;
    publish::sync_names(publish::folder(output), output)?;
    say_what_went_along(slide, output);
    complain_of(output, &report);
    print(&format!("{}: {} tiles", output.display(), table::count(report.tiles)))
}

/// Gives a folder its final name, which nothing has. (In one step: who is killed leaves nothing or all. An empty folder that has
/// appeared there meanwhile is replaced, and nothing else is.)
fn publish_folder(folder: &Path, target: &Path) -> Result<(), Failure> {
    publish::refuse_existing(target)?;
    fs::rename(folder, target).map_err(|error| publish::unwritable(target, &error))
}

/// Gives the tiles their final name, then writes the descriptor: who sees a .dzi finds its tiles.
fn publish_both(
    staging: &Staging,
    files: &Path,
    output: &Path,
    descriptor: &Descriptor,
) -> Result<(), Failure> {
    staging.is_halfway()?;
    publish_folder(&staging.path().join("files"), files)?;
    publish::named(output, staging.path(), |part| {
        part.write_all(descriptor.to_xml().as_bytes()).map_err(|error| publish::unwritable(output, &error))
    })
    .inspect_err(|_| _ = fs::remove_dir_all(files))?;
    publish::sync_names(publish::folder(output), output)
}
