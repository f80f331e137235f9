//! Which files make a slide: for whoever hashes all of them, or waits for all of them.
//!
//! Not here: series of files that only their reader can put together.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{Descriptor, is_tile_folder};
use crate::Error;

/// Longest VMS or VMU file: it holds some dozens of lines.
const MAX_INDEX_BYTES: u64 = 1 << 20;

/// The folder that holds the files of a slide besides the one that it is opened by: `name` of `name.mrxs`, `name_files`
/// of `name.dzi`, `_name_` of `name.vsi`. `None` for formats of one file.
#[must_use]
pub fn companion_folder(path: &Path) -> Option<PathBuf> {
    let name = path.file_stem()?.to_str()?;
    let folder = match extension(path).as_str() {
        "mrxs" => name.to_owned(),
        "dzi" => format!("{name}_files"),
        "vsi" => format!("_{name}_"),
        _ => return None,
    };
    Some(path.with_file_name(folder))
}

/// The folder of the file that a slide is opened by, and the paths in it of all files that belong to the slide, sorted by
/// their bytes.
///
/// # Errors
/// [`Error::Read`].
pub(crate) fn of(path: &Path) -> Result<(PathBuf, Vec<PathBuf>), Error> {
    let parent = path.parent().unwrap_or(Path::new("")).to_owned();
    let mut files = match (companion_folder(path), extension(path).as_str()) {
        (Some(folder), _) => below(vec![folder])?,
        _ if matches!(Descriptor::by_name(path), Some(Descriptor::Zoomify | Descriptor::Iiif)) => {
            below(tile_folders(&parent)?)?
        }
        (None, "vms" | "vmu") => named_in(path)?,
        // Trestle's macro image.
        (None, "tif") => {
            vec![path.with_extension("Full")].into_iter().filter(|file| file.is_file()).collect()
        }
        (None, _) => vec![],
    };
    files.push(path.to_owned());
    for file in &mut files {
        *file = file.strip_prefix(&parent).unwrap_or(file).to_owned();
    }
    files.sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
    Ok((parent, files))
}

fn extension(path: &Path) -> String {
    path.extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase()
}

/// The folders of tiles beside a descriptor.
fn tile_folders(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    // Of a descriptor that was named without its folder.
    let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let failed = |cause| Error::Read { path: listed.to_owned(), cause };
    let mut folders = vec![];
    for entry in fs::read_dir(listed).map_err(failed)? {
        let path = folder.join(entry.map_err(failed)?.file_name());
        if is_tile_folder(&path) && path.is_dir() {
            folders.push(path);
        }
    }
    Ok(folders)
}

/// All files below some folders.
fn below(mut open: Vec<PathBuf>) -> Result<Vec<PathBuf>, Error> {
    let mut files = vec![];
    while let Some(folder) = open.pop() {
        let failed = |cause| Error::Read { path: folder.clone(), cause };
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            match entry.file_type().map_err(failed)?.is_dir() {
                true => open.push(entry.path()),
                false => files.push(entry.path()),
            }
        }
    }
    Ok(files)
}

/// The files beside a VMS or VMU file that it names: `ImageFile(1,0)=slide(1,0).jpg`.
fn named_in(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut bytes = vec![];
    let read: io::Result<_> =
        File::open(path).and_then(|file| file.take(MAX_INDEX_BYTES).read_to_end(&mut bytes));
    read.map_err(|cause| Error::Read { path: path.to_owned(), cause })?;
    let text = String::from_utf8_lossy(&bytes);
    let values = text.lines().filter_map(|line| Some(line.split_once('=')?.1.trim()));
    let names: BTreeSet<_> = values.filter(|name| !name.is_empty() && !name.contains(['/', '\\'])).collect();
    let files = names.into_iter().map(|name| path.with_file_name(name));
    Ok(files.filter(|file| file != path && file.is_file()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slide_has_the_files_of_its_folder_or_those_that_it_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let vms = "[Virtual Microscope Specimen]\r\nNoLayers=1\r\nImageFile=v.jpg\r\nImageFile(1,0)=v(1,0).jpg\r\n\
                   MapFile= v_map2.jpg\r\nOptimisationFile=gone.opt\r\nMacroImage=../m.mrxs\r\nTwice=v.jpg\r\nSelf=v.vms\r\n";
        fs::create_dir_all(folder.path().join("m/deep")).expect("folders");
        for (name, text) in [
            ("m.mrxs", ""),
            ("m/Slidedat.ini", ""),
            ("m/deep/Data.dat", ""),
            ("m2.mrxs", ""),
            ("v.vms", vms),
            ("v.jpg", ""),
            ("v(1,0).jpg", ""),
            ("v_map2.jpg", ""),
            ("other.jpg", ""),
            ("one.svs", ""),
            ("t.tif", ""),
            ("t.Full", ""),
            ("z/ImageProperties.xml", ""),
            ("z/TileGroup0/0-0-0.jpg", ""),
            ("z/TileGroup10/9-0-0.jpg", ""),
            ("z/other/0-0-0.jpg", ""),
            ("i/info.json", ""),
            ("i/full/9,/0/default.jpg", ""),
            ("i/0,0,8,8/8,8/0/default.jpg", ""),
            ("i/a.mtm", ""),
        ] {
            fs::create_dir_all(folder.path().join(name).parent().expect("a folder")).expect("folders");
            fs::write(folder.path().join(name), text).expect("a file");
        }
        let names = |name: &str| {
            let path = folder.path().join(name);
            let (parent, files) = of(&path).expect("files");
            assert_eq!(Some(&*parent), path.parent());
            files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names("m.mrxs"), ["m.mrxs", "m/Slidedat.ini", "m/deep/Data.dat"]);
        assert_eq!(names("v.vms"), ["v(1,0).jpg", "v.jpg", "v.vms", "v_map2.jpg"]);
        assert_eq!(names("one.svs"), ["one.svs"]);
        assert_eq!(names("t.tif"), ["t.Full", "t.tif"]);
        assert_eq!(
            names("z/ImageProperties.xml"),
            ["ImageProperties.xml", "TileGroup0/0-0-0.jpg", "TileGroup10/9-0-0.jpg"]
        );
        assert_eq!(names("i/info.json"), ["0,0,8,8/8,8/0/default.jpg", "full/9,/0/default.jpg", "info.json"]);
        assert!(matches!(of(&folder.path().join("m2.mrxs")), Err(Error::Read { .. })));
    }
}
