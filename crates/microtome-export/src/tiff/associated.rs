//! Label, macro and thumbnail as pages of one strip: JPEG as it is, PNG by deflate.
//!
//! Not here: what the pages are called.

use std::io::{self, Cursor, Seek, Write};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use microtome_codec::jpeg::{self, Colour};
use microtome_codec::{Rgb, turbo};

use super::writer::{Directory, Value, Writer};
use super::{ADOBE_DEFLATE, JPEG, image_fields};
use crate::tiles::Form;

/// Pixels of an associated image that is decoded.
const MAX_PIXELS: u64 = 64 << 20;

/// An associated image as a strip.
pub(super) struct Strip {
    pub(super) width: u32,
    pub(super) height: u32,
    form: Form,
    compression: u16,
    bytes: Vec<u8>,
}

impl Strip {
    /// The strip of an encoded image.
    ///
    /// # Errors
    /// Why it cannot be one, in words.
    pub(super) fn of(media_type: &str, bytes: Vec<u8>) -> Result<Self, String> {
        let pixels = match media_type {
            "image/jpeg" => {
                let header = jpeg::inspect(&bytes).map_err(|e| e.to_string())?;
                header.check_displayable().map_err(|e| e.to_string())?;
                if let Some(form) = Form::of(&header, Colour::AsStored) {
                    let (width, height) = (header.width, header.height);
                    return Ok(Self { width, height, form, compression: JPEG, bytes });
                }
                turbo::decode(&bytes, MAX_PIXELS).map_err(|e| e.to_string())?
            }
            "image/png" => decode_png(&bytes)?,
            other => return Err(format!("{other} is neither JPEG nor PNG")),
        };
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(pixels.data()).map_err(|e| e.to_string())?;
        let bytes = encoder.finish().map_err(|e| e.to_string())?;
        let form = Form { components: 3, colour: Colour::Rgb, sampling: [1, 1] };
        Ok(Self { width: pixels.width(), height: pixels.height(), form, compression: ADOBE_DEFLATE, bytes })
    }

    /// Writes the strip; its directory.
    pub(super) fn put<W: Write + Seek>(&self, writer: &mut Writer<W>) -> io::Result<Directory> {
        let extent = writer.put(&self.bytes)?;
        let mut directory = image_fields(self.width, self.height, self.form, self.compression);
        directory.push((273, Value::Offsets(vec![extent.offset])));
        directory.push((278, Value::Long(self.height)));
        directory.push((279, Value::Offsets(vec![extent.length])));
        Ok(directory)
    }
}

fn decode_png(bytes: &[u8]) -> Result<Rgb, String> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|e| e.to_string())?;
    let (width, height) = (reader.info().width, reader.info().height);
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(format!("{width} x {height} px (at most {MAX_PIXELS} px are taken)"));
    }
    let (colour, _) = reader.output_color_type();
    let mut pixels = vec![0; width as usize * height as usize * colour.samples()];
    reader.next_frame(&mut pixels).map_err(|e| e.to_string())?;
    let pixels = match colour {
        png::ColorType::Rgb => pixels,
        png::ColorType::Grayscale => pixels.iter().flat_map(|&grey| [grey; 3]).collect(),
        other => return Err(format!("a PNG of colour type {other:?} (grey and RGB are taken)")),
    };
    Rgb::from_vec(width, height, pixels).map_err(|e| e.to_string())
}
