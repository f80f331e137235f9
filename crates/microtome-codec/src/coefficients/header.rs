//! The markers from SOI to the end of the scan header, as far as the entropy-coded data after them need it.

use super::{Geometry, MAX_PIXELS, unsupported};
use crate::Error;

/// Blocks that an MCU of an interleaved scan may hold (T.81, B.2.3).
const MAX_BLOCKS_PER_MCU: usize = 10;

/// One colour component and the tables it is coded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Component {
    id: u8,
    pub(super) horizontal: u8,
    pub(super) vertical: u8,
    quantisation: u8,
    /// Its DC table's number in [`Layout::tables`], 0 to 3.
    pub(super) dc: usize,
    /// Its AC table's number in [`Layout::tables`], 4 to 7.
    pub(super) ac: usize,
    /// Quantisation steps in zigzag order.
    pub(super) steps: [u16; 64],
}

const NO_COMPONENT: Component =
    Component { id: 0, horizontal: 1, vertical: 1, quantisation: 0, dc: 0, ac: 4, steps: [1; 64] };

/// Where a Huffman table comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Not defined.
    Missing,
    /// From the bytes at this offset (16 counts and the symbols).
    Explicit(usize),
    /// Made for each tile from its symbols.
    Optimal,
}

/// DHT segments that a template leaves out, since the writer makes their content: the tables of one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Cut {
    /// Offset in the template's markers where the segment belongs.
    pub(super) at: usize,
    /// How many tables the segment has, 1 to 8.
    pub(super) count: u8,
    /// Their class and number, as in the segment (`class << 4 | number`); zeros behind the last.
    pub(super) tables: [u8; 8],
}

impl Cut {
    pub(super) fn tables(&self) -> &[u8] {
        &self.tables[..usize::from(self.count).min(8)]
    }
}

/// What the markers say.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    components: [Component; 4],
    count: usize,
    /// Size in the frame header, which a template has as zeros.
    pub(super) size: (u32, u32),
    /// Offset of the four size bytes in the frame header, height first.
    pub(super) size_at: usize,
    /// MCUs between restart markers; 0 for none.
    pub(super) restart: usize,
    /// DC tables 0 to 3, then AC tables 0 to 3.
    pub(super) tables: [Source; 8],
    /// Where the entropy-coded data start.
    pub(super) end: usize,
}

/// Index in [`Layout::tables`] of a table's class and number as a DHT segment has them.
pub(super) fn table_index(head: u8) -> Option<usize> {
    match (head >> 4, head & 15) {
        (class @ 0..=1, number @ 0..=3) => Some(usize::from(class * 4 + number)),
        _ => None,
    }
}

/// A marker segment with content.
#[derive(Clone, Copy)]
struct Segment<'a> {
    code: u8,
    /// Offset of its 0xFF, fill bytes included.
    start: usize,
    /// Offset of its content.
    inner: usize,
    content: &'a [u8],
}

impl Segment<'_> {
    fn end(&self) -> usize {
        self.inner + self.content.len()
    }
}

fn segment(stream: &[u8], start: usize) -> Result<Segment<'_>, Error> {
    let malformed = |what| Err(Error::Malformed { offset: start, what });
    let mut at = start;
    while stream.get(at) == Some(&0xFF) {
        at += 1;
    }
    let Some(&code) = stream.get(at) else { return malformed("the stream ends in a marker") };
    if at == start || matches!(code, 0..=0xBF | 0xD0..=0xD9) {
        return malformed("a marker segment was expected");
    }
    let Some(length) = stream.get(at + 1..at + 3) else { return malformed("the stream ends in a marker") };
    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
    let Some(content) = stream.get(at + 3..at + 1 + length) else { return malformed("a segment is cut off") };
    Ok(Segment { code, start, inner: at + 3, content })
}

/// The tables of a DHT segment's content: class and number, offset of the counts in `content`, counts and
/// symbols.
pub(super) fn definitions(content: &[u8]) -> impl Iterator<Item = Result<(u8, usize, &[u8]), Error>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let &head = content.get(at)?;
        let offset = at + 1;
        let table = content.get(offset..).and_then(|rest| {
            let symbols: usize = rest.get(..16)?.iter().map(|&n| usize::from(n)).sum();
            rest.get(..16 + symbols)
        });
        let Some(table) = table.filter(|_| table_index(head).is_some()) else {
            at = usize::MAX;
            let what = "a Huffman table is cut off or has a wrong number";
            return Some(Err(Error::Malformed { offset, what }));
        };
        at = offset + table.len();
        Some(Ok((head, offset, table)))
    })
}

/// The marker segments from SOI up to the scan header and with it, as code, start and end, fill bytes included.
pub(super) fn segments(stream: &[u8]) -> impl Iterator<Item = (u8, usize, usize)> {
    let mut at = Some(2);
    std::iter::from_fn(move || {
        let segment = segment(stream, at?).ok()?;
        at = (segment.code != 0xDA).then(|| segment.end());
        Some((segment.code, segment.start, segment.end()))
    })
}

/// The DHT segments of the markers of `stream` that have no fill bytes, as start and end.
pub(super) fn huffman_segments(stream: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 2;
    std::iter::from_fn(move || {
        loop {
            let segment = segment(stream, at).ok().filter(|segment| segment.code != 0xDA)?;
            at = segment.end();
            if segment.code == 0xC4 && segment.inner == segment.start + 4 {
                return Some((segment.start, at));
            }
        }
    })
}

impl Layout {
    /// Reads the markers up to the first scan. `cuts` are segments that were left out of them.
    pub(super) fn read(stream: &[u8], cuts: &[Cut]) -> Result<Self, Error> {
        if !stream.starts_with(&[0xFF, 0xD8]) {
            return Err(Error::Malformed { offset: 0, what: "no SOI marker: this is not a JPEG stream" });
        }
        let mut layout = Self {
            components: [NO_COMPONENT; 4],
            count: 0,
            size: (0, 0),
            size_at: 0,
            restart: 0,
            tables: [Source::Missing; 8],
            end: 0,
        };
        let mut steps = [None; 4];
        let mut cuts = cuts.iter();
        let mut at = 2;
        loop {
            let segment = segment(stream, at)?;
            for cut in cuts.clone().take_while(|cut| cut.at == at) {
                cuts.next();
                for index in cut.tables().iter().filter_map(|&head| table_index(head)) {
                    layout.tables[index] = Source::Optimal;
                }
            }
            match segment.code {
                0xC0 | 0xC1 => layout.frame(&segment)?,
                0xC4 => layout.huffman(&segment)?,
                0xDB => quantisation(&segment, &mut steps)?,
                0xDD => layout.restart_interval(&segment)?,
                0xDA => {
                    layout.scan(&segment, &steps)?;
                    if cuts.next().is_some() {
                        let what = "a Huffman table's place is not between two markers";
                        return Err(Error::Malformed { offset: at, what });
                    }
                    layout.end = segment.end();
                    return Ok(layout);
                }
                0xE0..=0xEF | 0xFE => {}
                code => return Err(Error::Unsupported(format!("marker {code:#04x} before the scan"))),
            }
            at = segment.end();
        }
    }

    fn frame(&mut self, segment: &Segment<'_>) -> Result<(), Error> {
        let malformed = |what| Err(Error::Malformed { offset: segment.start, what });
        let content = segment.content;
        let (Some(fixed), Some(rest)) = (content.get(..6), content.get(6..)) else {
            return malformed("the frame header is too short");
        };
        if self.count > 0 {
            return malformed("a second frame header");
        }
        if fixed[0] != 8 {
            return Err(Error::Unsupported(format!("{} bits per sample (8 are taken)", fixed[0])));
        }
        if rest.len() != 3 * usize::from(fixed[5]) {
            return malformed("the frame header's component count does not match its length");
        }
        if !matches!(fixed[5], 1 | 3 | 4) {
            return Err(Error::Unsupported(format!("{} components (1, 3 or 4 are taken)", fixed[5])));
        }
        self.size = (
            u32::from(u16::from_be_bytes([fixed[3], fixed[4]])),
            u32::from(u16::from_be_bytes([fixed[1], fixed[2]])),
        );
        self.size_at = segment.inner + 1;
        self.count = usize::from(fixed[5]);
        for (component, bytes) in self.components.iter_mut().zip(rest.chunks_exact(3)) {
            (component.id, component.horizontal, component.vertical) =
                (bytes[0], bytes[1] >> 4, bytes[1] & 15);
            component.quantisation = bytes[2];
            if !(1..=4).contains(&component.horizontal) || !(1..=4).contains(&component.vertical) {
                return malformed("a sampling factor beyond 1 to 4");
            }
        }
        let blocks: usize =
            self.components().iter().map(|c| usize::from(c.horizontal) * usize::from(c.vertical)).sum();
        match self.count > 1 && blocks > MAX_BLOCKS_PER_MCU {
            true => malformed("more than ten blocks in an MCU"),
            false => Ok(()),
        }
    }

    fn huffman(&mut self, segment: &Segment<'_>) -> Result<(), Error> {
        for definition in definitions(segment.content) {
            let (head, offset, _) = definition?;
            if let Some(index) = table_index(head) {
                self.tables[index] = Source::Explicit(segment.inner + offset);
            }
        }
        Ok(())
    }

    fn restart_interval(&mut self, segment: &Segment<'_>) -> Result<(), Error> {
        let &[high, low] = segment.content else {
            return Err(Error::Malformed {
                offset: segment.start,
                what: "a restart interval of a wrong length",
            });
        };
        self.restart = usize::from(u16::from_be_bytes([high, low]));
        Ok(())
    }

    fn scan(&mut self, segment: &Segment<'_>, steps: &[Option<[u16; 64]>; 4]) -> Result<(), Error> {
        let malformed = |what| Err(Error::Malformed { offset: segment.start, what });
        if self.count == 0 {
            return malformed("a scan comes before the frame header");
        }
        let Some((&count, rest)) = segment.content.split_first() else {
            return malformed("a scan header of a wrong length");
        };
        let count = usize::from(count);
        if rest.len() != 2 * count + 3 {
            return malformed("a scan header of a wrong length");
        }
        if count != self.count {
            return Err(unsupported("a scan of some of the components (one scan of all is taken)"));
        }
        if rest[2 * count..] != [0, 63, 0] {
            return Err(unsupported("a scan of some of the coefficients"));
        }
        for (component, bytes) in self.components[..count].iter_mut().zip(rest.chunks_exact(2)) {
            if component.id != bytes[0] {
                return Err(unsupported("a scan in another order than the frame header"));
            }
            let (Some(dc), Some(ac)) = (table_index(bytes[1] >> 4), table_index(bytes[1] & 15 | 16)) else {
                return malformed("a scan of a Huffman table beyond 3");
            };
            if self.tables[dc] == Source::Missing || self.tables[ac] == Source::Missing {
                return malformed("a scan uses a Huffman table that the stream lacks");
            }
            (component.dc, component.ac) = (dc, ac);
            match steps.get(usize::from(component.quantisation)) {
                Some(Some(table)) => component.steps = *table,
                _ => return malformed("a scan uses a quantisation table that the stream lacks"),
            }
        }
        Ok(())
    }

    pub(super) fn components(&self) -> &[Component] {
        &self.components[..self.count]
    }

    /// Whether the scan uses the table of that index.
    pub(super) fn uses(&self, table: usize) -> bool {
        self.components().iter().any(|c| c.dc == table || c.ac == table)
    }

    /// MCUs and blocks of a picture of `width` x `height` pixels.
    pub(super) fn geometry(&self, width: u32, height: u32) -> Result<Geometry, Error> {
        if u64::from(width) * u64::from(height) > MAX_PIXELS {
            return Err(Error::LimitExceeded { width, height, limit: MAX_PIXELS });
        }
        if !(1..=65_535).contains(&width) || !(1..=65_535).contains(&height) {
            return Err(unsupported("a side of zero or more than 65,535 px"));
        }
        let (width, height) = (width as usize, height as usize);
        let components = self.components();
        if components.len() == 1 {
            let (columns, rows) = (width.div_ceil(8), height.div_ceil(8));
            let (mut planes, mut unit) = ([(0, 0); 4], [(0, 0); 4]);
            (planes[0], unit[0]) = ((columns, rows), (1, 1));
            return Ok(Geometry { columns, rows, planes, unit });
        }
        let most = |factor: fn(&Component) -> u8| components.iter().map(factor).max().map_or(1, usize::from);
        let columns = width.div_ceil(8 * most(|c| c.horizontal));
        let rows = height.div_ceil(8 * most(|c| c.vertical));
        let mut geometry = Geometry { columns, rows, planes: [(0, 0); 4], unit: [(0, 0); 4] };
        for (i, component) in components.iter().enumerate() {
            let (across, down) = (usize::from(component.horizontal), usize::from(component.vertical));
            geometry.unit[i] = (across, down);
            geometry.planes[i] = (columns * across, rows * down);
        }
        Ok(geometry)
    }
}

fn quantisation(segment: &Segment<'_>, steps: &mut [Option<[u16; 64]>; 4]) -> Result<(), Error> {
    let malformed = |what| Err(Error::Malformed { offset: segment.start, what });
    let mut rest = segment.content;
    while let Some((&head, after)) = rest.split_first() {
        let size = match head >> 4 {
            0 => 1,
            1 => 2,
            _ => return malformed("a quantisation table of neither 8 nor 16 bits"),
        };
        let (Some(bytes), Some(slot)) = (after.get(..64 * size), steps.get_mut(usize::from(head & 15)))
        else {
            return malformed("a quantisation table is cut off or has a wrong number");
        };
        let mut table = [0; 64];
        for (step, bytes) in table.iter_mut().zip(bytes.chunks_exact(size)) {
            *step = bytes.iter().fold(0, |step, &byte| step << 8 | u16::from(byte));
        }
        if table.contains(&0) {
            return malformed("a quantisation step of zero");
        }
        *slot = Some(table);
        rest = &after[64 * size..];
    }
    Ok(())
}
