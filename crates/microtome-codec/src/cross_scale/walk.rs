//! The one walk over a block that encoder, decoder and training share, so that they can't come apart.

use super::ahead::{Ahead, PADDED, Prediction, Scale};
use super::expect::{self, Features, MOST, Magnitudes};
use super::model::{BUCKETS, CLASS, FLAG_LANE, Kind, Lanes, Model, PIECES, bucket, raw_bits};
use super::rans::{Machine, Reader, SYMBOLS, Table, Writer};

/// The last symbol of a table: the value lies outside, and follows.
pub(super) const ESCAPE: usize = SYMBOLS - 1;
/// Bits of an escaped value's length.
const LENGTH_BITS: u32 = 4;

/// Where symbols go to or come from. What a decoder is handed, it ignores; what an encoder is handed, it returns.
pub(super) trait Coder {
    /// Whether the values come from here.
    const DECODES: bool;
    /// Whether `prepare` or `block` look at the features.
    const LOOKS: bool = false;
    /// The symbol of a table; `index` is the table's place in the model.
    fn symbol(&mut self, index: usize, table: &Table, symbol: usize) -> usize;
    /// Whether anything follows, at a checkpoint and in a bucket.
    fn flag(&mut self, checkpoint: usize, bucket: usize, zero: u16, flag: bool) -> bool;
    /// `bits` (at most 14) plain bits.
    fn raw(&mut self, bits: u32, value: u32) -> u32;
    /// May change a block's coefficients before they are coded.
    #[inline(always)]
    fn prepare<M: Machine>(&mut self, _outlook: &Outlook<'_>, _features: &Features, _block: &mut [i16; 64]) {}
    /// Told of each block after its last symbol.
    #[inline(always)]
    fn block(&mut self, _features: &Features, _residuals: &[i16; PADDED]) {}
}

/// What is known of a block before its first symbol, but for its features.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outlook<'a> {
    pub(super) model: &'a Model,
    pub(super) kind: Kind,
    pub(super) prediction: &'a Prediction,
    pub(super) scale: &'a Scale,
}

impl Coder for Writer {
    const DECODES: bool = false;
    #[inline(always)]
    fn symbol(&mut self, _: usize, table: &Table, symbol: usize) -> usize {
        let (start, width) = table.interval(symbol);
        self.interval(start, width);
        symbol
    }
    #[inline(always)]
    fn flag(&mut self, _: usize, _: usize, zero: u16, flag: bool) -> bool {
        self.flag(zero, flag);
        flag
    }
    #[inline(always)]
    fn raw(&mut self, bits: u32, value: u32) -> u32 {
        self.raw(bits, value);
        value
    }
}

/// A [`Reader`] on a machine.
pub(super) struct Decoder<'a, M> {
    pub(super) reader: Reader<'a>,
    pub(super) machine: std::marker::PhantomData<M>,
}

impl<M: Machine> Coder for Decoder<'_, M> {
    const DECODES: bool = true;
    #[inline(always)]
    fn symbol(&mut self, _: usize, table: &Table, _: usize) -> usize {
        self.reader.symbol::<M>(table)
    }
    #[inline(always)]
    fn flag(&mut self, _: usize, _: usize, zero: u16, _: bool) -> bool {
        self.reader.flag(zero)
    }
    #[inline(always)]
    fn raw(&mut self, bits: u32, _: u32) -> u32 {
        self.reader.raw(bits)
    }
}

/// Bucket of a prediction's fraction in 1/32 step, of six.
const COARSE_FRACTION: [u8; 32] =
    [0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5];
/// The same, of ten.
const FINE_FRACTION: [u8; 32] =
    [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6, 7, 7, 7, 8, 8, 8, 9, 9, 9, 9, 9];

/// Place of a table in the model: class of the coefficient, bucket, bucket of the prediction's fraction.
#[inline(always)]
pub(super) fn table_index(kind: Kind, k: usize, bucket: usize, fraction: i16) -> usize {
    let fractions = if matches!(kind, Kind::Finer) { &FINE_FRACTION } else { &COARSE_FRACTION };
    let f = usize::from(fractions[usize::from(fraction as u16 & 31)]);
    (usize::from(CLASS[k & 63]) * BUCKETS + bucket) * kind.fractions() + f
}

/// A small signed value as the number of a symbol: 0, -1, 1, -2, 2, ...
#[inline(always)]
pub(super) fn fold(value: i32) -> usize {
    if value < 0 { (-2 * value - 1) as usize } else { (2 * value) as usize }
}

#[inline(always)]
fn unfold(symbol: usize) -> i32 {
    let half = (symbol as i32 + 1) >> 1;
    if symbol & 1 == 1 { -half } else { half }
}

/// Codes a residual whose sign is turned so that the prediction's fraction is positive.
#[inline(always)]
fn value<C: Coder>(coder: &mut C, model: &Model, index: usize, raw: u32, value: i32) -> i32 {
    let top = value >> raw;
    let inside = (-7..=7).contains(&top);
    let table = &model.tables[index];
    let symbol = coder.symbol(index, table, if inside { fold(top) } else { ESCAPE });
    let top = if symbol == ESCAPE { escaped(coder, top) } else { unfold(symbol) };
    if raw == 0 {
        return top;
    }
    let low = coder.raw(raw, (value & ((1 << raw) - 1)) as u32);
    top << raw | low as i32
}

/// Codes a value beyond -7 to 7: its sign, the length of its excess, the excess.
#[inline(always)]
fn escaped<C: Coder>(coder: &mut C, value: i32) -> i32 {
    let excess = (value.unsigned_abs().max(8) - 7) & 0xFFFF;
    let negative = coder.raw(1, u32::from(value < 0));
    let length = coder.raw(LENGTH_BITS, (31 - excess.leading_zeros()).min(15));
    let (high, low) = (length.saturating_sub(8), length.min(8));
    let rest = excess & ((1 << length) - 1);
    let rest = coder.raw(high, rest >> low) << low | coder.raw(low, rest & ((1 << low) - 1));
    let magnitude = (1 << length | rest) as i32 + 7;
    if negative == 1 { -magnitude } else { magnitude }
}

/// Codes a block: `coefficients` (zigzag order) are read, or written where the coder decodes, which finds them zero.
///
/// `N` is the number of coefficients predicted. The residuals' magnitudes are left in `magnitudes`.
#[inline(always)]
pub(super) fn block<M: Machine, C: Coder, const N: usize>(
    coder: &mut C,
    outlook: &Outlook<'_>,
    features: &mut Features,
    coefficients: &mut [i16; 64],
    magnitudes: &mut Magnitudes,
) {
    let &Outlook { model, prediction, scale, .. } = outlook;
    let predicted: [i16; N] = std::array::from_fn(|k| prediction.steps[k]);
    let mut expected = Lanes::ZERO;
    expect::expect_flags(model, features, &mut expected);
    if C::LOOKS {
        features.complete(&predicted);
        coder.prepare::<M>(outlook, features, coefficients);
    }
    // What is not coded is what was predicted at first.
    let mut last = 0;
    if C::DECODES {
        for (coefficient, &predicted) in coefficients.iter_mut().zip(&predicted) {
            *coefficient = expect::whole_steps(predicted);
        }
    } else {
        let left = |k: &usize| coefficients[*k] != expect::whole_steps(prediction.steps[*k]);
        last = (0..64).rev().find(left).map_or(0, |last| last + 1);
    }
    *magnitudes = [0; 64];
    let mut residuals = [0; PADDED];
    let mut ahead = Ahead::NEW;
    for (i, &(start, end)) in PIECES.iter().enumerate() {
        if let Some(&zero) = model.flags.get(i).map(|flags| &flags[bucket(expected.0[FLAG_LANE + i])]) {
            let at = bucket(expected.0[FLAG_LANE + i]);
            if !coder.flag(i, at, zero, last > start) {
                break;
            }
        }
        if i == 0 {
            if !C::LOOKS {
                features.complete(&predicted);
            }
            expect::expect_magnitudes(model, features, &mut expected);
        }
        let piece = ahead.piece::<M>(model, prediction, scale, i);
        let known = piece.known();
        let mut given = [0; 8];
        if !C::DECODES {
            for ((given, &coefficient), known) in given.iter_mut().zip(&coefficients[start..end]).zip(known) {
                *given = coefficient.wrapping_sub(known);
            }
        }
        // Collected in a number: a vector read from memory would wait for each of them.
        let mut found = 0_u128;
        for k in start..end {
            let at = bucket(expected.0[k]);
            let predicted = piece.steps[k - start];
            let index = table_index(outlook.kind, k, at, expect::fraction_of(predicted));
            let turned = |r: i32| if predicted < 0 { -r } else { r };
            let given = turned(given[k - start].into());
            let residual = turned(value(coder, model, index, raw_bits(at), given));
            if residual != 0 {
                found |= u128::from(residual as u16) << (16 * (k - start));
                let magnitude = residual.unsigned_abs().min(u32::from(MOST)) as u8;
                magnitudes[k] = magnitude;
                expect::learn(model, &mut expected, k, magnitude);
            }
        }
        let found = lanes(found);
        let mut values = [0_i16; 8];
        for ((value, known), found) in values.iter_mut().zip(known).zip(found) {
            *value = known.wrapping_add(found);
        }
        if C::DECODES {
            let length = end - start;
            coefficients[start..end].copy_from_slice(&values[..length]);
        }
        if C::LOOKS {
            residuals[start..start + 8].copy_from_slice(&found);
        }
        ahead.learn(i, values, &piece, scale);
    }
    if C::LOOKS {
        coder.block(features, &residuals);
    }
}

/// Eight numbers of 16 bits, the lowest first.
#[inline(always)]
fn lanes(number: u128) -> [i16; 8] {
    let bytes = number.to_le_bytes();
    std::array::from_fn(|l| i16::from_le_bytes([bytes[2 * l], bytes[2 * l + 1]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_is_reversible() {
        for v in -7..=7 {
            assert_eq!(unfold(fold(v)), v);
            assert!(fold(v) < ESCAPE);
        }
    }
}
