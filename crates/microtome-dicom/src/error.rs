//! Why a slide, or a frame of it, cannot be DICOM.

use std::path::PathBuf;

use microtome_slide::TileId;

/// An error of this crate. Messages name the container, the place and the remedy, in one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The container cannot be read, or a tile of it does not decode.
    #[error(transparent)]
    Slide(#[from] microtome_slide::Error),
    /// A tile is sound and cannot be a frame beside the others.
    #[error("{path}: {tile}: {what}", path = path.display())]
    Tile {
        /// The container.
        path: PathBuf,
        /// The tile.
        tile: TileId,
        /// What is in the way.
        what: String,
    },
    /// An associated image cannot be an instance.
    #[error("{path}: {name}: {what}", path = path.display())]
    Associated {
        /// The container.
        path: PathBuf,
        /// The image.
        name: String,
        /// What is in the way.
        what: String,
    },
}
