//! JPEG streams as many encoders might write them: libjpeg-turbo's, with markers that others write.
//!
//! Restart markers are our own writer's, since the binding does not let libjpeg-turbo write them; it reads them here.

use microtome_codec::coefficients::{Parser, Template, Tile, Writer};
use microtome_codec::{jpeg, turbo};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use turbojpeg::{Colorspace, Compressor, Image, PixelFormat, Subsamp};

const SOI: [u8; 2] = [0xFF, 0xD8];
pub(crate) const EOI: [u8; 2] = [0xFF, 0xD9];
/// Longest tail, behind EOI, that a template keeps.
const LONGEST_TAIL: usize = 64;

/// Pixels that an encoder is given, and the components that it makes of them.
pub(crate) type Components = (PixelFormat, Colorspace, Subsamp);

/// What makes a stream.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) components: Components,
    pub(crate) size: [u32; 2],
    pub(crate) quality: i32,
    pub(crate) optimise: bool,
    /// MCUs between restart markers; 0 for none.
    pub(crate) restart: u16,
    /// 0 is smooth, 255 only noise.
    pub(crate) roughness: u8,
    pub(crate) seed: u32,
    pub(crate) progressive: bool,
    pub(crate) oddities: Vec<Oddity>,
    pub(crate) end: End,
}

pub(crate) const PLAIN: Source = Source {
    components: (PixelFormat::RGB, Colorspace::YCbCr, Subsamp::Sub2x2),
    size: [1; 2],
    quality: 80,
    optimise: false,
    restart: 0,
    roughness: 31,
    seed: 1,
    progressive: false,
    oddities: vec![],
    end: End::Whole,
};

/// What is unusual before the scan.
#[derive(Debug, Clone)]
pub(crate) enum Oddity {
    /// A segment that says nothing about the coefficients: its marker's code and its content.
    Segment(u8, Vec<u8>),
    /// Quantisation steps of this table (which others may come to replace) and Huffman tables that nothing uses.
    Unused(u8),
    /// All tables are there twice.
    Twice,
    /// All Huffman tables are in one segment.
    Joined,
    /// Fill bytes before a segment.
    Filled(Index),
}

/// How the stream ends.
#[derive(Debug, Clone)]
pub(crate) enum End {
    Whole,
    Tail(Vec<u8>),
    Cut(Index),
    /// A byte of the scan is another one.
    Damaged(Index, u8),
}

/// The marker segments before the scan, fill bytes included and SOI left out, and what follows from the scan's header on.
fn segments(stream: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let (mut found, mut rest) = (vec![], stream.get(2..).unwrap_or_default());
    loop {
        let fill = rest.iter().take_while(|&&byte| byte == 0xFF).count();
        let [code, high, low, ..] = rest[fill..] else { return (found, rest) };
        let length = fill + 1 + usize::from(u16::from_be_bytes([high, low]));
        match rest.split_at_checked(length) {
            Some((segment, after)) if code != 0xDA => {
                found.push(segment);
                rest = after;
            }
            _ => return (found, rest),
        }
    }
}

fn segment(code: u8, content: &[u8]) -> Vec<u8> {
    [&[0xFF, code], &(content.len() as u16 + 2).to_be_bytes()[..], content].concat()
}

/// A segment's code.
fn code(segment: &[u8]) -> u8 {
    segment.iter().copied().find(|&byte| byte != 0xFF).unwrap_or_default()
}

impl Oddity {
    /// Puts it among the segments before a scan.
    fn apply(&self, head: &mut Vec<Vec<u8>>) {
        let all = head.clone();
        let tables = |codes| all.iter().filter(move |s| <[u8]>::contains(codes, &code(s))).cloned();
        match self {
            Self::Segment(code, content) => head.insert(head.len() / 2, segment(*code, content)),
            Self::Unused(number) => {
                let steps = [&[*number][..], &[9; 64]].concat();
                let codes = [&[0x12, 0, 2, 1][..], &[0; 13], &[3, 5, 0x11]].concat();
                head.splice(0..0, [segment(0xDB, &steps), segment(0xC4, &codes)]);
            }
            Self::Twice => head.extend(tables(&[0xDB, 0xC4])),
            Self::Joined => {
                let fill = |segment: &[u8]| segment.iter().take_while(|&&byte| byte == 0xFF).count();
                let joined: Vec<u8> = tables(&[0xC4]).flat_map(|s| s[fill(&s) + 3..].to_vec()).collect();
                head.retain(|segment| code(segment) != 0xC4);
                head.push(segment(0xC4, &joined));
            }
            Self::Filled(at) => {
                let at = at.index(head.len());
                head[at].splice(0..0, [0xFF; 3]);
            }
        }
    }
}

impl Source {
    pub(crate) fn stream(&self) -> Vec<u8> {
        let mut plain = self.compress();
        if self.restart > 0 && !self.progressive {
            plain = with_restarts(&plain, self.restart);
        }
        let (head, scan) = segments(&plain);
        let mut head: Vec<_> = head.into_iter().map(<[u8]>::to_vec).collect();
        self.oddities.iter().for_each(|oddity| oddity.apply(&mut head));
        let mut stream = [&SOI[..], &head.concat(), scan].concat();
        match &self.end {
            End::Whole => {}
            End::Tail(tail) => stream.extend_from_slice(tail),
            End::Cut(at) => stream.truncate(at.index(stream.len())),
            End::Damaged(at, value) => {
                // Behind the scan's header.
                let start = stream.len() - scan.len() + 2 + usize::from(scan[3]);
                let at = start + at.index(stream.len() - start);
                stream[at] = *value;
            }
        }
        stream
    }

    /// The stream as libjpeg-turbo writes it.
    fn compress(&self) -> Vec<u8> {
        let (format, colour, sampling) = self.components;
        let [width, height] = self.size.map(|side| side as usize);
        let mut state = self.seed | 1;
        let pitch = width * format.size();
        let mut sample = |i| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (i % pitch / 2 + i / pitch) as u8 ^ ((state >> 24) as u8 & self.roughness)
        };
        let pixels: Vec<u8> = (0..pitch * height).map(&mut sample).collect();
        let mut compressor = Compressor::new().expect("a compressor");
        compressor.set_quality(self.quality).expect("a quality");
        compressor.set_subsamp(sampling).expect("a subsampling");
        compressor.set_colorspace(colour).expect("components that these pixels have");
        compressor.set_optimize(self.optimise).expect("optimise");
        compressor.set_progressive(self.progressive).expect("progressive");
        let image = Image { pixels: &pixels[..], width, pitch, height, format };
        compressor.compress_to_vec(image).expect("encodes")
    }

    /// The sampling factors of the components.
    pub(crate) fn sampling(&self) -> Vec<[u8; 2]> {
        let small = Source { components: self.components, ..PLAIN }.stream();
        let header = jpeg::inspect(&small).expect("libjpeg-turbo's own");
        header.components.iter().map(|c| [c.horizontal, c.vertical]).collect()
    }

    /// Whether the stream is taken apart; `None` if that is left to chance.
    pub(crate) fn is_taken(&self) -> Option<bool> {
        match &self.end {
            _ if self.progressive => Some(false),
            End::Whole => Some(true),
            End::Tail(tail) => Some(tail.len() <= LONGEST_TAIL),
            End::Cut(_) => Some(false),
            End::Damaged(..) => None,
        }
    }
}

/// The same coefficients with restart markers.
fn with_restarts(stream: &[u8], interval: u16) -> Vec<u8> {
    let mut tile = Tile::new();
    let template = Parser::new().parse(stream, &mut tile).expect("libjpeg-turbo's own").to_bytes();
    // Flags and the head as a block, see `docs/format/codec-1.md`.
    let (length, start) = match template[1] {
        short @ 0..128 => (usize::from(short), 2),
        low => (usize::from(low & 127) | usize::from(template[2]) << 7, 3),
    };
    let (head, rest) = template[start..].split_at(length);
    let (before, scan) = head.split_at(length - segments(head).1.len());
    let head = [before, &segment(0xDD, &interval.to_be_bytes()), scan].concat();
    let length = [head.len() as u8 | 128, (head.len() >> 7) as u8];
    let template = Template::parse(&[&template[..1], &length, &head, rest].concat()).expect("a template");
    let mut out = vec![];
    Writer::new().write(&template, &tile, &mut out).expect("what was parsed");
    if tile.planes.len() < 4 {
        assert_eq!(turbo::decode(&out, 1 << 20), turbo::decode(stream, 1 << 20), "libjpeg-turbo reads it");
    }
    out
}

pub(crate) fn any_components() -> impl Strategy<Value = Components> {
    use Subsamp::{Gray, None, Sub1x2, Sub1x4, Sub2x1, Sub2x2, Sub4x1};
    let mut all = vec![
        (PixelFormat::RGB, Colorspace::Gray, Gray),
        (PixelFormat::RGB, Colorspace::RGB, None),
        (PixelFormat::CMYK, Colorspace::CMYK, None),
        (PixelFormat::CMYK, Colorspace::YCCK, Sub2x2),
    ];
    let colour = [Sub2x2, Sub2x1, None, Sub1x2, Sub4x1, Sub1x4];
    all.extend(colour.map(|sampling| (PixelFormat::RGB, Colorspace::YCbCr, sampling)));
    select(all)
}

pub(crate) fn any_size() -> impl Strategy<Value = [u32; 2]> {
    prop_oneof![3 => [1..=40_u32, 1..=40_u32], 2 => [1..=130_u32, 1..=130_u32], 1 => [1..=300_u32, 1..=300_u32]]
}

/// A stream without oddities, as those that others are predicted from.
pub(crate) fn any_plain_source() -> impl Strategy<Value = Source> {
    let restart = prop_oneof![2 => Just(0), 1 => 1..40_u16];
    let content = (any_size(), 1..=100_i32, any::<bool>(), restart, any::<u8>(), any::<u32>());
    content.prop_map(|(size, quality, optimise, restart, roughness, seed)| Source {
        size,
        quality,
        optimise,
        restart,
        roughness,
        seed,
        ..PLAIN
    })
}

pub(crate) fn any_source() -> impl Strategy<Value = Source> {
    let bytes = |length| prop::collection::vec(any::<u8>(), length);
    let segment = (prop_oneof![0xE0..=0xEF_u8, Just(0xFE)], bytes(0..40));
    let oddity = prop_oneof![
        segment.prop_map(|(code, content)| Oddity::Segment(code, content)),
        (0..4_u8).prop_map(Oddity::Unused),
        Just(Oddity::Twice),
        Just(Oddity::Joined),
        any::<Index>().prop_map(Oddity::Filled),
    ];
    let end = prop_oneof![
        6 => Just(End::Whole),
        2 => bytes(1..LONGEST_TAIL + 8).prop_map(End::Tail),
        1 => any::<Index>().prop_map(End::Cut),
        1 => any::<(Index, u8)>().prop_map(|(at, value)| End::Damaged(at, value)),
    ];
    let odd = (any_plain_source(), prop::bool::weighted(0.05), prop::collection::vec(oddity, 0..3), end);
    odd.prop_map(|(plain, progressive, oddities, end)| Source { progressive, oddities, end, ..plain })
}

/// Moves those segments before the scan that `split` has bits for to tables; gives these and what is left.
pub(crate) fn split_off(stream: &[u8], split: u8) -> (Vec<u8>, Vec<u8>) {
    let (head, scan) = segments(stream);
    if split == 0 || scan.is_empty() {
        return (vec![], stream.to_vec());
    }
    let (mut tables, mut record) = (SOI.to_vec(), SOI.to_vec());
    for (i, segment) in head.iter().enumerate() {
        let is_frame = matches!(code(segment), 0xC0..=0xC2);
        let moves = !is_frame && split >> (i % 8) & 1 == 1;
        if moves { &mut tables } else { &mut record }.extend_from_slice(segment);
    }
    tables.extend_from_slice(&EOI);
    record.extend_from_slice(scan);
    (tables, record)
}
