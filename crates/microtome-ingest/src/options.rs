//! How an ingest is to go: what its caller says beforehand.

use microtome_codec::turbo::Subsampling;

/// How the source's level 0 goes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Exact where the source's tiles are JPEG, else quality 80.
    #[default]
    Auto,
    /// JPEG tiles byte for byte; a source without them is refused.
    Exact,
    /// Pixels quantised by us, 1 to 100 as libjpeg counts.
    Quality(u8),
}

/// What becomes of the source's levels 1, 3, 5, ... in exact mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DerivedLevels {
    /// Kept byte for byte.
    #[default]
    Exact,
    /// Left out and reduced from the finer level when asked for.
    Reduced,
}

/// What becomes of tiles of the source that are missing, malformed, or no picture of their size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BadTiles {
    /// The first one ends the ingest, by its place.
    #[default]
    Stop,
    /// They are white, and the container says where.
    Blank,
}

/// How to ingest.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Options {
    /// How level 0 goes in.
    pub mode: Mode,
    /// What becomes of the levels in between.
    pub derived_levels: DerivedLevels,
    /// Chroma resolution of pixels that are quantised, 4:2:0 if not said. Not for tiles that are kept: levels that are made
    /// beside these have theirs.
    pub chroma: Option<Subsampling>,
    /// Threads; 0 is one per core.
    pub jobs: usize,
    /// Whether pixels are converted to sRGB by the source's ICC profile, which else goes along with them.
    pub to_srgb: bool,
    /// Whether what may identify a patient is left out, see [`Removed`].
    pub deidentify: bool,
    /// What becomes of tiles that cannot be decoded.
    pub bad_tiles: BadTiles,
    /// Micrometres per pixel, in both directions, over whatever the source says: 0.05 to 50.
    pub mpp: Option<f64>,
}
