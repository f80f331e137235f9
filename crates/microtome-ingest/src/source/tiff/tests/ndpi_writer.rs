//! Writes NDPI files for tests: a page for each level, one JPEG each, with or without restart markers.

use microtome_codec::Rgb;
use microtome_codec::coefficients::{HuffmanTables, Parser, ScanHeader, Template, Tile, Writer, piece_shape};
use microtome_codec::turbo::{self, Subsampling};

use super::writer::{Layout, TestPage, Value};

pub(super) const NDPI: Layout = Layout { little_endian: true, big: false, ndpi: Some(0) };

/// A JPEG with standard tables and, if `restart` is not 0, a restart marker every so many MCUs.
pub(super) fn encode(image: &Rgb, subsampling: Subsampling, restart: usize) -> Vec<u8> {
    let mut whole = Tile::new();
    Parser::new()
        .parse(&turbo::encode(image, 80, subsampling).expect("encodes"), &mut whole)
        .expect("parses");
    let steps = (&whole.planes[0].table, &whole.planes[1].table);
    let template = Template::jfif(steps.0, steps.1, subsampling, HuffmanTables::Standard).expect("steps");
    let mut stream = vec![];
    Writer::new().write(&template, &whole, &mut stream).expect("writes");
    if restart == 0 {
        return stream;
    }
    let header = ScanHeader::read(&stream).expect("markers");
    let mcu = header.mcu_size();
    let (columns, rows) = (image.width().div_ceil(mcu.0) as usize, image.height().div_ceil(mcu.1) as usize);
    let scan = stream.windows(2).position(|pair| pair == [0xFF, 0xDA]).expect("a scan");
    let [high, low] = (restart as u16).to_be_bytes();
    let mut out = [&stream[..scan], &[0xFF, 0xDD, 0, 4, high, low], &stream[scan..header.length()]].concat();
    for first in (0..columns * rows).step_by(restart) {
        if first > 0 {
            out.extend([0xFF, 0xD0 | ((first / restart - 1) & 7) as u8]);
        }
        let count = restart.min(columns * rows - first);
        let (across, down) = piece_shape(count, columns, mcu).expect("a shape");
        let mut piece = Tile::new();
        let size = (across as u32 * mcu.0, down as u32 * mcu.1);
        template.planes_for(size.0, size.1, &mut piece).expect("a size");
        for at in 0..count {
            let from = ((first + at) % columns, (first + at) / columns);
            piece.copy_mcus((at % across, at / across), &whole, from, 1).expect("within both");
        }
        let mut own = vec![];
        Writer::new().write(&template, &piece, &mut own).expect("writes");
        out.extend_from_slice(&own[header.length()..own.len() - 2]);
    }
    out.extend([0xFF, 0xD9]);
    out
}

/// Where the data of the restart intervals start.
pub(super) fn starts(stream: &[u8]) -> Vec<u64> {
    let data = ScanHeader::read(stream).expect("markers").length();
    let markers = (data..stream.len() - 1).filter(|&at| stream[at] == 0xFF && stream[at + 1] & 0xF8 == 0xD0);
    [data].into_iter().chain(markers.map(|at| at + 2)).map(|at| at as u64).collect()
}

pub(super) fn page(size: (u32, u32), stream: Vec<u8>, lens: f32, listed: bool) -> TestPage {
    let mut page = TestPage::default();
    page.fields
        .extend([(256, size.0), (257, size.1)].map(|(tag, side)| (tag, Value::Long(vec![side.into()]))));
    let shorts = [(258, vec![8; 3]), (259, vec![7]), (262, vec![6]), (277, vec![3]), (65420, vec![1])];
    page.fields.extend(shorts.map(|(tag, values)| (tag, Value::Short(values))));
    page.fields.insert(65421, Value::Float(lens));
    if listed {
        page.fields.insert(65426, Value::Long(starts(&stream)));
    }
    page.chunks = vec![stream];
    page
}
