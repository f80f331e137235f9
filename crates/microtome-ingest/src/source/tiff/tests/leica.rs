//! Leica SCN: files written by the tests.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::writer::{LAYOUTS, Scheme, TestPage, Value, picture, rgb_page, write};
use super::{open_bytes, refusal, tiles};

/// An image: place and size on the slide in nanometres, its pages with their sizes, and its illumination.
struct Image<'a> {
    offset: (u32, u32),
    view: (u32, u32),
    pages: &'a [(usize, u32, u32)],
    illumination: &'a str,
    /// Attributes of all its dimensions.
    plane: &'a str,
}

const SLIDE: (u32, u32) = (26_000_000, 75_000_000);

fn xml(images: &[Image<'_>]) -> String {
    let mut out = format!(
        "<?xml version=\"1.0\"?><scn xmlns=\"http://www.leica-microsystems.com/scn/2010/10/01\">\
         <collection name=\"c\" sizeX=\"{}\" sizeY=\"{}\"><barcode>{}</barcode>",
        SLIDE.0,
        SLIDE.1,
        STANDARD.encode("S-09")
    );
    for Image { offset, view, pages, illumination, plane } in images {
        let mut dimensions = String::new();
        for (r, (page, width, height)) in pages.iter().enumerate() {
            write!(
                dimensions,
                "<dimension sizeX=\"{width}\" sizeY=\"{height}\" r=\"{r}\" ifd=\"{page}\" {plane}/>"
            )
            .expect("writes to memory");
        }
        write!(
            out,
            "<image name=\"i\" uuid=\"u\"><creationDate>2011-12-28T14:55:19.77Z</creationDate>\
             <device model=\"Leica SCN400\" version=\"1.4.0.9691\"/>\
             <pixels sizeX=\"{}\" sizeY=\"{}\">{dimensions}</pixels>\
             <view sizeX=\"{}\" sizeY=\"{}\" offsetX=\"{}\" offsetY=\"{}\" spacingZ=\"0\"/>\
             <scanSettings><objectiveSettings><objective>20</objective></objectiveSettings><illuminationSettings>\
             <numericalAperture>0.4</numericalAperture><illuminationSource>{illumination}</illuminationSource>\
             </illuminationSettings></scanSettings></image>",
            pages[0].1, pages[0].2, view.0, view.1, offset.0, offset.1
        )
        .expect("writes to memory");
    }
    out + "</collection></scn>"
}

fn page(width: u32, height: u32) -> TestPage {
    let mut page = rgb_page(&picture(width, height), (128, 128), true, Scheme::Jpeg, false);
    page.fields.extend([
        (282, Value::Rational(20_000, 1)),
        (283, Value::Rational(20_000, 1)),
        (296, Value::Short(vec![3])),
    ]);
    page
}

const MACRO: Image<'_> = Image {
    offset: (0, 0),
    view: SLIDE,
    pages: &[(0, 200, 300), (1, 50, 75)],
    illumination: "brightfield",
    plane: "",
};
const REGION: Image<'_> = Image {
    offset: (4000, 5000),
    view: (350_000, 250_000),
    pages: &[(2, 700, 500), (3, 175, 125)],
    illumination: "brightfield",
    plane: "",
};

/// A macro image at two sizes, a region at two, a smaller region.
fn slide(xml: String) -> Vec<u8> {
    let mut pages = [page(200, 300), page(50, 75), page(700, 500), page(175, 125), page(300, 200)];
    pages[0].fields.insert(270, Value::Text(xml.leak()));
    write(LAYOUTS[2], &pages)
}

#[test]
fn the_largest_region_is_the_slide_and_the_macro_is_associated() {
    let small = Image { offset: (9, 9), view: (150_000, 100_000), pages: &[(4, 300, 200)], ..REGION };
    let source = open_bytes(&slide(xml(&[MACRO, small, REGION]))).expect("opens");
    assert_eq!((source.width, source.height, source.format), (700, 500, "leica-scn"));
    let levels: Vec<_> = tiles(&source).levels().iter().map(|l| (l.level, l.width, l.height)).collect();
    assert_eq!(levels, [(0, 700, 500), (2, 175, 125)]);
    let page = page(700, 500);
    for (number, chunk) in (0..).zip(&page.chunks) {
        assert_eq!(tiles(&source).tile(0, number % 6, number / 6).expect("reads"), *chunk);
    }
    assert_eq!((source.mpp, source.objective_power), (Some([0.5; 2]), Some(20.0)));
    let images: Vec<_> = source.associated.iter().map(|a| (a.name.as_str(), a.width, a.height)).collect();
    assert_eq!(images, [("macro", 200, 300)]);
    assert_eq!(source.notices, ["a scanned region of 300 x 200 px is left out: the largest is taken"]);
    let property =
        |name: &str| source.properties.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    for (name, value) in [
        ("leica.aperture", "0.4"),
        ("leica.barcode", "S-09"),
        ("leica.creation-date", "2011-12-28T14:55:19.77Z"),
        ("leica.device-model", "Leica SCN400"),
        ("leica.device-version", "1.4.0.9691"),
        ("leica.illumination-source", "brightfield"),
        ("leica.objective", "20"),
        ("leica.offset-x", "4000"),
        ("leica.offset-y", "5000"),
        ("openslide.barcode", "S-09"),
        ("openslide.objective-power", "20"),
        ("openslide.vendor", "leica"),
    ] {
        assert_eq!(property(name), Some(value), "{name}");
    }
}

#[test]
fn what_is_no_brightfield_slide_or_contradicts_itself_is_refused() {
    for (images, part) in [
        (vec![MACRO], "no scanned region"),
        (vec![MACRO, Image { illumination: "fluorescence", ..REGION }], "fluorescence"),
        (vec![MACRO, Image { plane: "z=\"1\"", ..REGION }], "no scanned region"),
        (vec![MACRO, Image { pages: &[(9, 700, 500)], ..REGION }], "page 9, which the file lacks"),
        (vec![MACRO, Image { pages: &[(2, 701, 500)], ..REGION }], "says 701 x 500 px for page 2"),
        (vec![MACRO, Image { pages: &[(4, 700, 500)], ..REGION }], "which has 300 x 200"),
    ] {
        let error = refusal(&slide(xml(&images))).to_string();
        assert!(error.contains(part), "{part}: {error}");
    }
    let whole = xml(&[MACRO, REGION]);
    let error = refusal(&slide(whole.replace("sizeX=\"26000000\"", "sizeX=\"wide\""))).to_string();
    assert!(error.contains("collection has no number sizeX"), "{error}");
    let error = refusal(&slide(whole.replace("</scn>", ""))).to_string();
    assert!(error.contains("not the XML that is expected"), "{error}");
}
