//! The list of a bucket, a page of a thousand names at a time.
//!
//! The library takes a list with one odd name (`a//b`) for a failure, and slashes away at the ends of others: so the connector
//! gives what was said to who asks. Not here: which names are those of slides.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use object_store::aws::AmazonS3;
use object_store::list::{PaginatedListOptions, PaginatedListStore as _};
use serde::Deserialize;

use crate::connector::LastStatus;

/// Objects on a page.
const PAGE: usize = 1000;
/// Pages that are asked for, at most: two million objects.
const MOST_PAGES: usize = 2000;

/// An object in a list.
#[derive(Debug)]
pub struct Found {
    /// Its key, whatever that is.
    pub key: String,
    /// Its length in bytes; 0 too where the list says it in an odd way.
    pub size: u64,
    pub(crate) last_modified: DateTime<Utc>,
    pub(crate) e_tag: Option<String>,
}

/// What a list says of an object.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Contents {
    key: Option<String>,
    size: Option<String>,
    last_modified: Option<String>,
    #[serde(rename = "ETag")]
    e_tag: Option<String>,
}

impl Contents {
    /// The object, if it has a name: one that is described in an odd way is there, and does not spoil the list of the others.
    fn found(self) -> Option<Found> {
        let date = self.last_modified.and_then(|date| DateTime::parse_from_rfc3339(date.trim()).ok());
        let last_modified = date.map(|date| date.to_utc()).unwrap_or_default();
        let size = self.size.and_then(|size| size.trim().parse().ok()).unwrap_or_default();
        Some(Found { key: self.key?, size, last_modified, e_tag: self.e_tag })
    }
}

/// An answer to `ListObjectsV2`: any other document is none.
#[derive(Debug, Deserialize)]
enum Answer {
    ListBucketResult(Page),
}

/// What is of interest of it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    contents: Vec<Contents>,
    is_truncated: Option<bool>,
    next_continuation_token: Option<String>,
}

impl Page {
    /// What the next one is asked for with, if there is one.
    fn next(&mut self) -> Result<Option<String>, object_store::Error> {
        let token = self.next_continuation_token.take().filter(|token| !token.is_empty());
        match (self.is_truncated, token) {
            (Some(true), None) => Err(failed(
                "a page of the list says that it goes on, and not where (ListObjectsV2 is asked for)".into(),
            )),
            (Some(false), _) => Ok(None),
            (_, token) => Ok(token),
        }
    }
}

/// Goes with a question for a page, and gets the answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slot(Arc<Mutex<Page>>);

impl Slot {
    /// Takes an answer, and gives one that the library finds nothing in.
    pub(crate) fn fill(&self, answer: &[u8]) -> Result<Bytes, quick_xml::DeError> {
        let Answer::ListBucketResult(page) = quick_xml::de::from_reader(answer)?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = page;
        Ok(Bytes::from_static(b"<ListBucketResult/>"))
    }

    fn take(&self) -> Page {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What `choose` takes of the objects whose keys begin with a prefix, but no more than `most`.
pub(crate) async fn list<T>(
    store: &AmazonS3,
    prefix: &str,
    most: usize,
    status: &LastStatus,
    mut choose: impl FnMut(Found) -> Option<T>,
) -> object_store::Result<Vec<T>> {
    let (mut chosen, mut token, mut tokens) = (Vec::new(), None, HashSet::new());
    for _ in 0..MOST_PAGES {
        let slot = Slot::default();
        let (page_token, max_keys) = (token.clone(), Some(most).filter(|most| *most < PAGE));
        let mut options = PaginatedListOptions { page_token, max_keys, ..Default::default() };
        options.extensions.insert(slot.clone());
        options.extensions.insert(status.clone());
        store.list_paginated(Some(prefix).filter(|prefix| !prefix.is_empty()), options).await?;
        let mut page = slot.take();
        let next = page.next()?;
        chosen.extend(
            page.contents
                .into_iter()
                .filter_map(Contents::found)
                .filter_map(&mut choose)
                .take(most - chosen.len()),
        );
        if next.is_none() || chosen.len() == most {
            return Ok(chosen);
        }
        if !tokens.insert(next.clone()) {
            return Err(failed("the list does not go on: a page leads to one that was there before".into()));
        }
        token = next;
    }
    Err(failed(format!("the list has no end after {MOST_PAGES} pages; keep a prefix for slides")))
}

fn failed(what: String) -> object_store::Error {
    let source = std::io::Error::new(std::io::ErrorKind::InvalidData, what);
    object_store::Error::Generic { store: "S3", source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(answer: &str) -> Result<Page, quick_xml::DeError> {
        let slot = Slot::default();
        slot.fill(answer.as_bytes()).map(|_| slot.take())
    }

    #[test]
    fn keys_are_read_as_they_are() {
        let keys = ["a//b.mtm", "/a.mtm", "a.mtm/", "lab/./x.mtm", " a .mtm", "ä &amp; b&#9;.mtm"];
        let contents = keys.map(|key| {
            format!(
                "<Contents><ETag>\"1\"</ETag><Key>{key}</Key><Owner><ID>x</ID></Owner><Size>7</Size>\
                 <LastModified>2026-12-01T00:00:01.000Z</LastModified></Contents><More/>"
            )
        });
        let answer =
            format!("<?xml version=\"1.0\"?><ListBucketResult>{}</ListBucketResult>", contents.concat());
        let page = page(&answer).expect("a list");
        let found: Vec<_> = page.contents.into_iter().filter_map(Contents::found).collect();
        let read: Vec<_> = found.iter().map(|found| found.key.as_str()).collect();
        assert_eq!(read, ["a//b.mtm", "/a.mtm", "a.mtm/", "lab/./x.mtm", " a .mtm", "ä & b\t.mtm"]);
        assert_eq!((found[0].size, found[0].last_modified.timestamp()), (7, 1_796_083_201));
    }

    #[test]
    fn what_is_described_oddly_is_there() {
        let of = |inner: &str| format!("<Contents><Key>a</Key>{inner}</Contents>");
        let date = "<LastModified>2026-12-01T00:00:01Z</LastModified>";
        let odd =
            ["", "<Size>1</Size>", date, &format!("{date}<Size>-1</Size>"), "<Size>1</Size><LastModified/>"];
        let right = of(&format!("{date}<Size>3</Size>"));
        let answer = format!("<ListBucketResult>{}{right}</ListBucketResult>", odd.map(of).concat());
        let page = page(&answer).expect("a list");
        let sizes = page.contents.into_iter().filter_map(Contents::found).map(|found| found.size);
        assert_eq!(sizes.collect::<Vec<_>>(), [0, 1, 0, 0, 1, 3]);
    }

    #[test]
    fn a_list_goes_on_where_it_says_so() {
        let next = |inner: &str| {
            page(&format!("<ListBucketResult>{inner}</ListBucketResult>"))
                .expect("a list")
                .next()
                .expect("an end")
        };
        let token = "<NextContinuationToken>t</NextContinuationToken>";
        assert_eq!(next(token).as_deref(), Some("t"));
        assert_eq!(next(&format!("<IsTruncated>true</IsTruncated>{token}")).as_deref(), Some("t"));
        assert_eq!(next(&format!("<IsTruncated>false</IsTruncated>{token}")), None);
        assert_eq!(next("<NextContinuationToken/>"), None);
        assert_eq!(next(""), None);
        let cut = page("<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>");
        assert!(cut.expect("a list").next().is_err(), "the rest would be lost without a word");
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let cut = "<ListBucketResult><Contents><Key>a</Key>";
        for answer in ["", cut, "{}", "<html><body>Sign in</body></html>"] {
            assert!(page(answer).is_err(), "{answer}");
        }
    }
}
