//! An object as something that a container is read from: in blocks, of which those read last are kept.
//!
//! A question takes tens of milliseconds however few bytes are asked for, and what is asked for together lies together: header,
//! index and metadata at the beginning, the tiles of a family beside each other.

use std::collections::HashMap;
use std::io::{Error as IoError, ErrorKind, Result};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use microtome_container::Source;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, ObjectMeta};

use crate::list::Found;
use crate::store::Store;

/// Bytes of a block for a server: a family of dense tiles, and 5 ms of an object storage's time beyond the first byte.
const SERVED: u64 = 256 << 10;
/// Those for who reads all of an object: most of the time goes into bytes, and not into waiting for the first.
const READ: u64 = 4 << 20;
/// What lies in more blocks is asked for as it is, and not kept.
const MOST_BLOCKS: u64 = 4;
/// Bytes of blocks that are kept, of all objects together.
const KEPT: u64 = 64 << 20;
/// A block is forgotten no oftener: one that is damaged where it is would be asked for with each request.
const FORGETTING: Duration = Duration::from_secs(1);
/// Blocks of an object of which that is known, at most.
const MOST_FORGOTTEN: usize = 4096;

/// Number of the next object opened by this process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// What tells an object from the one that was under the same key before.
#[derive(Debug, Clone)]
pub struct ObjectIdentity {
    length: u64,
    modified: i64,
    e_tag: Option<String>,
}

impl PartialEq for ObjectIdentity {
    /// Where there are strong tags they alone tell: the parts of a storage may disagree about the time.
    fn eq(&self, other: &Self) -> bool {
        let is_named = self.strong_e_tag().is_some() && other.strong_e_tag().is_some();
        let is_of_time = is_named || self.modified == other.modified;
        self.length == other.length && self.e_tag == other.e_tag && is_of_time
    }
}

impl Eq for ObjectIdentity {}

impl ObjectIdentity {
    pub(crate) fn of(object: &ObjectMeta) -> Self {
        Self { length: object.size, modified: object.last_modified.timestamp(), e_tag: object.e_tag.clone() }
    }

    /// That of an object in a list.
    #[must_use]
    pub fn listed(found: &Found) -> Self {
        Self { length: found.size, modified: found.last_modified.timestamp(), e_tag: found.e_tag.clone() }
    }

    /// What may be asked for by name: a weak one matches nothing (RFC 9110, section 13.1.1).
    pub(crate) fn strong_e_tag(&self) -> Option<&str> {
        self.e_tag.as_deref().filter(|e_tag| !e_tag.starts_with("W/"))
    }
}

/// The blocks that are kept, by object and number. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Blocks {
    kept: Cache<(u64, u64), Bytes>,
    /// Bytes of each but the last of an object.
    size: u64,
}

impl Blocks {
    pub(crate) fn for_server() -> Self {
        Self::of(SERVED)
    }

    pub(crate) fn for_reading() -> Self {
        Self::of(READ)
    }

    fn of(size: u64) -> Self {
        let weigh = |_key: &(u64, u64), block: &Bytes| u32::try_from(block.len()).unwrap_or(u32::MAX);
        // Least recently used: else blocks that were asked for often keep their places, and those that are read now go at once.
        let kept = Cache::builder().weigher(weigh).max_capacity(KEPT).eviction_policy(EvictionPolicy::lru());
        Self { kept: kept.build(), size }
    }
}

/// An open object.
#[derive(Debug)]
pub(crate) struct Object {
    store: Store,
    key: Key,
    identity: ObjectIdentity,
    /// Different for each opening: no block of one is taken for another's.
    number: u64,
    blocks: Blocks,
    /// When each block was last taken for wrong.
    forgotten: Mutex<HashMap<u64, Instant>>,
}

impl Object {
    /// Asks for the first block, which says all else. Blocks.
    pub(crate) fn open(store: Store, key: Key, blocks: Blocks) -> Result<Self> {
        let options = GetOptions { range: Some(GetRange::Bounded(0..blocks.size)), ..GetOptions::default() };
        let (found, first) = store.get(&key, options)?;
        let identity = ObjectIdentity::of(&found);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let object = Self { store, key, identity, number, blocks, forgotten: Mutex::default() };
        if first.len() as u64 == object.range(0).end {
            object.blocks.kept.insert((number, 0), first);
        }
        Ok(object)
    }

    pub(crate) fn identity(&self) -> &ObjectIdentity {
        &self.identity
    }

    /// Where a block is.
    fn range(&self, block: u64) -> Range<u64> {
        let start = block.saturating_mul(self.blocks.size);
        start..start.saturating_add(self.blocks.size).min(self.identity.length)
    }

    /// A block; who asks for it while somebody else does waits for that.
    fn block(&self, block: u64) -> Result<Bytes> {
        let get = || self.store.get_range(&self.key, &self.identity, self.range(block));
        let got = self.blocks.kept.try_get_with((self.number, block), get);
        got.map_err(|error: Arc<IoError>| IoError::new(error.kind(), error))
    }

    /// Fills the buffer from blocks, if all can be had.
    fn fill(&self, buffer: &mut [u8], offset: u64, block: impl Fn(u64) -> Result<Bytes>) -> Result<()> {
        let mut rest = buffer;
        let mut at = offset;
        while !rest.is_empty() {
            let bytes = block(at / self.blocks.size)?;
            let from = bytes.get((at % self.blocks.size) as usize..).filter(|from| !from.is_empty());
            let from = from.ok_or_else(|| IoError::from(ErrorKind::UnexpectedEof))?;
            let length = from.len().min(rest.len());
            let (filled, left) = rest.split_at_mut(length);
            filled.copy_from_slice(&from[..length]);
            (rest, at) = (left, at + length as u64);
        }
        Ok(())
    }
}

impl Source for Object {
    fn length(&self) -> Result<u64> {
        Ok(self.identity.length)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.identity.length);
        let end = end.ok_or_else(|| IoError::from(ErrorKind::UnexpectedEof))?;
        if buffer.len() as u64 > MOST_BLOCKS * self.blocks.size {
            buffer.copy_from_slice(&self.store.get_range(&self.key, &self.identity, offset..end)?);
            return Ok(());
        }
        self.fill(buffer, offset, |block| self.block(block))
    }

    fn read_at_once(&self, buffer: &mut [u8], offset: u64) -> bool {
        let kept =
            |block| self.blocks.kept.get(&(self.number, block)).ok_or(IoError::from(ErrorKind::WouldBlock));
        self.fill(buffer, offset, kept).is_ok()
    }

    fn forget(&self, offset: u64, length: u64) -> bool {
        let mut forgotten = self.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
        let first = offset / self.blocks.size;
        let last = offset.saturating_add(length.saturating_sub(1)) / self.blocks.size;
        for block in first..=last.min(first + MOST_BLOCKS) {
            if forgotten.get(&block).is_none_or(|last| last.elapsed() > FORGETTING) {
                self.blocks.kept.invalidate(&(self.number, block));
                if forgotten.len() >= MOST_FORGOTTEN {
                    forgotten.clear();
                }
                forgotten.insert(block, Instant::now());
            }
        }
        true
    }

    fn is_unchanged(&self) -> bool {
        // Every question names the version.
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blocks_that_were_read_last_are_kept() {
        let blocks = Blocks::for_reading();
        let of = |number| {
            let block = blocks.kept.get_with((0, number), || vec![0; READ as usize].into());
            blocks.kept.run_pending_tasks();
            block
        };
        let most = KEPT / READ;
        // However often those before were asked for.
        for number in (0..4 * most).flat_map(|number| [number; 3]) {
            of(number);
            assert!(blocks.kept.contains_key(&(0, number)), "{number}");
        }
        assert!(!blocks.kept.contains_key(&(0, 0)));
    }
}
