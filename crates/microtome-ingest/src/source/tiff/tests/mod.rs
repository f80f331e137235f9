//! TIFF files written by a small writer, read back; files that lie; files of others.

mod codecs;
mod deep;
mod files;
mod leica;
mod lies;
mod ndpi;
mod ndpi_writer;
mod ome;
mod philips;
mod planted;
mod round_trip;
mod slides;
mod ventana;
mod ventana_lies;
mod ventana_placed;
mod writer;

use std::io::Write;

use microtome_container::geometry::Rect;

use super::open;
use crate::Error;
use crate::source::{Content, Pixels, Source, Tiles};

/// Opens bytes as a file.
fn open_bytes(bytes: &[u8]) -> Result<Source, Error> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("writes");
    open(file.path())
}

fn pixels(source: &Source) -> &dyn Pixels {
    match &source.content {
        Content::Pixels(pixels) => pixels.as_ref(),
        Content::Tiles(_) => unreachable!("these sources are read as pixels: {:?}", source.notices),
    }
}

fn tiles(source: &Source) -> &dyn Tiles {
    match &source.content {
        Content::Tiles(tiles) => tiles.as_ref(),
        Content::Pixels(_) => unreachable!("these sources are tiles: {:?}", source.notices),
    }
}

fn whole(source: &Source) -> Rect {
    Rect { x: 0, y: 0, width: source.width, height: source.height }
}

/// The error of an open that must fail.
fn refusal(bytes: &[u8]) -> Error {
    open_bytes(bytes).err().expect("such a file is refused")
}
