//! The TOML file: flat, its keys the names of the settings.

use std::collections::BTreeMap;
use std::path::Path;

use clap::{Arg, Command};

use super::{FILE, arguments, is_secret, reason, type_name};
use crate::failure::Failure;

/// The file's settings, each in the words that a flag would have.
pub(super) type FileValues = BTreeMap<String, String>;

/// Reads the file and checks every value as the command's arguments would.
pub(super) fn read(path: &Path, command: &Command) -> Result<FileValues, Failure> {
    let usage = |what: String| Failure::Usage(format!("{}: {what}", path.display()));
    let toml = std::fs::read_to_string(path)
        .map_err(|error| usage(format!("cannot be read: {error}; check the path, and who may read it")))?;
    values(&toml, command).map_err(usage)
}

/// The settings of a document, or what is wrong with it.
pub(super) fn values(toml: &str, command: &Command) -> Result<FileValues, String> {
    let table: toml::Table = toml.parse().map_err(|error| malformed(toml, &error))?;
    table.into_iter().map(|(key, value)| text(&key, &value, command).map(|text| (key, text))).collect()
}

fn malformed(toml: &str, error: &toml::de::Error) -> String {
    let start = error.span().map_or(0, |span| span.start);
    let line = 1 + toml.bytes().take(start).filter(|&byte| byte == b'\n').count();
    format!("line {line}: {}", error.message())
}

/// A value in the words of a flag.
fn text(key: &str, value: &toml::Value, command: &Command) -> Result<String, String> {
    let settable = || arguments(command).filter(|argument| argument.get_id() != FILE);
    let Some(argument) = settable().find(|argument| argument.get_id() == key) else {
        let known: Vec<_> = settable().map(|argument| argument.get_id().as_str()).collect();
        // Without the value: it may be a secret under a misspelled key.
        return Err(format!("{key}: there is no such key; known are {}", known.join(", ")));
    };
    let (is, wanted) = (value.type_str(), type_name(argument));
    if is != wanted {
        let value = if is_secret(argument) { "***".to_owned() } else { value.to_string() };
        return Err(format!("{key} = {value}: a value of type {wanted} is wanted, not {is}"));
    }
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match refusal(argument, &text) {
        Some(reason) => Err(format!("{key} = {value}: {reason}")),
        None => Ok(text),
    }
}

/// What a flag would say to the value.
fn refusal(argument: &Arg, text: &str) -> Option<String> {
    if type_name(argument) == "boolean" {
        // It is one, and not every flag takes a value.
        return None;
    }
    let flag = format!("--{}={text}", argument.get_long()?);
    let alone = Command::new(FILE).no_binary_name(true).arg(argument.clone());
    alone.try_get_matches_from([flag]).err().map(|error| reason(&error))
}
