//! Source slides into containers.
//!
//! [`source`] opens what scanners and people have, [`ingest()`] turns it into a verified container: tiles that are
//! JPEG already are kept to the byte, pixels are quantised once, and missing levels are made from the finer ones. The
//! codec's models are trained on a sample of the slide first.
//! [`verify`] proves a container, in itself and against its source.
//!
//! Progress is told to a [`Progress`]; nothing is printed. Not here: the container's layout, JPEG itself, serving.

mod coder;
mod deidentify;
pub mod error;
mod fingerprint;
mod forgiving;
mod ingest;
mod material;
mod metadata;
mod opened;
mod options;
mod plan;
mod pyramid;
mod quality;
pub mod source;
mod training;
pub mod verify;

pub use coder::Codings;
pub use deidentify::Removed;
pub use error::Error;
pub use fingerprint::{has_source_bytes, source_name};
pub use ingest::{Earlier, Progress, Report, Unit, earlier, ingest};
pub use options::{BadTiles, DerivedLevels, Mode, Options};
