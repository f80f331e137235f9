//! Files that lie about themselves: each is an error that names the place, soon, and never a panic.

use std::time::{Duration, Instant};

use microtome_container::geometry::Rect;

use super::open_bytes;
use super::writer::{LAYOUTS, Layout, Scheme, Value, picture, rgb_page, to_jpeg, write};
use crate::Error;
use crate::source::Content;

/// A file whose fields can be changed in place.
struct Liar {
    layout: Layout,
    bytes: Vec<u8>,
}

impl Liar {
    fn integer(&self, at: usize, bytes: usize) -> usize {
        let append = |number: usize, byte: &u8| number << 8 | usize::from(*byte);
        let field = &self.bytes[at..at + bytes];
        if self.layout.little_endian {
            field.iter().rev().fold(0, append)
        } else {
            field.iter().fold(0, append)
        }
    }

    fn put(&mut self, at: usize, bytes: usize, value: u64) {
        let mut field = value.to_le_bytes()[..bytes].to_vec();
        if !self.layout.little_endian {
            field.reverse();
        }
        self.bytes[at..at + bytes].copy_from_slice(&field);
    }

    /// Bytes of an offset, and of an IFD's number of entries.
    fn widths(&self) -> (usize, usize) {
        if self.layout.big { (8, 8) } else { (4, 2) }
    }

    fn first_ifd(&self) -> usize {
        let (offset, _) = self.widths();
        self.integer(if self.layout.big { 8 } else { 4 }, offset)
    }

    fn put_first_ifd(&mut self, value: u64) {
        let (offset, _) = self.widths();
        self.put(if self.layout.big { 8 } else { 4 }, offset, value);
    }

    /// Where the first page's entry for a tag starts.
    fn entry(&self, tag: usize) -> usize {
        let (offset, count) = self.widths();
        let start = self.first_ifd();
        let entries = (0..self.integer(start, count)).map(|index| start + count + index * (4 + 2 * offset));
        entries.into_iter().find(|&at| self.integer(at, 2) == tag).expect("the page has the tag")
    }

    fn put_type(&mut self, tag: usize, kind: u64) {
        self.put(self.entry(tag) + 2, 2, kind);
    }

    fn put_count(&mut self, tag: usize, count: u64) {
        self.put(self.entry(tag) + 4, self.widths().0, count);
    }

    /// The field's value or offset.
    fn put_value(&mut self, tag: usize, value: u64) {
        self.put(self.entry(tag) + 4 + self.widths().0, self.widths().0, value);
    }

    /// A SHORT in the field itself, whichever end it lies at.
    fn put_short(&mut self, tag: usize, value: u64) {
        self.put(self.entry(tag) + 4 + self.widths().0, 2, value);
    }

    /// Where the values of a tag lie.
    fn values(&self, tag: usize) -> usize {
        self.integer(self.entry(tag) + 4 + self.widths().0, self.widths().0)
    }

    /// Where the bits of the three samples lie: in the field itself if it has 8 bytes.
    fn bits(&self) -> usize {
        if self.layout.big { self.entry(258) + 12 } else { self.values(258) }
    }

    /// The next-IFD field of the first IFD.
    fn next(&self) -> usize {
        let (offset, count) = self.widths();
        let start = self.first_ifd();
        start + count + self.integer(start, count) * (4 + 2 * offset)
    }
}

/// A lie, by name, about a file of 2 x 2 deflate tiles.
type Lie = (&'static str, fn(&mut Liar));

const STRUCTURE: [Lie; 16] = [
    ("not a TIFF", |f| f.bytes[0] = b'X'),
    ("mixed byte order mark", |f| f.bytes[1] = b'X'),
    ("version 41", |f| f.put(2, 2, 41)),
    ("no first IFD", |f| f.put_first_ifd(0)),
    ("first IFD beyond the file", |f| f.put_first_ifd(0x7FFF_FFF0)),
    ("first IFD at the last byte", |f| f.put_first_ifd(f.bytes.len() as u64 - 1)),
    ("first IFD at the end", |f| f.put_first_ifd(f.bytes.len() as u64)),
    ("no entries", |f| f.put(f.first_ifd(), f.widths().1, 0)),
    ("65,535 entries", |f| f.put(f.first_ifd(), f.widths().1, 0xFFFF)),
    ("4,096 entries in a short file", |f| f.put(f.first_ifd(), f.widths().1, 4096)),
    ("IFD that is its own next", |f| f.put(f.next(), f.widths().0, f.first_ifd() as u64)),
    ("next IFD beyond the file", |f| f.put(f.next(), f.widths().0, 0x7FFF_FFFF)),
    ("next IFD in the header", |f| f.put(f.next(), f.widths().0, 3)),
    ("file cut in the header", |f| f.bytes.truncate(7)),
    ("file cut in the IFD", |f| f.bytes.truncate(f.entry(259) + 5)),
    ("file cut before the next IFD field", |f| f.bytes.truncate(f.next() + 1)),
];

const FIELDS: [Lie; 40] = [
    ("width 0", |f| f.put_value(256, 0)),
    ("height 0", |f| f.put_value(257, 0)),
    ("huge width", |f| f.put_value(256, 0xFFFF_FFFF)),
    ("huge height", |f| f.put_value(257, 0x7FFF_FFFF)),
    ("more width than tiles", |f| f.put_value(256, 100_000)),
    ("less width than tiles", |f| f.put_value(256, 10)),
    ("more height than tiles", |f| f.put_value(257, 100_000)),
    ("width of a fraction's type", |f| f.put_type(256, 5)),
    ("width of text", |f| f.put_type(256, 2)),
    ("width of no type", |f| f.put_type(256, 99)),
    ("width of type 0", |f| f.put_type(256, 0)),
    ("signed width", |f| f.put_type(256, 9)),
    ("no values of width", |f| f.put_count(256, 0)),
    ("two widths", |f| f.put_count(256, 2)),
    ("most widths there can be", |f| f.put_count(256, u64::MAX)),
    ("width missing", |f| f.put(f.entry(256), 2, 2)),
    ("photometric missing", |f| f.put(f.entry(262), 2, 2)),
    ("tile width 0", |f| f.put_value(322, 0)),
    ("tile height 0", |f| f.put_value(323, 0)),
    ("huge tiles", |f| f.put_value(322, 0xFFFF_FFFF)),
    ("wider tiles than the samples fill", |f| f.put_value(322, 130)),
    ("tile width missing", |f| f.put(f.entry(322), 2, 2)),
    ("offsets missing", |f| f.put(f.entry(324), 2, 2)),
    ("byte counts missing", |f| f.put(f.entry(325), 2, 2)),
    ("one offset too few", |f| f.put_count(324, 3)),
    ("one offset too many", |f| f.put_count(324, 5)),
    ("a billion offsets", |f| f.put_count(324, 1 << 30)),
    ("most offsets there can be", |f| f.put_count(324, u64::MAX)),
    ("offsets beyond the file", |f| f.put_value(324, 0x7FFF_FF00)),
    ("offsets that reach beyond the file", |f| f.put_value(324, f.bytes.len() as u64 - 4)),
    ("byte counts beyond the file", |f| f.put_value(325, 0x7FFF_FF00)),
    ("offsets of text", |f| f.put_type(324, 2)),
    ("a tile beyond the file", |f| f.put(f.values(324), f.widths().0, 0x7FFF_FFFF)),
    ("a tile at offset 0", |f| f.put(f.values(324), f.widths().0, 0)),
    ("a tile in the header", |f| f.put(f.values(324), f.widths().0, 4)),
    ("a tile longer than the file", |f| f.put(f.values(325), f.widths().0, 0x7FFF_FFFF)),
    ("0 samples", |f| f.put_short(277, 0)),
    ("65,535 samples", |f| f.put_short(277, 65_535)),
    ("2 samples of RGB", |f| f.put_short(277, 2)),
    ("compression that does not exist", |f| f.put_short(259, 60_000)),
];

const MEANING: [Lie; 9] = [
    ("bits beyond the file", |f| f.put_value(258, 0x7FFF_FFF0)),
    ("2 values of bits", |f| f.put_count(258, 2)),
    ("bits of 0", |f| f.put(f.bits(), 2, 0)),
    ("bits of 16", |f| f.put(f.bits(), 2, 16)),
    ("photometric 700", |f| f.put_short(262, 700)),
    ("planes that are not there", |f| f.put_short(284, 2)),
    ("planar configuration 3", |f| f.put_short(284, 3)),
    ("predictor 9", |f| f.put_short(317, 9)),
    ("orientation 9", |f| f.put_short(274, 9)),
];

/// Lies about a file whose tiles cannot be decoded as it says.
const SAMPLES: [Lie; 5] = [
    ("deflate that is LZW", |f| f.put_short(259, 5)),
    ("deflate that is JPEG", |f| f.put_short(259, 7)),
    ("deflate that is not compressed", |f| f.put_short(259, 1)),
    ("deflate that is PackBits", |f| f.put_short(259, 32773)),
    ("a flipped bit in a tile", |f| {
        let at = f.integer(f.values(324), f.widths().0) + 20;
        f.bytes[at] ^= 0x10;
    }),
];

fn honest(layout: Layout) -> Liar {
    let mut page = rgb_page(&picture(200, 150), (112, 80), true, Scheme::Deflate, false);
    let defaults = [(284, 1), (317, 1), (274, 1)];
    page.fields.extend(defaults.map(|(tag, value)| (tag, Value::Short(vec![value]))));
    Liar { layout, bytes: write(layout, &[page]) }
}

/// The error of opening a file and reading all of it.
fn failure(bytes: &[u8]) -> Option<Error> {
    let start = Instant::now();
    let result = open_bytes(bytes).and_then(|source| match &source.content {
        Content::Pixels(pixels) => {
            pixels.read(Rect { x: 0, y: 0, width: source.width, height: source.height }).map(|_| ())
        }
        Content::Tiles(_) => Ok(()),
    });
    assert!(start.elapsed() < Duration::from_secs(10), "took {:?}", start.elapsed());
    result.err()
}

#[test]
fn every_lie_is_an_error_in_every_layout() {
    for layout in LAYOUTS {
        assert!(failure(&honest(layout).bytes).is_none(), "the file is fine before it lies");
        for (name, lie) in STRUCTURE.iter().chain(&FIELDS).chain(&MEANING).chain(&SAMPLES) {
            let mut file = honest(layout);
            lie(&mut file);
            let error = failure(&file.bytes);
            assert!(
                matches!(error, Some(Error::Malformed { .. } | Error::Unsupported { .. })),
                "{name}, {layout:?}: {error:?}"
            );
        }
    }
}

#[test]
fn every_truncation_is_an_error() {
    for layout in LAYOUTS {
        let file = honest(layout);
        // The IFD lies at the end: whatever is cut off, something is missing.
        for length in (0..file.bytes.len()).rev().step_by(13).chain(0..70) {
            assert!(
                failure(&file.bytes[..length]).is_some(),
                "{length} of {} bytes, {layout:?}",
                file.bytes.len()
            );
        }
    }
}

#[test]
fn no_flipped_byte_of_the_structure_panics() {
    for layout in LAYOUTS {
        let file = honest(layout);
        for at in (0..16).chain(file.first_ifd() - 100..file.bytes.len()) {
            for flip in [1, 0x80, 0xFF] {
                let mut bytes = file.bytes.clone();
                bytes[at] ^= flip;
                failure(&bytes);
            }
        }
    }
}

#[test]
fn too_many_ifds_are_refused() {
    let page = rgb_page(&picture(16, 16), (16, 16), true, Scheme::None, false);
    let error = failure(&write(LAYOUTS[0], &vec![page; 257])).expect("refused").to_string();
    assert!(error.contains("page 256: more than 256 IFDs"), "{error}");
}

#[test]
fn jpeg_tiles_that_are_not_what_the_page_says_are_refused() {
    let base = || rgb_page(&picture(200, 150), (128, 128), true, Scheme::Jpeg, false);
    let mut other_size = base();
    other_size.chunks[0] = to_jpeg(&picture(112, 128));
    let mut cut = base();
    cut.chunks[0].truncate(400);
    let mut not_jpeg = base();
    not_jpeg.chunks[0] = vec![0; 500];
    let mut bad_tables = base();
    bad_tables.fields.insert(347, Value::Bytes(vec![0xFF, 0xD8, 0xFF, 0xDB, 0, 200, 1, 2]));
    let mut no_tables = rgb_page(&picture(200, 150), (128, 128), true, Scheme::JpegTables, false);
    no_tables.fields.remove(&347);
    let mut four = base();
    four.fields.insert(277, Value::Short(vec![4]));
    four.fields.insert(258, Value::Short(vec![8; 4]));
    let cases = [
        (other_size, "tile column 0 row 0: a JPEG of 112 x 128 px"),
        (cut, "page 0, tile column 0 row 0"),
        (not_jpeg, "no SOI marker"),
        (bad_tables, "tag 347 (JPEGTables)"),
        (no_tables, "page 0, tile column 0 row 0"),
        (four, "JPEG with 4 samples"),
    ];
    for (page, part) in cases {
        let error = failure(&write(LAYOUTS[2], &[page])).expect("refused").to_string();
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn a_compressed_bomb_is_not_expanded() {
    // A page of 2,000 x 2,000 px whose one tile says so but holds a few bytes.
    for scheme in [Scheme::None, Scheme::Lzw, Scheme::Deflate, Scheme::PackBits] {
        let mut page = rgb_page(&picture(16, 16), (16, 16), true, scheme, false);
        for tag in [256, 257, 322, 323] {
            page.fields.insert(tag, Value::Long(vec![2000]));
        }
        let error = failure(&write(LAYOUTS[0], &[page])).expect("refused").to_string();
        assert!(error.contains("768 bytes of samples where the size asks for 12000000"), "{error}");
    }
}
