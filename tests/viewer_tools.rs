//! The viewer's tools in a real browser: measuring, comparing, annotations, pictures; and whether everybody can use them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;
#[path = "support/webdriver.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod webdriver;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Server, folder, skipped, succeed};
use webdriver::Browser;

/// All panes have all tiles, and nothing moves any more.
const SETTLED: &str = "document.body.dataset.ready === 'true' && !window.viewer.isAnimating() \
    && window.viewer.world.getItemCount() > 0 && document.getElementById('loading').hidden \
    && window.viewer.world.getItemAt(0).getFullyLoaded()";

/// No pane turns any more.
const AT_REST: &str = "[...document.querySelectorAll('.pane')].every(element => { \
    const v = OpenSeadragon.getViewer(element).viewport; return v.getRotation(true) === v.getRotation(); })";

/// OpenSeadragon knows how large the panes have become.
const SIZED: &str = "[...document.querySelectorAll('.pane')].every(element => \
    OpenSeadragon.getViewer(element).viewport?.getContainerSize().x === element.clientWidth)";

/// Makes the slide `name` in a folder.
fn slide(folder: &Path, name: &str, source: &str, more: &[&str]) -> String {
    let path = folder.join(format!("{name}.mtm")).to_str().unwrap().to_owned();
    succeed([&["ingest", source, "-o", &path], more].concat());
    path
}

fn open(folder: &Path, flags: &[&str], page: &str) -> (Server, Browser) {
    let server = Server::start(folder, flags);
    let browser = Browser::open(1200, 800);
    browser.go(&format!("http://localhost:{}{page}", server.port));
    browser.wait_until(SETTLED);
    (server, browser)
}

/// Middle of a pane in the window.
fn middle(browser: &Browser, pane: usize) -> (f64, f64) {
    let middle = browser.evaluate(&format!(
        "(() => {{ const box = document.querySelectorAll('.pane')[{pane}].getBoundingClientRect(); \
         return [box.left + box.width / 2, box.top + box.height / 2]; }})()"
    ));
    (middle[0].as_f64().unwrap(), middle[1].as_f64().unwrap())
}

/// What the measurements say, one after the other.
fn measured(browser: &Browser) -> Vec<String> {
    let rows =
        browser.evaluate("[...document.querySelectorAll('#measurements span')].map(row => row.textContent)");
    rows.as_array().unwrap().iter().map(|row| row.as_str().unwrap().to_owned()).collect()
}

/// The first number after the colon.
fn figure(text: &str) -> f64 {
    let figure = text.split_once(": ").unwrap().1.split_whitespace().next().unwrap();
    figure.parse().unwrap()
}

fn assert_within_a_hundredth(figure: f64, expected: f64, what: &str) {
    assert!((figure / expected - 1.0).abs() < 0.01, "{what}: {figure} instead of {expected}");
}

#[test]
fn lengths_and_areas_are_right_at_any_zoom_turn_and_flip() {
    let folder = folder();
    slide(folder.path(), "a", "synthetic:6000x5000", &[]);
    let (_server, browser) = open(folder.path(), &[], "/viewer/a#at=3000,2500&zoom=1");
    // 0.25 um a pixel: 400 px on the screen are so many micrometres.
    for (address, micrometres) in [
        ("#at=3000,2500&zoom=1", 100.0),
        ("#at=2000,1500&zoom=0.5&rotation=33", 200.0),
        ("#at=2000,1500&zoom=0.25&rotation=290&flip=1", 400.0),
    ] {
        browser.run(&format!("location.hash = '{address}'"));
        std::thread::sleep(Duration::from_millis(200));
        browser.wait_until(SETTLED);
        let (x, y) = middle(&browser, 0);
        browser.press("m");
        browser.click(x - 200.0, y - 50.0);
        browser.click(x + 200.0, y - 50.0);
        browser.press("m");
        browser.press("p");
        for (right, down) in [(-100.0, -100.0), (100.0, -100.0), (100.0, 0.0), (-100.0, 0.0)] {
            browser.click(x + right, y + down);
        }
        browser.press("\u{E007}");
        let rows = measured(&browser);
        assert_eq!(rows.len(), 2, "{rows:?}");
        assert_within_a_hundredth(figure(&rows[0]), micrometres, &format!("{address}, {}", rows[0]));
        let side = micrometres / 4.0;
        assert_within_a_hundredth(figure(&rows[1]), 2.0 * side * side, &format!("{address}, {}", rows[1]));
        browser.run("document.getElementById('measure-clear').click()");
        browser.press("p");
    }
}

#[test]
fn the_circle_has_a_square_millimetre_and_fingers_and_keys_set_points() {
    let folder = folder();
    slide(folder.path(), "a", "synthetic:6000x5000", &[]);
    let (_server, browser) = open(folder.path(), &[], "/viewer/a#at=3000,2500&zoom=0.1");
    let (x, y) = middle(&browser, 0);
    browser.press("c");
    browser.tap(x, y);
    assert_eq!(measured(&browser), ["circle 1: 1 mm²"]);
    browser.press("c");
    // 564.19 um of radius at 0.25 um a pixel and a tenth of full size.
    let drawn = |radius: f64, angle: f64| {
        let (right, down) = (radius * angle.cos(), radius * angle.sin());
        let alpha = browser.evaluate(&format!(
            "document.querySelector('.pane .above').getContext('2d').getImageData(\
             document.querySelector('.pane').clientWidth / 2 + {right}, \
             document.querySelector('.pane').clientHeight / 2 + {down}, 1, 1).data[3]"
        ));
        alpha.as_u64().unwrap() > 0
    };
    for angle in [0.0_f64, 1.0, 2.5, 4.0] {
        assert!(drawn(225.7, angle), "on the circle at {angle}");
        assert!(!drawn(220.0, angle) && !drawn(231.0, angle), "beside it at {angle}");
    }
    browser.press("m");
    browser.press(" ");
    browser.tap(x + 100.0, y);
    let rows = measured(&browser);
    assert_within_a_hundredth(figure(&rows[1]), 250.0, &rows[1]);
    browser.press("\u{E017}");
    assert_eq!(measured(&browser).len(), 1, "Delete removes the last");
}

#[test]
fn compared_slides_move_together_until_they_are_let_go() {
    let folder = folder();
    slide(folder.path(), "a", "synthetic:4000x3000", &[]);
    slide(folder.path(), "b", "synthetic:4000x3000,seed=2", &[]);
    slide(folder.path(), "c", "synthetic:2000x3000,seed=3", &[]);
    let (server, browser) = open(folder.path(), &[], "/viewer/a#at=2000,1500&zoom=0.3");
    browser.press("k");
    let offer = |name: &str| {
        format!(
            "[...document.querySelectorAll('#compare-offers button')].find(row => row.textContent === '{name}')"
        )
    };
    browser.wait_until(&format!("!!{}", offer("b")));
    browser.run(&format!("{}.click()", offer("b")));
    let panes = "document.querySelectorAll('.pane').length";
    browser.wait_until(&format!("{panes} === 2"));
    browser.wait_until(SETTLED);
    browser.press("k");
    let views = || {
        let views = browser.evaluate(
            "[...document.querySelectorAll('.pane')].map(element => { \
             const v = OpenSeadragon.getViewer(element).viewport, c = v.getCenter(); \
             return [c.x, c.y, v.getZoom(), v.getRotation()]; })",
        );
        views
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect())
            .collect::<Vec<Vec<f64>>>()
    };
    let alike = |views: &[Vec<f64>]| {
        views[0].iter().zip(&views[1]).all(|(a, b)| (a - b).abs() < 1e-3 * a.abs().max(1e-3))
    };
    let before = views();
    assert!(alike(&before), "{before:?}");
    // Whichever is moved, the other follows.
    for pane in [0, 1] {
        let was = views();
        browser.drag(middle(&browser, pane), (-90.0, 40.0));
        browser.press("r");
        browser.wait_until(SETTLED);
        browser.wait_until(AT_REST);
        let now = views();
        assert!(alike(&now), "pane {pane}: {now:?}");
        assert!((was[0][0] - now[0][0]).abs() > 0.01, "it has moved");
    }
    // Let go, they do not; linked again, they keep what is between them.
    browser.press("l");
    browser.drag(middle(&browser, 0), (100.0, 0.0));
    browser.wait_until(SETTLED);
    let apart = views();
    assert!(!alike(&apart), "{apart:?}");
    browser.press("l");
    browser.drag(middle(&browser, 1), (0.0, 80.0));
    browser.wait_until(SETTLED);
    let after = views();
    for axis in [0, 1] {
        let (was, now) = (apart[0][axis] - apart[1][axis], after[0][axis] - after[1][axis]);
        assert!((was - now).abs() < 1e-3, "the offset stays: {was}, {now}");
    }
    // So does whoever opens the address.
    browser.wait_until("location.hash.includes('beside=')");
    std::thread::sleep(Duration::from_millis(600));
    let address = browser.evaluate("location.href").as_str().unwrap().to_owned();
    browser.go("about:blank");
    browser.go(&address);
    browser.wait_until(&format!("{panes} === 2"));
    browser.wait_until(SIZED);
    browser.wait_until(SETTLED);
    for (was, now) in after.iter().flatten().zip(views().iter().flatten()) {
        assert!((was - now).abs() < 1e-3 * was.abs().max(1e-1), "{after:?} became {:?}", views());
    }
    // A slide that comes takes nothing from those that are there.
    browser.press("k");
    browser.wait_until(&format!("!!{}", offer("c")));
    browser.run(&format!("{}.click()", offer("c")));
    browser.wait_until(&format!("{panes} === 3"));
    browser.wait_until(SIZED);
    browser.wait_until(SETTLED);
    let three = views();
    for axis in [0, 1] {
        let (was, now) = (after[0][axis] - after[1][axis], three[0][axis] - three[1][axis]);
        assert!((was - now).abs() < 1e-3, "the offset stays: {was}, {now}");
    }
    // An address opens up to four.
    browser.go("about:blank");
    browser.go(&format!(
        "http://localhost:{}/viewer/a#at=2000,1500&zoom=0.3&compare=b&compare=c&compare=b",
        server.port
    ));
    browser.wait_until(&format!("{panes} === 4"));
    browser.wait_until(SETTLED);
    browser.screenshot();
    assert_eq!(browser.evaluate("document.getElementById('notice').hidden"), Value::Bool(true));
}

#[test]
fn what_is_no_measurement_is_not_taken_for_one() {
    let folder = folder();
    slide(folder.path(), "a", "synthetic:6000x5000", &[]);
    let (_server, browser) = open(folder.path(), &[], "/viewer/a#at=3000,2500&zoom=1");
    let (x, y) = middle(&browser, 0);
    browser.press("p");
    for (right, down) in [(-100.0, -100.0), (100.0, 100.0), (100.0, -100.0), (-100.0, 100.0)] {
        browser.click(x + right, y + down);
    }
    browser.press("\u{E007}");
    let rows = measured(&browser);
    assert!(rows[0].starts_with("area 1: no area, the outline crosses itself"), "{rows:?}");
    browser.press("m");
    for right in [-150.0, -150.0] {
        browser.click(x + right, y);
    }
    assert_eq!(measured(&browser).len(), 1, "a ruler has two ends");
    browser.click(x + 150.0, y);
    assert_within_a_hundredth(figure(&measured(&browser)[1]), 75.0, "the ruler");
}

/// The largest sample of the first pane's whole picture.
fn brightest(browser: &Browser) -> u64 {
    let brightest = browser.evaluate(
        "(() => { const c = viewer.drawer.canvas; const p = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; \
         let most = 0; for (let i = 0; i < p.length; i += 4) most = Math.max(most, p[i], p[i + 1], p[i + 2]); return most; })()",
    );
    brightest.as_u64().unwrap()
}

#[test]
fn the_difference_is_black_where_slides_are_the_same_and_nowhere_else() {
    let folder = folder();
    let sources = folder.path().join("sources");
    std::fs::create_dir(&sources).unwrap();
    let slides = folder.path().join("slides");
    std::fs::create_dir(&slides).unwrap();
    let path = slide(&slides, "a", "synthetic:3000x2500", &[]);
    slide(&slides, "same", "synthetic:3000x2500", &[]);
    slide(&slides, "coarse", "synthetic:3000x2500", &["--quality", "40"]);
    let other = slide(&slides, "b", "synthetic:3000x2500,seed=2", &[]);
    succeed(["export", &path, "-o", sources.join("a.dzi").to_str().unwrap()]);
    succeed(["export", &path, "-o", sources.join("b.dzi").to_str().unwrap()]);
    assert_ne!(std::fs::read(&path).unwrap(), std::fs::read(&other).unwrap());
    let flags = ["--source-root", sources.to_str().unwrap()];
    let server = Server::start(&slides, &flags);
    let browser = Browser::open(1200, 800);
    for (page, compared, differs) in
        [("a", "same", false), ("a", "coarse", true), ("a", "source:a", false), ("b", "source:b", true)]
    {
        for view in [
            "", // the whole slide
            "at=1500,1250&zoom=1&",
            "at=1500,1250&zoom=0.3&rotation=20&flip=1&",
            "at=100.3,1250&zoom=1.7&",
            "at=1500,1250&zoom=0.17&rotation=90&",
        ] {
            browser.go("about:blank");
            let address = format!("/viewer/{page}#{view}compare={compared}&difference=16");
            browser.go(&format!("http://localhost:{}{address}", server.port));
            browser.wait_until("document.getElementById('stage').dataset.difference === 'true'");
            browser.wait_until(
                "viewer.world.getItemCount() === 2 && viewer.world.getItemAt(1).getFullyLoaded()",
            );
            browser.wait_until(SETTLED);
            // One frame, to draw what came last.
            browser.resolved("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))");
            assert_eq!(brightest(&browser) > 0, differs, "{address}");
            assert_eq!(
                browser.evaluate("document.querySelector('.caption').checkVisibility()"),
                Value::Bool(true)
            );
        }
    }
    // Where there is no difference to show, the page says so.
    slide(&slides, "small", "synthetic:1000x800", &[]);
    let asked = format!("http://localhost:{}/viewer/a#compare=", server.port);
    browser.go("about:blank");
    browser.go(&format!("{asked}small&difference=16"));
    browser.wait_until("document.getElementById('notice').textContent.includes('same size')");
    assert_eq!(browser.evaluate("document.getElementById('notice').hidden"), Value::Bool(false));
    browser.go("about:blank");
    browser.go(&format!("{asked}same&difference=16"));
    browser.wait_until("document.getElementById('stage').dataset.difference === 'true'");
    browser.wait_until(SETTLED);
    // Amplified on the screen, not on the canvas.
    browser.press("k");
    let filter = "getComputedStyle(viewer.drawer.canvas).filter";
    assert!(browser.evaluate(filter).as_str().unwrap().contains("tone"));
    assert_eq!(browser.evaluate("document.getElementById('compare-factor').textContent"), "16 times");
}

#[test]
fn annotations_lie_on_the_slide_and_go_on_and_off() {
    let folder = folder();
    slide(folder.path(), "a", "synthetic:4000x3000", &[]);
    let square = json!([[[1900, 1400], [2100, 1400], [2100, 1600], [1900, 1600], [1900, 1400]]]);
    let features = json!({"type": "FeatureCollection", "features": [
        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": square},
         "properties": {"objectType": "annotation", "classification": {"name": "Tumor", "color": [0, 0, 255]}}},
    ]});
    let file = folder.path().join("a.geojson");
    std::fs::write(&file, features.to_string()).unwrap();
    let (_server, browser) = open(folder.path(), &[], "/viewer/a#at=2000,1500&zoom=1&rotation=90");
    browser.press("o");
    browser.upload("overlay-file", &file);
    browser.wait_until("!document.getElementById('overlay-loaded').hidden");
    assert_eq!(browser.evaluate("document.querySelector('#overlay-classes li').textContent"), "Tumor (1)");
    // The square's edges are 100 px from the middle on all sides.
    let drawn = |right: i32, down: i32| {
        browser.evaluate(&format!(
            "[...document.querySelector('.pane .above').getContext('2d').getImageData(\
             document.querySelector('.pane').clientWidth / 2 + {right}, \
             document.querySelector('.pane').clientHeight / 2 + {down}, 1, 1).data]"
        ))
    };
    for (right, down) in [(100, 0), (-101, 20), (30, 100), (0, -101)] {
        let pixel = drawn(right, down);
        assert!(pixel[2].as_u64() > Some(200) && pixel[0].as_u64() < Some(60), "{right}, {down}: {pixel}");
    }
    assert_eq!(drawn(0, 0)[3], 0);
    browser.press("o");
    assert_eq!(drawn(100, 0)[3], 0, "off");
    browser.press("o");
    assert_ne!(drawn(100, 0)[3], 0, "on again");
    let error = || {
        browser.evaluate("document.getElementById('overlay-error').textContent").as_str().unwrap().to_owned()
    };
    std::fs::write(&file, "{").unwrap();
    browser.upload("overlay-file", &file);
    browser.wait_until("!document.getElementById('overlay-error').hidden");
    assert!(error().contains("not JSON"), "{}", error());
    let ask = |address: &str| {
        let field = "document.getElementById('overlay-address')";
        browser.run(&format!("{field}.value = '{address}'; {field}.form.requestSubmit()"));
    };
    ask("/nothing.geojson");
    browser.wait_until("document.getElementById('overlay-error').textContent.includes('status 404')");
    ask("https://example.org/a.geojson");
    browser.wait_until("document.getElementById('overlay-error').textContent.includes('another server')");
    // This server has no GeoJSON, but documents that a page can be asked to take for it.
    ask("/slides/a");
    browser.wait_until("document.getElementById('overlay-error').textContent.includes('are not known')");
    browser.run("location.hash = '#overlay=https://example.org/b.geojson'");
    browser.wait_until("document.getElementById('overlay-error').textContent.includes('b.geojson')");
}

#[test]
fn a_picture_of_the_view_is_saved() {
    let folder = folder();
    slide(folder.path(), "patient 7", "synthetic:4000x3000", &[]);
    let (_server, browser) = open(folder.path(), &[], "/viewer/patient%207#at=2000,1500&zoom=1");
    browser.press("q");
    let begin = Instant::now();
    let (file, picture) = loop {
        let mut names = support::names(browser.downloads()).into_iter();
        if let Some(name) = names.find(|name| name.ends_with(".png")) {
            // The browser takes the name with an empty file, before it moves what it has written there.
            let file = browser.downloads().join(name);
            let picture = std::fs::read(&file).unwrap();
            if picture.ends_with(b"IEND\xAE\x42\x60\x82") {
                break (file, picture);
            }
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "no picture came");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(!file.to_str().unwrap().contains("patient"), "{}: no names go with it", file.display());
    let mut reader = png::Decoder::new(std::io::Cursor::new(picture)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    let size = browser.evaluate(
        "[document.querySelector('#stage').clientWidth, document.querySelector('#stage').clientHeight]",
    );
    assert_eq!(size, json!([info.width, info.height]));
    // The bar in the lower left corner: 4 px high, white, 100 um of 0.25 um pixels at full size are at most 160 px.
    let row = (info.height - 24) as usize;
    let samples = info.color_type.samples();
    let line = &pixels[row * info.width as usize * samples..][..200 * samples];
    let white = line.chunks(samples).filter(|pixel| pixel[..3] == [255; 3]).count();
    assert_eq!(white, 80, "20 um");
}

#[test]
fn everybody_can_use_the_pages() {
    let axe = Path::new(env!("CARGO_MANIFEST_DIR")).join("viewer/node_modules/axe-core/axe.min.js");
    let Ok(axe) = std::fs::read_to_string(&axe) else {
        return skipped("axe-core is not there (npm ci in viewer/)");
    };
    let folder = folder();
    slide(folder.path(), "a", "synthetic:1000x800", &[]);
    let (server, browser) = open(folder.path(), &[], "/viewer/a");
    let check = |what: &str| {
        browser.run(&axe);
        let found = browser.resolved(
            "axe.run().then(r => r.violations.filter(v => ['serious', 'critical'].includes(v.impact))\
             .map(v => [v.id, v.help, v.nodes.map(n => n.html)]))",
        );
        assert_eq!(found, json!([]), "{what}");
    };
    check("the viewer");
    for panel in ["adjust", "measure", "compare", "overlay", "info"] {
        browser.run(&format!("document.querySelector('button[data-panel={panel}]').click()"));
        check(panel);
    }
    browser.press("\u{E00C}");
    browser.press("?");
    check("help");
    browser.go(&format!("http://localhost:{}/", server.port));
    browser.wait_until("document.querySelectorAll('#slides a').length === 1");
    check("the gallery");
}
