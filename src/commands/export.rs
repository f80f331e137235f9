//! `microtome export`: back to files that need no Microtome.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use microtome_slide::deepzoom::Descriptor;
use microtome_slide::{Slide, TileId};
use rayon::prelude::*;

use crate::commands::ingest::print;
use crate::failure::Failure;
use crate::progress::stop_on_signals;
use crate::table;

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
    for path in [output, &files] {
        if path.symlink_metadata().is_ok() {
            let what = format!("{}: exists already; remove it or choose another name", path.display());
            return Err(Failure::Failed(what));
        }
    }
    let format = match slide.metadata().properties.get("deep-zoom.Format").map(String::as_str) {
        Some("jpeg") => "jpeg",
        _ => "jpg",
    };
    let descriptor = Descriptor::of(&slide, format);
    let parent = output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |path: &Path, error: std::io::Error| {
        Failure::Failed(format!("{}: cannot be written: {error}", path.display()))
    };
    // Everything goes under another name first: an export that fails leaves nothing half-made.
    let staging = tempfile::Builder::new()
        .prefix(".export.")
        .tempdir_in(parent)
        .map_err(|error| failed(parent, error))?;
    let mut tiles = 0;
    for level in 0..slide.levels().len() as u8 {
        tiles += write_level(&slide, &descriptor, level, &staging.path().join("files"))?;
    }
    let staged = staging.path().join("dzi");
    fs::write(&staged, descriptor.to_xml()).map_err(|error| failed(output, error))?;
    fs::rename(staging.path().join("files"), &files).map_err(|error| failed(&files, error))?;
    fs::rename(&staged, output).map_err(|error| failed(output, error))?;
    print(&format!("{}: {} tiles in {}", output.display(), table::count(tiles), files.display()))
}

/// Writes the tiles of a level and counts them.
fn write_level(slide: &Slide, descriptor: &Descriptor, level: u8, files: &Path) -> Result<u64, Failure> {
    let folder = files.join(descriptor.number_of(level).to_string());
    let failed = |path: &Path, error: std::io::Error| {
        Failure::Failed(format!("{}: cannot be written: {error}", path.display()))
    };
    fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
    let grid = slide.levels()[usize::from(level)];
    let columns = u64::from(grid.columns());
    let stop = stop_on_signals();
    (0..grid.tiles()).into_par_iter().try_for_each(|i| {
        if stop.load(Ordering::Relaxed) {
            return Err(Failure::Failed("interrupted; nothing was written under the final name".to_owned()));
        }
        let (column, row) = ((i % columns) as u32, (i / columns) as u32);
        let jpeg = slide.tile(TileId { level, column, row })?;
        let path = folder.join(format!("{column}_{row}.{}", descriptor.format));
        fs::write(&path, jpeg).map_err(|error| failed(&path, error))
    })?;
    Ok(grid.tiles())
}
