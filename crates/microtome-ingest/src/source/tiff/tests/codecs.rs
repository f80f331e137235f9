//! Tiles in JPEG 2000, WebP and Zstandard: their pixels, and what happens to damaged ones.
//!
//! The JPEG 2000 streams in `data` are lossless, 16 x 16 px, and come from OpenJPEG's `opj_compress`: the three
//! components are 16 x, 16 y and 8 (x + y). `rgb` has a colour transform, the others have none (`-mct 0`);
//! `grey16` is 1000 x + 3 y; `ycbcr_422` has every second sample of the last two components; `rgb_tiles` has two tiles.

use image_webp::{ColorType, WebPEncoder};
use microtome_codec::Rgb;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::writer::{LAYOUTS, Scheme, TestPage, Value, difference, picture, rgb_page, write};
use super::{open_bytes, pixels, refusal, whole};
use crate::Error;
use crate::source::jpeg2000::rgb_of_ycbcr;

const RGB: &[u8] = include_bytes!("data/rgb.j2k");
const RGB_TILES: &[u8] = include_bytes!("data/rgb_tiles.j2k");
const YCBCR: &[u8] = include_bytes!("data/ycbcr.j2k");
const GREY_16: &[u8] = include_bytes!("data/grey16.j2k");
const YCBCR_422: &[u8] = include_bytes!("data/ycbcr_422.j2k");

/// What the streams hold, each pixel from its three components.
fn expected(step: u32, shown: impl Fn([u8; 3]) -> [u8; 3]) -> Rgb {
    let mut out = Rgb::filled(16, 16, [0; 3]);
    for (i, pixel) in out.data_mut().chunks_exact_mut(3).enumerate() {
        let (x, y) = (i as u32 % 16, i as u32 / 16);
        let of_pair = x / step * step;
        let first = (16 * if step == 1 { of_pair } else { x }) as u8;
        pixel.copy_from_slice(&shown([first, (16 * y) as u8, (8 * (of_pair + y)) as u8]));
    }
    out
}

/// A page of one tile of 16 x 16 px, stored so.
fn one_tile(compression: u16, photometric: u16, stored: &[u8]) -> TestPage {
    let mut page = rgb_page(&picture(16, 16), (16, 16), true, Scheme::None, false);
    page.fields.insert(259, Value::Short(vec![compression]));
    page.fields.insert(262, Value::Short(vec![photometric]));
    page.chunks = vec![stored.to_vec()];
    page
}

fn read(page: &TestPage) -> Result<Rgb, Error> {
    let source = open_bytes(&write(LAYOUTS[0], std::slice::from_ref(page)))?;
    pixels(&source).read(whole(&source))
}

/// The JP2 file of a codestream, as far as it is looked at.
fn boxed(stream: &[u8]) -> Vec<u8> {
    let length = (stream.len() as u32 + 8).to_be_bytes();
    [b"\0\0\0\x0CjP  \r\n\x87\n", &b"\0\0\0\x08jp2h"[..], &length, b"jp2c", stream].concat()
}

#[test]
fn jpeg_2000_is_what_its_number_and_its_own_transform_say() {
    for (compression, photometric, stream, picture) in [
        (33005, 2, RGB, expected(1, |p| p)),
        (33005, 2, YCBCR, expected(1, |p| p)),
        (33005, 2, RGB_TILES, expected(1, |p| p)),
        (34712, 2, &boxed(RGB)[..], expected(1, |p| p)),
        (34712, 6, YCBCR, expected(1, rgb_of_ycbcr)),
        // Aperio's pages say RGB and hold YCbCr; others' streams have a transform, and hold RGB.
        (33003, 2, YCBCR, expected(1, rgb_of_ycbcr)),
        (33003, 2, YCBCR_422, expected(2, rgb_of_ycbcr)),
        (33003, 2, RGB, expected(1, |p| p)),
    ] {
        let read = read(&one_tile(compression, photometric, stream)).expect("reads");
        assert_eq!(read, picture, "{compression} {photometric} {} bytes", stream.len());
    }
    assert_eq!(rgb_of_ycbcr([100, 128, 128]), [100; 3]);
    assert_eq!(rgb_of_ycbcr([76, 85, 255]), [254, 0, 0], "red, as JFIF rounds it");
}

#[test]
fn jpeg_2000_may_be_deep() {
    let mut page = one_tile(34712, 1, GREY_16);
    page.fields.insert(277, Value::Short(vec![1]));
    page.fields.insert(258, Value::Short(vec![16]));
    let shown = read(&page).expect("reads");
    for (x, y) in [(0, 0), (1, 0), (7, 9), (15, 15)] {
        // The smallest value is 0 and the largest 1000 * 15 + 3 * 15.
        let expected = (f64::from(1000 * x + 3 * y) * 255.0 / 15045.0).round() as u8;
        assert_eq!(shown.pixel(x, y), [expected; 3], "{x} {y}");
    }
    page.chunks = vec![RGB.to_vec()];
    assert!(read(&page).is_err());
    let mut shallow = one_tile(34712, 1, GREY_16);
    shallow.fields.insert(277, Value::Short(vec![1]));
    shallow.fields.insert(258, Value::Short(vec![8]));
    let error = read(&shallow).expect_err("16 bits on a page of 8").to_string();
    assert!(error.contains("16 bits per sample on a page of 8"), "{error}");
}

/// A stream with a number in its header changed.
fn with(stream: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut stream = stream.to_vec();
    stream[at..at + bytes.len()].copy_from_slice(bytes);
    stream
}

#[test]
fn jpeg_2000_that_lies_or_is_damaged_names_its_tile() {
    let tile_part = RGB.windows(2).position(|w| w == [0xFF, 0x90]).expect("a tile-part");
    let cod = RGB.windows(2).position(|w| w == [0xFF, 0x52]).expect("a coding style");
    let ended = [&RGB[..tile_part], &[0xFF, 0xD9]].concat();
    let second = RGB_TILES.windows(6).position(|w| w == [0xFF, 0x90, 0, 10, 0, 1]).expect("a second tile");
    let cases: [(Vec<u8>, &str); 10] = [
        (with(RGB, 8, &[0, 1, 0, 0]), "65536 x 16 px with 3 components, not 16 x 16 with 3"),
        (with(RGB, 12, &[0, 0, 0, 15]), "16 x 15 px"),
        (with(RGB, 16, &[0xFF; 4]), "no size"),
        (with(RGB, 24, &[0, 0, 0, 0]), "tiles of no size"),
        (with(RGB, 40, &[0x40, 0]), "ends in its header"),
        (with(RGB, 42, &[0x87]), "signed"),
        (with(RGB, cod + 6, &[0xFF, 0xFF]), "65535 quality layers"),
        (ended, "ends in its header"),
        ([&RGB_TILES[..second], &[0xFF, 0xD9]].concat(), "tile 1 of 2 is missing"),
        (picture(3, 3).data().to_vec(), "no JPEG 2000 codestream"),
    ];
    for (stream, part) in cases {
        let error = read(&one_tile(33005, 2, &stream)).expect_err(part).to_string();
        assert!(error.contains(part) && error.contains("page 0, tile column 0 row 0"), "{part}: {error}");
    }
    // A tile-part of length 0 goes on to the end marker.
    for stream in [RGB, &with(RGB, tile_part + 6, &[0; 4])] {
        assert!(read(&one_tile(33005, 2, stream)).is_ok());
        for length in 1..stream.len() - 2 {
            assert!(read(&one_tile(33005, 2, &stream[..length])).is_err(), "cut to {length} bytes");
        }
    }
    for (at, byte) in RGB.iter().enumerate() {
        // Entropy-coded bits may say something else than they did; nothing may panic.
        let _ = read(&one_tile(33005, 2, &with(RGB, at, &[!byte])));
    }
    let two = with(YCBCR, 42, &[7]);
    let mut grey = one_tile(33005, 1, &two);
    grey.fields.insert(277, Value::Short(vec![1]));
    grey.fields.insert(258, Value::Short(vec![8]));
    assert!(read(&grey).expect_err("refused").to_string().contains("with 3 components, not 16 x 16 with 1"));
}

#[test]
fn zstandard_reads_back_with_and_without_predictor() {
    let image = picture(517, 391);
    for differenced in [false, true] {
        let mut page = rgb_page(&image, (256, 128), true, Scheme::None, false);
        page.fields.insert(259, Value::Short(vec![50000]));
        for chunk in &mut page.chunks {
            if differenced {
                difference(chunk, 3 * 256, 3);
            }
            *chunk = compress_to_vec(&chunk[..], CompressionLevel::Fastest);
        }
        if differenced {
            page.fields.insert(317, Value::Short(vec![2]));
        }
        assert_eq!(read(&page).expect("reads"), image);
        // No bomb grows.
        page.chunks[0] = compress_to_vec(&vec![7; 50 << 20][..], CompressionLevel::Fastest);
        let error = read(&page).expect_err("a bomb").to_string();
        assert!(error.contains("tile column 0 row 0") && error.contains("beyond its chunk"), "{error}");
        page.chunks[0] = compress_to_vec(&[7; 1000][..], CompressionLevel::Fastest);
        let error = read(&page).expect_err("too short").to_string();
        assert!(error.contains("tile column 0 row 0: 1000 bytes of samples where"), "{error}");
        page.chunks[0] = compress_to_vec(&[7; 3 * 256 * 128 + 5][..], CompressionLevel::Fastest);
        assert!(read(&page).is_ok(), "a little longer");
        // The last four bytes of a frame are its checksum.
        page.chunks[0] = compress_to_vec(&[7; 3 * 256 * 128][..], CompressionLevel::Fastest);
        assert!(read(&page).is_ok());
        *page.chunks[0].last_mut().expect("a frame") ^= 1;
        assert!(read(&page).expect_err("damaged").to_string().contains("its checksum is another"));
        page.chunks[0] = vec![9; 1000];
        let error = read(&page).expect_err("no frame").to_string();
        assert!(error.contains("tile column 0 row 0: undecodable Zstandard frame"), "{error}");
    }
}

fn webp(data: &[u8], (width, height): (u32, u32), colour: ColorType) -> Vec<u8> {
    let mut out = Vec::new();
    WebPEncoder::new(&mut out).encode(data, width, height, colour).expect("encodes");
    out
}

#[test]
fn webp_reads_back_with_and_without_alpha() {
    let image = picture(256, 128);
    let mut page = rgb_page(&image, (256, 128), true, Scheme::None, false);
    page.fields.insert(259, Value::Short(vec![50001]));
    page.chunks = vec![webp(image.data(), (256, 128), ColorType::Rgb8)];
    assert_eq!(read(&page).expect("reads"), image);

    let mut alpha = page.clone();
    alpha.fields.insert(277, Value::Short(vec![4]));
    alpha.fields.insert(258, Value::Short(vec![8; 4]));
    alpha.fields.insert(338, Value::Short(vec![2]));
    assert_eq!(read(&alpha).expect("reads"), image, "no alpha is opaque");
    let half: Vec<u8> = image.data().as_chunks().0.iter().flat_map(|&[r, g, b]| [r, g, b, 128]).collect();
    alpha.chunks = vec![webp(&half, (256, 128), ColorType::Rgba8)];
    let over_white = |sample: u8| ((u32::from(sample) * 128 + 255 * 127 + 127) / 255) as u8;
    let shown = image.data().iter().map(|&sample| over_white(sample)).collect();
    assert_eq!(read(&alpha).expect("reads"), Rgb::from_vec(256, 128, shown).expect("a picture"));

    page.chunks = vec![webp(&image.data()[..3 * 256 * 64], (256, 64), ColorType::Rgb8)];
    let error = read(&page).expect_err("another size").to_string();
    assert!(error.contains("a WebP image of 256 x 64 px, not 256 x 128"), "{error}");
    page.chunks[0].truncate(200);
    let error = read(&page).expect_err("cut off").to_string();
    assert!(error.contains("tile column 0 row 0"), "{error}");
    page.fields.insert(262, Value::Short(vec![1]));
    assert!(refusal(&write(LAYOUTS[0], &[page])).to_string().contains("WebP"));
}
