//! Files that appear under their final name whole or not at all, even if the machine fails, and never in place of another.
//!
//! The tiles of a Deep Zoom are whole if the program fails, not if the machine does: they may be some hundred thousand files,
//! and syncing each would take many times as long as writing it.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use microtome_container::writer::{part, remove_stale_parts};

use crate::failure::Failure;

/// The folder of a target: the current one for a bare name.
pub(crate) fn folder(target: &Path) -> &Path {
    target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What temporary names of a target begin with: hidden, and telling whose they are.
pub(crate) fn part_prefix(target: &Path) -> String {
    format!(".{}.", target.file_name().unwrap_or_default().to_string_lossy())
}

/// Writes a file: under a temporary name in `folder`, which is on the target's file system, then renamed.
pub(crate) fn file(target: &Path, folder: &Path, bytes: &[u8]) -> Result<(), Failure> {
    written(target, folder, |part| part.write_all(bytes).map_err(|error| unwritable(target, &error)))
}

/// As [`file`], with what `write` writes.
pub(crate) fn written<R>(
    target: &Path,
    folder: &Path,
    write: impl FnOnce(&mut File) -> Result<R, Failure>,
) -> Result<R, Failure> {
    let result = named(target, folder, write)?;
    sync_names(self::folder(target), target)?;
    Ok(result)
}

/// As [`written`], with a name that is not synced yet: nothing has it if this fails.
pub(crate) fn named<R>(
    target: &Path,
    folder: &Path,
    write: impl FnOnce(&mut File) -> Result<R, Failure>,
) -> Result<R, Failure> {
    // What killed runs left; what cannot be removed is left alone.
    let _ = remove_stale_parts(target);
    let mut part = part(target, folder).map_err(|error| unwritable(target, &error))?;
    let result = write(part.as_file_mut())?;
    part.as_file().sync_all().map_err(|error| unwritable(target, &error))?;
    part.persist_noclobber(target).map_err(|error| unwritable(target, &error.error))?;
    Ok(result)
}

/// Makes the names in a folder durable, which are of `target` or below it. Windows has no such call, some network file systems
/// refuse it, and so do folders that may be written and not read: they decide for themselves when a name is durable.
pub(crate) fn sync_names(folder: &Path, target: &Path) -> Result<(), Failure> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error)
            if cfg!(unix) && !matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported) =>
        {
            let what =
                "was written, but its folder cannot be synced, so that it may be gone if the machine fails";
            Err(Failure::Failed(format!("{}: {what}: {error}; check the disk", target.display())))
        }
        _ => Ok(()),
    }
}

/// Why a file or folder cannot be written, with the remedy where there is one.
pub(crate) fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    let remedy = match error.kind() {
        io::ErrorKind::AlreadyExists => {
            return Failure::Failed(format!("{path}: exists already; remove it or choose another name"));
        }
        // The system's word would name a temporary file.
        io::ErrorKind::NotFound => {
            let what =
                "cannot be written: a folder of that path is not there; make it first, or correct the path";
            return Failure::Failed(format!("{path}: {what}"));
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space or choose another disk"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; check the permissions or choose another folder"
        }
        _ => "",
    };
    Failure::Failed(format!("{path}: cannot be written: {error}{remedy}"))
}

/// Refuses a target in a bucket, which would become a folder of that name.
pub(crate) fn refuse_bucket(path: &Path) -> Result<(), Failure> {
    match microtome_object::in_bucket(path) {
        Some(_) => Err(Failure::Usage(format!(
            "{}: nothing is written to buckets; name a file or folder, and copy it there",
            path.display()
        ))),
        None => Ok(()),
    }
}

/// Refuses a target that exists, or is in a bucket, before any work is done for it.
pub(crate) fn refuse_existing(path: &Path) -> Result<(), Failure> {
    refuse_bucket(path)?;
    match path.symlink_metadata() {
        Ok(_) => Err(unwritable(path, &io::ErrorKind::AlreadyExists.into())),
        Err(_) => Ok(()),
    }
}
