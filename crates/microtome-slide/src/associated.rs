//! Pixels of associated images, for formats that take no PNG, or not every JPEG.
//!
//! Not here: which images there are, and their bytes, which are [`crate::Slide::associated`]'s.

use std::io::Cursor;

use microtome_codec::{Rgb, jpeg, turbo};

/// Pixels of an image that is decoded.
const MAX_PIXELS: u64 = 64 << 20;

/// The pixels of an associated image of this media type, 64 megapixels at most.
///
/// # Errors
/// Why there are none, in words.
pub fn decode(media_type: &str, bytes: &[u8]) -> Result<Rgb, String> {
    match media_type {
        "image/jpeg" => {
            let header = jpeg::inspect(bytes).map_err(|error| error.to_string())?;
            header.check_displayable().map_err(|error| error.to_string())?;
            turbo::decode(bytes, MAX_PIXELS).map_err(|error| error.to_string())
        }
        "image/png" => decode_png(bytes),
        other => Err(format!("{other} is neither JPEG nor PNG")),
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
