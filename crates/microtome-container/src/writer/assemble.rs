//! From the spool to the bytes of a container, in canonical order.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::Path;

use super::{NewSection, Published, Spooled, Writer};
use crate::checksum;
use crate::error::{self, Error};
use crate::header::{ALIGNMENT, Header, MAX_SECTIONS, Section, SectionKind, SlideId, shortest_length};
use crate::index::{ENTRY_LENGTH, Entry, Layout, PAGE_ENTRIES};
use crate::source::read_exact_at;

/// Places of all records: entries by slot, and the records themselves in file order.
struct Plan {
    entries: HashMap<u64, Entry>,
    records: Vec<Spooled>,
}

/// Writes the whole container to `file`.
pub(super) fn assemble(
    writer: Writer,
    slide_id: SlideId,
    sections: &[NewSection],
    file: &mut File,
    advance: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Published, Error> {
    let Writer { target, mut header, layout, codec, spool, spool_reader } = writer;
    // With the index and the tiles.
    let section_count = sections.len() + 2;
    if section_count > MAX_SECTIONS {
        return Err(Error::OutOfBounds(format!("{section_count} sections (at most {MAX_SECTIONS})")));
    }
    if let Some(own) = sections.iter().find(|s| matches!(s.kind, SectionKind::INDEX | SectionKind::TILES)) {
        return Err(Error::OutOfBounds(format!("section {}: the writer makes it itself", own.kind)));
    }
    header.slide_id = slide_id;
    let by_slot = spool.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).by_slot;
    let plan = plan(&header, &layout, &by_slot, sections.len() as u16 + 1)?;

    header.header_length = shortest_length(header.levels.len(), section_count);
    let mut out = Output::new(file, &target, header.header_length)?;
    for section in sections {
        out.begin(section.kind, section.critical, section.codec)?;
        out.write(&section.bytes)?;
    }
    out.begin(SectionKind::INDEX, true, 0)?;
    write_index(&mut out, &slide_id, &layout, &plan.entries)?;
    out.begin(SectionKind::TILES, true, codec)?;
    let mut buffer = Vec::new();
    for record in &plan.records {
        buffer.resize(record.length as usize, 0);
        read_exact_at(&spool_reader, &mut buffer, record.offset).map_err(error::io(&target, "write"))?;
        out.write(&buffer)?;
        if advance(u64::from(record.length)).is_break() {
            return Err(Error::Interrupted);
        }
    }
    (header.sections, header.file_length) = out.finish()?;
    write_header(file, &mut header, &target)?;
    Ok(Published {
        content_id: header.content_id,
        file_length: header.file_length,
        tiles: plan.entries.len() as u64,
        records: plan.records.len() as u64,
    })
}

fn write_header(file: &mut File, header: &mut Header, target: &Path) -> Result<(), Error> {
    let block = header.seal();
    file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&block)).map_err(error::io(target, "write"))
}

/// Gives every record its place, in slot order, identical records once.
fn plan(
    header: &Header,
    layout: &Layout,
    by_slot: &HashMap<u64, Spooled>,
    section: u16,
) -> Result<Plan, Error> {
    let mut plan = Plan { entries: HashMap::with_capacity(by_slot.len()), records: Vec::new() };
    let mut placed: HashMap<u64, u64> = HashMap::new();
    let mut end = 0;
    layout.try_for_each_tile(|slot, tile| {
        let Some(&spooled) = by_slot.get(&slot) else {
            return match header.levels[usize::from(tile.level)].stored {
                true => Err(Error::OutOfBounds(format!("{tile}: never stored"))),
                false => Ok(()),
            };
        };
        let offset = *placed.entry(spooled.offset).or_insert_with(|| {
            plan.records.push(spooled);
            let offset = end;
            end += u64::from(spooled.length);
            offset
        });
        let checksum = checksum::record(&header.slide_id, tile, spooled.hash);
        plan.entries.insert(slot, Entry { section, offset, length: spooled.length, checksum });
        Ok(())
    })?;
    match end >> 48 {
        0 => Ok(plan),
        _ => Err(Error::OutOfBounds(format!("{end} bytes of tiles (at most 2^48)"))),
    }
}

fn write_index(
    out: &mut Output<'_>,
    slide_id: &SlideId,
    layout: &Layout,
    entries: &HashMap<u64, Entry>,
) -> Result<(), Error> {
    for page in 0..layout.pages() {
        let first = page * PAGE_ENTRIES;
        let bytes: Vec<u8> = (first..first + layout.page_entries(page))
            .flat_map(|slot| entries.get(&slot).map_or([0; ENTRY_LENGTH], |entry| entry.to_bytes()))
            .collect();
        out.write(&bytes)?;
        out.write(&checksum::index_page(slide_id, page, &bytes).to_le_bytes())?;
    }
    Ok(())
}

/// The file behind the header, section by section.
struct Output<'a> {
    file: BufWriter<&'a mut File>,
    target: &'a Path,
    position: u64,
    hasher: blake3::Hasher,
    sections: Vec<Section>,
}

impl<'a> Output<'a> {
    fn new(file: &'a mut File, target: &'a Path, header_length: u32) -> Result<Self, Error> {
        let file = BufWriter::with_capacity(1 << 20, file);
        let mut out = Self { file, target, position: 0, hasher: blake3::Hasher::new(), sections: vec![] };
        out.raw(&vec![0; header_length as usize])?;
        Ok(out)
    }

    fn begin(&mut self, kind: SectionKind, critical: bool, codec: u16) -> Result<(), Error> {
        self.end_section();
        let offset = self.position.next_multiple_of(ALIGNMENT);
        let padding = [0; ALIGNMENT as usize];
        self.raw(&padding[..(offset - self.position) as usize])?;
        self.sections.push(Section { kind, critical, codec, offset, length: 0, hash: [0; 32] });
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.hasher.update(bytes);
        self.raw(bytes)
    }

    fn raw(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.position += bytes.len() as u64;
        self.file.write_all(bytes).map_err(error::io(self.target, "write"))
    }

    fn end_section(&mut self) {
        if let Some(section) = self.sections.last_mut() {
            section.length = self.position - section.offset;
            section.hash = *self.hasher.finalize().as_bytes();
        }
        self.hasher.reset();
    }

    /// The section table and the length of the file.
    fn finish(mut self) -> Result<(Vec<Section>, u64), Error> {
        self.end_section();
        self.file.flush().map_err(error::io(self.target, "write"))?;
        Ok((self.sections, self.position))
    }
}
