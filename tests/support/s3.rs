//! An object storage that speaks as much of S3 as is asked for, keeps everything in memory, counts, and fails when told to.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 503 "SlowDown".
    Refuses,
    /// No answer for longer than anybody waits for one.
    Stalls,
    /// The connection ends in the middle of the body.
    BreaksOff,
    /// The bytes before those that were asked for, as many of them, said to be the right ones.
    OtherBytes,
    /// None.
    None,
    /// This status and no more.
    Says(&'static str),
}

/// What is given in place of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OddList {
    Says(&'static str, &'static str),
    /// Bytes without end.
    Endless,
    /// Empty pages, each of which leads to another one.
    EmptyPages,
    /// Two pages, each of which leads to the other.
    Circle,
}

#[derive(Default)]
struct State {
    objects: Mutex<BTreeMap<String, (Vec<u8>, u64)>>,
    /// Methods and addresses of requests.
    log: Mutex<Vec<String>>,
    /// Those of the next answers for objects; the last one is for all that come later if `goes_on`.
    faults: Mutex<(VecDeque<Fault>, bool)>,
    /// Those of all answers for one object.
    faults_of: Mutex<BTreeMap<String, Fault>>,
    odd_list: Mutex<Option<OddList>>,
    is_weak: AtomicBool,
    versions: AtomicU64,
}

/// A storage with one bucket, "slides", which whoever signs may read.
#[derive(Clone)]
pub(crate) struct Storage {
    state: Arc<State>,
    pub(crate) port: u16,
}

impl Storage {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || state.serve(&stream));
            }
        });
        Self { state, port }
    }

    /// The variables that lead a client here.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let text = str::to_owned;
        vec![
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port)),
            ("AWS_ALLOW_HTTP", text("true")),
            ("AWS_REGION", text("eu-test-1")),
            ("AWS_ACCESS_KEY_ID", text("someone")),
            ("AWS_SECRET_ACCESS_KEY", text("a-secret-that-no-log-may-show")),
        ]
    }

    pub(crate) fn put(&self, key: &str, bytes: Vec<u8>) {
        let version = self.state.versions.fetch_add(1, Ordering::Relaxed);
        self.state.objects.lock().unwrap().insert(key.to_owned(), (bytes, version));
    }

    pub(crate) fn fail(&self, faults: &[Fault], goes_on: bool) {
        *self.state.faults.lock().unwrap() = (faults.iter().copied().collect(), goes_on);
    }

    pub(crate) fn fail_of(&self, key: &str, fault: Option<Fault>) {
        let mut faults = self.state.faults_of.lock().unwrap();
        match fault {
            Some(fault) => drop(faults.insert(key.to_owned(), fault)),
            None => drop(faults.remove(key)),
        }
    }

    pub(crate) fn object(&self, key: &str) -> Vec<u8> {
        self.state.objects.lock().unwrap()[key].0.clone()
    }

    pub(crate) fn list_as(&self, odd: Option<OddList>) {
        *self.state.odd_list.lock().unwrap() = odd;
    }

    /// From now on it has weak tags, which name nothing.
    pub(crate) fn tag_weakly(&self) {
        self.state.is_weak.store(true, Ordering::Relaxed);
    }

    pub(crate) fn remove(&self, key: &str) {
        self.state.objects.lock().unwrap().remove(key);
    }

    /// What was asked since this was asked last.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.log.lock().unwrap())
    }
}

impl State {
    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if !reader.read_line(&mut head).is_ok_and(|read| read > 0) {
                    return;
                }
            }
            if self.answer(&head, stream).is_none() {
                return;
            }
        }
    }

    /// Answers one request; `None` where the connection ends.
    fn answer(&self, head: &str, mut stream: &TcpStream) -> Option<()> {
        let mut words = head.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        self.log.lock().unwrap().push(format!("{method} {target}"));
        let header = |name: &str| {
            let line =
                head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
            Some(line[name.len() + 1..].trim().to_owned())
        };
        let mut send = |status: &str, headers: &str, body: &[u8], sent: usize| {
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
            stream.write_all(head.as_bytes()).ok()?;
            let body = if method == "HEAD" { &[] } else { &body[..sent] };
            stream.write_all(body).ok()
        };
        let mut refuse = |status: &str| send(status, "", b"<Error/>", 8);
        if !header("authorization")
            .is_some_and(|signed| signed.starts_with("AWS4-HMAC-SHA256 Credential=someone/"))
        {
            return refuse("403 Forbidden");
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
        let Some(key) = path.strip_prefix("/slides") else {
            let body = b"<Error><Code>NoSuchBucket</Code></Error>";
            return send("404 Not Found", "", body, body.len());
        };
        if query.contains("list-type=2") {
            let odd = *self.odd_list.lock().unwrap();
            match odd {
                Some(OddList::Says(status, body)) => return send(status, "", body.as_bytes(), body.len()),
                Some(OddList::Endless) => {
                    stream
                        .write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<ListBucketResult>")
                        .ok()?;
                    while stream.write_all(&[b' '; 1 << 16]).is_ok() {}
                    return None;
                }
                _ => {}
            }
            let list = match odd {
                Some(OddList::Circle) => {
                    let next = if query.contains("continuation-token=1") { 2 } else { 1 };
                    Self::empty_page(next)
                }
                Some(_) => Self::empty_page(self.log.lock().unwrap().len()),
                None => self.list(query),
            };
            return send("200 OK", "Content-Type: application/xml\r\n", list.as_bytes(), list.len());
        }
        let Some((bytes, version)) = self.objects.lock().unwrap().get(key.strip_prefix('/')?).cloned() else {
            return refuse("404 Not Found");
        };
        let e_tag = self.e_tag(version);
        if header("if-match").is_some_and(|wanted| wanted != e_tag || wanted.starts_with("W/")) {
            return refuse("412 Precondition Failed");
        }
        let fault = self.faults_of.lock().unwrap().get(&key[1..]).copied().or_else(|| self.fault());
        match fault {
            Some(Fault::Refuses) => return refuse("503 Slow Down"),
            Some(Fault::Says(status)) => return refuse(status),
            Some(Fault::Stalls) => std::thread::sleep(Duration::from_secs(30)),
            _ => {}
        }
        let said = format!("ETag: {e_tag}\r\nLast-Modified: Tue, 01 Dec 2026 00:00:{version:02} GMT\r\n");
        let Some(range) = header("range") else { return send("200 OK", &said, &bytes, bytes.len()) };
        let (start, last) = range.strip_prefix("bytes=")?.split_once('-')?;
        let (start, last): (usize, usize) = (start.parse().ok()?, last.parse().ok()?);
        if start >= bytes.len() {
            return refuse("416 Range Not Satisfiable");
        }
        let end = bytes.len().min(last + 1);
        let said = format!("{said}Content-Range: bytes {start}-{}/{}\r\n", end - 1, bytes.len());
        let shift = if fault == Some(Fault::OtherBytes) { start.min(1000) } else { 0 };
        let body = &bytes[start - shift..end - shift];
        let sent = if fault == Some(Fault::BreaksOff) { body.len() / 2 } else { body.len() };
        send("206 Partial Content", &said, body, sent).filter(|()| sent == body.len())
    }

    fn fault(&self) -> Option<Fault> {
        let (faults, goes_on) = &mut *self.faults.lock().unwrap();
        if *goes_on && faults.len() == 1 { faults.front().copied() } else { faults.pop_front() }
    }

    fn e_tag(&self, version: u64) -> String {
        format!("{}\"{version}\"", if self.is_weak.load(Ordering::Relaxed) { "W/" } else { "" })
    }

    fn empty_page(page: usize) -> String {
        format!("<ListBucketResult><NextContinuationToken>{page}</NextContinuationToken></ListBucketResult>")
    }

    /// Two names at a time where no other number is asked for.
    fn list(&self, query: &str) -> String {
        let value = |name: &str| {
            let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            percent_encoding::percent_decode_str(value.unwrap_or("")).decode_utf8().unwrap().into_owned()
        };
        let (prefix, after) = (value("prefix"), value("continuation-token"));
        let most = value("max-keys").parse().unwrap_or(2);
        let objects = self.objects.lock().unwrap();
        let mut below =
            objects.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > after).peekable();
        let mut list = String::from("<?xml version=\"1.0\"?><ListBucketResult>");
        let mut last = String::new();
        for (key, (bytes, version)) in below.by_ref().take(most) {
            let plain = key.replace('&', "&amp;");
            list += &format!(
                "<Contents><Key>{plain}</Key><LastModified>2026-12-01T00:00:{version:02}.000Z</LastModified>\
                 <ETag>{}</ETag><Size>{}</Size></Contents>",
                self.e_tag(*version),
                bytes.len()
            );
            last = plain;
        }
        if below.peek().is_some() {
            list += &format!(
                "<IsTruncated>true</IsTruncated><NextContinuationToken>{last}</NextContinuationToken>"
            );
        }
        list + "</ListBucketResult>"
    }
}
