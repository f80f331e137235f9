//! A slide's identifier, and the only way from the path of a URL to one.
//!
//! An identifier is a relative path of plain components, so it can be joined to the slides root without leaving it;
//! links below the root are the catalogue's concern.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::error::Error;

/// File name extension of containers.
pub(crate) const EXTENSION: &str = "mtm";

/// Longest identifier in bytes: below what file systems allow for a path, and too short to be a burden in a log.
const MAX_BYTES: usize = 1024;

/// What a URL path may hold unescaped (RFC 3986 "unreserved", and the `@` that pseudonyms begin with) and the separator.
pub(crate) const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@').remove(b'/');

/// The path of a slide below the slides root, `/` between components, without `.mtm`.
///
/// Never empty; no component is empty or starts with a dot; no control character, no backslash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SlideId(Arc<str>);

impl SlideId {
    /// The slide that the still encoded part `raw` of a URL's path names: each segment is decoded exactly once.
    pub(crate) fn from_raw_path(raw: &str) -> Result<Self, Error> {
        let mut path = String::new();
        for segment in raw.split('/') {
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(&decode_segment(segment)?);
        }
        Self::from_path(&path)
    }

    /// The identifier `path`, if it is one.
    pub(crate) fn from_path(path: &str) -> Result<Self, Error> {
        if path.len() > MAX_BYTES {
            return Err(Error::Malformed("the slide's name is too long"));
        }
        if path.chars().any(|c| c == '\\' || c.is_control()) {
            return Err(Error::Malformed("the slide's name has a control character or a backslash"));
        }
        if path.split('/').any(|component| component.is_empty() || component.starts_with('.')) {
            return Err(Error::Malformed("the slide's name has an empty or hidden component"));
        }
        Ok(Self(path.into()))
    }

    /// The identifier as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The identifier as it appears in URLs.
    pub(crate) fn url_path(&self) -> String {
        utf8_percent_encode(&self.0, ESCAPED).to_string()
    }

    /// Where the container is if `root` is the slides root.
    pub(crate) fn file_below(&self, root: &Path) -> PathBuf {
        root.join(format!("{}.{EXTENSION}", self.0))
    }
}

impl std::fmt::Display for SlideId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn decode_segment(segment: &str) -> Result<std::borrow::Cow<'_, str>, Error> {
    if segment.is_empty() {
        return Err(Error::Malformed("the path has an empty segment"));
    }
    let complete = segment.split('%').skip(1).all(|escape| {
        escape.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    if !complete {
        return Err(Error::Malformed("the path has an incomplete percent escape"));
    }
    match percent_decode_str(segment).decode_utf8() {
        Ok(decoded) => Ok(decoded),
        Err(_not_utf8) => Err(Error::Malformed("the path is not UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(raw: &str) -> Option<String> {
        SlideId::from_raw_path(raw).ok().map(|id| id.as_str().to_owned())
    }

    #[test]
    fn encoded_and_plain_separators_are_the_same() {
        for raw in ["a/b", "a%2Fb", "a%2fb", "%61/%62"] {
            assert_eq!(parsed(raw).as_deref(), Some("a/b"), "{raw}");
        }
    }

    #[test]
    fn names_are_decoded_exactly_once() {
        assert_eq!(parsed("%252e%252e%252fx").as_deref(), Some("%2e%2e%2fx"));
        assert_eq!(parsed("a%2525").as_deref(), Some("a%25"));
        assert_eq!(parsed("Schnitt%20%C3%A4%201").as_deref(), Some("Schnitt ä 1"));
        assert_eq!(parsed("a+b").as_deref(), Some("a+b"));
    }

    #[test]
    fn nothing_leads_out_of_the_root() {
        let hostile = [
            "",
            "/",
            ".",
            "..",
            "../a",
            "a/..",
            "a/../b",
            "a/./b",
            "%2e%2e/a",
            "%2E%2E%2Fa",
            ".%2e/a",
            "a%2F..%2Fb",
            "a%2f%2e%2e%2fb",
            "/etc/passwd",
            "%2Fetc%2Fpasswd",
            "//a",
            "a//b",
            "a/",
            "a%2F",
            "%5c..%5ca",
            "a%5Cb",
            "..%5ca",
            "a%00",
            "%00",
            "a%0ab",
            "a%0d%0aX: y",
            "a%7f",
            ".hidden",
            "a/.git",
            "%2ehidden",
            // Overlong and broken UTF-8: "/" as C0 AF, "." as C0 AE, a lone surrogate, a lone continuation byte.
            "..%c0%afa",
            "%c0%ae%c0%ae/a",
            "%e0%80%af",
            "%ed%a0%80",
            "%80",
            "%ff", // Broken escapes.
            "%",
            "a%2",
            "a%zz",
            "%u002e",
        ];
        for raw in hostile {
            assert!(matches!(SlideId::from_raw_path(raw), Err(Error::Malformed(_))), "{raw:?} was accepted");
        }
    }

    #[test]
    fn length_is_bounded() {
        assert!(SlideId::from_raw_path(&"a".repeat(MAX_BYTES)).is_ok());
        assert!(SlideId::from_raw_path(&"a".repeat(MAX_BYTES + 1)).is_err());
    }

    #[test]
    fn url_path_leads_back() {
        for name in ["a/b", "100 % \"<b>\" & 'ä'?#", "x%2Fy", "a;b=c,d+e"] {
            let id = SlideId::from_path(name).expect("a valid id");
            let again = SlideId::from_raw_path(&id.url_path()).expect("its own URL");
            assert_eq!(id, again);
            assert!(id.url_path().bytes().all(|b| b.is_ascii_graphic() && !b"<>\"'?#&".contains(&b)));
        }
    }
}
