//! Whole planes by every instruction set of this processor: the same bits, whatever the model and the payload.

use proptest::prelude::*;

use super::super::abreast::Order;
use super::super::built_in;
use super::super::expect::MOST;
use super::super::model::{AHEAD_AT, AHEAD_PIECES, BUCKETS};
use super::super::stored::MOST_AHEAD;
use super::super::walk::Coder;
use super::*;

/// A plane of `width` x `height` blocks with coefficients that thin out, and samples of another scale for it.
fn plane(width: usize, height: usize, seed: u64) -> (Plane, Samples) {
    let mut state = seed | 1;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as u32
    };
    let coefficients = (0..64 * width * height).map(|i| {
        let most = [900, 60, 12, 3, 1][(i % 64).div_ceil(13).min(4)];
        if random() % 4 == 0 { (random() % (2 * most + 1)) as i16 - most as i16 } else { 0 }
    });
    // Steps of 1 and 2 have reciprocals beyond 16 bits.
    let least = [1, 2, 3, 255][seed as usize % 4];
    let table = std::array::from_fn(|k| least + 2 * k as u16);
    let plane =
        Plane { width, height, horizontal: 1, vertical: 1, table, coefficients: coefficients.collect() };
    let data = (0..64 * width * height).map(|i| (random() % 50) as u8 + (i % 200) as u8).collect();
    (plane, Samples { width: 8 * width, height: 8 * height, data })
}

/// Samples of another scale on the grid of a plane.
fn aligned(set: Set, kind: Kind, plane: &Plane, other: &Samples) -> Aligned {
    let (mut aligned, size) = (Aligned::default(), [8 * plane.width, 8 * plane.height]);
    match kind {
        Kind::Alone => {}
        Kind::Coarser => coarser(set, &mut aligned, other, [5, 3], [1, 1], [plane.width, plane.height]),
        Kind::Finer => {
            let child = Child { samples: other, origin: [-1, 2], from: [0, 0], to: size };
            finer(set, &mut aligned, &[child], size);
        }
    }
    aligned
}

/// Payload, coefficients after decoding it, and samples, by an instruction set.
fn all(set: Set, model: &Model, kind: Kind, plane: &Plane, other: &Samples) -> (Vec<u8>, Vec<i16>, Samples) {
    let aligned = aligned(set, kind, plane, other);
    let (mut writer, mut scratch, mut bytes) = (Writer::default(), Scratch::default(), vec![]);
    let mut plane = plane.clone();
    encode(set, &mut writer, model, kind, &aligned, Area::whole(&mut plane), &mut scratch);
    let has_four = writer.is_long();
    writer.finish(&mut bytes, has_four);
    let mut decoded = plane.clone();
    decoded.coefficients.fill(0);
    let mut room = vec![];
    let mut readers = Readers::new(&bytes, has_four, &mut room).expect("states");
    decode(set, &mut readers, model, kind, &aligned, Area::whole(&mut decoded), &mut scratch);
    readers.finish().expect("the very end");
    assert!(decoded.coefficients == plane.coefficients);
    let abreast =
        [Order::InTurn, Order::Round].map(|order| abreast(set, order, model, kind, &plane, &aligned));
    let mut samples = Samples::default();
    super::samples(set, &plane, &mut samples);
    if kind == Kind::Finer {
        round(set, &Model::blank(Kind::Finer), &aligned, &mut decoded);
    }
    ([bytes, abreast.concat()].concat(), decoded.coefficients, samples)
}

/// What sixteen states give for the plane twice, as a run, which comes back.
fn abreast(set: Set, order: Order, model: &Model, kind: Kind, plane: &Plane, aligned: &Aligned) -> Vec<u8> {
    let mut planes = [plane.clone(), plane.clone()];
    let mut other = aligned.clone();
    other.data.iter_mut().for_each(|sample| *sample = -*sample);
    let mut twice = aligned.clone();
    twice.data.extend_from_slice(&other.data);
    let (mut reads, mut scratch, mut bytes) = (abreast::reads::Reads::default(), Default::default(), vec![]);
    let run = Run { planes: &mut planes, order, is_last: true, aligned: &twice };
    encode_abreast(set, &mut reads, model, kind, run, &mut scratch);
    reads.finish(&[model], order, &mut bytes);
    for plane in &mut planes {
        plane.coefficients.fill(0);
    }
    let mut room = vec![];
    let mut reader = abreast::coder::Reader::new(&bytes, order, &mut room).expect("states");
    let run = Run { planes: &mut planes, order, is_last: true, aligned: &twice };
    decode_abreast(set, &mut reader, model, kind, run, &mut abreast::Scratch::default());
    reader.finish().expect("the very end");
    assert!(planes.iter().all(|decoded| decoded.coefficients == plane.coefficients));
    bytes
}

/// What a coder is told of symbols, flags, and how many plain bits.
#[derive(Default, PartialEq, Eq)]
struct Told {
    symbols: Vec<(usize, usize)>,
    plain: u64,
}

impl Coder for Told {
    const DECODES: bool = false;
    fn symbol(&mut self, _: &Model, index: usize, symbol: usize) -> usize {
        self.symbols.push((index, symbol));
        symbol
    }
    fn flag(&mut self, checkpoint: usize, bucket: usize, _: u16, flag: bool) -> bool {
        self.symbols.push((10_000 + checkpoint * BUCKETS + bucket, flag.into()));
        flag
    }
    fn raw(&mut self, bits: u32, value: u32) -> u32 {
        self.plain += u64::from(bits);
        value
    }
}

proptest! {
    /// But for their order, which is each one's own.
    #[test]
    fn sixteen_states_read_what_a_walk_from_block_to_block_does(
        width in 1..40_usize, height in 1..40_usize, seed in any::<u64>(), kind in 0..3_usize,
    ) {
        let ((mut plane, other), kind) = (plane(width, height, seed), Kind::ALL[kind]);
        let aligned = aligned(Set::detect(), kind, &plane, &other);
        let model = &built_in::models()[kind as usize][0];
        let mut told = Told::default();
        let area = Area::whole(&mut plane);
        plane::encode::<Plain, _>(&mut told, model, kind, &aligned, area, &mut Scratch::default());
        let (mut reads, planes) = (abreast::reads::Reads::default(), std::slice::from_mut(&mut plane));
        let run = Run { planes, order: Order::InTurn, is_last: true, aligned: &aligned };
        encode_abreast(Set::detect(), &mut reads, model, kind, run, &mut Default::default());
        let mut read = Told::default();
        let tables = kind.tables();
        read.plain = reads.tell(|table, symbol| {
            read.symbols.push((if table < tables { table } else { table - tables + 10_000 }, symbol));
        });
        [&mut told, &mut read].into_iter().for_each(|told| told.symbols.sort_unstable());
        prop_assert!(told == read);
    }
}

fn all_sets_agree(model: &Model, kind: Kind, plane: &Plane, other: &Samples) {
    let plain = all(Set::BASELINE, model, kind, plane, other);
    for set in Set::all() {
        assert!(plain == all(set, model, kind, plane, other), "{set:?}");
    }
}

proptest! {
    #[test]
    fn every_instruction_set_gives_the_same_bits(
        width in 1..19_usize, height in 1..24_usize, seed in any::<u64>(), kind in 0..3_usize,
    ) {
        let (plane, other) = plane(width, height, seed);
        let kind = Kind::ALL[kind];
        let model = &built_in::models()[kind as usize][0];
        all_sets_agree(model, kind, &plane, &other);
    }
}

proptest! {
    #[test]
    fn models_that_leave_16_bits_give_the_same_bits_too(
        width in 1..19_usize, height in 1..20_usize, seed in any::<u64>(), kind in 0..3_usize,
    ) {
        let (plane, other) = plane(width, height, seed);
        let kind = Kind::ALL[kind];
        let mut model = Model::clone(&built_in::models()[kind as usize][0]);
        for (k, lanes) in model.inner.iter_mut().enumerate() {
            for (lane, weight) in lanes.0[k + 1..64].iter_mut().enumerate() {
                *weight = (seed.rotate_left((7 * k + lane) as u32 % 64) & 4095) as i16 - 2048;
            }
        }
        model.arrange();
        prop_assert!(model.pairs.is_none());
        all_sets_agree(&model, kind, &plane, &other);
    }

    #[test]
    fn models_that_come_near_16_bits_give_the_same_bits_too(
        width in 1..19_usize, height in 1..20_usize, seed in any::<u64>(), kind in 0..3_usize, is_falling: bool,
    ) {
        let (mut plane, other) = plane(width, height, seed);
        // All magnitudes are as large as they count.
        plane.coefficients.iter_mut().for_each(|value| *value = if *value < 0 { -9_000 } else { 9_000 });
        let kind = Kind::ALL[kind];
        let mut model = Model::clone(&built_in::models()[kind as usize][0]);
        model.inner.iter_mut().enumerate().for_each(|(k, lanes)| lanes.0[k + 1..64].fill(0));
        let left = i32::from(i16::MAX) - (1..64).map(|lane| model.most(lane)).max().unwrap_or(0);
        let weight = (left / 63 / i32::from(MOST)) as i16 * if is_falling { -1 } else { 1 };
        model.inner.iter_mut().enumerate().for_each(|(k, lanes)| lanes.0[k + 1..64].fill(weight));
        model.arrange();
        prop_assert!(model.pairs.is_some());
        all_sets_agree(&model, kind, &plane, &other);
    }

    #[test]
    fn any_words_give_the_same_coefficients_and_the_same_error(
        width in 1..19_usize, height in 1..20_usize, seed in any::<u64>(), goes_round: bool,
        states in prop::array::uniform16(1..u16::MAX), words in proptest::collection::vec(any::<u16>(), 0..3000),
    ) {
        let (plane, _) = plane(width, height, seed);
        let model = &built_in::models()[Kind::Alone as usize][0];
        let order = if goes_round { Order::Round } else { Order::InTurn };
        let states = states.map(|state| u32::from(state) << 16);
        let mut bytes = vec![];
        match order {
            Order::InTurn => bytes.extend(states.iter().flat_map(|state| state.to_le_bytes())),
            Order::Round => abreast::coder::pack(&states, &mut bytes),
        }
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        let found = Set::all().into_iter().map(|set| {
            let (mut planes, mut room) = ([plane.clone()], vec![]);
            let mut reader = abreast::coder::Reader::new(&bytes, order, &mut room).expect("states");
            let run = Run { planes: &mut planes, order, is_last: true, aligned: &Aligned::default() };
            decode_abreast(set, &mut reader, model, Kind::Alone, run, &mut abreast::Scratch::default());
            (planes[0].coefficients.clone(), reader.finish())
        });
        let found: Vec<_> = found.collect();
        prop_assert!(found.iter().all(|one| *one == found[0]));
    }
}

#[test]
fn sums_beyond_32_bits_wrap_in_every_instruction_set() {
    // For the last piece that is predicted so 36 errors of 8191, by weights of as much: more than 2^31.
    let mut model = Model::clone(&built_in::models()[Kind::Alone as usize][0]);
    model.ahead = [[[[0; 2]; 8]; 2]; AHEAD_AT[AHEAD_PIECES]];
    model.ahead[AHEAD_AT[AHEAD_PIECES - 1]..].fill([[[MOST_AHEAD; 2]; 8]; 2]);
    model.edges = [[[[0; 2]; 8]; 5]; 2];
    let (mut plane, other) = plane(1, 1, 1);
    plane.coefficients = vec![1000; 64];
    plane.table = [1; 64];
    all_sets_agree(&model, Kind::Alone, &plane, &other);
}
