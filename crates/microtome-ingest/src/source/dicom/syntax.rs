//! Transfer syntaxes: how a file's elements and its frames are encoded.
//!
//! PS3.5 section 10 and annex A; the identifiers are those of PS3.6 annex A. Not here: decoding.

use super::file::DicomFile;
use crate::Error;

/// How a frame is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// Samples as they are, not encapsulated.
    Native,
    /// JPEG baseline or extended.
    Jpeg,
    /// JPEG 2000, high-throughput or not.
    Jpeg2000,
    JpegLs,
    /// PackBits, byte plane by byte plane.
    Rle,
    /// None that is read.
    Unread,
}

/// A transfer syntax.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Syntax {
    /// Whether VRs are left out.
    pub(super) implicit: bool,
    pub(super) coding: Coding,
    /// What messages call it.
    pub(super) name: &'static str,
}

impl Syntax {
    /// The transfer syntax of this identifier.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for those in which not even the elements can be read.
    pub(super) fn of(file: &DicomFile, uid: &str) -> Result<Self, Error> {
        let (coding, name) = match uid {
            "1.2.840.10008.1.2" | "1.2.840.10008.1.2.1" => (Coding::Native, "uncompressed"),
            "1.2.840.10008.1.2.4.50" | "1.2.840.10008.1.2.4.51" => (Coding::Jpeg, "JPEG"),
            "1.2.840.10008.1.2.4.80" | "1.2.840.10008.1.2.4.81" => (Coding::JpegLs, "JPEG-LS"),
            "1.2.840.10008.1.2.4.90" | "1.2.840.10008.1.2.4.91" => (Coding::Jpeg2000, "JPEG 2000"),
            "1.2.840.10008.1.2.4.201" | "1.2.840.10008.1.2.4.202" | "1.2.840.10008.1.2.4.203" => {
                (Coding::Jpeg2000, "High-Throughput JPEG 2000")
            }
            "1.2.840.10008.1.2.5" => (Coding::Rle, "RLE"),
            "1.2.840.10008.1.2.4.57" | "1.2.840.10008.1.2.4.70" => (Coding::Unread, "lossless JPEG"),
            "1.2.840.10008.1.2.4.92" | "1.2.840.10008.1.2.4.93" => (Coding::Unread, "JPEG 2000 part 2"),
            "1.2.840.10008.1.2.4.110" | "1.2.840.10008.1.2.4.111" | "1.2.840.10008.1.2.4.112" => {
                (Coding::Unread, "JPEG XL")
            }
            other if other.starts_with("1.2.840.10008.1.2.4.") => {
                (Coding::Unread, "one for video or streaming")
            }
            "1.2.840.10008.1.2.1.99" => return Err(unread(file, uid, "deflated")),
            "1.2.840.10008.1.2.2" => return Err(unread(file, uid, "big endian")),
            other => return Err(unread(file, other, "unknown")),
        };
        Ok(Self { implicit: uid == "1.2.840.10008.1.2", coding, name })
    }
}

fn unread(file: &DicomFile, uid: &str, name: &str) -> Error {
    file.unsupported_unless(
        format!("transfer syntax {uid} ({name}) is not read"),
        "store it uncompressed first, for example: dcmconv +te IN OUT; or take it out of the folder",
    )
}
