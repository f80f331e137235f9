//! The table of addresses, and what every answer has in common: CORS, security headers, an id, a count,
//! a line in the log if need be.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::app::App;
use crate::error::{Error, Failure};
use crate::listing::Page;
use crate::metrics::{self, Route};
use crate::protocols::{deepzoom, dicomweb, iiif, xyz, zoomify};
use crate::query::Query;
use crate::request_id::{self, RequestId};
use crate::response::momentary;
use crate::{assets, openapi, pages, request_body, slide_api, source_folder};

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

/// All addresses of the server. GET handlers answer HEAD as well.
pub(crate) fn router(app: Arc<App>) -> Router {
    let shared = Arc::clone(&app);
    Router::new()
        .route("/healthz", get(async || momentary(PLAIN_TEXT, "ok\n")))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_text))
        .route("/openapi.json", get(openapi::document))
        .route("/slides", get(slides))
        .route("/slides/{*slide}", get(slide_api::slide))
        .route("/region/{*slide}", get(slide_api::region))
        .route("/thumbnail/{*slide}", get(slide_api::thumbnail))
        .route("/associated/{*image}", get(slide_api::associated))
        .route("/histogram/{*slide}", get(slide_api::histogram))
        .route("/", get(pages::gallery))
        .route("/viewer/{*slide}", get(pages::viewer))
        .route("/assets/{*asset}", get(assets::asset_response))
        .route("/source/{*resource}", get(source_folder::resource))
        .route("/tiles/{*tile}", get(deepzoom::plain_tile))
        .route("/dzi/{*resource}", get(deepzoom::resource))
        .route("/dzi254/{*resource}", get(deepzoom::common_resource))
        .route("/xyz/{*tile}", get(xyz::tile))
        .route("/zoomify/{*resource}", get(zoomify::resource))
        .route("/iiif/2/{*request}", get(iiif::version_2))
        .route("/iiif/3/{*request}", get(iiif::version_3))
        .route("/iiif/presentation/3/{*manifest}", get(iiif::manifest))
        .route("/dicomweb/{*resource}", get(dicomweb::resource))
        .fallback(async || Failure::from(Error::NoSuchPage))
        .method_not_allowed_fallback(async || Failure::from(Error::MethodNotAllowed))
        .with_state(app)
        .layer(from_fn_with_state(shared, finish))
}

/// What all answers have. Other pages may show and read them: slides are for whatever viewer there is. `*` leaves out what a
/// browser would add by itself: a page elsewhere sees what it has a token or a signed address for. (Fetch standard, "CORS
/// protocol".)
const COMMON: [Constant; 5] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, value("*")),
    (
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        value("etag,content-length,link,retry-after,server-timing,x-request-id"),
    ),
    (HeaderName::from_static("cross-origin-resource-policy"), value("cross-origin")),
    (HeaderName::from_static("timing-allow-origin"), value("*")),
    (header::X_CONTENT_TYPE_OPTIONS, value("nosniff")),
];

/// What a browser is told that asks whether it may ask. It may remember that for a day. `Authorization` is not among `*`.
const PREFLIGHT: [Constant; 3] = [
    (header::ACCESS_CONTROL_ALLOW_METHODS, value("GET,HEAD,OPTIONS")),
    (header::ACCESS_CONTROL_ALLOW_HEADERS, value("*,authorization")),
    (header::ACCESS_CONTROL_MAX_AGE, value("86400")),
];

/// A header that is always the same.
type Constant = (HeaderName, HeaderValue);

const fn value(text: &'static str) -> HeaderValue {
    HeaderValue::from_static(text)
}

/// Lets requests in or not, counts the answer, adds the headers that all answers have, and writes the log. One layer for
/// all that: each costs every tile as much as its headers.
async fn finish(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let route = Route::of(request.uri().path());
    let (id, method, uri) =
        (RequestId::of(request.headers()), request.method().clone(), request.uri().clone());
    let mut response = answer(&app, request, next).await;
    app.metrics.request(route, response.status());
    log(&id, &method, &uri, &response, start);
    add(&mut response, COMMON);
    app.keep_private(uri.path(), response.headers_mut());
    response.headers_mut().insert(request_id::HEADER, id.into_value());
    response
}

async fn answer(app: &App, mut request: Request, next: Next) -> Response {
    if request.method() == Method::OPTIONS {
        let mut response = Response::new(Body::empty());
        add(&mut response, PREFLIGHT);
        return response;
    }
    if let Err(response) = app.admit(&mut request).await {
        return response;
    }
    let mut base = None;
    if pages::is_for_a_window(request.method(), request.headers()) {
        let (parts, body) = request.into_parts();
        base = Some(app.base_path(&parts));
        request = Request::from_parts(parts, body);
    }
    let mut response = match request_body::discarded(request).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => Failure::from(refusal).into_response(),
    };
    if let Some(base) = base {
        pages::explain(&base, &mut response);
    }
    response
}

fn add<const N: usize>(response: &mut Response, constants: [Constant; N]) {
    for (name, value) in constants {
        response.headers_mut().insert(name, value);
    }
}

/// What is our fault is an error; everything else is for who looks closely, and never a line per tile.
fn log(id: &RequestId, method: &Method, uri: &Uri, response: &Response, start: Instant) {
    let (request_id, path, status) = (id.as_str(), uri.path(), response.status());
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        let error = response.extensions().get::<Failure>().map(tracing::field::display);
        tracing::error!(request_id, %method, path, error, "not answered");
    }
    // Looked at where the line is written only.
    let ms = || start.elapsed().as_secs_f64() * 1e3;
    tracing::debug!(request_id, %method, path, status = status.as_u16(), ms = ms(), "answered");
}

/// Ready means that the slides root can be walked; that it does not exist yet is an empty catalogue.
async fn ready(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    app.listing.json(None, &Page::default()).await?;
    Ok(momentary(PLAIN_TEXT, "ready\n"))
}

async fn slides(State(app): State<Arc<App>>, request: Request) -> Result<Response, Failure> {
    let (request, _body) = request.into_parts();
    let page = Page::read(&Query::read(request.uri.query())?)?;
    Ok(momentary("application/json", app.listing.json(app.grant(&request).as_ref(), &page).await?))
}

/// How busy the server is, is for who sees all slides.
async fn metrics_text(State(app): State<Arc<App>>, request: Request) -> Result<Response, Failure> {
    let (request, _body) = request.into_parts();
    if app.grant(&request).is_some_and(|grant| !grant.is_everything()) {
        return Err(Error::NoSuchPage.into());
    }
    let gauges = app.gauges().await;
    Ok(momentary(metrics::CONTENT_TYPE, app.metrics.text(gauges)))
}
