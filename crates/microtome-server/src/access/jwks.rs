//! The keys of an identity provider: a JWK set (RFC 7517) from a file or a URL, looked at again now and then.
//!
//! Not here: tokens. Shared secrets in a set are passed over: a set that others can read proves nothing with them.

use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use http::{Request, StatusCode};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use tokio::sync::Notify;

use crate::access::client::{self, Client};
use crate::error::Chain;

/// Largest set that is read, in bytes, and most keys in it that are used.
const MAX_BYTES: usize = 1 << 20;
const MAX_KEYS: usize = 100;

/// How often the set is looked at: when all is well, and while it can't be had.
const REFRESH: Duration = Duration::from_secs(300);
const RETRY: Duration = Duration::from_secs(10);

/// Least time between two looks that tokens with unknown keys ask for.
const PAUSE: Duration = Duration::from_secs(10);

/// Longest wait for the provider.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a set of keys can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// The file can't be read.
    #[error("{}: cannot be read", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The URL can't be used or fetched.
    #[error(transparent)]
    Client(#[from] client::ClientError),
    /// The server answered with something else than the set.
    #[error("{url}: answered {status}")]
    Status {
        /// The address.
        url: String,
        /// Its answer's status.
        status: StatusCode,
    },
    /// It is no JWK set.
    #[error("{from}: is to be a JWK set of at most 1 MiB")]
    Malformed {
        /// File or URL.
        from: String,
        /// What the parser said.
        source: Option<serde_json::Error>,
    },
    /// No key in it can be used.
    #[error("{0}: holds no key for RS256 to PS512, ES256, ES384 or EdDSA")]
    NoKeys(String),
}

/// A key, and the algorithms that it is for: the key says so, never the token.
#[derive(Debug)]
pub(crate) struct Key {
    id: Option<String>,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) decoding: DecodingKey,
}

/// Keys that belong together.
#[derive(Debug)]
pub(crate) struct KeySet(Vec<Key>);

impl KeySet {
    fn parse(from: &str, json: &[u8]) -> Result<Self, KeySetError> {
        let malformed = |source| KeySetError::Malformed { from: from.to_owned(), source };
        if json.len() > MAX_BYTES {
            return Err(malformed(None));
        }
        let set: JwkSet = serde_json::from_slice(json).map_err(|error| malformed(Some(error)))?;
        let keys: Vec<_> = set.keys.iter().filter_map(key).take(MAX_KEYS).collect();
        match keys.is_empty() {
            true => Err(KeySetError::NoKeys(from.to_owned())),
            false => Ok(Self(keys)),
        }
    }

    /// The key of that name; without a name, the one there is.
    pub(crate) fn find(&self, id: Option<&str>) -> Option<&Key> {
        match (id, &self.0[..]) {
            (Some(_), keys) => keys.iter().find(|key| key.id.as_deref() == id),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }
}

/// A key that tokens can be checked with.
fn key(jwk: &Jwk) -> Option<Key> {
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let fitting: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => &[
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ],
        AlgorithmParameters::EllipticCurve(point) => match point.curve {
            EllipticCurve::P256 => &[Algorithm::ES256],
            EllipticCurve::P384 => &[Algorithm::ES384],
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(point) if point.curve == EllipticCurve::Ed25519 => {
            &[Algorithm::EdDSA]
        }
        _ => return None,
    };
    let algorithms = match jwk.common.key_algorithm {
        None => fitting.to_vec(),
        Some(said) => vec![fitting.iter().copied().find(|&algorithm| said == algorithm.into())?],
    };
    let decoding = DecodingKey::from_jwk(jwk).ok()?;
    Some(Key { id: jwk.common.key_id.clone(), algorithms, decoding })
}

/// Where a set comes from.
#[derive(Debug)]
enum Source {
    File(PathBuf),
    Url(String, Box<Client>),
}

/// The provider's keys as last seen.
#[derive(Debug)]
pub(crate) struct Jwks {
    source: Source,
    latest: RwLock<Option<Arc<KeySet>>>,
    wanted: Notify,
}

impl Jwks {
    /// The keys of a file, read now, or of a URL, which [`Jwks::keep_fresh`] asks: the provider may start later than this
    /// server.
    pub(crate) fn new(file_or_url: &str) -> Result<Self, KeySetError> {
        let (source, latest) = if client::is_url(file_or_url) {
            let client = Client::new(file_or_url, PATIENCE)?;
            (Source::Url(file_or_url.to_owned(), Box::new(client)), None)
        } else {
            let path = PathBuf::from(file_or_url);
            let set = from_file(&path)?;
            (Source::File(path), Some(Arc::new(set)))
        };
        Ok(Self { source, latest: RwLock::new(latest), wanted: Notify::new() })
    }

    /// The keys, once there are any.
    pub(crate) fn keys(&self) -> Option<Arc<KeySet>> {
        self.latest.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Says that a token names a key that is not there: the provider may have a new one.
    pub(crate) fn miss(&self) {
        self.wanted.notify_one();
    }

    /// Looks at the source again and again. Never ends.
    pub(crate) async fn keep_fresh(&self) {
        loop {
            let pause = match self.load().await {
                Ok(set) => {
                    *self.latest.write().unwrap_or_else(std::sync::PoisonError::into_inner) =
                        Some(Arc::new(set));
                    REFRESH
                }
                // The keys that were there go on: an outage of the provider's is none of this server's.
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "keys for JWT cannot be had, trying again");
                    RETRY
                }
            };
            let next = async {
                tokio::time::sleep(PAUSE).await;
                self.wanted.notified().await;
            };
            _ = tokio::time::timeout(pause, next).await;
        }
    }

    async fn load(&self) -> Result<KeySet, KeySetError> {
        match &self.source {
            Source::File(path) => {
                let (path, named) = (path.clone(), path.clone());
                let read = tokio::task::spawn_blocking(move || from_file(&path)).await;
                read.unwrap_or_else(|lost| {
                    Err(KeySetError::Unreadable { path: named, source: std::io::Error::other(lost) })
                })
            }
            Source::Url(url, client) => {
                let request = Request::get(url.as_str()).header("accept", "application/json");
                let answer = client.send(request, MAX_BYTES).await?;
                match answer.status() {
                    StatusCode::OK => KeySet::parse(url, answer.body()),
                    status => Err(KeySetError::Status { url: url.clone(), status }),
                }
            }
        }
    }
}

fn from_file(path: &std::path::Path) -> Result<KeySet, KeySetError> {
    let unreadable = |source| KeySetError::Unreadable { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut json = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX_BYTES as u64 + 1), &mut json)
        .map_err(unreadable)?;
    KeySet::parse(&path.display().to_string(), &json)
}
