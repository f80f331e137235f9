//! Fetched tiles: the hand-over from whoever waits for storage to whoever decodes.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use microtome_codec::payload::PayloadCodec;
use microtome_codec::{Rgb, turbo};
use microtome_container::geometry::{Grid, Rect, TileId};

use crate::error::Error;
use crate::mosaic;

/// A checked record of a stored level, with what decodes it.
#[derive(Debug, Clone)]
pub struct Record {
    /// The tile it is the record of.
    pub tile: TileId,
    /// Width of the tile in pixels.
    pub width: u32,
    /// Height of the tile in pixels.
    pub height: u32,
    /// The stored bytes.
    pub payload: Bytes,
    pub(crate) codec: Arc<PayloadCodec>,
}

impl Record {
    fn jpeg(&self) -> Result<Bytes, microtome_codec::Error> {
        self.codec.to_jpeg(self.tile.level, self.width, self.height, &self.payload)
    }

    fn pixels(&self) -> Result<Rgb, microtome_codec::Error> {
        turbo::decode(&self.jpeg()?, u64::from(self.width) * u64::from(self.height))
    }
}

/// A tile's bytes and everything needed to decode them: no I/O from here on.
#[derive(Debug, Clone)]
pub struct FetchedTile {
    path: Arc<Path>,
    tile: TileId,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Stored(Record),
    /// The records of the finer level `grid` that cover `area`, which reduces to the tile.
    Derived {
        grid: Grid,
        area: Rect,
        records: Vec<Record>,
    },
}

impl FetchedTile {
    pub(crate) fn stored(path: Arc<Path>, record: Record) -> Self {
        Self { path, tile: record.tile, content: Content::Stored(record) }
    }

    pub(crate) fn derived(
        path: Arc<Path>,
        tile: TileId,
        grid: Grid,
        area: Rect,
        records: Vec<Record>,
    ) -> Self {
        Self { path, tile, content: Content::Derived { grid, area, records } }
    }

    /// The tile as a complete JPEG stream.
    ///
    /// # Errors
    /// [`Error::Undecodable`] naming the tile.
    pub fn decode(&self) -> Result<Bytes, Error> {
        match &self.content {
            Content::Stored(record) => record.jpeg().map_err(|e| self.undecodable(record.tile, e)),
            Content::Derived { records, .. } => {
                let pixels = self.decode_pixels()?;
                let codec = &records.first().expect("a derived tile covers at least one tile").codec;
                codec.encode_derived(&pixels).map_err(|e| self.undecodable(self.tile, e))
            }
        }
    }

    /// The tile's pixels; of a derived tile, those before it is encoded.
    ///
    /// # Errors
    /// [`Error::Undecodable`] naming the tile.
    pub fn decode_pixels(&self) -> Result<Rgb, Error> {
        match &self.content {
            Content::Stored(record) => record.pixels().map_err(|e| self.undecodable(record.tile, e)),
            Content::Derived { grid, area, records } => {
                let region = mosaic::assemble(grid, *area, |column, row| {
                    let record = records.iter().find(|r| (r.tile.column, r.tile.row) == (column, row));
                    let record = record.expect("the records are those of the area");
                    record.pixels().map_err(|e| self.undecodable(record.tile, e))
                })?;
                Ok(region.reduced())
            }
        }
    }

    fn undecodable(&self, tile: TileId, cause: microtome_codec::Error) -> Error {
        Error::Undecodable { path: self.path.to_path_buf(), tile, cause }
    }
}
