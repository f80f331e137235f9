//! What is kept of slides as DICOM: their series, what each instance says, and its frames.
//!
//! Describing an instance takes a look at some tiles, which blocks and decodes: it takes the slide's turn of a thread that reads.
//! Not here: which slide has which series.

use std::sync::Arc;

use bytes::Bytes;
use dicom_core::Tag;
use microtome_dicom::dataset::{Dataset, Value};
use microtome_dicom::{Frames, QUALITY, Series};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::index::{Entry, index, is_shown};
use crate::app::App;
use crate::catalog::OpenSlide;
use crate::config::ServerConfig;
use crate::error::{Error, Failure};
use crate::readers::{LONGEST_WAIT, Readers};
use crate::root::Root;
use crate::survey::Survey;

/// Series that are kept: some 50 KB each.
const MOST_SERIES: u64 = 256;
/// Bytes of descriptions that are kept, ICC profiles included.
const MOST_BYTES: u64 = 64 << 20;
/// What a description takes without its profile, about.
const BYTES_OF_ONE: u32 = 16 << 10;

/// An instance as far as it is known once some frames were looked at.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) dataset: Dataset,
    pub(crate) frames: Frames,
}

/// What DICOMweb keeps.
pub(crate) struct Dicomweb {
    pub(crate) index: Survey<Entry>,
    with_labels: bool,
    series: moka::sync::Cache<u64, Arc<Series>>,
    /// By the opening of a slide and the place of the instance in its series.
    described: moka::future::Cache<(u64, usize), Arc<Described>>,
    /// Turns of decoding threads.
    decoding: Arc<Semaphore>,
}

impl Dicomweb {
    pub(crate) fn new(config: &ServerConfig, root: Arc<Root>) -> Self {
        let weigh = |_key: &(u64, usize), described: &Arc<Described>| {
            BYTES_OF_ONE.saturating_add(u32::try_from(bytes_of(&described.dataset)).unwrap_or(u32::MAX))
        };
        Self {
            index: index(root, config.serve_labels),
            with_labels: config.serve_labels,
            series: moka::sync::Cache::new(MOST_SERIES),
            described: moka::future::Cache::builder().weigher(weigh).max_capacity(MOST_BYTES).build(),
            decoding: Arc::new(Semaphore::new(config.rayon_threads.max(1).saturating_mul(4))),
        }
    }

    /// The series of a slide, with those instances that are given out.
    pub(crate) fn series(&self, open: &OpenSlide) -> Arc<Series> {
        self.series.get_with(open.instance, || {
            let mut series = Series::of(&open.slide, QUALITY);
            series.instances.retain(|instance| is_shown(&instance.kind, self.with_labels));
            Arc::new(series)
        })
    }

    /// What the instance at this place in the series says.
    pub(crate) async fn described(
        &self,
        readers: &Readers,
        open: &Arc<OpenSlide>,
        series: &Arc<Series>,
        place: usize,
    ) -> Result<Arc<Described>, Failure> {
        let describing = async {
            let (slide, series) = (Arc::clone(open), Arc::clone(series));
            let describe = move || {
                let instance = series.instances.get(place).ok_or(Error::NoSuchInstance)?;
                let described = series.describe(&slide.slide, instance);
                let (dataset, frames) =
                    described.map_err(|source| Error::NoDicom { slide: slide.id.clone(), source })?;
                Ok(Arc::new(Described { dataset, frames }))
            };
            readers.read(open, "description of an instance", describe).await.flatten().map_err(Failure::from)
        };
        let described = self.described.try_get_with((open.instance, place), describing).await;
        described.map_err(|failure| Failure::clone(&failure))
    }

    /// Runs on a decoding thread what decodes and does not wait for storage, when it is its turn.
    pub(crate) async fn on_decoder<T: Send + 'static>(
        &self,
        app: &App,
        what: &'static str,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Failure> {
        let turn = turn(&self.decoding).await?;
        let (done, outcome) = oneshot::channel();
        app.pipeline.on_decoder(move || {
            let _turn = turn;
            // Who went away misses nothing.
            if !done.is_closed() {
                let _ = done.send(work());
            }
        });
        outcome.await.unwrap_or_else(|_lost| Err(Error::WorkerLost(what))).map_err(Failure::from)
    }
}

async fn turn(turns: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Failure> {
    match tokio::time::timeout(LONGEST_WAIT, Arc::clone(turns).acquire_owned()).await {
        Ok(Ok(turn)) => Ok(turn),
        Ok(Err(_closed)) => Err(Error::WorkerLost("queue of DICOM").into()),
        Err(_elapsed) => Err(Error::Overloaded.into()),
    }
}

/// Bytes of the values that are only bytes.
fn bytes_of(dataset: &Dataset) -> usize {
    let bytes = dataset.elements().map(|(_, element)| match &element.value {
        Value::Bytes(bytes) => bytes.len(),
        Value::Items(items) => items.iter().map(bytes_of).sum(),
        _ => 0,
    });
    bytes.sum()
}

/// The bytes under a tag, in whatever sequence it is.
pub(crate) fn bulk(dataset: &Dataset, tag: Tag) -> Option<Bytes> {
    dataset.elements().find_map(|(own, element)| match &element.value {
        Value::Bytes(bytes) if own == tag => Some(bytes.clone()),
        Value::Items(items) => items.iter().find_map(|item| bulk(item, tag)),
        _ => None,
    })
}
