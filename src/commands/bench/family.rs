//! `microtome bench family`: what a base tile and its descendants cost from container bytes, on one core.

use std::path::{Path, PathBuf};

use microtome_codec::coefficients::MAX_PIXELS;
use microtome_codec::turbo::{self, Subsampling};
use microtome_slide::{Grid, Slide, TileId, reference};

use super::decode::QUALITY;
use super::targets::{FAMILY, Target};
use super::timing::{median, ninetieth, sample, timed};
use crate::failure::Failure;
use crate::output::{print, print_document};
use crate::table;

/// Families measured at most.
const FAMILIES: usize = 100;
/// Which ones: the same in every run.
const SEED: u64 = 1;
/// Runs of each family; the fastest counts, for other work on the machine takes its turns in the longer ones.
const REPEATS: usize = 5;
/// Level of base tiles.
const BASE: u8 = 2;
/// Descendants of a base tile: 4 of level 1, 16 of level 0.
const WHOLE: usize = 20;

/// Time families: a tile of level 2 with its 4 of level 1 and 16 of level 0, from container bytes to JPEG, against
/// decoding and encoding the same tiles anew.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The container.
    file: PathBuf,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// A measured family.
#[derive(Debug, Clone, Copy)]
struct Measured {
    /// Of its JPEG tiles.
    bytes: usize,
    /// Milliseconds from container bytes to these.
    family: f64,
    /// Milliseconds that libjpeg-turbo takes to decode them and to encode their pixels.
    turbo: f64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let path = arguments.file.display();
    let slide = Slide::open(&arguments.file)?;
    let Some(bases) = slide.levels().get(usize::from(BASE)) else {
        return Err(Failure::Failed(format!(
            "{path}: has no level {BASE}, so no families; choose a larger slide"
        )));
    };
    let (tiles, families) = families(&slide, bases);
    let measured = families.into_iter().map(|base| Measured::new(&arguments.file, base));
    let mut measured: Vec<_> = measured.collect::<Result<_, _>>()?;
    measured.sort_by_key(|family| std::cmp::Reverse(family.bytes));
    let dense = &measured[..measured.len().div_ceil(4)];
    let [all, dense] = [&measured[..], dense].map(Times::of);
    // A smaller family says nothing about the time of a whole one.
    let target = Target::new("family of 20, ms", FAMILY, (tiles == WHOLE).then_some(all.family));
    if arguments.json {
        let document = serde_json::json!({
            "file": path.to_string(),
            "families": measured.len(),
            "tiles": tiles,
            "all": all,
            "densest_quarter": dense,
            "targets": [target],
        });
        return print_document(&document.to_string());
    }
    let count = table::count(measured.len() as u64);
    let families = if measured.len() == 1 { "family" } else { "families" };
    print(&format!(
        "{path}: {count} {families} of {tiles} tiles and their base, read and decoded, one core"
    ))?;
    print("")?;
    let heads = ["ms of a family", "median", "9 in 10", "turbojpeg decode and encode, median"];
    table::print(
        &[heads.map(str::to_owned), all.row("all"), dense.row("the densest quarter")].map(Vec::from),
    )?;
    print("")?;
    table::print(&[Target::heads("against its target"), target.row()])
}

/// What families take, in milliseconds.
#[derive(Debug, serde::Serialize)]
struct Times {
    #[serde(rename = "family_ms")]
    family: f64,
    #[serde(rename = "family_p90_ms")]
    ninetieth: f64,
    #[serde(rename = "turbo_ms")]
    turbo: f64,
}

impl Times {
    fn of(families: &[Measured]) -> Self {
        let times = |time: fn(&Measured) -> f64| families.iter().map(time).collect::<Vec<_>>();
        let has_one = "a level has a tile";
        Self {
            family: median(&mut times(|f| f.family)).expect(has_one),
            ninetieth: ninetieth(&mut times(|f| f.family)).expect(has_one),
            turbo: median(&mut times(|f| f.turbo)).expect(has_one),
        }
    }

    fn row(&self, name: &str) -> [String; 4] {
        let [family, ninetieth, turbo] =
            [self.family, self.ninetieth, self.turbo].map(|time| format!("{time:.2}"));
        [name.to_owned(), family, ninetieth, turbo]
    }
}

/// How many descendants the largest families have, and a sample of the base tiles of these: whole ones unless the slide
/// is small.
fn families(slide: &Slide, bases: &Grid) -> (usize, Vec<TileId>) {
    let all = (0..bases.tiles()).map(|index| {
        let (column, row) = bases.position(index);
        let base = TileId { level: BASE, column, row };
        (reference::descendants(slide.levels(), base).len(), base)
    });
    let all: Vec<_> = all.collect();
    let largest = all.iter().map(|(size, _)| *size).max().unwrap_or(0);
    let whole: Vec<_> = all.into_iter().filter(|(size, _)| *size == largest).map(|(_, base)| base).collect();
    let chosen = sample(whole.len() as u64, FAMILIES, SEED);
    (largest, chosen.into_iter().map(|index| whole[index as usize]).collect())
}

impl Measured {
    fn new(path: &Path, base: TileId) -> Result<Self, Failure> {
        // Once to warm up what the system caches, then for the clock.
        let tiles = read(&Slide::open(path)?, base)?;
        let (mut family, mut rival) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..REPEATS {
            // Opened anew: an open slide would have kept the base tile's samples.
            let slide = Slide::open(path)?;
            let (result, seconds) = timed(|| read(&slide, base));
            result?;
            family = family.min(1e3 * seconds);
            let (result, seconds) = timed(|| tiles.iter().try_for_each(|jpeg| encode_anew(jpeg.as_ref())));
            result.map_err(|error| Failure::Failed(format!("{base}: {error}")))?;
            rival = rival.min(1e3 * seconds);
        }
        Ok(Self { bytes: tiles.iter().map(|jpeg| jpeg.as_ref().len()).sum(), family, turbo: rival })
    }
}

/// Reads and decodes all tiles.
fn read(slide: &Slide, base: TileId) -> Result<Vec<impl AsRef<[u8]> + use<>>, Failure> {
    let family = slide.fetch_family(base)?;
    family.decode(base).map(|(_, jpeg)| Ok(jpeg?)).collect()
}

fn encode_anew(jpeg: &[u8]) -> Result<(), microtome_codec::Error> {
    turbo::encode(&turbo::decode(jpeg, MAX_PIXELS)?, QUALITY, Subsampling::Chroma420).map(drop)
}
