//! The contract of the addresses that give pictures, on a synthetic slide and without sockets: 1000 x 700 px, 256 px tiles.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use microtome_codec::turbo::{self, Subsampling};
use microtome_codec::{Rgb, jpeg};
use microtome_container::header::SectionKind;
use microtome_slide::{Rect, TileId};
use serde_json::Value;

use crate::http_tests::{Fixture, ingest, ingest_with};
use crate::routes::ADDRESSES;

const OK: StatusCode = StatusCode::OK;

pub(crate) fn decoded(jpeg: &[u8]) -> Rgb {
    turbo::decode(jpeg, 1 << 24).expect("a JPEG")
}

pub(crate) fn size(jpeg: &[u8]) -> (u32, u32) {
    let pixels = decoded(jpeg);
    (pixels.width(), pixels.height())
}

/// Mean difference of the bytes of two pictures.
pub(crate) fn difference(a: &Rgb, b: &Rgb) -> f64 {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    let sum: u64 = a.data().iter().zip(b.data()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.data().len() as f64
}

pub(crate) async fn json(fixture: &Fixture, address: &str, headers: &[(&str, &str)]) -> (HeaderMap, Value) {
    let (status, headers, body) = fixture.ask("GET", address, headers).await;
    assert_eq!(status, OK, "{address}");
    (headers, serde_json::from_slice(&body).expect("JSON"))
}

#[tokio::test]
async fn aligned_requests_are_answered_with_the_tile() {
    let fixture = Fixture::new();
    for (tile, iiif, zoomify) in [
        (TileId { level: 0, column: 1, row: 2 }, "256,512,256,188/256,188", "2-1-2"),
        (TileId { level: 0, column: 3, row: 0 }, "768,0,232,256/232,256", "2-3-0"),
        (TileId { level: 1, column: 1, row: 1 }, "512,512,488,188/244,94", "1-1-1"),
        (TileId { level: 2, column: 0, row: 0 }, "full/250,175", "0-0-0"),
        (TileId { level: 3, column: 0, row: 0 }, "0,0,1000,700/125,88", ""),
        (TileId { level: 10, column: 0, row: 0 }, "full/1,1", ""),
    ] {
        let expected = fixture.slide().tile(tile).expect("a tile");
        let mut addresses = vec![
            format!("/iiif/3/case%201%2Fa/{iiif}/0/default.jpg"),
            format!("/iiif/2/case%201/a/{iiif}/0/color.jpg"),
        ];
        if !zoomify.is_empty() {
            addresses.push(format!("/zoomify/case%201/a/TileGroup0/{zoomify}.jpg"));
        }
        for address in addresses {
            let (status, headers, body) = fixture.get(&address).await;
            assert_eq!((status, &body), (OK, &expected), "{address}");
            assert_eq!(headers["content-type"], "image/jpeg");
        }
    }
    // Near to the size of a tile, and none.
    let (_, _, body) = fixture.get("/iiif/3/case%201%2Fa/0,0,256,256/255,255/0/default.jpg").await;
    assert_eq!(size(&body), (255, 255));
}

#[tokio::test]
async fn web_maps_get_squares_and_white_beyond_the_slide() {
    let fixture = Fixture::new();
    let whole = TileId { level: 0, column: 1, row: 1 };
    let (_, _, body) = fixture.get("/xyz/case%201/a/2/1/1.jpg").await;
    assert_eq!(body, fixture.slide().tile(whole).expect("a tile"), "one of full size is the slide's own");
    for (address, level, column, row) in
        [("2/1/2", 0, 1, 2), ("2/3/0", 0, 3, 0), ("2/3/2", 0, 3, 2), ("1/1/1", 1, 1, 1), ("0/0/0", 2, 0, 0)]
    {
        let (status, _, body) = fixture.get(&format!("/xyz/case%201/a/{address}.jpg")).await;
        assert_eq!(status, OK, "{address}");
        let square = decoded(&body);
        assert_eq!((square.width(), square.height()), (256, 256), "{address}");
        let tile = decoded(&fixture.slide().tile(TileId { level, column, row }).expect("a tile"));
        let (w, h) = (tile.width(), tile.height());
        assert!(difference(&square.crop(0, 0, w, h), &tile) < 3.0, "{address}");
        // Blocks of 16 x 16 px at the slide's edge have something of both.
        let (x, y) = (w.next_multiple_of(16), h.next_multiple_of(16));
        for (x, y) in [(x, 0), (0, y)].into_iter().filter(|&(x, y)| x < 256 && y < 256) {
            assert_eq!(square.crop(x, y, 256 - x, 256 - y).uniform(), Some([255; 3]), "{address}");
        }
    }
    for address in ["2/4/0", "2/0/3", "3/0/0"] {
        assert_eq!(fixture.get(&format!("/xyz/case%201/a/{address}.jpg")).await.0, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn iiif_documents_name_the_server_as_the_client_does() {
    let fixture = Fixture::new();
    let proxy = [("host", "inner:1"), ("x-forwarded-host", "wsi.example"), ("x-forwarded-proto", "https")];
    let (headers, info) = json(&fixture, "/iiif/3/case%201%2Fa/info.json", &proxy).await;
    assert_eq!(info["id"], "https://wsi.example/iiif/3/case%201%2Fa");
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(info["sizes"].as_array().map(Vec::len), Some(11));
    assert_eq!(info["tiles"][0]["scaleFactors"], serde_json::json!([1, 2, 4]));
    let accept = [("accept", "application/ld+json"), ("host", "tiles:3007")];
    let (headers, info) = json(&fixture, "/iiif/2/case%201/a/info.json", &accept).await;
    assert_eq!(info["@id"], "http://tiles:3007/iiif/2/case%201/a");
    assert_eq!(headers["content-type"], "application/ld+json");
    let (status, headers, _) = fixture.ask("GET", "/iiif/3/case%201%2Fa", &[("host", "tiles:3007")]).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert_eq!(headers["location"], "http://tiles:3007/iiif/3/case%201%2Fa/info.json");
    for version in [2, 3] {
        let address = format!("/iiif/{version}/case%201%2Fa/");
        let (status, headers, _) = fixture.ask("GET", &address, &[("host", "tiles:3007")]).await;
        assert_eq!(status, StatusCode::SEE_OTHER);
        assert_eq!(headers["location"], format!("http://tiles:3007{address}info.json"));
    }
    let (_, manifest) = json(&fixture, "/iiif/presentation/3/case%201%2Fa/manifest.json", &proxy).await;
    let body = &manifest["items"][0]["items"][0]["items"][0]["body"];
    assert_eq!(body["service"][0]["id"], "https://wsi.example/iiif/3/case%201%2Fa");
    assert_eq!(manifest["items"][0]["width"], 1000);
    let links = fixture.ask("GET", "/iiif/3/case%201%2Fa/full/pct:10/90/gray.png", &proxy).await.1;
    let link = links["link"].to_str().expect("text");
    assert!(
        link.contains("<https://wsi.example/iiif/3/case%201%2Fa/full/100,70/90/gray.png>;rel=\"canonical\""),
        "{link}"
    );
    assert!(link.contains("<http://iiif.io/api/image/3/level2.json>;rel=\"profile\""), "{link}");
}

#[tokio::test]
async fn pictures_show_the_part_that_was_asked_for() {
    let fixture = Fixture::new();
    let slide = fixture.slide();
    let part = slide.read_region(0, Rect { x: 100, y: 200, width: 300, height: 250 }).expect("a region");
    for address in [
        "/region/case%201/a.jpg?x=100&y=200&w=300&h=250&quality=95",
        "/iiif/3/case%201%2Fa/100,200,300,250/max/0/default.jpg",
        "/region/case%201/a.jpg?unit=um&x=25&y=50&w=75&h=62.5",
    ] {
        let (status, _, body) = fixture.get(address).await;
        assert_eq!(status, OK, "{address}");
        let found = difference(&decoded(&body), &part);
        assert!(found < 4.0, "{address}: {found}");
    }
    // Tiles of the grid that most converters write, on every level, with their overlap at inner edges alone.
    for (number, level, rect) in [
        (10, 0, Rect { x: 253, y: 0, width: 256, height: 255 }),
        (9, 1, Rect { x: 253, y: 0, width: 247, height: 255 }),
    ] {
        let expected = slide.read_region(level, rect).expect("a region");
        let (_, _, body) = fixture.get(&format!("/dzi254/case%201/a_files/{number}/1_0.jpg")).await;
        assert!(difference(&decoded(&body), &expected) < 4.0, "{number}");
    }
    let (_, _, descriptor) = fixture.get("/dzi254/case%201/a.dzi").await;
    let descriptor = std::str::from_utf8(&descriptor).expect("XML");
    assert!(descriptor.contains(r#"Overlap="1" TileSize="254""#), "{descriptor}");
}

#[tokio::test]
async fn regions_have_the_size_that_was_asked_for() {
    let fixture = Fixture::new();
    // The slide: 0.25 um a pixel, 40x.
    for (query, expected) in [
        ("", (1000, 700)),
        ("width=100", (100, 70)),
        ("height=70", (100, 70)),
        ("width=100&height=100", (100, 70)),
        ("mpp=1", (250, 175)),
        ("magnification=10", (250, 175)),
        ("level=3", (125, 88)),
        ("x=-50&y=690&w=100&h=100", (50, 10)),
        ("width=2000", (2000, 1400)),
    ] {
        let (status, _, body) = fixture.get(&format!("/region/case%201/a.jpg?{query}")).await;
        assert_eq!(status, OK, "{query}");
        assert_eq!(size(&body), expected, "{query}");
    }
    for (address, expected) in
        [("/thumbnail/case%201/a.jpg", (256, 179)), ("/thumbnail/case%201/a.jpg?size=64", (64, 44))]
    {
        let (status, _, body) = fixture.get(address).await;
        assert_eq!((status, size(&body)), (OK, expected), "{address}");
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_what_is_too_large_too() {
    let fixture = Fixture::new();
    for (address, expected) in [
        ("/region/case%201/a.jpg?w=0", 400),
        ("/region/case%201/a.jpg?x=1000", 400),
        ("/region/case%201/a.jpg?x=nan", 400),
        ("/region/case%201/a.jpg?w=1e999", 400),
        ("/region/case%201/a.jpg?width=0", 400),
        ("/region/case%201/a.jpg?width=10&mpp=1", 400),
        ("/region/case%201/a.jpg?level=11", 400),
        ("/region/case%201/a.jpg?width=8193", 400),
        ("/region/case%201/a.jpg?mpp=0.000001", 400),
        ("/region/case%201/a.jpg?magnification=1e300", 400),
        ("/region/case%201/a.jpg?quality=0", 400),
        ("/region/case%201/a.jpg?format=tiff", 400),
        ("/region/case%201/a.jpg?icc=adobe", 400),
        ("/region/case%201/a.jpg?unit=mile", 400),
        ("/region/case%201/a.gif", 400),
        ("/thumbnail/case%201/a.TIFF", 400),
        ("/region/absent.jpg", 404),
        ("/thumbnail/case%201/a.jpg?size=0", 400),
        ("/thumbnail/case%201/a.jpg?size=2049", 400),
        ("/thumbnail/absent", 404),
        ("/associated/case%201/a/label", 404),
        ("/associated/label", 404),
        ("/histogram/absent", 404),
        ("/histogram/case%201/a?w=0", 400),
        ("/histogram/case%201/a?x=1000", 400),
        ("/slides/absent", 404),
        ("/dzi254/case%201/a_files/10/4_0.jpg", 404),
        ("/dzi254/case%201/a_files/11/0_0.jpg", 404),
        ("/xyz/case%201/a/3/0/0.jpg", 404),
        ("/xyz/case%201/a/0/0/1.jpg", 404),
        ("/xyz/case%201/a/0/0/0.gif", 404),
        ("/zoomify/case%201/a/TileGroup0/3-0-0.jpg", 404),
        ("/zoomify/case%201/a/TileGroupX/0-0-0.jpg", 400),
        ("/zoomify/case%201/a/TileGroup0/0-0.jpg", 400),
        ("/iiif/3/absent/info.json", 404),
        ("/iiif/3/absent/full/max/0/default.jpg", 404),
        ("/iiif/3/case%201%2Fa/full/^8193,/0/default.jpg", 400),
        ("/iiif/3/case%201%2Fa/full/1001,/0/default.jpg", 400),
        ("/iiif/3/case%201%2Fa/full/max/45/default.jpg", 501),
        ("/iiif/3/case%201%2Fa/full/max/0/default.tif", 501),
        ("/iiif/3/case%201%2Fa/full/max/0/native.jpg", 400),
        ("/iiif/4/case%201%2Fa/info.json", 404),
    ] {
        let (status, _, body) = fixture.get(address).await;
        assert_eq!(status.as_u16(), expected, "{address}: {body:?}");
    }
}

#[tokio::test]
async fn formats_are_chosen_by_extension_then_by_parameter_then_by_what_is_accepted() {
    let fixture = Fixture::new();
    let webp = [("accept", "image/avif,image/webp,*/*;q=0.8")];
    for (address, headers, expected, varies) in [
        ("/thumbnail/case%201/a.png", &[][..], "image/png", false),
        ("/thumbnail/case%201/a.png", &webp[..], "image/png", false),
        ("/thumbnail/case%201/a.png?format=webp", &[], "image/webp", false),
        ("/thumbnail/case%201/a?format=png", &[], "image/png", false),
        ("/thumbnail/case%201/a", &webp, "image/webp", true),
        ("/thumbnail/case%201/a", &[], "image/jpeg", true),
        ("/region/case%201/a", &[("accept", "image/png")], "image/png", true),
        ("/region/case%201/a", &[("accept", "image/jpeg;q=0.5,image/png;q=0.9")], "image/png", true),
        ("/region/case%201/a", &[("accept", "text/html")], "image/jpeg", true),
        ("/tiles/case%201/a/10/0_0.webp", &[], "image/webp", false),
        ("/tiles/case%201/a/10/0_0.jpg?format=png", &[], "image/png", false),
        ("/iiif/3/case%201%2Fa/full/10,/0/bitonal.webp", &[], "image/webp", false),
    ] {
        let (status, answer, body) = fixture.ask("GET", address, headers).await;
        assert_eq!((status, answer["content-type"].to_str().expect("text")), (OK, expected), "{address}");
        assert_eq!(answer.contains_key("vary"), varies, "{address}");
        let magic: &[u8] = match expected {
            "image/png" => b"\x89PNG",
            "image/webp" => b"RIFF",
            _ => &[0xFF, 0xD8, 0xFF],
        };
        assert!(body.starts_with(magic), "{address}");
    }
}

#[tokio::test]
async fn pictures_have_the_chroma_resolution_of_the_slides_tiles() {
    let fixture = Fixture::new();
    for (name, chroma, expected) in [
        ("420", Subsampling::Chroma420, [2, 2]),
        ("422", Subsampling::Chroma422, [2, 1]),
        ("444", Subsampling::Chroma444, [1, 1]),
    ] {
        let options = microtome_ingest::Options { chroma: Some(chroma), ..Default::default() };
        ingest_with("synthetic:500x400,seed=1", &fixture.root.path().join(format!("{name}.mtm")), options);
        for (address, expected) in [
            (format!("/tiles/{name}/9/0_0.jpg"), expected),
            (format!("/region/{name}.jpg?w=100&h=100"), expected),
            (format!("/region/{name}.jpg?w=100&h=100&quality=60"), expected),
            (format!("/region/{name}.jpg?w=100&h=100&quality=90"), [1, 1]),
            (format!("/dzi254/{name}_files/9/0_0.jpg"), expected),
            (format!("/iiif/3/{name}/10,10,100,100/max/0/default.jpg"), expected),
        ] {
            let (_, _, body) = fixture.get(&address).await;
            let luma = &jpeg::inspect(&body).expect("a JPEG").components[0];
            assert_eq!([luma.horizontal, luma.vertical], expected, "{address}");
        }
    }
}

#[tokio::test]
async fn a_picture_that_the_client_has_is_not_made_again() {
    let fixture = Fixture::new();
    let address = "/region/case%201/a.jpg?x=10&w=500&width=400";
    let (_, headers, first) = fixture.get(address).await;
    let (_, again, second) = fixture.get(address).await;
    assert_eq!((&headers["etag"], &first), (&again["etag"], &second));
    let etag = headers["etag"].to_str().expect("a tag");
    let (status, _, nothing) = fixture.ask("GET", address, &[("if-none-match", etag)]).await;
    assert_eq!((status, nothing), (StatusCode::NOT_MODIFIED, Bytes::new()));
    for other in ["x=11&w=500&width=400", "x=10&w=500&width=400&quality=84", "x=10&w=500&width=400&icc=keep"]
    {
        let (_, headers, _) = fixture.get(&format!("/region/case%201/a.jpg?{other}")).await;
        assert_ne!(headers["etag"], etag, "{other}");
    }
    let (_, headers, _) = fixture.ask("HEAD", address, &[]).await;
    assert_eq!(headers["content-length"], first.len().to_string());
}

#[tokio::test]
async fn a_slide_says_what_it_is() {
    let fixture = Fixture::new();
    let (_, slide) = json(&fixture, "/slides/case%201%2Fa", &[]).await;
    assert_eq!(
        (&slide["id"], &slide["width"], &slide["tileSize"]),
        (&"case 1/a".into(), &1000.into(), &256.into())
    );
    assert_eq!(slide["version"], fixture.slide().content_id().to_string());
    assert_eq!(slide["levels"].as_array().map(Vec::len), Some(11));
    for (name, link) in slide["links"].as_object().expect("links") {
        let link = link.as_str().expect("text").replace("{z}/{x}/{y}", "0/0/0");
        let (status, _, _) = fixture.get(&link).await;
        assert_eq!(status, OK, "{name}: {link}");
    }
    let (_, histogram) = json(&fixture, "/histogram/case%201/a", &[]).await;
    assert_eq!((&histogram["level"], &histogram["width"]), (&0.into(), &1000.into()));
    for channel in ["red", "green", "blue", "luma"] {
        let counts = histogram[channel].as_array().expect("counts");
        let sum: u64 = counts.iter().filter_map(Value::as_u64).sum();
        assert_eq!((counts.len(), sum), (256, 700_000), "{channel}");
    }
    let (headers, whole) = (json(&fixture, "/histogram/case%201/a", &[]).await.0, histogram);
    for (query, size) in
        [("x=900&y=200&w=50&h=40", [50, 40]), ("unit=um&x=0&y=0&w=10&h=5", [40, 20]), ("x=990", [10, 700])]
    {
        let (part, histogram) = json(&fixture, &format!("/histogram/case%201/a?{query}"), &[]).await;
        assert_eq!([&histogram["width"], &histogram["height"]], size, "{query}");
        assert!(part["etag"] != headers["etag"] && histogram["red"] != whole["red"], "{query}");
    }
}

#[tokio::test]
async fn a_damaged_tile_makes_no_picture() {
    let fixture = Fixture::new();
    let path = fixture.root.path().join("damaged.mtm");
    ingest("synthetic:600x500,seed=5", &path);
    let slide = microtome_slide::Slide::open(&path).expect("a slide");
    let record =
        slide.container().header().sections.iter().find(|s| s.kind == SectionKind::TILES).expect("tiles");
    // In the middle of the records: nothing else is damaged.
    let middle = (record.offset + record.length / 2) as usize;
    let mut bytes = std::fs::read(&path).expect("a file");
    bytes[middle..middle + 64].iter_mut().for_each(|byte| *byte ^= 0x55);
    std::fs::write(&path, bytes).expect("a file");
    assert_eq!(fixture.get("/slides/damaged").await.0, OK, "the slide opens");
    let (status, _, body) = fixture.get("/region/damaged.jpg").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{body:?}");
    assert!(body.len() < 200 && !body.starts_with(&[0xFF, 0xD8]));
}

/// Addresses that no program asks for.
const UNDESCRIBED: [&str; 4] = ["", "viewer", "assets", "openapi.json"];

#[tokio::test]
async fn every_route_is_described_and_every_description_has_a_route() {
    let first = |path: &str| path.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
    let routes: BTreeSet<_> = ADDRESSES.iter().map(|(path, _)| first(path)).collect();
    let (_, document) = json(&Fixture::new(), "/openapi.json", &[]).await;
    let described: BTreeSet<_> =
        document["paths"].as_object().expect("paths").keys().map(|path| first(path)).collect();
    let undescribed: BTreeSet<_> = UNDESCRIBED.map(str::to_owned).into();
    assert_eq!(routes, described.union(&undescribed).cloned().collect());
    assert!(described.is_disjoint(&undescribed));
}

#[tokio::test]
async fn the_description_names_a_slide_to_try_it_with() {
    let fixture = Fixture::new();
    let (_, document) = json(&fixture, "/openapi.json", &[]).await;
    let parameters = &document["components"]["parameters"];
    let example = |name: &str| parameters[name]["example"].as_str().unwrap_or_default();
    assert_eq!(example("slide"), "case 1/a");
    let [study, series, instance] = ["study", "series", "instance"].map(example);
    let address = format!("/dicomweb/studies/{study}/series/{series}/instances/{instance}/metadata");
    assert_eq!(fixture.get(&address).await.0, OK, "{address}");
    let empty = Fixture::with(|config| config.slides_root.push("case 2"));
    let (_, document) = json(&empty, "/openapi.json", &[]).await;
    assert_eq!(document["components"]["parameters"]["slide"]["example"], Value::Null);
}
