//! Slide formats that have no reader here, told before another reader takes a part of them for the slide.
//!
//! An MRXS begins with a JPEG thumbnail, a VSI is a TIFF file of a kind: read as such, they would go in as a wrong
//! picture without a word. What OpenSlide reads of them is handed on to it.

use std::path::Path;

use crate::Error;

/// What those are told to do that OpenSlide does not read either.
const REMEDY: &str =
    "convert it to a pyramidal TIFF or OME-TIFF first, with its maker's program or Bio-Formats";

/// A format that OpenSlide reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unread {
    /// Its name.
    pub(crate) name: &'static str,
    /// What OpenSlide calls its vendor.
    pub(crate) vendor: &'static str,
}

/// Tells a format that has no reader by its extension or its first bytes; `None` if it is none of those known.
///
/// # Errors
/// [`Error::Unsupported`] with the format's name, if OpenSlide has no reader for it either.
pub(crate) fn tell(path: &Path, start: &[u8]) -> Result<Option<Unread>, Error> {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    let (name, vendor) = match extension.as_deref() {
        Some("mrxs") => ("3DHISTECH MRXS", Some("mirax")),
        Some("ndpis") => ("Hamamatsu NDPIS (a set of fluorescence channels)", None),
        Some("vms") => ("Hamamatsu VMS", Some("hamamatsu")),
        Some("vmu") => ("Hamamatsu VMU", Some("hamamatsu")),
        Some("vsi" | "ets") => ("Olympus VSI", None),
        Some("bif") if !matches!(start, [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..]) => {
            let what =
                "named as a Ventana BIF, and it does not begin as a TIFF file, which these are".to_owned();
            return Err(Error::Unsupported {
                path: path.display().to_string(),
                what: format!("{what}; it is damaged, or another extension is its own"),
            });
        }
        Some("svslide") => ("Sakura svslide", Some("sakura")),
        Some("mtm") if start.starts_with(b"\x89MTM") => {
            let what = "this is a Microtome container already; export it first".to_owned();
            return Err(Error::Unsupported { path: path.display().to_string(), what });
        }
        _ if start.starts_with(b"ZISRAWFILE") => ("Zeiss CZI", Some("zeiss")),
        _ => return Ok(None),
    };
    match vendor {
        Some(vendor) => Ok(Some(Unread { name, vendor })),
        None => Err(Error::Unsupported {
            path: path.display().to_string(),
            what: format!("{name} is not read yet; {REMEDY}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_without_a_reader_are_told_and_those_without_any_are_refused_by_name() {
        for (name, start, vendor) in [
            ("a.MRXS", &b"\xFF\xD8\xFF"[..], Some("mirax")),
            ("a.ndpi", b"II*\0", None),
            ("a.vmu", b"[Unc", Some("hamamatsu")),
            ("a.svslide", b"SQLi", Some("sakura")),
            ("a", b"ZISRAWFILE", Some("zeiss")),
            ("a.svs", b"II*\0", None),
            ("a.bif", b"II+\0", None),
        ] {
            let told = tell(Path::new(name), start).expect(name);
            assert_eq!(told.map(|format| format.vendor), vendor, "{name}");
        }
        for (name, start, format) in [
            ("a.vsi", &b"II*\0"[..], "VSI"),
            ("a.ndpis", b"NDPI", "NDPIS"),
            ("a.BIF", b"\xFF\xD8\xFF", "does not begin as a TIFF"),
            ("a.mtm", b"\x89MTM\r\n", "container already"),
        ] {
            let error = tell(Path::new(name), start).expect_err(name).to_string();
            assert!(error.contains(format), "{error}");
        }
    }
}
