//! What coding tiles needs besides, kept from tile to tile so that nothing is allocated. Not here: who keeps it.

use std::time::Duration;

use super::abreast;
use super::plane::Scratch;
use super::predict::Aligned;
use super::strands::Writer;
use crate::coefficients::{self, Parser, Statistics, Template, Tile};
use crate::{Error, Rgb, Stopwatch};

/// Where the time of decoding goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DecodeTimes {
    /// Putting the samples of other tiles onto the tile's grid. What each block takes from there is predicted between its
    /// neighbours' symbols, and counts as entropy decoding.
    pub prediction: Duration,
    /// Decoding coefficients; of a tile in two parts, as there were some, chroma's prediction as well.
    pub entropy: Duration,
    /// Writing them as JPEG.
    pub stream: Duration,
}

/// What coding a part of a tile needs besides.
#[derive(Default)]
pub(super) struct Part {
    pub(super) aligned: Aligned,
    pub(super) scratch: Scratch,
    /// Words of its coder, there and back.
    pub(super) words: Vec<[u8; 2]>,
}

/// What coding needs besides; keep one per thread, and nothing is allocated from tile to tile.
#[derive(Default)]
pub struct Workspace {
    pub(super) tile: Tile,
    /// For the parts that a tile may have, and the planes of one run; what has neither needs the first.
    pub(super) parts: [Part; 2],
    pub(super) abreast: abreast::Scratch,
    pub(super) symbols: Writer,
    pub(super) reads: abreast::reads::Reads,
    pub(super) parser: Parser,
    pub(super) streams: coefficients::Writer,
    pub(super) joined: Vec<u8>,
    /// A stream in the making, and the same one completed.
    pub(crate) record: Vec<u8>,
    pub(crate) complete: Vec<u8>,
    /// How long decoding takes, if that is wanted.
    pub stopwatch: Stopwatch<DecodeTimes>,
    /// Whether `tile` is a tile, and not what is left of one that failed.
    pub(super) holds: bool,
}

impl Workspace {
    /// A workspace without buffers; they come with the first tile.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The coefficients that were coded or decoded last; `None` if the tile was verbatim.
    #[must_use]
    pub fn tile(&self) -> Option<&Tile> {
        self.holds.then_some(&self.tile)
    }

    /// Gives the tile the shape of pixels under a template; its coefficients are to be filled in.
    pub(super) fn prepare(&mut self, template: &Template, pixels: &Rgb) -> Result<(), Error> {
        self.holds = false;
        template.planes_for(pixels.width(), pixels.height(), &mut self.tile)?;
        self.holds = true;
        Ok(())
    }

    /// The stream of the tile.
    pub(super) fn stream(&mut self, template: &Template) -> Result<Vec<u8>, Error> {
        let mut out = vec![];
        self.streams.write(template, &self.tile, &mut out)?;
        Ok(out)
    }

    /// Counts the Huffman symbols of the tile that was coded last.
    pub(super) fn count(&mut self, template: &Template, statistics: &mut Statistics) -> Result<(), Error> {
        self.streams.count(template, &self.tile, statistics)
    }
}
