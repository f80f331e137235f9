//! The same code for each instruction set: what the compiler makes of it differs, the integers do not.
//!
//! What compilers do not see is written by hand, in the files named `_avx2` and `_neon`. On AArch64 the baseline already has
//! vectors.

use super::abreast::{self, Run};
use super::expectations::Observer;
#[cfg(target_arch = "x86_64")]
use super::machine_avx2::Avx2;
#[cfg(target_arch = "aarch64")]
use super::machine_neon::Neon;
use super::model::{Kind, Model};
use super::plane::{self, Area, Scratch};
use super::predict::{Aligned, Child, Samples};
use super::quantise::{self, Chooser, Targets};
use super::rans::{Machine, Plain};
use super::strands::{Readers, Writer};
use super::survey::{self, Survey};
use super::train::Example;
use crate::Rgb;
use crate::coefficients::Plane;
use crate::instructions::{Known, Set};

macro_rules! each_set {
    ($(#[$doc:meta])* $name:ident, $inner:ident, $avx2:ident, [$($arg:ident: $type:ty),*]) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments, reason = "the walk's own arguments")]
        pub(super) fn $name(set: Set, $($arg: $type),*) {
            match set.known() {
                Known::Baseline => $inner::<Plain>($($arg),*),
                // SAFETY: `Set` says so only where `detect` has found all of the features below.
                #[cfg(target_arch = "x86_64")]
                #[allow(unsafe_code, reason = "the features were detected")]
                Known::Avx2 | Known::Avx512 | Known::Vbmi2 => unsafe { $avx2($($arg),*) },
                #[cfg(target_arch = "aarch64")]
                Known::Neon => $inner::<Neon>($($arg),*),
            }
        }

        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
        fn $avx2($($arg: $type),*) {
            $inner::<Avx2>($($arg),*);
        }
    };
}

#[inline(always)]
fn decode_inner<M: Machine>(
    readers: &mut Readers<'_>,
    model: &Model,
    kind: Kind,
    aligned: &Aligned,
    area: Area<'_>,
    scratch: &mut Scratch,
) {
    plane::decode::<M>(readers, model, kind, aligned, area, scratch);
}

#[inline(always)]
fn encode_inner<M: Machine>(
    writer: &mut Writer,
    model: &Model,
    kind: Kind,
    aligned: &Aligned,
    area: Area<'_>,
    scratch: &mut Scratch,
) {
    plane::encode::<M, _>(writer, model, kind, aligned, area, scratch);
}

#[inline(always)]
fn choose_inner<M: Machine>(
    chooser: &mut Chooser<'_>,
    model: &Model,
    kind: Kind,
    aligned: &Aligned,
    area: Area<'_>,
    scratch: &mut Scratch,
) {
    plane::encode::<M, _>(chooser, model, kind, aligned, area, scratch);
}

#[inline(always)]
fn transform_inner<M: Machine>(
    pixels: &Rgb,
    plane: &mut Plane,
    index: usize,
    most: [u8; 2],
    targets: &mut Targets,
) {
    quantise::transform_plane::<M>(pixels, plane, index, most, targets);
}

#[inline(always)]
fn observe_inner<M: Machine>(
    observer: &mut Observer,
    model: &Model,
    kind: Kind,
    aligned: &Aligned,
    area: Area<'_>,
    scratch: &mut Scratch,
) {
    plane::encode::<M, _>(observer, model, kind, aligned, area, scratch);
}

#[inline(always)]
fn survey_inner<M: Machine>(survey: &mut Survey, model: &Model, kind: Kind, example: &Example) {
    survey::look::<M>(survey, model, kind, example);
}

#[inline(always)]
fn samples_inner<M: Machine>(plane: &Plane, out: &mut Samples) {
    plane::samples::<M>(plane, out);
}

#[inline(always)]
fn round_inner<M: Machine>(unit: &Model, aligned: &Aligned, plane: &mut Plane) {
    plane::round::<M>(unit, aligned, plane);
}

#[inline(always)]
fn coarser_inner<M: Machine>(
    aligned: &mut Aligned,
    parent: &Samples,
    offset: [u32; 2],
    sampling: [u32; 2],
    blocks: [usize; 2],
) {
    aligned.coarser(parent, offset, sampling, blocks);
}

#[inline(always)]
fn finer_inner<M: Machine>(aligned: &mut Aligned, children: &[Child<'_>], size: [usize; 2]) {
    aligned.finer::<M>(children, size);
}

each_set!(
    /// Decodes an area.
    decode, decode_inner, decode_avx2,
    [readers: &mut Readers<'_>, model: &Model, kind: Kind, aligned: &Aligned, area: Area<'_>, scratch: &mut Scratch]
);

/// The same of what takes sixteen rows abreast.
macro_rules! each_set_abreast {
    ($(#[$doc:meta])* $name:ident, $($inner:ident)::+, $avx2:ident, $avx512:ident, $what:ident: $type:ty) => {
        $(#[$doc])*
        pub(super) fn $name(
            set: Set,
            $what: $type,
            model: &Model,
            kind: Kind,
            run: Run<'_>,
            scratch: &mut abreast::Scratch,
        ) {
            match set.known() {
                Known::Baseline => $($inner)::+::<abreast::vectors::Plain>($what, model, kind, run, scratch),
                // SAFETY: `Set` says so only where `detect` has found all of the features below.
                #[cfg(target_arch = "x86_64")]
                #[allow(unsafe_code, reason = "the features were detected")]
                Known::Avx2 => unsafe { $avx2($what, model, kind, run, scratch) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                #[allow(unsafe_code, reason = "the features were detected")]
                Known::Avx512 | Known::Vbmi2 => unsafe { $avx512($what, model, kind, run, scratch) },
                #[cfg(target_arch = "aarch64")]
                Known::Neon => $($inner)::+::<abreast::neon::InQuarters>($what, model, kind, run, scratch),
            }
        }

        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
        fn $avx2($what: $type, model: &Model, kind: Kind, run: Run<'_>, scratch: &mut abreast::Scratch) {
            $($inner)::+::<abreast::avx2::InHalves>($what, model, kind, run, scratch);
        }

        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,bmi1,bmi2,lzcnt,popcnt")]
        fn $avx512($what: $type, model: &Model, kind: Kind, run: Run<'_>, scratch: &mut abreast::Scratch) {
            $($inner)::+::<abreast::avx512::Avx512>($what, model, kind, run, scratch);
        }
    };
}

each_set_abreast!(
    /// Decodes a run of planes, sixteen rows abreast.
    decode_abreast, abreast::decode, decode_abreast_avx2, decode_abreast_avx512,
    reader: &mut abreast::coder::Reader<'_>
);
each_set_abreast!(
    /// Finds what a decoder of a run of planes reads, sixteen rows abreast.
    encode_abreast, abreast::encode::encode, encode_abreast_avx2, encode_abreast_avx512,
    reads: &mut abreast::reads::Reads
);
each_set!(
    /// Encodes an area.
    encode, encode_inner, encode_avx2,
    [writer: &mut Writer, model: &Model, kind: Kind, aligned: &Aligned, area: Area<'_>, scratch: &mut Scratch]
);
each_set!(
    /// Chooses the coefficients of an area.
    choose, choose_inner, choose_avx2,
    [chooser: &mut Chooser<'_>, model: &Model, kind: Kind, aligned: &Aligned, area: Area<'_>, scratch: &mut Scratch]
);
each_set!(
    /// What a plane's coefficients should be for pixels; they are rounded.
    transform, transform_inner, transform_avx2,
    [pixels: &Rgb, plane: &mut Plane, index: usize, most: [u8; 2], targets: &mut Targets]
);
each_set!(
    /// Shows an area to training.
    observe, observe_inner, observe_avx2,
    [observer: &mut Observer, model: &Model, kind: Kind, aligned: &Aligned, area: Area<'_>, scratch: &mut Scratch]
);
each_set!(
    /// Shows a plane to the stages of training before that.
    survey, survey_inner, survey_avx2,
    [survey: &mut Survey, model: &Model, kind: Kind, example: &Example]
);
each_set!(
    /// The samples of a plane.
    samples, samples_inner, samples_avx2,
    [plane: &Plane, out: &mut Samples]
);
each_set!(
    /// Quantises what finer samples predict.
    round, round_inner, round_avx2,
    [unit: &Model, aligned: &Aligned, plane: &mut Plane]
);
each_set!(
    /// Coarser samples on a tile's grid.
    coarser, coarser_inner, coarser_avx2,
    [aligned: &mut Aligned, parent: &Samples, offset: [u32; 2], sampling: [u32; 2], blocks: [usize; 2]]
);
each_set!(
    /// Finer samples reduced onto a tile's grid.
    finer, finer_inner, finer_avx2,
    [aligned: &mut Aligned, children: &[Child<'_>], size: [usize; 2]]
);

#[cfg(test)]
mod tests;
