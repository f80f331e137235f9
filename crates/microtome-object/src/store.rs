//! Asking an object storage, from threads that wait for the answer.
//!
//! Every question has an end; a failed one is asked again a few times, by the library. Not here: what is kept of answers
//! (`object`), and who asks (`settings`).

use std::error::Error as StdError;
use std::io::{Error as IoError, ErrorKind};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, TryStreamExt as _};
use http::StatusCode;
use object_store::aws::AmazonS3;
use object_store::client::{HttpError, HttpErrorKind};
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore};
use tokio::runtime::{Handle, Runtime};

use crate::connector::LastStatus;
use crate::list::{self, Found};
use crate::object::ObjectIdentity;

/// Longest wait for one answer, however often it is asked for.
const PATIENCE: Duration = Duration::from_secs(8);
/// What is longer has a second more for so many bytes of it: a slow line is not silent.
const SHORT: u64 = 1 << 20;
const SLOWEST: u64 = 256 << 10;
/// Longest wait for a list: it comes a thousand names at a time.
const PATIENCE_FOR_LIST: Duration = Duration::from_secs(120);

/// Characters of what a storage said that are told.
const MOST_TOLD: usize = 600;

/// Where objects are asked for. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    client: Arc<AmazonS3>,
    asking: Asking,
}

/// Whose threads ask.
#[derive(Debug, Clone)]
pub(crate) enum Asking {
    /// Those of the runtime that the asking thread belongs to.
    Around,
    /// One of its own.
    Alone(Arc<Runtime>),
}

impl Asking {
    fn handle(&self) -> std::io::Result<Handle> {
        match self {
            Self::Around => Handle::try_current().map_err(IoError::other),
            Self::Alone(runtime) => Ok(runtime.handle().clone()),
        }
    }
}

impl Store {
    pub(crate) fn new(client: AmazonS3, asking: Asking) -> Self {
        Self { client: Arc::new(client), asking }
    }

    /// What `choose` takes of the objects whose keys begin with a prefix, but no more than `most`. Blocks.
    pub(crate) fn list<T: Send + 'static>(
        &self,
        prefix: &str,
        most: usize,
        choose: impl FnMut(Found) -> Option<T> + Send + 'static,
    ) -> std::io::Result<Vec<T>> {
        let (store, prefix) = (Arc::clone(&self.client), prefix.to_owned());
        let status = LastStatus::default();
        let asked = status.clone();
        self.wait(PATIENCE_FOR_LIST, &status, async move {
            list::list(&store, &prefix, most, &asked, choose).await
        })
    }

    /// What is said of an object, and the bytes that are asked for. Blocks.
    pub(crate) fn get(&self, key: &Key, mut options: GetOptions) -> std::io::Result<(ObjectMeta, Bytes)> {
        let (store, key, status) = (Arc::clone(&self.client), key.clone(), LastStatus::default());
        options.extensions.insert(status.clone());
        let patience = match &options.range {
            Some(GetRange::Bounded(range)) if range.end - range.start > SHORT => {
                PATIENCE + Duration::from_secs((range.end - range.start) / SLOWEST)
            }
            _ => PATIENCE,
        };
        self.wait(patience, &status, async move {
            let is_head = options.head;
            let answer: GetResult = store.get_opts(&key, options).await?;
            let found = answer.meta.clone();
            let length = if is_head { 0 } else { answer.range.end - answer.range.start };
            let bytes = if is_head { Bytes::new() } else { collected(answer, length).await? };
            Ok((found, bytes))
        })
    }

    /// Some bytes of the object with an identity. Blocks.
    pub(crate) fn get_range(
        &self,
        key: &Key,
        identity: &ObjectIdentity,
        range: std::ops::Range<u64>,
    ) -> std::io::Result<Bytes> {
        let length = range.end - range.start;
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            if_match: identity.strong_e_tag().map(str::to_owned),
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

    /// Has other threads ask, and waits for the answer.
    fn wait<T: Send + 'static>(
        &self,
        patience: Duration,
        status: &LastStatus,
        question: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> std::io::Result<T> {
        let (answer, answered) = mpsc::sync_channel(1);
        let asking = self.asking.handle()?.spawn(async move {
            let outcome = AssertUnwindSafe(tokio::time::timeout(patience, question)).catch_unwind().await;
            // Whoever asked may have gone with the server.
            drop(answer.send(outcome));
        });
        match answered.recv_timeout(patience + Duration::from_secs(1)) {
            Ok(Ok(Ok(answer))) => answer.map_err(|error| io_error(&error, status.get())),
            Ok(Ok(Err(_))) | Err(mpsc::RecvTimeoutError::Timeout) => {
                asking.abort();
                Err(IoError::new(ErrorKind::TimedOut, "the object storage does not answer in time"))
            }
            Ok(Err(_panic)) => Err(IoError::new(
                ErrorKind::InvalidData,
                "the library that reads the storage's answer failed on it",
            )),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                Err(IoError::new(ErrorKind::ConnectionAborted, "the server is ending"))
            }
        }
    }
}

/// The bytes of an answer, which are to be so many: one that goes on for ever is not kept.
async fn collected(answer: GetResult, length: u64) -> object_store::Result<Bytes> {
    let mut stream = answer.into_stream();
    let mut bytes = Vec::new();
    while let Some(more) = stream.try_next().await? {
        bytes.extend_from_slice(&more);
        if bytes.len() as u64 > length {
            let source = IoError::new(ErrorKind::ConnectionAborted, "the answer is longer than it says");
            return Err(object_store::Error::Generic { store: "S3", source: source.into() });
        }
    }
    Ok(bytes.into())
}

/// What the library says, as systems say it; `status` is that of the last answer.
fn io_error(error: &object_store::Error, status: Option<StatusCode>) -> IoError {
    use object_store::Error;
    let kind = match error {
        Error::NotFound { .. } => ErrorKind::NotFound,
        Error::Precondition { .. } => ErrorKind::StaleNetworkFileHandle,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => ErrorKind::PermissionDenied,
        Error::Generic { source, .. } => kind_of_generic(source.as_ref(), &error.to_string(), status),
        _ => ErrorKind::Unsupported,
    };
    // It names its sources itself, with what the storage said.
    IoError::new(kind, printable(&error.to_string()))
}

/// The kind where the library has none for it.
fn kind_of_generic(error: &(dyn StdError + 'static), text: &str, status: Option<StatusCode>) -> ErrorKind {
    // Whatever became of the body.
    match status {
        // Whoever stands before the storage has its own 404.
        Some(StatusCode::NOT_FOUND) if text.contains("NoSuchBucket") => return ErrorKind::NotFound,
        Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => return ErrorKind::PermissionDenied,
        Some(StatusCode::RANGE_NOT_SATISFIABLE) => return ErrorKind::UnexpectedEof,
        // Asked for again by then, and nothing said of what is there.
        Some(StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) => {
            return ErrorKind::ConnectionAborted;
        }
        Some(status) if status.is_client_error() => return ErrorKind::Unsupported,
        _ => {}
    }
    let mut next = Some(error);
    while let Some(source) = next {
        if let Some(known) = source.downcast_ref::<IoError>() {
            return known.kind();
        }
        match source.downcast_ref::<HttpError>().map(HttpError::kind) {
            Some(HttpErrorKind::Decode) => return ErrorKind::InvalidData,
            Some(_) => return ErrorKind::ConnectionAborted,
            None => next = source.source(),
        }
    }
    match status {
        Some(StatusCode::NOT_IMPLEMENTED) => ErrorKind::Unsupported,
        Some(status) if status.is_server_error() => ErrorKind::ConnectionAborted,
        _ => ErrorKind::Unsupported,
    }
}

/// A line for the log of what somebody else wrote: of a document the code and the message, since others of its parts repeat what was
/// asked, tokens among it.
fn printable(text: &str) -> String {
    let (before, document) = text.split_at(text.find('<').unwrap_or(text.len()));
    let part = |name: &str| {
        let (_, rest) = document.split_once(&format!("<{name}>"))?;
        Some(format!("{name} {}", rest.split('<').next()?))
    };
    let parts: Vec<_> = ["Code", "Message"].into_iter().filter_map(part).collect();
    let text = format!("{before}{}", parts.join(", "));
    let (start, is_cut) = match text.char_indices().nth(MOST_TOLD) {
        Some((end, _)) => (&text[..end], " …"),
        None => (text.as_str(), ""),
    };
    let line: String = start.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{}{is_cut}", line.trim_end())
}
