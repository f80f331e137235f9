//! The question to another service whether a request may pass: what nginx calls `auth_request` and Traefik forward
//! authentication. 2xx lets it through; 401, 403 and redirects go to the client as they are; all else, and no answer, is
//! 503: when in doubt, closed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use moka::future::Cache;
use tokio::sync::Semaphore;

use crate::access::address::{canonical, place};
use crate::access::client::{Client, ClientError};
use crate::access::sha256;
use crate::body::Body;
use crate::error::Error;

/// How long a yes holds for the same credentials and the same place, and how many are remembered.
const REMEMBERED: Duration = Duration::from_secs(5);
const MAX_REMEMBERED: u64 = 16_384;

/// How long credentials are known that a yes was given to.
const KNOWN: Duration = Duration::from_secs(600);

/// Questions at once about others: half of what is asked at once in all. Who is let in does not wait behind a crowd at the
/// door.
const MAX_STRANGERS: usize = 32;

/// Longest wait for an answer, a turn to ask included.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest page that comes with a refusal, in bytes.
const MAX_BODY: usize = 64 << 10;

/// What says who is asking.
const CREDENTIALS: [HeaderName; 2] = [header::AUTHORIZATION, header::COOKIE];

/// What the service is told of a request, besides `X-Forwarded-*`.
const TOLD: [HeaderName; 3] =
    [header::AUTHORIZATION, header::ACCEPT, HeaderName::from_static("x-requested-with")];

/// What the client is told of a refusal. Not `Cache-Control`: no refusal is kept.
const PASSED_ON: [HeaderName; 4] =
    [header::CONTENT_TYPE, header::LOCATION, header::SET_COOKIE, header::WWW_AUTHENTICATE];

/// Why a request does not pass.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// The service's own answer.
    #[error("refused with {}", .0.status())]
    Said(Response<Bytes>),
    #[error("the service answered {0}")]
    Odd(StatusCode),
    #[error(transparent)]
    Silent(ClientError),
}

/// The service that is asked.
#[derive(Debug)]
pub(crate) struct ForwardAuth {
    url: String,
    client: Client,
    /// Who may do what, by a hash of both.
    passed: Cache<[u8; 32], ()>,
    /// Credentials that may do something, by a hash.
    known: Cache<[u8; 32], ()>,
    strangers: Semaphore,
}

impl ForwardAuth {
    pub(crate) fn new(url: &str) -> Result<Self, ClientError> {
        let remembered = |time| Cache::builder().max_capacity(MAX_REMEMBERED).time_to_live(time).build();
        Ok(Self {
            url: url.to_owned(),
            client: Client::new(url, PATIENCE)?,
            passed: remembered(REMEMBERED),
            known: remembered(KNOWN),
            strangers: Semaphore::new(MAX_STRANGERS),
        })
    }

    /// Lets a request pass, or gives the answer to it. `base` is this server's address as the client knows it. Requests
    /// for one place with the same credentials, that come while the service is asked, share its answer.
    pub(crate) async fn ask(&self, request: &Parts, base: &str) -> Result<(), Answer> {
        let path = canonical(request.uri.path()).ok_or(Answer::Fault(Error::Malformed("the path")))?;
        // A query is part of the place, since the service sees it; but not `v=` and the like of a tile.
        let question = place(&path, request.uri.path());
        let query = if question == path { request.uri.query().unwrap_or_default() } else { "" };
        let key = key(&request.headers, &[base, question, query]);
        let told = told(request, base, &path).map_err(Answer::Fault)?;
        let who = CREDENTIALS.iter().any(|name| request.headers.contains_key(name));
        let who = who.then(|| self::key(&request.headers, &[]));
        let mut asked = false;
        let yes = self.passed.try_get_with(key, async {
            asked = true;
            self.question(&told, who).await
        });
        let refused = match yes.await {
            Ok(()) => return Ok(()),
            Err(shared) if asked => shared,
            // A refusal may hold what is for one client alone, such as the cookie of a login that has begun.
            Err(_of_another) => match self.question(&told, who).await {
                Ok(()) => return Ok(()),
                Err(refused) => Arc::new(refused),
            },
        };
        Err(answer(&refused))
    }

    /// Asks about somebody, or nobody in particular, when it is their turn.
    async fn question(&self, headers: &HeaderMap, who: Option<[u8; 32]>) -> Result<(), Refused> {
        let asking = async {
            let _turn = match who.is_some_and(|who| self.known.contains_key(&who)) {
                true => None,
                // It is never closed.
                false => self.strangers.acquire().await.ok(),
            };
            self.put(headers).await
        };
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(Ok(())) => {}
            Ok(Err(refused)) => {
                // A yes to something public makes nobody known for long.
                if let Some(who) = who {
                    self.known.invalidate(&who).await;
                }
                return Err(refused);
            }
            Err(_elapsed) => return Err(Refused::Silent(ClientError::TooSlow(self.url.clone()))),
        }
        if let Some(who) = who {
            self.known.insert(who, ()).await;
        }
        Ok(())
    }

    async fn put(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let mut request = Request::get(self.url.as_str());
        if let Some(own) = request.headers_mut() {
            own.clone_from(headers);
        }
        let answer = self.client.send(request, MAX_BODY).await.map_err(Refused::Silent)?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Refused::Said(answer)),
            status if status.is_redirection() && answer.headers().contains_key(header::LOCATION) => {
                Err(Refused::Said(answer))
            }
            status => Err(Refused::Odd(status)),
        }
    }
}

/// What the service is told of a request for `path`, a canonical one.
fn told(request: &Parts, base: &str, path: &str) -> Result<HeaderMap, Error> {
    let (scheme, host, prefix) = split(base);
    let uri = match request.uri.query() {
        Some(query) => format!("{prefix}{path}?{query}"),
        None => format!("{prefix}{path}"),
    };
    let mut told = HeaderMap::new();
    for (name, value) in [
        ("x-forwarded-method", request.method.as_str()),
        ("x-forwarded-proto", scheme),
        ("x-forwarded-host", host),
        ("x-forwarded-uri", &uri),
    ] {
        let value = HeaderValue::from_str(value);
        let value = value.map_err(|_bytes| Error::Malformed("the address"))?;
        told.insert(HeaderName::from_static(name), value);
    }
    for name in &TOLD {
        for value in request.headers.get_all(name) {
            told.append(name, value.clone());
        }
    }
    // HTTP/2 may send each cookie by itself, HTTP/1.1 has one line (RFC 9113, 8.2.3).
    let cookies = request.headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
    let cookies = cookies.collect::<Vec<_>>().join(&b"; "[..]);
    if let Ok(cookies) = HeaderValue::from_bytes(&cookies)
        && !cookies.is_empty()
    {
        told.insert(header::COOKIE, cookies);
    }
    Ok(told)
}

/// What a request that does not pass is answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// In the service's words.
    Said(crate::body::Response),
    Fault(Error),
}

fn answer(refused: &Refused) -> Answer {
    let Refused::Said(said) = refused else {
        tracing::warn!(error = %crate::error::Chain(refused), "forward authentication: no request passes");
        return Answer::Fault(Error::AccessUndecided);
    };
    let mut response = Response::new(Body::of(said.body().clone()));
    *response.status_mut() = said.status();
    for name in &PASSED_ON {
        for value in said.headers().get_all(name) {
            response.headers_mut().append(name, value.clone());
        }
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Answer::Said(response)
}

/// A name for who asks for what. Every part has its length before it, so that none can reach into the next.
fn key(headers: &HeaderMap, what: &[&str]) -> [u8; 32] {
    let values: Vec<&[u8]> = CREDENTIALS
        .iter()
        .flat_map(|name| {
            // Which header a value is of matters too.
            std::iter::once(name.as_str().as_bytes())
                .chain(headers.get_all(name).iter().map(HeaderValue::as_bytes))
        })
        .chain(what.iter().map(|part| part.as_bytes()))
        .collect();
    let lengths: Vec<[u8; 8]> = values.iter().map(|value| (value.len() as u64).to_be_bytes()).collect();
    let parts: Vec<&[u8]> =
        lengths.iter().zip(&values).flat_map(|(length, &value)| [&length[..], value]).collect();
    sha256(&parts)
}

/// Scheme, host and path of an address.
fn split(base: &str) -> (&str, &str, &str) {
    let (scheme, rest) = base.split_once("://").unwrap_or(("http", base));
    let (host, prefix) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    (scheme, host, prefix)
}
