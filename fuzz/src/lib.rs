//! What the fuzz targets share: bytes as a file, a small valid container, and making a changed one look right again.

pub mod params;
pub mod sources;
pub mod tiles;

use std::cell::RefCell;
use std::fs::File;
use std::io::{Seek, Write};
use std::ops::ControlFlow;
use std::path::Path;

use microtome_codec::Rgb;
use microtome_codec::jpeg::Colour;
use microtome_codec::payload::{LevelStream, VERBATIM, VerbatimParams};
use microtome_codec::turbo::{self, Subsampling};
use microtome_container::geometry::{TileId, coarsest_level, level_length};
use microtome_container::index::{PAGE_ENTRIES, PAGE_LENGTH};
use microtome_container::{Level, NewSection, SectionKind, SlideId, Writer, checksum};
use microtome_slide::{Grid, Slide};

thread_local! {
    static FILE: RefCell<Option<tempfile::NamedTempFile>> = const { RefCell::new(None) };
}

/// Runs `with` on a file of these bytes; one file is used again and again.
pub fn with_file<R>(bytes: &[u8], with: impl FnOnce(&Path) -> R) -> R {
    FILE.with(|slot| {
        let mut slot = slot.borrow_mut();
        let file = slot.get_or_insert_with(|| tempfile::NamedTempFile::new().expect("a temporary file"));
        let out: &mut File = file.as_file_mut();
        out.set_len(0).and_then(|()| out.rewind()).and_then(|()| out.write_all(bytes)).expect("writes");
        with(file.path())
    })
}

/// All tiles of a slide, at most `limit`: a few of each level first.
pub fn some_tiles(slide: &Slide, limit: usize) -> Vec<TileId> {
    let tiles_of = |(level, grid): (usize, &Grid)| {
        let (columns, tiles) = (u64::from(grid.columns()), grid.tiles().min(64));
        (0..tiles).map(move |i| TileId {
            level: level as u8,
            column: (i % columns) as u32,
            row: (i / columns) as u32,
        })
    };
    slide.levels().iter().enumerate().rev().flat_map(tiles_of).take(limit).collect()
}

/// A container of 100 x 70 px in tiles of 32 px with overlap 1, level 0 abbreviated as in TIFF, odd levels derived.
pub fn sample_container() -> Vec<u8> {
    let (width, height) = (100, 70);
    let levels: Vec<_> = (0..=coarsest_level(width, height))
        .map(|k| Level { width: level_length(width, k), height: level_length(height, k), stored: k % 2 == 0 })
        .collect();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("sample.mtm");
    let writer = Writer::create(&path, VERBATIM, 32, 1, levels.clone()).expect("a writer");
    let mut tables = vec![];
    let layout = writer.layout().clone();
    layout
        .try_for_each_tile(|_, tile| {
            let Level { width, height, stored } = levels[usize::from(tile.level)];
            if !stored {
                return Ok(());
            }
            let grid = Grid { width, height, tile_size: 32, overlap: 1 };
            let rect = grid.tile_rect(tile.column, tile.row).expect("inside");
            let mut payload = jpeg(rect.width, rect.height, tile.column + 7 * tile.row);
            if tile.level == 0 {
                (tables, payload) = abbreviate(&payload);
            }
            writer.put(tile, &payload)
        })
        .expect("puts");
    let params = VerbatimParams {
        derived_quality: 85,
        derived_subsampling: Subsampling::Chroma420,
        streams: vec![LevelStream { level: 0, tables, colour: Colour::YCbCr, padded_to: 32 }],
    };
    let section = |kind, critical, bytes| NewSection { kind, critical, codec: 0, bytes };
    let sections = [
        section(SectionKind::CODEC_PARAMETERS, true, params.to_bytes()),
        section(SectionKind::METADATA, false, b"{}".to_vec()),
    ];
    writer
        .finish(SlideId(*b"a slide's own id"), &sections, &mut |_| ControlFlow::Continue(()))
        .expect("publishes");
    std::fs::read(&path).expect("reads")
}

/// A JPEG of a picture that differs with `seed`.
pub fn jpeg(width: u32, height: u32, seed: u32) -> Vec<u8> {
    let mut image = Rgb::filled(width, height, [0; 3]);
    for (i, pixel) in image.data_mut().chunks_exact_mut(3).enumerate() {
        let (x, y) = (i as u32 % width, i as u32 / width);
        pixel.copy_from_slice(&[(x * 5 + seed) as u8, (y * 7) as u8, (x ^ y) as u8]);
    }
    turbo::encode(&image, 80, Subsampling::Chroma420).expect("encodes")
}

/// Splits a stream as TIFF stores it: quantisation tables for all tiles, and the tile without them.
pub fn abbreviate(jpeg: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut tables, mut tile) = (vec![0xFF, 0xD8], vec![0xFF, 0xD8]);
    let mut at = 2;
    while jpeg[at + 1] != 0xDA {
        let end = at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        let to = if jpeg[at + 1] == 0xDB { &mut tables } else { &mut tile };
        to.extend_from_slice(&jpeg[at..end]);
        at = end;
    }
    tables.extend_from_slice(&[0xFF, 0xD9]);
    tile.extend_from_slice(&jpeg[at..]);
    (tables, tile)
}

// The places of `docs/format/container.md`, read here without the reader, which is what is tested.
const HEADER_LENGTH: usize = 12;
const CONTENT_ID: std::ops::Range<usize> = 48..80;
const LEVEL_COUNT: usize = 96;
const SECTION_COUNT: usize = 98;
const LEVELS: usize = 128;

/// The header block with its tables, as long as it says it is, if it has room for them and is there.
fn header(file: &mut [u8]) -> Option<&mut [u8]> {
    let number = |at: usize| Some(usize::from(u16::from_le_bytes([*file.get(at)?, *file.get(at + 1)?])));
    let tables = LEVELS + 16 * number(LEVEL_COUNT)? + 64 * number(SECTION_COUNT)?;
    let length = u32::from_le_bytes(file[HEADER_LENGTH..][..4].try_into().expect("4 bytes")) as usize;
    file.get_mut(..length).filter(|block| block.len() >= tables + 8)
}

/// Makes content id and checksum of the header right, whatever the header says.
pub fn seal_header(file: &mut [u8]) {
    let Some((block, sum)) = header(file).and_then(|block| block.split_last_chunk_mut::<8>()) else { return };
    let mut hasher = blake3::Hasher::new();
    hasher.update(&block[..CONTENT_ID.start]).update(&[0; 32]).update(&block[CONTENT_ID.end..]);
    block[CONTENT_ID].copy_from_slice(hasher.finalize().as_bytes());
    *sum = checksum::header(block).to_le_bytes();
}

/// Offset of each entry of the section table, and where its section lies, as far as that is inside the file.
fn sections(file: &mut [u8]) -> Vec<(usize, std::ops::Range<usize>)> {
    if header(file).is_none() {
        return vec![];
    }
    let number = |at: usize| u16::from_le_bytes([file[at], file[at + 1]]) as usize;
    let long = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().expect("8 bytes"));
    let first = LEVELS + 16 * number(LEVEL_COUNT);
    let entries = (0..number(SECTION_COUNT)).map(|i| first + 64 * i);
    let with_place = entries.filter_map(|at| {
        let end = long(at + 16).checked_add(long(at + 24)).filter(|&end| end <= file.len() as u64)?;
        Some((at, long(at + 16) as usize..end as usize))
    });
    with_place.collect()
}

/// Makes the BLAKE3 of each section right. Changes the header, so [`seal_header`] has to follow.
pub fn seal_sections(file: &mut [u8]) {
    for (at, place) in sections(file) {
        let hash = blake3::hash(&file[place]);
        file[at + 32..at + 64].copy_from_slice(hash.as_bytes());
    }
}

/// Makes the checksum of each index page right.
pub fn seal_pages(file: &mut [u8]) {
    let Some(slide_id) = file.get(32..48).map(|id| SlideId(id.try_into().expect("16 bytes"))) else { return };
    for (at, place) in sections(file) {
        if file[at..at + 4] != SectionKind::INDEX.0 {
            continue;
        }
        debug_assert_eq!(PAGE_LENGTH, PAGE_ENTRIES * 20 + 8);
        for (number, page) in file[place].chunks_mut(PAGE_LENGTH as usize).enumerate() {
            if let Some((entries, sum)) = page.split_last_chunk_mut::<8>() {
                *sum = checksum::index_page(&slide_id, number as u64, entries).to_le_bytes();
            }
        }
    }
}
