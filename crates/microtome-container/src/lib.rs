//! The `.mtm` container: one immutable file that holds a slide's tiles, readable by ranges.
//!
//! [`header`] and [`index`] are the file's layout (`docs/format/container.md` is normative), [`checksum`] binds
//! every record to its place, [`Container`] reads from a file or another [`Source`], [`Writer`] spools tiles in any order and publishes a finished
//! file atomically, [`verify`] proves a file from end to end. [`geometry`] says which tile covers what.
//!
//! Payloads are opaque: what a record means is the business of `microtome-codec`, named by its section's codec
//! number. Not here: pixels, metadata, threads, networks.

pub mod checksum;
pub mod error;
pub mod geometry;
pub mod header;
pub mod index;
pub mod reader;
pub mod source;
pub mod verify;
pub mod writer;

pub use error::Error;
pub use header::{ContentId, Header, Level, SectionKind, SlideId};
pub use reader::Container;
pub use source::Source;
pub use writer::{NewSection, Writer};
