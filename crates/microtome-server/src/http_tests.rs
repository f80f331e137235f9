//! The contract of the addresses, on a synthetic slide and without sockets.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use microtome_slide::{Slide, TileId};
use tempfile::TempDir;

use crate::activity::Activity;
use crate::app::App;
use crate::body::Body;
use crate::config::ServerConfig;
use crate::routes;

struct Quiet;

impl microtome_ingest::Progress for Quiet {
    fn stage(&self, _name: &'static str, _total: u64, _unit: microtome_ingest::Unit) {}
    fn advance(&self, _done: u64, _stored: u64) {}
}

/// A slides root with one slide, `case 1/a`, of 1000 x 700 pixels, and a server of it.
pub(crate) struct Fixture {
    pub(crate) root: TempDir,
    app: Arc<App>,
}

pub(crate) type Answer = (StatusCode, HeaderMap, Bytes);

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(|_config| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(root.path().join("case 1")).expect("a folder");
        ingest("synthetic:1000x700,seed=1", &root.path().join("case 1/a.mtm"));
        let mut config = ServerConfig {
            slides_root: root.path().to_owned(),
            timing_breakdown: true,
            ..ServerConfig::default()
        };
        change(&mut config);
        let app = Arc::new(App::new(&config).expect("decode threads"));
        Self { root, app }
    }

    pub(crate) async fn ask(&self, method: &str, address: &str, headers: &[(&str, &str)]) -> Answer {
        let request = request(method, address, headers);
        let (head, body) = routes::answer(&self.app, request, &Activity::default()).await.into_parts();
        (head.status, head.headers, body.collect().await.expect("a body").to_bytes())
    }

    pub(crate) async fn get(&self, address: &str) -> Answer {
        self.ask("GET", address, &[]).await
    }

    pub(crate) fn slide(&self) -> Slide {
        Slide::open(&self.root.path().join("case 1/a.mtm")).expect("a slide")
    }
}

/// A request as clients make it, who say which host they ask unless `headers` do.
pub(crate) fn request(method: &str, address: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(address);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "tiles.example");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).expect("a request")
}

pub(crate) fn ingest(source: &str, target: &Path) {
    ingest_with(source, target, microtome_ingest::Options::default());
}

pub(crate) fn ingest_with(source: &str, target: &Path, options: microtome_ingest::Options) {
    microtome_ingest::ingest(source, target, options, &Quiet, &AtomicBool::new(false)).expect("an ingest");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn threads_that_answer_wait_for_a_core_as_long_as_a_flood_lasts() {
    use crate::scheduling::tests::{is_usual, policy};
    if !is_usual() {
        return;
    }
    let fixture = Fixture::new();
    let queue = &fixture.app.pipeline.queue;
    fixture.get("/healthz").await;
    assert_eq!(policy(), "0");
    queue.flood(true);
    fixture.get("/healthz").await;
    assert_eq!(policy(), "3");
    queue.flood(false);
    fixture.get("/healthz").await;
    assert_eq!(policy(), "0");
}

#[tokio::test]
async fn a_slide_that_was_written_over_is_asked_for_again_and_is_not_damaged() {
    // Each on a server of its own: one that knows says so before it looks at either.
    for address in ["/tiles/case%201/a/10/1_1.jpg", "/region/case%201/a.jpg?x=300&y=300&w=300&h=300"] {
        let fixture = Fixture::new();
        assert_eq!(fixture.get("/tiles/case%201/a/10/0_0.jpg").await.0, StatusCode::OK);
        let (file, other) = (fixture.root.path().join("case 1/a.mtm"), fixture.root.path().join("b.mtm"));
        ingest("synthetic:1000x700,seed=2", &other);
        // In place: the file that is open is that very one.
        std::fs::write(&file, std::fs::read(&other).expect("the other")).expect("a file");
        let begun = std::time::Instant::now();
        let body = loop {
            let (status, headers, body) = fixture.get(address).await;
            if status == StatusCode::OK {
                break body;
            }
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{address}");
            assert_eq!(headers["retry-after"], "1");
            assert!(begun.elapsed().as_secs() < 10, "{address}: it is never opened anew");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        };
        if address.starts_with("/tiles/") {
            assert!(body == fixture.slide().tile(TileId { level: 0, column: 1, row: 1 }).expect("a tile"));
        }
    }
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
    let (status, headers, _) = fixture.ask("HEAD", address, &[("if-none-match", etag)]).await;
    assert_eq!((status, headers.get("content-length")), (StatusCode::NOT_MODIFIED, None));
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
async fn pages_below_a_path_of_a_proxy_ask_below_it() {
    let fixture = Fixture::with(|config| config.show_names = true);
    for (address, parts) in [
        ("/", &[r#"data-base="/wsi""#, r#"src="/wsi/assets/gallery.js?v="#][..]),
        (
            "/viewer/case%201/a",
            &[
                r#"data-base="/wsi""#,
                r#"src="/wsi/assets/openseadragon/openseadragon.min.js?v="#,
                r#"href="/wsi/""#,
                r#""tiles":"/wsi/dzi/case%201/a_files/""#,
            ],
        ),
    ] {
        let (_, headers, body) = fixture.ask("GET", address, &[("x-forwarded-prefix", "/wsi")]).await;
        let text = std::str::from_utf8(&body).expect("text");
        for part in parts {
            assert!(text.contains(part), "{address}: no {part} in {text}");
        }
        let policy = headers["content-security-policy"].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    }
}

#[tokio::test]
async fn a_title_names_the_slide_only_if_it_may() {
    let title = async |fixture: Fixture| {
        let body = fixture.get("/viewer/case%201/a").await.2;
        let text = String::from_utf8(body.to_vec()).expect("text");
        text.split_once("<title>").and_then(|(_, rest)| rest.split_once('<')).expect("a title").0.to_owned()
    };
    assert_eq!(title(Fixture::new()).await, "Microtome");
    assert_eq!(title(Fixture::with(|config| config.show_names = true)).await, "case 1/a - Microtome");
}

#[tokio::test]
async fn scripts_come_compressed_to_who_takes_that() {
    let fixture = Fixture::new();
    let address = "/assets/openseadragon/openseadragon.min.js";
    let (_, plain, body) = fixture.get(address).await;
    assert!(!plain.contains_key("content-encoding"));
    let (_, compressed, short) = fixture.ask("GET", address, &[("accept-encoding", "gzip, br")]).await;
    assert_eq!(compressed["content-encoding"], "gzip");
    assert!(3 * short.len() < body.len() && short.starts_with(&[0x1f, 0x8b]));
    assert_eq!(
        (&plain["vary"], &compressed["vary"]),
        (&"accept-encoding".parse().expect("a value"), &plain["vary"])
    );
    assert_ne!(plain["etag"], compressed["etag"]);
}

#[tokio::test]
async fn sources_are_served_below_their_root_and_for_slides_only() {
    let sources = tempfile::tempdir().expect("a temporary folder");
    let tiles = sources.path().join("case 1/a_files/0");
    std::fs::create_dir_all(&tiles).expect("folders");
    std::fs::write(sources.path().join("case 1/a.dzi"), "<Image/>").expect("a file");
    std::fs::write(sources.path().join("case 1/other.dzi"), "<Image/>").expect("a file");
    std::fs::write(sources.path().join("secret.txt"), "secret").expect("a file");
    std::fs::write(tiles.join("0_0.png"), "tile").expect("a file");
    let root = sources.path().to_owned();
    let fixture = Fixture::with(move |config| config.source_root = Some(root));
    for (address, content_type, expected) in [
        ("/source/case%201/a.dzi", "application/xml", "<Image/>"),
        ("/source/case%201%2Fa_files/0/0_0.png", "image/png", "tile"),
    ] {
        let (status, headers, body) = fixture.get(address).await;
        assert_eq!((status, &body[..]), (StatusCode::OK, expected.as_bytes()), "{address}");
        assert_eq!(headers["content-type"], content_type);
        assert_eq!(headers["content-security-policy"], "default-src 'none'; sandbox");
    }
    for (address, expected) in [
        ("/source/case%201/other.dzi", 404),
        ("/source/case%201/a_files/1/0_0.png", 404),
        ("/source/case%201/a_files/0/0_0.jpg", 404),
        ("/source/secret.txt", 404),
        ("/source/..%2Fsecret.dzi", 400),
        ("/source/case%201/a_files/..%2F0/0_0.png", 400),
    ] {
        assert_eq!(fixture.get(address).await.0.as_u16(), expected, "{address}");
    }
    let (_, _, page) = fixture.get("/viewer/case%201/a").await;
    assert!(std::str::from_utf8(&page).expect("text").contains(r#""source":true"#));
    let (status, _, body) = Fixture::new().get("/source/case%201/a.dzi").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "not asked for");
    assert!(body.starts_with(b"no sources are shown here"));
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

#[tokio::test]
async fn failures_are_pages_where_a_browser_asks_for_one() {
    let fixture = Fixture::new();
    std::fs::write(fixture.root.path().join("broken.mtm"), b"no container").expect("a file");
    const WINDOW: &[(&str, &str)] = &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    for (address, status, message) in [
        ("/viewer/nope", StatusCode::NOT_FOUND, "No such slide"),
        ("/nope", StatusCode::NOT_FOUND, "No such page"),
        ("/viewer/broken", StatusCode::INTERNAL_SERVER_ERROR, "The slide cannot be opened"),
    ] {
        let (found, headers, body) = fixture.ask("GET", address, WINDOW).await;
        let page = String::from_utf8(body.to_vec()).expect("text");
        assert_eq!(found, status, "{address}");
        assert_eq!(headers["content-type"], "text/html; charset=utf-8", "{address}");
        assert!(page.contains(&format!("<p>{message}")) && page.contains("href=\"/\""), "{page}");
        assert!(headers.contains_key("content-security-policy"), "{address}");
        assert_eq!(headers["cache-control"], "no-store", "{address}");
        for other in ["*/*", "image/avif,image/webp,*/*;q=0.8", "application/json"] {
            let (found, headers, body) = fixture.ask("GET", address, &[("accept", other)]).await;
            assert_eq!(found, status, "{address}");
            assert_eq!(headers["content-type"], "text/plain; charset=utf-8", "{address}");
            assert!(!body.starts_with(b"<"), "{address}");
        }
    }
}

#[tokio::test]
async fn a_request_names_one_host() {
    let fixture = Fixture::new();
    let status_of = async |method: &str, version: http::Version, hosts: usize| {
        let mut request = Request::builder().method(method).version(version).uri("/healthz");
        for _ in 0..hosts {
            request = request.header("host", "tiles.example");
        }
        let request = request.body(Body::empty()).expect("a request");
        routes::answer(&fixture.app, request, &Activity::default()).await.status()
    };
    for (version, hosts, expected) in [
        (http::Version::HTTP_11, 1, StatusCode::OK),
        (http::Version::HTTP_11, 0, StatusCode::BAD_REQUEST),
        (http::Version::HTTP_11, 2, StatusCode::BAD_REQUEST),
        (http::Version::HTTP_10, 0, StatusCode::OK),
        (http::Version::HTTP_10, 2, StatusCode::BAD_REQUEST),
        (http::Version::HTTP_2, 0, StatusCode::OK),
        (http::Version::HTTP_2, 2, StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(status_of("GET", version, hosts).await, expected, "{version:?} {hosts}");
        let preflight = status_of("OPTIONS", version, hosts).await;
        assert_eq!(preflight == StatusCode::BAD_REQUEST, expected == StatusCode::BAD_REQUEST);
    }
}
