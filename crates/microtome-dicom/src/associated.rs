//! Label, macro and thumbnail as instances of one frame: a baseline JPEG as it is stored but for its Adobe marker, anything else
//! encoded once.
//!
//! Not here: what the instances say.

use bytes::Bytes;
use microtome_codec::jpeg;
use microtome_codec::turbo::{self, Subsampling};
use microtome_slide::{Slide, associated};

use crate::Error;
use crate::frames::{Photometric, unmarked};

/// Quality of what is encoded: labels are read.
const QUALITY: u8 = 95;

/// The frame of an associated image.
#[derive(Debug, Clone, PartialEq)]
pub struct AssociatedFrame {
    bytes: Bytes,
    photometric: Photometric,
    ratios: Vec<f64>,
}

impl AssociatedFrame {
    /// Reads an image; decodes and encodes it, if need be.
    ///
    /// # Errors
    /// [`Error::Slide`] if its section is damaged, [`Error::Associated`] if what is in it is.
    pub(crate) fn open(slide: &Slide, name: &str) -> Result<Self, Error> {
        let failed = |what: String| Error::Associated {
            path: slide.container().path().to_owned(),
            name: name.to_owned(),
            what,
        };
        let metadata = slide.metadata();
        let image = metadata.associated.iter().find(|image| image.name == name);
        let bytes = slide.associated(name)?;
        let (Some(image), Some(bytes)) = (image, bytes) else {
            return Err(failed("is not there".to_owned()));
        };
        let frame = Self::of(&image.media_type, bytes, [image.width, image.height]);
        frame.map_err(failed)
    }

    fn of(media_type: &str, bytes: Vec<u8>, [width, height]: [u32; 2]) -> Result<Self, String> {
        let raw = |samples: u32| u64::from(samples) * u64::from(width) * u64::from(height);
        let ratio =
            |samples: u32, bytes: usize| (100.0 * raw(samples) as f64 / bytes.max(1) as f64).round() / 100.0;
        let mut ratios = vec![];
        if media_type == "image/jpeg" {
            let header = jpeg::inspect(&bytes).map_err(|error| error.to_string())?;
            ratios.push(ratio(header.components.len() as u32, bytes.len()));
            if let Some(photometric) = Photometric::of(&header)
                && (header.width, header.height) == (width, height)
            {
                return Ok(Self { bytes: unmarked(&bytes.into()), photometric, ratios });
            }
        }
        let pixels = associated::decode(media_type, &bytes)?;
        if (pixels.width(), pixels.height()) != (width, height) {
            return Err(format!("is not of the {width} x {height} px that the metadata state"));
        }
        let jpeg =
            turbo::encode(&pixels, QUALITY, Subsampling::Chroma444).map_err(|error| error.to_string())?;
        ratios.push(ratio(3, jpeg.len()));
        Ok(Self { bytes: jpeg.into(), photometric: Photometric::YCbCr, ratios })
    }

    /// The JPEG stream.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn photometric(&self) -> Photometric {
        self.photometric
    }

    /// Bytes of samples per byte, of each compression.
    pub(crate) fn ratios(&self) -> &[f64] {
        &self.ratios
    }
}
