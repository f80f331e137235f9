//! A stream without what is not its picture: comments, what applications have added, and what follows its end.
//!
//! Scanners write names, dates and serial numbers there. Source: ITU-T T.81 section B.2.4.

use std::borrow::Cow;

use super::scans::scan_end;
use super::{APP0, APP14, EOI, SOI, SOS, Segment, segment};
use crate::Error;

/// The stream (or the tables of several, as in TIFF's JPEGTables) with nothing but what its picture is decoded from. Kept of
/// application segments are JFIF's without a thumbnail and Adobe's, which tell the colours. Borrowed if there was nothing
/// else.
///
/// # Errors
/// [`Error::Malformed`] if markers or scans are.
pub fn bare(stream: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    if !stream.starts_with(&SOI) {
        return Err(Error::Malformed { offset: 0, what: "no SOI marker: this is not a JPEG stream" });
    }
    let mut out = Vec::with_capacity(stream.len());
    out.extend_from_slice(&SOI);
    let mut at = 2;
    loop {
        let segment = segment(stream, at)?;
        let end = if segment.code == SOS { scan_end(stream, segment.end)? } else { segment.end };
        if segment.code == EOI[1] {
            out.extend_from_slice(&EOI);
            let is_all = out == stream;
            return Ok(if is_all { Cow::Borrowed(stream) } else { Cow::Owned(out) });
        }
        if is_of_picture(&segment) {
            out.extend_from_slice(&stream[segment.start..end]);
        }
        at = end;
    }
}

fn is_of_picture(segment: &Segment<'_>) -> bool {
    let is =
        |length: usize, name: &[u8]| segment.content.len() == length && segment.content.starts_with(name);
    match segment.code {
        APP0 => is(14, b"JFIF\0"),
        APP14 => is(12, b"Adobe"),
        // Application data, reserved ones, comments.
        code => code < APP0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rgb;
    use crate::turbo::{self, Subsampling};

    #[test]
    fn only_the_picture_is_left() {
        let jpeg =
            turbo::encode(&Rgb::filled(40, 24, [200, 90, 160]), 80, Subsampling::Chroma420).expect("encodes");
        assert!(matches!(bare(&jpeg), Ok(Cow::Borrowed(_))), "libjpeg adds nothing");
        let comment = [&[0xFF, 0xFE, 0, 9][..], b"SECRET!"].concat();
        let exif = [&[0xFF, 0xE1, 0, 9][..], b"SECRET!"].concat();
        let (head, tail) = jpeg.split_at(2);
        let said = [head, &comment, &exif, tail, b"SECRET!"].concat();
        assert_eq!(bare(&said).expect("sound"), jpeg);
        for length in 0..jpeg.len() {
            assert!(bare(&jpeg[..length]).is_err(), "cut off at {length}");
        }
        let tables = [&[0xFF, 0xD8][..], &comment, &[0xFF, 0xD9]].concat();
        assert_eq!(bare(&tables).expect("sound")[..], [0xFF, 0xD8, 0xFF, 0xD9]);
    }
}
