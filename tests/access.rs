//! Who is let in, on the built binary: what it refuses to start as, addresses that `sign` makes, and where secrets do not
//! appear.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;
#[path = "support/webdriver.rs"]
#[allow(dead_code, reason = "keys and screenshots are for the viewer's tests")]
mod webdriver;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Server, command, fail, folder, http, skipped, succeed};
use webdriver::Browser;

const KEY: &str = "a-key-of-the-tests-0123456789";
const OLD_KEY: &str = "the-key-before-it-0123456789";
const TOKEN: &str = "the-token-of-the-tests";

/// A slides root with `case 1/a` and `b`.
fn slides() -> tempfile::TempDir {
    let root = folder();
    std::fs::create_dir(root.path().join("case 1")).unwrap();
    let path = root.path().join("b.mtm");
    succeed(["ingest", "synthetic:600x400", "-o", path.to_str().unwrap()]);
    std::fs::copy(&path, root.path().join("case 1/a.mtm")).unwrap();
    root
}

/// What a signed address says after its host, and its query alone.
fn signed(port: u16, arguments: &[&str]) -> (String, String) {
    let base = format!("http://localhost:{port}");
    let mut words = vec!["sign", "--signing-key", KEY, "--base-url", &base];
    words.extend(arguments);
    let url = succeed(words);
    let path = url.trim_end().strip_prefix(&base).unwrap().to_owned();
    let query = path.split_once('?').unwrap().1.to_owned();
    (path, query)
}

#[test]
fn beyond_loopback_someone_must_say_who_may_see_the_slides() {
    let root = folder();
    let root = root.path().to_str().unwrap();
    for host in ["0.0.0.0", "::", "::ffff:0.0.0.0", "192.0.2.1", "::ffff:192.0.2.1"] {
        for words in [&["serve"][..], &[], &["config", "show"]] {
            let flags = ["--slides-root", root, "--port", "0", "--host", host];
            let line = fail(2, [words, &flags].concat());
            for remedy in [host, "--auth-token", "--signing-key", "--jwt-jwks", "--forward-auth", "--public"]
            {
                assert!(line.contains(remedy), "{remedy} in {line}");
            }
        }
    }
    for more in [
        &["--public"][..],
        &["--auth-token", TOKEN],
        &["--signing-key", KEY],
        &["--forward-auth", "http://127.0.0.1:9/", "--base-url", "http://wsi.example"],
    ] {
        let mut server = command();
        server.args(["--slides-root", root, "--port", "0", "--host", "0.0.0.0"]).args(more);
        let mut server = server.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(server.stderr.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("serving http://0.0.0.0:")), "{more:?}");
        server.kill().unwrap();
        server.wait().unwrap();
    }
    for (more, complaint) in [
        (&["--public", "--auth-token", TOKEN][..], "leave one of them out"),
        (&["--auth-token", ""], "--auth-token: is empty"),
        (&["--auth-token", "@/no/such/file"], "/no/such/file: cannot be read"),
        (&["--signing-key", "short"], "--signing-key: has 5 characters and needs 16"),
        (&["--previous-signing-key", KEY], "give --signing-key too"),
        (&["--jwt-issuer", "x"], "give --jwt-jwks too"),
    ] {
        let line = fail(2, [&["--slides-root", root, "--port", "0"], more].concat());
        assert!(line.contains(complaint) && !line.contains(TOKEN), "{line}");
    }
    let line = fail(1, ["--slides-root", root, "--port", "0", "--jwt-jwks", "/no/such.json"]);
    assert!(line.contains("--jwt-jwks: /no/such.json: cannot be read"), "{line}");
}

#[test]
fn what_sign_prints_opens_its_slide_and_no_other() {
    let root = slides();
    let server = Server::start(root.path(), &["--signing-key", KEY]);
    let tiles = ["/tiles/case%201/a/10/0_0.jpg", "/dzi/case%201/a_files/10/0_0.jpg", "/dzi/case%201/a.dzi"];
    let (page, query) = signed(server.port, &["case 1/a"]);
    assert!(page.starts_with("/viewer/case%201/a?access="), "{page}");
    for path in tiles {
        assert_eq!(server.get(path).status, 401, "{path}");
        let opened = server.get(&format!("{path}?{query}"));
        assert_eq!(opened.status, 200, "{path}");
        assert!(opened.header("cache-control").unwrap().starts_with("private"));
    }
    assert_eq!(server.get(&page).status, 200);
    assert_eq!(server.get(&format!("/tiles/b/10/0_0.jpg?{query}")).status, 404);
    let list: Value = serde_json::from_str(server.get(&format!("/slides?{query}")).text()).unwrap();
    assert_eq!((list["slides"].as_array().unwrap().len(), &list["slides"][0]["id"]), (1, &"case 1/a".into()));

    let (page, query) = signed(server.port, &["b", "--scope", "/"]);
    assert!(page.starts_with("/viewer/b?"));
    assert_eq!(server.get(&format!("{}?{query}", tiles[0])).status, 200);
    let (page, _) = signed(server.port, &["case 1/", "--expires", "1s"]);
    assert!(page.starts_with("/?access="), "{page}");
    assert_eq!(server.get(&page).status, 200);
    let start = Instant::now();
    while server.get(&page).status == 200 {
        assert!(start.elapsed() < Duration::from_secs(60), "a second has passed");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(server.get(&page).text().contains("expired"));

    let sign = |more: &[&'static str]| [&["sign", "--signing-key", KEY][..], more].concat();
    let json: Value = serde_json::from_str(&succeed(sign(&["b", "--json", "--expires", "2d"]))).unwrap();
    assert_eq!(json["scope"], "b");
    assert!(json["url"].as_str().unwrap().ends_with(json["access"].as_str().unwrap()));
    assert!(fail(2, sign(&["b", "--scope", "case 1/"])).contains("b: --scope case 1/ does not open it"));
    for wrong in
        [&["../b"][..], &["b", "--expires", "0s"], &["b", "--expires", "soon"], &["b", "--scope", "*//"]]
    {
        assert_eq!(support::microtome(sign(wrong)).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn keys_are_rotated_without_breaking_addresses() {
    let root = slides();
    let old = succeed(["sign", "b", "--signing-key", OLD_KEY]);
    let old = format!("/tiles/b/10/0_0.jpg?{}", old.trim_end().split_once('?').unwrap().1);
    let status = |flags: &[&str]| {
        let server = Server::start(root.path(), flags);
        let (_, new) = signed(server.port, &["b"]);
        [server.get(&old).status, server.get(&format!("/tiles/b/10/0_0.jpg?{new}")).status]
    };
    assert_eq!(status(&["--signing-key", OLD_KEY]), [200, 401]);
    assert_eq!(status(&["--signing-key", KEY, "--previous-signing-key", OLD_KEY]), [200, 200]);
    assert_eq!(status(&["--signing-key", KEY]), [401, 200]);
}

#[test]
fn secrets_come_from_files_and_the_environment_and_are_printed_nowhere() {
    let (root, settings) = (slides(), folder());
    let token_file = settings.path().join("token");
    std::fs::write(&token_file, format!("{TOKEN}\n")).unwrap();
    let file = settings.path().join("microtome.toml");
    std::fs::write(&file, format!("signing_key = '{KEY}'\nauth_token = '@{}'\n", token_file.display()))
        .unwrap();
    let file = file.to_str().unwrap();

    let show = |json: &[&str]| {
        let mut show = command();
        show.args(["config", "show", "--config", file])
            .args(json)
            .env("MICROTOME_PREVIOUS_SIGNING_KEY", OLD_KEY);
        let output = show.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let shown: Value = serde_json::from_str(&show(&["--json"])).unwrap();
    assert_eq!(shown["signing_key"], serde_json::json!({ "value": "***", "source": "file" }));
    assert_eq!(shown["previous_signing_key"], serde_json::json!({ "value": "***", "source": "environment" }));
    assert_eq!(shown["auth_token"]["value"], format!("@{}", token_file.display()));
    let help = command().args(["serve", "--help"]).env("MICROTOME_AUTH_TOKEN", TOKEN).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("MICROTOME_AUTH_TOKEN"));

    let server = Server::start(root.path(), &["--config", file, "--log-level", "trace"]);
    let (page, query) = signed(server.port, &["b"]);
    let bearer = format!("Bearer {TOKEN}");
    let answers = [
        server.request("GET", "/slides", &[("Authorization", &bearer)]),
        server.request("GET", &format!("/?token={TOKEN}"), &[("Accept", "text/html")]),
        server.request("GET", &page, &[("Accept", "text/html")]),
        server.get(&format!("/tiles/b/10/0_0.jpg?{query}")),
        server.request("GET", "/metrics", &[("Authorization", &bearer)]),
    ];
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(server.get(&format!("/tiles/b/10/0_0.jpg?{query}x")).status, 401);
    assert_eq!(server.request("GET", "/slides", &[("Authorization", &format!("{bearer}x"))]).status, 401);
    let cookie = answers[1].header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(server.request("GET", "/tiles/b/10/0_0.jpg", &[("Cookie", &cookie)]).status, 200);
    let said: Vec<String> =
        std::iter::from_fn(|| server.log.recv_timeout(Duration::from_secs(1)).ok()).collect();
    let said = said.join("\n");
    assert!(said.contains("/tiles/b/10/0_0.jpg"), "requests are logged: {said}");
    let code = query.rsplit('.').next().unwrap();
    let bodies: String =
        answers.iter().map(|answer| String::from_utf8_lossy(&answer.body).into_owned()).collect();
    for secret in [TOKEN, KEY, OLD_KEY, code, &cookie] {
        for (place, text) in [("log", &said), ("help", &help), ("settings", &show(&[])), ("answers", &bodies)]
        {
            assert!(!text.contains(secret), "{secret} in the {place}");
        }
    }
}

#[test]
fn a_misspelled_setting_gives_no_secret_away() {
    let folder = folder();
    let file = folder.path().join("microtome.toml");
    for toml in ["auth_tokn = 'hunter2hunter2'", "auth_token = ['hunter2hunter2']"] {
        std::fs::write(&file, toml).unwrap();
        let line = fail(2, ["--config", file.to_str().unwrap()]);
        assert!(line.contains("auth_tok") && !line.contains("hunter2"), "{line}");
    }
}

#[test]
fn cookies_are_for_tls_alone_where_there_is_tls() {
    let curl = std::process::Command::new("curl").arg("--version").output();
    if !curl.is_ok_and(|output| output.status.success()) {
        skipped("curl is not there");
        return;
    }
    let (root, keys) = (slides(), folder());
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| keys.path().join(name).display().to_string());
    std::fs::write(Path::new(&cert), pair.cert.pem()).unwrap();
    std::fs::write(Path::new(&key), pair.signing_key.serialize_pem()).unwrap();
    let server = Server::start(
        root.path(),
        &[
            "--tls-cert",
            &cert,
            "--tls-key",
            &key,
            "--signing-key",
            KEY,
            "--base-url",
            "https://localhost/wsi",
        ],
    );
    let url = format!("https://localhost:{}", server.port);
    let url = succeed(["sign", "b", "--signing-key", KEY, "--base-url", &url]);
    let mut curl = std::process::Command::new("curl");
    let output = curl.args(["-s", "-k", "-i", "-H", "Accept: text/html", url.trim_end()]).output().unwrap();
    let head = String::from_utf8_lossy(&output.stdout).into_owned();
    let cookie = head.lines().find(|line| line.to_lowercase().starts_with("set-cookie:")).unwrap();
    assert!(cookie.ends_with("; Path=/wsi/; HttpOnly; SameSite=Strict; Secure"), "{cookie}");
    assert!(head.contains("0;url=/wsi/viewer/b\""), "{head}");
}

#[test]
fn odd_requests_open_nothing() {
    let root = slides();
    let server = Server::start(root.path(), &["--auth-token", TOKEN]);
    for path in [
        "/healthz/../slides",
        "/assets/../slides",
        "/assets/..%2fslides",
        "//slides",
        "/slides?/assets/",
        "/slides#/healthz",
        "/slides;/assets/",
        "http://localhost/slides",
        "/slides%00/healthz",
    ] {
        let answer = http(server.port, "GET", path, &[], b"");
        assert!(matches!(answer.status, 400 | 401 | 404), "{path}: {}", answer.status);
        assert!(!answer.text().contains("case 1"), "{path}");
    }
    let override_path =
        [("X-Original-URL", "/healthz"), ("X-Forwarded-Uri", "/healthz"), ("X-Rewrite-URL", "/healthz")];
    assert_eq!(server.request("GET", "/slides", &override_path).status, 401);
    let two = [("Authorization", "Basic x"), ("Authorization", &format!("Bearer {TOKEN}"))];
    assert_eq!(
        server.request("GET", "/slides", &two.map(|(name, value)| (name, value))).status,
        401,
        "the first counts"
    );
}

/// A site of another name than the server's, with one page that has a link.
fn elsewhere(link: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    let page = format!("<!doctype html><title>elsewhere</title><a href=\"{link}\">the slide</a>");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close";
            let _ = write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{page}", page.len());
        }
    });
    url
}

/// Statuses of the tiles that the page has asked for.
const TILES: &str = "performance.getEntriesByType('resource').filter(e => /\\d+_\\d+\\.jpg/.test(e.name)).map(e => e.responseStatus)";

#[test]
fn a_signed_link_on_another_site_opens_the_viewer_with_its_tiles() {
    let root = slides();
    let server = Server::start(root.path(), &["--signing-key", KEY]);
    let base = format!("http://localhost:{}", server.port);
    let (page, _) = signed(server.port, &["case 1/a"]);
    let browser = Browser::open(900, 650);
    browser.go(&elsewhere(&format!("{base}{page}")));
    browser.evaluate("(document.querySelector('a').click(), true)");
    browser.wait_until(&format!("location.pathname.startsWith('/viewer/@') && {TILES}.length > 0"));
    browser.wait_until(&format!("{TILES}.every(status => status === 200)"));
    assert_eq!(browser.evaluate("location.search + document.cookie + document.referrer"), "");
    // What the link is not for is absent, in the list too.
    let status = |path: &str| browser.evaluate(&format!("fetch('{path}').then(r => r.status)"));
    assert_eq!((status("/dzi/b.dzi"), status("/dzi/case%201/a.dzi")), (404.into(), 200.into()));
    browser.go(&format!("{base}/"));
    browser.wait_until("document.querySelector('a[href*=\"/viewer/case%201/a\"]') !== null");
    assert_eq!(browser.evaluate("document.querySelectorAll('a[href*=\"/viewer/b\"]').length"), 0);
    browser.go(&format!("{base}/viewer/b"));
    browser.wait_until("document.body.textContent.includes('No such slide')");
    // Someone else's browser has nothing.
    assert_eq!(server.request("GET", "/viewer/case%201/a", &[("Accept", "text/html")]).status, 401);
}
