//! A tile's planes to the bytes of a coder and back, in one part or in two.
//!
//! Not here: what lies around the coder in a payload (`tile`), where a tile is cut (`parts`).

use super::model::Kind;
use super::params::CrossScale;
use super::parts::{self, Parts};
use super::plane::Area;
use super::quantise::{self, Chooser, Targets};
use super::reference::{Reference, align, most_sampling};
use super::simd;
use super::strands::{Readers, Writer};
use super::tile::{HAS_FOUR, HAS_PARTS};
use super::workspace::{Part, Workspace};
use crate::Error;

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
        let Workspace { tile, parts: [Part { aligned, scratch, .. }, _], symbols, coders, .. } = workspace;
        let most = most_sampling(&tile.planes);
        for (plane, targets) in tile.planes.iter_mut().zip(targets.unwrap_or_default()) {
            quantise::nearest(targets, plane);
        }
        let rows = parts::cut(&tile.planes, targets.is_some());
        for (index, plane) in tile.planes.iter_mut().enumerate() {
            align(self.set, reference, kind, plane, index, most, aligned);
            let model = self.model(kind, index);
            let mut targets = targets.and_then(|targets| targets.get(index)).map(Vec::as_slice);
            let (steps, width) = (plane.table, plane.width);
            let mut code = |area: Area<'_>, targets: Option<&[[i16; 64]]>, symbols: &mut Writer| match targets
            {
                None => simd::encode(self.set, symbols, model, kind, aligned, area, scratch),
                Some(targets) => {
                    let mut chooser = Chooser::new(symbols, targets, &steps);
                    simd::choose(self.set, &mut chooser, model, kind, aligned, area, scratch);
                }
            };
            let mut area = Area::whole(plane);
            if let (0, Some(rows)) = (index, rows) {
                let (upper, lower) = area.cut(rows);
                code(upper, targets, symbols);
                coders[0].clear();
                symbols.finish(&mut coders[0], true);
                targets = targets.map(|targets| &targets[(rows * width).min(targets.len())..]);
                area = lower;
            }
            code(area, targets, symbols);
        }
        let Some(rows) = rows else {
            let has_four = symbols.is_long();
            symbols.finish(out, has_four);
            return if has_four { HAS_FOUR } else { 0 };
        };
        let [first, second] = coders;
        second.clear();
        symbols.finish(second, true);
        Parts { rows, first, second }.put(out);
        HAS_FOUR | HAS_PARTS
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

    /// Decodes planes that have a coder in two parts.
    pub(super) fn decode_parts(
        &self,
        reference: &Reference<'_>,
        kind: Kind,
        coder: &[u8],
        workspace: &mut Workspace,
    ) -> Result<(), Error> {
        let Workspace { tile, parts: [one, other], stopwatch, both, .. } = workspace;
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
        let upper = move || {
            let mut readers = Readers::new(first, true, words)?;
            simd::decode(self.set, &mut readers, model, kind, aligned, upper, scratch);
            readers.finish()
        };
        let lower = move || {
            let Part { aligned: other_aligned, scratch, words } = other;
            let mut readers = Readers::new(second, true, words)?;
            simd::decode(self.set, &mut readers, model, kind, aligned, lower, scratch);
            for (plane, index) in others.iter_mut().zip(1..) {
                align(self.set, reference, kind, plane, index, most, other_aligned);
                let (model, area) = (self.model(kind, index), Area::whole(plane));
                simd::decode(self.set, &mut readers, model, kind, other_aligned, area, scratch);
            }
            readers.finish()
        };
        stopwatch.time(|t| &mut t.entropy, || parts::run(*both, upper, lower))
    }
}
