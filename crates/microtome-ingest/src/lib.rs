//! Source slides into containers.
//!
//! [`source`] opens what scanners and people have, [`ingest()`] turns it into a verified container: tiles that are
//! JPEG already go in verbatim, pixels are quantised once, and missing levels are made from the finer ones.
//! [`verify`] proves a container, in itself and against its source.
//!
//! Progress is told to a [`Progress`]; nothing is printed. Not here: the container's layout, JPEG itself, serving.

pub mod error;
mod fingerprint;
mod ingest;
mod plan;
mod pyramid;
pub mod source;
pub mod verify;

pub use error::Error;
pub use ingest::{DerivedLevels, Mode, Options, Progress, Report, Unit, already_ingested, ingest};
