//! The one walk over a block that encoder, decoder and training share, so that they can't come apart.

use super::expect::{self, Features, MOST, Magnitudes};
use super::model::{CHECKPOINTS, CLASS, FLAG_LANE, FRACTIONS, Lanes, Model, bucket, raw_bits};
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
    fn prepare(&mut self, _model: &Model, _features: &Features, _predicted: &[i16], _block: &mut [i16; 64]) {}
    /// Told of each block before its first symbol.
    #[inline(always)]
    fn block(&mut self, _features: &Features, _residuals: &[i16; 64]) {}
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

/// Bucket of a prediction's fraction in 1/32 step.
const FRACTION: [u8; 32] = {
    let mut bucket = [0; 32];
    let mut i = 0;
    while i < 32 {
        bucket[i] = match i {
            0..3 => 0,
            3..6 => 1,
            6..10 => 2,
            10..14 => 3,
            14..19 => 4,
            _ => 5,
        };
        i += 1;
    }
    bucket
};

/// Place of a table in the model: class of the coefficient, bucket, bucket of the prediction's fraction.
#[inline(always)]
pub(super) fn table_index(k: usize, bucket: usize, fraction: i16) -> usize {
    let f = usize::from(FRACTION[usize::from(fraction as u16 & 31)]);
    usize::from(CLASS[k & 63]) + bucket * FRACTIONS + f
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

/// Codes a block: `coefficients` (zigzag order) are read, or written where the coder decodes.
///
/// `predicted` is in 1/32 step; a decoder finds `coefficients` zero. The residuals' magnitudes are left in `magnitudes`.
#[inline(always)]
pub(super) fn block<M: Machine, C: Coder, const N: usize>(
    coder: &mut C,
    model: &Model,
    features: &mut Features,
    predicted: &[i16; N],
    coefficients: &mut [i16; 64],
    magnitudes: &mut Magnitudes,
) {
    let mut expected = Lanes::ZERO;
    expect::expect_flags(model, features, &mut expected);
    if C::LOOKS {
        features.complete(predicted);
        coder.prepare(model, features, predicted, coefficients);
    }
    let mut residuals = [0_i16; 64];
    let mut last = 0;
    if C::DECODES {
        for (coefficient, &predicted) in coefficients.iter_mut().zip(predicted) {
            *coefficient = expect::whole_steps(predicted);
        }
    } else {
        residuals = *coefficients;
        for (residual, &predicted) in residuals.iter_mut().zip(predicted) {
            *residual = residual.wrapping_sub(expect::whole_steps(predicted));
        }
        coder.block(features, &residuals);
        last = residuals.iter().rposition(|&r| r != 0).map_or(0, |last| last + 1);
    }
    *magnitudes = [0; 64];
    for (i, &start) in CHECKPOINTS.iter().enumerate() {
        let at = bucket(expected.0[FLAG_LANE + i]);
        if !coder.flag(i, at, model.flags[i][at], last > start) {
            return;
        }
        if i == 0 {
            if !C::LOOKS {
                features.complete(predicted);
            }
            expect::expect_magnitudes(model, features, &mut expected);
        }
        let end = CHECKPOINTS.get(i + 1).copied().unwrap_or(64);
        for k in start..end {
            let at = bucket(expected.0[k]);
            let (fraction, negative) = match predicted.get(k) {
                Some(&predicted) => (expect::fraction_of(predicted), predicted < 0),
                None => (0, false),
            };
            let index = table_index(k, at, fraction);
            let turned = |r: i32| if negative { -r } else { r };
            let residual = turned(value(coder, model, index, raw_bits(at), turned(residuals[k].into())));
            if residual != 0 {
                if C::DECODES {
                    coefficients[k] = coefficients[k].wrapping_add(residual as i16);
                }
                let magnitude = residual.unsigned_abs().min(u32::from(MOST)) as u8;
                magnitudes[k] = magnitude;
                expect::learn(model, &mut expected, k, magnitude);
            }
        }
    }
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
