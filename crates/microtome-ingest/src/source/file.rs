//! The file of a slide: positional reads within it, and errors that name it. Not here: what the bytes mean.

use std::fmt::Display;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::image::spool::read_exact_at;
use crate::Error;

/// An open file.
pub(super) struct SlideFile {
    file: fs::File,
    path: PathBuf,
    length: u64,
}

impl SlideFile {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let read = |cause| Error::Read { path: path.to_owned(), cause };
        let file = fs::File::open(path).map_err(read)?;
        let length = file.metadata().map_err(read)?.len();
        Ok(Self { file, path: path.to_owned(), length })
    }

    /// The path as it was given.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Length of the file in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// An error about bytes of the file that are wrong.
    pub(super) fn malformed(&self, place: impl Into<String>, what: impl Display) -> Error {
        Error::Malformed {
            path: self.path.display().to_string(),
            place: place.into(),
            what: format!("{what}; the file is damaged or cut off: copy or export it again"),
        }
    }

    /// An error about something that is not read, with a way round it.
    pub(super) fn unsupported(&self, what: impl Display, remedy: &str) -> Error {
        Error::Unsupported { path: self.path.display().to_string(), what: format!("{what}; {remedy}") }
    }

    /// The `length` bytes at `offset`. The caller has a limit on `length`; that they lie in the file is checked here.
    pub(super) fn read(&self, offset: u64, length: u64, place: &str) -> Result<Vec<u8>, Error> {
        let inside = offset.checked_add(length).is_some_and(|end| end <= self.length);
        let Some(size) = usize::try_from(length).ok().filter(|_| inside) else {
            let what =
                format!("{length} bytes at byte {offset} reach beyond the file's {} bytes", self.length);
            return Err(self.malformed(place, what));
        };
        let mut bytes = vec![0; size];
        read_exact_at(&self.file, &mut bytes, offset).map_err(|error| self.read_error(offset, &error))?;
        Ok(bytes)
    }

    /// The file itself, for who reads on and on. Its position is nobody else's: all other reads are positional.
    pub(super) fn handle(&self) -> &fs::File {
        &self.file
    }

    /// What the system said about a read at `offset`.
    pub(super) fn read_error(&self, offset: u64, cause: &io::Error) -> Error {
        let text = format!("at byte {offset}: {cause}");
        Error::Read { path: self.path.clone(), cause: io::Error::new(cause.kind(), text) }
    }
}
