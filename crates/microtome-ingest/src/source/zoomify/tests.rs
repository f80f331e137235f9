//! Folders written with known tiles read back; descriptors and tiles that lie are refused or left out.

use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::options::DerivedLevels;
use crate::plan::{Origin, Plan};
use crate::source::Content;
use crate::source::tile_files::samples::{self, Written, assert_offers, jpeg, put, pyramid};

const UP: fn(u32) -> u32 = |length| length.div_ceil(2);
const DOWN: fn(u32) -> u32 = |length| length / 2;

/// A folder, its levels, and the path of its descriptor.
struct Sample {
    _folder: TempDir,
    levels: Vec<Written>,
    descriptor: PathBuf,
}

impl Sample {
    fn new((width, height): (u32, u32), tile_size: u32, halve: fn(u32) -> u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let grids = pyramid(Grid { width, height, tile_size, overlap: 0 }, halve);
        let before = |level: usize| grids[level + 1..].iter().map(Grid::tiles).sum::<u64>();
        let levels = samples::write(&grids, |level, column, row| {
            let index = before(level) + u64::from(row * grids[level].columns() + column);
            let tier = grids.len() - 1 - level;
            folder.path().join(format!("TileGroup{}/{tier}-{column}-{row}.jpg", index / 256))
        });
        let tiles: u64 = grids.iter().map(Grid::tiles).sum();
        let descriptor = folder.path().join(DESCRIPTOR);
        let xml = format!(
            "<IMAGE_PROPERTIES WIDTH=\"{width}\" HEIGHT=\"{height}\" NUMTILES=\"{tiles}\" NUMIMAGES=\"1\" VERSION=\"1.8\" \
             TILESIZE=\"{tile_size}\" />"
        );
        put(&descriptor, xml.as_bytes());
        Self { _folder: folder, levels, descriptor }
    }

    fn open(&self) -> Source {
        open(&self.descriptor).expect("opens")
    }

    fn refusal(&self) -> String {
        open(&self.descriptor).err().expect("refused").to_string()
    }

    /// The file of a tile.
    fn tile(&self, level: usize, column: u32, row: u32) -> &Path {
        let Written { grid, files } = &self.levels[level];
        &files[(row * grid.columns() + column) as usize]
    }
}

#[test]
fn tiers_are_found_whether_they_are_rounded_up_or_down() {
    // (up, down): levels of the container that are kept.
    for (size, tile_size, up, down) in [
        ((300, 200), 256, vec![0, 1], vec![0, 1]),
        ((200, 100), 256, vec![0], vec![0]),
        ((551, 257), 128, vec![0, 1, 2, 3], vec![0, 2, 3]),
        // Rounded down there is a tier less, and what is left of it has a column less.
        ((513, 513), 256, vec![0, 1, 2], vec![0]),
        ((1601, 19), 16, vec![0, 1, 2, 3, 4, 5, 6, 7], vec![0, 3, 4, 5, 6, 7]),
        // Several groups.
        ((800, 640), 32, vec![0, 1, 2, 3, 4, 5], vec![0, 1, 2, 3, 4, 5]),
    ] {
        for (halve, kept) in [(UP, up), (DOWN, down)] {
            let sample = Sample::new(size, tile_size, halve);
            let source = sample.open();
            assert_eq!((source.width, source.height, source.format), (size.0, size.1, "zoomify"));
            let all: Vec<_> = (0..sample.levels.len()).collect();
            assert_offers(&source, &sample.levels, &all);
            let plan = Plan::new(&source, DerivedLevels::Exact);
            let is_taken = |level: &usize| matches!(plan.origins[*level], Origin::Verbatim(_));
            let taken: Vec<_> = (0..plan.origins.len()).filter(is_taken).collect();
            assert_eq!(taken, kept, "{size:?}");
            assert_eq!(plan.notices.len(), all.len() - kept.len(), "{:?}", plan.notices);
        }
    }
}

#[test]
fn extensions_may_be_in_capitals() {
    for extension in ["JPG", "JPEG"] {
        let mut sample = Sample::new((300, 200), 128, UP);
        sample.levels.iter_mut().for_each(|level| level.rename(extension));
        assert_offers(&sample.open(), &sample.levels, &[0, 1, 2]);
    }
    let mut sample = Sample::new((300, 200), 128, UP);
    sample.levels.iter_mut().for_each(|level| level.rename("PNG"));
    assert!(matches!(sample.open().content, Content::Pixels(_)), "read as PNG, which these are not");
}

#[test]
fn tiers_that_do_not_fit_are_left_out_and_said_so() {
    let sample = Sample::new((1100, 900), 256, UP);
    fs::write(sample.tile(1, 2, 1), jpeg(37, 194, 0)).expect("a file");
    fs::remove_file(sample.tile(3, 0, 0)).expect("gone");
    let source = sample.open();
    assert_offers(&source, &sample.levels, &[0, 2]);
    let [one, three] = &source.notices[..] else { unreachable!("{:?}", source.notices) };
    for word in ["level 1", "column 2 row 1", "37 x 194 px", "549 x 450 px", "550 x 450 px"] {
        assert!(one.contains(word), "{word} is missing in: {one}");
    }
    assert!(three.contains("level 3") && three.contains("first and last tile are missing"), "{three}");
}

#[test]
fn descriptors_that_lie_say_where() {
    let sample = Sample::new((551, 257), 128, UP);
    let xml = fs::read_to_string(&sample.descriptor).expect("text");
    for (from, to, words) in [
        ("<IMAGE", "<IMAGO", &["not Zoomify's"][..]),
        ("/>", ">", &["not XML"]),
        ("<IMAGE", "<!DOCTYPE a [<!ENTITY b \"b\">]><IMAGE", &["not XML"]),
        ("WIDTH=\"551\"", "", &["WIDTH is missing"]),
        ("551", "0", &["0 x 257 px", "1 to 16777216"]),
        ("551", "-5", &["WIDTH=\"-5\""]),
        ("551", "4294967296", &["WIDTH=\"4294967296\""]),
        ("257", "16777217", &["16777217 px", "1 to 16777216"]),
        ("TILESIZE=\"128\"", "TILESIZE=\"0\"", &["tiles of 0 px", "16 to 4096"]),
        ("TILESIZE=\"128\"", "TILESIZE=\"8192\"", &["tiles of 8192 px", "16 to 4096"]),
        ("NUMTILES=\"24\"", "", &["NUMTILES is missing"]),
        ("NUMTILES=\"24\"", "NUMTILES=\"26\"", &["NUMTILES=\"26\"", "24 tiles", "or 21"]),
        ("NUMTILES=\"24\"", "NUMTILES=\"99999999999999999999\"", &["NUMTILES=\"99999999999999999999\""]),
        ("NUMIMAGES=\"1\"", "NUMIMAGES=\"2\"", &["2 images", "1 is read"]),
        ("VERSION=\"1.8\"", "VERSION=\"9\"", &["version \"9\"", "\"1.8\"", "dzsave"]),
    ] {
        let wrong = xml.replace(from, to);
        assert_ne!(wrong, xml, "{from}");
        fs::write(&sample.descriptor, wrong).expect("a file");
        let refusal = sample.refusal();
        for word in words.iter().chain(&["ImageProperties.xml"]) {
            assert!(refusal.contains(word), "{word} is missing in: {refusal}");
        }
    }
    fs::write(&sample.descriptor, format!("\u{FEFF}{xml}")).expect("a file");
    sample.open();
    fs::write(&sample.descriptor, " ".repeat(1 << 20)).expect("a file");
    assert!(sample.refusal().contains("larger than 64 KiB"));
    fs::write(&sample.descriptor, [0xFF, 0xFE, 0x3C, 0]).expect("a file");
    assert!(sample.refusal().contains("UTF-8"));
    fs::remove_file(&sample.descriptor).expect("gone");
    assert!(sample.refusal().contains("ImageProperties.xml"));
    fs::create_dir(&sample.descriptor).expect("a folder");
    assert!(sample.refusal().contains("not a file"));
}

#[test]
fn tiles_that_are_not_there_or_no_tiles_are_named() {
    type Damage = fn(&Path);
    let damage: [(Damage, &str); 5] = [
        (|_| {}, "the file is missing"),
        (|tile| fs::write(tile, b"").expect("a file"), "the file is empty"),
        (|tile| fs::write(tile, b"GIF89a, truly").expect("a file"), "not a JPEG stream"),
        (|tile| fs::create_dir(tile).expect("a folder"), "not a file"),
        (|tile| link("/dev/zero", tile), "not a file"),
    ];
    for (damage, what) in damage {
        if cfg!(not(unix)) && what == "not a file" {
            continue;
        }
        let sample = Sample::new((551, 257), 128, UP);
        let broken = |tile: &Path| {
            fs::remove_file(tile).expect("gone");
            damage(tile);
        };
        // The last tile of a tier: its size is wanted when the folder is opened.
        broken(sample.tile(1, 2, 1));
        let refusal = sample.refusal();
        assert!(refusal.contains(what) && refusal.contains("2-2-1.jpg: tile"), "{refusal}");
        // Another one: when it is read.
        let sample = Sample::new((551, 257), 128, UP);
        broken(sample.tile(0, 1, 1));
        let source = sample.open();
        let Content::Tiles(tiles) = &source.content else { unreachable!("JPEG tiles were written") };
        match tiles.tile(0, 1, 1) {
            Ok(bytes) => assert!(what == "not a JPEG stream" && bytes.starts_with(b"GIF")),
            Err(error) => assert!(error.to_string().contains(what), "{error}"),
        }
    }
    let sample = Sample::new((551, 257), 128, UP);
    fs::remove_file(sample.tile(0, 0, 0)).expect("gone");
    let refusal = sample.refusal();
    assert!(refusal.contains("TileGroup0/3-0-0.jpg: tile: the file is missing; restore it"), "{refusal}");
}

#[cfg(unix)]
fn link(to: &str, path: &Path) {
    std::os::unix::fs::symlink(to, path).expect("a link");
}

#[cfg(not(unix))]
fn link(_: &str, _: &Path) {}

#[cfg(unix)]
#[test]
fn a_link_to_a_tile_is_a_tile() {
    let sample = Sample::new((300, 200), 256, UP);
    let kept = sample.descriptor.with_file_name("kept.jpg");
    fs::rename(sample.tile(0, 0, 0), &kept).expect("moved");
    link(kept.to_str().expect("UTF-8"), sample.tile(0, 0, 0));
    assert_offers(&sample.open(), &sample.levels, &[0, 1]);
}

proptest! {
    #[test]
    fn no_descriptor_panics(text in "\\PC{0,200}", width: u32, height: u32, tile in 0_u32..6000, tiles: u64) {
        let _ = Descriptor::parse(&text);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(DESCRIPTOR);
        let xml = format!(
            "<IMAGE_PROPERTIES WIDTH=\"{width}\" HEIGHT=\"{height}\" NUMTILES=\"{tiles}\" TILESIZE=\"{tile}\" />"
        );
        fs::write(&path, xml).expect("a file");
        prop_assert!(open(&path).is_err());
    }

    #[test]
    fn the_number_of_tiles_tells_the_rounding(w in 1_u32..100_000, h in 1_u32..100_000, tile_size in 16_u32..600) {
        let full = Grid { width: w, height: h, tile_size, overlap: 0 };
        let (up, down) = (tiers(full, 0), tiers(full, 1));
        prop_assert!(count(&down) <= count(&up));
        if count(&up) == count(&down) {
            let same = |(a, b): (&Tier, &Tier)| {
                (a.grid.columns(), a.grid.rows(), a.before) == (b.grid.columns(), b.grid.rows(), b.before)
            };
            prop_assert!(up.len() == down.len() && up.iter().zip(&down).all(same));
        }
    }
}
