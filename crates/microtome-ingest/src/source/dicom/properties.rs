//! Properties of a slide from the attributes of its level 0, under the names that OpenSlide gives them.
//!
//! `dicom.` and the keywords of PS3.6 on the way to an element, with the number of the item in a sequence, and of the
//! value where there are several. Not here: pixels.

use dicom_core::Tag;
use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_dictionary_std::{StandardDataDictionary, tags};

use super::attributes::{Attributes, Kept, Place};
use super::instance::Instance;
use super::walk::Step;
use crate::Error;

/// Longest ICC profile that is read.
const MAX_ICC_BYTES: u64 = 16 << 20;
/// Longest text that becomes a property.
const MAX_PROPERTY_BYTES: usize = 64 << 10;

/// What the attributes of level 0 say of the slide.
pub(super) struct Description {
    pub(super) properties: Vec<(String, String)>,
    pub(super) mpp: Option<[f64; 2]>,
    pub(super) objective_power: Option<f64>,
    pub(super) icc_profile: Option<Vec<u8>>,
    pub(super) notices: Vec<String>,
}

impl Description {
    pub(super) fn read(instance: &Instance) -> Result<Self, Error> {
        let attributes = &instance.attributes;
        let (mut properties, mut notices): (Vec<(String, String)>, Vec<String>) = (vec![], vec![]);
        let mut left_out = attributes.left_out;
        for kept in &attributes.kept {
            let of_frame =
                kept.path.first().is_some_and(|s| s.0 == tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
            let Some(name) = name(kept).filter(|_| !of_frame) else { continue };
            if kept.value.len() > MAX_PROPERTY_BYTES {
                left_out += 1;
                continue;
            }
            let mut values = attributes.values(kept);
            if let [_] = values[..] {
                properties.extend(values.pop().filter(|value| !value.is_empty()).map(|value| (name, value)));
            } else {
                properties
                    .extend(values.into_iter().enumerate().map(|(i, value)| (format!("{name}[{i}]"), value)));
            }
        }
        if left_out > 0 {
            notices.push(format!("{left_out} attributes are too long to be kept as properties"));
        }
        let mpp = mpp(instance);
        let objective_power = attributes
            .decimals(&[(tags::OPTICAL_PATH_SEQUENCE, 0)], tags::OBJECTIVE_LENS_POWER)
            .first()
            .copied()
            .filter(|&power| power > 0.0);
        properties.push(("openslide.vendor".into(), "dicom".into()));
        if let Some([x, y]) = mpp {
            properties.push(("openslide.mpp-x".into(), x.to_string()));
            properties.push(("openslide.mpp-y".into(), y.to_string()));
        }
        if let Some(power) = objective_power {
            properties.push(("openslide.objective-power".into(), power.to_string()));
        }
        let icc_profile = match attributes.icc {
            Some(Place { offset, length }) if (1..=MAX_ICC_BYTES).contains(&length) => {
                Some(instance.file.read(offset, length, "ICCProfile")?)
            }
            Some(Place { length, .. }) if length > 0 => {
                notices.push(format!(
                    "the ICC profile of {length} bytes is left out (at most {MAX_ICC_BYTES} are kept)"
                ));
                None
            }
            _ => None,
        };
        Ok(Self { properties, mpp, objective_power, icc_profile, notices })
    }
}

/// The name of a property, or `None` for elements that are in no dictionary.
fn name(kept: &Kept) -> Option<String> {
    let keyword = |tag: Tag| StandardDataDictionary.by_tag(tag).map(|entry| entry.alias().to_owned());
    let mut name = "dicom".to_owned();
    for &(tag, item) in &kept.path {
        name.push_str(&format!(".{}[{item}]", keyword(tag)?));
    }
    name.push_str(&format!(".{}", keyword(kept.tag)?));
    Some(name)
}

/// Micrometres per pixel, horizontal and vertical: from the spacing of the pixels, else from the size of the volume.
fn mpp(instance: &Instance) -> Option<[f64; 2]> {
    let attributes = &instance.attributes;
    spacing(attributes).or_else(|| {
        let tiling = instance.tiling().ok()?;
        let length = |tag| attributes.decimals(&[], tag).first().copied();
        let mpp = |millimetres: f64, pixels: u32| 1000.0 * millimetres / f64::from(pixels);
        let across = mpp(length(tags::IMAGED_VOLUME_WIDTH)?, tiling.size.0);
        let down = mpp(length(tags::IMAGED_VOLUME_HEIGHT)?, tiling.size.1);
        (across > 0.0 && down > 0.0).then_some([across, down])
    })
}

/// Micrometres per pixel from PixelSpacing, which gives millimetres from row to row, then from column to column.
fn spacing(attributes: &Attributes) -> Option<[f64; 2]> {
    let measures = (tags::PIXEL_MEASURES_SEQUENCE, 0);
    let places: [&[Step]; 2] = [
        &[(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, 0), measures],
        &[(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, 0), measures],
    ];
    let spacing = places
        .into_iter()
        .map(|path| attributes.decimals(path, tags::PIXEL_SPACING))
        .find(|v| v.len() == 2)?;
    let [down, across] = spacing[..] else { return None };
    // The product of two decimals has more digits than either means.
    let micrometres = |millimetres: f64| (1000.0 * millimetres * 1e9).round() / 1e9;
    (across > 0.0 && down > 0.0).then(|| [micrometres(across), micrometres(down)])
}
