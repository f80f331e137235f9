//! Who may see what. Every request is looked at here before its handler, all addresses but a few that are listed: an
//! address that is new is closed. What a request may see is a [`Grant`], which travels with it; `App::slide` and the list of
//! slides ask for it.
//!
//! Let in is who shows the token, a ticket (a signed address, or the cookie that it became), or a JWT; failing these,
//! whom another service lets in. Without any of them in the settings, everyone.
//!
//! Not here: users, passwords, and what people may do: there is nothing to do here but look.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Uri, header};
use ring::{digest, hmac};

mod address;
mod answers;
mod client;
mod credentials;
mod forward;
#[cfg(test)]
mod forward_tests;
mod jwks;
mod jwt;
mod jwt_crypto;
#[cfg(test)]
mod jwt_tests;
mod scope;
mod secret;
#[cfg(test)]
mod tests;
mod ticket;

pub(crate) use address::canonical;
use answers::{Missing, Session};
use credentials::Credentials;
use forward::{Answer, ForwardAuth};
use jwt::Tokens;
use ticket::LiveKeys;

use crate::base_url::BaseUrl;
use crate::body::Response;
use crate::error::{Error, Failure};
use crate::pages::is_for_a_window;
use crate::slide_id::SlideId;

pub use client::ClientError;
pub use jwks::KeySetError;
pub use jwt::JwtConfig;
pub(crate) use scope::Grant;
pub use scope::{Scope, ScopeError};
pub use secret::{Secret, SecretError};
pub use ticket::{SigningKey, signed_url};

/// How long a browser is known that has shown the token, in seconds.
const SESSION: u64 = 12 * 3600;

/// Which ways in there are. By default none, and everyone is let in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessConfig {
    /// Who shows it sees all slides.
    pub auth_token: Option<Secret>,
    /// Keys of signed addresses; any of them is good.
    pub signing_keys: Vec<Secret>,
    /// The identity provider whose tokens are good.
    pub jwt: Option<JwtConfig>,
    /// URL of a service that is asked about requests that show nothing else.
    pub forward_auth: Option<String>,
}

impl AccessConfig {
    /// Whether anyone is kept out.
    #[must_use]
    pub fn is_on(&self) -> bool {
        *self != Self::default()
    }
}

/// Why the ways in can't be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// `--jwt-jwks` can't be used.
    #[error("--jwt-jwks")]
    Keys(#[from] KeySetError),
    /// `--forward-auth` can't be used.
    #[error("--forward-auth")]
    ForwardAuth(#[from] ClientError),
}

/// The door. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Access(Option<Arc<Gate>>);

#[derive(Debug)]
struct Gate {
    token: Option<Token>,
    keys: LiveKeys,
    jwt: Option<Tokens>,
    forward: Option<ForwardAuth>,
}

/// The token, as something that can be compared in the same time wherever it differs. Its length is no secret.
#[derive(Debug)]
struct Token {
    length: usize,
    key: hmac::Key,
    code: hmac::Tag,
    /// Makes tickets for browsers.
    sessions: SigningKey,
}

/// Addresses that say nothing about slides.
fn is_open(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz") || path.starts_with("/assets/")
}

impl Access {
    pub(crate) fn new(config: &AccessConfig) -> Result<Self, AccessError> {
        if !config.is_on() {
            return Ok(Self(None));
        }
        let token = config.auth_token.as_ref().map(Token::new);
        let signing = config.signing_keys.iter().map(SigningKey::new);
        let keys = LiveKeys(signing.chain(token.as_ref().map(|token| token.sessions.clone())).collect());
        let jwt = config.jwt.as_ref().map(Tokens::new).transpose()?;
        let forward = config.forward_auth.as_deref().map(ForwardAuth::new).transpose()?;
        for url in config.jwt.iter().map(|jwt| &jwt.jwks).chain(&config.forward_auth) {
            if client::is_in_the_clear(url) {
                tracing::warn!(url, "asked without TLS: whoever is on the way can let anyone in");
            }
        }
        Ok(Self(Some(Arc::new(Gate { token, keys, jwt, forward }))))
    }

    /// Whether anyone is kept out.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Lets a request in, with what it may see, or gives the answer to it.
    pub(crate) async fn admit(&self, request: &mut Parts, base: &BaseUrl) -> Result<(), Response> {
        if let Some(gate) = self.0.as_deref().filter(|_| !is_open(request.uri.path())) {
            let grant = gate.grant(request, base).await?;
            request.extensions.insert(grant);
        }
        Ok(())
    }

    /// Asks about the address that is meant by a request's, if another service has let it in by that. All else goes by slides,
    /// not by addresses.
    pub(crate) async fn confirm(
        &self,
        request: &Parts,
        meant: impl FnOnce() -> Option<Uri>,
        base: &BaseUrl,
    ) -> Result<(), Failure> {
        let forward = self.0.as_ref().and_then(|gate| gate.forward.as_ref());
        let Some(forward) = forward.filter(|_| request.extensions.get::<LetInElsewhere>().is_some()) else {
            return Ok(());
        };
        let mut request = request.clone();
        request.uri = meant().ok_or(Error::NoSuchSlide)?;
        match forward.ask(&request, &base.beyond_doubt(&request)).await {
            Ok(()) => Ok(()),
            Err(Answer::Said(_)) => Err(Error::NoSuchSlide.into()),
            Err(Answer::Fault(error)) => Err(error.into()),
        }
    }

    /// Whether a request may see a slide, be there one or not.
    pub(crate) fn sees(&self, request: &Parts, id: &SlideId) -> bool {
        self.grant(request).is_none_or(|grant| grant.covers(id))
    }

    /// What a request may see; `None` where nobody is kept out. Nothing for one that was not let in.
    pub(crate) fn grant(&self, request: &Parts) -> Option<Grant> {
        self.0.as_ref()?;
        Some(request.extensions.get::<Grant>().cloned().unwrap_or_default())
    }

    /// Sees to it that no cache but the client's own keeps the answer to a request for `path`.
    pub(crate) fn keep_private(&self, path: &str, headers: &mut HeaderMap) {
        if self.is_on() && !is_open(path) {
            make_private(headers);
        }
    }

    /// Looks for new keys of the identity provider, if there is one, for ever.
    pub(crate) async fn keep_fresh(self) {
        if let Some(jwt) = self.0.as_ref().and_then(|gate| gate.jwt.as_ref()) {
            jwt.keep_fresh().await;
        }
    }
}

impl Gate {
    async fn grant(&self, request: &mut Parts, base: &BaseUrl) -> Result<Grant, Response> {
        let credentials = Credentials::take(request);
        let now = now();
        let refused = match self.judge(request, &credentials, now) {
            Ok(_)
                if credentials.in_query()
                    && answers::is_page(request.uri.path())
                    && is_for_a_window(&request.method, &request.headers) =>
            {
                return Err(self.welcome(request, &credentials, now, base));
            }
            Ok(grant) => return Ok(grant),
            Err(refused) => refused,
        };
        if let Some(forward) = &self.forward {
            // In a box: else every request would carry the room for it.
            return match Box::pin(forward.ask(request, &base.beyond_doubt(request))).await {
                Ok(()) => {
                    request.extensions.insert(LetInElsewhere);
                    Ok(Grant::everything())
                }
                Err(Answer::Said(response)) => Err(response),
                Err(Answer::Fault(error)) => Err(Failure::from(error).into_response()),
            };
        }
        Err(match refused {
            Refused::Missing(missing) => answers::unauthorized(request, missing),
            Refused::Undecided => Failure::from(Error::AccessUndecided).into_response(),
        })
    }

    /// All that the credentials of a request open together.
    fn judge(&self, request: &Parts, credentials: &Credentials, now: u64) -> Result<Grant, Refused> {
        let mut refused = Missing::Credentials;
        if self.is_token(request, credentials) {
            return Ok(Grant::everything());
        }
        let mut grant = Grant::default();
        let bearer = credentials.bearer.as_deref();
        let tickets = credentials.tickets.iter().map(String::as_str).chain(bearer);
        for ticket in tickets.chain(credentials::cookies(&request.headers).map(|(_, ticket)| ticket)) {
            match self.keys.open(ticket, now) {
                Ok(ticket) => grant.add(ticket.scope),
                Err(ticket::Refused::Expired) => refused = Missing::Expired,
                Err(ticket::Refused::Forged) if refused == Missing::Credentials => refused = Missing::Invalid,
                Err(ticket::Refused::Forged) => {}
            }
        }
        if let (Some(jwt), Some(bearer)) = (&self.jwt, bearer) {
            match jwt.open(bearer, now) {
                Ok(opened) => grant.extend(&opened),
                Err(jwt::Refused::NoKeys) if grant.is_empty() => return Err(Refused::Undecided),
                Err(reason) => {
                    tracing::debug!(%reason, "a bearer is no good JWT");
                    refused = if reason.is_expiry() { Missing::Expired } else { Missing::Invalid };
                }
            }
        }
        if credentials.token.is_some() {
            refused = Missing::Invalid;
        }
        match grant.is_empty() {
            true => Err(Refused::Missing(refused)),
            false => Ok(grant),
        }
    }

    /// Whether a request shows the token: in its header or, to log in, in a page's address.
    fn is_token(&self, request: &Parts, credentials: &Credentials) -> bool {
        let in_query = credentials.token.as_deref().filter(|_| answers::is_page(request.uri.path()));
        let shown = [credentials.bearer.as_deref(), in_query];
        self.token.as_ref().is_some_and(|token| shown.into_iter().flatten().any(|shown| token.is(shown)))
    }

    /// Turns the credentials in a page's address into cookies.
    fn welcome(&self, request: &Parts, credentials: &Credentials, now: u64, base: &BaseUrl) -> Response {
        let mut opened: Vec<(String, ticket::Ticket)> = Vec::new();
        let shown = credentials.token.as_deref();
        if let Some(token) = self.token.as_ref().filter(|token| shown.is_some_and(|shown| token.is(shown))) {
            let scope = Scope::everything();
            let expires = now + SESSION;
            opened.push((token.sessions.ticket(&scope, expires), ticket::Ticket { scope, expires }));
        }
        for text in &credentials.tickets {
            if let Ok(ticket) = self.keys.open(text, now) {
                opened.push((text.clone(), ticket));
            }
        }
        let sessions: Vec<_> = opened
            .iter()
            .map(|(text, ticket)| Session {
                ticket: text,
                scope: &ticket.scope,
                seconds: ticket.expires - now,
            })
            .collect();
        answers::welcome(request, &base.of(request), &base.path_of(request), &sessions)
    }
}

/// On requests that forward authentication let in.
#[derive(Debug, Clone)]
struct LetInElsewhere;

/// Why a request is not let in by what it shows.
#[derive(Debug)]
enum Refused {
    Missing(Missing),
    Undecided,
}

impl Token {
    fn new(token: &Secret) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &sha256(&[b"microtome token\0", token.as_bytes()]));
        let code = hmac::sign(&key, token.as_bytes());
        Self { length: token.as_bytes().len(), key, code, sessions: SigningKey::of_sessions(token) }
    }

    fn is(&self, shown: &str) -> bool {
        shown.len() == self.length && hmac::verify(&self.key, shown.as_bytes(), self.code.as_ref()).is_ok()
    }
}

fn make_private(headers: &mut HeaderMap) {
    let said = headers.get(header::CACHE_CONTROL).map(HeaderValue::as_bytes).unwrap_or_default();
    let private = match said {
        b"" => HeaderValue::from_static("private"),
        b"no-store" => return,
        // What tiles and lists have: no allocation.
        b"public, no-cache" | b"no-cache" => HeaderValue::from_static("private, no-cache"),
        b"public, max-age=31536000, immutable" => {
            HeaderValue::from_static("private, max-age=31536000, immutable")
        }
        other => {
            let directives = String::from_utf8_lossy(other);
            let kept = directives.split(',').map(str::trim).filter(|directive| *directive != "public");
            let all: Vec<&str> = std::iter::once("private").chain(kept).collect();
            HeaderValue::try_from(all.join(", ")).unwrap_or(HeaderValue::from_static("no-store"))
        }
    };
    headers.insert(header::CACHE_CONTROL, private);
}

/// Unix time in seconds.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(u64::MAX, |since| since.as_secs())
}

/// Of the parts, one after the other.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}
