//! A connection that ends when its peer stops reading.
//!
//! Without it, a peer that asks and never reads holds its connection for ever, and a few thousand such peers all of
//! them. Not here: peers that stop sending, whom hyper's timeout for heads ends.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A stream whose writes fail when they make no progress for a while. A slow peer that goes on reading is left alone.
pub(crate) struct StallGuard<S> {
    stream: S,
    patience: Duration,
    /// Runs from the first write that had to wait to the next one that did not.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> StallGuard<S> {
    /// `stream`, whose writes may wait as long as `patience`. Needs tokio's timer.
    pub(crate) fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, stalled: None }
    }

    /// What a write came to, or an error if it waits and has done so for too long.
    fn judge<T>(&mut self, context: &mut Context<'_>, written: Poll<Result<T>>) -> Poll<Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        stalled
            .as_mut()
            .poll(context)
            .map(|()| Err(Error::new(ErrorKind::TimedOut, "the peer stopped reading")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StallGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StallGuard<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.judge(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judge(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::Instant;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A peer that takes one byte every `interval`, or none at all.
    struct Peer {
        interval: Option<Duration>,
        next: Option<Pin<Box<Sleep>>>,
    }

    impl Peer {
        fn guarded(interval: Option<Duration>) -> StallGuard<Self> {
            StallGuard::new(Self { interval, next: None }, PATIENCE)
        }

        fn take<T>(&mut self, context: &mut Context<'_>, taken: T) -> Poll<Result<T>> {
            let Some(interval) = self.interval else { return Poll::Pending };
            let next = self.next.get_or_insert_with(|| Box::pin(sleep(interval)));
            std::task::ready!(next.as_mut().poll(context));
            self.next = None;
            Poll::Ready(Ok(taken))
        }
    }

    impl AsyncWrite for Peer {
        fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, _: &[u8]) -> Poll<Result<usize>> {
            self.take(context, 1)
        }

        fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
            self.take(context, ())
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
            self.take(context, ())
        }
    }

    async fn write(stream: &mut StallGuard<Peer>) -> Result<usize> {
        poll_fn(|context| Pin::new(&mut *stream).poll_write(context, b"tile")).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let mut stream = Peer::guarded(None);
        let start = Instant::now();
        assert_eq!(write(&mut stream).await.expect_err("no progress").kind(), ErrorKind::TimedOut);
        let waited = start.elapsed();
        assert!(waited >= PATIENCE && waited < PATIENCE + Duration::from_secs(1), "{waited:?}");

        let mut stream = Peer::guarded(None);
        let flushed = poll_fn(|context| Pin::new(&mut stream).poll_flush(context)).await;
        assert_eq!(flushed.expect_err("no progress").kind(), ErrorKind::TimedOut);

        let mut stream = Peer::guarded(None);
        let shut = poll_fn(|context| Pin::new(&mut stream).poll_shutdown(context)).await;
        assert_eq!(shut.expect_err("no progress").kind(), ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_peer_that_goes_on_is_left_alone() {
        let mut stream = Peer::guarded(Some(PATIENCE * 3 / 4));
        let start = Instant::now();
        for _ in 0..10 {
            assert_eq!(write(&mut stream).await.expect("progress"), 1);
        }
        assert!(start.elapsed() > PATIENCE * 7, "each wait alone is shorter, all together are not");
        stream.stream.interval = None;
        assert!(write(&mut stream).await.is_err(), "it may still stop");
    }

    #[tokio::test(start_paused = true)]
    async fn time_without_a_write_does_not_count() {
        let mut stream = Peer::guarded(Some(PATIENCE / 2));
        for _ in 0..3 {
            write(&mut stream).await.expect("progress");
            sleep(PATIENCE * 5).await;
        }
    }
}
