//! The picture the other way round, or with fewer tones.

use microtome_codec::Rgb;

use crate::view::Tone;

/// Mirrored left to right if it is said, then turned clockwise by 90 degrees so many times.
#[must_use]
pub fn turned(pixels: Rgb, mirrored: bool, quarter_turns: u8) -> Rgb {
    let turns = quarter_turns % 4;
    if !mirrored && turns == 0 {
        return pixels;
    }
    let (width, height) = (pixels.width(), pixels.height());
    let [out_width, out_height] = if turns.is_multiple_of(2) { [width, height] } else { [height, width] };
    let mut out = Rgb::filled(out_width, out_height, [0; 3]);
    for (y, row) in (0..).zip(out.data_mut().chunks_exact_mut(3 * out_width as usize)) {
        for (x, pixel) in (0..).zip(row.chunks_exact_mut(3)) {
            let (from_x, from_y) = match turns {
                0 => (x, y),
                1 => (y, height - 1 - x),
                2 => (width - 1 - x, height - 1 - y),
                _ => (width - 1 - y, x),
            };
            let from_x = if mirrored { width - 1 - from_x } else { from_x };
            pixel.copy_from_slice(&pixels.pixel(from_x, from_y));
        }
    }
    out
}

/// The luma of a pixel of three bytes, rounded (ITU-R BT.601, as in JFIF).
///
/// # Panics
/// If there are fewer.
#[must_use]
pub fn luma(pixel: &[u8]) -> u8 {
    let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
    ((19_595 * r + 38_470 * g + 7_471 * b + 32_768) >> 16) as u8
}

/// The picture in these tones, still three bytes a pixel.
pub(crate) fn toned(mut pixels: Rgb, tone: Tone) -> Rgb {
    let value: fn(u8) -> u8 = match tone {
        Tone::Colour => return pixels,
        Tone::Grey => |luma| luma,
        Tone::Bitonal => |luma| if luma < 128 { 0 } else { 255 },
    };
    for pixel in pixels.data_mut().chunks_exact_mut(3) {
        let grey = value(luma(pixel));
        pixel.fill(grey);
    }
    pixels
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 3 x 2 pixels, numbered along the rows from 0.
    fn numbered() -> Rgb {
        Rgb::from_vec(3, 2, (0..6).flat_map(|i| [i; 3]).collect()).expect("sizes match")
    }

    fn numbers(pixels: &Rgb) -> (u32, Vec<u8>) {
        (pixels.width(), pixels.data().chunks(3).map(|pixel| pixel[0]).collect())
    }

    #[test]
    fn turns_are_clockwise_and_come_after_the_mirror() {
        for (mirrored, turns, expected) in [
            (false, 0, (3, vec![0, 1, 2, 3, 4, 5])),
            (false, 1, (2, vec![3, 0, 4, 1, 5, 2])),
            (false, 2, (3, vec![5, 4, 3, 2, 1, 0])),
            (false, 3, (2, vec![2, 5, 1, 4, 0, 3])),
            (true, 0, (3, vec![2, 1, 0, 5, 4, 3])),
            (true, 1, (2, vec![5, 2, 4, 1, 3, 0])),
        ] {
            assert_eq!(numbers(&turned(numbered(), mirrored, turns)), expected, "{mirrored} {turns}");
        }
    }

    #[test]
    fn tones() {
        let pixels = Rgb::from_vec(2, 1, vec![255, 0, 0, 0, 255, 0]).expect("sizes match");
        assert_eq!(toned(pixels.clone(), Tone::Grey).data(), [76, 76, 76, 150, 150, 150]);
        assert_eq!(toned(pixels.clone(), Tone::Bitonal).data(), [0, 0, 0, 255, 255, 255]);
        assert_eq!(toned(pixels.clone(), Tone::Colour), pixels);
    }
}
