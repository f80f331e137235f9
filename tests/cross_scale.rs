//! Codec 1 from end to end: tiles predicted from other levels come back to the byte, and what stands in the way of that
//! is dealt with and said.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use microtome_codec::turbo::{self, Subsampling};
use microtome_container::reader::Reading;
use microtome_slide::{Grid, Rect, Slide, TileId};
use support::{folder, microtome, names, path, psnr, succeed, tissue, write_deep_zoom, write_png};

/// Ingests with more arguments; gives the report.
fn ingest(source: &Path, container: &Path, more: &[&str]) -> serde_json::Value {
    let arguments = ["ingest", path(source), "-o", path(container), "--json"];
    serde_json::from_str(&succeed([&arguments[..], more].concat())).unwrap()
}

/// How the tiles went in: verbatim, alone, predicted.
fn codings(report: &serde_json::Value) -> [u64; 3] {
    ["verbatim", "alone", "predicted"].map(|how| report["codings"][how].as_u64().unwrap())
}

/// A level's pixels.
fn whole(slide: &Slide, level: u8) -> microtome_codec::Rgb {
    let grid = slide.levels()[usize::from(level)];
    slide.read_region(level, Rect { x: 0, y: 0, width: grid.width, height: grid.height }).unwrap()
}

fn tile(level: u8, column: u32, row: u32) -> TileId {
    TileId { level, column, row }
}

/// Checks that all families give the tiles that are got one by one, and each tile that is asked for first.
fn check_families(container: &Path) {
    let slide = Slide::open(container).unwrap();
    let bases = slide.levels()[2];
    let mut tiles = 0;
    for (column, row) in (0..bases.tiles()).map(|index| bases.position(index)) {
        let base = tile(2, column, row);
        let family = Slide::open(container).unwrap().fetch_family(base).unwrap();
        for (tile, jpeg) in family.decode(base) {
            assert_eq!(jpeg.unwrap(), slide.tile(tile).unwrap(), "{tile}");
            assert_eq!(
                family.decode(tile).next().unwrap().1.unwrap(),
                slide.tile(tile).unwrap(),
                "{tile} first"
            );
            tiles += 1;
        }
    }
    assert_eq!(tiles, slide.levels()[..3].iter().map(Grid::tiles).sum::<u64>());
}

/// A Deep Zoom slide of four families, and the folder of its level 0.
fn slide_of_four_families(folder: &Path) -> (PathBuf, PathBuf) {
    let source = write_deep_zoom(folder, &tissue(1200, 1100, 1), 254, 1, "jpg");
    (source, folder.join("slide_files/11"))
}

#[test]
fn tissue_comes_back_byte_for_byte_on_grids_with_and_without_overlap() {
    for (width, height, tile_size, overlap) in [(1111, 777, 256, 0), (1303, 1100, 254, 1), (515, 300, 128, 3)]
    {
        let folder = folder();
        let pixels = tissue(width, height, 3);
        let source = write_deep_zoom(folder.path(), &pixels, tile_size, overlap, "jpg");
        let container = folder.path().join("exact.mtm");
        let report = ingest(&source, &container, &[]);
        let [verbatim, alone, predicted] = codings(&report);
        let slide = Slide::open(&container).unwrap();
        let tiles = |level: usize| slide.levels().get(level).map_or(0, |grid| grid.tiles());
        let odd: u64 = (1..slide.levels().len()).step_by(2).map(tiles).sum();
        assert_eq!((verbatim, predicted), (0, tiles(0) + odd), "level 0 and those in between");
        assert_eq!(alone + predicted, report["tiles"].as_u64().unwrap());
        succeed(["verify", path(&container), "--source", path(&source)]);
        check_families(&container);
        let exported = folder.path().join("back.dzi");
        succeed(["export", path(&container), "-o", path(&exported)]);
        let (ours, theirs) = (folder.path().join("back_files"), folder.path().join("slide_files"));
        let mut bytes = 0;
        for level in names(&theirs) {
            for name in names(&theirs.join(&level)) {
                let original = fs::read(theirs.join(&level).join(&name)).unwrap();
                assert!(fs::read(ours.join(&level).join(&name)).unwrap() == original, "{level}/{name}");
                bytes += original.len() as u64;
            }
        }
        let stored: u64 = slide.usage().unwrap().iter().map(|level| level.bytes).sum();
        assert!(10 * stored < 8 * bytes, "{stored} of {bytes} bytes");
    }
}

#[test]
fn reduced_levels_are_made_of_samples_and_look_like_averages() {
    let folder = folder();
    let pixels = tissue(1303, 1100, 3);
    let png = folder.path().join("tissue.png");
    write_png(&png, &pixels);
    for (tile_size, overlap) in [(256, 0), (254, 1)] {
        let sources = folder.path().join(format!("{tile_size}"));
        fs::create_dir(&sources).unwrap();
        let source = write_deep_zoom(&sources, &pixels, tile_size, overlap, "jpg");
        for (source, more) in [(&source, ["--derived-levels", "reduced"]), (&png, ["--quality", "80"])] {
            let container = sources.join(format!("{}.mtm", more[1]));
            ingest(source, &container, &more);
            let slide = Slide::open(&container).unwrap();
            for level in [1, 3, 5] {
                assert!(slide.is_derived(level));
                let average = whole(&slide, level - 1).reduced();
                let likeness = psnr(&whole(&slide, level), &average);
                // As near as the average's own JPEG of the same quality.
                let jpeg = turbo::encode(&average, 80, Subsampling::Chroma420).unwrap();
                let bound = psnr(&turbo::decode(&jpeg, 1 << 24).unwrap(), &average) - 0.5;
                assert!(
                    likeness > bound,
                    "{tile_size}, {more:?}, level {level}: {likeness:.1} dB ({bound:.1})"
                );
            }
            succeed(["verify", path(&container)]);
            check_families(&container);
        }
    }
}

/// The same coefficients as a progressive stream, which codec 1 does not take apart.
fn make_progressive(tile: &Path) {
    let mut transform = turbojpeg::Transform::default();
    transform.progressive = true;
    let stream = fs::read(tile).unwrap();
    fs::write(tile, &turbojpeg::transform(&transform, &stream).unwrap()[..]).unwrap();
}

#[test]
fn progressive_tiles_are_kept_as_they_are_and_counted() {
    let folder = folder();
    let (source, finest) = slide_of_four_families(folder.path());
    // A base tile, a tile of level 0 of another family, and one of level 1 that nothing depends on.
    let base = folder.path().join("slide_files/9/0_0.jpg");
    for tile in [&base, &finest.join("4_4.jpg"), &folder.path().join("slide_files/10/2_0.jpg")] {
        make_progressive(tile);
    }
    for derived in ["exact", "reduced"] {
        let container = folder.path().join(format!("{derived}.mtm"));
        let report = ingest(&source, &container, &["--derived-levels", derived]);
        let kept = if derived == "exact" { 3 } else { 2 };
        assert_eq!(codings(&report)[0], kept);
        let notice = report["metadata"]["notices"][0].as_str().unwrap();
        assert!(notice.starts_with(&format!("{kept} of ")), "{notice}");
        succeed(["verify", path(&container), "--source", path(&source)]);
        check_families(&container);
        let slide = Slide::open(&container).unwrap();
        for column in 0..5 {
            let served = slide.tile(tile(0, column, 0)).unwrap();
            assert!(served == fs::read(finest.join(format!("{column}_0.jpg"))).unwrap());
        }
        assert_eq!(&slide.tile(tile(2, 0, 0)).unwrap()[..], fs::read(&base).unwrap());
        // What lies over the tile without samples is made of pixels, and looks no worse.
        let likeness = psnr(&whole(&slide, 1), &whole(&slide, 0).reduced());
        assert!(likeness > 30.0, "{derived}: {likeness:.1} dB");
    }
    let said = microtome(["ingest", path(&source), "-o", path(&folder.path().join("again.mtm"))]).stderr;
    assert!(String::from_utf8(said).unwrap().contains("tiles are stored as the JPEG streams that they were"));
}

/// Where the record of a tile lies in the file.
fn record(slide: &Slide, tile: TileId) -> std::ops::Range<usize> {
    let (page, position) = slide.container().locate(tile).unwrap();
    let entry = slide.container().read_page(page, Reading::Waits).unwrap().entry(position).unwrap();
    let section = slide.container().header().sections[usize::from(entry.section)];
    let start = (section.offset + entry.offset) as usize;
    start..start + entry.length as usize
}

#[test]
fn a_damaged_base_tile_is_named_by_all_that_need_it_and_by_no_other() {
    let folder = folder();
    let (source, _) = slide_of_four_families(folder.path());
    let container = folder.path().join("a.mtm");
    ingest(&source, &container, &[]);
    let other = folder.path().join("b.mtm");
    fs::copy(&container, &other).unwrap();
    let whole = Slide::open(&other).unwrap();
    let intact = fs::read(&container).unwrap();
    let mut bytes = intact.clone();
    bytes[record(&whole, tile(2, 0, 0)).start + 40] ^= 8;
    fs::write(&container, &bytes).unwrap();
    let slide = Slide::open(&container).unwrap();
    for needing in [tile(0, 0, 0), tile(0, 3, 3), tile(1, 1, 1), tile(2, 0, 0)] {
        let error = slide.tile(needing).expect_err("its base tile is damaged").to_string();
        assert!(error.contains("level 2 column 0 row 0"), "{needing}: {error}");
    }
    let error = slide.fetch_family(tile(2, 0, 0)).expect_err("it is damaged").to_string();
    assert!(error.contains("level 2 column 0 row 0"), "{error}");
    for other in [tile(0, 4, 0), tile(1, 2, 1), tile(2, 1, 0)] {
        assert_eq!(slide.tile(other).unwrap(), whole.tile(other).unwrap());
    }
    let output = microtome(["verify", path(&container)]);
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8(output.stderr).unwrap().contains("level 2 column 0 row 0"));

    // A slide that has decoded the base tile needs it no more.
    fs::write(&container, &intact).unwrap();
    let slide = Slide::open(&container).unwrap();
    let expected = slide.tile(tile(0, 1, 1)).unwrap();
    slide.tile(tile(0, 0, 0)).unwrap();
    fs::write(&container, &bytes).unwrap();
    assert_eq!(slide.tile(tile(0, 1, 1)).unwrap(), expected);
}

#[test]
fn a_level_that_the_source_lacks_is_made_before_others_are_predicted_from_it() {
    let folder = folder();
    let (source, finest) = slide_of_four_families(folder.path());
    fs::remove_dir_all(folder.path().join("slide_files/9")).unwrap();
    let container = folder.path().join("a.mtm");
    let report = ingest(&source, &container, &[]);
    let slide = Slide::open(&container).unwrap();
    assert!(codings(&report)[2] >= slide.levels()[0].tiles() + slide.levels()[1].tiles());
    succeed(["verify", path(&container), "--source", path(&source)]);
    assert!(slide.tile(tile(0, 4, 4)).unwrap() == fs::read(finest.join("4_4.jpg")).unwrap());
    let likeness = psnr(&whole(&slide, 2), &whole(&slide, 1).reduced());
    assert!(likeness > 30.0, "{likeness:.1} dB");
}

#[test]
fn pixels_of_decoded_tiles_are_those_of_the_stream() {
    let folder = folder();
    let (source, finest) = slide_of_four_families(folder.path());
    let container = folder.path().join("a.mtm");
    ingest(&source, &container, &[]);
    let slide = Slide::open(&container).unwrap();
    let pixels = slide.fetch(tile(0, 2, 3)).unwrap().decode_pixels().unwrap();
    assert_eq!(pixels, turbo::decode(&fs::read(finest.join("2_3.jpg")).unwrap(), 1 << 20).unwrap());
}
