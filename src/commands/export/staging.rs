//! The folder that an export is made in: hidden, beside its target, locked while the export lives.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use crate::failure::Failure;
use crate::publish;

/// A file in the folder; whoever writes the folder holds its lock.
const LOCK: &str = "lock";
/// The same before it is locked.
const UNLOCKED: &str = "lock.new";
/// A file that is in the folder while what it was made for has parts under their final names, and others not yet.
const HALFWAY: &str = "halfway";
/// A folder without a lock is being made or removed, or whoever did was killed; neither takes so long.
const WITHOUT_LOCK: Duration = Duration::from_secs(60);

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
        let (new, path) = (folder.path().join(UNLOCKED), folder.path().join(LOCK));
        let lock = File::create(&new).map_err(|error| publish::unwritable(&new, &error))?;
        // A file system without locks only loses the clean-up.
        let _ = lock.try_lock();
        fs::rename(&new, &path).map_err(|error| publish::unwritable(&path, &error))?;
        Ok(Self { _lock: lock, folder })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Notes that parts of the export get their final names now: killed before it is done, it has them removed by the next one.
    pub(super) fn is_halfway(&self) -> Result<(), Failure> {
        let note = self.path().join(HALFWAY);
        File::create(&note).map(drop).map_err(|error| publish::unwritable(&note, &error))
    }
}

/// Removes what killed exports to the same target left behind, and of its tiles, which lie in `files`, those of one that had not
/// come to give the target its name. What cannot be listed or removed is left alone.
pub(super) fn remove_stale(target: &Path, files: Option<&Path>) {
    let prefix = publish::part_prefix(target);
    for entry in fs::read_dir(publish::folder(target)).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with(&prefix) || !name.ends_with(".part") {
            continue;
        }
        let folder = entry.path();
        if !is_dead(&folder) {
            continue;
        }
        if let Some(files) = files
            && folder.join(HALFWAY).exists()
            && target.symlink_metadata().is_err()
        {
            let _ = fs::remove_dir_all(files);
        }
        let _ = fs::remove_dir_all(folder);
    }
}

/// Whether whoever made a folder was killed.
fn is_dead(folder: &Path) -> bool {
    if !folder.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return false;
    }
    let lock = folder.join(LOCK);
    match lock.symlink_metadata() {
        Ok(metadata) => metadata.is_file() && File::open(lock).is_ok_and(|file| file.try_lock().is_ok()),
        Err(_none) => {
            let changed = folder.metadata().and_then(|metadata| metadata.modified()).ok();
            changed.and_then(|changed| changed.elapsed().ok()).is_some_and(|age| age > WITHOUT_LOCK)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder as a killed export leaves it, with these files, changed so long ago.
    fn killed(target: &Path, name: &str, files: &[&str], ago: Duration) -> std::path::PathBuf {
        let folder = publish::folder(target).join(format!("{}{name}.part", publish::part_prefix(target)));
        fs::create_dir(&folder).expect("a folder");
        files.iter().for_each(|file| fs::write(folder.join(file), "").expect("a file"));
        let then = std::time::SystemTime::now().checked_sub(ago).expect("a while ago");
        File::open(&folder).expect("the folder").set_modified(then).expect("a time");
        folder
    }

    #[test]
    fn what_killed_exports_left_is_removed_and_what_others_make_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("a.dzi");
        let living = Staging::create(&target).map_err(|_failure| "refused").expect("a folder");
        let (now, long) = (Duration::ZERO, 2 * WITHOUT_LOCK);
        let dead = [
            killed(&target, "1", &[LOCK, "files"], now),
            killed(&target, "2", &["files"], long),
            killed(&target, "3", &[UNLOCKED], long),
        ];
        let new = killed(&target, "4", &[UNLOCKED], now);
        let other = killed(&folder.path().join("b.dzi"), "1", &[LOCK], long);
        remove_stale(&target, None);
        assert!(dead.iter().all(|folder| !folder.exists()));
        assert!(living.path().exists() && new.exists() && other.exists());
    }

    #[test]
    fn tiles_without_their_descriptor_go_with_the_export_that_was_killed_between() {
        let folder = tempfile::tempdir().expect("a folder");
        let (target, files) = (folder.path().join("a.dzi"), folder.path().join("a_files"));
        fs::create_dir(&files).expect("a folder");
        killed(&target, "1", &[LOCK], Duration::ZERO);
        remove_stale(&target, Some(&files));
        assert!(files.exists(), "they are somebody else's");
        fs::write(&target, "").expect("a file");
        killed(&target, "2", &[LOCK, HALFWAY], Duration::ZERO);
        remove_stale(&target, Some(&files));
        assert!(files.exists(), "it was done");
        fs::remove_file(&target).expect("gone");
        killed(&target, "3", &[LOCK, HALFWAY], Duration::ZERO);
        remove_stale(&target, Some(&files));
        assert!(!files.exists());
    }
}
