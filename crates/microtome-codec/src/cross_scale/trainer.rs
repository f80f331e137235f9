//! Training a slide's models on a sample of its tiles.

use std::sync::Arc;

use super::model::{Kind, Model};
use super::params::{CrossScale, MAX_TEMPLATES, Stored, changed, deflated};
use super::predict::Aligned;
use super::reference::{self, Picture, Reference};
use super::stored;
use super::train::{self, Counter, Example};
use super::workspace::Workspace;
use crate::coefficients::{Statistics, Template, Tile};

/// Most blocks that a model is trained on: 128 tiles of 256 x 256 px. Beyond it, every other one is dropped.
const MOST_BLOCKS: usize = 128 << 10;

/// What training saves at most: so many times what fitting probabilities does, and this part of all bits, half of that where there
/// are only so many blocks to learn from. On eleven pictures it was less, but for one model of 16,000 bits.
const TIMES_FITTED: f64 = 2.0;
const LEARNT: f64 = 0.06;
const FEW_BLOCKS: f64 = 8_000.0;
/// What weights of its own take at least, in bits: of a model that pays, more.
const WEIGHTS: f64 = 14_000.0;

/// Collects sample tiles; memory is bounded by what a model is trained on at most.
#[derive(Default)]
pub struct Trainer {
    classes: [[Class; 2]; 3],
    templates: Vec<Seen>,
    statistics: Statistics,
}

/// Examples for one model: of `seen` planes one in 2^`thinned`.
#[derive(Default)]
struct Class {
    examples: Vec<Example>,
    blocks: usize,
    seen: usize,
    thinned: u32,
}

impl Class {
    fn thin_out(&mut self) {
        self.thinned += 1;
        self.examples = train::one_in(2, std::mem::take(&mut self.examples).into_iter()).collect();
        self.blocks = train::blocks(&self.examples);
    }
}

/// A template and how many tiles have it.
struct Seen {
    template: Arc<Template>,
    tiles: u64,
    /// Of them those of level 0.
    finest: u64,
}

/// A model to be trained, apart from all others: one job for a thread.
pub struct Lesson {
    kind: Kind,
    component: usize,
    examples: Vec<Example>,
    thinned: u32,
}

/// A trained model that pays, to be handed to [`Trainer::finish`].
pub struct Learnt {
    kind: Kind,
    component: usize,
    model: Model,
}

impl Trainer {
    /// A trainer that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a record of `level` as an example; returns its samples, for tiles predicted from it.
    pub fn observe(
        &mut self,
        codec: &CrossScale,
        level: u8,
        record: &[u8],
        reference: Reference<'_>,
        workspace: &mut Workspace,
    ) -> Option<Picture> {
        let template = codec.parse_record(level, record, workspace)?;
        // What was just parsed can be counted.
        workspace.count(&template, &mut self.statistics).ok()?;
        let known =
            self.templates.iter().position(|t| Arc::ptr_eq(&t.template, &template) || t.template == template);
        let number = known.unwrap_or(self.templates.len());
        if number == self.templates.len() && self.templates.len() < 4 * MAX_TEMPLATES {
            self.templates.push(Seen { template, tiles: 0, finest: 0 });
        }
        if let Some(seen) = self.templates.get_mut(number) {
            seen.tiles += 1;
            seen.finest += u64::from(level == 0);
        }
        let kind = codec.usable(level, &workspace.tile, &reference);
        self.add(codec, kind, &workspace.tile, &reference);
        codec.picture_in(workspace)
    }

    /// Forgets the streams that the examples came in: the slide's tiles will come in others.
    pub fn forget_templates(&mut self) {
        self.templates.clear();
    }

    /// How often each Huffman symbol occurred in the examples.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// The template that most of the tiles of level 0 have, for derived tiles to be like them.
    #[must_use]
    pub fn most_common(&self) -> Option<Template> {
        let seen = self.templates.iter().filter(|t| t.finest > 0).max_by_key(|t| t.finest);
        seen.map(|t| Template::clone(&t.template))
    }

    /// Takes a tile as an example.
    pub(super) fn add(&mut self, codec: &CrossScale, kind: Kind, tile: &Tile, reference: &Reference<'_>) {
        let most = reference::most_sampling(&tile.planes);
        for (index, plane) in tile.planes.iter().enumerate() {
            let component = index.min(1);
            let class = &mut self.classes[kind as usize][component];
            class.seen += 1;
            // Two chroma planes of a tile go together.
            if !((class.seen - 1) / 2).is_multiple_of(1 << class.thinned) {
                continue;
            }
            let mut aligned = Aligned::default();
            reference::align(codec.set, reference, kind, plane, index, most, &mut aligned);
            class.blocks += plane.width * plane.height;
            class.examples.push(Example { plane: plane.clone(), aligned });
            if class.blocks > MOST_BLOCKS {
                class.thin_out();
            }
        }
    }

    /// What there is to learn: independent of each other.
    #[must_use]
    pub fn lessons(&mut self) -> Vec<Lesson> {
        let mut lessons = vec![];
        for (kind, classes) in Kind::ALL.into_iter().zip(&mut self.classes) {
            for (component, class) in classes.iter_mut().enumerate() {
                let Class { examples, thinned, .. } = std::mem::take(class);
                if !examples.is_empty() {
                    lessons.push(Lesson { kind, component, examples, thinned });
                }
            }
        }
        lessons
    }

    /// The codec with what was learnt from the part `share` (0 to 1) of the slide.
    #[must_use]
    pub fn finish(mut self, mut codec: CrossScale, learnt: Vec<Learnt>, share: f64) -> CrossScale {
        for Learnt { kind, component, model } in learnt {
            codec.models[kind as usize][component] = Stored::new(Arc::new(model), true);
        }
        self.templates.sort_by_key(|t| std::cmp::Reverse(t.tiles));
        // A template that one tile has may as well lie with it.
        let common = self.templates.iter().filter(|t| t.tiles > 1 || share >= 1.0);
        common.for_each(|t| codec.add_template(&t.template, false));
        codec
    }
}

impl Lesson {
    /// Trains the model, where what it saves on the whole slide, of which the examples are the part `share` (0 to 1), is
    /// more than it takes itself. Takes a second or so on full samples.
    #[must_use]
    pub fn learn(self, codec: &CrossScale, share: f64) -> Option<Learnt> {
        let Self { kind, component, examples, thinned } = self;
        let built_in = codec.model(kind, component);
        let all = train::blocks(&examples).max(1) as f64;
        let of_slide = share.clamp(1e-9, 1.0) / f64::from(1_u32 << thinned);
        // Half of the examples tell well enough which model is better.
        let (mut examples, others) = train::halves(examples);
        let judges = examples.len();
        let part = (train::blocks(&examples) as f64 / all * of_slide).max(f64::MIN_POSITIVE);
        examples.extend(others);

        let mut counter = Counter::new(kind);
        train::count(&mut counter, built_in, kind, &mut examples[..judges]);
        let bits = train::bits(built_in, &counter);
        let saved = |model: &Model, counted: &Counter| (bits - train::bits(model, counted)) / part;
        // The built-in model with the probabilities that fit: often it is that which pays.
        let mut fitted = built_in.clone();
        train::probabilities(&mut fitted, built_in, &counter, part);
        let (fitting, takes) = (saved(&fitted, &counter), cost(&fitted, kind, component));
        let saves = fitting - takes;
        let learnt = LEARNT * all / (all + FEW_BLOCKS);
        if TIMES_FITTED * fitting + learnt * bits / part > takes + WEIGHTS {
            let mut model = train::expecting(kind, built_in, all / of_slide, &mut examples);
            let mut judged = Counter::new(kind);
            train::count(&mut judged, &model, kind, &mut examples[..judges]);
            let mut counter = judged.clone();
            train::count(&mut counter, &model, kind, &mut examples[judges..]);
            train::probabilities(&mut model, built_in, &counter, of_slide);
            let trained_saves = saved(&model, &judged) - cost(&model, kind, component);
            if trained_saves > saves.max(0.0) {
                return Some(Learnt { kind, component, model });
            }
        }
        if saves <= 0.0 {
            return None;
        }
        train::count(&mut counter, built_in, kind, &mut examples[judges..]);
        train::probabilities(&mut fitted, built_in, &counter, of_slide);
        Some(Learnt { kind, component, model: fitted })
    }
}

/// Bits that a model takes among a slide's parameters.
fn cost(model: &Model, kind: Kind, component: usize) -> f64 {
    let mut bytes = vec![];
    stored::put(model, kind, changed(kind, component), &mut bytes);
    8.0 * deflated(&bytes).len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coefficients::Plane;
    use crate::payload::VerbatimParams;

    /// Planes of `rows` of 16 blocks of no picture at all: as many coefficients of 0, 1 and -1 as of 5.
    fn noise(planes: usize, rows: usize) -> Vec<Example> {
        let mut state = 1_u32;
        let mut coefficient = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            [0, 1, 5, -1][(state >> 30) as usize]
        };
        let mut block = || -> [i16; 64] { std::array::from_fn(|k| if k < 12 { coefficient() } else { 0 }) };
        let mut plane = || Plane {
            width: 16,
            height: rows,
            horizontal: 1,
            vertical: 1,
            table: [10; 64],
            coefficients: (0..16 * rows).flat_map(|_| block()).collect(),
        };
        (0..planes).map(|_| Example { plane: plane(), aligned: Aligned::default() }).collect()
    }

    /// What models of so much noise are: none, with other probabilities alone, with weights of their own.
    #[test]
    fn a_model_is_as_large_as_pays() {
        let codec = CrossScale::built_in(VerbatimParams::completing(vec![]), vec![Kind::Alone]);
        let before = codec.model(Kind::Alone, 0);
        let learnt = |planes: usize, rows: usize, share: f64| {
            let examples = noise(planes, rows);
            let lesson = Lesson { kind: Kind::Alone, component: 0, examples, thinned: 0 };
            lesson.learn(&codec, share).map(|Learnt { model, .. }| {
                assert!(model.widths != before.widths, "probabilities that fit");
                let mut arranged = model.clone();
                arranged.arrange();
                assert_eq!(arranged, model, "tables, marks and lanes are those of its numbers");
                model.inner != before.inner || model.edges != before.edges
            })
        };
        assert_eq!(learnt(0, 16, 1.0), None);
        assert_eq!(learnt(1, 1, 1.0), None);
        assert_eq!(learnt(1, 16, 1.0), Some(false));
        assert_eq!(learnt(8, 16, 1.0), Some(true));
        // A small part of a large slide tells as much as a large slide.
        assert_eq!(learnt(1, 16, 0.05), Some(true));
    }
}
