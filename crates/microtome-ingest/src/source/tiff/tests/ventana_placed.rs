//! Ventana BIF whose tiles overlap or lie in several areas: put together as OpenSlide does, where it reads them.

use microtome_codec::Rgb;
use microtome_container::geometry::Rect;

use super::ventana::{
    Area, PLAIN, SCAN, SCAN_OF_DP, TILE, compare_with_openslide, encoding, level, property, shown, slide,
    with_xmp,
};
use super::writer::{LAYOUTS, Scheme, padded, picture, write};
use super::{open_bytes, pixels};
use crate::source::openslide;

/// A picture of level 0 as overlapping tiles: the image that a TIFF stores, of all areas side by side.
fn stored(slide: &Rgb, grid: (u32, u32), areas: &[Area]) -> Rgb {
    let mut out = Rgb::filled(grid.0 * TILE, grid.1 * TILE, [0; 3]);
    for area in areas {
        let edges = |start: u32, count: u32, overlap: fn(u32) -> f64| {
            let next = move |edge: &mut u32, index: u32| {
                Some(std::mem::replace(edge, *edge + TILE - overlap(index) as u32))
            };
            (0..count).scan(start, next).collect::<Vec<_>>()
        };
        let lefts = edges(area.stage.0, area.tiles.0, area.across);
        let tops = edges(area.stage.1, area.tiles.1, area.down);
        for (row, &top) in (0..).zip(&tops) {
            for (column, &left) in (0..).zip(&lefts) {
                let tile = padded(slide, left, top, TILE, TILE);
                out.blit(
                    &tile,
                    0,
                    0,
                    TILE,
                    TILE,
                    (area.first.0 + column) * TILE,
                    (area.first.1 + row) * TILE,
                );
            }
        }
    }
    out
}

#[test]
fn overlapping_tiles_are_put_together_as_openslide_puts_them() {
    let area = Area { stage: (0, 0), across: |_| 24.0, down: |_| 16.0, ..PLAIN };
    let image = picture(5 * TILE - 4 * 24, 4 * TILE - 3 * 16);
    for scheme in [Scheme::Lzw, Scheme::Jpeg] {
        let stored = stored(&image, (5, 4), std::slice::from_ref(&area));
        let first = with_xmp(level(&stored, 0, scheme), encoding(std::slice::from_ref(&area), "RIGHT", ""));
        let pages = slide(SCAN, vec![first, level(&stored.reduced(), 1, scheme)]);
        let bytes = write(LAYOUTS[2], &pages);
        let source = open_bytes(&bytes).expect("opens");
        assert_eq!((source.width, source.height), (image.width(), image.height()));
        let all = shown(&source);
        assert!(scheme == Scheme::Jpeg || all == image);
        let notice = "the JPEG tiles of page 1 are not kept bit for bit: they overlap or lie in several areas, and are put \
                      together by the mean overlap of all, on whole pixels";
        assert_eq!(
            source.notices.iter().any(|said| said == notice),
            scheme == Scheme::Jpeg,
            "{:?}",
            source.notices
        );
        compare_with_openslide(&bytes);
    }
}

#[test]
fn areas_lie_where_they_were_on_the_stage_with_empty_glass_between() {
    // The first is above the second: heights are counted upwards. Both lie over a corner of the third.
    let areas = [
        Area { tiles: (2, 2), stage: (30, 400), across: |_| 20.0, down: |_| 10.0, ..PLAIN },
        Area { first: (2, 0), tiles: (3, 1), stage: (100, 0), across: |_| 20.0, down: |_| 10.0 },
        Area { first: (0, 2), tiles: (3, 2), stage: (180, 90), across: |_| 20.0, down: |_| 10.0 },
    ];
    // The last tiles in the image reach beyond it; what is there is not shown.
    for scheme in [Scheme::Lzw, Scheme::Jpeg] {
        let first =
            with_xmp(level(&picture(5 * TILE - 30, 4 * TILE - 9), 0, scheme), encoding(&areas, "RIGHT", ""));
        let bytes = write(LAYOUTS[2], &slide(SCAN, vec![first]));
        let source = open_bytes(&bytes).expect("opens");
        assert_eq!((source.width, source.height), (180 + 3 * TILE - 40, 400 + 2 * TILE - 10));
        assert_eq!(
            pixels(&source).read(Rect { x: 0, y: 0, width: 30, height: 600 }).expect("reads").uniform(),
            Some([255; 3])
        );
        assert_eq!(property(&source, "openslide.region[1].y"), Some("518"));
        assert_eq!(property(&source, "openslide.bounds-x"), Some("30"));
        compare_with_openslide(&bytes);
    }
}

/// OpenSlide draws between pixels; sizes are the same up to the last pixel.
#[test]
fn a_mean_that_is_no_whole_number_is_rounded_tile_by_tile() {
    let area = Area { across: |column| 20.0 + f64::from(column % 2), down: |_| 0.0, ..PLAIN };
    let stored = picture(5 * TILE, 4 * TILE);
    let first = with_xmp(level(&stored, 0, Scheme::Lzw), encoding(&[area], "RIGHT", ""));
    let bytes = write(LAYOUTS[2], &slide(SCAN, vec![first]));
    let source = open_bytes(&bytes).expect("opens");
    // The mean is 20.5: edges at 0, 107.5, 215, 322.5, 430.
    assert_eq!((source.width, source.height), (430 + TILE, 4 * TILE));
    let all = shown(&source);
    for (column, left) in [0, 108, 215, 323, 430].into_iter().enumerate() {
        let tile = stored.crop(column as u32 * TILE, 0, TILE, TILE);
        assert!(all.crop(left, 0, 100, TILE) == tile.crop(0, 0, 100, TILE), "{column}");
    }
    if openslide::tests::is_there() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), &bytes).expect("writes");
        let theirs = openslide::open(file.path()).expect("OpenSlide opens it");
        assert_eq!((source.width, source.height), (theirs.width, theirs.height));
        // Tiles at whole pixels are the same, but for what a neighbour between pixels leaves of them.
        let rect = Rect { x: 216, y: 0, width: 100, height: TILE };
        assert!(pixels(&source).read(rect).expect("ours") == pixels(&theirs).read(rect).expect("theirs"));
    }
}

#[test]
fn a_dp_200_with_overlaps_takes_each_out_where_it_is() {
    let area = Area {
        tiles: (4, 4),
        stage: (0, 0),
        across: |column| if column == 1 { 24.0 } else { 0.0 },
        down: |_| 0.0,
        ..PLAIN
    };
    let image = picture(4 * TILE - 24, 4 * TILE);
    let stored = stored(&image, (5, 4), std::slice::from_ref(&area));
    // On the stage it is far away.
    let xml = encoding(&[Area { stage: (25_165, 175_179), ..area }], "LEFT", "");
    let mut first = with_xmp(level(&stored, 0, Scheme::Lzw), xml);
    first.chunks[5].clear();
    let source = open_bytes(&write(LAYOUTS[2], &slide(SCAN_OF_DP, vec![first]))).expect("opens");
    let mut expected = image.clone();
    expected.blit(&Rgb::filled(TILE, TILE, [235; 3]), 0, 0, TILE, TILE, 0, TILE);
    assert!(shown(&source) == expected, "the fifth column belongs to no area");
    assert_eq!(property(&source, "openslide.bounds-x"), None);
    assert!(
        source.notices[0].contains("1 of 20 tiles or strips of page 1 are absent"),
        "{:?}",
        source.notices
    );
}

/// Overlaps of columns and of rows.
type Overlaps = (fn(u32) -> f64, fn(u32) -> f64);

/// One to four areas of tiles that overlap or leave gaps, anywhere on the stage, also over each other.
#[test]
fn any_areas_look_as_they_do_to_openslide() {
    const OVERLAPS: [Overlaps; 5] = [
        (|_| 0.0, |_| 1.0),
        (|_| 7.0, |_| 64.0),
        (|_| -5.0, |_| 3.0),
        (|_| 33.0, |_| -20.0),
        (|_| 64.0, |_| 1.0),
    ];
    let mut state = 12_345_u64;
    let mut below = |limit: u32| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % u64::from(limit)) as u32
    };
    for round in 0..24 {
        let (across, down) = OVERLAPS[below(5) as usize];
        let mut areas = vec![];
        for first in [(0, 0), (3, 0), (0, 3), (3, 3)] {
            if areas.is_empty() || below(3) > 0 {
                let (tiles, stage) = ((2 + below(2), 2 + below(2)), (below(500), below(900)));
                areas.push(Area { first, tiles, stage, across, down });
            }
        }
        let scheme = if round % 2 == 0 { Scheme::Jpeg } else { Scheme::Lzw };
        let image = picture(6 * TILE - below(60), 6 * TILE - below(60));
        let first = with_xmp(level(&image, 0, scheme), encoding(&areas, "RIGHT", ""));
        compare_with_openslide(&write(LAYOUTS[2], &slide(SCAN, vec![first])));
    }
}
