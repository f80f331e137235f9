//! The ICC profile of the optical path, which the standard demands of colour images (PS3.3 C.8.12.5, C.11.15).
//!
//! The slide's own where it has a sound one; else sRGB, which is what viewers take colours for that say nothing. Not here:
//! conversion.

use std::sync::LazyLock;

use bytes::Bytes;
use moxcms::{ColorDateTime, ColorProfile, ProfileClass};

/// sRGB as an input profile, the class that DICOM asks for, without a date, so that it is always the same.
static SRGB: LazyLock<Bytes> = LazyLock::new(|| {
    let mut profile = ColorProfile::new_srgb();
    profile.profile_class = ProfileClass::InputDevice;
    profile.creation_date_time =
        ColorDateTime { year: 2000, month: 1, day_of_the_month: 1, ..ColorDateTime::default() };
    profile.encode().unwrap_or_default().into()
});

/// The profile to state for a slide with this one, and whether it is the slide's own.
pub(crate) fn stated(own: Option<Vec<u8>>) -> (Bytes, bool) {
    // ICC.1:2022, 7.2: 16 is the colour space, 36 the signature.
    let is_rgb = |p: &[u8]| p.get(16..20) == Some(b"RGB ") && p.get(36..40) == Some(b"acsp") && p.len() > 128;
    match own.filter(|profile| is_rgb(profile)) {
        Some(profile) => (profile.into(), true),
        None => (SRGB.clone(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_profile_for_rgb_is_replaced_by_srgb() {
        let (srgb, own) = stated(None);
        assert!(!own && srgb.len() > 128 && &srgb[12..16] == b"scnr");
        assert!(ColorProfile::new_from_slice(&srgb).is_ok());
        assert_eq!(stated(Some(b"nonsense".to_vec())), (srgb.clone(), false));
        assert_eq!(stated(Some(srgb.to_vec())), (srgb, true));
    }
}
