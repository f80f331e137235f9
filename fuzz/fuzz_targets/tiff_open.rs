//! Any bytes as a TIFF file: opened, and a few tiles or regions of it read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use microtome_fuzz::{sources, with_file};
use microtome_ingest::source::tiff;

fuzz_target!(|bytes: &[u8]| {
    with_file(bytes, |path| {
        if let Ok(source) = tiff::open(path) {
            sources::look_at(source);
        }
    });
});
