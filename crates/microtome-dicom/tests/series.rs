//! A slide's series: which instances, which frames, and what each says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use dicom_dictionary_std::tags;
use microtome_codec::jpeg::{self, Colour};
use microtome_codec::turbo::{self, Subsampling};
use microtome_codec::{Rgb, coefficients};
use microtome_dicom::{Frames, Kind, LevelFrames, Making, Photometric, Series, part10};
use microtome_ingest::{Options, Progress, Unit, ingest};
use microtome_slide::deepzoom::Descriptor;
use microtome_slide::{Grid, Rect, Slide, TileId};

struct Silent;

impl Progress for Silent {
    fn stage(&self, _: &'static str, _: u64, _: Unit) {}
    fn advance(&self, _: u64, _: u64) {}
}

/// A slide of waves with tiles of this kind, kept as they are.
fn slide(folder: &Path, tile_size: u32, overlap: u32, colour: Colour) -> Slide {
    let (width, height) = (300, 200);
    let descriptor = Descriptor { width, height, tile_size, overlap, format: "jpg".to_owned() };
    fs::write(folder.join("slide.dzi"), descriptor.to_xml()).unwrap();
    let pixel = |i: u32| [(i % width / 2) as u8, (i / width) as u8, ((i % width + i / width) / 3) as u8];
    let mut pixels = Rgb::from_vec(width, height, (0..width * height).flat_map(pixel).collect()).unwrap();
    for level in 0..=descriptor.level_of(0).unwrap() {
        let files = folder.join(format!("slide_files/{}", descriptor.number_of(level)));
        fs::create_dir_all(&files).unwrap();
        let grid = Grid { width: pixels.width(), height: pixels.height(), tile_size, overlap };
        for (column, row) in (0..grid.tiles()).map(|i| grid.position(i)) {
            let r = grid.tile_rect(column, row).unwrap();
            let tile = pixels.crop(r.x, r.y, r.width, r.height);
            let tile = turbo::encode(&tile, 90, Subsampling::Chroma444).unwrap();
            let tile = jpeg::complete(&[], colour, &tile).unwrap();
            fs::write(files.join(format!("{column}_{row}.jpg")), tile).unwrap();
        }
        pixels = pixels.reduced();
    }
    let (source, target) = (folder.join("slide.dzi"), folder.join("slide.mtm"));
    ingest(source.to_str().unwrap(), &target, Options::default(), &Silent, &AtomicBool::new(false)).unwrap();
    Slide::open(&target).unwrap()
}

fn frame(slide: &Slide, frames: &LevelFrames, number: u64) -> (Rgb, Making, Vec<u8>) {
    let tile = frames.tile_of(number).unwrap();
    let (bytes, making) = frames.frame(slide, tile, &slide.tile(tile).unwrap()).unwrap();
    (turbo::decode(&bytes, 1 << 20).unwrap(), making, bytes.to_vec())
}

#[test]
fn tiles_are_frames_and_those_at_the_edge_keep_their_coefficients() {
    for colour in [Colour::YCbCr, Colour::Rgb] {
        let folder = tempfile::tempdir().unwrap();
        let slide = slide(folder.path(), 128, 0, colour);
        let frames = LevelFrames::open(&slide, 0, 85).unwrap();
        let expected = if colour == Colour::Rgb { Photometric::Rgb } else { Photometric::YCbCr };
        assert_eq!((frames.photometric(), frames.count()), (expected, 6));
        assert_eq!(frames.tile_of(4), Some(TileId { level: 0, column: 0, row: 1 }));
        assert_eq!((frames.tile_of(0), frames.tile_of(7)), (None, None));
        let (_, making, bytes) = frame(&slide, &frames, 2);
        let tile = TileId { level: 0, column: 1, row: 0 };
        let served = slide.tile(tile).unwrap();
        assert!(making == Making::Kept && jpeg::unmarked(&served).unwrap() == bytes);
        let adobe = |stream: &[u8]| jpeg::inspect(stream).unwrap().adobe;
        // Some decoders convert colours by the marker, and then once more by what the attributes say.
        let marked = if colour == Colour::Rgb { (Some(0), Some(0)) } else { (Some(1), None) };
        assert_eq!((adobe(&served), adobe(&bytes)), marked);
        let (pixels, making, bytes) = frame(&slide, &frames, 6);
        assert_eq!((making, pixels.width(), pixels.height()), (Making::Padded, 128, 128));
        let stored = slide.tile(TileId { level: 0, column: 2, row: 1 }).unwrap();
        let shown = turbo::decode(&stored, 1 << 20).unwrap();
        assert_eq!(pixels.crop(0, 0, 44, 72), shown, "4:4:4 has no chroma to interpolate");
        let padded = coefficients::extended(&stored, 128, 128).unwrap();
        assert!(jpeg::unmarked(&padded).unwrap() == bytes && adobe(&bytes) == marked.1);
        assert_eq!(jpeg::inspect(&bytes).unwrap().assumed_colour() == Colour::Rgb, colour == Colour::Rgb);
    }
}

#[test]
fn tiles_that_overlap_become_frames_of_their_own_pixels() {
    let folder = tempfile::tempdir().unwrap();
    let slide = slide(folder.path(), 126, 1, Colour::AsStored);
    let frames = LevelFrames::open(&slide, 0, 85).unwrap();
    let grid = Grid { width: 300, height: 200, tile_size: 126, overlap: 0 };
    assert!(!frames.keeps_tiles() && frames.grid() == grid);
    for number in 1..=frames.count() {
        let (pixels, making, _) = frame(&slide, &frames, number);
        assert_eq!((making, pixels.width(), pixels.height()), (Making::Anew, 126, 126));
        let tile = frames.tile_of(number).unwrap();
        let Rect { x, y, width, height } = grid.tile_rect(tile.column, tile.row).unwrap();
        let ours = slide.read_region(0, Rect { x, y, width, height }).unwrap();
        let theirs = pixels.crop(0, 0, width, height);
        let worst = ours.data().iter().zip(theirs.data()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst < 16, "frame {number}: {worst}");
    }
    let uid = |quality| Series::of(&slide, quality).instances[0].uid.clone();
    assert!(uid(85) == uid(85) && uid(85) != uid(70), "other frames, another identifier");
}

#[test]
fn a_series_has_levels_down_to_one_frame_and_says_what_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    let slide = slide(folder.path(), 128, 0, Colour::AsStored);
    let series = Series::of(&slide, 85);
    let kinds: Vec<_> = series.instances.iter().map(|instance| instance.kind.clone()).collect();
    assert_eq!(kinds, [Kind::Level(0), Kind::Level(1), Kind::Level(2)]);
    let mut uids: Vec<_> = series.instances.iter().map(|instance| &instance.uid).collect();
    uids.dedup();
    assert_eq!(uids.len(), 3);
    for instance in &series.instances {
        let (dataset, frames) = series.describe(&slide, instance).unwrap();
        let Frames::Level(frames) = frames else { panic!("a level has the frames of one") };
        assert_eq!(dataset.text(tags::NUMBER_OF_FRAMES), frames.count().to_string());
        assert_eq!(dataset.text(tags::LOSSY_IMAGE_COMPRESSION), "01");
        assert_eq!(dataset.text(tags::PHOTOMETRIC_INTERPRETATION), "YBR_FULL_422");
        let ratio: f64 = dataset.text(tags::LOSSY_IMAGE_COMPRESSION_RATIO).parse().unwrap();
        assert!(ratio > 1.0, "{ratio}");
        assert!(dataset.get(tags::IMAGED_VOLUME_WIDTH).is_none(), "no scale is made up");
        let head = part10::head(&dataset, part10::OffsetTable::Empty);
        assert!(head.len().is_multiple_of(2) && head.len() > 1000);
    }
}
