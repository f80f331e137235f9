//! Pyramidal tiled TIFF, and SVS as Aperio has it, with the slide's JPEG tiles as they are.
//!
//! TIFF 6.0, TIFF Technical Note 2 (JPEG), BigTIFF where the file is longer than 4 GiB. Every stored level down to the first
//! that fits one tile is a page; what a tile's source left to JPEGTables is there again. Tiles that overlap or have
//! odd sides become tiles of 256 px through their pixels. Not here: other TIFF dialects.

mod associated;
mod description;
mod writer;

use std::io::{self, Seek, Write};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use microtome_codec::jpeg::Colour;
use microtome_codec::turbo::{self, Subsampling};
use microtome_slide::metadata::AbsentTiles;
use microtome_slide::{Grid, Rect, Slide};

use self::associated::Strip;
use self::writer::{Directory, Extent, Value, Writer};
use crate::tiles::{Form, LevelTiles, Making, keeps_tiles, stored_levels};
use crate::{Error, Report, batches};

/// The longest file that is not BigTIFF.
const MOST_CLASSIC: u64 = u32::MAX as u64;
/// Longest side of a thumbnail that is made.
const THUMBNAIL: u32 = 1024;

/// Compression: JPEG after Technical Note 2.
const JPEG: u16 = 7;
/// Compression: deflate in zlib's format.
const ADOBE_DEFLATE: u16 = 8;
/// NewSubfileType: a smaller version.
const REDUCED: u32 = 1;
/// Associated images that SVS has a place for, in their order.
const ORDER: [&str; 3] = ["thumbnail", "label", "macro"];
/// NewSubfileType of Aperio's label and macro.
const APERIO_LABEL: u32 = 1;
const APERIO_MACRO: u32 = 9;

/// Which kind of TIFF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Tiled pyramidal TIFF: smaller versions are marked as such, properties are JSON.
    Generic,
    /// Aperio's: thumbnail second, label and macro last, everything in ImageDescription.
    Aperio,
}

/// How to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Which kind of TIFF.
    pub dialect: Dialect,
    /// Quality of tiles that have to be made anew, 1 to 100.
    pub quality: u8,
}

/// Writes a slide to `out`, which is at its start; `path` is what messages call it. Decodes on all threads of the current
/// pool; blocks.
///
/// # Errors
/// Any of [`Error`]; what is in `out` is then useless.
pub fn write(
    slide: &Slide,
    options: Options,
    path: &Path,
    out: impl Write + Seek,
    cancelled: &AtomicBool,
) -> Result<Report, Error> {
    write_up_to(slide, options, path, out, cancelled, MOST_CLASSIC)
}

fn write_up_to(
    slide: &Slide,
    options: Options,
    path: &Path,
    out: impl Write + Seek,
    cancelled: &AtomicBool,
    most_classic: u64,
) -> Result<Report, Error> {
    let failed = |cause: io::Error| Error::Write { path: path.to_owned(), cause };
    let mut file = File {
        slide,
        options,
        path,
        writer: Writer::new(out).map_err(failed)?,
        icc: None,
        directories: vec![],
        report: Report::default(),
    };
    file.put_icc_profile()?;
    let levels = stored_levels(slide);
    let smallest = levels.last().copied().unwrap_or(0);
    let mut levels = levels.into_iter();
    file.put_level(levels.next().unwrap_or(0), cancelled)?;
    let aperio = options.dialect == Dialect::Aperio;
    if aperio {
        file.put_thumbnail(smallest)?;
    }
    levels.try_for_each(|level| file.put_level(level, cancelled))?;
    file.put_associated(|name| name != "thumbnail" || !aperio)?;
    file.note_scale();
    let File { writer, directories, report, .. } = file;
    writer.finish(directories, most_classic).map_err(failed)?;
    Ok(report)
}

/// A file that is being written.
struct File<'a, W: Write + Seek> {
    slide: &'a Slide,
    options: Options,
    path: &'a Path,
    writer: Writer<W>,
    icc: Option<Extent>,
    directories: Vec<Directory>,
    report: Report,
}

impl<W: Write + Seek> File<'_, W> {
    fn failed(&self, cause: io::Error) -> Error {
        Error::Write { path: self.path.to_owned(), cause }
    }

    fn is_aperio(&self) -> bool {
        self.options.dialect == Dialect::Aperio
    }

    /// Writes the profile once, for all levels.
    fn put_icc_profile(&mut self) -> Result<(), Error> {
        // A profile has a header of 128 bytes.
        if let Some(profile) = self.slide.icc_profile()?.filter(|profile| profile.len() >= 128) {
            self.icc = Some(self.writer.put(&profile).map_err(|e| self.failed(e))?);
        }
        Ok(())
    }

    /// Writes the tiles of a level.
    fn put_level(&mut self, level: u8, cancelled: &AtomicBool) -> Result<(), Error> {
        let tiles = LevelTiles::open(self.slide, level, self.options.quality)?;
        let grid = tiles.grid;
        let pixels = u64::from(grid.tile_size).pow(2);
        let (mut offsets, mut counts, mut anew) = (vec![], vec![], 0);
        let make = |i: u64| {
            let (column, row) = grid.position(i);
            tiles.tile(column, row)
        };
        let (writer, path) = (&mut self.writer, self.path);
        batches::in_order(grid.tiles(), pixels, cancelled, make, |_, (bytes, making)| {
            let extent = writer.put(&bytes).map_err(|cause| Error::Write { path: path.to_owned(), cause })?;
            offsets.push(extent.offset);
            counts.push(extent.length);
            anew += u64::from(making == Making::Anew);
            Ok(())
        })?;
        self.report.tiles += grid.tiles();
        self.note_made(level, anew, grid);
        let absent = self.slide.metadata().absent.iter().filter(|absent| absent.level == level);
        let absent: u64 = absent.map(AbsentTiles::count).sum();
        if absent > 0 {
            let what = format!(
                "{absent} tiles of level {level} that the slide's source lacked, or that could not be decoded, are written with white in their place"
            );
            self.report.notices.push(what);
        }
        let mut directory = self.level_fields(level, &tiles);
        directory.push((324, Value::Offsets(offsets)));
        directory.push((325, Value::Offsets(counts)));
        self.directories.push(directory);
        Ok(())
    }

    /// Says what of a level was made anew.
    fn note_made(&mut self, level: u8, anew: u64, grid: Grid) {
        let (quality, side) = (self.options.quality, grid.tile_size);
        let stored = self.slide.levels()[0];
        if !keeps_tiles(self.slide) {
            if level == 0 {
                self.report.notices.push(format!(
                    "the slide's tiles ({} px, overlap {}) do not fit TIFF, which wants sides in steps of 16 px and no \
                     overlap: all were encoded anew from their pixels as tiles of {side} px, JPEG quality {quality}",
                    stored.tile_size, stored.overlap
                ));
            }
        } else if anew > 0 {
            self.report.notices.push(format!(
                "{anew} of {} tiles of level {level} cannot be padded to {side} x {side} px as they are, or are not \
                 like the others: they were encoded anew from their pixels, JPEG quality {quality}",
                grid.tiles()
            ));
        }
    }

    /// All fields of a level but those of its tiles' places.
    fn level_fields(&self, level: u8, tiles: &LevelTiles<'_>) -> Directory {
        let LevelTiles { grid, form, .. } = *tiles;
        let side = Value::Long(grid.tile_size);
        let mut fields = image_fields(grid.width, grid.height, form, JPEG);
        fields.extend([(322, side.clone()), (323, side)]);
        fields.push((305, Value::Text(description::software())));
        if !tiles.tables.is_empty() {
            fields.push((347, Value::Undefined(tiles.tables.clone())));
        }
        fields.extend(self.icc.map(|extent| (34675, Value::Written(extent))));
        let text = match (self.options.dialect, level) {
            (Dialect::Generic, 0) => Some(description::json(self.slide)),
            (Dialect::Generic, _) => None,
            (Dialect::Aperio, 0) => {
                let keeps = keeps_tiles(self.slide) && self.slide.metadata().is_verbatim(0);
                Some(description::aperio_base(self.slide, grid, form.colour == Colour::Rgb, keeps))
            }
            (Dialect::Aperio, _) => Some(description::aperio_reduced(self.slide, grid.width, grid.height)),
        };
        fields.extend(text.map(|text| (270, Value::Text(text))));
        let reduced = level > 0 && !self.is_aperio();
        fields.push((254, Value::Long(if reduced { REDUCED } else { 0 })));
        let scale = f64::from(1_u32 << level.min(31));
        let [x, y] =
            self.slide.metadata().mpp.unwrap_or_default().map(|mpp| description::resolution(mpp * scale));
        if let (Some(x), Some(y)) = (x, y) {
            let (x, y) = (Value::Rational(vec![x]), Value::Rational(vec![y]));
            // ResolutionUnit 3: centimetres.
            fields.extend([(282, x), (283, y), (296, Value::Short(vec![3]))]);
        }
        fields
    }

    /// Writes the thumbnail, which readers of SVS take the second page for in any case. One that is made is no larger than the
    /// smallest level: Bio-Formats takes the smallest image of all for it, and would miss a level.
    fn put_thumbnail(&mut self, smallest: u8) -> Result<(), Error> {
        if self.slide.metadata().associated.iter().any(|image| image.name == "thumbnail")
            && self.put_associated(|name| name == "thumbnail")? > 0
        {
            return Ok(());
        }
        let fits = |grid: &Grid| grid.width <= THUMBNAIL && grid.height <= THUMBNAIL;
        let levels = self.slide.levels();
        let coarse = (usize::from(smallest)..levels.len()).find(|&level| fits(&levels[level]));
        let Some(level) = coarse else { return Ok(()) };
        let Grid { width, height, .. } = levels[level];
        let pixels = self.slide.read_region(level as u8, Rect { x: 0, y: 0, width, height })?;
        let jpeg = turbo::encode(&pixels, self.options.quality, Subsampling::Chroma420);
        let jpeg = jpeg.map_err(|error| Error::Unsupported {
            path: self.slide.container().path().to_owned(),
            what: format!("no thumbnail can be made: {error}"),
        })?;
        self.report
            .notices
            .push(format!("the thumbnail was made from level {level}: the slide has none, SVS wants one"));
        self.put_strip("thumbnail", "image/jpeg", jpeg).map(|_| ())
    }

    /// Writes those associated images that are wanted by name, and counts them.
    fn put_associated(&mut self, wanted: impl Fn(&str) -> bool) -> Result<usize, Error> {
        let order = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
        let mut images: Vec<_> =
            self.slide.metadata().associated.iter().filter(|i| wanted(&i.name)).cloned().collect();
        images.sort_by_key(|image| order(&image.name));
        let mut count = 0;
        for image in images {
            if let Some(bytes) = self.slide.associated(&image.name)? {
                count += usize::from(self.put_strip(&image.name, &image.media_type, bytes)?);
            }
        }
        Ok(count)
    }

    /// Writes an associated image; false, said so, if it cannot be one.
    fn put_strip(&mut self, name: &str, media_type: &str, bytes: Vec<u8>) -> Result<bool, Error> {
        if self.is_aperio() && !ORDER.contains(&name) {
            self.report.notices.push(format!("{name} is left out: SVS has no place for it"));
            return Ok(false);
        }
        let strip = match Strip::of(media_type, bytes) {
            Ok(strip) => strip,
            Err(why) => {
                self.report.notices.push(format!("{name} is left out: {why}"));
                return Ok(false);
            }
        };
        let mut fields = strip.put(&mut self.writer).map_err(|e| self.failed(e))?;
        let (width, height) = (strip.width, strip.height);
        if self.is_aperio() {
            let (kind, text) = match name {
                "thumbnail" => (0, description::aperio_reduced(self.slide, width, height)),
                "macro" => (APERIO_MACRO, description::aperio_associated(name, width, height)),
                _ => (APERIO_LABEL, description::aperio_associated(name, width, height)),
            };
            fields.extend([(254, Value::Long(kind)), (270, Value::Text(text))]);
        } else {
            // PageName.
            fields.extend([(254, Value::Long(0)), (285, Value::Text(name.replace('\0', " ")))]);
        }
        self.directories.push(fields);
        Ok(true)
    }

    /// Says what Aperio's description has no place for.
    fn note_scale(&mut self) {
        if let Some([x, y]) = self.slide.metadata().mpp
            && self.is_aperio()
            && (x / y - 1.0).abs() > 1e-3
        {
            self.report.notices.push(format!(
                "SVS has one MPP: {x} and {y} micrometres per pixel became their mean; XResolution and YResolution \
                 have both"
            ));
        }
    }
}

/// The fields that say what the samples are.
fn image_fields(width: u32, height: u32, form: Form, compression: u16) -> Directory {
    let Form { components, colour, sampling } = form;
    let photometric = match (components, colour) {
        (1, _) => 1,
        (_, Colour::Rgb) => 2,
        _ => 6,
    };
    let mut fields = vec![
        (256, Value::Long(width)),
        (257, Value::Long(height)),
        (258, Value::Short(vec![8; components.into()])),
        (259, Value::Short(vec![compression])),
        (262, Value::Short(vec![photometric])),
        (277, Value::Short(vec![components.into()])),
        (284, Value::Short(vec![1])),
    ];
    if photometric == 6 {
        let [across, down] = sampling.map(u16::from);
        // YCbCrPositioning 1 (centred) and full-range ReferenceBlackWhite, as JFIF has them.
        let range = [0, 255, 128, 255, 128, 255].map(|value| [value, 1]);
        fields.push((530, Value::Short(vec![across, down])));
        fields.push((531, Value::Short(vec![1])));
        fields.push((532, Value::Rational(range.to_vec())));
    }
    fields
}

#[cfg(test)]
mod tests;
