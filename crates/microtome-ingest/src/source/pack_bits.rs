//! PackBits: runs of bytes, as TIFF and DICOM's RLE have them (TIFF 6.0 section 9, DICOM PS3.5 annex G).

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
    match out.len() < expected {
        true => Err(format!("{} bytes of samples where the size asks for {expected}", out.len())),
        false => {
            out.truncate(expected);
            Ok(out)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
