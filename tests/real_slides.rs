//! Real slides, where the shared data is there: what scanners and converters wrote goes in and comes out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use microtome_codec::{jpeg, turbo};
use microtome_ingest::source::{self, Content};
use microtome_slide::{Rect, Slide, TileId, deepzoom};
use support::{Server, fail, folder, psnr, shared_data, succeed};

#[test]
fn a_deep_zoom_slide_is_kept_byte_for_byte_and_served_so() {
    let Some(source) = shared_data("slide/melanosiscoli_HE_20x/HE.dzi") else { return };
    let folder = folder();
    let container = folder.path().join("HE.mtm");
    succeed(["ingest", source.to_str().unwrap(), "-o", container.to_str().unwrap()]);
    let verdict = succeed(["verify", container.to_str().unwrap(), "--source", source.to_str().unwrap()]);
    assert!(verdict.contains("3,399 tiles are those of"), "{verdict}");
    let metadata = Slide::open(&container).unwrap().metadata().clone();
    let (ours, theirs) = (std::fs::metadata(&container).unwrap().len(), metadata.source.bytes);
    assert!(100 * ours < 60 * theirs, "{ours} bytes of {theirs}");
    assert!(metadata.notices.is_empty(), "no tile is stored as it came: {:?}", metadata.notices);
    let server = Server::start(folder.path(), &[]);
    for (level, column, row) in [(14, 30, 22), (14, 55, 44), (13, 27, 22), (12, 0, 0), (10, 3, 2), (0, 0, 0)]
    {
        let file = source.with_file_name(format!("HE_files/{level}/{column}_{row}.jpeg"));
        let served = server.get(&format!("/dzi/HE_files/{level}/{column}_{row}.jpeg"));
        assert_eq!(served.status, 200);
        assert!(served.body == std::fs::read(file).unwrap(), "{level}/{column}_{row}");
    }
}

/// The colours of an SVS tile, from the file's own stream and tables, and from what is served.
#[test]
fn an_svs_with_rgb_jpeg_tiles_of_240_px_is_served_with_the_sources_pixels() {
    let Some(path) = shared_data("wsi/svs/small_HE.svs") else { return };
    let folder = folder();
    let container = folder.path().join("small.mtm");
    succeed(["ingest", path.to_str().unwrap(), "-o", container.to_str().unwrap()]);
    let verdict = succeed(["verify", container.to_str().unwrap(), "--source", path.to_str().unwrap()]);
    assert!(verdict.contains("130 tiles are those of"), "{verdict}");

    let source = source::open(path.to_str().unwrap()).unwrap();
    let Content::Tiles(tiles) = &source.content else { panic!("an SVS of JPEG tiles offers tiles") };
    let level = &tiles.levels()[0];
    assert_eq!(level.colour, jpeg::Colour::Rgb, "Aperio's JPEG is RGB without saying so");
    let slide = Slide::open(&container).unwrap();
    let number = deepzoom::level_number(&slide, 0);
    let server = Server::start(folder.path(), &[]);
    let grid = slide.levels()[0];
    assert_eq!((grid.columns(), grid.rows(), grid.tile_size), (10, 13, 240));
    for row in 0..grid.rows() {
        for column in 0..grid.columns() {
            let stream =
                jpeg::complete(&level.tables, level.colour, &tiles.tile(0, column, row).unwrap()).unwrap();
            let whole = turbo::decode(&stream, 240 * 240).unwrap();
            let rect = grid.tile_rect(column, row).unwrap();
            let served = server.get(&format!("/tiles/small/{number}/{column}_{row}.jpg")).body;
            let pixels = turbo::decode(&served, 240 * 240).unwrap();
            assert_eq!((pixels.width(), pixels.height()), (rect.width, rect.height));
            assert_eq!(pixels, whole.crop(0, 0, rect.width, rect.height), "column {column} row {row}");
        }
    }
    // Whoever mistakes RGB for YCbCr sees green tissue: a stained pixel has less green than red and blue.
    let tile = slide.fetch(TileId { level: 0, column: 5, row: 6 }).unwrap().decode_pixels().unwrap();
    let sum = |c: usize| tile.data().iter().skip(c).step_by(3).map(|&v| u64::from(v)).sum::<u64>();
    assert!(sum(1) < sum(0) && sum(1) < sum(2), "H&E is pink and violet");
    let rect = |width, height| Rect { x: 0, y: 0, width, height };
    let average = slide.read_region(0, rect(2 * 240, 2 * 240)).unwrap().reduced();
    let derived = slide.fetch(TileId { level: 1, column: 0, row: 0 }).unwrap().decode_pixels().unwrap();
    let likeness = psnr(&derived, &average);
    assert!(likeness > 32.0, "a derived tile is RGB as well, and says so: {likeness:.1} dB");
    assert_eq!(slide.metadata().mpp, Some([0.499, 0.499]));
    assert_eq!(slide.metadata().objective_power, Some(20.0));
    let names: Vec<_> = slide.metadata().associated.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["thumbnail", "label", "macro"]);
    for name in names {
        let png = slide.associated(name).unwrap().unwrap();
        assert!(png.starts_with(b"\x89PNG") || png.starts_with(&[0xFF, 0xD8]), "{name}");
    }
}

#[test]
fn an_ndpi_goes_in_with_its_coefficients_and_all_its_levels() {
    let Some(path) = shared_data("wsi/ndpi/test3-DAPI-2-(387).ndpi") else { return };
    let folder = folder();
    let container = folder.path().join("dapi.mtm");
    succeed(["ingest", path.to_str().unwrap(), "-o", container.to_str().unwrap()]);
    let verdict = succeed(["verify", container.to_str().unwrap(), "--source", path.to_str().unwrap()]);
    assert!(
        verdict.contains("tiles are those of") && verdict.contains("coefficients, bit for bit"),
        "{verdict}"
    );
    let slide = Slide::open(&container).unwrap();
    let (ours, theirs) = (slide.container().header().file_length, slide.metadata().source.bytes);
    assert!(100 * ours < 90 * theirs, "{ours} bytes of {theirs}");
    assert_eq!(slide.metadata().objective_power, Some(40.0));
    assert!(slide.metadata().notices.is_empty(), "{:?}", slide.metadata().notices);
    // Level 0 is the first strip of the file; its chroma is whole, so that no tile differs at its borders.
    let file = std::fs::read(&path).unwrap();
    let whole = turbo::decode(&file[4281..4281 + 2_060_686], 32 << 20).unwrap();
    let region = Rect { x: 300, y: 1000, width: 1500, height: 900 };
    let pixels = slide.read_region(0, region).unwrap();
    assert!(pixels == whole.crop(region.x, region.y, region.width, region.height));
    // The macro image is the fifth page's strip.
    let macro_image = slide.associated("macro").unwrap().unwrap();
    assert!(macro_image[..] == file[3_300_703..3_300_703 + 122_034]);
}

#[test]
fn a_slide_smaller_than_its_tile_goes_in() {
    let Some(path) = shared_data("wsi/svs/openslide-python_small.svs") else { return };
    let folder = folder();
    let container = folder.path().join("tiny.mtm");
    succeed(["ingest", path.to_str().unwrap(), "-o", container.to_str().unwrap()]);
    let slide = Slide::open(&container).unwrap();
    assert_eq!((slide.levels()[0].width, slide.levels()[0].height), (16, 16));
    let pixels = slide.fetch(TileId { level: 0, column: 0, row: 0 }).unwrap().decode_pixels().unwrap();
    assert_eq!((pixels.width(), pixels.height()), (16, 16), "the padding is cropped");
}

/// Slides without JPEG tiles that can be kept: the container shows the pixels that the source has, quantised once.
#[test]
fn what_is_not_jpeg_tiles_goes_in_as_pixels_and_says_so() {
    for (path, format, notice) in [
        ("wsi/svs/tcga-cr-7395-01a-01-ts1.svs", "aperio-svs", None),
        ("wsi/tiff/large_image_test_orient6.tif", "tiff", Some("its image is stored turned or mirrored")),
        ("wsi/cog/rio-tiler_cog_rgb_mask.tif", "tiff", Some("what page 1 hides is shown white")),
        ("wsi/cog/rio-tiler_cog_rgba.tif", "tiff", Some("its colours are shown over white")),
        ("wsi/ometiff/qupath_cells.ome.tif", "ome-tiff", None),
        ("wsi/ometiff/viv_multi-channel.ome.tif", "ome-tiff", Some("3 channels are shown together")),
    ] {
        let Some(source) = shared_data(path) else { return };
        let folder = folder();
        let container = folder.path().join("out.mtm");
        succeed([
            "ingest",
            "--quality",
            "95",
            "--chroma",
            "444",
            source.to_str().unwrap(),
            "-o",
            container.to_str().unwrap(),
        ]);
        let slide = Slide::open(&container).unwrap();
        let metadata = slide.metadata();
        assert_eq!(metadata.source.format, format, "{path}");
        let said = metadata.notices.join("\n");
        assert_eq!(said.is_empty(), notice.is_none(), "{path}: {said}");
        assert!(notice.is_none_or(|notice| said.contains(notice)), "{path}: {said}");
        let opened = source::open(source.to_str().unwrap()).unwrap();
        let Content::Pixels(pixels) = &opened.content else { panic!("{path} is read as pixels") };
        let grid = slide.levels()[0];
        assert_eq!((grid.width, grid.height), (opened.width, opened.height), "{path}");
        let rect = grid.tile_rect(grid.columns() / 2, grid.rows() / 2).unwrap();
        let likeness = psnr(&slide.read_region(0, rect).unwrap(), &pixels.read(rect).unwrap());
        assert!(likeness > 34.0, "{path}: {likeness:.1} dB");
    }
}

#[test]
fn a_dicom_pyramid_keeps_every_frame_byte_for_byte() {
    let Some(path) = shared_data("wsi/dicom/jcupitt_cmu-1-small-region") else { return };
    let folder = folder();
    let container = folder.path().join("cmu.mtm");
    succeed(["ingest", path.to_str().unwrap(), "-o", container.to_str().unwrap()]);
    let verdict = succeed(["verify", container.to_str().unwrap(), "--source", path.to_str().unwrap()]);
    assert!(verdict.contains("52 tiles are those of"), "{verdict}");
    let slide = Slide::open(&container).unwrap();
    assert_eq!(slide.levels()[0].tile_size, 500);
    // The levels below 500 px are of one frame, which is no square.
    let kept: Vec<u8> =
        slide.metadata().loss.iter().filter(|s| s.verbatim).flat_map(|s| s.levels.clone()).collect();
    assert_eq!(kept, (0..12).collect::<Vec<u8>>());
    assert_eq!(slide.metadata().mpp, Some([0.499, 0.499]));
    assert_eq!(slide.metadata().source.files, 12);
    let property = |name: &str| slide.metadata().properties.get(name).cloned();
    assert_eq!(property("dicom.SeriesDescription").as_deref(), Some("x"));
    // The file says RGB, the streams YCbCr: whoever believes the file shows white glass in salmon.
    let glass =
        slide.fetch(TileId { level: 0, column: 0, row: 0 }).unwrap().decode_pixels().unwrap().pixel(450, 10);
    assert!(glass.iter().all(|&sample| sample > 230), "{glass:?}");

    // A file of the series stands for all of it.
    let one = folder.path().join("one.mtm");
    succeed(["ingest", path.join("level-4-frames-0-1.dcm").to_str().unwrap(), "-o", one.to_str().unwrap()]);
    let (one, all) = (Slide::open(&one).unwrap(), &slide);
    assert_eq!(one.metadata().source.sha256, all.metadata().source.sha256);
}

#[test]
fn dicom_files_go_in_or_are_refused_with_a_reason() {
    for (file, outcome) in [
        ("google_multi_frame_jpeg_camelyon_challenge_image.dcm", Ok((1152, 700, "exact"))),
        ("google_test_jpeg_dicom.dcm", Ok((454, 156, "exact"))),
        ("google_test_raw_dicom.dcm", Ok((454, 156, "quality 80"))),
        ("highdicom_sm_image.dcm", Ok((50, 50, "quality 80"))),
        ("highdicom_sm_image_grayscale.dcm", Ok((50, 50, "quality 80"))),
        ("highdicom_sm_image_jpegls.dcm", Ok((50, 50, "quality 80"))),
        ("highdicom_sm_image_jpegls_nobot.dcm", Ok((50, 50, "quality 80"))),
        ("pydicom_HTJ2KLossless_08_RGB.dcm", Err("is no whole slide")),
        ("pydicom_JLSL_RGB_ILV2.dcm", Err("does not end in DICM")),
        ("wsi2dcm_jpeg.dicom", Ok((957, 715, "exact"))),
        ("wsi2dcm_jpeg2000.dicom", Ok((957, 715, "quality 80"))),
        ("wsi2dcm_raw.dicom", Ok((957, 715, "quality 80"))),
    ] {
        let Some(path) = shared_data(&format!("wsi/dicom/{file}")) else { return };
        let folder = folder();
        let container = folder.path().join("out.mtm");
        let arguments = ["ingest", path.to_str().unwrap(), "-o", container.to_str().unwrap()];
        match outcome {
            Ok((width, height, mode)) => {
                succeed(arguments);
                let slide = Slide::open(&container).unwrap();
                assert_eq!((slide.levels()[0].width, slide.levels()[0].height), (width, height), "{file}");
                assert_eq!(slide.metadata().encoder.mode, mode, "{file}");
            }
            Err(word) => {
                let line = fail(1, arguments);
                assert!(line.contains(word), "{line}");
                assert!(support::names(folder.path()).is_empty());
            }
        }
    }
}

#[test]
fn what_is_not_read_yet_is_refused_by_name() {
    for (path, word) in [
        ("wsi/malformed_wsi/large_image_zero_gi.tif", "ImageLength"),
        ("wsi/vsi/vsi-ets-test-jpg2k.vsi", "Olympus VSI is not read"),
    ] {
        let Some(source) = shared_data(path) else { return };
        let folder = folder();
        let target = folder.path().join("out.mtm");
        let line = fail(1, ["ingest", source.to_str().unwrap(), "-o", target.to_str().unwrap()]);
        assert!(line.contains(word), "{line}");
        assert!(support::names(folder.path()).is_empty());
    }
}
