//! Settings of the server from four places: flags, environment, a TOML file, defaults, in that order of strength.
//!
//! A setting is declared once, as a field of [`crate::commands::serve::Arguments`] with `long` and `env`; its key in
//! the file is the field's name. What the file says becomes the default of that argument, so clap merges, and types
//! and bounds are the same wherever a value comes from.

mod file;
#[cfg(test)]
mod tests;

use std::any::TypeId;
use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use crate::failure::Failure;
use file::FileValues;

/// The argument that names the file; the only one that the file cannot set.
const FILE: &str = "config";

/// A command line that has been read, with all that stands behind it.
pub(crate) struct Parsed {
    pub(crate) matches: ArgMatches,
    /// Settings that the command takes, in the order of its help; none if it takes none.
    pub(crate) settings: Vec<Setting>,
    /// Variables that look like settings of the command and are none: misspelled, most likely.
    pub(crate) strangers: Vec<String>,
}

/// A setting as it is in force.
pub(crate) struct Setting {
    pub(crate) key: String,
    /// Null if it has no value.
    pub(crate) value: serde_json::Value,
    /// "flag", "environment", "file" or "default".
    pub(crate) source: &'static str,
}

impl Setting {
    /// Where its value comes from, if it is not in the command's words.
    pub(crate) fn origin(&self) -> Option<String> {
        match self.source {
            "environment" => Some(format!("MICROTOME_{}", self.key.to_ascii_uppercase())),
            "file" => Some(format!("{} in the settings file", self.key)),
            _ => None,
        }
    }
}

/// Reads a command line, the environment, and the file that one of both names.
pub(crate) fn parse(command: &Command, words: &[OsString]) -> Result<Parsed, Failure> {
    let mut matches = matches(command.clone(), words)?;
    let mut file = FileValues::new();
    let (inner_command, inner) = innermost(command, &matches);
    if let Some(path) = inner.try_get_one::<PathBuf>(FILE).ok().flatten() {
        file = file::read(path, inner_command)?;
        matches = self::matches(with_defaults(command.clone(), &matches, &file), words)?;
    }
    let (inner_command, inner) = innermost(command, &matches);
    let settings: Vec<_> = arguments(inner_command).map(|argument| setting(argument, inner, &file)).collect();
    let strangers = if settings.is_empty() { vec![] } else { strangers(command) };
    Ok(Parsed { matches, settings, strangers })
}

/// Variables with our prefix that are no setting of any command. Not our tests' own, which begin with `MICROTOME_TEST_`.
fn strangers(command: &Command) -> Vec<String> {
    let ours = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    ours.filter(|name| name.starts_with("MICROTOME_") && !name.starts_with("MICROTOME_TEST_"))
        .filter(|name| !is_setting(command, name))
        .collect()
}

/// Whether a command, or one of those in it, takes a value from this variable.
fn is_setting(command: &Command, variable: &str) -> bool {
    arguments(command).any(|argument| argument.get_env() == Some(variable.as_ref()))
        || command.get_subcommands().any(|inner| is_setting(inner, variable))
}

/// The argument `--config FILE`.
pub(crate) fn file_argument() -> Arg {
    Arg::new(FILE)
        .long("config")
        .env("MICROTOME_CONFIG")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help("TOML file with settings, weaker than flags and environment: docs/configuration.md")
}

/// Parser of a whole number within bounds, which its complaint names.
pub(crate) fn whole_number<T: TryFrom<u64>>(
    bounds: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|number| bounds.contains(number));
        number
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| format!("not a whole number from {} to {}", bounds.start(), bounds.end()))
    }
}

/// What clap makes of the words and the environment. Ends the process as clap does, unless the complaint is about a
/// variable, which clap's would not name.
fn matches(command: Command, words: &[OsString]) -> Result<ArgMatches, Failure> {
    command.clone().try_get_matches_from(words).map_err(|error| match about_variable(&command, &error) {
        Some(line) => Failure::Usage(line),
        None => error.exit(),
    })
}

fn about_variable(command: &Command, error: &clap::Error) -> Option<String> {
    let (Some(ContextValue::String(flag)), Some(ContextValue::String(value))) =
        (error.get(ContextKind::InvalidArg), error.get(ContextKind::InvalidValue))
    else {
        return None;
    };
    let flag = flag.split(['[', '=', ' ']).next()?.strip_prefix("--")?;
    let mut all = command.get_subcommands().flat_map(Command::get_arguments);
    let variable = all.find(|argument| argument.get_long() == Some(flag))?.get_env()?;
    let is_cause = std::env::var_os(variable)?.to_string_lossy() == *value;
    is_cause.then(|| format!("{} = '{value}': {}", variable.display(), reason(error)))
}

/// What is wrong with a value, without clap's words about where it stood.
fn reason(error: &clap::Error) -> String {
    if let Some(source) = std::error::Error::source(error) {
        return source.to_string();
    }
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(valid)) if !valid.is_empty() => format!("not one of {}", valid.join(", ")),
        _ => "a value is wanted".to_owned(),
    }
}

/// The subcommand that was called, and its matches.
fn innermost<'a>(mut command: &'a Command, mut matches: &'a ArgMatches) -> (&'a Command, &'a ArgMatches) {
    while let Some((name, inner)) = matches.subcommand()
        && let Some(subcommand) = command.find_subcommand(name)
    {
        (command, matches) = (subcommand, inner);
    }
    (command, matches)
}

/// The command with the file's values as defaults of the subcommand that was called.
fn with_defaults(command: Command, matches: &ArgMatches, file: &FileValues) -> Command {
    match matches.subcommand() {
        Some((name, inner)) => command.mut_subcommand(name, |command| with_defaults(command, inner, file)),
        None => file.iter().fold(command, |command, (key, text)| {
            command.mut_arg(key, |argument| argument.default_value(text))
        }),
    }
}

/// The arguments that are settings.
fn arguments(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|argument| argument.get_env().is_some())
}

/// Whether a setting is not to be printed, but for the name of the file that it is in (`@FILE`).
fn is_secret(argument: &Arg) -> bool {
    argument.is_hide_env_values_set()
}

/// What TOML calls the type of an argument's values.
fn type_name(argument: &Arg) -> &'static str {
    let parsed = argument.get_value_parser().type_id();
    if parsed == TypeId::of::<bool>() {
        "boolean"
    } else if [TypeId::of::<u16>(), TypeId::of::<u32>(), TypeId::of::<u64>(), TypeId::of::<usize>()]
        .iter()
        .any(|t| parsed == *t)
    {
        "integer"
    } else {
        "string"
    }
}

fn setting(argument: &Arg, matches: &ArgMatches, file: &FileValues) -> Setting {
    let key = argument.get_id().as_str();
    let raw = matches.get_raw(key).and_then(|mut values| values.next());
    let value = match (raw, type_name(argument)) {
        (None, _) => serde_json::Value::Null,
        (Some(raw), _) if is_secret(argument) && !raw.to_string_lossy().starts_with('@') => "***".into(),
        (Some(_), "boolean") => matches.get_flag(key).into(),
        (Some(raw), "integer") => raw.to_string_lossy().parse::<u64>().ok().into(),
        (Some(raw), _) => raw.to_string_lossy().into(),
    };
    let source = match matches.value_source(key) {
        Some(ValueSource::CommandLine) => "flag",
        Some(ValueSource::EnvVariable) => "environment",
        _ if file.contains_key(key) => "file",
        _ => "default",
    };
    Setting { key: key.to_owned(), value, source }
}
