//! The viewer page in a real browser: it loads, zooms, asks for the right level, and shows the slide's pixels.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;
#[path = "support/webdriver.rs"]
mod webdriver;

use microtome_slide::{Rect, Slide};
use serde_json::Value;
use support::{Server, folder, shared_data, succeed};
use webdriver::Browser;

/// All tiles of the current view are drawn, and nothing moves any more.
const SETTLED: &str = "document.body.dataset.ready === 'true' && !(window.framesToCome > 0) \
    && window.viewer.world.getItemAt(0).getFullyLoaded() && !window.viewer.isAnimating()";

/// Levels (Deep Zoom numbers) of the tiles that the page has asked for, and whether all of them came.
fn requested(browser: &Browser) -> (Vec<u64>, bool) {
    let entries = browser.evaluate(
        "performance.getEntriesByType('resource').filter(e => /\\d+_\\d+\\.jpg/.test(e.name)) \
         .map(e => [Number(e.name.split('/').at(-2)), e.responseStatus])",
    );
    let entries = entries.as_array().unwrap();
    let mut levels: Vec<u64> = entries.iter().map(|e| e[0].as_u64().unwrap()).collect();
    levels.sort_unstable();
    levels.dedup();
    (levels, entries.iter().all(|e| e[1] == 200))
}

/// The colour in the middle of the screen, over 5 x 5 px.
fn centre_of_screen(browser: &Browser) -> [f64; 3] {
    let (width, height, rgb) = browser.screenshot();
    let height_of_page = browser.evaluate("window.innerHeight").as_u64().unwrap() as u32;
    let (x, y) = (width / 2, height_of_page.min(height) / 2);
    mean(
        (y - 2..=y + 2)
            .flat_map(|y| (x - 2..=x + 2).map(move |x| (y * width + x) as usize))
            .map(|i| &rgb[3 * i..3 * i + 3]),
    )
}

fn mean<'a>(pixels: impl Iterator<Item = &'a [u8]>) -> [f64; 3] {
    let (mut sum, mut count) = ([0.0; 3], 0.0);
    for pixel in pixels {
        (0..3).for_each(|c| sum[c] += f64::from(pixel[c]));
        count += 1.0;
    }
    sum.map(|s| s / count)
}

fn shows_the_slide_at_full_resolution(slide: &Slide, name: &str, root: &std::path::Path, at: (u32, u32)) {
    let server = Server::start(root, &[]);
    let browser = Browser::open(900, 650);
    browser.go(&format!("http://localhost:{}/viewer/{name}", server.port));
    browser.wait_until(SETTLED);
    let coarsest = slide.levels().len() as u64 - 1;
    let (levels, all_came) = requested(&browser);
    assert!(all_came, "every tile arrives");
    assert!(levels.last().unwrap() < &coarsest, "the overview needs no full resolution: {levels:?}");

    // One slide pixel per screen pixel, a known pixel in the middle.
    browser.evaluate(&format!(
        "(() => {{ const v = viewer.viewport, p = v.imageToViewportCoordinates({} + 0.5, {} + 0.5); \
         window.framesToCome = 2; viewer.addHandler('update-viewport', () => window.framesToCome--); \
         v.zoomTo(v.imageToViewportZoom(1), null, true); v.panTo(p, true); return true; }})()",
        at.0, at.1
    ));
    browser.wait_until(SETTLED);
    let (levels, all_came) = requested(&browser);
    assert!(all_came, "every tile arrives");
    assert_eq!(levels.last(), Some(&coarsest), "zooming in asks for full resolution");
    let shown = centre_of_screen(&browser);
    let rect = Rect { x: at.0 - 3, y: at.1 - 3, width: 7, height: 7 };
    let pixels = slide.read_region(0, rect).unwrap();
    let expected =
        mean((1..6).flat_map(|y| (1..6).map(move |x| (x, y))).map(|(x, y)| &pixels.row(y)[3 * x..3 * x + 3]));
    for c in 0..3 {
        assert!(
            (shown[c] - expected[c]).abs() < 6.0,
            "the middle of the screen: {shown:?}, the slide: {expected:?}"
        );
    }
    assert_eq!(
        browser.evaluate("document.getElementById('notice').hidden"),
        Value::Bool(true),
        "no complaint"
    );
}

#[test]
fn a_synthetic_slide_is_shown_pixel_by_pixel() {
    let folder = folder();
    let path = folder.path().join("case 1.mtm");
    succeed(["ingest", "synthetic:5000x4000", "-o", path.to_str().unwrap()]);
    shows_the_slide_at_full_resolution(&Slide::open(&path).unwrap(), "case%201", folder.path(), (2500, 2040));
}

#[test]
fn a_real_deep_zoom_slide_with_overlap_is_shown_pixel_by_pixel() {
    let Some(source) = shared_data("slide/melanosiscoli_HE_20x/HE.dzi") else { return };
    let folder = folder();
    let path = folder.path().join("HE.mtm");
    succeed(["ingest", source.to_str().unwrap(), "-o", path.to_str().unwrap()]);
    shows_the_slide_at_full_resolution(&Slide::open(&path).unwrap(), "HE", folder.path(), (7112, 5588));
}

#[test]
fn scale_bar_magnification_and_keys_follow_the_zoom() {
    let folder = folder();
    let path = folder.path().join("a.mtm");
    succeed(["ingest", "synthetic:6000x5000", "-o", path.to_str().unwrap()]);
    let server = Server::start(folder.path(), &[]);
    let browser = Browser::open(900, 650);
    browser.go(&format!("http://localhost:{}/viewer/a", server.port));
    browser.wait_until(SETTLED);
    let text = |id: &str| {
        browser.evaluate(&format!("document.getElementById('{id}').textContent")).as_str().unwrap().to_owned()
    };
    let bar = text("scale-text");
    assert!(bar.contains("µm") || bar.contains("μm") || bar.contains("mm"), "{bar}");
    // Key 6 is 40x, which is native for this slide: a screen pixel is a slide pixel, 0.25 um.
    browser.press("6");
    browser.wait_until(
        "Math.abs(viewer.viewport.viewportToImageZoom(viewer.viewport.getZoom(true)) - 1) < 0.001",
    );
    browser.wait_until(SETTLED);
    assert!(text("magnification").contains("40"), "{}", text("magnification"));
    let micrometres: f64 = text("scale-text").split_whitespace().next().unwrap().parse().unwrap();
    let pixels = browser.evaluate("document.getElementById('scale-bar').getBoundingClientRect().width");
    assert!(
        (pixels.as_f64().unwrap() * 0.25 - micrometres).abs() < 0.01 * micrometres,
        "{pixels} px for {micrometres} um"
    );
    browser.press("0");
    browser.wait_until("Math.abs(viewer.viewport.getZoom(true) / viewer.viewport.getHomeZoom() - 1) < 0.001");
}

#[test]
fn the_gallery_lists_the_slides() {
    let folder = folder();
    for name in ["a", "b"] {
        succeed([
            "ingest",
            "synthetic:300x200",
            "-o",
            folder.path().join(format!("{name}.mtm")).to_str().unwrap(),
        ]);
    }
    let server = Server::start(folder.path(), &[]);
    let browser = Browser::open(1000, 700);
    browser.go(&format!("http://localhost:{}/", server.port));
    browser.wait_until("document.querySelectorAll('a[href*=\"/viewer/\"]').length === 2");
}
