//! Ventana BIF, of Roche's and BioImagene's scanners: a pyramid in tiles that may overlap at level 0, and XML about it.
//!
//! As OpenSlide (<https://openslide.org/formats/ventana/>) and Roche's white paper on BIF (version 1.0) describe the format.
//! Where the tiles of level 0 abut they are kept, with all levels; where they overlap, their pixels are put together, and
//! the coarser levels, in which the overlaps were never taken out, are made anew. Not here: TIFF.

mod encoding;
mod layout;
mod mosaic;
mod scan;

use std::sync::Arc;

use microtome_container::geometry::Rect;

use super::content::{self, Level0};
use super::ifd::{Directory, Tiff};
use super::page::Page;
use super::tag::{IMAGE_DESCRIPTION, XMP};
use super::{associated, properties, xml};
use crate::Error;
use crate::source::{Associated, Content, Source};

use layout::Layout;
use mosaic::Mosaic;
use scan::Scan;

/// Elements and texts of the XML: a large slide has 100,000 joints and frames, with a line break before each.
const MAX_NODES: u32 = 1 << 20;

/// Bio-Formats' converter, which puts tiles together.
const INTO_PLAIN_TIFF: &str = "bfconvert IN OUT.ome.tif";

/// Whether a page says that the file is a Ventana slide.
pub(super) fn is_ventana(tiff: &Tiff, directories: &[Directory]) -> Result<bool, Error> {
    for directory in directories {
        if tiff.text(directory, XMP)?.is_some_and(|text| text.contains("<iScan")) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Opens a Ventana slide.
pub(super) fn open(tiff: &Arc<Tiff>, directories: Vec<Directory>) -> Result<Source, Error> {
    let mut scan = read_scan(tiff, &directories)?;
    let mut notices = std::mem::take(&mut scan.notices);
    let mut pages = Pages::sort(tiff, directories, &mut notices)?;
    let first = pages.levels.remove(0);
    let tags = properties::Tags::read(tiff, &first, &mut notices)?;
    let mut page = Page::read(tiff, &first)?;
    page.absent = [scan.white; 3];
    if page.chunks.focal_planes == 1 && scan.focal_planes > 1 {
        notices.push(format!("iScan tells of {} focal planes, of which the file has one", scan.focal_planes));
    }
    let layout = read_layout(tiff, &first, &page, scan.is_documented)?;
    scan.mpp = scan.mpp.or(tags.mpp);
    let mut properties = [tags.properties, scan.normalised()].concat();
    properties.append(&mut scan.properties);

    let (mut width, mut height) = page.orientation.size((page.width, page.height));
    let regions: Vec<Rect> = layout.iter().flat_map(Layout::regions).collect();
    let content = match layout {
        Some(layout) if !layout.is_grid => {
            (width, height) = (layout.width, layout.height);
            let what = if scan.is_documented { "by its own overlaps" } else { "by the mean overlap of all" };
            notices.extend(content::pixel_notices(
                &page,
                &format!(
                    "they overlap or lie in several areas, and are put together {what}, on whole pixels"
                ),
            ));
            Content::Pixels(Box::new(Mosaic::new(Arc::clone(tiff), page, layout)))
        }
        _ => Level0 { pages: vec![page], mask: None }.open(tiff, &pages.levels, &mut notices)?,
    };
    properties.extend(describe(&regions, (width, height)));
    Ok(Source {
        width,
        height,
        format: "ventana-bif",
        content,
        properties,
        mpp: scan.mpp,
        objective_power: scan.objective_power,
        icc_profile: tags.icc_profile,
        associated: pages.associated,
        notices,
    })
}

/// Micrometres, magnification and the like, from the first page that has them.
fn read_scan(tiff: &Tiff, directories: &[Directory]) -> Result<Scan, Error> {
    for directory in directories {
        let text = tiff.text(directory, XMP)?.unwrap_or_default();
        if !text.contains("<iScan") {
            continue;
        }
        let wrong = |what| tiff.malformed(format!("{}, {XMP}", directory.place), what);
        let document = xml::parse(text.trim(), MAX_NODES).map_err(wrong)?;
        let element = document.descendants().find(|node| node.tag_name().name() == "iScan");
        return element.map(Scan::read).ok_or_else(|| wrong("has no iScan element".to_owned()));
    }
    Err(tiff.malformed("header", "no page has an iScan element"))
}

/// Where the tiles of level 0 belong, if its XML says so.
fn read_layout(
    tiff: &Tiff,
    directory: &Directory,
    page: &Page,
    is_documented: bool,
) -> Result<Option<Layout>, Error> {
    let text = tiff.text(directory, XMP)?.unwrap_or_default();
    if !text.contains("<EncodeInfo") {
        return Ok(None);
    }
    let place = format!("{}, {XMP}", directory.place);
    let document = xml::parse(text.trim(), MAX_NODES).map_err(|what| tiff.malformed(&place, what))?;
    let root = document.root_element();
    let tile = (page.chunks.width, page.chunks.height);
    let areas = encoding::read(root, (page.chunks.columns, page.chunks.rows), tile)
        .map_err(|(within, what)| tiff.malformed(format!("{place}, {within}"), what))?;
    let unsupported = |what: String| tiff.unsupported_unless(&place, what, INTO_PLAIN_TIFF);
    if let Some((number, at)) = encoding::frame_out_of_order(root) {
        return Err(unsupported(format!(
            "Frame {number} is at {at:?}; tiles that are not stored row by row"
        )));
    }
    if areas.is_empty() {
        return Ok(None);
    }
    let layout = Layout::new(&areas, tile, is_documented).map_err(unsupported)?;
    let can_be_placed = page.chunks.tiled && page.orientation.is_upright();
    if !(layout.is_grid || can_be_placed) {
        return Err(unsupported("areas of an image that is stored turned or not in tiles".to_owned()));
    }
    Ok(Some(layout))
}

/// The scanned regions, and what encloses them if that is less than all, under OpenSlide's names.
fn describe(regions: &[Rect], (width, height): (u32, u32)) -> Vec<(String, String)> {
    let mut properties = vec![];
    let mut add = |name: &str, rect: &Rect| {
        for (side, value) in [("x", rect.x), ("y", rect.y), ("width", rect.width), ("height", rect.height)] {
            properties.push((format!("{name}{side}"), value.to_string()));
        }
    };
    for (number, region) in regions.iter().enumerate() {
        add(&format!("openslide.region[{number}]."), region);
    }
    let hull = regions.iter().copied().reduce(|a, b| {
        let (x, y) = (a.x.min(b.x), a.y.min(b.y));
        let (right, bottom) = ((a.x + a.width).max(b.x + b.width), (a.y + a.height).max(b.y + b.height));
        Rect { x, y, width: right - x, height: bottom - y }
    });
    if let Some(hull) = hull.filter(|hull| (hull.width, hull.height) != (width, height)) {
        add("openslide.bounds-", &hull);
    }
    properties
}

/// The pages of a file, by what they are.
struct Pages {
    /// The finest first; at least one.
    levels: Vec<Directory>,
    associated: Vec<Associated>,
}

impl Pages {
    /// Sorts pages by their descriptions.
    fn sort(tiff: &Tiff, directories: Vec<Directory>, notices: &mut Vec<String>) -> Result<Self, Error> {
        let mut levels: Vec<(u32, Directory)> = vec![];
        let mut associated: Vec<Associated> = vec![];
        for directory in directories {
            let description = tiff.text(&directory, IMAGE_DESCRIPTION)?.unwrap_or_default();
            let description = description.trim();
            if let Some(number) = description.split_whitespace().find_map(|word| word.strip_prefix("level="))
            {
                levels.push((level_number(tiff, &directory, number, &levels)?, directory));
                continue;
            }
            let place = &directory.place;
            // The whole glass, with its label.
            let name = match description {
                "Label_Image" | "Label Image" => "macro",
                "Thumbnail" => "thumbnail",
                other => {
                    let start: String = other.chars().take(40).collect();
                    notices.push(format!(
                        "{place} is left out, being no level, label image or thumbnail: {start:?}"
                    ));
                    continue;
                }
            };
            match associated::read(tiff, &directory, name) {
                Ok(_) if associated.iter().any(|other| other.name == name) => {
                    notices.push(format!("{place} is left out: a second {name}"));
                }
                Ok(image) => associated.push(image),
                Err(error) => notices.push(error.leaves_image_out()?),
            }
        }
        levels.sort_by_key(|(number, _)| *number);
        match levels.first() {
            Some((0, _)) => {
                Ok(Self { levels: levels.into_iter().map(|(_, page)| page).collect(), associated })
            }
            _ => Err(tiff.malformed("header", format!("no page has level=0 in its {IMAGE_DESCRIPTION}"))),
        }
    }
}

/// The number of a level that is none of those before it.
fn level_number(
    tiff: &Tiff,
    directory: &Directory,
    text: &str,
    others: &[(u32, Directory)],
) -> Result<u32, Error> {
    let wrong = |what| tiff.malformed(format!("{}, {IMAGE_DESCRIPTION}", directory.place), what);
    let Some(number) = text.parse().ok().filter(|number| *number < 32) else {
        let start: String = text.chars().take(20).collect();
        return Err(wrong(format!("level is {start:?} (0 to 31 is expected)")));
    };
    match others.iter().find(|(other, _)| *other == number) {
        Some((_, other)) => Err(wrong(format!("level is {number}, as {} says of itself", other.place))),
        None => Ok(number),
    }
}
