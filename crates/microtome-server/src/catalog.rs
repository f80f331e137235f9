//! The slides below the root, opened when first asked for and kept open while their file stays the same.
//!
//! Storage may hang. Then it keeps four threads that look at files and some that open them, and those who wait for it no longer than
//! they are told to; slides that are open are served as they were opened. Not here: tiles, and the list of all slides, which opens none.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::{Duration, Instant};

use microtome_container::source::is_out_of_reach;
use microtome_slide::{Caches, Slide};
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Failure};
use crate::pictures::lane::Shares;
use crate::pseudonym::Pseudonym;
use crate::readers;
use crate::root::{Identity, Root};
use crate::slide_id::SlideId;
use crate::storage::{Storage, Storages};

/// Slides kept open: each costs a file descriptor and its metadata. A quarter of the 1024 descriptors that most systems
/// give a process, so that connections have the rest.
const MAX_OPEN_SLIDES: u64 = 256;

/// A file that is written over for a while is opened anew once in so long.
const REOPENING: Duration = Duration::from_secs(1);

/// Longest wait for a look at that file: then it is trusted until there is an answer.
const LONGEST_LOOK: Duration = Duration::from_secs(2);
/// Longest wait until others of the same file system have looked at theirs, and how soon who waited in vain tries again.
const LONGEST_WAIT_TO_LOOK: Duration = Duration::from_millis(100);
const LOOKING_AGAIN: Duration = Duration::from_secs(1);
/// Longest wait for a slide to be opened.
const LONGEST_OPENING: Duration = Duration::from_secs(20);
/// Groups of slides of which one is opened at a time; which of them wait for each other is by chance.
const TURNS: usize = 64;
/// Slides that are known to have failed to open, at most.
const MOST_FAILED: u64 = 4096;
/// Slides that are opened at the same time, at most, and those of one folder, which hang together: it is not known yet which file
/// system they are on.
const OPENINGS: usize = readers::OTHER_THREADS / 2;
const OPENINGS_OF_FOLDER: usize = OPENINGS * 2 / 3;

/// Number of the next slide opened by this process.
static NEXT_INSTANCE: AtomicU64 = AtomicU64::new(0);

/// An open slide and what is needed to notice that its file was replaced.
pub(crate) struct OpenSlide {
    pub(crate) id: SlideId,
    pub(crate) slide: Slide,
    /// What the file's header says. It names versions to clients; what is kept of a slide goes by `instance`.
    pub(crate) content_id: Arc<str>,
    /// What may stand for its name.
    pub(crate) pseudonym: Pseudonym,
    /// Different for each opening, whatever the file says.
    pub(crate) instance: u64,
    root: Arc<Root>,
    identity: Identity,
    checked_ms: AtomicU64,
    /// When it was opened, by the catalogue's clock.
    opened_ms: u64,
    /// Whether the file was found to be another one: then this is asked for nothing more.
    is_replaced: AtomicBool,
    /// When it was looked at for a failure.
    last_look: StdMutex<Option<Instant>>,
    /// The file system that it is on.
    pub(crate) storage: Arc<Storage>,
    /// The permit to look at the file.
    look: Arc<Semaphore>,
    /// Permits of those who may read it at the same time.
    pub(crate) reading: Arc<Semaphore>,
    /// Memory for pictures of it.
    pub(crate) pictures: Shares,
}

/// All slides below the root.
pub(crate) struct Catalog {
    root: Arc<Root>,
    /// Whether slides tell where the time of their tiles goes.
    times: bool,
    storages: Arc<Storages>,
    caches: Caches,
    open: Cache<SlideId, Arc<OpenSlide>>,
    /// What openings failed with lately, where each has its price.
    failed: Option<Cache<SlideId, Arc<Error>>>,
    /// Whose turn it is to open, for each group of slides: who gives up waiting leaves the opening behind, and the next one is
    /// not to begin another.
    turns: [Arc<Mutex<()>>; TURNS],
    openings: Arc<Semaphore>,
    /// Permits to open slides of a folder, for each group of folders.
    folders: [Arc<Semaphore>; TURNS],
    hasher: RandomState,
    started: Instant,
}

impl Catalog {
    /// The slides below `root`, where so many threads read.
    pub(crate) fn new(root: Arc<Root>, times: bool, reading_threads: usize) -> Self {
        // Least recently used: else a new slide may be denied its place, and each of its tiles would open it anew.
        let open =
            Cache::builder().max_capacity(MAX_OPEN_SLIDES).eviction_policy(EvictionPolicy::lru()).build();
        let lately = Some(root.failures_good_for()).filter(|lately| !lately.is_zero());
        let failed = |lately| Cache::builder().max_capacity(MOST_FAILED).time_to_live(lately).build();
        Self {
            failed: lately.map(failed),
            root,
            times,
            storages: Arc::new(Storages::new(reading_threads)),
            caches: Caches::default(),
            open,
            turns: std::array::from_fn(|_| Arc::default()),
            openings: Arc::new(Semaphore::new(OPENINGS)),
            folders: std::array::from_fn(|_| Arc::new(Semaphore::new(OPENINGS_OF_FOLDER))),
            hasher: RandomState::new(),
            started: Instant::now(),
        }
    }

    /// The slide, opened if need be. Requests that come while it is being opened share that.
    pub(crate) async fn slide(&self, id: &SlideId) -> Result<Arc<OpenSlide>, Failure> {
        let mut outdated = None;
        if let Some(open) = self.open.get(id).await {
            let now_ms = self.now_ms();
            if open.is_replaced.load(Ordering::Relaxed) {
                if open.is_younger_than(REOPENING, now_ms) {
                    return Err(Error::Replaced.into());
                }
            } else {
                let Some(look) = open.claim_check(now_ms) else { return Ok(open) };
                match look_at(&open, look).await? {
                    Seen::Same => return Ok(open),
                    Seen::Other => open.is_replaced.store(true, Ordering::Relaxed),
                    Seen::Nothing => {}
                }
            }
            outdated = Some(open.instance);
        }
        // In a box: else every tile of an open slide would carry the room for it.
        Box::pin(self.opened_anew(id, outdated)).await
    }

    /// The slide in another instance than the outdated one.
    async fn opened_anew(&self, id: &SlideId, outdated: Option<u64>) -> Result<Arc<OpenSlide>, Failure> {
        // Somebody else may have opened it meanwhile.
        if self.open.get(id).await.is_some_and(|open| Some(open.instance) == outdated) {
            self.open.invalidate(id).await;
        }
        if let Some(failed) = &self.failed
            && let Some(error) = failed.get(id).await
        {
            return Err(error.into());
        }
        let opened = self.open.try_get_with(id.clone(), self.open_slide(id.clone())).await;
        if let (Err(error), Some(failed)) = (&opened, &self.failed) {
            failed.insert(id.clone(), Arc::clone(error)).await;
        }
        opened.map_err(Failure::from)
    }

    /// Number of slides kept open.
    pub(crate) async fn open_slides(&self) -> u64 {
        self.open.run_pending_tasks().await;
        self.open.entry_count()
    }

    async fn open_slide(&self, id: SlideId) -> Result<Arc<OpenSlide>, Error> {
        let (root, times, caches) = (Arc::clone(&self.root), self.times, self.caches.clone());
        let storages = Arc::clone(&self.storages);
        let now_ms = self.now_ms();
        let turn = Arc::clone(self.turn(&id)).lock_owned();
        let of_folder = Arc::clone(self.folder(&id)).acquire_owned();
        let of_all = Arc::clone(&self.openings).acquire_owned();
        let lost = || Error::WorkerLost("opening of a slide");
        let opened = async {
            let held = (
                turn.await,
                of_folder.await.map_err(|_closed| lost())?,
                of_all.await.map_err(|_closed| lost())?,
            );
            let opening = tokio::task::spawn_blocking(move || {
                let _held = held;
                open(&root, id, &caches, times, &storages, now_ms)
            });
            opening.await.unwrap_or_else(|_lost| Err(lost()))
        };
        tokio::time::timeout(LONGEST_OPENING, opened).await.unwrap_or(Err(Error::Overloaded))
    }

    fn folder(&self, id: &SlideId) -> &Arc<Semaphore> {
        let folder = id.as_str().rsplit_once('/').map_or("", |(folder, _)| folder);
        &self.folders[self.hasher.hash_one(folder) as usize % TURNS]
    }

    fn turn(&self, id: &SlideId) -> &Arc<Mutex<()>> {
        &self.turns[self.hasher.hash_one(id) as usize % TURNS]
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl OpenSlide {
    /// The permit to look at the file's identity, if that is due and nobody does.
    fn claim_check(&self, now_ms: u64) -> Option<OwnedSemaphorePermit> {
        let checked = self.checked_ms.load(Ordering::Relaxed);
        let is_due = u128::from(now_ms.saturating_sub(checked)) >= self.root.good_for().as_millis()
            && self
                .checked_ms
                .compare_exchange(checked, now_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        is_due.then(|| Arc::clone(&self.look).try_acquire_owned().ok()).flatten()
    }

    /// Lets a look be due soon, and not when it would be after one that was had.
    fn look_again_soon(&self) {
        let sooner = self.root.good_for().saturating_sub(LOOKING_AGAIN).as_millis() as u64;
        let checked = self.checked_ms.load(Ordering::Relaxed);
        self.checked_ms.store(checked.saturating_sub(sooner), Ordering::Relaxed);
    }

    fn is_younger_than(&self, age: Duration, now_ms: u64) -> bool {
        u128::from(now_ms.saturating_sub(self.opened_ms)) < age.as_millis()
    }

    /// What is to be said of a failure: if it may be the file's, and that is no longer the one that was opened, then that one is
    /// not at fault, and whoever asks again gets the other, or hears that there is none.
    pub(crate) async fn unless_replaced(self: &Arc<Self>, failure: Failure) -> Failure {
        if failure.is_of_file() && self.was_replaced(&failure).await {
            Error::Replaced.into()
        } else {
            failure
        }
    }

    /// Whether the file is known to be another one now, or found to be by who looks first: others wait for that.
    async fn was_replaced(self: &Arc<Self>, failure: &Failure) -> bool {
        let is_known = || self.is_replaced.load(Ordering::Relaxed);
        if is_known() {
            return true;
        }
        let look = Arc::clone(&self.look).acquire_owned();
        let Ok(Ok(look)) = tokio::time::timeout(LONGEST_LOOK, look).await else { return is_known() };
        if is_known() || !failure.is_of_another_file() && self.was_just_looked_at() {
            return is_known();
        }
        let is_other = match look_at(self, look).await {
            Ok(Seen::Other) => true,
            // Who has it says so, whatever is seen.
            _ if failure.is_of_another_file() => true,
            // Of a file that was deleted, what is open can be read as before: damage there is damage.
            Ok(Seen::Nothing) => failure.is_for_want_of_file(),
            Ok(Seen::Same) | Err(_) => false,
        };
        if is_other {
            tracing::warn!(slide = %self.id, %failure, "its file is another one now, or gone: it will be opened anew");
            self.is_replaced.store(true, Ordering::Relaxed);
        }
        is_other
    }
}

impl OpenSlide {
    /// Whether it was looked at for a failure so lately that its storage, which has its price, is not asked again.
    fn was_just_looked_at(&self) -> bool {
        let mut last = self.last_look.lock().unwrap_or_else(PoisonError::into_inner);
        let is_lately = last.is_some_and(|last| last.elapsed() < self.root.failures_good_for());
        if !is_lately {
            *last = Some(Instant::now());
        }
        is_lately
    }
}

/// What is where an open slide's file was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// That very file, or nobody knows: storage hangs.
    Same,
    Other,
    /// None, or none that can be looked at.
    Nothing,
}

async fn look_at(open: &Arc<OpenSlide>, look: OwnedSemaphorePermit) -> Result<Seen, Error> {
    let of_storage = Arc::clone(&open.storage.looks).acquire_owned();
    // Where others look for so long, their file system hangs.
    let Ok(Ok(of_storage)) = tokio::time::timeout(LONGEST_WAIT_TO_LOOK, of_storage).await else {
        open.look_again_soon();
        return Ok(Seen::Same);
    };
    let looked_at = Arc::clone(open);
    let check = tokio::task::spawn_blocking(move || {
        let _held = (look, of_storage);
        let seen = looked_at.root.identity_again(&looked_at.id);
        // Also where nobody waits for it any more. (A refusal may pass.)
        if seen.as_ref().is_ok_and(|seen| seen.as_ref() != Some(&looked_at.identity)) {
            looked_at.is_replaced.store(true, Ordering::Relaxed);
        }
        match seen {
            Ok(Some(now)) if now == looked_at.identity => Seen::Same,
            Ok(Some(_other)) => Seen::Other,
            Err(error) if is_out_of_reach(&error) => Seen::Same,
            Ok(None) | Err(_) => Seen::Nothing,
        }
    });
    match tokio::time::timeout(LONGEST_LOOK, check).await {
        Ok(seen) => seen.map_err(|_lost| Error::WorkerLost("look at a slide's file")),
        Err(_elapsed) => Ok(Seen::Same),
    }
}

fn open(
    root: &Arc<Root>,
    id: SlideId,
    caches: &Caches,
    times: bool,
    storages: &Storages,
    now_ms: u64,
) -> Result<Arc<OpenSlide>, Error> {
    let opened = root.container(&id).map_err(microtome_slide::Error::from).and_then(|found| {
        let opened =
            found.map(|(container, identity)| Ok((Slide::of_container(container, caches)?, identity)));
        opened.transpose()
    });
    match opened {
        Ok(Some((slide, identity))) => {
            let slide = if times { slide.timed() } else { slide };
            let content_id: Arc<str> = slide.content_id().to_string().into();
            Ok(Arc::new(OpenSlide {
                pseudonym: Pseudonym::new(&id, &content_id),
                id,
                slide,
                content_id,
                instance: NEXT_INSTANCE.fetch_add(1, Ordering::Relaxed),
                root: Arc::clone(root),
                storage: storages.of(identity.storage()),
                identity,
                checked_ms: AtomicU64::new(now_ms),
                opened_ms: now_ms,
                is_replaced: AtomicBool::new(false),
                last_look: StdMutex::default(),
                look: Arc::new(Semaphore::new(1)),
                reading: storages.of_slide(),
                pictures: Shares::of_one_slide(),
            }))
        }
        Ok(None) => Err(Error::NoSuchSlide),
        Err(source) => Err(Error::Unopenable { slide: id, source }),
    }
}

#[cfg(test)]
mod tests;
