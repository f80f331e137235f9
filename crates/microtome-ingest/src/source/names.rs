//! What may be a slide by its name, for whoever walks through folders of many. Whether it is one shows when it is opened.

use std::path::{Path, PathBuf};

use super::{Descriptor, descriptor_in, dicom, iiif, zoomify};

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

/// Whether a folder is a slide itself: that of a Deep Zoom, Zoomify or IIIF descriptor or of a DICOM series, and of no other
/// slide beside.
#[must_use]
pub fn is_source_folder(path: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(path) else { return false };
    let slides =
        entries.filter(|entry| entry.as_ref().is_ok_and(|entry| may_be_slide(&entry.path()))).count();
    let is_one_of_them = |found: &Path| found != path && may_be_slide(found);
    slides <= 1 && descriptor_in(path).is_ok_and(|found| slides == usize::from(is_one_of_them(&found)))
}

/// Whether a slide in a folder is called by the folder, whatever else lies there: a DICOM series, and one whose descriptor is
/// called alike in every folder.
#[must_use]
pub fn lends_its_name(folder: &Path) -> bool {
    let has = |name| Descriptor::found(&folder.join(name)).is_some() && folder.join(name).is_file();
    has(zoomify::DESCRIPTOR)
        || has(iiif::DESCRIPTOR)
        || descriptor_in(folder).is_ok_and(|found| found == folder)
}

/// The slides of a folder of DICOM files: the first file of each series of whole slides. [`open`](super::open) refuses a folder
/// with none or several. `None` where it is no such folder, or a file cannot be read, which shows when it is opened.
#[must_use]
pub fn series_in(folder: &Path) -> Option<Vec<PathBuf>> {
    let is_dicom = folder.is_dir() && descriptor_in(folder).is_ok_and(|found| found == folder);
    if is_dicom { dicom::first_files(folder).ok() } else { None }
}

/// What a slide is called by: the folder of a descriptor that is called alike in every folder, if it has a name here, else
/// the path itself.
#[must_use]
pub fn called_by(path: &Path) -> &Path {
    let has_folder = matches!(Descriptor::by_name(path), Some(Descriptor::Zoomify | Descriptor::Iiif));
    let folder = path.parent().filter(|folder| has_folder && folder.file_name().is_some());
    folder.unwrap_or(path)
}

/// Whether a folder holds tiles of a slide that [lends its name](lends_its_name) from the folder that it is in.
#[must_use]
pub fn is_tile_folder(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| zoomify::is_tile_folder(name) || iiif::is_tile_folder(name))
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
    #[test]
    fn a_folder_lends_its_name_to_a_descriptor_that_is_called_alike_everywhere() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path
        };
        let info = write("info.json", "{\"name\": \"of another program\"}");
        assert!(!is_source_folder(folder.path()) && !lends_its_name(folder.path()));
        write("info.json", "{\"@context\": \"http://iiif.io/api/image/3/context.json\"}");
        assert!(is_source_folder(folder.path()) && lends_its_name(folder.path()));
        assert_eq!(called_by(&info), folder.path());
        std::fs::remove_file(&info).expect("gone");
        let properties = write("ImageProperties.xml", "");
        assert!(is_source_folder(folder.path()) && lends_its_name(folder.path()));
        assert_eq!(called_by(&properties), folder.path());
        write("beside.svs", "");
        assert!(!is_source_folder(folder.path()) && lends_its_name(folder.path()));
        for same in ["ImageProperties.xml", "./info.json", "a/slide.dzi", "a"] {
            assert_eq!(called_by(Path::new(same)), Path::new(same));
        }
        for (name, is) in [
            ("TileGroup0", true),
            ("TileGroup12", true),
            ("0,0,256,99", true),
            ("full", true),
            ("TileGroup", false),
            ("TileGroup1b", false),
            ("0,0,256", false),
            ("0,0,,1", false),
            ("case", false),
        ] {
            assert_eq!(is_tile_folder(Path::new(name)), is, "{name}");
        }
    }
}
