//! The table of addresses, and what every answer has in common: CORS, security headers, an id, a count,
//! a line in the log if need be.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use tower_http::cors::{Any, CorsLayer};

use crate::app::App;
use crate::error::{Error, Failure};
use crate::metrics::{self, Metrics, Route};
use crate::protocols::deepzoom;
use crate::request_id::{self, RequestId};
use crate::response::momentary;
use crate::{assets, pages, request_body};

/// How long a browser may remember the answer to a CORS preflight; browsers cap it at 2 to 24 hours themselves.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(86_400);

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

/// All addresses of the server. GET handlers answer HEAD as well.
pub(crate) fn router(app: Arc<App>) -> Router {
    let metrics = Arc::clone(&app.metrics);
    Router::new()
        .route("/healthz", get(async || momentary(PLAIN_TEXT, "ok\n")))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_text))
        .route("/slides", get(slides))
        .route("/", get(pages::gallery))
        .route("/viewer/{*slide}", get(pages::viewer))
        .route("/assets/{*asset}", get(assets::asset_response))
        .route("/tiles/{*tile}", get(deepzoom::plain_tile))
        .route("/dzi/{*resource}", get(deepzoom::resource))
        .fallback(async || Failure::from(Error::NoSuchPage))
        .method_not_allowed_fallback(async || Failure::from(Error::MethodNotAllowed))
        .with_state(app)
        .layer(from_fn(request_body::discard))
        .layer(cors())
        .layer(from_fn_with_state(metrics, finish))
}

fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD, Method::OPTIONS])
        .allow_headers(Any)
        .expose_headers([
            header::ETAG,
            header::CONTENT_LENGTH,
            header::RETRY_AFTER,
            HeaderName::from_static("server-timing"),
            request_id::HEADER,
        ])
        .max_age(PREFLIGHT_MAX_AGE)
        // The answer is the same for every origin: caches need not keep one for each.
        .vary([])
}

/// Counts the answer, adds the headers that all answers have, and writes the log.
async fn finish(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let route = Route::of(request.uri().path());
    let (id, method, uri) =
        (RequestId::of(request.headers()), request.method().clone(), request.uri().clone());
    let mut response = next.run(request).await;
    metrics.request(route, response.status());
    log(&id, &method, &uri, &response, start);
    for (name, value) in [
        ("cross-origin-resource-policy", "cross-origin"),
        ("timing-allow-origin", "*"),
        ("x-content-type-options", "nosniff"),
    ] {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response.headers_mut().insert(request_id::HEADER, id.into_value());
    response
}

/// What is our fault is an error; everything else is for who looks closely, and never a line per tile.
fn log(id: &RequestId, method: &Method, uri: &Uri, response: &Response, start: Instant) {
    let (request_id, path, status) = (id.as_str(), uri.path(), response.status());
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        let error = response.extensions().get::<Failure>().map(tracing::field::display);
        tracing::error!(request_id, %method, path, error, "not answered");
    }
    let ms = start.elapsed().as_secs_f64() * 1e3;
    tracing::debug!(request_id, %method, path, status = status.as_u16(), ms, "answered");
}

/// Ready means that the slides root can be walked; that it does not exist yet is an empty catalogue.
async fn ready(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    app.listing.json().await?;
    Ok(momentary(PLAIN_TEXT, "ready\n"))
}

async fn slides(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    Ok(momentary("application/json", app.listing.json().await?))
}

async fn metrics_text(State(app): State<Arc<App>>) -> Response {
    let gauges = app.gauges().await;
    momentary(metrics::CONTENT_TYPE, app.metrics.text(gauges))
}
