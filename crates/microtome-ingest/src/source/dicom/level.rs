//! An image of a slide, of one file or of a concatenation: its tiles by column and row.
//!
//! Not here: what is made of a tile's bytes.

use super::attributes::FramePlace;
use super::decode;
use super::format::Format;
use super::frames::Frames;
use super::instance::{ABSENT, Instance, Order, Planes, Tiling, full_order, sparse_order};
use crate::Error;
use microtome_codec::Rgb;

/// An image in tiles.
pub(super) struct Level {
    pub(super) tiling: Tiling,
    pub(super) format: Format,
    /// What the frames are in all, of which one plane is shown.
    pub(super) planes: Planes,
    order: Order,
    parts: Vec<Part>,
}

/// A file of an image.
struct Part {
    instance: Instance,
    frames: Frames,
    /// Number of its first frame in the image, from 0.
    first: u64,
    count: u64,
}

impl Level {
    /// Joins the files of an image, which are all there are of it.
    ///
    /// # Errors
    /// What is wrong with the files, or does not fit together.
    pub(super) fn new(mut instances: Vec<Instance>) -> Result<Self, Error> {
        instances.sort_by_key(Instance::part);
        let mut parts: Vec<Part> = vec![];
        let mut common: Option<(Tiling, Format)> = None;
        for instance in instances {
            let (tiling, format, count) = (instance.tiling()?, instance.format()?, instance.frames()?);
            let first = parts.last().map_or(0, |part| part.first + part.count);
            if let Some((others, other)) = &common
                && (*others != tiling || *other != format)
            {
                let what = "other sizes or samples than the parts before it";
                return Err(instance.file.malformed("concatenation", what));
            }
            if instance.part() != (parts.len() as u64, first) {
                let (number, frame) = instance.part();
                let what = format!(
                    "part {} from frame {frame} on, where part {} from frame {first} on must come; a file is missing",
                    number + 1,
                    parts.len() + 1
                );
                return Err(instance.file.malformed("concatenation", what));
            }
            let frames = instance.places(&format, &tiling)?;
            common.get_or_insert((tiling, format));
            parts.push(Part { instance, frames, first, count });
        }
        let (Some((tiling, format)), Some(head)) = (common, parts.first()) else {
            unreachable!("an image has at least one file");
        };
        let stated = parts.iter().filter_map(|part| part.instance.parts()).max();
        if let Some(stated) = stated.filter(|stated| *stated != parts.len() as u64) {
            let what = format!("{} parts of {stated}; a file is missing", parts.len());
            return Err(head.instance.file.malformed("InConcatenationTotalNumber", what));
        }
        let count = parts.iter().map(|part| part.count).sum();
        let (file, planes) = (&head.instance.file, head.instance.planes());
        let (order, planes) = match head.instance.is_sparse() {
            true => sparse_order(file, &tiling, &places(&parts), count)?,
            false => full_order(file, &tiling, planes, count)?,
        };
        for part in &mut parts {
            // They take as much as the rest together, and have served.
            part.instance.attributes.frames = vec![];
        }
        Ok(Self { tiling, format, planes, order, parts })
    }

    /// The first file, which speaks for all.
    pub(super) fn head(&self) -> &Instance {
        &self.parts[0].instance
    }

    /// Tiles that have no frame.
    pub(super) fn absent(&self) -> usize {
        match &self.order {
            Order::Full { .. } => 0,
            Order::Sparse(order) => order.iter().filter(|&&frame| frame == ABSENT).count(),
        }
    }

    /// Whether a tile has no frame.
    pub(super) fn is_absent(&self, column: u32, row: u32) -> bool {
        self.frame(column, row).is_none()
    }

    /// Column and row of the first tile that has a frame, if one has.
    pub(super) fn first(&self) -> Option<(u32, u32)> {
        let index = match &self.order {
            Order::Full { .. } => 0,
            Order::Sparse(order) => order.iter().position(|&frame| frame != ABSENT)? as u32,
        };
        Some((index % self.tiling.columns, index / self.tiling.columns))
    }

    /// The part and the frame in it that a tile is, or `None` for a tile that has none.
    fn frame(&self, column: u32, row: u32) -> Option<(&Part, u64)> {
        let tile = u64::from(row) * u64::from(self.tiling.columns) + u64::from(column);
        let frame = match &self.order {
            Order::Full { first } => first + tile,
            Order::Sparse(order) => {
                u64::from(order.get(tile as usize).copied().filter(|&frame| frame != ABSENT)?)
            }
        };
        let part = self.parts.iter().rev().find(|part| part.first <= frame)?;
        Some((part, frame - part.first))
    }

    /// What messages call a tile.
    pub(super) fn place(&self, column: u32, row: u32) -> String {
        match self.frame(column, row) {
            Some((part, frame)) => {
                format!(
                    "{} frame {} (column {column} row {row})",
                    part.instance.file.path().display(),
                    frame + 1
                )
            }
            None => format!("{} column {column} row {row}", self.head().file.path().display()),
        }
    }

    /// The bytes of a tile as they are stored, or `None` if it has no frame.
    pub(super) fn bytes(&self, column: u32, row: u32) -> Result<Option<Vec<u8>>, Error> {
        let Tiling { columns, rows, .. } = self.tiling;
        if column >= columns || row >= rows {
            let place = format!("column {column} row {row}");
            return Err(self.head().file.malformed(place, "is outside the tile grid"));
        }
        let Some((part, frame)) = self.frame(column, row) else { return Ok(None) };
        part.frames.bytes(&part.instance.file, frame).map(Some)
    }

    /// The pixels of a tile at the full size of a tile; white if it has no frame.
    pub(super) fn pixels(&self, column: u32, row: u32) -> Result<Rgb, Error> {
        let (width, height) = self.tiling.tile;
        let Some(bytes) = self.bytes(column, row)? else {
            return Ok(Rgb::filled(width, height, [255; 3]));
        };
        let coding = self.head().attributes.syntax.coding;
        decode::decode(coding, &self.format, bytes, self.tiling.tile)
            .map_err(|what| self.malformed(column, row, what))
    }

    /// An error about a tile.
    pub(super) fn malformed(&self, column: u32, row: u32, what: String) -> Error {
        let file = self.frame(column, row).map_or(&self.head().file, |(part, _)| &part.instance.file);
        let frame = self.frame(column, row).map_or(0, |(_, frame)| frame + 1);
        file.malformed(format!("frame {frame} (column {column} row {row})"), what)
    }
}

/// The places of the frames of all parts. Each part names its optical paths with numbers of its own.
fn places(parts: &[Part]) -> Vec<FramePlace> {
    let mut names: Vec<&[u8]> = vec![];
    let mut all = vec![];
    for part in parts {
        let attributes = &part.instance.attributes;
        for frame in &attributes.frames {
            let name = attributes.paths.get(frame.path as usize).map_or(&[][..], |name| &name[..]);
            let path = names.iter().position(|known| *known == name).unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            });
            all.push(FramePlace { path: path as u32, ..*frame });
        }
    }
    all
}
