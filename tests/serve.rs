//! The server as clients see it: the built binary, over real sockets.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use microtome_codec::turbo;
use microtome_slide::{Rect, Slide, TileId};
use support::{Server, folder, http, succeed};

fn ingest(root: &Path, name: &str, source: &str) -> Slide {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    succeed(["ingest", source, "-o", path.to_str().unwrap()]);
    Slide::open(&path).unwrap()
}

#[test]
fn every_tile_of_every_level_is_served_on_both_routes() {
    let folder = folder();
    let slide = ingest(folder.path(), "a.mtm", "synthetic:1100x700");
    let server = Server::start(folder.path(), &[]);
    let coarsest = slide.levels().len() - 1;
    for (level, grid) in slide.levels().iter().enumerate() {
        let number = coarsest - level;
        for (column, row) in [(0, 0), (grid.columns() - 1, grid.rows() - 1)] {
            let expected = slide.tile(TileId { level: level as u8, column, row }).unwrap();
            for path in [
                format!("/tiles/a/{number}/{column}_{row}.jpg"),
                format!("/dzi/a_files/{number}/{column}_{row}.jpg"),
                format!("/dzi/a_files/{number}/{column}_{row}.jpeg"),
            ] {
                let response = server.get(&path);
                assert_eq!(response.status, 200, "{path}");
                assert_eq!(response.header("content-type"), Some("image/jpeg"));
                assert!(response.body == expected, "{path}");
            }
        }
        let beyond = server.get(&format!("/tiles/a/{number}/{}_0.jpg", grid.columns()));
        assert_eq!(beyond.status, 404, "level {level}");
    }
}

#[test]
fn a_derived_tile_is_the_average_of_the_finer_level() {
    let folder = folder();
    let slide = ingest(folder.path(), "a.mtm", "synthetic:777x555");
    let server = Server::start(folder.path(), &[]);
    let served = server.get(&format!("/tiles/a/{}/0_0.jpg", slide.levels().len() - 2)).body;
    let exact = slide.read_region(0, Rect { x: 0, y: 0, width: 512, height: 512 }).unwrap().reduced();
    let likeness = support::psnr(&turbo::decode(&served, 1 << 16).unwrap(), &exact);
    assert!(likeness > 36.0, "{likeness:.1} dB");
    assert!(served == slide.tile(TileId { level: 1, column: 0, row: 0 }).unwrap());
}

#[test]
fn the_descriptor_is_deep_zoom() {
    let folder = folder();
    ingest(folder.path(), "a.mtm", "synthetic:1100x700");
    let server = Server::start(folder.path(), &[]);
    let response = server.get("/dzi/a.dzi");
    assert_eq!(response.status, 200);
    assert!(response.header("content-type").unwrap().starts_with("application/xml"));
    let descriptor = microtome_slide::deepzoom::Descriptor::parse(response.text()).unwrap();
    assert_eq!(
        (descriptor.width, descriptor.height, descriptor.tile_size, descriptor.overlap),
        (1100, 700, 256, 0)
    );
}

#[test]
fn caching_follows_the_content() {
    let folder = folder();
    let slide = ingest(folder.path(), "a.mtm", "synthetic:600x400");
    let server = Server::start(folder.path(), &[]);
    let path = "/tiles/a/10/0_0.jpg";
    let first = server.get(path);
    let tag = first.header("etag").expect("tiles have an ETag").to_owned();
    assert!(tag.starts_with('"'), "a strong one: {tag}");
    let again = server.request("GET", path, &[("If-None-Match", &tag)]);
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(server.request("GET", path, &[("If-None-Match", "\"other\"")]).status, 200);
    let head = server.request("HEAD", path, &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some(first.body.len().to_string().as_str()));
    let versioned = server.get(&format!("{path}?v={}", slide.content_id()));
    assert!(versioned.header("cache-control").unwrap().contains("immutable"));
    assert!(!first.header("cache-control").unwrap().contains("immutable"));
    let other = server.get("/tiles/a/10/1_0.jpg");
    assert_ne!(other.header("etag"), Some(tag.as_str()), "another tile, another tag");
}

#[test]
fn a_replaced_slide_is_served_anew_and_a_removed_one_is_gone() {
    let folder = folder();
    ingest(folder.path(), "a.mtm", "synthetic:600x400,seed=1");
    let other = ingest(folder.path(), "new/b.mtm", "synthetic:600x400,seed=2");
    let server = Server::start(folder.path(), &[]);
    let path = "/tiles/a/10/1_0.jpg";
    let before = server.get(path);
    std::fs::rename(folder.path().join("new/b.mtm"), folder.path().join("a.mtm")).unwrap();
    let expected = other.tile(TileId { level: 0, column: 1, row: 0 }).unwrap();
    wait_for("the new picture", || server.get(path).body == expected);
    assert_ne!(server.get(path).header("etag"), before.header("etag"));
    std::fs::remove_file(folder.path().join("a.mtm")).unwrap();
    wait_for("404", || server.get(path).status == 404);
}

#[test]
fn new_slides_appear_by_themselves_and_names_may_be_anything() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]);
    assert_eq!(server.get("/tiles/a/0/0_0.jpg").status, 404);
    let names = ["a.mtm", "ward 7/case#1/b%20c.mtm", "größe.mtm", "x_files/y.mtm"];
    for name in names {
        ingest(folder.path(), name, "synthetic:300x200");
    }
    for id in
        ["a", "ward%207/case%231/b%2520c", "ward%207%2Fcase%231%2Fb%2520c", "gr%C3%B6%C3%9Fe", "x_files/y"]
    {
        assert_eq!(server.get(&format!("/tiles/{id}/0/0_0.jpg")).status, 200, "{id}");
        assert_eq!(server.get(&format!("/dzi/{id}.dzi")).status, 200, "{id}");
        assert_eq!(server.get(&format!("/viewer/{id}")).status, 200, "{id}");
    }
    wait_for("all four in the list", || {
        let list: serde_json::Value = serde_json::from_slice(&server.get("/slides").body).unwrap();
        list["slides"].as_array().unwrap().len() == 4
    });
    let list: serde_json::Value = serde_json::from_slice(&server.get("/slides").body).unwrap();
    for slide in list["slides"].as_array().unwrap() {
        assert_eq!(server.get(slide["viewer"].as_str().unwrap()).status, 200, "{slide}");
        assert_eq!(server.get(slide["dzi"].as_str().unwrap()).status, 200, "{slide}");
    }
}

/// Tries for ten seconds: a file system change may take a moment to be noticed.
fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(10), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn nothing_outside_the_root_is_ever_opened() {
    let folder = folder();
    let root = folder.path().join("root");
    std::fs::create_dir_all(root.join("sub")).unwrap();
    ingest(folder.path(), "secret.mtm", "synthetic:300x200");
    ingest(&root, "a.mtm", "synthetic:300x200");
    ingest(&root, ".hidden.mtm", "synthetic:300x200");
    std::os::unix::fs::symlink(folder.path().join("secret.mtm"), root.join("link.mtm")).unwrap();
    std::os::unix::fs::symlink(folder.path(), root.join("way")).unwrap();
    let server = Server::start(&root, &[]);
    let absolute = folder.path().join("secret").display().to_string();
    let ids = [
        "../secret",
        "%2e%2e/secret",
        "%2e%2e%2fsecret",
        "..%2fsecret",
        "%252e%252e/secret",
        "..%5csecret",
        "..\\secret",
        "sub/../../secret",
        "sub/..%2f..%2fsecret",
        "./a",
        "%2e/a",
        "sub//../a",
        "%c0%ae%c0%ae/secret",
        "%ff",
        "a%00",
        "a%00.mtm",
        ".hidden",
        "link",
        "way/secret",
        "%2e%2e",
        "..",
        "",
        "%",
        "%2",
        "%zz",
        "a%0d%0aX: y",
        "~/secret",
        "....//secret",
        "..;/secret",
        "%uff0e%uff0e/secret",
        absolute.as_str(),
    ];
    for id in ids {
        for path in [
            format!("/tiles/{id}/0/0_0.jpg"),
            format!("/dzi/{id}.dzi"),
            format!("/viewer/{id}"),
            format!("/assets/{id}"),
        ] {
            let response = server.get(&path);
            assert!(matches!(response.status, 400 | 404), "{path}: {}", response.status);
            assert!(!response.body.windows(10).any(|w| w == b"<Image xml"), "{path}");
        }
    }
    assert_eq!(server.get("/tiles/a/0/0_0.jpg").status, 200, "the server is well");
}

#[test]
fn wrong_requests_get_the_right_refusal() {
    let folder = folder();
    ingest(folder.path(), "a.mtm", "synthetic:300x200");
    std::fs::write(folder.path().join("foreign.mtm"), b"not a container").unwrap();
    std::fs::write(folder.path().join("empty.mtm"), b"").unwrap();
    let server = Server::start(folder.path(), &[]);
    for (path, status) in [
        ("/tiles/a/99/0_0.jpg", 404),
        ("/tiles/a/9/4294967295_0.jpg", 404),
        ("/tiles/nothing/0/0_0.jpg", 404),
        ("/nothing", 404),
        ("/tiles/a/x/0_0.jpg", 400),
        ("/tiles/a/0/0-0.jpg", 400),
        ("/tiles/a/0/-1_0.jpg", 400),
        ("/tiles/a/0/99999999999_0.jpg", 404),
        ("/tiles/foreign/0/0_0.jpg", 500),
        ("/tiles/empty/0/0_0.jpg", 500),
    ] {
        let response = server.get(path);
        assert_eq!(response.status, status, "{path}");
        assert_eq!(response.header("access-control-allow-origin"), Some("*"), "{path}: errors too");
        assert!(!response.header("content-type").unwrap_or("").starts_with("image/"), "{path}");
        let body = response.text();
        assert!(!body.contains(folder.path().to_str().unwrap()), "{path}: a body tells no folders: {body}");
    }
    assert_eq!(server.request("POST", "/tiles/a/0/0_0.jpg", &[]).status, 405);
    let preflight = [("Origin", "http://elsewhere"), ("Access-Control-Request-Method", "GET")];
    let preflight = server.request("OPTIONS", "/tiles/a/0/0_0.jpg", &preflight);
    assert!(preflight.status < 300 && preflight.header("access-control-allow-methods").is_some());
}

#[test]
fn health_and_metrics_answer() {
    let folder = folder();
    ingest(folder.path(), "a.mtm", "synthetic:300x200");
    let server = Server::start(folder.path(), &[]);
    server.get("/tiles/a/0/0_0.jpg");
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(server.get("/readyz").status, 200);
    let metrics = server.get("/metrics");
    assert_eq!(metrics.status, 200);
    let counted = "microtome_http_requests_total{route=\"tile\",status=\"200\"} 1";
    assert!(metrics.text().lines().any(|line| line == counted), "{}", metrics.text());
}

#[test]
fn all_flags_of_the_contract_are_taken_with_and_without_the_word() {
    let folder = folder();
    ingest(folder.path(), "a.mtm", "synthetic:300x200");
    let flags = [
        "--rayon-threads",
        "8",
        "--tokio-workers",
        "4",
        "--tokio-blocking-threads",
        "24",
        "--max-inflight-families",
        "16",
        "--cache-entries",
        "4096",
        "--cache-mb",
        "64",
        "--timing-breakdown",
    ];
    let server = Server::start(folder.path(), &flags);
    let response = server.get("/tiles/a/9/0_0.jpg");
    assert_eq!(response.status, 200);
    assert!(response.header("server-timing").is_some(), "--timing-breakdown tells the stages");
    drop(server);
    let root = folder.path().join("not yet there");
    let missing = Server::start(&root, &[]);
    assert_eq!(missing.get("/slides").status, 200, "a root that is not there yet is an empty one");
    let not_ready = missing.get("/readyz");
    assert_eq!((not_ready.status, not_ready.header("retry-after")), (503, Some("1")));
    assert_eq!(missing.get("/healthz").status, 200);
    std::fs::create_dir(&root).expect("a folder");
    wait_for("a root", || missing.get("/readyz").status == 200);
}

#[test]
fn a_hundred_clients_at_once_get_the_right_tiles() {
    let folder = folder();
    let slides: Vec<Slide> = (0..4)
        .map(|i| ingest(folder.path(), &format!("{i}.mtm"), &format!("synthetic:1000x800,seed={i}")))
        .collect();
    let server = Server::start(folder.path(), &["--cache-mb", "1"]);
    let port = server.port;
    std::thread::scope(|scope| {
        for client in 0..100_usize {
            let slides = &slides;
            scope.spawn(move || {
                for i in 0..20 {
                    let (slide, level) = ((client + i) % 4, i % 3);
                    let grid = slides[slide].levels()[level];
                    let (column, row) = (client as u32 % grid.columns(), i as u32 % grid.rows());
                    let path = format!(
                        "/tiles/{slide}/{}/{column}_{row}.jpg",
                        slides[slide].levels().len() - 1 - level
                    );
                    let response = http(port, "GET", &path, &[], b"");
                    // Overload is an honest answer; a wrong picture is not.
                    if response.status == 503 {
                        assert!(response.header("retry-after").is_some());
                        continue;
                    }
                    assert_eq!(response.status, 200, "{path}");
                    let expected = slides[slide].tile(TileId { level: level as u8, column, row }).unwrap();
                    assert!(response.body == expected, "{path}");
                }
            });
        }
    });
}

#[test]
fn a_slow_header_is_cut_off_and_sigterm_drains() {
    let folder = folder();
    ingest(folder.path(), "a.mtm", "synthetic:300x200");
    let server = Server::start(folder.path(), &[]);
    let mut slow = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    slow.write_all(b"GET /healthz HT").unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
    let mut answer = vec![];
    let ended = slow.read_to_end(&mut answer);
    assert!(ended.is_ok(), "the server ends a connection whose request head never comes: {ended:?}");
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn ten_thousand_slides_in_the_root_do_not_delay_the_start() {
    let folder = folder();
    ingest(folder.path(), "a.mtm", "synthetic:300x200");
    let bytes = std::fs::read(folder.path().join("a.mtm")).unwrap();
    for i in 0..10_000 {
        let path = folder.path().join(format!("{}/{i}.mtm", i % 100));
        if i < 100 {
            std::fs::create_dir(path.parent().unwrap()).unwrap();
        }
        // Only their number counts here: a few bytes each, one in a hundred whole.
        std::fs::write(path, if i % 100 == 0 { &bytes[..] } else { b"x" }).unwrap();
    }
    let server = Server::start(folder.path(), &[]);
    assert_eq!(server.get("/tiles/0/9900/0/0_0.jpg").status, 200);
    let list: serde_json::Value = serde_json::from_slice(&server.get("/slides").body).unwrap();
    assert_eq!(list["slides"].as_array().unwrap().len(), 10_001);
}
