//! A slide as a series: which instances there are, how they are called, and what each says.
//!
//! One instance per level, down to the first that is one frame, and one each for label, macro and thumbnail. Identifiers follow
//! from the content of the container; study, series and frame of reference of a DICOM source stay, the series only if the
//! frames are the source's. An instance has an identifier of its own in any case: what it says is not what the source
//! said. Not here: frames.

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use microtome_slide::{Metadata, Slide};

use crate::associated::AssociatedFrame;
use crate::dataset::Dataset;
use crate::frames::LevelFrames;
use crate::{Error, image, modules, source, uid};

/// Quality of frames that are encoded anew, unless the caller knows better.
pub const QUALITY: u8 = 85;

/// How a slide and its parts are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Study Instance UID.
    pub study: String,
    /// Series Instance UID.
    pub series: String,
    pub(crate) frame_of_reference: String,
    pub(crate) pyramid: String,
    /// The content id, and the part of it that people read.
    pub(crate) content: String,
    pub(crate) short: String,
    /// What of it depends on the quality of frames that are made anew.
    made: String,
}

impl Identity {
    fn of(slide: &Slide, quality: u8) -> Self {
        let metadata = slide.metadata();
        let content = slide.content_id().to_string();
        let grid = slide.levels()[0];
        let made = if grid.overlap == 0 { String::new() } else { format!("quality {quality}") };
        let own = |what: &str| uid::derived(&[&content, &made, what]);
        let of_source =
            |name: &str| source::value(metadata, name).filter(|uid| uid::is_valid(uid)).map(str::to_owned);
        let verbatim = metadata.is_verbatim(0) && grid.overlap == 0;
        let series = of_source("SeriesInstanceUID").filter(|_| verbatim);
        Self {
            study: of_source("StudyInstanceUID").unwrap_or_else(|| own("study")),
            series: series.unwrap_or_else(|| own("series")),
            frame_of_reference: of_source("FrameOfReferenceUID").unwrap_or_else(|| own("frame of reference")),
            pyramid: own("pyramid"),
            short: content.chars().take(16).collect(),
            content,
            made,
        }
    }

    /// One for tests.
    #[cfg(test)]
    pub(crate) fn named(study: String, series: String) -> Self {
        let other = || "1.2".to_owned();
        let (frame_of_reference, pyramid, content, short, made) =
            (other(), other(), other(), other(), other());
        Self { study, series, frame_of_reference, pyramid, content, short, made }
    }

    fn instance(&self, kind: &Kind) -> String {
        let words = match kind {
            Kind::Level(level) => ["level".to_owned(), level.to_string()],
            Kind::Associated(name) => ["associated".to_owned(), name.clone()],
        };
        uid::derived(&[&self.content, &self.made, &words[0], &words[1]])
    }
}

/// What an instance shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A level of the slide.
    Level(u8),
    /// An associated image: `label`, `macro` or `thumbnail`.
    Associated(String),
}

/// An instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// SOP Instance UID.
    pub uid: String,
    /// What it shows.
    pub kind: Kind,
    /// What is known of it without a look at its frames.
    pub summary: Dataset,
}

/// The frames of an instance.
#[derive(Debug, Clone, PartialEq)]
pub enum Frames {
    /// Those of a level.
    Level(LevelFrames),
    /// The one of an associated image.
    Associated(AssociatedFrame),
}

impl Frames {
    /// Number of frames.
    #[must_use]
    pub fn count(&self) -> u64 {
        match self {
            Self::Level(frames) => frames.count(),
            Self::Associated(_) => 1,
        }
    }
}

/// A slide as a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// How it is called.
    pub identity: Identity,
    /// What it says of patient, study and series.
    pub summary: Dataset,
    /// Its instances: levels from the finest, then associated images.
    pub instances: Vec<Instance>,
    quality: u8,
}

impl Series {
    /// The series of a slide; frames that have to be encoded anew have this quality, 1 to 100. Reads nothing.
    #[must_use]
    pub fn of(slide: &Slide, quality: u8) -> Self {
        let metadata = slide.metadata();
        let identity = Identity::of(slide, quality);
        let summary = modules::series(metadata, &identity);
        let mut instances = vec![];
        for (number, kind) in (1..).zip(kinds(slide)) {
            let uid = identity.instance(&kind);
            let mut set = summary.clone();
            set.put(tags::SOP_CLASS_UID, uids::VL_WHOLE_SLIDE_MICROSCOPY_IMAGE_STORAGE);
            set.put(tags::SOP_INSTANCE_UID, &uid);
            set.put_number(tags::INSTANCE_NUMBER, number);
            set.extend(&modules::specimen(metadata, &identity));
            set.extend(&image::known(slide, &identity, &kind));
            instances.push(Instance { uid, kind, summary: set });
        }
        Self { identity, summary, instances, quality }
    }

    /// Everything that an instance says, and its frames. Looks at some of the frames: blocks and decodes.
    ///
    /// # Errors
    /// [`Error::Slide`] if the container is damaged; [`Error::Associated`] if the image is.
    pub fn describe(&self, slide: &Slide, instance: &Instance) -> Result<(Dataset, Frames), Error> {
        let mut set = instance.summary.clone();
        let frames = match &instance.kind {
            Kind::Level(level) => Frames::Level(LevelFrames::open(slide, *level, self.quality)?),
            Kind::Associated(name) => Frames::Associated(AssociatedFrame::open(slide, name)?),
        };
        let compressions = self.compressions(slide, instance, &frames)?;
        set.extend(&image::seen(slide, &frames, &compressions)?);
        Ok((set, frames))
    }

    /// The lossy compressions that the frames have behind them, in order: method and ratio. None is ever taken off the list.
    fn compressions(
        &self,
        slide: &Slide,
        instance: &Instance,
        frames: &Frames,
    ) -> Result<Vec<(String, f64)>, Error> {
        let metadata = slide.metadata();
        let mut steps = source::compressions(metadata);
        let jpeg = |ratio: f64| ("ISO_10918_1".to_owned(), ratio);
        match (&instance.kind, frames) {
            (Kind::Level(level), Frames::Level(frames)) => {
                // Tiles that the source had as JPEG were compressed once, whether it says so or not.
                if metadata.is_verbatim(0) && steps.is_empty() {
                    let ratio = match level {
                        0 => frames.tile_ratio(),
                        _ => LevelFrames::open(slide, 0, self.quality)?.tile_ratio(),
                    };
                    steps.push(jpeg(ratio));
                }
                if steps.is_empty()
                    && let Some(method) = source::lossy(metadata)
                {
                    steps.push((method.to_owned(), ratio_of_source(slide)));
                }
                if !metadata.is_verbatim(*level) {
                    steps.push(jpeg(frames.tile_ratio()));
                }
                if !frames.keeps_tiles() {
                    steps.push(jpeg(frames.frame_ratio()));
                }
            }
            // What was done to the slide was not done to its label.
            (_, Frames::Associated(frame)) => {
                steps = frame.ratios().iter().map(|&ratio| jpeg(ratio)).collect()
            }
            _ => {}
        }
        Ok(steps)
    }
}

/// Bytes of samples per byte of the source's files, of a pyramid whose levels are a quarter of each other.
fn ratio_of_source(slide: &Slide) -> f64 {
    let grid = slide.levels()[0];
    let raw = 4.0 * f64::from(grid.width) * f64::from(grid.height);
    (100.0 * raw / slide.metadata().source.bytes.max(1) as f64).round().max(1.0) / 100.0
}

/// What instances there are.
fn kinds(slide: &Slide) -> Vec<Kind> {
    let mut kinds = vec![];
    for (level, grid) in (0_u8..).zip(slide.levels()) {
        kinds.push(Kind::Level(level));
        if grid.tiles() == 1 {
            break;
        }
    }
    for name in ["label", "macro", "thumbnail"] {
        if slide
            .metadata()
            .associated
            .iter()
            .any(|image| image.name == name && fits(image.width, image.height))
        {
            kinds.push(Kind::Associated(name.to_owned()));
        }
    }
    kinds
}

/// Whether an image can be one frame: Rows and Columns have 16 bits.
fn fits(width: u32, height: u32) -> bool {
    let side = 1..=u32::from(u16::MAX);
    side.contains(&width) && side.contains(&height)
}

/// Attributes of images that a search finds by, besides those of the series.
pub const SEARCHED: [Tag; 7] = [
    tags::SOP_CLASS_UID,
    tags::SOP_INSTANCE_UID,
    tags::INSTANCE_NUMBER,
    tags::ROWS,
    tags::COLUMNS,
    tags::BITS_ALLOCATED,
    tags::NUMBER_OF_FRAMES,
];

/// Whether the tiles of a level of a slide are its source's.
pub(crate) fn is_original(metadata: &Metadata, level: u8) -> bool {
    level == 0 && source::value(metadata, "ImageType").is_none_or(|kind| kind != "DERIVED")
}
