//! Zoomify and IIIF folders: in, proven against their source, every tile back byte for byte; bad ones refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use microtome_codec::Rgb;
use microtome_codec::turbo::{self, Subsampling};
use microtome_slide::{Grid, Slide, TileId};
use support::{Server, contain, fail, folder, microtome, names, path, picture, skipped, succeed, write_png};

/// The tile files of a folder that was written.
type Tiles = BTreeMap<Place, PathBuf>;
/// Level, column, row.
type Place = (u8, u32, u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Zoomify,
    Iiif2,
    Iiif3,
}

const LAYOUTS: [Layout; 3] = [Layout::Zoomify, Layout::Iiif2, Layout::Iiif3];

impl Layout {
    fn descriptor(self) -> &'static str {
        if self == Self::Zoomify { "ImageProperties.xml" } else { "info.json" }
    }

    /// Writes a folder of a picture, levels rounded up, down to the first of one tile.
    fn write(self, folder: &Path, pixels: &Rgb, tile_size: u32, extension: &str) -> Tiles {
        let (width, height) = (pixels.width(), pixels.height());
        let mut levels = vec![pixels.clone()];
        let grid = |level: &Rgb| Grid { width: level.width(), height: level.height(), tile_size, overlap: 0 };
        while let Some(level) = levels.last().filter(|level| grid(level).tiles() > 1) {
            levels.push(level.reduced());
        }
        let grids: Vec<_> = levels.iter().map(grid).collect();
        let mut tiles = Tiles::new();
        for (k, (grid, level)) in grids.iter().zip(&levels).enumerate() {
            for index in 0..grid.tiles() {
                let (column, row) = grid.position(index);
                let place = match self {
                    Self::Zoomify => {
                        let index = index + grids[k + 1..].iter().map(Grid::tiles).sum::<u64>();
                        format!("TileGroup{}/{}-{column}-{row}", index / 256, grids.len() - 1 - k)
                    }
                    Self::Iiif2 | Self::Iiif3 => self.place([width, height], grid, k, (column, row)),
                };
                let r = grid.tile_rect(column, row).unwrap();
                let tile = level.crop(r.x, r.y, r.width, r.height);
                let file = folder.join(format!("{place}.{extension}"));
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                match extension {
                    "png" => write_png(&file, &tile),
                    _ => std::fs::write(&file, turbo::encode(&tile, 80, Subsampling::Chroma420).unwrap())
                        .unwrap(),
                }
                tiles.insert((k as u8, column, row), file);
            }
        }
        std::fs::write(folder.join(self.descriptor()), self.description(&grids)).unwrap();
        tiles
    }

    /// `{region}/{size}/0/default` of a tile.
    fn place(self, full: [u32; 2], grid: &Grid, level: usize, (column, row): (u32, u32)) -> String {
        let side = grid.tile_size << level;
        let (x, y) = (column * side, row * side);
        let (w, h) = (side.min(full[0] - x), side.min(full[1] - y));
        let tile = grid.tile_rect(column, row).unwrap();
        let size = match self {
            Self::Iiif2 => format!("{},", tile.width),
            _ => format!("{},{}", tile.width, tile.height),
        };
        format!("{x},{y},{w},{h}/{size}/0/default")
    }

    fn description(self, grids: &[Grid]) -> String {
        let Grid { width, height, tile_size, .. } = grids[0];
        let version = match self {
            Self::Zoomify => {
                let tiles: u64 = grids.iter().map(Grid::tiles).sum();
                return format!(
                    "<IMAGE_PROPERTIES WIDTH=\"{width}\" HEIGHT=\"{height}\" NUMTILES=\"{tiles}\" NUMIMAGES=\"1\" \
                     VERSION=\"1.8\" TILESIZE=\"{tile_size}\" />"
                );
            }
            Self::Iiif2 => 2,
            Self::Iiif3 => 3,
        };
        let factors: Vec<u32> = (0..grids.len()).map(|level| 1 << level).collect();
        serde_json::json!({
            "@context": format!("http://iiif.io/api/image/{version}/context.json"),
            "protocol": "http://iiif.io/api/image", "width": width, "height": height,
            "tiles": [{"width": tile_size, "height": tile_size, "scaleFactors": factors}],
        })
        .to_string()
    }
}

/// Demands that the container gives these tiles back, and that `verify` finds no other in the source.
fn assert_keeps(container: &Path, source: &Path, tiles: &Tiles) {
    let slide = Slide::open(container).unwrap();
    for (&(level, column, row), file) in tiles {
        let back = slide.tile(TileId { level, column, row }).unwrap();
        assert!(back == std::fs::read(file).unwrap(), "{}", file.display());
    }
    let verdict = succeed(["verify", path(container), "--source", path(source)]);
    let said = format!("{} tiles are those of", tiles.len());
    assert!(verdict.contains(&said) && verdict.contains("byte for byte"), "{said}: {verdict}");
}

#[test]
fn a_folder_or_its_descriptor_goes_in_and_every_tile_comes_back() {
    for layout in LAYOUTS {
        for (size, tile_size) in [((1100, 900), 256), ((300, 200), 512), ((700, 500), 32), ((1000, 37), 16)] {
            let folder = folder();
            let source = folder.path().join("a slide");
            std::fs::create_dir(&source).unwrap();
            let tiles = layout.write(&source, &picture(size.0, size.1), tile_size, "jpg");
            let out = folder.path().join("out");
            succeed(["ingest", path(&source), "-o", path(&out)]);
            assert_eq!(names(&out), ["a slide.mtm"]);
            let container = out.join("a slide.mtm");
            assert_keeps(&container, &source, &tiles);
            let record = Slide::open(&container).unwrap().metadata().source.clone();
            assert_eq!((record.name.as_str(), record.files), ("a slide", tiles.len() as u64 + 1));
            let skipped = microtome(["ingest", path(&source), "-o", path(&out), "--resume"]);
            let said = String::from_utf8_lossy(&skipped.stderr).into_owned();
            assert!(skipped.status.success() && said.contains("skipped"), "{said}");

            let again = folder.path().join("again");
            let descriptor = source.join(layout.descriptor());
            succeed(["ingest", path(&descriptor), "-o", path(&again)]);
            assert!(
                std::fs::read(again.join("a slide.mtm")).unwrap() == std::fs::read(&container).unwrap(),
                "named by its folder or by its descriptor, it is the same slide"
            );
            std::fs::write(tiles.values().next().unwrap(), b"other").unwrap();
            let line = fail(1, ["ingest", path(&source), "-o", path(&out), "--resume"]);
            assert!(line.contains("the source has changed since"), "{line}");
        }
    }
}

#[test]
fn a_png_tile_of_another_size_is_refused_by_its_header() {
    let (folder, out) = (folder(), folder());
    let tiles = Layout::Zoomify.write(folder.path(), &picture(300, 200), 128, "png");
    // Nothing good behind the header: who decodes before looking at the size complains of that.
    let mut bytes = support::png(&Rgb::filled(3000, 3000, [9; 3]));
    let length = bytes.len();
    bytes[length / 2..].fill(0);
    std::fs::write(&tiles[&(0, 1, 0)], bytes).unwrap();
    let line = fail(1, ["ingest", path(folder.path()), "-o", path(&out.path().join("out.mtm"))]);
    assert!(line.contains("3000 x 3000 px where the grid has 128 x 128 px"), "{line}");
}

#[test]
fn png_tiles_are_quantised_once() {
    for layout in LAYOUTS {
        let folder = folder();
        let pixels = picture(600, 301);
        layout.write(folder.path(), &pixels, 128, "png");
        let container = contain(folder.path(), "out.mtm", path(folder.path()));
        let slide = Slide::open(&container).unwrap();
        let region = slide.read_region(0, microtome_slide::Rect { x: 0, y: 0, width: 600, height: 301 });
        assert!(support::psnr(&region.unwrap(), &pixels) > 36.0);
        assert_eq!((slide.levels()[0].tile_size, &*slide.metadata().encoder.mode), (128, "quality 80"));
    }
}

#[test]
fn an_archive_with_such_folders_is_walked_through() {
    let folder = folder();
    let archive = folder.path().join("archive");
    for (layout, place) in LAYOUTS.into_iter().zip(["case 1/zoomify", "case 2/two", "case 2/three"]) {
        let source = archive.join(place);
        std::fs::create_dir_all(&source).unwrap();
        layout.write(&source, &picture(600, 301), 128, "jpg");
    }
    // A slide beside the tiles of another.
    write_png(&folder.path().join("beside.png"), &picture(90, 80));
    succeed(["ingest", path(&folder.path().join("beside.png")), "-o", path(&folder.path().join("b.mtm"))]);
    let beside = archive.join("case 1/zoomify/beside.tif");
    succeed(["export", path(&folder.path().join("b.mtm")), "-o", path(&beside)]);
    std::fs::write(archive.join("case 1/info.json"), r#"{"patient": "of another program"}"#).unwrap();
    let out = folder.path().join("out");
    succeed(["ingest", path(&archive), "-o", path(&out)]);
    assert_eq!(names(&out), ["case 1", "case 2"]);
    assert_eq!(names(&out.join("case 1")), ["zoomify", "zoomify.mtm"]);
    assert_eq!(names(&out.join("case 1/zoomify")), ["beside.mtm"]);
    assert_eq!(names(&out.join("case 2")), ["three.mtm", "two.mtm"]);
}

#[test]
fn bad_folders_are_refused_in_a_line() {
    type Damage = fn(&Path, &Tiles);
    let damage: [(&str, Damage); 5] = [
        ("missing; restore it", |_, tiles| std::fs::remove_file(&tiles[&(0, 1, 1)]).unwrap()),
        ("empty; restore it", |_, tiles| std::fs::write(&tiles[&(0, 1, 1)], b"").unwrap()),
        ("the grid wants 128 x 128 px (its header says 76 x 128 px)", |_, tiles| {
            std::fs::copy(&tiles[&(0, 8, 1)], &tiles[&(0, 1, 1)]).unwrap();
        }),
        ("is not 1 to 16777216 px", |descriptor, _| {
            let text = std::fs::read_to_string(descriptor).unwrap();
            std::fs::write(descriptor, text.replace("1100", "99999999")).unwrap();
        }),
        ("descriptor: not", |descriptor, _| std::fs::write(descriptor, "{<").unwrap()),
    ];
    for layout in LAYOUTS {
        for (words, damage) in damage {
            let (folder, out) = (folder(), folder());
            let tiles = layout.write(folder.path(), &picture(1100, 900), 128, "jpg");
            let descriptor = folder.path().join(layout.descriptor());
            damage(&descriptor, &tiles);
            let line = fail(1, ["ingest", path(&descriptor), "-o", path(&out.path().join("out.mtm"))]);
            assert!(line.contains(words), "{layout:?}: {words} is missing in: {line}");
            assert!(names(out.path()).is_empty());
        }
    }
    // Nobody knows which is meant.
    let folder = folder();
    Layout::Zoomify.write(folder.path(), &picture(90, 80), 128, "jpg");
    Layout::Iiif3.write(folder.path(), &picture(90, 80), 128, "jpg");
    let line = fail(1, ["ingest", path(folder.path()), "-o", path(&folder.path().join("out.mtm"))]);
    assert!(line.contains("several descriptors") && line.contains("name one of them"), "{line}");
}

#[test]
fn folders_that_libvips_writes_go_in_whole() {
    if !Command::new("vips").arg("--version").output().is_ok_and(|output| output.status.success()) {
        skipped("vips is not here");
        return;
    }
    for (width, height, tile_size) in [(1101, 1027, 256), (1999, 37, 128), (900, 700, 50), (300, 200, 512)] {
        let folder = folder();
        let image = folder.path().join("image.png");
        write_png(&image, &picture(width, height));
        for layout in ["zoomify", "iiif", "iiif3"] {
            let source = folder.path().join(layout);
            let size = tile_size.to_string();
            let arguments = [
                "dzsave",
                path(&image),
                path(&source),
                "--layout",
                layout,
                "--tile-size",
                &size,
                "--overlap",
                "0",
            ];
            assert!(Command::new("vips").args(arguments).status().unwrap().success());
            let container = contain(folder.path(), &format!("{layout}.mtm"), path(&source));
            let verdict = succeed(["verify", path(&container), "--source", path(&source)]);
            // All but the descriptor.
            let kept = Slide::open(&container).unwrap().metadata().source.files - 1;
            let said = format!("{kept} tiles are those of");
            assert!(verdict.contains(&said), "{layout} {width} x {height}: {said}: {verdict}");
        }
    }
}

#[test]
fn what_we_serve_goes_in_again() {
    let folder = folder();
    let slides = folder.path().join("slides");
    std::fs::create_dir(&slides).unwrap();
    let original = contain(&slides, "a.mtm", "synthetic:1100x1000,seed=3");
    let original = Slide::open(&original).unwrap();
    let server = Server::start(&slides, &[]);
    let mirror = |address: &str, file: &Path| {
        let answer = server.get(address);
        assert_eq!(answer.status, 200, "{address}");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, answer.body).unwrap();
    };
    for layout in LAYOUTS {
        // The folder that the same slide would be has the names that are to be asked for.
        let names = folder.path().join(format!("{layout:?} names"));
        std::fs::create_dir(&names).unwrap();
        let tiles = layout.write(&names, &picture(1100, 1000), 256, "jpg");
        let source = folder.path().join(format!("{layout:?}"));
        let base = match layout {
            Layout::Zoomify => "/zoomify/a",
            Layout::Iiif2 => "/iiif/2/a",
            Layout::Iiif3 => "/iiif/3/a",
        };
        mirror(&format!("{base}/{}", layout.descriptor()), &source.join(layout.descriptor()));
        let mut mirrored = Tiles::new();
        for (tile, file) in tiles {
            let below = file.strip_prefix(&names).unwrap();
            mirror(&format!("{base}/{}", path(below)), &source.join(below));
            mirrored.insert(tile, source.join(below));
        }
        let container = contain(folder.path(), &format!("{layout:?}.mtm"), path(&source));
        assert_keeps(&container, &source, &mirrored);
        let again = Slide::open(&container).unwrap();
        if layout != Layout::Zoomify {
            assert_eq!(again.metadata().mpp, original.metadata().mpp);
        }
        let tile = TileId { level: 0, column: 4, row: 3 };
        assert!(again.tile(tile).unwrap() == original.tile(tile).unwrap());
    }
}
