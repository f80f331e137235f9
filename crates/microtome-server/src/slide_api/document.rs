//! What is known of a slide, as JSON: `/slides/{slide}`.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use microtome_dicom::Identity;
use serde_json::{Value, json};

use super::associated::is_shown;
use crate::app::App;
use crate::body::Response;
use crate::catalog::OpenSlide;
use crate::error::Failure;
use crate::response::{Freshness, Representation, version_of};
use crate::routes::below;
use crate::slide_id::SlideId;

/// `GET /slides/{slide}`
pub(crate) async fn slide(app: &Arc<App>, request: &Parts) -> Result<Response, Failure> {
    let id = SlideId::from_raw_path(below(request, "/slides/"))?;
    let open = app.slide(request, &id).await?;
    app.pseudonyms.remember(open.pseudonym, &open.id);
    // Who does not name the slide is not made to in what it asks for next.
    let body = document(app, &open, &id.url_path(), &app.base_path(request)).to_string();
    let etag = format!("\"{}-{}\"", open.content_id, version_of(body.as_bytes()));
    let freshness = Freshness::Revalidate;
    let representation = Representation { etag: &etag, content_type: "application/json", freshness };
    let not_modified = representation.not_modified(&request.headers);
    Ok(not_modified.unwrap_or_else(|| representation.full(Bytes::from(body))))
}

fn document(app: &App, open: &OpenSlide, path: &str, base: &str) -> Value {
    let slide = &open.slide;
    let metadata = slide.metadata();
    let full = slide.levels()[0];
    let series = app.dicomweb.series(open);
    let Identity { study, series, .. } = &series.identity;
    let levels = (0_u8..).zip(slide.levels()).map(|(level, grid)| {
        json!({"level": level, "width": grid.width, "height": grid.height, "stored": !slide.is_derived(level)})
    });
    let associated = metadata.associated.iter().map(|image| {
        let url = is_shown(app, image).then(|| format!("{base}/associated/{path}/{}", image.name));
        json!({
            "name": image.name,
            "mediaType": image.media_type,
            "width": image.width,
            "height": image.height,
            "url": url,
        })
    });
    json!({
        "id": open.id.as_str(),
        "pseudonym": open.pseudonym.to_string(),
        "version": &*open.content_id,
        "width": full.width,
        "height": full.height,
        "tileSize": full.tile_size,
        "overlap": full.overlap,
        "levels": levels.collect::<Vec<_>>(),
        "mpp": metadata.mpp,
        "objectivePower": metadata.objective_power,
        "properties": metadata.properties,
        "associated": associated.collect::<Vec<_>>(),
        "iccBytes": slide.icc_profile_bytes(),
        "source": metadata.source,
        "encoder": metadata.encoder,
        "loss": metadata.loss,
        "absent": metadata.absent,
        "notices": metadata.notices,
        "links": {
            "viewer": format!("{base}/viewer/{path}"),
            "thumbnail": format!("{base}/thumbnail/{path}.jpg"),
            "region": format!("{base}/region/{path}.jpg"),
            "histogram": format!("{base}/histogram/{path}"),
            "dzi": format!("{base}/dzi/{path}.dzi"),
            "dzi254": format!("{base}/dzi254/{path}.dzi"),
            "iiif2": format!("{base}/iiif/2/{path}/info.json"),
            "iiif3": format!("{base}/iiif/3/{path}/info.json"),
            "manifest": format!("{base}/iiif/presentation/3/{path}/manifest.json"),
            "zoomify": format!("{base}/zoomify/{path}/ImageProperties.xml"),
            "xyz": format!("{base}/xyz/{path}/{{z}}/{{x}}/{{y}}.jpg"),
            "dicomweb": format!("{base}/dicomweb/studies/{study}/series/{series}"),
        },
    })
}
