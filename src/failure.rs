//! How a command ends when it does not end well: one line, one exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use microtome_object::BucketError;

use crate::output::printable;
use crate::publish;
use crate::settings::Setting;

/// A command's failure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Exit code 1.
    #[error("{0}")]
    Failed(String),
    /// Exit code 2: the command's own words are off.
    #[error("{0}")]
    Usage(String),
    /// Exit code 3: the rest is done.
    #[error("{failed} of {all} inputs failed; see the lines above")]
    SomeFailed {
        /// Inputs that failed.
        failed: usize,
        /// Inputs there were.
        all: usize,
    },
    /// Exit code 1: told to stop.
    #[error("interrupted; finished slides are kept, go on with --resume")]
    Interrupted,
    /// Exit code 4.
    #[error("{0}")]
    Verification(String),
    /// Exit code 1: standard output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// The failure of a command with these settings: what names a flag says where its value is from.
    pub(crate) fn with_origin(self, settings: &[Setting]) -> Self {
        let known = |what: String| {
            let flag =
                what.split_once("--").and_then(|(_, rest)| rest.split([':', ' ', ',', ';', ')']).next());
            let setting = settings.iter().find(|setting| Some(&*setting.key.replace('_', "-")) == flag);
            match setting.and_then(Setting::origin) {
                Some(origin) => format!("{what} (--{} is set by {origin})", flag.unwrap_or_default()),
                None => what,
            }
        };
        match self {
            Self::Usage(what) => Self::Usage(known(what)),
            Self::Failed(what) => Self::Failed(known(what)),
            other => other,
        }
    }

    /// Prints the line and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        complain(&self.to_string());
        ExitCode::from(match self {
            Self::Failed(_) | Self::Output(_) | Self::Interrupted => 1,
            Self::Usage(_) => 2,
            Self::SomeFailed { .. } => 3,
            Self::Verification(_) => 4,
        })
    }
}

impl From<BucketError> for Failure {
    fn from(error: BucketError) -> Self {
        match error {
            BucketError::NoAddress(_) => Self::Usage(error.to_string()),
            error => Self::Failed(error.to_string()),
        }
    }
}

impl From<microtome_ingest::Error> for Failure {
    fn from(error: microtome_ingest::Error) -> Self {
        match error {
            microtome_ingest::Error::Usage(what) => Self::Usage(what),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<microtome_slide::Error> for Failure {
    fn from(error: microtome_slide::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<microtome_export::Error> for Failure {
    fn from(error: microtome_export::Error) -> Self {
        match error {
            microtome_export::Error::Usage(what) => Self::Usage(what),
            microtome_export::Error::Write { path, cause } => publish::unwritable(&path, &cause),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// A line on standard error: one failure, one line, whatever the names in it hold.
pub(crate) fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "microtome: {}", printable(message));
}
