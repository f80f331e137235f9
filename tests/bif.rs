//! Ventana BIF in and out of the built binary: tiles that abut, tiles that overlap, and files that only bear the name.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use microtome_codec::Rgb;
use microtome_codec::turbo::{self, Subsampling};
use microtome_slide::{Rect, Slide};
use support::{fail, folder, names, path, psnr, succeed, tissue};

const TILE: u32 = 256;
/// Columns and rows of tiles.
const GRID: (u32, u32) = (4, 3);

/// A page of a BigTIFF: its tags, and the JPEG tiles that go under 324 and 325, or the one strip under 273 and 279.
struct Page {
    /// Tag, type and bytes of each value, in the order of tags; LONG for numbers.
    fields: Vec<(u16, u16, Vec<u8>)>,
    chunks: Vec<Vec<u8>>,
}

fn long(tag: u16, value: u32) -> (u16, u16, Vec<u8>) {
    (tag, 4, value.to_le_bytes().to_vec())
}

fn page(image: &Rgb, tile: Option<u32>, description: &str, xmp: &str) -> Page {
    let side = |length: u32| tile.unwrap_or(length);
    let mut chunks = vec![];
    for y in (0..image.height()).step_by(side(image.height()) as usize) {
        for x in (0..image.width()).step_by(side(image.width()) as usize) {
            let mut chunk = Rgb::filled(side(image.width()), side(image.height()), [255; 3]);
            let (width, height) =
                (chunk.width().min(image.width() - x), chunk.height().min(image.height() - y));
            chunk.blit(image, x, y, width, height, 0, 0);
            chunks.push(turbo::encode(&chunk, 90, Subsampling::Chroma420).unwrap());
        }
    }
    let bits = [8_u16; 3].iter().flat_map(|bits| bits.to_le_bytes()).collect();
    let mut fields = vec![
        long(256, image.width()),
        long(257, image.height()),
        (258, 3, bits),
        long(259, 7),
        long(262, 6),
        (270, 2, format!("{description}\0").into_bytes()),
        long(277, 3),
    ];
    match tile {
        Some(side) => fields.extend([long(322, side), long(323, side)]),
        None => fields.push(long(278, image.height())),
    }
    if !xmp.is_empty() {
        fields.push((700, 1, xmp.as_bytes().to_vec()));
    }
    Page { fields, chunks }
}

/// The bytes of a little-endian BigTIFF.
fn big_tiff(pages: &[Page]) -> Vec<u8> {
    let mut out = [&b"II+\0\x08\0\0\0"[..], &[0; 8]].concat();
    let mut link = 8;
    for page in pages {
        let (mut offsets, mut counts) = (vec![], vec![]);
        for chunk in &page.chunks {
            offsets.extend((out.len() as u64).to_le_bytes());
            counts.extend((chunk.len() as u64).to_le_bytes());
            out.extend(chunk);
        }
        let tiled = page.fields.iter().any(|(tag, ..)| *tag == 322);
        let [at, length] = if tiled { [324, 325] } else { [273, 279] };
        let mut fields = page.fields.clone();
        fields.extend([(at, 16, offsets), (length, 16, counts)]);
        fields.sort();
        let mut entries = (fields.len() as u64).to_le_bytes().to_vec();
        for (tag, kind, mut value) in fields {
            let each = match kind {
                3 => 2,
                4 => 4,
                16 => 8,
                _ => 1,
            };
            entries.extend(tag.to_le_bytes());
            entries.extend(kind.to_le_bytes());
            entries.extend(((value.len() / each) as u64).to_le_bytes());
            if value.len() > 8 {
                let offset = (out.len() as u64).to_le_bytes();
                out.extend(&value);
                value = offset.to_vec();
            }
            value.resize(8, 0);
            entries.extend(value);
        }
        let start = (out.len() as u64).to_le_bytes();
        out[link..link + 8].copy_from_slice(&start);
        out.extend(entries);
        link = out.len();
        out.extend([0; 8]);
    }
    out
}

/// A slide of a DP 200 whose columns 1 and 2 share so many pixels, with its level 1 and its label image; and the picture of
/// the whole.
fn slide(overlap: u32) -> (Vec<Page>, Rgb) {
    let picture = tissue(GRID.0 * TILE - overlap, GRID.1 * TILE, 7);
    let mut stored = Rgb::filled(GRID.0 * TILE, GRID.1 * TILE, [255; 3]);
    let height = picture.height();
    stored.blit(&picture, 0, 0, 2 * TILE, height, 0, 0);
    stored.blit(&picture, 2 * TILE - overlap, 0, 2 * TILE, height, 2 * TILE, 0);
    let scan =
        "<iScan Magnification=\"40\" ScanRes=\"0.25\" Z-layers=\"1\" ScannerModel=\"VENTANA DP 200\"/>";
    // Row by row from below, every second one from right to left: 6 and 7 are in the middle of the second.
    let joint = |tiles: &str| {
        format!(
            "<TileJointInfo FlagJoined=\"1\" Confidence=\"100\" Direction=\"LEFT\" {tiles} OverlapX=\"{overlap}\" \
             OverlapY=\"0\"/>"
        )
    };
    let joints = [joint("Tile1=\"2\" Tile2=\"3\""), joint("Tile1=\"7\" Tile2=\"6\"")].concat();
    let encoding = format!(
        "<EncodeInfo Ver=\"2\"><SlideStitchInfo><ImageInfo AOIScanned=\"1\" NumCols=\"{}\" NumRows=\"{}\" \
         Width=\"{TILE}\" Height=\"{TILE}\" Pos-X=\"7\" Pos-Y=\"9\">{joints}</ImageInfo></SlideStitchInfo>\
         <AoiOrigin><AOI0 OriginX=\"0\" OriginY=\"0\"/></AoiOrigin></EncodeInfo>",
        GRID.0, GRID.1
    );
    let label = Rgb::filled(60, 180, [200, 40, 90]);
    let pages = vec![
        page(&label, None, "Label_Image", &format!("<Metadata>{scan}</Metadata>")),
        page(&stored, Some(TILE), "level=0 mag=40 quality=90", &encoding),
        page(&stored.reduced(), Some(TILE), "level=1 mag=20 quality=90", ""),
    ];
    (pages, picture)
}

#[test]
fn a_bif_whose_tiles_abut_goes_in_and_comes_out_byte_for_byte() {
    let folder = folder();
    let (source, container) = (folder.path().join("slide.bif"), folder.path().join("out.mtm"));
    let (pages, _) = slide(0);
    std::fs::write(&source, big_tiff(&pages)).unwrap();
    succeed(["ingest", path(&source), "-o", path(&container), "--exact"]);
    let verdict = succeed(["verify", path(&container), "--source", path(&source)]);
    assert!(verdict.contains("byte for byte"), "{verdict}");
    for (level, column, row, chunk) in
        [(0, 0, 0, &pages[1].chunks[0]), (0, 2, 1, &pages[1].chunks[6]), (1, 1, 0, &pages[2].chunks[1])]
    {
        let [level, column, row] = [level, column, row].map(|number: u32| number.to_string());
        let tile = folder.path().join(format!("{level}-{column}-{row}.jpg"));
        succeed(["tile", path(&container), &level, &column, &row, "--original", "-o", path(&tile)]);
        assert!(std::fs::read(&tile).unwrap() == *chunk, "level {level} column {column} row {row}");
    }
    let slide = Slide::open(&container).unwrap();
    assert_eq!(slide.metadata().source.format, "ventana-bif");
    assert!(slide.metadata().source.reader.starts_with("microtome "));
    assert_eq!((slide.metadata().mpp, slide.metadata().objective_power), (Some([0.25; 2]), Some(40.0)));
    assert_eq!(slide.metadata().associated.len(), 1, "the label image");
}

#[test]
fn a_bif_whose_tiles_overlap_goes_in_as_the_picture_that_they_are_of() {
    let folder = folder();
    let (source, container) = (folder.path().join("slide.bif"), folder.path().join("out.mtm"));
    let (pages, picture) = slide(40);
    std::fs::write(&source, big_tiff(&pages)).unwrap();
    succeed(["ingest", path(&source), "-o", path(&container), "--quality", "95"]);
    let slide = Slide::open(&container).unwrap();
    let all = Rect { x: 0, y: 0, width: picture.width(), height: picture.height() };
    let likeness = psnr(&slide.read_region(0, all).unwrap(), &picture);
    assert!(likeness > 34.0, "{likeness:.1} dB");
    assert!(succeed(["verify", path(&container), "--source", path(&source)]).contains("is its source"));
    let tile = folder.path().join("tile.jpg");
    let line = fail(1, ["tile", path(&container), "0", "0", "0", "--original", "-o", path(&tile)]);
    assert!(line.contains("were not kept"), "{line}");
    let refused = folder.path().join("exact.mtm");
    let line = fail(2, ["ingest", path(&source), "-o", path(&refused), "--exact"]);
    assert!(line.contains("slide.bif"), "{line}");
    assert!(!refused.exists());
}

#[test]
fn what_only_bears_the_name_of_a_bif_or_is_cut_off_is_refused() {
    let (mut pages, _) = slide(0);
    let whole = big_tiff(&pages);
    pages.remove(0);
    for (bytes, words) in [
        (&b"this is no slide"[..], ["slide.bif", "named as a Ventana BIF", "does not begin as a TIFF file"]),
        (&big_tiff(&pages), ["slide.bif", "named as a Ventana BIF", "no page has the iScan element"]),
        (&whole[..whole.len() / 2], ["slide.bif", "page", "the file is damaged or cut off"]),
    ] {
        let (folder, out) = (folder(), folder());
        let source = folder.path().join("slide.bif");
        std::fs::write(&source, bytes).unwrap();
        let line = fail(1, ["ingest", path(&source), "-o", path(&out.path().join("out.mtm"))]);
        assert!(words.iter().all(|word| line.contains(word)), "{line}");
        assert!(names(out.path()).is_empty(), "nothing is left: {:?}", names(out.path()));
    }
}
