//! A valid container with a few bytes changed: an error, or the tile as it was, and never a wrong picture.
//!
//! Checksums of index pages may be made right again: the records' own must still hold. If section hashes or the header
//! are made right again the content id differs, and then all that is asked is that nothing panics.

#![no_main]

use std::ops::ControlFlow;
use std::sync::LazyLock;

use bytes_of::Tiles;
use libfuzzer_sys::{arbitrary, fuzz_target};
use microtome_container::ContentId;
use microtome_fuzz::{sample_container, seal_header, seal_pages, seal_sections, with_file};
use microtome_slide::Slide;

mod bytes_of {
    use microtome_fuzz::some_tiles;
    use microtome_slide::{Slide, TileId};

    /// Every tile of the sample, decoded.
    pub type Tiles = Vec<(TileId, Vec<u8>)>;

    pub fn all_tiles(slide: &Slide) -> Tiles {
        let decode = |tile| slide.tile(tile).ok().map(|jpeg| (tile, jpeg.to_vec()));
        some_tiles(slide, 1000).into_iter().filter_map(decode).collect()
    }
}

struct Original {
    bytes: Vec<u8>,
    content_id: ContentId,
    tiles: Tiles,
}

static ORIGINAL: LazyLock<Original> = LazyLock::new(|| {
    let bytes = sample_container();
    let slide = with_file(&bytes, Slide::open).expect("the sample opens");
    Original { content_id: slide.content_id(), tiles: bytes_of::all_tiles(&slide), bytes }
});

#[derive(arbitrary::Arbitrary, Debug)]
enum Edit {
    Set {
        at: u16,
        value: u8,
    },
    Flip {
        at: u16,
        bit: u8,
    },
    /// Copies a run of bytes: swapped entries, doubled records.
    Copy {
        from: u16,
        to: u16,
        length: u8,
    },
    Truncate {
        length: u16,
    },
    Append {
        value: u8,
    },
}

#[derive(arbitrary::Arbitrary, Debug)]
struct Input {
    edits: Vec<Edit>,
    seal_pages: bool,
    seal_sections: bool,
    seal_header: bool,
}

fn edit(file: &mut Vec<u8>, edit: &Edit) {
    if file.is_empty() {
        return;
    }
    let place = |at: u16| usize::from(at) % file.len();
    match *edit {
        Edit::Set { at, value } => {
            let at = place(at);
            file[at] = value;
        }
        Edit::Flip { at, bit } => {
            let at = place(at);
            file[at] ^= 1 << (bit % 8);
        }
        Edit::Copy { from, to, length } => {
            let (from, to) = (place(from), place(to));
            let length = usize::from(length).min(file.len() - from.max(to));
            file.copy_within(from..from + length, to);
        }
        Edit::Truncate { length } => {
            let length = place(length);
            file.truncate(length);
        }
        Edit::Append { value } => file.push(value),
    }
}

fuzz_target!(|input: Input| {
    let original = &*ORIGINAL;
    let mut file = original.bytes.clone();
    input.edits.iter().take(64).for_each(|change| edit(&mut file, change));
    if input.seal_pages {
        seal_pages(&mut file);
    }
    if input.seal_sections {
        seal_sections(&mut file);
    }
    if input.seal_header {
        seal_header(&mut file);
    }
    with_file(&file, |path| {
        let Ok(slide) = Slide::open(path) else { return };
        let tiles = bytes_of::all_tiles(&slide);
        let mut clean = true;
        let _ = microtome_container::verify::verify(slide.container(), |checked| {
            clean &= checked.is_ok();
            ControlFlow::Continue(())
        });
        if slide.content_id() != original.content_id {
            return;
        }
        for (tile, jpeg) in &tiles {
            let same = original.tiles.iter().find(|(id, _)| id == tile);
            assert!(same.is_some_and(|(_, same)| same == jpeg), "{tile}: a wrong picture");
        }
        assert!(!clean || file == original.bytes, "verify missed a change");
    });
});
