//! A tile's planes to the bytes of a coder and back.
//!
//! Not here: what lies around the coder in a payload (`tile`), how blocks are coded (`plane`, `abreast`).

use std::ops::Range;

use smallvec::SmallVec;

use super::abreast::{self, Order, Run, Steps};
use super::model::{Kind, Model};
use super::params::CrossScale;
use super::parts::Parts;
use super::plane::Area;
use super::predict::Aligned;
use super::quantise::{Chooser, Targets};
use super::reference::{Reference, align, most_sampling};
use super::simd;
use super::strands::Readers;
use super::tile::{GO_ROUND, HAS_FOUR, HAS_SIXTEEN};
use super::workspace::{Part, Workspace};
use crate::Error;
use crate::coefficients::Plane;

impl CrossScale {
    /// Codes the planes in the workspace; returns what that adds to the payload's form.
    pub(super) fn code_planes(
        &self,
        reference: &Reference<'_>,
        kind: Kind,
        workspace: &mut Workspace,
        targets: Option<&[Targets]>,
        out: &mut Vec<u8>,
    ) -> u8 {
        let is_large = abreast::is_large(&workspace.tile.planes);
        if let Some(targets) = targets {
            self.choose(reference, kind, workspace, targets, is_large);
        }
        match is_large {
            true => self.code_abreast(reference, kind, workspace, out),
            false => self.code_strands(reference, kind, workspace, out),
        }
    }

    /// Chooses the coefficients of planes that are rounded to their targets, between the neighbours that they will have.
    fn choose(
        &self,
        reference: &Reference<'_>,
        kind: Kind,
        workspace: &mut Workspace,
        targets: &[Targets],
        is_large: bool,
    ) {
        let Workspace { tile, parts: [Part { aligned, scratch, .. }, _], .. } = workspace;
        let most = most_sampling(&tile.planes);
        for run in abreast::runs(&tile.planes, Order::Round) {
            let steps = is_large.then(|| Steps::of(&tile.planes[run.clone()], Order::Round));
            let mut line = 0;
            for index in run {
                let (plane, Some(targets)) = (&mut tile.planes[index], targets.get(index)) else { continue };
                align(self.set, reference, kind, plane, index, most, aligned);
                let (table, height, model) = (plane.table, plane.height, self.model(kind, index));
                let mut area = Area::whole(plane);
                if let Some(steps) = &steps {
                    area = area.abreast(steps, line);
                }
                let mut chooser = Chooser::new(targets, &table, self.costs(kind, index));
                simd::choose(self.set, &mut chooser, model, kind, aligned, area, scratch);
                line += height;
            }
        }
    }

    /// Codes the planes in the workspace by one strand or four; returns what that adds to the payload's form.
    fn code_strands(
        &self,
        reference: &Reference<'_>,
        kind: Kind,
        workspace: &mut Workspace,
        out: &mut Vec<u8>,
    ) -> u8 {
        let Workspace { tile, parts: [Part { aligned, scratch, .. }, _], symbols, .. } = workspace;
        let most = most_sampling(&tile.planes);
        for (index, plane) in tile.planes.iter_mut().enumerate() {
            align(self.set, reference, kind, plane, index, most, aligned);
            let (model, area) = (self.model(kind, index), Area::whole(plane));
            simd::encode(self.set, symbols, model, kind, aligned, area, scratch);
        }
        let has_four = symbols.is_long();
        symbols.finish(out, has_four);
        if has_four { HAS_FOUR } else { 0 }
    }

    /// Codes the planes in the workspace by sixteen states; returns what that adds to the payload's form.
    fn code_abreast(
        &self,
        reference: &Reference<'_>,
        kind: Kind,
        workspace: &mut Workspace,
        out: &mut Vec<u8>,
    ) -> u8 {
        let Workspace { tile, parts: [one, other], reads, abreast: scratch, .. } = workspace;
        let order = Order::Round;
        let runs = abreast::runs(&tile.planes, order);
        let models: SmallVec<[&Model; 4]> = runs.iter().map(|run| self.model(kind, run.start)).collect();
        reads.clear();
        for (number, run) in runs.into_iter().enumerate() {
            let is_last = number + 1 == models.len();
            self.align_run(
                reference,
                kind,
                &tile.planes,
                run.clone(),
                [&mut one.aligned, &mut other.aligned],
            );
            let run = Run { planes: &mut tile.planes[run], order, is_last, aligned: &one.aligned };
            simd::encode_abreast(self.set, reads, models[number], kind, run, scratch);
        }
        reads.finish(&models, order, out);
        HAS_SIXTEEN | GO_ROUND
    }

    /// Puts the reference's samples onto the grids of a run of planes, those of one behind those of another, into the first.
    fn align_run(
        &self,
        reference: &Reference<'_>,
        kind: Kind,
        planes: &[Plane],
        run: Range<usize>,
        [aligned, more]: [&mut Aligned; 2],
    ) {
        let most = most_sampling(planes);
        align(self.set, reference, kind, &planes[run.start], run.start, most, aligned);
        for index in run.skip(1).filter(|_| kind != Kind::Alone) {
            align(self.set, reference, kind, &planes[index], index, most, more);
            aligned.data.extend_from_slice(&more.data);
        }
    }

    /// Decodes planes that have one coder.
    pub(super) fn decode_planes(
        &self,
        reference: &Reference<'_>,
        kind: Kind,
        coder: &[u8],
        has_four: bool,
        workspace: &mut Workspace,
    ) -> Result<(), Error> {
        let Workspace { tile, parts: [part, _], stopwatch, .. } = workspace;
        let Part { aligned, scratch, words } = part;
        let mut readers = Readers::new(coder, has_four, words)?;
        let most = most_sampling(&tile.planes);
        for (index, plane) in tile.planes.iter_mut().enumerate() {
            stopwatch.time(
                |t| &mut t.prediction,
                || align(self.set, reference, kind, plane, index, most, aligned),
            );
            let (model, area) = (self.model(kind, index), Area::whole(plane));
            stopwatch.time(
                |t| &mut t.entropy,
                || simd::decode(self.set, &mut readers, model, kind, aligned, area, scratch),
            );
        }
        readers.finish()
    }

    /// Decodes planes whose coder has sixteen states.
    pub(super) fn decode_abreast(
        &self,
        reference: &Reference<'_>,
        kind: Kind,
        coder: &[u8],
        order: Order,
        workspace: &mut Workspace,
    ) -> Result<(), Error> {
        let Workspace { tile, parts: [one, other], stopwatch, abreast: scratch, .. } = workspace;
        let (aligned, more) = (&mut one.aligned, &mut other.aligned);
        let mut reader = abreast::coder::Reader::new(coder, order, &mut one.words)?;
        let runs = abreast::runs(&tile.planes, order);
        let count = runs.len();
        for (number, run) in runs.into_iter().enumerate() {
            let (index, is_last) = (run.start, number + 1 == count);
            stopwatch.time(
                |t| &mut t.prediction,
                || self.align_run(reference, kind, &tile.planes, run.clone(), [aligned, more]),
            );
            let planes = &mut tile.planes[run];
            let (model, run) = (self.model(kind, index), Run { planes, order, is_last, aligned });
            stopwatch.time(
                |t| &mut t.entropy,
                || simd::decode_abreast(self.set, &mut reader, model, kind, run, scratch),
            );
        }
        reader.finish()
    }

    /// Decodes planes that have a coder in two parts.
    pub(super) fn decode_parts(
        &self,
        reference: &Reference<'_>,
        kind: Kind,
        coder: &[u8],
        workspace: &mut Workspace,
    ) -> Result<(), Error> {
        let Workspace { tile, parts: [one, other], stopwatch, .. } = workspace;
        let most = most_sampling(&tile.planes);
        let Some((plane, others)) = tile.planes.split_first_mut() else {
            return Err(Error::Malformed { offset: 0, what: "parts of a tile without components" });
        };
        let Parts { rows, first, second } = Parts::parse(coder, plane.height)?;
        stopwatch.time(
            |t| &mut t.prediction,
            || align(self.set, reference, kind, plane, 0, most, &mut one.aligned),
        );
        let Part { aligned, scratch, words } = one;
        let (aligned, model) = (&*aligned, self.model(kind, 0));
        let (upper, lower) = Area::whole(plane).cut(rows);
        stopwatch.time(
            |t| &mut t.entropy,
            || {
                let mut readers = Readers::new(first, true, words)?;
                simd::decode(self.set, &mut readers, model, kind, aligned, upper, scratch);
                readers.finish()?;
                let Part { aligned: other_aligned, scratch, words } = other;
                let mut readers = Readers::new(second, true, words)?;
                simd::decode(self.set, &mut readers, model, kind, aligned, lower, scratch);
                for (plane, index) in others.iter_mut().zip(1..) {
                    align(self.set, reference, kind, plane, index, most, other_aligned);
                    let (model, area) = (self.model(kind, index), Area::whole(plane));
                    simd::decode(self.set, &mut readers, model, kind, other_aligned, area, scratch);
                }
                readers.finish()
            },
        )
    }
}
