//! Bodies of requests: nothing here has a use for one. Short ones are read and thrown away, so that the connection can
//! go on; long or slow ones are refused.

use std::future::poll_fn;
use std::pin::Pin;

use bytes::Bytes;
use http_body_util::{Either, Empty};
use hyper::body::{Body as HttpBody, Incoming};
use tokio::time::timeout;

use crate::error::Error;
use crate::limits::{BODY_TIMEOUT, MAX_BODY_BYTES};

/// The body of a request: one that comes, or that of a request that has none.
pub(crate) type RequestBody = Either<Incoming, Empty<Bytes>>;

/// Takes a body off the connection.
///
/// # Errors
/// Why it is refused.
pub(crate) async fn discard(body: impl HttpBody<Data = Bytes> + Unpin) -> Result<(), Error> {
    if body.is_end_stream() {
        return Ok(());
    }
    timeout(BODY_TIMEOUT, read(body)).await.unwrap_or(Err(Error::BodyTooSlow))
}

/// Reads a body to its end, unless it says at the start that it is too long, or turns out to be.
async fn read(mut body: impl HttpBody<Data = Bytes> + Unpin) -> Result<(), Error> {
    let mut room = usize::try_from(MAX_BODY_BYTES).unwrap_or(usize::MAX);
    if body.size_hint().lower() > u64::from(MAX_BODY_BYTES) {
        return Err(Error::BodyTooLong);
    }
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|_broken| Error::Malformed("the body breaks off"))?;
        let length = frame.data_ref().map_or(0, Bytes::len);
        room = room.checked_sub(length).ok_or(Error::BodyTooLong)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::{Context, Poll};

    use http::StatusCode;
    use http_body_util::BodyExt;
    use http_body_util::combinators::BoxBody;
    use hyper::body::Frame;

    use super::*;
    use crate::body::Body;
    use crate::error::Failure;

    /// A body without a known length: these pieces, then an end or no end at all.
    struct Pieces {
        pieces: VecDeque<usize>,
        ends: bool,
    }

    impl HttpBody for Pieces {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _context: &mut Context<'_>,
        ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
            match self.pieces.pop_front() {
                Some(length) => Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![0; length]))))),
                None if self.ends => Poll::Ready(None),
                None => Poll::Pending,
            }
        }
    }

    fn pieces(pieces: &[usize], ends: bool) -> BoxBody<Bytes, std::io::Error> {
        Pieces { pieces: pieces.iter().copied().collect(), ends }.boxed()
    }

    #[tokio::test(start_paused = true)]
    async fn short_bodies_are_thrown_away_and_others_refused() {
        let limit = MAX_BODY_BYTES as usize;
        for (body, status) in [
            (Body::empty().boxed(), None),
            (Body::of("a").boxed(), None),
            (Body::of(vec![0; limit]).boxed(), None),
            (Body::of(vec![0; limit + 1]).boxed(), Some(StatusCode::PAYLOAD_TOO_LARGE)),
            (pieces(&[limit / 2, 0, limit / 2], true), None),
            (pieces(&[limit / 2, limit / 2, 1], true), Some(StatusCode::PAYLOAD_TOO_LARGE)),
            (pieces(&[limit, 1], false), Some(StatusCode::PAYLOAD_TOO_LARGE)),
            (pieces(&[limit], false), Some(StatusCode::REQUEST_TIMEOUT)),
            (pieces(&[], false), Some(StatusCode::REQUEST_TIMEOUT)),
        ] {
            let refused = discard(body).await.err();
            assert_eq!(refused.map(|refusal| Failure::from(refusal).into_response().status()), status);
        }
    }
}
