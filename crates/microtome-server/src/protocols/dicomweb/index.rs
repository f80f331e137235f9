//! Which study and series each slide is: looked up in all containers once, and again in those that are new or changed.
//!
//! DICOMweb asks for slides by identifiers that lie in their metadata, so every container has to be opened to be found. That
//! is done on a blocking thread when the first request comes, one container after the other, and what was found is kept
//! for as long as the file stays the same. Not here: who may see what, and what is in an instance.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use microtome_dicom::dataset::{Element, Value};
use microtome_dicom::{Dataset, Kind, QUALITY, Series};
use microtome_slide::{Caches, Slide};

use crate::catalog::{FileIdentity, locate};
use crate::error::Error;
use crate::listing;
use crate::slide_id::SlideId;

/// Slides that are found, at most: some 10 KB of memory each. Further ones are served, but not as DICOM.
const MOST_SLIDES: usize = 50_000;
/// How long an index is good, at least; and in multiples of the time that it took to make.
const GOOD_FOR: Duration = Duration::from_secs(2);
const GOOD_FOR_TIMES: u32 = 20;
/// Longest wait for an index that is being made, when there is an older one and when there is none.
const WAIT_WITH: Duration = Duration::from_secs(2);
const WAIT_WITHOUT: Duration = Duration::from_secs(20);

/// A slide in the index.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) slide: SlideId,
    pub(crate) study: String,
    pub(crate) series: String,
    /// Number of instances.
    pub(crate) instances: u32,
    /// What searches for studies and series find by: a data set as lean as can be, values parted by backslashes.
    summary: Box<[(Tag, Box<str>)]>,
}

impl Entry {
    /// What searches for studies and series find by. Empty elements are not in it.
    pub(crate) fn summary(&self) -> Dataset {
        let mut set = Dataset::default();
        self.summary.iter().for_each(|(tag, values)| set.put_all(*tag, values.split('\\')));
        set
    }

    /// Whether [`Self::summary`] has this element.
    pub(crate) fn has(&self, tag: Tag) -> bool {
        self.summary.iter().any(|(own, _)| *own == tag)
    }
}

/// All slides, at some time.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// In the order of study, series and slide.
    pub(crate) entries: Vec<Arc<Entry>>,
    files: HashMap<SlideId, (FileIdentity, Option<Arc<Entry>>)>,
}

impl Known {
    /// The slides of a study, one beside the other.
    pub(crate) fn study(&self, study: &str) -> &[Arc<Entry>] {
        let start = self.entries.partition_point(|entry| *entry.study < *study);
        let length = self.entries[start..].partition_point(|entry| entry.study == study);
        &self.entries[start..start + length]
    }
}

struct Made {
    known: Arc<Known>,
    at: Instant,
    took: Duration,
}

impl Made {
    fn is_good(&self) -> bool {
        self.at.elapsed() < GOOD_FOR.max(self.took * GOOD_FOR_TIMES)
    }
}

/// The index.
pub(crate) struct Index {
    root: PathBuf,
    with_labels: bool,
    latest: Arc<RwLock<Option<Made>>>,
    making: Arc<tokio::sync::Mutex<()>>,
}

impl Index {
    pub(crate) fn new(root: PathBuf, with_labels: bool) -> Self {
        Self { root, with_labels, latest: Arc::default(), making: Arc::default() }
    }

    /// All slides: as of some seconds ago at most, or older while that takes longer than anybody waits.
    pub(crate) async fn known(&self) -> Result<Arc<Known>, Error> {
        let (known, is_good) = self.latest();
        let wait = match (known.is_some(), is_good) {
            (_, true) => Duration::ZERO,
            (true, false) => WAIT_WITH,
            (false, false) => WAIT_WITHOUT,
        };
        if !wait.is_zero()
            && let Ok(outcome) = tokio::time::timeout(wait, self.refresh()).await
        {
            outcome?;
        }
        self.latest().0.ok_or(Error::Overloaded)
    }

    fn latest(&self) -> (Option<Arc<Known>>, bool) {
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        (latest.as_ref().map(|made| Arc::clone(&made.known)), latest.as_ref().is_some_and(Made::is_good))
    }

    /// Makes it anew, unless somebody just did. It goes on being made when nobody waits any more.
    async fn refresh(&self) -> Result<(), Error> {
        let making = Arc::clone(&self.making).lock_owned().await;
        let (old, is_good) = self.latest();
        if is_good {
            return Ok(());
        }
        let (root, with_labels, latest) = (self.root.clone(), self.with_labels, Arc::clone(&self.latest));
        let made = tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            let known = Arc::new(make(&root, with_labels, old.as_deref())?);
            let made = Made { known, at: Instant::now(), took: begun.elapsed() };
            *latest.write().unwrap_or_else(PoisonError::into_inner) = Some(made);
            drop(making);
            Ok(())
        });
        made.await.unwrap_or(Err(Error::WorkerLost("index of DICOM series")))
    }
}

fn make(root: &Path, with_labels: bool, old: Option<&Known>) -> Result<Known, Error> {
    let caches = Caches::default();
    let mut files = HashMap::new();
    let slides = listing::list(root)?;
    if slides.len() > MOST_SLIDES {
        tracing::warn!(slides = slides.len(), most = MOST_SLIDES, "not all slides are found by DICOMweb");
    }
    for (id, _bytes) in slides.into_iter().take(MOST_SLIDES) {
        let Ok(Some((target, identity))) = locate(root, &id.file_below(root)) else { continue };
        let entry = match old.and_then(|old| old.files.get(&id)) {
            Some((same, entry)) if *same == identity => entry.clone(),
            _ => read(&target, &id, with_labels, &caches),
        };
        files.insert(id, (identity, entry));
    }
    let mut entries: Vec<_> = files.values().filter_map(|(_, entry)| entry.clone()).collect();
    entries.sort_by(|a, b| (&a.study, &a.series, &a.slide).cmp(&(&b.study, &b.series, &b.slide)));
    Ok(Known { entries, files })
}

/// What a container says of its series; `None` for one that cannot be opened.
fn read(target: &Path, id: &SlideId, with_labels: bool, caches: &Caches) -> Option<Arc<Entry>> {
    let slide = Slide::open_with(target, caches)
        .inspect_err(|error| tracing::debug!(slide = %id, %error, "not in the index of DICOM series"))
        .ok()?;
    let series = Series::of(&slide, QUALITY);
    let instances = series.instances.iter().filter(|instance| is_shown(&instance.kind, with_labels)).count();
    let mut summary = series.summary;
    summary.put(tags::SOP_CLASS_UID, uids::VL_WHOLE_SLIDE_MICROSCOPY_IMAGE_STORAGE);
    summary.put(tags::MODALITIES_IN_STUDY, "SM");
    let container =
        series.instances.first().map_or("", |first| first.summary.text(tags::CONTAINER_IDENTIFIER));
    summary.put(tags::CONTAINER_IDENTIFIER, container);
    let values = |element: &Element| match &element.value {
        Value::Text(values) if !values.is_empty() => Some(values.join("\\").into()),
        _ => None,
    };
    let summary = summary.elements().filter_map(|(tag, element)| Some((tag, values(element)?))).collect();
    let (study, series) = (series.identity.study, series.identity.series);
    Some(Arc::new(Entry { slide: id.clone(), study, series, instances: instances as u32, summary }))
}

/// Whether an instance is given out.
pub(crate) fn is_shown(kind: &Kind, with_labels: bool) -> bool {
    with_labels || !matches!(kind, Kind::Associated(name) if name == "label" || name == "macro")
}

/// Entries by study, then by series: of several slides of one series the first stands for it.
pub(crate) fn grouped<'a>(
    entries: impl Iterator<Item = &'a Arc<Entry>>,
) -> BTreeMap<&'a str, BTreeMap<&'a str, &'a Arc<Entry>>> {
    let mut studies: BTreeMap<&str, BTreeMap<&str, &Arc<Entry>>> = BTreeMap::new();
    for entry in entries {
        studies.entry(&entry.study).or_default().entry(&entry.series).or_insert(entry);
    }
    studies
}
