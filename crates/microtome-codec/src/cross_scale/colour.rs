//! Pixels to the samples of one component.

use super::rans::Machine;
use crate::Rgb;

/// What red, green, blue and 1 weigh in luma and chroma, in 1/2^16; chroma is around 128.
const WEIGHTS: [[i32; 4]; 3] =
    [[19595, 38470, 7471, 0], [-11059, -21709, 32768, 128 << 16], [32768, -27439, -5329, 128 << 16]];

/// Adds to each sum the weighted pixel, in 1/2^14.
#[inline(always)]
pub(super) fn weigh(pixels: &[[u8; 3]], [red, green, blue, one]: [i32; 4], sums: &mut [i32]) {
    for (sum, pixel) in sums.iter_mut().zip(pixels) {
        let [r, g, b] = pixel.map(i32::from);
        *sum += (red * r + green * g + blue * b + one) >> 2;
    }
}

/// `width` x `height` samples of a component, in quarters around 0; `wide` x `high` pixels make one, and beyond the edge
/// the last ones go on.
#[inline(always)]
pub(super) fn samples<M: Machine>(
    pixels: &Rgb,
    component: usize,
    [wide, high]: [usize; 2],
    [width, height]: [usize; 2],
) -> Vec<i16> {
    let (across, down) = (pixels.width() as usize, pixels.height() as usize);
    let rows = pixels.data().as_chunks().0;
    let inside = across.min(width * wide);
    let mut sums = vec![0; width * wide];
    let mut samples = vec![0; width * height];
    for (y, line) in samples.chunks_exact_mut(width).enumerate() {
        sums.fill(0);
        for y in y * high..(y + 1) * high {
            let row = &rows[y.min(down - 1) * across..][..inside];
            M::weigh(row, WEIGHTS[component.min(2)], &mut sums[..inside]);
        }
        let (inner, beyond) = sums.split_at_mut(inside);
        beyond.fill(inner.last().copied().unwrap_or(0));
        // The usual ones with their counts known.
        match (wide, high) {
            (1, 1) => means::<1>(&sums, 1, line),
            (2, 1) => means::<2>(&sums, 2, line),
            (2, 2) => means::<2>(&sums, 4, line),
            _ => {
                for (sample, sums) in line.iter_mut().zip(sums.chunks_exact(wide)) {
                    *sample = mean(sums, wide * high);
                }
            }
        }
    }
    samples
}

#[inline(always)]
fn means<const WIDE: usize>(sums: &[i32], count: usize, line: &mut [i16]) {
    for (sample, sums) in line.iter_mut().zip(sums.as_chunks::<WIDE>().0) {
        *sample = mean(sums, count);
    }
}

#[inline(always)]
fn mean(sums: &[i32], count: usize) -> i16 {
    let mean = sums.iter().sum::<i32>() / count as i32;
    // 2^14 is one level; a quarter is 2^12.
    ((mean + (1 << 11)) >> 12) as i16 - 512
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::rans::Plain;
    use super::*;

    proptest! {
        #[test]
        fn samples_are_means_of_pixels(
            size in [1..40_u32, 1..6_u32], component in 0..3_usize, per_sample in [1..=4_usize, 1..=4_usize],
            seed in any::<u8>(),
        ) {
            let mut pixels = Rgb::filled(size[0], size[1], [0; 3]);
            for (i, value) in pixels.data_mut().iter_mut().enumerate() {
                *value = (i * i * 29 % 256) as u8 ^ seed;
            }
            let (width, height) = (16, 8);
            let samples = samples::<Plain>(&pixels, component, per_sample, [width, height]);
            for (i, sample) in samples.into_iter().enumerate() {
                let (mut sum, [wide, high]) = (0, per_sample);
                for (dx, dy) in (0..wide * high).map(|i| (i % wide, i / wide)) {
                    let x = (i % width * wide + dx).min(size[0] as usize - 1);
                    let y = (i / width * high + dy).min(size[1] as usize - 1);
                    let pixel = pixels.data().as_chunks::<3>().0[y * size[0] as usize + x].map(i32::from);
                    let [r, g, b, one] = WEIGHTS[component];
                    sum += (r * pixel[0] + g * pixel[1] + b * pixel[2] + one) >> 2;
                }
                let quarters = (sum / (wide * high) as i32 + 2048) >> 12;
                prop_assert_eq!(i32::from(sample), quarters - 512);
            }
        }
    }
}
