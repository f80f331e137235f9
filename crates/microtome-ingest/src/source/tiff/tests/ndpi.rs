//! Hamamatsu NDPI: files written by the tests, and a real one.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use microtome_codec::coefficients::{Parser, ScanHeader, Tile, Writer};
use microtome_codec::payload::VerbatimParams;
use microtome_codec::turbo::{self, Subsampling};
use microtome_codec::{Rgb, jpeg};

use super::super::ifd::Tiff;
use super::files::data;
use super::ndpi_writer::{NDPI, encode, page, starts};
use super::writer::{Layout, TestPage, Value, picture, write};
use super::{open, open_bytes, refusal, tiles};
use crate::source::Source;

fn level(image: &Rgb, subsampling: Subsampling, restart: usize, lens: f32, listed: bool) -> TestPage {
    page((image.width(), image.height()), encode(image, subsampling, restart), lens, listed)
}

/// A level from its tiles, as they are served.
fn assembled(source: &Source, index: usize) -> Rgb {
    let tiles = tiles(source);
    let level = &tiles.levels()[index];
    let params = VerbatimParams::completing(vec![level.stream(256)]);
    let mut out = Rgb::filled(level.width, level.height, [0; 3]);
    for row in 0..level.height.div_ceil(256) {
        for column in 0..level.width.div_ceil(256) {
            let (width, height) = (256.min(level.width - column * 256), 256.min(level.height - row * 256));
            let stored = tiles.tile(index, column, row).expect("is cut");
            let served = params.to_jpeg(level.level, width, height, &stored.into()).expect("completes");
            let pixels = turbo::decode(&served, 1 << 16).expect("decodes");
            assert_eq!((pixels.width(), pixels.height()), (width, height), "column {column} row {row}");
            out.blit(&pixels, 0, 0, width, height, column * 256, row * 256);
        }
    }
    out
}

/// Whether two images are the same but within `margin` px of the borders of tiles.
fn same_inside(a: &Rgb, b: &Rgb, margin: u32) -> bool {
    let is_inside = |at: u32, end: u32| {
        let within = at % 256;
        (within >= margin || at < 256) && (within + margin < 256 || at / 256 == (end - 1) / 256)
    };
    (0..a.height())
        .filter(|y| is_inside(*y, a.height()))
        .all(|y| (0..a.width()).filter(|x| is_inside(*x, a.width())).all(|x| a.pixel(x, y) == b.pixel(x, y)))
}

#[test]
fn tiles_are_the_pixels_of_the_whole_level_however_its_restart_markers_lie() {
    let image = picture(701, 530);
    for (subsampling, mcu) in [(Subsampling::Chroma444, 8_u32), (Subsampling::Chroma420, 16)] {
        let columns = image.width().div_ceil(mcu) as usize;
        // A part of a row, a whole row, three rows and a bit, none.
        for restart in [11, columns, 3 * columns + 5, 0] {
            for listed in [true, false] {
                let stream = encode(&image, subsampling, restart);
                let page = page((701, 530), stream.clone(), 20.0, listed && restart > 0);
                let source = open_bytes(&write(NDPI, &[page])).expect("opens");
                assert_eq!((source.width, source.height, source.format), (701, 530, "hamamatsu-ndpi"));
                assert_eq!(source.objective_power, Some(20.0));
                assert!(source.notices.is_empty(), "{:?}", source.notices);
                let whole = turbo::decode(&stream, 1 << 20).expect("decodes");
                let margin = if mcu == 8 { 0 } else { 2 };
                assert!(
                    same_inside(&assembled(&source, 0), &whole, margin),
                    "{subsampling} {restart} {listed}"
                );
            }
        }
    }
}

#[test]
fn pages_are_levels_macro_map_and_others_by_their_lens() {
    let image = picture(700, 500);
    let halved = image.reduced();
    let restart = 700_usize.div_ceil(8);
    let mut far = level(&image, Subsampling::Chroma444, restart, 20.0, true);
    far.fields.insert(65424, Value::Signed(-1500));
    let mut first = level(&image, Subsampling::Chroma444, restart, 20.0, true);
    first.fields.extend([
        (282, Value::Rational(22_000, 1)),
        (283, Value::Rational(22_000, 1)),
        (296, Value::Short(vec![3])),
        (65422, Value::Signed(-77)),
        (65424, Value::Signed(0)),
        (65427, Value::Text("R1")),
        (65442, Value::Text("950291")),
        (65449, Value::Text("NDP.S/N=950291\r\nProduct=C9600-12\r\n")),
    ]);
    let macro_stream = encode(&picture(120, 40), Subsampling::Chroma420, 0);
    let pages = [
        level(&halved, Subsampling::Chroma444, 44, 10.0, true),
        far,
        first,
        page((120, 40), macro_stream.clone(), -1.0, false),
        level(&picture(200, 90), Subsampling::Chroma444, 0, 2.5, false),
    ];
    let source = open_bytes(&write(NDPI, &pages)).expect("opens");
    let levels: Vec<_> = tiles(&source).levels().iter().map(|l| (l.level, l.width, l.height)).collect();
    assert_eq!(levels, [(0, 700, 500), (1, 350, 250)]);
    let whole = turbo::decode(&pages[0].chunks[0], 1 << 20).expect("decodes");
    assert_eq!(assembled(&source, 1), whole);
    assert_eq!(source.notices.len(), 2, "{:?}", source.notices);
    assert!(source.notices[0].contains("1 pages of other focal planes"), "{:?}", source.notices);
    assert!(source.notices[1].contains("200 x 90 px are not level 0"), "{:?}", source.notices);
    assert_eq!(source.associated.len(), 1);
    assert_eq!((source.associated[0].name.as_str(), &source.associated[0].bytes), ("macro", &macro_stream));
    let property =
        |name: &str| source.properties.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    for (name, value) in [
        ("hamamatsu.SourceLens", "20"),
        ("hamamatsu.XOffsetFromSlideCentre", "-77"),
        ("hamamatsu.Reference", "R1"),
        ("hamamatsu.ScannerSerialNumber", "950291"),
        ("hamamatsu.Product", "C9600-12"),
        ("openslide.vendor", "hamamatsu"),
        ("openslide.objective-power", "20"),
    ] {
        assert_eq!(property(name), Some(value), "{name}");
    }
    let mpp = source.mpp.expect("has a resolution")[0];
    assert!((mpp - 10_000.0 / 22_000.0).abs() < 1e-9);
}

/// The file's body lies beyond 4 GiB: all offsets need their higher bits. The file is sparse.
#[test]
fn offsets_beyond_4_gib_have_their_higher_bits_behind_the_ifd() {
    let base = (5 << 30) + 4096;
    let image = picture(600, 300);
    let mut first = level(&image, Subsampling::Chroma444, 25, 40.0, true);
    first.fields.insert(65442, Value::Text("1234567"));
    let second = level(&image.reduced(), Subsampling::Chroma444, 0, 20.0, false);
    let bytes = write(Layout { ndpi: Some(base), ..NDPI }, &[first.clone(), second]);
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&bytes[..12]).expect("writes");
    file.seek(SeekFrom::Start(base + 12)).expect("seeks");
    file.write_all(&bytes[12..]).expect("writes");
    let source = open(file.path()).expect("opens");
    assert_eq!(tiles(&source).levels().len(), 2);
    assert_eq!(assembled(&source, 0), turbo::decode(&first.chunks[0], 1 << 20).expect("decodes"));
    let serial = source.properties.iter().find(|(key, _)| key == "hamamatsu.ScannerSerialNumber");
    assert_eq!(serial.map(|(_, value)| value.as_str()), Some("1234567"));
}

#[test]
fn a_frame_header_counts_where_it_can_say_the_size() {
    let image = picture(300, 200);
    // A side of 0, as scanners write for what is too large: the page counts.
    let mut stream = encode(&image, Subsampling::Chroma444, 38);
    let whole = turbo::decode(&stream, 1 << 20).expect("decodes");
    let frame = stream.windows(2).position(|pair| pair == [0xFF, 0xC0]).expect("a frame header");
    stream[frame + 5..frame + 9].fill(0);
    let source = open_bytes(&write(NDPI, &[page((300, 200), stream, 20.0, true)])).expect("opens");
    assert_eq!(assembled(&source, 0), whole);
    // Another size with restart markers is a lie, without them the page's rounding.
    let stream = encode(&image, Subsampling::Chroma444, 38);
    let error = refusal(&write(NDPI, &[page((300, 199), stream, 20.0, true)])).to_string();
    assert!(error.contains("its JPEG is 300 x 200 px, its tags say 300 x 199"), "{error}");
    let stream = encode(&image, Subsampling::Chroma444, 0);
    let source = open_bytes(&write(NDPI, &[page((300, 199), stream, 20.0, false)])).expect("opens");
    assert_eq!((source.width, source.height), (300, 200));
}

#[test]
fn damaged_scans_are_refused_with_their_place() {
    let image = picture(600, 300);
    let good = encode(&image, Subsampling::Chroma444, 25);
    let all = starts(&good);
    let fails = |stream: Vec<u8>, listed: Option<Vec<u64>>, part: &str| {
        let mut page = page((600, 300), stream, 20.0, false);
        page.fields.extend(listed.map(|starts| (65426, Value::Long(starts))));
        let opened = open_bytes(&write(NDPI, &[page]));
        let error = match opened {
            Ok(source) => {
                let tiles = tiles(&source);
                let places = (0..2).flat_map(|row| (0..3).map(move |column| (column, row)));
                places.filter_map(|(column, row)| tiles.tile(0, column, row).err()).next()
            }
            Err(error) => Some(error),
        };
        let error = error.expect("is refused").to_string();
        assert!(error.contains(part) && error.contains("page 0"), "{part}: {error}");
    };
    // A list that points beside the markers.
    let mut wrong = all.clone();
    wrong[40] += 3;
    fails(good.clone(), Some(wrong), "restart interval");
    // Markers out of order, without a list: found when they are looked for.
    let mut bytes = good.clone();
    bytes[all[7] as usize - 1] ^= 1;
    fails(bytes, None, "where restart marker 6 is expected");
    // The same with a list: found when the tile is cut.
    let mut bytes = good.clone();
    bytes[all[7] as usize - 1] ^= 1;
    fails(bytes, Some(all.clone()), "restart interval 6");
    // Cut off.
    fails(good[..all[50] as usize].to_vec(), None, "restart intervals where its size asks for 114");
    fails(good[..all[50] as usize + 9].to_vec(), Some(all), "restart interval");
    // Data of one interval damaged.
    let mut bytes = good.clone();
    let at = starts(&good)[3] as usize;
    bytes[at..at + 12].fill(0x55);
    fails(bytes, None, "restart interval 3");
}

#[test]
fn a_wrong_list_of_another_length_is_not_believed() {
    let image = picture(600, 300);
    let stream = encode(&image, Subsampling::Chroma444, 25);
    let mut page = page((600, 300), stream.clone(), 20.0, false);
    page.fields.insert(65426, Value::Long(starts(&stream)[..9].to_vec()));
    let source = open_bytes(&write(NDPI, &[page])).expect("opens");
    assert_eq!(assembled(&source, 0), turbo::decode(&stream, 1 << 20).expect("decodes"));
}

#[test]
fn no_flipped_byte_of_the_structure_panics() {
    let image = picture(300, 100);
    let stream = encode(&image, Subsampling::Chroma444, 19);
    let bytes = write(NDPI, &[page((300, 100), stream.clone(), 20.0, true)]);
    let header = 12..12 + ScanHeader::read(&stream).expect("markers").length();
    for at in (0..12).chain(header).chain(12 + stream.len()..bytes.len()) {
        for flip in [0x01, 0x80, 0xFF] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            if let Ok(source) = open_bytes(&damaged)
                && let crate::source::Content::Tiles(tiles) = &source.content
            {
                let _ = tiles.tile(0, 0, 0);
            }
        }
    }
}

fn real() -> Option<std::path::PathBuf> {
    let path = data()?.join("wsi/ndpi/test3-DAPI-2-(387).ndpi");
    path.exists().then_some(path)
}

#[test]
fn a_scanners_file_gives_its_pixels_and_its_bytes_back() {
    let Some(path) = real() else {
        let _ =
            writeln!(std::io::stderr(), "skipped: no NDPI beside the repository (set MICROTOME_TEST_DATA)");
        return;
    };
    let source = open(&path).expect("opens");
    let levels: Vec<_> = tiles(&source).levels().iter().map(|l| (l.level, l.width, l.height)).collect();
    assert_eq!(levels, [(0, 3968, 4864), (1, 1984, 2432), (2, 992, 1216), (3, 496, 608)]);
    let names: Vec<_> = source.associated.iter().map(|image| image.name.as_str()).collect();
    assert_eq!((names, source.objective_power), (vec!["macro", "map"], Some(40.0)));
    assert!((source.mpp.expect("has a resolution")[0] - 0.228_175_055_902_888_7).abs() < 1e-12);
    assert!(source.notices.is_empty(), "{:?}", source.notices);
    let file = std::fs::read(&path).expect("reads");
    check_whole_levels(&source, &file, &path);
}

/// Compares every level with the whole of its JPEG, in pixels; and writes every restart interval anew from coefficients.
fn check_whole_levels(source: &Source, file: &[u8], path: &Path) {
    let tiff = Tiff::open(path).expect("opens");
    for (index, directory) in tiff.directories().expect("reads").iter().take(4).enumerate() {
        let number = |tag| tiff.number_of(directory, tag).expect("reads").expect("is there") as usize;
        let (start, length) =
            (number(super::super::tag::STRIP_OFFSETS), number(super::super::tag::STRIP_BYTE_COUNTS));
        let stream = &file[start..start + length];
        let whole = turbo::decode(stream, 32 << 20).expect("decodes");
        assert!(assembled(source, index) == whole, "level at {index}");
        if index == 0 {
            let macro_bytes = &source.associated[0].bytes;
            assert!(
                jpeg::inspect(macro_bytes).is_ok()
                    && file.windows(macro_bytes.len()).any(|w| w == macro_bytes)
            );
        }
        let header = ScanHeader::read(stream).expect("markers");
        let markers = starts(stream);
        let (mut parser, mut writer, mut piece) = (Parser::new(), Writer::new(), Tile::new());
        for (i, &from) in markers.iter().enumerate() {
            let to = markers.get(i + 1).map_or(length, |next| *next as usize) - 2;
            let data = &stream[from as usize..to];
            let own = header.stream((header.restart_interval() * 8) as u16, 8, data);
            let template = parser.parse(&own, &mut piece).expect("parses");
            let mut again = vec![];
            writer.write(&template, &piece, &mut again).expect("writes");
            assert!(again == own, "level at {index}, interval {i}");
        }
    }
}
