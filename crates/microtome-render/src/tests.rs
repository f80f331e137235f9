//! Views of synthetic slides against their pixels.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use microtome_codec::Rgb;
use microtome_codec::payload::VerbatimParams;
use microtome_codec::turbo::{self, Subsampling};
use microtome_container::{Level, NewSection, SectionKind, SlideId, Writer};
use microtome_slide::{Grid, Rect, Slide, TileId};

use crate::{Drawing, View};

struct Quiet;

impl microtome_ingest::Progress for Quiet {
    fn stage(&self, _name: &'static str, _total: u64, _unit: microtome_ingest::Unit) {}
    fn advance(&self, _done: u64, _stored: u64) {}
}

fn slide(folder: &Path, source: &str) -> Slide {
    let path = folder.join("a.mtm");
    let options = microtome_ingest::Options::default();
    microtome_ingest::ingest(source, &path, options, &Quiet, &AtomicBool::new(false)).expect("an ingest");
    Slide::open(&path).expect("a slide")
}

/// A slide of 222 x 299 px whose levels were rounded down, as pyramids in TIFF and DICOM mostly are: 111 x 149, 55 x 74, ...
fn rounded_down(folder: &Path) -> Slide {
    let mut pixels = Rgb::filled(222, 299, [0; 3]);
    for (i, pixel) in pixels.data_mut().as_chunks_mut::<3>().0.iter_mut().enumerate() {
        *pixel = [(i % 222) as u8, (i / 222 * 255 / 299) as u8, 128];
    }
    let sizes: Vec<_> = (0..=9).map(|level| ((222_u32 >> level).max(1), (299_u32 >> level).max(1))).collect();
    let levels = sizes.iter().map(|&(width, height)| Level { width, height, stored: true }).collect();
    let path = folder.join("down.mtm");
    let writer = Writer::create(&path, 0, 64, 0, levels).expect("a writer");
    for (level, &(width, height)) in (0..).zip(&sizes) {
        let whole = crate::scale::resized(&pixels, [width, height]);
        let grid = Grid { width, height, tile_size: 64, overlap: 0 };
        for (row, column) in (0..grid.rows()).flat_map(|row| (0..grid.columns()).map(move |c| (row, c))) {
            let Rect { x, y, width, height } = grid.tile_rect(column, row).expect("within the level");
            let jpeg = turbo::encode(&whole.crop(x, y, width, height), 95, Subsampling::Chroma444);
            writer.put(TileId { level, column, row }, &jpeg.expect("a tile")).expect("room for it");
        }
    }
    let parameters =
        VerbatimParams { derived_quality: 85, derived_subsampling: Subsampling::Chroma444, streams: vec![] };
    let section = |kind, critical, bytes| NewSection { kind: SectionKind(kind), critical, codec: 0, bytes };
    let sections = [section(*b"CPAR", true, parameters.to_bytes()), section(*b"META", false, b"{}".to_vec())];
    writer.finish(SlideId([7; 16]), &sections, &mut |_| ControlFlow::Continue(())).expect("a container");
    Slide::open(&path).expect("a slide")
}

fn draw(slide: &Slide, view: View) -> Rgb {
    let mut drawing = Drawing::new(slide, view);
    while drawing.fetch(&()).expect("reads") {
        drawing.advance(&()).expect("draws");
    }
    drawing.finish()
}

/// Mean and largest difference of the bytes of two pictures of the same size.
fn difference(a: &Rgb, b: &Rgb) -> (f64, u8) {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    let differences = a.data().iter().zip(b.data()).map(|(a, b)| a.abs_diff(*b));
    let sum: f64 = differences.clone().map(f64::from).sum();
    (sum / a.data().len() as f64, differences.max().unwrap_or(0))
}

const WHOLE: Rect = Rect { x: 0, y: 0, width: 3001, height: 2003 };

#[test]
fn parts_of_a_level_are_its_pixels() {
    let folder = tempfile::tempdir().expect("a folder");
    let slide = slide(folder.path(), "synthetic:3001x2003,seed=3");
    for (level, rect) in [
        (0, WHOLE),
        (0, Rect { x: 250, y: 700, width: 600, height: 1300 }),
        (1, Rect { x: 0, y: 0, width: 1501, height: 1002 }),
        (2, Rect { x: 749, y: 499, width: 2, height: 2 }),
    ] {
        let pixels = slide.read_region(level, rect).expect("a region");
        assert_eq!(draw(&slide, View::level(level, rect)), pixels, "{level} {rect:?}");
    }
    // A region whose edges lie on the level's pixels is not resampled.
    let region = Rect { x: 512, y: 256, width: 800, height: 400 };
    let pixels = slide.read_region(2, Rect { x: 128, y: 64, width: 200, height: 100 }).expect("a region");
    assert_eq!(draw(&slide, View::scaled(region, 200, 100)), pixels);
}

#[test]
fn a_picture_made_in_bands_is_the_one_made_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let slide = slide(folder.path(), "synthetic:3001x2003,seed=3");
    for (region, width, height) in [
        (WHOLE, 1999, 1501),
        (WHOLE, 3501, 2300),
        (Rect { x: 17, y: 33, width: 2900, height: 1901 }, 1777, 1111),
        (Rect { x: 17, y: 33, width: 2900, height: 1901 }, 2500, 11),
        (Rect { x: 3000, y: 2002, width: 1, height: 1 }, 40, 30),
        (Rect { x: 5, y: 5, width: 1, height: 1998 }, 3, 700),
        (Rect { x: 5, y: 700, width: 2990, height: 3 }, 700, 900),
    ] {
        let view = View::scaled(region, width, height);
        let (level, area) = view.source(slide.levels());
        let grid = slide.levels()[usize::from(level)];
        let all = Rect { x: 0, y: 0, width: grid.width, height: grid.height };
        let mut at_once = Rgb::filled(width, height, [0; 3]);
        let pixels = slide.read_region(level, all).expect("the level");
        crate::scale::Scale::new(area, width, height).run(&pixels, all, 0, at_once.data_mut());
        let (mean, most) = difference(&draw(&slide, view), &at_once);
        assert!(mean < 0.01 && most <= 1, "{region:?} to {width} x {height}: {mean} {most}");
    }
}

#[test]
fn pictures_of_any_size_show_the_same_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let slide = slide(folder.path(), "synthetic:3001x2003,seed=3");
    let region = Rect { x: 512, y: 512, width: 1024, height: 1024 };
    let reference = draw(&slide, View::scaled(region, 64, 64));
    for size in [72, 104, 128, 304, 512] {
        let picture = draw(&slide, View::scaled(region, size, size));
        // The mean of what each of 8 x 8 parts shows.
        let part = |picture: &Rgb, x: u32, y: u32| {
            let side = picture.width() / 8;
            let part = picture.crop(x * side, y * side, side, side);
            part.data().iter().map(|&byte| f64::from(byte)).sum::<f64>() / part.data().len() as f64
        };
        for (x, y) in (0..8).flat_map(|y| (0..8).map(move |x| (x, y))) {
            let (a, b) = (part(&reference, x, y), part(&picture, x, y));
            assert!((a - b).abs() < 8.0, "{size}: part {x} {y}: {a} {b}");
        }
    }
}

#[test]
fn a_level_is_seen_as_it_is_where_it_is_rounded_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let slide = slide(folder.path(), "synthetic:3001x2003,seed=3");
    for level in 0..5 {
        let grid = slide.levels()[level];
        let rect = Rect { x: 0, y: 0, width: grid.width, height: grid.height };
        let pixels = slide.read_region(level as u8, rect).expect("a region");
        assert_eq!(draw(&slide, View::scaled(WHOLE, grid.width, grid.height)), pixels, "level {level}");
    }
    // The last tile of level 2, 239 px wide, of which the last pixel stands for one of level 0.
    let region = Rect { x: 2048, y: 1024, width: 953, height: 979 };
    let pixels = slide.read_region(2, Rect { x: 512, y: 256, width: 239, height: 245 }).expect("a region");
    assert_eq!(draw(&slide, View::scaled(region, 239, 245)), pixels);
}

#[test]
fn levels_that_were_rounded_down_are_seen_to_their_edges() {
    let folder = tempfile::tempdir().expect("a folder");
    let slide = rounded_down(folder.path());
    let whole = Rect { x: 0, y: 0, width: 222, height: 299 };
    for (level, grid) in slide.levels().iter().enumerate() {
        let own = Rect { x: 0, y: 0, width: grid.width, height: grid.height };
        let pixels = slide.read_region(level as u8, own).expect("a region");
        assert!(draw(&slide, View::scaled(whole, grid.width, grid.height)) == pixels, "level {level}");
    }
    // All parts that viewers ask for which know tiles by IIIF, sizes rounded up and down; and parts between them.
    for level in 0..9 {
        let side = 64 << level;
        for (x, y) in (0..299).step_by(side).flat_map(|y| (0..222).step_by(side).map(move |x| (x, y))) {
            let (x, y) = (x as u32, y as u32);
            let region = Rect { x, y, width: (222 - x).min(side as u32), height: (299 - y).min(side as u32) };
            let up = [region.width, region.height].map(|length| length.div_ceil(1 << level));
            let down = [region.width, region.height].map(|length| (length >> level).max(1));
            for [width, height] in [up, down, [up[0], down[1]], [down[0], up[1]]] {
                check_place(&slide, region, [width, height]);
            }
        }
    }
    for (x, y) in (0..299).step_by(23).flat_map(|y| (0..222).step_by(19).map(move |x| (x, y))) {
        let region = Rect { x, y, width: 222 - x, height: 299 - y };
        for size in [[1, 1], [3, 17], [27, 37], [28, 38], [55, 75], [111, 150], [223, 299]] {
            check_place(&slide, region, size);
        }
    }
}

/// Demands that the middle of a picture has the colour that the slide has there: red tells the column, green the row.
fn check_place(slide: &Slide, region: Rect, [width, height]: [u32; 2]) {
    let picture = draw(slide, View::scaled(region, width, height));
    assert_eq!([picture.width(), picture.height()], [width, height]);
    let at = |length: u32, size: u32| f64::from(length) * (f64::from(size / 2) + 0.5) / f64::from(size);
    let x = f64::from(region.x) + at(region.width, width) - 0.5;
    let y = f64::from(region.y) + at(region.height, height) - 0.5;
    let pixel = ((height / 2 * width + width / 2) * 3) as usize;
    let found = [picture.data()[pixel], picture.data()[pixel + 1]].map(f64::from);
    let coarse = f64::from((region.width / width).max(region.height / height));
    for (found, expected) in found.into_iter().zip([x, y * 255.0 / 299.0]) {
        assert!(
            (found - expected).abs() < 3.0 + coarse,
            "{region:?} to {width} x {height}: {found}, not {expected}"
        );
    }
}
