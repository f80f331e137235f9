//! Entropy-coded data to coefficients, and the proof that they give the data back.

use std::sync::Arc;

use super::header::{Cut, Layout, Source, table_index};
use super::huffman::{ALL_SYMBOLS, Counts, Decoder, Definition, END, Entry, LONG, LOOKUP_BITS};
use super::simd;
use super::template::{Template, check_tail, strip};
use super::write::find_ff;
use super::{Geometry, MAX_DC, Tile, shape, unsupported};
use crate::Error;
use crate::instructions::Set;

/// Takes streams apart. Keep one for many tiles: it keeps its buffers, the decoding tables and the last
/// template, so that tiles of one encoder need no allocation.
pub struct Parser {
    set: Set,
    decoders: Vec<Decoder>,
    counts: Box<Counts>,
    /// One restart interval without stuffed zeros, and 8 zeros behind it.
    bits: Vec<u8>,
    /// Tables as they would be made for the current tile; empty where not worth a try.
    made: Box<[Definition; 8]>,
    head: Vec<u8>,
    cuts: Vec<Cut>,
    markers: Vec<u8>,
    last: Option<Arc<Template>>,
}

impl Default for Parser {
    fn default() -> Self {
        Self {
            set: Set::detect(),
            decoders: (0..8).map(|index| Decoder::new(index > 3)).collect(),
            counts: Box::new([0; ALL_SYMBOLS]),
            bits: Vec::new(),
            made: Box::new([Definition::EMPTY; 8]),
            head: Vec::new(),
            cuts: Vec::new(),
            markers: Vec::new(),
            last: None,
        }
    }
}

impl Parser {
    /// A parser without buffers; they come with the first tile.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A parser that makes do with the instructions that every machine has.
    #[cfg(test)]
    pub(super) fn baseline() -> Self {
        Self { set: Set::BASELINE, ..Self::default() }
    }

    /// Takes a stream apart, and makes sure that [`super::Writer::write`] gives back its very bytes. Streams with
    /// the template of the stream before share it. After an error `tile` holds nothing useful.
    ///
    /// # Errors
    /// [`Error::Malformed`] for damaged streams and such without their tables; [`Error::Unsupported`] for
    /// valid streams that this module does not take, or that their encoder wrote otherwise than the writer
    /// does; [`Error::LimitExceeded`] beyond [`super::MAX_PIXELS`].
    pub fn parse(&mut self, stream: &[u8], tile: &mut Tile) -> Result<Arc<Template>, Error> {
        let layout = Layout::read(stream, &[])?;
        let (width, height) = layout.size;
        let geometry = layout.geometry(width, height)?;
        // A block takes two bits at least: memory is bounded by the length of the input.
        if geometry.blocks() > 4 * (stream.len() - layout.end) {
            return Err(Error::Malformed { offset: stream.len(), what: "a scan too short for its picture" });
        }
        for (index, decoder) in self.decoders.iter_mut().enumerate().filter(|&(index, _)| layout.uses(index))
        {
            if let Source::Explicit(at) = layout.tables[index] {
                decoder.set(stream.get(at..).unwrap_or_default(), at)?;
            }
        }
        shape(tile, &layout, &geometry, width, height);
        let (end, ones) = self.scan(stream, &layout, &geometry, tile)?;
        let tail = &stream[end..];
        check_tail(tail, end)?;
        self.make_tables(&layout);
        let is_optimal = |head, bytes: &[u8]| {
            bytes.len() > 16 && table_index(head).is_some_and(|index| self.made[index].bytes() == bytes)
        };
        strip(stream, &layout, is_optimal, &mut self.head, &mut self.cuts);
        let template = match &self.last {
            Some(last) if last.is(&self.head, &self.cuts, ones, tail) => Arc::clone(last),
            _ => Arc::new(Template::assemble(self.head.clone(), self.cuts.clone(), ones, tail.to_vec())?),
        };
        self.check_markers(&stream[..layout.end], &layout, &template, tile)?;
        if cfg!(debug_assertions) {
            let mut again = Vec::new();
            let written = super::Writer::new().write(&template, tile, &mut again);
            assert!(written.is_ok() && again == stream, "what was proven does not hold");
        }
        self.last = Some(Arc::clone(&template));
        Ok(template)
    }

    /// Makes sure that the template has the markers of the stream, and codes the scan with the same tables.
    fn check_markers(
        &mut self,
        markers: &[u8],
        layout: &Layout,
        template: &Template,
        tile: &Tile,
    ) -> Result<(), Error> {
        self.markers.clear();
        template.append_head(tile.width, tile.height, &self.made, &mut self.markers);
        let same_table = |index: usize| {
            let table = self.decoders[index].definition();
            match template.layout().tables[index] {
                Source::Missing => false,
                Source::Explicit(at) => self.head.get(at..).is_some_and(|b| b.starts_with(table.bytes())),
                Source::Optimal => self.made[index] == *table,
            }
        };
        match self.markers == markers && (0..8).all(|index| !layout.uses(index) || same_table(index)) {
            true => Ok(()),
            false => Err(unsupported("its markers are not given back")),
        }
    }

    /// Makes the tables that an optimising encoder would use, as far as the stream's own could be these.
    fn make_tables(&mut self, layout: &Layout) {
        for (index, made) in self.made.iter_mut().enumerate() {
            *made = Definition::EMPTY;
            if layout.uses(index) {
                let counts = &self.counts[256 * index..256 * (index + 1)];
                let symbols = counts.iter().filter(|&&count| count > 0).count();
                if self.decoders[index].definition().bytes().len() == 16 + symbols {
                    *made = Definition::optimal(counts.iter().map(|&count| u64::from(count)));
                }
            }
        }
    }

    /// Decodes the scan, and returns the offset of the marker behind it and whether it is padded with ones.
    fn scan(
        &mut self,
        stream: &[u8],
        layout: &Layout,
        geometry: &Geometry,
        tile: &mut Tile,
    ) -> Result<(usize, bool), Error> {
        self.counts.fill(0);
        let mut padding = None;
        let mut at = layout.end;
        let total = geometry.columns * geometry.rows;
        let per_interval = if layout.restart > 0 { layout.restart } else { total };
        for (interval, first) in (0..total).step_by(per_interval).enumerate() {
            let offset = at;
            if interval > 0 {
                if stream.get(at..at + 2) != Some(&[0xFF, 0xD0 | (interval - 1) as u8 & 7]) {
                    return Err(Error::Malformed { offset, what: "a restart marker is missing" });
                }
                at += 2;
            }
            at = unstuff(stream, at, &mut self.bits)?;
            let last = total.min(first + per_interval);
            let mut entropy = Entropy {
                reader: Reader { bytes: &self.bits, at: 0, waiting: 0, count: 0 },
                decoders: &self.decoders,
                counts: &mut self.counts,
                layout,
                geometry,
                tile,
            };
            simd::decode(self.set, &mut entropy, first..last).map_err(|what| match what {
                ZEROS_AT_END => unsupported(what),
                _ => Error::Malformed { offset, what },
            })?;
            let mut reader = entropy.reader;
            reader.refill();
            match (8 * (self.bits.len() - 8)).checked_sub(reader.position()) {
                None => return Err(Error::Malformed { offset: at, what: "the scan is cut off" }),
                Some(0) => {}
                Some(left @ 1..=7) => {
                    let ones = *padding.get_or_insert(reader.waiting >> 63 == 1);
                    let expected = if ones { (1 << left) - 1 } else { 0 };
                    if reader.waiting >> (64 - left) != expected {
                        return Err(unsupported("padding of zeros and ones"));
                    }
                }
                Some(_) => return Err(unsupported("bytes between the scan and its marker")),
            }
        }
        Ok((at, padding.unwrap_or(true)))
    }
}

/// Copies entropy-coded data up to the next marker without stuffed zeros, and 8 zeros behind them. Returns
/// the marker's offset.
fn unstuff(stream: &[u8], mut at: usize, bits: &mut Vec<u8>) -> Result<usize, Error> {
    bits.clear();
    while let Some(found) = find_ff(&stream[at..]) {
        let marker = at + found;
        if stream.get(marker + 1) != Some(&0) {
            bits.extend_from_slice(&stream[at..marker]);
            bits.extend_from_slice(&[0; 8]);
            return Ok(marker);
        }
        bits.extend_from_slice(&stream[at..=marker]);
        at = marker + 2;
    }
    Err(Error::Malformed { offset: stream.len(), what: "the stream ends without EOI" })
}

/// The bits of an interval, followed by zeros without end.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    /// The next byte that is not wholly in `waiting`.
    at: usize,
    /// The next `count` bits at the top; those below are zero or already right.
    waiting: u64,
    count: u32,
}

impl Reader<'_> {
    /// Makes at least 56 bits wait.
    #[inline(always)]
    fn refill(&mut self) {
        let word = match self.bytes.get(self.at..) {
            Some([a, b, c, d, e, f, g, h, ..]) => u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]),
            _ => 0,
        };
        self.waiting |= word >> self.count;
        self.at += ((63 - self.count) >> 3) as usize;
        self.count |= 56;
    }

    /// Takes the code and the value of an entry.
    #[inline(always)]
    fn take(&mut self, entry: Entry) -> i32 {
        let size = entry >> 24 & 15;
        let value = self.waiting << (entry >> 8 & 31);
        let bits = (value >> 1 >> (63 - size)) as i32;
        // Values that start with a zero bit are negative.
        let negative = (!value as i64 >> 63) as i32;
        self.waiting <<= entry & 31;
        self.count -= entry & 31;
        bits - (negative & ((1 << size) - 1))
    }

    #[inline(always)]
    fn entry(&self, decoder: &Decoder) -> Entry {
        decoder.lookup[(self.waiting >> (64 - LOOKUP_BITS)) as usize]
    }

    /// Bits taken so far.
    fn position(&self) -> usize {
        8 * self.at - self.count as usize
    }
}

fn run(entry: Entry) -> usize {
    (entry >> 16 & 127) as usize
}

/// What decoding reads and writes.
pub(super) struct Entropy<'a> {
    reader: Reader<'a>,
    decoders: &'a [Decoder],
    counts: &'a mut Counts,
    layout: &'a Layout,
    geometry: &'a Geometry,
    tile: &'a mut Tile,
}

/// Decodes the blocks of some MCUs without a restart among them.
#[inline(always)]
pub(super) fn decode(entropy: &mut Entropy<'_>, mcus: std::ops::Range<usize>) -> Result<(), &'static str> {
    let Entropy { decoders, layout, geometry, .. } = *entropy;
    let (counts, tile) = (&mut *entropy.counts, &mut *entropy.tile);
    // A reader of its own, so that it stays in registers.
    let mut own = entropy.reader.clone();
    let reader = &mut own;
    let mut predictions = [0_i32; 4];
    let (mut row, mut column) = (mcus.start / geometry.columns, mcus.start % geometry.columns);
    for _ in mcus {
        for (i, component) in layout.components().iter().enumerate() {
            let plane = &mut tile.planes[i];
            let (across, down) = geometry.unit[i];
            for y in row * down..(row + 1) * down {
                let first = y * plane.width + column * across;
                for block in plane.coefficients[64 * first..64 * (first + across)].as_chunks_mut().0 {
                    let prediction = &mut predictions[i];
                    decode_dc(reader, &decoders[component.dc], counts, component.dc, prediction)?;
                    decode_ac(reader, &decoders[component.ac], counts, component.ac, block)?;
                    block[0] = *prediction as i16;
                }
            }
        }
        column += 1;
        if column == geometry.columns {
            (row, column) = (row + 1, 0);
            if reader.at > reader.bytes.len() + 8 {
                return Err("the scan is cut off");
            }
        }
    }
    entropy.reader = own;
    Ok(())
}

/// What decoders take and the writer does not write.
const ZEROS_AT_END: &str = "a run of zeros up to the end of a block";

#[inline(always)]
fn decode_dc(
    reader: &mut Reader<'_>,
    decoder: &Decoder,
    counts: &mut Counts,
    table: usize,
    prediction: &mut i32,
) -> Result<(), &'static str> {
    reader.refill();
    let mut entry = reader.entry(decoder);
    if run(entry) > 0 {
        entry = if run(entry) == LONG as usize { decoder.long(reader.waiting) } else { entry };
        if run(entry) > 0 {
            return Err("a DC code that there is not");
        }
    }
    counts[(table << 8 | (entry >> 24) as usize) % ALL_SYMBOLS] += 1;
    *prediction += reader.take(entry);
    match prediction.unsigned_abs() > u32::from(MAX_DC.unsigned_abs()) {
        true => Err("a DC coefficient beyond 11 bits"),
        false => Ok(()),
    }
}

#[inline(always)]
fn decode_ac(
    reader: &mut Reader<'_>,
    decoder: &Decoder,
    counts: &mut Counts,
    table: usize,
    block: &mut [i16; 64],
) -> Result<(), &'static str> {
    block.fill(0);
    let mut k = 1;
    loop {
        reader.refill();
        // Two codes with their values are at most 52 bits.
        for _ in 0..2 {
            let mut entry = reader.entry(decoder);
            let mut place = k + run(entry);
            if place > 63 {
                if run(entry) == LONG as usize {
                    entry = decoder.long(reader.waiting);
                    place = k + run(entry);
                }
                if run(entry) == END as usize {
                    counts[(table << 8 | (entry >> 24) as usize) % ALL_SYMBOLS] += 1;
                    reader.take(entry);
                    // The writer has no runs of 16 zeros before an end.
                    return if k > 1 && block[k - 1] == 0 { Err(ZEROS_AT_END) } else { Ok(()) };
                }
                if place > 63 {
                    return Err("an AC code that there is not, or beyond the end of its block");
                }
            }
            counts[(table << 8 | (entry >> 24) as usize) % ALL_SYMBOLS] += 1;
            block[place] = reader.take(entry) as i16;
            k = place + 1;
            if k == 64 {
                return if block[63] == 0 { Err(ZEROS_AT_END) } else { Ok(()) };
            }
        }
    }
}
