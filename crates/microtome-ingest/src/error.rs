//! Why an ingest failed, by who must act.

use std::io;
use std::path::PathBuf;

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
