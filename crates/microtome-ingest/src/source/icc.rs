//! Colours by an ICC profile: pixels of a scanner's own colour space as sRGB.
//!
//! `microtome-slide` converts. Not here: tiles that are kept, whose profile goes along with them.

use microtome_codec::Rgb;
use microtome_container::geometry::Rect;
use microtome_slide::colour::ToSrgb;
use moxcms::{ColorDateTime, ColorProfile, LocalizableString, ProfileText};

use super::{Content, Pixels, Source};
use crate::Error;

/// Pixels, converted as they are read.
struct Converted {
    pixels: Box<dyn Pixels>,
    to_srgb: ToSrgb,
    name: String,
}

impl Source {
    /// The source in sRGB: its pixels converted, without its profile. One without a profile is what it was.
    ///
    /// # Errors
    /// [`Error::Usage`] if its tiles are to be kept; [`Error::Malformed`] for a profile that is damaged or not for RGB.
    pub(crate) fn into_srgb(mut self, name: &str) -> Result<Self, Error> {
        let Some(profile) = self.icc_profile.take() else { return Ok(self) };
        let Content::Pixels(pixels) = self.content else {
            return Err(Error::Usage(format!(
                "{name}: its tiles are kept byte for byte, in their own colours; leave out --icc srgb, or choose \
                 --quality 1..100"
            )));
        };
        let to_srgb = ToSrgb::new(&profile).map_err(|what| Error::Malformed {
            path: name.to_owned(),
            place: "ICC profile".to_owned(),
            what: format!("{what}; leave out --icc srgb to keep the profile as it is"),
        })?;
        self.notices.push("colours were converted to sRGB by the slide's ICC profile".to_owned());
        self.content = Content::Pixels(Box::new(Converted { pixels, to_srgb, name: name.to_owned() }));
        Ok(self)
    }
}

/// The profile with its colours and nothing that names who made it, of what and when; `None` if that cannot be had.
pub(crate) fn without_text(profile: &[u8]) -> Option<Vec<u8>> {
    let mut profile = ColorProfile::new_from_slice(profile).ok()?;
    let text = |text: &str| {
        let text = LocalizableString::new("en".to_owned(), "US".to_owned(), text.to_owned());
        Some(ProfileText::Localizable(vec![text]))
    };
    // Both are required (ICC.1:2022, 8.2).
    (profile.description, profile.copyright) = (text("slide"), text("not stated"));
    (profile.device_manufacturer, profile.device_model, profile.char_target) = (None, None, None);
    (profile.viewing_conditions_description, profile.calibration_date) = (None, None);
    profile.creation_date_time = ColorDateTime::default();
    profile.encode().ok()
}

impl Pixels for Converted {
    fn tile_size(&self) -> u32 {
        self.pixels.tile_size()
    }

    fn overlap(&self) -> u32 {
        self.pixels.overlap()
    }

    fn read(&self, rect: Rect) -> Result<Rgb, Error> {
        let pixels = self.pixels.read(rect)?;
        self.to_srgb.convert(&pixels).map_err(|what| Error::Malformed {
            path: self.name.clone(),
            place: "ICC profile".to_owned(),
            what,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One pixel of each colour.
    struct Swatches;

    const COLOURS: [[u8; 3]; 4] = [[200, 80, 160], [10, 200, 30], [255, 255, 255], [0, 0, 0]];

    impl Pixels for Swatches {
        fn read(&self, rect: Rect) -> Result<Rgb, Error> {
            let mut pixels = Rgb::filled(rect.width, rect.height, [0; 3]);
            pixels.data_mut().copy_from_slice(COLOURS.as_flattened());
            Ok(pixels)
        }
    }

    fn source(profile: Option<Vec<u8>>) -> Source {
        Source {
            width: 4,
            height: 1,
            format: "test",
            content: Content::Pixels(Box::new(Swatches)),
            properties: vec![],
            mpp: None,
            objective_power: None,
            icc_profile: profile,
            associated: vec![],
            notices: vec![],
        }
    }

    fn colours(source: &Source) -> Vec<u8> {
        let Content::Pixels(pixels) = &source.content else { unreachable!("pixels were given") };
        pixels.read(Rect { x: 0, y: 0, width: 4, height: 1 }).expect("reads").data().to_vec()
    }

    #[test]
    fn texts_go_and_colours_stay() {
        let mut profile = ColorProfile::new_adobe_rgb();
        let text = LocalizableString::new("en".to_owned(), "US".to_owned(), "D0E-JANE".to_owned());
        profile.copyright = Some(ProfileText::Localizable(vec![text.clone()]));
        profile.device_model = Some(ProfileText::Localizable(vec![text]));
        let mut bytes = profile.encode().expect("a profile");
        bytes.extend_from_slice(b"D0E-JANE");
        let bare = without_text(&bytes).expect("the same colours");
        let utf16: Vec<u8> = "D0E-JANE".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for marker in [&b"D0E-JANE"[..], &utf16] {
            assert!(bytes.windows(marker.len()).any(|window| window == marker));
            assert!(!bare.windows(marker.len()).any(|window| window == marker));
        }
        assert_eq!(without_text(&bytes), Some(bare.clone()), "the same each time");
        let colours_by = |profile| colours(&source(Some(profile)).into_srgb("a").expect("converts"));
        assert_eq!(colours_by(bytes), colours_by(bare));
        assert_eq!(without_text(b"no profile"), None);
    }

    #[test]
    fn a_wider_colour_space_becomes_srgb_and_srgb_stays_what_it_is() {
        let profile = |profile: ColorProfile| profile.encode().expect("a profile");
        let same = source(Some(profile(ColorProfile::new_srgb()))).into_srgb("a").expect("converts");
        let close = |a: &[u8], b: &[u8]| a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) <= 1);
        assert!(close(&colours(&same), COLOURS.as_flattened()), "{:?}", colours(&same));
        assert!(same.icc_profile.is_none());
        let wide = source(Some(profile(ColorProfile::new_adobe_rgb()))).into_srgb("a").expect("converts");
        let found = colours(&wide);
        // (200, 80, 160) in Adobe RGB (1998) is beyond sRGB in red; grey, white and black are what they are.
        assert!(found[0] > 215 && found[1] < 80, "{found:?}");
        assert!(close(&found[6..], &[255, 255, 255, 0, 0, 0]), "{found:?}");
        assert_eq!(colours(&source(None).into_srgb("a").expect("as it is")), COLOURS.as_flattened());
        assert!(source(Some(b"no profile".to_vec())).into_srgb("a").is_err());
    }
}
