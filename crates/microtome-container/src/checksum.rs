//! Checksums that know their place.
//!
//! A record's checksum covers its bytes *and* the slide, level, column and row it belongs to, so that a record that
//! is intact but in the wrong place, or from another slide, does not pass. XXH3 finds every accident; deliberate
//! forgery is the business of the content id (BLAKE3).

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::geometry::TileId;
use crate::header::SlideId;

/// Hash of a record's bytes alone: the part of the checksum that does not depend on the place.
#[must_use]
pub fn payload_hash(payload: &[u8]) -> u128 {
    xxh3_128(payload)
}

/// Checksum of the record of `tile` in `slide`, from its [`payload_hash`]:
/// XXH3-64 of slide id, level (u8), column (u32), row (u32), XXH3-128 of the bytes (u128), all little-endian.
#[must_use]
pub fn record(slide: &SlideId, tile: TileId, payload_hash: u128) -> u64 {
    let mut keyed = [0; 41];
    keyed[..16].copy_from_slice(&slide.0);
    keyed[16] = tile.level;
    keyed[17..21].copy_from_slice(&tile.column.to_le_bytes());
    keyed[21..25].copy_from_slice(&tile.row.to_le_bytes());
    keyed[25..].copy_from_slice(&payload_hash.to_le_bytes());
    xxh3_64(&keyed)
}

/// Checksum of index page `page` of `slide`: XXH3-64 of slide id, page number (u64), XXH3-128 of its entries.
#[must_use]
pub fn index_page(slide: &SlideId, page: u64, entries: &[u8]) -> u64 {
    let mut keyed = [0; 40];
    keyed[..16].copy_from_slice(&slide.0);
    keyed[16..24].copy_from_slice(&page.to_le_bytes());
    keyed[24..].copy_from_slice(&xxh3_128(entries).to_le_bytes());
    xxh3_64(&keyed)
}

/// Checksum of the header block: XXH3-64 of everything before it.
#[must_use]
pub fn header(block: &[u8]) -> u64 {
    xxh3_64(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_and_slide_are_part_of_the_checksum() {
        let slide = SlideId([7; 16]);
        let tile = TileId { level: 1, column: 2, row: 3 };
        let hash = payload_hash(b"payload");
        let sum = record(&slide, tile, hash);
        for other in [
            record(&SlideId([8; 16]), tile, hash),
            record(&slide, TileId { level: 2, ..tile }, hash),
            record(&slide, TileId { column: 3, row: 2, ..tile }, hash),
            record(&slide, tile, payload_hash(b"payloae")),
        ] {
            assert_ne!(sum, other);
        }
    }
}
