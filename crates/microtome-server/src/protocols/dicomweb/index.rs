//! Which study and series each slide is. DICOMweb asks for slides by identifiers that lie in their metadata.
//!
//! Not here: who may see what, and what is in an instance.

use std::collections::BTreeMap;
use std::sync::Arc;

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use microtome_dicom::dataset::{Element, Value};
use microtome_dicom::{Dataset, Kind, QUALITY, Series};
use microtome_slide::{Caches, Slide};

use crate::root::Root;
use crate::slide_id::SlideId;
use crate::survey::Survey;

/// A slide in the index, some 10 KB. In the order of study, series and slide.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) study: String,
    pub(crate) series: String,
    pub(crate) slide: SlideId,
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

/// All slides.
pub(crate) type Known = crate::survey::Known<Entry>;

impl Known {
    /// The slides of a study, one beside the other.
    pub(crate) fn study(&self, study: &str) -> &[Arc<Entry>] {
        let start = self.entries.partition_point(|entry| *entry.study < *study);
        let length = self.entries[start..].partition_point(|entry| entry.study == study);
        &self.entries[start..start + length]
    }
}

/// Slide microscopy: what all slides are.
pub(super) const MODALITY: &str = "SM";

/// The index of the slides below `root`.
pub(crate) fn index(root: Arc<Root>, with_labels: bool) -> Survey<Entry> {
    Survey::new(root, move |root, id| read(root, id, with_labels))
}

/// What a container says of its series.
fn read(root: &Root, id: &SlideId, with_labels: bool) -> Result<Option<Entry>, microtome_slide::Error> {
    let Some((container, _identity)) = root.container(id)? else { return Ok(None) };
    let slide = Slide::of_container(container, &Caches::default())?;
    let series = Series::of(&slide, QUALITY);
    let instances = series.instances.iter().filter(|instance| is_shown(&instance.kind, with_labels)).count();
    let mut summary = series.summary;
    summary.put(tags::SOP_CLASS_UID, uids::VL_WHOLE_SLIDE_MICROSCOPY_IMAGE_STORAGE);
    summary.put(tags::MODALITIES_IN_STUDY, MODALITY);
    let container =
        series.instances.first().map_or("", |first| first.summary.text(tags::CONTAINER_IDENTIFIER));
    summary.put(tags::CONTAINER_IDENTIFIER, container);
    let values = |element: &Element| match &element.value {
        Value::Text(values) if !values.is_empty() => Some(values.join("\\").into()),
        _ => None,
    };
    let summary = summary.elements().filter_map(|(tag, element)| Some((tag, values(element)?))).collect();
    let (study, series) = (series.identity.study, series.identity.series);
    Ok(Some(Entry { study, series, slide: id.clone(), instances: instances as u32, summary }))
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
