//! De-identification: what may name a patient, a case, a person or a day does not go into the container.
//!
//! Dropped are label and macro image, every property that is not on the list below or whose value is more than numbers and
//! known words, the texts of the ICC profile, thumbnails of
//! another shape than the slide's, the file's name and date, and the reader's notices, which may quote any of it. Tiles that are kept byte for
//! byte must be bare of comments and application data. (Where such things hide: R. W. Pearce's svs-deidentifier and
//! B. Gilbert's anonymize-slide, issue trackers; DICOM PS3.15 annex E.) Not here: what the picture itself shows.

use microtome_codec::jpeg;
use microtome_slide::metadata::SourceRecord;

use crate::Error;
use crate::source::openslide::READER_PROPERTY;
use crate::source::{Associated, Content, Source, TileLevel, Tiles, icc};

/// What was dropped, by name. Values are what nobody is to see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Properties.
    pub properties: Vec<String>,
    /// Associated images.
    pub images: Vec<String>,
    /// Notices of the reader.
    pub notices: usize,
    /// Whether the ICC profile was left out, since it could not be had without its texts.
    pub profile: bool,
}

/// Longest value that is kept: four numbers.
const MAX_VALUE: usize = 80;
/// Properties that are kept if their value is made of numbers no further from zero than this: a longer one may be anybody's
/// number.
const NUMBERS: [(&str, f64); 22] = [
    ("aperio.AppMag", 1e3),
    ("aperio.Left", 1e3),
    ("aperio.LineAreaXOffset", 1e3),
    ("aperio.LineAreaYOffset", 1e3),
    ("aperio.LineCameraSkew", 1e3),
    ("aperio.MPP", 1e3),
    ("aperio.StripeWidth", 1e5),
    ("aperio.Top", 1e3),
    ("hamamatsu.SourceLens", 1e3),
    ("leica.aperture", 1e3),
    ("leica.objective", 1e3),
    ("openslide.bounds-height", 1e7),
    ("openslide.bounds-width", 1e7),
    ("openslide.bounds-x", 1e7),
    ("openslide.bounds-y", 1e7),
    ("openslide.mpp-x", 1e3),
    ("openslide.mpp-y", 1e3),
    ("openslide.objective-power", 1e3),
    ("tiff.XResolution", 1e6),
    ("tiff.YResolution", 1e6),
    ("ventana.Magnification", 1e3),
    ("ventana.ScanRes", 1e3),
];
/// Properties that are kept if their value is one of these words.
const WORDS: [(&str, &[&str]); 2] = [
    (
        "openslide.vendor",
        &[
            "aperio",
            "dicom",
            "generic-tiff",
            "hamamatsu",
            "leica",
            "mirax",
            "olympus",
            "philips",
            "sakura",
            "synthetic",
            "trestle",
            "ventana",
            "zeiss",
        ],
    ),
    ("tiff.ResolutionUnit", &["none", "inch", "centimeter"]),
];

/// Drops from a source what may identify, and says what that was.
pub(crate) fn deidentify(mut source: Source) -> (Source, Removed) {
    let mut removed = Removed { notices: source.notices.len(), ..Removed::default() };
    source.notices.clear();
    source.properties.retain(|(name, value)| {
        let is_kept = is_harmless(name, value);
        if !is_kept {
            removed.properties.push(name.clone());
        }
        is_kept
    });
    source.icc_profile = source.icc_profile.and_then(|profile| {
        let bare = icc::without_text(&profile);
        removed.profile = bare.is_none();
        bare
    });
    let shape = f64::from(source.width) / f64::from(source.height);
    let images = std::mem::take(&mut source.associated);
    for image in images {
        // What has another shape than the slide is no picture of it, whatever it is called.
        let own = f64::from(image.width) / f64::from(image.height.max(1));
        let is_alike = (0.9..1.1).contains(&(own / shape));
        match bare_thumbnail(&image).filter(|_| is_alike) {
            Some(bytes) => source.associated.push(Associated { bytes, ..image }),
            None => removed.images.push(image.name),
        }
    }
    source.content = match source.content {
        Content::Tiles(tiles) => Content::Tiles(Box::new(BareTiles(tiles))),
        pixels => pixels,
    };
    (source, removed)
}

/// The record of a source without its name and date. Its SHA-256 stays: it tells who has the source that it is this one.
pub(crate) fn anonymous(record: SourceRecord) -> SourceRecord {
    SourceRecord { name: String::new(), modified: None, ..record }
}

fn is_harmless(name: &str, value: &str) -> bool {
    // Our own: a program and its version.
    if name == READER_PROPERTY {
        return true;
    }
    if let Some((_, most)) = NUMBERS.iter().find(|(known, _)| *known == name) {
        // No date is written with these alone that is not a number: a day has more than one separator.
        let mut numbers = value.split([' ', ',', '\\', '"']).filter(|part| !part.is_empty());
        let is_small = |part: &str| part.parse::<f64>().is_ok_and(|number| number.abs() <= *most);
        return value.len() <= MAX_VALUE && numbers.all(is_small);
    }
    // Our own: how samples came to be shades, two numbers of 16 bits.
    if name.strip_prefix("microtome.window.").is_some_and(|n| n.parse::<u8>().is_ok()) {
        let is_sample = |n: &str| n.parse::<i32>().is_ok_and(|n| (-(1 << 15)..1 << 16).contains(&n));
        return value.split_once("..").is_some_and(|(low, high)| is_sample(low) && is_sample(high));
    }
    WORDS.iter().any(|(known, words)| *known == name && words.contains(&value))
}

/// A thumbnail without anything but its picture; `None` of other images, and of what is no sound image.
fn bare_thumbnail(image: &Associated) -> Option<Vec<u8>> {
    match (image.name.as_str(), image.media_type) {
        ("thumbnail", "image/jpeg") => jpeg::bare(&image.bytes).ok().map(std::borrow::Cow::into_owned),
        // These are our own.
        ("thumbnail", "image/png") => Some(image.bytes.clone()),
        _ => None,
    }
}

/// Tiles that are refused if there is more in them than their picture: to take it out would change their bytes.
struct BareTiles(Box<dyn Tiles>);

impl Tiles for BareTiles {
    fn tile_size(&self) -> u32 {
        self.0.tile_size()
    }

    fn overlap(&self) -> u32 {
        self.0.overlap()
    }

    fn levels(&self) -> &[TileLevel] {
        self.0.levels()
    }

    fn tile(&self, index: usize, column: u32, row: u32) -> Result<Vec<u8>, Error> {
        let tile = self.0.tile(index, column, row)?;
        let tables = &self.0.levels()[index].tables;
        let is_bare = |stream: &[u8]| matches!(jpeg::bare(stream), Ok(std::borrow::Cow::Borrowed(_)));
        match is_bare(&tile) && (tables.is_empty() || is_bare(tables)) {
            true => Ok(tile),
            false => Err(Error::Unsupported {
                path: self.0.place(index, column, row),
                what: "there is more in this tile than its picture (a comment, application data), which may identify \
                       the patient and cannot be taken out of a tile that is kept byte for byte; take its pixels with \
                       --quality"
                    .to_owned(),
            }),
        }
    }

    fn place(&self, index: usize, column: u32, row: u32) -> String {
        self.0.place(index, column, row)
    }

    fn is_absent(&self, index: usize, column: u32, row: u32) -> bool {
        self.0.is_absent(index, column, row)
    }

    fn is_blank(&self, index: usize, column: u32, row: u32) -> bool {
        self.0.is_blank(index, column, row)
    }

    fn kept(&self) -> &'static str {
        self.0.kept()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_known_words_are_kept_and_nothing_else() {
        for (name, value) in [
            ("aperio.MPP", "0.2499"),
            ("openslide.bounds-x", "120000"),
            ("openslide.vendor", "aperio"),
            ("tiff.ResolutionUnit", "centimeter"),
            ("microtome.window.2", "-20..4095"),
        ] {
            assert!(is_harmless(name, value), "{name} = {value}");
        }
        for (name, value) in [
            ("aperio.Filename", "12345"),
            ("aperio.Date", "01/02/24"),
            ("aperio.MPP", "0.25 J. Doe"),
            ("aperio.AppMag", "01/02/24"),
            ("aperio.Left", "20240102"),
            ("aperio.Left", "NaN"),
            ("openslide.vendor", "Dr. Doe"),
            ("tiff.ImageDescription", "1"),
            ("dicom.PatientName", "DOE"),
            ("microtome.window.2", "0..20240102"),
            ("microtome.window.Doe", "0..9"),
            ("microtome.channel.0.name", "Doe"),
        ] {
            assert!(!is_harmless(name, value), "{name} = {value}");
        }
    }
}
