//! Writes small DICOM files, right ones and wrong ones.

use std::path::{Path, PathBuf};

pub(crate) const WSM: &str = "1.2.840.10008.5.1.4.1.1.77.1.6";
pub(crate) const IMPLICIT: &str = "1.2.840.10008.1.2";
pub(crate) const NATIVE: &str = "1.2.840.10008.1.2.1";
pub(crate) const JPEG: &str = "1.2.840.10008.1.2.4.50";

/// A value and its representation.
#[derive(Clone)]
pub(crate) enum Value {
    /// Text of this VR.
    Text(&'static str, String),
    Us(Vec<u16>),
    Ul(u32),
    Sl(i32),
    Bytes(&'static str, Vec<u8>),
    /// Items; with explicit lengths if `true`, else with delimiters.
    Sequence(Vec<Vec<Element>>, bool),
}

pub(crate) type Element = ((u16, u16), Value);

pub(crate) fn text(vr: &'static str, text: impl ToString) -> Value {
    Value::Text(vr, text.to_string())
}

/// How pixel data are written.
#[derive(Clone)]
pub(crate) enum Pixels {
    Native(Vec<u8>),
    /// Frames, each of so many fragments, with this offset table.
    Frames(Vec<Vec<u8>>, usize, Table),
    None,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Table {
    Basic,
    Extended,
    Empty,
}

/// A file of the tests.
#[derive(Clone)]
pub(crate) struct File {
    pub(crate) syntax: &'static str,
    pub(crate) elements: Vec<Element>,
    pub(crate) pixels: Pixels,
}

impl File {
    /// An image of a slide: `size`, `tile`, number of frames.
    pub(crate) fn of(syntax: &'static str, size: (u32, u32), tile: (u16, u16), frames: u32) -> Self {
        let elements = vec![
            ((0x0008, 0x0008), text("CS", "ORIGINAL\\PRIMARY\\VOLUME\\NONE")),
            ((0x0008, 0x0016), text("UI", WSM)),
            ((0x0008, 0x0018), text("UI", format!("1.2.{}.{}", size.0, size.1))),
            ((0x0008, 0x0060), text("CS", "SM")),
            ((0x0020, 0x000E), text("UI", "1.2.3")),
            ((0x0020, 0x9311), text("CS", "TILED_FULL")),
            ((0x0028, 0x0002), Value::Us(vec![3])),
            ((0x0028, 0x0004), text("CS", "RGB")),
            ((0x0028, 0x0006), Value::Us(vec![0])),
            ((0x0028, 0x0008), text("IS", frames)),
            ((0x0028, 0x0010), Value::Us(vec![tile.1])),
            ((0x0028, 0x0011), Value::Us(vec![tile.0])),
            ((0x0028, 0x0100), Value::Us(vec![8])),
            ((0x0028, 0x0101), Value::Us(vec![8])),
            ((0x0028, 0x0102), Value::Us(vec![7])),
            ((0x0028, 0x0103), Value::Us(vec![0])),
            ((0x0048, 0x0006), Value::Ul(size.0)),
            ((0x0048, 0x0007), Value::Ul(size.1)),
        ];
        Self { syntax, elements, pixels: Pixels::None }
    }

    /// Sets an element.
    pub(crate) fn with(mut self, tag: (u16, u16), value: Value) -> Self {
        self.elements.retain(|(other, _)| *other != tag);
        let at = self.elements.partition_point(|(other, _)| *other < tag);
        self.elements.insert(at, (tag, value));
        self
    }

    pub(crate) fn without(mut self, tag: (u16, u16)) -> Self {
        self.elements.retain(|(other, _)| *other != tag);
        self
    }

    pub(crate) fn pixels(mut self, pixels: Pixels) -> Self {
        self.pixels = pixels;
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut meta = vec![];
        put(&mut meta, &((2, 2), text("UI", WSM)), false);
        put(&mut meta, &((2, 0x10), text("UI", self.syntax)), false);
        let mut out = [&[0; 128][..], b"DICM"].concat();
        put(&mut out, &((2, 0), Value::Ul(meta.len() as u32)), false);
        out.extend(meta);
        let implicit = self.syntax == IMPLICIT;
        let mut elements = self.elements.clone();
        let pixels = self.encapsulated(&mut elements);
        for element in &elements {
            put(&mut out, element, implicit);
        }
        out.extend(pixels);
        out
    }

    pub(crate) fn write(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, self.bytes()).expect("writes a file");
        path
    }

    /// The pixel data element; an Extended Offset Table goes to the other elements.
    fn encapsulated(&self, elements: &mut Vec<Element>) -> Vec<u8> {
        let mut out = vec![];
        let (frames, fragments, table) = match &self.pixels {
            Pixels::None => return out,
            Pixels::Native(bytes) => {
                put(
                    &mut out,
                    &((0x7FE0, 0x0010), Value::Bytes("OW", bytes.clone())),
                    self.syntax == IMPLICIT,
                );
                return out;
            }
            Pixels::Frames(frames, fragments, table) => (frames, *fragments, *table),
        };
        let (mut items, mut offsets) = (vec![], vec![]);
        for frame in frames {
            offsets.push(items.len() as u64);
            for fragment in frame.chunks(frame.len().div_ceil(fragments).next_multiple_of(2).max(2)) {
                items.extend([0xFE, 0xFF, 0x00, 0xE0]);
                items.extend((fragment.len().next_multiple_of(2) as u32).to_le_bytes());
                items.extend(fragment);
                items.resize(items.len().next_multiple_of(2), 0);
            }
        }
        let mut basic = vec![];
        match table {
            Table::Basic => {
                basic = offsets.iter().flat_map(|&offset| (offset as u32).to_le_bytes()).collect()
            }
            Table::Extended => {
                let bytes = offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect();
                elements.push(((0x7FE0, 0x0001), Value::Bytes("OV", bytes)));
            }
            Table::Empty => {}
        }
        out.extend([0xE0, 0x7F, 0x10, 0x00, b'O', b'B', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
        out.extend([0xFE, 0xFF, 0x00, 0xE0]);
        out.extend((basic.len() as u32).to_le_bytes());
        out.extend(basic);
        out.extend(items);
        out.extend([0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
        out
    }
}

/// Appends an element.
pub(crate) fn put(out: &mut Vec<u8>, ((group, element), value): &Element, implicit: bool) {
    let padded = |bytes: &[u8], pad: u8| {
        let mut bytes = bytes.to_vec();
        bytes.resize(bytes.len().next_multiple_of(2), pad);
        bytes
    };
    let mut length = None;
    let (vr, bytes) = match value {
        Value::Text(vr, text) => (*vr, padded(text.as_bytes(), if *vr == "UI" { 0 } else { b' ' })),
        Value::Us(values) => ("US", values.iter().flat_map(|value| value.to_le_bytes()).collect()),
        Value::Ul(value) => ("UL", value.to_le_bytes().to_vec()),
        Value::Sl(value) => ("SL", value.to_le_bytes().to_vec()),
        Value::Bytes(vr, bytes) => (*vr, padded(bytes, 0)),
        Value::Sequence(items, explicit) => {
            let mut bytes = vec![];
            for item in items {
                let mut content = vec![];
                item.iter().for_each(|element| put(&mut content, element, implicit));
                bytes.extend([0xFE, 0xFF, 0x00, 0xE0]);
                let length = if *explicit { content.len() as u32 } else { u32::MAX };
                bytes.extend(length.to_le_bytes());
                bytes.extend(content);
                if !explicit {
                    bytes.extend([0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0]);
                }
            }
            if !explicit {
                length = Some(u32::MAX);
                bytes.extend([0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
            }
            ("SQ", bytes)
        }
    };
    let length = length.unwrap_or(bytes.len() as u32);
    out.extend(group.to_le_bytes());
    out.extend(element.to_le_bytes());
    match vr {
        _ if implicit => out.extend(length.to_le_bytes()),
        "OB" | "OW" | "OV" | "SQ" | "UN" | "UT" => {
            out.extend(vr.as_bytes());
            out.extend([0, 0]);
            out.extend(length.to_le_bytes());
        }
        _ => {
            out.extend(vr.as_bytes());
            out.extend((length as u16).to_le_bytes());
        }
    }
    out.extend(bytes);
}

/// A sequence of one item.
pub(crate) fn item(elements: Vec<Element>) -> Value {
    Value::Sequence(vec![elements], true)
}

/// The functional groups of a frame at this pixel of the matrix, on this optical path, at this height.
pub(crate) fn frame_place(column: i32, row: i32, path: &str, z: f64) -> Vec<Element> {
    let place = vec![
        ((0x0040, 0x074A), text("DS", z)),
        ((0x0048, 0x021E), Value::Sl(column)),
        ((0x0048, 0x021F), Value::Sl(row)),
    ];
    vec![
        ((0x0048, 0x0207), item(vec![((0x0048, 0x0106), text("SH", path))])),
        ((0x0048, 0x021A), Value::Sequence(vec![place], false)),
    ]
}
