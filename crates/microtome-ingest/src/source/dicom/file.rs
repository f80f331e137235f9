//! A DICOM file: what all files have, and the way round what is not read. Not here: what the bytes mean.

use std::fmt::Display;
use std::ops::Deref;
use std::path::Path;

use crate::Error;
use crate::source::file::SlideFile;

const REMEDY: &str = "convert it to a pyramidal TIFF first, for example with QuPath or Bio-Formats";

/// An open DICOM file.
pub(super) struct DicomFile(SlideFile);

impl DicomFile {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        SlideFile::open(path).map(Self)
    }

    /// An error about something that is not read but can be stored in another way.
    pub(super) fn unsupported(&self, what: impl Display) -> Error {
        self.0.unsupported(what, REMEDY)
    }

    /// An error about something that is not read, with a way round it.
    pub(super) fn unsupported_unless(&self, what: impl Display, remedy: &str) -> Error {
        self.0.unsupported(what, remedy)
    }
}

impl Deref for DicomFile {
    type Target = SlideFile;

    fn deref(&self) -> &SlideFile {
        &self.0
    }
}
