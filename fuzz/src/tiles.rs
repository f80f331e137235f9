//! Codec 1 at work: a codec with some templates, and small tiles, pictures and payloads to go with it.

use std::sync::LazyLock;

use microtome_codec::coefficients::{HuffmanTables, Template, Tile, Writer};
use microtome_codec::cross_scale::{Coding, CrossScale, Finer, Kind, Picture, Reference, Workspace};
use microtome_codec::jpeg::Colour;
use microtome_codec::payload::{LevelStream, VerbatimParams};
use microtome_codec::turbo::Subsampling;

use crate::{abbreviate, jpeg};

/// What the levels are predicted from. Level 3 lacks tables, and its edge tiles are padded.
pub const KINDS: [Kind; 4] = [Kind::Coarser, Kind::Finer, Kind::Alone, Kind::Alone];
/// Side of the tiles that others are predicted from, and of the padded ones.
pub const SIDE: u32 = 32;

/// Sampling factors of the components of each group: usual ones, and such as do not divide.
const SAMPLING: [&[[u8; 2]]; 5] = [
    &[[2, 2], [1, 1], [1, 1]],
    &[[1, 1], [1, 1], [1, 1]],
    &[[1, 1]],
    &[[2, 1], [1, 2], [1, 1], [1, 1]],
    &[[3, 1], [1, 1], [2, 1]],
];

/// Templates of one group.
const TEMPLATES: usize = 3;

/// Tiles of the same components, and templates for them.
pub struct Group {
    /// One of plain steps, one of the largest steps with restart markers, one of small steps with optimal tables.
    pub templates: [Template; TEMPLATES],
    pub base: Picture,
    pub finer: Vec<Picture>,
}

/// A codec, the tiles that others are predicted from, and what JPEG tiles look like in it.
pub struct Sample {
    pub codec: CrossScale,
    pub groups: Vec<Group>,
    /// Level, group, JPEG tile, payload.
    pub payloads: Vec<(u8, usize, Vec<u8>, Vec<u8>)>,
}

impl Sample {
    pub fn get() -> &'static Self {
        static SAMPLE: LazyLock<Sample> = LazyLock::new(Sample::new);
        &SAMPLE
    }

    fn new() -> Self {
        let whole = jpeg(SIDE, SIDE, 1);
        let (tables, record) = abbreviate(&whole);
        let verbatim = VerbatimParams {
            derived_quality: 85,
            derived_subsampling: Subsampling::Chroma420,
            streams: vec![LevelStream { level: 3, tables, colour: Colour::YCbCr, padded_to: SIDE as u16 }],
        };
        let mut codec = CrossScale::built_in(verbatim, KINDS.to_vec());
        let mut workspace = Workspace::new();
        let mut picture_of = |stream: &[u8]| {
            let coding = codec.encode(2, stream, Reference::None, &mut workspace, &mut vec![]);
            assert_eq!(coding, Coding::Alone, "a stream of our own is taken apart");
            codec.picture_in(&workspace).expect("samples")
        };
        let mut groups = vec![];
        for sampling in SAMPLING {
            let templates = [template(sampling, 16, 0, false), template(sampling, 65_535, 2, false), {
                template(sampling, 3, 0, true)
            }];
            let mut picture = |number: usize, seed| picture_of(&stream(&templates[number], [SIDE; 2], seed));
            let base = picture(0, 1);
            let finer = vec![picture(0, 2), picture(2, 3), picture(1, 4), picture(0, 5)];
            groups.push(Group { templates, base, finer });
        }
        for (number, template) in groups.iter().flat_map(|g| &g.templates).enumerate() {
            codec.add_template(template, number == 0);
        }
        let mut payloads = vec![];
        let mut add = |level: u8, group: usize, record: Vec<u8>, reference: Reference<'_>| {
            let mut out = vec![];
            codec.encode(level, &record, reference, &mut workspace, &mut out);
            payloads.push((level, group, record, out));
        };
        for (number, group) in groups.iter().enumerate() {
            let finer = finer(group, 4, SIDE);
            for (level, reference) in [
                (0, Reference::Coarser { base: &group.base, offset: [SIDE; 2] }),
                (1, Reference::Finer(&finer)),
                (2, Reference::None),
            ] {
                for (i, template) in group.templates.iter().enumerate() {
                    add(level, number, stream(template, [SIDE; 2], 7 + i as u32), reference);
                }
            }
        }
        // A template in the payload, and a tile without tables.
        add(2, 0, whole, Reference::None);
        add(3, 0, record, Reference::None);
        Self { codec, groups, payloads }
    }

    /// The first `count` finer tiles of a group, `step` pixels apart, or its base tile; nothing for a level alone.
    pub fn with_reference<R>(
        &self,
        kind: Kind,
        group: usize,
        count: usize,
        offset: [u32; 2],
        run: impl FnOnce(Reference<'_>) -> R,
    ) -> R {
        let group = &self.groups[group % self.groups.len()];
        match kind {
            Kind::Alone => run(Reference::None),
            Kind::Coarser => run(Reference::Coarser { base: &group.base, offset }),
            Kind::Finer => {
                let mut finer = finer(group, count, SIDE);
                for Finer { offset: own, .. } in &mut finer {
                    *own = [0, 1].map(|axis| own[axis].saturating_add(offset[axis]));
                }
                run(Reference::Finer(&finer))
            }
        }
    }
}

/// Tiles in the places of four, `step` pixels apart.
fn finer(group: &Group, count: usize, step: u32) -> Vec<Finer<'_>> {
    let places = [[0, 0], [step, 0], [0, step], [step, step]];
    group.finer.iter().zip(places).map(|(picture, offset)| Finer { picture, offset }).take(count).collect()
}

/// A template of components with these sampling factors, all quantiser steps alike.
pub fn template(sampling: &[[u8; 2]], step: u16, restart: u16, optimal: bool) -> Template {
    let mut head = vec![0xFF, 0xD8, 0xFF, 0xDB, 0, 131, 0x10];
    head.extend(step.to_be_bytes().repeat(64));
    let mut cuts = vec![];
    let tables: &[u8] = if sampling.len() > 1 { &[0x00, 0x10, 0x01, 0x11] } else { &[0x00, 0x10] };
    if optimal {
        // One segment of all tables: numbers of 7 bits, the lower ones first.
        cuts.extend_from_slice(&[1, head.len() as u8 | 128, (head.len() >> 7) as u8, tables.len() as u8]);
        cuts.extend_from_slice(tables);
    } else {
        cuts.push(0);
        head.extend(huffman_segments());
    }
    head.extend_from_slice(&[0xFF, 0xDD, 0, 4]);
    head.extend(restart.to_be_bytes());
    let count = sampling.len() as u8;
    head.extend_from_slice(&[0xFF, 0xC1, 0, 8 + 3 * count, 8, 0, 0, 0, 0, count]);
    for (id, [across, down]) in (0..).zip(sampling) {
        head.extend_from_slice(&[id, across << 4 | down, 0]);
    }
    head.extend_from_slice(&[0xFF, 0xDA, 0, 6 + 2 * count, count]);
    (0..count).for_each(|id| head.extend_from_slice(&[id, if id == 0 { 0 } else { 0x11 }]));
    head.extend_from_slice(&[0, 63, 0]);
    let length = [head.len() as u8 | 128, (head.len() >> 7) as u8];
    let bytes = [&[1], &length[..], &head, &cuts, &[2, 0xFF, 0xD9]].concat();
    Template::parse(&bytes).expect("a template")
}

/// The standard Huffman tables.
fn huffman_segments() -> Vec<u8> {
    let plain = Template::jfif(&[1; 64], &[1; 64], Subsampling::Chroma420, HuffmanTables::Standard);
    let stream = stream(&plain.expect("a template"), [8; 2], 0);
    let (mut at, mut out) = (2, vec![]);
    while stream[at + 1] != 0xDA {
        let end = at + 2 + usize::from(u16::from_be_bytes([stream[at + 2], stream[at + 3]]));
        if stream[at + 1] == 0xC4 {
            out.extend_from_slice(&stream[at..end]);
        }
        at = end;
    }
    out
}

/// A stream whose coefficients differ with `seed` and fall off as those of pictures do.
pub fn stream(template: &Template, [width, height]: [u32; 2], seed: u32) -> Vec<u8> {
    let mut tile = Tile::new();
    template.planes_for(width, height, &mut tile).expect("a small size");
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    for plane in &mut tile.planes {
        for (i, value) in plane.coefficients.iter_mut().enumerate() {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let most = 40 / (1 + (i as i32 % 64));
            *value = ((state >> 8) as i32 % (2 * most + 1) - most) as i16;
        }
    }
    let mut out = vec![];
    Writer::new().write(template, &tile, &mut out).expect("coefficients in range");
    out
}
