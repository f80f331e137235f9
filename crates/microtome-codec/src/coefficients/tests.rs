//! Tests of the module as a whole: streams of libjpeg-turbo, streams of our own, damaged streams, real tiles.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

use super::header::Cut;
use super::huffman::STANDARD;
use super::*;
use crate::Rgb;
use crate::instructions::Set;
use crate::turbo::{self, Subsampling};

/// Takes a stream apart and puts it together with a new writer.
fn round_trip(stream: &[u8]) -> Result<(Template, Tile), Error> {
    let mut tile = Tile::new();
    let template = Parser::new().parse(stream, &mut tile)?;
    let mut out = vec![7];
    Writer::new().write(&template, &tile, &mut out).expect("what was parsed can be written");
    assert!(out[1..] == *stream, "rewritten bytes differ");
    let stored = Template::parse(&template.to_bytes()).expect("a template reads its own bytes");
    assert_eq!(stored, *template);
    out.clear();
    Writer::new().write(&stored, &tile, &mut out).expect("what was parsed can be written");
    assert!(out == *stream, "rewritten bytes differ");
    Ok((stored, tile))
}

/// Noise over a gradient: `roughness` 0 is smooth, 255 only noise.
fn picture(width: u32, height: u32, roughness: u8, seed: u32) -> Rgb {
    let mut image = Rgb::filled(width, height, [0; 3]);
    let mut state = seed | 1;
    for (i, value) in image.data_mut().iter_mut().enumerate() {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let x = i as u32 / 3 % width;
        *value = ((x * 2 + 30) & 255) as u8 ^ ((state >> 24) as u8 & roughness);
    }
    image
}

fn encode(image: &Rgb, quality: u8, subsamp: Subsamp, optimise: bool) -> Vec<u8> {
    let mut compressor = Compressor::new().expect("a compressor");
    compressor.set_quality(i32::from(quality)).expect("a quality");
    compressor.set_subsamp(subsamp).expect("a subsampling");
    compressor.set_optimize(optimise).expect("optimise");
    let (width, height) = (image.width() as usize, image.height() as usize);
    let pixels = Image { pixels: image.data(), width, pitch: 3 * width, height, format: PixelFormat::RGB };
    compressor.compress_to_vec(pixels).expect("encodes")
}

fn any_subsamp() -> impl Strategy<Value = Subsamp> {
    prop::sample::select(vec![
        Subsamp::None,
        Subsamp::Sub2x1,
        Subsamp::Sub2x2,
        Subsamp::Gray,
        Subsamp::Sub1x2,
        Subsamp::Sub4x1,
    ])
}

/// A template from parts that no encoder at hand writes.
#[derive(Debug, Clone)]
struct Parts {
    /// Sampling factors of each component.
    sampling: Vec<(u8, u8)>,
    restart: u16,
    wide_steps: bool,
    /// Whether tables 0 and 1 are made for each tile.
    optimal: [bool; 2],
    one_segment: bool,
    ones: bool,
    tail: Vec<u8>,
}

impl Parts {
    fn template(&self) -> Result<Template, Error> {
        let mut head = vec![0xFF, 0xD8, 0xFF, 0xFF, 0xDB, 0, if self.wide_steps { 131 } else { 67 }];
        head.push(u8::from(self.wide_steps) << 4);
        head.extend((1..=64_u8).flat_map(|step| if self.wide_steps { vec![step, step] } else { vec![step] }));
        let mut cuts = Vec::new();
        for number in [0, 1] {
            let tables = [number, number | 16];
            match (self.optimal[usize::from(number)], self.one_segment) {
                (true, true) => {
                    let mut cut = Cut { at: head.len(), count: 2, tables: [0; 8] };
                    cut.tables[..2].copy_from_slice(&tables);
                    cuts.push(cut);
                }
                (true, false) => tables.iter().for_each(|&table| {
                    cuts.push(Cut { at: head.len(), count: 1, tables: [table, 0, 0, 0, 0, 0, 0, 0] });
                }),
                (false, _) => {
                    for (table, bytes) in tables.into_iter().zip(&STANDARD[2 * usize::from(number)..]) {
                        head.extend_from_slice(&[0xFF, 0xC4, 0, bytes.len() as u8 + 3, table]);
                        head.extend_from_slice(bytes);
                    }
                }
            }
        }
        let count = self.sampling.len() as u8;
        head.extend_from_slice(&[0xFF, 0xDD, 0, 4]);
        head.extend_from_slice(&self.restart.to_be_bytes());
        head.extend_from_slice(&[0xFF, 0xC1, 0, 8 + 3 * count, 8, 0, 0, 0, 0, count]);
        for (id, (across, down)) in (0..).zip(&self.sampling) {
            head.extend_from_slice(&[id, across << 4 | down, 0]);
        }
        head.extend_from_slice(&[0xFF, 0xDA, 0, 6 + 2 * count, count]);
        (0..count).for_each(|id| head.extend_from_slice(&[id, if id % 2 == 0 { 0 } else { 0x11 }]));
        head.extend_from_slice(&[0, 63, 0]);
        let tail = [&[0xFF, 0xD9], &*self.tail].concat();
        Template::assemble(head, cuts, self.ones, tail)
    }
}

fn any_parts() -> impl Strategy<Value = Parts> {
    let sampling = prop_oneof![
        prop::collection::vec((1..=4_u8, 1..=4_u8), 1),
        prop::collection::vec((1..=2_u8, 1..=2_u8), 3),
        prop::collection::vec((1..=3_u8, 1..=2_u8), 3),
        prop::collection::vec((1..=2_u8, 1..=2_u8), 4),
    ];
    let optimal = any::<[bool; 2]>();
    let flags = any::<(bool, bool, bool)>();
    let tail = prop::collection::vec(any::<u8>(), 0..=64);
    (sampling, 0..6_u16, optimal, flags, tail).prop_map(|(sampling, restart, optimal, flags, tail)| {
        // A table that no component uses cannot be made for a tile.
        let optimal = [optimal[0], optimal[1] && sampling.len() > 1];
        let (wide_steps, one_segment, ones) = flags;
        Parts { sampling, restart, wide_steps, optimal, one_segment, ones, tail }
    })
}

/// Fills planes with coefficients in range, `density` of 256 of them not zero.
fn fill(tile: &mut Tile, density: u8, seed: u32) {
    let mut state = seed | 1;
    for plane in &mut tile.planes {
        for (i, coefficient) in plane.coefficients.iter_mut().enumerate() {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            if (state >> 24) as u8 <= density {
                let magnitude = (state >> 8 & 1023) as i16 >> (state & 15).min(10);
                *coefficient = if state & 16 == 0 { magnitude } else { -magnitude };
            }
            if i % 64 == 0 && state & 32 > 0 {
                *coefficient = (state >> 9 & 1023) as i16;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn streams_of_libjpeg_turbo_come_back(
        size in (1..80_u32, 1..80_u32), quality in 1..=100_u8, subsamp in any_subsamp(),
        optimise in any::<bool>(), roughness in any::<u8>(), seed in any::<u32>(),
    ) {
        let stream = encode(&picture(size.0, size.1, roughness, seed), quality, subsamp, optimise);
        let (template, tile) = round_trip(&stream).expect("a stream of libjpeg-turbo is taken");
        prop_assert_eq!((tile.width, tile.height), size);
        prop_assert_eq!(template.optimises(), optimise, "optimised tables are recognised");
        let other = encode(&picture(33, 47, 9, 5), quality, subsamp, optimise);
        prop_assert_eq!(round_trip(&other).expect("taken").0, template, "one encoder, one template");
    }

    #[test]
    fn our_own_template_gives_the_bytes_of_libjpeg_turbo(
        size in (1..80_u32, 1..80_u32), quality in 1..=100_u8, full in any::<bool>(),
        optimise in any::<bool>(),
    ) {
        let (subsampling, subsamp) = match full {
            true => (Subsampling::Chroma444, Subsamp::None),
            false => (Subsampling::Chroma420, Subsamp::Sub2x2),
        };
        let tables = if optimise { HuffmanTables::Optimal } else { HuffmanTables::Standard };
        let stream = encode(&picture(size.0, size.1, 31, 3), quality, subsamp, optimise);
        let (template, tile) = round_trip(&stream).expect("taken");
        let (luma, chroma) = (&tile.planes[0], &tile.planes[1]);
        let own = Template::jfif(&luma.table, &chroma.table, subsampling, tables).expect("valid steps");
        prop_assert_eq!(&own, &template);
        let mut planes = tile.clone();
        own.planes_for(size.0, size.1, &mut planes).expect("a small size");
        for (empty, plane) in planes.planes.iter_mut().zip(&tile.planes) {
            prop_assert!(empty.coefficients.iter().all(|&c| c == 0));
            empty.coefficients.clone_from(&plane.coefficients);
        }
        prop_assert_eq!(planes, tile);
    }

    #[test]
    fn streams_of_any_template_come_back(
        parts in any_parts(), size in (1..60_u32, 1..60_u32), density in any::<u8>(), seed in any::<u32>(),
    ) {
        let Ok(template) = parts.template() else {
            prop_assert!(parts.sampling.iter().map(|s| s.0 * s.1).sum::<u8>() > 10);
            return Ok(());
        };
        let mut tile = Tile::new();
        template.planes_for(size.0, size.1, &mut tile).expect("a small size");
        fill(&mut tile, density, seed);
        let mut stream = Vec::new();
        Writer::new().write(&template, &tile, &mut stream).expect("coefficients in range");
        let (parsed, again) = round_trip(&stream).expect("our own stream is taken");
        prop_assert_eq!(&again, &tile);
        // With no bit of padding anywhere, ones are assumed.
        prop_assert!(parsed == template || (!parts.ones && parsed.pads_with_ones()));
        if parts.sampling.len() == 1 && parts.tail.is_empty() {
            turbo::decode(&stream, 1 << 20).expect("libjpeg-turbo takes it too");
        }
    }

    #[test]
    fn fixed_tables_have_a_code_for_everything(
        density in any::<u8>(), seed in any::<u32>(), full in any::<bool>(),
    ) {
        let subsampling = if full { Subsampling::Chroma444 } else { Subsampling::Chroma420 };
        let optimal = Template::jfif(&[1; 64], &[1; 64], subsampling, HuffmanTables::Optimal).expect("valid");
        let (mut writer, mut statistics) = (Writer::new(), Statistics::default());
        let mut tile = Tile::new();
        optimal.planes_for(40, 40, &mut tile).expect("a small size");
        fill(&mut tile, density, seed);
        writer.count(&optimal, &tile, &mut statistics).expect("in range");
        let fixed = HuffmanTables::Fixed(&statistics);
        let fixed = Template::jfif(&[1; 64], &[1; 64], subsampling, fixed).expect("valid");
        fill(&mut tile, density.wrapping_mul(7), !seed);
        let mut stream = Vec::new();
        writer.write(&fixed, &tile, &mut stream).expect("every symbol has a code");
        prop_assert_eq!(&round_trip(&stream).expect("taken").1, &tile);
        turbo::decode(&stream, 1 << 20).expect("libjpeg-turbo takes it too");
    }

    #[test]
    fn damaged_streams_are_refused_or_still_exact(
        subsamp in any_subsamp(), optimise in any::<bool>(), restart in any_parts(), own in any::<bool>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut stream = encode(&picture(40, 24, 15, 7), 70, subsamp, optimise);
        if let (true, Ok(template)) = (own, restart.template()) {
            let mut tile = Tile::new();
            template.planes_for(40, 24, &mut tile).expect("a small size");
            fill(&mut tile, 40, 99);
            stream.clear();
            Writer::new().write(&template, &tile, &mut stream).expect("in range");
        }
        let _ = round_trip(&stream[..cut.index(stream.len())]);
        for (at, value) in damage {
            let at = at.index(stream.len());
            stream[at] = value;
            let _ = round_trip(&stream);
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_template(
        bytes in prop::collection::vec(any::<u8>(), 0..200), parts in any_parts(),
        at in any::<prop::sample::Index>(), value in any::<u8>(), size in (0..50_u32, 0..50_u32),
    ) {
        let _ = Template::parse(&bytes);
        let Ok(template) = parts.template() else { return Ok(()) };
        let mut stored = template.to_bytes();
        prop_assert!(Template::parse(&stored).expect("its own bytes") == template);
        prop_assert!(Template::parse(&stored[..at.index(stored.len())]).is_err());
        let at = at.index(stored.len());
        stored[at] = value;
        if let Ok(template) = Template::parse(&stored) {
            let mut tile = Tile::new();
            if template.planes_for(size.0, size.1, &mut tile).is_ok() {
                fill(&mut tile, 40, 99);
                let _ = Writer::new().write(&template, &tile, &mut Vec::new());
            }
        }
    }

    #[test]
    fn code_lengths_beyond_16_are_limited(counts in prop::collection::vec(0..40_u32, 1..=256)) {
        use super::huffman::Definition;
        let made = Definition::optimal(counts.iter().map(|&shift| if shift == 0 { 0 } else { 1 << shift }));
        let symbols = counts.iter().filter(|&&shift| shift > 0).count();
        prop_assert_eq!(made.bytes().len(), 16 + symbols);
        prop_assert!(Definition::read(made.bytes(), 0).expect("a decoder takes it") == made);
    }
}

#[test]
fn what_cannot_be_written_is_refused() {
    let template = Template::jfif(&[1; 64], &[1; 64], Subsampling::Chroma420, HuffmanTables::Standard);
    let template = template.expect("valid");
    let mut tile = Tile::new();
    template.planes_for(17, 17, &mut tile).expect("a small size");
    let mut out = vec![1, 2];
    let mut refused = |tile: &Tile| {
        let mut is_refused = |set| {
            matches!(Writer::with(set).write(&template, tile, &mut out), Err(Error::InvalidArgument(_)))
        };
        Set::all().into_iter().all(&mut is_refused) && out == [1, 2]
    };
    for (place, value) in [(0, 2048), (0, -2048), (0, i16::MIN), (1, 1024), (63, -1024), (5, i16::MIN)] {
        // With few coefficients besides, and with all.
        for others in [0, 1] {
            let mut wrong = tile.clone();
            wrong.planes[1].coefficients.fill(others);
            wrong.planes[1].coefficients[place] = value;
            assert!(refused(&wrong), "{value} at {place}");
        }
    }
    let mut wrong = tile.clone();
    (wrong.planes[0].coefficients[0], wrong.planes[0].coefficients[64]) = (2047, -1);
    assert!(refused(&wrong), "a difference of 2048");
    let mut wrong = tile.clone();
    wrong.planes[2].coefficients.pop();
    assert!(refused(&wrong), "a plane too short");
    wrong.planes.pop();
    assert!(refused(&wrong), "a plane too few");
    assert!(template.planes_for(4097, 4096, &mut tile).is_err());
    assert!(template.planes_for(0, 1, &mut tile).is_err());
    assert!(Template::jfif(&[256; 64], &[1; 64], Subsampling::Chroma420, HuffmanTables::Optimal).is_err());
}

#[test]
fn other_processes_are_refused() {
    let image = picture(40, 40, 15, 1);
    let input = Image { pixels: image.data(), width: 40, pitch: 120, height: 40, format: PixelFormat::RGB };
    for setting in [Compressor::set_progressive, Compressor::set_arithmetic] {
        let mut compressor = Compressor::new().expect("a compressor");
        setting(&mut compressor, true).expect("a setting");
        let stream = compressor.compress_to_vec(input).expect("encodes");
        assert!(matches!(round_trip(&stream), Err(Error::Unsupported(_))));
    }
    let mut huge = encode(&image, 80, Subsamp::Sub2x2, true);
    let frame = huge.windows(2).position(|w| w == [0xFF, 0xC0]).expect("a frame header");
    huge[frame + 5..frame + 9].copy_from_slice(&[0x10, 0, 0x10, 0]);
    assert!(matches!(round_trip(&huge), Err(Error::Malformed { .. })), "too short for 4096 x 4096");
    huge[frame + 5..frame + 7].copy_from_slice(&[0, 0]);
    assert!(round_trip(&huge).is_err(), "a height of zero");
}

#[test]
fn real_tiles_come_back() {
    let data = std::env::var_os("MICROTOME_TEST_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let mut say = std::io::stderr();
    let mut files = Vec::new();
    let mut folders = vec![data];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            match path.extension().and_then(|e| e.to_str()) {
                _ if path.is_dir() => folders.push(path),
                Some("jpg" | "jpeg") => files.push(path),
                _ => {}
            }
        }
    }
    if files.is_empty() {
        // Straight to standard error: the test runner holds back what `eprintln` prints.
        let _ = writeln!(say, "skipped: no test data beside the repository (set MICROTOME_TEST_DATA)");
        return;
    }
    let (mut parser, mut writer, mut tile) = (Parser::new(), Writer::new(), Tile::new());
    let (mut templates, mut out) = (HashMap::<_, usize>::new(), Vec::new());
    for file in &files {
        let stream = fs::read(file).expect("readable");
        let template = parser.parse(&stream, &mut tile);
        assert!(template.is_ok(), "{}: {template:?}", file.display());
        let template = template.expect("just looked");
        out.clear();
        writer.write(&template, &tile, &mut out).expect("what was parsed can be written");
        assert!(out == stream, "{}", file.display());
        *templates.entry(template).or_default() += 1;
    }
    let _ = writeln!(say, "{} JPEG files, how many per template: {:?}", files.len(), templates.values());
}

/// A stream of one component, 8 px high, with the standard tables and this scan, which is stuffed and padded here.
fn gray_stream(width: u8, restart: u16, intervals: &[String], ones: bool) -> Vec<u8> {
    let parts = Parts {
        sampling: vec![(1, 1)],
        restart,
        wide_steps: false,
        optimal: [false; 2],
        one_segment: false,
        ones,
        tail: Vec::new(),
    };
    let template = parts.template().expect("valid");
    let mut stream = Vec::new();
    template.append_head(u32::from(width), 8, &[super::huffman::Definition::EMPTY; 8], &mut stream);
    for (i, bits) in intervals.iter().enumerate() {
        if i > 0 {
            stream.extend_from_slice(&[0xFF, 0xD0 | (i - 1) as u8 & 7]);
        }
        let mut bits = bits.clone();
        while bits.len() % 8 > 0 {
            bits.push(if ones { '1' } else { '0' });
        }
        for byte in bits.as_bytes().chunks(8) {
            let byte = byte.iter().fold(0, |byte, &bit| byte << 1 | (bit - b'0'));
            stream.push(byte);
            if byte == 0xFF {
                stream.push(0);
            }
        }
    }
    stream.extend_from_slice(&[0xFF, 0xD9]);
    stream
}

/// Bits of a symbol in the standard luma tables, and of its value.
fn symbol_bits(ac: bool, symbol: u8, value: u32) -> String {
    let table = super::huffman::Definition::read(STANDARD[usize::from(ac)], 0).expect("valid");
    let (_, code, bits) = table.codes().find(|code| code.0 == symbol).expect("in the table");
    let size = symbol & 15;
    let mut out = format!("{code:0width$b}", width = bits as usize);
    (0..size).rev().for_each(|bit| out.push(if value >> bit & 1 > 0 { '1' } else { '0' }));
    out
}

#[test]
fn only_what_the_writer_writes_is_taken() {
    let (dc, end, zeros) = (symbol_bits(false, 0, 0), symbol_bits(true, 0, 0), symbol_bits(true, 0xF0, 0));
    let one = |run: u8| symbol_bits(true, run << 4 | 1, 1);
    let taken = |intervals: &[String]| {
        let stream = gray_stream(8 * intervals.len() as u8, 1, intervals, true);
        let taken = round_trip(&stream).is_ok();
        let (mut tile, mut out) = (Tile::new(), Vec::new());
        if let Ok(template) = Parser::baseline().parse(&stream, &mut tile) {
            Writer::with(Set::BASELINE)
                .write(&template, &tile, &mut out)
                .expect("what was parsed can be written");
        }
        assert_eq!(out == stream, taken);
        taken
    };
    let block = |rest: &[&str]| format!("{dc}{}", rest.concat());
    assert!(taken(&[block(&[&end])]));
    assert!(taken(&[block(&[&zeros, &one(0), &end]), block(&[&end])]));
    assert!(taken(&[block(&[&zeros, &zeros, &zeros, &one(14)])]), "to the end of the block");
    assert!(!taken(&[block(&[&zeros, &zeros, &zeros, &one(14), &end])]), "an end behind the end");
    assert!(!taken(&[block(&[&zeros, &zeros, &zeros, &one(15)])]), "beyond the block");
    assert!(!taken(&[block(&[&zeros, &end])]), "zeros before an end");
    let other = gray_stream(8, 0, &[block(&[&one(3), &zeros, &end])], true);
    assert!(matches!(round_trip(&other), Err(Error::Unsupported(_))), "zeros before an end");
    assert!(!taken(&[block(&[&zeros, &zeros, &one(14), &zeros])]), "zeros to the end of the block");
    assert!(!taken(&[block(&[&one(0)])]), "no end");
    assert!(!taken(&[format!("{}01111111", block(&[&end]))]), "a byte too many");
    // Two bits for the DC coefficient and four for the end leave two.
    assert!(!taken(&[format!("{}10", block(&[&end]))]), "padding of a one and a zero");
    assert!(!taken(&[format!("{}01", block(&[&end]))]), "padding of a zero and a one");
    assert!(taken(&[format!("{}00", block(&[&end]))]), "padding of zeros");
    assert!(!taken(&[format!("{}00", block(&[&end])), block(&[&end])]), "padding of zeros, then of ones");
}

proptest! {
    #[test]
    fn symbols_in_any_order_are_proven_or_refused(
        blocks in prop::collection::vec(
            prop::collection::vec((0..8_u8, 0..16_u8, 1..=10_u8, any::<u32>()), 0..40), 1..6),
        dc in 0..12_u8, ones in any::<bool>(),
    ) {
        let mut intervals = Vec::new();
        let mut canonical = true;
        for symbols in &blocks {
            let mut bits = symbol_bits(false, dc, u32::MAX >> 1);
            // The writer's rules, once more.
            let (mut k, mut zeros) = (1, false);
            for &(kind, run, size, value) in symbols {
                let (run, size) = if kind == 0 { (15, 0) } else { (run % (1 << (kind / 2)), size) };
                if k + run > 63 {
                    break;
                }
                bits += &symbol_bits(true, run << 4 | size, value);
                k += run + 1;
                zeros = size == 0;
            }
            canonical &= !zeros;
            if k < 64 {
                bits += &symbol_bits(true, 0, 0);
            }
            intervals.push(bits);
        }
        let stream = gray_stream(8 * blocks.len() as u8, 1, &intervals, ones);
        prop_assert_eq!(round_trip(&stream).is_ok(), canonical);
    }

    #[test]
    fn instruction_sets_agree(
        parts in any_parts(), size in (1..60_u32, 1..60_u32), density in any::<u8>(), seed in any::<u32>(),
        damage in any::<(prop::sample::Index, u8)>(),
    ) {
        let Ok(template) = parts.template() else { return Ok(()) };
        let mut tile = Tile::new();
        template.planes_for(size.0, size.1, &mut tile).expect("a small size");
        fill(&mut tile, density, seed);
        let mut stream = Vec::new();
        Writer::with(Set::BASELINE).write(&template, &tile, &mut stream).expect("coefficients in range");
        for set in Set::all() {
            let mut other = Vec::new();
            Writer::with(set).write(&template, &tile, &mut other).expect("coefficients in range");
            prop_assert!(stream == other, "{set:?}");
        }
        let at = damage.0.index(stream.len());
        for value in [stream[at], damage.1] {
            stream[at] = value;
            let (mut a, mut b) = (Tile::new(), Tile::new());
            match (Parser::new().parse(&stream, &mut a), Parser::baseline().parse(&stream, &mut b)) {
                (Ok(first), Ok(second)) => prop_assert!(first == second && a == b),
                (Err(_), Err(_)) => {}
                _ => prop_assert!(false, "one is taken, one is not"),
            }
        }
    }
}

#[test]
fn tables_without_all_codes_are_taken_as_far_as_they_go() {
    let stream = encode(&picture(40, 24, 15, 7), 70, Subsamp::Sub2x2, true);
    let mut tile = Tile::new();
    Parser::new().parse(&stream, &mut tile).expect("taken");
    let layout = super::header::Layout::read(&stream, &[]).expect("a stream");
    let mut head = stream[..layout.end].to_vec();
    head[layout.size_at..layout.size_at + 4].fill(0);
    let template = Template::assemble(head, Vec::new(), true, vec![0xFF, 0xD9]).expect("a template");
    let mut out = vec![3];
    Writer::new().write(&template, &tile, &mut out).expect("the tile that the tables were made for");
    assert!(out[1..] == *stream);
    tile.planes[0].coefficients[63] = 1023;
    out.truncate(1);
    assert!(matches!(Writer::new().write(&template, &tile, &mut out), Err(Error::InvalidArgument(_))));
    assert_eq!(out, [3]);
}

#[test]
fn blocks_of_all_shapes_are_written_alike_by_every_instruction_set() {
    let stream = encode(&picture(8 * 64, 8 * 6, 15, 7), 70, Subsamp::None, true);
    let mut tile = Tile::new();
    let template = Parser::new().parse(&stream, &mut tile).expect("taken");
    for plane in &mut tile.planes {
        plane.coefficients.fill(0);
        for (i, block) in plane.coefficients.as_chunks_mut::<64>().0.iter_mut().enumerate() {
            let (row, n) = (i / 64, i % 64);
            for k in 1..64 {
                let is_there = match row {
                    0 => k <= n,
                    1 => k >= n,
                    2 => k % (n + 1) == 0,
                    3 => k == n || k == 63,
                    4 => k > 31 && k <= n,
                    _ => k <= n / 2 || k > 31 && k < 32 + n / 2,
                };
                let value = [1, -1, 1023, -1023, 512, -511, 2, -3][(k + i) % 8];
                block[k] = if is_there { value } else { 0 };
            }
        }
    }
    for set in Set::all() {
        let (mut out, mut back) = (Vec::new(), Tile::new());
        Writer::with(set).write(&template, &tile, &mut out).expect("coefficients in range");
        Parser::baseline().parse(&out, &mut back).expect("what was written can be parsed");
        assert!(tile.planes == back.planes, "{set:?}");
    }
}
