//! A frame's bytes as pixels.
//!
//! PS3.5 annexes A.4 and G (RLE), ITU-T T.81 (JPEG), T.87 (JPEG-LS), T.800 and T.814 (JPEG 2000). A frame must have the
//! size that its file says, which is checked before it is decoded. Not here: what the samples mean.

use microtome_codec::jpeg::{self, Colour, Header};
use microtome_codec::{Rgb, turbo};

use super::format::{Format, Photometric, interleaved};
use super::jpegls;
use super::syntax::Coding;
use crate::source::jpeg2000::{self, Expected};
use crate::source::pack_bits::unpack_bits;

/// Decodes a frame of `width` x `height` pixels.
///
/// # Errors
/// What is wrong with it.
pub(super) fn decode(
    coding: Coding,
    format: &Format,
    frame: Vec<u8>,
    (width, height): (u32, u32),
) -> Result<Rgb, String> {
    match coding {
        Coding::Native => format.colours_of_frame(&frame, width, height),
        Coding::Jpeg => decode_jpeg(format, &frame, width, height),
        Coding::Jpeg2000 => decode_jpeg2000(format, &frame, width, height),
        Coding::JpegLs => {
            let samples = jpegls::decode(&unpadded(frame), width, height, format)?;
            format.colours(&samples, width, height)
        }
        Coding::Rle => {
            let samples = unpack(format, &frame, width, height)?;
            format.colours(&samples, width, height)
        }
        Coding::Unread => Err("its transfer syntax is not read".to_owned()),
    }
}

/// A JPEG stream without what DICOM pads it with to an even length.
pub(super) fn unpadded(mut stream: Vec<u8>) -> Vec<u8> {
    let end = stream.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    if stream[..end].ends_with(&[0xFF, 0xD9]) {
        stream.truncate(end);
    }
    stream
}

/// The colour model of a frame's JPEG stream: its markers', or the file's where it has none.
pub(super) fn colour_of(header: &Header, format: &Format) -> Colour {
    let named = header.components.iter().map(|component| component.id).eq(*b"RGB");
    match format.photometric {
        _ if header.components.len() != 3 || header.jfif || header.adobe.is_some() || named => {
            Colour::AsStored
        }
        Photometric::Rgb => Colour::Rgb,
        _ => Colour::YCbCr,
    }
}

/// Checks that a JPEG stream is what its file says, and can be shown.
pub(super) fn check_jpeg(header: &Header, format: &Format, width: u32, height: u32) -> Result<(), String> {
    let components = header.components.len();
    if (header.width, header.height, components) != (width, height, format.samples) {
        return Err(format!(
            "a JPEG of {} x {} px with {components} components, not {width} x {height} with {}",
            header.width, header.height, format.samples
        ));
    }
    header.check_displayable().map_err(|error| error.to_string())
}

fn decode_jpeg(format: &Format, frame: &[u8], width: u32, height: u32) -> Result<Rgb, String> {
    let header = jpeg::inspect(frame).map_err(|error| error.to_string())?;
    check_jpeg(&header, format, width, height)?;
    let stream = jpeg::complete(&[], colour_of(&header, format), frame).map_err(|error| error.to_string())?;
    let image = turbo::decode(&stream, u64::from(width) * u64::from(height)).map_err(|e| e.to_string())?;
    if format.plain {
        return Ok(image);
    }
    // One component, which the decoder repeats.
    let samples: Vec<u8> = image.data().iter().step_by(3).copied().collect();
    format.colours(&samples, width, height)
}

fn decode_jpeg2000(format: &Format, frame: &[u8], width: u32, height: u32) -> Result<Rgb, String> {
    let expected = Expected { width, height, components: format.samples };
    let decoded = jpeg2000::decode(frame, expected)?;
    let fits = if format.bytes == 1 { decoded.bits == 8 } else { decoded.bits > 8 };
    if !fits {
        return Err(format!("JPEG 2000 samples of {} bits in {} bytes", decoded.bits, format.bytes));
    }
    let samples: Vec<u8> = match format.bytes {
        1 => decoded.samples.iter().map(|&sample| sample as u8).collect(),
        _ => decoded.samples.iter().flat_map(|sample| sample.to_le_bytes()).collect(),
    };
    // The transform of the stream leaves RGB, whatever the file calls the samples.
    match decoded.transformed {
        true => Rgb::from_vec(width, height, samples).map_err(|error| error.to_string()),
        false => format.colours(&samples, width, height),
    }
}

/// The samples of an RLE frame: a header of 16 numbers, then a segment for each byte of each sample, highest first.
fn unpack(format: &Format, frame: &[u8], width: u32, height: u32) -> Result<Vec<u8>, String> {
    let number = |index: usize| {
        let bytes = frame.get(4 * index..4 * index + 4)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes) as usize)
    };
    let count = format.samples * format.bytes;
    let pixels = width as usize * height as usize;
    if number(0) != Some(count) || number(15).is_none() {
        return Err(format!("an RLE header of {:?} segments, not {count}", number(0)));
    }
    let mut planes = Vec::with_capacity(count * pixels);
    for segment in 0..count {
        let start = number(1 + segment).unwrap_or(0);
        let end = if segment + 1 < count { number(2 + segment).unwrap_or(0) } else { frame.len() };
        let Some(packed) = frame.get(start..end).filter(|_| start >= 64) else {
            return Err(format!("RLE segment {segment} from byte {start} to {end} of {}", frame.len()));
        };
        planes.extend(unpack_bits(packed, pixels)?);
    }
    let mut samples = interleaved(&planes, pixels);
    if format.bytes == 2 {
        samples.as_chunks_mut::<2>().0.iter_mut().for_each(|sample| sample.reverse());
    }
    Ok(samples)
}
