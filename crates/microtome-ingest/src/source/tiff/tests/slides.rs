//! Pyramids, Aperio slides, properties: what a file's pages become.

use microtome_codec::Rgb;

use super::deep::mask;
use super::writer::{LAYOUTS, Scheme, TestPage, Value, picture, rgb_page, write};
use super::{open_bytes, pixels, refusal, tiles, whole};
use crate::source::level_of;

fn level(width: u32, height: u32, tile: u32, subfile: u64) -> TestPage {
    let mut page = rgb_page(&picture(width, height), (tile, tile), true, Scheme::Jpeg, false);
    page.fields.insert(254, Value::Long(vec![subfile]));
    page
}

pub(super) fn with(mut page: TestPage, tag: u16, value: Value) -> TestPage {
    page.fields.insert(tag, value);
    page
}

#[test]
fn levels_are_halves_rounded_either_way() {
    assert_eq!(level_of((4443, 3567), (2221, 1783)), Some(1));
    assert_eq!(level_of((4443, 3567), (2222, 1783)), Some(1));
    assert_eq!(level_of((4443, 3567), (1110, 892)), Some(2));
    assert_eq!(level_of((4443, 3567), (4443, 3567)), None);
    assert_eq!(level_of((4443, 3567), (2220, 1783)), None);
    assert_eq!(level_of((4443, 3567), (2221, 892)), None);
    assert_eq!(level_of((1, 1), (1, 1)), Some(1), "no size is below 1 px");
}

#[test]
fn pyramid_pages_join_and_odd_ones_are_named() {
    let pages = [
        level(700, 500, 128, 0),
        mask(700, 500, 128, 4, |_, _| true),
        mask(700, 500, 128, 4, |_, _| false),
        mask(350, 250, 128, 5, |_, _| true),
        level(175, 125, 128, 1),
        level(350, 250, 128, 1),
        level(300, 250, 128, 1),
        level(87, 62, 64, 1),
        level(350, 250, 128, 1),
        level(350, 250, 128, 0),
    ];
    let source = open_bytes(&write(LAYOUTS[1], &pages)).expect("opens");
    let levels: Vec<_> = tiles(&source).levels().iter().map(|l| (l.level, l.width, l.height)).collect();
    assert_eq!(levels, [(0, 700, 500), (1, 350, 250), (2, 175, 125)]);
    let notices = source.notices.join("\n");
    for part in [
        "page 2 is left out: a second transparency mask after page 1",
        "page 6 is left out as a level: its 300 x 250 px are not level 0 halved a few times",
        "page 7 is left out as a level: its tiles are 64 px wide, those of level 0 128",
        "page 8 is left out as a level: level 1 is there already",
        "left out, being no levels of page 0: page 9",
    ] {
        assert!(notices.contains(part), "{part}: {notices}");
    }
    assert_eq!(source.notices.len(), 5, "{notices}");
}

#[test]
fn sub_ifds_of_the_first_page_are_levels() {
    let mut first = level(700, 500, 128, 0);
    first.children = vec![level(350, 250, 128, 1), level(175, 125, 128, 1)];
    for layout in LAYOUTS {
        let source = open_bytes(&write(layout, std::slice::from_ref(&first))).expect("opens");
        assert_eq!(tiles(&source).levels().len(), 3);
        assert!(source.notices.is_empty(), "{:?}", source.notices);
        assert_eq!(tiles(&source).tile(2, 1, 0).expect("reads"), first.children[1].chunks[1]);
    }
}

#[test]
fn a_first_page_that_is_not_the_largest_is_not_taken_for_the_slide() {
    let mut pages = [level(350, 250, 128, 0), level(700, 500, 128, 0)];
    let error = refusal(&write(LAYOUTS[0], &pages)).to_string();
    assert!(
        error.contains("page 1 of 700 x 500 px is larger than page 0")
            && error.contains("IN[page=1] OUT.tif"),
        "{error}"
    );
    pages.swap(0, 1);
    pages[0].children = vec![level(800, 600, 128, 0)];
    let error = refusal(&write(LAYOUTS[0], &pages)).to_string();
    assert!(
        error.contains("page 0 SubIFD 0 of 800") && error.contains("IN[page=0,subifd=0] OUT.tif"),
        "{error}"
    );
}

#[test]
fn a_thumbnail_before_level_0_does_not_take_its_place() {
    let pages = [level(350, 250, 128, 1), level(700, 500, 128, 0)];
    let source = open_bytes(&write(LAYOUTS[0], &pages)).expect("opens");
    assert_eq!((source.width, tiles(&source).levels().len()), (700, 2));
}

pub(super) fn aperio(page: TestPage, description: &'static str) -> TestPage {
    with(page, 270, Value::Text(description))
}

#[test]
fn a_maker_whose_tiles_overlap_is_refused_whatever_the_name_of_the_file() {
    // Names the library, if it is there, before it is looked for: all tests of a process use one.
    crate::source::openslide::tests::is_there();
    let error =
        refusal(&write(LAYOUTS[2], &[with(level(256, 256, 128, 0), 305, Value::Text("MedScan 3.1"))]))
            .to_string();
    // Where OpenSlide is there, it has the say: this is no whole slide.
    assert!(error.contains("Trestle (MedScan)") || error.contains("opening: OpenSlide 4."), "{error}");
}

/// Four tiles of 128 px that share 16 px with each other, in a TIFF that looks like a plain grid.
#[test]
fn a_trestle_slide_is_read_by_openslide_with_its_overlaps() {
    if !crate::source::openslide::tests::is_there() {
        return;
    }
    let (image, mut stored) = (picture(240, 240), Rgb::filled(256, 256, [0; 3]));
    for (x, y) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
        stored.blit(&image, x * 112, y * 112, 128, 128, x * 128, y * 128);
    }
    let page = rgb_page(&stored, (128, 128), true, Scheme::Lzw, false);
    let description = Value::Text("Background Color=E6E6E6;Objective Power=10;OverlapsXY= 16 16");
    let page = with(with(page, 305, Value::Text("MedScan 3.1")), 270, description);
    // OpenSlide opens the file again and again.
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), write(LAYOUTS[0], &[page])).expect("writes");
    let source = super::open(file.path()).expect("opens");
    assert_eq!((source.width, source.height, source.format), (240, 240, "openslide-trestle"));
    assert_eq!(source.objective_power, Some(10.0));
    assert!(pixels(&source).read(whole(&source)).expect("reads") == image);
}

pub(super) fn strips(image: &Rgb, rows: u32, scheme: Scheme) -> TestPage {
    rgb_page(image, (image.width(), rows), false, scheme, scheme == Scheme::Lzw)
}

#[test]
fn aperio_slides_have_properties_and_associated_images() {
    let (label, big) = (picture(90, 70), picture(700, 500));
    let first = rgb_page(&big, (240, 240), true, Scheme::JpegTables, false);
    let mut damaged = strips(&label, 16, Scheme::Lzw);
    damaged.chunks[2].truncate(20);
    let pages = [
        aperio(
            first,
            "Aperio Image Library v11\r\n700x500 (240x240) JPEG/RGB Q=30|AppMag = 20|MPP = 0.4990|Date = x",
        ),
        aperio(
            strips(&picture(70, 50), 50, Scheme::JpegTables),
            "Aperio Image Library v11\n700x500 -> 70x50 - ",
        ),
        aperio(
            rgb_page(&picture(175, 125), (240, 240), true, Scheme::JpegTables, false),
            "Aperio\r\n -> 175x125",
        ),
        aperio(strips(&label, 16, Scheme::Lzw), "Aperio Image Library v11\nlabel 90x70"),
        aperio(strips(&label, 16, Scheme::Lzw), "Aperio Image Library v11\nlabel 90x70"),
        aperio(damaged, "Aperio Image Library v11\nmacro 90x70"),
    ];
    let source = open_bytes(&write(LAYOUTS[0], &pages)).expect("opens");
    assert_eq!(
        (source.format, source.mpp, source.objective_power),
        ("aperio-svs", Some([0.499; 2]), Some(20.0))
    );
    let property =
        |key: &str| source.properties.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str());
    assert_eq!(property("aperio.AppMag"), Some("20"));
    assert_eq!(property("openslide.mpp-x"), Some("0.499"));
    assert_eq!(property("openslide.vendor"), Some("aperio"));
    let levels: Vec<_> = tiles(&source).levels().iter().map(|level| level.level).collect();
    assert_eq!(levels, [0, 2]);
    let found: Vec<_> =
        source.associated.iter().map(|a| (&*a.name, a.media_type, a.width, a.height)).collect();
    assert_eq!(found, [("thumbnail", "image/jpeg", 70, 50), ("label", "image/png", 90, 70)]);
    let mut png =
        png::Decoder::new(std::io::Cursor::new(&source.associated[1].bytes)).read_info().expect("a PNG");
    let mut data = vec![0; 3 * 90 * 70];
    png.next_frame(&mut data).expect("decodes");
    assert_eq!(data, label.data());
    let [second, notice] = &source.notices[..] else { unreachable!("two notices: {:?}", source.notices) };
    assert_eq!(second, "page 4 is left out: a second label");
    assert!(
        notice.starts_with("an associated image is left out: ") && notice.contains("page 5, strip 2"),
        "{notice}"
    );
}

#[test]
fn resolution_is_a_microscopes_or_none() {
    let cases = [
        (20_000, 3, Some([0.5; 2])),
        (50_800, 2, Some([0.5; 2])),
        (72, 2, None),
        (20_000, 1, None),
        (0, 3, None),
    ];
    for (resolution, unit, expected) in cases {
        let mut page = rgb_page(&picture(40, 30), (16, 16), true, Scheme::None, false);
        page.fields.insert(282, Value::Rational(resolution, 1));
        page.fields.insert(283, Value::Rational(resolution, 1));
        page.fields.insert(296, Value::Short(vec![unit]));
        page.fields.insert(34675, Value::Bytes(b"profile".to_vec()));
        let source = open_bytes(&write(LAYOUTS[1], &[page])).expect("opens");
        assert_eq!(source.mpp, expected, "{resolution} per unit {unit}");
        assert_eq!(source.icc_profile.as_deref(), Some(&b"profile"[..]));
    }
}

#[test]
fn what_is_not_read_is_named_with_a_remedy() {
    let short = |value: u16| Value::Short(vec![value]);
    let base = || rgb_page(&picture(40, 30), (16, 16), true, Scheme::None, false);
    let cases = [
        (259, short(6), "old-style JPEG"),
        (259, short(34925), "LZMA"),
        (259, short(50002), "JPEG XL"),
        (259, short(4), "CCITT"),
        (259, short(777), "compression 777"),
        (258, Value::Short(vec![12; 3]), "12 bits per sample"),
        (258, Value::Short(vec![8, 16, 8]), "16 bits per sample"),
        (339, Value::Short(vec![3; 3]), "SampleFormat 3"),
        (339, Value::Short(vec![2; 3]), "8-bit signed samples"),
        (258, Value::Short(vec![1; 3]), "1-bit samples"),
        (262, short(5), "CMYK"),
        (262, short(6), "YCbCr outside JPEG"),
        (262, short(8), "L*a*b*"),
        (262, short(32844), "photometric interpretation 32844"),
        (266, short(2), "FillOrder 2"),
        (317, short(3), "floating point predictor"),
        (322, Value::Long(vec![1 << 20]), "tiles of 1048576 x 16 px"),
    ];
    for (tag, value, part) in cases {
        let page = with(base(), tag, value);
        if part.starts_with("tiles of") {
            let page = with(page, 323, Value::Long(vec![1 << 20]));
            assert!(refusal(&write(LAYOUTS[0], &[page])).to_string().contains("at most"));
            continue;
        }
        let error = refusal(&write(LAYOUTS[0], &[page])).to_string();
        assert!(
            error.contains(part) && error.contains("vips") && error.contains("page 0"),
            "{part}: {error}"
        );
    }
    let upright = with(base(), 274, short(0));
    assert!(pixels(&open_bytes(&write(LAYOUTS[0], &[upright])).expect("0 means upright")).tile_size() == 256);
}

#[test]
fn turned_images_are_shown_upright_and_their_tiles_are_not_kept() {
    let stored = picture(300, 200);
    // Row 0 is the right side and column 0 the top: a quarter to the right.
    let mut upright = Rgb::filled(200, 300, [0; 3]);
    for (i, pixel) in upright.data_mut().chunks_exact_mut(3).enumerate() {
        let (x, y) = (i as u32 % 200, i as u32 / 200);
        pixel.copy_from_slice(&stored.pixel(y, 199 - x));
    }
    for tiled in [true, false] {
        let mut page = rgb_page(&stored, (if tiled { 128 } else { 300 }, 128), tiled, Scheme::Lzw, true);
        page.fields.insert(274, Value::Short(vec![6]));
        page.fields.insert(282, Value::Rational(20_000, 1));
        page.fields.insert(283, Value::Rational(10_000, 1));
        page.fields.insert(296, Value::Short(vec![3]));
        let source = open_bytes(&write(LAYOUTS[1], &[page])).expect("opens");
        assert_eq!((source.width, source.height, source.mpp), (200, 300, Some([1.0, 0.5])));
        assert_eq!(pixels(&source).read(super::whole(&source)).expect("reads"), upright);
    }
    let page = with(level(300, 200, 128, 0), 274, Value::Short(vec![3]));
    let source = open_bytes(&write(LAYOUTS[0], &[page])).expect("opens");
    assert_eq!(
        source.notices,
        ["the JPEG tiles of page 0 are not kept bit for bit: its image is stored turned or mirrored"]
    );
    assert_eq!(pixels(&source).tile_size(), 256);
}
