//! Several channels as one picture: the light of each in its colour, added up.
//!
//! Not here: which pages are channels and their colours, which OME-XML says.

use std::sync::Arc;

use microtome_codec::Rgb;
use microtome_container::geometry::Rect;

use super::ifd::Tiff;
use super::ome::{self, Channel};
use super::page::{Alpha, Page, Photometric};
use super::pixels;
use crate::Error;
use crate::source::Pixels;

/// Channels of one size, as they are stored.
pub(super) struct Channels(Vec<Box<dyn Pixels>>);

impl Channels {
    /// Opens pages that show [`Photometric::Channels`], at least one.
    pub(super) fn open(tiff: &Arc<Tiff>, pages: Vec<Page>) -> Result<Self, Error> {
        let count = pages.len();
        let open = |page| pixels::open_stored(Arc::clone(tiff), page, count);
        pages.into_iter().map(open).collect::<Result<_, _>>().map(Self)
    }
}

impl Pixels for Channels {
    fn read(&self, rect: Rect) -> Result<Rgb, Error> {
        let mut sum = Rgb::filled(rect.width, rect.height, [0; 3]);
        for channel in &self.0 {
            let light = channel.read(rect)?;
            for (sum, light) in sum.data_mut().iter_mut().zip(light.data()) {
                *sum = sum.saturating_add(*light);
            }
        }
        Ok(sum)
    }
}

/// Makes pages show their channels, if there are several; answers what was done, in a sentence.
///
/// # Errors
/// [`Error::Unsupported`] if they are not grey images of one size.
pub(super) fn colour(tiff: &Tiff, pages: &mut [Page], channels: &[Channel]) -> Result<Option<String>, Error> {
    if let [page] = pages {
        let samples = page.samples;
        if page.photometric != Photometric::BlackIsZero || page.alpha != Alpha::None || samples == 1 {
            return Ok(None);
        }
        let colours = match channels.len() == samples {
            true => channels.iter().map(|channel| channel.colour).collect(),
            false => (0..samples).map(ome::colour_of).collect(),
        };
        page.absent = [0; 3];
        page.photometric = Photometric::Channels(colours);
        return Ok(Some(in_words(samples)));
    }
    let size = pages.first().map(|page| (page.width, page.height, page.orientation));
    for (page, channel) in pages.iter_mut().zip(channels) {
        let grey = page.photometric == Photometric::BlackIsZero && page.samples == 1;
        if !grey || Some((page.width, page.height, page.orientation)) != size {
            let what = "one of several channels that is not grey or not of the others' size";
            return Err(tiff.unsupported(&page.place, what));
        }
        page.absent = [0; 3];
        page.photometric = Photometric::Channels(vec![channel.colour]);
    }
    Ok(Some(in_words(pages.len())))
}

fn in_words(channels: usize) -> String {
    format!("{channels} channels are shown together as coloured light, added up")
}
