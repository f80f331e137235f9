//! How object storage is asked: by hyper, over TLS by rustls with ring, as all else here.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::client::{
    ClientConfigKey, ClientOptions, HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use tokio_rustls::rustls::{self, ClientConfig};

use crate::list::Slot;

/// Longest wait for a connection, and for the head of an answer: then it is asked for again.
const CONNECTING: Duration = Duration::from_secs(3);
const ANSWERING: Duration = Duration::from_secs(3);
/// How long a connection without a question is kept. Servers end theirs after some seconds more.
const IDLE: Duration = Duration::from_secs(15);

/// Most bytes of an answer that is a list, of a thousand names of 1 KiB each at most, and of one that says what is wrong.
const MOST_OF_LIST: usize = 8 << 20;
const MOST_OF_ERROR: usize = 64 << 10;

/// Makes clients.
#[derive(Debug)]
pub(crate) struct Connector;

/// Goes with a question, and tells the status of the last answer to it, which the library keeps for itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastStatus(Arc<AtomicU16>);

impl LastStatus {
    pub(crate) fn get(&self) -> Option<StatusCode> {
        StatusCode::from_u16(self.0.load(Ordering::Relaxed)).ok()
    }
}

/// A client.
#[derive(Debug)]
struct Service {
    inner: Client<HttpsConnector<HttpConnector>, HttpRequestBody>,
}

impl object_store::client::HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let failed =
            |source: Box<dyn Error + Send + Sync>| object_store::Error::Generic { store: "S3", source };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.into()))?
            .with_native_roots()
            .map_err(|error| failed(error.into()))?
            .with_no_client_auth();
        let mut plain = HttpConnector::new();
        plain.set_connect_timeout(Some(CONNECTING));
        plain.set_nodelay(true);
        plain.enforce_http(false);
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls);
        let is_plain_allowed =
            options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|value| value == "true");
        let builder = if is_plain_allowed { builder.https_or_http() } else { builder.https_only() };
        let inner = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(builder.enable_http1().wrap_connector(plain));
        Ok(HttpClient::new(Service { inner }))
    }
}

#[async_trait::async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let slot = request.extensions().get::<Slot>().cloned();
        let last = request.extensions().get::<LastStatus>().cloned();
        let answer = tokio::time::timeout(ANSWERING, self.inner.request(request)).await;
        let answer = answer.map_err(|elapsed| HttpError::new(HttpErrorKind::Timeout, elapsed))?;
        let answer = answer.map_err(|error| {
            let kind = if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Interrupted };
            HttpError::new(kind, std::io::Error::other(told(&error)))
        })?;
        // Bytes of objects are counted by who asks for them; lists and errors are read whole by the library.
        let most = match answer.status() {
            StatusCode::PARTIAL_CONTENT => usize::MAX,
            status if status.is_success() => MOST_OF_LIST,
            _ => MOST_OF_ERROR,
        };
        let (head, body) = answer.into_parts();
        if let Some(LastStatus(last)) = last {
            last.store(head.status.as_u16(), Ordering::Relaxed);
        }
        let body = Limited::new(body, most);
        let body = match slot.filter(|_| head.status.is_success()) {
            Some(slot) => {
                let list = whole(body).await?;
                let rest = slot.fill(&list).map_err(|error| HttpError::new(HttpErrorKind::Decode, error))?;
                HttpResponseBody::from(rest)
            }
            None => HttpResponseBody::new(body.map_err(interrupted)),
        };
        Ok(HttpResponse::from_parts(head, body))
    }
}

/// A body in one piece: a thousand bytes that come one by one take no more room than that.
async fn whole(
    mut body: impl BodyExt<Data = Bytes, Error = Box<dyn Error + Send + Sync>> + Unpin,
) -> Result<Vec<u8>, HttpError> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame.map_err(interrupted)?.into_data() {
            bytes.extend_from_slice(&piece);
        }
    }
    Ok(bytes)
}

/// An error with what it is for: a port where nobody listens and a host that there is not are the same without.
fn told(error: &dyn Error) -> String {
    let (mut told, mut next) = (error.to_string(), error.source());
    while let Some(source) = next {
        told += &format!(": {source}");
        next = source.source();
    }
    told
}

fn interrupted(error: Box<dyn Error + Send + Sync>) -> HttpError {
    HttpError::new_boxed(HttpErrorKind::Interrupted, error)
}
