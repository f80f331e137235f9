//! Slides below a prefix of an S3 bucket, or of anything that speaks as S3 does.
//!
//! Where it is and who asks is said as for other programs: `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, and so on. Every
//! question has an end; a failed one is asked again a few times. Not here: what is kept of objects (`object`).

use std::io::{Error as IoError, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use microtome_container::{Container, Error as ContainerError};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{BackoffConfig, GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, RetryConfig};
use tokio::runtime::Handle;

use super::connector::Connector;
use super::object::{Blocks, Object, ObjectIdentity};
use super::{Identity, Listed, listed_id};
use crate::slide_id::{EXTENSION, SlideId};

/// Longest wait for one answer, however often it is asked for.
const PATIENCE: Duration = Duration::from_secs(8);
/// Longest wait for a list: it comes a thousand names at a time.
const PATIENCE_FOR_LIST: Duration = Duration::from_secs(120);
/// Slides that are listed, at most.
const MOST_LISTED: usize = 200_000;
/// How often what failed is asked for again, and for how long after the first time.
const RETRIES: usize = 3;
const RETRYING: Duration = Duration::from_secs(5);

/// Why a bucket can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BucketError {
    /// Its address is none.
    #[error("s3://{0}: an address like s3://bucket/prefix is wanted")]
    NoAddress(String),
    /// The variables that describe it make no sense, or some are missing.
    #[error(
        "s3://{address}: cannot be used: {what}; see docs/object-storage.md for the variables that are asked"
    )]
    Settings {
        /// The bucket and the prefix.
        address: String,
        /// What the library said.
        what: String,
    },
}

/// A prefix of a bucket.
#[derive(Debug)]
pub(crate) struct Bucket {
    store: Store,
    /// What its slides are below, without a slash at the end.
    prefix: String,
    address: String,
    blocks: Blocks,
}

/// Where objects are asked for. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Store(Arc<AmazonS3>);

impl Bucket {
    /// That of an address without `s3://`.
    pub(super) fn new(address: &str) -> Result<Self, BucketError> {
        let no_address = || BucketError::NoAddress(address.to_owned());
        let (name, prefix) = address.split_once('/').unwrap_or((address, ""));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if name.is_empty() || !name.chars().all(is_plain) {
            return Err(no_address());
        }
        let prefix = prefix.trim_matches('/');
        Key::parse(prefix).map_err(|_odd| no_address())?;
        let settings = |error: object_store::Error| BucketError::Settings {
            address: address.to_owned(),
            what: error.to_string(),
        };
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(50),
                max_backoff: Duration::from_secs(1),
                base: 2.,
            },
            max_retries: RETRIES,
            retry_timeout: RETRYING,
        };
        let store = AmazonS3Builder::from_env()
            .with_bucket_name(name)
            .with_retry(retry)
            .with_http_connector(Connector)
            .build()
            .map_err(settings)?;
        Ok(Self {
            store: Store(Arc::new(store)),
            prefix: prefix.to_owned(),
            address: format!("{}{name}", super::BUCKET),
            blocks: Blocks::default(),
        })
    }

    /// All slides in no order; `None` if there is no such bucket.
    pub(super) fn list(&self) -> std::io::Result<Option<Vec<Listed>>> {
        let (prefix, store) = (self.prefix.clone(), self.store.clone());
        let listed = wait(PATIENCE_FOR_LIST, async move {
            let below = Key::parse(&prefix)?;
            let start = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
            let listed = |object: ObjectMeta| {
                let id = object.location.as_ref().strip_prefix(&start).and_then(listed_id);
                std::future::ready(Ok(id.map(|id| Listed {
                    id,
                    bytes: object.size,
                    identity: Some(Identity::Object(ObjectIdentity::of(&object))),
                })))
            };
            store.0.list(Some(&below)).try_filter_map(listed).take(MOST_LISTED).try_collect().await
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
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        Key::parse(format!("{}{slash}{id}.{EXTENSION}", self.prefix)).ok()
    }
}

impl Store {
    /// What is said of an object, and the bytes that are asked for. Blocks.
    pub(super) fn get(&self, key: &Key, options: GetOptions) -> std::io::Result<(ObjectMeta, Bytes)> {
        let (store, key) = (Arc::clone(&self.0), key.clone());
        wait(PATIENCE, async move {
            let is_head = options.head;
            let answer: GetResult = store.get_opts(&key, options).await?;
            let found = answer.meta.clone();
            let length = if is_head { 0 } else { answer.range.end - answer.range.start };
            let bytes = if is_head { Bytes::new() } else { collected(answer, length).await? };
            Ok((found, bytes))
        })
    }

    /// Some bytes of the object with an identity. Blocks.
    pub(super) fn get_range(
        &self,
        key: &Key,
        identity: &ObjectIdentity,
        range: std::ops::Range<u64>,
    ) -> std::io::Result<Bytes> {
        let length = range.end - range.start;
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            if_match: identity.e_tag().map(str::to_owned),
            ..GetOptions::default()
        };
        let (found, bytes) = self.get(key, options)?;
        if ObjectIdentity::of(&found) != *identity {
            return Err(IoError::new(ErrorKind::StaleNetworkFileHandle, "the object was replaced"));
        }
        if bytes.len() as u64 != length {
            return Err(IoError::new(
                ErrorKind::ConnectionAborted,
                "the answer has another length than was asked for",
            ));
        }
        Ok(bytes)
    }
}

/// The bytes of an answer, which are to be so many: one that goes on for ever is not kept.
async fn collected(answer: GetResult, length: u64) -> object_store::Result<Bytes> {
    let mut stream = answer.into_stream();
    let mut bytes = Vec::new();
    while let Some(more) = stream.try_next().await? {
        bytes.extend_from_slice(&more);
        if bytes.len() as u64 > length {
            let source = "the answer is longer than it says".into();
            return Err(object_store::Error::Generic { store: "S3", source });
        }
    }
    Ok(bytes.into())
}

/// Has the server's other threads ask, and waits for the answer.
fn wait<T: Send + 'static>(
    patience: Duration,
    question: impl Future<Output = object_store::Result<T>> + Send + 'static,
) -> std::io::Result<T> {
    let handle = Handle::try_current().map_err(IoError::other)?;
    let (answer, answered) = mpsc::sync_channel(1);
    let asking = handle.spawn(async move {
        let outcome = tokio::time::timeout(patience, question).await;
        // Whoever asked may have gone with the server.
        drop(answer.send(outcome));
    });
    match answered.recv_timeout(patience + Duration::from_secs(1)) {
        Ok(Ok(answer)) => answer.map_err(|error| io_error(&error)),
        Ok(Err(_)) | Err(mpsc::RecvTimeoutError::Timeout) => {
            asking.abort();
            Err(IoError::new(ErrorKind::TimedOut, "the object storage does not answer in time"))
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err(IoError::new(ErrorKind::ConnectionAborted, "the server is ending"))
        }
    }
}

/// What the library says, as systems say it.
fn io_error(error: &object_store::Error) -> IoError {
    use object_store::Error;
    let kind = match error {
        Error::NotFound { .. } => ErrorKind::NotFound,
        Error::Precondition { .. } => ErrorKind::StaleNetworkFileHandle,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => ErrorKind::PermissionDenied,
        // Answers of 500 and more, and none, have been asked for again by then.
        Error::Generic { .. } => ErrorKind::ConnectionAborted,
        _ => ErrorKind::Other,
    };
    // It names its sources itself.
    IoError::new(kind, error.to_string())
}
