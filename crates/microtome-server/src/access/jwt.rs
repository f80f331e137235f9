//! JSON Web Tokens (RFC 7519) of an identity provider. The claim `microtome` says what a token opens: a scope or a list
//! of scopes. A token without it opens nothing: a provider gives tokens to everyone and for everything.

use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use quick_cache::sync::Cache;
use serde::Deserialize;

use crate::access::jwks::{Jwks, KeySet, KeySetError};
use crate::access::jwt_crypto;
use crate::access::scope::{Grant, Scope};
use crate::access::sha256;

/// By how many seconds the provider's clock may be off.
const LEEWAY: u64 = 30;

/// Most scopes of one token.
const MAX_SCOPES: usize = 256;

/// Tokens whose decision is remembered.
const REMEMBERED: usize = 4096;

/// Whose tokens are good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtConfig {
    /// File or URL of the provider's public keys, a JWK set.
    pub jwks: String,
    /// The claim `aud` that tokens must have; without it, only tokens without that claim are good.
    pub audience: Option<String>,
    /// The claim `iss` that tokens must have.
    pub issuer: Option<String>,
}

/// Why a token opens nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("there are no keys yet to check it with")]
    NoKeys,
    #[error("it names a key that is not in the set")]
    UnknownKey,
    #[error("its header has `crit`, which nothing here understands")]
    Critical,
    #[error("its claim `microtome` is missing, or holds something else than scopes")]
    NoScope,
    #[error("{}", reason(.0.kind()))]
    Invalid(#[from] jsonwebtoken::errors::Error),
}

impl Refused {
    pub(crate) fn is_expiry(&self) -> bool {
        matches!(self, Self::Invalid(error) if matches!(error.kind(), ErrorKind::ExpiredSignature))
    }
}

/// What is wrong, without a word of the token.
fn reason(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it is not good yet (nbf)",
        ErrorKind::InvalidAudience => {
            "it is for someone else (aud; --jwt-audience says for whom they are to be)"
        }
        ErrorKind::InvalidIssuer => "it is from someone else (iss)",
        ErrorKind::InvalidSignature => "its signature is not the key's",
        ErrorKind::InvalidAlgorithm => "its algorithm is none that the key is for",
        ErrorKind::MissingRequiredClaim(_) => "it lacks exp, or the claim that is asked for (aud, iss)",
        _ => "it is no token that can be read",
    }
}

#[derive(Deserialize)]
struct Claims {
    microtome: Option<Scopes>,
    exp: f64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Scopes {
    One(String),
    Many(Vec<String>),
}

/// What was found out about a token.
#[derive(Debug, Clone)]
struct Decision {
    grant: Grant,
    /// Unix time in seconds.
    expires: u64,
    /// What it was checked with: a key that has been withdrawn opens nothing any more.
    keys: Arc<KeySet>,
}

/// Checks tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    jwks: Jwks,
    validation: Validation,
    /// By SHA-256 of the token.
    decisions: Cache<[u8; 32], Decision>,
}

impl Tokens {
    pub(crate) fn new(config: &JwtConfig) -> Result<Self, KeySetError> {
        jwt_crypto::install();
        let mut validation = Validation::default();
        // The key says which; see `check`.
        validation.algorithms.clear();
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        let mut required = vec!["exp"];
        if let Some(audience) = &config.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        if let Some(issuer) = &config.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        Ok(Self { jwks: Jwks::new(&config.jwks)?, validation, decisions: Cache::new(REMEMBERED) })
    }

    /// What a token opens at `now` (Unix time in seconds).
    pub(crate) fn open(&self, token: &str, now: u64) -> Result<Grant, Refused> {
        let keys = self.jwks.keys().ok_or(Refused::NoKeys)?;
        let hash = sha256(&[token.as_bytes()]);
        if let Some(decision) = self.decisions.get(&hash)
            && now < decision.expires
            && Arc::ptr_eq(&keys, &decision.keys)
        {
            return Ok(decision.grant);
        }
        let decision = self.check(token, keys)?;
        self.decisions.insert(hash, decision.clone());
        Ok(decision.grant)
    }

    /// Looks for new keys for ever.
    pub(crate) async fn keep_fresh(&self) {
        self.jwks.keep_fresh().await;
    }

    fn check(&self, token: &str, keys: Arc<KeySet>) -> Result<Decision, Refused> {
        let header = decode_header(token)?;
        if header.crit.is_some() {
            return Err(Refused::Critical);
        }
        let Some(key) = keys.find(header.kid.as_deref()) else {
            self.jwks.miss();
            return Err(Refused::UnknownKey);
        };
        let validation = Validation { algorithms: key.algorithms.clone(), ..self.validation.clone() };
        let claims = decode::<Claims>(token, &key.decoding, &validation)?.claims;
        let scopes = match claims.microtome.ok_or(Refused::NoScope)? {
            Scopes::One(scope) => vec![scope],
            Scopes::Many(scopes) => scopes,
        };
        if scopes.is_empty() || scopes.len() > MAX_SCOPES {
            return Err(Refused::NoScope);
        }
        let scopes: Result<Vec<Scope>, _> = scopes.iter().map(|scope| scope.parse()).collect();
        let scopes = scopes.map_err(|_no_scope| Refused::NoScope)?;
        Ok(Decision { grant: Grant::of(scopes), expires: claims.exp as u64, keys })
    }
}
