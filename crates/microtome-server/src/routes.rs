//! The table of addresses, and what every answer has in common: CORS, security headers, an id, a count,
//! a line in the log if need be.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Version, header};
use hyper::body::Body as HttpBody;

use crate::activity::Activity;
use crate::app::App;
use crate::body::{Body, Response};
use crate::error::{Error, Failure};
use crate::listing;
use crate::metrics::{self, Route};
use crate::protocols::{deepzoom, dicomweb, iiif, xyz, zoomify};
use crate::query::Query;
use crate::request_id::{self, RequestId};
use crate::response::momentary;
use crate::{assets, openapi, pages, request_body, scheduling, slide_api, source_folder};

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

/// What is at an address.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Page {
    Tile,
    DeepZoom,
    DeepZoom254,
    Xyz,
    Zoomify,
    Iiif2,
    Iiif3,
    Manifest,
    Dicomweb,
    Slide,
    Region,
    Thumbnail,
    Associated,
    Histogram,
    Slides,
    Gallery,
    Viewer,
    Asset,
    Source,
    OpenApi,
    Health,
    Readiness,
    Metrics,
}

/// All addresses of the server: paths, and what paths begin with where that ends in a slash; something follows then.
pub(crate) const ADDRESSES: [(&str, Page); 23] = [
    ("/tiles/", Page::Tile),
    ("/dzi/", Page::DeepZoom),
    ("/dzi254/", Page::DeepZoom254),
    ("/xyz/", Page::Xyz),
    ("/zoomify/", Page::Zoomify),
    ("/iiif/2/", Page::Iiif2),
    ("/iiif/3/", Page::Iiif3),
    ("/iiif/presentation/3/", Page::Manifest),
    ("/dicomweb/", Page::Dicomweb),
    ("/slides/", Page::Slide),
    ("/region/", Page::Region),
    ("/thumbnail/", Page::Thumbnail),
    ("/associated/", Page::Associated),
    ("/histogram/", Page::Histogram),
    ("/slides", Page::Slides),
    ("/", Page::Gallery),
    ("/viewer/", Page::Viewer),
    ("/assets/", Page::Asset),
    ("/source/", Page::Source),
    ("/openapi.json", Page::OpenApi),
    ("/healthz", Page::Health),
    ("/readyz", Page::Readiness),
    ("/metrics", Page::Metrics),
];

impl Page {
    /// The page at a path.
    fn at(path: &str) -> Option<Self> {
        let is_here = |address: &str| match address.ends_with('/') && address != "/" {
            true => path.len() > address.len() && path.starts_with(address),
            false => path == address,
        };
        ADDRESSES.iter().find(|(address, _)| is_here(address)).map(|&(_, page)| page)
    }

    async fn answer(self, app: &Arc<App>, request: &Parts) -> Result<Response, Failure> {
        match self {
            Self::Tile => deepzoom::plain_tile(app, request).await,
            Self::DeepZoom => deepzoom::resource(app, request).await,
            Self::DeepZoom254 => deepzoom::common_resource(app, request).await,
            Self::Xyz => xyz::tile(app, request).await,
            Self::Zoomify => zoomify::resource(app, request).await,
            Self::Iiif2 => iiif::version_2(app, request).await,
            Self::Iiif3 => iiif::version_3(app, request).await,
            // What has no tiles, or few, is in boxes: else every tile would carry the room for it.
            Self::Manifest => Box::pin(iiif::manifest(app, request)).await,
            Self::Dicomweb => Box::pin(dicomweb::resource(app, request)).await,
            Self::Slide => Box::pin(slide_api::slide(app, request)).await,
            Self::Region => Box::pin(slide_api::region(app, request)).await,
            Self::Thumbnail => Box::pin(slide_api::thumbnail(app, request)).await,
            Self::Associated => Box::pin(slide_api::associated(app, request)).await,
            Self::Histogram => Box::pin(slide_api::histogram(app, request)).await,
            Self::Slides => Box::pin(slides(app, request)).await,
            Self::Gallery => Ok(pages::gallery(app, request)),
            Self::Viewer => Box::pin(pages::viewer(app, request)).await,
            Self::Asset => assets::asset_response(request),
            Self::Source => Box::pin(source_folder::resource(app, request)).await,
            Self::OpenApi => Ok(Box::pin(openapi::document(app, request)).await),
            Self::Health => Ok(momentary(PLAIN_TEXT, "ok\n")),
            Self::Readiness => Box::pin(ready(app)).await,
            Self::Metrics => Box::pin(metrics_text(app, request)).await,
        }
    }
}

/// The still encoded path of a request below `prefix`, one of [`ADDRESSES`].
pub(crate) fn below<'a>(request: &'a Parts, prefix: &str) -> &'a str {
    let path = request.uri.path();
    path.strip_prefix(prefix).unwrap_or(path)
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

/// The answer to a request: lets it in or not, counts it, adds the headers that all answers have, and writes the log.
pub(crate) async fn answer<B: HttpBody<Data = Bytes> + Unpin>(
    app: &Arc<App>,
    request: Request<B>,
    connection: &Activity,
) -> Response {
    let start = Instant::now();
    // Refusals, of which there are many then, can wait until a tile is made; those who make it should not.
    scheduling::wait_for_a_core(app.pipeline.queue.is_flooded(start));
    let (mut request, body) = request.into_parts();
    let route = Route::of(request.uri.path());
    let id = RequestId::of(&request.headers);
    if route == Route::DicomWeb {
        // What is sent piece by piece may fail long after this.
        request.extensions.insert(id.clone());
    }
    let mut response = without_headers(app, &mut request, body).await;
    if request.method != Method::HEAD && !connection.has_room_for(response.body()) {
        response = Failure::from(Error::Unread).into_response();
    }
    app.metrics.request(route, response.status());
    log(app, &id, &request, &response, start);
    add(&mut response, COMMON);
    app.keep_private(request.uri.path(), response.headers_mut());
    response.headers_mut().insert(request_id::HEADER, id.into_value());
    if request.method == Method::HEAD { without_body(response) } else { response }
}

async fn without_headers<B: HttpBody<Data = Bytes> + Unpin>(
    app: &Arc<App>,
    request: &mut Parts,
    body: B,
) -> Response {
    if !names_its_host(request) {
        return Failure::from(Error::Malformed("a request names one host, one of HTTP/1.1 in a Host header"))
            .into_response();
    }
    if request.method == Method::OPTIONS {
        let mut response = Response::new(Body::empty());
        add(&mut response, PREFLIGHT);
        return response;
    }
    if let Err(response) = app.admit(request).await {
        return response;
    }
    let answered = match request_body::discard(body).await {
        Ok(()) => page(app, request).await,
        Err(refusal) => Err(refusal.into()),
    };
    let mut response = answered.unwrap_or_else(Failure::into_response);
    if pages::is_for_a_window(&request.method, &request.headers) {
        pages::explain(&app.base_path(request), &mut response);
    }
    response
}

/// Whether it says which host it is for: at most once, and in HTTP/1.1 indeed (RFC 9112, 3.2). What names no host is as good as
/// nothing (`base_url`).
fn names_its_host(request: &Parts) -> bool {
    match request.headers.get_all(header::HOST).iter().count() {
        0 => request.version != Version::HTTP_11,
        count => count == 1,
    }
}

async fn page(app: &Arc<App>, request: &Parts) -> Result<Response, Failure> {
    let page = Page::at(request.uri.path()).ok_or(Error::NoSuchPage)?;
    match request.method {
        Method::GET | Method::HEAD => page.answer(app, request).await,
        _ => Err(Error::MethodNotAllowed.into()),
    }
}

/// The answer to HEAD: that to GET, which says how long its body is, without it. (RFC 9110, 9.3.2.)
fn without_body(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    // Where there never is a body there is no length either.
    let has_body = !matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if let Some(length) = body.size_hint().exact().filter(|_| has_body) {
        head.headers.entry(header::CONTENT_LENGTH).or_insert(length.into());
    }
    Response::from_parts(head, Body::empty())
}

fn add<const N: usize>(response: &mut Response, constants: [Constant; N]) {
    for (name, value) in constants {
        response.headers_mut().insert(name, value);
    }
}

/// What is our fault is an error; everything else is for who looks closely, and never a line per tile.
fn log(app: &App, id: &RequestId, request: &Parts, response: &Response, start: Instant) {
    let (request_id, path, status) = (id.as_str(), request.uri.path(), response.status());
    let method = &request.method;
    if let Some(failure) = response.extensions().get::<Failure>().filter(|failure| failure.is_ours())
        && let Some(left_out) = app.error_lines.next(Instant::now())
    {
        let left_out = Some(left_out).filter(|&left_out| left_out > 0);
        tracing::error!(request_id, %method, path, error = %failure, left_out, "not answered");
    }
    // Looked at where the line is written only.
    let ms = || start.elapsed().as_secs_f64() * 1e3;
    tracing::debug!(request_id, %method, path, status = status.as_u16(), ms = ms(), "answered");
}

/// Ready means that the slides root is there, as far as is known: while a bucket does not answer, tiles that are kept are served.
async fn ready(app: &App) -> Result<Response, Failure> {
    match app.listing.has_root().await? {
        true => Ok(momentary(PLAIN_TEXT, "ready\n")),
        false => Err(Error::NoRoot.into()),
    }
}

async fn slides(app: &App, request: &Parts) -> Result<Response, Failure> {
    let page = listing::Page::read(&Query::read(request.uri.query())?)?;
    Ok(momentary("application/json", app.listing.json(app.grant(request).as_ref(), &page).await?))
}

/// How busy the server is, is for who sees all slides.
async fn metrics_text(app: &App, request: &Parts) -> Result<Response, Failure> {
    if app.grant(request).is_some_and(|grant| !grant.is_everything()) {
        return Err(Error::NoSuchPage.into());
    }
    let gauges = app.gauges().await;
    Ok(momentary(metrics::CONTENT_TYPE, app.metrics.text(gauges)))
}
