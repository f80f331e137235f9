//! A tile or strip as pixels.
//!
//! TIFF 6.0 sections 4 to 6 (grey, palette, RGB, planes) and 18 (alpha, shown over white); TIFF Technical Note 2
//! (JPEG). An absent chunk has the page's colour for it; one that is there and does not decode is an error. Not here: where pixels go.

use microtome_codec::jpeg::{self, Colour};
use microtome_codec::{Rgb, turbo};

use super::compression::{
    complete, inflate, jpeg_2000, lzw, undo_differences, undo_differences_16, unpack_1_bit, webp, zstandard,
};
use super::ifd::Tiff;
use super::page::{Alpha, Compression, Page, Photometric};
use super::window::Window;
use crate::Error;
use crate::source::pack_bits::unpack_bits;

impl Page {
    /// The pixels of a chunk at the size it is stored in ([`super::chunks::Chunks::size`]).
    pub(super) fn decode(&self, tiff: &Tiff, index: usize) -> Result<Rgb, Error> {
        let (width, height) = self.chunks.size(index);
        let place = || format!("{}, {}", self.place, self.chunks.place(index));
        let result = if let Compression::Jpeg(tables) = &self.compression {
            let Some(stored) = self.chunks.bytes(tiff, &self.place, index)? else {
                return Ok(Rgb::filled(width, height, self.absent));
            };
            self.decode_jpeg(tables, &stored, width, height)
        } else {
            let Some(samples) = self.samples_of(tiff, index)? else {
                return Ok(Rgb::filled(width, height, self.absent));
            };
            self.colours_of(samples, width, height).map_err(|error| error.to_string())
        };
        result.map_err(|what| tiff.malformed(place(), what))
    }

    /// How the three components of the page's JPEG chunks are to be read, whatever their markers say.
    pub(super) fn jpeg_colour(&self) -> Colour {
        match self.photometric {
            Photometric::Rgb => Colour::Rgb,
            Photometric::YCbCr => Colour::YCbCr,
            _ => Colour::AsStored,
        }
    }

    fn decode_jpeg(&self, tables: &[u8], stored: &[u8], width: u32, height: u32) -> Result<Rgb, String> {
        let stream = jpeg::complete(tables, self.jpeg_colour(), stored).map_err(|error| error.to_string())?;
        let header = jpeg::inspect(&stream).map_err(|error| error.to_string())?;
        // The last strip may be stored at full height.
        let highest = if self.chunks.tiled { height } else { self.chunks.height };
        if header.width != width || !(height..=highest).contains(&header.height) {
            return Err(format!("a JPEG of {} x {} px, not {width} x {height}", header.width, header.height));
        }
        if header.components.len() != self.samples {
            return Err(format!("a JPEG of {} components, not {}", header.components.len(), self.samples));
        }
        let pixels = u64::from(header.width) * u64::from(header.height);
        let mut image = turbo::decode(&stream, pixels).map_err(|error| error.to_string())?;
        if header.height != height {
            image = image.crop(0, 0, width, height);
        }
        if self.photometric == Photometric::WhiteIsZero {
            image.data_mut().iter_mut().for_each(|sample| *sample = 255 - *sample);
        }
        if let Photometric::Channels(light) = &self.photometric {
            image.data_mut().as_chunks_mut().0.iter_mut().for_each(|pixel: &mut [u8; 3]| {
                *pixel = added(light, &pixel[..1]);
            });
        }
        Ok(image)
    }

    /// The samples of a chunk in 8 bits, those of a pixel side by side, or `None` if the chunk is absent.
    fn samples_of(&self, tiff: &Tiff, index: usize) -> Result<Option<Vec<u8>>, Error> {
        if !self.separate {
            let stored = self.stored_samples(tiff, index)?;
            return Ok(stored.map(|stored| self.in_8_bits(stored, &self.windows)));
        }
        let mut planes = Vec::with_capacity(self.samples);
        for plane in 0..self.samples {
            let windows = self.windows.get(plane..=plane).unwrap_or_default();
            match self.stored_samples(tiff, plane * self.chunks.per_plane() + index)? {
                Some(stored) => planes.push(self.in_8_bits(stored, windows)),
                None => return Ok(None),
            }
        }
        let pixels = planes.first().map_or(0, Vec::len);
        let mut samples = vec![0; pixels * planes.len()];
        for (number, plane) in planes.iter().enumerate() {
            for (sample, &value) in samples.iter_mut().skip(number).step_by(planes.len()).zip(plane) {
                *sample = value;
            }
        }
        Ok(Some(samples))
    }

    /// Samples through their windows, one for each sample of a pixel, or as they are if there are none.
    fn in_8_bits(&self, stored: Vec<u8>, windows: &[Window]) -> Vec<u8> {
        if windows.is_empty() {
            return stored;
        }
        let values = self.depth.values(&stored).zip(windows.iter().cycle());
        values.map(|(value, window)| window.shown(value)).collect()
    }

    /// The samples of a chunk that is not JPEG, or `None` if it is absent: 8 bits, 16 in the machine's order, and 0 or
    /// 255 for those of 1 bit.
    pub(super) fn stored_samples(&self, tiff: &Tiff, index: usize) -> Result<Option<Vec<u8>>, Error> {
        let Some(stored) = self.chunks.bytes(tiff, &self.place, index)? else { return Ok(None) };
        let (width, height) = self.chunks.size(index);
        let (samples, bits) = (if self.separate { 1 } else { self.samples }, self.depth.bits);
        let row = (width as usize * samples * bits as usize).div_ceil(8);
        let expected = row * height as usize;
        let expanded = match self.compression {
            // `decode` takes JPEG elsewhere.
            Compression::None | Compression::Jpeg(_) => complete(stored, expected),
            Compression::Lzw => lzw(&stored, expected),
            Compression::Deflate => inflate(&stored, expected, row * self.chunks.height as usize),
            Compression::PackBits => unpack_bits(&stored, expected),
            Compression::Zstandard => zstandard(&stored, expected, row * self.chunks.height as usize),
            Compression::WebP => webp(&stored, (width, height), samples),
            Compression::Jpeg2000 { ycbcr } => jpeg_2000(&stored, (width, height), samples, bits, ycbcr),
        };
        let mut data = expanded
            .map_err(|what| tiff.malformed(format!("{}, {}", self.place, self.chunks.place(index)), what))?;
        if bits == 1 {
            return Ok(Some(unpack_1_bit(&data, row, width as usize)));
        }
        if bits == 16 && !matches!(self.compression, Compression::Jpeg2000 { .. }) {
            tiff.to_native_order(&mut data);
        }
        match (self.differenced, bits) {
            (false, _) => {}
            (true, 16) => undo_differences_16(&mut data, row, samples),
            (true, _) => undo_differences(&mut data, row, samples),
        }
        Ok(Some(data))
    }

    /// The colours of samples, over white where there is alpha.
    fn colours_of(&self, samples: Vec<u8>, width: u32, height: u32) -> Result<Rgb, microtome_codec::Error> {
        if self.photometric == Photometric::Rgb && self.samples == 3 {
            return Rgb::from_vec(width, height, samples);
        }
        let mut data = Vec::with_capacity(3 * width as usize * height as usize);
        for pixel in samples.chunks_exact(self.samples) {
            let (colours, extra) = pixel.split_at(self.photometric.colours());
            let first = colours.first().copied().unwrap_or_default();
            let colour = match &self.photometric {
                Photometric::WhiteIsZero => [255 - first; 3],
                Photometric::BlackIsZero | Photometric::Mask => [first; 3],
                Photometric::Channels(light) => added(light, colours),
                Photometric::Palette(colours) => colours.get(usize::from(first)).copied().unwrap_or_default(),
                Photometric::Rgb | Photometric::YCbCr => colours.try_into().unwrap_or_default(),
            };
            let alpha = extra.first().copied().unwrap_or(255);
            data.extend_from_slice(&over_white(colour, alpha, self.alpha));
        }
        Rgb::from_vec(width, height, data)
    }
}

/// The light of channels of these colours, added up.
fn added(light: &[[u8; 3]], samples: &[u8]) -> [u8; 3] {
    let mut sum = [0; 3];
    for (colour, &sample) in light.iter().zip(samples) {
        for (sum, &share) in sum.iter_mut().zip(colour) {
            *sum += (u32::from(share) * u32::from(sample) + 127) / 255;
        }
    }
    sum.map(|sum| sum.min(255) as u8)
}

/// A colour with alpha, on white.
fn over_white(colour: [u8; 3], alpha: u8, kind: Alpha) -> [u8; 3] {
    match kind {
        Alpha::None => colour,
        Alpha::Associated => colour.map(|sample| sample.saturating_add(255 - alpha)),
        Alpha::Unassociated => colour.map(|sample| {
            let alpha = u32::from(alpha);
            ((u32::from(sample) * alpha + 255 * (255 - alpha) + 127) / 255) as u8
        }),
    }
}
