//! Files written with known pixels read back as those pixels.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use microtome_codec::jpeg::{self, Colour};
use microtome_codec::{Rgb, turbo};
use microtome_container::geometry::{Rect, TileId};
use microtome_slide::Slide;
use microtome_slide::metadata::AbsentTiles;

use super::writer::{
    LAYOUTS, Scheme, TestPage, Value, compress, difference, padded, picture, rgb_page, to_jpeg, write,
};
use super::{open_bytes, pixels, refusal, tiles, whole};
use crate::{Options, Progress, Unit, ingest, verify};

const LIMIT: u64 = 1 << 24;

#[test]
fn lossless_tiles_read_back_in_every_layout() {
    let image = picture(517, 391);
    for layout in LAYOUTS {
        for scheme in [Scheme::None, Scheme::Lzw, Scheme::Deflate, Scheme::PackBits] {
            for side in [240, 256] {
                let differenced = matches!(scheme, Scheme::Lzw | Scheme::Deflate) && side == 240;
                let page = rgb_page(&image, (side, side), true, scheme, differenced);
                let source = open_bytes(&write(layout, &[page])).expect("opens");
                assert_eq!((source.width, source.height, source.format), (517, 391, "tiff"));
                let read = pixels(&source);
                assert_eq!(read.read(whole(&source)).expect("reads"), image, "{layout:?} {scheme:?} {side}");
                let rect = Rect { x: 230, y: 239, width: 280, height: 20 };
                let part = read.read(rect).expect("reads");
                assert_eq!(part, image.crop(rect.x, rect.y, rect.width, rect.height));
            }
        }
    }
}

#[test]
fn strips_with_and_without_predictor_read_back() {
    let image = picture(301, 97);
    for layout in LAYOUTS {
        for (scheme, differenced) in [
            (Scheme::None, false),
            (Scheme::Lzw, true),
            (Scheme::Lzw, false),
            (Scheme::Deflate, true),
            (Scheme::PackBits, false),
        ] {
            for rows in [1, 16, 97, 4000] {
                let page = rgb_page(&image, (301, rows), false, scheme, differenced);
                let source = open_bytes(&write(layout, &[page])).expect("opens");
                let read = pixels(&source).read(whole(&source)).expect("reads");
                assert_eq!(read, image, "{layout:?} {scheme:?} {rows} rows");
            }
        }
    }
}

#[test]
fn jpeg_tiles_are_the_stored_bytes() {
    let image = picture(517, 391);
    for layout in LAYOUTS {
        for (scheme, side) in [(Scheme::Jpeg, 240), (Scheme::Jpeg, 256), (Scheme::JpegTables, 240)] {
            let page = rgb_page(&image, (side, side), true, scheme, false);
            let source = open_bytes(&write(layout, std::slice::from_ref(&page))).expect("opens");
            let tiles = tiles(&source);
            assert_eq!((tiles.tile_size(), tiles.overlap(), tiles.levels().len()), (side, 0, 1));
            let level = &tiles.levels()[0];
            let colour = if scheme == Scheme::JpegTables { Colour::Rgb } else { Colour::YCbCr };
            assert_eq!(
                (level.level, level.width, level.height, level.colour, level.padded),
                (0, 517, 391, colour, true)
            );
            let columns = 517_u32.div_ceil(side);
            for (index, chunk) in (0..).zip(&page.chunks) {
                let (column, row) = (index % columns, index / columns);
                let tile = tiles.tile(0, column, row).expect("reads");
                assert_eq!(&tile, chunk);
                let stream = jpeg::complete(&level.tables, level.colour, &tile).expect("completes");
                let decoded = turbo::decode(&stream, LIMIT).expect("decodes");
                assert_eq!((decoded.width(), decoded.height()), (side, side));
            }
            assert!(tiles.tile(0, columns, 0).is_err() && tiles.tile(1, 0, 0).is_err(), "outside the grid");
        }
    }
}

#[test]
fn the_page_and_no_tile_of_it_says_what_its_colours_are() {
    let image = picture(256, 128);
    let mut page = rgb_page(&image, (128, 128), true, Scheme::Jpeg, false);
    let honest = page.chunks[1].clone();
    // The second tile claims to be RGB on a page of YCbCr.
    page.chunks[1] = jpeg::complete(&[], Colour::Rgb, &honest).expect("relabels");
    let source = open_bytes(&write(LAYOUTS[0], &[page])).expect("opens");
    let tiles = tiles(&source);
    let colour = tiles.levels()[0].colour;
    let stream = jpeg::complete(&[], colour, &tiles.tile(0, 1, 0).expect("reads")).expect("completes");
    assert_eq!(turbo::decode(&stream, LIMIT), turbo::decode(&honest, LIMIT));
}

#[test]
fn no_tile_of_another_size_or_with_other_components_is_handed_on() {
    let image = picture(256, 128);
    let mut grey = to_jpeg(&picture(128, 128));
    let frame = grey.windows(2).position(|w| w == [0xFF, 0xC0]).expect("a frame header");
    // One component instead of three: the header alone is looked at.
    grey.splice(frame..frame + 19, [0xFF, 0xC0, 0, 11, 8, 0, 128, 0, 128, 1, 1, 0x11, 0]);
    for (tile, word) in [(to_jpeg(&picture(144, 144)), "144 x 144 px"), (grey, "with 1 components")] {
        let mut page = rgb_page(&image, (128, 128), true, Scheme::Jpeg, false);
        page.chunks[1] = tile;
        let source = open_bytes(&write(LAYOUTS[0], &[page])).expect("its first tile is sound");
        let error = tiles(&source).tile(0, 1, 0).expect_err("refused").to_string();
        assert!(error.contains(word) && error.contains("tile column 1 row 0"), "{error}");
    }
}

/// What a page of JPEG chunks shows.
fn decoded(page: &TestPage, image: &Rgb, chunk: (u32, u32), colour: Colour) -> Rgb {
    let tables = match page.fields.get(&347) {
        Some(Value::Bytes(tables)) => tables.clone(),
        _ => Vec::new(),
    };
    let mut out = Rgb::filled(image.width(), image.height(), [0; 3]);
    let columns = image.width().div_ceil(chunk.0);
    for (index, stored) in (0..).zip(&page.chunks) {
        let stream = jpeg::complete(&tables, colour, stored).expect("completes");
        let pixels = turbo::decode(&stream, LIMIT).expect("decodes");
        let (x, y) = (index % columns * chunk.0, index / columns * chunk.1);
        let (width, height) = (chunk.0.min(image.width() - x), chunk.1.min(image.height() - y));
        out.blit(&pixels, 0, 0, width, height, x, y);
    }
    out
}

#[test]
fn jpeg_that_is_not_in_square_tiles_is_read_as_pixels() {
    let image = picture(517, 391);
    for layout in LAYOUTS {
        for scheme in [Scheme::Jpeg, Scheme::JpegTables] {
            for (chunk, tiled) in
                [((256, 128), true), ((250, 250), true), ((517, 64), false), ((517, 391), false)]
            {
                let page = rgb_page(&image, chunk, tiled, scheme, false);
                let source = open_bytes(&write(layout, std::slice::from_ref(&page))).expect("opens");
                let colour = if scheme == Scheme::Jpeg { Colour::YCbCr } else { Colour::Rgb };
                let read = pixels(&source).read(whole(&source)).expect("reads");
                assert_eq!(read, decoded(&page, &image, chunk, colour), "{layout:?} {scheme:?} {chunk:?}");
                assert!(source.notices.iter().any(|notice| notice.contains("not kept bit for bit")));
            }
        }
    }
}

/// A page of `samples` bytes a pixel in one strip, with more fields.
fn sample_page(samples: &[u8], width: u32, per_pixel: u16, fields: &[(u16, Value)]) -> TestPage {
    let height = samples.len() as u32 / u32::from(per_pixel) / width;
    let long = |value: u32| Value::Long(vec![value.into()]);
    let mut values = BTreeMap::from([
        (256, long(width)),
        (257, long(height)),
        (258, Value::Short(vec![8; usize::from(per_pixel)])),
        (259, Value::Short(vec![1])),
        (277, Value::Short(vec![per_pixel])),
    ]);
    values.extend(fields.iter().cloned());
    TestPage { fields: values, chunks: vec![samples.to_vec()], children: Vec::new() }
}

#[test]
fn grey_palette_and_alpha_become_rgb() {
    let short = |value: u16| Value::Short(vec![value]);
    let palette = |scale: u16| {
        Value::Short(
            (0..3).flat_map(|channel| (0..256).map(move |at| (at ^ (channel * 85)) * scale)).collect(),
        )
    };
    let (on_white, half) = ([255, 255, 255], [128, 178, 228]);
    type Case = (&'static [u8], u16, Vec<(u16, Value)>, [u8; 3]);
    let cases: [Case; 9] = [
        (&[7], 1, vec![(262, short(1))], [7; 3]),
        (&[7], 1, vec![(262, short(0))], [248; 3]),
        (&[7], 1, vec![(262, short(3)), (320, palette(257))], [7, 7 ^ 85, 7 ^ 170]),
        (&[7], 1, vec![(262, short(3)), (320, palette(1))], [7, 7 ^ 85, 7 ^ 170]),
        (&[0, 100, 200, 128], 4, vec![(262, short(2)), (338, short(2))], [127, 177, 227]),
        (&[1, 51, 101, 128], 4, vec![(262, short(2)), (338, short(1))], half),
        (&[9, 9, 9, 0], 4, vec![(262, short(2)), (338, short(2))], on_white),
        (&[9, 8, 7, 0], 4, vec![(262, short(2)), (338, short(0))], [9, 8, 7]),
        (&[50, 255], 2, vec![(262, short(1)), (338, short(2))], [50; 3]),
    ];
    for (pixel, per_pixel, fields, expected) in cases {
        let page = sample_page(&pixel.repeat(12), 4, per_pixel, &fields);
        let source = open_bytes(&write(LAYOUTS[0], &[page])).expect("opens");
        let read = pixels(&source).read(whole(&source)).expect("reads");
        assert_eq!(read.uniform(), Some(expected), "{pixel:?} {fields:?}");
    }
}

#[test]
fn separate_planes_are_put_together() {
    let image = picture(300, 200);
    for scheme in [Scheme::None, Scheme::Lzw] {
        let mut page = rgb_page(&image, (128, 128), true, scheme, scheme == Scheme::Lzw);
        page.fields.insert(284, Value::Short(vec![2]));
        page.chunks.clear();
        for plane in 0..3 {
            for (x, y) in (0..2).flat_map(|row| (0..3).map(move |column| (column * 128, row * 128))) {
                let chunk = padded(&image, x, y, 128, 128);
                let mut samples: Vec<u8> = chunk.data().iter().skip(plane).step_by(3).copied().collect();
                if scheme == Scheme::Lzw {
                    difference(&mut samples, 128, 1);
                }
                page.chunks.push(compress(scheme, &samples));
            }
        }
        let source = open_bytes(&write(LAYOUTS[3], &[page])).expect("opens");
        assert_eq!(pixels(&source).read(whole(&source)).expect("reads"), image);
    }
}

#[test]
fn absent_tiles_are_white_and_said_to_be() {
    let image = picture(500, 300);
    let mut page = rgb_page(&image, (256, 256), true, Scheme::Deflate, false);
    page.chunks[1].clear();
    let source = open_bytes(&write(LAYOUTS[0], &[page])).expect("opens");
    assert!(
        source.notices.iter().any(|n| n == "1 of 4 tiles or strips of page 0 are absent and shown white")
    );
    let read = pixels(&source).read(whole(&source)).expect("reads");
    assert_eq!(read.crop(256, 0, 244, 256).uniform(), Some([255; 3]));
    assert_eq!(read.crop(0, 0, 256, 256).uniform(), None);
}

/// Sparse slides: the tiles that are there are the file's, the others white and told from them, in the source and in the
/// container.
#[test]
fn tiles_beside_absent_ones_are_kept_byte_for_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, container) = (folder.path().join("slide.tif"), folder.path().join("slide.mtm"));
    for scheme in [Scheme::Jpeg, Scheme::JpegTables] {
        // 5 columns, 3 rows; the last column and row are cut.
        let mut page = rgb_page(&picture(600, 300), (128, 128), true, scheme, false);
        for absent in [0, 1, 7, 14] {
            page.chunks[absent].clear();
        }
        std::fs::write(&file, write(LAYOUTS[2], std::slice::from_ref(&page))).expect("writes");
        let name = file.to_str().expect("UTF-8");
        let source = super::open(&file).expect("opens");
        let quantised = super::open(&file).expect("opens").into_pixels().notices;
        assert!(
            quantised.iter().any(|notice| notice.starts_with("4 of 15 tiles of level 0 are absent")),
            "{quantised:?}"
        );
        let level = &tiles(&source).levels()[0];
        for number in 0..15_u32 {
            let (column, row) = (number % 5, number / 5);
            let is_absent = [0, 1, 7, 14].contains(&number);
            assert_eq!(tiles(&source).is_absent(0, column, row), is_absent);
            let tile = tiles(&source).tile(0, column, row).expect("reads");
            let stream = jpeg::complete(&level.tables, level.colour, &tile).expect("completes");
            let white = turbo::decode(&stream, LIMIT).expect("decodes").uniform() == Some([255; 3]);
            assert_eq!((white, tile == page.chunks[number as usize]), (is_absent, !is_absent), "{number}");
        }
        ingest(name, &container, Options::default(), &Silent, &AtomicBool::new(false)).expect("ingests");
        let slide = Slide::open(&container).expect("opens");
        assert_eq!(
            slide.metadata().absent,
            [AbsentTiles { level: 0, runs: vec![[0, 1], [7, 7], [14, 14]], undecodable: false }]
        );
        let notice = "4 of 15 tiles of level 0 are absent in the source: they are blank";
        assert!(slide.metadata().notices.iter().any(|n| n == notice), "{:?}", slide.metadata().notices);
        let comparison = verify::compare(&slide, name).expect("compares");
        assert_eq!((comparison.identical, comparison.absent, comparison.differences), (11, 4, vec![]));
        let corner = slide.fetch(TileId { level: 0, column: 4, row: 2 }).expect("fetches");
        let pixels = corner.decode_pixels().expect("decodes");
        assert_eq!((pixels.width(), pixels.height(), pixels.uniform()), (88, 44, Some([255; 3])));
        // Another file, with one more tile and one fewer: neither passes for the other.
        page.chunks.swap(7, 8);
        std::fs::write(&file, write(LAYOUTS[2], &[page])).expect("writes");
        let differences = verify::compare(&slide, name).expect("compares").differences;
        assert!(differences[0].contains("as the slide says, but it is there"), "{differences:?}");
        assert!(differences[1].contains("the slide does not say so"), "{differences:?}");
        assert_eq!(differences.len(), 2);
        std::fs::remove_file(&container).expect("removes");
    }
}

/// A grey JPEG of 16 x 16 px: four blocks, each of a zero difference and an end of block, one bit both (T.81 annex F).
fn grey_jpeg() -> Vec<u8> {
    let mut stream = vec![0xFF, 0xD8, 0xFF, 0xDB, 0, 67, 0];
    stream.extend([8; 64]);
    stream.extend([0xFF, 0xC0, 0, 11, 8, 0, 16, 0, 16, 1, 1, 0x11, 0]);
    for class in [0x00, 0x10] {
        stream.extend([0xFF, 0xC4, 0, 20, class, 1]);
        stream.extend([0; 16]);
    }
    stream.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0, 0x00, 0xFF, 0xD9]);
    stream
}

#[test]
fn grey_jpeg_tiles_are_taken_verbatim_unless_white_is_zero() {
    let mut page = rgb_page(&Rgb::filled(16, 16, [0; 3]), (16, 16), true, Scheme::Jpeg, false);
    page.fields.insert(277, Value::Short(vec![1]));
    page.fields.insert(258, Value::Short(vec![8]));
    let error = refusal(&write(LAYOUTS[0], std::slice::from_ref(&page))).to_string();
    assert!(error.contains("asks for 3 samples per pixel, there are 1"), "{error}");

    page.fields.insert(262, Value::Short(vec![1]));
    let error = refusal(&write(LAYOUTS[0], std::slice::from_ref(&page))).to_string();
    assert!(error.contains("3 components, not 16 x 16 with 1"), "{error}");

    page.chunks = vec![grey_jpeg()];
    let source = open_bytes(&write(LAYOUTS[0], std::slice::from_ref(&page))).expect("opens");
    assert_eq!(tiles(&source).levels()[0].colour, Colour::AsStored);
    assert_eq!(tiles(&source).tile(0, 0, 0).expect("reads"), grey_jpeg());

    page.fields.insert(262, Value::Short(vec![0]));
    let source = open_bytes(&write(LAYOUTS[0], &[page])).expect("opens");
    assert_eq!(pixels(&source).read(whole(&source)).expect("reads").uniform(), Some([127; 3]));
}

pub(super) struct Silent;

impl Progress for Silent {
    fn stage(&self, _: &'static str, _: u64, _: Unit) {}
    fn advance(&self, _: u64, _: u64) {}
}

#[test]
fn tiles_with_shared_tables_and_padded_edges_come_back_from_a_container() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, container) = (folder.path().join("slide.tif"), folder.path().join("slide.mtm"));
    for (scheme, side) in [(Scheme::Jpeg, 128), (Scheme::JpegTables, 112)] {
        let page = rgb_page(&picture(1237, 591), (side, side), true, scheme, false);
        std::fs::write(&file, write(LAYOUTS[0], &[page])).expect("writes");
        let name = file.to_str().expect("UTF-8");
        let report = ingest(name, &container, Options::default(), &Silent, &AtomicBool::new(false));
        assert_eq!(report.expect("ingests").codings.verbatim, 0);
        let slide = Slide::open(&container).expect("opens");
        let comparison = verify::compare(&slide, name).expect("compares");
        assert_eq!((comparison.identical, comparison.differences), (slide.levels()[0].tiles(), vec![]));

        let source = super::open(&file).expect("opens");
        let level = &tiles(&source).levels()[0];
        let corner = TileId { level: 0, column: 1237 / side, row: 591 / side };
        let theirs = tiles(&source).tile(0, corner.column, corner.row).expect("reads");
        let fetched = slide.fetch(corner).expect("fetches");
        assert_eq!(fetched.record().expect("decodes"), Some(theirs.clone().into()), "with its padding");
        let stream = jpeg::complete(&level.tables, level.colour, &theirs).expect("completes");
        let cropped = turbo::crop(&stream, 1237 % side, 591 % side, LIMIT).expect("crops");
        assert_eq!(fetched.decode().expect("decodes"), cropped, "without its padding");
        std::fs::remove_file(&container).expect("removes");
    }
}
