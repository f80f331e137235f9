//! Where the tiles or strips of a page lie in the file.
//!
//! TIFF 6.0 sections 3 (strips), 15 (tiles) and 6 (PlanarConfiguration). Tiles and strips are both called chunks
//! here: a strip is a tile as wide as the image whose last one is cut. Not here: what the bytes mean.

use super::ifd::{Directory, Tiff};
use super::tag::{
    IMAGE_DEPTH, ROWS_PER_STRIP, STRIP_BYTE_COUNTS, STRIP_OFFSETS, TILE_BYTE_COUNTS, TILE_LENGTH,
    TILE_OFFSETS, TILE_WIDTH,
};
use crate::Error;

/// Chunks of a page: 275 gigapixels in 256 px tiles. Their offsets and sizes are kept, 16 bytes each.
const MAX_CHUNKS: u64 = 1 << 22;
/// Pixels of one tile: every thread decodes one whole, so that this times the threads bounds the memory.
const MAX_TILE_PIXELS: u64 = 4 << 20;
/// Pixels of one strip: strips are decoded one after another.
const MAX_STRIP_PIXELS: u64 = 64 << 20;
/// Sides of a page, so that pixel arithmetic cannot overflow.
const MAX_SIDE: u64 = 1 << 30;

/// The chunks of a page.
pub(super) struct Chunks {
    /// Whether they are tiles; else strips.
    pub(super) tiled: bool,
    /// Width of a chunk in pixels.
    pub(super) width: u32,
    /// Height of a chunk in pixels; the last strip is lower.
    pub(super) height: u32,
    /// Chunks in a row.
    pub(super) columns: u32,
    /// Rows of chunks.
    pub(super) rows: u32,
    /// Images that lie in the page, one behind the other; this is the first.
    pub(super) focal_planes: u64,
    image_height: u32,
    // Invariant: both have columns * rows * planes values, and every chunk lies in the file.
    offsets: Vec<u64>,
    counts: Vec<u64>,
}

impl Chunks {
    /// Reads and checks the chunks of a page of `size` with `planes` separate planes of `samples` bytes a pixel.
    pub(super) fn read(
        tiff: &Tiff,
        directory: &Directory,
        (width, height): (u32, u32),
        planes: u32,
    ) -> Result<Self, Error> {
        let tiled = directory.has(TILE_WIDTH) || directory.has(TILE_LENGTH);
        let (chunk_width, chunk_height) = if tiled {
            (side(tiff, directory, TILE_WIDTH)?, side(tiff, directory, TILE_LENGTH)?)
        } else {
            // RowsPerStrip is 2^32 - 1 by default: one strip.
            let rows = tiff.number_of(directory, ROWS_PER_STRIP)?.unwrap_or(u64::from(u32::MAX));
            if rows == 0 {
                return Err(tiff.malformed(format!("{}, {ROWS_PER_STRIP}", directory.place), "is 0"));
            }
            (width, rows.min(u64::from(height)) as u32)
        };
        let (kind, limit) = if tiled { ("tiles", MAX_TILE_PIXELS) } else { ("strips", MAX_STRIP_PIXELS) };
        if u64::from(chunk_width) * u64::from(chunk_height) > limit {
            let what = format!("{kind} of {chunk_width} x {chunk_height} px (at most {limit} px are taken)");
            return Err(tiff.unsupported(&directory.place, what));
        }
        let (columns, rows) = (width.div_ceil(chunk_width), height.div_ceil(chunk_height));
        let count = u64::from(columns) * u64::from(rows) * u64::from(planes);
        let focal_planes = tiff.number_of(directory, IMAGE_DEPTH)?.unwrap_or(1).max(1);
        let in_file = count.saturating_mul(focal_planes);
        if in_file > MAX_CHUNKS {
            let what = format!("{in_file} tiles or strips (at most {MAX_CHUNKS} are taken)");
            return Err(tiff.unsupported(&directory.place, what));
        }
        if focal_planes > 1 && planes > 1 {
            let what = format!("{focal_planes} focal planes ({IMAGE_DEPTH}) with a plane per sample");
            return Err(tiff.unsupported(&directory.place, what));
        }
        let (offset_tag, count_tag) =
            if tiled { (TILE_OFFSETS, TILE_BYTE_COUNTS) } else { (STRIP_OFFSETS, STRIP_BYTE_COUNTS) };
        let array = |tag| -> Result<Vec<u64>, Error> {
            let mut values = tiff.numbers(directory, tag, in_file)?.unwrap_or_default();
            if values.len() as u64 == in_file {
                // The planes of an image with depth lie behind each other (libtiff, tile and strip numbers).
                values.truncate(count as usize);
                return Ok(values);
            }
            let what = format!("{} values where the image's size asks for {in_file}", values.len());
            Err(tiff.malformed(format!("{}, {tag}", directory.place), what))
        };
        let (offsets, counts) = (array(offset_tag)?, array(count_tag)?);
        let chunks = Self {
            tiled,
            width: chunk_width,
            height: chunk_height,
            columns,
            rows,
            focal_planes,
            image_height: height,
            offsets,
            counts,
        };
        chunks.check_extents(tiff, directory)?;
        Ok(chunks)
    }

    /// Every chunk that is there lies in the file, behind its header, and is not absurdly long.
    fn check_extents(&self, tiff: &Tiff, directory: &Directory) -> Result<(), Error> {
        // LZW grows noise by a half, a small JPEG tile carries its own tables.
        let most = 16 * u64::from(self.width) * u64::from(self.height) + (1 << 20);
        for (index, (&offset, &count)) in self.offsets.iter().zip(&self.counts).enumerate() {
            if count == 0 {
                continue;
            }
            let end = offset.checked_add(count).filter(|&end| end <= tiff.length());
            if offset < 8 || count > most || end.is_none() {
                let what = format!(
                    "{count} bytes at byte {offset} (1 to {most} bytes within the file's {} are expected)",
                    tiff.length()
                );
                return Err(tiff.malformed(format!("{}, {}", directory.place, self.place(index)), what));
            }
        }
        Ok(())
    }

    /// Number of chunks of one plane.
    pub(super) fn per_plane(&self) -> usize {
        self.columns as usize * self.rows as usize
    }

    /// Number of chunks of all planes.
    pub(super) fn all(&self) -> usize {
        self.offsets.len()
    }

    /// What messages call a chunk.
    pub(super) fn place(&self, index: usize) -> String {
        let (plane, index) = (index / self.per_plane(), index % self.per_plane());
        let plane = if plane == 0 { String::new() } else { format!(" of plane {plane}") };
        if self.tiled {
            let columns = self.columns as usize;
            format!("tile column {} row {}{plane}", index % columns, index / columns)
        } else {
            format!("strip {index}{plane}")
        }
    }

    /// Number of chunks that the file declares absent by a byte count of 0 (sparse files have offset 0 too, some
    /// Aperio files do not).
    pub(super) fn absent(&self) -> usize {
        self.counts.iter().filter(|&&count| count == 0).count()
    }

    /// Whether a chunk is one of these.
    pub(super) fn is_absent(&self, index: usize) -> bool {
        self.counts.get(index) == Some(&0)
    }

    /// Size in pixels of a chunk as stored.
    pub(super) fn size(&self, index: usize) -> (u32, u32) {
        if self.tiled {
            return (self.width, self.height);
        }
        let top = (index % self.per_plane()) as u32 * self.height;
        (self.width, self.height.min(self.image_height - top))
    }

    /// How many columns and rows of a chunk lie within the image of `size`.
    pub(super) fn within(&self, index: usize, (width, height): (u32, u32)) -> (u32, u32) {
        let index = (index % self.per_plane()) as u32;
        let (left, top) = (index % self.columns * self.width, index / self.columns * self.height);
        (self.width.min(width - left), self.height.min(height - top))
    }

    /// The stored bytes of a chunk, or `None` if it is absent.
    ///
    /// `page` is what messages call the page.
    pub(super) fn bytes(&self, tiff: &Tiff, page: &str, index: usize) -> Result<Option<Vec<u8>>, Error> {
        let (Some(&offset), Some(&count)) = (self.offsets.get(index), self.counts.get(index)) else {
            return Err(tiff.malformed(page, format!("there is no tile or strip {index}")));
        };
        if count == 0 {
            return Ok(None);
        }
        tiff.read(offset, count, &format!("{page}, {}", self.place(index))).map(Some)
    }
}

/// A width or height that the page must have: 1 to [`MAX_SIDE`] pixels.
pub(super) fn side(tiff: &Tiff, directory: &Directory, tag: super::tag::Tag) -> Result<u32, Error> {
    let place = || format!("{}, {tag}", directory.place);
    match tiff.number_of(directory, tag)? {
        None => Err(tiff.malformed(place(), "is missing")),
        Some(value @ 1..=MAX_SIDE) => Ok(value as u32),
        Some(value) => Err(tiff.malformed(place(), format!("is {value} (1 to {MAX_SIDE} px are taken)"))),
    }
}
