//! Containers that commands read: files, or objects in a bucket, `s3://BUCKET/KEY`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use microtome_object::{Address, Bucket, SCHEME, in_bucket};
use microtome_slide::{Caches, Slide};

use crate::failure::Failure;

/// What containers end in.
const END: &str = ".mtm";
/// Containers below one prefix, at least, that are too many to be checked at once.
const MOST: usize = 1_000_000;

/// Opens one.
pub(crate) fn open(place: &Path) -> Result<Slide, Failure> {
    Ok(Containers::default().open(place)?)
}

/// Why there is none.
pub(crate) enum OpenError {
    /// It cannot be read, or is none.
    Container(microtome_slide::Error),
    /// It is not there, or not to be had.
    Other(Failure),
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Container(error) => error.into(),
            OpenError::Other(failure) => failure,
        }
    }
}

/// Where containers are read from; buckets are kept open.
#[derive(Default)]
pub(crate) struct Containers(BTreeMap<String, Bucket>);

impl Containers {
    pub(crate) fn open(&mut self, place: &Path) -> Result<Slide, OpenError> {
        let Some(address) = in_bucket(place) else { return Slide::open(place).map_err(OpenError::Container) };
        let address = Address::parse(address).map_err(|error| OpenError::Other(error.into()))?;
        if address.key.is_empty() {
            let what =
                format!("{SCHEME}{address}: this is a bucket; name an object in it, {SCHEME}BUCKET/KEY");
            return Err(OpenError::Other(Failure::Usage(what)));
        }
        let bucket = self.bucket(&address).map_err(OpenError::Other)?;
        match bucket.container(&address.key).map_err(microtome_slide::Error::from) {
            Ok(Some((container, _identity))) => {
                Slide::of_container(container, &Caches::default()).map_err(OpenError::Container)
            }
            Ok(None) => {
                let what = format!("{SCHEME}{address}: there is no such object");
                Err(OpenError::Other(Failure::Failed(what)))
            }
            Err(error) => Err(OpenError::Container(error)),
        }
    }

    /// The places of all containers that an address in a bucket is for, in the order of names: itself if it ends in .mtm, else those
    /// below it.
    pub(crate) fn below(&mut self, place: &str) -> Result<Vec<PathBuf>, Failure> {
        let address = Address::parse(place)?;
        if address.key.ends_with(END) {
            return Ok(vec![format!("{SCHEME}{address}").into()]);
        }
        let prefix = if address.key.is_empty() { String::new() } else { format!("{}/", address.key) };
        // Of any length: one that was begun and never filled is to be found.
        let choose = |found: microtome_object::Found| found.key.ends_with(END).then_some(found.key);
        let cannot = |what: String| Failure::Failed(format!("{SCHEME}{address}: cannot be listed: {what}"));
        let found = self.bucket(&address)?.list(&prefix, MOST, choose).map_err(|e| cannot(e.to_string()))?;
        let mut found = found.ok_or_else(|| cannot("there is no such bucket".to_owned()))?;
        if found.is_empty() {
            return Err(Failure::Usage(format!("{SCHEME}{address}: no {END} object is below this prefix")));
        }
        if found.len() == MOST {
            let what = format!(
                "{MOST} containers or more are below this prefix; name a longer one, and check part by part"
            );
            return Err(Failure::Usage(format!("{SCHEME}{address}: {what}")));
        }
        found.sort();
        Ok(found.into_iter().map(|key| format!("{SCHEME}{}/{key}", address.bucket).into()).collect())
    }

    fn bucket(&mut self, address: &Address) -> Result<&Bucket, Failure> {
        match self.0.entry(address.bucket.clone()) {
            Entry::Occupied(open) => Ok(open.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(Bucket::for_reading(address)?)),
        }
    }
}
