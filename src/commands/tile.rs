//! `microtome tile`: one tile as a viewer gets it.

use std::io::Write;
use std::path::PathBuf;

use microtome_slide::{Slide, TileId};

use crate::failure::Failure;
use crate::publish;

/// Write one tile's JPEG.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The container.
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
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let slide = Slide::open(&arguments.file)?;
    let tile = TileId { level: arguments.level, column: arguments.column, row: arguments.row };
    let Some(grid) = slide.levels().get(usize::from(tile.level)) else {
        return Err(Failure::Usage(format!(
            "{tile} is outside the slide: its levels are 0 to {}",
            slide.levels().len() - 1
        )));
    };
    if tile.column >= grid.columns() || tile.row >= grid.rows() {
        let bounds = format!("{} columns and {} rows", grid.columns(), grid.rows());
        return Err(Failure::Usage(format!("{tile} is outside the slide: that level has {bounds}")));
    }
    let jpeg = slide.tile(tile)?;
    if arguments.output.as_os_str() == "-" {
        return Ok(std::io::stdout().write_all(&jpeg)?);
    }
    publish::refuse_existing(&arguments.output)?;
    publish::file(&arguments.output, publish::folder(&arguments.output), &jpeg)
}
