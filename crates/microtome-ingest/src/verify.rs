//! Proof of a container: in itself, and against its source.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use microtome_codec::payload::VerbatimParams;
use microtome_container::geometry::{Grid, TileId};
use microtome_container::source::is_of_bytes;
use microtome_slide::{Error as SlideError, Slide};
use rayon::prelude::*;

use crate::Error;
use crate::fingerprint;
use crate::forgiving::sound;
use crate::source::{self, Content, Source, Tiles};

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// Records whose checksum was checked.
    pub tiles: u64,
    /// Bytes that were hashed.
    pub bytes: u64,
    /// What is wrong, a line each.
    pub findings: Vec<String>,
}

/// Checks every byte of a container (hashes, checksums, padding) and decodes every stored tile, on all cores.
///
/// # Errors
/// [`Error::Interrupted`], or [`Error::Container`] if the file can no longer be read at all; what is wrong with it is
/// part of the result, and after that what can no longer be read is a finding, too: damage that was seen is told.
pub fn verify(slide: &Slide, cancelled: &AtomicBool) -> Result<Verification, Error> {
    let mut findings = vec![];
    match look(slide, cancelled, &mut findings) {
        Ok(summary) => Ok(Verification { tiles: summary.tiles, bytes: summary.bytes, findings }),
        Err(error) if findings.is_empty() || matches!(error, Error::Interrupted) => Err(error),
        Err(error) => {
            findings.push(format!("the rest could not be checked: {error}"));
            Ok(Verification { findings, ..Verification::default() })
        }
    }
}

/// As [`verify`]; what is wrong goes into `findings`.
fn look(
    slide: &Slide,
    cancelled: &AtomicBool,
    findings: &mut Vec<String>,
) -> Result<microtome_container::verify::Summary, Error> {
    let stop = || cancelled.load(Ordering::Relaxed);
    let mut unread = None;
    let summary = microtome_container::verify::verify(slide.container(), |checked| {
        match checked.err() {
            // Nothing is known of the file then.
            Some(microtome_container::Error::Io { cause, path, action }) if !is_of_bytes(&cause) => {
                unread = Some(microtome_container::Error::Io { cause, path, action });
            }
            finding => findings.extend(finding.map(|e| e.to_string())),
        }
        if stop() || unread.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let summary = match (unread, summary) {
        (Some(error), _) => return Err(error.into()),
        (None, Err(microtome_container::Error::Interrupted)) => return Err(Error::Interrupted),
        (None, other) => other?,
    };
    let images = slide.metadata().associated.iter().map(|image| slide.associated(&image.name).err());
    for error in images.chain([slide.icc_profile().err()]).flatten() {
        match error {
            SlideError::Container(error @ microtome_container::Error::Io { .. }) => return Err(error.into()),
            // Its section is not as it should be, which was found above.
            SlideError::Container(_) => {}
            error => findings.push(error.to_string()),
        }
    }
    for (level, grid) in slide.levels().iter().enumerate().filter(|(k, _)| !slide.is_derived(*k as u8)) {
        let finding = |tile| match slide.fetch(tile).and_then(|fetched| fetched.decode_pixels()) {
            Err(error @ SlideError::Undecodable { .. }) => Ok(Some(error.to_string())),
            Err(error) if error.is_of_system() => Err(error),
            // Damaged records have been found above.
            Ok(_) | Err(_) => Ok(None),
        };
        let undecodable: Result<Vec<_>, _> = tiles(level as u8, *grid)
            .filter(|_| !stop())
            .filter_map(|tile| finding(tile).transpose())
            // Ends with the first failure: each may take as long as anybody waits for storage.
            .collect();
        match undecodable {
            Ok(undecodable) => findings.extend(undecodable),
            Err(SlideError::Container(error)) => return Err(error.into()),
            Err(error) => findings.push(error.to_string()),
        }
    }
    if stop() { Err(Error::Interrupted) } else { Ok(summary) }
}

/// All tiles of a level, for all threads.
fn tiles(level: u8, grid: Grid) -> impl ParallelIterator<Item = TileId> {
    (0..grid.tiles()).into_par_iter().map(move |i| {
        let (column, row) = grid.position(i);
        TileId { level, column, row }
    })
}

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Tiles that are the same bytes in both, stored and as served.
    pub identical: u64,
    /// Tiles that the source lacks, and the container says so.
    pub absent: u64,
    /// Tiles that cannot be decoded, and the container says so.
    pub undecodable: u64,
    /// Tiles and levels that differ, or that one side lacks, in words.
    pub differences: Vec<String>,
    /// Whether the source's SHA-256 is the one recorded at ingest.
    pub same_source: bool,
    /// Whether the container keeps tiles of a source verbatim, so that there is something to compare.
    pub keeps_tiles: bool,
    /// What of the source these tiles are, in words.
    pub kept: &'static str,
}

/// Compares every tile that the container keeps verbatim with the source's: the stored bytes, and the complete stream
/// that is served, in which tables and colour count too.
///
/// A container that was quantised from pixels keeps no tiles; `same_source` is then all that can be proved.
///
/// # Errors
/// What opening or reading the source finds. Differences and damaged records are part of the result.
pub fn compare(slide: &Slide, spec: &str) -> Result<Comparison, Error> {
    let source = source::open(spec)?;
    let record = fingerprint::of(spec, source.format, &|| false)?;
    let kept: Vec<u8> =
        slide.metadata().loss.iter().filter(|s| s.verbatim).flat_map(|s| s.levels.clone()).collect();
    let mut comparison = Comparison {
        same_source: record.sha256 == slide.metadata().source.sha256,
        keeps_tiles: !kept.is_empty(),
        ..Comparison::default()
    };
    let full = slide.levels()[0];
    if (source.width, source.height) != (full.width, full.height) {
        let Source { width, height, .. } = source;
        let what =
            format!("the source has {width} x {height} px, the slide {} x {} px", full.width, full.height);
        comparison.differences.push(what);
        return Ok(comparison);
    }
    if let Content::Tiles(tiles) = &source.content {
        comparison.kept = tiles.kept();
    }
    for level in kept {
        let grid = slide.levels().get(usize::from(level)).copied();
        let Some((theirs, grid)) = SourceLevel::of(&source, level).zip(grid) else {
            comparison
                .differences
                .push(format!("level {level} is not in the source as JPEG tiles on this grid"));
            continue;
        };
        let said = |tile: TileId, undecodable: bool| {
            let number = u64::from(tile.row) * u64::from(grid.columns()) + u64::from(tile.column);
            let of_level = slide.metadata().absent.iter().filter(|absent| absent.level == level);
            of_level.filter(|absent| absent.undecodable == undecodable).any(|absent| absent.contains(number))
        };
        let finding = |tile| {
            let found = match said(tile, true) {
                true => theirs.is_bad(tile, &grid),
                false => theirs.compare(slide, tile, &grid, said(tile, false)),
            };
            match found {
                Err(Amiss::Unread(error)) => Err(error),
                Err(Amiss::Different(what)) => Ok(Err(what)),
                Ok(found) => Ok(Ok(found)),
            }
        };
        let findings: Vec<_> = tiles(level, grid).map(finding).collect::<Result<_, Error>>()?;
        for found in findings {
            match found {
                Ok(Found::Identical) => comparison.identical += 1,
                Ok(Found::Absent) => comparison.absent += 1,
                Ok(Found::Undecodable) => comparison.undecodable += 1,
                Err(what) => comparison.differences.push(what),
            }
        }
    }
    Ok(comparison)
}

/// What was found of a tile in which nothing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Identical,
    Absent,
    Undecodable,
}

/// Why nothing of that can be said of a tile.
enum Amiss {
    /// It is not as it should be, in words.
    Different(String),
    /// It could not be had, from either side, which says nothing about it.
    Unread(Error),
}

impl From<String> for Amiss {
    fn from(what: String) -> Self {
        Self::Different(what)
    }
}

impl From<Error> for Amiss {
    fn from(error: Error) -> Self {
        match error {
            Error::Read { .. } => Self::Unread(error),
            error => Self::Different(error.to_string()),
        }
    }
}

impl From<SlideError> for Amiss {
    fn from(error: SlideError) -> Self {
        match error {
            SlideError::Container(error @ microtome_container::Error::Io { .. }) => {
                Self::Unread(error.into())
            }
            error => Self::Different(error.to_string()),
        }
    }
}

/// A level of JPEG tiles of a source, with what completes them.
struct SourceLevel<'a> {
    tiles: &'a dyn Tiles,
    index: usize,
    params: VerbatimParams,
}

impl<'a> SourceLevel<'a> {
    fn of(source: &'a Source, level: u8) -> Option<Self> {
        let Content::Tiles(tiles) = &source.content else { return None };
        let index = tiles.levels().iter().position(|l| l.level == level)?;
        let streams = vec![tiles.levels()[index].stream(tiles.tile_size())];
        Some(Self { tiles: tiles.as_ref(), index, params: VerbatimParams::completing(streams) })
    }

    /// Sees whether a tile cannot be decoded, as the container says.
    fn is_bad(&self, tile: TileId, grid: &Grid) -> Result<Found, Amiss> {
        let rect =
            grid.tile_rect(tile.column, tile.row).ok_or_else(|| format!("{tile}: outside the grid"))?;
        let is_sound = match self.tiles.tile(self.index, tile.column, tile.row) {
            Ok(record) => sound(&self.params, tile.level, rect, &record.into()).is_ok(),
            Err(Error::Malformed { .. }) => false,
            Err(other) => return Err(other.into()),
        };
        match is_sound {
            false => Ok(Found::Undecodable),
            true => Err(format!("{tile}: the slide says that it cannot be decoded, but it can").into()),
        }
    }

    /// Compares a tile, of which the container says whether the source lacks it.
    fn compare(&self, slide: &Slide, tile: TileId, grid: &Grid, is_absent: bool) -> Result<Found, Amiss> {
        match (self.tiles.is_absent(self.index, tile.column, tile.row), is_absent) {
            (true, false) => {
                return Err(format!("{tile}: absent in the source, and the slide does not say so").into());
            }
            (false, true) => {
                return Err(
                    format!("{tile}: absent in the source, as the slide says, but it is there").into()
                );
            }
            _ => {}
        }
        let theirs: Bytes = self.tiles.tile(self.index, tile.column, tile.row)?.into();
        let fetched = slide.fetch(tile)?;
        let ours = fetched.record()?;
        let ours = ours.filter(|ours| *ours == theirs);
        let ours = ours.ok_or_else(|| format!("{tile}: differs from the source's tile"))?;
        let size =
            grid.tile_rect(tile.column, tile.row).ok_or_else(|| format!("{tile}: outside the grid"))?;
        let their_stream = self.params.to_jpeg(tile.level, size.width, size.height, &theirs);
        let our_stream = fetched.complete(&ours)?;
        match their_stream {
            Ok(stream) if stream == our_stream => {
                Ok(if is_absent { Found::Absent } else { Found::Identical })
            }
            _ => Err(format!("{tile}: the same bytes, but other tables or colours than the source's").into()),
        }
    }
}

#[cfg(test)]
mod tests;
