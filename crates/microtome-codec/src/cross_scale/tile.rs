//! Tiles to payloads and back, against a reference.

use std::sync::Arc;

use bytes::Bytes;

use super::abreast::Order;
use super::built_in;
use super::model::Kind;
use super::params::CrossScale;
use super::predict::Samples;
use super::quantise::{self, Targets};
use super::reference::{Component, Finer, Picture, Reference, align, most_sampling};
use super::simd;
use super::workspace::{Part, Workspace};
use crate::coefficients::{Template, Tile};
use crate::{Error, Rgb};

/// First byte of a payload: the stream follows as it is.
const VERBATIM: u8 = 0;
/// First byte of a payload: coefficients that no other tile is needed for.
const ALONE: u8 = 1;
/// First byte of a payload: coefficients coded against the level's reference.
const PREDICTED: u8 = 2;
/// Added to these two: the stream has the side that edge tiles of the level are padded to, not the tile's own size.
const IS_PADDED: u8 = 4;
/// Added to these two: the coder has four strands, not one.
pub(super) const HAS_FOUR: u8 = 8;
/// Added to those with four strands: the coder has two parts with four strands each. Read, but no longer written.
const HAS_PARTS: u8 = 16;
/// Added to these two: the coder has a state for each of sixteen rows abreast.
pub(super) const HAS_SIXTEEN: u8 = 32;
/// Added to those with sixteen states: the rows begin all at once and go round.
pub(super) const GO_ROUND: u8 = 64;
/// All that may be added.
const ADDED: u8 = IS_PADDED | HAS_FOUR | HAS_PARTS | HAS_SIXTEEN | GO_ROUND;
/// Number of a template that is in the payload itself.
const INLINE: u8 = 255;
/// Longest template in a payload.
const MAX_INLINE: usize = 1 << 16;

/// How a tile went in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// As it was: its stream is one that coefficients do not give back to the byte, or has too much besides.
    Verbatim,
    /// As coefficients, without a reference.
    Alone,
    /// As coefficients, predicted from its reference.
    Predicted,
}

/// What was in a payload.
enum Content<'a> {
    Stream,
    /// The coefficients are in the workspace.
    Coefficients(&'a Template),
}

impl CrossScale {
    /// Codes a record of `level` (a JPEG tile as the source has it) and appends the payload to `out`.
    ///
    /// Returns how, and the tile's samples where `picture` is asked for and the stream could be taken apart.
    pub fn encode(
        &self,
        level: u8,
        record: &[u8],
        reference: Reference<'_>,
        workspace: &mut Workspace,
        out: &mut Vec<u8>,
    ) -> Coding {
        let fits = |t: &Arc<Template>| self.templates.contains(t) || t.to_bytes().len() <= MAX_INLINE;
        let Some(template) = self.parse_record(level, record, workspace).filter(fits) else {
            workspace.holds = false;
            out.push(VERBATIM);
            out.extend_from_slice(record);
            return Coding::Verbatim;
        };
        self.code_tile(level, &template, reference, workspace, None, out)
    }

    /// Quantises pixels as a tile of `level`, codes it and appends the payload to `out`. `template` is one of the
    /// quantiser's; for tiles of one slide it is always the same, and one of the slide's.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for pixels of no JPEG's size.
    pub fn quantise(
        &self,
        template: &Template,
        level: u8,
        pixels: &Rgb,
        reference: Reference<'_>,
        workspace: &mut Workspace,
        out: &mut Vec<u8>,
    ) -> Result<Coding, Error> {
        workspace.prepare(template, pixels)?;
        let targets = quantise::transform(self.set, pixels, &mut workspace.tile);
        Ok(self.code_tile(level, template, reference, workspace, Some(&targets), out))
    }

    /// Takes a record of `level` apart, into the workspace; `None` if that cannot be undone to the byte.
    pub(super) fn parse_record(
        &self,
        level: u8,
        record: &[u8],
        workspace: &mut Workspace,
    ) -> Option<Arc<Template>> {
        workspace.holds = false;
        let tables = self.tables(level);
        let stream = match tables.is_empty() {
            true => record,
            // The record's SOI is left out, and that of the tables given back.
            false if record.get(..2) != tables.get(..2) => return None,
            false => {
                join(tables, record, &mut workspace.joined);
                &workspace.joined
            }
        };
        let parsed = workspace.parser.parse(stream, &mut workspace.tile).ok();
        workspace.holds = parsed.is_some();
        parsed
    }

    /// Codes the coefficients in the workspace, or such as come near the targets.
    fn code_tile(
        &self,
        level: u8,
        template: &Template,
        reference: Reference<'_>,
        workspace: &mut Workspace,
        targets: Option<&[Targets]>,
        out: &mut Vec<u8>,
    ) -> Coding {
        let kind = self.usable(level, &workspace.tile, &reference);
        let padded = u32::from(self.padded_to(level));
        let is_padded = padded > 0 && [workspace.tile.width, workspace.tile.height] == [padded; 2];
        let form = if kind == Kind::Alone { ALONE } else { PREDICTED };
        let start = out.len();
        out.push(form | if is_padded { IS_PADDED } else { 0 });
        match self.templates.iter().position(|t| t == template) {
            Some(number) => out.push(number as u8),
            None => {
                out.push(INLINE);
                let bytes = template.to_bytes();
                out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
                out.extend_from_slice(&bytes);
            }
        }
        out[start] |= self.code_planes(&reference, kind, workspace, targets, out);
        if kind == Kind::Alone { Coding::Alone } else { Coding::Predicted }
    }

    /// The record of a payload of `level`: the source's very bytes. `size` is the tile's in pixels.
    ///
    /// # Errors
    /// [`Error::Malformed`] for anything but a payload of such a tile.
    pub fn record(
        &self,
        level: u8,
        size: [u32; 2],
        payload: &[u8],
        reference: Reference<'_>,
        workspace: &mut Workspace,
    ) -> Result<Bytes, Error> {
        self.record_into(level, size, payload, reference, workspace)?;
        Ok(Bytes::copy_from_slice(&workspace.record))
    }

    /// As [`Self::record`], into the workspace.
    pub(crate) fn record_into(
        &self,
        level: u8,
        size: [u32; 2],
        payload: &[u8],
        reference: Reference<'_>,
        workspace: &mut Workspace,
    ) -> Result<(), Error> {
        let mut inline = None;
        let content = self.decode(level, size, payload, reference, workspace, &mut inline)?;
        let Workspace { tile, streams, record, stopwatch, .. } = workspace;
        record.clear();
        let template = match content {
            Content::Stream => {
                record.extend_from_slice(&payload[1..]);
                return Ok(());
            }
            Content::Coefficients(template) => template,
        };
        stopwatch.time(|t| &mut t.stream, || streams.write(template, tile, record))?;
        let tables = self.tables(level);
        if tables.is_empty() { Ok(()) } else { split(tables, record) }
    }

    /// The payload that keeps a record as it is.
    #[must_use]
    pub fn verbatim_payload(record: &[u8]) -> Vec<u8> {
        [&[VERBATIM], record].concat()
    }

    /// What a payload of `level` was coded against, by its first byte: only then is its reference needed.
    #[must_use]
    pub fn kind_of(&self, level: u8, payload: &[u8]) -> Kind {
        match payload.first() {
            Some(form) if form & !ADDED == PREDICTED => self.kind(level),
            _ => Kind::Alone,
        }
    }

    /// The samples of a payload's tile, for others to be predicted from; `None` if it is stored verbatim.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub fn picture(
        &self,
        level: u8,
        size: [u32; 2],
        payload: &[u8],
        reference: Reference<'_>,
        workspace: &mut Workspace,
    ) -> Result<Option<Picture>, Error> {
        self.decode_into_workspace(level, size, payload, reference, workspace)?;
        Ok(self.picture_in(workspace))
    }

    /// Decodes a payload into the workspace, which holds no tile if it is stored verbatim.
    pub(crate) fn decode_into_workspace(
        &self,
        level: u8,
        size: [u32; 2],
        payload: &[u8],
        reference: Reference<'_>,
        workspace: &mut Workspace,
    ) -> Result<(), Error> {
        self.decode(level, size, payload, reference, workspace, &mut None).map(|_content| ())
    }

    /// The samples of the tile that was coded or decoded last; `None` if that was verbatim.
    #[must_use]
    pub fn picture_in(&self, workspace: &Workspace) -> Option<Picture> {
        let mut picture = Picture::default();
        self.picture_into(workspace, &mut picture).then_some(picture)
    }

    /// As [`Self::picture_in`], in the buffers of another picture; whether there are such samples.
    #[must_use]
    pub fn picture_into(&self, workspace: &Workspace, picture: &mut Picture) -> bool {
        if !workspace.holds {
            return false;
        }
        let Tile { width, height, planes } = &workspace.tile;
        (picture.width, picture.height) = (*width, *height);
        let empty = || Component { sampling: [1; 2], samples: Samples::default() };
        picture.planes.resize_with(planes.len(), empty);
        for (component, plane) in picture.planes.iter_mut().zip(planes) {
            component.sampling = [plane.horizontal, plane.vertical];
            simd::samples(self.set, plane, &mut component.samples);
        }
        true
    }

    fn decode<'a>(
        &'a self,
        level: u8,
        size: [u32; 2],
        payload: &'a [u8],
        reference: Reference<'_>,
        workspace: &mut Workspace,
        inline: &'a mut Option<Template>,
    ) -> Result<Content<'a>, Error> {
        workspace.holds = false;
        let malformed = |offset, what| Error::Malformed { offset, what };
        let cut = malformed(payload.len(), "the payload is cut off");
        let (&form, rest) = payload.split_first().ok_or(cut.clone())?;
        let kind = match form {
            VERBATIM => return Ok(Content::Stream),
            _ if form & (HAS_FOUR | HAS_PARTS) == HAS_PARTS => {
                return Err(malformed(0, "two parts without four strands each"));
            }
            _ if form & HAS_SIXTEEN != 0 && form & (HAS_FOUR | HAS_PARTS) != 0 => {
                return Err(malformed(0, "sixteen states, and strands besides"));
            }
            _ if form & (HAS_SIXTEEN | GO_ROUND) == GO_ROUND => {
                return Err(malformed(0, "rows that go round without sixteen states"));
            }
            _ => match (form & !ADDED, self.kind(level)) {
                (ALONE, _) => Kind::Alone,
                (PREDICTED, Kind::Alone) => {
                    return Err(malformed(
                        0,
                        "a tile coded against others in a level that is predicted from none",
                    ));
                }
                (PREDICTED, kind) => kind,
                _ => return Err(malformed(0, "an unknown form of payload")),
            },
        };
        let stored = match (form & IS_PADDED, self.padded_to(level)) {
            (0, _) => size,
            (_, 0) => return Err(malformed(0, "a padded tile in a level without padding")),
            (_, side) => [u32::from(side); 2],
        };
        let (&number, mut rest) = rest.split_first().ok_or(cut.clone())?;
        let template = match self.templates.get(usize::from(number)) {
            Some(template) => template,
            None if number == INLINE => {
                let (length, after) = rest.split_first_chunk::<4>().ok_or(cut.clone())?;
                let length = u32::from_le_bytes(*length) as usize;
                if length > MAX_INLINE {
                    return Err(malformed(2, "a template of more than 64 KiB"));
                }
                let (bytes, after) = after.split_at_checked(length).ok_or(cut.clone())?;
                rest = after;
                inline.insert(Template::parse(bytes)?)
            }
            None => return Err(malformed(1, "no such template")),
        };
        let Workspace { tile, .. } = workspace;
        template.shape(stored[0], stored[1], tile)?;
        if kind != Kind::Alone && self.usable(level, tile, &reference) != kind {
            return Err(malformed(0, "the tile's reference has other components than it was coded against"));
        }
        match form & (HAS_PARTS | HAS_SIXTEEN) {
            HAS_SIXTEEN => {
                let order = if form & GO_ROUND == 0 { Order::InTurn } else { Order::Round };
                self.decode_abreast(&reference, kind, rest, order, workspace)?;
            }
            0 => self.decode_planes(&reference, kind, rest, form & HAS_FOUR != 0, workspace)?,
            _ => self.decode_parts(&reference, kind, rest, workspace)?,
        }
        workspace.holds = true;
        Ok(Content::Coefficients(template))
    }

    /// What a tile can be predicted from, given what is at hand: the level's kind, or nothing.
    pub(super) fn usable(&self, level: u8, tile: &Tile, reference: &Reference<'_>) -> Kind {
        let same = |picture: &Picture| {
            let planes = picture.planes.iter().map(|p| p.sampling);
            planes.eq(tile.planes.iter().map(|p| [p.horizontal, p.vertical]))
        };
        match (self.kind(level), reference) {
            (Kind::Coarser, Reference::Coarser { base, .. }) if same(base) => Kind::Coarser,
            (Kind::Finer, Reference::Finer(tiles))
                if !tiles.is_empty() && tiles.iter().all(|f| same(f.picture)) =>
            {
                Kind::Finer
            }
            _ => Kind::Alone,
        }
    }

    /// A tile of a derived level: its prediction, rounded, as JPEG.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the finer tiles do not go with the slide's template for derived tiles.
    pub fn derive(
        &self,
        size: [u32; 2],
        finer: &[Finer<'_>],
        workspace: &mut Workspace,
    ) -> Result<Bytes, Error> {
        let malformed = |what| Error::Malformed { offset: 0, what };
        let template = self.derived.and_then(|number| self.templates.get(usize::from(number)));
        let template = template.ok_or(malformed("the slide has no template for derived tiles"))?;
        let Workspace { tile, parts: [Part { aligned, .. }, _], streams, record, stopwatch, .. } = workspace;
        template.planes_for(size[0], size[1], tile)?;
        let most = most_sampling(&tile.planes);
        if finer.iter().any(|f| f.picture.planes.len() != tile.planes.len()) {
            return Err(malformed("a finer tile has other components than derived tiles"));
        }
        for (index, plane) in tile.planes.iter_mut().enumerate() {
            let sampling = [plane.horizontal, plane.vertical];
            if !finer.iter().all(|f| f.picture.planes.get(index).is_some_and(|c| c.sampling == sampling)) {
                return Err(malformed("a finer tile has other components than derived tiles"));
            }
            let predict = || {
                align(self.set, &Reference::Finer(finer), Kind::Finer, plane, index, most, aligned);
                simd::round(self.set, built_in::unit(), aligned, plane);
            };
            stopwatch.time(|t| &mut t.prediction, predict);
        }
        record.clear();
        stopwatch.time(|t| &mut t.stream, || streams.write(template, tile, record))?;
        Ok(Bytes::copy_from_slice(record))
    }
}

/// A TIFF tile with the tables of its level before it: a stream of its own.
fn join(tables: &[u8], record: &[u8], out: &mut Vec<u8>) {
    out.clear();
    // SOI, the tables without SOI and EOI, the record without SOI.
    out.extend_from_slice(&tables[..tables.len().saturating_sub(2)]);
    out.extend_from_slice(record.get(2..).unwrap_or_default());
}

/// Undoes [`join`].
fn split(tables: &[u8], stream: &mut Vec<u8>) -> Result<(), Error> {
    let prefix = tables.len().saturating_sub(2);
    if stream.get(..prefix) != tables.get(..prefix) {
        return Err(Error::Malformed {
            offset: 0,
            what: "the tile's template lacks the tables of its level",
        });
    }
    stream.drain(2..prefix);
    Ok(())
}
