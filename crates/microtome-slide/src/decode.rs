//! Decoding of what was gathered: records, samples and streams, each made once however many tiles need it.

use std::sync::Arc;

use bytes::Bytes;
use microtome_codec::cross_scale::{DecodeTimes, Kind, Picture, Reference, Workspace};
use microtome_codec::payload::PayloadCodec;
use microtome_codec::{Rgb, Stopwatch, turbo};
use microtome_container::geometry::{Rect, TileId};
use smallvec::SmallVec;

use crate::error::Error;
use crate::gather::{Content, Few, Gathered, Record, Wanted};
use crate::times::Times;
use crate::{mosaic, reference, workspace};

/// Makes tiles in any order; what one is made from is decoded with it, and kept for the others.
pub(crate) struct Decoder<'a> {
    gathered: &'a Gathered,
    /// Complete streams of wanted tiles.
    streams: SmallVec<[(TileId, Bytes); 1]>,
    pictures: Few<(TileId, Option<Arc<Picture>>)>,
    stopwatch: Stopwatch<Times>,
}

impl Drop for Decoder<'_> {
    fn drop(&mut self) {
        workspace::give_back(self.pictures.drain(..).filter_map(|(_, picture)| picture));
    }
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(gathered: &'a Gathered) -> Self {
        let pictures = gathered.pictures.iter().map(|(tile, picture)| (*tile, Some(Arc::clone(picture))));
        let (streams, stopwatch) = (SmallVec::new(), gathered.stopwatch);
        Self { gathered, streams, pictures: pictures.collect(), stopwatch }
    }

    /// Where the time went so far, that of reading too; `None` if nobody wants to know.
    pub(crate) fn times(&mut self) -> Option<Times> {
        self.stopwatch.times().copied()
    }

    /// A tile as a complete JPEG stream.
    pub(crate) fn jpeg(&mut self, wanted: &Wanted) -> Result<Bytes, Error> {
        let Content::Derived { area, codec } = &wanted.content else { return self.stored(wanted.tile) };
        match self.derive(wanted, codec)? {
            Some(jpeg) => Ok(jpeg),
            None => {
                let pixels = self.reduced(wanted, *area)?;
                codec.encode_derived(&pixels).map_err(|e| self.gathered.undecodable(wanted.tile, e))
            }
        }
    }

    /// A tile's pixels; of a derived tile that is made from pixels, those before it is encoded.
    pub(crate) fn pixels(&mut self, wanted: &Wanted) -> Result<Rgb, Error> {
        let Wanted { tile, rect, content } = wanted;
        let Content::Derived { area, codec } = content else { return self.stored_pixels(*tile) };
        match self.derive(wanted, codec)? {
            Some(jpeg) => turbo::decode(&jpeg, u64::from(rect.width) * u64::from(rect.height))
                .map_err(|e| self.gathered.undecodable(*tile, e)),
            None => self.reduced(wanted, *area),
        }
    }

    /// The record of a stored tile.
    pub(crate) fn record(&mut self, tile: TileId) -> Result<Bytes, Error> {
        self.against(tile, |record, reference, workspace| {
            let Record { tile, size, payload, codec } = record;
            codec.record(tile.level, *size, payload, reference, workspace)
        })
    }

    /// The complete stream of a stored tile, and in the same go its samples where other tiles need them.
    fn stored(&mut self, tile: TileId) -> Result<Bytes, Error> {
        if let Some((_, stream)) = self.streams.iter().find(|(known, _)| *known == tile) {
            return Ok(stream.clone());
        }
        let is_needed = self.gathered.is_reference(tile) && self.known(tile).is_none();
        let mut picture = None;
        let stream = self.against(tile, |record, reference, workspace| {
            let Record { tile, size, payload, codec } = record;
            let decoded = codec.jpeg(tile.level, *size, payload, reference, workspace);
            if is_needed {
                picture = workspace::picture(|picture| Ok(codec.picture_into(workspace, picture)))?;
            }
            decoded
        });
        // A tile may have samples and still none of the codes that its stream needs: others can be made from it.
        if is_needed && (stream.is_ok() || picture.is_some()) {
            self.keep(tile, picture);
        }
        let stream = stream?;
        // One tile alone is decoded once.
        if self.gathered.wanted.len() > 1 {
            self.streams.push((tile, stream.clone()));
        }
        Ok(stream)
    }

    fn stored_pixels(&mut self, tile: TileId) -> Result<Rgb, Error> {
        let [width, height] = self.gathered.find(tile).size;
        turbo::decode(&self.stored(tile)?, u64::from(width) * u64::from(height))
            .map_err(|e| self.gathered.undecodable(tile, e))
    }

    /// The samples of a tile that others are predicted from.
    fn picture(&mut self, tile: TileId) -> Result<Option<Arc<Picture>>, Error> {
        if let Some(picture) = self.known(tile) {
            return Ok(picture);
        }
        if self.gathered.is_wanted(tile) {
            let stream = self.stored(tile);
            return self.known(tile).map_or_else(|| stream.map(|_| None), Ok);
        }
        let picture = self.against(tile, |record, reference, workspace| {
            let Record { tile, size, payload, codec } = record;
            workspace::picture(|p| codec.picture(tile.level, *size, payload, reference, workspace, p))
        })?;
        Ok(self.keep(tile, picture))
    }

    fn known(&self, tile: TileId) -> Option<Option<Arc<Picture>>> {
        let found = self.pictures.iter().find(|(known, _)| *known == tile);
        found.map(|(_, picture)| picture.clone())
    }

    fn keep(&mut self, tile: TileId, picture: Option<Arc<Picture>>) -> Option<Arc<Picture>> {
        if let Some(picture) = &picture {
            self.gathered.slide.keep_picture(tile, picture);
        }
        self.pictures.push((tile, picture.clone()));
        picture
    }

    /// The derived tile made of samples; `None` where those below it do not lend themselves to that. What one of these is
    /// padded with beyond the slide's edge does not get into it.
    fn derive(&mut self, wanted: &Wanted, codec: &PayloadCodec) -> Result<Option<Bytes>, Error> {
        let PayloadCodec::CrossScale(_) = codec else { return Ok(None) };
        let Wanted { tile, rect, .. } = *wanted;
        let mut decoding = self.stopwatch_of_decoding();
        let derive = |reference: Reference<'_>| match reference {
            Reference::Finer(finer) => with_stopwatch(&mut decoding, |w| {
                codec.derive(tile.level, [rect.width, rect.height], finer, w)
            })
            .ok(),
            _ => None,
        };
        let levels = self.gathered.slide.levels();
        let unpadded = |finer: TileId| {
            let rect = levels[usize::from(finer.level)].tile_rect(finer.column, finer.row);
            let picture = self.picture(finer)?;
            Ok(picture.zip(rect).map(|(picture, rect)| match [rect.width, rect.height] {
                own if picture.size() == own => picture,
                own => Arc::new(picture.without_padding(own)),
            }))
        };
        let derived = reference::with(Kind::Finer, levels, tile, unpadded, derive);
        self.add(decoding, true);
        derived
    }

    /// The pixels of a derived tile: `area` of the finer level at half size.
    fn reduced(&mut self, wanted: &Wanted, area: Rect) -> Result<Rgb, Error> {
        let Wanted { tile, rect, .. } = *wanted;
        let level = tile.level - 1;
        let grid = self.gathered.slide.levels()[usize::from(level)];
        let region =
            mosaic::assemble(&grid, area, |column, row| self.stored_pixels(TileId { level, column, row }))?;
        let reduced = region.reduced();
        let own = self.gathered.own_area(tile, rect);
        let is_own = (reduced.width(), reduced.height()) == (own.width, own.height);
        Ok(if is_own { mosaic::extended(&reduced, own, rect) } else { reduced })
    }

    /// Runs with a tile's record and what it is predicted from.
    fn against<R>(
        &mut self,
        tile: TileId,
        run: impl FnOnce(&Record, Reference<'_>, &mut Workspace) -> Result<R, microtome_codec::Error>,
    ) -> Result<R, Error> {
        let Gathered { slide, .. } = self.gathered;
        let record = self.gathered.find(tile);
        let mut decoding = self.stopwatch_of_decoding();
        let run = |reference: Reference<'_>| with_stopwatch(&mut decoding, |w| run(record, reference, w));
        let result = reference::with(record.kind(), slide.levels(), tile, |tile| self.picture(tile), run)?;
        let is_wanted = self.gathered.is_wanted(tile);
        self.add(decoding, is_wanted);
        result.map_err(|e| self.gathered.undecodable(tile, e))
    }

    fn stopwatch_of_decoding(&self) -> Stopwatch<DecodeTimes> {
        Stopwatch::new(self.gathered.slide.measures())
    }

    /// Adds the times of a tile that is wanted, or that others are made from.
    fn add(&mut self, mut decoding: Stopwatch<DecodeTimes>, is_wanted: bool) {
        let (Some(times), Some(decoding)) = (self.stopwatch.times(), decoding.times()) else { return };
        let DecodeTimes { prediction, entropy, stream } = *decoding;
        if is_wanted {
            times.prediction += prediction;
            times.entropy += entropy;
            times.stream += stream;
        } else {
            times.base += prediction + entropy + stream;
        }
    }
}

/// Runs with the thread's workspace, timed by this stopwatch.
fn with_stopwatch<R>(decoding: &mut Stopwatch<DecodeTimes>, run: impl FnOnce(&mut Workspace) -> R) -> R {
    workspace::with(|workspace| {
        workspace.stopwatch = *decoding;
        let result = run(workspace);
        *decoding = workspace.stopwatch;
        result
    })
}
