//! JPEG frames taken verbatim: which images qualify, which levels they are, and reading their bytes.
//!
//! PS3.5 annex A.4 (a frame is a JPEG stream, padded to an even length), PS3.3 C.8.12.4 (frames beyond the edge are
//! stored at full size), C.8.12.4 (sparse tiles): in the place of one that has no frame stands a white one. Not here: decoding for pixels.

use microtome_codec::jpeg::{self, Colour, Header};

use super::decode::{check_jpeg, colour_of, unpadded};
use super::format::Photometric;
use super::instance::Tiling;
use super::level::Level;
use super::syntax::Coding;
use crate::Error;
use crate::source::blank::blank_like;
use crate::source::{TileLevel, Tiles, level_of};

/// Sides of tiles that are taken verbatim.
const TILE_SIZES: std::ops::RangeInclusive<u32> = 16..=1024;

/// The levels of a slide that are JPEG tiles on one grid.
pub(super) struct JpegTiles {
    tile_size: u32,
    // Invariant: one image and one blank tile per level; it is empty where no tile is absent.
    levels: Vec<TileLevel>,
    images: Vec<Level>,
    blanks: Vec<Vec<u8>>,
}

/// The side of the tiles of an image, and whether they are padded to it, or why they cannot be taken verbatim.
pub(super) fn tile_size(image: &Level) -> Result<(u32, bool), String> {
    let Tiling { size, tile, .. } = image.tiling;
    if image.head().attributes.syntax.coding != Coding::Jpeg {
        return Err("it is not in JPEG frames".into());
    }
    if !image.format.plain {
        return Err("its grey is not as it is shown".into());
    }
    if image.first().is_none() {
        return Err("all of its tiles are absent".into());
    }
    // An image of one frame is the edge tile of a larger grid.
    let padded = size != tile;
    let side = if padded { tile.0 } else { tile.0.max(tile.1).max(*TILE_SIZES.start()) };
    if (padded && tile.0 != tile.1) || !TILE_SIZES.contains(&side) {
        return Err(format!(
            "its frames are {} x {} px (squares with a side of {} to {} px are taken)",
            tile.0,
            tile.1,
            TILE_SIZES.start(),
            TILE_SIZES.end()
        ));
    }
    Ok((side, padded))
}

impl JpegTiles {
    /// Starts with level 0, whose [`tile_size`] is given. Its first tile is checked.
    pub(super) fn new(image: Level, (tile_size, padded): (u32, bool)) -> Result<Self, Error> {
        let mut tiles = Self { tile_size, levels: vec![], images: vec![], blanks: vec![] };
        tiles.push(0, image, padded)?;
        Ok(tiles)
    }

    /// Says where the markers of the first frame tell other colours than the file: they are believed.
    pub(super) fn contradiction(&self) -> Result<Option<String>, Error> {
        let image = &self.images[0];
        let (header, _) = first_frame(image)?;
        let (said, of_file) = match image.format.photometric {
            _ if header.components.len() != 3 || self.levels[0].colour != Colour::AsStored => {
                return Ok(None);
            }
            Photometric::Rgb => (header.assumed_colour(), Colour::Rgb),
            _ => (header.assumed_colour(), Colour::YCbCr),
        };
        let what =
            "PhotometricInterpretation is not what the markers of the JPEG frames say, which are believed";
        Ok((said != of_file).then(|| what.to_owned()))
    }

    /// Adds an image if it is a level on the same grid; else the answer says why it is left out.
    pub(super) fn join(&mut self, image: Level) -> Result<Option<String>, Error> {
        let full = self.images[0].tiling.size;
        let Tiling { size, tile, .. } = image.tiling;
        let Some(number) = level_of(full, size) else {
            return Ok(Some("it is not level 0 halved a few times".to_owned()));
        };
        let padded = match tile_size(&image) {
            Err(obstacle) => return Ok(Some(obstacle)),
            Ok((side, true)) if side == self.tile_size => true,
            Ok((side, false)) if side <= self.tile_size => false,
            Ok(_) => {
                let what =
                    format!("its tiles are {} x {} px, those of level 0 {}", tile.0, tile.1, self.tile_size);
                return Ok(Some(what));
            }
        };
        // Each level may have colours of its own, but not in grey beside colour.
        let samples = [image.format.samples, self.images[0].format.samples];
        if samples[0] != samples[1] {
            let [its, those] = samples;
            return Ok(Some(format!("it has {its} samples per pixel, level 0 has {those}")));
        }
        if self.levels.iter().any(|level| level.level == number) {
            return Ok(Some(format!("level {number} is there already")));
        }
        self.push(number, image, padded)?;
        Ok(None)
    }

    /// Adds a level whose first tile that is there decodes, and keeps the levels in order.
    fn push(&mut self, level: u8, image: Level, padded: bool) -> Result<(), Error> {
        let (header, stream) = first_frame(&image)?;
        let (width, height) = image.tiling.size;
        let colour = colour_of(&header, &image.format);
        let at = self.levels.partition_point(|other| other.level < level);
        self.levels.insert(at, TileLevel { level, width, height, tables: vec![], colour, padded });
        self.blanks.insert(at, blank(&image, &header, colour, &stream)?);
        self.images.insert(at, image);
        Ok(())
    }
}

/// Markers and stream of the first tile that is there, which decodes.
fn first_frame(image: &Level) -> Result<(Header, Vec<u8>), Error> {
    let (column, row) = image.first().unwrap_or_default();
    image.pixels(column, row)?;
    let stream = frame(image, column, row)?;
    let header = jpeg::inspect(&stream).map_err(|error| image.malformed(column, row, error.to_string()))?;
    Ok((header, stream))
}

/// What stands in the place of tiles that are absent: a white one, stored like another. Empty where there are none.
fn blank(image: &Level, header: &Header, colour: Colour, stream: &[u8]) -> Result<Vec<u8>, Error> {
    if image.absent() == 0 {
        return Ok(vec![]);
    }
    let rgb = read_as(header, colour) == Colour::Rgb;
    let (column, row) = image.first().unwrap_or_default();
    blank_like(stream, 255, rgb, image.tiling.tile)
        .map_err(|error| image.malformed(column, row, error.to_string()))
}

/// The colours that a stream shows where it is given with `colour`.
fn read_as(header: &Header, colour: Colour) -> Colour {
    if colour == Colour::AsStored { header.assumed_colour() } else { colour }
}

/// The JPEG stream of a tile.
fn frame(image: &Level, column: u32, row: u32) -> Result<Vec<u8>, Error> {
    match image.bytes(column, row)? {
        Some(bytes) => Ok(unpadded(bytes)),
        None => Err(image.malformed(column, row, "there is no frame for this tile".to_owned())),
    }
}

/// Checks a tile's own markers: what they say of size and components, and that its colours are those of the level.
fn check(image: &Level, level: &TileLevel, stream: &[u8]) -> Result<(), String> {
    let header = jpeg::inspect(stream).map_err(|error| error.to_string())?;
    let (width, height) = image.tiling.tile;
    check_jpeg(&header, &image.format, width, height)?;
    // What the markers and the file say of this stream, and how all of the level are read.
    if read_as(&header, colour_of(&header, &image.format)) == read_as(&header, level.colour) {
        return Ok(());
    }
    Err("a JPEG whose colour markers are not those of the first frame".to_owned())
}

impl Tiles for JpegTiles {
    fn tile_size(&self) -> u32 {
        self.tile_size
    }

    fn overlap(&self) -> u32 {
        0
    }

    fn levels(&self) -> &[TileLevel] {
        &self.levels
    }

    fn tile(&self, index: usize, column: u32, row: u32) -> Result<Vec<u8>, Error> {
        let (image, level) = (&self.images[index], &self.levels[index]);
        let Some(bytes) = image.bytes(column, row)? else { return Ok(self.blanks[index].clone()) };
        let stream = unpadded(bytes);
        check(image, level, &stream).map_err(|what| image.malformed(column, row, what))?;
        Ok(stream)
    }

    fn is_absent(&self, index: usize, column: u32, row: u32) -> bool {
        self.images[index].is_absent(column, row)
    }

    fn place(&self, index: usize, column: u32, row: u32) -> String {
        self.images[index].place(column, row)
    }
}
