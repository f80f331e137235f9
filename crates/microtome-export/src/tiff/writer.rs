//! A TIFF file from front to back: data first, all directories behind it.
//!
//! TIFF 6.0 section 2, and the BigTIFF design. Which of the two it is turns out at the end: BigTIFF, if offsets need it.
//! Little-endian. Not here: what the tags mean.

use std::io::{self, BufWriter, Seek, SeekFrom, Write};

/// Where data lie in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// The value of a field.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Short(Vec<u16>),
    Long(u32),
    /// LONG, or LONG8 in BigTIFF.
    Offsets(Vec<u64>),
    Rational(Vec<[u32; 2]>),
    Text(String),
    Undefined(Vec<u8>),
    /// Bytes that were written before, for several directories.
    Written(Extent),
}

/// The fields of a directory; [`Writer::finish`] puts them in order.
pub(super) type Directory = Vec<(u16, Value)>;

/// A file that is being written.
pub(super) struct Writer<W: Write + Seek> {
    out: BufWriter<W>,
    at: u64,
}

/// Bytes of an offset, of a number of fields, and of a field, and the type of offsets.
struct Layout {
    offset: usize,
    count: usize,
    field: u64,
    offsets: u16,
}

const CLASSIC: Layout = Layout { offset: 4, count: 2, field: 12, offsets: 4 };
const BIG: Layout = Layout { offset: 8, count: 8, field: 20, offsets: 16 };

impl<W: Write + Seek> Writer<W> {
    /// Begins a file: room for the header of either kind.
    pub(super) fn new(out: W) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(1 << 20, out);
        out.write_all(&[0; 16])?;
        Ok(Self { out, at: 16 })
    }

    /// Appends data, at an even offset.
    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<Extent> {
        if self.at % 2 == 1 {
            self.append(&[0])?;
        }
        let offset = self.at;
        self.append(bytes)?;
        Ok(Extent { offset, length: bytes.len() as u64 })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    /// Appends the directories and writes the header. Files longer than `most` bytes are BigTIFF.
    pub(super) fn finish(mut self, mut directories: Vec<Directory>, most: u64) -> io::Result<()> {
        let fields = |directory: &Directory| -> u64 {
            directory.iter().map(|(_, value)| value.encoded(&BIG).2.len() as u64 + BIG.field + 1).sum()
        };
        let end = self.at + directories.iter().map(|d| fields(d) + 32).sum::<u64>();
        let layout = if end > most { BIG } else { CLASSIC };
        let mut links = vec![];
        for directory in &mut directories {
            directory.sort_by_key(|(tag, _)| *tag);
            links.push(self.directory(directory, &layout)?);
        }
        let first = links.first().map_or(0, |(start, _)| *start);
        for (link, next) in links.iter().zip(&links[1..]) {
            self.out.seek(SeekFrom::Start(link.1))?;
            self.out.write_all(&next.0.to_le_bytes()[..layout.offset])?;
        }
        self.out.seek(SeekFrom::Start(0))?;
        if layout.offset == 8 {
            self.out.write_all(b"II\x2B\0\x08\0\0\0")?;
        } else {
            self.out.write_all(b"II\x2A\0")?;
        }
        self.out.write_all(&first.to_le_bytes()[..layout.offset])?;
        self.out.flush()
    }

    /// Appends a directory and the values that do not fit into it. Gives its offset and that of its link to the next one.
    fn directory(&mut self, directory: &Directory, layout: &Layout) -> io::Result<(u64, u64)> {
        let mut entries = Vec::new();
        for (tag, value) in directory {
            let (kind, count, mut bytes) = value.encoded(layout);
            if bytes.len() > layout.offset {
                bytes = self.put(&bytes)?.offset.to_le_bytes().to_vec();
            }
            bytes.resize(layout.offset, 0);
            entries.extend_from_slice(&tag.to_le_bytes());
            entries.extend_from_slice(&kind.to_le_bytes());
            entries.extend_from_slice(&count.to_le_bytes()[..layout.offset]);
            entries.extend_from_slice(&bytes);
        }
        let start = self.put(&(directory.len() as u64).to_le_bytes()[..layout.count])?.offset;
        self.append(&entries)?;
        let link = self.at;
        self.append(&[0; 8][..layout.offset])?;
        Ok((start, link))
    }
}

impl Value {
    /// Type, number of values, and their bytes, or of those that were written before their offset.
    fn encoded(&self, layout: &Layout) -> (u16, u64, Vec<u8>) {
        match self {
            Self::Short(values) => {
                (3, values.len() as u64, values.iter().flat_map(|v| v.to_le_bytes()).collect())
            }
            Self::Long(value) => (4, 1, value.to_le_bytes().to_vec()),
            Self::Offsets(values) => {
                let bytes = |value: &u64| value.to_le_bytes().into_iter().take(layout.offset);
                (layout.offsets, values.len() as u64, values.iter().flat_map(bytes).collect())
            }
            Self::Rational(values) => {
                let bytes = values.iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
                (5, values.len() as u64, bytes)
            }
            Self::Text(text) => (2, text.len() as u64 + 1, [text.as_bytes(), &[0]].concat()),
            Self::Undefined(bytes) => (7, bytes.len() as u64, bytes.clone()),
            Self::Written(extent) => {
                (7, extent.length, extent.offset.to_le_bytes()[..layout.offset].to_vec())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn file(most: u64) -> Vec<u8> {
        let mut bytes = Cursor::new(vec![]);
        let mut writer = Writer::new(&mut bytes).expect("writes to memory");
        let extent = writer.put(b"odd").expect("writes");
        assert_eq!(
            (extent, writer.put(b"!").expect("writes").offset),
            (Extent { offset: 16, length: 3 }, 20)
        );
        let page =
            vec![(273, Value::Offsets(vec![16, 20])), (256, Value::Long(7)), (270, Value::Text("ab".into()))];
        writer.finish(vec![page.clone(), page], most).expect("writes");
        bytes.into_inner()
    }

    #[test]
    fn a_small_file_is_classic_tiff() {
        let file = file(u64::from(u32::MAX));
        assert_eq!(&file[..4], b"II\x2A\0");
        let at = |offset: usize| {
            u32::from_le_bytes(file[offset..offset + 4].try_into().expect("four bytes")) as usize
        };
        let first = at(4);
        assert_eq!(file[first..first + 2], [3, 0]);
        assert_eq!(file[first + 2..first + 14], [0, 1, 4, 0, 1, 0, 0, 0, 7, 0, 0, 0]);
        assert_eq!(file[first + 14..first + 26], [14, 1, 2, 0, 3, 0, 0, 0, b'a', b'b', 0, 0]);
        assert_eq!(file[first + 26..first + 34], [17, 1, 4, 0, 2, 0, 0, 0]);
        assert_eq!((at(at(first + 34)), at(at(first + 34) + 4)), (16, 20));
        let second = at(first + 38);
        assert_eq!((file[second], at(second + 38)), (3, 0));
    }

    #[test]
    fn offsets_that_need_it_make_it_a_big_tiff() {
        let file = file(100);
        assert_eq!(&file[..8], b"II\x2B\0\x08\0\0\0");
        let at = |offset: usize| {
            u64::from_le_bytes(file[offset..offset + 8].try_into().expect("eight bytes")) as usize
        };
        let first = at(8);
        assert_eq!((at(first), at(first + 8 + 20 + 12) as u8), (3, b'a'));
        assert_eq!(file[first + 48..first + 52], [17, 1, 16, 0]);
        assert_eq!((at(first + 52), at(at(first + 60)), at(at(first + 60) + 8)), (2, 16, 20));
        assert_eq!((file[at(first + 68)], at(at(first + 68) + 68)), (3, 0));
    }
}
