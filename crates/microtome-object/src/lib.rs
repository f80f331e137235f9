//! Containers in object storage: buckets of S3, and of what speaks as it does, as something that a container is read from.
//!
//! A [`Bucket`] lists, looks at and opens objects; an open one is a [`Source`](microtome_container::Source), read in blocks, whose
//! every question names the version that was opened. All of it blocks; who waits is asked for by other threads, those of a server or
//! one of its own. Where a bucket is and who asks is said by the variables that other programs have (`AWS_REGION`,
//! `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, and so on). Nothing is ever written.
//!
//! Not here: which names are those of slides, and what is kept of the answers but blocks.

mod connector;
mod list;
mod object;
mod settings;
mod store;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use microtome_container::{Container, Error as ContainerError};
use object_store::GetOptions;

pub use list::Found;
pub use object::ObjectIdentity;
use object::{Blocks, Object};
use settings::exact;
pub use settings::{Address, BucketError};
use store::{Asking, Store};

/// What a bucket's address begins with.
pub const SCHEME: &str = "s3://";

/// What follows `s3://` (in any case), if that is what a place begins with.
#[must_use]
pub fn in_bucket(place: &Path) -> Option<&str> {
    let (scheme, address) = place.to_str()?.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(address)
}

/// A bucket.
#[derive(Debug)]
pub struct Bucket {
    store: Store,
    /// Its address.
    name: String,
    blocks: Blocks,
}

impl Bucket {
    /// For a server, where a tile is wanted here and another there. All that waits is to be called by threads of a tokio runtime that
    /// may wait; others of them ask.
    ///
    /// # Errors
    /// If the variables make no sense.
    pub fn for_server(address: &Address) -> Result<Self, BucketError> {
        Self::new(address, Asking::Around, Blocks::for_server())
    }

    /// For who reads objects from front to back.
    ///
    /// # Errors
    /// If the variables make no sense, or there is no thread to be had that asks.
    pub fn for_reading(address: &Address) -> Result<Self, BucketError> {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).thread_name("storage").enable_all().build();
        let runtime = runtime.map_err(|error| BucketError::settings(address, error.to_string()))?;
        Self::new(address, Asking::Alone(Arc::new(runtime)), Blocks::for_reading())
    }

    fn new(address: &Address, asking: Asking, blocks: Blocks) -> Result<Self, BucketError> {
        let client = settings::client(address)?;
        Ok(Self { store: Store::new(client, asking), name: address.bucket.clone(), blocks })
    }

    /// What `choose` takes of the objects whose keys begin with `prefix`, in no order, but no more than `most`; `None` if there is
    /// no such bucket.
    ///
    /// # Errors
    /// What the storage said, by the kinds that [`is_out_of_reach`](microtome_container::source::is_out_of_reach) knows where it
    /// said nothing.
    pub fn list<T: Send + 'static>(
        &self,
        prefix: &str,
        most: usize,
        choose: impl FnMut(Found) -> Option<T> + Send + 'static,
    ) -> std::io::Result<Option<Vec<T>>> {
        match self.store.list(prefix, most, choose) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            listed => listed.map(Some),
        }
    }

    /// Which object has a key, if one has.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn look(&self, key: &str) -> std::io::Result<Option<ObjectIdentity>> {
        let Some(key) = exact(key) else { return Ok(None) };
        let head = GetOptions { head: true, ..GetOptions::default() };
        match self.store.get(&key, head) {
            Ok((found, _)) => Ok(Some(ObjectIdentity::of(&found))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The container with a key, if there is one.
    ///
    /// # Errors
    /// As [`Container::open`].
    pub fn container(&self, key: &str) -> Result<Option<(Container, ObjectIdentity)>, ContainerError> {
        let Some(key) = exact(key) else { return Ok(None) };
        let path = PathBuf::from(format!("{SCHEME}{}/{key}", self.name));
        let object = match Object::open(self.store.clone(), key, self.blocks.clone()) {
            Ok(object) => object,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                let what = "the object is empty; copy the container again from where it is whole";
                let cause = std::io::Error::new(ErrorKind::UnexpectedEof, what);
                return Err(ContainerError::Io { path, action: "open", cause });
            }
            Err(cause) => return Err(ContainerError::Io { path, action: "open", cause }),
        };
        let identity = object.identity().clone();
        Container::read_from(Box::new(object), &path).map(|container| Some((container, identity)))
    }
}
