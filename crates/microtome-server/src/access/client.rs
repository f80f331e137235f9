//! A small HTTP client for two questions: what an identity provider's keys are, and whether a request may pass. One URL,
//! bounded time, bounded answers, bounded number of questions at once; redirects are answers, not followed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri, request};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// Questions at once; others wait.
const MAX_AT_ONCE: usize = 64;

/// How long a connection without a question is kept.
const IDLE: Duration = Duration::from_secs(30);

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nothing that can be asked.
    #[error("'{0}': an address like https://id.example.org/keys is wanted, without a user's name in it")]
    NoUrl(String),
    /// The system has no certificates to trust, or TLS can't be set up for another reason.
    #[error("{url}: cannot be asked over TLS: {what}")]
    Tls {
        /// The address.
        url: String,
        /// What is missing.
        what: String,
    },
    /// It took too long.
    #[error("{0}: no answer in time")]
    TooSlow(String),
    /// There is no connection, or no HTTP on it.
    #[error("{url}: cannot be asked")]
    Unreachable {
        /// The address.
        url: String,
        /// What the library said.
        source: hyper_util::client::legacy::Error,
    },
    /// The answer is too long or breaks off.
    #[error("{url}: the answer is too long or breaks off")]
    Answer {
        /// The address.
        url: String,
        /// What the library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

type Inner = hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// A client of one URL.
#[derive(Debug)]
pub(crate) struct Client {
    url: String,
    inner: Inner,
    patience: Duration,
    slots: Semaphore,
}

impl Client {
    pub(crate) fn new(url: &str, patience: Duration) -> Result<Self, ClientError> {
        check(url)?;
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls(url)?).https_or_http().enable_http1().build();
        let inner = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_AT_ONCE)
            .build(connector);
        Ok(Self { url: url.to_owned(), inner, patience, slots: Semaphore::new(MAX_AT_ONCE) })
    }

    /// Asks, and reads an answer of at most `limit` bytes.
    pub(crate) async fn send(
        &self,
        request: request::Builder,
        limit: usize,
    ) -> Result<Response<Bytes>, ClientError> {
        let no_url = |_malformed| ClientError::NoUrl(self.url.clone());
        let request = request.body(Empty::new()).map_err(no_url)?;
        tokio::time::timeout(self.patience, self.exchange(request, limit))
            .await
            .unwrap_or_else(|_elapsed| Err(ClientError::TooSlow(self.url.clone())))
    }

    async fn exchange(
        &self,
        request: Request<Empty<Bytes>>,
        limit: usize,
    ) -> Result<Response<Bytes>, ClientError> {
        // The semaphore is never closed.
        let _slot = self.slots.acquire().await.ok();
        let answer = self.inner.request(request).await;
        let answer = answer.map_err(|source| ClientError::Unreachable { url: self.url.clone(), source })?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, limit).collect().await;
        let body = body.map_err(|source| ClientError::Answer { url: self.url.clone(), source })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

/// Whether a setting is a URL, as opposed to a file.
pub(crate) fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// Whether what is asked there can be read and changed on its way.
pub(crate) fn is_in_the_clear(url: &str) -> bool {
    let host = url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    url.starts_with("http://") && !here
}

/// Refuses what is no URL to ask.
pub(crate) fn check(url: &str) -> Result<(), ClientError> {
    let uri = url.parse::<Uri>().ok().filter(|_| is_url(url));
    let plain = |uri: &Uri| uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    match uri.is_some_and(|uri| plain(&uri)) {
        true => Ok(()),
        false => Err(ClientError::NoUrl(url.to_owned())),
    }
}

/// Trusts whom the system trusts: in a hospital, its own authority. `SSL_CERT_FILE` names others.
fn tls(url: &str) -> Result<ClientConfig, ClientError> {
    let failed = |what: String| ClientError::Tls { url: url.to_owned(), what };
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.to_string()))?;
    let builder = match url.starts_with("https://") {
        true => builder.with_native_roots().map_err(|error| failed(error.to_string()))?,
        false => builder.with_root_certificates(RootCertStore::empty()),
    };
    Ok(builder.with_no_client_auth())
}
