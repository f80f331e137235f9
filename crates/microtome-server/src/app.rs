//! What all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use http::request::Parts;
use http::{HeaderMap, HeaderValue};

use crate::access::{Access, Grant};
use crate::base_url::BaseUrl;
use crate::body::Response;
use crate::catalog::{Catalog, OpenSlide};
use crate::config::ServerConfig;
use crate::error::{Error, Failure};
use crate::error_lines::ErrorLines;
use crate::listing::Listing;
use crate::metrics::{Gauges, Metrics};
use crate::pictures::{Limits, Pictures};
use crate::pipeline::Pipeline;
use crate::protocols::dicomweb::Dicomweb;
use crate::pseudonym::{Pseudonym, Pseudonyms};
use crate::root::Root;
use crate::serve::ServerError;
use crate::slide_id::SlideId;
use crate::source_folder::Sources;

/// The server's state.
pub(crate) struct App {
    catalog: Catalog,
    pub(crate) listing: Listing,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) error_lines: ErrorLines,
    /// Bytes of answers that are not sent yet.
    pub(crate) unsent_bytes: Arc<AtomicUsize>,
    pub(crate) pictures: Arc<Pictures>,
    pub(crate) limits: Limits,
    /// Whether labels and macros are given out.
    pub(crate) serve_labels: bool,
    pub(crate) sources: Sources,
    /// Titles and addresses of pages may name the slide.
    pub(crate) show_names: bool,
    pub(crate) pseudonyms: Pseudonyms,
    access: Access,
    pub(crate) dicomweb: Dicomweb,
    base_url: BaseUrl,
    timing_breakdown: bool,
}

impl App {
    pub(crate) fn new(config: &ServerConfig) -> Result<Self, ServerError> {
        let metrics = Arc::new(Metrics::new(config.timing_breakdown));
        let root = Arc::new(Root::new(&config.slides_root)?);
        Ok(Self {
            catalog: Catalog::new(Arc::clone(&root), config.timing_breakdown, config.tokio_blocking_threads),
            listing: Listing::new(Arc::clone(&root)),
            pipeline: Arc::new(Pipeline::new(config, Arc::clone(&metrics))?),
            metrics,
            error_lines: ErrorLines::new(Instant::now()),
            unsent_bytes: Arc::default(),
            pictures: Arc::new(Pictures::new(config.cache_mb.saturating_mul(1 << 20), config.rayon_threads)?),
            limits: Limits { side: config.max_pixels, area: config.max_area },
            serve_labels: config.serve_labels,
            sources: Sources::new(config.source_root.clone()),
            show_names: config.show_names,
            pseudonyms: Pseudonyms::new(Arc::clone(&root)),
            access: Access::new(&config.access)?,
            dicomweb: Dicomweb::new(config, root),
            base_url: BaseUrl::new(config.base_url.as_deref(), config.tls.is_some()),
            timing_breakdown: config.timing_breakdown,
        })
    }

    /// Lets a request in, with what it may see, or gives the answer to it.
    pub(crate) async fn admit(&self, request: &mut Parts) -> Result<(), Response> {
        self.access.admit(request, &self.base_url).await
    }

    /// The slide that a request asks for, by its name or by its pseudonym. The one way to a slide: who may see which is decided
    /// here. One that a request may not see is absent, and nobody has looked whether it is there.
    pub(crate) async fn slide(&self, request: &Parts, id: &SlideId) -> Result<Arc<OpenSlide>, Failure> {
        match Pseudonym::read(id.as_str()) {
            // In a box: else every request would carry the room for it.
            Some(pseudonym) => Box::pin(self.slide_of(request, pseudonym)).await,
            None if self.may_see(request, id) => self.catalog.slide(id).await,
            None => Err(Error::NoSuchSlide.into()),
        }
    }

    async fn slide_of(&self, request: &Parts, pseudonym: Pseudonym) -> Result<Arc<OpenSlide>, Failure> {
        let found = self.pseudonyms.find(pseudonym, |id| self.may_see(request, id)).await?;
        let id = found.ok_or(Error::NoSuchSlide)?;
        // Another service that let in the pseudonym is asked about the name: a pseudonym opens nothing.
        self.access.confirm(request, || pseudonym.unveiled(&request.uri, &id), &self.base_url).await?;
        let open = self.catalog.slide(&id).await?;
        // Else it is what has come in its place.
        if open.pseudonym == pseudonym { Ok(open) } else { Err(Error::NoSuchSlide.into()) }
    }

    /// Whether a request may see a slide: what [`Self::slide`] asks, for lists of slides that are not opened.
    pub(crate) fn may_see(&self, request: &Parts, id: &SlideId) -> bool {
        self.access.sees(request, id)
    }

    /// What a request may see, for lists; `None` where everyone sees all.
    pub(crate) fn grant(&self, request: &Parts) -> Option<Grant> {
        self.access.grant(request)
    }

    /// Sees to it that the answer to a request for `path` stays with who asked, where not everyone may have it.
    pub(crate) fn keep_private(&self, path: &str, headers: &mut HeaderMap) {
        self.access.keep_private(path, headers);
    }

    /// What goes on in the background as long as the server runs.
    pub(crate) fn upkeep(&self) -> impl Future<Output = ()> + use<> {
        self.access.clone().keep_fresh()
    }

    /// The address of this server as the client of a request sees it, without a slash at its end.
    pub(crate) fn base_url(&self, request: &Parts) -> String {
        self.base_url.of(request)
    }

    /// The path in it: empty, but for a server that is one folder of a proxy's.
    pub(crate) fn base_path(&self, request: &Parts) -> String {
        self.base_url.path_of(request)
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
            tiles_at_storage: queue.at_storage() as u64,
            families_in_flight: prefetcher.running() as u64,
            open_slides: self.catalog.open_slides().await,
            decoders: self.pipeline.decoders.current_num_threads() as u64,
            spare_buffer_bytes: microtome_slide::spare_bytes(),
            unsent_bytes: self.unsent_bytes.load(Ordering::Relaxed) as u64,
        }
    }
}
