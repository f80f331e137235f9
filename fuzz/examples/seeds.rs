//! Writes the first inputs of the targets that would not find valid files by themselves:
//! `cargo run --example seeds`, in this folder.

use std::fs;
use std::path::Path;

use microtome_codec::jpeg::Colour;
use microtome_codec::payload::{LevelStream, VerbatimParams};
use microtome_codec::turbo::Subsampling;
use microtome_fuzz::params::{Numbers, unpack};
use microtome_fuzz::tiles::{Sample, stream};
use microtome_fuzz::{abbreviate, jpeg, sample_container};

#[allow(dead_code, reason = "the tests of the TIFF reader use the rest")]
#[path = "../../crates/microtome-ingest/src/source/tiff/tests/writer.rs"]
mod writer;

#[path = "../../crates/microtome-ingest/src/source/tiff/tests/ndpi_writer.rs"]
mod ndpi_writer;

#[allow(dead_code, reason = "the tests of the DICOM reader use the rest")]
#[path = "../../crates/microtome-ingest/src/source/dicom/tests/writer.rs"]
mod dicom_writer;

use dicom_writer::{File, IMPLICIT, JPEG, NATIVE, Pixels, Table, Value as Dicom, frame_place, text};
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

    codec_1();
    dicom();
    ventana();
    ndpi();

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

/// BIF of two tiles side by side: that abut, that overlap, and of a scanner that places areas otherwise.
fn ventana() {
    for (name, overlap, model) in [("abut", 0, ""), ("overlap", 4, ""), ("dp", 4, "VENTANA DP 200")] {
        let scan = format!(
            "<iScan Magnification=\"40\" ScanRes=\"0.25\" ScannerModel=\"{model}\" ScanWhitePoint=\"235\"/>"
        );
        let encoding = format!(
            "<EncodeInfo Ver=\"2\"><SlideStitchInfo><ImageInfo AOIScanned=\"1\" AOIIndex=\"0\" Width=\"32\" Height=\"32\" \
             NumRows=\"1\" NumCols=\"2\" Pos-X=\"0\" Pos-Y=\"0\"><TileJointInfo FlagJoined=\"1\" Confidence=\"98\" \
             Direction=\"RIGHT\" Tile1=\"1\" Tile2=\"2\" OverlapX=\"{overlap}\" OverlapY=\"0\"/></ImageInfo>\
             </SlideStitchInfo><AoiOrigin><AOI0 OriginX=\"0\" OriginY=\"0\"/></AoiOrigin></EncodeInfo>"
        );
        let mut label = rgb_page(&picture(20, 30), (20, 30), false, Scheme::Jpeg, false);
        label.fields.insert(270, Value::Text("Label Image"));
        label.fields.insert(700, Value::Bytes(scan.into_bytes()));
        let mut level = rgb_page(&picture(64, 32), (32, 32), true, Scheme::Jpeg, false);
        level.fields.insert(270, Value::Text("level=0 mag=40 quality=90"));
        level.fields.insert(700, Value::Bytes(encoding.into_bytes()));
        put("tiff_open", &format!("bif-{name}"), &write(LAYOUTS[1], &[label, level]));
    }
    let mut label = rgb_page(&picture(20, 30), (20, 30), false, Scheme::Jpeg, false);
    label.fields.insert(285, Value::Text("label"));
    let level = rgb_page(&picture(50, 40), (32, 32), true, Scheme::Jpeg, false);
    put("tiff_open", "page-name", &write(LAYOUTS[0], &[level, label]));
}

/// NDPI of two levels: without restart markers, with some in a row, with one a row, in a list or to be looked for.
fn ndpi() {
    let (full, half) = (picture(70, 50), picture(35, 25));
    for (number, restart) in [0, 2, 5].into_iter().enumerate() {
        for listed in [false, true] {
            let level = |image: &microtome_codec::Rgb, lens: f32| {
                let stream = ndpi_writer::encode(image, Subsampling::Chroma420, restart);
                ndpi_writer::page((image.width(), image.height()), stream, lens, listed && restart > 0)
            };
            let pages = [level(&full, 20.0), level(&half, 10.0)];
            put("tiff_open", &format!("ndpi-{number}-{listed}"), &write(ndpi_writer::NDPI, &pages));
        }
    }
}

/// A slide of each coding and each meaning of samples, JPEG with each offset table, sparse tiles.
fn dicom() {
    let frames: Vec<_> = (0..4).map(|seed| jpeg(32, 32, seed)).collect();
    for (number, (table, fragments)) in
        [(Table::Basic, 1), (Table::Extended, 2), (Table::Empty, 3)].into_iter().enumerate()
    {
        let file =
            File::of(JPEG, (60, 50), (32, 32), 4).pixels(Pixels::Frames(frames.clone(), fragments, table));
        put("dicom_open", &format!("jpeg-{number}"), &file.bytes());
    }
    let native = |syntax| File::of(syntax, (6, 6), (4, 4), 4).pixels(Pixels::Native(vec![99; 192]));
    put("dicom_open", "implicit", &native(IMPLICIT).bytes());
    let one = native(NATIVE).with((0x0028, 0x0002), Dicom::Us(vec![1]));
    put("dicom_open", "grey", &one.with((0x0028, 0x0004), text("CS", "MONOCHROME1")).bytes());
    put("dicom_open", "half", &native(NATIVE).with((0x0028, 0x0004), text("CS", "YBR_FULL_422")).bytes());
    let places = [(1, 1), (5, 1), (1, 5), (5, 5)].map(|(x, y)| frame_place(x, y, "1", 0.0));
    let sparse = native(NATIVE).with((0x0020, 0x9311), text("CS", "TILED_SPARSE"));
    put(
        "dicom_open",
        "sparse",
        &sparse.with((0x5200, 0x9230), Dicom::Sequence(places.to_vec(), false)).bytes(),
    );
    let file = File::of(JPEG, (60, 50), (32, 32), 2).with((0x0020, 0x9311), text("CS", "TILED_SPARSE"));
    let places = [(33, 1), (1, 33)].map(|(x, y)| frame_place(x, y, "1", 0.0));
    let file = file.with((0x5200, 0x9230), Dicom::Sequence(places.to_vec(), true));
    let some = Pixels::Frames(frames[..2].to_vec(), 1, Table::Basic);
    put("dicom_open", "sparse-jpeg", &file.pixels(some).bytes());
    let mut rle = vec![0; 64];
    for (at, value) in [(0, 3), (4, 64), (8, 66), (12, 68)] {
        rle[at] = value;
    }
    rle.extend([241, 7, 241, 8, 241, 9]);
    let gradient = |name: &str| {
        let tests = "../crates/microtome-ingest/src/source/dicom/tests";
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(tests).join(name)).expect("a stream of the tests")
    };
    for (name, syntax, side, frame) in [
        ("rle", "1.2.840.10008.1.2.5", 4, rle),
        ("jpeg-2000", "1.2.840.10008.1.2.4.90", 16, gradient("gradient.j2k")),
        ("htj2k", "1.2.840.10008.1.2.4.201", 16, gradient("gradient.jhc")),
        ("jpeg-ls", "1.2.840.10008.1.2.4.80", 16, gradient("gradient.jls")),
    ] {
        let file = File::of(syntax, (side, side), (side as u16, side as u16), 1);
        put("dicom_open", name, &file.pixels(Pixels::Frames(vec![frame], 1, Table::Basic)).bytes());
    }
}

/// Streams of all templates, payloads in their places, coefficients, parameters as they are and inflated.
fn codec_1() {
    let Sample { codec, groups, payloads } = Sample::get();
    put("jpeg_coefficients", "turbo", &jpeg(40, 24, 0));
    for (g, group) in groups.iter().enumerate() {
        for (t, template) in group.templates.iter().enumerate() {
            put("jpeg_coefficients", &format!("stream-{g}-{t}"), &stream(template, [19, 30], 5));
            put("jpeg_coefficients", &format!("template-{g}-{t}"), &template.to_bytes());
            let place = [g as u8 * 4, 0x80, t as u8];
            put("cross_scale_tile", &format!("coefficients-{g}-{t}"), &[&place, &[9; 60][..]].concat());
        }
    }
    for (number, (level, group, _, payload)) in payloads.iter().enumerate() {
        let place = [level | (*group as u8) << 2, if *level == 1 { 3 << 3 | 1 } else { 0 }];
        put("cross_scale_tile", &format!("payload-{number}"), &[&place, &payload[..]].concat());
        // Four strands and a template of the slide: all four rows of blocks as the first part, and nothing in the second. Tiles
        // of one component are whole so.
        if let [form @ (9 | 10), number @ 0..255, coder @ ..] = &payload[..] {
            let length = [coder.len() as u8 | 128, (coder.len() >> 7) as u8 | 128, (coder.len() >> 14) as u8];
            let nothing = [&[0][..], &[0, 0, 1, 0].repeat(4)].concat();
            let parts = [&place[..], &[form | 16, *number, 4], &length, coder, &nothing].concat();
            put("cross_scale_tile", &format!("parts-{number}"), &parts);
            // Sixteen states, and words that are not theirs.
            let states = coder.get(2..6).unwrap_or(&[0, 0, 1, 0]).repeat(16);
            let sixteen = [&place[..], &[form & 3 | 32, *number], &states, coder].concat();
            put("cross_scale_tile", &format!("sixteen-{number}"), &sixteen);
            // The same of rows that go round: states with 8 bits in their upper halves.
            let states = [&[0x88; 8][..], &states[..48]].concat();
            let round = [&place[..], &[form & 3 | 96, *number], &states, coder].concat();
            put("cross_scale_tile", &format!("round-{number}"), &round);
        }
    }
    let params = codec.to_bytes();
    let plain = unpack(&params);
    put("cross_scale_params", "any", &[&[0], &params[..]].concat());
    put("cross_scale_params", "inflated", &[&[1], &plain[..]].concat());
    for (number, model) in Numbers::built_in().iter().enumerate() {
        // Neither templates nor streams; one model.
        let mut one = vec![1, 4, 85, 0, 0, 0, 2, 1, 2, 0, 255];
        one.extend(vec![0; number]);
        one.push(1);
        model.write(&mut one);
        one.extend(vec![0; 5 - number]);
        put("cross_scale_params", &format!("model-{number}"), &one);
    }
    put("cross_scale_params", "changed", &[2; 200]);
}

fn put(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder).expect("a folder for the corpus");
    fs::write(folder.join(name), bytes).expect("writes a seed");
}
