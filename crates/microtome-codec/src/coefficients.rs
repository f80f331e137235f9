//! Huffman-coded sequential JPEG streams as quantised coefficients, and back, byte for byte.
//!
//! A [`Parser`] takes a stream apart into a [`Tile`] (its size and its coefficients, which differ from tile
//! to tile) and a [`Template`] (all the rest: markers, tables, padding, which one encoder writes alike for
//! every tile). A [`Writer`] puts the two together again. What the parser returns is proven to give the input
//! back, and what it cannot prove it refuses, so that the caller keeps the stream verbatim. The proof:
//!
//! - The markers are put together again and compared, and so are the tables that the template will code with.
//!   What follows the scan is part of the template as it is.
//! - A Huffman code stands for one symbol, and a symbol with its value bits for one value, so the only freedom
//!   that an encoder has in a block is where it uses runs of 16 zeros. The writer uses them before a coefficient
//!   only, and an end wherever the last coefficient is zero. The decoder refuses runs of 16 zeros up to an end or
//!   to the last place; an end behind the last place would be taken for the next block's.
//! - Equal symbols have equal counts, from which the writer makes the tables that the parser compared.
//! - Padding must be all ones or all zeros and the same in each interval, restart markers must stand where and
//!   as the writer puts them, and stuffed zeros must follow each 0xFF of the data: any other byte ends them.
//!
//! Builds with debug assertions also write what they have parsed, and compare.
//!
//! Taken are baseline and extended sequential streams of 8 bits with one scan of 1, 3 or 4 components, with
//! or without restart markers. Huffman tables that libjpeg optimised for one tile are recognised and not
//! kept, but made anew by the writer, so tiles with optimised tables share a template too.
//!
//! [`extended`] makes a larger picture of a stream without touching the coefficients that it has.
//!
//! Sources: ITU-T T.81 annexes B (markers), F (sequential coding) and K (tables, code lengths), libjpeg's
//! jchuff.c. Not here: pixels, transforms, and how coefficients are stored.

mod extend;
mod header;
mod huffman;
mod parse;
mod scan;
mod simd;
mod template;
#[cfg(test)]
mod tests;
mod tokens;
#[cfg(target_arch = "x86_64")]
mod tokens_avx512;
mod write;

use crate::Error;

pub use extend::extended;
pub use parse::Parser;
pub use scan::{ScanHeader, piece_shape};
pub use template::{HuffmanTables, Statistics, Template};
pub use write::Writer;

/// The most pixels of a tile.
pub const MAX_PIXELS: u64 = 4096 * 4096;

/// Largest magnitude of a DC coefficient (absolute, not as the difference that the stream codes).
pub const MAX_DC: i16 = 2047;

/// Largest magnitude of an AC coefficient.
pub const MAX_AC: i16 = 1023;

/// Quantised coefficients of one component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plane {
    /// Blocks per row: as many as the scan codes, so padded to whole MCUs where components are interleaved,
    /// and just enough to cover the picture in a stream of a single component.
    pub width: usize,
    /// Rows of blocks, counted likewise.
    pub height: usize,
    /// Horizontal sampling factor, 1 to 4.
    pub horizontal: u8,
    /// Vertical sampling factor, 1 to 4.
    pub vertical: u8,
    /// Quantisation steps in zigzag order, none of them zero.
    pub table: [u16; 64],
    /// 64 coefficients for each block, blocks in raster order, coefficients in zigzag order: `coefficients[64
    /// * (row * width + column) + k]`. The one at `k = 0` is the DC coefficient itself, not a difference.
    /// Magnitudes are at most [`MAX_DC`] and [`MAX_AC`].
    pub coefficients: Vec<i16>,
}

/// What differs between streams of one [`Template`]. Meant to be used again: buffers are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tile {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The components in the order of the stream: 1, 3 or 4.
    pub planes: Vec<Plane>,
}

impl Tile {
    /// An empty tile, to be filled by [`Parser::parse`] or [`Template::planes_for`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Plane {
    fn empty() -> Self {
        Self { width: 0, height: 0, horizontal: 1, vertical: 1, table: [1; 64], coefficients: Vec::new() }
    }
}

/// Blocks and MCUs of a picture of a certain size.
#[derive(Debug, Clone, Copy)]
struct Geometry {
    /// MCUs per row.
    columns: usize,
    /// Rows of MCUs.
    rows: usize,
    /// Blocks per row and rows of blocks of each component.
    planes: [(usize, usize); 4],
    /// Blocks of one component in an MCU, across and down.
    unit: [(usize, usize); 4],
}

impl Geometry {
    fn blocks(&self) -> usize {
        self.planes.iter().map(|(width, height)| width * height).sum()
    }

    /// Blocks of a row of MCUs.
    fn blocks_per_row(&self) -> usize {
        self.unit.iter().map(|(across, down)| self.columns * across * down).sum()
    }
}

/// Gives `tile` the planes of `geometry`. Coefficients that were there before stay, in no useful order.
fn shape(tile: &mut Tile, layout: &header::Layout, geometry: &Geometry, width: u32, height: u32) {
    (tile.width, tile.height) = (width, height);
    tile.planes.resize_with(layout.components().len(), Plane::empty);
    for ((plane, component), (width, height)) in
        tile.planes.iter_mut().zip(layout.components()).zip(geometry.planes)
    {
        (plane.width, plane.height) = (width, height);
        (plane.horizontal, plane.vertical) = (component.horizontal, component.vertical);
        plane.table = component.steps;
        plane.coefficients.resize(64 * width * height, 0);
    }
}

fn unsupported(what: &str) -> Error {
    Error::Unsupported(what.to_owned())
}
