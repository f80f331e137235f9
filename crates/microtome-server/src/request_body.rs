//! Bodies of requests: nothing here has a use for one. Short ones are read and thrown away, so that the connection can
//! go on; long or slow ones are refused.

use std::future::poll_fn;
use std::pin::Pin;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use crate::error::{Error, Failure};
use crate::limits::{BODY_TIMEOUT, MAX_BODY_BYTES};

/// Passes a request on without its body, or refuses it.
pub(crate) async fn discard(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    match timeout(BODY_TIMEOUT, read(body)).await {
        Ok(Ok(())) => next.run(Request::from_parts(head, Body::empty())).await,
        Ok(Err(refusal)) => Failure::from(refusal).into_response(),
        Err(_elapsed) => Failure::from(Error::BodyTooSlow).into_response(),
    }
}

/// Reads a body to its end, unless it says at the start that it is too long, or turns out to be.
async fn read(mut body: Body) -> Result<(), Error> {
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

    use axum::Router;
    use axum::http::StatusCode;
    use axum::middleware::from_fn;
    use hyper::body::Frame;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;

    use super::*;

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

    fn pieces(pieces: &[usize], ends: bool) -> Body {
        Body::new(Pieces { pieces: pieces.iter().copied().collect(), ends })
    }

    #[tokio::test(start_paused = true)]
    async fn short_bodies_are_thrown_away_and_others_refused() {
        let limit = MAX_BODY_BYTES as usize;
        for (body, status) in [
            (Body::empty(), StatusCode::OK),
            (Body::from("a"), StatusCode::OK),
            (Body::from(vec![0; limit]), StatusCode::OK),
            (Body::from(vec![0; limit + 1]), StatusCode::PAYLOAD_TOO_LARGE),
            (pieces(&[limit / 2, 0, limit / 2], true), StatusCode::OK),
            (pieces(&[limit / 2, limit / 2, 1], true), StatusCode::PAYLOAD_TOO_LARGE),
            (pieces(&[limit, 1], false), StatusCode::PAYLOAD_TOO_LARGE),
            (pieces(&[limit], false), StatusCode::REQUEST_TIMEOUT),
            (pieces(&[], false), StatusCode::REQUEST_TIMEOUT),
        ] {
            let router = Router::new().fallback(|| async { "answer" }).layer(from_fn(discard));
            let answer = TowerToHyperService::new(router).call(Request::new(body)).await.expect("an answer");
            assert_eq!(answer.status(), status);
        }
    }
}
