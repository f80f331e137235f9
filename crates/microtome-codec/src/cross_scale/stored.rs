//! Models as bytes: numbers as differences, from each other or from another model's, in variable length, for a general-purpose
//! compressor behind them.
//!
//! The order of the numbers is that of `docs/format/codec-1.md`. Lanes that no place in a block reaches are left out.

use super::model::{
    AHEAD_AT, AHEAD_PIECES, BUCKETS, CHECKPOINTS, EDGE_TARGETS, FLAG_LANE, Kind, Lanes, MAX_WIDTH, Model,
    PIECES,
};
use super::rans::{SCALE, SYMBOLS};
use crate::Error;

/// Bytes in the order they come.
pub(super) struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn malformed(&self, what: &'static str) -> Error {
        Error::Malformed { offset: self.at, what }
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let end = self.at.checked_add(length);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or(self.malformed("the codec parameters are cut off"))?;
        self.at += length;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Error> {
        self.take(1).map(|b| b[0])
    }

    /// A number in groups of seven bits, lowest first, of at most 28 bits.
    pub(super) fn number(&mut self) -> Result<u32, Error> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.malformed("a number of more than 28 bits"))
    }

    fn signed(&mut self) -> Result<i32, Error> {
        let value = self.number()?;
        Ok((value >> 1) as i32 ^ -((value & 1) as i32))
    }

    /// All that is left.
    pub(super) fn rest(self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    pub(super) fn finish(self) -> Result<(), Error> {
        match self.at == self.bytes.len() {
            true => Ok(()),
            false => Err(self.malformed("bytes follow the codec parameters")),
        }
    }
}

pub(super) fn put_number(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_signed(out: &mut Vec<u8>, value: i32) {
    put_number(out, ((value << 1) ^ (value >> 31)) as u32);
}

/// Lanes in use: the magnitudes and the checkpoints.
const USED: std::ops::Range<usize> = 0..FLAG_LANE + CHECKPOINTS;

/// Whether what is at zigzag index `k` comes before the lane.
fn before(k: usize, lane: usize) -> bool {
    if lane < FLAG_LANE { k < lane } else { k < PIECES[lane - FLAG_LANE].0 }
}

/// Largest weight of an edge, and of an error within the block. (Sums of the latter's products may leave 32 bits where nobody
/// trained them, and wrap.)
pub(super) const MOST_EDGE: i16 = 16383;
pub(super) const MOST_AHEAD: i16 = 8191;

/// A model's weights in their order, told to `each` with their bound.
fn each_weight(
    model: &mut Model,
    kind: Kind,
    mut each: impl FnMut(&mut i16, i16) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut any = |weight: &mut i16| each(weight, i16::MAX);
    if kind == Kind::Coarser {
        model.parent.iter_mut().flatten().flatten().flatten().try_for_each(&mut any)?;
    }
    if kind == Kind::Finer {
        model.gain.iter_mut().try_for_each(&mut any)?;
    }
    let Model { bias, own, block, inner, .. } = model;
    for lanes in std::iter::once(bias).chain(block) {
        lanes.0[USED].iter_mut().try_for_each(&mut any)?;
    }
    for lanes in own {
        lanes.0[..FLAG_LANE].iter_mut().try_for_each(&mut any)?;
    }
    for (k, Lanes(lanes)) in inner.iter_mut().enumerate() {
        let behind = lanes[USED].iter_mut().enumerate().filter(|(lane, _)| before(k, *lane));
        behind.map(|(_, weight)| weight).try_for_each(&mut any)?;
    }
    for k in 0..EDGE_TARGETS {
        for side in &mut model.edges {
            side[k / 8][k % 8].iter_mut().try_for_each(|weight| each(weight, MOST_EDGE))?;
        }
    }
    for (i, &(start, end)) in PIECES[..AHEAD_PIECES].iter().enumerate() {
        for source in 0..start {
            let weights = model.ahead[AHEAD_AT[i] + source / 2].as_flattened_mut();
            let mut inside = weights[..end - start].iter_mut();
            inside.try_for_each(|weight| each(&mut weight[source % 2], MOST_AHEAD))?;
        }
    }
    Ok(())
}

/// What a model's numbers are written as differences from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Base<'a> {
    /// Nothing: a model on its own, whose tables are written as differences from those of the bucket before.
    Nothing,
    /// Another model of its kind.
    Model(&'a Model),
}

impl Base<'_> {
    /// Its weights, in their order.
    fn weights(self, kind: Kind) -> Vec<i16> {
        let mut model = match self {
            Self::Nothing => return vec![],
            Self::Model(model) => model.clone(),
        };
        let mut weights = vec![];
        // Reading changes nothing and cannot fail.
        let _ = each_weight(&mut model, kind, |&mut weight, _| {
            weights.push(weight);
            Ok(())
        });
        weights
    }

    /// What the flag of a bucket is a difference from; `last` is the flag before it.
    fn flag(self, checkpoint: usize, bucket: usize, last: Option<i32>) -> i32 {
        match self {
            Self::Nothing => last.unwrap_or(i32::from(SCALE / 2)),
            Self::Model(model) => model.flags[checkpoint][bucket].into(),
        }
    }

    /// What the widths of a context of `model` are differences from.
    fn widths(self, model: &Model, kind: Kind, context: usize) -> [u8; SYMBOLS] {
        match self {
            Self::Nothing if (context / kind.fractions()).is_multiple_of(BUCKETS) => [80; SYMBOLS],
            Self::Nothing => model.widths[context - kind.fractions()],
            Self::Model(model) => model.widths[context],
        }
    }
}

/// Appends a model.
pub(super) fn put(model: &Model, kind: Kind, base: Base<'_>, out: &mut Vec<u8>) {
    let mut model = model.clone();
    let mut weights = base.weights(kind).into_iter();
    // Writing changes nothing and cannot fail.
    let _ = each_weight(&mut model, kind, |&mut weight, _| {
        put_signed(out, i32::from(weight) - i32::from(weights.next().unwrap_or(0)));
        Ok(())
    });
    for (checkpoint, flags) in model.flags.iter().enumerate() {
        let mut last = None;
        for (bucket, &flag) in flags.iter().enumerate() {
            put_signed(out, i32::from(flag) - base.flag(checkpoint, bucket, last));
            last = Some(flag.into());
        }
    }
    for context in 0..model.widths.len() {
        let widths = &model.widths[context];
        let before = base.widths(&model, kind, context);
        // Most tables are those: a byte each.
        out.push(u8::from(*widths != before));
        if *widths != before {
            out.extend(widths.iter().zip(before).map(|(w, b)| w.wrapping_sub(b)));
        }
    }
}

/// Reads a model.
pub(super) fn take(input: &mut Input<'_>, kind: Kind, base: Base<'_>) -> Result<Model, Error> {
    let mut model = Model::blank(kind);
    let mut weights = base.weights(kind).into_iter();
    each_weight(&mut model, kind, |weight, most| {
        let value = input.signed()? + i32::from(weights.next().unwrap_or(0));
        *weight = i16::try_from(value).ok().ok_or(input.malformed("a weight beyond 16 bits"))?;
        match most == i16::MAX || weight.saturating_abs() <= most {
            true => Ok(()),
            false => Err(input.malformed("a weight outside its range")),
        }
    })?;
    for (checkpoint, flags) in model.flags.iter_mut().enumerate() {
        let mut last = None;
        for (bucket, flag) in flags.iter_mut().enumerate() {
            let value = input.signed()? + base.flag(checkpoint, bucket, last);
            *flag = u16::try_from(value)
                .ok()
                .filter(|f| (1..SCALE).contains(f))
                .ok_or(input.malformed("a probability outside its range"))?;
            last = Some(value);
        }
    }
    for context in 0..model.widths.len() {
        let mut widths = base.widths(&model, kind, context);
        match input.byte()? {
            0 => {}
            1 => {
                for (width, &difference) in widths.iter_mut().zip(input.take(SYMBOLS)?) {
                    *width = width.wrapping_add(difference);
                    if *width > MAX_WIDTH {
                        return Err(input.malformed("a width outside its range"));
                    }
                }
            }
            _ => return Err(input.malformed("neither a table nor none")),
        }
        model.widths[context] = widths;
    }
    model.arrange();
    Ok(model)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::built_in;
    use super::*;

    #[test]
    fn a_model_survives_the_round_trip() {
        for kind in Kind::ALL {
            let mut model = Model::blank(kind);
            let mut n = 0_i16;
            each_weight(&mut model, kind, |w, _| {
                n = n.wrapping_mul(31).wrapping_add(7);
                *w = n % 8000;
                Ok(())
            })
            .expect("weights are only set");
            model.flags[3][7] = 11;
            model.widths[100] = [3; 16];
            model.arrange();
            let built_in = &built_in::models()[kind as usize][0];
            for base in [Base::Nothing, Base::Model(built_in)] {
                let mut bytes = vec![];
                put(&model, kind, base, &mut bytes);
                let mut input = Input::new(&bytes);
                let read = take(&mut input, kind, base).expect("just written");
                assert!(read == model);
                assert_eq!(input.finish(), Ok(()));
                for length in (0..bytes.len()).step_by(97) {
                    assert!(take(&mut Input::new(&bytes[..length]), kind, base).is_err());
                }
            }
            let mut bytes = vec![];
            put(built_in, kind, Base::Model(built_in), &mut bytes);
            assert!(bytes.iter().all(|&byte| byte == 0), "nothing differs");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4000)) {
            let built_in = &built_in::models()[1][0];
            for base in [Base::Nothing, Base::Model(built_in)] {
                let _ = take(&mut Input::new(&bytes), Kind::Coarser, base);
            }
        }
    }
}
