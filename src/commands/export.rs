//! `microtome export`: back to files that need no Microtome.

mod levels;
mod staging;

use std::fs;
use std::path::{Path, PathBuf};

use microtome_slide::Slide;
use microtome_slide::deepzoom::Descriptor;

use crate::failure::{Failure, complain};
use crate::output::print;
use crate::publish;
use crate::table;
use levels::Levels;
use staging::Staging;

/// Write a container out as a Deep Zoom folder.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The container.
    file: PathBuf,
    /// NAME.dzi; the tiles go to NAME_files beside it. Nothing that exists is replaced.
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let output = &arguments.output;
    if output.extension().is_none_or(|e| e != "dzi") {
        let path = output.display();
        return Err(Failure::Usage(format!("{path}: OUT is to end in .dzi, the only format written so far")));
    }
    let slide = Slide::open(&arguments.file)?;
    let stem = output.file_stem().unwrap_or_default().to_string_lossy();
    let files = output.with_file_name(format!("{stem}_files"));
    staging::remove_stale(output);
    publish::refuse_existing(output)?;
    publish::refuse_existing(&files)?;
    let format = match slide.metadata().properties.get("deep-zoom.Format").map(String::as_str) {
        Some("jpeg") => "jpeg",
        _ => "jpg",
    };
    let descriptor = Descriptor::of(&slide, format);
    // Everything goes under another name first: an export that fails leaves nothing half-made.
    let staging = Staging::create(output)?;
    let levels = Levels { slide: &slide, descriptor: &descriptor, files: &staging.path().join("files") };
    let mut tiles = 0;
    for level in 0..slide.levels().len() as u8 {
        tiles += levels.write(level)?;
        if levels.is_rounded_down(level) {
            let grid = slide.levels()[usize::from(level)];
            let size = format!("{} x {} px", grid.width, grid.height);
            let what = format!("level {level} was stored rounded down ({size}); its tiles were made anew");
            complain(&format!("{}: {what}", output.display()));
        }
    }
    publish_both(&staging, &files, output, &descriptor)?;
    print(&format!("{}: {} tiles in {}", output.display(), table::count(tiles), files.display()))
}

/// Gives the tiles their final name, then writes the descriptor: who sees a .dzi finds its tiles.
fn publish_both(
    staging: &Staging,
    files: &Path,
    output: &Path,
    descriptor: &Descriptor,
) -> Result<(), Failure> {
    // Making the folder fails if it has appeared meanwhile; renaming replaces ours as long as it is empty.
    fs::create_dir(files).map_err(|error| publish::unwritable(files, &error))?;
    let renamed = fs::rename(staging.path().join("files"), files);
    if let Err(error) = renamed {
        let _ = fs::remove_dir(files);
        return Err(publish::unwritable(files, &error));
    }
    publish::file(output, staging.path(), descriptor.to_xml().as_bytes())
        .inspect_err(|_| _ = fs::remove_dir_all(files))
}
