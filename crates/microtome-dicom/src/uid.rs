//! Unique identifiers: whether a text is one, and those that follow from what they name.
//!
//! PS3.5 section 9 and annex B.2: `2.25.` and a UUID as a decimal number; here one made of a hash (RFC 9562, version 8), so
//! that the same slide has the same identifiers wherever and whenever it is asked for them.

use blake3::Hasher;

/// Whether a text is an identifier: numbers without leading zeros between dots, 64 characters at most.
#[must_use]
pub fn is_valid(text: &str) -> bool {
    let number = |part: &str| {
        let plain = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        plain && (part == "0" || !part.starts_with('0'))
    };
    text.len() <= 64 && text.contains('.') && text.split('.').all(number)
}

/// The identifier of a thing that these words name, in their order.
pub(crate) fn derived(words: &[&str]) -> String {
    let mut hasher = Hasher::new_derive_key("microtome DICOM unique identifier");
    for word in words {
        hasher.update(&(word.len() as u64).to_le_bytes());
        hasher.update(word.as_bytes());
    }
    let mut uuid = [0; 16];
    hasher.finalize_xof().fill(&mut uuid);
    uuid[6] = uuid[6] & 0x0F | 0x80;
    uuid[8] = uuid[8] & 0x3F | 0x80;
    format!("2.25.{}", u128::from_be_bytes(uuid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_told_from_other_text() {
        for good in ["1.2.840.10008.5.1.4.1.1.77.1.6", "2.25.0", "0.1"] {
            assert!(is_valid(good), "{good}");
        }
        let long = format!("1.{}", "2".repeat(63));
        for bad in ["", "1", "1..2", ".1", "1.", "1.02", "1.a", "1.2 ", "1.-2", &long] {
            assert!(!is_valid(bad), "{bad}");
        }
    }

    #[test]
    fn derived_identifiers_are_stable_and_differ() {
        let uid = derived(&["abc", "level", "0"]);
        assert_eq!(uid, derived(&["abc", "level", "0"]));
        // It names what was given out already: a change here is another identifier for every slide there is.
        assert_eq!(uid, "2.25.297676761307461676194835355707176930016");
        assert!(is_valid(&uid));
        for other in [&["abc", "level", "1"][..], &["abcl", "evel", "0"], &["abc", "level"]] {
            assert_ne!(uid, derived(other), "{other:?}");
        }
    }
}
