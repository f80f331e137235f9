//! The folder that an export is made in: hidden, beside its target, locked while the export lives.

use std::fs::{self, File};
use std::path::Path;

use crate::failure::Failure;
use crate::publish;

/// A file in the folder; whoever writes the folder holds its lock.
const LOCK: &str = "lock";

/// The folder; removed when dropped.
pub(super) struct Staging {
    // First, so that it is closed before the folder goes: Windows keeps a folder with an open file in it.
    _lock: File,
    folder: tempfile::TempDir,
}

impl Staging {
    pub(super) fn create(target: &Path) -> Result<Self, Failure> {
        let parent = publish::folder(target);
        let folder = tempfile::Builder::new()
            .prefix(&publish::part_prefix(target))
            .suffix(".part")
            .tempdir_in(parent)
            .map_err(|error| publish::unwritable(parent, &error))?;
        // Locked before it has the name that others try: nobody takes a new folder for a dead one.
        let (new, path) = (folder.path().join("lock.new"), folder.path().join(LOCK));
        let lock = File::create(&new).map_err(|error| publish::unwritable(&new, &error))?;
        // A file system without locks only loses the clean-up.
        let _ = lock.try_lock();
        fs::rename(&new, &path).map_err(|error| publish::unwritable(&path, &error))?;
        Ok(Self { _lock: lock, folder })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes what killed exports to the same target left behind. What cannot be listed or removed is left alone.
pub(super) fn remove_stale(target: &Path) {
    let prefix = publish::part_prefix(target);
    for entry in fs::read_dir(publish::folder(target)).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with(&prefix) || !name.ends_with(".part") {
            continue;
        }
        let dead = File::open(entry.path().join(LOCK)).is_ok_and(|file| file.try_lock().is_ok());
        if dead {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
