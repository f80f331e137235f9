//! JPEG 2000 codestreams as samples, for sources whose tiles are stored so.
//!
//! ITU-T T.800 annex A (markers) and annex I (JP2 boxes). The decoder is OpenJPEG, in C: before it sees a stream, size,
//! components and tiles are read here and must be what the source says, which bounds its memory. Damaged and cut streams
//! are errors, not pictures. Not here: what the components mean, and palettes of JP2 files.

use jpeg2k::{DecodeParameters, Image, ImageComponent};

/// Most tiles of a stream: it is a tile itself.
const MAX_TILES: u64 = 1024;
/// Most quality layers, beyond all that scanners write; the decoder's work grows with them.
const MAX_LAYERS: u16 = 256;

/// What a stream must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Width in pixels.
    pub(crate) width: u32,
    /// Height in pixels.
    pub(crate) height: u32,
    /// Number of components.
    pub(crate) components: usize,
}

/// A decoded stream.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// All components of a pixel, then the next pixel's; those with fewer samples repeated to the full size.
    pub(crate) samples: Vec<u16>,
    /// Bits of a sample, 1 to 16.
    pub(crate) bits: u32,
    /// Whether the stream's own colour transform was undone, which leaves red, green and blue.
    pub(crate) transformed: bool,
}

/// Decodes a codestream, or the one in a JP2 file.
///
/// # Errors
/// What is wrong with the stream, or other than expected.
pub(crate) fn decode(stream: &[u8], expected: Expected) -> Result<Decoded, String> {
    let stream = codestream(stream)?;
    let header = Header::read(stream)?;
    header.check(expected)?;
    check_tile_parts(stream, header.tile_parts, header.tiles)?;
    let undecodable = |error| format!("undecodable JPEG 2000 codestream ({error})");
    let image = Image::from_bytes_with(stream, DecodeParameters::new().strict(true)).map_err(undecodable)?;
    if image.num_components() as usize != expected.components {
        return Err(format!("{} decoded JPEG 2000 components", image.num_components()));
    }
    let mut samples = vec![0; expected.components * expected.width as usize * expected.height as usize];
    for (index, (component, said)) in image.components().iter().zip(&header.components).enumerate() {
        said.check_decoded(component, expected)?;
        said.spread(component, expected, &mut samples[index..]);
    }
    Ok(Decoded { samples, bits: header.bits()?, transformed: header.transformed })
}

/// The codestream itself: the content of a JP2 file's `jp2c` box, or all of it.
fn codestream(stream: &[u8]) -> Result<&[u8], String> {
    const SIGNATURE: &[u8] = b"\0\0\0\x0CjP  ";
    if !stream.starts_with(SIGNATURE) {
        return Ok(stream);
    }
    let mut rest = stream;
    while let (Some(length), Some(kind)) = (number(rest, 0, 4), rest.get(4..8)) {
        let (head, length) = match length {
            0 => (8, rest.len() as u64),
            1 => match (number(rest, 8, 4), number(rest, 12, 4)) {
                (Some(high), Some(low)) => (16, high << 32 | low),
                _ => break,
            },
            length => (8, length),
        };
        let Some(length) = usize::try_from(length).ok().filter(|l| (head..=rest.len()).contains(l)) else {
            break;
        };
        if kind == b"jp2c" {
            return Ok(&rest[head..length]);
        }
        rest = &rest[length..];
    }
    Err("a JP2 file without a codestream".to_owned())
}

/// The big-endian number of `bytes` bytes at `at`.
fn number(data: &[u8], at: usize, bytes: usize) -> Option<u64> {
    let field = data.get(at..at.checked_add(bytes)?)?;
    Some(field.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// What the main header says of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Component {
    bits: u32,
    signed: bool,
    /// Pixels per sample, horizontally and vertically.
    step: [u32; 2],
}

/// What a codestream says of itself.
#[derive(Debug)]
struct Header {
    width: u32,
    height: u32,
    /// Position of the image on the reference grid.
    offset: [u32; 2],
    tiles: u64,
    /// Where the first tile-part begins.
    tile_parts: usize,
    layers: u16,
    transformed: bool,
    components: Vec<Component>,
}

impl Header {
    /// Reads the main header.
    fn read(stream: &[u8]) -> Result<Self, String> {
        const SIZ: usize = 4;
        let cut = || "the JPEG 2000 codestream ends in its header".to_owned();
        if number(stream, 0, 4) != Some(0xFF4F_FF51) {
            return Err("no JPEG 2000 codestream (SOC and SIZ markers are missing)".to_owned());
        }
        let field = |index: usize| number(stream, SIZ + 4 + 4 * index, 4).map(|v| v as u32).ok_or_else(cut);
        let [right, bottom, left, top] = [field(0)?, field(1)?, field(2)?, field(3)?];
        let [tile_width, tile_height, tiles_left, tiles_top] = [field(4)?, field(5)?, field(6)?, field(7)?];
        let size = |end: u32, start: u32| end.checked_sub(start).filter(|&size| size > 0);
        let (Some(width), Some(height), Some(across), Some(down)) =
            (size(right, left), size(bottom, top), size(right, tiles_left), size(bottom, tiles_top))
        else {
            return Err("a JPEG 2000 codestream of no size".to_owned());
        };
        if tile_width == 0 || tile_height == 0 {
            return Err("a JPEG 2000 codestream with tiles of no size".to_owned());
        }
        let tiles = u64::from(across.div_ceil(tile_width)) * u64::from(down.div_ceil(tile_height));
        let count = number(stream, SIZ + 36, 2).ok_or_else(cut)? as usize;
        let mut components = Vec::new();
        for index in 0..count {
            let part = |at| number(stream, SIZ + 38 + 3 * index + at, 1).map(|v| v as u32).ok_or_else(cut);
            let depth = part(0)?;
            let (bits, signed) = ((depth & 0x7F) + 1, depth & 0x80 != 0);
            components.push(Component { bits, signed, step: [part(1)?, part(2)?] });
        }
        let (mut layers, mut transformed) = (0, false);
        let mut at = SIZ + number(stream, SIZ, 2).ok_or_else(cut)? as usize;
        loop {
            let (marker, length) =
                (number(stream, at, 2).ok_or_else(cut)?, number(stream, at + 2, 2).ok_or_else(cut)?);
            match marker {
                0xFF90 => break,
                0xFF52 => {
                    layers = number(stream, at + 6, 2).ok_or_else(cut)? as u16;
                    transformed = number(stream, at + 8, 1).ok_or_else(cut)? != 0;
                }
                _ => {}
            }
            at += 2 + length as usize;
        }
        Ok(Self {
            width,
            height,
            offset: [left, top],
            tiles,
            tile_parts: at,
            layers,
            transformed,
            components,
        })
    }

    fn check(&self, expected: Expected) -> Result<(), String> {
        let Expected { width, height, components } = expected;
        if (self.width, self.height, self.components.len()) != (width, height, components) {
            return Err(format!(
                "a JPEG 2000 codestream of {} x {} px with {} components, not {width} x {height} with {components}",
                self.width,
                self.height,
                self.components.len()
            ));
        }
        if self.offset != [0; 2] || self.components.iter().any(|c| c.step.contains(&0)) {
            return Err("a JPEG 2000 codestream whose image does not begin at its grid's corner".to_owned());
        }
        if self.layers == 0 || self.layers > MAX_LAYERS {
            return Err(format!("{} quality layers (1 to {MAX_LAYERS} are taken)", self.layers));
        }
        self.bits().map(|_| ())
    }

    /// The depth of all components.
    fn bits(&self) -> Result<u32, String> {
        match &self.components[..] {
            [first, others @ ..]
                if first.bits <= 16
                    && !first.signed
                    && others.iter().all(|c| (c.bits, c.signed) == (first.bits, false)) =>
            {
                Ok(first.bits)
            }
            _ => {
                Err("JPEG 2000 components that are signed, deeper than 16 bits, or of several depths"
                    .to_owned())
            }
        }
    }
}

/// Every tile of a codestream has a tile-part (annex A.4.2), and the parts lie in the stream.
fn check_tile_parts(stream: &[u8], mut at: usize, tiles: u64) -> Result<(), String> {
    if tiles > MAX_TILES {
        return Err(format!("a JPEG 2000 codestream of {tiles} tiles (at most {MAX_TILES} are taken)"));
    }
    let mut seen = vec![false; tiles as usize];
    while number(stream, at, 2) == Some(0xFF90) {
        let (Some(tile), Some(length)) = (number(stream, at + 4, 2), number(stream, at + 6, 4)) else {
            break;
        };
        match seen.get_mut(tile as usize) {
            Some(seen) => *seen = true,
            None => return Err(format!("tile-part of JPEG 2000 tile {tile} of {tiles}")),
        }
        match length {
            // The last one may go on to the end marker, which may be followed by a padding byte.
            0 if stream.ends_with(&[0xFF, 0xD9]) || stream.ends_with(&[0xFF, 0xD9, 0]) => break,
            12.. if at as u64 + length <= stream.len() as u64 => at += length as usize,
            _ => return Err(format!("the JPEG 2000 codestream is cut off in tile {tile}")),
        }
    }
    match seen.iter().position(|seen| !seen) {
        Some(tile) => Err(format!("JPEG 2000 tile {tile} of {tiles} is missing")),
        None => Ok(()),
    }
}

impl Component {
    /// What was decoded has the size that the header gives the component.
    fn check_decoded(self, decoded: &ImageComponent, expected: Expected) -> Result<(), String> {
        let size = (expected.width.div_ceil(self.step[0]), expected.height.div_ceil(self.step[1]));
        if (decoded.width(), decoded.height()) == size {
            return Ok(());
        }
        Err(format!("a decoded JPEG 2000 component of {} x {} px", decoded.width(), decoded.height()))
    }

    /// Writes the component's samples to every n-th of `out`, repeated where it has fewer than there are pixels.
    fn spread(self, decoded: &ImageComponent, expected: Expected, out: &mut [u16]) {
        let (most, width) = ((1 << self.bits) - 1, expected.width as usize);
        let [across, down] = self.step.map(|step| step as usize);
        let lines = decoded.data().chunks_exact(decoded.width() as usize);
        for (y, row) in out.chunks_mut(expected.components * width).enumerate() {
            let Some(line) = lines.clone().nth(y / down) else { return };
            for (x, out) in row.iter_mut().step_by(expected.components).enumerate() {
                *out = line[x / across].clamp(0, most) as u16;
            }
        }
    }
}

/// Red, green and blue of full-range YCbCr (ITU-R BT.601, as JFIF has it), in 16-bit fixed point.
pub(crate) fn rgb_of_ycbcr([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let [y, cb, cr] = [i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128];
    let rounded = |sum: i32| (y + ((sum + (1 << 15)) >> 16)).clamp(0, 255) as u8;
    [rounded(91_881 * cr), rounded(-22_554 * cb - 46_802 * cr), rounded(116_130 * cb)]
}
