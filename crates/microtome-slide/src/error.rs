//! What can go wrong between an open container and a tile.

use std::path::PathBuf;

use microtome_container::geometry::TileId;

/// An error of an open slide.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tile is outside the slide's levels or its level's grid: the request is wrong, the file is not.
    #[error("{0} is outside the slide")]
    OutsideSlide(TileId),
    /// The container cannot be read, is damaged, or needs a newer version. Names file and place.
    #[error(transparent)]
    Container(microtome_container::Error),
    /// A record is intact and does not decode.
    #[error("{path}: {tile}: {cause}", path = path.display())]
    Undecodable {
        /// The container.
        path: PathBuf,
        /// The tile at fault.
        tile: TileId,
        /// What the codec found.
        cause: microtome_codec::Error,
    },
    /// Metadata or codec parameters are intact and make no sense.
    #[error("{path}: {place}: {what}", path = path.display())]
    Invalid {
        /// The container.
        path: PathBuf,
        /// The section at fault.
        place: String,
        /// What is wrong with it.
        what: String,
    },
}

impl Error {
    /// Whether a newer version made the file: nothing is wrong with it.
    #[must_use]
    pub fn is_of_newer_version(&self) -> bool {
        matches!(self, Self::Container(microtome_container::Error::Unsupported { .. }))
    }

    /// What the system said where it refused an operation on the file. A file that ends early is damaged.
    #[must_use]
    pub fn of_system(&self) -> Option<&std::io::Error> {
        match self {
            Self::Container(microtome_container::Error::Io { cause, .. }) => {
                Some(cause).filter(|cause| cause.kind() != std::io::ErrorKind::UnexpectedEof)
            }
            _ => None,
        }
    }

    /// Whether the system refused an operation on the file: it may not the next time.
    #[must_use]
    pub fn is_of_system(&self) -> bool {
        self.of_system().is_some()
    }
}

impl From<microtome_container::Error> for Error {
    fn from(error: microtome_container::Error) -> Self {
        match error {
            microtome_container::Error::OutsideSlide(tile) => Self::OutsideSlide(tile),
            other => Self::Container(other),
        }
    }
}
