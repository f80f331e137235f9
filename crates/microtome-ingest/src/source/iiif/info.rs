//! `info.json` of the IIIF Image API: the slide's size, its tiles, and how large a pixel is. Not here: files of tiles.

use microtome_container::geometry::{Grid, coarsest_level};
use serde::Deserialize;
use serde_json::Value;

use crate::source::PLAUSIBLE_MPP;

const REMEDY: &str = "write the folder anew, for example: vips dzsave IN OUT --layout iiif3";

/// A version of the Image API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V2,
    V3,
}

/// What is read of `info.json`.
#[derive(Debug, PartialEq)]
pub(super) struct Info {
    pub(super) version: Version,
    pub(super) full: Grid,
    /// Whether the levels' scale factors are listed.
    listed: Vec<bool>,
    /// Micrometres per pixel, by the Physical Dimension Service.
    pub(super) mpp: Option<f64>,
    pub(super) notices: Vec<String>,
}

/// Why an `info.json` is not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Malformed(String),
    Unsupported(String),
}

#[derive(Deserialize)]
struct Document {
    width: u32,
    height: u32,
    #[serde(default)]
    tiles: Vec<TileSet>,
    #[serde(default)]
    service: Value,
}

/// Tiles of one size.
#[derive(Deserialize)]
struct TileSet {
    width: u32,
    height: Option<u32>,
    #[serde(rename = "scaleFactors")]
    scale_factors: Vec<u64>,
}

/// Whether a text is an `info.json` of the Image API, of any version: many other things are called so.
pub(super) fn is_of_image(text: &str) -> bool {
    let Ok(document) = serde_json::from_str::<Value>(text) else { return false };
    let protocol = document["protocol"].as_str();
    contexts(&document).chain(protocol).any(|name| names(name, "") || is_first(name))
}

/// The contexts of a document: one, or a list.
fn contexts(document: &Value) -> impl Iterator<Item = &str> {
    let context = &document["@context"];
    let many = context.as_array().into_iter().flatten().filter_map(Value::as_str);
    context.as_str().into_iter().chain(many)
}

/// Whether this is the Image API's name, followed by `rest`.
fn names(name: &str, rest: &str) -> bool {
    let known = ["http://iiif.io/api/image", "https://iiif.io/api/image"];
    known.iter().any(|known| name.strip_prefix(known).is_some_and(|end| end.starts_with(rest)))
}

/// Whether this is the context of version 1.
fn is_first(name: &str) -> bool {
    names(name, "/1") || name.contains("library.stanford.edu/iiif/image-api")
}

impl Info {
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let malformed = |what: String| Refusal::Malformed(format!("{what}; restore it"));
        let document: Value = serde_json::from_str(text).map_err(|e| malformed(format!("not JSON: {e}")))?;
        let version = version(&document)?;
        let document = Document::deserialize(document).map_err(|e| malformed(e.to_string()))?;
        let mut notices = vec![];
        let tiles = square(&document.tiles)?;
        if document.tiles.len() > 1 {
            notices.push(format!("tiles of {} px are taken, those of other sizes are left out", tiles.width));
        }
        let full =
            Grid { width: document.width, height: document.height, tile_size: tiles.width, overlap: 0 };
        let mut listed = vec![false; usize::from(coarsest_level(full.width, full.height)) + 1];
        let mut others = vec![];
        for &factor in &tiles.scale_factors {
            match listed.get_mut(factor.trailing_zeros() as usize).filter(|_| factor.is_power_of_two()) {
                Some(listed) => *listed = true,
                None => others.push(factor),
            }
        }
        if let Some(first) = others.first() {
            notices.push(format!(
                "{} levels of the source are left out, the first of scale factor {first}: factors are 1, 2, 4, ... as far as \
                 the slide is larger than a pixel",
                others.len()
            ));
        }
        let mpp = mpp(&document.service);
        Ok(Self { version, full, listed, mpp, notices })
    }

    /// Whether a level's scale factor is listed.
    pub(super) fn lists(&self, level: u8) -> bool {
        self.listed.get(usize::from(level)).is_some_and(|listed| *listed)
    }
}

fn version(document: &Value) -> Result<Version, Refusal> {
    let is = |rest| contexts(document).any(|name| names(name, rest));
    if is("/3/") {
        return Ok(Version::V3);
    }
    if is("/2/") {
        return Ok(Version::V2);
    }
    let what = match contexts(document).any(is_first) || document.get("scale_factors").is_some() {
        true => "IIIF Image API 1",
        false => "an info.json whose @context is not that of a version of the IIIF Image API",
    };
    Err(Refusal::Unsupported(format!("{what} (versions 2 and 3 are read); {REMEDY}")))
}

/// The first set of square tiles.
fn square(sets: &[TileSet]) -> Result<&TileSet, Refusal> {
    let is_square = |set: &&TileSet| set.height.is_none_or(|height| height == set.width);
    sets.iter().find(is_square).ok_or_else(|| {
        let what = match sets.first() {
            Some(TileSet { width, height, .. }) => {
                format!("tiles of {width} x {} px (square ones are read)", height.unwrap_or_default())
            }
            None => "an image without tiles (those of level 0 are read)".to_owned(),
        };
        Refusal::Unsupported(format!("{what}; {REMEDY}"))
    })
}

/// Micrometres per pixel, of the Physical Dimension Service (IIIF Annex: Services, 3.2), where it is one of the services
/// and says what a microscope can mean.
fn mpp(service: &Value) -> Option<f64> {
    let services = service.as_array().map_or(std::slice::from_ref(service), Vec::as_slice);
    services.iter().find_map(|service| {
        let is_physical = ["profile", "@context"]
            .iter()
            .any(|name| service[name].as_str().is_some_and(|text| text.contains("physdim")));
        let unit = match service["physicalUnits"].as_str()? {
            "mm" => 1e3,
            "cm" => 1e4,
            "in" => 25.4e3,
            _ => return None,
        };
        let mpp = service["physicalScale"].as_f64()? * unit;
        (is_physical && PLAUSIBLE_MPP.contains(&mpp)).then_some(mpp)
    })
}
