//! The contract of the addresses, on a synthetic slide and without sockets.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use microtome_slide::{Slide, TileId};
use tempfile::TempDir;

use crate::app::App;
use crate::config::ServerConfig;
use crate::routes::router;

struct Quiet;

impl microtome_ingest::Progress for Quiet {
    fn stage(&self, _name: &'static str, _total: u64, _unit: microtome_ingest::Unit) {}
    fn advance(&self, _done: u64, _stored: u64) {}
}

/// A slides root with one slide, `case 1/a`, of 1000 x 700 pixels, and a server of it.
pub(crate) struct Fixture {
    pub(crate) root: TempDir,
    router: Router,
}

pub(crate) type Answer = (StatusCode, HeaderMap, Bytes);

impl Fixture {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(root.path().join("case 1")).expect("a folder");
        ingest("synthetic:1000x700,seed=1", &root.path().join("case 1/a.mtm"));
        let config = ServerConfig {
            slides_root: root.path().to_owned(),
            timing_breakdown: true,
            ..ServerConfig::default()
        };
        let app = App::new(&config).expect("decode threads");
        Self { root, router: router(Arc::new(app)) }
    }

    pub(crate) async fn ask(&self, method: &str, address: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(address);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        let service = TowerToHyperService::new(self.router.clone());
        let (head, body) = service.call(request).await.expect("an answer").into_parts();
        (head.status, head.headers, to_bytes(body, usize::MAX).await.expect("a body"))
    }

    pub(crate) async fn get(&self, address: &str) -> Answer {
        self.ask("GET", address, &[]).await
    }

    pub(crate) fn slide(&self) -> Slide {
        Slide::open(&self.root.path().join("case 1/a.mtm")).expect("a slide")
    }
}

pub(crate) fn ingest(source: &str, target: &Path) {
    let options = microtome_ingest::Options::default();
    microtome_ingest::ingest(source, target, options, &Quiet, &AtomicBool::new(false)).expect("an ingest");
}

#[tokio::test]
async fn all_spellings_of_a_tile_give_the_same_bytes() {
    let fixture = Fixture::new();
    for (number, tile) in [
        (10, TileId { level: 0, column: 3, row: 2 }),
        (9, TileId { level: 1, column: 1, row: 1 }),
        (0, TileId { level: 10, column: 0, row: 0 }),
    ] {
        let expected = fixture.slide().tile(tile).expect("a tile");
        let name = format!("{number}/{}_{}", tile.column, tile.row);
        for address in [
            format!("/tiles/case%201/a/{name}.jpg"),
            format!("/tiles/case%201%2Fa/{name}.jpeg"),
            format!("/dzi/case%201/a_files/{name}.jpg"),
            format!("/dzi/case%201%2fa_files/{name}.jpeg?v=0"),
        ] {
            let (status, headers, body) = fixture.get(&address).await;
            assert_eq!((status, &body), (StatusCode::OK, &expected), "{address}");
            assert_eq!(headers["content-type"], "image/jpeg");
            assert_eq!(headers["cache-control"], "public, no-cache");
            assert!(headers.contains_key("server-timing"));
        }
    }
}

#[tokio::test]
async fn head_and_conditional_requests_send_no_body() {
    let fixture = Fixture::new();
    let address = "/tiles/case%201/a/9/0_0.jpg";
    let (_, full, body) = fixture.get(address).await;
    let (status, headers, nothing) = fixture.ask("HEAD", address, &[]).await;
    assert_eq!((status, nothing.len()), (StatusCode::OK, 0));
    assert_eq!(headers["content-length"], body.len().to_string());
    let etag = full["etag"].to_str().expect("a tag");
    let (status, headers, nothing) = fixture.ask("GET", address, &[("if-none-match", etag)]).await;
    assert_eq!((status, nothing.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!((&headers["etag"], &headers["cache-control"]), (&full["etag"], &full["cache-control"]));
    let outside = fixture.ask("GET", "/tiles/case%201/a/9/9_0.jpg", &[("if-none-match", "*")]).await;
    assert_eq!(outside.0, StatusCode::NOT_FOUND, "there is no tile to be unchanged");
}

#[tokio::test]
async fn versioned_addresses_never_expire() {
    let fixture = Fixture::new();
    let content_id = fixture.slide().content_id().to_string();
    for address in ["/dzi/case%201/a.dzi", "/tiles/case%201/a/0/0_0.jpg"] {
        let (_, headers, _) = fixture.get(&format!("{address}?v={}", &content_id[..16])).await;
        assert_eq!(headers["cache-control"], "public, max-age=31536000, immutable");
    }
}

#[tokio::test]
async fn errors_have_a_line_of_text_and_the_common_headers() {
    let fixture = Fixture::new();
    std::fs::write(fixture.root.path().join("junk.mtm"), b"no container").expect("a file");
    for (method, address, expected) in [
        ("GET", "/nothing", 404),
        ("GET", "/assets/nothing.js", 404),
        ("GET", "/tiles/absent/0/0_0.jpg", 404),
        ("GET", "/tiles/case%201/a/10/4_0.jpg", 404),
        ("GET", "/tiles/case%201/a/11/0_0.jpg", 404),
        ("GET", "/tiles/case%201/a/x/0_0.jpg", 400),
        ("GET", "/tiles/case%201/%2e%2e/case%201/a/0/0_0.jpg", 400),
        ("GET", "/dzi/%2Fetc%2Fpasswd.dzi", 400),
        ("GET", "/viewer/junk", 500),
        ("POST", "/tiles/case%201/a/0/0_0.jpg", 405),
        ("DELETE", "/slides", 405),
    ] {
        let (status, headers, body) = fixture.ask(method, address, &[]).await;
        assert_eq!(status.as_u16(), expected, "{method} {address}");
        assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["access-control-allow-origin"], "*");
        assert_eq!(headers["cross-origin-resource-policy"], "cross-origin");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["timing-allow-origin"], "*");
        let text = std::str::from_utf8(&body).expect("text");
        assert!(text.ends_with('\n') && text.lines().count() == 1, "{text:?}");
        assert!(!text.contains(fixture.root.path().to_str().expect("a path")), "{text:?}");
    }
}

#[tokio::test]
async fn preflight_is_answered_everywhere() {
    let fixture = Fixture::new();
    let preflight = [("origin", "https://elsewhere"), ("access-control-request-method", "GET")];
    for address in ["/tiles/case%201/a/0/0_0.jpg", "/nothing"] {
        let (status, headers, _) = fixture.ask("OPTIONS", address, &preflight).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers["access-control-allow-origin"], "*");
        assert!(headers.contains_key("access-control-max-age"));
    }
}

#[tokio::test]
async fn pages_and_lists_are_there() {
    let fixture = Fixture::new();
    for (address, content_type, part) in [
        ("/healthz", "text/plain; charset=utf-8", "ok"),
        ("/readyz", "text/plain; charset=utf-8", "ready"),
        ("/slides", "application/json", r#""viewer":"/viewer/case%201/a""#),
        ("/", "text/html; charset=utf-8", "/assets/gallery.js?v="),
        ("/viewer/case%201%2Fa", "text/html; charset=utf-8", "<title>Microtome</title>"),
        ("/dzi/case%201/a.dzi", "application/xml", r#"Width="1000" Height="700""#),
        ("/assets/viewer.js", "text/javascript; charset=utf-8", "OpenSeadragon"),
        ("/metrics", crate::metrics::CONTENT_TYPE, r#"route="viewer",status="200"} 1"#),
    ] {
        let (status, headers, body) = fixture.get(address).await;
        assert_eq!(
            (status, &headers["content-type"]),
            (StatusCode::OK, &content_type.parse().expect("a value"))
        );
        let text = std::str::from_utf8(&body).expect("text");
        assert!(text.contains(part), "{address}: {text}");
    }
}

#[tokio::test]
async fn a_deleted_slide_is_gone_and_a_replaced_one_is_reopened() {
    let fixture = Fixture::new();
    let address = "/dzi/case%201/a.dzi";
    let file = fixture.root.path().join("case 1/a.mtm");
    let (_, before, _) = fixture.get(address).await;
    let next = fixture.root.path().join("next.mtm");
    ingest("synthetic:600x500,seed=2", &next);
    std::fs::rename(&next, &file).expect("a rename");
    let recheck = std::time::Duration::from_millis(1100);
    tokio::time::sleep(recheck).await;
    let (status, after, body) = fixture.get(address).await;
    assert_eq!(status, StatusCode::OK);
    assert_ne!(before["etag"], after["etag"]);
    assert!(std::str::from_utf8(&body).expect("text").contains(r#"Width="600""#));
    std::fs::remove_file(&file).expect("a deletion");
    tokio::time::sleep(recheck).await;
    assert_eq!(fixture.get(address).await.0, StatusCode::NOT_FOUND);
}
