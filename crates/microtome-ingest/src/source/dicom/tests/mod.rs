//! DICOM files written by a small writer, read back; series of files; files that lie.

mod lies;
mod samples;
mod series;
mod slides;
pub(crate) mod writer;

use std::path::Path;

use microtome_codec::Rgb;
use microtome_codec::turbo::{self, Subsampling};
use microtome_container::geometry::Rect;

use self::writer::{File, JPEG, Pixels, Table, text};
use super::open;
use crate::Error;
use crate::source::{Content, Source, Tiles};

/// A picture that is another with every seed.
fn picture(width: u32, height: u32, seed: u32) -> Rgb {
    let mut image = Rgb::filled(width, height, [0; 3]);
    for (i, pixel) in (0_u32..).zip(image.data_mut().as_chunks_mut().0) {
        let (x, y) = (i % width, i / width);
        *pixel = [(x * 5 + seed * 40) as u8, (y * 7 + seed) as u8, (x * y / 8) as u8];
    }
    image
}

/// JPEG frames of `side` px for so many tiles; each of another picture, some of an odd length.
fn frames(count: u32, side: u32) -> Vec<Vec<u8>> {
    (0..count)
        .map(|seed| turbo::encode(&picture(side, side, seed), 80, Subsampling::Chroma420).expect("encodes"))
        .collect()
}

/// A level of JPEG tiles of 32 px, and its frames.
fn jpeg_level(width: u32, height: u32, fragments: usize, table: Table) -> (File, Vec<Vec<u8>>) {
    let count = width.div_ceil(32) * height.div_ceil(32);
    let frames = frames(count, 32);
    let file =
        File::of(JPEG, (width, height), (32, 32), count).with((0x0028, 0x0004), text("CS", "YBR_FULL_422"));
    (file.pixels(Pixels::Frames(frames.clone(), fragments, table)), frames)
}

/// Opens a file that is alone in its folder.
fn open_alone(file: &File) -> Result<Source, Error> {
    open_bytes(&file.bytes())
}

/// Opens bytes as a file that is alone in its folder.
fn open_bytes(bytes: &[u8]) -> Result<Source, Error> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.dcm");
    std::fs::write(&path, bytes).expect("writes");
    // Whatever is read later is read from the open file.
    open(&path)
}

fn refusal(file: &File) -> String {
    open_alone(file).err().expect("such a file is refused").to_string()
}

fn tiles(source: &Source) -> &dyn Tiles {
    match &source.content {
        Content::Tiles(tiles) => tiles.as_ref(),
        Content::Pixels(_) => unreachable!("these sources are tiles: {:?}", source.notices),
    }
}

/// All pixels of a source that is read as such.
fn all_pixels(source: &Source) -> Rgb {
    let Content::Pixels(pixels) = &source.content else { unreachable!("these sources are read as pixels") };
    pixels.read(Rect { x: 0, y: 0, width: source.width, height: source.height }).expect("reads")
}

fn open_folder(folder: &Path) -> Result<Source, Error> {
    crate::source::open(folder.to_str().expect("a name in UTF-8"))
}
