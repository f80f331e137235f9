//! A headless Chromium, driven through ChromeDriver (W3C WebDriver, JSON over HTTP).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{folder, http};

/// One browser after the other: side by side on a small machine, each waits for all.
static TURN: Mutex<()> = Mutex::new(());

/// A browser window; closed when dropped.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    profile: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Browser {
    /// Opens a window of this size.
    pub(crate) fn open(width: u32, height: u32) -> Self {
        // A test that failed while it was its turn does not matter to the next.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed (scripts/setup.sh test)");
        let port = BufReader::new(driver.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.split("successfully on port ").nth(1)?.trim_end_matches('.').parse().ok())
            .expect("chromedriver says its port");
        let profile = folder();
        let preferences =
            json!({"download.default_directory": profile.path(), "download.prompt_for_download": false});
        let options = json!({"prefs": preferences, "args": [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update", "--force-device-scale-factor=1",
            format!("--window-size={width},{height}"), format!("--user-data-dir={}", profile.path().display()),
        ]});
        let mut browser = Self { driver, port, session: String::new(), profile, _turn: turn };
        let capabilities = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}});
        let session = browser.call("POST", "/session", &capabilities);
        browser.session = session["sessionId"].as_str().expect("a session").to_owned();
        browser
    }

    /// Goes to a page.
    pub(crate) fn go(&self, url: &str) {
        self.call("POST", &format!("/session/{}/url", self.session), &json!({"url": url}));
    }

    /// The value of a JavaScript expression.
    pub(crate) fn evaluate(&self, expression: &str) -> Value {
        let script = json!({"script": format!("return ({expression});"), "args": []});
        self.call("POST", &format!("/session/{}/execute/sync", self.session), &script)
    }

    /// Waits until a JavaScript expression is true.
    pub(crate) fn wait_until(&self, expression: &str) {
        let begin = Instant::now();
        while self.evaluate(expression) != Value::Bool(true) {
            assert!(begin.elapsed() < Duration::from_secs(120), "waited in vain for {expression}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Presses a key, named as in `KeyboardEvent.key` or a single character.
    pub(crate) fn press(&self, key: &str) {
        let actions = json!({"actions": [{"type": "key", "id": "keyboard", "actions": [
            {"type": "keyDown", "value": key}, {"type": "keyUp", "value": key},
        ]}]});
        self.call("POST", &format!("/session/{}/actions", self.session), &actions);
    }

    /// Goes through a pointer's actions; `kind` is `mouse` or `touch`, positions are CSS pixels of the window.
    fn point(&self, pointers: &[(&str, Vec<Value>)], kind: &str) {
        let sources: Vec<_> = pointers
            .iter()
            .map(|(id, actions)| {
                json!({"type": "pointer", "id": id, "parameters": {"pointerType": kind}, "actions": actions})
            })
            .collect();
        self.call("POST", &format!("/session/{}/actions", self.session), &json!({"actions": sources}));
    }

    /// Clicks with the mouse.
    pub(crate) fn click(&self, x: f64, y: f64) {
        self.point(&[("mouse", [vec![to(x, y, 0), down()], vec![pause(30), up()]].concat())], "mouse");
    }

    /// Taps with a finger.
    pub(crate) fn tap(&self, x: f64, y: f64) {
        self.point(&[("finger", vec![to(x, y, 0), down(), pause(30), up()])], "touch");
    }

    /// Drags with the mouse, and holds still before letting go.
    pub(crate) fn drag(&self, from: (f64, f64), by: (f64, f64)) {
        let half = to(from.0 + by.0 / 2.0, from.1 + by.1 / 2.0, 100);
        let end = to(from.0 + by.0, from.1 + by.1, 100);
        let actions = vec![to(from.0, from.1, 0), down(), half, end, pause(300), up()];
        self.point(&[("mouse", actions)], "mouse");
    }

    /// Moves two fingers apart (or together), each by `by` to its side.
    pub(crate) fn pinch(&self, at: (f64, f64), start: f64, by: f64) {
        let finger = |side: f64| {
            let near = to(at.0 + side * start, at.1, 0);
            let far = to(at.0 + side * (start + by), at.1, 200);
            vec![near, down(), pause(50), far, pause(300), up()]
        };
        self.point(&[("finger", finger(-1.0)), ("thumb", finger(1.0))], "touch");
    }

    /// Gives a file to the input element with this id.
    pub(crate) fn upload(&self, id: &str, file: &std::path::Path) {
        let query = json!({"using": "css selector", "value": format!("#{id}")});
        let found = self.call("POST", &format!("/session/{}/element", self.session), &query);
        let element =
            found.as_object().and_then(|o| o.values().next()?.as_str()).expect("an element").to_owned();
        let path = format!("/session/{}/element/{element}/value", self.session);
        self.call("POST", &path, &json!({"text": file.to_str().unwrap()}));
    }

    /// Runs a script in the page, whatever its policy is.
    pub(crate) fn run(&self, script: &str) {
        let script = json!({"script": script, "args": []});
        self.call("POST", &format!("/session/{}/execute/sync", self.session), &script);
    }

    /// What a promise gives.
    pub(crate) fn resolved(&self, promise: &str) -> Value {
        let script =
            format!("const done = arguments[0]; ({promise}).then(done, error => done(String(error)));");
        let script = json!({"script": script, "args": []});
        self.call("POST", &format!("/session/{}/execute/async", self.session), &script)
    }

    /// Where files go that a page gives to the browser.
    pub(crate) fn downloads(&self) -> &std::path::Path {
        self.profile.path()
    }

    /// What the window shows: width, height and RGB bytes.
    pub(crate) fn screenshot(&self) -> (u32, u32, Vec<u8>) {
        let encoded = self.call("GET", &format!("/session/{}/screenshot", self.session), &Value::Null);
        let png = from_base64(encoded.as_str().expect("a screenshot is text"));
        if let Some(folder) = std::env::var_os("MICROTOME_SCREENSHOTS") {
            let name = std::thread::current().name().unwrap_or("page").replace("::", "_");
            std::fs::write(std::path::Path::new(&folder).join(name + ".png"), &png).unwrap();
        }
        rgb_of(png)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { vec![] } else { body.to_string().into_bytes() };
        let response = http(self.port, method, path, &[("Content-Type", "application/json")], &body);
        let mut answer: Value = serde_json::from_slice(&response.body).expect("WebDriver speaks JSON");
        assert_eq!(response.status, 200, "{path}: {answer}");
        answer["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Also when the test has failed: a browser that is left behind slows down all others.
        http(self.port, "DELETE", &format!("/session/{}", self.session), &[], b"");
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn to(x: f64, y: f64, milliseconds: u32) -> Value {
    json!({"type": "pointerMove", "x": x.round(), "y": y.round(), "duration": milliseconds})
}

fn down() -> Value {
    json!({"type": "pointerDown", "button": 0})
}

fn up() -> Value {
    json!({"type": "pointerUp", "button": 0})
}

fn pause(milliseconds: u32) -> Value {
    json!({"type": "pause", "duration": milliseconds})
}

/// Width, height and RGB bytes of a PNG in base64.
pub(crate) fn pixels(base64: &str) -> (u32, u32, Vec<u8>) {
    rgb_of(from_base64(base64))
}

fn rgb_of(png: Vec<u8>) -> (u32, u32, Vec<u8>) {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
    decoder.set_transformations(png::Transformations::STRIP_16 | png::Transformations::EXPAND);
    let mut reader = decoder.read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    let samples = info.color_type.samples();
    let rgb = bytes.chunks_exact(samples).flat_map(|p| [p[0], p[1], p[2]]).collect();
    (info.width, info.height, rgb)
}

/// Decodes standard Base64 (RFC 4648, section 4).
fn from_base64(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => panic!("not Base64"),
    };
    let digits: Vec<u8> = text.bytes().filter(|&c| c != b'=').map(value).collect();
    digits
        .chunks(4)
        .flat_map(|group| {
            let bits = group.iter().fold(0_u32, |bits, &digit| bits << 6 | u32::from(digit))
                << (6 * (4 - group.len()));
            bits.to_be_bytes()[1..group.len()].to_vec()
        })
        .collect()
}
