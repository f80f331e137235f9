//! Addresses below `/dicomweb/`, as PS3.18 section 8.2 and chapter 10 have them.
//!
//! Not here: queries and media types.

use dicom_core::Tag;
use microtome_dicom::uid;

use crate::error::Error;

/// What an address is about: as much of it as is named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) study: Option<String>,
    pub(crate) series: Option<String>,
    pub(crate) instance: Option<String>,
}

/// What a search lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    Studies,
    Series,
    Instances,
}

/// What is wanted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    Search(Listed),
    /// Whole instances.
    Instances,
    Metadata,
    /// These frames, which count from 1.
    Frames(Vec<u64>),
    /// A frame as a picture.
    RenderedFrame(u64),
    /// The image of an instance as a picture.
    Rendered,
    /// A small picture: of a frame, or of all of the slide.
    Thumbnail(Option<u64>),
    Bulk(Tag),
}

/// Reads the path below `/dicomweb/`.
pub(crate) fn parse(path: &str) -> Result<(Scope, Wanted), Error> {
    let mut segments: Vec<&str> = path.split('/').collect();
    if segments.last().is_some_and(|last| last.is_empty()) {
        segments.pop();
    }
    let mut scope = Scope::default();
    let mut rest = &segments[..];
    for (name, part) in
        [("studies", &mut scope.study), ("series", &mut scope.series), ("instances", &mut scope.instance)]
    {
        if let [first, value, more @ ..] = rest
            && *first == name
        {
            if !uid::is_valid(value) {
                return Err(Error::Malformed("not a unique identifier of DICOM"));
            }
            *part = Some((*value).to_owned());
            rest = more;
        } else {
            break;
        }
    }
    let is_instance = scope.instance.is_some();
    let wanted = match rest {
        [] if scope.study.is_some() => Wanted::Instances,
        ["studies"] if scope.study.is_none() => Wanted::Search(Listed::Studies),
        ["series"] if scope.series.is_none() => Wanted::Search(Listed::Series),
        ["instances"] if !is_instance => Wanted::Search(Listed::Instances),
        ["metadata"] if scope.study.is_some() => Wanted::Metadata,
        ["thumbnail"] if scope.study.is_some() => Wanted::Thumbnail(None),
        ["rendered"] if is_instance => Wanted::Rendered,
        ["bulkdata", tag] if is_instance => Wanted::Bulk(tag_of(tag)?),
        ["frames", list] if is_instance => Wanted::Frames(frames(list)?),
        ["frames", list, "rendered"] if is_instance => Wanted::RenderedFrame(one(list)?),
        ["frames", list, "thumbnail"] if is_instance => Wanted::Thumbnail(Some(one(list)?)),
        _ => return Err(Error::NoSuchPage),
    };
    Ok((scope, wanted))
}

fn frames(list: &str) -> Result<Vec<u64>, Error> {
    let malformed = Error::Malformed("frames are numbers from 1, with commas between them");
    let number = |text: &str| text.parse().ok().filter(|&number: &u64| number > 0);
    // Some clients encode commas.
    list.replace("%2C", ",")
        .replace("%2c", ",")
        .split(',')
        .map(number)
        .collect::<Option<_>>()
        .ok_or(malformed)
}

fn one(list: &str) -> Result<u64, Error> {
    match frames(list)?[..] {
        [frame] => Ok(frame),
        _ => Err(Error::Malformed("one frame is rendered at a time")),
    }
}

/// The tag of eight hexadecimal digits.
fn tag_of(text: &str) -> Result<Tag, Error> {
    hexadecimal(text).ok_or(Error::Malformed("a tag has eight hexadecimal digits"))
}

/// The tag of eight hexadecimal digits, if `text` is some.
pub(crate) fn hexadecimal(text: &str) -> Option<Tag> {
    if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let number = u32::from_str_radix(text, 16).ok()?;
    Some(Tag((number >> 16) as u16, number as u16))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(path: &str) -> (Scope, Wanted) {
        parse(path).expect(path)
    }

    #[test]
    fn addresses_of_the_standard_are_read() {
        let scope = |parts: &[&str]| {
            let part = |i: usize| parts.get(i).map(|part| (*part).to_owned());
            Scope { study: part(0), series: part(1), instance: part(2) }
        };
        let instance = "studies/1.2/series/1.3/instances/1.4";
        for (path, expected, wanted) in [
            ("studies", &[][..], Wanted::Search(Listed::Studies)),
            ("series", &[], Wanted::Search(Listed::Series)),
            ("instances", &[], Wanted::Search(Listed::Instances)),
            ("studies/1.2/series", &["1.2"], Wanted::Search(Listed::Series)),
            ("studies/1.2/instances", &["1.2"], Wanted::Search(Listed::Instances)),
            ("studies/1.2/series/1.3/instances", &["1.2", "1.3"], Wanted::Search(Listed::Instances)),
            ("studies/1.2/", &["1.2"], Wanted::Instances),
            ("studies/1.2/metadata", &["1.2"], Wanted::Metadata),
            ("studies/1.2/series/1.3/thumbnail", &["1.2", "1.3"], Wanted::Thumbnail(None)),
        ] {
            assert_eq!(parsed(path), (scope(expected), wanted), "{path}");
        }
        for (end, wanted) in [
            ("", Wanted::Instances),
            ("/metadata", Wanted::Metadata),
            ("/frames/1,2,30", Wanted::Frames(vec![1, 2, 30])),
            ("/frames/1%2C2", Wanted::Frames(vec![1, 2])),
            ("/frames/7/rendered", Wanted::RenderedFrame(7)),
            ("/frames/7/thumbnail", Wanted::Thumbnail(Some(7))),
            ("/rendered", Wanted::Rendered),
            ("/bulkdata/00282000", Wanted::Bulk(Tag(0x0028, 0x2000))),
        ] {
            assert_eq!(parsed(&format!("{instance}{end}")), (scope(&["1.2", "1.3", "1.4"]), wanted), "{end}");
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        for path in [
            "",
            "/",
            "x",
            "studies/x",
            "studies/1.2/x",
            "series/1.3",
            "instances/1.4",
            "studies/1.2/rendered",
            "studies/1.2/series/1.3/instances/1.4/frames",
            "studies/1.2/series/1.3/instances/1.4/frames/0",
            "studies/1.2/series/1.3/instances/1.4/frames/1,,2",
            "studies/1.2/series/1.3/instances/1.4/frames/-1",
            "studies/1.2/series/1.3/instances/1.4/bulkdata/ICC",
            "studies/1.2/instances/1.4/metadata",
            "studies/1.2/series/1.3/instances/1.4/frames/1,2/rendered",
            "studies//series",
        ] {
            assert!(parse(path).is_err(), "{path}");
        }
    }
}
