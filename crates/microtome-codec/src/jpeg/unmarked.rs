//! A stream without an Adobe marker that says nothing new.
//!
//! Tiles of TIFF are completed with a marker that says YCbCr, which decoders take three components for anyway. Readers of DICOM go by
//! the attributes and convert by themselves: on some the marker makes the decoder convert once more. Source: Adobe TN 5116.

use std::borrow::Cow;

use super::{APP14, Colour, Header, SOI, SOS, inspect, segment};
use crate::Error;

/// The stream without Adobe's marker, if that says YCbCr of three components which are taken for that without it as well; else, or
/// where there is none, as it is.
///
/// # Errors
/// [`Error::Malformed`] if the markers before the first scan are.
pub fn unmarked(stream: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    let header = inspect(stream)?;
    if header.adobe != Some(1) || !is_ycbcr_anyway(header) {
        return Ok(Cow::Borrowed(stream));
    }
    let mut out = Vec::with_capacity(stream.len());
    out.extend_from_slice(&SOI);
    let mut at = SOI.len();
    loop {
        let segment = segment(stream, at)?;
        if segment.code == SOS {
            out.extend_from_slice(&stream[at..]);
            return Ok(Cow::Owned(out));
        }
        if !(segment.code == APP14 && segment.content.starts_with(b"Adobe")) {
            out.extend_from_slice(&stream[at..segment.end]);
        }
        at = segment.end;
    }
}

/// Whether three components would be read as YCbCr by whoever does not see Adobe's marker, nor JFIF's.
fn is_ycbcr_anyway(header: Header) -> bool {
    Header { adobe: None, jfif: false, ..header }.assumed_colour() == Colour::YCbCr
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rgb;
    use crate::jpeg::complete;
    use crate::turbo::{self, Subsampling};

    fn sample() -> Vec<u8> {
        turbo::encode(&Rgb::filled(40, 24, [200, 90, 160]), 80, Subsampling::Chroma420).expect("encodes")
    }

    /// The stream with the components' identifiers `ids` in its frame header and its scan.
    fn named(mut jpeg: Vec<u8>, ids: [u8; 3]) -> Vec<u8> {
        let find = |jpeg: &[u8], code| jpeg.windows(2).position(|w| w == [0xFF, code]).expect("is there");
        let (frame, scan) = (find(&jpeg, 0xC0), find(&jpeg, SOS));
        for (i, id) in ids.into_iter().enumerate() {
            jpeg[frame + 10 + 3 * i] = id;
            jpeg[scan + 5 + 2 * i] = id;
        }
        jpeg
    }

    #[test]
    fn a_marker_goes_that_says_what_is_taken_for_granted() {
        let marked = complete(&[], Colour::YCbCr, &sample()).expect("joins");
        let plain = unmarked(&marked).expect("sound");
        let header = inspect(&plain).expect("valid");
        assert_eq!((header.adobe, header.assumed_colour()), (None, Colour::YCbCr));
        assert_eq!(plain.len() + 16, marked.len());
        assert_eq!(turbo::decode(&plain, 1 << 20), turbo::decode(&marked, 1 << 20));
        // Whatever else there is stays: JFIF's marker, a comment.
        let jpeg = sample();
        let both = [&marked[..18], b"\xFF\xFE\0\x05abc", &jpeg[2..]].concat();
        assert_eq!(unmarked(&both).expect("sound"), [&jpeg[..2], b"\xFF\xFE\0\x05abc", &jpeg[2..]].concat());
    }

    #[test]
    fn a_marker_stays_without_which_colours_would_be_others() {
        let streams = [
            sample(),
            complete(&[], Colour::Rgb, &sample()).expect("joins"),
            named(complete(&[], Colour::YCbCr, &sample()).expect("joins"), *b"RGB"),
        ];
        for stream in streams {
            assert!(matches!(unmarked(&stream), Ok(Cow::Borrowed(same)) if same == stream));
        }
        assert!(unmarked(&sample()[..20]).is_err());
    }
}
