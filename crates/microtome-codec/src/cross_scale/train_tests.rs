//! What training makes of blocks that follow a rule, and of such as are not worth telling of.

use super::CrossScale;
use super::model::{FLAG_LANE, Kind, Model};
use super::predict::Aligned;
use super::train::{self, Example};
use crate::coefficients::Plane;
use crate::payload::VerbatimParams;

const WIDTH: usize = 32;
const HEIGHT: usize = 32;

/// Numbers from 0 to below `self.next(below)`'s bound (Knuth's linear congruences).
struct Random(u32);

impl Random {
    fn next(&mut self, below: i16) -> i16 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((self.0 >> 8) % below as u32) as i16
    }

    fn signed(&mut self, magnitude: i16) -> i16 {
        if self.next(2) == 0 { magnitude } else { -magnitude }
    }
}

/// Samples around each block, of which `block` makes its coefficients; what is predicted from is as large as it must be.
fn example(random: &mut Random, mut block: impl FnMut(&mut Random, &[i16]) -> [i16; 64]) -> Example {
    // As many as the finer level's, which has eight a side of each block.
    let mut aligned = Aligned::default();
    aligned.width = 8 * WIDTH + 4;
    aligned.data = (0..aligned.width * (8 * HEIGHT + 4)).map(|_| random.next(801) - 400).collect();
    let mut coefficients = vec![];
    for at in 0..WIDTH * HEIGHT {
        let (column, row) = (at % WIDTH, at / WIDTH);
        let patch: Vec<i16> =
            (0..36).map(|i| aligned.data[(2 * row + i / 6) * aligned.width + 2 * column + i % 6]).collect();
        coefficients.extend(block(random, &patch));
    }
    let plane =
        Plane { width: WIDTH, height: HEIGHT, horizontal: 1, vertical: 1, table: [1; 64], coefficients };
    Example { plane, aligned }
}

/// The built-in model of a kind, and one trained from it for so many blocks.
fn trained(kind: Kind, slide: f64, block: impl Fn(&mut Random, &[i16]) -> [i16; 64]) -> [Model; 2] {
    let codec = CrossScale::built_in(VerbatimParams::completing(vec![]), vec![kind]);
    let mut random = Random(1);
    let mut examples: Vec<Example> = (0..16).map(|_| example(&mut random, &block)).collect();
    let before = codec.model(kind, 0);
    [before.clone(), train::expecting(kind, before, slide, &mut examples)]
}

#[test]
fn what_is_not_worth_telling_stays_as_it_was() {
    for kind in Kind::ALL {
        let [before, model] = trained(kind, 1e-9, |random, _| {
            let (length, most) = (random.next(40) as usize, random.next(20) + 1);
            std::array::from_fn(|k| if k < length { random.next(most) - most / 2 } else { 0 })
        });
        if kind == Kind::Coarser {
            assert_eq!(model.parent, before.parent);
        }
        if kind == Kind::Finer {
            assert_eq!(model.gain, before.gain);
        }
        assert_eq!(model.edges, before.edges, "{kind:?}");
        assert_eq!(model.ahead, before.ahead, "{kind:?}");
        assert_eq!(model.bias, before.bias, "{kind:?}");
        assert_eq!(model.block, before.block, "{kind:?}");
        assert_eq!(model.own, before.own, "{kind:?}");
        assert_eq!(model.inner, before.inner, "{kind:?}");
    }
}

/// Of blocks that hold nothing from index 12 on nothing is learnt of what is there, however large the slide.
#[test]
fn what_is_never_seen_stays_as_it_was() {
    let [before, model] = trained(Kind::Alone, 1e9, |random, _| {
        std::array::from_fn(|k| if k < 12 { random.signed([0, 1, 5][k % 3]) } else { 0 })
    });
    assert_ne!(model.inner, before.inner);
    for lane in 21..FLAG_LANE {
        assert_eq!(model.bias.0[lane], before.bias.0[lane], "{lane}");
        assert!(model.inner.iter().zip(&before.inner).all(|(new, old)| new.0[lane] == old.0[lane]), "{lane}");
        assert!(model.own.iter().zip(&before.own).all(|(new, old)| new.0[lane] == old.0[lane]), "{lane}");
    }
}

/// Coefficients of any sign, of which the magnitude at 7 is that at 4, at 5 half of that at 1, and at 15 three times that at 8.
#[test]
fn expectations_follow_the_magnitudes_that_tell_of_them() {
    let [_, model] = trained(Kind::Alone, 1e9, |random, _| {
        let mut block = [0; 64];
        let (first, second, last) = (2 * random.next(2), 4 * random.next(2), random.next(2));
        for (k, magnitude) in
            [(1, first), (5, first / 2), (4, second), (7, second), (8, last), (15, 3 * last), (20, 1)]
        {
            block[k] = random.signed(magnitude);
        }
        block
    });
    // What the built-in model knows counts a little.
    let near = |found: i16, expected: i16| {
        assert!((found - expected).abs() < 32 + expected / 8, "{found}, not {expected}");
    };
    for (from, lane, one) in
        [(4, 7, 256), (1, 5, 128), (1, 7, 0), (4, 5, 0), (8, 15, 768), (8, 16, 0), (7, 8, 0)]
    {
        near(model.inner[from].0[lane], one);
    }
    // The third flag tells of what follows at 10: three more after one at 8.
    near(model.inner[8].0[FLAG_LANE + 2], 768);
    // The second of what follows at 3: of 2 at 1 one.
    near(model.inner[1].0[FLAG_LANE + 1], 128);
}

/// A coefficient is a sample of its patch, another one the difference of two.
#[test]
fn predictions_follow_the_samples_that_tell_of_them() {
    let [_, model] = trained(Kind::Coarser, 1e9, |random, patch| {
        let mut block = [0; 64];
        block[2] = patch[9] / 8;
        block[10] = (patch[20] - patch[3]) / 8;
        block[1] = random.next(9) - 4;
        block
    });
    for i in 0..36 {
        let weight = |target: usize| model.parent[i / 2][target / 8][target % 8][i % 2];
        let wanted =
            [if i == 9 { 2048 } else { 0 }, [0, 2048, -2048][usize::from(i == 20) + 2 * usize::from(i == 3)]];
        for (target, wanted) in [2, 10].into_iter().zip(wanted) {
            assert!(
                (weight(target) - wanted).abs() < 60,
                "{target} of {i}: {}, not {wanted}",
                weight(target)
            );
        }
    }
}
