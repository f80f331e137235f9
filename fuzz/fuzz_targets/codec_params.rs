//! Any bytes as the parameters of codec 0: what is taken is written back byte for byte.

#![no_main]

use libfuzzer_sys::fuzz_target;
use microtome_codec::payload::VerbatimParams;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(params) = VerbatimParams::parse(bytes) {
        assert_eq!(params.to_bytes(), bytes);
    }
});
