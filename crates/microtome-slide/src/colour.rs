//! Colours by an ICC profile: a scanner's own colour space as sRGB.
//!
//! ICC.1:2022, by moxcms; relative colorimetric, as viewers show slides. Not here: which pixels are to be converted.

use std::sync::Arc;

use microtome_codec::Rgb;
use moxcms::{
    ColorProfile, DataColorSpace, Layout, RenderingIntent, Transform8BitExecutor, TransformOptions,
};

/// From the colours of a profile to sRGB.
#[derive(Clone)]
pub struct ToSrgb(Arc<Transform8BitExecutor>);

impl ToSrgb {
    /// What a profile asks for.
    ///
    /// # Errors
    /// If it is damaged or not for RGB, in words.
    pub fn new(profile: &[u8]) -> Result<Self, String> {
        let profile = ColorProfile::new_from_slice(profile).map_err(|e| e.to_string())?;
        if profile.color_space != DataColorSpace::Rgb {
            return Err(format!("a profile for {:?}, not for RGB", profile.color_space));
        }
        let options = TransformOptions {
            rendering_intent: RenderingIntent::RelativeColorimetric,
            ..TransformOptions::default()
        };
        profile
            .create_transform_8bit(Layout::Rgb, &ColorProfile::new_srgb(), Layout::Rgb, options)
            .map(Self)
            .map_err(|e| e.to_string())
    }

    /// The same picture in sRGB.
    ///
    /// # Errors
    /// What moxcms says; it says nothing if the profile was good.
    pub fn convert(&self, pixels: &Rgb) -> Result<Rgb, String> {
        let mut converted = Rgb::filled(pixels.width(), pixels.height(), [0; 3]);
        self.0.transform(pixels.data(), converted.data_mut()).map_err(|e| e.to_string())?;
        Ok(converted)
    }
}
