//! Coefficients to entropy-coded data: symbols first (`tokens`), since tables may have to be made from them, then bits.

use super::header::{Layout, Source};
use super::huffman::{ALL_SYMBOLS, Counts, Definition};
use super::simd;
use super::template::{Statistics, Template};
use super::tokens::{Interval, Tokens};
use super::{Geometry, Plane, Tile};
use crate::Error;
use crate::instructions::Set;

/// The code of every symbol of every table: length of code and value in the lowest 8 bits, at most 27; above them the
/// code, already shifted to make room for the value. Zero for symbols without a code.
#[derive(Debug, Clone)]
pub(super) struct Codes(Box<[u64; ALL_SYMBOLS]>);

impl Codes {
    pub(super) fn new() -> Self {
        Self(Box::new([0; ALL_SYMBOLS]))
    }

    /// Takes the codes of the table of that index in [`Layout::tables`].
    pub(super) fn set(&mut self, table: usize, definition: &Definition) {
        let codes = &mut self.0[256 * table..256 * (table + 1)];
        codes.fill(0);
        for (symbol, code, bits) in definition.codes() {
            let size = u32::from(symbol & 15);
            // Symbols that no baseline stream has would not fit: DC differences end at 11 bits, AC values at
            // 10.
            if bits + size <= 27 {
                codes[usize::from(symbol)] = u64::from(code << size) << 8 | u64::from(bits + size);
            }
        }
    }

    fn of(&self, table: usize) -> &[u64] {
        &self.0[256 * (table % 8)..][..256]
    }
}

/// Puts streams together. Keep one for many tiles: it keeps its buffers.
#[derive(Debug)]
pub struct Writer {
    set: Set,
    tokens: Tokens,
    counts: Box<Counts>,
    /// Tables made for the current tile, and the codes of all of its tables.
    made: Box<[Definition; 8]>,
    codes: Codes,
    /// One restart interval without stuffed zeros.
    bits: Vec<u8>,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            set: Set::detect(),
            tokens: Tokens::default(),
            counts: Box::new([0; ALL_SYMBOLS]),
            made: Box::new([Definition::EMPTY; 8]),
            codes: Codes::new(),
            bits: Vec::new(),
        }
    }
}

impl Writer {
    /// A writer without buffers; they come with the first tile.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A writer that makes do with these instructions.
    #[cfg(test)]
    pub(super) fn with(set: Set) -> Self {
        Self { set, ..Self::default() }
    }

    /// Appends the stream of `template` and `tile` to `out`. Of the planes, coefficients and counts of blocks
    /// matter; sampling and quantisation tables are the template's.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for planes that are not as [`Template::planes_for`] makes them,
    /// coefficients out of range, and symbols that the template's tables have no code for. `out` is then as
    /// it was. [`Error::LimitExceeded`] and [`Error::Unsupported`] for sizes beyond what `planes_for` takes.
    pub fn write(&mut self, template: &Template, tile: &Tile, out: &mut Vec<u8>) -> Result<(), Error> {
        self.tokenise(template, tile)?;
        if template.optimises() || !template.has_all_codes() {
            simd::count(self.set, &self.tokens, &mut self.counts);
            self.prepare(template)?;
        }
        let codes = if template.optimises() { &self.codes } else { template.codes() };
        template.append_head(tile.width, tile.height, &self.made, out);
        for (i, tokens) in self.tokens.intervals().enumerate() {
            if i > 0 {
                out.extend_from_slice(&[0xFF, 0xD0 | (i - 1) as u8 & 7]);
            }
            let length = simd::encode(self.set, tokens, codes, template.pads_with_ones(), &mut self.bits);
            simd::append_stuffed(self.set, &self.bits[..length], out);
        }
        out.extend_from_slice(template.tail());
        Ok(())
    }

    /// Counts the symbols of a tile into `statistics`, from which [`Template::jfif`] can make tables.
    ///
    /// # Errors
    /// As for [`Writer::write`].
    pub fn count(
        &mut self,
        template: &Template,
        tile: &Tile,
        statistics: &mut Statistics,
    ) -> Result<(), Error> {
        self.tokenise(template, tile)?;
        simd::count(self.set, &self.tokens, &mut self.counts);
        for (sum, &count) in statistics.0.iter_mut().zip(&*self.counts) {
            *sum = sum.saturating_add(u64::from(count));
        }
        Ok(())
    }

    fn tokenise(&mut self, template: &Template, tile: &Tile) -> Result<(), Error> {
        let layout = template.layout();
        let geometry = template.geometry(tile.width, tile.height)?;
        check_planes(layout, &geometry, &tile.planes)?;
        match simd::tokenise(self.set, layout, &geometry, &tile.planes, &mut self.tokens) {
            true => Ok(()),
            false => Err(Error::InvalidArgument("a coefficient beyond what baseline JPEG codes")),
        }
    }

    /// Makes the tables that the template leaves to the tile, and finds out whether the others have all codes that
    /// it needs.
    fn prepare(&mut self, template: &Template) -> Result<(), Error> {
        for (index, source) in template.layout().tables.iter().enumerate() {
            let symbols = 256 * index..256 * (index + 1);
            let counts = &self.counts[symbols.clone()];
            if template.makes(index) {
                self.made[index] = Definition::optimal(counts.iter().map(|&n| u64::from(n)));
            }
            match source {
                Source::Optimal => self.codes.set(index, &self.made[index]),
                _ => self.codes.0[symbols.clone()].copy_from_slice(template.codes().of(index)),
            }
            if self.codes.0[symbols].iter().zip(counts).any(|(&code, &count)| count > 0 && code == 0) {
                return Err(Error::InvalidArgument("a symbol that the Huffman tables have no code for"));
            }
        }
        Ok(())
    }
}

/// Writes the codes of `tokens` to `bits`, all of which have one, and returns how many bytes.
#[inline(always)]
pub(super) fn encode(
    (symbols, values): Interval<'_>,
    codes: &Codes,
    ones: bool,
    bits: &mut Vec<u8>,
) -> usize {
    // A code and its value are at most 27 bits; 8 bytes more are written at once.
    let room = symbols.len() * 27 / 8 + 16;
    if bits.len() < room {
        bits.resize(room, 0);
    }
    // Codes with their values, and in the lowest 8 bits how many bits these are: sums of four stay below 256, and shifts
    // look at no more.
    let one = |symbol: u16, value: u16| {
        let code = codes.0.get(usize::from(symbol)).copied().unwrap_or_default();
        (code >> 8 | u64::from(value), code as u32)
    };
    let both = |front: (u64, u32), back: (u64, u32)| {
        (front.0.wrapping_shl(back.1) | back.0, front.1.wrapping_add(back.1))
    };
    let mut put = Bits { waiting: 0, count: 0, at: 0, to: bits };
    let (fours, last) = symbols.as_chunks::<4>();
    let (values_of_fours, values_of_last) = values.as_chunks::<4>();
    for (symbols, values) in fours.iter().zip(values_of_fours) {
        let one = |i: usize| one(symbols[i], values[i]);
        let (front, back) = (both(one(0), one(1)), both(one(2), one(3)));
        let all = both(front, back);
        if all.1 as u8 <= AT_ONCE {
            put.put(all);
        } else {
            put.put(front);
            put.put(back);
        }
    }
    for (&symbol, &value) in last.iter().zip(values_of_last) {
        put.put(one(symbol, value));
    }
    put.end(ones)
}

/// Most bits that are put at once.
const AT_ONCE: u8 = 57;

/// Bits on their way to bytes.
struct Bits<'a> {
    /// The last `count` bits are not all of a byte, and so not counted in `at`: fewer than 8.
    waiting: u64,
    count: u32,
    at: usize,
    to: &'a mut [u8],
}

impl Bits<'_> {
    #[inline(always)]
    fn put(&mut self, (bits, length): (u64, u32)) {
        self.waiting = self.waiting.wrapping_shl(length) | bits;
        self.count += length & 0xFF;
        self.write(self.waiting.wrapping_shl(self.count.wrapping_neg()));
        self.at += (self.count >> 3) as usize;
        self.count &= 7;
    }

    #[inline(always)]
    fn write(&mut self, word: u64) {
        if let Some(to) = self.to.get_mut(self.at..self.at + 8) {
            to.copy_from_slice(&word.to_be_bytes());
        }
    }

    /// Fills the last byte, and returns how many there are.
    #[inline(always)]
    fn end(mut self, ones: bool) -> usize {
        if self.count > 0 {
            let word = self.waiting.wrapping_shl(self.count.wrapping_neg());
            self.write(if ones { word | u64::MAX >> self.count } else { word });
        }
        self.at + usize::from(self.count > 0)
    }
}

fn check_planes(layout: &Layout, geometry: &Geometry, planes: &[Plane]) -> Result<(), Error> {
    let fits = |(plane, size): (&Plane, &(usize, usize))| {
        (plane.width, plane.height) == *size && plane.coefficients.len() == 64 * size.0 * size.1
    };
    match planes.len() == layout.components().len() && planes.iter().zip(&geometry.planes).all(fits) {
        true => Ok(()),
        false => Err(Error::InvalidArgument("planes of another shape than the template's")),
    }
}

/// Appends bytes with a zero after every 0xFF.
#[inline(always)]
pub(super) fn append_stuffed(mut bytes: &[u8], out: &mut Vec<u8>) {
    while let Some(chunk) = bytes.first_chunk::<32>() {
        out.extend_from_slice(chunk);
        let mut taken = chunk.len();
        let has_one = chunk.iter().fold(false, |has_one, &byte| has_one | (byte == 0xFF));
        if has_one && let Some(at) = find_ff(chunk) {
            // What is behind it comes anew.
            taken = at + 1;
            out.truncate(out.len() - (chunk.len() - taken));
            out.push(0);
        }
        bytes = &bytes[taken..];
    }
    for &byte in bytes {
        out.push(byte);
        if byte == 0xFF {
            out.push(0);
        }
    }
}

/// Where the first 0xFF is.
#[inline]
pub(super) fn find_ff(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (chunks, rest) = bytes.as_chunks::<8>();
    for (i, chunk) in chunks.iter().enumerate() {
        let inverse = !u64::from_le_bytes(*chunk);
        let found = inverse.wrapping_sub(ONES) & !inverse & ONES << 7;
        if found != 0 {
            return Some(8 * i + found.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|&byte| byte == 0xFF).map(|at| 8 * chunks.len() + at)
}
