//! The one walk over a block that encoder, decoder and training share, so that they can't come apart.
#![allow(clippy::needless_range_loop, reason = "arrays of a block have one index")]

use super::ahead::{Ahead, MASKS, PADDED, Piece, Prediction, Scale, Sixteen, sixteen};
use super::expect::{self, Expected, Features, MOST, Magnitudes};
use super::model::{EDGE_TARGETS, FIRST_RAW, Kind, Model, PIECES, bucket_of, raw_bits};
use super::rans::{Machine, Reader, SYMBOLS};

/// The last symbol of a table: the value lies outside, and follows.
pub(super) const ESCAPE: usize = SYMBOLS - 1;
/// The piece from which on residuals are zero more often than not (in dense tiles 79 % of piece 3 and 38 % of piece 2).
pub(super) const SPARSE: usize = 3;
/// Bits of an escaped value's length.
const LENGTH_BITS: u32 = 4;

/// Where symbols go to or come from. What a decoder is handed, it ignores; what an encoder is handed, it returns.
pub(super) trait Coder {
    /// Whether the values come from here.
    const DECODES: bool;
    /// Whether it is told of symbols and flags: who looks only at whole blocks need not wait for what is expected of them.
    const CODES: bool = true;
    /// Told of each row of blocks before its first.
    fn row(&mut self, _row: usize) {}
    /// The symbol of the table at a place in the model.
    #[inline(always)]
    fn symbol(&mut self, _model: &Model, _index: usize, symbol: usize) -> usize {
        symbol
    }
    /// Whether the next symbol is 0, which then is taken. Only decoders are asked.
    #[inline(always)]
    fn zero(&mut self, _model: &Model, _index: usize) -> bool {
        false
    }
    /// Whether anything follows, at a checkpoint and in a bucket.
    #[inline(always)]
    fn flag(&mut self, _checkpoint: usize, _bucket: usize, _zero: u16, flag: bool) -> bool {
        flag
    }
    /// `bits` (at most 14) plain bits.
    #[inline(always)]
    fn raw(&mut self, _bits: u32, value: u32) -> u32 {
        value
    }
    /// May change a block's coefficients before they are coded.
    #[inline(always)]
    fn prepare<M: Machine, const N: usize>(&mut self, _outlook: &Outlook<'_>, _block: &mut [i16; 64]) {}
    /// Told of each block after its last symbol, and of the residuals of its pieces that are coded.
    #[inline(always)]
    fn block(&mut self, _outlook: &Outlook<'_>, _residuals: &[i16]) {}
}

/// What the blocks of a plane have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting<'a> {
    pub(super) model: &'a Model,
    pub(super) kind: Kind,
    pub(super) scale: &'a Scale,
}

/// What is known of a block before its first symbol.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outlook<'a> {
    pub(super) setting: Setting<'a>,
    pub(super) prediction: &'a Prediction,
    pub(super) features: &'a Features,
}

/// A [`Reader`] on a machine.
pub(super) struct Decoder<'a, M> {
    pub(super) reader: Reader<'a>,
    pub(super) machine: std::marker::PhantomData<M>,
}

impl<M: Machine> Coder for Decoder<'_, M> {
    const DECODES: bool = true;
    #[inline(always)]
    fn symbol(&mut self, model: &Model, index: usize, _: usize) -> usize {
        self.reader.symbol::<M>(&model.tables[index])
    }
    #[inline(always)]
    fn zero(&mut self, model: &Model, index: usize) -> bool {
        self.reader.zero(&model.tables[index])
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

/// A small signed value as the number of a symbol: 0, -1, 1, -2, 2, ...
#[inline(always)]
pub(super) fn fold(value: i32) -> usize {
    if value < 0 { (-2 * value - 1) as usize } else { (2 * value) as usize }
}

/// Value and magnitude of each symbol. For [`ESCAPE`] it is a magnitude that no other has, a bucket's that has plain bits.
pub(super) static VALUES: [[i16; 2]; SYMBOLS] = {
    let mut values = [[0, FIRST_RAW as i16]; SYMBOLS];
    values[0] = [0, 0];
    let mut symbol = 1;
    while symbol < ESCAPE {
        let magnitude = (symbol as i16 + 1) / 2;
        values[symbol] = [if symbol % 2 == 1 { -magnitude } else { magnitude }, magnitude];
        symbol += 1;
    }
    values
};

/// Codes what of a residual goes beyond its symbol; `plain` codes so many plain bits. Rare, and kept out of the way of what
/// is not.
#[cold]
#[inline(never)]
fn rest(plain: &mut impl FnMut(u32, u32) -> u32, symbol: usize, bucket: usize, value: i32) -> i32 {
    let raw = raw_bits(bucket);
    let top = if symbol == ESCAPE { escaped(plain, value >> raw) } else { VALUES[symbol][0].into() };
    let low = if raw > 0 { plain(raw, (value & ((1 << raw) - 1)) as u32) } else { 0 };
    top << raw | low as i32
}

/// Codes a value beyond -7 to 7: its sign, the length of its excess, the excess.
#[inline(always)]
pub(super) fn escaped(plain: &mut impl FnMut(u32, u32) -> u32, value: i32) -> i32 {
    let excess = (value.unsigned_abs().max(8) - 7) & 0xFFFF;
    let negative = plain(1, u32::from(value < 0));
    let length = plain(LENGTH_BITS, (31 - excess.leading_zeros()).min(15));
    let (high, low) = (length.saturating_sub(8), length.min(8));
    let rest = excess & ((1 << length) - 1);
    let rest = plain(high, rest >> low) << low | plain(low, rest & ((1 << low) - 1));
    let magnitude = (1 << length | rest) as i32 + 7;
    if negative == 1 { -magnitude } else { magnitude }
}

/// A block on its way: what is known of it, and how far it is.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) prediction: Prediction,
    features: Features,
    expected: Expected,
    /// Magnitudes of the residuals so far, 0 to [`MOST`].
    pub(super) found: [i16; 64],
    ahead: Ahead,
    piece: Piece,
    coded: Coded,
    /// Where encoding ends: behind the last coefficient that is not what was predicted at first.
    last: usize,
}

impl Block {
    /// No block yet.
    pub(super) const NONE: Self = Self {
        prediction: Prediction::NONE,
        features: Features::NONE,
        expected: Expected::NOTHING,
        found: [0; 64],
        ahead: Ahead::NEW,
        piece: Piece::NONE,
        coded: Coded::NEW,
        last: 0,
    };

    /// Comes to another block of the same plane; `known` and `correction` are its prediction, `left` and `above` the
    /// magnitudes of its neighbours.
    #[inline(always)]
    pub(super) fn begin<M: Machine, const N: usize>(
        &mut self,
        setting: &Setting<'_>,
        known: &[i16; N],
        correction: &[i16; EDGE_TARGETS],
        left: Option<&Magnitudes>,
        above: Option<&Magnitudes>,
    ) {
        self.prediction.set(known, correction, setting.scale);
        self.features.set::<M>(left, above, &self.prediction.steps);
        self.expected = Expected::new(setting.model, &self.features);
        self.found = [0; 64];
        self.coded.residuals = [0; PADDED];
        self.coded.pieces = 0;
    }

    #[inline(always)]
    fn outlook<'a>(&'a self, setting: &Setting<'a>) -> Outlook<'a> {
        Outlook { setting: *setting, prediction: &self.prediction, features: &self.features }
    }

    /// Codes a block that is read; `N` is the number of coefficients predicted at first.
    #[inline(always)]
    pub(super) fn encode<M: Machine, C: Coder, const N: usize>(
        &mut self,
        coder: &mut C,
        setting: &Setting<'_>,
        coefficients: &mut [i16; 64],
    ) {
        coder.prepare::<M, N>(&self.outlook(setting), coefficients);
        self.last = self.coded.start(coefficients, &self.prediction);
        for (i, (start, end)) in PIECES.into_iter().enumerate() {
            if !self.open::<M, C, N>(coder, setting, i) {
                break;
            }
            if C::CODES {
                for k in start..end {
                    self.step(coder, setting, i, k);
                }
            }
        }
        if !C::CODES {
            for (found, residual) in self.found.iter_mut().zip(&self.coded.residuals) {
                *found = residual.unsigned_abs().min(MOST.into()) as i16;
            }
        }
        coder.block(&self.outlook(setting), self.coded.residuals());
    }

    /// Comes to piece `i`: whether there is anything from there on.
    #[inline(always)]
    pub(super) fn open<M: Machine, C: Coder, const N: usize>(
        &mut self,
        coder: &mut C,
        setting: &Setting<'_>,
        i: usize,
    ) -> bool {
        let model = setting.model;
        if let Some(flags) = model.flags.get(i) {
            let mut goes_on = self.last > PIECES[i].0;
            if C::CODES {
                let at = bucket_of(self.expected.flag(i));
                goes_on = coder.flag(i, at, flags[at], goes_on);
            }
            if !goes_on {
                return false;
            }
        }
        if let Some(before) = i.checked_sub(1) {
            let values = self.coded.values::<C>(before, &self.piece);
            self.ahead.learn::<M>(before, &values, &self.piece, setting.scale);
        }
        if C::CODES {
            self.expected.begin::<N>(model, &self.features, &self.prediction.steps, &self.found, i);
        }
        self.piece = self.ahead.piece::<M>(&self.outlook(setting), i);
        if !C::DECODES {
            self.coded.compare(i, &self.piece);
        }
        self.coded.pieces = i + 1;
        true
    }

    /// Codes the residual at zigzag index `k`, in the open piece, number `i`.
    #[inline(always)]
    pub(super) fn step<C: Coder>(&mut self, coder: &mut C, setting: &Setting<'_>, i: usize, k: usize) {
        let model = setting.model;
        let bucket = bucket_of(self.expected.of(i, k));
        let tables = usize::from(self.piece.tables[(k - PIECES[i].0) & 15]);
        let index = tables + bucket * setting.kind.fractions();
        // Most of the last pieces are zeros, which change nothing: a branch that is mostly foreseen. Before them it is not.
        if C::DECODES && i >= SPARSE && bucket < FIRST_RAW && coder.zero(model, index) {
            return;
        }
        let given = if C::DECODES { 0 } else { i32::from(self.coded.residuals[k]) };
        let top = given >> raw_bits(bucket);
        let symbol = if C::DECODES || !(-7..=7).contains(&top) { ESCAPE } else { fold(top) };
        let symbol = coder.symbol(model, index, symbol);
        let [mut value, mut magnitude] = VALUES[symbol & 15];
        // Every fourth residual of the first two pieces has plain bits, by a branch that is mostly foreseen and kept near.
        // Elsewhere one test is for both, an escape and plain bits: what is below 32 has no bits from there on.
        if C::DECODES && i < 2 && symbol != ESCAPE {
            if bucket >= FIRST_RAW {
                let raw = raw_bits(bucket);
                value = value << raw | coder.raw(raw, 0) as i16;
                magnitude = value.unsigned_abs().min(MOST.into()) as i16;
            }
        } else if bucket | magnitude as usize >= FIRST_RAW {
            let residual = rest(&mut |bits, value| coder.raw(bits, value), symbol, bucket, given);
            (value, magnitude) = (residual as i16, residual.unsigned_abs().min(MOST.into()) as i16);
        }
        // A decoder would have to know before it goes on.
        if C::DECODES {
            self.coded.residuals[k] = value;
        }
        self.found[k] = magnitude;
        self.expected.learn(model, i, k, magnitude);
    }

    /// Takes in the last piece of a decoded block; [`Self::coefficients`] follows.
    #[inline(always)]
    pub(super) fn end<M: Machine>(&mut self) {
        if let Some(last) = self.coded.pieces.checked_sub(1) {
            self.coded.values::<Decoder<'_, M>>(last, &self.piece);
        }
    }

    /// The coefficients of a decoded block.
    #[inline(always)]
    pub(super) fn coefficients(&self, coefficients: &mut [i16; 64]) {
        self.coded.finish(&self.prediction, coefficients);
    }
}

/// A residual, turned where the prediction is negative: there and back.
#[inline(always)]
fn turned(residual: i16, prediction: i16) -> i16 {
    let sign = prediction >> 15;
    (residual ^ sign).wrapping_sub(sign)
}

/// What of a block is coded.
#[derive(Debug, Clone)]
struct Coded {
    values: [i16; PADDED],
    /// Turned so that what is predicted is positive.
    residuals: [i16; PADDED],
    /// Pieces coded; the coefficients of the others are what was predicted at first.
    pieces: usize,
}

/// All ones where one of the first so many pieces is.
static CODED: [[i16; 64]; PIECES.len() + 1] = {
    let mut masks = [[0; 64]; PIECES.len() + 1];
    let mut pieces = 1;
    while pieces <= PIECES.len() {
        let mut k = 0;
        while k < PIECES[pieces - 1].1 {
            masks[pieces][k] = -1;
            k += 1;
        }
        pieces += 1;
    }
    masks
};

impl Coded {
    const NEW: Self = Self { values: [0; PADDED], residuals: [0; PADDED], pieces: 0 };

    /// Takes the coefficients to be coded; returns how many have to be.
    #[inline(always)]
    fn start(&mut self, coefficients: &[i16; 64], prediction: &Prediction) -> usize {
        self.values[..64].copy_from_slice(coefficients);
        let mut last = 0;
        for k in 0..64 {
            let differs = coefficients[k] != expect::whole_steps(prediction.steps[k]);
            last = last.max(if differs { k as u16 + 1 } else { 0 });
        }
        last.into()
    }

    /// The residuals of a piece, from its values.
    #[inline(always)]
    fn compare(&mut self, i: usize, piece: &Piece) {
        let (start, _) = PIECES[i];
        for l in 0..16 {
            let residual = self.values[start + l].wrapping_sub(piece.known[l]) & MASKS[i][l];
            self.residuals[start + l] = turned(residual, piece.steps[l]);
        }
    }

    /// The residuals of all pieces that are coded.
    #[inline(always)]
    fn residuals(&self) -> &[i16] {
        let end = self.pieces.checked_sub(1).map_or(0, |last| PIECES[last].1);
        &self.residuals[..end]
    }

    /// The values of a piece; from its residuals, if the coder decodes.
    #[inline(always)]
    fn values<C: Coder>(&mut self, i: usize, piece: &Piece) -> Sixteen {
        let (start, _) = PIECES[i];
        let mut values = *sixteen(&self.values, start);
        if C::DECODES {
            let residuals = sixteen(&self.residuals, start);
            for l in 0..16 {
                values[l] = piece.known[l].wrapping_add(turned(residuals[l], piece.steps[l]));
            }
            // What lies beyond the piece will be written over.
            self.values[start..start + 16].copy_from_slice(&values);
        }
        values
    }

    /// The coefficients of a decoded block.
    #[inline(always)]
    fn finish(&self, prediction: &Prediction, coefficients: &mut [i16; 64]) {
        let mut out = [0; 64];
        for (k, coded) in CODED[self.pieces.min(PIECES.len())].into_iter().enumerate() {
            let rest = expect::whole_steps(prediction.steps[k]);
            out[k] = self.values[k] & coded | rest & !coded;
        }
        *coefficients = out;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_is_reversible() {
        for v in -7..=7 {
            assert_eq!(VALUES[fold(v)].map(i32::from), [v, v.abs()]);
            assert!(fold(v) < ESCAPE);
        }
    }
}
