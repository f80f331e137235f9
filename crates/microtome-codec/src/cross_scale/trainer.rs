//! Training a slide's models on a sample of its tiles.

use std::sync::Arc;

use super::model::{Kind, Model};
use super::params::{CrossScale, MAX_TEMPLATES, Stored, deflated};
use super::predict::Aligned;
use super::stored;
use super::tile::{self, Picture, Reference, Workspace};
use super::train::{self, Example};
use crate::coefficients::{Template, Tile};

/// Most blocks that a model is trained on: 64 tiles of 256 x 256 px.
const MOST_BLOCKS: usize = 64 << 10;

/// Collects sample tiles; memory is bounded by what a model is trained on at most.
#[derive(Default)]
pub struct Trainer {
    examples: [[Vec<Example>; 2]; 3],
    blocks: [[usize; 2]; 3],
    templates: Vec<(Arc<Template>, u64)>,
}

/// A model to be trained, apart from all others: one job for a thread.
pub struct Lesson {
    kind: Kind,
    component: usize,
    examples: Vec<Example>,
}

/// A trained model, to be handed to [`Trainer::finish`].
pub struct Learnt {
    kind: Kind,
    component: usize,
    model: Model,
    /// Bits that it saves on its examples over the model that comes with the program.
    saved: f64,
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
        match self.templates.iter().position(|(t, _)| Arc::ptr_eq(t, &template) || *t == template) {
            Some(known) => self.templates[known].1 += 1,
            None if self.templates.len() < 4 * MAX_TEMPLATES => self.templates.push((template, 1)),
            None => {}
        }
        let kind = codec.usable(level, &workspace.tile, &reference);
        self.add(codec, kind, &workspace.tile, &reference);
        codec.picture_in(workspace)
    }

    /// Takes a tile as an example.
    pub(super) fn add(&mut self, codec: &CrossScale, kind: Kind, tile: &Tile, reference: &Reference<'_>) {
        let most = tile::most_sampling(&tile.planes);
        for (index, plane) in tile.planes.iter().enumerate() {
            let component = index.min(1);
            let blocks = &mut self.blocks[kind as usize][component];
            if *blocks > MOST_BLOCKS {
                continue;
            }
            *blocks += plane.width * plane.height;
            let mut aligned = Aligned::default();
            tile::align(codec.set, reference, kind, plane, index, most, &mut aligned);
            self.examples[kind as usize][component].push(Example { plane: plane.clone(), aligned });
        }
    }

    /// What there is to learn: independent of each other.
    #[must_use]
    pub fn lessons(&mut self) -> Vec<Lesson> {
        let mut lessons = vec![];
        for (kind, examples) in Kind::ALL.into_iter().zip(&mut self.examples) {
            for (component, examples) in examples.iter_mut().enumerate() {
                if !examples.is_empty() {
                    lessons.push(Lesson { kind, component, examples: std::mem::take(examples) });
                }
            }
        }
        lessons
    }

    /// The codec with what was learnt. A model goes in where what it saves on the whole slide, of which the
    /// examples are the part `share` (0 to 1), is more than it takes itself.
    #[must_use]
    pub fn finish(mut self, mut codec: CrossScale, learnt: Vec<Learnt>, share: f64) -> CrossScale {
        for Learnt { kind, component, model, saved } in learnt {
            let mut bytes = vec![];
            stored::put(&model, kind, &mut bytes);
            let cost = 8.0 * deflated(&bytes).len() as f64;
            if saved / share.clamp(1e-9, 1.0) > cost {
                codec.models[kind as usize][component] = Stored { model: Box::new(model), own: true };
            }
        }
        self.templates.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        // A template that one tile has may as well lie with it.
        let common = self.templates.iter().filter(|(_, count)| *count > 1 || share >= 1.0);
        let room = MAX_TEMPLATES - codec.templates.len();
        let common: Vec<_> = common.map(|(template, _)| Template::clone(template)).take(room).collect();
        codec.templates.extend(common);
        codec
    }
}

impl Lesson {
    /// Trains the model. Takes a second or so on full samples.
    #[must_use]
    pub fn learn(self, codec: &CrossScale) -> Learnt {
        let Self { kind, component, mut examples } = self;
        let model = train::train(kind, &mut examples);
        let before = train::cost(codec.model(kind, component), kind, &mut examples);
        let saved = before - train::cost(&model, kind, &mut examples);
        Learnt { kind, component, model, saved }
    }
}
