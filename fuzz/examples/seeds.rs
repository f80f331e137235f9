//! Writes the first inputs of the targets that would not find valid files by themselves:
//! `cargo run --example seeds`, in this folder.

use std::fs;
use std::path::Path;

use microtome_codec::jpeg::Colour;
use microtome_codec::payload::{LevelStream, VerbatimParams};
use microtome_codec::turbo::Subsampling;
use microtome_fuzz::{abbreviate, jpeg, sample_container};

#[allow(dead_code, reason = "the tests of the TIFF reader use the rest")]
#[path = "../../crates/microtome-ingest/src/source/tiff/tests/writer.rs"]
mod writer;

use writer::{LAYOUTS, Scheme, Value, picture, rgb_page, write};

fn main() {
    put("container_open", "sample", &sample_container());

    put("jpeg_inspect", "plain", &jpeg(40, 24, 0));
    let (tables, tile) = abbreviate(&jpeg(40, 24, 0));
    // JPEGTables are padded to the multiple of 8 that the target cuts at, by fill bytes before a marker.
    let mut padded = tables[..2].to_vec();
    padded.resize(2 + (8 - tables.len() % 8) % 8, 0xFF);
    padded.extend_from_slice(&tables[2..]);
    let head = (padded.len() / 8) as u8;
    for colour in 0..3 {
        put(
            "jpeg_inspect",
            &format!("abbreviated{colour}"),
            &[&[head | colour << 6][..], &padded, &tile].concat(),
        );
    }

    let stream = LevelStream { level: 0, tables, colour: Colour::Rgb, padded_to: 32 };
    let params = VerbatimParams {
        derived_quality: 85,
        derived_subsampling: Subsampling::Chroma420,
        streams: vec![stream],
    };
    put("codec_params", "one_level", &params.to_bytes());

    put(
        "dzi_descriptor",
        "plain",
        b"<Image xmlns=\"http://schemas.microsoft.com/deepzoom/2008\" Format=\"jpg\" Overlap=\"1\" \
          TileSize=\"254\"><Size Width=\"600\" Height=\"400\"/></Image>",
    );

    let schemes =
        [Scheme::None, Scheme::Lzw, Scheme::Deflate, Scheme::PackBits, Scheme::Jpeg, Scheme::JpegTables];
    for (number, scheme) in schemes.into_iter().enumerate() {
        for tiled in [false, true] {
            let layout = LAYOUTS[number % LAYOUTS.len()];
            let mut page = rgb_page(&picture(50, 40), (32, 32), tiled, scheme, number == 1);
            let mut half = rgb_page(&picture(25, 20), (32, 32), tiled, scheme, false);
            half.fields.insert(254, Value::Long(vec![1]));
            page.fields.insert(270, Value::Text("Aperio Image Library v1|AppMag = 20|MPP = 0.5"));
            let pages = if number % 2 == 0 { vec![page, half] } else { vec![page] };
            put("tiff_open", &format!("{number}-{tiled}"), &write(layout, &pages));
        }
    }
}

fn put(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder).expect("a folder for the corpus");
    fs::write(folder.join(name), bytes).expect("writes a seed");
}
