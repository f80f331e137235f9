//! Samples of 16 bits, or signed ones, in 8 bits: which of their values become 0 to 255.
//!
//! TIFF 6.0 section 19 (SMinSampleValue, SMaxSampleValue). Without these tags a window is found by looking at the
//! samples; where not all are looked at, values beyond it are cut. Not here: colours.

use super::ifd::{Directory, Tiff};
use super::page::{Depth, MAX_SAMPLES, Page, Photometric};
use super::tag::{S_MAX_SAMPLE_VALUE, S_MIN_SAMPLE_VALUE};
use crate::Error;

/// Pixels that are looked at, in tiles or strips evenly spaced, but at least [`MIN_LOOKED_AT`] of these.
const PIXELS_LOOKED_AT: u64 = 16 << 20;
const MIN_LOOKED_AT: usize = 16;

/// The values that become 0 and 255, as [`Depth::values`] gives them: the smallest there can be is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    low: u16,
    // Invariant: high > low.
    high: u16,
}

impl Window {
    /// The window of these values, which hold at least two.
    fn new(low: u16, high: u16) -> Self {
        let low = low.min(u16::MAX - 1);
        Self { low, high: high.max(low + 1) }
    }

    /// All values that there can be.
    pub(super) fn full(depth: Depth) -> Self {
        Self { low: 0, high: depth.most() }
    }

    /// A value in 8 bits, rounded.
    pub(super) fn shown(self, value: u16) -> u8 {
        let range = u32::from(self.high - self.low);
        let above = u32::from(value.clamp(self.low, self.high) - self.low);
        ((above * 255 + range / 2) / range) as u8
    }

    /// `LOW..HIGH`, as the samples have them.
    pub(super) fn in_words(self, depth: Depth) -> String {
        format!("{}..{}", depth.signed_value(self.low), depth.signed_value(self.high))
    }
}

/// Sets the windows of a page that needs some; answers what was done, in a sentence.
pub(super) fn fit(tiff: &Tiff, directory: &Directory, page: &mut Page) -> Result<Option<String>, Error> {
    if page.windows.is_empty() {
        return Ok(None);
    }
    let shown = page.photometric.colours();
    let (windows, how) = match said(tiff, directory, page)? {
        Some(windows) => (windows, "as its tags say".to_owned()),
        None => found(tiff, page)?,
    };
    for (window, new) in page.windows.iter_mut().zip(windows).take(shown) {
        *window = new;
    }
    let mut ranges: Vec<_> = page.windows[..shown].iter().map(|w| w.in_words(page.depth)).collect();
    ranges.dedup();
    let (place, bits) = (&page.place, page.depth.bits);
    let signed = if page.depth.signed { "signed " } else { "" };
    Ok(Some(format!(
        "the {signed}{bits}-bit samples of {place} are shown in 8 bits, {} as 0..255: {how}",
        ranges.join(", ")
    )))
}

/// The windows that the page's tags give, if they are ranges of its samples.
fn said(tiff: &Tiff, directory: &Directory, page: &Page) -> Result<Option<Vec<Window>>, Error> {
    let lows = tiff.reals(directory, S_MIN_SAMPLE_VALUE, MAX_SAMPLES)?;
    let highs = tiff.reals(directory, S_MAX_SAMPLE_VALUE, MAX_SAMPLES)?;
    let windows: Vec<Window> = lows
        .iter()
        .zip(&highs)
        .filter_map(|(&low, &high)| {
            let (low, high) = (page.depth.value_of(low)?, page.depth.value_of(high)?);
            (low < high).then_some(Window { low, high })
        })
        .collect();
    Ok((windows.len() == page.samples).then_some(windows))
}

/// Windows from the samples, and how they were found.
fn found(tiff: &Tiff, page: &Page) -> Result<(Vec<Window>, String), Error> {
    let per_plane = page.chunks.per_plane();
    let chunk = u64::from(page.chunks.width) * u64::from(page.chunks.height);
    let looked_at = per_plane.min(MIN_LOOKED_AT.max((PIXELS_LOOKED_AT / chunk) as usize));
    let mut ranges = vec![(u16::MAX, 0); page.samples];
    for nth in 0..looked_at {
        let index = nth * per_plane / looked_at;
        match page.separate {
            true => (0..page.samples).try_for_each(|plane| {
                page.extend_ranges(tiff, plane * per_plane + index, &mut ranges[plane..=plane])
            })?,
            false => page.extend_ranges(tiff, index, &mut ranges)?,
        }
    }
    let of_all = if looked_at == per_plane { "all" } else { "a sample of" };
    let chunks = if page.chunks.tiled { "tiles" } else { "strips" };
    if page.photometric == Photometric::Rgb {
        // One window for all, from 0: no colour shifts. Cameras of 12 bits fill 16 to 4095, and all have even numbers.
        let most = ranges.iter().take(3).map(|&(_, high)| high).max().unwrap_or_default();
        let high = u16::MAX >> (most.max(255).leading_zeros() & !1);
        let how = format!("the bits that are used in {of_all} its {chunks}");
        return Ok((vec![Window { low: 0, high }; page.samples], how));
    }
    let windows = ranges
        .into_iter()
        .map(|(low, high)| if low > high { Window::new(0, 0) } else { Window::new(low, high) });
    Ok((windows.collect(), format!("the smallest and largest of {of_all} its {chunks}")))
}

impl Page {
    /// Widens the range of each sample by those of a chunk, as far as it lies in the image.
    fn extend_ranges(&self, tiff: &Tiff, index: usize, ranges: &mut [(u16, u16)]) -> Result<(), Error> {
        let Some(stored) = self.stored_samples(tiff, index)? else { return Ok(()) };
        let (width, _) = self.chunks.size(index);
        let (columns, rows) = self.chunks.within(index, (self.width, self.height));
        let values: Vec<u16> = self.depth.values(&stored).collect();
        for row in values.chunks_exact(width as usize * ranges.len()).take(rows as usize) {
            for pixel in row.chunks_exact(ranges.len()).take(columns as usize) {
                for (range, &value) in ranges.iter_mut().zip(pixel) {
                    *range = (range.0.min(value), range.1.max(value));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_stretch_round_and_cut() {
        let unsigned = Depth { bits: 16, signed: false };
        let window = Window::new(100, 355);
        assert_eq!([0, 100, 101, 355, 9999].map(|value| window.shown(value)), [0, 0, 1, 255, 255]);
        assert_eq!([0, 128, 129, 65535].map(|value| Window::full(unsigned).shown(value)), [0, 0, 1, 255]);
        assert_eq!(Window::new(0, 2).shown(1), 128);
        for same in [0, 7, u16::MAX] {
            let window = Window::new(same, same);
            assert_eq!((window.high - window.low, window.shown(0)), (1, 0), "{same}");
        }
    }

    #[test]
    fn signed_values_keep_their_order_and_their_names() {
        let depth = Depth { bits: 8, signed: true };
        let values: Vec<u16> = depth.values(&[0x80, 0xFF, 0, 0x7F]).collect();
        assert_eq!(values, [0, 127, 128, 255]);
        assert_eq!(Window::new(127, 224).in_words(depth), "-1..96");
        assert_eq!(
            (depth.value_of(-1.0), depth.value_of(128.0), depth.value_of(0.5)),
            (Some(127), None, None)
        );
        let deep = Depth { bits: 16, signed: true };
        assert_eq!(deep.values(&i16::to_ne_bytes(-3)).collect::<Vec<_>>(), [32765]);
        assert_eq!(deep.signed_value(0), -32768);
    }
}
