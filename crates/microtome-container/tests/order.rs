//! The same tiles give the same file, and the file has the order that the format promises.

mod support;

use std::collections::HashSet;
use std::fs;

use microtome_container::geometry::TileId;
use microtome_container::{Container, Error, Level, Writer, checksum};
use proptest::prelude::*;
use support::{Random, Sample, all_tiles, entry, findings, read, section};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]
    #[test]
    fn any_order_from_any_number_of_threads_gives_the_same_bytes(
        w in 1_u32..400, h in 1_u32..400, overlap in 0_u32..3, order in any::<u64>(), threads in 1_usize..5,
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let sample = Sample { blank_in: 3, ..Sample::new(w, h, 32, overlap) };
        let (straight, shuffled) = (folder.path().join("straight.mtm"), folder.path().join("shuffled.mtm"));
        let first = sample.write(&straight);

        let writer = sample.writer(&shuffled);
        let mut tiles = sample.tiles(&writer);
        let mut random = Random(order);
        for i in (1..tiles.len()).rev() {
            tiles.swap(i, (random.next() % (i as u64 + 1)) as usize);
        }
        std::thread::scope(|scope| {
            for part in tiles.chunks(tiles.len().div_ceil(threads)) {
                let writer = &writer;
                scope.spawn(move || part.iter().for_each(|(tile, bytes)| writer.put(*tile, bytes).expect("put")));
            }
        });
        let second = sample.finish(writer).expect("published");

        prop_assert_eq!(first, second);
        prop_assert!(fs::read(&straight).expect("written") == fs::read(&shuffled).expect("written"));
        prop_assert_eq!(findings(&shuffled).len(), 0);
    }
}

#[test]
fn identical_payloads_are_stored_once_and_read_back_at_every_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("slide.mtm");
    let sample = Sample { blank_in: 2, ..Sample::new(500, 300, 32, 0) };
    let published = sample.write(&path);
    let container = Container::open(&path).expect("opens");
    let (mut distinct, mut places, mut bytes, mut tiles) = (HashSet::new(), HashSet::new(), 0, 0);
    for tile in all_tiles(&container) {
        let Some(record) = read(&container, tile).expect("sound") else { continue };
        assert_eq!(record, sample.payload(tile), "{tile}");
        places.insert(entry(&container, tile).expect("sound").expect("stored").offset);
        tiles += 1;
        if distinct.insert(record.clone()) {
            bytes += record.len() as u64;
        }
    }
    assert_eq!((published.tiles, published.records), (tiles, distinct.len() as u64));
    assert_eq!(places.len(), distinct.len());
    assert!(published.records < published.tiles * 3 / 4, "the sample has blanks");
    assert_eq!(container.header().sections.last().map(|s| s.length), Some(bytes), "nothing else is stored");
}

/// Two payloads that XXH3-128 cannot tell apart: a half that equals the secret makes its product zero.
fn colliding_payloads() -> [Vec<u8>; 2] {
    let secret = [0xbe4b_a423_396c_feb8_u64, 0x1cad_21f7_2c81_017c];
    let one = [secret[0], secret[1].wrapping_add(99)];
    let other = [secret[0].wrapping_add(99), secret[1]];
    [one, other].map(|half| half.iter().flat_map(|word| word.to_le_bytes()).chain([7; 16]).collect())
}

#[test]
fn different_payloads_with_the_same_hash_keep_their_own_records_in_any_order() {
    let [one, other] = colliding_payloads();
    assert_ne!(one, other);
    assert_eq!(checksum::payload_hash(&one), checksum::payload_hash(&other), "the premise of this test");
    let folder = tempfile::tempdir().expect("a folder");
    let sample = Sample::new(64, 16, 16, 0);
    let payload = |column: u32| if column.is_multiple_of(2) { &one } else { &other };
    let mut files = vec![];
    for (name, order) in [("a.mtm", [0, 1, 2, 3]), ("b.mtm", [3, 0, 1, 2])] {
        let path = folder.path().join(name);
        let writer = sample.writer(&path);
        for column in order {
            writer.put(TileId { level: 0, column, row: 0 }, payload(column)).expect("put");
        }
        for (tile, payload) in sample.tiles(&writer).into_iter().filter(|(tile, _)| tile.level > 0) {
            writer.put(tile, &payload).expect("put");
        }
        let published = sample.finish(writer).expect("published");
        assert_eq!(published.records, published.tiles - 2, "four tiles of level 0 share two records");
        let container = Container::open(&path).expect("opens");
        for column in 0..4 {
            let tile = TileId { level: 0, column, row: 0 };
            assert_eq!(read(&container, tile).expect("sound").as_ref(), Some(payload(column)), "{tile}");
        }
        files.push(fs::read(&path).expect("written"));
    }
    assert!(files[0] == files[1]);
}

#[test]
fn coarse_levels_come_first_and_families_follow_the_curve_each_in_one_piece() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("slide.mtm");
    // 32 x 32 tiles, 8 x 8 families: a whole Hilbert curve, whose steps go to a neighbour.
    Sample::new(512, 512, 16, 0).write(&path);
    let container = Container::open(&path).expect("opens");
    let mut by_place: Vec<_> = all_tiles(&container)
        .into_iter()
        .filter_map(|tile| entry(&container, tile).expect("sound").map(|e| (e.offset, e.length, tile)))
        .collect();
    by_place.sort_unstable();
    let mut end = 0;
    for &(offset, length, tile) in &by_place {
        assert_eq!(offset, end, "{tile} leaves a gap or overlaps");
        end += u64::from(length);
    }
    let tiles: Vec<_> = by_place.into_iter().map(|(_, _, tile)| tile).collect();
    let families_from = tiles.iter().position(|t| t.level == 2).expect("there is a level 2");
    assert!(tiles[..families_from].is_sorted_by_key(|t| (std::cmp::Reverse(t.level), t.row, t.column)));
    assert!(tiles[families_from..].iter().all(|t| t.level <= 2));
    let mut families: Vec<(u32, u32)> = vec![];
    for tile in &tiles[families_from..] {
        let family = (tile.column >> (2 - tile.level), tile.row >> (2 - tile.level));
        if families.last() != Some(&family) {
            assert_eq!(tile.level, 2, "a family starts with its base tile");
            families.push(family);
        }
    }
    assert_eq!(families.len(), 64, "each family is one piece");
    assert_eq!((families[0], families[63]), ((0, 0), (7, 0)));
    for pair in families.windows(2) {
        assert_eq!(pair[0].0.abs_diff(pair[1].0) + pair[0].1.abs_diff(pair[1].1), 1, "{pair:?}");
    }
}

#[test]
fn a_slide_with_several_index_pages_reads_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("slide.mtm");
    let sample = Sample { blank_in: 5, ..Sample::new(1100, 800, 16, 1) };
    sample.write(&path);
    let container = Container::open(&path).expect("opens");
    assert!(container.layout().pages() >= 3);
    for tile in all_tiles(&container) {
        let stored = container.header().levels[usize::from(tile.level)].stored;
        assert_eq!(read(&container, tile).expect("sound"), stored.then(|| sample.payload(tile)), "{tile}");
    }
    assert_eq!(findings(&path).len(), 0);
}

#[test]
fn what_the_format_has_no_place_for_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("slide.mtm");
    let sample = Sample::new(40, 40, 16, 0);
    let pixel = Level { width: 1, height: 1, stored: true };
    let create = |levels| Writer::create(&path, 0, 16, 0, levels).map(drop);
    for levels in [0, 2, 33, 300] {
        assert!(
            matches!(create(vec![pixel; levels]), Err(Error::OutOfBounds(_))),
            "{levels} levels of one pixel"
        );
    }
    assert!(create(vec![pixel]).is_ok(), "one pixel is one level");

    let writer = sample.writer(&path);
    let tile = TileId { level: 0, column: 0, row: 0 };
    assert!(matches!(writer.put(tile, &[]), Err(Error::OutOfBounds(_))), "an empty record");
    assert!(matches!(writer.put(TileId { column: 3, ..tile }, b"x"), Err(Error::OutsideSlide(_))));
    writer.put(tile, b"x").expect("put");
    assert!(matches!(writer.put(tile, b"x"), Err(Error::OutOfBounds(_))), "a tile twice");
    assert_eq!(writer.get(tile).expect("get"), Some(b"x".to_vec()));

    for (sections, name) in [
        (vec![section(b"INDX", true, b"")], "an index of the caller's"),
        (vec![section(b"TILE", true, b"")], "tiles of the caller's"),
        (vec![section(b"XTRA", false, b""); 63], "65 sections"),
    ] {
        let sample = Sample { sections, ..sample.clone() };
        let writer = sample.writer(&path);
        for (tile, payload) in sample.tiles(&writer) {
            writer.put(tile, &payload).expect("put");
        }
        assert!(matches!(sample.finish(writer), Err(Error::OutOfBounds(_))), "{name}");
    }
    assert_eq!(support::names(folder.path()).len(), 0, "nothing is left");
}
