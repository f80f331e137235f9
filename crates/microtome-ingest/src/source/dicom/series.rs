//! The files of a slide: those of one series in one folder.
//!
//! A folder stands for the one series of whole-slide images in it; a file for its own series, with the files of that
//! series that lie beside it. Files are told by their content, whatever they are called. Not here: what is in them.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::file::DicomFile;
use super::instance::Instance;
use crate::Error;
use crate::source::image::spool::read_exact_at;

/// Files of a folder that are looked at.
const MAX_FILES: usize = 1 << 14;

/// A series of whole-slide images.
pub(super) struct Series {
    /// Its files, in the order of their names.
    pub(super) instances: Vec<Instance>,
    pub(super) notices: Vec<String>,
}

/// Whether a folder holds a DICOM file.
pub(in crate::source) fn is_in(folder: &Path) -> Result<bool, Error> {
    let failed = |cause| Error::Read { path: folder.to_owned(), cause };
    // What cannot be looked at is none, as long as nobody says that the folder is a series.
    let entries = fs::read_dir(folder).map_err(failed)?.take(MAX_FILES).flatten();
    Ok(entries.map(|entry| entry.path()).any(|path| path.is_file() && is_dicom(&path)))
}

/// The first file of each series of whole slides in a folder, in the order of their names.
///
/// # Errors
/// What [`Series::find`] says of a folder or a file that cannot be read.
pub(in crate::source) fn first_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let (series, _) = by_series(folder)?;
    let mut files: Vec<_> =
        series.values().filter_map(|of| Some(of.first()?.file.path().to_owned())).collect();
    files.sort();
    Ok(files)
}

/// The files of each series of whole slides in a folder, in the order of their names, and how many DICOM files are no whole
/// slides.
fn by_series(folder: &Path) -> Result<(BTreeMap<String, Vec<Instance>>, usize), Error> {
    let mut by_series: BTreeMap<String, Vec<Instance>> = BTreeMap::new();
    let mut others = 0;
    for path in paths(folder)? {
        if !is_dicom_beside(&path)? {
            continue;
        }
        let instance = read_beside(&path)?;
        match instance.is_whole_slide() {
            true => by_series.entry(instance.series()).or_default().push(instance),
            false => others += 1,
        }
    }
    Ok((by_series, others))
}

impl Series {
    /// Reads the series that a file belongs to, or the one of a folder.
    pub(super) fn find(path: &Path) -> Result<Self, Error> {
        if path.is_dir() {
            return Self::of_folder(path);
        }
        let named = Instance::read(path)?;
        if !named.is_whole_slide() {
            let class = named.attributes.text(&[], dicom_dictionary_std::tags::SOP_CLASS_UID);
            return Err(named.file.unsupported_unless(
                format!("SOP class {} is no whole slide", class.unwrap_or_default()),
                "name a file of a VL Whole Slide Microscopy Image series",
            ));
        }
        let folder = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let (wanted, name) = (named.series(), path.file_name());
        let mut instances = vec![named];
        for other in paths(folder)? {
            if other.file_name() == name || !is_dicom_beside(&other)? {
                continue;
            }
            let instance = read_beside(&other)?;
            if instance.is_whole_slide() && instance.series() == wanted {
                instances.push(instance);
            }
        }
        // Where there are two of an image, the file that was named is taken: it stays the first.
        Ok(Self { instances, notices: vec![] })
    }

    fn of_folder(folder: &Path) -> Result<Self, Error> {
        let (mut by_series, others) = by_series(folder)?;
        let unsupported = |what| Error::Unsupported { path: folder.display().to_string(), what };
        if by_series.len() > 1 {
            let list: Vec<_> = by_series.iter().map(|(series, of)| describe(series, of)).collect();
            return Err(unsupported(format!(
                "a folder with {} series of whole slides: {}; name a file of one of them",
                list.len(),
                list.join(", ")
            )));
        }
        let Some((_, instances)) = by_series.pop_first() else {
            return Err(unsupported(
                "a folder with DICOM files, none of which is a VL Whole Slide Microscopy Image".to_owned(),
            ));
        };
        let mut notices = vec![];
        if others > 0 {
            notices.push(format!("{others} DICOM files that are no whole slides are left out"));
        }
        Ok(Self { instances, notices })
    }
}

/// A series in a list: its first file, and how many there are.
fn describe(series: &str, instances: &[Instance]) -> String {
    let first = instances.first().and_then(|instance| instance.file.path().file_name());
    let first = first.unwrap_or_default().to_string_lossy();
    format!("{series} ({} files, {first})", instances.len())
}

/// Reads a file that nobody named: whether it is one of the slide's is not known before it is read.
fn read_beside(path: &Path) -> Result<Instance, Error> {
    Instance::read(path).map_err(|error| match error {
        Error::Malformed { path, place, what } => {
            Error::Malformed { path, place, what: format!("{what}, or take it out of the folder") }
        }
        other => other,
    })
}

/// The files in a folder, in the order of their names.
fn paths(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |cause| Error::Read { path: folder.to_owned(), cause };
    let mut paths = vec![];
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        // A link that leads nowhere now, or a file that nobody can look at, may be level 0.
        let metadata = fs::metadata(&path).map_err(|cause| Error::Read { path: path.clone(), cause })?;
        if metadata.is_file() {
            paths.push(path);
        }
        if paths.len() > MAX_FILES {
            return Err(Error::Unsupported {
                path: folder.display().to_string(),
                what: format!("a folder of more than {MAX_FILES} files; put those of one slide in a folder"),
            });
        }
    }
    paths.sort();
    Ok(paths)
}

/// Whether a file begins as DICOM files do. One that cannot be read is none.
fn is_dicom(path: &Path) -> bool {
    matches!(start(path), Ok(Some(start)) if start.ends_with(MAGIC))
}

/// The same of a file that nobody named.
///
/// # Errors
/// For one that cannot be read, and [`Error::Malformed`] for one called as DICOM files are that is too short for that or begins
/// with nothing but zeros, as copies do that were broken off: it may have been level 0.
fn is_dicom_beside(path: &Path) -> Result<bool, Error> {
    match start(path)? {
        Some(start) if start != [0; PREAMBLE] => Ok(start.ends_with(MAGIC)),
        _ if !is_called_dicom(path) => Ok(false),
        _ => Err(Error::Malformed {
            path: path.display().to_string(),
            place: "preamble".to_owned(),
            what: "empty, cut off or zeros, in a file called as DICOM files are: copy or export it again, or take it out of the folder"
                .to_owned(),
        }),
    }
}

/// Whether a file's name is one of DICOM files: archives write .dcm, .dicom, or nothing behind a dot.
fn is_called_dicom(path: &Path) -> bool {
    let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    match path.extension() {
        Some(extension) => ["dcm", "dicom"].iter().any(|of| extension.eq_ignore_ascii_case(of)),
        None => !is_hidden,
    }
}

/// Length of what DICOM files begin with, and its end (PS3.10, 7.1).
const PREAMBLE: usize = 132;
const MAGIC: &[u8] = b"DICM";

/// What a file begins with; `None` if it is shorter.
fn start(path: &Path) -> Result<Option<[u8; PREAMBLE]>, Error> {
    let mut start = [0; PREAMBLE];
    let file = DicomFile::open(path)?;
    match read_exact_at(file.handle(), &mut start, 0) {
        Ok(()) => Ok(Some(start)),
        Err(short) if short.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(cause) => Err(Error::Read { path: path.to_owned(), cause }),
    }
}
