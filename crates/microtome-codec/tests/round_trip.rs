//! Codec 1 on whole tiles of many encoders: what goes in comes back byte for byte, at levels of every kind, and what is no
//! payload is refused or some tile.

mod streams;

use std::cell::Cell;

use bytes::Bytes;
use microtome_codec::Rgb;
use microtome_codec::coefficients::{Parser, Statistics, Tile};
use microtome_codec::cross_scale::{
    Coding, CrossScale, Finer, Kind, Picture, Quantiser, Reference, Trainer, Workspace,
};
use microtome_codec::payload::{LevelStream, VerbatimParams};
use microtome_codec::turbo::Subsampling;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;
use streams::{
    EOI, Oddity, PLAIN, Source, any_components, any_plain_source, any_size, any_source, split_off,
};
use turbojpeg::{Colorspace, PixelFormat, Subsamp};

/// Level 2 has the tiles that others are predicted from, the tile itself is tried in all others.
const KINDS: [Kind; 4] = [Kind::Coarser, Kind::Finer, Kind::Alone, Kind::Alone];
const OTHERS: u8 = 2;
const LEVELS: [u8; 3] = [0, 1, 3];

/// A tile and those that it is predicted from.
#[derive(Debug, Clone)]
struct Scene {
    tile: Source,
    /// With their offsets; the base tile is the first one.
    others: Vec<(Source, [u32; 2])>,
    /// Whether the slide has the tile's template.
    is_known: bool,
    /// Segments before the scan, as bits, that the level's tiles lack.
    split: u8,
    /// What the level's edge tiles are padded to.
    padded_to: u16,
    /// The tile's size in the slide: its own, or any if it is padded.
    size: [u32; 2],
}

fn any_scene() -> impl Strategy<Value = Scene> {
    let offset = || prop_oneof![4 => 0..600_u32, 1 => any::<u32>()];
    let others = prop::collection::vec((any_plain_source(), [offset(), offset()]), 1..=4);
    let stranger = prop::option::weighted(0.15, any_components());
    let shown = prop::option::weighted(0.25, any_size());
    let level = (any::<bool>(), prop_oneof![Just(0), any::<u8>()], prop_oneof![Just(0), 301..400_u16], shown);
    let all = (any_components(), any_source(), others, stranger, level);
    all.prop_map(|(components, mut tile, mut others, stranger, (is_known, split, padded_to, shown))| {
        tile.components = components;
        others.iter_mut().for_each(|(source, _)| source.components = components);
        if let (Some((last, _)), Some(stranger)) = (others.last_mut(), stranger) {
            last.components = stranger;
        }
        if shown.is_some() {
            tile.size[1] = tile.size[0];
        }
        let padded_to = if shown.is_some() { tile.size[0] as u16 } else { padded_to };
        let size = shown.unwrap_or(tile.size);
        Scene { tile, others, is_known, split, padded_to, size }
    })
}

impl Scene {
    /// The record of a tile with other pixels.
    fn another_of_its_size(&self) -> Vec<u8> {
        let tile = Source { seed: !self.tile.seed, ..self.tile.clone() };
        Self { tile, ..self.clone() }.slide().1
    }

    /// The codec of a slide, and the tile as a record of it.
    fn slide(&self) -> (CrossScale, Vec<u8>) {
        let (tables, record) = split_off(&self.tile.stream(), self.split);
        let padded_to = self.padded_to;
        let level =
            |level| LevelStream { level, tables: tables.clone(), padded_to, ..LevelStream::default() };
        let verbatim = VerbatimParams::completing(LEVELS.map(level).to_vec());
        let mut codec = CrossScale::built_in(verbatim, KINDS.to_vec());
        let joined = match tables.strip_suffix(&EOI) {
            Some(tables) => [tables, &record[2..]].concat(),
            None => record.clone(),
        };
        if let (true, Ok(template)) = (self.is_known, Parser::new().parse(&joined, &mut Tile::new())) {
            codec.add_template(&template, false);
        }
        (codec, record)
    }

    /// Sees that the tile goes in at a level as it has to.
    fn check(&self, level: u8, coding: Coding) {
        let own = self.tile.sampling();
        let mut alike = self.others.iter().map(|(source, _)| source.sampling() == own);
        let is_predicted = match KINDS[usize::from(level)] {
            Kind::Alone => false,
            Kind::Coarser => alike.next() == Some(true),
            Kind::Finer => alike.all(|alike| alike),
        };
        let coded = if is_predicted { Coding::Predicted } else { Coding::Alone };
        match self.tile.is_taken() {
            Some(is_taken) => assert_eq!(coding, if is_taken { coded } else { Coding::Verbatim }),
            None => assert!(coding == Coding::Verbatim || coding == coded, "{coding:?}"),
        }
    }

    /// Runs `run` on the tile's place in each of [`LEVELS`].
    fn at_each_level(
        &self,
        codec: &CrossScale,
        used: &mut Workspace,
        mut run: impl FnMut(Place<'_>, &mut Workspace),
    ) {
        let mut picture = |source: &Source| {
            let place = Place { codec, level: OTHERS, size: source.size, reference: Reference::None };
            place.round_trip(&source.stream(), used).2.expect("the samples of a plain stream")
        };
        let pictures: Vec<_> = self.others.iter().map(|(source, _)| picture(source)).collect();
        let offsets = self.others.iter().map(|&(_, offset)| offset);
        let finer: Vec<_> =
            pictures.iter().zip(offsets).map(|(picture, offset)| Finer { picture, offset }).collect();
        for level in LEVELS {
            let reference = match KINDS[usize::from(level)] {
                Kind::Alone => Reference::None,
                Kind::Coarser => Reference::Coarser { base: finer[0].picture, offset: finer[0].offset },
                Kind::Finer => Reference::Finer(&finer),
            };
            run(Place { codec, level, size: self.size, reference }, used);
        }
    }

    /// The codec with models trained on the tile and the others.
    fn trained(&self, codec: CrossScale, record: &[u8], used: &mut Workspace) -> CrossScale {
        let mut trainer = Trainer::new();
        for (source, _) in &self.others {
            let stream = source.stream();
            trainer.observe(&codec, OTHERS, &stream, Reference::None, used).expect("a plain stream");
        }
        self.at_each_level(&codec, used, |place, used| {
            let picture = trainer.observe(&codec, place.level, record, place.reference, used);
            assert!(self.tile.is_taken().is_none_or(|is_taken| is_taken == picture.is_some()));
        });
        let learnt = trainer.lessons().into_iter().filter_map(|lesson| lesson.learn(&codec, 1e-9)).collect();
        trainer.finish(codec, learnt, 1e-9)
    }
}

/// Where a tile belongs, and what it may be predicted from.
#[derive(Clone, Copy)]
struct Place<'a> {
    codec: &'a CrossScale,
    level: u8,
    size: [u32; 2],
    reference: Reference<'a>,
}

impl Place<'_> {
    /// Codes a record, and sees that its bytes and its samples come back.
    fn round_trip(&self, record: &[u8], used: &mut Workspace) -> (Coding, Bytes, Option<Picture>) {
        let Self { codec, level, size, reference } = *self;
        let mut payload = vec![7];
        let coding = codec.encode(level, record, reference, used, &mut payload);
        let picture = codec.picture_in(used);
        let payload = Bytes::from(payload).slice(1..);
        let kind = if coding == Coding::Predicted { codec.kind(level) } else { Kind::Alone };
        assert_eq!(codec.kind_of(level, &payload), kind);
        assert_eq!(picture.is_none(), coding == Coding::Verbatim);
        let mut fresh = Workspace::new();
        for workspace in [&mut fresh, used] {
            let back = codec.record(level, size, &payload, reference, workspace);
            assert!(back.as_ref().is_ok_and(|back| back == record), "{coding:?}: {:?}", back.err());
            assert!(codec.picture_in(workspace) == picture, "{coding:?}: other samples with the record");
            let decoded = codec.picture(level, size, &payload, reference, workspace);
            assert!(decoded.is_ok_and(|decoded| decoded == picture), "{coding:?}: other samples");
        }
        (coding, payload, picture)
    }

    /// Sees that a payload gives its record, whatever tile was decoded before.
    fn comes_back(&self, payload: &[u8], record: &[u8], used: &mut Workspace) {
        let Self { codec, level, size, reference } = *self;
        let back = codec.record(level, size, payload, reference, used);
        assert!(back.is_ok_and(|back| back == record), "after another tile of its size");
    }

    /// Whether a payload is taken. What it gives then comes back as any other tile.
    fn takes(&self, payload: &Bytes, used: &mut Workspace) -> bool {
        let Self { codec, level, size, reference } = *self;
        let record = codec.record(level, size, payload, reference, used);
        let picture = codec.picture(level, size, payload, reference, used);
        let Ok(record) = record else { return false };
        if picture.expect("the samples of what there is a record of").is_some() {
            self.round_trip(&record, used);
        }
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn tiles_come_back_at_levels_of_every_kind(scene in any_scene()) {
        let (codec, record) = scene.slide();
        let codec = CrossScale::parse(&codec.to_bytes()).expect("its own parameters");
        let other = scene.another_of_its_size();
        scene.at_each_level(&codec, &mut Workspace::new(), |place, used| {
            let (coding, payload, _) = place.round_trip(&record, used);
            scene.check(place.level, coding);
            place.round_trip(&other, used);
            place.comes_back(&payload, &record, used);
            // The number of the template, or that of one in the payload.
            let number = if scene.is_known { 0 } else { 255 };
            assert!(coding == Coding::Verbatim || payload[1] == number, "template {}", payload[1]);
        });
    }

    #[test]
    fn damaged_payloads_are_refused_or_some_tile(
        scene in any_scene(), flips in prop::collection::vec((any::<Index>(), 1..=255_u8), 1..4),
        cut in any::<Index>(), more in prop::collection::vec(any::<u8>(), 1..6),
    ) {
        let (codec, record) = scene.slide();
        scene.at_each_level(&codec, &mut Workspace::new(), |place, used| {
            let (coding, payload, _) = place.round_trip(&record, used);
            let mut flipped = payload.to_vec();
            for (at, bits) in &flips {
                flipped[at.index(payload.len())] ^= bits;
                place.takes(&flipped.clone().into(), used);
            }
            let longer = Bytes::from([&payload[..], &more].concat());
            for other in [payload.slice(..cut.index(payload.len())), longer] {
                let is_record = coding == Coding::Verbatim && !other.is_empty();
                assert_eq!(place.takes(&other, used), is_record, "{coding:?}");
            }
            let moved = match place.reference {
                Reference::None => Reference::None,
                Reference::Coarser { base, offset } => Reference::Coarser { base, offset: offset.map(|o| o ^ 9) },
                Reference::Finer(tiles) => Reference::Finer(&tiles[1..]),
            };
            let [width, height] = place.size;
            for other in [Place { reference: moved, ..place }, Place { size: [height, width], ..place }] {
                other.takes(&payload, used);
            }
            let alone = Place { reference: Reference::None, ..place };
            assert_eq!(alone.takes(&payload, used), coding != Coding::Predicted, "without its reference");
            place.round_trip(&record, used);
        });
    }
}

#[test]
fn tiles_come_back_with_models_trained_on_them() {
    let own_models = Cell::new(0);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(16));
    let result = runner.run(&any_scene(), |scene| {
        let (codec, record) = scene.slide();
        let mut used = Workspace::new();
        let codec = scene.trained(codec, &record, &mut used);
        own_models.set(own_models.get() + codec.own_models().1);
        let read = CrossScale::parse(&codec.to_bytes()).expect("its own parameters");
        scene.at_each_level(&codec, &mut used, |place, used| {
            let (coding, payload, _) = place.round_trip(&record, used);
            scene.check(place.level, coding);
            let again = Place { codec: &read, ..place }.round_trip(&record, used);
            assert!((coding, payload) == (again.0, again.1), "the codec that was read codes otherwise");
        });
        Ok(())
    });
    result.expect("every tile comes back");
    assert!(own_models.get() > 0, "no model was trained");
}

/// The payload with the highest bit set behind the upper halves of its states; cut off where none is left over.
fn with_a_bit_left_over(payload: &[u8]) -> Vec<u8> {
    let lengths = &payload[2..10];
    let bits = lengths.iter().map(|&two| usize::from(two & 15) + usize::from(two >> 4)).sum::<usize>();
    let mut damaged = payload.to_vec();
    match bits % 8 {
        0 => damaged.truncate(40),
        _ => damaged[10 + bits / 8] |= 0x80,
    }
    damaged
}

#[test]
fn large_tiles_come_back_from_sixteen_states() {
    let (grey, rgb) = (PixelFormat::GRAY, PixelFormat::RGB);
    for (components, size) in [
        ((rgb, Colorspace::YCbCr, Subsamp::Sub2x2), [256, 256]),
        // Three planes of a size; more rows than states, and fewer; columns too.
        ((rgb, Colorspace::YCbCr, Subsamp::None), [100, 333]),
        ((rgb, Colorspace::RGB, Subsamp::None), [400, 90]),
        ((rgb, Colorspace::YCbCr, Subsamp::Sub2x1), [254, 250]),
        ((grey, Colorspace::Gray, Subsamp::Gray), [1000, 31]),
    ] {
        let noise = Source { components, size, quality: 95, roughness: 255, ..PLAIN };
        let others = vec![(noise.clone(), [16, 0]), (noise.clone(), [300, 8])];
        let tile = Source { seed: 2, ..noise };
        let scene = Scene { size: tile.size, tile, others, is_known: true, split: 0, padded_to: 0 };
        let (codec, record) = scene.slide();
        let other = scene.another_of_its_size();
        scene.at_each_level(&codec, &mut Workspace::new(), |place, used| {
            let (coding, payload, _) = place.round_trip(&record, used);
            let form = if coding == Coding::Alone { 97 } else { 98 };
            assert_eq!(payload[..2], [form, 0], "{:?}", scene.tile.components);
            place.round_trip(&other, used);
            place.comes_back(&payload, &record, used);
            for (number, damaged) in [
                // Another state, lengths of states that they do not have, an end too soon or too late, half a word; strands
                // besides, rows that begin in turn, and rows that go round without sixteen states.
                [&payload[..2], &[payload[2] ^ 1], &payload[3..]].concat(),
                [&payload[..2], &[0xFF, 0xFF], &payload[4..]].concat(),
                payload[..payload.len() - 2].to_vec(),
                payload[..payload.len() / 3 / 2 * 2].to_vec(),
                payload[..60].to_vec(),
                [&payload[..], &[0]].concat(),
                [&payload[..], &[0, 0]].concat(),
                [&[form + 8], &payload[1..]].concat(),
                [&[form + 24], &payload[1..]].concat(),
                [&[form - 64], &payload[1..]].concat(),
                [&[form - 32], &payload[1..]].concat(),
                with_a_bit_left_over(&payload),
            ]
            .into_iter()
            .enumerate()
            {
                assert!(
                    !place.takes(&Bytes::from(damaged), used),
                    "damage {number} of {:?}",
                    scene.tile.components
                );
            }
        });
    }
}

#[test]
fn quantised_tiles_come_back_from_sixteen_states_if_they_are_large() {
    let mut noise = Rgb::filled(256, 256, [0; 3]);
    let mut state = 1_u32;
    for sample in noise.data_mut() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *sample = (state >> 24) as u8;
    }
    for (quality, is_large) in [(95, true), (10, false)] {
        let template = Quantiser::new(quality, Subsampling::Chroma420).template(&Statistics::default());
        let template = template.expect("steps of JPEG");
        let mut codec = CrossScale::built_in(VerbatimParams::completing(vec![]), vec![]);
        codec.add_template(&template, false);
        let (mut workspace, mut payload) = (Workspace::new(), vec![]);
        let coding = codec.quantise(&template, 0, &noise, Reference::None, &mut workspace, &mut payload);
        assert_eq!(coding, Ok(Coding::Alone));
        let coefficients =
            workspace.tile().expect("coefficients").planes.iter().flat_map(|p| &p.coefficients);
        assert_eq!(coefficients.filter(|&&value| value != 0).count() >= 12_000, is_large, "the test's own");
        assert_eq!(payload[0] & (32 | 64), if is_large { 32 | 64 } else { 0 }, "quality {quality}");
        let picture = codec.picture_in(&workspace);
        let back = codec.picture(0, [256; 2], &payload, Reference::None, &mut Workspace::new());
        assert!(back.is_ok_and(|back| back == picture), "other samples at quality {quality}");
    }
}

/// A tile of a level that is predicted from nothing, with these tables.
fn alone(tables: Vec<u8>, record: &[u8]) -> Coding {
    let stream = LevelStream { tables, ..LevelStream::default() };
    let codec = CrossScale::built_in(VerbatimParams::completing(vec![stream]), vec![]);
    let place = Place { codec: &codec, level: 0, size: PLAIN.size, reference: Reference::None };
    place.round_trip(record, &mut Workspace::new()).0
}

#[test]
fn a_record_for_tables_begins_as_a_stream() {
    let (tables, mut record) = split_off(&PLAIN.stream(), 2);
    assert_eq!(alone(tables.clone(), &record), Coding::Alone);
    record[0] = 0;
    assert_eq!(alone(tables, &record), Coding::Verbatim);
}

#[test]
fn more_markers_than_a_payload_may_have_stay_in_the_stream() {
    let comments = |length| {
        let comment = Oddity::Segment(0xFE, vec![0; length]);
        Source { oddities: vec![comment.clone(), comment], ..PLAIN }.stream()
    };
    assert_eq!(alone(vec![], &comments(32_000)), Coding::Alone);
    assert_eq!(alone(vec![], &comments(33_000)), Coding::Verbatim);
}

#[test]
fn parameters_can_be_read_whatever_templates_there_are() {
    let mut codec = CrossScale::built_in(VerbatimParams::completing(vec![]), vec![]);
    let (mut trainer, mut used) = (Trainer::new(), Workspace::new());
    for number in 0..100 {
        let comment = Oddity::Segment(0xFE, vec![number; 60_000]);
        let stream = Source { oddities: vec![comment], ..PLAIN }.stream();
        trainer.observe(&codec, 0, &stream, Reference::None, &mut used).expect("a plain stream");
        codec.add_template(&Parser::new().parse(&stream, &mut Tile::new()).expect("a plain stream"), true);
    }
    for codec in [codec.clone(), trainer.finish(codec, vec![], 1.0)] {
        assert_eq!(CrossScale::parse(&codec.to_bytes()), Ok(codec));
    }
}
