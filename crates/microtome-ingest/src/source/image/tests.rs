//! Images written with known pixels read back; damaged and hostile ones are refused.

use std::io::Write;

use microtome_codec::Rgb;
use microtome_codec::turbo::Subsampling;
use microtome_container::geometry::Rect;
use png::{BitDepth, ColorType};

use super::*;

fn open_bytes(bytes: &[u8]) -> Result<Source, Error> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("writes");
    open(file.path())
}

fn read(source: &Source) -> Rgb {
    let Content::Pixels(pixels) = &source.content else { unreachable!("images are pixels") };
    pixels.read(Rect { x: 0, y: 0, width: source.width, height: source.height }).expect("reads")
}

fn png_of(color: ColorType, depth: BitDepth, (width, height): (u32, u32), data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == ColorType::Indexed {
        encoder.set_palette(vec![1, 2, 3, 200, 100, 50]);
    }
    encoder.write_header().and_then(|mut writer| writer.write_image_data(data)).expect("writes to memory");
    bytes
}

fn refusal(bytes: &[u8]) -> String {
    open_bytes(bytes).err().expect("refused").to_string()
}

#[test]
fn every_kind_of_png_becomes_rgb() {
    let cases: [(ColorType, BitDepth, &[u8], [u8; 3]); 10] = [
        (ColorType::Rgb, BitDepth::Eight, &[1, 2, 3, 1, 2, 3], [1, 2, 3]),
        (ColorType::Rgb, BitDepth::Sixteen, &[1, 9, 2, 9, 3, 9, 1, 8, 2, 8, 3, 8], [1, 2, 3]),
        (ColorType::Grayscale, BitDepth::Eight, &[77, 77], [77; 3]),
        (ColorType::Grayscale, BitDepth::One, &[0b1100_0000], [255; 3]),
        (ColorType::Grayscale, BitDepth::Four, &[0x33], [0x33; 3]),
        (ColorType::GrayscaleAlpha, BitDepth::Eight, &[0, 128, 0, 128], [127; 3]),
        (ColorType::Rgba, BitDepth::Eight, &[9, 9, 9, 0, 9, 9, 9, 0], [255; 3]),
        (ColorType::Rgba, BitDepth::Eight, &[10, 20, 30, 255, 10, 20, 30, 255], [10, 20, 30]),
        (ColorType::Indexed, BitDepth::Eight, &[1, 1], [200, 100, 50]),
        (ColorType::Indexed, BitDepth::Two, &[0b0101_0000], [200, 100, 50]),
    ];
    for (color, depth, data, expected) in cases {
        let source = open_bytes(&png_of(color, depth, (2, 1), data)).expect("opens");
        assert_eq!((source.width, source.height, source.format), (2, 1, "png"));
        assert_eq!(read(&source).uniform(), Some(expected), "{color:?} {depth:?}");
    }
}

#[test]
fn long_and_narrow_images_read_back() {
    for (width, height) in [(100_000, 1), (1, 100_000)] {
        let data: Vec<u8> = (0..300_000_u32).map(|at| (at * 31 / 7) as u8).collect();
        let source =
            open_bytes(&png_of(ColorType::Rgb, BitDepth::Eight, (width, height), &data)).expect("opens");
        assert_eq!(read(&source).data(), data);
    }
}

/// An interlaced grey PNG of 2 x 2 px: Adam7 passes 1, 6 and 7 have a pixel, a pixel and a row of two.
fn interlaced_png() -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8], content: &[u8]| {
        let body = [kind, content].concat();
        let mut crc = flate2::Crc::new();
        crc.update(&body);
        bytes.extend((content.len() as u32).to_be_bytes());
        bytes.extend(body);
        bytes.extend(crc.sum().to_be_bytes());
    };
    chunk(b"IHDR", &[0, 0, 0, 2, 0, 0, 0, 2, 8, 0, 0, 0, 1]);
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&[0, 10, 0, 20, 0, 30, 40]).expect("writes to memory");
    chunk(b"IDAT", &encoder.finish().expect("writes to memory"));
    chunk(b"IEND", &[]);
    bytes
}

#[test]
fn interlaced_png_is_decoded_whole() {
    let image = read(&open_bytes(&interlaced_png()).expect("opens"));
    assert_eq!(image.data(), [10, 20, 30, 40].map(|grey| [grey; 3]).concat());
}

#[test]
fn jpeg_decodes_and_truncations_do_not() {
    let mut image = Rgb::filled(100, 60, [0; 3]);
    for (at, byte) in image.data_mut().iter_mut().enumerate() {
        *byte = (at / 9) as u8;
    }
    let stream = turbo::encode(&image, 90, Subsampling::Chroma444).expect("encodes");
    let source = open_bytes(&stream).expect("opens");
    assert_eq!((source.format, source.width, source.height), ("jpeg", 100, 60));
    assert_eq!(read(&source), turbo::decode(&stream, 6000).expect("decodes"));
    for length in (0..stream.len()).step_by(50) {
        assert!(open_bytes(&stream[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn damaged_png_is_an_error() {
    let data: Vec<u8> = (0..3 * 50 * 40_u32).map(|at| (at * at / 11) as u8).collect();
    let bytes = png_of(ColorType::Rgb, BitDepth::Eight, (50, 40), &data);
    assert!(open_bytes(&bytes).is_ok());
    for length in (0..bytes.len()).step_by(37).chain([bytes.len() - 1]) {
        assert!(open_bytes(&bytes[..length]).is_err(), "{length} bytes");
    }
    let mut flipped = bytes;
    flipped[1000] ^= 4;
    let error = refusal(&flipped);
    assert!(error.contains("PNG: ") && error.contains("the file is damaged"), "{error}");
}

/// A PNG that says it is so large, then ends.
fn claim(width: u32, height: u32, interlaced: bool) -> Vec<u8> {
    let mut bytes = interlaced_png();
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    bytes[28] = u8::from(interlaced);
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    bytes
}

#[test]
fn hostile_sizes_are_refused_before_work() {
    for (bytes, part) in [
        (claim(1 << 30, 1 << 30, false), "at most 4294967296 px"),
        (claim(1 << 30, 1, false), "16777216 a side"),
        (claim(20_000, 20_000, true), "an interlaced PNG of 20000 x 20000 px (at most 100000000 px"),
        (claim(60_000, 60_000, false), "60000 x 60000 px cannot come from"),
        (claim(0, 5, false), "PNG: "),
        (claim(100, 90, false), "PNG: "),
    ] {
        let error = refusal(&bytes);
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn other_files_and_cmyk_are_refused_with_a_remedy() {
    let error = refusal(b"GIF89a, not a slide");
    assert!(
        error.contains("no slide or image that is known here") && error.contains("vips tiffsave"),
        "{error}"
    );
    assert!(open_bytes(b"").is_err() && open_bytes(b"\x89PNG").is_err());
    let mut cmyk = vec![0xFF, 0xD8, 0xFF, 0xC0, 0, 20, 8, 0, 16, 0, 16, 4];
    cmyk.extend((1..=4).flat_map(|id| [id, 0x11, 0]));
    cmyk.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0]);
    let error = refusal(&cmyk);
    assert!(error.contains("a CMYK JPEG; convert it to RGB first"), "{error}");
}

#[test]
fn the_animation_of_a_png_is_left_out_and_said_so() {
    let mut bytes = vec![];
    let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_animated(2, 0).expect("two frames");
    let mut writer = encoder.write_header().expect("a header");
    for frame in [[10, 10], [200, 200]] {
        writer.write_image_data(&frame).expect("a frame");
    }
    writer.finish().expect("an end");
    let source = open_bytes(&bytes).expect("opens");
    assert_eq!(read(&source).uniform(), Some([10; 3]));
    assert_eq!(source.notices, ["its animation of 2 frames is left out: the picture without it is taken"]);
}

#[test]
fn a_picture_that_exif_turns_is_shown_upright() {
    // 40 x 24 px, its left half black; turned by 6: 24 x 40 px, the upper half black.
    let data = (0..40 * 24).flat_map(|at| [if at % 40 < 20 { 0 } else { 255 }; 3]).collect();
    let image = Rgb::from_vec(40, 24, data).expect("a picture");
    let exif = [&b"II*\0\x08\0\0\0\x01\0"[..], &[0x12, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0]].concat();
    let jpeg = turbo::encode(&image, 95, Subsampling::Chroma444).expect("encodes");
    let segment = [&[0xFF, 0xE1, 0, (8 + exif.len()) as u8][..], b"Exif\0\0", &exif].concat();
    let jpeg = [&jpeg[..2], &segment, &jpeg[2..]].concat();
    let mut png = vec![];
    let mut info = png::Info::with_size(40, 24);
    (info.color_type, info.exif_metadata) = (png::ColorType::Rgb, Some(exif.into()));
    let mut writer =
        png::Encoder::with_info(&mut png, info).expect("an encoder").write_header().expect("a header");
    writer.write_image_data(image.data()).expect("pixels");
    writer.finish().expect("an end");
    for bytes in [jpeg, png] {
        let source = open_bytes(&bytes).expect("opens");
        assert_eq!((source.width, source.height), (24, 40));
        let shown = read(&source);
        assert!(shown.pixel(3, 3)[0] < 20 && shown.pixel(20, 15)[0] < 20);
        assert!(shown.pixel(3, 24)[0] > 235 && shown.pixel(20, 36)[0] > 235);
    }
}
