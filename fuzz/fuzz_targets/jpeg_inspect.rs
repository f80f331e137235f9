//! Any bytes as a JPEG stream, and as tables with a tile: parsed, joined, decoded, cropped.

#![no_main]

use libfuzzer_sys::fuzz_target;
use microtome_codec::jpeg::{self, Colour};
use microtome_codec::payload::{LevelStream, VerbatimParams};
use microtome_codec::turbo::{self, Subsampling};

const MAX_PIXELS: u64 = 512 * 512;

fn look(stream: &[u8]) {
    let header = jpeg::inspect(stream);
    let _ = jpeg::check_self_contained(stream);
    if let Ok(pixels) = turbo::decode(stream, MAX_PIXELS) {
        let header = header.as_ref().expect("what decodes has a header");
        assert_eq!((pixels.width(), pixels.height()), (header.width, header.height));
    }
    let Ok(header) = header else { return };
    let _ = header.check_displayable();
    let (width, height) = (header.width.div_ceil(2), header.height.div_ceil(2));
    if let Ok(part) = turbo::crop(stream, width, height, MAX_PIXELS) {
        let part = jpeg::inspect(&part).expect("a crop is a stream");
        assert_eq!((part.width, part.height), (width, height));
    }
}

// The first byte says how many bytes of the rest are tables, and what colour.
fuzz_target!(|bytes: &[u8]| {
    look(bytes);
    let Some((&head, rest)) = bytes.split_first() else { return };
    let (tables, tile) = rest.split_at(rest.len().min(usize::from(head & 63) * 8));
    let colour = [Colour::AsStored, Colour::Rgb, Colour::YCbCr][usize::from(head >> 6) % 3];
    let _ = jpeg::check_tables(tables);
    let Ok(joined) = jpeg::complete(tables, colour, tile) else { return };
    look(&joined);
    let stream = LevelStream { level: 0, tables: tables.to_vec(), colour, padded_to: 32 };
    let params = VerbatimParams {
        derived_quality: 85,
        derived_subsampling: Subsampling::Chroma420,
        streams: vec![stream],
    };
    if let Ok(served) = params.to_jpeg(0, 16, 16, &tile.to_vec().into()) {
        let header = jpeg::inspect(&served).expect("what is served is a stream");
        assert_eq!((header.width, header.height), (16, 16));
    }
});
