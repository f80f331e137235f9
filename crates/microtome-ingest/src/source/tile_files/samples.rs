//! Tile files for tests: which level has which size, and JPEG tiles that differ from each other.

use std::fs;
use std::path::{Path, PathBuf};

use microtome_codec::Rgb;
use microtome_codec::turbo::{Subsampling, encode};
use microtome_container::geometry::Grid;

use crate::source::{Content, Source};

/// A level of a folder that a test has written.
pub(in crate::source) struct Written {
    pub(in crate::source) grid: Grid,
    /// The files of its tiles, row by row.
    pub(in crate::source) files: Vec<PathBuf>,
}

impl Written {
    /// Gives all files of tiles another extension.
    pub(in crate::source) fn rename(&mut self, extension: &str) {
        for file in &mut self.files {
            let renamed = file.with_extension(extension);
            fs::rename(&*file, &renamed).expect("renamed");
            *file = renamed;
        }
    }
}

/// The levels of a slide down to the first of one tile, halved one after the other.
pub(in crate::source) fn pyramid(full: Grid, halve: fn(u32) -> u32) -> Vec<Grid> {
    let mut grids = vec![full];
    while let Some(grid) = grids.last().filter(|grid| grid.tiles() > 1) {
        grids.push(Grid { width: halve(grid.width).max(1), height: halve(grid.height).max(1), ..*grid });
    }
    grids
}

/// Writes the tiles of levels where `name` says, each as the JPEG tile of its size.
pub(in crate::source) fn write(
    grids: &[Grid],
    mut name: impl FnMut(usize, u32, u32) -> PathBuf,
) -> Vec<Written> {
    let mut shade = 0_u8;
    let mut tile = |level: usize, grid: &Grid, index: u64| {
        let (column, row) = grid.position(index);
        let rect = grid.tile_rect(column, row).expect("inside");
        shade = shade.wrapping_add(37);
        let path = name(level, column, row);
        put(&path, &jpeg(rect.width, rect.height, shade));
        path
    };
    let level = |(k, grid): (usize, &Grid)| Written {
        grid: *grid,
        files: (0..grid.tiles()).map(|index| tile(k, grid, index)).collect(),
    };
    grids.iter().enumerate().map(level).collect()
}

/// Writes a file, and the folders that it is in.
pub(in crate::source) fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
    fs::write(path, bytes).expect("a file");
}

pub(in crate::source) fn jpeg(width: u32, height: u32, shade: u8) -> Vec<u8> {
    encode(&Rgb::filled(width, height, [shade, 90, 255 - shade]), 80, Subsampling::Chroma420)
        .expect("encodes")
}

/// Demands that a source offers these levels, by their numbers, and that every tile is the file that was written for it.
pub(in crate::source) fn assert_offers(source: &Source, written: &[Written], expected: &[usize]) {
    let Content::Tiles(tiles) = &source.content else { unreachable!("JPEG tiles were written") };
    let levels: Vec<_> = tiles.levels().iter().map(|level| usize::from(level.level)).collect();
    assert_eq!(levels, expected, "{:?}", source.notices);
    for (index, level) in tiles.levels().iter().enumerate() {
        let Written { grid, files } = &written[usize::from(level.level)];
        assert_eq!((level.width, level.height), (grid.width, grid.height));
        for (number, file) in (0..).zip(files) {
            let (column, row) = grid.position(number);
            let tile = tiles.tile(index, column, row).expect("a tile");
            // Two levels may have one file: in IIIF a pixel at the corner has the same name in both.
            assert!(tile == fs::read(file).expect("a file"), "{}", file.display());
            assert_eq!(tiles.place(index, column, row), file.display().to_string());
        }
    }
}
