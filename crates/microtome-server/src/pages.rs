//! The pages for people: the gallery of all slides and the viewer of one.
//!
//! Names of slides are hostile until escaped: as HTML in text, as JSON without `<`, `>` and `&` in scripts.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use microtome_slide::deepzoom;
use percent_encoding::utf8_percent_encode;
use serde::Serialize;

use crate::app::App;
use crate::assets;
use crate::body::{Body, Response};
use crate::catalog::OpenSlide;
use crate::error::{Error, Failure};
use crate::pseudonym::Pseudonym;
use crate::response::{momentary, short_version};
use crate::slide_id::{ESCAPED, SlideId};

const HTML: &str = "text/html; charset=utf-8";

/// Scripts, styles and tiles from this server, nothing from any other. The hash is that of the one style element that
/// OpenSeadragon 6.1.1 makes; it sets all other styles from its script, which the policy does not concern.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
     style-src 'self' 'sha256-9xTiqzfwFaL2SGb1rmr8gysEwVVjIvqWAgmZgqFqpEE='; img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'";

/// What the viewer's script is told about its slide.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SlideInfo<'a> {
    id: &'a str,
    /// Whether addresses may name slides.
    named: bool,
    /// What the slide is called in addresses: its id, or its pseudonym.
    reference: String,
    /// Address of the tiles, up to the level.
    tiles: String,
    version: &'a str,
    width: u32,
    height: u32,
    tile_size: u32,
    overlap: u32,
    max_level: u32,
    /// Micrometres per pixel, horizontal and vertical.
    mpp: Option<[f64; 2]>,
    objective_power: Option<f64>,
    /// The folder that the slide was made from is served too.
    source: bool,
}

/// Whether a browser asks for something to show in a window, as opposed to an image or data.
pub(crate) fn is_for_a_window(method: &Method, headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    method == Method::GET && accept.is_some_and(|accept| accept.contains("text/html"))
}

/// Makes a failure, which is one line of text, a page with the way back to the slides.
pub(crate) fn explain(base: &str, response: &mut Response) {
    let Some(failure) = response.extensions().get::<Failure>() else { return };
    let values = [
        ("style", asset(base, "/assets/pages.css")),
        ("base", escape_html(base)),
        ("status", response.status().as_str().to_owned()),
        ("message", escape_html(&capitalised(&failure.public_message()))),
    ];
    *response.body_mut() = Body::of(fill(include_str!("../assets/failure.html"), &values));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(HTML));
    protect(response.headers_mut());
}

/// `GET /`
pub(crate) fn gallery(app: &Arc<App>, request: &Parts) -> Response {
    let base = app.base_path(request);
    let values = [
        ("style", asset(&base, "/assets/pages.css")),
        ("script", asset(&base, "/assets/gallery.js")),
        ("base", escape_html(&base)),
        ("named", app.show_names.to_string()),
    ];
    page(&fill(include_str!("../assets/gallery.html"), &values))
}

/// `GET /viewer/{slide}`
pub(crate) async fn viewer(app: &Arc<App>, request: &Parts) -> Result<Response, Failure> {
    let id = SlideId::from_raw_path(request.uri.path().strip_prefix("/viewer/").ok_or(Error::NoSuchPage)?)?;
    let open = app.slide(request, &id).await?;
    let base = app.base_path(request);
    app.pseudonyms.remember(open.pseudonym, &open.id);
    if !app.show_names && id == open.id && is_for_a_window(&request.method, &request.headers) {
        return Ok(without_a_name(&base, open.pseudonym, request.uri.query()));
    }
    let source = app.sources.has(&open.id).await;
    let info = slide_info(&open, app.show_names, &base, source).ok_or(Error::NoSuchTile)?;
    let name = escape_html(open.id.as_str());
    let values = [
        // Titles and addresses go into histories, lists of windows and shared screens: the name does only if it may.
        ("title", if app.show_names { format!("{name} - Microtome") } else { "Microtome".to_owned() }),
        ("name", name),
        ("style", asset(&base, "/assets/pages.css")),
        ("early", asset(&base, "/assets/early.js")),
        ("openseadragon", asset(&base, "/assets/openseadragon/openseadragon.min.js")),
        ("script", asset(&base, "/assets/viewer.js")),
        ("base", escape_html(&base)),
        ("info", script_json(&info)),
    ];
    Ok(page(&fill(include_str!("../assets/viewer.html"), &values)))
}

/// The way to the page of a slide by an address that does not name it: the one that browsers show and remember.
fn without_a_name(base: &str, pseudonym: Pseudonym, query: Option<&str>) -> Response {
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    let mut response = momentary(HTML, "");
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    if let Ok(location) = HeaderValue::try_from(format!("{base}/viewer/{pseudonym}{query}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The address of an asset as it stands in a page of a server that is mounted below `base`.
fn asset(base: &str, path: &str) -> String {
    escape_html(&format!("{base}{}", assets::address(path)))
}

/// What the viewer needs to know, or `None` for a slide without levels.
fn slide_info<'a>(open: &'a OpenSlide, named: bool, base: &str, source: bool) -> Option<SlideInfo<'a>> {
    let full = open.slide.levels().first()?;
    let metadata = open.slide.metadata();
    let reference = if named { open.id.to_string() } else { open.pseudonym.to_string() };
    Some(SlideInfo {
        id: open.id.as_str(),
        tiles: format!("{base}/dzi/{}_files/", utf8_percent_encode(&reference, ESCAPED)),
        reference,
        named,
        version: short_version(&open.content_id),
        width: full.width,
        height: full.height,
        tile_size: full.tile_size,
        overlap: full.overlap,
        max_level: deepzoom::level_number(&open.slide, 0),
        mpp: metadata.mpp,
        objective_power: metadata.objective_power,
        source,
    })
}

fn page(html: &str) -> Response {
    let mut response = momentary(HTML, html.to_owned());
    protect(response.headers_mut());
    response
}

fn protect(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

/// `template` with each `{{name}}` replaced by its value. Values are not searched for names.
fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut parts = template.split("{{");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let known = part
            .split_once("}}")
            .and_then(|(name, rest)| Some((values.iter().find(|(known, _)| *known == name)?, rest)));
        match known {
            Some(((_, value), rest)) => {
                filled.push_str(value);
                filled.push_str(rest);
            }
            None => {
                filled.push_str("{{");
                filled.push_str(part);
            }
        }
    }
    filled
}

pub(crate) fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

pub(crate) fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// `value` as JSON that can stand in a script element: it can neither end it nor open a comment.
fn script_json(value: &SlideInfo<'_>) -> String {
    let json = serde_json::to_string(value).unwrap_or_else(|_not_finite| "null".to_owned());
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const HOSTILE: &str = "</script><script>alert(1)</script><!-- & \u{2028} \" ' {{info}}";

    #[test]
    fn a_script_cannot_be_ended_by_a_name() {
        let info = SlideInfo {
            id: HOSTILE,
            named: false,
            reference: HOSTILE.to_owned(),
            tiles: String::new(),
            version: "",
            width: 1,
            height: 1,
            tile_size: 256,
            overlap: 0,
            max_level: 0,
            mpp: Some([0.25, 0.25]),
            objective_power: None,
            source: false,
        };
        let json = script_json(&info);
        assert!(!json.contains(['<', '>', '&', '\u{2028}']), "{json}");
        let back: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(back["id"], HOSTILE);
        assert_eq!(back["tileSize"], 256);
    }

    #[test]
    fn text_cannot_become_markup() {
        let escaped = escape_html(HOSTILE);
        assert!(!escaped.contains(['<', '>', '"', '\'']), "{escaped}");
    }

    #[test]
    fn values_are_not_searched_for_names() {
        let values = [("title", "{{info}}".to_owned()), ("info", "secret".to_owned())];
        assert_eq!(fill("<{{title}}|{{other}}|{{info}}>", &values), "<{{info}}|{{other}}|secret>");
        assert_eq!(fill("{{", &values), "{{");
    }

    #[test]
    fn templates_and_values_have_the_same_names() {
        let viewer: HashSet<_> =
            ["title", "name", "style", "early", "openseadragon", "script", "base", "info"].into();
        for (template, names) in [
            (include_str!("../assets/gallery.html"), HashSet::from(["style", "script", "base", "named"])),
            (include_str!("../assets/viewer.html"), viewer),
            (include_str!("../assets/failure.html"), HashSet::from(["style", "base", "status", "message"])),
        ] {
            let found = template.split("{{").skip(1).filter_map(|part| part.split("}}").next());
            assert_eq!(found.collect::<HashSet<_>>(), names);
        }
    }
}
