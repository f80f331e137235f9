//! Bodies, validators and caching headers of successful answers. Errors have their own place, `error`.

use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::body::{Body, Response};

/// How long an answer may be kept by whoever got it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// The address names the content: it never changes.
    Immutable,
    /// The address names the slide, whose file may be replaced: ask again every time, which mostly gives a cheap 304.
    Revalidate,
}

impl Freshness {
    fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Immutable => "public, max-age=31536000, immutable",
            Self::Revalidate => "public, no-cache",
        })
    }

    /// The freshness of content whose version is `version` under an address with this query.
    pub(crate) fn of_version(query: Option<&str>, version: &str) -> Self {
        if query.is_some_and(|query| names_version(query, version)) {
            Self::Immutable
        } else {
            Self::Revalidate
        }
    }
}

/// Hexadecimal digits of a version that suffice in an address.
const VERSION_DIGITS: usize = 16;

/// The part of `version` that addresses carry.
pub(crate) fn short_version(version: &str) -> &str {
    version.get(..VERSION_DIGITS).unwrap_or(version)
}

/// Sixteen hexadecimal digits that change with the content.
pub(crate) fn version_of(content: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(content);
    format!("{:016x}", hasher.finish())
}

fn names_version(query: &str, version: &str) -> bool {
    let named = query.split('&').find_map(|pair| pair.strip_prefix("v="));
    named.is_some_and(|named| named.len() >= VERSION_DIGITS.min(version.len()) && version.starts_with(named))
}

/// A complete answer with a strong validator, or 304 if the client has it already.
pub(crate) struct Representation<'a> {
    pub(crate) etag: &'a str,
    pub(crate) content_type: &'static str,
    pub(crate) freshness: Freshness,
}

impl Representation<'_> {
    /// The 304 answer, if the request's `If-None-Match` names this representation.
    pub(crate) fn not_modified(&self, request: &HeaderMap) -> Option<Response> {
        if_none_match(request, self.etag).then(|| {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            self.add_validators(response.headers_mut());
            response
        })
    }

    /// The answer with its body.
    pub(crate) fn full(&self, body: Bytes) -> Response {
        let mut response = content(self.content_type, body);
        self.add_validators(response.headers_mut());
        response
    }

    fn add_validators(&self, headers: &mut HeaderMap) {
        headers.insert(header::CACHE_CONTROL, self.freshness.header());
        if let Ok(etag) = HeaderValue::try_from(self.etag) {
            headers.insert(header::ETAG, etag);
        }
    }
}

/// An answer of the moment: to be asked for again every time.
pub(crate) fn momentary(content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = content(content_type, body.into());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Room for the headers that an answer has when it leaves.
pub(crate) const HEADERS: usize = 12;

fn content(content_type: &'static str, body: Bytes) -> Response {
    let mut response = Response::new(Body::of(body));
    response.headers_mut().reserve(HEADERS);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Whether `If-None-Match` holds for `etag` by weak comparison (RFC 9110, 13.1.2). Our tags have no comma inside, so a
/// foreign tag that has one can be cut there without being taken for ours.
fn if_none_match(request: &HeaderMap, etag: &str) -> bool {
    let lines = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// A `Server-Timing` header of stages, in milliseconds.
pub(crate) fn server_timing(stages: &[(&str, Duration)]) -> Option<HeaderValue> {
    let stages: Vec<_> =
        stages.iter().map(|(name, time)| format!("{name};dur={:.3}", time.as_secs_f64() * 1e3)).collect();
    HeaderValue::try_from(stages.join(", ")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(lines: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::IF_NONE_MATCH, HeaderValue::from_str(line).expect("a header value"));
        }
        if_none_match(&headers, "\"abc-0-1-2\"")
    }

    #[test]
    fn if_none_match_takes_lists_stars_and_weak_tags() {
        for lines in [
            &["\"abc-0-1-2\""][..],
            &["W/\"abc-0-1-2\""],
            &["*"],
            &["\"x\", \"abc-0-1-2\""],
            &["\"x\",W/\"abc-0-1-2\",\"y\""],
            &["\"a,b\", \"abc-0-1-2\""],
            &["\"x\"", "\"abc-0-1-2\""],
        ] {
            assert!(matches(lines), "{lines:?}");
        }
        for lines in [&[][..], &[""], &["abc-0-1-2"], &["\"abc-0-1-3\""], &["\"abc\""], &["w/\"abc-0-1-2\""]]
        {
            assert!(!matches(lines), "{lines:?}");
        }
    }

    #[test]
    fn only_the_right_version_is_immutable() {
        let version = "0123456789abcdef0123456789abcdef";
        let of = |query| Freshness::of_version(query, version);
        for query in ["v=0123456789abcdef", "v=0123456789abcdef0123", "x=1&v=0123456789abcdef"] {
            assert_eq!(of(Some(query)), Freshness::Immutable, "{query}");
        }
        for query in
            ["", "v=", "v=0123456789abcde", "v=0123456789abcdee", "vv=0123456789abcdef", "0123456789abcdef"]
        {
            assert_eq!(of(Some(query)), Freshness::Revalidate, "{query}");
        }
        assert_eq!(of(None), Freshness::Revalidate);
    }

    #[test]
    fn not_modified_keeps_the_validators() {
        let representation =
            Representation { etag: "\"e\"", content_type: "image/jpeg", freshness: Freshness::Revalidate };
        let mut request = HeaderMap::new();
        assert!(representation.not_modified(&request).is_none());
        request.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"e\""));
        let response = representation.not_modified(&request).expect("304");
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(response.headers()[header::ETAG], "\"e\"");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "public, no-cache");
    }

    #[test]
    fn server_timing_is_in_milliseconds() {
        let timing =
            server_timing(&[("fetch", Duration::from_micros(1500)), ("total", Duration::from_secs(1))]);
        assert_eq!(timing.expect("a header value"), "fetch;dur=1.500, total;dur=1000.000");
    }
}
