//! What a source is, in numbers: size, SHA-256, and the slide id that follows from them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use microtome_codec::payload::VerbatimParams;
use microtome_container::SlideId;
use microtome_slide::metadata::SourceRecord;
use sha2::{Digest, Sha256};

use crate::Error;
use crate::source::{self, dicom, files};

/// Hashes the files of a source. A source without files (synthetic) is hashed by its name.
pub(crate) fn of(spec: &str, format: &str, stop: &dyn Fn() -> bool) -> Result<SourceRecord, Error> {
    let mut record =
        SourceRecord { name: spec.to_owned(), format: format.to_owned(), ..SourceRecord::default() };
    if format == "synthetic" {
        record.sha256 = hex(&Sha256::digest(spec.as_bytes()));
        return Ok(record);
    }
    let path = source::descriptor_in(Path::new(spec))?;
    record.name = name(&path);
    let (folder, files) = files(&path, format)?;
    record.modified = files.iter().filter_map(|name| modified(&folder.join(name))).max();
    if let [one] = &files[..] {
        (record.sha256, record.bytes) = file(&folder.join(one), stop)?;
        record.files = 1;
        return Ok(record);
    }
    // The SHA-256 of what `sha256sum` prints for all files in the order of their names.
    let mut listing = Sha256::new();
    for name in &files {
        let (hash, bytes) = file(&folder.join(name), stop)?;
        listing.update(format!("{hash}  {}\n", name.display()));
        record.bytes += bytes;
    }
    record.files = files.len() as u64;
    record.sha256 = hex(&listing.finalize());
    Ok(record)
}

fn name(descriptor: &Path) -> String {
    let named = source::called_by(descriptor);
    named.file_name().unwrap_or(named.as_os_str()).to_string_lossy().into_owned()
}

/// What a container of this source calls it, unless it was de-identified.
#[must_use]
pub fn source_name(spec: &str) -> String {
    match spec.starts_with("synthetic:") {
        true => spec.to_owned(),
        // What cannot be looked into is called by its own name.
        false => name(&source::descriptor_in(Path::new(spec)).unwrap_or_else(|_| spec.into())),
    }
}

/// Whether a source has the very bytes that a container was made from, whatever it is called now. They are hashed only if
/// they are as many.
///
/// # Errors
/// [`Error::Read`] and what else finding its files comes to; [`Error::Interrupted`].
pub fn has_source_bytes(record: &SourceRecord, spec: &str, cancelled: &AtomicBool) -> Result<bool, Error> {
    let State(files) = state(spec, &record.format)?;
    let bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    if (files.len() as u64, bytes) != (record.files, record.bytes) {
        return Ok(false);
    }
    let found = of(spec, &record.format, &|| cancelled.load(Ordering::Relaxed))?;
    Ok(found.sha256 == record.sha256)
}

/// The folder of a source and its files below it.
fn files(path: &Path, format: &str) -> Result<(PathBuf, Vec<PathBuf>), Error> {
    match format {
        "dicom" => dicom::files(path),
        _ => files::of(path),
    }
}

/// Size and last change of each file of a source: what tells that it was not written to meanwhile.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct State(Vec<(PathBuf, u64, Option<SystemTime>)>);

/// The state of a source's files as they are now; none of a synthetic one.
pub(crate) fn state(spec: &str, format: &str) -> Result<State, Error> {
    if format == "synthetic" {
        return Ok(State(vec![]));
    }
    let (folder, files) = files(&source::descriptor_in(Path::new(spec))?, format)?;
    let state = files.into_iter().map(|name| {
        let path = folder.join(&name);
        let metadata = std::fs::metadata(&path).map_err(|cause| Error::Read { path, cause })?;
        Ok((name, metadata.len(), metadata.modified().ok()))
    });
    state.collect::<Result<_, _>>().map(State)
}

/// Size and last change of the file or folder that was named; `None` where there is none.
pub(crate) fn named(spec: &str) -> Option<(u64, SystemTime)> {
    let metadata = std::fs::metadata(source::descriptor_in(Path::new(spec)).ok()?).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

/// When a file was changed last, in seconds since 1970, where the system tells.
fn modified(path: &Path) -> Option<u64> {
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()?;
    modified.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// Names the slide in checksums: the same source, taken in the same way, the same id. Trained models follow from these.
pub(crate) fn slide_id(source: &SourceRecord, mode: &str, codec: u16, params: &VerbatimParams) -> SlideId {
    let mut hasher = Sha256::new();
    for part in [source.sha256.as_bytes(), mode.as_bytes(), &codec.to_le_bytes(), &params.to_bytes()] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut id = [0; 16];
    id.copy_from_slice(&hasher.finalize()[..16]);
    SlideId(id)
}

/// SHA-256 in hex and length of a file.
fn file(path: &Path, stop: &dyn Fn() -> bool) -> Result<(String, u64), Error> {
    let failed = |cause| Error::Read { path: PathBuf::from(path), cause };
    // A pipe or a device among the tiles would be read for ever.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        let what = "this is not a file; remove it from the source".to_owned();
        return Err(Error::Malformed {
            path: path.display().to_string(),
            place: "its files".to_owned(),
            what,
        });
    }
    let mut file = File::open(path).map_err(failed)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        if stop() {
            return Err(Error::Interrupted);
        }
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok((hex(&hasher.finalize()), length)),
            n => {
                hasher.update(&buffer[..n]);
                length += n as u64;
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
