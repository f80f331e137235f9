//! What one tile costs once its record is in memory, on one core.
//!
//! The limit is libjpeg-turbo itself, called directly in the same run: `limit_*`. A stored tile should cost a header
//! check, far below it; a derived tile is four decodes, a reduction and an encode, and should cost their sum.
//!
//! All tiles are 256 px of dense synthetic tissue, quality 80, 4:2:0. `cargo bench --bench decode`

mod support;

use std::sync::LazyLock;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use microtome_codec::Rgb;
use microtome_codec::jpeg::Colour;
use microtome_codec::payload::{LevelStream, VerbatimParams};
use microtome_codec::turbo::{self, Subsampling};
use microtome_slide::{FetchedTile, Slide, TileId};
use turbojpeg::{Compressor, Decompressor, Image, PixelFormat, Subsamp};

use support::{SyntheticSlide, densest_tile};

const SIDE: u32 = 256;
const PIXELS: u64 = SIDE as u64 * SIDE as u64;

fn main() {
    LazyLock::force(&SAMPLES);
    divan::main();
}

/// The tiles that everything below works on.
struct Samples {
    stored: FetchedTile,
    derived: FetchedTile,
    jpeg: Bytes,
    pixels: Rgb,
    /// Pixels of the four tiles under the derived one.
    four: Rgb,
    abbreviated: Bytes,
    params: VerbatimParams,
}

static SAMPLES: LazyLock<Samples> = LazyLock::new(|| {
    let slide = SyntheticSlide::new(4096, 4096).open();
    let derived = densest_tile(&slide, 1);
    let stored = densest_finer_tile(&slide, derived);
    let jpeg = slide.tile(stored).expect("decodes");
    let (tables, abbreviated) = abbreviate(&jpeg);
    let stream = LevelStream { level: 0, tables, colour: Colour::AsStored, padded_to: 256 };
    let area = slide.levels()[1].tile_rect(derived.column, derived.row).expect("inside");
    let area = microtome_slide::mosaic::finer(area, &slide.levels()[0]);
    Samples {
        pixels: turbo::decode(&jpeg, PIXELS).expect("decodes"),
        four: slide.read_region(0, area).expect("decodes"),
        stored: slide.fetch(stored).expect("fetches"),
        derived: slide.fetch(derived).expect("fetches"),
        jpeg,
        abbreviated,
        params: VerbatimParams {
            derived_quality: 80,
            derived_subsampling: Subsampling::Chroma420,
            streams: vec![stream],
        },
    }
});

/// The densest of the four tiles under a derived tile.
fn densest_finer_tile(slide: &Slide, tile: TileId) -> TileId {
    let four = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(x, y)| TileId {
        level: tile.level - 1,
        column: 2 * tile.column + x,
        row: 2 * tile.row + y,
    });
    four.into_iter().max_by_key(|&tile| slide.tile(tile).expect("decodes").len()).expect("four tiles")
}

/// Splits a stream as TIFF stores it: the tables for all tiles, and the tile without them.
fn abbreviate(jpeg: &[u8]) -> (Vec<u8>, Bytes) {
    let (mut tables, mut tile) = (vec![0xFF, 0xD8], vec![0xFF, 0xD8]);
    let mut at = 2;
    while jpeg[at + 1] != 0xDA {
        let end = at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        let to = if matches!(jpeg[at + 1], 0xC4 | 0xDB) { &mut tables } else { &mut tile };
        to.extend_from_slice(&jpeg[at..end]);
        at = end;
    }
    tables.extend_from_slice(&[0xFF, 0xD9]);
    tile.extend_from_slice(&jpeg[at..]);
    (tables, tile.into())
}

mod jpeg_to_pixels {
    use super::*;

    #[divan::bench]
    fn limit_libjpeg_turbo(bencher: Bencher) {
        let mut decompressor = Decompressor::new().expect("a handle");
        let mut pixels = vec![0; 3 * PIXELS as usize];
        bencher.counter(ItemsCount::new(PIXELS)).bench_local(|| {
            let side = SIDE as usize;
            let pixels = &mut pixels[..];
            let output =
                Image { pixels, width: side, pitch: 3 * side, height: side, format: PixelFormat::RGB };
            decompressor.decompress(&SAMPLES.jpeg, output)
        });
    }

    #[divan::bench]
    fn turbo_decode(bencher: Bencher) {
        bencher.counter(ItemsCount::new(PIXELS)).bench(|| turbo::decode(&SAMPLES.jpeg, PIXELS));
    }
}

mod pixels_to_jpeg {
    use super::*;

    #[divan::bench]
    fn limit_libjpeg_turbo(bencher: Bencher) {
        let mut compressor = Compressor::new().expect("a handle");
        compressor.set_quality(80).expect("valid");
        compressor.set_subsamp(Subsamp::Sub2x2).expect("valid");
        compressor.set_optimize(true).expect("valid");
        bencher.counter(ItemsCount::new(PIXELS)).bench_local(|| {
            let side = SIDE as usize;
            let pixels = SAMPLES.pixels.data();
            let input =
                Image { pixels, width: side, pitch: 3 * side, height: side, format: PixelFormat::RGB };
            compressor.compress_to_vec(input)
        });
    }

    #[divan::bench]
    fn turbo_encode(bencher: Bencher) {
        let pixels = ItemsCount::new(PIXELS);
        bencher.counter(pixels).bench(|| turbo::encode(&SAMPLES.pixels, 80, Subsampling::Chroma420));
    }
}

/// From a fetched tile to the JPEG that is served.
mod tile {
    use super::*;

    #[divan::bench]
    fn stored() -> Bytes {
        SAMPLES.stored.decode().expect("decodes")
    }

    /// As from TIFF: tables joined with the tile.
    #[divan::bench]
    fn stored_without_tables() -> Bytes {
        SAMPLES.params.to_jpeg(0, SIDE, SIDE, &SAMPLES.abbreviated).expect("completes")
    }

    /// As from TIFF at the right and bottom edge: joined, then cropped without decoding a coefficient.
    #[divan::bench]
    fn stored_without_tables_padded() -> Bytes {
        SAMPLES.params.to_jpeg(0, 200, 144, &SAMPLES.abbreviated).expect("crops")
    }

    #[divan::bench]
    fn derived() -> Bytes {
        SAMPLES.derived.decode().expect("decodes")
    }
}

/// From 512 x 512 to 256 x 256 pixels; throughput counts the pixels read.
mod reduction {
    use super::*;

    #[divan::bench]
    fn limit_copy(bencher: Bencher) {
        bencher.counter(ItemsCount::new(4 * PIXELS)).bench(|| SAMPLES.four.clone());
    }

    #[divan::bench]
    fn reduced(bencher: Bencher) {
        bencher.counter(ItemsCount::new(4 * PIXELS)).bench(|| SAMPLES.four.reduced());
    }
}
