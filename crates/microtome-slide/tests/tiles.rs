//! Containers of real JPEG tiles: what is fetched and decoded is what the format says it is.

mod support;

use bytes::Bytes;
use microtome_codec::cross_scale::Kind;
use microtome_codec::{Rgb, turbo};
use microtome_container::Level;
use microtome_container::geometry::{Rect, TileId};
use microtome_slide::{Error, Slide, reference};
use support::{Sample, half, picture, section};

const SHAPES: [(u32, u32, u32, u32); 6] =
    [(101, 75, 32, 1), (33, 33, 16, 3), (1, 50, 16, 0), (64, 64, 16, 2), (97, 130, 48, 0), (1, 1, 16, 0)];

/// All tiles of all levels.
fn tiles(slide: &Slide) -> Vec<TileId> {
    let grids = slide.levels().iter().zip(0_u8..);
    grids
        .flat_map(|(grid, level)| {
            let columns = grid.columns();
            (0..grid.rows())
                .flat_map(move |row| (0..columns).map(move |column| TileId { level, column, row }))
        })
        .collect()
}

fn decode(jpeg: &[u8]) -> Rgb {
    turbo::decode(jpeg, 1 << 24).expect("a sound JPEG")
}

#[test]
fn stored_tiles_come_back_byte_for_byte() {
    for (w, h, tile_size, overlap) in SHAPES {
        let sample = Sample::new(w, h, tile_size, overlap);
        let (_folder, slide) = sample.slide();
        for tile in tiles(&slide).into_iter().filter(|t| !slide.is_derived(t.level)) {
            assert_eq!(slide.tile(tile).expect("decodes"), sample.jpeg(tile), "{w} x {h}: {tile}");
        }
    }
}

#[test]
fn derived_tiles_are_the_exact_average_of_the_decoded_finer_level() {
    for (w, h, tile_size, overlap) in SHAPES {
        let sample = Sample::new(w, h, tile_size, overlap);
        let (_folder, slide) = sample.slide();
        for level in (1..slide.levels().len() as u8).step_by(2) {
            // The finer level out of the tiles that went in, each giving its own area: no code of the crate.
            let finer = slide.levels()[usize::from(level) - 1];
            let mut whole = Rgb::filled(finer.width, finer.height, [0; 3]);
            for row in 0..finer.rows() {
                for column in 0..finer.columns() {
                    let pixels = decode(&sample.jpeg(TileId { level: level - 1, column, row }));
                    let (x, y) = (column * tile_size, row * tile_size);
                    let (left, top) = (x - x.saturating_sub(overlap), y - y.saturating_sub(overlap));
                    let (width, height) = (tile_size.min(finer.width - x), tile_size.min(finer.height - y));
                    whole.blit(&pixels, left, top, width, height, x, y);
                }
            }
            let expected = half(&whole);
            for tile in tiles(&slide).into_iter().filter(|t| t.level == level) {
                let rect =
                    slide.levels()[usize::from(level)].tile_rect(tile.column, tile.row).expect("inside");
                let pixels = slide.fetch(tile).expect("fetched").decode_pixels().expect("decodes");
                let part = expected.crop(rect.x, rect.y, rect.width, rect.height);
                assert!(pixels == part, "{w} x {h}, tiles of {tile_size} + {overlap}: {tile}");
                let jpeg = slide.tile(tile).expect("encodes");
                let as_asked = turbo::encode(&part, Sample::QUALITY, Sample::SUBSAMPLING).expect("encodes");
                assert_eq!(jpeg, as_asked, "{tile} is encoded as the container asks");
            }
        }
    }
}

#[test]
fn a_family_is_its_tiles_wherever_it_lies_and_whichever_is_first() {
    for (w, h, tile_size, overlap) in SHAPES {
        let sample = Sample::new(w, h, tile_size, overlap);
        for kept in 0..2 {
            // Level 2 stored and level 1 derived, or the other way round.
            let levels = sample
                .levels
                .iter()
                .zip(0..)
                .map(|(level, k)| Level { stored: k == 0 || k % 2 == kept, ..*level });
            let (_folder, slide) = Sample { levels: levels.collect(), ..sample.clone() }.slide();
            for base in tiles(&slide) {
                let family = slide.fetch_family(base).expect("fetched");
                let mut expected = reference::descendants(slide.levels(), base);
                expected.push(base);
                expected.sort();
                for first in expected.iter().copied() {
                    let decoded: Vec<_> = family.decode(first).collect();
                    assert_eq!(decoded[0].0, first);
                    for (tile, jpeg) in &decoded {
                        let alone = slide.tile(*tile).expect("decodes");
                        assert_eq!(jpeg.as_ref().expect("decodes"), &alone, "{w} x {h}: {tile} of {base}");
                    }
                    let mut found: Vec<_> = decoded.into_iter().map(|(tile, _)| tile).collect();
                    found.sort();
                    assert_eq!(found, expected);
                }
            }
        }
    }
}

#[test]
fn a_region_is_the_crop_of_the_whole_level() {
    for (w, h, tile_size, overlap) in SHAPES {
        let (_folder, slide) = Sample::new(w, h, tile_size, overlap).slide();
        for (grid, level) in slide.levels().iter().zip(0..) {
            let rect = |x, y, width, height| Rect { x, y, width, height };
            let whole = slide.read_region(level, rect(0, 0, grid.width, grid.height)).expect("decodes");
            let (right, bottom) = (grid.width - 1, grid.height - 1);
            let (x, y) = (right / 3, bottom / 2);
            for part in [
                rect(0, 0, 1, 1),
                rect(right, bottom, 1, 1),
                rect(x, y, grid.width - x, grid.height - y),
                rect(x, y, (grid.width - x).min(17), (grid.height - y).min(tile_size)),
            ] {
                let region = slide.read_region(level, part).expect("decodes");
                assert!(
                    region == whole.crop(part.x, part.y, part.width, part.height),
                    "level {level} {part:?}"
                );
            }
        }
    }
}

#[test]
fn what_is_outside_the_slide_is_the_callers_mistake() {
    let (_folder, slide) = Sample::new(101, 75, 32, 1).slide();
    let coarsest = slide.levels().len() as u8;
    for tile in [(0, 4, 0), (0, 0, 3), (coarsest, 0, 0), (255, 0, 0), (0, u32::MAX, u32::MAX)] {
        let tile = TileId { level: tile.0, column: tile.1, row: tile.2 };
        assert!(matches!(slide.fetch(tile), Err(Error::OutsideSlide(t)) if t == tile), "{tile}");
        assert!(matches!(slide.fetch_family(tile), Err(Error::OutsideSlide(t)) if t == tile), "{tile}");
    }
}

#[test]
fn an_intact_record_that_is_no_jpeg_of_the_right_size_is_undecodable_and_named() {
    let bad = TileId { level: 0, column: 1, row: 1 };
    let jpeg =
        |width, height| turbo::encode(&picture(width, height), 90, Sample::SUBSAMPLING).expect("encodes");
    let sound = Sample::new(101, 75, 32, 1).jpeg(bad);
    let wrong = [
        ("not a JPEG", b"not a JPEG".to_vec()),
        ("too small", jpeg(33, 34)),
        ("too large, in a level that is not padded", jpeg(64, 64)),
        ("cut off before its scan", sound[..20].to_vec()),
    ];
    for (name, payload) in wrong {
        let sample = Sample { instead: vec![(bad, payload)], ..Sample::new(101, 75, 32, 1) };
        let (_folder, slide) = sample.slide();
        let path = slide.container().path().display().to_string();
        // As itself, and under the derived tile that is made from it.
        for tile in [bad, TileId { level: 1, column: 0, row: 0 }] {
            let error = slide.fetch(tile).expect("intact").decode().expect_err(name);
            assert!(matches!(&error, Error::Undecodable { tile, .. } if *tile == bad), "{name}: {error}");
            assert!(error.to_string().starts_with(&format!("{path}: {bad}: ")), "{name}: {error}");
        }
        let base = TileId { level: 2, column: 0, row: 0 };
        for (tile, decoded) in slide.fetch_family(base).expect("intact").decode(base) {
            let words = |jpeg: Result<Bytes, Error>| jpeg.map_err(|error| error.to_string());
            assert_eq!(words(decoded), words(slide.tile(tile)), "{name}: {tile}");
        }
        let other = TileId { level: 0, column: 3, row: 0 };
        assert_eq!(slide.tile(other).expect("another tile is none the worse"), sample.jpeg(other));
    }
    // Only decoding pixels looks into the scan of a tile that is served as it is.
    let sample =
        Sample { instead: vec![(bad, sound[..sound.len() - 30].to_vec())], ..Sample::new(101, 75, 32, 1) };
    let (_folder, slide) = sample.slide();
    let error = slide.fetch(bad).expect("intact").decode_pixels().expect_err("cut off in its scan");
    assert!(matches!(error, Error::Undecodable { tile, .. } if tile == bad));
    assert!(slide.tile(TileId { level: 1, column: 0, row: 0 }).is_err(), "nothing is derived from it");
}

#[test]
fn sections_that_make_no_sense_are_invalid_and_named() {
    let sound = Sample::new(40, 30, 16, 0);
    let parameters = sound.parameters();
    let cases = [
        ("section META", vec![parameters.clone(), section(b"META", b"not JSON")]),
        ("section META", vec![parameters.clone(), section(b"META", b"")]),
        ("section META", vec![parameters.clone(), section(b"META", br#"{"mpp":"a quarter"}"#)]),
        ("section META", vec![parameters, section(b"META", b"{}{}")]),
        ("section CPAR", vec![]),
        ("section CPAR", vec![section(b"CPAR", b"")]),
        ("section CPAR", vec![section(b"CPAR", &[80, 0, 0, 0, 0])]),
        ("section CPAR", vec![section(b"CPAR", &[0, 0, 0, 0])]),
    ];
    for (place, sections) in cases {
        let (folder, path) = Sample { sections: Some(sections.clone()), ..sound.clone() }.write();
        let error = Slide::open(&path).expect_err(place);
        assert!(matches!(&error, Error::Invalid { place: p, .. } if p == place), "{sections:?}: {error}");
        assert!(error.to_string().starts_with(&format!("{}: {place}: ", path.display())), "{error}");
        drop(folder);
    }
    // Level 0 from level 2, which is from level 1, which is not stored; and no end to it.
    for (kinds, level) in [
        (&[Kind::Coarser, Kind::Alone, Kind::Finer][..], "level 0"),
        (&[Kind::Alone, Kind::Alone, Kind::Finer], "level 2"),
        (&[Kind::Finer], "level 0"),
        (&[Kind::Alone, Kind::Alone, Kind::Coarser, Kind::Alone, Kind::Coarser], "level 2"),
    ] {
        let (_folder, path) = sound.clone().predicted(kinds).write();
        let error = Slide::open(&path).expect_err(level).to_string();
        assert!(
            error.contains("section CPAR") && error.contains(&format!("the tiles of {level} ")),
            "{error}"
        );
    }
    let (_folder, path) = Sample { codec: 7, ..sound }.write();
    let error = Slide::open(&path).expect_err("an unknown codec").to_string();
    assert!(error.contains("codec 7"), "{error}");
}

#[test]
fn metadata_of_a_later_version_is_read_and_missing_metadata_has_its_defaults() {
    let sample = Sample::new(40, 30, 16, 0);
    let later =
        br#"{"mpp":[0.25,0.5],"new":{"x":[1]},"encoder":{"name":"later","build":7},"objective_power":null}"#;
    let sections = Some(vec![sample.parameters(), section(b"META", later), section(b"NEWS", b"unknown")]);
    let (_folder, slide) = Sample { sections, ..sample.clone() }.slide();
    assert_eq!(slide.metadata().mpp, Some([0.25, 0.5]));
    assert_eq!(slide.metadata().encoder.name, "later");
    let (_folder, slide) = Sample { sections: Some(vec![sample.parameters()]), ..sample }.slide();
    assert_eq!(slide.metadata(), &microtome_slide::Metadata::default());
}
