//! Label, macro and thumbnail as pages of one strip: JPEG as it is, PNG by deflate.
//!
//! Not here: what the pages are called.

use std::io::{self, Seek, Write};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use microtome_codec::jpeg::{self, Colour};
use microtome_slide::associated;

use super::writer::{Directory, Value, Writer};
use super::{ADOBE_DEFLATE, JPEG, image_fields};
use crate::tiles::Form;

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
        if media_type == "image/jpeg"
            && let Ok(header) = jpeg::inspect(&bytes)
            && header.check_displayable().is_ok()
            && let Some(form) = Form::of(&header, Colour::AsStored)
        {
            let (width, height) = (header.width, header.height);
            return Ok(Self { width, height, form, compression: JPEG, bytes });
        }
        let pixels = associated::decode(media_type, &bytes)?;
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
