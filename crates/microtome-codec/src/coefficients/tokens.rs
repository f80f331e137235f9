//! Coefficients as tokens: symbols with their values, in the order of the scan.
//!
//! Not here: the bits of these (`write`).

use std::iter::StepBy;
use std::slice;

use smallvec::SmallVec;

use super::header::Layout;
use super::huffman::{ALL_SYMBOLS, Counts};
use super::{Geometry, MAX_AC, MAX_DC, Plane, simd};

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
    /// `table << 8 | symbol`.
    symbols: Vec<u16>,
    /// The bits of each one's value, as many as it says.
    values: Vec<u16>,
    /// Where in these each restart interval ends.
    intervals: Vec<usize>,
}

/// The tokens of a restart interval: symbols, and the bits of their values.
pub(super) type Interval<'a> = (&'a [u16], &'a [u16]);

impl Tokens {
    /// Those of each restart interval.
    pub(super) fn intervals(&self) -> impl Iterator<Item = Interval<'_>> {
        let starts = std::iter::once(&0).chain(&self.intervals);
        starts.zip(&self.intervals).map(|(&from, &to)| (&self.symbols[from..to], &self.values[from..to]))
    }
}

/// Room for the tokens of a block.
pub(super) type Room<'a> = (&'a mut [u16; ROOM], &'a mut [u16; ROOM]);

/// How the tokens of blocks are made.
pub(super) trait Machine {
    /// One that has seen no block.
    fn new() -> Self;

    /// Writes the tokens of a block whose DC coefficient is so much more than the one before it, and returns how many; those
    /// behind them mean nothing. `dc` and `ac` are what the symbols of each table have in common.
    fn block(&mut self, block: &[i16; 64], difference: i16, tables: (u16, u16), tokens: Room<'_>) -> usize;

    /// All bits that magnitudes of AC coefficients had so far, or more.
    fn magnitudes(self) -> u16;
}

/// The plain steps.
#[derive(Debug)]
pub(super) struct Plain {
    magnitudes: u16,
}

impl Machine for Plain {
    fn new() -> Self {
        Self { magnitudes: 0 }
    }

    #[inline(always)]
    fn block(
        &mut self,
        block: &[i16; 64],
        difference: i16,
        (dc, ac): (u16, u16),
        (symbols, values): Room<'_>,
    ) -> usize {
        (symbols[0], values[0]) = of(dc, 0, token(difference.into()));
        let places = with_long_runs(simd::nonzero(block));
        let length = places.count_ones() as usize;
        let (mut rest, mut after) = (places & !1, 1);
        // Four at a time, however many there are: how many is not predictable.
        let fours = symbols[1..].as_chunks_mut::<4>().0.iter_mut();
        let fours = fours.zip(values[1..].as_chunks_mut::<4>().0);
        for (symbols, values) in fours.take((length - 1).div_ceil(4)) {
            for (symbol, bits) in symbols.iter_mut().zip(values) {
                let k = rest.trailing_zeros();
                rest &= rest.wrapping_sub(1);
                let coefficient = block[k as usize & 63];
                (*symbol, *bits) = of(ac, k.wrapping_sub(after), VALUES[coefficient as usize & 2047]);
                self.magnitudes |= coefficient.unsigned_abs();
                after = k + 1;
            }
        }
        (symbols[length % ROOM], values[length % ROOM]) = (ac, 0);
        length + usize::from(places >> 63 == 0)
    }

    fn magnitudes(self) -> u16 {
        self.magnitudes
    }
}

/// The token of a value with its size above it, after that many zeros.
#[inline(always)]
fn of(table: u16, run: u32, value: u32) -> (u16, u16) {
    (table | (run << 4 | value >> 16) as u16, value as u16)
}

/// The blocks at one place of the MCUs of a row.
struct Unit<'a> {
    blocks: StepBy<slice::Iter<'a, [i16; 64]>>,
    component: usize,
    /// What symbols of its DC and of its AC table have in common.
    tables: (u16, u16),
}

/// Those of a row of MCUs, in the order of the scan.
fn units<'a>(
    layout: &Layout,
    geometry: &Geometry,
    planes: &'a [Plane],
    row: usize,
) -> SmallVec<[Unit<'a>; 10]> {
    let mut units = SmallVec::new();
    for (i, (component, plane)) in layout.components().iter().zip(planes).enumerate() {
        let (across, down) = geometry.unit[i];
        let tables = ((component.dc as u16) << 8, (component.ac as u16) << 8);
        for y in row * down..(row + 1) * down {
            let blocks = &plane.coefficients.as_chunks().0[y * plane.width..(y + 1) * plane.width];
            units.extend((0..across).map(|x| Unit {
                blocks: blocks[x..].iter().step_by(across),
                component: i,
                tables,
            }));
        }
    }
    units
}

/// Makes tokens of planes of this layout. Returns whether their coefficients, and the differences of the DC coefficients, are
/// what baseline streams code; if not, the tokens mean nothing.
#[inline(always)]
pub(super) fn tokenise<M: Machine>(
    layout: &Layout,
    geometry: &Geometry,
    planes: &[Plane],
    out: &mut Tokens,
) -> bool {
    let Tokens { symbols, values, intervals } = out;
    intervals.clear();
    let (mut at, mut largest, mut predictions) = (0, 0, [0_i16; 4]);
    let (mut machine, mut dc_magnitudes) = (M::new(), 0);
    for row in 0..geometry.rows {
        let room = at + ROOM * geometry.blocks_per_row();
        if symbols.len() < room {
            symbols.resize(room + at, 0);
            values.resize(room + at, 0);
        }
        let mut units = units(layout, geometry, planes, row);
        for mcu in row * geometry.columns..(row + 1) * geometry.columns {
            if layout.restart > 0 && mcu > 0 && mcu % layout.restart == 0 {
                intervals.push(at);
                predictions = [0; 4];
            }
            for unit in &mut units {
                let room = (symbols.get_mut(at..), values.get_mut(at..));
                let (Some(symbols), Some(values)) = room else { return false };
                let room = (symbols.first_chunk_mut(), values.first_chunk_mut());
                let (Some(symbols), Some(values)) = room else { return false };
                let Some(block) = unit.blocks.next() else { return false };
                let prediction = &mut predictions[unit.component % 4];
                let difference = i32::from(block[0]) - i32::from(*prediction);
                *prediction = block[0];
                dc_magnitudes |= block[0].unsigned_abs();
                largest = largest.max(difference.unsigned_abs());
                at += machine.block(block, difference as i16, unit.tables, (symbols, values));
            }
        }
    }
    intervals.push(at);
    // One more than the largest magnitude is a power of two, so all bits together tell of one that is beyond.
    const { assert!((MAX_AC as u16 + 1).is_power_of_two() && (MAX_DC as u16 + 1).is_power_of_two()) };
    largest <= u32::from(MAX_DC.unsigned_abs())
        && dc_magnitudes <= MAX_DC.unsigned_abs()
        && (machine.magnitudes() <= MAX_AC.unsigned_abs() || planes.iter().all(has_ac_in_range))
}

/// Whether a plane's AC coefficients are what baseline streams code.
fn has_ac_in_range(plane: &Plane) -> bool {
    let mut blocks = plane.coefficients.as_chunks::<64>().0.iter();
    blocks
        .all(|block| block[1..].iter().all(|coefficient| coefficient.unsigned_abs() <= MAX_AC.unsigned_abs()))
}

/// These places, that of the DC coefficient, and of each 16 zeros that one follows the last, which have a symbol of their
/// own: it is that of a value without bits after 15 zeros.
#[inline(always)]
pub(super) fn with_long_runs(places: u64) -> u64 {
    let mut all = places | 1;
    loop {
        let followed = [1, 2, 4, 8].into_iter().fold(all, |within, shift| within | within << shift) << 1;
        let far = all & !followed & !1;
        if far == 0 {
            return all;
        }
        let before = all & (far & far.wrapping_neg()).wrapping_sub(1);
        all |= 1 << 16 << (63 - before.leading_zeros());
    }
}

/// Counts symbols.
#[inline(always)]
pub(super) fn count(tokens: &Tokens, counts: &mut Counts) {
    // By turns: a count takes a while to change.
    let mut more: [Counts; 3] = [[0; _]; _];
    counts.fill(0);
    for (symbols, _) in tokens.intervals() {
        let (fours, last) = symbols.as_chunks::<4>();
        for &[a, b, c, d] in fours {
            counts[usize::from(a) % ALL_SYMBOLS] += 1;
            more[0][usize::from(b) % ALL_SYMBOLS] += 1;
            more[1][usize::from(c) % ALL_SYMBOLS] += 1;
            more[2][usize::from(d) % ALL_SYMBOLS] += 1;
        }
        for &a in last {
            counts[usize::from(a) % ALL_SYMBOLS] += 1;
        }
    }
    for more in &more {
        for (count, more) in counts.iter_mut().zip(more) {
            *count += more;
        }
    }
}
