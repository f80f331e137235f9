//! Hamamatsu NDPI: classic TIFF with 64-bit offsets, and one JPEG per level.
//!
//! Which page is what follows from its SourceLens: a magnification is a level, -1 the macro image, -2 the map of what was
//! scanned. As OpenSlide documents the format (<https://openslide.org/formats/hamamatsu/>). Tiles of 256 px are cut out of
//! the coefficients of the JPEG, which stay what they are. Not here: focal planes other than z = 0, and JPEG XR.

mod properties;
mod scan;
mod tiles;

use super::ifd::{Directory, Tiff};
use super::tag::{SOURCE_LENS, Tag, Z_OFFSET};
use super::{associated, properties as tiff_properties};
use crate::Error;
use crate::source::{Associated, Content, Source};

use scan::Scan;
use tiles::NdpiTiles;

/// Opens an NDPI file.
pub(super) fn open(tiff: Tiff) -> Result<Source, Error> {
    let pages = Pages::sort(&tiff)?;
    let mut notices = pages.notices;
    let Some((first, lens)) = pages.levels.first() else {
        return Err(tiff.unsupported("pages", "an NDPI without an image in focal plane 0"));
    };
    let tags = tiff_properties::Tags::read(&tiff, first, &mut notices)?;
    let objective_power = Some(*lens);
    let mut properties = tags.properties;
    properties.extend(properties::read(&tiff, first)?);
    properties.extend(tiff_properties::normalised("hamamatsu", tags.mpp, objective_power));

    let scan = Scan::read(&tiff, first)?;
    let (width, height) = (scan.width, scan.height);
    let mut tiles = NdpiTiles::new(tiff, scan)?;
    for (directory, _) in &pages.levels[1..] {
        let scan = Scan::read(tiles.tiff(), directory);
        let left_out = match scan.and_then(|scan| tiles.join(scan)) {
            Err(Error::Unsupported { what, .. }) => Some(what),
            other => other?,
        };
        notices.extend(left_out.map(|why| format!("{} is left out as a level: {why}", directory.place)));
    }
    Ok(Source {
        width,
        height,
        format: "hamamatsu-ndpi",
        content: Content::Tiles(Box::new(tiles)),
        properties,
        mpp: tags.mpp,
        objective_power,
        icc_profile: tags.icc_profile,
        associated: pages.associated,
        notices,
    })
}

/// The one number of a tag, or `None` if there is none.
fn number(tiff: &Tiff, directory: &Directory, tag: Tag) -> Result<Option<f64>, Error> {
    Ok(tiff.reals(directory, tag, 1)?.first().copied().filter(|number| number.is_finite()))
}

/// The pages of a file by what they are.
struct Pages {
    /// Those of focal plane 0 with their magnification, the highest first.
    levels: Vec<(Directory, f64)>,
    associated: Vec<Associated>,
    notices: Vec<String>,
}

impl Pages {
    fn sort(tiff: &Tiff) -> Result<Self, Error> {
        let mut pages = Self { levels: vec![], associated: vec![], notices: vec![] };
        let (mut out_of_focus, mut strangers) = (0, vec![]);
        for directory in tiff.directories()? {
            let lens = number(tiff, &directory, SOURCE_LENS)?.unwrap_or(0.0);
            let z = number(tiff, &directory, Z_OFFSET)?.unwrap_or(0.0);
            if lens > 0.0 && z == 0.0 {
                pages.levels.push((directory, lens));
            } else if lens > 0.0 {
                out_of_focus += 1;
            } else if lens == -1.0 {
                pages.associate(tiff, &directory, "macro")?;
            } else if lens == -2.0 {
                pages.associate(tiff, &directory, "map")?;
            } else {
                strangers.push(directory.place);
            }
        }
        pages.levels.sort_by(|a, b| b.1.total_cmp(&a.1));
        if out_of_focus > 0 {
            pages.notices.push(format!("{out_of_focus} pages of other focal planes than z = 0 are left out"));
        }
        if !strangers.is_empty() {
            pages.notices.push(format!("left out, having no magnification: {}", strangers.join(", ")));
        }
        Ok(pages)
    }

    /// Adds an associated image; a damaged one must not lose the slide.
    fn associate(&mut self, tiff: &Tiff, directory: &Directory, name: &str) -> Result<(), Error> {
        match associated::read(tiff, directory, name) {
            Ok(image) if self.associated.iter().any(|other| other.name == image.name) => {
                self.notices.push(format!("{} is left out: a second {name}", directory.place));
            }
            Ok(image) => self.associated.push(image),
            Err(error) => self.notices.push(error.leaves_image_out()?),
        }
        Ok(())
    }
}
