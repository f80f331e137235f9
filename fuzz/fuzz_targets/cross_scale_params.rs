//! Parameters of codec 1: any bytes; any bytes behind a compression that fits; and valid ones whose models have
//! been changed within their ranges. With what is taken, tiles are decoded, coded and decoded again.

#![no_main]

use std::cell::RefCell;
use std::sync::LazyLock;

use bytes::Bytes;
use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use microtome_codec::cross_scale::{Coding, CrossScale, Finer, Kind, Reference, Workspace};
use microtome_codec::turbo::Subsampling;
use microtome_codec::{Rgb, cross_scale::Quantiser};
use microtome_fuzz::params::{Edit, Numbers, pack, unpack};
use microtome_fuzz::tiles::{KINDS, SIDE, Sample};

thread_local! {
    static USED: RefCell<Workspace> = RefCell::default();
}

/// Models changed one by one, and templates and levels before them as they are.
#[derive(Arbitrary, Debug)]
struct Changed {
    models: Vec<(u8, Vec<Edit>)>,
}

/// Valid parameters without models, up to the first of the bytes that say so, and the models.
static BASE: LazyLock<(Vec<u8>, Vec<Numbers>)> = LazyLock::new(|| {
    let mut plain = unpack(&Sample::get().codec.to_bytes());
    assert!(plain.ends_with(&[0; 6]), "six models that are built in");
    plain.truncate(plain.len() - 6);
    (plain, Numbers::built_in())
});

fn changed(input: &Changed) -> Vec<u8> {
    let (head, models) = &*BASE;
    let mut plain = head.clone();
    for (number, model) in models.iter().enumerate() {
        let mut edits = input.models.iter().take(32).filter(|(n, _)| usize::from(n % 6) == number).peekable();
        plain.push(u8::from(edits.peek().is_some()));
        if edits.peek().is_some() {
            let mut model = model.clone();
            edits.flat_map(|(_, edits)| edits).take(64).for_each(|edit| model.edit(edit));
            model.write(&mut plain);
        }
    }
    plain
}

fn size_of(record: &[u8]) -> [u32; 2] {
    microtome_codec::jpeg::inspect(record).map_or([SIDE; 2], |h| [h.width, h.height])
}

/// Codes a record, which must come back.
fn code(codec: &CrossScale, level: u8, record: &[u8], reference: Reference<'_>, used: &mut Workspace) {
    let mut payload = vec![];
    if codec.encode(level, record, reference, used, &mut payload) == Coding::Verbatim {
        return;
    }
    let picture = codec.picture_in(used);
    let (size, payload) = (size_of(record), Bytes::from(payload));
    assert_eq!(codec.record(level, size, &payload, reference, used), Ok(Bytes::copy_from_slice(record)));
    assert_eq!(codec.picture(level, size, &payload, reference, used), Ok(picture));
}

/// Of the sample's payloads every so many is tried.
const EVERY: usize = 9;

fn exercise(codec: &CrossScale, first: usize, used: &mut Workspace) {
    let bytes = codec.to_bytes();
    let again = CrossScale::parse(&bytes).expect("its own bytes");
    assert!(again == *codec && again.to_bytes() == bytes, "parameters are not given back");

    let sample = Sample::get();
    for (level, group, record, payload) in sample.payloads.iter().skip(first % EVERY).step_by(EVERY) {
        sample.with_reference(KINDS[usize::from(*level)], *group, 4, [SIDE; 2], |reference| {
            let payload = Bytes::copy_from_slice(payload);
            let _ = codec.record(*level, size_of(record), &payload, reference, used);
            let _ = codec.picture(*level, [SIDE; 2], &payload, reference, used);
        });
        // The first level of each kind: what the parameters say may differ from the sample's.
        for kind in Kind::ALL {
            let Some(level) = (0..=u8::MAX).find(|&level| codec.kind(level) == kind) else { continue };
            sample.with_reference(kind, *group, 4, [7, 9], |reference| {
                code(codec, level, record, reference, used);
            });
        }
    }
    let pixels = Rgb::filled(24, 24, [200, 30, 90]);
    let template = Quantiser::new(80, Subsampling::Chroma420).template(&Default::default()).expect("steps");
    for (level, kind) in (0..).zip(KINDS) {
        sample.with_reference(kind, 0, 4, [0, 0], |reference| {
            let mut payload = vec![];
            codec.quantise(&template, level, &pixels, reference, used, &mut payload).expect("pixels");
            let picture = codec.picture_in(used);
            let decoded = codec.picture(level, [24; 2], &payload, reference, used);
            assert_eq!(decoded, Ok(picture), "what was quantised differs");
        });
    }
    for group in &sample.groups {
        let finer: Vec<_> =
            group.finer.iter().zip([[0, 0], [9, 0], [0, 8], [9, 8]]).map(|(picture, offset)| Finer { picture, offset }).collect();
        let _ = codec.derive([20, 30], &finer, used);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&mode, rest)) = bytes.split_first() else { return };
    let parsed = match mode % 3 {
        0 => CrossScale::parse(rest),
        1 => CrossScale::parse(&pack(rest)),
        _ => {
            let Ok(input) = Changed::arbitrary_take_rest(Unstructured::new(rest)) else { return };
            let parsed = CrossScale::parse(&pack(&changed(&input)));
            assert!(parsed.is_ok(), "models within their ranges: {:?}", parsed.err());
            parsed
        }
    };
    if let Ok(codec) = parsed {
        USED.with_borrow_mut(|used| exercise(&codec, usize::from(mode / 3), used));
    }
});
