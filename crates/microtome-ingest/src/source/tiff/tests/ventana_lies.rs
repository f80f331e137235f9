//! Ventana BIF that contradicts itself: each is an error that names the page, the element and the value, and soon.

use std::time::{Duration, Instant};

use microtome_container::geometry::Rect;

use super::ventana::{Area, PLAIN, SCAN, encoding, level, slide, with_xmp};
use super::writer::{LAYOUTS, Scheme, Value, picture, write};
use super::{open_bytes, pixels, refusal};
use crate::Error;

/// The error of a slide of 5 x 4 tiles with this XML at level 0.
fn refused(xml: String) -> Error {
    let first = with_xmp(level(&picture(640, 512), 0, Scheme::Jpeg), xml);
    let before = Instant::now();
    let error = refusal(&write(LAYOUTS[2], &slide(SCAN, vec![first])));
    assert!(before.elapsed() < Duration::from_secs(20), "{error}");
    error
}

#[test]
fn xml_of_level_0_that_contradicts_itself_or_the_image_is_refused() {
    let whole = encoding(&[PLAIN], "RIGHT", "");
    let info = "page 1, tag 700 (XMP), ImageInfo 0";
    let joint = "page 1, tag 700 (XMP), ImageInfo 0, TileJointInfo 0";
    for (from, to, place, what) in [
        ("Tile1=\"20\"", "Tile1=\"21\"", joint, "Tile1 is \"21\" (1 to 20 is expected)"),
        ("Tile1=\"20\"", "Tile1=\"0\"", info, "Tile1 is \"0\" (1 to 20 is expected)"),
        ("Tile1=\"20\"", "Tile1=\"99999999999999999999\"", info, "Tile1 is \"99999999999999999999\""),
        ("Tile1=\"20\"", "", info, "Tile1 is missing"),
        ("Tile2=\"19\"", "Tile2=\"1\"", info, "are no neighbours in the direction"),
        ("RIGHT", "UP", joint, "its tiles 20 and 19 are no neighbours in the direction UP"),
        ("RIGHT", "AWAY", joint, "Direction is \"AWAY\" (LEFT, RIGHT, UP or DOWN is expected)"),
        ("OverlapX=\"0\"", "OverlapX=\"65\"", joint, "OverlapX is \"65\" (-64 to 64 is expected)"),
        ("OverlapX=\"0\"", "OverlapX=\"-1e9\"", joint, "OverlapX is \"-1e9\""),
        ("OverlapX=\"0\"", "OverlapX=\"NaN\"", joint, "OverlapX is \"NaN\""),
        ("Confidence=\"98\"", "Confidence=\"101\"", joint, "Confidence is \"101\" (0 to 100 is expected)"),
        ("Confidence=\"98\"", "Confidence=\"-98\"", joint, "Confidence is \"-98\""),
        ("NumCols=\"5\"", "NumCols=\"6\"", info, "NumCols is \"6\" (1 to 5 is expected)"),
        ("NumRows=\"4\"", "NumRows=\"0\"", info, "NumRows is \"0\" (1 to 4 is expected)"),
        ("NumRows=\"4\"", "NumRows=\"3\"", info, "Tile"),
        ("Width=\"128\"", "Width=\"256\"", info, "Width is 256, and tiles have 128 px"),
        ("Pos-X=\"0.000\"", "Pos-X=\"inf\"", info, "Pos-X is \"inf\" (0 to 1000000000 is expected)"),
        ("Pos-Y=\"0\"", "Pos-Y=\"-1\"", info, "Pos-Y is \"-1\""),
        ("AOIScanned=\"1\"", "AOIScanned=\"yes\"", info, "AOIScanned is \"yes\" (0 to 1 is expected)"),
        ("AOIScanned=\"1\"", "AOIScanned=\"0\"", "SlideStitchInfo", "none of its areas was scanned"),
        ("OriginX=\"0\"", "OriginX=\"100\"", info, "OriginX of its origin is 100, no multiple of the 128 px"),
        ("OriginX=\"0\"", "OriginX=\"128\"", info, "NumCols is \"5\" (1 to 4 is expected)"),
        ("OriginY=\"0\"", "OriginY=\"512\"", info, "NumRows is \"4\" (1 to 0 is expected)"),
        ("OriginY=\"0\"", "OriginY=\"-128\"", info, "OriginY is \"-128\" (0 to 512 is expected)"),
        (
            "<AOI0",
            "<AOI1 OriginX=\"0\" OriginY=\"0\"/><AOI0",
            "SlideStitchInfo",
            "1 ImageInfo and 2 areas in AoiOrigin",
        ),
        ("EncodeInfo", "Other", "", "is \"Other\", not EncodeInfo"),
        ("</SlideStitchInfo>", "", "page 1, tag 700 (XMP)", "not the XML that is expected"),
        ("<SlideInfo", "<!DOCTYPE a [<!ENTITY b \"b\">]><SlideInfo", "page 1, tag 700 (XMP)", "not the XML"),
    ] {
        let changed = if from == "EncodeInfo" {
            whole
                .replace("<EncodeInfo Ver=\"2\">", "<Other><EncodeInfo/>")
                .replace("</EncodeInfo>", "</Other>")
        } else {
            whole.replacen(from, to, 1)
        };
        assert_ne!(changed, whole, "{from}");
        let error = refused(changed);
        assert!(matches!(error, Error::Malformed { .. }), "{from} {to}: {error}");
        let line = error.to_string();
        assert!(line.contains(place) && line.contains(what), "{from} {to}: {line}");
        assert!(line.contains("copy or export it again"), "{line}");
    }
}

/// Every value of the XML in turn is each of these: an error or a picture, never a panic.
#[test]
fn no_number_makes_it_panic() {
    let areas = [
        Area { tiles: (2, 2), ..PLAIN },
        Area { first: (2, 1), tiles: (3, 2), stage: (40, 300), across: |_| 9.0, down: |_| 7.0 },
    ];
    let whole = encoding(&areas, "RIGHT", "<Frame XY=\"0,0\" Z=\"0\"/>");
    let parts: Vec<&str> = whole.split('"').collect();
    let image = picture(640, 512);
    let (mut taken, mut refused) = (0, 0);
    for at in (1..parts.len()).step_by(2) {
        for value in [
            "",
            "-1",
            "0",
            "1",
            "2",
            "5",
            "64",
            "128",
            "384",
            "1e308",
            "NaN",
            "4294967295",
            "9223372036854775807",
        ] {
            let mut parts = parts.clone();
            parts[at] = value;
            let first = with_xmp(level(&image, 0, Scheme::None), parts.join("\""));
            match open_bytes(&write(LAYOUTS[2], &slide(SCAN, vec![first]))) {
                Ok(source) => {
                    taken += 1;
                    let source = source.into_pixels();
                    let (x, y) = (source.width.saturating_sub(300), source.height.saturating_sub(200));
                    for (x, y) in [(0, 0), (x, y)] {
                        let (width, height) = (300.min(source.width), 200.min(source.height));
                        pixels(&source).read(Rect { x, y, width, height }).expect("reads");
                    }
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(taken > 100 && refused > 300, "{taken} taken, {refused} refused");
}

#[test]
fn xml_that_is_cut_off_huge_or_a_bomb_is_refused_soon() {
    let whole = encoding(&[PLAIN], "RIGHT", "");
    let many = |count: usize| (0..count).map(|number| format!(" a{number}=\"\"")).collect::<String>();
    for (xml, what) in [
        (whole[..whole.len() / 2].to_owned(), "not the XML that is expected"),
        (
            whole.replacen("<SlideInfo", &format!("<SlideInfo{}", many(400_000)), 1),
            "more than 256 attributes",
        ),
        (whole.replacen("<SlideInfo", &format!("{}<SlideInfo", "<b/>".repeat(1 << 20)), 1), "not the XML"),
        (whole.replacen("<SlideInfo", &format!("{}<SlideInfo", "<b>".repeat(1 << 20)), 1), "not the XML"),
        (whole.clone() + &" ".repeat(17 << 20), "at most 16777216 bytes are taken"),
        (
            whole.replacen(
                "<?xml version=\"1.0\"?>",
                "<!DOCTYPE a [<!ENTITY b \"bbb\"><!ENTITY c \"&b;&b;\">]>",
                1,
            ),
            "not the XML",
        ),
    ] {
        let line = refused(xml).to_string();
        assert!(line.contains("page 1, tag 700 (XMP)") && line.contains(what), "{what}: {line}");
    }
    let areas = "<ImageInfo/>".repeat(2000);
    let origins = "<AOI0/>".repeat(2000);
    let line = refused(format!(
        "<EncodeInfo><SlideStitchInfo>{areas}</SlideStitchInfo><AoiOrigin>{origins}</AoiOrigin></EncodeInfo>"
    ));
    assert!(
        line.to_string().contains("2000 ImageInfo and 2000 areas in AoiOrigin (as many of both"),
        "{line}"
    );
}

#[test]
fn areas_that_share_tiles_or_lie_too_far_apart_and_other_orders_of_tiles_are_refused() {
    let line = refused(encoding(&[PLAIN, PLAIN], "RIGHT", "")).to_string();
    assert!(line.contains("ImageInfo 1: its tiles are those of another area"), "{line}");
    let at = |stage| Area { tiles: (2, 2), stage, ..PLAIN };
    let corner = |stage| Area { first: (3, 2), ..at(stage) };
    let apart = |stage| encoding(&[at((0, 0)), corner(stage)], "RIGHT", "");
    let frames = "<Frame XY=\"0,0\" Z=\"0\"/><Frame XY=\"0,1\" Z=\"0\"/><Frame XY=\"1,0\" Z=\"0\"/>";
    for (xml, what) in [
        (apart((20_000_000, 0)), "its areas reach over 20000256 x 256 px (at most 16777216 a side"),
        (apart((1_000_000, 999_000)), "its areas reach over 1000256 x 999256 px"),
        (encoding(&[PLAIN], "RIGHT", frames), "Frame 2 is at \"1,0\"; tiles that are not stored row by row"),
        (encoding(&[PLAIN], "RIGHT", "<Frame XY=\"a\"/>"), "Frame 0 is at \"a\""),
    ] {
        let error = refused(xml);
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        let line = error.to_string();
        assert!(line.contains("page 1, tag 700 (XMP)") && line.contains(what), "{line}");
        assert!(line.contains("bfconvert IN OUT.ome.tif"), "{line}");
    }
}

#[test]
fn overlapping_tiles_of_an_image_that_is_turned_or_in_strips_are_refused() {
    let xml = |across| encoding(&[Area { across, ..PLAIN }], "RIGHT", "");
    let mut turned = level(&picture(640, 512), 0, Scheme::Jpeg);
    turned.fields.insert(274, Value::Short(vec![3]));
    let line =
        refusal(&write(LAYOUTS[2], &slide(SCAN, vec![with_xmp(turned.clone(), xml(|_| 9.0))]))).to_string();
    assert!(line.contains("areas of an image that is stored turned or not in tiles"), "{line}");
    let source =
        open_bytes(&write(LAYOUTS[2], &slide(SCAN, vec![with_xmp(turned, xml(|_| 0.0))]))).expect("opens");
    assert!(
        pixels(&source).read(Rect { x: 0, y: 0, width: 9, height: 9 }).is_ok(),
        "turned, without overlaps"
    );
    let strips = super::slides::strips(&picture(640, 512), 128, Scheme::Jpeg);
    let strips = super::slides::with(strips, 270, Value::Text("level=0 mag=40"));
    let line = refusal(&write(LAYOUTS[2], &slide(SCAN, vec![with_xmp(strips, xml(|_| 9.0))]))).to_string();
    assert!(line.contains("ImageInfo 0: Width is 128, and tiles have 640 px"), "{line}");
}

#[test]
fn pages_and_the_scanners_own_words_are_checked_too() {
    let plain = || level(&picture(640, 512), 0, Scheme::Jpeg);
    let described = |text: &'static str| {
        let mut page = plain();
        page.fields.insert(270, Value::Text(text));
        page
    };
    for (scan, levels, what) in [
        (
            SCAN,
            vec![described("level=zero mag=40")],
            "page 1, tag 270 (ImageDescription): level is \"zero\" (0 to 31",
        ),
        (SCAN, vec![described("level=-1")], "level is \"-1\""),
        (
            SCAN,
            vec![plain(), plain()],
            "page 2, tag 270 (ImageDescription): level is 0, as page 1 says of itself",
        ),
        (SCAN, vec![described("level=1 mag=20")], "no page has level=0 in its tag 270"),
        (SCAN, vec![], "no page has level=0"),
        ("<iScan Magnification=\"40\"", vec![plain()], "page 0, tag 700 (XMP): not the XML that is expected"),
        ("<a><!-- <iScan/> --></a>", vec![plain()], "page 0, tag 700 (XMP): has no iScan element"),
    ] {
        let line = refusal(&write(LAYOUTS[2], &slide(scan, levels))).to_string();
        assert!(line.contains(what), "{line}");
    }
    let mut deep = plain();
    deep.fields.insert(32997, Value::Long(vec![1 << 40]));
    let line = refusal(&write(LAYOUTS[2], &slide(SCAN, vec![deep.clone()]))).to_string();
    assert!(
        line.contains("page 1") && line.contains("tiles or strips (at most 4194304 are taken)"),
        "{line}"
    );
    deep.fields.insert(32997, Value::Long(vec![2]));
    let line = refusal(&write(LAYOUTS[2], &slide(SCAN, vec![deep]))).to_string();
    assert!(line.contains("20 values where the image's size asks for 40"), "{line}");
}

#[test]
fn odd_words_of_the_scanner_are_left_out_and_said() {
    let long = "x".repeat(70_000);
    let scan =
        format!("<iScan ScanRes=\"inf\" Magnification=\"-1\" ScanWhitePoint=\"red\" Barcode2D=\"{long}\"/>");
    let source =
        open_bytes(&write(LAYOUTS[2], &slide(&scan, vec![level(&picture(640, 512), 0, Scheme::Jpeg)])))
            .expect("opens");
    assert_eq!((source.mpp, source.objective_power), (None, None));
    let said = [
        "Barcode2D of 70000 bytes in iScan is left out",
        "ScanWhitePoint \"red\" in iScan is not 128 to 255",
    ];
    assert_eq!(source.notices.len(), 2, "{:?}", source.notices);
    for (notice, start) in source.notices.iter().zip(said) {
        assert!(notice.starts_with(start), "{notice}");
    }
}
