//! The viewer page in a real browser: it loads, zooms, asks for the right level, and shows the slide's pixels.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;
#[path = "support/webdriver.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
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

/// The colour of the slide's pane, over 5 x 5 px around a place that lies so far from its middle.
fn colour_at(browser: &Browser, right: i64, down: i64) -> [f64; 3] {
    let (width, height, rgb) = browser.screenshot();
    let middle = browser.evaluate(
        "(() => { const box = document.querySelector('.pane').getBoundingClientRect(); \
         return [box.left + box.width / 2, box.top + box.height / 2]; })()",
    );
    let place = |axis: usize, offset: i64| middle[axis].as_f64().unwrap() as i64 + offset;
    let (x, y) = (place(0, right) as u32, place(1, down) as u32);
    assert!(x + 2 < width && y + 2 < height);
    mean(
        (y - 2..=y + 2)
            .flat_map(|y| (x - 2..=x + 2).map(move |x| (y * width + x) as usize))
            .map(|i| &rgb[3 * i..3 * i + 3]),
    )
}

/// The slide's colour over 5 x 5 px of level 0.
fn colour_of(slide: &Slide, x: u32, y: u32) -> [f64; 3] {
    let pixels = slide.read_region(0, Rect { x: x - 3, y: y - 3, width: 7, height: 7 }).unwrap();
    mean((1..6).flat_map(|y| (1..6).map(move |x| (x, y))).map(|(x, y)| &pixels.row(y)[3 * x..3 * x + 3]))
}

fn assert_like(shown: [f64; 3], expected: [f64; 3], what: &str) {
    let like = (0..3).all(|c| (shown[c] - expected[c]).abs() < 6.0);
    assert!(like, "{what}: the screen has {shown:?}, the slide {expected:?}");
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
    assert_like(colour_at(&browser, 0, 0), colour_of(slide, at.0, at.1), "the middle of the pane");
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

/// When each tile was asked for, as [address, whether that was before the viewer's own script began].
const ASKED: &str = "performance.getEntriesByType('resource').filter(e => /_files/.test(e.name))\
    .map(e => [e.name, e.startTime < performance.getEntriesByName('begun')[0].startTime])";

#[test]
fn the_first_views_tiles_are_asked_for_before_the_viewer_is_there_and_no_others() {
    let folder = folder();
    let path = folder.path().join("a.mtm");
    succeed(["ingest", "synthetic:5000x4000", "-o", path.to_str().unwrap()]);
    let server = Server::start(folder.path(), &[]);
    for view in ["", "#at=2500,2000&zoom=0.5", "#at=1000,700&zoom=0.3", "#at=2500,2000&zoom=1&flip=1"] {
        let browser = Browser::open(1200, 800);
        browser.go(&format!("http://localhost:{}/viewer/a{view}", server.port));
        browser.wait_until(SETTLED);
        let asked = browser.evaluate(ASKED);
        let asked = asked.as_array().unwrap();
        assert!(asked.len() >= 10, "{view}: {asked:?}");
        // What is not asked for early is a guess gone wrong.
        let late: Vec<_> = asked.iter().filter(|tile| tile[1] == false).collect();
        assert!(late.is_empty(), "{view}: {late:?}");
        let names: std::collections::HashSet<_> =
            asked.iter().map(|tile| tile[0].as_str().unwrap()).collect();
        assert_eq!(names.len(), asked.len(), "{view}: no tile twice: {asked:?}");
    }
}

/// Where the slide is drawn, as PNG in base64.
const CANVAS: &str = "window.viewer.drawer.canvas.toDataURL('image/png').split(',')[1]";

#[test]
fn at_native_magnification_every_pixel_is_the_slides_and_no_seam_shows_at_any_other() {
    let folder = folder();
    let path = folder.path().join("a.mtm");
    succeed(["ingest", "synthetic:3000x2500", "-o", path.to_str().unwrap()]);
    let slide = Slide::open(&path).unwrap();
    assert_eq!(slide.levels()[0].overlap, 0, "overlapping tiles hide what this test looks for");
    let server = Server::start(folder.path(), &[]);
    // Windows of even and of odd width: in those the view's point lies between two pixels.
    for (width, height) in [(900, 650), (901, 651)] {
        let browser = Browser::open(width, height);
        let show = |view: &str| {
            browser.go("about:blank");
            browser.go(&format!("http://localhost:{}/viewer/a#{view}", server.port));
            browser.wait_until(SETTLED);
        };
        show("at=1500,1250&zoom=1");
        let (width, height, rgb) = webdriver::pixels(browser.evaluate(CANVAS).as_str().unwrap());
        assert!(width > 800 && height > 300);
        let place = Rect { x: 1500 - width / 2, y: 1250 - height / 2, width, height };
        // Half pixels go up or down: one of four places.
        let off = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(left, up)| {
            let place = Rect { x: place.x - left, y: place.y - up, ..place };
            let expected = slide.read_region(0, place).unwrap();
            let rows = (0..height).flat_map(|y| expected.row(y).iter().copied());
            rows.zip(&rgb).map(|(expected, shown)| expected.abs_diff(*shown)).max().unwrap()
        });
        // Decoders of JPEG may round differently.
        assert!(off.iter().any(|&most| most <= 2), "samples differ by {off:?} at {width} x {height}");
        for view in [
            "zoom=0.37",
            "zoom=1.7",
            "zoom=0.83&rotation=33",
            "zoom=1&rotation=90",
            "zoom=1&rotation=180&flip=1",
        ] {
            show(&format!("at=1500,1250&{view}"));
            let seen_through = "(() => { const c = viewer.drawer.canvas; \
                const p = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; \
                return p.filter((value, index) => index % 4 === 3 && value < 255).length; })()";
            assert_eq!(browser.evaluate(seen_through), 0, "{view}");
        }
    }
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
    assert_eq!(
        browser.evaluate("document.getElementById('digital').hidden"),
        Value::Bool(true),
        "40x is the slide's own"
    );
    browser.press("+");
    browser.wait_until("!document.getElementById('digital').hidden");
    browser.press("0");
    browser.wait_until("Math.abs(viewer.viewport.getZoom(true) / viewer.viewport.getHomeZoom() - 1) < 0.001");
}

#[test]
fn turned_and_flipped_the_pixels_are_where_they_should_be() {
    let folder = folder();
    let path = folder.path().join("a.mtm");
    succeed(["ingest", "synthetic:3000x2500", "-o", path.to_str().unwrap()]);
    let slide = Slide::open(&path).unwrap();
    let server = Server::start(folder.path(), &[]);
    let browser = Browser::open(900, 650);
    // Places to the right of the middle and below it, in pixels of the slide.
    let (x, y, right, down) = (1500, 1240, 120, 70);
    let expected = colour_of(&slide, x + right, y + down);
    let (right, down) = (i64::from(right), i64::from(down));
    // The address holds all of it; a turn comes before the flip.
    for (rotation, flip, shown_right, shown_down) in [
        (0, 0, right, down),
        (90, 0, -down, right),
        (180, 0, -right, -down),
        (0, 1, -right, down),
        (90, 1, down, right),
    ] {
        browser.go("about:blank");
        browser.go(&format!(
            "http://localhost:{}/viewer/a#at={}.5,{}.5&zoom=1&rotation={rotation}&flip={flip}",
            server.port, x, y
        ));
        browser.wait_until(SETTLED);
        let what = format!("turned by {rotation}, flip {flip}");
        assert_like(colour_at(&browser, shown_right, shown_down), expected, &what);
    }
}

#[test]
fn an_address_holds_the_view() {
    let folder = folder();
    succeed(["ingest", "synthetic:6000x5000", "-o", folder.path().join("a.mtm").to_str().unwrap()]);
    let server = Server::start(folder.path(), &[]);
    let browser = Browser::open(900, 650);
    browser.go(&format!("http://localhost:{}/viewer/a", server.port));
    browser.wait_until(SETTLED);
    for key in ["4", "r", "x"] {
        browser.press(key);
        browser.wait_until(SETTLED);
    }
    browser.drag((400.0, 400.0), (-130.0, 60.0));
    browser.wait_until(SETTLED);
    browser.wait_until("location.hash.includes('rotation=90&flip=1')");
    // The address is written a moment after the view has come to rest.
    std::thread::sleep(std::time::Duration::from_millis(600));
    let address = browser.evaluate("location.href").as_str().unwrap().to_owned();
    let view = "(() => { const v = viewer.viewport, c = v.getCenter(); return [c.x, c.y, v.getZoom(), v.getRotation(), v.getFlip()]; })()";
    let before = browser.evaluate(view);
    browser.go("about:blank");
    browser.go(&address);
    browser.wait_until(SETTLED);
    let after = browser.evaluate(view);
    for index in 0..3 {
        let (before, after) = (before[index].as_f64().unwrap(), after[index].as_f64().unwrap());
        assert!((before / after - 1.0).abs() < 1e-3, "{index}: {before} became {after}");
    }
    assert_eq!((&before[3], &before[4]), (&after[3], &after[4]));
    assert_eq!((after[3].as_f64(), &after[4]), (Some(90.0), &Value::Bool(true)));
    assert_eq!(
        browser.evaluate("document.title"),
        "Microtome",
        "no name in the title unless the server allows it"
    );
    let elsewhere = "performance.getEntriesByType('resource').filter(e => new URL(e.name).origin !== location.origin).length";
    assert_eq!(browser.evaluate(elsewhere), 0, "nothing is asked of other servers");
}

#[test]
fn fingers_zoom() {
    let folder = folder();
    succeed(["ingest", "synthetic:6000x5000", "-o", folder.path().join("a.mtm").to_str().unwrap()]);
    let server = Server::start(folder.path(), &[]);
    let browser = Browser::open(900, 650);
    browser.go(&format!("http://localhost:{}/viewer/a#at=3000,2500&zoom=0.2", server.port));
    browser.wait_until(SETTLED);
    let zoom = || browser.evaluate("viewer.viewport.getZoom()").as_f64().unwrap();
    let before = zoom();
    browser.pinch((450.0, 350.0), 60.0, 60.0);
    browser.wait_until(SETTLED);
    let factor = zoom() / before;
    assert!((1.7..2.3).contains(&factor), "twice as far apart: {factor}");
}

#[test]
fn a_slide_of_a_few_pixels_is_not_blown_up() {
    let folder = folder();
    succeed(["ingest", "synthetic:16x16", "-o", folder.path().join("a.mtm").to_str().unwrap()]);
    let server = Server::start(folder.path(), &[]);
    let browser = Browser::open(900, 650);
    browser.go(&format!("http://localhost:{}/viewer/a", server.port));
    browser.wait_until(SETTLED);
    let zoom = "viewer.viewport.viewportToImageZoom(viewer.viewport.getZoom())";
    assert_eq!(browser.evaluate(&format!("Math.round({zoom} * 1000)")), 4000);
    browser.press("0");
    browser.wait_until(SETTLED);
    assert_eq!(browser.evaluate(&format!("Math.round({zoom} * 1000)")), 4000);
}

#[test]
fn arrows_pan_as_the_screen_has_it_wherever_the_focus_is() {
    let folder = folder();
    succeed(["ingest", "synthetic:6000x5000", "-o", folder.path().join("a.mtm").to_str().unwrap()]);
    let server = Server::start(folder.path(), &[]);
    let browser = Browser::open(900, 650);
    for (view, right, down) in [
        ("rotation=0", 40.0, 0.0),
        ("rotation=90", 0.0, -40.0),
        ("rotation=0&flip=1", -40.0, 0.0),
        ("rotation=90&flip=1", 0.0, 40.0),
    ] {
        for focus in [
            "viewer.canvas.focus()",
            "document.querySelector('[data-action=in]').focus()",
            "document.activeElement.blur()",
        ] {
            browser.go("about:blank");
            browser.go(&format!("http://localhost:{}/viewer/a#at=3000,2500&zoom=1&{view}", server.port));
            browser.wait_until(SETTLED);
            browser.run(focus);
            browser.press("\u{E014}");
            browser.wait_until("!window.viewer.isAnimating()");
            let at = browser.evaluate("(() => { const c = viewer.viewport.getCenter(); return [c.x * 6000 - 3000, c.y * 6000 - 2500]; })()");
            let off = [at[0].as_f64().unwrap() - right, at[1].as_f64().unwrap() - down];
            assert!(off.iter().all(|off| off.abs() < 0.5), "{view}, {focus}: {at}");
        }
    }
}
