//! OpenSlide's pixels against those of the readers here, wherever both read a slide.

use std::io::Write;
use std::path::{Path, PathBuf};

use microtome_container::geometry::Rect;

use super::ffi::Argb;
use super::{background, open, over, use_library};
use crate::source::{self, Content, Pixels, Source};

#[test]
fn premultiplied_pixels_are_shown_over_the_background() {
    let argb = Argb { width: 2, height: 2, pixels: vec![0xFF01_02FF, 0, 0x8040_0080, 0x00FF_FFFF] };
    let shown = over(&argb, [255, 100, 0]);
    assert_eq!(shown.data(), [1, 2, 255, 255, 100, 0, 64 + 127, 50, 128, 255, 255, 255]);
}

#[test]
fn a_background_is_six_digits_or_white() {
    let of = |value: &str| background(&[("openslide.background-color".into(), value.into())]);
    assert_eq!(of("0080FF"), [0, 128, 255]);
    for odd in ["", "80FF", "00000080FF", "+080FF", "ähnli"] {
        assert_eq!(of(odd), [255; 3], "{odd:?}");
    }
    assert_eq!(background(&[]), [255; 3]);
}

/// Whether OpenSlide is there, to be used; said aloud if not.
pub(in crate::source) fn is_there() -> bool {
    let installed = || {
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-python/lib");
        let versions = std::fs::read_dir(&python).into_iter().flatten().flatten();
        let mut found = versions.map(|version| version.path().join("site-packages/openslide_bin"));
        found.find(|path| path.is_dir()).unwrap_or_else(|| python.join("openslide_bin"))
    };
    let library = std::env::var_os("MICROTOME_OPENSLIDE").map_or_else(installed, PathBuf::from);
    use_library(&library);
    is_at(&library)
}

fn is_at(path: &Path) -> bool {
    if !path.exists() {
        let _ = writeln!(std::io::stderr(), "skipped: {} is not there", path.display());
    }
    path.exists()
}

/// Real slides where OpenSlide is, or `None`, said aloud.
fn slides() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let slides = std::env::var_os("MICROTOME_TEST_DATA").map_or_else(beside, PathBuf::from).join("wsi");
    (is_at(&slides) && is_there()).then_some(slides)
}

fn pixels(source: Source) -> Box<dyn Pixels> {
    let Content::Pixels(pixels) = source.into_pixels().content else { unreachable!("turned into pixels") };
    pixels
}

/// The largest difference of any sample over 64 windows that reach from edge to edge: inside, and in the last pixel of rows
/// and columns.
fn differences(ours: &dyn Pixels, theirs: &dyn Pixels, width: u32, height: u32) -> (u8, u8) {
    const WINDOW: u32 = 300;
    let starts = |length: u32| {
        let last = length.saturating_sub(WINDOW);
        (0..8).map(move |i| (u64::from(last) * i / 7) as u32)
    };
    let (mut inside, mut edge) = (0, 0);
    for y in starts(height) {
        for x in starts(width) {
            let rect = Rect { x, y, width: WINDOW.min(width), height: WINDOW.min(height) };
            let (a, b) = (ours.read(rect).expect("ours"), theirs.read(rect).expect("theirs"));
            for (number, (a, b)) in (0..).zip(a.data().iter().zip(b.data())) {
                let (column, row) = (x + number / 3 % rect.width, y + number / 3 / rect.width);
                let worst = if column + 1 == width || row + 1 == height { &mut edge } else { &mut inside };
                *worst = a.abs_diff(*b).max(*worst);
            }
        }
    }
    (inside, edge)
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Slides that OpenSlide shows in another way on purpose.
const DIFFERENT: [(&str, &str); 6] = [
    ("jcupitt", "OpenSlide believes that its YCbCr is RGB, as PhotometricInterpretation says"),
    ("orient", "OpenSlide does not turn what Orientation says is turned"),
    ("martin_usda_naip_512_jpeg_z5", "OpenSlide does not look at masks"),
    ("rio-tiler_cog_rgb_mask", "OpenSlide does not look at masks"),
    ("rio-tiler_cog_uint8_rgb_mask", "OpenSlide does not look at masks"),
    ("malformed_wsi", "they are there to be refused"),
];

/// Every slide that a reader here and OpenSlide both open. Both decode JPEG with libjpeg-turbo, slow and exact, so that nothing
/// differs; JPEG 2000 in YCbCr is rounded once more by one of them. In the last pixel of a row or column chroma lacks a
/// neighbour here, where edge tiles are cut to the slide before they are decoded.
#[test]
fn what_both_read_looks_the_same_to_both() {
    let Some(root) = slides() else { return };
    let mut found = vec![];
    files(&root, &mut found);
    found.sort();
    let mut compared = vec![];
    for path in found {
        let name = path.strip_prefix(&root).expect("below").display().to_string();
        if DIFFERENT.iter().any(|(part, _)| name.contains(part)) {
            continue;
        }
        let (Ok(ours), Ok(theirs)) = (source::open(path.to_str().expect("UTF-8")), open(&path)) else {
            continue;
        };
        let size = (ours.width, ours.height);
        assert_eq!(size, (theirs.width, theirs.height), "{name}");
        let (inside, edge) = differences(&*pixels(ours), &*pixels(theirs), size.0, size.1);
        let allowed = if name.contains("tcga") { 1 } else { 0 };
        assert!(inside <= allowed && edge <= 16, "{name}: {inside} of 255 apart, {edge} at the edge");
        compared.push(name);
    }
    let kinds = ["svs/small_HE", "svs/tcga", "_lzw_", "_deflate_", "cog_rgb.tif", "zstd", "boxes", "ndpi"];
    let of_dicom =
        ["dcm_raw", "dcm_jpeg.dicom", "dcm_jpeg2000", "google_test_jpeg", "highdicom_sm_image.dcm"];
    for kind in kinds.iter().chain(&of_dicom) {
        assert!(compared.iter().any(|name| name.contains(kind)), "{kind}: {compared:?}");
    }
}

/// An error stays with a handle: a tile that cannot be read is an error on every thread, and never a blank picture.
#[test]
fn a_tile_that_cannot_be_read_is_an_error_and_stays_one() {
    let Some(root) = slides() else { return };
    let source = open(&root.join("malformed_wsi/openslide-rs_unreadable.svs")).expect("opens");
    let pixels = pixels(source);
    let rect = Rect { x: 0, y: 0, width: 16, height: 16 };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..8 {
                    let error = pixels.read(rect).expect_err("damaged").to_string();
                    assert!(
                        error.contains("unreadable.svs: 16 x 16 px at 0, 0 of level 0: OpenSlide 4."),
                        "{error}"
                    );
                }
            });
        }
    });
}
