//! Tiles that are told by what they cover, and sizes: what is listed, what is asked for, what is given.

use http::StatusCode;

use super::span_of;
use crate::http_tests::Fixture;
use crate::picture_tests::{json, size};

#[tokio::test]
async fn the_whole_slide_is_as_large_as_was_asked_for() {
    let fixture = Fixture::new();
    // 1000 x 700 px, then levels of ... 16 x 11, 8 x 6, 4 x 3, 2 x 2 and 1 x 1 px.
    for (asked, expected) in [
        ("1,1", (1, 1)),
        ("1,", (1, 1)),
        (",1", (1, 1)),
        ("1,2", (1, 2)),
        ("2,1", (2, 1)),
        ("2,2", (2, 2)),
        ("8,5", (8, 5)),
        ("125,87", (125, 87)),
        ("62,44", (62, 44)),
    ] {
        for version in [2, 3] {
            let address = format!("/iiif/{version}/case%201%2Fa/full/{asked}/0/default.jpg");
            assert_eq!(size(&fixture.get(&address).await.2), expected, "{address}");
        }
    }
}

/// 1000 x 700 px in tiles of 256: the last ones of level 1, half of 488 x 188 px, and of level 2, a quarter of 1000 x 700, are tiles as long as
/// no other size is asked for by its numbers.
#[tokio::test]
async fn a_picture_has_the_size_that_its_numbers_say() {
    let fixture = Fixture::new();
    for (asked, expected) in [
        ("512,512,488,188/244,94", (244, 94)),
        ("512,512,488,188/244,", (244, 94)),
        ("512,512,488,188/!244,95", (244, 94)),
        ("512,512,488,188/!243,95", (243, 94)),
        ("512,512,488,188/243,94", (243, 94)),
        ("512,512,488,188/244,95", (244, 95)),
        ("512,512,488,188/pct:50", (244, 94)),
        ("0,0,1000,700/250,175", (250, 175)),
        ("0,0,1000,700/125,87", (125, 87)),
        ("0,0,1000,700/125,88", (125, 88)),
    ] {
        for version in [2, 3] {
            let address = format!("/iiif/{version}/case%201%2Fa/{asked}/0/default.jpg");
            let (status, headers, body) = fixture.get(&address).await;
            assert_eq!((status, size(&body)), (StatusCode::OK, expected), "{address}");
            let canonical = headers["link"].to_str().expect("text");
            let (width, height) = expected;
            let sizes = [format!("/{width},{height}/0/"), format!("/{width},/0/")];
            assert!(sizes.iter().any(|size| canonical.contains(size)), "{address}: {canonical}");
        }
    }
}

#[tokio::test]
async fn every_size_in_a_list_of_sizes_may_be_asked_for() {
    // 1000 x 700 px are too many.
    let fixture = Fixture::with(|config| config.max_area = 500 * 350);
    for version in [2, 3] {
        let (_, info) = json(&fixture, &format!("/iiif/{version}/case%201%2Fa/info.json"), &[]).await;
        let sizes = info["sizes"].as_array().expect("sizes");
        let sides = sizes.iter().map(|size| [&size["width"], &size["height"]].map(|side| side.as_u64()));
        let sides: Vec<_> = sides.map(|side| side.map(Option::unwrap_or_default)).collect();
        let expected =
            [[1, 1], [2, 2], [4, 3], [8, 6], [16, 11], [32, 22], [63, 44], [125, 88], [250, 175], [500, 350]];
        assert_eq!(sides, expected);
        for [width, height] in sides {
            let address = format!("/iiif/{version}/case%201%2Fa/full/{width},{height}/0/default.jpg");
            let (status, _, body) = fixture.get(&address).await;
            assert_eq!((status, size(&body)), (StatusCode::OK, (width as u32, height as u32)), "{address}");
        }
    }
}

#[tokio::test]
async fn tiles_are_listed_where_they_may_be_asked_for() {
    // Of 256 x 256 px.
    for (side, listed) in [(256, true), (255, false)] {
        let fixture = Fixture::with(|config| config.max_pixels = side);
        for version in [2, 3] {
            let (_, info) = json(&fixture, &format!("/iiif/{version}/case%201%2Fa/info.json"), &[]).await;
            assert_eq!(info["tiles"].is_array(), listed, "version {version}, sides of {side} px at most");
            let address = format!("/iiif/{version}/case%201%2Fa/0,0,512,512/256,256/0/default.jpg");
            assert_eq!(fixture.get(&address).await.0.is_success(), listed, "{address}, {side} px at most");
        }
    }
}

#[test]
fn tiles_are_told_by_what_they_cover() {
    // 1000 px: levels of 1000, 500, 250 px.
    for (level, start, length, size, expected) in [
        (0, 0, 256, 256, Some((0, 256))),
        (0, 768, 232, 232, Some((3, 232))),
        (1, 0, 512, 256, Some((0, 256))),
        (1, 512, 488, 244, Some((1, 244))),
        (2, 0, 1000, 250, Some((0, 250))),
        (3, 0, 1000, 125, Some((0, 125))),
        (4, 0, 1000, 63, Some((0, 63))),
        (4, 0, 1000, 62, Some((0, 63))),
        (4, 0, 1000, 61, None),
        (0, 0, 256, 255, None),
        (0, 1, 256, 256, None),
        (0, 0, 255, 255, None),
        (1, 256, 512, 256, None),
        (10, 0, 1000, 1, Some((0, 1))),
    ] {
        let own = 1000_u32.div_ceil(1 << level);
        let found = span_of([256, own], level, start, length, 1000, size);
        assert_eq!(found, expected, "{level} {start} {length} {size}");
    }
}

#[test]
fn tiles_of_levels_that_were_rounded_down_are_their_own_size() {
    // 2967 px: levels of 2967, 1483, 741 px, in tiles of 500 px.
    for (full, own, level, start, length, size, expected) in [
        (2967, 1483, 1, 2000, 967, 484, Some((2, 483))),
        (2967, 1483, 1, 2000, 967, 483, Some((2, 483))),
        (2967, 1483, 1, 2000, 967, 482, None),
        (2967, 741, 2, 2000, 967, 242, Some((1, 241))),
        (2967, 741, 2, 2000, 967, 241, Some((1, 241))),
        (2967, 741, 2, 0, 2000, 500, Some((0, 500))),
        // A last pixel that fell away.
        (1001, 500, 1, 1000, 1, 1, None),
    ] {
        let found = span_of([500, own], level, start, length, full, size);
        assert_eq!(found, expected, "{own} {start} {length} {size}");
    }
}

#[test]
fn linked_data_is_for_who_likes_it_better_than_json() {
    for (accept, is_linked) in [
        (None, false),
        (Some("*/*"), false),
        (Some("application/json"), false),
        (Some("application/ld+json"), true),
        (Some("APPLICATION/LD+JSON;profile=\"x\""), true),
        (Some("application/ld+json;q=0.9, application/json;q=0.8"), true),
        (Some("application/json;q=0.9,application/ld+json;q=0.2"), false),
        (Some("application/ld+json;q=0, application/json"), false),
        (Some("text/html"), false),
    ] {
        let value = accept.map(|accept| http::HeaderValue::from_str(accept).expect("a header"));
        let headers = value.map(|value| (http::header::ACCEPT, value)).into_iter().collect();
        assert_eq!(super::content_type(&headers, "linked") == "linked", is_linked, "{accept:?}");
    }
}

#[tokio::test]
async fn services_have_an_identity_and_dotted_names_deep_down_an_address() {
    let fixture = Fixture::new();
    let slide = fixture.root.path().join("2026/05/lab/case/s.ome.mtm");
    std::fs::create_dir_all(slide.parent().expect("a folder")).expect("folders");
    crate::http_tests::ingest("synthetic:300x200", &slide);
    for version in [2, 3] {
        let address = format!("/iiif/{version}/2026/05/lab/case/s.ome");
        let (status, headers, _) = fixture.get(&address).await;
        assert_eq!(status, StatusCode::SEE_OTHER, "{address}");
        assert!(headers["location"].to_str().expect("text").ends_with(&format!("{address}/info.json")));
        let none = fixture.get(&format!("/iiif/{version}/2026/05/lab/case/t.ome")).await;
        assert_eq!(none.0, StatusCode::NOT_FOUND);
    }
    let (_, info) = json(&fixture, "/iiif/3/2026/05/lab/case/s.ome/info.json", &[]).await;
    let service = &info["service"][0];
    assert!(
        service["@id"].as_str().is_some_and(|id| id.starts_with("http")) && service["@type"].is_string(),
        "{service}"
    );
}
