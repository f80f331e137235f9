//! What a container says about its slide: the `META` section, JSON.
//!
//! Field by field in `docs/format/metadata.md`. Unknown fields are ignored, missing ones take their defaults, so
//! that old and new versions read each other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Longest metadata in bytes: its JSON takes up to some forty times its length in memory.
pub const MAX_LENGTH: u64 = 4 << 20;

/// The metadata of a slide.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// What made the container.
    pub encoder: Encoder,
    /// What it was made from.
    pub source: SourceRecord,
    /// Micrometres per pixel of level 0, horizontal and vertical.
    pub mpp: Option<[f64; 2]>,
    /// Objective power, 20 for "20x".
    pub objective_power: Option<f64>,
    /// Properties as the source spells them, and normalised ones under OpenSlide's names.
    pub properties: BTreeMap<String, String>,
    /// Label, macro, thumbnail.
    pub associated: Vec<AssociatedImage>,
    /// Every lossy step between the source and the tiles, in order.
    pub loss: Vec<LossStep>,
    /// Tiles that the source lacks, or that could not be decoded: they are blank, and not the source's.
    pub absent: Vec<AbsentTiles>,
    /// What of the source was left out, a sentence each.
    pub notices: Vec<String>,
}

impl Metadata {
    /// Whether the tiles of a level are the source's, byte for byte, but for those that are [absent](Self::absent).
    #[must_use]
    pub fn is_verbatim(&self, level: u8) -> bool {
        self.loss.iter().any(|step| step.verbatim && step.levels.contains(&level))
    }
}

/// Tiles of a level that its source lacks, or that could not be decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AbsentTiles {
    /// The level.
    pub level: u8,
    /// The first and the last of each run of tiles, in rising order; they count along the rows from 0 (`row * columns +
    /// column`).
    pub runs: Vec<[u64; 2]>,
    /// Whether the source has them, and they could not be decoded.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub undecodable: bool,
}

impl AbsentTiles {
    /// Whether the tile of this number is among them.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        let at = self.runs.partition_point(|&[_, last]| last < number);
        self.runs.get(at).is_some_and(|&[first, _]| first <= number)
    }

    /// Number of tiles.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.runs
            .iter()
            .fold(0, |sum, &[first, last]| sum.saturating_add(last.saturating_sub(first).saturating_add(1)))
    }
}

/// What made a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Encoder {
    /// `microtome`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it was asked for: `exact`, or `quality 80`.
    pub mode: String,
}

/// What a container was made from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceRecord {
    /// File name without folders.
    pub name: String,
    /// Kind of source: `aperio-svs`, `deep-zoom`, ...
    pub format: String,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Number of its files.
    pub files: u64,
    /// SHA-256 in hex: of the file, or of the sorted `sha256sum` listing where there are several.
    pub sha256: String,
    /// When the youngest of its files was changed, in seconds since 1970 (UTC).
    pub modified: Option<u64>,
    /// What read it, with its version.
    pub reader: String,
}

/// An associated image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssociatedImage {
    /// `label`, `macro`, `thumbnail` or `map`.
    pub name: String,
    /// `image/jpeg` or `image/png`.
    pub media_type: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Its place among the `ASSO` sections, from 0.
    pub index: usize,
}

/// A lossy step, or the statement that there was none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LossStep {
    /// The levels it concerns.
    pub levels: Vec<u8>,
    /// Whether nothing was lost: the tiles are the source's byte for byte, or cut from its coefficients bit for bit.
    pub verbatim: bool,
    /// What was done, in words.
    pub method: String,
    /// Bytes of 24-bit RGB per stored byte; 0 where nothing is stored.
    pub ratio: f64,
    /// Quality reached, where it is a step of ours.
    pub quality: Option<Quality>,
}

/// How tiles compare with the pixels they were made from: luma PSNR in dB (99 for a tile without any error), and
/// SSIMULACRA2.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Quality {
    /// Tiles measured: a regular sample of the levels.
    pub tiles: u64,
    /// The worst tile.
    pub psnr_y_worst: f64,
    /// One tile in a thousand is worse.
    pub psnr_y_p01: f64,
    /// One tile in a hundred is worse.
    pub psnr_y_p1: f64,
    /// Half the tiles are worse.
    pub psnr_y_median: f64,
    /// SSIMULACRA2 of a smaller sample, if there is any.
    pub ssimulacra2: Option<Scores>,
}

/// Scores of some tiles; 100 is identical, 90 hardly to be told apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scores {
    /// Tiles measured.
    pub tiles: u64,
    /// The worst tile.
    pub worst: f64,
    /// One tile in a thousand is worse.
    pub p01: f64,
    /// One tile in a hundred is worse.
    pub p1: f64,
    /// Half the tiles are worse.
    pub median: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_absent_tiles_have_both_ends_in_them_and_lies_do_no_harm() {
        let absent = AbsentTiles { level: 0, runs: vec![[2, 4], [9, 9]], undecodable: false };
        let found: Vec<u64> = (0..12).filter(|&number| absent.contains(number)).collect();
        assert_eq!((found, absent.count()), (vec![2, 3, 4, 9], 4));
        let lies = AbsentTiles { runs: vec![[5, 1], [0, u64::MAX], [0, u64::MAX]], ..AbsentTiles::default() };
        assert_eq!(lies.count(), u64::MAX);
        let _ = lies.contains(3);
    }
}
