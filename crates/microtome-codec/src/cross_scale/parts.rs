//! A tile cut in two, as large ones were written for some days of November 2026; now they have sixteen states (`abreast`).
//!
//! The first part has the upper rows of the first component, the second one all else; each has a coder of its own, and
//! what is known of the blocks above ends at the cut. The byte layout is `docs/format/codec-1.md`'s, "Coder". Not here: how
//! they are decoded (`planes`).

use super::stored::Input;
use crate::Error;

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
}

#[cfg(test)]
mod tests {
    use super::super::stored::put_number;
    use super::*;

    #[test]
    fn parts_come_apart_as_they_were_put_together() {
        let mut bytes = vec![];
        put_number(&mut bytes, 200);
        put_number(&mut bytes, 300);
        bytes.extend([[1; 300].as_slice(), &[2; 40]].concat());
        let found = Parts::parse(&bytes, 200).expect("parts");
        assert_eq!((found.rows, found.first, found.second), (200, &[1; 300][..], &[2; 40][..]));
        assert!(Parts::parse(&bytes, 199).is_err(), "more rows than there are");
        for length in 0..304 {
            assert!(Parts::parse(&bytes[..length], 200).is_err(), "{length}");
        }
        bytes[..2].copy_from_slice(&[0x80, 0]);
        assert!(Parts::parse(&bytes, 200).is_err(), "no row");
    }
}
