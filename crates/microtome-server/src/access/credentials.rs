//! What a request shows to be let in: `Authorization: Bearer`, the query, cookies. Not here: whether it is good.

use http::request::Parts;
use http::{HeaderMap, Uri, header};

use crate::access::ticket;

/// The query's parameter that holds the token, on pages alone.
const TOKEN: &str = "token";

/// What cookies' names begin with.
pub(crate) const COOKIE: &str = "microtome-";

/// Most things that are looked at in one request.
const MAX: usize = 32;

/// All that a request shows.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    pub(crate) bearer: Option<String>,
    /// Tickets in the query.
    pub(crate) tickets: Vec<String>,
    /// The token in the query, percent escapes decoded.
    pub(crate) token: Option<String>,
}

impl Credentials {
    /// Takes them from a request. What is in the query is gone from it afterwards: no handler can pass it on.
    pub(crate) fn take(request: &mut Parts) -> Self {
        let mut credentials = Self { bearer: bearer(&request.headers), ..Self::default() };
        let Some(query) = request
            .uri
            .query()
            .filter(|query| [ticket::PARAMETER, TOKEN].iter().any(|name| query.contains(name)))
        else {
            return credentials;
        };
        let mut kept = Vec::new();
        for pair in query.split('&') {
            match pair.split_once('=') {
                Some((ticket::PARAMETER, ticket)) => credentials.tickets.push(ticket.to_owned()),
                Some((TOKEN, token)) => credentials.token = decoded(token),
                _ => kept.push(pair),
            }
        }
        credentials.tickets.truncate(MAX);
        let path = request.uri.path();
        let without = match kept.is_empty() {
            true => path.to_owned(),
            false => format!("{path}?{}", kept.join("&")),
        };
        let mut parts = request.uri.clone().into_parts();
        // Part of an address that was one before.
        parts.path_and_query = without.try_into().ok();
        request.uri = Uri::from_parts(parts).unwrap_or_default();
        credentials
    }

    /// Whether the query has any.
    pub(crate) fn in_query(&self) -> bool {
        self.token.is_some() || !self.tickets.is_empty()
    }
}

/// The tickets in a request's cookies, with the cookies' names.
pub(crate) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| name.starts_with(COOKIE))
        .take(MAX)
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let (scheme, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| rest.trim().to_owned())
}

fn decoded(value: &str) -> Option<String> {
    let value = value.replace('+', " ");
    percent_encoding::percent_decode_str(&value).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    #[test]
    fn they_are_taken_out_of_the_query() {
        for (uri, left, tickets, token) in [
            ("/a?access=t", "/a", &["t"][..], None),
            ("/a?v=1&access=t&x=%26", "/a?v=1&x=%26", &["t"], None),
            ("/a?access=t&access=u", "/a", &["t", "u"], None),
            ("http://h:1/a%2Fb?token=a%2Bb+c", "http://h:1/a%2Fb", &[], Some("a+b c")),
            ("/a?accesses=1&xaccess=2&token", "/a?accesses=1&xaccess=2&token", &[], None),
            ("/a?access=", "/a", &[""], None),
            ("/a?", "/a?", &[], None),
        ] {
            let mut parts = parts(uri, &[]);
            let credentials = Credentials::take(&mut parts);
            assert_eq!(
                (parts.uri.to_string().as_str(), credentials.token.as_deref()),
                (left, token),
                "{uri}"
            );
            assert_eq!(credentials.tickets, tickets, "{uri}");
        }
    }

    #[test]
    fn bearers_and_cookies_are_read() {
        let bearer = |value| bearer(&parts("/", &[("authorization", value)]).headers);
        assert_eq!(bearer("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(bearer("bearer  abc").as_deref(), Some("abc"));
        assert_eq!((bearer("Basic abc"), bearer("Bearer")), (None, None));
        let headers =
            [("cookie", "a=b; microtome-1=x.y; microtome=z"), ("cookie", "microtome-2=w;microtome-3")];
        let headers = parts("/", &headers).headers;
        assert_eq!(cookies(&headers).collect::<Vec<_>>(), [("microtome-1", "x.y"), ("microtome-2", "w")]);
        let many: Vec<_> = (0..100).map(|_| ("cookie", "microtome-1=x")).collect();
        assert_eq!(cookies(&parts("/", &many).headers).count(), MAX);
    }
}
