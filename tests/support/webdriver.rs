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
    _profile: tempfile::TempDir,
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
        let options = json!({"args": [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update", "--force-device-scale-factor=1",
            format!("--window-size={width},{height}"), format!("--user-data-dir={}", profile.path().display()),
        ]});
        let mut browser = Self { driver, port, session: String::new(), _profile: profile, _turn: turn };
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

    /// What the window shows: width, height and RGB bytes.
    pub(crate) fn screenshot(&self) -> (u32, u32, Vec<u8>) {
        let encoded = self.call("GET", &format!("/session/{}/screenshot", self.session), &Value::Null);
        let png = from_base64(encoded.as_str().expect("a screenshot is text"));
        if let Some(folder) = std::env::var_os("MICROTOME_SCREENSHOTS") {
            let name = std::thread::current().name().unwrap_or("page").replace("::", "_");
            std::fs::write(std::path::Path::new(&folder).join(name + ".png"), &png).unwrap();
        }
        let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
        decoder.set_transformations(png::Transformations::STRIP_16 | png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        let samples = info.color_type.samples();
        let rgb = bytes.chunks_exact(samples).flat_map(|p| [p[0], p[1], p[2]]).collect();
        (info.width, info.height, rgb)
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
