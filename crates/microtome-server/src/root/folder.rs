//! Slides below a folder. Links that lead out of it are not followed.

use std::fs::{DirEntry, Metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use microtome_container::{Container, Error as ContainerError};

use super::{Identity, Listed, listed_id};
use crate::slide_id::SlideId;

/// Folders deeper than this below the root are not listed (their slides are served).
const MAX_DEPTH: usize = 16;

/// A folder with slides at any depth. It need not be there yet.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// All slides in no order; `None` if there is no such folder.
    pub(super) fn list(&self) -> std::io::Result<Option<Vec<Listed>>> {
        let mut found = Vec::new();
        match self.root.canonicalize().and_then(|root| walk(&root, &root, "", 0, &mut found)) {
            Ok(()) => Ok(Some(found)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether there is such a folder.
    pub(super) fn exists(&self) -> std::io::Result<bool> {
        match std::fs::read_dir(&self.root) {
            Ok(_entries) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Where a slide's file really is and which file it is, or `None` if it is no regular file below the root.
    pub(super) fn locate(&self, id: &SlideId) -> std::io::Result<Option<(PathBuf, Identity)>> {
        let located = || {
            let target = id.file_below(&self.root).canonicalize()?;
            if !target.starts_with(self.root.canonicalize()?) {
                return Ok(None);
            }
            let metadata = target.metadata()?;
            Ok(metadata.is_file().then(|| (target, Identity::File(FileIdentity::of(&metadata)))))
        };
        match located() {
            Err(error) if is_absence(&error) => Ok(None),
            located => located,
        }
    }

    /// Which file is there.
    pub(super) fn look(&self, id: &SlideId) -> std::io::Result<Identity> {
        let metadata = std::fs::metadata(id.file_below(&self.root))?;
        Ok(Identity::File(FileIdentity::of(&metadata)))
    }

    pub(super) fn container(&self, id: &SlideId) -> Result<Option<(Container, Identity)>, ContainerError> {
        let located = self.locate(id).map_err(|cause| ContainerError::Io {
            path: id.file_below(&self.root),
            action: "look for it",
            cause,
        })?;
        let Some((target, identity)) = located else { return Ok(None) };
        match Container::open(&target) {
            Ok(container) => Ok(Some((container, identity))),
            // Deleted after it was located.
            Err(_) if !target.exists() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What tells a file from the one that was under the same name before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileIdentity {
    length: u64,
    modified: Option<SystemTime>,
    #[cfg(unix)]
    device_and_inode: (u64, u64),
    /// Seconds and nanoseconds. Unlike `modified`, it can't be set back after the file was overwritten in place.
    #[cfg(unix)]
    changed: (i64, i64),
}

impl FileIdentity {
    /// The number of the device that the file is on; the same for all where the system does not say.
    pub(super) fn device(&self) -> u64 {
        #[cfg(unix)]
        return self.device_and_inode.0;
        #[cfg(not(unix))]
        0
    }

    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            device_and_inode: {
                use std::os::unix::fs::MetadataExt;
                (metadata.dev(), metadata.ino())
            },
            #[cfg(unix)]
            changed: {
                use std::os::unix::fs::MetadataExt;
                (metadata.ctime(), metadata.ctime_nsec())
            },
        }
    }
}

/// Adds the slides of one folder, whose path below the root is `prefix`, and those of the folders in it.
///
/// # Errors
///
/// If this very folder can't be read. What can't be read inside is left out; so are names that can't be identifiers.
fn walk(
    root: &Path,
    folder: &Path,
    prefix: &str,
    depth: usize,
    found: &mut Vec<Listed>,
) -> std::io::Result<()> {
    add(root, std::fs::read_dir(folder)?, prefix, depth, found);
    Ok(())
}

/// Adds the slides among the items of one folder, and those of the folders among them.
pub(super) fn add(
    root: &Path,
    items: impl Iterator<Item = std::io::Result<DirEntry>>,
    prefix: &str,
    depth: usize,
    found: &mut Vec<Listed>,
) {
    for item in items {
        let (item, kind) = match item.and_then(|item| item.file_type().map(|kind| (item, kind))) {
            Ok(known) => known,
            Err(error) => {
                tracing::debug!(folder = %prefix, %error, "entry left out of the list of slides");
                continue;
            }
        };
        let name = item.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        if kind.is_dir() {
            if depth < MAX_DEPTH
                && let Err(error) = walk(root, &item.path(), &format!("{prefix}{name}/"), depth + 1, found)
            {
                tracing::warn!(folder = %item.path().display(), %error, "folder left out of the list of slides");
            }
            continue;
        }
        let Some(id) = listed_id(&format!("{prefix}{name}")) else { continue };
        if let Some(bytes) = file_bytes(root, &item, kind.is_symlink()) {
            found.push(Listed { id, bytes, identity: None });
        }
    }
}

/// Size of a file that would be served, or `None` for one that would not, or is just being deleted.
fn file_bytes(root: &Path, item: &DirEntry, is_link: bool) -> Option<u64> {
    let metadata = if is_link {
        let target = item.path().canonicalize().ok()?;
        target.starts_with(root).then(|| target.metadata().ok())??
    } else {
        item.metadata().ok()?
    };
    metadata.is_file().then_some(metadata.len())
}

/// Whether an error says that there is no such file, as opposed to one that can't be had.
fn is_absence(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename)
}
