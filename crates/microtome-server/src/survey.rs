//! What is known of every container below the root by something that lies in it: looked up in all of them once, and again in
//! those that are new or changed.
//!
//! That is done on a blocking thread when the first request comes that needs it, one container after the other (of a bucket several
//! at a time), and what was found is kept for as long as the file stays the same. Not here: who may see what.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use microtome_container::source::is_out_of_reach;
use tokio::runtime::Handle;

use crate::error::{Error, Failure};
use crate::latest::Latest;
use crate::root::{Identity, Listed, Root};
use crate::slide_id::SlideId;

/// Slides that are found, at most. Further ones are served, but not found by what is in them.
const MOST_SLIDES: usize = 50_000;
/// Slides of a bucket that are asked for in vain before no more are.
const MOST_UNREACHED: usize = 20;
/// How long a survey is good, at least; in multiples of the time that it took, but for reading what was new: the next one
/// will not have to; and at most.
const GOOD_FOR: Duration = Duration::from_secs(2);
const GOOD_FOR_TIMES: u32 = 20;
const GOOD_FOR_MOST: Duration = Duration::from_secs(60);
/// What cannot be reached for so long, and so many times, is left out as what is damaged is.
const GIVEN_UP: Duration = Duration::from_secs(60);
const GIVEN_UP_AFTER: u32 = 5;

/// Looks something up in a slide's container; `None` if it is no longer there.
type Read<T> = dyn Fn(&Root, &SlideId) -> Result<Option<T>, microtome_slide::Error> + Send + Sync;

/// What was found in all containers, at some time.
#[derive(Debug)]
pub(crate) struct Known<T> {
    /// In their order.
    pub(crate) entries: Vec<Arc<T>>,
    files: HashMap<SlideId, (Identity, Option<Arc<T>>)>,
    /// Slides that could not be read, and may be the next time.
    refused: usize,
    /// Those of them that storage did not answer for: as they are now, nothing is known of them.
    unreached: HashMap<SlideId, Unreached>,
}

/// How long a slide could not be reached.
#[derive(Debug, Clone, Copy)]
struct Unreached {
    since: Instant,
    /// How often it was asked for; not at all where too many others were asked for in vain.
    times: u32,
    is_given_up: bool,
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), files: HashMap::new(), refused: 0, unreached: HashMap::new() }
    }
}

impl<T> Known<T> {
    /// What to say where something is not among the entries: an error, if it may be in a slide that could not be reached.
    pub(crate) fn complete(&self) -> Result<(), Error> {
        let Some((slide, _)) = self.unreached.iter().find(|(_, unreached)| !unreached.is_given_up) else {
            return Ok(());
        };
        Err(Error::Unreachable { slide: slide.clone(), source: std::io::ErrorKind::TimedOut.into() })
    }
}

/// The survey of one kind of facts.
pub(crate) struct Survey<T>(Latest<Arc<Known<T>>>);

impl<T: Ord + Send + Sync + 'static> Survey<T> {
    /// Of all containers below `root`; `read` blocks.
    pub(crate) fn new(
        root: Arc<Root>,
        read: impl Fn(&Root, &SlideId) -> Result<Option<T>, microtome_slide::Error> + Send + Sync + 'static,
    ) -> Self {
        let make = move |root: &Root, old: Option<&Arc<Known<T>>>| {
            let begun = Instant::now();
            let Some(slides) = root.list()? else {
                // When the root comes back, what is in it is mostly known.
                let files = old.map(|old| old.files.clone()).unwrap_or_default();
                return Ok((Arc::new(Known { files, ..Known::default() }), root.failures_good_for()));
            };
            let (known, reading) = make(root, &read, slides, old.map(Arc::as_ref));
            let took = begun.elapsed().saturating_sub(reading);
            let usual = (took * GOOD_FOR_TIMES).min(GOOD_FOR_MOST).max(root.good_for());
            let good_for = if known.complete().is_ok() { usual.max(GOOD_FOR) } else { GOOD_FOR };
            Ok((Arc::new(known), good_for))
        };
        Self(Latest::new(root, "survey of the slides", make))
    }

    /// All slides: as of some seconds ago at most, or older while storage is out of reach or that takes longer than anybody waits.
    pub(crate) async fn known(&self) -> Result<Arc<Known<T>>, Failure> {
        self.0.get().await
    }
}

/// What came of looking something up.
type Outcome<T> = Result<Option<T>, microtome_slide::Error>;

/// What is known now, and how long reading took.
fn make<T: Ord + Send>(
    root: &Root,
    read: &Read<T>,
    slides: Vec<Listed>,
    old: Option<&Known<T>>,
) -> (Known<T>, Duration) {
    if slides.len() > MOST_SLIDES {
        tracing::warn!(
            slides = slides.len(),
            most = MOST_SLIDES,
            "not all slides are found by what is in them"
        );
    }
    let mut files = HashMap::new();
    let mut news = Vec::new();
    for Listed { id, identity, .. } in slides.into_iter().take(MOST_SLIDES) {
        let identity = identity.map_or_else(|| root.identity(&id), |known| Ok(Some(known)));
        let Ok(Some(identity)) = identity else { continue };
        match old.and_then(|old| old.files.get(&id)) {
            Some((same, entry)) if *same == identity => drop(files.insert(id, (identity, entry.clone()))),
            _ => news.push((id, identity)),
        }
    }
    // Those that were never asked for come first, since of those that are asked for in vain there is an end.
    let before = |id: &SlideId| old.and_then(|old| old.unreached.get(id)).copied();
    news.sort_by_key(|(id, _)| before(id).map_or(0, |unreached| unreached.times));
    let begun = Instant::now();
    let outcomes = read_all(root, read, &news);
    let reading = begun.elapsed();
    let (mut refused, mut failed, mut unreached) = (0, None, HashMap::new());
    for ((id, identity), outcome) in news.into_iter().zip(outcomes) {
        let error = match outcome {
            Some(Ok(Some(entry))) => {
                files.insert(id, (identity, Some(Arc::new(entry))));
                continue;
            }
            Some(Ok(None)) => continue,
            Some(Err(error)) => Some(error),
            None => None,
        };
        let is_unreached = error.as_ref().is_none_or(is_unreached);
        // What is no container stays none, and what the system refused it may grant the next time; what a bucket gave may be right
        // then, too.
        let stays =
            error.as_ref().is_some_and(|error| !error.is_of_system()) && matches!(root, Root::Folder(_));
        let was_asked = error.is_some();
        if let Some(error) = error {
            failed.get_or_insert((id.clone(), error));
        }
        if stays {
            files.insert(id, (identity, None));
            continue;
        }
        refused += 1;
        if !is_unreached {
            continue;
        }
        // Until it can be read, what was known of it is: its identity is not the one of now.
        if let Some(known) = old.and_then(|old| old.files.get(&id)) {
            files.insert(id.clone(), known.clone());
        }
        unreached.insert(id.clone(), once_more(&id, before(&id), was_asked));
    }
    let mut entries: Vec<_> = files.values().filter_map(|(_, entry)| entry.clone()).collect();
    entries.sort();
    // Once, and not each time that the same slides are refused.
    if let Some((slide, error)) =
        failed.filter(|_| old.is_none_or(|old| old.refused != refused || refused == 0))
    {
        tracing::warn!(%slide, %error, refused, "slides cannot be found by what is in them, this one at least");
    }
    (Known { entries, files, refused, unreached }, reading)
}

/// Whether storage did not answer.
fn is_unreached(error: &microtome_slide::Error) -> bool {
    error.of_system().is_some_and(is_out_of_reach)
}

/// What is to be kept of a slide that could not be reached, `before` and now.
fn once_more(id: &SlideId, before: Option<Unreached>, was_asked: bool) -> Unreached {
    let now = Instant::now();
    let Unreached { since, times, is_given_up } = before
        .filter(|before| before.times > 0)
        .unwrap_or(Unreached { since: now, times: 0, is_given_up: false });
    let times = times + u32::from(was_asked);
    let gives_up = is_given_up || times >= GIVEN_UP_AFTER && now - since >= GIVEN_UP;
    if gives_up && !is_given_up {
        tracing::warn!(slide = %id, "cannot be reached, and is not found by what is in it");
    }
    Unreached { since, times, is_given_up: gives_up }
}

/// Looks something up in all of these slides, as many at a time as the root is for, the first ones first; what came of it, in
/// their order, and nothing where too many were asked for in vain.
fn read_all<T: Send>(root: &Root, read: &Read<T>, slides: &[(SlideId, Identity)]) -> Vec<Option<Outcome<T>>> {
    let readers = root.readers().min(slides.len());
    if readers <= 1 {
        return slides.iter().map(|(id, _)| Some(read(root, id))).collect();
    }
    let runtime = Handle::try_current();
    let (next, unreached) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let read_some = || {
        // A bucket is asked by the server's other threads.
        let _runtime = runtime.as_ref().map(Handle::enter);
        let mut outcomes = vec![];
        while unreached.load(Ordering::Relaxed) < MOST_UNREACHED {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some((id, _)) = slides.get(number) else { break };
            let outcome = read(root, id);
            if outcome.as_ref().is_err_and(is_unreached) {
                unreached.fetch_add(1, Ordering::Relaxed);
            }
            outcomes.push((number, outcome));
        }
        outcomes
    };
    let mut outcomes: Vec<_> = slides.iter().map(|_| None).collect();
    std::thread::scope(|scope| {
        let reading: Vec<_> = (0..readers).map(|_| scope.spawn(read_some)).collect();
        for part in reading {
            for (number, outcome) in part.join().unwrap_or_else(|panic| resume_unwind(panic)) {
                outcomes[number] = Some(outcome);
            }
        }
    });
    outcomes
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn what_is_asked_for_in_vain_is_given_up_in_the_end() {
        let id = SlideId::from_path("a").expect("a name");
        let first = once_more(&id, None, true);
        let long_ago = Instant::now().checked_sub(GIVEN_UP).expect("a machine that runs for a minute");
        let after = |times, since, was_asked| {
            once_more(&id, Some(Unreached { since, times, ..first }), was_asked).is_given_up
        };
        assert_eq!((first.times, first.is_given_up), (1, false));
        assert!(!after(GIVEN_UP_AFTER, first.since, true), "not for so long");
        assert!(!after(1, long_ago, true), "not so many times");
        assert!(!after(0, long_ago, false), "not at all");
        assert!(after(GIVEN_UP_AFTER - 1, long_ago, true));
        let given_up = Unreached { since: long_ago, times: GIVEN_UP_AFTER, is_given_up: true };
        assert!(once_more(&id, Some(given_up), false).is_given_up);
    }

    #[tokio::test]
    async fn a_container_is_read_once_and_again_when_it_is_another() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, bytes: &[u8]| {
            std::fs::write(folder.path().join(format!("{name}.mtm")), bytes).expect("a file");
        };
        write("a", b"2");
        write("b", b"1");
        write("c", b"");
        let (reads, is_refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, refuses) = (Arc::clone(&reads), Arc::clone(&is_refused));
        let root = Arc::new(Root::new(folder.path()).expect("a folder"));
        let place = folder.path().to_owned();
        let survey = Survey::new(root, move |_root, id| {
            let path = &id.file_below(&place);
            counted.fetch_add(1, Ordering::Relaxed);
            let failed =
                |cause| microtome_container::Error::Io { path: path.to_owned(), action: "open", cause };
            if refuses.load(Ordering::Relaxed) {
                return Err(failed(std::io::ErrorKind::Other.into()).into());
            }
            let bytes = std::fs::read(path).map_err(failed)?;
            let (path, place, what) = (path.to_owned(), String::new(), String::new());
            let first = bytes.first().ok_or(microtome_slide::Error::Invalid { path, place, what })?;
            Ok(Some((*first, id.clone())))
        });
        let known = async || {
            let known = survey.known().await.expect("a survey");
            known.entries.iter().map(|entry| (entry.0, entry.1.to_string())).collect::<Vec<_>>()
        };
        let outdate = || survey.0.outdate();
        assert_eq!(known().await, [(b'1', "b".to_owned()), (b'2', "a".to_owned())]);
        assert_eq!((known().await.len(), reads.load(Ordering::Relaxed)), (2, 3));
        outdate();
        assert_eq!((known().await.len(), reads.load(Ordering::Relaxed)), (2, 3), "nothing has changed");
        write("b", b"345");
        outdate();
        assert_eq!(known().await, [(b'2', "a".to_owned()), (b'3', "b".to_owned())]);
        assert_eq!(reads.load(Ordering::Relaxed), 4);
        is_refused.store(true, Ordering::Relaxed);
        write("a", b"67");
        outdate();
        assert_eq!(known().await, [(b'3', "b".to_owned())], "the system refuses it");
        is_refused.store(false, Ordering::Relaxed);
        outdate();
        assert_eq!(known().await, [(b'3', "b".to_owned()), (b'6', "a".to_owned())], "and no more");
    }
}
