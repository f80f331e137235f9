//! Slides in a bucket: the built binary beside an object storage that fails when it is told to.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/s3.rs"]
mod s3;
mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use s3::{Fault, OddList, Storage};
use support::{Server, command, contain, fail, folder, http};

const ROOT: &str = "s3://slides/lab";
/// Of several blocks.
const LONG: &str = "synthetic:3000x3000,seed=4";
const LONGER: &str = "synthetic:3000x3100,seed=5";
/// So that no answer names the port.
const BASE: [&str; 2] = ["--base-url", "http://slides.example.org"];

/// Time until what failed is asked for again.
fn let_failures_pass() {
    std::thread::sleep(Duration::from_millis(1100));
}

/// Containers in a folder and, under `lab/`, in a storage.
fn slides(sources: &[(&str, &str)]) -> (tempfile::TempDir, Storage) {
    let (folder, storage) = (folder(), Storage::start());
    for (name, source) in sources {
        let file = format!("{name}.mtm");
        std::fs::create_dir_all(folder.path().join(&file).parent().unwrap()).unwrap();
        let bytes = std::fs::read(contain(folder.path(), &file, source)).unwrap();
        storage.put(&format!("lab/{file}"), bytes);
    }
    (folder, storage)
}

fn serve(storage: &Storage, more: &[&str]) -> Server {
    Server::start_with(Path::new(ROOT), more, &storage.variables())
}

/// Addresses of all tiles of level 0 of a slide of 1100 x 700 px.
fn tiles(slide: &str) -> Vec<String> {
    (0..3)
        .flat_map(|row| (0..5).map(move |column| (column, row)))
        .map(|(column, row)| format!("/tiles/{slide}/11/{column}_{row}.jpg"))
        .collect()
}

#[test]
fn a_bucket_is_served_as_a_folder_is() {
    let (folder, storage) = slides(&[
        ("a", "synthetic:1100x700"),
        ("case 7/ä & b", "synthetic:300x200,seed=2"),
        ("case 7/c", "synthetic:300x200,seed=3"),
    ]);
    storage.put("lab/notes.txt", b"no slide".to_vec());
    storage.put("lab/.hidden.mtm", b"hidden".to_vec());
    storage.put("elsewhere/d.mtm", b"not below the prefix".to_vec());
    let (bucket, folder) = (serve(&storage, &BASE), Server::start(folder.path(), &BASE));
    let ids = ["a", "case%207/%C3%A4%20%26%20b", "case%207/c"];
    let of_slide = |id: &str| {
        [
            format!("/dzi/{id}.dzi"),
            format!("/iiif/3/{id}/info.json"),
            format!("/thumbnail/{id}.jpg"),
            format!("/region/{id}.jpg?x=10&y=20&w=200&h=100"),
        ]
    };
    let fixed = [
        "/slides",
        "/slides?search=c",
        "/readyz",
        "/dicomweb/series",
        "/tiles/none/8/0_0.jpg",
        "/tiles/a/11/9_9.jpg",
    ];
    let addresses =
        fixed.into_iter().map(str::to_owned).chain(ids.iter().flat_map(|id| of_slide(id))).chain(tiles("a"));
    for address in addresses {
        let (there, here) = (bucket.get(&address), folder.get(&address));
        let log = || bucket.log.try_iter().collect::<Vec<_>>();
        assert_eq!(there.status, here.status, "{address}: {:?}", log());
        assert_eq!(there.header("etag"), here.header("etag"), "{address}");
        assert!(there.body == here.body, "{address}");
    }
    // A page names a slide by its pseudonym, which takes a look into all of them.
    let page = bucket.get("/viewer/case%207/c");
    let pseudonym = page.text().split('@').nth(1).map(|rest| &rest[..16]).unwrap();
    assert_eq!(bucket.get(&format!("/dzi/@{pseudonym}.dzi")).body, folder.get("/dzi/case%207/c.dzi").body);
}

#[test]
fn opening_and_all_tiles_of_a_small_slide_take_one_question() {
    let (_folder, storage) = slides(&[("a", "synthetic:1100x700")]);
    let server = serve(&storage, &["--cache-mb", "0"]);
    storage.asked();
    for _ in 0..2 {
        for tile in tiles("a") {
            assert_eq!(server.get(&tile).status, 200);
        }
    }
    assert_eq!(storage.asked(), ["GET /slides/lab/a.mtm"]);
}

#[test]
fn what_fails_once_is_asked_for_again() {
    let (folder, storage) = slides(&[("a", "synthetic:1100x700"), ("b", "synthetic:1100x700,seed=2")]);
    let (server, local) = (serve(&storage, &[]), Server::start(folder.path(), &[]));
    for (slide, faults) in
        [("a", [Fault::Refuses, Fault::BreaksOff]), ("b", [Fault::BreaksOff, Fault::Stalls])]
    {
        storage.fail(&faults, false);
        let tile = &tiles(slide)[3];
        let answer = server.get(tile);
        assert_eq!(answer.status, 200, "{slide}: {}", answer.text());
        assert!(answer.body == local.get(tile).body);
    }
}

#[test]
fn storage_that_goes_on_failing_is_an_error_in_time_and_says_when_to_come_back() {
    let (_folder, storage) = slides(&[("a", "synthetic:1100x700"), ("b", "synthetic:300x200")]);
    let server = serve(&storage, &[]);
    let kept = server.get("/tiles/b/9/0_0.jpg").body;
    for fault in [Fault::Refuses, Fault::Stalls, Fault::BreaksOff] {
        storage.fail(&[fault], true);
        let begun = Instant::now();
        let answer = server.get(&tiles("a")[0]);
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{fault:?}");
        assert!(
            answer.text().contains("storage") && !answer.text().contains("127.0.0.1"),
            "{}",
            answer.text()
        );
        assert!(begun.elapsed() < Duration::from_secs(12), "{fault:?}: {:?}", begun.elapsed());
        let line = server.log.recv_timeout(Duration::from_secs(5)).unwrap();
        assert!(line.contains("lab/a.mtm") && !line.contains("a-secret"), "{line}");
        // What is kept is given out all the same.
        assert!(server.get("/tiles/b/9/0_0.jpg").body == kept);
    }
    storage.fail(&[], false);
    let_failures_pass();
    assert_eq!(server.get(&tiles("a")[0]).status, 200);
}

#[test]
fn wrong_bytes_are_no_picture() {
    let (folder, storage) = slides(&[("a", LONG)]);
    let (server, local) = (serve(&storage, &["--cache-mb", "0"]), Server::start(folder.path(), &[]));
    storage.fail(&[Fault::OtherBytes], true);
    let tiles: Vec<_> = (0..12)
        .flat_map(|row| (0..12).map(move |column| format!("/tiles/a/12/{column}_{row}.jpg")))
        .collect();
    // The first bytes cannot be others.
    let served: Vec<_> = tiles.iter().map(|tile| (server.get(tile), local.get(tile).body)).collect();
    let damaged = served.iter().filter(|(answer, _)| answer.status == 500).count();
    assert!(damaged > 0, "the slide is longer than a block");
    assert!(served.iter().all(|(answer, right)| answer.status == 500 || answer.body == *right));
}

#[test]
fn wrong_bytes_that_came_once_are_not_kept() {
    let (folder, storage) = slides(&[("a", LONG)]);
    let (server, local) = (serve(&storage, &["--cache-mb", "0"]), Server::start(folder.path(), &[]));
    // From the end of the slide: the first block is there when it is open.
    let tile = |n: usize| format!("/tiles/a/12/{}_11.jpg", 11 - n);
    let right = |n: usize| local.get(&tile(n)).body;
    assert_eq!(server.get("/tiles/a/8/0_0.jpg").status, 200);
    storage.fail(&[Fault::OtherBytes], false);
    assert!(server.get(&tile(0)).body == right(0), "asked for again");
    let (_other, storage) = slides(&[("a", LONG)]);
    let server = serve(&storage, &["--cache-mb", "0"]);
    assert_eq!(server.get("/tiles/a/8/0_0.jpg").status, 200);
    storage.fail(&[Fault::OtherBytes; 2], false);
    assert_eq!(server.get(&tile(0)).status, 500, "wrong twice");
    let_failures_pass();
    assert!(server.get(&tile(0)).body == right(0));
}

#[test]
fn what_may_not_be_read_or_is_gone_is_not_called_damaged() {
    let (_folder, storage) = slides(&[("a", LONG), ("b", LONG)]);
    let server = serve(&storage, &["--cache-mb", "0"]);
    for slide in ["a", "b"] {
        assert_eq!(server.get(&format!("/tiles/{slide}/8/0_0.jpg")).status, 200);
    }
    storage.fail(&[Fault::Says("403 Forbidden")], true);
    let answer = server.get("/tiles/a/12/11_11.jpg");
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("cannot be read"), "{}", answer.text());
    storage.fail(&[], false);
    assert_eq!(server.get("/tiles/a/12/11_11.jpg").status, 200);
    storage.remove("lab/b.mtm");
    // One that was opened less than a second ago is not opened anew.
    let_failures_pass();
    let tile = || server.get("/tiles/b/12/11_11.jpg");
    assert_eq!((tile().status, tile().status), (503, 404));
}

#[test]
fn names_that_are_no_slides_do_not_spoil_the_list() {
    let (folder, storage) = slides(&[("a", "synthetic:300x200"), ("b/c", "synthetic:300x200")]);
    let odd = ["a//b.mtm", "./x.mtm", "../y.mtm", "b/../z.mtm", "a.mtm/", "tab\t.mtm", "/a.mtm", "", "b/"];
    for key in odd {
        storage.put(&format!("lab/{key}"), b"odd".to_vec());
    }
    storage.put("lab/empty.mtm", Vec::new());
    let (server, local) = (serve(&storage, &BASE), Server::start(folder.path(), &BASE));
    assert_eq!(server.get("/slides").text(), local.get("/slides").text());
    assert_eq!(server.get("/tiles/empty/8/0_0.jpg").status, 500, "there, and no container");
    assert_eq!(server.get("/tiles/a%2F/8/0_0.jpg").status, 400);
}

#[test]
fn a_list_that_does_not_come_is_the_last_one_and_one_that_is_refused_is_none() {
    let (_folder, storage) = slides(&[("a", "synthetic:300x200")]);
    let server = serve(&storage, &[]);
    let list = server.get("/slides").text().to_owned();
    assert!(list.contains("\"a\""));
    assert_eq!(server.get("/readyz").status, 200);
    storage.list_as(Some(OddList::Says("503 Slow Down", "<Error/>")));
    std::thread::sleep(Duration::from_secs(11));
    assert_eq!(server.get("/slides").text(), list);
    assert_eq!(server.get("/readyz").status, 200);
    assert!(server.log.try_iter().any(|line| line.contains("last list")));
    for (status, body, expected) in [
        ("403 Forbidden", "<Error/>", 500),
        ("200 OK", "<html>Sign in, please</html>", 500),
        ("404 Not Found", "<Error/>", 500),
        ("404 Not Found", "<Error><Code>NoSuchBucket</Code></Error>", 503),
    ] {
        storage.list_as(Some(OddList::Says(status, body)));
        let_failures_pass();
        assert_eq!(server.get("/readyz").status, expected, "{status}");
    }
}

#[test]
fn a_list_without_an_end_ends() {
    let (_folder, storage) = slides(&[("a", "synthetic:300x200")]);
    for (odd, most) in [(OddList::Endless, 10), (OddList::EmptyPages, 2000), (OddList::Circle, 3)] {
        let server = serve(&storage, &[]);
        storage.list_as(Some(odd));
        storage.asked();
        assert!(server.get("/slides").status >= 500, "{odd:?}");
        let asked = storage.asked().len();
        assert!(asked <= most, "{odd:?}: {asked}");
        let memory = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap_or_default();
        let most = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"));
        assert!(most.is_none_or(|most| most.trim().parse::<u64>().unwrap() < 300_000), "{odd:?}: {most:?}");
    }
}

/// The first tile of a slide, and then all of them in turn until another slide that was put in its place is served.
fn replace(is_weak: bool) {
    let (folder, storage) = slides(&[("a", LONG)]);
    if is_weak {
        storage.tag_weakly();
    }
    let other = contain(folder.path(), "other.mtm", LONGER);
    let (server, local) = (serve(&storage, &["--cache-mb", "0"]), Server::start(folder.path(), &[]));
    let at = |name: &str, n: usize| format!("/tiles/{name}/12/{}_{}.jpg", n % 12, n / 12);
    assert!(server.get(&at("a", 0)).body == local.get(&at("a", 0)).body);
    assert!(server.get(&at("a", 143)).body == local.get(&at("a", 143)).body);
    storage.put("lab/a.mtm", std::fs::read(other).unwrap());
    let (begun, mut fresh) = (Instant::now(), 0);
    for n in (0..144).cycle().take_while(|_| begun.elapsed() < Duration::from_secs(30)) {
        let answer = server.get(&at("a", n));
        let [old, new] = ["a", "other"].map(|name| local.get(&at(name, n)).body);
        assert!(answer.status == 503 || answer.body == old || answer.body == new, "{}", answer.status);
        fresh += usize::from(answer.body == new);
        if fresh > 20 {
            return;
        }
    }
    panic!("the old slide is still served");
}

#[test]
fn an_object_that_is_replaced_is_opened_anew() {
    replace(false);
}

#[test]
fn a_weak_tag_names_no_version_and_still_tells_one_from_another() {
    replace(true);
}

#[test]
fn a_bucket_that_is_not_there_is_no_slides_root_and_slides_come_and_go() {
    let storage = Storage::start();
    let server = Server::start_with(Path::new("s3://none/lab"), &[], &storage.variables());
    assert_eq!(server.get("/readyz").status, 503);
    assert_eq!(server.get("/tiles/a/8/0_0.jpg").status, 404);
    let (_folder, storage) = slides(&[("a", "synthetic:300x200")]);
    let stranger: Vec<_> = storage
        .variables()
        .into_iter()
        .map(|(name, value)| (name, value.replace("someone", "nobody")))
        .collect();
    let server = Server::start_with(Path::new(ROOT), &[], &stranger);
    let answer = server.get("/tiles/a/9/0_0.jpg");
    assert_eq!(answer.status, 500, "{}", answer.text());
}

#[test]
fn an_address_that_is_none_is_refused() {
    for (address, what) in [
        ("s3://", "s3://bucket/prefix"),
        ("s3://a b/c", "s3://bucket/prefix"),
        ("s3://a/../b", "s3://bucket/prefix"),
    ] {
        let line = fail(2, ["serve", "--port", "0", "--slides-root", address]);
        assert!(line.contains(what), "{line}");
    }
}

#[test]
fn settings_that_make_no_sense_are_told_at_the_start() {
    for (name, value) in [
        ("AWS_ENDPOINT_URL", "minio:9000"),
        ("AWS_ENDPOINT_URL", "http://minio.example.org:9000"),
        ("AWS_ENDPOINT_URL", "https://me:secret@minio.example.org"),
        ("AWS_REGION", "eu west"),
        ("AWS_ALLOW_HTTP", "perhaps"),
    ] {
        let mut server = command();
        server.args(["--port", "0", "--slides-root", "S3://slides/lab"]);
        server.env_remove("AWS_ALLOW_HTTP").env_remove("AWS_ENDPOINT_URL");
        let output = server.env(name, value).output().unwrap();
        let line = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}={value}: {line}");
        let told = name
            .replace("ENDPOINT_URL", if value.starts_with("http:") { "ALLOW_HTTP" } else { "ENDPOINT_URL" });
        assert!(line.lines().count() == 1 && line.contains(&told) && !line.contains("secret"), "{line}");
    }
}

#[test]
fn a_study_that_cannot_be_had_is_not_left_out_of_those_that_there_are() {
    let (_folder, storage) = slides(&[("a", "synthetic:300x200"), ("b", "synthetic:300x200,seed=2")]);
    let server = serve(&storage, &[]);
    storage.fail(&[Fault::Refuses], true);
    assert_eq!(server.get("/dicomweb/studies").status, 503);
    assert_eq!(server.get("/dzi/@0123456789abcdef.dzi").status, 503, "perhaps there is one");
    storage.fail(&[], false);
    std::thread::sleep(Duration::from_millis(2100));
    let studies = server.get("/dicomweb/studies").text().to_owned();
    assert_eq!(studies.matches("0020000D").count(), 2, "{studies}");
    assert_eq!(server.get("/dzi/@0123456789abcdef.dzi").status, 404);
}

#[test]
fn what_cannot_be_had_takes_nothing_with_it_and_is_not_said_to_be_absent() {
    let (_folder, storage) = slides(&["a", "b", "c"].map(|name| (name, "synthetic:300x200")));
    let pseudonym = |server: &Server, name: &str| {
        server
            .get(&format!("/viewer/{name}"))
            .text()
            .split('@')
            .nth(1)
            .map(|rest| rest[..16].to_owned())
            .unwrap()
    };
    let of = |server: &Server, pseudonym: &str| server.get(&format!("/dzi/@{pseudonym}.dzi")).status;
    let [a, c] = ["a", "c"].map(|name| pseudonym(&serve(&storage, &[]), name));
    // After a restart one of three cannot be had.
    storage.fail_of("lab/b.mtm", Some(Fault::Refuses));
    let server = serve(&storage, &[]);
    assert_eq!((of(&server, &a), of(&server, "0123456789abcdef")), (200, 503));
    assert_eq!(server.get("/dicomweb/studies").status, 503, "one may be missing");
    storage.asked();
    std::thread::sleep(Duration::from_millis(2100));
    assert_eq!(of(&server, &c), 200);
    let asked = storage.asked();
    let is_of = |name: &str| asked.iter().any(|asked| asked.ends_with(name));
    assert!(is_of("b.mtm") && !is_of("a.mtm"), "those that were read are not read again: {asked:?}");
    storage.fail_of("lab/b.mtm", None);
    std::thread::sleep(Duration::from_millis(2100));
    assert_eq!((of(&server, "0123456789abcdef"), server.get("/dicomweb/studies").status), (404, 200));
    // A new one cannot be had.
    storage.put("lab/d.mtm", storage.object("lab/a.mtm"));
    storage.fail_of("lab/d.mtm", Some(Fault::Refuses));
    std::thread::sleep(Duration::from_secs(11));
    assert_eq!((of(&server, &a), of(&server, "0123456789abcdef")), (200, 503));
}

#[test]
fn instances_that_cannot_be_had_are_not_left_out() {
    let (_folder, storage) = slides(&[("a", "synthetic:300x200"), ("b", "synthetic:300x200,seed=2")]);
    let server = serve(&storage, &[]);
    let all = server.get("/dicomweb/studies");
    assert_eq!(all.status, 200);
    // They are known, and not open.
    storage.fail(&[Fault::Refuses], true);
    assert_eq!(server.get("/dicomweb/instances").status, 503);
    storage.fail(&[], false);
    std::thread::sleep(Duration::from_millis(1100));
    let instances = server.get("/dicomweb/instances");
    // Two images each.
    assert_eq!((instances.status, instances.text().matches("00080018").count()), (200, 4));
    assert_eq!(server.get("/dicomweb/instances?ModalitiesInStudy=SM").text(), instances.text());
    // One is replaced by what cannot be had.
    storage.put("lab/b.mtm", storage.object("lab/a.mtm"));
    storage.fail_of("lab/b.mtm", Some(Fault::Refuses));
    std::thread::sleep(Duration::from_secs(11));
    assert_eq!(server.get("/dicomweb/studies").status, 503);
    storage.fail_of("lab/b.mtm", None);
    std::thread::sleep(Duration::from_millis(2100));
    assert_eq!(server.get("/dicomweb/studies").text().matches("0020000D").count(), 1);
}

#[test]
fn slides_beside_many_that_cannot_be_had_are_found() {
    let (_folder, storage) = slides(&[]);
    let folder = support::folder();
    let slide = std::fs::read(contain(folder.path(), "a.mtm", "synthetic:300x200")).unwrap();
    let names: Vec<_> = (0..64).map(|number| format!("lab/{number:02}.mtm")).collect();
    for (number, name) in names.iter().enumerate() {
        storage.put(name, slide.clone());
        if number % 4 != 3 {
            storage.fail_of(name, Some(Fault::Refuses));
        }
    }
    let server = serve(&storage, &[]);
    let mut left: Vec<_> = names.iter().skip(3).step_by(4).collect();
    for _ in 0..8 {
        assert_eq!(server.get("/dicomweb/studies").status, 503);
        let asked = storage.asked();
        left.retain(|name| !asked.iter().any(|asked| asked.contains(&***name)));
        std::thread::sleep(Duration::from_millis(2100));
    }
    assert!(left.is_empty(), "never asked for: {left:?}");
}

#[test]
fn a_slide_that_is_damaged_where_it_is_does_not_cost_a_look_each_time() {
    let (_folder, storage) = slides(&[("a", LONG)]);
    let server = serve(&storage, &["--cache-mb", "0"]);
    assert_eq!(server.get("/tiles/a/8/0_0.jpg").status, 200);
    storage.fail(&[Fault::OtherBytes], true);
    storage.asked();
    for _ in 0..20 {
        assert_eq!(server.get("/tiles/a/12/11_11.jpg").status, 500);
    }
    let asked = storage.asked();
    assert!(asked.len() < 10, "{asked:?}");
}

#[test]
fn what_fails_or_is_not_there_is_asked_for_once_a_second() {
    let (_folder, storage) = slides(&[("a", "synthetic:300x200"), ("b", "synthetic:300x200,seed=2")]);
    let server = serve(&storage, &[]);
    assert_eq!((server.get("/readyz").status, server.get("/readyz").status), (200, 200));
    let asked = storage.asked();
    assert!(asked.len() == 1 && asked[0].contains("max-keys=1"), "whether there is a bucket: {asked:?}");
    storage.list_as(Some(OddList::Says("403 Forbidden", "<Error/>")));
    for (address, expected) in [
        ("/tiles/none/8/0_0.jpg", 404),
        ("/slides", 500),
        ("/dicomweb/studies", 500),
        ("/dzi/@0123456789abcdef.dzi", 500),
    ] {
        let begun = Instant::now();
        for _ in 0..20 {
            assert_eq!(server.get(address).status, expected, "{address}");
        }
        let (asked, seconds) = (storage.asked(), begun.elapsed().as_secs() as usize);
        assert!((1..=2 + seconds).contains(&asked.len()), "{address}: {asked:?}");
    }
    storage.fail(&[Fault::Says("403 Forbidden")], true);
    for _ in 0..20 {
        assert_eq!(server.get("/tiles/b/9/0_0.jpg").status, 500);
    }
    assert!(storage.asked().len() < 3);
}

#[test]
fn a_deleted_slide_is_noticed_where_looks_at_others_hang() {
    let names = ["a", "b", "c", "d", "e"];
    let (_folder, storage) = slides(&names.map(|name| (name, "synthetic:300x200")));
    let server = serve(&storage, &[]);
    let port = server.port;
    let tile = |name: &str| http(port, "GET", &format!("/tiles/{name}/9/0_0.jpg"), &[], b"").status;
    assert!(names.iter().all(|name| tile(name) == 200));
    std::thread::sleep(Duration::from_secs(11));
    storage.remove("lab/e.mtm");
    storage.fail(&[Fault::Stalls; 4], false);
    std::thread::scope(|scope| {
        let others: Vec<_> = names[..4].iter().map(|name| scope.spawn(|| tile(name))).collect();
        // Until all four of them look.
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(tile("e"), 200, "nobody can look");
        let begun = Instant::now();
        while tile("e") == 200 {
            assert!(begun.elapsed() < Duration::from_secs(8), "a look that was not had counts as one");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(others.into_iter().all(|other| other.join().unwrap() == 200));
    });
}
