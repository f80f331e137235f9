//! DICOM VL Whole Slide Microscopy: a folder with the files of one series, or one of these files.
//!
//! PS3.3 A.32.8, PS3.5, PS3.10. One image per level, each of one file or a concatenation; label, overview and
//! thumbnail become associated images. JPEG frames are taken verbatim; JPEG 2000, JPEG-LS, RLE and uncompressed frames
//! are read as pixels, of one optical path and one focal plane. Pixel data are never read whole. Not here: other
//! DICOM images, big endian and deflated files, lossless JPEG, JPEG XL.

mod associated;
mod attributes;
mod decode;
mod file;
mod format;
mod frames;
mod instance;
mod jpegls;
mod level;
mod pixels;
mod properties;
mod series;
mod syntax;
mod tiles;
mod walk;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use dicom_dictionary_std::tags;

use self::instance::{Flavour, Instance};
use self::level::Level;
use self::properties::Description;
use self::series::Series;
use self::syntax::Coding;
use self::tiles::JpegTiles;
use crate::Error;
use crate::source::{Associated, Content, Source};

pub(in crate::source) use self::series::{first_files, is_in};

/// Opens the slide that a folder of DICOM files is, or that a file belongs to.
///
/// # Errors
/// [`Error::Malformed`] naming file, attribute or frame and what is wrong with it; [`Error::Unsupported`] naming what is
/// not read, and the way round; [`Error::Read`].
pub fn open(path: &Path) -> Result<Source, Error> {
    Slide::find(path)?.source()
}

/// The folder of a slide and the names of the files that make it, sorted.
pub(crate) fn files(path: &Path) -> Result<(PathBuf, Vec<PathBuf>), Error> {
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
    let slide = Slide::find(path)?;
    let mut names: Vec<_> = slide
        .instances()
        .map(|instance| instance.file.path().file_name().map(PathBuf::from).unwrap_or_default())
        .collect();
    names.sort();
    Ok((folder.to_owned(), names))
}

/// The files of one image.
type Image = Vec<Instance>;

/// The images of a slide, not looked into.
struct Slide {
    level_0: Image,
    /// From the larger to the smaller.
    coarser: Vec<Image>,
    associated: Vec<(&'static str, Image)>,
    notices: Vec<String>,
}

impl Slide {
    /// Sorts the files of a series by image, and the images by what they are.
    fn find(path: &Path) -> Result<Self, Error> {
        let Series { instances, mut notices } = Series::find(path)?;
        check_same_slide(&instances)?;
        let mut images: Vec<(String, Image)> = vec![];
        for instance in instances {
            let name = instance.image();
            let known = images.iter_mut().find(|(other, _)| *other == name && !name.is_empty());
            match known {
                Some((_, files)) if files.iter().any(|file| file.part() == instance.part()) => {
                    let what = "is left out: another file says that it is the same image (SOP Instance UID)";
                    notices.push(format!("{} {what}", file_name(&instance)));
                }
                Some((_, files)) => files.push(instance),
                None => images.push((name, vec![instance])),
            }
        }
        let mut levels: Vec<((u32, u32), Image)> = vec![];
        let mut associated: Vec<(&'static str, Image)> = vec![];
        for (_, files) in images {
            match files[0].flavour() {
                Flavour::Volume => {
                    let size = files[0].tiling()?.size;
                    match levels.iter().any(|(other, _)| *other == size) {
                        true => notices.push(left_out(&files, "a second image of its size")),
                        false => levels.push((size, files)),
                    }
                }
                Flavour::Associated(name) if associated.iter().any(|(other, _)| *other == name) => {
                    notices.push(left_out(&files, &format!("a second {name}")));
                }
                Flavour::Associated(name) => associated.push((name, files)),
                Flavour::Other(kind) => {
                    notices.push(left_out(&files, &format!("its ImageType is {kind}")));
                }
            }
        }
        levels.sort_by_key(|((width, height), _)| std::cmp::Reverse(u64::from(*width) * u64::from(*height)));
        let mut coarser = levels.into_iter().map(|(_, files)| files);
        let Some(level_0) = coarser.next() else {
            return Err(Error::Unsupported {
                path: path.display().to_string(),
                what: "a series without an image of the slide (ImageType VOLUME); name the folder or file that has one"
                    .to_owned(),
            });
        };
        let coarser: Vec<_> = coarser.collect();
        if level_0[0].is_resampled() {
            notices.push(format!(
                "{} is the largest image here, and says that it is resampled: the one that was scanned may be missing",
                file_name(&level_0[0])
            ));
        }
        let mut slide = Self { level_0, coarser, associated, notices };
        let files = slide.instances().count();
        if files > 1 && !path.is_dir() {
            slide.notices.push(format!("{files} files of one series in its folder are taken as the slide"));
        }
        Ok(slide)
    }

    /// All files that make the slide.
    fn instances(&self) -> impl Iterator<Item = &Instance> {
        let levels = [&self.level_0].into_iter().chain(&self.coarser).flatten();
        levels.chain(self.associated.iter().flat_map(|(_, image)| image))
    }

    fn source(self) -> Result<Source, Error> {
        let Self { level_0, coarser, associated, mut notices } = self;
        let description = Description::read(&level_0[0])?;
        notices.extend(description.notices);
        let image = Level::new(level_0)?;
        let (width, height) = image.tiling.size;
        notices.extend(plane_notices(&image));
        let window = image.format.window.clone();
        let mut properties = description.properties;
        let shown = image.format.shown.map(|[black, white]| format!("{black}..{white}"));
        properties.extend(shown.map(|window| ("microtome.window.0".to_owned(), window)));
        let content = match tiles::tile_size(&image) {
            Ok(size) => {
                let tiles = JpegTiles::new(image, size)?;
                notices.extend(tiles.contradiction()?);
                notices.extend(window);
                verbatim(tiles, coarser, &mut notices)?
            }
            Err(obstacle) => {
                notices.extend(pixel_notices(&image, &obstacle));
                if !coarser.is_empty() {
                    notices.push(format!("its {} coarser levels are made anew", coarser.len()));
                }
                Content::Pixels(pixels::open(image)?)
            }
        };
        let mut images: Vec<Associated> = vec![];
        for (name, files) in associated {
            // A damaged one must not lose the slide.
            match associated::read(name, files) {
                Ok(image) => images.push(image),
                Err(error) => notices.push(error.leaves_image_out()?),
            }
        }
        Ok(Source {
            width,
            height,
            format: "dicom",
            content,
            properties,
            mpp: description.mpp,
            objective_power: description.objective_power,
            icc_profile: description.icc_profile,
            associated: images,
            notices,
        })
    }
}

/// Refuses files of several slides or patients under one series UID.
fn check_same_slide(instances: &[Instance]) -> Result<(), Error> {
    for (tag, name) in [(tags::CONTAINER_IDENTIFIER, "ContainerIdentifier"), (tags::PATIENT_ID, "PatientID")]
    {
        let mut said = instances.iter().map(|one| (one, one.text(tag))).filter(|(_, text)| !text.is_empty());
        let Some((first, text)) = said.next() else { continue };
        if let Some((other, _)) = said.find(|(_, other)| *other != text) {
            // What they say may name a patient.
            let what = format!(
                "is not that of {}, though both are of one series: they are of different slides; take them apart",
                file_name(first)
            );
            return Err(other.file.malformed(name, what));
        }
    }
    Ok(())
}

fn file_name(instance: &Instance) -> String {
    instance.file.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn left_out(files: &Image, why: &str) -> String {
    format!("{} is left out: {why}", file_name(&files[0]))
}

/// Level 0 in JPEG tiles, and the smaller images that are levels on the same grid.
fn verbatim(mut tiles: JpegTiles, coarser: Vec<Image>, notices: &mut Vec<String>) -> Result<Content, Error> {
    for files in coarser {
        let name = file_name(&files[0]);
        let left_out = match Level::new(files) {
            Ok(image) => tiles.join(image)?,
            Err(Error::Unsupported { what, .. }) => Some(what),
            Err(error) => return Err(error),
        };
        notices.extend(left_out.map(|why| format!("{name} is left out as a level: {why}")));
    }
    Ok(Content::Tiles(Box::new(tiles)))
}

/// What is left out of an image with several planes.
fn plane_notices(image: &Level) -> Vec<String> {
    let mut notices = vec![];
    if image.planes.focal > 1 {
        notices.push(format!(
            "the central one of {} focal planes is taken, the others left out",
            image.planes.focal
        ));
    }
    if image.planes.paths > 1 {
        notices
            .push(format!("the first of {} optical paths is taken, the others left out", image.planes.paths));
    }
    notices
}

/// What taking pixels instead of tiles loses.
fn pixel_notices(image: &Level, obstacle: &str) -> Vec<String> {
    let mut notices = vec![];
    if image.head().attributes.syntax.coding == Coding::Jpeg {
        notices.push(format!("the JPEG frames are not kept bit for bit: {obstacle}"));
    }
    if image.absent() > 0 {
        let all = image.tiling.tiles();
        notices.push(format!("{} of {all} tiles have no frame and are shown white", image.absent()));
    }
    notices.extend(image.format.window.clone());
    notices
}
