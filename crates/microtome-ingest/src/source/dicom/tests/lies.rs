//! Files that lie about themselves: each is an error that names the place, and never a panic.

use proptest::prelude::*;

use super::writer::{File, JPEG, NATIVE, Pixels, Table, Value, item, put, text};
use super::{frames, jpeg_level, open_alone, open_bytes, refusal};
use crate::Error;
use crate::source::{Content, Source};
use microtome_container::geometry::Rect;

/// Reads all that a source offers; the first error, if there is one.
fn read_all(source: &Source) -> Result<(), Error> {
    match &source.content {
        Content::Tiles(tiles) => {
            let side = tiles.tile_size();
            for (index, level) in tiles.levels().iter().enumerate() {
                for row in 0..level.height.div_ceil(side).min(8) {
                    for column in 0..level.width.div_ceil(side).min(8) {
                        tiles.tile(index, column, row)?;
                    }
                }
            }
        }
        Content::Pixels(pixels) => {
            let (width, height) = (source.width.min(256), source.height.min(256));
            pixels.read(Rect { x: 0, y: 0, width, height })?;
        }
    }
    Ok(())
}

fn native() -> File {
    File::of(NATIVE, (16, 16), (8, 8), 4).pixels(Pixels::Native(vec![9; 4 * 192]))
}

#[test]
fn numbers_out_of_bounds_are_errors_that_name_them() {
    for (changed, word) in [
        (native().with((0x0048, 0x0006), Value::Ul(0)), "TotalPixelMatrixColumns: is 0"),
        (native().with((0x0048, 0x0007), Value::Ul(u32::MAX)), "TotalPixelMatrixRows: is 4294967295"),
        (native().without((0x0048, 0x0007)), "TotalPixelMatrixRows: is missing"),
        (native().with((0x0028, 0x0010), Value::Us(vec![0])), "Rows: is 0"),
        (native().with((0x0028, 0x0011), Value::Us(vec![])), "Columns: is missing"),
        (native().with((0x0028, 0x0008), text("IS", -3)), "NumberOfFrames: is -3"),
        (native().with((0x0028, 0x0008), text("IS", 99_999_999)), "NumberOfFrames: is 99999999"),
        (native().with((0x0028, 0x0008), text("IS", 3)), "3 frames for 2 x 2 tiles"),
        (native().with((0x0028, 0x0011), Value::Us(vec![9])), "768 bytes"),
        (native().with((0x0048, 0x0303), Value::Ul(u32::MAX)), ""),
        (native().pixels(Pixels::None), "PixelData: is missing"),
        (native().pixels(Pixels::Native(vec![9; 700])), "for 4 frames of 192"),
        (native().pixels(Pixels::Frames(vec![vec![1; 192]; 4], 1, Table::Basic)), "is encapsulated"),
        (File { syntax: JPEG, ..native() }, "is not encapsulated"),
        (File::of(JPEG, (1 << 24, 1 << 24), (16, 16), 1), "tiles of 16 x 16 px"),
    ] {
        match open_alone(&changed) {
            Err(error) => assert!(error.to_string().contains(word), "{word}: {error}"),
            Ok(_) => assert!(word.is_empty(), "{word}"),
        }
    }
}

#[test]
fn frames_that_are_missing_are_told() {
    let file = File::of(JPEG, (64, 64), (32, 32), 4);
    for table in [Table::Basic, Table::Empty] {
        let short = file.clone().pixels(Pixels::Frames(frames(3, 32), 1, table));
        let error = refusal(&short);
        assert!(error.contains("3 fragments for 4 frames"), "{error}");
    }
    let five = file.clone().pixels(Pixels::Frames(frames(5, 32), 1, Table::Empty));
    assert!(refusal(&five).contains("5 fragments for 4 frames"));
    // An offset table that does not rise is not believed.
    let mut bytes = file.pixels(Pixels::Frames(frames(4, 32), 1, Table::Basic)).bytes();
    let at = bytes.windows(4).rposition(|w| w == [0xE0, 0x7F, 0x10, 0x00]).expect("pixel data") + 20;
    bytes[at + 4..at + 8].copy_from_slice(&[0; 4]);
    read_all(&open_bytes(&bytes).expect("opens")).expect("the items are walked over");
    // One that rises and points between the items is an error when it is read.
    bytes[at + 4..at + 8].copy_from_slice(&6_u32.to_le_bytes());
    assert!(open_bytes(&bytes).and_then(|source| read_all(&source)).is_err());
}

#[test]
fn a_file_cut_off_anywhere_is_an_error() {
    for file in [jpeg_level(80, 50, 2, Table::Basic).0, jpeg_level(40, 20, 1, Table::Empty).0, native()] {
        let file = file.with((0x5200, 0x9229), item(vec![((0x0028, 0x9110), item(vec![]))]));
        let whole = file.bytes();
        let delimiter = if file.syntax == JPEG { 8 } else { 0 };
        // The data set takes fewer than 900 bytes; frames are cut here and there.
        let end = whole.len() - delimiter;
        for length in (0..end.min(900)).chain((900..end).step_by(61)).chain([end - 1]) {
            let read = open_bytes(&whole[..length]).and_then(|source| read_all(&source));
            // What pads the last fragment may be missing, and the delimiter behind it.
            let padding = length + 1 == end;
            assert!(read.is_err() || padding, "cut at {length} of {}", whole.len());
        }
    }
}

/// A file whose data set is these bytes.
fn with_data_set(data: &[u8]) -> Vec<u8> {
    let mut bytes = File { syntax: NATIVE, elements: vec![], pixels: Pixels::None }.bytes();
    bytes.extend_from_slice(data);
    bytes
}

#[test]
fn sequences_in_sequences_end_at_a_limit() {
    let mut data = vec![];
    for _ in 0..100_000 {
        data.extend([0x40, 0x00, 0x55, 0x05, b'S', b'Q', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
        data.extend([0xFE, 0xFF, 0x00, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF]);
    }
    let error = open_bytes(&with_data_set(&data)).err().expect("refused").to_string();
    assert!(error.contains("more than 16 sequences"), "{error}");
}

/// dicom-parser's reader panics on the first of these.
#[test]
fn delimiters_and_items_out_of_place_are_errors() {
    let sequence = [0x40, 0x00, 0x55, 0x05, b'S', b'Q', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF];
    let item = [0xFE, 0xFF, 0x00, 0xE0, 0, 0, 0, 0];
    let item_end = [0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0];
    let sequence_end = [0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0];
    for data in [
        [&sequence[..], &item_end, &item].concat(),
        item.to_vec(),
        item_end.to_vec(),
        sequence_end.to_vec(),
        [&sequence[..], &sequence].concat(),
        sequence.to_vec(),
        [&[0x40, 0x00, 0x55, 0x05, b'S', b'Q', 0, 0, 0xFF, 0, 0, 0][..], &item].concat(),
    ] {
        let error = open_bytes(&with_data_set(&data)).err().expect("refused");
        assert!(matches!(error, Error::Malformed { .. }), "{error}");
    }
    let whole = [&sequence[..], &item, &sequence_end].concat();
    let error = open_bytes(&with_data_set(&whole)).err().expect("says nothing of a slide").to_string();
    assert!(error.contains("no whole slide"), "{error}");
}

#[test]
fn a_value_longer_than_the_file_takes_no_memory() {
    let mut data = vec![];
    put(&mut data, &((0x0008, 0x0016), text("UI", "1.2")), false);
    data.extend([0x40, 0x00, 0x10, 0x20, b'U', b'T', 0, 0, 0xFE, 0xFF, 0xFF, 0xFF]);
    let error = open_bytes(&with_data_set(&data)).err().expect("refused").to_string();
    assert!(error.contains("4294967294 bytes, where 0 are left"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn changed_bytes_never_panic(changes in prop::collection::vec((0_usize..1200, any::<u8>()), 1..6), kind in 0..3) {
        let file = match kind {
            0 => jpeg_level(80, 50, 2, Table::Basic).0,
            1 => jpeg_level(40, 20, 1, Table::Extended).0,
            _ => native(),
        };
        let mut bytes = file.with((0x5200, 0x9229), item(vec![((0x0028, 0x9110), item(vec![]))])).bytes();
        for (at, value) in changes {
            let at = (128 + at).min(bytes.len() - 1);
            bytes[at] = value;
        }
        if let Ok(source) = open_bytes(&bytes) {
            let _ = read_all(&source);
        }
    }
}
