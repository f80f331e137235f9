//! Pages of slides by addresses that do not name them.

use std::path::Path;

use crate::http_tests::{Fixture, ingest};

/// What browsers say when a page is opened.
const WINDOW: (&str, &str) = ("accept", "text/html");

/// Where a browser is sent that opens the page of a slide.
async fn page_of(fixture: &Fixture, address: &str) -> String {
    let (status, headers, _) = fixture.ask("GET", address, &[WINDOW]).await;
    assert_eq!(status, 303, "{address}");
    headers["location"].to_str().expect("text").to_owned()
}

fn text(body: &[u8]) -> &str {
    std::str::from_utf8(body).expect("text")
}

#[tokio::test]
async fn a_page_has_the_name_in_neither_title_nor_address() {
    let fixture = Fixture::new();
    let page = page_of(&fixture, "/viewer/case%201/a?x=1").await;
    let (address, query) = page.split_once('?').expect("a query");
    let pseudonym = address.strip_prefix("/viewer/").expect("a page");
    assert!(pseudonym.len() == 17 && pseudonym.starts_with('@') && query == "x=1", "{page}");
    let (status, _, body) = fixture.ask("GET", &page, &[WINDOW]).await;
    assert_eq!(fixture.get("/viewer/case%201/a").await.2, body, "who has no window is sent nowhere");
    let body = text(&body);
    assert!(status == 200 && body.contains("<title>Microtome</title>"), "{body}");
    for part in [
        format!(r#""reference":"{pseudonym}""#),
        format!(r#""tiles":"/dzi/{pseudonym}_files/""#),
        r#""id":"case 1/a""#.to_owned(),
    ] {
        assert!(body.contains(&part), "no {part} in {body}");
    }
    let below = fixture.ask("GET", "/viewer/case%201/a", &[WINDOW, ("x-forwarded-prefix", "/wsi")]).await;
    assert_eq!(below.1["location"], format!("/wsi/viewer/{pseudonym}"));
    let named = Fixture::with(|config| config.show_names = true);
    assert_eq!(named.ask("GET", "/viewer/case%201/a", &[WINDOW]).await.0, 200, "names may be shown");
}

#[tokio::test]
async fn what_a_page_asks_for_is_there_by_the_pseudonym_also_after_a_restart() {
    let fixture = Fixture::new();
    let page = page_of(&fixture, "/viewer/case%201/a").await;
    let pseudonym = page.strip_prefix("/viewer/").expect("a page").to_owned();
    let root = fixture.root.path().to_owned();
    let restarted = Fixture::with(move |config| config.slides_root = root);
    for address in [
        "/dzi/SLIDE.dzi",
        "/dzi/SLIDE_files/10/1_1.jpg?v=0",
        "/thumbnail/SLIDE.jpg?size=64",
        "/region/SLIDE.png?x=0&y=0&width=40&height=30",
        "/histogram/SLIDE",
    ] {
        let (_, _, expected) = fixture.get(&address.replace("SLIDE", "case%201/a")).await;
        for server in [&fixture, &restarted] {
            for called in [&pseudonym, &pseudonym.replace('@', "%40")] {
                let (status, headers, body) = server.get(&address.replace("SLIDE", called)).await;
                assert_eq!((status.as_u16(), &body), (200, &expected), "{address} {called}");
                assert!(headers.values().all(|value| !value.as_bytes().starts_with(b"case")), "{headers:?}");
            }
        }
    }
    let (_, _, document) = restarted.get(&format!("/slides/{pseudonym}")).await;
    let document: serde_json::Value = serde_json::from_slice(&document).expect("JSON");
    assert_eq!((&document["id"], &document["pseudonym"]), (&"case 1/a".into(), &pseudonym.as_str().into()));
    for address in ["/viewer/@0123456789abcdef", "/dzi/@0123456789abcdef.dzi", "/slides/@0123456789abcdef"] {
        assert_eq!(restarted.get(address).await.0, 404, "{address}");
    }
    // Answers that repeat their address do so as it was asked for.
    let (_, _, info) = restarted.get(&format!("/iiif/3/{pseudonym}/info.json")).await;
    let info: serde_json::Value = serde_json::from_slice(&info).expect("JSON");
    assert!(info["id"].as_str().expect("an id").ends_with(&format!("/iiif/3/{pseudonym}")), "{info}");
    assert!(!document.to_string().contains("%20"), "{document}");
}

#[tokio::test]
async fn a_pseudonym_is_no_part_of_another_name() {
    let fixture = Fixture::new();
    let root = fixture.root.path();
    std::fs::create_dir(root.join("a")).expect("a folder");
    for name in ["a", "a/b", "a_2", "scan", "scan.png"] {
        std::fs::copy(root.join("case 1/a.mtm"), root.join(format!("{name}.mtm"))).expect("a copy");
    }
    let a = page_of(&fixture, "/viewer/a").await.replace("/viewer/", "");
    let scan = page_of(&fixture, "/viewer/scan.png").await.replace("/viewer/", "");
    for (address, status) in [
        (format!("/slides/{a}"), 200),
        (format!("/slides/{a}/b"), 404),
        (format!("/slides/{a}_2"), 404),
        (format!("/viewer/{a}/b"), 404),
        (format!("/slides/{a}/{}", "y".repeat(1100)), 400),
        (format!("/associated/{a}"), 404),
        (format!("/thumbnail/{scan}"), 200),
    ] {
        let found = fixture.get(&address).await;
        let absent = fixture.get(&address.replace(&a, "@0123456789abcdef")).await;
        assert_eq!(found.0.as_u16(), status, "{address}");
        if status != 200 {
            assert_eq!((found.0, found.2), (absent.0, absent.2), "{address}");
        }
    }
    let (_, _, thumbnail) = fixture.get(&format!("/slides/{scan}")).await;
    assert!(text(&thumbnail).contains(r#""id":"scan.png""#));
    // A file cannot take another's place.
    std::fs::copy(root.join("scan.mtm"), root.join(format!("{a}.mtm"))).expect("a copy");
    assert!(text(&fixture.get(&format!("/slides/{a}")).await.2).contains(r#""id":"a""#));
}

#[tokio::test]
async fn two_slides_of_the_same_content_have_a_pseudonym_each() {
    let fixture = Fixture::new();
    let copy = |name: &str| {
        let root = fixture.root.path();
        std::fs::copy(root.join("case 1/a.mtm"), root.join(name)).expect("a copy");
    };
    copy("b.mtm");
    let [a, b] = [page_of(&fixture, "/viewer/case%201/a").await, page_of(&fixture, "/viewer/b").await];
    assert_ne!(a, b);
    for (page, name) in [(a, "case 1/a"), (b, "b")] {
        let (_, _, body) = fixture.get(&page).await;
        assert!(text(&body).contains(&format!(r#""id":"{name}""#)), "{page}");
    }
}

#[tokio::test]
async fn a_pseudonym_never_shows_what_came_in_the_slides_place() {
    let fixture = Fixture::new();
    let before = page_of(&fixture, "/viewer/case%201/a").await;
    replace(&fixture.root.path().join("case 1/a.mtm"));
    // The file of an open slide is looked at once a second.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let after = page_of(&fixture, "/viewer/case%201/a").await;
    assert_ne!(before, after);
    assert_eq!(fixture.get(&before).await.0, 404);
    assert_eq!(fixture.get(&after).await.0, 200);
}

#[tokio::test]
async fn a_slide_just_copied_in_is_found_by_the_pseudonym_that_its_document_tells() {
    let fixture = Fixture::new();
    assert_eq!(fixture.get("/viewer/@0123456789abcdef").await.0, 404, "a survey is made");
    let root = fixture.root.path();
    std::fs::copy(root.join("case 1/a.mtm"), root.join("new.mtm")).expect("a copy");
    let (_, _, document) = fixture.get("/slides/new").await;
    let document: serde_json::Value = serde_json::from_slice(&document).expect("JSON");
    let pseudonym = document["pseudonym"].as_str().expect("a pseudonym");
    assert_eq!(fixture.get(&format!("/dzi/{pseudonym}.dzi")).await.0, 200);
}

fn replace(path: &Path) {
    let next = path.with_extension("next");
    ingest("synthetic:500x300,seed=2", &next);
    std::fs::rename(next, path).expect("a new slide");
}
