//! Settings of the server from flags, environment and file, on the built binary.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use support::{command, fail, folder};

fn write(folder: &Path, toml: &str) -> PathBuf {
    let path = folder.join("microtome.toml");
    std::fs::write(&path, toml).unwrap();
    path
}

/// The binary with these variables and no others of its own.
fn with_variables(variables: &[(&str, &str)]) -> Command {
    let mut command = command();
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MICROTOME_"))
    {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn show(variables: &[(&str, &str)], flags: &[&str]) -> Value {
    let mut command = with_variables(variables);
    let output = command.args(["config", "show", "--json"]).args(flags).output().unwrap();
    serde_json::from_str(&succeeded(&output)).unwrap()
}

/// What a server that is started so says until it serves.
fn start(command: &mut Command) -> String {
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut said = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        said += &(line.unwrap() + "\n");
        if said.contains("http://") {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    said
}

#[test]
fn a_misspelled_variable_is_named() {
    let mut command = with_variables(&[("MICROTOME_CACHE_MBS", "1"), ("MICROTOME_CACHE_MB", "2")]);
    let output = command.args(["config", "show", "--json"]).output().unwrap();
    assert!(output.status.success());
    let complaint =
        "microtome: MICROTOME_CACHE_MBS is set and is no setting: docs/configuration.md lists them\n";
    assert_eq!(text(&output.stderr), complaint);
}

#[test]
fn flags_beat_the_environment_and_that_the_file() {
    let folder = folder();
    let file = write(folder.path(), "cache_mb = 1\ncache_entries = 2\nrayon_threads = 3\n");
    let file = file.to_str().unwrap();
    let variables =
        [("MICROTOME_CONFIG", file), ("MICROTOME_CACHE_MB", "10"), ("MICROTOME_CACHE_ENTRIES", "20")];
    let shown = show(&variables, &["--cache-mb", "100"]);
    assert_eq!(shown["cache_mb"], json!({ "value": 100, "source": "flag" }));
    assert_eq!(shown["cache_entries"], json!({ "value": 20, "source": "environment" }));
    assert_eq!(shown["rayon_threads"], json!({ "value": 3, "source": "file" }));
    assert_eq!(shown["port"], json!({ "value": 3007, "source": "default" }));
    assert_eq!(shown["config"], json!({ "value": file, "source": "environment" }));
    let shown = show(&[("MICROTOME_CONFIG", "nosuch.toml")], &["--config", file]);
    assert_eq!(shown["cache_mb"], json!({ "value": 1, "source": "file" }));
    assert_eq!(show(&[], &[])["config"], json!({ "value": null, "source": "default" }));
}

#[test]
fn a_switch_can_be_turned_off_again() {
    let folder = folder();
    let file = write(folder.path(), "timing_breakdown = true");
    let flags = ["--config", file.to_str().unwrap()];
    let value = |variables: &[_], more: &[&str]| {
        show(variables, &[&flags[..], more].concat())["timing_breakdown"]["value"].clone()
    };
    assert_eq!(value(&[], &[]), true);
    assert_eq!(value(&[("MICROTOME_TIMING_BREAKDOWN", "0")], &[]), false);
    assert_eq!(value(&[("MICROTOME_TIMING_BREAKDOWN", "0")], &["--timing-breakdown"]), true);
    assert_eq!(value(&[], &["--timing-breakdown=false"]), false);
}

#[test]
fn the_table_says_where_each_value_comes_from() {
    let mut command = with_variables(&[("MICROTOME_PORT", "3999")]);
    let table = succeeded(&command.args(["config", "show", "--cache-mb", "64"]).output().unwrap());
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["setting", "value", "from"]);
    for row in [["port", "3999", "environment"], ["cache_mb", "64", "flag"], ["host", "127.0.0.1", "default"]]
    {
        assert!(rows.iter().any(|found| *found == row), "{row:?} in {table}");
    }
}

#[test]
fn the_server_takes_them_and_says_so() {
    let folder = folder();
    let file = write(folder.path(), "port = 0\ncache_mb = 17\n");
    let root = folder.path().join("slides of the file");
    let variables =
        [("MICROTOME_SLIDES_ROOT", root.to_str().unwrap()), ("MICROTOME_CONFIG", file.to_str().unwrap())];
    for words in [&["serve"][..], &["--max-inflight-families", "5"], &["serve", "--max-inflight-families=5"]]
    {
        let said = start(with_variables(&variables).args(words));
        let line = said.lines().find(|line| line.contains("INFO") && line.contains("settings")).unwrap();
        assert!(line.contains("cache_mb=17") && said.contains("slides of the file"), "{said}");
        assert_eq!(
            line.contains("max_inflight_families=5"),
            words.len() > 1 || words[0] != "serve",
            "{line}"
        );
    }
}

#[test]
fn a_wrong_file_is_wrong_usage() {
    let folder = folder();
    for (toml, named) in [
        ("cache_mb = 99999999", ["cache_mb", "99999999", "from 0 to 1048576"]),
        ("cache_mb = '64'", ["cache_mb", "\"64\"", "integer"]),
        ("cash_mb = 64", ["cash_mb", "no such key", ""]),
        ("port = 1\nhost = ", ["line 2", "", ""]),
    ] {
        let file = write(folder.path(), toml);
        let file = file.to_str().unwrap();
        for words in [&["serve"][..], &["config", "show"], &[]] {
            let line = fail(2, [words, &["--config", file]].concat());
            assert!(named.iter().all(|name| line.contains(name)) && line.contains(file), "{line}");
        }
    }
    assert!(fail(2, ["--config", "nosuch.toml"]).contains("nosuch.toml: cannot be read"));
    // One without the other would be no TLS, and credentials in the clear.
    for (one, other) in [("tls_cert", "--tls-key"), ("tls_key", "--tls-cert")] {
        let file = write(folder.path(), &format!("{one} = 'nosuch.pem'\n"));
        for words in [&["serve"][..], &["config", "show"]] {
            let line = fail(2, [words, &["--config", file.to_str().unwrap()]].concat());
            assert!(line.contains(other) && line.contains("both or neither"), "{line}");
        }
    }
    let file = write(folder.path(), "");
    let file = file.to_str().unwrap();
    assert!(fail(2, ["config", "show", "--slides-root", file]).contains("is to be a folder"));
}

#[test]
fn a_wrong_variable_is_named_and_bothers_serving_alone() {
    let run = |words: &[&str]| {
        let output = with_variables(&[("MICROTOME_CACHE_MB", "lots")]).args(words).output().unwrap();
        (output.status.code(), text(&output.stderr))
    };
    let (code, line) = run(&["serve"]);
    assert_eq!(code, Some(2));
    assert_eq!(line, "microtome: MICROTOME_CACHE_MB = 'lots': not a whole number from 0 to 1048576\n");
    let (code, line) = run(&["--port", "lots"]);
    assert_eq!(code, Some(2));
    assert!(line.contains("--port"), "{line}");
    let (code, line) = run(&["info", "nosuch.mtm"]);
    assert_eq!(code, Some(1));
    assert!(line.contains("nosuch.mtm"), "{line}");
    let (code, _) = run(&["config", "show", "--cache-mb", "1"]);
    assert_eq!(code, Some(0), "a variable that a flag overrides is not looked at");
}

#[test]
fn what_is_wrong_with_a_value_says_where_it_is_from() {
    let folder = folder();
    let file = write(folder.path(), "auth_token = \"short\"\n");
    let said = |variables: &[(&str, &str)], flags: &[&str]| {
        let output = with_variables(variables).args(["config", "show"]).args(flags).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        text(&output.stderr)
    };
    let by_file = said(&[], &["--config", support::path(&file)]);
    assert!(by_file.contains("(--auth-token is set by auth_token in the settings file)"), "{by_file}");
    let by_variable = said(&[("MICROTOME_AUTH_TOKEN", "short")], &[]);
    assert!(by_variable.contains("(--auth-token is set by MICROTOME_AUTH_TOKEN)"), "{by_variable}");
    let by_flag = said(&[], &["--auth-token", "short"]);
    assert!(by_flag.contains("--auth-token") && !by_flag.contains("is set by"), "{by_flag}");
}
