//! What finding and reading a tile costs, page cache of the system warm, on one core.
//!
//! The limit is a plain positional read of the same bytes in the same run: `limit_pread`. What is above it is
//! arithmetic, checksums and, for `Slide`, the cache of index pages.
//!
//! `cargo bench --bench container`

mod support;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::LazyLock;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use microtome_container::header::MAX_HEADER_LENGTH;
use microtome_container::index::{Entry, PAGE_LENGTH};
use microtome_container::reader::{Page, Reading};
use microtome_container::{Container, SectionKind};
use microtome_slide::{FetchedTile, Slide, TileId};

use support::{SyntheticSlide, shuffled_tiles};

fn main() {
    LazyLock::force(&SLIDE);
    divan::main();
}

/// A slide of more than 78 families: its index has a full page.
static FILE: LazyLock<SyntheticSlide> = LazyLock::new(|| SyntheticSlide::new(12_288, 9216));
static SLIDE: LazyLock<Slide> = LazyLock::new(|| FILE.open());

fn container() -> &'static Container {
    SLIDE.container()
}

/// Level-0 tiles in random order, again and again.
fn tiles() -> impl Iterator<Item = TileId> {
    shuffled_tiles(&SLIDE, 0).into_iter().cycle()
}

/// Index entries of [`tiles`].
fn entries() -> impl Iterator<Item = (TileId, Entry)> {
    let entry = |tile| {
        let (page, position) = container().locate(tile).expect("inside");
        let page = container().read_page(page, Reading::Waits).expect("reads");
        (tile, page.entry(position).expect("level 0 is stored"))
    };
    shuffled_tiles(&SLIDE, 0).into_iter().map(entry).collect::<Vec<_>>().into_iter().cycle()
}

fn mean_record_length() -> BytesCount {
    let tiles = shuffled_tiles(&SLIDE, 0).len();
    let total: usize = entries().take(tiles).map(|(_, entry)| entry.length as usize).sum();
    BytesCount::new(total / tiles)
}

fn pread(file: &File, length: usize, offset: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, offset).expect("reads");
    bytes
}

mod open {
    use super::*;

    #[divan::bench]
    fn limit_pread(bencher: Bencher) {
        bencher.bench(|| pread(&File::open(&FILE.path).expect("opens"), MAX_HEADER_LENGTH, 0));
    }

    #[divan::bench]
    fn container_open(bencher: Bencher) {
        bencher.bench(|| Container::open(&FILE.path).expect("opens"));
    }

    /// With codec parameters, metadata and an empty page cache.
    #[divan::bench]
    fn slide_open(bencher: Bencher) {
        bencher.bench(|| FILE.open());
    }
}

/// From a tile's place to its index entry.
mod index {
    use super::*;

    #[divan::bench]
    fn limit_pread_page(bencher: Bencher) {
        let file = File::open(&FILE.path).expect("opens");
        let sections = &container().header().sections;
        let index = sections.iter().find(|s| s.kind == SectionKind::INDEX).expect("an index");
        let length = index.length.min(PAGE_LENGTH) as usize;
        bencher.counter(BytesCount::new(length)).bench(|| pread(&file, length, index.offset));
    }

    /// The page is read and checked each time.
    #[divan::bench]
    fn cold(bencher: Bencher) {
        // Slots are in file order: the first family's tile is on the first page, which is full.
        let tile = TileId { level: 0, column: 0, row: 0 };
        bencher.bench(|| {
            let (page, position) = container().locate(tile).expect("inside");
            container().read_page(page, Reading::Waits).expect("reads").entry(position)
        });
    }

    /// The page is at hand: arithmetic only.
    #[divan::bench]
    fn hot(bencher: Bencher) {
        let pages: Vec<Page> = (0..container().layout().pages())
            .map(|page| container().read_page(page, Reading::Waits).expect("reads"))
            .collect();
        let mut tiles = tiles();
        bencher.bench_local(|| {
            let (page, position) = container().locate(tiles.next().expect("endless")).expect("inside");
            pages[page as usize].entry(position)
        });
    }
}

/// Random level-0 records, 256 of them to a sample.
mod record {
    use super::*;

    #[divan::bench(sample_size = 256)]
    fn limit_pread(bencher: Bencher) {
        let file = File::open(&FILE.path).expect("opens");
        let sections = &container().header().sections;
        let mut entries = entries();
        bencher.counter(mean_record_length()).bench_local(|| {
            let (_, entry) = entries.next().expect("endless");
            pread(&file, entry.length as usize, sections[usize::from(entry.section)].offset + entry.offset)
        });
    }

    /// Read and checked against the keyed checksum, its index entry known.
    #[divan::bench(sample_size = 256)]
    fn read_record(bencher: Bencher) {
        let mut entries = entries();
        bencher.counter(mean_record_length()).bench_local(|| -> Bytes {
            let (tile, entry) = entries.next().expect("endless");
            container().read_record(tile, entry, Reading::Waits).expect("reads")
        });
    }

    /// The whole way of a request, index page cached.
    #[divan::bench(sample_size = 256)]
    fn slide_fetch(bencher: Bencher) {
        let mut tiles = tiles();
        bencher
            .counter(mean_record_length())
            .bench_local(|| -> FetchedTile { SLIDE.fetch(tiles.next().expect("endless")).expect("fetches") });
    }
}
