//! `microtome bench` from end to end, on pictures small enough for a test: what it says, and what it refuses.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::path::{Path, PathBuf};

use microtome_codec::Rgb;
use serde_json::Value;
use support::{fail, folder, microtome, path, picture, shared_data, succeed, write_deep_zoom, write_png};

/// Waves with grain: pure waves would leave the metrics nothing to see.
fn grainy(width: u32, height: u32) -> Rgb {
    let mut pixels = picture(width, height);
    let mut state = 1_u32;
    for sample in pixels.data_mut() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *sample = sample.saturating_add((state >> 28) as u8);
    }
    pixels
}

fn png(folder: &Path, width: u32, height: u32) -> PathBuf {
    let path = folder.join(format!("{width}x{height}.png"));
    write_png(&path, &grainy(width, height));
    path
}

fn documents(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).expect("a line is a document")).collect()
}

/// The number at a JSON pointer.
fn number(document: &Value, pointer: &str) -> f64 {
    document.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("no number at {pointer}"))
}

fn target<'a>(document: &'a Value, name: &str) -> &'a Value {
    let targets = document["targets"].as_array().expect("targets");
    targets.iter().find(|target| target["name"] == name).unwrap_or_else(|| panic!("no target {name}"))
}

#[test]
fn pictures_beside_a_slide_are_told_apart_from_its_header() {
    let Some(source) = shared_data("wsi/svs/small_HE.svs") else { return };
    let output = succeed(["bench", "rd", path(&source), "--json"]);
    let [report] = &documents(&output)[..] else { panic!("one document per input: {output}") };
    let exact = |what: &str| number(report, &format!("/pyramids/0/exact/{what}"));
    // Half of this file is its label, macro and thumbnail.
    assert!(exact("associated") > 500_000.0 && exact("header") <= 20_000.0, "{report}");
}

#[test]
fn an_image_is_measured_on_both_sides() {
    let folder = folder();
    let image = png(folder.path(), 600, 500);
    let output = succeed(["bench", "rd", path(&image), "--json", "--quality", "80,60"]);
    let [report] = &documents(&output)[..] else { panic!("one document per input: {output}") };
    assert_eq!((number(report, "/width"), number(report, "/height")), (600.0, 500.0));

    let pyramids = report["pyramids"].as_array().unwrap();
    let qualities: Vec<_> = pyramids.iter().map(|p| p["quality"].as_u64().unwrap()).collect();
    assert_eq!(qualities, [60, 80]);
    for pyramid in pyramids {
        let bytes = number(pyramid, "/bytes");
        let levels: Vec<_> =
            pyramid["level_bytes"].as_array().unwrap().iter().flat_map(Value::as_f64).collect();
        assert_eq!(levels.len(), 11, "600 px halve to 1 in ten steps");
        assert_eq!(levels.iter().sum::<f64>(), bytes);
        assert_eq!(levels.iter().step_by(2).sum::<f64>(), number(pyramid, "/even_levels_bytes"));
        assert!(number(pyramid, "/standard_tables_bytes") > bytes);
        assert!(number(pyramid, "/lepton_bytes") < bytes);
        for kind in ["exact", "derived"] {
            let made = &pyramid[kind];
            let tiles: f64 = made["level_bytes"].as_array().unwrap().iter().flat_map(Value::as_f64).sum();
            let rest = ["/codec_parameters", "/metadata", "/index", "/header"].map(|part| number(made, part));
            assert_eq!(
                tiles + rest.iter().sum::<f64>(),
                number(made, "/bytes"),
                "{kind}: every byte is accounted for"
            );
            assert!(number(made, "/megapixels_per_second") > 0.0);
        }
        assert!(number(pyramid, "/derived/bytes") < number(pyramid, "/exact/bytes"));
    }

    for side in ["jpeg", "microtome"] {
        let points = report["ladders"][side].as_array().unwrap();
        assert_eq!(points.len(), 16);
        // At a few kilobytes, whether a model of its own pays decides about as much as a step of quality.
        let bytes: Vec<_> = points.iter().flat_map(|point| point["bytes"].as_f64()).collect();
        assert!(bytes.is_sorted_by(|a, b| *a < 1.05 * b), "{side}: {bytes:?}");
        assert!(points.is_sorted_by(|a, b| a["psnr_y"].as_f64() < b["psnr_y"].as_f64()), "{side}");
        let score = number(&points[15], "/ssimulacra2");
        assert!(score > 80.0 && score <= 100.0, "{side}: {score}");
        assert!(number(&points[15], "/ssimulacra2_level_1") > 80.0);
    }
    let at: Vec<_> = report["equal_quality"].as_array().unwrap().iter().map(|e| number(e, "/at")).collect();
    assert_eq!(at, [70.0, 80.0, 85.0, 90.0, 34.0, 38.0, 42.0]);
    let exact = target(report, "exact / JPEG pyramid");
    assert_eq!((number(exact, "/must"), number(exact, "/aim")), (0.6, 0.53));
    assert!(number(exact, "/value") > 0.0);
    assert!(["aim", "ok", "short"].contains(&exact["mark"].as_str().unwrap()));
}

#[test]
fn tiles_that_are_there_are_the_baseline() {
    let folder = folder();
    let slide = write_deep_zoom(folder.path(), &grainy(400, 300), 254, 1, "jpeg");
    let report = &documents(&succeed(["bench", "rd", path(&slide), "--json"]))[0];
    assert_eq!(report["ladders"], Value::Null);
    let pyramid = &report["pyramids"][0];
    let files = walk(&folder.path().join("slide_files"));
    assert_eq!(number(pyramid, "/as_found_bytes"), files as f64);
    assert!(number(pyramid, "/bytes") <= files as f64);
    assert!(number(pyramid, "/standard_tables_bytes") > number(pyramid, "/bytes"));
    assert!(fail(2, ["bench", "rd", path(&slide), "--crop", "100"]).contains("--crop"));
}

/// Bytes of all files below a folder.
fn walk(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|e| if e.path().is_dir() { walk(&e.path()) } else { e.metadata().unwrap().len() }).sum()
}

#[test]
fn several_sources_are_averaged_and_the_rest_goes_on() {
    let folder = folder();
    let image = png(folder.path(), 200, 120);
    let missing = folder.path().join("missing.png");
    let arguments =
        ["bench", "rd", path(&image), path(&missing), path(&image), "--quality", "80", "--crop", "64"];
    let output = microtome(arguments);
    let (out, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(3), "{complaint}");
    assert!(complaint.lines().count() == 2 && complaint.contains("missing.png"), "{complaint}");
    assert!(out.contains("geometric mean of 2 sources") && out.contains("64 x 64 px"), "{out}");
    for line in ["with standard tables", "Lepton of each tile", "SSIMULACRA2 80", "PSNR-Y 38 dB", "must"] {
        assert!(out.contains(line), "{line} is missing: {out}");
    }
}

#[test]
fn what_cannot_be_measured_is_refused_in_a_line() {
    let folder = folder();
    let missing = folder.path().join("missing.png");
    assert!(fail(1, ["bench", "rd", path(&missing)]).contains("missing.png"));
    let small = png(folder.path(), 200, 9);
    assert!(fail(1, ["bench", "rd", path(&small)]).contains("too small"));
    for what in ["decode", "family"] {
        assert!(fail(1, ["bench", what, path(&small)]).contains("200x9.png"));
    }
    assert_eq!(microtome(["bench", "rd", path(&small), "--quality", "0"]).status.code(), Some(2));
    assert_eq!(microtome(["bench", "rd"]).status.code(), Some(2));
}

#[test]
fn tiles_and_families_are_timed() {
    let folder = folder();
    let container = folder.path().join("a.mtm");
    succeed(["ingest", "synthetic:1100x600", "-o", path(&container)]);
    let decode = &documents(&succeed(["bench", "decode", path(&container), "--json"]))[0];
    assert_eq!(number(decode, "/tiles"), 15.0);
    for time in ["/fetch_us", "/decode_us", "/turbo_us", "/turbo_standard_tables_us"] {
        assert!(number(decode, time) > 0.0, "{time}");
    }
    assert!(number(target(decode, "detail tile to JPEG / turbojpeg"), "/value") > 0.0);
    let family = &documents(&succeed(["bench", "family", path(&container), "--json"]))[0];
    // 4 x 3 tiles of level 0 and 2 x 2 of level 1: no family is whole.
    assert_eq!((number(family, "/families"), number(family, "/tiles")), (1.0, 16.0));
    assert_eq!(target(family, "family of 20, ms")["value"], Value::Null);
    for part in ["all", "densest_quarter"] {
        for time in ["family_ms", "family_p90_ms", "turbo_ms"] {
            assert!(number(family, &format!("/{part}/{time}")) > 0.0, "{part}: {time}");
        }
    }
    assert!(succeed(["bench", "family", path(&container)]).contains("median"));
    let tiny = folder.path().join("b.mtm");
    succeed(["ingest", "synthetic:2x2", "-o", path(&tiny)]);
    assert!(fail(1, ["bench", "family", path(&tiny)]).contains("level 2"));
}
