//! What the client called this server: scheme, host and path before ours, for documents with absolute addresses in them.
//!
//! What the operator says wins; then what a proxy says (RFC 7239 `Forwarded`, else `X-Forwarded-Proto`, `-Host`,
//! `-Port` and `-Prefix`); then the request itself. Clients may write these headers as well as proxies: whoever is not behind a proxy
//! that replaces them, and has a shared cache in front, says `--base-url`.

use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, header};

const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// How this server is called.
#[derive(Debug, Clone)]
pub(crate) struct BaseUrl {
    /// What the operator says, without a slash at its end.
    fixed: Option<String>,
    /// The scheme that is spoken here.
    scheme: &'static str,
}

impl BaseUrl {
    pub(crate) fn new(fixed: Option<&str>, tls: bool) -> Self {
        let fixed = fixed.map(|url| url.trim_end_matches('/').to_owned());
        Self { fixed, scheme: if tls { "https" } else { "http" } }
    }

    /// The address of this server's `/` as the client of this request sees it, without the slash.
    pub(crate) fn of(&self, request: &Parts) -> String {
        if let Some(fixed) = &self.fixed {
            return fixed.clone();
        }
        let headers = &request.headers;
        let proto = forwarded(headers, "proto").or_else(|| first(headers, &PROTO));
        let scheme = proto.filter(|scheme| is_one_of(scheme, &["http", "https"]));
        let scheme = scheme.map(|scheme| scheme.to_ascii_lowercase());
        let scheme = scheme.as_deref().unwrap_or(self.scheme);
        let authority = authority(request);
        let prefix = first(headers, &PREFIX).filter(|prefix| is_path(prefix)).unwrap_or_default();
        let mut url = String::with_capacity(scheme.len() + 3 + authority.len() + prefix.len());
        url.extend([scheme, "://", &authority, prefix.trim_end_matches('/')]);
        url
    }

    /// The same for those who decide by it: what the operator says, else where the request was sent to. What clients may
    /// write as well as proxies does not count.
    pub(crate) fn beyond_doubt(&self, request: &Parts) -> String {
        match &self.fixed {
            Some(fixed) => fixed.clone(),
            None => {
                format!("{}://{}", self.scheme, own_host(request).unwrap_or_else(|| "localhost".to_owned()))
            }
        }
    }

    /// The path of this server's `/` as the client sees it, without the slash: for addresses in pages, which need no
    /// host.
    pub(crate) fn path_of(&self, request: &Parts) -> String {
        let url = self.of(request);
        let after_scheme = url.split_once("://").map_or("", |(_, rest)| rest);
        after_scheme.find('/').map_or_else(String::new, |at| after_scheme[at..].to_owned())
    }
}

/// Host and port as the client of a request sees them. A port said beside the host is for one without a port of its own;
/// `Forwarded` says all of it in one place.
fn authority(request: &Parts) -> String {
    let headers = &request.headers;
    if let Some(host) = forwarded(headers, "host").filter(|host| is_authority(host)) {
        return host;
    }
    let said = first(headers, &HOST).filter(|host| is_authority(host));
    let mut host = said.or_else(|| own_host(request)).unwrap_or_else(|| "localhost".to_owned());
    // Both schemes' own ports: an inner proxy may say that of the way to it, and not of the client's.
    let port = first(headers, &PORT).and_then(|port| port.parse::<u16>().ok());
    if let Some(port) = port.filter(|port| ![0, 80, 443].contains(port) && has_no_port(&host)) {
        host.push_str(&format!(":{port}"));
    }
    host
}

fn has_no_port(host: &str) -> bool {
    host.parse::<Authority>().is_ok_and(|host| host.port().is_none())
}

/// The host that the request was sent to: HTTP/2 has it in the address, HTTP/1.1 in a header.
fn own_host(request: &Parts) -> Option<String> {
    let authority = request.uri.authority().map(|authority| authority.as_str().to_owned());
    authority.or_else(|| first(&request.headers, &header::HOST)).filter(|host| is_authority(host))
}

/// The first value of a header that may be a list: what the outermost proxy wrote.
fn first(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    let first = value.split(',').next()?.trim();
    (!first.is_empty()).then(|| first.to_owned())
}

/// A parameter of the first element of `Forwarded`.
fn forwarded(headers: &HeaderMap, parameter: &str) -> Option<String> {
    let element = first(headers, &header::FORWARDED)?;
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case(parameter).then(|| value.trim().trim_matches('"').to_owned())
    })
}

fn is_one_of(text: &str, known: &[&str]) -> bool {
    known.iter().any(|known| text.eq_ignore_ascii_case(known))
}

/// Whether `text` is a host with or without a port. It stands in documents and headers that others read.
fn is_authority(text: &str) -> bool {
    text.len() <= 255 && !text.contains('@') && text.parse::<Authority>().is_ok()
}

fn is_path(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%".contains(&byte);
    text.len() <= 255 && text.starts_with('/') && !text.starts_with("//") && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn of(base: &BaseUrl, uri: &str, headers: &[(&str, &str)]) -> String {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        base.of(&request.body(()).expect("a request").into_parts().0)
    }

    #[test]
    fn the_strongest_word_wins() {
        let base = BaseUrl::new(None, false);
        let host = ("host", "tiles:3007");
        for (uri, headers, expected) in [
            ("/a", &[host][..], "http://tiles:3007"),
            ("http://h2.example/a", &[], "http://h2.example"),
            ("/a", &[], "http://localhost"),
            ("/a", &[host, ("x-forwarded-host", "w.example, inner")], "http://w.example"),
            (
                "/a",
                &[host, ("x-forwarded-proto", "https"), ("x-forwarded-prefix", "/wsi/")],
                "https://tiles:3007/wsi",
            ),
            (
                "/a",
                &[
                    host,
                    ("forwarded", "for=1;Proto=HTTPS;host=\"f.example:8\", host=x"),
                    ("x-forwarded-host", "no"),
                ],
                "https://f.example:8",
            ),
            ("/a", &[("host", "h"), ("x-forwarded-port", "8443")], "http://h:8443"),
            ("/a", &[("host", "[::1]"), ("x-forwarded-port", "8443, 80")], "http://[::1]:8443"),
            ("/a", &[("host", "h"), ("x-forwarded-port", "80")], "http://h"),
            (
                "/a",
                &[("host", "h"), ("x-forwarded-proto", "https"), ("x-forwarded-port", "443")],
                "https://h",
            ),
            ("/a", &[("host", "h"), ("x-forwarded-proto", "https"), ("x-forwarded-port", "80")], "https://h"),
            ("/a", &[host, ("x-forwarded-port", "8443")], "http://tiles:3007"),
            (
                "/a",
                &[host, ("x-forwarded-host", "w.example"), ("x-forwarded-port", "8443")],
                "http://w.example:8443",
            ),
            (
                "/a",
                &[host, ("forwarded", "host=f.example"), ("x-forwarded-port", "8443")],
                "http://f.example",
            ),
        ] {
            assert_eq!(of(&base, uri, headers), expected, "{uri} {headers:?}");
        }
        let fixed = BaseUrl::new(Some("https://example.org/wsi/"), false);
        assert_eq!(of(&fixed, "/a", &[host, ("x-forwarded-host", "no")]), "https://example.org/wsi");
        assert_eq!(of(&BaseUrl::new(None, true), "/a", &[host]), "https://tiles:3007");
    }

    #[test]
    fn nonsense_is_passed_over() {
        let base = BaseUrl::new(None, false);
        for port in ["0", "65536", "-1", "8443/x", ""] {
            assert_eq!(of(&base, "/a", &[("host", "h"), ("x-forwarded-port", port)]), "http://h", "{port}");
        }
        let host = ("host", "tiles:3007");
        for stranger in [
            ("x-forwarded-host", "a\"><script>"),
            ("x-forwarded-host", "user@evil"),
            ("x-forwarded-host", "evil/path"),
            ("x-forwarded-proto", "javascript"),
            ("x-forwarded-prefix", "//evil"),
            ("x-forwarded-prefix", "/a\"b"),
            ("forwarded", "host=\"a b\";proto=ftp"),
        ] {
            assert_eq!(of(&base, "/a", &[host, stranger]), "http://tiles:3007", "{stranger:?}");
        }
    }
}
