//! What a picture asks of the allocator: some bytes for each of its pixels, whatever its shape.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;

use allocation_counter::measure;
use microtome_render::{Drawing, View};
use microtome_slide::{Rect, Slide};
use support::{contain, folder};

fn slide(folder: &Path, name: &str, source: &str) -> Slide {
    Slide::open(&contain(folder, name, source)).unwrap()
}

#[test]
fn a_picture_takes_memory_in_proportion_to_its_pixels() {
    let folder = folder();
    let wide = slide(folder.path(), "wide.mtm", "synthetic:30000x300,seed=2");
    let high = slide(folder.path(), "high.mtm", "synthetic:300x30000,seed=2");
    let all = |width, height| Rect { x: 0, y: 0, width, height };
    for (slide, view) in [
        // Narrower and higher than its part, flatter and wider, and both at once as large as they come.
        (&wide, View::scaled(all(30_000, 1), 100, 8192)),
        (&high, View::scaled(all(1, 30_000), 8192, 100)),
        (&wide, View::scaled(all(30_000, 300), 8192, 82)),
        (&wide, View::scaled(all(30_000, 300), 3, 8192)),
    ] {
        let [width, height] = view.size();
        let counted = measure(|| {
            let mut drawing = Drawing::new(slide, view);
            while drawing.fetch(&()).unwrap() {
                drawing.advance(&()).unwrap();
            }
            drop(drawing.finish());
        });
        // The picture and as much again, a strip of the level, the tiles that it is made of.
        let most = 12 * u64::from(width) * u64::from(height) + (40 << 20);
        assert!(counted.bytes_max < most, "{width} x {height}: {} bytes at once", counted.bytes_max);
    }
}
