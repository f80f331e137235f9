//! Proof of a container: in itself, and against its source.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use microtome_container::geometry::{Grid, TileId};
use microtome_slide::Slide;
use rayon::prelude::*;

use crate::Error;
use crate::fingerprint;
use crate::source::{self, Content};

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
/// part of the result.
pub fn verify(slide: &Slide, cancelled: &AtomicBool) -> Result<Verification, Error> {
    let mut findings = vec![];
    let stop = || cancelled.load(Ordering::Relaxed);
    let summary = microtome_container::verify::verify(slide.container(), |checked| {
        findings.extend(checked.err().map(|e| e.to_string()));
        if stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let summary = match summary {
        Err(microtome_container::Error::Interrupted) => return Err(Error::Interrupted),
        other => other?,
    };
    for (level, grid) in slide.levels().iter().enumerate().filter(|(k, _)| !slide.is_derived(*k as u8)) {
        let undecodable: Vec<String> = tiles(level as u8, *grid)
            .filter(|_| !stop())
            .filter_map(|tile| match slide.fetch(tile).and_then(|fetched| fetched.decode_pixels()) {
                // Damaged records have been found above.
                Err(error @ microtome_slide::Error::Undecodable { .. }) => Some(error.to_string()),
                _ => None,
            })
            .collect();
        findings.extend(undecodable);
    }
    if stop() {
        Err(Error::Interrupted)
    } else {
        Ok(Verification { tiles: summary.tiles, bytes: summary.bytes, findings })
    }
}

/// All tiles of a level, for all threads.
fn tiles(level: u8, grid: Grid) -> impl ParallelIterator<Item = TileId> {
    let columns = u64::from(grid.columns());
    (0..grid.tiles()).into_par_iter().map(move |i| TileId {
        level,
        column: (i % columns) as u32,
        row: (i / columns) as u32,
    })
}

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Tiles that are the same bytes in both.
    pub identical: u64,
    /// Tiles that differ, or that one side lacks, in words.
    pub differences: Vec<String>,
    /// Whether the source's SHA-256 is the one recorded at ingest.
    pub same_source: bool,
}

/// Compares every tile that the source has as JPEG, and the container stores verbatim, with the container's.
///
/// A container that was quantised from pixels has no such tiles; `same_source` is then all that can be proved.
///
/// # Errors
/// What opening or reading the source finds. Differences and damaged records are part of the result.
pub fn compare(slide: &Slide, spec: &str) -> Result<Comparison, Error> {
    let source = source::open(spec)?;
    let record = fingerprint::of(spec, source.format, &|| false)?;
    let mut comparison =
        Comparison { same_source: record.sha256 == slide.metadata().source.sha256, ..Comparison::default() };
    let kept = slide.metadata().loss.iter().find(|step| step.verbatim).map(|step| &step.levels);
    let (Content::Tiles(source_tiles), Some(kept)) = (&source.content, kept) else { return Ok(comparison) };
    let level_0 = slide.levels()[0];
    if (source.width, source.height) != (level_0.width, level_0.height) {
        let sizes = format!(
            "{} x {} px, the slide {} x {} px",
            source.width, source.height, level_0.width, level_0.height
        );
        comparison.differences.push(format!("the source has {sizes}"));
        return Ok(comparison);
    }
    for (index, level) in source_tiles.levels().iter().enumerate() {
        if !kept.contains(&level.level) {
            continue;
        }
        let grid = slide.levels()[usize::from(level.level)];
        let findings: Vec<Result<(), String>> = tiles(level.level, grid)
            .map(|tile| {
                let theirs = source_tiles.tile(index, tile.column, tile.row).map_err(|e| e.to_string())?;
                let ours = slide.record(tile).map_err(|e| e.to_string())?;
                if ours.payload == theirs {
                    Ok(())
                } else {
                    Err(format!("{tile}: differs from the source's tile"))
                }
            })
            .collect();
        comparison.identical += findings.iter().filter(|f| f.is_ok()).count() as u64;
        comparison.differences.extend(findings.into_iter().filter_map(Result::err));
    }
    Ok(comparison)
}
