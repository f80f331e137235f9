//! A picture that was stored in strips, each a JPEG stream, as one stream: the strips' data become its restart intervals,
//! byte for byte.
//!
//! ITU-T T.81 sections B.2.1 and E.1.4: at a restart marker predictions start anew, as they do with a new stream.

use super::scans::scan_end;
use super::{EOI, Header, SOS, inspect, segment};
use crate::Error;

/// Code of DRI.
const DRI: u8 = 0xDD;

/// The stream of a picture of `height` lines whose strips these are, from the top; their tables may be elsewhere, as in
/// TIFF. `None` if they do not fit together that way: strips that are no whole MCU rows, or have restart markers or several
/// scans of their own, or that differ in more than their height.
///
/// # Errors
/// [`Error::Malformed`] if a strip's markers are.
pub fn join_strips(strips: &[&[u8]], height: u16) -> Result<Option<Vec<u8>>, Error> {
    let Some((first, last)) = strips.first().zip(strips.last()) else { return Ok(None) };
    let (header, bottom) = (inspect(first)?, inspect(last)?);
    let (mcu_width, mcu_height) = mcu_size(&header);
    let per_strip = header.width.div_ceil(mcu_width) * header.height.div_ceil(mcu_height);
    let above = header.height * (strips.len() as u32 - 1);
    let fits = header.process <= 1
        && (strips.len() == 1 || header.height.is_multiple_of(mcu_height))
        && above + bottom.height == u32::from(height);
    let Some(interval) = u16::try_from(per_strip).ok().filter(|_| fits) else { return Ok(None) };

    let Some(head) = head(first, height, interval)? else { return Ok(None) };
    let mut out = head.clone();
    for (i, strip) in strips.iter().enumerate() {
        let is_last = i + 1 == strips.len();
        let lines = if is_last { bottom.height } else { header.height };
        // All but the height is the same, tables too.
        let is_alike =
            inspect(strip)?.height == lines && self::head(strip, height, interval)?.as_ref() == Some(&head);
        let Some(data) = data(strip)?.filter(|_| is_alike) else { return Ok(None) };
        if i > 0 {
            out.extend_from_slice(&[0xFF, 0xD0 | (i - 1) as u8 & 7]);
        }
        out.extend_from_slice(data);
    }
    out.extend_from_slice(&EOI);
    Ok(Some(out))
}

fn mcu_size(header: &Header) -> (u32, u32) {
    let most = |factor: fn(&super::Component) -> u8| {
        8 * header.components.iter().map(|c| u32::from(factor(c).max(1))).max().unwrap_or(1)
    };
    // The blocks of a component alone are counted one by one (section A.2.2).
    match header.components.len() {
        1 => (8, 8),
        _ => (most(|c| c.horizontal), most(|c| c.vertical)),
    }
}

/// The markers of a strip up to its data, for a picture of this height in such restart intervals; `None` if it has an
/// interval of its own.
fn head(strip: &[u8], height: u16, interval: u16) -> Result<Option<Vec<u8>>, Error> {
    let (mut out, mut at) = (strip[..2].to_vec(), 2);
    loop {
        let segment = segment(strip, at)?;
        if segment.code == DRI {
            return Ok(None);
        }
        if segment.code == SOS {
            out.extend_from_slice(&[0xFF, DRI, 0, 4]);
            out.extend_from_slice(&interval.to_be_bytes());
        }
        let start = out.len();
        out.extend_from_slice(&strip[segment.start..segment.end]);
        if matches!(segment.code, 0xC0 | 0xC1) {
            // Behind the marker (which fill bytes may precede), its length and the precision. `inspect` has seen that they are there.
            let content = start + (segment.end - segment.start) - segment.content.len();
            out[content + 1..content + 3].copy_from_slice(&height.to_be_bytes());
        }
        if segment.code == SOS {
            return Ok(Some(out));
        }
        at = segment.end;
    }
}

/// The entropy-coded data of a strip's one scan.
fn data(strip: &[u8]) -> Result<Option<&[u8]>, Error> {
    let mut at = 2;
    loop {
        let segment = segment(strip, at)?;
        at = segment.end;
        if segment.code == SOS {
            let end = scan_end(strip, at)?;
            let data = &strip[at..end];
            let has_restarts =
                data.windows(2).any(|pair| pair[0] == 0xFF && (0xD0..=0xD7).contains(&pair[1]));
            let is_end = strip[end..] == EOI;
            return Ok((is_end && !has_restarts).then_some(data));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rgb;
    use crate::turbo;
    use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

    fn picture(width: u32, height: u32) -> Rgb {
        let mut picture = Rgb::filled(width, height, [0; 3]);
        for (i, value) in picture.data_mut().iter_mut().enumerate() {
            *value = (i * i / 91) as u8;
        }
        picture
    }

    fn strips(picture: &Rgb, rows: u32, subsampling: Subsamp) -> Vec<Vec<u8>> {
        let starts = (0..picture.height()).step_by(rows as usize);
        let strip = |y: u32| picture.crop(0, y, picture.width(), rows.min(picture.height() - y));
        let mut compressor = Compressor::new().expect("a compressor");
        compressor.set_quality(80).expect("a quality");
        compressor.set_subsamp(subsampling).expect("a subsampling");
        // Not optimised: all strips have the same tables.
        let mut encode = |strip: Rgb| {
            let (width, height) = (strip.width() as usize, strip.height() as usize);
            let image =
                Image { pixels: strip.data(), width, pitch: 3 * width, height, format: PixelFormat::RGB };
            compressor.compress_to_vec(image).expect("encodes")
        };
        starts.map(|y| encode(strip(y))).collect()
    }

    fn joined(strips: &[Vec<u8>], height: u16) -> Option<Vec<u8>> {
        let strips: Vec<_> = strips.iter().map(Vec::as_slice).collect();
        join_strips(&strips, height).expect("sound strips")
    }

    #[test]
    fn strips_become_the_picture_that_they_were() {
        for (height, rows) in [(70, 16), (64, 16), (200, 8), (13, 16), (170, 8)] {
            let picture = picture(83, height);
            let strips = strips(&picture, rows, Subsamp::None);
            let whole =
                turbo::decode(&joined(&strips, height as u16).expect("fits"), 1 << 20).expect("decodes");
            for (i, strip) in strips.iter().enumerate() {
                let own = turbo::decode(strip, 1 << 20).expect("decodes");
                assert_eq!(
                    whole.crop(0, i as u32 * rows, 83, own.height()),
                    own,
                    "strip {i} of {height} lines"
                );
            }
        }
        assert!(joined(&strips(&picture(83, 70), 16, Subsamp::Sub2x2), 70).is_some());
    }

    #[test]
    fn strips_that_do_not_fit_together_are_left_alone() {
        let all = strips(&picture(83, 70), 16, Subsamp::Sub2x2);
        assert_eq!(joined(&all, 71), None, "another height");
        assert_eq!(joined(&all[1..], 70), None, "one is missing");
        assert_eq!(joined(&strips(&picture(83, 70), 8, Subsamp::Sub2x2), 70), None, "half an MCU");
        let mut mixed = all.clone();
        mixed[1] = strips(&picture(83, 16), 16, Subsamp::None).remove(0);
        assert_eq!(joined(&mixed, 70), None, "other chroma");
        assert_eq!(joined(&[], 70), None);
    }
}
