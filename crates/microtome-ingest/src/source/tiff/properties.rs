//! Properties of a slide from its tags, under OpenSlide's names where it has one.
//!
//! TIFF 6.0 section 8 (descriptive fields, resolution); Aperio's ImageDescription: a line of software, a line of
//! sizes, then `|key = value` pairs. Not here: associated images.

use super::ifd::{Directory, Tiff};
use super::tag::{
    ARTIST, COPYRIGHT, DATE_TIME, DOCUMENT_NAME, HOST_COMPUTER, ICC_PROFILE, IMAGE_DESCRIPTION, MAKE, MODEL,
    RESOLUTION_UNIT, SOFTWARE, Tag, X_RESOLUTION, Y_RESOLUTION,
};
use crate::Error;

/// Longest ICC profile that is read.
const MAX_ICC_BYTES: u64 = 16 << 20;
/// Longest text that becomes a property; OME-XML can be far longer.
const MAX_PROPERTY_BYTES: usize = 64 << 10;
/// Micrometres per pixel that a microscope can mean; screen resolutions such as 72 dpi are beyond.
const PLAUSIBLE_MPP: std::ops::RangeInclusive<f64> = 0.05..=50.0;

const TEXTS: [Tag; 9] =
    [IMAGE_DESCRIPTION, MAKE, MODEL, SOFTWARE, DATE_TIME, ARTIST, HOST_COMPUTER, COPYRIGHT, DOCUMENT_NAME];

/// What the tags that TIFF has for all say of the slide.
pub(super) struct Tags {
    pub(super) properties: Vec<(String, String)>,
    /// The ImageDescription, however long.
    pub(super) description: String,
    pub(super) mpp: Option<[f64; 2]>,
    pub(super) icc_profile: Option<Vec<u8>>,
}

impl Tags {
    /// Reads the tags of the level 0 page. What is too long for a property is said in `notices`.
    pub(super) fn read(tiff: &Tiff, directory: &Directory, notices: &mut Vec<String>) -> Result<Self, Error> {
        let mut properties: Vec<(String, String)> = Vec::new();
        let mut description = String::new();
        for tag in TEXTS {
            let Some(text) = tiff.text(directory, tag)? else { continue };
            if tag == IMAGE_DESCRIPTION {
                description.clone_from(&text);
            }
            if text.len() > MAX_PROPERTY_BYTES {
                notices.push(format!(
                    "{tag} of {} bytes is left out (at most {MAX_PROPERTY_BYTES} are kept)",
                    text.len()
                ));
            } else if !text.is_empty() {
                properties.push((format!("tiff.{}", tag.1), text));
            }
        }
        let mpp = resolution(tiff, directory, &mut properties)?;
        let icc_profile =
            tiff.bytes(directory, ICC_PROFILE, MAX_ICC_BYTES)?.filter(|profile| !profile.is_empty());
        Ok(Self { properties, description, mpp, icc_profile })
    }
}

/// Properties under OpenSlide's names for all vendors.
pub(super) fn normalised(
    vendor: &str,
    mpp: Option<[f64; 2]>,
    objective_power: Option<f64>,
) -> Vec<(String, String)> {
    let mut properties = vec![("openslide.vendor".into(), vendor.into())];
    if let Some([x, y]) = mpp {
        properties.push(("openslide.mpp-x".into(), x.to_string()));
        properties.push(("openslide.mpp-y".into(), y.to_string()));
    }
    if let Some(power) = objective_power {
        properties.push(("openslide.objective-power".into(), power.to_string()));
    }
    properties
}

/// What the tags of the level 0 page say of the slide.
pub(super) struct Description {
    /// Whether an Aperio scanner or its software wrote the file.
    pub(super) aperio: bool,
    pub(super) properties: Vec<(String, String)>,
    pub(super) mpp: Option<[f64; 2]>,
    pub(super) objective_power: Option<f64>,
    pub(super) icc_profile: Option<Vec<u8>>,
    pub(super) notices: Vec<String>,
}

impl Description {
    /// Reads the tags of the level 0 page.
    pub(super) fn read(tiff: &Tiff, directory: &Directory) -> Result<Self, Error> {
        let mut notices = Vec::new();
        let Tags { mut properties, description, mut mpp, icc_profile } =
            Tags::read(tiff, directory, &mut notices)?;
        let mut objective_power = None;
        let aperio = is_aperio(&description);
        if aperio {
            let pairs = aperio_pairs(&description);
            mpp = number(&pairs, "MPP").filter(|mpp| PLAUSIBLE_MPP.contains(mpp)).map(|mpp| [mpp; 2]);
            objective_power = number(&pairs, "AppMag").filter(|power| *power > 0.0);
            properties.extend(pairs.into_iter().map(|(key, value)| (format!("aperio.{key}"), value)));
        }
        let vendor = if aperio { "aperio" } else { "generic-tiff" };
        properties.extend(normalised(vendor, mpp, objective_power));
        Ok(Self { aperio, properties, mpp, objective_power, icc_profile, notices })
    }
}

/// Whether an ImageDescription is Aperio's.
fn is_aperio(description: &str) -> bool {
    description.starts_with("Aperio")
}

/// The `key = value` pairs of an Aperio ImageDescription; the part before the first `|` is not one.
fn aperio_pairs(description: &str) -> Vec<(String, String)> {
    let pairs = description.split('|').skip(1).filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect()
}

/// The value of `key` as a number, if it is one.
fn number(pairs: &[(String, String)], key: &str) -> Option<f64> {
    let (_, value) = pairs.iter().find(|(name, _)| name == key)?;
    value.parse().ok().filter(|value: &f64| value.is_finite())
}

/// Micrometres per pixel from the resolution tags, where they can be a microscope's; the tags become properties.
fn resolution(
    tiff: &Tiff,
    directory: &Directory,
    properties: &mut Vec<(String, String)>,
) -> Result<Option<[f64; 2]>, Error> {
    let (unit, micrometres) = match tiff.number_of(directory, RESOLUTION_UNIT)?.unwrap_or(2) {
        2 => ("inch", 25_400.0),
        3 => ("centimeter", 10_000.0),
        // No absolute unit: the division below gives no plausible size.
        _ => ("none", 0.0),
    };
    let mut mpp = Vec::with_capacity(2);
    for tag in [X_RESOLUTION, Y_RESOLUTION] {
        if let Some(value) = tiff.rational(directory, tag)? {
            properties.push((format!("tiff.{}", tag.1), value.to_string()));
            mpp.push(micrometres / value);
        }
    }
    if mpp.is_empty() {
        return Ok(None);
    }
    properties.push((format!("tiff.{}", RESOLUTION_UNIT.1), unit.into()));
    Ok(<[f64; 2]>::try_from(mpp).ok().filter(|both| both.iter().all(|mpp| PLAUSIBLE_MPP.contains(mpp))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aperio_pairs_are_trimmed_and_the_header_is_skipped() {
        let description = "Aperio Image Library v11.2.1 \r\n46000x32914 (240x240) JPEG/RGB Q=30;Aperio \
                           |AppMag = 20|StripeWidth = 2040|MPP = 0.4990|Title = a = b|odd";
        assert!(is_aperio(description));
        let pairs = aperio_pairs(description);
        assert_eq!(pairs.len(), 4, "{pairs:?}");
        assert_eq!(pairs[3], ("Title".into(), "a = b".into()));
        assert_eq!((number(&pairs, "MPP"), number(&pairs, "AppMag")), (Some(0.499), Some(20.0)));
        assert_eq!(number(&pairs, "Title"), None);
    }
}
