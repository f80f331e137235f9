//! Addresses as someone else is asked about them: in one spelling, and without what does not matter for the answer.

use microtome_render::Format;
use percent_encoding::{percent_decode_str, utf8_percent_encode};

use crate::slide_id::ESCAPED;

/// A path in the one spelling that leaves no doubt: decoded once, as this server does, and escaped again where need be.
/// `%2F` becomes a separator, `%61` an `a`: whoever compares beginnings of paths can't be led past them.
///
/// `None` for what no slide has in its name here: broken escapes, other text than UTF-8, `..`, empty segments.
pub(crate) fn canonical(path: &str) -> Option<String> {
    let complete =
        |escape: &str| escape.get(..2).is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    if !path.split('%').skip(1).all(complete) {
        return None;
    }
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    let below = decoded.strip_prefix('/')?;
    let plain = |segment: &str| !matches!(segment, "" | "." | "..");
    let control = below.chars().any(|c| c.is_control() || c == '\\');
    (!control && (below.is_empty() || below.split('/').all(plain)))
        .then(|| utf8_percent_encode(&decoded, ESCAPED).to_string())
}

/// What an answer about `path`, the canonical form of `raw`, holds for as well: a tile's path without its level and numbers.
/// All else stands for itself. Two paths with one place are read here as the same slide and the same kind of picture.
pub(crate) fn place<'a>(path: &'a str, raw: &str) -> &'a str {
    let below = |prefix: &str| path.starts_with(prefix);
    let tail = if below("/tiles/") {
        let [name, level, ..] = last(path);
        (is_picture(name) && number(level) && numbers(stem(name), '_', 2)).then_some(2)
    } else if ["/dzi/", "/dzi254/", "/source/"].into_iter().any(below) {
        // Else it may be the descriptor of a slide named so, in a folder of numbers.
        let [name, level, files, _] = last(path);
        let is_tile = is_picture(name) && number(level) && numbers(stem(name), '_', 2);
        (is_tile && files.ends_with("_files")).then_some(2)
    } else if below("/xyz/") {
        let [y, x, z, _] = last(path);
        (is_picture(y) && number(stem(y)) && number(x) && number(z)).then_some(3)
    } else if below("/zoomify/") {
        let [name, group, ..] = last(path);
        let group = group.strip_prefix("TileGroup").is_some_and(number);
        (group && is_picture(name) && numbers(stem(name), '-', 3)).then_some(2)
    } else if below("/iiif/2/") || below("/iiif/3/") {
        let [quality, rotation, ..] = last(path);
        // Without a dot it may be a slide's name.
        let known =
            matches!(stem(quality), "default" | "color" | "gray" | "bitonal") && quality.contains('.');
        (known && number(rotation.trim_start_matches("%21"))).then_some(4)
    } else if below("/dicomweb/") {
        let [frame, frames, ..] = last(path);
        (frames == "frames" && number(frame)).then_some(1)
    } else {
        None
    };
    // Addresses are taken apart before they are decoded: an escaped separator is part of a name.
    let separate = |&segments: &usize| {
        let mut tail = raw.rsplit('/').take(segments);
        tail.all(|segment| !segment.to_ascii_lowercase().contains("%2f"))
    };
    let cut = tail.filter(separate).and_then(|segments| path.rmatch_indices('/').nth(segments - 1));
    // What is left is a slide below the protocol's name, or the address was read wrongly.
    let names_a_slide = |at: usize| path[..at].matches('/').count() > if below("/iiif/") { 2 } else { 1 };
    cut.filter(|&(at, _)| names_a_slide(at)).map_or(path, |(at, _)| &path[..at])
}

/// Whether a name ends as pictures do: a slide's name may hold all else that a tile's does.
fn is_picture(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, extension)| Format::with_extension(extension, 1).is_some())
}

/// The last segments, the very last first.
fn last(path: &str) -> [&str; 4] {
    let mut segments = path.rsplit('/');
    std::array::from_fn(|_| segments.next().unwrap_or_default())
}

fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

fn number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn numbers(text: &str, separator: char, count: usize) -> bool {
    text.split(separator).count() == count && text.split(separator).all(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::slide_id::SlideId;

    #[test]
    fn there_is_one_spelling() {
        for path in [
            "/tiles/case/a b/3/1_2.jpg",
            "/tiles/case%2fa%20b/3/1_2.jpg",
            "/%74iles/c%61se/a%20b/3/1%5F2.jpg",
        ] {
            let path = path.replace(' ', "%20");
            assert_eq!(canonical(&path).as_deref(), Some("/tiles/case/a%20b/3/1_2.jpg"), "{path}");
        }
        assert_eq!(canonical("/").as_deref(), Some("/"));
        assert_eq!(canonical("/a%252Fb").as_deref(), Some("/a%252Fb"), "decoded once");
        for path in [
            "",
            "a",
            "/a/../b",
            "/a/%2e%2e/b",
            "/a//b",
            "/a/",
            "/./a",
            "/a%",
            "/a%2",
            "/a%zz",
            "/%ff",
            "/a%00",
            "/a%5cb",
        ] {
            assert_eq!(canonical(path), None, "{path}");
        }
    }

    #[test]
    fn tiles_of_a_slide_are_one_place() {
        for (path, expected) in [
            ("/tiles/case/a/3/1_2.jpg", "/tiles/case/a"),
            ("/tiles/case/5/5/6_7.jpg", "/tiles/case/5"),
            ("/dzi/a_files/3/1_2.jpeg", "/dzi/a_files"),
            ("/dzi254/a_files/3/1_2.jpeg", "/dzi254/a_files"),
            ("/source/a_files/3/1_2.png", "/source/a_files"),
            ("/xyz/a/3/1/2.jpg", "/xyz/a"),
            ("/zoomify/a/TileGroup0/3-1-2.jpg", "/zoomify/a"),
            ("/iiif/3/a/full/max/0/default.jpg", "/iiif/3/a"),
            (
                "/dicomweb/studies/1/series/2/instances/3/frames/7",
                "/dicomweb/studies/1/series/2/instances/3/frames",
            ),
            ("/iiif/2/case/a/0,0,256,256/256,/!90/gray.png", "/iiif/2/case/a"),
        ] {
            let canonical = canonical(path).expect("a path");
            assert_eq!(place(&canonical, path), expected, "{path}");
        }
        for path in [
            "/",
            "/slides",
            "/viewer/case/a",
            "/dzi/a.dzi",
            "/dzi/a_files/3/1_2_3.jpg",
            "/tiles/a/x/1_2.jpg",
            "/iiif/3/a/info.json",
            "/iiif/presentation/3/a/full/max/0/default.jpg",
            "/iiif/3/a/full/max/0/default",
            "/dicomweb/studies/1/series/2/instances/3/frames/1,2",
            "/associated/a/label",
            "/zoomify/a/ImageProperties.xml",
            "/unknown/a/3/1_2.jpg",
            "/tiles/3/1_2.jpg",
            "/dzi/2024/17_3.dzi",
            "/dzi254/2024/17_3.dzi",
            "/source/2024/17_3.dzi",
            "/dzi/2024/17_3.jpg",
            "/tiles/a/2024/17_3.dzi",
            "/iiif/3/pub/x/0/default.jpg",
            "/iiif/3/full/max/0/default.jpg",
        ] {
            assert_eq!(place(path, path), path, "{path}");
        }
        for raw in [
            "/tiles/a%2F3/1_2.jpg",
            "/iiif/3/a%2ffull/max/0/default.jpg",
            "/iiif/3/a/full/max%2F0/default.jpg",
        ] {
            let path = canonical(raw).expect("a path");
            assert_eq!(place(&path, raw), path, "{raw} is of another slide");
        }
        let raw = "/tiles/case%2Fa/3/1_2.jpg";
        assert_eq!(place(&canonical(raw).expect("a path"), raw), "/tiles/case/a");
    }

    proptest! {
        #[test]
        fn a_canonical_path_is_its_own(path in "(/[ab%./_ ä2F]{0,4}){1,5}") {
            if let Some(canonical) = canonical(&path) {
                prop_assert_eq!(super::canonical(&canonical), Some(canonical.clone()));
            }
        }

        #[test]
        fn one_place_is_one_slide(
            one in "[a37]{1,2}(/[a37]{1,2}){0,2}(/3/1_2.jpg){0,2}",
            other in "[a37]{1,2}(/[a37]{1,2}){0,2}(/7/3_3.jpg){0,2}",
        ) {
            // How the addresses of plain tiles are read: from the right, by their number of segments alone.
            let slide = |below: &str| below.rsplitn(3, '/').nth(2).map(|raw| SlideId::from_raw_path(raw).ok());
            let [a, b] = [&one, &other].map(|below| format!("/tiles/{below}"));
            let is_tile = |path: &str| place(path, path) != path;
            if place(&a, &a) == place(&b, &b) && is_tile(&a) && is_tile(&b) {
                prop_assert_eq!(slide(&one), slide(&other));
            }
        }
    }
}
