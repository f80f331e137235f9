//! Slide formats that are known and not read yet, told before another reader takes a part of them for the slide.
//!
//! An MRXS begins with a JPEG thumbnail, a VSI is a TIFF file of a kind: read as such, they would go in as a
//! wrong picture without a word.

use std::path::Path;

use crate::Error;

/// What all of them are told to do.
const REMEDY: &str = "convert it to a pyramidal TIFF first, for example: \
                      vips tiffsave IN OUT.tif --tile --pyramid --bigtiff --compression jpeg";

/// Refuses a file by its extension or its first bytes, with the name of its format.
///
/// # Errors
/// [`Error::Unsupported`].
pub(crate) fn refuse(path: &Path, start: &[u8]) -> Result<(), Error> {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    let format = match extension.as_deref() {
        Some("mrxs") => Some("3DHISTECH MRXS"),
        Some("ndpis") => Some("Hamamatsu NDPIS (a set of fluorescence channels)"),
        Some("vms" | "vmu") => Some("Hamamatsu VMS"),
        Some("vsi" | "ets") => Some("Olympus VSI"),
        Some("bif") => Some("Ventana BIF"),
        Some("mtm") if start.starts_with(b"\x89MTM") => {
            let what = "this is a Microtome container already; export it first".to_owned();
            return Err(Error::Unsupported { path: path.display().to_string(), what });
        }
        _ if start.starts_with(b"ZISRAWFILE") => Some("Zeiss CZI"),
        _ => None,
    };
    match format {
        Some(format) => Err(Error::Unsupported {
            path: path.display().to_string(),
            what: format!("{format} is not read yet; {REMEDY}"),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_formats_are_refused_by_name_and_others_are_not() {
        for (name, start, format) in [
            ("a.MRXS", &b"\xFF\xD8\xFF"[..], "MRXS"),
            ("a.ndpis", b"NDPI", "NDPIS"),
            ("a.vsi", b"II*\0", "VSI"),
            ("a", b"ZISRAWFILE", "CZI"),
            ("a.mtm", b"\x89MTM\r\n", "container already"),
        ] {
            let error = refuse(Path::new(name), start).expect_err(name).to_string();
            assert!(error.contains(format), "{error}");
        }
        assert!(
            refuse(Path::new("a.svs"), b"II*\0").is_ok() && refuse(Path::new("a.ndpi"), b"II*\0").is_ok()
        );
    }
}
