//! Entropy-coded data to coefficients, and the proof that they give the data back.

use std::sync::Arc;

use super::header::{Cut, Layout, Source, table_index};
use super::huffman::{ALL_SYMBOLS, Counts, Decoder, Definition, END, Entry, LONG, LOOKUP_BITS};
use super::template::{Template, check_tail, strip};
use super::write::{Writer, find_ff};
use super::{Geometry, MAX_DC, Tile, shape, unsupported};
use crate::Error;

/// Takes streams apart. Keep one for many tiles: it keeps its buffers, the decoding tables and the last
/// template, so that tiles of one encoder need no allocation.
pub struct Parser {
    decoders: Vec<Decoder>,
    counts: Box<Counts>,
    /// One restart interval without stuffed zeros, and 8 zeros behind it.
    bits: Vec<u8>,
    /// Tables as they would be made for the current tile; empty where not worth a try.
    made: Box<[Definition; 8]>,
    head: Vec<u8>,
    cuts: Vec<Cut>,
    writer: Writer,
    rewritten: Vec<u8>,
    last: Option<Arc<Template>>,
}

impl Default for Parser {
    fn default() -> Self {
        Self {
            decoders: (0..8).map(|index| Decoder::new(index > 3)).collect(),
            counts: Box::new([0; ALL_SYMBOLS]),
            bits: Vec::new(),
            made: Box::new([Definition::EMPTY; 8]),
            head: Vec::new(),
            cuts: Vec::new(),
            writer: Writer::new(),
            rewritten: Vec::new(),
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

    /// Takes a stream apart, and makes sure that [`Writer::write`] gives back its very bytes. Streams with
    /// the template of the stream before share it. After an error `tile` holds nothing useful.
    ///
    /// # Errors
    /// [`Error::Malformed`] for damaged streams and such without their tables; [`Error::Unsupported`] for
    /// valid streams that this module does not take, or that their encoder wrote otherwise than the writer
    /// does; [`Error::LimitExceeded`] beyond [`super::MAX_PIXELS`].
    pub fn parse(&mut self, stream: &[u8], tile: &mut Tile) -> Result<Arc<Template>, Error> {
        let template = self.parse_unchecked(stream, tile)?;
        self.rewritten.clear();
        let written = self.writer.write_with(&self.made, &template, tile, &mut self.rewritten);
        if written.is_err() || self.rewritten != stream {
            return Err(unsupported("its coefficients do not give the same bytes again"));
        }
        self.last = Some(Arc::clone(&template));
        Ok(template)
    }

    fn parse_unchecked(&mut self, stream: &[u8], tile: &mut Tile) -> Result<Arc<Template>, Error> {
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
        match &self.last {
            Some(last) if last.is(&self.head, &self.cuts, ones, tail) => Ok(Arc::clone(last)),
            _ => Template::assemble(self.head.clone(), self.cuts.clone(), ones, tail.to_vec()).map(Arc::new),
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
            let mut reader = Reader { bytes: &self.bits, at: 0, waiting: 0, count: 0 };
            decode(&mut reader, &self.decoders, &mut self.counts, layout, geometry, first..last, tile)
                .map_err(|what| Error::Malformed { offset, what })?;
            reader.refill();
            match (8 * (self.bits.len() - 8)).checked_sub(reader.position()) {
                None => return Err(Error::Malformed { offset: at, what: "the scan is cut off" }),
                Some(0) => {}
                Some(1..=7) => padding = padding.or(Some(reader.waiting >> 63 == 1)),
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
struct Reader<'a> {
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

/// Decodes the blocks of some MCUs without a restart among them.
fn decode(
    reader: &mut Reader<'_>,
    decoders: &[Decoder],
    counts: &mut Counts,
    layout: &Layout,
    geometry: &Geometry,
    mcus: std::ops::Range<usize>,
    tile: &mut Tile,
) -> Result<(), &'static str> {
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
    Ok(())
}

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
                    return Ok(());
                }
                if place > 63 {
                    return Err("an AC code that there is not, or beyond the end of its block");
                }
            }
            counts[(table << 8 | (entry >> 24) as usize) % ALL_SYMBOLS] += 1;
            block[place] = reader.take(entry) as i16;
            k = place + 1;
            if k == 64 {
                return Ok(());
            }
        }
    }
}
