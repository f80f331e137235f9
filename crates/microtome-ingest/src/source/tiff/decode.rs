//! A tile or strip as pixels.
//!
//! TIFF 6.0 sections 4 to 6 (grey, palette, RGB, planes) and 18 (alpha, shown over white); TIFF Technical Note 2
//! (JPEG). An absent chunk is white; one that is there and does not decode is an error. Not here: where pixels go.

use microtome_codec::jpeg::{self, Colour};
use microtome_codec::{Rgb, turbo};

use super::compression::{complete, inflate, jpeg_2000, lzw, undo_differences, unpack_bits, webp, zstandard};
use super::ifd::Tiff;
use super::page::{Alpha, Compression, Page, Photometric};
use crate::Error;

const WHITE: [u8; 3] = [255; 3];

impl Page {
    /// The pixels of a chunk at the size it is stored in ([`super::chunks::Chunks::size`]).
    pub(super) fn decode(&self, tiff: &Tiff, index: usize) -> Result<Rgb, Error> {
        let (width, height) = self.chunks.size(index);
        let place = || format!("{}, {}", self.place, self.chunks.place(index));
        let result = if let Compression::Jpeg(tables) = &self.compression {
            let Some(stored) = self.chunks.bytes(tiff, &self.place, index)? else {
                return Ok(Rgb::filled(width, height, WHITE));
            };
            self.decode_jpeg(tables, &stored, width, height)
        } else {
            let Some(samples) = self.samples_of(tiff, index)? else {
                return Ok(Rgb::filled(width, height, WHITE));
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
        Ok(image)
    }

    /// The samples of a chunk, those of a pixel side by side, or `None` if the chunk is absent.
    fn samples_of(&self, tiff: &Tiff, index: usize) -> Result<Option<Vec<u8>>, Error> {
        if !self.separate {
            return self.plane_of(tiff, index, self.samples);
        }
        let mut planes = Vec::with_capacity(self.samples);
        for plane in 0..self.samples {
            match self.plane_of(tiff, plane * self.chunks.per_plane() + index, 1)? {
                Some(samples) => planes.push(samples),
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

    /// The samples of a stored chunk with `samples` bytes a pixel.
    fn plane_of(&self, tiff: &Tiff, index: usize, samples: usize) -> Result<Option<Vec<u8>>, Error> {
        let Some(stored) = self.chunks.bytes(tiff, &self.place, index)? else { return Ok(None) };
        let (width, height) = self.chunks.size(index);
        let row = width as usize * samples;
        let expected = row * height as usize;
        let expanded = match self.compression {
            // `decode` takes JPEG elsewhere.
            Compression::None | Compression::Jpeg(_) => complete(stored, expected),
            Compression::Lzw => lzw(&stored, expected),
            Compression::Deflate => inflate(&stored, expected),
            Compression::PackBits => unpack_bits(&stored, expected),
            Compression::Zstandard => zstandard(&stored, expected),
            Compression::WebP => webp(&stored, (width, height), samples),
            Compression::Jpeg2000 { ycbcr } => jpeg_2000(&stored, (width, height), samples, ycbcr),
        };
        let mut data = expanded
            .map_err(|what| tiff.malformed(format!("{}, {}", self.place, self.chunks.place(index)), what))?;
        if self.differenced {
            undo_differences(&mut data, row, samples);
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
                Photometric::BlackIsZero => [first; 3],
                Photometric::Palette(colours) => colours.get(usize::from(first)).copied().unwrap_or_default(),
                Photometric::Rgb | Photometric::YCbCr => colours.try_into().unwrap_or_default(),
            };
            let alpha = extra.first().copied().unwrap_or(255);
            data.extend_from_slice(&over_white(colour, alpha, self.alpha));
        }
        Rgb::from_vec(width, height, data)
    }
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
