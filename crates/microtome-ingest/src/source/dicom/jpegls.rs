//! JPEG-LS streams as samples.
//!
//! ITU-T T.87. The decoder is CharLS, in C++: before it sees a stream, its markers are read here and must be what the
//! file says, which bounds its memory. Not here: mapping tables, which no slide has.

use charls::CharLS;

use super::format::{Format, interleaved};

/// Decodes a frame, which ends with its stream: the samples of a pixel side by side, little endian.
///
/// # Errors
/// What is wrong with the stream, or other than the file says.
pub(super) fn decode(stream: &[u8], width: u32, height: u32, format: &Format) -> Result<Vec<u8>, String> {
    let header = Header::read(stream).ok_or("no JPEG-LS stream, or one without its headers")?;
    let Header { precision, components, .. } = header;
    if (header.width, header.height, components) != (width, height, format.samples) {
        return Err(format!(
            "a JPEG-LS stream of {} x {} px with {components} components, not {width} x {height} with {}",
            header.width, header.height, format.samples
        ));
    }
    if usize::from(precision > 8) + 1 != format.bytes {
        return Err(format!("JPEG-LS samples of {precision} bits in {} bytes", format.bytes));
    }
    if header.mapped {
        return Err("a JPEG-LS stream with a mapping table".to_owned());
    }
    // Without a marker at its end, CharLS reads zero bits behind it, billions of them.
    if !stream.ends_with(&[0xFF, 0xD9]) {
        return Err("a JPEG-LS stream without an end".to_owned());
    }
    let samples = CharLS::default().decode(stream).map_err(|error| error.to_string())?;
    let pixels = width as usize * height as usize;
    if samples.len() != pixels * format.samples * format.bytes {
        return Err(format!("{} bytes of decoded JPEG-LS samples", samples.len()));
    }
    // Scan after scan, they come as planes. Only grey ones have two bytes.
    Ok(match header.interleave {
        0 if components > 1 => interleaved(&samples, pixels),
        _ => samples,
    })
}

/// What the markers of a stream say, up to its first scan.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    width: u32,
    height: u32,
    precision: u8,
    components: usize,
    /// 0: a scan for each component; 1: line by line; 2: sample by sample.
    interleave: u8,
    mapped: bool,
}

impl Header {
    fn read(stream: &[u8]) -> Option<Self> {
        let mut frame = None;
        let mut at = 2;
        stream.strip_prefix(&[0xFF, 0xD8])?;
        loop {
            let [0xFF, code, high, low] = *stream.get(at..at + 4)?.first_chunk()? else { return None };
            let length = usize::from(u16::from_be_bytes([high, low]));
            let content = stream.get(at + 4..at + 2 + length)?;
            at += 2 + length;
            match code {
                0xF7 => frame = Some(content),
                0xDA => {
                    let [precision, y0, y1, x0, x1, components] = *frame?.first_chunk()?;
                    let scanned = usize::from(*content.first()?);
                    let pairs = content.get(1..1 + 2 * scanned)?;
                    return Some(Self {
                        width: u32::from(u16::from_be_bytes([x0, x1])),
                        height: u32::from(u16::from_be_bytes([y0, y1])),
                        precision,
                        components: usize::from(components),
                        interleave: *content.get(2 + 2 * scanned)?,
                        mapped: pairs.iter().skip(1).step_by(2).any(|&table| table != 0),
                    });
                }
                _ => {}
            }
        }
    }
}
