//! Fetched tiles: the hand-over from whoever waits for storage to whoever decodes.

use std::sync::Arc;

use bytes::Bytes;
use microtome_codec::cross_scale::{Kind, Picture, Reference, Workspace};
use microtome_codec::payload::PayloadCodec;
use microtome_codec::{Rgb, turbo};
use microtome_container::geometry::{Rect, TileId};

use crate::error::Error;
use crate::slide::Slide;
use crate::{mosaic, reference, workspace};

/// A checked record of a stored level, with what decodes it.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// The tile it is the record of.
    pub(crate) tile: TileId,
    /// Width and height of the tile in pixels.
    pub(crate) size: [u32; 2],
    /// The stored bytes.
    pub(crate) payload: Bytes,
    pub(crate) codec: Arc<PayloadCodec>,
}

impl Record {
    /// What the record was coded against.
    pub(crate) fn kind(&self) -> Kind {
        self.codec.kind_of(self.tile.level, &self.payload)
    }
}

/// A tile's bytes and everything needed to decode them: no I/O from here on.
#[derive(Debug, Clone)]
pub struct FetchedTile {
    slide: Slide,
    tile: TileId,
    rect: Rect,
    content: Content,
    /// The tile's own record or those of the finer tiles, and those of the tiles that they are predicted from.
    records: Vec<Record>,
    /// Decoded tiles that others are predicted from: their records need not be there.
    pictures: Vec<(TileId, Arc<Picture>)>,
}

#[derive(Debug, Clone)]
enum Content {
    Stored,
    /// The part of the finer level that reduces to the tile, and the codec of its tiles.
    Derived {
        area: Rect,
        codec: Arc<PayloadCodec>,
    },
}

impl FetchedTile {
    /// Reads what `tile`, which covers `rect`, needs.
    pub(crate) fn fetch(slide: &Slide, tile: TileId, rect: Rect) -> Result<Self, Error> {
        let (records, pictures) = (vec![], vec![]);
        let mut fetched =
            Self { slide: slide.clone(), tile, rect, content: Content::Stored, records, pictures };
        if !slide.is_derived(tile.level) {
            fetched.gather(tile)?;
            return Ok(fetched);
        }
        let level = tile.level - 1;
        let grid = slide.levels()[usize::from(level)];
        let first = TileId { level, column: 2 * tile.column, row: 2 * tile.row };
        fetched.gather(first)?;
        let codec = Arc::clone(&fetched.find(first).codec);
        // Codec 1 makes do with the tiles below this one; the overlap beyond them repeats their edge.
        let rect = match &*codec {
            PayloadCodec::CrossScale(_) => fetched.own_area(),
            _ => rect,
        };
        let area = mosaic::finer(rect, &grid);
        let (columns, rows) = mosaic::tiles_of(&grid, area);
        for (row, column) in rows.flat_map(|row| columns.clone().map(move |column| (row, column))) {
            let tile = TileId { level, column, row };
            fetched.gather(tile)?;
            fetched.pictures.extend(slide.picture(tile).map(|picture| (tile, picture)));
        }
        fetched.content = Content::Derived { area, codec };
        Ok(fetched)
    }

    /// Reads the record of a tile and of those that it is predicted from, as far as they are not here yet.
    fn gather(&mut self, tile: TileId) -> Result<(), Error> {
        if self.records.iter().any(|r| r.tile == tile) {
            return Ok(());
        }
        let record = self.slide.read(tile)?;
        let kind = record.kind();
        self.records.push(record);
        for relative in reference::relatives(kind, self.slide.levels(), tile) {
            if self.pictures.iter().any(|(tile, _)| *tile == relative.tile) {
                continue;
            }
            match self.slide.picture(relative.tile) {
                Some(picture) => self.pictures.push((relative.tile, picture)),
                None => self.gather(relative.tile)?,
            }
        }
        Ok(())
    }

    /// The tile as a complete JPEG stream.
    ///
    /// # Errors
    /// [`Error::Undecodable`] naming the tile at fault: this one, or one that it is made from.
    pub fn decode(&self) -> Result<Bytes, Error> {
        let mut decoder = Decoder::new(self);
        let Content::Derived { area, codec } = &self.content else { return decoder.jpeg(self.tile) };
        match decoder.derive(codec)? {
            Some(jpeg) => Ok(jpeg),
            None => {
                let pixels = self.reduced(&mut decoder, *area)?;
                codec.encode_derived(&pixels).map_err(|e| self.undecodable(self.tile, e))
            }
        }
    }

    /// The tile's pixels; of a derived tile that is made from pixels, those before it is encoded.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_pixels(&self) -> Result<Rgb, Error> {
        let mut decoder = Decoder::new(self);
        let Content::Derived { area, codec } = &self.content else { return decoder.pixels(self.tile) };
        match decoder.derive(codec)? {
            Some(jpeg) => turbo::decode(&jpeg, u64::from(self.rect.width) * u64::from(self.rect.height))
                .map_err(|e| self.undecodable(self.tile, e)),
            None => self.reduced(&mut decoder, *area),
        }
    }

    /// The tile just as its source had it, where it was kept so: a JPEG stream that may lack tables. `None` if it is
    /// derived.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn record(&self) -> Result<Option<Bytes>, Error> {
        match self.content {
            Content::Stored => Decoder::new(self).record(self.tile).map(Some),
            Content::Derived { .. } => Ok(None),
        }
    }

    /// The complete stream of a record of this tile.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn complete(&self, record: &Bytes) -> Result<Bytes, Error> {
        let codec = match &self.content {
            Content::Stored => &self.find(self.tile).codec,
            Content::Derived { codec, .. } => codec,
        };
        let Rect { width, height, .. } = self.rect;
        let complete = codec.params().to_jpeg(self.tile.level, width, height, record);
        complete.map_err(|e| self.undecodable(self.tile, e))
    }

    /// The pixels of a derived tile: `area` of the finer level at half size.
    fn reduced(&self, decoder: &mut Decoder<'_>, area: Rect) -> Result<Rgb, Error> {
        let level = self.tile.level - 1;
        let grid = self.slide.levels()[usize::from(level)];
        let region =
            mosaic::assemble(&grid, area, |column, row| decoder.pixels(TileId { level, column, row }))?;
        let reduced = region.reduced();
        let own = self.own_area();
        let is_own = (reduced.width(), reduced.height()) == (own.width, own.height);
        Ok(if is_own { mosaic::extended(&reduced, own, self.rect) } else { reduced })
    }

    /// What the tile covers without its overlap.
    fn own_area(&self) -> Rect {
        let Rect { x, y, width, height } = self.rect;
        let grid = self.slide.levels()[usize::from(self.tile.level)];
        let own = |index: u32, start: u32, length: u32| {
            let from = index * grid.tile_size;
            (from, (start + length).min(from + grid.tile_size) - from)
        };
        let (x, width) = own(self.tile.column, x, width);
        let (y, height) = own(self.tile.row, y, height);
        Rect { x, y, width, height }
    }

    fn find(&self, tile: TileId) -> &Record {
        self.records.iter().find(|r| r.tile == tile).expect("what is needed was gathered")
    }

    fn undecodable(&self, tile: TileId, cause: microtome_codec::Error) -> Error {
        Error::Undecodable { path: self.slide.container().path().to_owned(), tile, cause }
    }
}

/// Decodes the records of a fetched tile, each at most once for each purpose.
struct Decoder<'a> {
    fetched: &'a FetchedTile,
    pictures: Vec<(TileId, Option<Arc<Picture>>)>,
}

impl<'a> Decoder<'a> {
    fn new(fetched: &'a FetchedTile) -> Self {
        let pictures = fetched.pictures.iter().map(|(tile, picture)| (*tile, Some(Arc::clone(picture))));
        Self { fetched, pictures: pictures.collect() }
    }

    fn record(&mut self, tile: TileId) -> Result<Bytes, Error> {
        self.against(tile, |record, reference, workspace| {
            let Record { tile, size, payload, codec } = record;
            codec.record(tile.level, *size, payload, reference, workspace)
        })
    }

    fn jpeg(&mut self, tile: TileId) -> Result<Bytes, Error> {
        let record = self.record(tile)?;
        let Record { size: [width, height], codec, .. } = self.fetched.find(tile);
        let complete = codec.params().to_jpeg(tile.level, *width, *height, &record);
        complete.map_err(|e| self.fetched.undecodable(tile, e))
    }

    fn pixels(&mut self, tile: TileId) -> Result<Rgb, Error> {
        let [width, height] = self.fetched.find(tile).size;
        turbo::decode(&self.jpeg(tile)?, u64::from(width) * u64::from(height))
            .map_err(|e| self.fetched.undecodable(tile, e))
    }

    /// The samples of a tile that others are predicted from.
    fn picture(&mut self, tile: TileId) -> Result<Option<Arc<Picture>>, Error> {
        if let Some((_, picture)) = self.pictures.iter().find(|(known, _)| *known == tile) {
            return Ok(picture.clone());
        }
        let picture = self.against(tile, |record, reference, workspace| {
            let Record { tile, size, payload, codec } = record;
            codec.picture(tile.level, *size, payload, reference, workspace)
        })?;
        let picture = picture.map(Arc::new);
        if let Some(picture) = &picture {
            self.fetched.slide.keep_picture(tile, picture);
        }
        self.pictures.push((tile, picture.clone()));
        Ok(picture)
    }

    /// The derived tile made of samples; `None` where those below it do not lend themselves to that.
    fn derive(&mut self, codec: &PayloadCodec) -> Result<Option<Bytes>, Error> {
        let PayloadCodec::CrossScale(_) = codec else { return Ok(None) };
        let FetchedTile { slide, tile, rect, .. } = self.fetched;
        let derive = |reference: Reference<'_>| match reference {
            Reference::Finer(finer) => {
                workspace::with(|w| codec.derive(tile.level, [rect.width, rect.height], finer, w).ok())
            }
            _ => None,
        };
        reference::with(Kind::Finer, slide.levels(), *tile, |tile| self.picture(tile), derive)
    }

    /// Runs with a tile's record and what it is predicted from.
    fn against<R>(
        &mut self,
        tile: TileId,
        run: impl FnOnce(&Record, Reference<'_>, &mut Workspace) -> Result<R, microtome_codec::Error>,
    ) -> Result<R, Error> {
        let FetchedTile { slide, .. } = self.fetched;
        let record = self.fetched.find(tile);
        let run = |reference: Reference<'_>| workspace::with(|w| run(record, reference, w));
        let result = reference::with(record.kind(), slide.levels(), tile, |tile| self.picture(tile), run)?;
        result.map_err(|e| self.fetched.undecodable(tile, e))
    }
}
