//! The door as a whole, through the table of addresses: what is closed, what opens it, and what can't be told from outside.

#![allow(clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::access::{AccessConfig, Scope, Secret, SigningKey, is_open, make_private, now};
use crate::activity::Activity;
use crate::app::App;
use crate::config::ServerConfig;
use crate::http_tests::ingest;
use crate::routes::{self, ADDRESSES};

const TOKEN: &str = "the token of the tests";
const KEY: &str = "a key of the tests";
const OLD_KEY: &str = "the key before it";

/// A page's request, as browsers make it.
pub(super) const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

fn secret(text: &str) -> Secret {
    Secret::read(text).expect("a secret")
}

fn ticket_of(key: &str, scope: &str, seconds: i64) -> String {
    let scope: Scope = scope.parse().expect("a scope");
    SigningKey::new(&secret(key)).ticket(&scope, now().saturating_add_signed(seconds))
}

fn ticket(scope: &str) -> String {
    ticket_of(KEY, scope, 1000)
}

type Answer = (StatusCode, HeaderMap, Bytes);

/// Slides `case/a`, `case/b`, `cases/a` and `other`, and a server of them.
pub(super) struct Guarded {
    root: TempDir,
    app: Arc<App>,
}

impl Guarded {
    fn new() -> Self {
        Self::with(|config| {
            config.access.auth_token = Some(secret(TOKEN));
            config.access.signing_keys = vec![secret(KEY), secret(OLD_KEY)];
        })
    }

    pub(super) fn with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        for folder in ["case", "cases"] {
            std::fs::create_dir(root.path().join(folder)).expect("a folder");
        }
        let first = root.path().join("other.mtm");
        ingest("synthetic:600x400,seed=1", &first);
        for copy in ["case/a", "case/b", "cases/a"] {
            std::fs::copy(&first, root.path().join(format!("{copy}.mtm"))).expect("a copy");
        }
        let mut config = ServerConfig { slides_root: root.path().to_owned(), ..ServerConfig::default() };
        change(&mut config);
        let app = Arc::new(App::new(&config).expect("an app"));
        if tokio::runtime::Handle::try_current().is_ok() {
            tokio::spawn(app.upkeep());
        }
        Self { root, app }
    }

    pub(super) fn root(&self) -> std::path::PathBuf {
        self.root.path().to_owned()
    }

    pub(super) async fn ask(&self, method: &str, address: &str, headers: &[(&str, &str)]) -> Answer {
        let request = crate::http_tests::request(method, address, headers);
        let (mut head, body) = routes::answer(&self.app, request, &Activity::default()).await.into_parts();
        head.headers.remove("x-request-id").expect("an id");
        (head.status, head.headers, body.collect().await.expect("a body").to_bytes())
    }

    pub(super) async fn get(&self, address: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", address, headers).await
    }

    pub(super) async fn status(&self, address: &str, headers: &[(&str, &str)]) -> u16 {
        self.get(address, headers).await.0.as_u16()
    }
}

/// Addresses of a slide, `SLIDE` in place of its name.
const OF_SLIDES: [&str; 19] = [
    "/slides/SLIDE",
    "/region/SLIDE.png?x=0&y=0&width=9&height=9",
    "/region/SLIDE.jpg?x=nonsense",
    "/thumbnail/SLIDE.jpg",
    "/associated/SLIDE/label",
    "/histogram/SLIDE",
    "/dzi254/SLIDE.dzi",
    "/dzi254/SLIDE_files/10/1_1.jpg",
    "/xyz/SLIDE/0/0/0.jpg",
    "/zoomify/SLIDE/ImageProperties.xml",
    "/iiif/2/SLIDE/info.json",
    "/iiif/3/SLIDE",
    "/iiif/3/SLIDE/full/max/0/default.jpg",
    "/iiif/presentation/3/SLIDE/manifest",
    "/viewer/SLIDE",
    "/tiles/SLIDE/9/0_0.jpg",
    "/tiles/SLIDE/99/0_0.jpg",
    "/dzi/SLIDE.dzi",
    "/dzi/SLIDE_files/10/1_1.jpg",
];

#[tokio::test]
async fn all_addresses_are_closed_but_those_that_say_nothing() {
    let guarded = Guarded::new();
    let mut addresses: Vec<String> = ADDRESSES.iter().map(|(path, _)| format!("{path}x")).collect();
    addresses.extend(ADDRESSES.map(|(path, _)| path.to_owned()));
    addresses.extend(OF_SLIDES.map(|address| address.replace("SLIDE", "case/a")));
    for address in [
        "/nothing",
        "/iiif/3/case/a/info.json",
        "/dicomweb/studies",
        "/healthz/",
        "/healthz/x",
        "/%68ealthz",
        "/HEALTHZ",
        "/assets",
        "//assets/x",
        "/x/../assets/viewer.js",
        "/slides?x=/assets/",
        "/slides?access=",
        "/slides?token=the%20token%20of%20the%20tests",
    ] {
        addresses.push(address.to_owned());
    }
    let mut open = Vec::new();
    for address in &addresses {
        for method in ["GET", "HEAD", "POST"] {
            let (status, headers, body) = guarded.ask(method, address, &[]).await;
            if status != StatusCode::UNAUTHORIZED {
                open.push((method, address.as_str()));
                continue;
            }
            let challenge = headers["www-authenticate"].to_str().expect("text");
            let shown = address.contains("access=") || address.contains("token=");
            assert!(challenge.starts_with(r#"Bearer realm="microtome""#), "{challenge}");
            assert_eq!(challenge.contains("invalid_token"), shown, "{address}");
            assert_eq!(headers["cache-control"], "no-store");
            assert!(!headers.contains_key("etag") && body.len() < 200, "{address}");
        }
    }
    open.retain(|(method, _)| *method == "GET");
    let open: Vec<&str> = open.into_iter().map(|(_, address)| address).collect();
    assert_eq!(open, ["/assets/x", "/assets/", "/healthz", "/readyz"]);
    // The open ones lead nowhere else.
    assert_eq!(guarded.status("/assets/../slides", &[]).await, 404);
    assert_eq!(guarded.status("/assets/%2e%2e/slides", &[]).await, 404);
    assert_eq!(guarded.status("/assets/viewer.js", &[]).await, 200);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_path_is_open_by_its_looks(path in "(/(healthz|readyz|assets|slides|tiles|%2e%2e|[.a;%]{1,3})){1,4}/?") {
        let expected = path == "/healthz" || path == "/readyz" || path.starts_with("/assets/");
        prop_assert_eq!(is_open(&path), expected);
    }
}

#[tokio::test]
async fn a_slide_outside_the_scope_is_just_absent() {
    let guarded = Guarded::new();
    let scoped = ticket("case/");
    let bearer = format!("Bearer {scoped}");
    let bearer = ("authorization", bearer.as_str());
    for address in OF_SLIDES.iter().chain(&[
        "/tiles/SLIDE/x/0_0.jpg",
        "/tiles/SLIDE/9/0_0.gif",
        "/dzi/SLIDE",
        "/source/SLIDE.dzi",
    ]) {
        for headers in [&[bearer][..], &[bearer, ("if-none-match", "*")], &[bearer, BROWSER]] {
            for method in ["GET", "HEAD", "POST"] {
                let with = |slide: &str, how: &str| format!("{}{how}", address.replace("SLIDE", slide));
                let absent = guarded.ask(method, &with("absent", ""), headers).await;
                for slide in ["other", "cases/a", "case%2fx", "%63ase", "case%252Fa"] {
                    let hidden = guarded.ask(method, &with(slide, ""), headers).await;
                    assert_eq!(hidden, absent, "{method} {} {headers:?}", with(slide, ""));
                }
                let parameter = if address.contains('?') { "&" } else { "?" };
                let versioned = with("other", &format!("{parameter}v=0123456789abcdef"));
                assert_eq!(guarded.ask(method, &versioned, headers).await, absent);
            }
        }
    }
    let mut answered = 0;
    for address in OF_SLIDES {
        let (status, _, _) = guarded.get(&address.replace("SLIDE", "case/a"), &[bearer]).await;
        answered += usize::from(matches!(status.as_u16(), 200 | 303));
    }
    assert!(
        answered >= OF_SLIDES.len() - 3,
        "a wrong level, nonsense, and a label are not there: {answered}"
    );
    for slide in ["case/a", "case%2Fb", "c%61se/a", "case%2f%61"] {
        let address = format!("/tiles/{slide}/9/0_0.jpg?access={scoped}");
        assert_eq!(guarded.status(&address, &[]).await, 200, "{address}");
    }
}

#[tokio::test]
async fn a_folder_opens_what_is_in_it_and_a_slide_itself() {
    let guarded = Guarded::new();
    for (scope, opened) in [
        ("/", &["case/a", "case/b", "cases/a", "other"][..]),
        ("case/", &["case/a", "case/b"]),
        ("case/a", &["case/a"]),
        ("cas/", &[]),
        ("case/a/", &[]),
        ("othe", &[]),
    ] {
        let ticket = ticket(scope);
        for slide in ["case/a", "case/b", "cases/a", "other"] {
            let expected = if opened.contains(&slide) { 200 } else { 404 };
            for address in ["/viewer/SLIDE", "/tiles/SLIDE/9/0_0.jpg", "/dzi/SLIDE.dzi"] {
                let address = format!("{}?access={ticket}", address.replace("SLIDE", slide));
                assert_eq!(guarded.status(&address, &[]).await, expected, "{scope}: {address}");
            }
        }
        let (status, _, list) = guarded.get(&format!("/slides?access={ticket}"), &[]).await;
        let list: serde_json::Value = serde_json::from_slice(&list).expect("JSON");
        let slides = list["slides"].as_array().expect("a list");
        let ids: Vec<_> = slides.iter().map(|slide| slide["id"].as_str().expect("an id")).collect();
        assert_eq!((status, &ids[..]), (StatusCode::OK, opened), "{scope}");
        let expected = if scope == "/" { 200 } else { 404 };
        assert_eq!(guarded.status(&format!("/metrics?access={ticket}"), &[]).await, expected, "{scope}");
    }
}

#[tokio::test]
async fn the_token_and_tickets_are_bearers_too_and_what_is_not_good_is_nothing() {
    let guarded = Guarded::new();
    let tile = "/tiles/case/a/9/0_0.jpg";
    let status = async |value: &str| guarded.status(tile, &[("authorization", value)]).await;
    assert_eq!(status(&format!("Bearer {TOKEN}")).await, 200);
    assert_eq!(status(&format!("bearer {TOKEN}")).await, 200);
    assert_eq!(status(&format!("Bearer {}", ticket("case/a"))).await, 200);
    assert_eq!(status(&format!("Bearer {}", ticket_of(OLD_KEY, "case/a", 9))).await, 200);
    for bad in [
        format!("Bearer {TOKEN}x"),
        format!("Bearer {}", &TOKEN[1..]),
        format!("Bearer {}", TOKEN.to_uppercase()),
        format!("Basic {TOKEN}"),
        TOKEN.to_owned(),
        "Bearer ".to_owned(),
        "Bearer".to_owned(),
        format!("Bearer {KEY}"),
        format!("Bearer {}", ticket_of("another key of no server", "case/a", 1000)),
        format!("Bearer {}", ticket_of(KEY, "case/a", -1)),
        format!("Bearer {}", ticket_of(TOKEN, "/", 1000)),
        format!("Bearer {}x", ticket("case/a")),
    ] {
        assert_eq!(status(&bad).await, 401, "{bad}");
    }
    // One that is good suffices, whatever else is shown.
    let both = format!("{tile}?access=nonsense&access={}", ticket("case/a"));
    assert_eq!(guarded.status(&both, &[("authorization", "Bearer nonsense")]).await, 200);
    let escaped = format!("{tile}?access={}", ticket("case/a").replace('.', "%2E"));
    assert_eq!(guarded.status(&escaped, &[]).await, 401, "there is one spelling of a ticket");
}

#[tokio::test]
async fn who_is_refused_is_told_why() {
    let guarded = Guarded::new();
    for (address, headers, reason) in [
        ("/viewer/case/a".to_owned(), &[][..], "is missing"),
        ("/viewer/case/a?access=x".to_owned(), &[], "is not good here"),
        (format!("/?access={}", ticket_of(KEY, "/", -5)), &[], "has expired"),
        ("/?token=wrong".to_owned(), &[], "is not good here"),
        ("/slides".to_owned(), &[("authorization", "Bearer x")], "is not good here"),
    ] {
        let (status, line, text) = guarded.get(&address, headers).await;
        assert_eq!(
            (status, &line["content-type"]),
            (StatusCode::UNAUTHORIZED, &"text/plain; charset=utf-8".parse().expect("a value"))
        );
        let text = std::str::from_utf8(&text).expect("text");
        assert!(text.contains(reason) && text.lines().count() == 1, "{address}: {text}");
        let (status, page, html) = guarded.get(&address, &[headers, &[BROWSER]].concat()).await;
        assert_eq!(
            (status, &page["content-type"]),
            (StatusCode::UNAUTHORIZED, &"text/html; charset=utf-8".parse().expect("a value"))
        );
        assert!(std::str::from_utf8(&html).expect("text").contains(reason));
        assert_eq!(
            (&page["referrer-policy"], &page["cache-control"]),
            (&"no-referrer".parse().expect("a value"), &"no-store".parse().expect("a value"))
        );
    }
}

/// The cookies that an answer sets, as `name=value`, and all their attributes.
fn set_cookies(headers: &HeaderMap) -> Vec<(String, String)> {
    let lines = headers.get_all("set-cookie").iter().map(|line| line.to_str().expect("text"));
    lines.filter_map(|line| line.split_once("; ")).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
}

#[tokio::test]
async fn a_browser_gets_a_cookie_of_the_links_scope_and_goes_on_without_it() {
    let guarded = Guarded::new();
    let link = format!("/viewer/case%2Fa?x=1&access={}&y=\"", ticket("case/a"));
    let (status, headers, html) = guarded.get(&link.replace('"', "%22"), &[BROWSER]).await;
    assert_eq!((status, &headers["cache-control"]), (StatusCode::OK, &"no-store".parse().expect("a value")));
    let html = std::str::from_utf8(&html).expect("text");
    assert!(html.contains(r#"content="0;url=/viewer/case%2Fa?x=1&amp;y=%22""#), "{html}");
    assert!(!html.contains("access="), "{html}");
    let [(cookie, attributes)] = &set_cookies(&headers)[..] else { panic!("one cookie: {headers:?}") };
    assert_eq!(attributes, "Max-Age=1000; Path=/; HttpOnly; SameSite=Strict");

    let status = async |address: &str, cookies: &str| guarded.status(address, &[("cookie", cookies)]).await;
    assert_eq!(status("/viewer/case%2Fa?x=1", &format!("theme=dark; {cookie}")).await, 200);
    assert_eq!(status("/tiles/case/a/9/0_0.jpg", cookie).await, 200);
    assert_eq!(status("/tiles/case/b/9/0_0.jpg", cookie).await, 404);
    assert_eq!(status("/tiles/case/a/9/0_0.jpg", &format!("{cookie}x")).await, 401);

    // A second link has a cookie beside it.
    let (_, headers, _) = guarded.get(&format!("/?access={}", ticket("cases/")), &[BROWSER]).await;
    let second = &set_cookies(&headers)[0].0;
    let both = format!("{cookie}; {second}");
    for (slide, expected) in [("case/a", 200), ("cases/a", 200), ("case/b", 404)] {
        assert_eq!(status(&format!("/dzi/{slide}.dzi"), &both).await, expected, "{slide}");
    }
    // Scripts get what they asked for, and no cookie; so do images.
    let (status, headers, html) = guarded.get(&link.replace('"', ""), &[]).await;
    assert!(status == StatusCode::OK && set_cookies(&headers).is_empty());
    assert!(std::str::from_utf8(&html).expect("text").contains("case/a"));
}

#[tokio::test]
async fn a_pseudonym_is_no_permission() {
    let guarded = Guarded::new();
    let bearer = |scope| format!("Bearer {}", ticket(scope));
    let (all, one) = (bearer("/"), bearer("case/b"));
    let (_, headers, _) = guarded.get("/viewer/case/a", &[("authorization", &all), BROWSER]).await;
    let page = headers["location"].to_str().expect("text");
    assert_eq!(guarded.status(page, &[("authorization", &all)]).await, 200);
    let nothing = "/viewer/@0123456789abcdef";
    for headers in [&[("authorization", &*one)][..], &[]] {
        let absent = guarded.get(nothing, headers).await;
        assert_eq!(guarded.get(page, headers).await, absent, "it is as if there were none");
        assert_eq!(absent.0.as_u16(), if headers.is_empty() { 401 } else { 404 });
    }
    let link = format!("{page}?access={}", ticket("case/a"));
    let (_, _, html) = guarded.get(&link, &[BROWSER]).await;
    assert!(
        std::str::from_utf8(&html).expect("text").contains(&format!("0;url={page}\"")),
        "still without the name"
    );
}

#[tokio::test]
async fn the_token_in_a_pages_address_becomes_a_session_and_is_never_given_out() {
    let guarded = Guarded::new();
    let login = format!("/?token={}", TOKEN.replace(' ', "%20"));
    let (status, headers, html) = guarded.get(&login, &[BROWSER]).await;
    assert_eq!(status, StatusCode::OK);
    let [(cookie, attributes)] = &set_cookies(&headers)[..] else { panic!("one cookie") };
    assert_eq!(attributes, "Max-Age=43200; Path=/; HttpOnly; SameSite=Strict");
    let said = format!("{headers:?}{html:?}");
    assert!(!said.contains("token"), "{said}");
    for address in ["/tiles/other/9/0_0.jpg", "/metrics", "/slides"] {
        assert_eq!(guarded.status(address, &[("cookie", cookie)]).await, 200, "{address}");
    }
    // Another token's server does not know it.
    let other = Guarded::with(|config| config.access.auth_token = Some(secret("another token")));
    assert_eq!(other.status("/slides", &[("cookie", cookie)]).await, 401);
}

#[tokio::test]
async fn cookies_know_where_the_server_is_and_do_not_pile_up() {
    let proxied =
        [BROWSER, ("x-forwarded-proto", "https"), ("x-forwarded-host", "h"), ("x-forwarded-prefix", "/wsi")];
    let guarded = Guarded::new();
    let (_, headers, html) = guarded.get(&format!("/?access={}", ticket("/")), &proxied).await;
    assert_eq!(set_cookies(&headers)[0].1, "Max-Age=1000; Path=/wsi/; HttpOnly; SameSite=Strict; Secure");
    assert!(std::str::from_utf8(&html).expect("text").contains(r#""0;url=/wsi/""#));
    let many: Vec<String> = (0..16).map(|n| format!("microtome-{n}=x")).collect();
    let headers = [BROWSER, ("cookie", &many.join("; "))];
    let (_, headers, _) = guarded.get(&format!("/?access={}", ticket("/")), &headers).await;
    let set = set_cookies(&headers);
    assert_eq!(set.len(), 17);
    assert!(
        set[..16].iter().all(|(pair, rest)| pair.ends_with('=') && rest.starts_with("Max-Age=0; Path=/;"))
    );
    assert!(set[16].1.starts_with("Max-Age=1000"), "the new one comes last");
}

#[tokio::test]
async fn answers_stay_with_who_asked() {
    let guarded = Guarded::new();
    let access = ticket("case/");
    let content_id = microtome_slide::Slide::open(&guarded.root.path().join("other.mtm")).expect("a slide");
    let version = &content_id.content_id().to_string()[..16];
    let tile = "/tiles/case/a/9/0_0.jpg";
    let (_, headers, _) = guarded.get(&format!("{tile}?access={access}"), &[]).await;
    assert_eq!(headers["cache-control"], "private, no-cache");
    let etag = headers["etag"].to_str().expect("text");
    let (status, headers, _) =
        guarded.get(&format!("{tile}?access={access}"), &[("if-none-match", etag)]).await;
    assert_eq!(
        (status.as_u16(), &headers["cache-control"]),
        (304, &"private, no-cache".parse().expect("a value"))
    );
    let (_, headers, _) = guarded.get(&format!("{tile}?access={access}&v={version}"), &[]).await;
    assert_eq!(headers["cache-control"], "private, max-age=31536000, immutable");
    for address in ["/slides", "/viewer/case/a", "/dzi/case/a.dzi"] {
        let (_, headers, _) = guarded.get(&format!("{address}?access={access}"), &[]).await;
        assert_eq!(headers["cache-control"], "private, no-cache", "{address}");
    }
    let (_, headers, _) = guarded.get("/assets/viewer.js", &[]).await;
    assert_eq!(headers["cache-control"], "public, no-cache");
    // An unchanged tile is told to nobody who may not see it.
    assert_eq!(guarded.status(tile, &[("if-none-match", etag)]).await, 401);
    assert_eq!(
        guarded.status(&format!("/tiles/other/9/0_0.jpg?access={access}"), &[("if-none-match", etag)]).await,
        404
    );
}

#[test]
fn whatever_may_be_cached_becomes_private() {
    for (said, expected) in [
        ("", "private"),
        ("no-store", "no-store"),
        ("no-cache", "private, no-cache"),
        ("public, no-cache", "private, no-cache"),
        ("public, max-age=31536000, immutable", "private, max-age=31536000, immutable"),
        ("max-age=60,public", "private, max-age=60"),
        ("public", "private"),
    ] {
        let mut headers = HeaderMap::new();
        if !said.is_empty() {
            headers.insert("cache-control", said.parse().expect("a value"));
        }
        make_private(&mut headers);
        assert_eq!(headers["cache-control"], expected, "{said}");
    }
}

#[tokio::test]
async fn pages_elsewhere_need_a_credential_of_their_own() {
    let guarded = Guarded::new();
    let tile = format!("/tiles/case/a/9/0_0.jpg?access={}", ticket("case/a"));
    let (status, headers, _) = guarded.get(&tile, &[("origin", "https://elsewhere")]).await;
    assert_eq!(
        (status.as_u16(), &headers["access-control-allow-origin"]),
        (200, &"*".parse().expect("a value"))
    );
    assert!(!headers.contains_key("access-control-allow-credentials"));
    let preflight = [("origin", "https://elsewhere"), ("access-control-request-headers", "authorization")];
    let (status, headers, body) = guarded.ask("OPTIONS", "/tiles/case/a/9/0_0.jpg", &preflight).await;
    assert_eq!((status.as_u16(), body.len()), (200, 0));
    assert_eq!(headers["access-control-allow-headers"], "*,authorization");
}

#[tokio::test]
async fn without_settings_all_is_as_it_was() {
    let open = Guarded::with(|config| config.show_names = true);
    for address in ["/slides", "/metrics", "/", "/viewer/case/a", "/tiles/other/9/0_0.jpg?access=x&token=y"] {
        let (status, headers, _) = open.get(address, &[BROWSER]).await;
        assert_eq!(status, StatusCode::OK, "{address}");
        assert!(!headers["cache-control"].to_str().expect("text").contains("private"), "{address}");
        assert!(!headers.contains_key("set-cookie"));
    }
    assert!(!AccessConfig::default().is_on());
}
