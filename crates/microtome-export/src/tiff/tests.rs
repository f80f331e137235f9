//! What is written is read back by our own reader, in both offset sizes, and every tile is the same. Other readers:
//! `tests/export.rs`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use microtome_codec::{Rgb, coefficients};
use microtome_ingest::{Mode, Progress, Unit, ingest};
use microtome_slide::TileId;
use microtome_slide::deepzoom::Descriptor;

use super::*;

struct Silent;

impl Progress for Silent {
    fn stage(&self, _: &'static str, _: u64, _: Unit) {}
    fn advance(&self, _: u64, _: u64) {}
}

static GO_ON: AtomicBool = AtomicBool::new(false);

/// A container of a source.
fn contain(source: &str, target: &Path, mode: Mode) -> Slide {
    let options = microtome_ingest::Options { mode, ..Default::default() };
    ingest(source, target, options, &Silent, &GO_ON).expect("ingests");
    Slide::open(target).expect("opens")
}

/// A Deep Zoom folder of waves, all levels, each tile encoded as `encode` says.
fn deep_zoom(
    folder: &Path,
    (width, height): (u32, u32),
    (tile_size, overlap): (u32, u32),
    encode: impl Fn(&Rgb, TileId) -> Vec<u8>,
) -> PathBuf {
    let descriptor = Descriptor { width, height, tile_size, overlap, format: "jpg".to_owned() };
    let path = folder.join("slide.dzi");
    fs::write(&path, descriptor.to_xml()).expect("writes");
    let pixel = |i: u32| {
        let (x, y) = (i % width, i / width);
        [(x / 2 + y / 5) as u8, (y / 3 + x / 7) as u8, ((x ^ y) / 8 + 90) as u8]
    };
    let data = (0..width * height).flat_map(pixel).collect();
    let mut pixels = Rgb::from_vec(width, height, data).expect("sizes match");
    for level in 0..=descriptor.level_of(0).expect("there is a coarsest level") {
        let files = folder.join(format!("slide_files/{}", descriptor.number_of(level)));
        fs::create_dir_all(&files).expect("makes a folder");
        let grid = Grid { width: pixels.width(), height: pixels.height(), tile_size, overlap };
        for (column, row) in (0..grid.tiles()).map(|i| grid.position(i)) {
            let r = grid.tile_rect(column, row).expect("inside");
            let tile = encode(&pixels.crop(r.x, r.y, r.width, r.height), TileId { level, column, row });
            fs::write(files.join(format!("{column}_{row}.jpg")), tile).expect("writes");
        }
        pixels = pixels.reduced();
    }
    path
}

fn export(slide: &Slide, dialect: Dialect, path: &Path, most_classic: u64) -> Report {
    let options = Options { dialect, quality: 85 };
    let file = File::create_new(path).expect("creates");
    write_up_to(slide, options, path, file, &GO_ON, most_classic).expect("exports")
}

/// The source's tile.
fn record(slide: &Slide, tile: TileId) -> Bytes {
    slide.fetch(tile).expect("fetches").record().expect("decodes").expect("is stored")
}

fn tiles(slide: &Slide, level: u8) -> impl Iterator<Item = TileId> {
    let grid = slide.levels()[usize::from(level)];
    (0..grid.tiles()).map(move |i| {
        let (column, row) = grid.position(i);
        TileId { level, column, row }
    })
}

#[test]
fn every_tile_survives_an_export_and_an_ingest() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    for (turn, chroma) in
        [Subsampling::Chroma420, Subsampling::Chroma444, Subsampling::Chroma422].into_iter().enumerate()
    {
        let source = folder.path().join(turn.to_string());
        fs::create_dir(&source).expect("makes a folder");
        let encode = |pixels: &Rgb, _| turbo::encode(pixels, 80, chroma).expect("encodes");
        let dzi = deep_zoom(&source, (700, 530), (128, 0), encode);
        let slide = contain(dzi.to_str().expect("UTF-8"), &at(&format!("{turn}.mtm")), Mode::Exact);
        for (name, dialect, most) in [
            ("a.tif", Dialect::Generic, MOST_CLASSIC),
            ("b.tif", Dialect::Generic, 1000),
            ("a.svs", Dialect::Aperio, MOST_CLASSIC),
            ("b.svs", Dialect::Aperio, 1000),
        ] {
            let file = source.join(name);
            let report = export(&slide, dialect, &file, most);
            let big = fs::read(&file).expect("reads")[2] == 43;
            assert_eq!(big, most == 1000);
            let made = dialect == Dialect::Aperio;
            assert_eq!(report.notices.len(), usize::from(made), "{:?}", report.notices);
            let again =
                contain(file.to_str().expect("UTF-8"), &at(&format!("{turn}{name}.mtm")), Mode::Exact);
            let kept: Vec<u8> = (0..12).filter(|&level| again.metadata().is_verbatim(level)).collect();
            assert_eq!(kept, [0, 1, 2, 3], "down to a level that fits a tile");
            for tile in kept.into_iter().flat_map(|level| tiles(&slide, level)) {
                let (ours, theirs) = (record(&slide, tile), record(&again, tile));
                let rect =
                    slide.levels()[usize::from(tile.level)].tile_rect(tile.column, tile.row).expect("inside");
                if (rect.width, rect.height) == (128, 128) {
                    assert_eq!(ours, theirs, "{tile}");
                } else {
                    assert_eq!(coefficients::extended(&ours, 128, 128), Ok(theirs.to_vec()), "{tile}");
                }
            }
            // What was padded before comes back as it was.
            let third = source.join(format!("again {name}"));
            assert_eq!(export(&again, dialect, &third, most).notices, [""; 0]);
            let again2 =
                contain(third.to_str().expect("UTF-8"), &at(&format!("{turn}{name}3.mtm")), Mode::Exact);
            for tile in (0..4).flat_map(|level| tiles(&slide, level)) {
                assert_eq!(record(&again, tile), record(&again2, tile), "{tile}");
            }
        }
    }
}

#[test]
fn tiles_that_overlap_are_made_anew_and_said_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let encode = |pixels: &Rgb, _| turbo::encode(pixels, 95, Subsampling::Chroma444).expect("encodes");
    let dzi = deep_zoom(folder.path(), (700, 530), (254, 1), encode);
    let slide = contain(dzi.to_str().expect("UTF-8"), &folder.path().join("a.mtm"), Mode::Exact);
    let file = folder.path().join("a.tif");
    let report = export(&slide, Dialect::Generic, &file, MOST_CLASSIC);
    assert_eq!(report.notices.len(), 1, "{:?}", report.notices);
    assert!(report.notices[0].contains("254 px, overlap 1") && report.notices[0].contains("quality 85"));
    let again = contain(file.to_str().expect("UTF-8"), &folder.path().join("b.mtm"), Mode::Exact);
    assert_eq!(again.levels()[0], Grid { width: 700, height: 530, tile_size: 256, overlap: 0 });
    for level in 0..3 {
        let Grid { width, height, .. } = slide.levels()[level];
        let whole = Rect { x: 0, y: 0, width, height };
        let [ours, theirs] = [&slide, &again].map(|s| s.read_region(level as u8, whole).expect("reads"));
        let error =
            ours.data().iter().zip(theirs.data()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>();
        assert!(error < 4 * ours.data().len() as u64, "level {level}: {error}");
    }
}

#[test]
fn a_tile_unlike_the_others_is_made_like_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let odd = TileId { level: 0, column: 2, row: 1 };
    let encode = |pixels: &Rgb, tile| {
        let chroma = if tile == odd { Subsampling::Chroma444 } else { Subsampling::Chroma420 };
        turbo::encode(pixels, 80, chroma).expect("encodes")
    };
    let dzi = deep_zoom(folder.path(), (700, 530), (128, 0), encode);
    let slide = contain(dzi.to_str().expect("UTF-8"), &folder.path().join("a.mtm"), Mode::Exact);
    let file = folder.path().join("a.tif");
    let report = export(&slide, Dialect::Generic, &file, MOST_CLASSIC);
    assert_eq!(report.notices.len(), 1, "{:?}", report.notices);
    assert!(report.notices[0].starts_with("1 of 30 tiles of level 0"), "{:?}", report.notices);
    let again = contain(file.to_str().expect("UTF-8"), &folder.path().join("b.mtm"), Mode::Exact);
    for tile in tiles(&slide, 0).filter(|tile| tile.column < 5 && tile.row < 4) {
        assert_eq!(record(&slide, tile) == record(&again, tile), tile != odd, "{tile}");
    }
}

#[test]
fn nothing_is_said_to_be_done_after_a_stop() {
    let folder = tempfile::tempdir().expect("a folder");
    let slide = contain("synthetic:600x400", &folder.path().join("a.mtm"), Mode::Auto);
    let options = Options { dialect: Dialect::Generic, quality: 85 };
    let out = std::io::Cursor::new(vec![]);
    let stopped = write(&slide, options, Path::new("a.tif"), out, &AtomicBool::new(true));
    assert!(matches!(stopped, Err(Error::Interrupted)));
}

/// A TIFF of level 0 alone: grey-green ramps whose tiles at the edge are padded with white.
fn padded(path: &Path, (width, height): (u32, u32), subsampling: Subsampling) {
    let pixel = |i: u32| [(i % width / 2) as u8, (i / width / 2) as u8, 60];
    let data = (0..width * height).flat_map(pixel).collect();
    let pixels = Rgb::from_vec(width, height, data).expect("sizes match");
    let mut writer = Writer::new(File::create(path).expect("a file")).expect("a header");
    let grid = Grid { width, height, tile_size: 64, overlap: 0 };
    let (mut offsets, mut counts) = (vec![], vec![]);
    for (column, row) in (0..grid.tiles()).map(|i| grid.position(i)) {
        let r = grid.tile_rect(column, row).expect("inside");
        let mut tile = Rgb::filled(64, 64, [255; 3]);
        tile.blit(&pixels.crop(r.x, r.y, r.width, r.height), 0, 0, r.width, r.height, 0, 0);
        let extent = writer.put(&turbo::encode(&tile, 95, subsampling).expect("a tile")).expect("written");
        offsets.push(extent.offset);
        counts.push(extent.length);
    }
    let side = if subsampling == Subsampling::Chroma420 { 2 } else { 1 };
    let form = Form { components: 3, colour: Colour::YCbCr, sampling: [side; 2] };
    let mut fields = image_fields(width, height, form, JPEG);
    fields.extend([(322, Value::Long(64)), (323, Value::Long(64))]);
    fields.extend([(324, Value::Offsets(offsets)), (325, Value::Offsets(counts))]);
    writer.finish(vec![fields], MOST_CLASSIC).expect("written");
}

#[test]
fn what_tiles_are_padded_with_does_not_get_into_derived_levels() {
    let folder = tempfile::tempdir().expect("a folder");
    for (size, subsampling) in [
        ((201, 137), Subsampling::Chroma444),
        ((201, 137), Subsampling::Chroma420),
        ((202, 138), Subsampling::Chroma420),
    ] {
        let (source, target) = (folder.path().join("a.tif"), folder.path().join("a.mtm"));
        padded(&source, size, subsampling);
        let _ = fs::remove_file(&target);
        let slide = contain(source.to_str().expect("UTF-8"), &target, Mode::Exact);
        assert!(slide.is_derived(1));
        let level = |level: u8| {
            let Grid { width, height, .. } = slide.levels()[usize::from(level)];
            slide.read_region(level, Rect { x: 0, y: 0, width, height }).expect("the level")
        };
        // Level 0 as it is seen: where chroma is halved, its last samples have some of the padding in them.
        let (found, expected) = (level(1), level(0).reduced());
        let most = found.data().iter().zip(expected.data()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(most < Some(20), "{size:?} {subsampling:?}: {most:?}");
    }
}
