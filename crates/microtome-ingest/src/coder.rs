//! Tiles into payloads, each proven before it is kept.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use microtome_codec::Rgb;
use microtome_codec::coefficients::Template;
use microtome_codec::cross_scale::{Coding, CrossScale, Kind, Picture, Reference, Workspace};
use microtome_container::geometry::{Rect, TileId};
use microtome_slide::workspace;

use crate::Error;
use crate::material::{Material, Materials};
use crate::quality::{self, Measured};

/// How the tiles of a container are coded; tiles that share a record count each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Codings {
    /// As their JPEG streams: coefficients do not give these back to the byte.
    pub verbatim: u64,
    /// As coefficients, without a reference.
    pub alone: u64,
    /// As coefficients, predicted from another level.
    pub predicted: u64,
}

/// A coded tile.
pub(crate) struct Coded {
    pub(crate) payload: Bytes,
    /// Its samples, if others of its family are predicted from them and it was not kept verbatim.
    pub(crate) picture: Option<Arc<Picture>>,
}

/// Codes tiles, from all threads.
pub(crate) struct Coder<'a> {
    materials: &'a Materials<'a>,
    /// As a reader will have it: parsed from the bytes that go into the container.
    codec: CrossScale,
    /// The template of tiles that we quantise.
    own: &'a Template,
    counts: [AtomicU64; 3],
    /// Of the sampled tiles.
    measured: Mutex<Vec<Measured>>,
}

impl<'a> Coder<'a> {
    /// A coder with these codec parameters, and the template of tiles that are quantised.
    pub(crate) fn new(
        materials: &'a Materials<'a>,
        params: &[u8],
        own: &'a Template,
    ) -> Result<Self, microtome_codec::Error> {
        let codec = CrossScale::parse(params)?;
        Ok(Self { materials, codec, own, counts: Default::default(), measured: Mutex::default() })
    }

    pub(crate) fn codec(&self) -> &CrossScale {
        &self.codec
    }

    /// How the tiles so far were coded.
    pub(crate) fn codings(&self) -> Codings {
        let [verbatim, alone, predicted] = self.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        Codings { verbatim, alone, predicted }
    }

    /// How good the sampled tiles are.
    pub(crate) fn measured(self) -> Vec<Measured> {
        self.measured.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Codes a tile.
    pub(crate) fn code(
        &self,
        tile: TileId,
        material: Material,
        reference: Reference<'_>,
    ) -> Result<Coded, Error> {
        let record = match material {
            Material::Record(record) => record,
            Material::Pixels(pixels) => return self.quantised(tile, &pixels, reference),
        };
        self.proven(tile, &record.into(), reference)
    }

    /// Quantises and codes pixels, and decodes them again.
    fn quantised(&self, tile: TileId, pixels: &Rgb, reference: Reference<'_>) -> Result<Coded, Error> {
        let Rect { width, height, .. } = self.materials.rect(tile);
        let (level, codec) = (tile.level, &self.codec);
        let coded = workspace::with(|workspace| {
            let mut payload = vec![];
            let coding = codec.quantise(self.own, level, pixels, reference, workspace, &mut payload)?;
            let (payload, tile) = (Bytes::from(payload), workspace.tile().cloned());
            let record = codec.record(level, [width, height], &payload, reference, workspace)?;
            match tile.as_ref() == workspace.tile() {
                true => Ok((coding, Coded { payload, picture: self.picture(level, workspace) }, record)),
                false => {
                    Err(microtome_codec::Error::Undecodable("the codec does not undo itself".to_owned()))
                }
            }
        });
        let (coding, coded, record) = coded.map_err(|error| self.materials.mistake(tile, &error))?;
        if quality::is_sampled(tile) {
            let again = self.materials.decoded(tile, &record)?;
            let measured = Measured::of(tile, pixels, &again);
            self.measured.lock().unwrap_or_else(PoisonError::into_inner).push(measured);
        }
        self.count(coding);
        Ok(coded)
    }

    fn count(&self, coding: Coding) {
        let count = match coding {
            Coding::Verbatim => 0,
            Coding::Alone => 1,
            Coding::Predicted => 2,
        };
        self.counts[count].fetch_add(1, Ordering::Relaxed);
    }

    /// Codes a record and decodes it again. What does not come back byte for byte goes in verbatim, after proof that it
    /// can be shown.
    fn proven(&self, tile: TileId, record: &Bytes, reference: Reference<'_>) -> Result<Coded, Error> {
        let Rect { width, height, .. } = self.materials.rect(tile);
        let (level, size) = (tile.level, [width, height]);
        let coded = workspace::with(|workspace| {
            let mut payload = vec![];
            let coding = self.codec.encode(level, record, reference, workspace, &mut payload);
            let payload = Bytes::from(payload);
            let back = self.codec.record(level, size, &payload, reference, workspace);
            let proven = coding != Coding::Verbatim && back.is_ok_and(|back| back == *record);
            proven.then(|| (coding, Coded { payload, picture: self.picture(level, workspace) }))
        });
        let (coding, coded) = match coded {
            Some(coded) => {
                self.materials.check_markers(tile, record)?;
                coded
            }
            None => {
                self.materials.decoded(tile, record)?;
                let payload = CrossScale::verbatim_payload(record).into();
                (Coding::Verbatim, Coded { payload, picture: None })
            }
        };
        self.count(coding);
        Ok(coded)
    }

    /// The samples of the tile of `level` in the workspace, if others of its family are predicted from it.
    fn picture(&self, level: u8, workspace: &Workspace) -> Option<Arc<Picture>> {
        let is_stored = |level: usize| self.materials.plan.levels.get(level).is_some_and(|l| l.stored);
        let is_needed = match level {
            2 => self.codec.kind(0) == Kind::Coarser,
            0 => is_stored(1) && self.codec.kind(1) == Kind::Finer,
            _ => false,
        };
        let fill = |picture: &mut _| is_needed && self.codec.picture_into(workspace, picture);
        let Ok(picture) = workspace::picture(|picture| Ok::<_, Infallible>(fill(picture)));
        picture
    }
}
