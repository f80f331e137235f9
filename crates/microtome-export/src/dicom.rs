//! A DICOM series: a file for each level, and for label, macro and thumbnail, with JPEG tiles as their frames.
//!
//! PS3.10 files, explicit VR little endian, JPEG baseline, one fragment per frame, with a Basic Offset Table, or beyond 4 GiB an
//! Extended one. What the files say, and what a frame is, is microtome-dicom's.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use microtome_dicom::part10::{self, OffsetTable};
use microtome_dicom::{Dataset, Frames, Instance, Kind, LevelFrames, Making, Series};
use microtome_slide::Slide;
use microtome_slide::metadata::AbsentTiles;

use crate::{Error, Report, batches};

/// The last offset that a Basic Offset Table can tell.
const LAST_BASIC: u64 = u32::MAX as u64;

/// Writes the files of a slide to `folder`, which exists. Frames that have to be made anew have this quality, 1 to 100.
/// Decodes on all threads of the current pool; blocks.
///
/// # Errors
/// Any of [`Error`]; `folder` then holds some of the files.
pub fn write(slide: &Slide, quality: u8, folder: &Path, cancelled: &AtomicBool) -> Result<Report, Error> {
    write_up_to(slide, quality, folder, cancelled, LAST_BASIC)
}

fn write_up_to(
    slide: &Slide,
    quality: u8,
    folder: &Path,
    cancelled: &AtomicBool,
    last_basic: u64,
) -> Result<Report, Error> {
    let series = Series::of(slide, quality);
    let mut report = Report::default();
    if slide.metadata().mpp.is_none() {
        let what = "the slide does not state the size of its pixels, which DICOM demands: PixelSpacing and \
                    ImagedVolumeWidth, -Height and -Depth are left out, and archives may refuse the files";
        report.notices.push(what.to_owned());
    }
    for instance in &series.instances {
        match (&instance.kind, series.describe(slide, instance)) {
            (kind, Ok((dataset, frames))) => {
                let path = folder.join(name(kind));
                let mut out = Out { slide, path: &path, dataset: &dataset, cancelled, last_basic };
                match frames {
                    Frames::Level(frames) => out.put_level(&frames, &mut report)?,
                    Frames::Associated(frame) => out.put_all(1, 1, |_| Ok(frame.bytes().clone()))?,
                }
            }
            (Kind::Associated(name), Err(error @ microtome_dicom::Error::Associated { .. })) => {
                report.notices.push(format!("{name} is left out: {error}"));
            }
            (_, Err(error)) => return Err(error.into()),
        }
    }
    note_sizes(slide, &series.instances, &mut report);
    Ok(report)
}

/// The file of an instance.
fn name(kind: &Kind) -> String {
    match kind {
        Kind::Level(level) => format!("level-{level}.dcm"),
        Kind::Associated(name) => format!("{name}.dcm"),
    }
}

/// A file that is being written.
struct Out<'a> {
    slide: &'a Slide,
    path: &'a Path,
    dataset: &'a Dataset,
    cancelled: &'a AtomicBool,
    last_basic: u64,
}

impl Out<'_> {
    /// Writes the frames of a level, and says what became of its tiles.
    fn put_level(&mut self, frames: &LevelFrames, report: &mut Report) -> Result<(), Error> {
        let (slide, count) = (self.slide, frames.count());
        let anew = std::sync::atomic::AtomicU64::new(0);
        let make = |i: u64| {
            let tile = frames.tile_of(i + 1).expect("a frame of the level");
            let (frame, making) = frames.frame(slide, tile, &slide.tile(tile)?)?;
            anew.fetch_add(u64::from(making == Making::Anew), std::sync::atomic::Ordering::Relaxed);
            Ok(frame)
        };
        let pixels = u64::from(frames.grid().tile_size).pow(2);
        self.put_all(count, pixels, make)?;
        report.tiles += count;
        let level = frames.tile_of(1).map_or(0, |tile| tile.level);
        note_made(slide, level, anew.into_inner(), frames, report);
        Ok(())
    }

    /// Writes `count` frames of `pixels` each.
    fn put_all(
        &mut self,
        count: u64,
        pixels: u64,
        make: impl Fn(u64) -> Result<Bytes, Error> + Sync,
    ) -> Result<(), Error> {
        let file = File::create_new(self.path).map_err(|cause| self.failed(cause))?;
        if !self.put_with(&file, false, count, pixels, &make)? {
            file.set_len(0).map_err(|cause| self.failed(cause))?;
            self.put_with(&file, true, count, pixels, &make)?;
        }
        // Who gives the folder its name takes the files in it for whole.
        file.sync_all().map_err(|cause| self.failed(cause))
    }

    /// Writes the file with one of the two tables; false if the frames are too many bytes for the basic one.
    fn put_with(
        &self,
        file: &File,
        extended: bool,
        count: u64,
        pixels: u64,
        make: &(impl Fn(u64) -> Result<Bytes, Error> + Sync),
    ) -> Result<bool, Error> {
        let failed = |cause: io::Error| self.failed(cause);
        let mut table =
            Table { extended, offsets: vec![0; count as usize], lengths: vec![0; count as usize] };
        let mut out = BufWriter::with_capacity(1 << 20, file);
        out.rewind().map_err(failed)?;
        out.write_all(&table.head(self.dataset)).map_err(failed)?;
        let (mut at, mut too_long) = (0, false);
        let written = batches::in_order(count, pixels, self.cancelled, make, |i, frame| {
            let length =
                u32::try_from(frame.len()).map_err(|_too_long| failed(io::ErrorKind::FileTooLarge.into()))?;
            if !extended && at > self.last_basic {
                too_long = true;
                return Err(failed(io::ErrorKind::FileTooLarge.into()));
            }
            (table.offsets[i as usize], table.lengths[i as usize]) = (at, u64::from(length));
            let (item, padding) = part10::fragment(length);
            at += (item.len() + frame.len() + padding.len()) as u64;
            [&item[..], &frame[..], padding].iter().try_for_each(|part| out.write_all(part)).map_err(failed)
        });
        if too_long {
            return Ok(false);
        }
        written?;
        out.write_all(&part10::tail()).map_err(failed)?;
        // The same number of bytes as before, with the offsets in them.
        out.rewind().map_err(failed)?;
        out.write_all(&table.head(self.dataset)).map_err(failed)?;
        out.flush().map_err(failed)?;
        Ok(true)
    }

    fn failed(&self, cause: io::Error) -> Error {
        Error::Write { path: self.path.to_owned(), cause }
    }
}

/// Where the frames are.
struct Table {
    extended: bool,
    offsets: Vec<u64>,
    lengths: Vec<u64>,
}

impl Table {
    fn head(&self, dataset: &Dataset) -> Vec<u8> {
        if self.extended {
            return part10::head(dataset, OffsetTable::Extended(&self.offsets, &self.lengths));
        }
        let basic: Vec<u32> = self.offsets.iter().map(|&offset| offset as u32).collect();
        part10::head(dataset, OffsetTable::Basic(&basic))
    }
}

fn note_made(slide: &Slide, level: u8, anew: u64, frames: &LevelFrames, report: &mut Report) {
    let grid = frames.grid();
    if !frames.keeps_tiles() {
        if level == 0 {
            report.notices.push(format!(
                "the slide's tiles overlap by {} px, which frames of DICOM cannot: all were encoded anew from their \
                 pixels",
                slide.levels()[0].overlap
            ));
        }
    } else if anew > 0 {
        report.notices.push(format!(
            "{anew} of {} tiles of level {level} cannot be padded to {side} x {side} px as they are, or are not like \
             the others: they were encoded anew from their pixels",
            grid.tiles(),
            side = grid.tile_size
        ));
    }
    let absent = slide.metadata().absent.iter().filter(|absent| absent.level == level);
    let absent: u64 = absent.map(AbsentTiles::count).sum();
    if absent > 0 {
        report.notices.push(format!(
            "{absent} tiles of level {level} that the slide's source lacked, or that could not be decoded, are written with white in their place"
        ));
    }
}

/// Says which associated images have no place in the series.
fn note_sizes(slide: &Slide, instances: &[Instance], report: &mut Report) {
    for image in &slide.metadata().associated {
        let written =
            |instance: &Instance| matches!(&instance.kind, Kind::Associated(name) if *name == image.name);
        if !instances.iter().any(written) {
            report.notices.push(format!("{} is left out: DICOM has no place for it", image.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use microtome_ingest::{Options, Progress, Unit, ingest};
    use microtome_slide::TileId;

    use super::*;

    struct Silent;

    impl Progress for Silent {
        fn stage(&self, _: &'static str, _: u64, _: Unit) {}
        fn advance(&self, _: u64, _: u64) {}
    }

    fn contain(source: &str, target: &Path) -> Slide {
        ingest(source, target, Options::default(), &Silent, &AtomicBool::new(false)).expect("ingests");
        Slide::open(target).expect("opens")
    }

    #[test]
    fn either_table_of_offsets_is_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let slide = contain("synthetic:600x500,seed=2", &folder.path().join("slide.mtm"));
        for (name, last_basic, extended) in [("basic", LAST_BASIC, false), ("extended", 1000, true)] {
            let series = folder.path().join(name);
            fs::create_dir(&series).expect("a folder");
            let report =
                write_up_to(&slide, 85, &series, &AtomicBool::new(false), last_basic).expect("writes");
            assert_eq!(report.tiles, 6 + 2 + 1);
            let bytes = fs::read(series.join("level-0.dcm")).expect("a file");
            let table = b"\xE0\x7F\x01\0OV\0\0";
            assert_eq!(bytes.windows(table.len()).any(|window| window == table), extended, "{name}");
            let target = folder.path().join(format!("{name}.mtm"));
            let again = contain(series.to_str().expect("UTF-8"), &target);
            let tile = TileId { level: 0, column: 1, row: 0 };
            assert_eq!(again.tile(tile).expect("a tile"), slide.tile(tile).expect("a tile"), "{name}");
        }
    }

    #[test]
    fn a_stop_is_heeded() {
        let folder = tempfile::tempdir().expect("a folder");
        let slide = contain("synthetic:600x500,seed=2", &folder.path().join("slide.mtm"));
        let stopped = write(&slide, 85, folder.path(), &AtomicBool::new(true));
        assert!(matches!(stopped, Err(Error::Interrupted)));
    }
}
