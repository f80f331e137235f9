//! What a tile is predicted from: the samples of decoded tiles of other levels, and these on the tile's own grid.
//!
//! Not here: the predictions themselves (`predict`), and which tile is whose reference.

use smallvec::SmallVec;

use super::model::Kind;
use super::predict::{Aligned, Child, Samples};
use super::simd;
use crate::coefficients::Plane;
use crate::instructions::Set;

/// The samples of a decoded tile, component by component: what other tiles are predicted from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picture {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) planes: Vec<Component>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Component {
    pub(super) sampling: [u8; 2],
    pub(super) samples: Samples,
}

impl Picture {
    /// Width and height of the stream that was decoded: more than the tile's own where that is padded.
    #[must_use]
    pub fn size(&self) -> [u32; 2] {
        [self.width, self.height]
    }

    /// The same picture, its samples beyond `width` x `height` pixels being the nearest within: what a tile is padded with is
    /// no part of the slide.
    #[must_use]
    pub fn without_padding(&self, [width, height]: [u32; 2]) -> Self {
        let mut picture = self.clone();
        let most = |axis: usize| self.planes.iter().map(|plane| plane.sampling[axis]).max().unwrap_or(1);
        let most = [most(0), most(1)];
        for Component { sampling, samples } in
            picture.planes.iter_mut().filter(|p| !p.samples.data.is_empty())
        {
            let own = |length: u32, axis: usize| {
                length.div_ceil(u32::from((most[axis] / sampling[axis].max(1)).max(1))) as usize
            };
            let (columns, rows) =
                (own(width, 0).clamp(1, samples.width), own(height, 1).clamp(1, samples.height));
            for row in samples.data.chunks_exact_mut(samples.width) {
                let last = row[columns - 1];
                row[columns..].fill(last);
            }
            let (inside, beyond) = samples.data.split_at_mut(rows * samples.width);
            let last = &inside[(rows - 1) * samples.width..];
            beyond.chunks_exact_mut(samples.width).for_each(|row| row.copy_from_slice(last));
        }
        picture
    }

    /// Bytes that the picture takes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.planes.iter().map(|p| p.samples.data.len()).sum()
    }
}

/// What a tile is predicted from.
#[derive(Debug, Clone, Copy)]
pub enum Reference<'a> {
    /// Nothing.
    None,
    /// The tile two levels coarser.
    Coarser {
        /// That tile.
        base: &'a Picture,
        /// Pixels of the finer level from four times the coarser tile's origin to the tile's, both with overlap.
        offset: [u32; 2],
    },
    /// The tiles one level finer.
    Finer(&'a [Finer<'a>]),
}

/// A tile of the finer level under the tile to be predicted.
#[derive(Debug, Clone, Copy)]
pub struct Finer<'a> {
    /// That tile.
    pub picture: &'a Picture,
    /// Pixels of the finer level from twice the coarser tile's origin to this one's, both with overlap.
    pub offset: [u32; 2],
}

pub(super) fn most_sampling(planes: &[Plane]) -> [u8; 2] {
    let most = |f: fn(&Plane) -> u8| planes.iter().map(f).max().unwrap_or(1);
    [most(|p| p.horizontal), most(|p| p.vertical)]
}

/// Puts the reference's samples onto the plane's grid.
pub(super) fn align(
    set: Set,
    reference: &Reference<'_>,
    kind: Kind,
    plane: &Plane,
    index: usize,
    most: [u8; 2],
    aligned: &mut Aligned,
) {
    // Pixels per sample; sampling factors that do not divide are rounded, alike on both sides.
    let pixels = [u32::from(most[0] / plane.horizontal.max(1)), u32::from(most[1] / plane.vertical.max(1))];
    let pixels = pixels.map(|p| p.max(1));
    match (kind, reference) {
        (Kind::Coarser, Reference::Coarser { base, offset }) => {
            simd::coarser(
                set,
                aligned,
                &base.planes[index].samples,
                *offset,
                pixels,
                [plane.width, plane.height],
            );
        }
        (Kind::Finer, Reference::Finer(tiles)) => {
            let size = [8 * plane.width, 8 * plane.height];
            let children: SmallVec<[Child<'_>; 4]> =
                tiles.iter().map(|tile| child(tiles, tile, index, pixels, size)).collect();
            simd::finer(set, aligned, &children, size);
        }
        _ => {}
    }
}

/// The part of a plane that a finer tile gives: up to where the next one begins.
fn child<'a>(
    tiles: &[Finer<'a>],
    tile: &Finer<'a>,
    index: usize,
    pixels: [u32; 2],
    size: [usize; 2],
) -> Child<'a> {
    let axis = |axis: usize| {
        let offset = tile.offset[axis];
        let first = tiles.iter().all(|t| t.offset[axis] >= offset);
        let next = tiles.iter().map(|t| t.offset[axis]).filter(|&o| o > offset).min();
        // The first sample whose pixels lie in the tile whole.
        let start = |offset: u32| offset.div_ceil(2 * pixels[axis]) as usize;
        let from = if first { 0 } else { start(offset) };
        let to = next.map_or(size[axis], start);
        (from, to, -(2 * i64::from(offset)).div_euclid(pixels[axis].into()))
    };
    let ((x, to_x, origin_x), (y, to_y, origin_y)) = (axis(0), axis(1));
    Child {
        samples: &tile.picture.planes[index].samples,
        origin: [origin_x, origin_y],
        from: [x, y],
        to: [to_x, to_y],
    }
}
