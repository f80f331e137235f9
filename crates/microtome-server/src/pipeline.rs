//! A cold tile: wait in the queue, read its records, decode them on the decode pool, keep it.
//!
//! The decode pool never waits for I/O: what is in memory it reads itself, which spares two hand-overs between threads; for
//! the rest it turns to the blocking pool. Async code never decodes. Each step begins only if somebody still waits for
//! the tile and it is not too late. What follows a tile without being asked for is `prefetch`'s.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use microtome_slide::{FetchedTile, TileId, Times};
use rayon::ThreadPool;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::catalog::OpenSlide;
use crate::config::ServerConfig;
use crate::error::{Error, Failure};
use crate::flights::Flights;
use crate::metrics::{Dropped, Metrics};
use crate::prefetch::Prefetcher;
use crate::queue::{Place, Queue};
use crate::readers::{self, Readers};
use crate::tile_cache::{TileCache, TileKey};

/// How long a tile spent where.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stages {
    /// Waiting for a reading thread and for a decoding thread.
    pub(crate) queue: Duration,
    /// Reading and checking records.
    pub(crate) fetch: Duration,
    /// Decoding.
    pub(crate) decode: Duration,
    /// What the latter two did; zero unless timings are wanted.
    pub(crate) steps: Times,
}

impl Stages {
    /// All of them by name, and the steps of the latter two.
    pub(crate) fn named(&self) -> [(&'static str, Duration); 10] {
        let [index, read, checksum, base, prediction, entropy, stream] = self.steps.named();
        let own = [("queue", self.queue), ("fetch", self.fetch), ("decode", self.decode)];
        let [queue, fetch, decode] = own;
        [queue, fetch, index, read, checksum, decode, base, prediction, entropy, stream]
    }
}

/// Longest wait for a tile: for its place in the queue, storage and decoding together.
const LONGEST_WAIT: Duration = readers::LONGEST_WAIT;

/// A tile and how long it took, or why there is none.
type Outcome = Result<(Bytes, Stages), Failure>;
/// One who waits for a tile.
pub(crate) type Waiter = oneshot::Sender<Outcome>;

/// Makes tiles and keeps them.
pub(crate) struct Pipeline {
    pub(crate) tiles: TileCache,
    pub(crate) flights: Flights<TileKey, Waiter>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) decoders: ThreadPool,
    pub(crate) readers: Arc<Readers>,
    pub(crate) prefetcher: Prefetcher,
    pub(crate) metrics: Arc<Metrics>,
}

impl Pipeline {
    pub(crate) fn new(
        config: &ServerConfig,
        metrics: Arc<Metrics>,
    ) -> Result<Self, rayon::ThreadPoolBuildError> {
        let threads = config.rayon_threads.max(1);
        let decoders = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("decode-{index}"))
            // Without a handler a panic would end the process. The flight that lost its decoder lands all the same.
            .panic_handler(|_payload| tracing::error!("a decoder panicked"))
            .build()?;
        Ok(Self {
            tiles: TileCache::new(config.cache_entries, config.cache_mb.saturating_mul(1 << 20)),
            flights: Flights::new(),
            queue: Arc::new(Queue::new(threads, Instant::now())),
            decoders,
            readers: Arc::new(Readers::new(config.tokio_blocking_threads)),
            prefetcher: Prefetcher::new(config.prefetch, config.max_inflight_families),
            metrics,
        })
    }

    /// A tile that is not in the cache, as JPEG: from whoever is making it already, or newly made. The work is given up
    /// if all who wait for it go away before it begins, and nobody waits longer than [`LONGEST_WAIT`] for it: storage
    /// that hangs answers no read, and no error either.
    pub(crate) async fn tile(self: &Arc<Self>, open: &Arc<OpenSlide>, tile: TileId) -> Outcome {
        let key = TileKey { instance: open.instance, tile };
        // Nearly all are refused in a flood: they are before anything is set up for them.
        if !self.flights.is_open(&key) && self.queue.refuses_at_once(Instant::now()) {
            self.metrics.dropped(Dropped::Full);
            return Err(Error::Overloaded.into());
        }
        let (waiter, outcome) = oneshot::channel();
        if self.flights.board(key, waiter) {
            self.launch(Landing::new(self, key), open);
        }
        match tokio::time::timeout(LONGEST_WAIT, outcome).await {
            Ok(Ok(Err(failure))) => Err(open.unless_replaced(failure).await),
            Ok(outcome) => outcome.unwrap_or_else(|_lost| Err(Error::WorkerLost("making of a tile").into())),
            Err(_elapsed) => Err(Error::Overloaded.into()),
        }
    }

    /// Has work done by a decoding thread, after what came before it.
    pub(crate) fn on_decoder(&self, work: impl FnOnce() + Send + 'static) {
        let metrics = Arc::clone(&self.metrics);
        self.decoders.spawn_fifo(move || {
            let _busy = metrics.decoding();
            work();
        });
    }

    /// Has work done by decoding threads while the caller, who is none, waits.
    pub(crate) fn on_decoder_now<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.decoders.install(|| {
            let _busy = self.metrics.decoding();
            work()
        })
    }

    fn launch(&self, landing: Landing, open: &Arc<OpenSlide>) {
        // Another flight may have landed since the cache was asked.
        let Some(landing) = landing.unless_kept() else { return };
        let asked = Instant::now();
        let Some(place) = self.queue.enter(asked) else {
            self.metrics.dropped(Dropped::Full);
            return landing.land(Err(Error::Overloaded.into()));
        };
        let runtime = Handle::current();
        let job = Job { landing, place, open: Arc::clone(open), asked, runtime };
        self.on_decoder(move || job.begin());
    }
}

/// A tile that is being made.
struct Job {
    landing: Landing,
    place: Place,
    open: Arc<OpenSlide>,
    asked: Instant,
    /// Where reading is done; decoding threads are not tokio's.
    runtime: Handle,
}

impl Job {
    /// Makes the tile of what is in memory; only if that is not enough, it has it read first.
    fn begin(self) {
        let Some(mut job) = self.if_useful() else { return };
        let begun = Instant::now();
        match job.open.slide.fetch_at_once(job.landing.key.tile) {
            Ok(Some(fetched)) => {
                let read = Instant::now();
                let stages = Stages { queue: begun - job.asked, fetch: read - begun, ..Stages::default() };
                job.decode(&fetched, stages, read);
            }
            Ok(None) if !job.place.go_to_storage() => {
                job.landing.pipeline.metrics.dropped(Dropped::Full);
                job.landing.land(Err(Error::Overloaded.into()));
            }
            Ok(None) => {
                let readers = Arc::clone(&job.landing.pipeline.readers);
                job.runtime.clone().spawn(async move {
                    let Ok(turn) = readers.turn(&job.open).await else { return };
                    tokio::task::spawn_blocking(move || {
                        job.fetch();
                        drop(turn);
                    });
                });
            }
            Err(error) => job.fail(error),
        }
    }

    /// Reads what the tile needs.
    fn fetch(self) {
        // How long others read says nothing about the decoding threads.
        let is_late = self.place.is_outdated(Instant::now());
        let Some(mut job) = self.unless_late(is_late) else { return };
        let begun = Instant::now();
        match job.open.slide.fetch(job.landing.key.tile) {
            Ok(fetched) => {
                let read = Instant::now();
                job.place.renew(read);
                let pipeline = Arc::clone(&job.landing.pipeline);
                let stages = Stages { queue: begun - job.asked, fetch: read - begun, ..Stages::default() };
                pipeline.on_decoder(move || job.decode(&fetched, stages, read));
            }
            Err(error) => job.fail(error),
        }
    }

    fn decode(self, fetched: &FetchedTile, mut stages: Stages, read: Instant) {
        let Some(job) = self.if_useful() else { return };
        let begun = Instant::now();
        stages.queue += begun - read;
        let Self { landing, place, open, runtime, .. } = job;
        drop(place);
        let (decoded, steps) = fetched.decode_timed();
        stages.decode = begun.elapsed();
        stages.steps = steps.unwrap_or_default();
        let pipeline = Arc::clone(&landing.pipeline);
        pipeline.metrics.read(fetched.bytes_read());
        pipeline.queue.decoded(stages.decode);
        pipeline.metrics.stages(&stages);
        let key = landing.key;
        match decoded {
            Ok(jpeg) => {
                landing.land_with(jpeg, stages);
                pipeline.follow(&runtime, &open, key.tile);
            }
            Err(error) => landing.land(Err(tile_error(&open, key.tile, error).into())),
        }
    }

    /// The job, if somebody waits for it and it is not too late.
    fn if_useful(self) -> Option<Self> {
        let is_late = self.place.is_late(Instant::now());
        self.unless_late(is_late)
    }

    fn unless_late(self, is_late: bool) -> Option<Self> {
        let metrics = Arc::clone(&self.landing.pipeline.metrics);
        let Some(landing) = self.landing.if_awaited() else {
            metrics.dropped(Dropped::Unwanted);
            return None;
        };
        if is_late {
            metrics.dropped(Dropped::Late);
            landing.land(Err(Error::Overloaded.into()));
            return None;
        }
        Some(Self { landing, ..self })
    }

    fn fail(self, error: microtome_slide::Error) {
        let error = tile_error(&self.open, self.landing.key.tile, error);
        self.landing.land(Err(error.into()));
    }
}

/// An open flight. However its work ends, all who wait for it hear of it.
pub(crate) struct Landing {
    pipeline: Arc<Pipeline>,
    key: TileKey,
    /// Whether it is over: then there may be another one for the same tile, which is none of this one's business.
    is_over: bool,
}

impl Landing {
    /// The landing of a flight that was opened just now.
    pub(crate) fn new(pipeline: &Arc<Pipeline>, key: TileKey) -> Self {
        Self { pipeline: Arc::clone(pipeline), key, is_over: false }
    }

    /// Keeps the tile, then hands it to those who wait: so who comes between the two finds it.
    pub(crate) fn land_with(self, jpeg: Bytes, stages: Stages) {
        self.pipeline.tiles.insert(self.key, jpeg.clone());
        self.land(Ok((jpeg, stages)));
    }

    /// The landing, unless the tile is in the cache: then all who wait get that, and it is over.
    pub(crate) fn unless_kept(self) -> Option<Self> {
        let Some(jpeg) = self.pipeline.tiles.get(&self.key) else { return Some(self) };
        self.land(Ok((jpeg, Stages::default())));
        None
    }

    pub(crate) fn land(mut self, outcome: Outcome) {
        self.is_over = true;
        for waiter in self.pipeline.flights.land(&self.key) {
            // Who went away misses nothing.
            let _ = waiter.send(outcome.clone());
        }
    }

    /// The landing, unless all who waited for it are gone: then it is over.
    fn if_awaited(mut self) -> Option<Self> {
        self.is_over = !self.pipeline.flights.is_awaited(&self.key, Waiter::is_closed);
        (!self.is_over).then_some(self)
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if !self.is_over {
            // Their channels close, which is an error to those who wait.
            drop(self.pipeline.flights.land(&self.key));
        }
    }
}

pub(crate) fn tile_error(open: &OpenSlide, tile: TileId, source: microtome_slide::Error) -> Error {
    match source {
        microtome_slide::Error::OutsideSlide(_) => Error::NoSuchTile,
        source => Error::BadRecord { slide: open.id.clone(), tile, source },
    }
}
