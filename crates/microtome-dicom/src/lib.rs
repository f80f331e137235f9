//! A slide as a series of DICOM VL Whole Slide Microscopy images: one description for files and for the web.
//!
//! [`Series::of`] says which instances a slide has and what is known of them at once, [`Series::describe`] the rest, with the
//! [`Frames`]; [`part10`] and [`json`] write it. Standards: PS3.3 A.32.8 (the image), PS3.5 (encoding), PS3.10 (files), PS3.18
//! annex F (JSON).
//!
//! Export's `LevelTiles` is not used: TIFF wants records that lack their tables, DICOM complete streams, as they are served.
//!
//! Not here: reading of DICOM, files, HTTP, threads.

pub mod associated;
pub mod dataset;
pub mod error;
pub mod frames;
mod image;
pub mod json;
mod modules;
pub mod part10;
mod profile;
pub mod series;
mod source;
pub mod uid;

pub use dataset::Dataset;
pub use error::Error;
pub use frames::{LevelFrames, Making, Photometric};
pub use image::available;
pub use series::{Frames, Identity, Instance, Kind, QUALITY, SEARCHED, Series};
