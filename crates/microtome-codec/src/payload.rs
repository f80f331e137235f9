//! The seam between stored payloads and served JPEG tiles.
//!
//! A container's record section names a codec by number; its parameters lie in a section of their own. A
//! [`PayloadCodec`] is made once per open slide from those parameters and turns stored payloads into the JPEG
//! stream that a viewer gets, in two steps: the *record*, the JPEG tile just as its source had it, and the complete
//! stream, with the tables, the colour and the size that the slide gives it ([`VerbatimParams`], the same for all
//! codecs). Codec 0 stores records as they are, codec 1 ([`CrossScale`]) their coefficients.
//!
//! Layout of the parameters: `docs/format/codec-0.md`, `docs/format/codec-1.md`.

use bytes::Bytes;

use crate::cross_scale::{CROSS_SCALE, CrossScale, Finer, Kind, Picture, Reference, Workspace};
use crate::jpeg::{self, Colour};
use crate::turbo::{self, Subsampling};
use crate::{Error, Rgb};

/// Number of the codec that stores JPEG tiles verbatim.
pub const VERBATIM: u16 = 0;
/// Longest tables of a level; the four quantisation and eight Huffman tables that JPEG has room for take 3 KiB.
pub const MAX_TABLES: usize = 64 << 10;

/// How the tiles of one level are to be completed before they are served.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LevelStream {
    /// The level this is for; 0 is full resolution.
    pub level: u8,
    /// Tables shared by the level's tiles (TIFF JPEGTables: SOI, tables, EOI), or empty.
    pub tables: Vec<u8>,
    /// Colour model of the tiles where their own markers do not say it.
    pub colour: Colour,
    /// Side in pixels that edge tiles are stored at, to be cropped to the level; 0 if they are stored at their own.
    pub padded_to: u16,
}

/// Parameters of codec 0: how records are completed, and how pixels of derived levels are encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerbatimParams {
    /// Quality of derived levels' tiles, 1 to 100 as in libjpeg.
    pub derived_quality: u8,
    /// Chroma resolution of derived levels' tiles.
    pub derived_subsampling: Subsampling,
    /// Levels whose tiles need completing. A level that is not listed stores complete streams of the right size.
    pub streams: Vec<LevelStream>,
}

impl VerbatimParams {
    /// The bytes of the parameter section.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let subsampling = match self.derived_subsampling {
            Subsampling::Chroma420 => 0,
            Subsampling::Chroma444 => 1,
            Subsampling::Chroma422 => 2,
        };
        // A pyramid has at most 32 levels, so their number fits a byte.
        let mut out = vec![self.derived_quality, subsampling, self.streams.len() as u8, 0];
        for stream in &self.streams {
            let colour = match stream.colour {
                Colour::AsStored => 0,
                Colour::Rgb => 1,
                Colour::YCbCr => 2,
            };
            out.extend_from_slice(&[stream.level, colour]);
            out.extend_from_slice(&stream.padded_to.to_le_bytes());
            out.extend_from_slice(&(stream.tables.len() as u32).to_le_bytes());
            out.extend_from_slice(&stream.tables);
        }
        out
    }

    /// Reads the parameter section.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the offset of the field that is cut off or out of range.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let malformed = |offset, what| Error::Malformed { offset, what };
        let cut = |offset| malformed(offset, "the codec parameters are cut off");
        let &[derived_quality, subsampling, count, 0] = bytes.get(..4).ok_or(cut(0))? else {
            return Err(malformed(3, "a reserved byte is set"));
        };
        if !(1..=100).contains(&derived_quality) {
            return Err(malformed(0, "the quality of derived tiles is not 1 to 100"));
        }
        let derived_subsampling = match subsampling {
            0 => Subsampling::Chroma420,
            1 => Subsampling::Chroma444,
            2 => Subsampling::Chroma422,
            _ => return Err(malformed(1, "unknown chroma subsampling")),
        };
        let mut streams: Vec<LevelStream> = Vec::new();
        let mut at = 4;
        for _ in 0..count {
            let fixed = bytes.get(at..at + 8).ok_or(cut(at))?;
            let colour = match fixed[1] {
                0 => Colour::AsStored,
                1 => Colour::Rgb,
                2 => Colour::YCbCr,
                _ => return Err(malformed(at + 1, "unknown colour model")),
            };
            let padded_to = u16::from_le_bytes([fixed[2], fixed[3]]);
            let length = u32::from_le_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]) as usize;
            if length > MAX_TABLES {
                return Err(malformed(at + 4, "tables of more than 64 KiB"));
            }
            let tables = at.checked_add(8 + length).and_then(|end| bytes.get(at + 8..end)).ok_or(cut(at))?;
            jpeg::check_tables(tables)?;
            if streams.iter().any(|s| s.level == fixed[0]) {
                return Err(malformed(at, "a level is listed twice"));
            }
            streams.push(LevelStream { level: fixed[0], tables: tables.to_vec(), colour, padded_to });
            at += 8 + length;
        }
        if at != bytes.len() {
            return Err(malformed(at, "bytes follow the codec parameters"));
        }
        Ok(Self { derived_quality, derived_subsampling, streams })
    }

    /// Parameters where nothing is derived: they complete streams and no more.
    #[must_use]
    pub fn completing(streams: Vec<LevelStream>) -> Self {
        let (derived_quality, derived_subsampling) = (100, Subsampling::Chroma444);
        Self { derived_quality, derived_subsampling, streams }
    }

    /// How the tiles of a level are completed; `None` if they are stored complete and of the right size.
    #[must_use]
    pub fn stream(&self, level: u8) -> Option<&LevelStream> {
        self.streams.iter().find(|s| s.level == level)
    }

    /// The complete JPEG stream of a record of `level`, which covers `width` x `height` pixels.
    ///
    /// # Errors
    /// As [`jpeg::complete`] and [`turbo::crop`], and [`Error::Malformed`] if the stream is of another size.
    pub fn to_jpeg(&self, level: u8, width: u32, height: u32, record: &Bytes) -> Result<Bytes, Error> {
        self.completed(level, [width, height], record, &mut vec![]).map(|stream| match stream {
            Completed::Record => record.clone(),
            Completed::Buffer(complete) => Bytes::copy_from_slice(complete),
            Completed::Cropped(cropped) => cropped,
        })
    }

    /// Completes the record of a tile of `level` and `size`, in `buffer` if there is anything to be added.
    fn completed<'a>(
        &self,
        level: u8,
        [width, height]: [u32; 2],
        record: &[u8],
        buffer: &'a mut Vec<u8>,
    ) -> Result<Completed<'a>, Error> {
        let stream = self.stream(level);
        let (complete, completed) = match stream {
            Some(s) if !s.tables.is_empty() || s.colour != Colour::AsStored => {
                jpeg::complete_into(&s.tables, s.colour, record, buffer)?;
                (&buffer[..], Completed::Buffer(buffer))
            }
            _ => (record, Completed::Record),
        };
        let header = jpeg::inspect(complete)?;
        if (header.width, header.height) == (width, height) {
            return Ok(completed);
        }
        // Only a whole tile is cropped: a JPEG of any other size is not the tile it claims to be.
        let side = stream.map_or(0, |s| u32::from(s.padded_to));
        if (header.width, header.height) != (side, side) {
            return Err(Error::Malformed { offset: 0, what: "the tile's JPEG is not of the tile's size" });
        }
        let cropped = turbo::crop(complete, width, height, u64::from(side) * u64::from(side))?;
        Ok(Completed::Cropped(cropped.into()))
    }
}

/// Where the complete stream of a record is.
enum Completed<'a> {
    /// It is the record itself.
    Record,
    /// In the buffer.
    Buffer(&'a [u8]),
    /// Cropped to its size.
    Cropped(Bytes),
}

/// A payload codec with the parameters of one slide.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PayloadCodec {
    /// Codec 0: the payload is the source's JPEG tile, byte for byte.
    Verbatim(VerbatimParams),
    /// Codec 1: the payload is the tile's coefficients, coded against other tiles.
    CrossScale(CrossScale),
}

impl PayloadCodec {
    /// The codec with this number and these parameters.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a number that this version does not know, else as [`VerbatimParams::parse`] and
    /// [`CrossScale::parse`].
    pub fn open(id: u16, params: &[u8]) -> Result<Self, Error> {
        match id {
            VERBATIM => Ok(Self::Verbatim(VerbatimParams::parse(params)?)),
            CROSS_SCALE => Ok(Self::CrossScale(CrossScale::parse(params)?)),
            _ => Err(Error::Unsupported(format!("payload codec {id}; a newer microtome wrote this file"))),
        }
    }

    /// How records are completed before they are served.
    #[must_use]
    pub fn params(&self) -> &VerbatimParams {
        match self {
            Self::Verbatim(params) => params,
            Self::CrossScale(codec) => codec.verbatim(),
        }
    }

    /// What the tiles of a level are predicted from, where they are.
    #[must_use]
    pub fn kind(&self, level: u8) -> Kind {
        match self {
            Self::Verbatim(_) => Kind::Alone,
            Self::CrossScale(codec) => codec.kind(level),
        }
    }

    /// What a payload of `level` was coded against: the [`Reference`] that the methods below want for it.
    #[must_use]
    pub fn kind_of(&self, level: u8, payload: &[u8]) -> Kind {
        match self {
            Self::Verbatim(_) => Kind::Alone,
            Self::CrossScale(codec) => codec.kind_of(level, payload),
        }
    }

    /// The record of a payload of `level`: the JPEG tile just as its source had it, which may lack tables.
    /// `size` is the tile's in pixels.
    ///
    /// # Errors
    /// As [`CrossScale::record`].
    pub fn record(
        &self,
        level: u8,
        size: [u32; 2],
        payload: &[u8],
        reference: Reference<'_>,
        workspace: &mut Workspace,
    ) -> Result<Bytes, Error> {
        match self {
            Self::Verbatim(_) => Ok(Bytes::copy_from_slice(payload)),
            Self::CrossScale(codec) => codec.record(level, size, payload, reference, workspace),
        }
    }

    /// The complete stream of a payload of `level`: its record, completed as [`VerbatimParams::to_jpeg`] does.
    ///
    /// # Errors
    /// As these two.
    pub fn jpeg(
        &self,
        level: u8,
        size: [u32; 2],
        payload: &[u8],
        reference: Reference<'_>,
        workspace: &mut Workspace,
    ) -> Result<Bytes, Error> {
        let record = match self {
            Self::Verbatim(_) => payload,
            Self::CrossScale(codec) => {
                codec.record_into(level, size, payload, reference, workspace)?;
                &workspace.record
            }
        };
        let completed = self.params().completed(level, size, record, &mut workspace.complete)?;
        Ok(match completed {
            Completed::Record => Bytes::copy_from_slice(record),
            Completed::Buffer(complete) => Bytes::copy_from_slice(complete),
            Completed::Cropped(cropped) => cropped,
        })
    }

    /// The samples of a payload's tile, for others to be predicted from, in the buffers of another picture. False if the
    /// codec does not have them.
    ///
    /// # Errors
    /// As [`CrossScale::picture`].
    pub fn picture(
        &self,
        level: u8,
        size: [u32; 2],
        payload: &[u8],
        reference: Reference<'_>,
        workspace: &mut Workspace,
        picture: &mut Picture,
    ) -> Result<bool, Error> {
        match self {
            Self::Verbatim(_) => Ok(false),
            Self::CrossScale(codec) => {
                codec.decode_into_workspace(level, size, payload, reference, workspace)?;
                Ok(codec.picture_into(workspace, picture))
            }
        }
    }

    /// The samples of the tile that was decoded last, as [`Self::picture`] gives them, in the buffers of another picture:
    /// right after [`Self::jpeg`] with the same workspace they cost no second decoding. False if there are none.
    #[must_use]
    pub fn picture_into(&self, workspace: &Workspace, picture: &mut Picture) -> bool {
        match self {
            Self::Verbatim(_) => false,
            Self::CrossScale(codec) => codec.picture_into(workspace, picture),
        }
    }

    /// A tile of the derived `level` from the samples of the finer tiles, as a complete stream.
    ///
    /// # Errors
    /// As [`CrossScale::derive`]; of codec 0 always.
    pub fn derive(
        &self,
        level: u8,
        size: [u32; 2],
        finer: &[Finer<'_>],
        workspace: &mut Workspace,
    ) -> Result<Bytes, Error> {
        let Self::CrossScale(codec) = self else {
            return Err(Error::InvalidArgument("codec 0 has no samples to derive a tile from"));
        };
        let jpeg = codec.derive(size, finer, workspace)?;
        // The samples are what the finer level's are, and a viewer has to be told so.
        match level.checked_sub(1).and_then(|finer| self.params().stream(finer)) {
            Some(stream) if stream.colour != Colour::AsStored => {
                jpeg::complete(&[], stream.colour, &jpeg).map(Bytes::from)
            }
            _ => Ok(jpeg),
        }
    }

    /// Encodes pixels of a derived level as the container asks.
    ///
    /// # Errors
    /// As [`turbo::encode`].
    pub fn encode_derived(&self, image: &Rgb) -> Result<Bytes, Error> {
        let params = self.params();
        turbo::encode(image, params.derived_quality, params.derived_subsampling).map(Bytes::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn params() -> VerbatimParams {
        VerbatimParams {
            derived_quality: 85,
            derived_subsampling: Subsampling::Chroma420,
            streams: vec![
                LevelStream {
                    level: 0,
                    tables: vec![0xFF, 0xD8, 0xFF, 0xDD, 0, 4, 0, 8, 0xFF, 0xD9],
                    colour: Colour::Rgb,
                    padded_to: 64,
                },
                LevelStream { level: 2, ..LevelStream::default() },
            ],
        }
    }

    #[test]
    fn parameters_survive_the_round_trip() {
        let params = params();
        assert_eq!(VerbatimParams::parse(&params.to_bytes()), Ok(params));
    }

    #[test]
    fn every_truncation_and_extension_is_refused() {
        let bytes = params().to_bytes();
        for length in 0..bytes.len() {
            assert!(VerbatimParams::parse(&bytes[..length]).is_err(), "length {length}");
        }
        assert!(VerbatimParams::parse(&[bytes, vec![0]].concat()).is_err());
    }

    #[test]
    fn an_unknown_codec_is_unsupported() {
        assert!(matches!(PayloadCodec::open(7, &[]), Err(Error::Unsupported(_))));
    }

    #[test]
    fn a_tile_of_another_size_is_not_served() {
        let codec = params();
        let tile = Bytes::from(
            turbo::encode(&Rgb::filled(32, 32, [1, 2, 3]), 80, Subsampling::Chroma420).expect("encodes"),
        );
        assert_eq!(codec.to_jpeg(1, 32, 32, &tile), Ok(tile.clone()));
        assert!(codec.to_jpeg(1, 31, 32, &tile).is_err(), "level 1 is not padded");
        assert!(
            codec.to_jpeg(0, 31, 31, &tile).is_err(),
            "32 px is neither the tile's own side nor the padded one"
        );
        let tables = [&[0xFF, 0xD8, 0xFF, 0xDD, 0xFF, 0xFF], &[0; 1 << 17][..]].concat();
        let long = LevelStream { level: 0, tables, ..LevelStream::default() };
        assert!(
            VerbatimParams::parse(&VerbatimParams { streams: vec![long], ..params() }.to_bytes()).is_err()
        );
    }

    proptest! {
        #[test]
        fn arbitrary_parameters_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = VerbatimParams::parse(&bytes);
        }
    }
}
