//! Where a large tile is cut in two, so that two threads can decode it at the same time.
//!
//! The first part has the upper rows of the first component, the second one all else; each has a coder of its own, and
//! what is known of the blocks above ends at the cut. That takes some thirty bytes, so small tiles stay whole. The byte
//! layout is `docs/format/codec-1.md`'s, "Coder". Not here: who decodes what (`planes`).

use super::Both;
use super::stored::{Input, put_number};
use crate::Error;
use crate::coefficients::Plane;

/// Coefficients that are not 0 from which on a tile has two parts. They tell how long it takes to decode, which bytes do
/// not: a tile that others predict well has few of those, and as many symbols.
const LARGE: usize = 12_000;
/// The same of a tile that is yet to be quantised, where bytes count for more, and some of these will not be chosen.
const LARGE_TARGETS: usize = 4 * LARGE;
/// What a block takes to decode beside its coefficients, as so many of them.
const BLOCK: usize = 12;

/// Rows of the first plane's blocks that are the first part; `None` if the tile is not worth cutting.
pub(super) fn cut(planes: &[Plane], are_targets: bool) -> Option<usize> {
    let first = planes.first()?;
    let count = |blocks: &[i16]| blocks.iter().filter(|&&value| value != 0).count();
    let coefficients: usize = planes.iter().map(|plane| count(&plane.coefficients)).sum();
    if coefficients < if are_targets { LARGE_TARGETS } else { LARGE } {
        return None;
    }
    let blocks: usize = planes.iter().map(|plane| plane.width * plane.height).sum();
    let all = coefficients + BLOCK * blocks;
    let mut before = 0;
    let half = first.coefficients.chunks((64 * first.width).max(1)).position(|row| {
        before += count(row) + BLOCK * first.width;
        2 * before >= all
    });
    Some(half.map_or(first.height, |row| row + 1))
}

/// A coder in two parts.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    /// Rows of the first plane's blocks in the first part.
    pub(super) rows: usize,
    pub(super) first: &'a [u8],
    pub(super) second: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Takes a coder apart; the first plane has `height` rows of blocks.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is cut off, or its parts are not of this plane.
    pub(super) fn parse(coder: &'a [u8], height: usize) -> Result<Self, Error> {
        let malformed = |what| Error::Malformed { offset: 0, what };
        let mut input = Input::new(coder);
        let cut_off = |_| malformed("the payload ends in the lengths of its parts");
        let rows = input.number().map_err(cut_off)? as usize;
        let length = input.number().map_err(cut_off)? as usize;
        if !(1..=height).contains(&rows) {
            return Err(malformed("a part with no row of blocks, or more than there are"));
        }
        let parts = input.rest().split_at_checked(length);
        let (first, second) = parts.ok_or(malformed("the payload ends in its first part"))?;
        Ok(Self { rows, first, second })
    }

    /// Appends the coder to `out`.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_number(out, self.rows as u32);
        put_number(out, self.first.len() as u32);
        out.extend_from_slice(self.first);
        out.extend_from_slice(self.second);
    }
}

/// Does both at the same time where somebody has said how, else one after the other; the first error counts.
pub(super) fn run(
    both: Option<Both>,
    first: impl FnOnce() -> Result<(), Error> + Send,
    second: impl FnOnce() -> Result<(), Error> + Send,
) -> Result<(), Error> {
    let Some(both) = both else { return first().and_then(|()| second()) };
    let (mut first, mut second) = (Some(first), Some(second));
    let (mut of_first, mut of_second) = (None, None);
    both(&mut || of_first = first.take().map(|first| first()), &mut || {
        of_second = second.take().map(|second| second())
    });
    let lost = Err(Error::InvalidArgument("a way to do two things did one of them"));
    of_first.unwrap_or(lost.clone()).and(of_second.unwrap_or(lost))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(width: usize, height: usize, each: usize) -> Plane {
        let block = std::array::from_fn::<i16, 64, _>(|k| i16::from(k < each));
        let coefficients = block.repeat(width * height);
        Plane { width, height, horizontal: 1, vertical: 1, table: [1; 64], coefficients }
    }

    #[test]
    fn a_large_tile_is_cut_where_half_of_the_work_is_done() {
        let cut = |planes: &[Plane]| {
            assert_eq!(super::cut(planes, true), None, "too few to be worth it where bytes count");
            super::cut(planes, false)
        };
        assert_eq!(cut(&[]), None);
        assert_eq!(cut(&[plane(32, 32, 6), plane(16, 16, 1), plane(16, 16, 1)]), None);
        assert_eq!(cut(&[plane(32, 32, 20)]), Some(16));
        assert_eq!(cut(&[plane(32, 32, 20), plane(16, 16, 20), plane(16, 16, 20)]), Some(24));
        assert_eq!(cut(&[plane(800, 1, 20)]), Some(1));
        // Where bytes count, from 48,000 coefficients on.
        assert_eq!(super::cut(&[plane(32, 32, 46)], true), None);
        assert_eq!(super::cut(&[plane(32, 32, 47)], true), Some(16));
        // The first component is less than half.
        assert_eq!(super::cut(&[plane(32, 32, 20), plane(32, 32, 20), plane(32, 32, 20)], true), Some(32));
    }

    #[test]
    fn parts_come_apart_as_they_were_put_together() {
        let parts = Parts { rows: 200, first: &[1; 300], second: &[2; 40] };
        let mut bytes = vec![];
        parts.put(&mut bytes);
        let found = Parts::parse(&bytes, 200).expect("parts");
        assert_eq!((found.rows, found.first, found.second), (200, parts.first, parts.second));
        assert!(Parts::parse(&bytes, 199).is_err(), "more rows than there are");
        for length in 0..304 {
            assert!(Parts::parse(&bytes[..length], 200).is_err(), "{length}");
        }
        bytes[..2].copy_from_slice(&[0x80, 0]);
        assert!(Parts::parse(&bytes, 200).is_err(), "no row");
    }

    #[test]
    fn the_first_error_counts_whoever_runs_them() {
        let fail = |what| move || Err(Error::InvalidArgument(what));
        let backwards: Both = |first, second| {
            second();
            first();
        };
        for both in [None, Some(backwards)] {
            assert_eq!(run(both, || Ok(()), || Ok(())), Ok(()));
            assert_eq!(run(both, fail("a"), fail("b")), fail("a")());
            assert_eq!(run(both, || Ok(()), fail("b")), fail("b")());
        }
        assert!(run(Some(|first, _| first()), || Ok(()), || Ok(())).is_err());
    }
}
