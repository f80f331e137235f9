//! Deep Zoom: the descriptor, and its level numbers, which count from 1 x 1 px upwards.
//!
//! The only place where levels are counted that way. Source: the Deep Zoom file format overview (namespace
//! `http://schemas.microsoft.com/deepzoom/2008`); the level and tile rules are those of OpenSeadragon and libvips.
//! Not here: files and folders, HTTP.

use microtome_container::geometry::{TileId, coarsest_level};

use crate::Slide;

const NAMESPACES: [&str; 2] =
    ["http://schemas.microsoft.com/deepzoom/2008", "http://schemas.microsoft.com/deepzoom/2009"];

/// A `.dzi` descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// Width of level 0 in pixels.
    pub width: u32,
    /// Height of level 0 in pixels.
    pub height: u32,
    /// Side of a tile in pixels, without overlap.
    pub tile_size: u32,
    /// Pixels that a tile shares with each inner neighbour.
    pub overlap: u32,
    /// Extension of the tile files: `jpg`, `jpeg` or `png`.
    pub format: String,
}

impl Descriptor {
    /// The descriptor under which a slide is served or exported.
    #[must_use]
    pub fn of(slide: &Slide, format: &str) -> Self {
        let grid = slide.levels()[0];
        Self {
            width: grid.width,
            height: grid.height,
            tile_size: grid.tile_size,
            overlap: grid.overlap,
            format: format.to_owned(),
        }
    }

    /// Parses a descriptor.
    ///
    /// # Errors
    /// What is missing or out of range, in a sentence that names element, attribute and value.
    pub fn parse(xml: &str) -> Result<Self, String> {
        let document = roxmltree::Document::parse(xml).map_err(|e| format!("not XML: {e}"))?;
        let image = document.root_element();
        if image.tag_name().name() != "Image"
            || !image.tag_name().namespace().is_some_and(|n| NAMESPACES.contains(&n))
        {
            return Err("the root element is not a Deep Zoom <Image>".to_owned());
        }
        let size =
            image.children().find(|c| c.tag_name().name() == "Size").ok_or("there is no <Size> element")?;
        let number = |node: roxmltree::Node<'_, '_>, name: &str| {
            let text = node.attribute(name).ok_or(format!("attribute {name} is missing"))?;
            text.trim()
                .parse::<u32>()
                .map_err(|e| format!("{name}=\"{text}\" is not a number of pixels: {e}"))
        };
        Ok(Self {
            width: number(size, "Width")?,
            height: number(size, "Height")?,
            tile_size: number(image, "TileSize")?,
            overlap: number(image, "Overlap")?,
            format: image.attribute("Format").ok_or("attribute Format is missing")?.to_owned(),
        })
    }

    /// The descriptor as XML.
    #[must_use]
    pub fn to_xml(&self) -> String {
        let Self { width, height, tile_size, overlap, format } = self;
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Image xmlns=\"{}\" Format=\"{format}\" \
             Overlap=\"{overlap}\" TileSize=\"{tile_size}\"><Size Width=\"{width}\" Height=\"{height}\"/></Image>\n",
            NAMESPACES[0]
        )
    }

    /// Deep Zoom's number of a level (0 = full resolution).
    #[must_use]
    pub fn number_of(&self, level: u8) -> u32 {
        u32::from(coarsest_level(self.width, self.height).saturating_sub(level))
    }

    /// The level (0 = full resolution) that Deep Zoom calls `number`, or `None` if there is none.
    #[must_use]
    pub fn level_of(&self, number: u32) -> Option<u8> {
        u32::from(coarsest_level(self.width, self.height)).checked_sub(number).map(|level| level as u8)
    }
}

/// The `.dzi` XML of a slide, `Format="jpg"`.
#[must_use]
pub fn descriptor(slide: &Slide) -> String {
    Descriptor::of(slide, "jpg").to_xml()
}

/// The tile that Deep Zoom calls `level/column_row`, or `None` if the slide has no such level. The tile itself may
/// lie outside the level's grid.
#[must_use]
pub fn tile(slide: &Slide, level: u32, column: u32, row: u32) -> Option<TileId> {
    let level = Descriptor::of(slide, "jpg").level_of(level)?;
    Some(TileId { level, column, row })
}

/// Deep Zoom's number for a level (0 = full resolution) of the slide.
#[must_use]
pub fn level_number(slide: &Slide, level: u8) -> u32 {
    Descriptor::of(slide, "jpg").number_of(level)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor() -> Descriptor {
        Descriptor { width: 14_173, height: 11_212, tile_size: 254, overlap: 1, format: "jpeg".to_owned() }
    }

    #[test]
    fn a_descriptor_survives_the_round_trip() {
        assert_eq!(Descriptor::parse(&descriptor().to_xml()), Ok(descriptor()));
    }

    #[test]
    fn levels_are_counted_from_one_pixel() {
        let descriptor = descriptor();
        assert_eq!(descriptor.number_of(0), 14);
        assert_eq!(descriptor.level_of(14), Some(0));
        assert_eq!(descriptor.level_of(0), Some(14));
        assert_eq!(descriptor.level_of(15), None);
        assert_eq!(descriptor.level_of(u32::MAX), None);
    }

    #[test]
    fn wrong_descriptors_say_what_is_wrong() {
        let xml = descriptor().to_xml();
        for (from, to, what) in [
            ("<Image", "<Imago", "not XML"),
            ("deepzoom/2008", "other", "Deep Zoom"),
            ("Width=\"14173\"", "", "Width is missing"),
            ("11212", "-5", "\"-5\""),
            ("TileSize=\"254\"", "TileSize=\"4294967296\"", "4294967296"),
            ("<Size", "<Sise", "<Size>"),
        ] {
            let error = Descriptor::parse(&xml.replace(from, to)).expect_err(to);
            assert!(error.contains(what), "{error}");
        }
    }
}
