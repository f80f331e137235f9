//! What all requests share.

use std::sync::Arc;

use axum::http::HeaderValue;
use axum::response::Response;

use crate::catalog::Catalog;
use crate::config::ServerConfig;
use crate::listing::Listing;
use crate::metrics::{Gauges, Metrics};
use crate::pipeline::Pipeline;
use crate::tile_cache::TileCache;

/// The server's state.
pub(crate) struct App {
    pub(crate) catalog: Catalog,
    pub(crate) listing: Listing,
    pub(crate) tiles: TileCache,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) metrics: Arc<Metrics>,
    timing_breakdown: bool,
}

impl App {
    pub(crate) fn new(config: &ServerConfig) -> Result<Self, rayon::ThreadPoolBuildError> {
        Ok(Self {
            catalog: Catalog::new(config.slides_root.clone()),
            listing: Listing::new(config.slides_root.clone()),
            tiles: TileCache::new(config.cache_entries, config.cache_mb.saturating_mul(1 << 20)),
            pipeline: Arc::new(Pipeline::new(config.max_inflight_families, config.rayon_threads)?),
            metrics: Arc::new(Metrics::new(config.timing_breakdown)),
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
        let (cache_entries, cache_bytes) = self.tiles.size().await;
        let tiles_in_flight = u64::try_from(self.pipeline.in_flight()).unwrap_or(u64::MAX);
        Gauges { cache_entries, cache_bytes, tiles_in_flight, open_slides: self.catalog.open_slides().await }
    }
}
