//! What can go wrong with a container, by who must act.

use std::io;
use std::path::{Path, PathBuf};

use crate::geometry::TileId;

/// An error of reading or writing a container. Messages name the file and the place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused an operation on the file.
    #[error("{path}: cannot {action}: {cause}{remedy}", path = path.display(), remedy = remedy(cause))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, as a verb phrase.
        action: &'static str,
        /// The system's word.
        cause: io::Error,
    },
    /// The file is not a container, or its header or index is damaged.
    #[error("{path}: {place}: {what}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The part at fault: `header`, `section META`, `index page 3`.
        place: String,
        /// What is wrong there.
        what: String,
    },
    /// A tile's record does not match its checksum, cannot be read, or is missing.
    #[error("{path}: {tile}: {what}; {RESTORE}", path = path.display())]
    DamagedTile {
        /// The file.
        path: PathBuf,
        /// The tile at fault.
        tile: TileId,
        /// What is wrong with it.
        what: String,
    },
    /// What was to be had at once is not in memory; [`Reading::Waits`](crate::reader::Reading) gets it.
    #[error("not in memory")]
    NotInMemory,
    /// A newer version wrote the file, with a feature this one must not ignore.
    #[error("{path}: needs a newer microtome: {what}", path = path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The feature.
        what: String,
    },
    /// The tile is outside the slide: a mistake of the caller.
    #[error("{0} is outside the slide")]
    OutsideSlide(TileId),
    /// The target exists; nothing was changed.
    #[error("{path}: exists already; remove it or choose another name", path = .0.display())]
    Exists(PathBuf),
    /// The slide does not fit the format: a mistake of the caller, or a slide beyond the format's bounds.
    #[error("cannot be stored: {0}")]
    OutOfBounds(String),
    /// The caller asked to stop.
    #[error("interrupted; nothing was written under the final name")]
    Interrupted,
}

/// What to do about a file that is not as it was written.
pub(crate) const RESTORE: &str = "restore the file from a copy or ingest the slide again";

/// What to do about a system error, where there is something to do.
fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space or choose a target on another disk"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; check the permissions or choose another folder"
        }
        io::ErrorKind::NotFound => "; check the path",
        _ => "",
    }
}

/// Turns a system error on `path` into ours.
pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |cause| Error::Io { path, action, cause }
}
