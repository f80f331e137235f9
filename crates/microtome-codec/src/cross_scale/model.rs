//! What training leaves behind: the weights and probabilities that code one kind of plane.
//!
//! A slide has a model for each [`Kind`] of level, for its first component and for the others. Not here: how they are
//! found (`train`), how they are written down (`params`).

use super::ahead::PADDED;
use super::expect::MOST;
use super::lanes::Grouped;
use super::rans::{Marked, Pairs, SCALE, SYMBOLS, Table};

/// What a level's tiles are predicted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nothing but the tile itself.
    Alone,
    /// The decoded tile two levels coarser: level 0 from level 2.
    Coarser,
    /// The decoded tiles one level finer: level 1 from level 0.
    Finer,
}

impl Kind {
    /// All kinds, in the order of their models.
    pub const ALL: [Self; 3] = [Self::Alone, Self::Coarser, Self::Finer];

    /// Coefficients of a block, in zigzag order, that are predicted before any of them is decoded.
    pub(super) const fn predicted(self) -> usize {
        match self {
            Self::Alone | Self::Coarser => EDGE_TARGETS,
            Self::Finer => 64,
        }
    }

    /// Buckets of the prediction's fraction: where predictions are good, finer ones.
    pub(super) const fn fractions(self) -> usize {
        match self {
            Self::Alone | Self::Coarser => 6,
            Self::Finer => 10,
        }
    }

    /// Where its tables lie.
    #[inline(always)]
    pub(super) fn layout(self) -> &'static Layout {
        static OF_COARSE: Layout = Layout::new(COARSE);
        static OF_FINE: Layout = Layout::new(FINE);
        match self {
            Self::Alone | Self::Coarser => &OF_COARSE,
            Self::Finer => &OF_FINE,
        }
    }

    /// Tables of a model.
    pub(super) const fn tables(self) -> usize {
        CLASSES * BUCKETS * self.fractions()
    }
}

/// Samples a side of the parent's patch around a block.
pub(super) const PATCH: usize = 6;
/// Pairs of patch samples.
pub(super) const PATCH_PAIRS: usize = PATCH * PATCH / 2;
/// Coefficients predicted from the parent's patch.
pub(super) const PARENT_TARGETS: usize = 24;
/// Coefficients that the edges of the blocks on the left and above correct, in groups of eight.
pub(super) const EDGE_TARGETS: usize = 8 * EDGE_GROUPS;
pub(super) const EDGE_GROUPS: usize = 5;
/// Pieces of a block that are coded one after the other, from a zigzag index up to another one.
pub(super) const PIECES: [(usize, usize); 6] = [(0, 3), (3, 10), (10, 21), (21, 36), (36, 52), (52, 64)];
/// Pieces, the first among them, before which a flag says whether anything follows.
pub(super) const CHECKPOINTS: usize = 5;
/// Pieces, the first among them, that errors within the block are looked at for.
pub(super) const AHEAD_PIECES: usize = 5;
/// Where the weights of each piece begin: a pair of errors before it each.
pub(super) const AHEAD_AT: [usize; AHEAD_PIECES + 1] = [0, 0, 2, 7, 18, 36];
/// Quantities of a block that are expected: its 64 magnitudes, and what is left at each checkpoint.
pub(super) const LANES: usize = 80;
/// First lane of the checkpoints.
pub(super) const FLAG_LANE: usize = 64;
/// Features that each magnitude's lane has of its own.
pub(super) const LANE_FEATURES: usize = 4;
/// Features that all lanes of a block share.
pub(super) const BLOCK_FEATURES: usize = 4;
/// Buckets of expected magnitude, four an octave.
pub(super) const BUCKETS: usize = 53;
/// Classes of coefficients with tables of their own: by zigzag index.
pub(super) const CLASSES: usize = 5;

/// Where the tables of one kind of level lie in a model.
#[derive(Debug)]
pub(super) struct Layout {
    /// First table of the class of each zigzag index.
    pub(super) first: [u16; PADDED],
    /// Bucket of each fraction of a prediction in 1/32 step.
    pub(super) fractions: [u8; 32],
}

/// Bucket of a prediction's fraction in 1/32 step, of six.
const COARSE: [u8; 32] =
    [0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5];
/// The same, of ten.
const FINE: [u8; 32] =
    [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6, 7, 7, 7, 8, 8, 8, 9, 9, 9, 9, 9];

impl Layout {
    const fn new(fractions: [u8; 32]) -> Self {
        let each = fractions[31] as usize + 1;
        let mut layout = Self { first: [0; PADDED], fractions };
        let mut k = 0;
        while k < 64 {
            let class = match k {
                0 => 0,
                1..6 => 1,
                6..15 => 2,
                15..28 => 3,
                _ => 4,
            };
            layout.first[k] = (class * BUCKETS * each) as u16;
            k += 1;
        }
        layout
    }
}

/// [`bucket`] of every expected magnitude, those below 0 last. Few of its lines are ever touched.
static BUCKET_OF: [u8; 1 << 16] = {
    let mut buckets = [0; 1 << 16];
    let mut expected = 0;
    while expected < 1 << 15 {
        buckets[expected] = bucket(expected as i16) as u8;
        expected += 1;
    }
    buckets
};

/// [`bucket`] in one step without a branch.
#[inline(always)]
pub(super) fn bucket_of(expected: i16) -> usize {
    usize::from(BUCKET_OF[usize::from(expected as u16)])
}

/// 16-bit lanes, aligned for vector loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(align(32))]
pub(super) struct Lanes(pub(super) [i16; LANES]);

impl Lanes {
    pub(super) const ZERO: Self = Self([0; LANES]);
}

/// The trained numbers of one kind of plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Model {
    /// From pairs of patch samples (row by row) to coefficients, eight at a time: `parent[pair][target / 8][target % 8]`,
    /// 2^11 is 1.
    pub(super) parent: [[Pairs; PARENT_TARGETS / 8]; PATCH_PAIRS],
    /// From height and slope of the error along the left edge, and along the upper one, to coefficients, 2^12 is 1.
    pub(super) edges: [[Pairs; EDGE_GROUPS]; 2],
    /// From pairs of errors in the block to the coefficients of each of [`PIECES`], 2^12 is 1.
    pub(super) ahead: [[Pairs; 2]; AHEAD_AT[AHEAD_PIECES]],
    /// Factor of each coefficient predicted from the finer level, 2^14 is 1.
    pub(super) gain: [i16; 64],
    /// Expected magnitude with nothing known, in 1/256.
    pub(super) bias: Lanes,
    /// Weights of each lane's own features.
    pub(super) own: [Lanes; LANE_FEATURES],
    /// Weights of the block's features.
    pub(super) block: [Lanes; BLOCK_FEATURES],
    /// What a magnitude of 1 at a zigzag index adds to the lanes behind it, in 1/256.
    pub(super) inner: [Lanes; 64],
    /// Probability of "nothing follows" at each checkpoint by bucket, of [`SCALE`], never 0 nor [`SCALE`].
    pub(super) flags: [[u16; BUCKETS]; CHECKPOINTS],
    /// Widths of the symbol tables' intervals, as logarithms, by class, bucket and fraction.
    pub(super) widths: Vec<[u8; SYMBOLS]>,
    /// The symbol tables that these give.
    pub(super) tables: Vec<Table>,
    /// The same with marks, and one more behind.
    pub(super) marked: Vec<Marked>,
    /// The lanes above in the order in which blocks are coded.
    pub(super) lanes: Box<Grouped>,
    /// What pairs of magnitudes add to the lanes of magnitudes, if these never come near the bounds of 16 bits: then it does
    /// not matter in which order they hear of what.
    pub(super) pairs: Option<Box<[[[i16; 2]; 64]; 32]>>,
}

impl Model {
    /// A model that expects nothing: training starts from it.
    pub(super) fn blank(kind: Kind) -> Self {
        let (none, inner) = (Lanes::ZERO, [Lanes::ZERO; 64]);
        let mut model = Self {
            parent: [[[[0; 2]; 8]; PARENT_TARGETS / 8]; PATCH_PAIRS],
            edges: [[[[0; 2]; 8]; EDGE_GROUPS]; 2],
            ahead: [[[[0; 2]; 8]; 2]; AHEAD_AT[AHEAD_PIECES]],
            gain: [1 << 14; 64],
            bias: Lanes::ZERO,
            own: [Lanes::ZERO; LANE_FEATURES],
            block: [Lanes::ZERO; BLOCK_FEATURES],
            inner: [Lanes::ZERO; 64],
            flags: [[SCALE / 2; BUCKETS]; CHECKPOINTS],
            widths: vec![[80; SYMBOLS]; kind.tables()],
            tables: vec![],
            marked: vec![],
            lanes: Box::new(Grouped::new(&none, &[none; BLOCK_FEATURES], &[none; LANE_FEATURES], &inner)),
            pairs: None,
        };
        model.arrange();
        model
    }

    /// Makes what coding looks at, the tables and the lanes in its order, from what training and files set.
    pub(super) fn arrange(&mut self) {
        self.tables = self.widths.iter().map(table).collect();
        self.mark();
        *self.lanes = Grouped::new(&self.bias, &self.block, &self.own, &self.inner);
        // Lane 0 hears of no magnitude.
        self.pairs = (1..64).all(|lane| self.most(lane) <= i32::from(i16::MAX)).then(|| {
            let pair = |p: usize, lane: usize| [self.inner[2 * p].0[lane], self.inner[2 * p + 1].0[lane]];
            Box::new(std::array::from_fn(|p| std::array::from_fn(|lane| pair(p, lane))))
        });
    }

    /// Makes the tables with marks from those without.
    pub(super) fn mark(&mut self) {
        let first = self.tables.first();
        self.marked = self.tables.iter().chain(first).map(Marked::new).collect();
    }

    /// More than what the lane of a magnitude can come to on its way, whatever is decoded and in whatever order.
    pub(super) fn most(&self, lane: usize) -> i32 {
        let sum = |sign: i32| {
            let size = |lanes: &Lanes| (i32::from(lanes.0[lane]) * sign).max(0);
            // Of a feature's product, from 0 to below 2^15 times its weight, the upper half counts.
            let given: i32 = self.block.iter().chain(&self.own).map(|lanes| size(lanes) / 2 + 1).sum();
            let inner: i32 = self.inner.iter().map(|lanes| i32::from(MOST) * size(lanes)).sum();
            size(&self.bias) + given + inner
        };
        sum(1).max(sum(-1))
    }
}

/// Largest logarithm of a width: 8 * log2([`SCALE`]).
pub(super) const MAX_WIDTH: u8 = 112;

/// 2^(i/8) in 1/256.
const EIGHTHS: [u32; 8] = [256, 279, 304, 332, 362, 395, 431, 470];

/// The table whose intervals are in proportion to 2^(width / 8), each at least 1.
pub(super) fn table(widths: &[u8; SYMBOLS]) -> Table {
    let weight = |w: u8| u64::from(EIGHTHS[usize::from(w & 7)]) << (w.min(MAX_WIDTH) >> 3);
    let total: u64 = widths.iter().map(|&w| weight(w)).sum();
    let room = u64::from(SCALE) - SYMBOLS as u64;
    let mut sum = 0;
    let mut starts = [0; SYMBOLS];
    for (s, start) in starts.iter_mut().enumerate() {
        *start = (sum * room / total) as u16 + s as u16;
        sum += weight(widths[s]);
    }
    Table::new(starts)
}

/// Bucket of an expected magnitude in 1/256: linear steps, four an octave, from 1/64 up.
#[inline(always)]
pub(super) const fn bucket(expected: i16) -> usize {
    let e = if expected < 4 { 4 } else { expected as u32 };
    let octave = 31 - e.leading_zeros();
    ((octave - 2) * 4 + ((e >> (octave - 2)) & 3)) as usize
}

/// Low bits of a magnitude that are not worth a probability in a bucket: half the octaves above 4.
#[inline(always)]
pub(super) fn raw_bits(bucket: usize) -> u32 {
    // Without a branch: the four buckets of an octave have as many.
    (bucket.max(FIRST_RAW - 4) - (FIRST_RAW - 4)) as u32 / 4
}

/// The bucket of 4.0 (1024 in 1/256), the first with plain bits.
pub(super) const FIRST_RAW: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_rise_and_are_all_used() {
        let mut seen = [false; BUCKETS];
        let mut last = 0;
        for e in i16::MIN..=i16::MAX {
            let b = bucket(e);
            assert_eq!(bucket_of(e), b);
            assert!(b >= last || e <= 4, "{e}");
            last = b;
            seen[b] = true;
        }
        assert_eq!(bucket(1024), 32);
        assert_eq!(bucket(i16::MAX), 51);
        assert!(seen[..52].iter().all(|&s| s));
    }
}
