//! `microtome bench family`: what a base tile and its descendants cost from container bytes, on one core.

use std::path::PathBuf;

use microtome_slide::{Grid, Slide, TileId};

use super::targets::{FAMILY, Target};
use super::timing::{median, sample, timed};
use crate::failure::Failure;
use crate::output::{print, print_document};
use crate::table;

/// Families measured at most.
const FAMILIES: usize = 50;
/// Which ones: the same in every run.
const SEED: u64 = 1;
/// Level of base tiles.
const BASE: u8 = 2;
/// Descendants of a base tile: 4 of level 1, 16 of level 0.
const WHOLE: usize = 20;

/// Time families: a tile of level 2 with its 4 of level 1 and 16 of level 0, from container bytes to JPEG.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The container.
    file: PathBuf,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let path = arguments.file.display();
    let slide = Slide::open(&arguments.file)?;
    let Some(bases) = slide.levels().get(usize::from(BASE)) else {
        return Err(Failure::Failed(format!(
            "{path}: has no level {BASE}, so no families; choose a larger slide"
        )));
    };
    let families = families(&slide, bases);
    let tiles = families[0].descendants.len();
    let mut times = vec![];
    for family in &families {
        // Once to warm up what the system caches, once for the clock.
        family.read(&slide)?;
        let (result, seconds) = timed(|| family.read(&slide));
        result?;
        times.push(1e3 * seconds);
    }
    let time = median(&mut times).expect("a level has a tile");
    // A smaller family says nothing about the time of a whole one.
    let target = Target::new("family of 20, ms", FAMILY, (tiles == WHOLE).then_some(time));
    if arguments.json {
        let document = serde_json::json!({
            "file": path.to_string(),
            "families": families.len(),
            "tiles": tiles,
            "family_ms": time,
            "targets": [target],
        });
        return print_document(&document.to_string());
    }
    let count = table::count(families.len() as u64);
    print(&format!(
        "{path}: {count} families of {tiles} tiles and their base: median {time:.2} ms, one core"
    ))?;
    print("")?;
    Ok(table::print(&[Target::heads("against its target"), target.row()])?)
}

/// A base tile and the tiles that it is an ancestor of.
struct Family {
    base: TileId,
    descendants: Vec<TileId>,
}

/// A sample of the largest families there are: whole ones unless the slide is small.
fn families(slide: &Slide, bases: &Grid) -> Vec<Family> {
    let all = || {
        (0..bases.tiles()).map(|index| {
            let (column, row) = bases.position(index);
            Family::of(slide, TileId { level: BASE, column, row })
        })
    };
    let largest = all().map(|family| family.descendants.len()).max().unwrap_or(0);
    let mut whole: Vec<_> = all().filter(|family| family.descendants.len() == largest).map(Some).collect();
    let chosen = sample(whole.len() as u64, FAMILIES, SEED);
    chosen.into_iter().filter_map(|index| whole[index as usize].take()).collect()
}

impl Family {
    fn of(slide: &Slide, base: TileId) -> Self {
        let mut descendants = vec![];
        for level in (0..base.level).rev() {
            let (grid, scale) = (slide.levels()[usize::from(level)], 1 << (base.level - level));
            for row in (base.row * scale..(base.row + 1) * scale).take_while(|&row| row < grid.rows()) {
                let columns = base.column * scale..(base.column + 1) * scale;
                let inside = columns.take_while(|&column| column < grid.columns());
                descendants.extend(inside.map(|column| TileId { level, column, row }));
            }
        }
        Self { base, descendants }
    }

    /// Reads and decodes all tiles.
    ///
    /// The place for the base tile: a codec that predicts from it decodes it once here, inside the clock, and hands it
    /// to the descendants.
    fn read(&self, slide: &Slide) -> Result<(), Failure> {
        slide.fetch(self.base)?.decode()?;
        for &tile in &self.descendants {
            slide.fetch(tile)?.decode()?;
        }
        Ok(())
    }
}
