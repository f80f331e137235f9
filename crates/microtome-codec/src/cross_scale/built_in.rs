//! The models that come with the program, and how they are made.
//!
//! They serve slides too small to pay for models of their own. `built_in.bin` is what `put` of `stored` writes of the
//! six models, deflated. It is part of the format: its bytes never change for this codec number.

use std::io::Read;
use std::sync::{Arc, LazyLock};

use flate2::read::DeflateDecoder;

use super::model::{Kind, Model};
use super::stored::{self, Base, Input};

const BYTES: &[u8] = include_bytes!("built_in.bin");

/// The models by kind, then first component and others. Every slide without models of its own shares them.
pub(super) fn models() -> &'static [[Arc<Model>; 2]; 3] {
    static MODELS: LazyLock<[[Arc<Model>; 2]; 3]> = LazyLock::new(|| {
        let mut plain = vec![];
        // A test makes sure that the bytes are good.
        let _ = DeflateDecoder::new(BYTES).read_to_end(&mut plain);
        let mut input = Input::new(&plain);
        let mut next = |kind| {
            Arc::new(stored::take(&mut input, kind, Base::Nothing).unwrap_or_else(|_| Model::blank(kind)))
        };
        Kind::ALL.map(|kind| [0, 1].map(|_| next(kind)))
    });
    &MODELS
}

/// A model that predicts just what the finer level says: derived tiles are made with it.
pub(super) fn unit() -> &'static Model {
    static UNIT: LazyLock<Model> = LazyLock::new(|| Model::blank(Kind::Finer));
    &UNIT
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::model::BUCKETS;
    use super::super::params::{CrossScale, Stored, deflated};
    use super::super::reference::{Finer, Reference};
    use super::super::trainer::Trainer;
    use super::super::workspace::Workspace;
    use super::*;
    use crate::Rgb;
    use crate::payload::VerbatimParams;
    use crate::turbo::{self, Subsampling};

    #[test]
    fn the_built_in_models_can_be_read() {
        let mut plain = vec![];
        DeflateDecoder::new(BYTES).read_to_end(&mut plain).expect("deflated");
        let mut input = Input::new(&plain);
        for kind in Kind::ALL {
            for _ in 0..2 {
                stored::take(&mut input, kind, Base::Nothing).expect("a model");
            }
        }
        input.finish().expect("six models");
    }

    fn read_png(path: &str) -> Rgb {
        let file = std::io::BufReader::new(std::fs::File::open(path).expect("an image"));
        let mut decoder = png::Decoder::new(file);
        decoder.set_transformations(
            png::Transformations::normalize_to_color8() | png::Transformations::STRIP_16,
        );
        let mut reader = decoder.read_info().expect("a PNG");
        let mut data = vec![0; reader.output_buffer_size().expect("a size")];
        let info = reader.next_frame(&mut data).expect("pixels");
        let channels = info.line_size / info.width as usize;
        let pixels = data
            .chunks_exact(channels)
            .flat_map(|p| if channels < 3 { [p[0]; 3] } else { [p[0], p[1], p[2]] });
        Rgb::from_vec(info.width, info.height, pixels.collect()).expect("pixels")
    }

    /// Feeds the families of an image's pyramid, at one quality, to the trainer.
    fn observe(trainer: &mut Trainer, codec: &CrossScale, levels: &[Rgb; 3], quality: u8) {
        let mut workspace = Workspace::new();
        let record = |level: usize, column: u32, row: u32| {
            let whole = &levels[level];
            let (x, y) = (256 * column, 256 * row);
            (x < whole.width() && y < whole.height()).then(|| {
                let tile = whole.crop(x, y, 256.min(whole.width() - x), 256.min(whole.height() - y));
                turbo::encode(&tile, quality, Subsampling::Chroma420).expect("a tile")
            })
        };
        let (columns, rows) = (levels[2].width().div_ceil(256), levels[2].height().div_ceil(256));
        for (column, row) in (0..rows).flat_map(|r| (0..columns).map(move |c| (c, r))) {
            let base = record(2, column, row).expect("within the image");
            let base =
                trainer.observe(codec, 2, &base, Reference::None, &mut workspace).expect("our own JPEG");
            let mut pictures = HashMap::new();
            for (r, c) in
                (4 * row..4 * row + 4).flat_map(|r| (4 * column..4 * column + 4).map(move |c| (r, c)))
            {
                let Some(tile) = record(0, c, r) else { continue };
                let offset = [256 * (c - 4 * column), 256 * (r - 4 * row)];
                let reference = Reference::Coarser { base: &base, offset };
                pictures.insert(
                    (c, r),
                    trainer.observe(codec, 0, &tile, reference, &mut workspace).expect("our own"),
                );
            }
            for (r, c) in
                (2 * row..2 * row + 2).flat_map(|r| (2 * column..2 * column + 2).map(move |c| (r, c)))
            {
                let Some(tile) = record(1, c, r) else { continue };
                let finer: Vec<_> = [(0, 0), (1, 0), (0, 1), (1, 1)]
                    .iter()
                    .filter_map(|&(x, y)| {
                        let picture = pictures.get(&(2 * c + x, 2 * r + y))?;
                        Some(Finer { picture, offset: [256 * x, 256 * y] })
                    })
                    .collect();
                trainer.observe(codec, 1, &tile, Reference::Finer(&finer), &mut workspace);
            }
        }
    }

    /// What no picture has shown is as in the bucket before: other slides will show it.
    fn fill(model: &mut Model, kind: Kind) {
        let (fractions, blank) = (kind.fractions(), Model::blank(kind));
        for context in fractions..model.widths.len() {
            let has_one_before = !(context / fractions).is_multiple_of(BUCKETS);
            if has_one_before && model.widths[context] == blank.widths[context] {
                model.widths[context] = model.widths[context - fractions];
            }
        }
        for (flags, blank) in model.flags.iter_mut().zip(&blank.flags) {
            for bucket in 1..BUCKETS {
                if flags[bucket] == blank[bucket] {
                    flags[bucket] = flags[bucket - 1];
                }
            }
        }
    }

    /// Makes `built_in.bin` from the PNG images that the variable `MICROTOME_TRAINING` names, separated by colons.
    /// Not a test: the file is part of the format once a version is released.
    #[test]
    #[ignore = "makes a file of the format anew"]
    fn make_the_built_in_models() {
        let images = std::env::var("MICROTOME_TRAINING").expect("PNG images in MICROTOME_TRAINING");
        let verbatim = VerbatimParams {
            derived_quality: 85,
            derived_subsampling: Subsampling::Chroma420,
            streams: vec![],
        };
        let mut codec = CrossScale::built_in(verbatim, vec![Kind::Coarser, Kind::Finer, Kind::Alone]);
        // What they are now has no say.
        for (kind, models) in Kind::ALL.into_iter().zip(codec.models.iter_mut()) {
            models.iter_mut().for_each(|stored| *stored = Stored::new(Arc::new(Model::blank(kind)), false));
        }
        let mut trainer = Trainer::new();
        for image in images.split(':') {
            let full = read_png(image);
            let half = full.reduced();
            let levels = [full, half.clone(), half.reduced()];
            for quality in [60, 75, 85, 92] {
                observe(&mut trainer, &codec, &levels, quality);
            }
        }
        let lessons = trainer.lessons();
        // Of a slide so large that every model pays.
        let share = 1e-6;
        let learnt = lessons.into_iter().filter_map(|lesson| lesson.learn(&codec, share)).collect();
        let trained = trainer.finish(codec, learnt, share);
        let mut plain = vec![];
        for (kind, models) in Kind::ALL.into_iter().zip(trained.models.iter()) {
            for component in 0..models.len() {
                let mut model = Model::clone(trained.model(kind, component));
                fill(&mut model, kind);
                stored::put(&model, kind, Base::Nothing, &mut plain);
            }
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cross_scale/built_in.bin");
        std::fs::write(path, deflated(&plain)).expect("the file");
    }
}
