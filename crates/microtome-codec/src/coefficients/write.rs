//! Coefficients to entropy-coded data: symbols first, since tables may have to be made from them, then bits.

use super::header::{Layout, Source};
use super::huffman::{ALL_SYMBOLS, Counts, Definition};
use super::template::{Statistics, Template};
use super::{Geometry, MAX_AC, MAX_DC, Plane, Tile};
use crate::Error;

/// Tokens that one block gives at most: 64 values, or runs of 16 zeros, and an end.
const MOST_PER_BLOCK: usize = 66;

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
}

/// An AC value: its bits, and the number of them at bit 16. Indexed by the value modulo 2048.
static VALUES: [u32; 2048] = {
    let mut values = [0; 2048];
    let mut i = 0;
    while i < 2048 {
        let value = if i < 1024 { i as i32 } else { i as i32 - 2048 };
        values[i] = token(value);
        i += 1;
    }
    values
};

/// The bits of a value and the number of them.
const fn token(value: i32) -> u32 {
    let size = 32 - value.unsigned_abs().leading_zeros();
    let bits = if value < 0 { value - 1 } else { value };
    size << 16 | bits as u32 & ((1 << size) - 1)
}

/// Puts streams together. Keep one for many tiles: it keeps its buffers.
#[derive(Debug)]
pub struct Writer {
    /// Symbols with their values, in the order of the scan: `table << 24 | symbol << 16 | value bits`.
    tokens: Vec<u32>,
    /// Where in `tokens` each restart interval ends.
    intervals: Vec<usize>,
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
            tokens: Vec::new(),
            intervals: Vec::new(),
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

    /// Appends the stream of `template` and `tile` to `out`. Of the planes, coefficients and counts of blocks
    /// matter; sampling and quantisation tables are the template's.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for planes that are not as [`Template::planes_for`] makes them,
    /// coefficients out of range, and symbols that the template's tables have no code for. `out` is then as
    /// it was. [`Error::LimitExceeded`] and [`Error::Unsupported`] for sizes beyond what `planes_for` takes.
    pub fn write(&mut self, template: &Template, tile: &Tile, out: &mut Vec<u8>) -> Result<(), Error> {
        match template.optimises() {
            true => {
                self.tokenise::<true>(template, tile)?;
                for index in 0..8 {
                    if template.makes(index) {
                        let counts = &self.counts[256 * index..256 * (index + 1)];
                        self.made[index] = Definition::optimal(counts.iter().map(|&n| u64::from(n)));
                    }
                }
            }
            false => self.tokenise::<false>(template, tile)?,
        }
        self.emit(template, tile, out)
    }

    /// As [`Writer::write`], with the tables that the template makes for each tile already in `made`.
    pub(super) fn write_with(
        &mut self,
        made: &[Definition; 8],
        template: &Template,
        tile: &Tile,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.tokenise::<false>(template, tile)?;
        *self.made = *made;
        self.emit(template, tile, out)
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
        self.tokenise::<true>(template, tile)?;
        for (sum, &count) in statistics.0.iter_mut().zip(&*self.counts) {
            *sum = sum.saturating_add(u64::from(count));
        }
        Ok(())
    }

    fn tokenise<const COUNT: bool>(&mut self, template: &Template, tile: &Tile) -> Result<(), Error> {
        let layout = template.layout();
        let geometry = template.geometry(tile.width, tile.height)?;
        check_planes(layout, &geometry, &tile.planes)?;
        if COUNT {
            self.counts.fill(0);
        }
        self.intervals.clear();
        let mut at = 0;
        let mut predictions = [0_i16; 4];
        let mut wrong = false;
        for mcu in 0..geometry.columns * geometry.rows {
            if layout.restart > 0 && mcu > 0 && mcu % layout.restart == 0 {
                self.intervals.push(at);
                predictions = [0; 4];
            }
            let (row, column) = (mcu / geometry.columns, mcu % geometry.columns);
            for (i, component) in layout.components().iter().enumerate() {
                let plane = &tile.planes[i];
                let (across, down) = geometry.unit[i];
                let tables = ((component.dc as u32) << 24, (component.ac as u32) << 24);
                for y in row * down..(row + 1) * down {
                    let first = y * plane.width + column * across;
                    for block in plane.coefficients[64 * first..64 * (first + across)].as_chunks().0 {
                        if self.tokens.len() < at + MOST_PER_BLOCK {
                            self.tokens.resize(2 * (at + MOST_PER_BLOCK), 0);
                        }
                        let tokens = &mut self.tokens[at..at + MOST_PER_BLOCK];
                        let (length, bad) = tokenise_block(block, predictions[i], tables, tokens);
                        predictions[i] = block[0];
                        wrong |= bad;
                        if COUNT {
                            for &token in &tokens[..length.min(MOST_PER_BLOCK)] {
                                self.counts[(token >> 16) as usize % ALL_SYMBOLS] += 1;
                            }
                        }
                        at += length;
                    }
                }
            }
        }
        self.intervals.push(at);
        match wrong {
            true => Err(Error::InvalidArgument("a coefficient beyond what baseline JPEG codes")),
            false => Ok(()),
        }
    }

    fn emit(&mut self, template: &Template, tile: &Tile, out: &mut Vec<u8>) -> Result<(), Error> {
        let start = out.len();
        template.append_head(tile.width, tile.height, &self.made, out);
        let codes = match template.optimises() {
            true => {
                for (index, source) in template.layout().tables.iter().enumerate() {
                    let codes = 256 * index..256 * (index + 1);
                    match source {
                        Source::Optimal => self.codes.set(index, &self.made[index]),
                        _ => self.codes.0[codes.clone()].copy_from_slice(&template.codes().0[codes]),
                    }
                }
                &self.codes
            }
            false => template.codes(),
        };
        let mut from = 0;
        for (i, &to) in self.intervals.iter().enumerate() {
            if i > 0 {
                out.extend_from_slice(&[0xFF, 0xD0 | (i - 1) as u8 & 7]);
            }
            let tokens = &self.tokens[from..to];
            let Some(length) = encode(tokens, codes, template.pads_with_ones(), &mut self.bits) else {
                out.truncate(start);
                return Err(Error::InvalidArgument("a symbol that the Huffman tables have no code for"));
            };
            append_stuffed(&self.bits[..length], out);
            from = to;
        }
        out.extend_from_slice(template.tail());
        Ok(())
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

/// Writes the tokens of a block, and returns how many, and whether something is out of range.
#[inline(always)]
fn tokenise_block(
    block: &[i16; 64],
    prediction: i16,
    tables: (u32, u32),
    tokens: &mut [u32],
) -> (usize, bool) {
    let difference = i32::from(block[0]) - i32::from(prediction);
    let mut bad = difference.unsigned_abs() > u32::from(MAX_DC.unsigned_abs());
    bad |= block[0].unsigned_abs() > MAX_DC.unsigned_abs();
    tokens[0] = tables.0 | token(difference);
    let mut length = 1;
    let (mut rest, good) = nonzero(block);
    bad |= !good;
    // The place after the last coefficient that was written.
    let mut after = 1;
    while rest != 0 {
        let k = rest.trailing_zeros();
        rest &= rest - 1;
        let mut run = k - after;
        while run > 15 {
            tokens[length] = tables.1 | 0xF0 << 16;
            length += 1;
            run -= 16;
        }
        let value = block[k as usize & 63];
        tokens[length] = tables.1 | run << 20 | VALUES[value as usize & 2047];
        length += 1;
        after = k + 1;
    }
    if after < 64 {
        tokens[length] = tables.1;
        length += 1;
    }
    (length, bad)
}

/// A bit for each AC coefficient that is not zero, and whether all of them are in range. The loops are such
/// that the compiler makes SIMD of them.
#[inline(always)]
fn nonzero(block: &[i16; 64]) -> (u64, bool) {
    let mut flags = [0_u8; 64];
    for (flag, &coefficient) in flags.iter_mut().zip(block) {
        *flag = u8::from(coefficient != 0);
    }
    let largest = block.iter().fold(0, |largest, &coefficient| coefficient.max(largest));
    let smallest = block.iter().fold(0, |smallest, &coefficient| coefficient.min(smallest));
    let mut bits = 0;
    for &flags in flags.as_chunks().0.iter().rev() {
        // Brings the lowest bit of each byte together in the highest byte.
        bits = bits << 8 | u64::from_le_bytes(flags).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    }
    let good = (largest <= MAX_AC && smallest >= -MAX_AC)
        || block[1..].iter().all(|coefficient| coefficient.unsigned_abs() <= MAX_AC.unsigned_abs());
    (bits & !1, good)
}

/// Writes the codes of `tokens` to `bits`, and returns how many bytes; `None` if a symbol has no code.
fn encode(tokens: &[u32], codes: &Codes, ones: bool, bits: &mut Vec<u8>) -> Option<usize> {
    // A code and its value are at most 27 bits; 8 bytes more are written at once.
    let room = tokens.len() * 27 / 8 + 16;
    if bits.len() < room {
        bits.resize(room, 0);
    }
    // Bits wait at the top of `waiting`, `count` of them, fewer than 8 between two pairs of tokens.
    let (mut waiting, mut count, mut at) = (0_u64, 0_u32, 0);
    let mut missing = false;
    let mut put = |token: u32, waiting: &mut u64, count: &mut u32| {
        let code = codes.0[(token >> 16) as usize % ALL_SYMBOLS];
        missing |= code == 0;
        let length = code >> 27;
        *count += length;
        *waiting |= u64::from(code & 0x7FF_FFFF | token & 0xFFFF).wrapping_shl(64_u32.wrapping_sub(*count));
    };
    let (pairs, last) = tokens.as_chunks::<2>();
    for pair in pairs {
        put(pair[0], &mut waiting, &mut count);
        put(pair[1], &mut waiting, &mut count);
        bits.get_mut(at..at + 8)?.copy_from_slice(&waiting.to_be_bytes());
        at += (count >> 3) as usize;
        waiting <<= count & 56;
        count &= 7;
    }
    for &token in last {
        put(token, &mut waiting, &mut count);
    }
    if count % 8 > 0 && ones {
        waiting |= u64::MAX >> count;
    }
    bits.get_mut(at..at + 8)?.copy_from_slice(&waiting.to_be_bytes());
    at += count.div_ceil(8) as usize;
    (!missing).then_some(at)
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
