//! Proof of a whole file: every section hash, every index page, every record, every gap.
//!
//! Whether a record decodes is for the caller to see, who knows its codec: each checked record is handed out.

use std::ops::ControlFlow;

use bytes::Bytes;

use crate::Container;
use crate::error::{Error, RESTORE};
use crate::geometry::TileId;
use crate::header::{Section, SectionKind};
use crate::reader::{Page, Reading};

/// What a verification visited.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Records checked; a blank tile that is stored once counts for each place it is used in.
    pub tiles: u64,
    /// Bytes of the file that were hashed.
    pub bytes: u64,
}

/// Visits everything in the file. Each finding and each checked record goes to `on`, which may stop the run.
///
/// The file is read twice: once from front to back for the section hashes and the gaps between sections, once by
/// record.
///
/// # Errors
/// [`Error::Interrupted`] if `on` breaks; what is wrong with the file goes to `on` instead.
pub fn verify(
    container: &Container,
    mut on: impl FnMut(Result<(TileId, &Bytes), Error>) -> ControlFlow<()>,
) -> Result<Summary, Error> {
    let mut summary = Summary::default();
    verify_sections(container, &mut summary, &mut on)?;
    let header = container.header();
    let mut current: Option<(u64, Option<Page>)> = None;
    container.layout().try_for_each_tile(|_, tile| {
        let (number, position) = container.locate(tile)?;
        if current.as_ref().is_none_or(|(n, _)| *n != number) {
            let page = match container.read_page(number, Reading::Waits) {
                Ok(page) => Some(page),
                Err(error) => {
                    stop_if(on(Err(error)))?;
                    None
                }
            };
            current = Some((number, page));
        }
        // A damaged page has been reported once; its tiles can't be looked up.
        let Some((_, Some(page))) = &current else { return Ok(()) };
        let stored = header.levels[usize::from(tile.level)].stored;
        let damaged = |what: &str| {
            Err(Error::DamagedTile { path: container.path().to_owned(), tile, what: what.to_owned() })
        };
        let finding = match (page.entry(position), stored) {
            (Some(entry), true) => container.read_record(tile, entry, Reading::Waits),
            (None, false) => return Ok(()),
            (None, true) => damaged("has no record although its level is stored"),
            (Some(_), false) => damaged("has a record although its level is derived"),
        };
        summary.tiles += 1;
        match finding {
            Ok(record) => stop_if(on(Ok((tile, &record)))),
            Err(error) => stop_if(on(Err(error))),
        }
    })?;
    Ok(summary)
}

fn stop_if(flow: ControlFlow<()>) -> Result<(), Error> {
    if flow.is_break() { Err(Error::Interrupted) } else { Ok(()) }
}

/// Hashes every section and sees that nothing but zeros lies between them.
fn verify_sections(
    container: &Container,
    summary: &mut Summary,
    on: &mut impl FnMut(Result<(TileId, &Bytes), Error>) -> ControlFlow<()>,
) -> Result<(), Error> {
    let damaged = |kind: SectionKind, what: &str| Error::Damaged {
        path: container.path().to_owned(),
        place: format!("section {kind}"),
        what: what.to_owned(),
    };
    let mut buffer = vec![0; 1 << 20];
    let mut end = u64::from(container.header().header_length);
    for section in &container.header().sections {
        // Opening has seen to it that the gap is the padding to the next multiple of 16.
        let gap = &mut buffer[..(section.offset - end) as usize];
        container.read_raw(gap, end)?;
        if gap.iter().any(|&b| b != 0) {
            stop_if(on(Err(damaged(section.kind, "the padding before it is not zero"))))?;
        }
        let mut is_right = hash_of(container, section, &mut buffer)? == section.hash;
        if !is_right && container.forget(section) {
            is_right = hash_of(container, section, &mut buffer)? == section.hash;
        }
        summary.bytes += section.length;
        if !is_right {
            stop_if(on(Err(damaged(section.kind, &format!("the BLAKE3 hash does not match; {RESTORE}")))))?;
        }
        end = section.end();
    }
    Ok(())
}

/// The BLAKE3 of a section, which is read by pieces.
fn hash_of(container: &Container, section: &Section, buffer: &mut [u8]) -> Result<[u8; 32], Error> {
    let mut hasher = blake3::Hasher::new();
    let mut at = section.offset;
    while at < section.end() {
        let part = (section.end() - at).min(buffer.len() as u64) as usize;
        container.read_raw(&mut buffer[..part], at)?;
        hasher.update(&buffer[..part]);
        at += part as u64;
    }
    Ok(*hasher.finalize().as_bytes())
}
