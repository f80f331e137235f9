//! Bodies of answers: bytes that are there, or pieces in the making.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::mpsc;

/// An answer.
pub(crate) type Response = http::Response<Body>;

/// A body of an answer.
#[derive(Debug)]
pub(crate) enum Body {
    /// All of it; nothing once it is sent.
    Whole(Bytes),
    /// What comes out of a channel. An error breaks the connection off: a client must not take a part for the whole.
    Pieces(mpsc::Receiver<Result<Bytes, std::io::Error>>),
}

/// What pieces that wait take, with those that are made ahead of them (`protocols::dicomweb::stream`): 2,506 bodies of DICOM frames
/// that nobody read took 120 KB each.
pub(crate) const IN_THE_MAKING: usize = 128 << 10;

impl Body {
    /// No body.
    pub(crate) const fn empty() -> Self {
        Self::Whole(Bytes::new())
    }

    /// These bytes.
    pub(crate) fn of(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(bytes.into())
    }

    /// Bytes that are there, in memory; of what is in the making, about as many as wait to be read at the same time.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Whole(bytes) => bytes.len(),
            Self::Pieces(_) => IN_THE_MAKING,
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let piece = match &mut *self {
            Self::Whole(bytes) if bytes.is_empty() => None,
            Self::Whole(bytes) => Some(Ok(std::mem::take(bytes))),
            Self::Pieces(pieces) => std::task::ready!(pieces.poll_recv(context)),
        };
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Pieces(_) => SizeHint::default(),
        }
    }
}
