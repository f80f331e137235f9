//! The gallery in a real browser.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;
#[path = "support/webdriver.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod webdriver;

use serde_json::Value;
use support::{Server, folder, succeed};
use webdriver::Browser;

const LINKS: &str = "document.querySelectorAll('a[href*=\"/viewer/\"]').length";

#[test]
fn slides_are_shown_with_pictures() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("case 1")).unwrap();
    for name in ["case 1/a", "b"] {
        let path = folder.path().join(format!("{name}.mtm"));
        succeed(["ingest", "synthetic:900x700", "-o", path.to_str().unwrap()]);
    }
    let server = Server::start(folder.path(), &[]);
    let browser = Browser::open(1000, 700);
    browser.go(&format!("http://localhost:{}/", server.port));
    browser.wait_until(&format!("{LINKS} === 2"));
    browser.wait_until("[...document.images].every(image => image.naturalWidth > 200)");
    browser.screenshot();
    let href = "document.querySelector('a[href*=case]').getAttribute('href')";
    assert_eq!(browser.evaluate(href), "/viewer/case%201/a");
}

#[test]
fn ten_thousand_slides_are_found_by_name_and_shown_page_by_page() {
    let folder = folder();
    for number in 0..10_000 {
        std::fs::write(folder.path().join(format!("slide {number:04}.mtm")), b"no container").unwrap();
    }
    let server = Server::start(folder.path(), &[]);
    let browser = Browser::open(1000, 700);
    browser.go(&format!("http://localhost:{}/", server.port));
    browser.wait_until(&format!("{LINKS} === 60"));
    let summary = || browser.evaluate("document.getElementById('summary').textContent");
    assert_eq!(summary(), "1 to 60 of 10000 slides");
    browser.run("document.getElementById('next').click()");
    browser.wait_until("document.getElementById('summary').textContent.startsWith('61 to 120')");
    assert_eq!(browser.evaluate("location.search"), "?page=2");
    // The slash goes to the search, and what is typed is searched for.
    for key in ["/", "7", "7", "7"] {
        browser.press(key);
    }
    browser.wait_until("document.getElementById('summary').textContent === '19 slides'");
    assert_eq!(browser.evaluate(LINKS), 19);
    assert_eq!(browser.evaluate("location.search"), "?search=777");
    for key in ["8", "8"] {
        browser.press(key);
    }
    browser.wait_until("document.getElementById('summary').textContent.startsWith('No slide')");
    assert_eq!(browser.evaluate("document.getElementById('pages').hidden"), Value::Bool(true));
}
