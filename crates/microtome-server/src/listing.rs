//! The list of all slides below the root, as JSON. It looks at names and sizes and opens no container.

use std::fs::DirEntry;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{Mutex, Semaphore};
use unicode_normalization::UnicodeNormalization as _;

use crate::access::Grant;
use crate::error::Error;
use crate::pseudonym::Pseudonym;
use crate::query::Query;
use crate::slide_id::{EXTENSION, SlideId};

/// How long a list is given out before the folders are walked again.
const MAX_AGE: Duration = Duration::from_secs(1);

/// Folders deeper than this below the root are not listed (their slides are served).
const MAX_DEPTH: usize = 16;

/// Longest text that is searched for, in characters.
const MAX_SEARCH: usize = 200;

/// Pages that are chosen at a time.
const CHOOSING: usize = 1;
/// Longest wait for that.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// What a folder tree holds, at most a second old.
pub(crate) struct Listing {
    root: PathBuf,
    latest: Arc<Mutex<Option<(Instant, Found)>>>,
    /// One permit for each page that may be chosen at a time: files wait for the same threads.
    choosing: Arc<Semaphore>,
}

/// What a walk has found, with the answer for who may see all of it and asks for all of it.
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
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root, latest: Arc::default(), choosing: Arc::new(Semaphore::new(CHOOSING)) }
    }

    /// A page of what may be seen as JSON, sorted by identifier; without a grant, of all.
    pub(crate) async fn json(&self, grant: Option<&Grant>, page: &Page) -> Result<Bytes, Error> {
        let Found { slides, json } = self.found().await?;
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

    /// The first slide that may be seen; without a grant, of all.
    pub(crate) async fn first(&self, grant: Option<&Grant>) -> Result<Option<SlideId>, Error> {
        let Found { slides, .. } = self.found().await?;
        let mut ids = slides.iter().map(|(id, _)| id);
        Ok(ids.find(|id| grant.is_none_or(|grant| grant.covers(id))).cloned())
    }

    /// What there is. Requests that come during a walk wait for it, even if who began it has gone: there is one walk at a time.
    async fn found(&self) -> Result<Found, Error> {
        let mut latest = Arc::clone(&self.latest).lock_owned().await;
        if let Some((made, found)) = latest.as_ref()
            && made.elapsed() < MAX_AGE
        {
            return Ok(found.clone());
        }
        let root = self.root.clone();
        let walk = tokio::task::spawn_blocking(move || {
            let slides = list(&root)?;
            let found = Found { json: to_json(slides.iter(), &Page::default())?, slides: slides.into() };
            *latest = Some((Instant::now(), found.clone()));
            Ok(found)
        });
        walk.await.map_err(|_lost| Error::WorkerLost("walk of the slides root"))?
    }
}

/// All slides below a root and the bytes of each, sorted by identifier. Blocks.
pub(crate) fn list(root: &Path) -> Result<Vec<(SlideId, u64)>, Error> {
    let mut found = Vec::new();
    match root.canonicalize().and_then(|root| walk(&root, &root, "", 0, &mut found)) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(source) => return Err(Error::Unlistable { source }),
    }
    found.sort_unstable();
    Ok(found)
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

/// Adds the slides of one folder, whose path below the root is `prefix`, and those of the folders in it.
///
/// # Errors
///
/// If this very folder can't be read. What can't be read inside is left out; so are names that can't be identifiers.
fn walk(
    root: &Path,
    folder: &Path,
    prefix: &str,
    depth: usize,
    found: &mut Vec<(SlideId, u64)>,
) -> std::io::Result<()> {
    add(root, std::fs::read_dir(folder)?, prefix, depth, found);
    Ok(())
}

/// Adds the slides among the items of one folder, and those of the folders among them.
fn add(
    root: &Path,
    items: impl Iterator<Item = std::io::Result<DirEntry>>,
    prefix: &str,
    depth: usize,
    found: &mut Vec<(SlideId, u64)>,
) {
    for item in items {
        let (item, kind) = match item.and_then(|item| item.file_type().map(|kind| (item, kind))) {
            Ok(known) => known,
            Err(error) => {
                tracing::debug!(folder = %prefix, %error, "entry left out of the list of slides");
                continue;
            }
        };
        let name = item.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        if kind.is_dir() {
            if depth < MAX_DEPTH
                && let Err(error) = walk(root, &item.path(), &format!("{prefix}{name}/"), depth + 1, found)
            {
                tracing::warn!(folder = %item.path().display(), %error, "folder left out of the list of slides");
            }
            continue;
        }
        let Some(stem) = name.strip_suffix(EXTENSION).and_then(|stem| stem.strip_suffix('.')) else {
            continue;
        };
        let Ok(id) = SlideId::from_path(&format!("{prefix}{stem}")) else { continue };
        if Pseudonym::read(id.as_str()).is_some() {
            tracing::debug!(slide = %id, "left out of the list of slides: its name is taken for a pseudonym; rename the file");
            continue;
        }
        if let Some(bytes) = file_bytes(root, &item, kind.is_symlink()) {
            found.push((id, bytes));
        }
    }
}

/// Size of a file that would be served, or `None` for one that would not, or is just being deleted.
fn file_bytes(root: &Path, item: &DirEntry, is_link: bool) -> Option<u64> {
    let metadata = if is_link {
        let target = item.path().canonicalize().ok()?;
        target.starts_with(root).then(|| target.metadata().ok())??
    } else {
        item.metadata().ok()?
    };
    metadata.is_file().then_some(metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(root: &Path) -> Vec<String> {
        list(root).expect("a list").iter().map(|(id, _)| id.to_string()).collect()
    }

    #[test]
    fn lists_containers_of_all_folders_in_order() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path();
        std::fs::create_dir_all(root.join("b/c")).expect("folders");
        std::fs::create_dir_all(root.join(".git")).expect("folders");
        std::fs::create_dir_all(root.join("folder.mtm")).expect("folders");
        for name in
            ["z.mtm", "b/c/a b.mtm", "b/x.mtm", ".hidden.mtm", ".git/a.mtm", "a.mtm.part", "mtm", ".mtm"]
        {
            std::fs::write(root.join(name), b"12345").expect("a file");
        }
        assert_eq!(ids(root), ["b/c/a b", "b/x", "z"]);
        let json = to_json(list(root).expect("a list").iter(), &Page::default()).expect("JSON");
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
        let listing = Listing::new(folder.path().to_owned());
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
        let listing = Listing::new(folder.path().to_owned());
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

    #[test]
    fn a_walk_whose_client_has_gone_is_waited_for_and_not_begun_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listing = Listing::new(folder.path().to_owned());
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.max_blocking_threads(1).enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (busy, free) = std::sync::mpsc::channel::<()>();
            tokio::task::spawn_blocking(move || free.recv());
            let gone =
                tokio::time::timeout(Duration::from_millis(10), listing.json(None, &Page::default())).await;
            assert!(gone.is_err(), "all threads are busy");
            assert!(listing.latest.try_lock().is_err(), "its walk is still to come");
            drop(busy);
            assert!(listing.json(None, &Page::default()).await.is_ok());
        });
    }

    #[test]
    fn a_root_that_does_not_exist_is_empty() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(ids(&folder.path().join("absent")).is_empty());
    }

    #[test]
    fn an_entry_that_vanishes_takes_no_other_with_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path();
        std::fs::write(root.join("a.mtm"), b"12345").expect("a file");
        let gone = || std::iter::once(Err(ErrorKind::NotFound.into()));
        let items = gone().chain(std::fs::read_dir(root).expect("a folder")).chain(gone());
        let mut found = Vec::new();
        add(root, items, "", 0, &mut found);
        assert_eq!(found, [(SlideId::from_path("a").expect("a valid id"), 5)]);
    }

    #[cfg(unix)]
    #[test]
    fn follows_links_to_files_inside_only() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().join("slides");
        std::fs::create_dir(&root).expect("a folder");
        std::fs::write(root.join("a.mtm"), b"a").expect("a file");
        std::fs::write(folder.path().join("secret.mtm"), b"s").expect("a file");
        symlink(root.join("a.mtm"), root.join("inside.mtm")).expect("a link");
        symlink(folder.path().join("secret.mtm"), root.join("outside.mtm")).expect("a link");
        symlink(&root, root.join("again")).expect("a link");
        assert_eq!(ids(&root), ["a", "inside"]);
    }
}
