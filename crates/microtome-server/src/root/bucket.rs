//! Slides below a prefix of a bucket. Not here: how it is asked, and what is kept of objects (`microtome_object`).

use microtome_container::{Container, Error as ContainerError};
use microtome_object::{Address, BucketError, ObjectIdentity};

use super::{Identity, Listed, listed_id};
use crate::slide_id::{EXTENSION, SlideId};

/// Slides that are listed, at most.
const MOST_LISTED: usize = 200_000;

/// A prefix of a bucket.
#[derive(Debug)]
pub(crate) struct Bucket {
    bucket: microtome_object::Bucket,
    /// What the keys of its slides begin with: nothing, or something with a slash at the end.
    prefix: String,
}

impl Bucket {
    /// That of an address without `s3://`.
    pub(super) fn new(address: &str) -> Result<Self, BucketError> {
        let address = Address::parse(address)?;
        let bucket = microtome_object::Bucket::for_server(&address)?;
        let prefix = if address.key.is_empty() { String::new() } else { format!("{}/", address.key) };
        Ok(Self { bucket, prefix })
    }

    /// All slides in no order; `None` if there is no such bucket.
    pub(super) fn list(&self) -> std::io::Result<Option<Vec<Listed>>> {
        let start = self.prefix.clone();
        let listed = self.bucket.list(&self.prefix, MOST_LISTED, move |found| {
            // What stands for a folder, or was begun and never filled, is empty.
            let id = found.key.strip_prefix(&start).filter(|_| found.size > 0).and_then(listed_id)?;
            let identity = Some(Identity::Object(ObjectIdentity::listed(&found)));
            Some(Listed { id, bytes: found.size, identity })
        })?;
        if listed.as_ref().is_some_and(|listed| listed.len() == MOST_LISTED) {
            let prefix = &self.prefix;
            tracing::warn!(most = MOST_LISTED, prefix, "not all slides are listed; serve a longer prefix");
        }
        Ok(listed)
    }

    /// Whether there is such a bucket.
    pub(super) fn exists(&self) -> std::io::Result<bool> {
        Ok(self.bucket.list(&self.prefix, 1, Some)?.is_some())
    }

    /// Which object is there, if one is.
    pub(super) fn look(&self, id: &SlideId) -> std::io::Result<Option<Identity>> {
        Ok(self.bucket.look(&self.key(id))?.map(Identity::Object))
    }

    pub(super) fn container(&self, id: &SlideId) -> Result<Option<(Container, Identity)>, ContainerError> {
        let found = self.bucket.container(&self.key(id))?;
        Ok(found.map(|(container, identity)| (container, Identity::Object(identity))))
    }

    /// Where the container of a slide is.
    fn key(&self, id: &SlideId) -> String {
        format!("{}{id}.{EXTENSION}", self.prefix)
    }
}
