use std::path::Path;

use super::*;

fn root(folder: &Path) -> Arc<Root> {
    Arc::new(Root::new(folder).expect("a folder"))
}

fn list(folder: &Path) -> Vec<(SlideId, u64)> {
    let listed = root(folder).list().expect("a list").expect("a folder").into_iter();
    listed.map(|listed| (listed.id, listed.bytes)).collect()
}

fn ids(folder: &Path) -> Vec<String> {
    list(folder).iter().map(|(id, _)| id.to_string()).collect()
}

#[test]
fn lists_containers_of_all_folders_in_order() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path();
    std::fs::create_dir_all(root.join("b/c")).expect("folders");
    std::fs::create_dir_all(root.join(".git")).expect("folders");
    std::fs::create_dir_all(root.join("folder.mtm")).expect("folders");
    for name in ["z.mtm", "b/c/a b.mtm", "b/x.mtm", ".hidden.mtm", ".git/a.mtm", "a.mtm.part", "mtm", ".mtm"]
    {
        std::fs::write(root.join(name), b"12345").expect("a file");
    }
    assert_eq!(ids(root), ["b/c/a b", "b/x", "z"]);
    let json = to_json(list(root).iter(), &Page::default()).expect("JSON");
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    let expected = serde_json::json!({
        "id": "b/c/a b",
        "bytes": 5,
        "viewer": "/viewer/b/c/a%20b",
        "dzi": "/dzi/b/c/a%20b.dzi",
        "thumbnail": "/thumbnail/b/c/a%20b.jpg",
    });
    assert_eq!((&json["slides"][0], &json["total"]), (&expected, &3.into()));
}

#[tokio::test]
async fn pages_are_parts_of_what_was_searched_for() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["Ax.mtm", "ay.mtm", "Az.mtm", "Muller_Hans_1950.mtm"] {
        std::fs::write(folder.path().join(name), b"12345").expect("a file");
    }
    let listing = Listing::new(root(folder.path()));
    for (query, expected, total) in [
        ("search=a&limit=2", &["Ax", "Az"][..], 4),
        ("search=A&limit=2&offset=3", &["ay"], 4),
        ("offset=9", &[], 4),
        ("search=", &["Ax", "Az", "Muller_Hans_1950", "ay"], 4),
        ("search=+", &["Ax", "Az", "Muller_Hans_1950", "ay"], 4),
        ("search=hans+1950", &["Muller_Hans_1950"], 1),
        ("search=1950++HANS+mull", &["Muller_Hans_1950"], 1),
        ("search=hans+1951", &[], 0),
    ] {
        let page = Page::read(&Query::read(Some(query)).expect("a query")).expect("a page");
        let json = listing.json(None, &page).await.expect("a list");
        let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        let ids = json["slides"].as_array().expect("slides").iter().map(|slide| slide["id"].as_str());
        assert_eq!(ids.flatten().collect::<Vec<_>>(), expected, "{query}");
        assert_eq!(json["total"], total, "{query}");
    }
    // Whatever stands between words, in any order, however an accent is written.
    std::fs::write(folder.path().join("Case_12-Ju\u{308}rgen.mtm"), b"12345").expect("a file");
    let listing = Listing::new(root(folder.path()));
    for (query, total) in [
        ("search=case+12", 1),
        ("search=12.case", 1),
        ("search=J%C3%9CRGEN", 1),
        ("search=ju%CC%88rgen%2F12", 1),
        ("search=case+13", 0),
        ("search=_", 5),
    ] {
        let page = Page::read(&Query::read(Some(query)).expect("a query")).expect("a page");
        let json = listing.json(None, &page).await.expect("a list");
        let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        assert_eq!(json["total"], total, "{query}");
    }
    for query in ["limit=0", "limit=10001", "limit=x", "offset=-1", "limit=1.5"] {
        assert!(Page::read(&Query::read(Some(query)).expect("a query")).is_err(), "{query}");
    }
}

#[tokio::test]
async fn a_root_that_does_not_exist_is_empty_and_known_not_to_be_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (place, is_there) in [(folder.path().join("absent"), false), (folder.path().to_owned(), true)] {
        let listing = Listing::new(root(&place));
        assert_eq!(listing.has_root().await.expect("an answer"), is_there);
        assert_eq!(listing.json(None, &Page::default()).await.expect("a list"), r#"{"slides":[],"total":0}"#);
    }
}
