//! Payloads of codec 1 against references of all kinds: any bytes, and what coefficients of any size are coded as.
//!
//! No panic and no overflow; the same answer from a used workspace as from a new one; a record that is given back can
//! be coded again and decodes to the same samples.

#![no_main]

use std::cell::RefCell;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use microtome_codec::coefficients::{Tile, Writer};
use microtome_codec::cross_scale::{Coding, Finer, Kind, Picture, Reference, Workspace};
use microtome_codec::jpeg;
use microtome_fuzz::tiles::{SIDE, Sample};

thread_local! {
    static USED: RefCell<Workspace> = RefCell::default();
}

const SIZES: [[u32; 2]; 4] = [[SIDE, SIDE], [17, 40], [64, 48], [1, 1]];
const OFFSETS: [[u32; 2]; 8] =
    [[SIDE, SIDE], [0, 0], [96, 48], [1, 1], [257, 3], [7, 8], [5000, 12], [70_000, 1_000_000]];

/// The record of a payload, looked at from all sides.
fn look(level: u8, size: [u32; 2], payload: &Bytes, reference: Reference<'_>, used: &mut Workspace) {
    let codec = &Sample::get().codec;
    let record = codec.record(level, size, payload, reference, used);
    let picture = codec.picture(level, size, payload, reference, used);
    let Ok(record) = record else { return };
    let mut fresh = Workspace::new();
    let again = codec.record(level, size, payload, reference, &mut fresh);
    assert!(again.is_ok_and(|again| again == record), "a workspace's past matters");
    assert_eq!(picture, codec.picture(level, size, payload, reference, &mut fresh));
    let picture = picture.expect("the samples of a tile whose stream there is");
    let Some(picture) = picture else {
        assert_eq!(payload[0], 0, "only verbatim payloads have no samples");
        return;
    };
    let mut again = vec![];
    let coding = codec.encode(level, &record, reference, used, &mut again);
    if coding != Coding::Verbatim {
        assert!(codec.picture_in(used) == Some(picture), "other samples");
    }
    assert_eq!(codec.record(level, size, &again, reference, used), Ok(record));
}

/// Bytes one by one, zeros behind their end.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }
}

/// Coefficients from bytes: each says how far on the next one is and how large.
fn fill(tile: &mut Tile, input: &mut Input<'_>) {
    let planes = tile.planes.len();
    for plane in &mut tile.planes {
        let mut at = 0;
        let count = input.0.len() / planes;
        let end = input.0.len() - count;
        while input.0.len() > end {
            let (skip, size) = (input.byte(), input.byte());
            let value = i16::from_le_bytes([input.byte(), size]) >> (size & 7);
            at += usize::from(skip);
            let Some(coefficient) = plane.coefficients.get_mut(at) else { break };
            // Differences of DC coefficients are in range then too.
            *coefficient = value.clamp(-1023, 1023);
            at += 1;
        }
    }
}

/// A tile of coefficients, as it is and as a reference for itself.
fn coefficients(
    level: u8,
    size: [u32; 2],
    group: usize,
    reference: Reference<'_>,
    input: &mut Input<'_>,
    used: &mut Workspace,
) {
    let Sample { codec, groups, .. } = Sample::get();
    let head = input.byte();
    let offset = OFFSETS[usize::from(head >> 4 & 7)];
    let templates = &groups[group % groups.len()].templates;
    let template = &templates[usize::from(head & 3) % templates.len()];
    let mut tile = Tile::new();
    template.planes_for(size[0], size[1], &mut tile).expect("a small size");
    fill(&mut tile, input);
    let mut stream = vec![];
    Writer::new().write(template, &tile, &mut stream).expect("all coefficients are in range");
    let mut check = |level: u8, reference: Reference<'_>| -> Picture {
        let mut payload = vec![];
        let coding = codec.encode(level, &stream, reference, used, &mut payload);
        assert_ne!(coding, Coding::Verbatim, "a stream of our own");
        let picture = codec.picture_in(used).expect("samples");
        let payload = Bytes::from(payload);
        let record = codec.record(level, size, &payload, reference, used);
        assert!(record.is_ok_and(|record| record == stream), "another record");
        let decoded = codec.picture(level, size, &payload, reference, used).expect("just decoded");
        assert!(decoded.as_ref() == Some(&picture), "other samples");
        picture
    };
    let own = check(level, reference);
    check(0, Reference::Coarser { base: &own, offset });
    let finer = [Finer { picture: &own, offset }, Finer { picture: &own, offset: [offset[0] + SIDE, offset[1]] }];
    check(1, Reference::Finer(&finer));
}

// Two bytes say which place the payload is for; with the highest bit of the second, coefficients follow, not a payload.
fuzz_target!(|bytes: &[u8]| {
    let sample = Sample::get();
    let mut input = Input(bytes);
    let (place, more) = (input.byte(), input.byte());
    let level = place & 3;
    let group = usize::from(place >> 2 & 7);
    let size = SIZES[usize::from(place >> 5 & 3)];
    let offset = OFFSETS[usize::from(more & 7)];
    let count = 1 + usize::from(more >> 3 & 3);
    // As a file may have it, and as only a caller's mistake would.
    let kind = match more >> 5 & 3 {
        0 | 1 => sample.codec.kind(level),
        2 => Kind::Coarser,
        _ => Kind::Alone,
    };
    USED.with_borrow_mut(|used| {
        sample.with_reference(kind, group, count, offset, |reference| {
            if more >> 7 == 1 {
                return coefficients(level.min(2), size, group, reference, &mut input, used);
            }
            look(level, size, &Bytes::copy_from_slice(input.0), reference, used);
            if let Reference::Finer(finer) = reference {
                if let Ok(stream) = sample.codec.derive(size, finer, used) {
                    let header = jpeg::inspect(&stream).expect("what is derived is a stream");
                    assert_eq!([header.width, header.height], size);
                }
            }
        });
    });
});
