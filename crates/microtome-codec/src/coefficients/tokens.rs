//! Coefficients as tokens: symbols with their values, in the order of the scan.
//!
//! Not here: the bits of these (`write`).

use super::header::Layout;
use super::huffman::{ALL_SYMBOLS, Counts};
use super::{Geometry, MAX_DC, Plane, simd};

/// Tokens that one block may take: 64 values, runs of 16 zeros or an end, and a few that are written but not meant;
/// rounded up to a power of two.
pub(super) const ROOM: usize = 128;

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
    // No branches: signs are not predictable.
    let sign = value >> 31;
    let size = 32 - ((value ^ sign) - sign).leading_zeros();
    size << 16 | (value + sign) as u32 & ((1 << size) - 1)
}

/// The symbols of a tile with their values, in the order of the scan.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// `table << 24 | symbol << 16 | value bits`.
    tokens: Vec<u32>,
    /// Where in `tokens` each restart interval ends.
    intervals: Vec<usize>,
}

impl Tokens {
    /// Those of each restart interval.
    pub(super) fn intervals(&self) -> impl Iterator<Item = &[u32]> {
        let starts = std::iter::once(&0).chain(&self.intervals);
        starts.zip(&self.intervals).map(|(&from, &to)| &self.tokens[from..to])
    }
}

/// How the tokens of a block are made.
pub(super) trait Machine {
    /// A bit for each coefficient that is not zero.
    fn nonzero(block: &[i16; 64]) -> u64;

    /// Writes the tokens of the AC coefficients at `places`, each less than 17 behind the one before it or the DC coefficient,
    /// to `tokens` from the second one on. Those behind the last one mean nothing.
    fn near(block: &[i16; 64], places: u64, table: u32, tokens: &mut [u32; ROOM]);
}

/// The plain steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plain;

impl Machine for Plain {
    #[inline(always)]
    fn nonzero(block: &[i16; 64]) -> u64 {
        simd::nonzero(block)
    }

    #[inline(always)]
    fn near(block: &[i16; 64], places: u64, table: u32, tokens: &mut [u32; ROOM]) {
        let count = places.count_ones() as usize;
        let mut places = Places::new(places);
        // Four at a time, however many there are: how many is not predictable.
        for tokens in tokens[1..].as_chunks_mut::<4>().0.iter_mut().take(count.div_ceil(4)) {
            for token in tokens {
                let (run, value) = places.next(block);
                *token = table | run << 20 | value;
            }
        }
    }
}

/// The places still to come, and the one after the last that was.
struct Places {
    rest: u64,
    after: u32,
}

impl Places {
    fn new(places: u64) -> Self {
        Self { rest: places, after: 1 }
    }

    /// The zeros before the next one, and its value.
    #[inline(always)]
    fn next(&mut self, block: &[i16; 64]) -> (u32, u32) {
        let k = self.rest.trailing_zeros();
        self.rest &= self.rest.wrapping_sub(1);
        let run = k.wrapping_sub(self.after);
        self.after = k + 1;
        (run, VALUES[block[k as usize & 63] as usize & 2047])
    }
}

/// Makes tokens of planes of this layout, their coefficients in range. Returns whether the differences of the DC
/// coefficients are in range too.
#[inline(always)]
pub(super) fn tokenise<M: Machine>(
    layout: &Layout,
    geometry: &Geometry,
    planes: &[Plane],
    out: &mut Tokens,
) -> bool {
    let Tokens { tokens, intervals } = out;
    intervals.clear();
    let (mut at, mut largest, mut predictions) = (0, 0, [0_i16; 4]);
    let (mut row, mut column) = (0, 0);
    for mcu in 0..geometry.columns * geometry.rows {
        if layout.restart > 0 && mcu > 0 && mcu % layout.restart == 0 {
            intervals.push(at);
            predictions = [0; 4];
        }
        if column == 0 {
            let room = at + ROOM * geometry.blocks_per_row();
            if tokens.len() < room {
                tokens.resize(room + at, 0);
            }
        }
        for (i, component) in layout.components().iter().enumerate() {
            let plane = &planes[i];
            let (across, down) = geometry.unit[i];
            let tables = ((component.dc as u32) << 24, (component.ac as u32) << 24);
            for y in row * down..(row + 1) * down {
                let first = y * plane.width + column * across;
                for block in plane.coefficients[64 * first..64 * (first + across)].as_chunks().0 {
                    let difference = i32::from(block[0]) - i32::from(predictions[i]);
                    predictions[i] = block[0];
                    largest = largest.max(difference.unsigned_abs());
                    let Some(room) = tokens.get_mut(at..).and_then(<[u32]>::first_chunk_mut) else {
                        return false;
                    };
                    at += tokenise_block::<M>(block, difference, tables, room);
                }
            }
        }
        column += 1;
        if column == geometry.columns {
            (row, column) = (row + 1, 0);
        }
    }
    intervals.push(at);
    largest <= u32::from(MAX_DC.unsigned_abs())
}

/// Writes the tokens of a block, and returns how many.
#[inline(always)]
fn tokenise_block<M: Machine>(
    block: &[i16; 64],
    difference: i32,
    tables: (u32, u32),
    tokens: &mut [u32; ROOM],
) -> usize {
    tokens[0] = tables.0 | token(difference);
    let all = M::nonzero(block) & !1;
    let count = all.count_ones() as usize;
    let mut length = 1;
    // The places that follow a coefficient within 16, the DC coefficient included.
    let near = [1, 2, 4, 8].into_iter().fold(all | 1, |near, shift| near | near << shift) << 1;
    if all & !near == 0 {
        M::near(block, all, tables.1, tokens);
        length += count;
    } else {
        let mut places = Places::new(all);
        for _ in 0..count {
            let (mut run, value) = places.next(block);
            while run > 15 {
                tokens[length % ROOM] = tables.1 | 0xF0 << 16;
                length += 1;
                run -= 16;
            }
            tokens[length % ROOM] = tables.1 | run << 20 | value;
            length += 1;
        }
    }
    tokens[length % ROOM] = tables.1;
    length + usize::from(all >> 63 == 0)
}

/// Counts symbols.
#[inline(always)]
pub(super) fn count(tokens: &Tokens, counts: &mut Counts) {
    // By turns: a count takes a while to change.
    let mut more: Counts = [0; _];
    counts.fill(0);
    for tokens in tokens.intervals() {
        let (pairs, last) = tokens.as_chunks::<2>();
        for [a, b] in pairs {
            counts[(a >> 16) as usize % ALL_SYMBOLS] += 1;
            more[(b >> 16) as usize % ALL_SYMBOLS] += 1;
        }
        for a in last {
            counts[(a >> 16) as usize % ALL_SYMBOLS] += 1;
        }
    }
    for (count, more) in counts.iter_mut().zip(&more) {
        *count += more;
    }
}
