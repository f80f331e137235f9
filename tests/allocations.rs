//! What a cold tile asks of the allocator, from the file to JPEG: its own bytes and nothing else, once all threads have had
//! their first tiles. Alone in its program: others would take the spare buffers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;

use allocation_counter::measure;
use microtome_container::reader::Reading;
use microtome_slide::{Slide, TileId};
use support::{folder, succeed, tissue, write_deep_zoom};

/// Tiles of a level that all slides below have.
fn tiles(slide: &Slide, level: u8) -> impl Iterator<Item = TileId> {
    let (columns, rows) =
        (slide.levels()[usize::from(level)].columns(), slide.levels()[usize::from(level)].rows());
    (0..rows).flat_map(move |row| (0..columns).map(move |column| TileId { level, column, row }))
}

/// Whether a tile is coded with sixteen states (`docs/format/codec-1.md`, "Payload").
fn has_sixteen(slide: &Slide, tile: TileId) -> bool {
    let container = slide.container();
    let (page, position) = container.locate(tile).unwrap();
    let entry = container.read_page(page, Reading::Waits).unwrap().entry(position).unwrap();
    container.read_record(tile, entry, Reading::Waits).unwrap()[0] & 32 != 0
}

/// How often fetching and decoding each tile of a level allocates, and how many bytes beyond the tile's own.
fn allocations(slide: &Slide, level: u8) -> Vec<(u64, u64)> {
    let each = tiles(slide, level).map(|tile| {
        let mut jpeg = None;
        let counted = measure(|| {
            jpeg = Some(slide.fetch(tile).unwrap().decode().unwrap());
        });
        (counted.count_total, counted.bytes_total - jpeg.unwrap().len() as u64)
    });
    each.collect()
}

fn ingest(source: &str, container: &Path, more: &[&str]) -> Slide {
    succeed([&["ingest", source, "-o", container.to_str().unwrap()], more].concat());
    Slide::open(container).unwrap()
}

#[test]
fn a_cold_tile_allocates_its_own_bytes_and_nothing_else() {
    let folder = folder();
    let deep_zoom = write_deep_zoom(folder.path(), &tissue(1300, 1100, 1), 254, 1, "jpg");
    let (kept, quantised) = (folder.path().join("kept.mtm"), folder.path().join("quantised.mtm"));
    let kept = ingest(deep_zoom.to_str().unwrap(), &kept, &[]);
    let quantised = ingest("synthetic:1300x1100,seed=5", &quantised, &["--quality", "80"]);
    // Level 1 is stored in one of them, predicted from level 0; in the other it is derived.
    assert!(!kept.is_derived(1) && quantised.is_derived(1));
    assert!(tiles(&kept, 0).filter(|&tile| has_sixteen(&kept, tile)).count() >= 5, "too few tiles are large");
    for slide in [kept, quantised] {
        for level in 0..3 {
            // Buffers, pictures of base tiles, index pages.
            let first = allocations(&slide, level);
            // The caches of the latter two do their housekeeping every now and then.
            let again: Vec<_> = (0..4).map(|_| allocations(&slide, level)).collect();
            let is_quiet =
                again.iter().filter(|tiles| tiles.iter().all(|&counted| counted == (1, 0))).count();
            assert!(is_quiet >= 2, "level {level}: {first:?}, then {again:?}");
        }
    }
}
