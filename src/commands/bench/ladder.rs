//! Rate against quality: points over a ladder of quality settings, and the bytes at a given quality between them.

use microtome_ingest::{Mode, Options};

use super::containers::{self, Made, Measured};
use super::input;
use super::metrics::{Ssimulacra2, psnr_y};
use super::pyramid::Levels;
use crate::failure::Failure;

/// Settings that both sides are measured at: wide, for slides differ by ten dB at the same setting.
pub(super) const SETTINGS: [u8; 16] = [10, 20, 30, 40, 50, 60, 68, 74, 80, 84, 88, 91, 94, 96, 98, 100];

/// One setting: what it costs and what it gives.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct Point {
    /// The setting.
    pub(super) quality: u8,
    /// Bytes of the whole pyramid or container.
    pub(super) bytes: u64,
    /// PSNR of luma at level 0, in dB.
    pub(super) psnr_y: f64,
    /// SSIMULACRA2 at level 0.
    pub(super) ssimulacra2: f64,
    /// SSIMULACRA2 at level 1, against the 2 x 2 averages of the source.
    pub(super) ssimulacra2_level_1: f64,
    /// The container behind the point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) container: Option<Measured>,
}

/// The points of both sides.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct Ladders {
    /// The JPEG pyramid.
    pub(super) jpeg: Vec<Point>,
    /// The container in quality mode.
    pub(super) microtome: Vec<Point>,
}

/// What pictures of level 0 and level 1 are compared with.
struct Originals<'a> {
    levels: &'a Levels,
    ssimulacra2: [Ssimulacra2; 2],
}

impl Originals<'_> {
    fn point(
        &self,
        quality: u8,
        bytes: u64,
        decode: impl Fn(usize) -> Result<microtome_codec::Rgb, Failure> + Sync,
    ) -> Result<Point, Failure> {
        let (level_0, level_1) = rayon::join(
            || {
                let picture = decode(0)?;
                Ok::<_, Failure>((
                    psnr_y(self.levels.pixels(0), &picture),
                    self.ssimulacra2[0].compare(&picture)?,
                ))
            },
            || self.ssimulacra2[1].compare(&decode(1)?),
        );
        let (psnr_y, ssimulacra2) = level_0?;
        Ok(Point { quality, bytes, psnr_y, ssimulacra2, ssimulacra2_level_1: level_1?, container: None })
    }
}

/// Measures every setting on both sides; tells `done` of each.
pub(super) fn measure(levels: &Levels, done: &dyn Fn(u64)) -> Result<Ladders, Failure> {
    let folder = containers::temporary_folder()?;
    let image = folder.path().join("image.png");
    input::write_png(&image, levels.pixels(0))?;
    let spec = image.to_string_lossy();
    let references = [Ssimulacra2::new(levels.pixels(0))?, Ssimulacra2::new(levels.pixels(1))?];
    let originals = Originals { levels, ssimulacra2: references };
    let mut ladders = Ladders { jpeg: vec![], microtome: vec![] };
    for quality in SETTINGS {
        containers::go_on()?;
        let pyramid = levels.encode(quality)?;
        ladders.jpeg.push(originals.point(quality, pyramid.bytes(), |level| pyramid.decode(level))?);
        done(pyramid.bytes());
        containers::go_on()?;
        let made = Made::new(&spec, Options { mode: Mode::Quality(quality), ..Options::default() })?;
        let point = originals.point(quality, made.measured.bytes, |level| made.decode(level))?;
        ladders.microtome.push(Point { container: Some(made.measured.clone()), ..point });
        done(made.measured.bytes);
    }
    Ok(ladders)
}

/// A measure of quality, and the values of it that are compared at.
#[derive(Clone, Copy)]
pub(super) struct Metric {
    /// Its name.
    pub(super) name: &'static str,
    /// Its value at a point.
    pub(super) of: fn(&Point) -> f64,
    /// Where both sides are compared.
    pub(super) at: &'static [f64],
}

/// SSIMULACRA2 at level 0.
pub(super) const SSIMULACRA2: Metric =
    Metric { name: "SSIMULACRA2", of: |point| point.ssimulacra2, at: &[70.0, 80.0, 85.0, 90.0] };
/// PSNR of luma at level 0, in dB.
pub(super) const PSNR_Y: Metric =
    Metric { name: "PSNR-Y", of: |point| point.psnr_y, at: &[34.0, 38.0, 42.0] };

/// What both sides take for the same quality. `None` where a side does not reach it or starts above it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(super) struct Equal {
    /// The metric's name.
    pub(super) metric: &'static str,
    /// Its value.
    pub(super) at: f64,
    /// Bytes of the JPEG pyramid.
    pub(super) jpeg_bytes: Option<f64>,
    /// Bytes of the container.
    pub(super) microtome_bytes: Option<f64>,
    /// Container over pyramid.
    pub(super) ratio: Option<f64>,
}

impl Ladders {
    /// Both sides at the values of a metric.
    pub(super) fn equal(&self, metric: Metric) -> Vec<Equal> {
        let bytes = |points: &[Point], at| {
            interpolated(points, metric.of, |p| (p.bytes as f64).ln(), at).map(|log| log.exp().round())
        };
        let equal = |&at: &f64| {
            let (jpeg_bytes, microtome_bytes) = (bytes(&self.jpeg, at), bytes(&self.microtome, at));
            let ratio = jpeg_bytes.zip(microtome_bytes).map(|(jpeg, ours)| ours / jpeg);
            Equal { metric: metric.name, at, jpeg_bytes, microtome_bytes, ratio }
        };
        metric.at.iter().map(equal).collect()
    }

    /// SSIMULACRA2 of level 1 where that of level 0 is `at`: of the JPEG pyramid, and of the container.
    pub(super) fn level_1(&self, at: f64) -> [Option<f64>; 2] {
        [&self.jpeg, &self.microtome]
            .map(|points| interpolated(points, |p| p.ssimulacra2, |p| p.ssimulacra2_level_1, at))
    }
}

/// `y` where `x` is `at`, linear between the first two neighbours of the ladder that have it between them.
fn interpolated(points: &[Point], x: fn(&Point) -> f64, y: fn(&Point) -> f64, at: f64) -> Option<f64> {
    points.windows(2).find_map(|pair| {
        let (from, to) = (x(&pair[0]), x(&pair[1]));
        let share = (at - from) / (to - from);
        (from <= at && at <= to && from < to).then(|| y(&pair[0]) + share * (y(&pair[1]) - y(&pair[0])))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(of: &[(u64, f64)]) -> Vec<Point> {
        let point = |&(bytes, metric)| Point {
            quality: 50,
            bytes,
            psnr_y: metric,
            ssimulacra2: metric,
            ssimulacra2_level_1: metric + 3.0,
            container: None,
        };
        of.iter().map(point).collect()
    }

    #[test]
    fn bytes_are_interpolated_in_their_logarithm() {
        let jpeg = points(&[(100, 60.0), (400, 80.0), (1600, 90.0)]);
        let microtome = points(&[(100, 70.0), (400, 86.0)]);
        let equal = Ladders { jpeg, microtome }.equal(SSIMULACRA2);
        assert_eq!(equal[0].jpeg_bytes, Some(200.0));
        assert_eq!(equal[0].microtome_bytes, Some(100.0));
        assert_eq!(equal[0].ratio, Some(0.5));
        assert_eq!(equal[1].jpeg_bytes, Some(400.0));
        assert_eq!(
            (equal[3].jpeg_bytes, equal[3].microtome_bytes, equal[3].ratio),
            (Some(1600.0), None, None)
        );
    }

    #[test]
    fn a_ladder_that_steps_back_is_read_where_it_first_passes() {
        let ladders =
            Ladders { jpeg: points(&[(100, 60.0), (110, 59.0), (400, 90.0)]), microtome: points(&[]) };
        assert_eq!(ladders.level_1(59.5), [Some(62.5), None]);
        assert_eq!(ladders.level_1(91.0), [None, None]);
    }
}
