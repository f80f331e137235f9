//! The XML of a Leica SCN: a collection of images on a slide, each at several sizes.
//!
//! As OpenSlide documents it (<https://openslide.org/formats/leica/>). Not here: TIFF.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use roxmltree::Node;

use super::super::xml;

/// The namespace of both versions, up to their date.
const NAMESPACE: &str = "http://www.leica-microsystems.com/scn/2010/";
/// The version in which barcodes are base64.
const ENCODED_BARCODES: &str = "http://www.leica-microsystems.com/scn/2010/10/01";

/// An image of the collection.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Image {
    /// Whether it shows the whole slide from its corner on: the macro image.
    pub(super) is_macro: bool,
    /// Its sizes, the largest first.
    pub(super) dimensions: Vec<Dimension>,
    /// Whether it has focal planes or channels beside those.
    pub(super) has_others: bool,
    /// Under OpenSlide's names, without those of the whole collection.
    pub(super) properties: Vec<(String, String)>,
    pub(super) objective_power: Option<f64>,
    pub(super) is_fluorescence: bool,
}

/// An image at one size, of focal plane and channel 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dimension {
    pub(super) width: u32,
    pub(super) height: u32,
    /// Number of its page.
    pub(super) page: usize,
}

/// Whether a description is that of an SCN, as far as its beginning tells.
pub(super) fn is_leica(description: &str) -> bool {
    description.contains(NAMESPACE)
}

/// The images of the collection and its barcode, or what is wrong with the document.
pub(super) fn read(text: &str) -> Result<(Vec<Image>, Option<String>), String> {
    let parsed = xml::parse(text, xml::MAX_NODES)?;
    let root = parsed.root_element();
    let namespace = root.tag_name().namespace().unwrap_or_default();
    if root.tag_name().name() != "scn" || !namespace.starts_with(NAMESPACE) {
        return Err("its root is not an scn element of Leica's namespace".to_owned());
    }
    let mut collections = xml::children(root, "collection");
    let (Some(collection), None) = (collections.next(), collections.next()) else {
        return Err("it has not one collection".to_owned());
    };
    let size = (length(collection, "sizeX")?, length(collection, "sizeY")?);
    let images = xml::children(collection, "image").map(|node| image(node, size));
    let stored = text_at(collection, &["barcode"]);
    let decoded = |stored: &str| String::from_utf8(STANDARD.decode(stored).ok()?).ok();
    let barcode = match namespace {
        ENCODED_BARCODES => stored.map(|stored| decoded(stored).unwrap_or_else(|| stored.to_owned())),
        _ => stored.map(str::to_owned),
    };
    Ok((images.collect::<Result<_, _>>()?, barcode))
}

fn image(node: Node<'_, '_>, collection: (i64, i64)) -> Result<Image, String> {
    let (Some(view), Some(pixels)) =
        (xml::children(node, "view").next(), xml::children(node, "pixels").next())
    else {
        return Err("an image lacks its view or its pixels".to_owned());
    };
    let offset = (length(view, "offsetX")?, length(view, "offsetY")?);
    let size = (length(view, "sizeX")?, length(view, "sizeY")?);
    let mut image = Image { is_macro: offset == (0, 0) && size == collection, ..Image::default() };
    for dimension in xml::children(pixels, "dimension") {
        if ["z", "c"].iter().any(|name| !matches!(dimension.attribute(*name), None | Some("0"))) {
            image.has_others = true;
            continue;
        }
        let side =
            |name| u32::try_from(length(dimension, name)?).ok().ok_or(format!("{name} is out of range"));
        let page = usize::try_from(length(dimension, "ifd")?).ok().ok_or("ifd is negative".to_owned())?;
        image.dimensions.push(Dimension { width: side("sizeX")?, height: side("sizeY")?, page });
    }
    image.dimensions.sort_by_key(|dimension| std::cmp::Reverse(dimension.width));
    // Where on the slide it lies, in nanometres: OpenSlide has no name for these, since it shows the whole slide.
    image.properties.extend([
        ("leica.offset-x".to_owned(), offset.0.to_string()),
        ("leica.offset-y".to_owned(), offset.1.to_string()),
    ]);
    let settings = ["scanSettings", "objectiveSettings", "objective"];
    let illumination = |name| text_at(node, &["scanSettings", "illuminationSettings", name]);
    let device = xml::children(node, "device").next();
    let device = |name| device.and_then(|device| device.attribute(name));
    image.objective_power = text_at(node, &settings).and_then(|power| power.parse().ok());
    image.objective_power = image.objective_power.filter(|power| power.is_finite() && *power > 0.0);
    image.is_fluorescence = illumination("illuminationSource") == Some("fluorescence");
    for (name, value) in [
        ("aperture", illumination("numericalAperture")),
        ("creation-date", text_at(node, &["creationDate"])),
        ("device-model", device("model")),
        ("device-version", device("version")),
        ("illumination-source", illumination("illuminationSource")),
        ("objective", text_at(node, &settings)),
    ] {
        image.properties.extend(value.map(|value| (format!("leica.{name}"), value.to_owned())));
    }
    Ok(image)
}

/// A whole number of an element.
fn length(node: Node<'_, '_>, name: &'static str) -> Result<i64, String> {
    let value = node.attribute(name).and_then(|value| value.parse().ok());
    value.ok_or_else(|| format!("{} has no number {name}", node.tag_name().name()))
}

/// The text of the element at this path.
fn text_at<'a>(node: Node<'a, '_>, path: &[&'static str]) -> Option<&'a str> {
    let mut at = node;
    for &name in path {
        at = xml::children(at, name).next()?;
    }
    at.text().map(str::trim).filter(|text| !text.is_empty())
}
