//! What is answered without hyper is what hyper answers, whatever is asked and however it comes.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::body::Body as HttpBody;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{mpsc, oneshot};

use crate::activity::{Activity, CountedBody};
use crate::body::{Body, Response};
use crate::connection::http1;
use crate::limits::Limits;
use crate::viewers::{MAX_REQUEST, converse};

/// Says what was asked, in the way that the path asks for.
fn echo<B: HttpBody>(request: Request<B>) -> Response {
    let mut fields: Vec<_> = request.headers().iter().map(|field| format!("{field:?}")).collect();
    fields.sort();
    let asked = format!("{:?} {} {fields:?}", request.method(), request.uri());
    let is_head = request.method() == http::Method::HEAD;
    let mut response = Response::new(match request.uri().path() {
        _ if is_head => Body::empty(),
        "/large" => Body::of(asked.repeat(1000)),
        "/empty" | "/304" => Body::empty(),
        "/pieces" => {
            let (sender, pieces) = mpsc::channel(4);
            for piece in ["", &asked, &asked.repeat(50)] {
                sender.try_send(Ok(Bytes::copy_from_slice(piece.as_bytes()))).expect("room");
            }
            Body::Pieces(pieces)
        }
        _ => Body::of(asked),
    });
    if request.uri().path() == "/304" {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    if is_head {
        response.headers_mut().insert(header::CONTENT_LENGTH, 4711.into());
    }
    response.headers_mut().append("x-twice", "1".parse().expect("a value"));
    response.headers_mut().append("x-twice", "2".parse().expect("a value"));
    response
}

fn counted<B: HttpBody>(activity: &Arc<Activity>, request: Request<B>) -> http::Response<CountedBody> {
    activity.ask().answered(echo(request))
}

/// hyper alone, or what comes before it and then hyper. How many bytes were left to hyper.
async fn serve(stream: DuplexStream, is_ours: bool) -> bool {
    let activity = Activity::among(&Arc::default());
    let service = service_fn(|request| {
        let answer = counted(&activity, request);
        async { Ok::<_, Infallible>(answer) }
    });
    let protocol = http1(&Limits::default());
    if !is_ours {
        let _ = protocol.serve_connection(TokioIo::new(stream), service).await;
        return true;
    }
    let answer = async |request: Request<Empty<Bytes>>| counted(&activity, request);
    match converse(stream, answer, &activity).await {
        Ok(Some(rest)) => {
            let _ = protocol.serve_connection(TokioIo::new(rest), service).await;
            true
        }
        _ => false,
    }
}

/// All that is answered to these writes, and whether hyper had to do with it.
fn answers(writes: &[Vec<u8>], is_ours: bool) -> (Vec<String>, bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let (mut peer, stream) = duplex(1 << 20);
        let served = async {
            for bytes in writes {
                // It may have been ended already.
                let _ = peer.write_all(bytes).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let mut answer = vec![];
            // One that is kept would wait for more.
            let _ = tokio::time::timeout(Duration::from_secs(1), peer.read_to_end(&mut answer)).await;
            drop(peer);
            answer
        };
        let (answer, of_hyper) = tokio::join!(served, serve(stream, is_ours));
        (parts(&String::from_utf8_lossy(&answer)), of_hyper)
    })
}

/// Lines, those of each head in order of the alphabet: headers may come in any order. Dates say nothing.
fn parts(answer: &str) -> Vec<String> {
    let mut parts = vec![];
    for block in answer.split("\r\n\r\n") {
        let mut lines: Vec<_> = block.split("\r\n").filter(|line| !line.starts_with("date: ")).collect();
        let from = lines.iter().position(|line| line.contains("HTTP/1.")).map_or(lines.len(), |at| at + 1);
        lines[from..].sort_unstable();
        parts.extend(lines.into_iter().map(str::to_owned));
        parts.push(String::new());
    }
    parts
}

fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[A-Za-z-]{1,12}: [ -~]{0,20}",
        2 => Just("Host: localhost".to_owned()),
        1 => Just("Connection: keep-alive".to_owned()),
        1 => Just("Connection: close".to_owned()),
        1 => Just("Connection: Keep-Alive, x".to_owned()),
        1 => Just("Expect: 100-continue".to_owned()),
        1 => Just("Upgrade: h2c".to_owned()),
        1 => Just("Content-Length: 0".to_owned()),
        1 => Just("Transfer-Encoding: chunked".to_owned()),
        1 => Just(" folded".to_owned()),
        1 => "[A-Za-z: ]{0,6}:[\\x00-\\x1f\\x7f-\\xff]{0,3}",
        1 => (1..60_usize).prop_map(|count| vec!["A: b"; count].join("\r\n")),
        1 => (3000..6000_usize).prop_map(|length| format!("Long: {}", "x".repeat(length))),
    ]
}

/// A request, mostly a good one.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let method = prop_oneof![8 => Just("GET"), 3 => Just("HEAD"), 1 => Just("OPTIONS"), 1 => Just("POST"), 1 => Just("get")];
    let target = prop_oneof![
        8 => prop::sample::select(vec!["/", "/large", "/empty", "/304", "/pieces", "/a?b=c", "/tiles/s/1/2_3.jpg"])
            .prop_map(str::to_owned),
        1 => "/[ -~]{0,20}",
        1 => prop::sample::select(vec!["*", "http://localhost/x", "localhost:80", "", "//", "/%zz", "/#f"]).prop_map(str::to_owned),
    ];
    let version =
        prop_oneof![12 => Just("HTTP/1.1"), 1 => Just("HTTP/1.0"), 1 => Just("HTTP/2.0"), 1 => Just("")];
    let line = prop_oneof![10 => Just("\r\n"), 1 => Just("\n")];
    (method, target, version, prop::collection::vec(field(), 0..5), line).prop_map(
        |(method, target, version, fields, line)| {
            let fields = fields.into_iter().map(|field| field + line).collect::<String>();
            format!("{method} {target} {version}{line}{fields}{line}").into_bytes()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn answers_are_those_of_hyper(
        requests in prop::collection::vec(request(), 1..4),
        mutation in prop::option::weighted(0.2, (any::<prop::sample::Index>(), any::<u8>())),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
    ) {
        let mut bytes = requests.concat();
        // hyper looks for the end of a head where the last piece that it has read begins, and is handed other pieces of what is
        // longer: without an end it may wait where it would see a mistake.
        if let Some((at, byte)) = mutation.filter(|_| bytes.len() <= MAX_REQUEST) {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let writes: Vec<_> = cuts.windows(2).map(|cut| bytes[cut[0]..cut[1]].to_vec()).collect();
        prop_assert_eq!(answers(&writes, true).0, answers(&writes, false).0);
    }
}

#[test]
fn plain_requests_need_no_hyper_and_others_do() {
    let plain = PLAIN;
    for (writes, of_hyper) in [
        (vec![plain.to_vec()], false),
        (vec![plain.to_vec(), plain.to_vec()], false),
        (vec![plain.repeat(20)], false),
        (vec![b"HEAD /large HTTP/1.1\r\nHost: x\r\nConnection: Keep-Alive\r\n\r\n".to_vec()], false),
        (vec![b"GET / HTTP/1.0\r\n\r\n".to_vec()], true),
        (vec![b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1".to_vec()], true),
        (vec![plain[..9].to_vec(), plain[9..].to_vec()], true),
    ] {
        let (answers, was_of_hyper) = answers(&writes, true);
        assert_eq!(was_of_hyper, of_hyper, "{}", String::from_utf8_lossy(&writes[0]));
        assert!(answers.iter().any(|line| line.contains("200 OK")), "{answers:?}");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_is_given_up() {
    let (mut peer, stream) = duplex(1000);
    let activity = Activity::among(&Arc::default());
    let (alive, given_up) = oneshot::channel::<()>();
    let alive = std::sync::Mutex::new(Some(alive));
    let answer = |_| {
        let _alive = alive.lock().expect("no panic").take();
        async move {
            let _alive = _alive;
            std::future::pending().await
        }
    };
    let connection = converse(stream, answer, &activity);
    let client = async {
        peer.write_all(PLAIN).await.expect("a request");
        tokio::task::yield_now().await;
        drop(peer);
    };
    let (ended, ()) = tokio::join!(connection, client);
    assert!(ended.expect("no error").is_none());
    given_up.await.expect_err("dropped");
}

const PLAIN: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

#[tokio::test]
async fn told_to_close_while_it_sends_it_answers_no_more() {
    let (mut peer, stream) = duplex(100);
    let activity = Activity::among(&Arc::default());
    let answer = async |_| activity.ask().answered(Response::new(Body::of(vec![b'x'; 10_000])));
    let client = async {
        peer.write_all(&PLAIN.repeat(3)).await.expect("requests");
        let mut answers = vec![];
        while answers.len() < 1000 {
            peer.read_buf(&mut answers).await.expect("a part of the body");
        }
        activity.close();
        peer.read_to_end(&mut answers).await.expect("an end");
        String::from_utf8(answers).expect("text").matches("HTTP/1.1 200").count()
    };
    let (ended, answers) = tokio::join!(converse(stream, answer, &activity), client);
    assert!(ended.expect("no error").is_none());
    assert_eq!(answers, 1);
}

#[tokio::test]
async fn pieces_that_nobody_waits_for_are_given_up() {
    let (mut peer, stream) = duplex(1000);
    let activity = Activity::among(&Arc::default());
    let (sender, pieces) = mpsc::channel(1);
    let pieces = std::sync::Mutex::new(Some(pieces));
    let answer = |_| {
        let pieces = pieces.lock().expect("no panic").take().expect("one request");
        let answered = activity.ask().answered(Response::new(Body::Pieces(pieces)));
        async { answered }
    };
    let client = async {
        peer.write_all(PLAIN).await.expect("a request");
        sender.send(Ok(Bytes::from_static(b"a piece"))).await.expect("somebody waits");
        let mut answer = vec![];
        while !answer.ends_with(b"7\r\na piece\r\n") {
            assert!(peer.read_buf(&mut answer).await.expect("what is there") > 0);
        }
        drop(peer);
        sender.closed().await;
    };
    let (ended, ()) = tokio::join!(converse(stream, answer, &activity), client);
    assert!(ended.is_err());
}

#[tokio::test]
async fn a_body_that_breaks_off_has_no_end() {
    let (mut peer, stream) = duplex(1000);
    let activity = Activity::among(&Arc::default());
    let answer = async |_| {
        let (sender, pieces) = mpsc::channel(2);
        sender.try_send(Ok(Bytes::from_static(b"a piece"))).expect("room");
        sender.try_send(Err(std::io::ErrorKind::InvalidData.into())).expect("room");
        activity.ask().answered(Response::new(Body::Pieces(pieces)))
    };
    let client = async {
        peer.write_all(PLAIN).await.expect("a request");
        let mut answer = vec![];
        peer.read_to_end(&mut answer).await.expect("an end");
        assert!(!answer.ends_with(b"0\r\n\r\n"), "a client would take it for the whole");
    };
    let (ended, ()) = tokio::join!(converse(stream, answer, &activity), client);
    assert!(ended.is_err());
}
