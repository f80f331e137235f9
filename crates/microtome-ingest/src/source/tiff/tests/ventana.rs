//! Ventana BIF: files written by the tests, some of which OpenSlide reads too.

use std::fmt::Write;

use microtome_codec::Rgb;
use microtome_container::geometry::Rect;

use super::writer::{LAYOUTS, Scheme, TestPage, Value, picture, rgb_page, to_jpeg, write};
use super::{open_bytes, pixels, tiles, whole};
use crate::source::{Content, Source, openslide};

/// Side of a tile.
pub(super) const TILE: u32 = 128;

/// An area: its first tile in the image, its tiles, its left and lower edge on the stage, and its overlaps: of the column
/// or row with that number and the next.
pub(super) struct Area {
    pub(super) first: (u32, u32),
    pub(super) tiles: (u32, u32),
    pub(super) stage: (u32, u32),
    pub(super) across: fn(u32) -> f64,
    pub(super) down: fn(u32) -> f64,
}

/// The whole of an image of 5 x 4 tiles without overlaps.
pub(super) const PLAIN: Area =
    Area { first: (0, 0), tiles: (5, 4), stage: (0, 0), across: |_| 0.0, down: |_| 0.0 };

/// The number of a tile in joints.
fn number(area: &Area, column: u32, row: u32) -> u32 {
    let up = area.tiles.1 - 1 - row;
    let along = if up % 2 == 1 { area.tiles.0 - 1 - column } else { column };
    up * area.tiles.0 + along + 1
}

fn joint(direction: &str, tiles: (u32, u32), overlap: (f64, f64)) -> String {
    format!(
        "<TileJointInfo FlagJoined=\"1\" Confidence=\"98\" Direction=\"{direction}\" Tile1=\"{}\" Tile2=\"{}\" \
         OverlapX=\"{}\" OverlapY=\"{}\"/>\n",
        tiles.0, tiles.1, overlap.0, overlap.1
    )
}

fn joints(area: &Area, rightwards: &str) -> String {
    let (columns, rows) = area.tiles;
    let mut out = String::new();
    for row in 0..rows {
        for column in 0..columns {
            let this = number(area, column, row);
            if column + 1 < columns {
                let overlap = ((area.across)(column), 0.0);
                out += &joint(rightwards, (this, number(area, column + 1, row)), overlap);
            }
            if row + 1 < rows {
                out += &joint("UP", (number(area, column, row + 1), this), (0.0, (area.down)(row)));
            }
        }
    }
    out
}

/// The XML of level 0, with the word for joints of a row and the frames that it lists.
pub(super) fn encoding(areas: &[Area], rightwards: &str, frames: &str) -> String {
    let (mut infos, mut origins) = (String::new(), String::new());
    for (number, area) in areas.iter().enumerate() {
        let (columns, rows) = area.tiles;
        write!(
            infos,
            "<ImageInfo AOIScanned=\"1\" AOIIndex=\"{number}\" Width=\"{TILE}\" Height=\"{TILE}\" NumRows=\"{rows}\" \
             NumCols=\"{columns}\" Pos-X=\"{}.000\" Pos-Y=\"{}\">{}</ImageInfo>",
            area.stage.0,
            area.stage.1,
            joints(area, rightwards)
        )
        .expect("writes to memory");
        let (x, y) = (area.first.0 * TILE, area.first.1 * TILE);
        write!(origins, "<AOI{number} OriginX=\"{x}\" OriginY=\"{y}\"/>").expect("writes to memory");
    }
    format!(
        "<?xml version=\"1.0\"?>\n<EncodeInfo Ver=\"2\"><SlideInfo Rack=\"0\"/><SlideStitchInfo>{infos}\
         <FrameInfo>{frames}</FrameInfo></SlideStitchInfo><AoiOrigin>{origins}</AoiOrigin></EncodeInfo>"
    )
}

fn described(mut page: TestPage, description: impl Into<String>) -> TestPage {
    page.fields.insert(270, Value::Text(description.into().leak()));
    page
}

pub(super) fn with_xmp(mut page: TestPage, xmp: impl Into<String>) -> TestPage {
    page.fields.insert(700, Value::Bytes(xmp.into().into_bytes()));
    page
}

pub(super) fn level(image: &Rgb, number: u32, scheme: Scheme) -> TestPage {
    let page = rgb_page(image, (TILE, TILE), true, scheme, false);
    described(page, format!("level={number} mag={} quality=90", 40.0 / f64::from(1 << number)))
}

pub(super) const SCAN: &str = "<?xml version=\"1.0\"?><iScan Magnification=\"40\" ScanRes=\"0.2325\" UnitNumber=\"BI10\" Z-layers=\"1\" \
                    SlideAnnotation=\"\"><AOI0 Left=\"4\"/></iScan>";
pub(super) const SCAN_OF_DP: &str = "<Metadata><iScan Mode=\"brightfield\" Magnification=\"20\" ScanRes=\"0.465\" Z-layers=\"1\" \
                          ScannerModel=\"VENTANA DP 200\" ScanWhitePoint=\"235\"/></Metadata>";

/// The label image, then levels.
pub(super) fn slide(scan: &str, levels: Vec<TestPage>) -> Vec<TestPage> {
    let label = rgb_page(&picture(90, 180), (90, 180), false, Scheme::Jpeg, false);
    let mut pages = vec![with_xmp(described(label, "Label Image"), scan)];
    pages.extend(levels);
    pages
}

pub(super) fn property<'a>(source: &'a Source, name: &str) -> Option<&'a str> {
    source.properties.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// All pixels, read in one piece and in pieces that fit no tile.
pub(super) fn shown(source: &Source) -> Rgb {
    let all = pixels(source).read(whole(source)).expect("reads");
    for y in (0..source.height).step_by(77) {
        for x in (0..source.width).step_by(91) {
            let rect = Rect { x, y, width: 91.min(source.width - x), height: 77.min(source.height - y) };
            let part = pixels(source).read(rect).expect("reads");
            assert!(part == all.crop(rect.x, rect.y, rect.width, rect.height), "{rect:?}");
        }
    }
    all
}

/// Compares every pixel, the size and properties with those of OpenSlide, if it is there.
pub(super) fn compare_with_openslide(bytes: &[u8]) {
    if !openslide::tests::is_there() {
        return;
    }
    // It opens the file again and again.
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("writes");
    let ours = super::open(file.path()).expect("opens").into_pixels();
    let theirs = openslide::open(file.path()).expect("OpenSlide opens it");
    assert_eq!(theirs.format, "openslide-ventana");
    assert_eq!((ours.width, ours.height), (theirs.width, theirs.height));
    assert!(shown(&ours) == shown(&theirs), "every pixel");
    assert_eq!((ours.mpp, ours.objective_power), (theirs.mpp, theirs.objective_power));
    for (name, value) in theirs.properties.iter().filter(|(name, _)| name.starts_with("ventana.")) {
        assert_eq!(property(&ours, name), Some(value.as_str()), "{name}");
    }
    assert_eq!(ours.associated.len(), theirs.associated.len());
}

#[test]
fn tiles_that_abut_are_kept_with_all_levels_whatever_the_joints_number() {
    let image = picture(5 * TILE, 4 * TILE);
    let halves = [image.reduced(), image.reduced().reduced()];
    // A Ventana TIFF says nothing of tiles.
    for xmp in [None, Some(encoding(&[PLAIN], "RIGHT", "")), Some(encoding(&[], "RIGHT", ""))] {
        let mut first = level(&image, 0, Scheme::Jpeg);
        if let Some(xmp) = xmp.clone() {
            first = with_xmp(first, xmp);
        }
        let pages =
            slide(SCAN, vec![first, level(&halves[0], 1, Scheme::Jpeg), level(&halves[1], 2, Scheme::Jpeg)]);
        for layout in LAYOUTS {
            let source = open_bytes(&write(layout, &pages)).expect("opens");
            let levels: Vec<_> =
                tiles(&source).levels().iter().map(|l| (l.level, l.width, l.height)).collect();
            assert_eq!(levels, [(0, 640, 512), (1, 320, 256), (2, 160, 128)]);
            assert!(source.notices.is_empty(), "{:?}", source.notices);
            for (index, page) in pages[1..].iter().enumerate() {
                let columns = [5, 3, 2][index];
                for (number, chunk) in (0..).zip(&page.chunks) {
                    let tile = tiles(&source).tile(index, number % columns, number / columns).expect("reads");
                    assert!(tile == *chunk, "byte for byte");
                }
            }
        }
        // OpenSlide asks for areas where there is XML.
        if xmp.is_none_or(|xmp| xmp.contains("ImageInfo")) {
            compare_with_openslide(&write(LAYOUTS[2], &pages));
        }
    }
}

#[test]
fn properties_and_images_are_those_of_openslide() {
    let image = picture(5 * TILE, 4 * TILE);
    let thumbnail = picture(60, 48);
    let pages = [
        slide(SCAN, vec![described(rgb_page(&thumbnail, (60, 48), false, Scheme::Jpeg, false), "Thumbnail")]),
        vec![with_xmp(level(&image, 0, Scheme::Jpeg), encoding(&[PLAIN], "RIGHT", ""))],
        vec![described(rgb_page(&thumbnail, (60, 48), false, Scheme::Lzw, false), "Probability_Image")],
    ]
    .concat();
    let source = open_bytes(&write(LAYOUTS[2], &pages)).expect("opens");
    assert_eq!(
        (source.format, source.mpp, source.objective_power),
        ("ventana-bif", Some([0.2325; 2]), Some(40.0))
    );
    let images: Vec<_> = source.associated.iter().map(|a| (a.name.as_str(), a.media_type)).collect();
    assert_eq!(images, [("macro", "image/jpeg"), ("thumbnail", "image/jpeg")]);
    assert_eq!(source.associated[1].bytes, to_jpeg(&thumbnail), "byte for byte");
    for (name, value) in [
        ("ventana.UnitNumber", "BI10"),
        ("ventana.ScanRes", "0.2325"),
        ("openslide.vendor", "ventana"),
        ("openslide.mpp-x", "0.2325"),
        ("openslide.objective-power", "40"),
        ("openslide.region[0].width", "640"),
        ("tiff.ImageDescription", "level=0 mag=40 quality=90"),
    ] {
        assert_eq!(property(&source, name), Some(value), "{name}");
    }
    assert_eq!(property(&source, "ventana.SlideAnnotation"), None, "nothing is no property");
    let left_out = "page 3 is left out, being no level, label image or thumbnail: \"Probability_Image\"";
    assert_eq!(source.notices, [left_out]);
}

#[test]
fn a_dp_200_without_overlaps_keeps_its_tiles_and_says_where_it_scanned() {
    // Two areas in 6 x 5 tiles, some of them absent; their places on the stage do not count.
    let areas = [
        Area { tiles: (3, 2), stage: (25_165, 900), ..PLAIN },
        Area { first: (3, 2), tiles: (2, 3), stage: (70_000, 17), ..PLAIN },
    ];
    let frames = "<Frame XY=\"0,0\" Z=\"0\"/><Frame XY=\"1,0\" Z=\"0\"/><Frame XY=\"0,1\" Z=\"0\"/><Frame XY=\"0,0\" Z=\"1\"/>";
    let mut first =
        with_xmp(level(&picture(6 * TILE, 5 * TILE), 0, Scheme::Jpeg), encoding(&areas, "LEFT", frames));
    first.chunks[5].clear();
    let pages = slide(SCAN_OF_DP, vec![first]);
    let source = open_bytes(&write(LAYOUTS[2], &pages)).expect("opens");
    assert_eq!((source.width, source.height), (6 * TILE, 5 * TILE));
    assert!(tiles(&source).is_absent(0, 5, 0));
    assert!(source.notices.is_empty(), "{:?}", source.notices);
    for (name, value) in [
        ("openslide.background-color", "EBEBEB"),
        ("openslide.region[0].height", "256"),
        ("openslide.region[1].x", "384"),
        ("openslide.bounds-x", "0"),
        ("openslide.bounds-width", "640"),
        ("openslide.bounds-height", "640"),
    ] {
        assert_eq!(property(&source, name), Some(value), "{name}");
    }
    let source = source.into_pixels();
    let blank = pixels(&source).read(Rect { x: 5 * TILE, y: 0, width: TILE, height: TILE }).expect("reads");
    let shade = blank.uniform().expect("of one shade");
    assert!(shade.iter().all(|sample| sample.abs_diff(235) <= 3), "{shade:?}");
}

#[test]
fn focal_planes_other_than_the_first_are_left_out() {
    for overlap in [0.0, 16.0] {
        let areas = [if overlap == 0.0 { PLAIN } else { Area { across: |_| 16.0, ..PLAIN } }];
        let mut first =
            with_xmp(level(&picture(5 * TILE, 4 * TILE), 0, Scheme::Jpeg), encoding(&areas, "RIGHT", ""));
        first.fields.insert(32997, Value::Short(vec![3]));
        let blurred = level(&Rgb::filled(5 * TILE, 4 * TILE, [9; 3]), 0, Scheme::Jpeg);
        let planes = [first.chunks.clone(), blurred.chunks.clone(), blurred.chunks].concat();
        first.chunks = planes;
        let scan = SCAN.replace("Z-layers=\"1\"", "Z-layers=\"3\"");
        let source = open_bytes(&write(LAYOUTS[2], &slide(&scan, vec![first.clone()]))).expect("opens");
        assert_eq!(source.notices[0], "of 3 focal planes of page 1 the first is taken");
        match &source.content {
            Content::Tiles(tiles) => assert_eq!(tiles.tile(0, 4, 3).expect("reads"), first.chunks[19]),
            Content::Pixels(_) => assert!(shown(&source).uniform().is_none()),
        }
    }
    let alone =
        with_xmp(level(&picture(5 * TILE, 4 * TILE), 0, Scheme::Jpeg), encoding(&[PLAIN], "RIGHT", ""));
    let scan = SCAN.replace("Z-layers=\"1\"", "Z-layers=\"5\"");
    let source = open_bytes(&write(LAYOUTS[2], &slide(&scan, vec![alone]))).expect("opens");
    assert_eq!(source.notices, ["iScan tells of 5 focal planes, of which the file has one"]);
}
