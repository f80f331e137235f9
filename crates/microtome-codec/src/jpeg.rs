//! JPEG markers: what a stream says of itself, and joining an abbreviated TIFF stream with its tables.
//!
//! Sources: ITU-T T.81 annex B (markers), T.871 (JFIF), Adobe TN 5116 (APP14), TIFF Technical Note 2 (JPEGTables).
//! Nothing here touches entropy-coded data.

mod bare;
mod scans;
mod strips;
mod unmarked;

use smallvec::SmallVec;

use crate::Error;

pub use bare::bare;
pub(crate) use scans::MAX_SCANS;
pub use scans::check_self_contained;
pub use strips::join_strips;
pub use unmarked::unmarked;

const SOI: [u8; 2] = [0xFF, 0xD8];
const EOI: [u8; 2] = [0xFF, 0xD9];
const SOS: u8 = 0xDA;
const APP0: u8 = 0xE0;
const APP14: u8 = 0xEE;
/// How the three components of a stream are to be read when its own markers do not tell, or tell wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colour {
    /// The stream's own markers are right.
    #[default]
    AsStored,
    /// Red, green, blue.
    Rgb,
    /// Luma and two chromas.
    YCbCr,
}

/// What the markers before the first scan say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Width in pixels, at least 1.
    pub width: u32,
    /// Height in pixels, at least 1.
    pub height: u32,
    /// Bits per sample.
    pub precision: u8,
    /// Coding process: n of the SOFn marker (0 baseline, 1 extended, 2 progressive, 9 arithmetic, ...).
    pub process: u8,
    /// The colour components in their order.
    pub components: SmallVec<[Component; 4]>,
    /// Whether a JFIF APP0 marker is there.
    pub jfif: bool,
    /// The transform byte of an Adobe APP14 marker.
    pub adobe: Option<u8>,
}

/// One component of a frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Component {
    /// Identifier.
    pub id: u8,
    /// Horizontal sampling factor.
    pub horizontal: u8,
    /// Vertical sampling factor.
    pub vertical: u8,
    /// Number of its quantisation table.
    pub quantisation: u8,
}

impl Header {
    /// The colour model that libjpeg, and with it every browser, reads from these markers (jdapimin.c,
    /// `default_decompress_parms`). [`Colour::AsStored`] for anything but three components.
    #[must_use]
    pub fn assumed_colour(&self) -> Colour {
        let [a, b, c] = self.components[..] else { return Colour::AsStored };
        match (self.jfif, self.adobe) {
            (false, Some(0)) => Colour::Rgb,
            (false, None) if [a.id, b.id, c.id] == *b"RGB" => Colour::Rgb,
            _ => Colour::YCbCr,
        }
    }

    /// Whether a browser shows such a stream: 8 bits, Huffman-coded, one or three components.
    ///
    /// # Errors
    /// [`Error::Unsupported`] that says what is in the way.
    pub fn check_displayable(&self) -> Result<(), Error> {
        if self.process > 2 {
            return Err(Error::Unsupported(format!(
                "coding process SOF{} (baseline, extended and progressive Huffman are taken)",
                self.process
            )));
        }
        if self.precision != 8 {
            return Err(Error::Unsupported(format!("{} bits per sample (8 are taken)", self.precision)));
        }
        match self.components.len() {
            1 | 3 => Ok(()),
            n => Err(Error::Unsupported(format!("{n} components (1 or 3 are taken)"))),
        }
    }
}

/// A marker segment: its code, where it starts (at the 0xFF), and its content without the length field.
struct Segment<'a> {
    code: u8,
    start: usize,
    content: &'a [u8],
    end: usize,
}

/// The marker segment at `at`, fill bytes skipped. Markers without content have none.
fn segment(stream: &[u8], mut at: usize) -> Result<Segment<'_>, Error> {
    let malformed = |offset, what| Err(Error::Malformed { offset, what });
    let start = at;
    if stream.get(at) != Some(&0xFF) {
        return malformed(at, "a marker was expected");
    }
    while stream.get(at) == Some(&0xFF) {
        at += 1;
    }
    let Some(&code) = stream.get(at) else { return malformed(start, "the stream ends in a marker") };
    at += 1;
    if code == 0 || code == 1 || (0xD0..=0xD9).contains(&code) {
        return Ok(Segment { code, start, content: &[], end: at });
    }
    let Some(length) = stream.get(at..at + 2) else { return malformed(start, "the stream ends in a marker") };
    let end = at + usize::from(u16::from_be_bytes([length[0], length[1]]));
    if end < at + 2 {
        return malformed(at, "a segment is shorter than its own length field");
    }
    let Some(content) = stream.get(at + 2..end) else { return malformed(start, "a segment is cut off") };
    Ok(Segment { code, start, content, end })
}

/// Reads the markers up to the first scan. Tables may be missing (abbreviated streams).
///
/// # Errors
/// [`Error::Malformed`] if the stream has no frame header before its first scan, or lies about its lengths.
pub fn inspect(stream: &[u8]) -> Result<Header, Error> {
    if !stream.starts_with(&SOI) {
        return Err(Error::Malformed { offset: 0, what: "no SOI marker: this is not a JPEG stream" });
    }
    let mut at = 2;
    let (mut jfif, mut adobe, mut frame) = (false, None, None);
    loop {
        let segment = segment(stream, at)?;
        match segment.code {
            APP0 if segment.content.starts_with(b"JFIF\0") => jfif = true,
            APP14 if segment.content.len() >= 12 && segment.content.starts_with(b"Adobe") => {
                adobe = Some(segment.content[11]);
            }
            0xC0..=0xCF if !matches!(segment.code, 0xC4 | 0xC8 | 0xCC) => {
                if frame.is_some() {
                    return Err(Error::Malformed { offset: at, what: "a second frame header" });
                }
                frame = Some(frame_header(&segment)?);
            }
            SOS => break,
            0xD9 => {
                return Err(Error::Malformed { offset: at, what: "the stream ends before its first scan" });
            }
            _ => {}
        }
        at = segment.end;
    }
    let Some(frame) = frame else {
        return Err(Error::Malformed { offset: at, what: "a scan comes before the frame header" });
    };
    Ok(Header { jfif, adobe, ..frame })
}

fn frame_header(segment: &Segment<'_>) -> Result<Header, Error> {
    let malformed = |what| Err(Error::Malformed { offset: segment.start, what });
    let content = segment.content;
    let (Some(fixed), Some(rest)) = (content.get(..6), content.get(6..)) else {
        return malformed("the frame header is too short");
    };
    let height = u32::from(u16::from_be_bytes([fixed[1], fixed[2]]));
    let width = u32::from(u16::from_be_bytes([fixed[3], fixed[4]]));
    if width == 0 || height == 0 {
        return malformed("the frame header has a zero size");
    }
    if rest.len() != 3 * usize::from(fixed[5]) || rest.is_empty() {
        return malformed("the frame header's component count does not match its length");
    }
    let components = rest
        .chunks_exact(3)
        .map(|c| Component { id: c[0], horizontal: c[1] >> 4, vertical: c[1] & 15, quantisation: c[2] })
        .collect();
    Ok(Header {
        width,
        height,
        precision: fixed[0],
        process: segment.code & 15,
        components,
        jfif: false,
        adobe: None,
    })
}

/// Checks a TIFF JPEGTables value: SOI, table segments only, EOI. An empty slice is "no tables".
///
/// # Errors
/// [`Error::Malformed`] with the offset of what does not belong there.
pub fn check_tables(tables: &[u8]) -> Result<(), Error> {
    if tables.is_empty() {
        return Ok(());
    }
    if !tables.starts_with(&SOI) {
        return Err(Error::Malformed { offset: 0, what: "JPEGTables does not start with SOI" });
    }
    let mut at = 2;
    loop {
        let segment = segment(tables, at)?;
        match segment.code {
            0xD9 if segment.end == tables.len() => return Ok(()),
            // DHT, DQT, DRI, APPn, COM.
            0xC4 | 0xDB | 0xDD | 0xE0..=0xEF | 0xFE => at = segment.end,
            _ => return Err(Error::Malformed { offset: at, what: "JPEGTables holds more than tables" }),
        }
    }
}

/// The complete stream of a tile that was stored abbreviated: SOI, an Adobe marker if `colour` asks for one,
/// the tables, and the tile's own markers and scans. Where `colour` overrides, the tile's JFIF and Adobe markers
/// are left out, since a decoder would believe them. With no tables and [`Colour::AsStored`] it is the tile itself.
///
/// # Errors
/// [`Error::Malformed`] if `tables` or the tile's markers are.
pub fn complete(tables: &[u8], colour: Colour, tile: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(tables.len() + tile.len() + 16);
    complete_into(tables, colour, tile, &mut out)?;
    Ok(out)
}

/// As [`complete`], instead of what is in `out`.
pub(crate) fn complete_into(
    tables: &[u8],
    colour: Colour,
    tile: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    check_tables(tables)?;
    if !tile.starts_with(&SOI) {
        return Err(Error::Malformed { offset: 0, what: "no SOI marker: this is not a JPEG stream" });
    }
    out.clear();
    out.extend_from_slice(&SOI);
    if colour != Colour::AsStored {
        out.extend_from_slice(&[0xFF, APP14, 0, 14]);
        out.extend_from_slice(b"Adobe\0\x64\0\0\0\0");
        out.push(u8::from(colour == Colour::YCbCr));
    }
    if let Some(body) = tables.strip_prefix(&SOI).and_then(|t| t.strip_suffix(&EOI)) {
        append_markers(out, body, colour)?;
    }
    let scan = append_markers(out, &tile[2..], colour)?;
    out.extend_from_slice(&tile[2 + scan..]);
    Ok(())
}

/// Appends the segments of `body` up to its first scan (or its end) and returns the offset reached.
fn append_markers(out: &mut Vec<u8>, body: &[u8], colour: Colour) -> Result<usize, Error> {
    let mut at = 0;
    while at < body.len() {
        let segment = segment(body, at)?;
        if segment.code == SOS {
            break;
        }
        if colour == Colour::AsStored || !matches!(segment.code, APP0 | APP14) {
            out.extend_from_slice(&body[segment.start..segment.end]);
        }
        at = segment.end;
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rgb;
    use crate::turbo::{self, Subsampling};

    fn sample() -> Vec<u8> {
        turbo::encode(&Rgb::filled(40, 24, [200, 90, 160]), 80, Subsampling::Chroma420).expect("encodes")
    }

    #[test]
    fn inspect_reads_size_sampling_and_colour() {
        let header = inspect(&sample()).expect("valid");
        assert_eq!((header.width, header.height, header.precision, header.process), (40, 24, 8, 0));
        let sampling: Vec<_> = header.components.iter().map(|c| (c.id, c.horizontal, c.vertical)).collect();
        assert_eq!(sampling, [(1, 2, 2), (2, 1, 1), (3, 1, 1)]);
        assert!(header.jfif && header.adobe.is_none());
        assert_eq!(header.assumed_colour(), Colour::YCbCr);
        assert!(header.check_displayable().is_ok());
    }

    #[test]
    fn every_truncation_before_the_scan_is_malformed() {
        let jpeg = sample();
        let scan = jpeg.windows(2).position(|w| w == [0xFF, SOS]).expect("has a scan");
        for length in 0..scan {
            assert!(matches!(inspect(&jpeg[..length]), Err(Error::Malformed { .. })), "length {length}");
        }
    }

    #[test]
    fn tables_and_tile_join_into_the_same_pixels() {
        let jpeg = sample();
        let (tables, tile) = split(&jpeg);
        let joined = complete(&tables, Colour::AsStored, &tile).expect("joins");
        let limit = 1 << 20;
        assert_eq!(turbo::decode(&joined, limit), turbo::decode(&jpeg, limit));
        assert!(turbo::decode(&tile, limit).is_err(), "without its tables a tile does not decode");
    }

    #[test]
    fn an_override_replaces_the_colour_markers() {
        let jpeg = sample();
        for (colour, transform) in [(Colour::Rgb, 0), (Colour::YCbCr, 1)] {
            let header = inspect(&complete(&[], colour, &jpeg).expect("joins")).expect("valid");
            assert_eq!((header.jfif, header.adobe), (false, Some(transform)));
            assert_eq!(header.assumed_colour(), colour);
        }
        assert_eq!(complete(&[], Colour::AsStored, &jpeg).expect("joins"), jpeg);
    }

    #[test]
    fn tables_with_a_frame_header_are_refused() {
        assert!(check_tables(&sample()).is_err());
        assert!(check_tables(&[0xFF, 0xD8, 0xFF, 0xD9]).is_ok());
        assert!(check_tables(&[0xFF, 0xD8]).is_err());
    }

    /// Splits a stream into JPEGTables and an abbreviated tile.
    fn split(jpeg: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let (mut tables, mut tile) = (SOI.to_vec(), SOI.to_vec());
        let mut at = 2;
        loop {
            let segment = segment(jpeg, at).expect("valid");
            match segment.code {
                SOS => break,
                0xC4 | 0xDB => tables.extend_from_slice(&jpeg[at..segment.end]),
                _ => tile.extend_from_slice(&jpeg[at..segment.end]),
            }
            at = segment.end;
        }
        tables.extend_from_slice(&EOI);
        tile.extend_from_slice(&jpeg[at..]);
        (tables, tile)
    }
}
