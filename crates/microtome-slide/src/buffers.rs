//! Memory for records between reading and decoding, used again and again by all threads.
//!
//! A buffer goes back where it came from when it is dropped, on whatever thread that is. There are a few sizes, and of each
//! no more are kept than stated: what more is needed at a time, or is larger, is made and freed like any other memory.

use std::ops::{Deref, DerefMut};
use std::sync::LazyLock;

use crossbeam_queue::ArrayQueue;

/// Sizes in bytes, and how many of each are kept: 17 MiB in all.
const TIERS: [(usize, usize); 4] = [(4 << 10, 256), (16 << 10, 256), (64 << 10, 96), (256 << 10, 24)];

static SPARE: LazyLock<[ArrayQueue<Box<[u8]>>; TIERS.len()]> =
    LazyLock::new(|| TIERS.map(|(_, count)| ArrayQueue::new(count)));

/// So many bytes, zeros or what somebody else has left.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    length: usize,
}

impl Buffer {
    /// `length` bytes, to be overwritten.
    pub(crate) fn take(length: usize) -> Self {
        let tier = TIERS.iter().position(|&(size, _)| length <= size);
        let spare = tier.and_then(|tier| SPARE[tier].pop());
        let size = tier.map_or(length, |tier| TIERS[tier].0);
        Self { bytes: spare.unwrap_or_else(|| vec![0; size].into()), length }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if let Some(tier) = TIERS.iter().position(|&(size, _)| size == bytes.len()) {
            // Where there are enough of them it is freed.
            drop(SPARE[tier].push(bytes));
        }
    }
}

/// Bytes of the buffers that wait to be used again.
#[must_use]
pub fn spare_bytes() -> u64 {
    let tiers = TIERS.iter().zip(&*SPARE);
    tiers.map(|(&(size, _), spare)| (size * spare.len()) as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_and_never_more_are_kept_than_stated() {
        // More than are kept, of every size and of none; other tests may hold some meanwhile.
        let lengths = [0, 1, 4096, 4097, 70_000, 262_144, 262_145, 3 << 20];
        let many: Vec<_> = lengths.iter().flat_map(|&length| (0..300).map(move |_| length)).collect();
        for _ in 0..2 {
            let mut buffers: Vec<_> = many.iter().map(|&length| Buffer::take(length)).collect();
            for (buffer, &length) in buffers.iter_mut().zip(&many) {
                assert_eq!(buffer.len(), length);
                buffer.fill(7);
            }
        }
        let most: usize = TIERS.iter().map(|(size, count)| size * count).sum();
        assert!((most as u64 / 2..=most as u64).contains(&spare_bytes()), "600 of each size were given back");
    }
}
