//! A source as it is to go in: opened, and changed as the options want it.

use std::sync::Arc;

use crate::Error;
use crate::deidentify::{self, Removed};
use crate::forgiving::{self, Blanked};
use crate::options::{BadTiles, Mode, Options};
use crate::source::{self, Content, Source};

/// What the metadata call the way of pixels that were converted.
pub(crate) const IN_SRGB: &str = ", in sRGB";

/// What they call that of slides whose bad tiles are blank.
pub(crate) const BLANKING: &str = ", bad tiles blank";

/// A source as it is to go in.
pub(crate) struct Opened {
    pub(crate) source: Source,
    /// Quality of level 0, `None` for exact.
    pub(crate) quality: Option<u8>,
    /// What the metadata call the way it goes in.
    pub(crate) mode: String,
    /// What was left out for the patient's sake, if that was asked for.
    pub(crate) removed: Option<Removed>,
    /// Where tiles come to be blank, if that was asked for.
    pub(crate) blanked: Option<Arc<Blanked>>,
}

impl Opened {
    pub(crate) fn new(spec: &str, options: Options) -> Result<Self, Error> {
        let mut source = source::open(spec)?;
        let mut blanked = None;
        if options.bad_tiles == BadTiles::Blank {
            let (forgiving, what) = forgiving::forgiving(spec, source)?;
            (source, blanked) = (forgiving, Some(what));
        }
        let quality = choose_quality(spec, &source, options.mode)?;
        let mut mode = quality.map_or("exact".to_owned(), |q| format!("quality {q}"));
        let mut source = if quality.is_some() { source.into_pixels() } else { source };
        // Without a profile the colours are what they are, and nothing is said of them.
        if options.to_srgb && source.icc_profile.is_some() {
            source = source.into_srgb(spec)?;
            mode += IN_SRGB;
        }
        if let Some(mpp) = options.mpp {
            source = source.with_mpp(mpp)?;
            mode += &format!(", {mpp} um/px stated");
        }
        let mut removed = None;
        if options.deidentify {
            let (rest, what) = deidentify::deidentify(source);
            (source, removed) = (rest, Some(what));
            mode += ", de-identified";
        }
        if blanked.is_some() {
            mode += BLANKING;
        }
        Ok(Self { source, quality, mode, removed, blanked })
    }
}

/// The quality of level 0, or `None` for exact.
fn choose_quality(spec: &str, source: &Source, mode: Mode) -> Result<Option<u8>, Error> {
    let tiled = matches!(source.content, Content::Tiles(_));
    match mode {
        Mode::Exact if !tiled => Err(Error::Usage(format!(
            "{spec}: has no JPEG tiles that could be kept exactly; leave out --exact, or choose --quality 1..100"
        ))),
        Mode::Quality(quality) if !(1..=100).contains(&quality) => {
            Err(Error::Usage(format!("quality {quality} is not 1 to 100")))
        }
        Mode::Auto | Mode::Exact if tiled => Ok(None),
        Mode::Auto | Mode::Exact => Ok(Some(80)),
        Mode::Quality(quality) => Ok(Some(quality)),
    }
}
