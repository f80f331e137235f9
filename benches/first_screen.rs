//! How long the viewer takes, from the click on an address to the first full screen painted: server and browser new each
//! time, 1920 x 1080 px, the colon slide where it is (`MICROTOME_TEST_DATA`), else a synthetic one.
//!
//! `cargo bench --bench first_screen`; needs chromium and chromedriver (`scripts/setup.sh test`).

#![allow(clippy::print_stdout, reason = "the figure is what it is for")]

#[path = "../tests/support/mod.rs"]
mod support;
#[allow(dead_code, reason = "each program uses its own part")]
#[path = "../tests/support/webdriver.rs"]
mod webdriver;

use support::{Server, contain, folder, path, shared_data};
use webdriver::Browser;

fn main() {
    // `cargo test --benches` looks whether it runs; a browser for that is too much.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let folder = folder();
    match shared_data("slide/melanosiscoli_HE_20x/HE.dzi") {
        Some(source) => contain(folder.path(), "a.mtm", path(&source)),
        None => contain(folder.path(), "a.mtm", "synthetic:14173x11212"),
    };
    for place in ["", "#at=7112,5588&zoom=0.5"] {
        let mut milliseconds: Vec<f64> = (0..7).map(|_| first_screen(folder.path(), place)).collect();
        milliseconds.sort_by(f64::total_cmp);
        println!("first full screen, {place:?}: median {:.0} ms of {milliseconds:.0?}", milliseconds[3]);
    }
}

/// Milliseconds: a new server has no tile in its cache, a new profile none in the browser's.
fn first_screen(root: &std::path::Path, place: &str) -> f64 {
    let server = Server::start(root, &[]);
    let browser = Browser::open(1920, 1080);
    browser.go("about:blank");
    browser.go(&format!("http://localhost:{}/viewer/a{place}", server.port));
    browser.wait_until("performance.getEntriesByName('painted').length === 1");
    browser.evaluate("performance.getEntriesByName('painted')[0].startTime").as_f64().expect("a time")
}
