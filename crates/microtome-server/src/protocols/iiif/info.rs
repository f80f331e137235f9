//! What a viewer is told of an image: `info.json` and the Presentation manifest.
//!
//! IIIF Image API 3.0, section 5, and 2.1.1, section 5; Presentation API 3.0; Physical Dimension Service 1.0.

use microtome_render::EXTENSIONS;
use microtome_slide::Slide;
use serde_json::{Value, json};

use super::Version;
use crate::pictures::Limits;

/// The levels that are worth tiles: down to the first that is one.
fn tiled(slide: &Slide) -> usize {
    let levels = slide.levels();
    levels.iter().position(|grid| grid.tiles() == 1).map_or(levels.len(), |single| single + 1)
}

/// The sizes of the levels that may be asked for as a whole, from the smallest on, as the standard's examples are.
fn sizes(slide: &Slide, limits: &Limits) -> Vec<Value> {
    let mut sizes: Vec<_> = slide.levels().iter().map(|grid| [grid.width, grid.height]).collect();
    sizes.dedup();
    sizes.retain(|&size| limits.check(size).is_ok());
    sizes.iter().rev().map(|[width, height]| json!({"width": width, "height": height})).collect()
}

/// `info.json` of a slide whose address is `id`.
pub(super) fn info(slide: &Slide, id: &str, version: Version, limits: &Limits) -> Value {
    let full = slide.levels()[0];
    let factors: Vec<u64> = (0..tiled(slide)).map(|level| 1 << level).collect();
    let sizes = sizes(slide, limits);
    let tiles = json!([{"width": full.tile_size, "height": full.tile_size, "scaleFactors": factors}]);
    let mut info = match version {
        Version::V3 => json!({
            "@context": version.context(),
            "id": id,
            "type": "ImageService3",
            "protocol": "http://iiif.io/api/image",
            "profile": "level2",
            "width": full.width,
            "height": full.height,
            "maxWidth": limits.side,
            "maxHeight": limits.side,
            "maxArea": limits.area,
            "sizes": sizes,
            "tiles": tiles,
            "preferredFormats": ["jpg"],
            "extraFormats": EXTENSIONS[2..],
            "extraQualities": ["color", "gray", "bitonal"],
            "extraFeatures": ["mirroring", "sizeUpscaling", "canonicalLinkHeader", "profileLinkHeader"],
        }),
        Version::V2 => json!({
            "@context": version.context(),
            "@id": id,
            "protocol": "http://iiif.io/api/image",
            "width": full.width,
            "height": full.height,
            "sizes": sizes,
            "tiles": tiles,
            "profile": ["http://iiif.io/api/image/2/level2.json", {
                "maxWidth": limits.side,
                "maxHeight": limits.side,
                "maxArea": limits.area,
                "formats": EXTENSIONS,
                "qualities": ["default", "color", "gray", "bitonal"],
                "supports": [
                    "canonicalLinkHeader", "profileLinkHeader", "mirroring", "regionSquare", "sizeAboveFull", "sizeByDistortedWh"
                ],
            }],
        }),
    };
    // What is listed may be asked for (3.0, 5.2): else a client chooses regions by itself.
    if let (Err(_), Some(info)) = (limits.check([full.tile_size; 2]), info.as_object_mut()) {
        info.remove("tiles");
    }
    if let Some(service) = physical_dimensions(slide) {
        info["service"] = match version {
            Version::V3 => json!([identified(service, id)]),
            Version::V2 => service,
        };
    }
    info
}

/// How large a pixel is; only where it is square, since the service has but one number for both sides.
fn physical_dimensions(slide: &Slide) -> Option<Value> {
    let [x, y] = slide.metadata().mpp?;
    let is_square = x.is_finite() && x > 0.0 && ((x - y) / x).abs() < 1e-3;
    is_square.then(|| {
        json!({
            "@context": "http://iiif.io/api/annex/services/physdim/1/context.json",
            "profile": "http://iiif.io/api/annex/services/physdim",
            "physicalScale": x / 1000.0,
            "physicalUnits": "mm",
        })
    })
}

/// A service of an older kind, with the identity that version 3 wants of all (3.0, section 5.8).
fn identified(mut service: Value, image: &str) -> Value {
    service["@id"] = format!("{image}#physdim").into();
    service["@type"] = "PhysicalDimensions".into();
    service
}

/// The Presentation manifest: one canvas, the slide on it.
pub(super) fn manifest(slide: &Slide, label: &str, base: &str, path: &str, limits: &Limits) -> Value {
    let full = slide.levels()[0];
    let manifest = format!("{base}/iiif/presentation/3/{path}");
    let image = format!("{base}/iiif/3/{path}");
    let thumbnail = limits.fit(full.width, full.height);
    let thumbnail = Limits { side: 256, area: u64::MAX }.fit(thumbnail[0], thumbnail[1]);
    let service = json!({"id": image, "type": "ImageService3", "profile": "level2"});
    let text = |text: &str| json!({"none": [text]});
    let [width, height] = limits.fit(full.width, full.height);
    json!({
        "@context": "http://iiif.io/api/presentation/3/context.json",
        "id": format!("{manifest}/manifest.json"),
        "type": "Manifest",
        "label": text(label),
        "metadata": described(slide),
        "thumbnail": [{
            "id": format!("{image}/full/{},{}/0/default.jpg", thumbnail[0], thumbnail[1]),
            "type": "Image",
            "format": "image/jpeg",
            "width": thumbnail[0],
            "height": thumbnail[1],
            "service": [service],
        }],
        "seeAlso": [{
            "id": format!("{base}/slides/{path}"),
            "type": "Dataset",
            "label": text("Properties"),
            "format": "application/json",
        }],
        "items": [{
            "id": format!("{manifest}/canvas"),
            "type": "Canvas",
            "label": text(label),
            "width": full.width,
            "height": full.height,
            "items": [{
                "id": format!("{manifest}/page"),
                "type": "AnnotationPage",
                "items": [{
                    "id": format!("{manifest}/annotation"),
                    "type": "Annotation",
                    "motivation": "painting",
                    "target": format!("{manifest}/canvas"),
                    "body": {
                        "id": format!("{image}/full/max/0/default.jpg"),
                        "type": "Image",
                        "format": "image/jpeg",
                        "width": width,
                        "height": height,
                        "service": [service],
                    },
                }],
            }],
        }],
    })
}

/// What is said beside the picture: no property of the source, which may name a patient.
fn described(slide: &Slide) -> Value {
    let metadata = slide.metadata();
    let pair = |label: &str, value: String| json!({"label": {"en": [label]}, "value": {"none": [value]}});
    let mut pairs = Vec::new();
    if let Some(power) = metadata.objective_power {
        pairs.push(pair("Objective power", format!("{power}x")));
    }
    if let Some([x, y]) = metadata.mpp {
        pairs.push(pair("Micrometres per pixel", format!("{x} x {y}")));
    }
    Value::Array(pairs)
}
