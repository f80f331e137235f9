//! What all requests share.

use std::sync::Arc;

use axum::http::HeaderValue;
use axum::response::Response;

use crate::catalog::Catalog;
use crate::config::ServerConfig;
use crate::listing::Listing;
use crate::metrics::{Gauges, Metrics};
use crate::pipeline::Pipeline;

/// The server's state.
pub(crate) struct App {
    pub(crate) catalog: Catalog,
    pub(crate) listing: Listing,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) metrics: Arc<Metrics>,
    timing_breakdown: bool,
}

impl App {
    pub(crate) fn new(config: &ServerConfig) -> Result<Self, rayon::ThreadPoolBuildError> {
        let metrics = Arc::new(Metrics::new(config.timing_breakdown));
        Ok(Self {
            catalog: Catalog::new(config.slides_root.clone(), config.timing_breakdown),
            listing: Listing::new(config.slides_root.clone()),
            pipeline: Arc::new(Pipeline::new(config, Arc::clone(&metrics))?),
            metrics,
            timing_breakdown: config.timing_breakdown,
        })
    }

    /// Adds a `Server-Timing` header, if timings are wanted.
    pub(crate) fn add_timing(&self, response: &mut Response, timing: impl FnOnce() -> Option<HeaderValue>) {
        if self.timing_breakdown
            && let Some(timing) = timing()
        {
            response.headers_mut().insert("server-timing", timing);
        }
    }

    /// The quantities that are read when the metrics are.
    pub(crate) async fn gauges(&self) -> Gauges {
        let Pipeline { tiles, queue, prefetcher, .. } = &*self.pipeline;
        Gauges {
            cache: tiles.size(),
            tiles_waiting: queue.waiting() as u64,
            families_in_flight: prefetcher.running() as u64,
            open_slides: self.catalog.open_slides().await,
            decoders: self.pipeline.decoders.current_num_threads() as u64,
            spare_buffer_bytes: microtome_slide::spare_bytes(),
        }
    }
}
