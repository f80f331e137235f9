//! Models as bytes: numbers as differences, in variable length, for a general-purpose compressor behind them.
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

    fn sixteen(&mut self) -> Result<i16, Error> {
        let value = self.signed()?;
        i16::try_from(value).ok().ok_or(self.malformed("a weight beyond 16 bits"))
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

/// Largest weight of an edge, and of an error within the block: sums of products must fit 32 bits.
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

/// Appends a model.
pub(super) fn put(model: &Model, kind: Kind, out: &mut Vec<u8>) {
    let mut model = model.clone();
    // Writing changes nothing and cannot fail.
    let _ = each_weight(&mut model, kind, |&mut weight, _| {
        put_signed(out, weight.into());
        Ok(())
    });
    for flags in &model.flags {
        let mut last = i32::from(SCALE / 2);
        for &flag in flags {
            put_signed(out, i32::from(flag) - last);
            last = flag.into();
        }
    }
    for context in 0..model.widths.len() {
        let widths = &model.widths[context];
        let before = *base(&model, kind, context);
        // Most tables are the one before: a byte for those.
        out.push(u8::from(*widths != before));
        if *widths != before {
            out.extend(widths.iter().zip(before).map(|(w, b)| w.wrapping_sub(b)));
        }
    }
}

/// The widths that a context's own are written as differences from: those of the bucket before.
fn base(model: &Model, kind: Kind, context: usize) -> &[u8; SYMBOLS] {
    const START: [u8; SYMBOLS] = [80; SYMBOLS];
    match context / kind.fractions() % BUCKETS {
        0 => &START,
        _ => &model.widths[context - kind.fractions()],
    }
}

/// Reads a model.
pub(super) fn take(input: &mut Input<'_>, kind: Kind) -> Result<Model, Error> {
    let mut model = Model::blank(kind);
    each_weight(&mut model, kind, |weight, most| {
        *weight = input.sixteen()?;
        match most == i16::MAX || weight.saturating_abs() <= most {
            true => Ok(()),
            false => Err(input.malformed("a weight outside its range")),
        }
    })?;
    for flags in &mut model.flags {
        let mut last = i32::from(SCALE / 2);
        for flag in flags {
            last += input.signed()?;
            *flag = u16::try_from(last)
                .ok()
                .filter(|f| (1..SCALE).contains(f))
                .ok_or(input.malformed("a probability outside its range"))?;
        }
    }
    for context in 0..model.widths.len() {
        let mut widths = *base(&model, kind, context);
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
    model.make_tables();
    Ok(model)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            model.make_tables();
            let mut bytes = vec![];
            put(&model, kind, &mut bytes);
            let mut input = Input::new(&bytes);
            let read = take(&mut input, kind).expect("just written");
            assert!(read == model);
            assert_eq!(input.finish(), Ok(()));
            for length in (0..bytes.len()).step_by(97) {
                assert!(take(&mut Input::new(&bytes[..length]), kind).is_err());
            }
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4000)) {
            let _ = take(&mut Input::new(&bytes), Kind::Coarser);
        }
    }
}
