//! A cold tile: wait for a permit, read its records on the blocking pool, decode them on the decode pool.
//!
//! The decode pool never waits for I/O, and async code never decodes. Not here: the cache.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use microtome_slide::TileId;
use rayon::ThreadPool;
use tokio::sync::oneshot;

use crate::admission::Admission;
use crate::catalog::OpenSlide;
use crate::error::Error;

/// How long a tile spent where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stages {
    /// Waiting for a permit.
    pub(crate) queue: Duration,
    /// Reading and checking records, a blocking thread's wake-up included.
    pub(crate) fetch: Duration,
    /// Decoding, the wait for a decode thread included.
    pub(crate) decode: Duration,
}

/// Makes tiles, a bounded number at a time.
pub(crate) struct Pipeline {
    admission: Admission,
    decoders: ThreadPool,
}

impl Pipeline {
    /// A pipeline for at most `max_inflight` tiles at a time, decoded by `threads` threads.
    pub(crate) fn new(max_inflight: usize, threads: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let decoders = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.max(1))
            .thread_name(|index| format!("decode-{index}"))
            // Without a handler a panic would end the process. The request that lost its decoder reports it.
            .panic_handler(|_payload| tracing::error!("a decoder panicked"))
            .build()?;
        Ok(Self { admission: Admission::new(max_inflight), decoders })
    }

    /// Tiles being made.
    pub(crate) fn in_flight(&self) -> usize {
        self.admission.in_flight()
    }

    /// The tile as a JPEG.
    pub(crate) async fn tile(&self, open: Arc<OpenSlide>, tile: TileId) -> Result<(Bytes, Stages), Error> {
        let start = Instant::now();
        let permit = self.admission.enter().await?;
        let admitted = Instant::now();
        let reader = Arc::clone(&open);
        let fetch = tokio::task::spawn_blocking(move || reader.slide.fetch(tile));
        let fetched = fetch.await.map_err(|_lost| Error::WorkerLost("reading of a tile"))?;
        let fetched = fetched.map_err(|source| tile_error(&open, tile, source))?;
        let read = Instant::now();
        let (sender, receiver) = oneshot::channel();
        self.decoders.spawn(move || {
            // Only the end of the runtime drops the receiver.
            let _ = sender.send(fetched.decode());
        });
        let decoded = receiver.await.map_err(|_lost| Error::WorkerLost("decoding of a tile"))?;
        let jpeg = decoded.map_err(|source| tile_error(&open, tile, source))?;
        drop(permit);
        let stages = Stages { queue: admitted - start, fetch: read - admitted, decode: read.elapsed() };
        Ok((jpeg, stages))
    }
}

fn tile_error(open: &OpenSlide, tile: TileId, source: microtome_slide::Error) -> Error {
    match source {
        microtome_slide::Error::OutsideSlide(_) => Error::NoSuchTile,
        source => Error::BadRecord { slide: open.id.clone(), tile, source },
    }
}
