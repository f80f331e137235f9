//! A small TIFF writer: just enough to make files whose pixels are known, and to lie in any field of them.

use std::collections::BTreeMap;
use std::io::Write;

use flate2::Compression as Level;
use flate2::write::ZlibEncoder;
use microtome_codec::Rgb;
use microtome_codec::turbo::{self, Subsampling};

/// Byte order and offset size of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) little_endian: bool,
    pub(super) big: bool,
    /// In Hamamatsu's way: what follows the header lies so many bytes further on than it is written.
    pub(super) ndpi: Option<u64>,
}

/// All four kinds of TIFF.
pub(super) const LAYOUTS: [Layout; 4] = [
    Layout { little_endian: true, big: false, ndpi: None },
    Layout { little_endian: false, big: false, ndpi: None },
    Layout { little_endian: true, big: true, ndpi: None },
    Layout { little_endian: false, big: true, ndpi: None },
];

/// A field's value.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Short(Vec<u16>),
    /// LONG, or LONG8 in BigTIFF.
    Long(Vec<u64>),
    Rational(u32, u32),
    Signed(i32),
    Float(f32),
    Text(&'static str),
    Bytes(Vec<u8>),
}

/// A page to write.
#[derive(Debug, Clone, Default)]
pub(super) struct TestPage {
    pub(super) fields: BTreeMap<u16, Value>,
    /// Stored tiles or strips; an empty one is written as absent.
    pub(super) chunks: Vec<Vec<u8>>,
    pub(super) children: Vec<TestPage>,
}

struct File {
    layout: Layout,
    bytes: Vec<u8>,
}

impl File {
    fn integer(&self, value: u64, bytes: usize) -> Vec<u8> {
        let little = &value.to_le_bytes()[..bytes];
        if self.layout.little_endian { little.to_vec() } else { little.iter().rev().copied().collect() }
    }

    fn offset_bytes(&self) -> usize {
        if self.layout.big { 8 } else { 4 }
    }

    /// Bytes of an IFD's offset.
    fn link_bytes(&self) -> usize {
        if self.layout.ndpi.is_some() { 8 } else { self.offset_bytes() }
    }

    /// The offset in the file of what is written next.
    fn here(&self) -> u64 {
        self.layout.ndpi.unwrap_or(0) + self.bytes.len() as u64
    }

    /// Type, count and bytes of a value.
    fn encode(&self, value: &Value) -> (u16, usize, Vec<u8>) {
        match value {
            Value::Short(values) => {
                (3, values.len(), values.iter().flat_map(|&value| self.integer(value.into(), 2)).collect())
            }
            Value::Long(values) => {
                let (kind, each) = if self.layout.big { (16, 8) } else { (4, 4) };
                (kind, values.len(), values.iter().flat_map(|&value| self.integer(value, each)).collect())
            }
            Value::Rational(above, below) => {
                (5, 1, [self.integer((*above).into(), 4), self.integer((*below).into(), 4)].concat())
            }
            Value::Signed(value) => (9, 1, self.integer(u64::from(value.cast_unsigned()), 4)),
            Value::Float(value) => (11, 1, self.integer(value.to_bits().into(), 4)),
            Value::Text(text) => (2, text.len() + 1, [text.as_bytes(), &[0]].concat()),
            Value::Bytes(bytes) => (7, bytes.len(), bytes.clone()),
        }
    }

    /// Appends a page's chunks, values and IFD; answers the IFD's offset and where its next-IFD field is.
    fn page(&mut self, page: &TestPage) -> (u64, usize) {
        let children: Vec<u64> = page.children.iter().map(|child| self.page(child).0).collect();
        let (mut offsets, mut counts) = (Vec::new(), Vec::new());
        for chunk in &page.chunks {
            offsets.push(if chunk.is_empty() { 0 } else { self.here() });
            counts.push(chunk.len() as u64);
            self.bytes.extend_from_slice(chunk);
        }
        let mut fields = page.fields.clone();
        let (offset_tag, count_tag) = if fields.contains_key(&322) { (324, 325) } else { (273, 279) };
        fields.insert(offset_tag, Value::Long(offsets));
        fields.insert(count_tag, Value::Long(counts));
        if !children.is_empty() {
            fields.insert(330, Value::Long(children));
        }
        let field_bytes = self.offset_bytes();
        let (mut entries, mut high) = (Vec::new(), Vec::new());
        for (&tag, value) in &fields {
            let (kind, count, mut bytes) = self.encode(value);
            let mut whole = if let Value::Long(values) = value { values[0] } else { 0 };
            if bytes.len() > field_bytes {
                whole = self.here();
                let offset = self.integer(whole, field_bytes);
                self.bytes.extend_from_slice(&bytes);
                bytes = offset;
            }
            bytes.resize(field_bytes, 0);
            entries.extend(self.integer(tag.into(), 2));
            entries.extend(self.integer(kind.into(), 2));
            entries.extend(self.integer(count as u64, field_bytes));
            entries.extend(bytes);
            high.extend(self.integer(whole >> 32, 4));
        }
        let start = self.here();
        let count_bytes = if self.layout.big { 8 } else { 2 };
        self.bytes.extend(self.integer(fields.len() as u64, count_bytes));
        self.bytes.extend(entries);
        let next = self.bytes.len();
        self.bytes.extend(self.integer(0, self.link_bytes()));
        if self.layout.ndpi.is_some() {
            self.bytes.extend(high);
        }
        (start, next)
    }
}

/// The bytes of a file of these pages.
pub(super) fn write(layout: Layout, pages: &[TestPage]) -> Vec<u8> {
    let mut file = File { layout, bytes: if layout.little_endian { b"II".to_vec() } else { b"MM".to_vec() } };
    file.bytes.extend(file.integer(if layout.big { 43 } else { 42 }, 2));
    if layout.big {
        file.bytes.extend(file.integer(8, 2));
        file.bytes.extend([0, 0]);
    }
    let mut link = file.bytes.len();
    file.bytes.extend(file.integer(0, file.link_bytes()));
    for page in pages {
        let (start, next) = file.page(page);
        let start = file.integer(start, file.link_bytes());
        file.bytes[link..link + start.len()].copy_from_slice(&start);
        link = next;
    }
    file.bytes
}

/// How the chunks of a test page are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    None,
    Lzw,
    Deflate,
    PackBits,
    /// YCbCr, every tile with its tables.
    Jpeg,
    /// Red, green, blue in JPEG, tables in JPEGTables.
    JpegTables,
}

impl Scheme {
    /// Value of the Compression field.
    pub(super) fn number(self) -> u16 {
        match self {
            Self::None => 1,
            Self::Lzw => 5,
            Self::Deflate => 8,
            Self::PackBits => 32773,
            Self::Jpeg | Self::JpegTables => 7,
        }
    }
}

/// A picture with detail everywhere, so that no tile equals another.
pub(super) fn picture(width: u32, height: u32) -> Rgb {
    let mut image = Rgb::filled(width, height, [0; 3]);
    for (i, pixel) in image.data_mut().chunks_exact_mut(3).enumerate() {
        let (x, y) = (i as u32 % width, i as u32 / width);
        pixel.copy_from_slice(&[(x / 2 + y / 5) as u8, (y / 3 + x / 7) as u8, ((x ^ y) / 8 + 90) as u8]);
    }
    image
}

/// The chunk of `image` at a place, its last pixels repeated beyond the image as encoders do.
pub(super) fn padded(image: &Rgb, x: u32, y: u32, width: u32, height: u32) -> Rgb {
    let mut out = Rgb::filled(width, height, [0; 3]);
    for (i, pixel) in out.data_mut().chunks_exact_mut(3).enumerate() {
        let (dx, dy) = (i as u32 % width, i as u32 / width);
        pixel
            .copy_from_slice(&image.pixel((x + dx).min(image.width() - 1), (y + dy).min(image.height() - 1)));
    }
    out
}

/// Stores the samples of a chunk losslessly.
pub(super) fn compress(scheme: Scheme, samples: &[u8]) -> Vec<u8> {
    match scheme {
        Scheme::Lzw => weezl::encode::Encoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8)
            .encode(samples)
            .expect("encodes"),
        Scheme::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Level::fast());
            encoder.write_all(samples).expect("writes to memory");
            encoder.finish().expect("writes to memory")
        }
        Scheme::PackBits => {
            let run = |run: &[u8]| {
                if run.len() > 1 && run.iter().all(|byte| *byte == run[0]) {
                    vec![(257 - run.len()) as u8, run[0]]
                } else {
                    [&[run.len() as u8 - 1], run].concat()
                }
            };
            samples.chunks(100).flat_map(run).collect()
        }
        Scheme::None | Scheme::Jpeg | Scheme::JpegTables => samples.to_vec(),
    }
}

/// Replaces samples by differences to the pixel on the left.
pub(super) fn difference(samples: &mut [u8], row: usize, per_pixel: usize) {
    for line in samples.chunks_exact_mut(row) {
        for at in (per_pixel..line.len()).rev() {
            line[at] = line[at].wrapping_sub(line[at - per_pixel]);
        }
    }
}

/// A chunk as a stand-alone JPEG.
pub(super) fn to_jpeg(chunk: &Rgb) -> Vec<u8> {
    turbo::encode(chunk, 80, Subsampling::Chroma420).expect("encodes")
}

/// A JPEG as its quantisation tables (a JPEGTables value: every tile of a page has the same) and the rest with its
/// Huffman tables (an abbreviated stream), without JFIF marker.
pub(super) fn split_tables(stream: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut tables, mut rest) = (vec![0xFF, 0xD8], vec![0xFF, 0xD8]);
    let mut at = 2;
    while stream[at + 1] != 0xDA {
        let end = at + 2 + usize::from(u16::from_be_bytes([stream[at + 2], stream[at + 3]]));
        match stream[at + 1] {
            0xDB => tables.extend_from_slice(&stream[at..end]),
            0xE0 => {}
            _ => rest.extend_from_slice(&stream[at..end]),
        }
        at = end;
    }
    tables.extend([0xFF, 0xD9]);
    rest.extend_from_slice(&stream[at..]);
    (tables, rest)
}

/// An RGB page of `image` in tiles or strips of `chunk` pixels; tiles if `tiled`.
pub(super) fn rgb_page(
    image: &Rgb,
    chunk: (u32, u32),
    tiled: bool,
    scheme: Scheme,
    differenced: bool,
) -> TestPage {
    let mut page = TestPage::default();
    let photometric = if scheme == Scheme::Jpeg { 6 } else { 2 };
    let shorts = [(258, vec![8; 3]), (259, vec![scheme.number()]), (262, vec![photometric]), (277, vec![3])];
    page.fields.extend(shorts.map(|(tag, values)| (tag, Value::Short(values))));
    let mut sides = vec![(256, image.width()), (257, image.height())];
    sides.extend(if tiled { vec![(322, chunk.0), (323, chunk.1)] } else { vec![(278, chunk.1)] });
    page.fields.extend(sides.into_iter().map(|(tag, value)| (tag, Value::Long(vec![value.into()]))));
    if differenced {
        page.fields.insert(317, Value::Short(vec![2]));
    }
    for y in (0..image.height()).step_by(chunk.1 as usize) {
        for x in (0..image.width()).step_by(chunk.0 as usize) {
            let height = if tiled { chunk.1 } else { chunk.1.min(image.height() - y) };
            let pixels = padded(image, x, y, chunk.0, height);
            let stored = match scheme {
                Scheme::Jpeg => to_jpeg(&pixels),
                Scheme::JpegTables => {
                    let (tables, rest) = split_tables(&to_jpeg(&pixels));
                    page.fields.insert(347, Value::Bytes(tables));
                    rest
                }
                _ => {
                    let mut samples = pixels.data().to_vec();
                    if differenced {
                        difference(&mut samples, 3 * chunk.0 as usize, 3);
                    }
                    compress(scheme, &samples)
                }
            };
            page.chunks.push(stored);
        }
    }
    page
}
