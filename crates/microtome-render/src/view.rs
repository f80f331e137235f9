//! What is to be seen: which part of a slide, how large, which way up, in which tones.

use microtome_slide::{Grid, Rect};

/// The tones of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Tone {
    /// The slide's colours.
    #[default]
    Colour,
    /// Luma alone, as JPEG defines it (ITU-R BT.601).
    Grey,
    /// Black and white: luma below 128 is black.
    Bitonal,
}

/// A part of a slide as it is to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct View {
    pub(crate) part: Part,
    /// Width before it is turned.
    pub(crate) width: u32,
    /// Height before it is turned.
    pub(crate) height: u32,
    /// Left and right change places, before it is turned.
    pub mirrored: bool,
    /// Turns by 90 degrees clockwise.
    pub quarter_turns: u8,
    /// Its tones.
    pub tone: Tone,
}

/// Where the pixels come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// The nearest level that is as fine, made smaller; the rectangle is one of level 0.
    Scaled { x: u32, y: u32, width: u32, height: u32 },
    /// The pixels of one level as they are.
    Level { level: u8, x: u32, y: u32 },
}

/// Pixels that may be read for one of the picture, where its sides have another ratio than its part of the slide. One that
/// has the same ratio needs up to 4.
const MAX_PIXELS_READ: u64 = 16;

/// Pixels that may be read however small the picture is.
const FEW_PIXELS: u64 = 1 << 20;

impl View {
    /// `region` of level 0 as a picture of `width` x `height` pixels, each at least 1.
    #[must_use]
    pub fn scaled(region: Rect, width: u32, height: u32) -> Self {
        let part = Part::Scaled { x: region.x, y: region.y, width: region.width, height: region.height };
        Self::of(part, width.max(1), height.max(1))
    }

    /// The pixels of a level as they are.
    #[must_use]
    pub fn level(level: u8, rect: Rect) -> Self {
        Self::of(Part::Level { level, x: rect.x, y: rect.y }, rect.width, rect.height)
    }

    fn of(part: Part, width: u32, height: u32) -> Self {
        Self { part, width, height, mirrored: false, quarter_turns: 0, tone: Tone::Colour }
    }

    /// Width and height of the picture.
    #[must_use]
    pub fn size(&self) -> [u32; 2] {
        if self.quarter_turns.is_multiple_of(2) {
            [self.width, self.height]
        } else {
            [self.height, self.width]
        }
    }

    /// The level to read, and the rectangle of it, in its pixels: not whole numbers, for a region that lies between them.
    pub(crate) fn source(&self, levels: &[Grid]) -> (u8, Area) {
        match self.part {
            Part::Level { level, x, y } => {
                let area =
                    Area { x: x.into(), y: y.into(), width: self.width.into(), height: self.height.into() };
                (level, area)
            }
            Part::Scaled { x, y, width, height } => {
                let region = Rect { x, y, width, height };
                let level = self.nearest_finer(levels, region);
                if let Some(area) = self.pixels_of(levels, level, region) {
                    return (level, area);
                }
                let factor = f64::from(level).exp2();
                let [x, y, width, height] = [x, y, width, height].map(|length| f64::from(length) / factor);
                (level, Area { x, y, width, height })
            }
        }
    }

    /// The part as whole pixels of a level, if the picture is just those. At the slide's right and lower edge a level's last
    /// ones may stand for fewer pixels of level 0 than others, or, where the source rounded its size down, for more.
    fn pixels_of(&self, levels: &[Grid], level: u8, region: Rect) -> Option<Area> {
        let (full, own) = (&levels[0], &levels[usize::from(level)]);
        let span = |start: u32, length: u32, full: u32, own: u32, size: u32| {
            let step = 1_u32.checked_shl(u32::from(level))?;
            let end = start.checked_add(length)?;
            let own_end = match end == full {
                true => own,
                false => end.is_multiple_of(step).then_some(end / step)?,
            };
            let fits = start.is_multiple_of(step) && own_end.checked_sub(start / step) == Some(size);
            fits.then_some(f64::from(start / step))
        };
        let x = span(region.x, region.width, full.width, own.width, self.width)?;
        let y = span(region.y, region.height, full.height, own.height, self.height)?;
        Some(Area { x, y, width: self.width.into(), height: self.height.into() })
    }

    /// The coarsest level that has at least as many pixels each way; a coarser one for pictures so narrow that it would
    /// have hundreds for each of theirs.
    fn nearest_finer(&self, levels: &[Grid], region: Rect) -> u8 {
        let Rect { width, height, .. } = region;
        let picture = u64::from(self.width) * u64::from(self.height);
        let most = FEW_PIXELS.max(MAX_PIXELS_READ * picture);
        let length = |length: u32, level: u8| (u64::from(length) >> level).max(1);
        let pixels = |level| length(width, level) * length(height, level);
        let is_fine = |level: u8| {
            let has_enough = u64::from(width) >= u64::from(self.width) << level
                && u64::from(height) >= u64::from(self.height) << level;
            has_enough || self.pixels_of(levels, level, region).is_some()
        };
        let coarsest = levels.len().saturating_sub(1).min(31) as u8;
        let finest = (0..=coarsest).rev().find(|&level| is_fine(level)).unwrap_or(0);
        (finest..=coarsest).find(|&level| pixels(level) <= most).unwrap_or(coarsest)
    }
}

/// A rectangle whose edges may lie between pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Area {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Area {
    /// Whether it is whole pixels of a level, as many as these.
    pub(crate) fn is_exactly(&self, width: u32, height: u32, grid: &Grid) -> bool {
        let Rect { width: own_width, height: own_height, .. } = self.pixels([0.0; 2], grid);
        self.x.fract() == 0.0
            && self.y.fract() == 0.0
            && self.width == f64::from(width)
            && self.height == f64::from(height)
            && [own_width, own_height] == [width, height]
    }

    /// The pixels that it touches and `margin` more each way, within a level.
    pub(crate) fn pixels(&self, margin: [f64; 2], grid: &Grid) -> Rect {
        let span = |start: f64, length: f64, margin: f64, limit: u32| {
            let last = limit.saturating_sub(1);
            let first = ((start - margin).floor().max(0.0) as u32).min(last);
            let end = ((start + length + margin).ceil().max(1.0) as u32).min(limit).max(first + 1);
            (first, end - first)
        };
        let (x, width) = span(self.x, self.width, margin[0], grid.width);
        let (y, height) = span(self.y, self.height, margin[1], grid.height);
        Rect { x, y, width, height }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(width: u32, height: u32) -> Vec<Grid> {
        (0..=microtome_container::geometry::coarsest_level(width, height))
            .map(|level| Grid {
                width: microtome_container::geometry::level_length(width, level),
                height: microtome_container::geometry::level_length(height, level),
                tile_size: 256,
                overlap: 0,
            })
            .collect()
    }

    #[test]
    fn the_nearest_finer_level_is_read() {
        let levels = levels(10_001, 7003);
        let rect = |x, y, width, height| Rect { x, y, width, height };
        for (region, size, level) in [
            (rect(0, 0, 1024, 1024), [1024, 1024], 0),
            (rect(0, 0, 1024, 1024), [513, 513], 0),
            (rect(0, 0, 1024, 1024), [512, 512], 1),
            (rect(0, 0, 1024, 1024), [512, 256], 1),
            (rect(0, 0, 1024, 1024), [100, 100], 3),
            (rect(0, 0, 1024, 1024), [4096, 4096], 0),
            (rect(0, 0, 10_001, 7003), [1, 1], 14),
            (rect(0, 0, 10_001, 7003), [626, 438], 4),
            (rect(9999, 7001, 1, 1), [1, 1], 0),
            // All of the slide in one column of pixels: not 70 million of them.
            (rect(0, 0, 10_001, 7003), [1, 7003], 4),
        ] {
            let view = View::scaled(region, size[0], size[1]);
            assert_eq!(view.source(&levels).0, level, "{region:?} {size:?}");
        }
        let (level, area) = View::scaled(rect(3, 5, 1000, 1000), 500, 500).source(&levels);
        assert_eq!((level, area), (1, Area { x: 1.5, y: 2.5, width: 500.0, height: 500.0 }));
        assert!(!area.is_exactly(500, 500, &levels[1]));
    }

    #[test]
    fn levels_that_were_rounded_down_are_taken_as_they_are() {
        let sizes = [(2220, 2967), (1110, 1483), (555, 741), (277, 370)];
        let levels = sizes.map(|(width, height)| Grid { width, height, tile_size: 500, overlap: 0 });
        let whole = Rect { x: 0, y: 0, width: 2220, height: 2967 };
        for ((width, height), level) in sizes.into_iter().zip(0..) {
            let (found, area) = View::scaled(whole, width, height).source(&levels);
            assert_eq!((found, area.is_exactly(width, height, &levels[usize::from(level)])), (level, true));
        }
        // What IIIF viewers ask for at the lower edge, rounded up, is made of what is there.
        let edge = Rect { x: 1000, y: 2000, width: 1000, height: 967 };
        let (level, area) = View::scaled(edge, 500, 484).source(&levels);
        assert!(!area.is_exactly(500, 484, &levels[usize::from(level)]));
        let (level, area) = View::scaled(edge, 500, 483).source(&levels);
        assert_eq!(area, Area { x: 500.0, y: 1000.0, width: 500.0, height: 483.0 });
        assert_eq!(level, 1);
        // Beyond the level there is nothing to take.
        assert!(!Area { x: 0.0, y: 1000.0, width: 500.0, height: 484.0 }.is_exactly(500, 484, &levels[1]));
    }

    #[test]
    fn margins_stay_within_the_level() {
        let grid = levels(100, 50)[0];
        let area = Area { x: 1.5, y: 48.0, width: 97.0, height: 2.0 };
        assert_eq!(area.pixels([3.0, 3.0], &grid), Rect { x: 0, y: 45, width: 100, height: 5 });
        assert_eq!(area.pixels([0.0, 0.0], &grid), Rect { x: 1, y: 48, width: 98, height: 2 });
    }
}
