//! Slides in a folder and those in it, by their names and by what lies beside them. Not here: whether they are slides,
//! which shows when they are opened.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use microtome_ingest::source::{is_source_folder, is_tile_folder, lends_its_name, may_be_slide};

use crate::failure::{Failure, complain};

/// Folders in folders that are walked through.
const MAX_DEPTH: usize = 32;

/// Whatever may be a slide in a folder and those in it, in the order of names. Folders that are a slide themselves count as
/// one, beside what lies in the folders in them, those that are called by their folder (DICOM, Zoomify, IIIF) beside what else
/// lies in it, and what belongs to a file is left alone (`slide` to `slide.mrxs`, `slide_files` to `slide.dzi`, `TileGroup0` to `ImageProperties.xml`).
///
/// # Errors
/// [`Failure::Failed`] if a folder cannot be read, or lies too deep.
pub(super) fn walk(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = vec![];
    walk_into(folder, 0, false, &mut found)?;
    Ok(found)
}

/// `is_found` says that the folder is a slide that was found, files and all: then only the folders in it are left.
fn walk_into(folder: &Path, depth: usize, is_found: bool, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::Failed(format!("{}: cannot be read: {e}", folder.display()));
    if depth > MAX_DEPTH {
        return Err(Failure::Failed(format!("{}: more than {MAX_DEPTH} folders deep", folder.display())));
    }
    let mut entries = vec![];
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        entries.push(entry.map_err(failed)?.path());
    }
    entries.sort();
    let is_slide = lends_its_name(folder);
    if is_slide && !is_found {
        found.push(folder.to_owned());
    }
    for path in &entries {
        if is_hidden(path) || (is_slide && is_tile_folder(path)) || belongs_to_another(path, &entries) {
            continue;
        }
        if path.is_dir() && path.is_symlink() {
            complain(&format!(
                "{}: a link to a folder, which may lead in a circle: not followed",
                path.display()
            ));
        } else if path.is_dir() && std::fs::read_dir(path).is_err() {
            // It fails when it is opened, and the others go in.
            found.push(path.clone());
        } else if path.is_dir() {
            let is_one = is_source_folder(path);
            if is_one {
                found.push(path.clone());
            }
            walk_into(path, depth + 1, is_one, found)?;
        } else if may_be_slide(path) && !is_found {
            // A link that leads nowhere too: it fails when it is opened.
            found.push(path.clone());
        }
    }
    Ok(())
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Whether a folder holds the tiles of a file beside it; `entries` are sorted.
fn belongs_to_another(folder: &Path, entries: &[PathBuf]) -> bool {
    let Some(name) = folder.file_name().and_then(OsStr::to_str).filter(|_| folder.is_dir()) else {
        return false;
    };
    let beside = |stem: &str, extension: &str| {
        let file = folder.with_file_name(format!("{stem}.{extension}"));
        entries.binary_search(&file).is_ok()
    };
    let is_of_vsi =
        name.strip_prefix('_').and_then(|n| n.strip_suffix('_')).is_some_and(|n| beside(n, "vsi"));
    beside(name, "mrxs") || name.strip_suffix("_files").is_some_and(|n| beside(n, "dzi")) || is_of_vsi
}
