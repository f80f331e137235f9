//! The last steps of a container: sync, verify, rename, sync of the folder; and what a killed run left behind.

use std::fs::{self, File, TryLockError};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::Container;
use crate::error::{self, Error};
use crate::verify::verify;

/// A container under its temporary name: a hidden file in the target's folder, locked while its writer lives.
pub(super) struct Part {
    file: NamedTempFile,
    target: PathBuf,
}

impl Part {
    pub(super) fn create(target: &Path) -> Result<Self, Error> {
        let folder = folder(target);
        let file = part(target, folder).map_err(error::io(folder, "write into"))?;
        Ok(Self { file, target: target.to_owned() })
    }

    pub(super) fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Syncs and verifies the part, then gives it its final name.
    pub(super) fn publish(self, advance: &mut dyn FnMut(u64) -> ControlFlow<()>) -> Result<(), Error> {
        let Self { file, target } = self;
        file.as_file().sync_all().map_err(error::io(&target, "write"))?;
        let mut finding = None;
        let result = verify(&Container::open(file.path())?, |checked| match checked {
            Ok(_) => advance(0),
            Err(error) => {
                finding = Some(error);
                ControlFlow::Break(())
            }
        });
        if let Some(error) = finding {
            return Err(error);
        }
        result?;
        file.persist_noclobber(&target).map_err(|e| match e.error.kind() {
            std::io::ErrorKind::AlreadyExists => Error::Exists(target.clone()),
            _ => error::io(&target, "write")(e.error),
        })?;
        sync_folder(&target)
    }
}

/// A file in `folder` that is to have the name of `target`: hidden, and locked as long as it is open, which tells a living run from a
/// killed one. A file system without locks only loses the clean-up ([`remove_stale_parts`]).
///
/// # Errors
/// What the system said.
pub fn part(target: &Path, folder: &Path) -> std::io::Result<NamedTempFile> {
    let prefix = part_prefix(target);
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".part");
    #[cfg(unix)]
    builder.permissions(published_permissions());
    loop {
        let file = builder.tempfile_in(folder)?;
        // Until it is locked another run may take it for one of a killed run, and remove it.
        let is_taken = matches!(file.as_file().try_lock(), Err(TryLockError::WouldBlock));
        if !is_taken && file.path().exists() {
            return Ok(file);
        }
    }
}

/// Temporary files are private by default; a slide has the permissions of any new file: 0666 less the umask, which
/// the system subtracts when it creates the file.
#[cfg(unix)]
fn published_permissions() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}

/// Makes the rename itself durable. Windows has no such call, and some network file systems refuse it: they decide
/// for themselves when a name is durable.
fn sync_folder(target: &Path) -> Result<(), Error> {
    use std::io::ErrorKind::{InvalidInput, Unsupported};
    match File::open(folder(target)).and_then(|f| f.sync_all()) {
        Err(cause) if cfg!(unix) && !matches!(cause.kind(), InvalidInput | Unsupported) => {
            Err(error::io(target, "sync the folder of this file, which is there and whole")(cause))
        }
        _ => Ok(()),
    }
}

/// The folder of a target: the current one for a bare name.
pub(super) fn folder(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn part_prefix(target: &Path) -> String {
    format!(".{}.", target.file_name().unwrap_or_default().to_string_lossy())
}

/// Removes temporary files of `target` whose writer is dead (killed, or lost with the machine). Returns how many.
///
/// # Errors
/// [`Error::Io`] if the folder cannot be listed; a file that cannot be removed is left alone.
pub fn remove_stale_parts(target: &Path) -> Result<usize, Error> {
    let (folder, prefix) = (folder(target), part_prefix(target));
    let mut removed = 0;
    for entry in fs::read_dir(folder).map_err(error::io(folder, "list"))? {
        let Ok(entry) = entry else { continue };
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with(&prefix) || !name.ends_with(".part") {
            continue;
        }
        // Nothing but a file is opened: opening a pipe would wait for whoever writes it.
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        let dead = is_file && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
        if dead && fs::remove_file(entry.path()).is_ok() {
            removed += 1;
        }
    }
    Ok(removed)
}
