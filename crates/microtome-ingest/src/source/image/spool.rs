//! Pixels that were decoded once, kept for reading at random: in memory if few, else in an anonymous temporary file.
//!
//! The file holds raw RGB rows and has no name, so nothing is left of it however the process ends. Not here:
//! decoding.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use microtome_codec::Rgb;
use microtome_container::geometry::Rect;

use crate::Error;
use crate::source::Pixels;

/// Images of at most so many pixels stay in memory (48 MiB).
const MAX_MEMORY_PIXELS: u64 = 16 << 20;
/// Images of more pixels are refused: the file would take more than 12 GiB.
pub(in crate::source) const MAX_SPOOL_PIXELS: u64 = 4 << 30;

/// The pixels of an image.
pub(in crate::source) struct Spool {
    source: PathBuf,
    width: u32,
    store: Store,
}

enum Store {
    Memory(Rgb),
    /// Rows of 3 * width bytes each.
    File(File),
}

/// Takes an image from the top to the bottom.
pub(in crate::source) struct Writer {
    source: PathBuf,
    width: u32,
    height: u32,
    written: u64,
    sink: Sink,
}

enum Sink {
    Memory(Vec<u8>),
    File(BufWriter<File>),
}

fn temporary_file_error(source: &Path, error: &io::Error) -> Error {
    let folder = std::env::temp_dir();
    let text = format!(
        "its pixels need a temporary file in {}: {error}; set TMPDIR to a folder with room",
        folder.display()
    );
    Error::Read { path: source.to_owned(), cause: io::Error::new(error.kind(), text) }
}

fn malformed(source: &Path, what: String) -> Error {
    Error::Malformed { path: source.display().to_string(), place: "pixels".into(), what }
}

impl Writer {
    /// For an image of `width` x `height` pixels, neither of them 0; `source` is for messages.
    pub(in crate::source) fn new(source: &Path, width: u32, height: u32) -> Result<Self, Error> {
        let pixels = u64::from(width) * u64::from(height);
        if pixels > MAX_SPOOL_PIXELS {
            let what = format!(
                "{width} x {height} px that are not in tiles (at most {MAX_SPOOL_PIXELS} px are taken); \
                 convert it first, for example: vips tiffsave IN OUT.tif --tile --compression deflate"
            );
            return Err(Error::Unsupported { path: source.display().to_string(), what });
        }
        let sink = if pixels <= MAX_MEMORY_PIXELS {
            Sink::Memory(Vec::with_capacity(3 * pixels as usize))
        } else {
            let file = tempfile::tempfile().map_err(|error| temporary_file_error(source, &error))?;
            Sink::File(BufWriter::with_capacity(1 << 20, file))
        };
        Ok(Self { source: source.to_owned(), width, height, written: 0, sink })
    }

    /// Appends RGB bytes.
    pub(in crate::source) fn write(&mut self, rgb: &[u8]) -> Result<(), Error> {
        self.written += rgb.len() as u64;
        match &mut self.sink {
            Sink::Memory(data) => data.extend_from_slice(rgb),
            Sink::File(file) => {
                file.write_all(rgb).map_err(|error| temporary_file_error(&self.source, &error))?;
            }
        }
        Ok(())
    }

    /// The image, which must be complete.
    pub(in crate::source) fn finish(self) -> Result<Spool, Error> {
        let expected = 3 * u64::from(self.width) * u64::from(self.height);
        if self.written != expected {
            let what = format!("{} bytes where the image's size asks for {expected}", self.written);
            return Err(malformed(&self.source, what));
        }
        let store = match self.sink {
            Sink::Memory(data) => {
                let image = Rgb::from_vec(self.width, self.height, data);
                Store::Memory(image.map_err(|error| malformed(&self.source, error.to_string()))?)
            }
            Sink::File(file) => {
                let file =
                    file.into_inner().map_err(|error| temporary_file_error(&self.source, error.error()))?;
                Store::File(file)
            }
        };
        Ok(Spool { source: self.source, width: self.width, store })
    }
}

impl Spool {
    /// An image that is in memory already.
    pub(in crate::source) fn of(source: &Path, image: Rgb) -> Result<Self, Error> {
        let (width, height) = (image.width(), image.height());
        if u64::from(width) * u64::from(height) <= MAX_MEMORY_PIXELS {
            return Ok(Self { source: source.to_owned(), width, store: Store::Memory(image) });
        }
        let mut writer = Writer::new(source, width, height)?;
        writer.write(image.data())?;
        writer.finish()
    }
}

impl Pixels for Spool {
    fn in_memory(&self) -> Option<&Rgb> {
        match &self.store {
            Store::Memory(image) => Some(image),
            Store::File(_) => None,
        }
    }

    fn read(&self, rect: Rect) -> Result<Rgb, Error> {
        let file = match &self.store {
            Store::Memory(image) => return Ok(image.crop(rect.x, rect.y, rect.width, rect.height)),
            Store::File(file) => file,
        };
        let mut out = Rgb::filled(rect.width, rect.height, [0; 3]);
        for (y, row) in (rect.y..).zip(out.data_mut().chunks_exact_mut(3 * rect.width as usize)) {
            let offset = 3 * (u64::from(y) * u64::from(self.width) + u64::from(rect.x));
            read_exact_at(file, row, offset).map_err(|error| temporary_file_error(&self.source, &error))?;
        }
        Ok(out)
    }
}

/// Fills `bytes` from `offset` on without moving the file's position, so that threads can share the file.
#[cfg(unix)]
pub(in crate::source) fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

/// Fills `bytes` from `offset` on. The file's position moves, but nothing here depends on it.
#[cfg(windows)]
pub(in crate::source) fn read_exact_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !bytes.is_empty() {
        match file.seek_read(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                bytes = &mut bytes[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_image_goes_through_a_file_and_reads_back() {
        // A row more than stays in memory.
        let (width, height) = (4096, 4097);
        let mut writer = Writer::new(Path::new("large"), width, height).expect("a temporary file");
        for y in 0..height {
            let row: Vec<u8> = (0..3 * width).map(|at| (at * 7 + y * 13) as u8).collect();
            writer.write(&row).expect("writes");
        }
        let spool = writer.finish().expect("complete");
        assert!(matches!(spool.store, Store::File(_)));
        let rect = Rect { x: 4000, y: 4000, width: 96, height: 97 };
        let part = spool.read(rect).expect("reads");
        for y in 0..rect.height {
            let expected: Vec<u8> =
                (0..3 * rect.width).map(|at| ((at + 3 * rect.x) * 7 + (y + rect.y) * 13) as u8).collect();
            assert_eq!(part.row(y), expected, "row {y}");
        }
    }

    #[test]
    fn incomplete_and_huge_images_are_refused() {
        let mut writer = Writer::new(Path::new("short"), 4, 4).expect("small");
        writer.write(&[0; 47]).expect("writes");
        let error = writer.finish().err().expect("a byte is missing").to_string();
        assert_eq!(error, "short: pixels: 47 bytes where the image's size asks for 48");
        assert!(matches!(Writer::new(Path::new("huge"), 1 << 30, 1 << 30), Err(Error::Unsupported { .. })));
    }
}
