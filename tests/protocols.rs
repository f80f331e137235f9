//! Viewers' protocols as clients speak them: the validator of the IIIF consortium, OpenSeadragon, schemathesis.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;
#[allow(dead_code, reason = "each test binary uses its own part")]
#[path = "support/webdriver.rs"]
mod webdriver;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use microtome_slide::Slide;
use serde_json::{Value, json};
use support::{Server, contain, folder, path, python, shared_data, succeed};
use webdriver::Browser;

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The validator wants `!2000,3000` refused where the picture is smaller; the standard wants the largest that is not
/// enlarged ("MUST be as large as possible", Image API 3.0, 4.2). See image-validator issue 100.
const KNOWN_TO_CONTRADICT_THE_STANDARD: [&str; 1] = ["size_noup"];

#[test]
fn the_validator_of_iiif_finds_nothing_wrong() {
    const NAME: &str = "67352ccc-d1b0-11e1-89ae-279075081939";
    let Some(python) = python("iiif_validator") else { return };
    let folder = folder();
    let picture = folder.path().join("squares.png");
    assert!(Command::new(&python).arg(script("iiif_squares.py")).arg(&picture).status().unwrap().success());
    let slide = folder.path().join(format!("{NAME}.mtm"));
    // The validator looks at colours.
    let how = ["--quality", "95", "--chroma", "444"];
    succeed(["ingest", picture.to_str().unwrap(), "-o", slide.to_str().unwrap()].into_iter().chain(how));
    let server = Server::start(folder.path(), &[]);
    let address = format!("localhost:{}", server.port);
    let more = ["--test", "linkheader_canonical", "--test", "linkheader_profile"];
    for (version, prefix) in [("2.0", "iiif/2"), ("3.0", "iiif/3")] {
        for (level, tests) in [("1", &[][..]), ("2", &[]), ("2", &more)] {
            let output = Command::new(&python)
                .arg(python.with_file_name("iiif-validate.py"))
                .args(["-s", &address, "-p", prefix, "-i", NAME, "--version", version, "--level", level])
                .args(tests)
                .output()
                .unwrap();
            let report = text(&output);
            let results = || report.lines().filter(|line| line.starts_with('['));
            let failed: Vec<_> = results()
                .filter(|line| !line.ends_with("PASS"))
                .filter(|line| !KNOWN_TO_CONTRADICT_THE_STANDARD.iter().any(|known| line.contains(known)))
                .collect();
            assert!(failed.is_empty(), "{version}, level {level}: {failed:?}\n{report}");
            let expected = if tests.is_empty() { 20 } else { 2 };
            assert!(results().count() >= expected, "{version}, level {level}:\n{report}");
        }
    }
}

#[test]
fn schemathesis_finds_nothing_wrong() {
    let Some(python) = python("schemathesis") else { return };
    let (folder, sources) = (folder(), folder());
    std::fs::create_dir(folder.path().join("case 1")).unwrap();
    for (name, source) in [("case 1/a", "synthetic:700x500,seed=1"), ("b", "synthetic:100x90,seed=2")] {
        let path = folder.path().join(format!("{name}.mtm"));
        succeed(["ingest", source, "-o", path.to_str().unwrap()]);
    }
    let (slide, source) = (folder.path().join("b.mtm"), sources.path().join("b.dzi"));
    succeed(["export", slide.to_str().unwrap(), "-o", source.to_str().unwrap()]);
    let server = Server::start(folder.path(), &["--source-root", sources.path().to_str().unwrap()]);
    let address = format!("http://localhost:{}", server.port);
    let output = Command::new(&python)
        .arg(script("openapi.py"))
        .arg(&address)
        .args(["case 1/a", "b"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
}

/// All tiles of the current view are drawn, and nothing moves any more.
const SETTLED: &str = "window.opened === 1 && window.viewer.world.getItemAt(0).getFullyLoaded() && !window.viewer.isAnimating()";

#[test]
fn openseadragon_shows_the_same_by_every_protocol() {
    let folder = folder();
    let path = folder.path().join("case 1.mtm");
    succeed(["ingest", "synthetic:3001x2003,seed=4", "-o", path.to_str().unwrap()]);
    let server = Server::start(folder.path(), &[]);
    let browser = Browser::open(900, 650);
    browser.go(&format!("http://localhost:{}/viewer/case%201", server.port));
    browser.wait_until("document.body.dataset.ready === 'true'");
    let mut seen: Vec<(String, Vec<u8>)> = vec![];
    for (name, source) in [
        ("dzi", json!("/dzi/case%201.dzi")),
        ("dzi254", json!("/dzi254/case%201.dzi")),
        ("iiif 3", json!("/iiif/3/case%201/info.json")),
        ("iiif 2", json!("/iiif/2/case%201/info.json")),
        (
            "zoomify",
            json!({"type": "zoomifytileservice", "width": 3001, "height": 2003, "tilesUrl": "/zoomify/case%201/"}),
        ),
    ] {
        browser.evaluate(&format!(
            "(() => {{ window.opened = 0; performance.clearResourceTimings(); viewer.close(); \
             viewer.addOnceHandler('open', () => {{ const v = viewer.viewport; \
             v.zoomTo(v.imageToViewportZoom(1), null, true); \
             v.panTo(v.imageToViewportCoordinates(2800.5, 1900.5), true); window.opened = 1; }}); \
             viewer.open({source}); return true; }})()"
        ));
        browser.wait_until(SETTLED);
        let failed = browser.evaluate(
            "performance.getEntriesByType('resource').filter(e => e.responseStatus >= 400).map(e => e.name)",
        );
        assert_eq!(failed, Value::Array(vec![]), "{name}");
        let tiles = browser.evaluate(
            "performance.getEntriesByType('resource').filter(e => /\\.jpg/.test(e.name)).map(e => e.name)",
        );
        let part = name.split(' ').next().unwrap();
        let of_it = |url: &Value| url.as_str().is_some_and(|url| url.contains(&format!("/{part}/")));
        assert!(tiles.as_array().unwrap().iter().filter(|url| of_it(url)).count() >= 4, "{name}: {tiles}");
        let (width, height, rgb) = browser.screenshot();
        // The middle, where no control covers it: the corner of the slide, down to its last pixel.
        let middle: Vec<u8> = (height / 2 - 90..height / 2 + 90)
            .flat_map(|y| {
                let row = (y * width + width / 2 - 190) as usize;
                rgb[3 * row..3 * (row + 380)].to_vec()
            })
            .collect();
        seen.push((name.to_owned(), middle));
    }
    let (_, first) = &seen[0];
    for (name, other) in &seen[1..] {
        let sum: u64 = first.iter().zip(other).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        let mean = sum as f64 / first.len() as f64;
        assert!(mean < 2.0, "{name} looks otherwise: {mean}");
    }
}

#[test]
fn labels_are_given_out_only_where_the_operator_says_so() {
    let Some(source) = shared_data("wsi/svs/small_HE.svs") else { return };
    let folder = folder();
    let path = contain(folder.path(), "a.mtm", path(&source));
    let slide = Slide::open(&path).unwrap();
    for (flags, shown) in [(&[][..], false), (&["--serve-labels"][..], true)] {
        let server = Server::start(folder.path(), flags);
        let about: Value = serde_json::from_str(server.get("/slides/a").text()).unwrap();
        for (name, is_shown) in [("thumbnail", true), ("label", shown), ("macro", shown)] {
            let address = format!("/associated/a/{name}");
            let answer = server.get(&address);
            assert_eq!(answer.status, if is_shown { 200 } else { 404 }, "{name} {flags:?}");
            if is_shown {
                assert_eq!(answer.body, slide.associated(name).unwrap().unwrap(), "{name}, as it is stored");
            }
            let images = about["associated"].as_array().unwrap();
            let image =
                images.iter().find(|image| image["name"] == name).expect("it is said that there is one");
            assert_eq!(image["url"], if is_shown { json!(address) } else { Value::Null }, "{name} {flags:?}");
        }
    }
}

#[test]
fn colours_are_kept_described_or_converted() {
    let Some(source) = shared_data("wsi/svs/tcga-cr-7395-01a-01-ts1.svs") else { return };
    let folder = folder();
    let path = contain(folder.path(), "a.mtm", path(&source));
    let server = Server::start(folder.path(), &[]);
    let profile = Slide::open(&path).unwrap().icc_profile().unwrap().expect("this slide has a profile");
    let pixels = |icc: &str| {
        let answer = server.get(&format!("/region/a.png?x=1000&y=1000&w=300&h=300&icc={icc}"));
        assert_eq!(answer.status, 200);
        let mut reader = png::Decoder::new(std::io::Cursor::new(answer.body)).read_info().unwrap();
        let profile = reader.info().icc_profile.as_ref().map(|profile| profile.to_vec());
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        (profile, pixels)
    };
    let (none, kept, srgb) = (pixels("none"), pixels("keep"), pixels("srgb"));
    assert_eq!((none.0.as_ref(), srgb.0.as_ref()), (None, None));
    assert_eq!(kept.0, Some(profile));
    assert_eq!(none.1, kept.1, "a description changes no pixel");
    // This slide's profile is that of sRGB (`microtome-ingest` has the test with a wider one).
    assert!(none.1.iter().zip(&srgb.1).all(|(a, b)| a.abs_diff(*b) <= 1), "sRGB is sRGB");
    // A tile with its profile is a picture, no longer the stored one.
    let tile = server.get("/iiif/3/a/0,0,256,256/max/0/default.jpg");
    let described = server.get("/iiif/3/a/0,0,256,256/max/0/default.jpg?icc=keep");
    let has_profile = |body: &[u8]| body.windows(12).any(|window| window == b"ICC_PROFILE\0");
    assert!(!has_profile(&tile.body) && has_profile(&described.body));
    assert_ne!(tile.header("etag"), described.header("etag"));
}
