//! Parameters of codec 1, apart and together again: as `docs/format/codec-1.md` has them, read and written here without
//! the reader, which is what is tested.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use libfuzzer_sys::arbitrary::{self, Arbitrary};

const MODELS: &[u8] = include_bytes!("../../crates/microtome-codec/src/cross_scale/built_in.bin");

/// Weights of all kinds before those of the edges: bias, shared, own, inner.
const WEIGHTS: usize = 69 + 4 * 69 + 4 * 64 + 2086;
const EDGES: usize = 40 * 4;
const AHEAD: usize = 3 * 7 + 10 * 11 + 21 * 15 + 36 * 16;
const FLAGS: [usize; 2] = [5, 53];
/// Buckets of fractions, by kind.
const FRACTIONS: [usize; 3] = [6, 6, 10];

/// Inflates parameters; what the length says is left to the reader.
pub fn unpack(bytes: &[u8]) -> Vec<u8> {
    let mut plain = vec![];
    let _ = DeflateDecoder::new(bytes.get(4..).unwrap_or_default()).take(1 << 22).read_to_end(&mut plain);
    plain
}

/// Makes parameters of plain ones, quickly.
pub fn pack(plain: &[u8]) -> Vec<u8> {
    let mut out = DeflateEncoder::new((plain.len() as u32).to_le_bytes().to_vec(), Compression::none());
    out.write_all(plain).expect("writes to memory");
    out.finish().expect("writes to memory")
}

/// A model as numbers.
#[derive(Clone)]
pub struct Numbers {
    /// The last of these are the edges' and those within the block.
    weights: Vec<i16>,
    fractions: usize,
    flags: Vec<u16>,
    widths: Vec<[u8; 16]>,
}

/// Something done to a model.
#[derive(Arbitrary, Debug)]
pub enum Edit {
    /// Weights from one place on, by turns.
    Weights { at: u16, count: u16, values: [i16; 2] },
    /// Each of so many weights by its own.
    Each { at: u16, values: Vec<i16> },
    /// Multiplies weights.
    Times { at: u16, count: u16, by: i8 },
    /// Probabilities that nothing follows.
    Flags { at: u16, count: u16, value: u16 },
    /// Widths of tables, by turns.
    Widths { at: u16, count: u16, values: [u8; 4] },
}

impl Numbers {
    /// The models that come with the program, kind by kind.
    pub fn built_in() -> Vec<Self> {
        let mut plain = vec![];
        DeflateDecoder::new(MODELS).read_to_end(&mut plain).expect("deflated");
        let mut at = 0;
        (0..6).map(|number| Self::read(&plain, &mut at, number / 2)).collect()
    }

    fn read(plain: &[u8], at: &mut usize, kind: usize) -> Self {
        let mut signed = || {
            let (mut value, mut shift) = (0, 0);
            loop {
                let byte = plain[*at];
                *at += 1;
                value |= i32::from(byte & 127) << shift;
                shift += 7;
                if byte < 128 {
                    return (value >> 1) ^ -(value & 1);
                }
            }
        };
        let count = [0, 18 * 3 * 8 * 2, 64][kind] + WEIGHTS + EDGES + AHEAD;
        let weights = (0..count).map(|_| signed() as i16).collect();
        let mut flags = vec![];
        for _ in 0..FLAGS[0] {
            let mut last = 8192;
            for _ in 0..FLAGS[1] {
                last += signed();
                flags.push(last as u16);
            }
        }
        let mut widths: Vec<[u8; 16]> = vec![];
        let fractions = FRACTIONS[kind];
        for context in 0..5 * 53 * fractions {
            let mut own = base(&widths, fractions, context);
            let differs = plain[*at];
            *at += 1;
            if differs == 1 {
                own.iter_mut().zip(&plain[*at..]).for_each(|(w, d)| *w = w.wrapping_add(*d));
                *at += 16;
            }
            widths.push(own);
        }
        Self { weights, fractions, flags, widths }
    }

    /// Appends the model.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut signed = |value: i32| {
            let mut value = ((value << 1) ^ (value >> 31)) as u32;
            while value > 127 {
                out.push(value as u8 | 128);
                value >>= 7;
            }
            out.push(value as u8);
        };
        self.weights.iter().for_each(|&w| signed(w.into()));
        for flags in self.flags.chunks_exact(FLAGS[1]) {
            let mut last = 8192;
            for &flag in flags {
                signed(i32::from(flag) - last);
                last = flag.into();
            }
        }
        for (context, own) in self.widths.iter().enumerate() {
            let before = base(&self.widths, self.fractions, context);
            out.push(u8::from(before != *own));
            if before != *own {
                out.extend(own.iter().zip(before).map(|(w, b)| w.wrapping_sub(b)));
            }
        }
    }

    /// Edits the model; what comes out is always within the ranges that the format allows.
    pub fn edit(&mut self, edit: &Edit) {
        let of = |at: u16, length: usize| usize::from(at) % length;
        match edit {
            Edit::Weights { at, count, values } => {
                let at = of(*at, self.weights.len());
                let all = self.weights[at..].iter_mut().zip(values.iter().cycle());
                all.take(usize::from(*count)).for_each(|(weight, value)| *weight = *value);
            }
            Edit::Each { at, values } => {
                let at = of(*at, self.weights.len());
                self.weights[at..].iter_mut().zip(values).for_each(|(weight, value)| *weight = *value);
            }
            Edit::Times { at, count, by } => {
                let at = of(*at, self.weights.len());
                for weight in self.weights[at..].iter_mut().take(usize::from(*count)) {
                    *weight = weight.saturating_mul(i16::from(*by));
                }
            }
            Edit::Flags { at, count, value } => {
                let at = of(*at, self.flags.len());
                let all = self.flags[at..].iter_mut().take(usize::from(*count));
                all.for_each(|flag| *flag = (*value).clamp(1, 16_383));
            }
            Edit::Widths { at, count, values } => {
                let at = of(*at, self.widths.len());
                for own in self.widths[at..].iter_mut().take(usize::from(*count)) {
                    own.iter_mut().zip(values.iter().cycle()).for_each(|(width, v)| *width = v % 113);
                }
            }
        }
        let place = self.weights.len() - AHEAD;
        let (rest, ahead) = self.weights.split_at_mut(place);
        let edges = rest.len() - EDGES;
        rest[edges..].iter_mut().for_each(|weight| *weight = (*weight).clamp(-16_383, 16_383));
        ahead.iter_mut().for_each(|weight| *weight = (*weight).clamp(-8191, 8191));
    }
}

/// What a context's widths are differences from.
fn base(widths: &[[u8; 16]], fractions: usize, context: usize) -> [u8; 16] {
    if context / fractions % 53 == 0 { [80; 16] } else { widths[context - fractions] }
}
