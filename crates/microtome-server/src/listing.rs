//! The list of all slides below the root, as JSON. It looks at names and sizes and opens no container.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization as _;

use crate::access::Grant;
use crate::error::{Error, Failure};
use crate::latest::Latest;
use crate::query::Query;
use crate::root::Root;
use crate::slide_id::SlideId;

/// Longest text that is searched for, in characters.
const MAX_SEARCH: usize = 200;

/// Pages that are chosen at a time.
const CHOOSING: usize = 1;
/// Longest wait for that.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// What the root holds: a second old at most, ten for a bucket, or older while storage hangs.
pub(crate) struct Listing {
    latest: Latest<Found>,
    /// Whether there is a folder or bucket to look in.
    root_exists: Latest<bool>,
    /// One permit for each page that may be chosen at a time: files wait for the same threads.
    choosing: Arc<Semaphore>,
}

/// What a list has found, with the answer for who may see all of it and asks for all of it.
#[derive(Debug, Clone)]
struct Found {
    slides: Arc<[(SlideId, u64)]>,
    json: Bytes,
}

/// Which of the slides are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Page {
    /// The words that are in their identifiers, as [`plainly`] writes them.
    search: Vec<String>,
    /// How many are left out before.
    offset: usize,
    /// How many there are at most.
    limit: Option<usize>,
}

impl Page {
    /// The page that a query asks for.
    pub(crate) fn read(query: &Query) -> Result<Self, Error> {
        const WHAT: &str = "limit is a number from 1 to 10000, offset one from 0 on";
        let limit = query.parsed::<usize>("limit", WHAT)?;
        if limit.is_some_and(|limit| !(1..=10_000).contains(&limit)) {
            return Err(Error::Malformed(WHAT));
        }
        let search = query.get("search").unwrap_or_default();
        if search.chars().count() > MAX_SEARCH {
            return Err(Error::Malformed("what is searched for is too long"));
        }
        let offset = query.parsed::<usize>("offset", WHAT)?.unwrap_or(0);
        let search = plainly(search).split_whitespace().map(str::to_owned).collect();
        Ok(Self { search, offset, limit })
    }

    fn has(&self, id: &SlideId) -> bool {
        if self.search.is_empty() {
            return true;
        }
        let id = plainly(id.as_str());
        self.search.iter().all(|word| id.contains(word.as_str()))
    }
}

/// Text as it is searched: small letters, each accent with its letter as one character (some systems write names of files
/// with two), and a space for whatever is neither letter nor figure.
fn plainly(text: &str) -> String {
    let letters = text.nfc().flat_map(char::to_lowercase);
    letters.map(|c| if c.is_alphanumeric() { c } else { ' ' }).collect()
}

#[derive(Debug, Serialize)]
struct Slides {
    slides: Vec<Entry>,
    /// How many there are on all pages.
    total: usize,
}

#[derive(Debug, Serialize)]
struct Entry {
    id: String,
    bytes: u64,
    viewer: String,
    dzi: String,
    thumbnail: String,
}

impl Listing {
    pub(crate) fn new(root: Arc<Root>) -> Self {
        let exists = |root: &Root, _last: Option<&bool>| {
            let exists = root.exists()?;
            Ok((exists, if exists { root.good_for() } else { root.failures_good_for() }))
        };
        Self {
            latest: Latest::new(Arc::clone(&root), "list of slides", |root, _last| found(root)),
            root_exists: Latest::new(root, "look at the slides root", exists),
            choosing: Arc::new(Semaphore::new(CHOOSING)),
        }
    }

    /// A page of what may be seen as JSON, sorted by identifier; without a grant, of all.
    pub(crate) async fn json(&self, grant: Option<&Grant>, page: &Page) -> Result<Bytes, Failure> {
        let Found { slides, json } = self.latest.get().await?;
        let grant = grant.filter(|grant| !grant.is_everything());
        if grant.is_none() && *page == Page::default() {
            return Ok(json);
        }
        // Of ten thousands of slides that takes long enough to keep others waiting.
        let (grant, page) = (grant.cloned(), page.clone());
        let turn = tokio::time::timeout(LONGEST_WAIT, Arc::clone(&self.choosing).acquire_owned()).await;
        let turn = turn.map_err(|_elapsed| Error::Overloaded)?;
        let choosing = tokio::task::spawn_blocking(move || {
            // Given back when this ends, also where nobody waits for it any more.
            let _turn = turn;
            let is_seen = |id: &SlideId| grant.as_ref().is_none_or(|grant| grant.covers(id)) && page.has(id);
            to_json(slides.iter().filter(|(id, _)| is_seen(id)), &page)
        });
        Ok(choosing.await.map_err(|_lost| Error::WorkerLost("list of slides"))??)
    }

    /// Whether there is a folder or bucket to look in.
    pub(crate) async fn has_root(&self) -> Result<bool, Failure> {
        self.root_exists.get().await
    }

    /// The first slide that may be seen; without a grant, of all.
    pub(crate) async fn first(&self, grant: Option<&Grant>) -> Result<Option<SlideId>, Failure> {
        let Found { slides, .. } = self.latest.get().await?;
        let mut ids = slides.iter().map(|(id, _)| id);
        Ok(ids.find(|id| grant.is_none_or(|grant| grant.covers(id))).cloned())
    }
}

/// What there is, and how long that is good.
fn found(root: &Root) -> Result<(Found, Duration), Error> {
    let listed = root.list()?;
    // A root that is not there is asked for again soon.
    let good_for = if listed.is_some() { root.good_for() } else { root.failures_good_for() };
    let slides = listed.unwrap_or_default().into_iter();
    let slides: Vec<_> = slides.map(|listed| (listed.id, listed.bytes)).collect();
    let json = to_json(slides.iter(), &Page::default())?;
    Ok((Found { slides: slides.into(), json }, good_for))
}

fn to_json<'a>(
    slides: impl Iterator<Item = &'a (SlideId, u64)> + Clone,
    page: &Page,
) -> Result<Bytes, Error> {
    let total = slides.clone().count();
    let slides = slides.skip(page.offset).take(page.limit.unwrap_or(usize::MAX));
    let slides = slides.map(|(id, bytes)| entry(id, *bytes)).collect();
    let json = serde_json::to_vec(&Slides { slides, total }).map(Bytes::from);
    json.map_err(|error| Error::Unlistable { source: error.into() })
}

fn entry(id: &SlideId, bytes: u64) -> Entry {
    let path = id.url_path();
    Entry {
        id: id.to_string(),
        bytes,
        viewer: format!("/viewer/{path}"),
        dzi: format!("/dzi/{path}.dzi"),
        thumbnail: format!("/thumbnail/{path}.jpg"),
    }
}

#[cfg(test)]
mod tests;
