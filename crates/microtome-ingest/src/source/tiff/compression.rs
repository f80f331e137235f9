//! Lossless compression schemes: the stored bytes of a chunk to its samples.
//!
//! TIFF 6.0 sections 9 (PackBits) and 13 (LZW), TIFF Technical Note 3 (deflate), section 14 (predictor). Output grows
//! as input is read, never by what a file says of itself. Not here: JPEG, and what samples mean.

use std::io::Read;

use flate2::read::ZlibDecoder;
use weezl::{BitOrder, LzwStatus};

/// Output is made room for in such steps.
const STEP: usize = 1 << 20;

/// The `expected` bytes of a deflate (zlib) stream, its checksum checked.
pub(super) fn inflate(stored: &[u8], expected: usize) -> Result<Vec<u8>, String> {
    let mut decoder = ZlibDecoder::new(stored);
    let mut out = Vec::new();
    let undecodable = |error| format!("undecodable deflate stream ({error})");
    decoder.by_ref().take(expected as u64).read_to_end(&mut out).map_err(undecodable)?;
    // The checksum follows the data: it is read with the byte that should not be there.
    decoder.take(1).read_to_end(&mut Vec::new()).map_err(undecodable)?;
    complete(out, expected)
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

/// The `expected` bytes of a PackBits stream.
pub(super) fn unpack_bits(stored: &[u8], expected: usize) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut input = stored;
    while out.len() < expected
        && let Some((&control, rest)) = input.split_first()
    {
        input = match control {
            0..=127 => {
                let (literal, rest) = rest
                    .split_at_checked(usize::from(control) + 1)
                    .ok_or_else(|| "the PackBits stream ends in a run of bytes".to_owned())?;
                out.extend_from_slice(literal);
                rest
            }
            128 => rest,
            129..=255 => {
                let (&byte, rest) = rest
                    .split_first()
                    .ok_or_else(|| "the PackBits stream ends before a repeated byte".to_owned())?;
                out.resize(out.len() + 257 - usize::from(control), byte);
                rest
            }
        };
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

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn pack_bits_runs_end_where_the_stream_does() {
        // The example of TIFF 6.0 section 9, shortened.
        assert_eq!(
            unpack_bits(&[0xFE, 0xAA, 0x02, 0x80, 0x00, 0x2A], 6),
            Ok(vec![0xAA, 0xAA, 0xAA, 0x80, 0, 0x2A])
        );
        assert_eq!(unpack_bits(&[0x80, 0x00, 7], 1), Ok(vec![7]));
        for cut in [&[0x02, 1, 2][..], &[0xFE], &[0x00, 7]] {
            assert!(unpack_bits(cut, 3).is_err(), "{cut:?}");
        }
    }
}
