//! Why an ingest failed, by who must act.

use std::io;
use std::path::{Path, PathBuf};

/// An error of ingest. Messages name the file, the place and the remedy, in one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The source is damaged or lies about itself.
    #[error("{path}: {place}: {what}")]
    Malformed {
        /// The file at fault.
        path: String,
        /// Where in it: a tile, a tag, a byte offset.
        place: String,
        /// What is wrong there and what to do.
        what: String,
    },
    /// The source is fine and this version does not read its kind.
    #[error("{path}: unsupported: {what}")]
    Unsupported {
        /// The file.
        path: String,
        /// What is not supported, and the way round.
        what: String,
    },
    /// A file could not be read.
    #[error("{path}: cannot be read ({cause}); check the path, and who may read it", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's word.
        cause: io::Error,
    },
    /// The command's own words are off: a usage error.
    #[error("{0}")]
    Usage(String),
    /// The container could not be written or read back.
    #[error(transparent)]
    Container(#[from] microtome_container::Error),
    /// What training made cannot be read back: a mistake of ours, found before anything was written.
    #[error("the trained codec cannot be read back ({0}); report this slide")]
    Codec(#[from] microtome_codec::Error),
    /// The user asked to stop.
    #[error("interrupted; nothing was written under the final name")]
    Interrupted,
}

impl Error {
    /// What is said of an associated image that a source goes in without: its file's name without the folders, since containers do
    /// not depend on them.
    ///
    /// # Errors
    /// The error itself, where the system failed and nothing is known of the image: it may not fail the next time.
    pub(crate) fn leaves_image_out(self) -> Result<String, Self> {
        let name =
            |path: &str| Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let why = match &self {
            Self::Malformed { path, place, what } => format!("{}: {place}: {what}", name(path)),
            Self::Unsupported { path, what } => format!("{}: unsupported: {what}", name(path)),
            _ => return Err(self),
        };
        Ok(format!("an associated image is left out: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_an_image_that_is_left_out_names_no_folder_and_a_failed_read_is_no_damage() {
        let path = "/srv/DOE_John/a.svs".to_owned();
        let damaged = Error::Malformed { path: path.clone(), place: "page 1".into(), what: "cut off".into() };
        let said = damaged.leaves_image_out().expect("it can be left out");
        assert_eq!(said, "an associated image is left out: a.svs: page 1: cut off");
        let failed = Error::Read { path: path.into(), cause: io::Error::from_raw_os_error(5) };
        assert!(matches!(failed.leaves_image_out(), Err(Error::Read { .. })));
    }
}
