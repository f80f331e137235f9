//! Pictures of instances by the addresses that lead to them. The slide has 1000 x 700 px.

use http::StatusCode;
use microtome_codec::Rgb;
use microtome_render::turned;
use microtome_slide::Rect;
use serde_json::Value;

use crate::http_tests::Fixture;
use crate::picture_tests::{decoded, difference, json};

/// The address of the instance that is level 0.
async fn full_resolution(fixture: &Fixture) -> String {
    let (_, slide) = json(fixture, "/slides/case%201/a", &[]).await;
    let series = slide["links"]["dicomweb"].as_str().expect("a link").to_owned();
    let (_, found) = json(fixture, &format!("{series}/instances"), &[]).await;
    let columns = |one: &&Value| one["00280011"]["Value"][0] == 1000 || one["00480006"]["Value"][0] == 1000;
    let instances = found.as_array().expect("instances");
    let full = instances.iter().find(columns).unwrap_or(&instances[0]);
    format!("{series}/instances/{}", full["00080018"]["Value"][0].as_str().expect("an identifier"))
}

#[tokio::test]
async fn a_viewport_of_lengths_below_zero_is_flipped() {
    let fixture = Fixture::new();
    let address = full_resolution(&fixture).await;
    let part = fixture.slide().read_region(0, Rect { x: 100, y: 50, width: 300, height: 200 });
    let part = part.expect("a region");
    let rendered = async |viewport: &str| -> Rgb {
        let (status, _, body) = fixture.get(&format!("{address}/rendered?viewport={viewport}")).await;
        assert_eq!(status, StatusCode::OK, "{viewport}: {body:?}");
        decoded(&body)
    };
    for (viewport, mirrored, quarter_turns) in [
        ("300,200,100,50,300,200", false, 0),
        ("300,200,100,50,-300,200", true, 0),
        ("300,200,100,50,300,-200", true, 2),
        ("300,200,100,50,-300,-200", false, 2),
    ] {
        let expected = turned(part.clone(), mirrored, quarter_turns);
        let found = difference(&rendered(viewport).await, &expected);
        assert!(found < 4.0, "{viewport}: {found}");
    }
    // What lies on the image of a part that reaches beyond it.
    let corner = rendered("600,600,900,650,600,600").await;
    assert_eq!((corner.width(), corner.height()), (600, 300));
    let (status, _, _) = fixture.get(&format!("{address}/rendered?viewport=9,9,1000,0,1,1")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}
