//! Where the time of a tile goes, step by step, for whoever wants to know.

use std::ops::AddAssign;
use std::time::Duration;

/// Time spent on a tile or a family in each step, in the order of the work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// Looking entries up, and reading index pages that are not at hand.
    pub index: Duration,
    /// Reading records.
    pub read: Duration,
    /// Checking them.
    pub checksum: Duration,
    /// Decoding the tiles that others are made from, unless they are wanted themselves: base tiles above all.
    pub base: Duration,
    /// Putting the samples of other tiles onto a tile's own grid.
    pub prediction: Duration,
    /// Decoding coefficients.
    pub entropy: Duration,
    /// Writing JPEG.
    pub stream: Duration,
}

impl Times {
    /// The steps by name.
    #[must_use]
    pub fn named(&self) -> [(&'static str, Duration); 7] {
        let Self { index, read, checksum, base, prediction, entropy, stream } = *self;
        [
            ("index", index),
            ("read", read),
            ("checksum", checksum),
            ("base", base),
            ("prediction", prediction),
            ("entropy", entropy),
            ("stream", stream),
        ]
    }
}

impl AddAssign for Times {
    fn add_assign(&mut self, other: Self) {
        let Self { index, read, checksum, base, prediction, entropy, stream } = self;
        let steps = [index, read, checksum, base, prediction, entropy, stream];
        for (step, (_, time)) in steps.into_iter().zip(other.named()) {
            *step += time;
        }
    }
}
