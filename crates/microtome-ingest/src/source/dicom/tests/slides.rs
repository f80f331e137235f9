//! JPEG tiles: byte for byte, whatever encapsulates them; levels, associated images, metadata, colours.

use microtome_codec::jpeg::{self, Colour};
use microtome_codec::turbo;

use super::writer::{File, JPEG, Pixels, Table, Value, item, text};
use super::{all_pixels, frames, jpeg_level, open_alone, open_folder, picture, tiles};

#[test]
fn frames_come_back_byte_for_byte_however_they_are_encapsulated() {
    for table in [Table::Basic, Table::Extended, Table::Empty] {
        for fragments in [1, 3] {
            let (file, frames) = jpeg_level(80, 50, fragments, table);
            assert!(frames.iter().any(|frame| frame.len() % 2 == 1), "some frames are padded");
            let source = open_alone(&file).expect("opens");
            let tiles = tiles(&source);
            assert_eq!((source.width, source.height, tiles.tile_size()), (80, 50, 32));
            assert!(tiles.levels()[0].padded);
            for (index, frame) in (0_u32..).zip(&frames) {
                assert_eq!(tiles.tile(0, index % 3, index / 3).expect("reads"), *frame, "frame {index}");
            }
            assert!(tiles.tile(0, 3, 0).is_err() && tiles.tile(0, 0, 2).is_err());
        }
    }
}

#[test]
fn a_folder_gives_levels_and_associated_images() {
    let folder = tempfile::tempdir().expect("a folder");
    jpeg_level(80, 50, 1, Table::Basic).0.write(folder.path(), "z.dcm");
    jpeg_level(40, 25, 1, Table::Basic).0.write(folder.path(), "a.dcm");
    // Of one frame that is no square: an edge tile without padding.
    let small = turbo::encode(&picture(20, 12, 9), 80, turbo::Subsampling::Chroma420).expect("encodes");
    let level_2 = File::of(JPEG, (20, 12), (20, 12), 1);
    level_2.pixels(Pixels::Frames(vec![small.clone()], 1, Table::Empty)).write(folder.path(), "b.dcm");
    // No power of two.
    jpeg_level(60, 40, 1, Table::Basic).0.write(folder.path(), "c.dcm");
    let kind = |kind: &str| text("CS", format!("ORIGINAL\\PRIMARY\\{kind}\\NONE"));
    let label = File::of(JPEG, (20, 12), (20, 12), 1).with((0x0008, 0x0008), kind("LABEL"));
    let label = label.with((0x0008, 0x0018), text("UI", "1.9"));
    label.pixels(Pixels::Frames(vec![small.clone()], 1, Table::Basic)).write(folder.path(), "label");
    let (overview, _) = jpeg_level(50, 50, 1, Table::Basic);
    overview.with((0x0008, 0x0008), kind("OVERVIEW")).write(folder.path(), "overview");

    let source = open_folder(folder.path()).expect("opens");
    let tiles = tiles(&source);
    let levels: Vec<_> = tiles.levels().iter().map(|l| (l.level, l.width, l.height, l.padded)).collect();
    assert_eq!(levels, [(0, 80, 50, true), (1, 40, 25, true), (2, 20, 12, false)]);
    assert_eq!(tiles.tile(2, 0, 0).expect("reads"), small);
    assert_eq!(source.notices.len(), 1, "{:?}", source.notices);
    assert!(source.notices[0].starts_with("c.dcm is left out as a level"), "{:?}", source.notices);
    let images: Vec<_> = source.associated.iter().map(|a| (a.name.as_str(), a.media_type)).collect();
    assert_eq!(images, [("label", "image/jpeg"), ("macro", "image/png")]);
    assert_eq!(source.associated[0].bytes, small);
    let files = super::super::files(folder.path()).expect("lists").1;
    assert_eq!(files.len(), 6, "the levels, one that is left out, and the associated images");
}

#[test]
fn metadata_have_the_names_of_openslide() {
    let (file, _) = jpeg_level(80, 50, 1, Table::Basic);
    let icc = vec![7; 301];
    let path =
        vec![((0x0028, 0x2000), Value::Bytes("OB", icc.clone())), ((0x0048, 0x0112), text("DS", "20"))];
    let measures = item(vec![((0x0028, 0x0030), text("DS", "0.0005\\0.00025"))]);
    let file = file
        .with((0x0008, 0x0005), text("CS", "ISO_IR 100"))
        .with((0x0010, 0x0010), Value::Bytes("PN", b"M\xFCller".to_vec()))
        .with((0x0028, 0x2112), text("DS", "12.5"))
        .with((0x0048, 0x0105), item(path))
        .with((0x5200, 0x9229), item(vec![((0x0028, 0x9110), measures)]));
    let source = open_alone(&file).expect("opens");
    assert_eq!(source.mpp, Some([0.25, 0.5]), "across, down");
    assert_eq!(source.objective_power, Some(20.0));
    assert_eq!(source.icc_profile.expect("has one")[..301], icc);
    let value = |name: &str| source.properties.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    for (name, expected) in [
        ("dicom.Modality", "SM"),
        ("dicom.SeriesInstanceUID", "1.2.3"),
        ("dicom.TransferSyntaxUID", JPEG),
        ("dicom.ImageType[2]", "VOLUME"),
        ("dicom.Rows", "32"),
        ("dicom.PatientName", "M\u{fc}ller"),
        ("dicom.LossyImageCompressionRatio", "12.5"),
        ("dicom.OpticalPathSequence[0].ObjectiveLensPower", "20"),
        ("dicom.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing[1]", "0.00025"),
        ("openslide.vendor", "dicom"),
        ("openslide.mpp-x", "0.25"),
        ("openslide.objective-power", "20"),
    ] {
        assert_eq!(value(name), Some(expected), "{name}");
    }
}

#[test]
fn the_size_of_the_volume_tells_mpp_where_no_spacing_does() {
    let (file, _) = jpeg_level(80, 50, 1, Table::Basic);
    let length = |millimetres: f32| Value::Bytes("FL", millimetres.to_le_bytes().to_vec());
    let file = file.with((0x0048, 1), length(0.04)).with((0x0048, 2), length(0.05));
    let [x, y] = open_alone(&file).expect("opens").mpp.expect("is told");
    assert!((x - 0.5).abs() < 1e-6 && (y - 1.0).abs() < 1e-6, "{x} {y}");
}

/// A stream without the JFIF marker that libjpeg writes.
fn without_markers(stream: &[u8]) -> Vec<u8> {
    let length = usize::from(u16::from_be_bytes([stream[4], stream[5]]));
    assert_eq!(stream[..4], [0xFF, 0xD8, 0xFF, 0xE0]);
    [&stream[..2], &stream[4 + length..]].concat()
}

#[test]
fn colours_are_those_of_the_markers_and_else_those_of_the_file() {
    let bare: Vec<_> = frames(1, 32).iter().map(|frame| without_markers(frame)).collect();
    let marked = frames(1, 32);
    let photometric = |name: &str, frames: &[Vec<u8>]| {
        let file = File::of(JPEG, (32, 32), (32, 32), 1).with((0x0028, 0x0004), text("CS", name));
        open_alone(&file.pixels(Pixels::Frames(frames.to_vec(), 1, Table::Basic))).expect("opens")
    };
    for (name, colour) in [("RGB", Colour::Rgb), ("YBR_FULL_422", Colour::YCbCr)] {
        let source = photometric(name, &bare);
        assert_eq!(tiles(&source).levels()[0].colour, colour, "{name}");
        assert!(source.notices.is_empty());
        let source = photometric(name, &marked);
        assert_eq!(tiles(&source).levels()[0].colour, Colour::AsStored, "{name}");
        assert_eq!(source.notices.len(), usize::from(name == "RGB"), "{:?}", source.notices);
    }
    // A frame that is to be read in another way than the first is an error, not a green tile.
    let file = File::of(JPEG, (64, 32), (32, 32), 2);
    let mixed = vec![bare[0].clone(), marked[0].clone()];
    let source = open_alone(&file.pixels(Pixels::Frames(mixed, 1, Table::Basic))).expect("opens");
    let error = tiles(&source).tile(0, 1, 0).expect_err("markers differ").to_string();
    assert!(error.contains("frame 2 (column 1 row 0): a JPEG whose colour markers"), "{error}");
}

#[test]
fn tiles_that_are_no_squares_are_read_as_pixels() {
    let (wide, count) = (picture(32, 16, 3), 6);
    let frame = turbo::encode(&wide, 95, turbo::Subsampling::Chroma444).expect("encodes");
    let file = File::of(JPEG, (64, 48), (32, 16), count);
    let file = file.pixels(Pixels::Frames(vec![frame.clone(); 6], 1, Table::Basic));
    let source = open_alone(&file).expect("opens");
    assert!(source.notices[0].contains("32 x 16 px"), "{:?}", source.notices);
    let decoded = turbo::decode(&frame, 1 << 20).expect("decodes");
    assert_eq!(all_pixels(&source).crop(32, 32, 32, 16), decoded);
}

#[test]
fn a_frame_of_another_size_is_an_error_that_names_it() {
    let mut wrong = frames(6, 32);
    wrong[4] = turbo::encode(&picture(16, 16, 0), 80, turbo::Subsampling::Chroma420).expect("encodes");
    let file = File::of(JPEG, (80, 50), (32, 32), 6).pixels(Pixels::Frames(wrong, 1, Table::Basic));
    let source = open_alone(&file).expect("the first frame is right");
    let error = tiles(&source).tile(0, 1, 1).expect_err("too small").to_string();
    assert!(error.contains("frame 5 (column 1 row 1): a JPEG of 16 x 16 px"), "{error}");
    assert!(jpeg::inspect(&tiles(&source).tile(0, 0, 1).expect("reads")).is_ok());
}
