//! Compression schemes other than JPEG: the stored bytes of a chunk to its samples.
//!
//! TIFF 6.0 sections 9 (PackBits) and 13 (LZW), TIFF Technical Note 3 (deflate), section 14 (predictor); RFC 8878
//! (Zstandard), RFC 9649 (WebP), JPEG 2000. Output grows as input is read, or is what the chunk's size asks for, never
//! what a stream says of itself. Not here: JPEG, and what samples mean.

use std::io::{Cursor, Read};

use flate2::read::ZlibDecoder;
use image_webp::WebPDecoder;
use ruzstd::decoding::StreamingDecoder;
use weezl::{BitOrder, LzwStatus};

use crate::source::jpeg2000::{self, Expected, rgb_of_ycbcr};

/// Output is made room for in such steps.
const STEP: usize = 1 << 20;
/// Memory of the WebP decoder beside its output: a tile of the most pixels takes less.
const WEBP_MEMORY: usize = 128 << 20;

/// The `expected` bytes of a deflate (zlib) stream of a chunk that may have as many as `whole`, its checksum checked.
pub(super) fn inflate(stored: &[u8], expected: usize, whole: usize) -> Result<Vec<u8>, String> {
    let mut decoder = ZlibDecoder::new(stored);
    let mut out = Vec::new();
    let undecodable = |error| format!("undecodable deflate stream ({error})");
    decoder.by_ref().take(expected as u64).read_to_end(&mut out).map_err(undecodable)?;
    // The checksum follows the data.
    pass_over(decoder, whole).map_err(undecodable)?;
    complete(out, expected)
}

/// Reads a stream to its end, for what is wrong behind the bytes that count: a last strip may be stored with all the rows of a
/// `whole` one, and what is longer by more than a step costs too much.
fn pass_over(stream: impl Read, whole: usize) -> std::io::Result<()> {
    let most = whole as u64 + STEP as u64;
    match std::io::copy(&mut stream.take(most + 1), &mut std::io::sink())? {
        beyond if beyond > most => {
            Err(std::io::Error::other(format!("it goes on for more than {most} bytes beyond its chunk")))
        }
        _ => Ok(()),
    }
}

/// The `expected` bytes of a Zstandard frame of a chunk that may have as many as `whole`, its checksum checked if it has one.
pub(super) fn zstandard(stored: &[u8], expected: usize, whole: usize) -> Result<Vec<u8>, String> {
    let undecodable = |error| format!("undecodable Zstandard frame ({error})");
    let mut decoder = StreamingDecoder::new(stored).map_err(|error| undecodable(error.to_string()))?;
    let mut out = Vec::new();
    let mut limited = decoder.by_ref().take(expected as u64);
    limited.read_to_end(&mut out).map_err(|error| undecodable(error.to_string()))?;
    pass_over(decoder.by_ref(), whole).map_err(|error| undecodable(error.to_string()))?;
    let frame = &decoder.decoder;
    let said = frame.get_checksum_from_data();
    if said.is_some() && said != frame.get_calculated_checksum() {
        return Err(undecodable("its checksum is another".to_owned()));
    }
    complete(out, expected)
}

/// The `samples` bytes of every pixel of a WebP image, which has the size of the chunk: red, green, blue, alpha.
pub(super) fn webp(stored: &[u8], size: (u32, u32), samples: usize) -> Result<Vec<u8>, String> {
    let undecodable = |error| format!("undecodable WebP image ({error})");
    let mut decoder = WebPDecoder::new(Cursor::new(stored)).map_err(undecodable)?;
    if decoder.dimensions() != size {
        let ((width, height), (right, bottom)) = (decoder.dimensions(), size);
        return Err(format!("a WebP image of {width} x {height} px, not {right} x {bottom}"));
    }
    decoder.set_memory_limit(WEBP_MEMORY);
    let there = if decoder.has_alpha() { 4 } else { 3 };
    let mut out = vec![0; there * size.0 as usize * size.1 as usize];
    decoder.read_image(&mut out).map_err(undecodable)?;
    Ok(match (there, samples) {
        // An opaque image may be stored without alpha, as one without need for it may have some.
        (3, 4) => out.as_chunks().0.iter().flat_map(|&[r, g, b]| [r, g, b, 255]).collect(),
        (4, 3) => out.as_chunks().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect(),
        _ => out,
    })
}

/// The `samples` samples of `bits` bits of every pixel of a JPEG 2000 codestream of the chunk's size; `ycbcr` says what
/// streams without a colour transform hold.
pub(super) fn jpeg_2000(
    stored: &[u8],
    (width, height): (u32, u32),
    samples: usize,
    bits: u32,
    ycbcr: bool,
) -> Result<Vec<u8>, String> {
    let decoded = jpeg2000::decode(stored, Expected { width, height, components: samples })?;
    if decoded.bits.div_ceil(8) * 8 != bits || decoded.bits < 8 {
        return Err(format!("JPEG 2000 of {} bits per sample on a page of {bits}", decoded.bits));
    }
    if bits == 16 {
        return Ok(decoded.samples.iter().flat_map(|sample| sample.to_ne_bytes()).collect());
    }
    let mut out: Vec<u8> = decoded.samples.iter().map(|&sample| sample as u8).collect();
    if ycbcr && !decoded.transformed && samples == 3 {
        out.as_chunks_mut().0.iter_mut().for_each(|pixel| *pixel = rgb_of_ycbcr(*pixel));
    }
    Ok(out)
}

/// The `expected` bytes of an LZW stream.
pub(super) fn lzw(stored: &[u8], expected: usize) -> Result<Vec<u8>, String> {
    let mut decoder = weezl::decode::Decoder::with_tiff_size_switch(BitOrder::Msb, 8);
    let (mut out, mut input) = (Vec::new(), stored);
    while out.len() < expected {
        let start = out.len();
        out.resize(expected.min(start + STEP), 0);
        let done = decoder.decode_bytes(input, &mut out[start..]);
        out.truncate(start + done.consumed_out);
        input = &input[done.consumed_in..];
        match done.status {
            Ok(LzwStatus::Ok) => {}
            Ok(LzwStatus::Done | LzwStatus::NoProgress) => break,
            Err(error) => return Err(format!("undecodable LZW stream ({error})")),
        }
    }
    complete(out, expected)
}

/// `samples` cut to `expected` bytes, which they must have: a short chunk is damaged.
pub(super) fn complete(mut samples: Vec<u8>, expected: usize) -> Result<Vec<u8>, String> {
    if samples.len() < expected {
        return Err(format!("{} bytes of samples where the size asks for {expected}", samples.len()));
    }
    samples.truncate(expected);
    Ok(samples)
}

/// Undoes horizontal differencing of rows of `row` bytes with `samples` bytes a pixel.
pub(super) fn undo_differences(data: &mut [u8], row: usize, samples: usize) {
    for line in data.chunks_exact_mut(row) {
        for at in samples..line.len() {
            line[at] = line[at].wrapping_add(line[at - samples]);
        }
    }
}

/// Undoes horizontal differencing of 16-bit samples, in rows of `row` bytes with `samples` samples a pixel.
pub(super) fn undo_differences_16(data: &mut [u8], row: usize, samples: usize) {
    for line in data.chunks_exact_mut(row) {
        let (values, _) = line.as_chunks_mut();
        for at in samples..values.len() {
            let before = u16::from_ne_bytes(values[at - samples]);
            values[at] = u16::from_ne_bytes(values[at]).wrapping_add(before).to_ne_bytes();
        }
    }
}

/// 0 or 255 for each of the `width` bits, the highest first, at the start of every `row` bytes.
pub(super) fn unpack_1_bit(data: &[u8], row: usize, width: usize) -> Vec<u8> {
    let bit = |line: &[u8], x: usize| if line[x / 8] << (x % 8) & 0x80 == 0 { 0 } else { 255 };
    data.chunks_exact(row).flat_map(|line| (0..width).map(move |x| bit(line, x))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_chunk_is_checked_and_neither_kept_nor_without_bound() {
        use std::io::Write;
        let deflated = |samples: &[u8]| {
            let mut encoder = flate2::write::ZlibEncoder::new(vec![], flate2::Compression::fast());
            encoder.write_all(samples).expect("into memory");
            encoder.finish().expect("into memory")
        };
        let samples: Vec<u8> = (0..5000_u32).map(|at| (at * at % 251) as u8).collect();
        let stored = deflated(&samples);
        assert_eq!(inflate(&stored, 5000, 5000).expect("decodes"), samples);
        assert_eq!(inflate(&stored, 4000, 5000).expect("a strip with rows to spare"), samples[..4000]);
        // The checksum is at the end, however long the stream is.
        for expected in [4000, 5000] {
            let mut damaged = stored.clone();
            *damaged.last_mut().expect("a checksum") ^= 1;
            assert!(inflate(&damaged, expected, 5000).is_err(), "{expected}");
        }
        let bomb = deflated(&vec![0; 3 * STEP]);
        assert!(inflate(&bomb, 1000, 1000).expect_err("too long").contains("beyond its chunk"));
        assert!(inflate(&bomb, 1000, 3 * STEP).is_ok(), "the last strip of long ones");
    }

    #[test]
    fn large_lzw_comes_out_in_steps_and_bombs_stop_at_the_size() {
        let samples: Vec<u8> = (0..3 * STEP + 5).map(|at| (at / 300 * 7 + at % 3) as u8).collect();
        let mut encoder = weezl::encode::Encoder::with_tiff_size_switch(BitOrder::Msb, 8);
        let stored = encoder.encode(&samples).expect("encodes");
        assert_eq!(lzw(&stored, samples.len()).expect("decodes"), samples);
        assert_eq!(lzw(&stored, 1000).expect("decodes").len(), 1000);
        assert!(
            lzw(&stored, samples.len() + 1).is_err() && lzw(&[0xFF; 9], 1).is_err() && lzw(&[], 1).is_err()
        );
    }
}
