//! Properties of a slide from its tags, under OpenSlide's names where it has one.
//!
//! TIFF 6.0 section 8 (descriptive fields, resolution); Aperio's ImageDescription: a line of software, a line of
//! sizes, then `|key = value` pairs. Not here: associated images.

use super::ifd::{Directory, Tiff};
use super::ome::Ome;
use super::page::{Page, Photometric};
use super::tag::{
    ARTIST, COPYRIGHT, DATE_TIME, DOCUMENT_NAME, HOST_COMPUTER, ICC_PROFILE, IMAGE_DESCRIPTION, MAKE, MODEL,
    RESOLUTION_UNIT, SOFTWARE, Tag, X_RESOLUTION, Y_RESOLUTION,
};
use crate::Error;
use crate::source::PLAUSIBLE_MPP;
use crate::source::turned::Orientation;

/// Longest ICC profile that is read.
const MAX_ICC_BYTES: u64 = 16 << 20;
/// Longest text that becomes a property. OME-XML is kept whole up to here.
const MAX_PROPERTY_BYTES: usize = 1 << 20;

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
    let mut properties = vec![("openslide.vendor".to_owned(), vendor.to_owned())];
    properties.extend(scale(mpp, objective_power));
    properties
}

/// The names of the scale.
const SCALE: [&str; 3] = ["openslide.mpp-x", "openslide.mpp-y", "openslide.objective-power"];

fn scale(mpp: Option<[f64; 2]>, objective_power: Option<f64>) -> impl Iterator<Item = (String, String)> {
    let [x, y] = mpp.map_or([None; 2], |mpp| mpp.map(Some));
    let values = SCALE.into_iter().zip([x, y, objective_power]);
    values.filter_map(|(name, value)| Some((name.to_owned(), value?.to_string())))
}

/// What the tags of the level 0 page say of the slide.
pub(super) struct Description {
    /// Kind of source in a word.
    pub(super) format: &'static str,
    pub(super) properties: Vec<(String, String)>,
    pub(super) mpp: Option<[f64; 2]>,
    pub(super) objective_power: Option<f64>,
    pub(super) icc_profile: Option<Vec<u8>>,
    pub(super) notices: Vec<String>,
}

impl Description {
    /// Reads the tags of the level 0 page, stored as `orientation` says.
    pub(super) fn read(
        tiff: &Tiff,
        directory: &Directory,
        aperio: bool,
        orientation: Orientation,
    ) -> Result<Self, Error> {
        let mut notices = Vec::new();
        let Tags { mut properties, description, mut mpp, icc_profile } =
            Tags::read(tiff, directory, &mut notices)?;
        if orientation.swapped {
            // The tags speak of stored columns and rows.
            mpp = mpp.map(|[x, y]| [y, x]);
        }
        let mut objective_power = None;
        if aperio {
            let pairs = aperio_pairs(&description);
            mpp = number(&pairs, "MPP").filter(|mpp| PLAUSIBLE_MPP.contains(mpp)).map(|mpp| [mpp; 2]);
            objective_power = number(&pairs, "AppMag").filter(|power| *power > 0.0);
            properties.extend(pairs.into_iter().map(|(key, value)| (format!("aperio.{key}"), value)));
        }
        let vendor = if aperio { "aperio" } else { "generic-tiff" };
        properties.push(("openslide.vendor".into(), vendor.into()));
        let format = if aperio { "aperio-svs" } else { "tiff" };
        let mut read = Self { format, properties, mpp, objective_power, icc_profile, notices };
        read.name_scale();
        Ok(read)
    }

    /// Puts the scale under OpenSlide's names.
    fn name_scale(&mut self) {
        self.properties.retain(|(name, _)| !SCALE.contains(&name.as_str()));
        self.properties.extend(scale(self.mpp, self.objective_power));
    }

    /// Takes what OME-XML says of the slide's page in place of what its tags say; answers its notices.
    pub(super) fn adopt(&mut self, ome: Ome, page: &Page) -> Vec<String> {
        self.format = "ome-tiff";
        if let Some([x, y]) = ome.mpp.filter(|mpp| mpp.iter().all(|mpp| PLAUSIBLE_MPP.contains(mpp))) {
            self.mpp = Some(if page.orientation.swapped { [y, x] } else { [x, y] });
        }
        self.objective_power = ome.objective_power.or(self.objective_power);
        self.name_scale();
        if matches!(page.photometric, Photometric::Channels(_)) {
            for (number, channel) in ome.channels.iter().enumerate() {
                let [red, green, blue] = channel.colour;
                let colour = format!("#{red:02X}{green:02X}{blue:02X}");
                self.properties.push((format!("microtome.channel.{number}.colour"), colour));
                let name = channel.name.clone().filter(|name| !name.is_empty());
                self.properties.extend(name.map(|name| (format!("microtome.channel.{number}.name"), name)));
            }
        }
        ome.notices
    }

    /// Adds the windows that samples of more than 8 bits are shown through.
    pub(super) fn add_windows(&mut self, pages: &[Page]) {
        let windows = pages.iter().flat_map(|page| {
            page.windows.iter().take(page.photometric.colours()).map(|window| window.in_words(page.depth))
        });
        for (number, window) in windows.enumerate() {
            self.properties.push((format!("microtome.window.{number}"), window));
        }
    }
}

/// Whether an ImageDescription is Aperio's.
pub(super) fn is_aperio(description: &str) -> bool {
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
