//! What the scanner says of a Ventana slide: the attributes of the `iScan` element.
//!
//! As OpenSlide (<https://openslide.org/formats/ventana/>) and Roche's white paper on BIF (version 1.0) describe it. Not
//! here: where tiles lie.

use roxmltree::Node;

use super::super::properties;
use crate::source::PLAUSIBLE_MPP;

/// Longest value that becomes a property.
const MAX_PROPERTY_BYTES: usize = 64 << 10;
/// Scanners whose files the white paper describes. Older ones place tiles in another way.
const DOCUMENTED_MODELS: &str = "VENTANA DP";
/// Shades that can be those of empty glass; tiles that are absent are shown so.
const WHITE_POINTS: std::ops::RangeInclusive<u8> = 128..=255;

/// What is read of the element.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Scan {
    /// Under OpenSlide's names.
    pub(super) properties: Vec<(String, String)>,
    pub(super) mpp: Option<[f64; 2]>,
    pub(super) objective_power: Option<f64>,
    /// The shade of what was not scanned.
    pub(super) white: u8,
    /// Whether the white paper describes this scanner's files.
    pub(super) is_documented: bool,
    /// Focal planes that were scanned.
    pub(super) focal_planes: u64,
    pub(super) notices: Vec<String>,
}

impl Scan {
    /// Reads the element.
    pub(super) fn read(element: Node<'_, '_>) -> Self {
        let mut scan = Self { white: 255, ..Self::default() };
        for attribute in element.attributes() {
            let (name, value) = (attribute.name(), attribute.value());
            if value.len() > MAX_PROPERTY_BYTES {
                scan.notices.push(format!("{name} of {} bytes in iScan is left out", value.len()));
            } else if !value.is_empty() {
                scan.properties.push((format!("ventana.{name}"), value.to_owned()));
            }
        }
        let number = |name| element.attribute(name).and_then(|value| value.trim().parse::<f64>().ok());
        scan.mpp = number("ScanRes").filter(|mpp| PLAUSIBLE_MPP.contains(mpp)).map(|mpp| [mpp; 2]);
        scan.objective_power = number("Magnification").filter(|power| power.is_finite() && *power > 0.0);
        scan.is_documented =
            element.attribute("ScannerModel").is_some_and(|model| model.starts_with(DOCUMENTED_MODELS));
        scan.focal_planes = number("Z-layers").map_or(1, |planes| planes as u64);
        if let Some(value) = element.attribute("ScanWhitePoint") {
            scan.take_white_point(value);
        }
        scan
    }

    fn take_white_point(&mut self, value: &str) {
        match value.trim().parse().ok().filter(|white| WHITE_POINTS.contains(white)) {
            Some(white) => {
                self.white = white;
                let colour = format!("{white:02X}").repeat(3);
                self.properties.push(("openslide.background-color".to_owned(), colour));
            }
            None => {
                let (least, most) = WHITE_POINTS.into_inner();
                let start: String = value.chars().take(20).collect();
                self.notices.push(format!(
                    "ScanWhitePoint {start:?} in iScan is not {least} to {most}: what was not scanned is white"
                ));
            }
        }
    }

    /// Properties under OpenSlide's names for all vendors.
    pub(super) fn normalised(&self) -> Vec<(String, String)> {
        properties::normalised("ventana", self.mpp, self.objective_power)
    }
}
