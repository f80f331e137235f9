//! What decoding asks of the allocator, tile after tile: nothing but the body that it returns.

use bytes::Bytes;
use microtome_codec::Rgb;
use microtome_codec::coefficients::{Parser, Template, Tile};
use microtome_codec::cross_scale::{
    Coding, CrossScale, Kind, Picture, Quantiser, Reference, Trainer, Workspace,
};
use microtome_codec::payload::VerbatimParams;
use microtome_codec::turbo::{self, Subsampling};

/// Of a record: its bytes.
const PER_RECORD: u64 = 1;
const SIDE: u32 = 256;
const DETAIL: u8 = 0;
const BASE: u8 = 2;

/// How often `run` allocates on this thread, and what it gives.
fn allocations<T>(run: impl FnOnce() -> T) -> (u64, T) {
    let mut result = None;
    let info = allocation_counter::measure(|| result = Some(run()));
    (info.count_total, result.expect("it ran"))
}

/// A picture of waves and grain.
fn pixels(width: u32, height: u32) -> Rgb {
    let mut image = Rgb::filled(width, height, [0; 3]);
    let mut noise = 1_u32;
    for (i, pixel) in image.data_mut().chunks_exact_mut(3).enumerate() {
        let (x, y) = (i as u32 % width, i as u32 / width);
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let wave = ((f64::from(x) / 7.0).sin() + (f64::from(y) / 11.0).cos()) * 40.0;
        let grain = f64::from(noise >> 27);
        pixel.copy_from_slice(
            &[150.0 + wave + grain, 100.0 + wave / 2.0 + grain, 140.0 - wave].map(|v| v as u8),
        );
    }
    image
}

fn codec() -> CrossScale {
    let verbatim = VerbatimParams::completing(vec![]);
    CrossScale::built_in(verbatim, vec![Kind::Coarser, Kind::Finer, Kind::Alone])
}

/// A family's base tile as samples, and the payloads of its detail tiles with their offsets.
struct Family {
    codec: CrossScale,
    base: Picture,
    details: Vec<([u32; 2], Bytes)>,
}

impl Family {
    /// Codes a family; `code` gives the payload of the pixels of a tile.
    fn new(
        template: &Template,
        mut code: impl FnMut(&CrossScale, u8, &Rgb, Reference<'_>, &mut Workspace) -> (Coding, Vec<u8>),
    ) -> Self {
        let mut codec = codec();
        codec.add_template(template, false);
        let full = pixels(4 * SIDE, 4 * SIDE);
        let mut workspace = Workspace::new();
        code(&codec, BASE, &full.reduced().reduced(), Reference::None, &mut workspace);
        let base = codec.picture_in(&workspace).expect("a tile of samples");
        let offsets = (0..16).map(|i| [SIDE * (i % 4), SIDE * (i / 4)]);
        let details = offsets.map(|offset| {
            let tile = full.crop(offset[0], offset[1], SIDE, SIDE);
            let reference = Reference::Coarser { base: &base, offset };
            let (coding, payload) = code(&codec, DETAIL, &tile, reference, &mut workspace);
            assert_eq!(coding, Coding::Predicted);
            (offset, Bytes::from(payload))
        });
        let details = details.collect();
        Self { codec, base, details }
    }

    /// Decodes every detail tile; gives how often each allocated.
    fn decode(&self, workspace: &mut Workspace) -> Vec<u64> {
        let each = self.details.iter().map(|(offset, payload)| {
            let reference = Reference::Coarser { base: &self.base, offset: *offset };
            let (count, record) =
                allocations(|| self.codec.record(DETAIL, [SIDE; 2], payload, reference, workspace));
            let record = record.expect("decodes");
            assert!(turbo::decode(&record, 1 << 20).is_ok());
            count
        });
        each.collect()
    }

    /// Sees that after the first family each tile allocates its body and no more.
    fn check(&self) {
        let mut workspace = Workspace::new();
        let first = self.decode(&mut workspace);
        assert!(first[0] > PER_RECORD, "the workspace's buffers come with the first tile: {first:?}");
        for _ in 0..3 {
            assert_eq!(self.decode(&mut workspace), [PER_RECORD; 16]);
        }
    }
}

/// The template of a quantiser, with Huffman tables for the tiles that are to come.
fn trained(quantiser: Quantiser) -> Template {
    let codec = codec();
    let (mut trainer, mut workspace) = (Trainer::new(), Workspace::new());
    let tile = quantiser.plain(&pixels(SIDE, SIDE), &mut workspace).expect("a JPEG's size");
    trainer.observe(&codec, BASE, &tile, Reference::None, &mut workspace).expect("our own JPEG");
    quantiser.template(trainer.statistics()).expect("steps of JPEG")
}

#[test]
fn a_quantised_detail_tile_allocates_its_body_and_nothing_else() {
    for subsampling in [Subsampling::Chroma420, Subsampling::Chroma444] {
        let template = trained(Quantiser::new(80, subsampling));
        let family = Family::new(&template, |codec, level, pixels, reference, workspace| {
            let mut payload = vec![];
            let coding = codec.quantise(&template, level, pixels, reference, workspace, &mut payload);
            (coding.expect("a JPEG's size"), payload)
        });
        family.check();
    }
}

/// Huffman tables that were optimised for one tile are made anew for each.
#[test]
fn a_kept_detail_tile_with_optimised_tables_allocates_its_body_and_nothing_else() {
    let encode = |pixels: &Rgb| turbo::encode(pixels, 80, Subsampling::Chroma420).expect("encodes");
    let (mut parser, mut tile) = (Parser::default(), Tile::new());
    let template = parser.parse(&encode(&pixels(SIDE, SIDE)), &mut tile).expect("libjpeg's own");
    let family = Family::new(&template, |codec, level, pixels, reference, workspace| {
        let mut payload = vec![];
        let coding = codec.encode(level, &encode(pixels), reference, workspace, &mut payload);
        (coding, payload)
    });
    family.check();
}
