//! All of a stream but its size and its coefficients.

use std::hash::{Hash, Hasher};

use super::header::{Cut, Layout, Source, huffman_segments, table_index};
use super::huffman::{ALL_SYMBOLS, Definition, STANDARD, is_baseline};
use super::write::Codes;
use super::{Geometry, Tile, shape};
use crate::Error;
use crate::turbo::Subsampling;

/// Bytes after EOI that a template keeps.
const MAX_TAIL: usize = 64;

/// Everything of a stream but its coefficients and its size in pixels; the same for all tiles that one
/// encoder wrote.
///
/// Equal templates give the same bytes for the same tile.
#[derive(Debug, Clone)]
pub struct Template {
    /// From SOI to the end of the scan header, with a zero size and without the segments of `cuts`.
    head: Vec<u8>,
    cuts: Vec<Cut>,
    /// The value of the bits that fill the last byte before a marker.
    ones: bool,
    /// EOI and what follows it, with what some encoders put before it.
    tail: Vec<u8>,
    /// What follows from the above: what the markers say, and the codes of the tables among them.
    layout: Layout,
    codes: Codes,
    /// Whether these tables have a code for every symbol of a baseline stream.
    has_all_codes: bool,
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        (&self.head, &self.cuts, self.ones, &self.tail) == (&other.head, &other.cuts, other.ones, &other.tail)
    }
}

impl Eq for Template {}

impl Hash for Template {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.head, &self.cuts, self.ones, &self.tail).hash(state);
    }
}

/// How often each Huffman symbol occurs, to make tables from: see [`super::Writer::count`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics(pub(super) Box<[u64; ALL_SYMBOLS]>);

impl Default for Statistics {
    fn default() -> Self {
        Self(Box::new([0; ALL_SYMBOLS]))
    }
}

/// The Huffman tables of a stream of our own.
#[derive(Debug, Clone, Copy)]
pub enum HuffmanTables<'a> {
    /// Those of T.81, K.3.
    Standard,
    /// Made for each tile from its own symbols, as libjpeg's `optimize_coding` does.
    Optimal,
    /// The same for all tiles, made for these symbols. Every coefficient in range has a code, counted or not.
    Fixed(&'a Statistics),
}

impl Template {
    pub(super) fn assemble(head: Vec<u8>, cuts: Vec<Cut>, ones: bool, tail: Vec<u8>) -> Result<Self, Error> {
        let layout = Layout::read(&head, &cuts)?;
        check_tail(&tail, head.len())?;
        if layout.end != head.len() || layout.size != (0, 0) {
            let what = "a template's markers hold more than markers";
            return Err(Error::Malformed { offset: layout.end, what });
        }
        let mut codes = Codes::new();
        let mut has_all_codes = true;
        for (index, &source) in layout.tables.iter().enumerate() {
            match source {
                Source::Explicit(at) if layout.uses(index) => {
                    let definition = Definition::read(head.get(at..).unwrap_or_default(), at)?;
                    has_all_codes &= definition.has_all_codes(index > 3);
                    codes.set(index, &definition);
                }
                _ => {}
            }
        }
        Ok(Self { head, cuts, ones, tail, layout, codes, has_all_codes })
    }

    /// Whether these parts make the same template.
    pub(super) fn is(&self, head: &[u8], cuts: &[Cut], ones: bool, tail: &[u8]) -> bool {
        (&*self.head, &*self.cuts, self.ones, &*self.tail) == (head, cuts, ones, tail)
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) fn codes(&self) -> &Codes {
        &self.codes
    }

    /// Whether the tables that it has, other than those made for each tile, have a code for every symbol of a
    /// baseline stream.
    pub(super) fn has_all_codes(&self) -> bool {
        self.has_all_codes
    }

    pub(super) fn pads_with_ones(&self) -> bool {
        self.ones
    }

    pub(super) fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// Whether some of its tables are made for each tile.
    pub(super) fn optimises(&self) -> bool {
        !self.cuts.is_empty()
    }

    /// Whether the table of that index in [`Layout::tables`] is among them.
    pub(super) fn makes(&self, table: usize) -> bool {
        self.cuts.iter().flat_map(Cut::tables).any(|&head| table_index(head) == Some(table))
    }

    /// Appends the markers of a picture of `width` x `height` pixels, with those tables that are made for it.
    pub(super) fn append_head(&self, width: u32, height: u32, made: &[Definition; 8], out: &mut Vec<u8>) {
        let start = out.len();
        let mut from = 0;
        let mut size_at = start + self.layout.size_at;
        for cut in &self.cuts {
            out.extend_from_slice(&self.head[from..cut.at]);
            from = cut.at;
            let segment = out.len();
            out.extend_from_slice(&[0xFF, 0xC4, 0, 0]);
            for &head in cut.tables() {
                let Some(definition) = table_index(head).and_then(|index| made.get(index)) else { continue };
                out.push(head);
                out.extend_from_slice(definition.bytes());
            }
            // At most 8 tables of 17 + 256 bytes.
            let length = (out.len() - segment - 2) as u16;
            out[segment + 2..segment + 4].copy_from_slice(&length.to_be_bytes());
            if cut.at <= self.layout.size_at {
                size_at += out.len() - segment;
            }
        }
        out.extend_from_slice(&self.head[from..]);
        out[size_at..size_at + 2].copy_from_slice(&(height as u16).to_be_bytes());
        out[size_at + 2..size_at + 4].copy_from_slice(&(width as u16).to_be_bytes());
    }

    /// Gives `tile` a size and the planes of a stream of this template, all coefficients zero: counts of
    /// blocks, sampling, quantisation tables.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`] beyond [`super::MAX_PIXELS`], [`Error::Unsupported`] for sides that JPEG has
    /// not.
    pub fn planes_for(&self, width: u32, height: u32, tile: &mut Tile) -> Result<(), Error> {
        self.shape(width, height, tile)?;
        for plane in &mut tile.planes {
            plane.coefficients.fill(0);
        }
        Ok(())
    }

    /// As [`Self::planes_for`], but coefficients that were there before stay, in no useful order: all are to be written.
    pub(crate) fn shape(&self, width: u32, height: u32, tile: &mut Tile) -> Result<(), Error> {
        let geometry = self.geometry(width, height)?;
        shape(tile, &self.layout, &geometry, width, height);
        Ok(())
    }

    pub(super) fn geometry(&self, width: u32, height: u32) -> Result<Geometry, Error> {
        self.layout.geometry(width, height)
    }

    /// A template of our own: a JFIF baseline stream, YCbCr, with libjpeg's choice and order of markers.
    /// `luma` and `chroma` are quantisation steps in zigzag order.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a step beyond 1 to 255.
    pub fn jfif(
        luma: &[u16; 64],
        chroma: &[u16; 64],
        subsampling: Subsampling,
        tables: HuffmanTables<'_>,
    ) -> Result<Self, Error> {
        let mut head = b"\xFF\xD8\xFF\xE0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0".to_vec();
        for (number, steps) in (0..).zip([luma, chroma]) {
            head.extend_from_slice(&[0xFF, 0xDB, 0, 67, number]);
            for &step in steps {
                match u8::try_from(step) {
                    Ok(step @ 1..) => head.push(step),
                    _ => {
                        return Err(Error::InvalidArgument(
                            "a quantisation step of a baseline JPEG is 1 to 255",
                        ));
                    }
                }
            }
        }
        let sampling = match subsampling {
            Subsampling::Chroma420 => 0x22,
            Subsampling::Chroma444 => 0x11,
            Subsampling::Chroma422 => 0x21,
        };
        head.extend_from_slice(&[
            0xFF, 0xC0, 0, 17, 8, 0, 0, 0, 0, 3, 1, sampling, 0, 2, 0x11, 1, 3, 0x11, 1,
        ]);
        let mut cuts = Vec::new();
        for (table, standard) in [0x00, 0x10, 0x01, 0x11].into_iter().zip(STANDARD) {
            let fixed;
            let bytes = match tables {
                HuffmanTables::Standard => standard,
                HuffmanTables::Fixed(statistics) => {
                    fixed = all_baseline(statistics, table);
                    fixed.bytes()
                }
                HuffmanTables::Optimal => {
                    let mut cut = Cut { at: head.len(), count: 1, tables: [0; 8] };
                    cut.tables[0] = table;
                    cuts.push(cut);
                    continue;
                }
            };
            // At most 17 + 256 bytes.
            head.extend_from_slice(&[0xFF, 0xC4]);
            head.extend_from_slice(&(3 + bytes.len() as u16).to_be_bytes());
            head.push(table);
            head.extend_from_slice(bytes);
        }
        head.extend_from_slice(&[0xFF, 0xDA, 0, 12, 3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0]);
        Self::assemble(head, cuts, true, vec![0xFF, 0xD9])
    }

    /// The template as bytes, to be stored once for many tiles.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![u8::from(self.ones)];
        append_block(&mut out, &self.head);
        append_number(&mut out, self.cuts.len());
        for cut in &self.cuts {
            append_number(&mut out, cut.at);
            append_block(&mut out, cut.tables());
        }
        append_block(&mut out, &self.tail);
        out
    }

    /// Reads what [`Template::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::Unsupported`] for anything else.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let damaged = |what| Error::Malformed { offset: 0, what };
        let (&flags, mut rest) = bytes.split_first().ok_or(damaged("an empty template"))?;
        if flags > 1 {
            return Err(damaged("a template with unknown flags"));
        }
        let cut_off = || damaged("a template is cut off");
        let head = take_block(&mut rest).ok_or_else(cut_off)?;
        let count = take_number(&mut rest).ok_or_else(cut_off)?;
        let mut cuts = Vec::new();
        for _ in 0..count {
            let at = take_number(&mut rest).ok_or_else(cut_off)?;
            let heads = take_block(&mut rest).ok_or_else(cut_off)?;
            let mut tables = [0; 8];
            match tables.get_mut(..heads.len()) {
                Some(to) if !heads.is_empty() => to.copy_from_slice(heads),
                _ => return Err(damaged("a template with a segment of no or too many tables")),
            }
            cuts.push(Cut { at, count: heads.len() as u8, tables });
        }
        let tail = take_block(&mut rest).ok_or_else(cut_off)?;
        if !rest.is_empty() {
            return Err(damaged("a template with bytes behind its end"));
        }
        let template = Self::assemble(head.to_vec(), cuts, flags == 1, tail.to_vec())?;
        let used = |head| table_index(head).is_some_and(|index| template.layout.uses(index));
        match template.cuts.iter().flat_map(Cut::tables).all(|&head| used(head)) {
            true => Ok(template),
            false => Err(damaged("a template makes a table that it does not use")),
        }
    }
}

/// Checks what follows the entropy-coded data: EOI and little else. Some scanners end the last interval with
/// a restart marker too.
pub(super) fn check_tail(tail: &[u8], offset: usize) -> Result<(), Error> {
    let end = match tail {
        [0xFF, 0xD0..=0xD7, end @ ..] => end,
        _ => tail,
    };
    let fill = end.iter().take_while(|&&byte| byte == 0xFF).count();
    if fill == 0 || end.get(fill) != Some(&0xD9) {
        return Err(Error::Malformed { offset, what: "the scan is not followed by EOI" });
    }
    match tail.len() > 2 + MAX_TAIL {
        true => Err(Error::Unsupported(format!("{} bytes after the scan", tail.len()))),
        false => Ok(()),
    }
}

/// The table of these statistics with a code for every symbol of a baseline stream.
fn all_baseline(statistics: &Statistics, table: u8) -> Definition {
    let ac = table >> 4 == 1;
    let first = 256 * table_index(table).unwrap_or_default();
    Definition::optimal(
        (0..=255_u8)
            .zip(&statistics.0[first..first + 256])
            .map(|(symbol, &count)| if is_baseline(symbol, ac) { count.saturating_add(1) } else { 0 }),
    )
}

/// Copies the markers of `stream` up to `layout.end` as a template has them: without a size, and without the
/// Huffman segments of which `is_optimal` says that all tables are.
pub(super) fn strip(
    stream: &[u8],
    layout: &Layout,
    is_optimal: impl Fn(u8, &[u8]) -> bool,
    head: &mut Vec<u8>,
    cuts: &mut Vec<Cut>,
) {
    head.clear();
    cuts.clear();
    let mut from = 0;
    let mut size_at = layout.size_at;
    for (start, end) in huffman_segments(stream) {
        let mut cut = Cut { at: 0, count: 0, tables: [0; 8] };
        let all = super::header::definitions(&stream[start + 4..end]).all(|definition| {
            let (Ok((table, _, bytes)), true) = (definition, cut.count < 8) else { return false };
            cut.tables[usize::from(cut.count)] = table;
            cut.count += 1;
            is_optimal(table, bytes)
        });
        if all && cut.count > 0 {
            head.extend_from_slice(&stream[from..start]);
            from = end;
            cut.at = head.len();
            cuts.push(cut);
            if start < layout.size_at {
                size_at -= end - start;
            }
        }
    }
    head.extend_from_slice(&stream[from..layout.end]);
    head[size_at..size_at + 4].fill(0);
}

/// Numbers are 7 bits per byte, the lowest first; the high bit says that more follow.
fn append_number(out: &mut Vec<u8>, mut number: usize) {
    while number > 127 {
        out.push(number as u8 | 128);
        number >>= 7;
    }
    out.push(number as u8);
}

fn append_block(out: &mut Vec<u8>, block: &[u8]) {
    append_number(out, block.len());
    out.extend_from_slice(block);
}

/// A number below 2^28.
fn take_number(bytes: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for shift in [0, 7, 14, 21] {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= usize::from(byte & 127) << shift;
        if byte < 128 {
            return Some(number);
        }
    }
    None
}

fn take_block<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_number(bytes)?;
    let (block, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(block)
}
