//! What a client takes: the Accept header, with the parameters that DICOMweb gives media types, and the format of pictures that
//! follows from it.
//!
//! RFC 9110 section 12.5.1, PS3.18 section 8.7. Not here: what else there is to choose from.

use http::{HeaderMap, header};
use microtome_render::{EXTENSIONS, Format};

/// The one transfer syntax that there is: JPEG baseline.
pub(crate) const JPEG_BASELINE: &str = "1.2.840.10008.1.2.4.50";

/// A media range.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Range {
    /// In lower case.
    pub(crate) media_type: String,
    /// The parameter `type` of `multipart/related`, in lower case.
    pub(crate) part_type: Option<String>,
    pub(crate) transfer_syntax: Option<String>,
    quality: f32,
}

impl Range {
    /// Whether it takes JPEG baseline, or says nothing about how things are coded.
    pub(crate) fn takes_jpeg(&self) -> bool {
        self.transfer_syntax.as_deref().is_none_or(|syntax| syntax == JPEG_BASELINE || syntax == "*")
    }

    /// Whether it is this media type or a pattern that matches it.
    pub(crate) fn matches(&self, media_type: &str) -> bool {
        self.media_type == "*/*"
            || self.media_type == media_type
            || self.media_type.strip_suffix('*').is_some_and(|start| media_type.starts_with(start))
    }

    /// As [`Self::matches`], for the parts of a multipart answer.
    pub(crate) fn matches_parts(&self, media_type: &str) -> bool {
        self.media_type == "multipart/related"
            && self.part_type.as_deref().is_none_or(|part| part == media_type || part == "*/*")
    }
}

/// What a request takes, best first; anything if it does not say.
pub(crate) fn ranges(headers: &HeaderMap) -> Vec<Range> {
    let mut ranges = said(headers);
    ranges.retain(|range| range.quality > 0.0);
    ranges
}

/// What a request says that it takes or does not take, best first.
fn said(headers: &HeaderMap) -> Vec<Range> {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let mut ranges: Vec<Range> =
        lines.flat_map(|line| split(line, ',')).filter_map(|text| range(&text)).collect();
    if ranges.is_empty() {
        let anything =
            Range { media_type: "*/*".to_owned(), part_type: None, transfer_syntax: None, quality: 1.0 };
        return vec![anything];
    }
    ranges.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    ranges
}

/// How well a request likes a media type, by the most specific range that it is in.
fn liking(ranges: &[Range], media_type: &str) -> f32 {
    let specific = |range: &&Range| match &*range.media_type {
        "*/*" => 0,
        pattern if pattern.ends_with('*') => 1,
        _ => 2,
    };
    let matching = ranges.iter().rev().filter(|range| range.matches(media_type));
    matching.max_by_key(specific).map_or(0.0, |range| range.quality)
}

/// Formats that are made at once, of [`EXTENSIONS`]. Browsers name the others first, which take seconds.
const QUICK: usize = 3;

/// The picture format that a request likes best; a slow one if it takes no other. `None` if there is none that it takes.
pub(crate) fn format(headers: &HeaderMap, quality: u8) -> Option<Format> {
    let slow = || best(&said(headers), &EXTENSIONS[QUICK..], quality);
    quick_format(headers, quality).or_else(slow)
}

/// As [`format`], of JPEG, PNG and WebP.
pub(crate) fn quick_format(headers: &HeaderMap, quality: u8) -> Option<Format> {
    best(&said(headers), &EXTENSIONS[..QUICK], quality)
}

/// Of formats that are liked as much the one that is named first, or the first one there is if none is.
fn best(ranges: &[Range], extensions: &[&str], quality: u8) -> Option<Format> {
    let formats = extensions.iter().filter_map(|name| Format::with_extension(name, quality));
    let named = |format: &Format| ranges.iter().position(|range| range.media_type == format.media_type());
    let mut liked: Vec<_> = formats
        .map(|format| (liking(ranges, format.media_type()), named(&format).unwrap_or(usize::MAX), format))
        .filter(|&(liking, ..)| liking > 0.0)
        .collect();
    liked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    liked.first().map(|&(.., format)| format)
}

fn range(text: &str) -> Option<Range> {
    let mut parts = split(text, ';').into_iter();
    let media_type = parts.next()?.trim().to_ascii_lowercase();
    let mut range = Range { media_type, part_type: None, transfer_syntax: None, quality: 1.0 };
    for part in parts {
        let Some((name, value)) = part.split_once('=') else { continue };
        let value = value.trim().trim_matches('"');
        match &*name.trim().to_ascii_lowercase() {
            "type" => range.part_type = Some(value.to_ascii_lowercase()),
            "transfer-syntax" => range.transfer_syntax = Some(value.to_owned()),
            "q" => range.quality = value.parse().unwrap_or(1.0),
            _ => {}
        }
    }
    (!range.media_type.is_empty()).then_some(range)
}

/// Splits outside quotes.
fn split(text: &str, at: char) -> Vec<String> {
    let (mut parts, mut quoted) = (vec![String::new()], false);
    for c in text.chars() {
        quoted ^= c == '"';
        match parts.last_mut() {
            Some(last) if c != at || quoted => last.push(c),
            _ => parts.push(String::new()),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn parsed(accept: &str) -> Vec<Range> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(accept).expect("a header value"));
        ranges(&headers)
    }

    #[test]
    fn the_format_is_the_one_that_is_liked_best() {
        let format = |accept: &'static str| {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            super::format(&headers, 80).map(Format::extension)
        };
        for (accept, expected) in [
            ("image/avif,image/webp,image/apng,image/*,*/*;q=0.8", "webp"),
            ("text/html,image/avif,image/webp,*/*;q=0.8", "webp"),
            ("text/html, image/webp ; q=0.5", "webp"),
            ("image/webp;q=0.5, */*;q=0.8", "jpg"),
            ("image/png", "png"),
            ("image/png, */*;q=0.1", "png"),
            ("image/jpeg;q=0.1, image/png;q=0.2", "png"),
            ("image/jpeg, image/webp", "jpg"),
            ("image/png, image/jpeg", "png"),
            ("image/jpeg;q=0, */*", "png"),
            ("*/*;q=0.9, image/jpeg;q=0.2", "png"),
            ("image/*;q=0.3, */*, image/jpeg;q=0.4", "jpg"),
            ("*/*", "jpg"),
            ("image/*", "jpg"),
            ("", "jpg"),
        ] {
            assert_eq!(format(accept), Some(expected), "{accept}");
        }
        for accept in ["image/webp;q=0", "image/webp; q=0.0", "text/html", "image/tiff"] {
            assert_eq!(format(accept), None, "{accept}");
        }
        assert_eq!(super::format(&HeaderMap::new(), 80), Some(Format::Jpeg { quality: 80 }));
        let slow =
            HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("image/avif, image/jxl"))]);
        assert_eq!(quick_format(&slow, 80), None, "whatever is built in");
    }

    #[test]
    fn parameters_and_preferences_are_read() {
        let of = parsed(
            "image/png;q=0.5, multipart/related; type=\"image/JPEG\"; transfer-syntax=1.2.840.10008.1.2.4.50, text/x;q=0",
        );
        assert_eq!(of.len(), 2);
        assert!(of[0].matches_parts("image/jpeg") && of[0].takes_jpeg() && !of[0].matches("image/jpeg"));
        assert!(of[1].matches("image/png") && !of[1].matches("image/jpeg"));
        let other =
            &parsed("multipart/related; type=\"image/jp2\"; transfer-syntax=1.2.840.10008.1.2.4.90")[0];
        assert!(!other.matches_parts("image/jpeg") && !other.takes_jpeg());
        let any = &parsed("multipart/related; type=\"application/octet-stream\"; transfer-syntax=*")[0];
        assert!(any.takes_jpeg());
        assert!(parsed("image/*")[0].matches("image/jpeg"));
        assert!(ranges(&HeaderMap::new())[0].matches("application/dicom+json"));
        assert_eq!(parsed("a/b; x=\"1,2;3\"").len(), 1);
    }
}
