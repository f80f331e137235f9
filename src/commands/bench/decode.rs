//! `microtome bench decode`: what one detail tile costs from its record to JPEG, against libjpeg-turbo.

use std::path::PathBuf;

use microtome_codec::turbo::{self, Subsampling};
use microtome_slide::{FetchedTile, Slide, TileId};

use super::standard;
use super::targets::{DETAIL_TILE, Target};
use super::timing::{median, sample, timed};
use crate::failure::Failure;
use crate::output::{print, print_document};
use crate::table;

/// Tiles measured at most.
const TILES: usize = 200;
/// Which ones: the same in every run.
const SEED: u64 = 1;
/// Runs of each tile; the median counts.
const REPEATS: usize = 5;
/// Quality that the rival encodes at.
pub(super) const QUALITY: u8 = 80;

/// Time single tiles of level 0: from container bytes to JPEG, against decoding and encoding them anew.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The container.
    file: PathBuf,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Microseconds of each tile.
#[derive(Default)]
struct Times {
    fetch: Vec<f64>,
    decode: Vec<f64>,
    turbo: Vec<f64>,
    turbo_standard: Vec<f64>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let slide = Slide::open(&arguments.file)?;
    let grid = slide.levels()[0];
    let mut times = Times::default();
    for index in sample(grid.tiles(), TILES, SEED) {
        let (column, row) = grid.position(index);
        times.measure(&slide, TileId { level: 0, column, row })?;
    }
    let tiles = times.decode.len();
    let medians = [&mut times.fetch, &mut times.decode, &mut times.turbo, &mut times.turbo_standard]
        .map(|of| median(of).expect("a slide has a tile"));
    let [fetch, decode, turbo, turbo_standard] = medians;
    let target = Target::new("detail tile to JPEG / turbojpeg", DETAIL_TILE, Some(decode / turbo));
    if arguments.json {
        let document = serde_json::json!({
            "file": arguments.file.display().to_string(),
            "tiles": tiles,
            "fetch_us": fetch,
            "decode_us": decode,
            "turbo_us": turbo,
            "turbo_standard_tables_us": turbo_standard,
            "targets": [target],
        });
        return print_document(&document.to_string());
    }
    print(&format!(
        "{}: {} tiles of level 0, one core",
        arguments.file.display(),
        table::count(tiles as u64)
    ))?;
    print("")?;
    let line = |name: &str, time: f64| vec![name.to_owned(), format!("{time:.1}")];
    table::print(&[
        vec!["median of a tile".to_owned(), "us".to_owned()],
        line("fetch, checked", fetch),
        line("decode to JPEG", decode),
        line("turbojpeg decode and encode, optimised tables", turbo),
        line("turbojpeg decode and encode, standard tables", turbo_standard),
    ])?;
    print("")?;
    table::print(&[Target::heads("against its target"), target.row()])
}

impl Times {
    fn measure(&mut self, slide: &Slide, tile: TileId) -> Result<(), Failure> {
        let prepared = Prepared::new(slide, tile)?;
        let jpeg = prepared.decode()?;
        let jpeg = jpeg.as_ref();
        let rect = slide.levels()[0].tile_rect(tile.column, tile.row).expect("the tile is in the grid");
        let limit = u64::from(rect.width) * u64::from(rect.height);
        let failed = |error: microtome_codec::Error| Failure::Failed(format!("{tile}: {error}"));
        let turbo = || turbo::encode(&turbo::decode(jpeg, limit)?, QUALITY, Subsampling::Chroma420);
        self.fetch.push(repeated(|| Ok(slide.fetch(tile)?))?);
        self.decode.push(repeated(|| prepared.decode())?);
        self.turbo.push(repeated(|| turbo().map_err(failed))?);
        let standard = || standard::encode(&turbo::decode(jpeg, limit).map_err(failed)?, QUALITY);
        self.turbo_standard.push(repeated(standard)?);
        Ok(())
    }
}

/// A fetched detail tile with all that a server has at hand before it decodes it: its base tile is decoded outside the
/// clock, for that is what the slide's cache has when the second tile of a family is asked for.
struct Prepared {
    fetched: FetchedTile,
}

impl Prepared {
    fn new(slide: &Slide, tile: TileId) -> Result<Self, Failure> {
        // Decoding leaves the base tile's picture with the slide, where the next fetch finds it.
        slide.fetch(tile)?.decode()?;
        Ok(Self { fetched: slide.fetch(tile)? })
    }

    fn decode(&self) -> Result<impl AsRef<[u8]>, Failure> {
        Ok(self.fetched.decode()?)
    }
}

/// The median of several runs, in microseconds. The caller has run the same once: caches are warm.
fn repeated<T>(mut work: impl FnMut() -> Result<T, Failure>) -> Result<f64, Failure> {
    let mut times = vec![];
    for _ in 0..REPEATS {
        let (result, seconds) = timed(&mut work);
        result?;
        times.push(1e6 * seconds);
    }
    Ok(median(&mut times).expect("it ran"))
}
