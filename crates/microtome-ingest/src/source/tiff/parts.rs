//! What each image of a file is: level 0, smaller versions of it, its mask, an associated image, or something else.
//!
//! TIFF 6.0 section 8 (NewSubfileType), TIFF Technical Note 1 (SubIFDs); Aperio's order of pages; OME-XML where it says
//! which. Not here: what is in them.

use super::associated;
use super::ifd::{Directory, Tiff};
use super::ome::Ome;
use super::tag::{IMAGE_LENGTH, IMAGE_WIDTH, NEW_SUBFILE_TYPE, TILE_WIDTH};
use crate::Error;
use crate::source::Associated;

/// NewSubfileType: a page is a smaller version of another.
const REDUCED: u64 = 1;
/// NewSubfileType: a page is a transparency mask of another.
const MASK: u64 = 4;

/// The IFDs of a file, by what they are.
pub(super) struct Parts {
    /// The page of level 0, or one for each channel; at least one.
    pub(super) full: Vec<Directory>,
    pub(super) mask: Option<Directory>,
    /// Smaller versions of level 0, not checked further.
    pub(super) reduced: Vec<Directory>,
    pub(super) associated: Vec<Associated>,
    /// What is left out.
    pub(super) notices: Vec<String>,
}

fn subfile_type(tiff: &Tiff, directory: &Directory) -> Result<u64, Error> {
    Ok(tiff.number_of(directory, NEW_SUBFILE_TYPE)?.unwrap_or(0))
}

/// What messages call a page of the chain.
fn place_of(page: usize) -> String {
    format!("page {page}")
}

impl Parts {
    /// Sorts the IFDs of a file.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if an image that is not the slide is larger; [`Error::Malformed`].
    pub(super) fn sort(
        tiff: &Tiff,
        mut directories: Vec<Directory>,
        aperio: bool,
        ome: Option<&Ome>,
    ) -> Result<Self, Error> {
        let full = match ome {
            Some(ome) => take_channels(tiff, &mut directories, ome)?,
            None => vec![take_first(tiff, &mut directories)?],
        };
        check_largest(tiff, &full[0], &directories)?;
        let notices = Vec::new();
        let mut parts = Self { full, mask: None, reduced: Vec::new(), associated: Vec::new(), notices };
        let children = format!("{} SubIFD ", parts.full[0].place);
        let mut strangers = Vec::new();
        for directory in directories {
            let kind = subfile_type(tiff, &directory)?;
            if kind & MASK != 0 {
                parts.add_mask(directory, kind);
            } else if let Some(name) = associated_in(tiff, &directory, aperio, ome)? {
                parts.associate(tiff, &directory, name)?;
            } else if directory.place.starts_with(&children)
                || ome.is_none() && (aperio || kind & REDUCED != 0)
            {
                parts.reduced.push(directory);
            } else if ome.is_none() {
                strangers.push(directory.place);
            }
        }
        if !strangers.is_empty() {
            let notice =
                format!("left out, being no levels of {}: {}", parts.full[0].place, strangers.join(", "));
            parts.notices.push(notice);
        }
        Ok(parts)
    }

    /// Takes the mask of level 0; those of smaller versions go with these.
    fn add_mask(&mut self, directory: Directory, kind: u64) {
        if kind & REDUCED != 0 {
            return;
        }
        match &self.mask {
            None => self.mask = Some(directory),
            Some(mask) => {
                let place = &directory.place;
                self.notices
                    .push(format!("{place} is left out: a second transparency mask after {}", mask.place));
            }
        }
    }

    /// Adds an associated image; a damaged one must not lose the slide.
    fn associate(&mut self, tiff: &Tiff, directory: &Directory, name: &str) -> Result<(), Error> {
        match associated::read(tiff, directory, name) {
            Ok(image) if self.associated.iter().any(|other| other.name == image.name) => {
                self.notices.push(format!("{} is left out: a second {}", directory.place, image.name));
            }
            Ok(image) => self.associated.push(image),
            Err(error) => self.notices.push(error.leaves_image_out()?),
        }
        Ok(())
    }
}

/// The name of the associated image in an IFD, if it is one.
fn associated_in(
    tiff: &Tiff,
    directory: &Directory,
    aperio: bool,
    ome: Option<&Ome>,
) -> Result<Option<&'static str>, Error> {
    if let Some(ome) = ome {
        let other = ome.others.iter().find(|other| directory.place == place_of(other.page));
        return Ok(other.and_then(|other| other.associated));
    }
    match aperio {
        true if directory.has(TILE_WIDTH) => Ok(None),
        true => associated::name(tiff, directory).map(Some),
        false => associated::page_name(tiff, directory),
    }
}

/// Takes the first image that is neither a smaller version nor a mask, or the first of all.
fn take_first(tiff: &Tiff, directories: &mut Vec<Directory>) -> Result<Directory, Error> {
    let mut first = 0;
    for (index, directory) in directories.iter().enumerate() {
        if subfile_type(tiff, directory)? & (REDUCED | MASK) == 0 {
            first = index;
            break;
        }
    }
    Ok(directories.remove(first))
}

/// Takes the pages of the channels, in order.
fn take_channels(tiff: &Tiff, directories: &mut Vec<Directory>, ome: &Ome) -> Result<Vec<Directory>, Error> {
    let mut take = |page: usize| {
        let place = place_of(page);
        match directories.iter().position(|directory| directory.place == place) {
            Some(index) => Ok(directories.remove(index)),
            None => {
                let what = format!("its OME-XML gives a channel {place}, which is not there or is another's");
                Err(tiff.malformed("page 0, tag 270 (ImageDescription)", what))
            }
        }
    };
    let pages = if ome.in_one_page { 1 } else { ome.channels.len() };
    ome.channels[..pages].iter().map(|channel| take(channel.page)).collect()
}

/// Refuses a file whose slide is not its largest image: some writers put a thumbnail or the label first.
fn check_largest(tiff: &Tiff, first: &Directory, others: &[Directory]) -> Result<(), Error> {
    let size = |directory: &Directory| {
        let width = tiff.number_of(directory, IMAGE_WIDTH)?.unwrap_or(0);
        Ok::<_, Error>((width, tiff.number_of(directory, IMAGE_LENGTH)?.unwrap_or(0)))
    };
    let (width, height) = size(first)?;
    for other in others {
        let (w, h) = size(other)?;
        if u128::from(w) * u128::from(h) > u128::from(width) * u128::from(height) {
            let place = &other.place;
            let what =
                format!("{place} of {w} x {h} px is larger than {} of {width} x {height} px", first.place);
            // `page 3 SubIFD 1` is `page=3,subifd=1` there.
            let which = place.replace(" SubIFD ", ",subifd=").replace("page ", "page=");
            let command = format!("vips tiffsave IN[{which}] OUT.tif --tile --pyramid --compression deflate");
            return Err(tiff.unsupported_unless(place, what, &command));
        }
    }
    Ok(())
}
