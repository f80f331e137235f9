//! The XML of a Philips slide: objects of attributes named after DICOM, some of which are arrays of objects.
//!
//! As OpenSlide documents it (<https://openslide.org/formats/philips/>). Not here: TIFF.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use roxmltree::Node;

use super::super::xml;

/// Longest value that becomes a property.
const MAX_PROPERTY_BYTES: usize = 64 << 10;

/// What is read of the document.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Document {
    pub(super) properties: Vec<(String, String)>,
    /// Millimetres per pixel of level 0, vertical and horizontal as in DICOM.
    pub(super) spacing: Option<[f64; 2]>,
    /// Number of each level with its millimetres per pixel.
    pub(super) levels: Vec<(u64, [f64; 2])>,
    pub(super) icc_profile: Option<Vec<u8>>,
    /// Name and JPEG of the label and the macro image, not checked.
    pub(super) images: Vec<(&'static str, Vec<u8>)>,
    pub(super) notices: Vec<String>,
}

/// Whether a description is that of a Philips slide, as far as its beginning tells.
pub(super) fn is_philips(software: &str, description: &str) -> bool {
    software.starts_with("Philips")
        && description.contains("<DataObject")
        && description.contains("DPUfsImport")
}

impl Document {
    /// Reads the document, or says what is wrong with it.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let parsed = xml::parse(text, xml::MAX_NODES)?;
        let root = parsed.root_element();
        if root.tag_name().name() != "DataObject" || root.attribute("ObjectType") != Some("DPUfsImport") {
            return Err("its root is not a DataObject of type DPUfsImport".to_owned());
        }
        let mut document = Self::default();
        document.take(root, "");
        let barcode = document.property("PIM_DP_UFS_BARCODE").and_then(decoded);
        if let Some(barcode) = barcode.and_then(|bytes| String::from_utf8(bytes).ok()) {
            document.properties.push(("openslide.barcode".to_owned(), barcode));
        }
        let mut has_slide = false;
        for image in objects(root, "PIM_DP_SCANNED_IMAGES", "DPScannedImage") {
            match value(image, "PIM_DP_IMAGE_TYPE") {
                Some("WSI") if !has_slide => {
                    has_slide = true;
                    document.slide(image);
                }
                Some("LABELIMAGE") => document.image(image, "label"),
                Some("MACROIMAGE") => document.image(image, "macro"),
                other => document
                    .notices
                    .push(format!("an image of type {:?} in the XML is left out", other.unwrap_or_default())),
            }
        }
        if has_slide { Ok(document) } else { Err("it has no scanned image of type WSI".to_owned()) }
    }

    fn property(&self, name: &str) -> Option<&str> {
        let mut all = self.properties.iter();
        all.find(|(key, _)| key.strip_prefix("philips.") == Some(name)).map(|(_, value)| value.as_str())
    }

    /// The image that is the slide.
    fn slide(&mut self, image: Node<'_, '_>) {
        self.spacing = value(image, "DICOM_PIXEL_SPACING").and_then(pair);
        let profile = value(image, "DICOM_ICCPROFILE").and_then(decoded);
        // The signature of ICC.1 section 7.2.
        self.icc_profile = profile.filter(|profile| profile.get(36..40) == Some(b"acsp"));
        self.take(image, "");
        let sequence = "PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE";
        for (index, level) in objects(image, sequence, "PixelDataRepresentation").enumerate() {
            self.take(level, &format!("{sequence}[{index}]."));
            let number = value(level, "PIIM_PIXEL_DATA_REPRESENTATION_NUMBER");
            let number = number.and_then(|number| number.parse().ok());
            self.levels.extend(number.zip(value(level, "DICOM_PIXEL_SPACING").and_then(pair)));
        }
    }

    /// Takes the plain attributes of an object as properties.
    fn take(&mut self, object: Node<'_, '_>, prefix: &str) {
        for attribute in xml::children(object, "Attribute") {
            let (Some(name), Some(text)) = (attribute.attribute("Name"), attribute.text()) else { continue };
            let text = text.trim();
            // Images and profiles have places of their own, arrays have objects in them.
            let elsewhere = matches!(name, "PIM_DP_IMAGE_DATA" | "DICOM_ICCPROFILE");
            if elsewhere || text.is_empty() || xml::children(attribute, "Array").next().is_some() {
                continue;
            }
            if text.len() > MAX_PROPERTY_BYTES {
                self.notices.push(format!("{name} of {} bytes in the XML is left out", text.len()));
                continue;
            }
            self.properties.push((format!("philips.{prefix}{name}"), text.to_owned()));
        }
    }

    fn image(&mut self, image: Node<'_, '_>, name: &'static str) {
        let Some(data) = value(image, "PIM_DP_IMAGE_DATA") else { return };
        match decoded(data) {
            Some(_) if self.images.iter().any(|(other, _)| *other == name) => {
                self.notices.push(format!("a second {name} in the XML is left out"));
            }
            Some(bytes) => self.images.push((name, bytes)),
            None => self.notices.push(format!("the {name} in the XML is left out: its base64 is damaged")),
        }
    }
}

/// The objects of a type in the array attribute of this name.
fn objects<'a, 'input>(
    object: Node<'a, 'input>,
    name: &'static str,
    kind: &'static str,
) -> impl Iterator<Item = Node<'a, 'input>> {
    xml::children(object, "Attribute")
        .filter(move |attribute| attribute.attribute("Name") == Some(name))
        .flat_map(|attribute| xml::children(attribute, "Array"))
        .flat_map(|array| xml::children(array, "DataObject"))
        .filter(move |object| object.attribute("ObjectType") == Some(kind))
}

/// The text of an object's attribute of this name.
fn value<'a>(object: Node<'a, '_>, name: &'static str) -> Option<&'a str> {
    let mut attributes = xml::children(object, "Attribute");
    let attribute = attributes.find(|attribute| attribute.attribute("Name") == Some(name))?;
    attribute.text().map(str::trim).filter(|text| !text.is_empty())
}

/// Two positive numbers in quotes.
fn pair(text: &str) -> Option<[f64; 2]> {
    let numbers = text.split_whitespace().map(|number| number.trim_matches('"').parse::<f64>().ok());
    let numbers: Vec<f64> = numbers.collect::<Option<_>>()?;
    let pair = <[f64; 2]>::try_from(numbers).ok()?;
    pair.iter().all(|number| number.is_finite() && *number > 0.0).then_some(pair)
}

/// The bytes of base64 with line breaks.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let packed: String = text.split_whitespace().collect();
    STANDARD.decode(packed).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_in_quotes() {
        assert_eq!(pair("\"0.00025\" \"0.00026\""), Some([0.000_25, 0.000_26]));
        for odd in ["\"0.1\"", "\"0\" \"1\"", "a b", "\"1\" \"2\" \"3\"", "\"inf\" \"1\""] {
            assert_eq!(pair(odd), None, "{odd}");
        }
    }

    #[test]
    fn other_documents_are_refused() {
        for (text, part) in [
            ("<DataObject", "not the XML"),
            ("<Other/>", "DPUfsImport"),
            ("<DataObject ObjectType=\"DPUfsImport\"/>", "type WSI"),
        ] {
            let error = Document::read(text).expect_err(text);
            assert!(error.contains(part), "{error}");
        }
    }
}
