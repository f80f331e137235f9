//! The log subscriber that suits a server in the foreground or under a service manager.

use std::fmt;
use std::io::IsTerminal;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What all targets of this project begin with.
const OURS: &str = "microtome";

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

impl FromStr for LogFormat {
    type Err = LogSettingError;

    fn from_str(text: &str) -> Result<Self, LogSettingError> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(LogSettingError::Format(other.to_owned())),
        }
    }
}

/// Which log lines are written: a level (`debug`), or levels by target (`warn,microtome_server=debug`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LogFilter {
    type Err = LogSettingError;

    fn from_str(text: &str) -> Result<Self, LogSettingError> {
        // A lone word that is no level would be taken for a target: a level that is misspelt must not be that.
        let known =
            |part: &str| part.contains('=') || (!part.is_empty() && part.parse::<LevelFilter>().is_ok());
        let filter = Self(text.to_owned());
        match text.split(',').all(known) && filter.targets().is_ok() {
            true => Ok(filter),
            false => Err(LogSettingError::Filter(text.to_owned())),
        }
    }
}

impl LogFilter {
    fn targets(&self) -> Result<Targets, ParseError> {
        // A level alone is about what this server does, not about every frame of the protocols below.
        match self.0.parse::<LevelFilter>() {
            Ok(level) => {
                Ok(Targets::new().with_target(OURS, level).with_default(level.min(LevelFilter::WARN)))
            }
            Err(_several) => self.0.parse(),
        }
    }
}

/// What is wrong with a setting of the log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogSettingError {
    /// No such format.
    #[error("'{0}' is no log format: text or json")]
    Format(String),
    /// The filter is not understood.
    #[error(
        "'{0}' is no log filter: error, warn, info, debug, trace or off, or by target, as in warn,microtome_server=debug"
    )]
    Filter(String),
}

/// Sends log lines to stderr, in colour only on a terminal.
///
/// Does nothing if the program has installed a subscriber before.
pub fn init_logging(format: LogFormat, filter: &LogFilter) {
    let lines = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // The filter decides.
        .with_max_level(LevelFilter::TRACE);
    // A filter is parsed when it is made: there is no other.
    let filter = filter.targets().unwrap_or_default();
    let installed = match format {
        LogFormat::Text => lines.finish().with(filter).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).finish().with(filter).try_init(),
    };
    if let Err(reason) = installed {
        tracing::debug!(%reason, "the log subscriber in place is kept");
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    fn shows(filter: &str, target: &str, level: Level) -> bool {
        let filter: LogFilter = filter.parse().expect("a filter");
        filter.targets().expect("parsed before").would_enable(target, &level)
    }

    #[test]
    fn a_level_is_ours_and_others_are_named() {
        assert!(shows("debug", "microtome_server::routes", Level::DEBUG));
        assert!(!shows("debug", "h2::codec", Level::INFO));
        assert!(shows("debug", "h2::codec", Level::WARN));
        assert!(!shows("error", "h2::codec", Level::WARN));
        assert!(!shows("info", "microtome_server::routes", Level::DEBUG));
        assert!(shows("warn,h2=trace", "h2::codec", Level::TRACE));
        assert!(!shows("warn,h2=trace", "microtome_server", Level::INFO));
        assert!(!shows("off", "microtome_server", Level::ERROR));
    }

    #[test]
    fn nonsense_is_refused_with_what_is_possible() {
        for nonsense in ["", "loud", "info,", "debug,loud", "microtome=loud", "17"] {
            let error = nonsense.parse::<LogFilter>().expect_err(nonsense).to_string();
            assert!(error.contains(&format!("'{nonsense}'")) && error.contains("debug"), "{error}");
        }
        let error = "xml".parse::<LogFormat>().expect_err("no format");
        assert!(error.to_string().contains("text or json"), "{error}");
        assert_eq!("json".parse::<LogFormat>().expect("a format"), LogFormat::Json);
    }
}
