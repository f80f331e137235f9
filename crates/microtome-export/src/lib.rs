//! Containers back to files that need no Microtome: one module per format.
//!
//! [`tiff`], [`deepzoom`] and [`dicom`] pass JPEG tiles on as they are wherever the format lets them; [`image`] writes a level or a part
//! of one as a picture. What had to be made anew is part of each [`Report`].
//!
//! Not here: reading of these formats, names of files and their publishing, which are the caller's.

mod batches;
pub mod deepzoom;
pub mod dicom;
pub mod error;
pub mod image;
pub mod tiff;
mod tiles;

pub use error::Error;

/// Quality of tiles that are made anew, unless the caller knows better: that of levels which ingest makes beside tiles that
/// it keeps.
pub const QUALITY: u8 = 85;

/// What an export did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Tiles written.
    pub tiles: u64,
    /// What is not as the container has it, a sentence each.
    pub notices: Vec<String>,
}
