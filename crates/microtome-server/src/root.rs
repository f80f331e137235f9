//! Where the slides are: below a folder, or below a prefix of a bucket.
//!
//! What is asked of either: which slides there are, what tells one from another that was under the same name before, and the
//! container to read. All of it blocks. Not here: what is kept of the answers, and for how long (`catalog`, `listing`, `survey`).

use std::path::Path;
use std::time::Duration;

use microtome_container::{Container, Error as ContainerError};
use microtome_object::{BucketError, ObjectIdentity, in_bucket};

use crate::error::Error;
use crate::slide_id::SlideId;

mod bucket;
mod folder;

use bucket::Bucket;
use folder::Folder;

/// Where the slides are.
#[derive(Debug)]
pub(crate) enum Root {
    Folder(Folder),
    Bucket(Bucket),
}

/// What tells a container from the one that was under the same name before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    File(folder::FileIdentity),
    Object(ObjectIdentity),
}

impl Identity {
    /// The number of what hangs together when it hangs: the device of a file, the one bucket that there is.
    pub(crate) fn storage(&self) -> u64 {
        match self {
            Self::File(file) => file.device(),
            Self::Object(_) => 0,
        }
    }
}

/// A slide in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) id: SlideId,
    pub(crate) bytes: u64,
    /// Where the list tells it.
    pub(crate) identity: Option<Identity>,
}

impl Root {
    /// The slides below a folder or, at `s3://BUCKET/PREFIX`, below a prefix.
    pub(crate) fn new(place: &Path) -> Result<Self, BucketError> {
        match in_bucket(place) {
            Some(address) => Bucket::new(address).map(Self::Bucket),
            None => Ok(Self::Folder(Folder::new(place))),
        }
    }

    /// Whether an address is that of a bucket.
    pub(crate) fn is_bucket(place: &Path) -> bool {
        in_bucket(place).is_some()
    }

    /// How long what was seen of names and identities is good: looking at a file costs nothing, at an object money.
    pub(crate) fn good_for(&self) -> Duration {
        match self {
            Self::Folder(_) => Duration::from_secs(1),
            Self::Bucket(_) => Duration::from_secs(10),
        }
    }

    /// How long what was seen is good where it is a failure.
    pub(crate) fn failures_good_for(&self) -> Duration {
        match self {
            Self::Folder(_) => Duration::ZERO,
            Self::Bucket(_) => Duration::from_secs(1),
        }
    }

    /// Containers that are well read at a time where many are to be: a disk gains nothing, an object storage is mostly waited for.
    pub(crate) fn readers(&self) -> usize {
        match self {
            Self::Folder(_) => 1,
            Self::Bucket(_) => 16,
        }
    }

    /// All slides, sorted by identifier; `None` if there is no such folder or bucket.
    pub(crate) fn list(&self) -> Result<Option<Vec<Listed>>, Error> {
        let mut found = match self {
            Self::Folder(folder) => folder.list(),
            Self::Bucket(bucket) => bucket.list(),
        }
        .map_err(|source| Error::Unlistable { source })?;
        if let Some(found) = &mut found {
            found.sort_unstable_by(|a, b| a.id.cmp(&b.id));
            // A list that changes while it is read may have a name twice.
            found.dedup_by(|a, b| a.id == b.id);
        }
        Ok(found)
    }

    /// Whether there is such a folder or bucket.
    pub(crate) fn exists(&self) -> Result<bool, Error> {
        match self {
            Self::Folder(folder) => folder.exists(),
            Self::Bucket(bucket) => bucket.exists(),
        }
        .map_err(|source| Error::Unlistable { source })
    }

    /// Which container is under a slide's name now, or `None` if there is none below the root.
    pub(crate) fn identity(&self, id: &SlideId) -> std::io::Result<Option<Identity>> {
        match self {
            Self::Folder(folder) => folder.locate(id).map(|found| found.map(|(_, identity)| identity)),
            Self::Bucket(bucket) => bucket.look(id),
        }
    }

    /// As [`Self::identity`], of a slide that was open before: whether a link leads out of the root is not asked again.
    pub(crate) fn identity_again(&self, id: &SlideId) -> std::io::Result<Option<Identity>> {
        match self {
            Self::Folder(folder) => folder.look(id).map(Some),
            Self::Bucket(bucket) => bucket.look(id),
        }
    }

    /// The container of a slide, or `None` if there is none.
    pub(crate) fn container(&self, id: &SlideId) -> Result<Option<(Container, Identity)>, ContainerError> {
        match self {
            Self::Folder(folder) => folder.container(id),
            Self::Bucket(bucket) => bucket.container(id),
        }
    }
}

/// A slide that a list has under a path below the root, or `None` if that is no container's or none that is served.
fn listed_id(path: &str) -> Option<SlideId> {
    let stem = path.strip_suffix(crate::slide_id::EXTENSION)?.strip_suffix('.')?;
    let id = SlideId::from_path(stem).ok()?;
    if crate::pseudonym::Pseudonym::read(id.as_str()).is_some() {
        tracing::debug!(slide = %id, "left out of the list of slides: its name is taken for a pseudonym; rename the file");
        return None;
    }
    Some(id)
}

#[cfg(test)]
pub(crate) mod tests;
