//! What a decoded block tells those on its right and below it: how far off its prediction it was along its edges.
//!
//! Tissue does not end at a block's edge, and neither does the error of a prediction from another scale. Each edge is
//! described by frequency along it: the error's height at the last sample, and its slope there. Everything is normative
//! (`docs/format/codec-1.md`, "Edges").

use super::ahead::{self, MOST_OF_EDGES, PADDED, sixteen};
use super::dct::NATURAL;
use super::model::{EDGE_GROUPS, EDGE_TARGETS, Model};
use super::rans::{Machine, Pairs};

/// Errors along an edge in eighths, by frequency along it: height and slope.
pub(super) type Edge = [[i16; 2]; 8];

/// The two edges that blocks to come lie on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edges {
    pub(super) right: Edge,
    pub(super) lower: Edge,
}

impl Edges {
    pub(super) const NONE: Self = Self { right: [[0; 2]; 8], lower: [[0; 2]; 8] };
}

/// 2^13 times the last sample of each basis function of the DCT, and its difference from the last but one.
pub(super) const ENDS: [[i16; 2]; 8] = [
    [2896, 0],
    [-4017, -611],
    [3784, 2217],
    [-3406, -4205],
    [2896, 5792],
    [-2276, -6293],
    [1567, 5351],
    [-799, -3075],
];

/// What pairs of coefficients add to the edges: heights and slopes of the right one, then of the lower one.
static ENDS_OF: [[Pairs; 4]; 32] = {
    let mut out = [[[[0; 2]; 8]; 4]; 32];
    let mut k = 0;
    while k < 64 {
        let (v, h) = ((NATURAL[k] >> 3) as usize, (NATURAL[k] & 7) as usize);
        let mut i = 0;
        while i < 2 {
            // Lanes 0 to 15 are the right edge's, by vertical frequency.
            let (right, lower) = (2 * v + i, 16 + 2 * h + i);
            out[k / 2][right / 8][right % 8][k % 2] = ENDS[h][i];
            out[k / 2][lower / 8][lower % 8][k % 2] = ENDS[v][i];
            i += 1;
        }
        k += 1;
    }
    out
};

/// For each coefficient that edges correct, its frequency along the left edge, and along the upper one.
static ALONG: [[[u32; 8]; EDGE_GROUPS]; 2] = {
    let mut out = [[[0; 8]; EDGE_GROUPS]; 2];
    let mut k = 0;
    while k < EDGE_TARGETS {
        out[0][k / 8][k % 8] = (NATURAL[k] >> 3) as u32;
        out[1][k / 8][k % 8] = (NATURAL[k] & 7) as u32;
        k += 1;
    }
    out
};

/// The edges of a decoded block; `known` (sixteenths) was predicted from another scale, `steps` are the quantiser's.
#[inline(always)]
pub(super) fn of<M: Machine>(
    coefficients: &[i16; 64],
    steps: &[i16; PADDED],
    known: &[i16; PADDED],
) -> Edges {
    let (mut errors, mut groups) = ([0; 64], 0);
    for (i, errors) in errors.as_chunks_mut().0.iter_mut().enumerate() {
        let (values, known) = (&coefficients.as_chunks().0[i], sixteen(known, 16 * i));
        // Most blocks have nothing at high frequencies.
        if *values == [0; 16] && *known == [0; 16] {
            continue;
        }
        *errors =
            ahead::errors::<3>(values, sixteen(steps, 16 * i), &known.map(|known| known >> 1), MOST_OF_EDGES);
        groups = i + 1;
    }
    let mut sums = [[1 << 12; 8]; 4];
    for (&pair, ends) in errors.as_chunks::<2>().0.iter().zip(&ENDS_OF).take(8 * groups) {
        for (sums, ends) in sums.iter_mut().zip(ends) {
            *sums = M::multiply_add(*sums, pair, ends);
        }
    }
    let mut flat = [0; 32];
    for (out, sum) in flat.iter_mut().zip(sums.as_flattened()) {
        *out = (sum >> 13).clamp(-32768, 32767) as i16;
    }
    let edge = |from: usize| std::array::from_fn(|i| [flat[from + 2 * i], flat[from + 2 * i + 1]]);
    Edges { right: edge(0), lower: edge(16) }
}

/// An edge that counts twice, since there is no other.
#[inline(always)]
pub(super) fn doubled(edge: &Edge) -> Edge {
    edge.map(|pair| pair.map(|value| value.saturating_mul(2)))
}

/// 16 times what the edges on the left and above add to the first coefficients.
#[inline(always)]
pub(super) fn correction<M: Machine>(model: &Model, left: &Edge, above: &Edge) -> [i16; EDGE_TARGETS] {
    let mut out = [0; EDGE_TARGETS];
    for (group, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let mut sums = [1 << 10; 8];
        for (side, edge) in [left, above].into_iter().enumerate() {
            sums = M::multiply_add_picked(sums, edge, &ALONG[side][group], &model.edges[side][group]);
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = (sum >> 11).clamp(-32768, 32767) as i16;
        }
    }
    out
}

/// The height and the slope that each side gives for a coefficient: what training weighs.
#[inline(always)]
pub(super) fn features<T: Copy>(left: &[[T; 2]; 8], above: &[[T; 2]; 8], k: usize) -> [T; 4] {
    let (v, h) = (usize::from(NATURAL[k] >> 3), usize::from(NATURAL[k] & 7));
    [left[v][0], left[v][1], above[h][0], above[h][1]]
}

#[cfg(test)]
mod tests {
    use super::super::ahead::Scale;
    use super::super::rans::Plain;
    use super::*;

    #[test]
    fn ends_are_those_of_the_basis() {
        for (u, [height, slope]) in ENDS.into_iter().enumerate() {
            let basis = |x: f64| {
                let norm = if u == 0 { 0.125_f64.sqrt() } else { 0.5 };
                8192.0 * norm * ((2.0 * x + 1.0) * u as f64 * std::f64::consts::PI / 16.0).cos()
            };
            assert!((basis(7.0) - f64::from(height)).abs() < 1.0);
            assert!((basis(7.0) - basis(6.0) - f64::from(slope)).abs() < 1.5, "{u}");
        }
    }

    #[test]
    fn a_flat_error_has_height_and_no_slope() {
        let mut coefficients = [0; 64];
        coefficients[0] = 80;
        let edges = of::<Plain>(&coefficients, &Scale::new(&[1; 64]).steps, &[0; PADDED]);
        // 80 is 10 levels a sample, and a constant's coefficient along the edge is sqrt(8) times that; in eighths.
        assert_eq!(edges.right[0], [226, 0]);
        assert_eq!(edges.lower[0], [226, 0]);
        assert_eq!(edges.right[1..], [[0, 0]; 7]);
    }

    #[test]
    fn an_error_as_predicted_is_none() {
        let mut coefficients = [0; 64];
        (coefficients[0], coefficients[5]) = (3, -2);
        let mut known = [0; PADDED];
        (known[0], known[5]) = (3 * 16 * 10, -2 * 16 * 10);
        assert_eq!(of::<Plain>(&coefficients, &Scale::new(&[10; 64]).steps, &known), Edges::NONE);
    }
}
