//! Codec 1: quantised coefficients, predicted from another scale and coded with models trained on the slide.
//!
//! A tile's JPEG stream is taken apart into its template, stored once per slide, and its coefficients. These are coded
//! against a prediction: level 0 from the decoded tile of level 2, level 1 from the decoded tiles of level 0, any
//! other level from nothing but itself. The residuals go through static tables that training has chosen for the
//! slide. What cannot be represented goes in verbatim. `docs/format/codec-1.md` specifies every step in integers.
//!
//! Files from the outside in: `tile` (payloads), `reference` (other tiles), `planes`, `plane` and `walk` (blocks), `predict`
//! and `expect` (what is known before a coefficient is read), `parts`, `strands` and `rans` (bytes), `trainer`, `train`, `survey`,
//! `expectations`, `regression` and `solve` (models); `abreast`, which decodes
//! sixteen rows of blocks of large tiles at a time. What takes long besides the symbols is in `dct`, `colour`, `edges` and
//! `predict`, and once more by hand in the files named `_avx2` and `_neon`.
//! Not here: which tile is whose reference (geometry), I/O, threads.

mod abreast;
mod ahead;
mod built_in;
mod colour;
#[cfg(target_arch = "x86_64")]
mod colour_avx2;
mod dct;
mod edges;
#[cfg(target_arch = "x86_64")]
mod edges_avx2;
mod expect;
#[cfg(target_arch = "x86_64")]
mod expect_avx2;
mod expectations;
#[cfg(target_arch = "x86_64")]
mod forward_avx2;
#[cfg(target_arch = "x86_64")]
mod inverse_avx2;
#[cfg(target_arch = "aarch64")]
mod inverse_neon;
mod lanes;
#[cfg(target_arch = "x86_64")]
mod machine_avx2;
#[cfg(target_arch = "aarch64")]
mod machine_neon;
#[cfg(test)]
mod machine_tests;
mod model;
mod params;
mod parts;
#[cfg(target_arch = "x86_64")]
mod piece_avx2;
mod plane;
mod planes;
mod predict;
mod quantise;
mod rans;
#[cfg(target_arch = "x86_64")]
mod reduce_avx2;
mod reference;
mod regression;
mod simd;
mod solve;
mod stored;
mod strands;
mod survey;
mod tile;
mod train;
#[cfg(test)]
mod train_tests;
mod trainer;
mod walk;
mod workspace;

pub use model::Kind;
pub use params::{CrossScale, MAX_LENGTH};
pub use quantise::Quantiser;
pub use reference::{Finer, Picture, Reference};
pub use tile::Coding;
pub use trainer::Trainer;
pub use workspace::{DecodeTimes, Workspace};

/// Number of this codec.
pub const CROSS_SCALE: u16 = 1;
