//! A model's lanes in the order in which blocks are coded, so that a symbol tells one vector of sixteen.
//!
//! Lanes come in groups, each for a piece or two of a block. Behind its own, a group has those flags that are still to
//! come: they are carried from group to group. Which lane hears of what, and when, is `docs/format/codec-1.md`'s,
//! "Expected magnitudes". Not here: where the weights come from (`model`), what is done with them (`expect`).

use super::ahead::Sixteen;
use super::model::{BLOCK_FEATURES, CHECKPOINTS, FLAG_LANE, LANE_FEATURES, Lanes, PIECES};

/// Groups of lanes.
pub(super) const GROUPS: usize = 5;
/// The group of each piece.
pub(super) const GROUP_OF: [usize; PIECES.len()] = [0, 0, 1, 2, 3, 4];
/// The zigzag index at which each group begins, and the last one ends.
pub(super) const STARTS: [usize; GROUPS + 1] = [0, 10, 21, 36, 52, 64];
/// How many magnitudes the lanes in [`EARLY`] hear of before what is expected without any is added; for the others of
/// their group it is all magnitudes before it.
pub(super) const EARLY_FROM: [usize; GROUPS] = [0, 0, 10, 21, 36];
/// Lane of the first flag in those groups that have it.
pub(super) const FIRST_FLAG: usize = 16 - CHECKPOINTS;

/// All ones where the format, whose lanes are expected sixteen by sixteen, expects a magnitude before its group here begins.
const EARLY: [Sixteen; GROUPS] = masks(false);
/// All ones where a lane is a flag carried from the group before.
const CARRIED: [Sixteen; GROUPS] = masks(true);

const fn masks(carried: bool) -> [Sixteen; GROUPS] {
    let mut masks = [[0; 16]; GROUPS];
    let mut group = 1;
    while group < GROUPS {
        let mut lane = 0;
        while lane < 16 {
            let is_one = match place(group, lane) {
                // Sixteen of the format's lanes have been expected with each of the groups before.
                Place::Magnitude(k) => !carried && k < 16 * group,
                Place::Flag(_) => carried,
                Place::Nothing => false,
            };
            masks[group][lane] = if is_one { -1 } else { 0 };
            lane += 1;
        }
        group += 1;
    }
    masks
}

/// What a lane of a group stands for: a magnitude's zigzag index, a flag's checkpoint.
enum Place {
    Magnitude(usize),
    Flag(usize),
    Nothing,
}

const fn place(group: usize, lane: usize) -> Place {
    let size = STARTS[group + 1] - STARTS[group];
    if lane < size {
        Place::Magnitude(STARTS[group] + lane)
    } else if lane >= FIRST_FLAG && PIECES[lane - FIRST_FLAG].0 >= STARTS[group] {
        Place::Flag(lane - FIRST_FLAG)
    } else {
        Place::Nothing
    }
}

/// Weights of the lanes of each group. Those of the flags stand in the first group, but for [`Grouped::inner`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(align(32))]
pub(super) struct Grouped {
    pub(super) bias: [Sixteen; GROUPS],
    pub(super) block: [[Sixteen; GROUPS]; BLOCK_FEATURES],
    pub(super) own: [[Sixteen; GROUPS]; LANE_FEATURES],
    /// Of the magnitude at each zigzag index, group by group. Flags hear of the magnitudes of their group.
    pub(super) inner: [[Sixteen; 64]; GROUPS],
    /// [`EARLY`] and [`CARRIED`], here since a compiler that knows them takes vectors apart.
    pub(super) early: [Sixteen; GROUPS],
    pub(super) carried: [Sixteen; GROUPS],
}

impl Grouped {
    /// Groups the lanes of a model.
    pub(super) fn new(
        bias: &Lanes,
        block: &[Lanes; BLOCK_FEATURES],
        own: &[Lanes; LANE_FEATURES],
        inner: &[Lanes; 64],
    ) -> Self {
        let pick = |lanes: &Lanes, group: usize, has_flags: bool| -> Sixteen {
            std::array::from_fn(|lane| match place(group, lane) {
                Place::Magnitude(k) => lanes.0[k],
                Place::Flag(checkpoint) if has_flags => lanes.0[FLAG_LANE + checkpoint],
                _ => 0,
            })
        };
        let groups = |lanes: &Lanes| std::array::from_fn(|group| pick(lanes, group, group == 0));
        Self {
            bias: groups(bias),
            block: block.each_ref().map(groups),
            own: own.each_ref().map(|lanes| std::array::from_fn(|group| pick(lanes, group, false))),
            inner: std::array::from_fn(|group| {
                let its = STARTS[group]..STARTS[group + 1];
                std::array::from_fn(|k| pick(&inner[k], group, its.contains(&k)))
            }),
            early: EARLY,
            carried: CARRIED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_magnitude_has_a_lane_and_flags_stay_until_their_turn() {
        let mut seen = vec![];
        for group in 0..GROUPS {
            for lane in 0..16 {
                if let Place::Magnitude(k) = place(group, lane) {
                    seen.push(k);
                }
            }
        }
        assert_eq!(seen, (0..64).collect::<Vec<_>>());
        for (piece, (start, end)) in PIECES.into_iter().enumerate() {
            let group = GROUP_OF[piece];
            assert!(STARTS[group] <= start && end <= STARTS[group + 1]);
            // A flag is looked at before the group of its piece begins.
            let asked = GROUP_OF[piece.saturating_sub(1)];
            if piece < CHECKPOINTS {
                assert!(matches!(place(asked, FIRST_FLAG + piece), Place::Flag(p) if p == piece));
            }
        }
    }
}
