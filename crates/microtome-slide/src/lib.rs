//! An open container as tiles: [`Slide::fetch`] reads, [`FetchedTile::decode`] turns what was read into a JPEG tile.
//!
//! The two are different types so that whoever waits for disks never decodes, and whoever decodes never waits.
//! Here too: what the metadata says ([`metadata`]), cutting and joining tiles ([`mosaic`]), and Deep Zoom's names
//! for levels ([`deepzoom`]), the only place where levels are counted the other way round.
//!
//! Not here: HTTP, caches of decoded tiles, threads, reading of other slide formats.

pub mod deepzoom;
pub mod error;
mod fetch;
pub mod metadata;
pub mod mosaic;
mod slide;

pub use error::Error;
pub use fetch::{FetchedTile, Record};
pub use metadata::Metadata;
pub use microtome_container::geometry::{Grid, Rect, TileId};
pub use slide::{LevelUsage, Slide};
