//! Gathering: all that some tiles of a slide need, read and checked, so that no I/O is left to whoever decodes them.

use std::sync::Arc;

use microtome_codec::Stopwatch;
use microtome_codec::cross_scale::{Kind, Picture};
use microtome_codec::payload::PayloadCodec;
use microtome_container::geometry::{Rect, TileId};
use microtome_container::reader::Reading;
use smallvec::SmallVec;

use crate::buffers::Buffer;
use crate::error::Error;
use crate::slide::Slide;
use crate::times::Times;
use crate::{mosaic, reference};

/// A checked record of a stored level, with what decodes it.
#[derive(Debug)]
pub(crate) struct Record {
    /// The tile it is the record of.
    pub(crate) tile: TileId,
    /// Width and height of the tile in pixels.
    pub(crate) size: [u32; 2],
    /// The stored bytes.
    pub(crate) payload: Buffer,
    pub(crate) codec: Arc<PayloadCodec>,
}

impl Record {
    /// What the record was coded against.
    pub(crate) fn kind(&self) -> Kind {
        self.codec.kind_of(self.tile.level, &self.payload)
    }
}

/// A tile that is to be made.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) tile: TileId,
    pub(crate) rect: Rect,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    Stored,
    /// The part of the finer level that reduces to the tile, and the codec of its tiles.
    Derived {
        area: Rect,
        codec: Arc<PayloadCodec>,
    },
}

/// A few of something: as many as one tile needs lie in place, those of a family elsewhere.
pub(crate) type Few<T> = SmallVec<[T; 5]>;

/// Everything that the wanted tiles are decoded from.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) slide: Slide,
    reading: Reading,
    pub(crate) wanted: SmallVec<[Wanted; 1]>,
    /// Records of the tiles or of the finer tiles, and those of the tiles that they are predicted from.
    records: Few<Record>,
    /// Decoded tiles that others are predicted from: their records need not be there.
    pub(crate) pictures: Few<(TileId, Arc<Picture>)>,
    /// Tiles whose samples are needed, for others to be made from.
    references: Few<TileId>,
    /// Times of reading, if they are wanted.
    pub(crate) stopwatch: Stopwatch<Times>,
    /// Bytes read from storage.
    pub(crate) bytes_read: u64,
}

impl Gathered {
    pub(crate) fn new(slide: &Slide, reading: Reading) -> Self {
        Self {
            slide: slide.clone(),
            reading,
            wanted: SmallVec::new(),
            records: SmallVec::new(),
            pictures: SmallVec::new(),
            references: SmallVec::new(),
            stopwatch: Stopwatch::new(slide.measures()),
            bytes_read: 0,
        }
    }

    /// Reads what `tile` needs, as far as it is not here yet.
    pub(crate) fn want(&mut self, tile: TileId) -> Result<(), Error> {
        let grid = self.slide.levels().get(usize::from(tile.level));
        let rect = grid.and_then(|grid| grid.tile_rect(tile.column, tile.row));
        let rect = rect.ok_or(Error::OutsideSlide(tile))?;
        let content = if self.slide.is_derived(tile.level) {
            self.gather_finer(tile, rect)?
        } else {
            self.gather(tile)?;
            Content::Stored
        };
        self.wanted.push(Wanted { tile, rect, content });
        Ok(())
    }

    /// Reads the finer tiles that a derived tile is made of.
    fn gather_finer(&mut self, tile: TileId, rect: Rect) -> Result<Content, Error> {
        let level = tile.level - 1;
        let grid = self.slide.levels()[usize::from(level)];
        let first = TileId { level, column: 2 * tile.column, row: 2 * tile.row };
        self.gather(first)?;
        let codec = Arc::clone(&self.find(first).codec);
        // Codec 1 makes do with the tiles below this one; the overlap beyond them repeats their edge.
        let (rect, has_samples) = match &*codec {
            PayloadCodec::CrossScale(_) => (self.own_area(tile, rect), true),
            _ => (rect, false),
        };
        let area = mosaic::finer(rect, &grid);
        let (columns, rows) = mosaic::tiles_of(&grid, area);
        for (row, column) in rows.flat_map(|row| columns.clone().map(move |column| (row, column))) {
            let tile = TileId { level, column, row };
            self.gather(tile)?;
            if has_samples {
                self.refer(tile);
            }
        }
        Ok(Content::Derived { area, codec })
    }

    /// Reads the record of a tile and of those that it is predicted from.
    fn gather(&mut self, tile: TileId) -> Result<(), Error> {
        if self.records.iter().any(|r| r.tile == tile) {
            return Ok(());
        }
        let record = self.slide.read(tile, self.reading, &mut self.stopwatch, &mut self.bytes_read)?;
        let kind = record.kind();
        self.records.push(record);
        for relative in reference::relatives(kind, self.slide.levels(), tile) {
            if !self.refer(relative.tile) {
                self.gather(relative.tile)?;
            }
        }
        Ok(())
    }

    /// Notes that the samples of a tile are needed; whether they are at hand.
    fn refer(&mut self, tile: TileId) -> bool {
        if !self.is_reference(tile) {
            self.references.push(tile);
            self.pictures.extend(self.slide.picture(tile).map(|picture| (tile, picture)));
        }
        self.pictures.iter().any(|(known, _)| *known == tile)
    }

    /// Whether other tiles are made from the samples of this one.
    pub(crate) fn is_reference(&self, tile: TileId) -> bool {
        self.references.contains(&tile)
    }

    /// Whether the tile is to be made, and not only others from it.
    pub(crate) fn is_wanted(&self, tile: TileId) -> bool {
        self.wanted.iter().any(|wanted| wanted.tile == tile)
    }

    pub(crate) fn find(&self, tile: TileId) -> &Record {
        self.records.iter().find(|r| r.tile == tile).expect("what is needed was gathered")
    }

    /// What a tile covers without its overlap.
    pub(crate) fn own_area(&self, tile: TileId, rect: Rect) -> Rect {
        let grid = self.slide.levels()[usize::from(tile.level)];
        let own = |index: u32, start: u32, length: u32| {
            let from = index * grid.tile_size;
            (from, (start + length).min(from + grid.tile_size) - from)
        };
        let (x, width) = own(tile.column, rect.x, rect.width);
        let (y, height) = own(tile.row, rect.y, rect.height);
        Rect { x, y, width, height }
    }

    pub(crate) fn undecodable(&self, tile: TileId, cause: microtome_codec::Error) -> Error {
        Error::Undecodable { path: self.slide.container().path().to_owned(), tile, cause }
    }
}
