//! Any bytes as a container: nothing may panic, hang or take memory beyond what the file is worth.
//!
//! The bytes are tried as they are, and again with every checksum made right, so that what lies behind is reached.

#![no_main]

use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use microtome_fuzz::{seal_header, seal_pages, seal_sections, some_tiles, with_file};
use microtome_slide::Slide;

fn look(bytes: &[u8]) {
    with_file(bytes, |path| {
        let Ok(slide) = Slide::open(path) else { return };
        let _ = microtome_container::verify::verify(slide.container(), |_| ControlFlow::Continue(()));
        let _ = slide.usage();
        for tile in some_tiles(&slide, 200) {
            if let Ok(fetched) = slide.fetch(tile) {
                let _ = fetched.decode();
            }
        }
        for image in slide.metadata().associated.iter().take(4) {
            let _ = slide.associated(&image.name);
        }
    });
}

fuzz_target!(|bytes: &[u8]| {
    look(bytes);
    let mut sealed = bytes.to_vec();
    seal_pages(&mut sealed);
    seal_sections(&mut sealed);
    seal_header(&mut sealed);
    look(&sealed);
});
