//! Slides that OpenSlide reads and nothing here does: MRXS, VMS, VMU, CZI and others, as pixels of level 0.
//!
//! OpenSlide 4 (<https://openslide.org/api/openslide_8h.html>) is loaded if it is there, never linked. Its pixels come
//! premultiplied and transparent where nothing was scanned; they are shown over the slide's background colour. Not
//! here: formats that have a reader of their own, and OpenSlide's coarser levels, which are made anew from level 0.

mod associated;
mod ffi;
mod library;

pub use library::use_library;

use std::path::Path;

use microtome_codec::Rgb;
use microtome_container::geometry::Rect;
use microtome_container::header::MAX_SIDE;

use self::ffi::{Argb, Handle, Library};
use super::unread::Unread;
use super::{Content, Pixels, Source, companion_folder};
use crate::Error;

/// Decoded tiles that OpenSlide keeps of an open slide, in bytes.
const CACHE_BYTES: usize = 64 << 20;
/// Longest side of what is asked for at once: 4 MiB of ARGB.
const PIECE: u32 = 1024;
/// Longest ICC profile that is kept.
const MAX_ICC_BYTES: usize = 16 << 20;
/// Longest property that is kept.
const MAX_PROPERTY_BYTES: usize = 1 << 20;
/// The property that says what read the slide, `OpenSlide 4.0.1`.
pub(crate) const READER_PROPERTY: &str = "microtome.reader";

const DAMAGED: &str = "the slide is damaged, lacks a file, or is of a kind that OpenSlide does not read";

/// Opens whatever OpenSlide takes for a slide, formats with a reader of their own included: a second opinion.
///
/// # Errors
/// [`Error::Unsupported`] without OpenSlide 4 and for files of formats it does not know, [`Error::Malformed`] with its
/// words for slides it cannot open.
pub fn open(path: &Path) -> Result<Source, Error> {
    Opener::new(path, "this")?.open()
}

/// Opens a file of a format that is known and has no reader here, if OpenSlide takes it for that format too.
///
/// # Errors
/// As [`open`].
pub(super) fn open_unread(path: &Path, format: Unread) -> Result<Source, Error> {
    let opener = Opener::new(path, format.name)?;
    match opener.library.vendor(path) {
        Some(vendor) if vendor == format.vendor => opener.open(),
        // Read as another format, for example as the plain TIFF that it is too, it would be a wrong picture.
        Some(other) => Err(opener.unknown(format, &format!("takes it for {other}"), why_unknown(path))),
        None => Err(opener.unknown(format, "does not know it", why_unknown(path))),
    }
}

/// What may be the matter with a file that is named as a slide and is none to OpenSlide.
fn why_unknown(path: &Path) -> String {
    if let Some(folder) = companion_folder(path).filter(|folder| !folder.is_dir()) {
        return format!("its folder {} is missing; put it beside the file", folder.display());
    }
    let extension = path.extension().unwrap_or_default().as_encoded_bytes();
    match extension.iter().any(u8::is_ascii_uppercase) {
        true => "OpenSlide wants extensions in small letters; rename it".to_owned(),
        false => "it is damaged, lacks a file, or its extension is not its own".to_owned(),
    }
}

/// A file and the library that is to open it.
struct Opener<'a> {
    path: &'a Path,
    library: &'static Library,
}

impl<'a> Opener<'a> {
    fn new(path: &'a Path, format: &str) -> Result<Self, Error> {
        let lacking = |why| Error::Unsupported {
            path: path.display().to_string(),
            what: format!("{format} is read with OpenSlide 4.0.0 or newer, and {why}"),
        };
        Ok(Self { path, library: library::library().map_err(lacking)? })
    }

    fn unsupported(&self, what: String) -> Error {
        Error::Unsupported { path: self.path.display().to_string(), what }
    }

    fn unknown(&self, format: Unread, verdict: &str, why: String) -> Error {
        let version = self.library.version();
        self.unsupported(format!("it looks like {}, and OpenSlide {version} {verdict}: {why}", format.name))
    }

    fn malformed(&self, place: &str, why: &str) -> Error {
        let what = format!("OpenSlide {}: {why}; {DAMAGED}", self.library.version());
        Error::Malformed { path: self.path.display().to_string(), place: place.to_owned(), what }
    }

    fn handle(&self) -> Result<Handle, Error> {
        match self.library.open(self.path) {
            Ok(Some(handle)) => Ok(handle),
            Ok(None) => {
                Err(self
                    .unsupported(format!("OpenSlide {} does not know its format", self.library.version())))
            }
            Err(why) => Err(self.malformed("opening", &why)),
        }
    }

    fn open(&self) -> Result<Source, Error> {
        let handle = self.handle()?;
        handle.set_cache(CACHE_BYTES).map_err(|why| self.malformed("cache", &why))?;
        let (wide, high) = handle.size().map_err(|why| self.malformed("size", &why))?;
        let side = |length: i64| u32::try_from(length).ok().filter(|side| (1..=MAX_SIDE).contains(side));
        let (Some(width), Some(height)) = (side(wide), side(high)) else {
            return Err(self.unsupported(format!("{wide} x {high} px (1 to {MAX_SIDE} a side are taken)")));
        };
        let mut notices = vec![];
        let mut properties = handle.properties().map_err(|why| self.malformed("properties", &why))?;
        properties.retain(|(name, value)| {
            let is_kept = value.len() <= MAX_PROPERTY_BYTES;
            if !is_kept {
                let bytes = value.len();
                notices.push(format!(
                    "the property {name} of {bytes} bytes is left out (at most {MAX_PROPERTY_BYTES} are kept)"
                ));
            }
            is_kept
        });
        let background = background(&properties);
        let associated = associated::read_all(self, background, &mut notices)?;
        let icc_profile = self.icc_profile(&handle, &mut notices)?;
        let number = |name: &str| {
            let value = value(&properties, name)?.parse().ok();
            value.filter(|value: &f64| value.is_finite() && *value > 0.0)
        };
        let mpp = number("openslide.mpp-x").zip(number("openslide.mpp-y")).map(|(x, y)| [x, y]);
        let objective_power = number("openslide.objective-power");
        let format = format_name(value(&properties, "openslide.vendor"));
        properties.push((READER_PROPERTY.to_owned(), format!("OpenSlide {}", self.library.version())));
        let pixels =
            Slide { path: self.path.display().to_string(), library: self.library, handle, background };
        Ok(Source {
            width,
            height,
            format,
            content: Content::Pixels(Box::new(pixels)),
            properties,
            mpp,
            objective_power,
            icc_profile,
            associated,
            notices,
        })
    }

    fn icc_profile(&self, handle: &Handle, notices: &mut Vec<String>) -> Result<Option<Vec<u8>>, Error> {
        match handle.icc_profile(MAX_ICC_BYTES).map_err(|why| self.malformed("ICC profile", &why))? {
            Some(Ok(profile)) => Ok(Some(profile)),
            Some(Err(size)) => {
                notices.push(format!(
                    "the ICC profile of {size} bytes is left out (at most {MAX_ICC_BYTES} are kept)"
                ));
                Ok(None)
            }
            None => Ok(None),
        }
    }
}

fn value<'a>(properties: &'a [(String, String)], name: &str) -> Option<&'a str> {
    properties.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

/// What the metadata calls a vendor's format.
fn format_name(vendor: Option<&str>) -> &'static str {
    match vendor {
        Some("hamamatsu") => "openslide-hamamatsu",
        Some("leica") => "openslide-leica",
        Some("mirax") => "openslide-mirax",
        Some("sakura") => "openslide-sakura",
        Some("trestle") => "openslide-trestle",
        Some("ventana") => "openslide-ventana",
        Some("zeiss") => "openslide-zeiss",
        _ => "openslide",
    }
}

/// The colour of what was not scanned: the slide's own, six hexadecimal digits, else white.
fn background(properties: &[(String, String)]) -> [u8; 3] {
    let digits = value(properties, "openslide.background-color")
        .filter(|value| value.len() == 6 && value.bytes().all(|digit| digit.is_ascii_hexdigit()));
    let colour = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    colour.map_or([255; 3], |colour| [(colour >> 16) as u8, (colour >> 8) as u8, colour as u8])
}

/// Premultiplied ARGB over a colour.
fn over(argb: &Argb, background: [u8; 3]) -> Rgb {
    let mut data = Vec::with_capacity(argb.pixels.len() * 3);
    for &pixel in &argb.pixels {
        let [alpha, colour @ ..] = pixel.to_be_bytes();
        let through = u32::from(255 - alpha);
        // A sample above its alpha is against the rules; it ends at white.
        data.extend(colour.iter().zip(background).map(|(&sample, behind)| {
            (u32::from(sample) + (u32::from(behind) * through + 127) / 255).min(255) as u8
        }));
    }
    Rgb::from_vec(argb.width, argb.height, data).expect("three samples for each pixel")
}

/// Level 0 of an open slide.
struct Slide {
    path: String,
    library: &'static Library,
    handle: Handle,
    background: [u8; 3],
}

impl Pixels for Slide {
    fn read(&self, rect: Rect) -> Result<Rgb, Error> {
        let piece = |x: u32, y: u32| {
            let (width, height) = (PIECE.min(rect.width - x), PIECE.min(rect.height - y));
            let argb = self.handle.region(rect.x + x, rect.y + y, width, height).map_err(|why| {
                let place = format!("{width} x {height} px at {}, {} of level 0", rect.x + x, rect.y + y);
                let what = format!("OpenSlide {}: {why}; {DAMAGED}", self.library.version());
                Error::Malformed { path: self.path.clone(), place, what }
            })?;
            Ok::<_, Error>(over(&argb, self.background))
        };
        if rect.width.max(rect.height) <= PIECE {
            return piece(0, 0);
        }
        let mut whole = Rgb::filled(rect.width, rect.height, self.background);
        for y in (0..rect.height).step_by(PIECE as usize) {
            for x in (0..rect.width).step_by(PIECE as usize) {
                let part = piece(x, y)?;
                whole.blit(&part, 0, 0, part.width(), part.height(), x, y);
            }
        }
        Ok(whole)
    }
}

#[cfg(test)]
pub(in crate::source) mod tests;
