//! Merging without the environment, which a test cannot set for itself alone: `tests/configuration.rs` does that.

use std::path::Path;

use clap::{CommandFactory, FromArgMatches};

use super::*;
use crate::CommandLine;

fn serve_command() -> Command {
    CommandLine::command().find_subcommand("serve").expect("there is serve").clone()
}

fn values(toml: &str) -> Result<FileValues, String> {
    file::values(toml, &serve_command())
}

#[test]
fn flags_beat_the_file_and_the_file_beats_defaults() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.toml");
    std::fs::write(&path, "cache_mb = 7\ncache_entries = 9\ntiming_breakdown = true\n").expect("a file");
    let words = ["microtome", "config", "show", "--cache-mb", "8", "--timing-breakdown=false", "--config"];
    let words: Vec<OsString> = words.iter().map(OsString::from).chain([path.into()]).collect();
    let parsed = parse(&CommandLine::command(), &words).expect("fine words");
    let found = |key: &str| {
        let setting = parsed.settings.iter().find(|s| s.key == key).expect("a setting");
        (setting.value.clone(), setting.source)
    };
    assert_eq!(found("cache_mb"), (8.into(), "flag"));
    assert_eq!(found("cache_entries"), (9.into(), "file"));
    assert_eq!(found("timing_breakdown"), (false.into(), "flag"));
    assert_eq!(found("port"), (3007.into(), "default"));
}

#[test]
fn other_commands_have_no_settings() {
    let words = ["microtome", "tile", "a.mtm", "0", "0", "0", "-o", "-"].map(OsString::from);
    assert!(parse(&CommandLine::command(), &words).expect("fine words").settings.is_empty());
}

#[test]
fn the_file_speaks_as_flags_do() {
    let read = values("port = 0\nslides_root = '/a b'\ntiming_breakdown = false\n").expect("fine values");
    let pairs = [("port", "0"), ("slides_root", "/a b"), ("timing_breakdown", "false")];
    assert_eq!(read, pairs.map(|(key, text)| (key.to_owned(), text.to_owned())).into());
    assert_eq!(values(""), Ok(FileValues::new()));
}

#[test]
fn what_is_wrong_in_the_file_is_named() {
    for (toml, complaint) in [
        ("cache_mb = 1048577", "cache_mb = 1048577: not a whole number from 0 to 1048576"),
        ("rayon_threads = 0", "rayon_threads = 0: not a whole number from 1 to 1024"),
        ("cache_mb = -1", "cache_mb = -1: not a whole number from 0 to 1048576"),
        ("cache_mb = '64'", "cache_mb = \"64\": a value of type integer is wanted, not string"),
        ("cache_mb = 0.5", "cache_mb = 0.5: a value of type integer is wanted, not float"),
        ("timing_breakdown = 1", "timing_breakdown = 1: a value of type boolean is wanted, not integer"),
        ("slides_root = ''", "slides_root = \"\": a value is wanted"),
        ("host = 'here'", "host = \"here\": not an IP address"),
        ("cache = 1", "cache: there is no such key; known are slides_root, "),
        ("[server]\nport = 1", "server: there is no such key"),
        ("config = 'b.toml'", "config: there is no such key"),
        ("auth_token = 12345", "auth_token = ***: a value of type string is wanted, not integer"),
        ("port = 1\nport = 2", "line 2: duplicate key"),
    ] {
        let found = values(toml).expect_err(toml);
        assert!(found.starts_with(complaint), "{toml}: {found}");
    }
}

/// Rows of the table in the documentation, without its head: flag, variable, key, values, default, meaning.
fn documented() -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let text = std::fs::read_to_string(path).expect("the documentation");
    let rows = text.lines().filter(|line| line.starts_with("| `--"));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn the_documentation_lists_every_setting_as_it_is() {
    let command = serve_command();
    let documented = documented();
    let names: Vec<_> = arguments(&command).map(|argument| argument.get_id().as_str()).collect();
    assert_eq!(documented.len(), names.len(), "docs/configuration.md has a row for each of {names:?}");
    for (row, argument) in documented.iter().zip(arguments(&command)) {
        let key = argument.get_id().as_str();
        assert_eq!(row.len(), 6, "cells of {row:?}");
        assert_eq!(row[0], format!("`--{}`", key.replace('_', "-")));
        assert_eq!(argument.get_long(), Some(key.replace('_', "-").as_str()), "the flag is named as the key");
        let variable = format!("MICROTOME_{}", key.to_uppercase());
        assert_eq!(row[1], format!("`{variable}`"));
        assert_eq!(argument.get_env(), Some(variable.as_ref()), "the variable is named as the key");
        assert_eq!(row[2], if key == FILE { "none".to_owned() } else { format!("`{key}`") });
        check_values(&row[3], argument);
        check_default(&row[4], argument);
    }
}

/// "1 to 9": both are taken, and their neighbours outside are not.
fn check_values(documented: &str, argument: &Arg) {
    let key = argument.get_id();
    let Some((least, most)) = documented.split_once(" to ") else {
        assert_ne!(type_name(argument), "integer", "the bounds of {key} are documented");
        return;
    };
    let number = |text: &str| text.replace(',', "").parse::<u64>().expect("a number");
    let is_taken = |number: u64| file::values(&format!("{key} = {number}"), &serve_command()).is_ok();
    let (least, most) = (number(least), number(most));
    assert!(is_taken(least) && is_taken(most) && !is_taken(most + 1), "{key}: {documented}");
    assert!(least == 0 || !is_taken(least - 1), "{key}: {documented}");
}

/// In code marks it is the default itself; words say what it follows from, and are for people to check.
fn check_default(documented: &str, argument: &Arg) {
    let key = argument.get_id();
    match (argument.get_default_values(), documented.strip_prefix('`')) {
        ([], _) => assert_eq!(documented, "none", "{key}"),
        ([default], Some(text)) => assert_eq!(text.trim_end_matches('`'), default.as_os_str(), "{key}"),
        _ => assert!(["core", "memory"].iter().any(|w| documented.contains(w)), "{key}: {documented}"),
    }
}

#[derive(clap::Parser)]
struct OtherKinds {
    #[arg(long, env = "MICROTOME_TEST_FORMAT", value_parser = ["text", "json"])]
    format: Option<String>,
    #[arg(long, env = "MICROTOME_TEST_AHEAD")]
    ahead: bool,
}

#[test]
fn switches_without_a_value_and_words_of_a_list_can_stand_in_the_file() {
    let command = OtherKinds::command();
    let read = file::values("format = 'json'\nahead = true\n", &command).expect("fine values");
    let none = command.clone().get_matches_from(["microtome"]);
    let matches = with_defaults(command.clone(), &none, &read).get_matches_from(["microtome"]);
    let found = OtherKinds::from_arg_matches(&matches).expect("fine matches");
    assert_eq!((found.format.as_deref(), found.ahead), (Some("json"), true));
    let complaint = file::values("format = 'xml'", &command).expect_err("no such format");
    assert_eq!(complaint, "format = \"xml\": not one of text, json");
}
