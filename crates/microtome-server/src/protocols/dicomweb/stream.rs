//! Bodies that are made while they are sent, piece by piece: nobody holds all frames of a slide in memory.
//!
//! RFC 2387 (multipart/related), RFC 2046 section 5.1. Not here: what is sent.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::request::Parts;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::app::App;
use crate::body::Body;
use crate::error::{Error, Failure};
use crate::request_id::RequestId;

/// Pieces that wait to be sent.
const WAITING: usize = 4;

/// Where pieces of a body go.
#[derive(Clone)]
pub(crate) struct Pieces(mpsc::Sender<Result<Bytes, std::io::Error>>);

impl Pieces {
    /// Sends a piece, once there is room.
    ///
    /// # Errors
    /// If the client has gone.
    pub(crate) async fn send(&self, piece: impl Into<Bytes>) -> Result<(), Failure> {
        self.0.send(Ok(piece.into())).await.map_err(|_gone| Error::WorkerLost("client").into())
    }
}

/// Writes the log of an answer that is broken off through a failure of ours.
pub(crate) fn broken_off(app: &Arc<App>, request: &Parts) -> impl FnOnce(&Failure) + Send + 'static {
    let (app, path) = (Arc::clone(app), request.uri.path().to_owned());
    let id = request.extensions.get::<RequestId>().cloned();
    move |failure| {
        if failure.is_ours()
            && let Some(left_out) = app.error_lines.next(Instant::now())
        {
            let left_out = Some(left_out).filter(|&left_out| left_out > 0);
            let request_id = id.as_ref().map(RequestId::as_str);
            tracing::error!(request_id, path, error = %failure, left_out, "an answer was broken off");
        }
    }
}

/// A body of what `produce` sends. If it fails or panics, `broken_off` hears why, and the connection breaks off: a client must not
/// take a part for the whole.
pub(crate) fn body<F: Future<Output = Result<(), Failure>> + Send + 'static>(
    broken_off: impl FnOnce(&Failure) + Send + 'static,
    produce: impl FnOnce(Pieces) -> F,
) -> Body {
    let (sender, receiver) = mpsc::channel(WAITING);
    let producing = produce(Pieces(sender.clone()));
    tokio::spawn(async move {
        // As a task of its own, so that a panic ends that one and is seen here.
        let ended = tokio::spawn(producing).await;
        let ended = ended.unwrap_or_else(|_lost| Err(Error::WorkerLost("making of an answer").into()));
        if let Err(failure) = ended
            && !sender.is_closed()
        {
            broken_off(&failure);
            let _ = sender.send(Err(std::io::Error::other("broken off"))).await;
        }
    });
    Body::Pieces(receiver)
}

/// Things in the making, in their order; given up when dropped.
pub(crate) struct Ahead<T>(VecDeque<JoinHandle<Result<T, Failure>>>);

impl<T: Send + 'static> Ahead<T> {
    pub(crate) fn new() -> Self {
        Self(VecDeque::new())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn begin(&mut self, making: impl Future<Output = Result<T, Failure>> + Send + 'static) {
        self.0.push_back(tokio::spawn(making));
    }

    /// The next one, once it is made.
    pub(crate) async fn next(&mut self) -> Option<Result<T, Failure>> {
        let made = self.0.front_mut()?.await;
        self.0.pop_front();
        Some(made.unwrap_or_else(|_lost| Err(Error::WorkerLost("making of a frame").into())))
    }
}

impl<T> Drop for Ahead<T> {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// The line between parts that no part holds: it is made of the hash of what they are made of.
pub(crate) fn boundary(content_id: &str) -> String {
    format!("microtome-{}", content_id.get(..32).unwrap_or(content_id))
}

/// What goes before a part.
pub(crate) fn part_head(boundary: &str, content_type: &str) -> String {
    format!("--{boundary}\r\nContent-Type: {content_type}\r\n\r\n")
}

/// What goes behind the last part.
pub(crate) fn last(boundary: &str) -> String {
    format!("--{boundary}--\r\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "the producer's, on purpose")]

    use std::sync::Mutex;

    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn what_was_not_sent_to_its_end_is_no_body() {
        let heard = Arc::new(Mutex::new(vec![]));
        let hear = || {
            let heard = Arc::clone(&heard);
            move |failure: &Failure| heard.lock().expect("no panic").push(failure.is_ours())
        };
        let whole = body(hear(), async |pieces: Pieces| pieces.send("all").await);
        assert_eq!(whole.collect().await.expect("a body").to_bytes(), "all");
        let failed = body(hear(), async |pieces: Pieces| {
            pieces.send("a part").await?;
            Err(Error::NoSuchTile.into())
        });
        failed.collect().await.expect_err("a failure");
        let lost = body(hear(), async |pieces: Pieces| {
            pieces.send("a part").await?;
            panic!("in the middle")
        });
        lost.collect().await.expect_err("a panic");
        assert_eq!(*heard.lock().expect("no panic"), [false, true]);
    }
}
