//! Chroma resolution from end to end: asked for where pixels are quantised, followed where tiles are kept.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use microtome_codec::jpeg;
use microtome_codec::turbo::{self, Subsampling};
use microtome_slide::{Slide, TileId};
use support::{fail, folder, microtome, names, path, succeed, tissue, write_deep_zoom, write_png};

/// Ingests with more arguments; gives the report and the slide.
fn ingest(source: &Path, container: &Path, more: &[&str]) -> (serde_json::Value, Slide) {
    let arguments = ["ingest", path(source), "-o", path(container), "--json"];
    let report = serde_json::from_str(&succeed([&arguments[..], more].concat())).unwrap();
    (report, Slide::open(container).unwrap())
}

/// Sampling factors of luma in the first tile of a level, as it is served; chroma's are 1 x 1.
fn luma_factors(slide: &Slide, level: u8) -> [u8; 2] {
    let served = slide.tile(TileId { level, column: 0, row: 0 }).unwrap();
    let components = jpeg::inspect(&served).unwrap().components;
    assert!(components[1..].iter().all(|c| [c.horizontal, c.vertical] == [1, 1]));
    [components[0].horizontal, components[0].vertical]
}

/// A Deep Zoom slide of four families whose tiles have this sampling, without level 2.
fn deep_zoom(folder: &Path, subsampling: Subsampling) -> PathBuf {
    let source = write_deep_zoom(folder, &tissue(1200, 1100, 1), 254, 1, "jpg");
    let levels = folder.join("slide_files");
    fs::remove_dir_all(levels.join("9")).unwrap();
    for level in names(&levels) {
        for name in names(&levels.join(&level)) {
            let tile = levels.join(&level).join(name);
            let pixels = turbo::decode(&fs::read(&tile).unwrap(), 1 << 20).unwrap();
            fs::write(&tile, turbo::encode(&pixels, 80, subsampling).unwrap()).unwrap();
        }
    }
    source
}

#[test]
fn full_chroma_is_quantised_predicted_and_served_where_asked_for() {
    let folder = folder();
    let png = folder.path().join("tissue.png");
    write_png(&png, &tissue(1200, 1100, 1));
    for (chroma, name, luma) in [("420", "4:2:0", [2, 2]), ("444", "4:4:4", [1, 1])] {
        let container = folder.path().join(format!("{chroma}.mtm"));
        let (report, slide) = ingest(&png, &container, &["--quality", "85", "--chroma", chroma]);
        let stored = slide.levels()[0].tiles();
        assert_eq!(report["codings"]["predicted"].as_u64(), Some(stored), "level 0 from level 2");
        // Stored, derived from samples, stored.
        assert_eq!([0, 1, 2].map(|level| luma_factors(&slide, level)), [luma; 3]);
        let methods = slide.metadata().loss.iter().filter(|step| step.method.contains("quality 85"));
        assert!(methods.clone().all(|step| step.method.contains(name)) && methods.count() >= 2);
        assert!(succeed(["info", path(&container)]).contains(name));
        succeed(["verify", path(&container)]);
    }
    let plain = folder.path().join("plain.mtm");
    ingest(&png, &plain, &["--quality", "85"]);
    assert!(fs::read(plain).unwrap() == fs::read(folder.path().join("420.mtm")).unwrap(), "the default");
}

#[test]
fn a_container_of_another_chroma_is_not_the_one_to_resume() {
    let folder = folder();
    let container = folder.path().join("a.mtm");
    let arguments = ["ingest", "synthetic:300x200", "-o", path(&container), "--resume"];
    succeed([&arguments[..], &["--chroma", "444"]].concat());
    let again = microtome([&arguments[..], &["--chroma", "444"]].concat()).stderr;
    assert!(String::from_utf8(again).unwrap().contains("skipped"));
    assert!(fail(1, arguments).contains("exists already"));
}

#[test]
fn chroma_of_tiles_that_are_kept_is_not_to_be_chosen() {
    let folder = folder();
    let source = write_deep_zoom(folder.path(), &tissue(300, 200, 1), 254, 1, "jpg");
    let container = folder.path().join("a.mtm");
    let arguments = ["ingest", path(&source), "-o", path(&container), "--chroma", "444"];
    let complaint = fail(2, arguments);
    assert!(complaint.contains("leave out --chroma, or choose --quality"), "{complaint}");
    assert_eq!(microtome([&arguments[..], &["--exact"]].concat()).status.code(), Some(2));
    assert!(!container.exists());
    let (_, slide) = ingest(&source, &container, &["--chroma", "444", "--quality", "80"]);
    assert_eq!(luma_factors(&slide, 0), [1, 1]);
}

#[test]
fn levels_made_beside_kept_tiles_have_their_chroma_and_predict_them() {
    for (subsampling, luma) in
        [(Subsampling::Chroma420, [2, 2]), (Subsampling::Chroma422, [2, 1]), (Subsampling::Chroma444, [1, 1])]
    {
        let folder = folder();
        let source = deep_zoom(folder.path(), subsampling);
        let container = folder.path().join("a.mtm");
        let (report, slide) = ingest(&source, &container, &[]);
        let below = slide.levels()[0].tiles() + slide.levels()[1].tiles();
        assert!(report["codings"]["predicted"].as_u64().unwrap() >= below, "{subsampling}: {report}");
        assert_eq!(luma_factors(&slide, 2), luma);
        let made = slide.metadata().loss.iter().find(|step| step.levels == [2]).unwrap();
        assert!(made.method.contains(&subsampling.to_string()), "{}", made.method);
        succeed(["verify", path(&container), "--source", path(&source)]);
    }
}
