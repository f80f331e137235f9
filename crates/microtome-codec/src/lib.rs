//! JPEG tiles: as pixels, as headers, as the stream that is served, and as the payload that is stored.
//!
//! [`Rgb`] holds pixels, [`jpeg`] reads and rewrites JPEG markers, [`turbo`] turns pixels into JPEG and back
//! through libjpeg-turbo, and [`payload`] is the seam between what a container stores and what a viewer gets:
//! codec 0 keeps the JPEG tile verbatim, later codecs go beside it. [`coefficients`] takes a JPEG tile apart
//! into quantised coefficients and puts it together again, byte for byte.
//!
//! Not here: files, threads, pyramids, tile positions. Everything is a plain function from bytes to bytes.

pub mod coefficients;
pub mod cross_scale;
pub mod error;
mod instructions;
pub mod jpeg;
pub mod payload;
pub mod rgb;
mod stopwatch;
pub mod turbo;

pub use error::Error;
pub use instructions::instructions;
pub use rgb::Rgb;
pub use stopwatch::Stopwatch;
