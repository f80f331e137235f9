//! Frames that are read as pixels: every coding, every meaning of samples.

use microtome_codec::Rgb;

use super::writer::{File, IMPLICIT, NATIVE, Pixels, Table, Value, text};
use super::{all_pixels, open_alone, picture, refusal};

const RLE: &str = "1.2.840.10008.1.2.5";
const JPEG_LS: &str = "1.2.840.10008.1.2.4.80";
const JPEG_2000: &str = "1.2.840.10008.1.2.4.90";
const HTJ2K: &str = "1.2.840.10008.1.2.4.201";

/// 16 x 16 px in tiles of 10 x 6: the tiles, and the whole.
fn tiled() -> (Vec<Rgb>, Rgb) {
    let whole = picture(20, 18, 1);
    let tile = |i: u32| whole.crop(i % 2 * 10, i / 2 * 6, 10, 6);
    ((0..6).map(tile).collect(), whole.crop(0, 0, 16, 16))
}

fn file(syntax: &'static str) -> File {
    File::of(syntax, (16, 16), (10, 6), 6)
}

fn planes(tile: &Rgb) -> Vec<u8> {
    (0..3).flat_map(|colour| tile.data().iter().skip(colour).step_by(3).copied()).collect()
}

#[test]
fn native_rgb_pixel_by_pixel_and_plane_by_plane() {
    let (tiles, whole) = tiled();
    for syntax in [NATIVE, IMPLICIT] {
        let bytes = tiles.iter().flat_map(|tile| tile.data().to_vec()).collect();
        let source = open_alone(&file(syntax).pixels(Pixels::Native(bytes))).expect("opens");
        assert_eq!(all_pixels(&source), whole);
        let bytes = tiles.iter().flat_map(planes).collect();
        let planar = file(syntax).with((0x0028, 0x0006), Value::Us(vec![1])).pixels(Pixels::Native(bytes));
        assert_eq!(all_pixels(&open_alone(&planar).expect("opens")), whole);
    }
}

#[test]
fn native_ycbcr_becomes_rgb() {
    // Luma 100; chroma at rest, then a red one.
    let grey = [100, 128, 128];
    let red = [100, 128, 228];
    let file = |name, bytes: Vec<u8>| {
        let file = File::of(NATIVE, (2, 1), (2, 1), 1).with((0x0028, 0x0004), text("CS", name));
        all_pixels(&open_alone(&file.pixels(Pixels::Native(bytes))).expect("opens"))
    };
    let full = file("YBR_FULL", [grey, red].concat());
    assert_eq!(full.data(), [100, 100, 100, 240, 29, 100]);
    let half = file("YBR_FULL_422", vec![100, 50, 128, 128]);
    assert_eq!(half.data(), [100, 100, 100, 50, 50, 50]);
}

/// 4 x 1 px of one grey or palette sample each.
fn grey(name: &str, bits: u16, samples: &[u8]) -> File {
    File::of(NATIVE, (4, 1), (4, 1), 1)
        .with((0x0028, 0x0002), Value::Us(vec![1]))
        .with((0x0028, 0x0004), text("CS", name))
        .with((0x0028, 0x0100), Value::Us(vec![if bits > 8 { 16 } else { 8 }]))
        .with((0x0028, 0x0101), Value::Us(vec![bits]))
        .with((0x0028, 0x0102), Value::Us(vec![bits - 1]))
        .pixels(Pixels::Native(samples.to_vec()))
}

/// The shades of 4 pixels, and the notices.
fn shades(file: &File) -> ([u8; 4], Vec<String>) {
    let source = open_alone(file).expect("opens");
    let pixels = all_pixels(&source);
    let shades: Vec<u8> = pixels
        .data()
        .as_chunks::<3>()
        .0
        .iter()
        .map(|pixel| {
            assert!(pixel[0] == pixel[1] && pixel[1] == pixel[2], "grey");
            pixel[0]
        })
        .collect();
    (shades.try_into().expect("4 pixels"), source.notices)
}

#[test]
fn grey_of_8_bits_is_taken_as_it_is_or_turned_round() {
    assert_eq!(shades(&grey("MONOCHROME2", 8, &[0, 1, 200, 255])), ([0, 1, 200, 255], vec![]));
    assert_eq!(shades(&grey("MONOCHROME1", 8, &[0, 1, 200, 255])), ([255, 254, 55, 0], vec![]));
}

#[test]
fn grey_of_16_bits_is_shown_through_its_window_and_said_so() {
    let samples: Vec<u8> = [0_u16, 1000, 2047, 4095].iter().flat_map(|s| s.to_le_bytes()).collect();
    let (seen, notices) = shades(&grey("MONOCHROME2", 12, &samples));
    assert_eq!(seen, [0, 62, 127, 255]);
    assert!(notices[0].contains("12 bits") && notices[0].contains("no window"), "{notices:?}");
    let windowed = grey("MONOCHROME2", 12, &samples)
        .with((0x0028, 0x1050), text("DS", "1000"))
        .with((0x0028, 0x1051), text("DS", "401"));
    let (seen, notices) = shades(&windowed);
    assert_eq!(seen, [0, 128, 255, 255]);
    assert!(notices[0].contains("centre 1000 and width 401"), "{notices:?}");
    let property = |file: &File| {
        let source = open_alone(file).expect("opens");
        source.properties.into_iter().find(|(name, _)| name == "microtome.window.0").map(|(_, value)| value)
    };
    assert_eq!(property(&windowed).as_deref(), Some("800..1200"));
    assert_eq!(property(&grey("MONOCHROME2", 12, &samples)).as_deref(), Some("0..4095"));
    assert_eq!(property(&grey("MONOCHROME2", 8, &[0, 1, 200, 255])), None);
    let signed: Vec<u8> = [-2048_i16, 0, 1, 2047].iter().flat_map(|s| (s & 0xFFF).to_le_bytes()).collect();
    let signed = grey("MONOCHROME2", 12, &signed).with((0x0028, 0x0103), Value::Us(vec![1]));
    assert_eq!(shades(&signed).0, [0, 128, 128, 255]);
}

#[test]
fn a_palette_is_looked_up() {
    let list = |shades: [u8; 3]| Value::Bytes("OW", shades.iter().flat_map(|&s| [0, s]).collect());
    let mut file = grey("PALETTE COLOR", 8, &[0, 10, 11, 99]);
    for (number, shades) in (0_u16..).zip([[1, 2, 3], [4, 5, 6], [7, 8, 9]]) {
        file = file
            .with((0x0028, 0x1101 + number), Value::Us(vec![3, 10, 16]))
            .with((0x0028, 0x1201 + number), list(shades));
    }
    let source = open_alone(&file).expect("opens");
    assert_eq!(all_pixels(&source).data(), [1, 4, 7, 1, 4, 7, 2, 5, 8, 3, 6, 9]);
    let short = file.with((0x0028, 0x1101), Value::Us(vec![4, 10, 16]));
    assert!(refusal(&short).contains("palette"));
}

/// PackBits of literal runs and, for equal bytes, of repeats.
fn packed(plane: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    for run in plane.chunk_by(|a, b| a == b).flat_map(|run| run.chunks(128)) {
        match run {
            [byte] => out.extend([0, *byte]),
            _ => out.extend([(257 - run.len()) as u8, run[0]]),
        }
    }
    out.resize(out.len().next_multiple_of(2), 0);
    out
}

fn rle(planes: &[Vec<u8>]) -> Vec<u8> {
    let (mut header, mut segments) = (vec![planes.len() as u32], vec![]);
    for plane in planes {
        header.push(64 + segments.len() as u32);
        segments.extend(packed(plane));
    }
    header.resize(16, 0);
    [header.iter().flat_map(|number| number.to_le_bytes()).collect(), segments].concat()
}

#[test]
fn rle_frames_of_8_and_16_bits() {
    let (tiles, whole) = tiled();
    let frames = tiles.iter().map(|t| rle(&planes(t).chunks(60).map(<[u8]>::to_vec).collect::<Vec<_>>()));
    let coded = file(RLE).pixels(Pixels::Frames(frames.collect(), 1, Table::Basic));
    assert_eq!(all_pixels(&open_alone(&coded).expect("opens")), whole);
    let mut wide = grey("MONOCHROME2", 16, &[]);
    wide.syntax = RLE;
    let frame = rle(&[vec![0, 0x80, 0xFF, 0xFF], vec![0, 0, 0, 0xFF]]);
    assert_eq!(shades(&wide.pixels(Pixels::Frames(vec![frame], 1, Table::Empty))).0, [0, 128, 254, 255]);
    let mut one = grey("MONOCHROME2", 8, &[]);
    one.syntax = RLE;
    for cut in 0..66 {
        let frame = rle(&[vec![1, 2, 3, 4]]);
        let source =
            open_alone(&one.clone().pixels(Pixels::Frames(vec![frame[..cut].to_vec()], 1, Table::Basic)));
        let read = source.map(|source| match &source.content {
            crate::source::Content::Pixels(pixels) => {
                let whole = microtome_container::geometry::Rect { x: 0, y: 0, width: 4, height: 1 };
                pixels.read(whole).is_err()
            }
            crate::source::Content::Tiles(_) => false,
        });
        assert!(read.unwrap_or(true), "cut off at {cut}");
    }
}

#[test]
fn jpeg_ls_frames_whatever_their_interleave() {
    let (tiles, whole) = tiled();
    for (mode, planar) in [
        (charls::InterleaveMode::None, true),
        (charls::InterleaveMode::Line, false),
        (charls::InterleaveMode::Sample, false),
    ] {
        let frames = tiles.iter().map(|tile| {
            let info = charls::FrameInfo { width: 10, height: 6, bits_per_sample: 8, component_count: 3 };
            let mut coder = charls::CharLS::default();
            let samples = if planar { planes(tile) } else { tile.data().to_vec() };
            coder.set_interleave_mode(mode).map_err(|error| error.to_string()).expect("sets the mode");
            coder.encode(info, 0, &samples).map_err(|error| error.to_string()).expect("encodes")
        });
        let file = file(JPEG_LS).pixels(Pixels::Frames(frames.collect(), 1, Table::Basic));
        assert_eq!(all_pixels(&open_alone(&file).expect("opens")), whole, "{mode:?}");
    }
}

#[test]
fn streams_of_another_writer() {
    let mut expected = Rgb::filled(16, 16, [0; 3]);
    for (i, pixel) in (0_u32..).zip(expected.data_mut().as_chunks_mut().0) {
        let (x, y) = (i % 16, i / 16);
        *pixel = [x * 16, y * 16, (x ^ y) * 16].map(|value| value as u8);
    }
    for (syntax, stream) in
        [(JPEG_2000, &include_bytes!("gradient.j2k")[..]), (HTJ2K, &include_bytes!("gradient.jhc")[..])]
    {
        let file = |size| {
            File::of(syntax, size, (size.0 as u16, size.1 as u16), 1).pixels(Pixels::Frames(
                vec![stream.to_vec()],
                1,
                Table::Basic,
            ))
        };
        assert_eq!(all_pixels(&open_alone(&file((16, 16))).expect("opens")), expected, "{syntax}");
        let source = open_alone(&file((17, 16))).expect("opens");
        let crate::source::Content::Pixels(pixels) = &source.content else { unreachable!("not JPEG") };
        let whole = microtome_container::geometry::Rect { x: 0, y: 0, width: 17, height: 16 };
        let error = pixels.read(whole).expect_err("another size").to_string();
        assert!(error.contains("16 x 16 px"), "{error}");
    }
}

/// Found by fuzzing: CharLS reads on behind the end, two billion zero bits for a pixel.
#[test]
fn a_jpeg_ls_stream_without_its_end_is_not_decoded() {
    let stream = include_bytes!("gradient.jls");
    for length in [stream.len() - 2, stream.len() - 1, stream.len() / 2] {
        let file = File::of(JPEG_LS, (16, 16), (16, 16), 1).pixels(Pixels::Frames(
            vec![stream[..length].to_vec()],
            1,
            Table::Basic,
        ));
        let source = open_alone(&file).expect("opens");
        let crate::source::Content::Pixels(pixels) = &source.content else { unreachable!("not JPEG") };
        let whole = microtome_container::geometry::Rect { x: 0, y: 0, width: 16, height: 16 };
        let error = pixels.read(whole).expect_err("cut off").to_string();
        assert!(error.contains("a JPEG-LS stream without an end"), "{error}");
    }
}

#[test]
fn what_is_not_read_is_refused_by_name() {
    let plain = || file(NATIVE).pixels(Pixels::Native(vec![0; 6 * 180]));
    for (changed, word) in [
        (plain().with((0x0028, 0x0004), text("CS", "XYZ")), "PhotometricInterpretation \"XYZ\""),
        (plain().with((0x0028, 0x0100), Value::Us(vec![16])), "samples of 16 bits"),
        (plain().with((0x0028, 0x0102), Value::Us(vec![15])), "bit 15"),
        (plain().with((0x0028, 0x0103), Value::Us(vec![1])), "signed"),
        (plain().with((0x0028, 0x0002), Value::Us(vec![1])), "1 samples"),
        (plain().with((0x0008, 0x0016), text("UI", "1.2.840.10008.5.1.4.1.1.7")), "no whole slide"),
        (plain().with((0x0008, 0x0008), text("CS", "ORIGINAL\\PRIMARY\\LABEL\\NONE")), "ImageType VOLUME"),
        (File { syntax: "1.2.840.10008.1.2.4.70", ..plain() }, "lossless JPEG"),
        (File { syntax: "1.2.840.10008.1.2.4.110", ..plain() }, "JPEG XL"),
        (File { syntax: "1.2.840.10008.1.2.1.99", ..plain() }, "deflated"),
        (File { syntax: "1.2.840.10008.1.2.2", ..plain() }, "big endian"),
        (File { syntax: "1.2.3.4", ..plain() }, "1.2.3.4"),
    ] {
        let error = refusal(&changed);
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn a_window_on_8_bits_is_passed_over_and_said_so() {
    let windowed = |width: &str| {
        let file = grey("MONOCHROME2", 8, &[0, 100, 200, 255]);
        shades(&file.with((0x0028, 0x1050), text("DS", "100")).with((0x0028, 0x1051), text("DS", width)))
    };
    let (seen, notices) = windowed("50");
    assert_eq!(seen, [0, 100, 200, 255]);
    assert!(notices.iter().any(|n| n.contains("8 bits") && n.contains("width 50")), "{notices:?}");
    assert!(!windowed("256").1.iter().any(|n| n.contains("window")), "one over all of them changes nothing");
}
