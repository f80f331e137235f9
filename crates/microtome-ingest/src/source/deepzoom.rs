//! A Deep Zoom folder: `name.dzi` with `name_files/{level}/{column}_{row}.{format}` beside it.
//!
//! JPEG tiles are offered verbatim at every level whose folder is there; PNG tiles are offered as pixels on the
//! same grid. Level numbers are turned round in `microtome_slide::deepzoom`. Not here: folders that lack their
//! descriptor.

use std::path::{Path, PathBuf};

use microtome_container::geometry::{Grid, coarsest_level, level_length};
use microtome_slide::deepzoom::Descriptor;

use crate::Error;
use crate::source::Source;
use crate::source::tile_files::{self, EXTENSIONS, Names, TileFiles, is_there, malformed};

/// Keeps the extension of the tile files, so that an export can give them their names back.
const FORMAT_PROPERTY: &str = "deep-zoom.Format";

/// Opens the folder by its descriptor.
///
/// # Errors
/// [`Error::Malformed`] if the descriptor or the finest level's folder is wrong or missing.
pub fn open(path: &Path) -> Result<Source, Error> {
    let descriptor = read_descriptor(path)?;
    let Descriptor { width, height, tile_size, overlap, .. } = descriptor;
    let folder = files_folder(path);
    let mut levels = vec![];
    for level in 0..=coarsest_level(width, height) {
        if folder.join(descriptor.number_of(level).to_string()).is_dir() {
            levels.push(tile_files::level(level, level_length(width, level), level_length(height, level)));
        }
    }
    if levels.first().is_none_or(|l| l.level != 0) {
        let finest = folder.join(descriptor.number_of(0).to_string());
        let what = format!("the folder of the finest level, {}, is missing; restore it", finest.display());
        return Err(malformed(path, "tiles", what));
    }
    let mut names = Folder { folder, descriptor };
    names.find_case()?;
    let format = names.descriptor.format.clone();
    let source = TileFiles { tile_size, overlap, levels, names }.into_source(path, "deep-zoom", &format)?;
    Ok(Source { properties: vec![(FORMAT_PROPERTY.to_owned(), format)], ..source })
}

fn files_folder(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}_files"))
}

fn read_descriptor(path: &Path) -> Result<Descriptor, Error> {
    let xml = tile_files::read_descriptor(path)?;
    let descriptor = Descriptor::parse(&xml).map_err(|what| malformed(path, "descriptor", what))?;
    let Descriptor { width, height, tile_size, overlap, .. } = descriptor;
    tile_files::check_grid(path, &Grid { width, height, tile_size, overlap })?;
    Ok(descriptor)
}

/// The tile files.
struct Folder {
    folder: PathBuf,
    descriptor: Descriptor,
}

impl Folder {
    /// Takes the extension in capitals or not, as the first tile of level 0 has it: on some systems a descriptor need not care.
    fn find_case(&mut self) -> Result<(), Error> {
        let (first, said) = (self.path(0, 0, 0), self.descriptor.format.clone());
        for known in EXTENSIONS.into_iter().filter(|known| known.eq_ignore_ascii_case(&said)) {
            if !is_there(&first)? && is_there(&first.with_extension(known))? {
                self.descriptor.format = known.to_owned();
            }
        }
        Ok(())
    }
}

impl Names for Folder {
    fn path(&self, level: u8, column: u32, row: u32) -> PathBuf {
        let number = self.descriptor.number_of(level);
        self.folder.join(format!("{number}/{column}_{row}.{}", self.descriptor.format))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::tile_files::samples::{assert_offers, put, pyramid, write};

    #[test]
    fn tiles_are_found_whether_their_extension_is_in_capitals_or_not() {
        for (said, is) in [("jpg", "jpg"), ("JPG", "JPG"), ("jpg", "JPG"), ("JPG", "jpg"), ("JPEG", "jpeg")] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("a.dzi");
            let descriptor =
                Descriptor { width: 90, height: 40, tile_size: 32, overlap: 0, format: said.to_owned() };
            put(&path, descriptor.to_xml().as_bytes());
            let grids = pyramid(Grid { width: 90, height: 40, tile_size: 32, overlap: 0 }, |n| n.div_ceil(2));
            let levels = write(&grids, |level, column, row| {
                let number = descriptor.number_of(level as u8);
                folder.path().join(format!("a_files/{number}/{column}_{row}.{is}"))
            });
            let source = open(&path).expect("opens");
            assert_offers(&source, &levels, &[0, 1, 2]);
            assert_eq!(source.properties, [(FORMAT_PROPERTY.to_owned(), is.to_owned())]);
        }
    }
}
