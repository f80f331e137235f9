//! What the end-to-end tests share: the built binary, folders, small slides, a server, a plain HTTP client.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use microtome_codec::Rgb;
use microtome_codec::turbo::{self, Subsampling};
use microtome_ingest::source::{self, Content};
use microtome_slide::deepzoom::Descriptor;
use microtome_slide::{Grid, Rect};

/// The binary under test with these arguments, its output collected.
pub(crate) fn microtome<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    command().args(arguments).output().expect("the binary runs")
}

/// The binary under test, not yet started.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_microtome"));
    command.stdin(Stdio::null());
    command
}

/// Runs the binary, demands success, gives its standard output.
pub(crate) fn succeed<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> String {
    let output = microtome(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("output is UTF-8")
}

/// Runs the binary, demands this exit code and a single line of complaint, gives the line.
pub(crate) fn fail<S: AsRef<std::ffi::OsStr>>(code: i32, arguments: impl IntoIterator<Item = S>) -> String {
    let output = microtome(arguments);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "one failure, one line: {complaint}");
    assert!(output.stdout.is_empty(), "a failure prints no data");
    complaint
}

/// Sends a signal to a process, by the shell's own `kill`: a small system has no other.
pub(crate) fn signal(process: u32, name: &str) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {process}")]).status();
    assert!(status.expect("a shell").success());
}

/// A folder of the test's own.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("microtome-test-").tempdir().expect("a temporary folder")
}

/// A folder on a disk of its own that holds so little (`300k`); unmounted when dropped, whatever became of the test.
pub(crate) struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None`, said aloud, where mounting is not allowed.
    pub(crate) fn mount(size: &str) -> Option<Self> {
        let folder = folder();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder.path());
        if !command.output().is_ok_and(|output| output.status.success()) {
            skipped("mounting a small tmpfs is not allowed here");
            return None;
        }
        Some(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

/// Names of all entries of a folder, hidden ones too.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Says that a test is skipped: straight to standard error, which the test runner does not hold back.
pub(crate) fn skipped(why: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "skipped {name}: {why}");
}

/// Real slides, where they are: `MICROTOME_TEST_DATA`, or `shared/data` beside the repository.
pub(crate) fn shared_data(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("MICROTOME_TEST_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let path = root.join(path);
    if !path.exists() {
        skipped(&format!("{} is not there (set MICROTOME_TEST_DATA)", path.display()));
        return None;
    }
    Some(path)
}

/// The folder of OpenSlide's library: `MICROTOME_OPENSLIDE`, or where `scripts/setup.sh test` puts it.
pub(crate) fn openslide() -> Option<PathBuf> {
    let installed = || {
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-python/lib");
        let versions = std::fs::read_dir(&python).into_iter().flatten().flatten();
        let mut found = versions.map(|version| version.path().join("site-packages/openslide_bin"));
        found.find(|path| path.is_dir()).unwrap_or_else(|| python.join("openslide_bin"))
    };
    let path = std::env::var_os("MICROTOME_OPENSLIDE").map_or_else(installed, PathBuf::from);
    if !path.exists() {
        skipped("OpenSlide is not there (scripts/setup.sh test installs it, or set MICROTOME_OPENSLIDE)");
        return None;
    }
    Some(path)
}

/// A path as an argument.
pub(crate) fn path(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}

/// A container of a source in a folder.
pub(crate) fn contain(folder: &Path, name: &str, source: &str) -> PathBuf {
    let target = folder.join(name);
    succeed(["ingest", source, "-o", path(&target)]);
    target
}

/// Python with these modules (`a, b`): `MICROTOME_TEST_PYTHON`, or what `scripts/setup.sh test` has made.
pub(crate) fn python(modules: &str) -> Option<PathBuf> {
    let made = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-python/bin/python");
    let python = std::env::var_os("MICROTOME_TEST_PYTHON").map_or_else(made, PathBuf::from);
    let ready = Command::new(&python).args(["-c", &format!("import {modules}")]).output();
    if !ready.is_ok_and(|output| output.status.success()) {
        skipped(&format!("{} does not have {modules} (scripts/setup.sh test)", python.display()));
        return None;
    }
    Some(python)
}

/// A picture of smooth waves, each channel in another direction: every place looks different, and JPEG likes it.
pub(crate) fn picture(width: u32, height: u32) -> Rgb {
    let wave = |at: u32, length: u32| (40 + 160 * (at % length).min(length - at % length) / length) as u8;
    let pixel = |i: u32| {
        let (x, y) = (i % width, i / width);
        [wave(x, 370), wave(y, 310), wave(x + y, 530)]
    };
    Rgb::from_vec(width, height, (0..width * height).flat_map(pixel).collect()).expect("sizes match")
}

/// Stained tissue: detail that JPEG spends its bits on.
pub(crate) fn tissue(width: u32, height: u32, seed: u32) -> Rgb {
    let slide = source::open(&format!("synthetic:{width}x{height},seed={seed}")).unwrap();
    let Content::Pixels(pixels) = &slide.content else { panic!("a synthetic slide has pixels") };
    pixels.read(Rect { x: 0, y: 0, width, height }).unwrap()
}

/// Likeness of two pictures of one size in dB, over all channels.
pub(crate) fn psnr(a: &Rgb, b: &Rgb) -> f64 {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    let squares: u64 = a.data().iter().zip(b.data()).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    10.0 * (255.0 * 255.0 * a.data().len() as f64 / squares.max(1) as f64).log10()
}

/// Writes a picture as PNG.
pub(crate) fn write_png(path: &Path, pixels: &Rgb) {
    std::fs::write(path, png(pixels)).unwrap();
}

/// A picture as PNG.
pub(crate) fn png(pixels: &Rgb) -> Vec<u8> {
    let mut bytes = vec![];
    let mut encoder = png::Encoder::new(&mut bytes, pixels.width(), pixels.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(pixels.data()).unwrap();
    bytes
}

/// Writes a Deep Zoom folder of a picture, all levels, and gives the path of its descriptor.
pub(crate) fn write_deep_zoom(
    folder: &Path,
    pixels: &Rgb,
    tile_size: u32,
    overlap: u32,
    format: &str,
) -> PathBuf {
    let descriptor = Descriptor {
        width: pixels.width(),
        height: pixels.height(),
        tile_size,
        overlap,
        format: format.to_owned(),
    };
    let path = folder.join("slide.dzi");
    std::fs::write(&path, descriptor.to_xml()).unwrap();
    let mut level_pixels = pixels.clone();
    for level in 0..=descriptor.level_of(0).unwrap() {
        if level > 0 {
            level_pixels = level_pixels.reduced();
        }
        let tiles = folder.join(format!("slide_files/{}", descriptor.number_of(level)));
        std::fs::create_dir_all(&tiles).unwrap();
        let grid = Grid { width: level_pixels.width(), height: level_pixels.height(), tile_size, overlap };
        for row in 0..grid.rows() {
            for column in 0..grid.columns() {
                let r = grid.tile_rect(column, row).unwrap();
                let tile = level_pixels.crop(r.x, r.y, r.width, r.height);
                let file = tiles.join(format!("{column}_{row}.{format}"));
                match format {
                    "png" => write_png(&file, &tile),
                    _ => std::fs::write(&file, turbo::encode(&tile, 80, Subsampling::Chroma420).unwrap())
                        .unwrap(),
                }
            }
        }
    }
    path
}

/// A running server; stopped when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    /// Everything it has said since it was ready.
    pub(crate) log: std::sync::mpsc::Receiver<String>,
}

impl Server {
    /// Starts a server for a folder on a free port and waits until it says that it serves.
    pub(crate) fn start(root: &Path, more: &[&str]) -> Self {
        Self::start_with(root, more, &[])
    }

    /// As [`Self::start`], with these variables of the environment.
    pub(crate) fn start_with(root: &Path, more: &[&str], variables: &[(&'static str, String)]) -> Self {
        let mut command = command();
        command.arg("--slides-root").arg(root).args(["--port", "0"]).args(more);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary runs");
        let (sender, log) = std::sync::mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let port = log.iter().find_map(|line| port_of(&line)).expect("the server says where it serves");
        Self { child, port, log }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM and gives the exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        signal(self.pid(), "TERM");
        self.child.wait().unwrap().code()
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        http(self.port, "GET", path, &[], b"")
    }

    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        http(self.port, method, path, headers, b"")
    }
}

/// The port in the line that says that the server serves, as text or JSON.
fn port_of(line: &str) -> Option<u16> {
    let text = line.split("://localhost:").nth(1).and_then(|rest| rest.split('/').next());
    let json = || line.split(r#""address":"127.0.0.1:"#).nth(1)?.split('"').next();
    text.or_else(json)?.parse().ok()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// A header's value; names are matched without regard to case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }
}

/// One request over a connection of its own, the path sent exactly as given: HTTP libraries tidy paths, attackers
/// do not.
pub(crate) fn http(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += &format!("Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[request.as_bytes(), body].concat()).unwrap();
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(
            stream.read_line(&mut head).expect("the server answers") > 0,
            "an HTTP answer has a head: {head}"
        );
    }
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("an HTTP answer has a status");
    let mut response = Response { status, head, body: vec![] };
    match response.header("content-length").map(|length| length.parse::<u64>().unwrap()) {
        _ if method == "HEAD" || status == 304 => {}
        // Not to the end of the connection: some servers keep it open all the same.
        Some(length) => _ = stream.take(length).read_to_end(&mut response.body).unwrap(),
        None => _ = stream.read_to_end(&mut response.body).unwrap(),
    }
    response
}
