//! What the scans of a stream need and reach: that each finds its tables in the stream itself, and that together they
//! give every coefficient to its last bit.
//!
//! Sources: ITU-T T.81 sections B.2.3 (scan header), B.2.4 (tables), G.1.1 (progression).

use super::{Header, SOS, Segment, inspect, segment};
use crate::Error;

/// More scans than any encoder writes; a hostile progressive stream repeats them by the thousand.
pub(crate) const MAX_SCANS: u32 = 100;

/// A coefficient that no scan has given yet.
const NOTHING: u8 = u8::MAX;

/// Checks that a decoder needs nothing but the stream, and gets all of the picture from it.
///
/// libjpeg keeps tables from one image to the next and falls back to standard Huffman tables, so a stream without its
/// own would decode to a plausible, wrong picture that depends on what the thread decoded before. And it shows a
/// progressive stream that was cut between two scans, blurred and without a word.
///
/// # Errors
/// [`Error::Malformed`] naming the scan, [`Error::Unsupported`] beyond 100 scans, and whatever [`inspect`] finds.
pub fn check_self_contained(stream: &[u8]) -> Result<(), Error> {
    let header = inspect(stream)?;
    let mut scans = Scans::new(&header);
    let mut at = 2;
    loop {
        let segment = segment(stream, at)?;
        at = segment.end;
        match segment.code {
            0xDB => scans.quantisation_tables(&segment)?,
            0xC4 => scans.huffman_tables(&segment)?,
            SOS => {
                scans.scan(&segment)?;
                at = scan_end(stream, segment.end)?;
            }
            0xD9 => return scans.check_complete(segment.start),
            _ => {}
        }
    }
}

/// The scans seen so far.
struct Scans<'a> {
    header: &'a Header,
    count: u32,
    quantisation: [bool; 16],
    /// DC tables at 0 to 15, AC tables at 16 to 31.
    huffman: [bool; 32],
    /// For each component and coefficient, the lowest bit that a scan has given.
    reached: Vec<[u8; 64]>,
}

impl<'a> Scans<'a> {
    fn new(header: &'a Header) -> Self {
        let reached = vec![[NOTHING; 64]; header.components.len()];
        Self { header, count: 0, quantisation: [false; 16], huffman: [false; 32], reached }
    }

    fn quantisation_tables(&mut self, segment: &Segment<'_>) -> Result<(), Error> {
        let mut rest = segment.content;
        while let Some(&head) = rest.first() {
            let length = if head >> 4 == 0 { 65 } else { 129 };
            let cut = Error::Malformed { offset: segment.start, what: "a quantisation table is cut off" };
            rest = rest.get(length..).ok_or(cut)?;
            self.quantisation[usize::from(head & 15)] = true;
        }
        Ok(())
    }

    fn huffman_tables(&mut self, segment: &Segment<'_>) -> Result<(), Error> {
        let mut rest = segment.content;
        while let Some(&head) = rest.first() {
            let cut = Error::Malformed { offset: segment.start, what: "a Huffman table is cut off" };
            let counts = rest.get(1..17).ok_or(cut.clone())?;
            let symbols: usize = counts.iter().map(|&n| usize::from(n)).sum();
            rest = rest.get(17 + symbols..).ok_or(cut)?;
            self.huffman[usize::from(((head >> 4) & 1) * 16 + (head & 15))] = true;
        }
        Ok(())
    }

    /// Takes a scan header: its tables must be there; what it gives is noted.
    fn scan(&mut self, segment: &Segment<'_>) -> Result<(), Error> {
        let malformed = |what| Err(Error::Malformed { offset: segment.start, what });
        self.count += 1;
        if self.count > MAX_SCANS {
            return Err(Error::Unsupported(format!("more than {MAX_SCANS} scans")));
        }
        let scan = segment.content;
        let count = scan.first().map_or(0, |&n| usize::from(n));
        if count == 0 || scan.len() != 4 + 2 * count {
            return malformed("a scan header of a wrong length");
        }
        let (first, last, bits) = (scan[1 + 2 * count], scan[2 + 2 * count], scan[3 + 2 * count]);
        let (refines, lowest) = (bits >> 4 > 0, bits & 15);
        if first > last || last > 63 {
            return malformed("a scan of coefficients that there are not");
        }
        for selector in scan[1..=2 * count].chunks_exact(2) {
            let Some(index) = self.header.components.iter().position(|c| c.id == selector[0]) else {
                return malformed("a scan of no component");
            };
            let (dc, ac) = (usize::from(selector[1] >> 4), 16 + usize::from(selector[1] & 15));
            if !self.quantisation[usize::from(self.header.components[index].quantisation & 15)]
                || (first == 0 && !refines && !self.huffman[dc])
                || (last > 0 && !self.huffman[ac])
            {
                return malformed("a scan uses a table that the stream lacks");
            }
            self.reached[index][usize::from(first)..=usize::from(last)].fill(lowest);
        }
        Ok(())
    }

    /// Whether the picture is whole when the stream ends at `offset`.
    fn check_complete(&self, offset: usize) -> Result<(), Error> {
        match self.reached.as_flattened().iter().all(|&bit| bit == 0) {
            true => Ok(()),
            false => {
                Err(Error::Malformed { offset, what: "the stream ends before all scans of its picture" })
            }
        }
    }
}

/// Offset of the marker that ends the entropy-coded data at `at`; stuffed zeros and restart markers belong to it.
pub(super) fn scan_end(stream: &[u8], mut at: usize) -> Result<usize, Error> {
    while let Some(found) = stream.get(at..).and_then(|rest| rest.iter().position(|&b| b == 0xFF)) {
        at += found;
        match stream.get(at + 1) {
            Some(0 | 0xD0..=0xD7) => at += 2,
            Some(0xFF) => at += 1,
            Some(_) => return Ok(at),
            None => break,
        }
    }
    Err(Error::Malformed { offset: stream.len(), what: "the stream ends without EOI" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

    fn progressive() -> Vec<u8> {
        let pixels: Vec<u8> = (0..3 * 64 * 64_u32).map(|i| (i * i / 7) as u8).collect();
        let image =
            Image { pixels: &pixels[..], width: 64, pitch: 192, height: 64, format: PixelFormat::RGB };
        let mut compressor = Compressor::new().expect("a compressor");
        compressor.set_progressive(true).expect("progressive");
        compressor.set_subsamp(Subsamp::Sub2x2).expect("4:2:0");
        compressor.compress_to_vec(image).expect("encodes")
    }

    #[test]
    fn a_progressive_stream_cut_between_any_two_scans_is_refused() {
        let stream = progressive();
        assert_eq!(check_self_contained(&stream), Ok(()));
        let scans: Vec<usize> =
            (2..stream.len()).filter(|&i| stream[i..].starts_with(&[0xFF, SOS])).collect();
        assert!(scans.len() > 5, "a progressive stream has many scans");
        for &scan in &scans[1..] {
            let cut = [&stream[..scan], &[0xFF, 0xD9]].concat();
            assert!(matches!(check_self_contained(&cut), Err(Error::Malformed { .. })), "cut at {scan}");
        }
    }
}
