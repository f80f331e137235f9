//! Why there is no picture.

/// An error of rendering.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The container cannot be read, or a tile of it does not decode.
    #[error(transparent)]
    Slide(#[from] microtome_slide::Error),
    /// The pixels are there, and the format has no place for them.
    #[error("{width} x {height} px cannot be {format}: {what}")]
    Unencodable {
        /// Width of the picture.
        width: u32,
        /// Height of the picture.
        height: u32,
        /// The format.
        format: &'static str,
        /// What stands against it.
        what: String,
    },
}
