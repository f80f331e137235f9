//! Slides that OpenSlide reads: an MRXS in and out, damaged ones, and what is said where OpenSlide cannot be had.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/mirax.rs"]
mod mirax;
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use microtome_codec::{Rgb, turbo};
use microtome_ingest::source::{self, Content, Source};
use microtome_slide::{Rect, Slide};
use mirax::{BACKGROUND, IMAGES, MISSING, Mirax, SIDE};
use sha2::{Digest, Sha256};
use support::{
    command, fail, folder, names, openslide, path as text, psnr, shared_data, skipped, succeed, tissue,
};

fn picture() -> Rgb {
    tissue(IMAGES.0 * SIDE, IMAGES.1 * SIDE, 3)
}

fn label() -> Rgb {
    Rgb::filled(120, 80, [200, 40, 90])
}

/// The source as a library sees it. All tests of a process use one OpenSlide.
fn open(path: &Path, library: &Path) -> Source {
    source::openslide::use_library(library);
    source::open(text(path)).unwrap()
}

fn property<'a>(source: &'a Source, name: &str) -> &'a str {
    &source.properties.iter().find(|(other, _)| other == name).unwrap_or_else(|| panic!("{name}")).1
}

/// Ingests with a library, demands failure with all of `words` in the line, and an empty folder after.
fn refused(source: &Path, library: &Path, words: &[&str]) {
    let out = folder();
    let target = out.path().join("out.mtm");
    let line = fail(1, ["ingest", text(source), "-o", text(&target), "--openslide", text(library)]);
    for word in words {
        assert!(line.contains(word), "{word:?} is missing in: {line}");
    }
    assert!(names(out.path()).is_empty(), "nothing is left: {:?}", names(out.path()));
}

#[test]
fn the_pixels_of_an_mrxs_are_its_camera_images_over_its_background() {
    let Some(library) = openslide() else { return };
    let folder = folder();
    let path = Mirax::new(&picture(), &label()).write(folder.path());
    let slide = open(&path, &library);
    assert_eq!((slide.width, slide.height), (IMAGES.0 * SIDE, IMAGES.1 * SIDE));
    let Content::Pixels(pixels) = &slide.content else { panic!("OpenSlide gives pixels") };
    // More than is asked for at once in both directions, an image and what is missing, a part, a corner.
    let missing = Rect { x: MISSING.0 * SIDE, y: MISSING.1 * SIDE, width: SIDE, height: SIDE };
    let shown = mirax::shown(&picture());
    for rect in [
        Rect { x: 0, y: 0, width: slide.width, height: slide.height },
        missing,
        Rect { x: missing.x - 100, y: missing.y - 3, width: 200, height: 90 },
        Rect { x: slide.width - 1, y: slide.height - 1, width: 1, height: 1 },
    ] {
        let read = pixels.read(rect).unwrap();
        assert!(read == shown.crop(rect.x, rect.y, rect.width, rect.height), "{rect:?}");
    }
    assert_eq!(pixels.read(missing).unwrap().uniform(), Some(BACKGROUND));

    assert_eq!(slide.format, "openslide-mirax");
    assert_eq!(slide.mpp, Some([0.25, 0.5]));
    assert_eq!(slide.objective_power, Some(20.0));
    assert_eq!(property(&slide, "openslide.vendor"), "mirax");
    assert_eq!(property(&slide, "mirax.LAYER_0.IMAGE_FORMAT"), "PNG");
    assert!(property(&slide, "microtome.reader").starts_with("OpenSlide 4."));
    let [image] = &slide.associated[..] else { panic!("one label") };
    assert_eq!((image.name.as_str(), image.media_type), ("label", "image/png"));
    let mut reader = png::Decoder::new(std::io::Cursor::new(&image.bytes)).read_info().unwrap();
    let mut samples = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut samples).unwrap();
    let read = Rgb::from_vec(info.width, info.height, samples).unwrap();
    assert!(psnr(&read, &label()) > 45.0, "the label went through a JPEG");
}

#[test]
fn an_mrxs_goes_in_and_is_verified_with_all_its_files() {
    let Some(library) = openslide() else { return };
    let folder = folder();
    let path = Mirax::new(&picture(), &label()).write(folder.path());
    let container = folder.path().join("out.mtm");
    let library = text(&library);
    succeed(["ingest", text(&path), "-o", text(&container), "--openslide", library, "--quality", "95"]);
    let slide = Slide::open(&container).unwrap();
    let all = Rect { x: 0, y: 0, width: IMAGES.0 * SIDE, height: IMAGES.1 * SIDE };
    let likeness = psnr(&slide.read_region(0, all).unwrap(), &mirax::shown(&picture()));
    assert!(likeness > 34.0, "{likeness:.1} dB");

    let metadata = slide.metadata();
    assert_eq!(metadata.source.format, "openslide-mirax");
    assert!(metadata.source.reader.starts_with("OpenSlide 4."), "{}", metadata.source.reader);
    let files = ["slide.mrxs", "slide/Data0000.dat", "slide/Index.dat", "slide/Slidedat.ini"];
    let hash = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>();
    let line = |name: &str| format!("{}  {name}\n", hash(&std::fs::read(folder.path().join(name)).unwrap()));
    assert_eq!(metadata.source.sha256, hash(files.map(line).concat().as_bytes()), "as sha256sum lists them");
    assert_eq!(metadata.source.files, 4);

    let verify = ["verify", text(&container), "--source", text(&path), "--openslide", library];
    assert!(succeed(verify).contains("is its source"));
    std::fs::write(folder.path().join("slide/Slidedat.ini"), mirax_ini_with_a_line_more(&folder)).unwrap();
    let output = command().args(verify).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "one of its files is another one now");
}

fn mirax_ini_with_a_line_more(folder: &tempfile::TempDir) -> String {
    std::fs::read_to_string(folder.path().join("slide/Slidedat.ini")).unwrap() + "[MORE]\r\nA = 1\r\n"
}

#[test]
fn a_damaged_mrxs_is_refused_with_its_name_and_place() {
    let Some(library) = openslide() else { return };
    let whole = Mirax::new(&picture(), &label());
    let at = |damage: &dyn Fn(&mut Mirax)| {
        let folder = folder();
        let mut slide = Mirax::new(&picture(), &label());
        damage(&mut slide);
        (slide.write(folder.path()), folder)
    };
    // An image in the last row: the rows before it are good, and nothing of the slide may go in for that.
    let (begin, length) = *whole.images.last().unwrap();
    let (path, _folder) = at(&|slide| slide.data[begin + length / 2..begin + length].fill(0));
    refused(&path, &library, &["slide.mrxs", "of level 0", "OpenSlide 4.", "damaged"]);
    let (path, _folder) = at(&|slide| slide.data.truncate(whole.images[9].0));
    refused(&path, &library, &["slide.mrxs", "OpenSlide 4."]);
    let (path, _folder) =
        at(&|slide| slide.ini = slide.ini.replace("IMAGENUMBER_X = 6", "IMAGENUMBER_X = 0"));
    refused(&path, &library, &["slide.mrxs: opening", "OpenSlide 4."]);
    let (path, _folder) = at(&|slide| {
        slide.ini = slide.ini.replace("IMAGENUMBER_X = 6", "IMAGENUMBER_X = 8000000");
    });
    refused(&path, &library, &["slide.mrxs", "2048000000 x 1280 px (1 to 16777216 a side"]);
    let (path, _folder) = at(&|_| {});
    std::fs::remove_file(path.with_file_name("slide").join("Data0000.dat")).unwrap();
    refused(&path, &library, &["slide.mrxs: opening", "Data0000.dat"]);
    let (path, _folder) = at(&|_| {});
    std::fs::remove_dir_all(path.with_file_name("slide")).unwrap();
    refused(
        &path,
        &library,
        &["slide.mrxs", "MRXS", "its folder", "slide is missing; put it beside the file"],
    );
}

#[test]
fn a_damaged_label_is_left_out_with_a_word_and_the_slide_goes_in() {
    let Some(library) = openslide() else { return };
    let folder = folder();
    let mut slide = Mirax::new(&picture(), &label());
    let table = slide.data[slide.label..].windows(2).position(|marker| marker == [0xFF, 0xDB]).unwrap();
    // Its quantisation tables become a segment that decoders skip.
    slide.data[slide.label + table + 1] = 0xE5;
    let source = open(&slide.write(folder.path()), &library);
    assert!(source.associated.is_empty());
    let [notice] = &source.notices[..] else { panic!("{:?}", source.notices) };
    assert!(
        notice.starts_with("associated image \"label\" is left out: OpenSlide cannot read it"),
        "{notice}"
    );
    let Content::Pixels(pixels) = &source.content else { panic!("OpenSlide gives pixels") };
    let corner = Rect { x: 0, y: 0, width: 9, height: 9 };
    assert!(pixels.read(corner).unwrap() == picture().crop(0, 0, 9, 9));
}

#[test]
fn what_openslide_does_not_take_for_what_it_is_named_is_refused() {
    let Some(library) = openslide() else { return };
    let folder = folder();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    for name in ["text.vms", "text.vmu", "text.svslide"] {
        refused(&write(name, b"this is no slide"), &library, &[name, "does not know it"]);
    }
    refused(&write("LOUD.VMS", b"[Unc"), &library, &["small letters"]);
    refused(&write("head.czi", b"ZISRAWFILE"), &library, &["head.czi"]);
    if let Some(tiff) = shared_data("wsi/tiff/openslide-python_boxes.tiff") {
        let path = write("boxes.svslide", &std::fs::read(tiff).unwrap());
        refused(&path, &library, &["boxes.svslide", "Sakura svslide", "takes it for generic-tiff"]);
    }
    if let Some(czi) = shared_data("wsi/czi/newCZI_compressed.czi") {
        refused(&czi, &library, &["newCZI_compressed.czi: opening: OpenSlide 4.", "Z"]);
    }
}

/// A library made of a few lines of C; `None`, said aloud, without a compiler.
fn compiled(folder: &Path, name: &str, code: &str) -> Option<PathBuf> {
    let (source, library) = (folder.join("code.c"), folder.join(name));
    std::fs::write(&source, code).unwrap();
    let status = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    if !status.is_ok_and(|status| status.success()) {
        skipped("no C compiler");
        return None;
    }
    Some(library)
}

#[test]
fn what_is_no_openslide_4_is_said_so() {
    let folder = folder();
    let slide = folder.path().join("slide.mrxs");
    std::fs::write(&slide, b"\xFF\xD8\xFF").unwrap();
    let wanted = "3DHISTECH MRXS is read with OpenSlide 4.0.0 or newer, and";
    refused(&slide, &folder.path().join("gone.so"), &["slide.mrxs", wanted, "gone.so cannot be read"]);
    refused(&slide, folder.path(), &[wanted, "there is no libopenslide", text(folder.path())]);
    refused(&slide, &slide, &[wanted, "cannot be loaded as a library"]);
    for (name, code, words) in [
        (
            "other.so",
            "int f(void) { return 1; }",
            "is a library and not OpenSlide: it has no openslide_get_version",
        ),
        (
            "old.so",
            "const char *openslide_get_version(void) { return \"3.4.1\"; }",
            "old.so is OpenSlide 3.4.1",
        ),
        (
            "odd.so",
            "const char *openslide_get_version(void) { return 0; }",
            "odd.so is OpenSlide of no version",
        ),
        (
            "half.so",
            "const char *openslide_get_version(void) { return \"4.0.0\"; }",
            "is a library and not OpenSlide: it has no openslide_detect_vendor",
        ),
    ] {
        let Some(library) = compiled(folder.path(), name, code) else { return };
        refused(&slide, &library, &[wanted, words]);
    }
}

#[test]
fn without_openslide_the_refusal_says_how_to_get_it() {
    let folder = folder();
    let slide = folder.path().join("slide.mrxs");
    std::fs::write(&slide, b"\xFF\xD8\xFF").unwrap();
    let mut bare = command();
    for variable in ["MICROTOME_OPENSLIDE", "VIRTUAL_ENV", "CONDA_PREFIX"] {
        bare.env_remove(variable);
    }
    let output =
        bare.args(["ingest", text(&slide), "-o", text(&folder.path().join("o.mtm"))]).output().unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), line.lines().count()), (Some(1), 1), "{line}");
    if line.contains("slide.mrxs: opening: OpenSlide 4.") {
        return skipped("the system has OpenSlide 4");
    }
    for word in ["slide.mrxs", "3DHISTECH MRXS", "4.0.0 or newer", "openslide-bin", "--openslide PATH"] {
        assert!(line.contains(word), "{word:?} is missing in: {line}");
    }
}

/// The wheel in an environment that is active, and the variable.
#[test]
fn an_active_environment_and_the_variable_name_the_library() {
    let Some(library) = openslide().filter(|library| library.is_dir()) else { return };
    let folder = folder();
    let slide = Mirax::new(&picture(), &label()).write(folder.path());
    let packages = folder.path().join("venv/lib/python3.12/site-packages");
    std::fs::create_dir_all(&packages).unwrap();
    let wheel = packages.join("openslide_bin");
    std::fs::create_dir(&wheel).unwrap();
    for name in names(&library).iter().filter(|name| name.starts_with("libopenslide")) {
        std::fs::copy(library.join(name), wheel.join(name)).unwrap();
    }
    for (variable, value) in [("VIRTUAL_ENV", folder.path().join("venv")), ("MICROTOME_OPENSLIDE", wheel)] {
        let mut bare = command();
        bare.env_remove("MICROTOME_OPENSLIDE").env_remove("CONDA_PREFIX").env_remove("VIRTUAL_ENV");
        let target = folder.path().join(format!("{variable}.mtm"));
        let output = bare.env(variable, value).args(["ingest", text(&slide), "-o", text(&target)]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{variable}: {}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains("no setting"), "{said}");
    }
}

/// A JPEG that is an image of its own is not taken for the slide that it is the thumbnail of.
#[test]
fn a_thumbnail_is_not_the_slide() {
    let folder = folder();
    let thumbnail = turbo::encode(&label(), 80, turbo::Subsampling::Chroma420).unwrap();
    let path = folder.path().join("slide.mrxs");
    std::fs::write(&path, thumbnail).unwrap();
    refused(&path, &folder.path().join("none"), &["slide.mrxs", "MRXS"]);
}

#[test]
fn nothing_that_identifies_comes_with_an_mrxs_that_is_deidentified() {
    let Some(library) = openslide() else { return };
    let folder = folder();
    let mut slide = Mirax::new(&picture(), &label());
    slide.ini += "[PATIENT]\r\nNAME = Planted Marker\r\n";
    let (path, container) = (slide.write(folder.path()), folder.path().join("out.mtm"));
    let library = text(&library);
    succeed(["ingest", text(&path), "-o", text(&container), "--openslide", library, "--deidentify"]);
    let bytes = std::fs::read(&container).unwrap();
    assert!(!bytes.windows(14).any(|window| window == b"Planted Marker"));
    let slide = Slide::open(&container).unwrap();
    assert!(slide.metadata().associated.is_empty(), "a label names the patient");
    assert!(slide.metadata().source.reader.starts_with("OpenSlide 4."), "{}", slide.metadata().source.reader);
    assert_eq!(slide.metadata().mpp, Some([0.25, 0.5]));
}
