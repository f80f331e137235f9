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
fn neither_titles_nor_addresses_say_whose_slides_they_are() {
    let folder = folder();
    let sources = support::folder();
    let source = sources.path().join("source");
    let source = source.to_str().unwrap();
    for (name, seed) in [("Muller Hans", 1), ("Muller Eva", 2), ("b", 3)] {
        let path = folder.path().join(format!("{name}.mtm"));
        succeed(["ingest", &format!("synthetic:900x700,seed={seed}"), "-o", path.to_str().unwrap()]);
    }
    let hans = folder.path().join("Muller Hans.mtm");
    let target = format!("{source}/Muller Hans.dzi");
    std::fs::create_dir(source).unwrap();
    succeed(["export", hans.to_str().unwrap(), "-o", &target]);
    let server = Server::start(folder.path(), &["--source-root", source]);
    let browser = Browser::open(1000, 700);
    let tells_nothing = |place: &str| {
        let told = browser.evaluate("decodeURIComponent(document.title + location.href)");
        assert!(!told.as_str().unwrap().contains("uller"), "{place}: {told}");
    };
    browser.go(&format!("http://localhost:{}/", server.port));
    browser.wait_until(&format!("{LINKS} === 3"));
    for key in ["/", "u", "l", "l", "e", "r", " ", "h"] {
        browser.press(key);
    }
    browser.wait_until("document.getElementById('summary').textContent === '1 slide'");
    tells_nothing("the gallery, searched");
    browser.run("document.querySelector('#slides a').click()");
    browser.wait_until("document.body.dataset.ready === 'true'");
    assert_eq!(browser.evaluate("document.querySelector('h1').textContent"), "Muller Hans", "the page does");
    let came_by = "performance.getEntriesByType('navigation')[0].redirectCount + performance.getEntriesByType('navigation')[0].name";
    let came_by = browser.evaluate(came_by);
    assert!(
        came_by.as_str().unwrap().starts_with("0http"),
        "straight, so that no history has the name: {came_by}"
    );
    tells_nothing("the viewer");
    // Comparing writes what is compared into the address.
    browser.press("k");
    let offer = "[...document.querySelectorAll('#compare-offers button')].find(row => row.textContent === 'Muller Eva')";
    browser.wait_until(&format!("!!{offer}"));
    browser.run(&format!("{offer}.click()"));
    browser.wait_until("document.querySelectorAll('.pane').length === 2");
    browser.run("document.getElementById('compare-source').click()");
    browser.wait_until("document.querySelectorAll('.pane').length === 3");
    browser.wait_until("/compare=@[0-9a-f]{16}&.*compare=source:@/.test(location.hash)");
    tells_nothing("the viewer, comparing");
    let rows = "[...document.querySelectorAll('#compare-slides span')].map(row => row.textContent).join()";
    assert_eq!(browser.evaluate(rows), "Muller Hans,Muller Eva,Muller Hans (source)");
    let asked = "performance.getEntriesByType('resource').map(e => decodeURIComponent(e.name)).filter(n => n.includes('_files'))";
    let asked = browser.evaluate(asked).to_string();
    assert!(asked.contains("_files/") && !asked.contains("uller"), "{asked}");
    // The address opens the same again, for whoever has it.
    let address = browser.evaluate("location.href").as_str().unwrap().to_owned();
    browser.go("about:blank");
    browser.go(&address);
    browser.wait_until(&format!("{rows} === 'Muller Hans,Muller Eva,Muller Hans (source)'"));
    // An address with names in it becomes one without.
    browser.go("about:blank");
    browser.go(&format!("http://localhost:{}/viewer/Muller%20Hans#compare=Muller%20Eva", server.port));
    browser.wait_until("/compare=@/.test(location.hash)");
    tells_nothing("the viewer, opened by names");
    // Going back finds what was searched for.
    browser.go(&format!("http://localhost:{}/", server.port));
    browser.wait_until(&format!("{LINKS} === 3"));
    for key in ["/", "e", "v", "a"] {
        browser.press(key);
    }
    browser.wait_until("document.getElementById('summary').textContent === '1 slide'");
    browser.run("document.querySelector('#slides a').click()");
    browser.wait_until("document.body.dataset.ready === 'true'");
    browser.run("history.back()");
    browser.wait_until("document.getElementById('search')?.value === 'eva'");
    browser.wait_until(&format!("{LINKS} === 1"));
}

#[test]
fn ten_thousand_slides_are_found_by_name_and_shown_page_by_page() {
    let folder = folder();
    for number in 0..10_000 {
        std::fs::write(folder.path().join(format!("slide {number:04}.mtm")), b"no container").unwrap();
    }
    let server = Server::start(folder.path(), &["--show-names"]);
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
