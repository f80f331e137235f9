//! Data sets as files: preamble, file meta information, elements, and pixel data in fragments.
//!
//! PS3.10 section 7; PS3.5 annex A.4 (encapsulated pixel data, here one fragment per frame) and section 7 (elements), always
//! explicit VR and little endian. Not here: what the elements are, and where the bytes go.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::{tags, uids};

use crate::dataset::{Dataset, Element, Value};

/// Names this writer in files (PS3.7 annex D.3.3.2); of our own making, as all identifiers here.
const IMPLEMENTATION_CLASS: &str = "2.25.183946728915502743190284617520938461275";
/// Its version; what is beyond 16 characters is cut.
const IMPLEMENTATION_VERSION: &str = concat!("MICROTOME_", env!("CARGO_PKG_VERSION"));

const ITEM: Tag = Tag(0xFFFE, 0xE000);
const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);

/// Where the frames of a file lie, told in front of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetTable<'a> {
    /// It is not told.
    Empty,
    /// The Basic Offset Table: bytes from the first fragment's item to that of each frame.
    Basic(&'a [u32]),
    /// The Extended Offset Table, for pixel data beyond 4 GiB: these offsets, and the bytes of each frame.
    Extended(&'a [u64], &'a [u64]),
}

/// The bytes of a file of JPEG frames up to the first fragment.
#[must_use]
pub fn head(dataset: &Dataset, offsets: OffsetTable<'_>) -> Vec<u8> {
    let mut meta = Dataset::default();
    meta.put_bytes(tags::FILE_META_INFORMATION_VERSION, vec![0, 1].into());
    meta.put(tags::MEDIA_STORAGE_SOP_CLASS_UID, dataset.text(tags::SOP_CLASS_UID));
    meta.put(tags::MEDIA_STORAGE_SOP_INSTANCE_UID, dataset.text(tags::SOP_INSTANCE_UID));
    meta.put(tags::TRANSFER_SYNTAX_UID, uids::JPEG_BASELINE8_BIT);
    meta.put(tags::IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_CLASS);
    meta.put(tags::IMPLEMENTATION_VERSION_NAME, IMPLEMENTATION_VERSION);
    let mut of_meta = vec![];
    put_elements(&mut of_meta, &meta);

    let mut out = vec![0; 128];
    out.extend_from_slice(b"DICM");
    let mut length = Dataset::default();
    length.put_number(tags::FILE_META_INFORMATION_GROUP_LENGTH, of_meta.len() as u32);
    put_elements(&mut out, &length);
    out.extend_from_slice(&of_meta);
    put_elements(&mut out, dataset);
    if let OffsetTable::Extended(offsets, lengths) = offsets {
        for (tag, numbers) in
            [(tags::EXTENDED_OFFSET_TABLE, offsets), (tags::EXTENDED_OFFSET_TABLE_LENGTHS, lengths)]
        {
            put_header(&mut out, tag, VR::OV, 8 * numbers.len());
            out.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        }
    }
    put_tag(&mut out, tags::PIXEL_DATA);
    out.extend_from_slice(b"OB\0\0");
    out.extend_from_slice(&u32::MAX.to_le_bytes());
    put_tag(&mut out, ITEM);
    let basic = if let OffsetTable::Basic(offsets) = offsets { offsets } else { &[] };
    out.extend_from_slice(&(4 * basic.len() as u32).to_le_bytes());
    out.extend(basic.iter().flat_map(|offset| offset.to_le_bytes()));
    out
}

/// What goes before and after the bytes of a frame: its item, and a byte if they are odd.
#[must_use]
pub fn fragment(length: u32) -> ([u8; 8], &'static [u8]) {
    let padding: &[u8] = if length % 2 == 1 { &[0] } else { &[] };
    let mut item = vec![];
    put_tag(&mut item, ITEM);
    item.extend_from_slice(&length.next_multiple_of(2).to_le_bytes());
    (item.try_into().unwrap_or_default(), padding)
}

/// What goes behind the last frame.
#[must_use]
pub fn tail() -> Vec<u8> {
    let mut out = vec![];
    put_tag(&mut out, SEQUENCE_END);
    out.extend_from_slice(&[0; 4]);
    out
}

fn put_elements(out: &mut Vec<u8>, dataset: &Dataset) {
    for (tag, element) in dataset.elements() {
        let value = value_bytes(element);
        put_header(out, tag, element.vr, value.len());
        out.extend_from_slice(&value);
    }
}

/// Tag, representation and length; long ones for those that PS3.5 table 7.1-1 lists.
fn put_header(out: &mut Vec<u8>, tag: Tag, vr: VR, length: usize) {
    put_tag(out, tag);
    out.extend_from_slice(&vr.to_bytes());
    let long = matches!(
        vr,
        VR::OB
            | VR::OD
            | VR::OF
            | VR::OL
            | VR::OV
            | VR::OW
            | VR::SQ
            | VR::SV
            | VR::UC
            | VR::UN
            | VR::UR
            | VR::UT
            | VR::UV
    );
    match long {
        true => {
            out.extend_from_slice(&[0, 0]);
            out.extend_from_slice(&(length as u32).to_le_bytes());
        }
        false => out.extend_from_slice(&(length as u16).to_le_bytes()),
    }
}

fn put_tag(out: &mut Vec<u8>, tag: Tag) {
    out.extend_from_slice(&tag.0.to_le_bytes());
    out.extend_from_slice(&tag.1.to_le_bytes());
}

/// The bytes of a value, an even number. The longest text with a short length has 10,240 characters, of up to 4 bytes.
fn value_bytes(element: &Element) -> Vec<u8> {
    let mut out: Vec<u8> = match &element.value {
        Value::Text(texts) => texts.join("\\").into_bytes(),
        Value::U16(numbers) => numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
        Value::U32(numbers) => numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
        Value::F32(numbers) => numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
        Value::Bytes(bytes) => bytes.to_vec(),
        Value::Items(items) => {
            let mut out = vec![];
            for item in items {
                let mut content = vec![];
                put_elements(&mut content, item);
                put_tag(&mut out, ITEM);
                out.extend_from_slice(&(content.len() as u32).to_le_bytes());
                out.extend_from_slice(&content);
            }
            out
        }
    };
    if out.len() % 2 == 1 {
        let padded_with_zero = matches!(element.vr, VR::UI | VR::OB);
        out.push(if padded_with_zero { 0 } else { b' ' });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_written_as_the_standard_shows_them() {
        let mut item = Dataset::default();
        item.put(tags::OPTICAL_PATH_IDENTIFIER, "1");
        let mut set = Dataset::default();
        set.put(tags::SOP_INSTANCE_UID, "1.2.3");
        set.put_number(tags::ROWS, 256);
        set.put_items(tags::OPTICAL_PATH_SEQUENCE, vec![item]);
        let mut out = vec![];
        put_elements(&mut out, &set);
        let mut expected = b"\x08\0\x18\0UI\x06\x001.2.3\0".to_vec();
        expected.extend_from_slice(b"\x28\0\x10\0US\x02\0\0\x01");
        expected.extend_from_slice(b"\x48\0\x05\x01SQ\0\0\x12\0\0\0\xFE\xFF\0\xE0\x0A\0\0\0");
        expected.extend_from_slice(b"\x48\0\x06\x01SH\x02\x001 ");
        assert_eq!(out, expected);
    }

    #[test]
    fn a_head_ends_in_its_offset_table() {
        let set = Dataset::default();
        let basic = head(&set, OffsetTable::Basic(&[0, 258]));
        let end = b"\xE0\x7F\x10\0OB\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\x08\0\0\0\0\0\0\0\x02\x01\0\0";
        assert!(basic.ends_with(end));
        assert_eq!(&basic[128..132], b"DICM");
        let extended = head(&set, OffsetTable::Extended(&[0], &[7]));
        let end =
            b"\xE0\x7F\x01\0OV\0\0\x08\0\0\0\0\0\0\0\0\0\0\0\xE0\x7F\x02\0OV\0\0\x08\0\0\0\x07\0\0\0\0\0\0\0\
                    \xE0\x7F\x10\0OB\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\0\0\0\0";
        assert!(extended.ends_with(end));
    }

    #[test]
    fn fragments_are_even() {
        assert_eq!(fragment(4), (*b"\xFE\xFF\0\xE0\x04\0\0\0", &[][..]));
        assert_eq!(fragment(5), (*b"\xFE\xFF\0\xE0\x06\0\0\0", &[0][..]));
    }
}
