//! What a plain image says beside its picture: its ICC profile, and how it is to be turned.
//!
//! ICC.1:2022 annex B.4 (JPEG), Exif 2.32 section 4.5.4 and 4.6.4 (Orientation). What is damaged of it is left out with a
//! notice: the picture is sound without.

use crate::source::turned::Orientation;

/// Longest profile that a container takes.
const MAX_PROFILE: usize = 16 << 20;
/// EXIF's tag of the orientation, as in TIFF.
const ORIENTATION: u16 = 274;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Beside {
    pub(super) icc_profile: Option<Vec<u8>>,
    /// `None` if nothing is said of it.
    orientation: Option<Orientation>,
    pub(super) notices: Vec<String>,
}

impl Beside {
    /// Of a JPEG stream that was decoded.
    pub(super) fn of_jpeg(stream: &[u8]) -> Self {
        let mut found = Self::default();
        let mut parts: Vec<(u8, u8, &[u8])> = vec![];
        for (marker, body) in segments(stream) {
            match marker {
                0xE1 if let Some(exif) = body.strip_prefix(b"Exif\0\0") => found.turn(exif),
                0xE2 if let Some([number, count, part @ ..]) = body.strip_prefix(b"ICC_PROFILE\0") => {
                    parts.push((*number, *count, part));
                }
                _ => {}
            }
        }
        parts.sort_by_key(|&(number, ..)| number);
        let is_whole = (1_usize..).zip(&parts).all(|(expected, &(number, count, _))| {
            usize::from(number) == expected && usize::from(count) == parts.len()
        });
        let profile: Vec<u8> = parts.iter().flat_map(|&(.., part)| part).copied().collect();
        match is_whole {
            _ if parts.is_empty() => {}
            true => found.colour_by(profile),
            false => found.notices.push("its ICC profile lacks parts: it is left out".to_owned()),
        }
        found
    }

    /// Takes a profile, if it is for the red, green and blue that all pictures here have.
    pub(super) fn colour_by(&mut self, profile: Vec<u8>) {
        let left_out = |why: &str| format!("its ICC profile {why}: it is left out");
        // ICC.1:2022, 7.2.6: the colours of the data.
        match profile.get(16..20) {
            _ if profile.len() > MAX_PROFILE => self.notices.push(left_out("is longer than 16 MiB")),
            Some(b"RGB ") => self.icc_profile = Some(profile),
            _ => self.notices.push(left_out("is not for RGB")),
        }
    }

    /// How the picture is to be turned.
    pub(super) fn orientation(&self) -> Orientation {
        self.orientation.unwrap_or_default()
    }

    /// Takes the orientation that EXIF data say, a TIFF file without an image; the first that is there counts.
    pub(super) fn turn(&mut self, exif: &[u8]) {
        let Some(number) = orientation(exif) else { return };
        match Orientation::of(number.into()) {
            Some(orientation) => self.orientation = self.orientation.or(Some(orientation)),
            None => {
                let what = "(1 to 8 have a meaning): it is left out";
                self.notices.push(format!("its EXIF Orientation is {number} {what}"));
            }
        }
    }
}

/// The markers up to the first scan, and what is in their segments.
fn segments(stream: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = stream.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        while let [0xFF, 0xFF, ..] = rest {
            rest = &rest[1..];
        }
        let [0xFF, marker, high, low, behind @ ..] = rest else { return None };
        let length = usize::from(u16::from_be_bytes([*high, *low])).checked_sub(2)?;
        let body = behind.get(..length).filter(|_| *marker != 0xDA)?;
        rest = &behind[length..];
        Some((*marker, body))
    })
}

/// The Orientation in the first directory of a TIFF file.
fn orientation(tiff: &[u8]) -> Option<u16> {
    let is_little = match tiff.first_chunk()? {
        [b'I', b'I', 42, 0] => true,
        [b'M', b'M', 0, 42] => false,
        _ => return None,
    };
    let bytes = |at: usize, length: usize| tiff.get(at..at.checked_add(length)?);
    let short = |at: usize| {
        let pair = *bytes(at, 2)?.first_chunk()?;
        Some(if is_little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) })
    };
    let four = *bytes(4, 4)?.first_chunk()?;
    let directory = if is_little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) } as usize;
    let entries = usize::from(short(directory)?);
    // Tag, type, count, value: a SHORT lies at the value's beginning.
    let entry = |number: usize| directory.checked_add(2 + 12 * number);
    let at = (0..entries).filter_map(entry).find(|&at| short(at) == Some(ORIENTATION))?;
    (short(at + 2)? == 3).then(|| short(at + 8)).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exif(little: bool, number: u16) -> Vec<u8> {
        let two = |n: u16| if little { n.to_le_bytes() } else { n.to_be_bytes() };
        let four = |n: u32| if little { n.to_le_bytes() } else { n.to_be_bytes() };
        let entry = |tag: u16, value: u16| [&two(tag)[..], &two(3), &four(1), &two(value), &[0; 2]].concat();
        let order = if little { b"II" } else { b"MM" };
        [&order[..], &two(42), &four(8), &two(2), &entry(256, 9), &entry(ORIENTATION, number), &[0; 4]]
            .concat()
    }

    fn segment(marker: u8, name: &[u8], body: &[u8]) -> Vec<u8> {
        let length = (2 + name.len() + body.len()) as u16;
        [&[0xFF, 0xFF, marker][..], &length.to_be_bytes(), name, body].concat()
    }

    fn jpeg(segments: &[Vec<u8>]) -> Vec<u8> {
        [&[0xFF, 0xD8][..], &segments.concat(), &[0xFF, 0xDA, 0, 2, 1, 2, 3]].concat()
    }

    #[test]
    fn the_orientation_is_read_in_both_byte_orders() {
        for (little, number) in [(true, 6), (false, 8), (true, 1)] {
            let found = Beside::of_jpeg(&jpeg(&[segment(0xE1, b"Exif\0\0", &exif(little, number))]));
            assert_eq!(Some(found.orientation()), Orientation::of(number.into()));
            assert!(found.notices.is_empty());
        }
        let odd = Beside::of_jpeg(&jpeg(&[segment(0xE1, b"Exif\0\0", &exif(true, 77))]));
        assert!(odd.orientation().is_upright() && odd.notices[0].contains("is 77"), "{odd:?}");
    }

    #[test]
    fn a_profile_is_put_together_in_the_order_of_its_parts_or_left_out() {
        let part = |number: u8, count: u8, bytes: &[u8]| {
            segment(0xE2, b"ICC_PROFILE\0", &[&[number, count][..], bytes].concat())
        };
        let (front, back) = (&b"................RG"[..], &b"B and the rest"[..]);
        let whole =
            Beside::of_jpeg(&jpeg(&[part(2, 2, back), segment(0xE2, b"MPF\0", b"x"), part(1, 2, front)]));
        assert_eq!(whole.icc_profile, Some([front, back].concat()));
        for parts in
            [vec![part(2, 2, back)], vec![part(1, 1, front), part(1, 1, front)], vec![part(0, 1, front)]]
        {
            let found = Beside::of_jpeg(&jpeg(&parts));
            assert!(found.icc_profile.is_none() && found.notices[0].contains("lacks parts"), "{found:?}");
        }
        let grey = Beside::of_jpeg(&jpeg(&[part(1, 1, b"................GRAY and the rest")]));
        assert!(grey.icc_profile.is_none() && grey.notices[0].contains("not for RGB"), "{grey:?}");
        assert_eq!(Beside::of_jpeg(&jpeg(&[])), Beside::default());
        let turned = segment(0xE1, b"Exif\0\0", &exif(true, 1));
        let again = segment(0xE1, b"Exif\0\0", &exif(true, 6));
        assert!(Beside::of_jpeg(&jpeg(&[turned, again])).orientation().is_upright(), "the first one counts");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), little in any::<bool>()) {
            let _ = Beside::of_jpeg(&bytes);
            let _ = orientation(&[if little { &b"II*\0"[..] } else { b"MM\0*" }, &bytes].concat());
            let _ = Beside::of_jpeg(&jpeg(&[segment(0xE1, b"Exif\0\0", &bytes), segment(0xE2, b"ICC_PROFILE\0", &bytes)]));
        }
    }
}
