//! Any bytes as a JPEG stream that is taken apart: what is taken comes back byte for byte, whatever was parsed before.
//! The same bytes as a template: what is taken writes streams that are taken apart to what they were.

#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use microtome_codec::Error;
use microtome_codec::coefficients::{Parser, Template, Tile, Writer};

/// What is used again for many tiles.
#[derive(Default)]
struct Old {
    parser: Parser,
    writer: Writer,
    tile: Tile,
}

thread_local! {
    static OLD: RefCell<Old> = RefCell::default();
}

fn stream(old: &mut Old, bytes: &[u8]) -> Result<(), Error> {
    let mut tile = Tile::new();
    let result = Parser::new().parse(bytes, &mut tile);
    let again = old.parser.parse(bytes, &mut old.tile);
    assert_eq!(result.is_ok(), again.is_ok(), "what came before makes a difference");
    let template = result?;
    assert!(template == again? && tile == old.tile, "what came before makes a difference");

    let stored = Template::parse(&template.to_bytes()).expect("its own bytes");
    assert_eq!(stored, *template);
    assert_eq!(stored.to_bytes(), template.to_bytes());
    let mut out = b"before".to_vec();
    old.writer.write(&template, &tile, &mut out).expect("what was parsed can be written");
    assert!(&out[6..] == bytes, "rewritten bytes differ");
    out.clear();
    Writer::new().write(&stored, &tile, &mut out).expect("what was parsed can be written");
    assert!(out == bytes, "the stored template writes other bytes");
    Ok(())
}

fn template(old: &mut Old, bytes: &[u8]) -> Result<(), Error> {
    let template = Template::parse(bytes)?;
    assert_eq!(Template::parse(&template.to_bytes()).expect("its own bytes"), template);
    for (width, height) in [(1, 1), (21, 35)] {
        let mut tile = Tile::new();
        template.planes_for(width, height, &mut tile)?;
        for (p, plane) in tile.planes.iter_mut().enumerate() {
            for (i, value) in plane.coefficients.iter_mut().enumerate().step_by(1 + p * 5) {
                *value = [1, -2, 40, -700, 1023, 0, 0][i % 7] >> (i / 64 % 8);
            }
        }
        let mut out = vec![];
        if old.writer.write(&template, &tile, &mut out).is_err() {
            assert!(out.is_empty(), "an error that leaves bytes behind");
            continue;
        }
        // Long tails and tables that nothing needs are more than the parser takes.
        if let Ok(parsed) = old.parser.parse(&out, &mut old.tile) {
            assert!(old.tile == tile, "other coefficients");
            let mut again = vec![];
            old.writer.write(&parsed, &tile, &mut again).expect("what was parsed can be written");
            assert!(again == out, "rewritten bytes differ");
        }
    }
    Ok(())
}

fuzz_target!(|bytes: &[u8]| {
    OLD.with_borrow_mut(|old| {
        let _ = stream(old, bytes);
        let _ = template(old, bytes);
    });
});
