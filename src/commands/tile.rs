//! `microtome tile`: one tile as a viewer gets it, or as its source had it.

use std::path::PathBuf;

use bytes::Bytes;
use microtome_slide::{Slide, TileId};

use crate::containers;
use crate::failure::Failure;
use crate::output;
use crate::publish;

/// Write one tile's JPEG.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The container, or `s3://BUCKET/KEY`.
    file: PathBuf,
    /// Level; 0 is full resolution.
    level: u8,
    /// Column from the left, from 0.
    column: u32,
    /// Row from the top, from 0.
    row: u32,
    /// The JPEG file, or - for standard output. Nothing that exists is replaced.
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// The tile just as the source had it: a JPEG stream that may lack tables, and be padded at the slide's edge.
    #[arg(long)]
    original: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let end = arguments.output.extension().unwrap_or_default().to_ascii_lowercase();
    if ["png", "tif", "tiff", "webp"].iter().any(|other| end == *other) {
        let path = arguments.output.display();
        return Err(Failure::Usage(format!("{path}: tiles are JPEG: OUT is to end in .jpg")));
    }
    let slide = containers::open(&arguments.file)?;
    let tile = TileId { level: arguments.level, column: arguments.column, row: arguments.row };
    let name = arguments.file.display();
    let Some(grid) = slide.levels().get(usize::from(tile.level)) else {
        return Err(Failure::Usage(format!(
            "{name}: {tile} is outside the slide: its levels are 0 to {}",
            slide.levels().len() - 1
        )));
    };
    if tile.column >= grid.columns() || tile.row >= grid.rows() {
        let bounds = format!("{} columns and {} rows", grid.columns(), grid.rows());
        return Err(Failure::Usage(format!("{name}: {tile} is outside the slide: that level has {bounds}")));
    }
    let jpeg = if arguments.original { original(&slide, tile)? } else { slide.tile(tile)? };
    if arguments.output.as_os_str() == "-" {
        return output::write(&jpeg);
    }
    publish::refuse_existing(&arguments.output)?;
    publish::file(&arguments.output, publish::folder(&arguments.output), &jpeg)
}

/// The tile as the source had it, which is there for levels that were kept.
fn original(slide: &Slide, tile: TileId) -> Result<Bytes, Failure> {
    let name = slide.container().path().display();
    let columns = slide.levels()[usize::from(tile.level)].columns();
    let number = u64::from(tile.row) * u64::from(columns) + u64::from(tile.column);
    let absent = &slide.metadata().absent;
    let blank = absent.iter().find(|absent| absent.level == tile.level && absent.contains(number));
    if let Some(blank) = blank {
        let what = if blank.undecodable {
            "the source's tile could not be decoded"
        } else {
            "the source has no such tile"
        };
        return Err(Failure::Failed(format!("{name}: {tile}: {what}; leave out --original")));
    }
    let kept = slide.metadata().is_verbatim(tile.level);
    let record = if kept { slide.fetch(tile)?.record()? } else { None };
    record.ok_or_else(|| {
        let kept: Vec<_> = (0..slide.levels().len() as u8)
            .filter(|&level| slide.metadata().is_verbatim(level))
            .map(|level| level.to_string())
            .collect();
        let kept = if kept.is_empty() { "none was".to_owned() } else { kept.join(", ") };
        Failure::Failed(format!(
            "{name}: {tile}: the source's tiles of that level were not kept (of its levels: {kept}); leave out --original"
        ))
    })
}
