//! What may be a slide by its name, for whoever walks through folders of many. Whether it is one shows when it is opened.

use std::path::Path;

use super::descriptor_in;

/// Extensions of slides. Some are refused by name when they are opened: better than to pass them over in silence. Plain
/// images are not among them, since archives keep labels and snapshots beside their slides.
const EXTENSIONS: [&str; 15] = [
    "svs", "svslide", "tif", "tiff", "btf", "tf8", "ndpi", "scn", "bif", "mrxs", "vms", "vmu", "vsi", "czi",
    "dzi",
];

/// Whether a file's name is that of a slide.
#[must_use]
pub fn may_be_slide(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)))
}

/// Whether a folder is a slide itself: that of a Deep Zoom descriptor or of a DICOM series, and of no other slide beside.
#[must_use]
pub fn is_source_folder(path: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(path) else { return false };
    let slides =
        entries.filter(|entry| entry.as_ref().is_ok_and(|entry| may_be_slide(&entry.path()))).count();
    slides <= 1 && descriptor_in(path).is_ok_and(|found| slides == usize::from(found != path))
}

/// Whether a folder holds a DICOM series, whatever else: named as a source, it stands for that.
#[must_use]
pub fn holds_series(path: &Path) -> bool {
    descriptor_in(path).is_ok_and(|found| found == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_one_descriptor_is_a_slide_and_one_of_several_slides_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(!is_source_folder(folder.path()));
        std::fs::write(folder.path().join("a.dzi"), "").expect("a file");
        assert!(is_source_folder(folder.path()));
        std::fs::write(folder.path().join("b.SVS"), "").expect("a file");
        assert!(!is_source_folder(folder.path()));
        std::fs::remove_file(folder.path().join("a.dzi")).expect("gone");
        assert!(!is_source_folder(folder.path()), "a file in a folder is not the folder");
    }
}
