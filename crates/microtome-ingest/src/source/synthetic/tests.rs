//! Properties of the synthetic slide: independent of how it is read, unchanged from version to version.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

const WIDTH: u32 = 3000;
const HEIGHT: u32 = 2200;

static SLIDE: LazyLock<Slide> = LazyLock::new(|| slide(WIDTH, HEIGHT, 3));
static WHOLE: LazyLock<Rgb> =
    LazyLock::new(|| SLIDE.read(Rect { x: 0, y: 0, width: WIDTH, height: HEIGHT }).unwrap());

fn slide(width: u32, height: u32, seed: u32) -> Slide {
    Slide::new(Params { width, height, seed })
}

/// Share of places with tissue, on a grid of probes.
fn tissue_share(width: u32, height: u32, seed: u32) -> f64 {
    const PROBES: u32 = 150;
    let slide = slide(width, height, seed);
    let at = |i: u32, length: u32| (i as f32 + 0.5) * length as f32 / PROBES as f32;
    let probes = 0..PROBES * PROBES;
    let inside = probes.filter(|i| slide.layout.depth(at(i % PROBES, width), at(i / PROBES, height)) > 0.0);
    inside.count() as f64 / f64::from(PROBES * PROBES)
}

/// FNV-1a, 64 bits.
fn checksum(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xCBF2_9CE4_8422_2325, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// Share of pixels that are clearly darker than glass.
fn stained_share(image: &Rgb) -> f64 {
    let stained = image.data().chunks_exact(3).filter(|pixel| pixel[1] < GLASS[1] - 20).count();
    stained as f64 / (image.data().len() / 3) as f64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pixels_do_not_depend_on_the_read(
        x in 0..WIDTH, y in 0..HEIGHT, width in 1_u32..400, height in 1_u32..400,
    ) {
        let (width, height) = (width.min(WIDTH - x), height.min(HEIGHT - y));
        let part = SLIDE.read(Rect { x, y, width, height }).unwrap();
        for row in 0..height {
            let from = 3 * x as usize;
            prop_assert_eq!(part.row(row), &WHOLE.row(y + row)[from..from + 3 * width as usize]);
        }
    }
}

#[test]
fn pixels_are_those_of_earlier_versions() {
    let slide = slide(12_288, 9216, 0);
    // Fibres, crypts, fat with a vessel, a lymphoid follicle and an outline.
    let sums = [(6016, 4480), (3900, 3900), (7250, 3500), (9900, 1300), (3400, 4000)].map(|(x, y)| {
        let image = slide.read(Rect { x, y, width: 300, height: 200 }).unwrap();
        assert_ne!(image.uniform(), Some(GLASS));
        checksum(image.data())
    });
    assert_eq!(
        sums,
        [
            0xE706_89FC_9305_46F3,
            0x6214_ED8E_D67E_8050,
            0xDE5A_1088_D52A_A020,
            0xB274_519F_9A94_897A,
            0xE932_774B_9646_49A0
        ],
        "{sums:#x?}"
    );
}

#[test]
fn glass_far_from_tissue_is_plain() {
    let slide = slide(12_288, 9216, 0);
    let boxes = (0..9216 / SCAN_BOX).flat_map(|row| (0..12_288 / SCAN_BOX).map(move |column| (column, row)));
    let plain: Vec<_> = boxes.filter(|&(x, y)| !slide.is_scanned(x * SCAN_BOX, y * SCAN_BOX)).collect();
    assert!(plain.len() > 60, "{} plain boxes", plain.len());
    for &(column, row) in &plain {
        let rect = Rect { x: column * SCAN_BOX, y: row * SCAN_BOX, width: SCAN_BOX, height: SCAN_BOX };
        assert_eq!(slide.read(rect).unwrap().uniform(), Some(GLASS));
    }
}

#[test]
fn no_tissue_is_cut_off_at_a_scan_box() {
    let slide = slide(8000, 6000, 2);
    for (x, y) in (0..6000).step_by(16).flat_map(|y| (0..8000).step_by(16).map(move |x| (x, y))) {
        if slide.layout.depth(x as f32, y as f32) > -12.0 {
            assert!(slide.is_scanned(x / SCAN_BOX * SCAN_BOX, y / SCAN_BOX * SCAN_BOX), "{x}, {y}");
        }
    }
}

#[test]
fn tissue_covers_its_share() {
    for seed in 0..3 {
        for (width, height) in [(1000, 800), (8000, 6000), (12_288, 9216)] {
            let share = tissue_share(width, height, seed);
            assert!((0.2..0.46).contains(&share), "{width}x{height}, seed {seed}: {share}");
        }
        let share = tissue_share(53_248, 53_248, seed);
        assert!((0.06..0.1).contains(&share), "seed {seed}: {share}");
    }
}

#[test]
fn centre_is_tissue() {
    for (width, height) in [(1, 1), (64, 40), (1000, 800), (8000, 6000), (12_288, 9216), (53_248, 53_248)] {
        let (w, h) = (width.min(200), height.min(200));
        let rect = Rect { x: (width - w) / 2, y: (height - h) / 2, width: w, height: h };
        for seed in 0..4 {
            let slide = slide(width, height, seed);
            assert!(slide.layout.depth(width as f32 / 2.0, height as f32 / 2.0) > 0.0);
            let share = stained_share(&slide.read(rect).unwrap());
            assert!(width < 1000 || share > 0.25, "{width}x{height}, seed {seed}: {share}");
        }
    }
}

#[test]
fn extreme_sizes_can_be_read() {
    for (width, height) in [(1_000_000, 1_000_000), (1_000_000, 1), (3, 1_000_000)] {
        let slide = slide(width, height, 1);
        let (w, h) = (width.min(50), height.min(50));
        for (x, y) in [(0, 0), (width / 2 - w / 2, height / 2 - h / 2), (width - w, height - h)] {
            assert_eq!(slide.read(Rect { x, y, width: w, height: h }).unwrap().width(), w);
        }
    }
}

#[test]
fn seeds_differ() {
    let rect = Rect { x: 700, y: 500, width: 600, height: 500 };
    let images = [0, 1].map(|seed| slide(2000, 1500, seed).read(rect).unwrap());
    assert_ne!(images[0], images[1]);
}

#[test]
fn source_says_what_it_is() {
    let source = open(Params { width: 300, height: 200, seed: 9 });
    assert_eq!((source.width, source.height, source.format), (300, 200, "synthetic"));
    let value =
        |name: &str| source.properties.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!(value("synthetic.seed"), Some("9"));
    assert_eq!(value("openslide.mpp-x"), Some("0.25"));
    assert_eq!(value("openslide.objective-power"), Some("40"));
}

#[test]
fn params_parse_or_say_what_is_wrong() {
    let parse = |text: &str| text.parse::<Params>();
    assert_eq!(parse("53248x53248").unwrap(), Params { width: 53_248, height: 53_248, seed: 0 });
    assert_eq!(parse("8000x6000,seed=7").unwrap(), Params { width: 8000, height: 6000, seed: 7 });
    for (text, part) in [
        ("", "WIDTHxHEIGHT"),
        ("800", "WIDTHxHEIGHT"),
        ("0x10", "width '0'"),
        ("10x1000001", "height '1000001'"),
        ("ax10", "width 'a'"),
        ("10x10,seed=-1", "seed '-1'"),
        ("10x10,speed=1", "'speed=1'"),
    ] {
        let message = parse(text).unwrap_err().to_string();
        assert!(message.contains(part) && message.contains("8000x6000,seed=7"), "{message}");
    }
}
