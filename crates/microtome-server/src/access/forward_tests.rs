//! Questions to other services, on small servers of the tests' own: whether a request may pass, and what the keys are.

#![allow(clippy::panic, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::access::client::{self, Client};
use crate::access::jwt::JwtConfig;
use crate::access::secret::Secret;
use crate::access::tests::{BROWSER, Guarded};

/// A server that gives every request to a function, and its answer back as it is; an empty one never.
struct Service {
    url: String,
    /// Heads of requests, in small letters.
    heads: Arc<Mutex<Vec<String>>>,
}

impl Service {
    async fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/check?from=tiles", listener.local_addr().expect("an address"));
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let (seen, answer) = (Arc::clone(&heads), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.unwrap_or(b'\n'));
                    }
                    let head = String::from_utf8_lossy(&head).to_lowercase();
                    let answer = answer(&head);
                    seen.lock().expect("the heads").push(head);
                    if answer.is_empty() {
                        std::future::pending::<()>().await;
                    }
                    // Some are not waited for.
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self { url, heads }
    }

    fn asked(&self) -> usize {
        self.heads.lock().expect("the heads").len()
    }

    fn last(&self) -> String {
        self.heads.lock().expect("the heads").last().expect("a question").clone()
    }

    fn guarded(&self) -> Guarded {
        guarded_by(&self.url)
    }
}

fn guarded_by(url: &str) -> Guarded {
    Guarded::with(|config| config.access.forward_auth = Some(url.to_owned()))
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
}

/// Lets in whoever has the cookie `user=ann`; sends others to log in.
fn ann_alone(head: &str) -> String {
    match head.contains("user=ann") {
        true => answer("204 No Content", "", ""),
        false => answer(
            "302 Found",
            "Location: https://id.example/login\r\nSet-Cookie: csrf=1\r\nX-Inner: secret\r\nCache-Control: public\r\n",
            "log in",
        ),
    }
}

const ANN: (&str, &str) = ("cookie", "user=ann");

#[tokio::test]
async fn the_service_decides_and_its_refusal_goes_to_the_client() {
    let service = Service::start(ann_alone).await;
    let guarded = service.guarded();
    for address in ["/tiles/case/a/9/0_0.jpg", "/slides", "/metrics", "/viewer/other"] {
        let (status, headers, _) = guarded.get(address, &[ANN]).await;
        assert_eq!(status, 200, "{address}");
        assert!(headers["cache-control"].to_str().expect("text").starts_with("private"), "{address}");
        let (status, headers, body) = guarded.get(address, &[("cookie", "user=bob")]).await;
        assert_eq!(
            (status.as_u16(), &headers["location"]),
            (302, &"https://id.example/login".parse().expect("a value"))
        );
        assert_eq!(
            (&headers["set-cookie"], &headers["cache-control"]),
            (&"csrf=1".parse().expect("a value"), &"no-store".parse().expect("a value"))
        );
        assert!(!headers.contains_key("x-inner"));
        assert_eq!(body, "log in");
    }
    let asked = service.asked();
    assert_eq!(guarded.status("/healthz", &[]).await, 200);
    assert_eq!(guarded.status("/assets/viewer.js", &[]).await, 200);
    assert_eq!(service.asked(), asked, "open addresses are nobody's business");
}

#[tokio::test]
async fn a_pseudonym_opens_what_the_name_does_and_shows_it_to_no_stranger() {
    // Ann may see slides, but not those of a case.
    // It goes by how addresses begin.
    let is_of_a_case = |head: &str| {
        let uri = head.lines().find_map(|line| line.strip_prefix("x-forwarded-uri: /")).unwrap_or_default();
        uri.trim_start_matches("iiif/").split('/').nth(1) == Some("case")
    };
    let service = Service::start(move |head| match is_of_a_case(head) {
        true => answer("403 Forbidden", "", ""),
        false => ann_alone(head),
    })
    .await;
    let guarded = service.guarded();
    let page =
        guarded.get("/viewer/other", &[ANN, BROWSER]).await.1["location"].to_str().expect("text").to_owned();
    assert_eq!(guarded.status(&page, &[ANN]).await, 200);
    let open = Guarded::with(|config| config.slides_root = guarded.root());
    let hidden =
        open.get("/viewer/case/a", &[BROWSER]).await.1["location"].to_str().expect("text").to_owned();
    assert_eq!(guarded.status(&hidden, &[ANN]).await, 404);
    let told: Vec<String> = service.heads.lock().expect("the heads").iter().rev().take(2).cloned().collect();
    assert!(told[0].contains("x-forwarded-uri: /viewer/case/a\r"), "{told:?}");
    assert!(told[1].contains(&format!("x-forwarded-uri: {hidden}\r")), "{told:?}");
    let pseudonym = hidden.replace("/viewer/", "");
    for address in [
        "/viewer/SLIDE",
        "/slides/SLIDE",
        "/thumbnail/SLIDE.jpg?size=99999",
        "/region/SLIDE.jpg?quality=0",
        "/dzi/SLIDE_files/x/0_0.jpg",
        "/dzi/SLIDE_files/9/0_0.jpg",
        "/dzi/SLIDE",
        "/dzi/SLIDE.xyz",
        "/source/SLIDE.png",
        "/associated/SLIDE",
        "/associated/SLIDE/label",
        "/associated/SLIDE/ESCAPED",
        "/iiif/3/SLIDE/ESCAPED/max/0/default.jpg",
        "/iiif/3/SLIDE/info.json",
        "/zoomify/SLIDE/ImageProperties.xml",
    ] {
        for method in ["GET", "HEAD", "POST"] {
            let [hidden, absent] = [&pseudonym, "@0123456789abcdef"].map(|called| {
                address.replace("SLIDE", called).replace("ESCAPED", &called.replace('@', "%40"))
            });
            let hidden = guarded.ask(method, &hidden, &[ANN]).await;
            assert_eq!(hidden, guarded.ask(method, &absent, &[ANN]).await, "{method} {address}");
        }
    }
    assert_eq!(guarded.status(&hidden, &[]).await, 302);
    assert!(!service.last().contains("case"), "{}", service.last());
}

#[tokio::test]
async fn it_is_told_the_address_in_one_spelling_and_no_ticket() {
    let service = Service::start(|_| answer("401 Unauthorized", "WWW-Authenticate: Basic\r\n", "")).await;
    let guarded = service.guarded();
    let headers = [
        ("authorization", "Basic YTpi"),
        ("accept", "image/*"),
        ("cookie", "a=1"),
        ("cookie", "b=2; c=3"),
        ("host", "wsi.example"),
        ("x-forwarded-host", "open.example"),
        ("forwarded", "host=open.example;proto=https"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-prefix", "/public"),
        ("x-forwarded-uri", "/public"),
        ("x-forwarded-method", "POST"),
        ("x-other", "1"),
    ];
    let (status, answered, _) = guarded.get("/tiles/c%61se%2Fa/9/0_0.jpg?access=x&v=1", &headers).await;
    assert_eq!((status.as_u16(), &answered["www-authenticate"]), (401, &"Basic".parse().expect("a value")));
    let told = service.last();
    for line in [
        "get /check?from=tiles http/1.1\r\n",
        "x-forwarded-method: get\r\n",
        "x-forwarded-uri: /tiles/case/a/9/0_0.jpg?v=1\r\n",
        "x-forwarded-host: wsi.example\r\n",
        "x-forwarded-proto: http\r\n",
        "authorization: basic ytpi\r\n",
        "accept: image/*\r\n",
        "cookie: a=1; b=2; c=3\r\n",
    ] {
        assert!(told.contains(line), "{line} in {told}");
    }
    for stranger in ["x-other", "access=", "/public", "open.example"] {
        assert!(!told.contains(stranger), "{stranger} in {told}");
    }
    // What no slide is called is not even asked about.
    let asked = service.asked();
    for address in
        ["/tiles/case/../a/9/0_0.jpg", "/tiles/%2e%2e/9/0_0.jpg", "/tiles//a/9/0_0.jpg", "/tiles/%/9/0_0.jpg"]
    {
        assert_eq!(guarded.status(address, &[ANN]).await, 400, "{address}");
    }
    assert_eq!(service.asked(), asked);
}

#[tokio::test]
async fn a_yes_holds_for_the_same_credentials_and_the_same_place_alone() {
    let service = Service::start(ann_alone).await;
    let guarded = service.guarded();
    let asked_for = async |address: &str, headers: &[(&str, &str)]| {
        let before = service.asked();
        let status = guarded.status(address, headers).await;
        (status, service.asked() - before)
    };
    assert_eq!(asked_for("/tiles/case/a/9/0_0.jpg", &[ANN]).await, (200, 1));
    for tile in ["/tiles/case/a/9/0_0.jpg", "/tiles/case/a/10/1_0.jpg?v=1", "/tiles/case%2Fa/8/0_0.jpg"] {
        assert_eq!(asked_for(tile, &[ANN]).await, (200, 0), "{tile}");
    }
    for (address, headers, status) in [
        ("/tiles/case/b/9/0_0.jpg", &[ANN][..], 200),
        ("/dzi/case/a_files/9/0_0.jpg", &[ANN], 200),
        ("/viewer/case/a", &[ANN], 200),
        ("/slides", &[ANN], 200),
        ("/slides?search=x", &[ANN], 200),
        ("/tiles/case/a/9/0_0.jpg", &[], 302),
        ("/tiles/case/a/9/0_0.jpg", &[("cookie", "user=annx")], 200),
        ("/tiles/case/a/9/0_0.jpg", &[("authorization", "user=ann")], 200),
        ("/tiles/case/a/9/0_0.jpg", &[("host", "elsewhere"), ANN], 200),
        ("/tiles/case/a/9/0_0.jpg", &[("cookie", "user="), ("cookie", "ann")], 302),
    ] {
        assert_eq!(asked_for(address, headers).await, (status, 1), "{address} {headers:?}");
    }
    assert_eq!(asked_for("/tiles/case/a/9/0_0.jpg", &[]).await, (302, 1), "a refusal is not remembered");
}

#[tokio::test]
async fn no_refusal_is_shared() {
    let service = Service::start(ann_alone).await;
    let guarded = Arc::new(service.guarded());
    let requests: Vec<_> = (0..8)
        .map(|_| {
            let guarded = Arc::clone(&guarded);
            tokio::spawn(async move { guarded.status("/tiles/case/a/9/0_0.jpg", &[]).await })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.expect("an answer"), 302);
    }
    assert_eq!(service.asked(), 8, "each gets the cookie of a login of its own");
}

#[tokio::test]
async fn without_a_clear_answer_nothing_is_open() {
    for said in [
        answer("500 Internal Server Error", "", ""),
        answer("404 Not Found", "", ""),
        answer("200 OK", "", &"x".repeat(100_000)),
        answer("304 Not Modified", "", ""),
        answer("302 Found", "", ""),
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx".to_owned(),
        "no HTTP".to_owned(),
        String::new(),
    ] {
        let served = said.clone();
        let service = Service::start(move |_| served.clone()).await;
        let (status, headers, body) = service.guarded().get("/tiles/case/a/9/0_0.jpg", &[ANN]).await;
        assert_eq!(status, 503, "{said}");
        assert_eq!(
            (&headers["retry-after"], &headers["cache-control"]),
            (&"1".parse().expect("a value"), &"no-store".parse().expect("a value"))
        );
        assert!(std::str::from_utf8(&body).expect("text").contains("cannot be found out"));
    }
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        format!("http://{}/", listener.local_addr().expect("an address"))
    };
    assert_eq!(guarded_by(&nobody).status("/slides", &[ANN]).await, 503);
}

#[tokio::test]
async fn who_has_a_token_is_not_asked_about() {
    let service = Service::start(ann_alone).await;
    let guarded = Guarded::with(|config| {
        config.access.forward_auth = Some(service.url.clone());
        config.access.auth_token = Some(Secret::read("a token").expect("a secret"));
    });
    assert_eq!(guarded.status("/slides", &[("authorization", "Bearer a token")]).await, 200);
    assert_eq!(service.asked(), 0);
    assert_eq!(guarded.status("/slides", &[("authorization", "Bearer another"), ANN]).await, 200);
    assert_eq!(guarded.status("/slides", &[("authorization", "Bearer another")]).await, 302);
}

#[tokio::test]
async fn who_was_let_in_does_not_wait_behind_a_crowd_of_strangers() {
    let service = Service::start(|head| match head.contains("user=ann") {
        true => answer("204 No Content", "", ""),
        false => String::new(),
    });
    let service = service.await;
    let guarded = Arc::new(service.guarded());
    assert_eq!(guarded.status("/slides", &[ANN]).await, 200);
    let strangers: Vec<_> = (0..100)
        .map(|i| {
            let guarded = Arc::clone(&guarded);
            tokio::spawn(async move { guarded.status(&format!("/tiles/{i}/0/0_0.jpg"), &[]).await })
        })
        .collect();
    while service.asked() < 33 {
        tokio::task::yield_now().await;
    }
    assert_eq!(guarded.status("/tiles/case/a/9/0_0.jpg", &[ANN]).await, 200);
    assert!(strangers.iter().all(|stranger| !stranger.is_finished()), "nobody had to give up first");
    strangers.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn who_is_refused_is_a_stranger_again() {
    let service = Service::start(|head| match () {
        () if head.contains("/tiles/case/b/") => answer("403 Forbidden", "", ""),
        () if head.contains("user=bob") => answer("204 No Content", "", ""),
        () => String::new(),
    });
    let service = service.await;
    let guarded = Arc::new(service.guarded());
    let ask = |address: String, who: (&'static str, &'static str)| {
        let guarded = Arc::clone(&guarded);
        tokio::spawn(async move { guarded.status(&address, &[who]).await })
    };
    let bob = ("cookie", "user=bob");
    assert_eq!(guarded.status("/slides", &[bob]).await, 200);
    assert_eq!(guarded.status("/tiles/case/b/9/0_0.jpg", &[bob]).await, 403);
    let strangers: Vec<_> =
        (0..32).map(|i| ask(format!("/tiles/{i}/0/0_0.jpg"), ("accept", "*/*"))).collect();
    while service.asked() < 34 {
        tokio::task::yield_now().await;
    }
    let waiting = ask("/tiles/case/a/9/0_0.jpg".to_owned(), bob);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(
        (service.asked(), waiting.is_finished()),
        (34, false),
        "not asked about before it is his turn"
    );
    strangers.iter().for_each(tokio::task::JoinHandle::abort);
    assert_eq!(waiting.await.expect("no panic"), 200);
}

#[tokio::test]
async fn an_answer_is_not_waited_for_for_ever() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", silent.local_addr().expect("an address"));
    let client = Client::new(&url, Duration::from_millis(50)).expect("a client");
    let error = client.send(http::Request::get(&url), 100).await.expect_err("no answer");
    assert!(error.to_string().contains("no answer in time"), "{error}");
}

#[tokio::test]
async fn keys_are_fetched_from_the_provider_in_the_background() {
    let empty = r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let service = Service::start(move |_| answer("200 OK", "", empty)).await;
    let guarded = Guarded::with(|config| {
        config.access.jwt = Some(JwtConfig { jwks: service.url.clone(), audience: None, issuer: None });
    });
    let bearer = [("authorization", "Bearer eyJhbGciOiJFZERTQSIsImtpZCI6IjEifQ.e30.AAAA")];
    // Undecided until the keys are there, and then no good.
    for _ in 0..500 {
        match guarded.status("/slides", &bearer).await {
            503 => tokio::time::sleep(Duration::from_millis(10)).await,
            status => {
                assert_eq!((status, service.asked()), (401, 1));
                return;
            }
        }
    }
    panic!("no keys after five seconds");
}

#[test]
fn only_addresses_of_the_web_are_asked() {
    for url in ["", "ftp://a/", "http://", "http:///x", "https://user:word@host/", "a b", "http://a b/"] {
        assert!(client::check(url).is_err(), "{url}");
    }
    for url in ["http://a", "https://a.example:8443/x?y=z", "http://[::1]:9/"] {
        assert!(client::check(url).is_ok(), "{url}");
    }
    for (url, clear) in [
        ("http://id.example/", true),
        ("http://10.0.0.1/", true),
        ("https://id.example/", false),
        ("http://localhost:1/", false),
        ("http://127.0.0.1/", false),
        ("http://[::1]:1/", false),
        ("keys.json", false),
    ] {
        assert_eq!(client::is_in_the_clear(url), clear, "{url}");
    }
}
