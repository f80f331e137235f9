//! An open container as tiles: [`Slide::fetch`] reads, [`FetchedTile::decode`] turns what was read into a JPEG tile.
//! [`Slide::fetch_family`] and [`FetchedTiles::decode`] do so for a base tile and its descendants at once.
//!
//! The two are different types so that whoever waits for disks never decodes, and whoever decodes never waits.
//! Here too: which tiles a tile is predicted from ([`mod@reference`]), what the metadata says ([`metadata`]), cutting and
//! joining tiles ([`mosaic`]), colours by ICC profiles ([`colour`]), pixels of associated images ([`associated`]), and Deep Zoom's names for levels ([`deepzoom`]), the only place where levels are counted
//! the other way round.
//!
//! Not here: HTTP, caches of tiles to be served, threads, reading of other slide formats.

pub mod associated;
mod buffers;
mod caches;
pub mod colour;
mod decode;
pub mod deepzoom;
pub mod error;
mod fetch;
mod gather;
pub mod metadata;
pub mod mosaic;
pub mod reference;
mod slide;
mod times;
pub mod workspace;

pub use buffers::spare_bytes;
pub use caches::Caches;
pub use error::Error;
pub use fetch::{FetchedTile, FetchedTiles};
pub use metadata::Metadata;
pub use microtome_container::geometry::{Grid, Rect, TileId};
pub use slide::{LevelUsage, Slide};
pub use times::Times;
