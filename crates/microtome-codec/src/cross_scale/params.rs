//! The parameters of codec 1 as bytes: what a slide's tiles share.

use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use super::built_in;
use super::model::{Kind, Model};
use super::quantise::Costs;
use super::stored::{self, Base, Input, put_number};
use crate::Error;
use crate::coefficients::Template;
use crate::instructions::Set;
use crate::payload::VerbatimParams;

/// Longest parameters, before and after compression.
pub const MAX_LENGTH: usize = 4 << 20;
/// Most templates: a byte names one, and 255 is the one in the payload.
pub(super) const MAX_TEMPLATES: usize = 255;
/// Most bytes of all templates that are added: half of the parameters; models and tables are far from the other half.
const TEMPLATES_LENGTH: usize = MAX_LENGTH / 2;

/// What stands before a model: it is the built-in one; it is written whole; or as what differs from the built-in one.
const BUILT_IN: u8 = 0;
const WHOLE: u8 = 1;
const CHANGED: u8 = 2;

/// What a slide's own models are written as differences from.
pub(super) fn changed(kind: Kind, component: usize) -> Base<'static> {
    Base::Model(&built_in::models()[kind as usize][component])
}

/// Codec 1 with the parameters of one slide.
#[derive(Debug, Clone)]
pub struct CrossScale {
    /// How records are completed before they are served: as in codec 0.
    pub(super) verbatim: VerbatimParams,
    /// What each level is predicted from.
    pub(super) levels: Vec<Kind>,
    pub(super) templates: Vec<Template>,
    /// The template of derived tiles.
    pub(super) derived: Option<u8>,
    /// By kind, then first component and others; and whether they are the slide's own.
    pub(super) models: Box<[[Stored; 2]; 3]>,
    pub(super) set: Set,
}

/// A model and whether the slide brings it along.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    model: Arc<Model>,
    own: bool,
    /// For those who choose coefficients.
    costs: OnceLock<Box<Costs>>,
}

impl Stored {
    pub(super) fn new(model: Arc<Model>, own: bool) -> Self {
        Self { model, own, costs: OnceLock::new() }
    }
}

impl PartialEq for CrossScale {
    fn eq(&self, other: &Self) -> bool {
        self.to_bytes() == other.to_bytes()
    }
}

impl Eq for CrossScale {}

impl CrossScale {
    /// The codec with the models that come with the program, for a slide whose level k is predicted as `levels[k]`.
    #[must_use]
    pub fn built_in(verbatim: VerbatimParams, levels: Vec<Kind>) -> Self {
        let stored = |model| Stored::new(Arc::clone(model), false);
        let models = Box::new(built_in::models().each_ref().map(|models| models.each_ref().map(stored)));
        Self { verbatim, levels, templates: vec![], derived: None, models, set: Set::detect() }
    }

    /// Adds a template for tiles to come, unless it is there or there is no room. With `derived` it is that of derived
    /// tiles too.
    pub fn add_template(&mut self, template: &Template, derived: bool) {
        let number = self.templates.iter().position(|t| t == template).unwrap_or(self.templates.len());
        let length = || self.templates.iter().chain([template]).map(|t| t.to_bytes().len()).sum::<usize>();
        if number == self.templates.len() && number < MAX_TEMPLATES && length() <= TEMPLATES_LENGTH {
            self.templates.push(template.clone());
        }
        if derived && number < self.templates.len() {
            self.derived = Some(number as u8);
        }
    }

    /// How records are completed before they are served.
    #[must_use]
    pub fn verbatim(&self) -> &VerbatimParams {
        &self.verbatim
    }

    /// Whether derived tiles are made of samples, without another generation of pixels.
    #[must_use]
    pub fn derives(&self) -> bool {
        self.derived.is_some()
    }

    /// What the tiles of a level are predicted from.
    #[must_use]
    pub fn kind(&self, level: u8) -> Kind {
        self.levels.get(usize::from(level)).copied().unwrap_or(Kind::Alone)
    }

    pub(super) fn model(&self, kind: Kind, component: usize) -> &Model {
        &self.models[kind as usize][component.min(1)].model
    }

    /// What symbols of that model cost.
    pub(super) fn costs(&self, kind: Kind, component: usize) -> &Costs {
        let Stored { model, costs, .. } = &self.models[kind as usize][component.min(1)];
        costs.get_or_init(|| Box::new(Costs::new(model)))
    }

    /// Tables that the level's records lack.
    pub(super) fn tables(&self, level: u8) -> &[u8] {
        self.verbatim.streams.iter().find(|s| s.level == level).map_or(&[], |s| &s.tables)
    }

    /// The side that a level's edge tiles are padded to, or 0.
    pub(super) fn padded_to(&self, level: u8) -> u16 {
        self.verbatim.streams.iter().find(|s| s.level == level).map_or(0, |s| s.padded_to)
    }

    /// Bytes of the slide's own models, before compression, and the number of models.
    #[must_use]
    pub fn own_models(&self) -> (usize, usize) {
        let mut bytes = vec![];
        let mut count = 0;
        for (kind, models) in Kind::ALL.iter().zip(self.models.iter()) {
            for (component, stored) in models.iter().enumerate().filter(|(_, s)| s.own) {
                stored::put(&stored.model, *kind, changed(*kind, component), &mut bytes);
                count += 1;
            }
        }
        (bytes.len(), count)
    }

    /// The bytes of the parameter section.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut plain = vec![];
        let block = |plain: &mut Vec<u8>, bytes: &[u8]| {
            put_number(plain, bytes.len() as u32);
            plain.extend_from_slice(bytes);
        };
        block(&mut plain, &self.verbatim.to_bytes());
        block(&mut plain, &self.levels.iter().map(|&kind| kind as u8).collect::<Vec<_>>());
        put_number(&mut plain, self.templates.len() as u32);
        for template in &self.templates {
            block(&mut plain, &template.to_bytes());
        }
        plain.push(self.derived.unwrap_or(u8::MAX));
        for (kind, models) in Kind::ALL.iter().zip(self.models.iter()) {
            for (component, stored) in models.iter().enumerate() {
                plain.push(if stored.own { CHANGED } else { BUILT_IN });
                if stored.own {
                    stored::put(&stored.model, *kind, changed(*kind, component), &mut plain);
                }
            }
        }
        let mut out = (plain.len() as u32).to_le_bytes().to_vec();
        out.extend_from_slice(&deflated(&plain));
        out
    }

    /// Reads the parameter section.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the offset, behind decompression, of the field that is cut off or out of range.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let malformed = |offset, what| Error::Malformed { offset, what };
        let (length, packed) =
            bytes.split_first_chunk::<4>().ok_or(malformed(0, "the codec parameters are cut off"))?;
        let length = u32::from_le_bytes(*length) as usize;
        if length > MAX_LENGTH {
            return Err(malformed(0, "codec parameters of more than 4 MiB"));
        }
        let mut plain = vec![];
        let mut decoder = DeflateDecoder::new(packed);
        let read = decoder.by_ref().take(length as u64 + 1).read_to_end(&mut plain);
        if read.is_err() || plain.len() != length || decoder.total_in() != packed.len() as u64 {
            return Err(malformed(4, "the codec parameters do not decompress to their length"));
        }
        let mut input = Input::new(&plain);
        let length = input.number()? as usize;
        let verbatim = VerbatimParams::parse(input.take(length)?)?;
        let length = input.number()? as usize;
        let levels = input.take(length)?;
        let levels: Option<Vec<Kind>> =
            levels.iter().map(|&l| Kind::ALL.into_iter().find(|&kind| kind as u8 == l)).collect();
        let levels = levels.ok_or(input.malformed("an unknown kind of level"))?;
        let mut codec = Self::built_in(verbatim, levels);
        let count = input.number()? as usize;
        if count > MAX_TEMPLATES {
            return Err(input.malformed("more than 255 templates"));
        }
        for _ in 0..count {
            let length = input.number()? as usize;
            codec.templates.push(Template::parse(input.take(length)?)?);
        }
        codec.derived = Some(input.byte()?).filter(|&number| number != u8::MAX);
        if codec.derived.is_some_and(|number| usize::from(number) >= count) {
            return Err(input.malformed("no such template"));
        }
        for (kind, models) in Kind::ALL.iter().zip(codec.models.iter_mut()) {
            for (component, stored) in models.iter_mut().enumerate() {
                let base = match input.byte()? {
                    BUILT_IN => continue,
                    WHOLE => Base::Nothing,
                    CHANGED => changed(*kind, component),
                    _ => return Err(input.malformed("neither a model nor none")),
                };
                *stored = Stored::new(Arc::new(stored::take(&mut input, *kind, base)?), true);
            }
        }
        input.finish()?;
        Ok(codec)
    }
}

pub(super) fn deflated(plain: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(vec![], Compression::best());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(plain);
    encoder.finish().unwrap_or_default()
}
