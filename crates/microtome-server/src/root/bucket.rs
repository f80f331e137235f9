//! Slides below a prefix of an S3 bucket, or of anything that speaks as S3 does.
//!
//! Not here: how it is asked (`settings`, `store`, `list`), and what is kept of objects (`object`).

use std::io::ErrorKind;
use std::path::PathBuf;

use microtome_container::{Container, Error as ContainerError};
use object_store::GetOptions;
use object_store::path::Path as Key;

use super::object::{Blocks, Object, ObjectIdentity};
use super::settings::{self, BucketError};
use super::store::Store;
use super::{Identity, Listed, listed_id};
use crate::slide_id::{EXTENSION, SlideId};

/// Slides that are listed, at most.
const MOST_LISTED: usize = 200_000;

/// A prefix of a bucket.
#[derive(Debug)]
pub(crate) struct Bucket {
    store: Store,
    /// What the keys of its slides begin with: nothing, or something with a slash at the end.
    prefix: String,
    address: String,
    blocks: Blocks,
}

impl Bucket {
    /// That of an address without `s3://`.
    pub(super) fn new(address: &str) -> Result<Self, BucketError> {
        let (name, prefix) = settings::parts(address)?;
        Ok(Self {
            store: Store::new(settings::client(name, address)?),
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
            address: format!("{}{name}", super::BUCKET),
            blocks: Blocks::default(),
        })
    }

    /// All slides in no order; `None` if there is no such bucket.
    pub(super) fn list(&self) -> std::io::Result<Option<Vec<Listed>>> {
        let start = self.prefix.clone();
        let listed = self.store.list(&self.prefix, MOST_LISTED, move |found| {
            // What stands for a folder, or was begun and never filled, is empty.
            let id = found.key.strip_prefix(&start).filter(|_| found.size > 0).and_then(listed_id)?;
            let identity = Some(Identity::Object(ObjectIdentity::listed(&found)));
            Some(Listed { id, bytes: found.size, identity })
        });
        match listed {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            listed => listed.map(Some),
        }
    }

    /// Which object is there, if one is.
    pub(super) fn look(&self, id: &SlideId) -> std::io::Result<Option<Identity>> {
        let Some(key) = self.key(id) else { return Ok(None) };
        let head = GetOptions { head: true, ..GetOptions::default() };
        match self.store.get(&key, head) {
            Ok((found, _)) => Ok(Some(Identity::Object(ObjectIdentity::of(&found)))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn container(&self, id: &SlideId) -> Result<Option<(Container, Identity)>, ContainerError> {
        let Some(key) = self.key(id) else { return Ok(None) };
        let path = PathBuf::from(format!("{}/{key}", self.address));
        let object = match Object::open(self.store.clone(), key, self.blocks.clone()) {
            Ok(object) => object,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(ContainerError::Io { path, action: "open", cause }),
        };
        let identity = Identity::Object(object.identity().clone());
        Container::read_from(Box::new(object), &path).map(|container| Some((container, identity)))
    }

    /// Where the container of a slide is.
    fn key(&self, id: &SlideId) -> Option<Key> {
        Key::parse(format!("{}{id}.{EXTENSION}", self.prefix)).ok()
    }
}
