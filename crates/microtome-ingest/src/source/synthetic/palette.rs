//! What each kind of nucleus, cell or speck looks like: its form and its uptake of both stains.
//!
//! Sizes, where not given at the place of use, are in pixels of 0.25 um.

use super::shapes::Blob;

/// Epithelial nucleus: open chromatin, visible membrane.
pub(super) const NUCLEUS: Blob = Blob {
    x: 0.0,
    y: 0.0,
    axes: (15.0, 9.0),
    along: (1.0, 0.0),
    haematoxylin: 0.5,
    eosin: 0.16,
    rim: 0.22,
    clump: 0.15,
    ragged: 0.05,
    soft: 1.7,
    opacity: 0.94,
};
/// Lymphocyte or plasma cell: round, dense, clumped.
pub(super) const LYMPHOCYTE: Blob = Blob { rim: 0.08, clump: 0.17, ragged: 0.06, eosin: 0.14, ..NUCLEUS };
/// Fibroblast, smooth muscle, endothelium: long and thin.
pub(super) const SPINDLE: Blob =
    Blob { rim: 0.05, clump: 0.12, ragged: 0.10, eosin: 0.2, soft: 1.4, ..NUCLEUS };
/// Mucus vacuole of a goblet cell.
pub(super) const GOBLET: Blob = Blob { rim: 0.5, clump: 0.22, ragged: 0.06, soft: 2.2, ..NUCLEUS };
/// Erythrocyte: 7 um, orange-pink.
pub(super) const RED_CELL: Blob = Blob {
    axes: (12.5, 11.5),
    haematoxylin: 0.02,
    eosin: 0.42,
    rim: 0.3,
    clump: 0.03,
    ragged: 0.05,
    ..NUCLEUS
};
/// Dust on the glass, out of focus.
pub(super) const DUST: Blob = Blob {
    haematoxylin: 0.18,
    eosin: 0.02,
    rim: -0.2,
    clump: 0.1,
    ragged: 0.25,
    soft: 3.5,
    opacity: 0.8,
    ..NUCLEUS
};
