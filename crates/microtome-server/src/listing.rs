//! The list of all slides below the root, as JSON. It looks at names and sizes and opens no container.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{Mutex, Semaphore};
use unicode_normalization::UnicodeNormalization as _;

use crate::access::Grant;
use crate::error::{Chain, Error};
use crate::query::Query;
use crate::root::Root;
use crate::slide_id::SlideId;

/// Longest text that is searched for, in characters.
const MAX_SEARCH: usize = 200;

/// Pages that are chosen at a time.
const CHOOSING: usize = 1;
/// Longest wait for that, and for the first list.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// Longest wait for a newer list than the last one: one file that hangs holds up the walk, and not who asks for others.
const WAIT_FOR_NEWER: Duration = Duration::from_secs(2);

/// What the root holds: a second old at most, ten for a bucket, or older while storage hangs.
pub(crate) struct Listing {
    root: Arc<Root>,
    latest: Arc<RwLock<Option<(Instant, Found)>>>,
    walking: Arc<Mutex<()>>,
    /// When the last walk began.
    begun: RwLock<Option<Instant>>,
    /// One permit for each page that may be chosen at a time: files wait for the same threads.
    choosing: Arc<Semaphore>,
}

/// What a walk has found, with the answer for who may see all of it and asks for all of it.
#[derive(Debug, Clone)]
struct Found {
    slides: Arc<[(SlideId, u64)]>,
    json: Bytes,
    has_root: bool,
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
        Self {
            root,
            latest: Arc::default(),
            walking: Arc::default(),
            begun: RwLock::default(),
            choosing: Arc::new(Semaphore::new(CHOOSING)),
        }
    }

    /// A page of what may be seen as JSON, sorted by identifier; without a grant, of all.
    pub(crate) async fn json(&self, grant: Option<&Grant>, page: &Page) -> Result<Bytes, Error> {
        let Found { slides, json, .. } = self.found().await?;
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
        choosing.await.map_err(|_lost| Error::WorkerLost("list of slides"))?
    }

    /// Whether there is a folder or bucket to look in.
    pub(crate) async fn has_root(&self) -> Result<bool, Error> {
        self.found().await.map(|found| found.has_root)
    }

    /// The first slide that may be seen; without a grant, of all.
    pub(crate) async fn first(&self, grant: Option<&Grant>) -> Result<Option<SlideId>, Error> {
        let Found { slides, .. } = self.found().await?;
        let mut ids = slides.iter().map(|(id, _)| id);
        Ok(ids.find(|id| grant.is_none_or(|grant| grant.covers(id))).cloned())
    }

    /// What there is. Requests that come during a walk wait for it, even if who began it has gone: there is one walk at a time.
    async fn found(&self) -> Result<Found, Error> {
        let (found, is_new) = self.latest();
        match found {
            Some(found) if is_new => Ok(found),
            None => {
                let walked = tokio::time::timeout(LONGEST_WAIT, self.walk()).await;
                walked.unwrap_or(Err(Error::Overloaded))
            }
            // Somebody has waited that long already.
            Some(older) if self.is_overdue() => Ok(older),
            Some(older) => match tokio::time::timeout(WAIT_FOR_NEWER, self.walk()).await {
                Ok(Err(error)) if error.is_out_of_reach() => {
                    tracing::warn!(error = %Chain(&error), "the last list of slides is given once more");
                    Ok(older)
                }
                Ok(walked) => walked,
                Err(_elapsed) => Ok(older),
            },
        }
    }

    /// What was found last, if anything was, and whether that still holds.
    fn latest(&self) -> (Option<Found>, bool) {
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        let is_new = latest.as_ref().is_some_and(|(made, _)| made.elapsed() < self.root.good_for());
        (latest.as_ref().map(|(_, found)| found.clone()), is_new)
    }

    /// Whether a walk goes on for longer than anybody waits for it.
    fn is_overdue(&self) -> bool {
        let begun = self.begun.read().unwrap_or_else(PoisonError::into_inner);
        begun.is_some_and(|begun| begun.elapsed() > WAIT_FOR_NEWER) && self.walking.try_lock().is_err()
    }

    /// Lists what there is, unless somebody just did.
    async fn walk(&self) -> Result<Found, Error> {
        let walking = Arc::clone(&self.walking).lock_owned().await;
        if let (Some(found), true) = self.latest() {
            return Ok(found);
        }
        let (root, latest) = (Arc::clone(&self.root), Arc::clone(&self.latest));
        *self.begun.write().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        let walk = tokio::task::spawn_blocking(move || {
            // Until it ends, also where nobody waits for it any more.
            let _walking = walking;
            let slides = root.list()?;
            let has_root = slides.is_some();
            let slides = slides.unwrap_or_default().into_iter();
            let slides: Vec<_> = slides.map(|listed| (listed.id, listed.bytes)).collect();
            let json = to_json(slides.iter(), &Page::default())?;
            let found = Found { json, slides: slides.into(), has_root };
            *latest.write().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), found.clone()));
            Ok(found)
        });
        walk.await.map_err(|_lost| Error::WorkerLost("walk of the slides root"))?
    }
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
