//! Any bytes as a DICOM file: opened, and a few tiles or regions of it read.

#![no_main]

use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;
use microtome_fuzz::sources;
use microtome_ingest::source::dicom;

thread_local! {
    /// A folder of its own, since a file brings its series with it.
    static FOLDER: OnceCell<tempfile::TempDir> = const { OnceCell::new() };
}

fuzz_target!(|bytes: &[u8]| {
    FOLDER.with(|folder| {
        let folder = folder.get_or_init(|| tempfile::tempdir().expect("a temporary folder"));
        let path = folder.path().join("slide.dcm");
        std::fs::write(&path, bytes).expect("writes");
        if let Ok(source) = dicom::open(&path) {
            sources::look_at(source);
        }
    });
});
