//! DICOM, as files and on the web: valid by dciodvfy's word, with the slide's pixels in the eyes of wsidicom, dicomweb-client and
//! our own reader; found by those who look for it, and by nobody else.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use microtome_codec::{Rgb, turbo};
use microtome_slide::{Rect, Slide, TileId};
use serde_json::{Value, json};
use support::{
    Server, contain, fail, folder, microtome, names, path, psnr, python, shared_data, skipped, succeed,
    tissue, write_deep_zoom, write_png,
};

/// Demands that dciodvfy finds no error in the files of a folder.
fn validate(folder: &Path) {
    for name in names(folder) {
        let output = match Command::new("dciodvfy").arg(folder.join(&name)).output() {
            Ok(output) => output,
            Err(error) => return skipped(&format!("dciodvfy cannot be run: {error} (Debian's dicom3tools)")),
        };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("VLWholeSlideMicroscopyImage"), "{name}: {said}");
        assert!(!said.contains("Error"), "{name}: {said}");
    }
}

/// What wsidicom says of a folder or a server, and the pixels that it sees.
struct Seen {
    said: Value,
    pixels: tempfile::TempDir,
}

impl Seen {
    fn of(python: &Path, source: &str) -> Self {
        let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reader/dicom_pixels.py");
        let pixels = folder();
        let output =
            Command::new(python).arg("-B").arg(reader).arg(source).arg(pixels.path()).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && complaint.is_empty(), "{complaint}");
        Self { said: serde_json::from_slice(&output.stdout).unwrap(), pixels }
    }

    /// Demands the pixels of the slide's levels. Chroma may differ in the last two columns and rows, where a decoder
    /// interpolates it across the edge of what is shown.
    fn check_levels(&self, slide: &Slide) {
        let last = (0..).zip(slide.levels()).find(|(_, grid)| grid.tiles() == 1).unwrap().0;
        assert_eq!(self.said["levels"].as_array().unwrap().len(), usize::from(last) + 1, "{}", self.said);
        for level in 0..=last {
            let grid = slide.levels()[usize::from(level)];
            assert_eq!(self.said["levels"][usize::from(level)], json!([grid.width, grid.height]));
            let bytes = fs::read(self.pixels.path().join(format!("{level}.rgb"))).unwrap();
            let theirs = Rgb::from_vec(grid.width, grid.height, bytes).unwrap();
            let ours = as_served(slide, level);
            let (width, height) = (grid.width - 2, grid.height - 2);
            let likeness = psnr(&ours, &theirs);
            assert!(
                ours.crop(0, 0, width, height) == theirs.crop(0, 0, width, height),
                "level {level}: {likeness:.1} dB"
            );
            assert!(likeness > 40.0, "level {level}: {likeness:.1} dB");
        }
    }
}

/// The pixels of a level, from its tiles as they are served: of a derived level those that were encoded.
fn as_served(slide: &Slide, level: u8) -> Rgb {
    let grid = slide.levels()[usize::from(level)];
    let rect = Rect { x: 0, y: 0, width: grid.width, height: grid.height };
    microtome_slide::mosaic::assemble(&grid, rect, |column, row| {
        let jpeg = slide.tile(TileId { level, column, row }).unwrap();
        Ok::<_, ()>(turbo::decode(&jpeg, 1 << 24).unwrap())
    })
    .unwrap()
}

/// Demands that the tiles of both slides are the same bytes where they have full size, and show the same elsewhere.
fn check_tiles(ours: &Slide, theirs: &Slide, levels: std::ops::Range<u8>) {
    for level in levels {
        let grid = ours.levels()[usize::from(level)];
        assert_eq!(theirs.levels()[usize::from(level)], grid);
        for i in 0..grid.tiles() {
            let (column, row) = grid.position(i);
            let tile = TileId { level, column, row };
            let (ours, theirs) = (ours.tile(tile).unwrap(), theirs.tile(tile).unwrap());
            let rect = grid.tile_rect(column, row).unwrap();
            if rect.width == grid.tile_size && rect.height == grid.tile_size {
                assert!(ours == theirs, "{tile}");
            } else {
                let pixels = |jpeg| turbo::decode(jpeg, 1 << 24).unwrap();
                assert!(psnr(&pixels(&ours), &pixels(&theirs)) > 40.0, "{tile}");
            }
        }
    }
}

/// A slide with a scale: a generated one, one whose scale was stated, and where it is there a scanner's with label and macro.
fn slides(folder: &Path) -> Vec<(&'static str, PathBuf)> {
    let (image, stated) = (folder.join("image.png"), folder.join("stated.mtm"));
    write_png(&image, &tissue(600, 500, 8));
    succeed(["ingest", path(&image), "-o", path(&stated), "--mpp", "0.46"]);
    let mut slides =
        vec![("made", contain(folder, "made.mtm", "synthetic:1100x900,seed=3")), ("stated", stated)];
    if let Some(svs) = shared_data("wsi/svs/small_HE.svs") {
        slides.push(("kept", contain(folder, "kept.mtm", path(&svs))));
    }
    if let Some(series) = shared_data("wsi/dicom/jcupitt_cmu-1-small-region") {
        slides.push(("series", contain(folder, "series.mtm", path(&series))));
    }
    slides
}

#[test]
fn an_exported_series_is_valid_and_shows_the_slide() {
    let folder = folder();
    let python = python("dicomweb_client, wsidicom");
    for (name, container) in slides(folder.path()) {
        let slide = Slide::open(&container).unwrap();
        let series = folder.path().join(format!("{name}.dcm"));
        succeed(["export", path(&container), "-o", path(&series)]);
        validate(&series);
        assert_eq!(names(&series).contains(&"label.dcm".to_owned()), name == "kept");
        if let Some(python) = &python {
            let seen = Seen::of(python, path(&series));
            seen.check_levels(&slide);
            let mpp = slide.metadata().mpp.unwrap();
            assert_eq!(seen.said["spacing"][0], json!([mpp[0] / 1e3, mpp[1] / 1e3]));
            assert_eq!(seen.said["overview"].is_null(), name != "kept");
            if name == "kept" {
                let bytes = slide.associated("macro").unwrap().unwrap();
                let ours = turbo::decode(&bytes, 1 << 24).unwrap();
                let theirs = fs::read(seen.pixels.path().join("overview.rgb")).unwrap();
                assert!(ours.data() == theirs, "the macro image is the scanner's own");
            }
        }
        let again = contain(folder.path(), &format!("{name}-again.mtm"), path(&series));
        let again = Slide::open(&again).unwrap();
        assert_eq!(again.metadata().mpp, slide.metadata().mpp);
        assert_eq!(again.metadata().objective_power, slide.metadata().objective_power);
        check_tiles(&slide, &again, 0..3);
        let refused = fail(1, ["export", path(&container), "-o", path(&series)]);
        assert!(refused.contains("exists already"), "{refused}");
    }
}

#[test]
fn studies_stay_and_losses_add_up() {
    let Some(source) = shared_data("wsi/dicom/jcupitt_cmu-1-small-region") else { return };
    let folder = folder();
    let kept = contain(folder.path(), "kept.mtm", path(&source));
    let lossy = folder.path().join("lossy.mtm");
    succeed(["ingest", path(&source), "--quality", "80", "-o", path(&lossy)]);
    let said = |container: &Path| {
        let server = Server::start(container.parent().unwrap(), &[]);
        let series: Value = serde_json::from_str(server.get("/dicomweb/series").text()).unwrap();
        let names = |key: &str| -> Vec<String> {
            let all = series.as_array().unwrap().iter();
            all.map(|one| one[key]["Value"][0].as_str().unwrap().to_owned()).collect()
        };
        (names("0020000D"), names("0020000E"), server, series)
    };
    let (studies, series, server, objects) = said(&kept);
    let properties = Slide::open(&kept).unwrap().metadata().properties.clone();
    assert_eq!(studies, [&*properties["dicom.StudyInstanceUID"]; 2], "both are of one study");
    assert!(
        series.contains(&properties["dicom.SeriesInstanceUID"]),
        "frames that were kept stay in their series"
    );
    assert_ne!(series[0], series[1], "others do not");
    for object in objects.as_array().unwrap() {
        let address = object["00081190"]["Value"][0].as_str().unwrap().split("/dicomweb").nth(1).unwrap();
        let metadata: Value =
            serde_json::from_str(server.get(&format!("/dicomweb{address}/metadata")).text()).unwrap();
        let is_kept = object["0020000E"]["Value"][0] == *properties["dicom.SeriesInstanceUID"];
        let [first, second] = [&metadata[0], &metadata[1]];
        assert_ne!(first["00080018"]["Value"][0], *properties["dicom.SOPInstanceUID"]);
        let generations = |instance: &Value| instance["00282112"]["Value"].as_array().unwrap().len();
        assert_eq!(generations(first), if is_kept { 1 } else { 2 }, "{}", first["00282112"]);
        // Kept, or made of what was quantised from the source.
        assert_eq!(generations(second), if is_kept { 1 } else { 2 });
        assert_eq!(first["00282114"]["Value"][0], "ISO_10918_1");
    }
}

#[test]
fn tiles_that_overlap_are_made_anew_and_it_is_said() {
    let folder = folder();
    let picture = tissue(700, 500, 5);
    let source = write_deep_zoom(folder.path(), &picture, 254, 1, "jpg");
    let container = contain(folder.path(), "overlap.mtm", path(&source));
    let series = folder.path().join("overlap.dcm");
    let output = microtome(["export", path(&container), "-o", path(&series)]);
    let notices = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && notices.contains("overlap by 1 px"), "{notices}");
    assert!(notices.contains("does not state the size of its pixels"), "{notices}");
    let again = Slide::open(&contain(folder.path(), "again.mtm", path(&series))).unwrap();
    assert_eq!((again.levels()[0].tile_size, again.levels()[0].overlap), (254, 0));
    let slide = Slide::open(&container).unwrap();
    let rect = Rect { x: 0, y: 0, width: 700, height: 500 };
    let (ours, theirs) = (slide.read_region(0, rect).unwrap(), again.read_region(0, rect).unwrap());
    assert!(psnr(&ours, &theirs) > 30.0, "{:.1} dB", psnr(&ours, &theirs));
    // On the web they are the same frames.
    let server = Server::start(folder.path(), &[]);
    let address = first_instance(&server, "slide");
    let frame = server.request("GET", &format!("{address}/frames/5"), &[("Accept", "image/jpeg")]);
    let stored = again.tile(TileId { level: 0, column: 1, row: 1 }).unwrap();
    let shown = turbo::decode(&frame.body, 1 << 20).unwrap();
    assert_eq!((shown.width(), shown.height()), (254, 254));
    let stored = turbo::decode(&stored, 1 << 20).unwrap();
    assert_eq!(shown.crop(0, 0, stored.width(), stored.height()), stored);
}

/// The path of the first instance of the slide of this name.
fn first_instance(server: &Server, name: &str) -> String {
    let found = server.get(&format!("/dicomweb/instances?InstanceNumber=1&ContainerIdentifier={name}*"));
    let found: Value = serde_json::from_str(found.text()).unwrap();
    let address = found[0]["00081190"]["Value"][0].as_str().unwrap();
    format!("/dicomweb{}", address.split("/dicomweb").nth(1).unwrap())
}

#[test]
fn clients_open_a_slide_on_the_web() {
    let Some(python) = python("dicomweb_client, wsidicom") else { return };
    let folder = folder();
    for (name, container) in slides(folder.path()) {
        let root = folder.path().join(format!("of-{name}"));
        fs::create_dir(&root).unwrap();
        fs::rename(&container, root.join("slide.mtm")).unwrap();
        let slide = Slide::open(&root.join("slide.mtm")).unwrap();
        let server = Server::start(&root, &["--serve-labels"]);
        let seen = Seen::of(&python, &format!("http://localhost:{}/dicomweb", server.port));
        seen.check_levels(&slide);
        assert_eq!(seen.said["label"].is_null(), name != "kept");
        assert_eq!(seen.said["frames"].as_array().unwrap().len(), 2);
        assert_eq!(seen.said["file"], slide.levels()[0].tiles());
        assert!(seen.said["profile"].as_u64().unwrap() > 128);
    }
}

#[test]
fn searches_find_what_is_there_and_nothing_else() {
    let folder = folder();
    for (name, size) in [("a", "700x500"), ("b", "300x200"), ("sub/c", "520x300")] {
        fs::create_dir_all(folder.path().join("sub")).unwrap();
        contain(folder.path(), &format!("{name}.mtm"), &format!("synthetic:{size},seed=1"));
    }
    fs::write(folder.path().join("broken.mtm"), b"no container").unwrap();
    fs::copy(folder.path().join("a.mtm"), folder.path().join("copy-of-a.mtm")).unwrap();
    let server = Server::start(folder.path(), &[]);
    let search = |what: &str| {
        let answer = server.get(&format!("/dicomweb/{what}"));
        match answer.status {
            204 => vec![],
            200 => {
                assert_eq!(answer.header("content-type"), Some("application/dicom+json"));
                serde_json::from_slice::<Vec<Value>>(&answer.body).unwrap()
            }
            other => panic!("{what}: {other}"),
        }
    };
    let studies = search("studies");
    assert_eq!(studies.len(), 3, "a copy is the same study");
    let study = studies[0]["0020000D"]["Value"][0].as_str().unwrap().to_owned();
    assert_eq!(studies[0]["00201206"]["Value"], json!([1]));
    let all = search("instances");
    assert_eq!(all.len(), 3 + 2 + 3, "levels down to the first that is one tile");
    assert!(all.iter().all(|one| one["00083002"]["Value"][0] == "1.2.840.10008.1.2.4.50"));
    let instance = all[4]["00080018"]["Value"][0].as_str().unwrap();
    for (what, count) in [
        ("studies?limit=2", 2),
        ("studies?limit=2&offset=2", 1),
        ("studies?PatientName=", 3),
        ("studies?PatientName=Doe", 0),
        ("studies?ModalitiesInStudy=SM", 3),
        ("studies?ModalitiesInStudy=CT", 0),
        ("studies?utm=1", 3),
        (&*format!("studies?0020000D={study}"), 1),
        ("series?Modality=SM&includefield=all", 3),
        (&*format!("studies/{study}/series"), 1),
        ("studies/1.2.3/series", 0),
        ("instances?limit=3&offset=7", 1),
        ("instances?limit=3&offset=8", 0),
        ("instances?ImageType=VOLUME&Rows=256", 8),
        ("instances?NumberOfFrames=6", 2),
        (&*format!("instances?SOPInstanceUID={instance}"), 1),
        // A class that there is nothing of: annotations.
        ("instances?00080016=1.2.840.10008.5.1.4.1.1.91.1&00080060=ANN", 0),
    ] {
        assert_eq!(search(what).len(), count, "{what}");
    }
    assert_eq!(server.get("/dicomweb/studies?limit=x").status, 400);
    let xml = [("Accept", "multipart/related; type=\"application/dicom+xml\"")];
    assert_eq!(server.request("GET", "/dicomweb/studies", &xml).status, 406);
    for gone in ["studies/1.2.3/metadata", "studies/1.2.3", "patients", "studies/x/series"] {
        let status = server.get(&format!("/dicomweb/{gone}")).status;
        assert!(status == 404 || status == 400, "{gone}: {status}");
    }
    fs::remove_file(folder.path().join("b.mtm")).unwrap();
    for _ in 0..40 {
        if search("studies").len() == 2 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    panic!("a slide that is gone is still found");
}

#[test]
fn frames_and_pictures_come_in_the_form_that_is_asked_for() {
    let folder = folder();
    let container = contain(folder.path(), "a.mtm", "synthetic:700x500,seed=1");
    let slide = Slide::open(&container).unwrap();
    let server = Server::start(folder.path(), &[]);
    let address = first_instance(&server, "synthetic");
    let get =
        |what: &str, accept: &str| server.request("GET", &format!("{address}{what}"), &[("Accept", accept)]);
    let tile = slide.tile(TileId { level: 0, column: 1, row: 0 }).unwrap();

    let one = get("/frames/2", "image/jpeg");
    assert!(one.status == 200 && one.body == tile, "a tile of full size is the frame");
    assert_eq!(one.header("vary"), Some("accept"));
    let etag = one.header("etag").unwrap().to_owned();
    let again = server.request(
        "GET",
        &format!("{address}/frames/2"),
        &[("Accept", "image/jpeg"), ("If-None-Match", &etag)],
    );
    assert_eq!(again.status, 304);
    for accept in [
        "*/*",
        "multipart/related; type=\"image/jpeg\"; transfer-syntax=1.2.840.10008.1.2.4.50",
        "multipart/related; type=\"application/octet-stream\"; transfer-syntax=*",
    ] {
        let both = get("/frames/2,6", accept);
        let kind = both.header("content-type").unwrap();
        assert!(kind.starts_with("multipart/related; type=\"image/jpeg\"; boundary="), "{kind}");
        let boundary = format!("--{}", kind.split("boundary=").nth(1).unwrap());
        let text = String::from_utf8_lossy(&both.body);
        assert_eq!(text.matches(&boundary).count(), 3, "{accept}");
        assert!(both.body.windows(tile.len()).any(|window| window == tile), "{accept}");
    }
    // The last frame is padded to full size, and begins with the pixels of its tile.
    let last = turbo::decode(&get("/frames/6", "image/jpeg").body, 1 << 20).unwrap();
    assert_eq!((last.width(), last.height()), (256, 256));
    let stored =
        turbo::decode(&slide.tile(TileId { level: 0, column: 2, row: 1 }).unwrap(), 1 << 20).unwrap();
    let (width, height) = (stored.width() - 2, stored.height() - 2);
    assert_eq!(last.crop(0, 0, width, height), stored.crop(0, 0, width, height));

    for (what, accept, status) in [
        ("/frames/7", "image/jpeg", 404),
        ("/frames/0", "image/jpeg", 400),
        ("/frames/1,2", "image/jpeg", 406),
        ("/frames/1", "multipart/related; type=\"image/jp2\"; transfer-syntax=1.2.840.10008.1.2.4.90", 406),
        ("/frames/1", "multipart/related; type=\"application/octet-stream\"", 406),
        ("/rendered", "image/gif", 406),
        ("/rendered?accept=image/gif", "image/png", 406),
        ("/metadata?accept=application/dicom+json", "image/png", 200),
        ("/rendered?viewport=0,0", "image/png", 400),
        ("/rendered?viewport=99999,99999", "image/png", 400),
        ("/rendered?quality=0", "image/jpeg", 400),
        ("/rendered?iccprofile=cmyk", "image/jpeg", 400),
        ("/bulkdata/00282000", "image/png", 406),
        ("/bulkdata/00282001", "*/*", 404),
        ("/bulkdata/00282000", "*/*", 200),
        ("/frames/1/rendered?viewport=64,64&quality=50", "image/jpeg", 200),
        ("/thumbnail", "*/*", 200),
    ] {
        assert_eq!(get(what, accept).status, status, "{what} {accept}");
    }
    let whole = get("/rendered", "image/png");
    assert_eq!(whole.header("content-type"), Some("image/png"));
    // The query is for who cannot say it otherwise.
    let asked = get("/rendered?viewport=64,64&accept=image%2Fpng", "*/*");
    assert_eq!(asked.header("content-type"), Some("image/png"));
    let part =
        turbo::decode(&get("/rendered?viewport=50,50,100,100,200,100", "image/jpeg").body, 1 << 20).unwrap();
    assert_eq!((part.width(), part.height()), (50, 25));
    let ours =
        slide.read_region(0, Rect { x: 100, y: 100, width: 200, height: 100 }).unwrap().reduced().reduced();
    assert!(psnr(&ours, &part) > 25.0, "{:.1} dB", psnr(&ours, &part));

    // The file that comes over the web is the one that export writes, but for its table of offsets.
    let file = get("", "application/dicom");
    assert_eq!(file.header("transfer-encoding"), Some("chunked"));
    let single = folder.path().join("web");
    fs::create_dir(&single).unwrap();
    fs::write(single.join("level-0.dcm"), dechunked(&file.body)).unwrap();
    validate(&single);
    let again = Slide::open(&contain(folder.path(), "again.mtm", path(&single))).unwrap();
    check_tiles(&slide, &again, 0..1);
}

/// The content of a chunked body (RFC 9112, 7.1), which the plain client leaves as it came.
fn dechunked(mut body: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    loop {
        let line = body.windows(2).position(|two| two == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&body[..line]).unwrap(), 16).unwrap();
        if length == 0 {
            return out;
        }
        out.extend_from_slice(&body[line + 2..line + 2 + length]);
        body = &body[line + 2 + length + 2..];
    }
}

#[test]
fn labels_are_given_out_only_where_that_was_asked_for() {
    let Some(svs) = shared_data("wsi/svs/small_HE.svs") else { return };
    let folder = folder();
    contain(folder.path(), "a.mtm", path(&svs));
    let instances = |more: &[&str]| {
        let server = Server::start(folder.path(), more);
        let found: Vec<Value> =
            serde_json::from_slice(&server.get("/dicomweb/instances?includefield=ImageType").body).unwrap();
        let mut kinds: Vec<String> =
            found.iter().map(|one| one["00080008"]["Value"][2].as_str().unwrap().to_owned()).collect();
        kinds.dedup();
        kinds
    };
    assert_eq!(instances(&[]), ["VOLUME", "THUMBNAIL"]);
    assert_eq!(instances(&["--serve-labels"]), ["VOLUME", "LABEL", "OVERVIEW", "THUMBNAIL"]);
}

#[test]
fn slides_out_of_scope_are_absent() {
    const KEY: &str = "a-key-of-the-tests-0123456789";
    let folder = folder();
    for (name, seed) in [("seen", 1), ("hidden", 2)] {
        contain(folder.path(), &format!("{name}.mtm"), &format!("synthetic:300x200,seed={seed}"));
    }
    let open = Server::start(folder.path(), &[]);
    let all: Vec<Value> = serde_json::from_slice(&open.get("/dicomweb/series").body).unwrap();
    assert_eq!(all.len(), 2);
    let server = Server::start(folder.path(), &["--signing-key", KEY]);
    let url = succeed(["sign", "--signing-key", KEY, "--base-url", "http://localhost", "seen"]);
    let query = url.trim_end().split_once('?').unwrap().1;
    assert_eq!(server.get("/dicomweb/series").status, 401);
    for listed in ["studies", "series", "instances?limit=1"] {
        let mark = if listed.contains('?') { '&' } else { '?' };
        let found = server.get(&format!("/dicomweb/{listed}{mark}{query}"));
        let found: Vec<Value> = serde_json::from_slice(&found.body).unwrap();
        assert_eq!(found.len(), 1, "{listed}");
    }
    let statuses: Vec<u16> = all
        .iter()
        .map(|one| {
            let address = one["00081190"]["Value"][0].as_str().unwrap().split("/dicomweb").nth(1).unwrap();
            server.get(&format!("/dicomweb{address}/metadata?{query}")).status
        })
        .collect();
    assert!(statuses.contains(&200) && statuses.contains(&404), "{statuses:?}");
}
