//! Coefficients to entropy-coded data: symbols first (`tokens`), since tables may have to be made from them, then bits.

use super::header::{Layout, Source};
use super::huffman::{ALL_SYMBOLS, Counts, Definition};
use super::simd;
use super::template::{Statistics, Template};
use super::tokens::Tokens;
use super::{Geometry, MAX_AC, MAX_DC, Plane, Tile};
use crate::Error;
use crate::instructions::Set;

/// The code of every symbol of every table: length of code and value in the upper 5 bits, the code, already
/// shifted to make room for the value, in the lower 27. Zero for symbols without a code.
#[derive(Debug, Clone)]
pub(super) struct Codes(Box<[u32; ALL_SYMBOLS]>);

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
                codes[usize::from(symbol)] = (bits + size) << 27 | code << size;
            }
        }
    }

    fn of(&self, table: usize) -> &[u32] {
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
            append_stuffed(&self.bits[..length], out);
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
        let in_range = tile.planes.iter().all(|plane| simd::is_in_range(self.set, plane))
            && simd::tokenise(self.set, layout, &geometry, &tile.planes, &mut self.tokens);
        match in_range {
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

/// Whether a plane's coefficients are what baseline streams code. Says nothing of their differences.
#[inline(always)]
pub(super) fn is_in_range(plane: &Plane) -> bool {
    // One more than the largest magnitude is a power of two, so or-ing all finds what is beyond.
    const { assert!((MAX_AC as u16 + 1).is_power_of_two()) };
    let all = plane.coefficients.iter().fold(0, |or, coefficient| or | coefficient.unsigned_abs());
    all <= MAX_AC.unsigned_abs()
        || plane.coefficients.as_chunks::<64>().0.iter().all(|block| {
            block[0].unsigned_abs() <= MAX_DC.unsigned_abs()
                && block[1..].iter().all(|coefficient| coefficient.unsigned_abs() <= MAX_AC.unsigned_abs())
        })
}

/// Writes the codes of `tokens` to `bits`, all of which have one, and returns how many bytes.
#[inline(always)]
pub(super) fn encode(tokens: &[u32], codes: &Codes, ones: bool, bits: &mut Vec<u8>) -> usize {
    // A code and its value are at most 27 bits; 8 bytes more are written at once.
    let room = tokens.len() * 27 / 8 + 16;
    if bits.len() < room {
        bits.resize(room, 0);
    }
    // The last `count` bits of `waiting` are not written yet, fewer than 8 between two pairs of tokens.
    let (mut waiting, mut count, mut at) = (0_u64, 0_u32, 0);
    let put = |token: u32, waiting: &mut u64, count: &mut u32| {
        let code = codes.0[(token >> 16) as usize % ALL_SYMBOLS];
        let length = code >> 27;
        *count += length;
        *waiting = *waiting << length | u64::from(code & 0x7FF_FFFF | token & 0xFFFF);
    };
    let (pairs, last) = tokens.as_chunks::<2>();
    for pair in pairs {
        put(pair[0], &mut waiting, &mut count);
        put(pair[1], &mut waiting, &mut count);
        let word = waiting.wrapping_shl(count.wrapping_neg());
        if let Some(to) = bits.get_mut(at..at + 8) {
            to.copy_from_slice(&word.to_be_bytes());
        }
        at += (count >> 3) as usize;
        count &= 7;
    }
    for &token in last {
        put(token, &mut waiting, &mut count);
    }
    let mut word = waiting.wrapping_shl(count.wrapping_neg());
    if count % 8 > 0 && ones {
        word |= u64::MAX >> count;
    }
    if let Some(to) = bits.get_mut(at..at + 8) {
        to.copy_from_slice(&word.to_be_bytes());
    }
    at + count.div_ceil(8) as usize
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

/// Appends `bits` with a zero after every 0xFF.
fn append_stuffed(mut bits: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = find_ff(bits) {
        out.extend_from_slice(&bits[..=at]);
        out.push(0);
        bits = &bits[at + 1..];
    }
    out.extend_from_slice(bits);
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
