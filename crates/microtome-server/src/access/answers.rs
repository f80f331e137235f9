//! Answers to who is not let in, and to who has just been: 401, as a page for browsers, and the cookie of a session.

use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::access::credentials::{COOKIE, cookies};
use crate::access::scope::Scope;
use crate::access::sha256;
use crate::access::ticket::hex;
use crate::body::{Body, Response};
use crate::pages::{capitalised, escape_html, is_for_a_window};

/// With this many cookies of ours the old ones go, before a browser sends more than fits in the head of a request.
const MAX_COOKIES: usize = 16;

/// Nothing is loaded by these pages.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It shows nothing.
    Credentials,
    /// What it shows was good once.
    Expired,
    /// What it shows opens nothing here.
    Invalid,
}

impl Missing {
    fn sentence(self) -> &'static str {
        match self {
            Self::Credentials => {
                "this server shows slides to those who may see them: a link with access in it, or a token, is missing"
            }
            Self::Expired => "the link or session has expired: ask for a new one where it came from",
            Self::Invalid => {
                "the link or token is not good here: it may be cut off, for another server, withdrawn, or a token in an address that is no \
                 page's: there it goes as Authorization: Bearer"
            }
        }
    }
}

/// 401, as a page if a browser wants one.
pub(crate) fn unauthorized(request: &Parts, missing: Missing) -> Response {
    let sentence = missing.sentence();
    let mut response = match is_for_a_window(&request.method, &request.headers) {
        true => page("Access", "", &format!("<p>{}.</p>", capitalised(sentence))),
        false => plain(sentence),
    };
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    let challenge = match missing {
        Missing::Credentials => r#"Bearer realm="microtome""#,
        _ => r#"Bearer realm="microtome", error="invalid_token""#,
    };
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

/// Whether an address is that of a page.
pub(crate) fn is_page(path: &str) -> bool {
    path == "/" || path.starts_with("/viewer/")
}

/// A session: a ticket that a browser is to keep.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) ticket: &'a str,
    pub(crate) scope: &'a Scope,
    /// Seconds until it ends.
    pub(crate) seconds: u64,
}

/// Gives a browser the cookies of sessions and sends it on to the page without credentials in its address.
///
/// By a page, not a redirect: a browser that comes from another site does not send the new cookie, which is SameSite=Strict, along
/// a redirect; what a page of ours goes to is our own.
pub(crate) fn welcome(request: &Parts, base: &str, base_path: &str, sessions: &[Session<'_>]) -> Response {
    let address = request.uri.path_and_query().map_or("/", |address| address.as_str());
    let address = escape_html(&format!("{base_path}{address}"));
    let refresh = format!("<meta http-equiv=\"refresh\" content=\"0;url={address}\">");
    let mut response = page("Opening", &refresh, &format!("<p><a href=\"{address}\">Open the page</a></p>"));
    let attributes = format!(
        "; Path={base_path}/; HttpOnly; SameSite=Strict{}",
        if base.starts_with("https://") { "; Secure" } else { "" }
    );
    let headers = response.headers_mut();
    if cookies(&request.headers).count() + sessions.len() > MAX_COOKIES {
        for (name, _) in cookies(&request.headers) {
            set_cookie(headers, &format!("{name}=; Max-Age=0{attributes}"));
        }
    }
    for Session { ticket, scope, seconds } in sessions {
        set_cookie(headers, &format!("{}={ticket}; Max-Age={seconds}{attributes}", cookie_name(scope)));
    }
    response
}

/// One cookie per scope: links to two slides open both.
fn cookie_name(scope: &Scope) -> String {
    format!("{COOKIE}{}", hex(&sha256(&[scope.as_str().as_bytes()])[..4]))
}

fn set_cookie(headers: &mut HeaderMap, cookie: &str) {
    // Tickets and names of cookies are plain; names that came with the request were header values.
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        headers.append(header::SET_COOKIE, cookie);
    }
}

fn plain(sentence: &str) -> Response {
    answer("text/plain; charset=utf-8", format!("{sentence}\n"))
}

fn page(title: &str, head: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         {head}<title>{title}</title><style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:20vh auto;padding:0 1rem;\
         color-scheme:light dark}}</style><main><h1>{title}</h1>{body}</main></html>\n"
    );
    let mut response = answer("text/html; charset=utf-8", html);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn answer(content_type: &'static str, body: String) -> Response {
    let mut response = Response::new(Body::of(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
