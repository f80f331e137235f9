//! Fetched tiles and families: the hand-over from whoever waits for storage to whoever decodes.

use bytes::Bytes;
use microtome_codec::payload::{LevelStream, PayloadCodec};
use microtome_codec::{Rgb, jpeg};
use microtome_container::geometry::{Rect, TileId};
use microtome_container::reader::Reading;

use crate::decode::Decoder;
use crate::error::Error;
use crate::gather::{Content, Gathered, Wanted};
use crate::reference;
use crate::slide::Slide;
use crate::times::Times;

/// A tile's bytes and everything needed to decode them: no I/O from here on.
#[derive(Debug)]
pub struct FetchedTile(Gathered);

impl FetchedTile {
    /// Reads what `tile` needs.
    pub(crate) fn fetch(slide: &Slide, tile: TileId, reading: Reading) -> Result<Self, Error> {
        let mut gathered = Gathered::new(slide, reading);
        gathered.want(tile)?;
        Ok(Self(gathered))
    }

    /// The tile as a complete JPEG stream.
    ///
    /// # Errors
    /// [`Error::Undecodable`] naming the tile at fault: this one, or one that it is made from.
    pub fn decode(&self) -> Result<Bytes, Error> {
        self.decode_timed().0
    }

    /// As [`Self::decode`], and where the time of reading and decoding went: `None` unless the slide is
    /// [timed](Slide::timed).
    pub fn decode_timed(&self) -> (Result<Bytes, Error>, Option<Times>) {
        let mut decoder = Decoder::new(&self.0);
        (decoder.jpeg(self.wanted()), decoder.times())
    }

    /// Bytes that were read from storage.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.0.bytes_read
    }

    /// The tile's pixels; of a derived tile that is made from pixels, those before it is encoded.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_pixels(&self) -> Result<Rgb, Error> {
        Decoder::new(&self.0).pixels(self.wanted())
    }

    /// The tile just as its source had it, where it was kept so: a JPEG stream that may lack tables. `None` if it is
    /// derived.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn record(&self) -> Result<Option<Bytes>, Error> {
        let Wanted { tile, content, .. } = self.wanted();
        match content {
            Content::Stored => Decoder::new(&self.0).record(*tile).map(Some),
            Content::Derived { .. } => Ok(None),
        }
    }

    /// The complete stream of a record of this tile.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn complete(&self, record: &Bytes) -> Result<Bytes, Error> {
        let Rect { width, height, .. } = self.wanted().rect;
        self.complete_at(record, width, height)
    }

    /// The complete stream of a record of this tile, at the size that it is stored at: an edge tile that its source
    /// padded to the size of the others keeps its padding.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn complete_padded(&self, record: &Bytes) -> Result<Bytes, Error> {
        let Wanted { tile, rect, .. } = self.wanted();
        let header = jpeg::inspect(record).map_err(|e| self.0.undecodable(*tile, e))?;
        let side = self.level_stream().map_or(0, |stream| u32::from(stream.padded_to));
        match (header.width, header.height) == (side, side) {
            true => self.complete_at(record, side, side),
            false => self.complete_at(record, rect.width, rect.height),
        }
    }

    /// What completes the records of the tile's level, where they are not complete as they are.
    #[must_use]
    pub fn level_stream(&self) -> Option<&LevelStream> {
        self.codec().params().stream(self.wanted().tile.level)
    }

    fn complete_at(&self, record: &Bytes, width: u32, height: u32) -> Result<Bytes, Error> {
        let tile = self.wanted().tile;
        let complete = self.codec().params().to_jpeg(tile.level, width, height, record);
        complete.map_err(|e| self.0.undecodable(tile, e))
    }

    fn codec(&self) -> &PayloadCodec {
        let Wanted { tile, content, .. } = self.wanted();
        match content {
            Content::Stored => &self.0.find(*tile).codec,
            Content::Derived { codec, .. } => codec,
        }
    }

    fn wanted(&self) -> &Wanted {
        self.0.wanted.first().expect("a tile was fetched")
    }
}

/// The bytes of some tiles of a slide, such as a family: no I/O from here on.
#[derive(Debug)]
pub struct FetchedTiles(Gathered);

impl FetchedTiles {
    /// Reads what `base` and the tiles below it need.
    pub(crate) fn family(slide: &Slide, base: TileId) -> Result<Self, Error> {
        let mut gathered = Self::fetch(slide, &[base])?.0;
        for tile in reference::descendants(slide.levels(), base) {
            gathered.want(tile)?;
        }
        // A derived base tile is made from the others.
        if slide.is_derived(base.level) {
            gathered.wanted.rotate_left(1);
        }
        Ok(Self(gathered))
    }

    /// Reads what `tiles` need.
    pub(crate) fn fetch(slide: &Slide, tiles: &[TileId]) -> Result<Self, Error> {
        let mut gathered = Gathered::new(slide, Reading::Waits);
        tiles.iter().try_for_each(|&tile| gathered.want(tile))?;
        Ok(Self(gathered))
    }

    /// Decodes tile after tile as the iterator is asked for them, each once, and gives their complete JPEG streams:
    /// `first` before the others with what it is made from and no more, then the others as they were fetched; of a
    /// family the base tile, level 0, level 1, each before those that are made from it. All are the bytes that
    /// [`FetchedTile::decode`] gives.
    ///
    /// A tile that does not decode is an [`Error::Undecodable`] naming the one at fault, and the others come all the
    /// same.
    pub fn decode(&self, first: TileId) -> impl Iterator<Item = (TileId, Result<Bytes, Error>)> {
        let mut decoder = Decoder::new(&self.0);
        let (asked, others): (Vec<_>, Vec<_>) = self.0.wanted.iter().partition(|w| w.tile == first);
        asked.into_iter().chain(others).map(move |wanted| (wanted.tile, decoder.jpeg(wanted)))
    }

    /// Decodes in the order they were fetched those tiles that `wants` says yes to when it is their turn, and hands
    /// each to `take`; ends when `wants` does not answer. Where the time of reading and decoding went: `None` unless the
    /// slide is [timed](Slide::timed).
    pub fn decode_some(
        &self,
        mut wants: impl FnMut(TileId) -> Option<bool>,
        mut take: impl FnMut(TileId, Result<Bytes, Error>),
    ) -> Option<Times> {
        let mut decoder = Decoder::new(&self.0);
        for wanted in &self.0.wanted {
            match wants(wanted.tile) {
                Some(true) => take(wanted.tile, decoder.jpeg(wanted)),
                Some(false) => {}
                None => break,
            }
        }
        decoder.times()
    }

    /// Bytes that were read from storage.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.0.bytes_read
    }
}
