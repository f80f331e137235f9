//! One module per subcommand: its arguments, and what it prints.

#[cfg(feature = "bench")]
pub(crate) mod bench;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod export;
pub(crate) mod info;
pub(crate) mod ingest;
pub(crate) mod openslide;
pub(crate) mod serve;
pub(crate) mod sign;
pub(crate) mod tile;
pub(crate) mod verify;
