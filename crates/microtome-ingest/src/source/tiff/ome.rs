//! OME-XML: which pages of a file are the channels of its slide, and what it says of them.
//!
//! The OME schemas (2016-06 and older) in the ImageDescription of the first page. The first `Image` is the slide, of
//! which the first focal plane and time point are taken; images called label, macro or thumbnail are associated. Planes
//! in other files are refused. Not here: pixels.

use roxmltree::Node;

use super::ifd::Tiff;
use super::xml::{self, children};
use crate::Error;

/// Channels of a slide: more cannot be told apart by colour anyhow.
const MAX_CHANNELS: usize = 64;
/// Nodes of the XML; it has one for each plane of a file.
const MAX_NODES: u32 = 1 << 20;
/// Colours of channels that have none of their own.
const COLOURS: [[u8; 3]; 7] =
    [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [255, 0, 255], [0, 255, 255], [255; 3]];
/// Bio-Formats' converter, which puts a set of files into one.
const INTO_ONE: &str = "bfconvert IN OUT.ome.tif";

/// What OME-XML says of a file.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Ome {
    /// The channels of the slide, at least one.
    pub(super) channels: Vec<Channel>,
    /// Whether all channels are samples of one page.
    pub(super) in_one_page: bool,
    /// Pages that are other images, with their names, as far as these are known.
    pub(super) others: Vec<Other>,
    /// Micrometres per pixel.
    pub(super) mpp: Option<[f64; 2]>,
    pub(super) objective_power: Option<f64>,
    /// What is left out.
    pub(super) notices: Vec<String>,
}

/// A channel of the slide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Channel {
    /// Number of its page in the chain.
    pub(super) page: usize,
    pub(super) name: Option<String>,
    /// The colour that it is shown in.
    pub(super) colour: [u8; 3],
}

/// An image beside the slide.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Other {
    /// Number of its page in the chain.
    pub(super) page: usize,
    /// `label`, `macro` or `thumbnail`, if it is one.
    pub(super) associated: Option<&'static str>,
}

impl Ome {
    /// Reads the description of a first page of `samples` samples per pixel, or answers `None` if it is not OME-XML with
    /// an image.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if planes lie in other files, [`Error::Malformed`] for XML that contradicts itself.
    pub(super) fn read(tiff: &Tiff, description: &str, samples: usize) -> Result<Option<Self>, Error> {
        let text = description.trim_start_matches('\u{FEFF}').trim();
        if !text.starts_with('<') || !text.ends_with("OME>") {
            return Ok(None);
        }
        let document =
            xml::parse(text, MAX_NODES).map_err(|error| malformed(tiff, format!("its OME-XML: {error}")))?;
        let root = document.root_element();
        let mut images = children(root, "Image").filter_map(Image::read);
        let Some(slide) = images.next() else { return Ok(None) };
        let mut ome = slide.describe(root);
        ome.in_one_page = samples > 1 && slide.size('C') == samples;
        ome.channels = slide.channels(tiff, root, ome.in_one_page)?;
        for image in images {
            let associated = associated_name(image.name.unwrap_or_default());
            if associated.is_none() {
                let name = image.name.unwrap_or("without a name");
                ome.notices.push(format!("another image of the file, {name}, is left out"));
            }
            ome.others.extend(image.page_of(0).map(|page| Other { page, associated }));
        }
        Ok(Some(ome))
    }
}

/// The colour of a channel that has none of its own.
pub(super) fn colour_of(channel: usize) -> [u8; 3] {
    COLOURS[channel % COLOURS.len()]
}

fn malformed(tiff: &Tiff, what: String) -> Error {
    tiff.malformed("page 0, tag 270 (ImageDescription)", what)
}

fn number<T: std::str::FromStr>(node: Node<'_, '_>, name: &str) -> Option<T> {
    node.attribute(name)?.trim().parse().ok()
}

/// What an image of this name is, if it is none of the specimen itself.
fn associated_name(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    [("label", "label"), ("macro", "macro"), ("overview", "macro"), ("thumb", "thumbnail")]
        .into_iter()
        .find_map(|(part, kind)| name.contains(part).then_some(kind))
}

/// An `Image` with its `Pixels`.
struct Image<'a> {
    image: Node<'a, 'a>,
    pixels: Node<'a, 'a>,
    name: Option<&'a str>,
    channels: Vec<Node<'a, 'a>>,
    /// The number of planes along C, Z and T, with the letter, the fastest first.
    order: Vec<(char, usize)>,
}

impl<'a> Image<'a> {
    fn read(image: Node<'a, 'a>) -> Option<Self> {
        let pixels = children(image, "Pixels").next()?;
        let channels: Vec<_> = children(pixels, "Channel").collect();
        let size = |letter: char| {
            let samples: usize = number(pixels, &format!("Size{letter}")).unwrap_or(1).max(1);
            // Samples of one channel lie in one plane: C counts channels.
            if letter == 'C' && !channels.is_empty() { channels.len() } else { samples }
        };
        let letters = pixels.attribute("DimensionOrder").unwrap_or("XYCZT");
        let order = letters.chars().filter(|letter| "CZT".contains(*letter)).map(|l| (l, size(l))).collect();
        Some(Self { image, pixels, name: image.attribute("Name"), channels, order })
    }

    fn size(&self, letter: char) -> usize {
        self.order.iter().find(|(other, _)| *other == letter).map_or(1, |&(_, size)| size)
    }

    /// The number of the plane that `at` gives the position of, along each letter.
    fn plane(&self, at: impl Fn(char) -> usize) -> usize {
        let (mut number, mut step) = (0_usize, 1_usize);
        for &(letter, size) in &self.order {
            number = number.saturating_add(at(letter).saturating_mul(step));
            step = step.saturating_mul(size);
        }
        number
    }

    /// The `TiffData` that has the first focal plane and time point of a channel, and the page of it.
    fn data_of(&self, channel: usize) -> Option<(Option<Node<'a, 'a>>, usize)> {
        let wanted = self.plane(|letter| if letter == 'C' { channel } else { 0 });
        let mut all = children(self.pixels, "TiffData").peekable();
        if all.peek().is_none() {
            return Some((None, wanted));
        }
        all.find_map(|data| {
            let page: Option<usize> = number(data, "IFD");
            let first = self.plane(|letter| number(data, &format!("First{letter}")).unwrap_or(0));
            let count = number(data, "PlaneCount").unwrap_or(if page.is_some() { 1 } else { usize::MAX });
            let nth = wanted.checked_sub(first).filter(|&nth| nth < count)?;
            Some((Some(data), page.unwrap_or(0).checked_add(nth)?))
        })
    }

    fn page_of(&self, channel: usize) -> Option<usize> {
        self.data_of(channel).map(|(_, page)| page)
    }

    fn channels(&self, tiff: &Tiff, root: Node<'_, '_>, in_one_page: bool) -> Result<Vec<Channel>, Error> {
        let count = self.size('C');
        if count > MAX_CHANNELS {
            let what = format!("{count} channels (at most {MAX_CHANNELS} are taken)");
            return Err(tiff.unsupported_unless("page 0", what, INTO_ONE));
        }
        let colours: Vec<Option<[u8; 3]>> = (0..count).map(|at| self.colour(at)).collect();
        let own = colours.iter().flatten().any(|&colour| colour != [255; 3]);
        let mut channels = Vec::with_capacity(count);
        for (at, colour) in colours.into_iter().enumerate() {
            let Some((data, page)) = self.data_of(if in_one_page { 0 } else { at }) else {
                return Err(malformed(tiff, format!("its OME-XML has no plane for channel {at}")));
            };
            if let Some(file) = data.and_then(|data| elsewhere(root, data)) {
                let what = format!("channel {at} lies in another file ({file})");
                return Err(tiff.unsupported_unless("page 0", what, INTO_ONE));
            }
            let name = self.channels.get(at).and_then(|channel| channel.attribute("Name")).map(str::to_owned);
            let colour = if own { colour.unwrap_or([255; 3]) } else { colour_of(at) };
            channels.push(Channel { page, name, colour });
        }
        Ok(channels)
    }

    /// A channel's own colour: red, green, blue and alpha from the highest byte of a signed number.
    fn colour(&self, channel: usize) -> Option<[u8; 3]> {
        let value: i64 = number(*self.channels.get(channel)?, "Color")?;
        let [red, green, blue, _] = (value as u32).to_be_bytes();
        Some([red, green, blue])
    }

    fn describe(&self, root: Node<'_, '_>) -> Ome {
        let micrometres = |side: &str| {
            let size: f64 = number(self.pixels, &format!("PhysicalSize{side}"))?;
            let unit = self.pixels.attribute(&*format!("PhysicalSize{side}Unit")).unwrap_or("µm");
            Some(size * unit_in_micrometres(unit)?)
        };
        let (focal, times) = (self.size('Z'), self.size('T'));
        let mut notices = Vec::new();
        if focal > 1 || times > 1 {
            notices.push(format!("of {focal} focal planes and {times} time points the first is taken"));
        }
        Ome {
            mpp: micrometres("X").zip(micrometres("Y")).map(|(x, y)| [x, y]),
            objective_power: self.objective_power(root),
            notices,
            ..Ome::default()
        }
    }

    /// The magnification of the objective that the image refers to.
    fn objective_power(&self, root: Node<'_, '_>) -> Option<f64> {
        let settings = self.image.children().find(|n| n.tag_name().name().starts_with("Objective"))?;
        let id = settings.attribute("ID")?;
        let mut objectives = root.descendants().filter(|node| node.tag_name().name() == "Objective");
        let objective = objectives.find(|objective| objective.attribute("ID") == Some(id))?;
        number(objective, "NominalMagnification").filter(|power: &f64| power.is_finite() && *power > 0.0)
    }
}

/// The name of the file that a `TiffData` points to, if it is not the one that the XML is in.
fn elsewhere<'a>(root: Node<'_, '_>, data: Node<'a, 'a>) -> Option<&'a str> {
    let uuid = children(data, "UUID").next()?;
    let (this, that) = (root.attribute("UUID")?, uuid.text()?.trim());
    (this != that).then(|| uuid.attribute("FileName").unwrap_or(that))
}

/// Micrometres in a unit of length.
fn unit_in_micrometres(unit: &str) -> Option<f64> {
    Some(match unit {
        // The micro sign and the Greek letter.
        "\u{B5}m" | "\u{3BC}m" | "um" => 1.0,
        "nm" => 1e-3,
        "mm" => 1e3,
        "cm" => 1e4,
        "m" => 1e6,
        "in" => 25_400.0,
        _ => return None,
    })
}
