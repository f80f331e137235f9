//! Why an export failed.

use std::io;
use std::path::PathBuf;

/// An error of export. Messages name the file, the place and the remedy, in one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The container cannot be read, or a tile of it does not decode.
    #[error(transparent)]
    Slide(#[from] microtome_slide::Error),
    /// The slide, or a tile of it, cannot be DICOM.
    #[error(transparent)]
    Dicom(#[from] microtome_dicom::Error),
    /// The slide is fine and the format has no place for it.
    #[error("{path}: {what}", path = path.display())]
    Unsupported {
        /// The container.
        path: PathBuf,
        /// What has no place, and the way round.
        what: String,
    },
    /// A file could not be written or read back.
    #[error("{path}: cannot be written: {cause}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's word.
        cause: io::Error,
    },
    /// What was asked for is outside the slide, or too large.
    #[error("{0}")]
    Usage(String),
    /// Pixels that no picture can be made of.
    #[error(transparent)]
    Render(microtome_render::Error),
    /// The user asked to stop.
    #[error("interrupted; nothing was written under the final name")]
    Interrupted,
}

impl From<microtome_render::Error> for Error {
    fn from(error: microtome_render::Error) -> Self {
        match error {
            microtome_render::Error::Slide(error) => Self::Slide(error),
            other => Self::Render(other),
        }
    }
}
