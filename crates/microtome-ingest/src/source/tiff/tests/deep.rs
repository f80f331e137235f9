//! Samples of 16 bits and of one, and transparency masks.

use microtome_codec::Rgb;

use super::writer::{LAYOUTS, Layout, Scheme, TestPage, Value, compress, picture, rgb_page, write};
use super::{open_bytes, pixels, refusal, tiles, whole};
use crate::source::Source;

/// A page of one sample per pixel in deflate tiles; `bytes` gives those of a tile row from its values.
pub(super) fn grey_page(
    (width, height): (u32, u32),
    tile: u32,
    bits: u16,
    sample: impl Fn(u32, u32) -> u16,
    bytes: impl Fn(&[u16]) -> Vec<u8>,
) -> TestPage {
    let mut page = rgb_page(&picture(width, height), (tile, tile), true, Scheme::None, false);
    for (tag, value) in [(258, bits), (259, 8), (262, 1), (277, 1)] {
        page.fields.insert(tag, Value::Short(vec![value]));
    }
    page.chunks.clear();
    for (top, left) in (0..height)
        .step_by(tile as usize)
        .flat_map(|y| (0..width).step_by(tile as usize).map(move |x| (y, x)))
    {
        let row = |y: u32| (left..left + tile).map(|x| sample(x, y)).collect::<Vec<_>>();
        let data: Vec<u8> = (top..top + tile).flat_map(|y| bytes(&row(y))).collect();
        page.chunks.push(compress(Scheme::Deflate, &data));
    }
    page
}

fn bits(row: &[u16]) -> Vec<u8> {
    let byte = |eight: &[u16]| eight.iter().fold(0, |byte, &bit| byte << 1 | bit as u8) << (8 - eight.len());
    row.chunks(8).map(byte).collect()
}

fn words(layout: Layout) -> impl Fn(&[u16]) -> Vec<u8> {
    move |row| {
        let word = |v: &u16| if layout.little_endian { v.to_le_bytes() } else { v.to_be_bytes() };
        row.iter().flat_map(word).collect()
    }
}

/// A mask of a page; beyond the image it hides everything, as encoders leave it.
pub(super) fn mask(
    width: u32,
    height: u32,
    tile: u32,
    kind: u64,
    shown: impl Fn(u32, u32) -> bool,
) -> TestPage {
    let sample = |x, y| u16::from(x < width && y < height && shown(x, y));
    let mut page = grey_page((width, height), tile, 1, sample, bits);
    page.fields.insert(254, Value::Long(vec![kind]));
    page.fields.insert(262, Value::Short(vec![4]));
    page
}

fn read(source: &Source) -> Rgb {
    pixels(source).read(whole(source)).expect("reads")
}

fn property<'a>(source: &'a Source, key: &str) -> Option<&'a str> {
    source.properties.iter().find(|(name, _)| name == key).map(|(_, value)| &**value)
}

#[test]
fn a_mask_hides_what_it_hides_and_tiles_stay_exact_under_one_that_hides_nothing() {
    let image = picture(300, 200);
    let left = |x: u32, _: u32| x < 150;
    let mut shown = image.clone();
    for (i, pixel) in shown.data_mut().chunks_exact_mut(3).enumerate() {
        if !left(i as u32 % 300, 0) {
            pixel.fill(255);
        }
    }
    for layout in LAYOUTS {
        let lossless = rgb_page(&image, (128, 128), true, Scheme::Lzw, false);
        let source = open_bytes(&write(layout, &[lossless, mask(300, 200, 64, 4, left)])).expect("opens");
        assert_eq!(read(&source), shown);
        assert_eq!(source.notices, ["what page 1 hides is shown white"]);
    }
    let exact = rgb_page(&image, (128, 128), true, Scheme::Jpeg, false);
    let source = open_bytes(&write(LAYOUTS[0], &[exact.clone(), mask(300, 200, 64, 4, |_, _| true)]));
    let source = source.expect("opens");
    assert_eq!((tiles(&source).levels().len(), source.notices.len()), (1, 0), "{:?}", source.notices);

    let mut hiding = mask(300, 200, 64, 4, |_, _| true);
    // Of the second of five columns, of which GDAL leaves out what is all transparent.
    hiding.chunks[1].clear();
    let source = open_bytes(&write(LAYOUTS[0], &[exact.clone(), hiding])).expect("opens");
    let notices = source.notices.join("\n");
    assert!(
        notices.contains("page 0 are not kept bit for bit: page 1 says that parts of it are transparent")
    );
    let read = read(&source);
    assert_eq!(read.crop(64, 0, 64, 64).uniform(), Some([255; 3]));
    assert_eq!(read.crop(128, 0, 64, 64).uniform(), None);

    let mut sparse = exact.clone();
    sparse.chunks[1].clear();
    let opaque = mask(300, 200, 64, 4, |_, _| true);
    let source = open_bytes(&write(LAYOUTS[0], &[sparse.clone(), opaque])).expect("opens");
    assert_eq!(self::read(&source).crop(128, 0, 128, 128).uniform(), Some([0; 3]), "black among kept tiles");
    let source =
        open_bytes(&write(LAYOUTS[0], &[sparse, mask(300, 200, 64, 4, |x, _| x < 200)])).expect("opens");
    let sparse = self::read(&source);
    assert_eq!(sparse.crop(128, 0, 72, 128).uniform(), Some([0; 3]), "absent but not hidden");
    assert_eq!(sparse.crop(200, 0, 56, 128).uniform(), Some([255; 3]));

    let one_pixel = mask(300, 200, 64, 4, |x, y| (x, y) != (299, 199));
    let source = open_bytes(&write(LAYOUTS[0], &[exact.clone(), one_pixel])).expect("opens");
    assert_eq!(pixels(&source).read(whole(&source)).expect("reads").pixel(299, 199), [255; 3]);
    let small = mask(150, 100, 64, 4, left);
    let error = refusal(&write(LAYOUTS[0], &[exact.clone(), small])).to_string();
    assert!(error.contains("a transparency mask of 150 x 100 px for page 0 of 300 x 200"), "{error}");
    let error = refusal(&write(LAYOUTS[0], &[mask(300, 200, 64, 4, left)])).to_string();
    assert!(error.contains("a transparency mask without an image"), "{error}");
}

#[test]
fn one_bit_is_black_or_white() {
    let sample = |x: u32, y: u32| u16::from((x ^ y).is_multiple_of(3));
    for (photometric, one) in [(1, 255), (0, 0)] {
        let mut page = grey_page((100, 70), 48, 1, sample, bits);
        page.fields.insert(262, Value::Short(vec![photometric]));
        let read = read(&open_bytes(&write(LAYOUTS[0], &[page])).expect("opens"));
        for (x, y) in (0..100).flat_map(|x| (0..70).map(move |y| (x, y))) {
            let expected = if sample(x, y) == 1 { one } else { 255 - one };
            assert_eq!(read.pixel(x, y), [expected; 3]);
        }
    }
}

#[test]
fn deep_grey_is_shown_through_the_window_of_its_values_or_its_tags() {
    // 0 beyond the image, which must not count, and 1000 to 1000 + 299 * 7 + 199 within.
    let sample = |x: u32, y: u32| if x < 300 && y < 200 { (1000 + 7 * x + y) as u16 } else { 0 };
    for layout in LAYOUTS {
        for differenced in [false, true] {
            let row = |row: &[u16]| {
                let before = [0].iter().chain(row);
                let steps: Vec<u16> = row.iter().zip(before).map(|(v, b)| v.wrapping_sub(*b)).collect();
                words(layout)(if differenced { &steps } else { row })
            };
            let mut page = grey_page((300, 200), 128, 16, sample, row);
            if differenced {
                page.fields.insert(317, Value::Short(vec![2]));
            }
            let source = open_bytes(&write(layout, std::slice::from_ref(&page))).expect("opens");
            assert_eq!(property(&source, "microtome.window.0"), Some("1000..3292"));
            assert_eq!(
                source.notices,
                ["the 16-bit samples of page 0 are shown in 8 bits, 1000..3292 as 0..255: the smallest and \
                  largest of all its tiles"]
            );
            let read_back = read(&source);
            for (x, y) in [(0, 0), (1, 0), (17, 33), (299, 199)] {
                let expected = (f64::from(7 * x + y) * 255.0 / 2292.0).round() as u8;
                assert_eq!(read_back.pixel(x, y), [expected; 3], "{x} {y}");
            }
            page.fields.insert(340, Value::Short(vec![2000]));
            page.fields.insert(341, Value::Short(vec![2255]));
            let source = open_bytes(&write(layout, &[page])).expect("opens");
            assert!(
                source.notices[0].ends_with("2000..2255 as 0..255: as its tags say"),
                "{:?}",
                source.notices
            );
            let read_back = read(&source);
            assert_eq!([0, 142, 143, 299].map(|x| read_back.pixel(x, 0)[0]), [0, 0, 1, 255]);
        }
    }
}

#[test]
fn deep_colours_keep_their_hue_whatever_bits_they_use() {
    for (scale, window) in [(16, "0..4095"), (257, "0..65535"), (1, "0..255")] {
        let image = picture(140, 90);
        let mut page = rgb_page(&image, (64, 64), true, Scheme::None, false);
        page.fields.insert(258, Value::Short(vec![16; 3]));
        for chunk in &mut page.chunks {
            *chunk = chunk.iter().flat_map(|&sample| (u16::from(sample) * scale).to_le_bytes()).collect();
        }
        let source = open_bytes(&write(LAYOUTS[0], &[page])).expect("opens");
        assert_eq!(property(&source, "microtome.window.2"), Some(window));
        let shown = read(&source);
        let high: f64 = window.trim_start_matches("0..").parse().expect("a number");
        let expected = |&v: &u8| (f64::from(v) * f64::from(scale) * 255.0 / high).round() as u8;
        assert_eq!(shown.data(), image.data().iter().map(expected).collect::<Vec<_>>(), "{window}");
    }
}

#[test]
fn signed_samples_are_stretched_in_their_order() {
    let bytes = |row: &[u16]| row.iter().map(|&v| v as u8).collect();
    let mut page = grey_page((40, 30), 16, 8, |x, y| (x * 3 + y).wrapping_sub(20) as u16, bytes);
    page.fields.insert(339, Value::Short(vec![2]));
    let source = open_bytes(&write(LAYOUTS[1], &[page])).expect("opens");
    assert_eq!(property(&source, "microtome.window.0"), Some("-20..126"));
    let shown = read(&source);
    assert_eq!([0, 10, 39].map(|x| shown.pixel(x, 0)[0]), [0, 52, 204]);
}
