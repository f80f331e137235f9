//! Markers planted wherever a scanner might write a name: none of them is found in a de-identified container.

use std::sync::atomic::AtomicBool;

use super::round_trip::Silent;
use super::slides::{aperio, strips, with};
use super::writer::{LAYOUTS, Scheme, Value, picture, rgb_page, write};
use crate::{Options, Report, ingest};

const MARKER: &str = "D0E-JANE";

/// Whether the marker is somewhere in the container, and what was said of its making.
fn ingested(file: &[u8], deidentify: bool) -> Result<(bool, Report), crate::Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join(format!("{MARKER}.svs"));
    let container = folder.path().join("out.mtm");
    std::fs::write(&source, file).expect("writes");
    let name = source.to_str().expect("UTF-8");
    let options = Options { deidentify, ..Options::default() };
    let report = ingest(name, &container, options, &Silent, &AtomicBool::new(false))?;
    let bytes = std::fs::read(&container).expect("reads");
    Ok((bytes.windows(MARKER.len()).any(|window| window == MARKER.as_bytes()), report))
}

/// A JPEG stream with a comment.
fn commented(jpeg: &[u8]) -> Vec<u8> {
    let comment = [&[0xFF, 0xFE, 0, MARKER.len() as u8 + 2][..], MARKER.as_bytes()].concat();
    [&jpeg[..2], &comment, &jpeg[2..]].concat()
}

#[test]
fn no_planted_marker_gets_into_a_deidentified_container() {
    const FIRST: &str = "Aperio Image Library v11\r\n700x500 (240x240) JPEG/RGB Q=30|AppMag = 20|MPP = 0.4990\
                         |Filename = D0E-JANE|User = D0E-JANE|Date = 01/02/24|D0E-JANE = 1|Title = D0E-JANE";
    let page = rgb_page(&picture(700, 500), (240, 240), true, Scheme::Jpeg, false);
    let page = with(aperio(page, FIRST), 315, Value::Text("D0E-JANE"));
    let mut thumbnail = strips(&picture(70, 50), 50, Scheme::Jpeg);
    thumbnail.chunks[0] = commented(&thumbnail.chunks[0]);
    let pages = [
        page,
        aperio(thumbnail, "Aperio D0E-JANE\n700x500 -> 70x50 - "),
        aperio(strips(&picture(90, 70), 16, Scheme::Lzw), "Aperio\nlabel 90x70 D0E-JANE"),
        aperio(strips(&picture(90, 70), 70, Scheme::Jpeg), "Aperio\nmacro 90x70"),
    ];
    let file = write(LAYOUTS[0], &pages);
    let (is_there, report) = ingested(&file, false).expect("ingests");
    assert!(is_there && report.removed.is_none(), "this test would see it");

    let (is_there, report) = ingested(&file, true).expect("ingests");
    assert!(!is_there);
    let removed = report.removed.expect("a list");
    assert_eq!(removed.images, ["label", "macro"]);
    assert!(removed.properties.iter().any(|name| name == "aperio.Filename"), "{removed:?}");
    let metadata = report.metadata;
    assert_eq!((metadata.mpp, metadata.objective_power), (Some([0.499; 2]), Some(20.0)));
    assert_eq!(metadata.associated.len(), 1, "the thumbnail");
    assert_eq!((metadata.encoder.mode.as_str(), metadata.source.name.as_str()), ("exact, de-identified", ""));
}

#[test]
fn tiles_with_more_than_a_picture_in_them_are_refused_by_name() {
    let mut page = rgb_page(&picture(700, 500), (240, 240), true, Scheme::Jpeg, false);
    page.chunks[4] = commented(&page.chunks[4]);
    let file = write(LAYOUTS[0], &[page]);
    assert!(ingested(&file, false).expect("ingests").0);
    let error = ingested(&file, true).expect_err("a comment").to_string();
    assert!(error.contains("--quality") && !error.contains(MARKER), "{error}");
}
