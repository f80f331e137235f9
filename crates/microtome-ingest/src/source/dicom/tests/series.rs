//! Files that make a slide together: sparse tiles, planes, concatenations, folders of several series.

use super::writer::{File, NATIVE, Pixels, Table, Value, frame_place, text};
use super::{all_pixels, jpeg_level, open_alone, open_folder, refusal, tiles};
use crate::source;
use microtome_codec::turbo;

/// Frames of 4 x 4 px of one shade each.
fn shaded(shades: &[u8]) -> Pixels {
    Pixels::Native(shades.iter().flat_map(|&shade| [shade; 48]).collect())
}

/// 8 x 8 px in tiles of 4 x 4, sparse: a frame of each shade at a place.
fn sparse(frames: &[(u8, i32, i32, &str, f64)]) -> File {
    let groups = frames.iter().map(|&(_, column, row, path, z)| frame_place(column, row, path, z)).collect();
    let shades: Vec<u8> = frames.iter().map(|frame| frame.0).collect();
    File::of(NATIVE, (8, 8), (4, 4), frames.len() as u32)
        .with((0x0020, 0x9311), text("CS", "TILED_SPARSE"))
        .with((0x5200, 0x9230), Value::Sequence(groups, false))
        .pixels(shaded(&shades))
}

/// The shades of the four tiles.
fn corners(source: &source::Source) -> [u8; 4] {
    let pixels = all_pixels(source);
    [(0, 0), (7, 0), (0, 7), (7, 7)].map(|(x, y)| pixels.pixel(x, y)[0])
}

#[test]
fn sparse_frames_go_where_they_say_and_what_is_missing_is_white() {
    let file = sparse(&[(10, 5, 5, "1", 0.0), (20, 1, 1, "1", 0.0), (30, 5, 1, "1", 0.0)]);
    let source = open_alone(&file).expect("opens");
    assert_eq!(corners(&source), [20, 30, 255, 10]);
    assert!(source.notices[0].contains("1 of 4 tiles have no frame"), "{:?}", source.notices);
}

#[test]
fn jpeg_frames_beside_missing_ones_are_kept_and_these_are_white() {
    for name in ["YBR_FULL_422", "RGB"] {
        let (file, frames) = jpeg_level(64, 64, 1, Table::Basic);
        let places = [(33, 1), (1, 33)].map(|(column, row)| frame_place(column, row, "1", 0.0));
        let file = file
            .with((0x0020, 0x9311), text("CS", "TILED_SPARSE"))
            .with((0x0028, 0x0004), text("CS", name))
            .with((0x0028, 0x0008), text("IS", 2))
            .with((0x5200, 0x9230), Value::Sequence(places.to_vec(), true))
            .pixels(Pixels::Frames(frames[..2].to_vec(), 1, Table::Basic));
        let source = open_alone(&file).expect("opens");
        let tiles = tiles(&source);
        let absent = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(column, row)| tiles.is_absent(0, column, row));
        assert_eq!(absent, [true, false, false, true]);
        assert_eq!(tiles.tile(0, 1, 0).expect("reads"), frames[0]);
        assert_eq!(tiles.tile(0, 0, 1).expect("reads"), frames[1]);
        let blank = turbo::decode(&tiles.tile(0, 0, 0).expect("a blank one"), 1 << 20).expect("decodes");
        assert_eq!(blank.uniform(), Some([255; 3]), "{name}");
    }
}

#[test]
fn of_several_planes_the_first_path_and_the_central_height_are_taken() {
    let tile = |shade, z, path| {
        [
            (shade, 1, 1, path, z),
            (shade + 1, 5, 1, path, z),
            (shade + 2, 1, 5, path, z),
            (shade + 3, 5, 5, path, z),
        ]
    };
    let frames = [tile(10, 2.0, "a"), tile(20, -1.0, "a"), tile(30, 0.5, "a"), tile(40, 0.5, "b")].concat();
    let source = open_alone(&sparse(&frames)).expect("opens");
    assert_eq!(corners(&source), [30, 31, 32, 33]);
    assert!(source.notices.iter().any(|n| n.contains("3 focal planes")), "{:?}", source.notices);
    assert!(source.notices.iter().any(|n| n.contains("2 optical paths")), "{:?}", source.notices);
    // TILED_FULL: paths outermost, then planes.
    let shades: Vec<u8> = (0..24).collect();
    let full = File::of(NATIVE, (8, 8), (4, 4), 24)
        .with((0x0048, 0x0302), Value::Ul(2))
        .with((0x0048, 0x0303), Value::Ul(3))
        .pixels(shaded(&shades));
    assert_eq!(corners(&open_alone(&full).expect("opens")), [4, 5, 6, 7]);
}

#[test]
fn sparse_frames_off_the_grid_or_on_each_other_are_refused() {
    let error = refusal(&sparse(&[(1, 2, 1, "1", 0.0)]));
    assert!(error.contains("column 2 row 1") && error.contains("no corner of a tile"), "{error}");
    assert!(refusal(&sparse(&[(1, 9, 1, "1", 0.0)])).contains("no corner of a tile"));
    assert!(refusal(&sparse(&[(1, i32::MIN, 0, "1", 0.0)])).contains("no corner of a tile"));
    assert!(refusal(&sparse(&[(1, 1, 1, "1", 0.0), (2, 1, 1, "1", 0.0)])).contains("the same tile"));
    let file = sparse(&[(1, 1, 1, "1", 0.0)]).with((0x0028, 0x0008), text("IS", 2));
    assert!(refusal(&file.pixels(shaded(&[1, 2]))).contains("places for 1 frames of 2"));
}

/// Part `number` of 3 of a concatenation of 8 x 24 px.
fn part(number: u16, first: u32, shades: &[u8]) -> File {
    File::of(NATIVE, (8, 12), (4, 4), shades.len() as u32)
        .with((0x0008, 0x0018), text("UI", format!("1.5.{number}")))
        .with((0x0020, 0x9161), text("UI", "1.5"))
        .with((0x0020, 0x9162), Value::Us(vec![number]))
        .with((0x0020, 0x9163), Value::Us(vec![3]))
        .with((0x0020, 0x9228), Value::Ul(first))
        .pixels(shaded(shades))
}

#[test]
fn a_concatenation_is_one_image_and_a_missing_part_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    part(3, 5, &[5]).write(folder.path(), "a.dcm");
    let middle = part(2, 1, &[1, 2, 3, 4]).write(folder.path(), "b.dcm");
    part(1, 0, &[0]).write(folder.path(), "c.dcm");
    let source = super::open(&middle).expect("opens");
    assert_eq!((source.width, source.height), (8, 12));
    let pixels = all_pixels(&source);
    let shades = [(0, 0), (7, 0), (0, 5), (7, 5), (0, 11), (7, 11)].map(|(x, y)| pixels.pixel(x, y)[0]);
    assert_eq!(shades, [0, 1, 2, 3, 4, 5]);
    std::fs::remove_file(&middle).expect("removes");
    let error = open_folder(folder.path()).err().expect("refused").to_string();
    assert!(error.contains("part 3 from frame 5 on, where part 2 from frame 1"), "{error}");
    std::fs::remove_file(folder.path().join("a.dcm")).expect("removes");
    let error = open_folder(folder.path()).err().expect("refused").to_string();
    assert!(error.contains("InConcatenationTotalNumber: 1 parts of 3; a file is missing"), "{error}");
}

#[test]
fn a_stack_of_planes_that_is_cut_short_is_refused() {
    let planes = |count: u16, frames: &[u8]| {
        File::of(NATIVE, (8, 12), (4, 4), frames.len() as u32)
            .with((0x0048, 0x0303), Value::Ul(u32::from(count)))
            .pixels(shaded(frames))
    };
    let one = [1, 2, 3, 4, 5, 6];
    assert!(open_alone(&planes(1, &one)).is_ok());
    assert!(refusal(&planes(3, &one)).contains("6 frames for 2 x 3 tiles, 3 focal planes"));
}

#[test]
fn a_frame_that_is_alone_at_its_place_is_that_tile_whatever_its_height() {
    let places = [(1, 1), (5, 1), (1, 5), (5, 5)];
    for heights in [[1.5, 1.5, 1.500_000_1, 1.5], [0.0, -0.0, 0.0, 0.0], [0.0, 0.1, 0.2, 0.3]] {
        let frames: Vec<_> =
            (1..).zip(places).zip(heights).map(|((shade, (x, y)), z)| (10 * shade, x, y, "1", z)).collect();
        let source = open_alone(&sparse(&frames)).expect("opens");
        let pixels = all_pixels(&source);
        assert_eq!(
            [(0, 0), (7, 0), (0, 7), (7, 7)].map(|(x, y)| pixels.pixel(x, y)[0]),
            [10, 20, 30, 40],
            "{heights:?}"
        );
        assert!(!source.notices.iter().any(|notice| notice.contains("focal planes")), "{:?}", source.notices);
    }
    // Of three at one place the central one; where that is missing, the next.
    let frames = [
        (1, 1, 1, "1", 0.0),
        (2, 1, 1, "1", 1.0),
        (3, 1, 1, "1", 2.0),
        (4, 5, 1, "1", 2.0),
        (5, 5, 1, "1", 0.0),
    ];
    let pixels = all_pixels(&open_alone(&sparse(&frames)).expect("opens"));
    assert_eq!([pixels.pixel(0, 0)[0], pixels.pixel(7, 0)[0]], [2, 5]);
}

#[test]
fn a_file_brings_its_series_and_a_folder_of_two_is_refused_with_the_list() {
    let folder = tempfile::tempdir().expect("a folder");
    jpeg_level(80, 50, 1, Table::Basic).0.write(folder.path(), "0.dcm");
    let level_1 = jpeg_level(40, 25, 1, Table::Basic).0.write(folder.path(), "1.dcm");
    let other = jpeg_level(70, 70, 1, Table::Basic).0;
    other.with((0x0020, 0x000E), text("UI", "9.9")).write(folder.path(), "other.dcm");
    std::fs::write(folder.path().join("notes.txt"), "no DICOM file").expect("writes");

    let source = super::open(&level_1).expect("opens");
    assert_eq!((source.width, tiles(&source).levels().len()), (80, 2));
    assert!(source.notices[0].starts_with("2 files of one series"), "{:?}", source.notices);
    let error = open_folder(folder.path()).err().expect("refused").to_string();
    assert!(
        error.contains("1.2.3 (2 files, 0.dcm)") && error.contains("9.9 (1 files, other.dcm)"),
        "{error}"
    );
    // Whoever walks through folders takes it apart.
    let files = ["0.dcm", "other.dcm"].map(|name| folder.path().join(name));
    assert_eq!(source::series_in(folder.path()), Some(files.to_vec()));
    std::fs::remove_file(&files[1]).expect("removes");
    assert_eq!(source::series_in(folder.path()).map(|files| files.len()), Some(1), "one series is one slide");
}

#[test]
fn files_of_two_slides_under_one_series_are_refused_without_naming_the_patient() {
    for (tag, vr, name) in
        [((0x0040, 0x0512), "LO", "ContainerIdentifier"), ((0x0010, 0x0020), "LO", "PatientID")]
    {
        let folder = tempfile::tempdir().expect("a folder");
        jpeg_level(80, 50, 1, Table::Basic).0.with(tag, text(vr, "S-1")).write(folder.path(), "0.dcm");
        let coarser = jpeg_level(40, 25, 1, Table::Basic).0;
        coarser.clone().with(tag, text(vr, "S-1")).write(folder.path(), "1.dcm");
        assert_eq!(tiles(&open_folder(folder.path()).expect("one slide")).levels().len(), 2);
        coarser.with(tag, text(vr, "DOE-2")).write(folder.path(), "1.dcm");
        let error = open_folder(folder.path()).err().expect("refused").to_string();
        assert!(
            error.contains(name) && error.contains("1.dcm") && error.contains("different slides"),
            "{error}"
        );
        assert!(!error.contains("DOE"), "{error}");
    }
}

#[test]
fn a_series_whose_largest_image_is_resampled_says_so() {
    let notices = |kind: &str| {
        let file = jpeg_level(80, 50, 1, Table::Basic).0.with((0x0008, 0x0008), text("CS", kind));
        open_alone(&file).expect("opens").notices.join("; ")
    };
    assert!(notices("DERIVED\\PRIMARY\\VOLUME\\RESAMPLED").contains("may be missing"));
    assert!(!notices("ORIGINAL\\PRIMARY\\VOLUME\\NONE").contains("missing"));
}

#[test]
fn other_dicom_files_copies_and_twins_are_left_out_and_said_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, _) = jpeg_level(80, 50, 1, Table::Basic);
    file.write(folder.path(), "a.dcm");
    file.write(folder.path(), "copy.dcm");
    file.clone().with((0x0008, 0x0018), text("UI", "1.77")).write(folder.path(), "twin.dcm");
    file.clone()
        .with((0x0008, 0x0016), text("UI", "1.2.840.10008.5.1.4.1.1.91.1"))
        .write(folder.path(), "ann.dcm");
    let localizer = file.with((0x0008, 0x0018), text("UI", "1.78"));
    localizer.with((0x0008, 0x0008), text("CS", "DERIVED\\PRIMARY\\LOCALIZER")).write(folder.path(), "z.dcm");
    assert!(source::is_source_folder(folder.path()), "whoever walks through folders takes it as one slide");
    let source = open_folder(folder.path()).expect("opens");
    let notices = source.notices.join("\n");
    for word in [
        "1 DICOM files that are no whole slides",
        "copy.dcm is left out: another file says",
        "twin.dcm is left out: a second image of its size",
        "z.dcm is left out: its ImageType is DERIVED\\PRIMARY\\LOCALIZER",
    ] {
        assert!(notices.contains(word), "{word}: {notices}");
    }
    assert_eq!(super::super::files(folder.path()).expect("lists").1.len(), 1);
}

#[test]
fn a_damaged_file_beside_the_others_is_no_silent_loss() {
    let folder = tempfile::tempdir().expect("a folder");
    let level = jpeg_level(80, 50, 1, Table::Basic).0.write(folder.path(), "0.dcm");
    let bytes = jpeg_level(160, 100, 1, Table::Basic).0.bytes();
    std::fs::write(folder.path().join("cut.dcm"), &bytes[..300]).expect("writes");
    let error = super::open(&level).err().expect("refused").to_string();
    assert!(error.contains("cut.dcm") && error.contains("take it out of the folder"), "{error}");
    // What a copy that was broken off leaves need not look like DICOM.
    std::fs::remove_file(folder.path().join("cut.dcm")).expect("a deletion");
    for (name, bytes) in
        [("cut.dcm", &b""[..]), ("cut.dcm", &bytes[..100]), ("cut.DICOM", &[0; 4000]), ("cut", b"")]
    {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).expect("writes");
        for error in [super::open(&level).err(), open_folder(folder.path()).err()] {
            let error = error.expect("refused").to_string();
            assert!(error.contains(name) && error.contains("take it out of the folder"), "{error}");
        }
        std::fs::remove_file(file).expect("a deletion");
    }
    std::fs::write(folder.path().join(".keep"), b"").expect("writes");
    std::fs::write(folder.path().join("notes.txt"), b"").expect("writes");
    assert!(super::open(&level).is_ok(), "other files may be empty");
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_now_may_be_level_0() {
    let folder = tempfile::tempdir().expect("a folder");
    let level = jpeg_level(80, 50, 1, Table::Basic).0.write(folder.path(), "1.dcm");
    std::os::unix::fs::symlink("/nowhere/0", folder.path().join("0.dcm")).expect("a link");
    for error in [super::open(&level).err(), open_folder(folder.path()).err()] {
        let error = error.expect("refused").to_string();
        assert!(error.contains("0.dcm: cannot be read"), "{error}");
    }
}

#[test]
fn a_folder_without_a_slide_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = open_folder(folder.path()).err().expect("refused").to_string();
    assert!(error.contains("without a .dzi file"), "{error}");
    let (file, _) = jpeg_level(80, 50, 1, Table::Basic);
    file.with((0x0008, 0x0016), text("UI", "1.2.840.10008.5.1.4.1.1.7")).write(folder.path(), "a");
    let error = open_folder(folder.path()).err().expect("refused").to_string();
    assert!(error.contains("none of which is a VL Whole Slide"), "{error}");
}
