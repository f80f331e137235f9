//! Philips TIFF: files written by the tests.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use microtome_codec::Rgb;

use super::writer::{LAYOUTS, Scheme, TestPage, Value, picture, rgb_page, to_jpeg, write};
use super::{open_bytes, refusal, tiles};

fn attribute(name: &str, value: &str) -> String {
    format!(
        "<Attribute Name=\"{name}\" Group=\"0x0\" Element=\"0x0\" PMSVR=\"IString\">{value}</Attribute>\n"
    )
}

fn array(name: &str, objects: &[String]) -> String {
    format!(
        "<Attribute Name=\"{name}\" PMSVR=\"IDataObjectArray\"><Array>{}</Array></Attribute>\n",
        objects.concat()
    )
}

fn object(kind: &str, attributes: &[String]) -> String {
    format!("<DataObject ObjectType=\"{kind}\"><Attribute/>{}</DataObject>\n", attributes.concat())
}

fn spacing(factor: f64) -> String {
    let value = |base: f64| format!("&quot;{}&quot;", base * factor);
    attribute("DICOM_PIXEL_SPACING", &format!("{} {}", value(0.00026), value(0.00025)))
}

/// A document about levels whose pixels are these many times those of level 0, with these other images.
fn xml(factors: &[f64], images: &[String]) -> String {
    let levels: Vec<String> = (0..)
        .zip(factors)
        .map(|(number, &factor)| {
            let number = attribute("PIIM_PIXEL_DATA_REPRESENTATION_NUMBER", &format!("{number}"));
            object("PixelDataRepresentation", &[spacing(factor), number])
        })
        .collect();
    let slide = object(
        "DPScannedImage",
        &[
            attribute("PIM_DP_IMAGE_TYPE", "WSI"),
            spacing(1.0),
            attribute("DICOM_DERIVATION_DESCRIPTION", "tiff-useBigTIFF=1"),
            array("PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE", &levels),
        ],
    );
    let root = [
        attribute("DICOM_MANUFACTURER", "PHILIPS"),
        attribute("PIM_DP_UFS_BARCODE", &STANDARD.encode("B-17")),
        array("PIM_DP_SCANNED_IMAGES", &[&[slide], images].concat()),
    ];
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n{}", object("DPUfsImport", &root))
}

fn image(kind: &str, jpeg: &[u8]) -> String {
    let mut data = STANDARD.encode(jpeg);
    data.insert(data.len() / 2, '\n');
    object("DPScannedImage", &[attribute("PIM_DP_IMAGE_TYPE", kind), attribute("PIM_DP_IMAGE_DATA", &data)])
}

fn described(mut page: TestPage, software: &'static str, xml: String) -> TestPage {
    page.fields.insert(305, Value::Text(software));
    page.fields.insert(270, Value::Text(xml.leak()));
    page
}

/// A level filled up to whole tiles of 256 px with white.
fn level(image: &Rgb) -> TestPage {
    let side = |length: u32| length.div_ceil(256) * 256;
    let mut filled = Rgb::filled(side(image.width()), side(image.height()), [255; 3]);
    filled.blit(image, 0, 0, image.width(), image.height(), 0, 0);
    let mut page = rgb_page(&filled, (256, 256), true, Scheme::Jpeg, false);
    page.fields.insert(254, Value::Long(vec![1]));
    page
}

/// Level 0 of 5 x 3 tiles, of which two are absent, and levels that no longer fill their tiles.
fn slide(images: &[String]) -> Vec<TestPage> {
    let full = picture(1280, 768);
    let (half, quarter) = (full.reduced(), full.reduced().reduced());
    let mut first = level(&full);
    first.fields.remove(&254);
    first.chunks[4].clear();
    first.chunks[14].clear();
    vec![
        described(first, "Philips DP v1.0", xml(&[1.0, 2.001, 4.0, 8.0], images)),
        level(&half),
        level(&quarter),
        level(&picture(160, 96)),
    ]
}

#[test]
fn levels_have_the_sizes_of_their_pixel_spacing() {
    let mut pages = slide(&[]);
    pages[3] = level(&picture(160, 300));
    let source = open_bytes(&write(LAYOUTS[2], &pages)).expect("opens");
    let levels: Vec<_> = tiles(&source).levels().iter().map(|l| (l.level, l.width, l.height)).collect();
    assert_eq!(levels, [(0, 1280, 768), (1, 640, 384), (2, 320, 192)]);
    assert_eq!(source.format, "philips-tiff");
    let [x, y] = source.mpp.expect("has a pixel spacing");
    assert!((x - 0.25).abs() < 1e-9 && (y - 0.26).abs() < 1e-9, "{x} x {y}");
    for (index, page) in pages[..3].iter().enumerate() {
        let columns = page.chunks.len() as u32 / [3, 2, 1][index];
        for (number, chunk) in (0..).zip(&page.chunks) {
            let (column, row) = (number % columns, number / columns);
            assert_eq!(tiles(&source).is_absent(index, column, row), chunk.is_empty());
            let tile = tiles(&source).tile(index, column, row).expect("reads");
            assert!(tile == *chunk || chunk.is_empty(), "byte for byte");
        }
    }
    let notice = "256 x 512 px are not the 160 x 96 of its pixel spacing, filled up to whole tiles";
    assert_eq!(source.notices.len(), 1, "{:?}", source.notices);
    assert!(source.notices[0].contains(notice), "{:?}", source.notices);
}

#[test]
fn properties_label_and_macro_come_from_the_xml() {
    let label = to_jpeg(&picture(80, 60));
    let images = [
        image("LABELIMAGE", &label),
        image("MACROIMAGE", b"no JPEG"),
        image("LABELIMAGE", &label),
        image("OTHER", &label),
    ];
    let mut pages = slide(&images);
    let strip = |start: &'static str| {
        let mut page = rgb_page(&picture(60, 40), (60, 40), false, Scheme::Jpeg, false);
        page.fields.insert(270, Value::Text(start));
        page
    };
    pages.extend([strip("Label of another kind"), strip("Macro"), strip("What")]);
    let source = open_bytes(&write(LAYOUTS[0], &pages)).expect("opens");
    let images: Vec<_> = source.associated.iter().map(|a| (a.name.as_str(), a.width, a.height)).collect();
    assert_eq!(images, [("label", 80, 60), ("macro", 60, 40)]);
    assert_eq!(source.associated[0].bytes, label);
    let property =
        |name: &str| source.properties.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    for (name, value) in [
        ("philips.DICOM_MANUFACTURER", "PHILIPS"),
        ("philips.DICOM_PIXEL_SPACING", "\"0.00026\" \"0.00025\""),
        ("philips.DICOM_DERIVATION_DESCRIPTION", "tiff-useBigTIFF=1"),
        ("philips.PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE[1].PIIM_PIXEL_DATA_REPRESENTATION_NUMBER", "1"),
        ("openslide.barcode", "B-17"),
        ("openslide.vendor", "philips"),
        ("openslide.mpp-x", "0.25"),
    ] {
        assert_eq!(property(name), Some(value), "{name}");
    }
    assert_eq!(property("tiff.ImageDescription"), None, "piece by piece instead");
    assert!(!source.properties.iter().any(|(_, value)| value.contains(&STANDARD.encode(&label)[..40])));
    for part in
        ["the macro in the XML is left out", "a second label", "type \"OTHER\"", "neither level nor label"]
    {
        assert!(source.notices.iter().any(|notice| notice.contains(part)), "{part}: {:?}", source.notices);
    }
    assert_eq!(source.notices.len(), 4, "{:?}", source.notices);
}

#[test]
fn a_level_without_pixel_spacing_is_left_out_and_damaged_xml_is_refused() {
    let mut pages = slide(&[]);
    pages[0] = described(pages[0].clone(), "Philips", xml(&[1.0, 3.0], &[]));
    let source = open_bytes(&write(LAYOUTS[0], &pages)).expect("opens");
    assert_eq!(tiles(&source).levels().len(), 1);
    assert_eq!(source.notices.len(), 3, "{:?}", source.notices);
    let whole = xml(&[1.0], &[]);
    pages[0] = described(pages[0].clone(), "Philips", whole[..whole.len() - 20].to_owned());
    let error = refusal(&write(LAYOUTS[0], &pages)).to_string();
    assert!(error.contains("page 0, tag 270 (ImageDescription): not the XML that is expected"), "{error}");
    // Another maker's file with such a description is no Philips slide.
    pages[0] = described(pages[0].clone(), "Other", whole);
    assert_eq!(open_bytes(&write(LAYOUTS[0], &pages)).expect("opens").format, "tiff");
}
