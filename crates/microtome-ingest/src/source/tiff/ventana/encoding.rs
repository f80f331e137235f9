//! The XML of level 0 of a BIF: the areas that were scanned, and by how much the tiles of each overlap.
//!
//! `EncodeInfo`, as OpenSlide (<https://openslide.org/formats/ventana/>) and Roche's white paper on BIF (version 1.0)
//! describe it. Tiles are stored row by row; joints number them from the lower left, every second row from right to left.
//! Not here: what becomes of the overlaps.

use std::ops::RangeInclusive;

use roxmltree::Node;

use super::super::xml::children;

/// More areas than anyone marks on a slide.
const MAX_AREAS: usize = 1024;
/// Farthest from the corner that an area can lie on the stage, in pixels.
const MAX_POSITION: f64 = 1e9;

/// What is wrong with the document: where in it, and what.
pub(super) type Wrong = (String, String);

/// An area that was scanned.
#[derive(Debug, PartialEq)]
pub(super) struct Area {
    /// Column and row of its first tile among all of the image.
    pub(super) first: (u32, u32),
    /// At least 1.
    pub(super) columns: u32,
    /// At least 1.
    pub(super) rows: u32,
    /// Left and lower edge on the stage, in pixels, counted upwards.
    pub(super) stage: (f64, f64),
    /// Overlaps of neighbouring columns, one fewer than these.
    pub(super) across: Vec<Mean>,
    /// Overlaps of neighbouring rows, one fewer than these.
    pub(super) down: Vec<Mean>,
}

/// Overlaps weighted by how sure the scanner is of them.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Mean {
    pub(super) sum: f64,
    pub(super) weight: f64,
}

impl Mean {
    fn add(&mut self, overlap: f64, weight: f64) {
        self.sum += overlap * weight;
        self.weight += weight;
    }

    /// The mean, 0 of none.
    pub(super) fn value(self) -> f64 {
        if self.weight > 0.0 { self.sum / self.weight } else { 0.0 }
    }

    /// The mean of many.
    pub(super) fn of<'a>(means: impl Iterator<Item = &'a Self>) -> f64 {
        means
            .fold(Self::default(), |all, one| Self {
                sum: all.sum + one.sum,
                weight: all.weight + one.weight,
            })
            .value()
    }
}

/// Reads the areas of a document about an image of `columns` x `rows` tiles of the size `tile`. There is none where the
/// document says nothing of them.
pub(super) fn read(root: Node<'_, '_>, grid: (u32, u32), tile: (u32, u32)) -> Result<Vec<Area>, Wrong> {
    if root.tag_name().name() != "EncodeInfo" {
        return Err(wrong("root", format!("is {:?}, not EncodeInfo", root.tag_name().name())));
    }
    let stitching = || children(root, "SlideStitchInfo");
    let infos: Vec<_> = stitching().flat_map(|node| children(node, "ImageInfo")).collect();
    let origins: Vec<_> =
        children(root, "AoiOrigin").flat_map(|node| node.children().filter(Node::is_element)).collect();
    if infos.len() != origins.len() || infos.len() > MAX_AREAS {
        let what = format!(
            "{} ImageInfo and {} areas in AoiOrigin (as many of both are expected, at most {MAX_AREAS})",
            infos.len(),
            origins.len()
        );
        return Err(wrong("SlideStitchInfo", what));
    }
    let mut areas: Vec<Area> = Vec::new();
    for (number, (info, origin)) in infos.iter().zip(origins).enumerate() {
        let place = format!("ImageInfo {number}");
        let at = |what| wrong(&place, what);
        if integer(*info, "AOIScanned", 0..=1).map_err(at)? == 0 {
            continue;
        }
        let mut area = Area::read(*info, origin, grid, tile).map_err(at)?;
        if areas.iter().any(|other| other.shares_tiles_with(&area)) {
            return Err(at("its tiles are those of another area".to_owned()));
        }
        for (number, joint) in children(*info, "TileJointInfo").enumerate() {
            area.join(joint, tile)
                .map_err(|what| wrong(&format!("{place}, TileJointInfo {number}"), what))?;
        }
        areas.push(area);
    }
    if areas.is_empty() && !infos.is_empty() {
        return Err(wrong("SlideStitchInfo", "none of its areas was scanned (AOIScanned)".to_owned()));
    }
    Ok(areas)
}

fn wrong(place: &str, what: String) -> Wrong {
    (place.to_owned(), what)
}

/// The first frame of the focal plane 0 that is not listed row by row, with its `XY`: the order of frames is that of tiles.
pub(super) fn frame_out_of_order<'a>(root: Node<'a, '_>) -> Option<(usize, &'a str)> {
    let lists = root.descendants().filter(|node| node.tag_name().name() == "FrameInfo");
    lists.into_iter().find_map(|list| {
        let mut last = None;
        let frames = children(list, "Frame").filter(|frame| matches!(frame.attribute("Z"), None | Some("0")));
        frames.enumerate().find_map(|(number, frame)| {
            let text = frame.attribute("XY").unwrap_or_default();
            let at = text.split_once(',').and_then(|(column, row)| {
                Some((row.trim().parse::<u32>().ok()?, column.trim().parse::<u32>().ok()?))
            });
            let in_order = at.is_some() && at > last;
            last = at;
            (!in_order).then_some((number, text))
        })
    })
}

impl Area {
    fn read(
        info: Node<'_, '_>,
        origin: Node<'_, '_>,
        (grid_columns, grid_rows): (u32, u32),
        tile: (u32, u32),
    ) -> Result<Self, String> {
        for (name, side) in [("Width", tile.0), ("Height", tile.1)] {
            let said = integer(info, name, 1..=i64::from(u32::MAX))?;
            if said != side {
                return Err(format!("{name} is {said}, and tiles have {side} px"));
            }
        }
        let first = |name, side: u32, count: u32| {
            let pixels = integer(origin, name, 0..=i64::from(side) * i64::from(count))?;
            match pixels.is_multiple_of(side) {
                true => Ok(pixels / side),
                false => {
                    Err(format!("{name} of its origin is {pixels}, no multiple of the {side} px of a tile"))
                }
            }
        };
        let first = (first("OriginX", tile.0, grid_columns)?, first("OriginY", tile.1, grid_rows)?);
        let columns = integer(info, "NumCols", 1..=i64::from(grid_columns) - i64::from(first.0))?;
        let rows = integer(info, "NumRows", 1..=i64::from(grid_rows) - i64::from(first.1))?;
        // Whole numbers, sometimes written as 12.000.
        let stage = |name| number(info, name, 0.0..=MAX_POSITION).map(f64::trunc);
        Ok(Self {
            first,
            columns,
            rows,
            stage: (stage("Pos-X")?, stage("Pos-Y")?),
            across: vec![Mean::default(); columns as usize - 1],
            down: vec![Mean::default(); rows as usize - 1],
        })
    }

    fn shares_tiles_with(&self, other: &Self) -> bool {
        let meet = |a: u32, length: u32, b: u32, other: u32| a < b + other && b < a + length;
        meet(self.first.0, self.columns, other.first.0, other.columns)
            && meet(self.first.1, self.rows, other.first.1, other.rows)
    }

    /// Column and row, from the upper left, of the tile that joints call `number`.
    fn cell(&self, number: u32) -> (u32, u32) {
        let (column, row) = ((number - 1) % self.columns, (number - 1) / self.columns);
        let column = if row % 2 == 1 { self.columns - 1 - column } else { column };
        (column, self.rows - 1 - row)
    }

    /// Takes the overlap of two neighbours. LEFT joins the same tiles as RIGHT, and DOWN as UP.
    fn join(&mut self, joint: Node<'_, '_>, tile: (u32, u32)) -> Result<(), String> {
        // The image has far fewer tiles than 2^32.
        let tiles = i64::from(self.columns) * i64::from(self.rows);
        let (one, other) = (integer(joint, "Tile1", 1..=tiles)?, integer(joint, "Tile2", 1..=tiles)?);
        let (a, b) = (self.cell(one), self.cell(other));
        let beside = a.1 == b.1 && a.0.abs_diff(b.0) == 1;
        let above = a.0 == b.0 && a.1.abs_diff(b.1) == 1;
        let direction = joint.attribute("Direction").unwrap_or_default();
        let (mean, name, side) = match direction {
            "LEFT" | "RIGHT" if beside => (&mut self.across[a.0.min(b.0) as usize], "OverlapX", tile.0),
            "UP" | "DOWN" if above => (&mut self.down[a.1.min(b.1) as usize], "OverlapY", tile.1),
            "LEFT" | "RIGHT" | "UP" | "DOWN" => {
                return Err(format!(
                    "its tiles {one} and {other} are no neighbours in the direction {direction}"
                ));
            }
            other => {
                return Err(format!("Direction is {:?} (LEFT, RIGHT, UP or DOWN is expected)", shown(other)));
            }
        };
        let most = f64::from(side / 2);
        mean.add(number(joint, name, -most..=most)?, number(joint, "Confidence", 0.0..=100.0)?);
        Ok(())
    }
}

/// The start of a text, for messages.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

fn number(node: Node<'_, '_>, name: &str, range: RangeInclusive<f64>) -> Result<f64, String> {
    let Some(text) = node.attribute(name) else { return Err(format!("{name} is missing")) };
    let value = text.trim().parse().ok().filter(|value| range.contains(value));
    value.ok_or_else(|| {
        format!("{name} is {:?} ({} to {} is expected)", shown(text), range.start(), range.end())
    })
}

/// A whole number in a range that does not leave those of a `u32`.
fn integer(node: Node<'_, '_>, name: &str, range: RangeInclusive<i64>) -> Result<u32, String> {
    let Some(text) = node.attribute(name) else { return Err(format!("{name} is missing")) };
    let value = text.trim().parse().ok().filter(|value| range.contains(value));
    value.and_then(|value| u32::try_from(value).ok()).ok_or_else(|| {
        format!("{name} is {:?} ({} to {} is expected)", shown(text), range.start(), range.end())
    })
}
