//! Addresses that nobody should write: generated from those there are, then bent. The server answers each, says nothing of
//! what lies outside its root, and lives. `MICROTOME_TEST_ADDRESSES` says how many (a million takes some minutes).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use microtome_slide::Slide;
use support::{Server, folder, succeed};

/// Addresses unless asked for more.
const MANY: u64 = 20_000;

/// What may be answered. Of the fives only what is meant: a standard's feature that is not there, and overload.
const EXPECTED: [u16; 15] = [200, 204, 206, 303, 304, 400, 401, 403, 404, 405, 406, 414, 431, 501, 503];

/// Numbers without a library: xorshift64* (Vigna 2016), the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 33) as usize % limit
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn number(&mut self) -> String {
        match self.below(8) {
            0 => self.next().to_string(),
            1 => format!("-{}", self.below(100)),
            2 => self
                .one(&[
                    "4294967295",
                    "4294967296",
                    "2147483648",
                    "65536",
                    "65535",
                    "1e9",
                    "nan",
                    "0x10",
                    "",
                    "+1",
                ])
                .into(),
            3 => format!("{}.{}", self.below(100), self.below(100)),
            _ => self.below(12).to_string(),
        }
    }

    fn slide(&mut self) -> String {
        const STRANGE: [&str; 22] = [
            "..",
            "../outside",
            "..%2foutside",
            "%2e%2e%2foutside",
            "%2e%2e/outside",
            "a/../../outside",
            "%252e%252e%252foutside",
            "..%5coutside",
            "..%c0%afoutside",
            "/etc/passwd",
            "%2fetc%2fpasswd",
            ".hidden",
            "a%00",
            "a%0d%0aX:y",
            "%ff",
            "%",
            "link",
            "link/outside",
            "absent",
            "case%201",
            "damaged",
            "",
        ];
        match self.below(3) {
            0 => self.one(&STRANGE).into(),
            _ => self.one(&["a", "case%201/b", "case%201%2Fb"]).into(),
        }
    }

    fn extension(&mut self) -> &'static str {
        self.one(&["jpg", "jpg", "jpeg", "png", "webp", "gif", "dzi", "mtm", "", "jpg.jpg", "%6apg"])
    }

    fn address(&mut self) -> String {
        let (s, e) = (self.slide(), self.extension());
        let mut n = || self.number();
        let (a, b, c, d) = (n(), n(), n(), n());
        match self.below(16) {
            0 => format!("/tiles/{s}/{a}/{b}_{c}.{e}"),
            1 => format!("/dzi/{s}_files/{a}/{b}_{c}.{e}"),
            2 => format!("/dzi254/{s}_files/{a}/{b}_{c}.{e}"),
            3 => format!("/{}/{s}.dzi", self.one(&["dzi", "dzi254", "source"])),
            4 => format!("/xyz/{s}/{a}/{b}/{c}.{e}"),
            5 => format!("/zoomify/{s}/TileGroup{d}/{a}-{b}-{c}.{e}"),
            6 | 7 => {
                let version = self.one(&["2", "3", "presentation/3", "4"]);
                let region = match self.below(4) {
                    0 => self.one(&["full", "square", "pct:10,10,50,50", "max"]).to_owned(),
                    1 => format!("pct:{a},{b},{c},{d}"),
                    _ => format!("{a},{b},{c},{d}"),
                };
                let size = match self.below(3) {
                    0 => self
                        .one(&[
                            "max",
                            "^max",
                            "full",
                            "1,",
                            ",1",
                            "!9,9",
                            "pct:1",
                            "^9000,",
                            "^,9000",
                            "8192,8192",
                        ])
                        .to_owned(),
                    1 => format!("{}{a},{b}", self.one(&["", "!", "^", "^!"])),
                    _ => format!("pct:{a}"),
                };
                let rotation = self.one(&["0", "90", "!180", "270", "45", "-1", "!", "360"]);
                let name = self.one(&[
                    "default.jpg",
                    "color.png",
                    "gray.webp",
                    "bitonal.png",
                    "native.jpg",
                    "default.tif",
                    "x",
                ]);
                format!("/iiif/{version}/{s}/{region}/{size}/{rotation}/{name}")
            }
            8 => format!(
                "/iiif/{}/{s}{}",
                self.one(&["2", "3"]),
                self.one(&["", "/", "/info.json", "/manifest"])
            ),
            9 | 10 => {
                let more = match self.below(5) {
                    0 => format!("&width={a}"),
                    1 => format!("&mpp={b}"),
                    2 => format!("&magnification={c}&unit=um"),
                    3 => format!("&level={d}&icc=srgb"),
                    _ => format!("&height={a}&format={e}&quality={b}"),
                };
                format!("/region/{s}.{e}?x={a}&y={b}&w={c}&h={d}{more}")
            }
            11 => format!("/thumbnail/{s}.{e}?size={a}"),
            12 => {
                format!("/associated/{s}/{}", self.one(&["label", "macro", "thumbnail", "..", "%2e%2e", ""]))
            }
            13 => format!("/{}/{s}", self.one(&["slides", "histogram", "viewer", "assets", "nothing"])),
            14 => {
                let what = self.one(&[
                    "studies",
                    "series",
                    "instances",
                    "studies/1.2/series",
                    "studies/1.2/series/3.4/instances/5.6/frames/1,2,x",
                    "studies/1.2/metadata",
                    "studies/1.2/series/3.4/instances/5.6/rendered",
                ]);
                format!("/dicomweb/{what}?limit={a}&offset={b}&{c}={d}")
            }
            _ => format!("/slides?search={e}&limit={a}&offset={b}"),
        }
    }

    /// The address with some of its bytes changed, doubled, cut or cut off.
    fn bent(&mut self, address: String) -> Vec<u8> {
        let mut bytes = address.into_bytes();
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len());
            match self.below(5) {
                // What HTTP itself lets through; else this would test hyper.
                0 => bytes[at] = 33 + self.below(94) as u8,
                1 => _ = bytes.remove(at),
                2 => bytes.insert(at, b"/%?&=.,_:;+"[self.below(11)]),
                3 => bytes.truncate(at.max(1)),
                _ => {
                    let part = bytes[at..].to_vec();
                    bytes.extend(part);
                }
            }
            if bytes.is_empty() {
                bytes.push(b'/');
            }
        }
        bytes[0] = b'/';
        bytes.truncate(4000);
        bytes.retain(|byte| byte.is_ascii_graphic() && *byte != b'#');
        bytes
    }
}

/// A connection that is kept while the server keeps it.
struct Connection {
    port: u16,
    stream: Option<BufReader<TcpStream>>,
}

impl Connection {
    /// Status and head of the answer.
    fn get(&mut self, address: &[u8]) -> (u16, String) {
        for _ in 0..2 {
            if let Some(answer) = self.try_get(address) {
                return answer;
            }
            self.stream = None;
        }
        panic!("no answer to {}", String::from_utf8_lossy(address));
    }

    fn try_get(&mut self, address: &[u8]) -> Option<(u16, String)> {
        let stream = self.stream.get_or_insert_with(|| {
            let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the server lives");
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            BufReader::new(stream)
        });
        let request = [b"GET ", address, b" HTTP/1.1\r\nHost: localhost\r\n\r\n"].concat();
        stream.get_mut().write_all(&request).ok()?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let lower = head.to_ascii_lowercase();
        let field = |name: &str| lower.lines().find_map(|line| line.strip_prefix(name));
        let length = field("content-length:").and_then(|length| length.trim().parse().ok());
        match length {
            Some(length) => _ = std::io::copy(&mut stream.take(length), &mut std::io::sink()).ok()?,
            None if matches!(status, 204 | 304) => {}
            // Chunks: to be read by those who want what is in them.
            None => self.stream = None,
        }
        if field("connection:").is_some_and(|value| value.contains("close")) {
            self.stream = None;
        }
        Some((status, head))
    }
}

#[test]
fn the_server_answers_every_address_and_stays_within_its_root() {
    let folder = folder();
    let root = folder.path().join("slides");
    std::fs::create_dir_all(root.join("case 1")).unwrap();
    for (path, source) in [
        ("slides/a.mtm", "synthetic:700x500,seed=1"),
        ("slides/case 1/b.mtm", "synthetic:300x1100,seed=2"),
        ("outside.mtm", "synthetic:640x480,seed=3"),
        ("slides/.hidden.mtm", "synthetic:640x480,seed=4"),
    ] {
        succeed(["ingest", source, "-o", folder.path().join(path).to_str().unwrap()]);
    }
    let forbidden: Vec<String> = ["outside.mtm", "slides/.hidden.mtm"]
        .map(|path| Slide::open(&folder.path().join(path)).unwrap().content_id().to_string()[..16].to_owned())
        .into();
    std::fs::write(root.join("damaged.mtm"), &std::fs::read(root.join("a.mtm")).unwrap()[..20_000]).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder.path(), root.join("link")).unwrap();
    let server = Server::start(&root, &[]);
    let many = std::env::var("MICROTOME_TEST_ADDRESSES").map_or(MANY, |many| many.parse().expect("a number"));
    let seeds = [11, 22, 33, 44];
    std::thread::scope(|scope| {
        for seed in seeds {
            let (forbidden, port) = (&forbidden, server.port);
            scope.spawn(move || {
                let mut random = Random(seed);
                let mut connection = Connection { port, stream: None };
                let mut answered = 0;
                for number in 0..many / seeds.len() as u64 {
                    let address = random.address();
                    let address = random.bent(address);
                    let name =
                        || format!("seed {seed}, number {number}: {}", String::from_utf8_lossy(&address));
                    let (status, head) = connection.get(&address);
                    answered += u64::from(status == 200);
                    let damaged = address.windows(7).any(|part| part == b"damaged");
                    assert!(EXPECTED.contains(&status) || (damaged && status == 500), "{}: {head}", name());
                    assert!(!forbidden.iter().any(|id| head.contains(id)), "{}: {head}", name());
                }
                assert!(answered > many / 200, "{answered} good ones: else this tests one refusal only");
            });
        }
    });
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(server.terminate(), Some(0), "it ends as if nothing had been");
}
